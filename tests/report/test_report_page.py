"""prunetui report: every format of real folders, whatever state they are in, and a page that is safe and whole."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from tui.fakes import STUDY, failed_row, fake_row, fake_run, layer_rows, small_model, study_rows

from prunetui.errors import DataError, PrunetuiError, UsageError
from prunetui.report.gather import Material, gather
from prunetui.report.page import context, page
from prunetui.report.write_report import FORMATS, chosen, made
from prunetui.store import list_runs
from prunetui.terminal.printable import one_line

VOID = {"meta", "link", "br", "hr", "img", "input", "col", "path", "use", "rect"}
NASTY = '<script>alert("x")</script> & $\\bad$'


class Reader(HTMLParser):
    """Notes elements, attributes and text, and fails where elements do not nest."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    return reader


def of(root: Path, *names: str) -> Material:
    return gather(root, names)


@pytest.fixture
def three_seeds(tmp_path: Path) -> Path:
    """A run of two methods at two sparsities with three seeds, and a network of it."""
    rows = [
        {**row, "top1": row["top1"] + 0.1 * row["seed"] ** 2 * (row["label"] == "taylor")}
        for row in study_rows((0, 1, 2))
    ]
    small_model(fake_run(tmp_path, "first", rows=rows, finished=1_700_000_000.0))
    return tmp_path


# The page ---------------------------------------------------------------------------------------------


