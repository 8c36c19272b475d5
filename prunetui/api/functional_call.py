"""A network computed with other tensors than its own, under all the names that a tensor has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from prunetui.api.groups import full_name


def called_with(
    model: nn.Module, tensors: Mapping[str, Tensor], inputs: Sequence[Any], named: Mapping[str, Any] | None = None
) -> Any:
    """What the network makes of inputs with ``tensors``, by any of their names; the network stays as it is.

    ``torch.func.functional_call`` itself leaves a module that has two names with the other tensors (torch 2.14).
    """
    own = {
        **dict(model.named_parameters(remove_duplicate=False)),
        **dict(model.named_buffers(remove_duplicate=False)),
    }
    others = {id(own[name]): tensor for name, tensor in tensors.items()}
    state = {
        full_name(name, key): others[id(tensor)]
        for name, module in model.named_modules()
        for key, tensor in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        if id(tensor) in others
    }
    return torch.func.functional_call(model, state, tuple(inputs), dict(named or {}), tie_weights=False)
