"""Language modelling without a download: licences and documentation that lie on the machine, or a user's own texts."""

from __future__ import annotations

import ast
import hashlib
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from prunetui.api import Factor, Positive, Splits, data
from prunetui.errors import DataError
from prunetui.files.paths import is_dir, user_path
from prunetui.files.regular import read_regular

LICENCES = Path("/usr/share/common-licenses")
"""Those that Debian's packages refer to."""
ENDINGS = (".txt", ".md", ".rst")
TEST = 0.1
"""The part of the text, at its end, that is the test split."""
MEGABYTE = 1_000_000
MOST_FILE_BYTES = 64 << 20
Document = tuple[str, Callable[[], bytes]]
"""Its name, and what reads it."""


@data("system-text")
def system_text(length: Positive = 128, megabytes: Factor = 2.0, folder: str = "") -> Splits:
    """English text in bytes, each a token: Python's documentation, docstrings of its library, and licences.

    What is there depends on the machine: figures of two machines are of the same text only where Python and the
    licences of the system are. Documents come in an order that follows from their names; the last tenth of the text is
    the test split, so that all but one of its documents are none of the training's.

    Args:
        length: Tokens of an example.
        megabytes: The most text that is used.
        folder: Texts of your own (.txt, .md, .rst) in its place, in this folder and those within.
    """
    documents = _own(user_path(folder)) if folder else _of_the_system()
    ordered = sorted(documents, key=lambda document: hashlib.sha256(document[0].encode()).digest())
    text = _joined(ordered, int(megabytes * MEGABYTE))
    rows = len(text) // length
    tested = max(1, round(rows * TEST))
    if rows - tested < 1:
        where = folder or "Python's documentation"
        raise DataError(f"system-text: {where} has {len(text)} bytes; two examples of {length} are needed at least")
    tokens = np.frombuffer(text[: rows * length], dtype=np.uint8).astype(np.int64).reshape(rows, length)
    return Splits(train=tokens[:-tested], test=tokens[-tested:], classes=names_of_bytes(), prepared=True)


def names_of_bytes() -> tuple[str, ...]:
    """What the 256 tokens are called: printable ones as they are."""
    return tuple(chr(byte) if 32 < byte < 127 else f"0x{byte:02x}" for byte in range(256))


def _joined(documents: Iterable[Document], most: int) -> bytes:
    """The first ``most`` bytes of some documents, one after the other; what is beyond is not read."""
    parts: list[bytes] = []
    size = 0
    for _, read in documents:
        if size >= most:
            break
        parts.append(read().strip() + b"\n\n")
        size += len(parts[-1])
    return b"".join(parts)[:most]


def _own(folder: Path) -> list[Document]:
    """The texts of a folder.

    Raises:
        DataError: there is no such folder, or no text in it.
    """
    found = folder.rglob("*") if is_dir(folder) else ()
    files = sorted(file for file in found if file.suffix in ENDINGS and file.is_file())
    if not files:
        endings = ", ".join(ENDINGS)
        raise DataError(f"system-text: data.options.folder = {str(folder)!r} is no folder with files {endings}")
    return [(file.relative_to(folder).as_posix(), _reader(file)) for file in files]


def _reader(file: Path) -> Callable[[], bytes]:
    return lambda: read_regular(file, MOST_FILE_BYTES)


def _of_the_system() -> Iterator[Document]:
    library = Path(sysconfig.get_paths()["stdlib"])
    for folder, pattern, read in (
        (LICENCES, "*", _reader),
        (library, "LICENSE.txt", _reader),
        (library, "*.py", _docstrings),
    ):
        for file in folder.glob(pattern):
            if file.is_file() and not file.is_symlink():
                yield file.name, read(file)
    from pydoc_data.topics import topics

    for name, text in topics.items():
        yield f"topics/{name}", text.encode


def _docstrings(file: Path) -> Callable[[], bytes]:
    """What the docstrings of a module say, one below the other; its code is parsed, not run."""

    def read() -> bytes:
        kinds = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        tree = ast.parse(read_regular(file, MOST_FILE_BYTES))
        found = (ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, kinds))
        return "\n\n".join(text for text in found if text).encode(errors="replace")

    return read
