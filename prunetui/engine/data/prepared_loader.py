"""Prepared ``Splits`` -> a source: what kind of splits they are, which examples are used, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from prunetui import config
from prunetui.api import Batch, Splits
from prunetui.api.source import count_of, mapped
from prunetui.data.tree.wanted import Note, Wanted
from prunetui.engine.data.failures import told
from prunetui.engine.data.fingerprint import fingerprint
from prunetui.engine.data.item_stream import Items, StreamedExamples, collated
from prunetui.engine.data.loaded import LoadedSource
from prunetui.engine.data.loader_source import LoaderExamples, examples_in
from prunetui.engine.data.prepared import PreparedExamples
from prunetui.engine.data.prepared_forms import kind_of, labels_of, tensors_of
from prunetui.engine.data.split import Drawn, draw
from prunetui.errors import DataError
from prunetui.plugins.own_files import short

LOOKED_AT = 16
"""Items of a split, evenly spaced, that the fingerprint of a stream is of."""


@dataclass(frozen=True)
class PreparedSplits:
    """Prepared splits, what a study says of them, and how they are read."""

    made: Splits
    name: str
    data: config.DataTable
    note: Note
    workers: int

    def splits(self) -> dict[str, Any]:
        """The splits that are there, by name."""
        given = {"train": self.made.train, "validation": self.made.validation, "test": self.made.test}
        return {split: examples for split, examples in given.items() if examples is not None}


def prepared_source(prepared: PreparedSplits, takes: frozenset[str], wanted: Wanted) -> LoadedSource:
    """The source of prepared splits; ``takes`` are the settings that the data set's own function asks for.

    The fingerprint of what is in memory is of its content. Of a stream it is of a few items, their number, and the code
    that makes the splits: it does not see other items change in files that this code reads.

    Raises:
        DataError: they are of no form that is known, of several, or too few; a setting would do nothing.
    """
    splits = prepared.splits()
    kinds = {kind_of(examples, f"{short(prepared.name)}, {split}") for split, examples in splits.items()}
    if len(kinds) > 1:
        raise DataError(f"the splits of {short(prepared.name)} are {' and '.join(sorted(kinds))}; make them all alike")
    kind = kinds.pop()
    if kind == "items" and prepared.data.memory == "device":
        splits, kind = {split: _all_of(items, prepared, split) for split, items in splits.items()}, "arrays"
    elif kind == "arrays":
        splits = {split: tensors_of(arrays, f"{short(prepared.name)}, {split}") for split, arrays in splits.items()}
    _refuse_unused(prepared, kind, takes)
    make: dict[str, Callable[..., LoadedSource]] = {"arrays": _in_memory, "items": _streamed, "loaders": _of_loaders}
    source = make[kind](prepared, splits)
    if None not in (wanted.classes, source.classes) and wanted.classes != source.classes:
        raise DataError(
            f"the classes of {short(prepared.name)} are not those that the network tells apart, in their order; "
            "prepared examples have their labels as they are"
        )
    return source


def _all_of(items: Any, prepared: PreparedSplits, split: str) -> Batch:
    """All items of a map-style dataset as one batch."""
    where = f"{prepared.name}, {split}"
    every = range(len(items))
    if not every:
        raise DataError(f"{short(where)}: it has no items")
    batch = next(told(collated(Items(items, every), every, len(every), prepared.made.collate, 0), where))
    return tensors_of(batch, short(where))


def _refuse_unused(prepared: PreparedSplits, kind: str, takes: frozenset[str]) -> None:
    """Refuse settings of [data] that would do nothing."""
    data, none = prepared.data, config.DataTable()
    unused = {"normalize", "augment"} | {"size", "corrupt"} - {{"skip_corrupt": "corrupt"}.get(t, t) for t in takes}
    unused |= {"workers"} if kind == "arrays" and data.memory != "device" else set()
    unused |= {"workers", "limit", "memory"} if kind == "loaders" else set()
    said = [key for key in sorted(unused) if getattr(data, key) not in (getattr(none, key), "none")]
    if kind == "arrays" and data.memory == "stream":
        said.append("memory")
    if said:
        settings = ", ".join(f"data.{key} = {getattr(data, key)}" for key in said)
        raise DataError(f"{short(prepared.name)} is of prepared examples ({kind}), for which {settings} does nothing")


def _classes(prepared: PreparedSplits, labels: Sequence[NDArray[np.int64]]) -> tuple[str, ...] | None:
    """Their names, or their numbers where the targets in memory are labels."""
    if prepared.made.classes is not None:
        return tuple(map(str, prepared.made.classes))
    most = max((int(part.max()) for part in labels if len(part)), default=-1)
    return tuple(map(str, range(most + 1))) if most >= 0 else None


def _in_memory(prepared: PreparedSplits, splits: Mapping[str, Batch]) -> PreparedExamples:
    labels = {split: labels_of(examples) for split, examples in splits.items()}
    found = [part for part in labels.values() if part is not None]
    known = len(found) == len(splits)
    zeros = {split: np.zeros(count_of(examples), dtype=np.int64) for split, examples in splits.items()}
    by = {split: part for split, part in labels.items() if part is not None} if known else zeros
    drawn = _drawn(prepared, by["train"], by["test"])
    taken = {
        "train": _taken(splits["train"], drawn.kept),
        "validation": _held_out(prepared, splits, drawn),
        "test": _taken(splits["test"], drawn.test),
    }
    classes = _classes(prepared, found if known else ())
    return PreparedExamples(prepared.name, classes, **taken, fingerprint=fingerprint(*taken.values()))


def _taken(examples: Batch, index: NDArray[np.int64]) -> Batch:
    whole = len(index) == count_of(examples)
    return examples if whole else mapped(examples, itemgetter(torch.from_numpy(index)))


def _held_out(prepared: PreparedSplits, splits: Mapping[str, Batch], drawn: Drawn) -> Batch:
    if "validation" not in splits:
        return _taken(splits["train"], drawn.held)
    return splits["validation"] if _uses_own_validation(prepared) else _taken(splits["validation"], drawn.held[:0])


def _uses_own_validation(prepared: PreparedSplits) -> bool:
    if prepared.data.validation:
        prepared.note("info", f"{short(prepared.name)}: its own validation split is used; nothing else is held out")
    else:
        prepared.note("info", f"{short(prepared.name)}: its validation split is not used: data.validation = 0")
    return bool(prepared.data.validation)


def _drawn(prepared: PreparedSplits, train: NDArray[np.int64], test: NDArray[np.int64]) -> Drawn:
    """Which examples are used; stratified where there are labels."""
    data, own = prepared.data, prepared.made.validation is not None
    drawn = draw(train, test, data.limit, 0.0 if own else data.validation)
    if len(drawn.kept) < 2 or not len(drawn.test):
        raise DataError(
            f"{short(prepared.name)}: {len(drawn.kept)} training and {len(drawn.test)} test examples are too few"
        )
    if data.validation and not own and not len(drawn.held):
        raise DataError(
            f"data.validation = {data.validation:g} of {len(drawn.train)} training examples is none; hold out more, "
            "use more examples, or set it to 0"
        )
    return drawn


def _streamed(prepared: PreparedSplits, splits: Mapping[str, Any]) -> StreamedExamples:
    drawn = _drawn(prepared, *(np.zeros(len(splits[split]), dtype=np.int64) for split in ("train", "test")))
    train, test = splits["train"], splits["test"]
    items = {"train": Items(train, drawn.kept.tolist()), "test": Items(test, drawn.test.tolist())}
    if "validation" not in splits:
        items["validation"] = Items(train, drawn.held.tolist())
    else:
        own = splits["validation"]
        items["validation"] = Items(own, range(len(own) if _uses_own_validation(prepared) else 0))
    looked_at = [_looked_at(part, prepared) for part in items.values()]
    return StreamedExamples(
        prepared.name,
        _classes(prepared, ()),
        items["train"],
        items["validation"],
        items["test"],
        fingerprint=fingerprint([list(part.index) for part in items.values()], *looked_at),
        collate=prepared.made.collate,
        workers=prepared.workers,
    )


def _looked_at(items: Items, prepared: PreparedSplits) -> list[Batch]:
    """A few items, each as a batch of one, and what the dataset says of its own content (Hugging Face's do)."""
    places = np.unique(np.linspace(0, len(items) - 1, LOOKED_AT).astype(int)) if len(items) else ()
    few = Items(items.dataset, [items.index[i] for i in places])
    own = getattr(items.dataset, "_fingerprint", None)
    return [own, *told(collated(few, few.index, 1, prepared.made.collate, 0), prepared.name)]


def _of_loaders(prepared: PreparedSplits, splits: Mapping[str, DataLoader[Any]]) -> LoaderExamples:
    name, data = short(prepared.name), prepared.data
    if data.validation and "validation" not in splits:
        raise DataError(
            f"{name}: a loader keeps its examples, so that none can be held out: return one for validation, too, or "
            "set data.validation = 0"
        )
    if "validation" in splits and not _uses_own_validation(prepared):
        splits = {split: loader for split, loader in splits.items() if split != "validation"}
    counts = {split: examples_in(loader, f"{name}, {split}") for split, loader in splits.items()}
    if counts["train"] < 2 or not counts["test"]:
        raise DataError(f"{name}: {counts['train']} training and {counts['test']} test examples are too few")
    sizes = ", ".join(f"{loader.batch_size or 'various'} ({split})" for split, loader in splits.items())
    prepared.note("info", f"{name}: its loaders keep their order and batches of {sizes}; no batch_size is followed")
    for split in ("validation", "test"):
        if split in splits and splits[split].drop_last:
            prepared.note("warning", f"{name}: the {split} loader leaves out the last incomplete batch (drop_last)")
    source = LoaderExamples(prepared.name, _classes(prepared, ()), splits, "")
    first = [next(source.batches(split, 1)) for split in splits]
    found = fingerprint(counts, [loader.batch_size for loader in splits.values()], first)
    return LoaderExamples(prepared.name, source.classes, splits, found)
