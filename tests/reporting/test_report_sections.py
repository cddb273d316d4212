"""Every section of the demo report: read, said in words, absent without its key, readable by everybody."""

from __future__ import annotations

import copy
import json
import re
import shutil
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from charter.errors import UserError
from charter.reporting import parse_report, read_report, render_html, write_report
from charter.reporting.charts import difference_row, forest_row, reach_of
from charter.reporting.content import Rate
from charter.reporting.section import FILES
from charter.reporting.sections.gate import Gate
from charter.reporting.sections.order import SECTIONS
from charter.reporting.sections.verdict import Level, gate_sentence, level_sentence
from charter.reporting.terms import GLOSSARY, Terms

DEMO = Path(__file__).parents[2] / "docs" / "demo"
DATA = Path(__file__).parent / "data"


def value() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((DEMO / "report.json").read_text(encoding="utf-8"))
    return loaded


def beside() -> dict[str, tuple[Any, str]]:
    return {name: (json.loads((DEMO / f"{name}.json").read_text("utf-8")), f"{name}.json") for name in FILES}


def text_of(html: str) -> str:
    bare = re.sub(r"<style>.*?</style>", "", html, flags=re.S)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", bare))


@pytest.fixture(scope="module")
def page() -> str:
    return render_html(read_report(DEMO))


class Tags(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


# -- what stands where -------------------------------------------------------------------------


def test_the_committed_page_is_what_its_data_give(page: str) -> None:
    assert (DEMO / "report.html").read_text(encoding="utf-8") == page
    assert len(page) < 300_000 and "This is a demonstration" in page


def test_the_demo_fills_every_section_in_order(page: str) -> None:
    names = [str(attrs["aria-labelledby"]) for tag, attrs in Tags(page).tags if tag == "section"]
    assert names == [*(section.name for section in SECTIONS), "glossary"]


def test_the_verdict_stands_first_and_is_plain() -> None:
    text = text_of(render_html(parse_report(value())))
    assert re.search(
        r"The root level held in (?:over )?\d+ of 100 held-out answers \(95% interval \d+ to \d+; corrected",
        text,
    )
    assert "it passes, the whole interval is there or above" in text
    assert re.search(r"it cannot be decided yet; about [\d,]+ more prompts", text)
    assert text.index("The root level") < text.index("The user level") < text.index("principle by principle")


def test_a_section_without_its_key_is_not_there() -> None:
    for key, name in (
        ("judge", "judges"),
        ("tests", "conflicts"),
        ("worst", "worst"),
        ("training", "training"),
        ("stages", "stages"),
    ):
        without = value()
        del without[key]
        made = render_html(parse_report(without, files=beside()))
        assert f'id="{name}"' not in made and f'href="#{name}"' not in made
    for name in FILES:
        files = {part: found for part, found in beside().items() if part != name}
        made = render_html(parse_report(value(), files=files))
        assert f'id="{name}"' not in made
        assert f'id="{name}"' in render_html(parse_report({**value(), name: beside()[name][0]}, files=files))


def test_files_beside_the_report_are_taken_in(tmp_path: Path) -> None:
    shutil.copy(DEMO / "report.json", tmp_path / "report.json")
    assert "tax" not in read_report(tmp_path).sections
    tax = json.loads((DEMO / "tax.json").read_text("utf-8"))
    tax["rows"][1]["task"] = "count_the_swans"
    (tmp_path / "tax.json").write_text(json.dumps(tax), encoding="utf-8")
    assert "It lost skill: count the swans." in write_report(tmp_path).read_text(encoding="utf-8")
    (tmp_path / "tax.json").write_text('{"rows": [{"task": 3}]}', encoding="utf-8")
    with pytest.raises(UserError, match=r"tax.rows\[0\].task must be text, not 3") as caught:
        read_report(tmp_path)
    assert caught.value.where == str(tmp_path / "tax.json")
    (tmp_path / "tax.json").write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match="cannot be read"):
        read_report(tmp_path)


@pytest.mark.parametrize("key", [*FILES, "judge", "limits", "since", "attribution", "worst", "tests"])
def test_empty_parts_do_no_harm(key: str) -> None:
    made = render_html(parse_report({**value(), key: {}}))
    assert "principle by principle" in made
    assert parse_report({**value(), key: None}).adherence == parse_report(value()).adherence