def test_a_page_has_sentences_charts_table_layers_and_what_was_run(three_seeds: Path):
    reader = read(page(of(three_seeds, "first"), now=0.0))
    assert reader.tags.count("svg") >= 5
    ids = [value for _, name, value in reader.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert {"top1-sparsity", "top1_before-sparsity", "top1-params", "top1-macs", "top1-latency_ms", "kept0-0"} <= set(
        ids
    )
    for words in ("has the best mean", "paired t-test", "Holm", "taylor", "± sample standard deviation", "digits"):
        assert words in reader.text


def test_latency_is_told_with_what_it_was_timed(tmp_path: Path):
    rows = [fake_row(sparsity=s, latency_ms=1 - s, latency128_ms=100 - s) for s in (0.5, 0.9)]
    rows += [fake_row("obd", s, latency_ms=1.2 - s, runtime="torch 2.0 (without onnxruntime)") for s in (0.5, 0.9)]
    rows += [fake_row("snip", s, latency_ms=1.1 - s) for s in (0.5, 0.9)]
    fake_run(tmp_path, "one", rows=rows)
    charts = {chart.name: chart for chart in context(of(tmp_path, "one"), 0.0)["charts"]}
    caption = charts["top1-latency_ms"].caption
    assert "Processor time of a pass in onnxruntime 1.20.0 on one CPU thread." in caption
    assert "Timed with torch 2.0 (without onnxruntime), so no part of the front: points of obd." in caption
    assert "latency of one image, ms of one CPU thread" in charts["top1-latency_ms"].svg
    assert "Not measured of obd, snip." in charts["top1-latency128_ms"].caption
    text = read(page(of(tmp_path, "one"))).text
    assert "latency of 1, ms" in text
    assert "latency of 128, ms" in text
    assert "physically smaller only" not in text
    assert "The dense network is timed too" in text


def test_nothing_is_loaded_from_anywhere_and_no_script_runs(three_seeds: Path):
    text = page(of(three_seeds, "first"))
    reader = read(text)
    assert "script" not in reader.tags
    assert not any(name.startswith("on") for _, name, _ in reader.attributes)
    links = [value for _, name, value in reader.attributes if name in ("src", "href", "xlink:href", "srcset", "data")]
    assert links
    assert all(link.startswith("#") or link == "data:," for link in links)
    assert not re.search(r"url\((?!#)", text)
    assert "@import" not in text
    assert "default-src 'none'" in text


def test_references_in_drawings_point_into_their_own_drawing(three_seeds: Path):
    text = page(of(three_seeds, "first"))
    drawings = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert len(drawings) >= 5
    for drawing in drawings:
        own = {element.get("id") for element in ElementTree.fromstring(drawing).iter()}
        assert set(re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', drawing))
        assert {a or b for a, b in re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', drawing)} <= own


def test_what_somebody_typed_is_text_wherever_it_stands(tmp_path: Path):
    rows = [fake_row(label=NASTY, seed=seed) for seed in (0, 1)]
    rows += [failed_row("taylor", NASTY, label=NASTY, trial=NASTY), *study_rows((0, 1))]
    study = STUDY.format(name="x", epochs=4, lr=0.1) + f"label = {json.dumps(NASTY)}\n"
    run = fake_run(tmp_path, "nasty", rows=rows, study=study)
    run.write_status(run.status().__class__(**{**run.status().__dict__, "name": NASTY, "model": NASTY}))
    run.write_environment({"command": ["x", NASTY], "versions": {NASTY: NASTY}, "device_name": NASTY})
    reader = read(page(of(tmp_path, "nasty")))
    assert "script" not in reader.tags
    assert reader.text.count('<script>alert("x")</script>') >= 8


@pytest.mark.parametrize("label", ["_hidden", "bell\a and null\0", "剪枝 обрезка", "x" * 300, " ", "a\nb"])
def test_any_label_can_be_drawn(tmp_path: Path, label: str):
    fake_run(tmp_path, "one", rows=[fake_row(label=label, sparsity=s) for s in (0.5, 0.9)])
    material = of(tmp_path, "one")
    for kind in FORMATS:
        assert made(material, kind)
    if label.strip():
        assert one_line(label.strip("_"))[:6] in made(material, "html").decode()


def test_layers_are_drawn_without_torch_and_missing_networks_are_told(three_seeds: Path, tmp_path: Path):
    assert "what taylor keeps of each layer" in page(of(three_seeds, "first"))
    fake_run(tmp_path / "other", "bare", rows=study_rows())
    assert "No network of this run is at hand" in page(of(tmp_path / "other", "bare"))


# Several runs -----------------------------------------------------------------------------------------


def test_runs_are_compared_the_settings_that_differ_first(three_seeds: Path):
    fake_run(three_seeds, "second", rows=study_rows((0, 1, 2)), study=STUDY.format(name="second", epochs=9, lr=0.1))
    material = of(three_seeds, "first", "second")
    assert material.settings == (("train.epochs", ("4", "9")),)
    text = page(material)
    assert text.index("<h2>Settings that differ") < text.index("<h2>Findings") < text.index("<h2>Charts")
    assert "taylor (first)" in text
    assert "taylor (second)" in text


def test_runs_of_other_data_are_judged_apart(three_seeds: Path):
    study = STUDY.format(name="second", epochs=4, lr=0.1).replace('"digits"', '"cifar10"')
    fake_run(three_seeds, "second", rows=study_rows((0, 1, 2)), study=study)
    material = of(three_seeds, "first", "second")
    assert [name for name, _ in material.verdicts] == ["first", "second"]
    assert "accuracies on different images cannot be compared" in read(page(material)).text


def test_a_run_named_twice_is_one_run(three_seeds: Path):
    assert len(of(three_seeds, "first", "last").parts) == 1


# Runs in every state ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["html", "md", "csv", "json"])
@pytest.mark.parametrize(
    ("state", "rows", "told"),
    [
        ("done", [], "no trial of a method was done"),
        ("failed", [], "it failed: the disk is full"),
        ("interrupted", study_rows()[:2], "was interrupted: 2 of 5 trials are done"),
        ("running", study_rows()[:1], "it still runs: 1 of 5"),
        ("done", [failed_row("taylor", "no memory left", trial="taylor-0.7-s0"), *study_rows()], ""),
        ("done", [failed_row("taylor", "no memory left")], "no trial of a method was done"),
        ("done", layer_rows(), ""),
        ("done", [fake_row("dense", 0.0)], "no trial of a method was done"),
    ],
)
def test_every_state_makes_a_report(tmp_path: Path, kind: str, state: str, rows: list[Any], told: str):
    fake_run(tmp_path, "one", state, rows, message="the disk is full" if state == "failed" else "")
    material = of(tmp_path, "one")
    assert told in " ".join(material.troubles)
    assert bool(told) == bool(material.troubles)
    assert made(material, kind)
    if kind == "html":
        text = read(page(material)).text
        assert told in text
        assert ("no memory left" in text) == any(row["status"] == "failed" for row in rows)


def test_damaged_results_are_a_sentence_too(tmp_path: Path):
    good = fake_run(tmp_path, "good", rows=study_rows())
    bad = fake_run(tmp_path, "bad-rows", rows=study_rows())
    (bad.folder / "results.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    material = of(tmp_path, str(good.folder), str(bad.folder))
    assert [part.name for part in material.parts] == ["good", "bad-rows"]
    assert "results.csv is damaged" in " ".join(material.troubles)


def test_a_sensitivity_study_shows_its_layers(tmp_path: Path):
    fake_run(tmp_path, "layers", rows=layer_rows(("conv1", "fc")))
    text = read(page(of(tmp_path, "layers"))).text
    assert "taylor at sparsity 0.9, one layer or coupled group at a time (dense 92.00 %)" in text
    assert "Figures of every layer" in text


def test_what_cannot_be_read_is_a_sentence(tmp_path: Path):
    good = fake_run(tmp_path, "good", rows=study_rows())
    bad = fake_run(tmp_path, "bad-study", rows=study_rows())
    (bad.folder / "study.toml").write_text("a,b\n1,2\n", encoding="utf-8")
    material = of(tmp_path, str(good.folder), str(bad.folder))
    assert [part.name for part in material.parts] == ["good"]
    assert "cannot be read" in " ".join(material.troubles)
    with pytest.raises(DataError, match="cannot be read"):
        of(tmp_path, str(bad.folder))
    with pytest.raises(UsageError):
        of(tmp_path, "nothing-of-this-name")


def test_other_peoples_files_beside_a_run_do_no_harm(three_seeds: Path):
    folder = of(three_seeds, "first").parts[0].reading.folder
    for text in ("[1, 2]", "{", '{"versions": 3, "command": "rm"}', '{"command": []}'):
        (folder / "environment.json").write_text(text, encoding="utf-8")
        (folder / "layers.json").write_text(text, encoding="utf-8")
        assert read(page(of(three_seeds, "first"))).text


# Other formats ----------------------------------------------------------------------------------------


def test_csv_has_the_rows_of_all_runs_with_the_run_in_front(three_seeds: Path):
    fake_run(three_seeds, "second", rows=study_rows((0,)))
    rows = list(csv.DictReader(io.StringIO(made(of(three_seeds, "first", "second"), "csv").decode())))
    assert next(iter(rows[0])) == "run"
    assert [row["run"].rpartition("-")[2] for row in rows] == ["first"] * 15 + ["second"] * 5


def test_json_has_runs_lines_tests_and_sentences(three_seeds: Path):
    plain = json.loads(made(of(three_seeds, "first"), "json"))
    assert [run["name"] for run in plain["runs"]] == ["first"]
    line = next(one for one in plain["lines"] if (one["label"], one["target"]) == ("taylor", "sparsity:0.5"))
    assert line["seeds"] == 3
    assert line["figures"]["top1"] == {
        "mean": pytest.approx(87.1667, abs=1e-4),
        "spread": pytest.approx(0.7024, abs=1e-4),
    }
    assert line["top1_by_seed"] == {"0": 86.5, "1": 87.1, "2": 87.9}
    assert [(test["target"], test["seeds"], test["correction"]) for test in plain["tests"]] == [
        ("sparsity:0.5", 3, "Holm"),
        ("sparsity:0.9", 3, "Holm"),
    ]
    assert plain["sentences"][0].startswith("Best mean top-1")


def test_markdown_has_findings_and_the_table(three_seeds: Path):
    text = made(of(three_seeds, "first"), "md").decode()
    assert text.startswith("# first\n")
    assert "| taylor | sparsity 0.5 | 0.5000 | 35.00k |" in text
    assert "## Findings" in text


def test_typed_words_cannot_break_a_table_of_markdown(tmp_path: Path):
    fake_run(tmp_path, "one", rows=[fake_row(label="a|b\n<i>")])
    assert "| a\\|b \\<i> |" in made(of(tmp_path, "one"), "md").decode()


@pytest.mark.parametrize(
    ("typed", "written"),
    [
        ("\\<img src=x onerror=alert(1)>", "\\\\\\<img src=x onerror=alert(1)>"),  # one backslash, then three
        ("![x](http://a.b/c.png)", "!\\[x\\](http\\://a.b/c.png)"),
        ("`a`", "\\`a\\`"),
        ("a\\|b", "a\\\\\\|b"),
        ("&#x202e; www.a.b a@b.c", "\\&#x202e; www\\.a.b a\\@b.c"),
        ("# *a* $x$ ~~b~~ _c_ d_e", "\\# \\*a\\* \\$x\\$ \\~\\~b\\~\\~ \\_c\\_ d_e"),
        ("a\x1b]8;;x\x07\u202eb", "a\\\\x1b\\]8;;x\\\\x07\\\\u202eb"),
    ],
)
def test_typed_words_are_neither_html_nor_pictures_in_markdown(tmp_path: Path, typed: str, written: str):
    fake_run(tmp_path, "one", rows=[fake_row(label=typed)])
    assert f"| {written} | sparsity" in made(of(tmp_path, "one"), "md").decode()


def test_a_title_cannot_break_a_table_of_markdown(tmp_path: Path):
    for i, name in enumerate(("a|b", "c")):
        study = STUDY.format(name=name, epochs=4 + i, lr=0.1)
        run = fake_run(tmp_path, f"run{i}", rows=study_rows(), study=study)
        run.write_status(replace(run.status(), name=name))
    text = made(gather(tmp_path, [run.id for run, _ in list_runs(tmp_path)]), "md").decode()
    assert "| a\\|b |" in text
    assert "| a|b |" not in text


def test_drawings_are_the_main_chart(three_seeds: Path):
    assert b"fraction of prunable weights removed" in made(of(three_seeds, "first"), "svg")
    assert made(of(three_seeds, "first"), "png").startswith(b"\x89PNG")


@pytest.mark.parametrize("kind", ["svg", "png"])
def test_nothing_to_draw_is_said(tmp_path: Path, kind: str):
    fake_run(tmp_path, "empty")
    with pytest.raises(DataError, match="nothing to draw"):
        made(of(tmp_path, "empty"), kind)


@pytest.mark.parametrize(
    ("kind", "output", "meant"),
    [
        (None, None, "md"),
        (None, "a.html", "html"),
        (None, "a.HTM", "html"),
        (None, "a.csv", "csv"),
        ("json", "a.html", "json"),
        *[(name, None, name) for name in FORMATS],
    ],
)
def test_the_format_is_named_or_told_by_the_file(kind: str | None, output: str | None, meant: str):
    assert chosen(kind, Path(output) if output else None) == meant


@pytest.mark.parametrize(("kind", "output"), [("pdf", None), (None, "report"), (None, "a.pdf")])
def test_an_unknown_format_is_refused_with_all_there_are(kind: str | None, output: str | None):
    with pytest.raises(UsageError, match="md, html, csv, svg, png, json") as caught:
        chosen(kind, Path(output) if output else None)
    assert isinstance(caught.value, PrunetuiError)
    assert caught.value.exit_code == 2
