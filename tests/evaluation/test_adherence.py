from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charter.errors import DataError, UserError
from charter.evaluation.rates.adherence import Criteria, Gate, PrincipleInfo, adherence
from charter.stats import holm, mcnemar_exact, newcombe_paired, wilson
from charter.types import Completion, Context, Group, Judgement, PairTarget, Sample, SampleTarget

A = PrincipleInfo("a", "Be brief", "user", "sha-a")
B = PrincipleInfo("b", "Be direct", "root", "sha-b")

Mark = str
"""1 pass, 0 fail, n not applicable, x abstained, e error, m not measured, - nothing said."""


def judgement(principle: str, mark: Mark, sample: int = 0) -> Judgement:
    verdicts = {"n": "not_applicable", "x": "abstained", "e": "error", "m": "not_measured"}
    target = SampleTarget(sample)
    if mark in "01":
        return Judgement(target, value=float(mark), principle=principle, principle_sha=f"sha-{principle}")
    return Judgement(target, verdict=verdicts[mark], principle=principle, reason="no judge configured")  # type: ignore[arg-type]


def groups(marks: Mapping[str, Sequence[str]]) -> list[Group]:
    """One group per entry; an entry holds one mark per sample."""
    made = []
    for number in range(len(next(iter(marks.values())))):
        k = max(len(column[number]) for column in marks.values())
        sample = Sample(Context(f"prompt {number}"), Completion("answer"))
        judgements = [
            judgement(name, mark, index)
            for name, column in marks.items()
            for index, mark in enumerate(column[number])
            if mark != "-"
        ]
        made.append(Group((sample,) * k, tuple(judgements), id=f"h{number}"))
    return made


def flips(n11: int, n10: int, n01: int, n00: int) -> tuple[list[str], list[str]]:
    before = ["1"] * (n11 + n10) + ["0"] * (n01 + n00)
    after = ["1"] * n11 + ["0"] * n10 + ["1"] * n01 + ["0"] * n00
    return before, after


def test_a_rise_is_measured_tested_and_claimed() -> None:
    before, after = flips(20, 3, 25, 52)
    card = adherence(groups({"a": after}), [A], before=groups({"a": before}))
    row = card.principles[0]
    assert row.before and row.after and row.change
    assert (row.before.k, row.before.n, row.before.rate) == (23, 100, 0.23)
    assert (row.before.lo, row.before.hi) == wilson(23, 100)
    assert row.after.k == 45
    assert row.change.diff == pytest.approx(0.22)
    assert (row.change.lo, row.change.hi) == newcombe_paired(20, 3, 25, 52)
    assert row.change.p == row.change.p_holm == mcnemar_exact(3, 25)
    assert (row.change.test, row.change.up, row.change.down) == ("mcnemar", 25, 3)
    assert row.status == "rose"
    assert "25 prompts went up, 3 went down" in row.why
    assert card.overall.change == row.change  # one principle: the whole is the part
    assert card.overall.status == "rose"


def test_holm_runs_over_every_measured_principle() -> None:
    one, two = flips(10, 2, 12, 76), flips(30, 4, 14, 52)
    card = adherence(groups({"a": one[1], "b": two[1]}), [A, B], before=groups({"a": one[0], "b": two[0]}))
    ps = [mcnemar_exact(2, 12), mcnemar_exact(4, 14)]
    changes = [row.change for row in card.principles if row.change]
    assert [change.p for change in changes] == ps
    assert [change.p_holm for change in changes] == holm(ps)


def test_correction_decides_claims_but_not_falls() -> None:
    """p of 0.039 (1 against 8): not enough for one of two claims, enough for a fall."""
    up, flat = flips(20, 1, 8, 31), flips(30, 4, 4, 22)
    rise = adherence(groups({"a": up[1], "b": flat[1]}), [A, B], before=groups({"a": up[0], "b": flat[0]}))
    assert rise.principles[0].change and rise.principles[0].change.p < 0.05 < rise.principles[0].change.p_holm
    assert rise.principles[0].status == "kept"
    assert "corrected" in rise.principles[0].why
    assert rise.principles[0].more
    assert f"about {rise.principles[0].more} more prompts would decide" in rise.principles[0].why
    fall = adherence(groups({"a": up[0], "b": flat[1]}), [A, B], before=groups({"a": up[1], "b": flat[0]}))
    assert fall.principles[0].status == "fell"


