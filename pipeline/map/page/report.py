"""The page, one file with its pictures, its data and its own script inside.

Every language is in it. Without its script the page is what it was on paper: pictures and tables.
The browser is told to run and to load nothing but what the page holds, by hash.
"""

from __future__ import annotations

import base64
import io
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from pipeline.map import check, column_rules
from pipeline.map import disclosure as rules
from pipeline.map import folder as map_folder
from pipeline.map.credit import credit
from pipeline.map.files import qgis
from pipeline.map.manifest import MANIFEST, record_file
from pipeline.map.page import figures
from pipeline.map.page.html import embedded, hash_of, own_file, style_of, templates
from pipeline.map.page.map_data import map_data
from pipeline.map.page.tables import page_tables
from pipeline.runtime.files import whole_file
from pipeline.training.validation_plot import draw_validation
from pipeline.words.catalogue import languages, say
from pipeline.words.notices import notices, watermark
from pipeline.words.statements import tell

if TYPE_CHECKING:
    from pipeline.map.column_rules import Policy
    from pipeline.map.disclosure import Product
    from pipeline.map.provenance import RunInfo
    from pipeline.sites.join import Joined

_SCRIPTS = ("data.js", "map.js", "main.js")


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
    policy = column_rules.policy_of(joined)
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
    model = column_rules.allowed(policy, product.disclosure, "model", run.model_record)
    editions = [_edition(product, run, policy, model, lang) for lang in languages()]
    titles = {lang: qgis.title(run, product.disclosure, lang) for lang in languages()}
    colours = sorted({entry[1] for one in editions for entry in one.map.legend})
    colours += sorted({entry[1] for one in editions for entry in one.coverage.legend})
    style = style_of(colours)
    script = "(() => {\n'use strict';\n" + "".join(map(own_file, _SCRIPTS)) + "})();\n"
    data = map_data(product, policy, model.get("thresholds") or {}, titles)
    return templates().get_template("report.html").render(
        lang=run.config.map.language,
        titles=titles,
        run=run,
        product=product,
        editions=editions,
        n_candidates=len(product.ranked),
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
    thresholds = model.get("thresholds") or {}
    mark = watermark(lang, run.simulated, product.disclosure)
    return SimpleNamespace(
        lang=lang,
        say=partial(say, lang=lang),
        notices=notices(lang, run.simulated),
        mark=mark,
        map=figures.draw_map(product, thresholds, lang, mark),
        coverage=figures.draw_coverage(product, lang, mark),
        spread=figures.draw_spread(product, thresholds, lang, mark),
        curves=_curves(model.get("validation") or [], mark, lang),
        credit=credit(product, run, lang),
        **page_tables(product, run, policy, model, lang),
    )


def _curves(rows: list[dict[str, Any]], mark: str, lang: str) -> str:
    if not any("left_out" not in row for row in rows):
        return ""
    target = io.BytesIO()
    draw_validation([row | {"name": tell(row, "name", lang)} for row in rows], target, mark, lang)
    return "data:image/png;base64," + base64.b64encode(target.getvalue()).decode("ascii")
