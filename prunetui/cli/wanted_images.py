"""The images that the network in a file takes, by what the file says of itself, and what is said of fitting them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prunetui.config.schema import ModelTable, StatisticsTable, Study
from prunetui.errors import UsageError
from prunetui.terminal.output import say

if TYPE_CHECKING:
    from torch import Tensor

    from prunetui.engine.data import Wanted


def tell(level: str, line: str) -> None:
    """Say on stderr what was changed of the data, or is doubtful."""
    say(f"warning: {line}" if level == "warning" else line, err=True)


def wanted_by(header: Mapping[str, Any], path: Path) -> Wanted:
    """The images that a network of prunetui's takes: its classes by name, its own size and channels.

    Raises:
        UsageError: its header contradicts itself.
    """
    from prunetui.engine.data import Wanted

    shape, names = header["architecture"], header.get("classes")
    if header.get("prepared"):
        return Wanted(classes=None if names is None else tuple(names))
    if names is None:
        return Wanted(size=shape["size"], channels=shape["channels"])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UsageError(f"the class names in {path} are no list of names")
    if len(names) != shape["classes"]:
        raise UsageError(f"{path} names {len(names)} classes, and its network tells {shape['classes']} apart")
    return Wanted(tuple(names), shape["size"], shape["channels"])


def check_fixed(header: Mapping[str, Any], study: Study, path: Path) -> None:
    """Refuse settings that a fixed program cannot follow.

    Raises:
        UsageError: another network, another size, or another normalisation.
    """
    _check_network(header["architecture"], study.model, path)
    given = study.data
    size = header["architecture"]["size"]
    other = "or evaluate the .safetensors file of the same network"
    if given.size not in (None, size):
        raise UsageError(
            f"{path} is a fixed program for images of {size} x {size} pixels, which images are resized to: "
            f"leave data.size out, {other}"
        )
    if given.normalize != StatisticsTable(mean=header["mean"], std=header["std"]):
        raise UsageError(f"{path} is a fixed program that normalises images itself: leave data.normalize out, {other}")


def _check_network(about: Mapping[str, Any], asked: ModelTable, path: Path) -> None:
    """What is asked of the network is what it is, or not asked at all."""
    has = {"name": about["name"], "shortcut": about.get("shortcut", "B"), "width": about.get("width")}
    other = [f"{key} = {getattr(asked, key)}" for key in has if getattr(asked, key) not in (None, has[key])]
    other += [f"{key} = {value}" for key in ("checkpoint", "key") if (value := getattr(asked, key)) is not None]
    if other:
        width = f" of width {has['width']}" if has["width"] else ""
        raise UsageError(
            f"{path} is a fixed program of a {has['name']}{width} with shortcut {has['shortcut']}, not of a model with "
            f"{', '.join(other)}: leave --model and model.* out"
        )


def wanted_by_weights(tensors: Mapping[str, Tensor], model: ModelTable) -> Wanted:
    """Of weights that say nothing of themselves only the channels are known."""
    from prunetui.engine.data import Wanted
    from prunetui.engine.models.start import channels_of

    return Wanted(channels=channels_of(tensors, model))