def test_raw_and_corrected_are_told_apart(page: str) -> None:
    row = next(one for one in parse_report(value()).adherence.principles if one.id == "honest")
    corrected, counted = row.corrected("after"), row.counted("after")
    assert corrected and counted and corrected.rate != counted.rate and row.best("after") == corrected
    assert row.difference == row.corrected_change
    svg = next(
        one for one in re.findall(r"<svg.*?</svg>", page) if "Says what it does not know: before" in one
    )
    assert (
        svg.count('class="diamond"') == 2
        and svg.count('class="raw"') == 2
        and "corrected from the judge" in svg
    )
    exact = next(one for one in re.findall(r"<svg.*?</svg>", page) if "Keeps it short: before" in one)
    assert "diamond" not in exact and "<circle" in exact
    assert "demo-judge failed its card, so it is not used" in text_of(page)


# -- words -------------------------------------------------------------------------------------


def rate(middle: float, lo: float, hi: float) -> Rate:
    return Rate(middle, lo, hi, None, 100)


def test_levels_and_gates_in_sentences() -> None:
    level = Level("user", (), {}, 100, None, rate(0.62, 0.5, 0.7), rate(0.84, 0.76, 0.9), "exact", None)
    assert level_sentence(level, "95%") == (
        "The user level held in 84 of 100 held-out answers (95% interval 76 to 90), was 62."
    )
    gate = Gate("user", 0.8, "undecided", "84% straddles 80%; x", None, 41, None, None)
    assert (
        gate_sentence(gate)
        == "Its gate asks for 80 of 100: it cannot be decided yet; about 41 more prompts would."
    )
    both = Gate("user", 0.8, "undecided", "", None, 41, 60, (20, 30))
    assert (
        "about 41 more prompts, 60 more labels of the judge's work or 20 more prompts with 30 more"
        in gate_sentence(both)
    )
    unmeasured = Gate("user", 0.8, "undecided", "84%, but not measured: kind.", None, None, None, None)
    assert gate_sentence(unmeasured).endswith("it cannot be decided yet. 84%, but not measured: kind.")
    nothing = Level("root", (), {"a": "no judge"}, 0, None, None, None, "exact", None)
    assert level_sentence(nothing, "95%") == "The root level was not measured."


def test_the_first_level_that_does_not_pass_decides() -> None:
    report = value()
    verdict = report["adherence"]["verdict"]
    for result, level, told in (
        ("fail", "user", "The user level fails its gate, and so does the whole; above it, root passes."),
        ("undecided", "root", "Not decided yet: the root level neither passes nor fails its gate."),
        ("pass", "", "Every gate passes: root and user."),
        ("ungated", "", "The constitution sets no gate, so nothing here passes or fails."),
    ):
        verdict.update(result=result, level=level)
        assert told in text_of(render_html(parse_report(report)))


def test_gates_of_an_old_report_still_speak() -> None:
    old = json.loads((DATA / "report.json").read_text(encoding="utf-8"))
    assert "levels" not in old["adherence"]
    text = text_of(render_html(parse_report(old)))
    assert "Its gate asks for" in text and "What the words mean" in text


def test_only_terms_that_are_used_are_explained(page: str) -> None:
    linked = set(re.findall(r'href="#term-(\w+)"', page))
    assert linked == set(re.findall(r'id="term-(\w+)"', page)) and linked < set(GLOSSARY)
    assert len(re.findall(r'href="#term-interval"', page)) == 1
    few = set(re.findall(r'id="term-(\w+)"', render_html(parse_report({"schema": 1, "adherence": {}}))))
    assert few and not few & {"kappa", "tax", "probe"}
    terms = Terms()
    assert (str(terms("kl")), str(terms("kl", "<b>"))) == (
        '<a class="term" href="#term-kl">KL</a>',
        "&lt;b&gt;",
    )


def test_templates_name_only_terms_of_the_glossary_and_all_of_them() -> None:
    folder = DEMO.parents[1] / "src/charter/reporting/templates/sections"
    templates = "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.j2"))
    health = {"kl", "nll", "perplexity"}
    assert set(re.findall(r'term\("(\w+)"', templates)) | health == set(GLOSSARY)


# -- for everybody -----------------------------------------------------------------------------


def test_headings_are_in_order_and_landmarks_are_there(page: str) -> None:
    tags = [tag for tag, _ in Tags(page).tags]
    depths = [int(tag[1]) for tag in tags if re.fullmatch(r"h[1-6]", tag)]
    assert depths[0] == 1 and depths.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(depths))
    assert [tag for tag in tags if tag in ("header", "nav", "main", "footer")] == [
        "header",
        "main",
        "nav",
        "footer",
    ]


