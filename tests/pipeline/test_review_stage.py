"""The pipeline waits for named people; what they say is kept, and void once the content changed."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from charter.cli import main as cli
from charter.errors import CharterError, ConfigError, UserError
from charter.pipeline.preflight import preflight
from charter.pipeline.recipe import Recipe
from charter.pipeline.review_log import FILE, read_reviews
from charter.pipeline.reviews import all_asked, content_sha, decide, standing
from charter.pipeline.runner import run_recipe
from charter.pipeline.stages import review
from charter.rundir import RunDir

RECIPE = """name: tiny
model: model
constitution: house.constitution.md
threads: 1
stages:
  - sample: {prompts: train.jsonl, num_generations: 4, max_completion_length: 8, temperature: 1.0}
  - judge: {}
  - compare: {}
  - review: {by: [Ada, ben], what: [pairs]}
  - evaluate: {prompts: heldout.jsonl, max_completion_length: 8}
  - report: {}
"""


def run(recipe: Path) -> dict[str, Any]:
    return run_recipe(Recipe.load(recipe), recipe.parent / "run")


def with_stages(recipe: Path, text: str = RECIPE) -> Path:
    recipe.write_text(text, "utf-8")
    return recipe


def command(
    *words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> tuple[int, str]:
    monkeypatch.setattr("sys.argv", ["charter", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out + said.err


def test_a_run_waits_goes_on_and_tells_the_report(
    recipe: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = recipe.parent / "run"
    found = run(with_stages(recipe))
    assert found["exit_code"] == 6 and "evaluate" not in found["stages"]
    assert RunDir(root).manifest().get("finished") is not True
    said = capsys.readouterr().err
    assert f"charter review {root} --as NAME --approve" in said and "pairs.jsonl" in said
    told: dict[str, Any] = {"capsys": capsys, "monkeypatch": monkeypatch}
    code, said = command("review", str(root), **told)
    assert code == 0 and "open, 0 of 2 approvals needed" in said and "not heard: Ada, ben" in said
    code, said = command("review", str(root), "--as", "cy", "--approve", **told)
    assert code == 2 and "'cy' is not asked" in said
    assert command("review", str(root), "--as", "ADA ", "--approve", **told)[0] == 0
    assert run(recipe)["exit_code"] == 6
    code, said = command("review", str(root), "--as", "ben", "--refuse", "--reason", "too few", **told)
    assert "ben refused on" in said and ": too few" in said
    refused = run(recipe)
    assert refused["exit_code"] == 1 and "evaluate" not in refused["stages"]
    command("review", str(root), "--as", "ben", "--approve", **told)
    done = run(recipe)
    assert "report" in done["stages"] and done["stages"]["compare"]["skipped"]
    (shown,) = json.loads((root / "report.json").read_text("utf-8"))["reviews"]
    assert (shown["state"], shown["approved"], shown["missing"]) == ("approved", ["Ada", "ben"], [])
    assert [(one["who"], one["decision"], one["void"]) for one in shown["reviews"]] == [
        ("Ada", "approve", ""),
        ("ben", "refuse", "followed by a later word"),
        ("ben", "approve", ""),
    ]
    assert len(read_reviews(root)) == 3  # only ever added
    # Somebody edits what was signed off: nobody has seen that.
    pairs = root / "stages" / "3-compare" / "pairs.jsonl"
    pairs.write_text(pairs.read_text("utf-8") + "\n", "utf-8")
    capsys.readouterr()
    again = run(recipe)
    assert again["exit_code"] == 6
    assert (
        "the word of Ada (approve) does not count any more: changed since: pairs" in capsys.readouterr().err
    )


def test_a_report_is_signed_off_and_says_so(recipe: Path) -> None:
    after = "  - report: {}\n  - review: {by: [eve], what: [report, evaluation]}\n"
    text = RECIPE.replace("  - review: {by: [Ada, ben], what: [pairs]}\n", "").replace(
        "  - report: {}\n", after
    )
    root = recipe.parent / "run"
    assert run(with_stages(recipe, text))["exit_code"] == 6
    assert json.loads((root / "report.json").read_text("utf-8"))["reviews"] == []  # nobody was asked yet
    decide(root, "eve", "approve", "I read all of it")
    done = run(recipe)
    assert done["exit_code"] != 6 and done["stages"]["review"]["review"]["state"] == "approved"
    (shown,) = json.loads((root / "report.json").read_text("utf-8"))["reviews"]
    assert shown["reviews"][0]["reason"] == "I read all of it" and shown["state"] == "approved"


def asked_run(tmp_path: Path, **options: Any) -> tuple[Path, Any]:
    """A review stage alone, of a file of pairs."""
    root = RunDir(tmp_path / "run")
    pairs = root.stage(1, "compare")
    (pairs / "pairs.jsonl").write_text("one\n", "utf-8")
    context = SimpleNamespace(
        run=root,
        directory=root.stage(2, "review"),
        folders={"compare": pairs},
        started=time.monotonic(),
        finish=dict,
    )
    given = {"by": ["ada", "ben", "cy"], "what": ["pairs"], **options}
    from charter.config import validate
    from charter.pipeline.review_options import ReviewStage

    stage = validate(ReviewStage, given, where="here")
    return root.path, lambda: review.run(context, stage)  # type: ignore[arg-type]


def test_dissent_is_kept_and_does_not_end_what_enough_approve(tmp_path: Path) -> None:
    root, go = asked_run(tmp_path, needs=2)
    assert go()["exit_code"] == 6
    decide(root, "ada", "refuse", "they are all alike")
    assert go()["exit_code"] == 6  # ben and cy can still approve
    decide(root, "ben", "approve")
    decide(root, "cy", "approve")
    found = go()
    assert "exit_code" not in found and found["review"]["state"] == "approved"
    assert found["review"]["dissent"] == [{"who": "ada", "reason": "they are all alike"}]


def test_two_refusals_of_three_leave_too_few(tmp_path: Path) -> None:
    root, go = asked_run(tmp_path, needs=2)
    go()
    assert decide(root, "ada", "refuse").state == "open"
    assert decide(root, "ben", "refuse").state == "refused"
    assert go()["exit_code"] == 1


def test_changed_content_is_not_signed_off_unseen(tmp_path: Path) -> None:
    root, go = asked_run(tmp_path, by=["ada"])
    go()
    pairs = root / "stages" / "1-compare" / "pairs.jsonl"
    pairs.write_text("two\n", "utf-8")
    with pytest.raises(UserError, match="pairs was changed since the run stopped here"):
        decide(root, "ada", "approve")
    assert go()["exit_code"] == 6
    assert decide(root, "ada", "approve").state == "approved"
    pairs.write_text("three\n", "utf-8")
    found = go()
    assert found["exit_code"] == 6
    assert found["review"]["reviews"][0]["void"] == "changed since: pairs"
    pairs.write_text("two\n", "utf-8")  # what she saw is there again
    assert go()["review"]["state"] == "approved"


def test_it_waits_for_minutes(tmp_path: Path) -> None:
    root, go = asked_run(tmp_path, by=["ada"], minutes=1.0)

    def later() -> None:
        while not list((root / "stages").glob("*-review/asked.json")):
            time.sleep(0.02)
        decide(root, "ada", "approve")

    person = threading.Thread(target=later)
    person.start()
    began = time.monotonic()
    assert go()["review"]["state"] == "approved" and time.monotonic() - began < 30
    person.join()


def test_many_people_at_once_lose_no_word(tmp_path: Path) -> None:
    people = [f"p{n}" for n in range(12)]
    root, go = asked_run(tmp_path, by=people)
    go()
    threads = [threading.Thread(target=decide, args=(root, name, "approve")) for name in people]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(read_reviews(root)) == 12 and "exit_code" not in go()


def test_a_damaged_log_is_named_and_nothing_is_written_behind_it(tmp_path: Path) -> None:
    root, go = asked_run(tmp_path, by=["ada"])
    go()
    decide(root, "ada", "refuse")
    log = root / FILE
    log.write_text(log.read_text("utf-8") + '{"who": "ad', "utf-8")
    before = log.read_bytes()
    with pytest.raises(UserError, match=r"reviews\.jsonl:2.*damaged line"):
        decide(root, "ada", "approve")
    assert log.read_bytes() == before


def test_a_report_is_the_same_content_when_it_is_written_again(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(json.dumps({"schema": 1, "adherence": {"a": 1}, "created": "x", "reviews": []}), "utf-8")
    first = content_sha(path)
    path.write_text(json.dumps({"schema": 1, "adherence": {"a": 1}, "created": "y", "reviews": [1]}), "utf-8")
    assert content_sha(path) == first
    path.write_text(json.dumps({"schema": 1, "adherence": {"a": 2}, "created": "y"}), "utf-8")
    assert content_sha(path) != first


def test_what_an_earlier_recipe_asked_is_taken_back(tmp_path: Path) -> None:
    from charter.pipeline.reviews import forget_all_but

    root, go = asked_run(tmp_path)
    go()
    assert [one.stage for one in all_asked(root)] == ["2-review"]
    assert standing(root, all_asked(root)[0]).missing == ["ada", "ben", "cy"]
    forget_all_but(root, {"5-review"})
    assert all_asked(root) == []
    with pytest.raises(UserError, match="no review is asked here"):
        decide(root, "ada", "approve")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("by: [Ada, ben]", "by: []", "by"),
        ("by: [Ada, ben]", "by: [Ada, ada]", "named twice"),
        ("by: [Ada, ben]", "by: [Ada], needs: 2", "more than are asked"),
        ("what: [pairs]", "what: [pair]", "what"),
        ("what: [pairs]", "what: [pairs], minuts: 3", "did you mean 'minutes'"),
    ],
)
def test_a_review_with_a_mistake_is_refused(recipe: Path, old: str, new: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Recipe.load(with_stages(recipe, RECIPE.replace(old, new)))


def test_a_review_of_what_is_not_there_is_found_before_a_model_loads(recipe: Path) -> None:
    for what, made_by in (("evaluation", "evaluate"), ("report", "report")):
        with pytest.raises(CharterError, match=f"there is no {what} to review: no {made_by} stage before it"):
            preflight(Recipe.load(with_stages(recipe, RECIPE.replace("[pairs]", f"[{what}]"))))
    twice = RECIPE.replace(
        "  - report: {}\n", "  - report: {}\n  - review: {by: [ada], what: [report, evaluation]}\n"
    )
    preflight(Recipe.load(with_stages(recipe, twice)))


def test_commands_that_say_too_little(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: dict[str, Any] = {"capsys": capsys, "monkeypatch": monkeypatch}
    root, go = asked_run(tmp_path, by=["ada"])
    go()
    capsys.readouterr()
    for words, said in (
        (["--as", "ada"], "neither --approve nor --refuse"),
        (["--approve"], "it is not said who"),
        (["--as", "ada", "--approve", "--refuse"], "at once"),
        (["--as", "ada", "--approve", "--stage", "7"], "no review at stage '7'"),
    ):
        code, out = command("review", str(root), *words, **told)
        assert code == 2 and said in out
    code, out = command("review", str(root / "none"), **told)
    assert code == 2 and "no such run directory" in out
    code, out = command("review", str(root), "--as", "ada", "--approve", "--json", **told)
    assert code == 0 and json.loads(out)[0]["state"] == "approved"
    code, out = command("review", str(root), "--as", "ada", "--refuse", **told)
    assert code == 2 and "every review here is approved" in out
    assert command("review", str(root), "--as", "ada", "--refuse", "--stage", "2", **told)[0] == 0
