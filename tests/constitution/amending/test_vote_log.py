"""Comments and votes: only ever added, nothing dropped in silence, several people at once."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from charter.constitution.amending import Folder, comment, count, propose, reject, state_of, vote
from charter.constitution.amending.log import Vote, append_rows, read_log
from charter.errors import EnvironmentFault, UserError

AT = "2026-01-02T03:04:05Z"


def log_path(place):
    return place.log_path(place.proposal("1"))


def test_what_is_said_is_added_and_nothing_else_changes(place):
    id = place.file()
    vote(place, id, "Ann", "yes", group="city", at=AT)
    before = log_path(place).read_bytes()
    comment(place, id, "Bo", "Why 40?", group="coast", at=AT)
    vote(place, id, " ann ", "no", group="city", reason="40 is arbitrary\nsee below", at=AT)
    after = log_path(place).read_bytes()
    assert after.startswith(before) and after.count(b"\n") == 4
    log = place.log(place.proposal(id))
    assert [row.kind for row in log.rows] == ["step", "vote", "comment", "vote"]
    assert [row.choice for row in log.votes] == ["yes", "no"]  # both are kept
    [standing] = log.standing  # one person, however the name is spelt
    assert (standing.choice, standing.reason) == ("no", "40 is arbitrary\nsee below")
    assert log.comments[0].text == "Why 40?" and log.votes[0].proposal == place.proposal(id).sha


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("{broken", "damaged line"),
        ("[1]", "not a comment, vote or step"),
        ('{"kind": "vot", "who": "x"}', "unknown kind 'vot'"),
        ('{"kind": "vote", "who": "x", "at": "t", "choice": "maybe", "proposal": "p"}', "choice"),
        ('{"kind": "vote", "who": " ", "at": "t", "choice": "yes", "proposal": "p"}', "who"),
        (
            '{"kind": "vote", "who": "x", "at": "t", "choice": "yes", "proposal": "p", "weight": 9}',
            "unknown key",
        ),
        ('{"kind": "comment", "who": "x", "at": "t", "proposal": "p"}', "missing key 'text'"),
    ],
)
@pytest.mark.parametrize("last", [False, True])
def test_a_wrong_line_is_named_and_nothing_is_lost(place, line, what, last):
    id = place.file()
    vote(place, id, "Ann", "yes", group="city")
    path = log_path(place)
    whole = path.read_text()
    damaged = (
        whole + line if last else whole.split("\n")[0] + "\n" + line + "\n" + whole.split("\n")[1] + "\n"
    )
    path.write_text(damaged)
    for ask in (
        lambda: count(state_of(place, id)),
        lambda: vote(place, id, "Bo", "yes", group="coast"),
        lambda: comment(place, id, "Bo", "hm"),
        lambda: reject(place, id),
    ):
        with pytest.raises(UserError, match=what) as error:
            ask()
        assert error.value.where == f"{path}:{3 if last else 2}"
        assert path.read_text() == damaged
    assert place.proposal(id).open


def test_a_last_line_without_an_end_is_completed_not_cut(place):
    id = place.file()
    vote(place, id, "Ann", "yes", group="city")
    path = log_path(place)
    path.write_text(path.read_text().rstrip("\n"))
    vote(place, id, "Bo", "no", group="coast")
    assert [one.who for one in read_log(path).votes] == ["Ann", "Bo"]


def test_many_people_at_once_lose_no_vote(place):
    id = place.file()

    def say(number: int) -> None:
        vote(Folder(place.path), id, f"person {number}", "yes", group="city" if number % 2 else "coast")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(say, range(24)))
    assert len(read_log(log_path(place)).standing) == 24


def test_two_drafts_at_once_get_two_numbers(place, draft):
    file = place.draft(draft)
    with ThreadPoolExecutor(4) as pool:
        states = list(pool.map(lambda _: propose(Folder(place.path), file), range(4)))
    assert sorted(state.proposal.head.id for state in states) == [1, 2, 3, 4]


def test_a_folder_that_is_held_says_so_in_time(place):
    id = place.file()
    impatient = Folder(place.path, patience=0.05)
    with place.lock(), pytest.raises(EnvironmentFault, match="another command"):
        vote(impatient, id, "Ann", "yes", group="city")


@pytest.mark.parametrize(
    ("arguments", "what", "fix"),
    [
        (("Ann", "maybe", "city"), "no such choice: 'maybe'", "known: abstain, no, yes"),
        (("Ann", "yess", "city"), "no such choice", "did you mean 'yes'?"),
        (("Ann", "yes", "citty"), "no group 'citty'", "did you mean 'city'?"),
        (("Ann", "yes", ""), "names no group", None),
        (("  ", "yes", "city"), "not said who", None),
    ],
)
def test_a_vote_that_cannot_count_is_refused(place, arguments, what, fix):
    id = place.file()
    who, choice, group = arguments
    with pytest.raises(UserError, match=what) as error:
        vote(place, id, who, choice, group=group)
    assert fix is None or error.value.fix == fix
    assert place.log(place.proposal(id)).votes == ()


def test_only_members_vote_in_a_group_of_members(place):
    place.change("city: {}", "city: {members: [Ann, Bo]}")
    id = place.file()
    vote(place, id, "ANN", "yes", group="city")
    with pytest.raises(UserError, match="'Eve' may not vote in group 'city': no member"):
        vote(place, id, "Eve", "yes", group="city")
    vote(place, id, "Eve", "yes", group="coast")


def test_a_closed_proposal_takes_no_votes(place):
    id = place.file()
    reject(place, id, who="Ada", reason="too short")
    for ask in (
        lambda: vote(place, id, "Ann", "yes", group="city"),
        lambda: comment(place, id, "Ann", "hm"),
        lambda: reject(place, id),
    ):
        with pytest.raises(UserError, match="is closed: rejected"):
            ask()
    [*_, step] = place.log(place.proposal(id)).steps
    assert (step.step, step.who, step.reason) == ("rejected", "Ada", "too short")


def test_an_empty_comment_says_nothing(place):
    id = place.file()
    with pytest.raises(UserError, match="empty comment"):
        comment(place, id, "Ann", "  ")


def test_rows_are_plain_json_lines(tmp_path):
    path = tmp_path / "x.jsonl"
    append_rows(path, [Vote(who="A", at=AT, choice="yes", proposal="p", reason="\u2028")])
    assert json.loads(path.read_text(encoding="utf-8")) == {
        "kind": "vote",
        "who": "A",
        "at": AT,
        "choice": "yes",
        "reason": "\u2028",
        "proposal": "p",
    }
