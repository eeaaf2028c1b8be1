"""A model's manifest: what it is, from what it was trained and how it scored."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from features.scaling import Scaling
from models.calibration import Calibration
from models.classifiers import CLASSIFIERS
from models.errors import ModelError
from models.label_sets import LabelSets
from models.statement import Code

FILE = "manifest.json"
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
# Files of another format are refused; of keys that are not known here, see ``from_record``.
FORMAT = 3
# Fields that files call otherwise.
_KEYS = {"name": "id", "neighbourhood": "context"}

Part = TypeVar("Part")


@dataclass(frozen=True)
class Unlabelled:
    """Training rows that nobody has labelled.

    Parameters
    ----------
    rows : int
        How many.
    prior : float
        Share of them that are taken to be mines.
    how : str
        Where the prior comes from.
    share : float
        Of mines, labelled or not, among the labelled mines and the unlabelled rows.
    """

    rows: int
    prior: float
    how: str
    share: float


@dataclass(frozen=True)
class Data:
    """What a model was trained on.

    Parameters
    ----------
    description : str
        What the rows are, in words.
    sha256 : str
        Identity of the data.
    licence : str
        Licence and credit of the data.
    rows, positives : int
        All rows, and those that are mines.
    unlabelled : Unlabelled or None
        Rows that nobody has labelled; None: every label is known.
    samples : sequence of str
        Samples for area estimates that are among the rows.
    description_codes : sequence of dict
        The description by code; see :mod:`models.statement`. Empty: it was not recorded.
    """

    description: str
    sha256: str
    licence: str
    rows: int
    positives: int
    unlabelled: Unlabelled | None = None
    samples: Sequence[str] = ()
    description_codes: Sequence[Code] = ()


@dataclass(frozen=True)
class Ground:
    """Where the training rows lie.

    Parameters
    ----------
    description : str
        In words.
    squares : sequence of (int, int)
        South-west corners (lon, lat) of the 1-degree squares that hold rows.
    """

    description: str
    squares: Sequence[Sequence[int]]


@dataclass(frozen=True)
class Figures:
    """How well scores rank rows; see ``scores.score``.

    Parameters
    ----------
    n, positives : int
        All rows, and the mines.
    prevalence, auc, ap : float or None
        Share of mines, area under the curve and average precision; None where one class is missing.
    """

    n: int
    positives: int
    prevalence: float | None
    auc: float | None
    ap: float | None


@dataclass(frozen=True)
class Scores:
    """Out-of-fold scores by the spatial folds.

    Parameters
    ----------
    how : str
        How they were obtained.
    pooled : Figures
        All folds together.
    folds : list of dict
        The same of each ``fold``.
    how_codes : sequence of dict
        How they were obtained, by code; empty: it was not recorded.
    """

    how: str
    pooled: Figures
    folds: list[dict[str, Any]]
    how_codes: Sequence[Code] = ()


@dataclass(frozen=True)
class Apart:
    """Probabilities where whole regions were held out; see ``scores.score_probabilities``.

    Parameters
    ----------
    how : str
        What was held out.
    n, positives : int
        All rows, and the mines.
    prevalence, auc, ap : float or None
        As of ``Figures``.
    brier, brier_base : float
        Brier score, and that of the prevalence said everywhere.
    precision_at : dict of str to float
        Share of mines among so many of the first rows.
    reliability : list of list
        Mean probability, share of mines and rows of ten parts.
    regions : list of dict
        Figures of each region.
    how_codes : sequence of dict
        What was held out, by code; empty: it was not recorded.
    """

    how: str
    n: int
    positives: int
    prevalence: float | None
    auc: float | None
    ap: float | None
    brier: float
    brier_base: float
    precision_at: dict[str, float] = field(default_factory=dict)
    reliability: list[list[float]] = field(default_factory=list)
    regions: list[dict[str, Any]] = field(default_factory=list)
    how_codes: Sequence[Code] = ()


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a model is; ``manifest.json`` has the fields in this order.

    Parameters
    ----------
    name : str
        In the registry; files call it ``id``.
    kind : str
        Of classifier, a key of ``classifiers.CLASSIFIERS``.
    created : str
        When it was trained, ISO.
    inputs : str
        Hash of everything that it depends on.
    bank_hash : str
        Of the features' bank.
    neighbourhood : int
        Side, in cells, of the square whose mean features it takes besides a cell's own; 1: none.
        Files call it ``context``.
    quarters : bool
        Whether a cell's score is that of the strongest of its four quarters.
    bands : sequence of str
        Of the imagery, in this order.
    level : str
        Of the imagery.
    scaling : Scaling
        From reflectance to what the filters see.
    simulated : bool
        Whether the imagery is invented.
    data : Data
        What it was trained on.
    ground : Ground
        Where that lies.
    scores : Scores
        By the spatial folds.
    apart : Apart
        By whole regions.
    calibration : Calibration
        From scores to probabilities.
    parts : dict of str to Calibration
        Of a mean: from the scores of each part to its logits.
    shares : dict of str to float
        Of a mean: what each part counts for.
    label_sets : LabelSets
        Which scores belong to which set of labels.
    thresholds : dict of str to float
        Probabilities from which a cell is ``possible`` and ``likely``.
    most_disputed : float
        Dispute beyond which the model may not be asked; above 0.
    sensitivity : list of dict
        What other assumptions would have given (``sensitivity.sensitivity``).
    validation : list of dict
        Figures of each way of holding out (``validation.validate``).
    chosen : dict of str to float
        The penalty of the ridge.
    seed : int
        Of the fit.
    software : dict of str to str
        Versions.
    format : int
        Of the manifest.
    bank : dict
        The bank's description, and its hash.
    files : dict of str to str
        sha256 of each other file.
    """

    name: str
    kind: str
    created: str
    inputs: str = ""
    bank_hash: str
    neighbourhood: int = 1
    quarters: bool = False
    bands: Sequence[str]
    level: str
    scaling: Scaling
    simulated: bool
    data: Data
    ground: Ground
    scores: Scores
    apart: Apart
    calibration: Calibration
    parts: Mapping[str, Calibration] = field(default_factory=dict)
    shares: Mapping[str, float] = field(default_factory=dict)
    label_sets: LabelSets
    thresholds: dict[str, float]
    most_disputed: float
    sensitivity: list[dict[str, Any]] = field(default_factory=list)
    validation: list[dict[str, Any]] = field(default_factory=list)
    chosen: dict[str, float] = field(default_factory=dict)
    seed: int = 0
    software: dict[str, str] = field(default_factory=dict)
    format: int = FORMAT
    bank: dict[str, Any] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_name(self.name)
        if not 0 < self.most_disputed < np.inf:
            raise ModelError("most_disputed is a number above 0")

    @cached_property
    def record(self) -> dict[str, Any]:
        """What ``manifest.json`` holds; of a manifest that was read, with all keys of its file."""
        record = {_KEYS.get(name, name): value for name, value in asdict(self).items()}
        record["data"]["unlabelled"] = record["data"]["unlabelled"] or {}
        return record

    @property
    def sha256(self) -> str:
        """Of the record without its date, which names every other file by its own."""
        dated = {key: value for key, value in self.record.items() if key != "created"}
        return hashlib.sha256(json.dumps(dated, sort_keys=True).encode()).hexdigest()

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Manifest:
        """Make it from what a file holds.

        Parameters
        ----------
        record : dict
            All of it. Keys that are not known here stay in ``record`` and in ``sha256``, but for
            those of a curve or of label sets, which would change what they mean.

        Returns
        -------
        Manifest
            The same.

        Raises
        ------
        ModelError
            If the format or the kind is not known, or the name or a number is none.
        KeyError, TypeError, ValueError, AttributeError
            If something is missing or of another form.
        """
        if record["format"] != FORMAT or record["kind"] not in CLASSIFIERS:
            raise ModelError("a model of another format or kind: train it again")
        data, scores = record["data"], record["scores"]
        unlabelled = data.get("unlabelled")
        known = {name: record[key] for name, key in _KEYS.items() if key in record} | {
            "scaling": Scaling.from_dict(record["scaling"]),
            "data": _part(
                Data, data, unlabelled=_part(Unlabelled, unlabelled) if unlabelled else None
            ),
            "ground": _part(Ground, record["ground"]),
            "scores": _part(Scores, scores, pooled=_part(Figures, scores["pooled"])),
            "apart": _part(Apart, record["apart"]),
            "calibration": Calibration(**_numbers(record["calibration"])),
            "parts": {name: Calibration(**_numbers(one)) for name, one in record["parts"].items()},
            "shares": _numbers(record["shares"]),
            "label_sets": LabelSets(**_numbers(record["label_sets"])),
            "most_disputed": float(record["most_disputed"]),
            "bank": record["bank"] | {"hash": record["bank"]["hash"]},
            "files": {**record["files"]},
        }
        found = _part(cls, record, **known)
        vars(found)["record"] = dict(record)
        return found


