"""What was run on what: a run's settings and surroundings as pairs of words."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping, Sequence
from typing import Any

from prunetui.config.differences import NOT_SETTINGS, flattened
from prunetui.report.gather import ReportedRun

Facts = list[tuple[str, str]]


def headline(part: ReportedRun) -> Facts:
    """The few facts that stand at the top of a page."""
    status = part.reading.status
    seeds = part.reading.study.get("seeds")
    dense = part.dense
    found = [
        ("model", status.model),
        ("data", status.data),
        (f"dense {part.primary.title}", part.primary.text(dense) if dense is not None else ""),
        ("methods", str(len(set(status.methods))) if status.methods else ""),
        ("seeds", str(len(seeds)) if isinstance(seeds, list) else ""),
        ("trials", trials(part)),
        ("device", status.device),
        ("took", took(status.finished - status.started) if status.finished > status.started > 0 else ""),
    ]
    return [(what, value) for what, value in found if value]


def trials(part: ReportedRun) -> str:
    """``93 done``, or how many of how many, and how many failed."""
    status = part.reading.status
    done = f"{status.done} done" if status.done == status.trials else f"{status.done} of {status.trials} done"
    return f"{done}, {status.failed} failed" if status.failed else done


def surroundings(part: ReportedRun) -> Facts:
    """Machine, versions, dates and command line."""
    status, there = part.reading.status, part.environment
    versions = there.get("versions")
    found = [
        ("run", part.reading.id),
        ("state", status.state),
        ("trials", trials(part)),
        ("started", date(status.started)),
        ("finished", date(status.finished)),
        ("took", took(status.finished - status.started) if status.finished > status.started > 0 else ""),
        ("device", " - ".join(word for word in (status.device, _word(there, "device_name")) if word)),
        ("threads", _word(there, "threads")),
        ("platform", _word(there, "platform")),
        ("command line", command_line(there.get("command"))),
        ("commit of prunetui", _word(there, "commit")),
        ("versions", ", ".join(f"{k} {v}" for k, v in versions.items()) if isinstance(versions, dict) else ""),
    ]
    return [(what, value) for what, value in found if value]


def settings(study: Mapping[str, Any]) -> Facts:
    """The study, key by key, and a line for every method."""
    found = list(flattened({key: value for key, value in study.items() if key not in NOT_SETTINGS}).items())
    methods = study.get("methods")
    for method in methods if isinstance(methods, list) else []:
        if isinstance(method, Mapping):
            plain = flattened({key: value for key, value in method.items() if key not in NOT_SETTINGS})
            told = "; ".join(f"{key} = {value}" for key, value in plain.items())
            found.append((f"method {method.get('label') or method.get('name')}", told))
    return found


def command_line(words: Any) -> str:
    """As it would be typed: the path of the program is its own affair."""
    if not isinstance(words, Sequence) or isinstance(words, str) or not words:
        return ""
    return shlex.join(["prunetui", *map(str, words[1:])])


def date(seconds: float) -> str:
    """Seconds since the epoch -> ``2026-11-21 10:27 UTC``; empty for 0."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds)) if seconds > 0 else ""


def took(seconds: float) -> str:
    """100 -> ``1 min 40 s``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _word(plain: Mapping[str, Any], key: str) -> str:
    value = plain.get(key)
    return "" if value is None else str(value)
