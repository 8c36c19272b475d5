"""The accuracy a run lost by iterative magnitude pruning with rewinding, beside what was published.

prunetui --batch imp-rewinding
python -m benchmarks.published last

Drops are points of top-1 below the dense network, of each side its own: where data or training differ, they can be
compared. Published: Vandersmissen & Oramas 2023, CIFAR-10, means of 3 runs and their deviation where one is given.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from prunetui.config import parse_study
from prunetui.errors import PrunetuiError, UsageError
from prunetui.results import summary
from prunetui.results.summary import Figure
from prunetui.store import Run, find_run
from prunetui.terminal.output import aligned

NEAR = 0.003
"""Sparsities this far apart are the same point: 98.9 % stands for 98.85."""
COLUMNS = ("sparsity", "published dense", "published", "drop", "our dense", "ours", "our drop", "seeds")


@dataclass(frozen=True)
class Published:
    """Top-1 in percent on the test images: of the dense network, and at fractions of weights removed."""

    dense: Figure
    pruned: Mapping[float, Figure]


PUBLISHED = {
    "resnet20": Published(
        Figure(91.67, 0.40),
        {
            0.672: Figure(92.01, None),
            0.893: Figure(90.90, 0.15),
            0.965: Figure(85.59, None),
            0.989: Figure(77.07, None),
        },
    ),
    "vgg16": Published(
        Figure(93.52, None),
        {
            0.893: Figure(93.75, None),
            0.965: Figure(93.69, None),
            0.989: Figure(93.53, None),
            0.996: Figure(91.88, None),
        },
    ),
}


def published_for(run: Run) -> Published:
    """The published figures for a run's network.

    Raises:
        UsageError: there are none.
    """
    name = parse_study(run.study_text()).model.name
    if name not in PUBLISHED:
        raise UsageError(f"nothing published is kept here for {name}; there is for: {', '.join(PUBLISHED)}")
    return PUBLISHED[name]


def table(rows: Sequence[summary.Row], published: Published) -> list[list[str]]:
    """A row of cells, in the order of ``COLUMNS``, for each published sparsity that the run reached."""
    found = []
    for line in summary.lines(summary.with_drop(rows)):
        sparsity = float(line.target.partition(":")[2])
        near = [level for level in published.pruned if abs(level - sparsity) < NEAR]
        if line.method == "dense" or not near or "drop" not in line.figures:
            continue
        theirs, ours = published.pruned[near[0]], line.figures
        drop = f"{published.dense.mean - theirs.mean:.2f}"
        cells = [ours["top1_dense"].text(), ours["top1"].text(), ours["drop"].text(), str(line.seeds - line.failed)]
        found.append([f"{sparsity:.1%}", published.dense.text(), theirs.text(), drop, *cells])
    return found


def main() -> int:
    """Print the table of a run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.published", description=__doc__.split("\n")[0])
    parser.add_argument("run", nargs="?", default="last", help="a run of imp-rewinding, or of a study like it")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of runs (default: runs)")
    given = parser.parse_args()
    run = find_run(given.runs, given.run)
    found = table(run.rows(), published_for(run))
    if not found:
        raise UsageError(
            f"the run {run.id} has no finished trial at a published sparsity; `prunetui --batch imp-rewinding`"
        )
    print("\n".join(aligned(COLUMNS, found, COLUMNS)))
    return 0


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except PrunetuiError as error:
        print(error, file=sys.stderr)
        raise SystemExit(error.exit_code) from None
