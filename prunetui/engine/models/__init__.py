"""What a dense network is built from, and building it: the factory that the catalogue knows by its name."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from prunetui.api.source import called
from prunetui.engine.convolutions import KindsUsed
from prunetui.engine.models.factories import network_by
from prunetui.engine.models.plain_network import plain
from prunetui.errors import UsageError
from prunetui.plugins.catalogue import contribution
from prunetui.plugins.contribution import Contribution
from prunetui.plugins.import_file import load_object
from prunetui.plugins.kinds import FROM_DATA

Pairs = tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Architecture:
    """All that is needed to build a dense network anew."""

    name: str
    channels: int | None
    """Channels of an input image; None where no image goes in."""
    size: int | None
    """Side of an input image in pixels; None where no square image goes in."""
    classes: int | None
    """How many outputs there are; None where neither the data nor the task says."""
    shortcut: str | None = "B"
    width: int | None = None
    options: Mapping[str, Any] | Pairs = ()
    """The factory's own options, as pairs."""
    digest: str | None = None
    """Of the file that the factory is in, or of the version of its package; unless it is built in."""
    package: str | None = None
    """The installed package of the factory with its version, as in "timm 1.0.31"."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", _pairs(self.options))

    def plain(self) -> dict[str, Any]:
        """As JSON-able data; what only some networks have is left out of the others'."""
        common = {key: getattr(self, key) for key in ("name", "channels", "size", "classes", "shortcut", "width")}
        options = {"options": dict(self.options)} if self.options else {}
        code = {key: getattr(self, key) for key in ("digest", "package") if getattr(self, key)}
        return {**common, **options, **code}

    @property
    def built_in(self) -> bool:
        """Whether its factory is part of prunetui."""
        return self.digest is None

    @property
    def proved(self) -> bool:
        """Whether its channels are found and proved on it; not so of built-in ones that do not ask for it."""
        return not self.built_in or bool(contribution("model", self.name).given.get("proved"))


def _pairs(options: Any) -> Pairs:
    """Options in one order, which can be hashed and compared."""
    pairs = options.items() if isinstance(options, Mapping) else options
    return tuple((str(key), _fixed(value)) for key, value in sorted(pairs))


def _fixed(value: Any) -> Any:
    return tuple(map(_fixed, value)) if isinstance(value, list | tuple) else value


def takes(name: str, parameter: str) -> bool:
    """Whether a model's factory asks for one of the values that the program supplies."""
    return parameter in contribution("model", name).takes


def build(architecture: Architecture) -> nn.Module:
    """The freshly initialised dense network, as it can be pruned; draws from torch's default generator.

    Raises:
        UsageError: the factory is not there, fails, or makes something else than a network.
    """
    made = by_factory(architecture)
    return made if architecture.built_in else plain(made)


def by_factory(architecture: Architecture) -> nn.Module:
    """The network as its factory makes it.

    Raises:
        UsageError: as of ``build``.
    """
    found = contribution("model", architecture.name)
    if found.origin != "built-in" and architecture.digest not in (None, found.digest):
        raise UsageError(f"{found.file} is not the file any more that {architecture.name} was built from")
    options = dict(architecture.options)
    if found.origin == "built-in":
        if missing := {*FROM_DATA} & found.takes - {*from_data(architecture)}:
            raise UsageError(
                f"the model {found.name} is built for square images of known classes; the data tells no "
                f"{' and no '.join(sorted(missing))}: name a network of your own, or one of a library, in model.name"
            )
        network: nn.Module = load_object(found)(**_given(architecture, found), **options)
        return network
    try:
        with contextlib.redirect_stdout(sys.stderr):  # stdout is for data
            if found.origin == "installed":
                made = network_by(found, from_data(architecture), {**_given(architecture, found), **options})
            else:
                made = load_object(found)(**{**_given(architecture, found), **options})
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(f"the model {found.name} cannot be built: {type(error).__name__}: {error}") from error
    if not isinstance(made, nn.Module):
        raise UsageError(f"the model {found.name} made {type(made).__name__}; it must return a torch.nn.Module")
    return made


def from_data(architecture: Architecture) -> dict[str, int]:
    """What the data says of a network."""
    said = {what: getattr(architecture, what) for what in FROM_DATA}
    return {what: value for what, value in said.items() if value is not None}


def _given(architecture: Architecture, found: Contribution) -> dict[str, Any]:
    """What a factory asks for of what the program supplies."""
    values: dict[str, Any] = {key: getattr(architecture, key) for key in ("width", "shortcut")}
    values |= {name: value for what, value in from_data(architecture).items() for name in FROM_DATA[what]}
    return {key: value for key, value in values.items() if key in found.takes and value is not None}


class _NotDrawn(TorchFunctionMode):
    """Draws no initial weights, as there is no memory for them: torch would import its compiler to draw them."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (torch.Tensor.normal_, torch.Tensor.uniform_):
            return args[0]
        return func(*args, **(kwargs or {}))


def skeleton(architecture: Architecture) -> nn.Module:
    """The dense network for its names and shapes.

    A built-in one takes no memory: its initial weights would be overwritten at once. Another may hold tensors that are
    not in its state dict, so it is built as it is.
    """
    if architecture.built_in:
        with torch.device("meta"), _NotDrawn():
            return build(architecture)
    with torch.random.fork_rng(devices=[]):
        return build(architecture)


def convolutions_of(architecture: Architecture, example: Any) -> frozenset[str]:
    """The kinds of convolutions that a network of this architecture computes of ``example``, pruned or not."""
    with torch.random.fork_rng(devices=[]), KindsUsed() as used, torch.no_grad():
        called(build(architecture).eval(), example)
    return frozenset(used.kinds)
