"""Outputs of a network that loss and metrics share, so that each batch passes through the network once."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from prunetui.api.source import mapped

Call = tuple[tuple[Any, ...], dict[str, Any]]


class RecordedOutputs:
    """Called like the network, and notes what it gives; floating outputs are float32, whatever it computes in."""

    def __init__(
        self,
        model: Callable[..., Any],
        arithmetic: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        self._model, self._arithmetic = model, arithmetic
        self.calls: list[tuple[Call, Any]] = []

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        with self._arithmetic():
            output = self._model(*inputs, **named)
        output = mapped(output, _float32)
        self.calls.append(((inputs, named), output))
        return output

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def again(self) -> RepeatedOutputs:
        """What gives these outputs again, without gradients."""
        return RepeatedOutputs(self._model, [(call, mapped(output, Tensor.detach)) for call, output in self.calls])


class RepeatedOutputs:
    """Called like the network; for inputs it was called with before it gives the same outputs without computing them.

    Other inputs are computed in evaluation mode, without gradients: metrics leave a network in training as it is.
    """

    def __init__(self, model: Callable[..., Any], calls: list[tuple[Call, Any]]) -> None:
        self._model, self._calls = model, calls

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        for call, output in self._calls:
            if _same(call, (inputs, named)):
                return output
        training = isinstance(self._model, nn.Module) and self._model.training
        if training:
            self._model.eval()  # type: ignore[attr-defined]
        try:
            with torch.no_grad():
                return mapped(self._model(*inputs, **named), _float32)
        finally:
            if training:
                self._model.train()  # type: ignore[attr-defined]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)


def _float32(output: Tensor) -> Tensor:
    return output.float() if output.dtype in (torch.bfloat16, torch.float16) else output


def _same(one: Call, other: Call) -> bool:
    (inputs, named), (others, others_named) = one, other
    return (
        len(inputs) == len(others)
        and all(a is b for a, b in zip(inputs, others, strict=True))
        and named.keys() == others_named.keys()
        and all(named[key] is others_named[key] for key in named)
    )
