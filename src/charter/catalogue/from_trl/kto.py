"""Fields of ``KTOConfig`` alone."""

from __future__ import annotations

from charter.catalogue.from_trl.field import Rows, Trainer, same

_KTO: tuple[Trainer, ...] = ("kto",)

SECTIONS: dict[str, Rows] = {
    "Kahneman-Tversky optimisation (`KTOConfig`)": (
        *same("beta desirable_weight undesirable_weight", of=_KTO),
        *same("loss_type", "kto or apo_zero_unpaired", of=_KTO),
    ),
}
