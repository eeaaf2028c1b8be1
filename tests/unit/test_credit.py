"""Whom a map credits: always the imagery, and the owner of the sites that it shows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from sample_map import make_joined, make_run

from pipeline.map.column_rules import policy_of
from pipeline.map.credit import IPIS, credit
from pipeline.map.disclosure import disclose

MAPPING = 'published = "https://example.org/survey"\n{}\n[columns]\npcode = "id"\n'


def told(lang: str = "en", mapping: str = "") -> str:
    joined, run = make_joined(), make_run(simulated=False)
    run = replace(run, config=run.config.with_keys(labels_mapping=mapping))
    return credit(disclose(joined, run, policy_of(joined)), run, lang)


def test_sites_in_the_form_of_ipis_are_credited_to_ipis() -> None:
    assert told() == f"Contains modified Copernicus Sentinel data. Mining sites: {IPIS}."
    assert "Sites miniers : IPIS" in told("fr")


@pytest.mark.parametrize(
    ("line", "owner"), [('credit = "CAMI, CC BY"', "CAMI, CC BY"), ("", "not stated")]
)
def test_a_mapped_table_is_credited_to_whom_its_mapping_names(
    line: str, owner: str, tmp_path: Path
) -> None:
    (tmp_path / "m.toml").write_text(MAPPING.format(line))
    found = told(mapping=str(tmp_path / "m.toml"))
    assert owner in found and "IPIS" not in found and "Copernicus" in found


def test_a_map_that_shows_no_site_credits_the_imagery_alone(tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text('credit = "CAMI"\n[columns]\npcode = "id"\n')
    # Of a table that nobody has published.
    assert told(mapping=str(tmp_path / "m.toml")) == "Contains modified Copernicus Sentinel data."
