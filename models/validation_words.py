"""The table of validation for people: on the screen, and in a model's card."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

RANDOM, TRAINED, REGIONS, COUNTRIES = (
    "random rows",
    "folds as trained",
    "whole regions",
    "whole countries",
)
# Neither curve nor thresholds have seen what they judge.
CROSS_FITTED = "curve and label sets of each fold from the scores of the other folds"
HEADER = ("held out", "rows", "mines", "AUC", "AP", "first 100", "Brier (base)", "ECE",
          "sets: mine, not, size")  # fmt: skip
ABOUT = (
    "AUC and average precision of the scores; first 100: share of mines among the 100 highest; "
    "Brier score, and that of the prevalence said everywhere; ECE: expected calibration error; "
    "label sets of nine in ten: share of the mines, and of the others, whose set held them, and "
    "mean number of labels in a set. Probabilities and sets are cross-fitted: " + CROSS_FITTED + "."
)


def gap_words(rows: Sequence[dict[str, Any]]) -> str:
    """Return the line to read first: what random folds give away.

    Parameters
    ----------
    rows : sequence of dict
        As ``validation.validate`` gives them.

    Returns
    -------
    str
        Empty where random rows, or everything wider, could not be judged.
    """
    auc = {row["name"]: row["auc"] for row in rows if "left_out" not in row}
    widest = next((name for name in (REGIONS, COUNTRIES, TRAINED) if name in auc), "")
    if RANDOM not in auc or not widest:
        return ""
    gap = auc[RANDOM] - auc[widest]
    return (
        f"random folds AUC {auc[RANDOM]:.3f}, {widest} AUC {auc[widest]:.3f}: "
        f"the gap of {gap:.3f} is what neighbouring rows give away"
    )


def validation_rows(rows: Sequence[dict[str, Any]]) -> list[tuple[str, ...]]:
    """Return the figures as texts, the heading first.

    Parameters
    ----------
    rows : sequence of dict
        As ``validation.validate`` gives them; those left out are left out here too.

    Returns
    -------
    list of tuple of str
        As many texts a row as the heading has.
    """
    table: list[tuple[str, ...]] = [HEADER]
    for row in rows:
        if "left_out" in row:
            continue
        sets, first = row["sets"], row["precision_at"].get("100")
        table.append(
            (
                row["name"],
                str(row["n"]),
                str(row["positives"]),
                f"{row['auc']:.3f}",
                f"{row['ap']:.3f}",
                "-" if first is None else f"{first:.2f}",
                f"{row['brier']:.3f} ({row['brier_base']:.3f})",
                f"{row['ece']:.3f}",
                f"{sets['mine']:.3f}, {sets['not']:.3f}, {sets['size']:.2f}",
            )
        )
    return table


def left_out_words(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return a line for each way of holding out that could not be done.

    Parameters
    ----------
    rows : sequence of dict
        As ``validation.validate`` gives them.

    Returns
    -------
    list of str
        Name and reason.
    """
    return [f"{row['name']}: {row['left_out']}" for row in rows if "left_out" in row]


def size_words(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return a line for each class of size: how many of its mines were found.

    Parameters
    ----------
    rows : sequence of dict
        As ``validation.validate`` gives them.

    Returns
    -------
    list of str
        Of the widest way of holding out that could be judged; or why there is none.
    """
    judged = {row["name"]: row for row in rows if "left_out" not in row}
    name = next((name for name in (REGIONS, TRAINED) if name in judged), "")
    if name and not judged[name]["sizes"]:
        return ["recall by size: no row says how large its mine is"]
    return [
        f"{size['unit']} from {size['from']:g}: {size['found']} of {size['mines']} mines found "
        f"({size['found'] / size['mines']:.0%}) where 5 % of the others are called ({name})"
        for size in (judged[name]["sizes"] if name else ())
    ]


def validation_card(rows: Sequence[dict[str, Any]], kind: str) -> str:
    """Return the part of a model's card that tells of all this, Markdown.

    Parameters
    ----------
    rows : sequence of dict
        As ``validation.validate`` gives them; none: nothing is said.
    kind : str
        Of the model.

    Returns
    -------
    str
        A heading, a table and what it means, or nothing.
    """
    if not rows:
        return ""
    table = ["| " + " | ".join(row) + " |" for row in validation_rows(rows)]
    table.insert(1, "|---" * len(HEADER) + "|")
    gap = gap_words(rows)
    first = f"{gap[0].upper()}{gap[1:]}. " if gap else ""
    whose = "" if kind == "ridge" else "These figures are those of a ridge on the same rows. "
    judged = [row for row in rows if "left_out" not in row]
    how = [f"- {row['name']}: {row['how'].removesuffix('; ' + CROSS_FITTED)}." for row in judged]
    missing = [f"- Not judged: {line}." for line in left_out_words(rows)]
    sizes = [f"- {line[0].upper()}{line[1:]}." for line in size_words(rows)]
    lines = ["## What was held out", "", first + whose + ABOUT, "", *table, ""]
    return "\n".join([*lines, *how, *missing, *sizes, "", ""])
