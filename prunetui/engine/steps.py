"""What each kind of step does to a state. No caching, no events: that is ``run``'s."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import quantiles

import torch
from torch import Tensor

from prunetui import plugins
from prunetui.api import Channels, Masks, Modules, Net
from prunetui.budget import TOLERANCE, least_width, rounded_down, width_unit
from prunetui.engine import edits
from prunetui.engine.data import Dataset
from prunetui.engine.device import Device
from prunetui.engine.graph import Graph
from prunetui.engine.measure import CALIBRATION_BATCH, recalibrate
from prunetui.engine.models import Architecture, build
from prunetui.engine.models.checkpoint import fitted, read_checkpoint
from prunetui.engine.state import State, capture, instantiate
from prunetui.engine.train import epoch_seed
from prunetui.errors import TrialError
from prunetui.plan import Prune

EQUIVALENCE_IMAGES = 4
WARM_UP_PASSES, TIMED_PASSES = 10, 50


def fresh(architecture: Architecture, seed: int, checkpoint: str | None) -> State:
    """The dense network of a seed, or that of a checkpoint.

    Raises:
        UsageError: the checkpoint does not fit.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build(architecture)
    if checkpoint:
        path = Path(checkpoint).expanduser()
        return State(architecture, fitted(read_checkpoint(path).tensors, model, path))
    return State(architecture, {name: t.clone() for name, t in model.state_dict().items()})


def prune(state: State, step: Prune, key: str, data: Dataset, graph: Graph, device: Device) -> State:
    """The state after a method's edit, checked: it did what was asked and nothing else.

    Raises:
        TrialError: the edit misses its target, the method changed the net itself, or removal is not exact.
    """
    info = plugins.method_info(step.method)
    method = plugins.load(step.method)(**step.options)
    generator = torch.Generator().manual_seed(epoch_seed(key, 0))
    model = instantiate(state, device.torch)
    images = data.sample(step.images, generator)
    net = Net(
        model=model,
        masks={name: mask.to(device.torch, copy=True) for name, mask in state.masks.items()},
        batches=list(data.batches(images, CALIBRATION_BATCH)),
        generator=generator,
        target=step.target,
        progress=step.progress,
        coupled=graph.current(state.tensors),
        costs=graph.costs(state.tensors),
        exempt=frozenset() if info.edit == "channels" else graph.exempt,
        floor=step.rules["floor"],
        memory=state.memory,
    )
    edit = method.prune(net, asked_of(info.edit, step, state, graph))
    left = model.state_dict()
    if any(not torch.equal(left[name], t.to(left[name].device)) for name, t in state.tensors.items()):
        raise TrialError(f"the method {step.method} changed the net; it may only return an edit")
    after = edits.apply(edit, state, graph)
    if isinstance(edit, Channels) and not edit.moved:
        probe = data.normalised(images.pixels[:EQUIVALENCE_IMAGES])
        edits.check_removal(edit.keep, state, after, graph, probe)
    check_achieved(step, edit, after, graph)
    return after


def asked_of(edit: str, step: Prune, state: State, graph: Graph) -> float:
    """The value for a method: masks are of the weights that are there, the study's sparsity of the dense ones."""
    dense, present = graph.cost("sparsity", graph.dense), graph.present("sparsity", state.tensors)
    if edit != "masks" or step.target != "sparsity" or present == dense:
        return step.value
    left = 1 - (1 - step.value) * dense / present
    if left < 0:
        raise TrialError(f"{1 - present / dense:.2%} of the weights are already gone; {step.value:g} is below that")
    return left


def achieved(kind: str, state: State, graph: Graph) -> float:
    """The fraction of the dense net that is gone: of prunable weights, params, macs, or channels."""
    if kind == "channels":
        return 1 - sum(graph.widths(state.tensors).values()) / max(1, sum(graph.dense.values()))
    left = graph.present(kind, state.tensors)
    if kind == "sparsity":
        left -= sum(int((~mask).sum()) for mask in state.masks.values())
    return 1 - left / graph.cost(kind, graph.dense)


