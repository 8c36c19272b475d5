"""The optimiser: made, saved and given back by parameter name, and kept from bringing pruned weights back."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from prunetui.config import Recipe
from prunetui.engine.device import Device

Kind = TypeVar("Kind", bound=torch.optim.Optimizer)


def _without_compiler(kind: type[Kind]) -> type[Kind]:
    """The same optimiser without what torch.compile would need, which imports the compiler: 1.8 s of each process."""
    methods = {name: inspect.unwrap(getattr(kind, name)) for name in ("add_param_group", "zero_grad", "step")}
    return type(kind.__name__, (kind,), {**methods, "step": torch.no_grad()(methods["step"])})


SGD = _without_compiler(torch.optim.SGD)
AdamW = _without_compiler(torch.optim.AdamW)


class MaskGuard:
    """Keeps pruned weights and their momentum at zero: one fused call each after an optimiser step."""

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer, masks: Mapping[str, Tensor]) -> None:
        parameters = dict(model.named_parameters(remove_duplicate=False))
        self._optimizer = optimizer
        self._weights: list[Tensor] = [parameters[f"{name}.weight"] for name in masks]
        self._masks = [m.to(w.device, w.dtype) for m, w in zip(masks.values(), self._weights, strict=True)]

    @torch.no_grad()
    def apply(self) -> None:
        if not self._weights:
            return
        torch._foreach_mul_(self._weights, self._masks)
        for name in ("momentum_buffer", "exp_avg", "exp_avg_sq"):
            held = [self._optimizer.state.get(weight, {}).get(name) for weight in self._weights]
            known = [(buffer, mask) for buffer, mask in zip(held, self._masks, strict=True) if buffer is not None]
            if known:  # frozen weights have none
                torch._foreach_mul_(*map(list, zip(*known, strict=True)))


def make_optimizer(model: nn.Module, recipe: Recipe, device: Device) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum, or AdamW; fused on CUDA, one call for all parameters elsewhere."""
    common: dict[str, Any] = {"lr": recipe.lr, "weight_decay": recipe.weight_decay}
    common |= {"fused": True} if device.torch.type == "cuda" else {"foreach": True}
    recorded = device.graphs and device.torch.type == "cuda"
    if recorded:  # a recording reads the rate from where it lies
        common["lr"] = torch.tensor(float(recipe.lr), device=device.torch)
    if recipe.optimizer == "adamw":
        betas = (recipe.momentum, 0.999)
        return AdamW(model.parameters(), betas=betas, capturable=recorded, **common)
    momentum = recipe.momentum
    return SGD(model.parameters(), momentum=momentum, nesterov=momentum > 0, **common)


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """The learning rate of the next step; in place where a recording reads it."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(lr)
        else:
            group["lr"] = lr


def buffers(optimizer: torch.optim.Optimizer, model: nn.Module) -> dict[str, Tensor]:
    """The optimiser's state by ``<buffer>/<parameter>``, copied."""
    found = {}
    for name, parameter in model.named_parameters():
        for buffer, value in optimizer.state.get(parameter, {}).items():
            if isinstance(value, Tensor):
                found[f"{buffer}/{name}"] = value.detach().clone()
    return found


def restore(optimizer: torch.optim.Optimizer, model: nn.Module, saved: Mapping[str, Tensor]) -> None:
    """Give an optimiser the state that ``buffers`` read, or that an edit made of it."""
    parameters = dict(model.named_parameters())
    for key, value in saved.items():
        buffer, _, name = key.partition("/")
        parameter = parameters[name]
        copied = value.to(parameter.device, copy=True)
        optimizer.state[parameter][buffer] = (
            copied.to(memory_format=torch.channels_last) if value.dim() == 4 else copied
        )
