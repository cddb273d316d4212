from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from charter.cli.main import app
from charter.data.survey import Question as SurveyQuestion
from charter.data.survey import read_survey
from charter.errors import ConfigError
from charter.evaluation.pluralism.asking import Spread, SurveyTaker
from charter.evaluation.pluralism.few_shot import few_shot, split_questions
from charter.evaluation.pluralism.measure import compared, measure_pluralism
from charter.evaluation.pluralism.table import print_pluralism
from charter.evaluation.pluralism.wording import Asked, check_steer, orders_of, read_reply, turns_of
from charter.evaluation.suite.distance import between
from charter.feedback.judging.model import Asking, Question, Reply
from charter.testing import save_tiny

TEXTS = [f"Q{i}?" for i in range(8)]
ROWS = [
    {
        "question": text,
        "options": ["never", "often", "always"],
        "ordered": True,
        "group": group,
        "shares": shares,
    }
    for text in TEXTS
    for group, shares in (("calm", [0.7, 0.2, 0.1]), ("loud", [0.1, 0.2, 0.7]))
]


class Opinionated:
    """Has an opinion by group, and favours whatever stands first."""

    name, family = "opinionated", "fake"

    def __init__(self, first: float = 0.0, fail: str = "\0") -> None:
        self.first, self.fail, self.asked = first, fail, 0

    def logps(self, question: Question) -> list[float]:
        text = question.turns[-1].content
        self.asked += 1
        if self.fail in text:
            return [math.nan] * 3
        liked = {"calm": "never", "loud": "always"}
        named = next((liked[g] for g in liked if f": {g}." in text), "often")
        lines = [line for line in text.splitlines() if line[1:3] == ". "]
        chances = [0.8 if line[3:] == named else 0.1 for line in lines]
        chances[0] += self.first
        return [math.log(one / sum(chances)) for one in chances]

    def option_logps(
        self, questions: Sequence[Question], options: Sequence[Sequence[str]]
    ) -> list[tuple[float, ...]]:
        assert all(list(of) == ["A", "B", "C"] for of in options)
        return [tuple(self.logps(one)) for one in questions]

    def answer(self, questions: Sequence[Question], asking: Asking) -> list[list[Reply]]:
        found = []
        for index, one in enumerate(questions):
            rng = np.random.default_rng([asking.seed, index])
            picks = rng.choice(3, asking.n, p=np.exp(self.logps(one)))
            found.append([Reply(text="ABC"[pick]) for pick in picks])
            found[-1][0] = Reply(text="I would rather not say")
        return found


def test_steering_is_measured_and_the_worst_group_comes_first() -> None:
    found = measure_pluralism(SurveyTaker(Opinionated()), read_survey(ROWS))
    by_name = {row.group: row for row in found.rows}
    for row in found.rows:
        assert row.steered is not None and row.change is not None
        assert row.steered.value is not None and row.js.value is not None and row.change.value is not None
        assert row.steered.value < row.js.value
        assert row.change.value == pytest.approx(row.steered.value - row.js.value)
        assert row.js.interval is not None and row.js.questions == 8
        assert row.js_group_mean == pytest.approx(by_name["calm"].js_group_mean)
        assert row.missing == 0
    assert found.order_gap == pytest.approx(0.0, abs=1e-12)
    skewed = [{**r, "shares": [1.0, 0.0, 0.0]} if r["group"] == "loud" else r for r in ROWS]
    assert measure_pluralism(SurveyTaker(Opinionated()), read_survey(skewed)).rows[0].group == "loud"


def test_known_distances() -> None:
    survey = read_survey(ROWS)
    same = {text: Spread((0.7, 0.2, 0.1)) for text in TEXTS}
    rows = {row.group: row for row in compared(survey, {"": same}).rows}
    assert rows["calm"].js.value == pytest.approx(0.0, abs=1e-6)
    assert rows["calm"].wasserstein.value == pytest.approx(0.0, abs=1e-12)
    assert rows["loud"].wasserstein.value == pytest.approx(0.6)  # 0.6 of the people, over the whole scale
    assert rows["loud"].steered is None and rows["loud"].change is None


def drawn(sizes: dict[str, int], true: dict[str, list[float]]) -> list[dict[str, Any]]:
    """A survey of 400 questions that so many people of each group answered, by the group's true shares."""
    rng = np.random.default_rng(5)
    asked = [{"question": f"Q{i}?", "options": ["never", "often", "always"]} for i in range(400)]
    return [
        {**one, "group": group, "counts": rng.multinomial(size, true[group]).tolist()}
        for one in asked
        for group, size in sizes.items()
    ]


