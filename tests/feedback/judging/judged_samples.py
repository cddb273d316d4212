"""Groups, constitutions and truths that the tests of judges share."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from charter.constitution import Constitution
from charter.feedback.judging.clause import Clause, clause_of
from charter.feedback.judging.form import Item, Pair
from charter.feedback.judging.view import View
from charter.types import Completion, Context, Group, Message, Sample

HEAD = "---\nconstitution: 1\nname: test\njudge: {judge}\n---\n"

TEXT = """
## Is kind {#kind authority=user weight=2}
An answer takes the person seriously.
```yaml rubric
applies_when: somebody is spoken to
levels: {1: mocks, 5: takes seriously}
not_a_violation: a joke that was asked for
```
## Says what it does not know {#modest authority=system}
An answer says so where it guesses.
## Brief {#brief authority=user}
```yaml rules
applies_when: {prompt_tag: chat}
all: [{length: {min_words: 2, max_words: 6}}]
```
## What a guess is {#guess authority=user type=definition}
A guess is a claim without a source.
## Old {#old authority=user status=retired}
Gone.
"""


def constitution(**judge: object) -> Constitution:
    """The test's constitution, with options of its judge."""
    options = ", ".join(f"{key}: {value}" for key, value in {"seeds": 1, **judge}.items())
    return Constitution.from_text(HEAD.replace("{judge}", "{" + options + "}") + TEXT)


def truth(title: str, answer: str) -> bool:
    """``kind=1 modest=0`` in an answer says what is true of it."""
    name = {"Is kind": "kind", "Says what it does not know": "modest", "Brief": "brief"}[title]
    return f"{name}=1" in answer


def answer(kind: bool, modest: bool, more: str = "") -> str:
    """An answer of which that is true."""
    return f"{more} kind={int(kind)} modest={int(modest)}".strip()


def sample(text: str, prompt: str = "Who are you?", by: str = "dataset") -> Sample:
    """An answer to a user's turn."""
    context = Context((Message("user", prompt),))
    return Sample(context, Completion((Message("assistant", text),), sampled_by=by))


def group(texts: Sequence[str], prompt: str = "Who are you?", by: str = "dataset", **meta: object) -> Group:
    """Answers to one prompt."""
    return Group(tuple(sample(text, prompt, by) for text in texts), meta=meta)


def item(text: str, principle: str = "kind", prompt: str = "Who are you?") -> Item:
    """An answer to be judged."""
    return Item(_clause(principle), View().see(sample(text, prompt)))


@cache
def _clause(principle: str) -> Clause:
    law = constitution()
    return clause_of(law.principle(principle), law)


def pair(first: str, second: str, principle: str = "kind", prompt: str = "Who are you?") -> Pair:
    """Two answers to be compared."""
    one, two = item(first, principle, prompt), item(second, principle, prompt)
    return Pair(one.clause, one.seen, two.seen)


GOOD_AND_BAD = (answer(True, True), answer(False, True))
"""Two answers, the first of which keeps to both principles."""
