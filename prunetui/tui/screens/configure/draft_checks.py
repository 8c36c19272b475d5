"""Whether a draft is a study, told by a thread: every mistake in words, or what the study will take."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from prunetui.errors import ConfigError, Mistake
from prunetui.tui.screens.configure.study_draft import Draft
from prunetui.tui.screens.configure.study_draft import Path as Key

if TYPE_CHECKING:
    from prunetui.config import Study


@dataclass(frozen=True)
class Checked:
    """A text and what it is: a study, or mistakes."""

    text: str
    study: Study | None = None
    full: str = ""
    """The study with every default spelled out."""
    mistakes: tuple[Mistake, ...] = ()


def check(text: str, file: str = "study") -> Checked:
    """Read the TOML of a study."""
    from prunetui.config import parse_study, study_toml

    try:
        study = parse_study(text, file=file)
    except ConfigError as error:
        return Checked(text, mistakes=error.mistakes)
    return Checked(text, study, study_toml(study))


def give_way(draft: Draft, preset: Draft) -> list[Key]:
    """Forget how a preset would make its dense network, once a checkpoint is named; returns the keys that went."""
    from prunetui.config.read_study import DENSE

    if not draft.get(("model", "checkpoint")) or preset.get(("model", "checkpoint")):
        return []
    gone: list[Key] = [path for path in DENSE if draft.get(path) is not None and draft.get(path) == preset.get(path)]
    for path in gone:
        draft.set(path, None)
    return gone


def lines_of(mistakes: tuple[Mistake, ...]) -> str:
    """All mistakes, each with its line."""
    told = []
    for m in mistakes:
        place = f"line {m.line}: " if m.line else ""
        more = "".join([f"; got {m.got}" if m.got else "", f"; did you mean {m.nearest}?" if m.nearest else ""])
        told.append(f"{place}{m.path + ': ' if m.path else ''}{m.message}{more}")
    return "\n".join(told)


def begin(start: str, root: Path) -> tuple[Draft, str]:
    """The draft to begin from and what it is: ``preset:NAME``, the id of a run, or empty for quickstart.

    Raises:
        PrunetuiError: it cannot be read.
    """
    from prunetui.config import parse_study
    from prunetui.config.minimal import minimal
    from prunetui.config.read_study import preset_text
    from prunetui.errors import UsageError
    from prunetui.store import Run

    kind, _, name = start.partition(":")
    if not start or kind == "preset":
        name = name or "quickstart"
        return Draft.read(preset_text(name)), f"preset {name}"
    try:
        text = Run(root / start).study_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the study of {start}: {error}") from None
    return Draft(minimal(parse_study(text, file=start))), f"run {start}"


def beginnings(runs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """(answer, words) of all that a study may begin from: presets with their first line, then runs."""
    from prunetui.config.read_study import preset_names, preset_summary

    presets = [(f"preset:{name}", f"preset {name}: {preset_summary(name)}") for name in preset_names()]
    return [*presets, *runs]
