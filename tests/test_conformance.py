"""What every pruning method must do, whoever wrote it: one suite over all that are found, and one defined here."""

from __future__ import annotations

import copy
import importlib
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from prunetui.api import Channels, Masks, Modules, Net, Scope, Training, keep_top, register
from prunetui.api.budget import rounded_down
from prunetui.cli.list_offers import print_method, print_methods
from prunetui.engine.edits import apply, check_removal
from prunetui.engine.graph import Graph
from prunetui.engine.models import Architecture
from prunetui.engine.state import State
from prunetui.engine.verify_edit import achieved, check_achieved
from prunetui.errors import TrialError
from prunetui.plan import Prune
from prunetui.plugins import method_catalogue
from prunetui.plugins.method_source import HOOKS
from prunetui.steps.train import hook_of

NETS = {
    "resnet20 A": Architecture("resnet20", 3, 8, 10, "A", width=8),
    "resnet20 B": Architecture("resnet20", 3, 8, 10, "B", width=8),
    "vgg11": Architecture("vgg11", 3, 8, 10, width=8),
    "resnet50": Architecture("resnet50", 3, 8, 10, width=8),
}


@register("taylor of this test", source="Molchanov et al. 2019, arXiv:1906.10771")
@dataclass(frozen=True)
class Taylor:
    """Zero the weights whose removal changes the loss least, to first order."""

    scope: Scope = "global"
    """Rank across the whole net, or within each layer."""

    def prune(self, net: Net, sparsity: float) -> Masks:
        with net.gradients() as gradients:
            scores = {name: (w * gradients[name]).square() for name, w in net.weights().items()}
        return Masks(keep_top(scores, sparsity, self.scope, within=net.masks))


@dataclass(frozen=True)
class Subject:
    """A method and one kind of target it knows."""

    name: str
    edit: type
    target: str
    schedules: tuple[str, ...] = ()
    family: str = ""

    def __str__(self) -> str:
        return f"{self.name}-{self.target}"

    @property
    def levels(self) -> tuple[float, ...]:
        """Rising values to prune to; of the target threshold, those that bite into weights around 0.1.

        A pattern says itself how much it removes: asked for it again, it removes nothing more.
        """
        if self.target == "pattern":
            return (0.5, 0.5, 0.5)
        return (0.01, 0.05, 0.2) if self.target == "threshold" else (0.3, 0.5, 0.8)

    @property
    def once(self) -> bool:
        """Whether it prunes a net once only: no schedule takes it through several levels."""
        return bool(self.schedules) and "iterative" not in self.schedules

    def prune(self, net: Net, value: float) -> Any:
        if self.name.endswith("of this test"):
            return Taylor().prune(net, value)
        method: Any = method_catalogue.load(self.name)()
        return method.prune(noted(self.name, method, net, value), value)


def noted(name: str, method: Any, net: Net, value: float) -> Net:
    """The net with what the method notes while a copy of it is trained for two batches; others get it as it is."""
    if not method_catalogue.method_info(name).trains:
        return net
    training = Training(
        model=copy.deepcopy(net.model), constraints=net.constraints, masks=dict(net.masks), memory=dict(net.memory),
        generator=torch.Generator(), held=dict(net.masks), total=2, lr=0.1,
    )  # fmt: skip
    hooks = [found for hook in HOOKS if (found := hook_of(method, hook, value))]
    for images, labels in (net.batches * 2)[:2]:
        training.model.zero_grad()
        torch.nn.functional.cross_entropy(training.model(images).float(), labels).backward()  # type: ignore[no-untyped-call]
        with torch.no_grad():
            for hook in hooks:
                hook(training)
        training.batch += 1
    return replace(net, memory=training.memory)


