"""Calls for proofs are like the example: its structure, its kinds of numbers, two sizes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from prunetui.engine.tracing.example_calls import one_example, probe_calls
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


def test_words_are_those_of_the_example_and_masks_kept() -> None:
    ids = torch.tensor([[3, 9, 5, 4, 7, 8]])
    mask = torch.tensor([[1, 1, 1, 1, 0, 0]])
    model = Net(words, table=nn.Embedding(10, 4))
    (_, first), (_, second) = probe_calls(model, {"input_ids": ids, "mask": mask})
    assert first["input_ids"].shape == (2, 6)
    assert second["input_ids"].shape == (2, 4)
    assert first["input_ids"].dtype == torch.int64
    assert first["input_ids"][0].tolist() == [3, 9, 5, 4, 7, 8]
    assert sorted(first["input_ids"][1].tolist()) == [3, 4, 5, 7, 8, 9]  # as often each, such as an end of a text
    assert first["input_ids"][1].tolist() != [3, 9, 5, 4, 7, 8]
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


def graph(s: Any, nodes: Tensor, edges: Tensor) -> Tensor:
    source, target = edges
    if not bool((source < target).all()):
        raise ValueError("edges go upwards")
    return s.read(nodes.index_add(0, target, nodes[source]))  # type: ignore[no-any-return]


def test_a_graph_is_one_example_and_keeps_its_edges() -> None:
    model = Net(graph, read=nn.Linear(3, 2))
    whole = (torch.zeros(5, 3), torch.tensor([[0, 1, 2, 0], [1, 2, 4, 3]]))
    one = one_example(model, whole)
    assert one[1].tolist() == [[0, 1, 2, 0], [1, 2, 4, 3]]
    (first, _), (second, _) = probe_calls(model, one)
    assert first[1].tolist() == [[0, 1, 2, 0], [1, 2, 4, 3]]
    assert len(first[0].unique()) == 15  # random
    assert second[1].tolist() == [[0, 1], [1, 2]]


def logarithm(s: Any, x: Tensor) -> Tensor:
    return s.read(x.log())  # type: ignore[no-any-return]


def test_numbers_of_a_kind_that_random_ones_are_not_stay() -> None:
    example = torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]])
    ((made,), _), *_ = probe_calls(Net(logarithm, read=nn.Linear(8, 2)), example)
    assert made.tolist() == example.tolist() * 2


def hidden(s: Any, x: Tensor, mask: Tensor) -> Tensor:
    return (x @ x.transpose(1, 2) + mask).softmax(-1) @ x  # type: ignore[no-any-return]


def test_float_masks_stay_and_other_floats_are_drawn() -> None:
    causal = torch.full((4, 4), float("-inf")).triu(1)
    (args, _), *_ = probe_calls(Net(hidden), (torch.ones(1, 4, 3), causal))
    assert args[1].tolist() == causal.tolist()
    assert len(args[0].unique()) == 24


def test_one_example_of_a_batch() -> None:
    assert one_example(nn.Linear(7, 2), torch.zeros(5, 7)).shape == (1, 7)
    pair = (torch.zeros(5, 7), torch.ones(3))
    assert [list(t.shape) for t in one_example(Net(lambda s, x, y: s.a(x) * y.sum(), a=nn.Linear(7, 2)), pair)] == [
        [1, 7],
        [3],
    ]
