"""A region on a real Slurm of this machine: its workers are jobs, and one of them is cancelled."""

from __future__ import annotations

import json
import operator
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sample_run
from ceph_here import SECRET, Ceph
from places import Remote
from slurm_here import lacking, slurm

from pipeline.errors import ClusterError
from pipeline.map.files.content_hash import content_hashes, whole_hash
from pipeline.runtime import jobs
from pipeline.runtime.cluster import workers
from pipeline.runtime.cluster_settings import Slurm, Tls

pytestmark = pytest.mark.skipif(bool(lacking()), reason=lacking())
pytest.importorskip("dask_jobqueue", reason="dask-jobqueue is not installed")
JOBS = ("--cluster", "slurm", "--slurm-jobs", "2", "--slurm-memory", "1GiB",
        "--slurm-walltime", "00:20:00")  # fmt: skip


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with slurm(tmp_path_factory.mktemp("slurm") / "here") as found:
        yield sample_run.plain_environment(SLURM_CONF=found["SLURM_CONF"])


def published(workspace: Path) -> Path:
    return workspace / "processed" / sample_run.NAME / "latest"


def queued(environment: dict[str, str]) -> list[str]:
    told = subprocess.run(
        ["squeue", "-h", "-o", "%A %t"], env=environment, capture_output=True, text=True, check=True
    )
    return told.stdout.splitlines()


def blocks_done(workspace: Path) -> int:
    return len(list(workspace.glob("interim/composite/*/*.json")))


def end_with_a_job_less(
    process: subprocess.Popen[str], environment: dict[str, str], done: Callable[[], int]
) -> str:
    """Cancel one of a run's jobs when two blocks are done; return what the run said to its end."""
    end = time.monotonic() + 120
    while done() < 2 and process.poll() is None and time.monotonic() < end:
        time.sleep(0.05)
    running = [line.split()[0] for line in queued(environment) if line.endswith(" R")]
    assert running, "no job was at work"
    subprocess.run(["scancel", running[0]], env=environment, check=True)
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    return said


def test_a_cancelled_job_changes_nothing_in_the_map(
    world: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    workspace = tmp_path / "work"
    shutil.copytree(world / "empty", workspace)
    process = subprocess.Popen(
        sample_run.command(workspace, world / "source", *JOBS),
        cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    said = end_with_a_job_less(process, environment, lambda: blocks_done(workspace))
    assert whole_hash(content_hashes(published(workspace))) == whole_hash(
        content_hashes(published(world / "still"))
    )
    assert f"composite  {sample_run.BLOCKS} blocks" in said
    # The jobs end with the run.
    end = time.monotonic() + 60
    while queued(environment) and time.monotonic() < end:
        time.sleep(0.2)
    assert not queued(environment)


def test_jobs_map_a_region_into_a_bucket(
    world: Path, store: Ceph, environment: dict[str, str], tmp_path: Path
) -> None:
    place = Remote("s3://atlas/jobs", tmp_path / "mirrors", world / "empty")
    with_keys = environment | store.environment
    process = subprocess.Popen(
        sample_run.command(world, world / "source", *place.options, *JOBS),
        cwd=tmp_path, env=with_keys, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    said = end_with_a_job_less(process, environment, lambda: len(place.stored()))
    assert place.content() == content_hashes(published(world / "still"))
    assert place.broken() == []
    # The keys go to the jobs by the environment: the screen, the mirror and the jobs' own files,
    # whose folder is the one that the run was started in, have none.
    written = [file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()]
    assert written and not any(SECRET.encode() in data for data in [said.encode(), *written])


def test_jobs_on_a_network_speak_encrypted(
    tls: Tls, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SLURM_CONF", environment["SLURM_CONF"])
    monkeypatch.chdir(tmp_path)
    network = Slurm(interface="lo", jobs=1, memory="1GiB", walltime="00:10:00")
    with workers("slurm", slurm=network, tls=tls) as pool:
        assert sorted(pool.map(operator.neg, range(9))) == [(i, -i) for i in range(9)]
        assert pool._client is not None
        assert pool._client.scheduler.address.startswith("tls://127.0.0.1:")


def test_jobs_whose_workers_never_come_end_the_run(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SLURM_CONF", environment["SLURM_CONF"])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(jobs, "ASK_EVERY_S", 1.0)
    monkeypatch.setattr(jobs.sys, "executable", "/bin/false")
    refused = pytest.raises(ClusterError, match="jobs ended before a worker of theirs came")
    few = Slurm(jobs=2, memory="1GiB", walltime="00:10:00")
    with workers("slurm", slurm=few) as pool, refused:
        list(pool.map(operator.neg, range(9)))


def test_a_submitted_job_maps_the_region(
    world: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    workspace = tmp_path / "work"
    shutil.copytree(world / "empty", workspace)
    line = sample_run.command(
        workspace, world / "source", "--cluster", "local", "--slurm-memory", "4GiB",
        "--slurm-driver-walltime", "00:20:00", "--workers", "1", verb="submit",
    )  # fmt: skip
    told = subprocess.run(
        line, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stderr
    assert "submit     job " in told.stdout
    end = time.monotonic() + 240
    book = workspace / "interim" / "runs" / f"{sample_run.NAME}.jsonl"
    while time.monotonic() < end:
        lines = book.read_text().splitlines() if book.exists() else []
        if lines and json.loads(lines[-1])["event"] == "end":
            break
        time.sleep(0.5)
    logs = [path.read_text() for path in workspace.glob("interim/submit/logs/*.log")]
    assert lines, logs
    assert json.loads(lines[-1])["status"] == "done", logs
    assert content_hashes(published(workspace)) == content_hashes(published(world / "still"))
    assert "summary    predict" in logs[0].splitlines()[-1]
