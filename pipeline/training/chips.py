"""Labelled chips that take part in a training or a search, and what is known of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.bank import FilterBank
from features.rcf import chip_features
from features.recipe import Recipe
from features.sampling import make_bank
from models.folds import region_folds
from pipeline.errors import ChipsError
from pipeline.imagery.chips import Chips, fold_groups, located, read_chips, read_table
from pipeline.imagery.corruption import corrupt
from pipeline.runtime.atomic import sha256_of
from pipeline.runtime.console import bar

PATCHES_PER_CHIP = 8
CHIPS_AT_ONCE = 64


@dataclass(frozen=True)
class LabelledChips:
    """Chips with labels, those that take part.

    Parameters
    ----------
    chips : Chips
        The archive.
    rows : numpy.ndarray of int, shape (n,)
        Chips of the archive that take part.
    table : pandas.DataFrame
        Their rows of ``chips.csv``.
    label : numpy.ndarray of int8, shape (n,)
        1 mine, 0 not.
    subset : pandas.Series of str
        Which part of the archive each is of; its place where the archive names no parts.
    weight : numpy.ndarray of float64, shape (n,)
        What each counts for.
    sha256 : list of str
        Of the archive's two files.
    """

    chips: Chips
    rows: NDArray[np.intp]
    table: pd.DataFrame
    label: NDArray[np.int8]
    subset: pd.Series
    weight: NDArray[np.float64]
    sha256: list[str]

    @cached_property
    def roughly(self) -> NDArray[np.float64]:
        """Degrees, shape (2, n), of exact and rough places; NaN where there is neither."""
        names = ["lon", "lat"]
        if not set(names) <= set(self.table.columns):
            return np.full((2, len(self.table)), np.nan)
        return self.table[names].to_numpy(float).T

    @cached_property
    def lonlat(self) -> NDArray[np.float64]:
        """Degrees, shape (2, n); NaN where a place is not exact."""
        return np.where(located(self.table), self.roughly, np.nan)

    @cached_property
    def groups(self) -> NDArray[np.str_]:
        """Place of each chip: what folds must not tear apart."""
        return fold_groups(self.table)

    @cached_property
    def region(self) -> NDArray[np.int16]:
        """Region of each chip: as far apart as the places that a model is asked about.

        A rough place is good enough to tell which region a chip must not be judged by.
        """
        lon, lat = self.roughly
        return region_folds(lon, lat, self.label)

    @cached_property
    def places(self) -> NDArray[np.intp]:
        """Number of the place of each chip, counted from 0."""
        return np.unique(self.groups, return_inverse=True)[1]

    def features(
        self,
        bank: FilterBank,
        stage: str,
        some: NDArray[np.intp] | None = None,
        corruption: np.random.Generator | None = None,
    ) -> NDArray[np.float32]:
        """Compute features.

        Parameters
        ----------
        bank : FilterBank
            The filters.
        stage : str
            What the progress bar says.
        some : numpy.ndarray of int, shape (m,), optional
            Which of the chips; default: all.
        corruption : numpy.random.Generator, optional
            Where given, each chip's pixels are corrupted in a way that it chooses.

        Returns
        -------
        numpy.ndarray of float32, shape (m, bank.columns)
            One row a chip.
        """
        rows = self.rows if some is None else self.rows[some]
        return features_of(self.chips, rows, bank, stage, corruption)

    def bank(
        self,
        recipe: str | Recipe,
        patches: Sequence[int],
        filters: int,
        seed: int,
        floor: float | None = None,
        every: int = 1,
    ) -> FilterBank:
        """Sample a new bank from the chips, the same one each time.

        Parameters
        ----------
        recipe : str or Recipe
            How patches become filters.
        patches : sequence of int
            Patch sizes in pixels.
        filters : int
            Number of filters of each.
        seed : int
            Of the draw.
        floor : float, optional
            Of the scaling; default: the archive's.
        every : int, optional
            Of so many chips one is read, for as many patches.

        Returns
        -------
        FilterBank
            The new bank.

        Raises
        ------
        BankError
            If there are fewer patches than filters.
        """
        imagery, some = self.chips.imagery, self.rows[::every].tolist()
        scaling = imagery.scaling if floor is None else replace(imagery.scaling, floor=floor)
        return make_bank(
            lambda: (self.chips.reflectance(slice(row, row + 1))[0] for row in some),
            imagery.bands,
            imagery.level,
            scaling,
            recipe,
            patches,
            filters,
            seed=seed,
            per_image=every * PATCHES_PER_CHIP,
        )


def features_of(
    chips: Chips,
    rows: NDArray[np.intp],
    bank: FilterBank,
    stage: str,
    corruption: np.random.Generator | None = None,
) -> NDArray[np.float32]:
    """Compute the features of chips, some at a time.

    Parameters
    ----------
    chips : Chips
        The archive.
    rows : numpy.ndarray of int, shape (n,)
        Which of them.
    bank : FilterBank
        The filters.
    stage : str
        What the progress bar says; empty: there is none.
    corruption : numpy.random.Generator, optional
        Where given, each chip's pixels are corrupted in a way that it chooses.

    Returns
    -------
    numpy.ndarray of float32, shape (n, bank.columns)
        One row a chip.
    """
    starts = range(0, len(rows), CHIPS_AT_ONCE)
    parts = []
    for start in bar(starts, stage, len(starts)) if stage else starts:
        pixels = chips.reflectance(rows[start : start + CHIPS_AT_ONCE])
        pixels = pixels if corruption is None else corrupt(pixels, corruption)
        parts.append(chip_features(pixels, bank)[0])
    return np.concatenate(parts)


def read_labelled_chips(
    archive: Path,
    without: Sequence[str] = (),
    weights: Mapping[str, float] | None = None,
    leave_out: Sequence[str] = (),
    named: Sequence[str] = (),
) -> LabelledChips:
    """Read an archive and leave out what is not wanted.

    Parameters
    ----------
    archive : pathlib.Path
        Folder with ``chips.npz`` and ``chips.csv``.
    without : sequence of str
        Values of the column ``subset`` that take no part.
    weights : mapping of str to float, optional
        What rows of a subset count for; default 1.
    leave_out : sequence of str
        Values of the column ``cell`` (1-degree squares) that take no part.
    named : sequence of str
        Further subsets that must be there.

    Returns
    -------
    LabelledChips
        The rest.

    Raises
    ------
    ChipsError
        If the archive is not in its form, has no labels, or does not know a subset or square.
    """
    chips = read_chips(archive / "chips.npz")
    table = read_table(archive / "chips.csv", len(chips.pixels))
    if chips.label is None:
        raise ChipsError("the chips have no labels", where=str(archive / "chips.npz"))
    place = table["cell"].astype(str)
    subset = table["subset"].astype(str) if "subset" in table else place
    counts = dict(weights or {})
    for values, known in ((leave_out, place), ((*without, *counts, *named), subset)):
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise ChipsError(f"no chip lies in {unknown[0]!r}", where=str(archive / "chips.csv"))
    rows = np.flatnonzero(~place.isin(leave_out) & ~subset.isin(without))
    subset = subset.iloc[rows]
    return LabelledChips(
        chips,
        rows,
        table.iloc[rows],
        chips.label[rows],
        subset,
        np.array([counts.get(name, 1.0) for name in subset]),
        [sha256_of(archive / name) for name in ("chips.npz", "chips.csv")],
    )
