"""Data sets of Hugging Face's on disk: rows by the names of their columns, or images with labels."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from prunetui.config import DataTable
from prunetui.engine.data.source_loader import load_source
from prunetui.errors import DataError
from prunetui.tasks.labelled_batch import inputs_and_labels

pytestmark = pytest.mark.filterwarnings("ignore")  # of the package itself


def test_without_its_package_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match=r"needs the package datasets: pip install 'prunetui\[datasets\]'"):
        load_source(DataTable(name="huggingface", root=str(tmp_path)))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """Ten rows of words, a picture and a class; in the splits train and test."""
    datasets = pytest.importorskip("datasets")
    picture = np.zeros((10, 10, 3), dtype=np.uint8)
    rows: dict[str, list[Any]] = {
        "words": [[i, i + 1, i + 2] for i in range(10)],
        "label": [i % 2 for i in range(10)],
        "picture": [Image.fromarray(picture + i) for i in range(10)],
    }
    features = datasets.Features(
        words=datasets.Sequence(datasets.Value("int64")),
        label=datasets.ClassLabel(names=["bad", "good"]),
        picture=datasets.Image(),
    )
    part = datasets.Dataset.from_dict(rows, features=features)
    datasets.DatasetDict(train=part, test=part).save_to_disk(str(tmp_path / "saved"))
    return tmp_path / "saved"


def loaded(root: Path, **options: str) -> Any:
    return load_source(DataTable(name="huggingface", root=str(root), workers=0, validation=0.2, options=options))


def test_rows_go_in_by_the_names_of_their_columns(saved: Path) -> None:
    source = loaded(saved, columns="words, label")
    assert source.classes == ("bad", "good")
    assert [source.length(split) for split in ("train", "validation", "test")] == [8, 2, 10]
    inputs, labels = inputs_and_labels(next(source.batches("test", 3)))
    assert inputs["words"].tolist() == [[0, 1, 2], [1, 2, 3], [2, 3, 4]]
    assert labels.tolist() == [0, 1, 0]


def test_images_are_classified(saved: Path) -> None:
    source = loaded(saved, image="picture")
    assert (source.classes, source.channels, source.size) == (("bad", "good"), 3, 10)
    assert source.test.labels.tolist() == [0, 1] * 5


def test_what_is_not_there_is_told_with_what_is(saved: Path) -> None:
    with pytest.raises(DataError, match="has no split dev; there are: train, test"):
        loaded(saved, test="dev")
    with pytest.raises(DataError, match="has no column tokens; there are: words, label, picture"):
        loaded(saved, columns="tokens")
    with pytest.raises(DataError, match="no data set of Hugging Face's can be read from"):
        loaded(saved.parent)
