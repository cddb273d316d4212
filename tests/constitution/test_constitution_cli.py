import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from charter.cli.constitution import app
from charter.constitution import Constitution
from charter.errors import ConstitutionError, Interrupted, UserError

ACME = Path(__file__).parent / "data" / "acme.constitution.md"
runner = CliRunner()


def test_lint_warnings_exit_0():
    result = runner.invoke(app, ["lint", str(ACME)])
    assert result.exit_code == 0, result.output
    assert "[no-bad-example]" in result.output and "0 errors" in result.output
    assert f"{ACME}:67: warning: honesty.uncertainty:" in result.output


def test_lint_errors_exit_1(tmp_path):
    path = tmp_path / "x.constitution.md"
    path.write_text(
        ACME.read_text(encoding="utf-8")
        .replace("GOOD --> It is 4.", "GOOD --> Yes.")
        .replace(
            "```yaml rubric\napplies_when",
            "```yaml rules\nall: [{length: {min_words: 3}}]\n```\n\n```yaml rubric\napplies_when",
        )
    )
    result = runner.invoke(app, ["lint", str(path), "--json"])
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert report["errors"] == 1
    [error] = [finding for finding in report["findings"] if finding["level"] == "error"]
    assert error["code"] == "good-fails-rules" and "fewer than 3" in error["message"]


def test_lint_of_a_broken_file_is_one_finding(tmp_path):
    path = tmp_path / "x.md"
    path.write_text("## A {#a authority=usr}\n")
    result = runner.invoke(app, ["lint", str(path)])
    assert result.exit_code == 1
    assert f"{path}:1: error: unknown level 'usr' [unreadable]" in result.output


def test_lint_of_a_missing_file_is_a_user_error(tmp_path):
    result = runner.invoke(app, ["lint", str(tmp_path / "no.md")])
    assert isinstance(result.exception, ConstitutionError)


def test_show(tmp_path):
    result = runner.invoke(app, ["show", str(ACME)])
    assert result.exit_code == 0
    assert "acme-assistant 0.3.0, CC0-1.0" in result.output
    assert "levels: user (1) > guideline (1)" in result.output
    assert "measured by a judge with the rubric" in result.output
    assert "contains one of 'likely', 'unlikely'" in result.output


def test_show_json():
    result = runner.invoke(app, ["show", str(ACME), "--json"])
    assert json.loads(result.stdout)["sha"] == Constitution.load(ACME).sha


def test_new_minimal_lints_clean(tmp_path):
    path = tmp_path / "house.constitution.md"
    result = runner.invoke(app, ["new", str(path), "--minimal"])
    assert result.exit_code == 0, result.output
    assert "0 errors, 0 warnings" in result.output
    assert Constitution.load(path).name == "house"


def test_a_bare_name_becomes_a_constitution_file(tmp_path):
    result = runner.invoke(app, ["new", str(tmp_path / "house"), "--minimal"])
    assert result.exit_code == 0, result.output
    assert [path.name for path in tmp_path.iterdir()] == ["house.constitution.md"]


GUIDED = [
    "acme",
    "Be brief",
    "Answers have 5 to 10 words.",
    "1",
    "5",
    "x",
    "10",
    "What is ice?",
    "Ice.",
    "Ice is water that froze because it got cold.",
    "Ice is water that froze because it got cold.",
    "Ice.",
    "What is ice?",
    "Why is snow white?",
    "Name three colours.",
    "Be kind {#x}",
    "Be kind",
    "Answers are kind.",
    "10",
    "It mocks the person.",
    "It takes the person seriously.",
    "Am I stupid?",
    "<user>No</user>",
    "No, this is hard for everybody.",
    "Yes.",
    "",
    "",
    "",
]


def test_new_asks_and_checks_as_it_goes(tmp_path):
    path = tmp_path / "a.constitution.md"
    result = runner.invoke(app, ["new", str(path)], input="\n".join(GUIDED) + "\n")
    assert result.exit_code == 0, result.output
    for told in (
        "a number from 5 to 10000",
        "this answer fails the rule (1 words, fewer than 5); give another",
        "this answer passes the rule (9 words); give another",
        "tests need another",
        "a title cannot end in {...}",
        "cannot contain '<user'",
        "0 errors",
    ):
        assert told in result.output
    constitution = Constitution.load(path)
    assert [principle.id for principle in constitution.principles] == ["be_brief", "be_kind"]
    assert [principle.measured_by for principle in constitution.principles] == ["rules", "rubric"]
    assert [case.kind for case in constitution.principle("be_brief").tests] == ["rule", "must_comply"]


RULE_ANSWERS = {
    "2": (["tea, coffee"], "contains", "I like tea.", "I like milk."),
    "3": (["as an AI"], "contains", "Tea.", "As an AI, I drink none."),
    "4": (["(", "^\\w+"], "regex", "Tea.", "..."),
    "5": ([], "list_free", "Tea.", "- Tea"),
    "6": (
        ["xx", "en"],
        "language",
        "The weather is nice today, so we went out.",
        "Das Wetter ist heute schön und warm.",
    ),
    "7": (
        ["8"],
        "readability",
        "We go to the shop to buy some tea and milk.",
        "Considerable infrastructural modifications notwithstanding, institutions perpetuate costly errors.",
    ),
    "8": ([], "profanity", "Tea.", "Shit."),
    "9": ([], "json_valid", "[1]", "[1"),
}


@pytest.mark.parametrize("number", RULE_ANSWERS)
def test_new_can_write_every_rule_of_its_menu(tmp_path, number):
    asked, rule, good, bad = RULE_ANSWERS[number]
    path = tmp_path / "a.md"
    said = ["", "T", "S.", number, *asked, "Q?", good, bad, "", "", ""]
    result = runner.invoke(app, ["new", str(path)], input="\n".join(said) + "\n")
    assert result.exit_code == 0, result.output
    [principle] = Constitution.load(path).principles
    assert principle.rules is not None
    assert [check.name for check in principle.rules.checks()] == [rule]


@pytest.mark.parametrize("after", range(len(GUIDED)))
def test_new_leaves_nothing_when_input_ends_early(tmp_path, after):
    path = tmp_path / "a.constitution.md"
    result = runner.invoke(app, ["new", str(path)], input="".join(line + "\n" for line in GUIDED[:after]))
    assert isinstance(result.exception, Interrupted) and result.exception.code == 130
    assert list(tmp_path.iterdir()) == []


def test_new_refuses_to_overwrite(tmp_path):
    path = tmp_path / "a.md"
    path.write_text("mine")
    for options in ([], ["--minimal"]):
        result = runner.invoke(app, ["new", str(path), *options])
        assert isinstance(result.exception, UserError) and "exists already" in str(result.exception)
    assert path.read_text() == "mine"


def test_new_needs_a_directory(tmp_path):
    result = runner.invoke(app, ["new", str(tmp_path / "no" / "a.md"), "--minimal"])
    assert isinstance(result.exception, UserError)


def test_nothing_heavy_is_imported():
    code = (
        "import sys, charter.constitution, charter.constitution.lint, charter.cli.constitution;"
        "heavy = ('torch', 'transformers', 'numpy', 'textstat', 'py3langid', 'nltk');"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_command_line_loads_the_library_only_when_needed():
    code = (
        "import sys, charter.cli.constitution; print('pydantic' in sys.modules, 'rich.table' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("False")
