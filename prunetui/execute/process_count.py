"""How many processes share a device."""

from __future__ import annotations

import os

BYTES_PER_PROCESS = 2 << 30
"""Memory that "auto" leaves for each process."""
SMALL_BATCH = 50_000_000_000
"""Multiply-accumulates of a batch below which one process leaves a GPU idle."""
PROCESSES_PER_GPU = 4


def process_count(wanted: int | str, device: str, batch_macs: int) -> int:
    """How many processes ``[run] parallel`` means here; "auto" is one a core, or a few for small nets on a GPU.

    It depends neither on what is left of a run nor on the memory that is free just now: the number decides how many
    threads each process has, and so the last digits of its sums, which a resumed run must repeat.
    """
    if wanted != "auto":
        return int(wanted)
    import psutil

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if device != "cpu":
        cores = min(cores, PROCESSES_PER_GPU) if batch_macs < SMALL_BATCH else 1
    return max(1, min(cores, int(psutil.virtual_memory().total) // BYTES_PER_PROCESS))
