"""What holds of every well-known network: traced or refused in words, pruned by its multiply-accumulates, right, saved.

Those that take seconds run with ``-m slow``. docs/networks.md has the table: ``python -m benchmarks.architectures``.
"""

from __future__ import annotations

import json
import struct
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks._architectures import NETWORKS, Network
from benchmarks.architectures import CPU, SHARES, Examined
from prunetui.api.source import called, mapped, tensors_in
from prunetui.cli.export_prepared import computed, content_of
from prunetui.engine.count import count
from prunetui.engine.loading import attributes_of
from prunetui.engine.models import Architecture
from prunetui.engine.state import State, instantiate, model_bytes
from prunetui.engine.trace_network import WHOLE
from prunetui.engine.tracing.output_tensors import difference
from prunetui.engine.verify_edit import achieved
from prunetui.errors import TrialError, UsageError

LESS: dict[str, float] = {}
"""Networks of which so many multiply-accumulates cannot go, and the largest share that can."""

every = pytest.mark.parametrize(
    "network",
    [pytest.param(one, marks=() if one.cheap else (pytest.mark.slow,), id=one.short) for one in NETWORKS],
)
pytestmark = [
    pytest.mark.timeout(1200),
    pytest.mark.filterwarnings("ignore"),  # of the libraries' own code
]


@lru_cache(maxsize=2)
def examined(network: Network) -> Examined:
    if network.needs and find_spec(network.needs) is None:
        pytest.skip(f"{network.needs} is not installed")
    return Examined.of(network)


def macs_as_torch_counts(model: nn.Module, example: Any) -> int:
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH), torch.no_grad():
        called(model.eval(), example)
    return int(counter.get_total_flops()) // 2


@every
def test_it_is_traced_and_what_stays_says_why(network: Network) -> None:
    one = examined(network)
    assert WHOLE not in one.graph.kept
    assert one.graph.groups
    assert all(one.graph.kept.values())
    assert one.graph.fixed_macs == 0


@every
def test_its_parameters_and_multiply_accumulates_are_those_that_torch_counts(network: Network) -> None:
    one = examined(network)
    model = instantiate(one.state, CPU)
    assert one.graph.cost("params", one.graph.dense) == sum(p.numel() for p in model.parameters())
    wanted = macs_as_torch_counts(model, network.example())
    assert one.graph.cost("macs", one.graph.dense) == pytest.approx(wanted, rel=1e-3)
    assert count(model, network.example()).macs == pytest.approx(wanted, rel=1e-3)


@every
@pytest.mark.parametrize("share", SHARES)
def test_a_share_of_its_multiply_accumulates_is_removed(network: Network, share: float) -> None:
    one = examined(network)
    most = LESS.get(network.short, 1.0)
    if share > most:
        with pytest.raises(TrialError, match=r"cannot remove .*: the nearest is"):
            one.pruned(share)
        return
    after, keep = one.pruned(share)  # removal is compared with silencing there
    assert achieved("macs", after, one.graph) == pytest.approx(share, abs=0.01)
    model = instantiate(after, CPU)
    widths = {group.name: int(keep[group.name].sum()) for group in one.graph.groups}
    counted = count(model, network.example())
    assert one.graph.cost("macs", widths) == counted.macs
    assert counted.macs == pytest.approx(macs_as_torch_counts(model, network.example()), rel=1e-3)
    assert one.graph.cost("params", widths) == counted.params == sum(p.numel() for p in model.parameters())
    _is_trained(model, network)
    _is_the_same_when_read(after, network)


NOT_IN: dict[str, set[str]] = {
    "pt2": set(),
    # A pool to 7 x 7 places of 2 x 2, at these 64 pixels; and windows that torch's exporter cannot follow.
    "onnx": {"torchvision:vgg11_bn", "torchvision.models.swin_transformer:SwinTransformer"},
}
"""Networks that torch exports not in this format."""


@every
@pytest.mark.parametrize("kind", ["pt2", "onnx"])
def test_what_is_left_of_it_is_exported_and_computes_the_same(network: Network, kind: str, tmp_path: Path) -> None:
    after, _ = examined(network).pruned(SHARES[0])
    model = instantiate(after, CPU).eval()
    inputs = mapped(network.example(), lambda tensor: torch.cat([tensor, tensor]))
    if network.short in NOT_IN[kind]:
        with pytest.raises(UsageError, match=f"torch cannot export this network as {kind}: "):
            content_of(kind, model, inputs, {})
        return
    content, again = content_of(kind, model, inputs, {})
    file = tmp_path / f"small.{kind}"
    file.write_bytes(content)
    apart = difference(again(file, inputs), computed(model, inputs))
    assert apart.relative < 1e-4, apart.words


def _is_trained(model: nn.Module, network: Network) -> None:
    """Forward and backward in training mode, of a batch of two."""
    inputs = mapped(network.example(), lambda tensor: torch.cat([tensor, tensor]))
    outputs = [t for t in tensors_in(called(model.train(), inputs)) if t.is_floating_point()]
    torch.stack([t.square().mean() for t in outputs]).sum().backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert len(gradients) > 0.7 * len(list(model.parameters()))
    assert all(bool(gradient.isfinite().all()) for gradient in gradients)


def _is_the_same_when_read(after: State, network: Network) -> None:
    """A saved network is built again by what its file says, and gives the same to the last bit."""
    data = model_bytes(after)
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])["__metadata__"]
    said = {"attributes": json.loads(header["attributes"])} if "attributes" in header else {}
    read = State(
        Architecture(**json.loads(header["architecture"])), load(data), attributes=attributes_of(said, Path("a.file"))
    )
    with torch.no_grad():
        ours, theirs = (tensors_in(called(instantiate(s, CPU), network.example())) for s in (after, read))
    assert len(ours) == len(theirs) > 0
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
