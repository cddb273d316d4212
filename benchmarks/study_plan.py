"""The cells of the offline study: which method, which beta, which seed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from charter.catalogue import ENTRIES, Entry
from charter.errors import ConfigError, did_you_mean

SWEEPS = {
    "dpo": (0.03, 0.1, 0.3, 1.0, 3.0),
    "ipo": (0.03, 0.1, 0.3, 1.0, 3.0),
    "kto": (0.03, 0.1, 0.3, 1.0, 3.0),
}
"""Betas of the sweeps. A method's default beta is a cell anyway."""

SPECIAL_DATA = {
    "modpo": "scores of other objectives",
    "gdpo": "beliefs of groups",
    "dpo-behaviour": "the sampler's log-probs",
    "sdpo": "several parts, one reference after the other",
    "sppo": "win rates over many answers",
}
"""Methods that are left out, and what they read or do instead."""

FOR_THIS_BUDGET = {"tr-dpo": {"ref_model_sync_steps": 8}}
"""Options whose defaults are for longer runs: in 32 steps TR-DPO's reference would never move."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One training run: ``beta`` None = the method's default."""

    algorithm: str
    beta: float | None
    seed: int

    @property
    def name(self) -> str:
        """``ALGORITHM,BETA,seedN``."""
        beta = "default" if self.beta is None else f"{self.beta:g}"
        return f"{self.algorithm},{beta},seed{self.seed}"

    def file(self, cache: Path) -> Path:
        """Where its result is kept."""
        return cache / "cells" / f"{self.name.replace(',', '_')}.json"


def parse_cell(name: str) -> Cell:
    """The cell called ``dpo,0.1,seed0``; ``prepare`` stands for the data alone.

    Raises:
        ConfigError: it is written otherwise, or names no algorithm.
    """
    if name == "prepare":
        return Cell("prepare", None, 0)
    parts = name.split(",")
    if len(parts) != 3 or not parts[2].startswith("seed"):
        raise ConfigError(f"cell {name!r} must look like dpo,0.1,seed0")
    if parts[0] not in ENTRIES:
        raise ConfigError(f"no algorithm {parts[0]!r}; {did_you_mean(parts[0], ENTRIES)}")
    beta = None if parts[1] == "default" else float(parts[1])
    if beta is not None and beta == default_beta(ENTRIES[parts[0]]):
        beta = None
    return Cell(parts[0], beta, int(parts[2].removeprefix("seed")))


def compared() -> list[Entry]:
    """The methods compared: imitation of the better answers, and everything on pairs or labels."""
    return [
        entry
        for entry in ENTRIES.values()
        if entry.name == "sft"
        or (
            entry.trains == "policy"
            and entry.name not in SPECIAL_DATA
            and entry.data in ("preference", "unpaired")
            and entry.family in _FAMILIES
        )
    ]


_FAMILIES = ("preference", "unpaired")


def default_beta(entry: Entry) -> float | None:
    """The default of the option ``beta``; None where there is none."""
    field = entry.options.model_fields.get("beta")
    return None if field is None else float(field.default)


def cells_of_study(seeds: int) -> list[Cell]:
    """Every cell, one seed after the other: the default of every method, then the sweeps."""
    cells = []
    for seed in range(seeds):
        cells += [Cell(entry.name, None, seed) for entry in compared()]
        for name, betas in SWEEPS.items():
            cells += [Cell(name, beta, seed) for beta in betas if beta != default_beta(ENTRIES[name])]
    return cells
