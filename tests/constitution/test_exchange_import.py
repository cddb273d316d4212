"""Constitutions from other tools' files: what is carried over, what is counted, what is refused."""

import json
from pathlib import Path

import pytest

from charter.constitution import Constitution
from charter.constitution.exchange import FORMATS, ImportOptions, detect, import_file, import_text
from charter.constitution.exchange.naming import fresh_id, split_title, title_of, usable_id
from charter.constitution.lint import lint
from charter.errors import ConstitutionError

MODEL_SPEC = Path(__file__).parent / "data" / "model_spec.md"


def lines(*rows) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def told(found) -> list[str]:
    return [remark.what for remark in found.left_out]


def statement(**more):
    return {"id": "kind", "text": "Be kind.", "type": "requirement", "authority_level": "user", **more}


# -- SpecEval -----------------------------------------------------------------

EXAMPLES = {
    "examples": [
        {
            "description": "an insult",
            "user_query": "Am I dim?",
            "good_response": "No.",
            "bad_response": "Yes.",
        },
        {"description": "half", "user_query": "Am I slow?", "good_response": "No.", "bad_response": ""},
        {"description": "no question", "good_response": "No.", "bad_response": "Yes."},
    ]
}
SPECEVAL = lines(
    statement(section="Style", metadata=EXAMPLES, related_statements=["law", "gone"]),
    statement(
        id="law",
        text="Keep the law. See [kindness](#kind) and [this](#elsewhere).\n# Not a heading",
        type="Prohibition",
        authority_level="PLATFORM",
        section="Safety",
        subsection="Crime",
        note="x",
    ),
)


def test_speceval():
    found = import_text(SPECEVAL, "spec.jsonl")
    constitution = found.constitution
    assert found.format == "speceval" and found.counts["statements read"] == 2
    assert constitution.levels == ("platform", "developer", "user", "guideline")
    kind, law = constitution.principles
    assert (kind.id, kind.level, kind.type, kind.title) == ("kind", "user", "requirement", "Be kind")
    assert (law.id, law.level, law.type, law.title) == ("law", "platform", "prohibition", "Keep the law")
    assert [heading.title for heading in constitution.headings] == [
        "Style",
        "Be kind",
        "Safety",
        "Crime",
        "Keep the law",
    ]
    [(good, bad)] = kind.pairs()
    assert (good.text, bad.text, len(kind.examples)) == ("No.", "Yes.", 2)
    assert "[kindness](#kind)" in law.text and "[this](\\#elsewhere)" in law.text
    assert {link.target for link in constitution.links} == {"kind", "law"}
    assert sorted(told(found)) == [
        "example without a user_query",
        "related statement 'gone' is not in the file",
        "the example has no bad_response",
        "unknown key 'note'",
    ]
    assert [remark.where for remark in found.altered] == ["spec.jsonl:2"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('{"id": "b", "text": ', "x:2: malformed JSON at column"),
        ("[]", "x:2: expected an object"),
        (statement(type="rule"), "unknown type 'rule'"),
        (statement(id="b", authority_level="admin"), "unknown authority_level 'admin'"),
        (statement(id="b", authority_level=None), "no 'authority_level'"),
        (statement(id="b", text="  "), "'text' is empty"),
        (statement(id="b", text=5), "'text' is not a text but a number"),
        (statement(), "id 'kind' is used twice"),
        (statement(id="b", metadata=[1]), "'metadata' is not an object"),
        (statement(id="b", metadata={"examples": ["x"]}), "x:2, examples 1: expected an object"),
        (statement(id="b", text="\ud800"), "lone surrogate"),
        (statement(id="b", text="\x00"), "NUL"),
        ('{"id": "b", "id": "c"}', "key 'id' appears twice"),
        ('{"id": NaN}', "NaN is not JSON"),
    ],
)
def test_a_bad_line_is_refused_with_its_number(row, message):
    second = row if isinstance(row, str) else json.dumps(row)
    with pytest.raises(ConstitutionError) as error:
        import_text(lines(statement()) + second + "\n", "x", "speceval")
    assert message in str(error.value) and "x:2" in str(error.value)


def test_an_array_of_statements_says_the_line_too():
    text = '[\n{"id": "a", "text": "A.", "authority_level": "user"},\n{"id": "b"}\n]'
    with pytest.raises(ConstitutionError, match=r"x:3: .*'text'"):
        import_text(text, "x")
    with pytest.raises(ConstitutionError, match="x:2: expected ',' or"):
        import_text('[{"id": "a", "text": "A"}\n{"id": "b"}]', "x", "speceval")


