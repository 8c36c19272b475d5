"""The terminal application: how soon it is there, how fluid it stays, how much it sends over the line.

The first frame is compared with that of a Textual application of one line. The longest pause of the event loop, with
5,000 runs, 2,000 trials and 10,000 events while a training process has the other core, is compared with the 50 ms from
which people notice; beside it stands the most that the application itself did in one turn of the loop, in processor
time, which depends less on what else the machine does. Bytes are compared with one chart of three series and a bar at
4 Hz, redrawn without asking whether anything changed: 37 KiB/s at 80x24 and 108 at 160x50. Idle means no byte at all.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from textual.pilot import Pilot

from benchmarks._large_runs import going_on, large
from benchmarks._runs import LEVELS, METHODS, row, run_of, study
from benchmarks._terminal import Terminal
from prunetui import events
from prunetui.config import parse_study
from prunetui.execute import launcher
from prunetui.execute.submit import submit
from prunetui.store import Run
from prunetui.tui.app import PrunetuiApp
from prunetui.tui.navigation import OpenLive, OpenResults

ROUNDS = 7
NOTICED = 50.0
"""Milliseconds."""
REDRAWN = {(80, 24): 37.0, (160, 50): 108.0}
"""KiB a second."""
RUNS = 5_000
MINIMAL = """
from textual.app import App
from textual.widgets import Static

class Minimal(App):
    def compose(self):
        yield Static("the first frame")

Minimal().run()
"""


def results() -> Iterator[dict[str, Any]]:
    """First frame, longest pause, bytes while live, bytes while idle."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        yield first_frame(folder)
        yield from longest_pause(folder / "many")
        for size in REDRAWN:
            yield live_bytes(folder, size)
        yield idle_bytes(folder)


def first_frame(folder: Path) -> dict[str, Any]:
    """From the start of python to the list of runs."""
    ours, peer = ["-m", "prunetui", "--runs", str(folder / "none")], ["-c", MINIMAL]
    pairs = []
    for _ in range(ROUNDS + 1):
        with Terminal(ours, config=folder) as terminal:
            mine = terminal.until_shown(b"No runs in")
        with Terminal(peer, config=folder) as terminal:
            pairs.append((mine, terminal.until_shown(b"the first frame")))
    del pairs[0]  # it fills the disk's cache
    low, middle, high = quantiles([theirs / mine for mine, theirs in pairs], n=4)
    mine, theirs = (median(times) for times in zip(*pairs, strict=True))
    name = "first frame vs one line of Textual"
    return {"name": name, "ours": mine, "peer": theirs, "ratio": middle, "spread": high - low, "unit": "ms"}


# How fluid --------------------------------------------------------------------------------------------


def longest_pause(root: Path) -> Iterator[dict[str, Any]]:
    """The longest time in which the event loop answered to nothing, for each thing that people do."""
    for i in range(RUNS):
        folder = root / f"20250101-{i:06d}-study"
        folder.mkdir(parents=True)
        plain = {"state": "done", "name": f"study {i}", "data": "cifar10", "model": "resnet20", "methods": ["taylor"]}
        times = {"created": time.time() - 60 * i, "trials": 20, "done": 20, "dense": 92.0, "best": 91.0}
        (folder / "status.json").write_text(json.dumps({**plain, **times}))
    run = large(root)
    with training(root.parent / "training"):
        pauses = asyncio.run(watched(root, run))
    for what, (pause, own) in pauses.items():
        for name, worst in ((f"longest pause, {what}", pause), (f"own work in a turn, {what}", own)):
            yield {"name": name, "ours": worst, "peer": NOTICED, "ratio": NOTICED / worst, "unit": "ms"}


@contextmanager
def training(root: Path) -> Iterator[None]:
    """A process that trains all the while."""
    text = study("busy", ["taylor"], epochs=10_000)
    run = submit(parse_study(text), root)
    child: subprocess.Popen[bytes] = launcher.launch(run, "cpu")
    try:
        while not any(isinstance(event, events.Progress) and event.epoch for event in run.tail().read()):
            if child.poll() is not None:
                raise RuntimeError((run.folder / "worker.log").read_text())
            time.sleep(0.1)
        yield
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()


