"""Set up the engine of a study in this process: device, data, network, plan. Imports torch when it is called."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from prunetui import events
from prunetui.config import Study
from prunetui.config.choices import contributions_of
from prunetui.errors import Interrupted
from prunetui.execute.executor import ExecutionContext, Prepared
from prunetui.execute.process_count import process_count
from prunetui.execute.run_control import RunControl
from prunetui.machine import device_name
from prunetui.plan import build_plan
from prunetui.plugins.own_files import copies_used
from prunetui.store import Cache
from prunetui.store.partial_files import PartialFiles
from prunetui.store.run_list import CACHE

if TYPE_CHECKING:
    from prunetui.api import Task
    from prunetui.engine.data import LoadedSource
    from prunetui.engine.device import Device
    from prunetui.engine.graph import Graph
    from prunetui.engine.machine_check import MachineCheck
    from prunetui.engine.models import Architecture
    from prunetui.engine.run import Engine

MOST_SHOWN = 5
"""Layers whose channels stay that a line names."""
DATA_SECONDS = 0.25
"""How often the reading of data is reported at most."""


def set_up_engine(context: ExecutionContext, parallel: int | None = None) -> tuple[Engine, Prepared]:
    """An engine for the study in this process, one of ``parallel`` that share the device; None lets the study decide.

    Raises:
        PrunetuiError: the device, the data or the checkpoint is not there or does not fit.
        Interrupted: it was asked to stop.
    """
    from prunetui.engine.device import find_device, fit_threads, prepare
    from prunetui.engine.models import convolutions_of

    study = context.study
    device = replace(find_device(context.device), graphs=study.run.cuda_graphs)
    prepare(device)
    _check_stop(context.control)
    task, source, architecture, graph = _task_data_and_network(context)
    batch_macs = graph.cost("macs", graph.dense) * study.train.batch_size
    parallel = parallel or process_count(study.run.parallel, device.name, batch_macs)
    threads = fit_threads(batch_macs, parallel, context.threads or study.run.threads)
    example = task.inputs(source.example())
    device, checked = _checked_device(context, device, convolutions_of(architecture, example), threads)
    for level, line in _lines_of(graph):
        context.emit(events.Log(level, line))
    conditions = _conditions(study, source.fingerprint, graph, device, threads, checked.ways)
    engine = _engine(context, conditions, task, source, architecture, graph, device)
    machine = {"device_name": device_name(device.name), "threads": threads, "arithmetic": dict(checked.plain())}
    return engine, _prepared(engine, conditions, parallel, machine)


def _task_data_and_network(context: ExecutionContext) -> tuple[Task, LoadedSource, Architecture, Graph]:
    from prunetui.engine.data import Wanted, load_source, network_shape
    from prunetui.engine.load_task import check_recipes, load_task
    from prunetui.engine.models.library_weights import checkpoint_file
    from prunetui.engine.models.own_network import check_network, given_to_factory
    from prunetui.engine.models.start import architecture_of, channels_of, checkpoint_of, start_from
    from prunetui.engine.trace_network import trace

    study, model = context.study, context.study.model
    for line in copies_used(contributions_of(study)):
        context.emit(events.Log("warning", line))
    task = load_task(study.task.name, study.task.options)
    check_recipes(task, study)
    checkpoint = checkpoint_of(model)
    wanted = Wanted(channels=channels_of(checkpoint.tensors, model) if checkpoint else None)
    processes = process_count(study.run.parallel, context.device, 0)
    source = load_source(study.data, _data_progress(context), _notes(context), wanted, processes)
    shape, example = network_shape(task, source), task.inputs(source.example())
    if checkpoint and model.checkpoint:
        start = start_from(checkpoint, checkpoint_file(model), model, *shape)
        architecture = start.architecture
        for note in start.notes:
            context.emit(events.Log("info", note))
        if study.train.epochs:
            message = f"[train] epochs = {study.train.epochs} asked for: the checkpoint is trained on"
            context.emit(events.Log("info", message))
    else:
        architecture = architecture_of(model, *shape)
    if given := given_to_factory(architecture):
        context.emit(events.Log("info", given))
    for line in check_network(architecture, task, example):
        context.emit(events.Log("info", line))
    graph = trace(architecture, example).restricted(study.layers)
    graph.check_methods(study.methods)
    return task, source, architecture, graph


def _lines_of(graph: Graph) -> Iterator[tuple[Literal["info", "warning"], str]]:
    """What is to be said of a graph, and how loud."""
    from prunetui.engine.trace_network import CUT_SHORT, told_of

    if graph.cut_short:
        yield "warning", f"{CUT_SHORT}; figures are then others, and are kept apart"
    yield from (("info", line) for line in (_what_stays(graph), *told_of(graph)) if line)


def _what_stays(graph: Graph) -> str:
    """Which channels cannot go, and why; empty where all can."""
    from prunetui.engine.trace_network import WHOLE

    if whole := graph.kept.get(WHOLE):
        return f"no channels can be removed, single weights can: {whole}"
    if not graph.refused:
        return ""
    if graph.attributes is None:
        return f"channels that must stay (zero-padded shortcuts): {', '.join(graph.refused)}"
    shown = [
        f"{name} ({graph.kept.get(f'{name}.weight[0]', 'coupled with channels that stay')})" for name in graph.refused
    ]
    more = f", and {len(shown) - MOST_SHOWN} more" if len(shown) > MOST_SHOWN else ""
    return f"channels that must stay: {', '.join(shown[:MOST_SHOWN])}{more}"


def _checked_device(
    context: ExecutionContext, device: Device, convolutions: frozenset[str], threads: int
) -> tuple[Device, MachineCheck]:
    """The device with the safe ways of computing that this machine needs for these kinds of convolutions."""
    from prunetui.engine.machine_check import check_machine

    checked = check_machine(device, threads).of(convolutions)
    if checked.line:
        context.emit(events.Log("warning", checked.line))
    return checked.apply(device), checked


def _engine(
    context: ExecutionContext,
    conditions: Mapping[str, Any],
    task: Task,
    source: LoadedSource,
    architecture: Architecture,
    graph: Graph,
    device: Device,
) -> Engine:
    from prunetui.engine.run import Engine

    def warn(line: str) -> None:
        context.emit(events.Log("warning", line))

    plan = build_plan(context.study, conditions, graph.units())
    _check_stop(context.control)
    return Engine(
        context.study,
        plan,
        source.to(device.torch),
        task,
        architecture,
        graph,
        device,
        Cache(context.run.folder.parent / CACHE, warn),
        PartialFiles(context.run.partial, warn),
        context.emit,
        context.control,
        context.control.between_steps,
    )


def _prepared(engine: Engine, conditions: Mapping[str, Any], parallel: int, machine: Mapping[str, Any]) -> Prepared:
    from prunetui.engine.latency_timing import timer

    return Prepared(
        plan=engine.plan,
        device=engine.device.name,
        conditions=conditions,
        parallel=parallel,
        images=engine.images(),
        timer=timer(engine.device),
        machine=machine,
        metrics=engine.task.table,
    )


def _check_stop(control: RunControl) -> None:
    if control():
        raise Interrupted("stopped before the first step")


def _notes(context: ExecutionContext) -> Callable[[str, str], None]:
    """Notes on the data go to the run's events, as log lines."""
    return lambda level, line: context.emit(events.Log(level, line))


