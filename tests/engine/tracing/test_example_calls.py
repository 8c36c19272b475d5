"""Calls for proofs are like the example: its structure, its kinds of numbers, two sizes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from prunetui.engine.tracing.example_calls import probe_calls
from tests.engine.tracing.small_networks import Net


def shapes(calls: Any) -> list[list[list[int]]]:
    return [[list(t.shape) for t in (*args, *named.values())] for args, named in calls]


def test_images_are_made_small_and_then_wider() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1))
    assert shapes(probe_calls(model, torch.zeros(1, 3, 224, 224))) == [[[2, 3, 64, 64]], [[2, 3, 64, 80]]]
    assert shapes(probe_calls(model, torch.zeros(1, 3, 32, 32))) == [[[2, 3, 32, 32]], [[2, 3, 32, 48]]]


def test_a_network_of_images_of_one_size_is_proved_with_that() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 96 * 96, 2))
    assert shapes(probe_calls(model, torch.zeros(1, 3, 96, 96))) == [[[2, 3, 96, 96]]]


def words(s: Any, input_ids: Tensor, mask: Tensor) -> Tensor:
    return (s.table(input_ids) * mask[..., None]).mean(1)  # type: ignore[no-any-return]


def test_words_are_drawn_from_those_of_the_example_and_masks_kept() -> None:
    ids = torch.tensor([[3, 9, 5, 4, 7, 8]])
    mask = torch.tensor([[1, 1, 1, 1, 0, 0]])
    model = Net(words, table=nn.Embedding(10, 4))
    (_, first), (_, second) = probe_calls(model, {"input_ids": ids, "mask": mask})
    assert first["input_ids"].shape == (2, 6)
    assert second["input_ids"].shape == (2, 4)
    assert first["input_ids"].dtype == torch.int64
    assert 3 <= int(first["input_ids"].min()) <= int(first["input_ids"].max()) <= 9
    assert len(first["input_ids"].unique()) > 2
    assert first["mask"].tolist() == mask.tolist() * 2
    assert second["mask"].tolist() == [[1, 1, 1, 1]] * 2


def test_long_sequences_are_made_short() -> None:
    model = Net(words, table=nn.Embedding(600, 4))
    example = (torch.arange(512)[None], torch.ones(1, 512))
    assert shapes(probe_calls(model, example)) == [[[2, 16], [2, 16]], [[2, 10], [2, 10]]]


def test_vectors_have_one_size() -> None:
    assert shapes(probe_calls(nn.Linear(7, 2), torch.zeros(1, 7))) == [[[2, 7]]]


def test_sequences_of_vectors_are_shortened_and_signals_too() -> None:
    assert shapes(probe_calls(nn.Linear(7, 2), torch.zeros(1, 9, 7))) == [[[2, 9, 7]], [[2, 6, 7]]]
    assert shapes(probe_calls(nn.Conv1d(3, 2, 3), torch.zeros(1, 3, 12))) == [[[2, 3, 12]], [[2, 3, 8]]]


def test_a_large_network_without_batch_norm_is_computed_with_single_examples() -> None:
    example = torch.zeros(1, 7)
    assert shapes(probe_calls(nn.Linear(7, 2), example, macs=10**10)) == [[[1, 7]]]
    assert shapes(probe_calls(nn.Sequential(nn.Linear(7, 2), nn.BatchNorm1d(2)), example, macs=10**10)) == [[[2, 7]]]
