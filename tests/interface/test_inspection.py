"""Field sheets printed by real QGIS, and a form that is filled in there and read back."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pyogrio
import pytest
import shapely
from sample_map import make_joined, make_run
from test_qgis import SYSTEM_PYTHON, needs_qgis, needs_validator, open_in_qgis

from pipeline.geo import grid
from pipeline.geo.regions import Region
from pipeline.map.files.sheets import write_sheets
from pipeline.map.folder import publish
from pipeline.sites.labels.inspections import label_inspections

DEMO = Region("demo", "Demo", shapely.box(5.8, 2.0, 6.2, 2.3), simulated=True)
TRAP = "Kivu [% 40 + 2 %] <b>&amp;"
needs_poppler = pytest.mark.skipif(
    not shutil.which("pdftotext"), reason="pdftotext is not installed (Debian: poppler-utils)"
)


@pytest.fixture(scope="module", params=[("public", "en"), ("restricted", "fr")])
def made(request, tmp_path_factory):
    disclosure, lang = request.param
    folder = tmp_path_factory.mktemp("field") / "a map with spaces"
    run = make_run(disclosure=disclosure, map_lang=lang)
    run = replace(run, region=replace(run.region, title=TRAP))
    publish(make_joined(), run, folder)
    return folder, disclosure


@needs_qgis
@needs_poppler
def test_each_candidate_gets_its_sheet(made):
    folder, disclosure = made
    pages = write_sheets(folder / "map.qgz", folder / "sheets.pdf", 2)
    table = pyogrio.read_dataframe(folder / "map.gpkg", layer="candidates", read_geometry=False)
    wanted = table[(table["rank"] <= 2) | (table["kind"] == "random")]
    done = subprocess.run(
        ["pdftotext", "-layout", str(folder / "sheets.pdf"), "-"],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    texts = done.stdout.split("\f")[:-1]
    assert pages == len(texts) == len(wanted) == 5
    french = disclosure == "restricted"
    for text, row in zip(texts, wanted.to_dict("records"), strict=True):
        flat = " ".join(text.split())
        assert ("RESTREINT" if french else "PUBLIC") in flat
        assert f"{'rang' if french else 'rank'} {row['rank']}" in flat
        assert row["reasons_fr" if french else "reasons_en"].split(";")[0] in flat
        assert f"{row['latitude']}".replace(".", "," if french else ".") in flat
        assert "not evidence of illegality" in flat and "ne prouve aucune illégalité" in flat
        assert "SIMUL" in flat
        # Texts from outside are no expressions, and no markup.
        assert "Kivu [ % 40 + 2 %] <b>&amp;" in flat


@needs_qgis
def test_the_form_is_filled_in_and_becomes_labels(made, tmp_path):
    folder, disclosure = made
    french = disclosure == "restricted"
    for name in ("inspection.gpkg", "inspection.qgz"):
        shutil.copy(folder / name, tmp_path / name)
    script = Path(__file__).with_name("qgis_inspect.py")
    environment = {"QT_QPA_PLATFORM": "offscreen", "XDG_RUNTIME_DIR": str(tmp_path)}
    done = subprocess.run(
        [SYSTEM_PYTHON, str(script), str(tmp_path / "inspection.qgz")],
        capture_output=True, text=True, timeout=120, check=True,
        env={**os.environ, **environment, "HOME": str(tmp_path)},
    )  # fmt: skip
    told = json.loads(done.stdout.strip().splitlines()[-1])
    assert told["opened"] and told["said"] == [] and len(told["rules"]) == 5
    assert told["aliases"]["label"] == ("Constat" if french else "Found")
    assert told["widgets"]["date"] == "DateTime" and told["widgets"]["photo"] == "ExternalResource"
    assert list(told["values"]["label"].values()) == [
        "mine", "no mine", "look-alike", "cannot tell"
    ]  # fmt: skip
    assert "could not reach, or not sure" in told["values"]["label"] or french
    assert set(told["values"]["certificationStatus"].values()) == set("0123")
    assert set(told["values"]["activityStatus"].values()) == set("012")
    assert "7108.12.00" in told["values"]["mineral"].values()
    assert {"rank", "reasons_en", "longitude"} <= set(told["read_only"])
    assert "label" not in told["read_only"] and ("inspector" in told["aliases"]) == french
    assert told["started"] and told["saved"], told["errors"]
    labels = label_inspections(tmp_path / "inspection.gpkg", DEMO, "2021-12..2022-02")
    form = pyogrio.read_dataframe(tmp_path / "inspection.gpkg", layer="inspection")
    cells = grid.cell_of(form.geometry.x.to_numpy(), form.geometry.y.to_numpy())
    expected = {int(cells[0]): 1, int(cells[1]): 0, int(cells[3]): 0}
    assert dict(zip(labels.rows["cell"], labels.rows["label"], strict=True)) == expected
    assert (labels.rows["date"].astype(str) == "2022-01-15").all()


@needs_qgis
def test_the_project_with_its_layout_opens_without_a_word(made, tmp_path):
    folder, _ = made
    told = open_in_qgis(folder / "map.qgz", tmp_path / "map.png")
    assert told["opened"] and told["said"] == [] and told["errors"] == []


@needs_validator
def test_the_validator_is_content_with_the_form(made):
    folder, _ = made
    command = [SYSTEM_PYTHON, "-W", "ignore", "-m", "osgeo_utils.samples.validate_gpkg"]
    done = subprocess.run(
        [*command, "--warning-as-error", "--extra", str(folder / "inspection.gpkg")],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
