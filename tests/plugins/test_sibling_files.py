"""Modules beside a user's own file: part of its digest and of a run's copies, and importable while it is run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from prunetui.config import load_study
from prunetui.errors import UsageError
from prunetui.execute.submit import submit
from prunetui.plugins.catalogue import contribution
from prunetui.plugins.import_file import load_object
from prunetui.plugins.own_files import COPIES
from prunetui.plugins.sibling_files import digest_of, digest_with, imported_beside

NET = """
import json
from blocks_of_mine import WIDTH
from parts_of_mine.heads import HEAD


def make():
    from later_of_mine import LATER

    return WIDTH + HEAD + LATER
"""
FILES = {
    "net.py": NET,
    "blocks_of_mine.py": "from numbers_of_mine import ONE\nWIDTH = 10 * ONE\n",
    "numbers_of_mine.py": "ONE = 1\n",
    "parts_of_mine/__init__.py": "",
    "parts_of_mine/heads.py": "from . import sizes\nHEAD = sizes.SIZE\n",
    "parts_of_mine/sizes.py": "SIZE = 100\n",
    "later_of_mine.py": "LATER = 1000\n",
    "json.py": "raise RuntimeError('a file beside stood for one of Python')\n",
    "unused_of_mine.py": "",
}
IMPORTED = {
    "blocks_of_mine.py", "numbers_of_mine.py", "later_of_mine.py",
    "parts_of_mine/__init__.py", "parts_of_mine/heads.py", "parts_of_mine/sizes.py",
}  # fmt: skip


def folder_with(place: Path, **changed: str) -> Path:
    for name, text in (FILES | changed).items():
        file = place / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return place / "net.py"


def made(file: Path) -> int:
    value: int = load_object(contribution("model", f"{file}:make"))()
    return value


def test_what_is_imported_directly_or_through_others_is_found_and_nothing_else(tmp_path: Path):
    file = folder_with(tmp_path)
    assert set(imported_beside(file, file.read_bytes())) == IMPORTED


def test_it_is_imported_and_nothing_is_written_beside_it(tmp_path: Path):
    file = folder_with(tmp_path)
    assert made(file) == 10 + 100 + 1000
    assert not list(tmp_path.glob("__pycache__"))
    assert str(tmp_path) not in sys.path
    assert "unused_of_mine" not in sys.modules


def test_another_folder_has_modules_of_its_own_under_the_same_names(tmp_path: Path):
    first = folder_with(tmp_path / "first")
    second = folder_with(tmp_path / "second", **{"numbers_of_mine.py": "ONE = 2\n"})
    assert (made(first), made(second), made(first)) == (1110, 1120, 1110)


@pytest.mark.parametrize("part", sorted(IMPORTED))
def test_a_change_of_any_of_them_is_another_network(tmp_path: Path, part: str):
    file = folder_with(tmp_path)
    before = contribution("model", f"{file}:make").digest
    with (tmp_path / part).open("a") as changed:
        changed.write("# changed\n")
    assert contribution("model", f"{file}:make").digest != before


def test_a_file_that_imports_nothing_beside_it_has_its_own_digest(tmp_path: Path):
    file = tmp_path / "alone.py"
    file.write_text("import json, torch\n\n\ndef make(): ...\n")
    assert contribution("model", f"{file}:make").digest == digest_of(file.read_bytes())
    assert digest_with(b"x", {}) == digest_of(b"x") != digest_with(b"x", {"a.py": b""})


def test_a_run_keeps_them_and_goes_on_with_them_when_they_were_changed(tmp_path: Path):
    file = folder_with(tmp_path)
    (tmp_path / "study.toml").write_text("model = { name = 'net.py:make' }\nmethods = ['l1-unstructured']")
    run = submit(load_study(str(tmp_path / "study.toml")), tmp_path / "runs")
    digest = contribution("model", f"{file}:make").digest
    kept = {path.relative_to(run.folder / COPIES).as_posix() for path in (run.folder / COPIES).rglob("*.py")}
    assert kept == {f"{digest}-net.py"} | {f"{digest}/{name}" for name in IMPORTED}
    (tmp_path / "numbers_of_mine.py").write_text("ONE = 7\n")
    resumed = load_study(str(run.folder / "study.toml")).model.name
    assert resumed == f"{run.folder.absolute()}/{COPIES}/{digest}-net.py:make"
    assert contribution("model", resumed).digest == digest
    assert load_object(contribution("model", resumed))() == 1110


def test_one_that_is_no_python_is_named(tmp_path: Path):
    file = folder_with(tmp_path, **{"blocks_of_mine.py": "def ("})
    with pytest.raises(UsageError, match=r"blocks_of_mine\.py"):
        contribution("model", f"{file}:make")
