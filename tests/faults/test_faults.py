"""The fault suite itself: the server does what the plan says, and the judge sees what is wrong."""

from __future__ import annotations

import http.client
import json
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from faults import EVER, KINDS, OF_ANSWERS, Fault
from judge import Outcome, Tally, different_values, outcome
from plan import FLIPS, TRIES, Case, cases
from rasterio.transform import from_origin
from server import Server, flip, serving

CONTENT = random.Random(1).randbytes(20_000)
BLOCKS = [f"N02.{row}E005.{col}" for row in range(4) for col in range(4, 10)]


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as it:
        it.files = {"a/B04.tif": CONTENT}
        it.lacking = {"a/B04.tif": b"without"}
        yield it


def ask(server: Server, fault: Fault | None, first: int = 4_000, last: int = 7_999) -> Any:
    """Status, header Content-Range and body of one request."""
    case = f"case-{len(server.items)}"
    server.plan(case, [], [fault] if fault else [])
    asking = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=0.3)
    asking.request("GET", f"/{case}/a/B04.tif", headers={"Range": f"bytes={first}-{last}"})
    try:
        answer = asking.getresponse()
        return answer.status, answer.headers.get("Content-Range"), answer.read()
    finally:
        asking.close()


def of(kind: str, form: int = 0, **keys: Any) -> Fault:
    return Fault(kind, "block", "a/B04.tif", variant=form, **keys)


def test_without_a_fault_the_bytes_come_as_asked(server) -> None:
    assert ask(server, None) == (206, "bytes 4000-7999/20000", CONTENT[4_000:8_000])
    assert ask(server, None, 19_000, 30_000) == (206, "bytes 19000-19999/20000", CONTENT[19_000:])


@pytest.mark.parametrize(
    ("kind", "status"), [("429", 429), ("500", 500), ("503", 503), ("403 expired", 403)]
)
@pytest.mark.parametrize("form", range(6))
def test_statuses(server, kind, status, form) -> None:
    assert ask(server, of(kind, form))[0] == status


def test_a_dropped_connection(server) -> None:
    with pytest.raises(http.client.RemoteDisconnected):
        ask(server, of("connection drop", 0))
    with pytest.raises(ConnectionResetError):
        ask(server, of("connection drop", 1))


def test_a_cut_body(server) -> None:
    with pytest.raises(http.client.IncompleteRead) as caught:
        ask(server, of("cut body", 0))
    assert caught.value.partial == CONTENT[4_000:6_000]
    assert ask(server, of("cut body", 1)) == (206, "bytes 4000-7999/20000", CONTENT[4_000:6_000])


def test_a_wrong_range(server) -> None:
    elsewhere = CONTENT[4_512:8_512]
    assert ask(server, of("wrong range", 0)) == (206, "bytes 4512-8511/20000", elsewhere)
    assert ask(server, of("wrong range", 1)) == (206, None, elsewhere)
    assert ask(server, of("wrong range", 2)) == (206, "bytes 0-3999/20000", CONTENT[:4_000])
    assert ask(server, of("wrong range", 3), 0, 19_999)[1:] == (
        "bytes 512-19999/20000",
        CONTENT[512:],
    )


def test_bytes_that_do_not_decode(server) -> None:
    status, about, body = ask(server, of("does not decode", 0))
    assert (status, about, len(body)) == (206, "bytes 4000-7999/20000", 4_000)
    assert np.mean(np.frombuffer(body, "u1") == np.frombuffer(CONTENT[4_000:8_000], "u1")) < 0.02
    assert ask(server, of("does not decode", 1))[2] == bytes(4_000)


@pytest.mark.parametrize("form", [0, 1])
def test_a_hang(server, form) -> None:
    with pytest.raises(TimeoutError):
        ask(server, of("hang", form))


def test_a_missing_band_is_another_file(server) -> None:
    assert ask(server, of("missing band"), 0, 100)[2] == b"without"


def test_a_flipped_bit_is_one_bit_of_the_file_in_whatever_part_is_asked_for(server) -> None:
    fault = of("flipped bit", 8 * 5_000 + 3)
    body = ask(server, fault)[2]
    assert body[1_000] == CONTENT[5_000] ^ 8
    assert body == flip(CONTENT, 8 * 5_000 + 3)[4_000:8_000]
    assert sum(one != two for one, two in zip(body, CONTENT[4_000:8_000], strict=True)) == 1


@pytest.mark.parametrize("part", ["header", "pixels", "any"])
def test_a_fault_hits_its_part_of_the_file_and_clears(server, part) -> None:
    fault = of("500", part=part, times=2)
    server.plan("case", [], [fault])
    hit = [
        server.next_fault("case/a/B04.tif", begins_at_0) is fault
        for begins_at_0 in (True, False) * 3
    ]
    expected = {"header": [1, 0, 1, 0, 0, 0], "pixels": [0, 1, 0, 1, 0, 0]}
    assert hit == [bool(one) for one in expected.get(part, [1, 1, 0, 0, 0, 0])]
    assert fault.given == 2


