"""One trial after the other in one process, each as a row whatever happens to it."""

from __future__ import annotations

import errno
import logging
from typing import TYPE_CHECKING, Any

from prunetui import events
from prunetui.errors import Interrupted, PrunetuiError, Skipped, UsageError
from prunetui.execute.run_control import Obedience
from prunetui.plan import Trial

if TYPE_CHECKING:
    from prunetui.engine.run import Engine

# Errors of the machine, not of a trial: the next trial would meet them too.
FATAL_ERRNO = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG}


def row_of(engine: Engine, trial: Trial, obey: Obedience) -> dict[str, Any]:
    """The row of a trial: done, skipped by hand, or failed and why.

    Raises:
        Interrupted: it was asked to stop.
        UsageError: the study cannot be executed at all.
        OSError: of the machine rather than of the trial.
    """
    obey.trial = trial.id
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
        told = str(error) if isinstance(error, PrunetuiError) else f"{type(error).__name__}: {error}"
        engine.emit(events.Log("error", f"{trial.id}: {told}"))
        return failed_row(trial, told)


def failed_row(trial: Trial, told: str) -> dict[str, Any]:
    """The row of a trial that failed."""
    return {**trial.identity(), "status": "failed", "error": " ".join(told.split())[:500]}
