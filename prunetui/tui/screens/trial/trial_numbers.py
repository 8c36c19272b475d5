"""All that a row of results says of its trial, in words and units."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prunetui.metrics import LOSS, Metric, Metrics
from prunetui.results.summary import human

Row = Mapping[str, Any]


def numbers(row: Row, dense: Row, metrics: Metrics) -> list[tuple[str, str]]:
    """(what, value) of everything that is known; ``dense`` is the row that sizes are compared with."""
    first, last = [other for other in metrics.others if other != LOSS], [LOSS] * (LOSS in metrics.others)
    found = [
        ("status", str(row.get("status", ""))),
        ("error", str(row.get("error") or "")),
        ("method", str(row.get("label") or row.get("method") or "")),
        ("schedule", str(row.get("schedule") or "")),
        ("layer", str(row.get("layer") or "")),
        ("target", str(row.get("target") or "")),
        ("seed", str(row.get("seed", ""))),
        ("sparsity", _plain(row, "sparsity", 4)),
        ("parameters", _size(row, dense, "params")),
        ("not zero", _size(row, dense, "params_nonzero")),
        ("MACs", _size(row, dense, "macs")),
        ("without zeros", "" if row.get("macs_nonzero") == row.get("macs") else _size(row, dense, "macs_nonzero")),
        ("bytes", _size(row, dense, "bytes")),
        *_latencies(row),
        (metrics.dense.title, _text(row, metrics.dense)),
        ("after the edit", _text(row, metrics.before_raw)),
        ("re-estimated", _text(row, metrics.before)),
        ("after recovery", _text(row, metrics.primary)),
        ("control", _text(row, metrics.control)),
        (metrics.drop.title, _lost(row, metrics)),
        *((other.title, _text(row, other)) for other in first),
        (metrics.validation.title, _text(row, metrics.validation)),
        *((other.title, _text(row, other)) for other in last),
        ("took", _plain(row, "seconds", 1, " s")),
    ]
    return [(what, value) for what, value in found if value]


def _latencies(row: Row) -> list[tuple[str, str]]:
    """Of one image and of 128, with what they were timed; of masks, that there is nothing to time."""
    runtime = str(row.get("runtime") or "")
    names = {
        "latency": "latency", "latency of 128": "latency128", "on the GPU": "latency_cuda",
        "128 on the GPU": "latency128_cuda",
    }  # fmt: skip
    found = [(what, _milliseconds(row, name)) for what, name in names.items() if _milliseconds(row, name)]
    if not found:
        return [("latency", runtime)]
    return [*found, ("timed with", runtime)]


def _milliseconds(row: Row, name: str) -> str:
    spread = _plain(row, f"{name}_iqr_ms", 3)
    return _plain(row, f"{name}_ms", 3, " ms") + (f", IQR {spread}" if spread else "")


def _number(row: Row, name: str) -> float | None:
    try:
        return float(row[name])
    except (KeyError, TypeError, ValueError):
        return None


def _plain(row: Row, name: str, digits: int, unit: str = "") -> str:
    value = _number(row, name)
    return "" if value is None else f"{value:.{digits}f}{unit}"


def _size(row: Row, dense: Row, name: str) -> str:
    value, full = _number(row, name), _number(dense, name)
    if value is None:
        return ""
    share = f"  {100 * value / full:.1f} % of dense" if full and row is not dense else ""
    return f"{human(value)}{share}"


def _text(row: Row, metric: Metric) -> str:
    value = _number(row, metric.key)
    return "" if value is None else metric.text(value)


def _lost(row: Row, metrics: Metrics) -> str:
    dense, after = _number(row, metrics.dense.key), _number(row, metrics.primary.key)
    return "" if dense is None or after is None else metrics.drop.number(metrics.primary.lost(dense, after))
