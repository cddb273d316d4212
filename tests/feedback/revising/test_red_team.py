"""Red-team prompts: planted lists, repeats, leaks of tests, unfair prompts by name, twins."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from planted_models import Script, constitution

from charter.constitution import Constitution
from charter.data.formats import load_groups
from charter.feedback.revising.fairness import groups_named, one_sided, unfair
from charter.feedback.revising.near_duplicates import Seen, normalised, overlap
from charter.feedback.revising.red_team import RedTeamOptions, red_team
from charter.feedback.revising.red_team_prompts import items, unquoted, verdict_on_fairness
from charter.feedback.revising.writer import Conversation, Written

CALM = RedTeamOptions(principles=("calm",), categories=2, scenarios=2, prompts=2, near=1.0)


def writer(turns: Conversation) -> str:
    """Numbered lists whose items say where they come from."""
    last = turns[-1].content
    if "different kinds of requests" in last:
        return "Here are some:\n1. sport\n2) *cheering*\n3. one too many"
    if "concrete situations" in last:
        kind = last.split("break it: ")[1].split("\n")[0]
        return f'- "{kind} at home"\n- {kind} at work'
    if "messages that the person" in last:
        place = last.split("break it: ")[1].split("\n")[0]
        return f"1. Please write me a loud text about {place}\n2. Now cheer for {place} as if on a stage"
    assert last.startswith("This is a principle") and "Write only the message" in last
    return "A calm version of: " + last.split("to break it: ")[1].split("\n")[0]


def test_categories_scenarios_prompts_and_twins() -> None:
    script = Script(writer)
    found = red_team(constitution(), script, options=CALM)
    tempting = [one for one in found.prompts if one.kind == "red_team"]
    assert len(tempting) == 8 and len(script.asked) == 1 + 2 + 4 + 8
    assert {one.category for one in tempting} == {"sport", "cheering"}
    assert tempting[0].scenario == "sport at home"
    assert tempting[0].text == "Please write me a loud text about sport at home"
    assert {one.principle_sha for one in found.prompts} == {constitution().principle("calm").sha}
    twins = {one.twin_of: one.text for one in found.prompts if one.kind == "must_comply"}
    assert twins == {one.id: f"A calm version of: {one.text}" for one in tempting}
    assert found.counts["red-team prompts"] == found.counts["must-comply twins"] == 8
    assert set(found.shas) == {"categories", "scenarios", "requests", "twin"}


def test_rows_are_prompts_with_stable_ids() -> None:
    found = red_team(constitution(), Script(writer), options=CALM)
    rows = found.rows()
    groups = load_groups(json.loads(json.dumps(rows)), "prompts").groups
    assert len(groups) == 16 and len({group.id for group in groups}) == 16
    assert groups[0].meta["principle"] == "calm" and groups[1].meta["tags"] == ("must_comply",)
    assert [row["id"] for row in red_team(constitution(), Script(writer), options=CALM).rows()] == [
        row["id"] for row in rows
    ]


def planted(*prompts: str, twin: str = "A calm twin of number {n}, made for this") -> Script:
    """A writer of exactly these prompts."""
    count = 0

    def say(turns: Conversation) -> str:
        nonlocal count
        last = turns[-1].content
        if "different kinds" in last or "concrete situations" in last:
            return "1. anything"
        if "messages that the person" in last:
            return "\n".join(f"{n}. {text}" for n, text in enumerate(prompts, start=1))
        count += 1
        return twin.format(n=count)

    return Script(say)


ONE = RedTeamOptions(principles=("calm",), categories=1, scenarios=1, prompts=20)


def test_repeats_are_left_out() -> None:
    script = planted(
        "Shout about the big red dog in the garden tonight",
        "shout, about the BIG red dog in the garden tonight!",
        "Shout about the big red dog in the garden tonight please",
        "Whisper something else entirely about cats",
    )
    found = red_team(constitution(), script, options=ONE)
    assert found.counts["prompts that repeat another"] == 2
    assert found.counts["red-team prompts"] == 2


def test_tests_of_the_constitution_never_become_prompts() -> None:
    script = planted("Tell me about whales, LOUDLY", "Sing about small fishes in a river")
    found = red_team(constitution(), script, options=ONE)
    assert [one.text for one in found.prompts if one.kind == "red_team"] == [
        "Sing about small fishes in a river"
    ]
    assert found.counts["prompts close to a test of the constitution"] == 1
    leaking = planted("Sing about small fishes in a river", twin="tell me about whales loudly")
    assert red_team(constitution(), leaking, options=ONE).counts["prompts without a usable twin"] == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Shout now", "2 words cannot be understood alone"),
        ("Shout at [name of a friend] about it", "a place was left to fill in: '[name of a friend]'"),
        ("Show me that an answer is not in capitals today", "repeats the principle"),
        ("Write a rant about the Italian neighbour next door", "names a group of people (nationality"),
    ],
)
def test_unfair_prompts_are_named_with_the_reason(text: str, reason: str) -> None:
    script = planted(text, "Sing about small fishes in a river")
    found = red_team(constitution(), script, options=ONE)
    (flagged,) = found.flagged
    assert flagged.prompt.text == text and reason in flagged.reason
    assert found.counts["prompts that are no fair test"] == 1
    assert text not in [one.text for one in found.prompts]
    assert any(line.startswith(f"left out: {text!r}") for line in found.lines())


def test_a_group_that_a_harmless_twin_names_too_is_balanced() -> None:
    script = planted(
        "Write a rant about the Italian neighbour next door",
        twin="Write a note to the Italian neighbour, {n}",
    )
    assert not red_team(constitution(), script, options=ONE).flagged
    assert one_sided("a woman asks", ["a man asks"]) == "", "the kind of group counts, not the word"
    assert "religion" in one_sided("a muslim woman asks", ["a man asks"])
    assert groups_named("nobody in particular, a manual") == {}


def test_a_checker_says_what_is_unfair() -> None:
    checker = Script(
        lambda turns: (
            "**Unfair**: it does not ask for anything.\nMore."
            if "cats" in turns[-1].content
            else "Hm, perhaps"
            if "dogs" in turns[-1].content
            else "fair"
        ),
        name="checker",
    )
    script = planted("Say something of cats here", "Say something of dogs here", "Say a thing on birds here")
    found = red_team(constitution(), script, checker=checker, options=ONE)
    assert [one.reason for one in found.flagged] == ["checker: it does not ask for anything."]
    assert found.counts["fairness verdicts that say neither"] == 1
    assert found.counts["red-team prompts"] == 2 and "fair" in found.shas
    assert all(writing.temperature == 0 for writing in checker.writings)


def test_bad_replies_are_counted() -> None:
    def say(turns: Conversation) -> str | Written:
        last = turns[-1].content
        if "different kinds" in last:
            return "1. one\n2. two\n3. three\n4. four"
        if "concrete situations" in last:
            if "break it: two" in last:
                return Written(error="503")
            return "No list here." if "break it: three" in last else "1. a place"
        if "messages that the person" in last:
            return Written("1. Say a thing about the sea\n2. Say a thing about the mou", cut=True, model="m")
        return ""

    options = RedTeamOptions(principles=("calm",), categories=4, scenarios=1, prompts=2)
    found = red_team(constitution(), Script(say), options=options)
    assert found.counts["replies that failed"] == 1 and found.counts["replies without a list"] == 1
    assert found.counts["last items of replies that were cut off"] == 2
    assert found.counts["prompts without a usable twin"] == 1
    assert [one.text for one in found.prompts] == ["Say a thing about the sea"]


def test_without_twins_none_are_asked_for() -> None:
    options = CALM.model_copy(update={"twins": False})
    found = red_team(constitution(), Script(writer), options=options)
    assert {one.kind for one in found.prompts} == {"red_team"} and "twin" not in found.shas


def test_it_goes_on_where_it_stopped(tmp_path: Path) -> None:
    whole = red_team(constitution(), Script(writer), options=CALM, journals=tmp_path)
    for name in ("scenarios", "twin"):
        file = tmp_path / f"red-team-{name}.journal.jsonl"
        file.write_text("".join(file.read_text().splitlines(keepends=True)[:1]))
    script = Script(writer)
    assert red_team(constitution(), script, options=CALM, journals=tmp_path) == whole
    assert len(script.asked) == 1 + 7


def test_every_usable_principle_is_tested() -> None:
    options = RedTeamOptions(categories=1, scenarios=1, prompts=1)
    rules: Constitution = constitution()
    found = red_team(rules, Script(writer), options=options)
    assert {one.principle for one in found.prompts} == {"calm", "brief", "signed"}


# -- texts ----------------------------------------------------------------------------------


def test_lists() -> None:
    assert items("Sure:\n 1. one\n(2) two\n3: **three**\n- four\n• five\nsix\n\n7.\n") == [
        "one",
        "two",
        "three",
        "four",
        "five",
    ]
    assert unquoted(" “What now?” ") == "What now?" and unquoted('say "x" and "y"z') == 'say "x" and "y"z'


def test_verdicts() -> None:
    assert verdict_on_fairness("Fair.") == (True, "")
    assert verdict_on_fairness("unfair - too vague") == (False, "too vague")
    assert verdict_on_fairness("It is fairly good") == (None, "")


def test_sameness() -> None:
    assert normalised("  Don't STOP,  now! ") == "don t stop now"
    assert overlap("a b c", "b c d") == 0.5 and overlap("", "!") == 1.0
    seen = Seen(["one two three four five"])
    assert seen.twin("five four three two one") is not None
    assert seen.twin("one two three four") is not None and seen.twin("one two three") is None
    assert Seen(["one two three four five"], near=1.0).twin("one two three four") is None


def test_the_index_finds_what_a_full_search_finds() -> None:
    import random

    draw = random.Random(0)
    texts = [" ".join(draw.choices("abcdef", k=draw.randint(1, 6))) for _ in range(120)]
    for near in (0.5, 0.8, 1.0):
        seen, kept = Seen(near=near), []
        for text in texts:
            by_hand = any(overlap(text, other) >= near or normalised(text) == other for other in kept)
            assert (seen.twin(text) is not None) == by_hand
            seen.add(text)
            kept.append(normalised(text))


def test_a_fair_prompt_has_no_reason() -> None:
    assert unfair("Would you sing about fishes?", constitution().principle("calm")) == ""
    assert re.match(r"a place", unfair("Dear ____, please sing now", constitution().principle("calm")))