async def watched(root: Path, run: Run) -> dict[str, tuple[float, float]]:
    """What ``gaps`` finds for each thing that is done."""
    app = PrunetuiApp(root, "cpu", settings=root.parent / "settings.json", serve=False)
    pauses = {}
    async with app.run_test(size=(160, 50)) as pilot:
        for what, do in {
            "list of 5,000 runs": lists,
            "filter": filters,
            "live": lives(run),
            "results": shows(run),
        }.items():
            over = asyncio.Event()
            watch = asyncio.create_task(gaps(over))
            await do(pilot)
            over.set()
            pauses[what] = await watch
    return pauses


async def gaps(over: asyncio.Event) -> tuple[float, float]:
    """In milliseconds the longest time between two turns, and the most processor time of this thread in any of them.

    Where the first is much the longer, others had the processor.
    """
    pause = own = 0.0
    last, used = time.perf_counter(), time.thread_time()
    while not over.is_set():
        await asyncio.sleep(0.002)
        now, use = time.perf_counter(), time.thread_time()
        pause, own = max(pause, now - last - 0.002), max(own, use - used)
        last, used = now, use
    return 1000 * pause, 1000 * own


Doing = Callable[[Pilot[int]], Awaitable[None]]


async def press(pilot: Pilot[int], *keys: str) -> None:
    for key in keys:
        await pilot.press(key)
        await asyncio.sleep(0.1)


async def lists(pilot: Pilot[int]) -> None:
    await asyncio.sleep(3)
    await press(pilot, *["j"] * 10, "G", "g", "pagedown", "space")


async def filters(pilot: Pilot[int]) -> None:
    await press(pilot, "slash", *"study 49", "enter", "escape")


def lives(run: Run) -> Doing:
    """The large run on the screen while it sends twenty events a second."""

    async def do(pilot: Pilot[int]) -> None:
        assert isinstance(pilot.app, PrunetuiApp)
        over = threading.Event()
        feeder = threading.Thread(target=feed, args=(run, over))
        pilot.app.post_message(OpenLive(run.id))
        await asyncio.sleep(4)
        feeder.start()
        await asyncio.sleep(4)
        await press(pilot, "4", "v", "3", "j")
        over.set()
        feeder.join()
        await pilot.press("escape")

    return do


def feed(run: Run, over: threading.Event) -> None:
    with run.appender() as append:
        for event in going_on():
            append(event)
            if over.wait(0.05):
                return


def shows(run: Run) -> Doing:
    """The chart and table of 2,000 trials."""

    async def do(pilot: Pilot[int]) -> None:
        assert isinstance(pilot.app, PrunetuiApp)
        pilot.app.post_message(OpenResults(run.id))
        await asyncio.sleep(3)
        await press(pilot, "x", "y", "f", "right", "2", "j", "G")

    return do


# Over the line ----------------------------------------------------------------------------------------


def live_bytes(folder: Path, size: tuple[int, int]) -> dict[str, Any]:
    """What is sent while a run is watched that tells something ten times a second and an epoch every two."""
    root = folder / f"live{size[0]}"
    table = [row(method, level, 0) for method in list(METHODS)[:3] for level in LEVELS]
    run = run_of(root, "live", "running", table, [events.RunStarted("", "cpu", False), events.Planned(99, 0, 99, 9900)])
    with (
        Terminal(["-m", "prunetui", "watch", run.id, "--runs", str(root)], size, folder) as terminal,
        run.appender() as append,
    ):
        terminal.until_shown(b"running")
        told = going_on()
        terminal.sent(3, lambda: append(next(told)))
        seconds = 10.0
        mine = terminal.sent(seconds, lambda: append(next(told))) / seconds / 1024
    name, peer = f"bytes while live, {size[0]}x{size[1]}", REDRAWN[size]
    return {"name": name, "ours": mine, "peer": peer, "ratio": peer / mine, "unit": "KiB/s"}


def idle_bytes(folder: Path) -> dict[str, Any]:
    """What is sent while a list of runs is on the screen and nothing happens."""
    root = folder / "idle"
    for name in ("one", "two", "three"):
        run_of(root, name, "done", [row("taylor", level, 0) for level in LEVELS])
    with Terminal(["-m", "prunetui", "--runs", str(root)], config=folder) as terminal:
        terminal.until_shown(b"three")
        terminal.sent(2)
        mine = terminal.sent(12)  # longer than the ten seconds after which ages are drawn again
    return {"name": "bytes while idle", "ours": mine, "peer": 0, "ratio": float(mine == 0), "unit": "B"}
