"""A report as Markdown: differences, findings, the table, what was run on what."""

from __future__ import annotations

from collections.abc import Iterable

from prunetui.report import facts, sentences
from prunetui.report.columns import ReportColumn, columns
from prunetui.report.gather import Material, ReportedRun
from prunetui.report.sensitivity import sensitivity_tables
from prunetui.report.verdicts import contested
from prunetui.results.summary import Line
from prunetui.results.text_tables import markdown_text as _plain
from prunetui.results.text_tables import table_markdown


def markdown(material: Material) -> str:
    """The whole report without its pictures."""
    blocks = [f"# {_plain(material.title)}\n", *(_headline(part) for part in material.parts)]
    blocks += [f"- note: {_plain(words)}" for words in material.troubles] + [""] * bool(material.troubles)
    blocks += _differences(material) + _findings(material) + _results(material)
    for part in material.parts:
        blocks += _sensitivities(part) + _failed(part)
    for part in material.parts:
        blocks += [f"## What was run: {_plain(part.name)}\n", *_pairs(facts.surroundings(part)), ""]
    return "\n".join(blocks).rstrip() + "\n"


def _headline(part: ReportedRun) -> str:
    told = ", ".join(f"{what} {value}" for what, value in facts.headline(part))
    return f"{_plain(part.name)}: {_plain(told)}\n"


def _differences(material: Material) -> list[str]:
    if len(material.parts) < 2:
        return []
    titles = ["setting", *(part.name for part in material.parts)]
    rows = [[name, *values] for name, values in material.settings]
    if not rows:
        return ["## Settings that differ\n", "None: the runs differ in their names only.\n"]
    return ["## Settings that differ\n", _table(titles, rows, [False] * len(titles))]


def _findings(material: Material) -> list[str]:
    found: list[str] = []
    for name, of in material.verdicts:
        words = [*sentences.summary(of)]
        words += [f"{sentences.target_words(one.target)}: {sentences.verdict_words(one)}" for one in contested(of)]
        words += sentences.alone_words(of)
        found += [f"### {_plain(name)}\n"] * bool(name and words) + [f"- {_plain(said)}" for said in words]
    found += [f"- {_plain(said)}" for said in sentences.reach_words(material.reaches())]
    if not found:
        return []
    tested = sentences.how_tested([one for _, of in material.verdicts for one in of])
    return ["## Findings\n", *found, "", f"{tested} {sentences.NOT_ALIKE}".strip() + "\n"]


def _results(material: Material) -> list[str]:
    if not material.lines:
        return []
    shown: list[ReportColumn] = columns(material.lines, material.metrics)
    titles = [column.title for column in shown]
    rows = [_cells(one.line, shown) for one in material.run_lines]
    right = [column.right for column in shown]
    if len(material.parts) > 1:
        titles, right = ["run", *titles], [False, *right]
        rows = [[one.name, *cells] for one, cells in zip(material.run_lines, rows, strict=True)]
    return ["## Results\n", "Mean over seeds ± sample standard deviation.\n", _table(titles, rows, right)]


def _cells(line: Line, shown: Iterable[ReportColumn]) -> list[str]:
    return [column.cell(line) for column in shown]


def _sensitivities(part: ReportedRun) -> list[str]:
    found: list[str] = []
    for table in sensitivity_tables(part.sensitivities, part.dense, part.primary):
        right = [False, *[True] * (len(table.titles) - 1)]
        found += [_plain(table.words) + "\n", _table(table.titles, table.rows, right)]
    return [f"## Sensitivity of layers: {_plain(part.name)}\n", *found] if found else []


def _failed(part: ReportedRun) -> list[str]:
    if not part.failed:
        return []
    rows = [[str(row.get(key) or "") for key in ("trial", "target", "seed", "error")] for row in part.failed]
    return [f"## Failed trials: {_plain(part.name)}\n", _table(["trial", "target", "seed", "why"], rows, [False] * 4)]


def _pairs(found: Iterable[tuple[str, str]]) -> list[str]:
    return [f"- {_plain(what)}: {_plain(value)}" for what, value in found]


def _table(titles: list[str], rows: list[list[str]], right: list[bool]) -> str:
    return table_markdown(titles, rows, right)
