"""What a declaration of the proofs of an algorithm says."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

LN2 = math.log(2)

LEARNS: Literal["learns"] = "learns"
REVERSED: Literal["reversed"] = "reversed"


@dataclass(frozen=True)
class Declared:
    """The proofs of one entry.

    Attributes:
        golden: names of golden cases that its objectives pass, or why there are none.
        toy: what a table of probabilities learns from it: ``learns``, ``reversed`` (it moves against
            the data from where it starts), or why the question does not apply.
        peer: the test that holds it to an independent implementation (``tests/...py::name``), or why
            there is none.
        at_reference: the loss of the first step, where the policy is its reference; or why it is not
            a constant.
        rows: which of ``rows.ROWS`` it trains on; "" = those of its kind of data.
        options: options of the runs here, where a default needs more data or time than a test has.
        surrogate: why the gradient is deliberately not that of the value; "" = it is.
        task: options of an online algorithm's run on ``reward_of_letters.py:letters``, beside those all
            have; see test_learning.py.
    """

    golden: tuple[str, ...] | str
    toy: str
    peer: str
    at_reference: float | str
    rows: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    surrogate: str = ""
    task: Mapping[str, Any] = field(default_factory=dict)
