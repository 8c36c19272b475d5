"""The report in a real browser: headless Chromium, driven by playwright. Skipped where either is missing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tui.fakes import fake_run, layer_rows, small_model, study_rows

from prunetui.report.gather import gather
from prunetui.report.page import page

pytestmark = pytest.mark.browser
NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium of this machine."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip("there is no Chromium on this machine")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=path, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def report(tmp_path: Path) -> str:
    """The address of a page that has everything: two runs and a sensitivity study."""
    small_model(fake_run(tmp_path, "first", rows=study_rows((0, 1, 2))))
    fake_run(tmp_path, "second", rows=study_rows((0, 1, 2)))
    fake_run(tmp_path, "layers", rows=layer_rows())
    file = tmp_path / "report.html"
    file.write_text(page(gather(tmp_path, ["first", "second", "layers"])), encoding="utf-8")
    return file.as_uri()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)])
@pytest.mark.parametrize("scripts", [True, False])
def test_it_opens_without_errors_and_all_charts_are_seen(
    browser: Any, report: str, scheme: str, width: int, height: int, scripts: bool
):
    said: list[str] = []
    asked: list[str] = []
    view = browser.new_page(
        viewport={"width": width, "height": height}, color_scheme=scheme, java_script_enabled=scripts
    )
    view.on("console", lambda message: said.append(message.text))
    view.on("pageerror", lambda error: said.append(str(error)))
    view.on("request", lambda request: asked.append(request.url))
    view.goto(report)
    boxes = [drawing.bounding_box() for drawing in view.locator("svg").all()]
    assert len(boxes) >= 7
    assert all(box and box["width"] > 250 and box["height"] > 60 for box in boxes)
    assert all(box["x"] >= 0 and box["x"] + box["width"] <= width for box in boxes)  # nothing to scroll sideways for
    assert said == []
    assert asked == [report]
    view.close()


def test_drawings_stand_on_white_in_the_dark(browser: Any, report: str):
    view = browser.new_page(color_scheme="dark")
    view.goto(report)
    shown = "element => getComputedStyle(element).backgroundColor"
    assert {one.evaluate(shown) for one in view.locator(".paper").all()} == {"rgb(255, 255, 255)"}
    assert view.locator("body").evaluate(shown) == "rgb(18, 22, 28)"
    view.close()


def test_it_prints(browser: Any, report: str):
    view = browser.new_page()
    view.goto(report)
    assert view.pdf(prefer_css_page_size=True).startswith(b"%PDF")
    view.emulate_media(media="print")
    assert not view.locator("nav").is_visible()
    view.close()
