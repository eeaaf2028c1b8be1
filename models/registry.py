"""Registered models: a folder each, with a manifest that says what the model is and what it is for.

``manifest.json`` names every other file with its sha256; weights are ``.npz`` without pickles or
``.skops`` with an exact list of allowed types. Nothing else is ever loaded.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from features.bank import FilterBank, bank_bytes, check_same_bank, load_bank
from models.calibration import Calibration
from models.errors import ModelError, ModelNotFoundError
from models.label_sets import LabelSets
from models.model import Model, columns_of
from models.ridge import RidgeModel
from models.scorer import PARTS, Scorer
from models.uncertainty import Doubt, doubt_arrays, doubt_from

FORMAT = 3
SHIPPED = Path(__file__).parent / "registry"
KINDS = tuple(PARTS)
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
# Forests as they were written out: one is a part of two models.
_dumped: WeakKeyDictionary[Any, bytes] = WeakKeyDictionary()
_FILES = {"ridge": "weights.npz", "forest": "forest.skops"}
_COMMON_FILES = ("bank.npz", "card.md", "cells.npz", "doubt.npz")
_MAX_BYTES = 256 * 1024 * 1024
_MAX_UNPACKED_BYTES = 8 * _MAX_BYTES
# Exactly what a forest of scikit-learn holds beyond skops' own list.
_FOREST_TYPES = {"sklearn.tree._tree.Tree"}


def write_model(
    folder: Path,
    manifest: dict[str, Any],
    bank: FilterBank,
    scorer: Scorer,
    doubt: Doubt,
    card: str,
    cells: NDArray[np.int64],
) -> None:
    """Write a model's files into an empty folder; the caller moves it to its place as a whole.

    Parameters
    ----------
    folder : pathlib.Path
        Empty.
    manifest : dict
        Without ``format``, ``bank`` and ``files``, which are added.
    bank : FilterBank
        Filters of its features.
    scorer : Scorer
        What scores features.
    doubt : Doubt
        What tells how sure it is.
    card : str
        The model's card, Markdown.
    cells : numpy.ndarray of int64
        Cells that it was trained on.
    """
    parts = {
        "bank.npz": bank_bytes(bank),
        "card.md": card.encode(),
        "cells.npz": _npz(cells=cells.astype(np.int64)),
        "doubt.npz": _npz(**doubt_arrays(doubt)),
    }
    parts |= {_FILES[name]: _dump(weights) for name, weights in scorer.parts.items()}
    for name, content in parts.items():
        (folder / name).write_bytes(content)
    full = manifest | {
        "format": FORMAT,
        "bank": bank.to_dict() | {"hash": bank.hash},
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in parts.items()},
    }
    text = json.dumps(full, indent=1, ensure_ascii=False, allow_nan=False)
    (folder / "manifest.json").write_text(text + "\n", encoding="utf-8")


def load_model(folder: Path) -> Model:
    """Load a model after checking that its files are the ones that its manifest names.

    Parameters
    ----------
    folder : pathlib.Path
        The model's folder.

    Returns
    -------
    Model
        Ready to predict.

    Raises
    ------
    ModelError
        If a file is missing, changed, too large, does not fit the others, or holds types that a
        model does not need.
    """
    manifest = read_manifest(folder)
    kind = manifest["kind"]
    parts = {}
    for name, sha256 in manifest["files"].items():
        if name not in (*_COMMON_FILES, *(_FILES[part] for part in PARTS[kind])):
            raise ModelError(f"{folder}: {name} does not belong to a {kind} model")
        try:
            if (folder / name).stat().st_size > _MAX_BYTES:
                raise ModelError(f"{folder / name}: too large for a model")
            parts[name] = (folder / name).read_bytes()
        except OSError as error:
            raise ModelError(f"{folder / name}: {error.strerror}") from None
        if hashlib.sha256(parts[name]).hexdigest() != sha256:
            raise ModelError(f"{folder / name}: not the file that the manifest names")
    try:
        bank = load_bank(parts["bank.npz"])
        curves = {name: Calibration(**curve) for name, curve in manifest["parts"].items()}
        weights = {name: _load(name, parts[_FILES[name]]) for name in PARTS[kind]}
        shares = {name: float(share) for name, share in manifest["shares"].items()}
        if set(shares) != set(curves) or not all(0 <= share <= 1 for share in shares.values()):
            raise ModelError("each part of a mean needs its share")
        scorer = Scorer(weights, curves, shares)
        with np.load(io.BytesIO(parts["cells.npz"]), allow_pickle=False) as arrays:
            cells = arrays["cells"]
        check_same_bank(bank.hash, manifest["bank"]["hash"])
        wanted = columns_of(bank, int(manifest.get("context", 1)))
        with np.load(io.BytesIO(parts["doubt.npz"]), allow_pickle=False) as arrays:
            doubt = doubt_from(arrays, wanted)
        if scorer.columns != wanted or cells.dtype != np.int64 or cells.ndim != 1:
            raise ModelError("weights, bank and cells do not fit together")
    except Exception as error:
        # A damaged or hostile archive fails anywhere in zip, zlib, NumPy and JSON.
        raise ModelError(f"{folder}: the model cannot be read: {error}") from error
    return Model(manifest, bank, scorer, doubt, cells)


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read a model's manifest.

    Parameters
    ----------
    folder : pathlib.Path
        The model's folder.

    Returns
    -------
    dict
        The manifest.

    Raises
    ------
    ModelError
        If it cannot be read or is of a kind that this version does not know.
    """
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        known = manifest["format"] == FORMAT and manifest["kind"] in KINDS
        check_name(manifest["id"])
        if known:
            for curve in (manifest["calibration"], *manifest["parts"].values()):
                Calibration(**{key: float(value) for key, value in curve.items()})
            LabelSets(**{key: float(value) for key, value in manifest["label_sets"].items()})
            if not 0 < float(manifest["most_disputed"]) < np.inf:
                raise ValueError("most_disputed is a number above 0")
        manifest["files"].items(), manifest["bank"]["hash"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(f"{folder}: no readable manifest: {error}") from None
    if not known:
        raise ModelError(f"{folder}: a model of another format or kind: train it again")
    return dict(manifest)


def registered(registries: Iterable[Path]) -> dict[str, Path]:
    """Return the folders of all registered models by name; an earlier registry wins.

    Parameters
    ----------
    registries : iterable of pathlib.Path
        Folders of models; one that is not there holds none.

    Returns
    -------
    dict of str to pathlib.Path
        Sorted by name within a registry. A folder whose name is not a model's, such as one that is
        just being written, does not count.
    """
    found: dict[str, Path] = {}
    for registry in registries:
        if registry.is_dir():
            for folder in sorted(registry.iterdir()):
                if _NAME.fullmatch(folder.name) and (folder / "manifest.json").is_file():
                    found.setdefault(folder.name, folder)
    return found


def find_model(name: str, registries: Iterable[Path]) -> Path:
    """Return the folder of a registered model.

    Parameters
    ----------
    name : str
        The model's name.
    registries : iterable of pathlib.Path
        Where to look, in this order.

    Returns
    -------
    pathlib.Path
        The model's folder.

    Raises
    ------
    ModelNotFoundError
        If no registry holds it.
    """
    folders = registered(registries)
    if name not in folders:
        raise ModelNotFoundError(
            f"no model is called {name!r}; registered: {', '.join(folders) or 'none'}"
        )
    return folders[name]


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
    if _NAME.fullmatch(name) is None:
        raise ModelError(f"a model's name holds a-z, 0-9 and hyphens only, not {name!r}")
    return name


def _dump(weights: Any) -> bytes:
    if isinstance(weights, RidgeModel):
        return _npz(coefficients=weights.coefficients, intercept=np.float64(weights.intercept))
    import skops.io  # seconds to import, and only forests need it

    content = _dumped.get(weights) if isinstance(weights, Pipeline) else None
    if content is None:
        content = skops.io.dumps(weights, compression=zipfile.ZIP_DEFLATED, compresslevel=9)
    if isinstance(weights, Pipeline):
        _dumped[weights] = content
    return content


def _npz(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def _load(kind: str, content: bytes) -> Any:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if sum(member.file_size for member in archive.infolist()) > _MAX_UNPACKED_BYTES:
            raise ModelError("unpacked, the weights are too large for a model")
    if kind == "ridge":
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            ridge = RidgeModel(arrays["coefficients"], float(arrays["intercept"]))
        if ridge.coefficients.ndim != 1 or not np.isfinite(ridge.coefficients).all():
            raise ModelError("coefficients are finite numbers in one row")
        return ridge
    import skops.io

    unknown = set(skops.io.get_untrusted_types(data=content)) - _FOREST_TYPES
    if unknown:
        raise ModelError(f"the file holds types that no forest needs: {sorted(unknown)}")
    forest = skops.io.loads(content, trusted=sorted(_FOREST_TYPES))
    # skops trusts all of scikit-learn; a forest is these steps only.
    steps = [type(step) for _, step in forest.steps] if type(forest) is Pipeline else []
    if steps != [StandardScaler, PCA, ExtraTreesClassifier]:
        raise ModelError("the file holds something else than a forest")
    for estimator in forest[-1].estimators_:
        _check_tree(estimator.tree_, forest["components"].n_components_)
    return forest


def _check_tree(tree: Any, columns: int) -> None:
    """Refuse a tree that scikit-learn, which does not look, would follow out of its memory."""
    inner = np.flatnonzero(tree.children_left != -1)
    for child in (tree.children_left[inner], tree.children_right[inner]):
        if not ((child > inner) & (child < tree.node_count)).all():
            raise ModelError("a tree's branches do not lead to its leaves")
    if not ((tree.feature[inner] >= 0) & (tree.feature[inner] < columns)).all():
        raise ModelError("a tree splits on a column that there is not")
