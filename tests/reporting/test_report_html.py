from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from charter.errors import EnvironmentFault
from charter.reporting import parse_report, render_html, write_report

DATA = Path(__file__).parent / "data"
VOID = {"meta", "link", "br", "img", "input", "hr"}
SVG_EMPTY = {"line", "circle", "path", "rect"}


class Page(HTMLParser):
    """Checks nesting, and collects text, tags and attributes."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in SVG_EMPTY | VOID
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> does not close what is open"

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


def load(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((DATA / name).read_text(encoding="utf-8"))
    return loaded


def page(value: dict[str, Any]) -> Page:
    return Page(render_html(parse_report(value)))


@pytest.mark.parametrize("name", ["report.json", "flagged.json"])
def test_one_well_formed_file_that_loads_nothing(name: str) -> None:
    html = render_html(parse_report(load(name)))
    made = Page(html)
    names = {tag for tag, _ in made.tags}
    assert not names & {"script", "link", "iframe", "object", "img", "form"}
    assert not {key for _, attrs in made.tags for key in attrs} & {"src", "onerror", "onclick"}
    assert all(str(attrs["href"]).startswith("#") for tag, attrs in made.tags if tag == "a")
    assert "@import" not in html and "url(" not in html and "http://" not in html and "https://" not in html
    assert len(html) < 200_000


def test_shows_what_was_measured() -> None:
    text = page(load("report.json")).text
    for words in (
        "House style and honesty, SmolLM2 135M",
        "34% of held-out answers pass every principle that applies to them, up from 3%",
        "Of 8 principles: 3 rose, none fell significantly, 4 kept without a claim, 1 not measured.",
        "Keep it short",
        "needs a judge model; none was configured",
        "too near its ceiling",
        "5.83",
        "Why is the sky blue?",
        "stopped by the end of 2 epochs",
        "stop at 10",
        "88",
        "none recorded",
        "1 min 22 s",
        "charter run recipes/quickstart.yaml",
        "within limit",
    ):
        assert words.lower() in text.lower(), words
    assert "Read with care" not in text


def test_flags_and_falls_are_above_the_results() -> None:
    text = page(load("flagged.json")).text
    assert text.index("Read with care") < text.index("principle by principle")
    assert text.index("Fell: Keep it short") < text.index("principle by principle")
    assert "down from 34%" in text
    assert "flagged" in text


def test_model_text_is_escaped() -> None:
    html = render_html(parse_report(load("flagged.json")))
    assert "<script>alert" not in html and "<img" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "\x00" not in html
    assert "(an empty answer)" in html


def hostile(value: Any, payload: str) -> Any:
    """Every text of the report replaced, except the words the format fixes."""
    if isinstance(value, dict):
        fixed = {"status", "result"}
        return {key: item if key in fixed else hostile(item, payload) for key, item in value.items()}
    if isinstance(value, list):
        return [hostile(item, payload) for item in value]
    return payload if isinstance(value, str) else value


@pytest.mark.parametrize("payload", ["<b>\"'&{{7*7}}</b>", '"><svg onload=x>', "</style></title><p>"])
def test_every_text_is_escaped(payload: str) -> None:
    made = page(hostile(load("report.json"), payload))
    plain = page(hostile(load("report.json"), "harmless"))
    assert [tag for tag, _ in made.tags] == [tag for tag, _ in plain.tags]
    assert not [attrs for _, attrs in made.tags if "onload" in attrs]
    assert payload in " ".join(made.words)


def test_charts_and_tables_can_be_heard() -> None:
    made = page(load("report.json"))
    drawings = [attrs for tag, attrs in made.tags if tag == "svg"]
    gates = load("report.json")["adherence"]["gates"]
    assert len(drawings) == 9 + 4 + len(gates)
    assert all(attrs.get("role") == "img" and attrs.get("aria-label") for attrs in drawings)
    assert any(
        "before 8%" in str(attrs["aria-label"]) and "after 48%" in str(attrs["aria-label"])
        for attrs in drawings
    )
    assert all(attrs.get("scope") for tag, attrs in made.tags if tag == "th")
    ids = {attrs["id"] for _, attrs in made.tags if "id" in attrs}
    assert {attrs["aria-labelledby"] for _, attrs in made.tags if "aria-labelledby" in attrs} <= ids
    assert [tag for tag, _ in made.tags].count("h1") == 1


def test_nothing_measured_is_said_and_never_zero() -> None:
    made = page({"schema": 1, "adherence": {}})
    assert "Adherence was not measured." in made.text
    assert "not measured" in made.text
    assert not re.search(r"\b0%? (prompts|pairs|words)", made.text)
    partial = load("report.json")
    for item in partial["health"]:
        item["after"] = None
    assert page(partial).text.count("not measured") >= 5


@pytest.mark.parametrize(
    "key", ["constitution", "models", "health", "flags", "examples", "data", "training", "stages", "command",
            "machine", "versions", "seed", "manifest", "title", "created"]
)  # fmt: skip
def test_any_part_may_be_missing(key: str) -> None:
    value = load("report.json")
    del value[key]
    assert "principle by principle" in page(value).text


def test_one_model_alone() -> None:
    value = load("report.json")
    adherence = value["adherence"]
    for row in [adherence["overall"], *adherence["principles"]]:
        row["before"] = row["change"] = None
        row["status"] = "measured" if row["after"] else "not_measured"
    adherence["overall"]["fraction"]["before"] = adherence["overall"]["fraction"]["change"] = None
    made = page(value)
    assert "there is no baseline to compare with" in made.text
    assert "Holm" not in made.text


def test_contrast_is_readable() -> None:
    """WCAG AA (4.5) for every text colour on the ground it stands on, light and dark."""
    css = (
        (Path(__file__).parents[2] / "src/charter/reporting/templates/page.css")
        .read_text()
        .split("@media print")[0]
    )
    light, dark = (
        dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block))
        for block in css.split("color-scheme: dark")[:2]
    )
    for colours in (light, dark):
        for ink, ground in (
            ("ink", "paper"), ("quiet", "paper"), ("quiet", "card"), ("after", "paper"), ("rose", "rose-bg"),
            ("fell", "fell-bg"), ("fell", "card"), ("fell", "paper"), ("warn", "warn-bg"),
            ("quiet", "neutral-bg"),
        ):  # fmt: skip
            assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)


def contrast(one: str, two: str) -> float:
    def light(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((light(one), light(two)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_write_report(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(
        (DATA / "report.json").read_text(encoding="utf-8"), encoding="utf-8"
    )
    target = write_report(tmp_path)
    first = target.read_text(encoding="utf-8")
    assert target == tmp_path / "report.html"
    assert write_report(tmp_path, tmp_path / "again.html").read_text(encoding="utf-8") == first
    with pytest.raises(EnvironmentFault):
        write_report(tmp_path, tmp_path / "no" / "such" / "page.html")