EDITS = {"masks": Masks, "channels": Channels, "modules": Modules}
SUBJECTS = [
    Subject(info.name, EDITS[info.edit], target, info.schedules, info.family)
    for info in method_catalogue.catalogue().methods.values()
    if info.edit != "sequence"  # a hybrid returns no edit of its own: the plan applies its parts one by one
    for target in info.targets
] + [Subject("taylor of this test", Masks, "sparsity")]
METHODS = list({subject.name: subject for subject in reversed(SUBJECTS)}.values())  # each at its first target
RANDOM = [subject for subject in METHODS if subject.name.startswith("random-")]

every_target = pytest.mark.parametrize("subject", SUBJECTS, ids=str)
every_method = pytest.mark.parametrize("subject", METHODS, ids=str)
on_one_net = pytest.mark.parametrize(
    "bench", [pytest.param(name, marks=[pytest.mark.slow] * (name != "resnet20 B")) for name in NETS], indirect=True
)
"""What is the same of any net; of the others with ``-m slow``."""


@dataclass(frozen=True)
class Bench:
    """One net, and how to look at it, prune it and check what came of it."""

    state: State
    graph: Graph
    net_of: Callable[..., Net]

    def net(self, subject: Subject, state: State | None = None, images: tuple[int, ...] = (16, 8), **more: Any) -> Net:
        random = torch.Generator().manual_seed(3)
        batches = [
            (torch.randn(n, 3, 8, 8, generator=random), torch.randint(10, (n,), generator=random)) for n in images
        ]
        return self.net_of(state or self.state, self.graph, subject.target, batches=batches, **more)

    def applied(
        self, subject: Subject, edit: Masks | Channels | Modules, value: float, state: State | None = None
    ) -> State:
        """The state after an edit that passed the checks the engine makes."""
        before = state or self.state
        assert type(edit) is subject.edit
        after = apply(edit, before, self.graph)
        step = Prune(subject.name, {}, "", subject.target, value, progress=1.0, images=16)
        check_achieved(step, edit, before, after, self.graph)
        if isinstance(edit, Channels) and not edit.moved:
            check_removal(edit.keep, before, after, self.graph, torch.randn(2, 3, 8, 8))
        return after


@pytest.fixture(scope="module", params=list(NETS))
def bench(
    request: pytest.FixtureRequest,
    lively: Callable[..., State],
    graph_of: Callable[[Architecture], Graph],
    net_of: Callable[..., Net],
) -> Bench:
    """Every net in turn; states are never mutated, so one is enough for all tests."""
    architecture = NETS[request.param]
    return Bench(lively(architecture), graph_of(architecture), net_of)


def parts(edit: Masks | Channels | Modules) -> dict[str, Tensor]:
    """All tensors of an edit by name."""
    found = {f"moved {name}": value for name, value in edit.moved.items()}
    if isinstance(edit, Modules):
        for name, layer in edit.shared.items():
            found |= {f"filters of {name}": layer.weight, f"labels of {name}": layer.labels}
        return found
    return found | dict(edit.keep)


def same_edit(left: Masks | Channels | Modules, right: Masks | Channels | Modules) -> bool:
    ours, theirs = parts(left), parts(right)
    return list(ours) == list(theirs) and all(torch.equal(ours[n], theirs[n]) for n in ours)


def test_all_methods_were_found_and_can_be_imported() -> None:
    assert method_catalogue.catalogue().problems == ()
    assert {subject.name for subject in SUBJECTS} >= {
        "random-unstructured", "l1-unstructured", "global-unstructured", "random-structured", "l1-structured",
        "threshold",
    }  # fmt: skip
    ours = {subject.name for subject in SUBJECTS} & {*method_catalogue.catalogue().methods}
    assert all(callable(method_catalogue.load(name).prune) for name in ours)
    assert {name for name, info in method_catalogue.catalogue().methods.items() if info.trains} >= {
        "movement", "rigl", "set", "group-lasso", "growing-reg", "bn-scale", "granet", "acdc",
        "powerpropagation", "str", "sr-ste", "srigl",
    }  # fmt: skip


