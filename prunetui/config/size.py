"""How large a study is, by arithmetic: what is too large is refused before anything is planned."""

from __future__ import annotations

import math
from collections.abc import Sequence

from prunetui.config.choices import applied, schedule_of, values_of
from prunetui.config.schedule import AnySchedule, Gradual, Leveled, LotteryTicket
from prunetui.config.schema import MethodTable, Study

MOST_TRIALS = 100_000
MOST_PRUNE_STEPS = 500_000
"""Of all trials together; a trial of a schedule of many levels has many."""


def trial_count(study: Study, layers: int = 1) -> int:
    """How many trials there are, the dense controls aside.

    Of a sensitivity study ``layers`` says how many each of its methods prunes on their own, which only the network
    tells: before that there are at least as many as with one.
    """
    return layers * len(study.seeds) * sum(len(values_of(study, method)) for method in study.methods)


def prune_step_count(study: Study, layers: int = 1) -> int:
    """How many times all trials prune, as if no two shared a step."""
    return layers * len(study.seeds) * sum(_prune_steps(study, method) for method in study.methods)


def too_large(study: Study, layers: int = 1) -> str:
    """Why a study is refused; empty if it is not."""
    trials = trial_count(study, layers)
    if trials > MOST_TRIALS:
        of = f"methods: {len(study.methods):,}, seeds: {len(study.seeds):,}" + f", layers: {layers:,}" * (layers > 1)
        return f"it asks for {trials:,} trials ({of}); at most {MOST_TRIALS:,} are planned in one study"
    steps = prune_step_count(study, layers)
    if steps > MOST_PRUNE_STEPS:
        few = "ask for fewer trials, or for schedules of fewer steps"
        return f"its trials ({trials:,}) prune {steps:,} times in all; at most {MOST_PRUNE_STEPS:,} are planned: {few}"
    return ""


def _prune_steps(study: Study, method: MethodTable) -> int:
    values = values_of(study, method)
    each = _levels(schedule_of(study, method), values, study.finetune.epochs)
    return len(applied(method)) * len(values) * each


def _levels(schedule: AnySchedule, values: Sequence[float], epochs: int) -> int:
    """The most levels that one trial of a schedule goes through."""
    if isinstance(schedule, Gradual):
        return schedule.steps or max(1, round(schedule.until * epochs))
    if not isinstance(schedule, Leveled):
        return 1
    if schedule.levels:
        return len(schedule.levels) + 1
    if schedule.steps:
        return schedule.steps
    if isinstance(schedule, LotteryTicket) and schedule.rate < 1:  # at most: every value is a round, too
        return len(values) + math.ceil(math.log(max(1 - max(values), 1e-9)) / math.log(1 - schedule.rate))
    return len(values)