def check_achieved(step: Prune, edit: Masks | Channels | Modules, after: State, graph: Graph) -> None:
    """Assert that an edit removed what was asked for.

    Raises:
        TrialError: it did not.
    """
    if step.target == "threshold":
        if step.value > 0 and achieved("sparsity", after, graph) == 0:
            raise TrialError(f"no weight lies at or below {step.value:g}: nothing was pruned")
        return
    reached = achieved(step.target, after, graph)
    if step.target == "channels":
        fine = _widths_fit(step, edit, after, graph)
    elif step.target == "pattern":
        fine = isinstance(edit, Masks) and all(_share(mask) == step.value for mask in edit.keep.values())
    else:
        # Per-layer budgets round once a layer; kernels and channels come in whole units.
        weights = graph.cost("sparsity", graph.dense)
        slack = _grain(edit) * len(after.masks) / weights if isinstance(edit, Masks) else TOLERANCE
        fine = abs(reached - step.value) <= slack + 1e-9
    if not fine:
        raise TrialError(f"{step.method} was asked for {step.target}:{step.value:g} and removed {reached:.4%} of it")


def _widths_fit(step: Prune, edit: Masks | Channels | Modules, after: State, graph: Graph) -> bool:
    """Whether every layer is as narrow as the ratio asks, or as narrow as its unit and its floor let it be."""
    if isinstance(edit, Modules):
        widths = {name: len(layer.weight) for name, layer in edit.shared.items()}
        dense = {name: len(layer.labels) for name, layer in edit.shared.items()}
    else:
        widths = graph.widths(after.tensors)
        merged = isinstance(edit, Channels) and edit.moved
        dense = {g: width for g, width in graph.dense.items() if g in edit.keep or not merged}
    unit = width_unit(graph.dense, step.options.get("round_to", 0 if isinstance(edit, Channels) else 1))
    floor = step.rules["floor"]
    return bool(dense) and all(
        widths[g] <= max(rounded_down(channels, step.value, 1), least_width(channels, unit, floor))
        for g, channels in dense.items()
    )


def _share(mask: Tensor) -> float:
    """The fraction that a mask removes."""
    return int((~mask).sum()) / mask.numel()


def _grain(edit: Masks) -> int:
    """How many weights go at a time: those of a kernel where every mask keeps or removes kernels whole."""
    kernels = [mask.flatten(2) for mask in edit.keep.values() if mask.dim() == 4]
    if not kernels or any(bool((k != k[:, :, :1]).any()) for k in kernels):
        return 1
    return max(k.shape[2] for k in kernels)


def calibrate(state: State, images: int, key: str, data: Dataset, device: Device) -> State:
    """The state with batch-norm statistics of ``images`` training images."""
    model = instantiate(state, device.torch)
    recalibrate(model, data, data.sample(images, torch.Generator().manual_seed(epoch_seed(key, 0))))
    return capture(model, state, state.momentum)


def latency(state: State, batch: int, data: Dataset, device: Device) -> dict[str, float]:
    """Median and interquartile range in milliseconds of a forward pass: float32, channels-last, one CPU thread."""
    model = instantiate(state, device.torch)
    repeats = -(-batch // len(data.test))
    inputs = data.normalised(data.test.pixels.repeat(repeats, 1, 1, 1)[:batch])
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            times = [_timed(model, inputs) for _ in range(WARM_UP_PASSES + TIMED_PASSES)][WARM_UP_PASSES:]
    finally:
        torch.set_num_threads(threads)
    low, median, high = quantiles(times, n=4)
    return {"median_ms": median, "iqr_ms": high - low}


def _timed(model: torch.nn.Module, inputs: Tensor) -> float:
    if inputs.device.type == "cuda":
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        start.record()
        model(inputs)
        end.record()
        torch.cuda.synchronize()
        return float(start.elapsed_time(end))
    started = time.perf_counter()
    model(inputs)
    return 1000 * (time.perf_counter() - started)
