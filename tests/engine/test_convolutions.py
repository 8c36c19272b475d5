"""Gradients of convolutions under AVX2, against float64; in processes of their own, which a fault may crash."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from prunetui.engine import convolutions
from prunetui.engine.convolutions import (
    NARROW,
    STRIDED_1X1,
    KindsUsed,
    kind_of,
    make_ordinary,
    make_safe,
    make_safe_for,
    may_be_faulty,
    safe_kinds,
)

CL = torch.channels_last


@pytest.fixture(autouse=True)
def ordinary() -> Iterator[None]:
    """Torch's own kernels before and after each test, and a processor without limits."""
    make_ordinary()
    yield
    make_ordinary()


def gradients(x: Tensor, weight: Tensor, stride: int | tuple[int, ...], padding: int, groups: int) -> list[Tensor]:
    x, weight = x.detach().clone().requires_grad_(), weight.detach().clone().requires_grad_()
    bias = torch.linspace(-1, 1, len(weight), dtype=x.dtype).requires_grad_()
    function = (F.conv1d, F.conv2d, F.conv3d)[x.dim() - 3]
    output = function(x, weight, bias, stride, padding, 1, groups)  # type: ignore[operator]
    weighted = output * torch.arange(1, 1 + output.numel(), dtype=x.dtype).view_as(output) / output.numel()
    return [output.detach(), *torch.autograd.grad(weighted.sum(), [x, weight, bias])]


