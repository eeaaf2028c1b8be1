"""The command that makes what is missing, with what the user typed."""

from __future__ import annotations

import shlex

from pipeline.config import SURROUNDINGS, Config, known_keys
from pipeline.geo.regions import Region, region_names

# Of what says where and how fast a run works, only this decides what is found.
_LEFT_OUT = {"region", *SURROUNDINGS} - {"workspace"}


def make_command(verb: str, config: Config, region: Region) -> str:
    """Return the command of make that runs a verb as it was asked for.

    Parameters
    ----------
    verb : str
        A verb of make.
    config : Config
        Every key that is not at its default stands in the command.
    region : Region
        Where; a file or a box is named as it was typed, not by the name that is made of it.

    Returns
    -------
    str
        ``make VERB REGION=... SOURCE=...``, quoted for a shell.
    """
    place = region.name if region.name in region_names() else config.run.region
    words = ["make", verb, f"REGION={place or region.name}"]
    for name, key in known_keys().items():
        value = config.value(key)
        if not {name, key.group} & _LEFT_OUT and value != key.default:
            words.append(f"{key.variable}={value}")
    return shlex.join(words)
