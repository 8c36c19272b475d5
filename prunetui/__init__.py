"""A pruning laboratory for neural networks in your terminal."""

__version__ = "0.1.0"
