"""Accuracy against sparsity for all methods of a run, one panel a family, as an SVG.

prunetui --batch every-method
python -m benchmarks.methods_picture last -o docs/methods.svg
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from prunetui import report
from prunetui.chart import COLORS
from prunetui.config import parse_study
from prunetui.config.choices import schedule_of
from prunetui.plugins import catalogue
from prunetui.store import Run, find_run

SHAPES = "osD^v<>pPX*h"
PANELS = {
    "weights": "weights masked",
    "schedules": "at initialisation, while training, by other schedules",
    "kernels": "kernels masked",
    "channels": "channels removed",
    "sharing": "filters shared or merged, sequences",
}


def panel_of(run: Run) -> dict[str, str]:
    """Label of a method -> the panel it belongs to."""
    study = parse_study(run.study_text())
    found = {}
    for method in study.methods:
        family = catalogue().methods[method.name].family
        family = "sharing" if family == "sequence" else family
        other = schedule_of(study, method).name != "one-shot" and family == "weights"
        found[method.label or method.name] = "schedules" if other else family
    return found


def draw(run: Run, path: Path) -> None:
    """Write the picture of a run."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "prunetui", "font.size": 8, "axes.spines.top": False})
    from matplotlib import pyplot

    lines = report.lines(run.rows())
    panels = panel_of(run)
    control = next(line.figures["top1"] for line in lines if line.method == "dense" and line.figures["top1"].mean)
    figure, axes = pyplot.subplots(3, 2, figsize=(11, 12), sharex=True, sharey=True, layout="constrained")
    for axis, (family, title) in zip(axes.flat, PANELS.items(), strict=False):
        chosen = [curve for curve in report.series(lines) if panels.get(curve.label) == family]
        for i, curve in enumerate(chosen):
            color = tuple(channel / 255 for channel in COLORS[i % len(COLORS)])
            style = {"color": color, "marker": SHAPES[i % len(SHAPES)], "markersize": 4, "linewidth": 1.2}
            axis.errorbar(curve.x, curve.y, yerr=curve.spread, capsize=2, label=curve.label, **style)
        axis.axhline(control.mean, color="0.5", linestyle="--", linewidth=1, label="dense control")
        axis.set(title=title, xlabel="fraction of prunable weights removed", ylabel="top-1 %")
        axis.grid(alpha=0.2)
        axis.legend(fontsize=7, ncols=2, loc="lower left")
    axes.flat[-1].axis("off")
    figure.savefig(path, metadata={"Date": None})


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.methods_picture", description=__doc__)
    parser.add_argument("run", help="id of a run, part of it, its path, or last")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/methods.svg"))
    given = parser.parse_args(arguments)
    draw(find_run(given.runs, given.run), given.output)
    print(given.output)


if __name__ == "__main__":
    main()
