"""What the page's map says, in English and in French; the rest is in ``words``."""

from __future__ import annotations

from typing import Any

from models.validation_words import COUNTRIES, RANDOM, REGIONS, TRAINED
from pipeline.map.page.recorded import retell
from pipeline.words.map_words import number

_WORDS = {
    "language": ("Language", "Langue"),
    "map": ("Map", "Carte"),
    "map_keys": (
        "Drag to move; wheel, pinch or buttons to zoom; click what you want to read about. By"
        " keyboard: arrows move, + and - zoom, 0 shows everything, Enter reads the middle.",
        "Glisser pour déplacer ; molette, pincement ou boutons pour zoomer ; cliquer sur ce qu'on"
        " veut lire. Au clavier : flèches pour déplacer, + et - pour zoomer, 0 pour tout montrer,"
        " Entrée pour lire le milieu.",
    ),
    "zoom_in": ("Zoom in", "Agrandir"),
    "zoom_out": ("Zoom out", "Réduire"),
    "zoom_all": ("Show everything", "Tout montrer"),
    "layers": ("Layers", "Couches"),
    "none": ("no squares", "aucun carré"),
    "chosen": ("What you chose", "Votre choix"),
    "nothing_chosen": (
        "Click a square, a candidate or a site, or choose from the list.",
        "Cliquer sur un carré, un candidat ou un site, ou choisir dans la liste.",
    ),
    "outside": ("No square of the map lies here.", "Aucun carré de la carte ici."),
    "list": ("Candidates, first to inspect first", "Candidats, du premier à inspecter au dernier"),
    "candidate": ("Candidate", "Candidat"),
    "drawn": ("Place drawn at random", "Lieu tiré au hasard"),
    "site": ("Known site", "Site connu"),
    "square": ("Square", "Carré"),
    "score": ("score", "score"),
    "all_columns": ("Everything that is known", "Tout ce que l'on sait"),
    "says": ("Model score {0}.", "Score du modèle {0}."),
    "says_between": (
        "Model score {0}; nine in ten draws of the training places give {1} to {2}.",
        "Score du modèle {0} ; neuf tirages sur dix des lieux d'apprentissage donnent {1} à {2}.",
    ),
    "no_score": ("The map cannot tell here.", "La carte ne permet pas de conclure ici."),
    "applicable": (
        "The model may be asked about such ground.",
        "Le modèle peut être interrogé sur un tel terrain.",
    ),
    "unlike": (
        "Outside of the model's area: {0} times as far from the training data as is allowed.",
        "Hors du domaine du modèle : {0} fois plus loin des données d'apprentissage qu'admis.",
    ),
    "disputed": (
        "Outside of the model's area: the regions of the training ground disagree {0} times as much"
        " as is allowed.",
        "Hors du domaine du modèle : les régions d'apprentissage divergent {0} fois plus qu'admis.",
    ),
    "not_applicable": ("Outside of the model's area.", "Hors du domaine du modèle."),
    "seen": (
        "Seen on {0} clear dates per pixel, on average; images of {1} to {2}.",
        "Vu à {0} dates sans nuage par pixel, en moyenne ; images du {1} au {2}.",
    ),
    "set_mine": ("Label set: mine.", "Ensemble d'étiquettes : mine."),
    "set_not": ("Label set: no mine.", "Ensemble d'étiquettes : pas de mine."),
    "set_both": (
        "Label set: mine or not, it cannot be decided.",
        "Ensemble d'étiquettes : mine ou non, on ne peut trancher.",
    ),
    "set_neither": (
        "Label set: neither, unlike both.",
        "Ensemble d'étiquettes : ni l'un ni l'autre, ne ressemble à aucun.",
    ),
    "trained": (
        "The model was trained on this place: its score here proves nothing.",
        "Le modèle a été entraîné sur ce lieu : son score n'y prouve rien.",
    ),
    "asked_to_leave": (
        "Somebody asked that this is not shown: it is not in the public edition.",
        "Quelqu'un a demandé que ceci ne soit pas montré : absent de l'édition publique.",
    ),
    "yes": ("yes", "oui"),
    "no": ("no", "non"),
    "likely": ("likely", "probable"),
    "possible": ("possible", "possible"),
    "unlikely": ("unlikely", "peu probable"),
    "cannot_tell": ("cannot tell", "indéterminé"),
    "industrial": ("industrial mine", "mine industrielle"),
    "shown_on_map": ("shown on the map", "montré sur la carte"),
    "too_large": (
        "Not drawn on this page, too many outlines; see the GeoPackage:",
        "Non dessinées sur cette page, trop de contours ; voir le GeoPackage :",
    ),
    "held_out_title": ("What was held out", "Ce qui a été mis de côté"),
    "held_out_note": (
        "The same ridge, judged by rows that it was not fitted on; the wider what was held out, the"
        " more it is like a new region. AUC: 0.5 is chance, 1 is perfect; AP: average precision"
        " (chance is the share of mines); ECE: calibration error; sets: share of the mines whose"
        " label set held them.",
        "La même régression, jugée sur des lignes non apprises ; plus ce qui est mis de côté est"
        " vaste, plus cela ressemble à une région nouvelle. AUC : 0,5 hasard, 1 parfait ; AP :"
        " précision moyenne (hasard : la part de mines) ; ECE : erreur d'étalonnage ; ensembles :"
        " part des mines que leur ensemble d'étiquettes contenait.",
    ),
    "held_out_picture": (
        "Left: precision by recall, for each way of holding out. Right: reliability, the dashed"
        " line is what a perfectly calibrated model would give.",
        "À gauche : précision selon le rappel, pour chaque mise de côté. À droite : fiabilité, le"
        " tireté est ce que donnerait un modèle parfaitement étalonné.",
    ),
    "held_out": ("Held out", "Mis de côté"),
    "rows": ("Rows", "Lignes"),
    "mines": ("Mines", "Mines"),
    "brier": ("Brier (base)", "Brier (base)"),
    "sets": ("Sets", "Ensembles"),
    "how_obtained": ("How", "Comment"),
    "by_chance": ("By chance", "Dû au hasard"),
    "found_note": (
        "Found: a likely or possible square within 1 km beside what the site's place may be off by"
        " (250 m for GPS, 5 km else). By chance: the share that places known as well would reach"
        " anywhere on this map.",
        "Trouvé : un carré probable ou possible à 1 km au plus, en sus de l'incertitude de la"
        " position du site (250 m par GPS, 5 km sinon). Dû au hasard : la part qu'atteindraient,"
        " n'importe où sur cette carte, des lieux aussi bien connus.",
    ),
    "small_cells": (
        "A square is called by the strongest of its four cells of 0.005 degree, and cannot tell"
        " only where none of them can: {0} of the {1} cells cannot.",
        "Un carré est nommé d'après la plus forte de ses quatre cellules de 0,005 degré, et n'est"
        " indéterminé que si toutes le sont : {0} des {1} cellules le sont.",
    ),
    "cite": (
        "To cite: {0}, ASM Atlas run {1} (code {2}), images of {3} to {4}, made on {5}.",
        "Pour citer : {0}, ASM Atlas, calcul {1} (code {2}), images du {3} au {4}, fait le {5}.",
    ),
    RANDOM: (RANDOM, "lignes au hasard"),
    TRAINED: (TRAINED, "plis de l'apprentissage"),
    REGIONS: (REGIONS, "régions entières"),
    COUNTRIES: (COUNTRIES, "pays entiers"),
}


