"""A model, a data set and a method in files of the user's: named by a study, found by their path, kept with the run."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from prunetui.config import ModelTable, load_study, parse_study
from prunetui.errors import ConfigError, UsageError
from prunetui.execute.python_process import python_command
from prunetui.execute.submit import submit
from prunetui.plan import build_plan
from prunetui.plugins.catalogue import catalogue, contribution
from prunetui.plugins.kinds import KINDS
from prunetui.plugins.own_files import absolute, short
from prunetui.plugins.read_source import read_contributions
from prunetui.tui.screens.configure.fields import sections

NET = '''\
from torch import nn

from prunetui.api import model

print("the net's file is run")


def make_net(channels, num_classes, depth: int = 1):
    """A plain network.

    Args:
        depth: Convolutions after the first.
    """
    layers = [nn.Conv2d(channels, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU()]
    for _ in range(depth):
        layers += [nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, num_classes))


@model("my-normed")
def normed(channels: int, classes: int) -> nn.Module:
    """With a layer that cannot be pruned yet."""
    return nn.Sequential(nn.Conv2d(channels, 4, 3), nn.GroupNorm(2, 4), nn.Flatten(), nn.Linear(144, classes))
'''
DATA = '''\
import torch

from prunetui.api import Splits, data


class Columns:
    """Noise with a bright column that says the class."""

    def __init__(self, count, seed):
        noise = torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
        self.labels = torch.arange(count) % 3
        self.images = (noise * 128).byte()
        self.images[torch.arange(count), 0, :, self.labels] = 255

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, i):
        return self.images[i], int(self.labels[i])


@data("scans", augment="crop")
def scans(count: int = 60) -> Splits:
    """Columns."""
    test = Columns(30, 2)
    return Splits(train=Columns(count, 0), validation=Columns(12, 1), test=(test.images, test.labels), classes="abc")
'''
METHOD = '''\
from prunetui.api import Masks, Net, dataclass, keep_top, register


@register("layer-mean", source="an example")
@dataclass(frozen=True)
class LayerMean:
    """Zero the weights that are small for their layer."""

    scale: float = 1.0
    """Of no use."""

    def prune(self, net: Net, sparsity: float) -> Masks:
        scores = {name: self.scale * w.abs() / w.abs().mean() for name, w in net.weights().items()}
        return Masks(keep_top(scores, sparsity, "global", within=net.masks))
'''
STUDY = """\
sparsities = [0.5]
model = { name = "my_net.py:make_net", options = { depth = 2 } }
data = { name = "my_data.py:scans" }
train = { epochs = 2, batch_size = 16 }
finetune = { epochs = 1, batch_size = 16 }
measure = { latency = false }
methods = ["my_method.py:layer-mean", { name = "l1-structured", target = "channels" }]
"""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A study file beside the files that it names."""
    folder = tmp_path / "study"
    folder.mkdir()
    for name, text in {"my_net.py": NET, "my_data.py": DATA, "my_method.py": METHOD, "study.toml": STUDY}.items():
        (folder / name).write_text(text)
    return folder / "study.toml"