@every_method
def test_the_net_is_left_as_found(subject: Subject, bench: Bench) -> None:
    net = bench.net(subject)
    before = {name: tensor.clone() for name, tensor in net.model.state_dict().items()}
    random = torch.random.get_rng_state()
    subject.prune(net, subject.levels[1])
    after = net.model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert not any(m.training or m._forward_hooks or m._forward_pre_hooks for m in net.model.modules())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in net.model.parameters())
    assert torch.equal(torch.random.get_rng_state(), random)  # its only randomness is the net's generator


@every_target
def test_every_level_is_reached_exactly_and_edits_nest_along_a_schedule(subject: Subject, bench: Bench) -> None:
    state = bench.state
    for value in subject.levels:
        before = state = bench.state if subject.once else state
        edit = subject.prune(bench.net(subject, state), value)
        state = bench.applied(subject, edit, value, state)
        weights = bench.graph.cost("sparsity", bench.graph.widths(bench.state.tensors))
        dense = {group.name: group.width for group in bench.graph.groups}
        if subject.target == "threshold":
            assert all(
                not ((state.tensors[f"{n}.weight"].abs() <= value) & keep).any() for n, keep in edit.keep.items()
            )
        elif subject.target == "pattern":
            kept = {name: mask.movedim(1, -1).reshape(-1, 4).sum(1) for name, mask in state.masks.items()}
            inputs = {n: t.shape[1] for n, t in state.tensors.items() if n.endswith("weight") and t.dim() > 1}
            assert {f"{name}.weight" for name in kept} == {name for name, width in inputs.items() if width % 4 == 0}
            assert all((of_four == 2).all() for of_four in kept.values())
        elif subject.family == "kernels":
            assert achieved("sparsity", state, bench.graph) == pytest.approx(value, abs=4.5 / weights)
        elif subject.edit is Masks:
            assert achieved("sparsity", state, bench.graph) == pytest.approx(value, abs=len(state.masks) / weights)
        elif subject.edit is Modules:
            assert list(edit.shared) == inner_convolutions(bench.graph)
            assert all(len(s.weight) == rounded_down(len(s.labels), value, 1) for s in edit.shared.values())
        elif subject.family == "sharing":
            merged = {g.name for g in bench.graph.groups if len(g.producers) == 1 and g.name != first(bench.graph)}
            expected = {g: rounded_down(w, value, 1) if g in merged else w for g, w in dense.items()}
            assert set(edit.keep) == merged
            assert bench.graph.widths(state.tensors) == expected
        elif subject.target == "channels":
            assert bench.graph.widths(state.tensors) == {g: rounded_down(w, value, 1) for g, w in dense.items()}
        else:
            assert achieved(subject.target, state, bench.graph) == pytest.approx(value, abs=0.01)
        assert all(not (state.masks[name] & ~mask).any() for name, mask in before.masks.items())
        narrowed = bench.graph.widths(before.tensors)
        assert all(width <= narrowed[name] for name, width in bench.graph.widths(state.tensors).items())
    assert achieved("sparsity", state, bench.graph) > 0.4


def first(graph: Graph) -> str:
    return graph.weighted[0]


def inner_convolutions(graph: Graph) -> list[str]:
    """All convolutions but the first, in the net's order."""
    return graph.weighted[1:-1]  # the last is the classifier


@every_method
def test_the_same_seed_gives_the_same_edit(subject: Subject, bench: Bench) -> None:
    first, second = (subject.prune(bench.net(subject, seed=5), subject.levels[1]) for _ in range(2))
    assert same_edit(first, second)


@pytest.mark.parametrize("subject", RANDOM, ids=str)
def test_another_seed_gives_another_edit_where_chance_decides(subject: Subject, bench: Bench) -> None:
    first, second = (subject.prune(bench.net(subject, seed=seed), subject.levels[1]) for seed in (5, 6))
    assert not same_edit(first, second)


