"""Multihashes of whole files."""

from __future__ import annotations

import hashlib

import pytest

from pipeline.imagery.checksums import bytes_match, file_matches, kind_and_digest

DATA = b"some bytes"


@pytest.mark.parametrize(
    ("prefix", "name"),
    [
        ("1114", "sha1"),
        ("1220", "sha256"),
        ("1340", "sha512"),
        ("2030", "sha384"),
        ("1620", "sha3_256"),
        ("d50110", "md5"),
        ("c0e40240", "blake2b"),
    ],
)
def test_known_kinds(prefix, name) -> None:
    checksum = prefix + hashlib.new(name, DATA).hexdigest()
    assert kind_and_digest(checksum) == (name, hashlib.new(name, DATA).hexdigest())
    assert bytes_match(DATA, checksum)
    assert not bytes_match(DATA + b"!", checksum)


@pytest.mark.parametrize(
    "checksum", ["", "12", "1220ab", "zz", "1e20" + "00" * 32, hashlib.sha256(DATA).hexdigest()]
)
def test_what_cannot_be_checked_says_nothing_against_a_file(checksum) -> None:
    assert kind_and_digest(checksum) is None
    assert bytes_match(DATA, checksum)


def test_a_changed_file_is_read_again(tmp_path) -> None:
    file = tmp_path / "f"
    file.write_bytes(DATA)
    checksum = "1220" + hashlib.sha256(DATA).hexdigest()
    assert file_matches(file, checksum)
    file.write_bytes(DATA + b"!")
    assert not file_matches(file, checksum)
