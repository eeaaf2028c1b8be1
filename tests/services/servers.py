"""Real servers as processes on free ports of this machine, each ended with its ``with`` block.

What is missing on a machine is said by ``missing``; nothing here is imported from the servers: they
have an environment of their own (``make services``).
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = Path(__file__).parents[2] / ".venv-services" / "bin"
POSTGRES = Path("/usr/lib/postgresql/15/bin")
POSTGIS = Path("/usr/share/postgresql/15/extension/postgis.control")
# A cold start of PostgreSQL or of Python on a busy machine.
START_SECONDS = 60
STOP_SECONDS = 10


def missing(*names: str) -> str:
    """Return what is to be installed before these servers can start, empty if all are here.

    Parameters
    ----------
    *names : str
        ``nginx``, ``postgres``, or a program of the servers' own environment.

    Returns
    -------
    str
        A reason to skip a test.
    """
    lacking = []
    for name in names:
        if name == "nginx":
            if _nginx() is None:
                lacking.append("nginx (Debian: nginx-light)")
        elif name == "postgres":
            if not ((POSTGRES / "initdb").is_file() and POSTGIS.is_file()):
                lacking.append("PostGIS (Debian: postgresql-15 postgresql-15-postgis-3)")
        elif not (PROGRAMS / name).is_file():
            lacking.append(f"{name} (make services)")
    return f"not installed: {', '.join(lacking)}" if lacking else ""


def free_port() -> int:
    """Return a port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(
    command: Sequence[str | Path],
    log: Path,
    ready: Callable[[], bool],
    environment: dict[str, str] | None = None,
    user: str | None = None,
    ending: signal.Signals = signal.SIGTERM,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the end of the ``with`` block.

    Parameters
    ----------
    command : sequence of str or Path
        The program and its arguments; it must stay in the foreground.
    log : pathlib.Path
        Where it writes what it says.
    ready : callable
        Whether it answers.
    environment : dict of str to str, optional
        Variables beside this process's own.
    user : str, optional
        Whom it runs as.
    ending : signal.Signals
        What tells it to stop.

    Yields
    ------
    subprocess.Popen
        The process, which a test may end early.
    """
    with log.open("ab") as said:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            env=os.environ | (environment or {}),
            cwd=log.parent,
            user=user,
        )
    try:
        until = time.monotonic() + START_SECONDS
        while not ready():
            if process.poll() is not None or time.monotonic() > until:
                tail = log.read_text(errors="replace")[-2000:]
                raise RuntimeError(f"{command[0]} did not start:\n{tail}")
            time.sleep(0.05)
        yield process
    finally:
        stop(process, ending)


def stop(process: subprocess.Popen[bytes], ending: signal.Signals = signal.SIGTERM) -> None:
    """End a server, by force where it does not go."""
    process.send_signal(ending)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def rustac(folder: Path, *files: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Give the address of rustac, which holds the files' collections and items in memory."""
    port = free_port()
    address = f"127.0.0.1:{port}"
    command = [PROGRAMS / "rustac", "serve", "-a", address, *files]
    with running(command, folder / "rustac.log", lambda: _listens(port)) as process:
        yield f"http://{address}/", process


@contextmanager
def nginx(
    folder: Path, files: Path, port: int = 0
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Give the host of nginx, which serves files; it logs what it was asked for (``asked_of``)."""
    port, home = port or free_port(), folder / "nginx"
    home.mkdir(exist_ok=True)
    bodies = "".join(
        f"{kind}_temp_path {home}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (home / "nginx.conf").write_text(
        f"""daemon off;
        {"user root;" if os.geteuid() == 0 else ""}
        pid {home}/pid;
        worker_processes 1;
        events {{ worker_connections 64; }}
        http {{
            log_format short '$status $body_bytes_sent "$http_range" $request_uri';
            access_log {home}/access.log short;
            {bodies}
            server {{ listen 127.0.0.1:{port}; root {files}; }}
        }}"""
    )
    command = [_nginx() or "nginx", "-c", home / "nginx.conf", "-p", home, "-e", home / "error.log"]
    with running(command, home / "said.log", lambda: _listens(port)) as process:
        yield f"127.0.0.1:{port}", process


def asked_of(folder: Path) -> list[str]:
    """Return a line for every request that nginx answered: status, bytes, range, path."""
    return (folder / "nginx" / "access.log").read_text().splitlines()


@contextmanager
def s3(folder: Path, buckets: Path, key: str, secret: str) -> Iterator[str]:
    """Give the address of hadro, whose buckets are the folders in ``buckets``.

    It checks the whole of signature version 4, of presigned addresses too: the key's name, the
    secret, the host, the path, every parameter, and the time for which it holds.
    """
    port = free_port()
    command = [PROGRAMS / "hadro", buckets, "--host", "127.0.0.1", "--port", str(port)]
    keys = {"HADRO_ACCESS_KEY": key, "HADRO_SECRET_KEY": secret}
    with running(command, folder / "hadro.log", lambda: _listens(port), keys):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def postgres(password: str) -> Iterator[tuple[dict[str, str], subprocess.Popen[bytes]]]:
    """Give the variables (``PGHOST`` ...) of a PostgreSQL that keeps nothing, and its process."""
    # It refuses to run as root, and its user cannot look into root's folders.
    user = "postgres" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="postgres-") as name:
        home = Path(name)
        (home / "password").write_text(password)
        if user:
            owner = pwd.getpwnam(user)
            for path in (home, home / "password"):
                os.chown(path, owner.pw_uid, owner.pw_gid)
        data, port = home / "data", free_port()
        made = [POSTGRES / "initdb", "-D", data, "-U", "atlas", "-A", "scram-sha-256"]
        made += ["--pwfile", home / "password", "-E", "UTF8", "--locale", "C", "--no-sync"]
        subprocess.run(made, check=True, capture_output=True, user=user, cwd=home)
        command = [POSTGRES / "postgres", "-D", data, "-h", "127.0.0.1", "-p", str(port)]
        command += ["-k", "", "-c", "fsync=off"]
        given = {"PGHOST": "127.0.0.1", "PGPORT": str(port), "PGDATABASE": "postgres"}
        given |= {"PGUSER": "atlas", "PGPASSWORD": password}

        def ready() -> bool:
            asked = [POSTGRES / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
            return subprocess.run(asked).returncode == 0

        # Told to terminate it waits for those who are connected; this it takes as an order.
        with running(
            command, home / "postgres.log", ready, user=user, ending=signal.SIGINT
        ) as process:
            yield given, process


def fill(database: dict[str, str], collections: Path, items: Path) -> None:
    """Make a database one of pgstac, and load collections and items (one JSON object a line)."""
    program = PROGRAMS / "pypgstac"
    for command in (
        [program, "migrate"],
        [program, "load", "collections", collections, "--method", "insert"],
        [program, "load", "items", items, "--method", "insert"],
        # Answers say how many items there are, which pgstac does not by itself.
        [POSTGRES / "psql", "-q", "-c", "ALTER ROLE CURRENT_USER SET pgstac.context TO 'on'"],
    ):
        done = subprocess.run(
            [str(part) for part in command],
            env=os.environ | database,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(f"{command}:\n{done.stderr[-2000:]}")


@contextmanager
def pgstac(folder: Path, database: dict[str, str]) -> Iterator[str]:
    """Give the address of stac-fastapi-pgstac over a database."""
    port = free_port()
    command = [PROGRAMS / "uvicorn", "--factory", "stac_fastapi.pgstac.app:create_app"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    with running(command, folder / "pgstac.log", lambda: _listens(port), database):
        yield f"http://127.0.0.1:{port}/"


def _nginx() -> str | None:
    # Debian puts it where only root's path leads.
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
