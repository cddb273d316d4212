"""The sections in the order in which they are read."""

from __future__ import annotations

from typing import Any

from charter.reporting.section import Section
from charter.reporting.sections import (
    adherence,
    conflicts,
    corners,
    enforcement,
    examples,
    health,
    judges,
    limits,
    lineage,
    people,
    pluralism,
    probes,
    round_trip,
    signoff,
    stages,
    steadiness,
    taught,
    tax,
    training,
    verdict,
    worst,
)

SECTIONS: tuple[Section[Any], ...] = tuple(
    module.SECTION
    for module in (
        verdict,
        adherence,
        judges,
        enforcement,
        worst,
        examples,
        conflicts,
        steadiness,
        corners,
        people,
        training,
        taught,
        health,
        tax,
        probes,
        pluralism,
        round_trip,
        limits,
        signoff,
        stages,
        lineage,
    )
)
"""The verdict first, then what it rests on, what it cost, what it leaves open, and where it comes from."""
