"""SFT and DPO learn, leave alone what they should, and save what plain transformers and peft load."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from torch import Tensor
from training_setup import assert_same_bits, make_loop, metrics_of
from transformers import AutoModelForCausalLM, AutoTokenizer

from charter.data.packing import pack
from charter.errors import EnvironmentFault, TrainingFault, UserError
from charter.models.load import load
from charter.models.policy import Policy
from charter.models.save import save_policy
from charter.models.score import score
from charter.types import Group, Sample

LORA = {"use_peft": True, "learning_rate": 1e-2, "lora_r": 4}


def samples_of(groups: tuple[Group, ...]) -> list[Sample]:
    return [sample for group in groups for sample in group.samples]


def policy_logps(policy: Policy, samples: list[Sample]) -> Tensor:
    with torch.no_grad():
        found = score(policy.model, pack(samples), compute_dtype=policy.compute_dtype).logps_N
    assert found is not None
    return found


def plain_logps(model: Any, samples: list[Sample]) -> Tensor:
    """Each sample alone through the model's own forward."""
    parts = []
    for sample in samples:
        ids = torch.tensor([[*sample.context.token_ids, *sample.completion.token_ids]])
        with torch.no_grad():
            logps = torch.log_softmax(model(input_ids=ids).logits[0, :-1].float(), -1)
        picked = logps.gather(1, ids[0, 1:, None])[:, 0]
        parts.append(picked[len(sample.context.token_ids) - 1 :])
    return torch.cat(parts)


@pytest.mark.parametrize("changes", [{}, LORA], ids=["full", "lora"])
@pytest.mark.parametrize("algorithm", ["sft", "dpo"])
def test_the_loss_falls_and_the_model_saved_is_the_model_trained(
    algorithm: str, changes: dict[str, Any], tiny: str, tmp_path: Path
) -> None:
    loop = make_loop(tiny, tmp_path, algorithm, max_steps=8, **changes)
    result = loop.run()
    losses = [row["loss"] for row in metrics_of(tmp_path)]
    assert losses[-1] < 0.8 * losses[0]
    assert (result.steps, result.planned, result.stopped_by) == (8, 8, "end of data")
    assert loop.policy.version == 8

    samples = samples_of(loop.groups)
    trained = policy_logps(loop.policy, samples)
    before = policy_logps(load(tiny, bf16=False), samples)
    assert (trained - before).abs().max() > 0.1
    plain = AutoModelForCausalLM.from_pretrained(tiny if changes else tmp_path / "model")
    if changes:
        plain = PeftModel.from_pretrained(plain, str(tmp_path / "model"))
    torch.testing.assert_close(plain_logps(plain.eval(), samples), trained, rtol=0, atol=2e-5)
    ours = policy_logps(load(str(tmp_path / "model"), bf16=False), samples)
    torch.testing.assert_close(ours, trained, rtol=0, atol=1e-6)
    assert AutoTokenizer.from_pretrained(tmp_path / "model").chat_template


@pytest.mark.parametrize("changes", [{}, LORA], ids=["full", "lora"])
def test_dpo_starts_at_ln_2(changes: dict[str, Any], tiny: str, tmp_path: Path) -> None:
    make_loop(tiny, tmp_path, "dpo", max_steps=1, **changes).run()
    (row,) = metrics_of(tmp_path)
    assert row["loss"] == pytest.approx(math.log(2), abs=1e-5)
    assert row["rewards/margins"] == pytest.approx(0, abs=1e-5)


def test_dpo_in_bfloat16_starts_near_ln_2_and_learns(tiny: str, tmp_path: Path) -> None:
    make_loop(tiny, tmp_path, "dpo", bf16=True, policy=load(tiny), **LORA).run()
    losses = [row["loss"] for row in metrics_of(tmp_path)]
    assert losses[0] == pytest.approx(math.log(2), abs=0.02)
    assert losses[-1] < 0.3


def test_lora_leaves_the_base_alone(tiny: str, tmp_path: Path) -> None:
    loop = make_loop(tiny, tmp_path, "sft", **LORA)
    loop.run()
    names = {
        key.replace(".base_layer.", ".").removeprefix("base_model.model."): key
        for key in base_of(loop.policy)
    }
    fresh = load(tiny, bf16=False).model.state_dict()
    assert_same_bits({k: base_of(loop.policy)[v] for k, v in names.items()}, dict(fresh))
    assert all("lora_" in name for name in loop.policy.trainable())
    assert all(p.dtype == torch.float32 for p in loop.policy.trainable().values())


def base_of(policy: Policy) -> dict[str, Tensor]:
    return {k: v for k, v in policy.model.state_dict().items() if "lora_" not in k}


