"""What is typed into the filter of a list: words, and ``key:value`` pairs, all of which must fit."""

from __future__ import annotations

from collections.abc import Mapping

from prunetui.tui.views import Entry


def fits(typed: str, fields: Mapping[str, str]) -> bool:
    """Whether something with these fields (in lower case) is meant; an unknown key is an ordinary word."""
    everything = " ".join(fields.values())
    for word in typed.lower().split():
        key, colon, value = word.partition(":")
        if colon and key in fields:
            if value not in fields[key]:
                return False
        elif word not in everything:
            return False
    return True


def fields_of(entry: Entry) -> dict[str, str]:
    """The searchable fields of a run, in lower case."""
    status = entry.status
    found = {"id": entry.id, "state": entry.state, "name": entry.name}
    if status:
        methods = " ".join(status.methods)
        found |= {"model": status.model, "data": status.data, "method": methods, "device": status.device}
        found["host"] = status.host
    return {key: value.lower() for key, value in found.items()}
