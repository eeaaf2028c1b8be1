"""From digital number to reflectance: scale, offset and nodata of one band, and what decided them.

ESA added 1000 to the digital numbers of Sentinel-2 from processing baseline 04.00 on (January
2022); services tell that in different ways, undo it, or do not say. The first rule that applies
decides: the service's own, what the band declares (STAC 1.0 ``raster:bands``, STAC 1.1 ``bands``),
the baseline. Signals that disagree are part of the rule's text.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import pystac

from pipeline.errors import MissingMetadataError
from pipeline.imagery.providers import Provider

DN_SCALE = 1e-4
OFFSET_SINCE_0400 = -0.1
_BASELINE = re.compile(r"\d{1,2}\.\d{1,2}")


@dataclass(frozen=True)
class Decoding:
    """How a band's numbers become reflectance, ``scale * number + offset``.

    Parameters
    ----------
    scale, offset : float
        As said.
    nodata : float or None
        Number that is no observation; None where every number counts.
    rule : str
        What decided the offset, empty where there is none to decide.
    """

    scale: float
    offset: float
    nodata: float | None
    rule: str


def optical(
    item: pystac.Item, asset: pystac.Asset, name: str, index: int, provider: Provider
) -> Decoding:
    """Decide how a Sentinel-2 band's numbers become reflectance.

    Parameters
    ----------
    item : pystac.Item
        The item.
    asset : pystac.Asset
        The band's file.
    name : str
        Of the band, for messages.
    index : int
        Of the band in the file, from 1.
    provider : Provider
        Whose item it is.

    Returns
    -------
    Decoding
        With the rule.

    Raises
    ------
    MissingMetadataError
        If nothing says it, or what is said gives no reflectance.
    """
    scale, declared, nodata = declared_of(asset, index)
    by_baseline, said = _by_baseline(item)
    applied = item.properties.get("earthsearch:boa_offset_applied")
    if applied is True or (applied is False and by_baseline is not None):
        # "Not applied" is also said of old baselines, which have none to apply.
        offset, rule = (0.0 if applied else by_baseline), "provider's rule"
    elif provider.offset_by_baseline and by_baseline is not None:
        offset, rule = by_baseline, f"provider's rule, {said}"
        if scale is not None and declared is not None and not _same(declared, by_baseline):
            rule += f" ({by_baseline:g}, where the band declares {declared:g})"
    elif scale is not None and declared is not None:
        offset, rule = declared, "declared with the band"
        if by_baseline is not None and not _same(declared, by_baseline):
            rule += f" ({declared:g}, where {said} alone says {by_baseline:g})"
    else:
        offset, rule = by_baseline, said
    if offset is None:
        raise MissingMetadataError(
            "a band states neither scale and offset nor a processing baseline",
            where=f"item {item.id}, band {name}, fields raster:scale and raster:offset",
            next_step="add them to the catalogue; a guess would shift every reflectance",
        )
    scale = DN_SCALE if scale is None else scale
    if not (math.isfinite(offset) and 0 < scale < math.inf):
        raise MissingMetadataError(
            f"a band's scale {scale:g} and offset {offset:g} give no reflectance",
            where=f"item {item.id}, band {name}",
            next_step="mend the catalogue",
        )
    # Sentinel-2 products mean 0 by no data, whether or not they say so.
    nodata = 0.0 if nodata is None else nodata
    return Decoding(scale, offset, None if math.isnan(nodata) else nodata, rule)


def declared_of(asset: pystac.Asset, index: int) -> tuple[float | None, float | None, float | None]:
    """Return scale, offset and nodata as STAC 1.0 or 1.1 declares them, None where it does not.

    Parameters
    ----------
    asset : pystac.Asset
        A band's file.
    index : int
        Of the band in the file, from 1.

    Returns
    -------
    tuple of float or None
        Nodata may be NaN.
    """
    whole = asset.extra_fields
    bands = whole.get("raster:bands") or whole.get("bands") or []
    band = bands[index - 1] if len(bands) >= index else {}

    def declared(part: str, *more: Any) -> float | None:
        said = (band.get(part), band.get(f"raster:{part}"), whole.get(f"raster:{part}"), *more)
        return next((float(value) for value in said if value is not None), None)

    return declared("scale"), declared("offset"), declared("nodata", whole.get("nodata"))


def baseline_of(item: pystac.Item) -> str:
    """Return an item's processing baseline as it states it, empty if it does not."""
    properties = item.properties
    # The second name is that of the processing extension, which newer catalogues use.
    return str(
        properties.get("s2:processing_baseline") or properties.get("processing:version") or ""
    )


def _by_baseline(item: pystac.Item) -> tuple[float | None, str]:
    baseline = baseline_of(item)
    if not _BASELINE.fullmatch(baseline):
        return None, ""
    offset = OFFSET_SINCE_0400 if float(baseline) >= 4 else 0.0
    return offset, f"processing baseline {baseline}"


def _same(one: float, other: float) -> bool:
    return math.isclose(one, other, abs_tol=1e-9)
