"""A real object store on this machine: Ceph's monitor, one OSD in memory, and its S3 gateway.

Debian's ceph-mon, ceph-osd, radosgw and ceph-common (``.ci/run`` installs them), without systemd,
on loopback and ports that were free. The gateway can be killed and started again: what it stores is
the OSD's.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

PROGRAMS = ("ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "ceph", "monmaptool")
KEY, SECRET = "atlas-test-key", "atlas-test-secret"
TRIES = 3
CONFIGURATION = """
[global]
fsid = {fsid}
mon host = v1:127.0.0.1:{mon}
mon initial members = a
public network = 127.0.0.0/8
ms bind msgr2 = false
auth cluster required = none
auth service required = none
auth client required = none
osd pool default size = 1
osd pool default pg num = 4
osd crush chooseleaf type = 0
mon allow pool size one = true
mon max pg per osd = 1000
mon data avail crit = 1
keyring = {folder}/keyring
run dir = {folder}
admin socket = {folder}/$name.asok
log file = {folder}/$name.log
[mon.a]
mon data = {folder}/mon
[osd]
osd data = {folder}/osd
osd objectstore = memstore
memstore device bytes = 4294967296
[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:{gateway}
rgw data = {folder}/rgw
"""


def lacking() -> str:
    """Say why there can be no store here; empty: there can."""
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    return f"not installed: {', '.join(absent)}" if absent else ""


@dataclass
class Ceph:
    """A store that is up."""

    folder: Path
    endpoint: str
    parts: list[subprocess.Popen[bytes]] = field(default_factory=list)
    gateway: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What AWS's clients are told by."""
        return {
            "AWS_ENDPOINT_URL_S3": self.endpoint,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def start(self) -> None:
        """Start the gateway, and wait until it answers."""
        self.gateway = self._begin("radosgw", "-n", "client.rgw")
        self._wait(self._answers, "radosgw")

    def stop(self) -> None:
        """Kill the gateway."""
        if self.gateway is not None:
            self.gateway.send_signal(signal.SIGKILL)
            self.gateway.wait()

    def end(self) -> None:
        """Kill all parts."""
        self.stop()
        for part in reversed(self.parts):
            part.kill()
            part.wait()

    def make_bucket(self, name: str) -> None:
        """Make a bucket."""
        import botocore.session

        session = botocore.session.get_session()
        told = self.environment
        session.create_client(
            "s3",
            region_name="us-east-1",
            endpoint_url=self.endpoint,
            aws_access_key_id=told["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=told["AWS_SECRET_ACCESS_KEY"],
        ).create_bucket(Bucket=name)

    def _begin(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [program, "-c", str(self.folder / "ceph.conf"), "-f", *arguments],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def _told(self, *command: str) -> None:
        line = [command[0], "-c", str(self.folder / "ceph.conf"), *command[1:]]
        told = subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)
        if told.returncode:
            raise RuntimeError(f"{command[:3]} ended with {told.returncode}: {told.stderr[-1500:]}")

    def _answers(self) -> bool:
        try:
            urllib.request.urlopen(self.endpoint, timeout=2).close()
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True

    def _wait(self, ready, name: str) -> None:  # type: ignore[no-untyped-def]
        end = time.monotonic() + 90
        while not ready():
            if time.monotonic() > end:
                logs = "\n".join(log.read_text()[-1500:] for log in self.folder.glob("*.log"))
                raise RuntimeError(f"{name} did not start:\n{logs}")
            time.sleep(0.2)

    def _elected(self) -> bool:
        if self.parts[0].poll() is not None:
            raise RuntimeError(f"ceph-mon ended with {self.parts[0].returncode}")
        asked = ["ceph", "-c", str(self.folder / "ceph.conf"), "mon", "stat"]
        told = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=False)
        return told.returncode == 0 and "quorum 0 a" in told.stdout

    def _up(self) -> bool:
        # On a busy machine it may speak before it knows the cluster's name, and end.
        if self.parts[-1].poll() is not None:
            self.parts[-1] = self._begin("ceph-osd", "-i", "0")
        line = ["ceph", "-c", str(self.folder / "ceph.conf"), "osd", "stat"]
        told = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
        return "1 up" in told.stdout

    def build(self) -> None:
        """Make and start all parts."""
        monitor, gateway = _free_port(), int(self.endpoint.rpartition(":")[2])
        fsid, osd = str(uuid.uuid4()), str(uuid.uuid4())
        for name in ("mon", "osd", "rgw"):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "keyring").touch()
        (self.folder / "ceph.conf").write_text(
            CONFIGURATION.format(fsid=fsid, mon=monitor, gateway=gateway, folder=self.folder)
        )
        places = str(self.folder / "monmap")
        one = ["monmaptool", "--create", "--fsid", fsid, "--addv", "a"]
        subprocess.run([*one, f"[v1:127.0.0.1:{monitor}]", places], check=True, capture_output=True)
        self._told("ceph-mon", "--mkfs", "-i", "a", "--monmap", places)
        self.parts.append(self._begin("ceph-mon", "-i", "a"))
        self._wait(self._elected, "ceph-mon")
        self._told("ceph", "osd", "new", osd)
        self._told("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
        self.parts.append(self._begin("ceph-osd", "-i", "0"))
        self._wait(self._up, "ceph-osd")
        self._told(
            "radosgw-admin", "-n", "client.rgw", "user", "create", "--uid", "atlas",
            "--display-name", "atlas", "--access-key", KEY, "--secret", SECRET,
        )  # fmt: skip
        self.start()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def ceph(folder: Path) -> Iterator[Ceph]:
    """A store in memory, gone at the end.

    Parameters
    ----------
    folder : pathlib.Path
        For its files; made here. Its path must be short: sockets lie in it.

    Yields
    ------
    Ceph
        With the gateway up.
    """
    for left in reversed(range(TRIES)):
        # Anew from the ground: a port may have been taken since it was free.
        store = Ceph(folder / str(left), f"http://127.0.0.1:{_free_port()}")
        try:
            store.build()
        except BaseException as error:
            store.end()
            if not left or not isinstance(error, RuntimeError | subprocess.SubprocessError):
                raise
            print(f"the store did not start, once more: {error}", file=sys.stderr)
        else:
            break
    try:
        yield store
    finally:
        store.end()


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as name, ceph(Path(name) / "ceph") as here:
        here.make_bucket("atlas")
        for key, value in here.environment.items():
            print(f"export {key}={value}", flush=True)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        while os.getppid() != 1:
            time.sleep(1)
