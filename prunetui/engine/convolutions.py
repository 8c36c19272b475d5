"""Convolutions computed another way where oneDNN computes them wrongly: kernels of this process, whoever calls them.

- Strided 1x1, channels-last, on processors without AVX-512: the weight gradient writes past its workspace, which is a
  crash or a wrong gradient (github.com/uxlfoundation/oneDNN/issues/6035). Computed as a 1x1 convolution of those pixels
  that it reads.
- Narrow and strided (images no wider than the stride), in bfloat16 with AVX-512: outputs and weight gradients are read
  from memory that nobody wrote. Computed without oneDNN, as any other kind that the machine check finds faulty.

It is done where torch computes outputs and gradients, so that modules, functional calls and every network are covered,
while state dicts, exports and graphs stay as they are. A call takes 15 us and more longer then: torch keeps its own
kernels where no layer in use is faulty.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.conv import _ConvNd
from torch.utils._python_dispatch import TorchDispatchMode

STRIDED_1X1 = "strided 1x1 convolution"
"""The only kind that is computed from the pixels it reads; the others without oneDNN."""
NARROW = "narrow strided convolution"
_ISA_VARIABLES = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
_UNLIMITED = ("", "ALL", "DEFAULT")


def kind_of(
    x: Sequence[int],
    weight: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    groups: int,
) -> str:
    """What a convolution of these shapes is called in the findings of the machine check."""
    if transposed:
        return "transposed convolution"
    strided = max(stride) > 1
    if max(weight[2:]) == 1:
        return STRIDED_1X1 if strided else "1x1 convolution"
    if any(1 < step >= size for step, size in zip(stride, x[2:], strict=True)):
        return NARROW
    if groups > 1:
        return "depthwise convolution" if weight[1] == 1 else "grouped convolution"
    if max(dilation) > 1:
        return "dilated convolution"
    return "strided convolution" if strided else "convolution"


class KindsUsed(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes the kinds of all convolutions that are computed within it, whoever calls them."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kinds: set[str] = set()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # to skip torch's compiler, torch would import it: 1.8 s of each process

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.convolution.default:
            x, weight, _, stride, _, dilation, transposed, _, groups = args
            self.kinds.add(kind_of(x.shape, weight.shape, stride, dilation, transposed, groups))
        return func(*args, **(kwargs or {}))


def may_be_faulty() -> bool:
    """Whether oneDNN computes here without AVX-512, by the processor or by an environment variable."""
    limits = [os.environ.get(name, "").upper() for name in _ISA_VARIABLES]
    limited = any(limit not in _UNLIMITED and not limit.startswith(("AVX512", "AVX10")) for limit in limits)
    return limited or torch.backends.cpu.get_cpu_capability() != "AVX512"


# Replaced kernels --------------------------------------------------------------------------------------

_replaced: dict[str, torch.library.Library] = {}
_safe: set[str] = set()
_COMPOSITE = torch._C.DispatchKey.CompositeExplicitAutograd


def make_safe_for(model: nn.Module, run: Callable[[], Any] | None = None) -> None:
    """Compute safely, where it may be faulty here, the one kind that is known to be, if a network has it.

    Its modules tell; what its code computes by functions is seen in a pass, ``run``, where that is given. All other
    networks keep torch's own kernels: a tenth of the time of a small one on a processor without AVX-512.
    """
    if not may_be_faulty() or STRIDED_1X1 in _safe:
        return
    if any(_is_strided_1x1(module) for module in model.modules()) or (run and STRIDED_1X1 in _kinds_of(run)):
        make_safe([STRIDED_1X1])


def _is_strided_1x1(module: nn.Module) -> bool:
    if not isinstance(module, _ConvNd) or module.transposed:
        return False
    return max(module.kernel_size) == 1 and max(module.stride) > 1


def _kinds_of(run: Callable[[], Any]) -> set[str]:
    with KindsUsed() as used, torch.no_grad():
        run()
    found: set[str] = used.kinds
    return found


def make_safe(kinds: Iterable[str]) -> None:
    """From now on compute convolutions of these kinds safely in this process."""
    _safe.update(kinds)
    if _safe:
        _replace("convolution_backward", _backward)
    if _safe - {STRIDED_1X1}:
        _replace("convolution", _forward)


def safe_kinds() -> tuple[str, ...]:
    """The kinds that are computed safely, in order."""
    return tuple(sorted(_safe))


def make_ordinary() -> None:
    """Give torch its own kernels back."""
    _safe.clear()
    for library in _replaced.values():
        library._destroy()  # type: ignore[no-untyped-call]
    _replaced.clear()


def _replace(name: str, kernel: Any) -> None:
    if name not in _replaced:
        library = torch.library.Library("aten", "IMPL")  # type: ignore[no-untyped-call]
        library.impl(name, kernel, "CPU")  # type: ignore[no-untyped-call]
        _replaced[name] = library  # the replacement lives as long as it


def _forward(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: list[int], padding: list[int], dilation: list[int],
    transposed: bool, output_padding: list[int], groups: int,
) -> Tensor:  # fmt: skip
    kind = kind_of(x.shape, weight.shape, stride, dilation, transposed, groups)
    arguments = (x, weight, bias, stride, padding, dilation, transposed, output_padding, groups)
    found: Tensor = _original("convolution", arguments, onednn=kind == STRIDED_1X1 or kind not in _safe)
    return found


def _backward(
    gradient: Tensor, x: Tensor, weight: Tensor, bias_sizes: list[int] | None, stride: list[int], padding: list[int],
    dilation: list[int], transposed: bool, output_padding: list[int], groups: int, wanted: list[bool],
) -> Any:  # fmt: skip
    rest = (dilation, transposed, output_padding, groups, wanted)
    kind = kind_of(x.shape, weight.shape, stride, dilation, transposed, groups)
    if kind != STRIDED_1X1 or kind not in _safe:
        arguments = (gradient, x, weight, bias_sizes, stride, padding, *rest)
        return _original("convolution_backward", arguments, onednn=kind not in _safe)
    seen = _subsampled(x, stride, padding)
    ones, zeros = [1] * len(stride), [0] * len(stride)
    arguments = (gradient, seen, weight, bias_sizes, ones, zeros, *rest)
    of_seen, of_weight, of_bias = _original("convolution_backward", arguments)
    return _spread(of_seen, x, stride, padding) if wanted[0] else None, of_weight, of_bias


def _original(name: str, arguments: tuple[Any, ...], onednn: bool = True) -> Any:
    """Torch's own kernel, which CPUs share with other devices."""
    kernel = getattr(torch.ops.aten, name).default._op_dk
    if onednn or not torch.backends.mkldnn.enabled:
        return kernel(_COMPOSITE, *arguments)
    use_onednn(False)
    try:
        return kernel(_COMPOSITE, *arguments)
    finally:
        use_onednn(True)


