from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_runs import asked, assert_splits_agree, rendered
from torch import Tensor

from charter.catalogue import lookup
from charter.config import validate
from charter.errors import ConfigError
from charter.models.load import load
from charter.objectives.base import NO_STATS, Layout, Scored, Term
from charter.objectives.process import (
    ProcessReward,
    Solution,
    math_shepherd_labels,
    solution_scores,
    step_loss,
)
from charter.testing import save_tiny
from charter.training.loop import Loop
from charter.training.terms import terms_of

SOLUTIONS: tuple[Solution, ...] = ("product", "min", "last")


def batch(
    logit_S: Tensor, label: list[float], sample: list[int], weight: list[float] | None = None
) -> Scored:
    dtype = logit_S.dtype
    layout = Layout(
        sample_N=torch.empty(0, dtype=torch.long),
        num_samples=max(sample) + 1,
        step_sample_S=torch.tensor(sample),
        step_value_S=torch.tensor(label, dtype=dtype),
        step_weight_S=torch.tensor(weight or [1.0] * len(label), dtype=dtype),
    )
    return Scored(layout, torch.empty(0, dtype=dtype), step_reward_SZ=logit_S[:, None])


def loss_of(scored: Scored) -> Tensor:
    (term,) = ProcessReward()(scored, NO_STATS).values()
    assert ProcessReward().counts(scored.layout) == {"step": term.count}
    return term.total / term.count


def test_gradient() -> None:
    logits = torch.tensor([1.5, -0.2, 0.3, -4.0], dtype=torch.float64, requires_grad=True)

    def loss(logit_S: Tensor) -> Tensor:
        return loss_of(batch(logit_S, [1.0, 0.0, 0.7, 0.0], [0, 0, 1, 1], [1.0, 2.0, 0.5, 1.0]))

    assert torch.autograd.gradcheck(loss, (logits,))
    assert torch.autograd.gradgradcheck(loss, (logits,))


