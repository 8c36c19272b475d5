"""Which weights fall: literal cases, torch.nn.utils.prune as the oracle, and laws that hold for any scores."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils import prune

from prunetui.api import Masks, Net, Scope, keep_above, keep_top
from prunetui.api.constraints import Constraints
from prunetui.engine.models import Architecture, build
from prunetui.engine.models.read_checkpoint import fitted, read_checkpoint
from prunetui.engine.state import State
from prunetui.errors import TrialError
from prunetui.plugins import method_catalogue
from prunetui.tasks.classification import Classification

RESNET20_A = Architecture("resnet20", 3, 32, 10, "A")
SPARSITIES = (0.1, 0.5, 0.8, 0.95)


def bools(*bits: int) -> Tensor:
    return torch.tensor(bits, dtype=torch.bool)


# Literal cases ------------------------------------------------------------------------------------


def test_global_scope_removes_the_lowest_scores_of_all_layers_together() -> None:
    scores = {"a": torch.tensor([1.0, 2.0, 9.0, 8.0]), "b": torch.tensor([[3.0, 7.0], [6.0, 5.0]])}
    kept = keep_top(scores, 0.5, "global")  # 4 of 8 go: 1, 2, 3 and 5
    assert kept["a"].equal(bools(0, 0, 1, 1))
    assert kept["b"].equal(torch.tensor([[False, True], [True, False]]))


def test_local_scope_removes_the_same_share_of_each_layer() -> None:
    scores = {"a": torch.tensor([1.0, 2.0, 9.0, 8.0]), "b": torch.tensor([[3.0, 7.0], [6.0, 5.0]])}
    kept = keep_top(scores, 0.5, "local")
    assert kept["a"].equal(bools(0, 0, 1, 1))
    assert kept["b"].equal(torch.tensor([[False, True], [True, False]]))
    assert keep_top(scores, 0.75, "local")["a"].equal(bools(0, 0, 1, 0))


def test_what_is_already_removed_counts_and_stays_removed() -> None:
    scores = {"a": torch.tensor([9.0, 1.0, 2.0, 3.0])}
    kept = keep_top(scores, 0.5, "global", within={"a": bools(0, 1, 1, 1)})
    assert kept["a"].equal(bools(0, 0, 1, 1))  # the 9 was gone; of the rest only the 1 follows


def test_within_a_net_its_masks_hold_and_every_layer_keeps_the_floor_of_the_study() -> None:
    """The 6 is gone already; three more go. Without a floor they are 1, 2 and 3, with one of a half 1, 2 and 5."""
    scores = {"a": torch.tensor([1.0, 2.0, 3.0, 4.0]), "b": torch.tensor([5.0, 6.0, 7.0, 8.0])}
    masks = {"b": bools(1, 0, 1, 1)}
    rules = Constraints(("a", "b"), floor=0.5)
    net = Net(nn.Identity(), masks, [], torch.Generator(), rules, 1.0, Classification())
    kept = keep_top(scores, 0.5, "global", within=net)
    assert kept["a"].equal(bools(0, 0, 1, 1))
    assert kept["b"].equal(bools(0, 0, 1, 1))
    same = keep_top(scores, 0.5, "global", within=masks, floor=0.5)
    assert all(kept[name].equal(same[name]) for name in scores)
    assert keep_top(scores, 0.5, "global", within=masks)["a"].equal(bools(0, 0, 0, 1))  # without the floor
    assert keep_above(scores, 6.5, within=net)["a"].equal(bools(0, 0, 1, 1))
    with pytest.raises(TrialError, match=r"cannot remove 75\.00% of the weights: 50\.00% may go before every layer"):
        keep_top(scores, 0.75, "global", within=net)


def test_negative_scores_are_ranked_by_value_and_not_by_magnitude() -> None:
    assert keep_top({"a": torch.tensor([-5.0, 0.0, 1.0])}, 1 / 3, "global")["a"].equal(bools(0, 1, 1))


def test_sparsity_zero_keeps_everything() -> None:
    assert keep_top({"a": torch.tensor([0.0, 0.0])}, 0.0, "local")["a"].equal(bools(1, 1))


def test_equal_scores_still_give_the_exact_count() -> None:
    assert int(keep_top({"a": torch.ones(10)}, 0.3, "global")["a"].sum()) == 7


def test_less_than_what_is_already_gone_is_refused() -> None:
    with pytest.raises(TrialError, match=r"3 of 4 weights are already pruned; a sparsity of 0\.5 is below that"):
        keep_top({"a": torch.ones(4)}, 0.5, "global", within={"a": bools(0, 0, 0, 1)})


def test_keep_above_removes_the_threshold_itself_and_what_is_below() -> None:
    kept = keep_above({"a": torch.tensor([0.1, 0.5, 0.50001, 2.0])}, 0.5)
    assert kept["a"].equal(bools(0, 0, 1, 1))


def test_keep_above_stays_within_what_is_kept() -> None:
    kept = keep_above({"a": torch.tensor([3.0, 3.0]), "b": torch.tensor([3.0])}, 0.5, within={"a": bools(0, 1)})
    assert kept["a"].equal(bools(0, 1))
    assert kept["b"].equal(bools(1))


# torch.nn.utils.prune as the oracle -----------------------------------------------------------------


@pytest.fixture(scope="module", params=["fresh", "trained"])
def state(request: pytest.FixtureRequest) -> State:
    """ResNet-20 with fresh weights, and with those of a net trained to 91.7 % on CIFAR-10."""
    torch.manual_seed(0)
    model = build(RESNET20_A)
    if request.param == "fresh":
        return State(RESNET20_A, dict(model.state_dict()))
    path = request.getfixturevalue("real_data") / "resnet20-12fca82f.th"
    return State(RESNET20_A, fitted(read_checkpoint(path).tensors, model, path))


@pytest.fixture
def net(state: State, net_of: Callable[..., Net], graph_of: Callable[..., object]) -> Net:
    return net_of(state, graph_of(RESNET20_A), seed=7)


def torch_layers(state: State) -> dict[str, nn.Module]:
    """Fresh modules with the state's weights, for torch to prune."""
    model = build(RESNET20_A)
    model.load_state_dict(dict(state.tensors))
    return {name: m for name, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}


