"""The constitutional study: what counts as a result, what a page may say, and arms on a tiny model."""

from __future__ import annotations

import copy
import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from charter.constitution import Constitution
from charter.data.formats import load_groups
from charter.errors import Interrupted
from charter.interrupt import StopRequest
from charter.pipeline.attempts import FILE as ATTEMPTS
from charter.rundir import read_json, read_jsonl, write_json
from charter.testing import save_tiny

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = ROOT / "benchmarks"


@pytest.fixture(scope="module")
def code():
    sys.path.insert(0, str(BENCHMARKS))
    import constitutional_arms
    import constitutional_cost
    import constitutional_judged
    import constitutional_page
    import constitutional_results
    import constitutional_run
    import constitutional_study

    yield SimpleNamespace(
        arms=constitutional_arms,
        cost=constitutional_cost,
        judged=constitutional_judged,
        page=constitutional_page,
        results=constitutional_results,
        run=constitutional_run,
        study=constitutional_study,
    )
    sys.path.remove(str(BENCHMARKS))


# -- commands -----------------------------------------------------------------


@pytest.fixture
def ends(code, monkeypatch):
    """Commands end with the given code, and leave the given files."""

    def plan(*codes, leaves=()):
        left = iter(codes)

        def ended(command, log, stop):
            log.touch()
            for path, value in leaves:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_json(path, value)
            return next(left)

        monkeypatch.setattr(code.run, "_code", ended)

    return plan


def command(code, folder, *words):
    return code.arms.Command(words or ("evaluate", "m"), folder / "report.json")


@pytest.mark.parametrize("number", [0, 1, 6])
def test_a_gate_that_failed_is_a_result(code, ends, tmp_path, number):
    ends(number, leaves=[(tmp_path / "report.json", {})])
    code.run.run_command(command(code, tmp_path), tmp_path / "log.txt", StopRequest())


@pytest.mark.parametrize("number", [0, 1, 6])
def test_a_crash_is_none_whatever_it_ends_with(code, ends, tmp_path, number):
    """Python ends with 1 as well, and an older report is no result of this command."""
    write_json(tmp_path / "report.json", {"old": True})
    ends(number)
    with pytest.raises(code.run.Failed, match=rf"exit code {number} and left no new report.json"):
        code.run.run_command(command(code, tmp_path), tmp_path / "log.txt", StopRequest())


def test_only_what_measures_may_end_with_1(code, ends, tmp_path):
    for words in (("distil-judge", "law"), ("constitution", "import", "x")):
        ends(1, leaves=[(tmp_path / "report.json", {})])
        with pytest.raises(code.run.Failed, match=r"exit code 1$"):
            code.run.run_command(command(code, tmp_path, *words), tmp_path / "log.txt", StopRequest())
    for words in (("run", "r"), ("judge-card", "j"), ("constitution", "lint", "x")):
        assert command(code, tmp_path, *words).codes == (0, 1, 6)


def arm(code, *commands, notes=()):
    return code.arms.Arm(tuple(commands), tuple(notes))


def test_one_failing_arm_stops_no_other_and_the_page_says_which(code, ends, tmp_path, monkeypatch, capsys):
    cache = tmp_path / "cache"

    def arm_of(name, folder, model, judges):
        return arm(code, command(code, folder, "run", name))

    def ended(one, log, stop):
        log.touch()
        if one.words[1] == "prompted":
            return 1  # as Python does where it fails
        write_json(one.makes, REPORT)
        return 0

    monkeypatch.setattr(code.study, "arm_of", arm_of)
    monkeypatch.setattr(code.run, "_code", ended)
    monkeypatch.setattr(code.study, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["study", "--cache", str(cache)])
    assert code.study.main() == 1
    text = (tmp_path / "docs" / "results" / "constitutional.md").read_text("utf-8")
    assert (
        "Without a result:\n\n- prompted: `charter run` ended with exit code 1 and left no new report.json"
        in text
    )
    assert "urial" in text and not (cache / "prompted" / "cost.json").exists()
    written = read_json(tmp_path / "benchmarks" / "results" / "constitutional_study.json")
    assert set(written["missing"]) == {"prompted"} and set(written["arms"]) == {*code.page.ARMS} - {
        "prompted"
    }
    # The next time only what is missing runs, and what went wrong is forgotten.
    monkeypatch.setattr(code.run, "_code", lambda one, log, stop: write_json(one.makes, REPORT) or 0)
    assert code.study.main() == 0
    assert not (cache / "prompted" / "failed.json").exists()
    assert read_json(cache / "prompted" / "cost.json")["attempts"] == 2
    assert "attempts" not in read_json(cache / "urial" / "cost.json")


