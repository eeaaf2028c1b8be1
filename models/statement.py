"""What a file records in words: the English text, and codes that can be told in any language.

Of each sentence a code says what it states, and beside it stand its parameters:
``{"code": "random_folds", "folds": 5}``. The words are the business of whoever shows them
(``pipeline.words``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Code = dict[str, Any]


@dataclass(frozen=True)
class Statement:
    """Sentences, separated by semicolons.

    Parameters
    ----------
    text : str
        In English.
    codes : tuple of dict
        One a sentence, with its ``code`` and its parameters; empty: only the text is known.
    """

    text: str = ""
    codes: tuple[Code, ...] = ()

    def __add__(self, other: Statement) -> Statement:
        """Return the sentences of both; without codes where one of them has none."""
        parts = [part for part in (self, other) if part.text]
        coded = all(part.codes for part in parts)
        return Statement(
            "; ".join(part.text for part in parts), self.codes + other.codes if coded else ()
        )

    def record(self, key: str) -> dict[str, Any]:
        """Return what a file keeps: the text under a key, the codes under ``<key>_codes``.

        Parameters
        ----------
        key : str
            What the statement is of, such as ``how``.

        Returns
        -------
        dict
            JSON; no codes where there are none.
        """
        return {key: self.text} | ({f"{key}_codes": list(self.codes)} if self.codes else {})