def use_onednn(wanted: bool) -> None:
    """Whether this process computes with oneDNN."""
    torch.backends.mkldnn.enabled = wanted  # type: ignore[assignment]


def _subsampled(x: Tensor, stride: Sequence[int], padding: Sequence[int]) -> Tensor:
    """The pixels [N, C, *] that a 1x1 kernel with this stride reads, in the layout of ``x``."""
    if max(padding):
        x = F.pad(x, [side for one in reversed(padding) for side in (one, one)])
    return _strided(x, stride).clone(memory_format=torch.preserve_format)


def _strided(x: Tensor, stride: Sequence[int]) -> Tensor:
    every = [slice(None), slice(None), *(slice(None, None, step) for step in stride)]
    return x[tuple(every)]


def _spread(of_seen: Tensor, x: Tensor, stride: Sequence[int], padding: Sequence[int]) -> Tensor:
    """The gradient of the pixels that were read, among zeros for the others: [N, C, *] as ``x``."""
    if not max(padding):
        found = torch.zeros_like(x)
        _strided(found, stride).copy_(of_seen)
        return found
    padded = F.pad(torch.zeros_like(x), [side for one in reversed(padding) for side in (one, one)])
    _strided(padded, stride).copy_(of_seen)
    inner = [slice(None), slice(None), *(slice(p, p + n) for p, n in zip(padding, x.shape[2:], strict=True))]
    return padded[tuple(inner)].clone(memory_format=torch.preserve_format)
