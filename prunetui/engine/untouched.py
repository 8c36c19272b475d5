"""Whether a network is as it was before somebody looked at it: what can be told cheaply, without a copy of its weights.

Parameters and buffers, saved or not, are compared by value; modes, what is trained, hooks, and what modules hold as
plain values (numbers, words, tuples of them) by what they are. What hides in lists or objects is not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from prunetui.engine.tracing.cut_tensors import named_tensors
from prunetui.engine.tracing.network_digest import is_hooks

PLAIN = (bool, int, float, str, bytes, type(None), torch.dtype, torch.device)
_ABSENT = object()


class Untouched:
    """What a network is like now; ``changes`` says what is another afterwards."""

    def __init__(self, model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
        """``tensors``: values that the network has now and that nobody changes; all others are copied."""
        here = named_tensors(model)
        copies = {name: t.detach().clone() for name, t in here.items() if name not in tensors}
        self._tensors = {name: tensors.get(name, copies.get(name)) for name in here}
        self._facts = dict(_facts(model))

    def changes(self, model: nn.Module) -> list[str]:
        """What is another now, in words."""
        now, here = dict(_facts(model)), named_tensors(model)
        tensors = [
            f"the tensor {name}"
            for name in {**self._tensors, **here}
            if not _same(self._tensors.get(name), here.get(name))
        ]
        other = [w for w in {**self._facts, **now} if not _equal(self._facts.get(w, _ABSENT), now.get(w, _ABSENT))]
        return tensors + other


def _facts(model: nn.Module) -> Iterator[tuple[str, Any]]:
    """What is compared as it is, by what it is called."""
    for name, parameter in model.named_parameters():
        yield f"requires_grad of {name}", parameter.requires_grad
    for name, module in model.named_modules():
        own = name or "the network"
        yield f"the module {own}", id(module)
        yield f"the mode of {own}", module.training
        for key, value in vars(module).items():
            if is_hooks(key, value):
                yield f"{key.strip('_')} of {own}", tuple(value)
            elif key != "training" and _is_plain(value):
                yield f"{key} of {own}", value


def _equal(before: Any, after: Any) -> bool:
    return bool(before == after or (before != before and after != after))  # what is no number equals nothing


def _is_plain(value: Any) -> bool:
    return isinstance(value, PLAIN) or (isinstance(value, tuple) and all(map(_is_plain, value)))


def _same(before: Tensor | None, after: Tensor | None) -> bool:
    if before is None or after is None or before.shape != after.shape or before.dtype != after.dtype:
        return False
    before = before.to(after.device)
    return torch.equal(before, after) or bool(((before == after) | ((before != before) & (after != after))).all())
