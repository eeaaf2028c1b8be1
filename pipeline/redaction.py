"""Take what opens doors out of a text before it is shown or stored."""

from __future__ import annotations

import re

HIDDEN = "[hidden]"
_SECRET_NAMES = (
    r"(?:[a-z0-9]+[-_])*(?:token|secret|password|passwd|pwd|signature|credential|credentials"
    r"|(?:api|account|shared)[-_]?key|subscription[-_]key|access[-_]?key(?:[-_]?id)?|awsaccesskeyid)|sig"
)
_RULES = (
    # Whatever follows a question mark may sign the address: all of it goes.
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s?#\"'<>]*)[?#][^\s\"'<>]*", re.I), rf"\1?{HIDDEN}"),
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s/@\"'<>]+@", re.I), rf"\1{HIDDEN}@"),
    (
        re.compile(
            r"((?:proxy-)?authorization[\"']?\s*[:=]\s*)[\"']?(?:[a-z]+\s+)?[^\s\"',;]+", re.I
        ),
        rf"\1{HIDDEN}",
    ),
    (re.compile(r"\b(bearer|basic)\s+[a-z0-9._~+/=-]{8,}", re.I), rf"\1 {HIDDEN}"),
    (
        re.compile(rf"\b({_SECRET_NAMES})([\"']?\s*[:=]\s*[\"']?)[^\s\"'&,;]+", re.I),
        rf"\1\2{HIDDEN}",
    ),
)


def redact(text: str) -> str:
    """Return a text without query strings, users of addresses, tokens and keys.

    Parameters
    ----------
    text : str
        Any text: a message, a line of a log.

    Returns
    -------
    str
        The same with ``[hidden]`` where something was taken out.
    """
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text
