"""Latency of a forward pass: ONNX Runtime on one CPU thread, and on a GPU torch as it is.

Medians and interquartile ranges after a warm-up. Timed are passes alone: images lie ready,
normalised, where the pass takes place.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from operator import itemgetter
from statistics import quantiles
from typing import Any

import torch
from torch import Tensor, nn

from prunetui.api import Source, Task, logits_of
from prunetui.api.source import called, count_of, mapped
from prunetui.engine.device import Device
from prunetui.engine.evaluation import never
from prunetui.engine.onnx import PIXELS, onnx_bytes
from prunetui.engine.state import State, instantiate
from prunetui.errors import Interrupted
from prunetui.machine import device_name, versions

FEWEST_PASSES, MOST_PASSES = 5, 100
SECONDS, WARM_UP_SECONDS = 0.25, 0.05
"""Passes go on until they took as long: a study has hundreds of trials, and a pass takes from 0.1 ms to 2 s."""
TOLERANCE = 1e-3
"""Largest difference of logits from torch's, relative to the largest logit."""
CHECKED = 4

Pass = Callable[[], object]


def latency(
    state: State,
    batches: Sequence[int],
    source: Source,
    task: Task,
    device: Device,
    should_stop: Callable[[], bool] = never,
) -> dict[str, Any]:
    """Milliseconds a pass by column of results.csv, and ``runtime``: what the CPU's were timed with.

    Columns are ``latency[BATCH][_cuda]_ms`` and ``..._iqr_ms``, without BATCH for one image; those of ``cuda`` only
    where the run computes there. float32 on the CPU; eager bfloat16, channels-last, by CUDA events on the GPU, with the
    fastest kernels that cuDNN finds.

    Raises:
        Interrupted: ``should_stop`` said so, at the latest after one pass.
    """
    inputs = _inputs(source, task, max(batches))
    runtime, ready = _cpu_runtime(instantiate(state, torch.device("cpu")), inputs)
    found: dict[str, Any] = {"runtime": runtime}
    with _one_thread():
        for batch in batches:
            found |= _columns(batch, "", timed(ready(_first(inputs, batch)), _clock, should_stop))
    if device.torch.type == "cuda":
        ready = _eager(instantiate(state, device.torch), device.torch, torch.bfloat16)
        with fastest_kernels():
            for batch in batches:
                found |= _columns(batch, "_cuda", timed(ready(_first(inputs, batch)), _cuda_clock, should_stop))
    return found


def timer(device: Device) -> dict[str, str]:
    """Where and with what is timed here: a latency of another machine or runtime is another figure."""
    gpu = {"gpu": device_name(device.name)} if device.torch.type == "cuda" else {}
    return {"onnxruntime": versions()["onnxruntime"], "processor": device_name("cpu"), **gpu}


def _columns(batch: int, where: str, figures: tuple[float, float]) -> dict[str, float]:
    name = f"latency{batch if batch > 1 else ''}{where}"
    return {f"{name}_ms": figures[0], f"{name}_iqr_ms": figures[1]}


