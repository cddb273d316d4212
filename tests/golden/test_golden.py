"""Golden cases: values and gradients in float64, computed outside this project.

The cases are ``cases.json`` beside this file, and the files named by the
environment variable ``CHARTER_GOLDEN`` (several are separated as in ``PATH``).
Each ``golden_*.py`` beside this file maps names of objectives to code that runs
ours on a case's inputs (``RUNNERS``), and may say which options are offered
(``OFFERED``).
"""

from __future__ import annotations

import importlib
import json
import os
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

RTOL, ATOL = 1e-6, 1e-9

Case = dict[str, Any]
Outputs = dict[str, Any]
Runner = Callable[[Mapping[str, Any], Mapping[str, Any]], Outputs]

RUNNERS: dict[str, Runner] = {}
OFFERED: dict[str, Callable[[Mapping[str, Any]], bool]] = {}
"""Objectives of which only some options are implemented."""

for _file in sorted(Path(__file__).parent.glob("golden_*.py")):
    _module = importlib.import_module(_file.stem)
    RUNNERS |= getattr(_module, "RUNNERS", {})
    OFFERED |= getattr(_module, "OFFERED", {})


# -- the cases -----------------------------------------------------------------


def read_cases() -> list[Case]:
    extra = [Path(p) for p in os.environ.get("CHARTER_GOLDEN", "").split(os.pathsep) if p]
    files = [Path(__file__).parent / "cases.json", *extra]
    return [case for file in files for case in json.loads(file.read_text(encoding="utf-8"))]


def implemented(case: Case) -> bool:
    return case["name"] in RUNNERS and OFFERED.get(case["name"], lambda options: True)(case["options"])


CASES = read_cases()
OURS = [case for case in CASES if implemented(case)]
WAITING = [case for case in CASES if not implemented(case)]


def name_of(case: Case) -> str:
    return f"{case['name']}-{case['variant']}"


def read_input(value: Any, differentiated: bool) -> Any:
    """A tensor; a list of tokens stays as it is."""
    if isinstance(value, list) and value and isinstance(value[0], str):
        return value
    return torch.tensor(value, dtype=torch.float64).requires_grad_(differentiated)


def run(case: Case) -> tuple[Outputs, dict[str, Tensor]]:
    wanted = case["expected"].get("grads", {})
    inputs = {name: read_input(value, name in wanted) for name, value in case["inputs"].items()}
    outputs = RUNNERS[case["name"]](inputs, case["options"])
    grads = torch.autograd.grad(outputs["loss"], [inputs[name] for name in wanted]) if wanted else ()
    return outputs, dict(zip(wanted, grads, strict=True))


def agrees(ours: Any, expected: Any) -> None:
    if not isinstance(ours, Tensor):  # indices and counts
        assert ours == expected
        return
    expected = torch.tensor(expected, dtype=torch.float64)
    torch.testing.assert_close(ours.detach(), expected, rtol=RTOL, atol=ATOL)


@pytest.mark.parametrize("case", OURS, ids=name_of)
def test_values(case: Case) -> None:
    outputs, _ = run(case)
    for name, expected in case["expected"].items():
        if name != "grads":
            agrees(outputs[name], expected)


@pytest.mark.parametrize("case", [c for c in OURS if "grads" in c["expected"]], ids=name_of)
def test_gradients(case: Case) -> None:
    _, grads = run(case)
    for name, expected in case["expected"]["grads"].items():
        agrees(grads[name], expected)


@pytest.mark.parametrize("case", [c for c in OURS if "contrast" in c], ids=name_of)
def test_common_mistakes_would_be_seen(case: Case) -> None:
    loss = float(run(case)[0]["loss"].detach())
    for mistake, value in case["contrast"].items():
        assert abs(loss - value) > ATOL + RTOL * abs(value), mistake


def test_every_runner_has_cases() -> None:
    assert set(RUNNERS) == {case["name"] for case in OURS}


def test_cases_that_wait_for_their_objective() -> None:
    if WAITING:
        families = Counter(case["family"] for case in WAITING)
        words = ", ".join(f"{count} {family}" for family, count in sorted(families.items()))
        pytest.skip(f"{len(WAITING)} of {len(CASES)} golden cases wait for their objective: {words}")
