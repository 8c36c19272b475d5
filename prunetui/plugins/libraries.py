"""The libraries of networks that a study can name, and the names of theirs, read from sources without running them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

REGISTERED = re.compile(r"^@register_model(?:\(([^)]*)\))?\n(?:.*\n)*?def (\w+)\(", re.MULTILINE)
"""A factory that torchvision or timm registers, by its name or by one that it says."""
WEIGHTS = re.compile(r"(torchvision|timm):(\w+)")
"""A checkpoint that is a library's own."""
CLASS = re.compile(r"^class (\w+)\(", re.MULTILINE)
ATTENTION = ("eager", "sdpa")
"""Ways to compute attention that are part of transformers; another name is that of code to be downloaded."""


@dataclass(frozen=True)
class Library:
    """A library of networks: where its names stand, and which of its options a study says elsewhere or never."""

    package: str
    module: str
    """Where its factories are imported from."""
    extra: str
    """The extra of prunetui that installs it; empty where prunetui needs it anyway."""
    names: Callable[[Path, str], Sequence[str]]
    """Its names, by its ``__init__.py`` and the name that is wanted."""
    form: str
    summary: str
    told: frozenset[str]
    """Its names of what the data tells; a parameter ``channels`` of its classes may be anything."""
    refused: re.Pattern[str]
    """Options that would download weights, or run code from elsewhere."""
    options: str = "options"
    """The key of ``[model]`` that its options stand in."""

    def base(self, name: str) -> str:
        """A name without what it says of pretrained weights, as in ``vit_tiny_patch16_224.augreg_in21k``."""
        return name.partition(".")[0] if self.package == "timm" else name

    def wrong_option(self, key: str, value: Any) -> str:
        """Why an option cannot be; empty where nothing is wrong with it."""
        if self.refused.fullmatch(key):
            return "weights and code from elsewhere are not options of a network; model.checkpoint names weights"
        if key == "attn_implementation" and value not in ATTENTION:
            return f"there are: {', '.join(ATTENTION)}"
        return ""


def _registered(init: Path, wanted: str) -> Sequence[str]:
    """What the modules below ``models`` register."""
    return _registered_below(init.parent / "models")


@lru_cache(maxsize=4)
def _registered_below(folder: Path) -> tuple[str, ...]:
    found = set()
    for file in folder.rglob("*.py"):
        for said, name in REGISTERED.findall(file.read_text(encoding="utf-8", errors="replace")):
            quoted = re.search(r"[\"'](\w+)[\"']", said)
            found.add(quoted[1] if quoted else name)
    return tuple(sorted(found))


def _classes(init: Path, wanted: str) -> Sequence[str]:
    """The classes of transformers' models; only the wanted one where it is there, as there are thousands to be read."""
    files = _modeling(init.parent / "models")
    start = f"\nclass {wanted}("
    for file in sorted(files, key=lambda file: not wanted.lower().startswith(file.parent.name.replace("_", ""))):
        if start in file.read_text(encoding="utf-8", errors="replace"):
            return [wanted]
    found = [name for file in files for name in CLASS.findall(file.read_text(encoding="utf-8", errors="replace"))]
    return difflib.get_close_matches(wanted, [name for name in found if "For" in name], 3)


@lru_cache(maxsize=2)
def _modeling(folder: Path) -> tuple[Path, ...]:
    return tuple(sorted(folder.glob("*/modeling_*.py")))


LIBRARIES: Mapping[str, Library] = {
    library.package: library
    for library in (
        Library(
            "torchvision", "torchvision.models", "", _registered, "torchvision:resnet50",
            "A network of torchvision; its keywords go into options.",
            frozenset({"num_classes", "image_size"}),
            re.compile("weights.*|progress|pretrained.*"),
        ),
        Library(
            "timm", "timm", "timm", _registered, "timm:vit_tiny_patch16_224",
            "A network of timm (an extra); its keywords go into options.",
            frozenset({"num_classes", "in_chans", "img_size"}),
            re.compile("pretrained.*|checkpoint_path|cache_dir|scriptable|exportable|no_jit|model_name"),
        ),
        Library(
            "transformers", "transformers", "transformers", _classes, "transformers:ViTForImageClassification",
            "A class of transformers (an extra); keys of its configuration go into config.",
            frozenset({"num_labels", "num_channels", "image_size"}),
            re.compile("_.*|.*backbone.*|auto_map|name_or_path|quantization_config|trust_remote_code|return_dict"),
            "config",
        ),
    )
}  # fmt: skip


def library_of(name: str) -> Library | None:
    """The library that a study's name says; None for other packages and names."""
    return LIBRARIES.get(name.partition(":")[0])


def weights_named(checkpoint: str | None) -> str | None:
    """``DEFAULT`` of a checkpoint ``torchvision:DEFAULT``: weights that a library publishes; None for a file."""
    found = WEIGHTS.fullmatch(checkpoint or "")
    return found[2] if found else None


FORMS = (
    ("net.py:make_net", "A function in a file of your own; its further parameters are options."),
    *((library.form, library.summary) for library in LIBRARIES.values()),
    ("package.module:factory", "A function or class of an installed package; its keywords go into options."),
)
"""What a study may name besides the models that are listed, and what that is."""