def test_one_arm_alone_goes_on_or_is_measured_again(code, tmp_path, monkeypatch, capsys):
    cache, found = tmp_path / "cache", []

    def ended(one, log, stop):
        found.append(sorted(path.name for path in one.makes.parent.iterdir()))
        log.touch()
        write_json(one.makes, REPORT)
        return 0

    monkeypatch.setattr(code.study, "arm_of", lambda name, folder, *_: arm(code, command(code, folder)))
    monkeypatch.setattr(code.run, "_code", ended)
    monkeypatch.setattr(code.study, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["study", "--only", "urial", "--cache", str(cache)])
    write_json_in(cache / "urial", "kept.json", {})
    for _ in range(2):
        assert code.study.main() == 1  # the others are missing
    assert found == [["attempts.json", "kept.json"], ["attempts.json"]]


def test_revisions_that_no_filter_keeps_are_a_result(code, ends, tmp_path, capsys):
    summary = tmp_path / "stages" / "1-revise" / "summary.json"
    made = {"counts": {"prompts": 200, "no better by the rules": 181, "rows": 0}, "line": "200 prompts"}
    one = command(code, tmp_path, "run", "constitutional-ai.yaml")
    ends(2, leaves=[(summary, made)])
    assert code.run.run_arm("constitutional-ai", lambda: arm(code, one), tmp_path, "m", StopRequest())
    cost = read_json(tmp_path / "cost.json")
    assert cost["outcome"]["counts"] == made["counts"]
    found = code.results.read_arm(tmp_path)
    text = code.page.page({"constitutional-ai": found}, {})
    assert (
        "not trained, because no revision was better by the rules than the answer it revised (200 prompts)"
        in text
    )
    # Anything else that stops the arm is none.
    for name, counts in (("constitutional-ai", {"rows": 3}), ("rules-dpo", {"rows": 0})):
        folder = tmp_path / name
        ends(2, leaves=[(folder / "stages" / "1-revise" / "summary.json", {**made, "counts": counts})])
        failing = arm(code, command(code, folder, "run", "x"))
        assert not code.run.run_arm(name, lambda made=failing: made, folder, "m", StopRequest())
        assert code.run.failure_of(folder) == "`charter run` ended with exit code 2"


def test_an_older_summary_is_no_result_of_this_attempt(code, ends, tmp_path, capsys):
    (tmp_path / "stages" / "1-revise").mkdir(parents=True)
    write_json(code.arms.revisions_file(tmp_path), {"counts": {"rows": 0}, "line": "of another time"})
    ends(2)
    one = arm(code, command(code, tmp_path, "run", "x"))
    assert not code.run.run_arm("constitutional-ai", lambda: one, tmp_path, "m", StopRequest())


def test_a_mistake_in_making_an_arm_is_that_arms_failure(code, tmp_path, capsys):
    def broken():
        raise ValueError("no such level")

    assert not code.run.run_arm("assistant", broken, tmp_path, "m", StopRequest())
    assert code.run.failure_of(tmp_path) == "ValueError: no such level"


def test_a_stopped_arm_is_timed_and_no_failure(code, tmp_path, monkeypatch):
    stop = StopRequest()

    def stopped(one, log, stop):
        stop.signum = signal.SIGTERM
        return 143

    monkeypatch.setattr(code.run, "_code", stopped)
    with pytest.raises(Interrupted) as raised:
        code.run.run_arm("urial", lambda: arm(code, command(code, tmp_path)), tmp_path, "m", stop)
    assert raised.value.code == 143
    assert read_json(tmp_path / ATTEMPTS)["ended"] == 1
    assert not (tmp_path / "failed.json").exists() and not (tmp_path / "cost.json").exists()


def test_a_real_command_writes_its_file_and_a_signal_reaches_it(code, tmp_path):
    told = tmp_path / "told.txt"
    version = code.arms.Command(("--version",), told, told)
    code.run.run_command(version, tmp_path / "log.txt", StopRequest())
    assert told.read_text().startswith("charter ")
    wrong = code.arms.Command(("constitution", "show", "nowhere.md"), told)
    with pytest.raises(code.run.Failed, match="exit code 2"):
        code.run.run_command(wrong, tmp_path / "log.txt", StopRequest())
    assert "no such file" in (tmp_path / "log.txt").read_text()


