"""Real QGIS and a real browser open what changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import CHROMIUM, Browser
from PIL import Image
from sample_changes import SEASONS, make_changes
from sample_map import make_run
from test_qgis import needs_qgis, open_in_qgis

from pipeline.change.folder import write_changes
from pipeline.change.layers import disclose_changes
from pipeline.map.column_rules import policy_of


@pytest.fixture(scope="module", params=[("public", "en"), ("restricted", "fr")])
def made(request: Any, tmp_path_factory: Any) -> Iterator[tuple[Path, str]]:
    disclosure, lang = request.param
    changes = make_changes(tmp_path_factory.mktemp("layers"))
    run, policy = make_run(disclosure=disclosure, map_lang=lang), policy_of(changes.joined)
    folder = tmp_path_factory.mktemp("changes") / "what changed"
    write_changes(disclose_changes(changes, run, policy), run, policy, SEASONS, folder)
    yield folder, lang


@needs_qgis
def test_the_project_opens_styled_and_without_a_warning(
    made: tuple[Path, str], tmp_path: Path
) -> None:
    folder, lang = made
    told = open_in_qgis(folder / "changes.qgz", tmp_path / "map.png")
    assert told["opened"] and told["said"] == [] and told["errors"] == []
    assert len(told["layers"]) == 5
    assert all(layer["valid"] for layer in told["layers"].values())
    places = told["layers"]["Places of change" if lang == "en" else "Lieux de changement"]
    assert places["rules"][0] == ("new" if lang == "en" else "nouveau") and places["labels"]
    assert places["aliases"]["change_class"] == ("Change" if lang == "en" else "Changement")
    image = np.asarray(Image.open(tmp_path / "map.png").convert("RGB")).reshape(-1, 3).astype(int)
    for colour in ((0xD7, 0x30, 0x1F), (0xFC, 0x8D, 0x59), (0x6B, 0x4C, 0x9A), (0x2C, 0x7F, 0xB8)):
        assert (np.abs(image - colour).max(axis=1) <= 6).mean() > 0.0002, colour


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_the_page_reads_in_both_languages_and_fits_a_telephone(
    made: tuple[Path, str], tmp_path: Path
) -> None:
    folder, lang = made
    browser = Browser(tmp_path)
    try:
        browser.open(folder / "changes.html", script=False)
        browser.call("Emulation.setScriptExecutionDisabled", value=False)
        words = {"en": "What this does not show", "fr": "Ce que cela ne montre pas"}
        there = {"en": "fr", "fr": "en"}[lang]
        assert words[lang] in browser.ask("document.body.innerText")
        assert browser.ask("[...document.images].every(i => i.naturalWidth > 300)")
        browser.click_on(f"#to-{there}")
        text = browser.ask("document.body.innerText")
        assert words[there] in text and words[lang] not in text
        browser.size(390, 844, telephone=True)
        assert browser.ask("document.documentElement.scrollWidth") <= 390
        assert browser.complaints == []
        assert all(url.startswith(("file:", "data:")) for url in browser.asked)
    finally:
        browser.close()
