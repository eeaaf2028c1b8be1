"""How good a map is: compared with labels, and every score says how it was obtained.

A score is only as wide as its labels: cells that were trained on, that the map cannot tell, that
hold a mere sliver of a mine, or that no label covers are counted and left out. Where every label is
a mine there is nothing to be wrong about, so only recall is measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.classes import can_tell, classify, cuts
from pipeline.errors import NoLabelsError
from pipeline.evaluation.accuracy import evaluate_scores
from pipeline.geo import grid
from pipeline.geo.regions import Region
from pipeline.sites.truth import Truth

MIN_KNOWN_SHARE = 0.25
SIZES_HA = (0.0, 0.5, 2.0, 5.0, 10.0, np.inf)
# Look-alikes that are listed one by one; fields and villages are only counted.
_NAMED_KINDS = ("pond", "sandbar", "pit", "quarry")
_LEFT_OUT = (
    "outside the region",
    "in the training table",
    "cannot tell",
    "ambiguous",
    "unlabelled",
)


@dataclass(frozen=True)
class Evaluation:
    """A map's scores against labels.

    Parameters
    ----------
    scores : dict
        See :func:`pipeline.evaluation.accuracy.evaluate_scores`.
    mines : dict
        Recall of whole mines by size class; a mine is found if any of its cells is called. Empty
        where the labels have no outlines.
    lookalikes : dict
        How things that look like mines were called, by kind. Empty where there are none.
    left_out : dict of str to int
        Cells that took no part, by reason.
    how : dict
        How the scores were obtained.
    """

    scores: dict[str, Any]
    mines: dict[str, Any] = field(default_factory=dict)
    lookalikes: dict[str, Any] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    how: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON values."""
        return {
            "scores": self.scores,
            "mines": self.mines,
            "lookalikes": self.lookalikes,
            "left_out": self.left_out,
            "how": self.how,
        }


def evaluate(
    cells: pd.DataFrame,
    truth: Truth,
    thresholds: Mapping[str, float],
    region: Region | None = None,
    seed: int = 0,
) -> Evaluation:
    """Compare a map with labels, cell by cell and mine by mine.

    Parameters
    ----------
    cells : pandas.DataFrame
        ``cell`` and ``probability``; with ``dissimilarity``, cells that the map draws grey take no
        part, and with ``in_training`` those that the model was trained on.
    truth : Truth
        As from :func:`pipeline.sites.truth.read_truth`.
    thresholds : mapping
        ``possible`` and ``likely`` of the map's model.
    region : Region, optional
        Only its cells take part.
    seed : int, optional
        Of the bootstrap.

    Returns
    -------
    Evaluation
        Counts, rates and curves.

    Raises
    ------
    NoLabelsError
        If no mine is left to be found.
    """
    # Called as the map calls them: a grey cell has no score, and thresholds are float32 as it is.
    told = can_tell(cells["probability"], cells.get("dissimilarity"))
    score = cells["probability"].astype(np.float32).where(told).astype(float)
    table = pd.DataFrame({"cell": cells["cell"], "probability": score})
    table = table.merge(truth.cells, on="cell", how="left")
    own_cuts = dict(zip(("possible", "likely"), map(float, cuts(thresholds)), strict=True))
    trained = cells["in_training"].to_numpy(bool) if "in_training" in cells else False
    mined, known = table["positive_ha"].fillna(0), table["known_share"].fillna(0)
    positive = np.asarray(mined >= truth.unit_ha)
    negative = np.asarray((mined == 0) & (known >= MIN_KNOWN_SHARE))
    reasons = [
        ~_within(region, table["cell"].to_numpy(np.int64)),
        np.broadcast_to(trained, len(table)),
        np.asarray(table["probability"].isna()),
        np.asarray(~positive & (mined > 0)),
        ~positive & ~negative,
    ]
    why = np.select(reasons, _LEFT_OUT, default="")
    taken = why == ""
    if not positive[taken].any():
        raise NoLabelsError(
            "no mine is left to compare the map with",
            where=truth.how,
            next_step="the cells were left out: " + _counted(why),
        )
    used = table[taken]
    blocks = _blocks(used["cell"].to_numpy(np.int64))
    scores = evaluate_scores(positive[taken], used["probability"], blocks, own_cuts, seed)
    cut = {name: point["threshold"] for name, point in scores["at"].items()}
    # A look-alike or a mine is judged by every cell that was not trained on, slivers included.
    here = table.loc[~reasons[0], "cell"]
    judged = table[np.isin(why, ["", "ambiguous", "unlabelled"])]
    probability = judged.set_index("cell")["probability"]
    mines: dict[str, Any] = {}
    if truth.mines is not None:
        mines = _mines(truth.mines[truth.mines["cell"].isin(here)], probability, cut)
    lookalikes: dict[str, Any] = {}
    if truth.lookalikes is not None:
        # A mine in the same cell would answer for the look-alike.
        alone = probability[~probability.index.isin(table.loc[mined > 0, "cell"])]
        others = truth.lookalikes[truth.lookalikes["cell"].isin(here)]
        lookalikes = _lookalikes(others, alone, thresholds)
    return Evaluation(
        scores,
        mines,
        lookalikes,
        {reason: int((why == reason).sum()) for reason in _LEFT_OUT},
        {
            "labels": truth.how,
            "form": truth.form,
            "region": region.name if region else "",
            "simulated": bool(region.simulated) if region else False,
            "cell_degrees": grid.CELL_DEGREES,
            "mine_if_at_least": f"{truth.unit_ha:g} "
            + ("mine" if truth.form == "points" else "ha"),
            "free_if_labelled_share_at_least": MIN_KNOWN_SHARE,
            "groups": "0.1-degree blocks",
            "seed": seed,
        },
    )


