"""Shared by all tests: no test touches the user's caches; tiny real data; nets in which every tensor matters.

torch is imported inside the fixtures, so that the tests of torch-free modules stay fast.
"""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    import torch

    from prunetui.api import Net
    from prunetui.engine.data import Dataset
    from prunetui.engine.device import Device
    from prunetui.engine.graph import Graph
    from prunetui.engine.models import Architecture
    from prunetui.engine.state import State
    from prunetui.engine.step_context import StepContext

# Tests share their machine with each other: two threads that wait for a busy core take six times as long as one.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A busy machine is not a mistake: no example is failed for the time it took.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of all tests; pytest reads them here alone, whichever folder it is started on."""
    parser.addoption("--update-golden", action="store_true", help="Write tests/golden/expected anew.")


@pytest.fixture(scope="session")
def new_cache(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Makes an empty cache folder; thousands beside the folders of ``tmp_path`` would slow down making those."""
    root = tmp_path_factory.mktemp("caches")
    checks = tmp_path_factory.getbasetemp().parent / "machine-checks"  # seconds of computing: all tests share them
    checks.mkdir(exist_ok=True)
    numbers = itertools.count()

    def make() -> Path:
        cache = root / str(next(numbers))
        (cache / "prunetui").mkdir(parents=True)
        (cache / "prunetui" / "machine").symlink_to(checks)
        return cache

    return make


@pytest.fixture(autouse=True)
def isolated(monkeypatch: pytest.MonkeyPatch, new_cache: Callable[[], Path]) -> None:
    """Caches go to a folder of this test's own; settings of the user's shell do not reach it."""
    cache = new_cache()
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setenv("XDG_STATE_HOME", str(cache / "state"))
    for name in ("PRUNETUI_RUNS", "NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with ``cifar10/`` and ``resnet20-12fca82f.th``, where there is one."""
    given = os.environ.get("PRUNETUI_TEST_DATA")
    if not given:
        pytest.skip("PRUNETUI_TEST_DATA is not set: it names the folder of cifar10/ and resnet20-12fca82f.th")
    return Path(given)


@pytest.fixture(scope="session")
def digits() -> Dataset:
    """180 training, 20 validation and 200 test images of real handwritten digits, 1 x 8 x 8."""
    from prunetui.config import DataTable
    from prunetui.engine.data import load_dataset

    return load_dataset(DataTable(limit=200))


@pytest.fixture(scope="session")
def cpu() -> Device:
    """The CPU, in float32."""
    import torch

    from prunetui.engine.device import Device

    return Device(torch.device("cpu"), bf16=False)


@functools.cache
def _graph(architecture: Architecture) -> Graph:
    import torch

    from prunetui.engine.trace_network import trace

    return trace(architecture, torch.zeros(1, architecture.channels, architecture.size, architecture.size))


@pytest.fixture(scope="session")
def graph_of() -> Callable[[Architecture], Graph]:
    """Architecture -> its graph, traced once a session."""
    return _graph


@pytest.fixture(scope="session")
def lively() -> Callable[..., State]:
    """Architecture -> a state with random batch-norm statistics, affine parameters and momentum.

    Fresh nets have means of 0, variances and scales of 1: much that is wrong does not show in them.
    """
    import torch

    from prunetui.engine.models import build
    from prunetui.engine.state import State

    def make(architecture: Architecture, optimizer: str = "sgd") -> State:
        random = torch.Generator().manual_seed(1)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = build(architecture)
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.2, generator=random)
                module.running_var.uniform_(0.5, 2, generator=random)
                torch.nn.init.uniform_(module.weight, 0.5, 1.5, generator=random)
                torch.nn.init.normal_(module.bias, 0, 0.2, generator=random)
        momentum = {}
        for name, parameter in model.named_parameters():
            for buffer in ("momentum_buffer",) if optimizer == "sgd" else ("exp_avg", "exp_avg_sq"):
                momentum[f"{buffer}/{name}"] = torch.rand(parameter.shape, generator=random)
            if optimizer == "adamw":
                momentum[f"step/{name}"] = torch.tensor(7.0)
        return State(architecture, {n: t.clone() for n, t in model.state_dict().items()}, {}, momentum)

    return make


