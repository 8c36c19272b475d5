"""``python -m benchmarks [NAME...] [--json]``: run the cases of this package and print a line for each result.

A case is a module with a function ``results()`` that yields mappings with at least ``name``, ``ours``, ``peer`` and
``ratio`` (above 1 is better), and mostly ``unit`` and ``spread``. Its name is the module's, with dashes.
"""

from __future__ import annotations

import argparse
import json
import pkgutil
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any

import benchmarks

Result = Mapping[str, Any]
LINE = "{name:<40} {ours:>12} {peer:>12} {ratio:>7} {spread:>8}"


def cases() -> dict[str, Callable[[], Iterator[Result]]]:
    """Every case by name."""
    modules = [info.name for info in pkgutil.iter_modules(benchmarks.__path__) if not info.name.startswith("_")]
    loaded = {name.replace("_", "-"): import_module(f"benchmarks.{name}") for name in modules}
    return {name: module.results for name, module in loaded.items() if hasattr(module, "results")}


def line(result: Result) -> str:
    """A result for the eye."""
    unit = result.get("unit", "")
    ours, peer = (f"{result[key]:.4g} {unit}".rstrip() for key in ("ours", "peer"))
    spread = f"±{result['spread']:.2g}" if "spread" in result else ""
    return LINE.format(name=result["name"], ours=ours, peer=peer, ratio=f"{result['ratio']:.2f}", spread=spread)


def main() -> int:
    """Run the named cases, or all of them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Side-by-side measurements.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="cases to run; all without any")
    parser.add_argument("--json", action="store_true", help="one object a line")
    asked = parser.parse_args()
    found = cases()
    unknown = [name for name in asked.names if name not in found]
    if unknown:
        parser.error(f"no case is called {unknown[0]!r}; there are: {', '.join(found)}")
    if not asked.json:
        print(LINE.format(name="name", ours="ours", peer="peer", ratio="ratio", spread="spread"))
    for name in asked.names or found:
        for result in found[name]():
            print(json.dumps(dict(result)) if asked.json else line(result), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
