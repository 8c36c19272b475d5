"""Classes that are pruning methods, by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from prunetui.api.net import Net
from prunetui.errors import PrunetuiError

M = TypeVar("M", bound=type)


class PruningMethod(Protocol):
    """What a registered class must offer.

    It may also have ``during_training(self, training: Training)``, or ``(self, training, sparsity)``, called after
    every backward pass of the trainings before an edit: at first for as many epochs as its option ``epochs`` says.
    """

    def prune(self, net: Net, sparsity: float) -> Any:
        """The edit that brings ``net`` to ``sparsity`` (absolute, not relative to what is already gone)."""


_REGISTRY: dict[str, type] = {}


def register(
    name: str, *, source: str, family: str = "", targets: Sequence[str] = (), schedules: Sequence[str] = ()
) -> Callable[[M], M]:
    """Make a class a pruning method. All arguments must be literals: lists read them without importing.

    ``source`` is where the method comes from; ``family`` and ``targets`` default by the kind of edit, ``schedules``
    to all but ``dynamic``.

    Raises:
        PrunetuiError: the name is taken by another class.
    """

    def decorate(cls: M) -> M:
        taken = _REGISTRY.get(name)
        if taken is not None and taken.__qualname__ != cls.__qualname__:
            raise PrunetuiError(f"two methods are called {name!r}: {taken.__module__} and {cls.__module__}")
        _REGISTRY[name] = cls
        return cls

    return decorate


def registered(name: str) -> type[PruningMethod]:
    """The class registered as ``name``; its module has been imported."""
    return _REGISTRY[name]
