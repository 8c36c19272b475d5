"""Work that may crash or never end, in a process of its own that is killed after a time; plain data comes back.

On Linux the process is forked, so that networks that live in memory only, of a notebook's classes, can be worked on.
Elsewhere libraries do not survive a fork: there the process starts anew, with this one's import path and nothing of
the working folder, and what it is to do must be picklable.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import pickle
import select
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any, Literal, NoReturn

import torch

from prunetui.engine.fresh_python import fresh_python
from prunetui.files.safe_json import read_json

Start = Literal["fork", "fresh"]
PR_SET_PDEATHSIG = 1
LOOK_SECONDS = 0.2
"""Between looks at whether the process has ended: something that it started may hold its pipe open."""
MOST_BYTES = 256 << 20


class ChildFailed(Exception):
    """Why nothing came back, in words that follow "it": ``was ended by SIGSEGV``."""


class ChildRaised(ChildFailed):
    """What was computed raised an error: it would on any machine. Other failures are of this one's time and memory."""


def in_child(work: Callable[[], Any], seconds: float, start: Start | None = None) -> Any:
    """What ``work`` returns, JSON-able data, computed in another process on one thread.

    What it prints goes to stderr, since stdout is for data.

    Raises:
        ChildFailed: it raised, ended otherwise, or took longer than ``seconds``.
    """
    how = start or ("fork" if sys.platform == "linux" else "fresh")
    told = _forked(work, seconds) if how == "fork" else _fresh(work, seconds)
    try:
        answer = read_json(told, most_bytes=MOST_BYTES)
        if "error" in answer:
            raise ChildRaised(f"raised {answer['error']}")
        return answer["value"]
    except (ValueError, TypeError, KeyError) as error:
        raise ChildFailed(f"gave no answer that can be read: {error}") from error


def _forked(work: Callable[[], Any], seconds: float) -> bytes:
    reads, writes = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # other threads: the child uses none of what they may hold
        process = os.fork()
    if not process:
        os.close(reads)
        _work_and_leave(work, writes)
    os.close(writes)
    ended: int | None = None
    try:
        told, ended = _heard(process, reads, time.monotonic() + seconds)
    finally:
        os.close(reads)
        with contextlib.suppress(ProcessLookupError, PermissionError):  # and whatever it started
            os.killpg(process, signal.SIGKILL)
        if ended is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)  # it may not have a session of its own yet
            os.waitpid(process, 0)
    if ended is None:
        raise ChildFailed(f"did not end within {seconds:g} s")
    if not told:
        raise ChildFailed(_how_it_ended(ended))
    return told


def _heard(process: int, reads: int, deadline: float) -> tuple[bytes, int | None]:
    """What comes through a pipe until the process ends, and its exit code; None if it outlives the deadline."""
    told = bytearray()
    open_, ended = True, None
    while ended is None and time.monotonic() < deadline:
        wait = max(0.0, min(LOOK_SECONDS if open_ else 0.01, deadline - time.monotonic()))
        if open_ and select.select([reads], [], [], wait)[0]:
            part = os.read(reads, 1 << 16)
            told += part
            open_ = bool(part)
        elif not open_:
            time.sleep(wait)
        if os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            while open_ and select.select([reads], [], [], 0)[0] and (part := os.read(reads, 1 << 16)):
                told += part
            ended = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    return bytes(told), ended


def _how_it_ended(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"


def _work_and_leave(work: Callable[[], Any], writes: int) -> NoReturn:
    """In the fork: nothing of the parent's is used, run or written but its memory, and its errors and exits are not."""
    code = 1
    try:
        os.setsid()
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.dup2(2, 1)
        with os.fdopen(writes, "wb") as pipe, contextlib.redirect_stdout(sys.stderr):
            pipe.write(_answer(work))
        sys.stderr.flush()
        code = 0
    finally:
        os._exit(code)


def _answer(work: Callable[[], Any]) -> bytes:
    torch.set_num_threads(1)  # threads do not survive a fork
    try:
        return json.dumps({"value": work()}).encode()
    except Exception as error:  # noqa: BLE001 - told to whoever waits
        return json.dumps({"error": " ".join(f"{type(error).__name__}: {error}".split())}).encode(errors="replace")


# Started anew -------------------------------------------------------------------------------------------


def _fresh(work: Callable[[], Any], seconds: float) -> bytes:
    try:
        task = pickle.dumps(work)
    except Exception as error:
        raise ChildFailed(f"cannot be sent to another process: {type(error).__name__}: {error}") from error
    try:
        done = subprocess.run(fresh_python(__name__), input=task, stdout=subprocess.PIPE, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        raise ChildFailed(f"did not end within {seconds:g} s") from None
    except OSError as error:
        raise ChildFailed(f"could not be started: {error}") from error
    if not done.stdout:
        raise ChildFailed(_how_it_ended(done.returncode))
    return done.stdout


def main() -> None:
    """Compute the pickled work on stdin, which the parent process wrote; the answer alone goes to stdout."""
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    work = pickle.loads(sys.stdin.buffer.read())
    with answer:
        answer.write(_answer(work))
