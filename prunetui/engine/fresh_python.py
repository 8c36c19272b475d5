"""A fresh Python process that imports from where this one does, and nothing from the working folder."""

from __future__ import annotations

import json
import sys
from pathlib import Path

CODE = """
import json, sys
module, sys.path[:], arguments = json.loads(sys.argv[1])
from importlib import import_module
import_module(module).main(*arguments)
"""


def fresh_python(module: str, *arguments: str) -> list[str]:
    """The command that calls ``main(*arguments)`` of a module."""
    path = [str(Path(entry).resolve()) for entry in sys.path if entry]
    return [sys.executable, "-I", "-c", CODE, json.dumps([module, path, arguments])]
