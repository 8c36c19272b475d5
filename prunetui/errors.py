"""The errors a user may see, and the exit code each one means.

Anything else that escapes is a defect of prunetui and may show a traceback.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from prunetui.terminal.printable import one_line, own_lines, quoted

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_SOME_FAILED = 3
EXIT_INTERRUPTED = 130
MOST_TOLD = 100
"""Mistakes of one study that are told one by one."""
LONGEST = 120
"""Characters of what was got, in a message."""


class PrunetuiError(Exception):
    """Base of all errors told in words; ``exit_code`` is what the process ends with."""

    exit_code = EXIT_FAILED

    def told(self) -> str:
        """The words as they are printed: what a message quotes cannot pass for a line of its own."""
        return quoted(self)


class RunFailed(PrunetuiError):
    """The run as a whole cannot go on (disk full, data unreachable)."""


class UsageError(PrunetuiError):
    """The command line names something that does not exist or does not fit."""

    exit_code = EXIT_USAGE


class DataError(PrunetuiError):
    """A data set is missing, unreachable or corrupt."""


class TrialError(PrunetuiError):
    """One trial cannot be computed; the others go on."""


class UnrankedError(TrialError):
    """A method cannot rank the channels of one group, called ``group``; it may rank those of others.

    ``why`` says what does nothing with them, and ``layers`` what makes them.
    """

    def __init__(self, group: str, why: str, layers: str) -> None:
        super().__init__(f"{why} the channels of {layers}, so they cannot be ranked; layers.exclude keeps them")
        self.group, self.why, self.layers = group, why, layers


class Skipped(PrunetuiError):
    """The user asked to leave a trial out."""


class Interrupted(PrunetuiError):
    """The user asked to stop; the run can be resumed."""

    exit_code = EXIT_INTERRUPTED


@dataclass(frozen=True)
class Mistake:
    """One thing wrong in a study: where it stands, what was got and what is allowed."""

    path: str
    message: str
    got: str = ""
    allowed: str = ""
    nearest: str = ""
    file: str = ""
    line: int = 0

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        path = _cut(self.path)
        parts = [f"{where}: {path}: {self.message}" if path else f"{where}: {self.message}"]
        if self.got:
            parts.append(f"got {_cut(self.got)}")
        if self.allowed:
            parts.append(f"allowed: {self.allowed}")
        if self.nearest:
            parts.append(f"did you mean {self.nearest}?")
        return "; ".join(parts)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


class ConfigError(UsageError):
    """A study that cannot be run; carries every mistake found, not only the first, and tells up to ``MOST_TOLD``."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        count = len(self.mistakes)
        head = f"{count} mistake{'s' if count != 1 else ''} in the study; nothing was started:"
        told = [f"  {one_line(mistake)}" for mistake in self.mistakes[:MOST_TOLD]]
        more = [f"  and {count - MOST_TOLD:,} more"] * (count > MOST_TOLD)
        super().__init__("\n".join([head, *told, *more]))

    def told(self) -> str:
        return own_lines(self)
