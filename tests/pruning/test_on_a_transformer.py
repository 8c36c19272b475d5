"""Every method on a network of words: it prunes linear layers, heads and MLP widths, or says why it cannot."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from prunetui.api import Channels, Masks, Net
from prunetui.config import ModelTable
from prunetui.engine.edits import apply, check_removal
from prunetui.engine.graph import Graph
from prunetui.engine.models import build
from prunetui.engine.models.start import architecture_of
from prunetui.engine.state import State, instantiate
from prunetui.engine.trace_network import trace
from prunetui.engine.verify_edit import achieved, check_achieved
from prunetui.errors import TrialError
from prunetui.plan import Prune
from prunetui.plugins import method_catalogue
from prunetui.tasks.classification import Classification
from tests.test_conformance import METHODS, Subject

NETWORK = Path(__file__).with_name("tiny_transformer.py")
CPU = torch.device("cpu")
REFUSED = {
    "bn-scale": "the network has no batch norm on channels that may go, whose scales this method ranks",
    "kmeans-shared": "the network has no two-dimensional convolution, which this method works on",
    "kmeans-merge": "the network has no two-dimensional convolution, which this method works on",
}


@pytest.fixture(scope="module")
def batches() -> list[tuple[Tensor, Tensor]]:
    random = torch.Generator().manual_seed(0)
    return [(torch.randint(20, (n, 6), generator=random), torch.randint(3, (n,), generator=random)) for n in (6, 4)]


@pytest.fixture(scope="module")
def traced(batches: list[tuple[Tensor, Tensor]]) -> tuple[State, Graph]:
    architecture = architecture_of(ModelTable(name=f"{NETWORK}:make"), None, None, 3)
    torch.manual_seed(0)
    state = State(architecture, {name: t.clone() for name, t in build(architecture).state_dict().items()})
    return state, trace(architecture, batches[0][0][:1])


def net_of(traced: tuple[State, Graph], batches: list[tuple[Tensor, Tensor]], target: str, edit: str) -> Net:
    state, graph = traced
    return Net(
        model=instantiate(state, CPU), masks={}, batches=batches, generator=torch.Generator().manual_seed(0),
        constraints=graph.constraints(state, edit=edit, target=target), progress=1.0, task=Classification(),
    )  # fmt: skip


def test_its_channels_are_heads_and_hidden_widths_and_its_weights_those_of_all_linear_layers(
    traced: tuple[State, Graph],
) -> None:
    _, graph = traced
    assert {group.name: group.width for group in graph.groups} == {"block.qkv": 4, "block.up": 32}
    assert graph.weighted == ["block.qkv", "block.out", "block.up", "block.down", "head"]


@pytest.mark.parametrize("subject", METHODS, ids=str)
def test_every_method_prunes_it_or_says_why_not(
    subject: Subject, traced: tuple[State, Graph], batches: list[tuple[Tensor, Tensor]]
) -> None:
    state, graph = traced
    value = {"pattern": 0.5, "threshold": 0.05}.get(subject.target, 0.3)
    net = net_of(traced, batches, subject.target, "channels" if subject.edit is Channels else "masks")
    if subject.name in REFUSED:
        with pytest.raises(TrialError, match=REFUSED[subject.name]):
            subject.prune(net, value)
        return
    edit = subject.prune(net, value)
    after = apply(edit, state, graph)
    check_achieved(Prune(subject.name, {}, "", subject.target, value, 1.0, 16), edit, state, after, graph)
    if isinstance(edit, Channels):
        check_removal(edit.keep, state, apply(Channels(edit.keep), state, graph), graph, batches[0][0])
        assert set(edit.keep) == {"block.qkv", "block.up"}
    else:
        assert isinstance(edit, Masks)
        assert set(edit.keep) == set(graph.weighted[:-1] if subject.target == "pattern" else graph.weighted) | {"head"}
        assert achieved("sparsity", after, graph) > 0.05


# Two against a direct computation ----------------------------------------------------------------------


def test_wanda_ranks_within_each_output_by_what_all_tokens_feed_it(
    traced: tuple[State, Graph], batches: list[tuple[Tensor, Tensor]]
) -> None:
    net = net_of(traced, batches, "sparsity", "masks")
    edit = method_catalogue.load("wanda")(sequential=False).prune(net, 0.5)  # type: ignore[attr-defined]
    for name in ("block.qkv", "block.up"):
        read: list[Tensor] = []
        layer = net.model.get_submodule(name)
        handle = layer.register_forward_pre_hook(lambda _, inputs, read=read: read.append(inputs[0]))
        with torch.no_grad():
            for words, _ in batches:
                net.model(words)
        handle.remove()
        norms = torch.cat([x.reshape(-1, x.shape[-1]) for x in read]).square().sum(0).sqrt()  # [in]
        weight = layer.weight.detach()
        weight, keep = (x if isinstance(layer, nn.Linear) else x.T for x in (weight, edit.keep[name]))
        scores = weight.abs() * norms
        for row in range(len(weight)):
            assert set(keep[row].nonzero().flatten().tolist()) == set(scores[row].topk(8).indices.tolist())


def test_fpgm_measures_whole_heads(traced: tuple[State, Graph], batches: list[tuple[Tensor, Tensor]]) -> None:
    net = net_of(traced, batches, "channels", "channels")
    edit = method_catalogue.load("fpgm")().prune(net, 0.25)  # type: ignore[attr-defined]
    weight = traced[0].tensors["block.qkv.weight"].view(3, 4, 4, 16)  # query, key and value of each head
    heads = weight.transpose(0, 1).flatten(1)
    nearest = int(torch.cdist(heads, heads).sum(1).argmin())
    assert edit.keep["block.qkv"].tolist() == [head != nearest for head in range(4)]


def test_gradients_of_single_examples_are_the_same_where_vmap_cannot_follow(
    traced: tuple[State, Graph], batches: list[tuple[Tensor, Tensor]]
) -> None:
    class Looking(Classification):
        """Its loss looks at a value, which vmap refuses."""

        def loss(self, model, batch):  # type: ignore[no-untyped-def]
            assert float(batch[1].sum()) >= 0
            return super().loss(model, batch)

    net = net_of(traced, batches, "sparsity", "masks")
    together, alone = (list(one.image_gradients()) for one in (net, replace(net, task=Looking())))
    assert [list(chunk) for chunk in together] == [list(chunk) for chunk in alone]
    for one, other in zip(together, alone, strict=True):
        for name in one:
            torch.testing.assert_close(one[name], other[name], rtol=1e-4, atol=1e-6)
