"""Constitutions for other tools, and the way back."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from charter.constitution import Constitution
from charter.constitution.exchange import EXPORTS, ImportOptions, export, import_text
from charter.constitution.exchange.critique_requests import critique_requests
from charter.constitution.exchange.example_pairs import example_pairs
from charter.data.formats import load_groups
from charter.errors import ConstitutionError
from charter.types import PairTarget

DATA = Path(__file__).parent / "data"
SYCOPHANCY, UNCERTAINTY = "honesty.no_sycophancy", "honesty.uncertainty"


@pytest.fixture(scope="module")
def acme() -> Constitution:
    return Constitution.load(DATA / "acme.constitution.md")


@pytest.fixture(scope="module")
def spec() -> Constitution:
    return Constitution.load(DATA / "model_spec.md")


def test_system_prompt(acme):
    found = export(acme, "system-prompt")
    assert found.text == acme.system_prompt() + "\n" and found.counts == {"principles": 2}


def test_a_statement_that_its_title_repeats_is_said_once():
    text = import_text(
        "Be brief.\nTell the truth. Always.\n" + "Do not " * 20 + "err.", "x"
    ).constitution.system_prompt()
    assert text.split("\n")[2:] == [
        "- Be brief.",
        "- Tell the truth. Always.",
        "- " + "Do not " * 20 + "err.",
    ]


def test_critiques(acme):
    found = json.loads(export(acme, "critiques").text)
    first, second = found["constitutions"]
    assert found["system_chat"] == [] and first["principle_sha"] == acme.principle(SYCOPHANCY).sha
    assert (first["id"], second["id"]) == (SYCOPHANCY, UNCERTAINTY)
    for request in (first["critic"], first["revision"]):
        assert "Don't be sycophantic" in request and "](#" not in request and "[^" not in request
    assert "user asked for a persuasive piece or a role" in first["critic"]
    assert "persuasive" not in first["revision"]


def test_rubrics(acme):
    found = export(acme, "rubric")
    [rubric] = json.loads(found.text)
    assert rubric["id"] == SYCOPHANCY and rubric["principle_sha"] == acme.principle(SYCOPHANCY).sha
    assert rubric["levels"]["3"] == "hedges to please" and "3: hedges to please" in rubric["rubric_str"]
    assert re.search(rubric["extraction_regex"], "because. <score> 4 </score>")[1] == "4"
    assert not re.search(rubric["extraction_regex"], "<score>6</score>")
    assert [remark.what for remark in found.left_out] == [f"{UNCERTAINTY!r} has no rubric"]


def test_scale_of_ten():
    head = "---\nname: x\njudge: {scale: 10}\n---\n"
    text = f"{head}## A {{#a authority=user}}\n\n```yaml rubric\nlevels: {{10: x}}\n```\n"
    [rubric] = json.loads(export(Constitution.from_text(text), "rubric").text)
    assert re.search(rubric["extraction_regex"], "<score>10</score>")[1] == "10"


def test_preferences_can_be_trained_on(acme, spec, tmp_path):
    for constitution, pairs in ((acme, 1), (spec, 193)):
        path = tmp_path / "rows.jsonl"
        found = export(constitution, "preferences")
        path.write_text(found.text, encoding="utf-8")
        loaded = load_groups(str(path), "preference")
        assert len(loaded.groups) == found.counts["pairs"] == pairs
        shas = {p.id: p.sha for p in constitution.principles}
        for row, group in zip(map(json.loads, found.text.splitlines()), loaded.groups, strict=True):
            assert row["principle_shas"] == [shas[row["principle"]]]
            assert group.judgements[0].target == PairTarget(better=0, worse=1)
            assert group.samples[0].completion.text == row["chosen"][-1]["content"]


def test_conversations_take_the_turns_that_trainers_want():
    steps = (
        "<developer>D</developer><system>S</system><user>Q</user><assistant>Well.</assistant>",
        "<assistant>Hello.</assistant>",
    )
    answers = "".join(f"<assistant> <!-- {label} --> {label[0]} </assistant>" for label in ("GOOD", "BAD"))
    answers = f"<comparison>{answers}</comparison>"
    examples = "".join(f"**Example**: e\n~~~xml\n{step}{answers}\n~~~\n" for step in steps)
    found = export(Constitution.from_text(f"## A {{#a authority=user}}\nDo.\n{examples}"), "preferences")
    [row] = [json.loads(line) for line in found.text.splitlines()]
    assert row["prompt"] == [{"role": "system", "content": "D\n\nS"}, {"role": "user", "content": "Q"}]
    assert [row[side][0]["content"] for side in ("chosen", "rejected")] == ["Well.\n\nG", "Well.\n\nB"]
    assert [remark.what for remark in found.left_out] == ["a pair whose conversation is not opened by a user"]


def test_a_pair_is_charged_to_the_principle_that_its_bad_answer_breaks(acme):
    text = (DATA / "acme.constitution.md").read_text(encoding="utf-8").replace("OK -->", "GOOD -->")
    rows = [
        json.loads(line) for line in export(Constitution.from_text(text), "preferences").text.splitlines()
    ]
    assert [row["principle"] for row in rows] == [SYCOPHANCY, UNCERTAINTY]
    assert [turn["role"] for turn in rows[1]["prompt"]] == ["user", "assistant", "user"]
    left = [remark.what for remark in export(acme, "preferences").left_out]
    assert left == ["a comparison without a GOOD answer", "1 OK answers: they are neither better nor worse"]


def test_annotated_pairs(spec):
    found = json.loads(export(spec, "annotated-pairs").text)
    assert found["metadata"]["version"] == "2.0" and len(found["comparisons"]) == 199
    assert len({row["id"] for row in found["comparisons"]}) == 199
    default = found["metadata"]["default_annotator"]
    sides = [row["annotations"][default]["pref"] for row in found["comparisons"]]
    assert 60 < sides.count("a") < 140  # the side is decided by a hash, not by the label
    mentioned = {id for row in found["comparisons"] for id in row["annotations"]}
    assert mentioned == set(found["annotators"])  # readers build a column per annotator
    pairs = {(good.text, bad.text) for p in spec.principles for good, bad in p.pairs()}
    for row in found["comparisons"]:
        good = row["annotations"][default]["pref"]
        bad = "b" if good == "a" else "a"
        assert (row[f"response_{good}"]["text"], row[f"response_{bad}"]["text"]) in pairs
        assert row["annotations"][row["metadata"]["principle"]]["pref"] == good


def test_retired_principles_are_left_out_and_named():
    text = "## A {#a authority=user}\nDo.\n## B {#b authority=user status=retired}\nNot.\n"
    constitution = Constitution.from_text(text)
    for to in ("system-prompt", "critiques"):
        found = export(constitution, to)
        assert "Not." not in found.text and [remark.what for remark in found.left_out] == ["'b' is retired"]


def test_what_has_nothing_to_export_is_refused():
    text = "## A {#a authority=user}\nDo.\n"
    for to in ("rubric", "preferences", "annotated-pairs"):
        with pytest.raises(ConstitutionError):
            export(Constitution.from_text(text), to)
    with pytest.raises(ConstitutionError, match="did you mean 'critiques'"):
        export(Constitution.from_text(text), "critique")
    with pytest.raises(ConstitutionError, match="no principle is active"):
        export(Constitution.from_text(text.replace("=user", "=user status=retired")), "critiques")


# -- there and back -----------------------------------------------------------


@pytest.mark.parametrize("name", ["acme.constitution.md", "model_spec.md"])
def test_critiques_come_back(name):
    first = export(Constitution.load(DATA / name), "critiques").text
    imported = import_text(first, "x.json")
    rows, again = json.loads(first), json.loads(export(imported.constitution, "critiques").text)
    assert imported.left_out == ()
    for row, other in zip(rows["constitutions"], again["constitutions"], strict=True):
        for key in ("id", "critic", "revision"):
            unescaped = other[key].replace("\\`", "`").replace("\\#", "#")
            assert unescaped == row[key]


@pytest.mark.parametrize("name", ["acme.constitution.md", "model_spec.md"])
def test_annotated_pairs_come_back(name):
    before = Constitution.load(DATA / name)
    text = export(before, "annotated-pairs").text
    after = import_text(text, name, options=ImportOptions(examples=1000)).constitution
    assert {p.id: (p.title, p.level or "user") for p in after.principles} == {
        p.id: (p.title, p.level or "user") for p in before.active
    }
    levels = [p.level for p in after.principles if before.principle(p.id).level]
    assert levels == sorted(levels, key=after.levels.index)
    pairs = {p.id: [] for p in before.principles}
    for pair in example_pairs(before).pairs:
        pairs[pair.principle.id].append((pair.good.text.strip(), pair.bad.text.strip()))
    assert {p.id: [(g.text, b.text) for g, b in p.pairs()] for p in after.principles} == pairs
    again = json.loads(export(after, "annotated-pairs").text)["comparisons"]
    assert [row["prompt"].strip() for row in again] == [
        row["prompt"].strip() for row in sorted(json.loads(text)["comparisons"], key=_by_principle(after))
    ]


def _by_principle(constitution):
    order = [principle.id for principle in constitution.principles]
    return lambda row: order.index(row["metadata"]["principle"])


def test_a_system_prompt_comes_back_as_a_plain_list():
    text = "Be brief.\nTell the truth. Say how sure you are.\n"
    first = import_text(text, "x").constitution.system_prompt()
    assert import_text(first, "x").constitution.system_prompt() == first


FOREIGN = st.text(
    alphabet=st.one_of(
        st.sampled_from(list("#`~!*[](){}<>/-: \n\t\\\"'.&|%@aB1")),
        st.characters(blacklist_categories=("Cs",), blacklist_characters="\x00\r"),
    ),
    max_size=60,
)
STRUCTURE = """# x|```yaml tests|~~~xml|!!! why|**Example**: y|](#gone)|</user>|</assistant>|</comparison>
<comparison>|<!-- GOOD -->|-->|{#a b=c}|[^ab]|---| |w"""
PIECES = st.lists(st.sampled_from([*STRUCTURE.replace("\n", "|").split("|"), "\n"]), max_size=8).map("".join)
ANY = st.one_of(FOREIGN, PIECES)
QUICK = settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@QUICK
@given(text=ANY, title=ANY, query=ANY, good=ANY, bad=ANY, section=ANY)
def test_whatever_stands_in_a_statement_it_can_be_written(text, title, query, good, bad, section):
    example = {"description": title, "user_query": query, "good_response": good, "bad_response": bad}
    row = {"id": "a", "text": f"T {text}", "authority_level": "user", "section": section}
    found = import_text(json.dumps({**row, "metadata": {"examples": [example]}}), "x", "speceval")
    [principle] = found.constitution.principles
    kept = [example for example in principle.examples if example.prompts()]
    assert len(kept) == bool(query.strip() and (good.strip() or bad.strip()))
    again = import_text(found.text, "x.constitution.md").constitution
    assert again.principles[0].to_dict() == principle.to_dict()


@QUICK
@given(questions=st.lists(ANY.filter(str.strip), min_size=1, max_size=4), trait=ANY)
def test_prompts_are_carried_over_letter_by_letter(questions, trait):
    found = import_text(json.dumps({"trait": f"I {trait}", "questions": questions}), "x", "open-character")
    [principle] = found.constitution.principles
    assert [case.prompts()[0] for case in principle.tests] == list(
        dict.fromkeys(q.strip() for q in questions)
    )


@QUICK
@given(critic=ANY.filter(str.strip), revision=ANY.filter(str.strip))
def test_requests_come_back(critic, revision):
    text = json.dumps({"constitutions": [{"critic": f"C {critic}", "revision": f"R {revision}"}]})
    first = import_text(text, "x").constitution
    second = import_text(export(first, "critiques").text, "x").constitution
    [one], [two] = critique_requests(first), critique_requests(second)
    assert (one.critic, one.revision) == (two.critic, two.revision)


def test_every_export_is_documented():
    page = (Path(__file__).parents[2] / "docs" / "constitution.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in page for name in EXPORTS)
