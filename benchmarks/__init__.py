"""Ours against the classic sample, its peers and the limits of the stack: `python -m benchmarks --help`."""
