"""The files of an image tree root/{train,test|val}/<class>/..., found without opening any of them. Torch-free.

Every file is an image by its ending, known clutter of an operating system, or counted in ``LeftAlone``.
"""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from prunetui.errors import DataError
from prunetui.files.paths import NEEDED, image_suffixes, is_dir, is_file, shown

NAMED = 10
"""Names that a message lists at most; the rest is counted."""
CLUTTER = {
    ".ds_store", "thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", ".directory", ".gitkeep", ".localized",
    "icon\r", ".spotlight-v100", ".trashes", ".fseventsd", "@eadir", "$recycle.bin", "system volume information",
    "lost+found",
}  # fmt: skip
"""What operating systems leave in folders, in lower case; nobody means it to be an image or a class."""
FLAT_LABELS = "val_annotations.txt"
"""Tiny-ImageNet's list of the classes of the images in its flat validation folder."""


@dataclass
class LeftAlone:
    """What lies in the class folders of a split and is not read."""

    endings: Counter[str] = field(default_factory=Counter)
    hidden: list[str] = field(default_factory=list)
    special: list[str] = field(default_factory=list)
    """Neither files nor folders: broken links, pipes, devices, sockets."""
    repeated: list[str] = field(default_factory=list)
    """Links to folders that are read already, or that lead back up."""
    outside: int = 0
    """Images beside the class folders."""

    def lines(self, split: str) -> Iterator[str]:
        """One line for each kind of thing that is there."""
        if count := self.endings.total():
            kinds = ", ".join(f"{count} {_explained(ending)}" for ending, count in self.endings.most_common(NAMED))
            more = f" and {len(self.endings) - NAMED} more endings" if len(self.endings) > NAMED else ""
            yield f"{split}: not read: {counted(count, 'file')} without an ending of images: {kinds}{more}"
        if self.outside:
            yield f"{split}: not read: {counted(self.outside, 'image')} outside of the class folders"
        for paths, what in (
            (self.hidden, "hidden"),
            (self.special, "neither files nor folders (broken links, pipes, devices)"),
            (self.repeated, "links to folders that are read already"),
        ):
            if paths:
                yield f"{split}: not read: {counted(len(paths), 'entry', 'entries')}, {what}: {listed(paths)}"


@dataclass(frozen=True)
class SplitFolders:
    """The folders of both splits; ``train`` is None where only the test split is there."""

    train: Path | None
    test: Path
    notes: tuple[str, ...] = ()


def counted(count: int, one: str, many: str = "") -> str:
    """A number of things, as in "1 file" and "2 files"."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def listed(names: list[str]) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(map(shown, names[:NAMED])) + more


def split_folders(root: Path, wanted: Sequence[str] | None = None) -> SplitFolders:
    """The folders of the training and of the test split; a network that knows its classes, ``wanted``, needs no train.

    Of two test folders the one that has known classes is taken; if none has, one that can be explained.

    Raises:
        DataError: one is not there.
    """
    train = root / "train"
    there = [root / name for name in ("test", "val") if is_dir(root / name)]
    has_train = is_dir(train)
    if not there or (wanted is None and not has_train):
        missing = "train" if wanted is None and not has_train else "test (or val)"
        found = listed(sorted(entry.name for entry in _entries(root))) if is_dir(root) else "nothing"
        raise DataError(
            f"no folder {missing} in {shown(root.absolute())} (found: {found}); an image tree is "
            "root/train/<class>/<image> and root/test/<class>/<image> or root/val/..."
        )
    known = {class_name(name) for name in wanted or ()} | set(class_folders(train) if has_train else ())
    labelled = [folder for folder in there if known & set(class_folders(folder))]
    explained = [folder for folder in there if flat_validation(folder)]
    test = [*labelled, *explained, *there][0]
    notes: tuple[str, ...] = () if has_train else (f"no folder train in {shown(root)}: only {test.name} is read",)
    if len(there) > 1 and test == there[0]:
        notes += ("the test split is test; val is not read",)
    elif test != there[0]:
        whose = "of train" if has_train else "that the network knows"
        notes += (f"test has none of the classes {whose}: the test split is val",)
    return SplitFolders(train if has_train else None, test, notes)


def class_folders(split: Path, left: LeftAlone | None = None) -> Mapping[str, tuple[str, ...]]:
    """Class name -> its folders, in order of name. Names that differ in their Unicode form alone are one class."""
    found: dict[str, list[str]] = {}
    for entry in sorted(_entries(split), key=lambda entry: entry.name):
        if entry.name.lower() in CLUTTER or entry.name.startswith("._"):
            continue
        if _is_dir(entry) and not entry.name.startswith("."):
            found.setdefault(class_name(entry.name), []).append(entry.path)
        elif left is not None:
            _count_loose(entry, left)
    return {name: tuple(found[name]) for name in sorted(found)}


def class_name(folder: str) -> str:
    """The name of a class as text that every file and terminal can hold, in Unicode's composed form."""
    return unicodedata.normalize("NFC", os.fsencode(folder).decode("utf-8", "backslashreplace"))


