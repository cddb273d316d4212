"""Answers rated on five attributes, 0 to 4, and pairs compared from -3 to 3.

HelpSteer: 2311.09528, 2410.01257, 2505.11475.
A pair's strength is below 0 where the first answer is better; Charter's margin has the other sign.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from charter.data.columns import require
from charter.data.public.parts import answered, asked, filled, item_of, label_of_row, number, pair_row, whole
from charter.data.public.schema import PublicRow, PublicSet, has
from charter.data.rows import Row
from charter.data.turns import is_turns, parse_turns
from charter.errors import DataError
from charter.label import Label
from charter.types import Content

ATTRIBUTES = ("helpfulness", "correctness", "coherence", "complexity", "verbosity")
SCALE = (0.0, 4.0)


def _fits_rated(values: Mapping[str, Any]) -> bool:
    return has(values, "prompt", "response", *ATTRIBUTES)


def _fits_two(values: Mapping[str, Any]) -> bool:
    return has(values, "prompt", "response_1", "response_2", "preference_strength")


def _fits_three(values: Mapping[str, Any]) -> bool:
    return has(values, "context", "response1", "response2", "overall_preference")


def _read_rated(row: Row) -> PublicRow:
    prompt, answer = filled(row, "prompt"), filled(row, "response")
    scores = {name: number(row, name, *SCALE) for name in ATTRIBUTES}
    labels = tuple(
        label_of_row(
            row,
            "helpsteer",
            name,
            item=item_of(prompt, answer),
            rater="helpsteer",
            kind="rating",
            value=value,
            scale=SCALE,
            principle=name,
            prompt=prompt,
            answers=(answer,),
            meta={"rater_known": False},
        )
        for name, value in scores.items()
    )
    made = {"prompt": asked(prompt), "completion": answered(answer), "scores": scores}
    return PublicRow(labels, {"attributes": (made,)})


def _read_two(row: Row) -> PublicRow:
    answers = (filled(row, "response_1"), filled(row, "response_2"))
    said = [(_strength(row, "preference_strength"), str(row.values.get("preference_elaboration") or ""))]
    return _pairs(row, "helpsteer2-preference", filled(row, "prompt"), answers, said)


def _read_three(row: Row) -> PublicRow:
    context = require(row, "context")[1]
    prompt: Content = (
        parse_turns(context, where=row.source, column="context")
        if is_turns(context)
        else filled(row, "context")
    )
    answers = (filled(row, "response1"), filled(row, "response2"))
    said = list(_individual(row)) or [(_strength(row, "overall_preference"), "")]
    return _pairs(row, "helpsteer3", prompt, answers, said, overall=_strength(row, "overall_preference"))


def _individual(row: Row) -> Iterator[tuple[int, str]]:
    given = row.values.get("individual_preference") or ()
    if not isinstance(given, list | tuple):
        raise DataError("'individual_preference' is no list", where=row.source)
    for place, one in enumerate(given, start=1):
        if not isinstance(one, Mapping):
            raise DataError("'individual_preference' is no list of objects", where=row.source)
        inside = Row(one, f"{row.source}: individual_preference[{place}]")
        yield _strength(inside, "score"), str(one.get("reasoning") or "")


def _pairs(
    row: Row,
    name: str,
    prompt: Content,
    answers: tuple[str, str],
    said: list[tuple[int, str]],
    overall: int | None = None,
) -> PublicRow:
    """A label of each annotator, and one row of what they said together."""
    labels = tuple(
        _label(row, name, place, len(said), prompt, answers, strength, why)
        for place, (strength, why) in enumerate(said, start=1)
    )
    together = said[0][0] if overall is None else overall
    if together == 0:
        return PublicRow(labels, {}, ("pairs that are a tie: not trained on",))
    made = pair_row(prompt, answers, -together, margin=float(abs(together)))
    return PublicRow(labels, {"preference": (made,)})


def _label(
    row: Row,
    name: str,
    place: int,
    raters: int,
    prompt: Content,
    answers: tuple[str, str],
    strength: int,
    why: str,
) -> Label:
    return label_of_row(
        row,
        name,
        str(place) if raters > 1 else "",
        item=item_of(asked(prompt), *answers),
        # The annotators of a row are numbered, and not known from one row to the next.
        rater=f"{name}:{place}" if raters > 1 else name,
        kind="pair",
        outcome="judged" if strength else "tie",
        value=-strength if strength else None,
        prompt=prompt,
        answers=answers,
        rationale=why,
        meta={"rater_known": False},
    )


def _strength(row: Row, name: str) -> int:
    return whole(row, name, -3, 3)


HELPSTEER = PublicSet("helpsteer", "five attributes of an answer (2311.09528)", _fits_rated, _read_rated)
HELPSTEER2 = PublicSet("helpsteer2-preference", "pairs from -3 to 3 (2410.01257)", _fits_two, _read_two)
HELPSTEER3 = PublicSet("helpsteer3", "pairs of several annotators (2505.11475)", _fits_three, _read_three)