def test_a_signal_to_the_study_stops_it_and_its_command(tmp_path):
    """A group of its own, so that only the study gets the signal and has to pass it on."""
    script = (
        f"import sys; sys.path.insert(0, {str(BENCHMARKS)!r})\n"
        "import constitutional_run as run\nfrom constitutional_arms import Command\n"
        "from pathlib import Path\n"
        "from charter.errors import Interrupted\nfrom charter.interrupt import graceful\n"
        f"folder = Path({str(tmp_path)!r})\n"
        "real = run.subprocess.Popen\n"
        "wait = 'import time; open(%r, \"w\").close(); time.sleep(60)' % str(folder / 'begun')\n"
        "run.subprocess.Popen = lambda words, **more: real([sys.executable, '-c', wait], **more)\n"
        "with graceful() as stop:\n"
        "    try:\n        run.run_command(Command(('x',), folder / 'made'), folder / 'log.txt', stop)\n"
        "    except Interrupted as stopped:\n        sys.exit(stopped.code)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], start_new_session=True)
    deadline = time.monotonic() + 60
    while not (tmp_path / "begun").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(30) == 143


# -- what arms run ------------------------------------------------------------


def test_every_arm_uses_the_model_that_is_named(code, tmp_path):
    for name in code.page.ARMS:
        said = code.arms.arm_of(name, tmp_path / name, "other-model")
        text = " ".join(word for one in said.commands for word in one.words)
        recipes = [Path(word) for word in text.split() if word.endswith(".yaml")]
        text += "".join(path.read_text("utf-8") for path in recipes)
        assert "other-model" in text and "smollm2-135m" not in text, name


def test_the_shipped_recipe_is_used_as_it_is_where_it_can_be(code, tmp_path):
    for name, recipe in code.arms.RUNS.items():
        if name == code.arms.SELF:
            continue
        [one] = code.arms.arm_of(name, tmp_path, "smollm2-135m").commands
        assert one.words[:2] == ("run", str(code.arms.RECIPES / recipe))
        assert one.typed.startswith(f"charter run recipes/{recipe} ")


def test_a_recipe_for_another_model_is_valid_and_differs_in_nothing_else(code, tmp_path):
    from charter.pipeline.recipe import Recipe

    model = str(save_tiny(str(tmp_path / "model")))
    for name, recipe in code.arms.RUNS.items():
        copied = Recipe.load(code.arms.recipe_for(name, tmp_path, model))
        shipped = Recipe.load(code.arms.RECIPES / recipe)
        assert copied.model_source() == model
        assert [kind for kind, _ in copied.stages] == [kind for kind, _ in shipped.stages]
        assert copied.file(copied.head.constitution).samefile(shipped.file(shipped.head.constitution))
        for (_, one), (_, other) in zip(copied.stages, shipped.stages, strict=True):
            for key, value in one.model_dump().items():
                was = getattr(other, key)
                if key in ("prompts", "unrelated") and was:
                    assert copied.file(value).samefile(shipped.file(was))
                elif name == code.arms.SELF and key in code.arms.SELF_CRITIQUE:
                    assert (value, was) in ((None, "rules"), (2, 4), (True, False), (96, 192))
                else:
                    assert value == was


def test_a_panel_that_cannot_sit_is_made_smaller_and_said(code, tmp_path):
    said = code.arms.arm_of("assistant", tmp_path / "one", "m")
    law = Path(said.commands[0].words[1])
    copy_of, shipped = Constitution.load(law), Constitution.load("assistant")
    assert shipped.judge.panel_min == 2 and copy_of.judge.panel_min == 1
    assert [one.sha for one in copy_of.principles] == [one.sha for one in shipped.principles]
    [note] = said.notes
    assert "asks for a panel of 2 judges and 1 was at hand" in note and "panel_min: 1" in note
    assert all(str(law) in one.words for one in said.commands)


def test_two_judges_sit_as_the_constitution_wants(code, tmp_path):
    other = "endpoint:m@https://host/v1"
    made, asked = code.arms.arm_of("assistant", tmp_path, "m", [other]).commands
    assert Constitution.load(made.words[1]).sha == Constitution.load("assistant").sha
    judges = [asked.words[i + 1] for i, word in enumerate(asked.words) if word == "--judge"]
    assert judges == [str(tmp_path / "judge"), other]


def test_a_front_matter_that_says_it_otherwise_is_not_guessed_at(code, tmp_path):
    law = tmp_path / "x.constitution.md"
    law.write_text("---\nname: x\njudge:\n  panel_min:   2\n---\n## A {#a authority=user}\nDo.\n")
    with pytest.raises(ValueError, match="panel_min: 2"):
        code.arms.law_for(law, tmp_path / "made", 1)


@pytest.fixture(scope="module")
def spec(code, tmp_path_factory):
    """The Model Spec, imported and linted by the study's own commands."""
    folder = tmp_path_factory.mktemp("spec")
    law = folder / "model-spec.constitution.md"
    for one in code.arms.imported(law, folder):
        code.run.run_command(one, folder / "log.txt", StopRequest())
    return folder, law


def test_what_the_import_leaves_out_reaches_the_page(code, spec):
    folder, _ = spec
    found = read_json(folder / "import.json")
    assert found["counts"]["headings"] == 80 and found["counts"]["internal links"] == 110
    dangling = [one for one in found["left_out"] if "no file for the footnote" in one["what"]]
    assert len(dangling) == found["counts"]["footnotes without a file"] == 4
    row = {"status": "not_measured", "why": "Nobody.", "principle": "a", "judge": None}
    result = {
        "adherence": {"principles": [row]},
        "cost": {"seconds": 60.0, "notes": ["something"]},
        "lint": read_json(folder / "lint.json"),
        "import": found,
    }
    text = code.judged.unmeasured({"model-spec": ("the Model Spec", result)})
    assert all(one["what"] in text for one in dangling)
    assert "model_spec.md:" in text and "4: no file for the footnote" in text
    assert "The linter: " in text and "no-test 17" in text and "Note: something." in text


def test_the_sample_of_tests_is_small_the_same_and_asks_whole_conversations(code, spec, tmp_path):
    _, law = spec
    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    for path in (one, two):
        code.arms.write_tests(law, path)
    assert one.read_bytes() == two.read_bytes()
    constitution, rows = Constitution.load(law), read_jsonl(one)
    by = {}
    for row in rows:
        principle, _, test = row["id"].rpartition("/")
        by.setdefault(principle, []).append(test)
        [case] = [case for case in constitution.principle(principle).tests if case.id == test]
        turns = case.config.conversations()[0]
        assert [turn["content"] for turn in row["prompt"]] == [turn.content for turn in turns]
        assert row["tests_of"] == [principle]
    asks = {
        one.id: sum(case.conversations()[0][-1].role in ("user", "tool") for case in one.tests)
        for one in constitution.active
    }
    assert {id: len(tests) for id, tests in by.items()} == {id: min(2, n) for id, n in asks.items() if n}
    assert len(by) > 40
    assert any(len(row["prompt"]) > 1 for row in rows)
    assert all(group.meta["tests_of"] for group in load_groups(str(one), "prompts").groups)


# -- the page -----------------------------------------------------------------


def rate(value):
    return {"rate": value, "lo": value - 0.1, "hi": value + 0.1}


def principle(id, diff, status, evidence=None, why=""):
    change = (
        None
        if diff is None
        else {"diff": diff, "lo": diff - 0.1, "hi": diff + 0.1, "p": 0.01, "p_holm": 0.02}
    )
    return {
        "principle": id,
        "before": None if diff is None else rate(0.5),
        "after": None if status == "not_measured" else rate(0.5 + (diff or 0)),
        "change": change,
        "status": status,
        "why": why,
        "n_prompts": 20,
        "judge": None if evidence is None else {"evidence": evidence},
    }


MEASURED = [
    principle("up", 0.2, "rose"),
    principle("down", -0.2, "fell"),
    principle("same", 0.1, "kept"),
    principle("gone", None, "not_measured", why="It applied to no held-out prompt."),
]
REPORT = {
    "adherence": {
        "overall": {"before": rate(0.4), "after": rate(0.5), "change": MEASURED[0]["change"]},
        "principles": MEASURED,
        "coverage": {"prompts": 145, "base_only": 0, "aligned_only": 0},
    },
    "health": [{"measure": "words", "label": "words", "unit": "", "before": 50.0, "after": 40.0}],
    "flags": ["too short"],
    "stages": [
        {"name": "train imitate", "seconds": 11.0, "summary": "16 of 16 steps", "skipped": False},
        {"name": "train prefer", "seconds": 22.0, "summary": "16 of 16 steps", "skipped": False},
    ],
}
COST = {
    "seconds": 600.0,
    "commands": ["charter x"],
    "notes": [],
    "outcome": None,
    "model": "smollm2-135m",
    "machine": {"cpu": "a cpu", "cores": 2},
}


def result(**more):
    return copy.deepcopy({**REPORT, "cost": COST, "lint": None, "import": None, "revisions": None, **more})


def test_what_is_bold_and_why(code):
    text = code.page.page({"urial": result()}, {})
    rows = {line.split("`")[1]: line for line in text.splitlines() if line.startswith("| `")}
    assert "**+20" in rows["up"] and "**-20" in rows["down"] and "**" not in rows["same"]
    assert "not measured" in rows["gone"]
    assert "a rise after Holm's correction within its column, a fall\nwithout any correction" in text
    assert "the 4\nprinciples" in text and "145 held-out prompts" in text


def test_stages_of_one_kind_and_attempts_are_told_apart(code):
    cost = {**COST, "attempts": 3, "untimed_attempts": 1}
    text = code.page.page({"constitutional-ai": result(cost=cost)}, {})
    assert "train imitate 11, train prefer 22" in text
    assert "10 (in 3 attempts, 1 of them killed and not timed)" in text


def test_a_model_before_that_differs_between_ways_is_said(code):
    other = result()
    other["adherence"]["overall"]["before"] = rate(0.41)
    assert "differ by up to 1.0 points" in code.page.page({"prompted": result(), "urial": other}, {})
    assert "rates differ" not in code.page.page({"prompted": result(), "urial": result()}, {})


def test_verdicts_of_a_judge_that_nothing_calibrates_are_no_measurement(code):
    rows = [
        principle("a", None, "measured", "exact"),
        principle("b", None, "measured", "calibrated"),
        principle("c", None, "measured", "uncalibrated"),
        principle("d", None, "not_measured", "refused", "The judge failed its card: it says yes to all."),
        principle("e", None, "not_measured", "refused", "The judge failed its card: it says yes to all."),
    ]
    found = result(adherence={"principles": rows})
    text = code.page.page({"assistant": found}, {})
    assert (
        "Of 5 principles 2 have a rate that may be claimed: 1 by rules, 1 by a judge whose errors are known."
        in text
    )
    assert "1 more have verdicts of a judge of which nobody knows how often it errs" in text
    assert "2 have no number." in text and "- 2: The judge failed its card: it says yes to all." in text


def test_what_a_person_wrote_is_kept_when_the_page_is_made_again(code, tmp_path, capsys):
    findings = tmp_path / "findings.md"
    findings.write_text("- **URIAL wins.** So it seems.\n")
    cache = tmp_path / "cache"
    write_json_in(cache / "urial", "cost.json", COST)
    write_json_in(cache / "urial", "report.json", REPORT)
    for _ in range(2):
        assert code.results.write_results(cache, tmp_path / "root", findings) == 1
        page = (tmp_path / "root" / "docs" / "results" / "constitutional.md").read_text("utf-8")
        assert "## What it shows\n\n- **URIAL wins.** So it seems.\n" in page
        assert "- assistant: it was not begun" in page


def write_json_in(folder, name, value):
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / name, value)