ASK = "import sys, urllib.request; sys.stdin.read(1); urllib.request.urlopen(sys.argv[1]).read()"


@pytest.mark.parametrize("named", [True, False])
def test_only_a_process_that_may_be_killed_is_killed(server, named) -> None:
    fault = of("worker killed")
    address = server.plan("case", [], [fault])
    with subprocess.Popen(
        [sys.executable, "-c", ASK, f"{address}a/B04.tif"],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as client:
        server.killable = lambda: {client.pid} if named else set()
        client.communicate(b"\n", timeout=20)
    assert client.returncode == (-signal.SIGKILL if named else 1)
    assert fault.given == named


def test_the_plan_has_what_it_promises() -> None:
    sizes = {
        f"SIM_{block}_{date}/{file}.tif": 100_000
        for block in BLOCKS
        for date in ("20211205", "20220203")
        for file in ("B04", "stack", "SCL")
    }
    planned = cases(BLOCKS, sizes, 5)
    assert [case.faults for case in cases(BLOCKS, sizes, 5)] == [case.faults for case in planned]
    assert len({case.name for case in planned}) == len(planned)
    every = [fault for case in planned for fault in case.faults if fault.kind in KINDS]
    kinds = Counter(fault.kind for fault in every)
    assert set(kinds) == set(KINDS)
    assert min(kinds.values()) >= 60
    assert len(every) >= 1_000
    flips = [case for case in planned if case.faults[0].kind not in KINDS]
    assert sum(len(case.faults) for case in flips if case.checksums) == FLIPS
    for case in planned:
        blocks = {fault.block for fault in case.faults}
        assert len(blocks) <= len(BLOCKS) - 2, "healthy neighbours"
        for path in {fault.path for fault in case.faults}:
            times = [fault.times for fault in case.faults if fault.path == path]
            # Within the budget, or never.
            assert sum(times) < TRIES or times == [EVER]
    assert {fault.kind for fault in every if fault.clears} == {*OF_ANSWERS, "worker killed"}


def write(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {
        "driver": "GTiff",
        "dtype": "int16",
        "count": len(pixels),
        "height": pixels.shape[1],
        "width": pixels.shape[2],
        "crs": "EPSG:4326",
        "transform": from_origin(5.4, 2.3, 0.1, 0.1),
    }
    with rasterio.open(path, "w", **profile) as file:
        file.write(pixels)
        file.descriptions = ("B04", "clear")
    return path


def test_the_judge_sees_a_single_value_that_differs(tmp_path) -> None:
    pixels = np.arange(2 * 8 * 9, dtype=np.int16).reshape(2, 8, 9)
    one = write(tmp_path / "one.tif", pixels)
    assert different_values(one, write(tmp_path / "two.tif", pixels)) == 0
    pixels[1, 3, 4] += 1
    assert different_values(one, write(tmp_path / "two.tif", pixels)) == 1
    assert different_values(one, write(tmp_path / "two.tif", pixels[:, :5])) == 2 * 5 * 9


def test_a_block_is_made_or_failed_or_lost(tmp_path) -> None:
    pixels = np.ones((2, 8, 9), np.int16)
    undisturbed = write(tmp_path / "undisturbed.tif", pixels)
    assert outcome(tmp_path, "block", undisturbed).status == "lost"
    entry = tmp_path / "block" / "key.json"
    entry.parent.mkdir()
    entry.write_text(json.dumps({"status": "done"}))
    assert outcome(tmp_path, "block", undisturbed).status == "lost"
    write(entry.with_suffix(".tif"), pixels + 1)
    assert outcome(tmp_path, "block", undisturbed) == Outcome("made", wrong=2 * 8 * 9)
    entry.write_text(json.dumps({"status": "failed", "cause": "ReadFailedError", "text": "x"}))
    assert outcome(tmp_path, "block", undisturbed).status == "lost", "failed, and yet a picture"
    entry.with_suffix(".tif").unlink()
    assert outcome(tmp_path, "block", undisturbed).cause == "ReadFailedError"


FAILED = Outcome("failed", cause="ReadFailedError", text="server error (500)")


@pytest.mark.parametrize(
    ("faults", "result", "well"),
    [
        ([], Outcome("made"), True),
        ([], Outcome("made", wrong=1), False),
        ([], FAILED, False),
        ([of("500", times=1, given=1)], Outcome("made"), True),
        ([of("500", times=1, given=1)], FAILED, False),
        ([of("500", given=5)], FAILED, True),
        ([of("500", given=5)], Outcome("lost"), False),
        ([of("503", given=5)], FAILED, False),
        ([of("500")], FAILED, False),
        ([of("missing band", given=1)], Outcome("failed", cause="MissingBandError"), True),
        ([of("500", given=5)], Outcome("made", wrong=3), False),
    ],
)
def test_what_is_well_and_what_is_not(faults, result, well) -> None:
    tally = Tally()
    tally.count(Case("case", faults), "block", faults, result)
    assert (not tally.complaints) == well
    assert tally.total.injected == sum(fault.given > 0 for fault in faults)
    assert tally.wrong_pixels == result.wrong
