"""``prunetui evaluate``: accuracy of a checkpoint, its own or somebody else's, on a test split."""

from __future__ import annotations

import json as json_module
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from prunetui.cli.wanted_images import check_fixed, tell, wanted_by, wanted_by_weights
from prunetui.config import Study, parse_study
from prunetui.errors import UsageError
from prunetui.plugins.libraries import library_of
from prunetui.plugins.own_files import names_own_file, short
from prunetui.terminal.output import print_json, say


def evaluate_checkpoint(
    checkpoint: Path,
    model: str | None,
    data: str | None,
    overrides: Sequence[str],
    device: str,
    as_json: bool,
    trust: bool = False,
) -> None:
    """Print the metrics of the task and images/s.

    Raises:
        UsageError: the checkpoint or the settings do not fit.
        DataError: the data cannot be read.
    """
    from prunetui.engine.data import load_source
    from prunetui.engine.device import find_device, prepare
    from prunetui.engine.load_task import load_task

    found, read, header = _opened(checkpoint, trust)
    if header:
        _check_complete(header, checkpoint)
        header = _with_own_files(header, model, data, checkpoint, trust)
    study = _study(header, model, data, overrides)
    where = find_device("cpu" if found else device)
    prepare(where)
    task = load_task(study.task.name, study.task.options)
    plain = None if header or read is None else wanted_by_weights(read.tensors, study.model)
    wanted = plain or wanted_by(header, checkpoint)
    if found:
        check_fixed(header, study, checkpoint)
    dataset = load_source(study.data, note=tell, wanted=wanted).to(where.torch)
    net = found[0] if found else _network(read, study, dataset, task, checkpoint, where.torch)
    net.register_forward_hook(partial(_check_logits, checkpoint))
    _report(_measured(net, task, dataset, study.measure.batch_size, where), task, study, as_json)


def _opened(path: Path, trust: bool) -> tuple[Any, Any, dict[str, Any]]:
    """An exported network with its header, or a checkpoint; and the header of either, empty where it has none."""
    from prunetui.engine.models.read_checkpoint import read_checkpoint

    if path.suffix.lower() in (".pt2", ".onnx"):
        found = _exported(path.expanduser(), trust)
        return found, None, found[1]
    read = read_checkpoint(path.expanduser())
    return None, read, read.header


def _measured(net: Any, task: Any, dataset: Any, batch: int, device: Any) -> dict[str, Any]:
    """All figures on the test split, by arithmetic that was checked on this machine."""
    import torch

    from prunetui.api.source import called
    from prunetui.engine.convolutions import KindsUsed
    from prunetui.engine.evaluation import evaluate
    from prunetui.engine.machine_check import check_machine

    with torch.no_grad(), KindsUsed() as used:  # a warm-up, too; inference mode would hide what is computed
        called(net, task.inputs(next(dataset.batches("test", 1))))
    checked = check_machine(device, torch.get_num_threads()).of(used.kinds)
    if checked.line:
        say(checked.line, err=True)
    checked.apply(device)
    figures = evaluate(net, task, dataset, "test", batch)
    return {**figures, "images": dataset.length("test"), "device": device.name}


def _report(result: dict[str, Any], task: Any, study: Study, as_json: bool) -> None:
    if as_json:
        print_json(result)
        return
    measured = (task.table.primary, *task.table.others)
    say("  ".join(f"{metric.title} {metric.text(result[metric.key])}" for metric in measured))
    rate = f"{result['images_per_second']:,.0f} images/s on {result['device']}"
    say(f"{result['images']} test images of {short(study.data.name)}, {rate}")


def _check_logits(path: Path, net: Any, inputs: Any, outputs: Any) -> None:
    """Refuse figures of a network that computes no numbers, whatever its weights are."""
    from prunetui.api import logits_of

    logits = logits_of(outputs)
    if not bool(logits.isfinite().all()):
        bad = int((~logits.isfinite()).sum())
        raise UsageError(
            f"{path} gives NaN or infinity for {bad} of {logits.numel()} outputs of a batch: nothing is measured; "
            "take one that was saved before its training diverged"
        )


def _exported(path: Path, trust: bool) -> tuple[Any, dict[str, Any]]:
    """The network of a .pt2 or .onnx file for normalised images, and its header; it runs on the CPU."""
    from prunetui.engine.from_normalised import FromNormalised
    from prunetui.engine.loading import load_exported, load_onnx

    run, header = load_onnx(path) if path.suffix.lower() == ".onnx" else load_exported(path, trust)
    if not header:
        raise UsageError(f"{path} was not exported by prunetui: it does not say what it is")
    _check_complete(header, path)
    return FromNormalised(run, header, path), header


def _check_complete(header: dict[str, Any], path: Path) -> None:
    needed = ("architecture", "data") if header.get("prepared") else ("architecture", "data", "mean", "std")
    if missing := [key for key in needed if key not in header]:
        raise UsageError(f"the header of {path} does not say its {' and '.join(missing)}")


