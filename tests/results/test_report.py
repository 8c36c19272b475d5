"""Rows -> tables, curves and charts on literal numbers; events -> what a progress display shows."""

from __future__ import annotations

import re
from typing import Any

import pytest

from prunetui.cli.show_run import print_results
from prunetui.events import (
    EpochFinished,
    Log,
    Planned,
    Progress,
    RunFinished,
    RunStarted,
    StepFinished,
    StepStarted,
    TrialFinished,
)
from prunetui.metrics import CLASSIFICATION
from prunetui.results.chart import Picture, against_sparsity, draw, legend, look
from prunetui.results.progress import Tracker
from prunetui.results.summary import (
    Figure,
    Sensitivity,
    Series,
    dense_level,
    front,
    human,
    lines,
    only_masks,
    sensitivities,
    series,
    with_drop,
)


def row(label: str, target: str, seed: int, **cells: Any) -> dict[str, Any]:
    """A row of results.csv as it is read: text in every cell."""
    plain = {
        "trial": f"{label}-{target.partition(':')[2]}-s{seed}", "method": label, "label": label, "schedule": "one-shot",
        "seed": seed, "target": target, "status": "done", "error": "", **cells,
    }  # fmt: skip
    return {key: str(value) for key, value in plain.items()}


def control(epochs: int, seed: int, again: str = "", **cells: Any) -> dict[str, Any]:
    trial = f"dense-{epochs}ep-s{seed}{again}"
    return row("dense", "sparsity:0", seed, **{"trial": trial, "sparsity": 0.0, **cells})


# Means and spreads ------------------------------------------------------------------------------------


def test_the_seeds_of_one_setting_become_a_mean_and_a_sample_deviation():
    (line,) = lines(
        [
            row("l1", "sparsity:0.5", 0, top1=90, sparsity=0.5, params=1000, loss=0.25),
            row("l1", "sparsity:0.5", 1, top1=92, sparsity=0.5, params=1000, loss=""),
            row("l1", "sparsity:0.5", 2, top1=94, sparsity=0.5, params=1000),
        ]
    )
    assert (line.label, line.method, line.schedule, line.target) == ("l1", "l1", "one-shot", "sparsity:0.5")
    assert (line.seeds, line.failed, line.error) == (3, 0, "")
    assert line.figures["top1"] == Figure(92.0, 2.0)
    assert line.figures["params"] == Figure(1000.0, 0.0)
    assert line.figures["loss"] == Figure(0.25, None)  # one seed has it: a mean without a spread
    assert "macs" not in line.figures


def test_a_figure_is_shown_with_its_spread_where_there_is_one():
    assert Figure(91.0, None).text() == "91.00"
    assert Figure(91.0, 1.414).text() == "91.00 ±1.41"
    assert Figure(0.123456, 0.0).text(digits=4) == "0.1235 ±0.0000"


def test_method_label_schedule_and_target_keep_lines_apart_in_the_order_of_the_study():
    table = lines(
        [
            row("b", "sparsity:0.5", 0),
            row("a", "sparsity:0.5", 0),
            row("a", "sparsity:0.9", 0),
            row("a", "sparsity:0.5", 0, schedule="iterative"),
            row("b", "sparsity:0.5", 1),
        ]
    )
    assert [(line.label, line.schedule, line.target, line.seeds) for line in table] == [
        ("b", "one-shot", "sparsity:0.5", 2),
        ("a", "one-shot", "sparsity:0.5", 1),
        ("a", "one-shot", "sparsity:0.9", 1),
        ("a", "iterative", "sparsity:0.5", 1),
    ]


def test_a_failed_trial_counts_and_tells_its_error_but_gives_no_figures():
    (line,) = lines(
        [
            row("l1", "sparsity:0.5", 0, top1=90),
            row("l1", "sparsity:0.5", 1, status="failed", error="out of memory"),
            row("l1", "sparsity:0.5", 2, status="failed", error="again"),
        ]
    )
    assert (line.seeds, line.failed, line.error) == (3, 2, "out of memory")
    assert line.figures["top1"] == Figure(90.0, None)


