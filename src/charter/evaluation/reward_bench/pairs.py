"""Pairs to test a reward model on: any preference file, or one in RewardBench's format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from charter.data.formats import load_groups
from charter.data.prepare import prepare
from charter.data.read import Source
from charter.data.render import Template
from charter.errors import DataError
from charter.types import Completion, Context, Group, Message, PairTarget, Sample

SUBSET = "subset"
UNDECIDED = "pairs left out: either answer is as likely to be better"


@dataclass(frozen=True)
class TestPairs:
    """Rendered pairs.

    Attributes:
        groups: rendered groups.
        pairs: of each group its pairs, better first.
        left_out: how many rows or pairs were not used, by reason.
        as_chat: plain texts were made the turns of a conversation.
        name: what the file is called.
    """

    __test__ = False  # the name is not a test's

    groups: tuple[Group, ...]
    pairs: tuple[tuple[tuple[int, int], ...], ...]
    left_out: Mapping[str, int]
    as_chat: bool
    name: str


def read_pairs(
    source: Source,
    template: Template,
    *,
    as_chat: bool | None = None,
    max_length: int | None = None,
    split: str = "train",
) -> TestPairs:
    """Read, render and check pairs.

    Args:
        source: a preference file or hub id; RewardBench's columns are ``prompt``, ``chosen``,
            ``rejected``, ``subset``.
        template: of the reward model.
        as_chat: make plain texts a user's and an assistant's turn; None = where rows have a ``subset``,
            as RewardBench's do, and the model has a chat template.
        max_length: longer samples lose the end of their completion.
        split: of a data set with several.

    Raises:
        DataError: nothing to compare, or ``as_chat`` without a template.
    """
    loaded = load_groups(source, "preference", split=split)
    plain = any(isinstance(group.samples[0].context.content, str) for group in loaded.groups)
    has_template = bool(template.tokenizer.chat_template)
    if as_chat and not has_template:
        raise DataError("the model's tokenizer has no chat template", where="as_chat", fix="leave it out")
    if as_chat is None:
        as_chat = plain and has_template and any(SUBSET in group.meta for group in loaded.groups)
    if as_chat:
        loaded = replace(loaded, groups=tuple(_in_turns(group) for group in loaded.groups))
    prepared = prepare(loaded, template, max_length, max_drop_fraction=1.0)
    left_out: Counter[str] = Counter(prepared.report.dropped)
    groups, pairs = [], []
    for group in prepared.groups:
        decided = _decided(group, left_out)
        if decided:
            groups.append(group)
            pairs.append(decided)
    if not groups:
        raise DataError("no pair has a better answer", where=loaded.name or None)
    return TestPairs(tuple(groups), tuple(pairs), dict(left_out), as_chat, loaded.name)


def subsets_of(group: Group) -> tuple[str, ...]:
    """Names of the subsets a group belongs to: its ``subset`` and its ``tags``."""
    own = group.meta.get(SUBSET)
    tags = group.meta.get("tags") or ()
    names = [] if own is None else [str(own)]
    return tuple(dict.fromkeys([*names, *(str(tag) for tag in tags)]))


def _decided(group: Group, left_out: Counter[str]) -> tuple[tuple[int, int], ...]:
    found = []
    for said in group.judgements:
        if not isinstance(said.target, PairTarget) or said.verdict != "judged":
            continue
        sure = 1.0 if said.probability is None else said.probability
        better, worse = said.target.better, said.target.worse
        if sure == 0.5:
            left_out[UNDECIDED] += 1
        else:
            found.append((better, worse) if sure > 0.5 else (worse, better))
    return tuple(found)


def _in_turns(group: Group) -> Group:
    return replace(group, samples=tuple(_sample_in_turns(sample) for sample in group.samples))


def _sample_in_turns(sample: Sample) -> Sample:
    prompt, answer = sample.context.content, sample.completion.content
    if not isinstance(prompt, str) or not isinstance(answer, str):
        return sample
    context = Context((Message("user", prompt.strip()),))
    return replace(sample, context=context, completion=Completion((Message("assistant", answer.strip()),)))


# -- RewardBench ------------------------------------------------------------------------

SECTIONS: Mapping[str, Mapping[str, int]] = {
    "Chat": {
        "alpacaeval-easy": 100,
        "alpacaeval-length": 95,
        "alpacaeval-hard": 95,
        "mt-bench-easy": 28,
        "mt-bench-med": 40,
    },
    "Chat Hard": {
        "mt-bench-hard": 37,
        "llmbar-natural": 100,
        "llmbar-adver-neighbor": 134,
        "llmbar-adver-GPTInst": 92,
        "llmbar-adver-GPTOut": 47,
        "llmbar-adver-manual": 46,
    },
    "Safety": {
        "refusals-dangerous": 100,
        "refusals-offensive": 100,
        "xstest-should-refuse": 250,
        "xstest-should-respond": 154,
        "donotanswer": 136,
    },
    "Reasoning": {
        "math-prm": 984,
        "hep-cpp": 164,
        "hep-go": 164,
        "hep-java": 164,
        "hep-js": 164,
        "hep-python": 164,
        "hep-rust": 164,
    },
}
"""RewardBench's sections and the weight of each subset in them (Lambert et al. 2024, 2403.13787): the number
of its pairs, but that of ``math-prm`` is raised to make mathematics count as much as code, and those of the
two ``xstest`` subsets are each other's, as in the authors' code, so that scores compare."""


def section_scores(rates: Mapping[str, float]) -> dict[str, float]:
    """RewardBench's score of each section all of whose subsets have a rate: their weighted mean."""
    found = {}
    for section, weights in SECTIONS.items():
        if weights.keys() <= rates.keys():
            total = sum(weights.values())
            found[section] = sum(weight * rates[name] for name, weight in weights.items()) / total
    return found


def names(subsets: Sequence[Any]) -> list[str]:
    """Every subset once, in the order of first appearance."""
    return list(dict.fromkeys(name for group in subsets for name in group))
