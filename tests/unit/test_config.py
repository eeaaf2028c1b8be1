from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import Config, fingerprint, known_keys, load_config, settings_hash
from pipeline.errors import ConfigError
from pipeline.geo.seasons import season_months


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    file = tmp_path / "asm.toml"
    file.write_text('region = "from-file"\nseed = 3\nmin_observed = 0.5\nmap_lang = "fr"\n')
    return file


def test_nothing_said_gives_the_defaults() -> None:
    assert load_config(environment={}) == Config()


def test_the_later_source_wins(toml: Path) -> None:
    environment = {"ASM_ATLAS_REGION": "from-environment", "ASM_ATLAS_SEED": "4"}
    options = {"region": "from-options", "model": None}
    config = load_config(toml, environment, options)
    assert config.run.region == "from-options"
    assert config.run.seed == 4
    assert config.model.min_observed == 0.5
    assert config.map.language == "fr"
    assert config.model.name == "auto"


def test_only_variables_of_this_program_count(toml: Path) -> None:
    environment = {"REGION": "x", "HOME": "/", "ASM_ATLAS_REGION": "", "ASM_ATLAS_TEST_DATA": "y"}
    assert load_config(toml, environment).run.region == "from-file"


def test_the_processes_own_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASM_ATLAS_WORKERS", "7")
    assert load_config().cluster.workers == 7


@pytest.mark.parametrize(
    ("environment", "options"),
    [({"ASM_ATLAS_REGOIN": "x"}, {}), ({}, {"regoin": "x"})],
)
def test_an_unknown_key_names_its_neighbour(
    environment: dict[str, str], options: dict[str, str]
) -> None:
    with pytest.raises(ConfigError, match="unknown configuration key 'regoin'") as caught:
        load_config(None, environment, options)
    assert caught.value.next_step == "did you mean 'region'?"


def test_an_unknown_key_in_the_file_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "asm.toml"
    file.write_text("[zzz]\nregion = 1\n")
    with pytest.raises(ConfigError, match="'zzz'") as caught:
        load_config(file, {})
    assert "known: region, season" in caught.value.next_step


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("seed", "one", "a whole number"),
        ("seed", 1.5, "a whole number"),
        ("seed", 2.0, "a whole number"),
        ("seed", True, "a whole number"),
        ("seed", [1], "a whole number"),
        ("seed", -1, "at least 0"),
        ("workers", -1, "at least 0"),
        ("max_blocks", 0, "at least 1"),
        ("filters", 0, "at least 1"),
        ("visit_years", -1, "at least 0"),
        ("min_observed", "half", "a number"),
        ("min_observed", 0, "above 0"),
        ("min_observed", "nan", "above 0"),
        ("min_observed", 1.01, "above 0"),
        ("min_observed", 10**400, "a number"),
        ("region", 5, "text"),
        ("region", False, "text"),
        ("region", {"a": 1}, "text"),
        ("disclosure", "secret", "public, restricted"),
        ("map_lang", "de", "en, fr"),
        ("recipe", "rolf", "atlas, atlas-quarters, paper"),
        ("patches", "3;5", "1 to 9"),
        ("patches", "", "1 to 9"),
        ("patches", "10", "1 to 9"),
        ("season", "2024", "YYYY-MM"),
    ],
)
def test_values_of_the_wrong_kind_or_range_are_refused(key: str, value: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        load_config(environment={}, options={key: value})
    assert key in caught.value.what


def test_text_from_the_environment_becomes_numbers() -> None:
    environment = {"ASM_ATLAS_SEED": "12", "ASM_ATLAS_MIN_OBSERVED": "0.75"}
    config = load_config(environment=environment)
    assert (config.run.seed, config.model.min_observed) == (12, 0.75)
    # A whole number is a number.
    assert load_config(environment={}, options={"min_observed": 1}).model.min_observed == 1.0


@pytest.mark.parametrize("content", [b"region = ", b"\xff\xfe", b'region = "a"\nregion = "b"'])
def test_a_file_that_is_no_toml_is_named(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "asm.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match="cannot be read") as caught:
        load_config(file, {})
    assert caught.value.where == str(file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    for file in (tmp_path / "none.toml", tmp_path, "a\0b"):
        with pytest.raises(ConfigError, match="cannot be read"):
            load_config(file, {})


@pytest.mark.parametrize(
    ("season", "first", "after"),
    [
        ("2021-12..2022-02", "2021-12-01", "2022-03-01"),
        ("2024-06..2024-06", "2024-06-01", "2024-07-01"),
        ("2023-01..2023-12", "2023-01-01", "2024-01-01"),
    ],
)
def test_a_season_ends_before_the_month_after_it(season: str, first: str, after: str) -> None:
    assert season_months(season) == (first, after)


@pytest.mark.parametrize(
    "season",
    [
        "", "2021-12", "2021-12..", "2021-13..2022-01", "2021-00..2021-02", "2022-02..2021-12",
        "2021-12-01..2022-02-01", "2021-12..2022-02\n", "21-12..22-02", "0000-01..2022-02",
        "２０２１-１２..２０２２-０２", "2021-12...2022-02",
    ],
)  # fmt: skip
def test_other_seasons_are_refused(season: str) -> None:
    with pytest.raises(ConfigError, match="season"):
        season_months(season)


def test_a_configuration_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().run.seed = 2  # type: ignore[misc]


def test_folders_follow_the_workspace() -> None:
    config = Config().with_keys(workspace="/somewhere", patches="3,5,7")
    assert config.workspace.raw == Path("/somewhere/raw")
    assert config.workspace.interim == Path("/somewhere/interim")
    assert config.workspace.processed == Path("/somewhere/processed")
    assert config.features.patch_sizes == (3, 5, 7)


def test_every_key_is_documented() -> None:
    assert all(key.text for key in known_keys().values())


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, "71516db00201b32c"),
        ({"seed": 2, "map_lang": "fr", "read_tries": 2}, "8d1630db5202a4b9"),
        (
            {"region": "ituri", "season": "2024-12..2025-02", "labels": "visits.csv",
             "labels_mapping": "car", "label_column": "none", "context": 3, "max_cloud": 20.0,
             "feature_type": "float16", "blend": "medoid", "prior": 0.01},
            "92f771df14bc9504",
        ),
    ],
)  # fmt: skip
def test_the_hash_of_settings_is_that_of_flat_ones(keys: dict[str, Any], expected: str) -> None:
    # As commit 24f73d1 gave them, before there were groups.
    assert settings_hash(Config().with_keys(**keys)) == expected


