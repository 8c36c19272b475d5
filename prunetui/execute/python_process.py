"""Start Python processes that import nothing from the folder they are started in.

``python -m`` and ``python -c`` put the working folder first on the module search path: a file ``socket.py`` that lies
there, beside data from elsewhere perhaps, would run in place of the library's.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

# Every import before the path is mended must be of a module that is built into the interpreter.
BOOT = """
import sys
if sys.path[:1] == [""]:
    del sys.path[0]
root, module = sys.argv[1:3]
if root not in sys.path:
    sys.path.append(root)
sys.argv = [module, *sys.argv[3:]]
from runpy import run_module
run_module(module, run_name="__main__", alter_sys=True)
"""
ISOLATED = "PYTHONSAFEPATH"
ROOT = Path(__file__).resolve().parents[2]


def python_command(module: str, *arguments: str) -> list[str]:
    """The command that runs ``module`` of prunetui as ``python -m`` would, without the working folder on the path."""
    return [sys.executable, "-c", BOOT, str(ROOT), module, *arguments]


def isolate_imports() -> None:
    """Let the Python processes that libraries start from this one leave the working folder out of their path, too.

    ``multiprocessing`` starts its processes with ``python -c``; they heed this variable from Python 3.11 on.
    """
    os.environ[ISOLATED] = "1"
    if str(ROOT) not in sys.path:  # a checkout that is not installed
        sys.path.append(str(ROOT))
