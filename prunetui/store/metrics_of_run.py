"""What a run measured, as its files say it: the header of results.csv, and a part of status.json."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, cast

from prunetui.metrics import CLASSIFICATION, KEY, LOSS, MOST, Metric, Metrics


def metrics_of(columns: Iterable[str]) -> Metrics:
    """What a table with these columns measures, as far as their names tell; classification where they do not.

    Of a metric that is not known here only the key is, and higher values are taken to be better.
    """
    names = list(columns)
    for name in names:
        key = name.removesuffix("_before")
        if key != name and {key, f"val_{key}", f"{key}_dense"} <= set(names) and KEY.fullmatch(key):
            if key == CLASSIFICATION.primary.key:
                return CLASSIFICATION
            return Metrics(LOSS if key == LOSS.key else Metric(key, key))
    return CLASSIFICATION


def assumed(metrics: Metrics) -> str:
    """What ``metrics_of`` had to assume, to be added to a sentence; empty where it is known."""
    primary = metrics.primary
    if primary in (CLASSIFICATION.primary, LOSS):
        return ""
    return f"; which values of {primary.key} are better they do not, {primary.direction} ones are taken to be"


def metrics_plain(metrics: Metrics) -> dict[str, Any]:
    """For JSON: the primary metric by name and its direction, and all of each where it is not classification's."""
    named = {"primary": metrics.primary.key, "direction": metrics.primary.direction}
    if metrics == CLASSIFICATION:
        return named
    every = [dataclasses.asdict(metric) for metric in (metrics.primary, *metrics.others)]
    return {**named, "metrics": every}


def read_metrics(plain: Mapping[str, Any]) -> Metrics:
    """What ``metrics_plain`` wrote, of this version or another; classification's where it lists none.

    Raises:
        ValueError: it is something else.
    """
    if "metrics" not in plain and plain.get("primary", CLASSIFICATION.primary.key) == CLASSIFICATION.primary.key:
        return CLASSIFICATION
    listed, primary = plain.get("metrics"), plain.get("primary")
    if not isinstance(listed, list) or len(listed) > MOST:
        raise ValueError(f"metrics is {str(listed)[:40]!r}")
    found = {metric.key: metric for metric in map(_read_metric, listed)}
    if not isinstance(primary, str) or primary not in found:
        raise ValueError(f"primary is {str(primary)[:40]!r}, none of its metrics")
    return Metrics(found.pop(primary), tuple(found.values()))


def _read_metric(plain: Any) -> Metric:
    if not isinstance(plain, dict):
        raise ValueError(f"a metric is {str(plain)[:40]!r}")
    kinds: dict[str, type] = {field.name: bool if field.type == "bool" else str for field in dataclasses.fields(Metric)}
    values = {name: value for name, value in plain.items() if name in kinds}
    for name, value in values.items():
        if type(value) is not kinds[name]:
            raise ValueError(f"{name} of a metric is {str(value)[:40]!r}")
    if not {"key", "title"} <= values.keys():
        raise ValueError("a metric has no key or title")
    return Metric(**cast(Any, values))
