"""Parts of distilling: rows and sources, folds, features, the head."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from planted_principles import COIN, SHOUTS, constitution, tiny_policy

from charter.constitution import Constitution
from charter.data.packing import pack
from charter.errors import ConfigError, UserError
from charter.feedback.judging.distilled.features import Reader, Reading
from charter.feedback.judging.distilled.folds import folds_of
from charter.feedback.judging.distilled.head import Head, Penalty, Task, _Problem, fit, loss
from charter.feedback.judging.distilled.keys import answer_key, prompt_keys
from charter.feedback.judging.distilled.rows import (
    EXAMPLES,
    HUMAN,
    PAIRS_OF_A_PROMPT,
    RULES,
    Found,
    Item,
    Labelled,
    Preferred,
    rows_of,
)
from charter.feedback.judging.distilled.sources import from_examples, from_judgements, from_rules
from charter.feedback.judging.distilled.store import FeatureStore
from charter.models.score import hidden_states
from charter.testing import tiny_model, tiny_tokenizer
from charter.types import Completion, Context, Group, Judgement, Message, PairTarget, Sample, SampleTarget

LAW = constitution()
RULED = Constitution.from_text(
    "---\nconstitution: 1\nname: ruled\nlevels: [user]\n---\n# All {#all}\n"
    "## Short {#style.short authority=user}\nAnswers are short.\n\n```yaml rules\n"
    "all:\n  - length: {min_words: 1, max_words: 3}\n```\n"
)


def item(answer: str, prompt: str = "Why?", principle: str = SHOUTS) -> Item:
    return Item.of(principle, prompt, answer)


# -- rows ----------------------------------------------------------------------


def test_the_most_trusted_source_counts_and_every_other_is_counted() -> None:
    found = Found(
        [
            Labelled(item("a"), True, RULES),
            Labelled(item("a"), False, HUMAN),
            Labelled(item("b"), True, EXAMPLES),
            Labelled(item("b"), True, "judge:x"),
            Labelled(item(" "), True, HUMAN),
            Labelled(item("c"), True, "judge:x", 0.0),
        ]
    )
    rows = rows_of(found)
    assert rows.counts() == {
        SHOUTS: {
            EXAMPLES: {"good": 1, "bad": 0, "pairs": 0},
            HUMAN: {"good": 0, "bad": 1, "pairs": 0},
        }
    }
    assert rows.left_out == {
        "labels that contradict a more trusted source": 1,
        "labels that another source says as well": 1,
        "labels of empty answers": 1,
        "labels whose source is not sure at all": 1,
    }


def test_labels_of_one_conversation_are_pairs_and_not_too_many() -> None:
    good = [Labelled(item(f"good {i}"), True, RULES) for i in range(8)]
    bad = [Labelled(item(f"bad {i}"), False, RULES) for i in range(8)]
    elsewhere = [Labelled(item("bad", "Who?"), False, RULES)]
    rows = rows_of(Found([*good, *bad, *elsewhere]))
    assert len(rows.pairs) == PAIRS_OF_A_PROMPT
    assert all(rows.items[b].seen.answer[0].content.startswith("good") for b, *_ in rows.pairs)


def test_pairs_that_contradict_are_left_out() -> None:
    a, b = item("a"), item("b")
    rows = rows_of(
        Found(
            [Labelled(a, False, HUMAN), Labelled(b, True, HUMAN)],
            [Preferred(a, b, "judge:x"), Preferred(a, a, "judge:x")],
        )
    )
    assert [one[3] for one in rows.pairs] == [HUMAN]
    assert rows.left_out == {"pairs that are equal, empty, or contradict another": 2}


def test_the_order_of_the_sources_changes_nothing() -> None:
    found = from_examples(LAW)
    shuffled = Found(list(found.labelled), list(found.preferred))
    random.Random(0).shuffle(shuffled.labelled)
    random.Random(1).shuffle(shuffled.preferred)
    one, other = rows_of(found), rows_of(shuffled)
    assert (one.items, one.labelled, one.pairs) == (other.items, other.labelled, other.pairs)


# -- sources -------------------------------------------------------------------


def group(*answers: str, judgements: tuple[Judgement, ...] = ()) -> Group:
    return Group(tuple(Sample(Context("Why?"), Completion(one)) for one in answers), judgements)


def test_rules_label_completions() -> None:
    found = from_rules(RULED, [group("Because.", "Because it is so, you see.")])
    assert [(one.good, one.source) for one in found.labelled] == [(True, RULES), (False, RULES)]


def test_judgements_of_another_judge_count_by_how_sure_it_is() -> None:
    sha = LAW.principle(SHOUTS).sha
    said = (
        Judgement(SampleTarget(0), 1.0, probability=0.9, principle=SHOUTS, principle_sha=sha, judge="m"),
        Judgement(SampleTarget(1), 0.25, principle=SHOUTS, judge="m"),
        Judgement(PairTarget(0, 1), 0.6, principle=SHOUTS, judge="m"),
        Judgement(SampleTarget(0), 1.0, principle=SHOUTS, principle_sha="old", judge="m"),
        Judgement(SampleTarget(0), None, verdict="abstained", principle=SHOUTS, judge="m"),
        Judgement(SampleTarget(0), 1.0, principle="no.such", judge="m"),
        Judgement(SampleTarget(0), 1.0, principle=SHOUTS, judge="rule"),
    )
    found = from_judgements(LAW, [group("LOUD", "soft", judgements=said)])
    assert [(one.good, round(one.weight, 3), one.source) for one in found.labelled] == [
        (True, 0.8, "judge:m"),
        (False, 0.5, "judge:m"),
    ]
    assert len(found.preferred) == 1
    assert found.left_out == {
        "judgements under another wording of the principle": 1,
        "judgements without a verdict: abstained": 1,
        "judgements under a principle that the constitution does not have": 1,
    }


# -- keys and folds ------------------------------------------------------------


def test_a_longer_conversation_shares_its_prompt() -> None:
    first = (Message("user", "What is tea?"),)
    later = (*first, Message("assistant", "A drink."), Message("user", "And coffee?"))
    assert prompt_keys(first) & prompt_keys(later)
    assert prompt_keys(first) == prompt_keys((Message("user", " what is  TEA"),))
    assert answer_key((Message("assistant", "Yes, it is."),)) == answer_key(
        (Message("assistant", "yes it is"),)
    )
    assert answer_key((Message("assistant", "?!"),)) != answer_key((Message("assistant", "!!"),))


def test_prompts_stay_together_and_every_fold_is_dealt_alike() -> None:
    rows = rows_of(from_examples(LAW))
    folds = folds_of(rows, 4)
    by_prompt: dict[str, set[int]] = {}
    for one, fold in zip(rows.items, folds.fold, strict=True):
        for key in one.prompts:
            by_prompt.setdefault(key, set()).add(fold)
    assert all(len(found) == 1 for found in by_prompt.values())
    for id in (SHOUTS, COIN):
        mine = [fold for one, fold in zip(rows.items, folds.fold, strict=True) if one.principle == id]
        assert [mine.count(fold) for fold in range(4)] == [8, 8, 8, 8]


def test_an_answers_twin_in_another_fold_is_not_trained_on() -> None:
    labelled = [Labelled(item(f"answer {i}", f"Prompt {i}?"), i % 2 == 0, HUMAN) for i in range(8)]
    twins = [Labelled(item("The same!", f"Other {i}?"), i % 2 == 0, HUMAN) for i in range(4)]
    rows = rows_of(Found([*labelled, *twins]))
    folds = folds_of(rows, 4)
    for held_out in range(4):
        kept = folds.trained(rows, {held_out})
        out = {rows.items[i].answer for i, fold in enumerate(folds.fold) if fold == held_out}
        assert not out & {rows.items[i].answer for i in kept}


def test_one_prompt_cannot_be_held_out() -> None:
    with pytest.raises(UserError, match="nothing can be held out"):
        folds_of(rows_of(Found([Labelled(item("a"), True, HUMAN), Labelled(item("b"), False, HUMAN)])))


# -- features ------------------------------------------------------------------


def test_features_are_the_models_own_states_whatever_is_read_together() -> None:
    """Against transformers' hidden states of the layer that is read, under the model's last norm."""
    policy = tiny_policy()
    reader = Reader(policy, Reading(depth=0.5))
    seen = [item(text, prompt).seen for text, prompt in (("yes", "Is it?"), ("no, never", "Is it?"))]
    rendered = [reader.render("Be brief.", one) for one in seen]
    found = reader.read(rendered)
    for one, row in zip(rendered, found, strict=True):
        assert one.sample is not None
        ids = torch.tensor([[*one.sample.context.token_ids, *one.sample.completion.token_ids]])
        states = policy.model(ids, output_hidden_states=True).hidden_states[1][0]
        at = len(one.sample.context.token_ids) + np.flatnonzero(one.sample.completion.trained)
        expected = policy.model.model.norm(states[torch.from_numpy(at)]).mean(0)
        assert np.allclose(row, expected.detach().numpy(), atol=1e-5)
        assert np.allclose(Reader(policy, Reading(depth=0.5)).read([one])[0], row, atol=1e-5)
    assert len(policy.model.model.layers) == 2 and policy.model.config.num_hidden_layers == 2


@pytest.mark.parametrize("family", ["qwen2", "gemma3_text"])
def test_other_families_are_read_at_half_depth(family: str) -> None:
    policy = replace(tiny_policy(), model=tiny_model(0, family, max_position_embeddings=1024))
    reader = Reader(policy, Reading(depth=0.5))
    rendered = reader.render("Be brief.", item("It is a leaf.").seen)
    assert rendered.sample is not None
    found = reader.read([rendered])[0]
    packed = pack([rendered.sample])
    whole = hidden_states(policy.model, packed, torch.float32).mean(0).detach().numpy()
    assert found.shape == whole.shape and np.isfinite(found).all()
    assert not np.allclose(found, whole, atol=1e-3)


def test_both_poolings_stand_side_by_side() -> None:
    policy = tiny_policy()
    rendered = Reader(policy).render("Be brief.", item("It is a leaf.").seen)
    mean, last, both = (
        Reader(policy, Reading(pooling=p)).read([rendered])[0] for p in ("mean", "last", "both")
    )
    assert np.allclose(both, np.concatenate((mean, last)), atol=1e-6)
    assert not np.allclose(mean, last)


def test_what_the_model_cannot_read_is_said() -> None:
    reader = Reader(tiny_policy(), max_tokens=100)
    assert "longer than 100 tokens" in reader.render("Be brief.", item("word " * 80).seen).why
    plain = replace(tiny_policy(), tokenizer=tiny_tokenizer(None), _template=None)
    assert "template" in Reader(plain).render("Be brief.", item("word").seen).why
    with pytest.raises(ConfigError):
        Reading(depth=0.0)


def test_the_store_is_bounded_and_tells_models_apart(tmp_path: object) -> None:
    store = FeatureStore(None, "a", limit=2)
    store.put({"x": np.ones(3, dtype=np.float32), "y": np.zeros(3, dtype=np.float32)})
    store.put({"z": np.ones(3, dtype=np.float32)})
    assert set(store.get(["x", "y", "z"])) == {"x", "y"}
    assert not FeatureStore(None, "b").get(["x"])


# -- the head ------------------------------------------------------------------


def planted(n: int = 240, principles: int = 2, seed: int = 0) -> tuple[Task, np.ndarray]:
    """Principle 0 asks for the first feature, principle 1 for the second's opposite, both for the third."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 12))
    code = np.arange(n) % principles
    truth = np.where(code == 0, x[:, 0], -x[:, 1]) + x[:, 2]
    good = truth > 0
    rows = np.arange(n)
    none = np.empty(0, dtype=np.int64)
    return Task(x, code, principles, rows, good, np.ones(n), none, none, np.empty(0)), truth


