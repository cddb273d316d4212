import asyncio

import pytest

from charter.constitution import Constitution
from charter.errors import ConstitutionError, DataError
from charter.feedback.rules.constitution import ConstitutionFeedback, measured, not_measured, prompt_of
from charter.feedback.rules.lint import lint_rules
from charter.types import Completion, Context, Group, Message, Sample, SampleTarget

TEXT = """
## Brief {#brief authority=user weight=2}
```yaml rules
all: [{length: {min_words: 3, max_words: 6, finished: true}}]
```
## Says it is an AI {#ai authority=user}
```yaml rules
applies_when: {prompt_tag: [identity, person]}
all: [{contains: {any_of: [AI]}}]
```
## English {#english authority=user}
```yaml rules
all: [{language: en}]
```
## Kind {#kind authority=user}
```yaml rubric
levels: {1: mocks, 5: takes seriously}
```
## Old {#old authority=user status=retired}
```yaml rules
all: [list_free]
```
"""


def group(*texts, prompt="Who are you?", finish_reason="stop", **meta):
    context = Context(prompt)
    samples = tuple(Sample(context, Completion(text, finish_reason=finish_reason)) for text in texts)
    return Group(samples, meta=meta, source="data.jsonl:7")


def verdicts(judgements):
    return {judgement.principle: (judgement.verdict, judgement.value) for judgement in judgements}


@pytest.fixture
def feedback():
    return ConstitutionFeedback(Constitution.from_text(TEXT))


def test_one_judgement_per_sample_and_active_principle(feedback):
    [judgements] = feedback.judge([group("I am an AI.", "No.", tags=["identity"])])
    assert [(j.target, j.principle) for j in judgements] == [
        (SampleTarget(sample), id) for sample in (0, 1) for id in ("brief", "ai", "english", "kind")
    ]
    assert all(j.judge == "rule" and j.reason for j in judgements)


def test_verdicts(feedback):
    [judgements] = feedback.judge([group("I am an AI.", "No.", tags=["identity"])])
    assert verdicts(judgements[:4]) == {
        "brief": ("judged", 1.0),
        "ai": ("judged", 1.0),
        "english": ("abstained", None),
        "kind": ("not_measured", None),
    }
    assert verdicts(judgements[4:]) == {
        "brief": ("judged", 0.0),
        "ai": ("judged", 0.0),
        "english": ("abstained", None),
        "kind": ("not_measured", None),
    }


def test_judgements_carry_the_principle_they_were_made_under(feedback):
    [judgements] = feedback.judge([group("I am an AI.")])
    for judgement in judgements:
        principle = feedback.constitution.principle(judgement.principle)
        assert (judgement.principle_sha, judgement.weight) == (principle.sha, principle.weight)


@pytest.mark.parametrize("meta", [{}, {"tags": []}, {"tags": ["other"]}, {"tags": None}])
def test_other_prompts_are_not_applicable(feedback, meta):
    [judgements] = feedback.judge([group("I am a person.", **meta)])
    assert verdicts(judgements)["ai"] == ("not_applicable", None)


@pytest.mark.parametrize("tags", ["identity", [1]])
def test_bad_tags_are_named_with_their_row(feedback, tags):
    with pytest.raises(DataError, match=r"data\.jsonl:7.*tags must be a list"):
        feedback.judge([group("x", tags=tags)])


def test_prompt_regex():
    rules = "applies_when: {prompt_regex: '^who'}\nall: [list_free]"
    text = f"## A {{#a authority=user}}\n```yaml rules\n{rules}\n```\n"
    feedback = ConstitutionFeedback(Constitution.from_text(text))
    [[who], [what]] = feedback.judge([group("x"), group("x", prompt="What? Who?")])
    assert (who.verdict, what.verdict) == ("judged", "not_applicable")


def test_prompt_is_the_last_user_turn():
    turns = (
        Message("system", "s"),
        Message("user", "first"),
        Message("assistant", "a"),
        Message("user", "second"),
    )
    assert prompt_of(Context(turns)) == "second"
    assert prompt_of(Context((*turns, Message("tool", "t")))) == "second"
    assert prompt_of(Context((Message("system", "s"),))) == "s"
    assert prompt_of(Context("plain")) == "plain"


