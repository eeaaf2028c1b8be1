"""Real QGIS opens a sample with its form, and what is labelled there can be read back."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from sample_estimates import RECORD
from sample_map import make_joined, make_run
from test_qgis import SYSTEM_PYTHON, needs_qgis, needs_validator, open_in_qgis

from pipeline.evaluation.sample_file import write_sample
from pipeline.geo import grid
from pipeline.map.folder import publish
from pipeline.sites.samples import read_sample

ABOUT = {
    "sample": "0123456789abcdef",
    "region": "demo",
    "title": "Demo landscape",
    "created": "2022-11-05T10:00:00+00:00",
    "simulated": "yes",
}


@pytest.fixture(params=["en", "fr"])
def file(request, tmp_path) -> tuple[Path, str]:
    cells = grid.Block.from_name("N02.0E005.9").cells().ravel()
    number = [i % 9 // 8 * (i // 9 + 1) for i in range(len(cells))]
    strata = pd.DataFrame({"stratum": ["unlikely"], "cells": [400], "area_km2": [1.0], "drawn": 44})
    path = tmp_path / "a sample.gpkg"
    project = write_sample(
        path, pd.DataFrame({"cell": cells, "number": number}), strata, ABOUT, request.param,
        path.name,
    )  # fmt: skip
    path.with_suffix(".qgz").write_bytes(project)
    return path, request.param


@needs_qgis
def test_labels_are_typed_in_and_read_back(file, tmp_path) -> None:
    path, lang = file
    script = Path(__file__).with_name("qgis_label.py")
    environment = {"QT_QPA_PLATFORM": "offscreen", "XDG_RUNTIME_DIR": str(tmp_path)}
    done = subprocess.run(
        [SYSTEM_PYTHON, str(script), str(path)],
        capture_output=True, text=True, timeout=120, check=True,
        env={**os.environ, **environment, "HOME": str(tmp_path)},
    )  # fmt: skip
    told = json.loads(done.stdout.strip().splitlines()[-1])
    assert told["valid"] and told["said"] == []
    assert {"sample", "strata", "about"} <= set(told["layers"])
    assert told["renderer"] == "RuleRenderer" and len(told["rules"]) == 4 and told["labels"]
    assert told["aliases"]["label"] == ("Label" if lang == "en" else "Étiquette")
    assert told["widgets"]["label"] == "ValueMap"
    assert (told["widgets"]["share"], told["widgets"]["date"]) == ("Range", "DateTime")
    stored = [value for one in told["values"] for value in one.values()]
    assert stored == ["mine", "no mine", "cannot tell"]
    texts = [text for one in told["values"] for text in one]
    assert texts == (["mine", "no mine", "cannot tell"] if lang == "en"
                     else ["mine", "pas de mine", "indéterminé"])  # fmt: skip
    assert set(texts) <= set(told["offered"])
    assert told["read_only"] == ["number", "cell"]
    assert told["started"] and told["saved"], told["errors"]
    back = read_sample(path).cells
    assert len(back) == 44
    assert back["label"].tolist() == [
        ("mine", "no mine", "cannot tell")[number % 3] for number in back["number"]
    ]
    assert set(back["date"]) == {"2022-01-15"} and set(back["labeller"]) == {"Ékole"}
    assert set(back.loc[back["label"] == "mine", "share"]) == {0.25}


@needs_qgis
def test_the_project_beside_it_opens_the_form(file, tmp_path) -> None:
    path, lang = file
    told = open_in_qgis(path.with_suffix(".qgz"), tmp_path / "form.png")
    assert told["opened"] and told["said"] == [] and told["errors"] == []
    (layer,) = told["layers"].values()
    assert layer["valid"] and layer["features"] == 44 and len(layer["rules"]) == 4
    assert layer["aliases"]["label"] == ("Label" if lang == "en" else "Étiquette")


@needs_qgis
def test_a_map_with_estimates_opens_without_a_warning(tmp_path) -> None:
    run = make_run(area=RECORD, disclosure="restricted")
    publish(make_joined(), run, tmp_path / "map")
    told = open_in_qgis(tmp_path / "map" / "map.qgz", tmp_path / "map.png")
    assert told["opened"] and told["said"] == [] and told["errors"] == []
    layer = told["layers"]["Area estimates with intervals"]
    assert layer["valid"] and layer["features"] == 3 and layer["labels"]
    assert layer["aliases"]["cells_with_mining_low_km2"] == "95 % from (km²)"


@needs_validator
def test_gdals_validator_is_content_with_it(file) -> None:
    command = [SYSTEM_PYTHON, "-W", "ignore", "-m", "osgeo_utils.samples.validate_gpkg"]
    done = subprocess.run(
        [*command, "--warning-as-error", "--extra", str(file[0])],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
