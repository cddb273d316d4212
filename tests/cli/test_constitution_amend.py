"""``charter constitution propose, vote, tally, amend ...``: a text that people govern."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from charter.cli.constitution import app
from charter.constitution import Constitution
from charter.errors import DataError, UserError

runner = CliRunner()
HOUSE = """---
constitution: 1
name: house
version: 0.3.0
levels: [user]
amend: {groups: {city: {members: [Ann, Bo]}, coast: {}}}
---
## Brief {#brief authority=user}

At most 60 words.

```yaml rules
all: [{length: {min_words: 5, max_words: 60}}]
```

```yaml tests
- {id: brief-1, kind: rule, prompt: "Why is the sky blue?"}
```

## Prose {#prose authority=user}

No lists.
"""
DRAFT = """---
title: Shorter answers
author: Ada
---
Sixty words are too many.

## Brief {#brief authority=user}

At most 40 words.

```yaml rules
all: [{length: {min_words: 5, max_words: 40}}]
```

```yaml tests
- {id: brief-1, kind: rule, prompt: "Why is the sky blue?"}
```
"""


@pytest.fixture
def place(tmp_path):
    (tmp_path / "house.constitution.md").write_text(HOUSE)
    (tmp_path / "draft.md").write_text(DRAFT)
    return tmp_path


def run(place: Path, *arguments):
    return runner.invoke(app, [*map(str, arguments), "--in", str(place)])


def ok(place: Path, *arguments) -> str:
    result = run(place, *arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


def test_from_a_draft_to_a_new_version(place):
    told = ok(place, "propose", place / "draft.md")
    assert f"wrote {place / 'proposals' / '0001-shorter-answers.md'}" in told
    assert "~ brief: reworded, re-ruled" in told and "At most 40 words." in told
    assert (
        "needed: more than 1/2 of yes and no overall, more than 1/2 in every group, 1 vote at least" in told
    )
    ok(place, "vote", 1, "yes", "--as", "Ann", "--group", "city")
    assert "a no with --reason is kept" in ok(place, "vote", 1, "no", "--as", "Cy", "--group", "coast")
    ok(place, "comment", 1, "Why not 50?", "--as", "Bo", "--group", "city")

    told = ok(place, "tally", 1)
    assert "proposal 0001: Shorter answers (open)" in told
    table = [line.split() for line in told.split("\n")]
    names = [row[0] for row in table if row and row[0] in ("coast", "city", "overall")]
    assert names == ["coast", "city", "overall"]  # the worst group first
    assert "1 of 2" in told and "missing, coast: 2 more yes against 1 no" in told
    assert "comment, Bo (city): Why not 50?" in told and "everybody is asked" in told
    assert run(place, "tally", 1, "--check").exit_code == 1

    refused = run(place, "amend", 1)
    assert refused.exit_code == 1 and "not amended" in refused.output and "coast" in refused.output
    assert Constitution.load(place / "house.constitution.md").version == "0.3.0"

    for name in ("Di", "Eve", "Flo"):
        ok(place, "vote", 1, "yes", "--as", name, "--group", "coast")
    ok(place, "vote", 1, "no", "--as", "Cy", "--group", "coast", "--reason", "Recipes need more.")
    assert run(place, "tally", 1, "--check").exit_code == 0
    told = ok(place, "amend", 1, "--as", "Ada")
    assert "version 0.3.1" in told and "run again: 1 test of 1 principle" in told
    text = (place / "house.constitution.md").read_text()
    assert "Recipes need more." in text and "At most 40 words." in text
    told = ok(place, "tally", 1)
    assert "(adopted)" in told and "changed votes, of which the last counts: 1" in told
    assert "against, Cy (coast): Recipes need more." in told
    assert isinstance(run(place, "vote", 1, "no", "--as", "Eve", "--group", "coast").exception, UserError)
    assert "adopted: Shorter answers by Ada" in ok(place, "proposals")


def test_nothing_said_yet_is_undecided(place):
    ok(place, "propose", place / "draft.md")
    assert run(place, "tally", 1, "--check").exit_code == 6
    assert run(place, "amend", 1).exit_code == 6
    assert "undecided; missing: city: 1 more vote" in ok(place, "proposals")


def test_json(place):
    ok(place, "propose", place / "draft.md")
    ok(place, "vote", 1, "no", "--as", "Cy", "--group", "coast", "--reason", "too short")
    found = json.loads(ok(place, "tally", 1, "--json"))
    assert (found["id"], found["decision"], found["status"]) == ("0001", "fail", "open")
    assert [one["group"] for one in found["groups"]] == ["coast", "city"]
    assert found["dissent"] == [{"who": "Cy", "group": "coast", "reason": "too short"}]
    listed = json.loads(ok(place, "proposals", "--json"))
    assert [one["id"] for one in listed["proposals"]] == ["0001"] and listed["broken"] == []


def test_a_broken_proposal_hides_no_other(place):
    for _ in range(2):
        ok(place, "propose", place / "draft.md")
    log = place / "proposals" / "0001-shorter-answers.jsonl"
    log.write_text(log.read_text() + "{broken\n")
    result = run(place, "proposals")
    assert result.exit_code == 2
    assert f"{log}:2: damaged line" in result.output and "0002 open: Shorter answers" in result.output


def test_rebase_and_stale(place):
    ok(place, "propose", place / "draft.md")
    house = place / "house.constitution.md"
    house.write_text(house.read_text().replace("No lists.", "No lists at all."))
    assert "stale: the constitution changed since, though nothing" in ok(place, "tally", 1)
    assert "open, stale" in ok(place, "proposals")
    assert "keeps the votes" in str(run(place, "amend", 1).exception)
    told = ok(place, "rebase", 1)
    assert "rebased" in told and "earlier votes" not in told
    house.write_text(house.read_text().replace("At most 60", "At most 70"))
    assert "changed since, and replaced by it: brief; earlier votes are stale" in ok(place, "rebase", 1)


def test_a_draft_to_begin_with_is_the_present_text(place):
    out = place / "mine.md"
    assert f"wrote {out}" in ok(place, "draft", "brief", "-o", out)
    text = out.read_text()
    assert text.startswith('---\ntitle: ""\n---\n') and "At most 60 words." in text and "brief-1" in text
    assert "title" in str(run(place, "propose", out).exception)
    out.write_text(text.replace('""', "Shorter").replace("At most 60", "At most 50"))
    told = ok(place, "propose", out)
    assert "~ brief: reworded\n" in told and "loses" not in told
    assert "no principle 'brif'" in str(run(place, "draft", "brif").exception)
    assert isinstance(run(place, "draft", "brief", "-o", out).exception, UserError)  # it is there already


def test_what_a_proposal_leaves_out_is_pointed_at(place):
    (place / "draft.md").write_text(DRAFT.split("```yaml tests")[0])
    told = ok(place, "propose", place / "draft.md")
    assert "! brief loses its tests: the proposal does not have them" in told
    assert "brief loses its tests" in ok(place, "tally", 1)


def test_reject(place):
    ok(place, "propose", place / "draft.md")
    assert "rejected" in ok(place, "reject", 1, "--as", "Ada", "--reason", "later")
    assert "0001 rejected: Shorter answers" in ok(place, "proposals")


def test_no_proposals_yet(place):
    assert "no proposals in" in ok(place, "proposals")
    (place / "proposals").mkdir()
    (place / "proposals" / "mine.md").write_text(DRAFT)
    assert "mine.md: no proposal yet; file it: charter constitution propose" in ok(place, "proposals")


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("vote", 9, "yes", "--as", "Ann", "--group", "city"), "no proposal '9'"),
        (("vote", 1, "yes", "--as", "Ann", "--group", "cit"), "no group 'cit'"),
        (("vote", 1, "yes", "--as", "Zoe", "--group", "city"), "may not vote"),
        (("vote", 1, "yes", "--group", "city"), "not said who"),
        (("comment", 1, " ", "--as", "Ann"), "empty comment"),
        (("propose", "no.md"), "no such file"),
    ],
)
def test_mistakes_are_told(place, arguments, what):
    ok(place, "propose", place / "draft.md")
    error = run(place, *arguments).exception
    assert isinstance(error, UserError) and what in str(error)


def test_a_folder_that_is_not_there(place):
    assert isinstance(run(place / "nowhere", "proposals").exception, UserError)


# -- Pol.is -----------------------------------------------------------------------

COMMENTS = "comment-id,comment-body,moderated\n0,At most 40 words,1\n1,Jokes please,1\n2,spam,-1\n"
VOTES = "participant,group-id,0,1,2\n1,0,1,1,\n2,0,1,0,\n3,1,1,-1,\n4,1,1,,\n5,,1,,\n"


@pytest.fixture
def export(place):
    folder = place / "export"
    folder.mkdir()
    (folder / "comments.csv").write_text(COMMENTS)
    (folder / "participants-votes.csv").write_text(VOTES)
    return folder


def test_polis_table(place, export):
    told = ok(place, "polis", export)
    assert "4 participants, 2 statements" in told and "left out, participants without a group: 1" in told
    assert "consensus 0.56: 0 100% [34%, 100%] of 2; 1 100%" in told
    assert told.index("At most 40 words") < told.index("Jokes please")
    found = json.loads(ok(place, "polis", export, "--json"))
    assert found["statements"][1]["groups"][0] == {
        "group": "1",
        "yes": 0,
        "no": 1,
        "abstain": 0,
        "agreement": 0.0,
        "interval": pytest.approx([0.0, 0.793], abs=1e-3),
    }


def test_polis_votes_into_a_proposal(place, export):
    house = place / "house.constitution.md"
    house.write_text(house.read_text().replace("{members: [Ann, Bo]}", "{voters: sample}"))
    ok(place, "propose", place / "draft.md")
    names = ("--group-name", "0=city", "--group-name", "1=coast")
    told = ok(place, "polis", export, *names, "--statement", "0", "--proposal", "1")
    assert "proposal 0001: 4 votes taken over" in told and "At most 40 words" in told
    told = ok(place, "tally", 1)
    assert "cast elsewhere, on its own words: 4 (Pol.is statement 0 of export)" in told
    assert "a sample votes, so shares have 95% intervals: city, overall" in told


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        (("--statement", "0"), UserError),
        (("--group-name", "city"), UserError),
        (("--statement", "2", "--proposal", "1"), DataError),
    ],
)
def test_polis_mistakes(place, export, arguments, kind):
    ok(place, "propose", place / "draft.md")
    assert isinstance(run(place, "polis", export, *arguments).exception, kind)


def test_nothing_heavy_is_imported():
    code = (
        "import sys, charter.constitution.amending.polis, charter.cli.constitution_votes;"
        "print([name for name in ('torch', 'transformers', 'numpy', 'scipy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
