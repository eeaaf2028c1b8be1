"""What changed between two seasons, as each of the two products may show it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from pipeline.classes import WEAKEST_FIRST
from pipeline.geo import grid
from pipeline.map import coarsening
from pipeline.map.column_rules import Policy, permitted
from pipeline.map.disclosure import Product
from pipeline.map.editions import PUBLIC, SQUARE_DEGREES, last_public_day, refuse_young
from pipeline.map.provenance import RunInfo
from pipeline.map.removals import mark_requested, read_removals, remove_requested
from pipeline.sites.join import Joined
from pipeline.sites.layers.layer import KnownLayer
from pipeline.sites.layers.spatial_joins import count_touching, owner_of

# The last that a square's cells hold is the square's: what stays hides what is new beside it, so
# that a mine which grew is not shown as a new one; and "none" is said of whole squares only.
_STRENGTH = ("none", "cannot_tell", "fading", "new", "persisting")
_COUNTED = ("new", "persisting", "fading", "cannot_tell")


@dataclass(frozen=True)
class Changes:
    """What was found between two seasons of a region.

    Parameters
    ----------
    joined : Joined
        ``cells`` as ``name_cells`` gives them; ``candidates``: the places, numbered so; sites,
        where a table of visits is known (removal requests may name them), and context layers.
    series : pandas.DataFrame
        Every season kept, as ``Series.read`` gives it.
    seasons : tuple of str
        The two that were compared.
    """

    joined: Joined
    series: pd.DataFrame
    seasons: tuple[str, str]


def disclose_changes(changes: Changes, run: RunInfo, policy: Policy) -> Product:
    """Make the layers and tables of the product that the run's configuration asks for.

    Parameters
    ----------
    changes : Changes
        What was found.
    run : RunInfo
        What it was made from; its configuration says which product.
    policy : mapping
        The columns' rules.

    Returns
    -------
    Product
        Layers ``changes`` and ``change_places``, tables ``change_areas`` (where there are areas)
        and ``series`` (in the public product without seasons that are too young); only the columns
        that the product may hold.

    Raises
    ------
    DisclosureError
        If the public product is asked for and an image of the two seasons is younger than six
        months, or the removal requests leave nothing.
    RemovalsError
        If the list of removal requests cannot be used.
    """
    disclosure = run.config.map.disclosure
    public = disclosure == PUBLIC
    joined, series = changes.joined, changes.series
    asked = read_removals(run.config)
    if asked is not None:
        joined = (remove_requested if public else mark_requested)(joined, asked)
        series = series[series["cell"].isin(joined.cells["cell"])]
    places = joined.candidates.rename(columns={"candidate": "place"})
    cells, known = joined.cells, list(joined.known_layers)
    if public:
        refuse_young(run.images, run.created, run.region.name)
        series = _old_enough(series, last_public_day(run.created))
        cells, series = _coarse_changes(cells), _coarse_series(series)
        places = coarsening.coarse_candidates(places)
        known = coarsening.coarse_layers(known, last_public_day(run.created))
    square = SQUARE_DEGREES[disclosure]
    squares = coarsening.squares(cells.assign(model=run.model.name, run=run.run_id), square)
    places = coarsening.with_coordinates(places, public)
    layers = {"changes": squares, "change_places": places.assign(model=run.model.name)}
    tables = {"change_areas": _areas(squares, places, known), "series": series}
    return Product(
        disclosure,
        {
            name: permitted(layer.assign(simulated=run.simulated), policy, disclosure, name)
            for name, layer in layers.items()
        },
        held_back=0,
        tables={
            name: table.assign(simulated=run.simulated)
            for name, table in tables.items()
            if len(table)
        },
        known_layers=known,
    )


def _merged(
    table: pd.DataFrame, by: Sequence[str], strength: Sequence[str], how: Mapping[str, str]
) -> pd.DataFrame:
    """Merge the cells of each 0.01-degree square; what is not told how is the strongest's."""
    word = "change_class" if "change_class" in table else "class"
    codes = pd.Categorical(table[word], categories=list(strength)).codes
    table = table.assign(cell=grid.coarse_cell_of(table["cell"]), strength=codes)
    score = "probability_to" if "probability_to" in table else "probability"
    table = table.sort_values(["strength", score], na_position="first", kind="stable")
    groups = table.groupby(list(by), sort=True)
    # Not ``last``, which would skip empty values and mix rows.
    merged = groups.tail(1).set_index(list(by)).sort_index()
    for column, rule in how.items():
        merged[column] = groups[column].agg(rule)
    return merged.drop(columns="strength").reset_index()


def _old_enough(series: pd.DataFrame, last_day: str) -> pd.DataFrame:
    """Leave out the seasons that a restricted run has kept and that are too young to be shown."""
    dates = series["last_image"].fillna("").astype(str).str[:10]
    newest = dates.groupby(series["season"]).transform("max")
    return series[newest <= last_day]


def _coarse_changes(cells: pd.DataFrame) -> pd.DataFrame:
    how: dict[str, str] = {}
    for season in ("from", "to"):
        how |= {f"observed_{season}": "mean", f"clear_observations_{season}": "min"}
        how |= {f"first_image_{season}": "min", f"last_image_{season}": "max"}
    return _merged(_as_days(cells), ["cell"], _STRENGTH, how)


def _coarse_series(series: pd.DataFrame) -> pd.DataFrame:
    how = {"first_image": "min", "last_image": "max"}
    return _merged(_as_days(series), ["season", "cell"], WEAKEST_FIRST, how)[list(series.columns)]


def _as_days(table: pd.DataFrame) -> pd.DataFrame:
    """Let dates be compared: a missing one is no text."""
    dates = [str(name) for name in table if "_image" in str(name)]
    return table.assign(**{name: pd.to_datetime(table[name], errors="coerce") for name in dates})


def _areas(
    squares: gpd.GeoDataFrame, places: gpd.GeoDataFrame, known: Sequence[KnownLayer]
) -> pd.DataFrame:
    """Count places and squares in every area of the layers that places lie within.

    From what the product shows, as every context column is: a place counts for each area that it
    touches, a square for the one that owns its centre.
    """
    rows = []
    spots = shapely.centroid(squares.geometry.to_numpy())
    for layer in known:
        about, features = layer.declaration, layer.features
        names = [name for name in (about.id, *about.along) if name in features]
        if about.how != "within" or not names:
            continue
        areas = features.geometry.to_numpy()
        owner = owner_of(spots, areas)[0]
        for number, area in enumerate(areas):
            inside = squares["change_class"][owner == number]
            touched = count_touching(places.geometry.to_numpy(), np.array([area])) > 0
            if not len(inside) and not touched.any():
                continue
            words = places["change_class"][touched]
            rows.append(
                {
                    "layer": about.name,
                    "area": str(features[names[0]].iloc[number]),
                    "new_places": int((words == "new").sum()),
                    "growing_places": int((words == "growing").sum()),
                    "fading_places": int((words == "fading").sum()),
                    **{f"{word}_squares": int((inside == word).sum()) for word in _COUNTED},
                }
            )
    return pd.DataFrame(rows)
