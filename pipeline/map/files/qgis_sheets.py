"""Prints the field sheets of a project; run by the Python that knows QGIS, and by no other.

usage: qgis_sheets.py MAP.qgz OUT.pdf MOST
"""

import json
import os
import sys
from typing import Any


def main(project_file: str, path: str, most: str) -> None:
    """Open the project, print its atlas, tell in one line of JSON how it went.

    Parameters
    ----------
    project_file : str
        A ``.qgz``, its GeoPackage beside it.
    path : str
        The PDF to write.
    most : str
        Candidates to print, the first by rank; those drawn at random come besides.
    """
    from qgis.core import Qgis, QgsApplication, QgsLayoutExporter, QgsPrintLayout, QgsProject

    said: list[str] = []
    told: dict[str, Any] = {"error": "", "pages": 0, "said": said}

    def hear(text: str, tag: str, level: int) -> None:
        if level in (Qgis.Warning, Qgis.Critical):
            said.append(f"{tag}: {text}")

    app = QgsApplication([], False)
    app.messageLog().messageReceived.connect(hear)
    app.initQgis()
    project = QgsProject.instance()
    layouts = []
    if project.read(project_file):
        layouts = project.layoutManager().printLayouts()
    layouts = [one for one in layouts if isinstance(one, QgsPrintLayout)]
    if not layouts:
        told["error"] = "the project cannot be opened, or has no layout"
    else:
        atlas = layouts[0].atlas()
        atlas.setFilterFeatures(True)
        atlas.setFilterExpression(f'"rank" <= {int(most)} OR "kind" = \'random\'')
        told["pages"] = atlas.updateFeatures()
        if told["pages"]:
            settings = QgsLayoutExporter.PdfExportSettings()
            settings.dpi = 200
            result, error = QgsLayoutExporter.exportToPdf(atlas, path, settings)
            if result != QgsLayoutExporter.Success:
                told["error"] = error or f"error {int(result)}"
    print(json.dumps(told))
    sys.stdout.flush()
    # Taking QGIS down tidily crashes at times.
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
