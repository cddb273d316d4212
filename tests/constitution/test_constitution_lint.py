import pytest

from charter.constitution import Constitution
from charter.constitution.lint import lint

EXAMPLE = (
    "**Example**: e\n~~~xml\n<user>What is ice?</user>\n<comparison>\n"
    "<assistant> <!-- GOOD --> Frozen water. </assistant>\n<assistant> <!-- BAD --> Ice. </assistant>\n"
    "</comparison>\n~~~\n"
)
RUBRIC = "```yaml rubric\nlevels: {1: names nothing, 5: names the substance}\n```\n"
TESTS = "```yaml tests\n- {id: t, kind: must_comply, prompt: 'Why?'}\n```\n"


def text(title="A", id="a", attributes="authority=user", says="Names the substance.", blocks=RUBRIC + TESTS):
    return f"## {title} {{#{id} {attributes}}}\n{says}\n{EXAMPLE}{blocks}"


def found(body):
    return {
        (f.code, f.principle): f for f in lint(Constitution.from_text("---\nname: x\n---\n" + body, "x.md"))
    }


def rules(body, **options):
    return text(blocks=f"```yaml rules\n{body}\n```\n{TESTS}", **options)


def test_clean():
    assert found(text()) == {}


def test_no_front_matter():
    [finding] = lint(Constitution.from_text(text(), "x.md"))
    assert (finding.code, finding.where, finding.level) == ("no-front-matter", "x.md:1", "warning")


def test_nothing_but_a_heading():
    codes = {code for code, _ in found("## A {#a authority=user}\n")}
    assert codes == {"no-statement", "no-good-example", "no-bad-example", "no-test", "not-measurable"}


def test_no_level():
    assert ("no-level", "a") in found("## A {#a}\nDo.\n" + EXAMPLE)


def test_no_must_comply():
    body = text(blocks=RUBRIC + "```yaml tests\n- {id: t, kind: must_refuse, prompt: 'Why?'}\n```\n")
    assert set(found(body)) == {("no-must-comply", "a")}


@pytest.mark.parametrize(
    ("body", "finds"),
    [
        ("all: [{length: {max_words: 50}}]", True),
        ("all: [{length: {first_sentence_max_words: 9}}]", True),
        ("all: [{length: {max_words: 50, min_words: 5}}]", False),
        ("all: [{length: {max_words: 50}}, {length: {min_chars: 5}}]", False),
        ("all: [{length: {finished: true}}]", False),
        ("all: [{not: {length: {min_words: 51}}}]", True),
        ("all: [{not: {length: {max_words: 5}}}]", False),
        ("all: [{length: {max_words: 50}}, {not: {length: {max_words: 5}}}]", False),
    ],
)
def test_length_without_a_floor(body, finds):
    said = found(rules(body))
    assert (("no-length-floor", "a") in said) is finds
    assert all(finding.where == "x.md:15" for finding in said.values())


@pytest.mark.parametrize(
    ("says", "finds"),
    [
        ("Answers as appropriate.", "'appropriate'"),
        ("Gives a good answer, etc.", "'etc', 'good answer'"),
        ("Acts in good faith and finds goods.", None),
        ("An inappropriate joke is told.", None),
    ],
)
def test_vague_wording_of_an_unmeasured_principle(says, finds):
    finding = found(text(says=says, blocks=TESTS)).get(("vague-wording", "a"))
    assert (finding is not None) == (finds is not None)
    if finding:
        assert finding.message.endswith(f": {finds}")


def test_vague_wording_is_fine_where_rules_decide_but_not_in_a_rubric():
    assert ("vague-wording", "a") not in found(rules("all: [list_free]", says="Be appropriate."))
    assert ("vague-wording", "a") not in found(text(says="Be appropriate."))
    rubric = "```yaml rubric\nlevels: {1: not suitable, 5: suitable}\n```\n"
    assert ("vague-wording", "a") in found(text(blocks=rubric + TESTS))


def test_titles():
    both = text(title="Tell the whole truth") + text(title="tell the whole truth!", id="b")
    assert "the same title" in found(both)[("duplicate-title", "b")].message
    near = text(title="Tell the whole truth") + text(title="Tell them the whole truth", id="b")
    assert "nearly the title" in found(near)[("duplicate-title", "b")].message
    assert found(text(title="Tell the truth") + text(title="Do not swear", id="b")) == {}


def test_retired_id_in_another_spelling():
    body = text(id="style.brief", attributes="authority=user status=retired") + text(
        title="B", id="Style_brief"
    )
    finding = found(body)[("retired-id-reused", "Style_brief")]
    assert finding.level == "error"


def test_retired_principles_are_not_linted_themselves():
    assert found(text() + "## B {#b authority=user status=retired}\n") == {}


def test_conflict_tests():
    conflict = (
        "```yaml tests\n- {id: t, kind: must_comply, prompt: 'Why?'}\n"
        "- {id: c, kind: conflict, with: b, prompt: 'How?', expect_winner: a}\n```\n"
    )
    low = text(blocks=RUBRIC + conflict)
    assert ("conflict-against-levels", "a") in found(
        low + text(title="Bee", id="b", attributes="authority=root")
    )
    assert found(low + text(title="Bee", id="b")) == {}
    retired = text(title="Bee", id="b", attributes="authority=user status=retired")
    assert found(low + retired)[("conflict-with-retired", "a")].level == "error"


def test_a_test_prompt_must_not_be_an_example():
    leak = "```yaml tests\n- {id: t, kind: must_comply, prompt: 'what is  ICE'}\n```\n"
    finding = found(text(blocks=RUBRIC + leak))[("test-in-examples", "a")]
    assert (finding.level, finding.where) == ("error", "x.md:18")
    other = found(text(blocks=RUBRIC + leak.replace("id: t", "id: u")) + text(title="Bee", id="b"))
    assert ("test-in-examples", "a") in other


def test_findings_come_in_the_order_of_the_file():
    body = text(blocks=TESTS) + text(title="Bee", id="b", blocks=RUBRIC)
    lines = [int(f.where.rpartition(":")[2]) for f in lint(Constitution.from_text(body, "x.md"))]
    assert lines == sorted(lines) and len(lines) > 2
