"""The consistency table: planted faults of policies, judges, texts and people are told apart."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from charter.constitution import Constitution
from charter.errors import DataError, UserError
from charter.evaluation.consistency.agreement import agreed
from charter.evaluation.consistency.consistency import Consistency, consistency
from charter.evaluation.consistency.diagnosis import DiagnosisLimits
from charter.evaluation.consistency.flips import order_flips
from charter.evaluation.consistency.items import Item, example_groups, read_items
from charter.evaluation.consistency.scores import scores_of, three_way
from charter.evaluation.consistency.table import lines
from charter.evaluation.judge_card.labels import read_labels
from charter.records import write_groups
from charter.stats.kappa import cohen_kappa
from charter.types import (
    Completion,
    Context,
    Group,
    Judgement,
    Message,
    PairTarget,
    Sample,
    SampleTarget,
)

PRINCIPLES = ("honest", "brief")


def law() -> Constitution:
    text = "---\nconstitution: 1\nname: house\nlevels: [user]\n---\n"
    for id in PRINCIPLES:
        answers = "".join(
            f"<assistant> <!-- {label} --> {id} {label} {i} </assistant>\n"
            for i in range(4)
            for label in ("GOOD", "BAD")
        )
        text += (
            f"\n## Be {id} {{#{id} authority=user}}\n\nBe {id}.\n\n**Example**: one\n\n~~~xml\n"
            f"<user>{id} question</user>\n<comparison>\n{answers}</comparison>\n~~~\n"
        )
    return Constitution.from_text(text)


LAW = law()
SHA = {p.id: p.sha for p in LAW.principles}


def said(principle: str, sample: int, passed: bool | None, judge: str) -> Judgement:
    verdict: Any = "judged" if passed is not None else "abstained"
    value = None if passed is None else float(passed)
    return Judgement(
        SampleTarget(sample),
        value,
        verdict=verdict,
        principle=principle,
        principle_sha=SHA[principle],
        judge=judge,
    )


def answered(
    prompt: str, verdicts: Mapping[str, bool | None], *, principle: str = "honest", model: str = "pol"
) -> Group:
    """One answer of ``model`` and what each judge says of it."""
    sample = Sample(Context(prompt), Completion(f"{model} answers {prompt}", sampled_by=model))
    return Group((sample,), tuple(said(principle, 0, v, judge) for judge, v in verdicts.items()), id=prompt)


def examples(wrong: Mapping[str, float], seed: int = 0) -> list[Group]:
    """Every judge's verdicts on the examples, with a planted share of errors."""
    rng = np.random.default_rng(seed)
    found = []
    for group in example_groups(LAW):
        about = str(group.meta["principle"])
        verdicts = tuple(
            said(about, i, ("GOOD" in s.completion.text) != (rng.random() < share), judge)
            for judge, share in wrong.items()
            for i, s in enumerate(group.samples)
        )
        found.append(group.with_judgements(*verdicts))
    return found


def planted(
    judges: Mapping[str, float],
    *,
    adherence: float = 0.9,
    n: int = 200,
    principle: str = "honest",
    seed: int = 0,
) -> tuple[list[Group], list[bool]]:
    """Answers of which the truth is known, and judges that err on a planted share of them."""
    rng = np.random.default_rng(seed)
    truth = [bool(rng.random() < adherence) for _ in range(n)]
    groups = [
        answered(
            f"{principle} q{i}",
            {judge: right != bool(rng.random() < share) for judge, share in judges.items()},
            principle=principle,
        )
        for i, right in enumerate(truth)
    ]
    return groups, truth


def people(
    groups: Sequence[Group],
    truth: Sequence[bool],
    wrong: float,
    *,
    raters: int = 3,
    principle: str = "honest",
    seed: int = 9,
) -> Any:
    rng = np.random.default_rng(seed)
    rows = [
        {
            "principle": principle,
            "prompt": str(group.samples[0].context.content),
            "completion": group.samples[0].completion.text,
            "label": right != bool(rng.random() < wrong),
            "rater": f"r{k}",
        }
        for group, right in zip(groups, truth, strict=True)
        for k in range(raters)
    ]
    return read_labels(rows, LAW)