def test_few_prompts_and_ceilings_are_kept_not_claimed() -> None:
    few = flips(0, 0, 39, 0)
    card = adherence(groups({"a": few[1]}), [A], before=groups({"a": few[0]}))
    assert card.principles[0].change and card.principles[0].change.p < 1e-6
    assert card.principles[0].status == "kept"
    assert "39 judged held-out prompts; a claim needs 40" in card.principles[0].why
    high = flips(185, 0, 15, 0)
    card = adherence(groups({"a": high[1]}), [A], before=groups({"a": high[0]}))
    assert card.principles[0].status == "kept"
    assert "ceiling" in card.principles[0].why
    lower = adherence(
        groups({"a": high[1]}), [A], before=groups({"a": high[0]}), criteria=Criteria(ceiling=0.95)
    )
    assert lower.principles[0].status == "rose"


def test_falls_count_without_any_bar() -> None:
    few = flips(2, 8, 0, 0)
    card = adherence(groups({"a": few[1]}), [A], before=groups({"a": few[0]}))
    assert card.principles[0].n_prompts == 10
    assert card.principles[0].status == "fell"


def test_missing_is_missing_never_zero() -> None:
    before = ["1", "0", "x", "1", "n", "1"]
    after = ["1", "1", "1", "e", "n", "m"]
    card = adherence(groups({"a": after}), [A], before=groups({"a": before}))
    row = card.principles[0]
    assert row.n_prompts == 2
    assert row.applicable == 5
    assert row.before and row.after
    assert (row.before.k, row.before.n, row.after.k, row.after.n) == (1, 2, 2, 2)
    assert row.missing_before == {"abstained": 1, "error": 0, "not_measured": 0}
    assert row.missing_after == {"abstained": 0, "error": 1, "not_measured": 1}
    assert card.overall.n_prompts == 2
    assert card.overall.left_out == {"a verdict is missing": 3, "no principle applies": 1}


def test_not_measured_principles_are_listed_and_do_not_drag_the_rest() -> None:
    before, after = flips(10, 1, 40, 9)
    unjudged, silent = ["m"] * 60, ["-"] * 60
    c = PrincipleInfo("c", "Be kind", "root", "sha-c")
    card = adherence(
        groups({"a": after, "b": unjudged, "c": silent}),
        [A, B, c],
        before=groups({"a": before, "b": unjudged, "c": silent}),
    )
    assert [row.status for row in card.principles] == ["rose", "not_measured", "not_measured"]
    assert [row.why for row in card.not_measured] == ["No judge configured.", "No judge spoke on it."]
    assert card.not_measured[0].after is None
    assert card.overall.n_prompts == 60
    assert card.overall.after and card.overall.after.k == 50


def test_overall_needs_every_applicable_principle() -> None:
    card = adherence(groups({"a": ["1", "1", "0", "1", "n"], "b": ["1", "0", "1", "n", "n"]}), [A, B])
    overall = card.overall
    assert overall.after and (overall.after.k, overall.after.n) == (2, 4)
    assert overall.left_out == {"no principle applies": 1}
    assert overall.fraction and overall.fraction.after.rate == pytest.approx((1 + 0.5 + 0.5 + 1) / 4)
    assert overall.fraction.after.k is None


def test_weights_count_in_the_fraction_only() -> None:
    heavy = PrincipleInfo("b", "Be direct", "root", "sha-b", weight=3.0)
    card = adherence(groups({"a": ["1", "1"], "b": ["0", "1"]}), [A, heavy])
    assert card.overall.fraction and card.overall.fraction.after.rate == pytest.approx((0.25 + 1) / 2)
    assert card.overall.after and card.overall.after.rate == 0.5


