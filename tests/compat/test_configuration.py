"""A configuration file that 24f73d1 took is taken, and means the same."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from pipeline.cli.submit import settings_text
from pipeline.config import Config, load_config, settings_hash
from pipeline.runtime.atomic import read_json

FILES = Path(__file__).parent / "files"
# As 24f73d1 gave them.
HASHES = {
    "defaults": "71516db00201b32c",
    "flat.toml": "40852418640dc6ee",
    "submitted.toml": "16cd9b9f2a592ecb",
}


def test_every_flat_key_is_taken() -> None:
    given = tomllib.loads((FILES / "flat.toml").read_text(encoding="utf-8"))
    config, usual = load_config(FILES / "flat.toml", {}).flat(), Config().flat()
    assert len(given) == 51
    for key, value in given.items():
        assert config[key] == value, key
        # A key that is dropped in silence would pass with its default.
        assert usual[key] != value, key


@pytest.mark.parametrize("name", ["flat.toml", "submitted.toml"])
def test_it_means_the_same_results(name: str) -> None:
    assert settings_hash(load_config(FILES / name, {})) == HASHES[name]
    assert settings_hash(Config()) == HASHES["defaults"]


def test_a_submitted_job_keeps_its_settings(tmp_path: Path) -> None:
    config = load_config(FILES / "submitted.toml", {})
    assert config.slurm.directives == "--qos=low --exclusive"
    again = tmp_path / "again.toml"
    again.write_text(settings_text(config), encoding="utf-8")
    assert load_config(again, {}) == config


def test_a_run_can_be_repeated_from_its_manifest(workspace: Path) -> None:
    manifest = read_json(workspace / "processed" / "demo" / "1c64cc4ca798" / "manifest.json")
    settings = manifest["configuration"]
    flat = {key: value for key, value in settings.items() if not isinstance(value, dict)}
    assert settings_hash(load_config(None, {}, flat)) == manifest["configuration_hash"]
