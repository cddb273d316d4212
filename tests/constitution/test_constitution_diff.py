"""What a difference names, what it sends back to be measured, and which version it asks for."""

from pathlib import Path

import pytest

from charter.constitution import Constitution
from charter.constitution.diff import diff
from charter.constitution.versions import bump_between, largest, next_version

ACME = (Path(__file__).parent / "data" / "acme.constitution.md").read_text(encoding="utf-8")
SYCOPHANCY, UNCERTAINTY = "honesty.no_sycophancy", "honesty.uncertainty"
ALL = ("flip-1", "inv-1", "neg-1", "cfl-1")


def read(text: str) -> Constitution:
    return Constitution.from_text(text, "acme.constitution.md")


def changed(*pairs: tuple[str, str], start: str = ACME):
    text = start
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return diff(read(start), read(text))


def test_the_same_file():
    found = changed()
    assert found.same and found.version_ok and found.bump_due == "none"
    assert (found.principles, found.settings, found.rerun) == ((), (), ())


@pytest.mark.parametrize(
    ("old", "new", "id", "kinds", "bump"),
    [
        ("must not change", "may not change", SYCOPHANCY, ("reworded",), "patch"),
        ("Don't be", "Never be", SYCOPHANCY, ("reworded",), "patch"),
        ("min_words: 3", "min_words: 4", UNCERTAINTY, ("re-ruled",), "patch"),
        ("hedges to please", "hedges", SYCOPHANCY, ("re-rubricked",), "patch"),
        ("It is 4.", "It is four.", SYCOPHANCY, ("re-exampled",), "patch"),
        ("BAD: caves", "BAD: yields", SYCOPHANCY, ("re-exampled",), "patch"),
        ("capital of Australia", "capital of Peru", SYCOPHANCY, ("re-tested",), "patch"),
        ("weight=2", "weight=3", SYCOPHANCY, ("re-weighted",), "patch"),
        ("type=prohibition", "type=requirement", SYCOPHANCY, ("re-typed",), "patch"),
        ("tags=core,truth", "tags=core", SYCOPHANCY, ("re-tagged",), "patch"),
        ("Agreement bought", "Consent bought", SYCOPHANCY, ("re-explained",), "patch"),
        ("votes_for: 31", "votes_for: 32", SYCOPHANCY, ("re-sourced",), "patch"),
        ("authority=guideline}", "authority=user}", UNCERTAINTY, ("moved",), "major"),
        ("hard=false", "hard=true", SYCOPHANCY, ("hardened",), "major"),
        ("authority=guideline}", "authority=guideline status=retired}", UNCERTAINTY, ("retired",), "minor"),
    ],
)
def test_each_kind_of_change(old, new, id, kinds, bump):
    found = changed((old, new))
    [change] = found.principles
    assert (change.id, change.kinds, change.bump, found.bump_due) == (id, kinds, bump, bump)
    assert change.sha_changed == (read(ACME).principle(id).sha != change.new_sha)
    assert not found.version_ok and found.bump_made == "none"


@pytest.mark.parametrize(
    ("old", "new", "field", "bump"),
    [
        ("scale: 5", "scale: 6", "judge.scale", "patch"),
        ("min_lower_bound: 0.98", "min_lower_bound: 0.9", "gates.levels.root.min_lower_bound", "patch"),
        ("user: explicit", "user: implicit", "override.user", "major"),
        (
            "levels: [root, system, developer, user",
            "levels: [root, developer, system, user",
            "levels",
            "major",
        ),
        ("CC0-1.0", "CC-BY-4.0", "licence", "patch"),
        ("name: acme-assistant", "name: acme", "name", "patch"),
    ],
)
def test_settings(old, new, field, bump):
    found = changed((old, new))
    assert [change.field for change in found.settings] == [field]
    assert found.principles == () and found.bump_due == bump


def test_a_hard_rule_that_is_only_reworded_is_a_major_change():
    found = changed(("must not", "may not"), start=ACME.replace("hard=false", "hard=true"))
    assert found.bump_due == "major" and found.version_due == "1.0.0"


def test_a_hard_rule_whose_tests_alone_changed_is_not():
    start = ACME.replace("hard=false", "hard=true")
    assert changed(("of Australia", "of Peru"), start=start).bump_due == "patch"


