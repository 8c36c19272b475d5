"""A key tells the code that a step is computed by: all of it, and nothing else."""

from __future__ import annotations

import ast
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from prunetui.config import parse_study
from prunetui.plan import Plan, build_plan
from prunetui.plugins import method_catalogue
from prunetui.steps import Checkpoint, Latency, Load, Measure, Prune, Rewind, Train
from prunetui.tree import step_code
from prunetui.tree.step_code import PACKAGE, SOURCES, Sources, code_digest, code_of, file_digest, imports_of

COUNTED = sorted(map(Path, SOURCES.reached([*map(str, (PACKAGE / "steps").glob("*.py")), *SOURCES.api])))
"""All files that a key can tell."""


def told_apart(tree: ast.AST) -> str:
    """A syntax tree as text, without strings and dots that stand alone, as docstrings do."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [  # type: ignore[attr-defined]
                item for item in body if not (isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant))
            ]
    return ast.dump(tree)


@pytest.mark.parametrize("file", COUNTED, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_nothing_but_comments_and_docstrings_is_left_out(file: Path) -> None:
    text = file.read_bytes()
    assert told_apart(ast.parse(code_of(text, docstring=b"..."))) == told_apart(ast.parse(text))


@pytest.mark.parametrize("file", COUNTED, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_are_those_that_a_parser_finds(file: Path) -> None:
    text = file.read_bytes()
    expected = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            expected += [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            expected += [("." * node.level + str(node.module), alias.name) for alias in node.names]
    assert sorted(imports_of(code_of(text))) == sorted(expected)
    assert not any(module.startswith(".") for module, _ in expected)  # relative ones are not followed


HELPER = b'''
"""Adds."""

from a.b import (  # noqa: F401
    c as d,
    e,
)


def add(x):  # of x
    """One more."""
    # a comment
    text = """ value
# no comment
"""
    return x + 1
'''


def test_comments_docstrings_and_blank_lines_do_not_count_and_values_do() -> None:
    code = code_of(HELPER)
    assert code_of(HELPER.replace(b"One more", b"Two less").replace(b"# a comment", b"# another\n\n")) == code
    assert code_of(HELPER.replace(b"\n", b"\r\n")) == code
    assert code_of(HELPER.replace(b"x + 1", b"x + 2")) != code
    assert code_of(HELPER.replace(b"# no comment", b"# no word")) != code
    assert list(imports_of(code)) == [("a.b", "c"), ("a.b", "e")]


# A package of a few lines -----------------------------------------------------------------------------


@pytest.fixture
def package(tmp_path: Path) -> Path:
    files = {
        "steps/edit.py": "def apply():\n    from small.engine.edits import remove\n    remove()\n",
        "steps/wait.py": "if TYPE_CHECKING:\n    from small.engine.clock import Clock\n",
        "engine/edits.py": "from small.config.names import NAMES\nfrom small.engine.data import Images\n",
        "engine/data/__init__.py": "import small.engine.data.read\nfrom small.engine.data.images import Images\n",
        "engine/data/images.py": "class Images: ...\n",
        "engine/data/read.py": "def read(): ...\n",
        "engine/clock.py": "class Clock: ...\n",
        "config/names.py": "NAMES = ()\n",
        "api/select.py": "import small.api.top\n",
        "api/top.py": "TOP = 1\n",
    }
    for name, text in files.items():
        (tmp_path / "small" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "small" / name).write_text(text)
    return tmp_path / "small"


def test_imports_are_followed_to_where_a_name_comes_from_but_not_into_plain_data(package: Path) -> None:
    sources = Sources(package)

    def reached(name: str) -> list[str]:
        found = (Path(file).relative_to(package).as_posix() for file in sources.reached([str(package / name)]))
        return sorted(found)

    assert reached("steps/edit.py") == ["engine/data/images.py", "engine/edits.py", "steps/edit.py"]
    assert reached("steps/wait.py") == ["engine/clock.py", "steps/wait.py"]
    assert reached("api/select.py") == ["api/select.py", "api/top.py"]
    assert [Path(file).name for file in sources.api] == ["select.py", "top.py"]


def test_a_digest_changes_with_what_is_built_on_and_with_nothing_else(package: Path, tmp_path: Path) -> None:
    step = package / "steps" / "edit.py"
    before = Sources(package).digest([str(step)])
    moved = shutil.copytree(package, tmp_path / "elsewhere" / "small")
    assert Sources(moved).digest([str(moved / "steps" / "edit.py")]) == before
    (package / "engine" / "data" / "read.py").write_text("def read(): return 1\n")
    assert Sources(package).digest([str(step)]) == before
    (package / "engine" / "data" / "images.py").write_text("class Images: size = 1\n")
    assert Sources(package).digest([str(step)]) != before


# The program itself -----------------------------------------------------------------------------------

KINDS = {"Load": Load, "Checkpoint": Checkpoint, "Train": Train, "Prune": Prune, "Rewind": Rewind, "Measure": Measure}


class Repaired(Sources):
    """The sources of the program with one file changed."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._changed = str(PACKAGE / name)
        assert Path(self._changed).is_file()

    def code(self, file: str) -> bytes:
        return super().code(file) + (b"REPAIRED = True\n" if file == self._changed else b"")


