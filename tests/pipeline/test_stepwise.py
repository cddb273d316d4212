from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

import charter
from charter.catalogue import lookup
from charter.config import validate
from charter.errors import ConfigError, DataError, Interrupted, UserError
from charter.models.load import load
from charter.models.policy import Policy
from charter.pipeline.stepwise import margins, stage_folder
from charter.records import is_groups_file, read_groups, write_groups
from charter.rundir import read_json, read_jsonl
from charter.testing import save_tiny
from charter.training.loop import Loop
from charter.types import Group, Judgement, PairTarget

LN2 = math.log(2)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny(str(tmp_path_factory.mktemp("tiny")))


def rows(count: int = 7) -> list[dict[str, Any]]:
    return [
        {
            "id": f"row{i}",
            "prompt": [{"role": "user", "content": f"Question {i}?"}],
            "chosen": [{"role": "assistant", "content": f"yes {i}{'!' * (i % 3)}"}],
            "rejected": [{"role": "assistant", "content": f"no {i}"}],
        }
        for i in range(count)
    ]


def run(tiny: str, directory: Path, **options: Any) -> charter.api.Run:
    settings = {"max_steps": 3, "per_device_train_batch_size": 4, "bf16": False, "learning_rate": 1e-3}
    settings |= options
    return charter.train("sdpo", load(tiny, bf16=settings["bf16"]), rows(), output_dir=directory, **settings)


def final(policy: Policy) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in policy.model.named_parameters()}


def assert_same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> None:
    assert left.keys() == right.keys() and left
    assert all(torch.equal(value, right[name]) for name, value in left.items())


# -- sDPO -----------------------------------------------------------------------------


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("use_peft", [False, True])
@pytest.mark.parametrize("stages", [2, 3])
def test_every_stage_starts_at_log_2(
    bf16: bool, use_peft: bool, stages: int, tiny: str, tmp_path: Path
) -> None:
    """So its reference is the policy as it is then, adapter or not; and the optimizer is new."""
    done = run(tiny, tmp_path, bf16=bf16, use_peft=use_peft, num_stages=stages)
    found = read_jsonl(tmp_path / "metrics.jsonl")
    assert [row["step"] for row in found] == list(range(1, 3 * stages + 1))
    assert [row["stage"] for row in found] == [n for n in range(1, stages + 1) for _ in range(3)]
    firsts, lasts = found[0::3], found[2::3]
    assert [row["loss"] for row in firsts] == pytest.approx([LN2] * stages, abs=1e-6)
    assert all(row["loss"] < 0.97 * LN2 for row in lasts)
    assert len({row["learning_rate"] for row in firsts}) == 1
    assert done.result["steps"] == done.result["planned"] == 3 * stages
    assert done.result["line"] == f"{3 * stages} of {3 * stages} steps, stopped by: end of data"


def test_references_change_between_stages(tiny: str, tmp_path: Path) -> None:
    """The second stage's reference is not the first's: its log-probs of the same rows differ."""
    from safetensors.torch import load_file

    run(tiny, tmp_path / "one")
    first, second = (load_file(stage_folder(tmp_path / "one", n) / "reference.safetensors") for n in (1, 2))
    tags = [{key for key in cache if key.startswith("tag:")} for cache in (first, second)]
    assert tags[0] != tags[1]
    assert not (first.keys() & second.keys() - tags[0] - tags[1])  # disjoint parts of the data
    assert len(first) + len(second) == 2 * 7 + 2


