"""All that a contribution imports: what a pruning method sees and returns, and what data and tasks are.

A method is a frozen dataclass with a ``prune`` that looks at a ``Net`` and returns an edit: ``Masks`` (weights set
to zero), ``Channels`` (channels physically removed) or ``Modules`` (layers that share filters). It never changes the
net.
``keep`` is always name -> bool tensor in which True survives; ``sparsity`` always the fraction removed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from prunetui.api.activation_maps import activation_maps
from prunetui.api.channel_solver import ChannelReader, channel_costs, fitted
from prunetui.api.clusters import Clusters, cluster_filters, filter_weights
from prunetui.api.density_budgets import keep_within, weights_kept
from prunetui.api.edit import Channels, Masks, Modules, Shared
from prunetui.api.functional_call import called_with
from prunetui.api.groups import Group, Slice
from prunetui.api.input_columns import can_unfold, input_columns, weight_rows
from prunetui.api.input_statistics import InputMoments, blocks_of, input_energies, input_moments
from prunetui.api.kernel_selection import keep_top_kernels, kernels_of, weights_left
from prunetui.api.layer_budgets import erk_budgets, exchanged, ranked_by_output
from prunetui.api.logits import logits_of
from prunetui.api.net import Keep, Net
from prunetui.api.obs_solver import compensated, removal_costs
from prunetui.api.options import Budget, ChannelScope, Count, Factor, FromOne, Normalise, Part, Positive, Scope, Share
from prunetui.api.patterns import fits_pattern, from_input_rows, input_rows, keep_pattern, keep_scored, pattern_of_rows
from prunetui.api.registry import PruningMethod, data, executor, model, register, runtime, task, tracker
from prunetui.api.scores import (
    cannot_rank,
    channel_maps,
    feature_maps,
    filters_of,
    group_squares,
    per_channel,
    weights_of,
    zero_scores,
)
from prunetui.api.selection import channel_widths, filters_kept, keep_above, keep_channels, keep_erk, keep_top
from prunetui.api.source import Batch, IndexedSource, Source, arguments_of, called, count_of, mapped
from prunetui.api.splits import Splits
from prunetui.api.task import Accumulator, Evaluation, Network, Task
from prunetui.api.training import Training
from prunetui.errors import TrialError
from prunetui.metrics import Metric

__all__ = [
    "Accumulator",
    "Annotated",
    "arguments_of",
    "Batch",
    "Budget",
    "ChannelReader",
    "ChannelScope",
    "Channels",
    "Count",
    "Factor",
    "FromOne",
    "Clusters",
    "Evaluation",
    "Group",
    "IndexedSource",
    "InputMoments",
    "Keep",
    "Literal",
    "Masks",
    "Metric",
    "Modules",
    "Net",
    "Network",
    "Normalise",
    "Part",
    "Positive",
    "PruningMethod",
    "Scope",
    "Share",
    "Shared",
    "Slice",
    "Source",
    "Splits",
    "Task",
    "Training",
    "TrialError",
    "activation_maps",
    "blocks_of",
    "called",
    "can_unfold",
    "cannot_rank",
    "called_with",
    "compensated",
    "channel_costs",
    "channel_maps",
    "channel_widths",
    "cluster_filters",
    "count_of",
    "data",
    "dataclass",
    "erk_budgets",
    "exchanged",
    "executor",
    "feature_maps",
    "filter_weights",
    "filters_of",
    "filters_kept",
    "fits_pattern",
    "fitted",
    "from_input_rows",
    "group_squares",
    "input_columns",
    "input_energies",
    "input_moments",
    "input_rows",
    "keep_above",
    "keep_channels",
    "keep_erk",
    "keep_pattern",
    "keep_scored",
    "keep_top",
    "keep_top_kernels",
    "keep_within",
    "kernels_of",
    "logits_of",
    "mapped",
    "model",
    "pattern_of_rows",
    "per_channel",
    "ranked_by_output",
    "register",
    "removal_costs",
    "runtime",
    "task",
    "tracker",
    "weight_rows",
    "weights_kept",
    "weights_left",
    "weights_of",
    "zero_scores",
]
