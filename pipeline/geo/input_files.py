"""What a file that somebody else made must be, before anything in it is believed."""

from __future__ import annotations

from pathlib import Path

from pipeline.errors import InputFileError
from pipeline.runtime.atomic import is_safe_path

MAX_BYTES = 64 * 1024 * 1024
MAX_FEATURES = 500_000


def check_file(path: Path, suffixes: tuple[str, ...], max_bytes: int = MAX_BYTES) -> None:
    """Refuse what is not a plain file of one of the kinds, or too large to be read whole.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    suffixes : tuple of str
        Kinds that are read, in lower case with their dots.
    max_bytes : int
        Largest size.

    Raises
    ------
    InputFileError
        If so.
    """
    where = str(path)
    if not is_safe_path(where):
        raise InputFileError(
            'a path may not hold $ ` " \\ | & ; < > * ? ! { }, an address or a /vsi prefix',
            where=ascii(where)[:200],
            next_step="copy the file into a folder with a plain name",
        )
    if not path.is_file():
        raise InputFileError(
            "there is no such file",
            where=where,
            next_step=f"check the path; without a leading / it is looked for in {Path.cwd()}",
        )
    if path.suffix.lower() not in suffixes:
        raise InputFileError(
            f"a file of this kind is not read: {path.suffix or 'no suffix'}",
            where=where,
            next_step="use one of " + ", ".join(suffixes),
        )
    if path.stat().st_size > max_bytes:
        raise InputFileError(
            f"the file is larger than {max_bytes // 2**20} MiB",
            where=where,
            next_step="cut it to the region of interest, or simplify it",
        )


def cannot_read(path: Path, error: Exception) -> InputFileError:
    """Return the error that says why a file cannot be read."""
    reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
    return InputFileError(f"the file cannot be read: {reason}", where=str(path))
