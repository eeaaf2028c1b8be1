"""Filter banks: filters of one or more sizes, with an identity.

A bank knows what it may be applied to (bands in order, level, scaling) and is named by the hash of
all it holds; features carry that name, and features of two banks are never mixed.
"""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.errors import BankError, BankMismatchError
from features.recipe import ATLAS, PARTS
from features.rectify import SIDES, Rectifiers
from features.scaling import Scaling

FORMAT = 2
# Rotations by quarter turns, each with its mirror image.
VERSIONS = 8
_MAX_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, eq=False)
class FilterGroup:
    """The filters of one patch size.

    Parameters
    ----------
    filters : numpy.ndarray of float32, shape (K, C, patch, patch)
        Whitening, the bands' standardisation and a response of standard deviation 1 folded in.
    offsets : numpy.ndarray of float32, shape (K,)
        Constant part of the response, the same for every symmetric version of a filter.
    """

    filters: NDArray[np.float32]
    offsets: NDArray[np.float32]

    @property
    def patch(self) -> int:
        """Side of the window in pixels."""
        return int(self.filters.shape[2])

    @property
    def count(self) -> int:
        """Number of filters, not counting their symmetric versions."""
        return int(self.filters.shape[0])

    def centre(self, usual: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the constant image that the filters answer least, and what they answer to it.

        Pixels less this image, with these offsets, give the same responses with less rounding:
        scaled pixels are far from 0, and filters tell small differences apart.

        Parameters
        ----------
        usual : float
            A usual value of scaled pixels: of all such images the one nearest to it is taken.

        Returns
        -------
        image : numpy.ndarray of float32, shape (C,)
            One value a band.
        offsets : numpy.ndarray of float32, shape (K,)
            Responses to it.
        """
        gains = self.filters.sum(axis=(2, 3), dtype=np.float64)
        left = self.offsets + gains.sum(axis=1) * usual
        step = np.linalg.lstsq(gains, -left, rcond=1e-4)[0]
        image = (usual + step).astype(np.float32)
        return image, (self.offsets + gains @ image).astype(np.float32)

    def turned(self) -> NDArray[np.float32]:
        """Return the eight rotations and reflections of every filter: a mine has no north.

        Returns
        -------
        numpy.ndarray of float32, shape (8 * K, C, patch, patch)
            The versions of a filter one after the other.
        """
        versions = [
            np.rot90(self.filters if plain else self.filters[..., ::-1], turns, axes=(2, 3))
            for plain in (True, False)
            for turns in range(4)
        ]
        return np.stack(versions, axis=1).reshape(-1, *self.filters.shape[1:])


@dataclass(frozen=True, eq=False)
class FilterBank:
    """Filters of several patch sizes with the imagery that they are for.

    Parameters
    ----------
    bands : tuple of str
        Band names in the order of the pixels' first axis, such as ``("B04", "B03", "B02")``.
    level : str
        Processing level of the imagery: ``L1C`` (top of atmosphere) or ``L2A`` (surface).
    scaling : Scaling
        From reflectance to what the filters see.
    groups : tuple of FilterGroup
        One for each patch size.
    biases : tuple of float
        In units of a filter's standard deviation over the sampled patches; each gives two columns
        a filter, ``mean relu(z - b)`` and ``mean relu(-z - b)``, over windows and versions.
    seed : int
        Of the sampling.
    software : str
        Name and version that made the bank.
    sides : str
        Which columns a bias gives, as ``rectify.Rectifiers`` says; ``two`` is described above.
    symmetric : bool
        Whether columns are averaged over the eight symmetric versions of a filter.
    recipe : str
        Name of the recipe that made the filters, see ``recipe.RECIPES``.
    parts : int
        A cell or chip is cut into ``parts`` x ``parts``, and a column is the mean of the roots of
        its parts' means, squared; 1: the mean of the whole.
    """

    bands: tuple[str, ...]
    level: str
    scaling: Scaling
    groups: tuple[FilterGroup, ...]
    biases: tuple[float, ...]
    seed: int
    software: str
    sides: str = "two"
    symmetric: bool = True
    recipe: str = ATLAS.name
    parts: int = 1

    def __post_init__(self) -> None:
        if not self.bands or not self.groups or not self.biases:
            raise BankError("a bank needs bands, filters and biases")
        if not all(np.isfinite(bias) for bias in self.biases):
            raise BankError(f"biases are finite numbers, not {self.biases}")
        if self.sides not in SIDES:
            raise BankError(f"sides are {', '.join(SIDES)}, not {self.sides!r}")
        if self.parts not in PARTS or not isinstance(self.parts, int):
            raise BankError(f"a cell is 1 part or 2 x 2, not {self.parts!r}")
        for group in self.groups:
            shape = group.filters.shape
            square = len(shape) == 4 and shape[1:] == (len(self.bands), shape[2], shape[2])
            if not square or 0 in shape or group.offsets.shape != shape[:1]:
                raise BankError(
                    f"filters of shape {shape} with offsets {group.offsets.shape} do not fit "
                    f"{len(self.bands)} bands"
                )
            for values in (group.filters, group.offsets):
                if values.dtype != np.float32 or not np.isfinite(values).all():
                    raise BankError("filters and offsets are finite numbers in single precision")

    @property
    def patch_max(self) -> int:
        """Side of the largest window in pixels."""
        return max(group.patch for group in self.groups)

    @property
    def columns(self) -> int:
        """Number of feature columns."""
        return sum(self.rectifiers.count * group.count for group in self.groups)

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of the columns: patch size, filter, and what is measured of its response.

        ``rcf_3px_12_over_0.25`` is the mean of how far the response of filter 12 of 3 x 3 px lies
        over 0.25, ``rcf_3px_12_under_-0.25`` of how far under -0.25.
        """
        rectifiers = self.rectifiers
        pairs = list(zip(rectifiers.thresholds(), rectifiers.falling(), strict=True))
        return tuple(
            f"rcf_{group.patch}px_{index}_{'under' if falls else 'over'}_{threshold:g}"
            for group in self.groups
            for threshold, falls in pairs
            for index in range(group.count)
        )

    @property
    def rectifiers(self) -> Rectifiers:
        """The columns of each filter."""
        return Rectifiers(self.biases, self.sides)

    @property
    def hash(self) -> str:
        """sha256 (hexadecimal) of everything that the features depend on."""
        digest = hashlib.sha256(_canonical(self.to_dict()))
        for group in self.groups:
            digest.update(np.ascontiguousarray(group.filters, "<f4").tobytes())
            digest.update(np.ascontiguousarray(group.offsets, "<f4").tobytes())
        return digest.hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """Return the bank's description, without the filters, for manifests.

        Returns
        -------
        dict
            What ``load_bank`` needs beside the filters; JSON.
        """
        about: dict[str, Any] = {
            "format": FORMAT,
            "bands": list(self.bands),
            "level": self.level,
            "scaling": self.scaling.to_dict(),
            "patches": [group.patch for group in self.groups],
            "filters": [group.count for group in self.groups],
            "biases": list(self.biases),
            "sides": self.sides,
            "symmetric": self.symmetric,
            "seed": self.seed,
            "software": self.software,
        }
        # Not said of what the first banks were, so that their hashes stay what they are.
        if self.recipe != ATLAS.name:
            about["recipe"] = self.recipe
        if self.parts != 1:
            about["parts"] = self.parts
        return about

    def check_imagery(self, bands: tuple[str, ...], level: str) -> None:
        """Refuse imagery that this bank is not for.

        Parameters
        ----------
        bands : tuple of str
            The imagery's bands, in its order.
        level : str
            Its processing level.

        Raises
        ------
        BankMismatchError
            If the bands, their order or the level differ; both are named.
        """
        if (tuple(bands), level) != (self.bands, self.level):
            raise BankMismatchError(
                f"the bank is for {self.level} {' '.join(self.bands)}, "
                f"the imagery is {level} {' '.join(bands)}"
            )


def bank_bytes(bank: FilterBank) -> bytes:
    """Return a bank as the bytes of an ``.npz`` file without pickles.

    Parameters
    ----------
    bank : FilterBank
        The bank.

    Returns
    -------
    bytes
        What ``load_bank`` reads.
    """
    arrays: dict[str, Any] = {
        "description": np.frombuffer(_canonical(bank.to_dict() | {"hash": bank.hash}), np.uint8)
    }
    for index, group in enumerate(bank.groups):
        arrays[f"filters_{index}"] = group.filters
        arrays[f"offsets_{index}"] = group.offsets
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def load_bank(source: Path | bytes) -> FilterBank:
    """Read a bank and check that it is what its hash says.

    Parameters
    ----------
    source : pathlib.Path or bytes
        The file or its content.

    Returns
    -------
    FilterBank
        The bank.

    Raises
    ------
    BankError
        If the file cannot be read, or its content is not what its hash names.
    """
    where = "bank" if isinstance(source, bytes) else str(source)
    try:
        data = io.BytesIO(source if isinstance(source, bytes) else source.read_bytes())
        with np.load(data, allow_pickle=False) as arrays:
            if sum(member.file_size for member in arrays.zip.infolist()) > _MAX_BYTES:
                raise BankError("too large")
            about = json.loads(arrays["description"].tobytes())
            if about["format"] != FORMAT:
                raise BankError(f"format {about['format']!r} is not known")
            groups = tuple(
                FilterGroup(arrays[f"filters_{i}"], arrays[f"offsets_{i}"])
                for i in range(len(about["patches"]))
            )
        bank = FilterBank(
            bands=tuple(about["bands"]),
            level=about["level"],
            scaling=Scaling.from_dict(about["scaling"]),
            groups=groups,
            biases=tuple(about["biases"]),
            seed=about["seed"],
            software=about["software"],
            sides=about["sides"],
            symmetric=about["symmetric"],
            recipe=about.get("recipe", ATLAS.name),
            parts=about.get("parts", 1),
        )
    except Exception as error:
        # A damaged or hostile archive fails anywhere in zip, zlib, NumPy and JSON.
        raise BankError(f"{where}: not a filter bank: {error}") from error
    if bank.hash != about.get("hash"):
        raise BankError(f"{where}: the filters are not those that hash {about.get('hash')} names")
    return bank


def check_same_bank(first: str, second: str) -> None:
    """Refuse to mix the features of two banks.

    Parameters
    ----------
    first, second : str
        Hashes of banks.

    Raises
    ------
    BankMismatchError
        Naming both hashes.
    """
    if first != second:
        raise BankMismatchError(f"features of two banks cannot be mixed: {first} and {second}")


def _canonical(value: dict[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
