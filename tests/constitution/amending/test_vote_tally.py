"""What passes, what does not, what is missing: exact for everybody, with intervals for a sample."""

import random
from fractions import Fraction

import pytest

from charter.constitution import Constitution
from charter.constitution.amend_rules import AmendRules, GroupRules, Required
from charter.constitution.amending import count, state_of, vote
from charter.constitution.amending.log import Log, Vote
from charter.constitution.amending.tally import NO_MEMBER, STALE, outcome, tally
from charter.errors import ConstitutionError
from charter.stats import wilson

SHA = "p"


def votes(yes: int, no: int, abstain: int = 0, group: str = "", sha: str = SHA) -> list[Vote]:
    choices = ["yes"] * yes + ["no"] * no + ["abstain"] * abstain
    return [
        Vote(who=f"{group}{number}", group=group, at="t", choice=choice, proposal=sha)
        for number, choice in enumerate(choices)
    ]


def counted(*parts: list[Vote], rules: AmendRules | None = None):
    rules = rules or AmendRules()
    return tally(Log(tuple(one for part in parts for one in part)), SHA, rules, rules.strictest([]))


def decided(yes, no, threshold, *, abstain=0, quorum=1, people=None, voters="everybody"):
    found = outcome(
        "g", votes(yes, no, abstain), Fraction(threshold), quorum=quorum, people=people, voters=voters
    )
    return found.decision, found.missing


@pytest.mark.parametrize(
    ("yes", "no", "threshold", "decision", "missing"),
    [
        (2, 1, "2/3", "pass", ""),  # exact: two of three are two thirds
        (199, 100, "2/3", "fail", "1 more yes against 100 no"),
        (3, 2, "3/5", "pass", ""),
        (1, 1, "1/2", "fail", "1 more yes against 1 no"),  # a tie is no majority
        (2, 1, "1/2", "pass", ""),
        (1, 2, "1/3", "pass", ""),
        (9, 1, "1", "fail", "every no counts: 1 person would have to change their vote"),
        (9, 0, "1", "pass", ""),
        (1, 3, "9/10", "fail", "26 more yes against 3 no"),
        (0, 0, "1/2", "undecided", "1 more vote for the quorum of 1"),
    ],
)
def test_everybody_is_counted_exactly(yes, no, threshold, decision, missing):
    assert decided(yes, no, threshold) == (decision, missing)


@pytest.mark.parametrize("threshold", ["1/3", "1/2", "3/5", "2/3", "9/10"])
def test_what_is_missing_is_just_enough(threshold):
    for yes in range(8):
        for no in range(1, 8):
            decision, missing = decided(yes, no, threshold)
            if decision == "fail":
                more = int(missing.split()[0])
                assert decided(yes + more, no, threshold)[0] == "pass"
                assert decided(yes + more - 1, no, threshold)[0] == "fail"


def test_the_quorum_counts_abstentions_and_the_share_does_not():
    assert decided(2, 0, "1/2", quorum=5) == ("undecided", "3 more votes for the quorum of 5")
    assert decided(2, 0, "1/2", abstain=3, quorum=5) == ("pass", "")
    assert decided(0, 0, "1/2", abstain=5, quorum=5) == ("undecided", "a yes or a no")
    decision, missing = decided(1, 2, "1/2", quorum=5)
    assert (
        decision == "undecided" and missing == "2 more votes for the quorum of 5 and 2 more yes against 2 no"
    )


def test_too_few_people_are_left():
    assert decided(1, 3, "1/2", people=5)[1].endswith(
        "with 1 vote left to cast: somebody would have to change theirs"
    )
    assert decided(1, 3, "1/2", people=7)[1] == "3 more yes against 3 no"


# -- groups ---------------------------------------------------------------------


def test_a_minority_is_not_outvoted_in_silence():
    found = counted(votes(90, 0, group="many"), votes(1, 4, group="few"))
    assert found.overall.decision == "pass" and found.decision == "fail"
    assert [one.group for one in found.groups] == ["few", "many"]  # the worst first
    assert found.missing == ("few: 4 more yes against 4 no",)


