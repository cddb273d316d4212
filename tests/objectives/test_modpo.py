from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_runs import assert_splits_agree, make_loop, pair_rows, rendered
from torch import Tensor

from charter.catalogue import lookup
from charter.catalogue.weights import named_weights
from charter.config import validate
from charter.data.formats import load_groups
from charter.errors import ConfigError, DataError
from charter.objectives.base import NO_STATS, Scored, Term
from charter.objectives.modpo import MODPO, modpo_loss
from charter.objectives.preference import DPO
from charter.testing import save_tiny
from charter.training.batch import Columns, MicroBatch

Batch = Callable[..., Scored]
LENGTHS = [3, 1, 4, 2, 1, 5]
NAMES = ("", "kind", "safe")
RATINGS = [[0.5, -1.0], [0.1, 0.3], [0.0, 2.0], [0.4, 0.0], [1.0, 1.0], [0.2, 1.5]]
SCORES = {"chosen_scores": {"safe": 0.1, "kind": 0.5}, "rejected_scores": {"safe": 0.6, "kind": 0.2}}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny(str(tmp_path_factory.mktemp("tiny")))


def random(count: int, seed: int) -> Tensor:
    return -5 * torch.rand(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rated(scored: Scored, ratings: list[list[float]] = RATINGS) -> Scored:
    """The batch with ratings on the dimensions ``kind`` and ``safe``."""
    own = torch.full((len(ratings), 1), torch.nan, dtype=torch.float64)
    value_BZ = torch.cat([own, torch.tensor(ratings, dtype=torch.float64)], dim=1)
    made = replace(scored.layout, value_BZ=value_BZ, dimensions=NAMES)
    return Scored(made, scored.logps_N, scored.ref_logps_N)


def pairs(batch: Batch, logps_N: Tensor | None = None, **more: Any) -> Scored:
    logps_N = random(sum(LENGTHS), 0) if logps_N is None else logps_N
    return rated(batch(logps_N, random(sum(LENGTHS), 1), lengths=LENGTHS, **more))


def run(objective: MODPO | DPO, scored: Scored) -> Term:
    (term,) = objective(scored, NO_STATS).values()
    return term


def test_gradient_in_float64(batch: Batch) -> None:
    def loss(logps_N: Tensor) -> Tensor:
        soft = {"probability": [1, 0.8, 0.5], "weight": [1, 2, 0.5]}
        return run(MODPO(0.3, 0.6), pairs(batch, logps_N, **soft)).total

    assert torch.autograd.gradcheck(loss, random(sum(LENGTHS), 0).requires_grad_())


def test_without_other_ratings_it_is_dpo_with_beta_over_w(batch: Batch) -> None:
    scored = rated(pairs(batch), [[0.0, 0.0]] * len(LENGTHS))
    assert float(run(MODPO(0.3, 0.6), scored).total) == pytest.approx(
        float(run(DPO(0.3 / 0.6), scored).total), rel=1e-12
    )


def test_the_margin_is_the_weighted_difference(batch: Batch) -> None:
    found = MODPO(0.3, 0.5, ("kind=0.3", "safe=0.2")).margin(pairs(batch).layout)
    expected = [0.3 * 0.4 + 0.2 * -1.3, 0.3 * -0.4 + 0.2 * 2.0, 0.3 * 0.8 + 0.2 * -0.5]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))
    equal = MODPO(0.3, 0.5).margin(pairs(batch).layout)
    torch.testing.assert_close(equal, MODPO(0.3, 0.5, ("kind=0.25", "safe=0.25")).margin(pairs(batch).layout))


def test_others_that_disagree_ask_for_a_larger_margin() -> None:
    side, one = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    losses = [
        float(modpo_loss(side, side, torch.full_like(side, m), 0.1, 0.5, one)) for m in (-1.0, 0.0, 1.0)
    ]
    assert losses == sorted(losses)
    torch.testing.assert_close(losses[1], float(torch.tensor(2.0).log()))


