"""What is noted of a GRPO run, whoever trains: phases of each step, what was learnt from, the gradient."""

from __future__ import annotations

import hashlib
import math
import zlib
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from common import Clock

PHASES = ("sampling", "scoring", "update")
BUCKETS = 32
"""Numbers a parameter's gradient is folded into."""
WINDOW = 4
"""Steps whose mean reward must reach the target: one step of few completions is noise."""


class Watch:
    """Marks and numbers of one run.

    Args:
        job: ``sketch``: fold the first gradient; ``target``: mean reward to reach, or None.
    """

    def __init__(self, job: Mapping[str, Any]) -> None:
        self._target = job.get("target")
        self._sketches = job.get("sketch", False)
        self._clock = Clock()
        self._phases: dict[str, tuple[float, float]] = {}
        self._rows: list[tuple[tuple[int, ...], tuple[int, ...], float]] = []
        self._digests: list[str] = []
        self._steps: list[dict[str, Any]] = []
        self._advantages: list[list[float]] = []
        self._sketch: dict[str, Any] | None = None
        self.reached = False

    def start(self) -> None:
        """Training begins."""
        self._clock.mark()

    def mark(self, phase: str) -> None:
        """The end of a phase."""
        span = self._clock.mark()
        wall, cpu = self._phases.get(phase, (0.0, 0.0))
        self._phases[phase] = wall + span.wall, cpu + span.cpu

    def saw(self, prompt: tuple[int, ...], completion: tuple[int, ...], advantage: float) -> None:
        """A rollout that is learnt from."""
        self._rows.append((prompt, completion, advantage))

    def end(self, reward: float, loss: float, grad_norm: float, computed: float) -> None:
        """The end of an optimizer step.

        Args:
            reward: mean of its rollouts.
            loss: of the step.
            grad_norm: before clipping.
            computed: tokens of the training forward, padding included.
        """
        self.mark("update")
        rows = sorted(self._rows)
        self._steps.append(
            {
                "wall": round(sum(wall for wall, _ in self._phases.values()), 4),
                "cpu": round(sum(cpu for _, cpu in self._phases.values()), 4),
                **{name: round(self._phases.get(name, (0.0, 0.0))[0], 4) for name in PHASES},
                "reward": round(reward, 6),
                "loss": float(f"{loss:.9g}"),
                "grad_norm": float(f"{grad_norm:.7g}"),
                "computed": int(computed),
                "sampled": sum(len(completion) for _, completion, _ in rows),
            }
        )
        ids = [(list(prompt), list(completion)) for prompt, completion, _ in rows]
        self._digests.append(hashlib.sha256(repr(ids).encode()).hexdigest())
        self._advantages.append([advantage for _, _, advantage in rows])
        self._rows, self._phases = [], {}
        rewards = [step["reward"] for step in self._steps[-WINDOW:]]
        self.reached = self._target is not None and len(rewards) == WINDOW and fmean(rewards) >= self._target

    def gradients(self, parameters: Mapping[str, Any]) -> None:
        """Fold the gradient that the optimizer is given first, where the job asks for it."""
        if not self._sketches:
            return
        from torch.optim.optimizer import register_optimizer_step_pre_hook

        def fold(*args: Any) -> None:
            if self._sketch is None:
                self._sketch = sketch(parameters)

        register_optimizer_step_pre_hook(fold)

    def report(self) -> dict[str, Any]:
        """Everything, as plain data."""
        return {
            "steps": self._steps,
            "reached": self.reached,
            "ids": self._digests,
            "advantages": self._advantages[:1],
            "gradient": self._sketch,
        }


# -- gradients ------------------------------------------------------------------


def sketch(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """A gradient as a few numbers that keep its inner products with others.

    The entries of each parameter get random signs, the same in every process, and are summed in
    :data:`BUCKETS` buckets: the expected product of two sketches is that of the gradients
    (Charikar, Chen, Farach-Colton 2002), with a relative deviation of about one in a hundred here.
    """
    import torch

    found: list[float] = []
    square = 0.0
    for name in sorted(parameters):
        gradient = parameters[name].grad
        if gradient is None:
            continue
        flat = gradient.detach().float().flatten()
        square += float(flat.double().square().sum())
        generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
        signs = torch.randint(0, 2, (len(flat),), generator=generator, dtype=torch.int8)
        signed = torch.where(signs.bool(), flat, -flat)
        padded = torch.nn.functional.pad(signed, (0, -len(flat) % BUCKETS))
        found += padded.view(BUCKETS, -1).sum(1, dtype=torch.float64).tolist()
    return {"norm": math.sqrt(square), "sketch": found}


def gradient_gap(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> tuple[float, float]:
    """Distance of two sketched gradients over the norm of the second, and their cosine."""
    a, b = ours["sketch"], theirs["sketch"]
    if len(a) != len(b):
        return math.nan, math.nan
    apart = math.sqrt(math.fsum((x - y) ** 2 for x, y in zip(a, b, strict=True)))
    return apart / theirs["norm"], _dot(a, b) / math.sqrt(_dot(a, a) * _dot(b, b))


def _dot(a: Sequence[float], b: Sequence[float]) -> float:
    return math.fsum(x * y for x, y in zip(a, b, strict=True))