# What a page says of its origin, and what it counts; the rest stays as it is written.
_NAMES = {
    "run": ("run", "calcul"),
    "region": ("region", "région"),
    "disclosure": ("edition", "édition"),
    "square_degrees": ("side of a square, degrees", "côté d'un carré, degrés"),
    "created": ("made on", "fait le"),
    "code_version": ("version of the program", "version du programme"),
    "code_commit": ("commit of the program", "commit du programme"),
    "configuration_hash": ("hash of the configuration", "empreinte de la configuration"),
    "table": ("table: {0}", "table : {0}"),
    "setting": ("setting: {0}", "réglage : {0}"),
    "scenes": ("scenes", "scènes"),
    "scenes_not_read": ("scenes that could not be read", "scènes illisibles"),
    "blocks": ("blocks", "blocs"),
    "small_cells": ("cells of 0.005 degree", "cellules de 0,005 degré"),
    "small_cells_cannot_tell": ("cells that cannot tell", "cellules indéterminées"),
    "cells": ("squares mapped", "carrés cartographiés"),
    "candidates": ("candidates", "candidats"),
    "drawn_at_random": ("places drawn at random", "lieux tirés au hasard"),
    "sites": ("known sites", "sites connus"),
    "sites_matched": ("known sites found", "sites connus trouvés"),
    "sites_held_back": ("known sites not shown", "sites connus non montrés"),
    "coverage": ("strips of coverage", "bandes de couverture"),
    "regions": ("areas estimated", "zones estimées"),
    "likely": ("likely squares", "carrés probables"),
    "possible": ("possible squares", "carrés possibles"),
    "unlikely": ("unlikely squares", "carrés peu probables"),
    "cannot_tell": ("squares that cannot tell", "carrés indéterminés"),
    "industrial": ("squares in industrial mines", "carrés dans des mines industrielles"),
}


