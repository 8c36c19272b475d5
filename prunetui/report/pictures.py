"""Small pictures of layers: what each keeps, or what is left of the accuracy when only it is pruned."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from prunetui.metrics import Metric
from prunetui.report.charts import Chart
from prunetui.report.drawing import inline
from prunetui.report.kept_layers import Kept
from prunetui.report.sentences import capital
from prunetui.results.figure import STYLE
from prunetui.results.summary import Sensitivity
from prunetui.terminal.printable import one_line

WIDTH, ROW, LETTER, AROUND = 5.6, 0.2, 0.058, 0.3
"""Inches: of a picture, of a row of cells, of a letter of the names below them, of what else there is."""
LEAST = 1.5
LONGEST = 30
"""Letters of a name of coupled layers."""
LABELS = 30
"""Most names along an axis; of more layers every second, third, ... is named."""
LOW = 0.4
"""Exponent of the colour scale of densities: 0.01, 0.05 and 0.1 can be told apart."""
SHADES, LEVELS = "viridis", 40
"""Colours, and how many: of more than 50, matplotlib would put the scale as pixels into the drawing."""


def kept_chart(kept: Kept, name: str) -> Chart:
    """Layers from left to right, targets from top to bottom, the lighter the more is kept."""
    from matplotlib.colors import PowerNorm

    values = [target.partition(":")[2] or target for target in kept.targets]
    kind = kept.targets[0].partition(":")[0]
    cells = [[100 * density for density in row] for row in kept.density]
    svg = _heat(cells, kept.layers, values, kind, "kept, %", PowerNorm(LOW, 0, 100), (0, 1, 5, 20, 50, 100))
    return Chart(name, kept.method, f"Seed {kept.seed}.", inline(svg, name, f"what {kept.method} keeps of each layer"))


def sensitivity_chart(method: str, of: Sequence[Sensitivity], name: str, metric: Metric) -> Chart | None:
    """The same for a sensitivity study: ``metric`` with only this layer pruned; None when nothing was measured."""
    measured = [one for one in of if one.figures]
    if not measured:
        return None
    targets = list(dict.fromkeys(target for one in measured for target in one.figures))
    nothing = float("nan")
    cells = [[one.figures[t].mean if t in one.figures else nothing for one in measured] for t in targets]
    layers = [_short(" + ".join(one.layers)) for one in measured]
    values = [target.partition(":")[2] or target for target in targets]
    svg = _heat(cells, layers, values, targets[0].partition(":")[0], metric.titled(), None, None)
    words = f"{capital(metric.title)} with only this layer, or group of coupled layers, pruned."
    return Chart(name, method, words, inline(svg, name, f"sensitivity of layers to {method}"))


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 2]}.."


def _heat(
    cells: Sequence[Sequence[float]],
    columns: Sequence[str],
    rows: Sequence[str],
    what: str,
    scale: str,
    norm: Any,
    ticks: Sequence[float] | None,
) -> bytes:
    import matplotlib
    from matplotlib.figure import Figure

    columns, rows, what = [*map(one_line, columns)], [*map(one_line, rows)], one_line(what)
    with matplotlib.rc_context(STYLE):
        height = max(AROUND + ROW * len(rows) + LETTER * max(map(len, columns)), LEAST)
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        axes = figure.subplots()
        shades = matplotlib.colormaps[SHADES].resampled(LEVELS)
        mesh = axes.pcolormesh(cells, cmap=shades, norm=norm, edgecolor="white", linewidth=0.4)
        axes.invert_yaxis()
        step = 1 + (len(columns) - 1) // LABELS
        axes.set_xticks([i + 0.5 for i in range(0, len(columns), step)], columns[::step], rotation=90, fontsize=6.5)
        axes.set_yticks([i + 0.5 for i in range(len(rows))], rows, fontsize=7.5)
        for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
            label.set_parse_math(False)
        axes.set_ylabel(what, parse_math=False)
        axes.tick_params(length=0)
        bar = figure.colorbar(mesh, ax=axes, ticks=ticks, format=lambda value, _: f"{value:g}", pad=0.01)
        bar.set_label(scale)
        out = io.BytesIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue()
