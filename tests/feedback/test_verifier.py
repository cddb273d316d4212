from __future__ import annotations

import asyncio
import importlib.util
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from charter.data.formats import load_groups
from charter.data.questions import BETTER, CORRECT, CRITIQUE, about_answer
from charter.engines.base import Sampling
from charter.engines.local import LocalEngine
from charter.engines.scripted import ScriptedEngine
from charter.errors import ConfigError
from charter.feedback.trained.critiques import self_critiques
from charter.feedback.trained.ranker import PairwiseRanker
from charter.feedback.trained.verdict_scores import verdict_scores
from charter.feedback.trained.verifier import CritiqueScorer, Verifier
from charter.models.load import load
from charter.models.policy import Policy
from charter.models.reward import head_of, with_reward_head
from charter.testing import save_tiny
from charter.types import Completion, Context, Group, Judgement, Message, PairTarget, Sample, SampleTarget

PROMPTS = ("What is 2 + 2?", "Name a colour of the rainbow, please.")
ANSWERS = ("4", "It is five.", "Blue", "I would say four.", "No idea at all.")


def groups_of(*counts: int) -> list[Group]:
    """A group a prompt, with so many answers."""
    return [
        Group(
            tuple(
                Sample(Context((Message("user", prompt),)), Completion((Message("assistant", text),)))
                for text in ANSWERS[:count]
            )
        )
        for prompt, count in zip(PROMPTS, counts, strict=False)
    ]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    return load(save_tiny(str(tmp_path_factory.mktemp("tiny"))), bf16=False)


@pytest.fixture(scope="module")
def scorer(policy: Policy) -> Policy:
    """The same model with a reward head."""
    return replace(policy, model=with_reward_head(policy.model, 1, seed=3))


def turns_of(sample: Sample, ask: str) -> list[dict[str, str]]:
    context = about_answer(sample.context.content, sample.completion.content, ask)
    return [{"role": turn.role, "content": turn.content} for turn in context.content]  # type: ignore[union-attr]


def word_logp(policy: Policy, turns: list[dict[str, str]], text: str, word: str) -> float:
    """Log-prob of ``word`` at the end of a reply, from a plain forward of transformers."""
    head = policy.tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)
    ids = torch.tensor([head + policy.tokenizer(text + word)["input_ids"]])
    with torch.no_grad():
        logps = policy.model(ids).logits[0, :-1].log_softmax(-1).gather(1, ids[0, 1:, None])[:, 0]
    return float(logps[-len(word) :].sum())  # the tiny tokenizer has a token a byte


# -- one answer -------------------------------------------------------------------------


def test_scores_are_those_of_transformers(policy: Policy) -> None:
    groups = groups_of(3, 2)
    judged = Verifier(policy).judge(groups)
    assert [len(said) for said in judged] == [3, 2]
    for group, said in zip(groups, judged, strict=True):
        for index, (sample, one) in enumerate(zip(group.samples, said, strict=True)):
            yes, no = (word_logp(policy, turns_of(sample, CORRECT.ask), "", w) for w in CORRECT.words)
            expected = 1 / (1 + torch.tensor(no - yes).exp().item())
            assert one.target == SampleTarget(index)
            assert one.value == one.probability == pytest.approx(expected, rel=1e-4)
            assert one.judge == "verifier" and one.verdict == "judged"
            assert f"p(Yes) {torch.tensor(yes).exp().item():.3f}" in one.reason


@pytest.mark.parametrize("tokens", [1, 150, 400, 100_000])
def test_batches_do_not_change_scores(policy: Policy, tokens: int) -> None:
    whole = Verifier(policy).judge(groups_of(4, 3))
    parts = Verifier(policy, tokens=tokens).judge(groups_of(4, 3))
    for left, right in zip(whole, parts, strict=True):
        assert [one.value for one in left] == pytest.approx([one.value for one in right], rel=1e-4)


def test_other_words_and_plain_text(policy: Policy) -> None:
    question = replace(CORRECT, positive="Good", negative="Bad")
    group = Group((Sample(Context("2 + 2 ="), Completion(" 4")),))
    ((one,),) = Verifier(policy, question).judge([group])
    ((other,),) = Verifier(policy, replace(question, positive="Bad", negative="Good")).judge([group])
    assert one.value is not None and other.value is not None
    assert one.value + other.value == pytest.approx(1.0)
    assert "p(Good)" in one.reason


