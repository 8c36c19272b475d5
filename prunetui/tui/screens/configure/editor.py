"""The user's own editor on a text, while the application waits."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from prunetui.execute.python_process import ISOLATED


def editor_command() -> list[str]:
    """``$VISUAL``, ``$EDITOR``, else vi or nano; empty when there is none of them."""
    for name in ("VISUAL", "EDITOR"):
        words = shlex.split(os.environ.get(name, ""))
        if words and shutil.which(words[0]):
            return words
    return next(([name] for name in ("vi", "nano") if shutil.which(name)), [])


def edit(text: str, command: list[str]) -> str:
    """What the user made of ``text``.

    Raises:
        OSError: the editor cannot be started, or what it left cannot be read.
        ValueError: it left something else than text, or ended with an error.
    """
    with tempfile.TemporaryDirectory(prefix="prunetui-") as folder:
        file = Path(folder) / "study.toml"
        file.write_text(text, encoding="utf-8")
        own = {name: value for name, value in os.environ.items() if name != ISOLATED}  # it may be a Python script
        code = subprocess.call([*command, str(file)], env=own)
        if code:
            raise ValueError(f"{command[0]} ended with the exit code {code}; the study is as it was")
        return file.read_text(encoding="utf-8")
