from __future__ import annotations

import importlib
import json
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from charter.catalogue import ENTRIES, Entry
from charter.catalogue import measured as measured_module
from charter.cli.algorithm_pages import algorithms_command
from charter.cli.algorithm_words import HEADINGS, option_groups, who_samples
from charter.cli.train import TrainGroup
from charter.config import validate
from charter.errors import ConfigError

ROOT = Path(__file__).parents[2]

each = pytest.mark.parametrize("entry", ENTRIES.values(), ids=list(ENTRIES))


@pytest.fixture(scope="module")
def tables() -> Iterator[ModuleType]:
    scripts = str(ROOT / "scripts")
    sys.path.insert(0, scripts)
    yield importlib.import_module("algorithm_tables")
    sys.path.remove(scripts)


def printed(capsys: pytest.CaptureFixture[str], *names: str, json: bool = False) -> str:
    algorithms_command(list(names), json)
    return capsys.readouterr().out


# -- pages -----------------------------------------------------------------------------------


@each
def test_page_has_an_up_to_date_table(tables: ModuleType, entry: Entry) -> None:
    page = (tables.PAGES / f"{entry.name}.md").read_text(encoding="utf-8")
    assert page == tables.updated(page, entry), "run: python scripts/algorithm_tables.py"
    assert all(f"| `{name}` |" in page for name in entry.options.model_fields)
    assert entry.paper in page


def test_no_page_without_an_algorithm(tables: ModuleType) -> None:
    assert {path.stem for path in tables.PAGES.glob("*.md")} - {"README"} == set(ENTRIES)


def test_a_page_without_markers_is_an_error(tables: ModuleType) -> None:
    with pytest.raises(ValueError, match="marker"):
        tables.updated("# sft", ENTRIES["sft"])


@each
def test_a_page_says_where_the_data_comes_from(tables: ModuleType, entry: Entry) -> None:
    page = (tables.PAGES / f"{entry.name}.md").read_text(encoding="utf-8")
    if entry.rollouts is None:
        assert "--reward-funcs" not in page
        return
    for text in (who_samples(entry), entry.rollouts.credit, "prompts.jsonl", "--reward-funcs"):
        assert text in page, text
    assert ("A critic is trained" in page) == entry.rollouts.critic


@each
def test_every_option_is_in_one_group(entry: Entry) -> None:
    names = [name for group in option_groups(entry).values() for name in group]
    assert sorted(names) == sorted(entry.options.model_fields)
    assert len(option_groups(entry)) <= (3 if entry.rollouts else 2)


def test_the_command_on_a_page_is_valid(tables: ModuleType) -> None:
    for entry in ENTRIES.values():
        name, *words = shlex.split(tables.command(entry))[2:]
        parsed = TrainGroup().get_command(None, name).make_context(name, words)  # type: ignore[arg-type]
        given = {k: v for k, v in parsed.params.items() if v not in (None, ())}
        own = {k: list(v) if isinstance(v, tuple) else v for k, v in given.items()}
        options = {k: v for k, v in own.items() if k in entry.options.model_fields}
        validate(entry.options, options, where=entry.name)


# -- the command -------------------------------------------------------------------------------


def test_catalogue_names_every_algorithm(capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys)
    for entry in ENTRIES.values():
        assert re.search(rf"^ {entry.name} ", out, flags=re.MULTILINE), entry.name
        assert re.search(rf"^{re.escape(HEADINGS[entry.family])}$", out, flags=re.MULTILINE), entry.family


def test_families_stand_together(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys).splitlines()
    heads = [line for line in lines if line in HEADINGS.values()]
    assert len(heads) == len(set(heads)) == len({entry.family for entry in ENTRIES.values()})


def test_no_names_may_be_none(capsys: pytest.CaptureFixture[str]) -> None:
    algorithms_command(None)
    assert capsys.readouterr().out == printed(capsys)


@each
def test_one_page_has_everything(capsys: pytest.CaptureFixture[str], entry: Entry) -> None:
    out = " ".join(printed(capsys, entry.name).split())
    traits = entry.traits
    texts = [entry.title, entry.paper, entry.reference, entry.watch, entry.best_for, traits.formula]
    for text in (*texts, traits.mechanism, traits.stability, traits.complexity, *entry.models):
        assert " ".join(text.split()) in out
    assert entry.terms[0].objective in out.replace(" ", "")
    for name in entry.paper_settings:
        assert name in out
    for name in entry.options.model_fields:
        assert name in out
    assert "One of: linear, cosine, constant, constant_with_warmup." in out
    assert "model_name_or_path is model" in out


