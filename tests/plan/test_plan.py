"""A study unrolled into a tree of steps: what is shared, what is compared, and what changes a key."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest

from prunetui.config import parse_study
from prunetui.errors import ConfigError
from prunetui.plan import (
    Calibrate,
    Latency,
    Load,
    Measure,
    Plan,
    Prune,
    Train,
    Trial,
    build_plan,
    measurements,
    missing,
    step_key,
)


def planned(text: str, *overrides: str, **context: Any) -> Plan:
    return build_plan(parse_study(text, overrides), context)


def compared(plan: Plan) -> list[Trial]:
    """The trials that are no control."""
    return [trial for trial in plan.trials if trial.method != "dense"]


def controls(plan: Plan) -> list[Trial]:
    return [trial for trial in plan.trials if trial.method == "dense"]


def steps(plan: Plan, key: str, kind: type) -> list[Any]:
    """The steps of one kind on the way to a node."""
    return [node.step for node in plan.path(key) if isinstance(node.step, kind)]


def count(plan: Plan, kind: type) -> int:
    return sum(isinstance(node.step, kind) for node in plan.nodes.values())


def epochs(plan: Plan, key: str) -> int:
    return sum(step.recipe.epochs for step in steps(plan, key, Train))


ONE = "sparsities = [0.5]\nmethods = [{ name = 'l1-structured' }]\n"
ITERATIVE = "schedule = 'iterative'\nsparsities = [0.5, 0.7, 0.9]\n"


# The path of one trial --------------------------------------------------------------------------------


def test_a_one_shot_trial_loads_trains_prunes_recalibrates_and_recovers():
    plan = planned(ONE)
    (trial,) = compared(plan)
    path = plan.path(trial.after)
    assert [type(node.step) for node in path] == [Load, Train, Prune, Calibrate, Train]
    assert [node.key for node in path[1:]] == [trial.dense, trial.edited, trial.before, trial.after]
    prune = path[2].step
    assert (prune.method, prune.target, prune.value, prune.progress) == ("l1-structured", "sparsity", 0.5, 1.0)
    assert path[4].step.recipe.epochs == 2


@pytest.mark.parametrize(
    ("override", "kinds"),
    [
        ("train.epochs=0", [Load, Prune, Calibrate, Train]),
        ("finetune.epochs=0", [Load, Train, Prune, Calibrate]),
        ("measure.recalibrate=0", [Load, Train, Prune, Train]),
    ],
)
def test_a_step_that_does_nothing_is_not_in_the_path(override: str, kinds: list[type]):
    plan = planned(ONE, override)
    (trial,) = compared(plan)
    assert [type(node.step) for node in plan.path(trial.after)] == kinds


def test_an_iterative_trial_trains_between_its_levels():
    plan = planned("schedule = { name = 'iterative', steps = 3, epochs = 1 }\nsparsities = [0.9]\n")
    (trial,) = compared(plan)
    assert [step.value for step in steps(plan, trial.after, Prune)] == [0.3, 0.6, 0.9]
    assert [step.recipe.epochs for step in steps(plan, trial.after, Train)] == [15, 1, 1, 2]
    assert steps(plan, trial.after, Prune)[-1].progress == 1.0
    assert plan.nodes[trial.edited].step == steps(plan, trial.after, Prune)[-1]


def test_parents_come_before_their_children_in_the_tree():
    plan = planned(ITERATIVE)
    seen: set[str] = set()
    for key, node in plan.nodes.items():
        assert node.key == key
        assert node.parent is None or node.parent in seen
        seen.add(key)


# What is shared ---------------------------------------------------------------------------------------


def test_all_trials_of_a_seed_share_one_trained_dense_network():
    three = "methods = ['l1-structured', 'l1-unstructured', 'threshold']\n"
    plan = planned(f"sparsities = [0.5, 0.9]\nseeds = [0, 1]\n{three}")
    assert len(compared(plan)) == 2 * (2 + 2 + 5)
    assert len({trial.dense for trial in plan.trials}) == 2
    assert count(plan, Load) == 2
    dense = [node for node in plan.nodes.values() if isinstance(node.step, Train) and node.step.recipe.epochs == 15]
    assert {node.key for node in dense} == {trial.dense for trial in plan.trials}


def test_an_iterative_trajectory_yields_all_its_levels():
    """Pruning to 90 % by way of 50 % and 70 % passes the very states of the other two trials."""
    plan = planned(ITERATIVE)
    low, middle, high = compared(plan)
    assert [trial.value for trial in (low, middle, high)] == [0.5, 0.7, 0.9]
    way = [node.key for node in plan.path(high.after)]
    assert low.edited in way
    assert low.after in way
    assert middle.after in way
    assert count(plan, Prune) == 3


def test_trajectories_share_their_prune_steps_where_only_the_last_recovery_is_longer():
    plan = planned("schedule = { name = 'iterative', epochs = 1 }\nsparsities = [0.5, 0.7, 0.9]\n")
    low, middle, high = compared(plan)
    way = [node.key for node in plan.path(high.after)]
    assert low.edited in way
    assert low.after not in way
    assert middle.edited in way
    assert count(plan, Prune) == 3


def test_two_entries_of_one_method_with_equal_settings_share_all_their_steps():
    plan = planned("sparsities = [0.5]\nmethods = ['l1-structured', 'l1-structured']\n")
    first, second = compared(plan)
    assert first.after == second.after
    assert (first.label, second.label) == ("l1-structured #1", "l1-structured #2")


def test_users_counts_the_trials_that_pass_a_node():
    plan = planned("sparsities = [0.5, 0.9]\nmethods = ['l1-structured']\n")
    first, second = compared(plan)
    users = plan.users()
    assert users[first.dense] == 3  # both, and their control
    assert users[first.after] == users[second.after] == 1


# Controls ---------------------------------------------------------------------------------------------


def test_the_control_is_the_dense_network_trained_for_the_same_extra_epochs():
    plan = planned("schedule = { name = 'iterative', steps = 3, epochs = 4 }\nsparsities = [0.9]\n")
    (trial,), (control,) = compared(plan), controls(plan)
    assert control.after == control.control == trial.control
    assert steps(plan, trial.control, Prune) == []
    assert epochs(plan, trial.control) == epochs(plan, trial.after) == 15 + 4 + 4 + 2
    assert (control.id, control.label, control.value) == ("dense-10ep-s0", "dense", 0.0)
    assert control.dense == control.edited == trial.dense
    kinds = [type(node.step).__name__ for node in plan.path(control.after)]
    assert kinds == ["Load", "Train", *["Calibrate", "Train"] * 3]  # all that the trial does, but the edits
    assert control.before == plan.path(control.after)[-2].key


def test_one_control_is_enough_for_all_who_train_as_long():
    plan = planned("sparsities = [0.5, 0.9]\nmethods = ['l1-structured', 'l1-unstructured']\nseeds = [0, 1]\n")
    assert [trial.id for trial in controls(plan)] == ["dense-2ep-s0", "dense-2ep-s1"]
    assert {trial.control for trial in compared(plan)} == {trial.after for trial in controls(plan)}


def test_every_length_of_training_has_its_control():
    plan = planned(ITERATIVE)
    assert [trial.id for trial in controls(plan)] == ["dense-2ep-s0", "dense-4ep-s0", "dense-6ep-s0"]
    assert [epochs(plan, trial.control) for trial in compared(plan)] == [17, 19, 21]


def test_a_control_that_is_not_wanted_is_neither_trained_nor_measured():
    study = parse_study(ONE, ["measure.control=false"])
    plan = build_plan(study)
    assert controls(plan) == []
    (trial,) = compared(plan)
    needed = missing(plan, plan.trials, lambda node: False)
    assert trial.after in needed
    assert trial.control not in needed


def test_without_recovery_the_control_is_the_dense_network_with_its_statistics_re_estimated():
    plan = planned(ONE, "finetune.epochs=0")
    (trial,), (control,) = compared(plan), controls(plan)
    assert control.after == control.before == trial.control
    assert [type(node.step).__name__ for node in plan.path(trial.control)] == ["Load", "Train", "Calibrate"]
    assert control.id == "dense-0ep-s0"
    plain, _ = planned(ONE, "finetune.epochs=0", "measure.recalibrate=0").trials
    assert plain.after == plain.control == plain.dense


def test_controls_stand_before_what_is_compared_with_them_seed_by_seed():
    plan = planned("seeds = [3, 1]\nmethods = [{ name = 'threshold', sparsities = 0.1 }]\n")
    ids = [trial.id for trial in plan.trials]
    assert ids == ["dense-2ep-s3", "threshold-0.1-s3", "dense-2ep-s1", "threshold-0.1-s1"]


@pytest.mark.parametrize(("between", "carries"), [(0, [False, False]), (1, [False, False, True])])
def test_only_a_later_recovery_goes_on_with_momentum(between: int, carries: list[bool]):
    """It carries that of the recovery before it; the first recovery never carries that of dense training."""
    plan = planned(f"schedule = {{ name = 'iterative', steps = 2, epochs = {between} }}\nsparsities = [0.5]\n")
    (trial,) = compared(plan)
    assert [step.carry for step in steps(plan, trial.after, Train)] == carries
    assert [step.carry for step in steps(plan, trial.control, Train)] == carries


def test_levels_without_training_between_share_the_control_of_one_shot():
    silent = "{ name = 'iterative', steps = 2, epochs = 0 }"
    plan = planned(f"sparsities = [0.5]\nmethods = ['threshold', {{ name = 'l1-structured', schedule = {silent} }}]\n")
    assert [trial.id for trial in controls(plan)] == ["dense-2ep-s0"]


# Keys -------------------------------------------------------------------------------------------------

STATES = ("dense", "edited", "before", "after", "control")


def changed(override: str) -> set[str]:
    """Which states of a trial have another key with ``override``."""
    old, new = (compared(planned(ONE, *given))[0] for given in ((), (override,)))
    return {name for name in STATES if getattr(old, name) != getattr(new, name)}


@pytest.mark.parametrize(
    "override",
    [
        "name=other",
        "data.root=elsewhere",
        "measure.keep_models=false",
        "measure.latency=false",
        "measure.batch_size=64",
        "methods.0.label=other",
        "methods.0.round_to=0",
        "methods.0.target=sparsity",
        "sparsities=[0.5, 0.9]",
        "seeds=[0, 1]",
        "methods=[{name='l1-structured'}, {name='threshold'}]",
    ],
)
def test_a_key_stays_when_what_led_to_the_state_stays(override: str):
    assert changed(override) == set()


@pytest.mark.parametrize(
    ("override", "states"),
    [
        ("seeds=[1]", set(STATES)),
        ("data.name=svhn", set(STATES)),
        ("data.validation=0.2", set(STATES)),
        ("data.augment=false", set(STATES)),
        ("data.limit=100", set(STATES)),
        ("model.width=8", set(STATES)),
        ("train.lr=0.2", set(STATES)),
        ("train.epochs=3", set(STATES)),
        ("finetune.lr=0.2", {"after", "control"}),
        ("finetune.epochs=3", {"after", "control"}),
        ("measure.recalibrate=64", {"before", "after", "control"}),
        ("measure.calibrate=64", {"edited", "before", "after"}),
        ("methods.0.scope=global", {"edited", "before", "after"}),
        ("methods.0.target=channels", {"edited", "before", "after"}),
        ("sparsities=[0.6]", {"edited", "before", "after"}),
        ("methods=['l1-unstructured']", {"edited", "before", "after"}),
    ],
)
def test_a_key_changes_with_what_led_to_the_state(override: str, states: set[str]):
    assert changed(override) == states


def test_every_key_changes_with_the_context_and_the_shape_does_not():
    cpu, again, cuda = (planned(ONE, device=device) for device in ("cpu", "cpu", "cuda"))
    assert cpu == again
    assert not cpu.nodes.keys() & cuda.nodes.keys()
    assert [trial.id for trial in cpu.trials] == [trial.id for trial in cuda.trials]
    assert [node.step for node in cpu.nodes.values()] == [node.step for node in cuda.nodes.values()]


def test_a_key_changes_with_the_source_of_the_method():
    (step,) = (node.step for node in planned(ONE).nodes.values() if isinstance(node.step, Prune))
    assert re.fullmatch("[0-9a-f]{16}", step.digest)
    assert step_key("parent", step) == step_key("parent", dataclasses.replace(step))
    assert step_key("parent", step) != step_key("parent", dataclasses.replace(step, digest="0" * 16))
    assert step_key("parent", step) != step_key("other", step)


def test_equal_fields_of_another_kind_of_step_give_another_key():
    assert step_key("parent", Measure("test", 512)) != step_key("parent", Measure("validation", 512))
    assert step_key("parent", Calibrate(1)) != step_key("parent", Latency((1, 128)))


# Names ------------------------------------------------------------------------------------------------


def labels(*methods: str) -> list[str]:
    plan = planned(f"sparsities = [0.5]\nmethods = [{', '.join(methods)}]\n")
    return [trial.label for trial in compared(plan)]


def test_a_label_is_the_name_of_the_method_or_its_own():
    own = "{ name = 'l1-unstructured', label = 'magnitude' }"
    assert labels("'l1-structured'", own) == ["l1-structured", "magnitude"]


def test_twin_methods_are_labelled_by_as_much_as_tells_them_apart():
    assert labels("{ name = 'l1-structured' }", "{ name = 'l1-structured', scope = 'global' }") == [
        "l1-structured scope=local",
        "l1-structured scope=global",
    ]
    assert labels("{ name = 'l1-structured', target = 'macs' }", "{ name = 'l1-structured', target = 'params' }") == [
        "l1-structured macs",
        "l1-structured params",
    ]
    steps = "schedule = { name = 'iterative', steps = 2 }"
    assert labels("'l1-unstructured'", f"{{ name = 'l1-unstructured', {steps} }}") == [
        "l1-unstructured one-shot",
        "l1-unstructured iterative-linear-2",
    ]
    assert labels("'l1-structured'", "{ name = 'l1-structured', scope = 'global', round_to = 8, target = 'macs' }") == [
        "l1-structured sparsity",
        "l1-structured macs",
    ]


def test_a_trial_is_named_by_label_schedule_value_and_seed():
    plan = planned("seeds = [7]\nsparsities = [0.95]\nmethods = ['l1-structured']\nschedule = 'iterative'\n")
    assert [trial.id for trial in compared(plan)] == ["l1-structured-iterative-0.95-s7"]
    assert [trial.id for trial in compared(planned(ONE))] == ["l1-structured-0.5-s0"]
    twins = "methods = ['threshold', { name = 'threshold', schedule = 'iterative' }]\n"
    assert compared(planned(twins))[-1].id == "threshold-iterative-0.2-s0"


AWKWARD = """
sparsities = [0.9000001, 0.9000002]
methods = [
    { name = "l1-structured", label = "a/b" },
    { name = "l1-structured", label = "a b" },
    { name = "l1-structured", label = "a:b" },
    { name = "l1-structured", label = ".." },
    { name = "l1-structured", label = "höhe\\n*" },
    { name = "l1-structured", label = "dense-2ep" },
    { name = "l1-structured" },
    { name = "l1-structured" },
]
"""


def test_trial_ids_are_unique_and_safe_as_file_names():
    ids = [trial.id for trial in planned(AWKWARD).trials]
    assert len(ids) == 1 + 8 * 2
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[\w.-]+", name) for name in ids)


def test_a_long_label_still_gives_a_file_name():
    plan = planned(ONE, f"methods.0={{name='l1-structured', label='{'ü' * 200}'}}")
    assert all(len(f"{trial.id}.safetensors".encode()) <= 255 for trial in plan.trials)


# Measurements -----------------------------------------------------------------------------------------


def test_a_trial_with_channels_removed_is_measured_on_both_splits_and_timed():
    study = parse_study(ONE)
    plan = build_plan(study)
    (trial,) = compared(plan)
    test, with_loss = Measure("test", 512), Measure("test", 512, loss=True)
    assert measurements(study, trial) == {
        "dense": (trial.dense, test),
        "control": (trial.control, with_loss),
        "edited": (trial.edited, test),
        "before": (trial.before, test),
        "after": (trial.after, with_loss),
        "validation": (trial.after, Measure("validation", 512)),
        "latency": (trial.after, Latency((1, 128))),
    }


def test_masks_are_not_timed_and_the_dense_network_is():
    study = parse_study("sparsities = [0.5]\nmethods = ['l1-unstructured']\n")
    plan = build_plan(study)
    assert "latency" not in measurements(study, compared(plan)[0])
    assert "latency" in measurements(study, controls(plan)[0])


def test_without_loss_no_measurement_takes_float32_of_every_image():
    study = parse_study(ONE, ["measure.loss=false"])
    steps = [step for _, step in measurements(study, compared(build_plan(study))[0]).values()]
    assert [step.loss for step in steps if isinstance(step, Measure)] == [False] * 6


@pytest.mark.parametrize(
    ("override", "gone"),
    [
        ("measure.latency=false", "latency"),
        ("data.validation=0.0", "validation"),
        ("measure.control=false", "control"),
    ],
)
def test_what_is_switched_off_is_not_measured(override: str, gone: str):
    study = parse_study(ONE, [override])
    assert gone not in measurements(study, compared(build_plan(study))[0])


def test_every_measurement_is_a_node_of_the_tree():
    study = parse_study(ITERATIVE)
    plan = build_plan(study)
    for trial in plan.trials:
        for key, step in measurements(study, trial).values():
            node = plan.nodes[step_key(key, step)]
            assert (node.parent, node.step, node.seed) == (key, step, trial.seed)


# At initialisation ------------------------------------------------------------------------------------


def test_pruned_at_initialisation_a_network_is_trained_as_the_dense_one_was():
    plan = planned("schedule = 'at-init'\nsparsities = [0.5, 0.9]\nmethods = ['snip']\n")
    low, high = compared(plan)
    assert [type(node.step).__name__ for node in plan.path(high.after)] == ["Load", "Prune", "Train"]
    assert high.start == low.start == plan.path(high.dense)[0].key
    assert high.before == high.edited
    (train,) = steps(plan, high.after, Train)
    assert train == steps(plan, high.dense, Train)[0]
    assert high.control == high.dense
    assert [(trial.id, trial.after) for trial in controls(plan)] == [("dense-0ep-s0", high.dense)]
    assert (high.id, high.schedule) == ("snip-at-init-0.9-s0", "at-init")


@pytest.mark.parametrize("name", ["snip", "grasp", "synflow"])
def test_what_is_meant_for_initialisation_prunes_there_unless_the_study_says_otherwise(name: str):
    def schedules(*more: str) -> set[str]:
        return {trial.schedule for trial in compared(planned(f"methods = ['{name}']\n", *more))}

    assert schedules() == {"at-init"}
    assert schedules("schedule=one-shot") == {"one-shot"}
    with pytest.raises(ConfigError, match=r'a trained net is pruned with schedule = "one-shot"'):
        schedules("train.epochs=0")


def test_pruning_at_initialisation_needs_a_training_to_follow():
    with pytest.raises(ConfigError, match=r"methods\[0\].schedule: at-init prunes before training"):
        planned("methods = [{ name = 'snip', schedule = 'at-init' }]\n", "train.epochs=0")
