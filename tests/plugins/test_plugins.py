"""Methods are known by reading their source: no import, no torch, and no broken file breaks the rest."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Literal

import pytest
from annotated_types import Ge

import prunetui
from prunetui.config import parse_study
from prunetui.errors import ConfigError, UsageError
from prunetui.plugins.contribution import Contribution
from prunetui.plugins.kinds import KINDS
from prunetui.plugins.method_catalogue import catalogue, forget, method_info
from prunetui.plugins.read_source import read_contributions

ROOT = Path(prunetui.__file__).resolve().parent.parent
BUILT_IN = sorted(file for file in (ROOT / "methods").glob("*.py") if file.stem != "__init__")

OBS = '''\
from prunetui.api import Literal, Masks, Net, dataclass, keep_top, register


@register("lab-obs", source="Hassibi 1992", family="hessian")
@dataclass(frozen=True)
class Obs:
    """Remove what costs least
    to second order.

    The rest of the story.
    """

    damping: float = 1e-3
    """Added to the
    diagonal."""

    block: Literal["row", "whole"] | None = None

    def prune(self, net: Net, sparsity: float) -> Masks:
        return Masks(keep_top(net.weights(), sparsity, "global"))
'''

Announce = Callable[..., Path]


@pytest.fixture
def announce(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Announce]:
    """Installs a module as somebody else's distribution that announces a method."""

    def install(source: str, module: str = "lab_method", *, write: bool = True) -> Path:
        file = tmp_path / Path(*module.split(".")).with_suffix(".py")
        file.parent.mkdir(parents=True, exist_ok=True)
        if write:
            file.write_text(source, encoding="utf-8")
        about = tmp_path / f"{module.replace('.', '_')}-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module.replace('.', '_')}\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text(f"[prunetui.methods]\n{module} = {module}\n")
        monkeypatch.syspath_prepend(str(tmp_path))
        forget()
        return file

    yield install
    forget()


