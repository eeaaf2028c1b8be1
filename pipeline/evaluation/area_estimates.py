"""What a labelled sample says: area by region with intervals, and how far the map can be trusted.

Two figures, by what was labelled: the area of cells that contain mining, and, where every mine has
its share, the mined area. Neither is a count of pixels.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.area import Estimate, Strata, Z, accuracy, area, called_accuracy, stratum_means
from pipeline.sites.samples import CANNOT_TELL, LABELS, MINE, NO_MINE
from pipeline.words.statements import statement

WHAT = {
    "cells": "area of the cells (about 550 m wide) that contain mining",
    "mined": "mined area, from the shares of the cells that are mined",
}
CALLS = {"likely": ("likely",), "possible": ("likely", "possible")}
# A model's scores prove nothing where it was trained, and there are none where it cannot tell.
_NOT_JUDGED = ("trained_called", "trained_rest", "unlike", "cannot_tell")


@dataclass(frozen=True)
class Part:
    """A region or a part of it.

    Parameters
    ----------
    name, title : str
        What it is called.
    kind : str
        ``region`` for the whole, ``part`` for a part.
    inside : numpy.ndarray of bool, shape (cells,)
        Which cells of the population belong to it.
    """

    name: str
    title: str
    kind: str
    inside: NDArray[np.bool_]


def estimate(
    population: pd.DataFrame, labels: pd.DataFrame, parts: Sequence[Part], names: Sequence[str]
) -> dict[str, Any]:
    """Estimate areas and accuracies from a labelled sample.

    Parameters
    ----------
    population : pandas.DataFrame
        Every cell: ``cell, stratum, number, area_km2``.
    labels : pandas.DataFrame
        Every drawn cell: ``cell, number, label, share``.
    parts : sequence of Part
        The whole region first.
    names : sequence of str
        The strata.

    Returns
    -------
    dict
        JSON: ``labels`` (counts), ``strata``, ``regions``, ``accuracy`` and ``notes``.
    """
    order = {name: index for index, name in enumerate(names)}
    frame = population.assign(group=population["stratum"].map(order)).reset_index(drop=True)
    row = pd.Series(frame.index, index=frame["cell"])
    rows = labels.assign(row=labels["cell"].map(row).to_numpy())
    rows["group"] = frame["group"].to_numpy()[rows["row"]]
    result: dict[str, Any] = {
        "labels": count_labels(rows),
        "strata": _strata_rows(frame, rows, names),
        "regions": [_region(part, frame, rows, names) for part in parts],
        "accuracy": _accuracies(frame, rows, names),
    }
    return result | {"notes": _notes(result, rows)}


def count_labels(labels: pd.DataFrame) -> dict[str, int]:
    """Count the labels, those that were not given too."""
    counts = {name: int((labels["label"] == name).sum()) for name in LABELS}
    return counts | {"not labelled": int((labels["label"] == "").sum())}


def _population(frame: pd.DataFrame, inside: NDArray[np.bool_], names: Sequence[str]) -> Strata:
    group, size = frame["group"].to_numpy()[inside], frame["area_km2"].to_numpy()[inside]
    cells = np.bincount(group, minlength=len(names))
    km2 = np.bincount(group, size, minlength=len(names)).astype(np.float64)
    return Strata(tuple(names), cells, km2)


def _strata_rows(
    frame: pd.DataFrame, rows: pd.DataFrame, names: Sequence[str]
) -> list[dict[str, Any]]:
    strata = _population(frame, np.ones(len(frame), bool), names)
    told = rows[rows["label"].isin((MINE, NO_MINE))]
    means = stratum_means(strata, told["group"], told["label"] == MINE)
    return [
        {
            "stratum": name,
            "cells": int(strata.cells[i]),
            "area_km2": round(float(strata.area[i]), 3),
            "drawn": int((rows["group"] == i).sum()),
            **count_labels(rows[rows["group"] == i]),
            "share_of_mines": _number(means.mean[i]) if means.labelled[i] else None,
            "low": _number(means.low[i]),
            "high": _number(means.high[i]),
            "estimated": bool(means.covered[i]),
        }
        for i, name in enumerate(names)
        if strata.cells[i]
    ]


def _region(
    part: Part, frame: pd.DataFrame, rows: pd.DataFrame, names: Sequence[str]
) -> dict[str, Any]:
    strata = _population(frame, part.inside, names)
    here = rows[part.inside[rows["row"]] & (rows["label"] != "")]
    told = here[here["label"] != CANNOT_TELL]
    mine = (told["label"] == MINE).to_numpy(float)
    means = stratum_means(strata, told["group"], mine)
    out = {
        name: round(float(strata.area[i]), 3)
        for i, name in enumerate(names)
        if not means.covered[i]
    }
    how = statement("area", cells=len(told), strata=int((means.labelled > 0).sum()))
    how += statement("area_interval")
    result: dict[str, Any] = {
        "name": part.name,
        "title": part.title,
        "kind": part.kind,
        "cells": int(strata.cells.sum()),
        "area_km2": round(float(strata.area.sum()), 3),
        "labelled": len(told),
        "mines": int(mine.sum()),
        "cannot_tell": len(here) - len(told),
        "not_estimated_km2": round(sum(out.values()), 3),
        "not_estimated": out,
        **how.record("how"),
        "cells_with_mining_km2": _figure(area(strata, means), strata, means.covered),
        "mined_km2": None,
    }
    result["cells_with_mining_km2"] |= _extremes(strata, here, here["label"] == MINE)
    told_share = told["share"].to_numpy(float)
    if len(told) and np.isfinite(told_share).all():
        fullest = float(rows["share"].max())
        most = fullest if fullest > 0 else 1.0
        shares = stratum_means(strata, told["group"], told_share, most)
        result["mined_km2"] = _figure(area(strata, shares), strata, shares.covered)
        result["mined_km2"] |= _extremes(strata, here, here["share"].fillna(0.0))
        result["mined_km2"] |= (how + statement("fullest", most=most)).record("how")
    return result


def _figure(found: Estimate, strata: Strata, covered: NDArray[np.bool_]) -> dict[str, Any]:
    most = float(strata.area[covered].sum())
    if not most:
        return dict.fromkeys(("value", "standard_error", "low", "high", "low_1_96", "high_1_96"))
    return {
        "value": _number(found.value),
        "standard_error": _number(found.error),
        "low": _number(found.low),
        "high": _number(found.high),
        # As published: the estimate give or take 1.96 standard errors.
        "low_1_96": _number(max(found.value - Z * found.error, 0.0)),
        "high_1_96": _number(min(found.value + Z * found.error, most)),
    }


def _extremes(strata: Strata, here: pd.DataFrame, value: pd.Series) -> dict[str, Any]:
    """Give the interval's ends if none, or all, of the cells marked cannot tell were mines."""
    unknown = (here["label"] == CANNOT_TELL).to_numpy()
    if not unknown.any():
        return {}
    ends = []
    for assumed in (0.0, 1.0):
        values = np.where(unknown, assumed, value.to_numpy(float))
        ends.append(area(strata, stratum_means(strata, here["group"], values)))
    return {
        "low_if_cannot_tell_is_no_mine": _number(ends[0].low),
        "high_if_cannot_tell_is_mine": _number(ends[1].high),
    }


