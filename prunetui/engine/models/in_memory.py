"""Networks that are there as objects, of any class, in place of an architecture that a factory builds.

The network that is given is never touched: all that is done is done to copies.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from prunetui.engine.layers.own_heads import OwnHeadsAttention
from prunetui.engine.models import Architecture
from prunetui.engine.models.computed_weights import all_computed, with_plain_weights
from prunetui.engine.models.wrappers import inner
from prunetui.engine.tracing.cut_tensors import named_tensors
from prunetui.errors import UsageError

NAMED = 5


@dataclass(frozen=True)
class InMemory(Architecture):
    """What a dense network is copied from, where there is no factory."""

    network: nn.Module = field(default_factory=nn.Module, repr=False)


def in_memory(network: nn.Module) -> InMemory:
    """The architecture of a network: itself."""
    return InMemory(type(network).__name__, 0, 0, 0, shortcut=None, digest="in memory", network=network)


def unwrapped(model: object) -> nn.Module:
    """The network inside what torch.compile, DataParallel and DistributedDataParallel make of one.

    Raises:
        UsageError: it is no module, or one whose shapes are fixed.
    """
    if not isinstance(model, nn.Module):
        raise UsageError(f"model is {type(model).__name__}; it must be a torch.nn.Module")
    found = inner(model)
    if isinstance(found, torch.jit.ScriptModule):
        raise UsageError("a TorchScript module has fixed shapes: give the network that it was scripted from")
    return found


def copied(network: nn.Module) -> nn.Module:
    """A copy with everything that hangs on it; tensors that it kept from computing are copied without their history.

    Raises:
        UsageError: something that it holds cannot be copied.
    """
    memo: dict[int, Any] = {}
    for module in network.modules():
        for value in vars(module).values():
            if isinstance(value, Tensor) and not value.is_leaf:
                memo[id(value)] = value.detach().clone()
    try:
        found = copy.deepcopy(network, memo)
    except Exception as error:
        raise UsageError(f"the network cannot be copied: {type(error).__name__}: {error}") from error
    for module in found.modules():
        module._compiled_call_impl = None  # of model.compile(): it would compute the network that was copied
    return found


def check_supported(network: nn.Module) -> torch.device:
    """The device of a network.

    Raises:
        UsageError: it has no parameters, some without shapes or values, or they lie on several devices.
    """
    if lazy := [name for name, parameter in network.named_parameters() if is_lazy(parameter)]:
        raise UsageError(f"the network learns shapes in its first pass ({_some(lazy)}): call it once before")
    devices = {str(tensor.device): tensor.device for tensor in named_tensors(network).values()}
    if not any(True for _ in network.parameters()):
        raise UsageError("the network has no parameters: there is nothing to prune")
    if len(devices) > 1 or "meta" in devices:
        where = ", ".join(sorted(devices))
        raise UsageError(f"the network lies on {where}: move it to one device, as by model.to('cpu'), before")
    return next(iter(devices.values()))


def folded(network: nn.Module) -> tuple[str, ...]:
    """Make weights plain that are computed from others in each pass, in place; returns their names."""
    names = tuple(all_computed(network))
    with_plain_weights(network)
    return names


def put_tensors(model: nn.Module, tensors: Mapping[str, Tensor], like: nn.Module | None = None) -> None:
    """Give a network these parameters and buffers, by every name that they have.

    What is one tensor under several names in ``like`` (the network itself, if that is not given) stays one; parameters
    ask for gradients as they did.
    """
    fresh: dict[int, Tensor] = {}
    first = {name: id(tensor) for name, tensor in named_tensors(like or model).items()}
    for name, old in named_tensors(model).items():
        if name not in tensors:
            continue
        key = first.get(name, id(old))
        if key not in fresh:
            value = tensors[name]
            is_parameter = isinstance(old, nn.Parameter)
            fresh[key] = nn.Parameter(value, old.requires_grad) if is_parameter else value
        module, _, own = name.rpartition(".")
        setattr(model.get_submodule(module), own, fresh[key])  # not into its dictionary: recurrent layers hold lists


@contextlib.contextmanager
def modes_kept(network: nn.Module) -> Iterator[None]:
    """Each module is afterwards in the mode, training or evaluation, that it was in."""
    modes = {module: module.training for module in network.modules()}
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


def tied_layers(network: nn.Module, layers: Iterable[str]) -> list[str]:
    """The layers whose weight is also that of another module, or of themselves under another name.

    Projections inside attention with heads of its own are not, though the attention itself names their tensors, too.
    """
    names: dict[int, list[str]] = {}
    attention = [f"{name}." if name else "" for name, m in network.named_modules() if isinstance(m, OwnHeadsAttention)]
    for name, tensor in named_tensors(network).items():
        if not any(name.startswith(own) and "." not in name[len(own) :] for own in attention):
            names.setdefault(id(tensor), []).append(name)
    tied = {name for same in names.values() for name in same if len(same) > 1}
    return [layer for layer in layers if f"{layer}.weight" in tied]


def _some(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more}"
