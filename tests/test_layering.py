"""Who may import whom, checked in fresh interpreters: views start at once because nothing heavy is behind them."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import pytest

import prunetui

ROOT = Path(prunetui.__file__).resolve().parent.parent
HEAVY = {"torch", "torchvision", "sklearn", "textual"}
LIGHT = ["cli", "config", "plan", "plugins", "store", "results", "report", "execute", "files", "terminal"]
"""Folders of which no module needs torch to be imported."""
COMPUTING = "prunetui.execute.executors.workers.worker"
"""But for the process that computes."""
METHODS = sorted((ROOT / "methods").glob("*.py"))
PRODUCT = sorted((ROOT / "prunetui").rglob("*.py"))
ENGINE = [file for file in PRODUCT if file.relative_to(ROOT).parts[1] in ("engine", "api", "formats")]


def imported_by(code: str) -> set[str]:
    """The modules that a fresh interpreter has after ``code``."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport json, sys; print(json.dumps(sorted(sys.modules)))"],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return set(json.loads(done.stdout.splitlines()[-1]))


def modules_of(folder: str) -> list[str]:
    """Every module of a folder of prunetui, but the ones that run when they are imported."""
    files = sorted((ROOT / "prunetui" / folder).rglob("*.py"))
    names = [".".join(file.relative_to(ROOT).with_suffix("").parts) for file in files if file.stem != "__main__"]
    return [name.removesuffix(".__init__") for name in names]


@pytest.mark.parametrize("folder", LIGHT)
def test_a_light_folder_brings_nothing_heavy(folder: str):
    modules = [name for name in modules_of(folder) if name != COMPUTING]
    found = imported_by("; ".join(f"import {name}" for name in modules))
    assert set(modules) <= found
    assert not {module.split(".")[0] for module in found} & HEAVY
    assert not any(module.startswith(("prunetui.engine", "prunetui.api", "methods.")) for module in found)


@pytest.mark.parametrize("name", ["config", "plan", "plugins", "events", "store"])
def test_what_a_run_is_made_of_knows_no_terminal(name: str):
    found = {module.split(".")[0] for module in imported_by(f"import prunetui.{name}")}
    assert not found & {"rich", "typer", "plotext"}


def test_screens_are_drawn_without_torch():
    names = (
        "app",
        "screens.results.results_screen",
        "screens.compare.compare_screen",
        "screens.trial.trial_screen",
        "screens.live.live_screen",
        "screens.runs.runs_screen",
    )
    found = imported_by("; ".join(f"import prunetui.tui.{name}" for name in names))
    assert not {module.split(".")[0] for module in found} & ((HEAVY | {"methods", "numpy"}) - {"textual"})
    found = imported_by("import safetensors.numpy")
    assert "torch" not in found


def test_a_study_is_read_and_planned_without_torch():
    code = "from prunetui.config import load_study; from prunetui.plan import build_plan\n"
    found = imported_by(code + "assert build_plan(load_study('quickstart')).trials")
    assert not {module.split(".")[0] for module in found} & (HEAVY | {"methods"})


@pytest.mark.parametrize("name", ["app", "screens.runs.runs_screen", "screens.configure.configure_screen"])
def test_a_screen_appears_before_the_schema_is_there(name: str):
    found = {module.split(".")[0] for module in imported_by(f"import prunetui.tui.{name}")}
    assert not found & {"torch", "torchvision", "sklearn", "pydantic", "numpy"}


def _imports(tree: ast.AST) -> list[str]:
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names.append("." * node.level + (node.module or ""))
    return names


@pytest.mark.parametrize("file", METHODS, ids=lambda file: file.stem)
def test_a_method_sees_only_the_interface_of_methods(file: Path):
    names = _imports(ast.parse(file.read_text(encoding="utf-8")))
    assert not any(name.startswith((".", "methods")) for name in names)
    assert {name for name in names if name.split(".")[0] == "prunetui"} <= {"prunetui.api"}


@pytest.mark.parametrize("file", METHODS, ids=lambda file: file.stem)
def test_a_method_reads_no_file_and_prints_nothing(file: Path):
    tree = ast.parse(file.read_text(encoding="utf-8"))
    called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not called & {"print", "open", "input", "eval", "exec"}


