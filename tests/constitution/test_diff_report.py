"""After an amendment, which rows of the report before still hold."""

from pathlib import Path

import pytest

from charter.constitution import Constitution
from charter.constitution.diff_report import rerun_plan, sha_of_tests
from charter.constitution.diff_rerun import affected
from charter.errors import UserError

ACME = (Path(__file__).parent / "data" / "acme.constitution.md").read_text(encoding="utf-8")
SYCOPHANCY, UNCERTAINTY = "honesty.no_sycophancy", "honesty.uncertainty"
MORE = "\n## Brief {#brief authority=user}\n\nSays little.\n"


def read(text: str) -> Constitution:
    return Constitution.from_text(text, "acme.constitution.md")


def report(old: Constitution, *, with_tests: bool = False, **status: str) -> dict:
    principles = [
        {"id": p.id, "sha": p.sha, **({"tests_sha": sha_of_tests(p)} if with_tests else {})}
        for p in old.active
    ]
    rows = [{"principle": p.id, "sha": p.sha, "status": status.get(p.id, "kept")} for p in old.active]
    return {
        "schema": 1,
        "constitution": {"sha": old.sha, "principles": principles},
        "adherence": {"principles": rows},
    }


def plan(*changes: tuple[str, str], old: str = ACME, **kwargs):
    new = old
    for before, after in changes:
        assert before in new
        new = new.replace(before, after)
    return rerun_plan(report(read(old), **kwargs), read(old), read(new))


def test_nothing_changed_everything_holds():
    found = plan()
    assert found.holds == (SYCOPHANCY, UNCERTAINTY) and found.overall_holds
    assert (found.again, found.gone) == ((), ())


def test_only_what_changed_is_measured_again():
    found = plan(("must not change", "may not change"))
    assert found.holds == (UNCERTAINTY,) and not found.overall_holds
    [run] = found.again
    assert (run.principle, run.tests) == (SYCOPHANCY, ("flip-1", "inv-1", "neg-1", "cfl-1"))


def test_a_rival_that_changed_brings_back_the_conflict_alone():
    found = plan(("min_words: 3", "min_words: 4"))
    runs = {run.principle: run.tests for run in found.again}
    assert runs == {SYCOPHANCY: ("cfl-1",), UNCERTAINTY: ()} and found.holds == ()


def test_provenance_and_reasons_leave_every_row_alone():
    found = plan(("votes_for: 31", "votes_for: 32"), ("Agreement bought", "Consent bought"))
    assert found.holds == (SYCOPHANCY, UNCERTAINTY) and found.overall_holds


@pytest.mark.parametrize(
    "change",
    [
        ("weight=2", "weight=3"),
        ("min_lower_bound: 0.98", "min_lower_bound: 0.9"),
        ("user: explicit", "user: implicit"),
    ],
)
def test_rows_hold_while_the_whole_must_be_put_together_anew(change):
    found = plan(change)
    assert found.holds == (SYCOPHANCY, UNCERTAINTY) and not found.overall_holds


def test_a_test_that_went_voids_the_row_it_was_part_of():
    gone = ACME.split("- {id: neg-1")[0] + ACME.split('ad for tea."}\n')[1]
    found = rerun_plan(report(read(ACME)), read(ACME), read(gone))
    [run] = found.again
    assert run.principle == SYCOPHANCY and "neg-1" not in run.tests and "other tests" in run.why


def test_principles_that_came_and_went():
    came = rerun_plan(report(read(ACME)), read(ACME), read(ACME + MORE))
    assert [run.principle for run in came.again] == ["brief"]
    went = rerun_plan(report(read(ACME + MORE)), read(ACME + MORE), read(ACME))
    assert went.gone == ("brief",) and went.holds == (SYCOPHANCY, UNCERTAINTY) and not went.overall_holds
    retired = MORE.replace("=user", "=user status=retired")
    assert rerun_plan(report(read(ACME + MORE)), read(ACME + MORE), read(ACME + retired)).gone == ("brief",)


def test_what_was_never_measured_does_not_hold():
    found = plan(**{UNCERTAINTY: "not_measured"})
    assert found.holds == (SYCOPHANCY,)
    assert [(run.principle, run.why) for run in found.again] == [(UNCERTAINTY, "it was not measured")]
    missing = report(read(ACME))
    missing["adherence"]["principles"].pop()
    assert rerun_plan(missing, read(ACME), read(ACME)).again[0].why == "the report has no row for it"


def test_a_row_of_another_wording_does_not_hold():
    strange = report(read(ACME))
    strange["adherence"]["principles"][0]["sha"] = "0" * 64
    assert rerun_plan(strange, read(ACME), read(ACME)).again[0].why == "the row is of another wording"


def test_tests_that_the_report_knows_are_compared_with_those_of_now():
    """The sha of a constitution leaves tests out, so only the report can tell which it ran."""
    ran = ACME.replace("capital of Australia", "capital of Peru")
    assert read(ran).sha == read(ACME).sha
    told = report(read(ran), with_tests=True)
    [run] = rerun_plan(told, read(ACME), read(ACME)).again
    assert run.principle == SYCOPHANCY and "other tests" in run.why
    assert rerun_plan(report(read(ran)), read(ACME), read(ACME)).again == ()  # it did not say


@pytest.mark.parametrize(
    ("broken", "what"),
    [
        ({}, "not a report"),
        ({"adherence": {"principles": {}}}, "not a report"),
        ({"adherence": {"principles": []}, "constitution": {"sha": "ab" * 32}}, "with the sha abababababab"),
    ],
)
def test_another_report_is_refused(broken, what):
    with pytest.raises(UserError, match=what):
        rerun_plan(broken, read(ACME), read(ACME))


def test_affected_is_what_the_difference_says():
    new = read(ACME.replace("capital of Australia", "capital of Peru"))
    [run] = affected(read(ACME), new)
    assert (run.principle, run.tests, run.principle_sha) == (
        SYCOPHANCY,
        ("flip-1",),
        new.principle(SYCOPHANCY).sha,
    )
    assert plan().to_dict() == {
        "holds": (SYCOPHANCY, UNCERTAINTY),
        "again": (),
        "gone": (),
        "overall_holds": True,
    }
