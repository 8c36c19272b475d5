"""The dense network of a study: built as it asks, or as its checkpoint is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from prunetui.config import ModelTable
from prunetui.engine.layers import prunable_layers
from prunetui.engine.models import Architecture, skeleton, takes
from prunetui.engine.models.library_weights import checkpoint_file, with_own_head
from prunetui.engine.models.masked_weights import computed
from prunetui.engine.models.parts import StateDictPart, by_preference, nearest, parts_of, under
from prunetui.engine.models.read_checkpoint import LoadedCheckpoint, fit, read_checkpoint
from prunetui.engine.models.zeros import told_zeros, zero_masks
from prunetui.engine.tied_tensors import ties_in, under_all_names
from prunetui.errors import UsageError
from prunetui.formats.shared_filters import labels_of, sharing_layers
from prunetui.plugins.catalogue import contribution


@dataclass(frozen=True)
class Start:
    """A checkpoint's weights as those of an architecture, its zeros as masks, and what is to be said of them."""

    architecture: Architecture
    tensors: Mapping[str, Tensor]
    masks: Mapping[str, Tensor] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def architecture_of(model: ModelTable, channels: int | None, size: int | None, classes: int | None) -> Architecture:
    """The architecture of a study without a checkpoint; what is left open is decided here."""
    found = contribution("model", model.name)
    own = found.digest if found.origin != "built-in" else None
    shortcut = model.shortcut or (None if own else "B")
    options = model.config or model.options or {}
    package = found.source if found.origin == "installed" else None
    return Architecture(model.name, channels, size, classes, shortcut, model.width, options, own, package)


def started(model: ModelTable, channels: int | None, size: int | None, classes: int | None) -> Start:
    """The weights of a study's checkpoint, in the network that both describe.

    Raises:
        UsageError: the checkpoint cannot be read, or does not fit what the study or its data say.
    """
    assert model.checkpoint
    path = checkpoint_file(model)
    return start_from(read_checkpoint(path), path, model, channels, size, classes)


def checkpoint_of(model: ModelTable) -> LoadedCheckpoint | None:
    """What a study's checkpoint holds; None for a study without.

    Raises:
        UsageError: it cannot be read.
    """
    return read_checkpoint(checkpoint_file(model)) if model.checkpoint else None


def channels_of(tensors: Mapping[str, Tensor], model: ModelTable) -> int | None:
    """Channels of the images that the weights were made for, found where ``fit`` looks for the weights.

    None where the first layer is not found, and where several parts of the file that have the most of the model's names
    differ: the images decide among those.
    """
    tensors, _ = computed(tensors)
    net = _skeleton(architecture_of(model, channels=3, size=32, classes=10))
    first, parts = f"{prunable_layers(net)[0]}.weight", _parts(tensors, net.state_dict(), model.key)
    most = max((len(part.names) for part in parts), default=0)
    found = [tensors[p.names[first]] for p in parts if first in p.names and len(p.names) == most]
    channels = {int(weight.shape[1]) for weight in found if weight.dim() == 4}
    return channels.pop() if len(channels) == 1 else None


def start_from(
    read: LoadedCheckpoint, path: Path, model: ModelTable, channels: int | None, size: int | None, classes: int | None
) -> Start:
    """As ``started``, of a file that has been read."""
    tensors, _ = computed(read.tensors)
    architecture = followed(tensors, architecture_of(model, channels, size, classes), model)
    net = _skeleton(architecture)
    given, told = with_own_head(read.tensors, architecture, model)
    _check_ends(given if told else tensors, architecture, model, path)
    if read.header and _is_narrower(tensors, net):
        raise UsageError(
            f"{path} is a network of prunetui's that has lost channels, and a study starts from a dense one; "
            "`prunetui evaluate` and `prunetui.load` take it"
        )
    found = fit(given, net, path, model.key)
    layers = prunable_layers(net)
    masks = zero_masks(found.tensors, layers, found.masks) if model.keep_zeros else {}
    zeros = told_zeros(found.tensors, masks, layers)
    return Start(architecture, found.tensors, masks, (*told, *found.notes, *([zeros] if zeros else [])))


def followed(tensors: Mapping[str, Tensor], asked: Architecture, model: ModelTable) -> Architecture:
    """``asked`` with the shortcut and the width of the checkpoint, where the study leaves them open."""
    if takes(asked.name, "shortcut") and model.shortcut is None:
        options = [replace(asked, shortcut=kind) for kind in ("B", "A")]
        # All names of shortcut A are among those of B: B is there when all of its own are.
        asked = next((a for a in options if not _missing(tensors, a, model.key)), asked)
    first = _found(tensors, asked, model.key, 0)
    if takes(asked.name, "width") and model.width is None and first is not None and first.dim() == 4:
        asked = replace(asked, width=first.shape[0])
    return asked


def _check_ends(tensors: Mapping[str, Tensor], architecture: Architecture, model: ModelTable, path: Path) -> None:
    """Refuse, in words of the study rather than of shapes, what checkpoint and study or data cannot both mean."""
    first, last = _found(tensors, architecture, model.key, 0), _found(tensors, architecture, model.key, -1)
    if first is None or last is None or first.dim() != 4 or last.dim() != 2:
        return
    wrong = []
    if model.width is not None and first.shape[0] != model.width:
        wrong.append(f"model.width = {model.width}, the checkpoint's is {first.shape[0]}: leave it out to follow that")
    if architecture.channels is not None and first.shape[1] != architecture.channels:
        wrong.append(f"the images have {architecture.channels} channels, the checkpoint reads {first.shape[1]}")
    if architecture.classes is not None and last.shape[0] != architecture.classes:
        wrong.append(f"the data has {architecture.classes} classes, the checkpoint tells {last.shape[0]} apart")
    if wrong:
        raise UsageError(f"the checkpoint {path} does not fit the study: {'; '.join(wrong)}")


def _is_narrower(tensors: Mapping[str, Tensor], net: nn.Module) -> bool:
    """Whether a file has the names of a network and not its widths, or filters that are shared."""
    wanted, tensors = net.state_dict(), under_all_names(tensors, ties_in(net))
    same = set(wanted) == set(tensors) - {labels_of(layer) for layer in sharing_layers(tensors)}
    return same and any(tensors[n].shape != t.shape for n, t in wanted.items())


def _skeleton(architecture: Architecture) -> nn.Module:
    """The network with names and shapes and without values, but its counters."""
    net = skeleton(architecture)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.num_batches_tracked = torch.zeros((), dtype=torch.int64)
    return net


def _missing(tensors: Mapping[str, Tensor], architecture: Architecture, key: str | None) -> list[str]:
    wanted = {n: t for n, t in _skeleton(architecture).state_dict().items() if n.endswith(("weight", "bias"))}
    part = _part(tensors, wanted, key)
    return [name for name in wanted if name not in part]


def _found(tensors: Mapping[str, Tensor], architecture: Architecture, key: str | None, place: int) -> Tensor | None:
    """The weight of the first (0) or last (-1) layer, as the file has it."""
    net = _skeleton(architecture)
    name = f"{prunable_layers(net)[place]}.weight"
    theirs = _part(tensors, net.state_dict(), key).get(name)
    return None if theirs is None else tensors[theirs]


def _part(tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor], key: str | None) -> Mapping[str, str]:
    return nearest(_parts(tensors, wanted, key), wanted, tensors).names


def _parts(tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor], key: str | None) -> list[StateDictPart]:
    parts = parts_of(tensors, wanted)
    return by_preference(parts if key is None else under(parts, key))