def read_manifest(folder: Path) -> Manifest:
    """Read a model's manifest.

    Parameters
    ----------
    folder : pathlib.Path
        The model's folder.

    Returns
    -------
    Manifest
        The manifest.

    Raises
    ------
    ModelError
        If it cannot be read or is of a kind that this version does not know.
    """
    try:
        return Manifest.from_record(json.loads((folder / FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(f"{folder}: no readable manifest: {error}") from None


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write a model's manifest.

    Parameters
    ----------
    folder : pathlib.Path
        The model's folder.
    manifest : Manifest
        Its manifest.

    Raises
    ------
    ValueError
        If a number is not finite.
    """
    text = json.dumps(manifest.record, indent=1, ensure_ascii=False, allow_nan=False)
    (folder / FILE).write_text(text + "\n", encoding="utf-8")


def check_name(name: str) -> str:
    """Return a model's name if it is fit to be a folder's.

    Parameters
    ----------
    name : str
        The name.

    Returns
    -------
    str
        The same.

    Raises
    ------
    ModelError
        If it is not of the form ``[a-z0-9][a-z0-9-]*``, at most 64 letters.
    """
    if NAME.fullmatch(name) is None:
        raise ModelError(f"a model's name holds a-z, 0-9 and hyphens only, not {name!r}")
    return name


def _part(kind: type[Part], record: Mapping[str, Any], **made: Any) -> Part:
    """Make a dataclass from the keys of a record that it knows; some were made into parts."""
    known = {one.name for one in fields(kind)}  # type: ignore[arg-type]
    return kind(**{key: value for key, value in record.items() if key in known} | made)


def _numbers(record: Mapping[str, Any]) -> dict[str, float]:
    return {key: float(value) for key, value in record.items()}
