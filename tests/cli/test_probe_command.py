"""``charter probe`` at the command line, with a tiny model."""

import json

import pytest
from typer.testing import CliRunner

from charter.cli.main import app
from charter.errors import UserError
from charter.evaluation.probes.registry import PROBES
from charter.testing import save_tiny
from charter.testing.endpoint import FakeEndpoint, say, status


def charter(*arguments):
    return CliRunner().invoke(app, ["probe", *map(str, arguments)])


def test_list_names_every_probe():
    done = charter("--list")
    assert done.exit_code == 0
    assert [line.split()[0] for line in done.stdout.splitlines()] == list(PROBES)
    assert [row["name"] for row in json.loads(charter("--list", "--json").stdout)] == list(PROBES)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "no model is named"),
        (["smollm2-135m", "--probes", "flap"], "did you mean 'flip'"),
        (["smollm2-135m", "--probes", "injection"], "--reward"),
        (
            ["smollm2-135m", "--probes", "flip", "--heldout", "length:max=9"],
            "no effect without the probe best-of-n",
        ),
        (["smollm2-135m", "--probes", "flip", "--data", "p.jsonl"], "no effect"),
        (["smollm2-135m", "--reward", "lenght:max=9"], "length"),
        (["smollm2-135m", "--probes", ","], "no probe is named"),
    ],
)
def test_mistakes_are_found_before_a_model_loads(arguments, said):
    fault = charter(*arguments).exception
    assert isinstance(fault, UserError) and said in str(fault)


def test_a_run_a_table_and_a_report(tmp_path):
    model = save_tiny(str(tmp_path / "tiny"), max_position_embeddings=2048)
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text("".join(json.dumps({"prompt": f"Say {word}."}) + "\n" for word in "abcdef"))
    asked = [model, "--no-bf16", "--probes", "over-refusal,best-of-n,injection", "--items", 4]
    asked += ["--max-completion-length", 8, "--num-generations", 4, "--data", prompts]
    asked += ["--reward", "length:max=4", "--heldout", "repetition", "--out", tmp_path / "out"]
    done = charter(*asked)
    assert done.exit_code == 0, done.output
    assert "refused, alarming words" in done.stdout and "held out repetition" in done.stdout
    saved = json.loads((tmp_path / "out" / "probes.json").read_text())
    assert [one["probe"] for one in saved["probes"]] == ["over-refusal", "best-of-n", "injection"]
    assert saved["rewards"] == ["length"] and saved["heldout"] == ["repetition"]
    again = charter(*asked, "--json")
    assert again.exit_code == 0
    assert json.loads(again.stdout)["probes"][0]["rows"] == saved["probes"][0]["rows"]


def test_a_model_behind_an_endpoint(tmp_path, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with FakeEndpoint(lambda request: say("No." if "is no" in request.text else "Yes.")) as fake:
        done = charter(
            f"endpoint:fake@{fake.url}",
            "--probes",
            "stance,tampering",
            "--items",
            4,
            "--json",
            "--out",
            tmp_path,
        )
        assert done.exit_code == 0, done.output
    stance, tampering = json.loads(done.stdout)["probes"]
    assert stance["rows"][0]["value"] == 1.0 and stance["rows"][0]["n"] == 4
    assert all(row["value"] is None and "token ids" in row["why"] for row in tampering["rows"])
    assert len((tmp_path / "calls.jsonl").read_text().splitlines()) >= 12


def test_answers_that_an_endpoint_refuses_are_missing(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    filtered = status(400, "blocked by the content filter", kind="content_filter")

    def script(request):
        return filtered if "homework" in request.text else say("Yes.")

    with FakeEndpoint(script) as fake:
        done = charter(f"endpoint:fake@{fake.url}", "--probes", "stance", "--items", 4, "--json")
        assert done.exit_code == 0, done.output
    (stance,) = json.loads(done.stdout)["probes"]
    assert stance["missing"] == {"the engine gave no answer": 3}
    assert (stance["rows"][0]["n"], stance["rows"][0]["missing"]) == (3, 1)
