"""Runs AI labels and direct AI scores on golden cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from charter.feedback.revising.probabilities import (
    both_orders,
    expected_score,
    normalised_score,
    preferred_first,
    shares,
)

Inputs = Mapping[str, Any]
Options = Mapping[str, Any]
Outputs = dict[str, Any]


def numbers(values: Sequence[Any]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def run_cai(inputs: Inputs, options: Options) -> Outputs:
    clamp = tuple(options["clamp"]) if "clamp" in options else None
    return {"p_a": numbers([preferred_first(row, clamp) for row in inputs["option_logps"].tolist()])}


def run_direct(inputs: Inputs, options: Options) -> Outputs:
    scores = [expected_score(row) for row in inputs["option_logps"].tolist()]
    return {"score": numbers(scores), "normalized": numbers([normalised_score(one) for one in scores])}


def run_both_orders(inputs: Inputs, options: Options) -> Outputs:
    there, back = ([shares(row).shares for row in inputs[f"logits_order{n}"].tolist()] for n in (1, 2))
    averaged = [both_orders(one[0], other[1]) for one, other in zip(there, back, strict=True)]
    return {
        "order1": numbers(there),
        "order2_as_presented": numbers(back),
        "average_first": numbers(averaged),
    }


RUNNERS = {
    "cai_preference": run_cai,
    "d_rlaif_score": run_direct,
    "rlaif_position_debias": run_both_orders,
}
