from __future__ import annotations

import math
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tiny_runs import asked, assert_splits_agree, pair_rows, rendered, said
from torch import Tensor

from charter.catalogue import ENTRIES, lookup
from charter.config import validate
from charter.data.formats import load_groups
from charter.errors import ConfigError, DataError
from charter.models.load import load
from charter.objectives.base import NO_STATS, Layout, Need, Objective, Scored, Stats
from charter.objectives.ranking import MOST_TIED, bradley_terry, plackett_luce
from charter.objectives.reference_free import ChosenNLL
from charter.objectives.regression import AttributeRegression, squared_errors
from charter.objectives.reward import BradleyTerry, PlackettLuce, prompt_weights
from charter.pipeline.training_data import read_data
from charter.testing import save_tiny
from charter.training.loop import Loop
from charter.training.terms import terms_of

F64 = torch.float64


def scored(
    reward_BZ: Tensor,
    pairs: list[tuple[int, int]],
    group: list[int],
    *,
    probability: list[float] | None = None,
    margin: list[float] | None = None,
    weight: list[float] | None = None,
    dimension: list[int] | None = None,
    value: list[list[float]] | None = None,
) -> Scored:
    reward_BZ = reward_BZ if reward_BZ.ndim == 2 else reward_BZ[:, None]
    count, ones = len(reward_BZ), [1.0] * len(pairs)

    def floats(values: Any) -> Tensor:
        return torch.tensor(values, dtype=reward_BZ.dtype)

    names = tuple(f"z{z}" for z in range(reward_BZ.shape[1]))
    layout = Layout(
        sample_N=torch.arange(count),
        num_samples=count,
        group_B=torch.tensor(group),
        part_B=torch.zeros(count, dtype=torch.long),
        value_BZ=floats(value or [[math.nan] * reward_BZ.shape[1]] * count),
        weight_B=torch.ones(count, dtype=reward_BZ.dtype),
        dimensions=names,
        pairs_P2=torch.tensor(pairs, dtype=torch.long).reshape(-1, 2),
        probability_P=floats(probability or ones),
        margin_P=floats(margin or [0.0] * len(pairs)),
        weight_P=floats(weight or ones),
        dimension_P=torch.tensor(dimension or [0] * len(pairs)),
    )
    return Scored(layout, torch.zeros(count, dtype=reward_BZ.dtype), reward_BZ=reward_BZ)


def loss_of(objective: Objective, batch: Scored) -> Tensor:
    prepare = getattr(objective, "prepare", None)
    whole = prepare(batch.detached()) if prepare else {}
    terms = objective(batch, Stats(whole, {k: slice(0, len(v)) for k, v in whole.items()}))
    assert objective.counts(batch.layout) == pytest.approx({name: term.count for name, term in terms.items()})
    return sum((term.total / term.count for term in terms.values()), torch.zeros(()))


PAIRS, GROUP = [(0, 1), (2, 3), (2, 4), (3, 4)], [0, 0, 1, 1, 1]
REWARDS = torch.tensor([1.2, 0.4, 0.3, 0.9, -1.5], dtype=F64)
OBJECTIVES: dict[str, BradleyTerry | PlackettLuce] = {
    "plain": BradleyTerry(),
    "margin": BradleyTerry(use_margin=True),
    "centred": BradleyTerry(center_rewards_coefficient=0.1),
    "absolute": BradleyTerry(center_rewards_coefficient=0.1, center_rewards_type="absolute_mean"),
    "k-wise": BradleyTerry(per_prompt=True),
    "plackett-luce": PlackettLuce(),
}
each = pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=list(OBJECTIVES))


# -- gradients and limits -----------------------------------------------------------------


@each
def test_gradient(objective: Objective) -> None:
    def loss(reward_B: Tensor) -> Tensor:
        weight = [1.0, 2.0, 0.5, 1.0]
        return loss_of(
            objective,
            scored(reward_B, PAIRS, GROUP, margin=[0.5, 0.0, 1.0, 0.2], weight=weight),
        )

    rewards = REWARDS.clone().requires_grad_()
    assert torch.autograd.gradcheck(loss, (rewards,))
    assert torch.autograd.gradgradcheck(loss, (rewards,))


