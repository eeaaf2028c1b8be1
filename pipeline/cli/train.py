"""``dataset train tune models``: models, on visits or on an archive of chips."""

from __future__ import annotations

import argparse
from pathlib import Path

from models.classifiers import CLASSIFIERS
from pipeline.cli.verb import (
    IMAGERY,
    RUN,
    STORED_ONLY,
    Verb,
    config_of,
    option,
    session_of,
)


def _dataset(options: argparse.Namespace) -> None:
    from pipeline.train import dataset_region

    with session_of(options) as context:
        dataset_region(context, only=True)


def _train(options: argparse.Namespace) -> None:
    from pipeline.train import train_region
    from pipeline.training.train_chips import train_chips

    if options.chips:
        train_chips(
            Path(options.chips),
            options.name,
            config_of(options),
            leave_out=options.leave_out,
            without=options.without,
            weights=dict(options.weight),
            data=options.data,
            licence=options.licence,
            kind=options.kind or "",
        )
        return
    with session_of(options) as context:
        train_region(context, only=options.only)


def _tune(options: argparse.Namespace) -> None:
    from pipeline.training.tuning import tune_chips

    tune_chips(
        Path(options.chips),
        Path(options.out),
        config_of(options),
        without=options.without,
        weights=dict(options.weight),
        easy=options.easy,
    )


def _models(options: argparse.Namespace) -> None:
    from pipeline.runtime.console import console
    from pipeline.training.model_table import list_models

    console.print("\n".join(list_models(config_of(options).workspace.home)), markup=False)


def _weight(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    return name, float(value)


_TRAINING = (*RUN, *IMAGERY, "features.*", "min_observed")
_LABELS = (
    "labels", "labels_mapping", "label_column", "searched", "inspections", "use_sample",
    "positive_share", "visit_years",
)  # fmt: skip
_SUBSETS = (
    option(
        "--without", action="append", default=[], metavar="SUBSET", help="a subset not to train on"
    ),
    option(
        "--weight",
        action="append",
        default=[],
        type=_weight,
        metavar="SUBSET=N",
        help="SUBSET=3: its rows count 3-fold",
    ),
)

VERBS = (
    Verb(
        "dataset",
        "join features with labels to a training table",
        _dataset,
        ("dataset demo-train", "dataset ituri --config ituri.toml --labels visits.csv"),
        (*_TRAINING, *_LABELS),
    ),
    Verb(
        "train",
        "train and register models on labels, or on an archive of chips",
        _train,
        (
            "train ituri --labels visits.csv --season 2023-12..2024-02",
            "train --chips my-chips --name my-model --patches 3,4,5,6",
        ),
        (*_TRAINING, *_LABELS, "prior"),
        (
            STORED_ONLY,
            option("--chips", metavar="FOLDER", help="with chips.npz and chips.csv"),
            option("--name", default="chips", help="name of the models trained on chips"),
            option("--kind", choices=CLASSIFIERS, help="of chips: one model, called NAME"),
            option(
                "--leave-out",
                action="append",
                default=[],
                metavar="SQUARE",
                help="a square (column cell) not to be seen",
            ),
            *_SUBSETS,
            option("--data", default="", help="what the chips are, for the card"),
            option("--licence", default="", help="licence and credit of the chips"),
        ),
        ("filters", "patches", "recipe"),
    ),
    Verb(
        "tune",
        "search for the best setting of bank and model on chips, whole regions held out",
        _tune,
        (
            "tune --chips my-chips --out tuning.csv",
            "tune --chips my-chips --out tuning.csv --without coast --weight hills=3",
        ),
        ("workspace.*",),
        (
            option("--chips", required=True, metavar="FOLDER", help="with chips.npz and chips.csv"),
            option("--out", required=True, metavar="FILE", help="the table, CSV"),
            option(
                "--easy",
                action="append",
                default=[],
                metavar="SUBSET",
                help="a subset whose negatives do not judge",
            ),
            *_SUBSETS,
        ),
    ),
    Verb(
        "models",
        "compare the registered models",
        _models,
        ("models", "models --workspace s3://mining/atlas"),
        ("workspace.*",),
    ),
)
