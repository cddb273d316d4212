"""Sign-off and dissent of named people, kept in the run directory.

A review stage writes what it asks (``asked.json`` in its folder); people answer with ``charter review``.
Answers are lines of ``reviews.jsonl``, only ever added, each with the sha256 of what was reviewed: what
changed afterwards nobody has seen, and the answer does not count for it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from charter.config import Config, validate
from charter.constitution.amend_rules import person_key
from charter.errors import EnvironmentFault, UserError, did_you_mean
from charter.pipeline.review_log import Decision, Review, append_review, read_reviews
from charter.rundir import now, read_json, sha256_file, sha256_json, write_json

ASKED = "asked.json"
LOCK = ".reviews.lock"
REPORT = "report.json"
_PATIENCE = 30.0
# What a report says of the run, not of the evidence; it differs each time the report is written.
_OF_THE_RUN = ("created", "stages", "machine", "versions", "manifest", "reviews", "command")

State = Literal["approved", "refused", "open"]


class Thing(Config):
    """One thing to review."""

    file: str
    """Relative to the run directory."""
    sha: str


class Asked(Config):
    """What a review stage asks of people."""

    stage: str
    """Its folder, such as ``4-review``."""
    by: tuple[str, ...]
    needs: int
    what: Mapping[str, Thing]


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a review stands.

    Attributes:
        asked: what is asked, with the content as it is now.
        approved: who approves this content, in the order of ``asked.by``.
        refused: who refuses it.
        void: reviews that do not count, with the reason.
        rows: every review of the stage.
    """

    asked: Asked
    approved: tuple[Review, ...]
    refused: tuple[Review, ...]
    void: tuple[tuple[Review, str], ...]
    rows: tuple[Review, ...]

    @property
    def state(self) -> State:
        """Refused as soon as too few people are left to approve."""
        if len(self.approved) >= self.asked.needs:
            return "approved"
        return "refused" if len(self.refused) > len(self.asked.by) - self.asked.needs else "open"

    @property
    def missing(self) -> list[str]:
        """Those who have not said a word on this content."""
        spoken = {person_key(one.who) for one in (*self.approved, *self.refused)}
        return [name for name in self.asked.by if person_key(name) not in spoken]

    def to_json(self) -> dict[str, Any]:
        """As the report shows it."""
        why = {id(review): reason for review, reason in self.void}
        return {
            "stage": self.asked.stage,
            "what": {name: thing.model_dump() for name, thing in self.asked.what.items()},
            "by": list(self.asked.by),
            "needs": self.asked.needs,
            "state": self.state,
            "approved": [one.who for one in self.approved],
            "refused": [one.who for one in self.refused],
            "dissent": [{"who": one.who, "reason": one.reason} for one in self.refused],
            "missing": self.missing,
            "reviews": [{**one.model_dump(), "void": why.get(id(one), "")} for one in self.rows],
        }


def content_sha(path: Path) -> str:
    """sha256 of what a person reviews in ``path``; of a report, without what differs from run to run."""
    if path.name != REPORT:
        return sha256_file(path)
    report = read_json(path)
    if report is None:
        raise UserError("no report that can be read", where=str(path), fix="run the recipe again")
    return sha256_json({key: value for key, value in report.items() if key not in _OF_THE_RUN})


def ask(run: Path, asked: Asked) -> None:
    """Write down what a stage asks."""
    folder = run / "stages" / asked.stage
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / ASKED, asked.model_dump(mode="json"))


def forget_all_but(run: Path, stages: Collection[str]) -> None:
    """Take back what an earlier recipe asked; what was said of it stays in the log."""
    for path in (run / "stages").glob(f"*-review/{ASKED}"):
        if path.parent.name not in stages:
            path.unlink()


def all_asked(run: Path) -> list[Asked]:
    """Every review that the run has come to, in the order of its stages.

    Raises:
        UserError: a file of them is damaged.
    """
    found = []
    for path in (run / "stages").glob(f"*-review/{ASKED}"):
        values = read_json(path)
        if values is None:
            raise UserError("damaged file", where=str(path), fix="run the recipe again")
        found.append(validate(Asked, values, where=str(path)))
    return sorted(found, key=lambda one: int(one.stage.partition("-")[0]))