def test_a_small_group_is_not_the_worst_by_chance() -> None:
    """Few people's shares scatter: raw distances rank the small group first, though the model is its own."""
    said = [0.6, 0.3, 0.1]
    survey = read_survey(drawn({"few": 40, "many": 4000}, {"few": said, "many": [0.55, 0.33, 0.12]}))
    answers = {one.text: Spread(tuple(said)) for one in survey.questions}
    found = compared(survey, {"": answers})
    rows = {row.group: row for row in found.rows}
    few, many = rows["few"], rows["many"]
    assert few.js.value is not None and many.js.value is not None and few.js.value > 1.4 * many.js.value
    assert [row.group for row in found.rows] == ["many", "few"]
    assert few.beyond.value is not None and many.beyond.value is not None
    assert abs(few.beyond.value) < 0.035
    assert many.beyond.value == pytest.approx(between(said, [0.55, 0.33, 0.12]).js, abs=0.005)
    assert few.by_chance is not None and many.by_chance is not None
    assert few.by_chance == pytest.approx(10 * many.by_chance, rel=0.2)


def test_what_is_beyond_chance_does_not_depend_on_how_many_answered() -> None:
    """Seen from far away a sample adds about as much to a divergence as from near: one subtraction serves."""
    said, true = [0.2, 0.2, 0.6], {"few": [0.7, 0.2, 0.1], "many": [0.7, 0.2, 0.1]}
    survey = read_survey(drawn({"few": 12, "many": 4000}, true))
    answers = {one.text: Spread(tuple(said)) for one in survey.questions}
    rows = {row.group: row for row in compared(survey, {"": answers}).rows}
    few, many = rows["few"].beyond, rows["many"].beyond
    assert many.value == pytest.approx(between(said, true["many"]).js, abs=0.005)
    assert few.value == pytest.approx(many.value, abs=0.02)
    assert few.interval is not None and few.interval.lo < few.value < few.interval.hi


def test_where_nobody_was_counted_the_distance_ranks_and_that_is_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = measure_pluralism(SurveyTaker(Opinionated()), read_survey(ROWS))
    assert all(row.by_chance is None and row.beyond.value is None for row in found.rows)
    assert all(row.steered is not None and row.badness == row.steered.value for row in found.rows)
    print_pluralism(found)
    said = " ".join(capsys.readouterr().out.split())
    assert "2 groups do not say how many people answered" in said and "beyond chance" not in said
    counted = [{**row, "respondents": 30} for row in ROWS]
    print_pluralism(measure_pluralism(SurveyTaker(Opinionated()), read_survey(counted)))
    said = " ".join(capsys.readouterr().out.split())
    assert "groups are ranked by it" in said and "do not say" not in said


def test_both_orders_cancel_a_liking_for_the_first_place() -> None:
    asked = [Asked(SurveyQuestion("Q0?", ("never", "often", "always"), True))]
    fair, biased = SurveyTaker(Opinionated())(asked)[0], SurveyTaker(Opinionated(first=2.0))(asked)[0]
    assert fair.order_gap == pytest.approx(0.0, abs=1e-12)
    assert biased.order_gap is not None and biased.order_gap > 0.5
    assert biased.shares[0] == pytest.approx(biased.shares[2])


def test_sampling_counts_replies_and_says_what_it_could_not_read() -> None:
    taker = SurveyTaker(Opinionated(), "sampling", n=400, seed=3)
    (found,) = taker([Asked(SurveyQuestion("Q0?", ("never", "often", "always")))])
    assert found.shares == pytest.approx((0.1, 0.8, 0.1), abs=0.06)
    assert (found.replies, found.unread) == (400, 2)


def test_what_is_too_long_is_missing_and_never_a_share() -> None:
    found = measure_pluralism(SurveyTaker(Opinionated(fail="Q3?")), read_survey(ROWS))
    for row in found.rows:
        assert row.js.questions == 7
        assert row.missing == 2  # unsteered and steered
    nothing = measure_pluralism(SurveyTaker(Opinionated(fail="Q")), read_survey(ROWS), None)
    assert [row.js.value for row in nothing.rows] == [None, None]
    print_pluralism(nothing)


def test_what_was_answered_is_not_asked_again(tmp_path: Path) -> None:
    survey, journal = read_survey(ROWS), tmp_path / "answers.jsonl"
    first = measure_pluralism(SurveyTaker(Opinionated(), journal=journal), survey)
    model = Opinionated()
    again = measure_pluralism(SurveyTaker(model, journal=journal), survey)
    assert model.asked == 0
    assert again.to_json() == first.to_json()
    other = Opinionated()
    SurveyTaker(other, "sampling", n=4, journal=journal)([Asked(survey.questions[0])])
    assert other.asked == 2


@pytest.mark.parametrize(
    ("reply", "option"),
    [
        ("A", 2),
        (" (b) no", None),
        ("(B) x", 1),
        ("C.", 0),
        ("always", 2),
        ("Never.", 0),
        ("D", None),
        ("Any", None),
    ],
)
def test_replies_are_read_in_the_order_they_were_shown(reply: str, option: int | None) -> None:
    question = SurveyQuestion("Q?", ("never", "often", "always"))
    assert read_reply(reply, question, orders_of(question)[1]) == option


