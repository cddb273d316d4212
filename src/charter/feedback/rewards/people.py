"""Rewards of one group of people from a few of its preferences: ``gpo:FOLDER:EXAMPLES``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from charter.data.formats import load_groups
from charter.errors import ConfigError
from charter.feedback.rewards.base import Reward
from charter.feedback.rewards.outcome import error, judgement, not_applicable
from charter.types import Group, Judgement

if TYPE_CHECKING:
    from charter.feedback.gpo.reward import GPOReward
    from charter.models.policy import Policy

GPO = "gpo:"
ALONE = "no other answer to compare with"


@dataclass
class PeopleReward(Reward):
    """What a group of people would choose among the answers to a prompt; loaded when it is first asked.

    The reward is an answer's score less the mean of its group's, so one answer alone gets none.

    Attributes:
        name: see :class:`Reward`.
        folder: what ``charter gpo train`` wrote.
        examples: the group's own preferences.
        load: loads the model it was trained with; None = :func:`charter.models.load.load`.
    """

    name: str
    folder: Path
    examples: Sequence[Group]
    load: Callable[[str], Policy] | None = None
    _reward: GPOReward | None = field(default=None, repr=False)

    def judge(self, groups: Sequence[Group]) -> list[list[Judgement]]:
        """See :class:`Reward`; an empty answer is an error, and is not compared."""
        from dataclasses import replace

        kept = [[i for i, sample in enumerate(g.samples) if sample.completion.text.strip()] for g in groups]
        asked = [
            replace(group, samples=tuple(group.samples[i] for i in at), judgements=())
            for group, at in zip(groups, kept, strict=True)
            if len(at) > 1
        ]
        answered = iter(self._loaded().judge(asked) if asked else [])
        found = []
        for group, at in zip(groups, kept, strict=True):
            values = dict(zip(at, (one.value for one in next(answered)), strict=True)) if len(at) > 1 else {}
            found.append([self._said(i, i in at, values.get(i)) for i in range(len(group.samples))])
        return found

    def _said(self, index: int, read: bool, value: float | None) -> Judgement:
        if not read:
            return judgement(self.name, "gpo", index, error("empty completion"))
        return judgement(self.name, "gpo", index, not_applicable(ALONE) if value is None else value)

    def _loaded(self) -> GPOReward:
        if self._reward is None:
            from charter.feedback.gpo.features import Embedder
            from charter.feedback.gpo.folder import load_gpo
            from charter.feedback.gpo.reward import GPOReward
            from charter.models.load import load

            gpo = load_gpo(self.folder)
            embedder = Embedder((self.load or load)(gpo.model), gpo.reading)
            self._reward = GPOReward(gpo, embedder, self.examples)
        return self._reward


def people_reward(
    target: str, name: str, base: Path, where: str, load: Callable[[str], Policy] | None
) -> PeopleReward:
    """The reward that ``gpo:FOLDER:EXAMPLES`` names; nothing is loaded.

    Raises:
        ConfigError: another shape, or no such folder.
        DataError: examples that compare no answers.
    """
    folder, colon, examples = target.removeprefix(GPO).rpartition(":")
    if not colon or not folder or not examples:
        raise ConfigError(
            "a group's reward needs a trained GPO and the group's preferences",
            where=where,
            fix="write gpo:FOLDER:EXAMPLES",
        )
    place = base / Path(folder).expanduser()
    if not (place / "gpo.json").is_file():
        raise ConfigError("not what `charter gpo train` wrote", where=where, fix=f"check the folder {place}")
    groups = load_groups(str(base / Path(examples).expanduser()), "preference").groups
    return PeopleReward(name, place, groups, load)
