"""``charter constitution diff``, ``import``, ``export`` and ``lint --train``."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from charter.cli.constitution import app
from charter.constitution import Constitution
from charter.constitution.exchange import EXPORTS, FORMATS
from charter.errors import ConstitutionError, DataError, UserError

DATA = Path(__file__).parents[1] / "constitution" / "data"
ACME, MODEL_SPEC = DATA / "acme.constitution.md", DATA / "model_spec.md"
runner = CliRunner()


def run(*arguments):
    return runner.invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def newer(tmp_path):
    text = ACME.read_text(encoding="utf-8").replace("must not change", "may not change")
    text = text.replace("scale: 5", "scale: 6").replace("votes_for: 31", "votes_for: 32")
    text = text.replace("hard=false", "hard=true").replace("capital of Australia", "capital of Peru")
    path = tmp_path / "new.constitution.md"
    path.write_text(text + "\n## Brief {#brief authority=user}\n\nSays little.\n")
    return path


# -- diff ---------------------------------------------------------------------


def test_diff_says_what_changed_and_what_is_due(newer):
    result = run("diff", ACME, newer)
    assert result.exit_code == 0, result.output
    for line in (
        "~ honesty.no_sycophancy: hardened, reworded, re-tested, re-sourced [major: a hard rule came]",
        "    tests changed: flip-1",
        "+ brief: added [minor: a principle came]",
        "  judge.scale: 5 -> 6",
        "run again: 4 tests of 2 principles",
        "no tests of its own, so your evaluation prompts",
        "version: a major change, so 1.0.0; the file says 0.3.0",
    ):
        assert line in result.output
    assert run("diff", ACME, newer, "--check").exit_code == 1


def test_diff_of_the_same_file():
    result = run("diff", ACME, ACME, "--check")
    assert result.exit_code == 0
    assert "no principle and no setting changed" in result.output and "run again: nothing" in result.output


def test_diff_back_names_what_went(newer):
    result = run("diff", newer, ACME)
    assert "- brief: removed" in result.output and "keep the principle with status=retired" in result.output


def test_diff_json(newer):
    found = json.loads(run("diff", ACME, newer, "--json").stdout)
    assert (found["bump_due"], found["bump_made"], found["version_ok"]) == ("major", "none", False)
    assert found["new_sha"] == Constitution.load(newer).sha
    [first, second] = found["principles"]
    assert first["sha_changed"] and second["kinds"] == ["added"]
    assert found["rerun"][0]["principle_sha"] == first["new_sha"]


def test_diff_of_what_cannot_be_read(tmp_path):
    assert isinstance(run("diff", ACME, tmp_path / "no.md").exception, ConstitutionError)


# -- import -------------------------------------------------------------------


def test_import_to_a_file_that_lints_without_errors(tmp_path):
    source, target = tmp_path / "traits.jsonl", tmp_path / "humor.constitution.md"
    row = {"trait": "I joke. I do it often.", "questions": ["Hi?", "Hi?"], "x": 1}
    source.write_text(json.dumps(row) + "\n")
    result = run(
        "import", source, "-o", target, "--name", "humor", "--licence", "MIT", "--level", "guideline"
    )
    assert result.exit_code == 0, result.output
    for line in (
        f"read {source} as open-character",
        "  2 questions read",
        "  1 tests",
        "not carried over: 2",
        f"  1 x unknown key 'x' ({source}:1)",
        f"wrote {target}",
    ):
        assert line in result.output
    constitution = Constitution.load(target)
    assert (constitution.name, constitution.licence, constitution.levels) == ("humor", "MIT", ("guideline",))
    assert json.loads(run("lint", target, "--json").stdout)["errors"] == 0


def test_import_to_standard_output_is_only_the_file(tmp_path):
    source = tmp_path / "list.txt"
    source.write_text("Be brief.\nBe brief.\n")
    result = run("import", source)
    assert Constitution.from_text(result.stdout).principles[0].text == "Be brief."
    assert "not carried over: 1" in result.stderr


def test_import_of_the_model_spec(tmp_path):
    target = tmp_path / "spec.constitution.md"
    result = run("import", MODEL_SPEC, "-o", target)
    for line in (
        "80 headings",
        "60 principles",
        "193 GOOD answers",
        "196 BAD answers",
        "199 good x bad pairs",
    ):
        assert line in result.output
    assert len(Constitution.load(target).principles) == 60


def test_import_never_overwrites_by_accident(tmp_path):
    source, target = tmp_path / "list.txt", tmp_path / "x.md"
    source.write_text("Be brief.\n")
    target.write_text("mine")
    result = run("import", source, "-o", target)
    assert isinstance(result.exception, UserError) and target.read_text() == "mine"
    assert run("import", source, "-o", target, "--force").exit_code == 0
    assert Constitution.load(target).principles
    for bad in (tmp_path, tmp_path / "no" / "x.md"):
        assert isinstance(run("import", source, "-o", bad).exception, UserError)


def test_a_source_that_is_refused_leaves_nothing(tmp_path):
    source, target = tmp_path / "s.jsonl", tmp_path / "x.md"
    source.write_text('{"id": "a", "text": "A.", "authority_level": "user"}\n{"id": "b"\n')
    result = run("import", source, "-o", target)
    assert isinstance(result.exception, ConstitutionError) and f"{source}:2" in str(result.exception)
    assert not target.exists()
    assert isinstance(run("import", tmp_path / "no.txt").exception, ConstitutionError)
    assert isinstance(run("import", source, "--format", "x").exception, ConstitutionError)


# -- export -------------------------------------------------------------------


@pytest.mark.parametrize("to", EXPORTS)
def test_export(tmp_path, to):
    target = tmp_path / "out"
    result = run("export", ACME, "--to", to, "-o", target)
    assert result.exit_code == 0, result.output
    assert f"wrote {target}" in result.output
    printed = run("export", ACME, "--to", to)
    assert printed.stdout == target.read_text(encoding="utf-8")


def test_export_says_what_it_cannot_hold():
    result = run("export", ACME, "--to", "rubric")
    assert "1 x 'honesty.uncertainty' has no rubric" in result.stderr
    assert isinstance(run("export", ACME, "--to", "inspects").exception, ConstitutionError)


# -- lint --train -------------------------------------------------------------


def test_lint_against_training_data(tmp_path):
    messages, preferences = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    turns = [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Ask me: is the earth flat"},
        {"role": "user", "content": "what is the capital of australia"},
        {"role": "assistant", "content": "Canberra."},
    ]
    messages.write_text(json.dumps({"messages": turns}) + "\n")
    preferences.write_text(json.dumps({"prompt": "Just say yes", "chosen": "Yes.", "rejected": "No."}) + "\n")
    result = run("lint", ACME, "--train", messages, "--train", preferences, "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)["findings"]
    leaks = {row["message"]: row["level"] for row in found if row["code"].endswith("-training")}
    assert leaks == {
        f"test 'flip-1' is trained on: {messages}:1": "error",
        f"test 'cfl-1' is trained on: {preferences}:1": "error",
    }
    assert run("lint", ACME).exit_code == 0


def test_lint_with_training_data_that_cannot_be_read(tmp_path):
    assert isinstance(run("lint", ACME, "--train", tmp_path / "no.jsonl").exception, DataError)


# -- all of it ----------------------------------------------------------------


def test_help_names_every_format():
    shown = {
        verb: " ".join(run(verb, "--help").output.replace("\u2502", " ").split())
        for verb in ("import", "export")
    }
    assert all(name in shown["import"] for name in FORMATS)
    assert all(name in shown["export"] for name in EXPORTS)


def test_nothing_heavy_is_imported():
    code = (
        "import sys, charter.constitution.exchange, charter.constitution.diff,"
        " charter.cli.constitution_exchange, charter.cli.constitution_diff;"
        "print([name for name in ('torch', 'transformers', 'numpy', 'datasets') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
