"""Studies of prepared examples: inputs by name, from training to a loaded network, and epochs that repeat."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from torch import Tensor, nn

import prunetui
from prunetui.api import Splits
from prunetui.cli.export_network import export_model
from prunetui.cli.measure_checkpoint import evaluate_checkpoint
from prunetui.config import DataTable, Recipe, parse_study
from prunetui.engine.data.source_loader import source_of
from prunetui.engine.device import Device
from prunetui.engine.train_job import Hooks, TrainJob, TrainState
from prunetui.engine.training_loop import train
from prunetui.errors import RunFailed, UsageError
from prunetui.execute.execution import execute
from prunetui.execute.submit import submit
from prunetui.tasks.classification import Classification

OWN = '''\
import torch
from torch import nn

from prunetui.api import Splits


def reviews(root):
    """Five words each; whether there are more of the upper half of twenty."""
    if root.name != "shelf":
        raise FileNotFoundError(root)
    tokens = torch.randint(0, 20, (600, 5), generator=torch.Generator().manual_seed(0))
    rows = {"tokens": tokens, "weight": torch.ones(600, 1), "labels": ((tokens > 9).sum(1) > 2).int()}
    first, last = ({name: column[part] for name, column in rows.items()} for part in (slice(240), slice(240, None)))
    return Splits(first, last, classes=("low", "high"), prepared=True)


class Words(nn.Module):
    def __init__(self, classes, hidden):
        super().__init__()
        self.words, self.hidden, self.last = nn.Linear(20, 8), nn.Linear(8, hidden), nn.Linear(hidden, classes)

    def forward(self, tokens, weight):
        seen = (tokens[:, :, None] == torch.arange(20, device=tokens.device)).float()
        words = self.words(seen * weight[:, :, None]).relu()
        return {"logits": self.last(self.hidden(words.sum(1)).relu())}


def net(classes: int, hidden: int = 12):
    return Words(classes, hidden)
'''
STUDY = """
sparsities = [0.5]
data = { name = "FILE:reviews", root = "shelf", limit = 240 }
model = { name = "FILE:net" }
train = { epochs = 15, batch_size = 24, optimizer = "adamw", lr = 0.02, precision = "fp32" }
finetune = { epochs = 1, batch_size = 24 }
measure = { recalibrate = 0, calibrate = 24 }
methods = ["taylor", { name = "l1-structured", target = "channels" }]
"""


def test_inputs_by_name_are_trained_pruned_proved_timed_and_measured_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "own.py"
    file.write_text(OWN)
    run = submit(parse_study(STUDY.replace("FILE", str(file))), tmp_path / "runs")
    assert execute(run, "cpu", lambda: False, executor="inline") == 0
    dense, masked, narrow = csv.DictReader((run.folder / "results.csv").read_text().splitlines())
    assert [row["status"] for row in (dense, masked, narrow)] == ["done"] * 3
    assert float(dense["top1"]) > 80
    assert int(dense["params"]) == 20 * 8 + 8 + 8 * 12 + 12 + 12 * 2 + 2
    assert int(narrow["params"]) == 20 * 4 + 4 + 4 * 6 + 6 + 6 * 2 + 2
    assert "several inputs" in narrow["runtime"]
    assert float(narrow["latency_ms"]) > 0

    saved = run.models / f"{narrow['trial']}.safetensors"
    net = prunetui.load(saved, trust=True)
    assert net(torch.zeros(3, 5, dtype=torch.int64), torch.ones(3, 1))["logits"].shape == (3, 2)
    evaluate_checkpoint(saved, None, None, [], "cpu", as_json=True, trust=True)
    again = json.loads(capsys.readouterr().out)
    assert again["images"] == 240  # of 360: as many as the study measured on
    assert again["top1"] == pytest.approx(float(narrow["top1"]), abs=0.01)
    evaluate_checkpoint(saved, None, None, ["data.limit=100"], "cpu", as_json=True, trust=True)
    assert json.loads(capsys.readouterr().out)["images"] == 100

    inputs = {"tokens": torch.randint(0, 20, (3, 5)), "weight": torch.rand(3, 1)}
    wanted = net(**inputs)["logits"].detach()
    for kind in ("pt2", "onnx", "safetensors"):
        output = tmp_path / f"small.{kind}"
        export_model(tmp_path / "runs", run.id, narrow["trial"], kind, output, trust=True)
        out, err = capsys.readouterr()
        assert out.strip() == str(output)
        assert "checked on 8 test examples: largest difference of outputs" in err
    made = torch.export.load(tmp_path / "small.pt2").module()(**inputs)
    torch.testing.assert_close(made[0].detach(), wanted)
    session = onnxruntime.InferenceSession(tmp_path / "small.onnx")
    (found,) = session.run(["output_0"], {name: tensor.numpy() for name, tensor in inputs.items()})
    torch.testing.assert_close(torch.from_numpy(found), wanted, rtol=1e-4, atol=1e-5)
    with pytest.raises(UsageError, match="is built by code of"):
        export_model(tmp_path / "runs", run.id, narrow["trial"], "pt2", tmp_path / "no.pt2")


def test_a_built_in_network_does_not_take_what_is_no_image(tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    file.write_text(OWN)
    study = parse_study(STUDY.replace("FILE", str(file)), ['model={name="resnet20"}'])
    with pytest.raises((UsageError, RunFailed), match="resnet20 is built for square images of known classes; the data"):
        execute(submit(study, tmp_path / "runs"), "cpu", lambda: False, executor="inline")


def test_an_interrupted_training_draws_what_a_whole_one_does(cpu: Device) -> None:
    """Dropout, too: weights after two epochs, and after one and one."""
    inputs = torch.randn(32, 4, generator=torch.Generator().manual_seed(0))
    pair = inputs, (inputs[:, 0] > 0).long()
    source = source_of(Splits(pair, pair, prepared=True), DataTable(validation=0))

    def trained(*parts: tuple[int, int]) -> list[Tensor]:
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 2))
        state = TrainState()
        recipe = Recipe(epochs=2, batch_size=8, precision="fp32")
        hooks = Hooks(lambda progress: None, lambda epoch, state: None, lambda: False)
        for first, last in parts:
            torch.rand(3)  # somebody else draws in between
            job = TrainJob(recipe, "key", first=first, last=last)
            state = train(net, Classification(), source, job, state, cpu, hooks)
        return [parameter.detach() for parameter in net.parameters()]

    whole, interrupted = trained((0, 2)), trained((0, 1), (1, 2))
    assert all(map(torch.equal, whole, interrupted))
    assert not torch.equal(whole[0], trained((0, 1))[0])


def test_the_users_own_random_numbers_are_left_alone(cpu: Device) -> None:
    pair: Any = torch.randn(8, 2), torch.tensor([0, 1] * 4)
    source = source_of(Splits(pair, pair, prepared=True), DataTable(validation=0))
    hooks = Hooks(lambda progress: None, lambda epoch, state: None, lambda: False)
    net = nn.Sequential(nn.Linear(2, 2), nn.Dropout())
    before = torch.get_rng_state()
    job = TrainJob(Recipe(epochs=1, batch_size=4, precision="fp32"), "key")
    train(net, Classification(), source, job, TrainState(), cpu, hooks)
    assert torch.equal(before, torch.get_rng_state())
