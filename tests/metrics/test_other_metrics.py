"""Runs whose primary metric is another, in what is written and printed of them: lower may be better, without a unit."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest
from other_metrics import MIOU, PERPLEXITY, row_of, rows_of, run_of

from prunetui import events
from prunetui.cli.list_runs import print_runs
from prunetui.cli.show_run import print_run
from prunetui.metrics import Metric, Metrics
from prunetui.report.gather import Material, gather
from prunetui.report.write_report import made
from prunetui.results.axes import X_AXES, Axis, best, curves, y_axes
from prunetui.results.comparison import compared, read_run
from prunetui.results.event_text import narration
from prunetui.results.progress import Tracker
from prunetui.results.summary import dense_level, lines, with_drop
from prunetui.store import Run

LOWER, MORE = "20240101-000000-language", "20240101-000000-scenes"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A run that is judged by perplexity, and one by mIoU, with the same figures."""
    run_of(tmp_path, "language", PERPLEXITY)
    run_of(tmp_path, "scenes", MIOU)
    return tmp_path


def test_status_and_results_say_what_is_measured(root: Path):
    plain = json.loads((root / LOWER / "status.json").read_text())
    assert (plain["primary"], plain["direction"], plain["perplexity_dense"], plain["perplexity_best"]) == (
        "perplexity", "lower", 20.0, 20.0,
    )  # fmt: skip
    assert "top1_dense" not in plain
    status = Run(root / MORE).status()
    assert status is not None
    assert (status.metrics.primary, status.best) == (MIOU.primary, 91.0)
    header = (root / MORE / "results.csv").read_text().partition("\n")[0].split(",")
    assert header[11:19] == [
        "miou_before", "miou_before_raw", "miou", "val_miou", "miou_dense", "miou_control", "ece", "loss",
    ]  # fmt: skip
    found = Run(root / LOWER).results()
    assert (found.trouble, found.rows[-1]["perplexity"]) == ("", "25.4")


def test_a_figure_that_is_no_number_is_damage_whatever_it_is_called(root: Path):
    path = root / MORE / "results.csv"
    path.write_text(path.read_text().replace("0.125", "a lot", 1))
    assert "ece is 'a lot', no number" in Run(root / MORE).results().trouble


def test_a_lost_status_is_rebuilt_as_far_as_the_events_tell(root: Path):
    run = Run(root / LOWER)
    with run.appender() as append:
        for row in rows_of(PERPLEXITY):
            append(events.TrialFinished(str(row["trial"]), "done", row))
        append(events.RunFinished("done"))
    (run.folder / "status.json").unlink()
    status = run.status()
    assert status is not None
    assert (status.metrics.primary.key, status.dense) == ("perplexity", 20.0)
    assert "which values of perplexity are better they do not, higher ones are taken to be" in status.message


def test_lines_axes_and_the_front_follow_the_direction():
    table = lines(with_drop(rows_of(PERPLEXITY), PERPLEXITY), PERPLEXITY)
    careful = table[-1]
    assert careful.figures["perplexity"].text() == "25.20 ±0.20"
    assert careful.figures["drop"].mean == pytest.approx(5.2)  # 25.2 is 5.2 worse than 20
    assert dense_level(table) == 20.0
    primary = y_axes(PERPLEXITY)[0]
    assert (primary.words, primary.metric.higher_is_better) == ("perplexity", False)
    assert [one.words for one in y_axes(PERPLEXITY)[1:]] == [
        "perplexity before recovery", "perplexity gained", "validation perplexity", "loss",
    ]  # fmt: skip
    sparsity = X_AXES[0]
    shown = curves(table, sparsity, primary)
    assert best(shown, sparsity, primary) == (pytest.approx((0.2, 20.1)), pytest.approx((0.9, 25.2)))
    higher = Axis(Metric("perplexity", "perplexity"))
    assert best(shown, sparsity, higher) == (pytest.approx((0.9, 90.5)),)  # as if it were an accuracy


def test_show_prints_the_metric_and_no_other(root: Path, capsys: pytest.CaptureFixture[str]):
    print_run(root, LOWER, as_json=False)
    out = capsys.readouterr().out
    assert re.search(r"before +perplexity +dense +control", out)
    assert "perplexity on the test split against sparsity" in out
    assert "25.20 ±0.20" in out
    assert re.search(r"dense 20\.00\s", out)
    assert "top-1" not in out
    assert "%" not in out
    print_run(root, MORE, as_json=False)
    out = capsys.readouterr().out
    assert "mIoU % on the test split against sparsity" in out
    assert "dense 20.00 %" in out


def test_the_runs_of_one_metric_and_of_several(root: Path, tmp_path_factory, capsys: pytest.CaptureFixture[str]):
    print_runs(root, as_json=False)
    out = capsys.readouterr().out
    assert "20.00 perplexity" in out
    assert "91.00 % mIoU" in out
    assert "dense %" not in out
    alone = tmp_path_factory.mktemp("alone")
    run_of(alone, "language", PERPLEXITY)
    print_runs(alone, as_json=False)
    assert re.search(r"dense perplexity +best perplexity +age", capsys.readouterr().out)
    print_runs(root, as_json=True)
    listed = {one["name"]: one for one in json.loads(capsys.readouterr().out)}
    assert (listed["language"]["direction"], listed["scenes"]["miou_best"]) == ("lower", 91.0)


