"""The processes that decode images for this one: started when they are first needed, then kept."""

from __future__ import annotations

import contextlib
import multiprocessing
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from multiprocessing.util import Finalize

from prunetui.data.tree.decode import begin_worker
from prunetui.errors import DataError


def can_start() -> bool:
    """Before 3.11 multiprocessing lets its processes import modules from the working folder, whoever put them there."""
    return hasattr(sys.flags, "safe_path")


@cache
def pool(workers: int) -> ProcessPoolExecutor:
    """Processes that need no torch; they end with this one, however it does.

    Started anew: a fork of a process that runs torch's threads may hang.
    """
    made = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), begin_worker)
    # A process of multiprocessing's waits for its children before it would tell them to end.
    Finalize(None, made.shutdown, kwargs={"cancel_futures": True}, exitpriority=100)
    return made


@contextlib.contextmanager
def pool_broken() -> Iterator[None]:
    """Tells that a process of the pool died; the next use starts others.

    Raises:
        DataError: one did.
    """
    try:
        yield
    except BrokenProcessPool:
        pool.cache_clear()
        raise DataError(
            "a process that decodes images died, of too little memory or of a file that crashes its decoder"
        ) from None
