"""A study's [data] table -> a source: its splits are made, and are images with labels or prepared examples."""

from __future__ import annotations

import os
from collections.abc import Callable

from prunetui import config
from prunetui.api import Splits
from prunetui.data.lazy_images import Streaming
from prunetui.data.tree.wanted import Note, Wanted, silent
from prunetui.engine.data.contributed import images_and_labels, made_splits
from prunetui.engine.data.dataset_loader import image_dataset
from prunetui.engine.data.images import Dataset
from prunetui.engine.data.loaded import LoadedSource
from prunetui.engine.data.prepared_loader import PreparedSplits, prepared_source
from prunetui.errors import DataError
from prunetui.files.paths import user_path
from prunetui.plugins.catalogue import contribution
from prunetui.plugins.own_files import short

Report = Callable[[str, int, int], None]
"""Told ``(what is going on, done, total)``."""
ANYTHING = Wanted()
"""A network that is built for the data takes whatever they are."""
MOST_WORKERS = 8
"""Processes of one computing process that "auto" gives to its data at most."""


def quiet(what: str, done: int, total: int) -> None:
    """No-op callback."""


def load_source(
    data: config.DataTable, report: Report = quiet, note: Note = silent, wanted: Wanted = ANYTHING, processes: int = 1
) -> LoadedSource:
    """The data of a study, on the CPU; ``wanted`` is what a network takes that is there already.

    Its classes give the labels, matched by name; its size holds where ``data.size`` says nothing. A network that knows
    its classes is not trained any more: training images may be few, or none. ``processes`` compute at once.

    Raises:
        DataError: it is missing, cannot be downloaded, is corrupt or does not fit; says what to do.
    """
    supplied = {
        "root": user_path(data.root),
        "size": data.size,
        "skip_corrupt": data.corrupt == "skip",
        "wanted": wanted,
        "train_needed": wanted.classes is None or data.normalize == "auto",
        "streaming": Streaming(data.memory, worker_count(data, processes), note),
        "report": report,
        "note": note,
    }
    made = made_splits(data.name, supplied, data.options or {})
    return source_of(made, data, note, wanted, contribution("data", data.name).takes, processes)


def source_of(
    made: Splits, data: config.DataTable, note: Note = silent, wanted: Wanted = ANYTHING,
    takes: frozenset[str] = frozenset(), processes: int = 1,
) -> LoadedSource:  # fmt: skip
    """The source of splits; ``takes`` are the settings that whoever made them has seen to."""
    if made.prepared:
        return prepared_source(
            PreparedSplits(made, data.name, data, note, worker_count(data, processes)), takes, wanted
        )
    if made.collate is not None:
        raise DataError(f"{short(data.name)}: collate is for prepared examples: say prepared=True, or leave it out")
    streaming = Streaming(data.memory, worker_count(data, processes), note)
    raw = images_and_labels(made, data.name, note, streaming, data.size or wanted.size)
    return image_dataset(raw, data, note, wanted)


def load_dataset(
    data: config.DataTable, report: Report = quiet, note: Note = silent, wanted: Wanted = ANYTHING
) -> Dataset:
    """As ``load_source``, of images with labels, in memory.

    Raises:
        DataError: they are not, or cannot be read.
    """
    source = load_source(data.model_copy(update={"memory": "device"}), report, note, wanted)
    if not isinstance(source, Dataset):
        raise DataError(f"{short(data.name)} is of prepared examples, and images with labels are needed here")
    return source


def worker_count(data: config.DataTable, processes: int) -> int:
    """How many processes make examples, for each of ``processes`` that compute."""
    if data.workers != "auto":
        return data.workers
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MOST_WORKERS, max(1, cores // processes))
