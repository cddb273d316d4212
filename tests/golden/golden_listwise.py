"""Runs MODPO, DPO against the behaviour policy, and the losses on rated answers on golden cases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from golden_layout import layout, pairs
from torch import Tensor

from charter.objectives.base import NO_STATS, Scored
from charter.objectives.listwise import EXO, NCA
from charter.objectives.modpo import MODPO
from charter.objectives.preference import DPO

Inputs = Mapping[str, Tensor]
Options = Mapping[str, Any]


def run_modpo(inputs: Inputs, options: Options) -> dict[str, Tensor]:
    scored = pairs(*(inputs[f"{who}_logps"] for who in SIDES))
    w, *rest = options["weights"]
    names = [f"other{i}" for i in range(len(rest))]
    ratings_BM = torch.cat([inputs["margin_chosen_rewards"], inputs["margin_rejected_rewards"]])
    own_B1 = torch.full((len(ratings_BM), 1), torch.nan, dtype=torch.float64)
    made = replace(scored.layout, value_BZ=torch.cat([own_B1, ratings_BM], dim=1), dimensions=("own", *names))
    written = [f"{name}={weight}" for name, weight in zip(names, rest, strict=True)]
    losses = [
        MODPO(beta=options["beta"], w=w, margin_weights=weights)(
            Scored(made, scored.logps_N, scored.ref_logps_N), NO_STATS
        )["modpo"]
        for weights in (written, ())
    ]
    if len(rest) == 1:  # what w leaves, in equal parts, is the same
        torch.testing.assert_close(losses[0].total, losses[1].total)
    return {"loss": losses[0].total / losses[0].count}


SIDES = ("policy_chosen", "policy_rejected", "ref_chosen", "ref_rejected")


def run_bpo(inputs: Inputs, options: Options) -> dict[str, Tensor]:
    names = ("policy_chosen", "policy_rejected", "behavior_chosen", "behavior_rejected")
    scored = pairs(*(inputs[f"{who}_logps"] for who in names))
    (term,) = DPO(beta=options["beta"])(scored, NO_STATS).values()
    return {"loss": term.total / term.count}


def rated_pairs(inputs: Inputs, better: float, worse: float) -> Scored:
    """Each pair as a group of two rated answers, in float64."""
    scored = pairs(*(inputs[f"{who}_logps"] for who in SIDES))
    count = len(inputs["policy_chosen_logps"])
    order = torch.arange(2 * count).reshape(2, count).T.flatten()  # better, worse, better, worse, ...
    ratings = torch.tensor([better, worse], dtype=torch.float64).repeat(count)
    made = layout(torch.arange(2 * count), 2 * count, value_B=ratings, group_B=torch.arange(2 * count) // 2)
    assert scored.ref_logps_N is not None
    return Scored(made, scored.logps_N[order], scored.ref_logps_N[order])


def run_nca_pair(inputs: Inputs, options: Options) -> dict[str, Tensor]:
    """A rating that far above the other takes all of the target."""
    scored = rated_pairs(inputs, 0.0, -1e9)
    (term,) = NCA(beta=options["beta"])(scored, NO_STATS).values()
    return {"loss": term.total / term.count}


def run_exo_pair(inputs: Inputs, options: Options) -> dict[str, Tensor]:
    """Ratings whose softmax is 1 - e and e."""
    e = torch.tensor(options["label_smoothing"], dtype=torch.float64)
    scored = rated_pairs(inputs, float(torch.log1p(-e)), float(torch.log(e)))
    (term,) = EXO(beta=options["beta"], beta_r=1.0)(scored, NO_STATS).values()
    return {"loss": term.total / term.count}


RUNNERS = {"modpo": run_modpo, "bpo": run_bpo}
RATED = {"nca_pair": run_nca_pair, "exo_pair": run_exo_pair}
"""Cases of the pair losses, of which the losses on rated answers are the general form: run by the
tests of those, as the pair losses have runners of their own."""
