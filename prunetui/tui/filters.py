"""What is typed into the filter of a list: words, and ``key:value`` pairs, all of which must fit."""

from __future__ import annotations

from collections.abc import Mapping


def fits(typed: str, fields: Mapping[str, str]) -> bool:
    """Whether something with these fields is meant; an unknown key is an ordinary word.

    Fields are in lower case; what stands under the empty key, if it is there, is all of them.
    """
    every = fields.get("") or " ".join(fields.values())
    for word in typed.lower().split():
        key, colon, value = word.partition(":")
        if colon and key and key in fields:
            if value not in fields[key]:
                return False
        elif word not in every:
            return False
    return True
