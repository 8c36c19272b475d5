"""The side-by-side with Torch-Pruning's own pruner: python -m benchmarks torch-pruning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from benchmarks import _compared_pruners, torch_pruning
from benchmarks._compared_pruners import PAIRS
from benchmarks._dependency_graph_pruner import LoopError, prune_at_once, prune_until
from benchmarks._plain_training import PlainRecipe, macs
from benchmarks.torch_pruning import PrunerComparison, read_log, rows
from prunetui.errors import UsageError

EXAMPLE = torch.zeros(1, 3, 32, 32)


def tiny(_: int = 32) -> nn.Module:
    convolutions = [nn.Conv2d(3, 8, 3, 4), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 16, 3, 2), nn.BatchNorm2d(16)]
    return nn.Sequential(*convolutions, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10))


def of_tiny(monkeypatch: pytest.MonkeyPatch) -> PrunerComparison:
    monkeypatch.setitem(torch_pruning.NETWORKS, "tiny", tiny)  # type: ignore[arg-type]
    return PrunerComparison(
        "digits", 256, networks=("tiny",), dense=PlainRecipe(1, 0.1), finetune=PlainRecipe(1, 0.02), pairs=PAIRS[:1]
    )


def trial(network: str, seed: int, ours: float, peer: float) -> dict[str, Any]:
    return {
        "network": network, "seed": seed, "pair": PAIRS[0].title, "dense": 70.0, "raw": 30.0, "peer_raw": 20.0,
        "top1": ours, "peer_top1": peer, "macs": 50, "peer_macs": 49, "macs_dense": 100,
    }  # fmt: skip


def test_both_sides_prune_one_network_to_equal_multiply_accumulates(monkeypatch: pytest.MonkeyPatch):
    (found,) = of_tiny(monkeypatch).trials()
    assert found["macs"] == pytest.approx(found["peer_macs"], rel=0.01)
    assert 0 < found["peer_macs"] <= found["macs_dense"] / 2 == macs(tiny(), EXAMPLE) / 2
    assert all(0 <= found[key] <= 100 for key in ("dense", "raw", "peer_raw", "top1", "peer_top1"))


def test_what_the_peer_raises_is_the_row_and_nothing_is_trained(monkeypatch: pytest.MonkeyPatch):
    def raises(*_: Any) -> nn.Module:
        raise ZeroDivisionError("modulo by zero")

    monkeypatch.setattr(_compared_pruners, "prune_until", raises)
    monkeypatch.setattr(torch_pruning, "trained", None)
    found = list(of_tiny(monkeypatch).trials())
    assert [row["fails"] for row in rows(found)] == ["ZeroDivisionError: modulo by zero (1 of 1 seeds)"]


def test_a_log_goes_on_and_is_of_one_comparison(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    comparison, log = of_tiny(monkeypatch), tmp_path / "trials.jsonl"
    monkeypatch.setattr(
        PrunerComparison, "_of_network", lambda self, name, seed, pairs, data: iter([trial(name, seed, 1, 2)])
    )
    first = list(comparison.trials(log))
    monkeypatch.setattr(PrunerComparison, "_of_network", None)  # all there is, is in the log
    assert list(comparison.trials(log)) == first == read_log(log)[1]
    with pytest.raises(UsageError, match="is of another comparison"):
        list(PrunerComparison(images=3).trials(log))


def test_spreads_are_of_differences_and_a_failure_is_in_no_mean():
    failed = {"network": "c", "seed": 0, "pair": PAIRS[0].title, "fails": "KeyError: 'x'"}
    once = trial("c", 1, 99, 9)
    found = list(rows([trial("a", 0, 61, 60), trial("a", 1, 63, 60), trial("b", 0, 50, 53), failed, once]))
    told = [(row["name"].partition(":")[0], row["ours"], row["peer"], row.get("gain")) for row in found]
    assert told == [
        ("a", 62, 60, 2),
        ("b", 50, 53, -3),
        ("c", None, None, None),
        ("mean", 58, pytest.approx(57 + 2 / 3), pytest.approx(1 / 3)),
    ]
    assert found[0]["spread"] == pytest.approx(2**0.5)


def test_the_peer_stops_at_the_first_step_that_meets_the_target():
    torch.manual_seed(0)
    network = tiny()
    whole = macs(network, EXAMPLE)
    assert whole * 0.35 < macs(prune_until(network, EXAMPLE, "norm", True, whole // 2, ()), EXAMPLE) <= whole // 2


def test_a_target_out_of_reach_is_told():
    with pytest.raises(LoopError, match=r"its last step leaves .* multiply-accumulates, above 1"):
        prune_until(tiny(), EXAMPLE, "norm", False, 1, ())


def test_one_step_of_the_peer_leaves_the_network_as_it_is():
    torch.manual_seed(0)
    network = tiny()
    whole = macs(network, EXAMPLE)
    assert macs(prune_at_once(network, EXAMPLE, whole // 2), EXAMPLE) <= whole // 2
    assert macs(network, EXAMPLE) == whole
