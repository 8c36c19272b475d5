"""The stages of pruning a network in memory: what may go, the method's edit, the smaller network, what it is worth."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from prunetui.api import Channels, Modules, Net, Task, mapped
from prunetui.config import LayersTable, Recipe
from prunetui.engine.count import count, used_layers
from prunetui.engine.data.given_batches import GivenBatches, NoBatches
from prunetui.engine.evaluation import evaluate
from prunetui.engine.graph import Graph
from prunetui.engine.layer_collapse import collapsed
from prunetui.engine.method_edit import MethodEdit, edited
from prunetui.engine.models.in_memory import copied, in_memory, modes_kept, tied_layers
from prunetui.engine.narrow_network import narrowed, removed_against_silenced
from prunetui.engine.removal_record import Rewritten
from prunetui.engine.state import State, instantiate
from prunetui.engine.trace_network import CUT_SHORT, proved_graph, told_of
from prunetui.engine.tracing.cut_tensors import named_tensors
from prunetui.engine.tracing.example_calls import one_example
from prunetui.engine.train_job import TrainProgress
from prunetui.engine.verify_edit import achieved, filters_gone
from prunetui.errors import PrunetuiError, TrialError, UsageError
from prunetui.scripting.chosen_method import ChosenMethod
from prunetui.scripting.kept_channels import stays_of
from prunetui.scripting.progress_bar import StageBar
from prunetui.scripting.pruning_report import Change, ChangedGroup, MeasuredChange, PruningReport, changes_of
from prunetui.scripting.recover import finetuned, recalibrated, why_not_recalibrated

STAGES = 6
ENDS = 2
"""Layers of which the weights stay if nothing else is said: the first and the last."""
SHOWN = 8
NO_EFFECT = (
    "with its weights as they are, nothing that comes out depends on these channels (the last layer may be all zeros): "
    "that removing them is right was proved with random weights only"
)


@dataclass(frozen=True)
class Request:
    """What the edit of a method is held to."""

    method: str
    options: Mapping[str, Any]
    target: str
    value: float
    rules: Mapping[str, Any]
    only: str | None = None


@dataclass
class Pruning:
    """One network that is pruned."""

    network: nn.Module
    """A copy of the one that was given, its weights plain."""
    rewritten: Rewritten
    chosen: ChosenMethod
    target: str
    amount: float
    rules: LayersTable
    task: Task
    source: GivenBatches | None
    example: Any
    """What goes into the network, of a batch, on its device."""
    seed: int
    stages: StageBar
    notes: list[str] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    def result(self, recalibrate: bool, recipe: Recipe | None) -> tuple[nn.Module, PruningReport]:
        """The smaller network and the report."""
        self.stages.stage("finding and proving what can be removed")
        graph = self._graph()
        self.stages.stage("measuring the dense network")
        dense = self._measured(self.network)
        self.stages.stage(f"asking {self.chosen.name}")
        state, made = self._edited(graph)
        self.stages.stage("removing, and comparing with silencing")
        small = narrowed(self.network, made.after, graph, self.rewritten)
        gap = self._gap(small, state, made, graph)
        self.stages.stage("measuring the pruned network")
        figures = self._recovered(small, made.after.masks, dense, recalibrate, recipe)
        return small, self._report(small, graph, made, gap, figures)

    @cached_property
    def _plain(self) -> nn.Module:
        """A copy on the CPU, in float32, for graphs and counts."""
        return copied(self.network).cpu().float()

    @cached_property
    def _on_cpu(self) -> Any:
        return mapped(self.example, lambda t: t.detach().cpu().float() if t.is_floating_point() else t.detach().cpu())

    @cached_property
    def _one(self) -> Any:
        return one_example(self._plain, self._on_cpu)

    def _graph(self) -> Graph:
        """What may be removed: single weights of layers, or proved groups of channels."""
        if self.chosen.kind != "channels":
            layers = used_layers(self._plain, self._one)
            whole = Graph((), (), layers)
            tied = tied_layers(self.network, whole.weighted)
            self.notes += [f"weights of {', '.join(tied)} stay: they are of several layers"] * bool(tied)
            if self.rules.last == "keep" and len(whole.weighted) <= ENDS:
                raise UsageError(
                    f"the network has {len(whole.weighted)} layers with weights, and the first and the last keep "
                    'theirs: ends="prune" lets them go'
                )
            graph = whole.restricted(self.rules)
            graph = replace(graph, exempt=graph.exempt | set(tied))
            if not graph.prunable:
                raise UsageError("the network has no convolution or linear layer whose weights may go")
            return graph
        found = proved_graph(self._plain, self._one, in_memory=True)
        self.notes += [CUT_SHORT] * found.cut_short + told_of(found)
        # Ends are said of weights: of the first and last layers channels go that are coupled with others.
        graph = found.restricted(self.rules.model_copy(update={"first": "prune", "last": "prune"}))
        if not graph.groups:
            stays = stays_of(found)
            told = [f"{name}: {reason}" if name else reason for name, reason in list(stays.items())[:SHOWN]]
            raise UsageError(f"no channels of this network can be removed. {'; '.join(told) or 'exclude keeps them'}")
        return graph

    def _edited(self, graph: Graph) -> tuple[State, MethodEdit]:
        """The dense state and what the method makes of it."""
        working = copied(self.network)
        copies: dict[int, Tensor] = {}  # names of one tensor hold one copy
        tensors = {name: copies.setdefault(id(t), t.detach().clone()) for name, t in named_tensors(working).items()}
        state = State(in_memory(working), tensors)
        options = self.chosen.options
        request = Request(self.chosen.name, options, self.target, self.amount, {"floor": self.rules.floor})
        net = Net(
            model=instantiate(state, next(working.parameters()).device),
            masks={},
            batches=NoBatches(self.chosen.name) if self.source is None else self.source.seen,
            generator=torch.Generator().manual_seed(self.seed),
            constraints=graph.constraints(
                state, edit=self.chosen.kind, target=self.target, floor=self.rules.floor, only=None
            ),
            progress=1.0,
            task=self.task,
        )
        try:
            made = edited(request, self.chosen.kind, self.chosen.method, net, state, graph)
        except PrunetuiError:
            raise
        except Exception as error:
            what = f"{type(error).__name__}: {error}"
            raise TrialError(f"the method {self.chosen.name} fails on this network: {what}") from error
        self.notes += made.told_unranked()
        return state, made

    def _gap(self, small: nn.Module, state: State, made: MethodEdit, graph: Graph) -> float | None:
        if not isinstance(made.edit, Channels):
            return None
        if made.edit.moved:
            self.notes.append("the method changed weights to make up for what it removed: that computes something else")
            return None
        found = removed_against_silenced(small, made.edit.keep, state, graph, self.example)
        self.notes += [NO_EFFECT] * (found.silenced == 0)
        return found.removed

    # What it is worth -------------------------------------------------------------------------------------

    def _measured(self, network: nn.Module) -> float | None:
        """The primary metric; None where it cannot be told, which is said once."""
        if self.source is None:
            return None
        try:
            with modes_kept(network):
                figures = evaluate(network, self.task, self.source, "test", self.source.batch_size, loss=False)
            found = figures[self.task.table.primary.key]
        except Exception as error:  # noqa: BLE001 - data may have no labels, and pruning does not need them
            self.notes.append(f"{self.task.table.primary.title} is not measured: {type(error).__name__}: {error}")
            return None
        return None if found is None else float(found)

    def _recovered(
        self, small: nn.Module, masks: Mapping[str, Tensor], dense: float | None, recalibrate: bool,
        recipe: Recipe | None,
    ) -> MeasuredChange | None:  # fmt: skip
        """Batch-norm statistics estimated anew and fine-tuning, both in place, with the metric after each."""
        known = dense is not None
        raw = self._measured(small) if known else None
        again = trained = None
        why = why_not_recalibrated(small, self.source) if recalibrate else ""
        if why is None and self.source is not None:
            recalibrated(small, self.task, self.source)
            again = self._measured(small) if known else None
        self.notes += [why] if why else []
        if recipe is not None:
            self._finetune(small, masks, recipe)
            trained = self._measured(small) if known else None
        if dense is None or raw is None or self.source is None:
            return None
        where = "on test" if self.source.has_test else f"on the {self.source.count} examples that were looked at"
        return MeasuredChange(self.task.table.primary, where, dense, raw, again, trained)

    def _finetune(self, small: nn.Module, masks: Mapping[str, Tensor], recipe: Recipe) -> None:
        if self.source is None:
            raise UsageError("fine-tuning needs data=, the training data")
        self.stages.stage(f"fine-tuning for {recipe.epochs} epochs")

        def report(done: TrainProgress) -> None:
            self.stages.within(done.done / max(1, done.total), f"epoch {done.epoch}, loss {done.loss:.4f}")

        finetuned(small, self.task, self.source, recipe, masks, self.seed, report)
        self.notes.append("no dense network was trained as long beside it (a study has that control)")

    def _report(
        self, small: nn.Module, graph: Graph, made: MethodEdit, gap: float | None, metric: MeasuredChange | None
    ) -> PruningReport:
        after, widths = made.after, graph.widths(made.after.tensors)
        changes = ((group, Change(group.width, widths[group.name])) for group in graph.groups)
        changed = tuple(ChangedGroup(g.name, change, g.producers) for g, change in changes if change.removed)
        kind = "sparsity" if self.target in ("threshold", "pattern") else self.target
        gone = filters_gone(made.edit) if isinstance(made.edit, Modules) else achieved(kind, after, graph)
        self.notes += [line for line in (collapsed(graph.dense, widths, gone, "floor=0.1"),) if line]
        return PruningReport(
            method=self.chosen.name, options=dict(self.chosen.options), target=self.target, amount=self.amount,
            achieved=gone,
            **changes_of(count(self._plain, self._one), count(copied(small).cpu().float(), self._one, after.masks)),
            groups=changed,
            stays=stays_of(graph) if graph.groups else {},
            difference=gap, metric=metric,
            masks={name: mask.detach().clone() for name, mask in after.masks.items()},
            notes=tuple(dict.fromkeys(self.notes)), seconds=time.monotonic() - self.started,
        )  # fmt: skip
