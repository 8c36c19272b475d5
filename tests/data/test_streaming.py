"""Streamed images are those in memory, to the last bit: what is found of them, their order, and their changes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from prunetui.api import IndexedSource, Splits
from prunetui.config import DataTable
from prunetui.data.lazy_images import Streaming, ahead, digests_of, look_at
from prunetui.data.tree import streamed
from prunetui.data.tree.wanted import Wanted
from prunetui.engine.data.source_loader import load_source, source_of
from prunetui.engine.device import Device
from prunetui.engine.evaluation import evaluate
from prunetui.engine.models import Architecture
from prunetui.engine.state import instantiate
from prunetui.errors import DataError
from prunetui.tasks.classification import Classification

CLASSES = ("cat", "dog", "owl")


def write_tree(root: Path, colour: bool = True, train: int = 6, test: int = 4) -> Path:
    """Random PNG images of 12 x 10 and 20 x 20 pixels."""
    random = np.random.default_rng(0)
    for split, count in (("train", train), ("test", test)):
        for name in CLASSES:
            folder = root / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                shape = ((10, 12), (20, 20))[i % 2]
                pixels = random.integers(0, 256, (*shape, 3) if colour else shape, dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{i}.png")
    return root


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tree(tmp_path_factory.mktemp("tree"))


def loaded(root: Path, wanted: Wanted | None = None, **more: Any) -> tuple[Any, list[str]]:
    told: list[str] = []
    data = DataTable(**{"name": "folder", "root": str(root), "size": 8, "validation": 0.25, "workers": 0, **more})
    return load_source(data, note=lambda level, line: told.append(line), wanted=wanted or Wanted()), told


def both(root: Path, wanted: Wanted | None = None, **more: Any) -> tuple[Any, Any]:
    """A tree in memory and streamed, of which all that is known must be the same."""
    (memory, told), (stream, also) = (loaded(root, wanted, memory=where, **more) for where in ("device", "stream"))
    assert told == also
    assert type(memory).__name__ == "Dataset"
    assert type(stream).__name__ == "StreamedDataset"
    for fact in ("fingerprint", "mean", "std", "classes", "channels", "size"):
        assert getattr(memory, fact) == getattr(stream, fact), fact
    return memory, stream


def same(ours: Iterator[Any], theirs: Iterator[Any]) -> int:
    """How many batches there are, all of them equal."""
    pairs = list(zip(ours, theirs, strict=True))
    for (images, labels), (other_images, other_labels) in pairs:
        assert torch.equal(images, other_images)
        assert torch.equal(labels, other_labels)
    return len(pairs)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(3)


# The same as in memory ---------------------------------------------------------------------------------


@pytest.mark.parametrize("augment", ["none", "crop+flip", "resized-crop+flip"])
def test_epochs_and_splits_are_those_of_images_in_memory(tree: Path, augment: str) -> None:
    memory, stream = both(tree, augment=augment)
    assert same(memory.epoch(4, generator()), stream.epoch(4, generator())) == memory.batches_in_epoch(4) == 3
    assert same(memory.sample(5, generator(), 3), stream.sample(5, generator(), 3)) == 2
    for split, batches in (("train", 3), ("validation", 1), ("test", 3)):
        assert same(memory.batches(split, 5), stream.batches(split, 5)) == batches
    assert isinstance(memory, IndexedSource)
    assert not isinstance(stream, IndexedSource)


def test_workers_change_nothing(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streamed, "CHUNK_BYTES", 2 * 3 * 8**2)  # two images at once
    here, there = (loaded(tree, memory="stream", workers=workers)[0] for workers in (0, 2))
    assert same(here.epoch(5, generator()), there.epoch(5, generator())) == 2
    epoch = there.epoch(5, generator())
    next(epoch)
    epoch.close()  # what is under way is called off
    assert same(here.batches("test", 5), there.batches("test", 5)) == 3


def test_grey_images_have_one_channel_or_those_that_the_network_takes(tmp_path: Path, tree: Path) -> None:
    root = write_tree(tmp_path / "grey", colour=False)
    memory, stream = both(root)
    assert memory.channels == 1
    assert same(memory.batches("test", 5), stream.batches("test", 5)) == 3
    for where, channels in ((root, 3), (tree, 1)):
        (memory, _), (stream, _) = (
            loaded(where, Wanted(channels=channels), memory=kind) for kind in ("device", "stream")
        )
        assert (memory.channels, memory.mean, memory.std) == (stream.channels, stream.mean, stream.std)
        assert same(memory.batches("test", 5), stream.batches("test", 5)) == 3


def test_corrupt_and_deep_images_are_found_at_the_start(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "odd")
    (root / "train" / "cat" / "5.png").write_bytes(b"no image")
    levels = np.linspace(0, 4095, 400).reshape(20, 20).astype(np.uint16)
    Image.fromarray(levels).save(root / "test" / "dog" / "0.png")
    Image.fromarray(levels // 2).save(root / "train" / "dog" / "0.png")
    with pytest.raises(DataError, match="1 of 18 images cannot be decoded"):
        loaded(root, memory="stream")
    memory, stream = both(root, corrupt="skip")
    assert len(memory.train) + len(memory.validation) == 17
    assert same(memory.batches("train", 5), stream.batches("train", 5)) == 3
    assert same(memory.batches("test", 5), stream.batches("test", 5)) == 3


def test_accuracies_are_the_same_to_the_image(tree: Path, lively: Any, cpu: Device) -> None:
    memory, stream = both(tree)
    net = instantiate(lively(Architecture("resnet20", 3, 8, 3, width=4)), torch.device("cpu"))
    ours, theirs = (evaluate(net, Classification(), source, "test", 5) for source in (memory, stream))
    assert (ours["top1"], ours["top5"]) == pytest.approx((theirs["top1"], theirs["top5"]), rel=1e-12)
    assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-6)


# Map-style datasets ------------------------------------------------------------------------------------


class Pictures:
    """Items of a map-style dataset: images of Pillow's or arrays, of several sizes."""

    def __init__(self, count: int, first: int = 0) -> None:
        self.count, self.first = count, first

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Any, int]:
        random = np.random.default_rng(self.first + index)
        pixels = random.integers(0, 256, (10, 10 + 4 * (index % 2), 3), dtype=np.uint8)
        return (Image.fromarray(pixels) if index % 3 else pixels.transpose(2, 0, 1)), index % 2


