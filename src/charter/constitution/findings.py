"""What lint has to say."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to look at.

    Attributes:
        level: an error makes numbers wrong; a warning leaves something unmeasured or unclear.
        code: stable name of the kind of finding.
        principle: id of the principle, or "" for the file.
        where: ``file:line``.
        message: what is the matter.
        fix: what to do about it.
        texts: of the principles it is about, where several are set against each other.
    """

    level: Severity
    code: str
    principle: str
    where: str
    message: str
    fix: str
    texts: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values; ``texts`` where there are any."""
        values = asdict(self)
        texts = values.pop("texts")
        return {**values, "texts": list(texts)} if texts else values
