"""The table of metrics: what every run has, whatever its task, and what the built-in tasks measure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prunetui.metrics.metric import HIGHER, LOWER, SIZE, Metric

# What every run has -----------------------------------------------------------------------------------


def _cost(key: str, title: str, unit: str = "", format: str = SIZE, **more: Any) -> Metric:
    return Metric(key, title, unit, LOWER, format, **more)


def _latency(name: str, title: str) -> tuple[Metric, Metric]:
    """The median of a latency, and the range between its quartiles."""
    spread = _cost(f"{name}_iqr_ms", f"{title}, IQR", "ms", ".2f", averaged=False, on_axes=False, in_tables=False)
    return _cost(f"{name}_ms", title, "ms", ".2f"), spread


SIZES = (
    Metric("sparsity", "sparsity", "", HIGHER, ".4f"),
    _cost("params", "parameters"),
    _cost("params_nonzero", "parameters that are not zero", on_axes=False),
    _cost("macs", "MACs"),
    _cost("macs_nonzero", "MACs without zeros"),
)
COSTS = (
    _cost("bytes", "bytes"),
    *_latency("latency", "latency"),
    *_latency("latency128", "latency of 128"),
    *_latency("latency_cuda", "GPU latency"),
    *_latency("latency128_cuda", "GPU latency of 128"),
)
SECONDS = _cost("seconds", "seconds", "s", ".1f", on_axes=False)
OF_ANY_RUN: Mapping[str, Metric] = {metric.key: metric for metric in (*SIZES, *COSTS, SECONDS)}
WORD_COLUMNS = (
    "trial", "method", "label", "schedule", "seed", "target", "runtime", "status", "error", "layer", "note",
)  # fmt: skip
"""Columns of results.csv that are no metrics."""


# What tasks measure ----------------------------------------------------------------------------------

LOSS = Metric("loss", "loss", "", LOWER, ".4f", in_tables=False)
"""Of every task."""
TOP1 = Metric("top1", "top-1", "%", noun="accuracy", about="Percent of test images whose first guess is right")
TOP5 = Metric("top5", "top-5", "%", averaged=False, on_axes=False, in_tables=False)