def test_the_last_turn_of_a_conversation_is_judged(feedback):
    turns = Completion((Message("tool", "1 2 3 4 5 6 7 8"), Message("assistant", "I am an AI.")))
    [judgements] = feedback.judge([Group((Sample(Context("Who?"), turns),))])
    assert verdicts(judgements)["brief"] == ("judged", 1.0)


def test_a_cut_answer_is_not_finished(feedback):
    [judgements] = feedback.judge([group("I am an AI.", finish_reason="length")])
    assert verdicts(judgements)["brief"] == ("judged", 0.0)


def test_async_is_the_same(feedback):
    groups = [group("I am an AI."), group("No.", "Yes.")]
    assert asyncio.run(feedback(groups)) == feedback.judge(groups)
    assert feedback.judge([]) == []


def test_measured(feedback):
    assert [p.id for p in measured(feedback.constitution)] == ["brief", "ai", "english"]
    assert [p.id for p in not_measured(feedback.constitution)] == ["kind"]


# -- callables ----------------------------------------------------------------

CHECKS = """
calls = []
def yes(completion, prompt):
    calls.append((completion, prompt))
    return True
def no_because(completion, prompt): return False, "it is blue"
def perhaps(completion, prompt): return None
def breaks(completion, prompt): raise KeyError("colour")
def wrong(completion, prompt): return 1
def asks(completion, prompt): return prompt in completion
"""


def with_callable(directory, function, more=""):
    (directory / "checks.py").write_text(CHECKS)
    path = directory / "x.constitution.md"
    path.write_text(
        f"## A {{#a authority=user}}\n```yaml rules\nall:\n  - callable: checks.py:{function}\n{more}```\n"
    )
    return Constitution.load(path)


@pytest.mark.parametrize(
    ("function", "verdict", "value", "reason"),
    [
        ("yes", "judged", 1.0, "says yes"),
        ("no_because", "judged", 0.0, "it is blue"),
        ("perhaps", "abstained", None, "cannot tell"),
        ("breaks", "error", None, "raised KeyError: 'colour'"),
        ("wrong", "error", None, "returned 1, not bool"),
        ("asks", "judged", 1.0, "says yes"),
    ],
)
def test_callable(tmp_path, function, verdict, value, reason):
    feedback = ConstitutionFeedback(with_callable(tmp_path, function))
    [[judgement]] = feedback.judge([group("Blue? It is.", prompt="Blue?")])
    assert (judgement.verdict, judgement.value) == (verdict, value)
    assert reason in judgement.reason


def test_an_error_is_never_a_fail_even_beside_a_failing_rule(tmp_path):
    constitution = with_callable(tmp_path, "breaks", "  - length: {min_words: 99}\n")
    [[judgement]] = ConstitutionFeedback(constitution).judge([group("x")])
    assert judgement.verdict == "error"


def test_two_files_of_one_name_do_not_meet(tmp_path):
    verdicts = []
    for name, answer in (("one", "True"), ("two", "False")):
        directory = tmp_path / name
        directory.mkdir()
        with_callable(directory, "yes")
        (directory / "checks.py").write_text(f"def yes(completion, prompt): return {answer}\n")
        constitution = Constitution.load(directory / "x.constitution.md")
        [[judgement]] = ConstitutionFeedback(constitution).judge([group("x")])
        verdicts.append(judgement.value)
    assert verdicts == [1.0, 0.0]


def test_a_file_that_does_not_import_is_found_before_anything_runs(tmp_path):
    with_callable(tmp_path, "yes")
    (tmp_path / "checks.py").write_text("import no_such_module_here\ndef yes(c, p): return True\n")
    constitution = Constitution.load(tmp_path / "x.constitution.md")
    with pytest.raises(ConstitutionError, match=r"md:4: checks\.py does not import: ModuleNotFoundError"):
        ConstitutionFeedback(constitution)