@every_method
@pytest.mark.parametrize("images", [(1,), (1, 1, 1)], ids=["one image", "three batches of one"])
def test_calibration_batches_of_one_image_suffice(subject: Subject, bench: Bench, images: tuple[int, ...]) -> None:
    edit = subject.prune(bench.net(subject, images=images), subject.levels[1])
    after = bench.applied(subject, edit, subject.levels[1])
    assert achieved("sparsity", after, bench.graph) > 0


@every_method
def test_weights_in_bfloat16_are_pruned_to_the_same_level(subject: Subject, bench: Bench) -> None:
    edit = subject.prune(bench.net(subject, dtype=torch.bfloat16), subject.levels[1])
    if not isinstance(edit, Modules):
        assert all(mask.dtype == torch.bool for mask in edit.keep.values())
    after = bench.applied(subject, edit, subject.levels[1])
    assert achieved("sparsity", after, bench.graph) > 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@every_method
def test_a_net_on_the_gpu_is_pruned_as_on_the_cpu(subject: Subject, bench: Bench) -> None:
    edit = subject.prune(bench.net(subject, device="cuda"), subject.levels[1])
    bench.applied(subject, edit, subject.levels[1])
    if subject in RANDOM:  # criteria may differ by rounding; chance is drawn on the CPU
        on_cpu = subject.prune(bench.net(subject), subject.levels[1])
        assert all(torch.equal(edit.keep[name].cpu(), mask) for name, mask in on_cpu.keep.items())


@on_one_net
@pytest.mark.parametrize("subject", [s for s in SUBJECTS if s.target not in ("threshold", "pattern")], ids=str)
def test_less_than_what_is_already_gone_is_refused(subject: Subject, bench: Bench) -> None:
    pruned = bench.applied(subject, subject.prune(bench.net(subject), 0.8), 0.8)
    with pytest.raises(TrialError, match=r"already|cannot remove"):
        subject.prune(bench.net(subject, pruned), 0.3)


@pytest.mark.parametrize("subject", [s for s in SUBJECTS if s.edit is Channels and s.target != "channels"], ids=str)
@pytest.mark.parametrize("bench", ["resnet20 A"], indirect=True)
def test_more_than_can_go_is_refused_with_what_is_nearest(subject: Subject, bench: Bench) -> None:
    """Of a net with zero-padded shortcuts the residual stream must stay."""
    with pytest.raises(TrialError, match=r"cannot remove 99\.99% of the (weights|params|macs): the nearest is"):
        subject.prune(bench.net(subject), 0.9999)


@pytest.mark.parametrize("bench", ["resnet20 B"], indirect=True)
@pytest.mark.parametrize("target", ["sparsity", "channels", "params", "macs"])
def test_the_engine_notices_an_edit_of_channels_that_does_less_than_it_was_asked_for(bench: Bench, target: str) -> None:
    subject = Subject("l1-structured", Channels, target)
    half = bench.applied(subject, subject.prune(bench.net(subject), 0.5), 0.5)
    step = Prune("lazy", {}, "", target, 0.8, progress=1.0, images=16)
    with pytest.raises(TrialError, match=rf"lazy was asked for {target}:0\.8 and removed"):
        check_achieved(step, Channels({}), half, apply(Channels({}), half, bench.graph), bench.graph)


@pytest.mark.parametrize("bench", ["resnet20 B"], indirect=True)
def test_the_engine_notices_masks_that_miss_their_target_by_a_few_weights(bench: Bench) -> None:
    subject = Subject("global-unstructured", Masks, "sparsity")
    edit = subject.prune(bench.net(subject), 0.5)
    layer = next(name for name, mask in edit.keep.items() if int((~mask).sum()) > 100)
    spared = edit.keep[layer].clone()
    spared.view(-1)[(~spared).view(-1).nonzero()[:100]] = True
    with pytest.raises(TrialError, match=r"was asked for sparsity:0\.5 and removed"):
        bench.applied(subject, Masks({**edit.keep, layer: spared}), 0.5)