def causes(found: Consistency, principle: str = "honest") -> list[tuple[str, str]]:
    row = next(one for one in found.principles if one.principle == principle)
    return [(one.cause, one.who) for one in row.diagnosis]


# -- the diagnosis -----------------------------------------------------------------------------


def test_a_bad_policy() -> None:
    groups, truth = planted({"a": 0.03, "b": 0.03}, adherence=0.4)
    found = consistency(LAW, groups + examples({"a": 0, "b": 0}), people(groups, truth, 0.05))
    assert causes(found) == [("policy", "")]
    [said_] = found.principles[0].diagnosis
    assert said_.action == "train" and "say people" in said_.why


def test_a_bad_judge_is_named_by_people() -> None:
    groups, truth = planted({"a": 0.03, "b": 0.4}, adherence=0.7)
    found = consistency(LAW, groups, people(groups, truth, 0.03), limits=DiagnosisLimits(adherence=0.5))
    assert causes(found) == [("judge", "b")]


def test_a_bad_judge_is_named_by_the_examples() -> None:
    groups, _ = planted({"a": 0.03, "b": 0.4}, adherence=0.7)
    found = consistency(LAW, groups + examples({"a": 0.0, "b": 0.5}), limits=DiagnosisLimits(adherence=0.5))
    assert ("judge", "b") in causes(found) and not any(cause == "text" for cause, _ in causes(found))


def test_a_bad_judge_is_named_by_the_others() -> None:
    groups, _ = planted({"a": 0.03, "b": 0.4, "c": 0.03}, adherence=0.6)
    found = consistency(LAW, groups, limits=DiagnosisLimits(adherence=0.5))
    assert causes(found) == [("judge", "b")]
    assert "alone disagrees with a and c" in found.principles[0].diagnosis[0].why


def test_unclear_text_is_not_a_bad_judge() -> None:
    """Both judges know the examples and differ on answers: nobody errs, the text leaves it open."""
    groups, _ = planted({"a": 0.3, "b": 0.3}, adherence=0.6)
    found = consistency(LAW, groups + examples({"a": 0.0, "b": 0.0}))
    assert causes(found) == [("text", "")]
    assert found.principles[0].diagnosis[0].action == "amend the principle"


def test_people_and_judges_who_all_differ_mean_unclear_text() -> None:
    groups, truth = planted({"a": 0.3, "b": 0.3}, adherence=0.6)
    found = consistency(LAW, groups + examples({"a": 0.0, "b": 0.0}), people(groups, truth, 0.4))
    assert causes(found) == [("text", "")] and "people disagree" in found.principles[0].diagnosis[0].why


def test_people_who_disagree_over_a_clear_text() -> None:
    groups, truth = planted({"a": 0.02, "b": 0.02}, adherence=0.6)
    found = consistency(LAW, groups + examples({"a": 0.0, "b": 0.0}), people(groups, truth, 0.45))
    assert causes(found) == [("people", "")]
    assert "pluralistic" in found.principles[0].diagnosis[0].action


def test_divided_people_are_no_evidence_against_a_judge() -> None:
    groups, truth = planted({"a": 0.02}, adherence=0.6)
    found = consistency(LAW, groups, people(groups, truth, 0.45))
    assert causes(found) == [("undecided", "")] and "two sound judges" in found.principles[0].diagnosis[0].why


def test_people_who_read_the_examples_otherwise() -> None:
    shown = examples({})
    rows = [
        {
            "principle": "honest",
            "prompt": [{"role": "user", "content": "honest question"}],
            "completion": sample.completion.text,
            "label": "BAD" in sample.completion.text,
        }
        for group in shown
        if group.meta["principle"] == "honest"
        for sample in group.samples
    ]
    found = consistency(LAW, [], read_labels(rows, LAW))
    assert causes(found) == [("text", "")] and "0 of the 8" in found.principles[0].diagnosis[0].why


def test_all_is_well() -> None:
    groups, truth = planted({"a": 0.02, "b": 0.02}, adherence=0.95)
    found = consistency(LAW, groups + examples({"a": 0.0, "b": 0.0}), people(groups, truth, 0.01))
    assert causes(found) == [("consistent", "")]


