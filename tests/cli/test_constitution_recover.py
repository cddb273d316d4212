"""``charter constitution recover``: the whole command, its files and its refusals."""

import importlib.util
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from charter.cli.constitution import app
from charter.constitution import Constitution
from charter.errors import ConfigError, DataError, UserError
from charter.records import write_groups

_FILE = Path(__file__).parents[1] / "feedback" / "recovering" / "planted_pairs.py"
_SPEC = importlib.util.spec_from_file_location("planted_pairs_of_recover", _FILE)
planted = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(planted)
runner = CliRunner()


def run(*arguments):
    return runner.invoke(app, ["recover", *(str(argument) for argument in arguments)])


@pytest.fixture(scope="module")
def flattered(tmp_path_factory):
    path = tmp_path_factory.mktemp("pairs") / "pairs.jsonl"
    write_groups(path, planted.groups(planted.more("flattery"), 200))
    return path


def test_the_whole_command(flattered, tmp_path):
    law = tmp_path / "house.constitution.md"
    law.write_text("# House\n\n## Plain {#plain}\n\nProse.\n\n```yaml rules\nall: [list_free: {}]\n```\n")
    out, report, annotated = (tmp_path / name for name in ("r.constitution.md", "r.json", "a.json"))
    found = run(flattered, "--declared", law, "--out", out, "--report", report, "--annotated", annotated)
    assert found.exit_code == 0, found.output
    assert "WARNING: The preferences reward flattery" in found.output
    assert "plain: not recovered" in found.output
    assert [one.title for one in Constitution.load(out).active] == ["Praises or flatters the user more"]
    whole = json.loads(report.read_text())
    assert whole["principles"] == ["flattery.more"]
    assert whole["round_trip"]["hidden"][0]["about"] == "flattery"
    assert json.loads(annotated.read_text())["metadata"]["version"] == "2.0"


def test_json_is_all_that_is_printed(flattered):
    found = run(flattered, "--json")
    assert json.loads(found.stdout)["round_trip"] is None


def test_own_candidates_in_words_of_the_catalogue_need_no_judge(flattered, tmp_path):
    own = tmp_path / "own.txt"
    own.write_text(
        "- Select the answer that praises or flatters the user more.\n- Select the answer that rhymes.\n"
    )
    whole = json.loads(run(flattered, "--candidates", own, "--json").stdout)
    assert [id.partition(":")[0] for id in whole["principles"]] == ["supplied"]
    assert [one["text"] for one in whole["unmeasured"]] == ["Select the answer that rhymes."]


@pytest.mark.parametrize(
    ("more", "error", "said"),
    [
        (["--propose", "some-model"], ConfigError, "only a judge can vote"),
        (["--journal", "x.jsonl"], ConfigError, "no votes to keep"),
        (["--judge", "rules"], ConfigError, "always judged by them"),
        (["--out", "nowhere/r.constitution.md"], UserError, "no such directory"),
        (["--principle", "kindness"], DataError, "no pair has a label under 'kindness'"),
    ],
)
def test_mistakes_are_found_before_anything_is_loaded(flattered, more, error, said):
    found = run(flattered, *more)
    assert isinstance(found.exception, error)
    assert said in str(found.exception)