def python(code: str, *path: Path) -> str:
    """What a fresh interpreter prints."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [*path, ROOT]))}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return done.stdout


# Built-in methods -------------------------------------------------------------------------------------


def test_all_methods_are_listed_without_importing_any_of_them():
    code = (
        "import json, sys; from prunetui.plugins.method_catalogue import catalogue; names = list(catalogue().methods); "
        "print(json.dumps([names, [m for m in sys.modules if m.split('.')[0] in ('torch', 'methods')]]))"
    )
    names, imported = json.loads(python(code))
    assert {"global-unstructured", "l1-structured", "threshold"} <= set(names)
    assert names == sorted(names)
    assert imported == []


def test_no_built_in_method_is_a_problem():
    assert catalogue().problems == ()


@pytest.mark.parametrize("file", BUILT_IN, ids=lambda file: file.stem)
def test_a_built_in_file_registers_a_method_that_says_what_it_is(file: Path):
    found = [info for info in catalogue().methods.values() if info.file == file]
    assert found
    for info in found:
        assert catalogue().methods[info.name] == info
        assert info.summary.endswith(".")
        assert info.source
        assert set(info.targets) <= {"sparsity", "channels", "params", "macs", "threshold", "pattern"}
        assert all(option.help and option.type for option in info.options)


def test_options_are_read_with_their_type_default_and_docstring():
    info = method_info("l1-structured")
    assert (info.edit, info.family, info.module) == ("channels", "channels", "prunetui._methods.l1_structured")
    assert info.targets == ("sparsity", "channels", "params", "macs")
    scope, normalise, round_to = info.options
    assert (normalise.name, normalise.type) == ("normalise", Literal["none", "mean", "l2"])
    assert (scope.name, scope.annotation, scope.default) == ("scope", "ChannelScope", "local")
    assert scope.help.startswith("Rank across the whole net")
    assert (round_to.name, round_to.type, round_to.default) == ("round_to", Annotated[int, Ge(0)], 0)
    assert round_to.help.startswith("Widths become multiples of this")


def test_a_method_that_only_masks_knows_no_target_but_sparsity():
    assert method_info("global-unstructured").targets == ("sparsity",)
    assert method_info("global-unstructured").edit == "masks"
    assert method_info("threshold").targets == ("threshold",)


def test_an_unknown_method_is_told_with_all_there_are():
    with pytest.raises(UsageError, match=r"no method is called 'no-such-method'.*l1-structured.*threshold"):
        method_info("no-such-method")


# Methods of others ------------------------------------------------------------------------------------


def test_an_entry_point_announces_a_method(announce: Announce):
    file = announce(OBS)
    info = method_info("lab-obs")
    assert (info.module, info.file) == ("lab_method", file)
    assert (info.family, info.edit, info.targets) == ("hessian", "masks", ("sparsity",))
    assert info.summary == "Remove what costs least to second order."
    assert info.doc.endswith("The rest of the story.")
    assert [(o.name, o.default, o.help) for o in info.options] == [
        ("damping", 0.001, "Added to the diagonal."),
        ("block", None, ""),
    ]
    assert "lab_method" not in sys.modules


def test_a_study_may_use_an_announced_method_and_its_options(announce: Announce):
    announce(OBS)
    study = parse_study("[[methods]]\nname = 'lab-obs'\ndamping = 0.5\nblock = 'row'\n")
    assert study.methods[0].options == {"damping": 0.5, "block": "row"}


@pytest.mark.parametrize("value", ["nan", "inf", "'x'", "true"])
def test_an_option_that_is_no_number_is_refused_at_its_line(announce: Announce, value: str):
    announce(OBS)
    with pytest.raises(ConfigError) as caught:
        parse_study(f"[[methods]]\nname = 'lab-obs'\ndamping = {value}\n")
    assert [(m.path, m.line) for m in caught.value.mistakes] == [("methods[0].damping", 3)]


def test_an_announced_method_is_loaded_by_its_name(announce: Announce):
    file = announce(OBS)
    code = (
        "from prunetui.plugins.method_catalogue import load; m = load('lab-obs'); "
        "print(m.__name__, m().damping, load('threshold').__name__)"
    )
    assert python(code, file.parent).split() == ["Obs", "0.001", "Threshold"]


def test_a_changed_source_file_changes_the_digest(tmp_path: Path):
    def digest(source: str) -> str:
        file = tmp_path / "method.py"
        file.write_text(source)
        (info,) = read_contributions(KINDS["method"], "method", file, "file")
        return info.digest

    assert digest(OBS) == digest(OBS)
    assert digest(OBS) != digest(OBS.replace("1e-3", "1e-4"))


def test_a_name_that_is_taken_is_a_problem_and_the_first_keeps_it(announce: Announce):
    first = method_info("threshold").file
    file = announce(OBS.replace('"lab-obs"', '"threshold"'))
    assert method_info("threshold").file == first
    assert catalogue().problems == (f"{file}: the name 'threshold' is taken by {first}",)


def test_two_methods_of_others_with_one_name_are_a_problem(announce: Announce):
    announce(OBS, "lab_a")
    announce(OBS, "lab_b")
    assert "lab-obs" in catalogue().methods
    assert len(catalogue().problems) == 1
    assert "the name 'lab-obs' is taken" in catalogue().problems[0]


REGISTER = '@register("lab-obs", source="Hassibi 1992", family="hessian")'
DAMPING = "damping: float = 1e-3"


@pytest.mark.parametrize(
    ("good", "broken"),
    [
        pytest.param("import Literal", "import (", id="no python"),
        pytest.param("def prune", "def pruned", id="no prune"),
        pytest.param("-> Masks", "", id="prune returns nothing that is known"),
        pytest.param("-> Masks", "-> dict", id="prune returns something else"),
        pytest.param(DAMPING, "damping: float", id="option without default"),
        pytest.param(DAMPING, "damping: float = abs(1)", id="default is no literal"),
        pytest.param(DAMPING, "damping: Path = 'x'", id="type that options may not have"),
        pytest.param(DAMPING, "damping: float.fromhex = 0.1", id="type that is no type"),
        pytest.param(DAMPING, "target: str = 'x'", id="option called like a key of every method"),
        pytest.param("Hassibi 1992", "\x00", id="zero byte"),
        pytest.param(REGISTER, '@register(source="Hassibi 1992")', id="no name"),
        pytest.param(REGISTER, '@register("lab-obs", source=PAPER)', id="source is no literal"),
        pytest.param(REGISTER, '@register(3, source="Hassibi 1992")', id="name is no text"),
        pytest.param(REGISTER, '@register("lab-obs", source="Hassibi 1992", targets=3)', id="targets are no list"),
    ],
)
def test_a_broken_plugin_file_is_a_problem_and_all_others_are_listed(announce: Announce, good: str, broken: str):
    assert good in OBS
    file = announce(OBS.replace(good, broken))
    found = catalogue()
    assert len(found.problems) == 1
    assert str(file) in found.problems[0]
    assert [*found.methods] == sorted(info.name for info in _built_in())


def _built_in() -> list[Contribution]:
    return [info for file in BUILT_IN for info in read_contributions(KINDS["method"], "any", file, "built-in")]


def test_an_announced_module_that_is_not_there_is_a_problem(announce: Announce):
    announce("", "lab_gone", write=False)
    assert catalogue().problems == ("entry point lab_gone: no module lab_gone",)
    assert "threshold" in catalogue().methods


@pytest.mark.parametrize("source", ["raise RuntimeError('boom')", "import no_such_module_anywhere", "def ("])
def test_a_package_that_cannot_be_imported_is_a_problem(announce: Announce, source: str):
    file = announce(OBS, "lab_package.method")
    (file.parent / "__init__.py").write_text(source)
    assert len(catalogue().problems) == 1
    assert "lab_package.method" in catalogue().problems[0]
    assert "threshold" in catalogue().methods


def test_a_file_that_registers_nothing_adds_nothing(announce: Announce):
    announce("x = 1\n")
    assert catalogue().problems == ()
    assert "lab-obs" not in catalogue().methods
