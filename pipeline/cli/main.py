"""The command line: which verb is called, and exit codes. No logic lives here."""

# PYTHON_ARGCOMPLETE_OK
from __future__ import annotations

import difflib
import os
import sys
import traceback
from collections.abc import Sequence

from pipeline.cli.verbs import VERBS, overview, version_text
from pipeline.errors import (
    FILE_ACCESS_EXIT_CODE,
    INTERRUPTED_EXIT_CODE,
    MODEL_FILE_EXIT_CODE,
    AsmAtlasError,
)
from pipeline.redaction import redact

_USAGE = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb.

    Parameters
    ----------
    arguments : sequence of str, optional
        Default: the process's own.

    Returns
    -------
    int
        0 when all was done; otherwise the exit code of the named error, see ``pipeline.errors``.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _call(words)
    except AsmAtlasError as error:
        return _fail(type(error).__name__, str(error), error.exit_code)
    except OSError as error:
        hint = f"{error}\n  next:  check the path, its permissions and the space left"
        return _fail("FileAccessError", hint, FILE_ACCESS_EXIT_CODE)
    except KeyboardInterrupt:
        return _fail("Interrupted", "finished blocks are kept", INTERRUPTED_EXIT_CODE)
    except Exception as error:
        from features.errors import BankError
        from models.errors import ModelError

        if isinstance(error, (BankError, ModelError)):
            return _fail(type(error).__name__, str(error), MODEL_FILE_EXIT_CODE)
        # A defect: its traceback may hold addresses with what opens them.
        print(redact(traceback.format_exc()), file=sys.stderr)
        return 1


def _call(words: Sequence[str]) -> int:
    if "_ARGCOMPLETE" in os.environ:
        from pipeline.cli.completion import complete

        complete()
    first = words[0] if words else ""
    if first in ("", "-h", "--help"):
        print(overview())
        return 0 if first else _USAGE
    if first == "--version":
        print(version_text())
        return 0
    if first == "--completion":
        from pipeline.cli.completion import shell_code

        print(shell_code(*words[1:2]))
        return 0
    for count in (1, 2):
        verb = VERBS.get(" ".join(words[:count]))
        if verb:
            from pipeline.cli.parser import VerbParser

            return verb.run(VerbParser(verb).options_of(words[count:])) or 0
    family = [name for name in VERBS if first in name.split()]
    near = family or difflib.get_close_matches(first, VERBS, n=1)
    hint = f"did you mean {near[0]}?" if near else "asm-atlas --help lists them"
    print(f"asm-atlas: no verb {first!r}; {hint}", file=sys.stderr)
    return _USAGE


def _fail(name: str, text: str, code: int) -> int:
    print(f"{name}: {redact(text)}", file=sys.stderr)
    return code
