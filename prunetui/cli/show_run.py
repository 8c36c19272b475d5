"""What ``prunetui show`` prints: the state, results and chart of a run. Torch-free."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from prunetui.cli.list_runs import run_object
from prunetui.metrics import Metric, Metrics
from prunetui.results import summary
from prunetui.results.chart import against_sparsity, draw, legend
from prunetui.store import find_run
from prunetui.store.environment import read_environment
from prunetui.terminal.output import console, packed, print_json, say, say_drawn, table

NARROW, WIDE = 100, 140
LATENCIES = {
    "ms@1": "latency_ms", "ms@128": "latency128_ms", "gpu ms@1": "latency_cuda_ms", "gpu ms@128": "latency128_cuda_ms",
}  # fmt: skip
"""Milliseconds a batch: columns of the table -> columns of results.csv."""
CHART_WIDTH, CHART_HEIGHT = 100, 24


def print_run(root: Path, given: str, as_json: bool) -> None:
    """One run: its status, results and chart."""
    run = find_run(root, given)
    status = run.status()
    rows, trouble = (found := run.results()).rows, found.trouble
    if trouble:
        say(f"warning: {trouble}; the rows are those that the events tell", err=True)
    if as_json:
        print_json({**run_object(run, status), "results": rows, "environment": read_environment(run.folder)})
        return
    if status is not None:
        say(f"{run.id}: {status.state}" + (f" ({status.message})" if status.message else ""))
        progress = f"{status.done} of {status.trials} trials done"
        say(f"{status.model} on {status.data}, {progress}, device {status.device or '-'}")
    if rows:
        print_results(rows, status.metrics if status else None)
    say(f"run: {run.folder}")


# Results --------------------------------------------------------------------------------------------


def print_results(rows: Iterable[Mapping[str, Any]], metrics: Metrics | None = None) -> None:
    """The table of results (mean and spread over seeds) and the chart; ``metrics`` are those of the run, if known."""
    rows = list(rows)
    metrics = metrics or summary.measured(rows)
    out = console()
    table_lines = summary.lines(rows, metrics)
    if any(row.get("layer") for row in rows):
        return _print_sensitivities(out, summary.sensitivities(rows, metrics=metrics), table_lines, metrics.primary)
    columns = _columns(table_lines, out.width, metrics)
    shown = table(*columns, right=[name for name in columns if name not in ("method", "schedule", "target")])
    for line in table_lines:
        cells = _result_cells(line, metrics)
        shown.add_row(*(cells[name] for name in columns))
    out.print(shown)
    if summary.only_masks(table_lines):
        nominal = "; nominal: MACs without those of zeros" if "nominal" in columns else ""
        say(f"{summary.only_masks(table_lines)}{nominal}")
    _print_chart(out, table_lines, metrics.primary)
    failed = [line for line in table_lines if line.failed]
    for line in failed:
        say(f"failed: {line.label} {line.target}: {line.error}", err=True)
    return None


def _print_sensitivities(
    out: Console, found: list[summary.Sensitivity], lines: list[summary.Line], metric: Metric
) -> None:
    """One row a layer, or a group of coupled layers, and one column a target: ``metric`` after pruning only that."""
    dense = summary.dense_level(lines)
    for method in dict.fromkeys(one.method for one in found):
        of = [one for one in found if one.method == method]
        targets = list(dict.fromkeys(target for one in of for target in one.figures))
        shown = table("layer, or coupled layers", *targets, right=targets)
        for one in of:
            missing = "not pruned" if one.skipped else "-"
            cells = [
                one.figures[target].text(metric.digits) if target in one.figures else missing for target in targets
            ]
            shown.add_row(" + ".join(one.layers), *cells)
        say("", f"{method}: {metric.title} with only this pruned{f' (dense {metric.number(dense)})' if dense else ''}")
        out.print(shown)
        for reason in dict.fromkeys(one.skipped for one in of if one.skipped):
            say(f"- not pruned: {reason}", err=True)
    for line in lines:
        if line.failed:
            say(f"failed: {line.label} {line.target}: {line.error}", err=True)


def _print_chart(out: Console, table_lines: list[summary.Line], metric: Metric) -> None:
    curves = summary.series(table_lines)
    if not curves:
        return
    picture = against_sparsity(curves, summary.dense_level(table_lines), metric)
    width = min(out.width, CHART_WIDTH)
    color = sys.stdout.isatty() and not out.no_color
    # Straight to stdout: rich would wrap and re-style what plotext has laid out.
    say_drawn("\n" + draw(picture, width, CHART_HEIGHT, color))
    for row in packed(legend(picture), width):
        out.print(row)


def _columns(table_lines: list[summary.Line], width: int, metrics: Metrics) -> list[str]:
    """What fits: without a schedule that all share and, on a narrow screen, without what others imply."""
    primary = metrics.primary.title
    if width < NARROW:
        columns = ["method", "target", "params", "before", primary, "control"]
    else:
        columns = ["method", "target", "sparsity", "params", "MACs", "before", primary, "dense", "control"]
        there = {key for line in table_lines for key in line.figures}
        columns += [other.title for other in metrics.in_tables if other.key in there]
    if width >= WIDE:
        columns[5:5] = ["nominal"] if summary.only_masks(table_lines) else []
        columns += [name for name, figure in LATENCIES.items() if any(figure in line.figures for line in table_lines)]
    if len({line.schedule for line in table_lines}) > 1:
        columns.insert(1, "schedule")
    return columns


def _milliseconds(figure: summary.Figure | None) -> str:
    """Three digits: 0.408, 14.3, 2050."""
    if figure is None:
        return "-"
    return f"{figure.mean:.3g}" if figure.mean < 1000 else f"{figure.mean:.0f}"


def _result_cells(line: summary.Line, metrics: Metrics) -> dict[str, str]:
    def figure(metric: Metric) -> str:
        found = line.figures.get(metric.key)
        return found.text(metric.digits) if found else "-"

    def size(name: str) -> str:
        found = line.figures.get(name)
        return summary.human(found.mean) if found else "-"

    sparsity = line.figures.get("sparsity")
    return {
        "method": line.label,
        "schedule": line.schedule,
        "target": line.target,
        "sparsity": f"{sparsity.mean:.4f}" if sparsity else "failed",
        "params": size("params"),
        "MACs": size("macs"),
        "nominal": size("macs_nonzero"),
        **{name: _milliseconds(line.figures.get(key)) for name, key in LATENCIES.items()},
        **{other.title: figure(other) for other in metrics.in_tables},
        "before": figure(metrics.before),
        metrics.primary.title: figure(metrics.primary),
        "dense": figure(metrics.dense),
        "control": figure(metrics.control),
    }
