"""Downloads, from a server on this machine: progress is told, checksums are verified, stdout stays clean."""

from __future__ import annotations

import hashlib
import http.server
import io
import pickle
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torchvision.datasets

from prunetui.config import DataTable
from prunetui.engine.data import load_dataset
from prunetui.errors import DataError

CLASSES = ["cat", "dog"]


def _batch(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (20, 3072), dtype=np.uint8)
    return pickle.dumps({"data": pixels, "labels": [i % 2 for i in range(20)]})


def _archive() -> tuple[bytes, dict[str, str]]:
    """A CIFAR-10 archive of six small batches, and the checksums of its members."""
    members = {f"data_batch_{i}": _batch(i) for i in range(1, 6)}
    members |= {"test_batch": _batch(6), "batches.meta": pickle.dumps({"label_names": CLASSES})}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, data in members.items():
            about = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            about.size = len(data)
            tar.addfile(about, io.BytesIO(data))
    return packed.getvalue(), {name: hashlib.md5(data).hexdigest() for name, data in members.items()}


@pytest.fixture
def archive(monkeypatch: pytest.MonkeyPatch) -> Iterator[bytes]:
    """torchvision's CIFAR10 pointed at a server on the loopback address."""
    data, sums = _archive()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            """Tests print nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        cifar = torchvision.datasets.CIFAR10
        monkeypatch.setattr(cifar, "url", f"http://127.0.0.1:{server.server_port}/{cifar.filename}")
        monkeypatch.setattr(cifar, "tgz_md5", hashlib.md5(data).hexdigest())
        monkeypatch.setattr(cifar, "train_list", [[f"data_batch_{i}", sums[f"data_batch_{i}"]] for i in range(1, 6)])
        monkeypatch.setattr(cifar, "test_list", [["test_batch", sums["test_batch"]]])
        monkeypatch.setattr(cifar, "meta", {**cifar.meta, "md5": sums["batches.meta"]})
        yield data
        server.shutdown()


def test_a_data_set_is_downloaded_with_progress_and_found_the_next_time(
    archive: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told: list[tuple[str, int, int]] = []
    data = DataTable(name="cifar10", root=str(tmp_path), validation=0.1)
    first = load_dataset(data, lambda *report: told.append(report))
    assert (len(first.train), len(first.validation), len(first.test), first.classes) == (90, 10, 20, ("cat", "dog"))
    assert (first.channels, first.size) == (3, 32)
    assert told[-1] == ("downloading cifar10", len(archive), len(archive))
    assert capsys.readouterr().out == ""
    told.clear()
    assert load_dataset(data, lambda *report: told.append(report)).fingerprint == first.fingerprint
    assert told == []


def test_a_download_with_another_checksum_is_refused(
    archive: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "tgz_md5", "0" * 32)
    with pytest.raises(DataError, match="could not be downloaded"):
        load_dataset(DataTable(name="cifar10", root=str(tmp_path)))
