"""The cases computed in this repository are what the lines of plain Python beside them give."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Case = dict[str, Any]
CASES: list[Case] = json.loads((Path(__file__).parent / "own_cases.json").read_text(encoding="utf-8"))
STEP = 1e-5

each = pytest.mark.parametrize("case", CASES, ids=[f"{case['name']}-{case['variant']}" for case in CASES])


def loss_of(case: Case) -> Callable[[dict[str, list[float]]], float]:
    """The case's lines, with everything but the argument held as the case gives it."""
    names: dict[str, Any] = {"exp": math.exp, "log": math.log, "sqrt": math.sqrt, "erfc": math.erfc}
    exec("\n".join(case["comment"]), names)
    return lambda inputs: float(names["loss"](inputs, case["options"], case["inputs"]))


@each
def test_the_value_is_that_of_the_lines(case: Case) -> None:
    assert "torch" not in " ".join(case["comment"])
    assert loss_of(case)(case["inputs"]) == pytest.approx(case["expected"]["loss"], rel=1e-12)


@each
def test_the_gradient_is_that_of_the_lines(case: Case) -> None:
    loss, inputs = loss_of(case), case["inputs"]
    for name, grads in case["expected"]["grads"].items():
        for place, expected in enumerate(grads):
            sides = []
            for step in (STEP, -STEP):
                moved = [value + step * (i == place) for i, value in enumerate(inputs[name])]
                sides.append(loss({**inputs, name: moved}))
            assert (sides[0] - sides[1]) / (2 * STEP) == pytest.approx(expected, rel=1e-6, abs=1e-8)


@each
def test_a_case_says_whose_formula_it_is(case: Case) -> None:
    assert {"source", "comment", "contrast"} <= set(case)
    assert "(2" in case["source"]
