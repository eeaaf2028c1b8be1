"""The field sheets where QGIS is missing, fails or hangs; and what their layout says."""

from __future__ import annotations

import json
import sys
import xml.etree.ElementTree as ElementTree
import zipfile
from pathlib import Path

import pytest
from sample_map import make_joined, make_run

from pipeline import publish as publish_stage
from pipeline.cli.main import main
from pipeline.errors import DependencyError, QgisError
from pipeline.map.files import sheets
from pipeline.map.folder import publish


def pretend(monkeypatch, tmp_path, text):
    """Let another program stand for QGIS."""
    script = tmp_path / "qgis.py"
    script.write_text(text)
    monkeypatch.setattr(sheets, "PYTHON", Path(sys.executable))
    monkeypatch.setattr(sheets, "SCRIPT", script)
    monkeypatch.setattr(sheets, "check_qgis", lambda: None)


@pytest.mark.parametrize("python", ["/nowhere/python3", sys.executable])
def test_without_qgis_it_says_what_to_install(tmp_path, monkeypatch, python):
    monkeypatch.setattr(sheets, "PYTHON", Path(python))
    with pytest.raises(DependencyError, match="QGIS") as caught:
        sheets.write_sheets(tmp_path / "map.qgz", tmp_path / "a.pdf")
    assert "python3-qgis" in caught.value.next_step
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import sys; sys.exit('no display')", "no display"),
        ("import os; os._exit(3)", "without a word"),
        ('print(\'{"error": "bad layout", "pages": 2, "said": []}\')', "bad layout"),
        ('print(\'{"error": "", "pages": 2, "said": []}\')', "no file came"),
    ],
)
def test_a_failure_is_named_and_the_earlier_file_stays(tmp_path, monkeypatch, text, words):
    pretend(monkeypatch, tmp_path, text)
    (tmp_path / "a.pdf").write_bytes(b"earlier")
    with pytest.raises(QgisError, match=words):
        sheets.write_sheets(tmp_path / "map.qgz", tmp_path / "a.pdf")
    assert (tmp_path / "a.pdf").read_bytes() == b"earlier"
    assert {path.name for path in tmp_path.iterdir()} == {"a.pdf", "qgis.py"}


def test_a_qgis_that_hangs_is_ended(tmp_path, monkeypatch):
    pretend(monkeypatch, tmp_path, "import time; time.sleep(60)")
    monkeypatch.setattr(sheets, "_START_SECONDS", 0.5)
    monkeypatch.setattr(sheets, "_SHEET_SECONDS", 0)
    with pytest.raises(QgisError, match="within 0 seconds") as caught:
        sheets.write_sheets(tmp_path / "map.qgz", tmp_path / "a.pdf")
    assert "--pdf 10" in caught.value.next_step


def test_no_candidate_is_no_file(tmp_path, monkeypatch):
    pretend(monkeypatch, tmp_path, 'print(\'{"error": "", "pages": 0, "said": []}\')')
    assert sheets.write_sheets(tmp_path / "map.qgz", tmp_path / "a.pdf") == 0
    assert not (tmp_path / "a.pdf").exists()


def test_the_sheets_enter_the_manifest_and_go_with_the_map(tmp_path, monkeypatch):
    folder = tmp_path / "a"
    publish(make_joined(rows=24, cols=32), make_run(), folder)
    script = "import sys; open(sys.argv[2], 'wb').write(b'%PDF'); print('{\"error\": \"\", "
    pretend(monkeypatch, tmp_path, script + '"pages": 5, "said": []}\')')
    publish_stage._print(folder, 3)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["files"]["inspection.pdf"]["bytes"] == 4
    publish(make_joined(rows=24, cols=32), make_run(), folder)
    assert not (folder / "inspection.pdf").exists()


@pytest.mark.parametrize("number", ["0", "-3", "many", "5000"])
def test_a_number_of_sheets_that_makes_no_sense_is_refused(number, capsys):
    with pytest.raises(SystemExit):
        main(["publish", "demo", f"--pdf={number}"])
    assert "a number of sheets, 1 to 1000" in capsys.readouterr().err


def test_the_layout_has_all_that_a_sheet_needs(tmp_path):
    publish(make_joined(rows=24, cols=32), make_run(disclosure="restricted"), tmp_path / "a")
    with zipfile.ZipFile(tmp_path / "a" / "map.qgz") as archive:
        tree = ElementTree.fromstring(archive.read("map.qgs").split(b"\n", 1)[1])
    (layout,) = tree.iter("Layout")
    names = {item.get("id") for item in layout.iter("LayoutItem")}
    assert names == {
        "page", "map", "inset", "legend", "scale", "north", "title", "edition", "heading", "place",
        "facts", "reasons", "form", "words",
    }  # fmt: skip
    atlas = layout.find("Atlas")
    assert atlas.get("coverageLayer") == "asm_atlas_candidates_layer"
    texts = {item.get("id"): item.get("labelText") for item in layout.iter("LayoutItem")}
    assert texts["edition"] == "RESTRICTED" and '"reasons_en"' in texts["reasons"]
    assert "not to be handed on" in texts["words"] and "SIMULATED" in texts["words"]