def _mines(
    mines: pd.DataFrame, probability: pd.Series[float], cuts: Mapping[str, float]
) -> dict[str, Any]:
    inside = mines[mines["cell"].isin(probability.index)]
    best = probability.reindex(inside["cell"]).groupby(inside["object"].to_numpy()).max()
    area = inside.groupby("object")["area_ha"].first().reindex(best.index)
    if area.isna().all():
        return {"all": _recall(best, cuts)}
    sized = {
        _size_name(low, high): _recall(best[(area >= low) & (area < high)], cuts)
        for low, high in pairwise(SIZES_HA)
    }
    return {
        "all": _recall(best, cuts),
        "2 ha or more": _recall(best[area >= 2], cuts),
        "by size": sized,
        "left out": int(mines["object"].nunique() - len(best)),
    }


def _size_name(low: float, high: float) -> str:
    if low == 0:
        return f"below {high:g} ha"
    return f"{low:g} ha or more" if np.isinf(high) else f"{low:g} to {high:g} ha"


def _recall(best: pd.Series[float], cuts: Mapping[str, float]) -> dict[str, float | int | None]:
    count = len(best)
    return {"mines": count} | {
        name: float((best >= cut).mean()) if count else None for name, cut in cuts.items()
    }


def _lookalikes(
    others: pd.DataFrame, probability: pd.Series[float], thresholds: Mapping[str, float]
) -> dict[str, Any]:
    """How look-alikes were called; those whose every cell also holds a mine cannot be judged."""
    inside = others[others["cell"].isin(probability.index)]
    best = probability.reindex(inside["cell"]).groupby(inside["object"].to_numpy()).max()
    about = inside.groupby("object")[["kind", "name"]].first().reindex(best.index)
    called = pd.Series(classify(best.to_numpy(np.float32), thresholds), index=best.index)
    kinds = {}
    for kind in sorted(others["kind"].unique()):
        rows = called[about["kind"] == kind]
        total = others.loc[others["kind"] == kind, "object"].nunique()
        counts = {name: int((rows == name).sum()) for name in ("likely", "possible", "unlikely")}
        kinds[kind] = {"number": total, **counts, "not judged": total - sum(counts.values())}
    frame = about.assign(call=called, probability=best).sort_values("probability", ascending=False)
    named = [
        {"kind": str(kind), "name": str(name), "call": str(call), "probability": round(p, 4)}
        for kind, name, call, p in frame.itertuples(index=False)
        if any(word in str(kind) for word in _NAMED_KINDS)
    ]
    return {"kinds": kinds, "named": named}


