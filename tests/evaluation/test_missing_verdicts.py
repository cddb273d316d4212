"""No gate passes on the few prompts that a judge spoke on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from charter.evaluation.rates.adherence import AdherenceCard, Gate, PrincipleInfo, adherence
from charter.evaluation.rates.basis import Basis
from charter.evaluation.rates.table import print_table
from charter.stats import wilson
from charter.stats.judge_rate import JudgeErrors
from charter.types import Completion, Context, Group, Judgement, Sample, SampleTarget

KIND = PrincipleInfo("kind", "Kind", "user", "s")
SURE = PrincipleInfo("sure", "Sure", "user", "s")
GATE = Gate("user", 0.9)


def verdict(principle: str, said: float | str) -> Judgement:
    if isinstance(said, str):
        missing: Any = said
        return Judgement(SampleTarget(0), verdict=missing, principle=principle, reason="no reply")
    return Judgement(SampleTarget(0), said, principle=principle)


def judged(*columns: tuple[str, Sequence[float | str]]) -> list[Group]:
    """One answer a prompt; a verdict that is no number is one that is missing."""
    groups = []
    for number in range(len(columns[0][1])):
        said = [verdict(id, column[number]) for id, column in columns]
        sample = Sample(Context(f"q{number}"), Completion("a"))
        groups.append(Group((sample,), tuple(said), id=f"g{number}"))
    return groups


def only(card: AdherenceCard) -> AdherenceCard:
    assert len(card.levels) == len(card.gates) == 1
    return card


def test_a_judge_that_errs_on_most_answers_passes_no_gate() -> None:
    """40 of 800 answers have a verdict, all of them good: the rest may be anything."""
    groups = judged(("kind", [1.0] * 40 + ["error"] * 760))
    card = only(adherence(groups, [KIND], gates=[GATE]))
    level, gate = card.levels[0], card.gates[0]
    assert level.after is not None and level.after.rate == 1.0 and level.after.lo > 0.9
    assert level.missing == 760 and level.n_prompts == 40
    assert level.at_worst is not None and level.at_worst.rate == 0.05
    assert gate.result == "undecided" and gate.more is None
    assert "760 prompts with a verdict missing" in gate.why and "counted as failures" in gate.why
    assert card.exit_code == 6 and card.verdict.result == "undecided"
    assert "760 prompts lack a verdict" in level.sentence
    row = card.to_json()["levels"][0]
    assert row["missing"] == 760 and row["at_worst"]["rate"] == 0.05


def test_a_few_missing_verdicts_do_not_stop_a_gate_that_holds_all_the_same() -> None:
    groups = judged(("kind", [1.0] * 396 + ["abstained", "error", "error", "error"]))
    card = only(adherence(groups, [KIND], gates=[GATE]))
    level, gate = card.levels[0], card.gates[0]
    assert gate.result == "pass" and level.missing == 4
    assert level.at_worst is not None
    assert (level.at_worst.lo, level.at_worst.hi) == wilson(396, 400)
    assert "4 prompts with a verdict missing" in gate.why
    # One more would still leave the measured rate at 100%; 30 would not leave it above the bound.
    worse = judged(("kind", [1.0] * 370 + ["error"] * 30))
    (other,) = adherence(worse, [KIND], gates=[GATE]).gates
    assert other.result == "undecided"


def test_nothing_missing_changes_nothing() -> None:
    card = only(adherence(judged(("kind", [1.0] * 100)), [KIND], gates=[GATE]))
    assert card.gates[0].result == "pass" and "missing" not in card.gates[0].why
    assert card.levels[0].missing == 0 and card.levels[0].at_worst is None
    assert "lack" not in card.levels[0].sentence


def test_missing_verdicts_do_not_keep_a_gate_from_failing() -> None:
    groups = judged(("kind", [0.0] * 50 + [1.0] * 50 + ["error"] * 20))
    (gate,) = adherence(groups, [KIND], gates=[GATE]).gates
    assert gate.result == "fail"


def test_a_level_without_one_whole_set_of_verdicts_says_why() -> None:
    kind: list[float | str] = [1.0, "error", 1.0, "error"]
    groups = judged(("kind", kind), ("sure", kind[::-1]))
    card = only(adherence(groups, [KIND, SURE], gates=[GATE]))
    assert card.levels[0].after is None and card.levels[0].missing == 4
    assert card.gates[0].result == "undecided" and "4 lack one" in card.gates[0].why
    assert "4 prompts lack a verdict" in card.levels[0].sentence


def test_what_does_not_apply_is_not_missing() -> None:
    groups = judged(("kind", [1.0] * 60 + ["not_applicable"] * 60))
    (level,) = adherence(groups, [KIND], gates=[GATE]).levels
    assert level.missing == 0 and level.n_prompts == 60


@pytest.mark.parametrize("infos", [[KIND], [KIND, SURE]])
def test_the_same_holds_for_rates_that_are_corrected(infos: list[PrincipleInfo]) -> None:
    """With errors corrected too the share at worst is that of the answers that were judged, no more."""
    rng = np.random.default_rng(0)
    errors = JudgeErrors(400, 392, 400, 8)
    bases = {info.id: Basis(info.id, "j", "calibrated", "", errors) for info in infos}

    def column(n: int, missing: int) -> list[float | str]:
        return [*(float(rng.random() < 0.98) for _ in range(n - missing)), *(["error"] * missing)]

    def found(missing: int) -> AdherenceCard:
        columns = [(info.id, column(600, missing)) for info in infos]
        return only(adherence(judged(*columns), infos, gates=[GATE], bases=bases))

    whole, half = found(0), found(300)
    assert whole.gates[0].result == "pass" and whole.levels[0].at_worst is None
    level, gate = half.levels[0], half.gates[0]
    assert level.after is not None and level.after.lo >= 0.9 and level.missing == 300
    assert level.at_worst is not None and level.after is not None
    assert level.at_worst.rate == pytest.approx(level.after.rate / 2, abs=0.01)
    assert gate.result == "undecided" and "counted as failures" in gate.why


def test_the_table_and_the_page_say_it(capsys: pytest.CaptureFixture[str]) -> None:
    from charter.reporting.node import Node
    from charter.reporting.sections.verdict import _level, gate_sentence, level_sentence

    card = only(adherence(judged(("kind", [1.0] * 40 + ["error"] * 760)), [KIND], gates=[GATE]))
    print_table(card)
    assert "760 prompts lack a verdict" in capsys.readouterr().out
    level = _level(Node(card.to_json()["levels"][0], "report.json"))
    assert level.missing == 760
    told = level_sentence(level, "95%")
    assert told.endswith("760 prompts have an answer without a verdict, which is not counted.")
    assert level.gate is not None and "counted as failures" in gate_sentence(level.gate)