def test_no_path_of_this_machine_is_published(code, tmp_path):
    judge = {"name": f"{ROOT}/runs/judge (per_principle)"}
    write_json_in(tmp_path, "cost.json", COST)
    write_json_in(tmp_path, "report.json", {**REPORT, "judge": judge})
    write_json_in(tmp_path, "import.json", {"left_out": [{"where": f"{ROOT}/tests/x.md:3", "what": "x"}]})
    found = code.results.read_arm(tmp_path)
    assert str(ROOT) not in json.dumps(found)
    assert found["judge"]["name"] == "runs/judge (per_principle)"
    assert found["import"]["left_out"][0]["where"] == "tests/x.md:3"


def test_a_report_without_adherence_is_no_result(code, tmp_path):
    write_json_in(tmp_path / "urial", "cost.json", COST)
    assert code.results.read_arm(tmp_path / "urial") == "its report holds no adherence"
    write_json_in(tmp_path / "urial", "report.json", {"adherence": None})
    assert code.results.read_arm(tmp_path / "urial") == "its report holds no adherence"


# -- costs --------------------------------------------------------------------


def test_the_whole_takes_at_most_an_hour(code, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["study", "--plan"])
    assert code.study.main() == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:8]] == list(code.page.ARMS)
    [whole] = [line for line in lines if line.startswith("in all")]
    assert 10 < float(whole.split()[-1]) < 60


