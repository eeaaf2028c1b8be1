"""The join as the run stores it: named after layers, mapping and rules; taken up when they stay."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from imagery import make_context
from sample_visits import write_visits
from test_join import THRESHOLDS, predictions_of

from pipeline import join as join_stage
from pipeline.cli.main import main
from pipeline.errors import VisitsError
from pipeline.sites import scorecard
from pipeline.workflow import ledger


@pytest.fixture
def made(tmp_path: Path) -> Any:
    """Join a region of the invented visits, with whatever configuration differs."""
    visits = write_visits(
        tmp_path / "v.csv",
        {"pcode": "a", "longitude": 28.1025, "latitude": -2.1025, "interference": "1"},
        {"pcode": "a", "longitude": 28.1025, "latitude": -2.1025, "visit_date": "2015-01-01"},
        {"pcode": "b", "longitude": 28.15, "latitude": -2.15},
    )

    def join(**changes: Any) -> Any:
        context = make_context(
            tmp_path,
            **{"labels": str(visits), "region": "bbox:28.0,-2.2,28.2,-2.0", **changes},
        )
        path = tmp_path / "predictions.parquet"
        predictions_of(context.region, at_28102_2102=0.9).to_parquet(path)
        entry = ledger.Entry("x", str(path), "0" * 64)
        return join_stage.join_predictions(
            context, entry, SimpleNamespace(manifest=SimpleNamespace(thresholds=THRESHOLDS))
        )

    return join


def drop_layer(folder: Path, east: float = 28.2) -> None:
    folder.mkdir(exist_ok=True)
    corners = [[28.1, -2.11], [east, -2.11], [east, -2.1], [28.1, -2.1], [28.1, -2.11]]
    feature = {
        "type": "Feature",
        "properties": {"name": "Pit", "irma_level": "IRMA 50"},
        "geometry": {"type": "Polygon", "coordinates": [corners]},
    }
    (folder / "industrial_mines.geojson").write_text(json.dumps(feature))


def test_it_is_taken_up_and_holds_all_parts(made: Any, capsys: pytest.CaptureFixture[str]) -> None:
    first, identity = made()
    assert "reused" not in capsys.readouterr().out
    again, same = made()
    assert "reused" in capsys.readouterr().out and same == identity
    assert len(again.sites) == 2 and len(again.visits) == 3
    pd.testing.assert_frame_equal(again.answers, first.answers)
    assert again.sites.set_index("pcode").loc["a", "score_security"] == "very_low"
    assert set(again.cells["class"]) == {"likely", "unlikely"}


def test_another_layer_mapping_or_rule_is_another_join(
    made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    identities = [made()[1]]
    drop_layer(tmp_path / "layers")
    joined, identity = made(layers=str(tmp_path / "layers"))
    identities.append(identity)
    assert "industrial" in set(joined.cells["class"])
    assert set(joined.candidates["kind"]) == {"random"}
    assert joined.sites.set_index("pcode").loc["a", "matched"]
    drop_layer(tmp_path / "layers", 28.19)
    identities.append(made(layers=str(tmp_path / "layers"))[1])
    monkeypatch.setattr(join_stage, "rules_fingerprint", lambda: "another")
    identities.append(made()[1])
    monkeypatch.undo()
    with pytest.raises(VisitsError, match="lacks columns that the mapping names"):
        made(labels_mapping="tanzania")
    keys = {ledger.key_of(one) for one in identities}
    assert len(keys) == len(identities) == 4
    assert scorecard.rules_fingerprint() == identities[0]["rules"]


def test_a_far_layer_changes_nothing(made: Any, tmp_path: Path) -> None:
    before = made()[1]
    folder = tmp_path / "layers"
    folder.mkdir()
    text = '{"type": "Feature", "properties": {"project": "far"}, "geometry": {"type": "Polygon",'
    text += ' "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}}'
    (folder / "project_areas.geojson").write_text(text)
    joined, identity = made(layers=str(folder))
    assert identity == before and not joined.known_layers


def test_the_verb_writes_forms_and_lists_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "forms"
    assert main(["context", "--templates", str(folder)]) == 0
    assert (folder / "industrial_mines.gpkg").is_file()
    assert main(["context", "--layers", str(folder)]) == 0
    assert "industrial_mines" in capsys.readouterr().out
    (folder / "wrong.toml").write_text('name = "wrong"\nhow = "near"\n')
    assert main(["context", "--layers", str(folder)]) == 47
    (folder / "wrong.toml").unlink()
    (folder / "incidents.gpkg").write_bytes(b"GP")
    assert main(["context", "--layers", str(folder)]) == 60
    assert "incidents.gpkg" in capsys.readouterr().err
