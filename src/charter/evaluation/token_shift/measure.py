"""Two models and some prompts in, the token shift between them out."""

from __future__ import annotations

from collections.abc import Sequence

from charter.engines.local import LocalEngine
from charter.engines.tuning_free import TuningFree
from charter.errors import UserError
from charter.evaluation.token_shift.summary import TokenShift, summed
from charter.evaluation.token_shift.token_shift import aligned_answers, shifts
from charter.models.pairing import Reference
from charter.models.policy import Policy
from charter.progress import progress
from charter.types import Group


def measure_shift(
    aligned: Policy,
    base: Policy | None,
    prompts: Sequence[Group],
    *,
    around: TuningFree | None = None,
    max_completion_length: int = 256,
    seed: int = 0,
) -> TokenShift:
    """Let ``aligned`` answer greedily, and see where ``base`` would have said something else.

    Args:
        aligned: the model that answers.
        base: the model before alignment; None = ``aligned`` without its adapter.
        prompts: rendered for ``aligned``.
        around: what the base model reads the answers under; None = the same tokens as the aligned model.
        max_completion_length: most tokens of an answer.
        seed: of the intervals.

    Raises:
        UserError: other vocabularies, no adapter to switch off, or icdpo, which is no context.
    """
    if base is None and not aligned.has_adapter:
        raise UserError("there is no adapter to switch off", fix="name the model before alignment")
    if base is not None and base.tokenizer.get_vocab() != aligned.tokenizer.get_vocab():
        raise UserError(
            f"{base.name} and {aligned.name} have different vocabularies: their tokens do not compare",
            fix="compare a model with the one it was made from",
        )
    frame = None if around is None else around.reframe(base or aligned)
    engine = LocalEngine(aligned.model, aligned.tokenizer, compute_dtype=aligned.compute_dtype)
    with progress("answers", len(prompts)) as advance:
        answers = aligned_answers(engine, prompts, max_completion_length, advance)
    with progress("read by both", len(prompts)) as advance:
        found = shifts(
            aligned,
            Reference(None if base is None else base.model),
            answers,
            base_context=frame,
            score_end=around is None or around.layout != "text",
            on_progress=advance,
        )
    return summed(
        found,
        base=f"{aligned.name} without its adapter" if base is None else base.name,
        aligned=aligned.name,
        framed="" if around is None else around.label,
        seed=seed,
    )
