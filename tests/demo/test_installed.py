"""The wheel alone, in an environment and a folder of its own, maps the demo."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = {
    "map.gpkg", "map.qgz", "probability.tif", "coverage.tif", "report.html", "manifest.json",
    "item.json", "ro-crate-metadata.json", "inspection.gpkg", "inspection.csv",
}  # fmt: skip
OURS = re.compile(r"\b(docs|tests|notebooks|pipeline|features|models)/\w")


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """Run a command with nothing of ours in its environment, and return what it says."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("ASM_ATLAS_", "PYTHON", "VIRTUAL_ENV", "XDG_"))
    }
    done = subprocess.run(
        command,
        cwd=cwd,
        env=kept | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel into an empty environment, which borrows our dependencies."""
    work = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", work, cwd=ROOT)
    (wheel,) = work.glob("*.whl")
    run(sys.executable, "-m", "venv", "--without-pip", work / "env", cwd=work)
    (site,) = (work / "env").glob("lib/python*/site-packages")
    # What a .pth file names is searched, but the .pth files there, one of which names the checkout,
    # are not read.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    python = work / "env" / "bin" / "python"
    install = ["pip", "--python", python, "install", "--no-deps", "--no-index", wheel]
    run(sys.executable, "-m", *install, cwd=work)
    said = run(python, "-c", "import pipeline; print(pipeline.__file__)", cwd=work)
    assert Path(said.strip()) == site / "pipeline" / "__init__.py"
    return work / "env" / "bin" / "asm-atlas"


def files_of(folder: Path) -> Iterator[tuple[str, int]]:
    """Name the files of a folder and when they changed, those that Python compiles left out."""
    for path in folder.rglob("*"):
        if path.is_file() and path.parent.name != "__pycache__":
            yield str(path.relative_to(folder)), path.stat().st_mtime_ns


def test_the_wheel_maps_the_demo_in_an_empty_folder(command: Path, tmp_path: Path) -> None:
    places = {name: tmp_path / name for name in ("work", "home", "temporary")}
    for place in places.values():
        place.mkdir()
    watched = [command.parents[1], *(ROOT / name for name in ("data", "models", "pipeline"))]
    before = [set(files_of(folder)) for folder in watched]
    said = run(
        command,
        "predict",
        "--region",
        "demo",
        cwd=places["work"],
        HOME=str(places["home"]),
        TMPDIR=str(places["temporary"]),
    )
    assert [set(files_of(folder)) for folder in watched] == before
    assert [path.name for path in places["work"].iterdir()] == ["data"]
    # Libraries keep their own settings and caches in the user's folders, Dask a folder of locks.
    left = {path.name for path in places["temporary"].iterdir()}
    assert left <= {"dask-scratch-space"}
    kept = {path.relative_to(places["home"]).parts[:2] for path in places["home"].rglob("*")}
    assert {parts for parts in kept if len(parts) > 1} <= {
        (".config", "dask"),
        (".cache", "matplotlib"),
        (".config", "matplotlib"),
        (".cache", "fontconfig"),
    }
    data = places["work"] / "data"
    assert {path.name for path in data.iterdir()} == {"raw", "interim", "processed", "models"}
    latest = data / "processed" / "demo" / "latest"
    assert {path.name for path in latest.iterdir()} >= FILES
    assert "demo" in said and str(ROOT) not in said
    assert OURS.findall(said) == []
    for path in data.glob("processed/demo/*/*"):
        assert str(ROOT).encode() not in path.read_bytes(), path
