"""How the C library keeps the memory of processes that train on large batches, set in the environment they start with.

Torch asks glibc for tensors at multiples of 64 bytes. glibc cuts them out of larger pieces and puts the splinters into
caches for small allocations, where they stay: what a freed tensor leaves is some bytes too short for the next tensor of
its size, and so memory grows (``python -m benchmarks memory``). Small networks on small batches lose some speed without
these caches, so there they stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

VARIABLE = "GLIBC_TUNABLES"
NO_SMALL_CACHES = "glibc.malloc.tcache_count=0:glibc.malloc.mxfast=0"
LARGE_BATCH = 128
NVIDIA = "/dev/nvidiactl"


def has_large_batches(largest: int, device: str) -> bool:
    """Whether batches of at most ``largest`` examples fill this machine's memory, rather than that of a GPU."""
    on_cpu = device == "cpu" or (device == "auto" and not Path(NVIDIA).exists())
    return on_cpu and largest >= LARGE_BATCH


def heap_environment(large_batches: bool, environment: Mapping[str, str]) -> dict[str, str]:
    """The environment to start a process with; settings that are there already take precedence."""
    if not large_batches:
        return dict(environment)
    return {**environment, VARIABLE: ":".join(filter(None, (NO_SMALL_CACHES, environment.get(VARIABLE))))}
