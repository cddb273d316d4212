"""Asks a model every conversation of a plan, turn by turn."""

from __future__ import annotations

from collections.abc import Sequence

from charter.data.render import Template
from charter.engines.base import Engine, Mixture, OnProgress, Sampling
from charter.engines.sample import sample_prompts
from charter.errors import DataError, UserError
from charter.evaluation.suite.journal import Journal
from charter.evaluation.suite.plan import Conversation, Plan
from charter.evaluation.suite.transcript import Had, group_of, joined
from charter.interrupt import graceful
from charter.progress import progress
from charter.types import Completion, Content, Context, Group, Message, Sample

BATCH_SIZE = 64
_SEEDS_APART = 1_000_003


class Asker:
    """Has conversations with an engine.

    Args:
        engine: who answers.
        sampling: how.
        template: renders later turns; None = the engine needs no token ids.
        policy: whom the engine asks.
        max_length: tokens the model can read, its answer included; None = not checked.
    """

    def __init__(
        self,
        engine: Engine,
        sampling: Sampling,
        *,
        template: Template | None = None,
        policy: str | Mixture = "policy",
        max_length: int | None = None,
    ) -> None:
        self.engine = engine
        self.sampling = sampling
        self.template = template
        self.policy = policy
        self.max_length = max_length

    def have(self, batch: Sequence[Conversation], on_progress: OnProgress | None = None) -> list[Group | str]:
        """Each conversation as a group, or why it could not be had.

        A conversation the engine refuses does not take the others with it.

        Raises:
            CharterError: what is no fault of one conversation: the service, a stop.
        """
        try:
            return list(self._have(batch, on_progress))
        except UserError as error:
            if len(batch) == 1:
                return [error.what]
        # Asked one by one; the answers of the batch were counted, if there were any.
        return [self.have([one])[0] for one in batch]

    def _have(self, batch: Sequence[Conversation], on_progress: OnProgress | None) -> list[Group]:
        firsts: list[tuple[Sample, ...]] = [()] * len(batch)
        for number in sorted({one.samples for one in batch}):
            places = [place for place, one in enumerate(batch) if one.samples == number]
            asked = [_question(batch[place].context) for place in places]
            for place, group in zip(places, self._sampled(asked, number, 0, on_progress), strict=True):
                firsts[place] = group.samples
        talks = [
            _Talk(at, number, sample)
            for at, samples in enumerate(firsts)
            for number, sample in enumerate(samples)
        ]
        for turn in range(max((len(one.pushes) for one in batch), default=0)):
            going = [talk for talk in talks if not talk.broken and turn < len(batch[talk.at].pushes)]
            self._go_on(batch, going, turn, on_progress)
        found = []
        for at, one in enumerate(batch):
            mine = [talk for talk in talks if talk.at == at]
            broken = {talk.number: talk.broken for talk in mine if talk.broken}
            found.append(group_of(one, [talk.sample(one) for talk in mine], broken))
        return found

    def _go_on(
        self, batch: Sequence[Conversation], talks: Sequence[_Talk], turn: int, on_progress: OnProgress | None
    ) -> None:
        """The next push, and the answer to it, of every conversation that goes on."""
        ready: dict[int, list[tuple[_Talk, Message, Context]]] = {}
        for talk in talks:
            push = Message("user", batch[talk.at].pushes[turn])
            try:
                context = self._context(batch[talk.at], (*talk.turns, push))
            except DataError as error:
                talk.broken = error.what
            else:
                ready.setdefault(talk.number, []).append((talk, push, context))
        for number, some in sorted(ready.items()):
            # Samples that have said the same so far are asked the same: each needs a seed of its own.
            offset = (turn + 1) * _SEEDS_APART + number
            asked = [_question(context) for _, _, context in some]
            answered = self._sampled(asked, 1, offset, on_progress)
            for (talk, push, _), group in zip(some, answered, strict=True):
                talk.hear(push, group)

    def _context(self, one: Conversation, turns: Sequence[Message]) -> Context:
        content = (*_as_turns(one.context.content), *turns)
        if self.template is None:
            return Context(content)
        ids = self.template.render_context(content, where=one.id)
        room = self.sampling.max_completion_length
        if self.max_length is not None and len(ids) + room > self.max_length:
            raise DataError(
                f"{len(ids)} tokens and an answer of {room} do not fit the model's {self.max_length}"
            )
        return Context(content, ids)

    def _sampled(
        self, asked: Sequence[Group], n: int, offset: int, on_progress: OnProgress | None
    ) -> list[Group]:
        sampling = self.sampling
        if offset and not sampling.greedy:
            sampling = sampling.model_copy(update={"seed": (sampling.seed + offset) % 2**63})
        return sample_prompts(self.engine, asked, n, sampling, policy=self.policy, on_progress=on_progress)


def ask(
    plan: Plan,
    asker: Asker,
    journal: Journal,
    *,
    batch_size: int = BATCH_SIZE,
) -> list[Had]:
    """Every test with what was answered.

    Args:
        plan: what is asked.
        asker: whom.
        journal: what was answered before, and where answers are kept.
        batch_size: conversations asked together, and kept together.

    Raises:
        UserError: not one conversation could be had, for the first one's reason.
        Interrupted: the person asked to stop; what was answered is in the journal.
    """
    groups: dict[str, Group] = {}
    refused: dict[str, str] = {}
    for one in plan.conversations:
        if (kept := journal.find(one)) is not None:
            groups[one.id] = kept
    todo = [one for one in plan.conversations if one.id not in groups]
    total = sum(one.answers for one in plan.conversations)
    done = total - sum(one.answers for one in todo)
    fix = "start again: what was answered is kept" if journal.path else "give a journal to go on from there"
    with graceful() as stop, progress("the constitution's tests", total, done=done) as advance:
        for start in range(0, len(todo), batch_size):
            stop.check("stopped while the tests were asked", fix=fix)
            batch = todo[start : start + batch_size]
            fresh = []
            for one, had in zip(batch, asker.have(batch, advance), strict=True):
                if isinstance(had, str):
                    refused[one.id] = had
                else:
                    groups[one.id] = had
                    fresh.append((one, had))
            journal.keep(fresh)
    if refused and not groups:
        raise UserError(f"no test could be asked: {next(iter(refused.values()))}", where=next(iter(refused)))
    return [
        Had(
            test.principle,
            test.case,
            {one.part: groups[one.id] for one in test.conversations if one.id in groups},
            {one.part: refused[one.id] for one in test.conversations if one.id in refused},
        )
        for test in plan.tests
    ]


class _Talk:
    """One time a conversation is had."""

    def __init__(self, at: int, number: int, first: Sample) -> None:
        self.at = at
        self.number = number
        self.first = first
        self.last = first.completion
        self.turns: list[Message] = list(_answer(first))
        self.broken = ""

    def hear(self, push: Message, answered: Group) -> None:
        """Take the answer to a push; where none came, the conversation ends."""
        if not answered.samples:
            self.broken = "no answer came"
            return
        [sample] = answered.samples
        self.last = sample.completion
        self.turns += [push, *_answer(sample)]

    def sample(self, one: Conversation) -> Sample:
        """What becomes of it: the engine's own sample where it has one turn."""
        return joined(one.context, self.turns, self.last) if one.pushes else self.first


def _question(context: Context) -> Group:
    return Group((Sample(context, Completion()),))


def _answer(sample: Sample) -> tuple[Message, ...]:
    content = sample.completion.content
    return (Message("assistant", content),) if isinstance(content, str) else content


def _as_turns(content: Content) -> tuple[Message, ...]:
    return (Message("user", content),) if isinstance(content, str) else content
