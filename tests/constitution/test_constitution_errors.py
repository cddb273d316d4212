"""Every mistake is found when the file is read, and named with its line."""

import pytest

from charter.constitution import Constitution
from charter.errors import ConstitutionError

HEAD = "---\nconstitution: 1\nname: x\n---\n"
P = "## A {#a authority=user}\nDo.\n"


def rules(body):
    return f"{P}```yaml rules\n{body}\n```\n"


def cases(body):
    return f"{P}```yaml tests\n{body}\n```\n"


def example(body):
    return f"{P}**Example**: e\n~~~xml\n{body}\n~~~\n"


CASES = {
    "empty file": ("  \n", None, "the file is empty"),
    "no principle": ("# Title\nText.\n", None, "no principle found"),
    "duplicate id": (P + "## B {#a authority=user}\n", 3, "id 'a' is already used on line 1"),
    "dangling link": (P + "See [b](#bb).\n## B {#b authority=user}\n", 3, "link to 'bb'"),
    "dangling link in a note": (P + '!!! why "Reason"\n    See [b](#c).\n', 4, "link to 'c'"),
    "dangling BAD[#id]": (
        example("<comparison>\n<assistant> <!-- BAD[#zz] --> x </assistant>\n</comparison>"),
        6,
        "link to 'zz'",
    ),
    "unknown level": ("## A {#a authority=usr}\n", 1, "did you mean 'user'"),
    "attributes without a level": ("## B {#b weight=2}\n" + P, 1, "no authority"),
    "unknown attribute": ("## A {#a autority=user}\n", 1, "did you mean 'authority'"),
    "bad weight": ("## A {#a authority=user weight=heavy}\n", 1, "weight"),
    "weight of zero": ("## A {#a authority=user weight=0}\n", 1, "greater than 0"),
    "bad hard": ("## A {#a authority=user hard=yes}\n", 1, "hard"),
    "bad type": ("## A {#a authority=user type=law}\n", 1, "type"),
    "attributes without an id": ("## A {authority=user}\n", 1, "no id"),
    "bad id": ("## A {#a/b authority=user}\n", 1, "bad id 'a/b'"),
    "attribute twice": ("## A {#a authority=user authority=root}\n", 1, "bad heading attribute"),
    "unclosed fence": (P + "```yaml rules\nall: []\n", 3, "never closed"),
    "unclosed front matter": ("---\nname: x\n", 1, "front matter is not closed"),
    "unknown front matter key": ("---\nname: x\nlevel: [a]\n---\n" + P, 3, "did you mean 'levels'"),
    "bad front matter YAML": ("---\nname: x\nlevels: [a\n---\n" + P, 3, "bad YAML"),
    "front matter key twice": ("---\nname: x\nname: y\n---\n" + P, 3, "appears twice"),
    "no name": ("---\nconstitution: 1\n---\n" + P, 2, "missing key 'name'"),
    "later format": ("---\nconstitution: 2\nname: x\n---\n" + P, 2, "constitution"),
    "bad version": ("---\nname: x\nversion: one\n---\n" + P, 3, "version"),
    "level twice": ("---\nname: x\nlevels: [user, user]\n---\n" + P, 3, "appears twice"),
    "gate of an unknown level": (
        "---\nname: x\ngates:\n  usr: {min_lower_bound: 0.9}\n---\n" + P,
        4,
        "unknown level 'usr'",
    ),
    "unknown key in a gate": ("---\nname: x\ngates:\n  user: {min: 0.9}\n---\n" + P, 4, "min"),
    "override of an unknown level": (
        "---\nname: x\noverride: {usr: never}\n---\n" + P,
        3,
        "did you mean 'user'",
    ),
    "pass_at off the scale": ("---\nname: x\njudge: {scale: 5, pass_at: 6}\n---\n" + P, 3, "above the scale"),
    "unknown block": (P + "```yaml ruls\nall: []\n```\n", 3, "did you mean 'rules'"),
    "two blocks": (
        rules("all: [list_free]") + "```yaml rules\nall: [list_free]\n```\n",
        6,
        "second `yaml rules`",
    ),
    "block before a heading": ("```yaml rules\nall: []\n```\n" + P, 1, "before the first heading"),
    "block without an id": ("## A\n```yaml rules\nall: []\n```\n" + P, 2, "without an id"),
    "unknown note": (P + '!!! whY "Reason"\n    x\n', 3, "unknown note"),
    "bad YAML in a fence": (rules("all:\n  - length: {min_words: 1"), 5, "bad YAML"),
    "rules: not a mapping": (rules("- length: {min_words: 1}"), 4, "expected `key: value`"),
    "rules: nothing": (rules("applies_when: {prompt_tag: x}"), 4, "names no rule"),
    "rules: rule outside a list": (rules("length: {min_words: 1}"), 4, "unknown key 'length'"),
    "rules: unknown rule": (
        rules("all:\n  - list_free\n  - lenght: {min_words: 1}"),
        6,
        "did you mean 'length'",
    ),
    "rules: unknown argument": (rules("all:\n  - length: {min_word: 1}"), 5, "did you mean 'min_words'"),
    "rules: wrong type": (rules("all:\n  - length: {min_words: few}"), 5, "min_words"),
    "rules: two in one item": (rules("all:\n  - list_free:\n    profanity:"), 5, "one rule per item"),
    "rules: empty list": (rules("all: []"), 4, "lists no rules"),
    "rules: length without a bound": (rules("all:\n  - length: {}"), 5, "at least one bound"),
    "rules: crossed bounds": (rules("all: [{length: {min_words: 9, max_words: 3}}]"), 4, "nothing can pass"),
    "rules: bad regex": (rules("all:\n  - not: {regex: '(a'}"), 5, "bad regular expression"),
    "rules: bad prompt regex": (
        rules("applies_when:\n  prompt_regex: '['\nall: [list_free]"),
        5,
        "bad regular expression",
    ),
    "rules: applies_when says nothing": (rules("applies_when: {}\nall: [list_free]"), 4, "prompt_tag or"),
    "rules: contains nothing": (rules("all: [{contains: {}}]"), 4, "any_of, all_of or none_of"),
    "rules: unknown language": (rules("all: [{language: english}]"), 4, "unknown language"),
    "rules: metric that needs a download": (
        rules("all: [{readability: {metric: flesch_reading_ease, min: 50}}]"),
        4,
        "need a download",
    ),
    "rules: callable without a file": (rules("all: [{callable: 'no/such.py:f'}]"), 4, "cannot read"),
    "rules: callable without a function": (rules("all: [{callable: checks}]"), 4, "target"),
    "rubric: unknown key": (P + "```yaml rubric\nlevel: {1: x}\n```\n", 4, "did you mean 'levels'"),
    "rubric: off the scale": (P + "```yaml rubric\nlevels:\n  1: a\n  7: b\n```\n", 6, "scale 1 to 5"),
    "rubric: no levels": (P + "```yaml rubric\nnot_a_violation: x\n```\n", 4, "names no levels"),
    "tests: unknown kind": (
        cases("- {id: a, kind: judge, prompt: p}\n- {id: b, kind: juge, prompt: p}"),
        5,
        "judge",
    ),
    "tests: no kind": (cases("- {id: a, prompt: p}"), 4, "no kind"),
    "tests: missing key": (cases("- {id: a, kind: flip, prompt: p, push: [x]}"), 4, "missing key 'expect'"),
    "tests: not a list": (cases("id: a"), 4, "expected a list"),
    "tests: id twice": (
        cases("- {id: a, kind: judge, prompt: p}\n- {id: a, kind: judge, prompt: q}"),
        5,
        "used twice",
    ),
    "tests: conflict with nobody": (
        cases("- {id: a, kind: conflict, with: zz, prompt: p, expect_winner: a}"),
        4,
        "unknown principle 'zz'",
    ),
    "tests: a third wins": (
        cases("- {id: a, kind: conflict, with: b, prompt: p, expect_winner: c}")
        + "## B {#b authority=user}\n",
        4,
        "expects 'c'",
    ),
    "tests: rule test without rules": (cases("- {id: a, kind: rule, prompt: p}"), 4, "has no rules"),
    "tests: bad rules of a test": (
        cases("- id: a\n  kind: rule\n  prompt: p\n  rules:\n    all: [{lengh: {min_words: 2}}]"),
        8,
        "did you mean 'length'",
    ),
    "tests: shares": (
        cases("- {id: a, kind: distribution, prompt: p, options: [x, y], target: {x: 0.5, y: 0.4}}"),
        4,
        "sum to 0.9",
    ),
    "example: no block": (P + "**Example**: e\n\nText.\n", 3, "without a conversation"),
    "example: unclosed tag": (example("<user>Hi"), 5, "never closed"),
    "example: stray close": (example("</user>"), 5, "closes nothing"),
    "example: stray text": (example("<user>Hi</user>\nHello there"), 6, "text outside a message"),
    "example: no label": (
        example("<comparison>\n<assistant>x</assistant>\n</comparison>"),
        6,
        "answer has no label",
    ),
    "example: user in a comparison": (
        example("<comparison><user>x</user></comparison>"),
        5,
        "inside a comparison",
    ),
    "example: empty comparison": (example("<comparison></comparison>"), 5, "without answers"),
}