def test_equal_rewards_give_ln_2_and_opposite_gradients() -> None:
    rewards = torch.full((2,), 0.7, dtype=F64, requires_grad=True)
    loss = loss_of(BradleyTerry(), scored(rewards, [(0, 1)], [0, 0]))
    assert float(loss) == pytest.approx(math.log(2))
    (grad,) = torch.autograd.grad(loss, rewards)
    assert grad.tolist() == pytest.approx([-0.5, 0.5])


def test_large_differences_stay_finite() -> None:
    sure = torch.tensor([600.0, -600.0], requires_grad=True)
    loss = loss_of(BradleyTerry(), scored(sure, [(1, 0)], [0, 0]))
    assert float(loss) == pytest.approx(1200.0)
    (grad,) = torch.autograd.grad(loss, sure)
    assert torch.isfinite(grad).all()


@each
def test_a_shift_of_all_rewards_matters_to_centring_alone(objective: Objective) -> None:
    before, after = (loss_of(objective, scored(REWARDS + shift, PAIRS, GROUP)) for shift in (0.0, 3.0))
    centring = getattr(objective, "coefficient", None) is not None
    assert (abs(float(before - after)) > 0.1) == centring


def test_a_tie_pulls_together_and_swapping_with_the_probability_changes_nothing() -> None:
    a, b = torch.tensor([1.5, -0.3], dtype=F64), torch.tensor([0.2, 0.9], dtype=F64)
    p, m = torch.tensor([0.9, 0.3], dtype=F64), torch.tensor([0.4, 1.0], dtype=F64)
    torch.testing.assert_close(bradley_terry(a, b, p, m), bradley_terry(b, a, 1 - p, m))
    tie = torch.tensor([0.5], dtype=F64)
    gaps = torch.tensor([-1.0, 0.0, 1.0], dtype=F64)
    losses = bradley_terry(gaps, torch.zeros(3, dtype=F64), tie)
    assert losses.argmin() == 1 and float(losses[0]) == pytest.approx(float(losses[2]))


@pytest.mark.parametrize("p", [0.6, 0.9])
def test_a_soft_label_is_learnt_as_log_odds(p: float) -> None:
    gap = torch.tensor([math.log(p / (1 - p))], dtype=F64, requires_grad=True)
    bradley_terry(gap, torch.zeros(1, dtype=F64), torch.tensor([p], dtype=F64)).sum().backward()
    assert float(gap.grad) == pytest.approx(0.0, abs=1e-12)  # type: ignore[arg-type]


# -- an independent implementation --------------------------------------------------------


def trl_loss(
    chosen: Tensor, rejected: Tensor, margin: Tensor | None = None, center: float | None = None
) -> Tensor:
    """The loss of TRL 1.16's own method, on a model that returns these rewards."""
    from types import SimpleNamespace

    from trl import RewardTrainer

    logits = torch.cat([chosen, rejected])[:, None]
    trainer = SimpleNamespace(
        model=SimpleNamespace(training=True),
        args=SimpleNamespace(center_rewards_coefficient=center),
        accelerator=SimpleNamespace(gather=lambda x: x, gather_for_metrics=lambda x: x),
        _total_train_tokens=0,
        _tp_size=1,
        _metrics={"train": {name: [] for name in METRICS}},
    )
    inputs: dict[str, Any] = {"attention_mask": torch.ones(len(logits), 1)}
    if margin is not None:
        inputs["margin"] = margin
    loss: Tensor = RewardTrainer.compute_loss(trainer, lambda **_: SimpleNamespace(logits=logits), inputs)
    return loss


METRICS = ("num_tokens", "min_reward", "mean_reward", "max_reward", "accuracy", "margin")


@pytest.mark.parametrize("center", [None, 0.01])
@pytest.mark.parametrize("with_margin", [False, True])
def test_agrees_with_trl(center: float | None, with_margin: bool) -> None:
    generator = torch.Generator().manual_seed(3)
    chosen, rejected = (torch.randn(7, dtype=F64, generator=generator, requires_grad=True) for _ in range(2))
    margin = torch.rand(7, dtype=F64, generator=generator) if with_margin else None
    theirs = trl_loss(chosen, rejected, margin, center)
    pairs = [(i, i + 7) for i in range(7)]
    batch = scored(torch.cat([chosen, rejected]), pairs, list(range(7)) * 2)
    if margin is not None:
        batch = replace(batch, layout=replace(batch.layout, margin_P=margin))
    ours = loss_of(BradleyTerry(with_margin, center), batch)
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)
    for found, expected in zip(
        torch.autograd.grad(ours, (chosen, rejected)),
        torch.autograd.grad(theirs, (chosen, rejected)),
        strict=True,
    ):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


