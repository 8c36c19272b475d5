"""What each schedule does, step by step: a trial, its control, what they share, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from prunetui.config import parse_study
from prunetui.config.recipes import FinetuneTable
from prunetui.config.write import commented_study, study_toml
from prunetui.errors import ConfigError, Mistake
from prunetui.plan import Calibrate, Load, Plan, Prune, Rewind, Step, Train, Trial, Units, build_plan

SHORT = "[train]\nepochs = 4\n[finetune]\nepochs = 2\n"
"""Trained for 4 epochs, recovered for 2."""


def planned(*lines: str, units: Units | None = None) -> Plan:
    """The plan of a study of these lines, trained and recovered shortly."""
    return build_plan(parse_study("\n".join(lines) + "\n" + SHORT), units=units)


def compared(plan: Plan) -> list[Trial]:
    """The trials that are no control."""
    return [trial for trial in plan.trials if trial.method != "dense"]


def only(plan: Plan) -> Trial:
    (trial,) = compared(plan)
    return trial


def way(plan: Plan, key: str) -> list[str]:
    """The steps to a state in words: recipes without a teacher's key are those of the dense training."""
    return [words(node.step) for node in plan.path(key)]


def words(step: Step) -> str:
    if isinstance(step, Train):
        what = "recover" if isinstance(step.recipe, FinetuneTable) else "train"
        end = step.recipe.epochs if step.last is None else step.last
        momentum = " on" if step.carry else ""
        return f"{what}{momentum} {step.first}-{end}{' by ' + step.shaped['method'] if step.shaped else ''}"
    if isinstance(step, Prune):
        return f"{step.method} {step.value:g}{' of ' + step.only if step.only else ''}"
    if isinstance(step, Rewind):
        return f"rewind to {step.epoch}"
    assert isinstance(step, Load | Calibrate)
    return {Load: "load", Calibrate: "statistics"}[type(step)]


def steps(plan: Plan, key: str, kind: type) -> list[Any]:
    return [node.step for node in plan.path(key) if isinstance(node.step, kind)]


def shared(plan: Plan, left: str, right: str) -> int:
    """How many steps two states have in common."""
    return len({node.key for node in plan.path(left)} & {node.key for node in plan.path(right)})


# Every schedule, spelled out --------------------------------------------------------------------------

L1 = "sparsities = 0.8\nmethods = ['l1-structured']"
DENSE = "load, train 0-4"


@pytest.mark.parametrize(
    ("schedule", "trial", "control"),
    [
        (
            "'one-shot'",
            f"{DENSE}, l1-structured 0.8, statistics, recover 0-2",
            f"{DENSE}, statistics, recover 0-2",
        ),
        (
            "{ name = 'iterative', steps = 2, epochs = 3 }",
            f"{DENSE}, l1-structured 0.4, statistics, recover 0-3, l1-structured 0.8, statistics, recover on 0-2",
            f"{DENSE}, statistics, recover 0-3, statistics, recover on 0-2",
        ),
        (
            "{ name = 'iterative', levels = [0.3, 0.6, 0.9] }",
            f"{DENSE}, l1-structured 0.3, statistics, recover 0-2, l1-structured 0.6, statistics, recover on 0-2, "
            "l1-structured 0.8, statistics, recover on 0-2",
            f"{DENSE}, statistics, recover 0-2, statistics, recover on 0-2, statistics, recover on 0-2",
        ),
        (
            # Both epochs of the recovery begin with a prune step, which its learning rate does not notice.
            "{ name = 'gradual', steps = 2 }",
            f"{DENSE}, l1-structured 0.7, statistics, recover 0-1, l1-structured 0.8, statistics, recover on 1-2",
            f"{DENSE}, statistics, recover 0-2",
        ),
        (
            "'lottery-ticket'",
            "load, train 0-1, train on 1-4, l1-structured 0.8, rewind to 1, train 1-4",
            "load, train 0-1, train on 1-4",
        ),
        (
            "{ name = 'lottery-ticket', epoch = 0, steps = 2 }",
            f"{DENSE}, l1-structured 0.4, rewind to 0, train 0-4, l1-structured 0.8, rewind to 0, train 0-4",
            DENSE,
        ),
        (
            "{ name = 'lr-rewinding', levels = [0.5] }",
            f"{DENSE}, l1-structured 0.5, statistics, train 2-4, l1-structured 0.8, statistics, train 2-4",
            f"{DENSE}, statistics, train 2-4, statistics, train 2-4",
        ),
        (
            "{ name = 'lr-rewinding', epoch = 3 }",
            f"{DENSE}, l1-structured 0.8, statistics, train 3-4",
            f"{DENSE}, statistics, train 3-4",
        ),
        ("'at-init'", "load, l1-structured 0.8, train 0-4", DENSE),
    ],
)
def test_the_steps_of_a_trial_and_of_its_control(schedule: str, trial: str, control: str) -> None:
    plan = planned(f"schedule = {schedule}", L1)
    assert ", ".join(way(plan, only(plan).after)) == trial
    assert ", ".join(way(plan, only(plan).control)) == control