def test_a_line_of_which_all_failed_has_no_figures():
    (line,) = lines([row("l1", "sparsity:0.5", 0, status="failed", error="boom", top1="")])
    assert (line.failed, line.error, dict(line.figures)) == (1, "boom", {})
    assert series([line]) == []


def test_controls_are_lines_of_their_own_by_how_long_they_were_trained():
    table = lines([control(2, 0, top1=90), control(4, 0, top1=91), control(2, 1, top1=92)])
    assert [(line.label, line.seeds, line.figures["top1"].mean) for line in table] == [
        ("dense-2ep", 2, 91.0),
        ("dense-4ep", 1, 91.0),
    ]


def test_two_controls_of_one_seed_are_never_averaged():
    """1 + 1 + 2 and 2 + 2 epochs are two trainings; their difference is no spread over seeds."""
    table = lines([control(4, 0, top1=90, schedule="iterative"), control(4, 0, "-2", top1=92, schedule="iterative")])
    assert [line.figures["top1"] for line in table] == [Figure(90.0, None), Figure(92.0, None)]


def test_the_dense_level_is_the_mean_over_seeds():
    assert dense_level(lines([row("l1", "sparsity:0.5", s, top1_dense=90 + s) for s in (0, 1)])) == 90.5
    assert dense_level(lines([row("l1", "sparsity:0.5", 0, status="failed")])) is None
    assert dense_level([]) is None


# Curves -----------------------------------------------------------------------------------------------


def test_a_method_is_one_curve_ascending_in_sparsity_without_the_controls():
    table = lines(
        [
            control(2, 0, top1=93),
            row("l1", "sparsity:0.9", 0, sparsity=0.9, top1=70),
            row("l1", "sparsity:0.5", 0, sparsity=0.5, top1=90),
            row("l1", "sparsity:0.5", 1, sparsity=0.5, top1=92),
            row("random", "sparsity:0.5", 0, sparsity=0.5, top1=60),
            row("random", "sparsity:0.9", 0, status="failed"),
        ]
    )
    assert series(table) == [
        Series("l1", (0.5, 0.9), (91.0, 70.0), (2**0.5, 0.0)),
        Series("random", (0.5,), (60.0,), (0.0,)),
    ]


def test_one_label_under_two_schedules_is_two_curves():
    table = lines(
        [
            row("l1", "sparsity:0.5", 0, sparsity=0.5, top1=90),
            row("l1", "sparsity:0.5", 0, sparsity=0.5, top1=91, schedule="iterative"),
            row("random", "sparsity:0.5", 0, sparsity=0.5, top1=60),
        ]
    )
    assert [curve.label for curve in series(table)] == ["l1 one-shot", "l1 iterative", "random"]


def test_every_runtime_of_the_seeds_is_told():
    rows = [row("l2", "sparsity:0.5", seed, top1=80, runtime=f"onnxruntime 1.{seed // 2}") for seed in range(3)]
    assert lines(rows)[0].runtime == "onnxruntime 1.0, onnxruntime 1.1"


def test_masks_are_named_once_and_have_no_point_on_the_axis_of_latency():
    masks = {"runtime": "no speed-up in this runtime", "macs": 1000, "macs_nonzero": 300}
    table = lines(
        [
            row("l1", "sparsity:0.5", 0, top1=90, **masks),
            row("l1", "sparsity:0.9", 0, top1=70, **masks),
            row("l2", "sparsity:0.5", 0, top1=80, latency_ms=0.5, latency128_ms=20, runtime="onnxruntime 1.20.0"),
        ]
    )
    assert only_masks(table) == "l1: masks, no speed-up in this runtime"
    assert only_masks(table[2:]) == ""
    assert series(table, x="latency_ms") == [Series("l2", (0.5,), (80.0,), (0.0,))]


