from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.cli.main import main
from pipeline.cli.submit import batch_script, settings_text, submit_region
from pipeline.config import Config, load_config
from pipeline.errors import ClusterError, DependencyError
from pipeline.geo.regions import resolve_region
from pipeline.runtime.cluster_settings import Slurm

SLURM = Slurm("long", "mining", cores=8, memory="24GiB", directives="--qos=low --exclusive")


def script(config: Config) -> list[str]:
    text = batch_script(config, resolve_region("demo"), "predict", Path("/w/submit/demo.toml"))
    assert subprocess.run(["bash", "-n"], input=text, text=True, check=False).returncode == 0
    return text.splitlines()


def test_a_job_that_works_alone_has_all_cores() -> None:
    lines = script(Config(slurm=SLURM).with_keys(region="demo"))
    assert lines[0] == "#!/bin/bash"
    for option in (
        "--partition=long", "--account=mining", "--cpus-per-task=8", "--mem=24576M",
        "--time=1-00:00:00", "--qos=low", "--exclusive", "--requeue",
    ):  # fmt: skip
        assert f"#SBATCH {option}" in lines
    assert lines[-1].startswith(f"exec {sys.executable} -m pipeline.cli predict --config ")


def test_a_driver_of_other_jobs_is_small() -> None:
    lines = script(Config(slurm=SLURM).with_keys(region="demo", cluster="slurm"))
    assert "#SBATCH --cpus-per-task=1" in lines
    assert "#SBATCH --mem=8192M" in lines
    assert not [line for line in script(Config().with_keys(region="demo")) if "partition" in line]


def test_the_job_finds_the_configuration_that_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'visits "of" \\ é.csv').touch()
    config = Config(slurm=SLURM).with_keys(
        region="demo", workspace="work", labels='visits "of" \\ é.csv', seed=7, min_observed=0.5,
        source="https://host.org/stac", cluster="slurm",
    )  # fmt: skip
    file = tmp_path / "a.toml"
    file.write_text(settings_text(config))
    again = load_config(file, {})
    assert again.workspace.path == str(tmp_path / "work")
    assert again.labels.file == str(tmp_path / config.labels.file)
    for key in ("region", "seed", "min_observed", "source", "cluster", "slurm", "tls"):
        assert again.flat()[key] == config.flat()[key]


def test_a_dry_run_prints_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["submit", "demo", "--dry-run", "--slurm-partition", "night"]) == 0
    assert "#SBATCH --partition=night" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def sbatch(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir()
    command = folder / "sbatch"
    command.write_text(f"#!/bin/sh\n{text}\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_the_job_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sbatch(tmp_path / "bin", 'test -f "$4" && echo "4711;here"', monkeypatch)
    config = Config().with_keys(region="demo", workspace=str(tmp_path / "work"))
    assert submit_region(config, resolve_region("demo"), "predict", dry_run=False) == "4711"
    written = tmp_path / "work" / "interim" / "submit"
    assert sorted(path.name for path in written.iterdir()) == ["demo.sh", "demo.toml", "logs"]
    assert (written / "demo.toml").stat().st_mode & 0o077 == 0


def test_refusals_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, region = (
        Config().with_keys(region="demo", workspace=str(tmp_path)),
        resolve_region("demo"),
    )
    sbatch(tmp_path / "bin", "echo 'Invalid account' >&2; exit 1", monkeypatch)
    with pytest.raises(ClusterError, match="Invalid account"):
        submit_region(config, region, "predict", dry_run=False)
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    with pytest.raises(DependencyError, match="no sbatch"):
        submit_region(config, region, "predict", dry_run=False)


def test_a_workspace_in_a_bucket_stays_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "a.toml"
    file.write_text(settings_text(Config().with_keys(workspace="s3://bucket/x", mirror="here")))
    again = load_config(file, {})
    assert (again.workspace.path, again.workspace.mirror) == (
        "s3://bucket/x",
        str(tmp_path / "here"),
    )
