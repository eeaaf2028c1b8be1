"""Seconds of 20 renders of a map at different scales, by the Python that knows QGIS.

    QT_QPA_PLATFORM=offscreen /usr/bin/python3 tests/benchmarks/qgis_scales.py map.qgz [PICTURES]

Each picture is 1,200 x 900 pixels: from the whole map down to 1/500 of it.
"""

import os
import sys
import time

from qgis.core import (
    QgsApplication,
    QgsCoordinateReferenceSystem,
    QgsMapRendererParallelJob,
    QgsMapSettings,
    QgsProject,
    QgsRectangle,
)
from qgis.PyQt.QtCore import QSize


def main(path, pictures=""):
    """Open, render, tell."""
    app = QgsApplication([], False)
    app.initQgis()
    project = QgsProject.instance()
    assert project.read(path)
    nodes = [n for n in project.layerTreeRoot().findLayers() if n.isVisible()]
    layers = [node.layer() for node in nodes if node.layer().isSpatial()]
    whole = project.viewSettings().defaultViewExtent()
    worst = most = 0.0
    for number in range(20):
        part = 500 ** (-number / 19)
        x, y = whole.center().x(), whole.center().y()
        wide, high = whole.width() * part / 2, whole.height() * part / 2
        settings = QgsMapSettings()
        settings.setLayers(layers)
        settings.setExtent(QgsRectangle(x - wide, y - high, x + wide, y + high))
        settings.setOutputSize(QSize(1200, 900))
        settings.setDestinationCrs(QgsCoordinateReferenceSystem("EPSG:4326"))
        started, spent = time.perf_counter(), time.process_time()
        job = QgsMapRendererParallelJob(settings)
        job.start()
        job.waitForFinished()
        seconds = time.perf_counter() - started
        spent = time.process_time() - spent
        worst, most = max(worst, seconds), max(most, spent)
        print(f"{2 * wide:9.4f} degrees wide: {seconds:.2f} s, {spent:.2f} s of the processor")
        if pictures:
            job.renderedImage().save(f"{pictures}/{number:02d}.png")
    print(f"slowest: {worst:.2f} s, {most:.2f} s of the processor", flush=True)
    os._exit(0)


main(*sys.argv[1:])
