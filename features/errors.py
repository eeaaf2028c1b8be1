"""What can be wrong with a filter bank or with the pixels it is given."""

from __future__ import annotations


class BankError(ValueError):
    """A bank's file is damaged, or its parts do not fit together."""


class BankMismatchError(BankError):
    """Two banks, or a bank and the pixels, differ in bands, level, scaling or hash."""