def _accuracies(frame: pd.DataFrame, rows: pd.DataFrame, names: Sequence[str]) -> dict[str, Any]:
    strata = _population(frame, np.ones(len(frame), bool), names)
    judged = np.array([name not in _NOT_JUDGED for name in names])
    strata = strata.select(judged)
    told = rows[rows["label"].isin((MINE, NO_MINE)) & judged[rows["group"]]]
    how = statement("accuracy", cells=len(told)) + statement("accuracy_interval")
    result = {}
    for call, called in CALLS.items():
        is_called = np.isin(names, called)
        found = called_accuracy(strata, told["group"], told["label"] == MINE, is_called)
        mapped = np.where(is_called[told["group"]], MINE, NO_MINE)
        matrix = accuracy(
            strata, told["group"], mapped.tolist(), told["label"].tolist(), (MINE, NO_MINE)
        ).matrix
        result[call] = {
            "called": " and ".join(called),
            **how.record("how"),
            **{
                name: {key: _number(value) for key, value in dataclasses.asdict(one).items()}
                for name, one in found.items()
            },
            # Rows the map, columns the label: mine, no mine; proportions of the area.
            "error_matrix": [[_number(value) for value in line] for line in matrix],
        }
    return result


def _notes(result: dict[str, Any], rows: pd.DataFrame) -> list[str]:
    notes = []
    counts = result["labels"]
    if counts[CANNOT_TELL]:
        notes.append(
            f"{counts[CANNOT_TELL]} cells were labelled cannot tell: the estimate takes them to be "
            "like the other labelled cells of their stratum; the interval's ends if none, or all, "
            "of them were mines stand beside it"
        )
    if counts["not labelled"]:
        last = rows.loc[rows["label"] != "", "number"].max()
        skipped = int(((rows["label"] == "") & (rows["number"] < last)).sum())
        notes.append(
            f"{counts['not labelled']} cells are not labelled yet"
            + (
                f", {skipped} of them with numbers before others that are: if they were skipped "
                "for what they show, the estimate is wrong"
                if skipped
                else "; the numbers are in random order, so those before them are a random sample"
            )
        )
    for row in result["strata"]:
        told = row[MINE] + row[NO_MINE]
        if not row["estimated"]:
            notes.append(
                f"stratum {row['stratum']} ({row['area_km2']:g} km2) has {told} labelled cells, "
                "too few to estimate: it is outside of the figures"
            )
        elif row[MINE] == 0 and told < row["cells"]:
            notes.append(
                f"none of {told} labelled cells of stratum {row['stratum']} is a mine: that does "
                f"not make it free of mines, so the interval allows up to {row['high']:.2%} there"
            )
    missing = int(((rows["label"] == MINE) & rows["share"].isna()).sum())
    if missing and missing < counts[MINE]:
        notes.append(f"{missing} mines have no share: the mined area is not estimated")
    thin = [one["name"] for one in result["regions"][1:] if one["not_estimated_km2"] > 0]
    if thin:
        notes.append(
            "parts in which some strata have fewer than two labelled cells, and so are outside of "
            f"their figures: {', '.join(thin)}"
        )
    return notes