def test_lora_in_bfloat16_trains_a_float32_adapter_over_a_bfloat16_base(tiny: str, tmp_path: Path) -> None:
    loop = make_loop(tiny, tmp_path, "sft", bf16=True, policy=load(tiny), **LORA)
    assert {v.dtype for v in base_of(loop.policy).values()} == {torch.bfloat16}
    assert {p.dtype for p in loop.policy.trainable().values()} == {torch.float32}
    assert loop.policy.model.get_base_model().model.rotary_emb.inv_freq.dtype == torch.float32


def test_full_training_in_bfloat16_keeps_float32_master_weights(tiny: str, tmp_path: Path) -> None:
    loop = make_loop(tiny, tmp_path, "sft", bf16=True, policy=load(tiny), max_steps=2)
    loop.run()
    assert {p.dtype for p in loop.policy.trainable().values()} == {torch.float32}
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "model", dtype="auto").dtype == torch.float32


def test_a_second_adapter_is_saved_with_the_base_it_stands_on(tiny: str, tmp_path: Path) -> None:
    """SFT with LoRA, then DPO with LoRA: neither the first adapter nor the way to it is lost."""
    make_loop(tiny, tmp_path / "first", "sft", **LORA).run()
    first = str(tmp_path / "first" / "model")
    loop = make_loop(first, tmp_path / "second", "dpo", **LORA)
    samples = samples_of(loop.groups)
    torch.testing.assert_close(
        policy_logps(loop.policy, samples), policy_logps(load(first, bf16=False), samples), rtol=0, atol=1e-5
    )
    loop.run()
    assert metrics_of(tmp_path / "second")[0]["loss"] == pytest.approx(math.log(2), abs=1e-5)
    trained = policy_logps(loop.policy, samples)

    (tmp_path / "second").rename(tmp_path / "moved")  # the base is found where the adapter is
    again = load(str(tmp_path / "moved" / "model"), bf16=False)
    torch.testing.assert_close(policy_logps(again, samples), trained, rtol=0, atol=1e-5)
    base = AutoModelForCausalLM.from_pretrained(tmp_path / "moved" / "model" / "base")
    plain = PeftModel.from_pretrained(base, str(tmp_path / "moved" / "model")).eval()
    torch.testing.assert_close(plain_logps(plain, samples), trained, rtol=0, atol=2e-5)


def test_an_adapter_on_a_model_trained_in_this_process_is_saved_with_its_base(
    tiny: str, tmp_path: Path
) -> None:
    first = make_loop(tiny, tmp_path / "first", "sft")
    first.run()
    loop = make_loop(tiny, tmp_path / "second", "dpo", policy=first.policy, **LORA)
    loop.run()
    samples = samples_of(loop.groups)
    again = load(str(tmp_path / "second" / "model"), bf16=False)
    torch.testing.assert_close(
        policy_logps(again, samples), policy_logps(loop.policy, samples), rtol=0, atol=1e-5
    )


def test_an_ordinary_adapter_names_its_base_and_does_not_carry_it(tiny: str, tmp_path: Path) -> None:
    make_loop(tiny, tmp_path, "sft", max_steps=1, **LORA).run()
    assert not (tmp_path / "model" / "base").exists()
    assert f'"base_model_name_or_path": "{tiny}"' in (tmp_path / "model" / "adapter_config.json").read_text()


def test_dropout_acts_in_training_and_nowhere_else(tiny: str, tmp_path: Path) -> None:
    from training_setup import answers

    plain = make_loop(tiny, tmp_path / "plain", "sft", eval_rows=answers(3), eval_steps=1, **LORA)
    plain.run()
    loop = make_loop(
        tiny, tmp_path / "drop", "sft", eval_rows=answers(3), eval_steps=1, lora_dropout=0.5, **LORA
    )
    loop.run()
    rows, undropped = metrics_of(tmp_path / "drop"), metrics_of(tmp_path / "plain")
    assert rows[0]["loss"] == undropped[0]["loss"]  # the adapter is still zero
    assert rows[2]["loss"] != undropped[2]["loss"]
    assert not loop.policy.model.training
    batches = [loop.stepper.evaluate([batch]) for batch in _batches(loop) for _ in range(2)]
    assert batches[0] == batches[1]


def _batches(loop: Any) -> list[Any]:
    from charter.training.batch import split

    return split(loop.eval_groups, 8192)


def test_evaluating_on_the_way_changes_nothing(tiny: str, tmp_path: Path) -> None:
    from training_setup import answers, weights_of

    changes = {**LORA, "lora_dropout": 0.3}
    without = make_loop(tiny, tmp_path / "without", "sft", **changes)
    without.run()
    with_it = make_loop(tiny, tmp_path / "with", "sft", eval_rows=answers(4), eval_steps=2, **changes)
    with_it.run()
    assert_same_bits(weights_of(without.policy), weights_of(with_it.policy))
    rows = metrics_of(tmp_path / "with")
    assert [row["step"] for row in rows if "eval_loss" in row] == [2, 4, 6]
    assert rows[-1]["eval_loss"] < rows[1]["eval_loss"]