@pytest.fixture(scope="session")
def net_of() -> Callable[..., Net]:
    """State and graph -> what a method sees of them."""
    import torch

    from prunetui.api import Net
    from prunetui.engine.state import instantiate
    from prunetui.tasks.classification import Classification

    def make(
        state: State,
        graph: Graph,
        target: str = "sparsity",
        seed: int = 0,
        batches: Any = (),
        dtype: torch.dtype = torch.float32,
        device: str = "cpu",
        floor: float = 0.0,
        edit: str = "channels",
    ) -> Net:
        where = torch.device(device)
        return Net(
            model=instantiate(state, where).to(dtype),
            masks={name: mask.to(where, copy=True) for name, mask in state.masks.items()},
            batches=[(images.to(where, dtype), labels.to(where)) for images, labels in batches],
            generator=torch.Generator().manual_seed(seed),
            constraints=graph.constraints(state, edit=edit, target=target, floor=floor),
            progress=1.0,
            task=Classification(),
        )

    return make


@pytest.fixture
def context(digits: Dataset, cpu: Device, tmp_path: Path) -> Callable[..., StepContext]:
    """Graph -> what a step of seed 0 finds that is done on handwritten digits by itself; other fields by name."""
    from prunetui.config import ModelTable
    from prunetui.engine.models import Architecture
    from prunetui.engine.step_context import StepContext
    from prunetui.store.partial_files import PartialFiles
    from prunetui.tasks.classification import Classification

    def make(graph: Graph, **more: Any) -> StepContext:
        fields: dict[str, Any] = {
            "key": "0" * 32,
            "seed": 0,
            "randomness": "key",
            "model": ModelTable(),
            "architecture": Architecture("resnet20", 1, 8, 10, width=8),
            "graph": graph,
            "source": digits,
            "task": Classification(),
            "device": cpu,
            "state": {}.__getitem__,
            "keeps_momentum": False,
            "partials": PartialFiles(tmp_path / "partial"),
            "emit": lambda event: None,
            "should_stop": lambda: False,
        }
        return StepContext(**(fields | more))

    return make


@pytest.fixture(scope="session")
def same() -> Callable[[Mapping[str, Any], Mapping[str, Any]], bool]:
    """Whether two mappings have the same names and, to the last bit, the same tensors."""
    import torch

    def compare(left: Mapping[str, torch.Tensor], right: Mapping[str, torch.Tensor]) -> bool:
        return list(left) == list(right) and all(torch.equal(left[name], right[name]) for name in left)

    return compare


# Minutes, on nets where one edit takes ten seconds: every row of a wide layer is a problem of its own for obs and obc,
# which look at layers alone, so that shortcuts make no difference; synflow goes through all layers a hundred times,
# sparsegpt, wanda and obs-structured through the net once a layer or block.
ROW_BY_ROW = ("resnet50", "vgg11", "resnet20 B")
PATIENT = {
    "obs": ROW_BY_ROW, "obc": ROW_BY_ROW, "synflow": ("resnet50",), "sparsegpt": ("resnet50",), "wanda": ("resnet50",),
    "obs-structured": ("resnet50",),
}  # fmt: skip


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The slowest pairs of the conformance suite run with ``-m slow``; smaller nets stand for them otherwise."""
    for item in items:
        given = getattr(item, "callspec", None)
        net, subject = (given.params.get(name) for name in ("bench", "subject")) if given else (None, None)
        further = net == "resnet50" and subject not in item.module.METHODS  # a method at another than its first target
        if subject and (further or net in PATIENT.get(subject.name, ())):
            item.add_marker(pytest.mark.slow)
