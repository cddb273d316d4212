from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tiny_runs import asked, assert_splits_agree, make_loop, rendered, said
from torch import Tensor

from charter.catalogue import lookup
from charter.config import validate
from charter.models.load import load
from charter.objectives.base import NO_STATS, Layout, Scored
from charter.objectives.generative import (
    both_orders,
    verdict_probability,
    vote,
)
from charter.objectives.reward import BradleyTerry
from charter.objectives.supervised import NLL
from charter.testing import save_tiny
from charter.training.batch import split
from charter.training.loop import Loop
from charter.training.terms import terms_of

PARTS = ("generate", "verify")


def batch(logps_N: Tensor, lengths: list[int], part: list[int], weight: list[float] | None = None) -> Scored:
    count = len(lengths)
    layout = Layout(
        sample_N=torch.repeat_interleave(torch.arange(count), torch.tensor(lengths)),
        num_samples=count,
        part_B=torch.tensor(part),
        parts=PARTS,
        weight_B=torch.tensor(weight or [1.0] * count, dtype=logps_N.dtype),
    )
    return Scored(layout, logps_N)


def mean_of(objective: Any, scored: Scored) -> Tensor:
    (term,) = objective(scored, NO_STATS).values()
    assert objective.counts(scored.layout) == pytest.approx(
        {next(iter(objective.counts(scored.layout))): term.count}
    )
    return term.total / term.count


# -- likelihood of one part -------------------------------------------------------------


def test_gradient_of_the_likelihood() -> None:
    logps = torch.tensor([-0.5, -1.0, -2.0, -0.1, -3.0], dtype=torch.float64, requires_grad=True)

    def loss(x: Tensor) -> Tensor:
        scored = batch(x, [2, 1, 2], [1, 0, 1], [1.0, 1.0, 0.3])
        return (
            mean_of(NLL(part="verify", name="verify", weighted=True), scored)
            + mean_of(NLL(part="generate", name="g", weighted=True), scored) / 3
        )

    assert torch.autograd.gradcheck(loss, (logps,))


def test_parts_have_means_of_their_own() -> None:
    logps = torch.tensor([-1.0, -2.0, -6.0], dtype=torch.float64)
    scored = batch(logps, [1, 1, 1], [1, 1, 0])
    assert float(mean_of(NLL(part="verify", name="verify", weighted=True), scored)) == 1.5
    assert float(mean_of(NLL(part="generate", name="generate", weighted=True), scored)) == 6.0


def test_a_part_that_is_not_in_the_batch_says_nothing() -> None:
    scored = batch(torch.tensor([-1.0]), [1], [1])
    assert NLL(part="generate", name="generate", weighted=True)(scored, NO_STATS) == {}
    assert NLL(part="generate", name="generate", weighted=True).counts(scored.layout) == {"generate": 0.0}


def test_with_equal_weights_it_is_plain_supervised_training() -> None:
    logps = torch.tensor([-0.5, -1.0, -2.0, -0.1], dtype=torch.float64)
    scored = batch(logps, [3, 1], [0, 1])
    scored = replace(scored, layout=replace(scored.layout, parts=("",), part_B=torch.zeros(2).long()))
    torch.testing.assert_close(mean_of(NLL(weighted=True), scored), mean_of(NLL(), scored))


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_soft_label_is_the_cross_entropy_against_it(share: float) -> None:
    """Asked twice, once for each verdict; at the optimum the model says Yes with that probability."""
    logit = torch.logit(torch.tensor(share, dtype=torch.float64)).requires_grad_()
    logps = torch.stack([F.logsigmoid(logit), F.logsigmoid(-logit)])
    loss = mean_of(
        NLL(part="verify", name="verify", weighted=True), batch(logps, [1, 1], [1, 1], [share, 1 - share])
    )
    loss.backward()
    assert float(logit.grad) == pytest.approx(0.0, abs=1e-12)  # type: ignore[arg-type]
    entropy = -share * math.log(share) - (1 - share) * math.log(1 - share)
    assert float(loss.detach()) == pytest.approx(entropy)


# -- reward after a critique ------------------------------------------------------------


def reward_batch(rewards: Tensor, pair_batch: Any, **more: Any) -> Scored:
    scored: Scored = pair_batch(torch.zeros(len(rewards)), None, lengths=[1] * len(rewards), **more)
    return replace(scored, reward_BZ=rewards[:, None])


