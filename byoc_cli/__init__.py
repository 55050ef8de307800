"""The command `byoc`: what happens on your machine. It imports nothing of the image's program."""