def _number(value: float) -> float | None:
    return float(f"{float(value):.6g}") if math.isfinite(value) else None


def long_table(record: dict[str, Any]) -> pd.DataFrame:
    """Lay out every figure in a row of its own, with how it was obtained.

    Parameters
    ----------
    record : dict
        Of ``estimate``.

    Returns
    -------
    pandas.DataFrame
        ``region, figure, unit, value, standard_error, low, high, labelled, cannot_tell,
        not_estimated_km2, how``.
    """
    rows = []
    for one in record["regions"]:
        for key, what in (("cells_with_mining_km2", "cells"), ("mined_km2", "mined")):
            if one[key] is not None:
                keep = {k: one[key][k] for k in ("value", "standard_error", "low", "high")}
                beside = {k: one[k] for k in ("labelled", "cannot_tell", "not_estimated_km2")}
                method = one[key].get("how", one["how"])
                how = {"figure": WHAT[what], "unit": "km2", "how": method}
                rows.append({"region": one["name"]} | how | keep | beside)
    words = {
        "overall": "share of the area that the map has right",
        "users": "user's accuracy: of what the map calls, share of the area that is a mine",
        "producers": "producer's accuracy: share of the mines' area that the map calls",
    }
    for one in record["accuracy"].values():
        for key, text in words.items():
            figure = {k: one[key][k] for k in ("value", "low", "high")}
            figure["standard_error"] = one[key]["error"]
            what = f"{text} (called: {one['called']})"
            rows.append(
                {"region": record["regions"][0]["name"], "figure": what, "unit": "share"}
                | figure
                | {"how": one["how"]}
            )
    names = "region figure unit value standard_error low high labelled cannot_tell"
    return pd.DataFrame(rows, columns=[*names.split(), "not_estimated_km2", "how"])