def test_too_little_is_undecided() -> None:
    groups, _ = planted({"a": 0.3, "b": 0.3}, n=12)
    found = consistency(LAW, groups)
    assert causes(found) == causes(found, "brief") == [("undecided", "")]


def test_few_failures_are_not_held_against_a_text() -> None:
    """At 98% adherence kappa is low by chance alone; raw agreement shows that nothing is wrong."""
    groups, _ = planted({"a": 0.02, "b": 0.02}, adherence=0.985, n=300)
    found = consistency(LAW, groups)
    pair = found.pair("a", "b", "honest")
    assert pair is not None and pair.kappa is not None and pair.kappa < 0.6
    assert causes(found) == [("consistent", "")]


def test_diagnoses_of_many_draws_are_right() -> None:
    """Bad judge against unclear text, twenty draws of each: at most one is mistaken."""
    wrong = 0
    for seed in range(20):
        groups, _ = planted({"a": 0.05, "b": 0.4, "c": 0.05}, adherence=0.6, seed=seed)
        shown = examples({"a": 0.0, "b": 0.4, "c": 0.0}, seed=seed)
        wrong += ("judge", "b") not in causes(consistency(LAW, groups + shown, draws=300))
        groups, _ = planted({"a": 0.3, "b": 0.3, "c": 0.3}, adherence=0.6, seed=seed)
        shown = examples({"a": 0.0, "b": 0.0, "c": 0.0}, seed=seed)
        wrong += causes(consistency(LAW, groups + shown, draws=300)) != [("text", "")]
    assert wrong <= 1


# -- agreement -----------------------------------------------------------------------------------


def test_kappa_is_cohens() -> None:
    groups, _ = planted({"a": 0.1, "b": 0.2}, adherence=0.6)
    items = read_items(LAW, groups).of("honest")
    pair = agreed(items, "a", "b", "honest")
    both = [(item.said["a"], item.said["b"]) for item in items if "a" in item.said]
    reference = cohen_kappa([a for a, _ in both], [b for _, b in both])
    assert pair.kappa == pytest.approx(reference.value) and pair.agree == pytest.approx(reference.observed)
    assert pair.kappa_interval.lo == pytest.approx(reference.interval.lo, abs=0.04)
    assert pair.kappa_interval.hi == pytest.approx(reference.interval.hi, abs=0.04)


def test_answers_of_one_conversation_hang_together() -> None:
    """Eight copies of an answer to each question are not eight times the evidence."""
    rng = np.random.default_rng(3)
    one = [Item("p", f"q{i}", said={"a": True, "b": bool(rng.random() < 0.7)}) for i in range(40)]
    copied = [replace(item) for item in one for _ in range(8)]
    narrow, wide = agreed(one, "a", "b", ""), agreed(copied, "a", "b", "")
    assert wide.n == 320 and wide.prompts == 40 and wide.agree == narrow.agree
    assert wide.agree_interval == pytest.approx(narrow.agree_interval)


def test_intervals_of_agreement_cover() -> None:
    """Planted agreement of 0.8 between two corners, three answers a conversation that hang together."""
    rng = np.random.default_rng(4)
    covered = 0
    for simulation in range(200):
        items = []
        for q in range(60):
            share = 1.0 if rng.random() < 0.6 else 0.5  # mean 0.8, the same for all answers of a conversation
            for _ in range(3):
                truth = bool(rng.random() < 0.5)
                items.append(Item("p", f"q{q}", said={"a": truth, "b": truth == bool(rng.random() < share)}))
        interval = agreed(items, "a", "b", "", draws=300, seed=simulation).agree_interval
        covered += interval.lo <= 0.8 <= interval.hi
    assert 0.90 <= covered / 200 <= 0.985


def test_complete_agreement_is_not_certainty() -> None:
    items = [Item("p", f"q{i}", said={"a": i % 2 == 0, "b": i % 2 == 0}) for i in range(20)]
    pair = agreed(items, "a", "b", "")
    assert pair.agree == 1.0 and pair.agree_interval.lo < 0.9
    assert pair.kappa == 1.0 and 0.5 < pair.kappa_interval.lo < 0.95
    one_sided = agreed([Item("p", f"q{i}", said={"a": True, "b": True}) for i in range(9)], "a", "b", "")
    assert one_sided.kappa is None and one_sided.kappa_interval == (-1.0, 1.0)


