"""A one-shot sweep, points a second: five methods at nine sparsities, each measured on every test image.

The product runs a whole study, from reading the data to the written table. The peer is what such sweeps are written as:
a copy of the network, ``torch.nn.utils.prune`` and a pass of a DataLoader for every point; its data is already read.
Both prune the same weights where the method says which (``l1-unstructured`` and ``global-unstructured``): there the
accuracies must agree to the last image. With ``PRUNETUI_TEST_DATA`` set it is CIFAR-10 and a published ResNet-20, else
digits and a ResNet-20 trained on them.
"""

from __future__ import annotations

import copy
import csv
import os
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn
from torch.nn.utils import prune

from benchmarks._plain import correct, device, loader
from benchmarks._turns import Work, in_turns
from prunetui.config import Study, parse_study, study_toml
from prunetui.execute.execution import execute
from prunetui.store import Run, Status, create_run

SPARSITIES = tuple(round(0.1 * i, 1) for i in range(1, 10))
METHODS = ("random-structured", "random-unstructured", "global-unstructured", "l1-structured", "l1-unstructured")
SAME = ("global-unstructured", "l1-unstructured")
STUDY = f"""
name = "sweep"
methods = {list(METHODS)}
sparsities = {list(SPARSITIES)}
[finetune]
epochs = 0
[measure]
recalibrate = 0
latency = false
loss = false
keep_models = false
"""


def study(root: Path) -> Study:
    """The sweep; the dense network comes from a checkpoint."""
    given = os.environ.get("PRUNETUI_TEST_DATA")
    settings = ["data.validation=0.0", "run.parallel='auto'"]
    if given:
        checkpoint = Path(given) / "resnet20-12fca82f.th"
        settings += ["data.name='folder'", f"data.root='{Path(given) / 'cifar10'}'", "data.normalize='imagenet'"]
        settings += ["model.shortcut='A'"]
    else:
        checkpoint = _trained(root)
    return parse_study(STUDY, [*settings, f"model.checkpoint='{checkpoint}'"])


def _trained(root: Path) -> Path:
    """A ResNet-20 that knows digits."""
    settings = ["methods=['l1-unstructured']", "sparsities=[0.5]", "train.epochs=5", "measure.keep_models=true"]
    run = _execute(root, parse_study(STUDY, ["data.validation=0.0", *settings]))
    return next(run.models.glob("dense-*.safetensors")).resolve()


def _execute(root: Path, asked: Study) -> Run:
    run = create_run(root, study_toml(asked), Status(state="queued", name=asked.name))
    assert execute(run, "auto", lambda: False) == 0
    return run


def ours(root: str) -> Work:
    """The study, every time in a new folder: nothing is found in a cache but the decoded images."""
    asked = study(Path(root) / "trained")

    def work() -> float:
        with tempfile.TemporaryDirectory() as folder:
            rows = _execute(Path(folder), asked).rows()
        _write(Path(root) / "ours.csv", {_point(row): round(float(row["top1"]), 4) for row in rows})
        return len(METHODS) * len(SPARSITIES)

    return work


def _point(row: Any) -> str:
    return f"{row['method']} {float(row['target'].partition(':')[2]):g}"


def peer(root: str) -> Work:
    """A copy, a mask and a pass for every point."""
    from prunetui.engine.data import load_dataset
    from prunetui.engine.models import Architecture
    from prunetui.engine.models.read_checkpoint import fitted, read_checkpoint

    asked = study(Path(root) / "trained")
    data = load_dataset(asked.data)
    from prunetui.engine.models import build

    model = build(
        Architecture("resnet20", data.channels, data.size, len(data.classes), asked.model.shortcut or "B", 16)
    )
    path = Path(str(asked.model.checkpoint))
    model.load_state_dict(fitted(read_checkpoint(path).tensors, model, path))
    model.to(device())
    batches = loader(data, "test", 512)

    def work() -> float:
        found = {}
        for method in METHODS:
            for sparsity in SPARSITIES:
                pruned = copy.deepcopy(model)
                masked(pruned, method, sparsity)
                found[f"{method} {sparsity:g}"] = round(100 * correct(pruned, batches) / len(data.test), 4)
        _write(Path(root) / "peer.csv", found)
        return len(METHODS) * len(SPARSITIES)

    return work


def masked(model: nn.Module, method: str, sparsity: float) -> None:
    """Prune every convolution but the first with ``torch.nn.utils.prune``."""
    layers = [module for module in model.modules() if isinstance(module, nn.Conv2d)][1:]
    if method == "global-unstructured":
        prune.global_unstructured([(m, "weight") for m in layers], prune.L1Unstructured, amount=sparsity)
        return
    for module in layers:
        if method == "random-structured":
            prune.random_structured(module, "weight", sparsity, dim=0)  # type: ignore[no-untyped-call]
        elif method == "random-unstructured":
            prune.random_unstructured(module, "weight", sparsity)  # type: ignore[no-untyped-call]
        elif method == "l1-structured":
            prune.ln_structured(module, "weight", sparsity, n=1, dim=0)  # type: ignore[no-untyped-call]
        else:
            prune.l1_unstructured(module, "weight", sparsity)  # type: ignore[no-untyped-call]


def _write(path: Path, found: dict[str, float]) -> None:
    path.write_text("".join(f"{name},{value}\n" for name, value in found.items()))


def _read(path: Path) -> dict[str, float]:
    with path.open() as file:
        return {name: float(value) for name, value in csv.reader(file)}


def results() -> Iterator[dict[str, Any]]:
    """One line of a single round, which takes minutes; it says how many points agree that both prune alike."""
    with tempfile.TemporaryDirectory() as root:
        result = in_turns("sweep", partial(ours, root), partial(peer, root), "points/s", rounds=1, warm=0)
        mine, theirs = _read(Path(root) / "ours.csv"), _read(Path(root) / "peer.csv")
    alike = [name for name in theirs if name.split()[0] in SAME]
    equal = sum(mine[name] == theirs[name] for name in alike)
    name = f"sweep of {len(theirs)} points, {equal} of {len(alike)} comparable ones equal to the last image"
    yield {**result, "name": name}
