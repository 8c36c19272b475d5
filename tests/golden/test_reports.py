"""``prunetui report`` of the hand-made runs in every format that is text; pictures are left to the tests of reports."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from .conftest import Call
from .normal import normalised, rounded, without_pictures

OF = {
    "one": ("compare",),
    "two": ("compare", "again"),
    "layers": ("layers",),
    "troubles": ("again", "running", "died", "damaged"),
}

Golden = Callable[[str, str], None]


@pytest.fixture
def networks(runs: Path) -> None:
    """The dense network of two layers, of which one weight is zero, and what is left of it: half of all filters."""
    (folder,) = runs.glob("*-compare-*/models")
    conv = np.arange(8 * 3 * 3 * 3, dtype="f4").reshape(8, 3, 3, 3) + 1
    last = np.arange(10 * 8, dtype="f4").reshape(10, 8)
    dense = {"conv1.weight": conv, "bn1.weight": np.ones(8, "f4"), "fc.weight": last}
    half = {"conv1.weight": conv[:4].copy(), "bn1.weight": np.ones(4, "f4"), "fc.weight": last[:, :4].copy()}
    save_file(dense, folder / "dense-2ep-s0.safetensors")
    save_file(half, folder / "taylor-structured-0.5-s0.safetensors")


@pytest.mark.usefixtures("networks")
@pytest.mark.parametrize("name", OF)
def test_a_report(name: str, cli: Call, golden: Golden, place: Path) -> None:
    told = cli("report", *OF[name])
    assert told.code == 0
    golden(f"report/{name}.md", normalised(told.out, place))
    golden(f"report/{name}.stderr.txt", normalised(told.err, place))
    for kind in ("csv", "json", "html"):
        said = cli("report", *OF[name], "--format", kind)
        assert (said.code, said.err) == (0, told.err)
        golden(f"report/{name}.{kind}", normalised(rounded(without_pictures(said.out)), place))
        assert kind != "json" or json.loads(said.out)["runs"]


@pytest.mark.usefixtures("networks")
def test_a_report_in_a_file(cli: Call, golden: Golden, place: Path) -> None:
    said = cli("report", "compare", "-o", "compare.csv")
    golden("report/file.txt", f"{normalised(said.out, place)}{said.err}exit {said.code}\n")
    assert (place / "compare.csv").read_text(encoding="utf-8") == cli("report", "compare", "--format", "csv").out
