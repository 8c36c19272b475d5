"""Detectors as torchvision has them: in training they compute their own losses, else they give boxes of each image."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from prunetui.api import Network, TrialError

FOUND = ("boxes", "scores", "labels")
TARGETS = "targets"
"""What they call the boxes that are there."""


def takes_targets(model: Network) -> bool:
    """Whether a network is one of these: its forward takes ``targets``."""
    forward = getattr(model, "forward", None)
    return forward is not None and TARGETS in inspect.signature(forward).parameters


def own_losses(model: Any, images: Tensor, there: Sequence[Mapping[str, Tensor]]) -> Tensor:
    """The sum of the losses that a detector computes of images, in either mode; what takes no targets stays in its own.

    Raises:
        TrialError: a box has the class 0, which these networks keep for what is no box.
    """
    if any(bool((own["labels"] == 0).any()) for own in there):
        raise TrialError(
            "a box has the class 0, which detectors with losses of their own, as torchvision's, keep for the "
            "background: number classes from 1 on, and name the background first"
        )
    with _computing_losses(model):
        losses: Mapping[str, Tensor] = model(images, list(there))
    total: Tensor = sum(losses.values())  # type: ignore[assignment]
    return total


@contextmanager
def _computing_losses(model: Any) -> Iterator[None]:
    waiting = [module for module in model.modules() if not module.training and takes_targets(module)]
    _set(waiting, True)
    try:
        yield
    finally:
        _set(waiting, False)


def _set(modules: Sequence[nn.Module], training: bool) -> None:
    for module in modules:
        module.training = training


def boxes_given(outputs: Any) -> list[Mapping[str, Tensor]] | None:
    """``boxes``, ``scores`` and ``labels`` of each image; None where a network gives something else."""
    if not isinstance(outputs, list | tuple):
        return None
    right = all(isinstance(one, Mapping) and all(isinstance(one.get(k), Tensor) for k in FOUND) for one in outputs)
    return list(outputs) if right else None
