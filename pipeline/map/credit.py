"""Whom a map credits: the imagery, and the table of its mining sites."""

from __future__ import annotations

from pipeline.map.disclosure import Product
from pipeline.map.provenance import RunInfo
from pipeline.sites.column_mapping import load_mapping
from pipeline.words.catalogue import say

# A table in IPIS's own form is taken for its open data.
IPIS = "IPIS (ipisresearch.be), ODC-BY 1.0"


def credit(product: Product, run: RunInfo, lang: str) -> str:
    """Return whom a product credits.

    Parameters
    ----------
    product : Product
        What is published, with the sites that it shows.
    run : RunInfo
        Says which mapping read the table of visits, and whether there is anybody to credit.
    lang : str
        One of :func:`pipeline.words.catalogue.languages`.

    Returns
    -------
    str
        Sentences.
    """
    if run.simulated:
        return say("notices.simulated", lang)
    imagery = say("notices.imagery", lang)
    sites = product.layers.get("sites")
    if sites is None or sites.empty:
        return imagery
    mapping = run.config.labels.mapping
    owner = load_mapping(mapping).credit if mapping else IPIS
    owner = owner or say("notices.unstated", lang)
    return f"{imagery} {say('notices.sites', lang, owner=owner)}"
