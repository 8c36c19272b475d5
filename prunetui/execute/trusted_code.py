"""Runs name code: that which this user once named in a study here is trusted, that of runs from elsewhere is asked for.

A run folder is data, and may come from anywhere. Its study may name a file of Python or a function of an installed
package, with options. What is trusted is kept in the user's state folder, as digests of studies with their files.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import platformdirs

from prunetui.errors import UsageError
from prunetui.plugins.own_files import short
from prunetui.plugins.sibling_files import COPIES
from prunetui.store import Run

_here: set[str] = set()
"""What this process was told to trust: enough where the state folder cannot be written."""


def trust(run: Run) -> None:
    """Trust the code that a run names from now on: the user named it, or said so."""
    if not _code_of(run):
        return
    digest = _digest(run)
    _here.add(digest)
    try:
        _folder().mkdir(parents=True, exist_ok=True)
        (_folder() / digest).touch()
    except OSError:
        return  # it is asked for again in another process


def untrusted_code(run: Run) -> list[str]:
    """What a run names, in short, that nobody here has named in a study yet; empty where there is no such code."""
    named = _code_of(run)
    if not named:
        return []
    digest = _digest(run)
    return [] if digest in _here or (_folder() / digest).exists() else named


def _code_of(run: Run) -> list[str]:
    """Anybody's code that a study names; one that cannot be read names none: it is not executed either."""
    from prunetui.config import parse_study
    from prunetui.config.choices import contributions_of
    from prunetui.plugins.catalogue import runs_code

    try:
        study = parse_study(run.study_text(), file=str(run.folder / "study.toml"))
    except (OSError, UnicodeDecodeError, UsageError):
        return []
    return list(dict.fromkeys(short(name) for _, name in contributions_of(study) if runs_code(name)))


def _folder() -> Path:
    return platformdirs.user_state_path("prunetui") / "trusted"


def _digest(run: Run) -> str:
    """Of the study, and of the files that are kept with it: their names begin with digests of what is in them."""
    hashed = hashlib.sha256(run.study_text().encode())
    copies = run.folder / COPIES
    for copy in sorted(copies.rglob("*.py")):
        hashed.update(b"\0" + copy.relative_to(copies).as_posix().encode())
        hashed.update(b"\0" + hashlib.sha256(copy.read_bytes()).digest())
    return hashed.hexdigest()
