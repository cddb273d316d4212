"""What an online algorithm adds to an entry: who samples, what credit is assigned, and its options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self

from pydantic import Field, model_validator

from charter.catalogue.options import MovingReference

Sampler = Literal["policy", "greedy", "reference", "mixture", "moving"]
"""``policy``: as it is now; ``greedy``: its most probable tokens; ``reference``: what it is held
against; ``mixture``: the geometric mixture of both; ``moving``: the moving average of its weights."""


@dataclass(frozen=True, slots=True)
class RolloutSpec:
    """How an algorithm makes its own training data.

    Attributes:
        credit: dotted name of the function that turns a round into groups to train on.
        sampled_by: who samples: each name but the first makes one completion of a prompt, the first
            the rest. Where the method has an option ``sampled_by``, its default.
        reads: what the trainer computes of every rollout before credit is assigned, beside what the
            loss needs: ``old_logps``, ``ref_logps``, ``values``.
        reads_if: the same, where the option of that name is not 0.
        tempered: the trainer divides logits by the sampling temperature, as the sampler did.
        critic: a critic is trained beside the policy.
        restarts: every round is trained on from the first weights.
        stepper: dotted name of what takes optimizer steps; "" = AdamW's.
    """

    credit: str
    sampled_by: tuple[Sampler, ...] = ("policy",)
    reads: tuple[str, ...] = ()
    reads_if: tuple[tuple[str, str], ...] = ()
    tempered: bool = True
    critic: bool = False
    restarts: bool = False
    stepper: str = ""


class RolloutOptions(MovingReference):
    """Options of every algorithm that trains on its own samples. Names are TRL's GRPOConfig's."""

    learning_rate: float = Field(1e-6, gt=0)
    """Peak learning rate of AdamW. LoRA wants 10 to 100 times what full fine-tuning wants."""

    num_train_epochs: float = Field(1.0, gt=0)
    """Passes over the prompts; ignored when max_steps is positive."""

    per_device_train_batch_size: int = Field(32, ge=1)
    """Completions per optimizer step, before gradient_accumulation_steps multiplies it."""

    reward_funcs: tuple[str, ...] = ()
    """What rewards a completion: a constitution file, FILE.py:FUNCTION, a reward model's folder, or a
    built-in reward. Not in TRL's configs: an argument of its trainers."""

    reward_weights: tuple[float, ...] | None = None
    """One for each reward; None = 1 each."""

    num_generations: int = Field(8, ge=1)
    """Completions of each prompt."""

    max_completion_length: int = Field(256, ge=1)
    """Most tokens of a completion (TRL: 512)."""

    temperature: float = Field(1.0, gt=0)
    """Of sampling."""

    top_p: float = Field(1.0, gt=0, le=1)
    """Sample from the most probable tokens that together reach this probability; 1 = all."""

    top_k: int = Field(0, ge=0)
    """Sample from this many of the most probable tokens; 0 = all."""

    min_p: float | None = Field(None, ge=0, le=1)
    """Never sample tokens less probable than this share of the most probable one."""

    steps_per_generation: int = Field(1, ge=1)
    """Optimizer steps the completions of a round are split over."""

    num_iterations: int = Field(1, ge=1)
    """Passes over the completions of a round."""

    missing_eos_penalty: float | None = Field(None, gt=0)
    """Taken off the reward of a completion that was cut by a limit."""

    mask_truncated_completions: bool = False
    """Do not train on completions that were cut by a limit; they still count in their group's mean."""

    environment: str | None = None
    """Play several turns in an environment: a built-in name with options, or FILE.py:CLASS. Its prompts
    stand in place of a data file where none is given. Not in TRL's configs: an argument of its GRPO."""

    max_turns: int | None = Field(None, ge=1)
    """Most turns of the model in an environment; None = what the environment says. Not in TRL."""

    max_sampler_gap: float | None = Field(0.5, gt=0)
    """Stop where sampler and trainer disagree by more than this many nats a token, on average, on the
    same weights; None = never. Not in TRL."""

    watchdog: Literal["pause", "warn", "off"] = "pause"
    """Watch for collapse (entropy, length, KL, repetition, reward on garbage ...): stop with the last
    good weights, only say so, or do not look. Not in TRL."""

    @model_validator(mode="after")
    def _rollouts(self) -> Self:
        """Batches hold whole groups, and options have an effect."""
        if self.batch_size % self.num_generations:
            raise ValueError(
                f"{self.batch_size} completions per step cannot be groups of num_generations "
                f"{self.num_generations}"
            )
        if self.reward_weights is not None and len(self.reward_weights) != len(self.reward_funcs):
            raise ValueError(
                f"{len(self.reward_weights)} reward_weights for {len(self.reward_funcs)} reward_funcs"
            )
        if self.max_turns is not None and self.environment is None:
            raise ValueError("max_turns has no effect without environment")
        if self.sync_ref_model and not self.uses_reference:
            raise ValueError("sync_ref_model has no effect: this method, so set, has no reference")
        if self.sync_ref_model and self.samples_another:
            raise ValueError("sync_ref_model: a model that also writes completions here would not follow")
        if self.environment is not None and self.samples_another:
            raise ValueError("environment: only the policy plays in one, and here another model writes too")
        return self

    @property
    def uses_reference(self) -> bool:
        """Whether anything is held against a reference."""
        return True

    @property
    def samples_another(self) -> bool:
        """Whether a model that is not the policy writes completions, too or alone."""
        return False

    @property
    def prompts_per_round(self) -> int:
        """Prompts sampled in a round."""
        return self.batch_size * self.steps_per_generation // self.num_generations


class FirstModelSamples(RolloutOptions):
    """Options of methods whose samples are, as published, the first model's throughout."""

    sampled_by: Literal["reference", "policy"] = "reference"
    """Who writes the completions of every round: the model that training starts from, as published, or the
    policy as it has become. Metrics of rollouts are the writer's: give eval_data to see the policy's. Not in
    TRL."""

    @property
    def samples_another(self) -> bool:
        """Unless the policy is asked."""
        return self.sampled_by == "reference"


def samplers_of(spec: RolloutSpec, options: RolloutOptions) -> tuple[Sampler, ...]:
    """Who writes completions under these options; see :class:`RolloutSpec`."""
    first: Sampler = getattr(options, "sampled_by", spec.sampled_by[0])
    # Other systems' answers stand in place of those a second model would write.
    others = spec.sampled_by[1:] if getattr(options, "systems", None) is None else ()
    return (first, *others)


def check_on_policy(options: RolloutOptions) -> None:
    """Refuse a second step on a round, for losses without a probability ratio.

    Such a loss has the policy's gradient only on completions of the weights it is taken at; from the second
    step on it is biased, and nothing in the run would show it.

    Raises:
        ValueError: more than one step, or pass, a round.
    """
    if options.steps_per_generation * options.num_iterations > 1:
        raise ValueError(
            "this loss is on-policy, without a ratio: one step a round "
            "(larger batches for larger rounds; or use ppo, grpo)"
        )


ROLLOUTS = (
    "reward_funcs",
    "reward_weights",
    "num_generations",
    "max_completion_length",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "steps_per_generation",
    "num_iterations",
    "missing_eos_penalty",
    "mask_truncated_completions",
    "environment",
    "max_turns",
    "max_sampler_gap",
    "watchdog",
    "sync_ref_model",
    "ref_model_mixup_alpha",
    "ref_model_sync_steps",
)
"""Names of :class:`RolloutOptions`' own options, for :attr:`Entry.elsewhere`."""
