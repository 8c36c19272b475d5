"""An image tree root/{train,test|val}/<class>/<image>, decoded once into one cached array a split.

The cache lies in the user's cache directory under a hash of the listing (names, sizes, times), so a tree
that changed is decoded again.
"""

from __future__ import annotations

import contextlib
import hashlib
import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from platformdirs import user_cache_path

from prunetui.atomic import write_atomic
from prunetui.engine.data.decode import decode, ignore_interrupts, side_of
from prunetui.errors import DataError
from prunetui.paths import IMAGE_SUFFIXES as SUFFIXES

CHUNK = 512
SMALL_SET = 4
"""Chunks that are decoded faster here than it takes to start processes."""
NAMED = 10
"""Corrupt files that an error names; the rest is counted."""

Split = tuple[NDArray[np.uint8], NDArray[np.int64]]
Report = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Listing:
    """The files of a split in a fixed order."""

    paths: tuple[str, ...]
    labels: NDArray[np.int64]
    digest: str


def read(root: Path, size: int | None, skip_corrupt: bool, report: Report) -> tuple[Split, Split, tuple[str, ...]]:
    """Training split, test split and class names.

    Raises:
        DataError: the tree is not there or not of this form, or images are corrupt and not to be skipped.
    """
    train_root, test_root = _split_folders(root)
    classes = _classes(train_root)
    unknown = sorted(set(_classes(test_root)) - set(classes))
    if unknown:
        raise DataError(f"{test_root} has classes that {train_root} has not: {', '.join(unknown[:NAMED])}")
    listings = [list_images(folder, classes) for folder in (train_root, test_root)]
    side = size or _side(listings[0].paths)
    (train, labels), (test, test_labels) = (
        _load(listing, side, skip_corrupt, report, f"decoding {folder.name}")
        for listing, folder in zip(listings, (train_root, test_root), strict=True)
    )
    if _grey(train) and _grey(test):
        train, test = train[:, :1], test[:, :1]
    return (train, labels), (test, test_labels), classes


def _grey(pixels: NDArray[np.uint8]) -> bool:
    """Whether no image has any colour."""
    return bool((pixels[:, 0] == pixels[:, 1]).all() and (pixels[:, 0] == pixels[:, 2]).all())


def _split_folders(root: Path) -> tuple[Path, Path]:
    train = root / "train"
    test = next((root / name for name in ("test", "val") if (root / name).is_dir()), None)
    if not train.is_dir() or test is None:
        missing = "train" if not train.is_dir() else "test (or val)"
        found = ", ".join(sorted(p.name for p in root.iterdir())[:NAMED]) if root.is_dir() else "nothing"
        raise DataError(
            f"no folder {missing} in {root.resolve()} (found: {found}); an image tree is "
            "root/train/<class>/<image> and root/test/<class>/<image> or root/val/..."
        )
    return train, test


def _classes(folder: Path) -> tuple[str, ...]:
    classes = tuple(sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")))
    if not classes:
        raise DataError(f"{folder.resolve()} has no class folders; images lie in {folder.name}/<class>/<image>")
    return classes


def list_images(folder: Path, classes: Sequence[str]) -> Listing:
    """All image files below the class folders, in order of name."""
    paths: list[str] = []
    labels: list[int] = []
    hashed = hashlib.sha256()
    for label, name in enumerate(classes):
        for entry in sorted(_files(folder / name), key=lambda e: e.path):
            stat = entry.stat()
            hashed.update(f"{entry.path}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
            paths.append(entry.path)
            labels.append(label)
    if not paths:
        raise DataError(f"{folder.resolve()} has no images; known endings: {', '.join(SUFFIXES)}")
    return Listing(tuple(paths), np.asarray(labels, dtype=np.int64), hashed.hexdigest()[:24])


def _files(folder: Path) -> list[os.DirEntry[str]]:
    if not folder.is_dir():
        return []
    with os.scandir(folder.resolve()) as entries:
        return [e for e in entries if e.name.lower().endswith(SUFFIXES) and e.is_file()]


def _side(paths: Sequence[str]) -> int:
    for path in paths[:100]:  # the first may be corrupt, which is reported later with all others
        try:
            return side_of(path)
        except (OSError, ValueError):
            continue
    raise DataError(f"none of the first images can be read, beginning with {paths[0]}")


def _load(listing: Listing, size: int, skip_corrupt: bool, report: Report, what: str) -> Split:
    cached = user_cache_path("prunetui") / "images" / f"{listing.digest}-{size}.npy"
    bad_list = cached.with_suffix(".corrupt")
    if cached.is_file() and bad_list.is_file():
        pixels = np.load(cached, allow_pickle=False)
        corrupt = [int(line.split("\t")[0]) for line in bad_list.read_text().splitlines()]
        reasons = [line.partition("\t")[2] for line in bad_list.read_text().splitlines()]
    else:
        pixels, corrupt, reasons = _decode_all(listing.paths, size, report, what)
        _save(cached, bad_list, pixels, corrupt, reasons)
    if corrupt and not skip_corrupt:
        named = "\n".join(f"  {listing.paths[i]}: {r}" for i, r in list(zip(corrupt, reasons, strict=True))[:NAMED])
        more = f"\n  and {len(corrupt) - NAMED} more" if len(corrupt) > NAMED else ""
        raise DataError(
            f"{len(corrupt)} of {len(listing.paths)} images cannot be decoded:\n{named}{more}\n"
            'mend or remove them, or set data.corrupt = "skip" to go on without them'
        )
    good = np.ones(len(pixels), dtype=bool)
    good[corrupt] = False
    if corrupt:
        report(f"skipped {len(corrupt)} corrupt images, the first {listing.paths[corrupt[0]]}", 0, 0)
        return pixels[good], listing.labels[good]
    return pixels, listing.labels


def _decode_all(
    paths: Sequence[str], size: int, report: Report, what: str
) -> tuple[NDArray[np.uint8], list[int], list[str]]:
    """Decode in as many processes as there are cores; small sets are not worth the processes."""
    chunks = [paths[i : i + CHUNK] for i in range(0, len(paths), CHUNK)]
    arguments = (chunks, [size] * len(chunks))
    pixels = np.empty((len(paths), 3, size, size), dtype=np.uint8)
    corrupt: list[int] = []
    reasons: list[str] = []
    workers = min(len(chunks), os.cpu_count() or 1)
    # spawn: a fork of a process that runs torch's threads may hang
    context = multiprocessing.get_context("spawn")
    parallel = len(chunks) > SMALL_SET
    pool = ProcessPoolExecutor(workers, context, ignore_interrupts) if parallel else None
    try:
        for i, (part, bad) in enumerate((pool.map if pool else map)(decode, *arguments)):
            start = i * CHUNK
            pixels[start : start + len(part)] = part
            corrupt += [start + j for j, _ in bad]
            reasons += [reason for _, reason in bad]
            report(what, start + len(part), len(paths))
    finally:
        if pool:
            pool.shutdown(cancel_futures=True)
    return pixels, corrupt, reasons


def _save(
    cached: Path, bad_list: Path, pixels: NDArray[np.uint8], corrupt: Sequence[int], reasons: Sequence[str]
) -> None:
    """Keep what was decoded; a cache that cannot be written only costs time the next run."""
    temporary = cached.with_name(f".{cached.name}.{os.getpid()}.tmp")
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            np.save(file, pixels, allow_pickle=False)
            os.fsync(file.fileno())
        lines = (f"{i}\t{' '.join(reason.split())}\n" for i, reason in zip(corrupt, reasons, strict=True))
        write_atomic(bad_list, "".join(lines))
        temporary.replace(cached)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
