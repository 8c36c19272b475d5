"""Errors of a call name what the call names: a study's keys become the arguments of ``prunetui.prune``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prunetui.errors import PrunetuiError

ARGUMENTS = {
    "layers.exclude:": "exclude:",
    "layers.exclude": "exclude=",
    "the rules of [layers] keep": "exclude= and ends= keep",
    "methods[0].": "",
}
"""Words of a study -> words of a call, in the order in which they are looked for."""


@contextmanager
def in_words_of_call() -> Iterator[None]:
    """Raise the errors from within in the words of a call."""
    try:
        yield
    except PrunetuiError as error:
        said = str(error)
        for of_study, of_call in ARGUMENTS.items():
            said = said.replace(of_study, of_call)
        error.args = (said,)
        raise
