"""What of two checkpoints may be compared, and what not and why."""

from __future__ import annotations

from dataclasses import dataclass

from charter.evaluation.side_by_side.checkpoint import HOW, Checkpoint

_WORDS = {"temperature": "temperature", "max_completion_length": "most tokens of an answer"}


@dataclass(frozen=True)
class Shared:
    """What two checkpoints have in common.

    Attributes:
        prompts: ids of prompts with the same text, in the first one's order.
        principles: ids that both were judged under in the same words by the same judge.
        refused: of every other principle why it is not compared.
        notes: what else differs, in words.
        sampling: how their sampling differs, in words; "" = it does not, as far as is recorded.
    """

    prompts: tuple[str, ...]
    principles: tuple[str, ...]
    refused: dict[str, str]
    notes: tuple[str, ...]
    sampling: str

    @property
    def why_not(self) -> str:
        """Why nothing at all can be compared, or ""."""
        if self.sampling:
            return f"other sampling: {self.sampling}"
        return "" if self.prompts else "no prompt in common"


def shared(first: Checkpoint, second: Checkpoint, *, any_sampling: bool = False) -> Shared:
    """What ``second`` may be compared with ``first`` on.

    Args:
        first: one.
        second: the other.
        any_sampling: compare also answers that were sampled differently; it is then a note.
    """
    notes: list[str] = []
    sampling = sampling_difference(first, second)
    if sampling and any_sampling:
        notes.append(f"compared although sampled differently: {sampling}")
        sampling = ""
    if (
        first.constitution_sha
        and second.constitution_sha
        and first.constitution_sha != second.constitution_sha
    ):
        notes.append("judged under another version of the constitution: only principles in the same words")
    prompts = []
    other_text = 0
    for id, prompt in first.verdicts.items():
        twin = second.verdicts.get(id)
        if twin is None:
            continue
        if twin.prompt == prompt.prompt:
            prompts.append(id)
        else:
            other_text += 1
    missing = len(first.verdicts) - len(prompts) - other_text
    more = len(second.verdicts) - len(prompts) - other_text
    if other_text:
        notes.append(f"{other_text} prompts have another text under the same id: left out")
    if missing or more:
        notes.append(
            f"{missing} prompts answered by {first.name} only, {more} by {second.name} only: left out"
        )
    refused: dict[str, str] = {}
    kept: list[str] = []
    for id in dict.fromkeys((*first.infos, *second.infos)):
        why = _why_not(first, second, id)
        if why:
            refused[id] = why
        else:
            kept.append(id)
    return Shared(tuple(prompts), tuple(kept), refused, tuple(notes), sampling)


def sampling_difference(first: Checkpoint, second: Checkpoint) -> str:
    """How the sampling of two checkpoints differs, in words; what is not recorded does not count."""
    found = [
        f"{_WORDS[key]} {first.sampling[key]:g} and {second.sampling[key]:g}"
        for key in HOW
        if key in first.sampling and key in second.sampling and first.sampling[key] != second.sampling[key]
    ]
    if first.answers_per_prompt != second.answers_per_prompt:
        found.append(f"{first.answers_per_prompt} and {second.answers_per_prompt} answers to a prompt")
    return ", ".join(found)


def _why_not(first: Checkpoint, second: Checkpoint, id: str) -> str:
    if id not in first.infos or id not in second.infos:
        return f"not in the constitution of {(second if id in first.infos else first).name}"
    if first.infos[id].sha != second.infos[id].sha:
        return "other words"
    ours, theirs = first.judges.get(id, frozenset()), second.judges.get(id, frozenset())
    if ours and theirs and ours != theirs:
        return f"other judge: {', '.join(sorted(ours))}; {', '.join(sorted(theirs))}"
    return ""
