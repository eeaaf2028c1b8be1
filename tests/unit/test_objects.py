"""A workspace on object storage, against a simulated store (``tests/fake_s3.py``)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import fake_s3
import pytest

from pipeline.errors import (
    BucketAccessError,
    ConfigError,
    NoAnswerError,
    NoBucketError,
    NoConditionsError,
)
from pipeline.runtime import s3
from pipeline.runtime.objects import Bucket, bucket
from pipeline.runtime.probe import probe


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[fake_s3.Store]:
    with fake_s3.serving() as serving:
        fake_s3.used(serving, monkeypatch)
        yield serving


def test_conditions_decide_who_writes(store: fake_s3.Store) -> None:
    one = bucket("bucket")
    assert one.get("a") is None
    tag = one.create("a", b"first")
    assert tag
    assert one.create("a", b"second") is None
    found = one.get("a")
    assert found is not None
    assert (found.data, found.etag) == (b"first", tag)
    new = one.swap("a", b"third", tag)
    assert new
    assert one.swap("a", b"fourth", tag) is None
    assert one.swap("absent", b"fourth", tag) is None
    assert store.objects["bucket/a"][0] == b"third"


def test_of_eight_writers_one_wins(store: fake_s3.Store) -> None:
    won: list[int] = []

    def write(number: int) -> None:
        if bucket("bucket").create("raced", b"%d" % number):
            won.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.objects["bucket/raced"][0] == b"%d" % won[0]
    assert len(won) == 1


def test_a_store_that_compares_tags_without_quotes_is_understood(store: fake_s3.Store) -> None:
    store.bare = True
    one = Bucket("bucket")
    tag = one.create("a", b"first") or ""
    new = one.swap("a", b"second", tag)
    assert new
    assert one.swap("a", b"third", tag) is None
    assert one.swap("a", b"fourth", new)


def test_a_write_whose_answer_was_lost_is_known_again(store: fake_s3.Store) -> None:
    lost = [1, 1]

    def trouble(method: str, name: str) -> tuple[int, str] | None:
        if method == "PUT" and name == "bucket/a" and lost:
            lost.pop()
            store.objects[name] = (b"mine", store.now())  # it was written all the same
            return 500, "InternalError"
        return None

    store.trouble = trouble
    assert bucket("bucket").create("a", b"mine")
    assert bucket("bucket").create("a", b"another's") is None


def test_listings_come_in_pages_and_many_are_read_side_by_side(store: fake_s3.Store) -> None:
    one = bucket("bucket")
    keys = [f"x/{number:02d}" for number in range(12)]
    for key in keys:
        one.put(key, key.encode())
    one.put("y", b"")
    assert [found.key for found in one.listed("x/")] == keys
    assert sum(line.startswith("GET bucket") for line in store.asked) == 3
    found = dict(one.get_many([*keys, "x/absent"]))
    assert {key: value.data for key, value in found.items()} == {k: k.encode() for k in keys}
    one.delete([*keys, "x/absent"])
    assert store.keys() == ["bucket/y"]


def test_files_go_up_and_down(store: fake_s3.Store, tmp_path: Path) -> None:
    (tmp_path / "up").write_bytes(b"0" * 100_000)
    one = bucket("bucket")
    one.upload(tmp_path / "up", "file.0123.tif", once=True)
    one.upload(tmp_path / "up", "file.0123.tif", once=True)  # its own answer was lost
    assert one.download("file.0123.tif", tmp_path / "down")
    assert (tmp_path / "down").read_bytes() == b"0" * 100_000
    assert not one.download("absent", tmp_path / "none")


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (404, "NoSuchBucket", NoBucketError),
        (403, "AccessDenied", BucketAccessError),
        (403, "SignatureDoesNotMatch", BucketAccessError),
        (503, "SlowDown", NoAnswerError),
        (418, "Teapot", NoAnswerError),
    ],
)
def test_what_goes_wrong_has_a_name(
    store: fake_s3.Store, status: int, code: str, kind: type[Exception]
) -> None:
    store.trouble = lambda method, name: (status, code)
    for ask in (
        lambda: bucket("bucket").get("a"),
        lambda: bucket("bucket").create("a", b""),
        lambda: list(bucket("bucket").listed("a")),
    ):
        with pytest.raises(kind, match=code if status != 404 else "no such bucket") as caught:
            ask()
        assert fake_s3.KEY not in str(caught.value)
        assert fake_s3.SECRET not in str(caught.value)


def test_an_endpoint_that_is_down_is_waited_for(
    store: fake_s3.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = [1] * 3
    store.trouble = lambda method, name: (
        (503, "ServiceUnavailable") if away and away.pop() else None
    )
    monkeypatch.setattr(bucket("bucket"), "patience_s", 30.0)
    assert bucket("bucket").create("a", b"1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
    s3.filesystem.cache_clear()
    gone = Bucket("bucket")
    gone.patience_s = 0.3
    with pytest.raises(NoAnswerError, match="EndpointConnectionError"):
        gone.get("a")


def test_keys_travel_encrypted_or_not_at_all(
    store: fake_s3.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://storage.example.org")
    s3.filesystem.cache_clear()
    with pytest.raises(ConfigError, match="not encrypted"):
        Bucket("bucket")
    monkeypatch.setenv(s3.PLAIN_HTTP, "true")
    s3.filesystem.cache_clear()
    assert Bucket("bucket").endpoint == "http://storage.example.org"


def test_no_keys_are_no_defect(store: fake_s3.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    s3.filesystem.cache_clear()
    with pytest.raises(BucketAccessError, match="Credentials"):
        Bucket("bucket").get("a")


def test_a_store_is_probed_for_what_it_must_refuse(store: fake_s3.Store) -> None:
    probe(Bucket("bucket"), "x/")
    assert not store.objects
    store.bare = True
    probe(Bucket("bucket"), "x/")
    store.conditions = False
    with pytest.raises(NoConditionsError, match="If-None-Match") as caught:
        probe(Bucket("bucket"), "x/")
    assert "docs/cluster.md" in caught.value.next_step
    assert not store.objects
