"""Opens a sample in real QGIS, fills in labels through its form's widgets and saves them.

Run by the system's Python, not by pytest. Usage: qgis_label.py sample.gpkg
"""

import json
import os
import sys

from qgis.core import QgsApplication, QgsProviderRegistry, QgsVectorLayer
from qgis.PyQt.QtCore import QDate


def main(path):
    """Open, describe, label, save."""
    app = QgsApplication([], True)
    said = []
    app.messageLog().messageReceived.connect(
        lambda text, tag, level: said.append([level, tag, text])
    )
    app.initQgis()
    details = QgsProviderRegistry.instance().querySublayers(path)
    names = [one.name() for one in details]
    (uri,) = [one.uri() for one in details if one.name() == "sample"]
    layer = QgsVectorLayer(uri, "sample", "ogr")
    field = layer.fields().indexOf
    widgets = {name: layer.editorWidgetSetup(field(name)) for name in layer.fields().names()}
    config = layer.editFormConfig()
    told = {
        "valid": layer.isValid(),
        "layers": names,
        "renderer": layer.renderer().type(),
        "rules": [rule.label() for rule in layer.renderer().rootRule().children()],
        "labels": bool(layer.labelsEnabled()),
        "aliases": {name: layer.attributeDisplayName(field(name)) for name in widgets},
        "widgets": {name: setup.type() for name, setup in widgets.items()},
        "values": widgets["label"].config().get("map"),
        "read_only": [name for name in widgets if config.readOnly(field(name))],
    }
    # The widgets themselves, as the form shows them.
    from qgis.gui import QgsGui

    QgsGui.editorWidgetRegistry().initEditors()
    wrapper = QgsGui.editorWidgetRegistry().create(layer, field("label"), None, None)
    box = wrapper.widget()
    told["offered"] = [box.itemText(i) for i in range(box.count())]
    told["started"] = layer.startEditing()
    for feature in layer.getFeatures():
        label = ("mine", "no mine", "cannot tell")[feature["number"] % 3]
        values = {field("label"): label, field("date"): QDate(2022, 1, 15)}
        values[field("labeller")] = "Ékole"
        if label == "mine":
            values[field("share")] = 0.25
        layer.changeAttributeValues(feature.id(), values)
    told["saved"] = layer.commitChanges()
    told["errors"] = layer.commitErrors()
    told["said"] = [one for one in said if one[0] in (1, 2)]
    print(json.dumps(told))
    sys.stdout.flush()
    # Let go of the file first: what SQLite keeps beside it belongs into it.
    del wrapper, box, layer
    app.processEvents()
    os._exit(0)


main(*sys.argv[1:])
