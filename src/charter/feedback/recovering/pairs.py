"""Labelled pairs: two answers to one conversation, and which was preferred."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

from charter.errors import DataError, did_you_mean
from charter.feedback.pairs.search import score_samples
from charter.feedback.rules.constitution import prompt_of
from charter.rundir import sha256_json
from charter.types import Content, Group, Judgement, PairTarget, Sample, Target

Side = Literal["a", "b"]

BETWEEN = "pairs of samples with no difference in score"
SAME = "pairs of equal answers"
EVEN = "labels that prefer neither answer"
UNJUDGED = "judgements without a value"
OTHER_PROMPT = "pairs whose answers belong to different conversations"
NONE = "groups without a label"


@dataclass(frozen=True)
class LabelledPair:
    """Two answers and a label.

    Which answer is called A is decided by a hash, so that neither place wins.

    Attributes:
        key: of the two answers and their conversation, in either order; equal where a pair is labelled again.
        prompt: identity of the conversation; the pairs of one prompt are not independent.
        a: one answer.
        b: the other.
        preferred: the one that the label prefers.
        labeller: who said so.
        principle: under which principle, or "".
        source: where it was read.
        tags: of the prompt.
    """

    key: str
    prompt: str
    a: Sample
    b: Sample
    preferred: Side
    labeller: str = ""
    principle: str = ""
    source: str = ""
    tags: tuple[str, ...] = ()

    @property
    def label(self) -> int:
        """1 where A is preferred, -1 where B is."""
        return 1 if self.preferred == "a" else -1

    @property
    def chosen(self) -> Sample:
        """The preferred answer."""
        return self.a if self.preferred == "a" else self.b

    @property
    def rejected(self) -> Sample:
        """The other answer."""
        return self.b if self.preferred == "a" else self.a

    @cached_property
    def asked(self) -> str:
        """What was asked: the last turn of the user."""
        return prompt_of(self.a.context)

    def group(self) -> Group:
        """The two answers, A first, without the label."""
        return Group((self.a, self.b), id=self.key, source=self.source, meta={"tags": list(self.tags)})


@dataclass(frozen=True)
class Pairs:
    """Labelled pairs, and what could not become one.

    Attributes:
        pairs: in the order of the source.
        left_out: why others are missing, with how many.
        name: of the source.
    """

    pairs: tuple[LabelledPair, ...]
    left_out: Mapping[str, int]
    name: str = ""

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def prompts(self) -> int:
        """Different conversations."""
        return len({pair.prompt for pair in self.pairs})


@dataclass(frozen=True)
class Split:
    """Pairs to choose principles on, and pairs of other prompts to test them on."""

    train: tuple[LabelledPair, ...]
    held_out: tuple[LabelledPair, ...]


def read_pairs(source: Any, *, principle: str = "") -> Pairs:
    """Labelled pairs of any preference data that Charter reads, sampled groups with judgements included.

    Args:
        source: as :func:`charter.data.read.read_rows`, or a file of sampled groups.
        principle: only labels given under this principle; "" = labels of whole answers, or, where there
            are none, all labels.

    Raises:
        DataError: no such file, a bad row, or no label.
    """
    from charter.feedback.recovering.pair_formats import groups_in

    groups, counts = groups_in(source)
    name = str(source) if isinstance(source, str | Path) else "rows in memory"
    found = pairs_of(groups, principle=principle, name=name)
    return replace(found, left_out={**{what: n for what, n in counts.items() if n}, **found.left_out})


def pairs_of(groups: Iterable[Group], *, principle: str = "", name: str = "") -> Pairs:
    """Labelled pairs of groups: from judgements of pairs, else from differences of the samples' scores.

    Raises:
        DataError: no label.
    """
    groups = tuple(groups)
    compared = [said for group in groups for said in group.judgements if isinstance(said.target, PairTarget)]
    whole = not principle and any(not said.principle for said in compared)
    lost: Counter[str] = Counter()
    pairs: list[LabelledPair] = []
    for group in groups:
        before = len(pairs)
        wanted = _wanted(group, principle, whole)
        if any(isinstance(said.target, PairTarget) for said in wanted):
            pairs += _from_judgements(group, wanted, lost)
        elif wanted:
            pairs += _from_scores(replace(group, judgements=tuple(wanted)), principle, lost)
        lost[NONE] += len(pairs) == before
    if not pairs:
        known = {said.principle for group in groups for said in group.judgements if said.principle}
        fix = did_you_mean(principle, known) if principle else "give pairs of which one answer is preferred"
        about = f" under {principle!r}" if principle else ""
        raise DataError(f"no pair has a label{about}", where=name or None, fix=fix)
    return Pairs(tuple(pairs), {what: n for what, n in lost.items() if n}, name)


def split(pairs: Sequence[LabelledPair], held_out: float = 0.5, seed: int = 0) -> Split:
    """Pairs in two parts that share no prompt.

    The same prompts always fall into the same part, whatever else the data hold.

    Args:
        pairs: all of them.
        held_out: share of the prompts to test on.
        seed: which.
    """
    prompts = sorted({pair.prompt for pair in pairs}, key=lambda prompt: _hash(f"{seed}:{prompt}"))
    tested = set(prompts[: round(len(prompts) * held_out)])
    return Split(
        tuple(pair for pair in pairs if pair.prompt not in tested),
        tuple(pair for pair in pairs if pair.prompt in tested),
    )


def subset(pairs: Pairs, most: int, seed: int = 0) -> Pairs:
    """Whole prompts, drawn by a hash, with at most ``most`` pairs together; the rest is counted.

    One prompt is always kept, however many pairs it has.
    """
    if len(pairs) <= most:
        return pairs
    sizes = Counter(pair.prompt for pair in pairs.pairs)
    kept: set[str] = set()
    room = most
    for prompt in sorted(sizes, key=lambda prompt: _hash(f"subset:{seed}:{prompt}")):
        if sizes[prompt] <= room or not kept:
            kept.add(prompt)
            room -= sizes[prompt]
    found = tuple(pair for pair in pairs.pairs if pair.prompt in kept)
    lost = {**pairs.left_out, f"pairs beyond the first {most} drawn": len(pairs) - len(found)}
    return replace(pairs, pairs=found, left_out=lost)


def _wanted(group: Group, principle: str, whole: bool) -> list[Judgement]:
    said = [one for one in group.judgements if not principle or one.principle == principle]
    compared = [one for one in said if isinstance(one.target, PairTarget)]
    return [one for one in compared if not (whole and one.principle)] if compared else said


def _from_judgements(group: Group, said: Sequence[Judgement], lost: Counter[str]) -> list[LabelledPair]:
    found = []
    for one in said:
        if not isinstance(one.target, PairTarget):
            continue
        better, worse = _samples(group, one.target)
        sure = 1.0 if one.probability is None else one.probability
        if one.value is None:
            lost[UNJUDGED] += 1
        elif sure == 0.5 or one.value == 0.0:
            lost[EVEN] += 1
        else:
            if (sure < 0.5) != (one.value < 0.0):
                better, worse = worse, better
            found += _pair(group, better, worse, one.judge, one.principle, lost)
    return found


def _from_scores(group: Group, principle: str, lost: Counter[str]) -> list[LabelledPair]:
    found = []
    judges = "+".join(sorted({one.judge for one in group.judgements}))
    for one, other in combinations(score_samples(group, {}), 2):
        if round(one.score - other.score, 9) == 0:
            lost[BETWEEN] += 1
            continue
        better, worse = (one, other) if one.score > other.score else (other, one)
        found += _pair(group, better.sample, worse.sample, judges, principle, lost)
    return found


def _samples(group: Group, target: Target) -> tuple[Sample, Sample]:
    assert isinstance(target, PairTarget)
    try:
        return group.samples[target.better], group.samples[target.worse]
    except IndexError:
        raise DataError(
            "a judgement names a sample that is not there", where=group.source or group.id
        ) from None


def _pair(
    group: Group, better: Sample, worse: Sample, labeller: str, principle: str, lost: Counter[str]
) -> list[LabelledPair]:
    if better.completion.text == worse.completion.text:
        lost[SAME] += 1
        return []
    if better.context.content != worse.context.content:
        lost[OTHER_PROMPT] += 1
        return []
    prompt = sha256_json(_plain(better.context.content))
    ours, theirs = (sha256_json(_plain(one.completion.content)) for one in (better, worse))
    key = _hash("".join([prompt, *sorted((ours, theirs))]))
    first = int(key[0], 16) < 8
    a, b = (better, worse) if (ours < theirs) == first else (worse, better)
    tags = group.meta.get("tags") or ()
    return [
        LabelledPair(
            key,
            prompt,
            a,
            b,
            "a" if a is better else "b",
            labeller,
            principle,
            group.source,
            tuple(tags) if isinstance(tags, list | tuple) else (),
        )
    ]


def _plain(content: Content) -> Any:
    return content if isinstance(content, str) else [[turn.role, turn.content] for turn in content]


def _hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()
