"""Where and in what arithmetic the engine computes, and the settings that make it repeatable and fast."""

from __future__ import annotations

import ctypes
import os
import sys
from dataclasses import dataclass

import torch

from prunetui.errors import UsageError

# glibc's mallopt parameters. Activations above its 32 MB ceiling for mmap are given back and faulted in
# again at every step, which halves the speed of training on a CPU.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
KEEP_BYTES = 1 << 30
SMALL_STEP = 500_000_000


@dataclass(frozen=True)
class Device:
    """A torch device and whether its hardware computes in bfloat16."""

    torch: torch.device
    bf16: bool
    graphs: bool = False
    """Whether training steps are recorded and replayed as CUDA graphs."""

    @property
    def name(self) -> str:
        return str(self.torch)

    def arithmetic(self, precision: str) -> str:
        """``auto`` made concrete: bf16 where the hardware has it, else fp32."""
        if precision == "auto":
            return "bf16" if self.bf16 else "fp32"
        return precision


def find_device(wanted: str) -> Device:
    """The device called auto, cpu, cuda or cuda:N.

    Raises:
        UsageError: it is not there.
    """
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    if wanted == "cpu":
        return Device(torch.device("cpu"), bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()))
    kind, _, number = wanted.partition(":")
    if kind != "cuda" or (number and not number.isdigit()):
        raise UsageError(f"no device is called {wanted!r}; allowed: auto, cpu, cuda, cuda:N")
    count = torch.cuda.device_count()
    if int(number or 0) >= count:
        raise UsageError(f"the device {wanted} is not there: torch sees {count} CUDA devices")
    return Device(torch.device("cuda", int(number or 0)), torch.cuda.is_bf16_supported())


def prepare(device: Device) -> None:
    """Settings of this process: repeatable kernels, and memory that is not given back between steps."""
    # cuBLAS reads it at its first call; without it matrix products on CUDA differ from run to run.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if device.torch.type == "cuda":
        # Not on the CPU, whose kernels repeat anyway: the call imports torch's compiler, over a second.
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.allow_tf32 = False  # float32 figures are float32: tf32 keeps 10 bits
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.benchmark = False
        torch.cuda.set_device(device.torch)
    elif sys.platform == "linux":
        _keep_freed_memory()


def fit_threads(macs: int, processes: int = 1, wanted: int | str = "auto") -> int:
    """Set how many CPU threads compute: as many as ``wanted``, or an equal share for each of ``processes``.

    One for steps of fewer than ``SMALL_STEP`` multiply-accumulates.

    Small layers gain nothing from a second thread, and threads that wait for each other stall when
    anything else wants a core: digits training took 0.9 s with one thread or two on two idle cores, but
    1 s against 16 s beside another busy process.
    """
    if wanted != "auto":
        torch.set_num_threads(int(wanted))
    elif macs < SMALL_STEP:
        torch.set_num_threads(1)
    else:
        torch.set_num_threads(max(1, torch.get_num_threads() // processes))
    return torch.get_num_threads()


def _keep_freed_memory() -> None:
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):  # not in musl
        libc.mallopt(M_MMAP_THRESHOLD, KEEP_BYTES)
        libc.mallopt(M_TRIM_THRESHOLD, KEEP_BYTES)
