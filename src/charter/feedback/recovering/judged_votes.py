"""Votes by a judge model: each pair under each principle, in both orders, and never asked twice.

Where the two orders do not name the same answer the judge abstains, and the principle has no vote. Where
it fails, the vote is missing. What it said is written down pair by pair.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from charter.constitution import Constitution
from charter.feedback.judging.ask import Judge, Tally
from charter.feedback.judging.feedback import ModelJudge
from charter.feedback.judging.pairwise import Pairwise
from charter.feedback.recovering.candidate import Candidate
from charter.feedback.recovering.pairs import LabelledPair
from charter.feedback.recovering.votes import Votes
from charter.feedback.revising.journal import Journal
from charter.interrupt import graceful
from charter.progress import progress
from charter.rundir import sha256_json
from charter.types import Judgement, PairTarget

AT_ONCE = 16
"""Pairs asked about at a time: what an interruption can cost."""

_MISSING = ("error", "not_measured")


@dataclass
class Voter:
    """A judge that votes.

    Attributes:
        model: who is asked.
        journal: file of its votes; None = they are kept in memory.
        seed: decides what is sampled.
        tally: what was asked, and what came back.
    """

    model: Judge
    journal: Path | None = None
    seed: int = 0
    tally: Tally = field(default_factory=Tally)

    def votes(
        self, candidates: Sequence[Candidate], law: Constitution, pairs: Sequence[LabelledPair]
    ) -> Votes:
        """Votes of principles of ``law`` on ``pairs``.

        Raises:
            ConfigError: the judge cannot be asked.
            Interrupted: the person asked to stop; what was said is in the journal.
            UserError: the journal is something else.
        """
        ids = [candidate.principle for candidate in candidates]
        judge = ModelJudge(
            law, [self.model], Pairwise(), only=ids, rules_first=False, panel_min=1, seed=self.seed
        )
        judge.tally = self.tally
        journal = Journal(self.journal)
        self._ask(judge, ids, pairs, journal)
        return _read(judge, ids, pairs, journal)

    def _ask(
        self, judge: ModelJudge, ids: Sequence[str], pairs: Sequence[LabelledPair], journal: Journal
    ) -> None:
        todo = {pair.key: pair for pair in pairs if _unknown(judge, ids, pair, journal)}
        waiting = list(todo.values())
        different = len({pair.key for pair in pairs})
        if not waiting:
            return
        with graceful() as stop, progress("votes", different, done=different - len(waiting)) as advance:
            for start in range(0, len(waiting), AT_ONCE):
                part = waiting[start : start + AT_ONCE]
                for pair, said in zip(part, judge.judge([pair.group() for pair in part]), strict=True):
                    _write(judge, ids, pair, said, journal)
                advance(len(part))
                stop.check(
                    "stopped while the judge voted; its votes are kept",
                    fix="run the same command again to go on",
                )


def _key(judge: ModelJudge, id: str, pair: LabelledPair) -> str:
    return sha256_json([judge.name, judge.constitution.principle(id).sha, pair.key])


def _unknown(judge: ModelJudge, ids: Sequence[str], pair: LabelledPair, journal: Journal) -> bool:
    return any(journal.get(_key(judge, id, pair)) is None for id in ids)


def _write(
    judge: ModelJudge, ids: Sequence[str], pair: LabelledPair, said: Sequence[Judgement], journal: Journal
) -> None:
    """A vote a line; a failed one is not written, so that it is asked again."""
    for one in said:
        if one.principle not in ids or not isinstance(one.target, PairTarget) or one.verdict in _MISSING:
            continue
        side = "" if one.value is None else "ab"[one.target.better]
        text = "" if not side else (pair.a, pair.b)[one.target.better].completion.text
        row = {
            "principle": one.principle,
            "pair": pair.key,
            "judge": judge.name,
            # Which answer, by its words: the same pair may stand the other way round elsewhere.
            "answer_sha": sha256_json(text) if side else "",
            "verdict": one.verdict,
            "reason": one.reason,
        }
        key = _key(judge, one.principle, pair)
        if journal.get(key) is None:
            journal.add(key, row)


def _read(judge: ModelJudge, ids: Sequence[str], pairs: Sequence[LabelledPair], journal: Journal) -> Votes:
    cast = np.zeros((len(ids), len(pairs)), np.int8)
    known = np.zeros((len(ids), len(pairs)), bool)
    abstained: Counter[str] = Counter()
    for column, pair in enumerate(pairs):
        shas = [sha256_json(sample.completion.text) for sample in (pair.a, pair.b)]
        for row, id in enumerate(ids):
            said = journal.get(_key(judge, id, pair))
            if said is None:
                abstained["no reply, or one that is no verdict"] += 1
                continue
            known[row, column] = True
            if said["answer_sha"]:
                cast[row, column] = 1 if said["answer_sha"] == shas[0] else -1
            else:
                abstained[_why(str(said["verdict"]), str(said["reason"]))] += 1
    votes = Votes.of(cast, known)
    return Votes(votes.cast_CN, votes.known_CN, votes.graded_CN, dict(abstained))


def _why(verdict: str, reason: str) -> str:
    if verdict == "not_applicable":
        return "the principle is not about it"
    return "the two orders disagree" if "orders disagree" in reason else "neither is better"