def test_mistakes() -> None:
    class OnlyReplies:
        name, family = "x", "y"

        def answer(self, questions: Any, asking: Any) -> Any: ...

    with pytest.raises(ConfigError, match="log-probs"):
        SurveyTaker(OnlyReplies())
    with pytest.raises(ConfigError, match="even"):
        SurveyTaker(Opinionated(), "sampling", n=3)
    with pytest.raises(ConfigError, match="method"):
        SurveyTaker(Opinionated(), "guessing")  # type: ignore[arg-type]
    for bad in ("Be kind.", "{group} {other}", "{"):
        with pytest.raises(ConfigError, match="name the group"):
            check_steer(bad)


def test_examples_stand_before_the_question() -> None:
    question = SurveyQuestion("Q0?", ("no", "yes"))
    text = turns_of(Asked(question, "As: calm.", ((question, (0.25, 0.75)),)), (0, 1))[0].content
    assert text.startswith("As: calm.\n\nThis is how they answered other questions.\n\nQ0? no: 25%, yes: 75%")
    assert text.endswith("A. no\nB. yes\n\nAnswer with one letter.")


# -- few shots ---------------------------------------------------------------------------------------


def test_the_targets_are_the_same_whatever_is_known() -> None:
    survey = read_survey(ROWS)
    seen: dict[int, list[str]] = {}

    def honest(context: Any, targets: Sequence[str]) -> list[np.ndarray]:
        assert not set(context) & set(targets)
        seen[len(context)] = list(targets)
        return [np.asarray(survey.shares["calm"][text]) for text in targets]

    rows = few_shot({"honest": honest}, survey, (0, 3))
    assert seen[0] == seen[3] and len(seen[0]) == 5
    assert [row.known for row in rows] == [0, 3]
    assert rows[0].worst[0] == "loud"
    assert dict(rows[0].by_group)["calm"].value == pytest.approx(0.0, abs=1e-6)
    worst = rows[0].worst[1]
    assert worst.value is not None and worst.value > 0.3 and worst.interval is not None
    with pytest.raises(ConfigError, match="none is left"):
        split_questions(survey, "calm", 8, 0)


# -- commands ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny(str(tmp_path_factory.mktemp("tiny")))


def survey_file(folder: Path) -> str:
    path = folder / "survey.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), "utf-8")
    return str(path)


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments), catch_exceptions=False)


def test_pluralism_command(tmp_path: Path, tiny: str) -> None:
    file = survey_file(tmp_path)
    planned = run("pluralism", tiny, "--survey", file, "--plan")
    assert "24 questions to the model" in planned.output
    assert "48 prompts, each scored once" in planned.output
    found = run("pluralism", tiny, "--survey", file, "--output", str(tmp_path / "out"), "--json")
    assert found.exit_code == 0, found.output
    written = json.loads((tmp_path / "out" / "pluralism.json").read_text("utf-8"))
    assert {row["group"] for row in written["groups"]} == {"calm", "loud"}
    assert all(0 < row["js"]["value"] < 1 for row in written["groups"])
    assert written["order_gap"] >= 0
    table = run(
        "pluralism",
        tiny,
        "--survey",
        file,
        "--group",
        "calm",
        "--no-steer",
        "--output",
        str(tmp_path / "out"),
    )
    assert "calm" in table.output and "loud" not in table.output


def test_gpo_commands(tmp_path: Path, tiny: str) -> None:
    rows = [{**row, "group": f"{row['group']}{copy}"} for row in ROWS for copy in range(2)]
    file, folder = tmp_path / "survey.jsonl", tmp_path / "gpo"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    common = ["--steps", "20", "--width", "16", "--layers", "1", "--learning-rate", "1e-2", "--no-bf16"]
    made = run(
        "gpo", "train", "--survey", str(file), "--model", tiny, "--held-out", "calm1",
        "--output", str(folder), "--json", *common,
    )  # fmt: skip
    assert made.exit_code == 0, made.output
    said = json.loads((folder / "gpo.json").read_text("utf-8"))
    assert {row["predictor"] for row in said["held_out"]} == {
        "gpo", "uniform", "group mean", "nearest group", "nearest option", "ridge"
    }  # fmt: skip
    assert said["groups"] == ["calm0", "loud0", "loud1"]
    known, asked = tmp_path / "known.jsonl", tmp_path / "asked.jsonl"
    known.write_text("".join(json.dumps(row) + "\n" for row in rows if row["question"] in TEXTS[:2]), "utf-8")
    asked.write_text(json.dumps({"question": "New?", "options": ["no", "yes"]}) + "\n", "utf-8")
    found = run(
        "gpo", "predict", str(folder), "--examples", str(known), "--questions", str(asked), "--no-bf16"
    )
    assert found.exit_code == 0, found.output
    lines = [json.loads(line) for line in found.output.splitlines() if line.startswith("{")]
    assert len(lines) == 4
    assert all(sum(line["shares"]) == pytest.approx(1.0, abs=1e-5) and line["known"] == 2 for line in lines)
