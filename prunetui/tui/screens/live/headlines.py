"""What the live screen tells in lines of text above and below its panes, and the picture of a training. No widgets."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from prunetui.metrics import Metric
from prunetui.results.chart import Picture
from prunetui.results.summary import Series
from prunetui.terminal.durations import clock
from prunetui.terminal.printable import one_line
from prunetui.tui.views import Curve, Entry, Gauges, RunView
from prunetui.tui.words import bar, size, state_text

TOLD = "#e69f00"
NEXT = {
    "failed": "4 shows the log, R tries again",
    "interrupted": "R resumes it",
    "died": "4 shows the log, R resumes it",
    "done": "r shows the results",
}
"""What can be done with a run that is over."""


def title(view: RunView, entries: Sequence[Entry] | None) -> Text:
    """State, name, model and data; what went wrong, and the place in the queue. ``entries`` is None before a look."""
    status = view.status
    words = [view.id]
    if status:
        words = [status.name, f"{status.model} on {status.data}", view.progress.device or status.device]
    text = Text.assemble(state_text(view.state), "  ", one_line("  ".join(word for word in words if word)))
    if status and status.message and view.state in ("failed", "interrupted", "died"):
        text.append(one_line(f"  {status.message}"), TOLD)
    places = {entry.id: entry.place for entry in entries or () if entry.place}
    if view.is_running and places:
        text.append(f"  {len(places)} more in the queue", "dim")
    if view.state == "queued" and entries is not None:
        place = places.get(view.id, 0)
        text.append(f"  {place}. in the queue" if place else "  not in the queue: R puts it there", TOLD)
    return text


def overall(view: RunView, width: int, ascii_only: bool) -> Text:
    """How much of the run is done; ``width`` is that of the screen."""
    p = view.progress
    left = f"{clock(p.seconds_left)} left" if view.is_running and p.seconds_left is not None else ""
    fraction = 1.0 if view.state == "done" else p.fraction
    over = f"{p.trials_done}/{p.trials or (view.status.trials if view.status else 0)} trials"
    return Text(f"all   {bar(fraction, _bar_width(width), ascii_only)} {100 * fraction:3.0f} %  {over}  {left}")


def step(view: RunView, width: int, ascii_only: bool) -> Text:
    """How much of its step is done and what that is; of a run that is over, what can be done with it."""
    if not view.is_running:
        return Text(NEXT.get(view.state, ""), "dim")
    p = view.progress
    share = p.done / p.total if p.total else 0.0
    head = f"step  {bar(share, _bar_width(width), ascii_only)} {100 * share:3.0f} %"
    return Text(head + _told(view, width - 2 - len(head)))


def _bar_width(width: int) -> int:
    return max(8, min(40, width - 68))


def _told(view: RunView, room: int) -> str:
    """What the step does, the most important first; what there is no room for is left out."""
    p = view.progress
    words = [
        "stops after this step" if view.wishes.stop_after_step else "stops" if view.wishes.stop else "",
        one_line(p.step),
        f"epoch {p.epoch}/{p.epochs}" if p.epochs else "",
        f"loss {p.loss:.3f}" if p.loss is not None else "",
        f"{p.images_per_second:,.0f} img/s" if p.images_per_second else "",
    ]
    line = ""
    for word in filter(None, words):
        line += f"  {word}" if len(line) + len(word) + 2 <= room or not line else ""
    return line


def machine(gauges: Gauges) -> Text:
    """How busy the machine is."""
    words = [f"CPU {gauges.cpu:.0f} %", f"RAM {gauges.memory:.0f} % ({size(gauges.used, 1024)})"]
    for i, gpu in enumerate(gauges.gpus):
        memory = f"{size(gpu.used, 1024)}/{size(gpu.memory, 1024)}"
        words.append(f"GPU{i} {gpu.busy:.0f} %  {memory}  {gpu.temperature:.0f} C  {gpu.power:.0f} W")
    return Text("  |  ".join(words))


def training(curve: Curve, metric: Metric) -> Picture:
    """The primary metric and the loss of each epoch, stretched so that the largest is as high. At least one epoch."""
    zeros = (0.0,) * len(curve.epochs)
    xs = tuple(float(epoch) for epoch in curve.epochs)
    height = 100 if metric.is_percent else max(curve.accuracy) or 1.0
    most = max(curve.loss) or 1.0
    times = f"{height / most:.{0 if metric.is_percent else 2}f}"
    series = (
        Series(f"training {metric.noun or metric.title}{metric.suffix}", xs, curve.accuracy, zeros),
        Series(f"loss (x {times})", xs, tuple(height * loss / most for loss in curve.loss), zeros),
    )
    return Picture(series, title=f"{curve.trial}: {curve.label}", x_label="epoch", points=len(xs) < 2)