# -- critique and revision requests -------------------------------------------


def test_hf_constitutions():
    text = json.dumps(
        {
            "constitutions": [
                {"critic": "What is cruel in it?", "revision": "Rewrite it without cruelty.", "extra": 1},
                {"critic": "Is it\n# legal?", "revision": "Make it legal."},
            ],
            "system_chat": [[{"role": "user", "content": "x"}]],
        }
    )
    found = import_text(text, "c.json")
    first, second = found.constitution.principles
    assert found.format == "hf-constitutions" and found.counts["requests read"] == 2
    assert first.title == "Rewrite it without cruelty" and first.level == "user"
    assert "What is cruel in it?" in first.text and "Rewrite it without cruelty." in first.text
    assert "\\# legal?" in second.text and len(found.altered) == 1
    assert told(found) == [
        "unknown key 'extra'",
        "1 few-shot conversations of system_chat: they are no principle",
    ]


@pytest.mark.parametrize(
    "text",
    [
        '{"constitutions": []}',
        '{"constitutions": [{"critic": "x"}]}',
        '{"constitutions": [{"critic": "x", "revision": " "}]}',
        '{"constitutions": {}}',
        '{"other": []}',
        "[]",
        '{"constitutions": [',
    ],
)
def test_bad_hf_constitutions(text):
    with pytest.raises(ConstitutionError):
        import_text(text, "x", "hf-constitutions")


# -- inverse constitutions ----------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        "1. Select the response that is brief.\n2. Select the response which names its sources.",
        ["Select the response that is brief.", "Select the response which names its sources."],
        {"0": "Select the response that is brief.", "3": "Select the response which names its sources."},
    ],
)
def test_principle_lists(value):
    found = import_text(json.dumps(value), "060_constitution.json")
    assert found.format == "principle-list" and found.constitution.name == "060_constitution"
    assert [p.title for p in found.constitution.principles] == ["Is brief", "Names its sources"]
    assert found.constitution.principles[0].text == "Select the response that is brief."


def test_a_repeated_principle_is_counted():
    found = import_text('["Be brief.", "be  brief."]', "x")
    assert told(found) == ["the same as x, entry 1"] and found.counts["entries read"] == 2


@pytest.mark.parametrize("text", ['["a", 1]', '["a", ""]', "[]", "3", '{"a": "b"} x'])
def test_bad_principle_lists(text):
    with pytest.raises(ConstitutionError):
        import_text(text, "x", "principle-list")


def pairs(**more):
    return {
        "metadata": {"version": "2.0", "default_annotator": "d"},
        "annotators": {
            "d": {"name": "preferred", "type": "human"},
            "m": {"name": "a model", "type": "ai"},
            "p1": {"description": "Select the response that is brief", "type": "principle"},
        },
        "comparisons": [
            {
                "id": f"c{number}",
                "prompt": "Q",
                "response_a": {"text": "Short."},
                "response_b": {"text": "Long, long."},
                "annotations": {"d": {"pref": reference}, "p1": {"pref": preference}},
            }
            for number, (reference, preference) in enumerate(
                [("a", "a"), ("b", "a"), ("a", None), ("b", "b")]
            )
        ],
        **more,
    }


def test_annotated_pairs():
    found = import_text(json.dumps(pairs()), "p.json")
    [principle] = found.constitution.principles
    assert found.format == "annotated-pairs" and principle.title == "Is brief"
    assert [(good.text, bad.text) for good, bad in principle.pairs()] == [
        ("Short.", "Long, long."),
        ("Short.", "Long, long."),
        ("Long, long.", "Short."),
    ]
    votes = principle.provenance.adopted_by
    assert (votes.votes_for, votes.against, votes.abstain) == (2, 1, 1)
    assert told(found) == ["1 annotators that are no principle: their votes are not kept"]


def test_no_more_examples_than_wanted_and_the_rest_is_counted():
    found = import_text(json.dumps(pairs()), "p.json", options=ImportOptions(examples=1))
    assert found.counts["examples"] == 1
    assert "2 more pairs: 1 examples per principle are kept" in told(found)
    assert found.constitution.principles[0].provenance.adopted_by.votes_for == 2


def test_annotated_pairs_of_version_1():
    row = {"id": "c", "prompt": None, "text_a": "A", "text_b": "B", "annotations": {"p1": {"pref": "text_b"}}}
    found = import_text(json.dumps(pairs(comparisons=[row])), "p.json")
    [(good, bad)] = found.constitution.principles[0].pairs()
    assert (good.text, bad.text) == ("B", "A")
    assert "the pair has no prompt: the example begins with the answers" in told(found)
    assert found.constitution.principles[0].provenance is None


