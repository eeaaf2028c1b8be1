"""Where the simulated landscape lies."""

from __future__ import annotations

from pathlib import Path

from pipeline.geo.seasons import season_windows
from pipeline.workflow.context import Context


def demo_folder(context: Context) -> Path:
    """Return the folder of the simulated landscape, written now if it is not there."""
    # Here and not above: every worker reads this module, and none of them simulates anything.
    from pipeline.demo import SECOND_YEAR, make_demo

    folder = context.config.workspace.raw / "demo" / f"seed-{context.config.run.seed}"
    later = any(after > SECOND_YEAR for _, after in season_windows(context.season))
    make_demo(folder, context.config.run.seed, second=later)
    return folder
