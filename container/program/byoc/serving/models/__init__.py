"""Many models on one endpoint: a manager that loads and unloads them, and a process for each."""
