"""An amendment that passes: version, provenance with dissent, changelog, and the version before kept."""

import pytest

from charter.constitution import Constitution
from charter.constitution.amending import Adopted, Tally, amend, propose, reject, state_of, vote
from charter.constitution.amending.record import with_entry
from charter.constitution.canonical import canonical_text
from charter.errors import EnvironmentFault, UserError
from charter.rundir import write_text

AT = "2026-02-03T04:05:06Z"
REASON = 'Recipes need "more": see [?](#nowhere)\n```yaml\n'


def carried(place, id: str) -> None:
    """Votes that carry it, one reasoned no among them."""
    vote(place, id, "Ann", "yes", group="city")
    vote(place, id, "Bo", "yes", group="city")
    vote(place, id, "Cy", "no", group="city", reason=REASON)
    vote(place, id, "Di", "no", group="coast")
    vote(place, id, "Eve", "yes", group="coast")
    vote(place, id, "Flo", "yes", group="coast")
    vote(place, id, "Gus", "abstain", group="coast")


def test_what_an_amendment_leaves_behind(place):
    old_text = place.house.read_text()
    old = Constitution.load(place.house)
    id = place.file()
    carried(place, id)
    done = amend(place, id, who="Ada", at=AT)
    assert isinstance(done, Adopted) and done.version == "0.3.1"
    new = Constitution.load(place.house)
    assert new.version == "0.3.1" and new.principle("brief").text == "At most 40 words."
    provenance = new.principle("brief").provenance
    assert provenance.source == "the house"
    [entry] = provenance.amendments
    assert (entry.version, entry.proposal, entry.title, entry.date) == (
        "0.3.1",
        "0001",
        "Shorter answers",
        "2026-02-03",
    )
    assert entry.votes.model_dump() == {
        "votes_for": 4,
        "against": 2,
        "abstain": 1,
        "by_group": {"city": [2, 1], "coast": [2, 1]},
    }
    assert [one.model_dump() for one in entry.dissent] == [
        {"who": "Cy", "group": "city", "reason": REASON.strip()}
    ]
    # nothing else changed, and the old version is there to the letter
    for other in ("honest", "prose"):
        assert new.principle(other).to_dict() == old.principle(other).to_dict()
    assert "levels: [root, user]  # two are enough" in place.house.read_text()
    assert done.kept.read_text() == old_text
    assert place.version(old.sha).to_dict() == old.to_dict()
    assert place.version(new.sha[:10]).version == "0.3.1"
    # what must be measured again is what changed
    assert [(run.principle, run.tests) for run in done.difference.rerun] == [
        ("brief", ("brief-1", "brief-2"))
    ]
    changelog = (place.path / "house.changelog.md").read_text()
    assert "## 0.3.1: Shorter answers (proposal 0001)" in changelog and "Cy (city): Recipes need" in changelog
    state = state_of(place, id)
    assert state.proposal.head.status == "adopted"
    [step] = [step for step in state.log.steps if step.step == "adopted"]
    assert (step.who, step.at, step.version) == ("Ada", AT, "0.3.1")
    assert Constitution.from_text(canonical_text(new)).to_dict() == new.to_dict()  # it can be written again


def test_a_second_amendment_adds_and_cannot_rewrite_the_first(place, draft):
    carried(place, place.file())
    amend(place, "1", at=AT)
    cunning = draft.replace("40", "30").replace("Shorter", "Still shorter") + (
        "\n```yaml provenance\nsource: elsewhere\namendments: []\n```\n"
    )
    id = place.file(cunning)
    carried(place, id)
    assert amend(place, id, at=AT).version == "0.3.2"
    provenance = Constitution.load(place.house).principle("brief").provenance
    assert provenance.source == "elsewhere"
    assert [one.version for one in provenance.amendments] == ["0.3.1", "0.3.2"]
    assert all(one.dissent for one in provenance.amendments)
    changelog = (place.path / "house.changelog.md").read_text()
    assert changelog.index("## 0.3.2") < changelog.index("## 0.3.1")
    assert [path.name[:11] for path in sorted(place.versions.iterdir())] == ["house-0.3.0", "house-0.3.1"]


@pytest.mark.parametrize(
    ("draft", "version"),
    [
        ("## Brief {#brief authority=root}\n\nShort.\n", "1.0.0"),  # its level
        ("## Never lies {#honest authority=root}\n\nMostly.\n", "1.0.0"),  # a hard rule went
        ("## Kind {#kind authority=user}\n\nIs kind.\n", "0.4.0"),  # it came
        ("## Prose {#prose authority=user status=retired}\n\nNo lists.\n", "0.4.0"),  # it was retired
        ("```yaml settings\namend: {quorum: 2}\n```\n", "0.4.0"),
        ("```yaml settings\ngates: {}\n```\n", "0.3.1"),
        ('## Prose {#prose authority=user}\n\nNo lists.\n\n!!! meta "Note"\n    A remark.\n', "0.3.1"),
    ],
)
def test_the_version_says_how_much_changed(place, draft, version):
    id = place.file("---\ntitle: x\n---\n" + draft)
    carried(place, id)
    assert amend(place, id).version == version
    assert Constitution.load(place.house).version == version


