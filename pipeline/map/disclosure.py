"""Two products from one run: what each may hold, and how the public one is made coarse.

The rules for columns are the table of ``data/DISCLOSURE.md``; the rules for place and age are the
constants below. A column that the table does not call public is denied.
"""

from __future__ import annotations

import calendar
import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import pandas as pd

from pipeline.errors import DisclosureError, StoreCorruptError
from pipeline.geo import grid
from pipeline.map import coarsening
from pipeline.map.area_layer import regions_layer
from pipeline.map.public_sites import public_candidates, sites_held_back
from pipeline.map.removals import mark_requested, read_removals, remove_requested
from pipeline.runtime.package_data import data_folder
from pipeline.sites.layers.attach import attach_columns
from pipeline.sites.layers.joins import JOINS
from pipeline.sites.matching import chance_recall, match_table
from pipeline.sites.ranking import COMPARED, CONCEALED, NO_TABLE, rank_candidates
from pipeline.sites.scorecard import summarise
from pipeline.words.catalogue import ENGLISH, in_every, languages, pick, say, texts_of

if TYPE_CHECKING:
    from pipeline.map.provenance import RunInfo
    from pipeline.scenes import SceneList
    from pipeline.sites.join import Joined
    from pipeline.sites.layers.read import KnownLayer
    from pipeline.workflow.context import Context

PUBLIC, RESTRICTED = "public", "restricted"
# Side of the squares that each shows; the public one's is set in pipeline/geo/grid.py.
SQUARE_DEGREES = {PUBLIC: grid.PUBLIC_DEGREES, RESTRICTED: grid.CELL_DEGREES}
DECIMALS = {name: grid.decimals_of(square) for name, square in SQUARE_DEGREES.items()}
PUBLIC_AGE_MONTHS = 6
_NEEDED = {"cell", "probability", "class", "observed", "clear_observations", "sites"}


@dataclass(frozen=True)
class Column:
    """One row of the table: who may see a column, and what it is called.

    Parameters
    ----------
    disclosure : str
        Which products may hold it.
    texts : mapping of str to str
        What the map calls it, by language.
    note : str
        What a reader of the table needs to know.
    """

    disclosure: str
    texts: Mapping[str, str]
    note: str

    def alias(self, lang: str) -> str:
        """Return the column's name as the map shows it."""
        return pick(self.texts, lang)


Policy = Mapping[str, Mapping[str, Column]]


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


def load_policy(file: Path | None = None) -> Policy:
    """Read the table of columns.

    Raises
    ------
    DisclosureError
        If the table cannot be read, a row has not the cells of ``| layer | column | class |
        English | ... | what it holds |``, a class is neither public nor restricted, or a column is
        there twice.
    """
    file = file or data_folder() / "DISCLOSURE.md"
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DisclosureError(f"the rules cannot be read: {error}", where=str(file)) from None
    rows: dict[str, dict[str, Column]] = {}
    heading: list[str] = []
    for number, line in enumerate(lines, 1):
        parts = [part.strip() for part in line.strip().strip("|").split("|")]
        if not line.lstrip().startswith("|"):
            heading = []
        elif parts[:3] == ["layer", "column", "class"]:
            heading = [name.lower() for name in parts]
        elif heading and set(line) - set("|-: "):
            where = f"{file}, line {number}"
            if len(parts) == len(heading) - 1:  # the last note was empty, and its bar with it
                parts.append("")
            if len(parts) != len(heading) or parts[2] not in (PUBLIC, RESTRICTED):
                raise DisclosureError("a row of the rules cannot be understood", where=where)
            layer, column, disclosure = parts[:3]
            if column in rows.setdefault(layer, {}):
                raise DisclosureError(f"{layer}.{column} is there twice", where=where)
            texts = texts_of(dict(zip(heading, parts, strict=True)))
            rows[layer][column] = Column(disclosure, texts, parts[-1])
    if not rows:
        raise DisclosureError("the rules hold no table of columns", where=str(file))
    for columns in rows.values():
        _add_reasons(columns)
    return rows


def _add_reasons(columns: dict[str, Column]) -> None:
    """Let the reasons in a language that the table does not name be as those in English."""
    english = columns.get(f"reasons_{ENGLISH}")
    if english is not None:
        for lang, name in in_every("language.english").items():
            texts = {ENGLISH: f"Reasons ({name})"}
            columns.setdefault(f"reasons_{lang}", Column(english.disclosure, texts, english.note))


