"""The files of context layers, held against their declarations before anything is joined."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from pipeline.config import Config
from pipeline.errors import LayerError
from pipeline.geo import grid
from pipeline.geo.vector_files import SUFFIXES, read_vector
from pipeline.runtime.atomic import sha256_of
from pipeline.runtime.console import say
from pipeline.sites.layers.declare import load_declarations
from pipeline.sites.layers.kinds import GeometryKind, kinds_of
from pipeline.sites.layers.layer import Column, Declaration, KnownLayer
from pipeline.sites.service import DownloadLimits, came_from, fetch_saved
from pipeline.sites.text_values import TYPES, refuse
from pipeline.words.catalogue import ENGLISH


def layers_folder(config: Config) -> Path:
    """Return the folder in which context layers are looked for."""
    return Path(config.map.layers) if config.map.layers else config.workspace.home / "layers"


def load_layers(config: Config) -> tuple[KnownLayer, ...]:
    """Read every context layer whose file, or service, there is.

    Parameters
    ----------
    config : Config
        Where the layers are, and how long a service may take.

    Returns
    -------
    tuple of KnownLayer
        Those with features, by name.

    Raises
    ------
    DeclarationError
        If a declaration is not in its form.
    LayerError
        If a file does not fit its declaration, or the folder that was named is not there.
    ServiceError
        If a service gives nothing usable and there is no saved copy.
    """
    folder = layers_folder(config)
    if config.map.layers and not folder.is_dir():
        raise LayerError("there is no such folder of context layers", where=str(folder))
    limits = DownloadLimits(config.reading.timeout, config.reading.seconds)
    found = []
    for declaration in load_declarations(folder):
        path = layer_file(declaration, folder)
        if path is None and declaration.service:
            check = partial(read_layer, declaration)
            saved = config.workspace.raw / "services"
            path = fetch_saved(declaration.service, saved, ".geojson", check, limits)
        if path is None:
            continue
        layer = replace(read_layer(declaration, path), came=came_from(path))
        say(
            "context",
            f"{declaration.title(ENGLISH)}: {len(layer.features)} features of {path.name}",
        )
        if len(layer.features):
            found.append(layer)
    return tuple(found)


def layer_file(declaration: Declaration, folder: Path) -> Path | None:
    """Return the file of a layer, if there is one in the folder.

    Parameters
    ----------
    declaration : Declaration
        The layer.
    folder : pathlib.Path
        Where files are dropped.

    Returns
    -------
    pathlib.Path or None
        The file that the declaration names, else the one that is called as the layer.

    Raises
    ------
    LayerError
        If the named file is not there, or several are called as the layer.
    """
    if declaration.file:
        path = folder / declaration.file
        # A link may lead out of the folder; a name with .. was refused before.
        if not path.is_file():
            raise LayerError(
                "the file that the layer names is not there",
                where=f"{path}, declared in {declaration.where}",
            )
        return path
    found = [folder / f"{declaration.name}{suffix}" for suffix in SUFFIXES]
    found = [path for path in found if path.is_file()]
    if len(found) > 1:
        raise LayerError(
            f"several files are called {declaration.name}",
            where=", ".join(map(str, found)),
            next_step="keep one of them",
        )
    return found[0] if found else None


def read_layer(declaration: Declaration, path: Path) -> KnownLayer:
    """Read a file and hold it against its declaration.

    Parameters
    ----------
    declaration : Declaration
        What the file must hold.
    path : pathlib.Path
        GeoPackage, GeoJSON, shapefile, or CSV with longitudes and latitudes.

    Returns
    -------
    KnownLayer
        Its declared columns; texts without signs that change how others are read, and with an
        apostrophe before what a spreadsheet would run as a formula. Columns that are not declared
        stay out.

    Raises
    ------
    LayerError
        If a column is missing, a value is not of its type, or the shapes are of another kind.
    InputFileError
        If the file cannot be read at all.
    """
    where = f"{path}, declared in {declaration.where}"
    found = read_vector(path, declaration.layer, every=True)
    shapes = _shapes(found.geometry.to_numpy(), declaration, where)
    present = [str(name) for name in found.columns if name != found.geometry.name]
    columns = {}
    for column in declaration.columns:
        if column.source in present:
            columns[column.name] = _typed(found[column.source], column, where)
        elif column.required:
            raise LayerError(
                f"the layer lacks the column {column.source!r}",
                where=where,
                next_step="it has " + (", ".join(ascii(n)[1:-1][:40] for n in present) or "none")
                + "; rename it, or say from = in a declaration of your own",
            )  # fmt: skip
        else:
            columns[column.name] = pd.Series(
                None, index=found.index, dtype=TYPES[column.type].dtype
            )
    features = gpd.GeoDataFrame(columns, geometry=shapes, crs=grid.CRS, index=found.index)
    if declaration.id:
        features = features.sort_values(declaration.id, kind="stable", na_position="last")
    return KnownLayer(declaration, features.reset_index(drop=True), sha256_of(path))


def _typed(values: pd.Series[Any], column: Column, where: str) -> pd.Series[Any]:
    kind = TYPES[column.type]
    texts = values.map(lambda value: str(value).strip(), na_action="ignore")
    texts = texts.where(values.notna() & (texts != ""), None).astype("str")
    read, bad = kind.read(texts, column.choices)
    refuse(
        LayerError, texts, bad,
        f"{column.source} {kind.rule.format(choices=', '.join(column.choices))}",
        lambda row: f"{where}, feature {row + 1:,}", "features",
        "correct the file; asm-atlas context --templates FOLDER writes empty forms",
    )  # fmt: skip
    return read.astype(kind.dtype)


def _shapes(shapes: Any, declaration: Declaration, where: str) -> Any:
    """Return shapes of the declared kind; mended ones without what mending left of other kinds."""
    kinds = kinds_of(declaration.kind)
    mixed = shapely.get_type_id(shapes) == shapely.GeometryType.GEOMETRYCOLLECTION
    if mixed.any():
        shapes = shapes.copy()
        shapes[mixed] = [_parts_of(shape, kinds[0]) for shape in shapes[mixed]]
    one = shapely.get_num_geometries(shapes) == 1
    single = (shapely.get_type_id(shapes) == shapely.GeometryType.MULTIPOINT) & one
    shapes = np.where(single, shapely.get_geometry(shapes, 0), shapes)
    fits = [kind.holds(shapes) & ~shapely.is_empty(shapes) for kind in kinds]
    if not any(fit.all() for fit in fits):
        wanted = " or ".join(f"{kind.words} alone" for kind in kinds)
        other = np.flatnonzero(~fits[0])
        raise LayerError(
            f"the layer must hold {wanted if len(kinds) > 1 else kinds[0].words}",
            where=f"{where}, feature {other[0] + 1:,}: {shapely.to_wkt(shapes[other[0]])[:60]}",
        )
    return shapes


def _parts_of(collection: Any, kind: GeometryKind) -> Any:
    parts = shapely.get_parts(collection)
    parts = parts[kind.holds(parts)]
    return shapely.union_all(parts) if len(parts) else collection
