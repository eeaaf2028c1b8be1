"""Everything that can go wrong by name: what happened, where, and what to do next.

Each leaf class has its own exit code, so that a scheduled job can tell an empty region from a
broken file without reading text. ``python -m pipeline.errors`` prints the table of them.
"""

from __future__ import annotations

from pipeline.redaction import redact


class AsmAtlasError(Exception):
    """A failure that the user can understand and act on.

    Parameters
    ----------
    what : str
        What happened, in one sentence.
    where : str, optional
        The file, scene, band, block or column concerned.
    next_step : str, optional
        What to do about it; a command where there is one. Default: what the class usually needs,
        ``usual_step``. A class without one is raised with a step of its own (a test looks).
    """

    exit_code = 1
    usual_step = ""

    def __init__(self, what: str, *, where: str = "", next_step: str = "") -> None:
        # Messages of libraries may quote signed addresses and headers; these travel far.
        step = next_step or self.usual_step
        self.what, self.where, self.next_step = map(redact, (what, where, step))
        super().__init__(self.what, self.where, self.next_step)

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments do not survive the default pickling that Dask workers use.
        return _rebuild, (type(self), self.what, self.where, self.next_step)

    def __str__(self) -> str:
        lines = [self.what]
        if self.where:
            lines.append(f"  where: {self.where}")
        if self.next_step:
            lines.append(f"  next:  {self.next_step}")
        return "\n".join(lines)


def _rebuild(kind: type[AsmAtlasError], what: str, where: str, next_step: str) -> AsmAtlasError:
    return kind(what, where=where, next_step=next_step)


class ConfigError(AsmAtlasError):
    """A configuration key is unknown or its value cannot be used."""

    exit_code = 10
    usual_step = (
        "docs/reference.md says what each key may hold, asm-atlas VERB --help what each option does"
    )


class UnknownRegionError(AsmAtlasError):
    """No region of that name, and no file at that path."""

    exit_code = 11


class EmptyRegionError(AsmAtlasError):
    """The region covers no cell of the grid."""

    exit_code = 12


class HugeRegionError(AsmAtlasError):
    """The region holds more blocks than ``max_blocks``."""

    exit_code = 13


class InvertedRegionError(AsmAtlasError):
    """A box whose west lies east of its east, or whose south lies north of its north."""

    exit_code = 14


class AntimeridianRegionError(AsmAtlasError):
    """The region crosses the 180 degree meridian."""

    exit_code = 15


class RegionFileError(AsmAtlasError):
    """A region file cannot be read as polygons."""

    exit_code = 16


class CellError(AsmAtlasError):
    """What was asked for is no cell of the region."""

    exit_code = 17


class UnknownLanguageError(AsmAtlasError):
    """There are no words in that language."""

    exit_code = 18


class SourceError(AsmAtlasError):
    """The imagery source does not exist or does not answer."""

    exit_code = 20


class NoSceneError(AsmAtlasError):
    """The search found no scene for this region and season."""

    exit_code = 21


class MissingBandError(AsmAtlasError):
    """A scene lacks a band that the run needs."""

    exit_code = 22


class ReadFailedError(AsmAtlasError):
    """Pixels could not be read; they are failed, never land."""

    exit_code = 23


class MissingMetadataError(AsmAtlasError):
    """A scene does not say something that its pixels cannot be understood without."""

    exit_code = 24


class NoClearPixelError(AsmAtlasError):
    """No pixel of the region was clear in any scene."""

    exit_code = 25


class UnsafeLinkError(AsmAtlasError):
    """A catalogue points outside the places that it may point to."""

    exit_code = 26


class PartialError(AsmAtlasError):
    """The work is done, but scenes that could not be read are missing from it."""

    exit_code = 27


class WorkerLostError(AsmAtlasError):
    """Worker processes died again and again over one block."""

    exit_code = 28


class OffsetError(AsmAtlasError):
    """A scene's reflectances lie so far below zero that its offset must be wrong."""

    exit_code = 29


class StageMissingError(AsmAtlasError):
    """What the stage before should have stored is not there."""

    exit_code = 30


class StoreCorruptError(AsmAtlasError):
    """A stored file is not what the ledger says was written."""

    exit_code = 31
    usual_step = (
        "run the same command again: what is not whole is made anew; if it comes back, "
        "look at the disk"
    )


class RunLockedError(AsmAtlasError):
    """Another run of the same region is at work in this workspace."""

    exit_code = 32


class ClusterError(AsmAtlasError):
    """The scheduler, its workers or the batch system do not answer, or went away."""

    exit_code = 33
    usual_step = (
        "see that Slurm answers here (sinfo), or the scheduler; CLUSTER=local works on this machine"
    )


class ObjectStoreError(AsmAtlasError):
    """Object storage failed; its leaves say how."""

    exit_code = 34


class NoAnswerError(ObjectStoreError):
    """The object storage of the workspace does not answer, or not as one."""

    exit_code = 34


class NoBucketError(ObjectStoreError):
    """The bucket of the workspace does not exist."""

    exit_code = 35


class BucketAccessError(ObjectStoreError):
    """The object storage refuses these credentials, or there are none."""

    exit_code = 36


class NoConditionsError(ObjectStoreError):
    """The object storage does not keep conditions of writing, so that results could be lost."""

    exit_code = 37


