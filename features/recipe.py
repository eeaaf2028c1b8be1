"""Recipes: how sampled patches become filters, and filters columns.

``atlas`` is this project's own. The others are the published definitions of random convolutional
features, for comparison and for those who know them. They see pixels of 0 to 1: here reflectance,
which the bank's scaling stretches to that. Random places and numbers are our own: the filters are
drawn by the same rule, and are not the very ones that somebody else has drawn.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from features.errors import BankError

# The map's cells are known by their quarters.
PARTS = (1, 2)


@dataclass(frozen=True)
class Recipe:
    """Everything that turns patches into columns, beside the imagery and the random numbers.

    Parameters
    ----------
    name : str
        What a bank says it was made with.
    patches : tuple of int
        Sides of the patches in pixels, where nothing else is asked for.
    filters : int
        Filters of each patch size, where nothing else is asked for.
    gaussian : bool
        Whether filters are standard normal numbers; no patch is looked at then, and nothing below
        up to ``unit_response`` happens.
    standardise : bool
        Whether each band first gets mean 0 and standard deviation 1 over the sampled patches.
    flattest : float
        Share of the patches that is left out because they are flat, 0..1.
    chosen_first : bool
        Whether the whitening is learnt from the filters' own patches, not from all that were
        sampled.
    zca : int
        How many times the ZCA matrix is applied: 1, as in the text of the manual, or 2, as in the
        code of the paper.
    unit_response : bool
        Whether filters are scaled to a response of standard deviation 1 over the sampled patches.
    biases : tuple of float
        As ``FilterBank`` describes them.
    sides : str
        As ``rectify.Rectifiers`` describes them.
    symmetric : bool
        Whether columns are averaged over the eight symmetric versions of a filter.
    logarithm : bool
        Whether filters see the logarithm of reflectance; otherwise reflectance itself.
    parts : int
        As ``FilterBank`` describes them, 1 or 2.
    """

    name: str
    patches: tuple[int, ...]
    filters: int
    gaussian: bool = False
    standardise: bool = False
    flattest: float = 0.0
    chosen_first: bool = False
    zca: int = 2
    unit_response: bool = False
    biases: tuple[float, ...] = (0.0,)
    sides: str = "two"
    symmetric: bool = False
    logarithm: bool = False
    parts: int = 1

    def __post_init__(self) -> None:
        if self.zca not in (1, 2) or not 0 <= self.flattest < 1 or self.parts not in PARTS:
            raise BankError(f"no such recipe: {self!r}")


# Chosen on labelled chips: docs/decisions/0003-features.md.
ATLAS = Recipe(
    "atlas",
    patches=(3, 5),
    filters=64,
    standardise=True,
    flattest=0.02,
    unit_response=True,
    biases=(0.25, 1.0, 2.5),
    symmetric=True,
    logarithm=True,
)

# The same for models that score whole cells, as those trained on chips do:
# docs/decisions/0022-quarters-of-chips.md.
ATLAS_QUARTERS = replace(ATLAS, name="atlas-quarters", parts=2)

# Rolf et al. 2021, doi 10.1038/s41467-021-24638-z, as its code does it
# (github.com/Global-Policy-Lab/mosaiks-paper, mosaiks/featurization.py and config.py): 100,000
# patches of ten images, each less its mean and of norm 1, times the ZCA matrix twice; bias 0.
PAPER = Recipe("paper", patches=(3,), filters=4096)

# torchgeo.models.RCF in its default mode: standard normal filters. Its bias of -1 is added before
# both halves are formed, relu(c - 1) and relu(-(c - 1)): one threshold, of 1, for both.
TORCHGEO = Recipe("torchgeo", patches=(3,), filters=8, gaussian=True, biases=(1.0,), sides="shared")

# The same with mode="empirical": as the paper, but as many patches are sampled as there are
# filters.
TORCHGEO_EMPIRICAL = Recipe(
    "torchgeo-empirical",
    patches=(3,),
    filters=8,
    chosen_first=True,
    biases=(1.0,),
    sides="shared",
)

# The features that api.mosaiks.org serves, after the MOSAIKS training manual
# (github.com/cullen-molitor/MOSAIKS-Training-Manual, chapters "API features" and "Understanding
# features"): 2,000 patches of 4 x 4 and of 6 x 6 px, -1 added before the rectifier, one number a
# filter, the ZCA matrix applied once. Where the text is silent, on each patch's own mean and norm
# and on the floor of the eigenvalues, it points to torchgeo's code, which is followed here; that
# code would also give two numbers a filter and apply the matrix twice.
MOSAIKS_API = Recipe("mosaiks-api", patches=(4, 6), filters=2000, zca=1, biases=(1.0,), sides="one")

RECIPES = {
    recipe.name: recipe
    for recipe in (ATLAS, ATLAS_QUARTERS, PAPER, TORCHGEO, TORCHGEO_EMPIRICAL, MOSAIKS_API)
}


def find_recipe(recipe: Recipe | str) -> Recipe:
    """Return a recipe by its name; a recipe is returned as it is.

    Parameters
    ----------
    recipe : Recipe or str
        A key of ``RECIPES``, or a recipe of one's own.

    Returns
    -------
    Recipe
        The recipe.

    Raises
    ------
    BankError
        If no recipe has this name; those that exist are named.
    """
    if isinstance(recipe, Recipe):
        return recipe
    if recipe not in RECIPES:
        raise BankError(f"no recipe {recipe!r}; there are {', '.join(RECIPES)}")
    return RECIPES[recipe]
