"""A verb offers what it reads of the configuration: each is run on a small region, and watched."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import sample_run
from imagery import clear_scl, make_item, save_items, texture

from pipeline.cli.main import main
from pipeline.cli.verbs import VERBS
from pipeline.config import Config, known_keys

BOX = "bbox:5.97,2.04,5.99,2.06"
PLACES = {(type(getattr(Config(), key.group)), key.field): key for key in known_keys().values()}
# What only passes values on: checks, copies, hashes and records, whatever the verb does with them.
PASSES_ON = {"__post_init__", "value"}
OWN_FILES = ("dataclasses.py", "cluster_settings.py")
# Whatever has a workspace is asked for its folder, and limits of reading are made as a whole.
ALWAYS = {"workspace", "plain_http", "s3_profile", "mirror", "verify_mib", "connections"}


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("keys")
    bands = {name: texture(i) for i, name in enumerate(("B02", "B03", "B04"))}
    scene = make_item(folder / "source", bands | {"SCL": clear_scl()}, date="2021-12-05")
    save_items(folder / "source", [scene])
    sample_run.make_model(folder / "work")
    return {name: str(folder / path) for name, path in PATHS.items()}


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Return the names of the keys that are read from now on."""
    for name in os.environ:
        if name.startswith("ASM_ATLAS_"):
            monkeypatch.delenv(name)
    found: set[str] = set()

    def get(self: object, name: str) -> object:
        key = PLACES.get((type(self), name))
        caller = sys._getframe(1).f_code
        passed_on = caller.co_name in PASSES_ON or caller.co_filename.endswith(OWN_FILES)
        if key and not passed_on:
            found.add(key.name)
        return object.__getattribute__(self, name)

    for group in vars(Config()).values():
        monkeypatch.setattr(type(group), "__getattribute__", get, raising=False)
    return found


PATHS = {"workspace": "work", "source": "source"}
STEPS = [
    "regions", "plan", "scenes", "composite", "featurize", "predict --only", "join", "publish",
    "report", "status", "features export --only --out OUT.csv", "explain --cell 5.9825,2.0525",
    "submit --dry-run", "sample --disclosure restricted --out OUT.gpkg", "context", "models",
]  # fmt: skip


@pytest.mark.parametrize("step", STEPS)
def test_a_verb_offers_what_it_reads(
    step: str, places: dict[str, str], read: set[str], tmp_path: Path
) -> None:
    words = step.replace("OUT", str(tmp_path / "out")).split()
    name = " ".join(words[:2]) if words[0] == "features" else words[0]
    offered = {key.name for key in VERBS[name].uses()}
    given = {"model": "here-ridge", "cluster": "none"} | places
    options = [f"--{key}={value}" for key, value in given.items() if key in offered]
    place = [BOX] * ("region" in offered)
    read.clear()
    code = main([*words[: len(name.split())], *place, *words[len(name.split()) :], *options])
    assert code == 0 or name == "sample", "too few cells to sample"
    assert read - ALWAYS <= offered