def test_the_four_corners_are_there() -> None:
    groups, truth = planted({"pol": 0.1, "judge-x": 0.05})
    found = consistency(LAW, groups + examples({"pol": 0.2, "judge-x": 0.0}), people(groups, truth, 0.05))
    assert found.corners == ("spec", "pol", "judge-x", "people") and found.self_judge == "pol"
    spec = found.pair("spec", "judge-x")
    assert spec is not None and spec.n == 16 and spec.agree == 1.0
    assert found.pair("judge-x", "people") is not None and found.pair("spec", "people") is None


# -- scores ------------------------------------------------------------------------------------------


def scored(leniency: Mapping[tuple[str, str], float], n: int = 300, seed: int = 0) -> list[Item]:
    """Answers of three models, judged by three judges with planted leniency in points."""
    rng = np.random.default_rng(seed)
    found = []
    for q in range(n):
        for model, good in (("m1", 0.6), ("m2", 0.7), ("m3", 0.5)):
            base = rng.random()
            verdicts = {
                judge: bool(base < good + leniency.get((judge, model), 0.0) + leniency.get((judge, ""), 0.0))
                for judge in ("j1", "j2", "j3")
            }
            found.append(Item("p", f"q{q}", {model}, verdicts))
    return found


OWN = {"j1": "m1", "j2": "m2", "j3": "m3"}


def test_a_judge_that_favours_its_own_model_is_named() -> None:
    found = scores_of(scored({("j1", "m1"): 0.15}), ["j1", "j2", "j3"], OWN)
    judge = {one.judge: one for one in found.own}
    assert judge["j1"].favours and judge["j1"].interaction == pytest.approx(0.15, abs=0.04)
    assert judge["j1"].interval.lo < 0.15 < judge["j1"].interval.hi
    assert not judge["j2"].favours and not judge["j3"].favours


def test_leniency_to_all_is_no_favour() -> None:
    found = scores_of(scored({("j1", ""): 0.2}), ["j1", "j2", "j3"], OWN)
    assert found.bias["j1"]["m1"] == pytest.approx(0.2 * 2 / 3, abs=0.05)
    assert not any(one.favours for one in found.own)


def test_two_partial_judges_do_not_hide_each_other() -> None:
    both = {("j1", "m1"): 0.15, ("j2", "m2"): 0.15}
    judge = {one.judge: one for one in scores_of(scored(both), ["j1", "j2", "j3"], OWN).own}
    assert judge["j1"].favours and judge["j2"].favours and not judge["j3"].favours
    assert judge["j1"].interaction == pytest.approx(0.15, abs=0.05)


def test_no_favour_is_named_where_there_is_none() -> None:
    """Verdicts drawn anew for each judge: a false name in at most a few of 40 draws."""
    false = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        items = [
            Item("p", f"q{q}", {m}, {j: bool(rng.random() < 0.6) for j in OWN})
            for q in range(80)
            for m in ("m1", "m2", "m3")
        ]
        false += any(one.favours for one in scores_of(items, list(OWN), OWN, draws=400, seed=seed).own)
    assert false <= 4


def test_scores_use_answers_that_all_judged() -> None:
    items = scored({}, n=20)
    del items[0].said["j2"]
    found = scores_of(items, ["j1", "j2", "j3"], OWN)
    assert (found.left_out == 1 and found.n == {"m1": 19, "m2": 20, "m3": 20}) or sum(found.n.values()) == 59
    assert sum(found.bias[j]["m1"] for j in OWN) == pytest.approx(0.0)


def test_the_three_way_number_is_the_mean_over_principles() -> None:
    items = [Item("a", f"q{i}", {"pol"}, {"pol": True}) for i in range(30)]
    items += [Item("b", f"q{i}", {"pol"}, {"pol": i < 5}) for i in range(10)]
    items += [Item("b", "x", {"other"}, {"pol": False})]
    one = three_way(items, "pol", "pol")
    assert one is not None and one.rate == 0.75 and (one.n, one.principles) == (40, 2)
    assert one.interval.lo < 0.75 < one.interval.hi
    assert three_way(items, "nobody", "pol") is None


