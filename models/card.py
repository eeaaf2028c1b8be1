"""A model's card: what it is for, what it was trained on and how it scored, in words."""

from __future__ import annotations

from features.bank import FilterBank
from features.recipe import ATLAS
from models.manifest import Data, Manifest
from models.validation_words import validation_card


def write_card(manifest: Manifest, bank: FilterBank) -> str:
    """Return the card as Markdown.

    Parameters
    ----------
    manifest : Manifest
        The model's manifest, as given to ``write_model``.
    bank : FilterBank
        Filters of its features.

    Returns
    -------
    str
        The card.
    """
    apart, data, pooled = manifest.apart, manifest.data, manifest.scores.pooled
    share = data.unlabelled.share if data.unlabelled else data.positives / data.rows
    simulated = "**SIMULATED: trained on an invented landscape, of no use on Earth.**\n\n"
    rows = "\n".join(
        f"| {fold['fold']} | {fold['n']} | {fold['positives']} | {_show(fold['auc'])} "
        f"| {_show(fold['ap'])} |"
        for fold in manifest.scores.folds
    )
    steps = f", {bank.scaling.steps} steps" if bank.scaling.steps else ""
    recipe = "" if bank.recipe == ATLAS.name else f", recipe {bank.recipe}"
    sizes = ", ".join(f"{group.patch} x {group.patch}" for group in bank.groups)
    samples = f", labelled samples {', '.join(data.samples)} among them" if data.samples else ""
    return f"""# {manifest.name}

{simulated if manifest.simulated else ""}A {manifest.kind} on random convolutional features
(Rolf et al. 2021) that scores whether a cell of about 550 m holds artisanal mining.
A model score is not a verified site and not evidence of illegality.

| | |
|---|---|
| imagery | {bank.level}, bands {" ".join(bank.bands)} in this order |
| scaling | reflectance 0..{bank.scaling.clip:g} as 0..1{steps} |
| features | {sum(group.count for group in bank.groups)} filters, patches of {sizes} px, \
biases {", ".join(f"{bias:g}" for bias in bank.biases)}{recipe} |
| bank | {manifest.bank_hash} |
| trained on | {data.description} |
| rows | {data.rows}, {data.positives} of them mines \
({data.positives / data.rows:.1%}){samples} |
| licence and credit of the data | {data.licence} |
| ground | {manifest.ground.description} |
| trained | {manifest.created} |

## Scores

How obtained: {manifest.scores.how}

All folds together: AUC {_show(pooled.auc)}, average precision {_show(pooled.ap)} at a
prevalence of {pooled.prevalence:.1%}, {pooled.n} rows.

| fold | rows | mines | AUC | AP |
|---|---|---|---|---|
{rows}

By {apart.how}: AUC {_show(apart.auc)}, average precision {_show(apart.ap)}, \
Brier score {_show(apart.brier)} (of the prevalence alone {_show(apart.brier_base)}).

{validation_card(manifest.validation, manifest.kind)}## The number

The probability is calibrated on these scores to a prevalence of {share:.1%}; \
where mines are rarer it is too high unless `--prevalence` says how rare they are.
Label sets hold the true label for {manifest.label_sets.level:.0%} of each class, \
on average over such places.
{_unlabelled(data)}"Likely" begins at {manifest.thresholds["likely"]:.3f} \
(1 % of the negatives called, out of
fold), "possible" at {manifest.thresholds["possible"]:.3f} (5 %).

{_sensitivity(manifest)}## Not for

Imagery of other bands, level or scaling (refused), places unlike the training ground, single cells
taken as proof.
"""


def _unlabelled(data: Data) -> str:
    if data.unlabelled is None:
        return ""
    return (
        f"{data.unlabelled.rows} rows are unlabelled, not negative: {data.unlabelled.prior:.2%} of "
        f"them are taken to be mines ({data.unlabelled.how}), and scores and thresholds allow for "
        "it.\n"
    )


def _sensitivity(manifest: Manifest) -> str:
    if not manifest.sensitivity:
        return ""
    lines = "\n".join(
        f"| {row['assumption']} | {row['value']:g} | {_show(row['auc'])} "
        f"| {_show(row['spearman'])} | {row['likely']:.1%} |"
        for row in manifest.sensitivity
    )
    return f"""## What it hangs on

Visited mines are the accessible ones, and nobody knows how many mines are among the unlabelled \
cells. What the model would have been under other assumptions: the share of mines among unlabelled
cells (prior; it moves no rank), accessible mines visited with so many times the odds of remote ones
(odds ratio), and the weight that mines have in the fit (positive share). AUC out of fold, corrected
for the mines among the unlabelled; rank correlation with the model; share of the unlabelled rows
called likely.

| assumption | value | AUC | rank correlation | likely |
|---|---|---|---|---|
{lines}

"""


def _show(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