def test_a_principle_dodged_by_one_model_does_not_move_the_bar() -> None:
    """Base fails b, aligned makes b not applicable: that is no success of the aligned model."""
    card = adherence(groups({"a": ["1"], "b": ["n"]}), [A, B], before=groups({"a": ["1"], "b": ["0"]}))
    assert card.overall.change and card.overall.change.diff == 0.0
    assert card.overall.left_out == {}
    alone = adherence(groups({"b": ["n"]}), [B], before=groups({"b": ["0"]}))
    assert alone.overall.n_prompts == 0
    assert card.principles[1].status == "not_measured"
    assert card.principles[1].applicable == 1


def test_one_model_alone() -> None:
    card = adherence(groups({"a": ["1"] * 30 + ["0"] * 10}), [A])
    row = card.principles[0]
    assert row.status == card.overall.status == "measured"
    assert row.before is None and row.change is None and row.missing_before is None
    assert row.after and (row.after.lo, row.after.hi) == wilson(30, 40)


def test_several_samples_per_prompt_are_clustered() -> None:
    before = ["1000", "0000", "1100", "0000"] * 12
    after = ["1110", "0011", "1111", "1000"] * 12
    card = adherence(groups({"a": after}), [A], before=groups({"a": before}))
    row = card.principles[0]
    assert row.before and row.after and row.change
    assert (row.before.k, row.before.n) == (36, 192)
    assert row.after.rate == pytest.approx(10 / 16)
    assert row.change.test == "permutation"
    assert row.change.up == 48
    assert row.status == "rose"
    naive = wilson(120, 192)
    assert row.after.hi - row.after.lo > 1.1 * (naive.hi - naive.lo)
    again = adherence(groups({"a": after}), [A], before=groups({"a": before}))
    assert again.to_json() == card.to_json()


def test_samples_without_spread_still_get_an_interval() -> None:
    card = adherence(groups({"a": ["11"] * 50}), [A], before=groups({"a": ["10"] * 50}))
    row = card.principles[0]
    assert row.after and row.before and row.change
    assert (row.after.lo, row.after.hi) == wilson(50, 50)
    assert row.before.lo < 0.5 < row.before.hi
    assert row.change.lo < 0.5 < row.change.hi


def test_gates() -> None:
    marks = {"a": ["1"] * 95 + ["0"] * 5, "b": ["1"] * 80 + ["0"] * 20}

    def decide(*gates: Gate) -> tuple[list[str], int]:
        card = adherence(groups(marks), [A, B], gates=gates)
        return [gate.result for gate in card.gates], card.exit_code

    assert decide() == ([], 0)
    assert decide(Gate("user", 0.85)) == (["pass"], 0)
    assert decide(Gate("user", 0.85), Gate("root", 0.9)) == (["pass", "fail"], 1)
    assert decide(Gate("user", 0.85), Gate("root", 0.75)) == (["pass", "undecided"], 6)
    undecided = adherence(groups(marks), [A, B], gates=[Gate("root", 0.75)]).gates[0]
    assert undecided.more and f"about {undecided.more} more prompts" in undecided.why


def test_a_gate_cannot_pass_on_what_was_not_measured() -> None:
    root = PrincipleInfo("a", "Be brief", "root", "sha-a")
    marks = {"a": ["1"] * 200, "b": ["m"] * 200}
    gate = adherence(groups(marks), [root, B], gates=[Gate("root", 0.9)]).gates[0]
    assert gate.result == "undecided" and gate.more is None
    assert "not measured: b" in gate.why
    failing = adherence(groups({**marks, "a": ["0"] * 200}), [root, B], gates=[Gate("root", 0.9)]).gates[0]
    assert failing.result == "fail"
    nothing = adherence(groups({"a": ["1"], "b": ["m"]}), [A, B], gates=[Gate("root", 0.9)]).gates[0]
    assert nothing.result == "undecided" and nothing.rate is None