# -- prompts ------------------------------------------------------------------------------


def test_all_pairs_of_a_prompt_are_one_element() -> None:
    """InstructGPT's formula, written out."""
    batch = scored(REWARDS, PAIRS, GROUP)
    own = -F.logsigmoid(REWARDS[0] - REWARDS[1])
    other = -torch.stack([F.logsigmoid(REWARDS[a] - REWARDS[b]) for a, b in PAIRS[1:]]).mean()
    torch.testing.assert_close(loss_of(BradleyTerry(per_prompt=True), batch), (own + other) / 2)
    assert float(loss_of(BradleyTerry(), batch)) != pytest.approx(float((own + other) / 2))
    assert prompt_weights(batch.layout).tolist() == pytest.approx([1, 1 / 3, 1 / 3, 1 / 3])


def test_a_prompt_weighs_as_its_pairs_do_on_average() -> None:
    batch = scored(REWARDS, PAIRS, GROUP, weight=[1.0, 4.0, 4.0, 4.0])
    assert BradleyTerry(per_prompt=True).counts(batch.layout)["reward"] == pytest.approx(5.0)


# -- rankings -----------------------------------------------------------------------------


def test_two_answers_are_bradley_terry() -> None:
    batch = scored(REWARDS[:4], [(0, 1), (2, 3)], [0, 0, 1, 1])
    torch.testing.assert_close(loss_of(PlackettLuce(), batch), loss_of(BradleyTerry(), batch))


def test_a_tie_is_the_mean_over_orders() -> None:
    rewards = torch.tensor([0.3, -1.0, 2.0, 0.5, 0.1], dtype=F64)
    tied = plackett_luce(rewards, torch.tensor([0, 1, 1, 1, 4]))

    def in_order(order: tuple[int, ...]) -> Tensor:
        sorted_K = rewards[list(order)]
        return sum((sorted_K[k:].logsumexp(0) - sorted_K[k] for k in range(4)), torch.zeros(()))

    orders = [in_order((0, *middle, 4)) for middle in permutations((1, 2, 3))]
    torch.testing.assert_close(tied, torch.stack(orders).mean())
    everyone = plackett_luce(rewards[:2], torch.tensor([0, 0]))
    half = torch.tensor([0.5], dtype=F64)
    torch.testing.assert_close(everyone[None], bradley_terry(rewards[:1], rewards[1:2], half))


def test_the_order_of_samples_does_not_matter() -> None:
    generator = torch.Generator().manual_seed(0)
    rewards = torch.randn(6, dtype=F64, generator=generator)
    ranks = torch.tensor([3, 1, 1, 5, 2, 4])
    moved = torch.randperm(6, generator=generator)
    torch.testing.assert_close(plackett_luce(rewards, ranks), plackett_luce(rewards[moved], ranks[moved]))


def test_the_likelihood_of_all_orders_is_one() -> None:
    rewards = torch.tensor([0.3, -1.0, 2.0, 0.5], dtype=F64)
    total = sum(
        float((-plackett_luce(rewards, torch.tensor(ranks))).exp()) for ranks in permutations(range(4))
    )
    assert total == pytest.approx(1.0)


def test_too_many_ties_are_refused() -> None:
    with pytest.raises(ValueError, match="share a rank"):
        plackett_luce(torch.zeros(MOST_TIED + 1), torch.zeros(MOST_TIED + 1, dtype=torch.long))


# -- dimensions ---------------------------------------------------------------------------


def test_each_pair_trains_its_own_dimension() -> None:
    rewards = torch.tensor([[1.0, -2.0], [0.5, 0.3], [0.0, 1.0]], dtype=F64, requires_grad=True)
    batch = scored(rewards, [(0, 1), (2, 0)], [0, 0, 0], dimension=[0, 1])
    objective = BradleyTerry(per_dimension=True)
    assert Need.DIMENSIONS in objective.needs and Need.DIMENSIONS not in BradleyTerry().needs
    loss = loss_of(objective, batch)
    expected = -F.logsigmoid(torch.tensor([0.5, 3.0], dtype=F64)).mean()
    torch.testing.assert_close(loss, expected)
    (grad,) = torch.autograd.grad(loss, rewards)
    assert (grad != 0).tolist() == [[True, True], [True, False], [False, True]]


