"""Everything heavy that executing a study takes: imports, device, data, graph, plan, engine."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prunetui import events
from prunetui.config import Study
from prunetui.errors import Interrupted
from prunetui.obey import Obedience
from prunetui.plan import build_plan
from prunetui.store import Cache, Run
from prunetui.store.partial import PartialFiles
from prunetui.store.runs import CACHE
from prunetui.worker.sharing import processes

if TYPE_CHECKING:
    from prunetui.engine.run import Engine

Emit = Callable[[events.Event], None]
DATA_SECONDS = 0.25
"""How often the reading of data is told at most."""


@dataclass(frozen=True)
class Assembled:
    """An engine that is ready, and what it found of the machine."""

    engine: Engine
    device: str
    context: Mapping[str, Any]
    """What decides a study's numbers besides the study itself."""
    arithmetic: Mapping[str, Any]
    """What the check of this machine found, as plain data."""
    warning: str
    """The same in one line; empty if nothing was wrong."""
    processes: int
    """How many processes share the device."""


def assemble(run: Run, study: Study, device: str, obey: Obedience, emit: Emit, count: int | None = None) -> Assembled:
    """Make ready to execute a study in this process, one of ``count`` that share the device: as many as it asks for.

    Raises:
        PrunetuiError: the device, the data or the checkpoint is not there or does not fit.
        Interrupted: it was asked to stop.
    """
    from prunetui.engine.data import load_dataset
    from prunetui.engine.device import find_device, fit_threads, prepare
    from prunetui.engine.graph import trace
    from prunetui.engine.machine_check import check_machine
    from prunetui.engine.models import Architecture, convolutions_of
    from prunetui.engine.run import Engine

    found = replace(find_device(device), graphs=study.run.cuda_graphs)
    prepare(found)
    _check(obey)
    data = load_dataset(study.data, _data_report(obey, emit))
    model = study.model
    architecture = Architecture(model.name, data.channels, data.size, len(data.classes), model.shortcut, model.width)
    graph = trace(architecture).restricted(study.layers)
    batch_macs = graph.cost("macs", graph.dense) * study.train.batch_size
    count = count or processes(study.run.parallel, found.name, batch_macs)
    threads = fit_threads(batch_macs, count, study.run.threads)
    checked = check_machine(found, threads).of(convolutions_of(architecture))
    found = checked.apply(found)
    if graph.refused:
        names = ", ".join(graph.refused)
        emit(events.Log("info", f"channels that must stay (zero-padded shortcuts): {names}"))
    context = _context(study, data.fingerprint, found, threads, checked.ways)
    plan = build_plan(study, context, graph.units())
    _check(obey)
    engine = Engine(
        study,
        plan,
        data.to(found.torch),
        architecture,
        graph,
        found,
        Cache(run.folder.parent / CACHE),
        PartialFiles(run.partial),
        emit,
        obey,
        obey.between_steps,
    )
    return Assembled(engine, found.name, context, checked.plain(), checked.line, count)


def _check(obey: Obedience) -> None:
    if obey():
        raise Interrupted("stopped before the first step")


def _data_report(obey: Obedience, emit: Emit) -> Callable[[str, int, int], None]:
    told = {"time": 0.0}

    def report(what: str, done: int, total: int) -> None:
        _check(obey)
        now = time.monotonic()
        if now - told["time"] > DATA_SECONDS or done >= total:
            told["time"] = now
            emit(events.Progress(f"data: {what}", done, total, 0, 0, 0.0))

    return report


def _context(study: Study, fingerprint: str, device: Any, threads: int, safe: list[str]) -> Mapping[str, Any]:
    """What decides a study's numbers besides the study itself: sums on a CPU depend on how threads share them."""
    import torch

    checkpoint = study.model.checkpoint
    return {
        "images": fingerprint,
        "checkpoint": hashlib.sha256(Path(checkpoint).expanduser().read_bytes()).hexdigest() if checkpoint else None,
        "device": device.torch.type,
        "threads": threads if device.torch.type == "cpu" else None,
        "graphs": device.graphs and device.torch.type == "cuda",
        "arithmetic": [device.arithmetic(study.train.precision), device.arithmetic(study.finetune.precision)],
        "torch": torch.__version__,
        **({"safe": safe} if safe else {}),
    }
