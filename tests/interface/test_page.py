"""Real Chromium opens the page, with the network off, at the width of a desk and of a telephone."""

import html
import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image
from sample_map import make_joined, make_run

from pipeline.report import write_report

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")


@pytest.fixture(scope="module", params=[("public", "en"), ("restricted", "fr")])
def page(request, tmp_path_factory):
    disclosure, lang = request.param
    run = make_run(disclosure=disclosure, map_lang=lang)
    return write_report(make_joined(), run, tmp_path_factory.mktemp("page"))


def chromium(folder, *options):
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    # Every name resolves to nowhere: the page must not need any.
    command += ["--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr", "--v=0"]
    command += [f"--user-data-dir={folder / 'profile'}", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)


@pytest.mark.parametrize("width", [1280, 390])
def test_it_fits_the_window_and_loads_its_pictures(page, tmp_path, width):
    frame = tmp_path / "frame.html"
    inside = html.escape(page.read_text(encoding="utf-8"))
    frame.write_text(
        f'<!DOCTYPE html><meta charset="utf-8"><body><iframe id="f" width="{width}" height="900"'
        f' srcdoc="{inside}"></iframe><script>onload = () => {{'
        " const d = document.getElementById('f').contentDocument;"
        " document.body.dataset.wide = d.documentElement.scrollWidth;"
        " document.body.dataset.pictures = [...d.images].map(i => i.naturalWidth).join();"
        " document.body.dataset.scripts = d.scripts.length; }</script>",
        encoding="utf-8",
    )
    told = chromium(tmp_path, "--dump-dom", "--virtual-time-budget=4000", frame.as_uri()).stdout
    data = dict(re.findall(r'data-(wide|pictures|scripts)="([^"]*)"', told))
    assert int(data["wide"]) <= width
    assert len(data["pictures"].split(",")) == 3
    assert all(int(pixels) > 300 for pixels in data["pictures"].split(","))
    assert data["scripts"] == "0"


def test_it_draws_and_the_browser_has_no_complaint(page, tmp_path):
    picture = tmp_path / "page.png"
    done = chromium(tmp_path, "--window-size=1280,1700", f"--screenshot={picture}", page.as_uri())
    assert "CONSOLE" not in done.stderr, done.stderr
    image = np.asarray(Image.open(picture).convert("RGB")).reshape(-1, 3).astype(int)
    for colour in ((0x7F, 0, 0), (0xFC, 0x8D, 0x59), (0xFF, 0xD2, 0x3F), (0x08, 0x68, 0xAC)):
        assert (np.abs(image - colour).max(axis=1) <= 3).mean() > 0.0002, colour