def test_images_of_a_map_style_dataset_stream_through_forked_workers() -> None:
    splits = Splits(Pictures(12), Pictures(6, 100))
    with pytest.raises(DataError, match=r"digits, train: image 1 is \[3, 10, 14\], the first \[3, 10, 10\]"):
        source_of(splits, DataTable(memory="device"))
    several, single = (
        source_of(splits, DataTable(memory="stream", size=8, validation=0.25, augment="flip", workers=workers))
        for workers in (2, 0)
    )
    assert same(several.epoch(4, generator()), single.epoch(4, generator())) == 2
    square = Splits(
        [(image, label) for image, label in map(Pictures(12).__getitem__, range(0, 12, 2))] * 2, Pictures(1)
    )
    memory, stream = (source_of(square, DataTable(memory=where, workers=0)) for where in ("device", "stream"))
    assert (memory.fingerprint, memory.mean, memory.std) == (stream.fingerprint, stream.mean, stream.std)
    assert same(memory.epoch(4, generator()), stream.epoch(4, generator())) == 2


# When, and what is refused -----------------------------------------------------------------------------


def test_what_would_take_more_than_a_quarter_of_the_free_memory_is_streamed(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, str]] = []
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=8_000_000_000))
    auto = Streaming("auto", note=lambda level, line: told.append((level, line)))
    assert not auto.chosen("scans", 2_000, 1_000_000)
    assert told == []
    assert auto.chosen("scans", 2_001, 1_000_000)
    words = "2,001 take 2.0 GB, more than a quarter of the 8.0 GB of memory that are free (data.memory)"
    assert told == [("info", f"scans: images are streamed: {words}")]
    assert [Streaming(where).chosen("", 1, 1) for where in ("stream", "device")] == [True, False]


