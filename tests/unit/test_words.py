"""Every language says everything, code asks the catalogue alone, a language is one new file."""

from __future__ import annotations

import ast
import re
import string
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sample_run import plain_environment

from pipeline.errors import ConfigError, UnknownLanguageError
from pipeline.map.column_rules import load_policy
from pipeline.sites.answer_codes import _rows
from pipeline.sites.layers.declare import load_declarations
from pipeline.sites.scorecard import load_rules
from pipeline.words import catalogue
from pipeline.words.catalogue import ENGLISH, entries, languages, localised, number, pick, say

ROOT = Path(__file__).parents[2]
SHIPPED = ("en", "fr")
OTHERS = [lang for lang in languages() if lang != ENGLISH]


def sources() -> Iterator[Path]:
    for folder in ("pipeline", "models", "features"):
        yield from (ROOT / folder).rglob("*.py")


def placeholders(text: str | list[str]) -> set[str]:
    texts = [text] if isinstance(text, str) else text
    return {name for one in texts for _, name, _, _ in string.Formatter().parse(one) if name}


def test_the_languages_are_the_files() -> None:
    assert languages() == SHIPPED
    assert {file.stem for file in catalogue.FOLDER.glob("*.toml")} == set(SHIPPED)


@pytest.mark.parametrize("lang", OTHERS)
def test_every_code_has_a_text_with_the_same_placeholders(lang: str) -> None:
    english, other = entries(ENGLISH), entries(lang)
    own = {code for code in other if not code.startswith("tables.")}
    assert own == set(english), f"{lang}: {sorted(own ^ set(english))}"
    for code, text in english.items():
        assert other[code], code
        if not isinstance(text, int):
            assert placeholders(text) == placeholders(other[code]), code


@pytest.mark.parametrize("lang", OTHERS)
def test_what_the_tables_in_data_do_not_say_is_in_the_file(lang: str) -> None:
    """What a new language lacks: it stays in English until somebody translates it."""
    texts = [rule.texts for columns in load_policy().values() for rule in columns.values()]
    texts += [rule.texts for rule in load_rules()]
    texts += [catalogue.texts_of(row) for row in _rows()]
    for layer in load_declarations():
        texts += [layer.texts, *(column.texts for column in layer.columns)]
    assert len(texts) > 400
    own = entries(lang)
    lacking = {
        one[ENGLISH] for one in texts if lang not in one and f"tables.{one[ENGLISH]}" not in own
    }
    assert not lacking


def test_the_script_can_fill_its_texts() -> None:
    for lang in languages():
        for key, text in catalogue.section("script", lang).items():
            for _, name, form, _ in string.Formatter().parse(text):
                assert name is None or form == "", f"{lang}: script.{key}"


def test_codes_that_are_asked_for_exist() -> None:
    asked = set()
    for path in [*sources(), *(ROOT / "pipeline/map/page/templates").iterdir()]:
        text = path.read_text(encoding="utf-8")
        asked |= set(re.findall(r'(?:say|words|in_every|entry)\(\s*"([a-z_]+\.\w+)"', text))
    assert len(asked) > 80
    assert asked <= set(entries(ENGLISH))


def test_no_module_asks_which_language_it_is() -> None:
    found = []
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            plain = isinstance(node, ast.Constant) and node.value in SHIPPED
            if plain and (node.value, path.stem) != (ENGLISH, "catalogue"):
                found.append(f"{path}:{node.lineno}")
    for path in (ROOT / "pipeline").rglob("templates/*"):
        found += [str(path)] * len(re.findall(r"""["'](en|fr)["']""", path.read_text("utf-8")))
    assert not found


def test_numbers_are_written_as_the_language_writes_them() -> None:
    assert [number(1204.5, lang) for lang in SHIPPED] == ["1204.5", "1204,5"]
    assert localised(f"{1234567:,}", "fr") == "1\u202f234\u202f567"
    assert localised("62%", "fr") == "62 %" and localised("62%", "en") == "62%"
    assert number(3.0, "fr") == "3" and number(0.126, "en", 1) == "0.1"
    assert say("page.small_cells", "en", unknown=1234, cells=20000).endswith(
        "1,234 of the 20,000 cells cannot."
    )


