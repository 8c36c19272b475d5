"""A state of a trial: tensors, masks and momentum by name. Immutable, and the same on disk.

A saved net is a plain state dict whose safetensors header says how to build it, so that pruned
architectures load again: layers take their shapes from the tensors.
"""

from __future__ import annotations

import copy
import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn

from prunetui.engine.convolutions import make_safe_for
from prunetui.engine.layers import resize
from prunetui.engine.memory_layout import laid_out
from prunetui.engine.models import Architecture, skeleton
from prunetui.engine.models.in_memory import InMemory, copied, put_tensors
from prunetui.engine.tied_tensors import Ties, copied_values, once, tie, ties_in, ties_of, under_all_names

FORMAT = "prunetui/1"
OTHERS = ("momentum", "kept", "memory", "attributes")
"""What a state has beside its network and masks."""
Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class State:
    """The network after a step. A tensor with several names is one object under all of them.

    ``masks`` are bool, by layer name; ``momentum`` holds the optimiser's buffers by ``<buffer>/<parameter>``,
    each shaped like its parameter (or a scalar). ``kept`` are the indices of the dense net's channels that are left,
    by group name, for groups that lost some; ``memory`` is what a method noted while it shaped a training.
    ``attributes`` are numbers that modules of a kind that is not known here note of their widths, as ``num_heads``, by
    ``<module>.<attribute>``: int64, a scalar or a list.
    """

    architecture: Architecture
    tensors: Tensors
    masks: Tensors = field(default_factory=dict)
    momentum: Tensors = field(default_factory=dict)
    kept: Tensors = field(default_factory=dict)
    memory: Tensors = field(default_factory=dict)
    attributes: Tensors = field(default_factory=dict)

    def without_momentum(self) -> State:
        """The same network for an optimiser that starts afresh."""
        return replace(self, momentum={})


def capture(model: nn.Module, state: State, momentum: Tensors | None = None) -> State:
    """The state of ``model``, which was made from ``state``."""
    return replace(state, tensors=copied_values(model), momentum=momentum or {})


def instantiate(state: State, device: torch.device) -> nn.Module:
    """A network with these tensors, in evaluation mode on ``device``; what a factory builds is laid out for speed."""
    given = state.architecture.network if isinstance(state.architecture, InMemory) else None
    model = copy.deepcopy(_skeleton(state.architecture)) if given is None else copied(given)
    make_safe_for(model)
    ties = ties_in(model)
    tensors = under_all_names(state.tensors, ties)
    resize(model, tensors)
    for place, value in state.attributes.items():
        set_attribute(model, place, value)
    copies = {name: tensor.to(device, copy=True) for name, tensor in once(tensors).items()}
    copies = OrderedDict(under_all_names(copies, ties))
    if given is not None:
        put_tensors(model, copies, like=given)
        return model.eval()
    copies._metadata = model.state_dict()._metadata  # type: ignore[attr-defined]  # versions, which some modules ask for
    model.load_state_dict(copies, assign=True)
    tie(model, ties)
    return laid_out(model.to(device), state.architecture).eval()


def set_attribute(model: nn.Module, place: str, value: Tensor) -> None:
    """
    Raises:
        ValueError: there is no such number in the network.
    """
    name, _, attribute = place.rpartition(".")
    module, given = model.get_submodule(name), value.tolist()
    new = tuple(given) if isinstance(given, list) else given
    if type(vars(module).get(attribute)) is not type(new):
        raise ValueError(f"{place} is no {type(new).__name__} of this network")
    setattr(module, attribute, new)


_skeleton = lru_cache(maxsize=8)(skeleton)
"""The dense network, of which each network is a copy."""


def ties_by(architecture: Architecture) -> Ties:
    """Which tensors of a network have several names; none of a built-in one."""
    return {} if architecture.built_in else ties_in(_skeleton(architecture))


def model_bytes(state: State, header: Mapping[str, Any] | None = None) -> bytes:
    """The network as a safetensors file whose header holds the architecture and what else is given.

    A tensor with several names is held under the first; ``aliases`` of the header are the others -> that one.
    """
    about = {"format": FORMAT, "architecture": json.dumps(state.architecture.plain())}
    about |= {key: json.dumps(value) for key, value in (header or {}).items()}
    if state.attributes:
        about["attributes"] = json.dumps({place: value.tolist() for place, value in state.attributes.items()})
    if aliases := {name: names[0] for name, names in ties_of(state.tensors).items() if name != names[0]}:
        about["aliases"] = json.dumps(aliases)
    return bytes(save({n: t.cpu().contiguous() for n, t in once(state.tensors).items()}, metadata=about))


def extra_bytes(state: State) -> bytes | None:
    """Masks (one bit a weight) and all else that is not the network as a safetensors file; None when there is none."""
    kinds = {name: getattr(state, name) for name in OTHERS}
    tensors = {f"{kind}/{n}": t.cpu().contiguous() for kind, of in kinds.items() for n, t in of.items()}
    for name, keep in state.masks.items():
        tensors[f"mask/{name}"] = torch.from_numpy(np.packbits(keep.cpu().numpy().ravel()))
    return save(tensors) if tensors else None


def from_files(model: Mapping[str, Tensor], extra: Mapping[str, Tensor], architecture: Architecture) -> State:
    """The state that ``model_bytes`` and ``extra_bytes`` wrote."""
    tensors = under_all_names(model, ties_by(architecture))
    masks = {}
    others: dict[str, dict[str, Tensor]] = {name: {} for name in OTHERS}
    for key, tensor in extra.items():
        kind, _, name = key.partition("/")
        if kind == "mask":
            shape = tensors[f"{name}.weight"].shape
            bits = np.unpackbits(tensor.numpy(), count=shape.numel())
            masks[name] = torch.from_numpy(bits.astype(bool)).view(shape)
        else:
            others[kind][name] = tensor
    return State(architecture, tensors, masks, **others)