def test_agrees_with_the_two_class_cross_entropy_of_trl() -> None:
    """TRL's PRM trainer classified tokens; its two logits enter by their difference alone."""
    logits_S2 = torch.randn(7, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    labels = [1, 0, 1, 1, 0, 1, 0]
    theirs = torch.nn.functional.cross_entropy(logits_S2, torch.tensor(labels))
    ours = loss_of(batch(logits_S2[:, 1] - logits_S2[:, 0], [float(x) for x in labels], [0] * 7))
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_limits() -> None:
    zero = torch.zeros(3, dtype=torch.float64)
    assert float(loss_of(batch(zero, [0.0, 1.0, 0.3], [0, 0, 0]))) == pytest.approx(math.log(2))
    sure = torch.tensor([60.0, -60.0], dtype=torch.float64)
    assert float(loss_of(batch(sure, [1.0, 0.0], [0, 0]))) < 1e-20
    assert float(loss_of(batch(sure, [0.0, 1.0], [0, 0]))) == pytest.approx(60.0)


@pytest.mark.parametrize("label", [0.1, 0.5, 0.85])
def test_a_soft_label_is_learnt_as_a_probability(label: float) -> None:
    logit = torch.logit(torch.tensor([label], dtype=torch.float64)).requires_grad_()
    step_loss(logit, torch.tensor([label], dtype=torch.float64)).sum().backward()
    assert float(logit.grad) == pytest.approx(0.0, abs=1e-15)  # type: ignore[arg-type]


def test_a_flipped_label_with_a_flipped_logit_is_the_same_loss() -> None:
    logits, labels = torch.tensor([0.4, -2.0, 1.1]), [1.0, 0.25, 0.0]
    torch.testing.assert_close(
        loss_of(batch(logits, labels, [0, 0, 0])), loss_of(batch(-logits, [1 - x for x in labels], [0, 0, 0]))
    )


def test_weights_count_as_repetitions() -> None:
    logits = torch.tensor([0.4, -2.0])
    weighted = loss_of(batch(logits, [1.0, 1.0], [0, 0], [2.0, 1.0]))
    torch.testing.assert_close(
        weighted, loss_of(batch(logits[[0, 0, 1]], [1.0, 1.0, 1.0], [0, 0, 0])), rtol=1e-6, atol=0
    )


def test_metrics_tell_right_steps_from_wrong_ones() -> None:
    scored = batch(torch.tensor([1.0, 2.0, -1.0, 3.0]), [1.0, 1.0, 1.0, 0.0], [0, 0, 0, 1])
    (term,) = ProcessReward()(scored, NO_STATS).values()
    assert isinstance(term, Term)
    assert float(term.metrics["steps/accuracy"]) == 2
    above, below = term.ratios["steps/accuracy_wrong"]
    assert (float(above), float(below)) == (0, 1)
    above, below = term.ratios["steps/accuracy_right"]
    assert (float(above), float(below)) == (2, 3)


def test_several_dimensions_are_refused() -> None:
    scored = replace(batch(torch.zeros(2), [1.0, 0.0], [0, 0]), step_reward_SZ=torch.zeros(2, 3))
    with pytest.raises(ConfigError, match="one dimension, not 3"):
        ProcessReward()(scored, NO_STATS)


# -- scores of solutions ----------------------------------------------------------------


@pytest.mark.parametrize("solution", SOLUTIONS)
def test_one_step_scores_its_probability(solution: Solution) -> None:
    logit = torch.tensor([0.7], dtype=torch.float64)
    torch.testing.assert_close(solution_scores(logit, torch.tensor([0]), 1, solution), logit.sigmoid())


@pytest.mark.parametrize("solution", SOLUTIONS)
def test_an_answer_without_steps_scores_one_and_moves_no_other(solution: Solution) -> None:
    logits = torch.tensor([0.7, -1.0, 2.0], dtype=torch.float64)
    together = solution_scores(logits, torch.tensor([0, 0, 2]), 3, solution)
    assert float(together[1]) == 1.0
    torch.testing.assert_close(together[:1], solution_scores(logits[:2], torch.tensor([0, 0]), 1, solution))
    torch.testing.assert_close(together[2:], logits[2:].sigmoid())


def test_product_is_at_most_the_minimum_and_ignores_the_order() -> None:
    logits = torch.randn(6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    one = torch.zeros(6, dtype=torch.long)
    product, least = (solution_scores(logits, one, 1, how) for how in ("product", "min"))
    assert product <= least
    shuffled = logits[torch.tensor([3, 0, 5, 1, 2, 4])]
    torch.testing.assert_close(solution_scores(shuffled, one, 1, "product"), product)
    torch.testing.assert_close(solution_scores(shuffled, one, 1, "min"), least)
    torch.testing.assert_close(solution_scores(logits, one, 1, "last")[0], logits[-1].sigmoid())


def test_unknown_solution() -> None:
    with pytest.raises(ConfigError, match="'mean'"):
        solution_scores(torch.zeros(1), torch.tensor([0]), 1, "mean")  # type: ignore[arg-type]


def test_math_shepherd_takes_integers() -> None:
    soft, hard = math_shepherd_labels(torch.tensor([[1, 0, 0, 0], [0, 0, 0, 0]]))
    assert soft.tolist() == [0.25, 0.0]
    assert hard.tolist() == [1.0, 0.0]


# -- the whole training path ------------------------------------------------------------

ROWS: list[dict[str, Any]] = [
    {
        "prompt": asked(f"What is {i} + {i + 1} + 3?"),
        "completions": [f"{i} + {i + 1} = {2 * i + 1}", *["so " * (i % 3 + 1)], f"+ 3 = {2 * i + 4 + i % 2}"],
        "labels": [True, None if i % 3 == 0 else 0.75, i % 2 == 0],
    }
    for i in range(6)
]


def loop_of(model: str, directory: Path, rows: list[dict[str, Any]] = ROWS, **options: Any) -> Loop:
    values = {"bf16": False, "max_steps": 1, "learning_rate": 1e-3, **options}
    made = validate(lookup("process-reward").options, values, where="test")
    groups = rendered("process-reward", rows, model, **options)
    terms = terms_of(lookup("process-reward"), made)
    return Loop(
        load(model, bf16=False), terms, made, groups, directory, data_fingerprint="test", dimensions=1
    )


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny(str(tmp_path_factory.mktemp("tiny")))


def test_micro_batches_change_nothing(tiny: str, tmp_path: Path) -> None:
    loop = loop_of(tiny, tmp_path)
    loop.run()
    assert_splits_agree(loop)


def test_the_loss_is_that_of_a_plain_forward_of_transformers(tiny: str, tmp_path: Path) -> None:
    """The head is read where the separator ends each labelled step, and nowhere else."""
    loop = loop_of(tiny, tmp_path)
    model, tokenizer = loop.policy.model, loop.policy.tokenizer
    newline = tokenizer("\n")["input_ids"]
    losses = []
    for row in ROWS:
        ids = list(
            tokenizer.apply_chat_template(row["prompt"], add_generation_prompt=True, return_dict=False)
        )
        at, labels = [], []
        for step, label in zip(row["completions"], row["labels"], strict=True):
            ids += tokenizer(step)["input_ids"] + newline
            if label is not None:
                at.append(len(ids) - 1)
                labels.append(float(label))
        hidden = model.model(torch.tensor([ids])).last_hidden_state[0, at]
        logits = model.score(hidden)[:, 0]
        losses.append(step_loss(logits, torch.tensor(labels)))
    expected = float(torch.cat(losses).mean().detach())
    metrics = loop.stepper._accumulate([*_whole(loop)])
    assert metrics["loss"] == pytest.approx(expected, rel=1e-5)


def _whole(loop: Loop) -> Any:
    from charter.training.batch import split

    return split(loop.groups, 100_000, loop.columns)


def test_training_learns_which_steps_are_wrong(tiny: str, tmp_path: Path) -> None:
    rows = [
        {
            "prompt": asked(f"Say {i}"),
            "completions": [f"yes {i}", f"no {i}", f"yes {i}{i}"],
            "labels": [True, False, True],
        }
        for i in range(6)
    ]
    loop = loop_of(tiny, tmp_path, rows, max_steps=30, learning_rate=3e-3)
    loop.run()
    after = loop.stepper.evaluate(_whole(loop))
    assert after["steps/accuracy_wrong"] == 1.0
    assert after["steps/accuracy"] == 1.0
    assert after["loss"] < 0.1
