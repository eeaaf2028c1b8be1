"""The page: one file, no network, nothing runs but its own, the same rules as the map."""

import base64
import hashlib
import html
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
import shapely
from sample_map import HOSTILE, make_joined, make_run

from pipeline.errors import DisclosureError
from pipeline.map import disclosure as rules
from pipeline.map.disclosure import disclose
from pipeline.map.folder import publish
from pipeline.map.page import report
from pipeline.map.page.html import embedded
from pipeline.map.page.packed import unpack_column, unpack_numbers, unpack_places
from pipeline.map.page.report import write_report
from pipeline.map.page.tables import score_table


@pytest.fixture(scope="module")
def joined():
    joined = make_joined(rows=24, cols=32)
    reasons = [HOSTILE, *joined.candidates["reasons_en"].iloc[1:]]
    sites = joined.sites.assign(
        mineral=["<img src=x onerror=alert(1)>", *joined.sites["mineral"][1:]]
    )
    return replace(
        joined,
        sites=sites,
        candidates=joined.candidates.assign(reasons_en=reasons, reasons_fr=reasons),
    )


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
    assert not {"link", "iframe", "object", "form"} & set(tags.tags)
    assert tags.tags.count("script") == 2
    assert len(tags.links) == 6, "three pictures in two languages"
    for link in tags.links:
        head, _, content = link.partition(",")
        assert head == "data:image/png;base64"
        assert base64.b64decode(content).startswith(b"\x89PNG")
    assert "url(" not in page and "@import" not in page


def test_the_browser_may_run_and_style_by_hash_alone(page):
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    rules = dict(part.strip().split(" ", 1) for part in html.unescape(policy).split(";"))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert rules["img-src"] == "data:" and "unsafe" not in policy
    for name, tag in (("script-src", "<script>"), ("style-src", "<style>")):
        (text,) = re.findall(f"{tag}(.*?){tag.replace('<', '</')}", page, flags=re.S)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules[name] == f"'sha256-{digest}'"
    assert "style=" not in re.sub(r"<script>.*?</script>", "", page, flags=re.S)


def data_of(page):
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    return json.loads(text)


def test_its_data_are_the_products(joined, page):
    data, product = data_of(page), disclose(joined, make_run())
    cells = product.layers["cells"].sort_values("cell")
    packed = {column["name"]: column for column in data["cells"]["columns"]}
    assert "model" not in packed and "run" not in packed
    for name, column in packed.items():
        for got, expected in zip(unpack_column(column), cells[name], strict=True):
            if expected is None or expected != expected:
                assert got is None
            elif isinstance(expected, str | bool):
                assert got == expected
            else:
                assert got == pytest.approx(expected, abs=6e-4)
    squares = data["squares"]
    place = np.cumsum(unpack_numbers(squares["steps"]))
    row, col = np.divmod(place, squares["cols"])
    number = (row + squares["top"]) * 36_000 + col + squares["left"]
    np.testing.assert_array_equal(number, cells["cell"])
    layers = {layer["name"]: layer for layer in data["layers"]}
    assert set(layers) == {"candidates", "drawn", "sites"}
    names = next(c for c in layers["sites"]["columns"] if c["name"] == "name")
    assert unpack_column(names) == product.layers["sites"]["name"].tolist()
    for layer in layers.values():
        table = product.layers[layer.get("rules", layer["name"])]
        if "kind" in table:
            table = table[(table["kind"] == "random") == (layer["name"] == "drawn")]
        expected = shapely.get_coordinates(table.geometry)
        np.testing.assert_allclose(unpack_places(layer["shapes"]), expected, atol=1e-9)


def test_both_languages_are_in_it(page):
    data = data_of(page)
    assert set(data["words"]["en"]) == set(data["words"]["fr"])
    assert page.count("Where the model sees mining") == page.count("Où le modèle voit") == 1
    used = set(re.findall(r"(?:say|fill)\('(\w+)'", page))
    used |= set(re.findall(r'data-(?:word|name)="(\w+)"', page))
    assert used <= set(data["words"]["en"]), "every word that the script asks for is there"