def test_the_table_has_latencies_and_says_of_masks_that_they_bring_none(capsys: pytest.CaptureFixture[str]):
    sizes = {"params": 100, "macs": 1000, "top1": 90, "top1_before": 80, "top1_dense": 91, "top1_control": 92}
    masks = {"runtime": "no speed-up in this runtime", "macs_nonzero": 300}
    print_results(
        [
            row("l1", "sparsity:0.5", 0, sparsity=0.5, **sizes, **masks),
            row(
                "l2", "sparsity:0.5", 0, sparsity=0.5, **sizes, macs_nonzero=1000, latency_ms=0.4081, latency128_ms=2050
            ),
        ]
    )
    told = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()[:4]]
    assert told == [
        "method target sparsity params MACs nominal before top-1 dense control ms@1 ms@128",
        "l1 sparsity:0.5 0.5000 100 1.00k 300 80.00 90.00 91.00 92.00 - -",
        "l2 sparsity:0.5 0.5000 100 1.00k 1.00k 80.00 90.00 91.00 92.00 0.408 2050",
        "l1: masks, no speed-up in this runtime; nominal: MACs without those of zeros",
    ]


def test_other_figures_can_be_the_axes():
    table = lines([row("l1", "sparsity:0.5", 0, sparsity=0.5, top1=90, macs=1000, loss=0.5)])
    assert series(table, x="macs", y="loss") == [Series("l1", (1000.0,), (0.5,), (0.0,))]
    assert series(table, x="latency_ms") == []


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1.00k"),
        (11_173_962, "11.17M"),
        (2.5e9, "2.50G"),
        (999_999, "1.00M"),
        (999_999_999, "1.00G"),
    ],
)
def test_a_large_number_is_shown_with_a_unit(number: float, shown: str):
    assert human(number) == shown


# The chart --------------------------------------------------------------------------------------------

APART = [Series(f"m{i}", (0.1 + 0.1 * i, 0.9), (20.0 + 10 * i, 15.0 + 10 * i), (0.0, 0.0)) for i in range(6)]


def with_dense(curves: list[Series], dense: float | None) -> Picture:
    return against_sparsity(curves, dense, CLASSIFICATION.primary)


def chart(curves: list[Series], dense: float | None, width: int, height: int, color: bool = True) -> str:
    return draw(with_dense(curves, dense), width, height, color)


def test_a_chart_without_colour_is_plain_text_that_shows_every_series():
    text = chart(APART, dense=95.0, width=80, height=24, color=False)
    assert "\x1b" not in text
    drawing = "\n".join(line.partition("┤")[2] or line.partition("│")[2] for line in text.splitlines())
    for marker, _, label in legend(with_dense(APART, 95.0)):
        assert marker in drawing, label
    assert "top-1 %" in text
    rows = text.rstrip("\n").split("\n")
    assert len(rows) == 24
    assert all(len(line) <= 80 for line in rows)


def test_a_chart_in_colour_has_escape_codes_and_the_same_text():
    coloured = chart(APART, dense=95.0, width=80, height=24, color=True)
    plain = chart(APART, dense=95.0, width=80, height=24, color=False)
    assert "\x1b[" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain


@pytest.mark.parametrize(
    ("curves", "dense"),
    [
        ([Series("one", (0.5,), (90.0,), (0.0,))], None),
        ([Series("one", (0.5,), (90.0,), (0.0,))], 90.0),
        ([Series("flat", (0.5, 0.9), (10.0, 10.0), (0.0, 0.0))], 10.0),
        ([Series("upright", (0.5, 0.5), (10.0, 20.0), (0.0, 0.0))], None),
    ],
    ids=["one point", "one point at dense", "flat", "upright"],
)
def test_a_chart_of_hardly_anything_is_still_a_chart(curves: list[Series], dense: float | None):
    text = chart(curves, dense, width=60, height=12, color=False)
    assert len(text.rstrip("\n").split("\n")) == 12
    assert look(0)[0] in text


def test_nothing_to_draw_is_no_chart():
    assert chart([Series("none", (), (), ())], None, width=60, height=12) == ""
    assert chart([], 90.0, width=60, height=12) == ""


def test_a_chart_leaves_nothing_behind_for_the_next():
    first = chart(APART, 95.0, 80, 24, color=False)
    chart(APART[:1], None, 40, 10, color=True)
    assert chart(APART, 95.0, 80, 24, color=False) == first


def test_the_legend_names_all_curves_and_the_dense_level():
    shown = [(marker, label) for marker, _, label in legend(with_dense(APART[:2], 95.125))]
    assert shown == [("o", "m0"), ("x", "m1"), ("-", "dense 95.12 %")]
    assert len(legend(with_dense(APART[:2], None))) == 2