def test_a_finished_trial_is_told_by_its_metric():
    event = events.TrialFinished("t", "done", row_of(PERPLEXITY, "rough", 0.5, 0, 25.0))
    assert narration(event, Tracker()) == "[0/0] t: 25.00 (before 50.00, dense 20.00), 1.5 s"


# Reports ----------------------------------------------------------------------------------------------


def text_of(material: Material, kind: str) -> str:
    return made(material, kind).decode()


def test_a_report_ranks_by_the_direction(root: Path):
    words = text_of(gather(root, [LOWER]), "md")
    assert "Best mean perplexity, of 2 targets: careful at 2." in words
    assert (
        "sparsity 0.9: careful has the best mean, 25.20 ±0.20; its lead exceeds the spread over seeds against" in words
    )
    assert "rough (-65.30" in words
    assert "on perplexity after recovery" in words
    assert (
        "Within 1 % of the perplexity of the dense control, by the means: careful with 20.0 % removed (worse by 0.10)"
        in words
    )
    assert "Never within 1 % of it: rough." in words
    assert "perplexity before | perplexity | " in words
    assert "dense perplexity 20.00" in words
    assert "top-1" not in words

    words = text_of(gather(root, [MORE]), "md")
    assert "Best mean mIoU, of 2 targets: rough at 2." in words
    assert "rough has the best mean, 90.50 ±0.50 %" in words


def test_a_report_for_programs(root: Path):
    rows = list(csv.DictReader(io.StringIO(text_of(gather(root, [LOWER]), "csv"))))
    assert (rows[-1]["run"], rows[-1]["perplexity"], "top1" in rows[-1]) == (LOWER, "25.4", False)
    plain = json.loads(text_of(gather(root, [LOWER]), "json"))
    assert plain["runs"][0]["status"]["direction"] == "lower"
    line = plain["lines"][-1]
    assert line["perplexity_by_seed"] == {"0": 25.0, "1": 25.2, "2": 25.4}
    assert line["figures"]["perplexity"]["mean"] == pytest.approx(25.2)
    test = plain["tests"][-1]
    assert (test["first"], test["second"], test["exceeds"]) == ("rough", "careful", True)
    assert test["difference"] == pytest.approx(65.3)


def test_a_report_as_a_page(root: Path):
    page = text_of(gather(root, [LOWER]), "html")
    assert re.findall(r"<strong>([^<]*)</strong>", page) == [
        "sparsity 0.2", "sparsity 0.9", "20.10 ±0.10", "25.20 ±0.20",
    ]  # fmt: skip
    assert "Bold: the best mean perplexity at its target" in page
    assert "perplexity on the test split" in page  # beside the chart
    assert "<dt>before, perplexity</dt><dd>Perplexity on the test split, before and after recovery training." in page
    assert "difference, perplexity" in page
    assert "top-1" not in page
    assert "points lost" not in page


def test_a_chart_as_a_file(root: Path):
    svg = text_of(gather(root, [LOWER]), "svg")
    assert "perplexity on the test split" in svg
    assert "top-1" not in svg


def test_runs_of_different_metrics_are_judged_apart(root: Path):
    material = gather(root, [LOWER, MORE])
    words = text_of(material, "md")
    assert "### language" in words
    assert "### scenes" in words
    assert "Best mean perplexity, of 2 targets: careful at 2." in words
    assert "Best mean mIoU, of 2 targets: rough at 2." in words
    assert "different primary metrics: each is judged on its own" in text_of(material, "html")
    assert "| mIoU, % |" in words


def test_runs_of_different_metrics_are_compared_as_far_as_they_can_be(root: Path):
    found = compared([read_run(run, run.status()) for run in (Run(root / LOWER), Run(root / MORE))])
    assert found.troubles == ("scenes: its primary metric is mIoU, not perplexity",)
    first, last = found.lines[0].line, found.lines[-1].line
    assert ("perplexity" in first.figures, "perplexity" in last.figures, "miou" in last.figures) == (True, False, True)
    assert "drop" not in last.figures  # points of mIoU are none of perplexity


# A metric that no file of prunetui names --------------------------------------------------------------

FLIPS = Metric("flips", "flipped answers", "%", "lower", ".1f")


def test_a_metric_is_added_in_one_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    metrics = Metrics(MIOU.primary, (FLIPS,))
    run = run_of(tmp_path, "mine", metrics, flips=7.25)
    header, *_, last = (run.folder / "results.csv").read_text().splitlines()
    assert dict(zip(header.split(","), last.split(","), strict=True))["flips"] == "7.25"
    assert (y_axes(metrics)[-2].words, y_axes(metrics)[-2].metric.higher_is_better) == ("flipped answers", False)
    print_run(tmp_path, "mine", as_json=False)
    assert re.search(r"control +flipped answers", capsys.readouterr().out)
    words = text_of(gather(tmp_path, ["mine"]), "md")
    assert "| flipped answers, % |" in words
    assert "| 7.2 ±0.0 |" in words
    rows = list(csv.DictReader(io.StringIO(text_of(gather(tmp_path, ["mine"]), "csv"))))
    assert rows[-1]["flips"] == "7.25"
