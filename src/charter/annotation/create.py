"""A new campaign, written into a new file in one transaction."""

from __future__ import annotations

import random
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charter.annotation.database import Store, create_store
from charter.annotation.options import CampaignOptions
from charter.annotation.raters import pseudonym
from charter.annotation.tables import Answer, Campaign, Item, Rater
from charter.annotation.task import Task, prompt_to_json
from charter.constitution import Constitution
from charter.constitution.constitution import read_text
from charter.constitutions import located
from charter.errors import DataError
from charter.rundir import now

ADMIN = "admin"
"""Name of the rater who runs the campaign."""


@dataclass(frozen=True, slots=True)
class Made:
    """A campaign that was made.

    Attributes:
        store: its file.
        items: ordinary ones.
        gold: tests of raters.
        calibration: of the ordinary ones, those that more raters label.
        strata: ordinary items of each.
    """

    store: Store
    items: int
    gold: int
    calibration: int
    strata: Mapping[str, int]


def create(
    path: Path,
    constitution: Constitution,
    tasks: Sequence[Task],
    gold: Sequence[Task],
    options: CampaignOptions,
    *,
    name: str = "",
    made_from: Mapping[str, Any] | None = None,
) -> Made:
    """Write a campaign; on any fault no file is left.

    Raises:
        DataError: nothing to label, or gold is asked for and there is none.
        UserError: the file exists already.
        StoreFault: it cannot be written.
    """
    if not tasks:
        raise DataError("no item is left to label", fix="see what was left out, or give other answers")
    if options.gold_share and not gold:
        raise DataError(
            "no example of the constitution can test raters in these modes",
            where=constitution.path,
            fix="add GOOD and BAD examples, or say --gold-share 0",
        )
    taken = {task.id for task in tasks}
    gold = [task for task in gold if task.id not in taken]
    existed = path.exists()
    try:
        store = create_store(path)
        chosen = _calibration(tasks, options)
        with store.write() as session:
            session.add(_campaign(constitution, options, name or path.stem, made_from or {}))
            session.add(Rater(name=ADMIN, pseudonym=pseudonym(), role="admin", created_at=now()))
            for number, task in enumerate([*tasks, *gold]):
                calibration = number in chosen
                session.add(_item(task, number, options, calibration))
    except BaseException:
        if not existed:
            for ending in ("", "-wal", "-shm"):
                Path(f"{path}{ending}").unlink(missing_ok=True)
        raise
    return Made(store, len(tasks), len(gold), len(chosen), Counter(task.stratum for task in tasks))


def _calibration(tasks: Sequence[Task], options: CampaignOptions) -> set[int]:
    """Numbers of the items that more raters label, spread over the strata."""
    rng = random.Random(f"{options.seed}:calibration")
    by_stratum: dict[str, list[int]] = {}
    for number in rng.sample(range(len(tasks)), len(tasks)):
        by_stratum.setdefault(tasks[number].stratum, []).append(number)
    turns = [
        (place, rng.random(), number)
        for numbers in by_stratum.values()
        for place, number in enumerate(numbers)
    ]
    return {number for _, _, number in sorted(turns)[: options.calibration]}


def _campaign(
    constitution: Constitution, options: CampaignOptions, name: str, made_from: Mapping[str, Any]
) -> Campaign:
    path = located(constitution.path)
    return Campaign(
        id=1,
        uid=secrets.token_hex(4),
        name=name,
        created_at=now(),
        constitution_path=str(Path(path).resolve()),
        constitution_sha=constitution.sha,
        constitution_text=read_text(path),
        options=options.model_dump(mode="json"),
        made_from=dict(made_from),
    )


def _item(task: Task, number: int, options: CampaignOptions, calibration: bool) -> Item:
    return Item(
        id=task.id,
        ordinal=number,
        mode=task.mode,
        principle=task.principle,
        principle_sha=task.principle_sha,
        level=task.level,
        source=task.source,
        stratum=task.stratum,
        prompt=prompt_to_json(task.prompt),
        overlap=options.calibration_overlap if calibration else options.overlap,
        calibration=calibration,
        is_gold=task.gold is not None,
        gold=task.gold,
        judge=dict(task.judge),
        meta=dict(task.meta),
        answers=[
            Answer(position=place, text=text, model=model)
            for place, (text, model) in enumerate(zip(task.answers, task.models, strict=True))
        ],
    )
