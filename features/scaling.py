"""Scaling: how reflectance becomes the numbers that the filters see.

The scaling belongs to a bank's identity, with fixed constants: pixels are never normalised by
the image they happen to be in.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.errors import BankError


@dataclass(frozen=True)
class Scaling:
    """A fixed rule from reflectance to what the filters see.

    Parameters
    ----------
    clip : float
        Reflectance (0..1) at which pixels saturate and which becomes 1.
    steps : int
        Number of steps between 0 and ``clip`` in which the pixels came, such as 255 for an 8-bit
        picture; 0: full precision. Part of the identity; the values are not changed by it.
    floor : float
        Added before the logarithm, so that dark pixels do not dominate; 0: no logarithm.
    """

    clip: float = 1.0
    steps: int = 0
    floor: float = 0.02

    def __post_init__(self) -> None:
        if not 0 < self.clip <= 2 or self.steps < 0 or not 0 <= self.floor <= 1:
            raise BankError(f"no such scaling: {self!r}")

    def __str__(self) -> str:
        text = f"reflectance 0..{self.clip:g} as 0..1"
        return f"{text} in {self.steps} steps" if self.steps else text

    @property
    def pixels(self) -> tuple[float, int]:
        """How the pixels come, ``clip`` and ``steps``; the floor is what is made of them."""
        return self.clip, self.steps

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Scaling:
        """Read a scaling from a manifest.

        Parameters
        ----------
        value : dict
            As ``to_dict`` gives it.

        Returns
        -------
        Scaling
            The same rule.
        """
        return cls(float(value["clip"]), int(value["steps"]), float(value["floor"]))

    def to_dict(self) -> dict[str, float | int]:
        """Return the scaling for a manifest.

        Returns
        -------
        dict
            ``clip``, ``steps`` and ``floor``.
        """
        return asdict(self)

    def apply(self, reflectance: NDArray[np.float32]) -> NDArray[np.float32]:
        """Clip pixels, stretch them to 0..1 and take the logarithm.

        Light falls on slopes and through haze as a factor; its logarithm is a constant, which
        filters of zero mean do not see.

        Parameters
        ----------
        reflectance : numpy.ndarray of float32
            Any shape; 0..1, where NaN is unobserved and stays NaN.

        Returns
        -------
        numpy.ndarray of float32
            Same shape, ``ln(floor)`` to ``ln(1 + floor)``; 0 to 1 without the logarithm.
        """
        stretched = np.clip(reflectance, 0, self.clip) / np.float32(self.clip)
        if not self.floor:
            return stretched.astype(np.float32, copy=False)
        scaled: NDArray[np.float32] = np.log(stretched + np.float32(self.floor))
        return scaled.astype(np.float32, copy=False)
