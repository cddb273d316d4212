from __future__ import annotations

import pytest

from charter.feedback.judging import parse


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Yes", "yes"), ("yes.", "yes"), (" **No** ", "no"), ("N/A", "na"), ("NA", "na"),
        ("Not applicable.", "na"), ("UNSURE", "unsure"), ("<think>No, wait.</think>\nYes", "yes"),
    ],
)  # fmt: skip
def test_a_word(text: str, said: str) -> None:
    assert parse.word(text) == said


@pytest.mark.parametrize(
    "text",
    ["", "Yes, because it is kind", "Yes or No", "yes no", "Yesterday", "1", "The answer is yes", "Yes\nNo",
     "A",     "<think>Yes", "Verdict: Yes", "YES!?", "I cannot help with that."],
)  # fmt: skip
def test_anything_else_is_no_verdict(text: str) -> None:
    with pytest.raises(parse.Unclear):
        parse.word(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [("A", "a"), ("Answer B.", "b"), ("tie", "tie"), ("na", "na"), ("Unsure", "unsure")],
)
def test_a_side(text: str, said: str) -> None:
    assert parse.word(text, parse.SIDES) == said


@pytest.mark.parametrize("text", ["Yes", "A or B", "C", "A B", "Both", ""])
def test_no_side(text: str) -> None:
    with pytest.raises(parse.Unclear):
        parse.word(text, parse.SIDES)


def test_reasons_and_the_last_line() -> None:
    said, reasons = parse.last_line("It is short.\nIt mocks nobody.\n\n**Verdict:** Yes\n")
    assert said == "yes"
    assert reasons == "It is short.\nIt mocks nobody."
    assert parse.last_line("Verdict: NA")[0] == "na"
    assert parse.last_line("Verdict: No\nStill so.\nVerdict: No")[0] == "no"


@pytest.mark.parametrize(
    "text",
    ["", "Yes", "Verdict: Yes\nBut then again.", "Verdict: Yes\nVerdict: No", "Verdict: perhaps", "Verdict:",
     "Verdict: No\nno more\nVerdict: maybe", "My verdict: Yes and no"],
)  # fmt: skip
def test_no_last_line(text: str) -> None:
    with pytest.raises(parse.Unclear):
        parse.last_line(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [("4", 4), ("4/5", 4), ("Rating: 1", 1), (" 5. ", 5), ("NA", "na"), ("unsure", "unsure"), ("**3**", 3)],
)
def test_a_rating(text: str, said: object) -> None:
    assert parse.rating(text, 5) == said


@pytest.mark.parametrize("text", ["0", "6", "4/10", "4.5", "-1", "4 or 5", "four", "", "4 because", "٤"])
def test_no_rating(text: str) -> None:
    with pytest.raises(parse.Unclear):
        parse.rating(text, 5)


def test_ten_is_not_one() -> None:
    assert parse.rating("10", 10) == 10
    with pytest.raises(parse.Unclear, match="10 is not on the scale"):
        parse.rating("10", 5)


def test_verdicts_of_many() -> None:
    reply = '```json\n{"1": "yes", "2": "No", "3": "maybe", "4": true}\n```'
    said = parse.verdicts(reply, ["1", "2", "3", "4", "5"])
    assert said["1"] == "yes"
    assert said["2"] == "no"
    assert all(isinstance(said[key], parse.Unclear) for key in ("3", "4", "5"))
    assert "leaves this principle out" in str(said["5"])


@pytest.mark.parametrize(
    "text",
    ["", "yes", "[]", '{"1": "yes"', '{"1": "yes", "1": "no"}', '{"1": "yes", "9": "no"}',
     'Here: {"1": "yes"}', '{"1": "yes"} {"1": "no"}', "[" * 100_000],
)  # fmt: skip
def test_no_verdicts_at_all(text: str) -> None:
    with pytest.raises(parse.Unclear):
        parse.verdicts(text, ["1"])