def test_images_in_memory_cannot_be_streamed() -> None:
    with pytest.raises(DataError, match=r"digits: its images are in memory already, and data.memory = stream"):
        load_source(DataTable(memory="stream"))


def test_a_file_that_was_changed_since_is_named(tmp_path: Path) -> None:
    source, _ = loaded(write_tree(tmp_path / "tree"), memory="stream")
    (tmp_path / "tree" / "test" / "dog" / "1.png").unlink()
    with pytest.raises(DataError, match=r"1\.png was changed since the data was read: FileNotFoundError"):
        list(source.batches("test", 4))


def test_files_are_looked_through_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_tree(tmp_path / "tree")
    first, _ = loaded(root, memory="stream")
    with monkeypatch.context() as patch:
        patch.setattr(streamed, "surveyed", None)
        again, _ = loaded(root, memory="stream")
    assert again.fingerprint == first.fingerprint
    Image.new("RGB", (9, 9)).save(root / "test" / "dog" / "1.png")
    changed, _ = loaded(root, memory="stream")
    assert changed.fingerprint != first.fingerprint


# Parts -------------------------------------------------------------------------------------------------


def test_a_look_at_an_image_has_its_sums_and_those_of_its_grey() -> None:
    image = np.array([[[[1, 2]], [[3, 4]], [[5, 255]]]], dtype=np.uint8)  # [1, 3, 1, 2]
    digests, sums = look_at(image)
    grey = [round(0.299 * red + 0.587 * green + 0.114 * blue) for red, green, blue in ((1, 3, 5), (2, 4, 255))]
    assert sums.tolist() == [[[3, 5], [7, 25], [260, 25 + 255**2], [sum(grey), sum(level**2 for level in grey)]]]
    assert digests.tolist() == digests_of(image).tolist()
    plain = image[:, :1]
    assert digests_of(plain).tolist() == digests_of(plain.repeat(3, axis=1)).tolist() != digests.tolist()


def test_jobs_are_begun_ahead_and_their_results_come_in_order() -> None:
    begun: list[int] = []
    cancelled: list[int] = []

    def submit(job: int) -> Any:
        begun.append(job)
        return SimpleNamespace(result=lambda: job, cancel=lambda: cancelled.append(job))

    results = ahead(submit, range(6), most=3)
    assert next(results) == 0
    assert begun == [0, 1, 2]
    assert [next(results), next(results)] == [1, 2]
    results.close()
    assert cancelled == [3, 4]
    assert list(ahead(submit, range(2), most=3)) == [0, 1]


ORPHANS = """
import sys
from functools import partial
from prunetui.data.tree.decode_pool import pool
from prunetui.data.tree.streamed import decoded_pixels, in_processes

if __name__ == "__main__":
    results = in_processes(partial(decoded_pixels, size=8, ranges={}), [[path] for path in sys.argv[1:]], 2)
    next(results)
    print(*pool(2)._processes, flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_workers_end_with_a_process_that_is_killed(tree: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(ORPHANS)
    images = [str(tree / "test" / name / "0.png") for name in CLASSES]
    process = subprocess.Popen(
        [sys.executable, str(script), *images], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    workers = [int(number) for number in process.stdout.readline().split()]
    assert len(workers) == 2
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and any(_alive(worker) for worker in workers):
        time.sleep(0.05)
    assert not any(_alive(worker) for worker in workers)


CHILD = """
import multiprocessing, sys
from functools import partial
from prunetui.data.tree.streamed import decoded_pixels, in_processes

def use(paths):
    work = partial(decoded_pixels, size=8, ranges={})
    print(len(list(in_processes(work, [[path] for path in paths], 1))), flush=True)

if __name__ == "__main__":
    child = multiprocessing.get_context("spawn").Process(target=use, args=(sys.argv[1:],))
    child.start()
    child.join(60)
    print(child.exitcode)
    child.kill()
"""


def test_a_process_of_multiprocessing_ends_with_its_workers(tree: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(CHILD)
    images = [str(tree / "test" / name / "0.png") for name in CLASSES]
    done = subprocess.run([sys.executable, str(script), *images], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["3", "0"], done.stderr


def _alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
