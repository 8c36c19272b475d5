"""A pruning laboratory for neural networks in your terminal."""

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """``prunetui.load``, which needs torch: only who asks for it waits for that."""
    if name == "load":
        from prunetui.engine.loading import load

        return load
    raise AttributeError(f"module 'prunetui' has no attribute {name!r}")
