"""Compare a region's map with what is known to be true there."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.demo.folder import demo_folder
from pipeline.errors import ConfigError
from pipeline.evaluation.compare import Evaluation, describe, evaluate
from pipeline.predict import read_predictions
from pipeline.run import predict_region
from pipeline.runtime.console import console, say
from pipeline.runtime.files import write_json
from pipeline.runtime.journal import journal
from pipeline.sites.truth import read_truth
from pipeline.workflow.context import Context

# 2: cells that the map draws grey take no part.
VERSION = 2


def evaluate_region(context: Context, truth: str | None, out: str | None) -> Evaluation:
    """Predict what is missing, compare, print the table and write the figures.

    Cells of the region's own training ground take no part, nor do those of the model's training
    table.

    Parameters
    ----------
    context : Context
        Configuration, region and workers.
    truth : str, optional
        Label raster, polygons or points; default: the demo's truth, which nothing else reads.
    out : str, optional
        File for the figures; default: ``evaluation.json`` in the region's processed folder.

    Returns
    -------
    Evaluation
        What was printed and written.

    Raises
    ------
    ConfigError
        If no truth is named and the region is not the demo.
    """
    if truth is None:
        if context.region.source != "demo":
            raise ConfigError(
                "no truth was named", next_step="asm-atlas evaluate REGION --truth FILE"
            )
        truth = str(demo_folder(context) / "truth.gpkg")
    predicted = predict_region(context)
    cells = read_predictions(predicted.entry.path)
    if context.region.training:
        ground = context.at(context.region.training).region
        trained = np.concatenate([ground.cells(block) for block in ground.blocks])
        cells = cells[~cells["cell"].isin(trained)]
        say("evaluate", f"{len(trained)} cells of the training ground {ground.name} take no part")
    known = read_truth(truth, cells["cell"].to_numpy(np.int64))
    result = evaluate(cells, known, predicted.model.manifest.thresholds, context.region)
    console.print(describe(result), markup=False)
    home = context.config.workspace.processed / context.region.name
    path = Path(out) if out else home / "evaluation.json"
    about = {"version": VERSION, "model": predicted.model.name, "why": predicted.why.text}
    write_json(path, result.to_dict() | about)
    journal.worked = True
    say("evaluate", str(path))
    return result
