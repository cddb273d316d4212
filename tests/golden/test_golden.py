"""Golden cases: values and gradients in float64, computed without this project's code.

The cases are ``cases.json`` beside this file, computed outside this repository; ``own_cases.json``, by
the lines of plain Python that stand in them; and the files named by the environment variable
``CHARTER_GOLDEN`` (several are separated as in ``PATH``).
Each ``golden_*.py`` beside this file maps names of objectives to code that runs
ours on a case's inputs (``RUNNERS``), and may say which options are offered
(``OFFERED``).
"""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
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


OWN_FILES = tuple(Path(__file__).parent / name for name in ("cases.json", "own_cases.json"))

WAITS = {
    "diffusion_dpo": "images are not trained on",
    "mdpo": "images are not trained on",
    "fact_rlhf_reward": "images are not trained on",
}
"""Names of cases without a runner, and why."""


def read_cases() -> list[Case]:
    extra = [Path(p) for p in os.environ.get("CHARTER_GOLDEN", "").split(os.pathsep) if p]
    files = [*OWN_FILES, *extra]
    return [case for file in files for case in json.loads(file.read_text(encoding="utf-8"))]


def implemented(case: Case) -> bool:
    return case["name"] in RUNNERS and OFFERED.get(case["name"], lambda options: True)(case["options"])


def unexplained(cases: Sequence[Case]) -> list[str]:
    """Cases that are not run, and that :data:`WAITS` does not know: a misspelt name, an unknown option."""
    return [name_of(case) for case in cases if not implemented(case) and case["name"] not in WAITS]


CASES = read_cases()
OURS = [case for case in CASES if implemented(case)]


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


def test_every_case_is_run_or_waits_for_a_reason() -> None:
    """Of the files beside this one, and of those that are named from outside."""
    assert unexplained(CASES) == [], "misspelt, or without a runner in golden_*.py"


def test_what_waits_has_cases_and_no_runner() -> None:
    assert set(WAITS) <= {case["name"] for case in CASES}
    assert not set(WAITS) & set(RUNNERS)


def test_a_misspelt_name_in_a_file_from_outside_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (known, *_) = [case for case in OURS if case["name"] == "dpo"]
    waiting = {**known, "name": "mdpo", "variant": "outside"}
    misspelt = {**known, "name": "dop", "variant": "outside"}
    file = tmp_path / "more.json"
    file.write_text(json.dumps([known, waiting, misspelt]), encoding="utf-8")
    monkeypatch.setenv("CHARTER_GOLDEN", str(file))
    assert read_cases()[-3:] == [known, waiting, misspelt]
    assert unexplained(read_cases()[-3:]) == ["dop-outside"]
