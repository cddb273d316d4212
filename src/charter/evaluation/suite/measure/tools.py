"""What measures work with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from charter.constitution import Constitution
from charter.evaluation.suite.judging import Verdicts
from charter.evaluation.suite.probe import Prober
from charter.evaluation.suite.result import TestResult
from charter.evaluation.suite.settings import SuiteOptions
from charter.evaluation.suite.transcript import Had


@dataclass(frozen=True)
class Tools:
    """Rules, judges and options.

    Attributes:
        constitution: whose tests are measured.
        verdicts: of its principles.
        prober: asks the judge questions of our own.
        others: verdicts of further judges.
        options: how it is decided.
    """

    constitution: Constitution
    verdicts: Verdicts
    prober: Prober
    others: Sequence[Verdicts] = ()
    options: SuiteOptions = field(default_factory=SuiteOptions)

    @property
    def base(self) -> Path:
        """Folder that callable files are relative to."""
        return Path(self.constitution.path).parent.absolute()


Measure = Callable[[Had, Tools], TestResult]
"""Measures one test; where it cannot, the result says why."""
