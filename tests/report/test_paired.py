"""Paired tests over seeds against cases worked by hand, and against scipy."""

from __future__ import annotations

import math
from functools import partial

import pytest
from scipy.stats import ttest_rel

from prunetui.metrics import CLASSIFICATION
from prunetui.report import paired
from prunetui.report.paired import NO_SEED, NO_SPREAD, ONE_SEED, holm

all_pairs = partial(paired.all_pairs, metric=CLASSIFICATION.primary)
paired_test = partial(paired.paired_test, metric=CLASSIFICATION.primary)


def test_three_seeds_by_hand():
    test = paired_test("a", "b", {"0": 91.0, "1": 93.0, "2": 95.0}, {"0": 90.0, "1": 91.0, "2": 92.0})
    assert (test.seeds, test.difference, test.spread) == (3, 2.0, 1.0)  # differences 1, 2, 3
    t = 2 / (1 / math.sqrt(3))
    assert test.p == pytest.approx(1 - t / math.sqrt(2 + t * t))  # Student's distribution of 2 degrees, in closed form
    assert test.p == pytest.approx(0.0742, abs=1e-4)


def test_two_seeds_by_hand():
    test = paired_test("a", "b", {"0": 91.0, "1": 93.0}, {"0": 90.0, "1": 90.0})
    assert test.p == pytest.approx(1 - 2 / math.pi * math.atan(2))  # t = 2 of 1 degree
    assert not test.exceeds


def test_it_is_the_paired_test_of_scipy():
    a, b = [91.2, 90.4, 92.9, 91.7], [90.1, 90.3, 90.8, 91.1]
    seeds = ["0", "1", "2", "3"]
    test = paired_test("a", "b", dict(zip(seeds, a, strict=True)), dict(zip(seeds, b, strict=True)))
    assert test.p == pytest.approx(float(ttest_rel(a, b).pvalue))


def test_only_seeds_that_both_have_are_compared():
    test = paired_test("a", "b", {"0": 91.0, "1": 93.0, "7": 0.0}, {"1": 90.0, "0": 90.0, "5": 99.0})
    assert (test.seeds, test.difference) == (2, 2.0)


@pytest.mark.parametrize(
    ("a", "b", "why"),
    [
        ({"0": 91.0}, {"0": 90.0}, ONE_SEED),
        ({"0": 91.0}, {"1": 90.0}, NO_SEED),
        ({"0": 91.0, "1": 92.0, "2": 93.0}, {"0": 90.0, "1": 91.0, "2": 92.0}, NO_SPREAD),
        ({"0": 90.8333, "1": 91.9444}, {"0": 90.0, "1": 91.1112}, NO_SPREAD),  # three images of 360, rounded
    ],
)
def test_where_no_test_is_possible_there_is_no_p(a: dict[str, float], b: dict[str, float], why: str):
    test = paired_test("a", "b", a, b)
    assert (test.p, test.p_holm, test.why_not, test.exceeds) == (None, None, why, False)


def test_no_difference_at_all_is_no_lead():
    assert paired_test("a", "b", {"0": 91.0, "1": 92.0}, {"0": 91.0, "1": 92.0}).p == 1.0


def test_a_test_can_be_seen_from_either_side():
    test = paired_test("a", "b", {"0": 91.0, "1": 93.0}, {"0": 90.0, "1": 90.0})
    turned = test.seen_from("b")
    assert (turned.first, turned.second, turned.difference, turned.p) == ("b", "a", -2.0, test.p)
    assert test.seen_from("a") is test


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == [0.03, 0.06, 0.06]  # x3, then x2, then x1 but not below the one before
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_every_pair_is_corrected_for_all_pairs():
    seeds = ("0", "1", "2", "3")
    a = dict(zip(seeds, (95.0, 95.1, 95.2, 95.1), strict=True))
    b = dict(zip(seeds, (80.0, 80.2, 80.1, 80.3), strict=True))
    c = dict(zip(seeds, (94.0, 95.5, 94.9, 95.3), strict=True))
    ab, ac, bc = all_pairs({"a": a, "b": b, "c": c})
    assert [(one.first, one.second, one.pairs) for one in (ab, ac, bc)] == [("a", "b", 3), ("a", "c", 3), ("b", "c", 3)]
    assert ab.p is not None
    assert ab.p_holm == pytest.approx(3 * ab.p)
    assert (ab.exceeds, ac.exceeds, bc.exceeds) == (True, False, True)


def test_pairs_that_cannot_be_tested_are_not_corrected_for():
    found = all_pairs({"a": {"0": 91.0, "1": 93.0}, "b": {"0": 90.0, "1": 90.0}, "c": {"0": 50.0}})
    assert [test.pairs for test in found] == [1, 0, 0]
    assert found[0].p_holm == found[0].p
