"""Accuracy at equal multiply-accumulates beside Torch-Pruning's own pruner, on seven small networks.

    python -m benchmarks torch-pruning                 # a few minutes, on digits that need no download
    python -m benchmarks.torch_pruning --data cifar10/ --images 10000 --log trials.jsonl
    python -m benchmarks.torch_pruning_page trials.jsonl

A network is trained once a seed; each side prunes a copy: the peer until it is at or below the target, ours to what the
peer reached. One training for all, the same images in the same order; the last epoch is reported. A log keeps finished
trials: a run that was cut goes on from there.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks._compared_pruners import PAIRS, UNTRAINED, Pair
from benchmarks._images import SIZE
from benchmarks._plain_training import PlainRecipe, calibration, images, macs, top1, trained
from benchmarks._small_networks import NETWORKS
from prunetui.engine.data import Dataset
from prunetui.errors import PrunetuiError, UsageError
from prunetui.store.environment import environment

Trial = dict[str, Any]


@dataclass(frozen=True)
class PrunerComparison:
    """What is compared, and at what expense."""

    data: str = "digits"
    images: int = 1437
    size: int = SIZE
    networks: Sequence[str] = tuple(NETWORKS)
    seeds: int = 1
    removed: float = 0.5
    dense: PlainRecipe = PlainRecipe(10, 0.1)
    finetune: PlainRecipe = PlainRecipe(3, 0.02)
    pairs: Sequence[Pair] = PAIRS

    def about(self) -> Trial:
        """What has to be the same for trials to be of one comparison; a log begins with it."""
        expense = {"images": self.images, "size": self.size, "removed": self.removed, "epochs": self.dense.epochs}
        return {"data": Path(self.data).name, **expense, "finetune": self.finetune.epochs}

    def trials(self, log: Path | None = None) -> Iterator[Trial]:
        """One a network, seed and pair; those in the log first, new ones are added to it.

        Raises:
            UsageError: the log is of another comparison.
        """
        about, done = read_log(log) if log and log.exists() else ({}, [])
        if about and about != {**self.about(), "machine": about["machine"]}:
            raise UsageError(f"{log} is of another comparison, {about}; name another log")
        if log and not about:
            log.write_text(json.dumps({**self.about(), "machine": machine()}) + "\n", encoding="utf-8")
        yield from done
        for trial in self._new({(trial["network"], trial["seed"], trial["pair"]) for trial in done}):
            if log:
                with log.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(trial) + "\n")
            yield trial

    def _new(self, known: set[tuple[str, int, str]]) -> Iterator[Trial]:
        data = images(self.data, self.images, self.size)
        for seed in range(self.seeds):
            for name in self.networks:
                missing = [pair for pair in self.pairs if (name, seed, pair.title) not in known]
                if missing:
                    yield from self._of_network(name, seed, missing, data)

    def _of_network(self, name: str, seed: int, pairs: Sequence[Pair], data: Dataset) -> Iterator[Trial]:
        torch.manual_seed(seed)
        network, example = NETWORKS[name](data.size), data.example()[0]
        if error := self._refused(network, example):
            yield from ({"network": name, "seed": seed, "pair": pair.title, "fails": error} for pair in pairs)
            return
        dense = {"dense": trained(network, data, self.dense, seed), "macs_dense": macs(network, example)}
        for pair in pairs:
            started = time.monotonic()
            both = self._of_pair(network, pair, seed, data)
            own = {"network": name, "seed": seed, "pair": pair.title, "seconds": round(time.monotonic() - started, 1)}
            yield {**own, **dense, **both}

    def _of_pair(self, network: nn.Module, pair: Pair, seed: int, data: Dataset) -> Trial:
        """Both sides of a pair; ``fails`` where one raises."""
        seen, example = calibration(data, seed), data.example()[0]
        try:
            theirs = pair.by_peer(network, example, self._target(network, example), seen)
            peer = self._finetuned(theirs, seed, data)
        except Exception as error:  # noqa: BLE001 - whatever the peer raises is what the table says of it
            return {"fails": _told(error)}
        try:
            ours = self._finetuned(pair.by_us(network, example, peer["macs"], seen, seed), seed, data)
        except PrunetuiError as error:
            return {"fails": f"ours, {_told(error)}"}
        return {**ours, **{f"peer_{key}": value for key, value in peer.items()}}

    def _finetuned(self, network: nn.Module, seed: int, data: Dataset) -> Trial:
        """What a pruned network is worth before and after it is trained, in place."""
        found = {"macs": macs(network, data.example()[0]), "raw": top1(network, data)}
        return {**found, "top1": trained(network, data, self.finetune, seed)}

    def _target(self, network: nn.Module, example: Tensor) -> int:
        return round((1 - self.removed) * macs(network, example))

    def _refused(self, network: nn.Module, example: Tensor) -> str:
        """Why the peer cannot prune a network, before anything is trained; empty where it can."""
        try:
            UNTRAINED.by_peer(network, example, self._target(network, example), ())(example)
        except Exception as error:  # noqa: BLE001 - as above
            return _told(error)
        return ""


def machine() -> str:
    """What computes, of which versions, and when."""
    where = environment("cpu")
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "torchvision", "torch-pruning"))
    return f"{where['device_name']}, {where['threads']} thread; {packages}; {date.today()}"


def read_log(log: Path) -> tuple[Trial, list[Trial]]:
    """What a log is of, and its trials."""
    about, *trials = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    return about, trials


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def rows(trials: Sequence[Trial]) -> Iterator[dict[str, Any]]:
    """A row a network and pair, then the means over networks on which no seed fails; spreads are of the difference."""
    networks = dict.fromkeys(trial["network"] for trial in trials)
    failing = {(trial["network"], trial["pair"]) for trial in trials if "fails" in trial}
    for name in networks:
        for pair in PAIRS:
            if own := [t for t in trials if (t["network"], t["pair"]) == (name, pair.title)]:
                yield _row(f"{name}: {pair.title}", own)
    for pair in PAIRS:
        own = [t for t in trials if t["pair"] == pair.title and (t["network"], t["pair"]) not in failing]
        if own:
            yield _row(f"mean: {pair.title}", own)


def _row(name: str, trials: Sequence[Trial]) -> dict[str, Any]:
    if failed := [trial["fails"] for trial in trials if "fails" in trial]:
        told = f"{failed[0]} ({len(failed)} of {len(trials)} seeds)"
        return {"name": name, "ours": None, "peer": None, "ratio": None, "unit": "%", "fails": told}
    found = {key: mean(trial[key] for trial in trials) for key in ("dense", "raw", "peer_raw")}
    ours, peer = (mean(trial[key] for trial in trials) for key in ("top1", "peer_top1"))
    gains = [trial["top1"] - trial["peer_top1"] for trial in trials]
    left = {key: mean(trial[key] / trial["macs_dense"] for trial in trials) for key in ("macs", "peer_macs")}
    spread = {"spread": stdev(gains)} if len(gains) > 1 else {}
    gain = {"gain": mean(gains), **spread, "trials": len(gains)}
    return {"name": name, "ours": ours, "peer": peer, "ratio": ours / peer, "unit": "%", **gain, **found, **left}


def results() -> Iterator[dict[str, Any]]:
    """The comparison on digits, with one seed."""
    yield from rows(list(PrunerComparison().trials()))


def main() -> int:
    """Run a comparison and print its rows as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.torch_pruning", description=__doc__.split("\n")[0])
    parser.add_argument("--data", default="digits", help="digits, or a folder of images as of CIFAR-10")
    parser.add_argument("--images", type=int, default=10_000, help="training and test images at most")
    parser.add_argument("--size", type=int, default=SIZE, help="side in pixels that images of a folder are scaled to")
    parser.add_argument("--networks", nargs="+", default=tuple(NETWORKS), choices=NETWORKS, metavar="NAME")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--removed", type=float, default=0.5, help="the share of multiply-accumulates that goes")
    parser.add_argument("--epochs", type=int, default=10, help="of the dense training")
    parser.add_argument("--finetune", type=int, default=3, help="epochs after pruning")
    parser.add_argument("--log", type=Path, help="a file that keeps finished trials, one JSON object a line")
    asked = parser.parse_args()
    comparison = PrunerComparison(
        asked.data, asked.images, asked.size, asked.networks, asked.seeds, asked.removed,
        PlainRecipe(asked.epochs, 0.1), PlainRecipe(asked.finetune, 0.02),
    )  # fmt: skip
    for row in rows(list(comparison.trials(asked.log))):
        print(json.dumps(row))
    return 0


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except PrunetuiError as error:
        print(error.told(), file=sys.stderr)
        raise SystemExit(error.exit_code) from None
