"""One measure for each kind of test."""

from __future__ import annotations

from collections.abc import Mapping

from charter.evaluation.suite.measure.compliance import comply, refuse
from charter.evaluation.suite.measure.conflict import conflict
from charter.evaluation.suite.measure.distribution import distribution
from charter.evaluation.suite.measure.flip import flip
from charter.evaluation.suite.measure.invariance import invariance
from charter.evaluation.suite.measure.judged import judged
from charter.evaluation.suite.measure.overton import overton
from charter.evaluation.suite.measure.ruled import ruled
from charter.evaluation.suite.measure.steer import steer
from charter.evaluation.suite.measure.tools import Measure

MEASURES: Mapping[str, Measure] = {
    "judge": judged,
    "rule": ruled,
    "flip": flip,
    "invariance": invariance,
    "must_comply": comply,
    "must_refuse": refuse,
    "conflict": conflict,
    "steer": steer,
    "distribution": distribution,
    "overton": overton,
}
"""Every measure by the kind of test it is for."""
