"""A pruning laboratory for neural networks in your terminal, in scripts and in notebooks."""

from importlib import import_module

__version__ = "0.1.0"

_PLACES = {
    "load": "saved_network", "open_run": "opened_run", "prune": "prune_network", "run": "start_run",
    "save": "saved_network",
}  # fmt: skip
"""What scripts call -> its module. Most need torch: only who asks for one waits for that."""


def __getattr__(name: str) -> object:
    if name in _PLACES:
        return getattr(import_module(f"prunetui.scripting.{_PLACES[name]}"), name)
    raise AttributeError(f"module 'prunetui' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES})
