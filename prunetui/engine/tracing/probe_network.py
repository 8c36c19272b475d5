"""A copy of a network, in float64 and with random values, that is computed with other tensors and attributes at will.

The copy is made once. A narrower network is the same modules with other tensors, so that no probe copies anything but
what it changes, and the network that was given is never touched.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from prunetui.engine.layers import DoesNotFit
from prunetui.engine.tracing.cut_tensors import cut, named_tensors, put_tensor
from prunetui.engine.tracing.exact_mode import exactly
from prunetui.engine.tracing.output_tensors import output_tensors
from prunetui.engine.tracing.probe_values import disturb, randomise
from prunetui.engine.tracing.shrink import Removal

Example = tuple[tuple[Any, ...], Mapping[str, Any]]
"""Positional and named arguments of one call."""


class ProbeNetwork:
    """A network to be probed."""

    def __init__(self, model: nn.Module, examples: Sequence[Example]) -> None:
        """
        Raises:
            DoesNotFit: the network cannot be copied, or not computed in float64.
        """
        self.model = _copied(model)
        randomise(self.model)
        self.examples = [tree_map(_wide, example) for example in examples]
        if not self._is_computed():
            self.model = _copied(model)
            disturb(self.model)
        self.tensors = named_tensors(self.model)

    def _is_computed(self) -> bool:
        """Whether outputs are finite with these values, for any example."""
        self.tensors = named_tensors(self.model)
        with contextlib.suppress(Exception):
            return any(bool(t.isfinite().any()) for t in self.run(self.examples[0], False) if t.is_floating_point())
        return False

    def run(
        self, example: Example, training: bool, tensors: Mapping[str, Tensor] | None = None,
        attributes: Mapping[tuple[str, str], Any] | None = None,
    ) -> list[Tensor]:  # fmt: skip
        """All tensors that come out, with these tensors and attributes in place of the network's own."""
        args, kwargs = tree_map(lambda value: value.clone() if isinstance(value, Tensor) else value, example)
        swapped = {**(self._statistics() if training else {}), **(tensors or {})}
        with self._with(swapped, attributes or {}), exactly(self.model, training), torch.no_grad():
            return [tensor.detach() for tensor in output_tensors(self.model(*args, **kwargs))]

    def removed(self, change: Removal, example: Example, training: bool) -> list[Tensor]:
        """What comes out of the narrower network."""
        narrow: dict[int, Tensor] = {}
        for name, cuts in change.kept.items():
            old = self.tensors[name]
            narrow.setdefault(id(old), cut(old, cuts))
        tensors = {name: narrow[id(old)] for name, old in self.tensors.items() if id(old) in narrow}
        return self.run(example, training, tensors, change.attributes)

    def gradients(
        self, example: Example, training: bool, weighed: Callable[[list[Tensor]], Tensor]
    ) -> dict[str, Tensor]:
        """The gradients of a sum of the outputs, of every tensor that has one."""
        args, kwargs = tree_map(lambda value: value.clone() if isinstance(value, Tensor) else value, example)
        leaves = {name: t for name, t in self.tensors.items() if isinstance(t, nn.Parameter) and t.is_floating_point()}
        for parameter in leaves.values():
            parameter.requires_grad_(True)
        with self._with(self._statistics(), {}), exactly(self.model, training), torch.enable_grad():
            total = weighed(output_tensors(self.model(*args, **kwargs)))
            found = torch.autograd.grad(total, list(leaves.values()), allow_unused=True)
        return {name: gradient for name, gradient in zip(leaves, found, strict=True) if gradient is not None}

    def _statistics(self) -> dict[str, Tensor]:
        """Copies of all buffers: training changes the statistics of norms in place."""
        copies: dict[int, Tensor] = {}
        buffers = {name: t for name, t in self.tensors.items() if not isinstance(t, nn.Parameter)}
        for tensor in buffers.values():
            copies.setdefault(id(tensor), tensor.clone())
        return {name: copies[id(tensor)] for name, tensor in buffers.items()}

    @contextlib.contextmanager
    def _with(self, tensors: Mapping[str, Tensor], attributes: Mapping[tuple[str, str], Any]) -> Iterator[None]:
        before = {place: getattr(self.model.get_submodule(place[0]), place[1]) for place in attributes}
        try:
            self._put(tensors)
            for (module, attribute), value in attributes.items():
                setattr(self.model.get_submodule(module), attribute, value)
            yield
        finally:
            self._put({name: self.tensors[name] for name in tensors})
            for (module, attribute), value in before.items():
                setattr(self.model.get_submodule(module), attribute, value)

    def _put(self, tensors: Mapping[str, Tensor]) -> None:
        parameters: dict[int, nn.Parameter] = {}
        for name, tensor in tensors.items():
            if isinstance(self.tensors[name], nn.Parameter) and not isinstance(tensor, nn.Parameter):
                tensor = parameters.setdefault(id(tensor), nn.Parameter(tensor, requires_grad=False))
            put_tensor(self.model, name, tensor)


def _wide(value: Any) -> Any:
    if not isinstance(value, Tensor):
        return value
    value = value.detach().cpu()
    return value.double() if value.is_floating_point() else value


def _copied(model: nn.Module) -> nn.Module:
    """A copy in float64 on the CPU; tensors that it kept from computing are copied without their history."""
    memo: dict[int, Any] = {}
    for module in model.modules():
        for value in vars(module).values():
            if isinstance(value, Tensor) and not value.is_leaf:
                memo[id(value)] = value.detach().clone()
    try:
        copied = copy.deepcopy(model, memo)
        return copied.cpu().double()
    except Exception as error:
        raise DoesNotFit(f"the network cannot be copied: {type(error).__name__}: {error}") from error
