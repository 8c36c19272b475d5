"""The kinds of contributions: where each kind's built-in ones are, and what the program hands to them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PRUNETUI = Path(__file__).resolve().parents[1]
INSTALLED_METHODS = PRUNETUI / "_methods"
"""The repository's folder ``methods`` in an installed package: nothing called ``methods`` lies beside prunetui."""


@dataclass(frozen=True)
class Kind:
    """One kind of contribution."""

    name: str
    group: str
    """The group of entry points in which packages announce theirs."""
    package: str
    """The package of the built-in ones. Their module names are the same however prunetui was installed."""
    folder: Path
    decorator: str
    supplied: frozenset[str] = frozenset()
    """Parameters that the program fills in; all others are options that a study may set."""
    needs_decorator: bool = True
    """Whether a function or class of the user's own file must be decorated to be named by a study."""

    def files(self) -> list[Path]:
        """The files of the built-in ones; none where the kind has no folder yet."""
        return [file for file in sorted(self.folder.glob("*.py")) if file.stem != "__init__"]


FROM_DATA = {
    "channels": ("channels", "in_chans", "in_channels", "num_channels"),
    "size": ("size", "img_size", "image_size"),
    "classes": ("classes", "num_classes", "num_labels"),
}
"""What the data says of a network, and the names of parameters that are told it."""
OF_MODELS = frozenset({"width", "shortcut", *(name for names in FROM_DATA.values() for name in names)})
OF_DATA = frozenset({"root", "size", "skip_corrupt", "wanted", "train_needed", "streaming", "report", "note"})


def _methods() -> Path:
    return INSTALLED_METHODS if INSTALLED_METHODS.is_dir() else PRUNETUI.parent / "methods"


KINDS = {
    kind.name: kind
    for kind in (
        Kind("method", "prunetui.methods", "prunetui._methods", _methods(), "register"),
        Kind("model", "prunetui.models", "prunetui.models", PRUNETUI / "models", "model", OF_MODELS, False),
        Kind("data", "prunetui.data", "prunetui.data", PRUNETUI / "data", "data", OF_DATA, False),
        Kind("task", "prunetui.tasks", "prunetui.tasks", PRUNETUI / "tasks", "task"),
        Kind("runtime", "prunetui.runtimes", "prunetui.runtimes", PRUNETUI / "runtimes", "runtime"),
        Kind(
            "executor", "prunetui.executors", "prunetui.execute.executors", PRUNETUI / "execute" / "executors",
            "executor",
        ),
        Kind("tracker", "prunetui.trackers", "prunetui.trackers", PRUNETUI / "trackers", "tracker"),
    )
}  # fmt: skip
