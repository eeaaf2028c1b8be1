"""One workspace for each seed: what a test has made of the landscape, the next goes on from."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from pipeline.config import Config
from pipeline.demo import make_demo
from pipeline.geo.regions import resolve_region
from pipeline.runtime.cluster import workers
from pipeline.workflow.context import Context


@pytest.fixture(scope="session")
def landscape(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[int], Context]]:
    """Give the surroundings of a seed's demo, both years, with the truth out of reach.

    The truth lies in the workspace's folder ``truth`` before anything is mapped.
    """
    made: dict[int, Context] = {}
    with workers("local", 2) as pool:

        def of(seed: int) -> Context:
            if seed not in made:
                work = tmp_path_factory.mktemp(f"seed-{seed}")
                folder = work / "raw" / "demo" / f"seed-{seed}"
                make_demo(folder, seed, second=True)
                (work / "truth").mkdir()
                for name in ("truth.gpkg", "changes.gpkg"):
                    (folder / name).rename(work / "truth" / name)
                config = Config().with_keys(region="demo", workspace=str(work), seed=seed)
                made[seed] = Context(config, resolve_region("demo", 100), pool)
            return made[seed]

        yield of
