"""Real QGIS opens the map with nothing to say, styled, with and without the project."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sample_map import make_joined, make_run

from pipeline.map.folder import publish

SYSTEM_PYTHON = "/usr/bin/python3"
SCRIPT = Path(__file__).with_name("qgis_open.py")
ENGLISH = ["missed by the map", "found by the map"]
FRENCH = ["manqué par la carte", "trouvé par la carte"]


def _system_has(module):
    if not Path(SYSTEM_PYTHON).exists():
        return False
    command = [SYSTEM_PYTHON, "-c", f"import {module}"]
    return subprocess.run(command, capture_output=True, timeout=60).returncode == 0


needs_qgis = pytest.mark.skipif(
    not _system_has("qgis.core"), reason="QGIS is not installed (Debian: qgis python3-qgis)"
)
needs_validator = pytest.mark.skipif(
    not _system_has("osgeo_utils.samples.validate_gpkg"),
    reason="GDAL's validate_gpkg.py is not installed (Debian: gdal-bin python3-gdal)",
)
needs_display = pytest.mark.skipif(
    not (shutil.which("qgis") and shutil.which("Xvfb")),
    reason="QGIS's window needs an X server (Debian: qgis xvfb)",
)


@pytest.fixture(scope="module", params=[("public", "en"), ("restricted", "fr")])
def made(request, tmp_path_factory):
    disclosure, lang = request.param
    folder = tmp_path_factory.mktemp("qgis") / "a map with spaces"
    publish(make_joined(), make_run(disclosure=disclosure, map_lang=lang), folder)
    return folder, lang


def open_in_qgis(path, picture):
    environment = {
        **os.environ,
        "QT_QPA_PLATFORM": "offscreen",
        "XDG_RUNTIME_DIR": str(picture.parent),
        "HOME": str(picture.parent),
    }
    command = [SYSTEM_PYTHON, str(SCRIPT), str(path), str(picture)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, env=environment, check=True
    )
    return json.loads(done.stdout.strip().splitlines()[-1])


@needs_qgis
def test_the_project_opens_without_a_warning(made, tmp_path):
    folder, lang = made
    told = open_in_qgis(folder / "map.qgz", tmp_path / "map.png")
    assert told["opened"] and told["said"] == [] and told["errors"] == []
    assert all(layer["valid"] for layer in told["layers"].values())
    assert len(told["layers"]) == 6
    assert ("SIMULATED" if lang == "en" else "SIMULÉ") in told["title"]
    sites = told["layers"]["Known sites" if lang == "en" else "Sites connus"]
    assert sites["rules"] == (ENGLISH if lang == "en" else FRENCH)
    assert sites["aliases"]["name"] == ("Name" if lang == "en" else "Nom")
    cells = told["layers"]["Model score" if lang == "en" else "Score du modèle"]
    assert cells["rules"][-1] == ("cannot tell" if lang == "en" else "indéterminé")
    assert [len(layers) for _, layers in told["groups"]] == [2, 1, 1, 1, 1]


@needs_qgis
def test_the_picture_shows_every_class(made, tmp_path):
    folder, _ = made
    open_in_qgis(folder / "map.qgz", tmp_path / "map.png")
    image = np.asarray(Image.open(tmp_path / "map.png").convert("RGB")).reshape(-1, 3)

    def share(colour, opacity=0.85, tolerance=6):
        seen = 255 - opacity * (255 - np.asarray(colour))
        return float((np.abs(image - seen).max(axis=1) <= tolerance).mean())

    assert share((0x7F, 0, 0)) > 0.001 and share((0xD7, 0x30, 0x1F)) > 0.002
    assert share((0xFC, 0x8D, 0x59)) > 0.005 and share((0xFD, 0xD4, 0x9E)) > 0.005
    assert share((0xF6, 0xE8, 0xD0), 0.85 * 140 / 255) > 0.3
    assert share((0x08, 0x68, 0xAC), 1) > 0.0003  # sites that were found
    assert share((0x11, 0x11, 0x11), 1) > 0.001  # outlines of candidates


@needs_qgis
def test_styles_apply_when_the_geopackage_is_dropped_in_alone(made, tmp_path):
    folder, lang = made
    alone = shutil.copy(folder / "map.gpkg", tmp_path / "alone.gpkg")
    told = open_in_qgis(alone, tmp_path / "alone.png")
    assert told["opened"] and told["said"] == []
    assert {layer["renderer"] for layer in told["layers"].values()} == {"RuleRenderer"}
    assert told["layers"]["sites"]["rules"] == (ENGLISH if lang == "en" else FRENCH)
    assert told["layers"]["candidates"]["labels"]
    assert told["layers"]["candidates"]["aliases"]["rank"] == ("Rank" if lang == "en" else "Rang")


@needs_qgis
def test_the_project_inside_the_geopackage_opens_too(made, tmp_path):
    folder, _ = made
    alone = shutil.copy(folder / "map.gpkg", tmp_path / "map.gpkg")
    told = open_in_qgis(f"geopackage:{alone}?projectName=map", tmp_path / "inside.png")
    assert told["opened"] and told["said"] == []
    assert len(told["layers"]) == 6
    assert all(layer["valid"] for layer in told["layers"].values())


@needs_validator
def test_gdals_validator_is_content(made):
    folder, _ = made
    command = [SYSTEM_PYTHON, "-W", "ignore", "-m", "osgeo_utils.samples.validate_gpkg"]
    done = subprocess.run(
        [*command, "--warning-as-error", "--extra", str(folder / "map.gpkg")],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@needs_display
def test_the_window_itself_opens_the_map_with_no_message(made, tmp_path):
    folder, _ = made
    script = tmp_path / "look.py"
    script.write_text(
        "import json, os\n"
        "from qgis.PyQt.QtCore import QTimer\n"
        "from qgis.core import QgsProject\n"
        "from qgis.utils import iface\n"
        "def look():\n"
        "    said = [item.text() for item in iface.messageBar().items()]\n"
        "    title = QgsProject.instance().title()\n"
        f"    open({str(tmp_path / 'told.json')!r}, 'w').write(json.dumps([title, said]))\n"
        "    os._exit(0)\n"
        "QTimer.singleShot(4000, look)\n"
    )
    display = f":{90 + os.getpid() % 900}"
    server = subprocess.Popen(
        ["Xvfb", display, "-screen", "0", "1280x900x24"], stderr=subprocess.DEVNULL
    )
    try:
        environment = {**os.environ, "DISPLAY": display, "XDG_RUNTIME_DIR": str(tmp_path)}
        environment.pop("QT_QPA_PLATFORM", None)
        command = ["qgis", "--nologo", "--noversioncheck", "--noplugins", "--profiles-path"]
        command += [str(tmp_path / "profiles"), "--code", str(script)]
        command += ["--project", str(folder / "map.qgz")]
        subprocess.run(command, env=environment, timeout=120, capture_output=True)
    finally:
        server.terminate()
        server.wait()
    title, said = json.loads((tmp_path / "told.json").read_text())
    assert said == [] and "Demo landscape" in title
