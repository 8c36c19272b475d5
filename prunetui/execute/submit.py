"""A study becomes a run folder that waits to be executed."""

from __future__ import annotations

from pathlib import Path

from prunetui.config import Study, study_toml
from prunetui.config.choices import contributions_of
from prunetui.config.write import rooted
from prunetui.errors import RunFailed
from prunetui.execute.trusted_code import trust
from prunetui.plan import build_plan
from prunetui.plugins.own_files import keep_copies, short
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
        data=short(study.data.name),
        model=short(study.model.name),
        device=device,
        methods=tuple(dict.fromkeys(method.title for method in study.methods)),
        trials=len(build_plan(study).trials),
    )
    run = create_run(root, study_toml(study), status)
    try:
        keep_copies(contributions_of(study), run.folder)
    except OSError as error:
        raise RunFailed(f"cannot copy what the study names to {run.folder}: {error.strerror}") from None
    trust(run)
    return run
