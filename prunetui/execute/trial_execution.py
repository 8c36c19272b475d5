"""Execute one trial, which becomes a row whatever happens to it."""

from __future__ import annotations

import errno
import logging
from typing import TYPE_CHECKING, Any

from prunetui import events
from prunetui.errors import Interrupted, PrunetuiError, Skipped, UsageError
from prunetui.execute.run_control import RunControl
from prunetui.plan import Trial

if TYPE_CHECKING:
    from prunetui.engine.run import Engine

# Errors of the machine, not of a trial: the next trial would meet them too.
FATAL_ERRNO = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG}


def execute_trial(engine: Engine, trial: Trial, control: RunControl) -> dict[str, Any]:
    """The row of a trial: done, skipped by the user, or failed and why.

    Raises:
        Interrupted: it was asked to stop.
        UsageError: the study cannot be executed at all.
        OSError: of the machine rather than of the trial.
    """
    control.trial = trial.id
    try:
        return engine.run_trial(trial)
    except (Interrupted, UsageError):
        raise
    except Skipped as error:
        return {**trial.identity(), "status": "skipped", "error": str(error)}
    except (Exception, SystemExit, KeyboardInterrupt) as error:  # signals do not interrupt here: a method raised it
        if isinstance(error, OSError) and error.errno in FATAL_ERRNO:
            raise
        logging.getLogger(__name__).exception("trial %s failed", trial.id)
        message = str(error) if isinstance(error, PrunetuiError) else f"{type(error).__name__}: {error}"
        engine.emit(events.Log("error", f"{trial.id}: {message}"))
        return failed_row(trial, message)


def failed_row(trial: Trial, message: str) -> dict[str, Any]:
    """The row of a trial that failed."""
    return {**trial.identity(), "status": "failed", "error": " ".join(message.split())[:500]}
