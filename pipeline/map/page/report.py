"""The page, one file with its pictures, its data and its own script inside.

Both languages are in it. Without its script the page is what it was on paper: pictures and tables.
The browser is told to run and to load nothing but what the page holds, by hash.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import jinja2
import pandas as pd
from markupsafe import Markup

from pipeline.map import check
from pipeline.map import disclosure as rules
from pipeline.map import folder as map_folder
from pipeline.map.credit import credit
from pipeline.map.files import qgis
from pipeline.map.manifest import MANIFEST, RunManifest, record_file
from pipeline.map.page import figures
from pipeline.map.page.map_data import map_data
from pipeline.map.page.recorded import retell
from pipeline.map.page.words import held_out_table, name_of, tell, way_of
from pipeline.runtime.files import whole_file
from pipeline.sites.answer_codes import code_meanings
from pipeline.training.validation_plot import draw_validation
from pipeline.words.map_words import number, say, warnings

if TYPE_CHECKING:
    from pipeline.map.disclosure import Policy, Product
    from pipeline.map.provenance import RunInfo
    from pipeline.sites.join import Joined

MOST_CANDIDATES = 25
MOST_SCENES = 60
MOST_FOLDS = 20
LANGUAGES = ("en", "fr")
_SCRIPTS = ("data.js", "map.js", "main.js")
_MODEL_FACTS = (
    "id", "choice", "kind", "bands", "level", "scaling", "data", "thresholds", "created",
)  # fmt: skip


def write_report(joined: Joined, run: RunInfo, folder: Path) -> Path:
    """Write ``report.html`` into the run's folder, and enter it into the manifest there.

    Parameters
    ----------
    joined : Joined
        The run's cells, sites and candidates.
    run : RunInfo
        What they were made from; its configuration says which product, and in which language the
        page starts.
    folder : pathlib.Path
        The run's folder; made where it does not exist.

    Returns
    -------
    pathlib.Path
        The page.

    Raises
    ------
    DisclosureError
        If the public page is asked for and the imagery is younger than six months, or the page
        that was written holds what its rules deny.
    StoreCorruptError
        If the joined tables, or the model's thresholds, are incomplete.
    """
    policy = rules.policy_of(joined)
    product = rules.disclose(joined, run, policy)
    text = _page(product, run, policy)
    page = folder / map_folder.REPORT
    with whole_file(page) as part:
        part.write_text(qgis.printable(text), encoding="utf-8")
        check.check_page(part, product.disclosure, policy)
    if (folder / MANIFEST).exists():
        record_file(folder, page)
    return page


def _page(product: Product, run: RunInfo, policy: Policy) -> str:
    model = rules.allowed(policy, product.disclosure, "model", run.model_record)
    editions = [_edition(product, run, policy, model, lang) for lang in LANGUAGES]
    lang = run.config.map.language
    titles = {
        one: qgis.title(replace(run, config=run.config.with_keys(map_lang=one)), product.disclosure)
        for one in LANGUAGES
    }
    colours = sorted({entry[1] for one in editions for entry in one.map.legend})
    colours += sorted({entry[1] for one in editions for entry in one.coverage.legend})
    style = own_file("report.css") + "".join(f".c{c[1:]} {{ --c: {c}; }}\n" for c in colours)
    script = _script()
    data = map_data(product, policy, model.get("thresholds") or {}, titles)
    return templates().get_template("report.html").render(
        lang=lang,
        titles=titles,
        run=run,
        product=product,
        editions=editions,
        n_candidates=len(product.ranked),
        trained=_share_trained(product),
        policy="default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"style-src {hash_of(style)}; script-src {hash_of(script)}",
        style=Markup(style),  # ours, as is the script
        script=Markup(script),
        data=Markup(embedded(data)),
    )  # fmt: skip


def _edition(
    product: Product, run: RunInfo, policy: Policy, model: dict[str, Any], lang: str
) -> SimpleNamespace:
    """Return what the page says in one language."""
    scores, thresholds = model.get("scores") or {}, model.get("thresholds") or {}
    mark = say("simulated", lang) if run.simulated else ""
    if product.disclosure == rules.RESTRICTED:
        mark = f"{mark} {say('restricted', lang)}".strip()
    held_out = model.get("validation") or []
    return SimpleNamespace(
        lang=lang,
        t=lambda key: say(key, lang),
        w=lambda key: tell(key, lang),
        how=retell(str(scores.get("how", "")), lang),
        n=lambda value, digits=2: cell_text(value, lang, digits),
        marks=warnings(lang, run.simulated),
        mark=mark,
        map=figures.draw_map(product, thresholds, lang, mark),
        coverage=figures.draw_coverage(product, lang, mark),
        spread=figures.draw_spread(product, thresholds, lang, mark),
        tiles=_tiles(product, lang),
        candidates=_candidates(product, policy, lang),
        minerals=_minerals(product, lang),
        matching=_matching(product, policy, lang),
        context=[
            (layer.declaration.title(lang), layer.declaration.credit, layer.declaration.licence)
            for layer in product.known_layers
        ],
        areas=_areas(product, policy, lang),
        model=_model(model, policy, lang),
        scores=score_table(scores, lang),
        held_out=held_out_table(held_out, lang),
        curves=_curves(held_out, mark, lang),
        scenes=_scenes(product, run, policy, lang),
        counts=[
            (name_of(k, lang), cell_text(v, lang))
            for k, v in (run.counts | map_folder.count(product)).items()
        ],
        facts=page_facts(product, run, policy, lang),
        cannot_tell=_small_cells(run, lang),
        cite=tell("cite", lang).format(
            run.region.title,
            run.run_id,
            run.code_commit or run.code_version,
            *run.images,
            run.created[:10],
        ),
        credit=credit(product, run, lang),
    )


def embedded(value: Any) -> str:
    """Return JSON that no browser can take for anything but data inside a script element.

    Parameters
    ----------
    value : object
        What JSON can hold; NaN is refused.

    Returns
    -------
    str
        Without ``<``, ``>``, ``&`` and line separators.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text


