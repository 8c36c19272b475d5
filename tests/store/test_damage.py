"""What is on disk is checked before it is believed: damaged states heal, with the figures of an undamaged run."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from prunetui import events
from prunetui.config import parse_study, study_toml
from prunetui.execute.execution import execute
from prunetui.files.atomic import copy_atomic
from prunetui.store import Cache, Run, Status, create_run
from prunetui.store.partial_files import PartialFiles

STUDY = """
name = "tiny"
sparsities = [0.5]
methods = ["l1-structured"]
[data]
name = "digits"
limit = 100
[model]
name = "vgg11"
width = 4
[train]
epochs = 1
[finetune]
epochs = 1
[measure]
recalibrate = 32
latency = false
"""
Rows = list[dict[str, str]]


def execute_in(root: Path) -> Run:
    """A new run of the study, executed in this process without any failure."""
    run = create_run(root, study_toml(parse_study(STUDY)), Status(state="queued", name="tiny"))
    assert execute(run, "cpu", lambda: False, executor="inline") == 0
    return run


def rows_of(run: Run) -> Rows:
    """The rows without what a clock decides."""
    return [{name: cell for name, cell in row.items() if name != "seconds"} for row in run.rows()]


def warnings_of(run: Run) -> list[str]:
    return [e.message for e in run.tail().read() if isinstance(e, events.Log) and e.level == "warning"]


def keys_of(run: Run, step: str) -> list[str]:
    return [e.key for e in run.tail().read() if isinstance(e, events.StepFinished) and e.step == step]


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return execute_in(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def root(first: Run, tmp_path: Path) -> Path:
    """A copy of the folder of runs, its cache included."""
    return Path(shutil.copytree(first.folder.parent, tmp_path / "runs"))


# Kinds of damage --------------------------------------------------------------------------------------


def replaced(data: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(data)


def flipped(path: Path) -> None:
    """One bit in the middle."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def endless(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


ANY: dict[str, Callable[[Path], object]] = {
    "missing": Path.unlink,
    "empty": replaced(b""),
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:-5]),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "one bit": flipped,
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "a pipe": pipe,
    "a device": endless,
    "a folder": folder,
}


def changed(**changes: Any) -> Callable[[Path], object]:
    """Fields of what was noted, with the old checksum."""

    def change(path: Path) -> None:
        plain = json.loads(path.read_bytes())
        path.write_text(json.dumps({**plain, "meta": {**plain["meta"], **changes}}))

    return change


META: dict[str, Callable[[Path], object]] = {
    **ANY,
    "a list": replaced(b"[]"),
    "an object": replaced(b"{}"),
    "null": replaced(b"null"),
    "no number": replaced(b"NaN"),
    "text": replaced(b'"x"'),
    "no text": replaced(b"\xff\xfe\x00"),
    "nested": replaced(b"[" * 100_000),
    "many digits": replaced(b'{"seconds": ' + b"9" * 10_000 + b"}"),
    "other fields": replaced(b'{"seconds": 1, "path_seconds": 1, "momentum": true}'),
    "wrong types": replaced(b'{"meta": [], "files": 3, "sha256": null}'),
    "another time": changed(seconds=1e6),
    "another accuracy": changed(result={"top1": 99.0, "top5": 99.0, "loss": 0.1}),
}


def in_turns(names: Iterable[str], count: int) -> list[tuple[str, ...]]:
    """All of ``names``, ``count`` at a time; the last ones are filled up from the front."""
    names = list(names)
    return [tuple((names + names)[i : i + count]) for i in range(0, len(names), count)]


@pytest.mark.parametrize("damages", in_turns(ANY, 3), ids="-".join)
def test_a_damaged_state_is_named_and_computed_again(first: Run, root: Path, damages: tuple[str, ...]):
    keys = keys_of(first, "Train")
    assert len(keys) == 3  # the dense training, its control, the recovery
    for key, damage in zip(keys, damages, strict=True):
        ANY[damage](root / ".cache" / key[:2] / key / "model.safetensors")
    again = execute_in(root)
    assert rows_of(again) == rows_of(first)
    assert len(warnings_of(again)) == 3
    assert all("model.safetensors" in line for line in warnings_of(again))
    assert warnings_of(execute_in(root)) == []  # it has healed


