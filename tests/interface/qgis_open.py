"""Opens a map in real QGIS and tells what it saw; run by the system's Python, not by pytest.

usage: qgis_open.py (map.qgz | map.gpkg) OUT.png [WIDTH_DEGREES]
"""

import json
import os
import sys
import time

from qgis.core import (
    QgsApplication,
    QgsCoordinateReferenceSystem,
    QgsLayerTree,
    QgsMapRendererParallelJob,
    QgsMapSettings,
    QgsProject,
    QgsProviderRegistry,
    QgsRectangle,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QSize


def main(path, picture, width=None):
    """Open, describe, render."""
    app = QgsApplication([], False)
    said = []
    app.messageLog().messageReceived.connect(
        lambda text, tag, level: said.append([level, tag, text])
    )
    app.initQgis()
    project = QgsProject.instance()
    if path.endswith(".gpkg"):
        details = QgsProviderRegistry.instance().querySublayers(path)
        layers = [QgsVectorLayer(one.uri(), one.name(), "ogr") for one in details]
        layers = [x for x in layers if x.name() in ("cells", "candidates", "sites", "coverage")]
        layers.sort(key=lambda one: ["candidates", "sites", "cells", "coverage"].index(one.name()))
        opened = all(layer.isValid() for layer in layers)
        shown = [layer for layer in layers if layer.name() != "coverage"]
        extent = layers[0].extent()
        for layer in layers:
            extent.combineExtentWith(layer.extent())
    else:
        opened = project.read(path)
        order = [node.layerId() for node in project.layerTreeRoot().findLayers()]
        layers = [project.mapLayer(one) for one in order]
        shown = [n.layer() for n in project.layerTreeRoot().findLayers() if n.isVisible()]
        shown = [layer for layer in shown if layer.isSpatial()]
        extent = project.viewSettings().defaultViewExtent()
    if width:
        centre = extent.center()
        half = float(width) / 2
        extent = QgsRectangle(
            centre.x() - half, centre.y() - half, centre.x() + half, centre.y() + half
        )
    settings = QgsMapSettings()
    settings.setLayers(shown)
    settings.setExtent(extent)
    settings.setOutputSize(QSize(1200, 900))
    settings.setDestinationCrs(QgsCoordinateReferenceSystem("EPSG:4326"))
    started = time.time()
    job = QgsMapRendererParallelJob(settings)
    job.start()
    job.waitForFinished()
    seconds = time.time() - started
    job.renderedImage().save(picture)
    groups = [
        [node.name(), [layer.name() for layer in node.findLayers()]]
        for node in project.layerTreeRoot().children()
        if QgsLayerTree.isGroup(node)
    ]
    print(
        json.dumps(
            {
                "opened": opened,
                "title": project.title(),
                "groups": groups,
                "seconds": seconds,
                "errors": [str(e.message) for e in job.errors()],
                "said": [s for s in said if s[0] in (1, 2)],
                "layers": {layer.name(): describe(layer) for layer in layers},
            }
        )
    )
    sys.stdout.flush()
    os._exit(0)


def describe(layer):
    """Say what QGIS made of one layer."""
    renderer = layer.renderer()
    rules = []
    if renderer is not None and renderer.type() == "RuleRenderer":
        rules = [rule.label() for rule in renderer.rootRule().children()]
    return {
        "valid": layer.isValid(),
        "id": layer.id(),
        "source": layer.source(),
        "features": layer.featureCount(),
        "rules": rules,
        "renderer": renderer.type() if renderer is not None else "",
        "labels": bool(layer.labelsEnabled()),
        "aliases": {f.name(): layer.attributeDisplayName(i) for i, f in enumerate(layer.fields())},
    }


main(*sys.argv[1:])
