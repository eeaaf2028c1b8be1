"""What `asm-atlas tune` tries: the chosen setting, and one change of it at a time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.recipe import ATLAS, Recipe
from models.classifiers import CLASSIFIERS

# Added before the logarithm of features: about the least that a bias of 2.5 leaves of them.
_LEAST_FEATURE = 1e-3
# Models take the root of what they are given, so another transform is handed on squared.
TRANSFORMS: dict[str, Callable[[NDArray[np.float32]], NDArray[np.float32]]] = {
    "root": lambda values: values,
    "none": np.square,
    "fourth root": np.sqrt,
    "logarithm": lambda values: np.log1p(values / _LEAST_FEATURE) ** 2,
}


@dataclass(frozen=True)
class Setting:
    """Everything that is searched; the defaults are what was chosen, but for the filters.

    Parameters
    ----------
    filters : int
        Of each patch size. A model that ships has many times as many: here, few make the search
        affordable, and changes are compared at the same number.
    patches : tuple of int
        Patch sizes in pixels.
    biases : tuple of float
        In standard deviations of a filter's response.
    floor : float
        Added before the logarithm of reflectance; 0: no logarithm.
    zca : int
        How many times patches are whitened.
    flattest : float
        Share of the flattest patches that is left out.
    symmetric : bool
        Whether columns are means over the eight rotations and reflections of a filter.
    parts : int
        Into how many parts along each side a chip is cut.
    transform : str
        Of the features, a key of ``TRANSFORMS``.
    kind : str
        Of classifier, a key of ``models.classifiers.CLASSIFIERS``.
    seed : int
        Of the bank and the forest.
    """

    filters: int = 24
    patches: tuple[int, ...] = (3, 4, 5, 6)
    biases: tuple[float, ...] = ATLAS.biases
    floor: float = 0.02
    zca: int = ATLAS.zca
    flattest: float = ATLAS.flattest
    symmetric: bool = ATLAS.symmetric
    parts: int = ATLAS.parts
    transform: str = "root"
    kind: str = "ridge"
    seed: int = 1

    @property
    def recipe(self) -> Recipe:
        """How patches become filters."""
        return replace(
            ATLAS,
            biases=self.biases,
            zca=self.zca,
            flattest=self.flattest,
            symmetric=self.symmetric,
            logarithm=self.floor > 0,
            parts=self.parts,
        )

    @property
    def bank(self) -> Setting:
        """The same but for what the features do not depend on."""
        return replace(self, transform="root", kind="ridge")

    def given(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what to give a model so that it sees the features with this transform.

        Parameters
        ----------
        features : numpy.ndarray of float32
            Not negative, any shape.

        Returns
        -------
        numpy.ndarray of float32
            Same shape; their roots are the transformed features, up to a constant.
        """
        return TRANSFORMS[self.transform](features).astype(np.float32, copy=False)


CHOSEN = Setting()
SEEDS = (2, 3, 4)
# Those that need no other bank come first: their features are at hand.
CHANGES: dict[str, Collection[Any]] = {
    "transform": ("none", "fourth root", "logarithm"),
    "kind": CLASSIFIERS,
    "filters": (8, 48, 96),
    "patches": ((3,), (5,), (3, 5), (4, 6), (3, 4, 5, 6, 7)),
    "biases": ((0.0,), (1.0,), (0.25, 1.0), (0.5, 2.0), (0.25, 1.0, 2.5, 4.0)),
    "floor": (0.0, 0.005, 0.05),
    "symmetric": (False,),
    "parts": (2,),
    "zca": (1,),
    "flattest": (0.0,),
}


def settings() -> Iterator[tuple[str, Setting]]:
    """Yield the chosen setting, and then one change of it at a time.

    Yields
    ------
    changed : str
        Name of what differs from the chosen setting; ``chosen`` for itself.
    setting : Setting
        The setting.
    """
    yield "chosen", CHOSEN
    for name, values in CHANGES.items():
        for value in values:
            if value != getattr(CHOSEN, name):
                yield name, replace(CHOSEN, **{name: value})
