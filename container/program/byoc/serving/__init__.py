"""Serving: a supervisor keeps nginx and gunicorn; requests are decoded, batched, predicted and encoded."""
