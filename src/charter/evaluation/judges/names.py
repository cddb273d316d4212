"""From what a person writes to a judge that may judge: a model, an endpoint, or several as a panel."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from charter.constitution import Constitution
from charter.errors import ConfigError
from charter.evaluation.judge_card.asking import Judge, Subject
from charter.evaluation.judge_card.card import JudgeCard
from charter.evaluation.judge_card.subjects import LONGEST, RULES, open_subject
from charter.evaluation.judges.answerer import lineage_family
from charter.evaluation.judges.judging import Adjudicator, JudgeOrPanel, check_panel, same_family
from charter.evaluation.judges.kept import kept, kept_subject
from charter.evaluation.judges.panel import Bench
from charter.evaluation.keep import Keep
from charter.feedback.judging.spec import is_endpoint, parse_spec

_USE, _PROBE = "answers", "statements"
_EXAMINED = {"order": "given", "self_family": "allow"}
"""How a panel is asked where it is examined: as :func:`open_subject` asks one judge."""


def named_judges(
    specs: str | Sequence[str],
    constitution: Constitution,
    *,
    cards: Sequence[JudgeCard] = (),
    policy: str = "",
    base: Path | None = None,
    keep: Keep | None = None,
) -> JudgeOrPanel:
    """The judge, or the panel of judges, that ``specs`` name; nothing is loaded.

    Args:
        specs: models, or ``endpoint:MODEL@URL``.
        constitution: what is judged under.
        cards: of judges among them; the others are examined first.
        policy: the model that is measured, as it was named.
        base: folder that model folders are relative to.
        keep: where replies and verdicts are kept; None = nowhere.

    Raises:
        ConfigError: see :func:`named_judge`; a judge or a card twice, or cards made in different forms.
        UserError: nothing by a name.
    """
    names = [specs] if isinstance(specs, str) else list(specs)
    if not names:
        raise ConfigError("no judge", where="judge", fix="name a model, or leave it out")
    if len(set(names)) < len(names):
        raise ConfigError("the same judge twice", where="judge", fix="name different models")
    mine = _cards(names, cards)
    if len(names) == 1:
        return named_judge(names[0], constitution, card=mine[0], policy=policy, base=base, keep=keep)
    check_panel(len(names), constitution)
    return _bench(names, mine, constitution, policy, base, keep)


def named_judge(
    spec: str,
    constitution: Constitution,
    *,
    card: JudgeCard | None = None,
    policy: str = "",
    base: Path | None = None,
    keep: Keep | None = None,
) -> Adjudicator:
    """The judge that ``spec`` names, asked in the form its card was made with.

    Args:
        spec: a model, or ``endpoint:MODEL@URL``.
        constitution: what is judged under.
        card: the judge's.
        policy: the model that is measured, as it was named.
        base: folder that model folders are relative to.
        keep: where replies and verdicts are kept; None = nowhere.

    Raises:
        ConfigError: no judge of answers, a card of another judge, a relative of the policy where the
            constitution forbids those, or a constitution that wants a panel.
        UserError: nothing by that name.
    """
    form = form_of(spec, constitution, card)
    check_spec(spec, form)
    check_panel(1, constitution)
    own = _relatives([spec], constitution, policy, base)
    if own:
        raise ConfigError(
            f"the judge is of the family of the model it would judge ({own[spec]}), "
            "which the constitution forbids",
            where="judge",
            fix="name a judge of another family, or set `self_family: allow` in the constitution's judge",
        )
    return _member(spec, constitution, form, card, _family(spec, base), _opening(base, keep), keep)


def _bench(
    names: Sequence[str],
    cards: Sequence[JudgeCard | None],
    constitution: Constitution,
    policy: str,
    base: Path | None,
    keep: Keep | None,
) -> Bench:
    form = _common_form(names, cards, constitution)
    for name in names:
        check_spec(name, form)
    minimum, own = constitution.judge.panel_min, _relatives(names, constitution, policy, base)
    if len(names) - len(own) < minimum:
        raise ConfigError(
            f"{', '.join(own)}: of the family of the model that would be judged "
            f"({next(iter(own.values()))}); without them {len(names) - len(own)} of the {minimum} judges "
            "that the constitution wants are left",
            where="judge",
            fix="name judges of other families, or set `self_family: allow` in the constitution's judge",
        )
    from charter.feedback.judging.open_judge import open_judge

    where = _opening(base, keep)
    path, fix = (None, "") if keep is None else (keep.verdicts, keep.fix)
    members = tuple(
        _member(name, constitution, form, card, _family(name, base), where, keep)
        for name, card in zip(names, cards, strict=True)
    )

    def opened(law: Constitution, only: Collection[str], voters: Sequence[int]) -> Judge:
        asked = open_judge([names[at] for at in voters], law, form=form, only=only, **where)
        return kept(asked, path, _USE, fix)

    def probing(law: Constitution, voters: Sequence[int]) -> Judge:
        asked = open_judge([names[at] for at in voters], law, form=form, rules_first=False, **where)
        return kept(asked, path, _PROBE, fix)

    title = f"{'+'.join(names)} ({form})"

    def examined(voters: Mapping[str, Sequence[int]]) -> Subject:
        def open_voting(law: Constitution, only: Collection[str]) -> Judge:
            (id,) = only  # an examination goes principle by principle
            voting = [names[at] for at in voters[id]]
            how: dict[str, Any] = {"form": form, "rules_first": False, "overrides": _EXAMINED, **where}
            judge: Judge = open_judge(voting, law, only=only, **how)
            return judge

        return kept_subject(Subject(title, open_voting, own_models=frozenset(names)), path, fix)

    return Bench(title, members, minimum, opened, examined, probing)


def _member(
    spec: str,
    constitution: Constitution,
    form: str,
    card: JudgeCard | None,
    family: str,
    where: Mapping[str, Any],
    keep: Keep | None,
) -> Adjudicator:
    """One judge by itself, alone or of a panel; a mistake in its name is found now, and nothing is loaded."""
    from charter.feedback.judging.open_judge import open_judge

    path, fix = (None, "") if keep is None else (keep.verdicts, keep.fix)
    alone = {"panel_min": 1}

    def opened(law: Constitution, only: Collection[str]) -> Judge:
        return kept(open_judge(spec, law, form=form, only=only, overrides=alone, **where), path, _USE, fix)

    def probing(law: Constitution) -> Judge:
        asked = open_judge(spec, law, form=form, rules_first=False, overrides=alone, **where)
        return kept(asked, path, _PROBE, fix)

    # A mistake is found now; no file is made for replies before there are any.
    open_judge(spec, constitution, form=form, only=(), overrides=alone, **{**where, "journal": None})
    subject = kept_subject(open_subject(spec, form=form, **where), path, fix)
    return Adjudicator(f"{spec} ({form})", opened, subject, family, probing, card)


def _family(spec: str, base: Path | None) -> str:
    """Family of a judge, told from where it comes."""
    found = "" if is_endpoint(spec) else lineage_family(str(spec if base is None else base / spec))
    return found or lineage_family(spec)


def _relatives(
    names: Sequence[str], constitution: Constitution, policy: str, base: Path | None
) -> dict[str, str]:
    """Judges that may not judge ``policy``, with its family; none where relatives may."""
    own = lineage_family(policy) if policy else ""
    if constitution.judge.self_family == "allow":
        return {}
    return {name: own for name in names if same_family(_family(name, base), own)}


def _cards(names: Sequence[str], cards: Sequence[JudgeCard]) -> list[JudgeCard | None]:
    """The card of each judge; None = it has none.

    Raises:
        ConfigError: a card of none of them, or two of one.
    """
    found: dict[str, JudgeCard] = {}
    for card in cards:
        name = next((one for one in names if is_of(card, one)), None)
        if name is None:
            those = f"the judge is {names[0]}" if len(names) == 1 else f"the judges are {', '.join(names)}"
            raise ConfigError(
                f"the card is of {card.judge}, {those}",
                where="card",
                fix="give a card of each judge by itself, or leave it out and the judge is examined",
            )
        if name in found:
            raise ConfigError(f"two cards of {name}", where="card", fix="give one card of each judge")
        found[name] = card
    return [found.get(name) for name in names]


def _common_form(names: Sequence[str], cards: Sequence[JudgeCard | None], constitution: Constitution) -> str:
    """How all judges of a panel are asked.

    Raises:
        ConfigError: their cards were made in different forms.
    """
    forms = {
        name: form_of(name, constitution, card)
        for name, card in zip(names, cards, strict=True)
        if card is not None
    }
    if len(set(forms.values())) > 1:
        told = ", ".join(f"{name}: {form}" for name, form in forms.items())
        raise ConfigError(
            f"the judges of a panel are asked alike, and their cards were made in different forms ({told})",
            where="card",
            fix="examine one of them again with the other --form",
        )
    return next(iter(forms.values()), constitution.judge.executor)


def _opening(base: Path | None, keep: Keep | None) -> dict[str, Any]:
    """How judges are opened: examined principle by principle and then asked, a model is loaded once."""
    from charter.models.load import load

    return {"base": base, "journal": None if keep is None else keep.replies, "load_model": cache(load)}


def check_spec(spec: str, form: str) -> None:
    """Refuse what is no judge of single answers.

    Raises:
        ConfigError: rules, the baseline, or a form that compares.
    """
    if spec in (RULES, LONGEST):
        raise ConfigError(
            f"{spec!r} is no judge of what rules leave open",
            where="judge",
            fix="name a model, or leave it out",
        )
    if form == "pairwise":
        raise ConfigError(
            "a judge that compares answers has no verdict on one alone",
            where="judge",
            fix="set another executor in the constitution's judge, or give a card made with another --form",
        )


def form_of(spec: str, constitution: Constitution, card: JudgeCard | None) -> str:
    """The form a card was made with; without one what the constitution says.

    Raises:
        ConfigError: the card is another judge's.
    """
    if card is None:
        return constitution.judge.executor
    if not is_of(card, spec):
        raise ConfigError(
            f"the card is of {card.judge}, the judge is {spec}",
            where="card",
            fix="give the card of this judge, or leave it out and the judge is examined",
        )
    return card.judge.rpartition(" (")[2].rstrip(")")


def is_of(card: JudgeCard, spec: str) -> bool:
    """Whether the card is of the judge that ``spec`` names."""
    name, bracket, _ = card.judge.rpartition(" (")
    return bool(bracket) and _bare(name) == _bare(spec)


def _bare(spec: str) -> str:
    """A judge's name without how fast and how often it may be asked."""
    return f"endpoint:{parse_spec(spec)[0].name}" if is_endpoint(spec) else spec
