"""``python -m prunetui.execute RUN [DEVICE]``: execute a run folder, detached from any terminal."""

from __future__ import annotations

import dataclasses
import sys
import time
import traceback
from pathlib import Path

from prunetui.errors import EXIT_FAILED, PrunetuiError
from prunetui.execute.execution import execute
from prunetui.execute.launcher import note_interrupted
from prunetui.execute.stop_signals import Stop
from prunetui.store import Run


def main() -> int:
    """Execute the run folder named on the command line; returns the exit code."""
    run, device = Run(Path(sys.argv[1])), sys.argv[2] if len(sys.argv) > 2 else "auto"
    stop = Stop(before_exit=lambda: note_interrupted(run, "stopped at once"))
    stop.listen()
    try:
        return execute(run, device, stop)
    except PrunetuiError as error:
        status = run.status()
        if status is not None and status.state == "queued":  # it has not begun, and nobody reads its stderr
            run.write_status(dataclasses.replace(status, state="failed", message=str(error), finished=time.time()))
        return error.exit_code
    except Exception:  # noqa: BLE001 - already in worker.log; a detached process has nobody to tell
        traceback.print_exc()
        return EXIT_FAILED


if __name__ == "__main__":
    raise SystemExit(main())