def _curves(rows: list[dict[str, Any]], mark: str, lang: str) -> str:
    if not any("left_out" not in row for row in rows):
        return ""
    target = io.BytesIO()
    draw_validation([r | {"name": way_of(r["name"], lang)} for r in rows], target, mark, lang)
    return "data:image/png;base64," + base64.b64encode(target.getvalue()).decode("ascii")


def _script() -> str:
    return "(() => {\n'use strict';\n" + "".join(own_file(name) for name in _SCRIPTS) + "})();\n"


def hash_of(text: str) -> str:
    """Return the source expression that allows this inline text and no other."""
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def own_file(name: str) -> str:
    """Return the text of a file of ``templates/``."""
    return (Path(__file__).parent / "templates" / name).read_text(encoding="utf-8")


def score_table(scores: dict[str, Any], lang: str) -> tuple[list[str], list[list[str]]]:
    """Lay a model's scores out: all folds together, then fold by fold.

    Parameters
    ----------
    scores : dict
        ``pooled`` (measure -> number) and ``folds`` (a list of the same, each with its ``fold``),
        as in a model's manifest.
    lang : str
        ``en`` or ``fr``.

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
    named = [(say("all_folds", lang), pooled)] if pooled else []
    named += [(f"{say('fold', lang)} {fold.get('fold', '')}", fold) for fold in folds]
    rows = [[name, *(cell_text(fold.get(m), lang, 3) for m in measures)] for name, fold in named]
    return ["", *(measure.replace("_", " ") for measure in measures)], rows


def cell_text(value: Any, lang: str, digits: int = 2) -> str:
    """Write one value for a reader: a dash for nothing, words for a truth.

    Parameters
    ----------
    value : object
        A number, text, truth, list or dict of them, or nothing.
    lang : str
        ``en`` or ``fr``.
    digits : int, optional
        Digits after the point at most.

    Returns
    -------
    str
        Its words.
    """
    if value is None or (isinstance(value, float) and value != value) or value is pd.NaT:
        return "–"
    if isinstance(value, bool):
        return say("yes" if value else "no", lang)
    if isinstance(value, int):
        return f"{value:,}".replace(",", "\u202f" if lang == "fr" else ",")
    if isinstance(value, float):
        return number(value, lang, digits)
    if isinstance(value, dict):
        return ", ".join(f"{key} {cell_text(one, lang, digits)}" for key, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(cell_text(one, lang, digits) for one in value)
    return str(value)


def fixed(value: Any, lang: str, digits: int) -> str:
    """Write a column's value with the same decimals as its neighbours.

    Parameters
    ----------
    value : object
        A number, or what ``cell_text`` writes.
    lang : str
        ``en`` or ``fr``.
    digits : int
        Digits after the point.

    Returns
    -------
    str
        Its words.
    """
    if not isinstance(value, float) or value != value:
        return cell_text(value, lang)
    text = f"{value:.{digits}f}"
    return text.replace(".", ",") if lang == "fr" else text


def _tiles(product: Product, lang: str) -> list[tuple[str, str, str]]:
    """Return the key figures: number, what it counts, colour class."""
    counts = map_folder.count(product)
    tiles = [(counts["cells"], say("total_squares", lang), "plain")]
    tiles += [
        (counts.get(name, 0), say(name, lang), name)
        for name in ("likely", "possible", "unlikely", "cannot_tell")
    ]
    if counts.get("industrial"):
        tiles.append((counts["industrial"], say("industrial", lang), "plain"))
    tiles.append((counts["candidates"], say("n_candidates", lang), "plain"))
    if "sites" in counts:
        tiles.append((counts["sites"], say("n_sites", lang), "plain"))
        tiles.append((counts["sites_matched"], say("found", lang), "found"))
    return [(cell_text(value, lang), label, kind) for value, label, kind in tiles]


def _small_cells(run: RunInfo, lang: str) -> str:
    """Say how many cells cannot tell, where that is known."""
    unknown, all_of_them = (
        run.counts.get(key) for key in ("small_cells_cannot_tell", "small_cells")
    )
    if run.config.map.disclosure != rules.PUBLIC or unknown is None:
        return ""
    return tell("small_cells", lang).format(cell_text(unknown, lang), cell_text(all_of_them, lang))


def _candidates(product: Product, policy: Policy, lang: str) -> tuple[list[str], list[list[Any]]]:
    shown = (
        "rank", "longitude", "latitude", "probability", "cells", "area_km2", "nearest_site_km",
        "known_sites", "clear_observations", f"reasons_{lang}",
    )  # fmt: skip
    table = product.ranked.head(MOST_CANDIDATES)
    columns = [name for name in shown if name in table]
    heading = [policy["candidates"][name].alias(lang) for name in columns[:-1]]
    heading.append(say("reasons", lang))
    place = 2 if product.disclosure == rules.PUBLIC else 4
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
    rows.append((say("all_minerals", lang), len(sites), int(found.sum())))
    return [
        (name, cell_text(n, lang), cell_text(hits, lang), f"{number(100 * hits / n, lang, 0)} %")
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
    for row in table[columns].astype(object).itertuples(index=False):
        values = [None if pd.isna(value) else value for value in row]
        rows.append(
            [say(f"by_{values[0]}", lang), *(cell_text(value, lang) for value in values[1:])]
        )
    return heading, rows


def _areas(product: Product, policy: Policy, lang: str) -> tuple[list[str], list[list[str]], str]:
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
    return heading, rows, retell(str(layer["how"].iloc[0]), lang)


def _share_trained(product: Product) -> float:
    cells = product.layers["cells"]
    return float(100 * cells["in_training"].mean()) if "in_training" in cells else 0.0


def _model(model: dict[str, Any], policy: Policy, lang: str) -> list[tuple[str, str]]:
    """Return the model's card as names and values; what a group holds stands in its own rows."""
    facts = {name: model[name] for name in _MODEL_FACTS if model.get(name) not in (None, "", {})}
    rows = []
    for name, value in facts.items():
        alias = policy["model"][name].alias(lang)
        if name == "data" and isinstance(value, dict):
            rows.append((alias, retell(cell_text(value.get("description"), lang), lang)))
            rows += [
                (say(key, lang), cell_text(value[key], lang))
                for key in ("rows", "positives", "licence")
                if key in value
            ]
        else:
            text = cell_text(value, lang)
            rows.append((alias, retell(text, lang) if name == "choice" else text))
    return rows


