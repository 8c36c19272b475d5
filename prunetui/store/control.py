"""What people ask of a run while it is executed: a small file beside it that its process reads between batches."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from prunetui.files.atomic import write_atomic
from prunetui.files.regular import read_object
from prunetui.store.run_folder import Run


@dataclass(frozen=True)
class Wishes:
    """All that can be asked for; nothing by default."""

    stop: bool = False
    """End after the current batch; the run can be resumed."""
    stop_after_step: bool = False
    """End after the current step."""
    pause: bool = False
    """Wait, holding everything in memory, until this is taken back."""
    skip: tuple[str, ...] = ()
    """Trials to leave out from now on."""


class Control:
    """The wishes for one run. Works from any process, also over a shared file system."""

    def __init__(self, run: Run) -> None:
        self._path: Path = run.folder / "control.json"

    def read(self) -> Wishes:
        """The wishes; none when the file is missing or cannot be read, and none of a kind that it does not have."""
        try:
            plain = read_object(self._path)
        except (OSError, ValueError):
            return Wishes()
        known = {name: plain[name] for name in asdict(Wishes()) if type(plain.get(name)) is bool}
        skip = plain.get("skip")
        names = tuple(name for name in skip if isinstance(name, str)) if isinstance(skip, list) else ()
        return Wishes(**known, skip=names)

    def ask(self, **wishes: Any) -> Wishes:
        """Change some wishes, keep the others."""
        wanted = replace(self.read(), **wishes)
        write_atomic(self._path, json.dumps(asdict(wanted)))
        return wanted

    def skip(self, trial: str) -> Wishes:
        """Leave out one more trial."""
        return self.ask(skip=tuple(dict.fromkeys((*self.read().skip, trial))))

    def clear(self) -> None:
        """Forget all wishes: a run that starts is not stopped by an old one."""
        self._path.unlink(missing_ok=True)

    def changed(self) -> float:
        """When the wishes last changed; 0 when there are none."""
        try:
            return self._path.stat().st_mtime
        except OSError:
            return 0.0
