"""Rows -> verdicts -> sentences, on figures that a reader checks by eye."""

from __future__ import annotations

from typing import Any

from prunetui.metrics import CLASSIFICATION
from prunetui.report.page import Badge, badge
from prunetui.report.sentences import alone_words, how_tested, points, reach_words, summary, verdict_words
from prunetui.report.verdicts import Verdict, dense_again, reaches, verdicts
from prunetui.results.summary import lines


def row(method: str, target: str, seed: int, top1: float, **cells: Any) -> dict[str, Any]:
    return {
        "trial": f"{method}-{target}-s{seed}", "method": method, "label": method, "schedule": "one-shot",
        "seed": str(seed), "target": target, "sparsity": target.partition(":")[2], "top1": str(top1),
        "top1_control": "92", "status": "done", **cells,
    }  # fmt: skip


def found(**accuracies: list[float]) -> list[Verdict]:
    """The verdicts of one target."""
    rows = [row(m, "sparsity:0.5", seed, top1) for m, of in accuracies.items() for seed, top1 in enumerate(of)]
    return verdicts(lines(rows))


def test_a_clear_winner_is_called_one():
    (verdict,) = found(good=[95.0, 95.1, 95.2, 95.1], bad=[80.0, 80.2, 80.1, 80.3])
    assert verdict_words(verdict) == (
        "good has the best mean, 95.10 ±0.08 %; its lead exceeds the spread over seeds against bad (+14.95, p < 0.001)."
    )
    assert summary([verdict])[-1] == "The lead over the next best exceeds the spread over seeds at sparsity 0.5 (good)."


def test_a_network_that_is_dense_again_does_not_compete():
    rows = [row("pruned", "sparsity:0.5", seed, 90.0 + seed) for seed in range(3)]
    rows += [row("again", "sparsity:0.5", seed, 95.0, schedule="dense-sparse-dense") for seed in range(3)]
    (verdict,) = verdicts(lines(rows))
    assert [name for name, _ in verdict.ranking] == ["pruned"]
    assert [reach.method for reach in reaches(lines(rows))] == ["pruned"]
    assert dense_again(lines(rows)) == ["again"]


def test_a_lead_within_the_spread_is_not_called_one():
    (verdict,) = found(a=[91.0, 93.0, 95.0], b=[90.0, 91.0, 92.0])
    assert verdict_words(verdict) == (
        "a has the best mean, 93.00 ±2.00 %; with 3 seeds the test confirms no lead beyond their spread: "
        "b (+2.00, p = 0.074)."
    )
    assert "exceeds" not in " ".join(summary([verdict]))


def test_who_is_behind_over_the_shared_seeds_has_no_lead():
    (verdict,) = found(a=[90.0, 90.1, 99.0], b=[91.0, 91.11])  # the third seed of b failed
    assert verdict_words(verdict) == (
        "a has the best mean, 93.03 ±5.17 %; over the 2 shared seeds b is ahead by 1.01 (p = 0.003)."
    )
    assert "exceeds" not in " ".join(summary([verdict]))
    assert badge(verdict) == Badge("behind over shared seeds", "open")
    (verdict,) = found(a=[90.0, 99.0], b=[91.0])
    assert verdict_words(verdict).endswith("over the one shared seed b is ahead by 1.00 (one seed: no test possible).")


def test_a_lead_over_fewer_seeds_says_over_which():
    (verdict,) = found(a=[95.0, 95.1, 99.0], b=[91.0, 91.11])
    assert verdict_words(verdict).endswith("against b (+3.99 over the 2 shared seeds, p < 0.001).")
    assert badge(verdict) == Badge("significant lead", "sure")


def test_one_seed_is_never_a_test():
    (verdict,) = found(a=[93.0], b=[90.0])
    assert verdict_words(verdict) == "a has the best mean, 93.00 %; one seed: no test possible (against b (+3.00))."
    assert summary([verdict])[-1] == "None of these leads is tested (one seed: no test possible)."
    assert how_tested([verdict]) == ""


def test_the_test_its_seeds_and_its_correction_are_named():
    words = how_tested(found(a=[91.0, 93.0, 95.0], b=[90.0, 91.0, 92.0], c=[70.0, 71.0, 75.0]))
    for word in ("paired t-test", "3 shared seeds", "Holm", "3 pairs", "not over targets", "0.05", "So few seeds"):
        assert word in words


def test_more_rivals_than_fit_in_a_sentence_are_counted():
    (verdict,) = found(a=[9.0, 10.0], b=[8.0, 8.5], c=[7.0, 7.5], d=[6.0, 6.2], e=[5.0, 5.1], f=[4.0, 4.2])
    assert verdict_words(verdict).endswith("and 1 more.")
    assert [name for name, _ in verdict.ranking] == ["a", "b", "c", "d", "e", "f"]


def test_a_method_without_rival_wins_nothing():
    of = verdicts(lines([row("threshold", f"threshold:{value}", 0, 90.0) for value in (0.01, 0.2)]))
    assert summary(of) == []
    assert alone_words(of) == ["threshold has no rival at threshold 0.01, 0.2: nothing to compare there."]


def test_targets_stand_in_their_order_and_controls_win_nothing():
    rows = [row("dense", "sparsity:0", 0, 99.0)]
    rows += [row(method, f"sparsity:{s}", 0, 90.0 - i) for s in (0.9, 0.5) for i, method in enumerate("ab")]
    of = verdicts(lines(rows))
    assert [(one.target, one.winner) for one in of] == [("sparsity:0.5", "a"), ("sparsity:0.9", "a")]


def test_how_far_a_method_goes_within_a_point_of_the_control():
    rows = [row("a", "sparsity:0.5", 0, 92.5), row("a", "sparsity:0.9", 0, 91.5), row("a", "sparsity:0.95", 0, 90.0)]
    rows += [row("b", "sparsity:0.5", 0, 80.0)]
    assert reach_words(reaches(lines(rows))) == [
        "Within 1 point of the dense control, by the means: a with 90.0 % removed (0.50 points lost).",
        "Never within 1 point of it: b.",
    ]


def test_a_difference_of_nothing_has_no_minus():
    assert [points(value, CLASSIFICATION.primary) for value in (0.834, -1.5, -0.0001)] == ["+0.83", "-1.50", "+0.00"]
