"""Files that somebody wrote to do harm, by kind; every one is made in code."""

from __future__ import annotations

import io
import json
import os
import random
import sqlite3
import struct
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import shapely

NAMES = (
    "<script>alert(1)</script>", "</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>",
    "<!--", "]]>", "&lt;b&gt;", "javascript:alert(1)", "{{7*7}}", "${7*7}", "%(x)s", "{0.__class__}",
    "=1+1", "=cmd|' /C calc'!A0", "+1+1", "-1+1", "@SUM(A1)", "\t=1+1", "'=1+1",
    "'; DROP TABLE cells;--", '"); DELETE FROM sites; --', "1 OR 1=1", "\\'; --",
    "\u202egnp.exe", "\u2066\u2067\u2068", "\u200f\u061c", "a\u0301" * 40, "\U000e0041\U000e0042",
    "../../../../etc/passwd", "..\\..\\windows", "/etc/passwd", "file:///etc/passwd", "/vsicurl/http://x/",
    "http://169.254.169.254/", "$(touch pwned)", "`touch pwned`", "; touch pwned", "|touch pwned",
    "a\nb\r\nc", "\u2028\u2029", "\ufeffx", "\ufffe", "\x01\x02\x1b[31m", "\x7f", "x" * 20_000,
    "NaN", "null", "None", "true", "1e999", "0x41", " ", "\u3000", "😀" * 50, "ﷺ" * 100,
)  # fmt: skip
POLYGON = {"type": "Polygon", "coordinates": [[[5.8, 2.0], [5.9, 2.0], [5.9, 2.1], [5.8, 2.0]]]}


def geojson(geometry: Any, **more: Any) -> str:
    feature = {
        "type": "Feature",
        "properties": more.pop("properties", {"label": 1}),
        "geometry": geometry,
    }
    return json.dumps({"type": "FeatureCollection", "features": [feature], **more})


def point(x: Any, y: Any) -> dict[str, Any]:
    return {"type": "Point", "coordinates": [x, y]}


def texts() -> Iterator[tuple[str, str, str | bytes]]:
    """Yield kind, suffix and content of files that are text, or look like it."""
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32631"}}
    yield "wrong CRS", ".geojson", geojson(point(400_000, 220_000), crs=crs)
    for name in ("EPSG:999999", "../../x", "+proj=pipeline +step +proj=merc", "</x>"):
        yield (
            "wrong CRS",
            ".geojson",
            geojson(POLYGON, crs={"type": "name", "properties": {"name": name}}),
        )
    for x in (1e308, -1e308, 181, 1e9, 2**63, "5", None, True, [5]):
        yield "huge or wrong coordinates", ".geojson", geojson(point(x, 2.0))
    yield "huge or wrong coordinates", ".geojson", geojson(point(5.8, 2)).replace("5.8", "1e999")
    yield "huge or wrong coordinates", ".geojson", geojson(point(5.8, 2)).replace("5.8", "NaN")
    yield "number bomb", ".geojson", geojson(point(5.8, 2)).replace("5.8", "9" * 6000)
    yield "deep nesting", ".geojson", "[" * 200_000
    yield "deep nesting", ".geojson", '{"a":' * 50_000 + "1" + "}" * 50_000
    yield "deep nesting", ".geojson", geojson({"type": "GeometryCollection", "geometries": []})
    crossing = [
        [5 + (n * 7919 % 1000) / 1000, 2 + (n * 104729 % 1000) / 1000] for n in range(3_000)
    ]
    yield (
        "twisted ring",
        ".geojson",
        geojson({"type": "Polygon", "coordinates": [[*crossing, crossing[0]]]}),
    )
    for text in ("", "null", "{}", "[]", "\ufeff{}", '{"type":"FeatureCollection"}', "\0" * 100):
        yield "not what it says", ".geojson", text
    yield "not what it says", ".gpkg", geojson(POLYGON)
    yield (
        "not what it says",
        ".tif",
        '<VRTDataset rasterXSize="1" rasterYSize="1"><VRTRasterBand><SimpleSource><SourceFilename>/etc/passwd</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>',
    )
    yield "not what it says", ".csv", b"PK\x03\x04" + bytes(200)
    for content in (
        b"\xff\xfe\x00\x00",
        b'{"type":"Feature\xff\xc0\xaf"}',
        b"\xed\xa0\x80",
        b"longitude,latitude\n\xff,\xc3\n",
    ):
        for suffix in (".geojson", ".csv"):
            yield "broken UTF-8", suffix, content
    head = "pcode,name,visit_date,visit_onsite,longitude,latitude,label,date,source\n"
    row = "p1,n,2021-06-01,1,{},{},1,2021-06-01,x\n"
    for x in ("1e999", "nan", "inf", "-1e308", "9" * 400, "0x10", "5;2", "٥", "５", "=5", "5\0"):
        yield "huge or wrong coordinates", ".csv", head + row.format(x, "2.0")
    yield "number bomb", ".csv", head + row.format("1e" + "9" * 300, "2")
    yield "long lines", ".csv", head + "x" * 5_000_000
    yield "long lines", ".csv", head + ("," * 2_000) + "\n"
    yield "quotes without end", ".csv", head + '"' + "x\n" * 50_000
    yield "columns twice", ".csv", "longitude,longitude,latitude,latitude\n5,5,2,2\n"
    for day in ("0000-00-00", "99999-01-01", "2021-02-30", "now", "-1", "1e9", "'; --"):
        yield "impossible dates", ".csv", head + f"p1,n,{day},1,5.8,2.0,1,{day},x\n"


