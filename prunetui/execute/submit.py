"""A study becomes a run folder that waits to be executed."""

from __future__ import annotations

from pathlib import Path

from prunetui.config import Study, study_toml
from prunetui.config.write import rooted
from prunetui.plan import build_plan
from prunetui.store import Run, Status, create_run


def submit(study: Study, root: Path, device: str = "") -> Run:
    """The new run of a study, not yet executed; ``device`` is where it is to run, if that was said.

    Raises:
        RunFailed: its folder cannot be written.
    """
    study = rooted(study)
    status = Status(
        state="queued",
        name=study.name,
        data=study.data.name,
        model=study.model.name,
        device=device,
        methods=tuple(dict.fromkeys(method.label or method.name for method in study.methods)),
        trials=len(build_plan(study).trials),
    )
    return create_run(root, study_toml(study), status)
