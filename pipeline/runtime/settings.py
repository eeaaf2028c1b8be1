"""What a key of the configuration is, and how groups of keys are declared, checked and read.

A group is a frozen dataclass. Each of its fields is a key: it has a name of one word for the
environment, make and the command line, a default, what it may hold, and its words in the group's
docstring.
"""

from __future__ import annotations

import dataclasses
import difflib
import operator
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError

_KINDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
_TAKEN = {int: int | str, float: int | float | str, str: str, bool: bool}
_TRUTH = {"true": True, "false": False}


@dataclass(frozen=True)
class Allowed:
    """What a value may be.

    Parameters
    ----------
    words : str
        The same for people, after "must be"; empty: anything.
    holds : callable
        Whether a value is allowed.
    choices : tuple
        All that is allowed, where that is a list.
    """

    words: str
    holds: Callable[[Any], bool]
    choices: tuple[Any, ...] = ()


ANYTHING = Allowed("", lambda value: True)


def one_of(*choices: Any) -> Allowed:
    """Allow the values of a list."""
    return Allowed(f"one of {', '.join(map(str, choices))}", choices.__contains__, choices)


def form(pattern: str, words: str) -> Allowed:
    """Allow text that a regular expression describes as a whole."""
    return Allowed(words, lambda value: re.fullmatch(pattern, value) is not None)


def between(
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    below: float | None = None,
) -> Allowed:
    """Allow finite numbers within limits.

    Parameters
    ----------
    least, above : float, optional
        The lower limit, itself allowed or not.
    most, below : float, optional
        The upper limit, itself allowed or not.

    Returns
    -------
    Allowed
        The test, and its words.
    """
    limits = {
        "at least": (operator.ge, least), "above": (operator.gt, above),
        "at most": (operator.le, most), "below": (operator.lt, below),
    }  # fmt: skip
    stated = [(words, test, at) for words, (test, at) in limits.items() if at is not None]
    return Allowed(
        " and ".join(f"{words} {at:g}" for words, _, at in stated),
        lambda value: value < float("inf") and all(test(value, at) for _, test, at in stated),
    )


def setting(name: str, default: Any, allowed: Allowed = ANYTHING, *, common: bool = False) -> Any:
    """Declare a key as a field of a group.

    Parameters
    ----------
    name : str
        Its name outside the group, as in ``ASM_ATLAS_NAME`` and ``--name``.
    default : object
        Its value where none is given; it also decides the kind.
    allowed : Allowed, optional
        What it may hold.
    common : bool, optional
        Whether many use it: ``--help`` shows it, not ``--help-all`` alone.

    Returns
    -------
    dataclasses.Field
        For a group's class.
    """
    about = {"name": name, "allowed": allowed, "common": common}
    return dataclasses.field(default=default, metadata=about)


@dataclass(frozen=True)
class Key:
    """One key of the configuration.

    Parameters
    ----------
    name : str
        Outside its group, such as ``read_tries`` or ``slurm.cores``.
    group, field : str
        Where it is in the configuration, such as ``reading`` and ``tries``.
    default : object
        Its value where none is given.
    allowed : Allowed
        What it may hold.
    common : bool
        Whether many use it.
    text : str
        Its words, from the group's docstring; the first sentence says what it is.
    """

    name: str
    group: str
    field: str
    default: Any
    allowed: Allowed
    common: bool
    text: str

    @property
    def variable(self) -> str:
        """Its name in make, and after ``ASM_ATLAS_`` in the environment."""
        return self.name.replace(".", "_").upper()

    def cast(self, value: Any) -> Any:
        """Return a value, which may be text from the environment, in the key's own kind.

        Raises
        ------
        ConfigError
            If it is of another kind.
        """
        kind = type(self.default)
        wrong = ConfigError(f"{self.name} must be {_KINDS[kind]}, not {value!r}")
        if kind is bool and isinstance(value, str):
            value = _TRUTH.get(value, value)
        if not isinstance(value, _TAKEN[kind]) or isinstance(value, bool) is not (kind is bool):
            raise wrong
        try:
            return kind(value)
        except (ValueError, OverflowError):
            raise wrong from None


class Settings:
    """A group of settings: its dataclass is checked when it is made."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            _check(field.metadata["name"], getattr(self, field.name), field.metadata["allowed"])


def keys_of(group: str, usual: Settings) -> tuple[Key, ...]:
    """Return the keys of a group.

    Parameters
    ----------
    group : str
        Its name in the configuration.
    usual : Settings
        The group with its defaults.

    Returns
    -------
    tuple of Key
        In the class's order.
    """
    about = (usual.__doc__ or "").partition("----------\n")[2]
    told = re.findall(r"^    (\w+) : .*\n((?:^        .*\n?)+)", about, re.MULTILINE)
    words = {name: " ".join(text.split()) for name, text in told}
    return tuple(
        Key(group=group, field=f.name, default=f.default, text=words.get(f.name, ""), **f.metadata)
        for f in dataclasses.fields(usual)  # type: ignore[arg-type]
    )


def read_file(file: str | Path, keys: Mapping[str, Key]) -> dict[str, Any]:
    """Read a TOML file of tables, of the keys' own names, or of both.

    Parameters
    ----------
    file : str or pathlib.Path
        The file.
    keys : mapping of str to Key
        Every key by its name.

    Returns
    -------
    dict
        Values by the keys' names; a name that is no key's is left as it is.

    Raises
    ------
    ConfigError
        If it cannot be read, or gives a key twice.
    """
    try:
        told = tomllib.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"the configuration cannot be read: {error}",
            where=str(file),
            next_step="--config names a TOML file of keys: check the path, and text in quotes",
        ) from None
    places = {(key.group, key.field): name for name, key in keys.items()}
    groups = {key.group for key in keys.values()}
    flat: dict[str, Any] = {}
    for name, value in told.items():
        if name in groups and isinstance(value, dict):
            given = {places.get((name, f), f"{name}.{f}"): item for f, item in value.items()}
        else:
            given = {name: value}
        twice = sorted(flat.keys() & given)
        if twice:
            raise ConfigError(
                f"{', '.join(twice)}: given twice",
                where=str(file),
                next_step="give it in its table, or outside of all tables, not in both",
            )
        flat |= given
    return flat


def find_key(name: str, keys: Mapping[str, Key]) -> Key:
    """Return a key by its name.

    Raises
    ------
    ConfigError
        If there is none.
    """
    if name in keys:
        return keys[name]
    places = {f"{key.group}.{key.field}" for key in keys.values()}
    near = difflib.get_close_matches(name, [*keys, *places], n=1)
    raise ConfigError(
        f"unknown configuration key {name!r}",
        next_step=f"did you mean {near[0]!r}?" if near else "known: " + ", ".join(keys),
    )


def _check(name: str, value: Any, allowed: Allowed) -> None:
    if allowed.holds(value):
        return
    choices = list(map(str, allowed.choices))
    near = [*difflib.get_close_matches(str(value), choices, n=1), *choices]
    raise ConfigError(
        f"{name} must be {allowed.words}, not {value!r}",
        next_step=f"write {name.upper()}={near[0]}" if near else "",
    )