def test_tables_and_flat_keys_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "flat.toml").write_text('read_tries = 3\nlabels = "a.csv"\ncluster = "none"\n')
    (tmp_path / "tables.toml").write_text(
        '[reading]\ntries = 3\n[labels]\nfile = "a.csv"\n[cluster]\nkind = "none"\n'
    )
    (tmp_path / "mixed.toml").write_text(
        'read_tries = 3\ncluster = "none"\n[labels]\nfile = "a.csv"\n'
    )
    flat, tables, mixed = (
        load_config(tmp_path / f"{name}.toml", {}) for name in ("flat", "tables", "mixed")
    )
    assert flat == tables == mixed != Config()
    assert flat.flat()["read_tries"] == 3


@pytest.mark.parametrize(
    ("text", "words", "step"),
    [
        ("read_tries = 3\n[reading]\ntries = 3", "read_tries: given twice", "not in both"),
        ("[reading]\ntires = 3", "'reading.tires'", "'reading.tries'"),
        ("[reading]\nread_tries = 3", "'reading.read_tries'", "'reading.tries'"),
        ("[reeding]\ntries = 3", "'reeding'", "did you mean"),
        ("[zzz]", "'zzz'", "known: region"),
        ("[reading]\ntries = 0", "read_tries must be at least 1", ""),
        ("reading = 3", "'reading'", ""),
        ("[region]\nname = 'demo'", "region must be text", ""),
    ],
)
def test_what_a_file_gets_wrong_is_named(text: str, words: str, step: str, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(ConfigError, match=words) as caught:
        load_config(tmp_path / "a.toml", {})
    assert step in caught.value.next_step


def test_other_values_are_checked_too() -> None:
    config = Config().with_keys(seed=4, read_tries=2)
    assert config.with_keys(seed=5).reading.tries == 2
    with pytest.raises(ConfigError, match="unknown configuration key 'sead'"):
        config.with_keys(sead=5)
    with pytest.raises(ConfigError, match="seed must be at least 0"):
        config.with_keys(seed=-5)


def test_a_fingerprint_is_stable_over_time() -> None:
    # Written down: it names stored files, so that a change would redo everyone's work.
    assert fingerprint({"b": 1, "a": [1.5, None, "é"]}) == "4fa79d67d7df922b"
    with pytest.raises(ValueError, match="JSON"):
        fingerprint(float("nan"))


def test_a_workspace_is_a_folder_or_a_bucket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Config().with_keys(workspace="work").workspace.home == Path("work")
    bucket = Config().with_keys(workspace="s3://my-bucket/a/b", mirror=str(tmp_path)).workspace
    assert bucket.interim == tmp_path / "s3+my-bucket+a+b" / "interim"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found = Config().with_keys(workspace="s3://my-bucket").workspace.processed
    assert found == tmp_path / "cache" / "asm-atlas" / "s3+my-bucket" / "processed"
    # What one machine has of a bucket is no workspace of its own.
    with pytest.raises(ConfigError, match="one machine's copy"):
        Config().with_keys(workspace=str(bucket.home))
    with pytest.raises(ConfigError, match="s3://bucket/prefix") as caught:
        Config().with_keys(workspace="s3://AKIA:secret@my-bucket/a")
    assert "secret" not in str(caught.value)
