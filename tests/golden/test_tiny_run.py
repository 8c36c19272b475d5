"""A tiny study from its command line to its files: events, results, what is told, and what can be done with it after.

Figures of a training differ from machine to machine: of them the format is held, of all else every byte.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .conftest import Call, Tiny
from .normal import normalised, number, shape_of

FIGURES = {
    **dict.fromkeys(("top1_before", "top1_before_raw", "top1", "val_top1", "top1_dense", "top1_control", "top5"), 4),
    **{f"latency{batch}{figure}_ms": 4 for batch in ("", "128") for figure in ("", "_iqr")},
    "loss": 6, "seconds": 3,
}  # fmt: skip
"""Decimals, at most, of the columns that a training or a clock decides."""
VARYING = ("time", "seconds", "loss", "accuracy", "images_per_second")
MASKED = "global-unstructured"
MACHINE = re.compile("this machine (computes|could not be checked)")
"""Of a warning about the arithmetic of the processor."""

Golden = Callable[[str, str], None]


def of_any_machine(told: str) -> str:
    """Lines without the warning about the arithmetic of this one."""
    return "".join(line for line in told.splitlines(keepends=True) if not MACHINE.search(line))


def held(row: dict[str, Any]) -> dict[str, Any]:
    """A row with its figures replaced by their format."""
    cells = {name: number(str(value), FIGURES[name]) if name in FIGURES and value not in ("", None) else value
             for name, value in row.items()}  # fmt: skip
    if cells.get("method") == MASKED:  # which weights are zero, and so what they would have cost, a training decides
        cells["macs_nonzero"] = "<whole number>" if re.fullmatch(r"\d+", str(cells["macs_nonzero"])) else "?"
    if cells.get("bytes"):  # of a file, whose header belongs to another library
        cells["bytes"] = "<whole number>" if re.fullmatch(r"\d+", str(cells["bytes"])) else "?"
    if str(cells.get("runtime")).startswith("onnxruntime "):
        cells["runtime"] = "onnxruntime <version>"
    return cells


def test_results_csv(tiny: Tiny, golden: Golden) -> None:
    text = (tiny.folders[0] / "results.csv").read_bytes().decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(held(row) for row in rows)
    assert text.partition("\n")[0] == out.getvalue().partition("\n")[0]
    golden("tiny/results.csv", out.getvalue())


def test_events_as_json(tiny: Tiny, golden: Golden) -> None:
    lines = tiny.events.splitlines()
    assert lines == (tiny.folders[0] / "events.jsonl").read_text(encoding="utf-8").splitlines()
    golden("tiny/events.jsonl", "".join(f"{json.dumps(event)}\n" for event in events(lines)))


def test_events_of_steps_that_were_done_before(tiny: Tiny, golden: Golden) -> None:
    lines = (tiny.folders[1] / "events.jsonl").read_text(encoding="utf-8").splitlines()
    golden("tiny/events-cached.jsonl", "".join(f"{json.dumps(event)}\n" for event in events(lines)))


def events(lines: list[str]) -> list[dict[str, Any]]:
    """Events with what varies replaced; of the progress of a step, which is told by the clock, the first."""
    keys: dict[str, str] = {}
    progressing: set[str] = set()
    found = []
    for event in map(json.loads, lines):
        if event["event"] == "progress" or (event["event"] == "log" and MACHINE.search(event["message"])):
            if event["event"] == "log" or event["key"] in progressing:
                continue
            progressing.add(event["key"])
            found.append({"event": "progress", "key": keyed(event["key"], keys), "kinds": shape_of(event)})
            continue
        found.append(held_event(event, keys))
    return found


def keyed(key: str, keys: dict[str, str]) -> str:
    return keys.setdefault(key, f"<key {len(keys) + 1}>") if re.fullmatch("[0-9a-f]{32}", key) else key


def held_event(event: dict[str, Any], keys: dict[str, str]) -> dict[str, Any]:
    one = {name: f"<{type(value).__name__}>" if name in VARYING else value for name, value in event.items()}
    if "key" in one:
        one["key"] = keyed(one["key"], keys)
    if one["event"] == "run_started":
        one["run"] = re.sub(r"^\d{8}-\d{6}-tiny-[0-9a-f]{6}$", "<run>", one["run"])
    if one.get("result") is not None:
        one["result"] = shape_of(one["result"])
    if "row" in one:
        one["row"] = held(one["row"])
    return one


def test_what_is_told_to_people(tiny: Tiny, golden: Golden) -> None:
    run = re.compile(r"\d{8}-\d{6}-tiny-[0-9a-f]{6}")
    told = run.sub("<run>", tiny.narrated)
    told = re.sub(r"\d+\.\d\d", "<number>", re.sub(r"\d+\.\d s", "<seconds>", told))
    golden("tiny/narration.txt", of_any_machine(told))
    assert run.sub("<run>", tiny.told).endswith("run: runs/<run>\n")


def test_files_of_a_run(tiny: Tiny, golden: Golden) -> None:
    folder = tiny.folders[0]
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    status = shape_of(json.loads((folder / "status.json").read_text(encoding="utf-8")))
    about = shape_of(json.loads((folder / "environment.json").read_text(encoding="utf-8")))
    assert about.pop("commit") in ("str", "NoneType")  # an installed package is of no commit
    assert about["context"].pop("safe", "list") == "list"  # where this machine computes something wrongly
    golden("tiny/files.txt", "".join(f"{name}\n" for name in files))
    golden("tiny/status.json", json.dumps(status, indent=1) + "\n")
    golden("tiny/environment.json", json.dumps(about, indent=1) + "\n")
    golden("tiny/study.toml", (folder / "study.toml").read_text(encoding="utf-8"))


def test_a_network_of_a_run_is_exported_and_evaluated(tiny: Tiny, cli: Call, golden: Golden, place: Path) -> None:
    run = tiny.folders[0]
    trial = "l1-structured-0.5-s0"
    said = cli("export", run, trial, "--format", "safetensors", "-o", "net.safetensors")
    exported = re.sub(r"logits \S+", "logits <number>", normalised(said.out + said.err, place))
    told = [f"$ export\n{exported}exit {said.code}\n"]
    people = cli("evaluate", "net.safetensors", "--device", "cpu")
    words = re.sub(r"\d[\d,]* images/s", "<number> images/s", re.sub(r"\d+\.\d+", "<number>", people.out))
    told.append(f"$ evaluate\n{words}{of_any_machine(people.err)}exit {people.code}\n")
    golden("tiny/export-evaluate.txt", "\n".join(told))
    as_json = cli("evaluate", "net.safetensors", "--device", "cpu", "--json")
    assert (as_json.code, as_json.err) == (0, people.err)
    golden("tiny/evaluate.json", json.dumps(shape_of(json.loads(as_json.out)), indent=1) + "\n")


def test_the_doctor(cli: Call, golden: Golden, place: Path) -> None:
    said = cli("doctor", "--json")
    findings = json.loads(said.out)
    assert said.code == 0
    names = [re.sub(r"cuda:\d+", "cuda", re.sub(r"\d+ threads?", "<n> threads", one["name"])) for one in findings]
    golden("doctor.txt", "".join(f"{name}\n" for name in dict.fromkeys(names)))
    plain = [{key: "" if key == "value" else type(value).__name__ for key, value in one.items()} for one in findings]
    golden("doctor.json", json.dumps([one for i, one in enumerate(plain) if one not in plain[:i]], indent=1) + "\n")
    table = cli("doctor")
    assert table.code == 0
    listed = table.out.splitlines()[1:]
    assert [one["name"] for one in findings if not any(one["name"] in line for line in listed)] == []
