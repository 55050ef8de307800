"""The checks: one file a group, one function a check."""