def test_reward_gradient_and_limits(batch: Any) -> None:
    rewards = torch.tensor([1.2, 0.4, 0.3, 0.9], dtype=torch.float64, requires_grad=True)

    def loss(x: Tensor) -> Tensor:
        return mean_of(BradleyTerry(), reward_batch(x, batch, probability=[0.9, 1.0], weight=[1.0, 2.0]))

    assert torch.autograd.gradcheck(loss, (rewards,))
    equal = torch.tensor([0.7, 0.7])
    assert float(mean_of(BradleyTerry(), reward_batch(equal, batch))) == pytest.approx(math.log(2))


def test_reward_loss_is_trl_s_and_does_not_see_a_shift(batch: Any) -> None:
    rewards = torch.tensor([1.2, 0.4, 0.3, 0.9, -0.5, -1.5], dtype=torch.float64)
    theirs = -F.logsigmoid(rewards[0::2] - rewards[1::2]).mean()  # trl RewardTrainer.compute_loss
    torch.testing.assert_close(mean_of(BradleyTerry(), reward_batch(rewards, batch)), theirs)
    torch.testing.assert_close(mean_of(BradleyTerry(), reward_batch(rewards + 3, batch)), theirs)


def test_swapping_a_pair_with_its_probability_changes_nothing(batch: Any) -> None:
    rewards = torch.tensor([1.2, 0.4], dtype=torch.float64)
    one = mean_of(BradleyTerry(), reward_batch(rewards, batch, probability=[0.8]))
    other = mean_of(BradleyTerry(), reward_batch(rewards.flip(0), batch, probability=[0.2]))
    torch.testing.assert_close(one, other)


# -- verdicts ---------------------------------------------------------------------------


def test_the_two_verdicts_share_what_is_not_leaked() -> None:
    logps = torch.randn(5, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).log_softmax(-1)
    made, other = (verdict_probability(logps[:, a], logps[:, b]) for a, b in ((2, 7), (7, 2)))
    torch.testing.assert_close(made.among_Q + other.among_Q, torch.ones(5, dtype=torch.float64))
    torch.testing.assert_close(made.full_Q + other.full_Q + made.leaked_Q, torch.ones(5, dtype=torch.float64))
    torch.testing.assert_close(made.among_Q, made.full_Q / (made.full_Q + other.full_Q))


def test_verdicts_of_vanishing_probability_can_still_be_told_apart() -> None:
    made = verdict_probability(torch.tensor([-800.0]), torch.tensor([-801.0]))
    assert float(made.among_Q) == pytest.approx(1 / (1 + math.exp(-1)))
    assert float(made.leaked_Q) == 1.0


def test_both_orders_cancel_a_liking_for_the_first_place() -> None:
    taste, place = 0.8, 1.7  # log-odds
    is_a, is_b = torch.tensor([taste + place]), torch.tensor([taste - place])
    ours = both_orders(is_a.sigmoid(), is_b.sigmoid())
    turned = both_orders((-is_b).sigmoid(), (-is_a).sigmoid())
    torch.testing.assert_close(ours + turned, torch.ones(1))
    no_taste = both_orders(torch.tensor([place]).sigmoid(), torch.tensor([-place]).sigmoid())
    torch.testing.assert_close(no_taste, torch.tensor([0.5]))


def test_votes() -> None:
    scores = torch.tensor([[0.9, 0.2, 0.7, 0.5], [0.1, 0.1, 0.1, 0.99]])
    torch.testing.assert_close(vote(scores), scores.mean(-1))
    assert vote(scores, majority=True).tolist() == [0.625, 0.25]


# -- the whole training path ------------------------------------------------------------

LABELLED: list[dict[str, Any]] = [
    {
        "prompt": asked(f"What is {i} + 1?{' Think.' * (i % 3)}"),
        "completion": said(str(i + 1 + i % 2)),
        "label": i % 2 == 0,
        "weight": 1.0 + i,
    }
    for i in range(6)
]
PAIRS: list[dict[str, Any]] = [
    {
        "prompt": asked(f"What is {i} + 1?"),
        "chosen": said(str(i + 1)),
        "rejected": said(str(i)),
        "rationale": f"{{chosen}} is {i} and one.{' Yes.' * (i % 2)}",
        "chosen_critique": "It is right." + " Yes." * i,
        "rejected_critique": "It is wrong.",
    }
    for i in range(4)
]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny(str(tmp_path_factory.mktemp("tiny")))


