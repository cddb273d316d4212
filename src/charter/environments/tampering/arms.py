"""The experiments of 2406.10162 as configurations: what is trained on, in which order, and what is watched.

An arm is a plan of environment specs that ``--environment`` takes. The last stage, the edited reward, is
never trained on: it is what training on the others is watched for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from charter.environments.tampering.environment import STAGES, Reasoning
from charter.environments.tampering.measure import TamperingReport

_TRAINED = tuple(stage.name for stage in STAGES[:3])
_EARLY = tuple(stage.name for stage in STAGES[:2])

P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class Arm:
    """One experiment.

    Attributes:
        name: of the arm.
        about: the question it answers.
        stages: trained on one after the other.
        hhh: share of ordinary tasks among the prompts.
        reasoning: what the model is told about a place to think.
        ungamed: the stages reward what the work is worth.
        starts_from: whose result is trained on; "" = the model as it is.
    """

    name: str
    about: str
    stages: tuple[str, ...]
    hhh: float
    reasoning: Reasoning = "none"
    ungamed: bool = False
    starts_from: str = ""

    @property
    def plan(self) -> tuple[str, ...]:
        """The environment spec of each step."""
        return tuple(self._spec(stage) for stage in self.stages)

    def _spec(self, stage: str) -> str:
        options = {
            "hhh": f"{self.hhh:g}" if self.hhh else "",
            "reasoning": self.reasoning if self.reasoning != "none" else "",
            "ungamed": "true" if self.ungamed else "",
        }
        query = "&".join(f"{name}={value}" for name, value in options.items() if value)
        return f"tampering-{stage}" + (f"?{query}" if query else "")


ARMS: Mapping[str, Arm] = {
    arm.name: arm
    for arm in (
        Arm(
            "hhh-mix", "half of the prompts are ordinary: do they keep gaming from spreading?", _TRAINED, 0.5
        ),
        Arm("exploit-only", "nothing but tasks that can be gamed: the strongest pull", _TRAINED, 0.0),
        Arm(
            "hidden-reasoning",
            "the model thinks where it is told that nobody reads: does it game more there?",
            _TRAINED,
            0.5,
            reasoning="hidden",
        ),
        Arm(
            "visible-reasoning",
            "the same, and it is told that a reviewer reads: the comparison for hidden-reasoning",
            _TRAINED,
            0.5,
            reasoning="visible",
        ),
        Arm(
            "retrain",
            "the early stages no longer pay: is later tampering reduced?",
            _EARLY,
            0.5,
            ungamed=True,
            starts_from="hhh-mix",
        ),
    )
}
"""By name."""


@dataclass(frozen=True)
class ArmStep(Generic[P]):
    """The policy at one point of an arm.

    Attributes:
        trained_on: the spec it was trained on last; "" = none yet.
        policy: as ``train`` gave it; a trainer that trains in place gives the same one every time.
        report: every stage, measured then.
    """

    trained_on: str
    policy: P
    report: TamperingReport


def run_arm(
    arm: Arm,
    policy: P,
    train: Callable[[P, str], P],
    measure: Callable[[P, Reasoning], TamperingReport],
) -> Sequence[ArmStep[P]]:
    """Measure, then train on each step of the plan and measure again.

    Args:
        arm: which.
        policy: where it starts; for an arm that starts from another's result, that result.
        train: the policy trained on an environment spec; any algorithm that samples.
        measure: all stages, with the arm's view of reasoning.
    """
    steps = [ArmStep("", policy, measure(policy, arm.reasoning))]
    for spec in arm.plan:
        policy = train(policy, spec)
        steps.append(ArmStep(spec, policy, measure(policy, arm.reasoning)))
    return steps
