"""PyTorch on a GPU: what `train` and `serve` cost beside a plain Lightning script and the card's own limit."""
