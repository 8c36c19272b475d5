"""``prunetui.prune``: a network that lives in memory becomes a smaller one, in one call, with proof."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from prunetui.api import Task
from prunetui.config import LayersTable
from prunetui.engine.convolutions import make_ordinary, safe_kinds
from prunetui.engine.models.in_memory import check_supported, copied, folded, unwrapped
from prunetui.engine.models.proved_heads import ProvedHeads, proved_heads
from prunetui.engine.removal_record import Rewritten
from prunetui.errors import UsageError
from prunetui.scripting.call_words import in_words_of_call
from prunetui.scripting.chosen_method import chosen_method, with_own
from prunetui.scripting.given_data import example_of, source_of
from prunetui.scripting.given_task import Inputs, Loss, given_task
from prunetui.scripting.progress_bar import StageBar
from prunetui.scripting.pruning import STAGES, Pruning
from prunetui.scripting.pruning_report import PruningReport
from prunetui.scripting.recover import Finetune, recipe_of


@in_words_of_call()
def prune(
    model: nn.Module, data: Any = None, *, method: Any = "group-norm", target: str = "sparsity", amount: float = 0.5,
    options: Mapping[str, Any] | None = None, round_to: int | None = None, scope: str | None = None,
    exclude: str | Sequence[str] = (), floor: float = 0.0, ends: str = "keep", task: str | Task | None = None,
    loss: Loss | None = None, inputs: Inputs | None = None, example_inputs: Any = None,
    test: Iterable[Any] | None = None, calibration: int = 512, recalibrate: bool = True, finetune: Finetune = None,
    seed: int = 0, progress: bool = True,
) -> tuple[nn.Module, PruningReport]:  # fmt: skip
    """A smaller copy of a network, and a report; ``model`` itself stays as it is.

    ``data``: batches of training data, a DataLoader or a list; methods see the first ``calibration`` examples. Without
    it, ``example_inputs``, as they go into the network, are enough for methods that look at weights alone.
    ``method``, ``options``: see ``prunetui methods``; or an instance. ``amount`` of ``target`` is removed: sparsity
    (weights), params, macs or channels. ``exclude``: layers that stay, as "head.*"; ``floor``: what each layer keeps;
    ``ends="prune"``: single weights of the first and last layer may go, too.
    ``task`` says what the network is for (classification if nothing does); or ``loss(model, batch)`` with
    ``inputs(batch)``, what of a batch goes into it (by default the first of a pair). ``test``: batches that it is
    measured on. ``recalibrate``: estimate batch-norm statistics anew. ``finetune``: epochs, or keys of a study's
    [finetune]; no dense control is trained beside it.

    The copy is of the same class, on the same device, in the same modes; frozen parameters stay frozen. Parameters are
    new objects: make optimisers, torch.compile and DataParallel anew. Weights computed from others (weight norm) become
    plain, attention of torch and torchvision a class that can lose heads; hooks are copied with what they hold.

    Raises:
        UsageError: an argument is wrong, or nothing of the network can be removed so; says why.
        TrialError: the method fails on it, or misses its target.
    """
    own = {name: value for name, value in (("round_to", round_to), ("scope", scope)) if value is not None}
    chosen = chosen_method(method, with_own(options, own), target, amount)
    recipe, rules = recipe_of(finetune), _rules(exclude, floor, ends)
    device = check_supported(given := unwrapped(model))
    with _undisturbed(seed), StageBar(progress, STAGES) as stages:
        source = source_of(data, test, device, calibration)
        what = given_task(task, loss, inputs, None if source is None else source.seen[0])
        network = copied(given)
        plain, example = folded(network), example_of(source, example_inputs, what, network, device)
        heads = proved_heads(network, example)
        asked = (chosen, target, amount, rules, what, source, example, seed, stages, notes_of(plain, heads))
        return Pruning(network, Rewritten(plain, heads.replaced), *asked).result(recalibrate, recipe)


def notes_of(plain: tuple[str, ...], heads: ProvedHeads) -> list[str]:
    """What a report says of a network that was rewritten before anything was removed from it."""
    lines = [f"weights are plain now; they were computed from others in each pass: {', '.join(plain)}"] * bool(plain)
    if heads.replaced:
        lines.append(f"attention computes the same by a class that can lose heads: {', '.join(heads.replaced)}")
    return [
        *lines,
        *(f"attention that cannot lose heads, {name or 'the network'}: {why}" for name, why in heads.stays.items()),
    ]


def _rules(exclude: str | Sequence[str], floor: float, ends: str) -> LayersTable:
    if isinstance(floor, bool) or not isinstance(floor, int | float) or not 0 <= floor < 1:
        raise UsageError(f"floor is {floor!r}; it must be the fraction that every layer keeps, in [0, 1)")
    if ends not in ("keep", "prune"):
        raise UsageError(f'ends is {ends!r}; it must be "keep" or "prune"')
    excluded = (exclude,) if isinstance(exclude, str) else exclude
    if not isinstance(excluded, list | tuple | set | frozenset) or not all(isinstance(one, str) for one in excluded):
        raise UsageError(f'exclude is {exclude!r}; it must be the name of a layer, as "head.*", or a list of names')
    return LayersTable.model_validate({"exclude": tuple(excluded), "floor": floor, "first": ends, "last": ends})


@contextmanager
def _undisturbed(seed: int) -> Iterator[None]:
    """Random numbers follow from the seed, and those of the caller go on as if nothing had been drawn.

    Kernels that were replaced because this machine computes them wrongly are given back.
    """
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise UsageError(f"seed is {seed!r}; it must be a whole number")
    state, before = random.getstate(), safe_kinds()
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()  # type: ignore[no-untyped-call]
    try:
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(seed)
            random.seed(seed)
            yield
    finally:
        random.setstate(state)
        if not before:
            make_ordinary()