@pytest.mark.parametrize(
    ("method", "trial", "control"),
    [
        ("{ name = 'rigl' }", "load, rigl 0.8, train 0-4 by rigl", DENSE),
        ("{ name = 'set' }", "load, set 0.8, train 0-4 by set", DENSE),
        (
            "{ name = 'movement', epochs = 3 }",
            f"{DENSE}, recover 0-3 by movement, movement 0.8, statistics, recover on 0-2",
            f"{DENSE}, recover 0-3, statistics, recover on 0-2",
        ),
        (
            "{ name = 'movement', epochs = 1, schedule = { name = 'iterative', steps = 2, epochs = 1 } }",
            f"{DENSE}, recover 0-1 by movement, movement 0.4, statistics, recover on 0-1 by movement, movement 0.8, "
            "statistics, recover on 0-2",
            f"{DENSE}, recover 0-1, statistics, recover on 0-1, statistics, recover on 0-2",
        ),
        (
            "{ name = 'movement', epochs = 1, schedule = { name = 'gradual', steps = 2 } }",
            f"{DENSE}, recover 0-1 by movement, movement 0.7, statistics, recover 0-1 by movement, movement 0.8, "
            "statistics, recover on 1-2",
            f"{DENSE}, recover 0-1, statistics, recover 0-2",
        ),
        (
            "{ name = 'movement', epochs = 1, schedule = { name = 'lottery-ticket', steps = 2 } }",
            "load, train 0-1, train on 1-4, recover 0-1 by movement, movement 0.4, rewind to 1, train 1-4 by movement, "
            "movement 0.8, rewind to 1, train 1-4",
            "load, train 0-1, train on 1-4",
        ),
        (
            "{ name = 'bn-scale' }",  # a penalty only if epochs are asked for
            f"{DENSE}, bn-scale 0.8, statistics, recover 0-2",
            f"{DENSE}, statistics, recover 0-2",
        ),
        (
            "{ name = 'bn-scale', epochs = 2 }",
            f"{DENSE}, recover 0-2 by bn-scale, bn-scale 0.8, statistics, recover on 0-2",
            f"{DENSE}, recover 0-2, statistics, recover on 0-2",
        ),
        (
            "{ name = 'hybrid', parts = ['l1-structured', 'l1-unstructured'] }",
            f"{DENSE}, l1-structured 0.4, l1-unstructured 0.8, statistics, recover 0-2",
            f"{DENSE}, statistics, recover 0-2",
        ),
        (
            "{ name = 'nm' }",
            f"{DENSE}, nm 0.5, statistics, recover 0-2",
            f"{DENSE}, statistics, recover 0-2",
        ),
    ],
)
def test_the_steps_of_a_method_that_shapes_training_or_is_several(method: str, trial: str, control: str) -> None:
    plan = planned("sparsities = 0.8", f"methods = [{method}]")
    assert ", ".join(way(plan, only(plan).after)) == trial
    assert ", ".join(way(plan, only(plan).control)) == control


def test_a_state_before_recovery_has_its_statistics_estimated_anew_also_where_training_does_not_go_on_from_it() -> None:
    plan = planned("schedule = 'lottery-ticket'", L1)
    trial = only(plan)
    assert way(plan, trial.edited)[-1] == "l1-structured 0.8"
    assert way(plan, trial.before)[-2:] == ["l1-structured 0.8", "statistics"]