def test_it_is_a_feedback(policy: Policy) -> None:
    verifier = Verifier(policy)
    assert asyncio.run(verifier(groups_of(2))) == verifier.judge(groups_of(2))
    assert verifier.judge([]) == []


def test_leaked_probability_is_told(policy: Policy, capsys: pytest.CaptureFixture[str]) -> None:
    context = Context((Message("user", "q"),))
    (score,) = verdict_scores(policy, [context], CORRECT)
    assert score.leaked > 0.5
    assert "goes to neither 'Yes' nor 'No'" in capsys.readouterr().err


def test_critiques_are_sampled_and_their_verdicts_scored(policy: Policy) -> None:
    written = ["It adds up. Verification: and more", "Hm."]
    engine = ScriptedEngine(lambda text, sample: written[sample], policy.tokenizer)
    (sample,) = groups_of(1)[0].samples
    ((one,),) = Verifier(policy, engine=engine, critiques=2).judge([Group((sample,))])
    expected = []
    for critique in ("It adds up.", "Hm."):
        head = f"{critique}\nVerification: {CORRECT.ask} "
        yes, no = (word_logp(policy, turns_of(sample, CORRECT.think), head, w) for w in CORRECT.words)
        expected.append(1 / (1 + torch.tensor(no - yes).exp().item()))
    assert one.value == pytest.approx(sum(expected) / 2, rel=1e-4)
    assert one.reason.endswith("first critique: It adds up.") and one.reason.startswith("2 critiques")
    ((voted,),) = Verifier(policy, engine=engine, critiques=2, majority=True).judge([Group((sample,))])
    assert voted.value == sum(p > 0.5 for p in expected) / 2


def test_options_without_effect_are_refused(policy: Policy) -> None:
    with pytest.raises(ConfigError, match="no effect without an engine"):
        Verifier(policy, critiques=2)
    with pytest.raises(ConfigError, match="at least 1"):
        Verifier(policy, engine=ScriptedEngine({}), critiques=0)
    with pytest.raises(ConfigError, match="'some'"):
        PairwiseRanker(policy, pairs="some")  # type: ignore[arg-type]


# -- two answers ------------------------------------------------------------------------


def test_both_orders_make_a_comparison_fair(policy: Policy) -> None:
    a, b, c = groups_of(3)[0].samples
    ranker = PairwiseRanker(policy)
    forth, back, same, other = ranker.probabilities([(a, b), (b, a), (a, a), (a, c)])
    assert forth + back == pytest.approx(1.0)
    assert same == pytest.approx(0.5)
    assert abs(other - 0.5) > 1e-6
    assert ranker.probabilities([(a, c)]) == pytest.approx([other], rel=1e-4)


def test_all_pairs_are_judged_with_the_better_one_first(policy: Policy) -> None:
    group = groups_of(4)[0]
    (said,) = PairwiseRanker(policy).judge([group])
    pairs = [one for one in said if isinstance(one.target, PairTarget)]
    assert len(pairs) == 6
    wins = [0.0] * 4
    for one in pairs:
        assert isinstance(one.target, PairTarget) and one.probability is not None
        assert one.probability >= 0.5
        assert one.value == pytest.approx(2 * one.probability - 1)
        wins[one.target.better] += one.probability
        wins[one.target.worse] += 1 - one.probability
    scores = [one.value for one in said if isinstance(one.target, SampleTarget)]
    assert scores == pytest.approx([total / 3 for total in wins])


def test_a_tournament_judges_one_fewer_pairs_than_answers(policy: Policy) -> None:
    group = groups_of(5)[0]
    (said,) = PairwiseRanker(policy, pairs="tournament").judge([group])
    assert len(said) == 4
    (everyone,) = PairwiseRanker(policy).judge([group])
    known = {one.target: one.probability for one in everyone}
    for one in said:
        assert one.probability == pytest.approx(known[one.target], rel=1e-4)
    assert asyncio.run(PairwiseRanker(policy, BETTER)(groups_of(1))) == [[]]


# -- critique, then score ---------------------------------------------------------------


