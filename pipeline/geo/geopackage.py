"""What the files of this program call the parts of a GeoPackage 1.3."""

from __future__ import annotations

VERSION = "1.3"
GEOMETRY, FEATURE_ID = "geom", "fid"


def column_names(columns: list[str]) -> dict[str, str]:
    """Return names that a layer can hold: none reserved, none that differ in case alone."""
    taken = {GEOMETRY, FEATURE_ID}
    names = {}
    for column in columns:
        name = column if column.lower() not in taken else f"source_{column}"
        while name.lower() in taken:
            name += "_"
        taken.add(name.lower())
        names[column] = name
    return names
