"""docs/torch-pruning.md from the trials of a comparison: ``python -m benchmarks.torch_pruning_page [trials.jsonl]``."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks._compared_pruners import PAIRS
from benchmarks._dependency_graph_pruner import NORM_STEPS, TAYLOR_STEPS
from benchmarks._plain_training import BATCH, CALIBRATION
from benchmarks.torch_pruning import Trial, read_log, rows

PAGE = Path(__file__).resolve().parent.parent / "docs" / "torch-pruning.md"
TRIALS = PAGE.with_suffix(".jsonl")
"""The trials that the page is of."""
CONSTANTS = {"batch": BATCH, "calibration": CALIBRATION, "norm_steps": NORM_STEPS, "taylor_steps": TAYLOR_STEPS}
HEAD = """# Beside Torch-Pruning's own pruner

Written by `python -m benchmarks.torch_pruning_page trials.jsonl` from [single trials](torch-pruning.jsonl), which

```sh
python -m benchmarks.torch_pruning --data {data} --images {images} --size {size} --seeds {seeds} \\
    --epochs {epochs} --finetune {finetune} --removed {removed} --log trials.jsonl
```

made ({machine}).
`python -m benchmarks torch-pruning` does the same on digits, which need no download, with one seed.

In short: as both are by default, the pruned networks are equally good: each difference, and their mean in favour of
ours, is within what seeds make. Torch-Pruning's global loop of small steps thins single layers to nothing; in one step
it does what ours does. `taylor-structured` as it is thins other layers to nothing, and is far behind on mobilenet_v2;
with a tenth of each layer kept it is ahead on the mean, and behind on resnet20.

- A network is trained once a seed, for {epochs} epochs of {images:,} images of {size}x{size}; each side prunes a copy.
  All are small (`benchmarks/_small_networks.py`), and trained briefly: read differences, not accuracies.
- Torch-Pruning runs the loop of its authors' reproduction: `BasePruner` on its way to no channels in {norm_steps} steps
  ({taylor_steps} for Taylor, with gradients taken anew before each), `ignored_layers` the classifier, no rounding,
  until at most {left:.0%} of the multiply-accumulates are left. Ours is one call of `prunetui.prune` with
  `target="macs"`, to what the peer has reached; `torch.utils.flop_counter` counts both.
- Both see the same {calibration} images for gradients, and are then trained for {finetune} epochs by one plain loop:
  the same images in the same order, SGD with momentum, batches of {batch}.
- Figures are top-1 in percent on as many test images after the last epoch, means of {seeds} seeds; *raw* is before
  fine-tuning, where ours has its batch-norm statistics estimated anew on those {calibration} images. The difference is
  that of the two sides of one seed, with its standard deviation.
"""
NOTES = {
    "norm, equal ratios": """
The default of both. The criterion is the same; theirs scores anew before each of its steps, ours once.
""",
    "norm, global": """
Theirs divides the scores of a group by the mean of what is left of it, anew before each step: of a group that has lost
some the weakest look weaker still, and the loop goes on to a single channel. Ours ranks once; so do both in the next
table.
""",
    "norm, global, at once": """
Where there are plain convolutions alone the same channels go, and the two networks are equal to the last digit. On
mobilenet_v2 and regnet_x theirs counts no weights of depthwise convolutions, and those of grouped ones for all groups.
""",
    "Taylor, global": """
Ours compares scores as they are, as its source does, and ranks once where its source goes in small steps: in
mobilenet_v2 none of the 1,280 channels of the last layer matters much, and next to all of them go; so do those of the
last layers of vgg11 with one seed. `prunetui.prune` says so, and that `floor=0.1` keeps a tenth of each layer: the next
table. Theirs divides by the mean of each layer, as `normalise = "mean"` does, and scores anew before each step.
""",
    "Taylor, global, a tenth stays": """
A tenth is enough on mobilenet_v2; the last layers of vgg11 are too narrow with it, with that one seed.
This pair was added when the first seed of the one above had shown the collapse.
""",
}
"""Why figures are what they are."""
COLUMNS = "| network | dense | MACs left, theirs | ours | raw, theirs | ours | fine-tuned, theirs | ours | difference |"


def page(about: Mapping[str, Any], trials: Sequence[Trial]) -> str:
    """The whole page."""
    found = list(rows(trials))
    told = {"left": 1 - about["removed"], "seeds": len({trial["seed"] for trial in trials}), **CONSTANTS}
    parts = [HEAD.format(**about, **told)]
    for pair in PAIRS:
        own = {row["name"].partition(": ")[0]: row for row in found if row["name"].endswith(f": {pair.title}")}
        measured = {name: row for name, row in own.items() if "fails" not in row}
        why = NOTES.get(pair.title, "")
        parts += [f"## {pair.title}\n", pair.about, _verdict(measured), *([why] if why else [""])]
        parts += [COLUMNS, f"| --- |{' ---: |' * (COLUMNS.count('|') - 2)}"]
        parts += [*(_line(row, name) for name, row in measured.items()), ""]
    return "\n".join([*parts, "## Where Torch-Pruning fails\n", *_failures(found), ""])


def _verdict(measured: Mapping[str, Mapping[str, Any]]) -> str:
    """On how many networks ours is no worse, and the mean over all."""
    if not measured:
        return "It fails on all networks."
    gains = {name: row["gain"] for name, row in measured.items() if name != "mean"}
    behind = [f"{name} ({_gain(measured[name])})" for name, gain in gains.items() if gain < 0]
    told = f"Ours is no worse on {len(gains) - len(behind)} of {len(gains)} networks"
    more = f"; behind on {', '.join(behind)}" if behind else ""
    return f"{told}{more}. On the mean it is {measured['mean']['gain']:+.2f} points."


def _gain(row: Mapping[str, Any]) -> str:
    return f"{row['gain']:+.2f}" + (f" ±{row['spread']:.2f}" if "spread" in row else "")


def _line(row: Mapping[str, Any], name: str) -> str:
    shares = [f"{row[key]:.2%}" for key in ("peer_macs", "macs")]
    dense, *accuracies = [f"{row[key]:.2f}" for key in ("dense", "peer_raw", "raw", "peer", "ours")]
    return f"| {' | '.join([name, dense, *shares, *accuracies, _gain(row)])} |"


def _failures(found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A line a network and error, with the pairs in which it comes."""
    where: dict[tuple[str, str], list[str]] = {}
    for row in found:
        if "fails" in row:
            name, _, title = row["name"].partition(": ")
            where.setdefault((name, row["fails"]), []).append(title)
    for (name, error), titles in where.items():
        yield f"- {name}, {'everywhere' if len(titles) == len(PAIRS) else '; '.join(titles)}: `{error}`"


def main() -> None:
    """Write the page, and keep the trials beside it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.torch_pruning_page", description=__doc__)
    parser.add_argument("log", nargs="?", type=Path, default=TRIALS, help="what --log of the comparison wrote")
    log: Path = parser.parse_args().log
    if log.resolve() != TRIALS:
        shutil.copyfile(log, TRIALS)
    PAGE.write_text(page(*read_log(TRIALS)), encoding="utf-8")
    print(PAGE)


if __name__ == "__main__":
    main()
