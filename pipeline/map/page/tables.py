"""The page's tables: key figures, candidates, sites, areas, the model and its tests, the origin."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pandas as pd

from pipeline.map import column_rules, editions
from pipeline.map import folder as map_folder
from pipeline.map.column_rules import Policy
from pipeline.map.disclosure import Product
from pipeline.map.manifest import RunManifest
from pipeline.map.page.values import cell_text, fixed, share_text
from pipeline.map.provenance import RunInfo
from pipeline.sites.answer_codes import code_meanings
from pipeline.words.catalogue import ENGLISH, entries, say
from pipeline.words.statements import tell

MOST_CANDIDATES = 25
MOST_SCENES = 60
MOST_FOLDS = 20
_MODEL_FACTS = (
    "id", "choice", "kind", "bands", "level", "scaling", "data", "thresholds", "created",
)  # fmt: skip


def page_tables(
    product: Product, run: RunInfo, policy: Policy, model: dict[str, Any], lang: str
) -> dict[str, Any]:
    """Return everything that the page's templates lay out.

    Parameters
    ----------
    product : Product
        What is published.
    run : RunInfo
        What it was made from.
    policy : mapping
        The columns' rules.
    model : dict
        What the product may tell of the model.
    lang : str
        One of :func:`pipeline.words.catalogue.languages`.

    Returns
    -------
    dict
        Texts: headings and rows, or names and values.
    """
    scores = model.get("scores") or {}
    counts = run.counts | map_folder.count(product)
    return {
        "tiles": _tiles(product, lang),
        "cannot_tell": _small_cells(run, lang),
        "candidates": _candidates(product, policy, lang),
        "minerals": _minerals(product, lang),
        "matching": _matching(product, policy, lang),
        "areas": _areas(product, run, policy, lang),
        "trained": _trained(product, lang),
        "model": _model(model, policy, lang),
        "how": tell(scores, "how", lang),
        "scores": score_table(scores, lang),
        "held_out": held_out_table(model.get("validation") or [], lang),
        "scenes": _scenes(product, run, policy, lang),
        "cite": _cite(run, lang),
        "facts": page_facts(product, run, policy, lang),
        "counts": [(name_of(key, lang), cell_text(value, lang)) for key, value in counts.items()],
        "context": [
            (layer.declaration.title(lang), layer.declaration.credit, layer.declaration.licence)
            for layer in product.known_layers
        ],
    }


def _tiles(product: Product, lang: str) -> list[tuple[str, str, str]]:
    """Return the key figures: number, what it counts, colour class."""
    counts = map_folder.count(product)
    tiles = [(counts["cells"], say("page.total_squares", lang), "plain")]
    tiles += [
        (counts.get(name, 0), say(f"classes.{name}", lang), name)
        for name in ("likely", "possible", "unlikely", "cannot_tell")
    ]
    if counts.get("industrial"):
        tiles.append((counts["industrial"], say("map.industrial", lang), "plain"))
    tiles.append((counts["candidates"], say("page.n_candidates", lang), "plain"))
    if "sites" in counts:
        tiles.append((counts["sites"], say("page.n_sites", lang), "plain"))
        tiles.append((counts["sites_matched"], say("map.found", lang), "found"))
    return [(cell_text(value, lang), label, kind) for value, label, kind in tiles]


def _small_cells(run: RunInfo, lang: str) -> str:
    """Say how many cells cannot tell, where that is known."""
    unknown, all_of_them = (
        run.counts.get(key) for key in ("small_cells_cannot_tell", "small_cells")
    )
    if run.config.map.disclosure != editions.PUBLIC or unknown is None:
        return ""
    return say("page.small_cells", lang, unknown=unknown, cells=all_of_them)


def _cite(run: RunInfo, lang: str) -> str:
    first, last = run.images
    commit = run.code_commit or run.code_version
    return say(
        "page.cite", lang, region=run.region.title, run=run.run_id, commit=commit, first=first,
        last=last, made=run.created[:10],
    )  # fmt: skip


def _candidates(product: Product, policy: Policy, lang: str) -> tuple[list[str], list[list[Any]]]:
    shown = (
        "rank", "longitude", "latitude", "probability", "cells", "area_km2", "nearest_site_km",
        "known_sites", "clear_observations", f"reasons_{lang}",
    )  # fmt: skip
    table = product.ranked.head(MOST_CANDIDATES)
    columns = [name for name in shown if name in table]
    heading = [policy["candidates"][name].alias(lang) for name in columns[:-1]]
    heading.append(say("map.reasons", lang))
    place = editions.PLACE_DECIMALS[product.disclosure]
    decimals = {
        "longitude": place,
        "latitude": place,
        "clear_observations": 1,
        "nearest_site_km": 1,
    }
    plain = pd.DataFrame(table[columns]).astype(object)
    rows = [
        [
            fixed(value, lang, decimals.get(name, 2))
            for name, value in zip(columns, row, strict=True)
        ]
        for row in plain.itertuples(index=False)
    ]
    return heading, rows


def _minerals(product: Product, lang: str) -> list[tuple[str, str, str, str]]:
    """Return mineral, known sites, found sites and the share found, all minerals last."""
    sites = product.layers.get("sites")
    if sites is None or "matched" not in sites or not len(sites):
        return []
    found = sites["matched"].fillna(False).astype(bool)
    mineral = sites["mineral"] if "mineral" in sites else pd.Series("", index=sites.index)
    if "mineral_code" in sites:
        words = code_meanings(lang)
        named = sites["mineral_code"].map(lambda code: words.get(("mineral?", code)))
        mineral = named.where(named.notna(), mineral)
    mineral = mineral.fillna("–").astype(str)
    sums = found.groupby(mineral).agg(["size", "sum"]).sort_values("size", ascending=False)
    rows = [
        (str(name), int(row["size"]), int(row["sum"])) for name, row in sums.head(12).iterrows()
    ]
    rows.append((say("page.all_minerals", lang), len(sites), int(found.sum())))
    return [
        (name, cell_text(n, lang), cell_text(hits, lang), share_text(hits / n, lang))
        for name, n, hits in rows
    ]


def _matching(product: Product, policy: Policy, lang: str) -> tuple[list[str], list[list[str]]]:
    """Return heading and rows of the table of recall and of likely squares without a site."""
    table = product.tables.get("matching")
    if table is None:
        return [], []
    columns = [name for name in table.columns if name != "simulated"]
    heading = [policy["matching"][name].alias(lang) for name in columns]
    rows = []
    for group, *row in table[columns].astype(object).itertuples(index=False):
        values = (cell_text(None if pd.isna(value) else value, lang) for value in row)
        rows.append([say(f"page.by_{group}", lang), *values])
    return heading, rows


def _areas(
    product: Product, run: RunInfo, policy: Policy, lang: str
) -> tuple[list[str], list[list[str]], str]:
    """Return heading, rows and method of the area estimates; no row where there are none."""
    layer = product.layers.get("regions")
    if layer is None or not len(layer):
        return [], [], ""
    figures = ["cells_with_mining", *(["mined"] if layer["mined_km2"].notna().any() else [])]
    columns = ["title"]
    for name in figures:
        columns += [f"{name}_km2", f"{name}_low_km2", f"{name}_high_km2", f"{name}_se_km2"]
    columns += ["labelled", "cannot_tell", "not_estimated_km2"]
    heading = [policy["regions"][name].alias(lang) for name in columns]
    plain = pd.DataFrame(layer[columns]).astype(object)
    rows = [[cell_text(value, lang) for value in row] for row in plain.itertuples(index=False)]
    return heading, rows, tell(run.area["regions"][0], "how", lang)


def _trained(product: Product, lang: str) -> str:
    """Return the share of the squares that the model was trained on; empty: of none."""
    cells = product.layers["cells"]
    share = float(cells["in_training"].mean()) if "in_training" in cells else 0.0
    return share_text(share, lang) if share > 0 else ""


def _model(model: dict[str, Any], policy: Policy, lang: str) -> list[tuple[str, str]]:
    """Return the model's card as names and values; what a group holds stands in its own rows."""
    facts = {name: model[name] for name in _MODEL_FACTS if model.get(name) not in (None, "", {})}
    rows = []
    for name, value in facts.items():
        alias = policy["model"][name].alias(lang)
        if name == "data" and isinstance(value, dict):
            rows.append((alias, tell(value, "description", lang) or cell_text(None, lang)))
            rows += [
                (say(f"page.{key}", lang), cell_text(value[key], lang))
                for key in ("rows", "positives", "licence")
                if key in value
            ]
        else:
            rows.append(
                (alias, tell(model, name, lang) if name == "choice" else cell_text(value, lang))
            )
    return rows


