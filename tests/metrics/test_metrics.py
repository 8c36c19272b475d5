"""A metric as data: what columns, directions and formats follow from it, on literal figures."""

from __future__ import annotations

from typing import Any

import pytest

from prunetui.metrics import CLASSIFICATION, LOSS, Metric, Metrics, joined
from prunetui.store.metrics_of_run import metrics_of, metrics_plain, read_metrics
from prunetui.store.results import needed_columns, results_columns

PERPLEXITY = Metric("perplexity", "perplexity", "", "lower", ".1f")
MIOU = Metric("miou", "mIoU", "%")


def test_the_columns_of_a_classification():
    assert ",".join(results_columns(CLASSIFICATION)) == (
        "trial,method,label,schedule,seed,target,sparsity,params,params_nonzero,macs,macs_nonzero,top1_before,"
        "top1_before_raw,top1,val_top1,top1_dense,top1_control,top5,loss,bytes,latency_ms,latency_iqr_ms,"
        "latency128_ms,latency128_iqr_ms,latency_cuda_ms,latency_cuda_iqr_ms,latency128_cuda_ms,latency128_cuda_iqr_ms,"
        "runtime,seconds,status,error,layer,note"
    )
    assert ",".join(needed_columns(CLASSIFICATION)) == (
        "trial,method,label,schedule,seed,target,sparsity,params,params_nonzero,macs,top1_before,top1,val_top1,"
        "top1_dense,loss,bytes,latency_ms,seconds,status,error"
    )


def test_another_task_has_its_primary_metric_in_place_of_top1():
    metrics = Metrics(MIOU, (Metric("dice", "Dice"),))
    assert metrics.columns == (
        "miou_before", "miou_before_raw", "miou", "val_miou", "miou_dense", "miou_control", "dice", "loss",
    )  # fmt: skip
    assert results_columns(metrics)[11:19] == metrics.columns


def test_the_loss_is_a_column_once():
    assert Metrics(LOSS).columns[-1] == "loss_control"
    assert Metrics(MIOU, (LOSS,)).columns.count("loss") == 1


def test_a_value_with_its_unit_and_as_a_file_keeps_it():
    assert (MIOU.text(71.256), MIOU.number(71.256), MIOU.rounded(71.2345678)) == ("71.26 %", "71.26", 71.2346)
    assert (PERPLEXITY.text(23.14), PERPLEXITY.rounded(23.14159)) == ("23.1", 23.142)
    assert PERPLEXITY.rounded(None) is None
    assert (MIOU.titled(), MIOU.titled(" "), PERPLEXITY.titled()) == ("mIoU, %", "mIoU %", "perplexity")


def test_the_direction_decides_what_is_best_and_what_is_lost():
    assert (MIOU.best([60, 80, 70]), PERPLEXITY.best([60, 80, 70])) == (80, 60)
    assert (MIOU.lost(80, 70), PERPLEXITY.lost(20, 25), PERPLEXITY.lost(25, 20)) == (10, 5, -5)
    assert MIOU.best([]) is None
    lost = [metrics.drop.title for metrics in (CLASSIFICATION, Metrics(MIOU), Metrics(PERPLEXITY), Metrics(LOSS))]
    assert lost == ["points lost", "points lost", "perplexity gained", "loss gained"]


def test_a_row_is_built_of_what_was_measured_at_each_stage():
    measured = {
        "before": {"miou": 50.123456, "loss": 1.0}, "edited": {"miou": 40}, "dense": {"miou": 80},
        "after": {"miou": 70, "loss": 0.12345678},
    }  # fmt: skip
    assert Metrics(MIOU).row(measured) == {
        "miou_before": 50.1235, "miou_before_raw": 40, "miou": 70, "val_miou": None, "miou_dense": 80,
        "miou_control": None, "loss": 0.123457,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"key": "mIoU"}, "the key of a metric is 'mIoU'"),
        ({"key": "1st"}, "begins with a letter"),
        ({"title": ""}, "the title of the metric m is ''"),
        ({"title": "[red]x"}, r"the title of the metric m is '\[red\]x'"),
        ({"title": "x" * 41}, "it may have 40 letters"),
        ({"unit": "\x1b[2J"}, "the unit of the metric m"),
        ({"direction": "up"}, "is 'up', not higher or lower"),
        ({"format": "{}"}, "write .2f, .4f or size"),
    ],
)
def test_a_metric_that_is_none_is_refused(fields: dict[str, Any], told: str):
    with pytest.raises(ValueError, match=told):
        Metric(**{"key": "m", "title": "m", **fields})


@pytest.mark.parametrize("key", ["loss", "bytes", "status", "miou_before", "drop"])
def test_two_columns_of_one_name_are_refused(key: str):
    with pytest.raises(ValueError, match=f"would be called {key}"):
        Metrics(MIOU, (LOSS, Metric(key, key)))


def test_runs_that_measure_different_things_are_shown_beside_each_other():
    dice = Metric("dice", "Dice")
    both = joined([Metrics(MIOU), Metrics(PERPLEXITY, (dice,)), CLASSIFICATION])
    assert both.primary == MIOU
    assert [metric.key for metric in both.more] == ["dice", "perplexity", "top5", "top1"]
    assert joined([CLASSIFICATION, CLASSIFICATION]) == CLASSIFICATION == joined([])


# In files ---------------------------------------------------------------------------------------------


def test_what_is_measured_survives_its_file():
    metrics = Metrics(PERPLEXITY, (Metric("bits", "bits", "bit/B", "lower", ".3f", in_tables=False),))
    plain = metrics_plain(metrics)
    assert (plain["primary"], plain["direction"]) == ("perplexity", "lower")
    read = read_metrics(plain)
    assert (read.primary, read.others) == (metrics.primary, metrics.others)
    plain["metrics"][0]["of_a_later_version"] = 1
    assert read_metrics(plain).primary == PERPLEXITY
    assert read_metrics({"state": "done"}) == CLASSIFICATION


@pytest.mark.parametrize(
    ("listed", "told"),
    [
        (None, "metrics is 'None'"),
        ({}, "metrics is '{}'"),
        (["a"], "a metric is 'a'"),
        ([{"key": "b", "title": "b"}], "primary is 'a', none of its metrics"),
        ([{"key": "a"}], "a metric has no key or title"),
        ([{"key": "a", "title": 1}], "title of a metric is '1'"),
        ([{"key": "a", "title": "a", "averaged": "no"}], "averaged of a metric is 'no'"),
        ([{"key": "a", "title": "[b]a"}], "the title of the metric a"),
        ([{"key": "a", "title": "a"}, {"key": "a_dense", "title": "a"}], "would be called a_dense"),
        ([{"key": "a", "title": "a"}] * 100, "metrics is"),
    ],
)
def test_a_file_that_says_nonsense_is_refused(listed: Any, told: str):
    with pytest.raises(ValueError, match=told):
        read_metrics({"primary": "a", "metrics": listed})


def test_a_header_tells_the_primary_metric():
    assert metrics_of(results_columns(Metrics(MIOU))).primary.key == "miou"
    assert metrics_of(results_columns(Metrics(LOSS))).primary == LOSS
    assert metrics_of(results_columns(CLASSIFICATION)) == CLASSIFICATION
    assert metrics_of(["trial", "a_before", "a"]) == CLASSIFICATION
