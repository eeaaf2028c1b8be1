"""Which candidate first, and why: four factors, their product, and the reasons in words.

Everything is computed from columns of the same row, so that anybody can do it again by hand, and so
that a product ranks by what it shows and by nothing else. The factors' sizes are ours: they order
visits, they are no probabilities.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.words.catalogue import languages, number, say

CANDIDATE, RANDOM = "candidate", "random"
FACTORS = ("factor_probability", "factor_applicability", "factor_novelty", "factor_context")
# A site known only roughly may be this very place.
MAY_BE_KNOWN = 0.5
# So far from every known site a place is wholly new, kilometres.
NEW_KM = 5.0
# Layer, its column, whether a place is in reach there, and by what the rank is multiplied then.
LAYER_FACTORS = (
    ("industrial_mines", "count", True, 0.5),
    ("mining_titles", "count", True, 0.7),
    ("other_detections", "km", False, 0.8),
    ("protected_areas", "count", False, 0.9),
)
COMPARED, NO_TABLE, CONCEALED = "compared", "no table", "withheld"


def rank_candidates(
    candidates: gpd.GeoDataFrame, layers: Collection[str], sites: str = COMPARED
) -> gpd.GeoDataFrame:
    """Give candidates their factors, priority, rank and reasons.

    ``priority`` is the product of the four factors, each rounded to three decimals:

    - ``factor_probability``: the highest score of the candidate's cells;
    - ``factor_applicability``: 1 - max(dissimilarity, dispute) / 2, from 0.1 to 1; 1 where the
      model says neither;
    - ``factor_novelty``: 0.5 if the place may be a site that is known only roughly; else 0.5 and a
      tenth for each kilometre to the nearest known site, 1 from 5 km on; 1 if there is no site;
    - ``factor_context``: for each layer of ``LAYER_FACTORS`` that the product has, its number where
      it applies (industrial mine touched 0.5, mining title 0.7, no other detection in reach 0.8,
      outside of protected areas 0.9), multiplied; 1 without these layers.

    Candidates are ranked by priority, then area, then number; those drawn at random come after
    them, in the order in which they were drawn.

    Parameters
    ----------
    candidates : geopandas.GeoDataFrame
        As from :func:`pipeline.sites.candidates.find_candidates`, perhaps with columns of context
        layers (``<layer>_<column>``).
    layers : collection of str
        Names of the layers that the product has.
    sites : str, optional
        ``COMPARED``; ``NO_TABLE``; or ``CONCEALED``: what is known of sites must not be told.

    Returns
    -------
    geopandas.GeoDataFrame
        The same rows, by rank.
    """
    table = candidates.reset_index(drop=True)
    count = len(table)
    doubt = table[["dissimilarity", "dispute"]].max(axis=1).fillna(0.0).to_numpy(float)
    table["factor_probability"] = np.round(table["probability"].to_numpy(float), 3)
    table["factor_applicability"] = np.round(np.clip(1 - doubt / 2, 0.1, 1.0), 3)
    table["factor_novelty"] = np.round(_novelty(table), 3) if sites == COMPARED else np.ones(count)
    table["factor_context"] = np.round(_layer_factor(table, layers), 3)
    table["priority"] = np.round(table[list(FACTORS)].to_numpy(float).prod(axis=1), 6)
    order = pd.DataFrame(
        {
            "random": table["kind"] == RANDOM,
            "priority": -table["priority"].where(table["kind"] == CANDIDATE, 0.0),
            "area": -table["area_km2"].where(table["kind"] == CANDIDATE, 0.0),
            "number": table["candidate"],
        }
    )
    table = table.loc[
        order.sort_values(["random", "priority", "area", "number"]).index
    ].reset_index(drop=True)
    table["rank"] = np.arange(1, count + 1)
    rows = pd.DataFrame(table.drop(columns="geometry")).to_dict("records")
    for lang in languages():
        words = [_reasons(row, layers, lang, sites) for row in rows]
        table[f"reasons_{lang}"] = pd.Series(words, dtype="str")
    return table


def _novelty(table: pd.DataFrame) -> NDArray[np.float64]:
    far = table["nearest_site_km"].fillna(np.inf).to_numpy(float)
    new = 0.5 + 0.5 * np.minimum(far / NEW_KM, 1.0)
    may_be = (table["known_sites"] > 0).to_numpy()
    return np.where(may_be & (table["kind"] == CANDIDATE).to_numpy(), MAY_BE_KNOWN, new)


def _layer_factor(table: pd.DataFrame, layers: Collection[str]) -> NDArray[np.float64]:
    factor = np.ones(len(table))
    for layer, column, when, size in LAYER_FACTORS:
        if layer in layers and f"{layer}_{column}" in table:
            factor[_in_reach(table[f"{layer}_{column}"], column) == when] *= size
    return factor


def _in_reach(values: pd.Series, column: str) -> NDArray[np.bool_]:
    reached = values.notna() if column == "km" else values.fillna(0) > 0
    return reached.to_numpy(bool)


def _reasons(row: dict[Any, Any], layers: Collection[str], lang: str, sites: str) -> str:
    """Return the reasons in words; the first is the score."""

    def told(key: str, **parameters: object) -> str:
        return say(f"reasons.{key}", lang, **parameters)

    score, low, high = (score_text(row[key], lang) for key in ("probability", "low", "high"))
    between = np.isfinite(row["low"]) and np.isfinite(row["high"])
    score = told("score_between" if between else "score", score=score, low=low, high=high)
    if row["kind"] == RANDOM:
        return f"{told('random')}; {score}"
    words = [score, told("likely", share=100 * row["likely_share"])]
    if row["part_of"]:
        words.append(told("part", number=row["part_of"]))
    if not row["applicable"]:
        words.append(told("unlike"))
    if sites == NO_TABLE:
        words.append(told("no_table"))
    elif sites == COMPARED and row["known_sites"]:
        words.append(told("may_be", sites=row["known_sites"]))
    elif sites == COMPARED and np.isfinite(row["nearest_site_km"]):
        words.append(told("far", km=number(row["nearest_site_km"], lang, 1)))
    elif sites == COMPARED:
        words.append(told("none"))
    for layer, column, _, _ in LAYER_FACTORS:
        value = row.get(f"{layer}_{column}") if layer in layers else None
        if value is not None and pd.notna(value) and (column == "km" or value > 0):
            words.append(told(layer, km=number(value, lang, 1)))
    if np.isfinite(row["clear_observations"]):
        words.append(told("clear", dates=number(row["clear_observations"], lang, 1)))
    if row["trained_share"]:
        words.append(told("trained", share=100 * row["trained_share"]))
    return "; ".join(words)


def score_text(score: float, lang: str) -> str:
    """Write a score with two decimals; one that is nearly 0 or 1 is not called 0 or 1.

    Parameters
    ----------
    score : float
        0 to 1.
    lang : str
        One of :func:`pipeline.words.catalogue.languages`.

    Returns
    -------
    str
        The words.
    """
    if score >= 0.995:
        return f"> {number(0.99, lang)}"
    return f"< {number(0.01, lang)}" if score < 0.005 else number(score, lang)
