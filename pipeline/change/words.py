"""What the layers and the page of change say, in English and in French, and their colours."""

from __future__ import annotations

CANNOT_TELL = "cannot_tell"
COLOURS = {
    "new": "#d7301f",
    "growing": "#fc8d59",
    "persisting": "#6b4c9a",
    "fading": "#2c7fb8",
    "none": "#f3efe6",
    CANNOT_TELL: "#8a8a8a",
}
_WORDS = {
    "title": ("Change between two seasons", "Changement entre deux saisons"),
    "changes": ("Change, square by square", "Changement, carré par carré"),
    "change_places": ("Places of change", "Lieux de changement"),
    "change_areas": ("New places by area", "Nouveaux lieux par territoire"),
    "series": ("Series: every season kept", "Série : toutes les saisons conservées"),
    "provenance": ("Provenance", "Provenance"),
    "group_changes": ("What changed", "Ce qui a changé"),
    "group_tables": ("Tables", "Tableaux"),
    "new": ("new", "nouveau"),
    "growing": ("growing", "en extension"),
    "persisting": ("persisting", "persistant"),
    "fading": ("fading", "en déclin"),
    "none": ("no mining seen in either season", "pas d'exploitation vue, ni avant ni après"),
    "cannot_tell": ("cannot tell", "indéterminé"),
    "clouds_from": (
        "too few clear dates in the first season",
        "trop peu de dates sans nuage dans la première saison",
    ),
    "clouds_to": (
        "too few clear dates in the second season",
        "trop peu de dates sans nuage dans la seconde saison",
    ),
    "unlike_from": (
        "unlike the training ground in the first season",
        "hors du domaine du modèle dans la première saison",
    ),
    "unlike_to": (
        "unlike the training ground in the second season",
        "hors du domaine du modèle dans la seconde saison",
    ),
    "overlap": (
        "the difference may be chance",
        "la différence peut être due au hasard",
    ),
    "compares": ("compares", "compare"),
    "with": ("with", "avec"),
    "glance": ("At a glance", "En bref"),
    "n_places": ("places", "lieux"),
    "n_squares": ("squares", "carrés"),
    "where": ("Where", "Où"),
    "where_note": (
        "A square is new where the score has risen, by more than the doubt of the model and more"
        " than the usual difference between the seasons. Numbers: new places.",
        "Un carré est nouveau là où le score a augmenté, de plus que le doute du modèle et que"
        " l'écart habituel entre les saisons. Numéros : nouveaux lieux.",
    ),
    "map_alt": ("Map of change", "Carte du changement"),
    "places": ("Places of change", "Lieux de changement"),
    "places_note": (
        "Neighbouring squares together, new ones first. The area is that of the squares, not of a"
        " mine. Inspect before believing.",
        "Carrés voisins réunis, les nouveaux d'abord. La surface est celle des carrés, pas d'une"
        " mine. À vérifier sur place.",
    ),
    "no_places": ("No place of change was seen.", "Aucun lieu de changement n'a été vu."),
    "shown_of": ("shown, of", "montrés, sur"),
    "areas": ("New places by area", "Nouveaux lieux par territoire"),
    "no_areas": (
        "No layer of protected areas, titles or administrative units was given.",
        "Aucune couche d'aires protégées, de titres ou d'unités administratives n'a été fournie.",
    ),
    "why": ("Why the map cannot tell", "Pourquoi la carte ne permet pas de conclure"),
    "reason": ("Reason", "Raison"),
    "series_note": (
        "One row a season, by one model. Counts of squares are no areas: they move with clouds.",
        "Une ligne par saison, par un seul modèle. Les nombres de carrés ne sont pas des surfaces :"
        " ils varient avec les nuages.",
    ),
    "season": ("Season", "Saison"),
    "likely": ("likely", "probable"),
    "possible": ("possible", "possible"),
    "unlikely": ("unlikely", "improbable"),
    "limits": ("What this does not show", "Ce que cela ne montre pas"),
    "limit_1": (
        "When in between it changed, who changed it, or whether it was allowed.",
        "Quand cela a changé entre les deux, qui l'a fait, ni si c'était permis.",
    ),
    "limit_2": (
        "Fading is a score that fell: a mine may be given up, flooded, or shaded by new plants"
        " while people still work there.",
        "En déclin : le score a baissé. Une mine peut être abandonnée, inondée, ou couverte de"
        " plantes alors que l'on y travaille encore.",
    ),
    "limit_3": (
        "Growth inside a square: a mine that doubles within its square stays persisting.",
        "L'extension à l'intérieur d'un carré : une mine qui y double reste persistante.",
    ),
    "limit_4": (
        "New roads, floods and clearings can look like new mining; small workings, and those under"
        " trees, are not seen.",
        "Routes, inondations et défrichements récents peuvent ressembler à une nouvelle"
        " exploitation ; les petites, et celles sous couvert, ne se voient pas.",
    ),
    "origin": ("Where it comes from", "D'où cela vient"),
}


def tell(key: str, lang: str) -> str:
    """Return a phrase in English (``en``) or French (``fr``)."""
    return _WORDS[key][lang == "fr"]


def legend(lang: str) -> list[tuple[str, str, str]]:
    """Return word, text and colour of each class of a square; ``cannot_tell`` is the last."""
    words = ("new", "persisting", "fading", "none", CANNOT_TELL)
    return [(word, tell(word, lang), COLOURS[word]) for word in words]