@pytest.mark.parametrize("name", CASES)
def test_error_names_file_line_and_cause(name):
    text, line, message = CASES[name]
    with pytest.raises(ConstitutionError) as caught:
        Constitution.from_text(text, "dir/x.constitution.md")
    where = "dir/x.constitution.md" + (f":{line}" if line else "")
    assert caught.value.where == where, str(caught.value)
    assert message in str(caught.value)
    assert caught.value.exit_code == 2


def test_front_matter_shifts_lines():
    with pytest.raises(ConstitutionError) as caught:
        Constitution.from_text(HEAD + rules("all: [lenght]"), "x.md")
    assert caught.value.where == "x.md:8"


def test_missing_file(tmp_path):
    with pytest.raises(ConstitutionError, match="no such file"):
        Constitution.load(tmp_path / "none.md")


def test_not_utf8(tmp_path):
    path = tmp_path / "x.md"
    path.write_bytes(b"## A {#a authority=user}\n\xff")
    with pytest.raises(ConstitutionError, match="not UTF-8"):
        Constitution.load(path)


def test_callable_file_is_checked_without_being_run(tmp_path):
    (tmp_path / "checks.py").write_text("raise SystemExit('ran')\ndef polite(c, p): return True\n")
    path = tmp_path / "x.md"
    path.write_text(rules("all: [{callable: 'checks.py:polit'}]"))
    with pytest.raises(ConstitutionError, match="did you mean 'polite'"):
        Constitution.load(path)
    path.write_text(rules("all: [{callable: 'checks.py:polite'}]"))
    assert Constitution.load(path).principle("a").rules is not None
    (tmp_path / "checks.py").write_text("def polite(:\n")
    with pytest.raises(ConstitutionError, match="not valid Python"):
        Constitution.load(path)
