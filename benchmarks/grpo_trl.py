"""TRL's GRPO trainer as it is, and tuned, watched."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grpo_data
from grpo_watch import Watch


def trl_run(job: Mapping[str, Any], watch: Watch) -> dict[str, Any]:
    """Train with TRL's trainer: its defaults, or tuned."""
    from datasets import Dataset
    from transformers import AutoTokenizer, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    completions = grpo_data.recorded(job)

    class Marks(TrainerCallback):
        """The end of every optimizer step; the time before the first is not part of it."""

        def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
            watch.gradients(dict(trainer.model.named_parameters()))
            watch.start()

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            watch.end(seen["reward"], seen["loss"], seen["norm"], seen["computed"])
            seen.update(loss=0.0, computed=0)
            control.should_training_stop = control.should_training_stop or watch.reached

    class Watched(GRPOTrainer):  # type: ignore[misc, valid-type]
        """The trainer as it is; what passes through is noted."""

        def _generate_single_turn(self, prompt_ids: Any, *args: Any, **kwargs: Any) -> Any:
            if completions:
                size = job["generations"]
                made = [completions[tuple(p)][i % size] for i, p in enumerate(prompt_ids)], None
            else:
                made = super()._generate_single_turn(prompt_ids, *args, **kwargs)
            watch.mark("sampling")
            return made

        def _calculate_rewards(self, *args: Any, **kwargs: Any) -> Any:
            found = super()._calculate_rewards(*args, **kwargs)
            seen["reward"] = float(found.mean())
            return found

        def _generate_and_score_completions(self, inputs: Any) -> Any:
            made = super()._generate_and_score_completions(inputs)
            watch.mark("scoring")
            return made

        def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
            loss = super().compute_loss(model, inputs, *args, **kwargs)
            seen["loss"] += float(loss.detach())
            parts = [inputs[f"{side}_ids"] for side in ("prompt", "completion")]
            kept = [inputs[f"{side}_mask"].bool() for side in ("prompt", "completion")]
            seen["computed"] += sum(part.numel() for part in parts)
            for row, advantage in enumerate(inputs["advantages"].tolist()):
                prompt, answer = (
                    tuple(ids[row][mask[row]].tolist()) for ids, mask in zip(parts, kept, strict=True)
                )
                watch.saw(prompt, answer, advantage)
            return loss

        def _get_grad_norm(self, *args: Any, **kwargs: Any) -> Any:
            norm = super()._get_grad_norm(*args, **kwargs)
            seen["norm"] = float(norm)
            return norm

    seen: dict[str, Any] = {"reward": 0.0, "loss": 0.0, "norm": 0.0, "computed": 0}
    own = _tuned(job) if job["part"] == "trl-tuned" else {}
    if job["dtype"] == "fp32":
        own |= {"bf16": False, "model_init_kwargs": {"dtype": "float32"}}
    batch = {"per_device_train_batch_size": job["generations"], "gradient_accumulation_steps": job["groups"]}
    config = GRPOConfig(
        output_dir=job["work"],
        use_cpu=True,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        **(batch | grpo_data.shared_options(job) | own),
    )
    rows = [json.loads(line) for line in Path(job["prompts"]).read_text(encoding="utf-8").splitlines()]
    trainer = Watched(
        model=job["model"],
        args=config,
        train_dataset=Dataset.from_list(rows),
        reward_funcs=grpo_data.REWARDS[job["reward"]],
        processing_class=AutoTokenizer.from_pretrained(job["model"]),
        callbacks=[Marks()],
    )
    trainer.train()
    weights = str(trainer.model.dtype).removeprefix("torch.")
    return {**own, "weights": weights, **{name: getattr(config, name) for name in _SHOWN}}


_SHOWN = (
    "bf16",
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
    "generation_batch_size",
    "gradient_checkpointing",
    "optim",
    "learning_rate",
    "weight_decay",
    "adam_beta1",
    "adam_beta2",
    "adam_epsilon",
    "max_grad_norm",
    "num_generations",
    "max_completion_length",
    "temperature",
    "top_k",
    "top_p",
    "loss_type",
    "beta",
    "epsilon",
    "scale_rewards",
    "seed",
)


def _tuned(job: Mapping[str, Any]) -> dict[str, Any]:
    """The best settings found for TRL; where it has to learn, its weights stay float32."""
    return {
        "model_init_kwargs": {"dtype": "float32" if job["task"] == "reward" else job["tuned_weights"]},
        "gradient_checkpointing": False,
        "per_device_train_batch_size": job["groups"] * job["generations"],
        "gradient_accumulation_steps": 1,
    }
