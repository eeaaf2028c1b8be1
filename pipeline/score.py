"""Score chips with a registered model: one row a chip."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from features.rcf import chip_features
from features.scaling import Scaling
from models.registry import Model
from pipeline.errors import ModelMismatchError
from pipeline.imagery.chips import ChipImagery, Chips
from pipeline.runtime.console import bar, say
from pipeline.runtime.files import whole_file

CHIPS_AT_ONCE = 64


def score_chips(chips: Chips, model: Model) -> NDArray[np.float32]:
    """Return the probability of mining of each chip.

    Parameters
    ----------
    chips : Chips
        Of the model's bands, level and scaling.
    model : Model
        Registered.

    Returns
    -------
    numpy.ndarray of float32, shape (n,)
        0..1.

    Raises
    ------
    ModelMismatchError
        If the chips are not the imagery that the model is for; both are named.
    """
    theirs = chips.imagery
    ours = ChipImagery(
        tuple(model.manifest["bands"]),
        model.manifest["level"],
        Scaling(*Scaling.from_dict(model.manifest["scaling"]).pixels),
    )
    if theirs != ours:
        raise ModelMismatchError(
            f"the model {model.name} is for {words(ours)}, the chips are {words(theirs)}",
            next_step="choose a model of the same imagery (asm-atlas models lists them)",
        )
    if model.context != 1:
        raise ModelMismatchError(
            f"the model {model.name} looks at the cells around each cell; a chip has none",
            next_step="choose a model of context 1 (asm-atlas models lists them)",
        )
    starts = range(0, len(chips.pixels), CHIPS_AT_ONCE)
    parts = []
    for start in bar(starts, "score", len(starts)):
        features, _ = chip_features(
            chips.reflectance(slice(start, start + CHIPS_AT_ONCE)), model.bank
        )
        parts.append(model.probability(features, model.bank.hash))
    return np.concatenate(parts)


def write_scores(probabilities: NDArray[np.float32], path: Path) -> None:
    """Write ``chip,probability``, one row a chip, whole or not at all."""
    with whole_file(path) as beside:
        rows = (f"{chip},{value:.6f}" for chip, value in enumerate(probabilities))
        beside.write_text("\n".join(["chip,probability", *rows]) + "\n", encoding="utf-8")
    say("score", f"{len(probabilities)} chips: {path}")


def words(imagery: ChipImagery) -> str:
    """Level, bands and scaling in words."""
    return f"{imagery.level} {' '.join(imagery.bands)}, {imagery.scaling}"


def chip_imagery(
    bands: str | None, level: str | None, clip: float | None, steps: int | None
) -> ChipImagery:
    """Return what chips are declared to be; what is not said is as in the archive's form.

    Parameters
    ----------
    bands : str or None
        Names with commas between them.
    level : str or None
        ``L1C`` or ``L2A``.
    clip : float or None
        Reflectance at which pixels saturate.
    steps : int or None
        Steps that the pixels came in.

    Returns
    -------
    ChipImagery
        The declared imagery.
    """
    usual = ChipImagery()
    return ChipImagery(
        tuple(bands.split(",")) if bands else usual.bands,
        level or usual.level,
        Scaling(clip or usual.scaling.clip, usual.scaling.steps if steps is None else steps),
    )
