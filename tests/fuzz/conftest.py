"""Limits of time and memory for the fuzzers: what hangs, or grows for ever, is a failure with the case that did."""

from __future__ import annotations

import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType

import psutil
import pytest

SECONDS = 60
"""Of a case that takes a tenth of a second on an idle machine."""
ROOM = 2 << 30
"""Bytes that a case may allocate beyond what the process has."""


class Hung(BaseException):
    """A case that does not end; no handler of errors may take it for one."""


@pytest.fixture
def bounded() -> Callable[[], AbstractContextManager[None]]:
    """A context that ends after ``SECONDS``, whatever is done in it, and in which memory is not without end."""

    def over(number: int, frame: FrameType | None) -> None:
        raise Hung(f"not done within {SECONDS} s")

    @contextmanager
    def limit() -> Iterator[None]:
        before = signal.signal(signal.SIGALRM, over)
        memory = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (_mapped() + ROOM, memory[1]))
        signal.alarm(SECONDS)
        try:
            yield
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)
            resource.setrlimit(resource.RLIMIT_AS, memory)

    return limit


def _mapped() -> int:
    """Bytes of address space that this process has."""
    return psutil.Process().memory_info().vms
