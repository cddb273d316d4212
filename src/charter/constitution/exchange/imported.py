"""What an import gives, and what did not come along."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from charter.constitution.constitution import Constitution


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing that a reader of the result should know; ``where`` is ``file:line``."""

    where: str
    what: str


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What the source does not say.

    Attributes:
        name: of the constitution; "" = from the file's name.
        licence: SPDX name of the text's licence.
        level: the level of every principle, where the format knows none.
        examples: most examples per principle that annotated pairs become.
        tests: folder of evaluation prompts beside a Model Spec; "" = none.
    """

    name: str = ""
    licence: str = ""
    level: str = "user"
    examples: int = 8
    tests: str = ""


@dataclass(frozen=True, slots=True)
class Imported:
    """A constitution from elsewhere.

    Attributes:
        format: what it was read as.
        text: the file.
        constitution: ``text``, read.
        counts: what the source held and what came of it.
        left_out: what could not be carried over.
        altered: what was written otherwise than the source has it.
    """

    format: str
    text: str
    constitution: Constitution
    counts: Mapping[str, int]
    left_out: tuple[Remark, ...] = ()
    altered: tuple[Remark, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """What came of it as plain values, without the text."""
        return {
            "format": self.format,
            "counts": dict(self.counts),
            "left_out": [asdict(remark) for remark in self.left_out],
            "altered": [asdict(remark) for remark in self.altered],
        }