def test_twenty_curves_all_look_different():
    assert len({look(i) for i in range(20)}) == 20


# Progress ---------------------------------------------------------------------------------------------


def told(*events: Any) -> Tracker:
    tracker = Tracker()
    for event in events:
        tracker.feed(event)
    return tracker


START = (RunStarted("run-1", "cpu", resumed=False, time=100.0), Planned(4, 1, 10, work=1000, time=100.0))
TRAIN = StepStarted("k1", "Train", "train 2 epochs", "l1-0.5-s0", work=600, time=101.0)


def test_a_tracker_that_was_fed_nothing_shows_nothing():
    tracker = Tracker()
    assert (tracker.fraction, tracker.seconds_left, tracker.step, tracker.state) == (0.0, None, "", "")


def test_the_plan_tells_how_much_there_is_to_do():
    tracker = told(*START)
    assert (tracker.run, tracker.device, tracker.state) == ("run-1", "cpu", "running")
    assert (tracker.trials, tracker.trials_done, tracker.work, tracker.fraction) == (4, 1, 1000, 0.0)


def test_progress_inside_a_step_counts_by_the_work_of_the_step():
    tracker = told(*START, TRAIN, Progress("k1", 50, 100, 1, 2, 2000.0, loss=1.5, time=110.0))
    assert (tracker.step, tracker.trial, tracker.epoch, tracker.epochs) == ("train 2 epochs", "l1-0.5-s0", 1, 2)
    assert (tracker.done, tracker.total, tracker.images_per_second, tracker.loss) == (50, 100, 2000.0, 1.5)
    assert tracker.fraction == pytest.approx(0.3)  # half of 600 of 1000
    assert tracker.seconds_left == pytest.approx(10 * 0.7 / 0.3)


def test_a_finished_step_counts_once_and_a_found_one_was_never_planned():
    finished = StepFinished("k1", "Train", 9.0, cached=False, work=600, time=110.0)
    tracker = told(*START, TRAIN, Progress("k1", 100, 100, 2, 2, 2000.0), finished)
    assert tracker.fraction == pytest.approx(0.6)
    tracker.feed(finished)
    tracker.feed(StepFinished("k2", "Train", 9.0, cached=True, work=600, time=111.0))
    assert tracker.fraction == pytest.approx(0.6)


def test_a_new_step_starts_from_nothing():
    tracker = told(*START, TRAIN, Progress("k1", 100, 100, 2, 2, 2000.0, loss=0.5))
    tracker.feed(StepStarted("k2", "Measure", "measure on test", "l1-0.5-s0", work=100))
    assert (tracker.step, tracker.done, tracker.epoch, tracker.loss) == ("measure on test", 0, 0, None)
    assert tracker.images_per_second == 0.0


def test_reading_data_is_a_step_without_work():
    tracker = told(START[0], Progress("data: cifar10", 3, 10, 0, 0, 0.0, time=100.0))
    assert (tracker.step, tracker.done, tracker.total, tracker.fraction) == ("data: cifar10", 3, 10, 0.0)


def test_the_end_is_all_of_the_work_and_all_trials():
    tracker = told(
        *START,
        TRAIN,
        EpochFinished("k1", 2, 2, 0.5, 90.0),
        StepFinished("k1", "Train", 9.0, cached=False, work=600),
        StepFinished("k2", "Measure", 1.0, cached=False, work=400),
        *(TrialFinished(f"t{i}", "done", {}) for i in range(3)),
        Log("info", "nothing to see"),
        RunFinished("done", time=150.0),
    )
    assert (tracker.fraction, tracker.trials_done, tracker.state, tracker.message) == (1.0, 4, "done", "")
    assert tracker.seconds_left == 0.0


def test_more_work_than_planned_is_never_more_than_all():
    assert told(*START, StepFinished("k1", "Train", 9.0, cached=False, work=5000)).fraction == 1.0