def test_progress_rises_to_one_along_a_schedule() -> None:
    for schedule in ("{ name = 'iterative', steps = 4 }", "{ name = 'lottery-ticket', steps = 4 }"):
        plan = planned(f"schedule = {schedule}", L1)
        assert [step.progress for step in steps(plan, only(plan).after, Prune)] == [0.25, 0.5, 0.75, 1.0]
    plan = planned("schedule = { name = 'gradual', steps = 2 }", L1)
    assert [step.progress for step in steps(plan, only(plan).after, Prune)] == [0.5, 1.0]


# What is shared ---------------------------------------------------------------------------------------


def test_the_levels_of_a_lottery_ticket_lie_on_one_path() -> None:
    plan = planned("schedule = 'lottery-ticket'", "sparsities = [0.3, 0.6, 0.9]", "methods = ['l1-structured']")
    low, middle, high = compared(plan)
    tail = ["l1-structured 0.3", "rewind to 1", "train 1-4", "l1-structured 0.6", "rewind to 1", "train 1-4"]
    assert way(plan, middle.after) == ["load", "train 0-1", "train on 1-4", *tail]
    assert shared(plan, low.after, high.after) == len(plan.path(low.after))
    assert shared(plan, middle.after, high.after) == len(plan.path(middle.after))
    assert low.control == middle.control == high.control == high.dense


def test_the_rounds_of_a_lottery_ticket_of_masks_lie_on_the_path_between_the_values() -> None:
    study = ("sparsities = [0.2, 0.488]", "methods = ['global-unstructured']")
    low, high = compared(planned("schedule = 'lottery-ticket'", *study))
    plan = planned("schedule = 'lottery-ticket'", *study)
    pruned = [step.value for step in steps(plan, high.after, Prune)]
    assert pruned == pytest.approx([0.2, 0.36, 0.488])
    assert shared(plan, low.after, high.after) == len(plan.path(low.after))
    once = planned("schedule = { name = 'lottery-ticket', rate = 1 }", *study)
    assert [step.value for step in steps(once, compared(once)[1].after, Prune)] == [0.2, 0.488]


def test_gradual_shares_no_edit_between_values_and_its_control_with_one_shot() -> None:
    gradual = "{ name = 'l1-structured', schedule = { name = 'gradual', steps = 2 } }"
    plan = planned("sparsities = [0.5, 0.8]", f"methods = [{gradual}, 'l1-structured']")
    low, high, once, _ = compared(plan)
    assert shared(plan, low.after, high.after) == shared(plan, low.after, once.after) == 2  # the dense network
    assert low.control == high.control == once.control
    assert [trial.id for trial in plan.trials if trial.method == "dense"] == ["dense-2ep-s0"]


def test_a_dense_training_is_split_where_a_lottery_ticket_goes_back_to_and_nowhere_else() -> None:
    ticket = "{{ name = 'l1-structured', schedule = {{ name = 'lottery-ticket', epoch = {} }} }}"
    two = ", ".join(ticket.format(epoch) for epoch in (1, 3, 0))
    plan = planned("sparsities = 0.8", f"methods = [{two}, {{ name = 'snip', schedule = 'lr-rewinding' }}]")
    early, late, initial, repeated = compared(plan)
    parts = ["load", "train 0-1", "train on 1-3", "train on 3-4"]
    assert way(plan, early.dense) == way(plan, repeated.dense) == parts
    keys = [node.key for node in plan.path(early.dense)]
    assert [steps(plan, trial.after, Rewind)[0].to for trial in (early, late, initial)] == [keys[1], keys[2], keys[0]]
    assert len({trial.dense for trial in plan.trials}) == 1


def test_what_comes_before_the_split_does_not_know_how_long_training_goes_on_after_it() -> None:
    """Two studies share the early weights they go back to."""
    once = planned("schedule = 'lottery-ticket'", L1)
    again = planned("schedule = 'lottery-ticket'", "sparsities = 0.2\nmethods = ['snip']")
    assert only(once).dense == only(again).dense
    assert steps(once, only(once).after, Rewind) == steps(again, only(again).after, Rewind)


