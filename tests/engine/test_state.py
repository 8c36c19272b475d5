"""A state comes back from disk to the last bit, and says itself how its net is built."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load, load_file

from prunetui.api import Channels, Masks
from prunetui.engine.edits import apply
from prunetui.engine.graph import Graph
from prunetui.engine.models import Architecture
from prunetui.engine.models.read_checkpoint import read_checkpoint
from prunetui.engine.state import State, capture, extra_bytes, from_files, instantiate, model_bytes, resize

SMALL = Architecture("resnet20", 1, 8, 10, width=5)
CPU = torch.device("cpu")


@pytest.fixture
def pruned(lively: Callable[..., State], graph_of: Callable[[Architecture], Graph]) -> State:
    """Narrowed in every group, then masked in every layer; widths and masks of odd sizes."""
    graph = graph_of(SMALL)
    keep = {g.name: torch.arange(g.width) % 3 != 1 for g in graph.groups}
    narrow = apply(Channels(keep), lively(SMALL), graph)
    random = torch.Generator().manual_seed(2)
    layers = [n.removesuffix(".weight") for n, t in narrow.tensors.items() if n.endswith("weight") and t.dim() > 1]
    masks = {n: torch.rand(narrow.tensors[f"{n}.weight"].shape, generator=random) > 0.5 for n in layers}
    return apply(Masks(masks), narrow, graph)


def test_tensors_masks_and_momentum_come_back_bit_for_bit(
    pruned: State, same: Callable[..., bool], tmp_path: Path
) -> None:
    extra = extra_bytes(pruned)
    assert extra is not None
    back = from_files(load(model_bytes(pruned)), load(extra), SMALL)
    assert back.architecture == SMALL
    for part in ("tensors", "masks", "momentum"):
        ours = dict(sorted(getattr(pruned, part).items()))
        theirs = dict(sorted(getattr(back, part).items()))
        assert ours
        assert same(ours, theirs), part
    assert all(mask.dtype == torch.bool for mask in back.masks.values())


def test_a_state_without_masks_and_momentum_needs_no_second_file(pruned: State) -> None:
    plain = State(SMALL, pruned.tensors)
    assert extra_bytes(plain) is None
    assert from_files(load(model_bytes(plain)), {}, SMALL).masks == {}


def test_a_mask_takes_one_bit_a_weight(pruned: State) -> None:
    extra = load(extra_bytes(State(SMALL, pruned.tensors, pruned.masks)) or b"")
    weights = pruned.tensors["layer1.0.conv1.weight"].numel()
    assert extra["mask/layer1.0.conv1"].numel() == -(-weights // 8)


def test_the_header_holds_the_architecture_and_what_it_is_given(pruned: State, tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    names = [f"digit {index}" for index in range(SMALL.classes)]
    path.write_bytes(model_bytes(pruned, {"data": "digits", "mean": [0.5], "classes": names}))
    with safe_open(path, framework="pt") as file:
        header = file.metadata()
    assert header["format"] == "prunetui/1"
    assert Architecture(**json.loads(header["architecture"])) == SMALL
    assert json.loads(header["classes"]) == names
    assert read_checkpoint(path).header["mean"] == [0.5]


def test_a_net_of_a_file_computes_what_the_net_computed(pruned: State, tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    path.write_bytes(model_bytes(pruned))
    images = torch.randn(3, 1, 8, 8)
    with torch.inference_mode():
        ours = instantiate(pruned, CPU)(images)
        theirs = instantiate(from_files(load_file(path), {}, SMALL), CPU)(images)
    assert torch.equal(ours, theirs)


def test_a_pruned_net_has_layers_of_the_widths_of_its_tensors(pruned: State) -> None:
    model = instantiate(pruned, CPU)
    conv, norm = model.get_submodule("layer1.0.conv1"), model.get_submodule("layer1.0.bn1")
    assert (conv.out_channels, norm.num_features) == (3, 3)  # channels 0, 2 and 3 of 5
    assert model.linear.in_features == pruned.tensors["linear.weight"].shape[1]


def test_resizing_a_dense_net_makes_room_for_pruned_tensors(pruned: State) -> None:
    with torch.device("meta"):
        from prunetui.engine.models import build

        model = build(SMALL)
    resize(model, pruned.tensors)
    assert {n: t.shape for n, t in model.state_dict().items()} == {n: t.shape for n, t in pruned.tensors.items()}


def test_a_net_is_a_copy_in_evaluation_mode_that_can_be_trained(pruned: State, same: Callable[..., bool]) -> None:
    before = {name: tensor.clone() for name, tensor in pruned.tensors.items()}
    model = instantiate(pruned, CPU)
    assert not model.training
    assert all(parameter.requires_grad for parameter in model.parameters())
    with torch.no_grad():
        for tensor in model.state_dict().values():
            tensor.zero_()
    assert same(before, pruned.tensors)


def test_a_captured_state_is_a_copy_and_keeps_masks_and_architecture(pruned: State) -> None:
    model = instantiate(pruned, CPU)
    state = capture(model, pruned, {"momentum_buffer/linear.bias": torch.ones(10)})
    with torch.no_grad():
        model.linear.bias.fill_(9)
    assert torch.equal(state.tensors["linear.bias"], pruned.tensors["linear.bias"])
    assert state.masks is pruned.masks
    assert list(state.momentum) == ["momentum_buffer/linear.bias"]
    assert list(pruned.without_momentum().momentum) == []
