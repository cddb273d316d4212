"""``charter constitution show``: the page in the terminal, one principle, and the page for browsers."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from charter.cli.constitution import app
from charter.constitution import Constitution
from charter.constitutions import shipped
from charter.errors import ConfigError, ConstitutionError, UserError

ACME = Path(__file__).parents[1] / "constitution" / "data" / "acme.constitution.md"


def show(*words, columns=80):
    return CliRunner(env={"COLUMNS": str(columns)}).invoke(app, ["show", *map(str, words)])


def test_the_page_has_statements_reasons_and_how_each_is_measured():
    found = show(ACME)
    assert found.exit_code == 0, found.output
    law = Constitution.load(ACME)
    text = " ".join(found.output.split())
    for line in ("acme-assistant 0.3.0, CC0-1.0", f"sha {law.sha[:12]}", "levels: user (1) > guideline (1)"):
        assert line in text
    for one in law.active:
        assert f"{one.title} [{one.id}]" in text
        assert " ".join(one.text.split())[:40] in text
        if one.rationale:
            assert f"Why: {' '.join(one.rationale.split())[:40]}" in text
    assert "measured by a judge with the rubric" in text
    assert "measured by rules: " in text and "contains one of 'likely', 'unlikely'" in text
    assert "levels without a principle: root, system, developer" in text
    assert "examples: " in text and "tests: " in text


@pytest.mark.parametrize("columns", [40, 72, 200])
def test_lines_fit_the_terminal(columns):
    found = show("assistant", columns=columns)
    assert found.exit_code == 0
    longest = max(found.output.splitlines(), key=len)
    assert len(longest) <= min(columns, 100) or " " not in longest.strip()
    assert max(map(len, found.output.splitlines())) > 0.7 * min(columns, 100)


@pytest.mark.parametrize("name", shipped())
def test_every_principle_of_the_shipped_ones_is_there(name):
    found = show(name)
    law = Constitution.load(name)
    places = [found.output.index(f"[{one.id}]") for one in sorted(law.active, key=law.rank)]
    assert places == sorted(places)


def test_levels_say_who_may_set_them_aside():
    assert "ROOT: nobody may set it aside" in show("assistant").output


def test_one_principle_in_full():
    law = Constitution.load("small")
    found = show("small", "honesty.firm", columns=100)
    assert found.exit_code == 0, found.output
    text, one = " ".join(found.output.split()), law.principle("honesty.firm")
    for answer in (*one.answers("good"), *one.answers("bad")):
        assert " ".join(answer.text.split())[:50] in text
    for case in one.tests:
        assert f"{case.id} ({case.kind})" in text
        assert " ".join(case.prompts()[0].split())[:30] in text
    assert "level: user" in text and "voices.steer" not in text


def test_json_of_the_whole_and_of_one():
    law = Constitution.load(ACME)
    assert json.loads(show(ACME, "--json").stdout)["sha"] == law.sha
    one = law.active[0]
    assert json.loads(show(ACME, one.id, "--json").stdout) == json.loads(json.dumps(one.to_dict()))


def test_an_unknown_principle_is_named_with_the_nearest():
    found = show("small", "honesty.firn")
    assert isinstance(found.exception, ConstitutionError) and "honesty.firm" in str(found.exception)


def test_the_page_for_browsers(tmp_path):
    page = tmp_path / "law.html"
    assert show("assistant", "--html", page).exit_code == 0
    html = page.read_text("utf-8")
    law = Constitution.load("assistant")
    assert all(f'id="{one.id}"' in html and f'href="#{one.id}"' in html for one in law.active)
    assert isinstance(show("assistant", "--html", page).exception, UserError)
    assert show("assistant", "--html", page, "--force").exit_code == 0


@pytest.mark.parametrize(
    "more", [("--html", "x.html", "--json"), ("honesty.firm", "--html", "x.html"), ("--force",)]
)
def test_what_cannot_be_asked_together(more, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert isinstance(show("small", *more).exception, ConfigError)
    assert list(tmp_path.iterdir()) == []