@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("stride", [2, 3, (1, 2), (2, 1)])
@pytest.mark.parametrize("groups", [1, 3])
def test_a_strided_1x1_convolution_of_every_second_pixel_is_the_same_function(
    stride: int | tuple[int, int], padding: int, groups: int
) -> None:
    make_safe([STRIDED_1X1])
    torch.manual_seed(0)
    x, weight = torch.randn(2, 6, 5, 8).to(memory_format=CL), torch.randn(9, 6 // groups, 1, 1)
    found = gradients(x, weight, stride, padding, groups)
    for got, wanted in zip(found, gradients(x.double(), weight.double(), stride, padding, groups), strict=True):
        torch.testing.assert_close(got.double(), wanted, rtol=1e-5, atol=1e-5)
    assert found[1].is_contiguous(memory_format=CL)


def test_by_hand_only_the_pixels_that_are_read_have_a_gradient() -> None:
    make_safe([STRIDED_1X1])
    x, weight = torch.tensor([[[[1.0, 2, 3]]]], requires_grad=True), torch.tensor([[[[5.0]]]], requires_grad=True)
    F.conv2d(x, weight, stride=2).sum().backward()
    assert x.grad is not None
    assert weight.grad is not None
    assert x.grad.tolist() == [[[[5.0, 0.0, 5.0]]]]
    assert weight.grad.item() == 4.0  # 1 + 3


@pytest.mark.parametrize("dimensions", [1, 3])
def test_in_one_and_three_dimensions_it_is_the_same_function_too(dimensions: int) -> None:
    make_safe([STRIDED_1X1])
    torch.manual_seed(0)
    x, weight = torch.randn(2, 3, *[5] * dimensions), torch.randn(4, 3, *[1] * dimensions)
    for got, wanted in zip(gradients(x, weight, 2, 0, 1), gradients(x.double(), weight.double(), 2, 0, 1), strict=True):
        torch.testing.assert_close(got.double(), wanted, rtol=1e-5, atol=1e-5)


def test_gradients_of_single_images_and_second_derivatives_go_through_it() -> None:
    make_safe([STRIDED_1X1])
    torch.manual_seed(0)
    x, weight = torch.randn(3, 2, 4, 4), torch.randn(5, 2, 1, 1)

    def loss(weight: Tensor, image: Tensor) -> Tensor:
        return F.conv2d(image[None], weight, stride=2).square().sum()

    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(weight, x)
    pixels = x[:, :, ::2, ::2]
    wanted = 2 * torch.einsum("oc,ncp,ndp->nod", weight[..., 0, 0], pixels.flatten(2), pixels.flatten(2))
    torch.testing.assert_close(each[..., 0, 0], wanted, rtol=1e-4, atol=1e-4)
    leaf = weight.clone().requires_grad_()
    first = torch.autograd.grad(loss(leaf, x[0]), leaf, create_graph=True)[0]
    second = torch.autograd.grad(first.sum(), leaf)[0]
    columns = 2 * pixels[0].flatten(1) @ pixels[0].flatten(1).T
    torch.testing.assert_close(second[..., 0, 0], columns.sum(0).expand(5, 2), rtol=1e-4, atol=1e-4)


def test_other_kinds_are_computed_without_onednn_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []
    original = convolutions._original

    def spy(name: str, arguments: tuple[object, ...], onednn: bool = True) -> object:
        seen.append(onednn)
        return original(name, arguments, onednn)

    monkeypatch.setattr(convolutions, "_original", spy)
    make_safe(["convolution"])
    for kernel, groups in ((3, 1), (3, 2), (1, 1)):
        F.conv2d(torch.zeros(1, 2, 4, 4), torch.zeros(2, 2 // groups, kernel, kernel), groups=groups)
    assert seen == [False, True, True]


def test_without_onednn_a_convolution_is_the_same_function() -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(2, 3, 5, 6).to(memory_format=CL), torch.randn(4, 3, 3, 3)
    wanted = gradients(x.double(), weight.double(), 2, 1, 1)
    make_safe(["strided convolution"])
    for got, one in zip(gradients(x, weight, 2, 1, 1), wanted, strict=True):
        torch.testing.assert_close(got.double(), one, rtol=1e-5, atol=1e-5)
    assert torch.backends.mkldnn.enabled


@pytest.mark.parametrize(
    ("layer", "kind"),
    [
        (nn.Conv2d(2, 4, 1), "1x1 convolution"),
        (nn.Conv2d(2, 4, 1, (1, 2)), STRIDED_1X1),
        (nn.Conv2d(2, 4, 1, 2, groups=2), STRIDED_1X1),
        (nn.Conv2d(2, 4, 3), "convolution"),
        (nn.Conv2d(2, 4, (1, 3), 2), "strided convolution"),
        (nn.Conv2d(2, 4, 3, 2, groups=2), "depthwise convolution"),
        (nn.Conv2d(4, 4, 3, groups=2), "grouped convolution"),
        (nn.Conv2d(2, 4, 3, dilation=2), "dilated convolution"),
        (nn.Conv1d(2, 4, 1, 3), STRIDED_1X1),
    ],
)
def test_every_convolution_has_a_kind(layer: nn.Conv2d, kind: str) -> None:
    x = torch.zeros(1, layer.in_channels, *[5] * len(layer.stride))
    assert kind_of(x.shape, layer.weight.shape, layer.stride, layer.dilation, False, layer.groups) == kind
    with KindsUsed() as used:
        layer(x)
    assert used.kinds == {kind}


def test_kinds_in_use_are_those_of_functional_calls_too_and_depend_on_the_size() -> None:
    weight = torch.zeros(2, 3, 3, 3)
    with KindsUsed() as used, torch.no_grad():
        F.conv2d(torch.zeros(1, 3, 8, 8), weight, stride=2, padding=1)
        F.conv2d(torch.zeros(1, 3, 8, 2), weight, stride=2, padding=1)
    assert used.kinds == {"strided convolution", NARROW}


@pytest.mark.parametrize(
    ("limit", "faulty"),
    [("AVX2", True), ("avx2_vnni", True), ("SSE41", True), ("AVX512_CORE", False), ("ALL", False), ("", False)],
)
def test_the_known_fault_is_expected_where_onednn_may_not_use_avx512(
    monkeypatch: pytest.MonkeyPatch, limit: str, faulty: bool
) -> None:
    monkeypatch.delenv("DNNL_MAX_CPU_ISA", raising=False)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    assert may_be_faulty() == faulty
    make_safe_for(nn.Conv2d(3, 4, 1, 2))
    assert safe_kinds() == ((STRIDED_1X1,) if faulty else ())


class Functional(nn.Module):
    """A strided 1x1 convolution that is no module."""

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, torch.ones(2, 3, 1, 1), stride=2)


@pytest.mark.parametrize(
    ("net", "safe"),
    [
        (nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.Conv2d(4, 4, 1)), ()),
        (nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.Conv2d(4, 4, 1, (1, 2))), (STRIDED_1X1,)),
        (nn.ConvTranspose2d(3, 4, 1, 2), ()),
        (nn.Conv1d(3, 4, 1, 2), (STRIDED_1X1,)),
        (Functional(), (STRIDED_1X1,)),
    ],
)
def test_only_networks_with_such_a_layer_leave_torchs_own_kernels(
    monkeypatch: pytest.MonkeyPatch, net: nn.Module, safe: tuple[str, ...]
) -> None:
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    x = torch.zeros(1, 3, 8) if isinstance(net, nn.Conv1d) else torch.zeros(1, 3, 8, 8)
    make_safe_for(net, lambda: net(x))
    assert safe_kinds() == safe


