"""``python -m benchmarks [NAME...] [--json | --markdown]``: run the cases of this package, print a line a result.

A case is a module with a function ``results()`` that yields mappings with at least ``name``, ``ours``, ``peer`` and
``ratio`` (above 1 is better), and mostly ``unit`` and ``spread``; where the peer raises they are None,
and ``fails`` says what. Its name is the module's, with dashes.
"""

from __future__ import annotations

import argparse
import json
import pkgutil
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from importlib import import_module
from typing import Any

import benchmarks
from prunetui.store.environment import environment

Result = Mapping[str, Any]
LINE = "{name:<40} {ours:>12} {peer:>12} {ratio:>7} {spread:>8}"
MARKDOWN = "| {name} | {ours} | {peer} | {ratio} | {spread} |"


def cases() -> dict[str, Callable[[], Iterator[Result]]]:
    """Every case by name."""
    modules = [info.name for info in pkgutil.iter_modules(benchmarks.__path__) if not info.name.startswith("_")]
    loaded = {name.replace("_", "-"): import_module(f"benchmarks.{name}") for name in modules}
    return {name: module.results for name, module in loaded.items() if hasattr(module, "results")}


def line(result: Result, form: str = LINE) -> str:
    """A result for the eye."""
    unit = result.get("unit", "")
    if failure := result.get("fails"):
        return form.format(name=result["name"], ours="", peer="fails", ratio="", spread=failure)
    ours, peer = (f"{result[key]:.4g} {unit}".rstrip() for key in ("ours", "peer"))
    spread = f"±{result['spread']:.2g}" if "spread" in result else ""
    return form.format(name=result["name"], ours=ours, peer=peer, ratio=f"{result['ratio']:.2f}", spread=spread)


def origin(names: list[str]) -> str:
    """What printed a table, on what and when."""
    import torch

    where = environment("cuda" if torch.cuda.is_available() else "cpu")
    found = ", ".join(f"{name} {where['versions'][name]}" for name in ("python", "torch", "onnxruntime"))
    command = " ".join(["python -m benchmarks", *names, "--markdown"])
    return f"`{command}` on {where['device_name']}, {where['cpu_count']} CPUs; {found}; {date.today()}:"


def main() -> int:
    """Run the named cases, or all of them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Side-by-side measurements.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="cases to run; all without any")
    forms = parser.add_mutually_exclusive_group()
    forms.add_argument("--json", action="store_true", help="one object a line")
    forms.add_argument("--markdown", action="store_true", help="a table with the machine, versions and date above it")
    asked = parser.parse_args()
    found = cases()
    unknown = [name for name in asked.names if name not in found]
    if unknown:
        parser.error(f"no case is called {unknown[0]!r}; there are: {', '.join(found)}")
    form = MARKDOWN if asked.markdown else LINE
    if asked.markdown:
        print(f"{origin(asked.names)}\n")
    if not asked.json:
        print(form.format(name="name", ours="ours", peer="peer", ratio="ratio", spread="spread"))
    if asked.markdown:
        print("| --- | ---: | ---: | ---: | ---: |")
    for name in asked.names or found:
        for result in found[name]():
            print(json.dumps(dict(result)) if asked.json else line(result, form), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
