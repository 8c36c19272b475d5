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
from prunetui.execute.messages import Prepared
from prunetui.execute.run_control import Obedience
from prunetui.execute.sharing import processes
from prunetui.files.paths import user_path
from prunetui.machine import device_name
from prunetui.plan import build_plan
from prunetui.store import Cache, Run
from prunetui.store.partial import PartialFiles
from prunetui.store.runs import CACHE

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
    processes: int
    """How many processes share the device."""
    threads: int
    """CPU threads of this process."""

    def prepared(self) -> Prepared:
        """What the process that owns the run has to know of this one."""
        from prunetui.engine.latency import timer

        engine = self.engine
        return Prepared(
            plan=engine.plan,
            device=self.device,
            context=self.context,
            processes=self.processes,
            images=engine.images(),
            timer=timer(engine.device),
            machine={
                "device_name": device_name(self.device),
                "threads": self.threads,
                "arithmetic": dict(self.arithmetic),
            },
        )


def assemble(
    run: Run,
    study: Study,
    device: str,
    obey: Obedience,
    emit: Emit,
    count: int | None = None,
    threads: int | None = None,
) -> Assembled:
    """Make ready to execute a study in this process.

    It is one of ``count`` that share the device, and computes in so many ``threads``; where they are None, as many as
    the study asks for.

    Raises:
        PrunetuiError: the device, the data or the checkpoint is not there or does not fit.
        Interrupted: it was asked to stop.
    """
    from prunetui.engine.data import Wanted, load_dataset
    from prunetui.engine.device import find_device, fit_threads, prepare
    from prunetui.engine.graph import trace
    from prunetui.engine.machine_check import check_machine
    from prunetui.engine.models import convolutions_of
    from prunetui.engine.models.start import architecture_of, channels_of, checkpoint_of, start_from
    from prunetui.engine.run import Engine

    found = replace(find_device(device), graphs=study.run.cuda_graphs)
    prepare(found)
    _check(obey)
    read = checkpoint_of(study.model)
    wanted = Wanted(channels=channels_of(read.tensors, study.model) if read else None)
    data = load_dataset(study.data, _data_report(obey, emit), _notes(emit), wanted)
    model = study.model
    shape = (data.channels, data.size, len(data.classes))
    start = start_from(read, user_path(model.checkpoint), model, *shape) if read and model.checkpoint else None
    for note in start.notes if start else ():
        emit(events.Log("info", note))
    if start and study.train.epochs:
        emit(events.Log("info", f"[train] epochs = {study.train.epochs} asked for: the checkpoint is trained on"))
    architecture = start.architecture if start else architecture_of(model, *shape)
    graph = trace(architecture).restricted(study.layers)
    batch_macs = graph.cost("macs", graph.dense) * study.train.batch_size
    count = count or processes(study.run.parallel, found.name, batch_macs)
    threads = fit_threads(batch_macs, count, threads or study.run.threads)
    checked = check_machine(found, threads).of(convolutions_of(architecture))
    found = checked.apply(found)
    if checked.line:
        emit(events.Log("warning", checked.line))
    if graph.refused:
        names = ", ".join(graph.refused)
        emit(events.Log("info", f"channels that must stay (zero-padded shortcuts): {names}"))

    def tell(line: str) -> None:
        emit(events.Log("warning", line))

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
        Cache(run.folder.parent / CACHE, tell),
        PartialFiles(run.partial, tell),
        emit,
        obey,
        obey.between_steps,
    )
    return Assembled(engine, found.name, context, checked.plain(), count, threads)


def _check(obey: Obedience) -> None:
    if obey():
        raise Interrupted("stopped before the first step")


def _notes(emit: Emit) -> Callable[[str, str], None]:
    """What is to be said of the data, as lines of the log."""
    return lambda level, line: emit(events.Log(level, line))


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
