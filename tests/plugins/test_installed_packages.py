"""Networks of installed packages by name: checked without importing them, and found only where they are installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from prunetui.config import parse_study
from prunetui.errors import ConfigError, UsageError
from prunetui.execute.python_process import python_command
from prunetui.plan import build_plan
from prunetui.plugins import installed
from prunetui.plugins.catalogue import catalogue, contribution
from prunetui.plugins.installed import names_installed, source_of
from prunetui.plugins.libraries import LIBRARIES, library_of

PACKAGE = '''\
"""A package somebody installed."""

from torch import nn

from shapes.deep import deep_net


def small_net(channels: int, num_classes: int, depth: int = 1) -> nn.Module:
    """One convolution."""
    return nn.Sequential(nn.Conv2d(channels, 4, 3), nn.Flatten(), nn.Linear(144, num_classes))


def open_net(num_classes, **more):
    return nn.Linear(1, num_classes)
'''


def told(*overrides: str) -> list[str]:
    """What is wrong with a study, line by line."""
    with pytest.raises(ConfigError) as caught:
        parse_study("", overrides)
    return [f"{m.path}: {m.message}" for m in caught.value.mistakes]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package ``shapes`` in a folder that is on the path, as site-packages is."""
    folder = tmp_path / "site" / "shapes"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(PACKAGE)
    (folder / "deep.py").write_text("raise RuntimeError('this was run')\n\n\ndef deep_net():\n    pass\n")
    monkeypatch.syspath_prepend(str(folder.parent))
    installed._found.cache_clear()
    return folder


# Names ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("torchvision:resnet50", True),
        ("timm:vit_tiny_patch16_224.augreg_in21k", True),
        ("package.module:factory", True),
        ("net.py:make_net", False),
        ("/there/net.py:make_net", False),
        ("resnet20", False),
        ("package:", False),
        ("a b:c", False),
        ("hub:owner/name", False),
    ],
)
def test_what_names_an_installed_package(name: str, is_one: bool):
    assert names_installed(name) == is_one


def test_the_names_of_torchvision_are_those_it_lists_itself():
    import torchvision

    init = source_of("torchvision")
    assert init is not None
    assert list(LIBRARIES["torchvision"].names(init, "")) == sorted(torchvision.models.list_models())


def test_the_names_of_timm_are_those_it_lists_itself():
    timm = pytest.importorskip("timm")
    init = source_of("timm")
    assert init is not None
    assert list(LIBRARIES["timm"].names(init, "")) == sorted(timm.list_models())


def test_an_unknown_name_is_refused_with_the_nearest():
    assert told("model.name=torchvision:resnt50") == [
        "model.name: torchvision has no network called 'resnt50'; did you mean resnet50?"
    ]
    assert told("model.name=os:system") == ["model.name: os is part of Python and has no networks"]
    (line,) = told("model.name=nosuch:net")
    assert line.startswith("model.name: no package nosuch is installed; a file of your own is named by its path")


def test_an_unknown_class_of_transformers_is_refused_with_the_nearest():
    pytest.importorskip("transformers")
    (line,) = told("model.name=transformers:ViTForImageClasification")
    assert line.endswith("did you mean ViTForImageClassification?")


def test_a_missing_extra_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(installed, "source_of", lambda module: None)
    installed._found.cache_clear()
    assert told("model.name=timm:resnet18") == ["model.name: timm is not installed: pip install 'prunetui[timm]'"]
    assert told("model.name=transformers:ViTModel") == [
        "model.name: transformers is not installed: pip install 'prunetui[transformers]'"
    ]
    installed._found.cache_clear()


