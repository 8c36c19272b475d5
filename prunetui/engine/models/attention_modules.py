"""Attention of torch and torchvision that takes the width of its heads from its inputs: found, and given its own."""

from __future__ import annotations

from collections.abc import Container

from torch import nn

from prunetui.api.groups import full_name
from prunetui.engine.layers.own_heads import OwnHeadsAttention

WINDOWED = "torchvision.models.swin_transformer"
OWN_WINDOWS = "prunetui.engine.layers.window_heads"
PROJECTIONS = ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight", "qkv.weight")
WINDOWS = ("ShiftedWindowAttention", "ShiftedWindowAttentionV2")


def attention_in(network: nn.Module) -> dict[str, nn.Module]:
    """The modules that can get heads of their own, by name; subclasses may compute anything, and are not among them."""
    return {name: module for name, module in network.named_modules() if _is_attention(module)}


def _is_attention(module: nn.Module) -> bool:
    return _is_attention_class(type(module))


def _is_attention_class(kind: type) -> bool:
    return kind is nn.MultiheadAttention or (kind.__module__ == WINDOWED and kind.__name__ in WINDOWS)


def other_attention(network: nn.Module) -> dict[str, str]:
    """Tensors that project what goes into attention of classes made from these, each with why its heads stay."""
    found = {}
    for name, module in network.named_modules():
        base = next((kind for kind in type(module).__mro__ if _is_attention_class(kind)), None)
        if base is None or _is_attention(module) or has_own_heads(module):
            continue
        why = (
            f"{type(module).__name__} is made from {base.__name__} and may compute something else: "
            f"only {base.__name__} itself can lose heads"
        )
        own = dict(module.named_parameters())
        found.update({full_name(name, tensor): why for tensor in PROJECTIONS if tensor in own})
    return found


def has_own_heads(module: nn.Module) -> bool:
    """Whether a module was given heads of its own."""
    return isinstance(module, OwnHeadsAttention) or type(module).__module__ == OWN_WINDOWS


def with_own_heads(network: nn.Module, names: Container[str] | None = None) -> nn.Module:
    """The network with these modules, or all, given heads of their own; it is changed in place."""
    found = {name: module for name, module in attention_in(network).items() if names is None or name in names}
    for module in network.modules() if found else ():
        if isinstance(module, nn.TransformerEncoder):
            module.use_nested_tensor = False  # a form of batches that only torch's own attention takes
    for module in found.values():
        if isinstance(module, nn.MultiheadAttention):
            OwnHeadsAttention.of(module)
        else:
            from prunetui.engine.layers.window_heads import own_heads

            own_heads(module)
    return network


def kind_words(network: nn.Module, names: list[str]) -> list[str]:
    """Names of modules with their classes."""
    return [f"{name or 'the network'} ({type(network.get_submodule(name)).__name__})" for name in names]
