"""Stop until named people approve what the stages before made."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from charter.errors import UserError
from charter.interrupt import current
from charter.pipeline.review_options import ReviewStage
from charter.pipeline.reviews import REPORT, Asked, Standing, Thing, ask, content_sha, standing
from charter.pipeline.revising import FILES
from charter.pipeline.stage import Context
from charter.pipeline.stages.compare import FILE as PAIRS
from charter.pipeline.stages.evaluate import FILE as EVALUATION
from charter.progress import say

MADE_BY: dict[str, tuple[str, ...]] = {
    "pairs": ("compare", "revise"),
    "evaluation": ("evaluate",),
    "report": ("report",),
}
"""The stages that make what can be reviewed; one of them must come before."""

UNDECIDED, REFUSED = 6, 1
_PAUSE = 0.5


def run(context: Context, options: ReviewStage) -> dict[str, Any]:
    """See :class:`charter.pipeline.stage.StageRunner`; ``exit_code`` is there where the run stops."""
    asked = _asked(context, options)
    ask(context.run.path, asked)
    found = _waited(context.run.path, asked, options.minutes * 60)
    for review, why in found.void:
        if why.startswith("changed"):
            say(f"review: the word of {review.who} ({review.decision}) does not count any more: {why}")
    for review in found.refused:
        say(f"review: {review.who} is against: {review.reason or 'no reason given'}")
    line = _line(found)
    if found.state == "approved":
        return context.finish({"line": line, "review": found.to_json()})
    if found.state == "open":
        for name, thing in asked.what.items():
            say(f"review: look at {context.run.path / thing.file} ({name})")
        say(f"review: then charter review {context.run.path} --as NAME --approve (or --refuse --reason TEXT)")
        say("review: `charter run` with the same recipe goes on afterwards")
    return {
        "line": line,
        "seconds": round(time.monotonic() - context.started, 1),
        "review": found.to_json(),
        "exit_code": REFUSED if found.state == "refused" else UNDECIDED,
    }


def _asked(context: Context, options: ReviewStage) -> Asked:
    root = context.run.path
    what: dict[str, Thing] = {}
    for name in options.what:
        path = _file(context, name)
        if not path.exists():
            raise UserError(f"there is no {name} to review", where=str(path))
        what[name] = Thing(file=str(path.relative_to(root)), sha=content_sha(path))
    return Asked(stage=context.directory.name, by=options.by, needs=options.needed, what=what)


def _file(context: Context, name: str) -> Path:
    if name == "report":
        return context.run.path / REPORT
    if name == "evaluation":
        return context.folders["evaluate"] / EVALUATION
    if "compare" in context.folders:
        return context.folders["compare"] / PAIRS
    return context.folders["revise"] / FILES["preference"]


def _waited(run: Path, asked: Asked, seconds: float) -> Standing:
    """Where the review stands, once it is decided or the time is over."""
    until = time.monotonic() + seconds
    found = standing(run, asked)
    if found.state == "open" and seconds:
        say(f"review: waiting up to {seconds / 60:g} minutes for {', '.join(found.missing)}")
    while found.state == "open" and time.monotonic() < until:
        current().check("stopped while waiting for a review; what was said is kept")
        time.sleep(_PAUSE)
        found = standing(run, asked)
    return found


def _line(found: Standing) -> str:
    said = f"{len(found.approved)} of {found.asked.needs} approvals needed"
    said += f" ({', '.join(one.who for one in found.approved)})" if found.approved else ""
    if found.refused:
        said += f", refused by {', '.join(one.who for one in found.refused)}"
    if found.state == "open":
        said += f", not heard: {', '.join(found.missing)}"
    return f"{', '.join(found.asked.what)} {found.state}: {said}"
