"""Where labels come from: a constitution's examples, its rules on completions, another judge's verdicts."""

from __future__ import annotations

from collections.abc import Sequence

from charter.constitution import Constitution
from charter.feedback.judging.distilled.rows import EXAMPLES, JUDGE, RULES, Found, Item, Labelled, Preferred
from charter.feedback.rules.constitution import JUDGE as RULE_JUDGE
from charter.feedback.rules.constitution import ConstitutionFeedback
from charter.types import Group, Judgement, PairTarget, SampleTarget


def judgeable(constitution: Constitution) -> dict[str, str]:
    """Ids and shas of the principles that answers can be judged under: all in force but definitions."""
    return {one.id: one.sha for one in constitution.active if one.type != "definition"}


def from_examples(constitution: Constitution) -> Found:
    """Every GOOD and BAD answer a label, every two of one conversation a pair.

    A ``BAD[#id]`` answer is a label of the principle it breaks.
    """
    found, known = Found(), judgeable(constitution)
    for owner in constitution.active:
        for example in owner.examples:
            for context, comparison in example.conversations():
                for answer in comparison.answers:
                    principle = (answer.about or owner.id) if answer.label == "bad" else owner.id
                    if answer.label == "ok":
                        found.left_out["answers marked OK, which is no label"] += 1
                    elif principle not in known:
                        found.left_out["examples of definitions or retired principles"] += 1
                    else:
                        item = Item.of(principle, context, answer.text)
                        found.labelled.append(Labelled(item, answer.label == "good", EXAMPLES))
                for good, bad in comparison.pairs():
                    principle = bad.about or owner.id
                    if principle in known:
                        better, worse = (Item.of(principle, context, one.text) for one in (good, bad))
                        found.preferred.append(Preferred(better, worse, EXAMPLES))
    return found


def from_rules(constitution: Constitution, groups: Sequence[Group]) -> Found:
    """What the rules say of completions, under the principles that have rules.

    Raises:
        ConstitutionError: a callable of the rules cannot be loaded.
        DataError: see :meth:`charter.feedback.rules.constitution.ConstitutionFeedback.judge`.
    """
    found, known = Found(), judgeable(constitution)
    for group, said in zip(groups, ConstitutionFeedback(constitution).judge(groups), strict=True):
        for one in said:
            if one.verdict == "not_measured" or one.principle not in known:
                continue
            if one.value is None:
                found.left_out[f"completions on which a rule says: {one.verdict.replace('_', ' ')}"] += 1
            else:
                found.labelled.append(_label(group, one, one.value >= 0.5, RULES))
    return found


def from_judgements(constitution: Constitution, groups: Sequence[Group]) -> Found:
    """What another judge said of completions, as the groups hold it; its sureness is the weight.

    Verdicts of rules are left to :func:`from_rules`, which asks them anew.
    """
    found, known = Found(), judgeable(constitution)
    for group in groups:
        for one in group.judgements:
            if one.judge == RULE_JUDGE or not one.principle:
                continue
            why = _unusable(one, known)
            if why:
                found.left_out[f"judgements {why}"] += 1
            elif isinstance(one.target, PairTarget):
                found.preferred.append(_preference(group, one))
            else:
                assert one.value is not None
                found.labelled.append(
                    _label(group, one, one.value >= 0.5, _source(one), _sureness(one, one.value))
                )
    return found


def _unusable(one: Judgement, known: dict[str, str]) -> str:
    """Why a judgement is no label; "" = it is one."""
    if one.principle not in known:
        return "under a principle that the constitution does not have"
    if one.principle_sha and one.principle_sha != known[one.principle]:
        return "under another wording of the principle"
    if one.value is None:
        return f"without a verdict: {one.verdict.replace('_', ' ')}"
    if isinstance(one.target, PairTarget):
        return "" if one.value > 0 else "of a pair that prefer neither"
    if not isinstance(one.target, SampleTarget):
        return "of a part of an answer"
    return "" if 0.0 <= one.value <= 1.0 else "whose value is no verdict"


def _label(group: Group, one: Judgement, good: bool, source: str, weight: float = 1.0) -> Labelled:
    assert isinstance(one.target, SampleTarget)
    sample = group.samples[one.target.sample]
    item = Item.of(one.principle, sample.context.content, sample.completion.content)
    return Labelled(item, good, source, weight)


def _preference(group: Group, one: Judgement) -> Preferred:
    assert isinstance(one.target, PairTarget)
    both = [group.samples[index] for index in (one.target.better, one.target.worse)]
    better, worse = (Item.of(one.principle, s.context.content, s.completion.content) for s in both)
    weight = 1.0 if one.probability is None else max(0.0, 2 * one.probability - 1)
    return Preferred(better, worse, _source(one), weight)


def _sureness(one: Judgement, value: float) -> float:
    """0 = a coin, 1 = certain."""
    if value in (0.0, 1.0):
        return 1.0 if one.probability is None else max(0.0, 2 * one.probability - 1)
    return abs(2 * value - 1)


def _source(one: Judgement) -> str:
    return f"{JUDGE}{one.judge or 'unnamed'}"
