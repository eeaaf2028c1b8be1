"""The wheel alone, in an environment and a folder of its own, maps the demo as 24f73d1 did."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline.workflow.ledger import key_of

ROOT = Path(__file__).parents[2]
RECORDED = ROOT / "tests" / "compat" / "files" / "demo-keys.json"
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
            yield str(path), path.stat().st_mtime_ns


@dataclass(frozen=True)
class Demo:
    """What came of one command in an empty folder.

    Parameters
    ----------
    said : str
        What it printed.
    work, home, temporary : pathlib.Path
        The folder, and what it had for the user's own and for temporary files.
    changed : list of str
        Files of the installation and of the checkout that are not as they were.
    """

    said: str
    work: Path
    home: Path
    temporary: Path
    changed: list[str]


@pytest.fixture(scope="module")
def demo(command: Path, tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """Map the demo."""
    work, home, temporary = (tmp_path_factory.mktemp(name) for name in ("work", "home", "tmp"))
    watched = [command.parents[1], *(ROOT / name for name in ("data", "models", "pipeline"))]
    before = {file for folder in watched for file in files_of(folder)}
    asked = [command, "predict", "--region", "demo"]
    said = run(*asked, cwd=work, HOME=str(home), TMPDIR=str(temporary))
    after = {file for folder in watched for file in files_of(folder)}
    return Demo(said, work, home, temporary, sorted(name for name, _ in before ^ after))


def test_the_wheel_maps_the_demo_in_an_empty_folder(demo: Demo) -> None:
    assert [path.name for path in demo.work.iterdir()] == ["data"]
    data = demo.work / "data"
    assert {path.name for path in data.iterdir()} == {"raw", "interim", "processed", "models"}
    latest = data / "processed" / "demo" / "latest"
    assert {path.name for path in latest.iterdir()} >= FILES
    assert "summary    predict demo: done" in demo.said


def test_it_writes_nowhere_else(demo: Demo) -> None:
    assert demo.changed == []
    # Libraries keep their own settings and caches in the user's folders, Dask a folder of locks.
    assert {path.name for path in demo.temporary.iterdir()} <= {"dask-scratch-space"}
    kept = {path.relative_to(demo.home).parts[:2] for path in demo.home.glob("*/*")}
    names = ("dask", "matplotlib", "fontconfig")
    assert kept <= {(folder, name) for folder in (".cache", ".config") for name in names}


def test_it_cites_no_path_of_the_repository(demo: Demo) -> None:
    assert str(ROOT) not in demo.said
    assert OURS.findall(demo.said) == []
    for path in demo.work.glob("data/processed/demo/*/*"):
        assert str(ROOT).encode() not in path.read_bytes(), path


def test_the_keys_of_costly_stages_are_those_of_24f73d1(demo: Demo) -> None:
    """What that commit stored of the demo would be found: the keys are the same.

    On a processor with other vector instructions some contents differ in the last digit, and with
    them the hashes that the next stage's key is made from: they are exchanged for the recorded ones
    first.
    """
    interim = demo.work / "data" / "interim"
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))
    lists = {path.parent.name: {"key": path.stem} for path in interim.glob("scenes/*/*.json")}
    assert lists == recorded["scenes"]
    names: dict[str, str] = {}
    for stage in ("composite", "banks", "features", "dataset", "predictions"):
        found = {}
        for path in interim.glob(f"{stage}/*/*.json"):
            entry = json.loads(path.read_text(encoding="utf-8"))
            before = recorded[stage][path.parent.name]
            if "model" in before:
                names[entry["inputs"]["model"]] = before["model"]
            inputs = json.dumps(entry["inputs"])
            for now, then in names.items():
                inputs = inputs.replace(now, then)
            found[path.parent.name] = key_of(json.loads(inputs))
            names[entry["sha256"]] = before["sha256"]
            if "hash" in before:
                names[entry["facts"]["hash"]] = before["hash"]
        assert found == {unit: before["key"] for unit, before in recorded[stage].items()}, stage
    for stage, columns in recorded["columns"].items():
        first = next(interim.glob(f"{stage}/*/*.parquet"))
        assert {field.name: str(field.type) for field in pq.read_schema(first)} == columns