def _inputs(source: Source, task: Task, count: int) -> Any:
    """Inputs of ``count`` test examples on the CPU; those of the first batch repeated where there are fewer."""
    inputs = task.inputs(next(source.batches("test", count)))
    repeats = -(-count // count_of(inputs))
    repeated = mapped(inputs, lambda tensor: tensor.repeat(repeats, *[1] * (tensor.dim() - 1)).cpu())
    return mapped(_first(repeated, count), Tensor.contiguous)


def _first(inputs: Any, count: int) -> Any:
    return mapped(inputs, itemgetter(slice(count)))


# Runtimes: each gives, for inputs, the pass that is timed ----------------------------------------------


def _cpu_runtime(model: nn.Module, inputs: Any) -> tuple[str, Callable[[Any], Pass]]:
    """ONNX Runtime; torch, and why, where the network cannot run there or computes something else."""
    try:
        import onnxruntime

        if not isinstance(inputs, Tensor):
            raise TypeError("several inputs")
        ready = onnx_passes(model, inputs[:1])
        _check(ready, model, inputs[:CHECKED])
    except Exception as error:  # noqa: BLE001 - the exporter and the runtime have an error class for each way to fail
        told = f"{type(error).__name__}: {error}".splitlines()[0][:120]
        why = f"without {error.name}" if isinstance(error, ImportError) else told
        return f"torch {torch.__version__} ({why})", _eager(model, torch.device("cpu"), torch.float32)
    return f"onnxruntime {onnxruntime.__version__}", ready


def _check(ready: Callable[[Tensor], Callable[[], Any]], model: nn.Module, images: Tensor) -> None:
    with torch.inference_mode():
        wanted, got = logits_of(model(images)), torch.as_tensor(ready(images)()[0])
    if not torch.allclose(got, wanted, rtol=0, atol=TOLERANCE * float(wanted.abs().max()), equal_nan=True):
        raise ValueError("ONNX Runtime computes something else")


def onnx_passes(model: nn.Module, example: Tensor) -> Callable[[Tensor], Callable[[], Any]]:
    """Passes of a network in ONNX Runtime on one CPU thread; each gives a list with the logits as an array."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    content = onnx_bytes(model, example)
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return lambda images: partial(session.run, None, {PIXELS: images.numpy()})


def _eager(model: nn.Module, device: torch.device, dtype: torch.dtype) -> Callable[[Any], Pass]:
    model = model.to(dtype)

    def placed(tensor: Tensor) -> Tensor:
        kind = dtype if tensor.is_floating_point() else tensor.dtype
        layout = torch.channels_last if tensor.dim() == 4 else torch.preserve_format
        return tensor.to(device, kind, memory_format=layout)

    def ready(inputs: Any) -> Pass:
        there = mapped(inputs, placed)

        def run() -> object:
            with torch.inference_mode():
                return called(model, there)

        return run

    return ready


# Clocks -----------------------------------------------------------------------------------------------


def timed(
    run: Pass, clock: Callable[[Pass], float], should_stop: Callable[[], bool] = never, seconds: float = SECONDS
) -> tuple[float, float]:
    """Median and interquartile range of what ``clock`` says of passes, in its unit, after a warm-up."""
    _until(run, clock, 1, min(seconds, WARM_UP_SECONDS), should_stop)
    low, median, high = quantiles(_until(run, clock, FEWEST_PASSES, seconds, should_stop), n=4)
    return median, high - low


def _until(
    run: Pass, clock: Callable[[Pass], float], fewest: int, seconds: float, should_stop: Callable[[], bool]
) -> list[float]:
    """Times of at least ``fewest`` passes, and of more until ``seconds`` are over or there are enough."""
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < fewest or (len(times) < MOST_PASSES and time.perf_counter() < end):
        if should_stop():
            raise Interrupted("stopped while timing")
        times.append(clock(run))
    return times


def _clock(run: Pass) -> float:
    """Processor time of this thread, the only one that computes: what others take from a busy core is not counted.

    On an idle machine it is the time that passes; on one with twice as many processes as cores that was 1.7 times as
    much, and five times as spread.
    """
    started = time.thread_time()
    run()
    return 1000 * (time.thread_time() - started)


def _cuda_clock(run: Pass) -> float:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    start.record()
    run()
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end))


@contextmanager
def fastest_kernels() -> Iterator[None]:
    """cuDNN with the kernels that it measures to be the fastest, repeatable or not, as a deployed network has them."""
    strict, warn_only = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    torch.use_deterministic_algorithms(False)
    try:
        # Each flag is named: those that are not go to their defaults, and ``enabled`` would be off.
        with torch.backends.cudnn.flags(enabled=True, benchmark=True, deterministic=False, allow_tf32=False):
            yield
    finally:
        torch.use_deterministic_algorithms(strict, warn_only=warn_only)


@contextmanager
def _one_thread() -> Iterator[None]:
    """For the eager fallback; ONNX Runtime is told by its session."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
