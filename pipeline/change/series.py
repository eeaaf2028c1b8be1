"""The series of a region: what one model said of every season kept, one file a season.

A series belongs to one model. Scores of two models are not on one scale: a change between them
would be a change of the model.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from models.model import Model
from pipeline.classes import classify
from pipeline.config import fingerprint
from pipeline.errors import MixedModelsError, StoreCorruptError
from pipeline.predict import Predicted, read_predictions
from pipeline.runtime.files import whole_file
from pipeline.runtime.mirror import fetched_folder, removed
from pipeline.training.model_choice import own_name
from pipeline.workflow.context import Context

COLUMNS = ("cell", "season", "probability", "low", "high", "class", "first_image", "last_image")
_META = b"asm_atlas"


@dataclass(frozen=True)
class Series:
    """Where the seasons of a region are kept, and what they have in common.

    Parameters
    ----------
    folder : pathlib.Path
        One file a season.
    model : str
        Name of the model.
    identity : str
        Of the model and of what else probabilities depend on: seasons of another are not mixed in.
    region : str
        Name of the region, for errors.
    """

    folder: Path
    model: str
    identity: str
    region: str

    @classmethod
    def of(cls, context: Context, model: Model) -> Series:
        """Return the series of a region.

        Parameters
        ----------
        context : Context
            Configuration and region.
        model : Model
            That it is to be of.

        Returns
        -------
        Series
            Perhaps without any season yet.
        """
        config, region = context.config, context.region
        name = own_name(region.name, config, model.manifest.simulated)
        settings = [region.geometry.wkt, config.model.min_observed, config.model.prevalence]
        identity = fingerprint([model.sha256, *settings])
        folder = fetched_folder(context.store("series") / name)
        return cls(folder, model.name, identity, region.name)

    def seasons(self) -> list[str]:
        """Return the seasons kept, in order of time."""
        return sorted(path.stem for path in self.folder.glob("*.parquet"))

    def check(self, rerun: str) -> None:
        """Refuse to go on with seasons of another model.

        Parameters
        ----------
        rerun : str
            The command that makes them anew.

        Raises
        ------
        MixedModelsError
            Naming both models.
        """
        for season in self.seasons():
            about = _about(self._path(season))
            if about["identity"] != self.identity:
                raise MixedModelsError(
                    f"the series of {self.region} holds {season} by model {about['model']}, and "
                    f"this is {self.model}"
                    + (" with other settings" if about["model"] == self.model else "")
                    + ": scores of two models are not on one scale",
                    where=str(self.folder),
                    next_step=f"{rerun} makes every season kept anew with {self.model}",
                )

    def keep(self, season: str, predicted: Predicted) -> None:
        """Keep what the model says of a season; a season that is there is replaced.

        Parameters
        ----------
        season : str
            Its name.
        predicted : Predicted
            Its predictions.
        """
        about = {
            "identity": self.identity,
            "model": self.model,
            "predictions": predicted.entry.sha256,
            "simulated": predicted.scenes.simulated,
        }
        path = self._path(season)
        if path.is_file() and _about(path) == about:
            return
        cells = read_predictions(predicted.entry.path)
        thresholds = predicted.model.manifest.thresholds
        named = classify(cells["probability"], thresholds, cells["dissimilarity"])
        cells = cells.assign(season=season, **{"class": pd.Series(named, cells.index, dtype="str")})
        table = pa.Table.from_pandas(cells[list(COLUMNS)], preserve_index=False)
        with whole_file(path) as beside:
            pq.write_table(table.replace_schema_metadata({_META: json.dumps(about)}), beside)

    def forget(self, keep: Iterable[str]) -> None:
        """Drop the seasons that are not named."""
        for season in set(self.seasons()) - set(keep):
            removed(self._path(season))
            self._path(season).unlink()

    def read(self, seasons: Iterable[str] | None = None) -> pd.DataFrame:
        """Return the table of all seasons kept.

        Parameters
        ----------
        seasons : iterable of str, optional
            Only these.

        Returns
        -------
        pandas.DataFrame
            ``COLUMNS``, one row for each cell and season, in order of time.
        """
        wanted = self.seasons() if seasons is None else sorted(seasons)
        parts = [pd.read_parquet(self._path(season)) for season in wanted]
        return pd.concat(parts, ignore_index=True)

    def _path(self, season: str) -> Path:
        return self.folder / f"{season}.parquet"


def _about(path: Path) -> dict[str, Any]:
    try:
        about: dict[str, Any] = json.loads(pq.read_schema(path).metadata[_META])
        return about
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreCorruptError(
            f"a season that was kept cannot be read: {error!r}",
            where=str(path),
            next_step="delete the file; the same command makes it anew",
        ) from None
