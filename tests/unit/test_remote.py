"""Remote files: checked ranges, tries, tokens, and that no failure becomes pixels."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from imagery import WEST, clear_scl, make_item, scene_of, texture
from range_server import RangeServer, range_server

from pipeline.errors import MissingBandError, ReadFailedError, SourceError, UnsafeLinkError
from pipeline.imagery import hrefs, providers, remote
from pipeline.imagery.hrefs import Signed, signed
from pipeline.imagery.items import Scene
from pipeline.imagery.pixels import ScenePixels, read_scene
from pipeline.imagery.providers import Provider
from pipeline.imagery.remote import PAGE, Cursor, RemoteFile
from pipeline.imagery.retry import Limits


@pytest.fixture
def server() -> Iterator[RangeServer]:
    with range_server() as started:
        yield started


def limits(server: RangeServer, **changes: Any) -> Limits:
    quick = Limits(hosts=(server.origin,), tries=3, timeout=1.0, backoff=0.01, seconds=20)
    return replace(quick, **changes)


def file_of(server: RangeServer, size: int = 5 * PAGE + 77, **changes: Any) -> RemoteFile:
    content = np.random.default_rng(1).bytes(size)
    server.files["f"] = content
    found = RemoteFile(f"{server.address}/f", "", limits(server, **changes))
    return found


def test_pages_are_fetched_once_and_neighbours_together(server) -> None:
    file = file_of(server)
    content = server.files["f"]
    file.prefetch([(10, 20), (PAGE + 5, 2 * PAGE + 5)])
    assert server.asked == [("/f", 0, 3 * PAGE)]
    assert file.read(PAGE - 3, PAGE) == content[PAGE - 3 : 2 * PAGE - 3]
    assert file.read(5 * PAGE, 500) == content[5 * PAGE :]
    assert len(server.asked) == 2
    assert file.read(len(content), 4) == b""
    assert file.whole() == content
    assert file.failure is None


def test_a_cursor_reads_and_seeks_like_a_file(server) -> None:
    file = file_of(server, 3000)
    content = server.files["f"]
    cursor = Cursor(file)
    assert cursor.read(10) == content[:10]
    assert cursor.seek(-20, 2) == 2980
    assert cursor.read() == content[-20:]
    assert cursor.tell() == 3000
    assert cursor.seek(5) == 5 and cursor.seek(2, 1) == 7
    assert cursor.read(1) == content[7:8]


@pytest.mark.parametrize(
    ("status", "cause"),
    [(429, "throttled"), (500, "server error"), (503, "unavailable"), (403, "forbidden")],
)
def test_a_status_that_clears_is_waited_for_and_one_that_stays_is_named(
    server, status, cause
) -> None:
    left = [2]

    def refuse(handler: Any) -> bool:
        left[0] -= 1
        if left[0] >= 0:
            handler.answer(status, b"no")
        return left[0] >= 0

    server.instead = refuse
    file = file_of(server)
    assert file.read(0, 5) == server.files["f"][:5]
    left[0] = 99
    other = file_of(server)
    assert other.read(0, 5) == b""
    assert other.failure is not None and other.failure.cause == f"{cause} ({status})"


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (lambda h: h.answer(206, b"x" * 10, **{"Content-Range": "bytes 5-14/99"}), "wrong range"),
        (lambda h: h.answer(206, b"x" * 10), "wrong range"),
        (
            lambda h: h.answer(206, b"x" * 9, 10, **{"Content-Range": "bytes 0-9/10"}),
            "cut short",
        ),
        (lambda h: h.answer(206, b"x" * 9, **{"Content-Range": "bytes 0-9/10"}), "cut short"),
        (lambda h: h.answer(206, b"x" * 11, **{"Content-Range": "bytes 0-9/10"}), "wrong range"),
        (lambda h: h.connection.close(), "connection lost"),
        (lambda h: time.sleep(1.5), "timed out"),
        (lambda h: h.answer(416, b""), "answer 416"),
    ],
)
def test_what_is_not_the_range_that_was_asked_for_is_refused(server, answer, cause) -> None:
    def instead(handler: Any) -> bool:
        answer(handler)
        handler.close_connection = True
        return True

    server.instead = instead
    file = file_of(server, tries=2)
    assert file.read(0, 5) == b""
    assert file.failure is not None and file.failure.cause == cause
    # 416 will not change.
    assert len(server.asked) == (1 if "416" in cause else 2)


def test_a_server_that_drips_does_not_outlive_the_deadline(server) -> None:
    def drip(handler: Any) -> bool:
        handler.send_response(206)
        handler.send_header("Content-Range", "bytes 0-69999/70000")
        handler.send_header("Content-Length", "70000")
        handler.end_headers()
        for _ in range(40):
            handler.wfile.write(b"x")
            handler.wfile.flush()
            time.sleep(0.1)
        return True

    server.instead = drip
    file = file_of(server, seconds=0.6, tries=2)
    started = time.monotonic()
    file.read(0, 5)
    assert time.monotonic() - started < 3
    assert file.failure is not None and file.failure.cause == "timed out"


def test_a_file_that_changes_meanwhile_is_noticed(server) -> None:
    file = file_of(server)
    file.read(0, 5)
    server.files["f"] += b"more"
    assert file.read(4 * PAGE, 5) == b""
    assert file.failure is not None and file.failure.cause == remote.CHANGED


def test_a_server_without_ranges_is_read_whole(server) -> None:
    def whole(handler: Any) -> bool:
        handler.answer(200, server.files["f"])
        return True

    file = file_of(server)
    server.instead = whole
    assert file.read(3 * PAGE, 9) == server.files["f"][3 * PAGE : 3 * PAGE + 9]
    assert len(server.asked) == 1


def test_a_redirect_is_followed_to_allowed_hosts_only(server) -> None:
    def send_on(handler: Any) -> bool:
        if handler.path == "/f":
            handler.answer(302, b"", Location="/g")
        return bool(handler.path == "/f")

    file = file_of(server)
    server.files["g"] = server.files["f"]
    server.instead = send_on
    assert file.read(0, 5) == server.files["f"][:5]

    def away(handler: Any) -> bool:
        handler.answer(302, b"", Location="http://127.0.0.2:1/secret")
        return True

    server.instead = away
    other = file_of(server)
    assert other.read(0, 5) == b""
    assert isinstance(other.failure, UnsafeLinkError)


def test_a_redirect_to_no_address_is_a_failure_by_name(server) -> None:
    file = file_of(server)
    server.instead = lambda handler: handler.answer(302, b"", Location="http://[x") or True
    assert file.read(0, 5) == b""
    assert str(file.failure) == "a redirect to no address"
    assert len(server.asked) == 3


def scene_on(server: RangeServer, root: Path, **extra: Any) -> Scene:
    """A scene whose files lie on the server."""
    item = make_item(root, {"B04": texture(), "SCL": clear_scl()})
    scene = scene_of(item, root)
    bands = {}
    for name, band in scene.bands.items():
        server.files[f"{name}.tif"] = Path(band.href).read_bytes()
        bands[name] = replace(band, href=f"{server.address}/{name}.tif", version=str(time.time()))
        if extra.get("checksum"):
            digest = hashlib.sha256(server.files[f"{name}.tif"]).hexdigest()
            bands[name] = replace(bands[name], checksum=f"1220{digest}")
    return replace(scene, bands=bands)


def pixels(scene: Scene, limits: Limits) -> ScenePixels:
    read = read_scene(scene, ("B04",), WEST, limits)
    assert read is not None
    return read


def test_pixels_over_the_network_are_those_of_the_file(server, tmp_path) -> None:
    local = scene_of(make_item(tmp_path, {"B04": texture(), "SCL": clear_scl()}), tmp_path)
    far = pixels(scene_on(server, tmp_path), limits(server))
    near = pixels(local, limits(server))
    assert np.array_equal(far.values, near.values)
    assert np.array_equal(far.status, near.status)


def test_a_tile_that_does_not_decode_is_fetched_anew_and_then_named(server, tmp_path) -> None:
    scene = scene_on(server, tmp_path)
    whole = server.files["B04.tif"]
    good = pixels(scene, limits(server))
    middle = len(whole) // 2
    damaged = whole[:middle] + bytes(4000) + whole[middle + 4000 :]
    server.files["B04.tif"] = damaged
    scene = replace(scene, bands={name: replace(b, version="2") for name, b in scene.bands.items()})
    with pytest.raises(ReadFailedError, match="does not decode"):
        pixels(scene, limits(server))
    asked = sum(path == "/B04.tif" for path, _, _ in server.asked)

    def mended(handler: Any) -> bool:
        # The third try finds the file whole.
        if sum(path == "/B04.tif" for path, _, _ in server.asked) > asked + 2:
            server.files["B04.tif"] = whole
        return False

    server.instead = mended
    assert np.array_equal(pixels(scene, limits(server)).values, good.values)


def test_a_flipped_bit_is_caught_where_the_catalogue_has_a_checksum(server, tmp_path) -> None:
    scene = scene_on(server, tmp_path, checksum=True)
    assert pixels(scene, limits(server)).values.any()
    content = bytearray(server.files["B04.tif"])
    content[-20] ^= 4
    server.files["B04.tif"] = bytes(content)
    changed = replace(
        scene, bands={name: replace(b, version="2") for name, b in scene.bands.items()}
    )
    with pytest.raises(ReadFailedError, match="checksum"):
        pixels(changed, limits(server))
    # Too large to be read whole for a window: read as it is.
    large = limits(server, verify_bytes=100)
    again = replace(scene, bands={name: replace(b, version="3") for name, b in scene.bands.items()})
    pixels(again, large)


def test_a_local_file_is_checked_too(tmp_path) -> None:
    item = make_item(tmp_path, {"B04": texture(), "SCL": clear_scl()})
    file = tmp_path / item.id / "B04.tif"
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    item.assets["B04"].extra_fields["file:checksum"] = f"1220{digest}"
    scene = scene_of(item, tmp_path)
    assert read_scene(scene, ("B04",), WEST) is not None
    content = bytearray(file.read_bytes())
    content[-20] ^= 4
    file.write_bytes(bytes(content))
    with pytest.raises(ReadFailedError, match="checksum"):
        read_scene(scene, ("B04",), WEST)


def test_a_band_that_a_remote_file_lacks_is_not_tried_again(server, tmp_path) -> None:
    scene = scene_on(server, tmp_path)
    bands = {name: replace(band, index=2) for name, band in scene.bands.items()}
    with pytest.raises(MissingBandError):
        pixels(replace(scene, bands=bands), limits(server))
    assert sum(path == "/B04.tif" for path, _, _ in server.asked) == 1


def test_what_is_no_raster_is_never_given_to_other_drivers(server, tmp_path) -> None:
    scene = scene_on(server, tmp_path)
    server.files["B04.tif"] = b"<VRTDataset rasterXSize='1' rasterYSize='1'></VRTDataset>"
    with pytest.raises(ReadFailedError, match="neither a GeoTIFF"):
        pixels(scene, limits(server, tries=1))


def test_a_token_is_fetched_once_and_anew_after_a_refusal(server, monkeypatch) -> None:
    given = []

    def token_or_file(handler: Any) -> bool:
        if handler.path.startswith("/token/"):
            given.append(handler.path)
            text = f'{{"token": "sig={len(given)}", "msft:expiry": "2099-01-01T00:00:00Z"}}'
            handler.answer(200, text.encode())
            return True
        if handler.path != "/f?sig=2":
            handler.answer(403, b"expired")
            return True
        return False

    host = server.address.removeprefix("http://")
    row = Provider(name="here", hosts=(host,), token_service=f"{server.address}/token")
    monkeypatch.setattr(providers, "PROVIDERS", (row,))
    monkeypatch.setattr(hrefs, "_tokens", {})
    server.instead = token_or_file
    content = b"x" * 100
    server.files["f"] = content
    file = RemoteFile(f"{server.address}/f", "here", limits(server))
    assert file.read(0, 100) == content
    assert len(given) == 2
    assert signed(f"{server.address}/f", row).address.endswith("sig=2")
    assert len(given) == 2


def test_no_token_is_a_named_error(server, monkeypatch) -> None:
    host = server.address.removeprefix("http://")
    row = Provider(name="here", hosts=(host,), token_service=f"{server.address}/token")
    monkeypatch.setattr(hrefs, "_tokens", {})
    with pytest.raises(SourceError, match="no token"):
        signed(f"{server.address}/f", row)


def test_s3_links_are_presigned_with_the_usual_credentials(monkeypatch) -> None:
    monkeypatch.setattr(hrefs, "_clients", {})
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "KEY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    row = Provider(name="x", requester_pays=("paid",), s3_region="eu-central-1")
    plain = signed("s3://bucket/a/b.tif", row)
    assert plain.address.startswith("http://127.0.0.1:9/bucket/a/b.tif?")
    assert "X-Amz-Signature=" in plain.address and "very-secret" not in plain.address
    assert plain.origins == ("http://127.0.0.1:9",)
    assert plain.headers == {}
    paid = signed("s3://paid/a/b.tif", row)
    assert paid.headers == {"x-amz-request-payer": "requester"}
    assert "x-amz-request-payer" in paid.address


def test_s3_without_credentials_is_a_named_error(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(hrefs, "_clients", {})
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(SourceError, match="cannot be signed"):
        signed("s3://bucket/a/b.tif", Provider(name="y"))


def test_an_address_without_a_signature_stays_as_it_is() -> None:
    assert signed("https://data.example/x.tif", Provider()) == Signed("https://data.example/x.tif")