def test_the_reward_is_read_at_the_end_of_the_critique(scorer: Policy) -> None:
    written = ["Right.", "Well said."]
    engine = ScriptedEngine(lambda text, sample: written[sample], scorer.tokenizer)
    groups = groups_of(2, 1)
    judged = CritiqueScorer(scorer, engine, critiques=2).judge(groups)
    tokenizer, model = scorer.tokenizer, scorer.model
    for group, said in zip(groups, judged, strict=True):
        for sample, one in zip(group.samples, said, strict=True):
            turns = turns_of(sample, CRITIQUE)
            head = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)
            rewards = []
            for text in written:
                ids = torch.tensor([head + tokenizer(text)["input_ids"] + [tokenizer.eos_token_id]])
                with torch.no_grad():
                    hidden = model.model(ids).last_hidden_state[0, -1]
                    rewards.append(float(head_of(model)(hidden)[0]))
            assert one.value == pytest.approx(sum(rewards) / 2, rel=1e-4, abs=1e-5)
            assert (one.reason, one.probability) == ("Right.", None)
    assert [len(said) for said in judged] == [2, 1]


def test_a_reward_model_writes_its_own_critiques(scorer: Policy) -> None:
    """The decoder speaks through the tied embedding: stage 2 of critique-then-score."""
    engine = LocalEngine(scorer.model, scorer.tokenizer, compute_dtype=torch.float32)
    row: dict[str, Any] = {
        "prompt": [{"role": "user", "content": "2 + 2?"}],
        "chosen": [{"role": "assistant", "content": "4"}],
        "rejected": [{"role": "assistant", "content": "5"}],
    }
    groups = load_groups([row], "preference").groups
    sampling = Sampling(max_completion_length=6, temperature=0.0)
    (made,) = self_critiques(groups, engine, scorer.template, sampling)
    assert {name: made[name] for name in row} == row
    (again,) = self_critiques(groups, engine, scorer.template, sampling)
    assert made == again
    contexts = [about_answer(s.context.content, s.completion.content, CRITIQUE) for s in groups[0].samples]
    ids = [scorer.template.render_context(context.content) for context in contexts]
    sampled = engine.generate(
        [Context(c.content, i) for c, i in zip(contexts, ids, strict=True)], 1, sampling
    )
    texts = [group.samples[0].completion.text.strip() or "No comment." for group in sampled]
    assert [made["chosen_critique"], made["rejected_critique"]] == texts


def test_judgements_travel_with_their_groups(policy: Policy) -> None:
    group = groups_of(2)[0]
    (said,) = Verifier(policy).judge([group])
    assert group.with_judgements(*said).judgements == tuple(said)
    assert all(isinstance(one, Judgement) for one in said)


# -- the example ------------------------------------------------------------------------


def example() -> Any:
    path = Path(__file__).parents[2] / "examples" / "verifier_best_of_n.py"
    spec = importlib.util.spec_from_file_location("verifier_best_of_n", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_the_example_runs_on_the_tiny_model(tmp_path: Path) -> None:
    arguments = "--model tiny --pilot 1 --train-prompts 4 --train-samples 2 --test-prompts 3 --samples 4"
    result = example().main([*arguments.split(), "--output-dir", str(tmp_path)])
    assert json.loads((tmp_path / "verifier_best_of_n.json").read_text()) == json.loads(json.dumps(result))
    assert [p["n"] for p in result["curves"]["verifier"]] == [1, 2, 4]
    for points in result["curves"].values():
        assert all(0 <= p["low"] <= p["accuracy"] <= p["high"] <= 1 for p in points)
    assert (tmp_path / "verifier_best_of_n.svg").read_text().startswith("<svg")
    assert (tmp_path / "verifier" / "model").is_dir()


def test_the_example_s_estimates() -> None:
    module = example()
    # Three of four samples; ascending scores: wrong, right, wrong, right.
    assert module.best_of_n([False, True, False, True], 1) == 0.5
    assert module.best_of_n([False, True, False, True], 2) == pytest.approx(4 / 6)
    assert module.best_of_n([False, True, False, True], 4) == 1.0
    assert module.any_right([True, False, False, False], 2) == pytest.approx(0.5)
    one = module.Answered(module.Sum("2 + 2", 4), ("It is 4.", "4", "five", "2 + 2 = 5"))
    assert one.right == [True, True, False, False]
    assert module.majority(one, 4, __import__("random").Random(0)) == 1.0
    scores = [{"It is 4.": 0.9, "4": 0.4, "five": 0.5, "2 + 2 = 5": 0.1}]
    assert module.ranking_accuracy([one], scores) == 0.75
    curves = module.curves([one], scores, 0)
    assert curves["verifier"][-1]["accuracy"] == 1.0 == curves["oracle"][-1]["accuracy"]
