"""The page of all methods, written from what the methods say of themselves: python -m benchmarks.methods_page."""

from __future__ import annotations

from pathlib import Path

from benchmarks.method_sources import SOURCES
from prunetui.plugins.method_catalogue import MethodInfo, catalogue

PAGE = Path(__file__).resolve().parent.parent / "docs" / "methods.md"
FAMILIES = {
    "weights": "Weights",
    "kernels": "Kernels",
    "channels": "Channels",
    "sharing": "Sharing and merging",
    "sequence": "Sequences",
}
ABOUT = {
    "weights": "Masks: weights become zero and stay so. The net keeps its shape, its size on disk and its speed.",
    "kernels": "Masks of whole k x k kernels.",
    "channels": "Channels are physically removed from every layer coupled to them: smaller and faster. With "
    '`scope = "isomorphic"` they are ranked among layers of one structure, as heads of attention: each loses the '
    "same share (Fang et al. 2024, Isomorphic Pruning, arXiv:2407.04616).",
    "sharing": "Filters that do nearly the same are computed once.",
    "sequence": "Several methods, one after the other.",
}
BAR = "&#124;"
"""What a bar is called inside a table."""
HEAD = """# Methods

Written by `python -m benchmarks.methods_page` from the methods' own docstrings; `prunetui methods NAME` prints one in
full, with all its options.

![accuracy against sparsity, one panel a family](methods.svg)

One net, one recipe, three seeds (bars: standard deviation): `prunetui --batch every-method`, then
`python -m benchmarks.methods_picture last -o docs/methods.svg`. Digits are easy and the net is tiny: read the picture
for what a method does to a net, not for how it ranks on yours - that is one study away. It was drawn before the
methods were brought in line with their sources as the table below says: `grasp`, `fisher-structured`,
`taylor-structured`, `bn-scale`, `group-norm`, `group-lasso`, `growing-reg`, `movement`, `wanda`, `rigl`, `set`, `apoz`,
`hrank`, `chip` and the lottery ticket's rounds give other figures now, and `dsnot`, `srigl`, `granet`, `acdc`,
`powerpropagation`, `str`, `sr-ste` and `obs-structured` are not in it.
"""
COMPARED = """
## What the sources do, and what is done here

Each repaired method has a test against an independent computation of its source's formula, on a residual network with
batch norm and three batches (`tests/pruning/test_sources.py`). The study's rules hold for all methods: the first
layer's weights and the classifier stay as they are unless `[layers]` says `first = "prune"`, `last = "prune"`.

| method | its source | here | why |
| --- | --- | --- | --- |"""
TAIL = """
## Schedules

| schedule | what happens |
| --- | --- |
| `one-shot` | prune once, then recover by [finetune] |
| `iterative` | level by level with recovery after each: `steps`, explicit `levels`, or the study's sparsities |
| `gradual` | prune within one recovery training along the cubic of Zhu & Gupta 2017: as many epochs as one-shot |
| `lottery-ticket` | after every level the weights of epoch k come back and are trained again (Frankle et al. 2020) |
| `lr-rewinding` | after every level the end of [train] is repeated, learning rates included (Renda et al. 2020) |
| `at-init` | prune the untrained net, then train it; what `snip`, `grasp` and `synflow` do where nothing else is said |
| `dynamic` | train sparsely from the start; the mask moves (`rigl`, `set`, `srigl`) |
| `during-training` | train the untrained net, shaped by the method, which prunes it at the end; no recovery |
| `dense-sparse-dense` | prune, recover, lift the masks, recover at a tenth of the rate (Han et al. 2017): ends dense |

Recovery is fine-tuning, with `finetune.distill` and `finetune.temperature` also distillation from the dense net: one
recipe for all methods and for the dense control. A combination that makes no sense is refused with its reason.
After `dense-sparse-dense` nothing is pruned, and its row says so: the target is the sparsity of the phase between,
`_before` columns are of the pruned net, and the control has trained as long at the same rates. Han et al. prune every
layer by magnitude (`l1-unstructured`) by 25 to 50 % and train each phase to convergence.
`gradual` prunes from its first epoch on, at least three times unless `steps` says fewer: two would take 87.5 % at once.
A lottery ticket of masks passes through rounds that take at most `rate` (20 %) of what remains, as in Frankle & Carbin
2019, on its way to each of the study's sparsities; `rate = 1`, `steps` or `levels` say otherwise.

## One-shot quality

The published ResNet-20 (shortcut A) on CIFAR-10 images that were re-encoded as JPEG, where it scores 81.03 % (79.61 %
after batch-norm re-estimation): pruned once, not retrained. Test top-1 in percent, printed by
`python -m benchmarks.one_shot_quality --data cifar10 --checkpoint resnet20-12fca82f.th` (512 calibration images, one
seed, first and last layer kept).

| method | batch norm | 50 % | 60 % | 70 % | 80 % | 90 % |
| --- | --- | --- | --- | --- | --- | --- |
| magnitude (`global-unstructured`) | as it was | 78.36 | 67.16 | 52.78 | 34.05 | 10.03 |
| `obd` | as it was | 67.58 | 44.46 | 16.97 | 10.00 | 10.07 |
| `obs` | as it was | 80.54 | 80.53 | 78.82 | 74.92 | 56.12 |
| `obc` | as it was | 80.76 | 80.48 | 79.43 | 76.09 | 61.28 |
| `sparsegpt` | as it was | 78.72 | 72.56 | 59.18 | 29.99 | 11.90 |
| `wanda` | as it was | 64.04 | 51.29 | 27.22 | 10.70 | 10.25 |
| `wanda`, `score = "ria"` | as it was | 74.53 | 58.61 | 24.39 | 13.35 | 10.11 |
| `dsnot` | as it was | 29.39 | 18.53 | 11.44 | 10.06 | 9.99 |
| `dsnot`, `start = "magnitude"` | as it was | 25.12 | 16.99 | 10.01 | 10.04 | 10.00 |
| magnitude a layer (`l1-unstructured`) | as it was | 77.98 | 65.66 | 45.29 | 34.11 | 16.02 |
| the same, `budget = "erk"` | as it was | 72.10 | 59.64 | 43.34 | 38.97 | 10.12 |
| the same, `budget = "owl"` | as it was | 77.10 | 66.37 | 49.87 | 33.34 | 16.20 |
| the same, `budget = "alpha"` | as it was | 77.19 | 60.34 | 34.50 | 15.33 | 12.92 |
| magnitude (`global-unstructured`) | re-estimated | 77.69 | 75.78 | 70.55 | 59.70 | 35.02 |
| `obd` | re-estimated | 75.66 | 70.93 | 59.05 | 38.54 | 14.40 |
| `obs` | re-estimated | 78.88 | 78.03 | 76.12 | 71.31 | 52.99 |
| `obc` | re-estimated | 79.54 | 79.39 | 78.94 | 77.68 | 68.04 |
| `sparsegpt` | re-estimated | 79.76 | 79.41 | 76.18 | 60.19 | 23.83 |
| `wanda` | re-estimated | 78.50 | 73.99 | 57.46 | 23.30 | 14.18 |
| `wanda`, `score = "ria"` | re-estimated | 77.43 | 75.28 | 67.76 | 40.04 | 17.16 |
| `dsnot` | re-estimated | 64.94 | 41.83 | 19.67 | 14.85 | 12.85 |
| `dsnot`, `start = "magnitude"` | re-estimated | 65.27 | 41.84 | 18.23 | 17.74 | 8.70 |
| magnitude a layer (`l1-unstructured`) | re-estimated | 77.35 | 74.39 | 68.07 | 57.07 | 27.15 |
| the same, `budget = "erk"` | re-estimated | 76.77 | 73.66 | 69.15 | 57.89 | 33.57 |
| the same, `budget = "owl"` | re-estimated | 77.55 | 74.33 | 69.21 | 57.56 | 30.52 |
| the same, `budget = "alpha"` | re-estimated | 76.98 | 72.53 | 64.22 | 19.85 | 14.19 |

`sparsegpt`, `wanda` and its variant were made for the wide linear layers of language models; in this net of narrow
convolutions they stay behind `obc`, and `wanda` behind magnitude. `dsnot` does harm here: behind a ReLU all inputs are
positive, and the means that it brings back are not what is lost. Of the layer budgets none helps as a rule.
`obs` fits the loss at the statistics it finds, so re-estimating them afterwards costs it (and the dense net) something.
"""


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    methods = catalogue().methods.values()
    for family, title in FAMILIES.items():
        parts.append(f"\n## {title}\n\n{ABOUT[family]}\n")
        parts.append("| method | what goes | options | source |\n| --- | --- | --- | --- |")
        parts += [_row(info) for info in methods if info.family == family]
    parts.append(COMPARED)
    parts += [
        _line(f"`{info.name}`", *SOURCES[info.name]) for family in FAMILIES for info in methods if info.family == family
    ]
    return "\n".join(parts) + "\n" + TAIL


def _row(info: MethodInfo) -> str:
    options = ", ".join(f"`{option.name}`" for option in info.options)
    return _line(f"`{info.name}`", info.summary, options, info.source)


def _line(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', BAR) for cell in cells)} |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)
