"""Exit codes and words for everything that a user can get wrong."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
from imagery import clear_scl, make_item, save_items, texture
from sample_chips import write_archive
from sample_visits import visits_table

from pipeline.cli.main import main
from pipeline.cli.verbs import VERBS
from pipeline.config import known_keys, load_config

ROOT = Path(__file__).parents[2]
BOX = "bbox:5.97,2.04,5.99,2.06"


@pytest.fixture(autouse=True)
def no_variables(monkeypatch, tmp_path) -> None:
    for name in os.environ:
        if name.startswith("ASM_ATLAS_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pipeline.training.model_choice.SHIPPED", tmp_path / "none")


def source(folder: Path, **keys: Any) -> Path:
    bands = keys.pop("bands", {"B04": texture(), "SCL": clear_scl()})
    save_items(folder / "source", [make_item(folder / "source", bands, **keys)])
    return folder / "source"


@pytest.mark.parametrize(
    ("region", "code", "word"),
    [
        ("atlantis", 11, "atlantis"),
        ("demoo", 11, "demo"),
        ("nowhere.geojson", 11, "nowhere"),
        ("bbox:1,1,1,1", 12, "Empty"),
        ("bbox:-80,-80,80,80", 13, "Huge"),
        ("bbox:6,2,5,3", 14, "Inverted"),
        ("bbox:5,3,6,2", 14, "Inverted"),
        ("bbox:179,0,181,1", 15, "Antimeridian"),
        ("bbox:1,2,3", 16, "bbox"),
        ("$(touch x)", 11, "Unknown"),
        ("../../etc/passwd", 11, "Unknown"),
    ],
)
def test_regions_that_cannot_be_used(region, code, word, capsys) -> None:
    assert main(["regions", region]) == code
    said = capsys.readouterr().err
    assert word in said
    assert "Traceback" not in said
    assert list(Path().iterdir()) == [], "nothing is written"


def test_regions_are_listed_and_shown(capsys) -> None:
    assert main(["regions"]) == 0
    assert "demo" in capsys.readouterr().out.split()
    assert main(["regions", "demo"]) == 0
    said = capsys.readouterr().out
    assert "12 blocks" in said
    assert "bbox:5.8,2,6.2,2.3" in said


def test_a_region_must_be_given(capsys) -> None:
    assert main(["scenes"]) == 10
    assert "REGION=demo" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [
        ["--season", "2021"],
        ["--season", "2022-02..2021-12"],
        ["--disclosure", "all"],
        ["--map-lang", "de"],
        ["--cluster", "cloud"],
        ["--min-observed", "0"],
        ["--patches", "12"],
    ],
)
def test_values_that_cannot_be_used(options) -> None:
    assert main(["predict", BOX, *options]) == 10


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--season", "2023-13..2024-02"], 10, ["has a month 13 (2023-13)", "2023-12..2024-02"]),
        (["--season", "2024-02..2023-12"], 10, ["2023-12 comes before 2024-02"]),
        (["--disclosure", "publc"], 10, ["public, restricted", "write DISCLOSURE=public"]),
        (["--map-lang", "de"], 10, ["en, fr", "write MAP_LANG="]),
        (["--config", "nofile.toml"], 10, ["nofile.toml", "check the path"]),
        (["--source", "nowhere", "--labels", "none.csv"], 20, ["next:"]),
    ],
)
def test_what_to_write_instead_is_said(options, code, words, capsys) -> None:
    assert main(["predict", BOX, "--cluster", "none", *options]) == code
    said = " ".join(capsys.readouterr().err.split())
    for word in [*words, "next:"]:
        assert word in said


def test_the_next_command_is_the_one_that_was_typed(tmp_path, capsys) -> None:
    found, work = str(source(tmp_path)), str(tmp_path / "my work")
    base = [BOX, "--workspace", work, "--source", found, "--season", "2021-12..2021-12"]
    assert main(["composite", *base, "--cluster", "none"]) == 30
    said = capsys.readouterr().err
    (step,) = [line.split("next:")[1] for line in said.splitlines() if "next:" in line]
    made = shlex.split(step)
    assert made[:3] == ["make", "scenes", f"REGION={BOX}"]
    assert {f"SOURCE={found}", "SEASON=2021-12..2021-12", f"WORKSPACE={work}"} == set(made[3:])


def test_unknown_keys_of_the_configuration(tmp_path, monkeypatch, capsys) -> None:
    (tmp_path / "c.toml").write_text('regoin = "demo"\n')
    assert main(["regions", "--config", str(tmp_path / "c.toml")]) == 10
    assert "did you mean 'region'" in capsys.readouterr().err
    monkeypatch.setenv("ASM_ATLAS_REGOIN", "demo")
    assert main(["regions"]) == 10


def test_wrong_usage_is_2() -> None:
    assert main([]) == main(["fly"]) == 2
    for arguments in (["scenes", "--no-such-option"], ["train", "--weight", "x"], ["area"]):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 2


def test_sources_that_cannot_be_used(tmp_path, capsys) -> None:
    base = ["scenes", BOX, "--workspace", str(tmp_path / "work"), "--source"]
    assert main([*base, str(tmp_path / "nowhere")]) == 20
    found = source(tmp_path)
    assert main([*base, str(found), "--season", "2019-01..2019-02"]) == 21
    assert main([*base, str(found), "--bands", "B04,B08"]) == 22
    assert main([*base, str(source(tmp_path, bands={"B04": texture()}))]) == 24
    assert main([*base, str(source(tmp_path, baseline=None))]) == 24
    assert "Traceback" not in capsys.readouterr().err


def test_a_truncated_file_ends_with_23_and_names_it(tmp_path, capsys) -> None:
    found = source(tmp_path)
    (file,) = found.glob("*/B04.tif")
    file.write_bytes(file.read_bytes()[:20_000])
    base = [BOX, "--workspace", str(tmp_path / "work"), "--source", str(found), "--cluster", "none"]
    assert main(["scenes", *base]) == 0
    assert main(["composite", *base]) == 23
    said = capsys.readouterr().err
    for part in ("ReadFailedError", "S2_31NHA", "B04.tif", "next:", "--failed-scenes mark"):
        assert part in said
    assert not list((tmp_path / "work").rglob("*.tif"))


def test_a_stage_names_the_one_before_it_that_is_missing(tmp_path, capsys) -> None:
    base = [
        BOX,
        "--workspace",
        str(tmp_path),
        "--source",
        str(source(tmp_path)),
        "--cluster",
        "none",
    ]
    assert main(["composite", *base]) == 30
    assert "make scenes" in capsys.readouterr().err
    assert main(["scenes", *base]) == 0
    assert main(["featurize", *base]) == 30
    assert "make composite" in capsys.readouterr().err
    assert main(["predict", *base]) == 50, "no model fits"
    assert "make train" in capsys.readouterr().err


def test_visits_without_a_column(tmp_path, capsys) -> None:
    visits_table({}).drop(columns="visit_onsite").to_csv(tmp_path / "v.csv", index=False)
    found = str(source(tmp_path))
    base = [BOX, "--workspace", str(tmp_path / "work"), "--source", found, "--cluster", "none"]
    assert main(["train", *base, "--labels", str(tmp_path / "v.csv")]) == 40
    assert "visit_onsite" in capsys.readouterr().err
    assert main(["train", *base]) == 41
    assert main(["train", *base, "--labels", str(tmp_path / "nowhere.csv")]) == 60
    visits_table({}).to_csv(tmp_path / "v.csv", index=False)
    assert main(["train", *base, "--labels", str(tmp_path / "v.csv")]) == 41
    assert [path.name for path in (tmp_path / "work" / "interim").iterdir()] == ["runs"]


def test_chips_models_and_scores(tmp_path, monkeypatch, capsys) -> None:
    archive = write_archive(tmp_path / "archive", 60)
    work = ["--workspace", str(tmp_path / "work")]
    chips = ["--chips", str(archive / "chips.npz"), "--out", str(tmp_path / "s.csv")]
    assert main(["score", *work, *chips, "--model", "nobody"]) == 52
    few = ["--filters", "4", "--patches", "3"]
    assert main(["train", *work, "--chips", str(archive), "--name", "mine", *few]) == 0
    assert main(["models", *work]) == 0
    assert "mine-ridge: ridge for L1C B04 B03 B02" in capsys.readouterr().out
    assert main(["score", *work, *chips, "--model", "mine-ridge"]) == 0
    assert len((tmp_path / "s.csv").read_text().splitlines()) == 61
    assert main(["score", *work, *chips, "--model", "mine-ridge", "--level", "L2A"]) == 51
    assert main(["score", *work, *chips, "--model", "mine-ridge", "--bands", "B04,B03"]) == 42
    weights = tmp_path / "work" / "models" / "mine-ridge" / "weights.npz"
    weights.write_bytes(b"x")
    assert main(["score", *work, *chips, "--model", "mine-ridge"]) == 52
    assert main(["train", *work, "--chips", str(archive), "--name", "../x", *few]) == 53
    assert main(["train", *work, "--chips", str(tmp_path)]) == 42


def test_catalogue(tmp_path) -> None:
    archive = write_archive(tmp_path / "archive", 6)
    out = ["--out", str(tmp_path / "out")]
    assert main(["catalogue", "--chips", str(archive), *out]) == 0
    assert main(["catalogue", "--chips", str(archive), *out]) == 60
    assert main(["catalogue", *out]) == 24
    bad = tmp_path / "x.tif"
    bad.write_bytes(b"x")
    said = ["--level", "L2A", "--dates", "2021-01-01", "--scale", "1e-4", "--bands", "B04"]
    assert main(["catalogue", str(bad), *said, "--out", str(tmp_path / "new")]) == 60


def test_other_verbs_ask_for_what_they_need(tmp_path) -> None:
    assert main(["join", "--detections", "x.geojson"]) == 10
    assert main(["evaluate", BOX]) == 10


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    # PATH only: what make reads from the environment is part of the test.
    return subprocess.run(
        ["make", "-n", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PATH": os.environ["PATH"]},
    )


def help_of_make(goal: str) -> str:
    # Nothing but text: the one part of make that the tests run.
    done = subprocess.run(
        ["make", goal], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout


def names_in(said: str) -> list[str]:
    """Return what lines of the help begin with."""
    return re.findall(r"^  ([A-Za-z][\w-]*)  +\S", said, re.MULTILINE)


def listed_in_makefile(name: str) -> list[str]:
    found = re.search(rf"^{name} := ((?:.*\\\n)*.*)$", (ROOT / "Makefile").read_text(), re.M)
    assert found is not None
    return found[1].replace("\\", " ").split()


def test_make_alone_lists_what_users_need_a_line_each() -> None:
    assert (ROOT / "Makefile").read_text().count(".DEFAULT_GOAL := help") == 1
    said = help_of_make("help")
    listed = names_in(said)
    assert len(set(listed)) == len(listed)
    assert not {verb for verb in VERBS if verb not in listed and verb not in said}
    for key in known_keys().values():
        assert (key.variable in listed) == (key.common or key.name == "region"), key.name
    ours = {*listed_in_makefile("OPTIONS")} - {"KILLS", "KILLS_S3"}
    assert ours <= set(listed)
    assert set(listed) - set(VERBS) - ours - {key.variable for key in known_keys().values()} == {
        "notebooks", "install",
    }  # fmt: skip


def test_make_lists_developers_verbs_apart() -> None:
    listed = names_in(help_of_make("help-dev"))
    assert sorted(listed) == sorted([*listed_in_makefile("DEVELOPERS"), "install-dev"])
    assert not set(listed) & set(names_in(help_of_make("help")))


def test_make_lists_every_variable_on_demand() -> None:
    listed = names_in(help_of_make("help-all"))
    assert {key.variable for key in known_keys().values()} <= set(listed)


def test_every_key_of_the_configuration_is_a_variable_of_make() -> None:
    names = listed_in_makefile("VARIABLES")
    assert sorted(names) == sorted(key.variable for key in known_keys().values())
    # Each comes back as the key that it is meant for.
    config = load_config(environment={"ASM_ATLAS_MAX_CLOUD": "20", "ASM_ATLAS_SLURM_JOBS": "3"})
    assert (config.imagery.max_cloud, config.slurm.jobs) == (20.0, 3)


def test_make_knows_no_other_variable() -> None:
    result = make("predict", "REGON=demo")
    assert result.returncode == 2
    assert "no variable is called REGON" in result.stderr
    assert make("predict", "-j2", "REGION=demo", "READ_TIMEOUT=5", "TLS_CA=a").returncode == 0
    for name in ("MAX_CLOUD", "SLURM_JOBS", "GB_READ"):
        assert "dollar sign" in make("plan", f"{name}=$(shell false)").stderr


@pytest.mark.parametrize(
    ("verb", "name"),
    [("explain", "CELL"), ("area", "SAMPLE"), ("monitor", "FROM"), ("tune", "CHIPS")],
)
def test_make_says_what_a_verb_cannot_do_without(tmp_path, verb, name) -> None:
    env = {"PATH": os.environ["PATH"]}
    (tmp_path / "bin").mkdir()
    (tmp_path / "installed").touch()
    told = subprocess.run(
        ["make", "-o", f"{tmp_path}/installed", verb, f"VENV={tmp_path}"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False, env=env,
    )  # fmt: skip
    assert told.returncode == 2
    assert f"make: {name} is missing, for example: make {verb} " in told.stderr
    assert "bash:" not in told.stderr and "unbound" not in told.stderr


@pytest.mark.parametrize(
    "value", ["$(shell touch {})", "$$(touch {})", "a$b", "`touch {}`;touch {}"]
)
def test_make_never_runs_what_a_variable_holds(tmp_path, value) -> None:
    mark = tmp_path / "mark"
    result = make("regions", f"REGION={value.format(mark, mark) if '{' in value else value}")
    assert not mark.exists()
    if "$" in value:
        assert result.returncode == 2
        assert "dollar sign" in result.stderr
    else:
        assert str(mark) not in result.stdout, "the value reaches no recipe"


def test_what_a_sample_is_asked_with_reaches_no_recipe(tmp_path) -> None:
    mark = tmp_path / "mark"
    for given in (
        f"SAMPLE=x;touch {mark}",
        f"SIZE=`touch {mark}`",
        f"SAMPLE=$(shell touch {mark})",
        f"TUNE=--easy x;touch {mark}",
        f"CHIPS=x;touch {mark}",
    ):
        result = make("sample", "area", "tune", given)
        assert not mark.exists()
        assert str(mark) not in result.stdout
        assert (result.returncode == 2) == ("$" in given)
    assert "make area SAMPLE=" in make("area").stdout
    assert "make tune CHIPS=" in make("tune").stdout
    assert "--core-hour" in make("plan", "CORE_HOUR=0.1").stdout


def test_samples_and_areas_end_with_codes_of_their_own(tmp_path, capsys) -> None:
    work = ["--workspace", str(tmp_path / "work")]
    assert main(["sample", BOX, *work]) == 61
    assert "DISCLOSURE=restricted" in capsys.readouterr().err
    found = ["--source", str(source(tmp_path)), "--disclosure", "restricted", "--cluster", "none"]
    assert main(["sample", BOX, *work, *found]) == 30, "nothing was predicted yet"
    assert main(["area", str(tmp_path / "nowhere.gpkg"), *work]) == 60
    (tmp_path / "x.gpkg").write_bytes(b"x")
    assert main(["area", str(tmp_path / "x.gpkg"), *work]) == 60
    assert not list(tmp_path.rglob("sample.gpkg"))


def test_folders_called_like_verbs_do_not_hide_them() -> None:
    result = make("models")
    assert result.returncode == 0
    assert "asm-atlas models" in result.stdout


def test_a_path_that_the_system_refuses_is_an_error_with_a_way_out(tmp_path, capsys) -> None:
    (tmp_path / "file").write_text("in the way")
    code = main(["demo", "--workspace", str(tmp_path / "file")])
    assert code == 62
    assert "next:" in capsys.readouterr().err
