"""What every step is, whatever its kind: plain data with a part of a key, and answers to what plan and engine ask."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, ClassVar

from prunetui.tree.step_code import code_digest

canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode
"""Plain data as the one text that keys are hashes of."""


@dataclass(frozen=True)
class SplitSizes:
    """How many images each split has."""

    train: int
    validation: int
    test: int


class Step(ABC):
    """A step of a plan; a kind is a frozen dataclass that derives from this, or from ``Measurement``.

    What is said here holds for a step that only changes the network; a kind overrides what is otherwise with it.
    """

    makes_state: ClassVar[bool] = True
    """Whether it makes a state that other steps start from; else figures."""
    timed: ClassVar[bool] = False
    """Whether its figures are times: they hold for the machine that took them, and other work disturbs them."""
    trains: ClassVar[bool] = False
    """Whether it trains: the momentum after it is its own, not that of a step before it."""

    @property
    def kind(self) -> str:
        """What keys and events call its kind."""
        return type(self).__name__

    @property
    @abstractmethod
    def label(self) -> str:
        """The step in a few words."""

    @property
    def carries_momentum(self) -> bool:
        """Whether it goes on with the momentum of the state it starts from."""
        return False

    @property
    def epochs(self) -> int:
        """How many epochs it trains."""
        return 0

    def work(self, images: SplitSizes) -> int:
        """Its size in images passed forward."""
        return 0

    def needs(self) -> tuple[str, ...]:
        """Keys of the states it looks at besides the one it starts from."""
        return ()

    def place(self, path: Sequence[Step]) -> int:
        """Its number among the steps of its kind on the path that ends with it: part of what its randomness is called.

        Equal for all methods, so that all of them see the same images.
        """
        return sum(type(step) is type(self) for step in path)

    @abstractmethod
    def apply(self, context: Any, state: Any) -> Any:
        """The state after it (``state`` is the one before; of the first step None), or the figures it measures.

        ``context`` is an ``engine.step_context.StepContext`` and states are ``engine.state.State``, which this folder
        cannot name: it stands below the engine. Kinds name them.
        """

    @property
    def runs_method(self) -> bool:
        """Whether it runs code of a pruning method, which may use all that methods are given."""
        return False

    @property
    def code(self) -> str:
        """The digest of the code that it is done by; a method's own file is told by the step's fields."""
        return code_digest(type(self), self.runs_method)

    def plain(self) -> dict[str, Any]:
        """Its fields as JSON-able data."""
        return {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]

    @cached_property
    def key_text(self) -> tuple[str, str]:
        """What stands before and after the parent's key in the text that is hashed, whose names are sorted.

        It is written once: a plan adds the same step after thousands of parents.
        """
        plain = {**self.plain(), "step": self.kind, "code": self.code}
        before = canonical({name: value for name, value in plain.items() if name < "parent"})[1:-1]
        after = canonical({name: value for name, value in plain.items() if name > "parent"})[1:-1]
        return f'{{{before}{"," if before else ""}"parent":', f",{after}}}"


class Measurement(Step):
    """A step that makes figures of a state, by name."""

    makes_state = False
