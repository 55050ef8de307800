"""The runtime that carries an algorithm through SageMaker's contract: training, serving and model flavors."""

__version__ = "0.1.0"