def _count_loose(entry: os.DirEntry[str], left: LeftAlone) -> None:
    """A thing beside the class folders."""
    if _is_dir(entry):
        left.hidden.append(entry.path)
    elif not _is_file(entry):
        left.special.append(entry.path)
    elif is_image(entry.name):
        left.outside += 1
    else:
        left.endings[_ending(entry.name)] += 1


def images_in(folder: str, left: LeftAlone | None = None) -> list[os.DirEntry[str]]:
    """The image files in a folder and in those below it, in order of path; each real folder is read once.

    Raises:
        DataError: a folder cannot be read.
    """
    left = LeftAlone() if left is None else left
    images: list[os.DirEntry[str]] = []
    waiting, seen = [os.path.realpath(folder)], set()
    while waiting:
        path = waiting.pop()
        real = os.path.realpath(path)
        if real in seen:
            left.repeated.append(path)
            continue
        seen.add(real)
        for entry in _entries(Path(path)):
            if entry.name.lower() in CLUTTER or entry.name.startswith("._"):
                continue
            if _is_dir(entry):
                (left.hidden if entry.name.startswith(".") else waiting).append(entry.path)
            elif not _is_file(entry):
                left.special.append(entry.path)
            elif is_image(entry.name):
                images.append(entry)
            elif entry.name.startswith("."):
                left.hidden.append(entry.path)
            else:
                left.endings[_ending(entry.name)] += 1
    return sorted(images, key=lambda entry: entry.path)


def count_images(split: Path) -> int:
    """How many images the class folders of a split hold."""
    return sum(len(images_in(folder)) for folders in class_folders(split).values() for folder in folders)


def is_image(name: str) -> bool:
    """Whether a file is an image by its ending."""
    return name.lower().endswith(image_suffixes())


def flat_validation(split: Path) -> str | None:
    """What to do with a folder that is Tiny-ImageNet's flat val/; None if it is not."""
    folders = class_folders(split) if is_file(split / FLAT_LABELS) else {"": ()}
    if folders and "images" not in folders:
        return None
    return (
        f"{shown(split.absolute())} is flat, as Tiny-ImageNet comes: {FLAT_LABELS} names the class of each image. "
        "Sort the images into val/<class>/images/, once, by running there: while read -r file class rest; do "
        f'mkdir -p "$class/images" && mv "images/$file" "$class/images/"; done < {FLAT_LABELS} && rmdir images'
    )


def _explained(ending: str) -> str:
    return f"{ending} (needs {NEEDED[ending]})" if ending in NEEDED else shown(ending)


def _ending(name: str) -> str:
    return Path(name).suffix.lower() or "without ending"


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise DataError(f"cannot read the folder {shown(folder)}: {error.strerror}") from None


def _is_dir(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself, or where nobody may look
        return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False
