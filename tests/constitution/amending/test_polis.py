"""Pol.is exports: votes by opinion group, consensus per group, and consensus that no group is left out of."""

import math

import pytest

from charter.constitution.amending import add_votes, count
from charter.constitution.amending.polis import read_polis
from charter.errors import DataError, UserError
from charter.stats import wilson

COMMENTS = """timestamp,datetime,comment-id,author-id,agrees,disagrees,moderated,comment-body
1,x,0,1,4,1,1,"The AI should say when it is unsure, always"
2,x,1,1,3,3,0,The AI should be funny
3,x,2,2,1,0,-1,spam
"""
VOTES = """participant,group-id,n-comments,n-votes,n-agree,n-disagree,0,1,2
1,0,1,3,3,0,1,1,1
2,0,0,2,2,0,1,1,
3,0,0,2,2,0,1,1,
4,1,0,2,1,1,1,-1,
5,1,0,2,0,2,-1,-1,
6,1,0,2,0,1,0,-1,
7,,0,1,1,0,1,,
"""


@pytest.fixture
def export(tmp_path):
    def write(comments: str = COMMENTS, votes: str = VOTES):
        (tmp_path / "comments.csv").write_text(comments, encoding="utf-8")
        (tmp_path / "participants-votes.csv").write_text(votes, encoding="utf-8")
        return tmp_path

    return write


def test_agreement_by_group_the_least_agreeing_first(export):
    found = read_polis(export())
    sure = found.statement("0")
    assert [(one.group, one.yes, one.no, one.abstain) for one in sure.groups] == [
        ("1", 1, 1, 1),
        ("0", 3, 0, 0),
    ]
    low = sure.groups[0]
    assert low.agreement == pytest.approx(1 / 3) and low.interval == wilson(1, 3)
    assert found.participants == 6
    assert found.left_out == {"statements moderated out": 1, "participants without a group": 1}


def test_group_aware_consensus_is_the_product_of_smoothed_agreement(export):
    found = read_polis(export())
    assert found.statement("0").group_aware_consensus == pytest.approx(2 / 5 * 4 / 5)
    assert found.statement("1").group_aware_consensus == pytest.approx(1 / 5 * 4 / 5)
    assert [one.id for one in found.statements] == ["0", "1"]


def test_consensus_does_not_follow_the_larger_group(export):
    """Planted: ten times as many people do not make up for a group that disagrees."""
    rows = ["participant,group-id,0,1"]
    rows += [f"{number},big,1,1" for number in range(100)]
    rows += [f"{number},small,{1 if number % 5 else -1},-1" for number in range(100, 110)]
    comments = "comment-id,comment-body,moderated\n0,bridging,1\n1,majority,1\n"
    found = read_polis(export(comments, "\n".join(rows) + "\n"))
    assert [one.text for one in found.statements] == ["bridging", "majority"]
    assert found.statement("1").group_aware_consensus == pytest.approx(math.prod((101 / 102, 1 / 12)))


def test_few_votes_and_other_names(export):
    votes = VOTES + "8,1,0,1,1,0,1,,\n"
    found = read_polis(export(votes=votes), min_votes=2, names={"0": "city"})
    assert found.left_out["participants with fewer than 2 votes"] == 1 and found.participants == 6
    assert {one.group for one in found.statement("0").groups} == {"city", "1"}


def test_votes_go_into_a_proposal_of_the_same_words(place, export):
    id = place.file()
    found = read_polis(export(), names={"0": "city", "1": "coast"})
    state = add_votes(place, id, found.votes("0", "2026-01-02T03:04:05Z"))
    votes = count(state)
    assert (votes.overall.yes, votes.overall.no, votes.overall.abstain) == (4, 1, 1)
    assert [(one.group, one.yes, one.no) for one in votes.groups] == [("coast", 1, 1), ("city", 3, 0)]
    assert {vote.source for vote in votes.votes} == {f"Pol.is statement 0 of {found.name}"}
    add_votes(place, id, found.votes("0", "2026-01-02T03:04:06Z"))  # once more: the same people
    assert count(add_votes(place, id, [])).overall.yes == 4


def test_unknown_groups_are_refused_before_anything_is_written(place, export):
    id = place.file()
    with pytest.raises(UserError, match="no group '0'"):
        add_votes(place, id, read_polis(export()).votes("0", "t"))
    assert place.log(place.proposal(id)).votes == ()


@pytest.mark.parametrize(
    ("comments", "votes", "what", "where"),
    [
        (COMMENTS.replace("comment-body", "body"), VOTES, "no column 'comment-body'", "comments.csv"),
        (COMMENTS + "4,x,1,1,0,0,1,again\n", VOTES, "statement '1' stands here twice", "comments.csv:5"),
        (
            COMMENTS,
            VOTES.replace("4,1,0,2,1,1,1,-1,", "4,1,0,2,1,1,2,-1,"),
            "vote '2'",
            "participants-votes.csv:5",
        ),
        (
            COMMENTS,
            VOTES + "1,0,0,1,1,0,1,,\n",
            "participant '1' stands here twice",
            "participants-votes.csv:9",
        ),
        (COMMENTS, VOTES + "9,0,0,1\n", "not as many values", "participants-votes.csv:9"),
        (COMMENTS, VOTES.replace(",0,1,2\n", ",0,1,7\n"), "statement '7'", "participants-votes.csv:1"),
    ],
)
def test_what_is_wrong_is_named_at_its_line(export, comments, votes, what, where):
    folder = export(comments, votes)
    with pytest.raises(DataError, match=what) as error:
        read_polis(folder)
    assert error.value.where == str(folder / where)


def test_turned_signs_are_noticed(export):
    turned = "\n".join(
        ",".join(
            [*cells[:6], *({"1": "-1", "-1": "1"}.get(one, one) for one in cells[6:])]
            if cells[0].isdecimal()
            else cells
        )
        for cells in (line.split(",") for line in VOTES.split("\n"))
    )
    with pytest.raises(DataError, match="agreement is written as -1"):
        read_polis(export(votes=turned))


def test_missing_files_and_statements_are_named(export, tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_polis(tmp_path / "nowhere")
    found = read_polis(export())
    with pytest.raises(DataError, match="no statement '2'"):  # moderated out
        found.votes("2", "t")


def test_nobody_voted(export):
    found = read_polis(export(votes="participant,group-id,0,1,2\n"))
    assert found.participants == 0 and found.statement("0").groups == ()