def _scenes(
    product: Product, run: RunInfo, policy: Policy, lang: str
) -> tuple[list[str], list[list[str]], int]:
    columns = ("id", "datetime", "platform", "processing_baseline", "offset", "collection")
    heading = [policy["scenes"][name].alias(lang) for name in columns]
    records = [rules.allowed(policy, product.disclosure, "scenes", scene) for scene in run.scenes]
    cell: Callable[[Any], str] = partial(cell_text, lang=lang)
    rows = [[cell(record.get(name)) for name in columns] for record in records[:MOST_SCENES]]
    return heading, rows, len(records)


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
        ``en`` or ``fr``.

    Returns
    -------
    list of (str, str)
        Names and values.
    """
    manifest = RunManifest.of(product, run, policy)
    plain = (
        "run",
        "region",
        "disclosure",
        "square_degrees",
        "created",
        "code_version",
        "code_commit",
        "configuration_hash",
    )
    rows = [(name_of(key, lang), cell_text(getattr(manifest, key), lang, 3)) for key in plain]
    for one in manifest.tables:
        told = [one[key] for key in ("sha256", "fetched") if key in one]
        rows.append((name_of("table", lang).format(one["name"]), ", ".join(told)))
    names = policy.get("config", {})
    rows += [
        (
            name_of("setting", lang).format(names[key].alias(lang) if key in names else key),
            cell_text(value, lang),
        )
        for key, value in manifest.configuration.items()
        if value != ""
    ]
    return rows


def templates() -> jinja2.Environment:
    """Return the environment that the pages are rendered in."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
