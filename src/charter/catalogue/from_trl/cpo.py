"""Fields of ``CPOConfig`` (CPO, SimPO, AlphaPO) and ``ORPOConfig`` alone."""

from __future__ import annotations

from charter.catalogue.from_trl.field import Rows, Trainer, same

_CPO: tuple[Trainer, ...] = ("cpo",)

SECTIONS: dict[str, Rows] = {
    "Contrastive preference optimisation, SimPO, AlphaPO (`CPOConfig`)": (
        *same("beta loss_type label_smoothing cpo_alpha alpha", of=_CPO),
        *same("simpo_gamma", "outside beta, as in the paper", of=_CPO),
    ),
    "Odds-ratio preference optimisation (`ORPOConfig`)": (*same("beta", "the paper's lambda", of=("orpo",)),),
}
