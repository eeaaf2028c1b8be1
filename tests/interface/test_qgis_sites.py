"""Real QGIS opens a map with context layers and the tables of visits, with nothing to say."""

from __future__ import annotations

import subprocess

import pytest
from sample_known import make_known
from sample_map import make_run
from test_qgis import SYSTEM_PYTHON, needs_qgis, needs_validator, open_in_qgis

from pipeline.map.folder import publish


@pytest.fixture(scope="module", params=[("public", "en"), ("restricted", "fr")])
def made(request, tmp_path_factory):
    disclosure, lang = request.param
    folder = tmp_path_factory.mktemp("known") / "run"
    joined = make_known(tmp_path_factory.mktemp("layers"))
    publish(joined, make_run(disclosure=disclosure, map_lang=lang), folder)
    return folder, disclosure


@needs_qgis
def test_every_layer_and_table_opens_by_its_name(made, tmp_path):
    folder, disclosure = made
    told = open_in_qgis(folder / "map.qgz", tmp_path / "map.png")
    assert told["opened"] and told["said"] == [] and told["errors"] == []
    assert all(layer["valid"] for layer in told["layers"].values())
    groups = dict(told["groups"])
    if disclosure == "public":
        assert groups["What else is known"] == ["Zones", "Reports", "Zones"]
        assert groups["About the known sites"] == ["Sites and map, both ways"]
        cells = told["layers"]["Model score"]
        assert cells["rules"][-1] == "in an industrial mine: not called artisanal"
    else:
        assert len(groups["Ce que l'on sait par ailleurs"]) == 4
        assert groups["Sur les sites connus"][1] == "Visites"
        assert told["layers"]["Signalements"]["features"] == 2
        assert told["layers"]["Sites connus"]["aliases"]["zones_title"] == "Zones : Titre"


@needs_validator
def test_the_validator_finds_nothing(made):
    folder, _ = made
    command = [SYSTEM_PYTHON, "-W", "ignore", "-m", "osgeo_utils.samples.validate_gpkg"]
    done = subprocess.run(
        [*command, "--warning-as-error", "--extra", str(folder / "map.gpkg")],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
