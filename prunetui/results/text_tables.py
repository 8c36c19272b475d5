"""Tables as text for other programs: CSV and Markdown, in which what somebody typed stays text. Torch-free."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from prunetui.metrics import Metrics
from prunetui.store.results import results_columns
from prunetui.terminal.printable import one_line

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
FORMULA = re.compile(r"[\s\"']*[=+@\-\uff1d\uff0b\uff20\uff0d\u2212]")
"""What a spreadsheet may take for a formula or a command; in full width, too."""
ACTIVE = re.compile(r"[\\`<\[\]&@*~$]|(?<!\w)_|_(?!\w)")
"""What begins HTML, code, a link, an entity, an address, emphasis or a formula in Markdown."""
BLOCK = re.compile(r"^(#|=|>|--|[+-](?= )|\d+(?=[.)]( |$)))")
"""What begins a heading, a rule or a list at the start of a line."""
LINK = re.compile(r"(?i)\b(https?|ftp|mailto|xmpp):|\b(www)\.")
"""What is made a link without any bracket."""


def csv_text(rows: Sequence[Mapping[str, Any]], metrics: Metrics) -> str:
    """Rows of results as results.csv has them, with the columns that only some have at the end."""
    return table_csv(rows, results_columns(metrics))


def table_csv(rows: Iterable[Mapping[str, Any]], first: Sequence[str] = ()) -> str:
    """Rows as CSV for spreadsheets; ``first`` are columns that there are in any case."""
    rows = list(rows)
    names = list(dict.fromkeys([*first, *(name for row in rows for name in row)]))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(csv_cell, names))
    writer.writerows([csv_cell(row.get(name)) for name in names] for row in rows)
    return text.getvalue()


def csv_cell(value: object) -> str:
    """One cell: a number as it is, words that a spreadsheet would compute with an apostrophe before them."""
    if value is None:
        return ""
    words = one_line(value)
    if NUMBER.fullmatch(words):
        return words
    return f"'{words}" if FORMULA.match(words) else words


def table_markdown(titles: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[bool]) -> str:
    """A table as Markdown, of any text; ``right`` says of each column whether it is aligned to the right."""
    lines = [[markdown_text(cell).replace("|", "\\|") for cell in row] for row in (titles, *rows)]
    lines.insert(1, ["---:" if to_right else "---" for to_right in right])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def markdown_text(text: str) -> str:
    """What somebody typed, on one line and never as HTML, code, a link, a picture or a heading."""
    words = one_line(" ".join(text.split()))
    words = ACTIVE.sub(r"\\\g<0>", words)
    words = LINK.sub(lambda found: f"{found[1]}\\:" if found[1] else f"{found[2]}\\.", words)
    return BLOCK.sub(_escaped_start, words)


def _escaped_start(found: re.Match[str]) -> str:
    start = found[0]
    return f"{start}\\" if start.isdecimal() else f"\\{start}"