def assert_same_masks(edit: Masks, layers: dict[str, nn.Module]) -> None:
    assert list(edit.keep) == list(layers)
    for name, layer in layers.items():
        assert torch.equal(edit.keep[name], layer.weight_mask.bool()), name


@pytest.mark.parametrize("sparsity", SPARSITIES)
def test_l1_unstructured_removes_what_torch_removes(net: Net, state: State, sparsity: float) -> None:
    layers = torch_layers(state)
    for layer in layers.values():
        prune.l1_unstructured(layer, "weight", sparsity)
    assert_same_masks(method_catalogue.load("l1-unstructured")().prune(net, sparsity), layers)


@pytest.mark.parametrize("sparsity", SPARSITIES)
def test_global_unstructured_removes_what_torch_removes(net: Net, state: State, sparsity: float) -> None:
    layers = torch_layers(state)
    prune.global_unstructured([(m, "weight") for m in layers.values()], prune.L1Unstructured, amount=sparsity)
    assert_same_masks(method_catalogue.load("global-unstructured")().prune(net, sparsity), layers)


@pytest.mark.parametrize("sparsity", SPARSITIES)
def test_random_unstructured_draws_what_torch_draws_from_the_same_seed(net: Net, state: State, sparsity: float) -> None:
    layers = torch_layers(state)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        for layer in layers.values():
            prune.random_unstructured(layer, "weight", sparsity)
    assert_same_masks(method_catalogue.load("random-unstructured")().prune(net, sparsity), layers)


class MagnitudeAbove(prune.BasePruningMethod):
    """The threshold pruning that torch's tutorial writes."""

    PRUNING_TYPE = "unstructured"

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        return default_mask * (t.abs() > self.threshold)


@pytest.mark.parametrize("threshold", [0.0, 0.01, 0.05, 0.2])
def test_threshold_removes_what_a_subclass_of_torchs_pruning_removes(net: Net, state: State, threshold: float) -> None:
    layers = torch_layers(state)
    for layer in layers.values():
        MagnitudeAbove.apply(layer, "weight", threshold)
    assert_same_masks(method_catalogue.load("threshold")().prune(net, threshold), layers)


# Laws -------------------------------------------------------------------------------------------------

few_values = st.integers(-3, 3).map(float)  # so that many are equal
layer_scores = st.lists(few_values, min_size=1, max_size=30).map(torch.tensor)
nets = st.dictionaries(st.sampled_from("abc"), layer_scores, min_size=1)
fractions = st.floats(0, 1)
scopes = st.sampled_from(["global", "local"])


def removed(kept: dict[str, Tensor]) -> int:
    return sum(int((~keep).sum()) for keep in kept.values())


@given(nets, fractions, scopes)
def test_exactly_the_rounded_share_is_removed(scores: dict[str, Tensor], sparsity: float, scope: Scope) -> None:
    kept = keep_top(scores, sparsity, scope)
    assert {n: k.shape for n, k in kept.items()} == {n: s.shape for n, s in scores.items()}
    if scope == "global":
        assert removed(kept) == round(sparsity * sum(len(s) for s in scores.values()))
    else:
        assert {n: int((~k).sum()) for n, k in kept.items()} == {n: round(sparsity * len(s)) for n, s in scores.items()}


@given(nets, fractions, scopes)
def test_nothing_removed_outscores_what_is_kept(scores: dict[str, Tensor], sparsity: float, scope: Scope) -> None:
    kept = keep_top(scores, sparsity, scope)
    parts = [list(scores)] if scope == "global" else [[name] for name in scores]
    for names in parts:
        score = torch.cat([scores[n] for n in names])
        keep = torch.cat([kept[n] for n in names])
        if keep.any() and not keep.all():
            assert score[keep].min() >= score[~keep].max()


@given(nets, st.lists(fractions, min_size=2, max_size=4).map(sorted), scopes)
def test_masks_nest_along_rising_sparsities(scores: dict[str, Tensor], sparsities: list[float], scope: Scope) -> None:
    kept = keep_top(scores, sparsities[0], scope)
    for i, sparsity in enumerate(sparsities[1:]):
        turned = {name: score.roll(i + 1) for name, score in scores.items()}  # scores change along a schedule
        deeper = keep_top(turned, sparsity, scope, within=kept)
        assert all(not (deeper[name] & ~kept[name]).any() for name in scores)
        kept = deeper


@given(nets, fractions, fractions)
def test_a_request_is_refused_exactly_if_more_is_already_gone(
    scores: dict[str, Tensor], gone: float, wanted: float
) -> None:
    total = sum(len(s) for s in scores.values())
    within = keep_top(scores, gone, "global")
    if round(gone * total) > round(wanted * total):
        with pytest.raises(TrialError, match="already pruned"):
            keep_top(scores, wanted, "global", within)
    else:
        assert removed(keep_top(scores, wanted, "global", within)) == round(wanted * total)


@given(layer_scores, st.integers(-4, 4))
def test_keep_above_is_the_comparison(scores: Tensor, threshold: int) -> None:
    assert keep_above({"a": scores}, threshold)["a"].tolist() == [s > threshold for s in scores.tolist()]
