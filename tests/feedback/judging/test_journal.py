"""What was answered stays answered: torn ends, shared files, foreign files."""

import json

import pytest

from charter.engines.base import Sampling
from charter.errors import EnvironmentFault, UserError
from charter.feedback.judging.journal import Journal, call_key
from charter.feedback.judging.model import Reply

REPLY = Reply(
    text="yes\u2028 \u00fc", model="m-1", tokens_in=3, tokens_out=1, cost=0.5, finish_reason="length"
)
BASE = {"service": "m@h", "prompt_sha": "p", "question_sha": "q", "sampling": Sampling(seed=1), "index": 0}


def test_answers_come_back_free_of_charge(tmp_path):
    path = tmp_path / "new" / "calls.jsonl"
    Journal(path).add("k", REPLY, {"index": 0})
    again = Journal(path)
    found = again.get("k")
    assert (found.text, found.model, found.finish_reason) == (REPLY.text, "m-1", "length")
    assert (found.tokens_in, found.cached, found.cost) == (3, True, 0.0)
    assert again.cost == 0.5 and len(again) == 1
    assert again.get("other") is None
    row = json.loads(path.read_text())
    assert row["index"] == 0 and row["at"].endswith("Z")


def test_a_failed_call_is_written_down_and_asked_again(tmp_path):
    path = tmp_path / "calls.jsonl"
    Journal(path).add("k", Reply(error="HTTP 500"), {}, failed=True)
    again = Journal(path)
    assert again.get("k") is None and again.failed == 1
    again.add("k", REPLY, {})
    assert Journal(path).get("k").text == REPLY.text


def test_a_torn_last_line_costs_that_line_only(tmp_path):
    path = tmp_path / "calls.jsonl"
    journal = Journal(path)
    journal.add("a", REPLY, {})
    journal.add("b", REPLY, {})
    whole = path.read_bytes()
    for cut in range(1, 40):
        path.write_bytes(whole[:-cut])
        torn = Journal(path)
        assert torn.get("a") is not None
        assert (torn.get("b") is None) == (cut > 1)
    torn.add("c", REPLY, {})
    mended = Journal(path)
    assert mended.get("a") and mended.get("c") and mended.get("b") is None


def test_two_runs_may_share_a_cache(tmp_path):
    path = tmp_path / "calls.jsonl"
    first, second = Journal(path), Journal(path)
    for number in range(20):
        (first if number % 2 else second).add(f"k{number}", REPLY, {})
    assert len(Journal(path)) == 20


@pytest.mark.parametrize("line", ['{"prompt": "a data file"}', "[1]", '{"key": "k", "failed": false}'])
def test_another_file_is_not_written_into(tmp_path, line):
    path = tmp_path / "data.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(UserError, match="not a row of a journal") as error:
        Journal(path)
    assert error.value.where == f"{path}:1"


def test_damage_in_the_middle_is_named(tmp_path):
    path = tmp_path / "calls.jsonl"
    Journal(path).add("a", REPLY, {})
    path.write_text("{broken\n" + path.read_text())
    with pytest.raises(UserError, match="damaged line") as error:
        Journal(path)
    assert error.value.where == f"{path}:1" and "delete" in error.value.fix


def test_a_directory_is_no_journal(tmp_path):
    with pytest.raises(EnvironmentFault):
        Journal(tmp_path)


def test_without_a_file_answers_are_kept_in_memory():
    journal = Journal()
    journal.add("k", REPLY, {})
    assert journal.get("k").cached


@pytest.mark.parametrize(
    "other",
    [
        {"service": "n@h"},
        {"prompt_sha": "p2"},
        {"question_sha": "q2"},
        {"sampling": Sampling(seed=2)},
        {"sampling": Sampling(seed=1, temperature=0.5)},
        {"index": 1},
        {"sent": {"top_k": 3}},
    ],
)
def test_everything_that_decides_an_answer_is_in_the_key(other):
    assert call_key(**BASE) == call_key(**BASE)
    assert call_key(**BASE) != call_key(**{**BASE, **other})
