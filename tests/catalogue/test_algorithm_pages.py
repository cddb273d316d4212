from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import pytest

from charter.catalogue import ENTRIES, Entry
from charter.cli.algorithms import algorithms_command
from charter.errors import ConfigError

ROOT = Path(__file__).parents[2]

each = pytest.mark.parametrize("entry", ENTRIES.values(), ids=list(ENTRIES))


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tables", ROOT / "scripts" / "algorithm_tables.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
    assert {path.stem for path in tables.PAGES.glob("*.md")} == set(ENTRIES)


def test_a_page_without_markers_is_an_error(tables: ModuleType) -> None:
    with pytest.raises(ValueError, match="marker"):
        tables.updated("# sft", ENTRIES["sft"])


# -- the command -------------------------------------------------------------------------------


def test_catalogue_names_every_algorithm(capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys)
    for entry in ENTRIES.values():
        assert re.search(rf"^ {entry.name} .*{entry.data}.*{entry.paper}", out, flags=re.MULTILINE)


def test_no_names_may_be_none(capsys: pytest.CaptureFixture[str]) -> None:
    algorithms_command(None)
    assert capsys.readouterr().out == printed(capsys)


@each
def test_one_page_has_everything(capsys: pytest.CaptureFixture[str], entry: Entry) -> None:
    out = " ".join(printed(capsys, entry.name).split())
    for text in (entry.title, entry.paper, entry.terms[0].objective, entry.reference):
        assert text in out
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


def test_json_is_every_entry(capsys: pytest.CaptureFixture[str]) -> None:
    entries = json.loads(printed(capsys, json=True))
    assert [entry["name"] for entry in entries] == list(ENTRIES)
    options = {option["name"]: option for option in entries[1]["options"]}
    assert options["beta"]["default"] == 0.1 and options["beta"]["type"] == "float"


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