@pytest.mark.parametrize(
    "more",
    [
        {"annotators": []},
        {"annotators": {"d": {"type": "human"}}},
        {"comparisons": {}},
        {"comparisons": [{"response_a": "x", "annotations": {"p1": {"pref": "a"}}}]},
        {"comparisons": [{"annotations": {"p1": {"pref": "c"}}}]},
        {"comparisons": [{"annotations": ["a"]}]},
    ],
)
def test_bad_annotated_pairs(more):
    with pytest.raises(ConstitutionError):
        import_text(json.dumps(pairs(**more)), "x", "annotated-pairs")


# -- traits -------------------------------------------------------------------


def test_open_character():
    text = lines(
        {
            "trait": "I joke. I do it often.",
            "questions": ["Hi?", "Who?", "Hi?"],
            "additional_questions": ["Y: #1"],
        },
        {"trait": "I doubt.", "questions": [], "clarification": "x"},
    )
    found = import_text(text, "humor.jsonl", options=ImportOptions(level="guideline"))
    first, second = found.constitution.principles
    assert (first.title, first.text, first.level) == ("I joke", "I do it often.", "guideline")
    assert [(case.id, case.kind, case.prompts()[0], case.config.tags) for case in first.tests] == [
        ("i_joke-1", "judge", "Hi?", ()),
        ("i_joke-2", "judge", "Who?", ()),
        ("i_joke-3", "judge", "Y: #1", ("additional",)),
    ]
    assert second.tests == () and found.counts["questions read"] == 4
    assert told(found) == ["question 'Hi?' stands there twice", "unknown key 'clarification'"]


@pytest.mark.parametrize(
    "row",
    [{"trait": ""}, {"trait": "x", "questions": "Q"}, {"trait": "x", "questions": [None]}, {"questions": []}],
)
def test_bad_traits(row):
    with pytest.raises(ConstitutionError, match="x:2"):
        import_text(lines({"trait": "ok"}, row), "x", "open-character")


# -- plain lists --------------------------------------------------------------


def test_lines():
    found = import_text(
        "\ufeffBe brief.\r\n\r\nTell the truth. Say how sure you are.\r\nBe brief\r\n", "house.txt"
    )
    assert found.format == "plain-list" and found.constitution.name == "house"
    assert [(p.id, p.title, p.text) for p in found.constitution.principles] == [
        ("be_brief", "Be brief", "Be brief."),
        ("tell_the_truth", "Tell the truth", "Say how sure you are."),
    ]
    assert told(found) == ["the same as house.txt:1"]


def test_bullets_under_headings():
    text = "Intro\n\n# Style\n* Be brief,\n  and kind.\n2) Be plain.\n## Law\n- !!! why\n- Привет\n"
    found = import_text(text, "x.md")
    assert [h.title for h in found.constitution.headings] == [
        "Style",
        "Be brief, and kind",
        "Be plain",
        "Law",
        "!!! why",
        "Привет",
    ]
    assert found.constitution.principles[0].text == "Be brief,\nand kind."
    assert found.constitution.principles[2].text == "\\!!! why"
    assert found.constitution.principles[3].id == "principle"
    assert told(found) == ["not a bullet: 'Intro'"]


# -- the Model Spec -----------------------------------------------------------


def test_model_spec_is_copied_with_front_matter():
    found = import_file(MODEL_SPEC, options=ImportOptions(name="spec", licence="CC0-1.0"))
    before = Constitution.load(MODEL_SPEC)
    assert [p.sha for p in found.constitution.principles] == [p.sha for p in before.principles]
    assert found.text.endswith(MODEL_SPEC.read_text(encoding="utf-8").rstrip() + "\n")
    assert found.constitution.name == "spec" and found.constitution.has_front_matter
    wanted = {
        "headings": 80,
        "principles": 60,
        "GOOD answers": 193,
        "BAD answers": 196,
        "internal links": 110,
    }
    assert wanted.items() <= found.counts.items()
    assert found.counts["good x bad pairs"] == 199 and found.counts["commentary notes"] == 28
    assert found.counts["principles of level root"] == 22
    assert import_text(found.text, "spec.constitution.md").text == found.text


SPEC = (
    "# Top[^topp]\n\n## A {#a authority=user}\n\nDo[^abcd] and be[^more]. See[^none].\n\n"
    "**Example**: e\n\n~~~xml\n<user>Seen?</user>\n<comparison>\n<assistant> <!-- GOOD --> x </assistant>\n"
    "</comparison>\n~~~\n\n## B {#b authority=user}\n\nBe[^last]."
)