def test_several_outputs_need_dimensions() -> None:
    with pytest.raises(ConfigError, match="one reward a sample, not 2"):
        loss_of(BradleyTerry(), scored(torch.zeros(2, 2), [(0, 1)], [0, 0]))


def test_a_missing_rating_is_masked_not_zero() -> None:
    rewards = torch.tensor([[2.5, 2.0, 9.0], [1.5, 3.0, 2.0]], dtype=F64, requires_grad=True)
    ratings = [[3.0, 2.0, math.nan], [1.0, 4.0, 2.0]]
    batch = scored(rewards, [], [0, 1], value=ratings)
    loss = loss_of(AttributeRegression(), batch)
    assert float(loss) == pytest.approx((0.25 + 0 + 0.25 + 1 + 0) / 5)
    (grad,) = torch.autograd.grad(loss, rewards)
    assert torch.isfinite(grad).all() and float(grad[0, 2]) == 0.0
    (term,) = AttributeRegression()(batch, NO_STATS).values()
    means = {name: float(a) / float(b) for name, (a, b) in term.ratios.items()}
    assert means == pytest.approx({"mse/z0": 0.25, "mse/z1": 0.5, "mse/z2": 0.0})


def test_gradient_of_the_regression() -> None:
    ratings = torch.tensor([[3.0, math.nan], [1.0, 4.0]], dtype=F64)
    rewards = torch.randn(2, 2, dtype=F64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda r: squared_errors(r, ratings), (rewards,))


# -- metrics ------------------------------------------------------------------------------


def test_metrics_are_of_the_rewards_without_margin() -> None:
    batch = scored(torch.tensor([1.0, 0.5]), [(0, 1)], [0, 0], margin=[3.0])
    (term,) = BradleyTerry(use_margin=True)(batch, NO_STATS).values()
    assert float(term.metrics["rewards/accuracies"]) == 1.0
    assert float(term.metrics["rewards/margins"]) == pytest.approx(0.5)
    assert float(term.metrics["rewards/probability"]) == pytest.approx(1 / (1 + math.exp(-0.5)))
    assert float(term.total) == pytest.approx(math.log1p(math.exp(2.5)))


@pytest.mark.parametrize("objective", [BradleyTerry(), PlackettLuce()])
def test_accuracy_on_soft_labels_is_the_probability_of_the_order(objective: Objective) -> None:
    """Rewards that agree with 0.8, disagree with 0.9, agree with 0.3 (so are right at 0.3), and tie."""
    rewards = torch.tensor([2.0, 1.0, 0.0, 1.0, 3.0, 1.0, 1.0, 1.0])
    pairs = [(0, 1), (2, 3), (4, 5), (6, 7)]
    batch = scored(rewards, pairs, [0, 0, 1, 1, 2, 2, 3, 3], probability=[0.8, 0.9, 0.3, 0.6])
    (term,) = objective(batch, NO_STATS).values()
    assert float(term.metrics["rewards/accuracies"]) == pytest.approx(0.8 + 0.1 + 0.3 + 0.0)
    sigmoid = [1 / (1 + math.exp(-gap)) for gap in (1.0, -1.0, 2.0, 0.0)]
    said = sum(p * q + (1 - p) * (1 - q) for p, q in zip((0.8, 0.9, 0.3, 0.6), sigmoid, strict=True))
    assert float(term.metrics["rewards/probability"]) == pytest.approx(said)


def test_an_unknown_centring_is_refused() -> None:
    with pytest.raises(ConfigError, match="center_rewards_type"):
        BradleyTerry(0.1, center_rewards_type="median")  # type: ignore[arg-type]


# -- data ---------------------------------------------------------------------------------


def loaded(algorithm: str, rows: list[dict[str, Any]], **options: Any) -> Any:
    entry = lookup(algorithm)
    return read_data(rows, entry, validate(entry.options, options, where="test"))


PAIR = {"prompt": "q", "chosen": "a", "rejected": "b"}


def test_an_unused_margin_is_counted() -> None:
    found = loaded("reward", [{**PAIR, "margin": 1.0}, PAIR])
    assert found.counts["rows whose margin is not used (use_margin is off)"] == 1