def _scenes(
    product: Product, run: RunInfo, policy: Policy, lang: str
) -> tuple[list[str], list[list[str]], int]:
    columns = ("id", "datetime", "platform", "processing_baseline", "offset", "collection")
    heading = [policy["scenes"][name].alias(lang) for name in columns]
    records = [
        column_rules.allowed(policy, product.disclosure, "scenes", scene) for scene in run.scenes
    ]
    cell: Callable[[Any], str] = partial(cell_text, lang=lang)
    rows = [[cell(record.get(name)) for name in columns] for record in records[:MOST_SCENES]]
    return heading, rows, len(records)


def score_table(scores: dict[str, Any], lang: str) -> tuple[list[str], list[list[str]]]:
    """Lay a model's scores out: all folds together, then fold by fold.

    Parameters
    ----------
    scores : dict
        ``pooled`` (measure -> number) and ``folds`` (a list of the same, each with its ``fold``),
        as in a model's manifest.
    lang : str
        One of :func:`pipeline.words.catalogue.languages`.

    Returns
    -------
    heading : list of str
        Words for the columns.
    rows : list of list of str
        Words for the values.
    """
    folds = [fold for fold in scores.get("folds", []) if isinstance(fold, dict)][:MOST_FOLDS]
    pooled = scores.get("pooled", {})
    measures = [
        name for name in dict.fromkeys((*pooled, *(k for f in folds for k in f))) if name != "fold"
    ]
    named = [(say("page.all_folds", lang), pooled)] if pooled else []
    named += [(f"{say('page.fold', lang)} {fold.get('fold', '')}", fold) for fold in folds]
    rows = [[name, *(cell_text(fold.get(m), lang, 3) for m in measures)] for name, fold in named]
    return ["", *(measure.replace("_", " ") for measure in measures)], rows


