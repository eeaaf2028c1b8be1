"""The page of verbs and keys says what the code says."""

from __future__ import annotations

from pathlib import Path

from pipeline.cli.reference import reference
from pipeline.config import known_keys

PAGE = Path(__file__).parents[2] / "docs" / "reference.md"


def test_the_page_is_made_from_the_code() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference(), "python -m pipeline.cli.reference"


def test_every_key_and_verb_is_on_it() -> None:
    text = reference()
    assert all(f"| `{key}` |" in text for key in known_keys())
    for verb in ("predict", "features export", "explain", "plan", "monitor", "submit", "area"):
        assert f"### `asm-atlas {verb}`" in text
    assert "- `--cell CELL`" in text and "- `SAMPLE`: the labelled GeoPackage" in text
