"""Real Chromium opens the page, with the network off, and uses it as a reader would."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import CHROMIUM, Browser
from PIL import Image
from sample_map import HOSTILE, make_joined, make_run

from pipeline.map.page.report import write_report

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
CHOSEN = "document.getElementById('shown').innerText"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: Any) -> Iterator[Browser]:
    opened = Browser(tmp_path_factory.mktemp("browser"))
    yield opened
    opened.close()


@pytest.fixture(scope="module", params=[("public", "en"), ("restricted", "fr")])
def page(request: Any, tmp_path_factory: Any) -> tuple[str, Path]:
    disclosure, lang = request.param
    run = make_run(disclosure=disclosure, map_lang=lang)
    joined = make_joined()
    joined = replace(
        joined, candidates=joined.candidates.assign(reasons_en=HOSTILE, reasons_fr=HOSTILE)
    )
    run = replace(run, region=replace(run.region, title="</script><script>alert(1)</script>"))
    return lang, write_report(joined, run, tmp_path_factory.mktemp("page"))


@pytest.fixture
def opened(browser: Browser, page: tuple[str, Path]) -> Iterator[Browser]:
    browser.size(1280, 900)
    browser.complaints.clear()
    browser.asked.clear()
    browser.open(page[1])
    yield browser
    # Whatever a test did: nothing was asked of the network, and nothing went wrong.
    assert browser.complaints == []
    assert all(url.startswith(("file:", "data:", "blob:")) for url in browser.asked)


def colour_share(picture: Path, colour: tuple[int, int, int]) -> float:
    image = np.asarray(Image.open(picture).convert("RGB")).reshape(-1, 3).astype(int)
    return float((np.abs(image - colour).max(axis=1) <= 3).mean())


def canvas_box(browser: Browser) -> list[float]:
    box: list[float] = browser.ask(
        "(() => { const e = document.getElementById('map'); e.scrollIntoView({block: 'center'});"
        " const b = e.getBoundingClientRect(); return [b.x, b.y, b.width, b.height]; })()"
    )
    return box


def test_it_draws_the_map(opened: Browser, tmp_path: Path) -> None:
    canvas_box(opened)
    picture = opened.picture(tmp_path / "page.png")
    for colour in ((0x7F, 0, 0), (0xFC, 0x8D, 0x59), (0x08, 0x68, 0xAC), (0x11, 0x11, 0x11)):
        assert colour_share(picture, colour) > 0.0002, colour


@pytest.mark.parametrize("wide", [1280, 390])
def test_it_fits_the_window(opened: Browser, wide: int) -> None:
    opened.size(wide, 844, telephone=wide < 500)
    assert opened.ask("document.documentElement.scrollWidth") <= wide
    box = canvas_box(opened)
    assert box[0] >= 0 and box[0] + box[2] <= wide


def test_a_candidate_is_chosen_in_the_list_and_on_the_map(
    opened: Browser, page: tuple[str, Path], tmp_path: Path
) -> None:
    canvas_box(opened)
    blue = (0x0B, 0x57, 0xD0)
    before = colour_share(opened.picture(tmp_path / "before.png"), blue)
    opened.click_on("#list li:first-child button")
    word = {"en": "Candidate 1", "fr": "Candidat 1"}[page[0]]
    opened.wait(f"{CHOSEN}.includes({word!r})")
    assert opened.ask("document.querySelector('#list button').ariaPressed") == "true"
    why = {"en": "of its cells likely", "fr": "de ses cellules probables"}[page[0]]
    assert why in opened.ask(CHOSEN)
    x, y, wide, high = canvas_box(opened)
    assert colour_share(opened.picture(tmp_path / "after.png"), blue) > before + 0.0004
    opened.ask("document.querySelector('#list li:nth-child(2) button').click()")
    opened.wait("document.querySelectorAll('#list button[aria-pressed=true]').length === 1")
    assert opened.ask("document.querySelectorAll('#list button')[1].ariaPressed") == "true"
    # The map has moved to the second candidate: its middle is that candidate, or beside it.
    opened.click(x + wide / 2, y + high / 2)
    opened.wait(f"!{CHOSEN}.includes('{word}\\n')")


def test_a_square_is_chosen_by_keyboard_and_mouse(opened: Browser, page: tuple[str, Path]) -> None:
    x, y, wide, high = canvas_box(opened)
    opened.ask("document.getElementById('layer-candidates').click()")
    opened.ask("document.getElementById('layer-sites').click()")
    opened.click(x + wide / 2, y + high / 2)
    word = {"en": "Square 2.", "fr": "Carré 2,"}[page[0]]
    opened.wait(f"{CHOSEN}.includes({word!r})")
    by_mouse = opened.ask(CHOSEN)
    opened.ask("document.getElementById('map').focus()")
    for key in ("ArrowRight", "Escape"):
        opened.key(key)
    opened.wait(f"!{CHOSEN}.includes({word!r})")
    for key in ("0", "Enter"):
        opened.key(key)
    opened.wait(f"{CHOSEN}.includes({word!r})")
    assert opened.ask(CHOSEN) == by_mouse


def test_layers_switch(opened: Browser, tmp_path: Path) -> None:
    canvas_box(opened)
    opened.ask("document.getElementById('layer-sites').click()")
    opened.ask("document.getElementById('base-clear').click()")
    blue, ocean = (0x08, 0x68, 0xAC), (0x41, 0xB6, 0xC4)
    picture = opened.picture(tmp_path / "clear.png")
    assert colour_share(picture, ocean) > 0.02
    assert colour_share(picture, (0x7F, 0, 0)) < 0.001
    assert colour_share(picture, blue) < 0.0002
    opened.ask("document.getElementById('base-none').click()")
    assert colour_share(opened.picture(tmp_path / "none.png"), ocean) < 0.001


def test_the_language_changes_everywhere(opened: Browser, page: tuple[str, Path]) -> None:
    opened.click_on("#list li:first-child button")
    here, there = page[0], {"en": "fr", "fr": "en"}[page[0]]
    titles = {"en": "Where the model sees mining", "fr": "Où le modèle voit"}
    layer = {"en": "Known sites", "fr": "Sites connus"}
    assert titles[here] in opened.ask("document.body.innerText")
    opened.click_on(f"#to-{there}")
    opened.wait(f"document.documentElement.lang === '{there}'")
    text = opened.ask("document.body.innerText")
    assert titles[there] in text and titles[here] not in text
    assert layer[there] in opened.ask("document.getElementById('layers').innerText")
    chosen = {"en": "Candidate 1", "fr": "Candidat 1"}
    assert chosen[there] in opened.ask(CHOSEN)
    label = opened.ask("document.getElementById('zoom-in').getAttribute('aria-label')")
    assert label == {"en": "Zoom in", "fr": "Agrandir"}[there]


def test_without_its_script_it_is_a_page_in_both_languages(
    browser: Browser, page: tuple[str, Path]
) -> None:
    browser.size(1280, 900)
    browser.open(page[1], script=False)
    browser.call("Emulation.setScriptExecutionDisabled", value=False)
    still = "[...document.querySelectorAll('.still img')].filter(i => i.offsetParent).length"
    assert browser.ask(still) == 1
    assert browser.ask("document.getElementById('atlas').offsetParent === null")
    assert browser.ask("[...document.images].every(i => i.naturalWidth > 300)")
    titles = {"en": "Where the model sees mining", "fr": "Où le modèle voit"}
    there = {"en": "fr", "fr": "en"}[page[0]]
    browser.click_on(f"#to-{there}")
    assert titles[there] in browser.ask("document.body.innerText")


def test_names_and_contrast(opened: Browser) -> None:
    nameless = (
        "[...document.querySelectorAll('button, input, canvas, img')].filter(e =>"
        " !(e.getAttribute('aria-label') || e.alt || e.innerText || e.labels?.length)).length"
    )
    assert opened.ask(nameless) == 0
    doubles = (
        "(() => { const all = [...document.querySelectorAll('[id]')].map(e => e.id);"
        " return all.length - new Set(all).size; })()"
    )
    assert opened.ask(doubles) == 0
    # WCAG 2.1: relative luminance of text and paper, at least 4.5 to 1.
    ratio = """(() => {
      const light = (c) => { const [r, g, b] = c.match(/[\\d.]+/g).map(Number).map((v) => v / 255)
        .map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
      const paper = (e) => { for (; e; e = e.parentElement) { const c = getComputedStyle(e)
        .backgroundColor; if (!c.endsWith(', 0)')) return c; } return 'rgb(255, 255, 255)'; };
      return Math.min(...[...document.querySelectorAll('p, td, th, li, h1, h2, h3, dt, dd, button')]
        .filter((e) => e.offsetParent).map((e) => { const [a, b] = [
          light(getComputedStyle(e).color), light(paper(e))].sort((x, y) => y - x);
          return (a + 0.05) / (b + 0.05); }));
    })()"""
    assert opened.ask(ratio) >= 4.5


def test_it_prints_the_still_pictures(opened: Browser, tmp_path: Path) -> None:
    if shutil.which("pdftotext") is None:
        pytest.skip("poppler-utils is not installed")
    pdf = opened.printed(tmp_path / "page.pdf")
    done = subprocess.run(["pdftotext", pdf, "-"], capture_output=True, text=True, check=True)
    assert "SIMUL" in done.stdout and "Drag to move" not in done.stdout
    listed = subprocess.run(["pdfimages", "-list", pdf], capture_output=True, text=True, check=True)
    assert len(listed.stdout.splitlines()) >= 5
