"""A state of a trial: tensors, masks and momentum by name. Immutable, and the same on disk.

A saved net is a plain state dict whose safetensors header says how to build it, so that pruned
architectures load again: layers take their shapes from the tensors.
"""

from __future__ import annotations

import copy
import json
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

FORMAT = "prunetui/1"
OTHERS = ("momentum", "kept", "memory", "attributes")
"""What a state has beside its network and masks."""
Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class State:
    """The network after a step.

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
    tensors = {name: t.detach().clone() for name, t in model.state_dict().items()}
    return replace(state, tensors=tensors, momentum=momentum or {})


def instantiate(state: State, device: torch.device) -> nn.Module:
    """A network with these tensors, in evaluation mode on ``device``; what a factory builds is laid out for speed."""
    given = state.architecture.network if isinstance(state.architecture, InMemory) else None
    model = copy.deepcopy(_skeleton(state.architecture)) if given is None else copied(given)
    make_safe_for(model)
    resize(model, state.tensors)
    for place, value in state.attributes.items():
        set_attribute(model, place, value)
    copies = {name: tensor.to(device, copy=True) for name, tensor in state.tensors.items()}
    if given is not None:
        put_tensors(model, copies, like=given)
        return model.eval()
    model.load_state_dict(copies, assign=True)
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


def model_bytes(state: State, header: Mapping[str, Any] | None = None) -> bytes:
    """The network as a safetensors file whose header holds the architecture and what else is given."""
    about = {"format": FORMAT, "architecture": json.dumps(state.architecture.plain())}
    about |= {key: json.dumps(value) for key, value in (header or {}).items()}
    if state.attributes:
        about["attributes"] = json.dumps({place: value.tolist() for place, value in state.attributes.items()})
    return bytes(save({n: t.cpu().contiguous() for n, t in state.tensors.items()}, metadata=about))


def extra_bytes(state: State) -> bytes | None:
    """Masks (one bit a weight) and all else that is not the network as a safetensors file; None when there is none."""
    kinds = {name: getattr(state, name) for name in OTHERS}
    tensors = {f"{kind}/{n}": t.cpu().contiguous() for kind, of in kinds.items() for n, t in of.items()}
    for name, keep in state.masks.items():
        tensors[f"mask/{name}"] = torch.from_numpy(np.packbits(keep.cpu().numpy().ravel()))
    return save(tensors) if tensors else None


def from_files(model: Mapping[str, Tensor], extra: Mapping[str, Tensor], architecture: Architecture) -> State:
    """The state that ``model_bytes`` and ``extra_bytes`` wrote."""
    masks = {}
    others: dict[str, dict[str, Tensor]] = {name: {} for name in OTHERS}
    for key, tensor in extra.items():
        kind, _, name = key.partition("/")
        if kind == "mask":
            shape = model[f"{name}.weight"].shape
            bits = np.unpackbits(tensor.numpy(), count=shape.numel())
            masks[name] = torch.from_numpy(bits.astype(bool)).view(shape)
        else:
            others[kind][name] = tensor
    return State(architecture, dict(model), masks, **others)
