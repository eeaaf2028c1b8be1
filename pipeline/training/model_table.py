"""The registered models side by side, and what each is for."""

from __future__ import annotations

from pathlib import Path

from models.errors import ModelError
from models.manifest import Manifest, read_manifest
from models.registry import registered
from models.validation_words import RANDOM, REGIONS, TRAINED
from pipeline.runtime.console import aligned
from pipeline.training.model_choice import model_words, registries

HEADER = ("model", "kind", "rows", "mines", "AUC random", "as trained", "regions",
          "AP (prevalence)", "Brier (base)", "sets: mine, not, size")  # fmt: skip
ABOUT = (
    "AUC with random rows, the folds as trained and whole regions held out; AP, Brier score and "
    "label sets of the last of these that there is; of every kind, those of the ridge on its rows."
)


def list_models(home: str | Path) -> list[str]:
    """Compare the registered models, and say of each what it is for.

    Parameters
    ----------
    home : str or pathlib.Path
        Folder of the user's own registry.

    Returns
    -------
    list of str
        An aligned table and its explanation, then a line for each model: imagery, scores, ground.
    """
    table: list[tuple[str, ...]] = [HEADER]
    lines: list[str] = []
    for name, folder in registered(registries(home)).items():
        try:
            manifest = read_manifest(folder)
        except ModelError as error:
            lines.append(f"{name}: cannot be used ({error})")
            continue
        table.append(_figures(manifest))
        pooled = manifest.scores.pooled
        lines.append(
            f"{name}: {manifest.kind} for {model_words(manifest)}; AUC {pooled.auc:.3f}, "
            f"AP {pooled.ap:.3f} at prevalence {pooled.prevalence:.3f} "
            f"({manifest.scores.how}); {manifest.ground.description}"
        )
    if not lines:
        return ["no model is registered"]
    return [*aligned(table), "", ABOUT, "", *lines] if len(table) > 1 else lines


def _figures(manifest: Manifest) -> tuple[str, ...]:
    judged = {row["name"]: row for row in manifest.validation if "left_out" not in row}
    names = (RANDOM, TRAINED, REGIONS)
    widest = next((judged[name] for name in reversed(names) if name in judged), None)
    told = ("-",) * 3
    if widest is not None:
        sets = widest["sets"]
        told = (
            f"{widest['ap']:.3f} ({widest['prevalence']:.3f})",
            f"{widest['brier']:.3f} ({widest['brier_base']:.3f})",
            f"{sets['mine']:.2f}, {sets['not']:.2f}, {sets['size']:.2f}",
        )
    aucs = (f"{judged[name]['auc']:.3f}" if name in judged else "-" for name in names)
    data = manifest.data
    return (manifest.name, manifest.kind, str(data.rows), str(data.positives), *aucs, *told)
