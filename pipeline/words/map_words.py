"""What the map and the page say, in English and in French.

The names of columns are in ``data/DISCLOSURE.md``.
"""

from __future__ import annotations

DISCLAIMER = (
    "Model score, not a verified site; not evidence of illegality.",
    "Score d'un modèle, pas un site vérifié ; ne prouve aucune illégalité.",
)
SIMULATED = (
    "SIMULATED: an invented landscape, no real place.",
    "SIMULÉ : paysage inventé, aucun lieu réel.",
)
CREDIT = (
    "Contains modified Copernicus Sentinel data.",
    "Contient des données Copernicus Sentinel modifiées.",
)

_WORDS = {
    "map_title": ("Artisanal mining map", "Carte de l'exploitation minière artisanale"),
    "public": ("PUBLIC", "PUBLIC"),
    "restricted": ("RESTRICTED", "RESTREINT"),
    "simulated": ("SIMULATED", "SIMULÉ"),
    "public_long": (
        "Public edition: squares of 0.01 degree, places with two decimals.",
        "Édition publique : carrés de 0,01 degré, positions à deux décimales.",
    ),
    "restricted_long": (
        "RESTRICTED edition: exact places and every column; not to be handed on.",
        "Édition RESTREINTE : positions exactes et toutes les colonnes ; ne pas diffuser.",
    ),
    "cells": ("Model score", "Score du modèle"),
    "candidates": ("Candidates for inspection", "Candidats à l'inspection"),
    "sites": ("Known sites", "Sites connus"),
    "coverage": ("Clear dates in the imagery", "Dates sans nuage dans les images"),
    "provenance": ("Provenance", "Provenance"),
    "regions": ("Area estimates with intervals", "Surfaces estimées avec intervalles"),
    "areas_note": (
        "From a random sample of squares that people labelled without seeing the score: the area of"
        " the squares that contain mining, or the mined area where its shares were labelled. It is"
        " not a count of the map's squares.",
        "D'après un échantillon aléatoire de carrés étiquetés sans voir le score : la surface des"
        " carrés où il y a exploitation, ou la surface exploitée si les parts ont été étiquetées."
        " Ce n'est pas un décompte des carrés de la carte.",
    ),
    "sample": ("Cells to label", "Cellules à étiqueter"),
    "sample_title": ("Sample to label", "Échantillon à étiqueter"),
    "mine": ("mine", "mine"),
    "no_mine": ("no mine", "pas de mine"),
    "not_labelled": ("not labelled yet", "pas encore étiquetée"),
    "how_to_label": (
        "Label every square, in the order of the numbers, by what images of the time between the"
        " two dates show: mine, no mine or cannot tell. Where it is a mine, share may say what part"
        " of the square is mined, 0 to 1. Do not look at the map's score while labelling.",
        "Étiqueter chaque carré, dans l'ordre des numéros, d'après ce que montrent des images"
        " prises entre les deux dates : mine, pas de mine ou indéterminé. Pour une mine, la part"
        " exploitée du carré peut être indiquée, de 0 à 1. Ne pas regarder le score de la carte.",
    ),
    "group_inspect": ("What to inspect", "À inspecter"),
    "group_model": ("What the model says", "Ce que dit le modèle"),
    "group_context": ("What else is known", "Ce que l'on sait par ailleurs"),
    "group_sites": ("About the known sites", "Sur les sites connus"),
    "visits": ("Visits", "Visites"),
    "scorecard": ("Scorecard: the answers", "Grille d'évaluation : les réponses"),
    "scorecard_summary": ("Scorecard: summary", "Grille d'évaluation : résumé"),
    "matching": ("Sites and map, both ways", "Sites et carte, dans les deux sens"),
    "matching_note": (
        "Recall: share of the sites, where the map can tell, with a likely or possible square in"
        " reach: within 1 km beside what its place may be off by (250 m for GPS, 5 km else); with"
        " its 95 % interval. By chance: the recall that places known as well would have anywhere on"
        " the map. Sites that the model was trained on are found more easily."
        " A likely square without a site is not wrong: the table of visits is not exhaustive."
        " The public edition leaves out groups of fewer than ten sites, and those by size.",
        "Rappel : part des sites, là où la carte permet de conclure, avec un carré probable ou"
        " possible à portée : à 1 km au plus, en sus de l'incertitude de sa position (250 m par"
        " GPS, 5 km sinon) ; avec son intervalle à 95 %. Dû au hasard : le rappel qu'auraient,"
        " n'importe où sur la carte, des lieux aussi bien connus. Les sites qui ont servi à"
        " l'apprentissage sont plus faciles à trouver. Un carré probable sans site n'est pas une"
        " erreur : le tableau des visites n'est pas exhaustif. L'édition publique omet les groupes"
        " de moins de dix sites, et ceux par taille.",
    ),
    "by_all": ("all sites", "tous les sites"),
    "by_workers": ("diggers at the visit", "creuseurs lors de la visite"),
    "by_mineral": ("mineral", "minerai"),
    "by_province": ("province", "province"),
    "by_precision": ("precision of the place", "précision de la position"),
    "by_visit_age": (
        "years from the visit to the newest image",
        "années de la visite à la dernière image",
    ),
    "by_likely_squares": (
        "likely squares, by km to the nearest site",
        "carrés probables, selon les km au site le plus proche",
    ),
    "layer": ("Layer", "Couche"),
    "credit": ("Credit", "Crédit"),
    "industrial": (
        "in an industrial mine: not called artisanal",
        "dans une mine industrielle : non qualifié d'artisanal",
    ),
    "group_imagery": ("What the imagery could show", "Ce que les images pouvaient montrer"),
    "group_about": ("Where it comes from", "D'où cela vient"),
    "likely": ("likely", "probable"),
    "possible": ("possible", "possible"),
    "unlikely": ("unlikely", "peu probable"),
    "cannot_tell": ("cannot tell", "indéterminé"),
    "found": ("found by the map", "trouvé par la carte"),
    "missed": ("missed by the map", "manqué par la carte"),
    "candidate": ("candidate, with its rank", "candidat, avec son rang"),
    "kind_candidate": ("candidate", "candidat"),
    "kind_random": (
        "drawn at random, to measure what is missed",
        "tiré au hasard, pour mesurer les oublis",
    ),
    "score": ("score", "score"),
    "rank": ("rank", "rang"),
    "reasons": ("Reasons", "Raisons"),
    "composite": ("Composite", "Composite"),
    "clear_share": ("{0} % clear", "{0} % dégagé"),
    "looks_note": (
        "Yellow: the cell. Grey: cloud, shadow or no data, not used.",
        "Jaune : la cellule. Gris : nuage, ombre ou sans donnée, non utilisé.",
    ),
    "looks_left_out": (
        "{0} of {1} scenes are shown, the {2} oldest at most; others have no pixel here.",
        "{0} scènes sur {1}, les {2} plus anciennes au plus ; d'autres n'ont aucun pixel ici.",
    ),
    "latitude": ("Latitude", "Latitude"),
    "longitude": ("Longitude", "Longitude"),
    "sheets": ("Field sheets", "Fiches de terrain"),
    "sheet_form": (
        "Found:   ☐ mining   ☐ no mining   ☐ no mining, but looks like it   ☐ could not reach"
        "   ☐ not sure\n\n"
        "Date: ______________   Inspector: ______________________________\n\n"
        "Where I stood (WGS 84): latitude ______________   longitude ______________\n\n"
        "Notes, photographs: ________________________________________________________",
        "Constat :   ☐ exploitation   ☐ pas d'exploitation   ☐ ressemblant   ☐ inaccessible"
        "   ☐ incertain\n\n"
        "Date : ______________   Inspecteur : ______________________________\n\n"
        "Où j'étais (WGS 84) : latitude ______________   longitude ______________\n\n"
        "Remarques, photographies : __________________________________________________",
    ),
    "inspection": ("Inspection", "Inspection"),
    "not_visited": ("not visited yet", "pas encore visité"),
    "found_mining": ("found mining", "exploitation trouvée"),
    "found_none": ("no mining", "pas d'exploitation"),
    "found_alike": ("no mining, but looks like it", "pas d'exploitation, mais ressemblant"),
    "not_reached": ("could not reach, or not sure", "inaccessible, ou incertain"),
    "how_to_inspect": (
        "Fill in what was found and the date; move the point to where you stood. The file goes back"
        " to training with INSPECTIONS=inspection.gpkg.",
        "Indiquer ce qui a été trouvé et la date ; déplacer le point là où vous étiez. Le fichier"
        " sert ensuite à l'apprentissage avec INSPECTIONS=inspection.gpkg.",
    ),
    "icglr_green": ("certified (green)", "certifié (vert)"),
    "icglr_yellow": ("yellow-flagged", "jaune"),
    "icglr_red": ("not certified (red)", "non certifié (rouge)"),
    "icglr_blue": ("not inspected (blue)", "non inspecté (bleu)"),
    "icglr_active": ("active", "actif"),
    "icglr_inactive": ("not active", "non actif"),
    "icglr_abandoned": ("abandoned", "abandonné"),
    "hs_gold": ("gold (7108.12.00)", "or (7108.12.00)"),
    "hs_tin": ("cassiterite (2609.00.00)", "cassitérite (2609.00.00)"),
    "hs_tungsten": ("wolframite (2611.00.00)", "wolframite (2611.00.00)"),
    "hs_coltan": ("coltan (2615.90.00)", "coltan (2615.90.00)"),
    "dates": ("dates", "dates"),
    "less_than_1": ("less than 1 date", "moins d'une date"),
    "and_more": ("and more", "et plus"),
    "squares": ("squares", "carrés"),
    "site": ("known site", "site connu"),
    "yes": ("yes", "oui"),
    "no": ("no", "non"),
    # The page.
    "images_from_to": ("Images", "Images"),
    "made_on": ("Made on", "Fait le"),
    "at_a_glance": ("At a glance", "En bref"),
    "where": ("Where the model sees mining", "Où le modèle voit de l'exploitation minière"),
    "where_note": (
        "Each square carries the model's score. A score is not a probability that has been checked"
        " on the ground: see how it was tested below. Grey hatching: the imagery cannot tell.",
        "Chaque carré porte le score du modèle. Un score n'est pas une probabilité vérifiée sur le"
        " terrain : voir plus bas comment il a été testé. Hachures grises : les images ne"
        " permettent pas de conclure.",
    ),
    "inspect_first": ("What to inspect first", "À inspecter en premier"),
    "inspect_note": (
        "Groups of likely and possible squares that no known site explains, ranked. The area is"
        " that of the squares, not of a mine.",
        "Groupes de carrés probables et possibles qu'aucun site connu n'explique, par rang. La"
        " surface est celle des carrés, pas d'une mine.",
    ),
    "no_candidates": ("There is no candidate.", "Il n'y a aucun candidat."),
    "shown_of": ("shown, of", "montrés, sur"),
    "known_title": ("Known sites and the map", "Les sites connus et la carte"),
    "known_note": (
        "The table of visits is not exhaustive: a square without a site is not a place without"
        " mining.",
        "Le tableau des visites n'est pas exhaustif : un carré sans site n'est pas un lieu sans"
        " exploitation.",
    ),
    "mineral": ("Mineral", "Minerai"),
    "simulated_banner": (SIMULATED[0], SIMULATED[1]),
    "all_minerals": ("All", "Tous"),
    "share_found": ("Share found", "Part trouvée"),
    "held_back": (
        "known sites are not shown: their visit is younger than six months, or nobody has published"
        " the table that names them",
        "sites connus ne sont pas montrés : leur visite date de moins de six mois, ou personne n'a"
        " publié le tableau qui les nomme",
    ),
    "saw": ("What the imagery could show", "Ce que les images pouvaient montrer"),
    "saw_note": (
        "Mean number of dates without cloud per pixel. Fewer dates, less certain.",
        "Nombre moyen de dates sans nuage par pixel. Moins de dates, moins de certitude.",
    ),
    "spread": ("How the scores are spread", "Répartition des scores"),
    "spread_note": (
        "Squares by score; the vertical axis is logarithmic.",
        "Carrés par score ; l'axe vertical est logarithmique.",
    ),
    "tested": ("The model, and how it was tested", "Le modèle et ses tests"),
    "tested_note": (
        "n: rows; auc: area under the ROC curve (0.5 is chance, 1 is perfect); ap: average"
        " precision (chance is the prevalence).",
        "n : lignes ; auc : aire sous la courbe ROC (0,5 : hasard, 1 : parfait) ; ap : précision"
        " moyenne (le hasard donne la prévalence).",
    ),
    "no_scores": (
        "The model's manifest tells no score: how good it is, is not known.",
        "Le manifeste du modèle ne donne aucun score : sa qualité n'est pas connue.",
    ),
    "fold": ("fold", "pli"),
    "all_folds": ("all folds together", "tous les plis ensemble"),
    "rows": ("Rows", "Lignes"),
    "positives": ("Rows with mining", "Lignes avec exploitation"),
    "sites_credit": ("Mining sites: {}.", "Sites miniers : {}."),
    "unstated": ("owner and licence not stated", "propriétaire et licence non indiqués"),
    "licence": ("Licence and credit", "Licence et crédit"),
    "how": ("How the scores were obtained", "Comment les scores ont été obtenus"),
    "trained_here": (
        "of the squares were used to train the model: there, a good score proves nothing.",
        "des carrés ont servi à l'apprentissage : un bon score n'y prouve rien.",
    ),
    "limits": ("Limits", "Limites"),
    "limit_1": (
        "Bare soil that is not mining (sandbars, farm ponds, quarries, building sites) can look"
        " alike.",
        "Un sol nu sans exploitation (bancs de sable, étangs, carrières, chantiers) peut y"
        " ressembler.",
    ),
    "limit_2": (
        "Small workings fill a few per cent of a square, and workings under trees or underground"
        " are not seen.",
        "Les petites exploitations n'occupent que quelques pour cent d'un carré ; celles sous"
        " couvert ou souterraines ne se voient pas.",
    ),
    "limit_3": (
        "The number of squares is not an estimate of the mined area.",
        "Le nombre de carrés n'est pas une estimation de la surface exploitée.",
    ),
    "scenes_title": ("The images", "Les images"),
    "origin": ("Where it comes from", "D'où vient cette carte"),
    "counts": ("Counts", "Décomptes"),
    "region": ("Region", "Région"),
    "total_squares": ("squares mapped", "carrés cartographiés"),
    "n_candidates": ("candidates", "candidats"),
    "n_sites": ("known sites", "sites connus"),
    "page_map_alt": ("Map of the model's score", "Carte du score du modèle"),
}


def say(key: str, lang: str) -> str:
    """Return a phrase in English (``en``) or French (``fr``)."""
    return _WORDS[key][lang == "fr"]


def warnings(lang: str, simulated: bool) -> list[str]:
    """Return what every product says of itself, in both languages, the map's own first."""
    texts = [
        f"{made_up} {words}" if simulated else words
        for made_up, words in zip(SIMULATED, DISCLAIMER, strict=True)
    ]
    return texts[::-1] if lang == "fr" else texts


def warning(lang: str, simulated: bool) -> str:
    """Return the same in one line."""
    return " ".join(warnings(lang, simulated))


def number(value: float, lang: str, digits: int = 2) -> str:
    """Write a number with a decimal comma in French, and without needless zeros.

    Parameters
    ----------
    value : float
        The number.
    lang : str
        ``en`` or ``fr``.
    digits : int
        Digits after the point at most.

    Returns
    -------
    str
        The words.
    """
    text = f"{value:.{digits}f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return text.replace(".", ",") if lang == "fr" else text
