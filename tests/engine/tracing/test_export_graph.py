"""Graphs in both modes from a network that is left as it was, or words why there are none."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from prunetui.engine.tracing.export_graph import UntraceableError, export_both
from prunetui.engine.tracing.output_tensors import CACHES
from tests.engine.tracing.small_networks import Net, groups, image, propose, written


def test_the_network_is_left_exactly_as_it_was():
    net = nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2), nn.Dropout(), nn.Conv2d(2, 3, 1))
    net.train()
    net[1].eval()
    net[0].weight.requires_grad_(False)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    same = dict(net.named_buffers())
    random = torch.get_rng_state()
    export_both(net, (image(2, 3, 4, 4),))
    assert [module.training for module in net] == [True, False, True, True]
    assert [p.requires_grad for p in net.parameters()] == [False, True, True, True, True, True]
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    assert all(tensor is same[name] for name, tensor in net.named_buffers())
    assert torch.equal(torch.get_rng_state(), random)
    assert net[1].num_batches_tracked == 0


def test_layers_that_only_training_uses_are_coupled():
    def forward(s, x):
        made = s.a(x)
        return (s.b(made), s.extra(made)) if s.training else s.b(made)

    found = groups(forward, image(2, 3), a=nn.Linear(3, 2, bias=False), b=nn.Linear(2, 3), extra=nn.Linear(2, 5))
    assert found == {"a": {"a.weight[0]": "0 1", "b.weight[1]": "0 1", "extra.weight[1]": "0 1"}}


def test_what_depends_on_data_is_refused_in_words():
    def forward(s, x):
        return s.a(x) if x.sum() > 0 else s.a(-x)

    with pytest.raises(UntraceableError, match="what it computes depends on values of its data"):
        propose(Net(forward, a=nn.Linear(3, 2)), (image(2, 3),))


def test_where_training_depends_on_data_the_graph_of_evaluation_is_taken_and_that_is_said():
    def forward(s, x):
        made = s.a(x)
        return s.b(made if not s.training or x.sum() > 0 else -made)

    found = propose(Net(forward, a=nn.Linear(3, 2, bias=False), b=nn.Linear(2, 3)), (image(2, 3),))
    assert written(found) == {"a": {"a.weight[0]": "0 1", "b.weight[1]": "0 1"}}
    assert found.unseen.startswith("what only training uses is not seen: the graph of Net cannot be traced in training")


class Given:
    """What a library's network gives: an object that torch.export does not know."""

    def __init__(self, values, extra):
        self.values, self.extra = values, extra


class Cache(Given):
    """What a language model keeps for its next call."""

    __module__ = CACHES


def test_tensors_in_objects_are_outputs_but_not_those_that_are_kept_for_the_next_call():
    layers = {"a": nn.Linear(3, 2, bias=False), "b": nn.Linear(2, 3)}
    for kind, expected in ((Given, {}), (Cache, {"a": {"a.weight[0]": "0 1", "b.weight[1]": "0 1"}})):

        def forward(s, x, kind=kind):
            made = s.a(x)
            return {"out": s.b(made), "more": kind(made, "words")}

        net = Net(forward, **layers)
        assert written(propose(net, (image(2, 3),))) == expected
        assert "forward" not in vars(net)


def test_a_network_s_own_error_is_told():
    with pytest.raises(UntraceableError, match=r"cannot be traced in evaluation: RuntimeError: .*2, 3"):
        propose(Net(lambda s, x: s.a(x), a=nn.Linear(4, 2)), (image(2, 3),))


def test_batch_norm_of_a_batch_of_one_without_places():
    net = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2), nn.Linear(2, 3))
    assert list(written(propose(net, (image(1, 3),)))) == ["0"]


def test_under_no_grad_and_in_checkpoints():
    def forward(s, x):
        with torch.no_grad():
            made = s.b(s.a(x))
        return torch.utils.checkpoint.checkpoint(s.c, made, use_reentrant=False)

    found = groups(
        forward, image(2, 3), a=nn.Linear(3, 2, bias=False), b=nn.Linear(2, 4, bias=False), c=nn.Linear(4, 3)
    )
    assert found == {
        "a": {"a.weight[0]": "0 1", "b.weight[1]": "0 1"},
        "b": {"b.weight[0]": "0 1 2 3", "c.weight[1]": "0 1 2 3"},
    }


def test_several_inputs_by_name_and_outputs_in_a_dictionary():
    net = Net(lambda s, x, other: {"first": s.c(s.a(x) + s.b(other)), "rest": [3, None]},
              a=nn.Linear(3, 2, bias=False), b=nn.Linear(4, 2, bias=False), c=nn.Linear(2, 3))  # fmt: skip
    assert written(propose(net, (image(2, 3),), {"other": image(2, 4)})) == {
        "a": {"a.weight[0]": "0 1", "b.weight[0]": "0 1", "c.weight[1]": "0 1"}
    }
