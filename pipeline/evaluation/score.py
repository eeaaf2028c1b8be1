"""Score chips with a registered model: one row a chip."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from features.scaling import Scaling
from models.model import Model, Predictions
from pipeline.errors import ModelMismatchError
from pipeline.imagery.chips import ChipImagery, Chips
from pipeline.runtime.console import say
from pipeline.runtime.files import whole_file
from pipeline.training.chips import features_of

# More chips than these that are unlike anything seen: the pixels may be something else.
MANY_UNLIKE = 0.5


def score_chips(chips: Chips, model: Model, prevalence: float | None = None) -> Predictions:
    """Say of each chip how probable mining is, and how sure that is.

    Parameters
    ----------
    chips : Chips
        Of the model's bands, level and scaling.
    model : Model
        Registered.
    prevalence : float, optional
        Share of mines among the chips; default: as among the training rows.

    Returns
    -------
    Predictions
        One value a chip.

    Raises
    ------
    ModelMismatchError
        If the chips are not the imagery that the model is for; both are named.
    """
    theirs = chips.imagery
    ours = ChipImagery(
        tuple(model.manifest.bands), model.manifest.level, Scaling(*model.manifest.scaling.pixels)
    )
    if theirs != ours:
        raise ModelMismatchError(
            f"the model {model.name} is for {words(ours)}, the chips are {words(theirs)}",
            next_step="choose a model of the same imagery (asm-atlas models lists them)",
        )
    if model.manifest.neighbourhood != 1:
        raise ModelMismatchError(
            f"the model {model.name} looks at the cells around each cell; a chip has none",
            next_step="choose a model of context 1 (asm-atlas models lists them)",
        )
    features = features_of(chips, np.arange(len(chips.pixels)), model.bank, "score")
    return model.predict(features, model.bank.hash, prevalence=prevalence)


def write_scores(found: Predictions, path: Path) -> None:
    """Write one row a chip, whole or not at all.

    Parameters
    ----------
    found : Predictions
        Of all chips.
    path : pathlib.Path
        A CSV file: ``chip`` (number), ``probability``, ``low`` and ``high`` (0..1), ``labels``
        (``mine``, ``not``, ``both``, ``neither``), ``dissimilarity`` and ``dispute`` (1 at the
        model's thresholds), ``applicable`` and ``unlike`` (1 or 0).
    """
    table = pd.DataFrame(
        {
            "chip": np.arange(len(found.probability)),
            "probability": found.probability,
            "low": found.low,
            "high": found.high,
            "labels": found.labels,
            "dissimilarity": found.dissimilarity,
            "dispute": found.dispute,
            "applicable": found.applicable.astype(int),
            "unlike": found.unlike.astype(int),
        }
    )
    with whole_file(path) as beside:
        table.to_csv(beside, index=False, float_format="%.6f", lineterminator="\n")
    seen = np.isfinite(found.probability)
    say(
        "score",
        f"{len(table)} chips: {path}; {found.unlike[seen].mean():.1%} are unlike the training "
        f"chips, {(~found.applicable[seen]).mean():.1%} lie outside the model's area in all",
    )
    if found.unlike[seen].mean() > MANY_UNLIKE:
        say("", "so many unlike ones may be other bands, another order or another scale")


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
