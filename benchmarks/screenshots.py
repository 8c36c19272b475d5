"""The five screens as pictures: ``python -m benchmarks.screenshots [-o docs]``. The same pictures every time."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from unittest.mock import patch

from textual.pilot import Pilot
from textual.worker import WorkerCancelled

from benchmarks._runs import NOW, rows, run_of, story, study
from prunetui.store.queue import Queue
from prunetui.tui.app import PrunetuiApp
from prunetui.tui.navigation import OpenCompare, OpenConfigure, OpenLive, OpenResults
from prunetui.tui.views import Gauge, Gauges
from prunetui.tui.widgets.chart_view import ChartView

SIZE = (120, 36)
MANY = ["taylor", "global-unstructured", "obs", "l1-structured", "fpgm"]
MACHINE = Gauges(23, 31, 42_000_000_000, (Gauge("a sample GPU", 87, 9_700_000_000, 150_000_000_000, 46, 412),))
LIVE, FIVE, LONGER = (f"20251124-160000-{name}" for name in ("structured-sweep", "five-methods", "longer-recovery"))


def fill(root: Path) -> None:
    """A folder of runs after some days of work."""
    day = 86_400.0
    table = rows(["l1-structured", "fpgm"])[:34]
    run_of(root, "structured sweep", "running", table, list(story(table, 39)), study("structured sweep", MANY[3:]),
           created=NOW - 3500, trials=39, methods=("l1-structured", "fpgm"))  # fmt: skip
    run_of(root, "sensitivity of layers", "queued", created=NOW - 300, methods=("l1-structured",), model="resnet18")
    run_of(root, "lottery tickets", "queued", created=NOW - 200, methods=("global-unstructured",))
    Queue(root).add("20251124-160000-sensitivity-of-layers")
    Queue(root).add("20251124-160000-lottery-tickets")
    run_of(root, "five methods", "done", rows(MANY), text=study("five methods", MANY), created=NOW - day,
           methods=tuple(MANY))  # fmt: skip
    run_of(root, "longer recovery", "done", rows(MANY[:1] + MANY[3:], 0.6),
           text=study("longer recovery", MANY[:1] + MANY[3:], recovery=30), created=NOW - 1.4 * day,
           methods=("taylor", "l1-structured", "fpgm"))  # fmt: skip
    run_of(root, "vgg16 first try", "failed", rows(["obs"])[:3], created=NOW - 2 * day, model="vgg16",
           trials=21, done=3, failed=2, message="the disk is full", methods=("obs",))  # fmt: skip
    run_of(root, "2:4 patterns", "interrupted", rows(["taylor"])[:9], created=NOW - 3 * day, trials=21,
           methods=("nm", "taylor"))  # fmt: skip
    for place, name in enumerate(("quickstart", "iterative", "rewinding", "warm-up", "narrow nets", "seeds")):
        run_of(root, name, "done", rows(MANY[place % 5 :][:1]), created=NOW - (4 + place) * day, data="digits",
               device="cpu", methods=tuple(MANY[place % 5 :][:2]))  # fmt: skip


def app_of(pilot: Pilot[int]) -> PrunetuiApp:
    assert isinstance(pilot.app, PrunetuiApp)
    return pilot.app


async def still(pilot: Pilot[int]) -> None:
    """Wait until nothing more is owed to the screen."""
    for _ in range(300):
        await pilot.pause(0.05)
        with contextlib.suppress(WorkerCancelled):  # a drawing that a newer one replaces
            await pilot.app.workers.wait_for_complete()
        screen = pilot.app.screen
        shown = [getattr(screen, name, True) for name in ("results", "comparison", "settled", "view")]
        ready = app_of(pilot).session.entries is not None and not any(one is None or one is False for one in shown)
        if ready and not any(chart._waiting for chart in screen.query(ChartView)):
            break
    await pilot.pause(0.3)


async def runs(pilot: Pilot[int]) -> None:
    await pilot.press("down", "down", "down", "space", "space")


async def configure(pilot: Pilot[int]) -> None:
    app_of(pilot).post_message(OpenConfigure(FIVE))
    await still(pilot)
    await pilot.press("down", "down", "down")


async def live(pilot: Pilot[int]) -> None:
    app_of(pilot).post_message(OpenLive(LIVE))


async def results(pilot: Pilot[int]) -> None:
    app_of(pilot).post_message(OpenResults(FIVE))
    await still(pilot)
    await pilot.press("f", *["right"] * 5)


async def compare(pilot: Pilot[int]) -> None:
    app_of(pilot).post_message(OpenCompare([FIVE, LONGER]))


SCREENS: dict[str, Callable[[Pilot[int]], Awaitable[None]]] = {
    screen.__name__: screen for screen in (runs, configure, live, results, compare)
}


async def picture(screen: Callable[[Pilot[int]], Awaitable[None]], folder: Path) -> str:
    """One screen as SVG."""
    app = PrunetuiApp(Path("runs"), "cpu", settings=folder / "settings.json", now=lambda: NOW, serve=False)
    async with app.run_test(size=SIZE) as pilot:
        await still(pilot)
        await screen(pilot)
        await still(pilot)
        return app.export_screenshot(title="prunetui")


def main() -> int:
    """Write the pictures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.screenshots", description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("docs"), help="folder to write to (default: docs)")
    parser.add_argument("screens", nargs="*", choices=[[], *SCREENS], help="screens to draw; all without any")
    asked = parser.parse_args()
    output = asked.output.absolute()
    output.mkdir(parents=True, exist_ok=True)
    os.environ |= {"TZ": "UTC", "TEXTUAL_ANIMATIONS": "none"}
    time.tzset()
    for name in ("NO_COLOR", "TEXTUAL_THEME"):
        os.environ.pop(name, None)
    gauges = patch("prunetui.tui.screens.live.live_screen.GaugesLook", lambda: lambda: MACHINE)
    for name in asked.screens or SCREENS:
        with tempfile.TemporaryDirectory() as temporary, gauges:
            os.chdir(temporary)  # the folder of runs is called the same every time
            fill(Path("runs"))
            svg = asyncio.run(picture(SCREENS[name], Path(temporary)))
            os.chdir(output)
        file = output / f"screen-{name}.svg"
        file.write_text(svg, encoding="utf-8")
        print(file, f"{len(svg) / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