@pytest.mark.parametrize(
    ("algorithm", "rows"),
    [("genrm", LABELLED), ("slic-pointwise", LABELLED), ("genrm-pairwise", PAIRS), ("slic-pairwise", PAIRS)],
)
def test_micro_batches_change_nothing(
    algorithm: str, rows: list[dict[str, Any]], tiny: str, tmp_path: Path
) -> None:
    assert_splits_agree(make_loop(algorithm, rows, tiny, tmp_path))


def cloud_loop(model: str, directory: Path, **options: Any) -> Loop:
    values = {"bf16": False, "max_steps": 1, "learning_rate": 1e-3, **options}
    made = validate(lookup("cloud").options, values, where="test")
    groups = rendered("cloud", PAIRS, model, **options)
    terms = terms_of(lookup("cloud"), made)
    policy = load(model, bf16=False)
    return Loop(policy, terms, made, groups, directory, data_fingerprint="test", dimensions=1)


def test_micro_batches_change_nothing_with_critiques(tiny: str, tmp_path: Path) -> None:
    loop = cloud_loop(tiny, tmp_path)
    loop.run()
    assert_splits_agree(loop)


def test_genrm_is_the_likelihood_of_the_verdict_under_transformers(tiny: str, tmp_path: Path) -> None:
    """Token by token, from a padded forward: no end of turn in the verdicts, all of it in the answers."""
    loop = make_loop("genrm", LABELLED, tiny, tmp_path, lambda_sft=0.25, max_steps=1)
    model, tokenizer = loop.policy.model, loop.policy.tokenizer
    verify, generate = [], []
    for row in LABELLED:
        question = [*row["prompt"], *row["completion"], *asked("Is the answer correct (Yes/No)?")]
        word = "Yes" if row["label"] else "No"
        theirs = reply_logps(model, tokenizer, question, word)[:-1]
        verify += [(float(x), row["weight"]) for x in theirs]
        if row["label"]:
            theirs = reply_logps(model, tokenizer, row["prompt"], row["completion"][0]["content"])
            generate += [(float(x), row["weight"]) for x in theirs]
    metrics = loop.stepper.evaluate(split(loop.groups, 100_000, loop.columns))
    assert metrics["loss/verify"] == pytest.approx(weighted(verify), rel=1e-5)
    assert metrics["loss/generate"] == pytest.approx(weighted(generate), rel=1e-5)
    assert metrics["loss"] == pytest.approx(weighted(verify) + 0.25 * weighted(generate), rel=1e-5)


def weighted(found: list[tuple[float, float]]) -> float:
    return -sum(x * w for x, w in found) / sum(w for _, w in found)


def reply_logps(model: Any, tokenizer: Any, turns: list[dict[str, str]], text: str) -> Tensor:
    head = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)
    ids = torch.tensor([head + tokenizer(text)["input_ids"] + [tokenizer.eos_token_id]])
    with torch.no_grad():
        logps = model(ids).logits[0, :-1].log_softmax(-1)
    return logps.gather(1, ids[0, 1:, None])[len(head) - 1 :, 0]


def test_training_a_verifier_teaches_it_the_verdict(tiny: str, tmp_path: Path) -> None:
    from charter.feedback.trained.verifier import Verifier
    from charter.types import Completion, Context, Group, Message, Sample

    rows = [
        {"prompt": asked(f"Ask {i}"), "completion": said(word * 3), "label": word == "ok"}
        for i in range(4)
        for word in ("ok", "bad")
    ]
    loop = make_loop("genrm", rows, tiny, tmp_path, max_steps=40, learning_rate=3e-3, lambda_sft=0.0)
    context = Context((Message("user", "Ask 9"),))
    samples = tuple(Sample(context, Completion((Message("assistant", w * 3),))) for w in ("ok", "bad"))
    ((good, bad),) = Verifier(loop.policy).judge([Group(samples)])
    assert good.probability is not None and bad.probability is not None
    assert good.probability > 0.9 > 0.1 > bad.probability


def test_a_reward_model_without_tied_embeddings_cannot_write_critiques(tmp_path: Path) -> None:
    from charter.errors import EnvironmentFault

    model = save_tiny(str(tmp_path / "untied"), tie_word_embeddings=False)
    with pytest.raises(EnvironmentFault, match="not tied"):
        cloud_loop(model, tmp_path / "run").run()
    loop = cloud_loop(model, tmp_path / "reward", lambda_lm=0.0)
    loop.run()  # without the critiques' likelihood nothing needs to be said
    assert loop.last["loss"] == pytest.approx(loop.last["loss/reward"])
