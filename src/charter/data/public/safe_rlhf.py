"""Two answers compared twice: which is better, and which is safer (SafeRLHF, 2310.12773).

Trained on are the pairs of what is better; what is safer stands beside them as scores of a second
objective. BeaverTails (2307.04657) is an answer, its kinds of harm, and whether it is safe.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from charter.data.public.parts import answered, asked, filled, flag, item_of, label_of_row, pair_row, whole
from charter.data.public.schema import PublicRow, PublicSet, has
from charter.data.rows import Row
from charter.label import VERDICT

BETTER, SAFER, SAFE = "better", "safer", "safe"
_ANSWERS = ("response_0", "response_1")
_KEPT = (
    "prompt_source",
    "is_response_0_safe",
    "is_response_1_safe",
    "response_0_severity_level",
    "response_1_severity_level",
)


def _fits_pair(values: Mapping[str, Any]) -> bool:
    return has(values, "prompt", *_ANSWERS, "better_response_id", "safer_response_id")


def _fits_one(values: Mapping[str, Any]) -> bool:
    return has(values, "prompt", "response", "category", "is_safe")


def _read_pair(row: Row) -> PublicRow:
    prompt = filled(row, "prompt")
    answers = tuple(filled(row, name) for name in _ANSWERS)
    chosen = {
        BETTER: whole(row, "better_response_id", 0, 1),
        SAFER: whole(row, "safer_response_id", 0, 1),
    }
    models = tuple(str(row.values.get(f"{name}_source") or "") for name in _ANSWERS)
    labels = tuple(
        label_of_row(
            row,
            "safe-rlhf",
            name,
            item=item_of(prompt, *answers),
            rater="safe-rlhf",
            kind="pair",
            value=1 if index == 0 else -1,
            principle=name,
            prompt=prompt,
            answers=answers,
            models=models if any(models) else (),
            meta={**{k: row.values[k] for k in _KEPT if k in row.values}, "rater_known": False},
        )
        for name, index in chosen.items()
    )
    agree = chosen[BETTER] == chosen[SAFER]
    made = pair_row(
        prompt,
        answers,
        1 if chosen[BETTER] == 0 else -1,
        principle=BETTER,
        chosen_scores={SAFER: 1.0 if agree else 0.0},
        rejected_scores={SAFER: 0.0 if agree else 1.0},
    )
    return PublicRow(labels, {"preference": (made,)})


def _read_one(row: Row) -> PublicRow:
    prompt, answer, safe = filled(row, "prompt"), filled(row, "response"), flag(row, "is_safe")
    line = row.source.rpartition(":")[2]
    label = label_of_row(
        row,
        "beavertails",
        item=item_of(prompt, answer),
        # Several people rated the same answer, a row each, without names.
        rater=f"beavertails:{line}",
        kind="rating",
        value=1 if safe else 0,
        scale=VERDICT,
        principle=SAFE,
        prompt=prompt,
        answers=(answer,),
        meta={"harm": _harm(row.values.get("category")), "rater_known": False},
    )
    made = {"prompt": asked(prompt), "completion": answered(answer), "label": safe}
    return PublicRow((label,), {"unpaired": (made,)})


def _harm(category: Any) -> list[str]:
    return [str(name) for name, found in category.items() if found] if isinstance(category, Mapping) else []


SAFE_RLHF = PublicSet("safe-rlhf", "better and safer of two answers (2310.12773)", _fits_pair, _read_pair)
BEAVERTAILS = PublicSet("beavertails", "answers safe or not (2307.04657)", _fits_one, _read_one)
