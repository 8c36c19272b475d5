"""What the parts of a network are called with: the calls of one pass, and which other parts were at work then."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map, tree_structure

from prunetui.engine.layers import following_attributes
from prunetui.engine.tracing.cut_tensors import named_tensors, put_tensor
from prunetui.engine.tracing.export_graph import unchanged
from prunetui.engine.tracing.output_tensors import difference, output_tensors
from prunetui.engine.tracing.probe_network import Example


@dataclass(frozen=True)
class RecordedCall:
    """One call of a module: how its arguments and what it gave are built, and the names of those that it lay within."""

    taken: Any
    given: Any
    within: frozenset[str]
    inputs: Example
    """Copies, as is ``output``; nothing of modules whose tensors are not kept."""
    output: Any
    generator: Tensor
    """The state of the random numbers after it."""


@dataclass(frozen=True)
class RecordedPass:
    """One pass of a network, without gradients."""

    example: Example
    training: bool
    calls: Mapping[str, list[RecordedCall]]
    outputs: list[Tensor]


def recorded_pass(
    model: nn.Module, example: Example, kept: Collection[str] = (), training: bool = False
) -> RecordedPass:
    """Compute ``example`` and note all calls of modules by their names, with the tensors of the calls of ``kept``."""
    calls: dict[str, list[RecordedCall]] = defaultdict(list)
    open_: list[tuple[str, Any, Example]] = []
    none: Example = ((), {})

    def enter(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        given = args, kwargs
        open_.append((name, tree_structure(given), _copied(given) if name in kept else none))

    def leave(output: Any) -> None:
        name, taken, inputs = open_.pop()
        outer = frozenset(one for one, _, _ in open_)
        gave = _copied(output) if name in kept else None
        state = torch.get_rng_state()
        calls[name].append(RecordedCall(taken, tree_structure(output), outer, inputs, gave, state))

    handles = []
    for name, module in model.named_modules():
        before = lambda module, args, kwargs, name=name: enter(name, args, kwargs)  # noqa: E731
        handles.append(module.register_forward_pre_hook(before, with_kwargs=True))
        handles.append(module.register_forward_hook(lambda module, args, output: leave(output)))
    try:
        outputs = _outputs(model, example, training)
    finally:
        for handle in handles:
            handle.remove()
    return RecordedPass(example, training, calls, outputs)


def nothing_else_uses(
    model: nn.Module, name: str, seen: RecordedPass, attributes: Iterable[tuple[str, str]] = ()
) -> bool:
    """Whether nothing but its one call looks at a part's tensors, widths, and ``attributes`` (module in it, name).

    It gives what it was seen to give, all of these being empty or 0, and the network computes the same to the last bit.
    What it hands on in other ways, as what a hook stores, is of other inputs meanwhile, and tensors are empty.
    """
    part, call = model.get_submodule(name), seen.calls[name][0]
    places = {(inner, own) for inner, module in part.named_modules() for own in following_attributes(module, {})}
    try:
        with _Made() as made:
            _outputs(part, tree_map(_drawn, call.inputs), seen.training)
        with made.emptied(), _emptied(part, {*places, *attributes}), _answering(part, call):
            again = _outputs(model, seen.example, seen.training)
    except Exception:  # noqa: BLE001 - code that misses them raises anything
        return False
    return difference(again, seen.outputs).relative == 0


def _empty(tensor: Tensor) -> Tensor:
    return tensor.detach().new_empty([0] * max(1, tensor.dim()))


def _drawn(value: Any) -> Any:
    """Random numbers instead of floats; all else as it is."""
    return torch.randn_like(value.detach()) if isinstance(value, Tensor) and value.is_floating_point() else value


class _Made(TorchFunctionMode):
    """Knows all tensors that are made inside it."""

    def __init__(self) -> None:
        super().__init__()
        self._tensors: dict[int, Tensor] = {}

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        self._tensors |= {id(leaf): leaf for leaf in tree_leaves(found) if isinstance(leaf, Tensor)}
        return found

    @contextmanager
    def emptied(self) -> Iterator[None]:
        """They have no values and no shape meanwhile, whoever holds them."""
        values = [(tensor, tensor.data) for tensor in self._tensors.values()]
        try:
            for tensor, _ in values:
                tensor.data = _empty(tensor)
            yield
        finally:
            for tensor, data in values:
                tensor.data = data


@contextmanager
def _emptied(part: nn.Module, places: Iterable[tuple[str, str]]) -> Iterator[None]:
    """Its tensors are empty meanwhile, and the attributes at ``places`` (module, name) 0."""
    tensors = named_tensors(part)
    values = {(module, own): getattr(part.get_submodule(module), own) for module, own in places}
    try:
        for name, tensor in tensors.items():
            empty = _empty(tensor)
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
def _answering(part: nn.Module, call: RecordedCall) -> Iterator[None]:
    """It gives what it gave in this call, and leaves the random numbers as they were then."""

    def answer(*args: Any, **kwargs: Any) -> Any:
        torch.set_rng_state(call.generator)
        return _copied(call.output)

    own = vars(part).get("forward")
    part.forward = answer
    try:
        yield
    finally:
        del part.forward
        if own is not None:
            part.forward = own


def _outputs(model: nn.Module, example: Example, training: bool) -> list[Tensor]:
    args, kwargs = _copied(example)
    with unchanged(model), torch.no_grad():
        torch.manual_seed(0)
        model.train(training)
        return [tensor.clone() for tensor in output_tensors(model(*args, **kwargs))]


def _copied(value: Any) -> Any:
    return tree_map(lambda leaf: leaf.detach().clone() if isinstance(leaf, Tensor) else leaf, value)
