"""The schedule dense-sparse-dense: what is pruned trains again, at a lower rate, and the network ends dense."""

from __future__ import annotations

import pytest

from prunetui.config import parse_study
from prunetui.engine.verify_edit import achieved, truly_zero
from prunetui.errors import ConfigError
from prunetui.plan import Lift, Train
from tests.engine.test_shaping import Bench, bench, keys, method
from tests.engine.test_shaping import only as only_trial
from tests.plan.test_walk import only, planned, steps

__all__ = ["bench"]
DSD = "{ name = 'dense-sparse-dense', rate = 0.2 }"


def test_all_weights_train_again_for_as_many_epochs_at_a_lower_rate() -> None:
    plan = planned(f"methods = [{{ name = 'l1-unstructured', schedule = {DSD} }}]", "sparsities = 0.3")
    trial = only(plan)
    kinds = [type(node.step).__name__ for node in plan.path(trial.after)]
    assert kinds == ["Load", "Train", "Prune", "Calibrate", "Train", "Lift", "Train"]
    assert [type(node.step).__name__ for node in plan.path(trial.control)] == [
        "Load", "Train", "Calibrate", "Train", "Train",
    ]  # fmt: skip
    for key in (trial.after, trial.control):
        recoveries = steps(plan, key, Train)[1:]
        assert [step.epochs for step in recoveries] == [2, 2]
        assert recoveries[1].recipe.lr == pytest.approx(0.2 * recoveries[0].recipe.lr)
    assert steps(plan, trial.after, Lift)[0].to == trial.dense
    assert trial.schedule == "dense-sparse-dense"


def test_zeros_are_held_in_the_sparse_phase_and_train_in_the_last(bench: Bench) -> None:
    engine = bench.engine(method("l1-unstructured", schedule=DSD))
    trial = only_trial(engine)
    _, sparse, _ = keys(engine, trial.after, Train)
    (lifted,) = keys(engine, trial.after, Lift)
    pruned, held, free, final = (engine.state(key) for key in (trial.edited, sparse, lifted, trial.after))
    for state in (pruned, held):
        assert achieved("sparsity", state, engine.graph) == pytest.approx(0.6, abs=1e-3)
    assert free.masks == final.masks == {}
    for name, mask in held.masks.items():
        assert not free.tensors[f"{name}.weight"][~mask].any()  # they begin at zero
    assert truly_zero(final, engine.graph) < 0.6
    assert bench.rates(keys(engine, trial.after, Train)[2])[0] == pytest.approx(0.2 * bench.rates(sparse)[0])


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ("methods = ['l1-structured']", "l1-structured does not only zero weights"),
        ("methods = ['l1-unstructured']\nfinetune.epochs = 0", r"trains twice by \[finetune\]"),
        ("methods = ['rigl']", "does not work with the schedule dense-sparse-dense; it can be dynamic"),
    ],
)
def test_what_makes_no_sense_is_refused(table: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        parse_study(f"schedule = 'dense-sparse-dense'\n{table}")
