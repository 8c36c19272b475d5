"""Work that crashes, hangs, raises or prints costs its process only, and is told in words."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from prunetui.engine.tracing.in_child import ChildFailed, Start, in_child

STARTS: list[Start] = ["fork", "fresh"]
every_start = pytest.mark.parametrize("start", STARTS)


def product() -> dict[str, Any]:
    print("a network may print what it likes")
    return {"sum": float((torch.ones(300, 300) @ torch.ones(300, 300)).sum()), "process": os.getpid()}


def kill_itself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@every_start
def test_plain_data_comes_back_from_another_process(
    start: Start, capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('code of the working folder ran')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    answer = in_child(product, 60, start)
    assert answer["sum"] == 300.0**3
    assert answer["process"] != os.getpid()
    told = capfd.readouterr()
    assert told.out == ""
    assert "a network may print what it likes" in told.err


@pytest.mark.parametrize(
    ("work", "words"),
    [
        (partial(int, "x"), "raised ValueError: invalid literal for int"),
        (kill_itself, "was ended by SIGKILL"),
        (partial(os._exit, 3), "ended with exit code 3"),
        (object, "raised TypeError: Object of type object is not JSON serializable"),
    ],
    ids=["raises", "is killed", "exits", "gives no plain data"],
)
def test_how_it_failed_is_said(work: Callable[[], Any], words: str) -> None:
    with pytest.raises(ChildFailed, match=words):
        in_child(work, 60, "fork")


def test_how_a_fresh_process_failed_is_said() -> None:
    with pytest.raises(ChildFailed, match="was ended by SIGKILL"):
        in_child(kill_itself, 60, "fresh")


@every_start
def test_what_does_not_end_is_ended(start: Start) -> None:
    begun = time.monotonic()
    with pytest.raises(ChildFailed, match=r"did not end within 0\.5 s"):
        in_child(partial(time.sleep, 100), 0.5, start)
    assert time.monotonic() - begun < 10


def start_another() -> str:
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"], close_fds=False)
    if not os.fork():
        time.sleep(100)
    return "done"


def test_what_it_started_does_not_hold_it_up() -> None:
    begun = time.monotonic()
    assert in_child(start_another, 60, "fork") == "done"
    assert time.monotonic() - begun < 10


def test_memory_is_enough_for_a_fork_but_not_for_a_fresh_process() -> None:
    held = torch.arange(4.0)
    assert in_child(lambda: held.tolist(), 60, "fork") == [0.0, 1.0, 2.0, 3.0]
    with pytest.raises(ChildFailed, match=r"cannot be sent to another process: .*pickle"):
        in_child(lambda: held.tolist(), 60, "fresh")


def test_no_descriptor_is_left_open() -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        assert in_child(partial(int, "1"), 60, "fork") == 1
    assert len(list(Path("/proc/self/fd").iterdir())) == before