def test_page_of_dpo_gives_reasons_for_refusals(capsys: pytest.CaptureFixture[str]) -> None:
    assert "precompute_ref_log_probs always on" in " ".join(printed(capsys, "dpo").split())


def test_comparison_shows_what_differs(capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, "compare", "sft", "dpo")
    assert re.search(r"^ learning_rate +2e-05 +1e-06", out, flags=re.MULTILINE)
    assert re.search(r"^ beta +- +0\.1", out, flags=re.MULTILINE)
    assert re.search(r"^ reference +none +frozen", out, flags=re.MULTILINE)
    assert "weight_decay" not in out


def test_comparison_has_every_aspect_of_every_pair_of_entries(capsys: pytest.CaptureFixture[str]) -> None:
    names = list(ENTRIES)
    for one, other in zip(names, [*names[1:], names[0]], strict=True):
        out = printed(capsys, "compare", one, other)
        for label in (
            "objective", "mechanism", "stability", "complexity", "data", "sampled by", "reference",
            "in memory", "best for", "watch out", "measured here",
        ):  # fmt: skip
            assert re.search(rf"^ {label} +\S", out, flags=re.MULTILINE), (one, other, label)


def test_what_was_measured_is_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {
        "win_rate": [0.6, 0.55, 0.65],
        "kl": 2.5,
        "length": 30,
        "seconds_per_step": 1.2,
        "where": "docs/x.md",
    }
    monkeypatch.setattr(measured_module, "_table", lambda: {"dpo": found})
    out = " ".join(printed(capsys, "dpo").split())
    assert (
        "wins 60% (95% interval 55% to 65%), KL 2.5 nats, 30 words an answer, 1.2 s a step; docs/x.md" in out
    )
    assert "not measured" in printed(capsys, "sft")
    (dpo,) = json.loads(printed(capsys, "dpo", json=True))
    assert dpo["measured"]["win_rate"] == [0.6, 0.55, 0.65]


def test_measured_names_are_entries_and_have_the_shape() -> None:
    for name, values in measured_module._table().items():
        assert name in ENTRIES
        assert set(values) <= {"win_rate", "kl", "length", "seconds_per_step", "where"}
        assert measured_module.measured(name) is not None


def test_a_new_page_is_written_whole_and_stays_so(tables: ModuleType) -> None:
    entry = ENTRIES["dpo"]
    page = tables.updated("", entry)
    assert page.startswith(tables.WHOLE) and tables.updated(page, entry) == page
    for text in (entry.traits.formula, entry.best_for, entry.watch, entry.paper):
        assert text in page
    assert all(f"| `{name}` |" in page for name in entry.options.model_fields)


def test_json_is_every_entry(capsys: pytest.CaptureFixture[str]) -> None:
    entries = json.loads(printed(capsys, json=True))
    assert [entry["name"] for entry in entries] == list(ENTRIES)
    for entry in entries:
        assert {"family", "paper", "data", "models", "reference", "title", "measured"} <= set(entry)
        made = ENTRIES[entry["name"]].options.model_fields
        assert [option["name"] for option in entry["options"]] == list(made)
    dpo = next(entry for entry in entries if entry["name"] == "dpo")
    options = {option["name"]: option for option in dpo["options"]}
    assert options["beta"]["default"] == 0.1 and options["beta"]["type"] == "float"
    assert dpo["trl"] == ["DPOConfig"]


def test_json_of_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert [entry["name"] for entry in json.loads(printed(capsys, "dpo", json=True))] == ["dpo"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["dop"], "did you mean 'dpo'"),
        (["sft", "dpo"], "charter algorithms compare sft dpo"),
        (["compare"], "nothing to compare"),
        (["compare", "sft"], "nothing to compare"),
        (["compare", "sft", "sft"], "nothing to compare"),
        (["compare", "sft", "dop"], "did you mean 'dpo'"),
    ],
)
def test_mistakes_are_explained(names: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        algorithms_command(names)