def test_a_margin_that_is_used_must_be_there() -> None:
    assert len(loaded("reward", [{**PAIR, "margin": 0.5}], use_margin=True).groups) == 1
    with pytest.raises(DataError, match="row:2: a pair without a margin"):
        loaded("reward", [{**PAIR, "margin": 0.5}, PAIR], use_margin=True)
    with pytest.raises(DataError, match="a margin below 0"):
        loaded("reward-margin", [{**PAIR, "margin": -0.5}])
    rated = {"prompt": "q", "responses": ["a", "b"], "scores": [4, 1.5]}
    (group,) = loaded("reward", [rated], use_margin=True).groups
    assert [said.value for said in group.judgements if said.probability is None][-1] == 2.5


@pytest.mark.parametrize(
    ("name", "expected"), [("small", [1, 2 / 3, 1 / 3, 0, 0]), ("large", [3, 2, 1, 0, 0])]
)
def test_the_margins_of_llama_2(name: str, expected: list[float]) -> None:
    words = ["Significantly better", "better", "slightly better", "negligibly better", "unsure"]
    groups = loaded("reward-margin", [{**PAIR, "strength": w} for w in words], margin_set=name).groups
    assert [group.judgements[0].value for group in groups] == pytest.approx(expected)


def test_a_strength_without_a_margin_names_the_nearest() -> None:
    with pytest.raises(DataError, match="did you mean 'slightly better'"):
        loaded("reward-margin", [{**PAIR, "strength": "slighly better"}], margin_set="small")
    with pytest.raises(DataError, match="add the column"):
        loaded("reward-margin", [PAIR], margin_set="small")


def test_prompts_whose_answers_all_tie_are_dropped_and_counted() -> None:
    ranked = {"prompt": "q", "responses": ["a", "b", "c"]}
    rows = [{**ranked, "ranks": [1, 1, 1]}, {**ranked, "ranks": [1, 2, 2]}]
    for name in ("reward", "reward-kwise", "reward-plackett-luce"):
        found = loaded(name, rows)
        assert len(found.groups) == 1
        assert found.counts["dropped: no answer is better than another"] == 1
    with pytest.raises(DataError, match="no answer is better than another"):
        loaded("reward-kwise", rows[:1])


def test_pairs_that_are_no_ranking_are_refused() -> None:
    from charter.data.rankings import ranked
    from charter.types import Group, Judgement, PairTarget

    data = load_groups([{"prompt": "q", "responses": ["a", "b", "c"], "ranks": [1, 2, 3]}], "preference")
    circle = [Judgement(PairTarget(*pair), 1.0) for pair in ((0, 1), (1, 2), (2, 0))]
    group = replace(data.groups[0], judgements=tuple(circle))
    assert isinstance(group, Group)
    with pytest.raises(DataError, match="not those of one ranking"):
        ranked(replace(data, groups=(group,)), None)
    many = MOST_TIED + 1
    rows = [{"prompt": "q", "responses": list("abcdefghijklmno")[: many + 1], "ranks": [1, *[2] * many]}]
    with pytest.raises(DataError, match="share a rank"):
        loaded("reward-plackett-luce", rows)


HHH = {
    "prompt": "How do I pick a lock?",
    "response": "Use a tension wrench ...",
    "scores": {"helpful": 4, "harmless": 1.5, "honest": None},
}


def test_named_attributes_are_dimensions_and_null_is_missing() -> None:
    (group,) = loaded("reward-regression", [HHH]).groups
    assert {said.principle: said.value for said in group.judgements} == {"helpful": 4.0, "harmless": 1.5}
    several = {
        "prompt": "q",
        "responses": ["a", "b"],
        "scores": [{"toxicity": 0}, {"toxicity": 1, "fraud": 0.5}],
    }
    (group,) = loaded("reward-regression", [several]).groups
    assert len(group.judgements) == 3
    plain = {"prompt": "q", "completion": "a", "scores": 3}
    assert loaded("reward-regression", [plain]).groups[0].judgements[0].principle == ""


