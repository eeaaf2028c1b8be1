"""The code in the README works as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import dask.array as da

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def test_the_example_of_the_features_works() -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```", README, re.M | re.S)
    names: dict[str, Any] = {}
    exec(compile(code, "README.md", "exec"), names)  # noqa: S102
    assert names["model"].score(names["images"], names["label"]) == 1
    assert isinstance(names["cells"].features.data, da.Array)
    assert dict(names["cells"].observed.sizes) == {"y": 20, "x": 15}
    # The scene is as rough as the images of class 1.
    assert names["probable"].shape == (300,)
    assert (names["probable"] == 1).all()
