"""One table of verdicts: what each corner says of each answer under each principle."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from charter.constitution import Constitution, Principle
from charter.errors import ConstitutionError, DataError
from charter.evaluation.judge_card.asking import sample_of
from charter.evaluation.judge_card.labels import Labels
from charter.rundir import sha256_json
from charter.types import Content, Group, Message, SampleTarget

SPEC, PEOPLE = "spec", "people"
"""The corners that are no judge: the constitution's GOOD and BAD answers, and the majority of raters."""

_SHA = "@"


@dataclass
class Item:
    """One answer under one principle.

    Attributes:
        principle: its id.
        prompt: identity of the conversation; answers to one conversation hang together.
        models: who wrote it.
        said: of each corner whether the answer keeps to the principle.
    """

    principle: str
    prompt: str
    models: set[str] = field(default_factory=set)
    said: dict[str, bool] = field(default_factory=dict)


@dataclass(frozen=True)
class Items:
    """All of them.

    Attributes:
        items: by identity.
        judges: names, in the order met.
        left_out: verdicts that are not used, by reason.
    """

    items: Mapping[str, Item]
    judges: tuple[str, ...]
    left_out: Mapping[str, int]

    def of(self, principle: str) -> list[Item]:
        """Those of a principle; of "" all."""
        return [item for item in self.items.values() if principle in ("", item.principle)]


def read_items(
    constitution: Constitution,
    answers: Mapping[str, Sequence[Group]] | Sequence[Group],
    labels: Labels | None = None,
) -> Items:
    """Collect every verdict on single answers.

    Args:
        constitution: has the principles and the examples.
        answers: groups judged by any number of judges, in any number of lists; a key that is not "" is the
            name of the model that wrote the answers, else ``sampled_by`` says it.
        labels: what people said.

    Raises:
        DataError: an unknown principle, or a judgement under other words of one.
    """
    lists = answers if isinstance(answers, Mapping) else {"": answers}
    items: dict[str, Item] = {}
    left_out: dict[str, int] = {}
    judges: dict[str, None] = {}
    for principle in constitution.active:
        for content, text, good in examples_of(principle):
            _item(items, principle.id, content, text).said[SPEC] = good
    names = short_names(
        one.judge for groups in lists.values() for g in groups for one in g.judgements if one.principle
    )
    contradicted: set[tuple[str, str]] = set()
    for model, groups in lists.items():
        for group in groups:
            _read_group(group, model, constitution, names, items, judges, left_out, contradicted)
    for id, judge in contradicted:  # which of the two it meant nobody knows
        items[id].said.pop(judge, None)
    if contradicted:
        left_out["one judge said both of the same answer"] = len(contradicted)
    for one in labels.answers if labels else ():
        _item(items, one.principle, one.context, one.text).said[PEOPLE] = one.good
    for reason, count in (labels.left_out if labels else {}).items():
        left_out[reason] = left_out.get(reason, 0) + count
    return Items(items, tuple(judges), left_out)


def examples_of(principle: Principle) -> list[tuple[tuple[Message, ...], str, bool]]:
    """The GOOD and BAD answers of a principle: conversation, text, and whether it is a good one.

    An answer that is BAD for another principle says nothing of this one.
    """
    return [
        (turns, answer.text, answer.label == "good")
        for example in principle.examples
        for turns, comparison in example.conversations()
        for answer in comparison.answers
        if answer.label != "ok" and answer.about in ("", principle.id)
    ]


def example_groups(constitution: Constitution, only: Collection[str] = ()) -> list[Group]:
    """The examples as groups for a judge to read, one for each principle and conversation."""
    return [
        Group(
            tuple(sample_of(turns, answer.text, "examples") for answer in comparison.answers),
            id=f"example/{principle.id}/{number}",
            meta={"principle": principle.id},
        )
        for principle in constitution.active
        if not only or principle.id in only
        for number, (turns, comparison) in enumerate(
            pair for example in principle.examples for pair in example.conversations()
        )
    ]


def _read_group(
    group: Group,
    model: str,
    constitution: Constitution,
    names: Mapping[str, str],
    items: dict[str, Item],
    judges: dict[str, None],
    left_out: dict[str, int],
    contradicted: set[tuple[str, str]],
) -> None:
    about = group.meta.get("principle")
    for one in group.judgements:
        if not one.principle or not isinstance(one.target, SampleTarget):
            continue
        principle = _principle(constitution, one.principle, group)
        if one.principle_sha and one.principle_sha != principle.sha:
            raise DataError(
                f"principle {principle.id!r} has changed since this was judged",
                where=group.source or group.id,
                fix="judge the answers again under the present constitution",
            )
        if group.id.startswith("example/") and about not in (None, principle.id):
            continue  # an example speaks for its own principle only
        judge = names[one.judge]
        judges.setdefault(judge)
        if one.value not in (0.0, 1.0):
            why = (
                f"{judge}: {one.verdict.replace('_', ' ')}"
                if one.value is None
                else f"{judge}: a graded verdict"
            )
            left_out[why] = left_out.get(why, 0) + 1
            continue
        sample = group.samples[one.target.sample]
        content, text = sample.context.content, sample.completion.text
        item = _item(items, principle.id, content, text)
        if SPEC not in item.said:
            item.models.add(model or sample.completion.sampled_by)
        passed = one.value == 1.0
        if item.said.setdefault(judge, passed) != passed:
            contradicted.add((_id(principle.id, content, text), judge))


def _principle(constitution: Constitution, id: str, group: Group) -> Principle:
    try:
        return constitution.principle(id)
    except ConstitutionError as error:
        raise DataError(
            f"judged under unknown principle {id!r}", where=group.source or group.id, fix=error.fix
        ) from None


def short_names(full: Iterable[str]) -> dict[str, str]:
    """Judges' names for people: ``MODEL`` for ``MODEL/form@sha``, where that names one judge only."""
    names = dict.fromkeys(full)
    cut = {name: name.rpartition("/")[0] if _SHA in name.rpartition("/")[2] else name for name in names}
    found = list(cut.values())
    return {name: short if short and found.count(short) == 1 else name for name, short in cut.items()}


def _item(items: dict[str, Item], principle: str, content: Content, text: str) -> Item:
    id = _id(principle, content, text)
    if id not in items:
        items[id] = Item(principle, sha256_json(turns_of(content))[:16])
    return items[id]


def _id(principle: str, content: Content, text: str) -> str:
    return sha256_json([principle, turns_of(content), text.strip()])[:20]


def turns_of(content: Content) -> list[list[str]]:
    """A conversation as role and text; a plain text is what a user said."""
    turns = (Message("user", content),) if isinstance(content, str) else content
    return [[turn.role, turn.content.strip()] for turn in turns]
