"""What it costs that all computing is done in child processes: the quickstart, in turns with one process for all.

Each run is a command in a fresh process, as its users start it, with caches and runs of its own. ``ours`` and ``peer``
are processor seconds with and without children: on a busy machine the time that passes tells more of the others.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from statistics import median
from typing import Any

ROUNDS = 3
CODE = """
import sys
from pathlib import Path
from prunetui.config import load_study
from prunetui.execute.submit import submit
from prunetui.execute.execution import execute
run = submit(load_study("quickstart"), Path(sys.argv[1]))
raise SystemExit(execute(run, "cpu", lambda: False, executor=sys.argv[2]))
"""


def _seconds(how: str) -> float:
    """Processor seconds of a run and its children, without those of the check of the machine, which is made once."""
    with tempfile.TemporaryDirectory() as folder:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", CODE, folder, how], check=True, env=os.environ, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def results() -> Iterator[dict[str, Any]]:
    """Seconds of the quickstart with children and without."""
    _seconds("inline")  # warm: the machine's check, files in memory
    pairs = [(_seconds("processes"), _seconds("inline")) for _ in range(ROUNDS)]
    ratios = sorted(theirs / mine for mine, theirs in pairs)
    yield {
        "name": "quickstart, computed in child processes against in one process",
        "ours": median(mine for mine, _ in pairs),
        "peer": median(theirs for _, theirs in pairs),
        "ratio": median(ratios),
        "spread": ratios[-1] - ratios[0],
        "unit": "s",
    }