def denied(policy: Policy, disclosure: str, layer: str, columns: list[str]) -> list[str]:
    """Return those of a layer's columns that a product may not hold.

    Parameters
    ----------
    policy : mapping
        The columns' rules.
    disclosure : str
        ``public`` or ``restricted``.
    layer : str
        Name of the layer.
    columns : list of str
        Its columns.

    Returns
    -------
    list of str
        Those that may not be shown, in their order.
    """
    if disclosure == RESTRICTED:
        return []
    rules = policy.get(layer, {})
    return [name for name in columns if name not in rules or rules[name].disclosure != PUBLIC]


def allowed(policy: Policy, disclosure: str, layer: str, record: dict[str, Any]) -> dict[str, Any]:
    """Return a record without the keys that the product may not hold.

    Parameters
    ----------
    policy : mapping
        The columns' rules.
    disclosure : str
        ``public`` or ``restricted``.
    layer : str
        Name of the layer that the record belongs to.
    record : dict
        Keys are columns.

    Returns
    -------
    dict
        What may be shown of it.
    """
    out = set(denied(policy, disclosure, layer, list(record)))
    return {key: value for key, value in record.items() if key not in out}


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
    disclosure = run.config.map.disclosure
    asked = read_removals(run.config)
    withheld = disclosure == PUBLIC and asked is not None
    last_day = last_public_day(run.created)
    chance = chance_recall(joined.cells)
    if disclosure == PUBLIC:
        unnamed = sites_held_back(joined.sites, run.config, last_day)
        joined = replace(joined, candidates=public_candidates(joined, unnamed, run))
    if asked is not None:
        joined = (remove_requested if disclosure == PUBLIC else mark_requested)(joined, asked)
    cells, sites, candidates = joined.cells, joined.sites, joined.candidates
    held = gpd.GeoDataFrame()
    if disclosure == PUBLIC:
        refuse_young(_image_dates(run, cells), run.created, run.region.name)
        if sites is not None:
            held = sites[sites_held_back(sites, run.config, last_day)]
        withheld = withheld or len(held) > 0
        kept = sites.drop(held.index) if sites is not None else None
        cells = coarsening.coarse_cells(cells, kept, held)
        sites = coarsening.round_points(kept) if kept is not None else None
        candidates = coarsening.coarse_candidates(candidates)
    square = SQUARE_DEGREES[disclosure]
    newest = str(run.images[1] or "")[:10]
    known = list(joined.known_layers)
    if disclosure == PUBLIC:
        known = coarsening.coarse_layers(known, last_day)

    def with_columns(layer: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
        return attach_columns(layer, known, newest, disclosure == PUBLIC)

    squares = coarsening.squares(cells.assign(model=run.model.name, run=run.run_id), square)
    # Ranked anew by what this product shows.
    candidates = rank_candidates(
        with_columns(coarsening.with_coordinates(candidates, disclosure == PUBLIC)),
        [layer.declaration.name for layer in known],
        NO_TABLE if joined.sites is None else CONCEALED if withheld else COMPARED,
    )
    if withheld:
        candidates = candidates.drop(columns=["nearest_site_km", "known_sites"])
    layers = {
        "cells": with_columns(squares),
        "candidates": candidates,
        "sites": with_columns(sites) if sites is not None else None,
        "coverage": coarsening.coverage_strips(cells, square),
        "regions": regions_layer(run.area, run.region, disclosure == PUBLIC) if run.area else None,
        **{layer.declaration.table: layer.features for layer in known},
    }
    tables: dict[str, pd.DataFrame | None] = {}
    tables["matching"] = match_table(sites, cells, newest, disclosure == PUBLIC, chance)
    if disclosure == RESTRICTED and sites is not None and joined.visits is not None:
        tables["visits"] = joined.visits
        tables["scorecard"] = joined.answers
        tables["scorecard_summary"] = summarise(sites)
    return Product(
        disclosure=disclosure,
        layers={
            name: ordered(layer.assign(simulated=run.simulated), policy, disclosure, name)
            for name, layer in layers.items()
            if layer is not None
        },
        held_back=len(held),
        tables={
            name: table.assign(simulated=run.simulated)
            for name, table in tables.items()
            if table is not None and len(table)
        },
        known_layers=known,
    )


def policy_of(joined: Joined) -> Policy:
    """Return the rules for a run: those of the table, and what its context layers declare.

    Parameters
    ----------
    joined : Joined
        With its context layers.

    Returns
    -------
    mapping
        As from :func:`load_policy`.

    Raises
    ------
    DisclosureError
        If a layer would give cells, candidates or sites a column that they have already.
    """
    rows = {layer: dict(columns) for layer, columns in load_policy().items()}
    for layer in joined.known_layers:
        about = layer.declaration
        own = {c.name: Column(c.disclosure, c.texts, c.note) for c in about.columns}
        shown = PUBLIC if about.public != "none" else RESTRICTED
        made = {
            "count": Column(shown, in_every("columns.count"), "features in the area or in reach"),
            "km": Column(shown, in_every("columns.km"), "great-circle distance"),
        }
        told = {
            "simulated": Column(
                PUBLIC, in_every("columns.simulated"), "true: an invented landscape"
            )
        }
        rows[about.table] = own | ({"count": made["count"]} if about.public == "counts" else {})
        rows[about.table] |= told
        for column in [*about.along, JOINS[about.how].column]:
            name, rule = f"{about.name}_{column}", (own | made)[column]
            for target in ("cells", "candidates", "sites"):
                if name in rows[target]:
                    raise DisclosureError(
                        f"a context layer would give {target} a second column {name}",
                        where=about.where,
                        next_step="give the layer another name",
                    )
                rows[target][name] = Column(
                    rule.disclosure,
                    {
                        lang: say(
                            "punctuation.pair", lang, name=about.title(lang), value=rule.alias(lang)
                        )
                        for lang in languages()
                    },
                    f"{rule.note}; {about.credit}".strip("; "),
                )
    return rows


def ordered(
    layer: gpd.GeoDataFrame, policy: Policy, disclosure: str, name: str
) -> gpd.GeoDataFrame:
    """Drop what is denied; put the rest into the table's order, what it does not name last.

    Parameters
    ----------
    layer : geopandas.GeoDataFrame
        A layer.
    policy : mapping
        The columns' rules.
    disclosure : str
        ``public`` or ``restricted``.
    name : str
        Of the layer.

    Returns
    -------
    geopandas.GeoDataFrame
        Candidates by rank, others in their order.
    """
    columns = [str(column) for column in layer.columns if column != layer.geometry.name]
    out = set(denied(policy, disclosure, name, columns))
    known = [column for column in policy.get(name, {}) if column in columns and column not in out]
    rest = [column for column in columns if column not in out and column not in known]
    if name == "candidates" and "rank" in columns:
        layer = layer.sort_values("rank")
    return layer[[*known, *rest, layer.geometry.name]].reset_index(drop=True)


def _months_before(created: str, months: int) -> str:
    """Return the ISO date that lies some calendar months before a moment."""
    day = dt.date.fromisoformat(created[:10])
    years, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    last = calendar.monthrange(years, month + 1)[1]
    return dt.date(years, month + 1, min(day.day, last)).isoformat()


def refuse_young(dates: Iterable[str], day: str, where: str) -> None:
    """Refuse images that the public product may not tell of yet.

    Parameters
    ----------
    dates : iterable of str
        When images were taken, ISO.
    day : str
        When the product is made, ISO.
    where : str
        Name of the region.

    Raises
    ------
    DisclosureError
        If one is younger than six months.
    """
    last_day = last_public_day(day)
    newest = max((date[:10] for date in dates), default="")
    if newest > last_day:
        raise DisclosureError(
            f"the newest image is of {newest}, and the public map holds back what is younger than "
            f"{PUBLIC_AGE_MONTHS} months (after {last_day})",
            where=where,
            next_step="the same command with DISCLOSURE=restricted, or with a season that ends "
            "earlier",
        )


def refuse_young_scenes(found: SceneList, context: Context) -> None:
    """Refuse a public product of a season that is too young, before hours of work.

    What is published is held against its images once more.

    Parameters
    ----------
    found : SceneList
        Scenes of the season.
    context : Context
        Configuration and region.

    Raises
    ------
    DisclosureError
        If the public product is asked for and a scene is younger than six months.
    """
    if context.config.map.disclosure == PUBLIC:
        now = dt.datetime.now(dt.UTC).isoformat()
        refuse_young([scene.end for scene in found.scenes], now, context.region.name)


def last_public_day(created: str) -> str:
    """Return the ISO date of the last day that a public product made then may show."""
    return _months_before(created, PUBLIC_AGE_MONTHS)


def _image_dates(run: RunInfo, cells: pd.DataFrame) -> list[str]:
    dates = [str(run.images[1] or "")]
    dates += [str(scene.get("datetime") or "") for scene in run.scenes]
    if "last_image" in cells:
        seen = cells["last_image"].dropna()
        dates += [str(seen.astype(str).max())] if len(seen) else []
    return dates