@pytest.fixture
def repaired(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    def repair(name: str) -> None:
        monkeypatch.setattr(step_code, "SOURCES", Repaired(name))
        code_digest.cache_clear()
        file_digest.cache_clear()

    yield repair
    monkeypatch.undo()
    code_digest.cache_clear()
    file_digest.cache_clear()


@pytest.mark.parametrize(
    ("file", "changed"),
    [
        ("engine/edits.py", {"Prune", "Rewind"}),
        ("engine/evaluation.py", {"Prune", "Measure", "Latency"}),  # a prune step sees batches of the size it says
        ("engine/latency_timing.py", {"Latency"}),
        ("engine/models/unpickle.py", {"Checkpoint"}),
        ("engine/run.py", set()),
        ("data/tree/decode.py", set()),  # what it makes of a file is in the fingerprint of the images
        ("plan/unroll.py", set()),
        ("tui/app.py", set()),
    ],
)
def test_a_change_of_the_engine_invalidates_what_it_computes(
    file: str, changed: set[str], repaired: Callable[[str], None]
) -> None:
    kinds = {**KINDS, "Latency": Latency}
    before = {name: code_digest(kind, kind is Prune) for name, kind in kinds.items()}
    repaired(file)
    after = {name: code_digest(kind, kind is Prune) for name, kind in kinds.items()}
    assert {name for name in kinds if before[name] != after[name]} == changed


STUDY = """
methods = ["l1-structured", "taylor", "growing-reg"]
sparsities = [0.5]
"""


def planned(*overrides: str) -> Plan:
    return build_plan(parse_study(STUDY, overrides), {})


@pytest.mark.parametrize(
    ("file", "of_resnet20", "of_vgg11"),
    [("models/resnet.py", True, False), ("models/vgg.py", False, True), ("tasks/screened_logits.py", True, True)],
)
def test_a_change_of_what_a_study_names_invalidates_all_of_it(
    file: str, of_resnet20: bool, of_vgg11: bool, repaired: Callable[[str], None]
) -> None:
    names = ("resnet20", "vgg11")
    before = [set(planned(f"model.name={name}").nodes) for name in names]
    repaired(file)
    now = [set(planned(f"model.name={name}").nodes) for name in names]
    assert [not new & old for new, old in zip(now, before, strict=True)] == [of_resnet20, of_vgg11]
    assert [new == old for new, old in zip(now, before, strict=True)] == [not of_resnet20, not of_vgg11]


def after(plan: Plan) -> dict[str, str]:
    """The last state of each trial, by method."""
    return {trial.method: trial.after for trial in plan.trials}


def test_a_repaired_helper_of_methods_invalidates_their_edits_and_no_plain_training(
    repaired: Callable[[str], None],
) -> None:
    before = planned()
    repaired("api/obs_solver.py")
    now = planned()
    assert now.trials[0].dense == before.trials[0].dense
    assert now.trials[0].control == before.trials[0].control
    shaped = [[key for key, node in plan.nodes.items() if node.step.runs_method] for plan in (before, now)]
    assert {now.nodes[key].step.kind for key in shaped[1]} == {"Prune", "Train"}
    assert not set(shaped[0]) & set(shaped[1])


def test_a_changed_method_invalidates_its_own_steps_only(monkeypatch: pytest.MonkeyPatch) -> None:
    before = after(planned())
    known = method_catalogue.catalogue()
    changed = {**known.methods, "taylor": replace(known.methods["taylor"], digest="of another file")}
    monkeypatch.setattr("prunetui.plan.trial_steps.catalogue", lambda: replace(known, methods=changed))
    now = after(planned())
    assert {method for method in now if now[method] != before[method]} == {"taylor"}