def test_the_gradient_is_that_of_the_loss() -> None:
    task, _ = planted(40)
    order = np.argsort(task.x_ND[:, 0])
    task = replace(task, better=order[-6:], worse=order[:6], pair_weight=np.linspace(0.5, 1, 6))
    problem = _Problem(task, task.x_ND, np.arange(40), task.code_N, Penalty(0.1, 0.7))
    at = np.random.default_rng(1).normal(size=problem.size) * 0.1
    _, gradient = problem(at)
    for place in (0, 5, 15, 30, problem.size - 3, problem.size - 1):
        step = np.zeros(problem.size)
        step[place] = 1e-6
        slope = (problem(at + step)[0] - problem(at - step)[0]) / 2e-6
        assert gradient[place] == pytest.approx(slope, abs=1e-6)


def test_what_principles_ask_for_alone_needs_weights_of_their_own() -> None:
    task, _ = planted()
    new, truth = planted(2000, seed=1)

    def right(head: Head) -> float:
        return float(((head.logits(new.x_ND, new.code_N) > 0) == (truth > 0)).mean())

    shared, own = (right(fit(task, Penalty(1e-3, s))) for s in (0.0, 2.0))
    assert own > 0.9 > shared


def test_the_start_does_not_change_the_result_and_balance_holds() -> None:
    task, _ = planted(80)
    penalty = Penalty(0.01, 0.5)
    cold, warm = fit(task, penalty), fit(task, penalty, fit(task, Penalty(0.1, 0.5)))
    assert np.allclose(cold.logits(task.x_ND, task.code_N), warm.logits(task.x_ND, task.code_N), atol=1e-2)
    label, pair = task.balanced()
    assert label.sum() == pytest.approx(1) and pair.sum() == 0
    for p in (0, 1):
        mine = task.code_N == p
        assert label[mine & task.good].sum() == pytest.approx(label[mine & ~task.good].sum())


def test_a_stronger_penalty_stays_nearer_to_a_coin() -> None:
    task, _ = planted(80)
    sizes = [
        np.abs(fit(task, Penalty(r, 0.5)).logits(task.x_ND, task.code_N)).mean() for r in (1.0, 0.1, 0.01)
    ]
    assert sizes[0] < sizes[1] < sizes[2]
    assert loss(task, np.zeros(80)) == pytest.approx(np.log(2))
