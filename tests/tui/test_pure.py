"""Arithmetic and words behind the screens of results, without a screen."""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import pkgutil
import textwrap
from pathlib import Path

import pytest

import prunetui.tui
from prunetui.metrics import CLASSIFICATION
from prunetui.results.axes import X_AXES, after, axis, best, curves, level, nearest, told, y_axes
from prunetui.results.summary import Series, lines, with_drop
from prunetui.results.text_tables import csv_text, table_csv
from prunetui.tui.saving import save
from prunetui.tui.widgets.viewport import holding, panned, zoomed

from .fakes import fake_row, study_rows

TABLE = lines(with_drop(study_rows()))
SPARSITY, PARAMS = X_AXES[:2]
Y_AXES = y_axes(CLASSIFICATION)
TOP1 = Y_AXES[0]


def test_axes_follow_each_other_around():
    assert after(X_AXES, X_AXES[-1], 1) is SPARSITY
    assert after(X_AXES, SPARSITY, -1) is X_AXES[-1]
    assert axis(Y_AXES, "no such figure") is TOP1


def test_a_method_without_a_figure_keeps_its_place_and_its_looks():
    found = curves(TABLE, axis(X_AXES, "latency_ms"), TOP1)
    assert [(curve.label, len(curve.x)) for curve in found] == [("l1-unstructured", 0), ("taylor", 2)]


def test_dense_networks_that_differ_are_no_level():
    assert level(TABLE, TOP1) == 92.0
    assert level(lines([fake_row(), fake_row("obd", top1_dense=91.0)]), TOP1) is None
    assert level(TABLE, axis(Y_AXES, "drop")) == 0.0


def test_the_front_of_fewer_parameters_and_more_accuracy():
    assert best(curves(TABLE, PARAMS, TOP1), PARAMS, TOP1) == ((7000, 74.42), (35000, 86.5), (70000, 89.5))


def test_a_latency_of_another_runtime_is_not_on_the_front():
    rows = [fake_row(sparsity=s, latency_ms=ms) for s, ms in ((0.5, 3.0), (0.9, 2.0))]
    table = lines([*rows, fake_row("obd", 0.5, latency_ms=1.0, top1=99.0, runtime="torch 2.0")])
    latency = axis(X_AXES, "latency_ms")
    assert best(curves(table, latency, TOP1), latency, TOP1) == ((2.0, 74.42), (3.0, 86.5))


def test_a_point_in_words():
    words = told(TABLE[3], SPARSITY, axis(Y_AXES, "drop"), is_best=True)
    assert words == (
        "taylor sparsity:0.5: points lost 5.50, top-1 86.50 %, on the front, sparsity 0.5000, 35.00k parameters, "
        "480.00k MACs, 140.00k bytes, latency 0.30 ms, 1 seed"
    )


def test_the_cursor_finds_its_neighbours():
    left, right = Series("a", (1, 2, 3), (0, 0, 0), (0, 0, 0)), Series("b", (2.9,), (5,), (0,))
    shown = [(0, left), (2, Series("none", (), (), ())), (4, right)]
    assert nearest(shown, None, 1, 0) == (0, 0)
    assert nearest(shown, (0, 0), 1, 0) == (0, 1)
    assert nearest(shown, (0, 2), 1, 0) == (0, 2)
    assert nearest(shown, (0, 0), 0, 1) == (4, 0)
    assert nearest(shown, (4, 0), 0, 1) == (0, 2)
    assert nearest(shown, (3, 0), 0, 1) == (0, 0)
    assert nearest([], None, 1, 0) is None


def test_zoom_and_pan_keep_what_is_pointed_at():
    window = (0.0, 10.0, 0.0, 100.0)
    assert zoomed(window, 0.5, None, False) == (2.5, 7.5, 25.0, 75.0)
    assert zoomed(window, 0.5, (0.0, 0.0), False) == (0.0, 5.0, 0.0, 50.0)
    assert panned(window, 0.2, -0.1, False) == (2.0, 12.0, -10.0, 90.0)
    assert holding(window, (5.0, 50.0), False) == window
    assert holding(window, (12.0, 50.0), False)[1] > 12.0
    assert zoomed((1.0, 10_000.0, 0.0, 1.0), 0.5, None, True)[:2] == pytest.approx((10.0, 1000.0))


def test_no_file_is_written_over(tmp_path: Path):
    names = [save(tmp_path, "run", ".csv", text).name for text in ("1", "2", "3")]
    assert names == ["run.csv", "run-2.csv", "run-3.csv"]
    assert (tmp_path / "run.csv").read_text() == "1"
    with pytest.raises(OSError, match="No such file"):
        save(tmp_path / "gone", "run", ".csv", "")


def test_tables_as_csv():
    assert csv_text([], CLASSIFICATION).startswith("trial,method,label")
    assert table_csv([{"a": 1}, {"b": None}]) == "a,b\n1,\n,\n"


def test_no_attribute_of_a_widget_hides_one_of_textual():
    hidden = []
    for module in pkgutil.walk_packages(prunetui.tui.__path__, "prunetui.tui."):
        for cls in vars(importlib.import_module(module.name)).values():
            if inspect.isclass(cls) and cls.__module__ == module.name:
                bases = [base for base in cls.__mro__ if base.__module__.startswith("textual.")]
                taken = {name for base in bases for name in vars(base)} | {n for base in bases for n in _assigned(base)}
                hidden += [f"{cls.__name__}.{name}" for name in sorted(_assigned(cls) & taken - ALLOWED)]
    assert not hidden


ALLOWED = {
    "virtual_size", "border_title", "border_subtitle", "theme", "display",
    "cursor", "highlighted",  # set through a reactive of the table's own
}  # fmt: skip
"""What Textual gives to be set."""


@functools.cache
def _assigned(cls: type) -> set[str]:
    """Names that the methods of a class put on ``self``."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    except (OSError, TypeError, SyntaxError):
        return set()
    targets = [
        target
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
    ]
    flat = [inner for target in targets for inner in (target.elts if isinstance(target, ast.Tuple) else [target])]
    return {t.attr for t in flat if isinstance(t, ast.Attribute) and getattr(t.value, "id", "") == "self"}
