"""Layers that share filters: the edit ``Modules`` on a state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch

from prunetui.api import Shared
from prunetui.engine.state import State
from prunetui.errors import TrialError
from prunetui.formats.shared_filters import labels_of, sharing_layers


def share_filters(shared: Mapping[str, Shared], state: State) -> State:
    """Let layers share filters; their momentum starts afresh.

    Raises:
        TrialError: a layer is no plain convolution, is masked or shared already, or its labels do not fit.
    """
    tensors, momentum = dict(state.tensors), dict(state.momentum)
    for name, layer in shared.items():
        old = tensors.get(f"{name}.weight")
        if old is None or old.dim() != 4 or layer.weight.shape[1:] != old.shape[1:] or f"{name}.bias" in tensors:
            raise TrialError(f"{name} cannot share these filters: it is no convolution of their shape without a bias")
        if name in state.masks or name in sharing_layers(tensors):
            raise TrialError(
                f"{name} is {'masked' if name in state.masks else 'shared'} already; it cannot share filters"
                + (" (of a checkpoint's own zeros, model.keep_zeros = false lets go)" if name in state.masks else "")
            )
        filters, labels = len(layer.weight), layer.labels
        used = set(labels.tolist())
        if labels.dtype != torch.int64 or len(labels) != len(old) or used != set(range(filters)):
            raise TrialError(f"the labels of {name} must use each of {filters} filters for its {len(old)} outputs")
        tensors[f"{name}.weight"] = layer.weight.detach().to(old.device, old.dtype, copy=True)
        tensors[labels_of(name)] = labels.to(old.device, copy=True)
        momentum = {key: t for key, t in momentum.items() if key.partition("/")[2] != f"{name}.weight"}
    return replace(state, tensors=tensors, momentum=momentum)