def test_gate_refusals() -> None:
    with pytest.raises(UserError, match="min_lower_bound"):
        Gate("root", 1.0)
    with pytest.raises(UserError, match="did you mean 'root'"):
        adherence(groups({"a": ["1"], "b": ["1"]}), [A, B], gates=[Gate("rot", 0.9)])


def test_prompts_are_matched_by_id() -> None:
    after = groups({"a": ["1", "0", "1"]})
    before = list(reversed(groups({"a": ["0", "0", "0", "1"]})))
    card = adherence(after, [A], before=before)
    assert card.principles[0].change and card.principles[0].change.up == 2
    assert (card.coverage.prompts, card.coverage.base_only, card.coverage.aligned_only) == (3, 1, 0)


def with_judgement(group: Group, *more: Judgement) -> list[Group]:
    return [group.with_judgements(*more)]


def bad_inputs() -> list[tuple[list[Group], list[Group] | None, str]]:
    one = groups({"a": ["1"]})
    other = [Group((Sample(Context("another"), Completion("x")),), one[0].judgements, id="h0")]
    elsewhere = [Group(one[0].samples, one[0].judgements, id="zzz")]
    changed = Judgement(SampleTarget(0), value=1.0, principle="b", principle_sha="old")
    return [
        ([], None, "no judged answers"),
        (one + one, None, "same id"),
        ([Group(one[0].samples)], None, "no id"),
        ([Group((), id="h0")], None, "no samples"),
        (one, other, "different prompts"),
        (one, elsewhere, "share no prompt id"),
        (with_judgement(one[0], judgement("a", "0")), None, "two verdicts"),
        (
            with_judgement(one[0], Judgement(SampleTarget(0), value=1.0, principle="bb")),
            None,
            "did you mean 'b'",
        ),
        (with_judgement(one[0], changed), None, "has changed since"),
        (with_judgement(one[0], Judgement(SampleTarget(0), value=0.4, principle="b")), None, "neither pass"),
        (with_judgement(one[0], judgement("b", "1", sample=4)), None, "sample 4 of 1"),
    ]


@pytest.mark.parametrize(("after", "before", "message"), bad_inputs())
def test_bad_input_is_refused(after: list[Group], before: list[Group] | None, message: str) -> None:
    with pytest.raises(DataError, match=message):
        adherence(after, [A, B], before=before)


def test_bad_constitution_and_criteria() -> None:
    one = groups({"a": ["1"]})
    with pytest.raises(UserError, match="no principles"):
        adherence(one, [])
    with pytest.raises(UserError, match="used twice"):
        adherence(one, [A, A])
    with pytest.raises(UserError, match="alpha"):
        Criteria(alpha=0.0)


def test_other_judgements_are_passed_over() -> None:
    group = groups({"a": ["1"]})[0]
    noise = (
        Judgement(SampleTarget(0), value=7.3),
        Judgement(PairTarget(0, 0), value=1.0, principle="a"),
    )
    assert adherence([group.with_judgements(*noise)], [A]).to_json() == adherence([group], [A]).to_json()


marks_of = st.lists(st.tuples(st.sampled_from("01nxe"), st.sampled_from("01nxe")), min_size=1, max_size=60)


@settings(max_examples=40, deadline=None)
@given(a=marks_of)
def test_the_card_is_always_whole(a: list[tuple[str, str]]) -> None:
    before, after = [x for x, _ in a], [y for _, y in a]
    card = adherence(groups({"a": after}), [A], before=groups({"a": before}), gates=[Gate("user", 0.5)])
    encoded = json.loads(json.dumps(card.to_json(), allow_nan=False))
    row = encoded["principles"][0]
    assert row["n_prompts"] <= row["applicable"] <= len(a)
    assert (row["after"] is None) == (row["status"] == "not_measured") == (row["n_prompts"] == 0)
    assert row["why"] and encoded["overall"]["why"]
    assert encoded["overall"]["n_prompts"] + sum(encoded["overall"]["left_out"].values()) == len(a)
    for rate in (row["before"], row["after"]):
        assert rate is None or 0 <= rate["lo"] <= rate["rate"] <= rate["hi"] <= 1