def test_what_the_model_recorded_is_told_in_both_languages(joined, tmp_path):
    run = make_run()
    how = "spatial folds, whole 0.1-degree blocks held out"
    run = replace(run, model=replace(run.model, scores=replace(run.model.scores, how=how)))
    page = write_report(joined, run, tmp_path).read_text(encoding="utf-8")
    assert page.count(f"<bdi>{how}</bdi>") == 1
    assert page.count("<bdi>plis spatiaux, des blocs entiers de 0,1 degré tenus") == 1


@pytest.mark.parametrize(
    "text", ["</script><script>alert(1)</script>", "<!--<script>", "\u2028\u2029", "&lt;", HOSTILE]
)
def test_embedded_data_cannot_leave_their_element(text):
    made = embedded({"a": [text]})
    assert not set("<>&\u2028\u2029") & set(made)
    assert json.loads(made) == {"a": [text]}


def test_hostile_names_are_text(page):
    assert "<script>alert" not in page and "<img src=x" not in page
    assert "&lt;script&gt;" in page and "&lt;img src=x" in page
    assert "\\u003cscript\\u003e" in page


def test_it_says_what_it_is(page):
    text = re.sub(r"<[^>]+>", " ", page)
    assert "SIMULATED: an invented landscape" in text
    assert "not a verified site; not evidence of illegality" in text
    assert "ne prouve aucune illégalité" in text
    assert "Public edition" in text
    assert "5 folds by 0.1-degree square" in text
    assert "S2A_DEMO_20220201" in text and "-1,000" in text
    for alt in re.findall(r'alt="([^"]*)"', page):
        assert alt.endswith(("(SIMULATED)", "(SIMULÉ)"))


def test_the_public_page_holds_no_fine_coordinate_and_no_path(page):
    text = re.sub(r"<style.*?</style>|data:[^\"]*", "", page, flags=re.S)
    assert "/home/someone" not in text and "token" not in text
    table = text[text.index('id="inspect-en"') : text.index('id="known-en"')]
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
    run.model.record.pop("scores")
    text = write_report(bare, run, tmp_path).read_text(encoding="utf-8")
    assert "There is no candidate." in text and "tells no score" in text
    assert "SIMULATED" not in text and not data_of(text)["layers"]


def test_what_was_held_out_is_told_with_its_pictures(joined, tmp_path):
    row = {
        "n": 100, "positives": 20, "prevalence": 0.2, "auc": 0.912, "ap": 0.7, "brier": 0.1,
        "brier_base": 0.16, "ece": 0.02, "sets": {"mine": 0.91}, "how": "by hand",
        "reliability": [[0.1, 0.2, 50], [0.8, 0.7, 50]], "precision_by_recall": [[0.5, 0.9]],
    }  # fmt: skip
    rows = [row | {"name": name} for name in ("whole regions", "checkerboard of 0.5 degrees")]
    rows.append({"name": "whole countries", "how": "x", "left_out": "all lie in one"})
    run = make_run()
    run = replace(run, model=replace(run.model, validation=rows))
    text = write_report(joined, run, tmp_path).read_text(encoding="utf-8")
    for words in ("whole regions", "régions entières", "damier de 0,5 degré", "0,912",
                  "pays entiers : all lie in one"):  # fmt: skip
        assert words in text
    assert text.count("data:image/png") == 8


def test_a_page_that_holds_what_is_denied_is_not_left_there(joined, tmp_path, monkeypatch):
    real = rules.disclose

    def careless(joined, run, policy):
        product = real(joined, run, policy)
        layers = dict(product.layers, sites=product.layers["sites"].assign(workers_numb=3))
        return replace(product, layers=layers)

    monkeypatch.setattr(report.rules, "disclose", careless)
    with pytest.raises(DisclosureError, match="workers_numb"):
        write_report(joined, make_run(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_score_is_a_dash():
    heading, rows = score_table(
        {"pooled": {"auc": 0.9571}, "folds": [{"fold": 3, "auc": None, "n": 12}]}, "en"
    )
    assert heading == ["", "auc", "n"]
    assert rows == [["all folds together", "0.957", "–"], ["fold 3", "–", "12"]]
    assert score_table({}, "en")[1] == []