def test_costs_follow_the_recipes(code):
    dpo = code.cost.cost_of("rules-dpo")
    stages = yaml.safe_load((code.arms.RECIPES / "quickstart.yaml").read_text("utf-8"))["stages"]
    prompts = len(read_jsonl(code.arms.RECIPES / stages[0]["sample"]["prompts"]))
    held = len(read_jsonl(code.arms.HELD_OUT))
    sampled = prompts * stages[0]["sample"]["num_generations"] * stages[0]["sample"]["max_completion_length"]
    assert dpo.sampled == sampled + 2 * held * 128
    steps = next(one["train"] for one in stages if "train" in one)["max_steps"]
    assert dpo.trained == 2 * steps * 8 * (128 + 40) or dpo.trained == 2 * steps * 8 * (96 + 40)


# -- arms on a tiny model -----------------------------------------------------


@pytest.fixture
def small(code, tmp_path, monkeypatch):
    """The recipes with a few prompts and tokens, and a tiny model."""
    recipes = tmp_path / "recipes"
    (recipes / "quickstart").mkdir(parents=True)
    for name, count in (("train", 3), ("heldout", 3)):
        lines = (ROOT / "recipes" / "quickstart" / f"{name}.jsonl").read_text("utf-8").splitlines()[:count]
        (recipes / "quickstart" / f"{name}.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    for name in ("quickstart/unrelated.txt", "quickstart.constitution.md"):
        (recipes / name).write_text((ROOT / "recipes" / name).read_text("utf-8"), "utf-8")
    text = (ROOT / "recipes" / "constitutional-ai.yaml").read_text("utf-8")
    text = text.replace("rounds: 4", "rounds: 1").replace(": 128", ": 6")
    (recipes / "constitutional-ai.yaml").write_text(text, "utf-8")
    monkeypatch.setattr(code.arms, "RECIPES", recipes)
    monkeypatch.setattr(code.arms, "HELD_OUT", recipes / "quickstart" / "heldout.jsonl")
    monkeypatch.setattr(code.arms, "MAX_TOKENS", 6)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    law = (ROOT / "src/charter/constitutions/small.constitution.md").read_text("utf-8")
    (tmp_path / "small.constitution.md").write_text(law.replace("panel_min: 1", "panel_min: 2"), "utf-8")
    monkeypatch.setattr(code.arms, "path_of", lambda name: tmp_path / "small.constitution.md")
    model = save_tiny(str(tmp_path / "model"), max_position_embeddings=8192)
    return SimpleNamespace(model=str(model), cache=tmp_path / "cache")


@pytest.mark.parametrize("name", ["prompted", "constitutional-ai", "self-critique", "assistant"])
def test_an_arm_ends_in_a_result(code, small, name, tmp_path, capsys):
    folder = small.cache / name
    made = partial(code.arms.arm_of, name, folder, small.model)
    ok = code.run.run_arm(name, made, folder, small.model, StopRequest())
    assert ok, (folder / "log.txt").read_text("utf-8")[-2000:]
    found = code.results.read_arm(folder)
    assert isinstance(found, dict)
    text = code.page.page({name: found}, {})
    if name == "assistant":
        assert "Of 6 principles 2 have a rate that may be claimed: 2 by rules" in text
        assert "asks for a panel of 2 judges and 1 was at hand" in text
        assert [one.split()[1] for one in found["cost"]["commands"]] == [
            "distil-judge",
            "judge-card",
            "evaluate",
        ]
    elif found["cost"]["outcome"] is None:
        assert {one["principle"] for one in found["adherence"]["principles"]} >= {
            "style.brief",
            "honesty.says_ai",
        }
        assert "3 held-out prompts" in text
    else:  # the likely end of a model that writes noise
        assert name in code.arms.REVISED and "not trained, because no revision was better" in text
    assert found["cost"]["seconds"] > 0 and found["cost"]["model"] == small.model
    assert json.loads(json.dumps(found)) == found
