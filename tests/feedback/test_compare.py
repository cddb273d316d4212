"""Comparisons from judged groups: planted cases, and what must hold for any case."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.errors import ConfigError, DataError
from charter.feedback.pairs.compare import OUTCOMES, QUOTA_PER_PROMPT, Comparisons, compare, to_rows
from charter.types import Completion, Context, Group, Judgement, Message, PairTarget, Sample, SampleTarget

Verdicts = Mapping[str, float | None]
"""Value by principle; None = the judge abstained."""


def words(count: int, name: str) -> str:
    """A text of ``count`` words that no other name gives."""
    return " ".join([name] * count)


def group(group_id: str, *samples: tuple[str, Verdicts], **meta: object) -> Group:
    """A group with one context and the given texts and verdicts."""
    context = Context((Message("user", f"question {group_id}"),))
    judgements = [
        Judgement(
            SampleTarget(index),
            value=value,
            verdict="abstained" if value is None else "judged",
            principle=principle,
            principle_sha=f"sha-{principle}",
            judge="rule",
        )
        for index, (_, verdicts) in enumerate(samples)
        for principle, value in verdicts.items()
    ]
    made = tuple(Sample(context, Completion(text)) for text, _ in samples)
    return Group(made, tuple(judgements), group_id, "planted", meta)


def texts(comparisons: Comparisons) -> list[tuple[str, str]]:
    """(better, worse) of every pair."""
    return [(one.samples[0].completion.text, one.samples[1].completion.text) for one in comparisons.groups]


# ---------------------------------------------------------------- planted


def test_best_meets_worst() -> None:
    planted = group(
        "p1",
        ("middle", {"brief": 1.0, "plain": 0.0}),
        ("worst", {"brief": 0.0, "plain": 0.0}),
        ("best", {"brief": 1.0, "plain": 1.0}),
        tags=["science"],
        prompt_id="t001",
    )
    made = compare([planted])
    assert texts(made) == [("best", "worst")]
    [pair] = made.groups
    [judgement] = pair.judgements
    assert judgement.target == PairTarget(0, 1)
    assert judgement.value == 1.0 and judgement.principle == "" and judgement.judge == "rule"
    assert pair.id == "p1#1" and pair.source == "planted"
    assert pair.meta["principles"] == ["brief", "plain"]
    assert pair.meta["principle_shas"] == ["sha-brief", "sha-plain"]
    assert pair.meta["tags"] == ["science"] and pair.meta["prompt_id"] == "t001"
    assert made.counts.per_principle == {"brief": 1, "plain": 1}
    assert made.counts.outcomes["complete"] == made.counts.prompts == made.counts.pairs == 1


def test_only_what_better_does_better_is_named() -> None:
    planted = group("p", ("a", {"x": 1.0, "y": 1.0, "z": 0.0}), ("b", {"x": 0.0, "y": 0.0, "z": 1.0}))
    [pair] = compare([planted]).groups
    assert pair.meta["principles"] == ["x", "y"]


def test_a_weight_turns_the_ranking() -> None:
    planted = group("p", ("a", {"x": 1.0, "y": 1.0, "z": 0.0}), ("b", {"x": 0.0, "y": 0.0, "z": 1.0}))
    assert texts(compare([planted])) == [("a", "b")]
    assert texts(compare([planted], weights={"z": 3.0})) == [("b", "a")]
    weighted = compare([planted], weights={"z": 3.0}).groups[0].judgements[0].value
    assert weighted == pytest.approx(3 / 5 - 2 / 5)


def test_the_weight_of_a_judgement_counts_unless_another_is_given() -> None:
    planted = group("p", ("a", {"x": 1.0, "y": 1.0, "z": 0.0}), ("b", {"x": 0.0, "y": 0.0, "z": 1.0}))
    heavy = [replace(one, weight=3.0) if one.principle == "z" else one for one in planted.judgements]
    planted = replace(planted, judgements=tuple(heavy))
    assert texts(compare([planted])) == [("b", "a")]
    assert texts(compare([planted], weights={"z": 1.0})) == [("a", "b")]
    assert compare([planted], weights={"x": 0.0, "y": 0.0, "z": 0.0}).counts.unscored == 2


def test_several_judges_of_one_principle_are_averaged() -> None:
    planted = group("p", ("a", {"x": 1.0}), ("b", {"x": 0.9}))
    planted = planted.with_judgements(Judgement(SampleTarget(0), value=0.0, principle="x", judge="other"))
    [pair] = compare([planted]).groups
    assert pair.samples[0].completion.text == "b"
    assert pair.judgements[0].value == pytest.approx(0.4)
    assert pair.judgements[0].judge == "other+rule"


def test_a_missing_verdict_is_not_a_zero() -> None:
    planted = group("p", ("a", {"x": 1.0, "y": None}), ("b", {"x": 1.0, "y": 0.0}), ("c", {"x": None}))
    made = compare([planted])
    assert texts(made) == [("a", "b")]
    assert made.groups[0].meta["principles"] == []  # nothing on which both were judged
    assert made.counts.missing == {"abstained": 2}
    assert made.counts.unscored == 1


def test_further_pairs_share_no_sample() -> None:
    planted = group("p", *((f"s{n}", {"x": n / 10}) for n in range(5)))
    assert texts(compare([planted], pairs_per_prompt=2)) == [("s4", "s0"), ("s3", "s1")]
    made = compare([planted], pairs_per_prompt=3)
    assert len(made.groups) == 2 and made.counts.outcomes["too_few"] == 1
    assert [one.id for one in made.groups] == ["p#1", "p#2"]


@pytest.mark.parametrize(
    ("samples", "options", "outcome"),
    [
        ([("a", {"x": 1.0}), ("b", {"x": 1.0})], {}, "tied"),
        ([("a", {"x": 1.0}), ("a", {"x": 0.0})], {}, "equal_text"),
        ([("a", {"x": 1.0}), ("b", {"x": 0.9})], {"min_margin": 0.2}, "below_margin"),
        ([("a", {"x": 1.0})], {}, "too_few"),
        ([("a", {"x": 1.0}), ("b", {"x": None})], {}, "too_few"),
        ([("a", {"x": 1.0}), ("b", {"x": 0.0})], {"min_chosen_words": 2}, "ineligible"),
        ([("a", {"x": 1.0}), ("b b", {"x": 0.0})], {"min_chosen_words": 2}, "ineligible"),
    ],
)
def test_a_prompt_without_a_pair_is_counted(
    samples: list[tuple[str, Verdicts]], options: dict[str, float], outcome: str
) -> None:
    made = compare([group("p", *samples)], **options)  # type: ignore[arg-type]
    assert made.groups == ()
    assert made.counts.outcomes == {one: int(one == outcome) for one in OUTCOMES}
    assert made.counts.prompts_without_pair == 1


def test_a_margin_that_is_reached_is_enough() -> None:
    planted = group("p", ("a", {"x": 1.0}), ("b", {"x": 0.8}))
    assert len(compare([planted], min_margin=0.2).groups) == 1


def test_too_short_a_sample_may_lose_but_not_win() -> None:
    planted = group("p", ("short", {"x": 1.0}), ("long enough", {"x": 0.5}), ("bad and long", {"x": 0.0}))
    assert texts(compare([planted], min_chosen_words=2)) == [("long enough", "bad and long")]
    planted = group("p", ("short", {"x": 0.0}), ("long enough", {"x": 0.5}))
    assert texts(compare([planted], min_chosen_words=2)) == [("long enough", "short")]


def test_a_sample_cut_off_may_lose_but_not_win_when_asked() -> None:
    planted = group("p", ("cut off", {"x": 1.0}), ("whole", {"x": 0.5}), ("cut too", {"x": 0.0}))
    cut = [
        replace(one, completion=replace(one.completion, finish_reason="length"))
        if one.completion.text.startswith("cut")
        else one
        for one in planted.samples
    ]
    planted = replace(planted, samples=tuple(cut))
    assert texts(compare([planted])) == [("cut off", "cut too")]
    made = compare([planted], finished_only=True)
    assert texts(made) == [("whole", "cut too")]
    assert to_rows(made)[0]["finish_reasons"] == ["given", "length"]
    assert compare([planted], finished_only=True, quota={"x": 3}).counts.quota_pairs == 0


def test_moderate_length_avoids_the_shortest_of_the_best() -> None:
    best = [(words(count, name), {"x": 1.0}) for count, name in ((8, "short"), (30, "middle"), (58, "long"))]
    planted = group("p", *best, (words(70, "bad"), {"x": 0.0}))
    for seed in range(5):
        [pair] = compare([planted], seed=seed).groups
        assert pair.samples[0].completion.text == words(30, "middle")


def test_of_two_best_the_nearer_to_the_usual_length_wins() -> None:
    best = [(words(count, name), {"x": 1.0}) for count, name in ((8, "short"), (50, "long"))]
    planted = group("p", *best, *((words(60, f"bad{n}"), {"x": 0.0}) for n in range(3)))
    [pair] = compare([planted]).groups
    assert pair.samples[0].completion.text == words(50, "long")


def test_a_random_tie_break_depends_on_the_seed_only() -> None:
    planted = group("p", *((f"best {n}", {"x": 1.0}) for n in range(6)), ("bad", {"x": 0.0}))
    chosen = {texts(compare([planted], tie_break="random", seed=seed))[0][0] for seed in range(30)}
    assert len(chosen) > 3
    first, again = (compare([planted], tie_break="random", seed=3) for _ in range(2))
    assert texts(first) == texts(again)


# ---------------------------------------------------------------- quotas


def identity(group_id: str) -> Group:
    """Two samples admit being an AI; the overall best and worst do not differ on it."""
    return group(
        group_id,
        (f"{group_id} brief, silent", {"brief": 1.0, "plain": 1.0, "ai": 0.0}),
        (f"{group_id} long, silent", {"brief": 0.0, "plain": 0.0, "ai": 0.0}),
        (f"{group_id} brief, honest", {"brief": 1.0, "plain": 0.0, "ai": 1.0}),
        (f"{group_id} long, honest", {"brief": 0.0, "plain": 0.0, "ai": 1.0}),
    )


def test_a_quota_makes_pairs_for_a_rare_principle() -> None:
    groups = [identity("a"), identity("b"), group("c", ("good", {"brief": 1.0}), ("bad", {"brief": 0.0}))]
    plain, made = compare(groups), compare(groups, quota={"ai": 4})
    assert made.counts.overall_pairs == plain.counts.pairs == 3
    assert made.counts.quota["ai"].met and made.counts.quota_pairs == made.counts.quota["ai"].made == 4
    own = [one for one in made.groups if one.judgements[0].principle == "ai"]
    assert Counter(one.meta["prompt_id"] for one in own) == {"a": 2, "b": 2}  # spread over both
    for one in own:
        assert one.judgements[0].value == 1.0 and one.judgements[0].principle_sha == "sha-ai"
        assert "honest" in one.samples[0].completion.text
        assert "silent" in one.samples[1].completion.text
    assert [one.id for one in made.groups] == ["a#1", "a#2", "a#3", "b#1", "b#2", "b#3", "c#1"]


def test_the_first_quota_pair_is_the_cleanest() -> None:
    planted = group(
        "p",
        ("honest", {"ai": 1.0, "brief": 1.0, "plain": 1.0}),
        ("worst", {"ai": 0.0, "brief": 0.0, "plain": 0.0}),
        ("only silent", {"ai": 0.0, "brief": 1.0, "plain": 1.0}),
    )
    overall, own = compare([planted], quota={"ai": 1}).groups
    assert overall.samples[1].completion.text == "worst"
    assert own.samples[1].completion.text == "only silent"
    assert own.meta["principles"] == ["ai"]


def test_a_quota_that_cannot_be_met_is_counted() -> None:
    made = compare([identity("a")], quota={"ai": 50})
    count = made.counts.quota["ai"]
    assert count.wanted == 50 and 0 < count.made <= QUOTA_PER_PROMPT and not count.met
    never = compare([group("p", ("a", {"ai": 0.0}), ("b", {"ai": 0.0}))], quota={"ai": 1})
    assert never.counts.quota["ai"].made == 0
    assert made.counts.to_dict()["quota"] == {"ai": {"wanted": 50, "made": count.made}}


def test_a_quota_pair_never_repeats_an_overall_pair() -> None:
    planted = group("p", ("a", {"ai": 1.0}), ("b", {"ai": 0.0}))
    made = compare([planted], quota={"ai": 3})
    assert texts(made) == [("a", "b")]
    assert made.counts.quota["ai"].made == 0


def test_slack_lets_better_score_a_little_lower() -> None:
    planted = group(
        "p",
        ("honest", {"ai": 1.0, "brief": 0.0, "plain": 0.0}),
        ("silent", {"ai": 0.0, "brief": 1.0, "plain": 1.0}),
        ("worst", {"ai": 0.0, "brief": 0.0, "plain": 0.0}),
    )
    assert texts(compare([planted], quota={"ai": 2})) == [("silent", "worst"), ("honest", "worst")]
    made = compare([planted], quota={"ai": 2}, quota_slack=0.34)
    assert ("honest", "silent") in texts(made)
    # A quota never says the opposite of an overall pair.
    made = compare(
        [replace(planted, samples=planted.samples[:2], judgements=planted.judgements[:6])],
        quota={"ai": 2},
        quota_slack=1.0,
    )
    assert texts(made) == [("silent", "honest")]


def test_a_quota_respects_the_floor() -> None:
    planted = group("p", ("honest", {"ai": 1.0}), ("quite silent", {"ai": 0.0}), ("so dull", {"ai": 0.0}))
    assert compare([planted], quota={"ai": 2}, min_chosen_words=2).counts.quota_pairs == 0


# ---------------------------------------------------------------- rows


def test_rows_are_conversations() -> None:
    [row] = to_rows(compare([group("p", ("yes", {"x": 1.0}), ("no", {"x": 0.0}), tags=["science"])]))
    assert row == {
        "id": "p#1",
        "prompt": [{"role": "user", "content": "question p"}],
        "chosen": [{"role": "assistant", "content": "yes"}],
        "rejected": [{"role": "assistant", "content": "no"}],
        "principle": "",
        "principles": ["x"],
        "principle_shas": ["sha-x"],
        "margin": 1.0,
        "weight": 1.0,
        "tags": ["science"],
        "finish_reasons": ["given", "given"],
    }


def test_rows_of_plain_text_stay_text() -> None:
    made = compare([group("p", ("yes", {"x": 1.0}), ("no", {"x": 0.0}))])
    context = Context("a text")
    pair = made.groups[0]
    pair = replace(pair, samples=tuple(replace(sample, context=context) for sample in pair.samples))
    [row] = to_rows(replace(made, groups=(pair,)))
    assert (row["prompt"], row["chosen"], row["rejected"]) == ("a text", "yes", "no")


def test_rows_of_turns_keep_the_turns() -> None:
    made = compare([group("p", ("yes", {"x": 1.0}), ("no", {"x": 0.0}))])
    pair = made.groups[0]
    turns = (Message("assistant", "well"), Message("user", "so?"), Message("assistant", "yes"))
    better = replace(pair.samples[0], completion=Completion(turns))
    [row] = to_rows(replace(made, groups=(replace(pair, samples=(better, pair.samples[1])),)))
    assert [message["role"] for message in row["chosen"]] == ["assistant", "user", "assistant"]


def test_rows_refuse_two_prompts() -> None:
    made = compare([group("p", ("yes", {"x": 1.0}), ("no", {"x": 0.0}))])
    pair = made.groups[0]
    other = replace(pair.samples[1], context=Context((Message("user", "another question"),)))
    broken = replace(made, groups=(replace(pair, samples=(pair.samples[0], other)),))
    with pytest.raises(DataError, match="different prompts"):
        to_rows(broken)


# ---------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": {"brif": 2.0}}, "brief"),
        ({"quota": {"brif": 2}}, "brief"),
        ({"quota": {"": 2}}, "nobody judged"),
        ({"weights": {"brief": -1.0}}, "at least 0"),
        ({"weights": {"brief": float("nan")}}, "at least 0"),
        ({"quota": {"brief": 0}}, "at least 1"),
        ({"pairs_per_prompt": 0}, "pairs_per_prompt"),
        ({"min_margin": -0.1}, "min_margin"),
        ({"min_chosen_words": -1}, "min_chosen_words"),
        ({"quota_slack": -1.0}, "quota_slack"),
        ({"tie_break": "randm"}, "random"),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, object], message: str) -> None:
    planted = group("p", ("a", {"brief": 1.0}), ("b", {"brief": 0.0}))
    with pytest.raises(ConfigError, match=message):
        compare([planted], **options)  # type: ignore[arg-type]


def test_ids_must_be_there_and_differ() -> None:
    planted = group("p", ("a", {"x": 1.0}), ("b", {"x": 0.0}))
    with pytest.raises(DataError, match="used 2 times"):
        compare([planted, planted])
    with pytest.raises(DataError, match="no id"):
        compare([replace(planted, id="")])


@pytest.mark.parametrize(
    "judgement",
    [Judgement(SampleTarget(2), value=1.0), Judgement(SampleTarget(0), value=float("nan"))],
)
def test_a_judgement_must_fit_its_group(judgement: Judgement) -> None:
    planted = group("p", ("a", {"x": 1.0}), ("b", {"x": 0.0})).with_judgements(judgement)
    with pytest.raises(DataError, match="bad judgement"):
        compare([planted])


def test_other_targets_are_ignored_and_counted() -> None:
    planted = group("p", ("a", {"x": 1.0}), ("b", {"x": 0.0}))
    planted = planted.with_judgements(Judgement(PairTarget(1, 0), value=1.0))
    made = compare([planted])
    assert texts(made) == [("a", "b")] and made.counts.ignored == 1


def test_no_groups_give_no_pairs() -> None:
    made = compare([], quota={"ai": 3})
    assert made.groups == () and not made.counts.quota["ai"].met


# ---------------------------------------------------------------- properties

PRINCIPLES = ("ai", "brief", "plain")


@st.composite
def judged_groups(draw: st.DrawFn) -> list[Group]:
    value = st.sampled_from([0.0, 1.0, 0.5, None])
    sample = st.tuples(
        st.text("ab ", min_size=0, max_size=6),
        st.dictionaries(st.sampled_from(PRINCIPLES), value, max_size=3),
    )
    many = draw(st.lists(st.lists(sample, min_size=0, max_size=6), min_size=1, max_size=4))
    anchor = ("anchor", dict.fromkeys(PRINCIPLES, 0.5))  # so that every principle has been judged
    return [group(f"g{n}", *samples, anchor) for n, samples in enumerate(many)]


OPTIONS = st.fixed_dictionaries(
    {
        "weights": st.dictionaries(st.sampled_from(PRINCIPLES), st.sampled_from([0.5, 1.0, 3.0])),
        "quota": st.dictionaries(st.sampled_from(PRINCIPLES), st.integers(1, 5)),
        "pairs_per_prompt": st.integers(1, 3),
        "min_margin": st.sampled_from([0.0, 0.3]),
        "min_chosen_words": st.integers(0, 2),
        "tie_break": st.sampled_from(["moderate_length", "random"]),
        "seed": st.integers(0, 3),
    }
)


@given(judged_groups(), OPTIONS)
def test_better_is_never_worse(groups: list[Group], options: dict[str, object]) -> None:
    for one in compare(groups, **options).groups:  # type: ignore[arg-type]
        better, worse = one.meta["scores"]
        [judgement] = one.judgements
        assert judgement.value is not None and judgement.value > 0
        assert better >= worse
        if judgement.principle:
            assert judgement.principle in one.meta["principles"]
        else:
            assert better - worse >= max(options["min_margin"], 1e-9) - 1e-9  # type: ignore[call-overload]
        chosen, rejected = (sample.completion.text for sample in one.samples)
        assert chosen != rejected
        assert len(chosen.split()) >= options["min_chosen_words"]  # type: ignore[operator]


@given(judged_groups(), OPTIONS)
def test_every_count_adds_up(groups: list[Group], options: dict[str, object]) -> None:
    made = compare(groups, **options)  # type: ignore[arg-type]
    counts = made.counts
    assert counts.prompts == len(groups) == sum(counts.outcomes.values())
    assert counts.pairs == len(made.groups) == counts.overall_pairs + counts.quota_pairs
    assert counts.quota_pairs == sum(one.made for one in counts.quota.values())
    own = Counter(one.judgements[0].principle for one in made.groups)
    for principle, count in counts.quota.items():
        assert count.made == own[principle] <= count.wanted
    for principle in PRINCIPLES:
        carried = sum(principle in one.meta["principles"] for one in made.groups)
        assert counts.per_principle[principle] == carried
    per_prompt = Counter(one.meta["prompt_id"] for one in made.groups)
    assert counts.prompts_without_pair == len(groups) - len(per_prompt)
    per_quota = Counter(
        (one.meta["prompt_id"], one.judgements[0].principle)
        for one in made.groups
        if one.judgements[0].principle
    )
    assert max(per_quota.values(), default=0) <= QUOTA_PER_PROMPT
    overall = Counter(one.meta["prompt_id"] for one in made.groups if not one.judgements[0].principle)
    assert max(overall.values(), default=0) <= options["pairs_per_prompt"]  # type: ignore[operator]
    complete = sum(count == options["pairs_per_prompt"] for count in overall.values())
    assert counts.outcomes["complete"] == complete


@given(judged_groups(), OPTIONS, st.randoms(use_true_random=False))
def test_the_order_of_samples_decides_nothing(
    groups: list[Group], options: dict[str, object], shuffler: random.Random
) -> None:
    shuffled = [_shuffle(one, shuffler) for one in groups]
    assert texts(compare(groups, **options)) == texts(compare(shuffled, **options))  # type: ignore[arg-type]


def _shuffle(one: Group, shuffler: random.Random) -> Group:
    order = list(range(len(one.samples)))
    shuffler.shuffle(order)
    judgements = []
    for judgement in one.judgements:
        assert isinstance(judgement.target, SampleTarget)
        judgements.append(replace(judgement, target=SampleTarget(order.index(judgement.target.sample))))
    return replace(one, samples=tuple(one.samples[old] for old in order), judgements=tuple(judgements))
