"""Recovered principles as a draft constitution, and pairs with votes for viewers (ICAI, 2406.06560)."""

from __future__ import annotations

from typing import Any

from charter.constitution.exchange.builder import Builder
from charter.constitution.exchange.imported import Imported, ImportOptions
from charter.constitution.exchange.inverse import selected_title
from charter.constitution.exchange.pairs import example
from charter.constitution.principle import Principle, Provenance, Votes
from charter.errors import DataError
from charter.feedback.judging.view import View
from charter.feedback.recovering.candidate import SELECT
from charter.feedback.recovering.pairs import LabelledPair
from charter.feedback.recovering.recovery import Finding, Recovery
from charter.stats import percent
from charter.types import Sample

DEFAULT = "label"
_VIEW = View()
_EXAMPLES = 2
_LONGEST = 2_000


def draft(found: Recovery, options: ImportOptions | None = None) -> Imported:
    """The recovered principles as a constitution, most votes for less votes against first.

    Each says in its reason how far the held-out pairs follow it, and has examples that it and the label
    agree on. It describes what was preferred. Whether it ought to be is for people to decide.

    Raises:
        DataError: nothing was recovered.
    """
    options = options or ImportOptions(name="recovered", examples=_EXAMPLES)
    if not found.principles:
        raise DataError(
            "no principle was recovered, so there is nothing to draft",
            where=found.name or None,
            fix="give more pairs, or candidates of your own with --candidates or --propose",
        )
    builder = Builder(found.name or "pairs", options, (options.level,))
    for one in found.principles:
        builder.add(_principle(builder, one, found, options))
    return builder.done("recovered principles", {"principles tested": len(found.findings)})


def annotated_pairs(found: Recovery) -> dict[str, Any]:
    """Every pair with its label and the votes of the recovered principles: annotated pairs, version 2."""
    annotators: dict[str, Any] = {
        DEFAULT: {"name": DEFAULT, "description": "The label of the data", "type": "human"}
    }
    for one in found.principles:
        annotators[one.candidate.id] = {
            "name": one.candidate.id,
            "description": _select(one),
            "type": "principle",
        }
    return {
        "metadata": {
            "version": "2.0",
            "description": "Preferences and the votes of the principles recovered from them",
            "dataset_name": found.name,
            "default_annotator": DEFAULT,
            "available_metadata_keys_per_comparison": ["part"],
        },
        "annotators": annotators,
        "comparisons": [_comparison(found, column) for column in range(len(found.pairs))],
    }


def _principle(builder: Builder, one: Finding, found: Recovery, options: ImportOptions) -> Principle:
    said = _select(one)
    title = selected_title(said) if one.candidate.measured else one.candidate.says
    held = one.held_out
    return Principle(
        id=builder.id_for(found.name, one.candidate.id.replace(":", "."), title),
        title=builder.title(found.name, title),
        level=options.level,
        text=builder.statement(found.name, said),
        line=0,
        rationale=builder.statement(found.name, evidence(one)),
        examples=tuple(
            example(
                builder,
                pair.source,
                f"pair {pair.key[:8]}",
                [(turn.role, turn.content) for turn in _VIEW.see(pair.a).conversation],
                [("good", _text(pair.chosen)), ("bad", _text(pair.rejected))],
            )
            for pair in _shown(found, one, options.examples)
        ),
        provenance=Provenance(
            source=f"recovered from {found.name}" if found.name else "recovered from preferences",
            adopted_by=Votes(
                votes_for=held.agree, against=held.disagree, abstain=held.n - held.agree - held.disagree
            ),
        ),
    )


def evidence(one: Finding) -> str:
    """How far the held-out pairs follow a principle, in words."""
    held = one.held_out
    if held.accuracy is None or held.relevance is None:
        return "It never votes on the held-out pairs."
    rate, bounds = held.accuracy
    said = (
        f"Of {held.n} held-out pairs it has a vote on {percent(held.relevance[0])}, and the label agrees "
        f"with {percent(rate)} of these votes (95% interval {percent(bounds.lo)} to {percent(bounds.hi)})."
    )
    if one.standing == "entangled":
        other = f' "{one.explained_by.says}"' if one.explained_by else " length"
        said += f" The pairs cannot tell it apart from{other}."
    elif one.partial is not None:
        said += f" With the others held equal its effect is {one.partial.effect[0]:+.2f}."
    return said


def _select(one: Finding) -> str:
    """ "Select the answer that ...", or a principle in its own words."""
    if one.candidate.text.startswith(SELECT) or one.candidate.principle:
        return one.candidate.text
    return f"{SELECT}{one.candidate.says}."


def _shown(found: Recovery, one: Finding, most: int) -> list[LabelledPair]:
    """Short held-out pairs on which principle and label agree; one a prompt."""
    votes = found.votes[one.candidate.id]
    agreed = [
        pair
        for pair, vote in zip(found.pairs[found.first_held_out :], votes[found.first_held_out :], strict=True)
        if vote == pair.label and 0 < len(_text(pair.chosen)) <= _LONGEST and _text(pair.rejected)
    ]
    agreed.sort(key=lambda pair: (len(_text(pair.chosen)) + len(_text(pair.rejected)), pair.key))
    kept: dict[str, LabelledPair] = {}
    for pair in agreed:
        kept.setdefault(pair.prompt, pair)
    return list(kept.values())[:most]


def _comparison(found: Recovery, column: int) -> dict[str, Any]:
    pair = found.pairs[column]
    turns = _VIEW.see(pair.a).conversation
    row: dict[str, Any] = {
        "id": f"{pair.key[:16]}-{column}",
        "prompt": "\n\n".join(turn.content for turn in turns),
        "response_a": {"text": _text(pair.a), "model": pair.a.completion.sampled_by},
        "response_b": {"text": _text(pair.b), "model": pair.b.completion.sampled_by},
        "annotations": {
            DEFAULT: {"pref": pair.preferred},
            **{
                one.candidate.id: {"pref": _side(int(found.votes[one.candidate.id][column]))}
                for one in found.principles
            },
        },
        "metadata": {"part": "train" if column < found.first_held_out else "held_out"},
    }
    if len(turns) > 1:
        row["messages"] = [{"role": turn.role, "content": turn.content} for turn in turns]
    return row


def _side(vote: int) -> str | None:
    return None if vote == 0 else "a" if vote > 0 else "b"


def _text(sample: Sample) -> str:
    return "\n\n".join(turn.content for turn in _VIEW.see(sample).answer).strip()
