"""Filing a proposal: written by hand, numbered, checked against the constitution it changes."""

import pytest

from charter.constitution import Constitution
from charter.constitution.amending import propose, rebase, state_of, vote
from charter.constitution.amending.edit import front_pieces, key_pieces, sha_of
from charter.constitution.amending.proposal import draft_of, read_proposal, slug_of
from charter.errors import ConstitutionError, UserError


def test_a_draft_becomes_a_numbered_file(place, draft):
    state = propose(place, place.draft(draft), author="Ada", at="2026-01-02T03:04:05Z")
    path = place.proposals / "0001-shorter-answers.md"
    assert state.proposal.path == path and state.proposal.reasons == "Sixty words are too many on a phone."
    head = state.proposal.head
    assert (head.id, head.author, head.date, head.status) == (1, "Ada", "2026-01-02", "open")
    assert head.base == sha_of(place.house.read_text()) and set(head.replaces) == {"brief"}
    assert place.file() == "2"
    assert draft == (place.path / "draft.md").read_text()  # the draft is left alone


def test_applying_replaces_that_principle_and_nothing_else(place):
    state = state_of(place, place.file())
    new = state.proposal.applied_to(state.constitution, state.text)
    before, after = state.text.split("\n"), new.split("\n")
    gone = [line for line in before if line not in after]
    came = [line for line in after if line not in before]
    assert gone == [
        "At most 60 words.",
        "all: [{length: {min_words: 5, max_words: 60}}]",
        "```yaml provenance",
        'source: "the house"',
    ]
    assert came == ["At most 40 words.", "all: [{length: {min_words: 5, max_words: 40}}]"]
    assert [p.id for p in Constitution.from_text(new).principles] == ["honest", "brief", "prose"]


NEW = """---
title: {title}
{after}---
Because.

## Kind {{#kind authority=user}}

Is kind.
"""


@pytest.mark.parametrize(
    ("after", "order"),
    [
        ("", ["honest", "brief", "prose", "kind"]),
        ("after: {kind: honest}\n", ["honest", "kind", "brief", "prose"]),
    ],
)
def test_a_new_principle_comes_last_or_where_it_is_wanted(place, after, order):
    state = state_of(place, place.file(NEW.format(title="Kindness", after=after)))
    new = Constitution.from_text(state.proposal.applied_to(state.constitution, state.text))
    assert [p.id for p in new.principles] == order
    assert state.proposal.head.replaces == {"kind": ""}


SETTINGS = """---
title: A higher gate
---
```yaml settings
gates:
  user: {min_lower_bound: 0.9}
licence: CC0-1.0
```
"""


def test_front_matter_keys_are_replaced_where_they_stand(place):
    state = state_of(place, place.file(SETTINGS))
    new = state.proposal.applied_to(state.constitution, state.text)
    assert "levels: [root, user]  # two are enough\ngates:\n  user: {min_lower_bound: 0.9}\namend:" in new
    found = Constitution.from_text(new)
    assert found.gates.levels["user"].min_lower_bound == 0.9 and found.licence == "CC0-1.0"
    assert set(state.proposal.head.replaces) == {"--- gates", "--- licence"}


def test_pieces_of_yaml_leave_remarks_to_what_follows():
    lines = ["a: 1", "b:", "  c: 2", "", "# about d", "d: {e: 1,", "  f: 2}"]
    found = key_pieces(lines, "x", 1)
    assert {key: (piece.start, piece.end) for key, piece in found.items()} == {
        "a": (0, 1),
        "b": (1, 3),
        "d": (5, 7),
    }


def test_pieces_of_the_front_matter_need_one():
    with pytest.raises(ConstitutionError, match="no front matter"):
        front_pieces("## A {#a authority=user}\n", "x.md")


@pytest.mark.parametrize(
    ("text", "what", "where"),
    [
        ("## A {#a authority=user}\n", "begins with front matter", "draft.md:1"),
        ("---\ntitle: x\ntitel: y\n---\n## A {#a}\n", "unknown key 'titel'", "draft.md:3"),
        ("---\nauthor: y\n---\n## A {#a}\n", "missing key 'title'", "draft.md:2"),
        ("---\ntitle: x\n---\nOnly words.\n", "changes nothing", "draft.md"),
        ("---\ntitle: x\n---\n## A {#a authority=user}\n\nx\n\n# Why\n", "has no id", "draft.md:8"),
        (
            "---\ntitle: x\n---\n## A {#a authority=user}\nx\n## A {#a authority=user}\ny\n",
            "twice",
            "draft.md:6",
        ),
        ("---\ntitle: x\n---\n```yaml settings\nversion: 9.0.0\n```\n", "'version' is raised", "draft.md:5"),
        ("---\ntitle: x\n---\n```yaml settings\nname: y\n```\n", "cannot be amended", "draft.md:5"),
        ("---\ntitle: x\n---\n```yaml settings\na: [\n```\n", "bad YAML", "draft.md:5"),
        ("---\ntitle: x\nid: 4\n---\n## A {#a authority=user}\n", "has the id 4 already", "draft.md"),
        ("---\ntitle: x\n---\n## A {#a authority=usr}\nx\n", "unknown level 'usr'", "draft.md:4"),
        (
            "---\ntitle: x\n---\n## B {#brief authority=user}\n\n```yaml rules\nlenth: 3\n```\n",
            "unknown key 'lenth'",
            "draft.md:7",
        ),
        ("---\ntitle: x\n---\n## Kind {#kind}\n\nIs kind.\n", "not a principle", "draft.md"),
        (
            "---\ntitle: x\nafter: {b: honest}\n---\n## A {#a authority=user}\nx\n",
            "no new principle",
            "draft.md",
        ),
        (
            "---\ntitle: x\nafter: {a: nobody}\n---\n## A {#a authority=user}\nx\n",
            "unknown principle 'nobody'",
            "draft.md",
        ),
        (
            "---\ntitle: x\n---\n```yaml settings\ngates: {usr: {min_lower_bound: 1.0}}\n```\n",
            "usr",
            "draft.md:5",
        ),
    ],
)
def test_what_is_wrong_is_said_at_its_line(place, text, what, where):
    with pytest.raises(ConstitutionError, match=what) as error:
        propose(place, place.draft(text))
    assert error.value.where == str(place.path / where)
    assert not list(place.proposals.glob("*.md"))