@pytest.mark.parametrize("use_peft", [False, True])
def test_what_is_saved_is_what_was_trained(use_peft: bool, tiny: str, tmp_path: Path) -> None:
    from peft import AutoPeftModelForCausalLM
    from transformers import AutoModelForCausalLM

    done = run(tiny, tmp_path, use_peft=use_peft)
    ids = torch.tensor([[3, 1, 4, 1, 5, 9, 2, 6]])
    kind = AutoPeftModelForCausalLM if use_peft else AutoModelForCausalLM
    plain = kind.from_pretrained(str(tmp_path / "model")).eval()
    with torch.no_grad():
        expected = done.policy.model(ids).logits
        torch.testing.assert_close(plain(ids).logits, expected, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(
            load(str(tmp_path / "model"), bf16=False).model(ids).logits, expected, rtol=1e-5, atol=1e-5
        )
        start = load(tiny, bf16=False).model(ids).logits
        assert (start - expected).abs().max() > 1e-3


@pytest.mark.parametrize("use_peft", [False, True])
@pytest.mark.parametrize("after", [1, 4])
def test_an_interrupted_run_continues_in_its_stage(
    use_peft: bool, after: int, tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unbroken = run(tiny, tmp_path / "unbroken", use_peft=use_peft)
    taken = 0
    step = Loop._one_step

    def stopping(self: Loop, log: Any) -> None:
        nonlocal taken
        if taken == after:
            raise Interrupted("asked to stop", signum=2)
        taken += 1
        step(self, log)

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "_one_step", stopping)
        with pytest.raises(Interrupted, match="saved"):
            run(tiny, tmp_path / "broken", use_peft=use_peft)
    assert len(read_jsonl(tmp_path / "broken" / "metrics.jsonl")) == after
    assert not (tmp_path / "broken" / "model").exists()
    continued = run(tiny, tmp_path / "broken", use_peft=use_peft)
    assert_same(final(continued.policy), final(unbroken.policy))
    again = run(tiny, tmp_path / "broken", use_peft=use_peft)  # a finished run is left as it is
    assert_same(final(again.policy), final(unbroken.policy))
    rows_of = [
        [
            {k: v for k, v in row.items() if k != "seconds"}
            for row in read_jsonl(tmp_path / name / "metrics.jsonl")
        ]
        for name in ("unbroken", "broken")
    ]
    assert rows_of[0] == rows_of[1]


def test_other_data_in_the_same_directory_is_refused(tiny: str, tmp_path: Path) -> None:
    run(tiny, tmp_path)
    with pytest.raises(UserError, match="started with something else"):
        run(tiny, tmp_path, num_stages=3)


def test_easy_pairs_come_first_on_request(tiny: str, tmp_path: Path) -> None:
    run(tiny, tmp_path / "run", stage_order="margin", num_stages=3, max_steps=1)
    stored = read_json(tmp_path / "run" / "parts.json")
    assert stored is not None
    parts = stored["parts"]
    assert [len(part) for part in parts] == [2, 2, 3]
    assert sorted(i for part in parts for i in part) == list(range(7))
    policy = load(tiny, bf16=False)
    expected = [exact_margin(policy, row) for row in rows()]
    found = [expected[i] for part in parts for i in part]
    assert found == sorted(expected, reverse=True)
    assert found != expected
    groups = [policy.template.render(group) for group in loaded_groups()]
    assert margins(policy, groups, tmp_path, 500) == pytest.approx(expected, rel=1e-5)


def loaded_groups() -> list[Group]:
    from charter.data.formats import load_groups

    return list(load_groups(rows(), "preference").groups)


def exact_margin(policy: Policy, row: dict[str, Any]) -> float:
    """From transformers' logits, sample by sample."""
    (group,) = (g for g in loaded_groups() if g.id == row["id"])
    means = []
    for sample in policy.template.render(group).samples:
        start = len(sample.context.token_ids)
        ids = torch.tensor([[*sample.context.token_ids, *sample.completion.token_ids]])
        with torch.no_grad():
            logps = policy.model(ids).logits[0, :-1].log_softmax(-1)
        taken = logps.gather(-1, ids[0, 1:, None])[start - 1 :, 0]
        means.append(float(taken[torch.tensor(sample.completion.trained)].mean()))
    return means[0] - means[1]


def test_kl_is_measured_in_every_stage(tiny: str, tmp_path: Path) -> None:
    run(tiny, tmp_path, max_kl=1000.0, kl_steps=3, use_peft=True)
    found = read_jsonl(tmp_path / "metrics.jsonl")
    assert [("kl" in row) for row in found] == [False, False, True] * 2


def test_more_stages_than_groups_is_an_error(tiny: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="7 groups cannot be split into 8 stages"):
        run(tiny, tmp_path, num_stages=8)


def test_four_bit_weights_are_refused_before_the_first_stage() -> None:
    with pytest.raises(ConfigError, match="load_in_4bit cannot go over several stages"):
        validate(lookup("sdpo").options, {"use_peft": True, "load_in_4bit": True}, where="test")


def test_published_settings_are_options() -> None:
    for name in ("sdpo", "dpo-behaviour"):
        validate(lookup(name).options, dict(lookup(name).paper_settings), where="test")


# -- the behaviour policy ---------------------------------------------------------------


@pytest.fixture(scope="module")
def sampled(tiny: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of groups that the tiny model sampled, compared by a coin."""
    prompts = [f"Say {i}" for i in range(6)]
    groups = charter.sample(
        load(tiny, bf16=False), prompts, num_generations=2, temperature=1.0, max_completion_length=8, seed=1
    )
    path = tmp_path_factory.mktemp("sampled") / "groups.jsonl"
    write_groups(path, [group.with_judgements(Judgement(PairTarget(0, 1), 1.0)) for group in groups])
    return path


def behave(tiny: str, data: Any, directory: Path, **options: Any) -> charter.api.Run:
    settings = {"max_steps": 2, "bf16": False, "learning_rate": 1e-3, **options}
    return charter.train("dpo-behaviour", load(tiny, bf16=False), data, output_dir=directory, **settings)


def test_dpo_against_the_sampler_starts_at_log_2_without_a_reference_forward(
    tiny: str, sampled: Path, tmp_path: Path
) -> None:
    assert is_groups_file(sampled) and not is_groups_file(sampled.parent / "nothing.jsonl")
    behave(tiny, sampled, tmp_path)
    found = read_jsonl(tmp_path / "metrics.jsonl")
    assert found[0]["loss"] == pytest.approx(LN2, abs=1e-4)  # recorded while decoding, not recomputed
    assert found[0]["rewards/chosen"] == pytest.approx(0.0, abs=1e-3)
    assert found[1]["loss"] < 0.9 * LN2
    assert not (tmp_path / "reference.safetensors").exists()


def test_the_reference_is_the_sampler_and_not_the_start(tiny: str, sampled: Path, tmp_path: Path) -> None:
    """Log-probs of another sampler: the loss of the first step is the formula's on them."""
    groups = read_groups(sampled)
    shifted = [shift_better(group, 0.5) for group in groups]
    write_groups(tmp_path / "shifted.jsonl", shifted)
    behave(tiny, tmp_path / "shifted.jsonl", tmp_path / "run", max_steps=1, beta=0.2)
    (row,) = read_jsonl(tmp_path / "run" / "metrics.jsonl")
    tokens = [len(group.samples[0].completion.token_ids) for group in groups]
    expected = sum(math.log1p(math.exp(-0.2 * 0.5 * n)) for n in tokens) / len(tokens)
    assert row["loss"] == pytest.approx(expected, abs=1e-3)
    assert abs(row["loss"] - LN2) > 0.05


def shift_better(group: Group, nats: float) -> Group:
    """The better answer, as if each of its tokens had been less likely when sampled."""
    from dataclasses import replace

    better, worse = group.samples
    logps = tuple(logp - nats for logp in better.completion.logps)
    return replace(
        group, samples=(replace(better, completion=replace(better.completion, logps=logps)), worse)
    )


def test_rows_of_a_data_file_are_refused_before_a_model_loads(tmp_path: Path) -> None:
    data = tmp_path / "pairs.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows()), "utf-8")
    with pytest.raises(DataError, match="no pair has answers with the log-probs") as error:
        charter.train("dpo-behaviour", "no-such-model-anywhere", data, output_dir=tmp_path / "run")
    assert "use dpo" in (error.value.fix or "")


def test_pairs_without_recorded_log_probs_are_dropped_and_counted(
    tiny: str, sampled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from dataclasses import replace

    groups = read_groups(sampled)
    first = groups[0]
    guided = replace(first.samples[1], completion=replace(first.samples[1].completion, logps=()))
    groups[0] = replace(first, samples=(first.samples[0], guided))
    write_groups(tmp_path / "mixed.jsonl", groups)
    behave(tiny, tmp_path / "mixed.jsonl", tmp_path / "run")
    assert "1 dropped: an answer carries no log-probs" in capsys.readouterr().err


def test_sampled_groups_train_other_methods_too(tiny: str, sampled: Path, tmp_path: Path) -> None:
    done = charter.train(
        "simpo", load(tiny, bf16=False), sampled, output_dir=tmp_path, max_steps=1, bf16=False
    )
    assert done.result["steps"] == 1