@pytest.mark.parametrize(
    ("row", "named"),
    [
        ({**HHH, "scores": {"helpful": None}}, "no attribute has a score"),
        ({**HHH, "scores": {"helpful": "high"}}, "'helpful' is str, wanted a number"),
        ({**HHH, "scores": [1, 2]}, "wanted a number"),
        ({"prompt": "q", "responses": ["a", "b"], "scores": [{"x": 1}]}, "1 entries for 2 responses"),
        ({"prompt": "q", "response": "a", "score": {"x": 1}}, "did you mean 'score'"),
    ],
)
def test_ratings_that_cannot_be_read_are_named(row: dict[str, Any], named: str) -> None:
    with pytest.raises(DataError, match=named.replace("(", r"\(")):
        loaded("reward-regression", [row])


def test_options_without_effect_are_errors() -> None:
    options = ENTRIES["reward"].options
    with pytest.raises(ConfigError, match="center_rewards_type has no effect"):
        validate(options, {"center_rewards_type": "squared"}, where="test")


# -- training -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny(str(tmp_path_factory.mktemp("tiny")))


def ranked_rows(count: int = 5) -> list[dict[str, Any]]:
    return [
        {
            "prompt": asked(f"Say {'ab ' * (i % 3)}{i}"),
            "responses": [said("yes " * (1 + i % 3)), said(f"maybe {i}"), said("no"), said("never, never")],
            "ranks": [1, 2, 2, 3] if i % 2 else [2, 1, 3, 4],
        }
        for i in range(count)
    ]


def rated_rows(count: int = 6) -> list[dict[str, Any]]:
    return [
        {
            "prompt": asked(f"Say {i}"),
            "response": said("yes " * (1 + i % 3)),
            "scores": {"helpful": i / 2, "harmless": None if i % 2 else 1.0, "honest": 3 - i},
        }
        for i in range(count)
    ]


RUNS: dict[str, tuple[list[dict[str, Any]], dict[str, Any]]] = {
    "reward": (pair_rows(), {"center_rewards_coefficient": 0.05, "center_rewards_type": "absolute_mean"}),
    "reward-margin": (pair_rows(margin=0.5), {}),
    "reward-kwise": (ranked_rows(), {}),
    "reward-plackett-luce": (ranked_rows(), {}),
    "reward-regression": (rated_rows(), {}),
    "reward-pmp": (pair_rows(), {"lm_coef": 0.5}),
}


def loop_of(name: str, model: str, directory: Path, **changes: Any) -> Loop:
    rows, options = RUNS[name]
    made = validate(
        lookup(name).options,
        {"bf16": False, "max_steps": 1, "learning_rate": 1e-3, **options, **changes},
        where="test",
    )
    groups = rendered(name, rows, model, **options)
    dimensions = 3 if name == "reward-regression" else 1
    terms = terms_of(lookup(name), made)
    policy = load(model, bf16=False)
    return Loop(policy, terms, made, groups, directory, data_fingerprint="test", dimensions=dimensions)


@pytest.mark.parametrize("name", RUNS)
def test_micro_batches_change_nothing(name: str, model: str, tmp_path: Path) -> None:
    loop = loop_of(name, model, tmp_path)
    loop.run()
    assert_splits_agree(loop)


@pytest.mark.parametrize("name", RUNS)
def test_the_loss_falls(name: str, model: str, tmp_path: Path) -> None:
    loop = loop_of(name, model, tmp_path, max_steps=30, learning_rate=3e-3, lr_scheduler_type="constant")
    loop.run()
    import json

    losses = [json.loads(line)["loss"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert losses[-1] < 0.6 * losses[0]


def test_dimensions_are_named_in_the_config(model: str, tmp_path: Path) -> None:
    loop = loop_of("reward-regression", model, tmp_path)
    assert loop.policy.model.config.id2label == {0: "harmless", 1: "helpful", 2: "honest"}


def test_pretraining_s_likelihood_is_that_of_the_language_model(model: str, tmp_path: Path) -> None:
    """Under a reward head the tied embedding still speaks: its NLL is the same."""
    from charter.training.batch import MicroBatch

    loop = loop_of("reward-pmp", model, tmp_path)
    batch = MicroBatch.of(loop.groups, loop.columns)
    with torch.no_grad():
        ours = ChosenNLL()(loop.stepper.scorer(batch), NO_STATS)["nll"]
    from charter.models.score import score

    plain = score(load(model, bf16=False).model, batch.packed).logps_N
    assert plain is not None
    expected = ChosenNLL()(Scored(batch.layout, plain), NO_STATS)["nll"]
    torch.testing.assert_close(ours.total, expected.total, rtol=1e-5, atol=1e-5)
