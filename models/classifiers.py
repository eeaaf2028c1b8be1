"""The kinds of classifier that a model can be: one line each.

A kind is one module with one class, a ``models.classifier.Classifier``: how it is fitted, what it
scores, how it is stored and loaded. To add one, write its module and add its line here. The models
that a training makes, the files of a model's folder, the search for settings and the choices of
``asm-atlas train --kind`` all follow from this table.
"""

from __future__ import annotations

# Named, not imported: the command line lists the kinds, and scikit-learn takes seconds to load.
CLASSIFIERS = {
    "ridge": "models.ridge.Ridge",
    "forest": "models.forest.Forest",
    "mean": "models.mean.Mean",
}
