"""Models and judges with planted behaviours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from charter.constitution import Constitution
from charter.engines.base import Sampling
from charter.engines.scripted import ScriptedEngine
from charter.evaluation.suite import SuiteOptions, TestReport, run_tests
from charter.types import Group, Judgement, SampleTarget

SAMPLED = Sampling(temperature=1.0, max_completion_length=400)
GREEDY = Sampling(temperature=0.0, max_completion_length=400)

HEAD = "---\nname: planted\nlevels: [root, user]\n---\n"


def written(tests: str, *, rules: str = "", more: str = "") -> Constitution:
    """One principle ``p`` with these tests, and ``more`` principles."""
    block = f"```yaml rules\n{rules}\n```\n\n" if rules else ""
    text = f"{HEAD}## P {{#p authority=root}}\n\nBe good.\n\n{block}```yaml tests\n{tests}\n```\n\n{more}"
    return Constitution.from_text(text, "planted.md")


def asked(
    constitution: Constitution, answers: Callable[[str, int], str] | dict[str, list[str]], **more: object
) -> TestReport:
    """The report on a scripted model, which knows the user's last words and the number of its answer."""
    options = {"sampling": SAMPLED, "seeds": 3, "options": SuiteOptions(resamples=400), **more}
    return run_tests(constitution, ScriptedEngine(answers), **options)  # type: ignore[arg-type]


Truth = Callable[[str, str, Group], bool | None]
"""(title of the principle or statement, answer, group) -> does it hold?"""


@dataclass
class PlantedJudge:
    """Says what the truth is, of every principle of the constitution it was opened for.

    Attributes:
        truth: see :data:`Truth`.
        name: ``judge`` of its judgements.
        opened: titles of the principles of each constitution it was opened for.
        asked: groups it was shown.
    """

    truth: Truth
    name: str = "planted"
    opened: list[list[str]] = field(default_factory=list)
    asked: list[Group] = field(default_factory=list)

    def __call__(self, constitution: Constitution) -> _Opened:
        self.opened.append([one.title for one in constitution.active])
        return _Opened(self, constitution)


@dataclass
class _Opened:
    planted: PlantedJudge
    constitution: Constitution

    def judge(self, groups: Sequence[Group]) -> list[list[Judgement]]:
        self.planted.asked += groups
        return [self._said(group) for group in groups]

    def _said(self, group: Group) -> list[Judgement]:
        found = []
        for at, sample in enumerate(group.samples):
            for one in self.constitution.active:
                held = self.planted.truth(one.title, sample.completion.text, group)
                verdict = "abstained" if held is None else "judged"
                value = None if held is None else float(held)
                found.append(
                    Judgement(
                        SampleTarget(at),
                        value,
                        verdict=verdict,
                        principle=one.id,
                        judge=self.planted.name,
                        reason="as planted",
                    )
                )
        return found
