"""What the command line shows, what it refuses with a hint, and what it completes."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from pipeline.cli.main import main
from pipeline.cli.parser import VerbParser, flag, option_names
from pipeline.cli.verbs import FAMILIES, VERBS
from pipeline.config import known_keys

ROOT = Path(__file__).parents[2]
# A verb and its options in a page: up to the end of the line, of the quoted text or of the comment.
COMMAND = re.compile(r"asm-atlas ((?:[a-z]+ )[^`|#;)\"'\n]*(?:\\\n[^`#\n]*)*)")


@pytest.fixture(autouse=True)
def narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for name in os.environ:
        if name.startswith("ASM_ATLAS_"):
            monkeypatch.delenv(name)


def shown(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 0
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    try:
        code = main(words)
    except SystemExit as ended:
        code = int(str(ended.code))
    assert code == 2
    return " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("name", VERBS)
def test_help_is_short_plain_and_has_two_examples(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    verb = VERBS[name]
    said = shown(capsys, *name.split(), "--help")
    assert len(said.splitlines()) <= 60
    assert "``" not in said and not re.search(r":(?:func|class|mod|meth):", said)
    examples = re.findall(r"^  asm-atlas (.*)$", said, re.MULTILINE)
    assert examples == list(verb.examples) and len(set(examples)) == 2
    for example in examples:
        assert example.startswith(name)
        options = VerbParser(verb).options_of(shlex.split(example)[len(name.split()) :])
        assert options.verb is verb
    for key in verb.uses():
        assert (f"  {flag(key)} " in said) == verb.shows(key)
    for names, about in verb.options:
        assert (names[0] if names[0].startswith("-") else about["metavar"]) in said


@pytest.mark.parametrize("name", VERBS)
def test_the_long_help_shows_what_a_verb_takes_and_no_more(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    verb = VERBS[name]
    said = shown(capsys, *name.split(), "--help-all")
    assert "``" not in said
    listed = set(re.findall(r"^  (--[a-z0-9-]+)", said, re.MULTILINE))
    assert listed == set(option_names(verb)) - {"--help", "--help-all"}
    titles = re.findall(r"^([a-z0-9]+):$", said, re.MULTILINE)
    assert titles[1:] == list(dict.fromkeys(key.group for key in verb.uses()))


def test_status_has_no_slurm(capsys: pytest.CaptureFixture[str]) -> None:
    said = shown(capsys, "status", "--help-all").lower()
    assert "--workspace" in said and "slurm" not in said and "season" not in said


def test_choices_and_defaults_are_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    said = " ".join(shown(capsys, "predict", "--help").split())
    for words in (
        "--disclosure public|restricted", "(default: public)", "--map-lang en|fr", "2024-02",
        "A region's name, a GeoJSON", "(default: 100)", "--failed-scenes stop|mark",
    ):  # fmt: skip
        assert words in said
    said = " ".join(shown(capsys, "predict", "--help-all").split())
    for words in ("(above 0 and at most 1; default: 0.25)", "--context 1|3", "percentile-N"):
        assert words in said
    assert "--kind {ridge,forest,mean" in shown(capsys, "train", "--help")


def test_every_key_is_an_option_of_some_verb() -> None:
    assert {key.name for verb in VERBS.values() for key in verb.uses()} == set(known_keys())
    # A slip in a verb's keys would offer nothing.
    names = {*known_keys(), *(f"{key.group}.*" for key in known_keys().values())}
    assert all(set(verb.keys) <= names and set(verb.shown) <= names for verb in VERBS.values())


def test_bare_it_lists_the_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    bare = capsys.readouterr().out
    assert main(["--help"]) == 0
    assert capsys.readouterr().out == bare
    assert len(bare.splitlines()) <= len(VERBS) + len(FAMILIES) + 6
    for verb in VERBS.values():
        assert re.search(rf"^  {verb.name} +{re.escape(verb.text)}$", bare, re.MULTILINE)


def test_the_version_says_the_commit(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.runtime.code.commit", lambda: "0123abc-changed")
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"asm-atlas {version('asm-atlas')}, commit 0123abc-changed\n"
    monkeypatch.setattr("pipeline.runtime.code.commit", lambda: "")
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"asm-atlas {version('asm-atlas')}\n"


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("predcit demo", "did you mean predict?"),
        ("stats", "did you mean status?"),
        ("export demo", "did you mean features export?"),
        ("features", "did you mean features export?"),
        ("qwertz", "asm-atlas --help lists them"),
        ("predict demo --seson 2023-12..2024-02", "did you mean --season?"),
        ("explain demo --cll 5", "did you mean --cell?"),
        ("predict demo --dry-rum", "asm-atlas predict --help-all lists them"),
        ("train --weigth=a=3", "did you mean --weight?"),
        ("status demo --slurm-partition night", "status does not use --slurm-partition"),
        ("hash folder --season=2023-12..2024-02", "hash does not use --season"),
    ],
)
def test_slips_get_a_hint(words: str, hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert hint in refused(capsys, *words.split())


def test_one_set_of_options_serves_all_commands_of_a_map(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shared = ["--failed-scenes", "mark", "--season", "2023-12..2024-02", "--seed", "2"]
    assert main(["status", "demo", "--workspace", str(tmp_path), *shared]) == 30
    said = capsys.readouterr().err
    assert "asm-atlas status: makes no use of --season, --seed, --failed-scenes" in said
    assert "FAILED_SCENES=mark" in said, "what the next command is does not forget them"
    # They are held to their rules all the same.
    assert main(["status", "demo", "--failed-scenes", "perhaps"]) == 10


def test_what_follows_two_dashes_is_no_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert "unrecognized arguments" in refused(capsys, "regions", "demo", "--", "--seson")


def test_keys_that_a_verb_does_not_use_may_come_from_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.toml").write_text('[slurm]\npartition = "night"\n[reading]\ntries = 2\n')
    monkeypatch.setenv("ASM_ATLAS_SEASON", "2023-12..2024-02")
    file = ["--config", str(tmp_path / "a.toml")]
    assert main(["regions", "demo", *file]) == 0
    # And what the next command is does not forget them.
    assert main(["status", "demo", *file, "--workspace", str(tmp_path)]) == 30
    said = capsys.readouterr().err
    assert "SEASON=2023-12..2024-02" in said and "READ_TRIES=2" in said
    # A mistake in them is one all the same.
    monkeypatch.setenv("ASM_ATLAS_READ_TRIES", "0")
    assert main(["regions", "demo"]) == 10


def documented() -> list[tuple[str, str]]:
    pages = [ROOT / "README.md", ROOT / "models/registry/README.md", *(ROOT / "docs").glob("*.md")]
    found = []
    for page in pages:
        for match in COMMAND.finditer(page.read_text(encoding="utf-8")):
            line = match[1].replace("\\\n", " ").strip()
            if " -" in line and "..." not in line.partition("..2")[0]:
                found.append((page.name, line))
    return found


def test_commands_in_the_pages_are_taken(capsys: pytest.CaptureFixture[str]) -> None:
    commands = documented()
    assert len(commands) > 20
    for page, line in commands:
        words = line.split()
        count = 1 if words[0] in VERBS else 2
        verb = VERBS[" ".join(words[:count])]
        for word in words[count:]:
            name = word.partition("=")[0]
            assert not name.startswith("--") or name in option_names(verb), f"{page}: {line}"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_switched_on_by_a_line(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--completion", shell]) == 0
    code = capsys.readouterr().out
    assert "asm-atlas" in code and "_ARGCOMPLETE" in code
    if shell == "bash":
        assert subprocess.run(["bash", "-n"], input=code, text=True, check=False).returncode == 0


def test_other_shells_are_named_errors(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--completion", "csh"]) == main(["--completion"]) == 10
    assert "bash, zsh, fish" in capsys.readouterr().err


def completed(line: str) -> set[str]:
    """Return what a shell is offered after a line."""
    done = subprocess.run(
        ["bash", "-c", 'exec "$0" -m pipeline.cli 8>&1 9>/dev/null >/dev/null', sys.executable],
        env={
            "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "_ARGCOMPLETE": "1", "IFS": "\v",
            "COMP_LINE": line, "COMP_POINT": str(len(line)), "COMP_TYPE": "9",
            "_ARGCOMPLETE_IFS": "\v", "_ARGCOMPLETE_SUPPRESS_SPACE": "1",
        },
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return {word.strip() for word in done.stdout.split("\v")}


def test_verbs_options_and_choices_are_completed() -> None:
    assert {"predict", "plan", "status"} <= completed("asm-atlas ")
    assert completed("asm-atlas pre") == {"predict"}
    assert completed("asm-atlas features ") >= {"export"}
    offered = completed("asm-atlas status demo --")
    assert "--workspace" in offered and not {one for one in offered if "slurm" in one}
    assert completed("asm-atlas predict --disclosure ") >= {"public", "restricted"}
    assert "--grid" in completed("asm-atlas features export --")