def _data_progress(context: ExecutionContext) -> Callable[[str, int, int], None]:
    last_report = 0.0

    def report(what: str, done: int, total: int) -> None:
        nonlocal last_report
        _check_stop(context.control)
        now = time.monotonic()
        if now - last_report > DATA_SECONDS or done >= total:
            last_report = now
            context.emit(events.Progress(f"data: {what}", done, total, 0, 0, 0.0))

    return report


def _conditions(
    study: Study, fingerprint: str, graph: Graph, device: Device, threads: int, safe: Sequence[str]
) -> Mapping[str, Any]:
    """What decides a study's numbers besides the study itself: sums on a CPU depend on how threads share them."""
    import torch

    from prunetui.engine.models.library_weights import checkpoint_file

    checkpoint = checkpoint_file(study.model) if study.model.checkpoint else None
    return {
        "images": fingerprint,
        "checkpoint": hashlib.sha256(checkpoint.read_bytes()).hexdigest() if checkpoint else None,
        "device": device.torch.type,
        "threads": threads if device.torch.type == "cpu" else None,
        "graphs": device.graphs and device.torch.type == "cuda",
        "arithmetic": [device.arithmetic(study.train.precision), device.arithmetic(study.finetune.precision)],
        "torch": str(torch.__version__),  # as its own class it would bring torch to the run's own process
        **({"safe": safe} if safe else {}),
        **({"channels": [[g.name, g.width] for g in graph.groups]} if graph.cut_short else {}),
    }
