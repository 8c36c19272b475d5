"""What a file is by its first bytes, whatever its name ends with, and words for what is no checkpoint."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path

from prunetui.errors import UsageError

ENOUGH = 512
OTHERS = (
    (b"version https://git-lfs", "a git-lfs pointer, not the weights: run `git lfs pull` where it came from"),
    (b"\x89HDF\r\n", "an HDF5 file (Keras), not a PyTorch checkpoint"),
    (b"\x1f\x8b", "compressed with gzip: unpack it first"),
    (b"\xfd7zXZ", "compressed with xz: unpack it first"),
    (b"BZh", "compressed with bzip2: unpack it first"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd: unpack it first"),
    (b"GGUF", "a GGUF file, whose weights are quantised"),
    (b"\x93NUMPY", "a single NumPy array, not a state dict"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"%PDF", "a PDF document"),
)
ZIPS = (
    ("archive_format", "an exported program (.pt2), not a state dict: name it with the ending .pt2"),
    ("constants.pkl", "a TorchScript program; load it with torch.jit.load and save its state_dict()"),
    ("serialized_exported_program.json", "an exported program (.pt2), not a state dict: name it with the ending .pt2"),
    ("saved_model.pb", "a TensorFlow model, not a PyTorch checkpoint"),
)
LARGEST_RATIO = 16
"""How much larger than its file the contents of a zip may claim to be: torch does not compress."""
SMALL = 1 << 20
LONGEST_HEADER = 1 << 32
"""Of a safetensors file; its reader allows less, and says so."""


def kind_of(path: Path) -> str:
    """``safetensors``, ``zip`` or ``pickle`` of a file that may be a checkpoint.

    Raises:
        UsageError: there is no such file, or it is something else, which is named.
    """
    start = _start(path)
    if not start:
        raise refused(path, "it is empty")
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") < LONGEST_HEADER:
        return "safetensors"
    if start.startswith(b"PK\x03\x04"):
        _check_zip(path)
        return "zip"
    for magic, what in OTHERS:
        if start.startswith(magic):
            raise refused(path, f"it is {what}")
    if start[257:262] == b"ustar":
        raise refused(path, "it is a tar archive: unpack it, or save the state dict anew with torch.save")
    if start.startswith(b"\x80"):
        return "pickle"
    text = start.lstrip().lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise refused(path, "it is a web page, perhaps an error page saved instead of the weights: download it again")
    if all(byte in b"\t\n\r\f" or 32 <= byte < 127 for byte in start):
        raise refused(path, f"it is text: {start.splitlines()[0][:60].decode('ascii')!r}")
    raise refused(path, "it is neither a PyTorch checkpoint (torch.save) nor a safetensors file")


def refused(path: Path, why: str) -> UsageError:
    """The error of a file that is not read."""
    return UsageError(f"cannot read the checkpoint {path}: {why}")


def _start(path: Path) -> bytes:
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise UsageError(f"no checkpoint at {path}: it is a folder; name the file of weights in it")
        if not stat.S_ISREG(mode):
            raise UsageError(f"no checkpoint at {path}: it is no regular file")
        with path.open("rb") as file:
            return file.read(ENOUGH)
    except FileNotFoundError:
        raise UsageError(f"no checkpoint at {path}") from None
    except (OSError, ValueError) as error:
        raise refused(path, str(error)) from None


def _check_zip(path: Path) -> None:
    """Refuse archives of other kinds, and those that claim to hold far more than their file can."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile) as error:
        raise refused(path, f"it is damaged or not whole ({error})") from None
    names = [entry.filename for entry in entries]
    for name, what in ZIPS:
        if any(found == name or found.endswith(f"/{name}") for found in names):
            raise refused(path, f"it is {what}")
    if names and all(name.endswith(".npy") for name in names):
        raise refused(path, "it is an .npz archive of NumPy arrays, not a PyTorch checkpoint")
    if not any(name.endswith("data.pkl") for name in names):
        raise refused(path, "it is a zip archive that torch.save did not write; if the weights are in it, unpack it")
    claimed, size = sum(entry.file_size for entry in entries), path.stat().st_size
    if claimed > SMALL and claimed > LARGEST_RATIO * size:
        raise refused(path, f"it claims to hold {claimed:,} bytes in a file of {size:,}")
