"""Weights that modules compute from other tensors each time: found, and made plain ones with the values of now.

Parametrisations of ``torch.nn.utils.parametrize`` (weight norm, spectral norm, orthogonality, the user's own), weight
and spectral norm as they were before these, and the masks of ``torch.nn.utils.prune``.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn
from torch.nn.utils import parametrize, prune
from torch.nn.utils.spectral_norm import SpectralNorm, SpectralNormLoadStateDictPreHook, remove_spectral_norm
from torch.nn.utils.weight_norm import WeightNorm, remove_weight_norm

from prunetui.api.groups import full_name


def computed_weights(module: nn.Module) -> list[str]:
    """Names of the module's own tensors that are computed from others."""
    found = list(module.parametrizations) if parametrize.is_parametrized(module) else []  # type: ignore[arg-type]
    for hook in module._forward_pre_hooks.values():
        if isinstance(hook, WeightNorm | SpectralNorm):
            found.append(hook.name)
        elif isinstance(hook, prune.BasePruningMethod):
            found.append(str(hook._tensor_name))
    return list(dict.fromkeys(found))


def fold(module: nn.Module, own: str) -> None:
    """Make one of them a plain parameter of the values that it has in evaluation mode.

    It is trained from then on if any of those was that it is computed from.
    """
    trained = any(parameter.requires_grad for parameter in _computed_from(module, own))
    training = module.training
    module.eval()
    with torch.no_grad():
        if parametrize.is_parametrized(module, own):
            parametrize.remove_parametrizations(module, own)
        else:
            _without_hook(module, own)
    module.train(training)
    value = getattr(module, own)
    if isinstance(value, nn.Parameter):
        value.requires_grad_(trained)
        return
    delattr(module, own)
    setattr(module, own, nn.Parameter(value.detach(), requires_grad=trained))


def _without_hook(module: nn.Module, own: str) -> None:
    for hook in list(module._forward_pre_hooks.values()):
        if isinstance(hook, WeightNorm) and hook.name == own:
            remove_weight_norm(module, own)
        elif isinstance(hook, SpectralNorm) and hook.name == own:
            remove_spectral_norm(module, own)
            for key, held in list(module._load_state_dict_pre_hooks.items()):  # torch looks for it without its wrapper
                if isinstance(getattr(held, "hook", held), SpectralNormLoadStateDictPreHook):
                    del module._load_state_dict_pre_hooks[key]
        elif isinstance(hook, prune.BasePruningMethod) and hook._tensor_name == own:
            prune.remove(module, own)  # type: ignore[no-untyped-call]


def _computed_from(module: nn.Module, own: str) -> Iterator[nn.Parameter]:
    if parametrize.is_parametrized(module, own):
        yield from module.parametrizations[own].parameters()  # type: ignore[index,union-attr]
    for ending in ("_orig", "_g", "_v"):
        value = getattr(module, f"{own}{ending}", None)
        if isinstance(value, nn.Parameter):
            yield value


def all_computed(network: nn.Module) -> list[str]:
    """The names of all tensors of a network that are computed from others in each pass."""
    return [full_name(name, own) for name, module in network.named_modules() for own in computed_weights(module)]


def with_plain_weights(network: nn.Module) -> nn.Module:
    """The network with all of them plain, of the values that they have; it is changed in place."""
    for module in list(network.modules()):
        for own in computed_weights(module):
            fold(module, own)
    return network