def test_a_proposal_that_brings_a_lint_error_is_refused(place, draft):
    leak = draft + "\n**Example**: sky\n\n~~~xml\n<user>Why is the sky blue?</user>\n<comparison>\n"
    leak += "<assistant> <!-- GOOD --> It scatters. </assistant>\n</comparison>\n~~~\n"
    with pytest.raises(ConstitutionError, match="test-in-examples"):
        propose(place, place.draft(leak))


def test_the_same_text_changes_nothing(place):
    text = place.house.read_text()
    same = "---\ntitle: x\n---\n" + text[text.index("## Prose") :]
    with pytest.raises(ConstitutionError, match="changes nothing"):
        propose(place, place.draft(same))


def test_an_id_is_found_by_number_name_or_words_and_else_guessed(place):
    place.file()
    for id in ("1", "0001", "0001-shorter-answers", "shorter-answers", "proposals/0001-shorter-answers.md"):
        assert place.proposal(id).head.id == 1
    with pytest.raises(ConstitutionError, match="no proposal") as error:
        place.proposal("0001-shorter-answer")
    assert error.value.fix == "did you mean '0001-shorter-answers'?"
    with pytest.raises(ConstitutionError) as error:
        place.proposal("17")
    assert "0001-shorter-answers" in error.value.fix


def test_a_copied_file_does_not_pass_for_another_proposal(place):
    place.file()
    path = place.proposals / "0001-shorter-answers.md"
    (place.proposals / "0002-copy.md").write_text(path.read_text())
    with pytest.raises(ConstitutionError, match="says id 1, its name 2"):
        place.proposal("2")
    (place.proposals / "0001-copy.md").write_text(path.read_text())
    with pytest.raises(ConstitutionError, match="two proposals have the number 1"):
        place.files()


def test_several_constitutions_need_a_name(place, draft):
    (place.path / "other.constitution.md").write_text(place.house.read_text())
    with pytest.raises(ConstitutionError, match="several constitutions"):
        propose(place, place.draft(draft))
    state = propose(place, place.draft(draft), constitution="house.constitution.md")
    assert state.proposal.head.constitution == "house.constitution.md"


def test_the_fingerprint_covers_what_is_voted_on(place):
    path = place.proposal(place.file()).path
    text = path.read_text()

    def sha(old: str, new: str) -> str:
        assert old in text
        return read_proposal(path, text.replace(old, new)).sha

    same = read_proposal(path, text).sha
    for old, new in (("open", "rejected"), ("Ada", "Eve"), ("2026-01-02", "2026-01-03")):
        assert sha(old, new) == same
    for old, new in (
        ("At most 40", "At most 41"),
        ("Shorter", "Long"),
        ("phone", "watch"),
        ("brief:", "prose:"),
    ):
        assert sha(old, new) != same


def test_a_draft_leaves_provenance_to_the_record(place):
    found = Constitution.load(place.house)
    text = draft_of(found, place.house.read_text(), ["brief", "honest"])
    assert "provenance" not in text and text.index("{#brief") < text.index("{#honest")
    assert "Says nothing false." in text and "Name three teas." in text


# -- the base moved ------------------------------------------------------------


def test_a_change_elsewhere_keeps_the_votes(place):
    id = place.file()
    vote(place, id, "Ann", "yes", group="city")
    sha = place.proposal(id).sha
    place.change("Says nothing false.", "Never says anything false.")
    assert "rebase 1` keeps the votes" in state_of(place, id).stale
    state = rebase(place, id)
    assert state.stale == "" and state.proposal.sha == sha
    assert [step.step for step in state.log.steps] == ["proposed", "rebased"]


def test_a_change_of_what_is_replaced_voids_them(place):
    id = place.file()
    sha = place.proposal(id).sha
    place.change("At most 60 words.", "At most 70 words.")
    assert "(brief)" in state_of(place, id).stale and "anew" in state_of(place, id).stale
    assert rebase(place, id).proposal.sha != sha


def test_a_principle_that_someone_else_added_meanwhile_counts_as_moved(place):
    id = place.file(NEW.format(title="Kindness", after=""))
    place.house.write_text(place.house.read_text() + "\n## Kind {#kind authority=user}\n\nOtherwise.\n")
    assert "(kind)" in state_of(place, id).stale


def test_a_constitution_that_went_is_named(place):
    id = place.file()
    place.house.rename(place.path / "hous.constitution.md")
    with pytest.raises(UserError) as error:
        state_of(place, id)
    assert error.value.fix == "did you mean 'hous.constitution.md'?"


@pytest.mark.parametrize(
    ("title", "slug"),
    [("Shorter answers!", "shorter-answers"), ("\u00c4\u00d6", "proposal"), ("x" * 90, "x" * 40)],
)
def test_slugs(title, slug):
    assert slug_of(title) == slug