def standing(run: Path, asked: Asked) -> Standing:
    """Where ``asked`` stands, by the last word of each person."""
    rows = tuple(row for row in read_reviews(run) if row.stage == asked.stage)
    named = {person_key(name): place for place, name in enumerate(asked.by)}
    last = {person_key(row.who): row for row in rows}
    shas = {name: thing.sha for name, thing in asked.what.items()}
    counted: dict[Decision, list[Review]] = {"approve": [], "refuse": []}
    void: list[tuple[Review, str]] = []
    for row in rows:
        if last[person_key(row.who)] is not row:
            void.append((row, "followed by a later word"))
        elif person_key(row.who) not in named:
            void.append((row, "not one of those who are asked"))
        elif changed := [name for name, sha in shas.items() if row.shas.get(name) != sha]:
            void.append((row, f"changed since: {', '.join(changed)}"))
        else:
            counted[row.decision].append(row)
    for said in counted.values():
        said.sort(key=lambda one: named[person_key(one.who)])
    return Standing(
        asked,
        tuple(counted["approve"]),
        tuple(counted["refuse"]),
        tuple(void),
        rows,
    )


def decide(run: Path, who: str, decision: Decision, reason: str = "", stage: str = "") -> Standing:
    """Add one person's word on the review that is open, and tell where it stands.

    Args:
        run: the run directory.
        who: one of those who are asked; case and spaces do not count.
        decision: approve or refuse.
        reason: in words.
        stage: folder or number of the stage; "" = the first that is not approved.

    Raises:
        UserError: nothing is asked, not of this person, or what was asked about has changed since.
    """
    with _locked(run):
        asked = _chosen(run, stage)
        names = {person_key(name): name for name in asked.by}
        if person_key(who) not in names:
            raise UserError(
                f"{who!r} is not asked to review stage {asked.stage}",
                where=str(run),
                fix=did_you_mean(who, asked.by),
            )
        for name, thing in asked.what.items():
            path = run / thing.file
            if not path.exists():
                raise UserError(f"{name} is gone", where=str(path), fix="run the recipe again")
            if content_sha(path) != thing.sha:
                raise UserError(
                    f"{name} was changed since the run stopped here",
                    where=str(path),
                    fix="run the recipe again, so that everybody reviews the same",
                )
        shas = {name: thing.sha for name, thing in asked.what.items()}
        row = Review(
            stage=asked.stage,
            who=names[person_key(who)],
            decision=decision,
            reason=reason,
            at=now(),
            shas=shas,
        )
        append_review(run, row)
    return standing(run, asked)


def _chosen(run: Path, stage: str) -> Asked:
    asked = all_asked(run)
    if not asked:
        raise UserError("no review is asked here", where=str(run), fix="`charter run` stops where one is")
    if stage:
        for one in asked:
            if stage in (one.stage, one.stage.partition("-")[0]):
                return one
        fix = did_you_mean(stage, [one.stage for one in asked])
        raise UserError(f"no review at stage {stage!r}", where=str(run), fix=fix)
    for one in asked:
        if standing(run, one).state != "approved":
            return one
    raise UserError(
        "every review here is approved", where=str(run), fix="name one with --stage to say something else"
    )


@contextmanager
def _locked(run: Path) -> Iterator[None]:
    """Two people may answer at once, and while the run waits: it holds its own lock, not this one."""
    from filelock import FileLock, Timeout

    guard = FileLock(run / LOCK, timeout=_PATIENCE)
    try:
        guard.acquire()
    except Timeout:
        raise EnvironmentFault("another review is being written", where=str(run), fix="try again") from None
    except OSError as error:
        raise UserError(f"cannot write here: {error.strerror or error}", where=str(run)) from None
    try:
        yield
    finally:
        guard.release()


def reviews_of(run: Path) -> list[dict[str, Any]]:
    """Every review as the report shows it."""
    return [standing(run, asked).to_json() for asked in all_asked(run)]
