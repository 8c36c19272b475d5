"""Union-find over integer labels, on whole tensors at a time: labels of one class are channels that only go together.

Labels from 1 on are ordinary ones. Negative labels mark extents that adapt to whatever they meet (a tensor of ones, an
expanded mask): they are never united nor pinned. Label 0 is never given out.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy
import torch
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from torch import Tensor


class Labels:
    """Classes of labels; a class is free, or pinned for a reason in words."""

    def __init__(self) -> None:
        self._parent = torch.zeros(1, dtype=torch.int64)
        self._reason = torch.zeros(1, dtype=torch.int32)
        """Of a root: number of the reason why its class is pinned, 0 where it is free."""
        self._count = 1
        self._reasons = [""]
        self._number: dict[str, int] = {"": 0}
        self.changes = 0
        """Grows with every class that is united or pinned: a pass that leaves it alone has found nothing new."""

    def new(self, count: int) -> Tensor:
        """``count`` fresh labels, each a class of its own."""
        first, self._count = self._count, self._count + count
        if self._count > len(self._parent):
            more = max(self._count, 2 * len(self._parent)) - len(self._parent)
            self._parent = torch.cat([self._parent, torch.zeros(more, dtype=torch.int64)])
            self._reason = torch.cat([self._reason, torch.zeros(more, dtype=torch.int32)])
        labels = torch.arange(first, self._count)
        self._parent[first : self._count] = labels
        return labels

    def roots(self, labels: Tensor) -> Tensor:
        """The representative of each label's class, its smallest label; negative labels stand for themselves."""
        known = labels.clamp(min=0)
        found = self._parent[known]
        while True:
            above = self._parent[found]
            if torch.equal(above, found):
                break
            found = above
        self._parent[known] = found
        return torch.where(labels < 0, labels, found)

    def unite(self, left: Tensor, right: Tensor) -> None:
        """Unite classes element by element (the two broadcast)."""
        left, right = self.roots(left), self.roots(right)
        apart = (left != right) & (left > 0) & (right > 0)
        if not bool(apart.any()):
            return
        pairs = torch.stack([side.expand(apart.shape)[apart] for side in (left, right)])
        self._merge(pairs)

    def _merge(self, pairs: Tensor) -> None:
        """Unite roots pairs[0, i] and pairs[1, i]; the smallest label of a component becomes its root."""
        roots, place = torch.unique(pairs, return_inverse=True)
        ones = numpy.ones(pairs.shape[1], dtype=numpy.int8)
        edges = coo_matrix((ones, place.numpy()), shape=(len(roots), len(roots)))
        count, component = connected_components(edges, directed=False)
        component = torch.from_numpy(component.astype(numpy.int64))
        smallest = torch.full((count,), self._count).scatter_reduce(0, component, roots, "amin")
        reason = self._reason[roots]
        none = torch.iinfo(torch.int32).max
        first = torch.full((count,), none, dtype=torch.int32)
        first = first.scatter_reduce(0, component, torch.where(reason == 0, none, reason), "amin")
        self._parent[roots] = smallest[component]
        self._reason[smallest] = torch.where(first == none, 0, first)
        self.changes += 1

    def pin(self, labels: Tensor, reason: str) -> None:
        """The classes of these labels stay; the reason given first is the one that is told."""
        roots = torch.unique(self.roots(labels))
        roots = roots[roots > 0]
        free = roots[self._reason[roots] == 0]
        if len(free):
            number = self._number.setdefault(reason, len(self._reasons))
            if number == len(self._reasons):
                self._reasons.append(reason)
            self._reason[free] = number
            self.changes += 1

    def pinned(self, labels: Tensor) -> Tensor:
        """Which labels stay; negative ones never do by themselves."""
        return (self._reason[self.roots(labels).clamp(min=0)] != 0) & (labels > 0)

    def reasons(self, labels: Tensor) -> Iterable[str]:
        """Why each of these labels stays, an empty string where it does not."""
        return [self._reasons[number] for number in self._reason[self.roots(labels).clamp(min=0)].tolist()]
