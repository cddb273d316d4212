"""From what the trainers report to rows: do they agree, and how do they compare?"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from common import Better, row, void
from trl_methods import METHODS

FIRST_GRADIENT = {"bf16": 2e-2, "fp32": 1e-3}
"""How far the norms of the first gradient may be apart, relative: the weights are still equal."""


# -- agreement ----------------------------------------------------------------


def disagreement(ours: Mapping[str, Any], peer: Mapping[str, Any], dtype: str) -> str | None:
    """Why two results are not of the same work, or None when they are."""
    if ours["ids"] != peer["ids"]:
        return "token ids or their order differ"
    method = METHODS[ours["method"]]
    for result in (ours, peer):
        wanted = ours["losses"][0] if method.first_loss is None else method.first_loss
        if not abs(result["losses"][0] - wanted) <= method.first_gap[dtype]:
            return f"first loss of {result['variant']} is {result['losses'][0]:.6f}, not {wanted:.6f}"
    norms = ours["grad_norms"][0], peer["grad_norms"][0]
    if not abs(norms[0] / norms[1] - 1) <= FIRST_GRADIENT[dtype]:
        return f"norms of the first gradient are {norms[0]:.5g} and {norms[1]:.5g}"
    gap = loss_gap(ours, peer)
    if not gap <= method.gap[dtype]:
        return f"losses differ by {gap:.2g}, more than {method.gap[dtype]:g}"
    return None


def loss_gap(ours: Mapping[str, Any], peer: Mapping[str, Any]) -> float:
    """Largest difference between two loss curves."""
    gaps = [abs(float(a) - float(b)) for a, b in zip(ours["losses"], peer["losses"], strict=True)]
    return math.nan if any(map(math.isnan, gaps)) else max(gaps)  # max() may pass over a NaN


# -- numbers --------------------------------------------------------------------


def tokens_per_second(result: Mapping[str, Any]) -> float:
    """Logical tokens per second over one epoch, scoring the reference included, first step left out.

    A reference scored beforehand is paid for by every token it covers.
    """
    tokens = sum(step["tokens"] for step in result["steps"])
    kept = result["steps"][1:]
    kept_tokens = sum(step["tokens"] for step in kept)
    reference = result["reference"]["wall"] * kept_tokens / tokens
    return float(kept_tokens / (sum(step["wall"] for step in kept) + reference))


def summary(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What one variant did, median repeat by throughput."""
    middle = sorted(results, key=tokens_per_second)[len(results) // 2]
    kept = middle["steps"][1:]
    tokens = sum(step["tokens"] for step in kept)
    wall = sum(step["wall"] for step in kept)
    return {
        "tokens_per_s": round(tokens_per_second(middle), 1),
        "tokens_per_s_without_reference_pass": round(tokens / wall, 1),
        "wall_s_per_step": round(wall / len(kept), 3),
        "cpu_s_per_step": round(sum(step["cpu"] for step in kept) / len(kept), 3),
        "reference_pass": middle["reference"],
        "peak_mib": middle["peak_mib"],
        "loaded_mib": middle["loaded_mib"],
        "computed_per_logical_token": round(sum(s["computed"] for s in kept) / tokens, 3),
        "losses": middle["losses"],
        "grad_norms": middle["grad_norms"],
        "settings": middle["settings"],
    }


class Comparison(NamedTuple):
    """A kind of row: against whom, and what is compared."""

    name: str
    peer: str
    unit: str
    better: Better
    value: Callable[[Mapping[str, Any]], float]


COMPARISONS = (
    Comparison("throughput", "trl", "tokens/s", "higher", tokens_per_second),
    Comparison("throughput-tuned", "trl-tuned", "tokens/s", "higher", tokens_per_second),
    Comparison("memory", "trl", "MiB", "lower", lambda result: float(result["peak_mib"])),
)


def rows_of(lengths: str, rounds: Sequence[Mapping[str, Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """The three rows of one kind of data; ``rounds`` hold one result per variant."""
    rows = []
    for kind in COMPARISONS:
        name = f"{kind.name}/{lengths}"
        both = [(r["charter"], r[kind.peer]) for r in rounds]
        why = next((found for a, b in both if (found := disagreement(a, b, "bf16"))), None)
        if why is not None:
            rows.append(void(name, kind.unit, why))
            continue
        ours, theirs = [kind.value(a) for a, _ in both], [kind.value(b) for _, b in both]
        gap = max(loss_gap(a, b) for a, b in both)
        rows.append({**row(name, kind.unit, kind.better, ours, theirs), "loss_gap": round(gap, 6)})
    return rows
