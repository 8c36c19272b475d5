"""The check of a machine: what it finds, what follows, and what happens when it crashes, hangs or cannot be kept."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from prunetui.engine import machine_cases, machine_check
from prunetui.engine.convolutions import NARROW, STRIDED_1X1, make_ordinary, safe_kinds
from prunetui.engine.device import Device
from prunetui.engine.machine_check import Fault, MachineCheck, check_machine

CRASH = Fault(STRIDED_1X1, "fp32", "crashes (SIGABRT)", "")
WRONG = Fault(NARROW, "bf16", "off by inf of its size", "")
LINEAR = Fault("linear layer", "bf16", "off by 0.5 of its size", "")
CPU, BF16 = Device(torch.device("cpu"), False), Device(torch.device("cpu"), True)


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A cache without the checks of other tests, and torch's own kernels afterwards."""
    make_ordinary()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    yield tmp_path / "prunetui" / "machine"
    make_ordinary()
    torch.backends.mkldnn.enabled = True


def child(monkeypatch: pytest.MonkeyPatch, code: str) -> list[int]:
    """The process that checks is this code instead; counts its starts."""
    started: list[int] = []

    def command(asked: object) -> list[str]:
        started.append(1)
        return [sys.executable, "-c", code]

    monkeypatch.setattr(machine_check, "command", command)
    return started


SAYS = 'print(\'{"faults": [{"kind": "strided 1x1 convolution", "arithmetic": "fp32", "how": "crashes (SIGABRT)", "left": ""}]}\')'  # noqa: E501


def test_a_check_is_made_once_for_each_number_of_threads(monkeypatch: pytest.MonkeyPatch, own_cache: Path) -> None:
    started = child(monkeypatch, SAYS)
    found = [check_machine(CPU, threads) for threads in (1, 1, 2, 1)]
    assert found == [MachineCheck((CRASH,))] * 4
    assert len(started) == 2
    assert len(list(own_cache.iterdir())) == 2


@pytest.mark.parametrize("name", ["ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY"])
def test_another_setting_of_the_kernels_is_checked_anew(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    started = child(monkeypatch, SAYS)
    monkeypatch.setenv(name, "AVX2")
    check_machine(CPU, 1)
    monkeypatch.setenv(name, "AVX512_CORE")
    check_machine(CPU, 1)
    assert len(started) == 2


@pytest.mark.parametrize(
    "damage",
    [b"", b"[]", b"{}", b"null", b"\xff\xfe", b"[" * 100_000, b'{"key": {}, "faults": []}', b'{"faults": 3}'],
)
def test_a_damaged_cache_is_as_none(monkeypatch: pytest.MonkeyPatch, own_cache: Path, damage: bytes) -> None:
    started = child(monkeypatch, SAYS)
    check_machine(CPU, 1)
    [file] = own_cache.iterdir()
    file.write_bytes(damage)
    assert check_machine(CPU, 1).faults == (CRASH,)
    assert len(started) == 2
    assert json.loads(file.read_text())["faults"]


def test_faults_of_another_shape_in_the_cache_are_checked_anew(
    monkeypatch: pytest.MonkeyPatch, own_cache: Path
) -> None:
    started = child(monkeypatch, SAYS)
    check_machine(CPU, 1)
    [file] = own_cache.iterdir()
    saved = json.loads(file.read_text())
    for faults in (3, [3], [{"kind": "x"}], [{"kind": 1, "arithmetic": "fp32", "how": "", "left": ""}]):
        file.write_text(json.dumps({**saved, "faults": faults}))
        assert check_machine(CPU, 1).faults == (CRASH,)
    assert len(started) == 5


def test_a_cache_that_cannot_be_written_costs_only_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))  # a file: nothing can lie in it
    started = child(monkeypatch, SAYS)
    assert check_machine(CPU, 1) == check_machine(CPU, 1) == MachineCheck((CRASH,))
    assert len(started) == 2


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import os; os.abort()", "ended with -6"),
        ("print('{')", "ended with 0: it said nothing"),
        ("raise SystemExit('no torch here')", "ended with 1: no torch here"),
        ("import time; time.sleep(60)", "not done after 0.5 s"),
    ],
)
def test_a_check_that_cannot_be_made_is_said_and_not_kept(
    monkeypatch: pytest.MonkeyPatch, own_cache: Path, code: str, words: str
) -> None:
    if "sleep" in code:
        monkeypatch.setattr(machine_check, "SECONDS", 0.5)
    child(monkeypatch, code)
    found = check_machine(CPU, 1)
    assert words in found.line
    assert found.ways == []
    assert not own_cache.exists()


def test_an_interpreter_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_check, "command", lambda asked: ["/nowhere/python"])
    assert "/nowhere/python" in check_machine(CPU, 1).line