def test_code_is_that_of_the_fingerprint(tmp_path):
    old = with_callable(tmp_path, "yes")
    assert ConstitutionFeedback(old).judge([group("x")])[0][0].value == 1.0
    (tmp_path / "checks.py").write_text("def yes(completion, prompt): return False\n")
    new = Constitution.load(tmp_path / "x.constitution.md")
    assert ConstitutionFeedback(new).judge([group("x")])[0][0].value == 0.0
    (tmp_path / "checks.py").write_text("def yes(completion, prompt): return None\n")
    read = Constitution.load(tmp_path / "x.constitution.md")
    (tmp_path / "checks.py").write_text("def yes(completion, prompt): return 1\n")
    with pytest.raises(ConstitutionError, match="changed after the constitution was read"):
        ConstitutionFeedback(read)


def test_a_relative_path_survives_a_change_of_directory(tmp_path, monkeypatch):
    with_callable(tmp_path, "yes")
    monkeypatch.chdir(tmp_path)
    feedback = ConstitutionFeedback(Constitution.load("x.constitution.md"))
    monkeypatch.chdir("/")
    assert feedback.judge([group("x")])[0][0].value == 1.0


def test_a_module_target(tmp_path, monkeypatch):
    (tmp_path / "my_checks_module.py").write_text("def yes(completion, prompt): return True\n")
    monkeypatch.syspath_prepend(tmp_path)
    text = "## A {#a authority=user}\n```yaml rules\nall: [{callable: 'my_checks_module:%s'}]\n```\n"
    [[judgement]] = ConstitutionFeedback(Constitution.from_text(text % "yes")).judge([group("x")])
    assert judgement.value == 1.0
    with pytest.raises(ConstitutionError, match="did you mean 'yes'"):
        ConstitutionFeedback(Constitution.from_text(text % "yess"))
    with pytest.raises(ConstitutionError, match="does not import"):
        ConstitutionFeedback(Constitution.from_text(text.replace("my_checks", "no_checks") % "yes"))


# -- lint ---------------------------------------------------------------------

EXAMPLE = """## A {{#a authority=user}}
```yaml rules
{rules}
```
**Example**: e
~~~xml
<user>Who are you?</user>
<comparison>
<assistant> <!-- GOOD --> {good} </assistant>
<assistant> <!-- OK --> - x </assistant>
<assistant> <!-- BAD --> {bad} </assistant>
</comparison>
~~~
"""


def codes(rules="all: [{contains: {any_of: [AI]}}]", good="An AI.", bad="A man.", path="x.md"):
    text = EXAMPLE.format(rules=rules, good=good, bad=bad)
    return [(f.code, f.level, f.where) for f in lint_rules(Constitution.from_text(text, path))]


def test_examples_are_unit_tests_of_their_rules():
    assert codes() == []
    assert codes(good="A woman.") == [("good-fails-rules", "error", "x.md:9")]
    assert codes(bad="An AI.") == [("bad-passes-rules", "warning", "x.md:11")]
    assert codes("all: [{language: en}]", bad="Das Wetter ist heute sehr schön.") == [
        ("rule-abstains", "warning", "x.md:9")
    ]


def test_lint_says_when_an_example_is_not_about_the_principle():
    tagged = "applies_when: {prompt_tag: identity}\nall: [{contains: {any_of: [AI]}}]"
    assert codes(tagged) == []
    other = "applies_when: {prompt_regex: weather}\nall: [{contains: {any_of: [AI]}}]"
    assert [code for code, *_ in codes(other)] == ["example-not-applicable"]


def test_lint_says_when_a_rule_breaks(tmp_path):
    (tmp_path / "checks.py").write_text(CHECKS)
    found = codes("all: [{callable: 'checks.py:breaks'}]", path=tmp_path / "x.md")
    assert [code for code, *_ in found] == ["rule-breaks", "rule-breaks"]


def test_a_bad_answer_that_breaks_another_principle_is_left_alone():
    text = EXAMPLE.format(rules="all: [list_free]", good="x", bad="y").replace("BAD", "BAD[#a]")
    assert lint_rules(Constitution.from_text(text)) == []
