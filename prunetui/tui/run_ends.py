"""What became of runs between two looks at the list of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from textual.notifications import SeverityLevel

from prunetui.terminal.printable import one_line
from prunetui.tui.views import Entry

ENDS: dict[str, tuple[str, SeverityLevel]] = {
    "done": ("is done", "information"),
    "failed": ("has failed", "error"),
    "interrupted": ("was interrupted", "warning"),
    "died": ("has died", "error"),
}


def ends(before: Sequence[Entry], after: Sequence[Entry]) -> Iterator[tuple[str, SeverityLevel]]:
    """Words and their severity for each run that ran before and is over now."""
    states = {entry.id: entry.state for entry in before}
    for entry in after:
        if states.get(entry.id) in ("running", "paused") and entry.state in ENDS and entry.status:
            why = f": {entry.status.message}" if entry.status.message else ""
            told, severity = ENDS[entry.state]
            yield one_line(f"{entry.name} {told}{why}"), severity
