"""Small, odd and strided layers of every kind, computed and compared with float64: what the machine check runs.

It is run in a process of its own, which computes each kind in a fork of itself, for a fault may crash or hang: the fork
then tells which kind it was. That process must not have computed anything with threads before.
"""

from __future__ import annotations

import copy
import json
import math
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn

from prunetui.engine.convolutions import NARROW, STRIDED_1X1, make_safe, use_onednn

TOLERANCE = {"fp32": 1e-3, "bf16": 0.05}
"""Largest difference from float64, relative to the tensor: rounding makes 1e-5 and 0.01, known faults 0.1 to 1e38."""
KIND_SECONDS = 10.0
"""After so long a kind hangs: all of its cases take a tenth of a second."""

Case = tuple[Callable[[], nn.Module], tuple[int, ...]]
Found = dict[str, Any]


def _conv(kernel: Any, sides: Sequence[int], ways: Sequence[tuple[int, int]], **options: Any) -> list[Case]:
    """Convolutions of odd and even widths for images of these sides; ``ways`` are (inputs, outputs)."""

    def make(inputs: int, outputs: int) -> Callable[[], nn.Module]:
        return lambda: nn.Conv2d(inputs, outputs, kernel, **options)

    return [(make(i, o), (4, i, side, side)) for side, (i, o) in product(sides, ways)]


def cases() -> dict[str, list[Case]]:
    """Kind of layer -> its cases."""
    return {**_convolutions(), **_other_layers()}


def _convolutions() -> dict[str, list[Case]]:
    odd = [(1, 5), (5, 16), (7, 9), (9, 33), (16, 7)]
    few = [(1, 8), (5, 7), (16, 16)]
    depthwise = [(options, case) for options in (1, 2) for case in (3, 8, 17)]
    return {
        "1x1 convolution": _conv(1, (1, 7), odd),
        STRIDED_1X1: [
            *_conv(1, (5, 16), odd, stride=2, bias=False),
            *_conv(1, (7, 28), few, stride=3),
            *_conv(1, (9,), few, stride=(1, 2)),
            *_conv(1, (8,), [(6, 6)], stride=2, groups=2),
        ],
        "convolution": [*_conv(3, (1, 7), odd, padding=1), *_conv(5, (8,), few, padding=2)],
        "strided convolution": [
            *_conv(3, (4, 7), odd, padding=1, stride=2),
            *_conv(5, (9,), few, padding=2, stride=3),
        ],
        NARROW: [
            *_conv(3, (1, 2), few, padding=1, stride=2),
            *_conv(5, (1, 3), few, padding=2, stride=3),
            *[(lambda: nn.Conv2d(5, 12, 3, 2, 1), (4, 5, 16, width)) for width in (1, 2)],
        ],
        "depthwise convolution": [
            case
            for stride, width in depthwise
            for case in _conv(3, (5, 8), [(width, width)], padding=1, stride=stride, groups=width)
        ],
        "grouped convolution": _conv(3, (5, 8), [(6, 9), (12, 30)], padding=1, groups=3),
        "dilated convolution": _conv(3, (7,), few, padding=2, dilation=2),
    }  # fmt: skip


def _other_layers() -> dict[str, list[Case]]:
    return {
        "transposed convolution": [
            (lambda: nn.ConvTranspose2d(5, 7, 3, 2), (4, 5, 5, 5)),
            (lambda: nn.ConvTranspose2d(8, 3, 1, 2), (4, 8, 4, 4)),
        ],
        "linear layer": [
            (lambda: nn.Linear(1, 10), (4, 1)),
            (lambda: nn.Linear(7, 9), (5, 7)),
            (lambda: nn.Linear(65, 33), (3, 65)),
        ],
        "batch norm": [
            (lambda: nn.BatchNorm2d(1), (8, 1, 7, 7)),
            (lambda: nn.BatchNorm2d(5), (8, 5, 8, 8)),
            (lambda: nn.BatchNorm2d(17), (16, 17, 3, 3)),
        ],
        "pooling": [
            (lambda: nn.MaxPool2d(2), (4, 5, 7, 7)),
            (lambda: nn.AvgPool2d(2), (4, 9, 8, 8)),
            (lambda: nn.AdaptiveAvgPool2d(1), (4, 5, 7, 7)),
        ],
    }  # fmt: skip


