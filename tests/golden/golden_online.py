"""Runs our pair objectives of the online methods on golden cases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from golden_layout import layout, pairs
from golden_pairs import mean, scored_pairs
from torch import Tensor

from charter.objectives.base import Scored
from charter.objectives.online_ipo import OnlineIPO
from charter.objectives.preference import DPO, IPO
from charter.objectives.psi_po import PsiPO
from charter.objectives.xpo import XPO

Inputs = Mapping[str, Tensor]
Options = Mapping[str, Any]


def xpo(inputs: Inputs, options: Options) -> dict[str, Tensor]:
    """Beside each pair a third sample, which the reference wrote."""
    names = ("policy_chosen_logps", "policy_rejected_logps", "ref_chosen_logps", "ref_rejected_logps")
    own_P, bonus_P = [inputs[name] for name in names], inputs["ref_sample_logps"]
    count = len(bonus_P)
    index = torch.arange(3 * count)
    pairs_P2 = torch.stack([index[:count], index[count : 2 * count]], 1)
    made = layout(index, 3 * count, pairs_P2, group_B=index % count)
    made = replace(made, by_reference_B=index >= 2 * count)
    logps_N = torch.cat([own_P[0], own_P[1], bonus_P])
    ref_N = torch.cat([own_P[2], own_P[3], torch.zeros_like(bonus_P)])
    return {"loss": mean(XPO(**options), Scored(made, logps_N, ref_N))}


def online_ipo(inputs: Inputs, options: Options) -> dict[str, Tensor]:
    """The offline form with sums is the same."""
    loss = mean(OnlineIPO(options["tau"], "soft"), scored_pairs(inputs))
    offline = mean(IPO(options["tau"], length_normalize=False), scored_pairs(inputs))
    torch.testing.assert_close(offline, loss)
    return {"loss": loss}


def online_ipo_regression(inputs: Inputs, options: Options) -> dict[str, Tensor]:
    """Psi-PO with the identity is the same."""
    loss = mean(OnlineIPO(options["tau"], "regression"), scored_pairs(inputs))
    torch.testing.assert_close(mean(PsiPO(options["tau"], "identity"), scored_pairs(inputs)), loss)
    return {"loss": loss}


def bpo(inputs: Inputs, options: Options) -> dict[str, Tensor]:
    """The behaviour policy is the reference."""
    names = ("policy_chosen_logps", "policy_rejected_logps", "behavior_chosen_logps")
    sides = [inputs[name] for name in names]
    return {"loss": mean(DPO(**options), pairs(*sides, inputs["behavior_rejected_logps"]))}


RUNNERS = {
    "online_ipo": online_ipo,
    "online_ipo_regression": online_ipo_regression,
    "xpo": xpo,
    "bpo": bpo,
}
