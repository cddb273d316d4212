"""What disagreement means, and what to do: a bad policy, a bad judge, unclear text, people who disagree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from charter.evaluation.consistency.agreement import Agreed
from charter.evaluation.consistency.items import PEOPLE, SPEC
from charter.stats import Interval, percent, wilson
from charter.stats.agreement import Agreement

Cause = Literal["policy", "judge", "text", "people", "consistent", "undecided"]

ACTIONS: Mapping[Cause, str] = {
    "policy": "train",
    "judge": "fix the rubric, or use another judge",
    "text": "amend the principle",
    "people": "make it pluralistic: steer, distribution or overton tests in place of one answer",
    "consistent": "nothing",
    "undecided": "gather more",
}

Level = Literal["low", "high", "unknown"]


@dataclass(frozen=True)
class DiagnosisLimits:
    """Where agreement begins and ends, fixed before the data are seen.

    Attributes:
        kappa: agreement beyond chance below it is low (0.6: "substantial", Landis and Koch 1977).
        agree: raw agreement at which a low kappa is not held against two corners: with few failures kappa
            is low by chance.
        examples: share of the constitution's own GOOD and BAD answers that must be told apart.
        adherence: a policy below it needs training.
        min_items: fewest answers for any of it, examples excepted.
        min_examples: fewest examples for a judgement on a judge.
    """

    kappa: float = 0.6
    agree: float = 0.9
    examples: float = 0.9
    adherence: float = 0.8
    min_items: int = 30
    min_examples: int = 4


@dataclass(frozen=True)
class Diagnosis:
    """One finding about a principle.

    Attributes:
        principle: its id.
        cause: see the module.
        action: what to do.
        who: the judge or model it is about; "" = none in particular.
        why: the evidence, in words.
    """

    principle: str
    cause: Cause
    action: str
    who: str
    why: str


@dataclass(frozen=True)
class Evidence:
    """What is known of one principle.

    Attributes:
        principle: its id.
        pairs: agreement of corners.
        judges: the judges, without the policy as its own.
        self_judge: the policy as its own judge; "" = it is none.
        people: agreement of raters among themselves; None = fewer than two.
        passes: of the people, and of each judge: answers of the policy that keep to it, and how many were
            judged.
    """

    principle: str
    pairs: Sequence[Agreed]
    judges: Sequence[str]
    self_judge: str
    people: Agreement | None
    passes: Mapping[str, tuple[int, int]]

    def pair(self, first: str, second: str) -> Agreed | None:
        """Two corners; None = they spoke of no answer in common."""
        return next((one for one in self.pairs if {one.first, one.second} == {first, second}), None)


def diagnose(known: Evidence, limits: DiagnosisLimits | None = None) -> list[Diagnosis]:
    """The findings about one principle, at least one.

    A judge is bad that does not tell the principle's own examples apart, that does not say what people who
    agree say, or that alone disagrees with at least two judges which agree. Text is unclear that judges
    without such a fault read differently, or whose examples people read differently. People disagree where
    raters do and the judges nevertheless read the text alike. A policy is bad that people or the sound judges
    find to fail, where the text is clear.
    """
    rules = limits or DiagnosisLimits()
    bad = _bad_judges(known, rules)
    found = [_found(known, "judge", who, why) for who, why in bad.items()]
    sound = [judge for judge in known.judges if judge not in bad]
    apart = _apart(known, sound, rules)
    people, said = _people(known, rules)
    unclear = ""
    if people == "low" and _alike(known, sound, rules):
        found.append(_found(known, "people", "", f"{said}, while {' and '.join(sound)} read the text alike"))
    elif apart:
        unclear = f"{apart}, and both tell its examples apart as far as they were asked"
        unclear += f"; {said}" if people == "low" else ""
    elif people == "low":
        why = f"{said}; whether over the text or over values, two sound judges would show"
        found.append(_found(known, "undecided", "", why))
    if not unclear and (told := _misread_by_people(known, rules)):
        unclear = told
    if unclear:
        found.append(_found(known, "text", "", unclear))
    if people != "low" and not unclear:
        found += _policy(known, sound, rules)
    return found or [_rest(known, sound, people, rules)]


def _found(known: Evidence, cause: Cause, who: str, why: str) -> Diagnosis:
    return Diagnosis(known.principle, cause, ACTIONS[cause], who, why)


def level_of(pair: Agreed | None, rules: DiagnosisLimits) -> Level:
    """Whether two corners agree, as far as the data can tell."""
    if pair is None or pair.agree is None or pair.n < rules.min_items:
        return "unknown"
    if pair.kappa is None:
        return "high" if pair.agree >= rules.agree else "unknown"
    if pair.kappa_interval.hi < rules.kappa and pair.agree_interval.hi < rules.agree:
        return "low"
    return "high" if pair.kappa >= rules.kappa or pair.agree_interval.lo >= rules.agree else "unknown"


def _bad_judges(known: Evidence, rules: DiagnosisLimits) -> dict[str, str]:
    """Judges that are at fault, and why."""
    bad: dict[str, str] = {}
    people, _ = _people(known, rules)
    everyone = [*known.judges, *([known.self_judge] if known.self_judge else [])]
    for judge in everyone:
        if told := _fails_examples(known.pair(SPEC, judge), judge, rules):
            bad[judge] = told
        elif people != "low" and level_of(pair := known.pair(judge, PEOPLE), rules) == "low":
            assert pair is not None
            bad[judge] = f"{judge} says what people say {_shown(pair)}"
    for judge in known.judges:
        others = [other for other in known.judges if other != judge and other not in bad]
        if judge in bad or len(others) < 2:
            continue
        alone = all(level_of(known.pair(judge, other), rules) == "low" for other in others)
        if alone and _alike(known, others, rules) and level_of(known.pair(judge, PEOPLE), rules) != "high":
            bad[judge] = f"{judge} alone disagrees with {' and '.join(others)}, which agree"
    return bad


def _fails_examples(pair: Agreed | None, who: str, rules: DiagnosisLimits) -> str:
    if pair is None or pair.agree is None or pair.n < rules.min_examples:
        return ""
    right = pair.both_pass + pair.both_fail
    if wilson(right, pair.n).hi >= rules.examples:
        return ""
    return f"{who} is right on {right} of the {pair.n} GOOD and BAD answers of the text itself"


def _misread_by_people(known: Evidence, rules: DiagnosisLimits) -> str:
    told = _fails_examples(known.pair(SPEC, PEOPLE), "the majority of people", rules)
    return f"{told}, so they read it otherwise than it means" if told else ""


def _people(known: Evidence, rules: DiagnosisLimits) -> tuple[Level, str]:
    """Whether people agree among themselves, and the number in words."""
    alpha = known.people
    if alpha is None or alpha.items < rules.min_items:
        return "unknown", "people: too few answers with two raters"
    if alpha.value is None:
        return "high", "all people say the same"
    said = f"people disagree among themselves (alpha {alpha.value:.2f}, {_ends(alpha.interval)})"
    if alpha.interval.hi < rules.kappa:
        return "low", said
    return ("high" if alpha.value >= rules.kappa else "unknown"), said


def _alike(known: Evidence, judges: Sequence[str], rules: DiagnosisLimits) -> bool:
    """At least two judges, every two of which agree."""
    pairs = [known.pair(a, b) for i, a in enumerate(judges) for b in judges[i + 1 :]]
    return bool(pairs) and all(level_of(pair, rules) == "high" for pair in pairs)


def _apart(known: Evidence, judges: Sequence[str], rules: DiagnosisLimits) -> str:
    """Two judges that disagree, in words; "" = none."""
    pairs = [known.pair(a, b) for i, a in enumerate(judges) for b in judges[i + 1 :]]
    low = [pair for pair in pairs if pair is not None and level_of(pair, rules) == "low"]
    if not low:
        return ""
    worst = min(low, key=lambda pair: pair.kappa or 0.0)
    return f"{worst.first} and {worst.second} agree {_shown(worst)}"


def _policy(known: Evidence, sound: Sequence[str], rules: DiagnosisLimits) -> list[Diagnosis]:
    """What people find, else the mean of the sound judges."""
    who, (passed, n) = PEOPLE, known.passes.get(PEOPLE, (0, 0))
    if n < rules.min_items:
        heard = [
            known.passes[judge] for judge in sound if known.passes.get(judge, (0, 0))[1] >= rules.min_items
        ]
        if not heard:
            return []
        who, n = " and ".join(sound), min(n for _, n in heard)
        passed = round(n * sum(k / m for k, m in heard) / len(heard))
    interval = wilson(passed, n)
    if interval.hi >= rules.adherence:
        return []
    ends = f"{percent(interval.lo)} to {percent(interval.hi)}"
    why = f"{percent(passed / n)} of {n} answers keep to it, say {who} ({ends})"
    mine, many = known.passes.get(known.self_judge, (0, 0))
    if many >= rules.min_items and wilson(mine, many).lo > interval.hi:
        why += f"; the policy itself says {percent(mine / many)}"
    return [_found(known, "policy", "", why)]


def _rest(known: Evidence, sound: Sequence[str], people: Level, rules: DiagnosisLimits) -> Diagnosis:
    """Nothing is wrong, or too little is known to say so."""
    links = [*sound, *([PEOPLE] if any(PEOPLE in (p.first, p.second) for p in known.pairs) else [])]
    high = [
        pair
        for pair in known.pairs
        if pair.first in links and pair.second in links and level_of(pair, rules) == "high"
    ]
    enough = any(n >= rules.min_items for _, n in known.passes.values())
    if (high and enough and people != "unknown") or (_alike(known, sound, rules) and enough):
        best = max(high, key=lambda pair: pair.n)
        return _found(known, "consistent", "", f"{best.first} and {best.second} agree {_shown(best)}")
    most = max((pair.n for pair in known.pairs if SPEC not in (pair.first, pair.second)), default=0)
    why = f"no two corners agree or disagree beyond doubt ({most} answers judged by two of them at most)"
    return _found(known, "undecided", "", why)


def _shown(pair: Agreed) -> str:
    assert pair.agree is not None
    kappa = "" if pair.kappa is None else f", kappa {pair.kappa:.2f} ({_ends(pair.kappa_interval)})"
    return f"on {percent(pair.agree)} of {pair.n} answers{kappa}"


def _ends(interval: Interval) -> str:
    return f"{interval.lo:.2f} to {interval.hi:.2f}"
