"""Stands in for the package superai, as far as handlers that were written for its dockerizer need it."""
