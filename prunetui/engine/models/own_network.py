"""Networks that are not built in: what of them is supported, and finding the code of one that was saved."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch.nn.parameter import is_lazy

from prunetui.api import Task
from prunetui.api.source import called, mapped, tensors_in
from prunetui.engine.layers import prunable_layers
from prunetui.engine.models import Architecture, by_factory, from_data
from prunetui.engine.models.factories import told_of
from prunetui.engine.models.plain_network import proved_plain
from prunetui.errors import UsageError
from prunetui.plugins.catalogue import contribution, runs_code
from prunetui.plugins.installed import names_installed
from prunetui.plugins.own_files import copy_of, file_of, names_own_file, short

NAMED = 5


def check_network(architecture: Architecture, task: Task | None, example: Any) -> tuple[str, ...]:
    """Refuse a network that cannot be trained and pruned yet; says what it has that cannot.

    Built-in ones can; those that are proved like all others may still not fit the data or the task.

    ``example`` is what goes into it, a batch of one; it is given two. What comes out is checked by the task, if there
    is one. Returns a line for everything of it that is changed before it is pruned, which is proved to change nothing
    that it computes.

    Raises:
        UsageError: it cannot be built, takes other inputs or gives other outputs, or has layers of other kinds.
    """
    if not architecture.proved:
        return ()
    a = architecture
    two = mapped(example, lambda tensor: torch.cat([tensor, tensor]))
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        net = by_factory(a).eval()
        if lazy := [name for name, parameter in net.named_parameters() if is_lazy(parameter)]:
            learns = f"it learns shapes in its first pass ({_some(lazy)}); its factory has to make one"
            raise UsageError(f"the model {a.name} cannot be pruned yet: {learns}")
        try:
            made = called(net, two)
        except Exception as error:
            inputs = words_of(example)
            raise UsageError(f"the model {a.name} does not take {inputs}: {type(error).__name__}: {error}") from error
    if wrong := task.check_outputs(made, 2, a.classes) if task else "":
        raise UsageError(f"the model {a.name} {wrong}")
    net, lines = proved_plain(net, two)
    if not prunable_layers(net):
        raise UsageError(f"the model {a.name} cannot be pruned: it has no convolution and no linear layer")
    return lines


def words_of(example: Any) -> str:
    """What goes into a network, in words: images by their shape, else all shapes and types without the example's."""
    tensors = tensors_in(example)
    if len(tensors) == 1 and tensors[0].dim() == 4:
        return f"images of {' x '.join(map(str, tensors[0].shape[1:]))}"
    words = [f"{list(tensor.shape[1:])} of {str(tensor.dtype).removeprefix('torch.')}" for tensor in tensors]
    names = list(example) if isinstance(example, Mapping) else []
    if len(names) == len(words):
        words = [f"{name} {word}" for name, word in zip(names, words, strict=True)]
    return f"inputs of {', '.join(words)}"


def given_to_factory(architecture: Architecture) -> str:
    """What the factory of an installed package is told of the data, and what it is not; empty for other networks."""
    found = contribution("model", architecture.name)
    if found.origin != "installed":
        return ""
    return told_of(found, from_data(architecture), dict(architecture.options))


def _some(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more}"


def found_again(architecture: Architecture, path: Path, trust: bool) -> Architecture:
    """The architecture that a saved network names, where its code is now: at its place, or copied beside the run.

    Building it runs that code. A file may name any code, so only those who trust it have it run.

    Raises:
        UsageError: it is somebody's file and not trusted, or the code is not there any more as it was.
    """
    if architecture.built_in:
        return architecture
    name = architecture.name
    if names_installed(name):
        return _installed_again(architecture, path, trust)
    if not names_own_file(name):  # announced by an installed package
        if contribution("model", name).digest != architecture.digest:
            raise UsageError(f"{path} was made by another version of the package that contributes the model {name}")
        return architecture
    if not trust:
        raise UsageError(
            f"the network in {path} is built by code of {short(name)}: building it runs {file_of(name)}. If you trust "
            "whoever made the file, --trust (in Python trust=True) does so"
        )
    copy = copy_of(path.resolve().parent.parent, file_of(name), architecture.digest or "")
    for file in (file_of(name), copy):
        moved = f"{file}:{name.rpartition(':')[2]}"
        if file.is_file() and contribution("model", moved).digest == architecture.digest:
            return replace(architecture, name=moved)
    raise UsageError(
        f"the network in {path} was built by {short(name)} as it was then: neither {file_of(name)} nor {copy} is that"
    )


def _installed_again(architecture: Architecture, path: Path, trust: bool) -> Architecture:
    """The architecture by the installed package; another version than the one it was made with is told.

    torchvision, timm and transformers build networks from plain options; a function of another package may do anything.
    """
    name, made_with = architecture.name, architecture.package or "a package"
    if runs_code(name) and not trust:
        raise UsageError(
            f"the network in {path} is built by {name} of {made_with}: building it runs that with what the file says. "
            "If you trust whoever made the file, --trust (in Python trust=True) does so"
        )
    try:
        found = contribution("model", name)
    except UsageError as error:
        raise UsageError(f"the network in {path} is built by {name} of {made_with}: {error}") from None
    if found.digest != architecture.digest:
        words = f"{path} was made with {made_with}, here is {found.source}: its network is built by that"
        warnings.warn(words, stacklevel=2)
    return replace(architecture, digest=found.digest, package=found.source)