def test_a_training_that_is_shaped_alike_for_all_sparsities_is_shared_by_them() -> None:
    plan = planned("sparsities = [0.5, 0.8]", "methods = ['group-lasso']")
    low, high = compared(plan)
    assert way(plan, low.after)[:3] == ["load", "train 0-4", "recover 0-3 by group-lasso"]
    assert shared(plan, low.after, high.after) == 3
    assert low.control == high.control


def test_a_training_that_is_shaped_by_the_sparsity_is_each_ones_own_and_the_control_is_shared() -> None:
    plan = planned("sparsities = [0.5, 0.8]", "methods = ['growing-reg']")
    low, high = compared(plan)
    assert way(plan, low.after)[:3] == ["load", "train 0-4", "recover 0-3 by growing-reg"]
    assert shared(plan, low.after, high.after) == 2
    (step, *_) = (step for step in steps(plan, low.after, Train) if step.shaped)
    assert (step.shaped["target"], step.shaped["value"]) == ("sparsity", 0.5)
    assert low.control == high.control


def test_an_option_of_the_method_changes_the_training_it_shapes() -> None:
    weak, strong = (planned(f"methods = [{{ name = 'group-lasso', strength = {s} }}]") for s in (1e-4, 1e-3))
    assert shared(weak, compared(weak)[0].after, compared(strong)[0].dense) == 2
    assert not {t.edited for t in compared(weak)} & {t.edited for t in compared(strong)}


def test_distillation_imitates_the_trained_dense_network_in_every_recovery_and_in_the_control() -> None:
    plan = build_plan(parse_study(f"{L1}\nschedule = {{ name = 'iterative', steps = 2 }}\nfinetune.distill = 0.5\n"))
    trial = only(plan)
    for key in (trial.after, trial.control):
        assert [step.teacher for step in steps(plan, key, Train)] == [None, trial.dense, trial.dense]


# Hybrids ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "edits"),
    [
        ("'l1-structured', 'l1-unstructured'", "l1-structured 0.4, l1-unstructured 0.8"),
        ("{ name = 'l1-structured', share = 0.75 }, 'l1-unstructured'", "l1-structured 0.6, l1-unstructured 0.8"),
        (
            "{ name = 'l1-structured', share = 0.5 }, 'fpgm', 'l1-unstructured'",
            "l1-structured 0.4, fpgm 0.6, l1-unstructured 0.8",
        ),
        (
            "{ name = 'l1-structured', share = 0.25 }, { name = 'snip', share = 0.75 }",
            "l1-structured 0.2, snip 0.8",
        ),
    ],
)
def test_the_parts_of_a_hybrid_share_what_it_removes_in_their_order(parts: str, edits: str) -> None:
    plan = planned("sparsities = 0.8", f"methods = [{{ name = 'hybrid', parts = [{parts}] }}]")
    assert ", ".join(words(step) for step in steps(plan, only(plan).after, Prune)) == edits


def test_thirds_add_up_to_the_whole() -> None:
    plan = planned("sparsities = 0.9", "methods = [{ name = 'hybrid', parts = ['fpgm', 'l1-structured', 'snip'] }]")
    assert [step.value for step in steps(plan, only(plan).after, Prune)] == [0.3, 0.6, 0.9]


def test_a_part_has_options_of_its_own_and_the_hybrid_is_timed_if_any_part_removes_channels() -> None:
    plan = planned(
        "sparsities = 0.8",
        "methods = [",
        "{ name = 'hybrid', parts = [{ name = 'l1-structured', scope = 'global' }, 'snip'] },",
        "{ name = 'hybrid', parts = ['lamp', 'snip'] },",
        "]",
    )
    narrow, masked = compared(plan)
    assert steps(plan, narrow.after, Prune)[0].options["scope"] == "global"
    assert (narrow.masked, masked.masked) == (False, True)


# Sensitivity ------------------------------------------------------------------------------------------

UNITS = Units(layers=("a", "b"), groups=(("a", "shortcut"), ("c",)), refused=("stem",))
SENSITIVE = "kind = 'sensitivity'\nsparsities = [0.5, 0.8]"


