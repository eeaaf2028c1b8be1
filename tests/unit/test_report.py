"""The page: one file, no script, no network, hostile names as text, the same rules as the map."""

import base64
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from sample_map import HOSTILE, make_joined, make_run

from pipeline.errors import DisclosureError
from pipeline.publish import publish
from pipeline.report import score_table, write_report


@pytest.fixture(scope="module")
def joined():
    joined = make_joined(rows=24, cols=32)
    reasons = [HOSTILE, *joined.candidates["reasons"].iloc[1:]]
    sites = joined.sites.assign(
        mineral=["<img src=x onerror=alert(1)>", *joined.sites["mineral"][1:]]
    )
    return replace(joined, sites=sites, candidates=joined.candidates.assign(reasons=reasons))


@pytest.fixture(scope="module")
def page(joined, tmp_path_factory):
    run = make_run()
    run = replace(run, region=replace(run.region, title="</title><script>alert(1)</script>"))
    return write_report(joined, run, tmp_path_factory.mktemp("page")).read_text(encoding="utf-8")


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.links = [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [value for key, value in attributes if key in ("src", "href", "action")]
        assert not any(key.startswith("on") for key, _ in attributes)


def test_it_needs_nothing_from_outside(page):
    tags = Tags()
    tags.feed(page)
    assert not {"script", "link", "iframe", "object", "form"} & set(tags.tags)
    assert len(tags.links) == 3
    for link in tags.links:
        head, _, content = link.partition(",")
        assert head == "data:image/png;base64"
        assert base64.b64decode(content).startswith(b"\x89PNG")
    assert "default-src 'none'" in page and "url(" not in page and "@import" not in page


def test_hostile_names_are_text(page):
    assert "<script" not in page and "<img src=x" not in page
    assert "&lt;script&gt;" in page and "&lt;img src=x" in page


def test_it_says_what_it_is(page):
    text = re.sub(r"<[^>]+>", " ", page)
    assert "SIMULATED: an invented landscape" in text
    assert "not a verified site; not evidence of illegality" in text
    assert "ne prouve aucune illégalité" in text
    assert "Public edition" in text
    assert "5 folds by 0.1-degree square" in text
    assert "S2A_DEMO_20220201" in text and "-1,000" in text
    for alt in re.findall(r'alt="([^"]*)"', page):
        assert alt.endswith("(SIMULATED)")


def test_the_public_page_holds_no_fine_coordinate_and_no_path(page):
    text = re.sub(r"<style.*?</style>|data:[^\"]*", "", page, flags=re.S)
    assert "/home/someone" not in text and "token" not in text
    table = text[text.index('id="inspect"') : text.index('id="known"')]
    for number in re.findall(r"<bdi>([56]\.\d+)</bdi>", table):
        assert len(number.split(".")[1]) <= 2


def test_french_pages_have_french_numbers_and_words(joined, tmp_path):
    page = write_report(joined, make_run(map_lang="fr", disclosure="restricted"), tmp_path)
    text = page.read_text(encoding="utf-8")
    assert '<html lang="fr">' in text and "Où le modèle voit" in text
    assert "0,957" in text and "768" in text and "RESTREINT" in text


def test_the_manifest_learns_of_the_page(joined, tmp_path):
    run = make_run()
    publish(joined, run, tmp_path / "a")
    write_report(joined, run, tmp_path / "a")
    manifest = json.loads((tmp_path / "a" / "manifest.json").read_text(encoding="utf-8"))
    assert "report.html" in manifest["files"]
    assert not [path for path in (tmp_path / "a").iterdir() if path.name.startswith(".")]


def test_young_imagery_is_refused_here_too(joined, tmp_path):
    with pytest.raises(DisclosureError):
        write_report(joined, make_run(created="2022-03-01T00:00:00Z"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_bare_run_makes_a_page(joined, tmp_path):
    bare = replace(joined, sites=None, candidates=joined.candidates.head(0))
    run = replace(make_run(), scenes=[], simulated=False)
    run = replace(run, model={"id": "x", "thresholds": {"possible": 0.2, "likely": 0.5}})
    text = write_report(bare, run, tmp_path).read_text(encoding="utf-8")
    assert "There is no candidate." in text and "tells no score" in text
    assert "SIMULATED" not in text


def test_a_missing_score_is_a_dash():
    heading, rows = score_table(
        {"pooled": {"auc": 0.9571}, "folds": [{"fold": 3, "auc": None, "n": 12}]}, "en"
    )
    assert heading == ["", "auc", "n"]
    assert rows == [["all folds together", "0.957", "–"], ["fold 3", "–", "12"]]
    assert score_table({}, "en")[1] == []
