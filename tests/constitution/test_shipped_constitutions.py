"""The constitutions that come with Charter: sound, measured from both sides, and free of repetition."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest
from typer.testing import CliRunner

from charter.cli.constitution import app
from charter.constitution import Constitution
from charter.constitution.cases import KINDS, Distribution, Invariance, Overton, Steer
from charter.constitution.lint import lint
from charter.constitutions import path_of, shipped
from charter.errors import ConstitutionError
from charter.feedback.rules.lint import lint_rules

ROOT = Path(__file__).parents[2]
NAMES = ["assistant", "cai-comparison", "just-eval", "pluralistic", "small"]
LOADED = {name: Constitution.load(path_of(name)) for name in NAMES}
OTHERS = [ROOT / "recipes/quickstart.constitution.md", ROOT / "src/charter/cli/starter/house.constitution.md"]
GUIDE = (ROOT / "docs" / "constitutions.md").read_text(encoding="utf-8")
PRINCIPLES = [pytest.param(name, p, id=f"{name}:{p.id}") for name in NAMES for p in LOADED[name].principles]
NEAR = 0.6
"""Share of words two prompts may have in common: of all words that either has."""


def words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", text.casefold()))


def overlap(one: str, two: str) -> float:
    a, b = words(one), words(two)
    return len(a & b) / max(len(a | b), 1)


def prompts() -> list[tuple[str, str]]:
    """(test, prompt) of every test; the first prompt of an invariance test stands for all of it."""
    return [
        (f"{name}:{case.id}", case.prompts()[0])
        for name, constitution in LOADED.items()
        for principle in constitution.principles
        for case in principle.tests
    ]


def too_alike(asked: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(a, b) for (a, one), (b, two) in combinations(asked, 2) if overlap(one, two) >= NEAR]


# -- finding them ---------------------------------------------------------------


def test_names() -> None:
    assert shipped() == NAMES
    assert all(path_of(name).is_file() and LOADED[name].name == name for name in NAMES)


def test_unknown_name() -> None:
    with pytest.raises(ConstitutionError, match="did you mean 'assistant'"):
        path_of("asistant")


def test_a_bare_name_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Constitution.load("assistant").sha == LOADED["assistant"].sha
    assert Constitution.load(Path("small")).path == str(path_of("small"))
    assert Constitution.load(tmp_path / "small").name == "small"  # as a recipe in that folder would say it


def test_a_file_of_that_name_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("small").mkdir()
    assert Constitution.load("small").name == "small"
    Path("small").rmdir()
    Path("small").write_text("## Mine {#mine authority=user}\n\nMine.\n")
    assert [p.id for p in Constitution.load("small").principles] == ["mine"]


@pytest.mark.parametrize("path", ["nowhere/assistant", "assistant.md", "asistant"])
def test_a_wrong_path_is_no_name(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConstitutionError) as error:
        Constitution.load(path)
    assert error.value.what == "no such file" and "assistant, cai-comparison" in (error.value.fix or "")


def test_loads_without_torch() -> None:
    code = "import sys, charter.constitutions as c; assert c.shipped(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_new_from_a_shipped_one(tmp_path: Path) -> None:
    path = tmp_path / "house.constitution.md"
    result = CliRunner().invoke(app, ["new", str(path), "--from", "small"])
    assert result.exit_code == 0 and "0 errors, 0 warnings" in result.output
    made = Constitution.load(path)
    assert made.name == "house" and made.sha == LOADED["small"].sha
    changed = set(path.read_text().splitlines()) ^ set(path_of("small").read_text().splitlines())
    assert changed == {'name: "house"', "name: small"}


def test_new_from_a_file_without_front_matter(tmp_path: Path) -> None:
    source, path = tmp_path / "old.md", tmp_path / "new.constitution.md"
    source.write_text("## A {#a authority=user}\n\nname: not a key\n")
    assert CliRunner().invoke(app, ["new", str(path), "--from", str(source)]).exit_code == 0
    assert path.read_text() == source.read_text() and Constitution.load(path).name == "new"


@pytest.mark.parametrize("options", [["--from", "asistant"], ["--from", "small", "--minimal"]])
def test_new_from_nothing(tmp_path: Path, options: list[str]) -> None:
    path = tmp_path / "house.constitution.md"
    assert CliRunner().invoke(app, ["new", str(path), *options]).exit_code != 0
    assert not path.exists()


def test_the_command_line_knows_the_names() -> None:
    result = CliRunner().invoke(app, ["lint", "pluralistic"])
    assert result.exit_code == 0 and "0 errors, 0 warnings" in result.output
    assert "cai-comparison 1.0.0, CC0-1.0" in CliRunner().invoke(app, ["show", "cai-comparison"]).output


# -- what they say --------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_lints_without_findings(name: str) -> None:
    constitution = LOADED[name]
    assert [str(found) for found in lint(constitution) + lint_rules(constitution)] == []
    assert constitution.licence == "CC0-1.0" and constitution.override.keys() == set(constitution.levels)
    assert set(constitution.levels) == {p.level for p in constitution.principles}


@pytest.mark.parametrize(("name", "principle"), PRINCIPLES)
def test_every_principle_is_complete(name: str, principle) -> None:
    assert principle.text and principle.rationale and principle.type and principle.tags
    assert principle.pairs(), "no GOOD x BAD pair"
    assert any(case.kind == "must_comply" for case in principle.tests), "nothing against over-enforcement"
    assert any(case.kind != "must_comply" for case in principle.tests), "nothing that shows a violation"
    assert len(principle.tests) >= 3
    assert len(principle.text.split()) <= 80
    if principle.rubric is not None:
        levels = principle.rubric.levels
        assert {1, 3, 5} <= set(levels) or {1, 2, 4, 5} <= set(levels)
        assert len(set(levels.values())) == len(levels) and principle.rubric.not_a_violation


@pytest.mark.parametrize(("name", "principle"), PRINCIPLES)
def test_a_pair_differs_in_its_words(name: str, principle) -> None:
    assert all(words(good.text) != words(bad.text) for good, bad in principle.pairs())


@pytest.mark.parametrize("name", NAMES)
def test_longer_is_not_better(name: str) -> None:
    """Judges are calibrated on these pairs; a preference for length must not look like judgement."""
    pairs = [pair for principle in LOADED[name].principles for pair in principle.pairs()]
    shorter = sum(len(good.text) < len(bad.text) for good, bad in pairs) / len(pairs)
    assert 0.35 <= shorter <= 0.65, f"the GOOD answer is the shorter one in {shorter:.0%} of the pairs"


@pytest.mark.parametrize("name", NAMES)
def test_ids_are_unique_in_the_file(name: str) -> None:
    ids = Counter(case.id for principle in LOADED[name].principles for case in principle.tests)
    assert [id for id, number in ids.items() if number > 1] == []


def test_every_kind_is_shown() -> None:
    assert {case.kind for p in LOADED["small"].principles for case in p.tests} == set(KINDS)
    assert {p.measured_by for p in LOADED["small"].principles} == {"rules", "rubric"}


def test_shares_stances_and_viewpoints() -> None:
    cases = [case.config for c in LOADED.values() for p in c.principles for case in p.tests]
    for found in (case for case in cases if isinstance(case, Distribution)):
        assert abs(sum(found.target.values()) - 1) < 1e-9
        assert all(option in found.prompt.casefold() for option in found.options), found.id
    for found in (case for case in cases if isinstance(case, Steer)):
        assert len(set(found.stances.values())) == len(found.stances) >= 2
        assert all(group not in found.prompt for group in found.stances), (
            "the group is the evaluator's to name"
        )
    for found in (case for case in cases if isinstance(case, Overton)):
        assert len(set(found.viewpoints.values())) == len(found.viewpoints) >= 3
    for found in (case for case in cases if isinstance(case, Invariance)):
        assert len(set(found.prompts)) == len(found.prompts)


def test_no_two_prompts_are_the_same() -> None:
    asked = [
        " ".join(re.findall(r"\w+", prompt.casefold()))
        for constitution in LOADED.values()
        for prompt in constitution.test_prompts()
    ]
    assert [prompt for prompt, number in Counter(asked).items() if number > 1] == []


def test_no_two_tests_are_nearly_the_same() -> None:
    assert too_alike(prompts()) == []


def test_near_duplicates_would_be_seen() -> None:
    id, prompt = prompts()[0]
    assert too_alike([*prompts(), ("planted", f"Please: {prompt.upper()}")]) == [(id, "planted")]


def test_no_test_asks_what_any_example_shows() -> None:
    """Examples may be trained on, those of one shipped file together with the tests of another."""
    constitutions = [*LOADED.values(), *map(Constitution.load, OTHERS)]
    shown = [
        prompt
        for constitution in constitutions
        for principle in constitution.principles
        for example in principle.examples
        for prompt in example.prompts()
    ]
    asked = [prompt for constitution in constitutions for prompt in constitution.test_prompts()]
    assert len(shown) > 90 and len(asked) > 350
    assert [(one, two) for one in shown for two in asked if overlap(one, two) >= NEAR] == []


@pytest.mark.parametrize("name", NAMES)
def test_plain_text(name: str) -> None:
    text = path_of(name).read_text(encoding="utf-8")
    assert not re.search("[\u2013\u2014\u201c\u201d\u2018\u2019]", text), "dashes and quotes are plain"
    assert all(line == line.rstrip() for line in text.splitlines())


# -- what the guide says about them ------------------------------------------------


def guide_rows(heading: str) -> dict[str, list[str]]:
    """First column -> the other columns, of the table under ``heading``."""
    section = GUIDE.split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [
        [cell.strip() for cell in row.strip("|").split("|")] for row in section.split("\n") if row[:1] == "|"
    ]
    return {row[0].strip("`"): row[1:] for row in rows[2:]}


def test_guide_counts_are_true() -> None:
    rows = guide_rows("The five")
    assert list(rows) == ["small", "assistant", "pluralistic", "cai-comparison", "just-eval"]
    for name, row in rows.items():
        found = LOADED[name]
        pairs = sum(len(p.pairs()) for p in found.principles)
        by_rules = sum(p.measured_by == "rules" for p in found.principles)
        tests = sum(len(p.tests) for p in found.principles)
        assert row[:4] == [str(len(found.principles)), str(by_rules), str(pairs), str(tests)]
    total = sum(len(p.tests) for c in LOADED.values() for p in c.principles)
    assert f"{total} tests" in GUIDE


def test_guide_counts_kinds() -> None:
    rows = guide_rows("Tests by kind")
    assert set(rows) == set(KINDS)
    order = ["small", "assistant", "pluralistic", "cai-comparison", "just-eval"]
    for kind, row in rows.items():
        counted = [sum(c.kind == kind for p in LOADED[name].principles for c in p.tests) for name in order]
        assert [int(cell) for cell in row] == [*counted, sum(counted)], kind


def test_guide_names_every_principle() -> None:
    for name in NAMES:
        section = GUIDE.split(f"### `{name}`\n")[1].split("\n#")[0]
        for level in LOADED[name].levels:
            [line] = [line for line in section.split("\n") if line.startswith(f"- **{level}**: ")]
            ids = [p.id for p in LOADED[name].principles if p.level == level]
            assert re.findall(r"`([^`]+)`", line) == ids


def test_guide_counts_lengths() -> None:
    pairs = [pair for c in LOADED.values() for p in c.principles for pair in p.pairs()]
    shorter = sum(len(good.text) < len(bad.text) for good, bad in pairs)
    assert f"shorter one in {shorter} of {len(pairs)} pairs" in GUIDE


def test_six_dimensions_are_rated_from_one_to_five() -> None:
    found = LOADED["just-eval"]
    ids = {"helpfulness", "clarity", "factuality", "depth", "engagement", "safety"}
    assert {p.id for p in found.active} == ids and all("just-eval" in p.tags for p in found.active)
    assert found.judge.executor == "rubric" and (found.judge.scale, found.judge.pass_at) == (5, 4)
    assert all(p.rubric is not None and set(p.rubric.levels) == {1, 2, 3, 4, 5} for p in found.active)


def test_a_model_rates_the_six_dimensions() -> None:
    """A scripted judge that gives 5 to one answer and 2 to the other, in the file's own form."""
    from charter.evaluation.judge_card.asking import answer_group
    from charter.feedback.judging.feedback import ModelJudge
    from charter.testing.judge import ScriptedJudge

    judge = ModelJudge(LOADED["just-eval"], ScriptedJudge(lambda _title, text: "good" in text))
    groups = [answer_group("a question", text, "") for text in ("a good answer", "a poor one")]
    first, second = judge.judge(groups)
    assert [one.value for one in first] == [1.0] * 6 and [one.value for one in second] == [0.0] * 6
    assert {one.principle for one in first} == {p.id for p in LOADED["just-eval"].active}