def test_the_caller_s_random_numbers_are_left_alone_and_do_not_matter(tiny: str, tmp_path: Path) -> None:
    from training_setup import weights_of

    changes = {**LORA, "lora_dropout": 0.3}
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    one = make_loop(tiny, tmp_path / "one", "sft", **changes)
    one.run()
    assert torch.equal(torch.rand(3), expected)
    two = make_loop(tiny, tmp_path / "two", "sft", **changes)
    two.run()
    assert_same_bits(weights_of(one.policy), weights_of(two.policy))
    other = make_loop(tiny, tmp_path / "other", "sft", seed=7, **changes)
    other.run()
    assert not torch.equal(*(next(iter(weights_of(x.policy).values())) for x in (one, other)))


def test_the_order_of_rows_is_another_in_every_epoch_and_all_are_seen(tiny: str, tmp_path: Path) -> None:
    loop = make_loop(tiny, tmp_path, "sft", num_train_epochs=2)
    assert loop.total == 6
    epochs = [
        [g.source for step in steps for g in loop.source.step(step)] for steps in ((0, 1, 2), (3, 4, 5))
    ]
    assert [len(loop.source.step(i)) for i in range(3)] == [4, 4, 2]
    assert sorted(epochs[0]) == sorted(epochs[1]) == sorted(g.source for g in loop.groups)
    assert epochs[0] != epochs[1]


def test_a_fraction_of_an_epoch_is_rounded_up_to_a_step(tiny: str, tmp_path: Path) -> None:
    assert make_loop(tiny, tmp_path, "sft", num_train_epochs=0.5).total == 2


def test_no_groups_and_idle_evaluation_are_refused(tiny: str, tmp_path: Path) -> None:
    loop = make_loop(tiny, tmp_path)
    with pytest.raises(UserError, match="no groups"):
        type(loop)(loop.policy, loop.stepper.terms, loop.options, (), tmp_path, data_fingerprint="")
    with pytest.raises(UserError, match="eval_steps has no effect"):
        make_loop(tiny, tmp_path, eval_steps=1)


@pytest.mark.parametrize("target", ["lm_head", "embed_tokens"])
def test_an_adapter_that_would_do_nothing_is_refused(target: str, tiny: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=target):
        make_loop(tiny, tmp_path, use_peft=True, lora_target_modules=("q_proj", target))


def test_unknown_target_modules_are_refused(tiny: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot attach"):
        make_loop(tiny, tmp_path, use_peft=True, lora_target_modules=("nothing",))


def test_a_model_with_nan_is_not_saved(tiny: str, tmp_path: Path) -> None:
    loop = make_loop(tiny, tmp_path, "sft")
    with torch.no_grad():
        next(iter(loop.policy.trainable().values()))[0, 0] = float("nan")
    with pytest.raises(TrainingFault, match="not saved"):
        save_policy(loop.policy, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_model_is_saved_whole_or_not_at_all(
    tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = make_loop(tiny, tmp_path, "sft")
    save_policy(loop.policy, tmp_path / "model")
    before = {p.name: p.read_bytes() for p in (tmp_path / "model").iterdir()}

    def full(*args: Any, **kwargs: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(loop.policy.tokenizer, "save_pretrained", full)
    with pytest.raises(EnvironmentFault, match="No space left"):
        save_policy(loop.policy, tmp_path / "model")
    assert {p.name: p.read_bytes() for p in (tmp_path / "model").iterdir()} == before
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_soft_and_weighted_pairs_change_the_loss(tiny: str, tmp_path: Path) -> None:
    from training_setup import pairs

    rows = pairs(4)
    make_loop(tiny, tmp_path / "hard", "dpo", rows=rows, max_steps=2).run()
    soft = [{**row, "probability": 0.5} for row in rows]
    make_loop(tiny, tmp_path / "soft", "dpo", rows=soft, max_steps=2).run()
    assert metrics_of(tmp_path / "soft")[0]["grad_norm"] < 1e-3  # at 0.5 the start is the optimum
    assert metrics_of(tmp_path / "hard")[0]["grad_norm"] > 1


def test_the_reference_of_another_model_of_the_same_name_is_not_used(tmp_path: Path) -> None:
    from charter.testing import save_tiny

    model = save_tiny(str(tmp_path / "tiny"))
    make_loop(model, tmp_path / "run", "dpo", max_steps=1).run()
    save_tiny(model, seed=1)
    make_loop(model, tmp_path / "run", "dpo", max_steps=1).run(resume="never")
    assert metrics_of(tmp_path / "run")[0]["loss"] == pytest.approx(math.log(2), abs=1e-5)
