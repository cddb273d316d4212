"""What both journals share: their file."""

import json

import pytest

from charter.errors import EnvironmentFault, UserError
from charter.feedback.judging.journal import Journal as Calls
from charter.feedback.judging.model import Reply
from charter.feedback.revising.journal import Journal as Texts
from charter.feedback.revising.journal import journal_in


def add(journal, key: str) -> None:
    if isinstance(journal, Calls):
        journal.add(key, Reply(text=key), {})
    else:
        journal.add(key, {"text": key})


@pytest.mark.parametrize("kind", [Calls, Texts])
def test_the_file_and_its_folder_are_made_and_read_again(kind, tmp_path):
    path = tmp_path / "deep" / "x.jsonl"
    for key in ("a", "b"):
        add(kind(path), key)
    again = kind(path)
    assert len(again) == 2 and again.get("a") is not None and again.get("c") is None


@pytest.mark.parametrize("kind", [Calls, Texts])
def test_two_writers_share_a_file(kind, tmp_path):
    first, second = kind(tmp_path / "x.jsonl"), kind(tmp_path / "x.jsonl")
    for number in range(20):
        add(first if number % 2 else second, str(number))
    assert len(kind(tmp_path / "x.jsonl")) == 20


@pytest.mark.parametrize("kind", [Calls, Texts])
def test_damage_before_the_end_is_named_and_a_torn_end_is_not_damage(kind, tmp_path):
    path = tmp_path / "x.jsonl"
    for key in ("a", "b"):
        add(kind(path), key)
    whole = path.read_text()
    path.write_text(whole[:-9])
    assert len(kind(path)) == 1
    path.write_text("{broken\n" + whole)
    with pytest.raises(UserError, match="damaged line") as error:
        kind(path)
    assert error.value.where == f"{path}:1" and error.value.fix == "delete that line; the rest is kept"
    path.write_text(json.dumps({"key": 7}) + "\n")
    with pytest.raises(UserError, match=r"not a (line|row) of a journal"):
        kind(path)


@pytest.mark.parametrize("kind", [Calls, Texts])
def test_a_folder_is_no_journal(kind, tmp_path):
    with pytest.raises(EnvironmentFault):
        kind(tmp_path)


def test_a_stage_without_a_folder_is_kept_in_memory(tmp_path):
    journal = journal_in(None, "critiques")
    add(journal, "a")
    assert journal.path is None and journal.get("a")["text"] == "a"
    assert journal_in(tmp_path, "critiques").path == tmp_path / "critiques.journal.jsonl"