def test_without_avx512_the_known_fault_is_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    assert may_be_faulty()


TRAIN = """
import sys, torch
from torch import nn
from prunetui.engine.data import load_dataset
from prunetui.engine.device import Device
from prunetui.engine.training_loop import train
from prunetui.engine.train_job import Hooks, TrainJob, TrainState
from prunetui.tasks.classification import Classification
from prunetui.config import DataTable, Recipe
torch.set_num_threads(int(sys.argv[1]))
torch.manual_seed(0)
data = load_dataset(DataTable(limit=200))
class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(1, 5, 1, 2, bias=False), nn.Conv2d(5, 9, 1, (1, 2))
        self.c, self.d = nn.Parameter(torch.randn(7, 9, 1, 1) / 3), nn.Linear(7, 10)
    def forward(self, x):
        x = nn.functional.conv2d(self.b(self.a(x)), self.c, stride=2)
        return self.d(x.mean((2, 3)))
net = Own().to(memory_format=torch.channels_last)
job = TrainJob(Recipe(epochs=2, batch_size=16), "k")
cpu = Device(torch.device("cpu"), False)
hooks = Hooks(lambda r: None, lambda e, b: None, lambda: False)
train(net, Classification(), data, job, TrainState(), cpu, hooks)
inputs, labels = data.normalised(data.train.pixels[:32]), data.train.labels[:32]
def grads(net, inputs):
    loss = nn.functional.cross_entropy(net(inputs), labels)
    return torch.autograd.grad(loss, list(net.parameters()))
found = grads(net, inputs)
wanted = grads(net.double(), inputs.double().contiguous())
print(max(float((g.double() - w).norm() / w.norm()) for g, w in zip(found, wanted)))
"""


@pytest.mark.parametrize("threads", ["1", "2"])
def test_any_network_trains_with_right_gradients_under_avx2(threads: str) -> None:
    """Modules and functional calls: with torch's own kernels this process aborts, or the gradients are off by half."""
    preload = {"GLIBC_TUNABLES": "glibc.malloc.check=3", "LD_PRELOAD": "libc_malloc_debug.so.0"}
    environment = {**os.environ, **preload, "ONEDNN_MAX_CPU_ISA": "AVX2", "OMP_NUM_THREADS": threads}
    done = subprocess.run(
        [sys.executable, "-c", TRAIN, threads],
        env=environment, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 1e-4


def test_replaced_kernels_leave_exported_programs_alone() -> None:
    make_safe([STRIDED_1X1])
    net = nn.Conv2d(3, 4, 1, 2).eval()
    names = list(net.state_dict())
    program = torch.export.export(net, (torch.zeros(1, 3, 4, 4),))
    calls = [str(node.target) for node in program.graph.nodes if node.op == "call_function"]
    assert names == ["weight", "bias"]
    assert calls == ["aten.conv2d.default"]