def sensitive(*lines: str) -> Plan:
    return build_plan(parse_study("\n".join([SENSITIVE, *lines]) + "\n[train]\nepochs = 4\n"), units=UNITS)


def test_a_sensitivity_study_prunes_one_layer_at_a_time_and_does_not_recover_unless_asked() -> None:
    plan = sensitive("methods = ['snip']")
    assert [(trial.layer, trial.value) for trial in compared(plan)] == [("a", 0.5), ("a", 0.8), ("b", 0.5), ("b", 0.8)]
    first = compared(plan)[0]
    assert way(plan, first.after) == ["load", "train 0-4", "snip 0.5 of a", "statistics"]
    assert (first.id, first.label, first.target) == ("snip-a-0.5-s0", "snip a", "sparsity")
    assert plan.skipped == []
    asked = build_plan(parse_study(f"{SENSITIVE}\nfinetune.epochs = 1\n"), units=UNITS)
    assert way(asked, compared(asked)[0].after)[-1] == "recover 0-1"


def test_of_channels_it_prunes_one_group_at_a_time_by_a_ratio_of_its_own_channels() -> None:
    plan = sensitive("methods = ['l1-structured']")
    assert {trial.layer for trial in compared(plan)} == {"a+shortcut", "c"}
    assert {trial.target for trial in compared(plan)} == {"channels"}
    assert [step.only for step in steps(plan, compared(plan)[0].after, Prune)] == ["a"]


def test_channels_that_must_stay_are_rows_that_say_so() -> None:
    plan = sensitive("methods = ['l1-structured', 'snip']", "seeds = [0, 1]")
    assert [(row["trial"], row["layer"], row["status"]) for row in plan.skipped] == [
        ("l1-structured-stem-skipped-s0", "stem", "skipped"),
        ("l1-structured-stem-skipped-s1", "stem", "skipped"),
    ]
    assert all("must stay" in row["error"] for row in plan.skipped)


def test_a_training_that_is_shaped_is_told_the_ratio_that_each_group_is_pruned_by() -> None:
    plan = sensitive("methods = ['growing-reg']")
    shaped = [step.shaped for trial in compared(plan) for step in steps(plan, trial.after, Train) if step.shaped]
    assert {(one["target"], one["value"]) for one in shaped} == {("channels", 0.5), ("channels", 0.8)}


def test_an_ordinary_study_prunes_all_layers_together() -> None:
    plan = planned(L1, units=UNITS)
    assert [trial.layer for trial in plan.trials] == ["", ""]
    assert plan.skipped == []


# What is refused --------------------------------------------------------------------------------------


def mistakes(text: str) -> list[Mistake]:
    with pytest.raises(ConfigError) as caught:
        parse_study(text)
    return list(caught.value.mistakes)


PATTERN = "methods = [{{ name = 'wanda', target = 'pattern', {} }}]"
HYBRID = "methods = [{{ name = 'hybrid', parts = [{}] }}]"
TICKET = "schedule = {{ name = 'lottery-ticket', epoch = {} }}"
ITERATIVE = "schedule = {{ name = 'iterative', {} }}"
PARTS, SCHEDULE = "methods[0].parts", "methods[0].schedule"


