"""Checkpoints that would keep ``torch.load`` busy, or fill the memory, are refused before it sees them."""

from __future__ import annotations

import io
import time
import zipfile
from pathlib import Path

import pytest
import torch

from prunetui.engine.models.read_checkpoint import read_checkpoint
from prunetui.errors import UsageError

LONG = b"\x80\x02c__main__\n" + b"x" * 100_000 + b"\n."


def zipped(pickle: bytes, method: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        archive.writestr("archive/data.pkl", pickle)
        archive.writestr("archive/version", "3\n")
    return out.getvalue()


def compressed() -> bytes:
    """64 MiB of zeros in 64 KiB."""
    plain, out = io.BytesIO(), io.BytesIO()
    torch.save({"weight": torch.zeros(1 << 24)}, plain)
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    return out.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (zipped(LONG), "names an object by 100,009 letters"),
        (LONG, "names an object by 100,009 letters"),
        (compressed(), "claims to hold 67,109,088 bytes"),
        (zipped(bytes(65 << 20)), "its pickle has 68,157,440 bytes"),
        (zipped(b"\x80\x02}q\x00.")[:-30], "cannot read the checkpoint"),
    ],
    ids=["long name", "long name of old", "compressed", "long pickle", "cut off"],
)
def test_refused_at_once(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    path.write_bytes(content)
    began = time.monotonic()
    with pytest.raises(UsageError, match=words) as caught:
        read_checkpoint(path)
    assert time.monotonic() - began < 20
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("old", [True, False])
def test_what_torch_saves_is_read_in_both_forms(old: bool, tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    torch.save({"weight": torch.arange(3.0)}, path, _use_new_zipfile_serialization=not old)
    assert read_checkpoint(path).tensors["weight"].tolist() == [0.0, 1.0, 2.0]
