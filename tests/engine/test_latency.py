"""Latency: what is timed computes the same, and the figures are those of the passes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from prunetui.api import Modules, Shared
from prunetui.engine import latency_timing as module
from prunetui.engine.data import Dataset, Images
from prunetui.engine.device import Device, find_device
from prunetui.engine.edits import apply, remove_channels
from prunetui.engine.graph import Graph
from prunetui.engine.latency_timing import FEWEST_PASSES, MOST_PASSES, fastest_kernels, latency, onnx_passes, timed
from prunetui.engine.models import Architecture
from prunetui.engine.state import State, instantiate
from prunetui.engine.step_context import StepContext
from prunetui.errors import Interrupted
from prunetui.tasks.classification import Classification

CPU = Device(torch.device("cpu"), False)
TASK = Classification()
NET = Architecture("resnet20", 1, 8, 10, "B", width=4)


@pytest.fixture
def data() -> Dataset:
    """Three images: fewer than a batch of 128."""
    images = Images(torch.randint(0, 256, (3, 1, 8, 8), dtype=torch.uint8), torch.tensor([0, 1, 2]))
    return Dataset(
        name="noise", classes=tuple("abcdefghij"), train=images, validation=images, test=images,
        mean=(0.5,), std=(0.25,), augment="none", fingerprint="",
    )  # fmt: skip


def nothing() -> None:
    """A pass."""


# Clocks -----------------------------------------------------------------------------------------------


def test_the_figures_are_median_and_interquartile_range_of_the_passes_after_the_first() -> None:
    ticks = iter([900.0, 1.0, 9.0, 3.0, 2.0, 4.0])
    assert timed(nothing, lambda run: next(ticks), seconds=0) == (3.0, 6.5 - 1.5)  # quartiles of 1 2 3 4 9


def test_quick_passes_are_repeated_only_so_often() -> None:
    times: list[float] = []
    timed(nothing, lambda run: times.append(1.0) or 1.0, seconds=60)
    assert len(times) == 2 * MOST_PASSES  # those to warm up, and those that count


def test_slow_passes_are_few() -> None:
    times: list[float] = []
    timed(nothing, lambda run: times.append(1.0) or 1.0, seconds=0)
    assert len(times) == 1 + FEWEST_PASSES


def test_the_wish_to_stop_is_heard_between_passes() -> None:
    asked = iter([False, False, True])
    done: list[int] = []
    with pytest.raises(Interrupted):
        timed(lambda: done.append(1), lambda run: run() or 1.0, lambda: next(asked), seconds=0)
    assert len(done) == 2


# What is timed ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "net",
    [
        NET,
        Architecture("resnet20", 3, 32, 10, "A", width=4),
        Architecture("resnet18", 3, 8, 10, "B", width=4),
        Architecture("resnet50", 1, 8, 10, "B", width=4),
        Architecture("vgg11", 3, 32, 10, "B", width=4),
    ],
    ids=lambda net: f"{net.name}-{net.shortcut}",
)
@pytest.mark.parametrize("narrow", [False, True])
def test_onnx_runtime_computes_what_torch_does(
    net: Architecture, narrow: bool, lively: Callable[..., State], graph_of: Callable[[Architecture], Graph]
) -> None:
    state = lively(net)
    if narrow:
        graph = graph_of(net)
        keep = {group.name: torch.arange(group.width) % 2 == 0 for group in graph.groups}
        state = remove_channels(keep, state, graph)
    assert_same(state, torch.randn(5, net.channels, net.size, net.size))


def test_shared_filters_are_timed_as_they_are_computed(
    lively: Callable[..., State], graph_of: Callable[[Architecture], Graph]
) -> None:
    dense = lively(NET)
    weight = dense.tensors["layer1.0.conv1.weight"]
    shared = Modules({"layer1.0.conv1": Shared(weight[:2].clone(), torch.tensor([0, 1, 1, 0]))})
    assert_same(apply(shared, dense, graph_of(NET)), torch.randn(5, 1, 8, 8))


def assert_same(state: State, images: Tensor) -> None:
    """Traced with one image, run with others and more of them."""
    model = instantiate(state, torch.device("cpu"))
    ready = onnx_passes(model, images[:1])
    with torch.inference_mode():
        wanted = model(images)
    got = torch.as_tensor(ready(images)()[0])
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4 * float(wanted.abs().max()))


def test_a_trial_is_timed_with_one_image_and_with_128(lively: Callable[..., State], data: Dataset) -> None:
    found = latency(lively(NET), (1, 128), data, TASK, CPU)
    assert list(found) == ["runtime", "latency_ms", "latency_iqr_ms", "latency128_ms", "latency128_iqr_ms"]
    assert found["runtime"].startswith("onnxruntime ")
    assert 0 < found["latency_ms"] < found["latency128_ms"]


def test_without_onnx_runtime_torch_is_timed_and_says_so(
    lively: Callable[..., State], data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    found = latency(lively(NET), (1,), data, TASK, CPU)
    assert found["runtime"] == f"torch {torch.__version__} (without onnxruntime)"
    assert found["latency_ms"] > 0


def test_a_runtime_that_computes_something_else_is_not_timed(
    lively: Callable[..., State], data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(model: object, example: Tensor) -> Callable[[Tensor], Callable[[], list[Tensor]]]:
        return lambda images: lambda: [torch.full((len(images), 10), 7.0)]

    monkeypatch.setattr(module, "onnx_passes", wrong)
    found = latency(lively(NET), (1,), data, TASK, CPU)
    assert found["runtime"] == f"torch {torch.__version__} (ValueError: ONNX Runtime computes something else)"


def test_gpu_kernels_are_cudnns_fastest_and_the_settings_come_back() -> None:
    def settings() -> tuple[bool, ...]:
        cudnn = torch.backends.cudnn
        strict = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
        return cudnn.enabled, cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32, *strict

    before = settings()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with fastest_kernels():
            assert settings() == (True, True, False, False, False, False)
        assert settings() == (*before[:4], True, True)
    finally:
        torch.use_deterministic_algorithms(before[4], warn_only=before[5])


def test_stopping_ends_the_measurement(lively: Callable[..., State], data: Dataset) -> None:
    with pytest.raises(Interrupted):
        latency(lively(NET), (1,), data, TASK, CPU, lambda: True)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu_both_are_timed(lively: Callable[..., State], data: Dataset) -> None:
    device = find_device("cuda")
    found = latency(lively(NET), (1, 128), data.to(device.torch), TASK, device)
    assert set(found) == {"runtime"} | {
        f"latency{batch}{where}{figure}_ms" for batch in ("", 128) for where in ("", "_cuda") for figure in ("", "_iqr")
    }
    assert found["latency_cuda_ms"] > 0


def test_a_published_network_is_timed_with_its_own_outputs(
    context: Callable[..., StepContext], graph_of: Callable[[Architecture], Graph]
) -> None:
    """Zero-padded shortcuts, real weights."""
    folder = os.environ.get("PRUNETUI_TEST_DATA")
    path = Path(folder or "") / "resnet20-12fca82f.th"
    if not folder or not path.is_file():
        pytest.skip("PRUNETUI_TEST_DATA does not hold the checkpoint")
    from prunetui.config import ModelTable
    from prunetui.steps import Checkpoint

    net = Architecture("resnet20", 3, 32, 10, "A", width=16)
    model = ModelTable(name="resnet20", checkpoint=str(path), shortcut="A")
    state = Checkpoint().apply(context(graph_of(net), architecture=net, model=model))
    assert_same(state, torch.randn(5, 3, 32, 32))
