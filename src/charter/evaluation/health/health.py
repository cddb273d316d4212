"""What must stand beside adherence: is it still the same model, and does it still speak?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from charter.engines.base import Engine, Sampling
from charter.engines.sample import sample_prompts
from charter.evaluation.health import fluency
from charter.models.pairing import Reference
from charter.models.policy import Policy
from charter.types import Group

KL_LIMIT = 10.0
"""Nats per sequence above which a run is flagged."""

NLL_LIMIT = 1.5
"""Answers this many times less likely under the base model than its own are flagged."""

_KL_PROMPTS = 48


def health_rows(
    policy: Policy,
    reference: Reference | None,
    engine: Engine | None,
    after: Sequence[Group],
    before: Sequence[Group] | None,
    prompts: Sequence[Group],
    sampling: Sampling,
    unrelated_text: str,
) -> list[dict[str, Any]]:
    """One row per measure; a measure that could not be taken has None, never 0."""
    rows = [
        _row(
            "words",
            "Words per answer",
            "words",
            None if before is None else fluency.words(before),
            fluency.words(after),
        ),
        _row(
            "finished",
            "Answers ended by the model",
            "share",
            None if before is None else fluency.finished(before),
            fluency.finished(after),
        ),
        _row(
            "distinct",
            "Distinct answers",
            "share",
            None if before is None else fluency.distinct(before),
            fluency.distinct(after),
        ),
    ]
    if reference is not None and before is not None:
        rows += _against_reference(policy, reference, engine, after, before, prompts, sampling)
    if unrelated_text:
        base = None if reference is None else fluency.perplexity(policy, reference, unrelated_text)
        rows.append(
            _row(
                "perplexity",
                "Perplexity on unrelated text",
                "",
                base,
                fluency.perplexity(policy, None, unrelated_text),
            )
        )
    return rows


def _against_reference(
    policy: Policy,
    reference: Reference,
    engine: Engine | None,
    after: Sequence[Group],
    before: Sequence[Group],
    prompts: Sequence[Group],
    sampling: Sampling,
) -> list[dict[str, Any]]:
    own, now = fluency.nll_under(policy, reference, before), fluency.nll_under(policy, reference, after)
    nll = _row(
        "nll", "NLL of the answers under the base model", "nats per token", own, now, limit=NLL_LIMIT * own
    )
    if now > NLL_LIMIT * own:
        nll["flag"] = True
        nll["why"] = (
            f"the answers cost the base model {now:.2f} nats per token, its own {own:.2f} "
            f"(limit {NLL_LIMIT:g} times that): the rules may be gamed"
        )
    if engine is None:
        return [nll]
    probe = prompts[:: max(len(prompts) // _KL_PROMPTS, 1)][:_KL_PROMPTS]
    at_one = Sampling(
        temperature=1.0, max_completion_length=sampling.max_completion_length, seed=sampling.seed
    )
    kl = fluency.kl_per_sequence(policy, reference, sample_prompts(engine, probe, 1, at_one))
    drift = _row("kl", "KL to the base model", "nats per sequence", 0.0, kl.mean, limit=KL_LIMIT)
    drift["stderr"] = _rounded(kl.stderr)
    if kl.mean > KL_LIMIT:
        drift["flag"] = True
        drift["why"] = f"KL to the base model is {kl.mean:.1f} nats per sequence (limit {KL_LIMIT:g})"
    return [nll, drift]


def _row(
    measure: str, label: str, unit: str, before: float | None, after: float, limit: float | None = None
) -> dict[str, Any]:
    return {
        "measure": measure,
        "label": label,
        "unit": unit,
        "before": _rounded(before),
        "after": _rounded(after),
        "limit": _rounded(limit),
        "flag": None if limit is None else False,
        "why": "",
    }


def _rounded(value: float | None) -> float | None:
    """What cannot be measured is None."""
    return None if value is None or not math.isfinite(value) else round(value, 4)
