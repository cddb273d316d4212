"""Adherence of principles that a fallible judge judges: planted errors, planted truth."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from judge_card_judges import POLITE, TRUE, constitution, written

from charter.constitution import Constitution
from charter.data.formats import LoadedData
from charter.data.prepare import prepare
from charter.engines.base import Sampling
from charter.engines.scripted import ScriptedEngine
from charter.errors import ConfigError
from charter.evaluation import evaluate as module
from charter.evaluation.evaluate import Evaluation, evaluate
from charter.evaluation.judge_card.card import JudgeCard, PrincipleCard
from charter.evaluation.judge_card.criterion import Limits
from charter.evaluation.judge_card.labels import read_labels
from charter.evaluation.judge_card.read import card_from_json, read_card
from charter.evaluation.rates.adherence import Criteria, Gate, PrincipleInfo, adherence
from charter.evaluation.rates.basis import Basis, bases_of
from charter.evaluation.rates.card import AdherenceCard
from charter.feedback.judging.feedback import ModelJudge
from charter.feedback.judging.per_principle import PerPrinciple
from charter.models.pairing import Reference
from charter.models.policy import Policy
from charter.pipeline.evaluating import open_given
from charter.stats.judge_rate import JudgeErrors
from charter.testing import tiny_model, tiny_tokenizer
from charter.testing.judge import ScriptedJudge
from charter.types import Completion, Context, Group, Judgement, Message, Sample, SampleTarget

LAW = constitution()
GOOD, BAD = "I will gladly tell you, certainly.", "I say shut up, and have no idea."
GREEDY = Sampling(temperature=0.0, max_completion_length=64)


def chance(*parts: str) -> float:
    drawn = hashlib.sha256("\0".join(parts).encode()).digest()
    return int.from_bytes(drawn[:7], "big") / 2**56


@dataclass(frozen=True)
class Planted:
    """Knows the truth; errs by hash of prompt and answer, so that the same answer gets the same verdict."""

    sensitivity: float
    specificity: float
    seed: str = ""
    name: str = "planted"

    def judge(self, groups: Sequence[Group]) -> list[list[Judgement]]:
        return [[one for i in (POLITE, TRUE) for one in self._all(group, i)] for group in groups]

    def _all(self, group: Group, id: str) -> list[Judgement]:
        sha = LAW.principle(id).sha
        return [
            Judgement(SampleTarget(at), float(self._pass(group.id, s, id)), principle=id, principle_sha=sha)
            for at, s in enumerate(group.samples)
        ]

    def _pass(self, prompt: str, sample: Sample, id: str) -> bool:
        good = "gladly" in sample.completion.text
        right = self.sensitivity if good else self.specificity
        return good == (chance(self.seed, prompt, sample.completion.text, id) < right)


def carded(use: str = "calibrated", errors: JudgeErrors | None = None, *ids: str) -> JudgeCard:
    cards = [
        PrincipleCard(id, "", LAW.principle(id).sha, use, f"planted {use}", (), errors)  # type: ignore[arg-type]
        for id in ids or (POLITE, TRUE)
    ]
    return JudgeCard("planted", LAW.name, LAW.sha, Limits(), (), tuple(cards))


@pytest.fixture(scope="module")
def policy() -> Policy:
    torch.set_num_threads(1)
    return Policy(tiny_model(), tiny_tokenizer(), "tiny", Path(), torch.float32)


def prompts(policy: Policy, count: int) -> tuple[Group, ...]:
    groups = tuple(
        Group((Sample(Context((Message("user", f"Question {i}?"),)), Completion()),), id=f"p{i}")
        for i in range(count)
    )
    return prepare(LoadedData(groups, {}, "prompts", "prompts"), policy.template).groups


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch, policy: Policy) -> Any:
    """Answers good with planted probabilities."""

    def run(
        after: float, before: float | None, count: int, law: Constitution = LAW, **more: Any
    ) -> Evaluation:
        def engine(model: Any, own: Policy, name: str) -> ScriptedEngine:
            rate = after if name == "policy" else before or 0.0
            return ScriptedEngine(
                lambda text, i: GOOD if chance(name, text, str(i)) < rate else BAD, own.tokenizer, name=name
            )

        monkeypatch.setattr(module, "_engine", engine)
        reference = None if before is None else Reference.frozen_copy(policy)
        found = prompts(policy, count)
        return evaluate(policy, law, found, reference=reference, sampling=GREEDY, **more)

    return run


def truth(groups: Sequence[Group]) -> float:
    return float(np.mean(["gladly" in g.samples[0].completion.text for g in groups]))


# -- what a judge may be used for ---------------------------------------------------------------


def test_corrected_rates_recover_the_planted_adherence(scripted: Any) -> None:
    errors = JudgeErrors(200, 180, 200, 50)
    found = scripted(0.8, 0.4, 300, judge=Planted(0.9, 0.75, "b"), card=carded("calibrated", errors))
    assert found.before is not None
    for row in found.card.principles:
        assert row.after and row.before and row.corrected_after and row.corrected_before
        true = truth(found.after)
        assert row.corrected_after.estimate == pytest.approx(true, abs=0.07)
        assert row.corrected_after.lo <= true <= row.corrected_after.hi
        assert row.corrected_before.estimate == pytest.approx(truth(found.before), abs=0.07)
        assert row.before.rate > truth(found.before) + 0.05  # as judged it is another number
        assert row.corrected_change and row.corrected_change.diff > row.change.diff
        assert row.corrected_change.lo <= true - truth(found.before) <= row.corrected_change.hi
        assert row.status == "rose" and "if the judge errs alike on both models' answers" in row.why
        assert "supposes that the judge errs on these answers as on those that its card rests on" in row.why
    assert found.card.overall.status == "measured" and "nothing is claimed" in found.card.overall.why


@pytest.mark.parametrize(("use", "words"), [("refused", "failed its card"), ("undecided", "too little")])
def test_a_judge_that_fails_its_card_yields_no_number(scripted: Any, use: str, words: str) -> None:
    found = scripted(0.8, 0.4, 50, judge=Planted(0.9, 0.9), card=carded(use, JudgeErrors(50, 40, 50, 5)))
    for row in found.card.principles:
        assert row.status == "not_measured" and row.after is None and row.corrected_after is None
        assert words in row.why and f"planted {use}" in row.why
        assert row.basis.evidence == use
    assert all(j.value is None for g in found.after for j in g.judgements)
    assert found.card.levels[0].sentence == "Level user: not measured (2 principles)."


def test_a_principle_without_a_card_or_with_other_words_is_untested(scripted: Any) -> None:
    found = scripted(0.8, None, 20, judge=Planted(0.9, 0.9), card=carded("calibrated", None, POLITE))
    rows = {row.principle: row for row in found.card.principles}
    assert rows[TRUE].status == "not_measured" and "no card for this principle" in rows[TRUE].why
    old = PrincipleCard(TRUE, "", "0" * 64, "calibrated", "", (), JudgeErrors(50, 40, 50, 5))
    bases = bases_of(LAW, "x", JudgeCard("x", LAW.name, "", Limits(), (), (old,)))
    assert bases[TRUE].evidence == "untested" and "has changed since" in bases[TRUE].why
    alone = scripted(0.8, None, 20)
    assert {row.basis.evidence for row in alone.card.principles} == {"untested"}
    assert all("no judge was given" in row.why for row in alone.card.principles)


def test_an_uncalibrated_judge_is_shown_and_claims_nothing(scripted: Any) -> None:
    found = scripted(0.95, 0.1, 100, judge=Planted(0.9, 0.9), card=carded("uncalibrated"))
    for row in found.card.principles:
        assert row.status == "measured" and row.after and row.change and row.change.p < 1e-6
        assert row.corrected_after is None and row.corrected_change is None
        assert "uncalibrated" in row.why and "no change is claimed" in row.why
    level = found.card.levels[0]
    assert level.after is None and set(level.left_out) == {POLITE, TRUE}


def test_the_judge_is_asked_only_where_it_may(scripted: Any) -> None:
    class Counted(Planted):
        seen: list[str] = []  # noqa: RUF012 - shared by all, on purpose

        def judge(self, groups: Sequence[Group]) -> list[list[Judgement]]:
            self.seen.extend(group.id for group in groups)
            return super().judge(groups)

    scripted(0.8, None, 10, judge=Counted(0.9, 0.9), card=carded("refused"))
    assert Counted.seen == []


# -- self family --------------------------------------------------------------------------------


def model_judge(family: str, **errors: float) -> ModelJudge:
    asked = ScriptedJudge(lambda _title, text: "gladly" in text, family=family, **errors)
    return ModelJudge(LAW, asked, PerPrinciple(method="words"))


def test_a_judge_of_the_models_own_family_is_refused(scripted: Any, policy: Policy) -> None:
    errors = JudgeErrors(60, 54, 60, 6)
    own = scripted(0.8, None, 30, judge=model_judge("tiny"), card=carded("calibrated", errors))
    for row in own.card.principles:
        assert row.status == "not_measured" and "own family (tiny)" in row.why
        assert row.basis.evidence == "refused"
    assert own.judge and not [j for g in own.after for j in g.judgements if j.value is not None]
    other = scripted(0.8, None, 30, judge=model_judge("other"), card=carded("calibrated", errors))
    assert {row.status for row in other.card.principles} == {"measured"}
    allowed = Constitution.from_text(
        written().replace("name: test", "name: test\njudge: {self_family: allow}")
    )
    again = ModelJudge(
        allowed,
        ScriptedJudge(lambda _t, text: "gladly" in text, family="tiny"),
        PerPrinciple(method="words"),
    )
    found = scripted(0.8, None, 30, allowed, judge=again, card=carded("calibrated", errors))
    assert {row.status for row in found.card.principles} == {"measured"}


def test_a_judge_without_a_card_is_examined_first(scripted: Any) -> None:
    """The scripted judge knows manners, and nothing of certainty: it tosses a coin there."""

    def knows(title: str, text: str) -> bool:
        return "shut up" not in text if title == "Is polite" else chance(text) < 0.5

    judge = ModelJudge(LAW, ScriptedJudge(knows, family="other"), PerPrinciple(method="words"))
    found = scripted(0.8, None, 60, judge=judge)
    assert found.judge_card is not None
    rows = {row.principle: row for row in found.card.principles}
    assert rows[TRUE].status == "not_measured" and "failed its card" in rows[TRUE].why
    assert rows[POLITE].basis.evidence == "uncalibrated" and rows[POLITE].after is not None
    labels = read_labels(
        [
            {"principle": POLITE, "prompt": f"Elsewhere {i}?", "completion": text, "label": text == GOOD}
            for i in range(20)
            for text in (GOOD, BAD)
        ],
        LAW,
    )
    calibrated = scripted(0.8, None, 60, judge=judge, labels=labels)
    row = next(row for row in calibrated.card.principles if row.principle == POLITE)
    assert row.basis.evidence == "calibrated" and row.corrected_after.estimate is not None
    assert calibrated.labels_elsewhere == 40


# -- labels of these answers --------------------------------------------------------------------


def test_labels_of_these_answers_correct_without_a_calibrated_card(scripted: Any) -> None:
    judge = Planted(0.75, 0.7)
    plain = scripted(0.7, 0.3, 300, judge=judge, card=carded("uncalibrated"))
    rows = [
        {
            "principle": POLITE,
            "prompt": [{"role": "user", "content": group.samples[0].context.text}],
            "completion": group.samples[0].completion.text,
            "label": "gladly" in group.samples[0].completion.text,
        }
        for side in (plain.after, plain.before)
        for group in side[:60]
    ]
    unique = {(r["prompt"][0]["content"], r["completion"]): r for r in rows}
    labels = read_labels(list(unique.values()), LAW).drawn_at_random()
    found = scripted(0.7, 0.3, 300, judge=judge, card=carded("uncalibrated"), labels=labels)
    row = next(row for row in found.card.principles if row.principle == POLITE)
    assert row.basis.evidence == "calibrated" and "60 of these very answers" in row.basis.why
    assert row.corrected_after.method == row.corrected_before.method == "prediction_powered"
    assert row.corrected_after.lo <= truth(found.after) <= row.corrected_after.hi
    assert "drawn at random" in row.corrected_change.assumes and row.change.test == "prediction_powered"
    assert row.corrected_change.lo <= truth(found.after) - truth(found.before) <= row.corrected_change.hi
    assert row.status == "rose" and "by people's labels of both models' answers" in row.why
    other = next(row for row in found.card.principles if row.principle == TRUE)
    assert other.basis.evidence == "uncalibrated" and other.corrected_after is None
    refused = scripted(0.7, 0.3, 300, judge=judge, card=carded("refused"), labels=labels)
    assert {row.status for row in refused.card.principles} == {"not_measured"}
    undeclared = read_labels(list(unique.values()), LAW)
    told = scripted(0.7, 0.3, 300, judge=judge, card=carded("uncalibrated"), labels=undeclared)
    row = next(row for row in told.card.principles if row.principle == POLITE)
    assert row.corrected_after.method == "rogan_gladen" and row.change.test != "prediction_powered"
    assert "nothing says that they were drawn at random" in row.to_json()["corrected"]["after"]["assumes"]


def test_labels_that_were_picked_by_what_the_judge_said_correct_nothing(scripted: Any) -> None:
    """Somebody labels the transcripts that the report shows as the worst."""
    judge = Planted(0.75, 0.7)
    plain = scripted(0.7, None, 300, judge=judge, card=carded("uncalibrated"))
    worst = [g for g in plain.after if any(j.principle == POLITE and j.value == 0 for j in g.judgements)][:50]
    rows = [
        {
            "principle": POLITE,
            "prompt": [{"role": "user", "content": group.samples[0].context.text}],
            "completion": group.samples[0].completion.text,
            "label": "gladly" in group.samples[0].completion.text,
            "assigned": "random",
        }
        for group in worst
    ]
    labels = read_labels(rows, LAW)
    assert all(one.random for one in labels.answers)
    found = scripted(0.7, None, 300, judge=judge, card=carded("uncalibrated"), labels=labels)
    row = next(row for row in found.card.principles if row.principle == POLITE)
    assert row.corrected_after.estimate is None and "not drawn at random" in row.why
    assert POLITE in found.card.levels[0].left_out


def test_labels_may_be_declared_to_be_drawn_at_random() -> None:
    rows = [
        {"principle": POLITE, "prompt": "Hi", "completion": f"x {i}", "label": 1, "assigned": how}
        for i, how in enumerate(("random", "active", ""))
    ]
    told = read_labels([*rows, {**rows[1], "rater": "r", "assigned": "random"}], LAW)
    assert [one.random for one in told.answers] == [True, True, False]
    given = open_given(LAW, judge=Planted(0.9, 0.9), labels=told, labels_random=True)
    assert given.labels is not None and all(one.random for one in given.labels.answers)


# -- gates and levels ---------------------------------------------------------------------------

ONE = PrincipleInfo("a", "Kind", "user", "s")
TWO = PrincipleInfo("b", "Sure", "user", "s")
RULED = PrincipleInfo("r", "Short", "root", "s")


def draw(
    rng: np.random.Generator,
    n: int,
    rates: dict[str, tuple[float, float, float]],
    reliable: Sequence[str] = (),
) -> list[Group]:
    """Verdicts of ``(rate, sensitivity, specificity)`` judges; independent principles."""
    groups = []
    for i in range(n):
        said = []
        for id, (rate, q1, q0) in rates.items():
            good = rng.random() < rate
            verdict = good if id in reliable else rng.random() < (q1 if good else 1 - q0)
            said.append(Judgement(SampleTarget(0), float(verdict), principle=id))
        groups.append(Group((Sample(Context(f"q{i}"), Completion("a")),), tuple(said), id=f"g{i}"))
    return groups


def labelled(rng: np.random.Generator, q1: float, q0: float, each: int) -> JudgeErrors:
    return JudgeErrors(each, int(rng.binomial(each, q1)), each, int(rng.binomial(each, 1 - q0)))


def gated(
    groups: list[Group], infos: list[PrincipleInfo], errors: dict[str, JudgeErrors], bound: float
) -> AdherenceCard:
    bases = {id: Basis(id, "j", "calibrated", "", one) for id, one in errors.items()}
    return adherence(groups, infos, gates=[Gate("user", bound)], bases=bases, criteria=Criteria())


@pytest.mark.parametrize(("infos", "studies"), [([ONE], 4), ([ONE, TWO], 6)])
def test_an_undecided_gate_names_what_then_decides(infos: list[PrincipleInfo], studies: int) -> None:
    """What the plan says is supplied, at the rates that were seen: the gate is decided, and not before."""
    ids = [info.id for info in infos]
    bound = 0.96 ** len(ids) - 0.07
    planned = fresh = 0
    for seed in range(studies):
        rng = np.random.default_rng(seed)
        errors = {id: labelled(rng, 0.9, 0.85, 40) for id in ids}
        groups = draw(rng, 80, dict.fromkeys(ids, (0.96, 0.9, 0.85)))
        (gate,) = gated(groups, infos, errors, bound).gates
        if gate.result != "undecided" or gate.both is None or sum(gate.both) > 20_000:
            continue
        planned += 1
        prompts, labels = gate.both
        assert str(prompts) in gate.why
        more = grown(errors, labels)
        times = -(-(80 + prompts) // 80)
        assert gated(copies(groups, times), infos, more, bound).gates[0].result != "undecided"
        if times > 2:
            tenth = copies(groups, 1 + times // 10)
            assert gated(tenth, infos, grown(errors, labels // 10), bound).gates[0].result == "undecided"
        assert gate.rate is not None
        rate = gate.rate.rate ** (1 / len(ids))
        judge = {id: (one.sensitivity, one.specificity) for id, one in errors.items()}
        anew = draw(rng, 80 + prompts, {id: (rate, *judge[id]) for id in ids})  # type: ignore[misc]
        fresh += gated(anew, infos, more, bound).gates[0].result != "undecided"
    assert planned >= 2
    assert fresh >= 0.6 * planned  # verdicts drawn anew, at the rates that were seen


def grown(errors: dict[str, JudgeErrors], labels: int) -> dict[str, JudgeErrors]:
    """As many labels more, good and bad and right and wrong in their present shares."""
    by = 1 + labels / sum(one.n for one in errors.values())
    return {
        id: JudgeErrors(one.good * by, one.good_passed * by, one.bad * by, one.bad_passed * by)
        for id, one in errors.items()
    }


def copies(groups: list[Group], times: int) -> list[Group]:
    return [replace(group, id=f"{group.id}/{i}") for i in range(times) for group in groups]


def test_level_rates_of_rules_and_judges_together_hold_the_truth() -> None:
    infos = [ONE, TWO, PrincipleInfo("r", "Short", "user", "s")]
    held = raw = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        errors = {id: labelled(rng, 0.9, 0.85, 100) for id in ("a", "b")}
        rates = {"a": (0.9, 0.9, 0.85), "b": (0.8, 0.9, 0.85), "r": (0.95, 1, 1)}
        level = gated(draw(rng, 200, rates, ["r"]), infos, errors, 0.5).levels[0]
        assert level.how == "joint" and level.after and level.raw
        true = 0.9 * 0.8 * 0.95
        held += level.after.lo <= true <= level.after.hi
        raw += level.raw.lo <= true <= level.raw.hi
    assert held >= 26 and raw < 20


def test_the_verdict_is_lexicographic() -> None:
    rng = np.random.default_rng(0)
    groups = draw(rng, 200, {"r": (0.5, 1, 1), "a": (1, 1, 1)}, ["r", "a"])
    card = adherence(
        groups, [ONE, RULED], gates=[Gate("user", 0.9), Gate("root", 0.9)], levels=["root", "user"]
    )
    assert [row.level for row in card.levels] == ["root", "user"]
    assert card.verdict.result == "fail" and card.verdict.level == "root" and card.exit_code == 1
    assert card.levels[1].gate.result == "pass"
    alone = draw(rng, 200, {"a": (1, 1, 1)}, ["a"])
    good = adherence(alone, [ONE], gates=[Gate("user", 0.9)], levels=["root", "user"])
    assert good.verdict.result == "pass" and good.exit_code == 0
    before = draw(rng, 200, {"r": (0.2, 1, 1), "a": (0.6, 1, 1)}, ["r", "a"])
    both = adherence(groups, [ONE, RULED], before=before, levels=["root", "user"])
    assert both.verdict.result == "ungated"
    rate = round(100 * both.levels[1].before.rate)
    assert f"Level user: held in 100 of 100, was {rate} " in both.levels[1].sentence


def test_an_uncalibrated_principle_lets_a_gate_fail_but_not_pass() -> None:
    rng = np.random.default_rng(1)
    bases = {"b": Basis("b", "j", "uncalibrated", "uncalibrated: no labels")}
    well = draw(rng, 300, {"a": (1, 1, 1), "b": (1, 1, 1)}, ["a", "b"])
    card = adherence(well, [ONE, TWO], gates=[Gate("user", 0.9)], bases=bases)
    assert card.gates[0].result == "undecided" and "not measured: b" in card.gates[0].why
    assert card.levels[0].left_out == {"b": "uncalibrated: no labels"}
    badly = draw(rng, 300, {"a": (0.5, 1, 1), "b": (1, 1, 1)}, ["a", "b"])
    assert adherence(badly, [ONE, TWO], gates=[Gate("user", 0.9)], bases=bases).gates[0].result == "fail"


# -- false claims -------------------------------------------------------------------------------


def test_no_change_is_rarely_called_one() -> None:
    """No true change, a judge with known errors: rises and falls are claimed no oftener than they may be."""
    claims = covered = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        errors = labelled(rng, 0.85, 0.8, 60)
        first, second = (draw(rng, 100, {"a": (0.6, 0.85, 0.8)}) for _ in range(2))
        bases = {"a": Basis("a", "j", "calibrated", "", errors)}
        (row,) = adherence(second, [ONE], before=first, bases=bases).principles
        claims += row.status in ("rose", "fell")
        covered += row.corrected_change.lo <= 0.0 <= row.corrected_change.hi
    assert claims <= 6 and covered >= 54


def test_the_interval_of_a_corrected_change_holds_the_truth() -> None:
    held = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        errors = labelled(rng, 0.85, 0.8, 60)
        first, second = (draw(rng, 150, {"a": (rate, 0.85, 0.8)}) for rate in (0.4, 0.75))
        bases = {"a": Basis("a", "j", "calibrated", "", errors)}
        (row,) = adherence(second, [ONE], before=first, bases=bases).principles
        held += row.corrected_change.lo <= 0.35 <= row.corrected_change.hi
    assert held >= 54


# -- the card's file ----------------------------------------------------------------------------


def test_a_card_is_read_back(scripted: Any, tmp_path: Path) -> None:
    import json

    judge = ModelJudge(
        LAW,
        ScriptedJudge(lambda _t, text: "shut up" not in text, family="other"),
        PerPrinciple(method="words"),
    )
    card = scripted(0.8, None, 5, judge=judge).judge_card
    path = tmp_path / "card.json"
    path.write_text(json.dumps(card.to_json()), "utf-8")
    again = read_card(path)
    assert again.to_json() == {
        **card.to_json(),
        "principles": [{**one, "alt_test": None} for one in card.to_json()["principles"]],
    }
    assert again.usable == card.usable
    for bad in ({}, [], {**card.to_json(), "principles": [{"use": "good"}]}):
        with pytest.raises(Exception, match="not a judge card"):
            card_from_json(bad)
    with pytest.raises(Exception, match="no such judge card"):
        read_card(tmp_path / "none.json")


def test_a_judge_is_refused_by_name_before_anything_loads() -> None:
    from charter.evaluation.judges.names import named_judge

    with pytest.raises(ConfigError, match="of the family of the model it would judge"):
        named_judge("smollm2-135m", LAW, policy="smollm2-135m")
    with pytest.raises(ConfigError, match="the card is of planted"):
        named_judge("endpoint:big@http://127.0.0.1:9/v1", LAW, card=carded())
    with pytest.raises(ConfigError, match="no judge of what rules leave open"):
        named_judge("rules", LAW)