def test_a_resumed_run_is_counted_anew_and_its_old_end_is_forgotten():
    tracker = told(
        *START,
        TRAIN,
        StepFinished("k1", "Train", 9.0, cached=False, work=600),
        RunFinished("interrupted", "stopped between two steps", time=110.0),
    )
    assert (tracker.state, tracker.message) == ("interrupted", "stopped between two steps")
    tracker.feed(RunStarted("run-1", "cpu", resumed=True, time=500.0))
    tracker.feed(Planned(4, 2, 5, work=400, time=501.0))
    assert (tracker.state, tracker.message) == ("running", "")
    assert (tracker.trials_done, tracker.work, tracker.fraction, tracker.started) == (2, 400, 0.0, 501.0)


# Sensitivity ------------------------------------------------------------------------------------------


def only(method: str, layer: str, value: float, seed: int, **cells: Any) -> dict[str, Any]:
    """A row of a study that prunes one layer at a time."""
    found = row(f"{method} {layer.partition('+')[0]}", f"channels:{value}", seed, layer=layer, **cells)
    return {**found, "method": method}


SENSITIVE = [
    control(0, 0, top1=90, top1_dense=90),
    only("l1", "a+shortcut", 0.5, 0, top1=80, top1_dense=90),
    only("l1", "a+shortcut", 0.5, 1, top1=82, top1_dense=90),
    only("l1", "a+shortcut", 0.8, 0, top1=60, top1_dense=90),
    only("l1", "b", 0.5, 0, top1=88, top1_dense=90),
    only("l1", "stem", 0, 0, status="skipped", error="its channels must stay"),
    only("snip", "a", 0.5, 0, top1=85, top1_dense=90),
]


def test_a_sensitivity_study_has_one_line_a_layer_and_one_column_a_target():
    assert sensitivities(SENSITIVE) == [
        Sensitivity(
            "l1", ("a", "shortcut"), {"channels:0.5": Figure(81.0, 2**0.5), "channels:0.8": Figure(60.0, None)}, ""
        ),
        Sensitivity("l1", ("b",), {"channels:0.5": Figure(88.0, None)}, ""),
        Sensitivity("l1", ("stem",), {}, "its channels must stay"),
        Sensitivity("snip", ("a",), {"channels:0.5": Figure(85.0, None)}, ""),
    ]


def test_a_study_that_prunes_all_layers_together_has_no_table_of_layers():
    assert sensitivities([control(2, 0, layer=""), row("l1", "sparsity:0.5", 0, layer="", top1=90)]) == []


def test_the_table_of_a_sensitivity_study_says_what_was_not_pruned_and_why(capsys: pytest.CaptureFixture[str]):
    print_results(SENSITIVE)
    out, err = capsys.readouterr()
    told = [" ".join(line.split()) for line in out.splitlines() if line.strip()]
    assert told == [
        "l1: top-1 with only this pruned (dense 90.00)",
        "layer, or coupled layers channels:0.5 channels:0.8",
        "a + shortcut 81.00 ±1.41 60.00",
        "b 88.00 -",
        "stem not pruned not pruned",
        "snip: top-1 with only this pruned (dense 90.00)",
        "layer, or coupled layers channels:0.5",
        "a 85.00",
    ]
    assert err == "- not pruned: its channels must stay\n"


# The front, and what is lost ----------------------------------------------------------------------------


def test_the_front_holds_what_no_other_point_beats():
    points = [(0.5, 90.0), (0.9, 70.0), (0.5, 85.0), (0.7, 80.0), (0.8, 60.0)]
    assert front(points, more_x=True, more_y=True) == [0, 3, 1]
    assert front([(100, 90.0), (50, 80.0), (60, 75.0), (50, 80.0)], more_x=False, more_y=True) == [1, 0]
    assert front([(100, 0.5), (50, 0.7), (70, 0.9)], more_x=False, more_y=False) == [1, 0]
    assert front([], more_x=True, more_y=True) == []


def test_what_is_lost_is_taken_seed_by_seed():
    rows = with_drop([{"top1": "90", "top1_dense": "92.5"}, {"top1": "", "top1_dense": "92"}, {}])
    assert [row.get("drop") for row in rows] == [2.5, None, None]


def test_a_point_knows_the_line_of_the_table_behind_it():
    cells = {"sparsity": 0.9, "top1": 70.0}, {"sparsity": 0.5, "top1": 90.0}
    table = lines(row("l1", f"sparsity:{one['sparsity']}", 0, **one) for one in cells)
    (curve,) = series(table)
    assert curve.of == (table[1], table[0])