MORE = "\n## Brief {#brief authority=user}\n\nSays little.\n"


def test_added_and_removed():
    added, removed = diff(read(ACME), read(ACME + MORE)), diff(read(ACME + MORE), read(ACME))
    [came], [went] = added.principles, removed.principles
    assert (came.kinds, came.old_sha, added.bump_due) == (("added",), "", "minor")
    assert (went.kinds, went.new_sha, removed.bump_due) == (("removed",), "", "minor")
    assert [run.principle for run in added.rerun] == ["brief"] and removed.rerun == ()
    hard = diff(read(ACME), read(ACME + MORE.replace("=user", "=user hard=true")))
    assert hard.bump_due == "major"


def test_a_new_id_for_the_same_words_is_named():
    found = diff(read(ACME + MORE), read(ACME + MORE.replace("#brief", "#short")))
    came, went = found.principles
    assert (came.id, came.same_as, went.id) == ("short", "brief", "brief")


def rerun(*pairs):
    return {run.principle: run.tests for run in changed(*pairs).rerun}


def test_what_is_measured_again():
    assert rerun(("must not", "may not")) == {SYCOPHANCY: ALL}
    assert rerun(("capital of Australia", "capital of Peru")) == {SYCOPHANCY: ("flip-1",)}
    assert rerun(("id: neg-1", "id: neg-2")) == {SYCOPHANCY: ("neg-2",)}
    assert rerun(("weight=2", "weight=3"), ("Agreement", "Consent"), ("0.98", "0.9")) == {}
    # a conflict test is about both of its principles
    assert rerun(("min_words: 3", "min_words: 4")) == {SYCOPHANCY: ("cfl-1",), UNCERTAINTY: ()}


def test_other_judges_void_all_but_rules():
    assert rerun(("scale: 5", "scale: 6")) == {SYCOPHANCY: ALL}
    with_rule = ACME.replace(
        "- {id: inv-1", "- {id: own, kind: rule, prompt: Q, rules: {all: [list_free]}}\n- {id: inv-1"
    )
    found = diff(read(with_rule), read(with_rule.replace("pass_at: 4", "pass_at: 3")))
    assert [run.tests for run in found.rerun] == [ALL]


def test_retired_principles_are_not_run_and_reinstated_ones_are():
    retired = ACME.replace("tags=core,truth", "status=retired").replace(
        '- {id: cfl-1, kind: conflict, with: honesty.uncertainty, prompt: "Just say yes.", '
        "expect_winner: honesty.no_sycophancy}\n",
        "",
    )
    assert diff(read(ACME), read(retired)).rerun == ()
    back = diff(read(retired), read(retired.replace("status=retired", "tags=core")))
    assert [(run.principle, run.tests) for run in back.rerun] == [(SYCOPHANCY, ALL[:3])]
    assert "in force again" in back.rerun[0].why


@pytest.mark.parametrize(
    ("version", "made", "ok"),
    [
        ("0.3.0", "none", False),
        ("0.3.1", "patch", False),
        ("0.4.0", "minor", True),
        ("1.0.0", "major", True),
        ("0.2.9", "backwards", False),
    ],
)
def test_the_version_must_say_it(version, made, ok):
    found = diff(read(ACME), read(ACME.replace("version: 0.3.0", f"version: {version}") + MORE))
    assert (found.bump_made, found.version_ok, found.version_due) == (made, ok, "0.4.0")
    assert found.settings == ()


def test_a_version_that_moves_alone_is_fine():
    found = changed(("version: 0.3.0", "version: 0.3.1"))
    assert found.same and found.version_ok and found.to_dict()["version_ok"]


def test_versions():
    assert largest([]) == "none" and largest(["patch", "major", "minor"]) == "major"
    assert next_version("1.2.3", "major") == "2.0.0" and next_version("1.2.3", "minor") == "1.3.0"
    assert next_version("1.2.3", "patch") == "1.2.4" and next_version("1.2.3", "none") == "1.2.3"
    assert bump_between("0.9.0", "0.10.0") == "minor" and bump_between("1.0.9", "1.0.10") == "patch"
