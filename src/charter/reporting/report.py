"""Everything one page shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from charter.reporting.section import Setting
from charter.reporting.sections.adherence import Adherence
from charter.reporting.sections.taught import Data
from charter.reporting.sections.training import Training


@dataclass(frozen=True, slots=True)
class Constitution:
    """Which constitution, to the byte."""

    name: str
    version: str
    sha: str
    path: str


@dataclass(frozen=True, slots=True)
class Report:
    """The head of a report, and what was found for each section, by its name."""

    title: str
    note: str
    created: str
    constitution: Constitution
    base: str
    aligned: str
    algorithm: str
    judge: str
    flags: tuple[str, ...]
    data: Data
    sections: Mapping[str, Any]

    @property
    def adherence(self) -> Adherence:
        """The adherence card."""
        return cast(Adherence, self.sections["adherence"])

    @property
    def training(self) -> Training | None:
        """How the model was trained; None = it was not, or that is not recorded."""
        return self.sections.get("training")

    @property
    def setting(self) -> Setting:
        """What every section may need to know."""
        card = self.adherence
        return Setting(
            titles={row.id: row.title for row in card.principles},
            interval=f"{100 * card.level:g}%",
            algorithm=self.algorithm,
            paired=card.overall.before is not None,
        )