class VisitsError(AsmAtlasError):
    """A table of visits lacks a column or holds values that cannot be used."""

    exit_code = 40
    usual_step = (
        "docs/sites.md says what a table of visits holds, and how LABELS_MAPPING reads another form"
    )


class NoLabelsError(AsmAtlasError):
    """Too few labelled cells to train or to evaluate."""

    exit_code = 41


class SampleError(AsmAtlasError):
    """A labelled sample is not the one that was drawn, or holds labels that cannot be used."""

    exit_code = 43
    usual_step = (
        "label the file that asm-atlas sample wrote, and leave its other columns and "
        "tables as they are"
    )


class SampleUsedError(AsmAtlasError):
    """A model was trained on the sample that is to judge its map."""

    exit_code = 44


class ChipsError(AsmAtlasError):
    """An archive of chips is not in the form that is documented."""

    exit_code = 42
    usual_step = (
        "an archive is a folder with chips.npz (chips: n x H x W x C, uint8 or uint16; label: 0 or "
        "1) and chips.csv (chip, label, cell; epsg, ulx, uly where a place is exact)"
    )


class LabelsError(AsmAtlasError):
    """A file of labels lacks a column or holds labels or dates that cannot be used."""

    exit_code = 45


class ServiceError(AsmAtlasError):
    """A web service of visits or layers does not answer as it should, and no copy is at hand."""

    exit_code = 46
    usual_step = "try again later, or name a file that you downloaded"


class DeclarationError(AsmAtlasError):
    """A mapping of columns, a declared layer or a table of rules is not in its documented form."""

    exit_code = 47
    usual_step = "docs/sites.md shows the form, with an example"


class LayerError(AsmAtlasError):
    """The file of a context layer does not fit what was declared."""

    exit_code = 48
    usual_step = (
        "docs/sites.md says what a layer holds; asm-atlas context --templates FOLDER "
        "writes empty ones"
    )


class NoModelError(AsmAtlasError):
    """No registered model fits this imagery."""

    exit_code = 50


class ModelMismatchError(AsmAtlasError):
    """The imagery's bands, level or scaling differ from the model's."""

    exit_code = 51


class UnknownModelError(AsmAtlasError):
    """No model of that name is registered."""

    exit_code = 52


class MixedModelsError(AsmAtlasError):
    """A series of seasons is of another model than the one that is to go on with it."""

    exit_code = 54


class InputFileError(AsmAtlasError):
    """A file that the user named cannot be used."""

    exit_code = 60
    usual_step = "see whether QGIS opens it; else copy or save it anew"


class DependencyError(AsmAtlasError):
    """A package that this work needs is not installed."""

    exit_code = 63


class QgisError(AsmAtlasError):
    """QGIS, which prints the field sheets, failed."""

    exit_code = 64
    usual_step = "the map itself is done: open map.qgz in QGIS and print there, or try again"


class DisclosureError(AsmAtlasError):
    """An output would hold more than its disclosure class allows."""

    exit_code = 61
    usual_step = (
        "nothing was published: restore data/DISCLOSURE.md if you changed it, else "
        "report this text as a defect"
    )


class RemovalsError(AsmAtlasError):
    """The list of removal requests cannot be used."""

    exit_code = 65
    usual_step = (
        "REMOVALS= names a CSV file with the columns site,longitude,latitude,west,south,east,north,"
        "since,why; data/DISCLOSURE.md"
    )


# Those of the command line itself.
NOTHING_EXIT_CODE = 3
MODEL_FILE_EXIT_CODE = 53
FILE_ACCESS_EXIT_CODE = 62
INTERRUPTED_EXIT_CODE = 130
_OWN = (
    (0, "", "All is done, or was done before."),
    (1, "", "A defect in this program, with a traceback."),
    (2, "", "Wrong usage of the command line."),
    (NOTHING_EXIT_CODE, "", "Nothing was left to do; only with ``--detailed-exit-code``."),
    (MODEL_FILE_EXIT_CODE, "", "A file of a model or a bank of filters cannot be used."),
    (FILE_ACCESS_EXIT_CODE, "FileAccessError", "A file that the system refuses, or a full disk."),
    (INTERRUPTED_EXIT_CODE, "Interrupted", "Interrupted from the keyboard or by a signal."),
)


def exit_codes() -> list[tuple[int, str, str]]:
    """Return every exit code, the name of its error and what it means, in order."""
    kinds = [kind for kind in _leaves(AsmAtlasError) if kind.__module__ == __name__]
    named = [
        (kind.exit_code, kind.__name__, (kind.__doc__ or "").partition("\n\n")[0].strip())
        for kind in kinds
    ]
    return sorted([*_OWN, *named])


def _leaves(kind: type[AsmAtlasError]) -> list[type[AsmAtlasError]]:
    below = kind.__subclasses__()
    return [leaf for one in below for leaf in _leaves(one)] if below else [kind]


def exit_code_table() -> str:
    """Return the exit codes as a table in Markdown."""
    rows = [f"| {code} | {name} | {meaning} |" for code, name, meaning in exit_codes()]
    return "\n".join(["| code | name | meaning |", "|---|---|---|", *rows])


if __name__ == "__main__":
    print(exit_code_table())