def worst(kind: str, arithmetic: str) -> float:
    """The largest difference from float64, relative to the tensor, of outputs and gradients of a kind's cases."""
    found = 0.0
    for number, (make, shape) in enumerate(cases()[kind]):
        torch.manual_seed(number)
        layer, x = make(), torch.randn(shape)
        x = x.bfloat16() if arithmetic == "bf16" else x  # as one layer hands it to the next
        weighted = torch.rand(layer(x.float()).shape) + 0.1
        wanted = _computed(copy.deepcopy(layer).double(), x.double(), weighted, torch.contiguous_format, "fp32")
        for layout in (torch.channels_last, torch.contiguous_format) if x.dim() == 4 else (torch.contiguous_format,):
            got = _computed(copy.deepcopy(layer), x, weighted, layout, arithmetic)
            found = max(found, *(_difference(a, b) for a, b in zip(got, wanted, strict=True)))
    return found


def _computed(layer: nn.Module, x: Tensor, weighted: Tensor, layout: Any, arithmetic: str) -> list[Tensor]:
    """The output, and the gradients of the input and the parameters."""
    layer, x = layer.to(memory_format=layout), x.clone(memory_format=layout).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=arithmetic == "bf16"):
        output = layer(x)
    # Not ``grad_outputs``, for which torch imports sympy: half a second in every fork.
    loss = (output * weighted.to(output.dtype, memory_format=layout)).sum()
    gradients = torch.autograd.grad(loss, [x, *layer.parameters()])
    return [output.detach(), *gradients]


def _difference(got: Tensor, wanted: Tensor) -> float:
    found = float((got.double() - wanted).norm() / wanted.norm().clamp(min=1e-12))
    return found if math.isfinite(found) else math.inf


# The process that checks -------------------------------------------------------------------------------


def main(arguments: str) -> None:
    """Print, as JSON, what is wrong: of {"threads": int, "arithmetics": [...]} as the one argument."""
    asked = json.loads(arguments)
    torch.set_num_threads(asked["threads"])
    faults = []
    for kind, arithmetic in product(cases(), asked["arithmetics"]):
        how = _fault(kind, arithmetic, safely=False)
        if how:
            faults.append(
                {"kind": kind, "arithmetic": arithmetic, "how": how, "left": _fault(kind, arithmetic, safely=True)}
            )
    json.dump({"faults": faults}, sys.stdout)


def _fault(kind: str, arithmetic: str, safely: bool) -> str:
    """What is wrong with a kind as torch computes it, or as it is computed safely; empty if nothing."""
    reads, writes = os.pipe()
    child = os.fork()
    if not child:
        _compute(kind, arithmetic, safely, writes)
    os.close(writes)
    try:
        return _heard(child, reads, arithmetic)
    finally:
        os.close(reads)


def _compute(kind: str, arithmetic: str, safely: bool, writes: int) -> None:
    """In the fork: write the largest difference, and end without a word to anybody else."""
    try:
        if safely:
            compute_safely(kind)
        os.write(writes, repr(worst(kind, arithmetic)).encode())
    finally:
        os._exit(0)


def compute_safely(kind: str) -> None:
    """Of a kind without a safe kernel of its own: nothing by oneDNN."""
    if kind.endswith("convolution"):
        make_safe([kind])
    else:
        use_onednn(False)


def _heard(child: int, reads: int, arithmetic: str) -> str:
    told = b"".join(_until(reads, time.monotonic() + KIND_SECONDS))
    hung = not select.select([reads], [], [], 0)[0]
    if hung:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if hung:
        return f"hangs for {KIND_SECONDS:g} s"
    if os.WIFSIGNALED(status):
        return f"crashes ({signal.Signals(os.WTERMSIG(status)).name})"
    try:
        difference = float(told)
    except ValueError:
        return "raises an error"
    return "" if difference <= TOLERANCE[arithmetic] else f"off by {difference:.2g} of its size"


def _until(reads: int, deadline: float) -> Iterator[bytes]:
    """What comes through a pipe, until it is closed or the time is over."""
    while (left := deadline - time.monotonic()) > 0 and select.select([reads], [], [], left)[0]:
        part = os.read(reads, 4096)
        if not part:
            return
        yield part
