"""A zip archive as torch writes it: uncompressed, so that it holds no more than its own size."""

from __future__ import annotations

import io
import zipfile
from typing import BinaryIO

from prunetui.formats.refused import Refused, shown

MOST_ENTRIES = 100_000


class Archive:
    """Entries of an archive, in memory or open, by name, without the folder that all of them are in.

    Raises:
        Refused: entries are compressed (a small file could hold terabytes), encrypted, twice there or overlap.
        zipfile.BadZipFile: it is damaged or no archive.
    """

    def __init__(self, data: bytes | BinaryIO) -> None:
        file = io.BytesIO(data) if isinstance(data, bytes) else data
        self._zip = zipfile.ZipFile(file)
        entries = self._zip.infolist()
        if len(entries) > MOST_ENTRIES:
            raise Refused(f"its archive has {len(entries):,} entries; at most {MOST_ENTRIES:,} are read")
        for entry in entries:
            if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
                raise Refused(f"the entry {shown(entry.filename)} of its archive is compressed; torch compresses none")
            if entry.flag_bits & 1:
                raise Refused(f"the entry {shown(entry.filename)} of its archive is encrypted")
        if sum(entry.file_size for entry in entries) > file.seek(0, io.SEEK_END):
            raise Refused("entries of its archive overlap")
        names = [entry.filename for entry in entries]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise Refused(f"the entry {shown(twice)} is twice in its archive")
        roots = {name.partition("/")[0] for name in names if "/" in name}
        inside = len(roots) == 1 and all("/" in name for name in names)
        self._entries = {name.partition("/")[2] if inside else name: name for name in names}

    @property
    def names(self) -> list[str]:
        """Of the entries, in the archive's order."""
        return list(self._entries)

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def size(self, name: str) -> int:
        """Bytes of an entry; 0 where there is none of this name."""
        return self._zip.getinfo(self._entries[name]).file_size if name in self._entries else 0

    def read(self, name: str) -> bytes:
        """The content of an entry.

        Raises:
            ValueError: there is none of this name.
        """
        if name not in self._entries:
            raise ValueError(f"its archive has no {shown(name)}")
        return self._zip.read(self._entries[name])
