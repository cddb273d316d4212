"""Options every training algorithm has. Names and, unless a docstring says otherwise, defaults are TRL's."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from charter.config import Config


class TrainOptions(Config):
    """Options of the training loop."""

    preset: Literal["paper"] | None = None
    """``paper`` sets what the method's paper published; options given beside it go first. Not in TRL."""

    learning_rate: float = Field(2e-5, gt=0)
    """Peak learning rate of AdamW. LoRA wants 10 to 100 times what full fine-tuning wants."""

    num_train_epochs: float = Field(3.0, gt=0)
    """Passes over the data; ignored when max_steps is positive."""

    max_steps: int = Field(-1, ge=-1)
    """Optimizer steps; -1 = decided by num_train_epochs."""

    per_device_train_batch_size: int = Field(8, ge=1)
    """Rows per optimizer step, before gradient_accumulation_steps multiplies it."""

    gradient_accumulation_steps: int = Field(1, ge=1)
    """Multiplies the rows per optimizer step. How they are split in memory is decided by
    tokens_per_microbatch and never changes the result."""

    tokens_per_microbatch: int = Field(8192, ge=1)
    """Stream tokens computed at once; lower it if memory runs out. Not in TRL."""

    max_length: int | None = Field(1024, ge=2)
    """Tokens per sample, prompt and completion together; a longer one loses the end of its completion, and
    one whose prompt leaves no room is dropped and counted. None = no limit."""

    max_prompt_length: int | None = Field(None, ge=1)
    """Tokens of the prompt; a longer one is cut as truncation_mode says. None = prompts are not cut.
    Not in TRL."""

    truncation_mode: Literal["keep_start", "keep_end"] = "keep_end"
    """Which end of a prompt longer than max_prompt_length stays; the end holds the question."""

    weight_decay: float = Field(0.0, ge=0)
    """Decoupled weight decay, on matrices only."""

    adam_beta1: float = Field(0.9, ge=0, lt=1)
    """Decay of the first moment."""

    adam_beta2: float = Field(0.999, ge=0, lt=1)
    """Decay of the second moment."""

    adam_epsilon: float = Field(1e-8, gt=0)
    """Added to the root of the second moment."""

    max_grad_norm: float = Field(1.0, gt=0)
    """Gradients are scaled down to this global norm."""

    lr_scheduler_type: Literal["linear", "cosine", "constant", "constant_with_warmup"] = "linear"
    """Shape of the learning rate after warm-up."""

    warmup_steps: float = Field(0, ge=0)
    """Steps of linear warm-up; below 1, a share of all steps."""

    bf16: bool = True
    """Compute in bfloat16 over float32 master weights; off = float32 throughout."""

    use_peft: bool = False
    """Train a LoRA adapter instead of all weights."""

    lora_r: int = Field(16, ge=1)
    """Rank of the adapter."""

    lora_alpha: int = Field(32, ge=1)
    """The adapter is scaled by lora_alpha / lora_r."""

    lora_dropout: float = Field(0.0, ge=0, lt=1)
    """Dropout on the adapter's input (TRL: 0.05; dropout makes the policy differ from its
    reference at step 0)."""

    lora_target_modules: tuple[str, ...] | None = None
    """Linear layers that get an adapter; None = all of them."""

    load_in_4bit: bool = False
    """Keep the frozen weights under the adapter in four bits (QLoRA). Needs use_peft and bitsandbytes."""

    bnb_4bit_quant_type: Literal["nf4", "fp4"] = "nf4"
    """Levels of the four-bit weights: for normally distributed weights, or a float of four bits."""

    use_bnb_nested_quant: bool = False
    """Quantise the scales of the four-bit weights too."""

    logging_steps: int = Field(1, ge=1)
    """A row of metrics every so many steps (TRL: 10)."""

    save_steps: int = Field(100, ge=1)
    """A checkpoint every so many steps (TRL: 500). Ctrl-C and the end save too."""

    save_total_limit: int = Field(2, ge=1)
    """Checkpoints kept (TRL: all)."""

    eval_steps: int | None = Field(None, ge=1)
    """Evaluate the loss on the evaluation data every so many steps."""

    max_kl: float | None = Field(None, gt=0)
    """Stop, and go back to the last weights under it, when KL(policy || reference) of sampled answers
    exceeds this many nats per sequence. Not in TRL."""

    kl_steps: int = Field(5, ge=1)
    """Measure that KL every so many steps. Needs max_kl. Not in TRL."""

    seed: int = 42
    """Decides the order of rows, the adapter's initial weights and its dropout."""

    report_to: tuple[str, ...] = ()
    """Experiment trackers, by accelerate's names (tensorboard, wandb, ...). Metrics are always
    written to metrics.jsonl."""

    @model_validator(mode="after")
    def _effect(self) -> Self:
        """An option that has no effect is an error."""
        set_here = self.model_fields_set
        lora_only = sorted(n for n in set_here if n.startswith("lora_"))
        if lora_only and not self.use_peft:
            raise ValueError(f"{', '.join(lora_only)} has no effect without use_peft: true")
        if self.load_in_4bit and not self.use_peft:
            raise ValueError("load_in_4bit needs use_peft: true, as four-bit weights cannot be trained")
        quantized_only = sorted(set_here & {"bnb_4bit_quant_type", "use_bnb_nested_quant"})
        if quantized_only and not self.load_in_4bit:
            raise ValueError(f"{', '.join(quantized_only)} has no effect without load_in_4bit: true")
        if "truncation_mode" in set_here and self.max_prompt_length is None:
            raise ValueError("truncation_mode has no effect without max_prompt_length")
        if "kl_steps" in set_here and self.max_kl is None:
            raise ValueError("kl_steps has no effect without max_kl")
        if self.max_steps > 0 and "num_train_epochs" in set_here:
            raise ValueError("num_train_epochs has no effect beside max_steps: give one of them")
        if self.max_steps == 0:
            raise ValueError("max_steps must be positive, or -1 to go by num_train_epochs")
        if self.warmup_steps and self.lr_scheduler_type == "constant":
            raise ValueError(
                "warmup_steps has no effect with lr_scheduler_type: constant (use constant_with_warmup)"
            )
        return self

    @property
    def batch_size(self) -> int:
        """Rows per optimizer step."""
        return self.per_device_train_batch_size * self.gradient_accumulation_steps

    @property
    def adapter_rank(self) -> int:
        """Rank of everything that is trained as an adapter."""
        return self.lora_r


class MovingReference(TrainOptions):
    """Options of methods whose reference may follow the policy (TR-DPO)."""

    sync_ref_model: bool = False
    """Let the reference follow the policy (Gorbatovski et al. 2024)."""

    ref_model_mixup_alpha: float = Field(0.6, gt=0, le=1)
    """Share of the policy when the reference is mixed with it; 1 = replaced by it."""

    ref_model_sync_steps: int = Field(512, ge=1)
    """Optimizer steps between mixtures; 1 with a small share = an exponential moving average."""

    @model_validator(mode="after")
    def _moving(self) -> Self:
        """Without sync_ref_model the others do nothing."""
        for name in ("ref_model_mixup_alpha", "ref_model_sync_steps"):
            if name in self.model_fields_set and not self.sync_ref_model:
                raise ValueError(f"{name} has no effect without sync_ref_model: true")
        return self


MOVING = ("sync_ref_model", "ref_model_mixup_alpha", "ref_model_sync_steps")
"""Names of :class:`MovingReference`'s own options, for :attr:`Entry.elsewhere`."""
