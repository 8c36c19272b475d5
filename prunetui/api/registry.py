"""The decorators by which a file contributes: they note what it defines, under the name a study says.

All their arguments must be literals: lists read them from the source, without importing it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from prunetui.api.net import Net
from prunetui.errors import PrunetuiError

T = TypeVar("T", bound=Callable[..., Any])

_REGISTRY: dict[tuple[str, str, str], Any] = {}
"""What was registered, by its kind, its name and its module."""


class PruningMethod(Protocol):
    """What a class that is registered as a method must offer.

    It may also have ``during_training(self, training: Training)``, or ``(self, training, sparsity)``, called after
    every backward pass of the trainings before an edit, and ``after_step`` likewise, called after the optimiser's step:
    at first for as many epochs as its option ``epochs`` says, or all through [train] with ``during-training``.
    """

    def prune(self, net: Net, sparsity: float) -> Any:
        """The edit that brings ``net`` to ``sparsity`` (absolute, not relative to what is already gone)."""


def _noted(kind: str, name: str) -> Callable[[T], T]:
    def decorate(found: T) -> T:
        key = (kind, name, found.__module__)
        taken = _REGISTRY.get(key)
        if taken is not None and taken.__qualname__ != found.__qualname__:
            raise PrunetuiError(f"two contributions of {found.__module__} are called {name!r}")
        _REGISTRY[key] = found
        return found

    return decorate


def registered(kind: str, name: str, module: str) -> Any:
    """What a module that has been imported registered; None where it registered nothing of this kind and name."""
    return _REGISTRY.get((kind, name, module))


def register(
    name: str,
    *,
    source: str,
    family: str = "",
    targets: Sequence[str] = (),
    schedules: Sequence[str] = (),
    schedule: str = "",
) -> Callable[[T], T]:
    """Make a class a pruning method.

    ``source`` is where the method comes from; ``family`` and ``targets`` default by the kind of edit, ``schedules``
    to all but ``dynamic``, and but ``during-training`` where it shapes no training. ``schedule`` is the one that its
    source has, where a study names none.

    Raises:
        PrunetuiError: the name is taken by another class of the same file.
    """
    return _noted("method", name)


def model(name: str, *, source: str = "", proved: bool = False) -> Callable[[T], T]:
    """Make a function a model: it returns a freshly initialised ``nn.Module``.

    It is given what it asks for by name: ``channels`` and ``size`` of the images, ``classes`` (or ``num_classes``), and
    ``width`` and ``shortcut`` where a study says them; all other parameters are options. ``proved`` is for built-in
    ones: without it channels are those of Torch-Pruning's graph, not found and proved as of all other networks.
    """
    return _noted("model", name)


def data(
    name: str,
    *,
    source: str = "",
    augment: str = "none",
    images: tuple[int, int] | None = None,
    tree: bool = False,
    places: Sequence[str] = (),
) -> Callable[[T], T]:
    """Make a function a data set: it returns ``Splits``.

    It may ask for ``root``, the folder that a study names; all parameters that the program does not supply are options.
    ``augment`` is what suits its training images, ``images`` how many are in both splits where that never changes,
    ``tree`` says that ``root`` is an image tree. ``places`` are what a set that is downloaded leaves in ``root``.
    """
    return _noted("data", name)


def task(name: str, *, primary: str, source: str = "") -> Callable[[T], T]:
    """Make a class a task; ``primary`` is the key of the metric that decides."""
    return _noted("task", name)


def runtime(name: str, *, source: str = "") -> Callable[[T], T]:
    """Make a class something that runs networks for latency, or after export."""
    return _noted("runtime", name)


def executor(name: str, *, source: str = "") -> Callable[[T], T]:
    """Make a class something that executes trials."""
    return _noted("executor", name)


def tracker(name: str, *, source: str = "") -> Callable[[T], T]:
    """Make a class something that is told what happens in a run."""
    return _noted("tracker", name)