def test_relatives_are_told_by_their_family() -> None:
    groups = [
        answered(f"q{i}", {"smollm2-1.7b": True, "gpt-x": True}, model="smollm2-135m") for i in range(5)
    ]
    groups += [answered(f"q{i}", {"smollm2-1.7b": True, "gpt-x": False}, model="qwen-7b") for i in range(5)]
    found = consistency(LAW, groups)
    assert [one.judge for one in found.scores.own] == ["smollm2-1.7b"]
    with pytest.raises(UserError, match="no judge"):
        consistency(LAW, groups, own={"smollm": "qwen-7b"})


# -- order flips ------------------------------------------------------------------------------------


def compared(
    prompt: str, texts: tuple[str, str], better: str | None, judge: str = "j", reason: str = ""
) -> Group:
    samples = tuple(Sample(Context(prompt), Completion(text)) for text in texts)
    place = 0 if better is None else texts.index(better)
    one = Judgement(
        PairTarget(place, 1 - place),
        None if better is None else 1.0,
        verdict="abstained" if better is None else "judged",
        principle="honest",
        judge=judge,
        reason=reason,
    )
    return Group(samples, (one,), id=prompt)


def test_flips_between_two_groups() -> None:
    groups = []
    for i in range(20):
        groups.append(compared(f"q{i}", ("x", "y"), "x"))
        groups.append(compared(f"q{i}", ("y", "x"), "y" if i < 6 else "x"))  # six follow the place
    whole, one = order_flips(groups)
    assert (whole.pairs, whole.flips, whole.rate) == (20, 6, 0.3) and one.principle == "honest"
    assert whole.interval.lo < 0.3 < whole.interval.hi


def test_flips_that_the_judge_tells_itself() -> None:
    agree = [compared(f"q{i}", ("x", "y"), "x") for i in range(15)]
    disagree = [
        compared(f"d{i}", ("x", "y"), None, reason="the two orders disagree: first then second")
        for i in range(5)
    ]
    ties = [compared(f"t{i}", ("x", "y"), None, reason="tie: neither is better") for i in range(5)]
    whole = order_flips(agree + disagree + ties)[0]
    assert (whole.pairs, whole.flips) == (25, 5)


def test_one_order_alone_says_nothing() -> None:
    groups = [compared(f"q{i}", ("x", "y"), "x") for i in range(15)]
    assert order_flips(groups) == ()
    assert order_flips(groups, both_orders=True)[0].flips == 0


def test_a_real_pairwise_judge_is_read() -> None:
    """The abstention of the library's own judge is counted as a flip."""
    from charter.feedback.judging.opinion import judged
    from charter.feedback.judging.pairwise import _both

    opinion = _both([judged(True, ""), judged(True, "")])  # names the first place in both orders
    assert opinion.verdict == "abstained"
    group = compared("q", ("x", "y"), None, reason=opinion.reason)
    assert order_flips([group])[0].flips == 1


# -- input -------------------------------------------------------------------------------------------


def test_missing_verdicts_are_counted() -> None:
    groups = [answered("q1", {"a": None, "b": True}), answered("q2", {"a": True, "b": True})]
    graded = replace(said("honest", 0, True, "c"), value=0.4)
    groups.append(answered("q3", {}).with_judgements(graded))
    found = read_items(LAW, groups)
    assert found.left_out == {"a: abstained": 1, "c: a graded verdict": 1}
    assert sum("a" in item.said for item in found.of("")) == 1


def test_a_judge_that_contradicts_itself_is_left_out() -> None:
    groups = [answered("q1", {"a": True, "b": True}), answered("q1", {"a": False})]
    found = read_items(LAW, groups)
    assert found.left_out == {"one judge said both of the same answer": 1}
    assert [sorted(item.said) for item in found.of("honest") if item.models] == [["b"]]


def test_a_plain_prompt_is_a_user_turn() -> None:
    plain = answered("hello", {"a": True})
    turns = Sample(
        Context((Message("user", "hello"),)),
        Completion((Message("assistant", "pol answers hello"),), sampled_by="pol"),
    )
    items = read_items(LAW, [plain, Group((turns,), (said("honest", 0, False, "b"),), id="t")]).of("honest")
    assert [sorted(item.said) for item in items if item.models] == [["a", "b"]]


