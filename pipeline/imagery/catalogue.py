"""Turn imagery that somebody already has into a static STAC catalogue.

From there it goes down the same road as a remote one. Files are copied below the catalogue's own
folder, since a catalogue may point nowhere else.
"""

from __future__ import annotations

import datetime as dt
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import rasterio
import shapely
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.transform import from_origin
from rasterio.warp import transform_bounds

from pipeline.errors import ChipsError, InputFileError, MissingMetadataError
from pipeline.imagery.chips import decoding, located, read_chips, read_table
from pipeline.imagery.items import SENTINEL_2_BANDS
from pipeline.runtime.atomic import sha256_of
from pipeline.runtime.console import bar, say
from pipeline.runtime.files import whole_folder, write_json

CHIP_METRES = 10.0
_DATES = re.compile(r"(\d{4}-\d\d-\d\d)(?:\.\.(\d{4}-\d\d-\d\d))?")


def catalogue_rasters(
    files: Sequence[Path],
    out: Path,
    *,
    bands: tuple[str, ...],
    level: str | None,
    dates: str | None,
    scale: float | None,
    offset: float = 0.0,
    clip: float | None = None,
    steps: int | None = None,
) -> int:
    """Catalogue GeoTIFFs, one ready composite each.

    Parameters
    ----------
    files : sequence of pathlib.Path
        GeoTIFFs with a coordinate system; nodata as the file declares it.
    out : pathlib.Path
        New folder of the catalogue.
    bands : tuple of str
        Sentinel-2 names in the file's order; empty: the file's band descriptions.
    level : str
        ``L1C`` or ``L2A``.
    dates : str
        ``YYYY-MM-DD``, or ``YYYY-MM-DD..YYYY-MM-DD`` for a composite over a period.
    scale, offset : float
        Reflectance is ``scale * value + offset``. Where ``clip`` and ``steps`` are given the scale
        follows from them.
    clip, steps : float, int, optional
        Reflectance at which pixels saturate, and the steps up to it.

    Returns
    -------
    int
        Number of items.

    Raises
    ------
    MissingMetadataError
        If level, dates, bands or scale are not known.
    InputFileError
        If a file cannot be read, or the folder is there already.
    """
    if level not in ("L1C", "L2A"):
        raise _unknown("the processing level", "--level L1C or --level L2A")
    if (clip is None) != (steps is None):
        raise _unknown("only one of clip and steps", "--clip and --steps together")
    if scale is None:
        if clip is None or not steps:
            raise _unknown("how numbers become reflectance", "--scale, or --clip and --steps")
        scale = clip / steps
    if not files:
        raise InputFileError(
            "no file was given", next_step="asm-atlas catalogue FILE.tif --out DIR"
        )
    period = _period(dates)
    with _new_catalogue(out, "Imagery at hand") as (folder, items):
        for file in bar(files, "catalogue", len(files)):
            if not file.is_file():  # a pipe would be waited on for ever
                raise InputFileError(
                    "there is no such file", where=str(file), next_step="check the path"
                )
            shape, names, nodata = _look(file, bands)
            target = folder / "items" / file.stem / file.name
            if target.exists():
                raise InputFileError(
                    "two files have one name",
                    where=str(file),
                    next_step="rename one: a scene is called after its file",
                )
            target.parent.mkdir(parents=True)
            shutil.copyfile(file, target)
            items.append(
                _item(
                    file.stem,
                    shape,
                    target,
                    names,
                    level,
                    period,
                    scale,
                    offset,
                    clip,
                    steps,
                    nodata,
                )
            )
    say("catalogue", f"{len(files)} items: {out}")
    return len(files)


def catalogue_chips(archive: Path, out: Path) -> int:
    """Catalogue the exactly located chips of an archive, each a small ready composite.

    Parameters
    ----------
    archive : pathlib.Path
        Folder with ``chips.npz`` and ``chips.csv`` (columns ``epsg, ulx, uly, date_start,
        date_end``; pixels of 10 m).
    out : pathlib.Path
        New folder of the catalogue.

    Returns
    -------
    int
        Number of items.

    Raises
    ------
    ChipsError
        If the archive is not in its form, or no chip has an exact place.
    """
    chips = read_chips(archive / "chips.npz")
    table = read_table(archive / "chips.csv", len(chips.pixels))
    rows = np.flatnonzero(located(table))
    if not len(rows):
        raise ChipsError("no chip has an exact place (epsg, ulx, uly)", where=str(archive))
    missing = {"date_start", "date_end"} - set(table.columns)
    if missing:
        raise ChipsError(
            f"the table of chips has no column {', '.join(sorted(missing))}",
            where=str(archive / "chips.csv"),
        )
    imagery = chips.imagery
    scale = decoding(chips.pixels.dtype, imagery.scaling)
    with _new_catalogue(out, "Located chips") as (folder, items):
        for row in bar(rows, "catalogue", len(rows)):
            about = table.loc[row]
            name = f"chip-{row:05d}"
            file = folder / "items" / name / f"{name}.tif"
            file.parent.mkdir(parents=True)
            shape = _write_chip(file, chips.pixels[row], about)
            period = _period(f"{about['date_start']}..{about['date_end']}")
            items.append(
                _item(
                    name, shape, file, imagery.bands, imagery.level, period, scale, 0.0,
                    imagery.scaling.clip, imagery.scaling.steps, None,
                )
            )  # fmt: skip
    say("catalogue", f"{len(rows)} located chips of {len(table)}: {out}")
    return len(rows)