def test_a_declared_group_must_be_heard():
    rules = AmendRules(groups={"a": GroupRules(), "b": GroupRules(quorum=2)})
    found = counted(votes(5, 0, group="a"), rules=rules)
    assert found.decision == "undecided" and found.groups[0].group == "b"
    assert found.missing == ("b: 2 more votes for the quorum of 2",)


def test_a_group_may_ask_for_more_but_not_for_less():
    rules = AmendRules(
        every_group="3/5", groups={"a": GroupRules(threshold="9/10"), "b": GroupRules(threshold="1/3")}
    )
    found = counted(votes(8, 2, group="a"), votes(3, 2, group="b"), rules=rules)
    needed = {one.group: one.threshold for one in found.groups}
    assert needed == {"a": Fraction(9, 10), "b": Fraction(3, 5)}
    assert [one.decision for one in found.groups] == ["fail", "pass"]


def test_members_make_a_turnout_and_strangers_do_not_count():
    rules = AmendRules(groups={"a": GroupRules(members=["a0", "A1", "x", "y"])})
    found = counted(votes(2, 1, group="a"), rules=rules)  # a2, the no, is no member
    [group] = found.groups
    assert (group.cast, group.people, group.decision) == (2, 4, "pass")
    assert [(vote.who, why) for vote, why in found.left_out] == [("a2", NO_MEMBER)]
    assert found.overall.people == 4 and found.overall.cast == 2


def test_a_later_vote_replaces_the_earlier_and_stale_ones_are_named():
    first = Vote(who="Ann", at="1", choice="no", reason="hm", proposal=SHA)
    later = Vote(who="ann", at="2", choice="yes", proposal=SHA)
    found = counted([first], votes(1, 0, sha="older"), [later])
    assert (found.overall.yes, found.overall.no, found.replaced) == (1, 0, 1)
    assert [why for _, why in found.left_out] == [STALE]
    assert found.dissent == ()  # she changed her mind


def test_a_stale_vote_does_not_bring_back_the_one_before():
    current = Vote(who="Ann", at="1", choice="yes", proposal=SHA)
    stale = Vote(who="Ann", at="2", choice="no", proposal="other")
    found = counted([current, stale])
    assert found.overall.cast == 0 and len(found.left_out) == 1


# -- samples --------------------------------------------------------------------


def test_a_sample_has_an_interval_that_must_clear_the_threshold():
    for yes, no in ((60, 40), (54, 46), (20, 80), (0, 0)):
        lo, hi = wilson(yes, yes + no)
        decision, _ = decided(yes, no, "1/2", voters="sample")
        assert decision == ("pass" if lo >= 0.5 else "fail" if hi < 0.5 else "undecided")
    found = counted(votes(54, 46), rules=AmendRules(voters="sample"))
    assert found.overall.interval == wilson(54, 100) and "more votes at this rate" in found.missing[0]


def test_samples_of_a_planted_rate_seldom_pass_what_they_should_not():
    """A population exactly at the threshold: the lower bound passes it in about 2.5% of samples."""
    draw = random.Random(0)
    passed = sum(
        decided(yes := sum(draw.random() < 0.6 for _ in range(150)), 150 - yes, "3/5", voters="sample")[0]
        == "pass"
        for _ in range(250)
    )
    assert 0 < passed / 250 < 0.06


def test_a_sampled_group_makes_the_whole_a_sample():
    rules = AmendRules(groups={"a": GroupRules(voters="sample"), "b": GroupRules()})
    found = counted(votes(30, 0, group="a"), votes(3, 0, group="b"), rules=rules)
    said = {one.group: one.voters for one in found.outcomes}
    assert said == {"a": "sample", "b": "everybody", "": "sample"}
    assert [one.interval is None for one in sorted(found.groups, key=lambda one: one.group)] == [False, True]


# -- the rules ------------------------------------------------------------------


def test_a_bar_for_a_level_holds_for_the_levels_above_it():
    rules = AmendRules(by_level={"system": "3/4", "user": {"quorum": 7}}, hard="9/10")
    levels = ("root", "system", "user", "guideline")

    def required(level: str, hard: bool = False) -> tuple[str, int]:
        found = rules.strictest(rules.bars_of(level, hard, levels))
        return found.threshold, found.quorum

    assert required("guideline") == ("1/2", 1)
    assert required("user") == ("1/2", 7)
    assert required("system") == ("3/4", 7) == required("root")
    assert required("guideline", hard=True) == ("9/10", 1)
    assert required("") == ("1/2", 1)


