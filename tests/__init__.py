"""Tests, in rooms that mirror the house: unit · process (real nginx, gunicorn, signals) · image (real containers)."""
