"""The store's log of events: written and read again, against a table of SQLite with a commit for each event.

Neither waits for the disk: an event is safe from a crash of the process, not from one of the machine.

A view polls: what it reads each time is what is new. ``tail latency`` is how soon after it was written an event is
read by a reader that looks without a rest; the peer reads and parses the whole file each time.
"""

from __future__ import annotations

import json
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks._turns import Work, in_turns
from prunetui import events
from prunetui.config import parse_study, study_toml
from prunetui.store import Run, Status, create_run

EVENTS = 2000
LOOKS = 200


def progress(done: int) -> events.Event:
    """What is told most often."""
    return events.Progress("a" * 32, done, EVENTS, 1, 10, 1234.5, 0.5, 0.1)


def _run(folder: str) -> Run:
    return create_run(Path(folder), study_toml(parse_study("")), Status(state="running"))


def ours() -> Work:
    """Append, and read all again."""

    def work() -> float:
        with tempfile.TemporaryDirectory() as folder:
            run = _run(folder)
            with run.appender() as emit:
                for done in range(EVENTS):
                    emit(progress(done))
            assert len(list(run.tail().read())) == EVENTS
        return EVENTS

    return work


def peer() -> Work:
    """A table, a commit for each event, all read again."""

    def work() -> float:
        with tempfile.TemporaryDirectory() as folder:
            base = sqlite3.connect(Path(folder) / "events.db")
            base.execute("pragma journal_mode = wal")
            base.execute("pragma synchronous = off")
            base.execute("create table events (id integer primary key, body text)")
            for done in range(EVENTS):
                base.execute("insert into events (body) values (?)", (events.to_json(progress(done)),))
                base.commit()
            assert len([json.loads(body) for (body,) in base.execute("select body from events")]) == EVENTS
            base.close()
        return EVENTS

    return work


def _latency(look: Callable[[], int], emit: Callable[[events.Event], None]) -> float:
    """Median milliseconds from the writing of an event to its reading."""
    times = []
    for done in range(LOOKS):
        started = time.perf_counter()
        emit(progress(done))
        while not look():
            time.sleep(0)
        times.append(1000 * (time.perf_counter() - started))
    return median(times)


def tail_latency() -> dict[str, Any]:
    """Both readers of one file that holds 10,000 events already."""
    with tempfile.TemporaryDirectory() as folder:
        run = _run(folder)
        with run.appender() as emit:
            for done in range(10_000):
                emit(progress(done))
            tail = run.tail()
            tail.lines()
            mine = _latency(lambda: len(tail.lines()), emit)
            path, seen = run.folder / "events.jsonl", {"count": 10_000 + LOOKS}

            def whole() -> int:
                new = len([json.loads(line) for line in path.read_bytes().splitlines()]) - seen["count"]
                seen["count"] += new
                return new

            theirs = _latency(whole, emit)
    return {
        "name": "tail latency after 10,000 events",
        "ours": mine,
        "peer": theirs,
        "ratio": theirs / mine,
        "unit": "ms",
    }


def results() -> Iterator[dict[str, Any]]:
    """Throughput and latency."""
    yield in_turns("store, events written and read", ours, peer, "events/s")
    yield tail_latency()
