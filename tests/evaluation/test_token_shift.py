"""Ranks against a full sort of the vocabulary, and sums against planted ranks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model

from charter import interrupt
from charter.engines.base import Sampling
from charter.engines.local import LocalEngine
from charter.engines.tuning_free import TuningFree
from charter.errors import DataError, Interrupted, UserError
from charter.evaluation.token_shift import token_shift
from charter.evaluation.token_shift.measure import measure_shift
from charter.evaluation.token_shift.summary import kind_of, summed
from charter.evaluation.token_shift.token_shift import AnswerShift, aligned_answers, shifts
from charter.models.pairing import Reference
from charter.models.policy import Policy, adapter_off
from charter.testing import save_tiny, tiny_model, tiny_tokenizer
from charter.types import Completion, Context, Group, Message, Sample

TOKENIZER = tiny_tokenizer()


def policy_of(model: Any, name: str = "tiny") -> Policy:
    return Policy(model, TOKENIZER, name, Path(), torch.float32)


def prompts_of(policy: Policy, *texts: str) -> list[Group]:
    groups = []
    for index, text in enumerate(texts):
        turns = (Message("user", text),)
        context = Context(turns, policy.template.render_context(turns))
        groups.append(Group((Sample(context, Completion()),), id=f"p{index}"))
    return groups


def answered(policy: Policy, *texts: str, length: int = 20) -> list[Group]:
    engine = LocalEngine(policy.model, policy.tokenizer, compute_dtype=torch.float32)
    return aligned_answers(engine, prompts_of(policy, *texts), length)


@torch.no_grad()
def full_logps(model: Any, context: tuple[int, ...], ids: tuple[int, ...]) -> torch.Tensor:
    """``(tokens, V)`` by transformers, one answer at a time."""
    logits = model(torch.tensor([[*context, *ids]])).logits[0].float()
    return logits[len(context) - 1 : -1].log_softmax(-1)


def check(found: AnswerShift, sample: Sample, aligned: Any, base: Any, base_context: Any = None) -> None:
    ids = sample.completion.token_ids[: len(found.ranks)]
    seen = sample.context.token_ids if base_context is None else base_context
    ours = full_logps(aligned, sample.context.token_ids, sample.completion.token_ids)[: len(ids)]
    theirs = full_logps(base, seen, sample.completion.token_ids)[: len(ids)]
    order = theirs.argsort(-1, descending=True)
    assert found.token_ids.tolist() == list(ids)
    assert found.ranks.tolist() == [order[t].tolist().index(one) + 1 for t, one in enumerate(ids)]
    own = ours.argsort(-1, descending=True)
    assert found.own_ranks.tolist() == [own[t].tolist().index(one) + 1 for t, one in enumerate(ids)]
    assert list(found.base_choices) == [TOKENIZER.decode([int(row[0])]) for row in order]
    labels = torch.tensor(ids)[:, None]
    assert found.aligned_logps == pytest.approx(ours.gather(1, labels)[:, 0].numpy(), abs=1e-4)
    assert found.base_logps == pytest.approx(theirs.gather(1, labels)[:, 0].numpy(), abs=1e-4)
    kl = (ours.exp() * (ours - theirs)).sum(-1)
    assert found.kl == pytest.approx(kl.numpy(), abs=1e-4)


@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt2"])
def test_ranks_are_places_in_a_full_sort_of_the_vocabulary(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """gemma2 has a softcap, gpt2 runs the padded forward."""
    if family == "gpt2":
        from transformers import GPT2Config, GPT2LMHeadModel

        def made(seed: int) -> Any:
            torch.manual_seed(seed)
            config = GPT2Config(
                vocab_size=258, n_embd=32, n_layer=2, n_head=4, n_positions=256, initializer_range=0.2
            )
            return GPT2LMHeadModel(config).eval()
    else:

        def made(seed: int) -> Any:
            return tiny_model(seed, family)

    monkeypatch.setattr(token_shift, "_ROWS", 7)
    monkeypatch.setattr(token_shift, "_VOCABULARY_AT_ONCE", 100)
    aligned, base = made(1), made(2)
    policy = policy_of(aligned)
    groups = answered(policy, "Why is the sky blue?", "Hi", "Tell me more")
    seen: list[int] = []
    found = shifts(policy, Reference(base), groups, on_progress=seen.append)
    assert sum(seen) == 3 and [one.id for one in found] == ["p0", "p1", "p2"]
    assert len({int(rank) for one in found for rank in one.ranks}) > 5  # the models do differ
    for one, group in zip(found, groups, strict=True):
        assert one.prompt == group.samples[0].context.text
        check(one, group.samples[0], aligned, base)
        assert (one.own_ranks == 1).all()  # greedy answers


def test_an_adapter_against_the_model_under_it() -> None:
    torch.manual_seed(0)
    model = get_peft_model(tiny_model(3), LoraConfig(r=4, target_modules="all-linear")).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.1)
    policy = policy_of(model)
    groups = answered(policy, "Why?", "How?")
    found = shifts(policy, Reference(None), groups)
    with adapter_off(model):
        bare = [
            full_logps(model, s.context.token_ids, s.completion.token_ids) for g in groups for s in g.samples
        ]
    for one, group, theirs in zip(found, groups, bare, strict=True):
        ids = group.samples[0].completion.token_ids
        assert one.ranks.tolist() == [
            theirs[t].argsort(descending=True).tolist().index(x) + 1 for t, x in enumerate(ids)
        ]
        assert (one.own_ranks == 1).all()
    assert any((one.ranks > 1).any() for one in found)


def test_a_model_has_not_shifted_from_itself() -> None:
    policy = policy_of(tiny_model(1))
    found = summed(shifts(policy, Reference(policy.model), answered(policy, "a", "b")), base="x", aligned="x")
    assert found.overall.shares["unshifted"].rate == 1.0 and found.overall.shares["shifted"].rate == 0.0
    assert found.overall.kl == pytest.approx(0, abs=1e-6)
    assert found.words == () and found.not_greedy == 0.0


def test_batches_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    policy, base = policy_of(tiny_model(1)), Reference(tiny_model(2))
    groups = answered(policy, "a", "long question", "c")
    whole = shifts(policy, base, groups)
    monkeypatch.setattr(token_shift, "_TOKENS", 30)
    parts = shifts(policy, base, groups)
    for a, b in zip(whole, parts, strict=True):
        assert a.ranks.tolist() == b.ranks.tolist() and a.base_choices == b.base_choices
        assert a.kl == pytest.approx(b.kl, abs=1e-5)


def test_the_base_model_may_read_them_after_examples() -> None:
    aligned, base = tiny_model(1, max_position_embeddings=8192), tiny_model(2, max_position_embeddings=8192)
    policy = policy_of(aligned)
    groups = answered(policy, "Why?", "How?")
    around = TuningFree.named("urial-plain")
    assert around is not None
    frame = around.reframe(policy_of(base))
    found = shifts(policy, Reference(base), groups, base_context=frame, score_end=False)
    for one, group in zip(found, groups, strict=True):
        sample = group.samples[0]
        check(one, sample, aligned, base, frame(sample.context).token_ids)
    ended = [g for g in groups if g.samples[0].completion.token_ids[-1] == 257]
    for group in ended:
        (one,) = [f for f in found if f.id == group.id]
        assert len(one.ranks) == len(group.samples[0].completion.token_ids) - 1


def test_the_end_of_a_turn_counts_unless_the_markup_is_another() -> None:
    policy = policy_of(tiny_model(1))
    (prompt,) = prompts_of(policy, "q")
    ids = (*TOKENIZER("abc")["input_ids"], 257)
    answer = Completion((Message("assistant", "abc"),), ids, (True,) * 4, finish_reason="stop")
    groups = [Group((Sample(prompt.samples[0].context, answer),))]
    base = Reference(tiny_model(2))
    with_end, without = shifts(policy, base, groups), shifts(policy, base, groups, score_end=False)
    assert with_end[0].tokens == ("a", "b", "c", "<|im_end|>")
    assert without[0].tokens == ("a", "b", "c")
    assert with_end[0].ranks[:3].tolist() == without[0].ranks.tolist()
    # These are not its greedy answers, and the summary says so.
    assert summed(with_end, base="b", aligned="a").not_greedy > 0.5


def test_nothing_to_look_at_and_a_stop_request() -> None:
    policy, base = policy_of(tiny_model(1)), Reference(tiny_model(2))
    with pytest.raises(DataError, match="no answer has a token"):
        shifts(policy, base, prompts_of(policy, "q"))
    groups = answered(policy, "q")
    with interrupt.graceful() as stop:
        stop.signum = 2
        with pytest.raises(Interrupted, match="reading answers"):
            shifts(policy, base, groups)


# -- sums ------------------------------------------------------------------------------------


def planted(id: str, ranks: list[int], words: str = "", instead: str = "") -> AnswerShift:
    n = len(ranks)
    return AnswerShift(
        id=id,
        prompt=f"prompt {id}",
        tokens=tuple(words or "x" * n),
        token_ids=np.zeros(n, dtype=np.int64),
        ranks=np.asarray(ranks),
        base_logps=np.full(n, -1.0),
        aligned_logps=np.full(n, -0.5),
        kl=np.linspace(1.0, 0.0, n),
        base_choices=tuple(instead or "y" * n),
        own_ranks=np.ones(n, dtype=np.int64),
    )


def test_classes_are_the_paper_s() -> None:
    assert [kind_of(rank) for rank in (1, 2, 3, 4, 500)] == [
        "unshifted",
        "marginal",
        "marginal",
        "shifted",
        "shifted",
    ]


def test_shares_count_tokens_and_positions_count_from_one() -> None:
    found = summed(
        [planted("a", [9, 2, 1, 1]), planted("b", [4, 1, 1, 1, 1, 3])], base="b", aligned="a", seed=1
    )
    assert {k: (s.count, s.n) for k, s in found.overall.shares.items()} == {
        "unshifted": (6, 10),
        "marginal": (2, 10),
        "shifted": (2, 10),
    }
    assert found.overall.shares["shifted"].rate == 0.2
    places = [(s.first, s.last, s.n, s.shares["shifted"].rate) for s in found.by_position]
    assert places == [(1, 1, 2, 1.0), (2, 2, 2, 0.0), (3, 5, 5, 0.0), (6, 10, 1, 0.0)]
    assert found.by_position[1].shares["marginal"].rate == 0.5
    assert found.by_position[-1].shares["marginal"].interval is None  # one prompt gives no interval
    assert found.by_position[0].kl == 1.0


def test_the_interval_draws_prompts_not_tokens() -> None:
    """Answers that are shifted throughout or not at all: 40 prompts, 4000 tokens."""
    whole = [planted(str(i), [9] * 100 if i % 4 == 0 else [1] * 100) for i in range(40)]
    share = summed(whole, base="b", aligned="a").overall.shares["shifted"]
    assert share.rate == 0.25 and share.interval is not None
    width = share.interval.hi - share.interval.lo
    expected = 2 * 1.96 * (0.25 * 0.75 / 40) ** 0.5  # of 40 draws; 4000 draws would give a tenth of it
    assert width == pytest.approx(expected, rel=0.15)


def test_words_are_those_shifted_most_often() -> None:
    found = summed(
        [
            planted("a", [9, 9, 1, 9], "HHtS", "IJxK"),
            planted("b", [9, 1, 9], "HtT", "Ixx"),
            planted("c", [5, 5], "SS", "KL"),
        ],
        base="b",
        aligned="a",
    )
    assert [(w.token, w.shifted, w.n, w.instead) for w in found.words] == [
        ("H", 3, 3, "I"),
        ("S", 3, 3, "K"),
    ]


def test_json_holds_the_answers_from_most_to_least_shifted() -> None:
    answers = [planted(str(i), [9] * i + [1] * (10 - i)) for i in range(9)]
    row = summed(answers, base="b", aligned="a").to_json(examples=3)
    assert [example["id"] for example in row["examples"]] == ["8", "4", "0"]
    assert row["examples"][0]["tokens"][0] == {"text": "x", "rank": 9, "instead": "y", "kind": "shifted"}
    assert json.loads(json.dumps(row, allow_nan=False)) == row
    assert row["overall"]["shifted"]["n"] == 90 and row["prompts"] == 9


# -- the whole way ---------------------------------------------------------------------------


def test_measuring_two_models_and_what_is_refused() -> None:
    aligned, base = policy_of(tiny_model(1), "after"), policy_of(tiny_model(2), "before")
    found = measure_shift(aligned, base, prompts_of(aligned, "Why?", "How?"), max_completion_length=9)
    assert (found.base, found.aligned, found.framed) == ("before", "after", "")
    assert found.not_greedy == 0.0 and found.overall.n <= 18
    with pytest.raises(UserError, match="no adapter"):
        measure_shift(aligned, None, prompts_of(aligned, "q"))
    other = Policy(tiny_model(2), tiny_tokenizer(), "other", Path(), torch.float32)
    other.tokenizer.add_tokens(["<new>"])
    with pytest.raises(UserError, match="different vocabularies"):
        measure_shift(aligned, other, prompts_of(aligned, "q"))


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from typer.testing import CliRunner

    from charter.cli.main import app

    before, after = (save_tiny(str(tmp_path / name), seed) for name, seed in (("before", 1), ("after", 2)))
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text('{"prompt": [{"role": "user", "content": "Why?"}]}\n' * 2, encoding="utf-8")
    out = tmp_path / "out"
    args = ["shift", before, after, str(prompts), "--max-completion-length", "8", "--no-bf16"]
    result = CliRunner().invoke(app, [*args, "--output-dir", str(out)])
    assert result.exit_code == 0, result.output
    assert "unshifted" in result.output and "2 answers of" in result.output
    told = json.loads((out / "token_shift.json").read_text(encoding="utf-8"))
    assert told["tokens"] == 16 and told["not_greedy"] == 0.0
    assert "token 1" in (out / "token_shift.html").read_text(encoding="utf-8")
    again = CliRunner().invoke(app, [*args, "--json", "--examples", "0"])
    shown = json.loads(again.stdout)
    assert shown["examples"] == [] and shown["overall"] == told["overall"]
    refused = CliRunner().invoke(app, [*args, "--in-context", "icdpo", "--demonstrations", str(prompts)])
    assert refused.exit_code != 0


def test_sampled_answers_are_read_as_well() -> None:
    """Ranks hold for any answers: here sampled ones, several of a prompt."""
    aligned, base = tiny_model(1), tiny_model(2)
    policy = policy_of(aligned)
    engine = LocalEngine(aligned, TOKENIZER, compute_dtype=torch.float32)
    contexts = [group.samples[0].context for group in prompts_of(policy, "a", "b")]
    groups = engine.generate(contexts, 3, Sampling(temperature=1.0, max_completion_length=9, seed=1))
    found = shifts(policy, Reference(base), groups)
    assert len(found) == 6
    for one, sample in zip(found, [s for g in groups for s in g.samples], strict=True):
        check(one, sample, aligned, base)