def _item(
    name: str,
    shape: shapely.Polygon,
    file: Path,
    bands: Sequence[str],
    level: str,
    period: tuple[dt.datetime, dt.datetime],
    scale: float,
    offset: float,
    clip: float | None,
    steps: int | None,
    nodata: float | None,
) -> pystac.Item:
    properties: dict[str, Any] = {"processing:level": level, "asm:ready_composite": True}
    if clip is not None:
        properties["asm:scaling"] = {"clip": clip, "steps": steps}
    item = pystac.Item(
        id=name,
        geometry=shapely.geometry.mapping(shape),
        bbox=list(shape.bounds),
        datetime=period[0],
        start_datetime=period[0],
        end_datetime=period[1],
        properties=properties,
    )
    fields = {"scale": scale, "offset": offset, "nodata": "nan" if nodata is None else nodata}
    item.add_asset(
        "data",
        pystac.Asset(
            href=str(file),
            media_type=pystac.MediaType.GEOTIFF,
            roles=["data"],
            extra_fields={
                "eo:bands": [{"name": band} for band in bands],
                "raster:bands": [fields for _ in bands],
                # The multihash prefix 1220 says sha256, 32 bytes.
                "file:checksum": f"1220{sha256_of(file)}",
            },
        ),
    )
    return item


@contextmanager
def _new_catalogue(out: Path, title: str) -> Iterator[tuple[Path, list[pystac.Item]]]:
    """Give a folder and a list of items to fill; the catalogue appears whole, at the end."""
    if out.exists():
        raise InputFileError(
            "the catalogue's folder is there already",
            where=str(out),
            next_step="choose a new folder with --out, or remove that one",
        )
    with whole_folder(out) as folder:
        items: list[pystac.Item] = []
        yield folder, items
        for item in items:
            for asset in item.assets.values():
                asset.href = "./" + Path(asset.href).relative_to(folder).as_posix()
        # One file for thousands of small items: a single read instead of thousands.
        write_json(
            folder / "items.json",
            {
                "type": "FeatureCollection",
                "features": [item.to_dict(include_self_link=False) for item in items],
            },
        )
        write_json(
            folder / "catalog.json",
            {
                "type": "Catalog",
                "id": "asm-atlas-imagery",
                "stac_version": pystac.get_stac_version(),
                "description": title,
                "links": [{"rel": "items", "href": "./items.json", "type": "application/geo+json"}],
            },
        )


def _look(
    file: Path, bands: tuple[str, ...]
) -> tuple[shapely.Polygon, tuple[str, ...], float | None]:
    try:
        with rasterio.open(file, driver="GTiff") as raster:
            names = bands or tuple(str(text) for text in raster.descriptions)
            if raster.crs is None:
                raise InputFileError(
                    "the file has no coordinate system",
                    where=str(file),
                    next_step="say it: gdal_edit.py -a_srs EPSG:NUMBER FILE",
                )
            if len(names) != raster.count or any(name not in SENTINEL_2_BANDS for name in names):
                raise MissingMetadataError(
                    f"{raster.count} bands, named {' '.join(names)}",
                    where=str(file),
                    next_step="name them with --bands, such as --bands B04,B03,B02",
                )
            box = transform_bounds(raster.crs, "EPSG:4326", *raster.bounds, densify_pts=21)
            return shapely.box(*box), names, raster.nodata
    except (RasterioError, OSError) as error:
        raise InputFileError(f"not a GeoTIFF: {error}", where=str(file)) from None


def _write_chip(file: Path, pixels: NDArray[Any], about: Any) -> shapely.Polygon:
    height, width, count = pixels.shape
    with rasterio.open(
        file,
        "w",
        driver="GTiff",
        height=height,
        width=width,
        count=count,
        dtype=pixels.dtype,
        crs=f"EPSG:{int(about['epsg'])}",
        transform=from_origin(float(about["ulx"]), float(about["uly"]), CHIP_METRES, CHIP_METRES),
    ) as raster:
        raster.write(np.moveaxis(pixels, 2, 0))
        box: shapely.Polygon = shapely.box(
            *transform_bounds(raster.crs, "EPSG:4326", *raster.bounds)
        )
        return box


def _period(dates: str | None) -> tuple[dt.datetime, dt.datetime]:
    match = _DATES.fullmatch(dates or "")
    if match is None:
        raise _unknown("the date", "--dates YYYY-MM-DD or YYYY-MM-DD..YYYY-MM-DD")
    try:
        first = dt.datetime.fromisoformat(match[1]).replace(tzinfo=dt.UTC)
        last = dt.datetime.fromisoformat(match[2] or match[1]).replace(tzinfo=dt.UTC)
    except ValueError as error:
        raise _unknown(f"the date ({error})", "--dates YYYY-MM-DD..YYYY-MM-DD") from None
    return first, last


def _unknown(what: str, option: str) -> MissingMetadataError:
    return MissingMetadataError(f"{what} is not known", next_step=f"say it with {option}")
