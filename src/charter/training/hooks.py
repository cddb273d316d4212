"""How layers above training look in: evaluation during training, stopping on KL.

A hook is called between optimizer steps and may ask to stop. Its ``state`` is
saved with each checkpoint and given back on resume.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from charter.models.policy import Policy


@dataclass(frozen=True, slots=True)
class Stop:
    """A hook's wish to end training.

    Attributes:
        reason: in words for people; shown and written to the report.
        go_back: take the weights of the last time :meth:`Hook.after_step` found all well.
    """

    reason: str
    go_back: bool = False


@dataclass(frozen=True, slots=True)
class HookResult:
    """What a hook found after a step.

    Attributes:
        metrics: added to the step's row.
        well: the weights now are ones to go back to; None = the hook did not look. They are kept where
            some hook says so and none says they are not.
        stop: see :class:`Stop`.
    """

    metrics: dict[str, float]
    well: bool | None = None
    stop: Stop | None = None


NOTHING = HookResult({})


class Hook(Protocol):
    """Looks at a policy between steps."""

    name: str

    def after_step(self, policy: Policy, step: int, last: bool, metrics: Mapping[str, float]) -> HookResult:
        """Called after optimizer step ``step`` (1-based).

        Args:
            policy: as the step left it.
            step: see above.
            last: no further step is planned.
            metrics: of the step, and what evaluation and earlier hooks found after it.
        """
        ...

    def state(self) -> Any:
        """Plain data to be saved."""
        ...

    def restore(self, state: Any) -> None:
        """Take back what :meth:`state` gave."""
        ...
