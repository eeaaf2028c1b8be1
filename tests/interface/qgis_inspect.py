"""Opens the form of an inspection in real QGIS, fills it in through its layer and saves it.

Run by the system's Python, not by pytest. Usage: qgis_inspect.py inspection.qgz
"""

import json
import os
import sys

from qgis.core import QgsApplication, QgsGeometry, QgsPointXY, QgsProject
from qgis.PyQt.QtCore import QDate

FOUND = {1: "mine", 2: "no mine", 3: "cannot tell", 4: "look-alike"}


def main(path):
    """Open, describe, fill in, save."""
    app = QgsApplication([], True)
    said = []
    app.messageLog().messageReceived.connect(
        lambda text, tag, level: said.append([level, tag, text])
    )
    app.initQgis()
    project = QgsProject.instance()
    opened = project.read(path)
    (layer,) = project.mapLayers().values()
    field = layer.fields().indexOf
    widgets = {name: layer.editorWidgetSetup(field(name)) for name in layer.fields().names()}
    config = layer.editFormConfig()
    told = {
        "opened": opened and layer.isValid(),
        "title": project.title(),
        "rules": [rule.label() for rule in layer.renderer().rootRule().children()],
        "aliases": {name: layer.attributeDisplayName(field(name)) for name in widgets},
        "widgets": {name: setup.type() for name, setup in widgets.items()},
        "values": {
            name: {text: value for one in setup.config()["map"] for text, value in one.items()}
            for name, setup in widgets.items()
            if setup.type() == "ValueMap"
        },
        "read_only": [name for name in widgets if config.readOnly(field(name))],
        "started": layer.startEditing(),
    }
    for feature in layer.getFeatures():
        label = FOUND.get(feature["rank"])
        if label is None:
            continue
        values = {field("label"): label, field("date"): QDate(2022, 1, 15)}
        values[field("note")] = "=1+1 Ékole"
        if field("inspector") >= 0:
            values[field("inspector")] = "Ékole"
        layer.changeAttributeValues(feature.id(), values)
        # The inspector stood a little beside the rounded place.
        point = feature.geometry().asPoint()
        moved = QgsPointXY(point.x() + 0.0005, point.y() + 0.0005)
        if field("inspector") < 0:
            layer.changeGeometry(feature.id(), QgsGeometry.fromPointXY(moved))
    told["saved"] = layer.commitChanges()
    told["errors"] = layer.commitErrors()
    told["said"] = [one for one in said if one[0] in (1, 2)]
    print(json.dumps(told))
    sys.stdout.flush()
    project.clear()
    app.processEvents()
    os._exit(0)


main(*sys.argv[1:])