def held_out_table(
    rows: list[dict[str, Any]], lang: str
) -> tuple[list[str], list[list[str]], list[str]]:
    """Lay the table of validation out for the page.

    Parameters
    ----------
    rows : list of dict
        As ``models.validation.validate`` gives them.
    lang : str
        One of :func:`pipeline.words.catalogue.languages`.

    Returns
    -------
    heading : list of str
        Words for the columns.
    table : list of list of str
        One row a way that could be judged.
    left_out : list of str
        A line for each that could not, with the reason.
    """
    words = partial(say, lang=lang)
    heading = [words("page.held_out"), words("page.rows"), words("page.mines"), "AUC", "AP"]
    heading += [words("page.brier"), "ECE", words("page.sets"), words("page.how_obtained")]
    table, missing = [], []
    for row in rows:
        name = tell(row, "name", lang)
        if "left_out" in row:
            why = tell(row, "left_out", lang)
            missing.append(words("punctuation.pair", name=name, value=why))
            continue
        auc, ap, brier, base, ece, mine = (
            fixed(float(figure), lang, 3)
            for figure in (
                row["auc"], row["ap"], row["brier"], row["brier_base"], row["ece"],
                row["sets"]["mine"],
            )
        )  # fmt: skip
        table.append(
            [name, str(row["n"]), str(row["positives"]), auc, ap, f"{brier} ({base})", ece, mine,
             tell(row, "how", lang)]
        )  # fmt: skip
    return heading, table, missing


def page_facts(product: Product, run: RunInfo, policy: Policy, lang: str) -> list[tuple[str, str]]:
    """Return where a page comes from, as names and values.

    Parameters
    ----------
    product : Product
        What is published.
    run : RunInfo
        What it was made from.
    policy : mapping
        The columns' rules.
    lang : str
        One of :func:`pipeline.words.catalogue.languages`.

    Returns
    -------
    list of (str, str)
        Names and values.
    """
    manifest = RunManifest.of(product, run, policy)
    plain = (
        "run", "region", "disclosure", "square_degrees", "created", "code_version", "code_commit",
        "configuration_hash",
    )  # fmt: skip
    rows = [(name_of(key, lang), cell_text(getattr(manifest, key), lang, 3)) for key in plain]
    for one in manifest.tables:
        told = [one[key] for key in ("sha256", "fetched") if key in one]
        rows.append((say("facts.table", lang, name=one["name"]), ", ".join(told)))
    names = policy.get("config", {})
    for key, value in manifest.configuration.items():
        if value != "":
            name = names[key].alias(lang) if key in names else key
            rows.append((say("facts.setting", lang, name=name), cell_text(value, lang)))
    return rows


def name_of(key: str, lang: str) -> str:
    """Return the words for a fact or a count.

    Parameters
    ----------
    key : str
        As the manifest has it.
    lang : str
        One of :func:`pipeline.words.catalogue.languages`.

    Returns
    -------
    str
        Words; a key without any as it is, without underscores.
    """
    code = f"facts.{key}"
    return say(code, lang) if code in entries(ENGLISH) else key.replace("_", " ")
