"""Where in a file the model's weights are: every prefix under which all its names stand, and which one is taken."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from torch import Tensor

Tensors = Mapping[str, Tensor]
# The same layer in torchvision's and in the CIFAR literature's naming.
RENAMES = (("downsample.", "shortcut."), ("fc.", "linear."))
AROUND = frozenset({"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})
"""What DataParallel, torch.compile, FSDP and activation checkpointing put into names, at the front or in the middle."""
OTHER_WEIGHTS = re.compile(
    r"(?:^|[._-])(?:ema|averaged?|avg|swa|shadow|teacher|momentum|target|initial|init|best|old)(?:$|[._-])",
    re.IGNORECASE,
)
NOT_WEIGHTS = re.compile(r"(?:^|[._-])optim", re.IGNORECASE)
COUNTER = "num_batches_tracked"


@dataclass
class StateDictPart:
    """The names of the model that stand under one prefix of a file."""

    prefix: str
    names: dict[str, str] = field(default_factory=dict)
    """Name in the model -> name in the file."""

    @property
    def key(self) -> str:
        """How ``model.key`` calls it: its place in the file, without what wrappers of modules put there."""
        words = self.prefix.rstrip(".").split(".")
        while words and words[-1] in AROUND:
            words.pop()
        return ".".join(words)

    def fits(self, wanted: Tensors, tensors: Tensors) -> int:
        """How many of the model's tensors stand here in their shape."""
        return sum(tensors[theirs].shape == wanted[ours].shape for ours, theirs in self.names.items())

    def is_whole(self, wanted: Tensors, tensors: Tensors) -> bool:
        """Whether all of the model is here; counters of batches are absent from old files and of no effect."""
        need = [name for name in wanted if not name.endswith(COUNTER)]
        return all(name in self.names and tensors[self.names[name]].shape == wanted[name].shape for name in need)


def parts_of(tensors: Tensors, wanted: Tensors) -> list[StateDictPart]:
    """Every prefix under which at least one of the model's names stands, in the order of the file."""
    ours = _spellings(wanted)
    found: dict[str, StateDictPart] = {}
    exact: set[tuple[str, str]] = set()
    for theirs in tensors:
        for prefix, rest in _splits(theirs):
            name = ours.get(rest)
            if name is None:
                continue
            part = found.setdefault(prefix, StateDictPart(prefix))
            if name not in part.names or (rest == name and (prefix, name) not in exact):
                part.names[name] = theirs
            if rest == name:
                exact.add((prefix, name))
    return list(found.values())


def _spellings(wanted: Tensors) -> dict[str, str]:
    """Every way in which a file may spell a name of the model, without wrappers of modules -> that name."""
    spelled: dict[str, str] = {}
    for name in wanted:
        options = {name}
        for theirs, ours in RENAMES:
            options |= {option.replace(ours, theirs) for option in options}
        for option in options:
            bare = ".".join(word for word in option.split(".") if word not in AROUND)
            if option == name or bare not in spelled:
                spelled[bare] = name
    return spelled


def _splits(theirs: str) -> Iterator[tuple[str, str]]:
    """Every way to read a name as a prefix and a name in a model."""
    words = theirs.split(".")
    for i, word in enumerate(words):
        if word not in AROUND:
            prefix = ".".join(words[:i])
            yield (f"{prefix}." if prefix else ""), ".".join(w for w in words[i:] if w not in AROUND)


def under(parts: list[StateDictPart], key: str) -> list[StateDictPart]:
    """Those parts that ``model.key`` may mean: the one at this place, or below it."""
    key = key.strip(".")
    return [part for part in parts if f"{part.prefix}.".startswith(f"{key}.") or part.key == key]


def by_preference(parts: list[StateDictPart]) -> list[StateDictPart]:
    """The plain weights before averages, teachers and earlier ones; those as they stand in the file.

    The plain ones are what a training went on with, and what its recipe is about; an average is a choice to be made.
    """
    plain = [part for part in parts if not NOT_WEIGHTS.search(part.prefix)]
    return sorted(plain or parts, key=lambda part: bool(OTHER_WEIGHTS.search(part.prefix)))


def nearest(parts: list[StateDictPart], wanted: Tensors, tensors: Tensors) -> StateDictPart:
    """The part that has most of the model's names, whatever their shapes."""
    return max(by_preference(parts), key=lambda p: (len(p.names), p.fits(wanted, tensors)), default=StateDictPart(""))
