"""What the golden tests share: expectations, the command line in this process, runs made by hand, one tiny run."""

from __future__ import annotations

import difflib
import fcntl
import io
import json
import logging
import os
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from prunetui.__main__ import main

HERE = Path(__file__).parent
EXPECTED = HERE / "expected"
CLOCK = 1_700_400_000.0
"""What the clock says: nearly five days after the oldest run made by hand began."""
OF_TERMINALS = (
    "COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "PY_COLORS", "TTY_COMPATIBLE",
    "TTY_INTERACTIVE", "COLORTERM", "TERM", "PYTHONSAFEPATH",
)  # fmt: skip
HOW = "if the change is wanted: python -m pytest tests/golden --update-golden, then read the diff before you commit it"


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """``golden(name, text)``: the text is, to the byte, what the file ``expected/name`` holds."""
    update = request.config.getoption("--update-golden")

    def check(name: str, text: str) -> None:
        path, data = EXPECTED / name, text.encode()
        if update:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        assert path.is_file(), f"there is no {path}; {HOW}"
        if path.read_bytes() != data:
            before, now = (one.splitlines(keepends=True) for one in (path.read_bytes().decode(), text))
            diff = "".join(difflib.unified_diff(before, now, f"expected/{name}", "now", n=1))
            pytest.fail(f"{diff}\n{HOW}", pytrace=False)

    return check


@dataclass(frozen=True)
class Said:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str


class Stream(io.TextIOWrapper):
    """A pipe, or a terminal, in UTF-8, that keeps what is written to it."""

    def __init__(self, terminal: bool) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", newline="\n", write_through=True)
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal

    def text(self) -> str:
        self.flush()
        buffer = self.buffer
        assert isinstance(buffer, io.BytesIO)
        return buffer.getvalue().decode()


Call = Callable[..., Said]


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """The working folder: empty, at a fixed time in UTC, with nothing of the user's terminal."""
    for name in OF_TERMINALS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, place: Path) -> Call:
    """Runs prunetui in this process as its console script does; a pipe, or a terminal ``terminal`` cells wide."""

    def call(*arguments: object, terminal: int = 0) -> Said:
        out, err = Stream(bool(terminal)), Stream(bool(terminal))
        code: object = None
        with monkeypatch.context() as patch:
            if terminal:
                for name, value in (("COLUMNS", str(terminal)), ("LINES", "40"), ("TERM", "xterm-256color")):
                    patch.setenv(name, value)
                patch.setenv("COLORTERM", "truecolor")
            patch.setattr("typer.rich_utils.MAX_WIDTH", 400, raising=False)
            patch.setattr(sys.modules["__main__"], "__package__", None)  # usage names the console script, not pytest
            patch.setattr(time, "time", lambda: CLOCK)
            patch.setattr(sys, "argv", ["prunetui", *map(str, arguments)])
            patch.setattr(sys, "path", [*sys.path])
            patch.setattr(sys, "excepthook", sys.excepthook)
            patch.setattr(sys, "stdout", out)
            patch.setattr(sys, "stderr", err)
            patch.setattr(warnings, "formatwarning", warnings.formatwarning)
            patch.setattr(logging, "lastResort", logging.StreamHandler())
            try:
                main()
            except SystemExit as end:
                code = end.code
        assert isinstance(code, int)
        return Said(code, out.text(), err.text())

    return call


@pytest.fixture
def runs(place: Path) -> Path:
    """The hand-made runs in ./runs: done, failed, running, died, queued, damaged, and a folder that is no run."""
    folder = place / "runs"
    shutil.copytree(HERE / "runs", folder)
    for run in folder.iterdir():
        (run / "models").mkdir(exist_ok=True)
    return folder


@dataclass(frozen=True)
class Tiny:
    """A tiny study that was run twice without a screen: as JSON, then for people with all steps in the cache."""

    root: Path
    events: str
    """What the first printed."""
    told: str
    """What the second printed on stdout, and"""
    narrated: str
    """on stderr."""

    @property
    def folders(self) -> list[Path]:
        """The two runs, the older one first."""
        found = [path for path in self.root.iterdir() if not path.name.startswith(".")]
        return sorted(found, key=lambda path: float(json.loads((path / "status.json").read_bytes())["created"]))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """Digits, ResNet-20 of width 4, one epoch, masks and channels at one sparsity; pytest's processes share it."""
    base = tmp_path_factory.getbasetemp()
    several = "PYTEST_XDIST_WORKER" in os.environ
    place = (base.parent if several else base) / "golden-tiny"
    place.mkdir(exist_ok=True)
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "again.stderr").exists():
            _run_twice(place, (base.parent if not several else base.parent.parent) / "machine-checks")
    said = [(place / name).read_text(encoding="utf-8") for name in ("events", "again.stdout", "again.stderr")]
    return Tiny(place / "runs", said[0], said[1], said[2])


def _run_twice(place: Path, checks: Path) -> None:
    shutil.copy(HERE / "tiny.toml", place)
    checks.mkdir(exist_ok=True)
    (place / "cache" / "prunetui").mkdir(parents=True)
    (place / "cache" / "prunetui" / "machine").symlink_to(checks)  # seconds of computing
    plain = {name: value for name, value in os.environ.items() if name not in OF_TERMINALS}
    command = [sys.executable, "-m", "prunetui", "--batch", "tiny.toml", "--runs", "runs", "--device", "cpu"]

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        environment = {**plain, "XDG_CACHE_HOME": str(place / "cache"), "PYTHONPATH": str(HERE.parent.parent)}
        done = subprocess.run(
            [*command, *more], cwd=place, env=environment, capture_output=True, encoding="utf-8", check=False
        )
        assert done.returncode == 0, done.stderr
        return done

    (place / "events").write_text(run("--json").stdout, encoding="utf-8")
    again = run()
    (place / "again.stdout").write_text(again.stdout, encoding="utf-8")
    (place / "again.stderr").write_text(again.stderr, encoding="utf-8")
