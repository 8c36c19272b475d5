"""Union-find over labels."""

from __future__ import annotations

import torch
from torch import tensor

from prunetui.engine.tracing.label_classes import Labels


def test_new_labels_are_classes_of_their_own():
    labels = Labels()
    assert labels.new(3).tolist() == [1, 2, 3]
    assert labels.new(2).tolist() == [4, 5]
    assert labels.roots(tensor([1, 2, 3, 4, 5])).tolist() == [1, 2, 3, 4, 5]


def test_united_classes_have_the_smallest_label_as_their_root():
    labels = Labels()
    labels.new(6)
    labels.unite(tensor([5, 6]), tensor([3, 3]))
    labels.unite(tensor([1]), tensor([6]))
    assert labels.roots(tensor([1, 2, 3, 4, 5, 6])).tolist() == [1, 2, 1, 4, 1, 1]


def test_uniting_broadcasts():
    labels = Labels()
    grid = labels.new(6).view(2, 3)
    labels.unite(grid, grid[:1])
    assert labels.roots(grid).tolist() == [[1, 2, 3], [1, 2, 3]]


def test_a_chain_of_classes_is_followed_to_its_root():
    labels = Labels()
    labels.new(5)
    for upper, lower in ((5, 4), (4, 3), (3, 2), (2, 1)):
        labels.unite(tensor([upper]), tensor([lower]))
    assert labels.roots(tensor([5])).tolist() == [1]


def test_pinned_classes_pass_their_first_reason_on():
    labels = Labels()
    labels.new(4)
    labels.pin(tensor([2]), "output")
    labels.unite(tensor([2]), tensor([1]))
    labels.pin(tensor([1, 3]), "input")
    assert labels.pinned(tensor([1, 2, 3, 4])).tolist() == [True, True, True, False]
    assert labels.reasons(tensor([1, 2, 3, 4])) == ["output", "output", "input", ""]


def test_negative_labels_are_never_united_or_pinned():
    labels = Labels()
    labels.new(2)
    labels.unite(tensor([-1, -1]), tensor([1, 2]))
    labels.pin(tensor([-1]), "fixed")
    assert labels.roots(tensor([1, 2, -1])).tolist() == [1, 2, -1]
    assert not labels.pinned(tensor([1, 2, -1])).any()


def test_changes_count_only_what_is_new():
    labels = Labels()
    labels.new(3)
    labels.unite(tensor([1]), tensor([2]))
    labels.pin(tensor([3]), "output")
    before = labels.changes
    labels.unite(tensor([2, 1]), tensor([1, 1]))
    labels.pin(tensor([3]), "again")
    assert labels.changes == before


def test_many_pairs_at_once():
    labels = Labels()
    ring = labels.new(1000)
    labels.unite(ring, ring.roll(2))
    assert torch.equal(labels.roots(ring), torch.arange(1000) % 2 + 1)