def test_the_optimum_is_the_policy_of_the_weighted_reward(batch: Batch) -> None:
    """Soft labels of reward k, ratings of the other: ``ref * exp((w r_k + (1 - w) r_other) / beta)``."""
    own = torch.tensor([0.0, 0.5, -0.7, 1.2], dtype=torch.float64)
    other = torch.tensor([1.0, -0.5, 0.3, 0.2], dtype=torch.float64)
    ref = torch.tensor([0.1, -0.4, 0.6, -1.0], dtype=torch.float64).log_softmax(0)
    every = [(i, j) for i in range(4) for j in range(4) if i != j]
    chance = [float(torch.sigmoid(own[i] - own[j])) for i, j in every]
    logits = ref.clone().requires_grad_()
    optimizer = torch.optim.LBFGS(
        [logits], max_iter=300, tolerance_grad=1e-11, tolerance_change=1e-15, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        scored = batch(logits.log_softmax(0), ref, lengths=[1] * 4, pairs=every, probability=chance)
        value_BZ = torch.stack([torch.full_like(other, torch.nan), other], dim=1)
        made = replace(scored.layout, value_BZ=value_BZ, dimensions=("own", "other"))
        term = run(MODPO(0.7, 0.4), Scored(made, scored.logps_N, ref))
        (term.total / term.count).backward()
        return term.total

    optimizer.step(closure)
    optimal = (ref + (0.4 * own + 0.6 * other) / 0.7).softmax(0)
    torch.testing.assert_close(logits.detach().softmax(0), optimal, rtol=0, atol=1e-5)


def test_counts_split_and_weights(batch: Batch) -> None:
    whole = run(MODPO(0.3, 0.6), pairs(batch, weight=[1, 2, 0.5]))
    assert MODPO().counts(pairs(batch, weight=[1, 2, 0.5]).layout) == {"modpo": whole.count} == {"modpo": 3.5}
    margin = MODPO(0.3, 0.6).margin(pairs(batch).layout)
    assert float(whole.metrics["modpo/margin"]) == pytest.approx(
        float(margin @ torch.tensor([1, 2, 0.5]).double())
    )


def test_splits_of_a_step_change_nothing(tiny: str, tmp_path: Path) -> None:
    rows = [
        {
            **row,
            "chosen_scores": {"safe": 0.1 * i, "kind": 0.5},
            "rejected_scores": {"safe": 0.6, "kind": 0.2},
        }
        for i, row in enumerate(pair_rows())
    ]
    loop = make_loop("modpo", rows, tiny, tmp_path, w=0.6, beta=0.4)
    assert loop.columns.dimensions == ("", "kind", "safe")
    assert_splits_agree(loop)


# -- data and options ----------------------------------------------------------------


def test_scores_of_both_sides_become_judgements(tiny: str) -> None:
    groups = rendered("modpo", pair_rows(2, **SCORES), tiny)
    layout = MicroBatch.of(groups, Columns.of(groups, MODPO.needs)).layout
    assert layout.dimensions == ("", "kind", "safe")
    assert layout.value_BZ[:, 1:].tolist() == pytest.approx(
        [pytest.approx(v) for v in [[0.5, 0.1], [0.2, 0.6]] * 2]
    )
    assert layout.value_BZ[:, 0].isnan().all() and len(layout.pairs_P2) == 2


def test_scores_do_not_reach_other_methods(tiny: str) -> None:
    (group, *_) = rendered("cpo", pair_rows(2, **SCORES), tiny)
    layout = MicroBatch.of([group]).layout
    assert layout.pairs_P2.tolist() == [[0, 1]] and layout.weight_P.tolist() == [1.0]
    halves = load_groups(pair_rows(2, **SCORES), "unpaired").groups
    assert [group.judgements[0].value for group in halves] == [1.0, 0.0] * 2
    assert all(len(group.judgements) == 1 for group in halves)


MISSING = {**SCORES, "rejected_scores": {"safe": 0.6, "kind": None}}


@pytest.mark.parametrize(
    ("more", "options", "words"),
    [
        ({}, {}, "no answer is rated on another objective"),
        (MISSING, {}, "the worse answer has no score for kind"),
        ({**SCORES, "chosen_scores": {"safe": 1}}, {}, "the better answer has no score for kind"),
        ({**SCORES, "chosen_scores": [1]}, {}, "'chosen_scores' is list"),
        ({**SCORES, "chosen_scores": {"safe": "x"}}, {}, "'safe' is str, wanted a number"),
        (SCORES, {"w": 0.5, "margin_weights": ["saf=0.5"]}, "no answer is rated on 'saf'"),
        ({**SCORES, "principle": "safe"}, {"margin_weights": ["safe=0.5"]}, "is the objective of the pairs"),
    ],
)
def test_bad_data_is_found_without_a_model(
    more: dict[str, Any], options: dict[str, Any], words: str, tiny: str
) -> None:
    with pytest.raises(DataError, match=words):
        rendered("modpo", pair_rows(2, **more), tiny, **options)


def test_only_the_named_objectives_are_asked_for(tiny: str) -> None:
    assert rendered("modpo", pair_rows(2, **MISSING), tiny, margin_weights=["safe=0.5"])


def test_a_batch_without_the_ratings_is_an_error(batch: Batch) -> None:
    nan = float("nan")
    with pytest.raises(DataError, match="no rating on one of"):
        MODPO().margin(rated(pairs(batch), [[nan, 0.0]] * len(LENGTHS)).layout)
    with pytest.raises(DataError, match="no answer is rated on 'honest'"):
        MODPO(margin_weights=("honest=0.5",)).margin(pairs(batch).layout)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"w": 0.5, "margin_weights": ["a=0.2"]}, "sum to 0.7, not 1"),
        ({"w": 1.0}, "w"),
        ({"w": 0.0}, "w"),
        ({"margin_weights": ["a"]}, "must look like name=weight"),
        ({"margin_weights": ["a=0.2", "a=0.3"]}, "has two weights"),
    ],
)
def test_weights_are_shares(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        validate(lookup("modpo").options, options, where="test")


def test_named_weights() -> None:
    assert named_weights(["a=0.25", "b =1"]) == {"a": 0.25, "b": 1.0}
    with pytest.raises(ValueError, match="at least 0"):
        named_weights(["a=-1"])
