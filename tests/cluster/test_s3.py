"""A workspace in a bucket of a real object store of this machine (Ceph, ``ceph_here.py``)."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

import pytest
import sample_run
from ceph_here import KEY, SECRET, Ceph, lacking
from places import Remote

from pipeline.errors import BucketAccessError, NoAnswerError, NoBucketError, RunLockedError
from pipeline.map.files.content_hash import content_hashes
from pipeline.runtime.locks import only_run
from pipeline.runtime.objects import Bucket, bucket

pytestmark = pytest.mark.skipif(bool(lacking()), reason=lacking())


def predict(place: Remote, world: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return sample_run.run(world, world / "source", *place.options, *more)


@pytest.mark.parametrize("condition", ["IfNoneMatch", "IfMatch"])
def test_of_eight_writers_one_wins(store: Ceph, condition: str) -> None:
    for turn in range(20):
        key, won = f"race/{condition}/{turn}", []
        tag = bucket("atlas").create(key, b"before") if condition == "IfMatch" else None
        ready = threading.Barrier(8)

        def write(number: int, key=key, tag=tag, won=won, ready=ready) -> None:  # type: ignore[no-untyped-def]
            data = f"{number}".encode()
            ready.wait()
            one = bucket("atlas")
            if one.swap(key, data, tag) if tag else one.create(key, data):
                won.append(data)

        threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found = bucket("atlas").get(key)
        assert found is not None
        assert won == [found.data]


def test_a_bucket_gives_the_map_of_a_folder_and_another_machine_redoes_nothing(
    store: Ceph, world: Path, tmp_path: Path
) -> None:
    place = Remote("s3://atlas/map", tmp_path / "mirrors", world / "empty")
    done = predict(place, world, "--cluster", "local", "--workers", "2")
    assert done.returncode == 0, done.stderr
    assert f"composite  {sample_run.BLOCKS} blocks: {sample_run.BLOCKS} made" in done.stdout
    still = content_hashes(world / "still" / "processed" / sample_run.NAME / "latest")
    assert place.content() == still
    assert (place.broken(), place.orphans()) == ([], 0)
    made = place.stored()
    for turn in ("the same machine", "another machine"):
        again = predict(place, world, "--cluster", "none", "--detailed-exit-code")
        assert again.returncode == 3, turn + again.stderr
        assert f"0 blocks made, {2 * sample_run.BLOCKS} reused, 0 failed" in again.stdout
        assert place.stored() == made
        place.moved()
    status = sample_run.command(world, world / "source", *place.options, verb="status")
    told = subprocess.run(
        status, env=sample_run.plain_environment(), capture_output=True, text=True, check=True
    )
    assert "nothing to do" in told.stdout
    # Nothing that opens the bucket is anywhere in it, on the machine, or on the screen.
    texts = [done.stdout, done.stderr, told.stdout]
    objects = [bucket("atlas").get(one.key) for one in bucket("atlas").listed("map/")]
    files = [file.read_bytes() for file in (tmp_path / "mirrors").rglob("*") if file.is_file()]
    held = [one.data for one in objects if one is not None] + files
    for secret in (SECRET, KEY):
        assert not any(secret in text for text in texts)
        assert not any(secret.encode() in data for data in held)


def test_two_machines_do_not_map_one_region_at_once(
    store: Ceph, world: Path, tmp_path: Path
) -> None:
    place = Remote("s3://atlas/two", tmp_path / "mirrors", world / "empty")
    lock = place.root / "interim" / "runs" / f"{sample_run.NAME}.lock"
    with only_run(lock, "predict elsewhere"):
        place.moved()
        done = predict(place, world, "--cluster", "none")
    assert done.returncode == RunLockedError.exit_code
    assert "RunLockedError: another run is at work here: predict elsewhere" in done.stderr
    assert done.stdout == ""


def test_what_goes_wrong_has_a_name(
    store: Ceph, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def status(url: str) -> subprocess.CompletedProcess[str]:
        options = ["--workspace", url, "--mirror", str(tmp_path)]
        line = sample_run.command(world, world / "source", *options, verb="status")
        return subprocess.run(
            line, env=sample_run.plain_environment(), capture_output=True, text=True, check=False
        )

    done = status("s3://there-is-none/x")
    assert done.returncode == NoBucketError.exit_code
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted-secret")
    done = status("s3://atlas/x")
    assert done.returncode == BucketAccessError.exit_code
    assert "planted-secret" not in done.stderr
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
    done = status("s3://atlas/x")
    assert done.returncode == NoAnswerError.exit_code


def test_a_gateway_that_is_started_anew_ends_nothing(store: Ceph) -> None:
    one = Bucket("atlas")
    one.put("kept", b"1")
    store.stop()
    again = threading.Timer(2, store.start)
    again.start()
    found = one.get("kept")
    again.join()  # or it would wait for a store that is gone when the tests end
    assert found is not None
    assert found.data == b"1"
