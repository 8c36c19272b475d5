"""The report as one HTML page that needs nothing else: no network, no fonts, no scripts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any

from prunetui import __version__
from prunetui.report import facts, sentences
from prunetui.report.charts import Chart, charts
from prunetui.report.columns import columns
from prunetui.report.gather import Material, ReportedRun
from prunetui.report.kept_layers import kept
from prunetui.report.paired import PairedTest
from prunetui.report.pictures import kept_chart, sensitivity_chart
from prunetui.report.sensitivity import SensitivityTable, sensitivity_tables
from prunetui.report.sentences import target_words
from prunetui.report.verdicts import Verdict, contested
from prunetui.results.summary import Line
from prunetui.terminal.printable import one_line

MOST_TESTS = 300
"""Rows of the table of tests; JSON has all in any case."""


@dataclass(frozen=True)
class Badge:
    """What a verdict comes to, in two words."""

    words: str
    kind: str
    """sure, open or untested."""


def page(material: Material, now: float | None = None) -> str:
    """The page as text; ``now`` is when it was made, in seconds since the epoch."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("prunetui", "report/templates"),
        autoescape=True,
        finalize=_harmless,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(context(material, time.time() if now is None else now))


def _harmless(value: Any) -> Any:
    """Words with their control characters shown; markup that was made here is as it is."""
    return one_line(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def context(material: Material, now: float) -> dict[str, Any]:
    """All that the template shows."""
    from markupsafe import Markup

    many, metrics = len(material.parts) > 1, material.metrics
    primaries = list(dict.fromkeys(part.primary for part in material.parts))
    tests, all_tests = _tests([one for _, of in material.verdicts for one in of])
    return {
        "material": material,
        "many": many,
        "headlines": [(part, facts.headline(part)) for part in material.parts],
        "findings": [(name, of, [(badge(one), one) for one in contested(of)]) for name, of in material.verdicts],
        "said": sentences,
        "reach": sentences.reach_words(material.reaches()),
        "tested": sentences.how_tested([one for _, of in material.verdicts for one in of]),
        "tests": tests,
        "all_tests": all_tests,
        "test_cells": test_cells,
        "charts": charts(material.lines, material.metrics)
        if material.one_data or not many
        else _charts_apart(material),
        "columns": columns(material.lines, metrics),
        "groups": grouped(material),
        "best": _is_best(material),
        "glossary": [(m.title, m.about or f"{sentences.capital(m.title)} on the test split") for m in primaries],
        "primary": " or ".join(metric.title for metric in primaries),
        "difference_unit": " or ".join(dict.fromkeys("points" if m.is_percent else m.title for m in primaries)),
        "kept": _kept(material),
        "sensitivities": [(part, _sensitivities(part, i)) for i, part in enumerate(material.parts)],
        "facts": facts,
        "target_words": target_words,
        "safe": Markup,  # for drawings alone: ElementTree wrote them, so all text in them is escaped
        "version": __version__,
        "made": facts.date(now),
    }


def _tests(found: Sequence[Verdict]) -> tuple[list[tuple[str, PairedTest]], bool]:
    """(target, test) of all of them or, where they are too many for a page, of the best at each target."""
    every = [(one.target, test) for one in found for test in one.tests]
    if len(every) <= MOST_TESTS:
        return every, True
    return [(one.target, test) for one in found for test in one.against()], False


def badge(verdict: Verdict) -> Badge:
    """Of the lead over the next best."""
    test = verdict.against()[0]
    if test.trails:
        return Badge("behind over shared seeds", "open")
    if test.p is None:
        return Badge("not tested", "untested")
    return Badge("significant lead", "sure") if test.leads else Badge("lead not significant", "open")


def test_cells(test: PairedTest) -> list[str]:
    """What the table of tests says of one, the better method first."""
    test = test if test.advantage >= 0 else test.seen_from(test.second)
    spread = "" if test.spread is None else f" ±{test.metric.number(test.spread)}"
    ps = [f"{p:.2g}" if p is not None else "-" for p in (test.p, test.p_holm)]
    verdict = test.why_not or ("significant" if test.exceeds else "not significant")
    return [
        test.first,
        test.second,
        f"{sentences.points(test.difference, test.metric)}{spread}",
        str(test.seeds),
        *ps,
        verdict,
    ]


def grouped(material: Material) -> list[tuple[str, list[tuple[str, list[Line]]]]]:
    """(run, (method, its lines)): the table, run by run and method by method."""
    found = []
    for part in material.parts:
        methods: dict[str, list[Line]] = {}
        for line in part.lines:
            methods.setdefault("dense" if line.method == "dense" else line.label, []).append(line)
        found.append((part.name, list(methods.items())))
    return found


def best_lines(lines: Iterable[Line]) -> list[Line]:
    """The line with the best mean at each target that several methods have."""
    rivals: dict[str, list[tuple[float, Line]]] = {}
    for line in lines:
        if line.method != "dense" and line.primary:
            good = line.metrics.primary.goodness(line.primary.mean)
            rivals.setdefault(line.target, []).append((good, line))
    return [max(of, key=itemgetter(0))[1] for of in rivals.values() if len(of) > 1]


def _is_best(material: Material) -> Callable[[Line], bool]:
    best = [line for part in material.parts for line in best_lines(part.lines)]
    return lambda line: any(line is one for one in best)


def _charts_apart(material: Material) -> list[Chart]:
    """Runs on other data have charts of their own."""
    return [
        replace(chart, title=f"{part.name}: {chart.title}")
        for i, part in enumerate(material.parts)
        for chart in charts(part.lines, part.reading.metrics, f"run{i}-")
    ]


def _kept(material: Material) -> list[tuple[ReportedRun, list[Chart]]]:
    found = []
    for i, part in enumerate(material.parts):
        pictures = [kept_chart(one, f"kept{i}-{j}") for j, one in enumerate(kept(part.reading.folder, part.lines))]
        found.append((part, pictures))
    return found


def _sensitivities(part: ReportedRun, place: int) -> list[tuple[SensitivityTable, Chart | None]]:
    tables = sensitivity_tables(part.sensitivities, part.dense, part.primary)
    return [
        (table, sensitivity_chart(table.method, table.of, f"sensitivity{place}-{j}", part.primary))
        for j, table in enumerate(tables)
    ]
