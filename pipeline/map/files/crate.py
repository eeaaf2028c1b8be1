"""A published folder as a research object: its manifest in the words of RO-Crate.

Archives and workflow systems read ``ro-crate-metadata.json``; it says nothing that the manifest
beside it does not say.

Source: RO-Crate 1.1, https://w3id.org/ro/crate/1.1, and its profile for runs of programs, Process
Run Crate 0.5, https://w3id.org/ro/wfrun/process/0.5.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

CRATE = "ro-crate-metadata.json"
_STANDARD = "https://w3id.org/ro/crate/1.1"
_PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
_RUN, _PROGRAM, _MODEL, _TERMS = "#run", "#asm-atlas", "#model", "#terms"
_FORMS = {
    ".gpkg": "application/geopackage+sqlite3",
    ".qgz": "application/x-qgis-project",
    ".tif": "image/tiff",
    ".json": "application/json",
    ".geojson": "application/geo+json",
    ".html": "text/html",
    ".csv": "text/csv",
    ".gpx": "application/gpx+xml",
    ".pdf": "application/pdf",
}


def crate(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return the record of a published folder.

    Parameters
    ----------
    manifest : dict
        As it stands in ``manifest.json``.

    Returns
    -------
    dict
        JSON-LD: the folder, its files with their sha256, and the run that made them of scenes, a
        model and settings.
    """
    files = [_file(name, digest) for name, digest in sorted(manifest["files"].items())]
    files.append(_file("manifest.json", {}))
    scenes = [_scene(scene) for scene in manifest["scenes"]]
    tables = [_table(table) for table in manifest["tables"]]
    settings = [
        {"@id": f"#setting-{name}", "@type": "PropertyValue", "name": name, "value": _text(value)}
        for name, value in sorted(manifest["configuration"].items())
    ]
    model = manifest["model"]
    words = " ".join(manifest["words"].values())
    root = {
        "@id": "./",
        "@type": "Dataset",
        "name": f"{manifest['title']} ({manifest['disclosure']})",
        "description": words,
        "identifier": manifest["run"],
        "datePublished": manifest["created"],
        "license": _to(_TERMS),
        "conformsTo": _to(_PROFILE),
        "temporalCoverage": f"{manifest['images']['first']}/{manifest['images']['last']}",
        "hasPart": [_to(file["@id"]) for file in files],
        "mentions": [_to(_RUN)],
    }
    run = {
        "@id": _RUN,
        "@type": "CreateAction",
        "name": f"Run {manifest['run']} of asm-atlas on {manifest['region']}",
        "endTime": manifest["created"],
        "instrument": _to(_PROGRAM),
        "object": [_to(part["@id"]) for part in (*scenes, *tables, *settings)] + [_to(_MODEL)],
        "result": [_to(file["@id"]) for file in files],
    }
    about = {
        "@id": CRATE,
        "@type": "CreativeWork",
        "about": _to("./"),
        "conformsTo": _to(_STANDARD),
    }
    profile = {
        "@id": _PROFILE,
        "@type": "CreativeWork",
        "name": "Process Run Crate",
        "version": "0.5",
    }
    program = {
        "@id": _PROGRAM,
        "@type": "SoftwareApplication",
        "name": "asm-atlas",
        "softwareVersion": manifest["code_version"],
        "version": manifest["code_commit"] or manifest["code_version"],
    }
    weights = {
        "@id": _MODEL,
        "@type": "CreativeWork",
        "name": str(model.get("id", "")),
        "description": str(model.get("data", "")),
        "sha256": _text(model.get("files", {})),
    }
    terms = {
        "@id": _TERMS,
        "@type": "CreativeWork",
        "name": "Credits and what the map is not",
        "description": " ".join([manifest["credit"], *manifest["context"].values(), words]),
    }
    graph = [about, root, run, program, profile, terms, weights, *files, *scenes, *tables]
    graph += settings
    return {"@context": f"{_STANDARD}/context", "@graph": graph}


def _to(name: str) -> dict[str, str]:
    return {"@id": name}


def _file(name: str, digest: dict[str, Any]) -> dict[str, Any]:
    found = {"@id": name, "@type": "File", "name": name}
    found |= {"encodingFormat": _FORMS.get(name[name.rfind(".") :], "application/octet-stream")}
    if digest:
        found |= {"contentSize": str(digest["bytes"]), "sha256": digest["sha256"]}
    return found


def _scene(scene: dict[str, Any]) -> dict[str, Any]:
    return {
        "@id": f"#scene-{quote(str(scene['id']), safe='')}",
        "@type": "CreativeWork",
        "name": str(scene["id"]),
        "dateCreated": str(scene.get("datetime", "")),
        "version": str(scene.get("processing_baseline", "")),
        "isPartOf": str(scene.get("collection", "")),
    }


def _table(table: dict[str, str]) -> dict[str, str]:
    found = {
        "@id": f"#table-{quote(table['name'], safe='')}",
        "@type": "CreativeWork",
        "name": table["name"],
        "sha256": table["sha256"],
    }
    return found | ({"dateModified": table["fetched"]} if "fetched" in table else {})


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