@pytest.mark.parametrize("file", PRODUCT, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_module_of_the_product_imports_a_method_by_name(file: Path):
    names = _imports(ast.parse(file.read_text(encoding="utf-8")))
    assert not any(name.split(".")[0] == "methods" for name in names)


@pytest.mark.parametrize("file", ENGINE, ids=lambda file: str(file.relative_to(ROOT)))
def test_the_engine_sees_neither_the_store_nor_a_view(file: Path):
    seen = {".".join(name.split(".")[:2]) for name in _imports(ast.parse(file.read_text(encoding="utf-8")))}
    views = ("store", "cli", "report", "results", "execute", "tui", "terminal")
    assert not seen & {f"prunetui.{view}" for view in views}
    assert not {name.split(".")[0] for name in seen} & {"textual", "rich", "typer", "plotext"}


# Circles -----------------------------------------------------------------------------------------


def _module(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def _imported(node: ast.AST, package: str, modules: Collection[str]) -> set[str]:
    """The modules that an import names: of ``from a import b`` ``a.b``, if that is a module, otherwise ``a``."""
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}.intersection(modules)
    if not isinstance(node, ast.ImportFrom):
        return set()
    outer = package.split(".")[: package.count(".") + 2 - node.level] if node.level else []
    base = ".".join([*outer, *([node.module] if node.module else [])])
    inner = {f"{base}.{alias.name}" for alias in node.names}
    return {name if name in modules else base for name in inner}.intersection(modules)


def import_graph(sources: Mapping[str, str], packages: Collection[str]) -> dict[str, set[str]]:
    """Module -> the others of ``sources`` that it imports anywhere: at the top, in a function, for types only."""
    graph: dict[str, set[str]] = {}
    for module, text in sources.items():
        package = module if module in packages else module.rpartition(".")[0]
        found = [_imported(node, package, sources) for node in ast.walk(ast.parse(text))]
        graph[module] = set().union(*found) - {module}
    return graph


def circles(graph: Mapping[str, Collection[str]]) -> set[frozenset[str]]:
    """Sets of modules of which each reaches each other (Tarjan's strongly connected components of two or more)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: set[frozenset[str]] = set()

    def visit(module: str) -> None:
        index[module] = low[module] = len(index)
        stack.append(module)
        for other in graph[module]:
            if other not in index:
                visit(other)
                low[module] = min(low[module], low[other])
            elif other in stack:
                low[module] = min(low[module], index[other])
        if low[module] == index[module]:
            place = stack.index(module)
            if len(stack) - place > 1:
                found.add(frozenset(stack[place:]))
            del stack[place:]

    for module in graph:
        if module not in index:
            visit(module)
    return found


def test_circles_are_found_wherever_the_import_stands():
    sources = {
        "p": "",
        "p.a": "from p import b\nfrom p.e import thing",
        "p.b": "def f():\n    from .c import g",
        "p.c": "if TYPE_CHECKING:\n    import p.a",
        "p.d": "from p.a import f",
        "p.e": "import p.f",
        "p.f": "from . import e",
    }
    graph = import_graph(sources, {"p"})
    assert graph["p.a"] == {"p.b", "p.e"}
    assert circles(graph) == {frozenset({"p.a", "p.b", "p.c"}), frozenset({"p.e", "p.f"})}


def test_no_modules_import_each_other_in_a_circle():
    sources = {_module(file): file.read_text(encoding="utf-8") for file in PRODUCT}
    packages = {_module(file) for file in PRODUCT if file.name == "__init__.py"}
    assert circles(import_graph(sources, packages)) == set()


FEATURES = sorted(folder.parent.name for folder in (ROOT / "prunetui/tui/screens").glob("*/__init__.py"))


@pytest.mark.parametrize("feature", FEATURES)
def test_a_screen_knows_neither_the_application_nor_another_screen(feature: str):
    others = tuple(f"prunetui.tui.screens.{other}" for other in FEATURES if other != feature)
    for file in sorted((ROOT / "prunetui/tui/screens" / feature).glob("*.py")):
        names = _imports(ast.parse(file.read_text(encoding="utf-8")))
        assert not [name for name in names if name.startswith((*others, "prunetui.tui.app"))], file


# Sizes and names ----------------------------------------------------------------------------------------


WRITTEN = [file for folder in ("prunetui", "methods", "benchmarks") for file in sorted((ROOT / folder).rglob("*.py"))]


def repeated(names: Iterable[str]) -> list[str]:
    return sorted(name for name, times in Counter(names).items() if times > 1)


def test_files_and_functions_are_short():
    lines = {str(file.relative_to(ROOT)): file.read_text(encoding="utf-8").count("\n") for file in WRITTEN}
    assert {file: count for file, count in lines.items() if count > 250} == {}
    functions = [
        (file.name, node.name, node.end_lineno - node.lineno + 1)
        for file in WRITTEN
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno
    ]
    assert [function for function in functions if function[2] > 40] == []


def test_a_name_of_a_file_or_class_means_one_thing():
    product = [file for file in WRITTEN if file.parts[-2] != "benchmarks" and not file.name.startswith("__")]
    assert repeated(file.name for file in product) == []
    classes = [
        node.name
        for file in WRITTEN
        for node in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    ]
    assert repeated(classes) == []
