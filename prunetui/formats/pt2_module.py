"""A .pt2 file as a module: its steps are run one by one, on the tensors of the file."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from prunetui.formats.pt2_program import Operator, Program
from prunetui.formats.pt2_values import Reference, SameDevice
from prunetui.formats.refused import Refused, shown

MOST_VALUES = 1 << 27
"""Numbers in one intermediate result of one image (half a GiB in float32)."""
MOST_VALUES_IN_ALL = 1 << 33
# What an operator raises for arguments that do not fit.
_MISTAKES = (RuntimeError, TypeError, ValueError, LookupError, ArithmeticError, AttributeError, AssertionError)


class ExportedNetwork(nn.Module):
    """The network of a .pt2 file, in evaluation mode for ever: what it computes was fixed as it was exported.

    Its parameters and buffers have the names that they had in the network.
    """

    def __init__(self, program: Program, tensors: dict[str, Tensor]) -> None:
        super().__init__()
        for _, path in program.tensors:
            _place(self, path, tensors.get(path))
        self._program = program
        super().train(False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits [B, classes] of images [B, C, H, W]."""
        program = self._program
        wanted = program.sizes
        sizes = list(pixels.shape)
        if len(sizes) != len(wanted) or any(w not in (None, size) for w, size in zip(wanted, sizes, strict=True)):
            shape = " x ".join("any" if size is None else str(size) for size in wanted)
            raise ValueError(f"this network takes images of shape {shape}; got {' x '.join(map(str, sizes))}")
        values: list[Any] = [None] * program.slots
        for slot, path in program.tensors:
            values[slot] = _find(self, path)
        values[program.images] = pixels
        for step in program.steps:
            _run(step, values, pixels.device)
        logits: Tensor = values[program.logits]
        return logits

    def train(self, mode: bool = True) -> ExportedNetwork:
        """Refused: layers in training mode compute something else."""
        if mode:
            raise NotImplementedError("an exported program cannot be trained; load the .safetensors file instead")
        return self

    def check(self) -> None:
        """Run it once without computing, which finds operators that do not fit together and results of absurd size.

        Raises:
            Refused: an intermediate result is too large.
            ValueError: its operators do not fit together.
        """
        program = self._program
        values: list[Any] = [None] * program.slots
        for slot, path in program.tensors:
            values[slot] = _find(self, path).detach().to("meta")
        batch = program.sizes[0] if program.sizes and program.sizes[0] is not None else 2
        sizes = [batch, *(1 if size is None else size for size in program.sizes[1:])]
        total = 0
        values[program.images] = torch.empty(sizes, device="meta")
        with torch.no_grad():
            for step in program.steps:
                try:
                    made = _run(step, values, torch.device("meta"))
                except _MISTAKES as error:
                    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
                    raise ValueError(f"its operator {step.name} cannot be run: {shown(reason, 160)}") from None
                total += made
                if made > MOST_VALUES * batch or total > MOST_VALUES_IN_ALL * batch:
                    raise Refused(f"its operator {step.name} makes {made // max(batch, 1):,} numbers of one image")
        logits = values[program.logits]
        if not isinstance(logits, Tensor) or logits.dim() != 2 or logits.shape[0] != batch:
            shape = list(getattr(logits, "shape", []))
            raise ValueError(f"it gives {shape} of {batch} images, not logits [B, classes]")


def _run(step: Operator, values: list[Any], device: torch.device) -> int:
    """Run one step; the number of values that it made."""
    args = [_given(value, values, device) for value in step.args]
    kwargs = {name: _given(value, values, device) for name, value in step.kwargs.items()}
    result = step.function(*args, **kwargs)
    made = [result] if step.single else list(result)
    if any(isinstance(value, int) and abs(value) >= 1 << 63 for value in made):
        raise ValueError("it gives a number of more than 64 bits")
    if len(made) != len(step.results):
        raise ValueError(f"it gives {len(made)} results, not {len(step.results)}")
    for slot, value in zip(step.results, made, strict=True):
        if slot >= 0:
            values[slot] = value
    for slot in step.done_with:
        values[slot] = None
    return sum(value.numel() for value in made if isinstance(value, Tensor))


def _given(value: Any, values: list[Any], device: torch.device) -> Any:
    if isinstance(value, Reference):
        return values[value.slot]
    if isinstance(value, list):
        return [_given(item, values, device) for item in value]
    return device if isinstance(value, SameDevice) else value


def _place(module: nn.Module, path: str, tensor: Tensor | None) -> None:
    """Register a tensor under a dotted name, by modules that hold nothing else."""
    *parents, name = path.split(".")
    for parent in parents:
        if parent not in module._modules:
            _check_free(module, parent, path)
            module.add_module(parent, nn.Module())
        inner = module._modules[parent]
        assert inner is not None
        module = inner
    _check_free(module, name, path)
    if tensor is None:
        raise ValueError(f"it has no tensor {path}")
    if isinstance(tensor, nn.Parameter):
        module.register_parameter(name, tensor)
    else:
        module.register_buffer(name, tensor)


def _check_free(module: nn.Module, name: str, path: str) -> None:
    if hasattr(module, name) or name.startswith("__"):
        raise Refused(f"it has a tensor of the name {path}, which means something else in a module")


def _find(module: nn.Module, path: str) -> Tensor:
    parent, _, name = path.rpartition(".")
    found: Tensor = getattr(module.get_submodule(parent), name)
    return found
