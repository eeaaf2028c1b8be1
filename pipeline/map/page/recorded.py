"""Sentences that models and estimates record in English, told in French.

A model's file says in words what it was trained on and how it was judged. The page in French tells
the same sentences in French; what is not in the table (names of files, squares, countries) stays as
it was recorded.
"""

from __future__ import annotations

import re
from functools import partial

from models.validation_words import CROSS_FITTED
from pipeline.map.area_layer import HOW_ACCURACY, HOW_AREA, HOW_MINED
from pipeline.sites.labels import visits

# English with {} for each figure: French.
_PHRASES = {
    # How a model was judged.
    "single rows dealt out to {} folds at random": "lignes réparties au hasard en {} plis",
    "the spatial folds of the training": "les plis spatiaux de l'apprentissage",
    "the same, rows within {} km of a held-out one left out of training": (
        "les mêmes, sans apprendre des lignes à moins de {} km d'une ligne tenue à l'écart"
    ),
    "clusters (k-means) of the 1-degree squares that hold mines, each with the rows nearest": (
        "groupes (k-means) des carrés d'un degré qui ont des mines, chacun avec les lignes les plus"
        " proches"
    ),
    "rows without a place in runs of neighbours": "lignes sans lieu par suites de voisines",
    "countries by the packaged outlines, rows of none as rows without a place": (
        "pays selon les contours livrés, les lignes hors de tout pays comme les lignes sans lieu"
    ),
    "black squares of {} degrees judged by white ones and reversed (Rolf et al. 2021)": (
        "carrés noirs de {} degrés jugés par les blancs et inversement (Rolf et al. 2021)"
    ),
    "{} rows without a place stay in training and are not judged": (
        "{} lignes sans lieu restent dans l'apprentissage et ne sont pas jugées"
    ),
    "unlabelled rows count as no mine": "les lignes sans étiquette comptent comme sans mine",
    CROSS_FITTED: (
        "courbe et ensembles d'étiquettes de chaque pli d'après les scores des autres plis"
    ),
    "spatial folds, whole {}-degree blocks held out": (
        "plis spatiaux, des blocs entiers de {} degré tenus à l'écart"
    ),
    "spatial folds, whole {}-degree squares held out": (
        "plis spatiaux, des carrés entiers de {} degré tenus à l'écart"
    ),
    "chips without a place in runs of neighbours": "vignettes sans lieu par suites de voisines",
    "negatives are background, not verified": "les négatifs sont du fond, non vérifiés",
    "whole regions held out": "des régions entières tenues à l'écart",
    # Why a way of judging was left out.
    "of the rows to fit on {} are mines and {} are not: too few": (
        "des lignes pour l'ajustement, {} sont des mines et {} n'en sont pas : trop peu"
    ),
    "of the rows to judge {} are mines and {} are not: too few": (
        "des lignes à juger, {} sont des mines et {} n'en sont pas : trop peu"
    ),
    "regions need mines in at least two 1-degree squares": (
        "il faut des mines dans au moins deux carrés d'un degré"
    ),
    "no row lies in one": "aucune ligne n'est dans l'un d'eux",
    "all rows with a place lie in": "toutes les lignes avec un lieu sont en",
    "all rows to judge lie in one part": "toutes les lignes à juger sont dans une seule part",
    # Why it was chosen.
    "trained on the region's own training ground": "appris sur le terrain propre à la région",
    "preferred there out of fold": "préféré là d'après les plis",
    "the nearest of {} that fit: trained {} km away": (
        "le plus proche des {} qui conviennent : appris à {} km de là"
    ),
    # What it was trained on.
    "visits in the IPIS form": "visites à la forme d'IPIS",
    "positives at GPS-placed visits": "positifs aux visites situées par GPS",
    "background more than 1 km from every known site": "fond à plus de 1 km de tout site connu",
    "positives with at least {} ha drawn": "positifs avec au moins {} ha dessinés",
    "{} touched by less than {} ha": "{} touchées par moins de {} ha",
    "negatives in the searched area": "négatifs dans la zone fouillée",
    "polygons (": "polygones (",
    "labelled sample (": "échantillon étiqueté (",
    "labelled chips (": "vignettes étiquetées (",
    "without the squares": "sans les carrés",
    "without the subsets": "sans les sous-ensembles",
    f"{{}} {visits.OUTSIDE}": "{} hors de la région",
    f"{{}} {visits.NOT_ON_SITE}": "{} non visités sur place",
    f"{{}} {visits.OTHERS}": "{} relevés par d'autres qu'IPIS",
    f"{{}} {visits.APPROXIMATE}": "{} au lieu seulement approché",
    f"{{}} {visits.ABANDONED}": "{} abandonnés",
    "{} dated more than {} years from any imagery": "{} datés à plus de {} ans de toute image",
    # How an area and an accuracy were estimated.
    re.sub(r"\{\w.*?\}", "{}", HOW_AREA): (
        "estimation stratifiée d'après {} cellules étiquetées dans {} strates (Olofsson et al."
        " 2014) ; intervalle à 95 % d'après les limites de Wilson de chaque strate, ajoutées en"
        " carrés"
    ),
    re.sub(r"\{\w.*?\}", "{}", HOW_MINED): (
        " ; aucune cellule n'est tenue pour plus exploitée que la plus pleine des étiquetées ({})"
    ),
    re.sub(r"\{\w.*?\}", "{}", HOW_ACCURACY): (
        "estimation stratifiée d'après {} cellules étiquetées hors de la table d'apprentissage"
        " (Olofsson et al. 2014, Stehman 2014) ; intervalle à 95 % comme pour la surface"
    ),
}
_FIGURE = r"(\d[\d.,]*%?)"
_FRENCH = [
    (re.compile(re.escape(english).replace(r"\{\}", _FIGURE)), french)
    for english, french in _PHRASES.items()
]


def retell(text: str, lang: str) -> str:
    """Tell a recorded sentence in the page's language.

    Parameters
    ----------
    text : str
        As a model's or an estimate's file has it, in English.
    lang : str
        ``en`` or ``fr``.

    Returns
    -------
    str
        The same in English; in French the phrases of the table, figures with a comma.
    """
    if lang != "fr":
        return text
    for english, french in _FRENCH:
        text = english.sub(partial(_fill, french), text)
    return text.replace("; ", " ; ").replace("  ;", " ;")


def _fill(french: str, found: re.Match[str]) -> str:
    swap = str.maketrans({",": "\u202f", ".": ",", "%": " %"})
    return french.format(*(figure.translate(swap) for figure in found.groups()))
