"""Settings that may differ when a run is resumed: those that change no figure of what is asked."""

from __future__ import annotations

from collections.abc import Sequence

from prunetui.config import Study, load_study, parse_study, study_toml
from prunetui.config.differences import flattened
from prunetui.config.write import resolved, rooted
from prunetui.errors import RunFailed, UsageError
from prunetui.files.atomic import write_atomic
from prunetui.store import Run

NEUTRAL = "name, run.parallel, data.root, measure.keep_models"
"""``data.root`` says where the data lie, not what they are. A resumed run keeps its number of threads, on which sums
depend, whatever ``run.parallel`` is."""
NAMED = 5


def change_settings(run: Run, study: str | None, overrides: Sequence[str]) -> None:
    """Give a run the neutral settings of ``study`` (its own, if None) with ``overrides``.

    Raises:
        UsageError: something else differs from what the run was started with.
        RunFailed: the run's folder cannot be written.
    """
    refused = "--resume cannot be combined with another study"
    place = str(run.folder / "study.toml")
    try:
        text = run.study_text()
        own = parse_study(text, file=place)
    except (OSError, UnicodeDecodeError, UsageError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise UsageError(
            f"{refused}: that of {run.id} cannot be read ({reason}), so nobody knows what differs"
        ) from None
    wanted = rooted(parse_study(text, overrides, place) if study is None else load_study(study, overrides))
    allowed = _with_neutral(own, wanted)
    if study_toml(allowed) != study_toml(wanted):
        raise UsageError(
            f"{refused}: {run.id} was started with {_differing(allowed, wanted)}; only {NEUTRAL} may change. Leave "
            "--resume out to start anew: steps that are the same are found, not computed again"
        )
    if study_toml(own) != study_toml(wanted):
        _rewrite(run, wanted)


def _with_neutral(own: Study, other: Study) -> Study:
    """A study with the neutral settings of another."""
    return own.model_copy(
        update={
            "name": other.name,
            "run": own.run.model_copy(update={"parallel": other.run.parallel}),
            "data": own.data.model_copy(update={"root": other.data.root}),
            "measure": own.measure.model_copy(update={"keep_models": other.measure.keep_models}),
        }
    )


def _differing(own: Study, other: Study) -> str:
    before, after = flattened(resolved(own)), flattened(resolved(other))
    keys = [key for key in {**before, **after} if before.get(key) != after.get(key)]
    named = [f"{key} = {before.get(key, 'nothing')[:60]}, not {after.get(key, 'nothing')[:60]}" for key in keys[:NAMED]]
    more = [f"{len(keys) - NAMED} more differ"] if len(keys) > NAMED else []
    return "; ".join([*named, *more]) or "other values"


def _rewrite(run: Run, study: Study) -> None:
    try:
        with run.locked():
            write_atomic(run.folder / "study.toml", study_toml(study))
    except OSError as error:
        raise RunFailed(f"cannot write the study of {run.id}: {error.strerror or error}") from None