def test_nothing_of_the_working_folder_is_executed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("json", "socket", "torch"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('executed')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    words = machine_check.command({"threads": 1, "arithmetics": []})
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.stdout == '{"faults": []}', done.stderr


# What follows ------------------------------------------------------------------------------------------


def test_what_fails_is_computed_safely_and_said_in_one_line() -> None:
    found = MachineCheck((CRASH, WRONG)).of([STRIDED_1X1, "convolution"])
    assert found.faults == (CRASH,)
    assert found.ways == ["strided 1x1 convolution: safe"]
    assert found.line == (
        "this machine computes wrongly: strided 1x1 convolution in fp32 crashes (SIGABRT); "
        "computed the safe way instead"
    )
    assert found.apply(BF16) == BF16
    assert STRIDED_1X1 in safe_kinds()


def test_no_fault_says_nothing_and_replaces_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    found = MachineCheck((WRONG,)).of(["convolution"])
    assert (found.line, found.ways, found.apply(BF16)) == ("", [], BF16)
    assert safe_kinds() == ()


def test_a_kind_without_a_kernel_of_its_own_that_fails_in_bfloat16_is_computed_in_float32() -> None:
    found = MachineCheck((LINEAR,))
    assert found.ways == ["float32 instead of bfloat16"]
    assert found.line.endswith("computed the safe way instead, in float32")
    assert found.apply(BF16) == CPU
    assert torch.backends.mkldnn.enabled


def test_one_that_fails_in_float32_is_computed_without_onednn() -> None:
    found = MachineCheck((Fault("linear layer", "fp32", "off by 1 of its size", ""),))
    assert found.apply(CPU) == CPU
    assert not torch.backends.mkldnn.enabled


def test_what_no_safe_way_mends_is_not_to_be_trusted() -> None:
    found = MachineCheck((Fault(STRIDED_1X1, "fp32", "off by 1 of its size", "off by 0.5 of its size"),))
    assert "do not trust" in found.line
    assert found.lost == [STRIDED_1X1]


def test_convolutions_that_only_float32_computes_rightly_are_computed_in_float32() -> None:
    found = MachineCheck((Fault("convolution", "bf16", "off by 1 of its size", "off by 1 of its size"),))
    assert found.apply(BF16) == CPU
    assert found.lost == []
    assert safe_kinds() == ()


def test_on_a_gpu_nothing_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    started = child(monkeypatch, SAYS)
    assert check_machine(Device(torch.device("cuda", 0), True), 1) == MachineCheck()
    assert not started


# The process that checks -------------------------------------------------------------------------------


def test_every_kind_of_convolution_has_cases_of_its_own_kind() -> None:
    from prunetui.engine.convolutions import KindsUsed

    for kind, cases in machine_cases.cases().items():
        for make, shape in cases:
            with KindsUsed() as used, torch.no_grad():
                make()(torch.zeros(shape))
            assert used.kinds == ({kind} if kind.endswith("convolution") else set())


def test_pooling_agrees_with_float64_here_and_a_fault_would_show(monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine_cases.worst("pooling", "fp32") < 1e-5
    broken = torch.nn.AvgPool2d(2)
    broken.forward = lambda x: torch.nn.functional.avg_pool2d(x, 2) * (1.5 if x.dtype == torch.float32 else 1)  # type: ignore[method-assign]
    monkeypatch.setattr(machine_cases, "cases", lambda: {"pooling": [(lambda: broken, (1, 1, 4, 4))]})
    assert machine_cases.worst("pooling", "fp32") == pytest.approx(0.5)


FAILURES = {
    "os.abort()": "crashes (SIGABRT)",
    "os.kill(os.getpid(), 9)": "crashes (SIGKILL)",
    "time.sleep(60)": "hangs for 0.5 s",
    "1 / 0": "raises an error",
    "float('nan')": "off by nan of its size",
    "0.3": "off by 0.3 of its size",
    "1e-6": "",
}


def test_a_fork_tells_how_its_kind_failed() -> None:
    program = """
import json, os, sys, time
from prunetui.engine import machine_cases
machine_cases.KIND_SECONDS = 0.5
found = {}
for code in json.loads(sys.argv[1]):
    machine_cases.worst = lambda kind, arithmetic: eval(code)
    found[code] = machine_cases._fault("pooling", "fp32", safely=False)
print(json.dumps(found))
"""
    words = [sys.executable, "-c", program, json.dumps(list(FAILURES))]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == FAILURES


@pytest.mark.parametrize("threads", ["1", "2"])
def test_the_fault_of_avx2_is_found_and_mended(threads: str) -> None:
    """The whole check, as a run makes it."""
    program = f"""
from prunetui.engine.device import find_device
from prunetui.engine.machine_check import check_machine
found = check_machine(find_device("cpu"), {threads})
print([(f.kind, f.arithmetic, bool(f.how), f.left) for f in found.faults])
"""
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert ("strided 1x1 convolution", "fp32", True, "") in eval(done.stdout)


def test_a_run_says_it_once_records_it_and_keeps_its_steps_apart(tmp_path: Path) -> None:
    """As on a processor with AVX2 only, whose figures were others before."""
    settings = ["data.limit=60", "train.epochs=1", "finetune.epochs=0", 'methods=[{name="random-unstructured"}]']
    words = [sys.executable, "-m", "prunetui", "--batch", "--quiet", "--runs", str(tmp_path / "runs")]
    words += [word for setting in [*settings, "sparsities=[0.5]"] for word in ("--set", setting)]
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2"}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    [run] = [folder for folder in (tmp_path / "runs").iterdir() if (folder / "study.toml").exists()]
    told = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    warnings = [event["message"] for event in told if event["event"] == "log" and event["level"] == "warning"]
    assert len(warnings) == 1
    assert "strided 1x1 convolution" in warnings[0]
    recorded = json.loads((run / "environment.json").read_text())
    assert recorded["context"]["safe"] == recorded["arithmetic"]["safe"] == ["strided 1x1 convolution: safe"]
