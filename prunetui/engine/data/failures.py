"""What a user's data set or loader raises, told in words."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from typing import Any

from prunetui.api import Batch
from prunetui.api.source import tensors_in
from prunetui.errors import DataError, PrunetuiError
from prunetui.plugins.own_files import short

TRACEBACK = "Traceback (most recent call last)"
"""In what a worker process raised."""
LONGEST = 400


def told(batches: Iterable[Any], name: str) -> Iterator[Batch]:
    """The batches, each with tensors in it.

    Raises:
        DataError: whoever makes them failed, or made none of tensors.
    """
    try:
        for batch in _begun(batches):
            if not tensors_in(batch):
                raise DataError(
                    f"{short(name)}: a batch is {type(batch).__name__} without tensors; make them in collate"
                )
            yield batch
    except Exception as error:
        if isinstance(error, PrunetuiError) and TRACEBACK not in str(error):
            raise
        raise DataError(f"{short(name)}: a batch cannot be made: {reason(error)}") from error


def _begun(batches: Iterable[Any]) -> Iterator[Any]:
    with warnings.catch_warnings():
        # Processes are forked here: they use none of what other threads may hold.
        warnings.filterwarnings("ignore", message=".*fork", category=DeprecationWarning)
        return iter(batches)


def reason(error: Exception) -> str:
    """The words of an error on one line; of one of a worker process the last of its traceback."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    if not lines or TRACEBACK not in str(error):
        return f"{type(error).__name__}: {' '.join(str(error).split())}"[:LONGEST]
    return lines[-1].strip().removeprefix("prunetui.errors.")[:LONGEST]
