"""Empty forms of the declared layers, for whoever holds the data; and a list of what is there."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import pandas as pd
import pyogrio

from pipeline.config import Config
from pipeline.geo import grid
from pipeline.geo.geopackage import FEATURE_ID, GEOMETRY, VERSION
from pipeline.runtime.console import say
from pipeline.runtime.files import whole_file
from pipeline.sites.layers.declare import load_declarations
from pipeline.sites.layers.joins import JOINS
from pipeline.sites.layers.kinds import kinds_of
from pipeline.sites.layers.layer import Declaration
from pipeline.sites.layers.read import layer_file, layers_folder, read_layer
from pipeline.sites.text_values import TYPES
from pipeline.words.catalogue import ENGLISH, in_every, pick

README = "README.md"


def write_templates(folder: Path, config: Config) -> list[Path]:
    """Write an empty GeoPackage for each declared layer, and a page that explains the columns.

    Parameters
    ----------
    folder : pathlib.Path
        Made if it is not there. A file that is there already stays as it is.
    config : Config
        Names the folder with declarations of the user's own.

    Returns
    -------
    list of pathlib.Path
        The files written.
    """
    declarations = load_declarations(layers_folder(config))
    written = []
    for declaration in declarations:
        path = folder / f"{declaration.name}.gpkg"
        if path.exists():
            say("context", f"kept as it is: {path}")
            continue
        with whole_file(path) as beside:
            _write_empty(beside, declaration)
            read_layer(declaration, beside)
        written.append(path)
    with whole_file(folder / README) as beside:
        beside.write_text(explain(declarations), encoding="utf-8")
    written.append(folder / README)
    say("context", f"{len(written) - 1} empty layers and {README}: {folder}")
    return written


def list_layers(config: Config) -> None:
    """Say which layers are declared, and which of them have a file that fits.

    Parameters
    ----------
    config : Config
        Where the layers are.

    Raises
    ------
    DeclarationError, LayerError
        If a declaration or a file is not in its form.
    """
    folder = layers_folder(config)
    for declaration in load_declarations(folder):
        path = layer_file(declaration, folder)
        if path is not None:
            count = len(read_layer(declaration, path).features)
            say(declaration.name, f"{count} features of {path}; {_how(declaration)}")
        else:
            where = declaration.service or f"no file in {folder}"
            say(declaration.name, f"{where}; {_how(declaration)}")


def explain(declarations: list[Declaration]) -> str:
    """Describe the layers and their columns.

    Parameters
    ----------
    declarations : list of Declaration
        The layers.

    Returns
    -------
    str
        Markdown.
    """
    lines = [
        "# Context layers", "",
        "Fill the layers that you hold, and leave or delete the others. All are in EPSG:4326. A",
        "CSV file of the same name, with columns `longitude` and `latitude`, does for points; so",
        "does GeoJSON or a shapefile. Restricted columns never leave in a public map.",
    ]  # fmt: skip
    names = in_every("language.english")
    for one in declarations:
        lines += ["", f"## {one.name}: {' / '.join(one.texts.values())}", "", _how(one) + ".", ""]
        lines += [f"{one.note}", ""] if one.note else []
        lines += [
            f"| column | type | disclosure | {' | '.join(names.values())} | what |",
            "|---|---|---|" + "---|" * len(names) + "---|",
        ]
        for column in one.columns:
            kind = column.type + (": " + ", ".join(column.choices) if column.choices else "")
            kind += ", required" if column.required else ""
            lines.append(
                f"| {column.source} | {kind} | {column.disclosure} "
                f"| {' | '.join(pick(column.texts, lang) for lang in names)} | {column.note} |"
            )
    return "\n".join(lines) + "\n"


def _how(one: Declaration) -> str:
    days = f", dated in the {one.days} days before the newest image" if one.days else ""
    words = JOINS[one.how].words.format(km=one.distance_km, days=days)
    kinds = " or ".join(kind.title for kind in kinds_of(one.kind)).capitalize()
    rounded = f"rounded to {grid.PUBLIC_DEGREES:g} degree"
    public = {"rounded": rounded, "counts": "counted by 0.1 degree", "none": "not"}
    return f"{kinds}; {words}; in public {public[one.public]}"


def _write_empty(path: Path, declaration: Declaration) -> None:
    columns = {
        column.source: pd.Series([], dtype=TYPES[column.type].dtype)
        for column in declaration.columns
    }
    kinds = kinds_of(declaration.kind)
    pyogrio.write_dataframe(
        gpd.GeoDataFrame(columns, geometry=gpd.GeoSeries([], crs=grid.CRS)),
        path,
        layer=declaration.layer or declaration.name,
        driver="GPKG",
        dataset_options={"VERSION": VERSION},
        geometry_type=kinds[0].stored if len(kinds) == 1 else "Unknown",
        GEOMETRY_NAME=GEOMETRY,
        FID=FEATURE_ID,
        DESCRIPTION=declaration.title(ENGLISH),
    )  # fmt: skip
