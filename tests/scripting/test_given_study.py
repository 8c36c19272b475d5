"""Studies from Python: mappings and changes say what a file and ``--set`` would."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import nn

from prunetui.config import parse_study, study_toml
from prunetui.errors import ConfigError, UsageError
from prunetui.scripting.given_study import given_study, overrides_of

TEXT = """
sparsities = [0.5, 0.9]
seeds = [0, 1]
[train]
epochs = 2
[[methods]]
name = "l1-structured"
target = "channels"
"""
PLAIN = {
    "sparsities": [0.5, 0.9], "seeds": range(2), "train": {"epochs": 2},
    "methods": [{"name": "l1-structured", "target": "channels"}],
}  # fmt: skip


def test_a_mapping_is_the_study_that_its_file_would_be(tmp_path: Path):
    file = tmp_path / "study.toml"
    file.write_text(TEXT)
    wanted = parse_study(TEXT)
    assert given_study(PLAIN, {}) == given_study(file, {}) == wanted
    assert study_toml(given_study(wanted, {})) == study_toml(wanted)


def test_changes_stand_on_top():
    changes = {"seeds": [3], "train": {"epochs": 5, "lr": 0.5}, "data.name": 'cifar"10', "measure.latency": False}
    assert overrides_of(changes) == [
        "seeds=[3]", "train.epochs=5", "train.lr=0.5", 'data.name="cifar\\"10"', "measure.latency=false",
    ]  # fmt: skip
    study = given_study(PLAIN, {"seeds": [3], "train": {"epochs": 5}})
    assert (study.seeds, study.train.epochs, study.sparsities) == ((3,), 5, (0.5, 0.9))


def test_objects_and_mistakes_are_told():
    with pytest.raises(UsageError, match=r"model.name: a study says names and files.*got an object of Linear"):
        given_study({"model": {"name": nn.Linear(1, 1)}}, {})
    with pytest.raises(ConfigError, match='did you mean "seeds"'):
        given_study({"seedz": [0]}, {})
    with pytest.raises(UsageError, match="study is int"):
        given_study(3, {})  # type: ignore[arg-type]