def test_one_and_several() -> None:
    assert say("reasons.may_be", "en", sites=1) == "may be a known site located only roughly"
    assert say("reasons.may_be", "fr", sites=3).startswith("peut être l'un des 3 sites")
    assert say("statements.way_checkers", "fr", side=0.5) == "damier de 0,5 degré"
    assert say("statements.way_checkers", "fr", side=2.0) == "damier de 2 degrés"
    assert say("statements.way_checkers", "en", side=0.5) == "checkerboard of 0.5 degrees"


def test_an_unknown_language_is_named() -> None:
    with pytest.raises(UnknownLanguageError, match="'xx'") as caught:
        say("map.title", "xx")
    assert "xx.toml" in caught.value.next_step
    from pipeline.config import Config

    with pytest.raises(ConfigError, match="map_lang must be one of en, fr"):
        Config().with_keys(map_lang="xx")


# A language of one's own, of which the file has a few words only.
MADE_UP = """
[language]
name = "Lingua"
english = "Madeup"

[numbers]
decimal = "'"

[map]
title = "Mappa"
reasons = "Rationes"

[reasons]
likely = "{share:.0f} partes probabiles"

[script]
zoom_in = "Maius"

[tables]
"Rank" = "Ordo"
"""
# Publishes a map in that language, in a process that finds the package with one file more.
PUBLISH = """
import sys
from pathlib import Path
import geopandas as gpd
from sample_map import make_joined, make_run
from pipeline.map.folder import publish
from pipeline.map.page.report import write_report
from pipeline.words.catalogue import languages

assert languages() == ("en", "fr", "xx"), languages()
folder = Path(sys.argv[1])
joined = make_joined()
run = make_run(map_lang="xx")
publish(joined, run, folder)
write_report(joined, run, folder)
table = gpd.read_file(folder / "map.gpkg", layer="candidates")
assert {"reasons_en", "reasons_fr", "reasons_xx"} <= set(table.columns), table.columns
assert "partes probabiles" in table["reasons_xx"].iloc[0]
"""


def test_a_language_is_one_new_file(tmp_path: Path) -> None:
    package = tmp_path / "pipeline"
    package.mkdir()
    for path in (ROOT / "pipeline").iterdir():
        (package / path.name).symlink_to(path)
    (package / "words").unlink()
    (package / "words").mkdir()
    for path in (ROOT / "pipeline" / "words").glob("*.*"):
        (package / "words" / path.name).write_bytes(path.read_bytes())
    (package / "words" / "xx.toml").write_text(MADE_UP, encoding="utf-8")
    for name in ("models", "features", "data"):
        (tmp_path / name).symlink_to(ROOT / name)
    script = tmp_path / "script.py"
    script.write_text(PUBLISH, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "map")],
        env=plain_environment(PYTHONPATH=f"{tmp_path}:{ROOT / 'tests'}"), cwd=tmp_path,
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "map" / "report.html").read_text(encoding="utf-8")
    assert '<html lang="xx">' in page and ">Lingua</label>" in page
    assert "Demo landscape – Mappa (SIMULATED, PUBLIC)" in page
    assert '<th scope="col">Ordo</th>' in page and '<th scope="col">Rationes</th>' in page
    assert "partes probabiles" in page and '"zoom_in":"Maius"' in page
    # What the file lacks stays in English, with the language's own numbers.
    assert page.count("What to inspect first") == 2
    assert "likely ≥" not in page and "0'6 – 0'8 likely" in page


def test_a_table_may_name_the_language_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {"en": "Rank", "fr": "Rang"}
    assert [pick(texts, lang) for lang in SHIPPED] == ["Rank", "Rang"]
    monkeypatch.delitem(texts, "fr")
    assert pick(texts, "fr") == "Rank"
