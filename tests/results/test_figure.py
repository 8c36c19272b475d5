"""Charts as drawings, and the ticks they share with the terminal."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from prunetui.results.chart import Picture, short, ticks
from prunetui.results.figure import figure_bytes
from prunetui.results.summary import Series

TWO = (Series("a & b", (0.1, 0.9), (90.0, 70.0), (1.0, 0.0)), Series("c", (0.5,), (80.0,), (0.0,)))


def words(picture: Picture, title: str = "t") -> set[str]:
    """All that is written in the drawing of a picture."""
    return set(ElementTree.fromstring(figure_bytes(picture, title, "top-1 %", "svg").decode()).itertext())


def test_a_drawing_names_every_series_and_the_dense_level():
    assert words(Picture(TWO, 92.0, x_label="sparsity"), "first <run> $x$") >= {
        "first <run> $x$", "a & b", "c", "sparsity", "top-1 %", "dense 92.00",
    }  # fmt: skip


def test_the_front_is_a_line_of_its_own():
    assert "Pareto front" in words(Picture(TWO, front=((0.1, 90.0), (0.5, 80.0))))
    assert "Pareto front" not in words(Picture(TWO))


def test_hidden_series_are_not_drawn():
    assert "c" not in words(Picture(TWO, hidden=frozenset({"c"})))


@pytest.mark.parametrize("picture", [Picture(()), Picture(TWO, hidden=frozenset({"a & b", "c"}))])
def test_nothing_to_draw_is_still_a_drawing(picture: Picture):
    assert "t" in words(picture)


def test_the_same_picture_is_the_same_file():
    assert figure_bytes(Picture(TWO), "t", "y", "svg") == figure_bytes(Picture(TWO), "t", "y", "svg")
    assert figure_bytes(Picture(TWO), "t", "y", "png").startswith(b"\x89PNG")


def test_ticks_are_round():
    assert ticks(0.03, 0.97) == [0.2, 0.4, 0.6, 0.8]
    assert ticks(0.0, 70_000.0) == [0.0, 10_000.0, 20_000.0, 30_000.0, 40_000.0, 50_000.0, 60_000.0, 70_000.0]
    assert ticks(8.0, 600.0, log=True) == [10.0, 20.0, 50.0, 100.0, 200.0, 500.0]
    assert len(ticks(11.0, 13.0, log=True)) == 5
    assert [short(number) for number in (0.123456, 90.0, 5000.0, 11_200_000.0, 50_000.0)] == [
        "0.123", "90", "5000", "11.2M", "50k",
    ]  # fmt: skip


def test_a_logarithmic_chart_leaves_out_what_has_no_logarithm():
    bounds = Picture((Series("a", (0.0, 10.0, 1000.0), (1.0, 2.0, 3.0), (0.0, 0.0, 0.0)),), log_x=True).bounds()
    assert bounds is not None
    assert 8 < bounds[0] < 10 < 1000 < bounds[1] < 1200


def test_error_bars_are_within_bounds():
    bounds = Picture(TWO).bounds()
    assert bounds is not None
    assert bounds[3] > 91.0
