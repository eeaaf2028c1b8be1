"""Registered models: a folder each, with a manifest that says what the model is and what it is for.

``manifest.json`` names every other file with its sha256; weights are ``.npz`` without pickles or
``.skops`` with an exact list of allowed types. Nothing else is ever loaded.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from features.bank import FilterBank, bank_bytes, check_same_bank, load_bank
from models.arrays import pack, unpack
from models.classifier import Classifier, classifier_of
from models.errors import ModelError, ModelNotFoundError
from models.manifest import FILE, NAME, Manifest, read_manifest, write_manifest
from models.model import Model, columns_of
from models.uncertainty import Uncertainty

SHIPPED = Path(__file__).parent / "registry"
_BANK, _CARD, _CELLS, _UNCERTAINTY = "bank.npz", "card.md", "cells.npz", "doubt.npz"
_MAX_BYTES = 256 * 1024 * 1024
_MAX_UNPACKED_BYTES = 8 * _MAX_BYTES


def write_model(
    folder: Path,
    manifest: Manifest,
    bank: FilterBank,
    classifier: Classifier,
    uncertainty: Uncertainty,
    card: str,
    cells: NDArray[np.int64],
) -> None:
    """Write a model's files into an empty folder; the caller moves it to its place as a whole.

    Parameters
    ----------
    folder : pathlib.Path
        Empty.
    manifest : Manifest
        Without ``bank`` and ``files``, which are added.
    bank : FilterBank
        Filters of its features.
    classifier : Classifier
        What scores features.
    uncertainty : Uncertainty
        What tells how sure it is.
    card : str
        The model's card, Markdown.
    cells : numpy.ndarray of int64
        Cells that it was trained on.
    """
    files = {
        _BANK: bank_bytes(bank),
        _CARD: card.encode(),
        _CELLS: pack(cells=cells.astype(np.int64)),
        _UNCERTAINTY: pack(**uncertainty.to_arrays()),
    } | classifier.store()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    about = bank.to_dict() | {"hash": bank.hash}
    write_manifest(folder, replace(manifest, bank=about, files=hashes))


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
    kind = classifier_of(manifest.kind)
    files = {}
    for name, sha256 in manifest.files.items():
        if name not in (_BANK, _CARD, _CELLS, _UNCERTAINTY, *kind.files):
            raise ModelError(f"{folder}: {name} does not belong to a {manifest.kind} model")
        try:
            if (folder / name).stat().st_size > _MAX_BYTES:
                raise ModelError(f"{folder / name}: too large for a model")
            files[name] = (folder / name).read_bytes()
        except OSError as error:
            raise ModelError(f"{folder / name}: {error.strerror}") from None
        if hashlib.sha256(files[name]).hexdigest() != sha256:
            raise ModelError(f"{folder / name}: not the file that the manifest names")
    try:
        for content in files.values():
            _check_unpacked(content)
        bank = load_bank(files[_BANK])
        check_same_bank(bank.hash, manifest.bank["hash"])
        columns = columns_of(bank, manifest.neighbourhood)
        classifier, cells = kind.load(files, manifest), unpack(files[_CELLS])["cells"]
        uncertainty = Uncertainty.from_arrays(unpack(files[_UNCERTAINTY]), columns)
        if classifier.columns != columns or cells.dtype != np.int64 or cells.ndim != 1:
            raise ModelError("weights, bank and cells do not fit together")
    except Exception as error:
        # A damaged or hostile archive fails anywhere in zip, zlib, NumPy and JSON.
        raise ModelError(f"{folder}: the model cannot be read: {error}") from error
    return Model(manifest, bank, classifier, uncertainty, cells)


def _check_unpacked(content: bytes) -> None:
    packed = io.BytesIO(content)
    if zipfile.is_zipfile(packed):
        with zipfile.ZipFile(packed) as archive:
            if sum(member.file_size for member in archive.infolist()) > _MAX_UNPACKED_BYTES:
                raise ModelError("unpacked, a file is too large for a model")


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
                if NAME.fullmatch(folder.name) and (folder / FILE).is_file():
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
