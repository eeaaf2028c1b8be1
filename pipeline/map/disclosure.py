"""Two products from one run: what each holds, and how the public one is made coarse.

The rules for columns are in :mod:`pipeline.map.column_rules`, those for place and age in
:mod:`pipeline.map.editions`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import geopandas as gpd
import pandas as pd

from pipeline.errors import StoreCorruptError
from pipeline.map import coarsening
from pipeline.map.area_layer import regions_layer
from pipeline.map.column_rules import Policy, permitted, policy_of
from pipeline.map.editions import PUBLIC, SQUARE_DEGREES, last_public_day, refuse_young
from pipeline.map.provenance import RunInfo
from pipeline.map.public_sites import public_candidates, sites_held_back
from pipeline.map.removals import Removals, mark_requested, read_removals, remove_requested
from pipeline.sites.join import Joined
from pipeline.sites.layers.attach import attach_columns
from pipeline.sites.layers.layer import KnownLayer
from pipeline.sites.matching import chance_recall, match_table
from pipeline.sites.ranking import COMPARED, CONCEALED, NO_TABLE, rank_candidates
from pipeline.sites.scorecard import summarise

_NEEDED = {"cell", "probability", "class", "observed", "clear_observations", "sites"}


@dataclass(frozen=True)
class Product:
    """What one of the two products holds, ready to be written.

    Parameters
    ----------
    disclosure : str
        ``public`` or ``restricted``.
    layers : dict of str to geopandas.GeoDataFrame
        ``cells``, ``candidates``, ``sites`` and ``regions`` (where there are any), ``coverage`` and
        the context layers (``context_<name>``), EPSG:4326; only the columns that the product may
        hold. Probabilities are float32 with NaN
        for "cannot tell".
    held_back : int
        Sites that the public product may not name: their visit is too young, or nobody has
        published the table.
    tables : dict of str to pandas.DataFrame
        ``matching``, and in the restricted product ``visits``, ``scorecard`` and
        ``scorecard_summary``, where there are sites.
    known_layers : list of KnownLayer
        The layers as the product knows them.
    """

    disclosure: str
    layers: dict[str, gpd.GeoDataFrame]
    held_back: int
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    known_layers: list[KnownLayer] = field(default_factory=list)

    @property
    def square(self) -> float:
        """Side of a square, degrees."""
        return SQUARE_DEGREES[self.disclosure]

    @property
    def ranked(self) -> gpd.GeoDataFrame:
        """The candidates without the places that were drawn at random beside them."""
        layer = self.layers["candidates"]
        return layer[layer["kind"] != "random"] if "kind" in layer else layer


def disclose(joined: Joined, run: RunInfo, policy: Policy | None = None) -> Product:
    """Make the tables of the product that the run's configuration asks for.

    Parameters
    ----------
    joined : Joined
        The run's cells, sites and candidates.
    run : RunInfo
        What they were made from.
    policy : mapping, optional
        Default: ``data/DISCLOSURE.md``.

    Returns
    -------
    Product
        What may be shown.

    Raises
    ------
    DisclosureError
        If the public product is asked for and the imagery is younger than six months, or the
        removal requests leave nothing.
    RemovalsError
        If the list of removal requests cannot be used.
    StoreCorruptError
        If the table of cells is empty or lacks a column.
    """
    policy = policy or policy_of(joined)
    missing = sorted(_NEEDED - set(joined.cells.columns))
    if missing or joined.cells.empty:
        what = f"the joined cells lack {', '.join(missing)}" if missing else "there is no cell"
        raise StoreCorruptError(what, next_step=f"make join REGION={run.region.name}")
    disclosure, held_back = run.config.map.disclosure, 0
    public, square = disclosure == PUBLIC, SQUARE_DEGREES[disclosure]
    newest, chance = str(run.images[1] or "")[:10], chance_recall(joined.cells)
    asked = read_removals(run.config)
    if public:
        joined, held_back = _for_public(joined, run, asked)
    elif asked is not None:
        joined = mark_requested(joined, asked)
    concealed = public and (asked is not None or held_back > 0)
    cells, sites, known = joined.cells, joined.sites, list(joined.known_layers)

    def with_columns(layer: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
        return attach_columns(layer, known, newest, public)

    squares = coarsening.squares(cells.assign(model=run.model.name, run=run.run_id), square)
    # Ranked anew by what this product shows.
    candidates = rank_candidates(
        with_columns(coarsening.with_coordinates(joined.candidates, public)),
        [layer.declaration.name for layer in known],
        NO_TABLE if sites is None else CONCEALED if concealed else COMPARED,
    )
    if concealed:
        candidates = candidates.drop(columns=["nearest_site_km", "known_sites"])
    layers = {
        "cells": with_columns(squares),
        "candidates": candidates,
        "sites": with_columns(sites) if sites is not None else None,
        "coverage": coarsening.coverage_strips(cells, square),
        "regions": regions_layer(run.area, run.region, public) if run.area else None,
        **{layer.declaration.table: layer.features for layer in known},
    }
    tables: dict[str, pd.DataFrame | None] = {
        "matching": match_table(sites, cells, newest, public, chance)
    }
    if not public and sites is not None and joined.visits is not None:
        tables |= {"visits": joined.visits, "scorecard": joined.answers}
        tables["scorecard_summary"] = summarise(sites)
    return Product(
        disclosure=disclosure,
        layers={
            name: permitted(layer.assign(simulated=run.simulated), policy, disclosure, name)
            for name, layer in layers.items()
            if layer is not None
        },
        held_back=held_back,
        tables={
            name: table.assign(simulated=run.simulated)
            for name, table in tables.items()
            if table is not None and len(table)
        },
        known_layers=known,
    )


def _for_public(joined: Joined, run: RunInfo, asked: Removals | None) -> tuple[Joined, int]:
    """Return a run as the public product may know it, and how many sites it does not name."""
    last_day = last_public_day(run.created)
    unnamed = sites_held_back(joined.sites, run.config, last_day)
    joined = replace(joined, candidates=public_candidates(joined, unnamed, run))
    hidden = [] if joined.sites is None else joined.sites.index[unnamed]
    if asked is not None:
        joined = remove_requested(joined, asked)
    refuse_young(_image_dates(run, joined.cells), run.created, run.region.name)
    sites, held = joined.sites, gpd.GeoDataFrame()
    if sites is not None:
        held, sites = sites[sites.index.isin(hidden)], sites[~sites.index.isin(hidden)]
    coarse = replace(
        joined,
        cells=coarsening.coarse_cells(joined.cells, sites, held),
        sites=None if sites is None else coarsening.round_points(sites),
        candidates=coarsening.coarse_candidates(joined.candidates),
        known_layers=coarsening.coarse_layers(joined.known_layers, last_day),
    )
    return coarse, len(held)


def _image_dates(run: RunInfo, cells: pd.DataFrame) -> list[str]:
    dates = [str(run.images[1] or "")]
    dates += [str(scene.get("datetime") or "") for scene in run.scenes]
    if "last_image" in cells:
        seen = cells["last_image"].dropna()
        dates += [str(seen.astype(str).max())] if len(seen) else []
    return dates
