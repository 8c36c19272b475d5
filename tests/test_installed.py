"""The package as it is installed: from a wheel and in place, in a working folder full of files named like modules."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import prunetui

ROOT = Path(prunetui.__file__).resolve().parents[1]
PLANTED = "import os\nos.write(2, b'PLANTED\\n')\nos._exit(9)\n"
NAMES = ("torch", "json", "numpy", "methods", "wanda", "socket", "random", "typing", "ast", "hashlib", "models", "data")
STARTED = "import sys\nif sys.path[:1] == ['']:\n    del sys.path[0]\n"
"""As the console script starts: without the working folder."""
SEEN = f"""{STARTED}
import json
import prunetui
from prunetui.config import parse_study
from prunetui.plan import build_plan
from prunetui.plugins.catalogue import catalogue
from prunetui.plugins.kinds import KINDS
from prunetui.plugins.method_catalogue import load

listed = {{
    kind: {{name: (one.module, one.symbol, one.digest) for name, one in sorted(catalogue(kind).found.items())}}
    for kind in KINDS
}}
keys = sorted(build_plan(parse_study("methods = ['taylor', 'wanda', 'fpgm']")).nodes)
light = "torch" not in sys.modules
loaded = [load(name).__module__ for name in ("wanda", "threshold")]
print(json.dumps([prunetui.__file__, listed, keys, light, loaded, "methods" in sys.modules]))
"""
STUDY = """\
sparsities = [0.5]
data = { limit = 60, validation = 0.0 }
model = { width = 2 }
train = { epochs = 1, batch_size = 32 }
finetune = { epochs = 0 }
measure = { latency = false, control = false, recalibrate = 0 }
methods = ["wanda"]
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what a wheel installs."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    code = f"from hatchling.builders.wheel import WheelBuilder\nprint(*WheelBuilder({str(ROOT)!r}).build("
    code += f"directory={str(folder)!r}, versions=['standard']))"
    built = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=folder)
    with zipfile.ZipFile(built.stdout.split()[-1]) as archive:
        archive.extractall(folder / "site-packages")
    return folder / "site-packages"


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A working folder in which modules have false twins, as files and as packages."""
    for name in NAMES:
        (tmp_path / f"{name}.py").write_text(PLANTED)
    (tmp_path / "methods.py").unlink()
    (tmp_path / "methods").mkdir()
    for name in ("__init__", "taylor", "wanda"):
        (tmp_path / "methods" / f"{name}.py").write_text(PLANTED)
    return tmp_path


def run(folder: Path, site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What a process says whose prunetui is that in ``site``."""
    environment = {**os.environ, "PYTHONPATH": str(site)}
    environment.pop("PYTHONSAFEPATH", None)
    return subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True)


def test_a_wheel_puts_nothing_beside_prunetui(wheel: Path):
    top = {entry.name for entry in wheel.iterdir()}
    assert top == {"prunetui", f"prunetui-{prunetui.__version__}.dist-info"}
    methods = {file.name for file in (ROOT / "methods").glob("*.py")}
    assert {file.name for file in (wheel / "prunetui" / "_methods").glob("*.py")} == methods


def test_the_catalogue_and_keys_do_not_depend_on_how_it_was_installed(wheel: Path, hostile: Path):
    seen = []
    for site in (wheel, ROOT):
        done = run(hostile, site, "-c", SEEN)
        assert (done.returncode, done.stderr) == (0, "")
        file, *rest = json.loads(done.stdout)
        assert Path(file) == site / "prunetui" / "__init__.py"
        seen.append(rest)
    assert seen[0] == seen[1]
    listed, keys, light, loaded, planted = seen[0]
    assert listed["method"]["wanda"][:2] == ["prunetui._methods.wanda", "Wanda"]
    assert listed["model"]["vgg16"][:2] == ["prunetui.models.vgg", "vgg16"]
    assert listed["data"]["digits"][:2] == ["prunetui.data.digits", "digits"]
    assert len(keys) > 10
    assert light
    assert loaded == ["prunetui._methods.wanda", "prunetui._methods.threshold"]
    assert not planted


@pytest.mark.slow
def test_computing_processes_run_nothing_of_the_working_folder(wheel: Path, hostile: Path):
    (hostile / "study.toml").write_text(STUDY)
    code = f"{STARTED}sys.argv[0] = 'prunetui'\nfrom prunetui.__main__ import main\nmain()"
    for site, computed in ((wheel, True), (ROOT, False)):
        done = run(hostile, site, "-c", code, "--batch", "study.toml", "--runs", "runs", "--json", "--device", "cpu")
        assert done.returncode == 0, done.stderr
        assert "PLANTED" not in done.stderr
        steps = [event for event in map(json.loads, done.stdout.splitlines()) if event["event"] == "step_finished"]
        # What the one computed the other finds: keys do not depend on how it was installed.
        assert steps
        assert {step["cached"] for step in steps} == {not computed}


# Examples as a user runs them ---------------------------------------------------------------------------


def copied_examples(folder: Path) -> Path:
    """The files of the examples in a folder with nothing else in it."""
    for file in (ROOT / "examples").glob("*.*"):
        shutil.copy(file, folder)
    return folder


def test_a_network_of_a_script_is_pruned_in_one_call(wheel: Path, tmp_path: Path):
    done = run(copied_examples(tmp_path), wheel, "one_call.py")
    assert (done.returncode, done.stderr) == (0, "")
    head, *_, accuracies, kept = done.stdout.splitlines()
    assert re.match(r"group-norm removed (49|50)\.\d\d% of the macs|group-norm removed 50", head, re.IGNORECASE)
    dense, _, trained = map(float, re.findall(r"([\d.]+) %", accuracies))
    assert dense > 80
    assert trained > dense - 10
    assert kept.startswith("small.safetensors holds Net with ")


def test_a_notebook_runs_a_study_of_an_own_network(wheel: Path, tmp_path: Path):
    done = run(copied_examples(tmp_path), wheel, "notebook.py")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^<run \S+-own-network-\w+: done, \d+ of \d+ trials done>$", done.stdout, re.MULTILINE)
    assert (tmp_path / "accuracy.png").read_bytes().startswith(b"\x89PNG")
    assert re.search(r"^[\d,]+ parameters$", done.stdout, re.MULTILINE)