def _with_own_files(
    header: dict[str, Any], model: str | None, data: str | None, path: Path, trust: bool
) -> dict[str, Any]:
    """The header with the user's files that it names where they are now; they are run only if they are trusted.

    Raises:
        UsageError: they are not, and nothing else is said to take their place; or they are not there any more.
    """
    if not data and names_own_file(header["data"]) and not trust:
        raise UsageError(
            f"{path} was trained on the data of {short(header['data'])}, a file whose code would be run: say --data, "
            "or --trust if you trust whoever made it"
        )
    if names_own_file(_task_of(header).get("name")) and not trust:
        raise UsageError(
            f"{path} was trained for the task {short(_task_of(header)['name'])}, a file whose code would be run: "
            "--trust if you trust whoever made it"
        )
    about = header["architecture"]
    if model or path.suffix.lower() != ".safetensors" or about.get("digest") is None:
        return header
    from prunetui.engine.models import Architecture
    from prunetui.engine.models.own_network import found_again

    return {**header, "architecture": {**about, "name": found_again(Architecture(**about), path, trust).name}}


def _study(header: dict[str, Any], model: str | None, data: str | None, overrides: Sequence[str]) -> Study:
    """The settings of the command line over those in the file's header."""
    settings = []
    if header:
        settings = [f"data.name={json_module.dumps(header['data'], ensure_ascii=False)}"]
        if not data:
            settings += [f"data.options.{k}={json_module.dumps(v)}" for k, v in header.get("data_options", {}).items()]
            settings += _data_settings(header)
        if not header.get("prepared"):
            settings += [f"data.normalize={{mean = {list(header['mean'])}, std = {list(header['std'])}}}"]
        about = {"shortcut": "B", **header["architecture"]}
        settings += [f"model.{k}={json_module.dumps(about[k])}" for k in ("name", "shortcut") if about[k] is not None]
        library = library_of(about["name"])
        table = library.options if library else "options"
        settings += [f"model.{table}.{k}={json_module.dumps(v)}" for k, v in about.get("options", {}).items()]
        task = _task_of(header)
        settings += [f"task.name={json_module.dumps(task['name'], ensure_ascii=False)}"] if "name" in task else []
        settings += [f"task.options.{k}={json_module.dumps(v)}" for k, v in task.get("options", {}).items()]
    elif not (model and data):
        raise UsageError("this checkpoint does not say what it is: give --model and --data")
    settings += [f'data.name="{data}"'] if data else []
    settings += [f'model.name="{model}"'] if model else []
    return parse_study("", [*settings, *overrides], "the command line")


def _data_settings(header: dict[str, Any]) -> list[str]:
    """What a study of prepared examples set of them; a folder only where their own code, which is trusted, reads it."""
    told = header.get("data_settings", {})
    taken = {key: told[key] for key in told if key != "root" or names_own_file(header["data"])}
    return [f"data.{key}={json_module.dumps(value, ensure_ascii=False)}" for key, value in taken.items()]


def _task_of(header: dict[str, Any]) -> dict[str, Any]:
    """The task in a header; empty where it says none: classification."""
    told = header.get("task")
    return told if isinstance(told, dict) else {}


def _network(read: Any, study: Study, dataset: Any, task: Any, path: Path, device: Any) -> Any:
    from prunetui.engine.loading import network_of
    from prunetui.engine.state import instantiate

    state = _state(read, study, dataset, task, path)
    if not read.header:
        return instantiate(state, device)
    return network_of(state, path, device, images=not read.header.get("prepared"))


def _state(read: Any, study: Study, dataset: Any, task: Any, path: Path) -> Any:
    import torch

    from prunetui.engine.data import network_shape
    from prunetui.engine.layers import resize
    from prunetui.engine.loading import attributes_of
    from prunetui.engine.models import skeleton
    from prunetui.engine.models.read_checkpoint import fitted
    from prunetui.engine.models.start import architecture_of, start_from
    from prunetui.engine.state import State

    model, shape = study.model, network_shape(task, dataset)
    if not read.header:
        start = start_from(read, path, model.model_copy(update={"keep_zeros": False}), *shape)  # nothing is trained
        for note in start.notes:
            say(note, err=True)
        return State(start.architecture, start.tensors)
    if model.width is None:
        model = model.model_copy(update={"width": read.header["architecture"].get("width")})
    architecture = architecture_of(model, *shape)
    net = skeleton(architecture)  # a header may say any width: nothing of its size is allocated
    resize(net, read.tensors)  # a pruned net has the widths of its tensors
    counters = [name for name in net.state_dict() if name.endswith("num_batches_tracked")]
    counted = {name: torch.zeros((), dtype=torch.int64) for name in counters}
    tensors = fitted(counted | read.tensors, net, path)
    return State(architecture, tensors, attributes=attributes_of(read.header, path))