@pytest.mark.parametrize(
    ("text", "path", "reason"),
    [
        ("schedule = 'dynamic'", SCHEDULE, "global-unstructured moves no mask while it trains; it can be one-shot"),
        ("schedule = 'dynamic'\nmethods = ['movement']", SCHEDULE, "movement moves no mask while it trains"),
        ("schedule = 'one-shot'\nmethods = ['rigl']", SCHEDULE, "rigl does not work with the schedule one-shot; it"),
        ("schedule = 'gradual'\nmethods = ['set']", SCHEDULE, "set does not work with the schedule gradual; it can"),
        ("methods = ['rigl']\ntrain.epochs = 0", SCHEDULE, "dynamic prunes before training, so [train] needs epochs"),
        ("schedule = 'at-init'\nmethods = ['movement']", SCHEDULE, "movement learns from a training before its edit"),
        ("schedule = 'at-init'\nmethods = ['group-lasso']", SCHEDULE, "group-lasso learns from a training before"),
        ("schedule = 'lottery-ticket'\ntrain.epochs = 0", SCHEDULE, "repeats [train], so it needs epochs (with"),
        (TICKET.format(15), SCHEDULE, "there is no epoch 15 to go back to: [train] has 15 epochs, counted from 0"),
        ("schedule = { name = 'lr-rewinding', epoch = 20 }", SCHEDULE, "there is no epoch 20 to go back to"),
        ("schedule = 'gradual'\nfinetune.epochs = 1", SCHEDULE, "needs at least 2 epochs; it has 1"),
        ("schedule = { name = 'gradual', steps = 3 }", SCHEDULE, "once an epoch at most: 3 steps do not fit 2 epochs"),
        (ITERATIVE.format("levels = [0.5, 1.0]"), SCHEDULE, "a level is the fraction removed, in [0, 1)"),
        (ITERATIVE.format("levels = [0.5], steps = 2"), "schedule", "give either `steps` or explicit `levels`"),
        (ITERATIVE.format("spacing = 'geometric'"), "schedule", "geometric spacing needs `steps`"),
        ("kind = 'sensitivity'\nschedule = 'iterative'", SCHEDULE, "prunes one layer once: its schedule is one-shot"),
        ("kind = 'sensitivity'\nmethods = ['rigl']", SCHEDULE, "prunes one layer once: its schedule is one-shot"),
        ("kind = 'sensitivity'\n" + HYBRID.format("'fpgm', 'snip'"), "methods[0].name", "list its parts as methods"),
        ("methods = [{ name = 'nm', sparsities = 0.9 }]", "methods[0].sparsities", "exactly what its pattern says"),
        ("methods = [{ name = 'nm', n = 4 }]", "methods[0].n", "a pattern keeps n of m with 0 < n < m"),
        ("methods = [{ name = 'nm', n = 0 }]", "methods[0].n", "should be greater than or equal to 1"),
        ("methods = [{ name = 'nm', m = 0 }]", "methods[0].m", "should be greater than or equal to 1"),
        (PATTERN.format("schedule = 'gradual'"), SCHEDULE, "a pattern is reached in one step, and gradual has several"),
        (PATTERN.format("budget = 'erk'"), "methods[0].budget", "a pattern takes the same share of every layer"),
        (PATTERN.format("n = 1") + "\n[layers]\nfloor = 0.4", "layers.floor", "keeps 25.00% of every layer, less"),
        ("methods = [{ name = 'wanda', n = 1 }]", "methods[0].n", 'n and m are of the target "pattern"'),
        ("methods = [{ name = 'taylor', target = 'pattern', scope = 'local' }]", "methods[0].scope", "leave scope out"),
        ("methods = [{ name = 'group-lasso', epochs = 2 }]\nschedule = 'during-training'", SCHEDULE, "do nothing"),
        ("methods = ['nm']\nschedule = 'iterative'", SCHEDULE, "nm does not work with the schedule iterative"),
        ("methods = ['nm']\nschedule = { name = 'lottery-ticket', steps = 2 }", SCHEDULE, "a pattern is reached in"),
        ("methods = ['nm']\nschedule = 'lr-rewinding'", SCHEDULE, "nm edits a net once: lr-rewinding needs steps = 1"),
        ("methods = [{ name = 'movement', epochs = -1 }]", "methods[0].epochs", "should be greater than or equal to 1"),
        ("methods = ['hybrid']", PARTS, "a hybrid needs at least two parts"),
        (HYBRID.format("'snip'"), PARTS, "a hybrid needs at least two parts"),
        ("methods = [{ name = 'snip', parts = ['lamp'] }]", PARTS, "only a hybrid has parts; snip is one method"),
        (HYBRID.format("'snip', 'fpgm'"), f"{PARTS}[1]", "it would undo snip before it: removing channels"),
        (HYBRID.format("'fpgm', 'nm'"), f"{PARTS}[1]", "it knows no sparsity (only pattern)"),
        (HYBRID.format("'fpgm', 'threshold'"), f"{PARTS}[1]", "it knows no sparsity (only threshold)"),
        (HYBRID.format("'fpgm', 'rigl'"), f"{PARTS}[1]", "it shapes a training, and a hybrid"),
        (HYBRID.format("'group-lasso', 'snip'"), f"{PARTS}[0]", "it shapes a training, and a hybrid"),
        (HYBRID.format("'fpgm', 'hybrid'"), f"{PARTS}[1]", "a hybrid cannot be part of a hybrid"),
        (HYBRID.format("{ name = 'fpgm', share = 0.5 }, { name = 'snip', share = 0.6 }"), PARTS, "must add up to 1"),
        (HYBRID.format("{ name = 'fpgm', share = 0.5 }, { name = 'snip', share = 0.4 }"), PARTS, "must add up to 1"),
        (HYBRID.format("{ name = 'fpgm', share = 1.0 }, 'snip'"), PARTS, "must add up to 1"),
        (HYBRID.format("{ name = 'fpgm', scop = 'global' }, 'snip'"), f"{PARTS}[0].scop", "unknown key"),
        (HYBRID.format("'fpgn', 'snip'"), f"{PARTS}[0].name", "no such method"),
        (HYBRID.format("'fpgm', { name = 'snip', label = 'x' }"), f"{PARTS}[1].label", "unknown key"),
        (HYBRID.format("'fpgm', 'snip'") + "\nschedule = 'iterative'", SCHEDULE, "hybrid does not work with"),
        (HYBRID.format("'fpgm', 'snip'") + "\ntarget = 'macs'", "methods[0].target", "hybrid does not know this"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_with_its_place_and_reason(text: str, path: str, reason: str) -> None:
    (mistake,) = mistakes(text)
    assert mistake.path == path
    assert reason in mistake.message


def test_a_ticket_from_a_checkpoint_that_is_not_trained_is_refused(tmp_path: Any) -> None:
    (tmp_path / "net.pt").touch()
    text = f"schedule = 'lottery-ticket'\nmodel.checkpoint = '{tmp_path / 'net.pt'}'\n"
    (mistake,) = mistakes(text)
    assert "it needs epochs (with a checkpoint they are 0 by default)" in mistake.message
    assert parse_study(f"{text}train.epochs = 2").train.epochs == 2


def test_several_mistakes_are_told_at_once_each_at_its_line() -> None:
    found = mistakes(
        """
[[methods]]
name = "rigl"
schedule = "one-shot"
[[methods]]
name = "hybrid"
parts = ["snip", "fpgm"]
[[methods]]
name = "nm"
sparsities = 0.9
[[methods]]
name = "movement"
schedule = "at-init"
[[methods]]
name = "snip"
schedule = { name = "lottery-ticket", epoch = 15 }
"""
    )
    assert [(mistake.line, mistake.path) for mistake in found] == [
        (4, "methods[0].schedule"),
        (7, "methods[1].parts[1]"),
        (10, "methods[2].sparsities"),
        (13, "methods[3].schedule"),
        (16, "methods[4].schedule"),
    ]


# Methods that know few schedules ----------------------------------------------------------------------

MIXED = "methods = ['rigl', 'snip', 'nm', { name = 'hybrid', parts = ['fpgm', 'snip'] }]"


def test_without_a_schedule_every_method_has_the_first_it_knows() -> None:
    plan = planned("sparsities = 0.5", MIXED)
    assert [trial.schedule for trial in compared(plan)] == ["dynamic", "at-init", "one-shot", "one-shot"]


def test_a_schedule_that_is_named_is_meant() -> None:
    (mistake,) = mistakes(f"schedule = 'one-shot'\n{MIXED}")
    assert mistake.path == "methods[0].schedule"


@pytest.mark.parametrize("write", [study_toml, commented_study])
@pytest.mark.parametrize(
    "text",
    [
        MIXED,
        "schedule = 'lottery-ticket'\nmethods = ['snip', { name = 'rigl', schedule = 'dynamic' }]",
        HYBRID.format("{ name = 'fpgm', share = 0.7, round_to = 2 }, 'snip'"),
        "kind = 'sensitivity'\nmethods = ['fpgm', 'nm']",
    ],
)
def test_a_study_that_is_written_down_gives_the_same_plan(write: Any, text: str) -> None:
    study = parse_study(text)
    assert build_plan(parse_study(write(study)), units=UNITS) == build_plan(study, units=UNITS)
