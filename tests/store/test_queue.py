"""The queue of runs: an order that people change while runs are taken from it, by several processes at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from prunetui.store.queue import Queue


def queue_of(root: Path, *runs: str) -> Queue:
    queue = Queue(root)
    for run in runs:
        queue.add(run)
    return queue


def test_first_come_first_served(tmp_path: Path) -> None:
    queue = queue_of(tmp_path, "a", "b", "c")
    assert queue.waiting == ("a", "b", "c")
    assert [queue.take(), queue.take(), queue.take(), queue.take()] == ["a", "b", "c", None]


def test_the_run_that_was_started_last_is_remembered(tmp_path: Path) -> None:
    queue = queue_of(tmp_path, "a", "b")
    assert queue.read() == (("a", "b"), "")
    queue.take()
    assert queue.read() == (("b",), "a")
    queue.add("c")
    assert Queue(tmp_path).read() == (("b", "c"), "a")


def test_a_run_waits_once(tmp_path: Path) -> None:
    assert queue_of(tmp_path, "a", "b", "a").waiting == ("b", "a")


@pytest.mark.parametrize(
    ("run", "by", "after"),
    [
        ("c", -1, ("a", "c", "b")),
        ("a", 1, ("b", "a", "c")),
        ("a", -1, ("a", "b", "c")),
        ("c", 5, ("a", "b", "c")),
        ("c", -9, ("c", "a", "b")),
        ("not there", -1, ("a", "b", "c")),
    ],
)
def test_moved(tmp_path: Path, run: str, by: int, after: tuple[str, ...]) -> None:
    queue = queue_of(tmp_path, "a", "b", "c")
    queue.move(run, by)
    assert queue.waiting == after


def test_removed(tmp_path: Path) -> None:
    queue = queue_of(tmp_path, "a", "b")
    queue.remove("a")
    queue.remove("never was there")
    assert queue.waiting == ("b",)


def test_the_folder_is_made_when_something_is_added(tmp_path: Path) -> None:
    queue = Queue(tmp_path / "not" / "yet")
    assert queue.waiting == ()
    queue.add("a")
    assert queue.waiting == ("a",)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "7", '{"waiting": 3, "started": ""}', '{"waiting": "a"}', '{"waiting": ["../a", 3, ""]}', "\udcff"],
)
def test_a_file_that_is_no_queue_is_an_empty_one(tmp_path: Path, text: str) -> None:
    (tmp_path / ".queue.json").write_bytes(text.encode(errors="surrogateescape"))
    queue = Queue(tmp_path)
    assert queue.read() == ((), "")
    queue.add("b")
    assert queue.waiting == ("b",)


ADDS = """
import sys
from pathlib import Path
from prunetui.store.queue import Queue

queue = Queue(Path(sys.argv[1]))
for i in range(40):
    queue.add(f"{sys.argv[2]}{i}")
    queue.move(f"{sys.argv[2]}{i}", -1)
"""


def test_two_processes_that_change_it_at_once_lose_nothing(tmp_path: Path) -> None:
    queue = queue_of(tmp_path, "first")
    children = [subprocess.Popen([sys.executable, "-c", ADDS, str(tmp_path), name]) for name in "ab"]
    taken = []
    while any(child.poll() is None for child in children):
        taken += [run for run in [queue.take()] if run]
    assert [child.returncode for child in children] == [0, 0]
    taken += list(queue.waiting)
    assert sorted(taken) == sorted(["first", *(f"{name}{i}" for name in "ab" for i in range(40))])
