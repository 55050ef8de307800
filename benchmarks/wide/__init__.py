"""What going wide costs: training on several hosts, each a container, measured here and simulated beyond."""