RULES = "amend:\n  every_group: 1/2\n  groups: {city: {}, coast: {}}\n"


@pytest.mark.parametrize(
    ("written", "what", "line"),
    [
        ("amend: {treshold: 0.6}\n", "unknown key 'amend.treshold'; did you mean 'threshold'", 7),
        ("amend: {threshold: 1.2}\n", "at 1 at most", 7),
        ("amend:\n  every_group: 0\n", "above 0", 8),
        ("amend: {threshold: half}\n", "no share", 7),
        ("amend: {quorum: 0}\n", "greater than or equal to 1", 7),
        ("amend: {voters: some}\n", "sample", 7),
        ("amend: {by_level: {usr: 0.9}}\n", "unknown level 'usr'", 7),
        ("amend: {by_level: {user: {quorom: 3}}}\n", "unknown key", 7),
        ("amend: {hard: {threshold: 2/0}}\n", "no share", 7),
        ("amend: {groups: {a: {members: [x], size: 3}}}\n", "not both", 7),
        ("amend: {groups: {a: {members: [x, X]}}}\n", "listed twice", 7),
        ("amend: {groups: {a: {members: [x]}, b: {members: [X]}}}\n", "member of 'a' and of 'b'", 7),
        ("amend: {groups: {' ': {}}}\n", "needs a name", 7),
    ],
)
def test_wrong_rules_are_named_at_their_line(place, written, what, line):
    text = place.house.read_text().replace(RULES, written)
    with pytest.raises(ConstitutionError, match=what) as error:
        Constitution.from_text(text, "x.md")
    assert error.value.where == f"x.md:{line}"


def test_rules_are_part_of_the_document_and_not_of_its_principles(place):
    text = place.house.read_text()
    with_rules = Constitution.from_text(text)
    other = Constitution.from_text(text.replace("every_group: 1/2", "every_group: 2/3"))
    without = Constitution.from_text(text.replace(RULES, ""))
    assert len({with_rules.sha, other.sha, without.sha}) == 3
    shas = [[p.sha for p in one.principles] for one in (with_rules, other, without)]
    assert shas[0] == shas[1] == shas[2]
    explicit = Constitution.from_text(text.replace(RULES, "amend: {}\n"))
    assert explicit.sha == without.sha


RAISED = """---
title: A harder word
---
## Brief {#brief authority=LEVEL}

At most 40 words.

```yaml rules
all: [{length: {min_words: 5}}]
```
"""


@pytest.mark.parametrize(
    ("draft", "threshold"),
    [
        (RAISED.replace("LEVEL", "user"), "1/2"),
        (RAISED.replace("LEVEL", "root"), "3/4"),  # where it would go counts as well
        (RAISED.replace("LEVEL", "user hard=true"), "9/10"),
        ("---\ntitle: x\n---\n## Never lies {#honest authority=user}\n\nMostly.\n", "9/10"),  # where it was
        (
            "---\ntitle: x\n---\n```yaml settings\namend: {threshold: 1/3}\n```\n",
            "9/10",
        ),  # the rules themselves
    ],
)
def test_what_applies_to_a_proposal(place, draft, threshold):
    place.change("  every_group: 1/2\n", "  by_level: {root: 3/4}\n  hard: 9/10\n")
    assert count(state_of(place, place.file(draft))).required.threshold == threshold


def test_required_is_plain_values():
    assert Required(threshold="1/2", quorum=3, every_group="2/3").model_dump(mode="json") == {
        "threshold": "1/2",
        "quorum": 3,
        "every_group": "2/3",
    }


def test_a_changed_proposal_makes_votes_stale_and_says_so(place):
    id = place.file()
    vote(place, id, "Ann", "yes", group="city")
    vote(place, id, "Bo", "yes", group="coast")
    assert count(state_of(place, id)).decision == "pass"
    path = place.proposal(id).path
    path.write_text(path.read_text().replace("At most 40", "At most 10"))
    found = count(state_of(place, id))
    assert found.decision == "undecided" and [why for _, why in found.left_out] == [STALE, STALE]
    vote(place, id, "Ann", "no", group="city")
    assert count(state_of(place, id)).overall.no == 1
