"""Tables and charts as files in the folder where prunetui was started; never over a file that is there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.text import Text
from textual.screen import Screen

from prunetui.errors import PrunetuiError
from prunetui.results.text_tables import table_markdown
from prunetui.tui.widgets.virtual_table import VirtualTable


def keep(screen: Screen[Any], stem: str, suffix: str, content: str | bytes) -> None:
    """Save a file and tell its name, or why there is none."""
    try:
        path = save(Path.cwd(), stem, suffix, content)
    except OSError as error:
        screen.notify(f"Nothing was saved: {error.strerror}", severity="error")
    else:
        screen.notify(f"saved as {path.name}")


def keep_drawn(screen: Screen[Any], stem: str, suffix: str, draw: Callable[[], bytes]) -> None:
    """As ``keep``, of what a thread draws first."""

    def work() -> None:
        try:
            content = draw()
        except PrunetuiError as error:
            screen.app.call_from_thread(screen.notify, f"Nothing was saved: {error}", severity="error")
        else:
            screen.app.call_from_thread(keep, screen, stem, suffix, content)

    screen.run_worker(work, thread=True)


def keep_report(screen: Screen[Any], root: Path, runs: Sequence[str], stem: str) -> None:
    """The page that ``prunetui report --format html`` writes of these runs."""

    def draw() -> bytes:
        from prunetui.report.gather import gather
        from prunetui.report.write_report import made

        return made(gather(root, runs), "html")

    screen.notify("writing the report")
    keep_drawn(screen, stem, ".html", draw)


def copy_text(screen: Screen[Any], text: str, what: str) -> None:
    """To the clipboard of the terminal, over SSH too (OSC 52)."""
    if text:
        screen.app.copy_to_clipboard(text)
        screen.notify(f"copied {what}")
    else:
        screen.notify("Point at a result with the arrow keys first.", severity="warning")


def save(folder: Path, stem: str, suffix: str, content: str | bytes) -> Path:
    """Write a new file; a number is put behind a name that is taken.

    Raises:
        OSError: the folder cannot be written.
    """
    for number in range(1, 10_000):
        path = folder / (f"{stem}{suffix}" if number == 1 else f"{stem}-{number}{suffix}")
        try:
            with path.open("xb") as file:
                file.write(content.encode() if isinstance(content, str) else content)
        except FileExistsError:
            continue
        return path
    raise FileExistsError(17, "too many files of this name", str(folder / stem))


def markdown(table: VirtualTable[Any]) -> str:
    """What a table shows, all rows of it, as Markdown."""
    columns = table.columns
    cells = [[_plain(column.cell(row)) for column in columns] for row in table.rows]
    return table_markdown([column.title for column in columns], cells, [column.right for column in columns])


def _plain(cell: Text | str) -> str:
    return cell.plain if isinstance(cell, Text) else cell