def test_everything_has_a_name_and_links_lead_somewhere(page: str) -> None:
    found = Tags(page).tags
    ids = [attrs["id"] for _, attrs in found if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {str(attrs["href"])[1:] for tag, attrs in found if tag == "a"} <= set(ids)
    assert {attrs["aria-labelledby"] for _, attrs in found if "aria-labelledby" in attrs} <= set(ids)
    assert all(attrs.get("aria-label") and attrs.get("role") == "img" for tag, attrs in found if tag == "svg")
    assert all(attrs.get("aria-label") for tag, attrs in found if attrs.get("role") == "region")
    assert all(attrs.get("scope") in ("col", "row") for tag, attrs in found if tag == "th")
    assert next(attrs for tag, attrs in found if tag == "a") == {"class": "skip", "href": "#verdict"}
    assert not re.search(r"https?://|url\(|@import|<script|javascript:", page)


def test_contrast_of_every_colour_pair_in_light_dark_and_print() -> None:
    """WCAG: 4.5 for text on the ground it stands on, 3 for marks that carry meaning."""
    css = (DEMO.parents[1] / "src/charter/reporting/templates/page.css").read_text(encoding="utf-8")
    blocks = [
        dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{3,6})", one))
        for one in re.findall(r":root \{(.*?)\}", css, re.S)
    ]
    assert len(blocks) == 3
    grounds = ("paper", "card", "neutral-bg")
    text = [(ink, ground) for ink in ("ink", "quiet", "after") for ground in grounds]
    text += [
        ("rose", "rose-bg"),
        ("fell", "fell-bg"),
        ("warn", "warn-bg"),
        ("fell", "paper"),
        ("paper", "after"),
    ]
    for colours in blocks:
        for ink, ground in text:
            assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground, colours[ink])
        for mark in ("before", "after", "fell"):
            assert contrast(colours[mark], colours["paper"]) >= 3, mark


def contrast(one: str, two: str) -> float:
    def light(colour: str) -> float:
        full = colour if len(colour) == 7 else "#" + "".join(2 * digit for digit in colour[1:])
        parts = [int(full[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((light(one), light(two)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_colour_is_never_alone(page: str) -> None:
    chips = re.findall(r'<span class="chip [\w-]+"><span aria-hidden="true">(.)</span> ([^<]+)</span>', page)
    assert len(chips) == page.count('class="chip ') and all(
        mark.strip() and words.strip() for mark, words in chips
    )
    cells = re.findall(r'<td class="m-(?:held|lost|even|unknown)">(.*?)</td>', page)
    assert cells and all("aria-hidden" in cell and 'class="sr"' in cell for cell in cells)


def test_every_text_of_every_section_is_escaped() -> None:
    fixed = {
        "status",
        "result",
        "kind",
        "unit",
        "cause",
        "use",
        "evidence",
        "outcome",
        "probe",
        "measure",
        "created",
    }

    def hostile(item: Any, key: str = "") -> Any:
        if isinstance(item, dict):
            return {name: hostile(one, name) for name, one in item.items()}
        if isinstance(item, list):
            return [hostile(one, key) for one in item]
        return '"><b onload=x>{{7*7}}' if isinstance(item, str) and key not in fixed else item

    files = {name: (hostile(found), name) for name, (found, _) in beside().items()}
    made = render_html(parse_report(hostile(value()), files=files))
    assert "<b onload" not in made and "&lt;b onload" in made and "{{7*7}}" in made
    assert not [attrs for _, attrs in Tags(made).tags if "onload" in attrs]


def test_unknown_words_are_shown_as_they_are() -> None:
    changed = copy.deepcopy(beside())
    changed["round_trip"][0]["declared"][0]["outcome"] = "half heard"
    changed["tax"][0]["rows"][0]["status"] = "wobbled"
    changed["probes"][0]["probes"][0]["probe"] = "brand-new"
    report = value()
    report["judge"]["card"]["principles"][0]["use"] = "on leave"
    text = text_of(render_html(parse_report(report, files=changed)))
    assert all(word in text for word in ("half heard", "wobbled", "brand-new", "on leave"))


# -- drawings ----------------------------------------------------------------------------------


def test_bounds_and_lone_marks() -> None:
    svg = forest_row(None, rate(0.5, 0.4, 0.6), label="x", status="", bound=0.7, alone=True)
    assert 'class="bound" x1="70.00%"' in svg and "gate at 70%" in svg and 'cy="18"' in svg
    assert 'class="grid" x1="25%" x2="25%" y1="0"' in svg


def test_differences_are_placed_around_nought() -> None:
    svg = difference_row(-0.1, -0.2, None, reach=0.2, label="a", told="b")
    assert 'cx="25.00%"' in svg and "reach" not in svg and 'class="zero" x1="50.00%"' in svg
    beyond = difference_row(0.9, 0.5, 2.0, reach=1.0, low=0.0, label="a", told="b")
    assert 'x2="100.00%"' in beyond and 'class="zero" x1="0.00%"' in beyond and 'cx="90.00%"' in beyond
    assert (reach_of([0.12, -0.26, None]), reach_of([]), reach_of([-0.9])) == (0.3, 0.05, 1.0)
