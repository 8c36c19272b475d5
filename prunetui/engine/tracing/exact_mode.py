"""Computing so that two networks of different widths can be compared: in float64, without dropout.

Dropout draws a number for every channel, so a narrower network would draw others. It is left out wherever it is
called; depth that is dropped at random draws one number an example, and is the same with the same seed. Layers that
compute in float32 on purpose do so in float64.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from prunetui.engine.randomness import generators_restored, seed_everything

SEED = 20
_NARROW = frozenset({torch.float32, torch.float16, torch.bfloat16})
_CASTS = {torch.Tensor.float, torch.Tensor.half, torch.Tensor.bfloat16}
_DROPOUTS = {
    F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, F.alpha_dropout, F.feature_alpha_dropout, torch.dropout,
    torch.dropout_, torch.alpha_dropout, torch.feature_dropout, torch.feature_alpha_dropout,
}  # fmt: skip
_WITH_DROPOUT = {F.scaled_dot_product_attention: 4, F.multi_head_attention_forward: 10}
"""Functions that drop out inside -> the place of the probability among their arguments."""


class ExactMode(TorchFunctionMode):
    """Inside it nothing is dropped out, and what asks for a narrower float gets float64."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        named = dict(kwargs or {})
        if func in _DROPOUTS:
            return args[0] if args else named["input"]
        if func in _CASTS:
            return args[0].double()
        if func in _WITH_DROPOUT:
            args, named = _without_dropout(_WITH_DROPOUT[func], args, named)
        return func(*map(_widened, args), **{name: _widened(value) for name, value in named.items()})


def _without_dropout(
    place: int, args: tuple[Any, ...], named: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if len(args) > place:
        args = (*args[:place], 0.0, *args[place + 1 :])
    else:
        named["dropout_p"] = 0.0
    return args, named


def _widened(value: Any) -> Any:
    return torch.float64 if isinstance(value, torch.dtype) and value in _NARROW else value


@contextlib.contextmanager
def exactly(model: nn.Module, training: bool) -> Iterator[None]:
    """Compute a network in float64 in a mode, always with the same random numbers; nothing global stays changed."""
    modes = {module: module.training for module in model.modules()}
    dtype = torch.get_default_dtype()
    recurrent = {m: m.dropout for m in model.modules() if isinstance(m, nn.RNNBase)}
    with generators_restored(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            seed_everything(SEED)
            torch.set_default_dtype(torch.float64)
            model.train(training)
            for layer in recurrent:
                layer.dropout = 0.0
            with ExactMode():
                yield
        finally:
            torch.set_default_dtype(dtype)
            for layer, dropout in recurrent.items():
                layer.dropout = dropout
            for module, was in modes.items():
                module.training = was
