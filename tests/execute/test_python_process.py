"""No process of prunetui runs a file because it lies in the folder where it was started."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import prunetui
from prunetui.execute.python_process import python_command

ROOT = Path(prunetui.__file__).resolve().parents[1]
PLANTED = "import os\nos.write(2, b'PLANTED\\n')\nraise SystemExit(9)\n"
FROZEN = {"sys", "builtins", "prunetui"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working folder in which every module of the standard library, and every library, has a false twin."""
    libraries = {"torch", "numpy", "typer", "rich", "textual", "methods", "psutil", "pydantic", "safetensors"}
    for name in (set(sys.stdlib_module_names) | libraries) - FROZEN:
        (tmp_path / f"{name}.py").write_text(PLANTED)
    (tmp_path / "methods.py").unlink()
    (tmp_path / "methods").mkdir()
    (tmp_path / "methods" / "__init__.py").write_text(PLANTED)
    return tmp_path


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONSAFEPATH", "PYTHONPATH")}


def imported_by_python_m() -> list[str]:
    code = "import sys; import runpy, pkgutil; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


def told(folder: Path, command: list[str]) -> tuple[int, str, str]:
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_the_twins_would_be_run_by_an_ordinary_start(folder: Path) -> None:
    """Else the tests below would prove nothing."""
    assert told(folder, [sys.executable, "-c", "import socket"])[::2] == (9, "PLANTED\n")


def test_a_module_is_started_without_the_working_folder_and_gets_its_arguments(folder: Path) -> None:
    code, out, err = told(folder, python_command("prunetui", "--version"))
    assert (code, out, err) == (0, f"prunetui {prunetui.__version__}\n", "")


def test_python_m_prunetui_runs_nothing_from_the_working_folder(folder: Path) -> None:
    """But what ``python -m`` itself imports before it begins with a module: only ``python -P -m`` prevents that."""
    for name in imported_by_python_m():
        (folder / f"{name}.py").unlink(missing_ok=True)
    code, out, err = told(folder, [sys.executable, "-m", "prunetui", "methods", "--json"])
    assert (code, err) == (0, "")
    assert '"taylor"' in out


def test_processes_of_libraries_leave_the_working_folder_out(folder: Path) -> None:
    code = (
        f"import sys; sys.path[:1] = [{str(ROOT)!r}]\n"
        "from prunetui.execute.python_process import isolate_imports; isolate_imports()\n"
        "import subprocess; raise SystemExit(subprocess.call([sys.executable, '-c', 'import socket']))"
    )
    expected = (0, "") if sys.version_info >= (3, 11) else (9, "PLANTED\n")
    assert told(folder, [sys.executable, "-c", code])[::2] == expected
