"""Which number an answer gives."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from charter.environments.arithmetic import number_in

_NUMBER = r"[-\N{MINUS SIGN}]?\d[\d,]*(?:\.\d+)?"
_GAP = r"[^\w\-\N{MINUS SIGN}]"
_LABELLED = re.compile(rf"answer{_GAP}{{0,4}}(?:is{_GAP}{{1,4}})?({_NUMBER})", re.IGNORECASE)
_ANY = re.compile(rf"(?<![\w.]){_NUMBER}")


@dataclass(frozen=True, slots=True)
class ReadNumber:
    """A number, and how sure its place is.

    Attributes:
        value: of it.
        labelled: it stood behind the word ``answer``; else it is the last number of the text.
    """

    value: Fraction
    labelled: bool


def read_number(text: str) -> ReadNumber | None:
    """The last number behind ``Answer``, else the last number; None where there is none.

    It cannot see numbers in words (``forty-two``), takes ``41, not 43`` for 43 unless the answer is
    labelled, and takes a number that stands for something else (a step, a year) for the answer.
    """
    labelled = _LABELLED.findall(text)
    for found, marked in ((labelled, True), (_ANY.findall(text), False)):
        if found:
            value = number_in(found[-1].rstrip(","))
            return None if value is None else ReadNumber(value, marked)
    return None
