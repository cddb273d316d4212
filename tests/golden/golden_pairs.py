"""Runs our pair objectives with a reference on golden cases."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from golden_layout import layout, pairs
from torch import Tensor

from charter.objectives.base import Objective, Scored, Stats
from charter.objectives.pair_objective import PairLogps
from charter.objectives.preference import DPO, IPO
from charter.objectives.reference_free import ChosenNLL

Inputs = Mapping[str, Tensor]
Options = Mapping[str, Any]
Runner = Callable[[Inputs, Options], dict[str, Tensor]]


def mean(objective: Objective, scored: Scored) -> Tensor:
    """The loss of one step that holds ``scored`` alone."""
    prepare = getattr(objective, "prepare", None)
    whole = prepare(scored.detached()) if prepare else {}
    stats = Stats(whole, {name: slice(0, len(value)) for name, value in whole.items()})
    return sum((t.total / t.count for t in objective(scored, stats).values()), torch.zeros(()))


def scored_pairs(inputs: Inputs) -> Scored:
    """Sums spread over as many tokens as the case says; one where it does not say."""
    ones = torch.ones(len(inputs["policy_chosen_logps"]))
    return pairs(
        inputs["policy_chosen_logps"],
        inputs["policy_rejected_logps"],
        inputs["ref_chosen_logps"],
        inputs["ref_rejected_logps"],
        better_lengths=inputs.get("chosen_lengths", ones),
        worse_lengths=inputs.get("rejected_lengths", ones),
        probability_P=inputs.get("preference_probs"),
    )


def run(loss_type: str) -> Runner:
    """Our DPO class with the case's options."""

    def runner(inputs: Inputs, options: Options) -> dict[str, Tensor]:
        scored = scored_pairs(inputs)
        better_P, worse_P = scored.better(scored.logratios_B), scored.worse(scored.logratios_B)
        logps = PairLogps.of(scored)
        return {
            "loss": mean(DPO(loss_type=loss_type, **options), scored),
            "chosen_logratios": better_P,
            "rejected_logratios": worse_P,
            "margins": better_P - worse_P,
            "logratios": logps.better_P - logps.worse_P,
            "ref_logratios": logps.ref_better_P - logps.ref_worse_P,
        }

    return runner


def run_ipo(inputs: Inputs, options: Options) -> dict[str, Tensor]:
    loss = mean(IPO(**options), scored_pairs(inputs))
    if options["length_normalize"]:
        torch.testing.assert_close(mean(DPO(options["beta"], "ipo"), scored_pairs(inputs)), loss)
    return {"loss": loss}


def run_sppo(inputs: Inputs, options: Options) -> dict[str, Tensor]:
    """Win rates as scores of the answers; where they add up to 1, also as probabilities of the pairs."""
    scored = scored_pairs(inputs)
    rates_B = torch.cat([inputs["chosen_probs"], inputs["rejected_probs"]])
    rated = replace(scored, layout=replace(scored.layout, value_BZ=rates_B[:, None]))
    loss = mean(DPO(loss_type="sppo", **options), rated)
    torch.testing.assert_close(inputs["rejected_probs"], 1 - inputs["chosen_probs"])
    likely = replace(scored, layout=replace(scored.layout, probability_P=inputs["chosen_probs"]))
    torch.testing.assert_close(mean(DPO(loss_type="sppo", **options), likely), loss)
    return {"loss": loss}


def run_rpo(inputs: Inputs, options: Options) -> dict[str, Tensor]:
    scored = scored_pairs(inputs)
    loss = mean(DPO(options["beta"]), scored) + options["rpo_alpha"] * mean(ChosenNLL(), scored)
    listed = DPO(options["beta"], ("sigmoid", "sft"), (1.0, options["rpo_alpha"]))
    torch.testing.assert_close(mean(listed, scored), loss)
    return {"loss": loss}


def run_ld_dpo(inputs: Inputs, options: Options) -> dict[str, Tensor]:
    chosen, rejected = inputs["chosen_mask"].bool(), inputs["rejected_mask"].bool()
    count = len(chosen)

    def stream(better_BT: Tensor, worse_BT: Tensor) -> Tensor:
        return torch.cat([better_BT[chosen], worse_BT[rejected]])

    lengths = torch.cat([chosen.sum(1), rejected.sum(1)])
    index = torch.arange(count)
    made = layout(
        torch.repeat_interleave(torch.arange(2 * count), lengths),
        2 * count,
        torch.stack([index, index + count], 1),
        group_B=torch.cat([index, index]),
    )
    own = stream(inputs["chosen_token_logps"], inputs["rejected_token_logps"])
    has_ref = "ref_chosen_token_logps" in inputs
    ref = (
        stream(inputs["ref_chosen_token_logps"], inputs["ref_rejected_token_logps"])
        if has_ref
        else torch.zeros_like(own)
    )
    scored = Scored(made, own, ref)
    sums = PairLogps.of(scored, options["ld_alpha"])
    found = {
        "chosen_logps": sums.better_P,
        "rejected_logps": sums.worse_P,
        "chosen_logps_full": scored.better(scored.logps_B),
    }
    return found | ({"loss": mean(DPO(**options), scored)} if has_ref else {})


RUNNERS: dict[str, Runner] = {
    "dpo": run("sigmoid"),
    "cdpo": run("cdpo"),
    "robust_dpo": run("robust"),
    "hinge": run("hinge"),
    "exo_pair": run("exo_pair"),
    "nca_pair": run("nca_pair"),
    "bco_pair": run("bco_pair"),
    "apo_zero": run("apo_zero"),
    "apo_down": run("apo_down"),
    "sppo_hard": run("sppo_hard"),
    "discopop": run("discopop"),
    "dpo_norm": run("sigmoid_norm"),
    "f_dpo": run("sigmoid"),
    "aot": run("aot"),
    "aot_unpaired": run("aot_unpaired"),
    "ipo": run_ipo,
    "sppo": run_sppo,
    "rpo": run_rpo,
    "ld_dpo": run_ld_dpo,
}