def _within(region: Region | None, cells: NDArray[np.int64]) -> NDArray[np.bool_]:
    if region is None:
        return np.ones(len(cells), bool)
    return region.contains(cells)


def _blocks(cells: NDArray[np.int64]) -> NDArray[np.int64]:
    rows, cols = np.divmod(cells, grid.CELL_COLUMNS)
    blocks: NDArray[np.int64] = (
        rows // grid.CELLS_PER_BLOCK * grid.BLOCK_COLUMNS + cols // grid.CELLS_PER_BLOCK
    )
    return blocks


def _counted(why: NDArray[np.str_]) -> str:
    counts = [(reason, int((why == reason).sum())) for reason in _LEFT_OUT]
    return ", ".join(f"{count:,} {reason}" for reason, count in counts if count) or "none"


def describe(evaluation: Evaluation) -> str:
    """Return an evaluation as a table in plain text."""
    scores, how = evaluation.scores, evaluation.how
    title = "SIMULATED landscape: " if how.get("simulated") else ""
    lines = [
        f"{title}{scores['n']:,} cells, {scores['positives']:,} with mines "
        f"(prevalence {scores['prevalence']:.3f})"
        + (f", region {how['region']}" if how.get("region") else ""),
        f"labels: {how.get('labels', '')}",
        "left out: "
        + (", ".join(f"{n:,} {why}" for why, n in evaluation.left_out.items() if n) or "none"),
        "",
    ]
    if scores["auc"] is None:
        lines.append(f"AUC and AP not measured: {scores['why_no_auc']}")
    else:
        interval = scores["auc_interval"]
        spread = f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else ""
        lines.append(f"AUC {scores['auc']:.3f}{spread} ({scores['interval_how']})")
        lines.append(f"AP  {scores['ap']:.3f} (a blind map: {scores['prevalence']:.3f})")
    head: tuple[str, ...] = ("at", "threshold", "precision", "recall", "false share")
    rows = [
        (name.replace("_", " "), _number(at["threshold"]), _number(at["precision"]),
         _number(at["recall"]), _number(at["false_share"]))
        for name, at in scores["at"].items()
    ]  # fmt: skip
    lines += ["", *_aligned([head, *rows])]
    mines = evaluation.mines
    if mines:
        cuts = list(scores["at"])
        sizes = {"all": mines["all"], **mines.get("by size", {})}
        if "2 ha or more" in mines:
            sizes["2 ha or more"] = mines["2 ha or more"]
        rows = [
            (name, str(row["mines"]), *(_number(row[cut]) for cut in cuts))
            for name, row in sizes.items()
        ]
        head = ("recall of mines", "mines", *(cut.replace("_", " ") for cut in cuts))
        lines += ["", *_aligned([head, *rows])]
    kinds = evaluation.lookalikes.get("kinds", {})
    if kinds:
        head = ("look-alikes", "number", "likely", "possible", "unlikely", "not judged")
        rows = [(kind, *(str(counts[name]) for name in head[1:])) for kind, counts in kinds.items()]
        lines += ["", *_aligned([head, *rows])]
        worst = [item for item in evaluation.lookalikes["named"] if item["call"] != "unlikely"]
        lines += [
            f"  {item['kind']} {item['name']}: {item['call']}, {item['probability']:.2f}"
            for item in worst[:20]
        ]
        if len(worst) > 20:
            lines.append(f"  and {len(worst) - 20} more, in the JSON file")
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if at == 0 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
