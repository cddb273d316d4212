"""A reward model is trained, saved, loaded and continued; transformers and peft read the same rewards."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from torch import Tensor
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import charter
from charter.catalogue import lookup
from charter.data.formats import load_groups
from charter.errors import ConfigError, DataError, UserError
from charter.feedback.trained.reward import raw_rewards, rewards
from charter.models.ensemble import combined
from charter.models.export import export
from charter.models.load import load
from charter.models.policy import Policy, adapter_off
from charter.models.reward import dimension_names, name_dimensions, padding_token, with_reward_head
from charter.models.reward_scale import RewardScale, weighted_sum
from charter.models.save import save_policy
from charter.models.trainable import prepare_for_training
from charter.testing import save_tiny, tiny_model, tiny_tokenizer
from charter.types import Group

Row = dict[str, Any]


def turn(role: str, text: str) -> list[Row]:
    return [{"role": role, "content": text}]


def pair_rows(count: int = 8) -> list[Row]:
    return [
        {
            "prompt": turn("user", f"Say {'ab ' * (i % 3)}{i}"),
            "chosen": turn("assistant", "yes" * (1 + i % 4)),
            "rejected": turn("assistant", "no " * (1 + i % 3)),
        }
        for i in range(count)
    ]


def rated_rows(count: int = 6) -> list[Row]:
    return [
        {
            "prompt": turn("user", f"Say {i}"),
            "response": turn("assistant", "yes " * (1 + i % 3)),
            "scores": {"helpful": i / 2, "harmless": None if i % 2 else 1.0, "honest": 3 - i},
        }
        for i in range(count)
    ]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny(str(tmp_path_factory.mktemp("tiny")))


@pytest.fixture(scope="module")
def groups() -> tuple[Group, ...]:
    return load_groups(pair_rows(), "preference").groups


OPTIONS: Row = {"bf16": False, "learning_rate": 1e-2, "max_steps": 4, "per_device_train_batch_size": 4}


def trained(tiny: str, directory: Path, algorithm: str = "reward", **options: Any) -> charter.api.Run:  # type: ignore[name-defined]
    rows = rated_rows() if algorithm == "reward-regression" else pair_rows()
    return charter.train(
        algorithm, load(tiny, bf16=False), rows, output_dir=directory, **{**OPTIONS, **options}
    )


@pytest.fixture(scope="module", params=[False, True], ids=["full", "lora"])
def run(request: pytest.FixtureRequest, tiny: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return trained(tiny, tmp_path_factory.mktemp("run"), use_peft=request.param)


def of(policy: Policy, groups: tuple[Group, ...]) -> Tensor:
    return torch.cat(raw_rewards(policy, groups))


def peer_of(run: Any, tiny: str) -> Any:
    """The saved model as a person loads it without this library."""
    folder = str(run.path / "model")
    if not run.policy.has_adapter:
        return AutoModelForSequenceClassification.from_pretrained(folder).eval()
    padding = AutoTokenizer.from_pretrained(folder).pad_token_id
    base = AutoModelForSequenceClassification.from_pretrained(tiny, num_labels=1, pad_token_id=padding)
    return PeftModel.from_pretrained(base, folder).eval()


def theirs(model: Any, tokenizer: Any, sequences: list[list[int]], side: str = "right") -> Tensor:
    tokenizer.padding_side = side
    with torch.no_grad():
        found: Tensor = model(**tokenizer.pad({"input_ids": sequences}, return_tensors="pt")).logits
    return found


def ids_of(policy: Policy, groups: tuple[Group, ...]) -> list[list[int]]:
    rendered = [sample for group in groups for sample in policy.template.render(group).samples]
    return [[*sample.context.token_ids, *sample.completion.token_ids] for sample in rendered]


# -- save and load ------------------------------------------------------------------------


def test_what_was_saved_gives_the_same_rewards(run: Any, groups: tuple[Group, ...]) -> None:
    again = load(str(run.path), bf16=False)
    torch.testing.assert_close(of(again, groups), of(run.policy, groups), rtol=0, atol=1e-6)
    assert again.has_reward_head and again.has_adapter == run.policy.has_adapter
    assert again.reward_scale == run.policy.reward_scale is not None
    assert dimension_names(again.model) == ("reward",)


@pytest.mark.parametrize("side", ["left", "right"])
def test_transformers_gives_the_same_rewards_on_padded_batches(
    run: Any, tiny: str, groups: tuple[Group, ...], side: str
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(str(run.path / "model"))
    sequences = ids_of(run.policy, groups)
    assert len({len(ids) for ids in sequences}) > 1  # so that something is padded
    # The end-of-turn token is what the reward is read at; padding must not be it.
    assert all(ids[-1] == tokenizer.eos_token_id != tokenizer.pad_token_id for ids in sequences)
    found = theirs(peer_of(run, tiny), tokenizer, sequences, side)
    torch.testing.assert_close(found, of(run.policy, groups), rtol=0, atol=2e-5)


def test_padding_with_the_end_token_would_read_elsewhere(
    run: Any, tiny: str, groups: tuple[Group, ...]
) -> None:
    """What the safe padding token is for."""
    model, tokenizer = peer_of(run, tiny), AutoTokenizer.from_pretrained(tiny)
    assert tokenizer.pad_token_id == tokenizer.eos_token_id
    model.config.pad_token_id = tokenizer.pad_token_id
    found = theirs(model, tokenizer, ids_of(run.policy, groups))
    assert (found - of(run.policy, groups)).abs().max() > 0.01


def test_training_moved_the_rewards(run: Any, groups: tuple[Group, ...]) -> None:
    by_pair = of(run.policy, groups).reshape(-1, 2)
    assert (by_pair[:, 0] > by_pair[:, 1]).all()


def test_an_adapter_switched_off_is_the_model_as_it_began(
    tiny: str, tmp_path: Path, groups: tuple[Group, ...]
) -> None:
    policy = trained(tiny, tmp_path, use_peft=True).policy
    before = load(tiny, bf16=False)
    before.model = with_reward_head(before.model, 1, seed=42)
    samples = of(policy, groups)
    with adapter_off(policy.model):
        torch.testing.assert_close(of(policy, groups), of(before, groups), rtol=0, atol=1e-6)
    assert (samples - of(before, groups)).abs().max() > 0.1


def test_an_adapter_on_a_base_that_is_nowhere_carries_it(
    tiny: str, tmp_path: Path, groups: tuple[Group, ...]
) -> None:
    first = trained(tiny, tmp_path / "first")
    second = charter.train(
        "reward", first.policy, pair_rows(), output_dir=tmp_path / "second", **OPTIONS, use_peft=True
    )
    folder = second.path / "model"
    assert (folder / "base" / "config.json").exists()
    torch.testing.assert_close(
        of(load(str(folder), bf16=False), groups), of(second.policy, groups), rtol=0, atol=1e-6
    )
    whole = AutoModelForSequenceClassification.from_pretrained(str(folder)).eval()
    found = theirs(whole, AutoTokenizer.from_pretrained(str(folder)), ids_of(second.policy, groups))
    torch.testing.assert_close(found, of(second.policy, groups), rtol=0, atol=2e-5)


def test_a_merged_export_gives_the_same_rewards(tiny: str, tmp_path: Path, groups: tuple[Group, ...]) -> None:
    run = trained(tiny, tmp_path / "run", use_peft=True)
    export(run.path, tmp_path / "merged", merge=True)
    export(run.path, tmp_path / "adapter")
    for name in ("merged", "adapter"):
        again = load(str(tmp_path / name), bf16=False)
        torch.testing.assert_close(of(again, groups), of(run.policy, groups), rtol=0, atol=2e-5)
        assert again.reward_scale == run.policy.reward_scale
    model = AutoModelForSequenceClassification.from_pretrained(str(tmp_path / "merged")).eval()
    tokenizer = AutoTokenizer.from_pretrained(str(tmp_path / "merged"))
    found = theirs(model, tokenizer, ids_of(run.policy, groups), "left")
    torch.testing.assert_close(found, of(run.policy, groups), rtol=0, atol=2e-5)


def test_a_reward_model_goes_on_from_its_own_head(tiny: str, tmp_path: Path) -> None:
    first = trained(tiny, tmp_path / "first")
    head = first.policy.model.score.weight.detach().clone()
    policy = load(str(first.path), bf16=False)
    prepare_for_training(policy, lookup("reward").options(bf16=False), 1)
    assert torch.equal(policy.model.score.weight, head)
    assert policy.reward_scale is None  # measured on weights that are about to change


def test_several_named_dimensions_are_saved(tiny: str, tmp_path: Path) -> None:
    for peft in (False, True):
        run = trained(tiny, tmp_path / str(peft), "reward-regression", use_peft=peft)
        again = load(str(run.path), bf16=False)
        assert dimension_names(again.model) == ("harmless", "helpful", "honest")
        rated = load_groups(rated_rows(), "attributes").groups
        torch.testing.assert_close(of(again, rated), of(run.policy, rated), rtol=0, atol=1e-6)
    with pytest.raises(UserError, match="3 dimensions, the data 1"):
        charter.train("reward", again, pair_rows(), output_dir=tmp_path / "other", **OPTIONS)
    other = [{**row, "scores": {"a": 1, "b": 2, "c": 3}} for row in rated_rows()]
    with pytest.raises(UserError, match="dimensions are harmless, helpful, honest, the data's a, b, c"):
        charter.train("reward-regression", again, other, output_dir=tmp_path / "third", **OPTIONS)


# -- padding and batches --------------------------------------------------------------------


def test_rewards_depend_on_nothing_computed_beside_them(run: Any, groups: tuple[Group, ...]) -> None:
    together, apart = of(run.policy, groups), torch.cat([of(run.policy, (group,)) for group in groups])
    small = torch.cat(raw_rewards(run.policy, groups, tokens=1))
    backwards = of(run.policy, groups[::-1]).reshape(-1, 2).flip(0).reshape(-1, 1)
    for other in (apart, small, backwards):
        torch.testing.assert_close(other, together, rtol=0, atol=1e-5)


def test_an_architecture_of_the_padded_forward(groups: tuple[Group, ...], tmp_path: Path) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(vocab_size=258, n_embd=32, n_layer=2, n_head=2, n_positions=256)
    policy = Policy(GPT2LMHeadModel(config).eval(), tiny_tokenizer(), "gpt2", tmp_path, torch.float32)
    policy.model = with_reward_head(policy.model, 1, tokenizer=policy.tokenizer)
    save_policy(policy, tmp_path / "saved")
    model = AutoModelForSequenceClassification.from_pretrained(str(tmp_path / "saved")).eval()
    tokenizer = AutoTokenizer.from_pretrained(str(tmp_path / "saved"))
    found = theirs(model, tokenizer, ids_of(policy, groups))
    torch.testing.assert_close(found, of(policy, groups), rtol=0, atol=1e-5)


def test_the_padding_token_never_ends_a_text() -> None:
    tokenizer = tiny_tokenizer()
    assert padding_token(tokenizer) == tokenizer.bos_token_id
    tokenizer.pad_token = tokenizer.bos_token
    assert padding_token(tokenizer) == tokenizer.pad_token_id
    bare = tiny_tokenizer(None)
    bare.bos_token = None
    assert padding_token(bare) is None


def test_the_head_begins_small_and_by_the_seed_alone() -> None:
    model = tiny_model()
    first = with_reward_head(model, 400, seed=1).score.weight
    torch.manual_seed(99)
    assert torch.equal(with_reward_head(model, 400, seed=1).score.weight, first)
    assert not torch.equal(with_reward_head(model, 400, seed=2).score.weight, first)
    assert float(first.detach().std()) == pytest.approx((48 + 1) ** -0.5, rel=0.02)


def test_names_must_be_as_many_as_outputs() -> None:
    model = with_reward_head(tiny_model(), 2)
    with pytest.raises(UserError, match="has 2 dimensions, the data 1"):
        name_dimensions(model, ("",))


def test_a_model_without_a_head_has_no_rewards(tiny: str, groups: tuple[Group, ...]) -> None:
    with pytest.raises(UserError, match="no reward head"):
        raw_rewards(load(tiny), groups)


def test_a_sample_without_an_answer_has_no_reward(run: Any) -> None:
    prompts = load_groups([{"prompt": turn("user", "hi")}], "prompts").groups
    with pytest.raises(DataError, match="no completion"):
        raw_rewards(run.policy, prompts)


# -- resuming -------------------------------------------------------------------------------


@pytest.mark.parametrize("use_peft", [False, True])
def test_a_resumed_run_is_the_run_that_was_not_broken(tiny: str, tmp_path: Path, use_peft: bool) -> None:
    settings = {"save_steps": 2, "use_peft": use_peft}
    whole = trained(tiny, tmp_path / "whole", **settings)
    broken = tmp_path / "broken"
    shutil.copytree(whole.path, broken)
    saved = sorted((broken / "checkpoints").iterdir())
    assert len(saved) == 2
    shutil.rmtree(saved[-1])
    for name in ("model", "train.json"):
        path = broken / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    resumed = trained(tiny, broken, **settings)
    assert resumed.result["steps"] == 4
    ours, expected = (r.policy.trainable() for r in (resumed, whole))
    assert any("score" in name for name in ours)
    assert all(torch.equal(ours[name], weight) for name, weight in expected.items())
    assert resumed.policy.reward_scale == whole.policy.reward_scale


def test_a_finished_run_keeps_its_scale(tiny: str, tmp_path: Path) -> None:
    first = trained(tiny, tmp_path / "run")
    written = (first.path / "model" / "reward.json").read_text()
    again = trained(tiny, tmp_path / "run")
    assert (first.path / "model" / "reward.json").read_text() == written
    assert again.policy.reward_scale == first.policy.reward_scale


# -- normalisation --------------------------------------------------------------------------


def test_normalised_rewards_have_mean_0_and_deviation_1_on_what_they_were_measured_on(
    run: Any, groups: tuple[Group, ...]
) -> None:
    found = torch.tensor([value for group in rewards(run.policy, groups) for value in group])
    assert float(found.mean()) == pytest.approx(0, abs=1e-5)
    assert float(found.std(unbiased=False)) == pytest.approx(1, abs=1e-4)
    scale = run.policy.reward_scale
    assert (scale.samples, scale.data) == (16, "training data")


def test_held_out_data_is_measured_where_it_is_given(tiny: str, tmp_path: Path) -> None:
    held_out = pair_rows(3)
    run = charter.train(
        "reward", load(tiny, bf16=False), pair_rows(), eval_data=held_out, output_dir=tmp_path, **OPTIONS
    )
    scale = run.policy.reward_scale
    assert (scale.samples, scale.data) == (6, "evaluation data")
    raw = of(run.policy, load_groups(held_out, "preference").groups)
    assert scale.mean[0] == pytest.approx(float(raw.mean()), abs=1e-5)


def test_weights_of_dimensions() -> None:
    scale = RewardScale(("harmless", "helpful"), (1.0, 2.0), (0.5, 2.0), 9, "test")
    raw = torch.tensor([[2.0, 4.0], [1.0, -2.0]])
    assert scale.scalar(raw).tolist() == pytest.approx([(2 + 1) / 2, (0 - 2) / 2])
    assert scale.scalar(raw, {"helpful": 3.0}).tolist() == pytest.approx([3.0, -6.0])
    with pytest.raises(ConfigError, match="did you mean 'helpful'"):
        scale.scalar(raw, {"helpfull": 1.0})
    with pytest.raises(ConfigError, match="every weight is 0"):
        scale.scalar(raw, {"helpful": 0.0})
    with pytest.raises(ConfigError, match="at least 0"):
        scale.scalar(raw, {"helpful": -1.0})


def test_a_missing_attribute_is_left_out_never_0() -> None:
    rewards_BZ = torch.tensor([[3.0, 1.0], [3.0, torch.nan], [torch.nan, torch.nan]])
    found = weighted_sum(rewards_BZ, torch.tensor([0.6, 0.3]))
    assert found[:2].tolist() == pytest.approx([2.1, 2.7])  # 2.7 = 0.9 * 3, not 0.6 * 3 + 0.3 * 0
    assert found[2].isnan()


def test_a_flat_dimension_is_not_divided_by_nothing() -> None:
    scale = RewardScale.of(("a", "b"), torch.tensor([[1.0, 2.0], [1.0, 4.0]]), "test")
    assert (scale.mean, scale.std) == ((1.0, 3.0), (1.0, 1.0))


def test_a_damaged_scale_is_named(tmp_path: Path) -> None:
    RewardScale.unmeasured(("reward",)).save(tmp_path)
    assert RewardScale.load(tmp_path) == RewardScale.unmeasured(("reward",))
    path = tmp_path / "reward.json"
    for change in ({"std": [0.0]}, {"mean": []}, {"dimensions": []}, {"mean": ["x"]}, {"std": None}):
        path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
        with pytest.raises(UserError, match=r"reward\.json: it does not hold one mean"):
            RewardScale.load(tmp_path)
        RewardScale.unmeasured(("reward",)).save(tmp_path)


# -- ensembles --------------------------------------------------------------------------------


def test_an_ensemble_of_one_model_is_that_model() -> None:
    rewards_MB = torch.tensor([[1.0, -2.0, 0.5]])
    for how in ("mean", "worst", "uncertainty"):
        assert torch.equal(combined(rewards_MB.repeat(3, 1), how), rewards_MB[0])  # type: ignore[arg-type]


def test_an_ensemble_is_cautious_where_members_disagree() -> None:
    rewards_MB = torch.tensor([[1.0, 0.6], [0.5, 0.6], [0.6, 0.6]])
    assert combined(rewards_MB, "mean").argmax() == 0
    assert combined(rewards_MB, "worst").argmax() == 1
    assert combined(rewards_MB, "uncertainty", 5.0).argmax() == 1
    with pytest.raises(ConfigError, match="combine is one of"):
        combined(rewards_MB, "median")  # type: ignore[arg-type]