def prompts(*conversations: str) -> str:
    return "Examples for [^x] in A:\n" + "".join(
        f"\n**Example**: t\n\n~~~xml\n{c}\n~~~\n" for c in conversations
    )


def test_prompts_beside_the_spec_become_tests(tmp_path):
    files = {
        "abcd": prompts(
            '<user>\nWhy: "x" #1?\n</user>', "<user>seen</user>", "<system>S</system><user>Q</user>"
        ),
        "more": prompts("<user>Why 2?</user>"),
        "last": prompts("<user>End?</user>", "<user>why 2</user>"),
        "topp": prompts("<user>T?</user>"),
        "zzzz": prompts("<user>Z?</user>"),
    }
    for name, text in files.items():
        (tmp_path / f"{name}.md").write_text(text)
    found = import_text(SPEC, "spec.md", options=ImportOptions(tests=str(tmp_path)))
    tests = {p.id: [(c.id, c.prompts()[0]) for c in p.tests] for p in found.constitution.principles}
    assert tests == {
        "a": [("abcd-1", 'Why: "x" #1?'), ("abcd-3", "Q"), ("more-1", "Why 2?")],
        "b": [("last-1", "End?")],
    }
    assert found.counts["footnotes"] == 5 and found.counts["footnotes without a file"] == 1
    assert found.counts["files without a footnote"] == 1 and found.counts["prompts read"] == 8
    assert sorted(told(found)) == [
        "an example or another test asks the same",
        "an example or another test asks the same",
        "no file for the footnote [^none]",
        "no footnote [^zzzz] in the text",
        "the footnote on spec.md:1 stands under no principle",
    ]
    before = Constitution.from_text(SPEC, "spec.md")
    assert [p.sha for p in before.principles] == [p.sha for p in found.constitution.principles]
    assert [f.code for f in lint(found.constitution) if f.level == "error"] == []


def test_a_folder_without_prompts(tmp_path):
    for folder in (tmp_path, tmp_path / "gone"):
        with pytest.raises(ConstitutionError, match=r"no prompt file|no such folder"):
            import_text(SPEC, "spec.md", options=ImportOptions(tests=str(folder)))
    with pytest.raises(ConstitutionError, match="belong to a Model Spec"):
        import_text("Be brief.", "x", options=ImportOptions(tests=str(tmp_path)))


def test_front_matter_is_not_overruled():
    with pytest.raises(ConstitutionError, match="front matter of its own"):
        import_text("---\nname: x\n---\n" + SPEC, "x.md", options=ImportOptions(name="y"))


# -- any format ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "format"),
    [
        ("## A {#a authority=user}\n", "model-spec"),
        ("---\nname: x\n---\n", "model-spec"),
        ("# A\n- b\n", "plain-list"),
        ("[link](x) first", "plain-list"),
        ('{"trait": "x"}\n{"trait": "y"}\n', "open-character"),
        ('[\n {"trait": "x"}\n]', "open-character"),
        ('{"id": "a", "text": "b"}\nnot json', "speceval"),
        ('{\n "constitutions": []\n}', "hf-constitutions"),
        ('{"annotators": {}, "comparisons": []}', "annotated-pairs"),
        ('"1. a"', "principle-list"),
        ('{"0": "a"}', "principle-list"),
        ('["a"]', "principle-list"),
    ],
)
def test_formats_are_told_apart(text, format):
    assert detect(text, "x") == format and format in FORMATS


@pytest.mark.parametrize("text", ["", " \n", "\ufeff", "# only\n"])
def test_nothing_to_import(text):
    with pytest.raises(ConstitutionError):
        import_text(text, "x")


def test_unknown_json_and_unknown_formats():
    for text in ('{"a": 1}', "[1]", "[]", '{"a": '):
        with pytest.raises(ConstitutionError):
            import_text(text, "x")
    with pytest.raises(ConstitutionError, match="did you mean 'speceval'"):
        import_text("x", "x", "spec-eval")


def test_names():
    assert split_title("Be brief. Always.") == ("Be brief", "Always.")
    assert split_title("Be brief.") == ("Be brief", "Be brief.")
    assert title_of("word " * 40).endswith("word\u2026") and len(title_of("w" * 400)) == 81
    assert fresh_id("Be brief!", ["be_brief"]) == "be_brief_2" and fresh_id("\u00e9", []) == "principle"
    assert usable_id("a b/c.") == "a_b_c" and usable_id("ok.id-1") == "ok.id-1" and usable_id("!") == ""
