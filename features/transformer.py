"""Random convolutional features as a scikit-learn transformer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from features.rcf import chip_features
from features.recipe import find_recipe
from features.sampling import make_bank
from features.scaling import Scaling


class RandomConvolutionalFeatures(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Images in, one row of features an image out, by filters sampled from the images of ``fit``.

    Parameters
    ----------
    filters : int
        Filters of each patch size.
    patches : sequence of int
        Sides of the patches in pixels.
    biases : sequence of float, optional
        Each gives one or two columns a filter; default: the recipe's.
    recipe : str
        How patches become filters: a key of ``recipe.RECIPES``.
    bands : sequence of str, optional
        Band names, for the bank and for messages; default: the names of a data frame's columns, or
        ``band0``, ``band1`` and so on.
    level : str
        Processing level of the imagery, for the bank: ``L1C`` or ``L2A``.
    clip : float
        Reflectance at which pixels saturate.
    steps : int
        Number of steps between 0 and ``clip`` in which the pixels came; 0: full precision.
    floor : float
        Added before the logarithm, where the recipe takes one.
    sampled : int
        About how many patches of each size are drawn to learn the whitening from.
    seed : int
        Of the sampling.

    Attributes
    ----------
    bank_ : FilterBank
        The filters; ``bank.bank_bytes`` stores them.
    n_features_in_ : int
        Number of bands.
    feature_names_in_ : numpy.ndarray of str, shape (n_features_in_,)
        Only after fitting on a data frame.

    Notes
    -----
    After Rolf et al. 2021, doi 10.1038/s41467-021-24638-z. An image of which no window was observed
    gets a row of NaN.
    """

    def __init__(
        self,
        filters: int = 64,
        patches: Sequence[int] = (3, 5),
        biases: Sequence[float] | None = None,
        recipe: str = "atlas",
        bands: Sequence[str] | None = None,
        level: str = "L1C",
        clip: float = 1.0,
        steps: int = 0,
        floor: float = 0.02,
        sampled: int = 50_000,
        seed: int = 0,
    ) -> None:
        self.filters = filters
        self.patches = patches
        self.biases = biases
        self.recipe = recipe
        self.bands = bands
        self.level = level
        self.clip = clip
        self.steps = steps
        self.floor = floor
        self.sampled = sampled
        self.seed = seed

    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Sample the filters.

        Parameters
        ----------
        X : array_like of float, shape (n, C, H, W) or (n, C)
            Reflectance (0..1), NaN where unobserved; rows of a table are images of one pixel, for
            patches of 1.
        y : object, optional
            Not looked at.

        Returns
        -------
        RandomConvolutionalFeatures
            Itself.

        Raises
        ------
        ValueError
            If X is not of such a shape, has other bands than ``bands`` names, or has too few
            observed patches.
        """
        images = self._images(X, reset=True)
        self.n_features_in_ = images.shape[1]
        names = getattr(self, "feature_names_in_", None)
        bands = self.bands if self.bands is not None else names
        if bands is None:
            bands = [f"band{index}" for index in range(self.n_features_in_)]
        if len(bands) != self.n_features_in_:
            raise ValueError(
                f"X has {self.n_features_in_} bands on its second axis, "
                f"but bands names {len(bands)}: {' '.join(bands)}"
            )
        recipe = find_recipe(self.recipe)
        if self.biases is not None:
            recipe = replace(recipe, biases=tuple(float(bias) for bias in self.biases))
        self.bank_ = make_bank(
            lambda: images,
            [str(band) for band in bands],
            self.level,
            Scaling(self.clip, self.steps, self.floor),
            recipe,
            self.patches,
            self.filters,
            seed=self.seed,
            per_image=-(-self.sampled // len(images)),
        )
        return self

    def transform(self, X: ArrayLike) -> NDArray[np.float32]:
        """Compute the features of images.

        Parameters
        ----------
        X : array_like of float, shape (n, C, H, W) or (n, C)
            As for ``fit``; H and W may differ from those of the images fitted on.

        Returns
        -------
        numpy.ndarray of float32, shape (n, columns)
            Means over the windows that were observed; NaN for an image without one.

        Raises
        ------
        NotFittedError
            If ``fit`` was not called.
        ValueError
            If X has other bands than the images fitted on, or images smaller than a patch.
        """
        check_is_fitted(self, "bank_")
        images = self._images(X, reset=False)
        if images.shape[1] != self.n_features_in_:
            raise ValueError(
                f"X has {images.shape[1]} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input: on the second axis the bands "
                f"{' '.join(self.bank_.bands)}"
            )
        features, _ = chip_features(images, self.bank_)
        return features

    def get_feature_names_out(self, input_features: object = None) -> NDArray[np.object_]:
        """Return the names of the columns.

        Parameters
        ----------
        input_features : object, optional
            Not looked at: every column depends on every band.

        Returns
        -------
        numpy.ndarray of object, shape (columns,)
            Such as ``rcf_3px_12_over_0.25``: filter 12 of 3 x 3 px, where its response is over
            0.25.
        """
        check_is_fitted(self, "bank_")
        return np.array(self.bank_.column_names, dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def _images(self, X: ArrayLike, reset: bool) -> NDArray[np.float32]:
        """Return X as images, (n, C, H, W), checked as scikit-learn checks a table."""
        values = validate_data(
            self,
            X,
            reset=reset,
            dtype=np.float32,
            ensure_2d=False,
            allow_nd=True,
            ensure_all_finite="allow-nan",
        )
        if values.ndim not in (2, 4):
            raise ValueError(
                f"Expected images of shape (n, bands, height, width), or a table of pixels "
                f"(n, bands), got shape {values.shape}. Reshape your data, for one image "
                f"with X[np.newaxis]"
            )
        return np.asarray(values if values.ndim == 4 else values[:, :, None, None])
