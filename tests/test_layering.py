"""Who may import whom, checked in fresh interpreters: views start at once because nothing heavy is behind them."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import prunetui

ROOT = Path(prunetui.__file__).resolve().parent.parent
HEAVY = {"torch", "torchvision", "sklearn", "textual"}
LIGHT = ["cli", "config", "plan", "plugins", "store", "results", "report", "execute", "files", "terminal"]
"""Folders of which no module needs torch to be imported."""
COMPUTING = "prunetui.execute.child"
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
