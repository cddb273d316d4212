"""Golden cases: values and gradients in float64, computed outside this project.

The cases are ``cases.json`` beside this file, and the files named by the
environment variable ``CHARTER_GOLDEN`` (several are separated as in ``PATH``).
``RUNNERS`` maps an objective's name to code that runs ours on the case's inputs.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from charter.objectives.base import NO_STATS, Layout, Scored
from charter.objectives.preference import DPO
from charter.objectives.supervised import NLL

RTOL, ATOL = 1e-6, 1e-9
IGNORED = -100

Case = dict[str, Any]
Outputs = dict[str, Tensor]
Runner = Callable[[Mapping[str, Tensor], Mapping[str, Any]], Outputs]


# -- runners: ours on a case's inputs ----------------------------------------


def run_sft(inputs: Mapping[str, Tensor], options: Mapping[str, Any]) -> Outputs:
    labels = inputs["labels"].long()[:, 1:]
    kept = labels != IGNORED
    logps = inputs["logits"].log_softmax(-1)[:, :-1]
    logps_N = logps.gather(-1, labels.clamp_min(0)[..., None])[..., 0][kept]
    scored = Scored(layout(sample_N=kept.nonzero()[:, 0], samples=len(labels)), logps_N)
    (term,) = NLL()(scored, NO_STATS).values()
    per_token = torch.zeros_like(logps[..., 0]).masked_scatter(kept, -logps_N)
    return {"loss": term.total / term.count, "per_token_nll": per_token}


def run_dpo(inputs: Mapping[str, Tensor], options: Mapping[str, Any]) -> Outputs:
    better, worse = inputs["policy_chosen_logps"], inputs["policy_rejected_logps"]
    count = len(better)
    probability_P = torch.full_like(better, 1 - options.get("label_smoothing", 0.0))
    sample_N = torch.arange(2 * count)
    pairs_P2 = torch.stack([sample_N[:count], sample_N[count:]], dim=1)
    scored = Scored(
        layout(sample_N, 2 * count, pairs_P2, probability_P),
        torch.cat([better, worse]),
        torch.cat([inputs["ref_chosen_logps"], inputs["ref_rejected_logps"]]),
    )
    (term,) = DPO(beta=options["beta"])(scored, NO_STATS).values()
    better_P, worse_P = scored.better(scored.logratios_B), scored.worse(scored.logratios_B)
    return {
        "loss": term.total / term.count,
        "chosen_logratios": better_P,
        "rejected_logratios": worse_P,
        "margins": better_P - worse_P,
    }


def layout(
    sample_N: Tensor, samples: int, pairs_P2: Tensor | None = None, probability_P: Tensor | None = None
) -> Layout:
    pairs_P2 = torch.empty(0, 2, dtype=torch.long) if pairs_P2 is None else pairs_P2
    ones_P = torch.ones(len(pairs_P2), dtype=torch.float64)
    return Layout(
        sample_N=sample_N,
        num_samples=samples,
        pairs_P2=pairs_P2,
        probability_P=ones_P if probability_P is None else probability_P,
        margin_P=torch.zeros_like(ones_P),
        weight_P=ones_P,
    )


RUNNERS: dict[str, Runner] = {"sft": run_sft, "dpo": run_dpo, "cdpo": run_dpo}
"""cDPO is DPO whose pairs all have the probability 1 - label_smoothing."""

OFFERED: dict[str, Callable[[Mapping[str, Any]], bool]] = {
    "sft": lambda options: options["loss_aggregation"] == "token_mean",
}
"""Objectives of which only some options are implemented."""


# -- the cases -----------------------------------------------------------------


def read_cases() -> list[Case]:
    extra = [Path(p) for p in os.environ.get("CHARTER_GOLDEN", "").split(os.pathsep) if p]
    files = [Path(__file__).parent / "cases.json", *extra]
    return [case for file in files for case in json.loads(file.read_text(encoding="utf-8"))]


def implemented(case: Case) -> bool:
    return case["name"] in RUNNERS and OFFERED.get(case["name"], lambda options: True)(case["options"])


CASES = read_cases()
OURS = [case for case in CASES if implemented(case)]
WAITING = [case for case in CASES if not implemented(case)]


def name_of(case: Case) -> str:
    return f"{case['name']}-{case['variant']}"


def run(case: Case) -> tuple[Outputs, dict[str, Tensor]]:
    wanted = case["expected"].get("grads", {})
    inputs = {
        name: torch.tensor(value, dtype=torch.float64).requires_grad_(name in wanted)
        for name, value in case["inputs"].items()
    }
    outputs = RUNNERS[case["name"]](inputs, case["options"])
    grads = torch.autograd.grad(outputs["loss"], [inputs[name] for name in wanted]) if wanted else ()
    return outputs, dict(zip(wanted, grads, strict=True))


def agrees(ours: Tensor, expected: Any) -> None:
    expected = torch.tensor(expected, dtype=torch.float64)
    torch.testing.assert_close(ours.detach(), expected, rtol=RTOL, atol=ATOL)


@pytest.mark.parametrize("case", OURS, ids=name_of)
def test_values(case: Case) -> None:
    outputs, _ = run(case)
    for name, expected in case["expected"].items():
        if name != "grads":
            agrees(outputs[name], expected)


@pytest.mark.parametrize("case", [c for c in OURS if "grads" in c["expected"]], ids=name_of)
def test_gradients(case: Case) -> None:
    _, grads = run(case)
    for name, expected in case["expected"]["grads"].items():
        agrees(grads[name], expected)


@pytest.mark.parametrize("case", [c for c in OURS if "contrast" in c], ids=name_of)
def test_common_mistakes_would_be_seen(case: Case) -> None:
    loss = float(run(case)[0]["loss"].detach())
    for mistake, value in case["contrast"].items():
        assert abs(loss - value) > ATOL + RTOL * abs(value), mistake


def test_every_runner_has_cases() -> None:
    assert set(RUNNERS) == {case["name"] for case in OURS}


def test_cases_that_wait_for_their_objective() -> None:
    if WAITING:
        families = Counter(case["family"] for case in WAITING)
        words = ", ".join(f"{count} {family}" for family, count in sorted(families.items()))
        pytest.skip(f"{len(WAITING)} of {len(CASES)} golden cases wait for their objective: {words}")
