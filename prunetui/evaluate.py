"""``prunetui evaluate``: accuracy of a checkpoint, its own or somebody else's, on a test split."""

from __future__ import annotations

import json as json_module
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from prunetui.config import Study, parse_study
from prunetui.errors import UsageError
from prunetui.output import print_json, say


def evaluate_checkpoint(
    checkpoint: Path,
    model: str | None,
    data: str | None,
    overrides: Sequence[str],
    device: str,
    as_json: bool,
) -> None:
    """Print top-1, top-5, loss and images/s.

    Raises:
        UsageError: the checkpoint or the settings do not fit.
        DataError: the data cannot be read.
    """
    from prunetui.engine.data import load_dataset
    from prunetui.engine.device import find_device, prepare
    from prunetui.engine.measure import evaluate
    from prunetui.engine.models.checkpoint import read_checkpoint
    from prunetui.engine.state import instantiate

    exported = checkpoint.suffix in (".pt2", ".onnx")
    found = _exported(checkpoint.expanduser()) if exported else None
    read = None if found else read_checkpoint(checkpoint.expanduser())
    header = found[1] if found else read.header if read else {}
    study = _study(header, model, data, overrides)
    where = find_device("cpu" if found else device)
    prepare(where)
    dataset = load_dataset(study.data).to(where.torch)
    net = found[0] if found else instantiate(_state(read, study, dataset, checkpoint), where.torch)
    batch = study.measure.batch_size
    evaluate(net, dataset, dataset.test.take(dataset.test.labels.new_tensor([0])), batch)  # warm-up
    result = {
        **asdict(evaluate(net, dataset, dataset.test, batch)),
        "images": len(dataset.test),
        "device": where.name,
    }
    if as_json:
        print_json(result)
        return
    say(f"top-1 {result['top1']:.2f} %  top-5 {result['top5']:.2f} %  loss {result['loss']:.4f}")
    rate = f"{result['images_per_second']:,.0f} images/s on {where.name}"
    say(f"{result['images']} test images of {study.data.name}, {rate}")


def _exported(path: Path) -> tuple[Any, dict[str, Any]]:
    """The network of a .pt2 or .onnx file for normalised images, and its header; it runs on the CPU."""
    from prunetui.loading import FromNormalised, load_exported, load_onnx

    run, header = load_onnx(path) if path.suffix == ".onnx" else load_exported(path)
    if not {"data", "mean", "std", "architecture"} <= set(header):
        raise UsageError(f"{path} was not exported by prunetui: it does not say what it is")
    return FromNormalised(run, header["mean"], header["std"]), header


def _study(header: dict[str, Any], model: str | None, data: str | None, overrides: Sequence[str]) -> Study:
    """The settings of the command line over those in the file's header."""
    settings = []
    if header:
        settings = [f'data.name="{header["data"]}"']
        settings += [f"data.normalize={{mean = {list(header['mean'])}, std = {list(header['std'])}}}"]
        settings += [f"model.{k}={json_module.dumps(header['architecture'][k])}" for k in ("name", "shortcut")]
    elif not (model and data):
        raise UsageError("this checkpoint does not say what it is: give --model and --data")
    settings += [f'data.name="{data}"'] if data else []
    settings += [f'model.name="{model}"'] if model else []
    return parse_study("", [*settings, *overrides], "the command line")


def _state(read: Any, study: Study, dataset: Any, path: Path) -> Any:
    from prunetui.engine.models import Architecture, build
    from prunetui.engine.models.checkpoint import fitted
    from prunetui.engine.state import State, resize

    model = study.model
    width = read.header["architecture"]["width"] if read.header and model.width is None else model.width
    architecture = Architecture(model.name, dataset.channels, dataset.size, len(dataset.classes), model.shortcut, width)
    net = build(architecture)
    if read.header:  # a pruned net has the widths of its tensors
        resize(net, read.tensors)
    return State(architecture, fitted(read.tensors, net, path))