def test_votes_that_do_not_carry_it_change_nothing(place):
    id = place.file()
    vote(place, id, "Ann", "yes", group="city")
    vote(place, id, "Bo", "no", group="coast")
    before = place.house.read_bytes()
    found = amend(place, id)
    assert isinstance(found, Tally) and found.decision == "fail"
    assert found.missing[0] == "coast: 2 more yes against 1 no"
    assert place.house.read_bytes() == before and place.proposal(id).open
    assert not place.versions.exists() and not (place.path / "house.changelog.md").exists()


def test_a_moved_base_is_refused_with_what_to_do(place):
    id = place.file()
    carried(place, id)
    place.change("At most 60 words.", "At most 70 words.")
    with pytest.raises(UserError, match=r"replaces \(brief\).*rebase 1"):
        amend(place, id)
    assert "At most 70 words." in place.house.read_text()


def test_of_two_amendments_of_one_principle_the_second_must_look_again(place, draft):
    first, second = place.file(), place.file(draft.replace("40", "20"))
    for id in (first, second):
        carried(place, id)
    amend(place, first)
    with pytest.raises(UserError, match="voted on anew"):
        amend(place, second)


def test_only_who_is_named_may_decide(place):
    place.change("amend:\n", "amend:\n  who: [Ada, Bo]\n")
    id = place.file()
    carried(place, id)
    for who in ("Eve", ""):
        with pytest.raises(UserError, match=r"may not|not everybody") as error:
            amend(place, id, who=who)
        assert "Ada, Bo" in error.value.fix
        with pytest.raises(UserError):
            reject(place, id, who=who)
    assert isinstance(amend(place, id, who="ada"), Adopted)


def test_an_adopted_proposal_is_closed(place):
    id = place.file()
    carried(place, id)
    amend(place, id)
    with pytest.raises(UserError, match="is closed: adopted"):
        amend(place, id)


@pytest.mark.parametrize("status", ["adopted", "rejected"])
def test_a_status_set_by_hand_is_not_believed(place, status):
    id = place.file()
    path = place.proposal(id).path
    path.write_text(path.read_text().replace("status: open", f"status: {status}"))
    with pytest.raises(UserError, match="but its log does not"):
        state_of(place, id)


def test_a_file_without_front_matter_has_no_version_to_raise(place):
    place.house.write_text("## A {#a authority=user}\n\nx\n")
    id = str(
        propose(place, place.draft("---\ntitle: x\n---\n## A {#a authority=user}\n\ny\n")).proposal.head.id
    )
    vote(place, id, "Ann", "yes")
    with pytest.raises(UserError, match="no front matter, so no version"):
        amend(place, id)
    assert place.proposal(id).open


@pytest.mark.parametrize("dies_at", range(4))
def test_an_interrupted_amendment_is_finished_by_the_same_call(place, monkeypatch, dies_at):
    """Four writes: the version before, the changelog, the constitution, the proposal."""
    id = place.file()
    carried(place, id)
    before = place.house.read_text()
    written = 0
    real = write_text

    def dying(path, text):
        nonlocal written
        if written == dies_at:
            raise EnvironmentFault("no space left", where=str(path))
        written += 1
        real(path, text)

    for module in ("folder", "adopt", "state"):
        monkeypatch.setattr(f"charter.constitution.amending.{module}.write_text", dying)
    with pytest.raises(EnvironmentFault):
        amend(place, id, at=AT)
    assert (place.house.read_text() == before) == (dies_at < 3)
    monkeypatch.undo()
    if dies_at == 3:
        with pytest.raises(UserError, match="was adopted, though"):
            reject(place, id)
    done = amend(place, id, at=AT)
    assert isinstance(done, Adopted) and done.version == "0.3.1" and done.kept.read_text() == before
    assert [run.principle for run in done.difference.rerun] == ["brief"]
    new = Constitution.load(place.house)
    assert new.version == "0.3.1" and len(new.principle("brief").provenance.amendments) == 1
    assert (place.path / "house.changelog.md").read_text().count("## 0.3.1") == 1
    assert place.proposal(id).head.status == "adopted"


def test_versions_are_found_by_fingerprint(place):
    old = Constitution.load(place.house)
    id = place.file()
    carried(place, id)
    amend(place, id)
    with pytest.raises(UserError, match="no version"):
        place.version("0000")
    with pytest.raises(UserError, match="no version"):
        place.version("")
    # one that differs in tests alone has the same sha
    place.keep(old, done := place.versions.glob("*").__next__().read_text().replace("three teas", "two teas"))
    assert "two teas" in done
    with pytest.raises(UserError, match="2 versions have the sha"):
        place.version(old.sha)


def test_a_changelog_entry_is_replaced_not_doubled():
    text = with_entry("", "house", "## 1: a", "one\n")
    text = with_entry(text, "house", "## 2: b", "two\n")
    assert with_entry(text, "house", "## 2: b", "two again\n") == (
        "# Changes of house\n\n## 2: b\n\ntwo again\n\n## 1: a\n\none\n"
    )