def prunetui(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = python_command("prunetui", *map(str, arguments))
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def told(text: str, *overrides: str, file: str = "study") -> list[str]:
    """What is wrong with a study, line by line."""
    with pytest.raises(ConfigError) as caught:
        parse_study(text, overrides, file)
    return [f"{m.path}: {m.message}" for m in caught.value.mistakes]


# What a study says ------------------------------------------------------------------------------------


def test_files_are_found_from_the_folder_of_the_study(study: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    found = load_study("study/study.toml")
    assert found.model.name == f"{study.parent / 'my_net.py'}:make_net"
    assert found.data.name == f"{study.parent / 'my_data.py'}:scans"
    assert found.methods[0].name == f"{study.parent / 'my_method.py'}:layer-mean"
    assert found.methods[0].options == {"scale": 1.0}
    assert [method.title for method in found.methods] == ["my_method.py:layer-mean", "l1-structured"]
    assert [trial.method for trial in build_plan(found).trials] == ["dense", "my_method.py:layer-mean", "l1-structured"]


def test_an_override_is_found_from_the_working_folder(study: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "other.py").write_text(NET)
    monkeypatch.chdir(tmp_path)
    found = load_study("study/study.toml", ["model.name=other.py:make_net"])
    assert found.model.name == f"{tmp_path / 'other.py'}:make_net"


def test_a_name_is_made_absolute_and_shortened():
    assert absolute("lab/net.py:f", Path("/home/me")) == "/home/me/lab/net.py:f"
    assert absolute("../net.py:f", Path("/home/me")) == "/home/net.py:f"
    assert absolute("/there/net.py:my-net", Path("/home/me")) == "/there/net.py:my-net"
    assert absolute("resnet20", Path("/home/me")) == "resnet20"
    assert [short("/home/me/net.py:f"), short("resnet20")] == ["net.py:f", "resnet20"]


@pytest.mark.parametrize(
    ("overrides", "wrong"),
    [
        (["model.name=my_net.py:make_nett"], "model.name: {net} has no model called 'make_nett' and no function"),
        (["model.name=my_nett.py:make_net"], "model.name: cannot read {folder}/my_nett.py: No such file"),
        (["model.name=study.py:make_net"], "model.name: {folder}/study.py: "),
        (["model.width=8"], "model.width: make_net takes no width"),
        (["model.options.depht=2"], "model.options.depht: unknown key"),
        (["model.options.depth=two"], "model.options.depth: should be a valid integer"),
        (["model.options.depth={ a = 1 }"], "model.options.depth: an option is a number"),
        (["data.name=my_data.py:Columns"], "data.options.seed: is required"),
        (["methods=['my_method.py:LayerMeen']"], "methods[0].name: {folder}/my_method.py has no method called"),
        (["model.name=resnet21"], "model.name: not a valid choice"),
        (["data.name=diggits"], "data.name: not a valid choice"),
        (["model.name=3"], "model.name: not a valid choice"),
    ],
)
def test_what_is_wrong_is_told(study: Path, monkeypatch: pytest.MonkeyPatch, overrides: list[str], wrong: str):
    monkeypatch.chdir(study.parent)
    (study.parent / "study.py").write_text("def (")
    found = told(STUDY, *overrides)
    wrong = wrong.format(folder=study.parent, net=study.parent / "my_net.py")
    assert any(line.startswith(wrong) for line in found), found


def test_an_unknown_name_is_told_with_all_there_are_and_the_nearest():
    with pytest.raises(ConfigError) as caught:
        parse_study('[model]\nname = "resnet21"\noptions = { depth = 1 }\n[data]\nname = "diggits"\n')
    data, model = sorted(caught.value.mistakes, key=lambda mistake: mistake.path)
    assert (model.line, model.got, model.nearest) == (2, '"resnet21"', '"resnet20"')
    assert model.allowed.split(", ") == [
        "resnet18", "resnet34", "resnet50", "resnet20", "resnet32", "resnet44", "resnet56", "resnet110",
        "tiny-detector", "tiny-transformer", "unet", "vgg11", "vgg16", "vgg19", "vit",
    ]  # fmt: skip
    assert data.allowed.split(", ") == [
        "digits", "digits-in-boxes", "digits-on-noise", "cifar10", "cifar100", "svhn", "fashion-mnist", "folder",
        "huggingface", "system-text",
    ]  # fmt: skip
    assert data.nearest == '"digits"'


def test_forms_and_editors_are_offered_the_names_of_the_catalogue():
    schema = ModelTable.model_json_schema()["properties"]["name"]
    assert schema["anyOf"][0] == {"enum": list(catalogue("model").found)}
    specs = {(section.key, spec.label): spec for section in sections("cpu") for spec in section.specs}
    assert specs["model", "name"].choices == tuple(catalogue("model").found)
    assert specs["data", "name"].choices[:3] == ("digits", "digits-in-boxes", "digits-on-noise")


# What is read without running it ----------------------------------------------------------------------


def test_a_function_is_read_without_being_run(study: Path, capsys: pytest.CaptureFixture[str]):
    found = contribution("model", f"{study.parent}/my_net.py:make_net")
    assert (found.symbol, found.summary, found.takes) == ("make_net", "A plain network.", {"channels", "num_classes"})
    (option,) = found.options
    assert (option.name, option.type, option.default, option.help) == ("depth", int, 1, "Convolutions after the first.")
    assert found.module not in sys.modules
    assert capsys.readouterr().out == ""


def test_a_decorated_function_has_its_own_name_and_its_symbol(study: Path):
    names = [f"{study.parent}/my_net.py:{name}" for name in ("my-normed", "normed")]
    assert [contribution("model", name).symbol for name in names] == ["normed", "normed"]


KIND = """\
@{decorator}("mine"{more})
class Mine:
    '''One of {kind}.'''

    def __init__(self, many: int = 3):
        pass
"""
MORE = {"task": ', primary="miou"'}


@pytest.mark.parametrize("kind", ["model", "data", "task", "runtime", "executor", "tracker"])
def test_every_kind_is_read_from_a_users_file(kind: str, tmp_path: Path):
    file = tmp_path / "mine.py"
    file.write_text(KIND.format(decorator=kind, more=MORE.get(kind, ""), kind=kind))
    found = contribution(kind, f"{file}:mine")
    assert (found.kind, found.summary, found.origin) == (kind, f"One of {kind}.", "file")
    assert [(option.name, option.default) for option in found.options] == [("many", 3)]
    assert dict(found.given) == ({"primary": "miou"} if kind == "task" else {})
    with pytest.raises(UsageError, match=f"has no {kind} called 'theirs'"):
        contribution(kind, f"{file}:theirs")


@pytest.mark.parametrize("kind", list(KINDS))
def test_no_built_in_contribution_is_a_problem(kind: str):
    assert catalogue(kind).problems == ()


def test_a_package_announces_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    about = tmp_path / "lab-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: lab\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[prunetui.models]\nlab = lab_net\n")
    (tmp_path / "lab_net.py").write_text(NET)
    monkeypatch.syspath_prepend(tmp_path)
    catalogue.cache_clear()
    try:
        assert parse_study("[model]\nname = 'my-normed'\n").model.name == "my-normed"
        assert "make_net" not in catalogue("model").found  # only what is decorated is announced
    finally:
        catalogue.cache_clear()


def test_options_are_read_in_every_form(tmp_path: Path):
    file = tmp_path / "net.py"
    file.write_text(
        '@model("net")\n'
        'def net(classes, channels=3, *, depth: int, kind: Literal["a", "b"] = "a", act: F = None, size=8): ...\n'
    )
    (found,) = read_contributions(KINDS["model"], "net", file, "file")
    assert found.takes == {"classes", "channels", "size"}
    assert [(o.name, o.annotation, o.default, o.required) for o in found.options] == [
        ("depth", "int", None, True),
        ("kind", "Literal['a', 'b']", "a", False),
        ("act", "", None, False),  # a type that options may not have: anything
    ]


# Runs -------------------------------------------------------------------------------------------------


def test_a_run_keeps_copies_and_uses_them_once_the_files_changed(study: Path, tmp_path: Path):
    run = submit(load_study(str(study)), tmp_path / "runs")
    copies = sorted(file.name.partition("-")[2] for file in (run.folder / "contributions").iterdir())
    assert copies == ["my_data.py", "my_method.py", "my_net.py"]
    assert (run.status().model, run.status().methods[0]) == ("my_net.py:make_net", "my_method.py:layer-mean")
    place = str(run.folder / "study.toml")
    before = parse_study(run.study_text(), file=place)
    assert before.model.name == f"{study.parent / 'my_net.py'}:make_net"
    (study.parent / "my_net.py").write_text(NET.replace("3, padding=1", "5, padding=2"))
    (study.parent / "my_data.py").unlink()
    after = parse_study(run.study_text(), file=place)
    digest = before and contribution("model", after.model.name).digest
    assert after.model.name == f"{run.folder / 'contributions' / digest}-my_net.py:make_net"
    assert after.methods[0].name == before.methods[0].name
    changed = load_study(str(study), [f"data.name={after.data.name}"])
    key = {name: build_plan(one).trials[0].dense for name, one in (("after", after), ("changed", changed))}
    assert key["after"] != key["changed"]


def test_keys_follow_the_content_of_a_file_and_not_its_place(study: Path, tmp_path: Path):
    moved = tmp_path / "moved"
    shutil.copytree(study.parent, moved)
    first = set(build_plan(load_study(str(study))).nodes)
    assert set(build_plan(load_study(str(moved / "study.toml"))).nodes) == first
    (moved / "my_net.py").write_text(NET + "\n# changed\n")
    assert not {trial.dense for trial in build_plan(load_study(str(moved / "study.toml"))).trials} & first


def test_a_study_of_a_users_own_files_runs_and_its_networks_load(study: Path, tmp_path: Path):
    runs = tmp_path / "runs"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = prunetui(elsewhere, "--batch", study, "--runs", runs, "--quiet", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    (folder,) = (folder for folder in runs.iterdir() if (folder / "results.csv").is_file())
    rows = (folder / "results.csv").read_text().splitlines()
    assert len(rows) == 4
    assert all(",done," in row for row in rows[1:])
    assert any(row.startswith("my_method.py-layer-mean-0.5-s0,my_method.py:layer-mean,") for row in rows)
    network = folder / "models" / "l1-structured-0.5-s0.safetensors"

    refused = prunetui(elsewhere, "evaluate", network, "--data", f"{study.parent}/my_data.py:scans")
    assert refused.returncode == 2
    assert "is built by code of my_net.py:make_net" in refused.stderr
    export = ("export", "last", "l1-structured-0.5-s0", "--runs", runs, "--format", "onnx", "-o", tmp_path / "net.onnx")
    refused = prunetui(elsewhere, *export)
    assert refused.returncode == 2
    assert "is built by code of my_net.py:make_net" in refused.stderr
    assert "the net's file is run" not in refused.stderr
    exported = prunetui(elsewhere, *export, "--trust")
    assert exported.returncode == 0, exported.stderr
    assert "test images: largest difference" in exported.stderr
    (study.parent / "my_net.py").unlink()  # the run's copy is as it was
    trusted = prunetui(elsewhere, "evaluate", network, "--trust", "--json")
    assert trusted.returncode == 0, trusted.stderr
    printed = json.loads(trusted.stdout)  # what the user's file prints is no data
    assert "the net's file is run" in trusted.stderr
    assert printed["images"] == 30
    top1 = next(row.split(",")[13] for row in rows if row.startswith("l1-structured"))
    assert printed["top1"] == pytest.approx(float(top1), abs=0.01)


def test_the_width_of_a_preset_gives_way_to_a_model_of_ones_own(tmp_path: Path):
    """The quickstart says width = 8, of its own network; what is asked for is still checked."""
    (tmp_path / "net.py").write_text("def make(channels, classes): ...\n")
    name = f"model.name={tmp_path}/net.py:make"
    study = load_study("quickstart", [name])
    assert (study.model.width, study.train.epochs) == (None, 25)
    with pytest.raises(ConfigError, match=r"model\.width: make takes no width"):
        load_study("quickstart", [name, "model.width=8"])
