"""A forest of extremely randomised trees (Geurts et al. 2006) on the features' main components.

Trees split on one column at a time, and a mine shows in the sum of many: on the whitened principal
components they rank better than on the features themselves, and a forest is small enough to ship.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from models.classifier import Classifier
from models.errors import ModelError
from models.manifest import Manifest
from models.ridge_fit import RidgeInfluence
from models.training_rows import TrainingRows
from models.transform import transform, transformed_blocks
from models.uncertainty import REPLICATES, bootstrap_counts

# As many groups as the bootstrap has replicates: the trees of a group have seen the same places.
TREES_PER_GROUP = 4
TREES = TREES_PER_GROUP * REPLICATES
LEAF_ROWS = 10
COMPONENTS = 64
# Exactly what a forest of scikit-learn holds beyond skops' own list.
_TYPES = {"sklearn.tree._tree.Tree"}


@dataclass(frozen=True, eq=False)
class Forest(Classifier):
    """A forest on the main components of features.

    Parameters
    ----------
    steps : sklearn.pipeline.Pipeline
        Scaler, components and trees, fitted.
    """

    files = ("forest.skops",)
    # With whole squares or regions of chips held out it lost to the ridge by 0.05 of AUC and more.
    handicap = 0.01

    steps: Pipeline

    @property
    def columns(self) -> int:
        """Columns of features that it takes."""
        return int(self.steps.n_features_in_)

    @classmethod
    def fit(cls, rows: TrainingRows) -> Forest:
        """Grow trees on all rows; places, not rows, are drawn for each group of trees."""
        return cls(_grown(transform(rows.table), rows.labels, rows.weights, rows.seed, rows.places))

    def scores(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Score rows of features.

        Parameters
        ----------
        features : numpy.ndarray of float32, shape (n, columns)
            Finite.

        Returns
        -------
        numpy.ndarray of float64, shape (n,)
            Logit of the trees' mean probability.
        """
        return _logit(self._shares(features).mean(axis=1))

    def replicates(
        self, features: NDArray[np.float32], influence: RidgeInfluence
    ) -> NDArray[np.float64]:
        """Score rows by each group of trees.

        Parameters
        ----------
        features : numpy.ndarray of float32, shape (n, columns)
            Finite.
        influence : RidgeInfluence
            Not needed: the trees of a group have seen the same draw of places.

        Returns
        -------
        numpy.ndarray of float64, shape (n, REPLICATES)
            Logit of the mean probability of the trees that have seen the same places, drawn in to
            the forest's own by the share of the spread that a few trees have by themselves.
        """
        single = self._shares(features)
        groups = single.reshape(len(single), -1, TREES_PER_GROUP)
        means = groups.mean(axis=2)
        within = groups.var(axis=2, ddof=1).mean(axis=1) / TREES_PER_GROUP
        share = np.sqrt(np.clip(1 - within / np.maximum(means.var(axis=1, ddof=1), 1e-12), 0, 1))
        centre = means.mean(axis=1, keepdims=True)
        return _logit(centre + share[:, None] * (means - centre))

    def store(self) -> dict[str, bytes]:
        """Return the trees as skops writes them, without pickles."""
        return {self.files[0]: self._dumped}

    @cached_property
    def _dumped(self) -> bytes:
        # Kept: it takes seconds, and a forest is a part of two models.
        import skops.io  # seconds to import, and only forests need it

        dumped: bytes = skops.io.dumps(
            self.steps, compression=zipfile.ZIP_DEFLATED, compresslevel=9
        )
        return dumped

    @classmethod
    def load(cls, files: Mapping[str, bytes], manifest: Manifest) -> Forest:
        """Read the trees; only the types that a forest is made of are loaded."""
        import skops.io

        content = files[cls.files[0]]
        unknown = set(skops.io.get_untrusted_types(data=content)) - _TYPES
        if unknown:
            raise ModelError(f"the file holds types that no forest needs: {sorted(unknown)}")
        steps = skops.io.loads(content, trusted=sorted(_TYPES))
        # skops trusts all of scikit-learn; a forest is these steps only.
        found = [type(step) for _, step in steps.steps] if type(steps) is Pipeline else []
        if found != [StandardScaler, PCA, ExtraTreesClassifier]:
            raise ModelError("the file holds something else than a forest")
        for estimator in steps[-1].estimators_:
            _check_tree(estimator.tree_, steps["components"].n_components_)
        return cls(steps)

    def _shares(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Share of mines in the leaf of each row, of every tree, shape (n, trees).

        What scikit-learn's steps do one after the other, each with a copy of all rows, is done here
        in blocks that stay in the cache, and trees are asked without their checks.
        """
        scale, main = self.steps["scale"], self.steps["components"]
        centre = (scale.mean_ + main.mean_ * scale.scale_).astype(np.float32)
        # Components without any variance are kept finite, as scikit-learn does.
        deviation = np.sqrt(main.explained_variance_)
        spread = scale.scale_[:, None] * np.maximum(deviation, np.finfo(deviation.dtype).eps)
        turn = (main.components_.T / spread).astype(np.float32)
        components = np.empty((len(features), turn.shape[1]), np.float32)
        for rows, table in transformed_blocks(features):
            components[rows] = (table - centre) @ turn
        return np.column_stack([tree.tree_.predict(components)[:, 1] for tree in self.steps[-1]])


def _grown(
    table: NDArray[np.float32],
    labels: NDArray[np.int8],
    weights: NDArray[np.float64],
    seed: int,
    places: NDArray[np.intp],
) -> Pipeline:
    seen = Pipeline(
        [
            ("scale", StandardScaler()),
            ("components", PCA(min(COMPONENTS, *table.shape), whiten=True,
                               svd_solver="randomized", random_state=seed)),
        ]
    )  # fmt: skip
    components = seen.fit_transform(table)
    trees = ExtraTreesClassifier(
        0, min_samples_leaf=LEAF_ROWS, n_jobs=1, random_state=seed, warm_start=True
    )
    names, place = np.unique(places, return_inverse=True)
    for count in bootstrap_counts(len(names), seed):
        drawn = weights * count[place]
        sums = np.bincount(labels, drawn, 2)
        if not sums.all():
            # A draw without one of the classes tells nothing: all places once.
            drawn = weights
            sums = np.bincount(labels, drawn, 2)
        trees.n_estimators += TREES_PER_GROUP
        trees.fit(components, labels, drawn / sums[labels])
    return Pipeline([*seen.steps, ("trees", trees)])


def _logit(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logit of shares of trees, kept finite."""
    kept = np.clip(share, 1 / (4 * TREES), 1 - 1 / (4 * TREES))
    return np.log(kept / (1 - kept))


def _check_tree(tree: Any, columns: int) -> None:
    """Refuse a tree that scikit-learn, which does not look, would follow out of its memory."""
    inner = np.flatnonzero(tree.children_left != -1)
    for child in (tree.children_left[inner], tree.children_right[inner]):
        if not ((child > inner) & (child < tree.node_count)).all():
            raise ModelError("a tree's branches do not lead to its leaves")
    if not ((tree.feature[inner] >= 0) & (tree.feature[inner] < columns)).all():
        raise ModelError("a tree splits on a column that there is not")
