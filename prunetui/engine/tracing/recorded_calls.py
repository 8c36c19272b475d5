"""What the parts of a network are called with: the calls of one pass, and which other parts were at work then."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map, tree_structure

from prunetui.engine.layers import following_attributes
from prunetui.engine.tracing.cut_tensors import named_tensors, put_tensor
from prunetui.engine.tracing.output_tensors import difference, output_tensors
from prunetui.engine.tracing.probe_network import Example


@dataclass(frozen=True)
class RecordedCall:
    """One call of a module: copies of its arguments and of what it gave, and the names of those that it lay within."""

    inputs: Example
    output: Any
    within: frozenset[str]


@dataclass(frozen=True)
class RecordedPass:
    """One pass of a network in evaluation mode."""

    calls: Mapping[str, list[RecordedCall]]
    outputs: list[Tensor]

    def structure(self, name: str) -> list[Any]:
        """How the arguments and outputs of the calls of a module are built."""
        return [(tree_structure(call.inputs), tree_structure(call.output)) for call in self.calls.get(name, ())]


def recorded_pass(model: nn.Module, example: Example) -> RecordedPass:
    """Compute ``example`` without gradients and note all calls of modules by their names; leaves it in evaluation."""
    calls: dict[str, list[RecordedCall]] = defaultdict(list)
    open_: list[tuple[str, Example]] = []

    def enter(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        open_.append((name, _copied((args, kwargs))))

    def leave(output: Any) -> None:
        name, inputs = open_.pop()
        calls[name].append(RecordedCall(inputs, _copied(output), frozenset(outer for outer, _ in open_)))

    handles = []
    for name, module in model.named_modules():
        before = lambda module, args, kwargs, name=name: enter(name, args, kwargs)  # noqa: E731
        handles.append(module.register_forward_pre_hook(before, with_kwargs=True))
        handles.append(module.register_forward_hook(lambda module, args, output: leave(output)))
    try:
        outputs = _outputs(model, example)
    finally:
        for handle in handles:
            handle.remove()
    return RecordedPass(calls, outputs)


def is_used_by_itself(
    model: nn.Module, name: str, example: Example, seen: RecordedPass, attributes: Iterable[tuple[str, str]] = ()
) -> bool:
    """Whether nothing but its one call looks at a part's tensors, widths, and ``attributes`` (module in it, name).

    It gives what it was seen to give, all of these being empty or 0, and the network computes the same to the last bit.
    """
    part = model.get_submodule(name)
    places = {(inner, own) for inner, module in part.named_modules() for own in following_attributes(module, {})}
    with _emptied(part, {*places, *attributes}), _answering(part, seen.calls[name][0].output):
        try:
            again = _outputs(model, example)
        except Exception:  # noqa: BLE001 - code that misses them raises anything
            return False
    return difference(again, seen.outputs).relative == 0


@contextmanager
def _emptied(part: nn.Module, places: Iterable[tuple[str, str]]) -> Iterator[None]:
    tensors = named_tensors(part)
    values = {(module, own): getattr(part.get_submodule(module), own) for module, own in places}
    try:
        for name, tensor in tensors.items():
            empty = tensor.detach().new_empty([0] * max(1, tensor.dim()))
            put_tensor(part, name, nn.Parameter(empty, False) if isinstance(tensor, nn.Parameter) else empty)
        for module, own in values:
            setattr(part.get_submodule(module), own, 0)
        yield
    finally:
        for name, tensor in tensors.items():
            put_tensor(part, name, tensor)
        for (module, own), value in values.items():
            setattr(part.get_submodule(module), own, value)


@contextmanager
def _answering(part: nn.Module, output: Any) -> Iterator[None]:
    own = vars(part).get("forward")
    part.forward = lambda *args, **kwargs: _copied(output)
    try:
        yield
    finally:
        del part.forward
        if own is not None:
            part.forward = own


def _outputs(model: nn.Module, example: Example) -> list[Tensor]:
    args, kwargs = _copied(example)
    model.eval()
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        return [tensor.clone() for tensor in output_tensors(model(*args, **kwargs))]


def _copied(value: Any) -> Any:
    return tree_map(lambda leaf: leaf.detach().clone() if isinstance(leaf, Tensor) else leaf, value)