def test_judges_have_short_names() -> None:
    groups = [
        answered("q", {"org/m/per_principle@0a1b": True, "org/m/rubric@0a1b": True, "x/rubric@9f": False})
    ]
    assert read_items(LAW, groups).judges == ("org/m/per_principle@0a1b", "org/m/rubric@0a1b", "x")


def test_old_words_and_unknown_principles_are_refused() -> None:
    old = answered("q", {}).with_judgements(replace(said("honest", 0, True, "a"), principle_sha="old"))
    with pytest.raises(DataError, match="has changed"):
        read_items(LAW, [old])
    other = answered("q", {}).with_judgements(replace(said("honest", 0, True, "a"), principle="honst"))
    with pytest.raises(DataError, match="did you mean 'honest'"):
        read_items(LAW, [other])
    with pytest.raises(UserError, match="no verdicts"):
        consistency(LAW, [])


# -- the command line -----------------------------------------------------------------------------------


def test_command(tmp_path: Path) -> None:
    from charter.cli.main import app

    text = "---\nconstitution: 1\nname: house\nlevels: [user]\n---\n\n"
    text += "## Be honest {#honest authority=user}\n\nBe honest.\n"
    path = tmp_path / "house.constitution.md"
    path.write_text(text)
    sha = Constitution.load(path).principle("honest").sha
    groups, truth = planted({"pol": 0.05, "b": 0.05}, adherence=0.4)
    judged = [
        replace(g, judgements=tuple(replace(j, principle_sha=sha) for j in g.judgements)) for g in groups
    ]
    write_groups(tmp_path / "judged.jsonl", judged)
    labels = tmp_path / "labels.jsonl"
    rows = [
        {
            "principle": "honest",
            "prompt": g.samples[0].context.text,
            "completion": g.samples[0].completion.text,
            "label": right,
            "rater": f"r{k}",
        }
        for g, right in zip(groups, truth, strict=True)
        for k in range(2)
    ]
    labels.write_text("".join(json.dumps(row) + "\n" for row in rows))
    args = ["consistency", str(path), "--answers", str(tmp_path / "judged.jsonl"), "--labels", str(labels)]
    result = CliRunner().invoke(app, args)
    assert result.exit_code == 0, result.output
    assert "train" in result.output and "three-way consistency: pol passes" in result.output
    result = CliRunner().invoke(app, [*args, "--json", "--output", str(tmp_path / "c.json")])
    found = json.loads(result.stdout)
    assert found == json.loads((tmp_path / "c.json").read_text())
    assert found["principles"][0]["diagnosis"][0]["cause"] == "policy"
    assert found["corners"] == ["spec", "pol", "b", "people"]
    assert CliRunner().invoke(app, ["consistency", str(path)]).exit_code != 0
    assert CliRunner().invoke(app, [*args, "--own", "pol"]).exit_code != 0


def test_examples_can_be_written_for_judges(tmp_path: Path) -> None:
    from charter.cli.main import app
    from charter.records import read_groups

    result = CliRunner().invoke(app, ["consistency", "small", "--write-examples", str(tmp_path / "e.jsonl")])
    assert result.exit_code == 0, result.output
    groups = read_groups(tmp_path / "e.jsonl")
    small = Constitution.load("small")
    assert len(groups) == sum(len(e.comparisons) for p in small.principles for e in p.examples)
    spoken = [
        g.with_judgements(
            *(
                Judgement(SampleTarget(i), 1.0, principle=str(g.meta["principle"]), judge="yes-man")
                for i in range(len(g.samples))
            )
        )
        for g in groups
    ]
    pair = consistency(small, spoken).pair("spec", "yes-man")
    assert (
        pair is not None
        and pair.first_only == 0
        and pair.second_only > 0
        and pair.n == pair.both_pass + pair.second_only
    )


def test_lines_say_what_is_missing() -> None:
    groups, _ = planted({"a": 0.1, "b": 0.1}, n=40)
    told = list(lines(consistency(LAW, groups)))
    assert told[0] == "three-way consistency: not measured, no judge is the policy itself"