@pytest.mark.parametrize("damages", in_turns(META, 7), ids="-".join)
def test_a_damaged_note_of_a_step_is_named_and_the_step_done_again(first: Run, root: Path, damages: tuple[str, ...]):
    keys = [*keys_of(first, "Train"), *keys_of(first, "Measure")][:7]
    assert len(keys) == 7
    for key, damage in zip(keys, damages, strict=True):
        META[damage](root / ".cache" / key[:2] / key / "meta.json")
    again = execute_in(root)
    assert rows_of(again) == rows_of(first)
    assert len(warnings_of(again)) == len(keys)
    assert all("meta.json" in line for line in warnings_of(again))


def test_a_file_in_the_place_of_a_kept_step_is_no_hindrance(first: Run, root: Path):
    (key, *_) = keys_of(first, "Train")
    shutil.rmtree(root / ".cache" / key[:2])
    (root / ".cache" / key[:2]).write_text("in the way")
    assert rows_of(execute_in(root)) == rows_of(first)


def test_what_is_done_to_a_kept_network_does_not_reach_the_next_run(first: Run, root: Path):
    models = sorted((root / first.id / "models").iterdir())
    assert len(models) == 2
    for model in models:
        assert model.stat().st_nlink == 1
        with model.open("r+b") as file:  # in place, as an editor of bytes would
            file.seek(-40, os.SEEK_END)
            file.write(bytes(40))
    again = execute_in(root)
    assert rows_of(again) == rows_of(first)
    assert warnings_of(again) == []


# The parts --------------------------------------------------------------------------------------------

KEY = "ab" + "0" * 30


@pytest.mark.parametrize(
    ("file", "damage"), [*(("model", name) for name in ANY), *(("meta.json", name) for name in META)]
)
def test_every_damage_is_found_named_once_and_made_good(tmp_path: Path, file: str, damage: str):
    told: list[str] = []
    cache = Cache(tmp_path, told.append)
    cache.put(KEY, {"seconds": 1.5, "result": {}}, {"model": b"weights"})
    META[damage](tmp_path / "ab" / KEY / file)
    assert cache.files(KEY) is None
    assert cache.meta(KEY) is None
    assert not (tmp_path / "ab" / KEY).exists()
    (line,) = told
    assert line.startswith(f"a kept step was damaged and is computed again (ab000000: {file}: ")
    cache.put(KEY, {"seconds": 2.5}, {"model": b"weights"})
    assert cache.meta(KEY) == {"seconds": 2.5}
    assert cache.files(KEY) == {"model": b"weights"}


def test_who_only_looks_at_a_cache_leaves_what_is_damaged(tmp_path: Path):
    told: list[str] = []
    cache, engines = Cache(tmp_path), Cache(tmp_path, told.append)
    cache.put(KEY, {"seconds": 1.5, "batches": (1, 2)}, {"model": b"weights"})
    assert cache.meta(KEY) == {"seconds": 1.5, "batches": [1, 2]}
    assert cache.files(KEY) == {"model": b"weights"}
    model = cache.file(KEY, "model")
    assert model is not None
    model.write_bytes(b"WEIGHTS")
    assert cache.files(KEY) is None
    assert model.is_file()
    assert engines.files(KEY) is None
    assert not model.exists()
    assert engines.files(KEY) is None  # absent now, and not told again
    assert told == ["a kept step was damaged and is computed again (ab000000: model: its checksum does not fit)"]


def test_a_partial_is_what_was_saved_or_absent(tmp_path: Path):
    told: list[str] = []
    partials = PartialFiles(tmp_path / "partial", told.append)
    assert partials.load(KEY) is None
    assert told == []
    partials.save(KEY, b"epoch 3")
    assert partials.load(KEY) == b"epoch 3"
    for damage in ANY.values():
        partials.save(KEY, b"epoch 3")
        (path,) = (path for path in (tmp_path / "partial").iterdir() if path.suffix == ".partial")
        damage(path)
        assert partials.load(KEY) is None
        assert not os.path.lexists(path)
    assert len(told) == len(ANY) - 1  # nothing is said of one that is not there
    assert told[0] == "a half-finished training was damaged and begins again (ab000000: its checksum does not fit)"


def test_a_copy_is_a_file_of_its_own_whole_or_absent(tmp_path: Path):
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"x" * 3_000_000)
    copy_atomic(source, target)
    assert target.read_bytes() == source.read_bytes()
    assert (target.stat().st_nlink, target.stat().st_ino == source.stat().st_ino) == (1, False)
    with pytest.raises(ValueError, match="not what was written there"):
        copy_atomic(source, target, "0" * 64)
    assert target.stat().st_size == 3_000_000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source", "target"]
    pipe(source)
    with pytest.raises(OSError, match="not a regular file"):
        copy_atomic(source, target)
