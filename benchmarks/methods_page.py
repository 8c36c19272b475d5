"""The page of all methods, written from what the methods say of themselves: python -m benchmarks.methods_page."""

from __future__ import annotations

from pathlib import Path

from prunetui.plugins import MethodInfo, catalogue

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
    "channels": "Channels are physically removed from every layer coupled to them: smaller and faster.",
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
for what a method does to a net, not for how it ranks on yours - that is one study away.
"""
TAIL = """
## Schedules

| schedule | what happens |
| --- | --- |
| `one-shot` | prune once, then recover by [finetune] |
| `iterative` | level by level with recovery after each: `steps`, explicit `levels`, or the study's sparsities |
| `gradual` | prune within one recovery training along the cubic of Zhu & Gupta 2017: as many epochs as one-shot |
| `lottery-ticket` | after every level the weights of epoch k come back and are trained again (Frankle et al. 2020) |
| `lr-rewinding` | after every level the end of [train] is repeated, learning rates included (Renda et al. 2020) |
| `at-init` | prune the untrained net, then train it |
| `dynamic` | train sparsely from the start; the mask moves (`rigl`, `set`) |

Recovery is fine-tuning, with `finetune.distill` and `finetune.temperature` also distillation from the dense net: one
recipe for all methods and for the dense control. A combination that makes no sense is refused with its reason.
"""


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    methods = catalogue().methods.values()
    for family, title in FAMILIES.items():
        parts.append(f"\n## {title}\n\n{ABOUT[family]}\n")
        parts.append("| method | what goes | options | source |\n| --- | --- | --- | --- |")
        parts += [_row(info) for info in methods if info.family == family]
    return "\n".join(parts) + "\n" + TAIL


def _row(info: MethodInfo) -> str:
    options = ", ".join(f"`{option.name}`" for option in info.options)
    cells = [cell.replace("|", BAR) for cell in (f"`{info.name}`", info.summary, options, info.source)]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)
