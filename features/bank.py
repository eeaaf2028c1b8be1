"""Filter banks: patches sampled from imagery, normalised and whitened, with an identity.

A bank knows what it may be applied to (bands in order, level, scaling) and is named by the hash of
all it holds; features carry that name, and features of two banks are never mixed.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.errors import BankError, BankMismatchError
from features.rectify import SIDES, Rectifiers
from features.scaling import Scaling

FORMAT = 2
# Rotations by quarter turns, each with its mirror image.
VERSIONS = 8
WHITENING_FLOOR = 1e-3
# The flattest patches are noise blown up by the division by their norm.
FLATTEST = 0.02
_NORM_FLOOR = 1e-8
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

    def __post_init__(self) -> None:
        if not self.bands or not self.groups or not self.biases:
            raise BankError("a bank needs bands, filters and biases")
        if not all(np.isfinite(bias) for bias in self.biases):
            raise BankError(f"biases are finite numbers, not {self.biases}")
        if self.sides not in SIDES:
            raise BankError(f"sides are {', '.join(SIDES)}, not {self.sides!r}")
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
        return {
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


def sample_patches(
    images: Iterable[tuple[NDArray[np.float32], NDArray[np.bool_]]],
    patch: int,
    per_image: int,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Draw fully observed patches at random places.

    Parameters
    ----------
    images : iterable of (pixels, observed)
        Scaled pixels, float32, shape (C, H, W), and what was observed, bool, shape (H, W).
    patch : int
        Side of the patches in pixels.
    per_image : int
        Most patches taken from one image.
    rng : numpy.random.Generator
        Source of the random places.

    Returns
    -------
    numpy.ndarray of float32, shape (n, C * patch * patch)
        The patches, flattened from (C, patch, patch).

    Raises
    ------
    BankError
        If not one patch was observed.
    """
    drawn = []
    for pixels, observed in images:
        height, width = observed.shape
        if min(height, width) < patch:
            continue
        tops = rng.integers(0, height - patch + 1, 2 * per_image)
        lefts = rng.integers(0, width - patch + 1, 2 * per_image)
        taken = 0
        for top, left in zip(tops, lefts, strict=True):
            window = np.s_[top : top + patch, left : left + patch]
            if observed[window].all():
                drawn.append(pixels[(slice(None), *window)].reshape(-1))
                taken += 1
                if taken == per_image:
                    break
    if not drawn:
        raise BankError(f"no fully observed patch of {patch} x {patch} pixels to sample")
    return np.stack(drawn)


def make_group(
    patches: NDArray[np.float32], shape: tuple[int, int, int], count: int, rng: np.random.Generator
) -> FilterGroup:
    """Turn sampled patches into whitened filters.

    Parameters
    ----------
    patches : numpy.ndarray of float32, shape (n, C * patch * patch)
        Sampled patches; all of them shape the whitening, ``count`` of them become filters.
    shape : tuple of int
        ``(C, patch, patch)``.
    count : int
        Number of filters.
    rng : numpy.random.Generator
        Chooses the patches that become filters.

    Returns
    -------
    FilterGroup
        Whose response to scaled pixels is their correlation plus the offset, of standard deviation
        1 over the sampled patches (mean of the eight versions), so that one bias means the same
        for every filter.

    Raises
    ------
    BankError
        If there are fewer patches than filters.

    Notes
    -----
    After Rolf et al. 2021 (Nature Communications 12:4392) and their published code: patches lose
    their own mean, get unit norm, and are multiplied with the ZCA matrix twice. Beyond them, bands
    are standardised first, the flattest patches are left out, and filters have zero mean.
    """
    channels = shape[0]
    raw = patches.astype(np.float64).reshape(len(patches), channels, -1)
    centre = raw.mean(axis=(0, 2))
    spread = np.maximum(raw.std(axis=(0, 2)), _NORM_FLOOR)
    data = ((raw - centre[:, None]) / spread[:, None]).reshape(len(patches), -1)
    formed = data - data.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(formed, axis=1)
    kept = np.flatnonzero(norms > np.quantile(norms, FLATTEST))
    if len(kept) < count:
        raise BankError(f"{count} filters need as many patches, only {len(kept)} were observed")
    formed = formed[kept] / norms[kept, None]
    values, vectors = np.linalg.eigh(formed.T @ formed / len(formed))
    # The ZCA matrix applied twice: its inverse square root, squared.
    whitening = (vectors / (np.maximum(values, 0) + WHITENING_FLOOR)) @ vectors.T
    filters = formed[rng.choice(len(formed), count, replace=False)] @ whitening
    filters -= filters.mean(axis=1, keepdims=True)
    unscaled = filters.reshape(count, *shape).astype(np.float32)
    group = FilterGroup(unscaled, np.zeros(count, np.float32))
    responses = (data.astype(np.float32) @ group.turned().reshape(-1, data.shape[1]).T).std(axis=0)
    scale = np.maximum(responses.reshape(count, VERSIONS).mean(axis=1), _NORM_FLOOR)
    weights = filters.reshape(count, channels, -1) / scale[:, None, None] / spread[None, :, None]
    offsets = -(weights.sum(axis=2) @ centre)
    return FilterGroup(
        weights.reshape(count, *shape).astype(np.float32), offsets.astype(np.float32)
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