def test_names_are_checked_without_torch(tmp_path: Path):
    code = (
        "import sys\nfrom prunetui.config import parse_study\n"
        "parse_study('', ['model.name=torchvision:resnet18', 'model.options={zero_init_residual = true}'])\n"
        "assert not {'torch', 'torchvision', 'timm', 'transformers'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


# Any package ------------------------------------------------------------------------------------------


def test_a_function_of_a_package_is_described_without_running_the_package(package: Path):
    found = contribution("model", "shapes:small_net")
    assert (found.module, found.symbol, found.file) == ("shapes", "small_net", package / "__init__.py")
    assert (found.summary, found.takes) == ("One convolution.", {"channels", "num_classes"})
    assert [option.name for option in found.options] == ["depth"]
    assert contribution("model", "shapes.deep:deep_net").file == package / "deep.py"
    assert contribution("model", "shapes:deep_net").takes_more  # it stands elsewhere: importing it would tell more
    assert "shapes" not in sys.modules


def test_what_a_package_has_not_is_refused(package: Path):
    (package / "bare.py").write_text("def one():\n    pass\n")
    assert told("model.name=shapes.bare:on") == [
        "model.name: shapes.bare has no function or class called 'on'; did you mean one?"
    ]
    assert told("model.name=shapes.none:one") == ["model.name: the installed package shapes has no module shapes.none"]


def test_options_are_checked_where_the_source_tells_them(package: Path):
    assert told("model.name=shapes:small_net", "model.options={dept = 2}") == ["model.options.dept: unknown key"]
    study = parse_study("", ["model.name=shapes:small_net", "model.options={depth = 2, num_classes = 7}"])
    assert study.model.options == {"depth": 2, "num_classes": 7}
    assert parse_study("", ["model.name=shapes:open_net", "model.options={any = 2}"]).model.options == {"any": 2}
    assert told("model.name=shapes:small_net", "model.width=8") == ["model.width: small_net takes no width"]


def test_a_file_in_the_working_folder_is_no_installed_package(tmp_path: Path):
    (tmp_path / "own_net.py").write_text("raise SystemExit('this was run')\n\n\ndef net():\n    pass\n")
    for command in (
        python_command("prunetui", "--batch", "--set", "model.name=own_net:net"),
        [sys.executable, "-m", "prunetui", "--batch", "--set", "model.name=own_net:net"],
    ):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert 'no package own_net is installed; a file of your own is named by its path, as in "own_net.py' in (
            done.stderr
        )
    assert not (tmp_path / "runs").exists()


def test_the_working_folder_of_an_interactive_python_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "own_net.py").write_text("def net():\n    pass\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("")
    assert source_of("own_net") is None


def test_only_models_are_named_so():
    assert "data.name: not a valid choice" in told("data.name=torchvision:resnet18")
    assert "torchvision:resnet18" not in list(catalogue("model").found)


# Options of libraries ---------------------------------------------------------------------------------


def test_options_that_would_download_or_run_code_are_refused():
    reason = "weights and code from elsewhere are not options of a network; model.checkpoint names weights"
    assert told("model.name=torchvision:resnet18", "model.options={weights = 'DEFAULT'}") == [
        f"model.options.weights: {reason}"
    ]
    for library, key in (("timm", "pretrained_cfg"), ("timm", "checkpoint_path"), ("transformers", "auto_map")):
        assert LIBRARIES[library].wrong_option(key, "x") == reason
    assert LIBRARIES["transformers"].wrong_option("attn_implementation", "some/kernel") == "there are: eager, sdpa"
    assert LIBRARIES["transformers"].wrong_option("attn_implementation", "sdpa") == ""
    assert LIBRARIES["timm"].wrong_option("drop_rate", 0.1) == ""


def test_options_stand_in_their_table():
    assert told("model.name=torchvision:resnet18", "model.config={width = 2}") == [
        "model.config: only a class of transformers has a configuration; write these as model.options"
    ]
    pytest.importorskip("transformers")
    assert told("model.name=transformers:ViTForImageClassification", "model.options={hidden_size = 8}") == [
        "model.options: ViTForImageClassification is built from its configuration: write these as model.config"
    ]


def test_weights_of_a_library_are_of_its_networks():
    assert told("model.name=resnet20", "model.checkpoint=torchvision:DEFAULT") == [
        "model.checkpoint: only networks of torchvision have weights of torchvision, and the model is resnet20"
    ]


# What a study computes --------------------------------------------------------------------------------


def keys(*overrides: str) -> set[str]:
    return set(build_plan(parse_study("", ["model.name=torchvision:resnet18", *overrides])).nodes)


def test_another_version_of_the_library_is_another_computation(monkeypatch: pytest.MonkeyPatch):
    assert keys() == keys()
    assert not keys() & keys("model.options={zero_init_residual = true}")
    now = keys()
    monkeypatch.setattr(installed, "version_of", lambda package: f"{package} 99.0")
    installed._found.cache_clear()
    assert not now & keys()
    installed._found.cache_clear()


def test_sources_count_where_a_package_says_no_version(package: Path):
    before = contribution("model", "shapes:small_net").digest
    (package / "deep.py").write_text("def deep_net():\n    return 1\n")
    installed._found.cache_clear()
    assert contribution("model", "shapes:small_net").digest != before


def test_a_library_is_known_by_its_name():
    assert library_of("torchvision:resnet18") == LIBRARIES["torchvision"]
    assert library_of("torchvision.models:resnet18") is None
    with pytest.raises(UsageError, match="did you mean resnet18"):
        contribution("model", "torchvision:resnet81")
