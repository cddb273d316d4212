"""Weights of undesirable answers by the density ratio of their prompts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from label_runs import Row, run_of
from training_setup import metrics_of

from charter.catalogue import lookup
from charter.catalogue.unpaired import BCOOptions
from charter.data.formats import load_groups
from charter.data.prepare import prepare
from charter.errors import ConfigError, DataError
from charter.models.load import load
from charter.models.policy import Policy
from charter.objectives.base import Stats
from charter.objectives.unpaired import BCO
from charter.testing import save_tiny
from charter.training.batch import MicroBatch
from charter.training.density import with_density_ratio
from charter.training.prompt_embedding import embed
from charter.types import Context, Group


@pytest.fixture(scope="module")
def policy(tiny: str) -> Policy:
    return load(tiny, bf16=False)


def options(**values: Any) -> BCOOptions:
    made = lookup("bco").options(udm=True, **values)
    assert isinstance(made, BCOOptions)
    return made


def groups_of(policy: Policy, rows: list[Row]) -> tuple[Group, ...]:
    return prepare(load_groups(rows, "unpaired"), policy.template).groups


def rows(kinds: str) -> list[Row]:
    """One row a letter: ``+`` and ``-`` are answers to sums, ``p`` and ``n`` to requests for poems."""
    sums, poems = "What is {i} + {j}?", "Write a long poem about {i} birds and {j} trees"
    return [
        {
            "prompt": (sums if kind in "+-" else poems).format(i=10 + i * 37 % 90, j=i * 7 % 10),
            "completion": f" answer {i}",
            "label": kind in "+p",
        }
        for i, kind in enumerate(kinds)
    ]


def weights(groups: Any) -> list[float]:
    return [said.weight for group in groups for said in group.judgements]


# -- embeddings --------------------------------------------------------------------------------


def test_an_embedding_is_the_mean_hidden_state_that_transformers_gives(policy: Policy) -> None:
    prompts = [tuple(range(20, 33)), (5,), (*range(20, 30), 9, 9)]
    found = embed(policy, [Context(token_ids=ids) for ids in prompts])
    for ids, row in zip(prompts, found, strict=True):
        with torch.no_grad():
            out = policy.model.model(input_ids=torch.tensor([ids])).last_hidden_state
        np.testing.assert_allclose(row, out[0].mean(0).numpy(), atol=1e-5)


def test_embeddings_do_not_depend_on_what_is_embedded_beside(
    policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    contexts = [Context(token_ids=tuple(range(i, i + 4 + i % 9))) for i in range(30)]
    together = embed(policy, contexts)
    monkeypatch.setattr("charter.training.prompt_embedding.TOKENS_AT_ONCE", 20)
    np.testing.assert_allclose(embed(policy, contexts), together, atol=1e-5)


def test_models_without_the_fast_forward_embed_too(tmp_path: Path) -> None:
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    folder = save_tiny(str(tmp_path / "neox"))
    config = GPTNeoXConfig(
        vocab_size=258,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        bos_token_id=256,
        eos_token_id=257,
    )
    torch.manual_seed(0)
    GPTNeoXForCausalLM(config).save_pretrained(folder)
    other = load(folder, bf16=False)
    found = embed(other, [Context(token_ids=(1, 2, 3, 4)), Context(token_ids=(7, 8))])
    with torch.no_grad():
        out = other.model.gpt_neox(input_ids=torch.tensor([[1, 2, 3, 4]])).last_hidden_state
    np.testing.assert_allclose(found[0], out[0].mean(0).numpy(), atol=1e-5)


# -- weights ------------------------------------------------------------------------------------


def test_undesirable_answers_to_prompts_like_the_desirable_ones_weigh_more(policy: Policy) -> None:
    """Desirable: sums. Undesirable: a few sums, and many poems."""
    made = rows("+" * 40 + "-" * 10 + "n" * 40)
    found = weights(with_density_ratio(groups_of(policy, made), options(), policy))
    good, sums, poems = found[:40], found[40:50], found[50:]
    assert good == [1.0] * 40
    assert min(sums) > 2 * max(poems) and np.mean(poems) == pytest.approx(0.5, abs=0.05)
    assert max(found) <= 10.0 and min(found) >= 0.5


def test_the_same_prompts_in_both_kinds_weigh_1(policy: Policy, capsys: pytest.CaptureFixture[str]) -> None:
    made = [{**row, "label": label} for row in rows("+" * 12) for label in (True, False)]
    assert weights(with_density_ratio(groups_of(policy, made), options(), policy)) == pytest.approx(
        [1.0] * 24
    )
    assert "no better than chance: all weights are 1" in capsys.readouterr().err


def test_ratios_stay_between_their_bounds(policy: Policy) -> None:
    made = rows("+" * 40 + "-" * 10 + "n" * 40)
    bounds = {"min_density_ratio": 0.8, "max_density_ratio": 1.5}
    found = weights(with_density_ratio(groups_of(policy, made), options(**bounds), policy))
    assert min(found) == 0.8 and max(found) == 1.5


def test_a_rows_own_weight_is_multiplied(policy: Policy) -> None:
    made = rows("+" * 20 + "-" * 5 + "n" * 20)
    plain = weights(with_density_ratio(groups_of(policy, made), options(), policy))
    double = [{**row, "weight": 2.0} for row in made]
    found = with_density_ratio(groups_of(policy, double), options(), policy)
    assert weights(found) == pytest.approx([2 * weight for weight in plain])


def test_it_is_said_how_well_prompts_are_told_apart(
    policy: Policy, capsys: pytest.CaptureFixture[str]
) -> None:
    with_density_ratio(groups_of(policy, rows("+" * 30 + "n" * 20 + "-" * 10)), options(), policy)
    said = capsys.readouterr().err
    assert "had not seen were told apart (chance is 50%)" in said
    assert "undesirable answers weigh 0.5 to" in said


def test_the_sample_size_bounds_what_is_fitted(policy: Policy) -> None:
    groups = groups_of(policy, rows("+" * 30 + "-" * 10 + "n" * 30))
    few = weights(with_density_ratio(groups, options(prompt_sample_size=5), policy))
    assert few != weights(with_density_ratio(groups, options(), policy))
    assert few == weights(with_density_ratio(groups, options(prompt_sample_size=5), policy))


def test_without_udm_nothing_is_done(policy: Policy) -> None:
    groups = groups_of(policy, rows("+n"))
    made = lookup("bco").options()
    assert isinstance(made, BCOOptions)
    assert with_density_ratio(groups, made) is groups


@pytest.mark.parametrize("kinds", ["++", "nn"])
def test_one_kind_alone_is_an_error(kinds: str, policy: Policy) -> None:
    with pytest.raises(DataError, match=r"all 2 answers are (un)?desirable"):
        with_density_ratio(groups_of(policy, rows(kinds)), options(), policy)


def test_udm_needs_a_policy_and_prompts(policy: Policy) -> None:
    with pytest.raises(ConfigError, match="embeds prompts with the policy"):
        with_density_ratio(groups_of(policy, rows("+n")), options())
    bare = [
        replace(group, samples=tuple(replace(sample, context=Context()) for sample in group.samples))
        for group in groups_of(policy, rows("+n"))
    ]
    with pytest.raises(DataError, match="this row has none"):
        with_density_ratio(bare, options(), policy)


# -- through a run ---------------------------------------------------------------------------------


def test_a_run_trains_on_the_weights(tiny: str, tmp_path: Path) -> None:
    made = rows("+" * 20 + "-" * 5 + "n" * 20)
    changes = {"per_device_train_batch_size": 45, "max_steps": 2}
    run_of(tiny, tmp_path / "plain", "bco", made, **changes).run()
    loop = run_of(tiny, tmp_path / "udm", "bco", made, udm=True, **changes)
    loop.run()
    assert len(set(weights(loop.groups))) > 2
    plain, weighted = (metrics_of(tmp_path / name) for name in ("plain", "udm"))
    assert weighted[0]["loss"] == pytest.approx(plain[0]["loss"], abs=1e-6)  # ln 2, whatever the weights
    assert weighted[1]["loss"] != pytest.approx(plain[1]["loss"], abs=1e-6)


def test_the_shift_is_of_the_weighted_answers(tiny: str, tmp_path: Path) -> None:
    loop = run_of(tiny, tmp_path, "bco", rows("+" * 20 + "-" * 5 + "n" * 20), udm=True, max_steps=2)
    batch = MicroBatch.of(loop.groups, loop.columns)
    (objective,) = loop.state.remembering
    assert isinstance(objective, BCO)
    loop.run()
    scored = loop.stepper.scorer(batch).detached()
    objective.load_state({})
    objective.update(Stats(objective.prepare(scored)))
    reward_B, weight_B, value_B = scored.logratios_B * 0.1, scored.layout.weight_B, scored.layout.value_B
    bad_B = weight_B * (value_B == 0)
    assert bad_B.sum() != (value_B == 0).sum()
    expected = (reward_B[value_B == 1].mean() + (bad_B * reward_B).sum() / bad_B.sum()) / 2
    assert objective.delta == pytest.approx(float(expected), rel=1e-5)
