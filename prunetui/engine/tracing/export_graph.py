"""A network as torch.export's graphs, in training and in evaluation; the network itself is left as it was."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from functools import wraps
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from prunetui.engine.tracing.output_tensors import output_tensors
from prunetui.errors import PrunetuiError

LONGEST_CAUSE = 300
NEEDS_MORE = "Expected more than 1 value per channel"
DATA_DEPENDENT = ("data-dependent", "DataDependent", "Could not guard", "GuardOnDataDependentSymNode", "torch._check")


class UntraceableError(PrunetuiError):
    """A network whose graph cannot be exported; says why, in words."""


def export_both(
    model: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any] | None = None
) -> tuple[tuple[ExportedProgram, ...], str]:
    """The graphs in training and in evaluation: layers that only one of them uses are seen.

    Where the one in training cannot be had, that in evaluation alone, and why; proofs go over both modes nevertheless.

    Raises:
        UntraceableError: what the network does depends on its data, or torch cannot follow it.
    """
    arguments = (tuple(args), dict(kwargs or {}))
    programs, why = [], ""
    with unchanged(model), giving_tensors(model):
        for training in (True, False):
            model.train(training)
            try:
                programs.append(_exported(model, *arguments, training))
            except UntraceableError as error:
                if not training:
                    raise
                why = str(error)
    return tuple(programs), why


def _exported(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], training: bool) -> ExportedProgram:
    try:
        return _quietly(model, args, kwargs)
    except Exception as error:  # torch.export raises errors of many kinds, and the network's own code any
        if training and NEEDS_MORE in str(error):  # batch norm of a batch of one without places
            args, kwargs = pytree.tree_map(_doubled, (args, kwargs))
            return _exported(model, args, kwargs, training=False)
        raise UntraceableError(_words(model, error, training)) from error


@contextmanager
def giving_tensors(model: nn.Module) -> Iterator[None]:
    """It gives a list of the tensors that come out meanwhile: torch.export knows no objects of other libraries."""
    forward, own = model.forward, "forward" in vars(model)

    @wraps(forward)
    def tensors(*args: Any, **kwargs: Any) -> list[Tensor]:
        return output_tensors(forward(*args, **kwargs))

    model.forward = tensors
    try:
        yield
    finally:
        if own:
            model.forward = forward
        else:
            del model.forward


def _quietly(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> ExportedProgram:
    told = logging.root.manager.disable
    logging.disable(logging.CRITICAL)  # torch logs what it raises as well
    try:
        # And it prints whole graphs of what it cannot follow.
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            return torch.export.export(model, args, kwargs, strict=False)
    finally:
        logging.disable(told)


def _doubled(value: Any) -> Any:
    return torch.cat([value, value]) if isinstance(value, Tensor) and value.dim() and len(value) == 1 else value


def _words(model: nn.Module, error: Exception, training: bool) -> str:
    mode = "training" if training else "evaluation"
    told = str(error).strip().splitlines()
    cause = (told[0] if told else type(error).__name__)[:LONGEST_CAUSE]
    name = f"{type(error).__name__} {error}"
    if any(sign in name for sign in DATA_DEPENDENT):
        return (
            f"the graph of {type(model).__name__} cannot be traced in {mode}: what it computes depends on values of its"
            f" data (an if, a loop or a size that is read from a tensor). torch.export said: {cause}"
        )
    return f"the graph of {type(model).__name__} cannot be traced in {mode}: {type(error).__name__}: {cause}"


@contextmanager
def unchanged(model: nn.Module) -> Iterator[None]:
    """Modes, buffers, ``requires_grad`` and random state are afterwards as before."""
    modes = {module: module.training for module in model.modules()}
    buffers = {name: (tensor, tensor.detach().clone()) for name, tensor in model.named_buffers()}
    trained = {parameter: parameter.requires_grad for parameter in model.parameters()}
    try:
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode
        with torch.no_grad():
            for name, (tensor, before) in buffers.items():
                owner, _, own = name.rpartition(".")
                setattr(model.get_submodule(owner), own, tensor)
                tensor.copy_(before)
        for parameter, flag in trained.items():
            parameter.requires_grad_(flag)