def name_of(key: str, lang: str) -> str:
    """Return the words for a fact or a count.

    Parameters
    ----------
    key : str
        As the manifest has it.
    lang : str
        ``en`` or ``fr``.

    Returns
    -------
    str
        Words; a key without any as it is, without underscores.
    """
    return _NAMES[key][lang == "fr"] if key in _NAMES else key.replace("_", " ")


def tell(key: str, lang: str) -> str:
    """Return a phrase in English (``en``) or French (``fr``)."""
    return _WORDS[key][lang == "fr"]


def page_words() -> dict[str, dict[str, str]]:
    """Return every phrase by language and key, for the page's own script."""
    return {lang: {key: tell(key, lang) for key in _WORDS} for lang in ("en", "fr")}


def way_of(name: str, lang: str) -> str:
    """Return the name of a way of holding out; what has no translation stays as it is.

    Parameters
    ----------
    name : str
        As ``models.validation.validate`` gives it.
    lang : str
        ``en`` or ``fr``.

    Returns
    -------
    str
        The name.
    """
    if lang == "en":
        return name
    head, apart, distance = name.partition(", ")
    if head in _WORDS:
        tail = f", à {distance.removesuffix(' apart')}" if apart else ""
        return tell(head, lang) + tail
    side = name.removeprefix("checkerboard of ").removesuffix(" degrees")
    if side == name:
        return name
    return f"damier de {number(float(side), lang)} degré{'s' if float(side) >= 2 else ''}"


def held_out_table(
    rows: list[dict[str, Any]], lang: str
) -> tuple[list[str], list[list[str]], list[str]]:
    """Lay the table of validation out for the page.

    Parameters
    ----------
    rows : list of dict
        As ``models.validation.validate`` gives them.
    lang : str
        ``en`` or ``fr``.

    Returns
    -------
    heading : list of str
        Words for the columns.
    table : list of list of str
        One row a way that could be judged.
    left_out : list of str
        A line for each that could not, with the reason.
    """
    names = ("held_out", "rows", "mines")
    heading = [tell(key, lang) for key in names] + ["AUC", "AP", tell("brier", lang), "ECE"]
    heading += [tell("sets", lang), tell("how_obtained", lang)]

    def plain(value: float, digits: int = 3) -> str:
        text = f"{value:.{digits}f}"
        return text.replace(".", ",") if lang == "fr" else text

    table = [
        [
            way_of(row["name"], lang),
            str(row["n"]),
            str(row["positives"]),
            plain(row["auc"]),
            plain(row["ap"]),
            f"{plain(row['brier'])} ({plain(row['brier_base'])})",
            plain(row["ece"]),
            plain(row["sets"]["mine"]),
            retell(str(row["how"]), lang),
        ]
        for row in rows
        if "left_out" not in row
    ]
    missing = [
        f"{way_of(row['name'], lang)}: {retell(row['left_out'], lang)}"
        for row in rows
        if "left_out" in row
    ]
    return heading, table, missing
