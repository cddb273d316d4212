"""Fields of ``BCOConfig``, which TRL has removed."""

from __future__ import annotations

from charter.catalogue.from_trl.field import Rows, Trainer, same

_BCO: tuple[Trainer, ...] = ("bco",)

SECTIONS: dict[str, Rows] = {
    "Binary classifier optimisation (`BCOConfig`, removed after TRL 1.13)": (
        *same("beta", of=_BCO),
        *same("prompt_sample_size min_density_ratio max_density_ratio", of=_BCO),
    ),
}
