"""Accuracy against sparsity for all methods of a run, one panel a family, as an SVG.

prunetui --batch every-method
python -m benchmarks.methods_picture last -o docs/methods.svg
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from prunetui.config import parse_study
from prunetui.config.choices import schedule_of
from prunetui.errors import PrunetuiError
from prunetui.plugins.method_catalogue import catalogue
from prunetui.results import summary
from prunetui.results.chart import Picture
from prunetui.results.figure import STYLE, draw_series
from prunetui.store import Run, find_run

FIGURES = {"top1_before": "before recovery", "top1": "after recovery"}
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
    from matplotlib.figure import Figure

    lines = summary.lines(run.rows())
    panels = panel_of(run)
    control = next(line.figures for line in lines if line.method == "dense")
    with matplotlib.rc_context({**STYLE, "font.size": 8}):
        figure = Figure(figsize=(11, 18), layout="constrained")
        axes = figure.subplots(len(PANELS), 2)
        for column, (name, words) in enumerate(FIGURES.items()):
            curves = summary.series(lines, y=name)
            for place, (family, title) in zip(axes[:, column], PANELS.items(), strict=True):
                chosen = tuple(curve for curve in curves if panels.get(curve.label) == family)
                draw_series(place, Picture(chosen, control[name].mean))
                place.set(title=f"{title}: {words}", xlabel="fraction of prunable weights removed", ylabel="top-1 %")
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
    try:
        main()
    except PrunetuiError as error:
        raise SystemExit(str(error)) from None
