"""Checksums as the STAC file extension gives them: multihashes in hexadecimal digits.

Source: https://github.com/stac-extensions/file and the multihash table of multiformats.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

_KINDS = {
    0x11: "sha1",
    0x12: "sha256",
    0x13: "sha512",
    0x14: "sha3_512",
    0x15: "sha3_384",
    0x16: "sha3_256",
    0x17: "sha3_224",
    0x20: "sha384",
    0xD5: "md5",
    0xB240: "blake2b",
}


def kind_and_digest(checksum: str) -> tuple[str, str] | None:
    """Return hashlib's name of a multihash's kind and the digest in hexadecimal digits.

    Parameters
    ----------
    checksum : str
        As in ``file:checksum``.

    Returns
    -------
    tuple of str or None
        None if it is no multihash, or of a kind that hashlib does not have.
    """
    try:
        content = bytes.fromhex(checksum)
        code, content = _varint(content)
        length, digest = _varint(content)
    except (ValueError, IndexError):
        return None
    name = _KINDS.get(code)
    if name is None or len(digest) != length or hashlib.new(name).digest_size != length:
        return None
    return name, digest.hex()


def bytes_match(data: bytes, checksum: str) -> bool:
    """Whether bytes have a checksum; one of an unknown kind says nothing against them."""
    known = kind_and_digest(checksum)
    return (
        known is None or hashlib.new(known[0], data, usedforsecurity=False).hexdigest() == known[1]
    )


def file_matches(path: Path, checksum: str) -> bool:
    """Whether a file has a checksum; read once a process for each version of the file."""
    about = path.stat()
    return _file_matches(path, about.st_size, about.st_mtime_ns, checksum)


@lru_cache(maxsize=4096)
def _file_matches(path: Path, size: int, changed: int, checksum: str) -> bool:
    known = kind_and_digest(checksum)
    if known is None:
        return True
    with path.open("rb") as file:
        return hashlib.file_digest(file, known[0]).hexdigest() == known[1]


def _varint(content: bytes) -> tuple[int, bytes]:
    """Split a number of seven bits a byte, the lowest first, off the front."""
    number = 0
    for index in range(9):
        number |= (content[index] & 0x7F) << (7 * index)
        if content[index] < 0x80:
            return number, content[index + 1 :]
    raise ValueError("a number of too many bytes")
