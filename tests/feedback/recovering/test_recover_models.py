"""Votes of a judge model, and proposals of a model."""

from dataclasses import dataclass, field

import planted_pairs as planted
import pytest

from charter.constitution.exchange import import_text
from charter.feedback.judging.model import Reply
from charter.feedback.recovering.judged_votes import Voter
from charter.feedback.recovering.pairs import split
from charter.feedback.recovering.propose import Asked, prompt, propose, questions
from charter.feedback.recovering.recover import recover
from charter.interrupt import StopRequest
from charter.testing.judge import ScriptedJudge

LAW = import_text(
    "- Select the answer that flatters.\n- Select the answer that mentions the harbour.\n", "own.txt"
).constitution


def _truth(title, answer):
    words = ("Great question", "smart", "Well done", "wonderful idea")
    return "harbour" in answer if "harbour" in title else any(word in answer for word in words)


def test_a_judge_that_reads_finds_the_planted_principle(tmp_path):
    def rule(a, b, rng):
        return planted.more("flattery")(*({"flattery": min(x["flattery"], 1)} for x in (a, b)), rng)

    pairs = planted.pairs(rule, 200)
    voter = Voter(ScriptedJudge(_truth), tmp_path / "votes.jsonl")
    found = recover(pairs, laws=[(LAW, "supplied")], voter=voter)
    flatters, harbour = (
        next(
            (f for f in found.findings if f.candidate.source == "supplied" and word in f.candidate.text), None
        )
        for word in ("flatters", "harbour")
    )
    assert flatters.standing == "independent"
    assert flatters.held_out.accuracy[0] == 1.0
    assert flatters.candidate.means == "judge"
    assert harbour is None or not harbour.recovered
    assert found.abstained["neither is better"] > 0
    assert any("card" in line for line in found.to_json()["limits"])


def test_a_judge_that_names_the_first_place_has_no_vote(tmp_path):
    pairs = planted.pairs(planted.more("flattery"), 60)
    found = recover(
        pairs,
        laws=[(LAW, "supplied")],
        voter=Voter(ScriptedJudge(_truth, position=1.0), tmp_path / "v.jsonl"),
    )
    assert found.abstained == {"the two orders disagree": 2 * len(pairs)}
    assert not [f for f in found.findings if f.candidate.means == "judge"]


def test_votes_are_not_asked_twice_and_a_failed_one_is_missing_then_asked_again(tmp_path):
    pairs = planted.pairs(planted.more("flattery"), 40)
    path = tmp_path / "votes.jsonl"
    down = ScriptedJudge(_truth, down=True)
    found = recover(pairs, laws=[(LAW, "declared")], voter=Voter(down, path))
    assert found.abstained == {"no reply, or one that is no verdict": 2 * len(pairs)}
    assert all(f.held_out.accuracy is None for f in found.findings if f.candidate.means == "judge")
    assert all(f.held_out.n == 0 for f in found.findings if f.candidate.means == "judge")
    first, again = ScriptedJudge(_truth), ScriptedJudge(_truth)
    one = recover(pairs, laws=[(LAW, "declared")], voter=Voter(first, path))
    other = recover(pairs, laws=[(LAW, "declared")], voter=Voter(again, path))
    assert len(first.asked) == 4 * len(pairs)  # two principles, two orders
    assert again.asked == []
    assert one.to_json() == other.to_json()


def test_votes_given_before_a_stop_are_kept(tmp_path, monkeypatch):
    pairs = planted.pairs(planted.more("flattery"), 40)
    path = tmp_path / "votes.jsonl"
    stopped = ScriptedJudge(_truth)
    calls = iter([False, True])

    def check(self, what, *, fix=None):
        if next(calls):
            raise KeyboardInterrupt

    monkeypatch.setattr(StopRequest, "check", check)
    with pytest.raises(KeyboardInterrupt):
        recover(pairs, laws=[(LAW, "declared")], voter=Voter(stopped, path))
    monkeypatch.undo()
    rest = ScriptedJudge(_truth)
    recover(pairs, laws=[(LAW, "declared")], voter=Voter(rest, path))
    assert len(stopped.asked) + len(rest.asked) == 4 * len(pairs)
    assert rest.asked


@dataclass
class _Proposer:
    said: str
    name: str = "proposer"
    family: str = "none"
    asked: list = field(default_factory=list)

    def answer(self, asked, asking):
        self.asked += asked
        return [[Reply(self.said, model=self.name, tokens_out=9)] for _ in asked]


def test_proposals_are_read_once_each_and_the_rest_is_counted():
    said = (
        "Here are some principles:\n1. Select the answer that mentions boats.\n"
        "- Select the response that mentions boats\nSelect the answer that is longer."
    )
    pairs = split(planted.pairs(planted.coin, 40).pairs).train
    found = propose(_Proposer(said), pairs, Asked(questions=2, pairs=3))
    assert found.texts == ("Select the answer that mentions boats.",)
    assert found.about["questions"] == 2
    assert found.about["lines that are no principle"] == 2
    assert found.about["said before"] == 3
    assert found.about["in the catalogue"] == 2
    assert found.about["prompt_sha"] == prompt().sha


def test_what_is_shown_is_quoted_says_which_was_chosen_and_comes_in_either_order():
    pairs = split(planted.pairs(planted.coin, 80).pairs).train
    asked = questions(pairs, Asked(questions=4, pairs=3))
    assert len(asked) == 4
    text = "".join(question.turns[-1].content for question in asked)
    assert text.count("[[BEGIN CHOSEN ANSWER") == 12
    first = [block.index("CHOSEN") < block.index("OTHER") for block in text.split("[[BEGIN QUESTION")[1:]]
    assert len(set(first)) == 2
    assert asked == questions(tuple(reversed(pairs)), Asked(questions=4, pairs=3))