def test_gradients_are_those_of_the_mean_loss_over_all_batches(
    lively: Callable[..., State], graph_of: Callable[[Architecture], Graph], net_of: Callable[..., Net]
) -> None:
    """Batches of 16 and 8 images count by their images; checked against one pass of all 24."""
    bench = Bench(lively(NETS["vgg11"]), graph_of(NETS["vgg11"]), net_of)
    net = bench.net(SUBJECTS[0])
    with net.gradients() as gradients:
        found = dict(gradients)
    inputs, labels = (torch.cat(parts) for parts in zip(*net.batches, strict=True))
    loss = torch.nn.functional.cross_entropy(net.model(inputs), labels)
    weights: list[Tensor] = [net.model.get_submodule(name).weight for name in found]
    for name, expected in zip(found, torch.autograd.grad(loss, weights), strict=True):
        torch.testing.assert_close(found[name], expected, rtol=1e-3, atol=1e-5)


# Methods of others ------------------------------------------------------------------------------------

NEIGHBOUR = '''
"""A method of somebody else, with a hook: weights that batches agree on stay."""

from prunetui.api import Masks, Net, Scope, Training, dataclass, keep_top, register


@register("agreement-of-a-neighbour", source="a test")
@dataclass(frozen=True)
class Agreement:
    """Zero the weights whose gradients change their sign between batches.

    More words about it.
    """

    scope: Scope = "global"
    """Rank across the whole net, or within each layer."""

    epochs: int = 1
    """Epochs that are watched."""

    def during_training(self, training: Training) -> None:
        for name, weight in training.parameters().items():
            if weight.grad is not None:
                so_far = training.memory.get(name)
                training.memory[name] = weight.grad.sign() if so_far is None else so_far + weight.grad.sign()

    def prune(self, net: Net, sparsity: float) -> Masks:
        scores = {name: net.memory[name].abs() + w.abs().tanh() for name, w in net.weights().items()}
        return Masks(keep_top(scores, sparsity, self.scope, within=net))
'''


@pytest.fixture
def neighbour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Subject]:
    """A distribution that announces one module as an entry point, installed for one test."""
    about = tmp_path / "neighbour-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: neighbour\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[prunetui.methods]\nagreement = neighbour_pruning\n")
    (tmp_path / "neighbour_pruning.py").write_text(NEIGHBOUR)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    method_catalogue.forget()
    yield Subject("agreement-of-a-neighbour", Masks, "sparsity")
    method_catalogue.forget()
    sys.modules.pop("neighbour_pruning", None)


def test_a_method_of_somebody_else_is_found_and_listed(neighbour: Subject, capsys: pytest.CaptureFixture[str]) -> None:
    info = method_catalogue.catalogue().methods[neighbour.name]
    assert method_catalogue.catalogue().problems == ()
    assert (info.module, info.edit, info.trains) == ("neighbour_pruning", "masks", "alike")
    assert "neighbour_pruning" not in sys.modules  # listed without being imported
    print_methods(as_json=True)
    (listed,) = (one for one in json.loads(capsys.readouterr().out) if one["name"] == neighbour.name)
    assert listed["summary"] == "Zero the weights whose gradients change their sign between batches."
    assert [option["name"] for option in listed["options"]] == ["scope", "epochs"]
    print_method(neighbour.name, as_json=False)
    assert "epochs = 1" in capsys.readouterr().out


def test_a_method_of_somebody_else_passes_what_ours_pass(neighbour: Subject, bench: Bench) -> None:
    test_the_net_is_left_as_found(neighbour, bench)
    test_every_level_is_reached_exactly_and_edits_nest_along_a_schedule(neighbour, bench)
    test_the_same_seed_gives_the_same_edit(neighbour, bench)
    test_calibration_batches_of_one_image_suffice(neighbour, bench, (1, 1, 1))
    test_weights_in_bfloat16_are_pruned_to_the_same_level(neighbour, bench)
    test_less_than_what_is_already_gone_is_refused(neighbour, bench)
    assert "neighbour_pruning" in sys.modules
