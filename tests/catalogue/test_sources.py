"""What is known of where settings come from, and what is not, is written down and shown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from charter.catalogue import ENTRIES, Entry
from charter.catalogue.sources_offline import OFFLINE
from charter.catalogue.sources_online import ONLINE
from charter.errors import ConfigError
from charter.pipeline.recipe import train_options

PAGES = Path(__file__).parents[2] / "docs" / "algorithms"
SAID = {**OFFLINE, **ONLINE}
NOTHING_PUBLISHED = ("aot", "aot-unpaired", "on-policy-distillation", "xpo")

with_sources = pytest.mark.parametrize(
    "entry", [e for e in ENTRIES.values() if e.sources], ids=[n for n, e in ENTRIES.items() if e.sources]
)


def test_every_point_is_of_an_entry_and_every_entry_has_its_points() -> None:
    assert not OFFLINE.keys() & ONLINE.keys()
    assert {name: entry.sources for name, entry in ENTRIES.items() if entry.sources} == SAID
    assert all(ENTRIES[name].rollouts is None for name in OFFLINE)
    assert all(ENTRIES[name].rollouts is not None for name in ONLINE)


@with_sources
def test_points_are_sentences_with_a_source(entry: Entry) -> None:
    for source in entry.sources:
        assert not source.point.endswith(".") and source.found.endswith(".")
    said = " ".join(source.found for source in entry.sources)
    assert re.search(r"\b\d{4}\.\d{4,5}\b|repository|TRL|HALOs|account", said)


@with_sources
def test_a_page_shows_them(entry: Entry) -> None:
    page = (PAGES / f"{entry.name}.md").read_text(encoding="utf-8")
    section = page.partition("## Sources and open points\n")[2]
    for source in entry.sources:
        word = "Settled" if source.settled else "Open"
        assert f"- **{word}**: {source.point}. {source.found}" in section
    assert section.count("- **Settled**") == sum(source.settled for source in entry.sources)


@pytest.mark.parametrize("name", [name for name, entry in ENTRIES.items() if not entry.sources])
def test_a_page_without_points_has_no_section_of_them(name: str) -> None:
    assert "## Sources and open points" not in (PAGES / f"{name}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "about", "settled"),
    [
        ("genrm", "lambda_sft", False),
        ("xpo", "alpha and its schedule", False),
        ("reward-pmp", "learning rate", False),
        ("process-reward", "neutral", True),
        ("context-distillation", "50 most probable tokens", False),
        ("nash-ema", "index of the average", False),
        ("gdpo", "beta", True),
        ("bpo", "LoRA members", False),
        ("genrm-pairwise", "settings", True),
        ("reward-margin", "sets of margins", True),
    ],
)
def test_the_points_that_readers_ask_about_are_there(name: str, about: str, settled: bool) -> None:
    (found,) = [source for source in ENTRIES[name].sources if about in source.point]
    assert found.settled == settled


@pytest.mark.parametrize("name", [name for name, entry in ENTRIES.items() if entry.paper_settings])
def test_what_was_published_is_taken_by_the_options(name: str) -> None:
    required = {"ptx_data": "text.jsonl", "reward_thresholds": [0.5]}
    fields = ENTRIES[name].options.model_fields
    given = {key: value for key, value in required.items() if key in fields and fields[key].is_required()}
    made = train_options(name, {"preset": "paper", **given}, name)
    for key, value in ENTRIES[name].paper_settings.items():
        assert getattr(made, key) == value, key


@pytest.mark.parametrize("name", NOTHING_PUBLISHED)
def test_where_nothing_was_published_the_reason_is_written_down(name: str) -> None:
    with pytest.raises(ConfigError, match="no published settings"):
        train_options(name, {"preset": "paper"}, name)
    assert any(not source.settled for source in ENTRIES[name].sources)


def test_dpo_has_the_published_warm_up() -> None:
    made = train_options("dpo", {"preset": "paper"}, "dpo")
    assert (made.warmup_steps, made.lr_scheduler_type) == (150, "constant_with_warmup")