def geopackages(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield kind and path of GeoPackages that do more than hold features."""

    def fresh(name: str) -> Path:
        path = folder / f"{name}.gpkg"
        frame = gpd.GeoDataFrame(
            {"label": [1], "name": ["x"]}, geometry=[shapely.box(5.8, 2, 5.9, 2.1)], crs=4326
        )
        frame.to_file(path, layer="mines", driver="GPKG")
        return path

    statements = {
        "trigger": "CREATE TRIGGER t AFTER INSERT ON mines BEGIN DELETE FROM mines; END",
        "trigger that loads": "CREATE TRIGGER t AFTER UPDATE ON mines BEGIN SELECT load_extension('/tmp/x'); END",
        "endless view": "CREATE VIEW v AS WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT n AS fid, 1 AS label, (SELECT geom FROM mines) AS geom FROM r",
        "view that writes a bomb": "CREATE VIEW v AS SELECT 1 AS fid, 1 AS label, zeroblob(900000000) AS geom",
        "hostile table": 'CREATE TABLE "x""; DROP TABLE mines; --" (fid INTEGER PRIMARY KEY, geom BLOB)',
        "virtual table": "CREATE VIRTUAL TABLE w USING fts5(a)",
        "generated column": "ALTER TABLE mines ADD COLUMN bomb BLOB GENERATED ALWAYS AS (zeroblob(900000000)) VIRTUAL",
        "wrong CRS": "UPDATE gpkg_geometry_columns SET srs_id = 999999",
        "hostile CRS": "UPDATE gpkg_spatial_ref_sys SET definition = 'PROJCS[\"</script>\"'",
        "no geometry": "UPDATE mines SET geom = NULL",
        "broken geometry": "UPDATE mines SET geom = x'47500001ffffffff'",
        "geometry that claims a billion points": "UPDATE mines SET geom = x'4750000100000000010300000001000000ffffff7f'",
        "broken UTF-8": "UPDATE mines SET name = CAST(x'fffec0af' AS TEXT)",
        "contents that lie": "UPDATE gpkg_contents SET table_name = 'sqlite_master'",
        "two tables of one name": "INSERT INTO gpkg_contents (table_name, data_type, identifier) VALUES ('gone', 'features', 'gone')",
    }  # fmt: skip
    for number, (kind, statement) in enumerate(statements.items()):
        path = fresh(f"g{number}")
        with closing(sqlite3.connect(path)) as base:
            base.create_function("ST_IsEmpty", 1, lambda _: 0)
            for name in ("ST_MinX", "ST_MaxX", "ST_MinY", "ST_MaxY"):
                base.create_function(name, 1, lambda _: 5.8)
            base.execute("PRAGMA foreign_keys=OFF")
            base.execute(statement)
            if "VIEW" in statement[:12]:
                base.execute(
                    "INSERT INTO gpkg_contents (table_name, data_type, identifier, srs_id) VALUES ('v', 'features', 'v', 4326)"
                )
                base.execute(
                    "INSERT INTO gpkg_geometry_columns VALUES ('v', 'geom', 'POLYGON', 4326, 0, 0)"
                )
                base.execute("DELETE FROM gpkg_contents WHERE table_name = 'mines'")
            base.commit()
        yield kind, path
    for number, keep in enumerate((16, 99, 4096, 30_000)):
        path = fresh(f"h{number}")
        path.write_bytes(path.read_bytes()[:keep])
        yield "half a GeoPackage", path
    path = fresh("noise")
    content = bytearray(path.read_bytes())
    chance = random.Random(1)
    for _ in range(400):
        content[chance.randrange(100, len(content))] = chance.randrange(256)
    path.write_bytes(content)
    yield "GeoPackage with flipped bytes", path


def archives() -> Iterator[tuple[str, bytes]]:
    """Yield kind and content of archives of chips."""

    def packed(parts: dict[str, bytes], how: int = zipfile.ZIP_DEFLATED) -> bytes:
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w", how, compresslevel=9 if how else None) as archive:
            for name, content in parts.items():
                archive.writestr(name, content)
        return target.getvalue()

    def header(shape: str, kind: str = "'|u1'") -> bytes:
        text = f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}, }}".encode()
        text += b" " * (63 - (len(text) + 10) % 64) + b"\n"
        return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text

    def plain(array: Any) -> bytes:
        target = io.BytesIO()
        np.save(target, array, allow_pickle=True)
        return target.getvalue()

    labels = plain(np.array([0, 1], np.int8))
    yield (
        "zip bomb",
        packed(
            {"chips.npy": header("(2, 40000, 40000, 3)") + bytes(300_000_000), "label.npy": labels}
        ),
    )
    for shape in (
        "(10**9, 10**9)",
        "(2, 1000000, 1000000, 3)",
        "(-1, 24, 24, 3)",
        "(2, 24, 24)",
        "()",
        "('x',)",
        "__import__('os')",
    ):
        yield (
            "header that lies",
            packed({"chips.npy": header(shape) + bytes(2 * 24 * 24 * 3), "label.npy": labels}),
        )

    class Harm:
        def __reduce__(self) -> Any:
            return os.system, ("touch pwned",)

    yield "pickle", packed({"chips.npy": plain(np.array([Harm()], object)), "label.npy": labels})
    yield (
        "pickle",
        packed(
            {
                "chips.npy": header("(1,)", "'|O'") + b"cos\nsystem\n(S'touch pwned'\ntR.",
                "label.npy": labels,
            }
        ),
    )
    yield (
        "path in a zip",
        packed(
            {
                "../../pwned": b"x",
                "chips.npy": plain(np.zeros((2, 24, 24, 3), np.uint8)),
                "label.npy": labels,
            }
        ),
    )
    yield (
        "half a zip",
        packed({"chips.npy": plain(np.zeros((2, 24, 24, 3), np.uint8)), "label.npy": labels})[:-60],
    )
    yield "not a zip", b"PK\x05\x06" + bytes(18)
    yield (
        "wrong numbers",
        packed({"chips.npy": plain(np.full((2, 24, 24, 3), np.nan)), "label.npy": labels}),
    )
    yield (
        "wrong numbers",
        packed(
            {
                "chips.npy": plain(np.zeros((0, 24, 24, 3), np.uint8)),
                "label.npy": plain(np.zeros(0, np.int8)),
            }
        ),
    )
    yield (
        "wrong numbers",
        packed({"chips.npy": plain(np.zeros((2, 24, 24, 3), "U5")), "label.npy": labels}),
    )


def rasters() -> Iterator[tuple[str, bytes]]:
    """Yield kind and content of files that say they are GeoTIFFs."""

    def tiff(wide: int, high: int, bits: int = 8) -> bytes:
        tags = [(256, 4, 1, wide), (257, 4, 1, high), (258, 3, 1, bits), (259, 3, 1, 1), (262, 3, 1, 1),
                (273, 4, 1, 8), (277, 3, 1, 1), (278, 4, 1, high), (279, 4, 1, 2**31)]  # fmt: skip
        entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
        return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(4)

    yield "raster bomb", tiff(2_000_000_000, 2_000_000_000)
    yield "raster bomb", tiff(100_000, 100_000, 64)
    yield "raster without end", tiff(100, 100)
    yield "raster that loops", b"II*\0\x08\0\0\0\0\0\x08\0\0\0"
    yield "half a raster", b"II*\0"
    yield "not a raster", b"\x89HDF\r\n\x1a\n" + bytes(100)


def strange(folder: Path, suffix: str) -> Iterator[tuple[str, Path]]:
    """Yield paths that are no plain files."""

    def named(name: str, make: Callable[[Path], object]) -> Path:
        path = folder / f"{name}{suffix}"
        make(path)
        return path

    yield "pipe", named("pipe", os.mkfifo)
    yield "folder", named("folder", Path.mkdir)
    yield "link to a secret", named("secret", lambda path: path.symlink_to("/etc/passwd"))
    yield "link to nowhere", named("nowhere", lambda path: path.symlink_to(folder / "gone"))
    yield "link to itself", named("loop", lambda path: path.symlink_to(path))
    yield "device", named("zero", lambda path: path.symlink_to("/dev/zero"))
    yield "empty file", named("empty", Path.touch)
    yield "not there", folder / f"absent{suffix}"
    yield "hostile path", Path(f"/vsicurl/http://127.0.0.1:9/x{suffix}")
    yield "hostile path", Path(f"$(touch pwned){suffix}")
