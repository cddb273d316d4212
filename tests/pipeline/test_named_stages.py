"""Recipes that train several times, later stages on models of earlier ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from charter.errors import CharterError, ConfigError
from charter.models.load import load
from charter.pipeline.preflight import preflight
from charter.pipeline.recipe import Recipe
from charter.pipeline.runner import run_recipe
from charter.pipeline.stage_models import names_in, without_models
from charter.testing import save_tiny

SFT = "  - train: {name: sft, algorithm: sft, data: rows.jsonl, max_steps: 1, use_peft: true, bf16: false}\n"
REWARD = (
    '  - train: {name: reward, model: "{sft}", algorithm: reward, data: pairs.jsonl, max_steps: 1,\n'
    "            use_peft: true, bf16: false}\n"
)
PPO = (
    '  - train: {name: ppo, model: "{sft}", algorithm: ppo-ptx, data: prompts.jsonl, max_steps: 1,\n'
    '            reward_funcs: ["{reward}:name=good", "length:max=4"], critic_model: "{reward}",\n'
    "            ptx_data: text.jsonl, ptx_batch_size: 1, num_iterations: 1,\n"
    "            per_device_train_batch_size: 4, max_completion_length: 6, use_peft: true, bf16: false}\n"
)


def write(path: Path, rows: list[dict[str, object]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_tiny(str(tmp_path / "model"))
    write(tmp_path / "rows.jsonl", [{"prompt": f"Say {i}.", "completion": " yes yes"} for i in range(4)])
    write(
        tmp_path / "pairs.jsonl", [{"prompt": f"{i}?", "chosen": " yes", "rejected": " no"} for i in range(4)]
    )
    write(tmp_path / "prompts.jsonl", [{"prompt": f"Ask {i}."} for i in range(4)])
    write(tmp_path / "text.jsonl", [{"text": "The sea is blue and wide."} for _ in range(2)])
    return tmp_path


def recipe(folder: Path, *stages: str) -> Recipe:
    path = folder / "recipe.yaml"
    path.write_text(
        "name: chain\nmodel: model\nbf16: false\nthreads: 1\nstages:\n" + "".join(stages), "utf-8"
    )
    return Recipe.load(path)


def test_later_stages_train_on_what_earlier_ones_made(folder: Path) -> None:
    parsed = recipe(folder, SFT, REWARD, PPO)
    found = preflight(parsed)
    assert found["train sft data"] == found["train ppo data"] == 4 and found["train ppo ptx_data"] == 2
    done = run_recipe(parsed, folder / "run")
    assert set(done["stages"]) >= {"sft", "reward", "ppo", "train"}
    assert done["stages"]["train"] == done["stages"]["ppo"]
    first, last = (next((folder / "run" / "stages").glob(f"*{n}*")) for n in (1, 3))
    reward = str((next((folder / "run" / "stages").glob("*2*")) / "model").absolute())
    options = done["stages"]["ppo"]["options"]
    assert options["reward_funcs"] == [f"{reward}:name=good", "length:max=4"]
    assert options["critic_model"] == reward
    rows = [json.loads(line) for line in (last / "samples.jsonl").read_text("utf-8").splitlines()]
    assert len(rows) == 4 and all(set(row["rewards"]) == {"good", "length"} for row in rows)
    assert all(isinstance(row["rewards"]["good"], float) for row in rows)
    # What was saved last carries the SFT adapter merged into its base, and loads by itself.
    assert load(str(last / "model"), bf16=False).has_adapter and (first / "model").is_dir()
    assert (folder / "run" / "model").resolve() == (last / "model").resolve()
    again = run_recipe(parsed, folder / "run")
    assert all(stage.get("skipped") for stage in again["stages"].values())


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ((SFT.replace("name: sft, ", ""), REWARD), "need a name each"),
        ((SFT, SFT), "the name 'sft' is there twice"),
        ((SFT, PPO), "no train stage 'reward' before this one"),
        ((REWARD, SFT), "no train stage 'sft' before this one"),
        ((SFT, REWARD, PPO.replace('model: "{sft}"', 'model: "{reward}"')), "'reward' trains a reward model"),
        ((SFT, REWARD, PPO.replace("{reward}:name", "{sft}:name")), "'sft' trains a policy model"),
        ((SFT, REWARD, PPO.replace("{reward}:name", "{rewad}:name")), "did you mean 'reward'"),
        ((SFT.replace("name: sft", "name: '{sft}'"),), "name"),
    ],
)
def test_mistakes_are_found_while_reading(folder: Path, stages: tuple[str, ...], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        recipe(folder, *stages)


SAMPLE = (
    '  - sample: {model: "{sft}", prompts: prompts.jsonl, num_generations: 2, max_completion_length: 4}\n'
)


def test_what_a_trained_model_answers_can_be_sampled(folder: Path) -> None:
    """By the model of the stage that is named, not by the recipe's."""
    taught = SFT.replace("max_steps: 1", "max_steps: 20, learning_rate: 0.1")
    done = run_recipe(recipe(folder, taught, SAMPLE), folder / "run")
    assert done["stages"]["sample"]["samples"] == 2 * len((folder / "prompts.jsonl").read_text().splitlines())
    plain = run_recipe(recipe(folder, SAMPLE.replace('model: "{sft}", ', "")), folder / "plain")
    found = [
        [
            [sample["completion"]["token_ids"] for sample in json.loads(line)["samples"]]
            for line in (folder / name / "samples.jsonl").read_text("utf-8").splitlines()
        ]
        for name in ("run", "plain")
    ]
    assert plain["stages"]["sample"]["samples"] == done["stages"]["sample"]["samples"]
    assert found[0] != found[1]


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ((SAMPLE, SFT), r"stage 1 \(sample\)"),
        ((SAMPLE, SFT), "no train stage 'sft' before this one"),
        (
            (REWARD.replace("name: reward", "name: sft").replace('model: "{sft}", ', ""), SAMPLE),
            "trains a reward model",
        ),
    ],
)
def test_what_samples_must_be_there(folder: Path, stages: tuple[str, ...], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        recipe(folder, *stages)


JUDGE = '  - train: {name: judge, model: "{sft}", algorithm: genrm, data: labelled.jsonl, max_steps: 1}\n'


def test_a_judge_whose_verdicts_are_words_is_a_reward_and_a_policy(folder: Path) -> None:
    on_it = SFT.replace("name: sft, ", 'name: more, model: "{judge}", ')
    parsed = recipe(folder, SFT, REWARD, JUDGE, on_it, PPO.replace("{reward}:name", "{judge}:name"))
    assert len(parsed.stages) == 5
    with pytest.raises(ConfigError, match="critic_model: the stage 'judge' trains a judge model"):
        recipe(folder, SFT, JUDGE, PPO.replace("{reward}", "{judge}"))


@pytest.mark.parametrize("stage", [SAMPLE, SFT.replace("name: sft", "name: sft, model: other")])
def test_a_model_that_is_nowhere_is_found_before_anything_runs(folder: Path, stage: str) -> None:
    """A folder beside the recipe is one of its models too."""
    with pytest.raises(CharterError, match="other") as caught:
        preflight(recipe(folder, stage.replace("{sft}", "other")))
    kind = "sample" if stage is SAMPLE else "train"
    assert caught.value.__notes__ == [f"in stage 1 ({kind}): model"]
    save_tiny(str(folder / "other"))
    parsed = recipe(folder, stage.replace("{sft}", "other"))
    assert preflight(parsed) and run_recipe(parsed, folder / "run")["exit_code"] == 0


def test_other_rewards_beside_a_model_of_the_recipe_are_checked(folder: Path) -> None:
    wrong = recipe(folder, SFT, REWARD, PPO.replace("length:max=4", "lenght:max=4"))
    with pytest.raises(ConfigError, match="length"):
        preflight(wrong)


def test_held_out_prompts_of_an_online_stage_are_not_trained_on(folder: Path) -> None:
    stage = PPO.replace('model: "{sft}", ', "eval_data: held.jsonl, ")
    write(folder / "held.jsonl", [{"prompt": "Ask 9."}])
    preflight(recipe(folder, SFT, REWARD, stage))
    write(folder / "held.jsonl", [{"prompt": "Ask 9."}, {"prompt": "ask 1. "}])
    with pytest.raises(ConfigError, match="1 held-out prompts are also training prompts"):
        preflight(recipe(folder, SFT, REWARD, stage))


def test_a_reward_function_that_changes_starts_its_stage_over(folder: Path) -> None:
    (folder / "mine.py").write_text("def short(completion):\n    return -len(completion)\n", "utf-8")
    stage = (
        "  - train: {algorithm: grpo, data: prompts.jsonl, max_steps: 1, reward_funcs: ['mine.py:short'],\n"
        "            num_generations: 2, per_device_train_batch_size: 4, max_completion_length: 4}\n"
    )
    parsed = recipe(folder, stage)
    run_recipe(parsed, folder / "run")
    assert run_recipe(parsed, folder / "run")["stages"]["train"]["skipped"]
    (folder / "mine.py").write_text("def short(completion):\n    return len(completion)\n", "utf-8")
    assert "skipped" not in run_recipe(parsed, folder / "run")["stages"]["train"]


def test_names_in_options() -> None:
    assert names_in(["{a}:name=x", "length:max=3", "{b-2}"]) == ["a", "b-2"]
    assert names_in(None) == [] and names_in("{}") == []


def test_weights_go_with_their_rewards(folder: Path) -> None:
    stage = PPO.replace("critic_model", "reward_weights: [2.0, 0.5], critic_model")
    options = recipe(folder, SFT, REWARD, stage).options[3]
    left = without_models(options)
    assert (left.reward_funcs, left.reward_weights) == (("length:max=4",), (0.5,))  # type: ignore[attr-defined]
