"""A Charter model as a model of Inspect: batches, seeds, stop reasons, and what is refused."""

from __future__ import annotations

import logging
import tomllib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest
import torch
from inspect_law import tiny_policy

pytest.importorskip("inspect_ai", reason="inspect-ai is not installed: pip install 'charter[inspect]'")

from inspect_ai._util.entrypoints import clear_entry_points_state, ensure_entry_points
from inspect_ai.model import ChatMessageAssistant, ChatMessageSystem, ChatMessageUser, get_model
from inspect_ai.model import GenerateConfig as Config
from inspect_ai.tool import ToolInfo

from charter.engines.base import Sampling
from charter.engines.local import LocalEngine
from charter.engines.scripted import ScriptedEngine
from charter.errors import ConfigError, DataError, UserError
from charter.evaluation.inspect.gather import Gatherer
from charter.evaluation.inspect.library import ModelAPI
from charter.evaluation.inspect.options import MAX_TOKENS
from charter.evaluation.inspect.provider import CharterAPI
from charter.evaluation.inspect.registry import model_of
from charter.models.policy import Policy
from charter.testing import save_tiny, tiny_tokenizer
from charter.types import Context, Message

ROOT = Path(__file__).parents[2]
PROMPTS = ("Name a ship.", "Say yes.", "Why?", "Go on.", "Is it so?")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def policy() -> Policy:
    return tiny_policy()


@pytest.fixture
def api(policy: Policy) -> CharterAPI:
    return CharterAPI("tiny", policy=policy)


def ask(api: Any, *prompts: str, **config: Any) -> list[Any]:
    """Answers to all prompts, asked at once."""
    found: dict[int, Any] = {}

    async def one(number: int, prompt: str) -> None:
        found[number] = await api.generate(
            [ChatMessageUser(content=prompt)], [], "none", Config(**{"max_tokens": 8, **config})
        )

    async def all_of_them() -> None:
        async with anyio.create_task_group() as group:
            for number, prompt in enumerate(prompts):
                group.start_soon(one, number, prompt)

    run(all_of_them)
    return [found[number] for number in sorted(found)]


def run(work: Callable[[], Awaitable[Any]]) -> Any:
    """What comes of it; a task group's only error by itself."""
    try:
        return anyio.run(work)
    except BaseExceptionGroup as error:
        raise error.exceptions[0] from None


def texts(answers: Sequence[Any]) -> list[str]:
    return [answer.completion for answer in answers]


def recorded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Contexts of every call of the engine."""
    sizes: list[int] = []
    real = LocalEngine.generate

    def generate(self: LocalEngine, contexts: Any, *more: Any, **options: Any) -> Any:
        sizes.append(len(contexts))
        return real(self, contexts, *more, **options)

    monkeypatch.setattr(LocalEngine, "generate", generate)
    return sizes


def test_calls_made_at_once_are_one_batch(api: CharterAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = recorded(monkeypatch)
    ask(api, *PROMPTS, temperature=0.0)
    assert sizes == [5]


def test_greedy_answers_are_the_engines(api: CharterAPI, policy: Policy) -> None:
    engine = LocalEngine(policy.model, policy.tokenizer, compute_dtype=policy.compute_dtype)
    turns = [(Message("user", prompt),) for prompt in PROMPTS]
    contexts = [Context(one, policy.template.render_context(one)) for one in turns]
    groups = engine.generate(contexts, 1, Sampling(temperature=0.0, max_completion_length=8))
    found = ask(api, *PROMPTS, temperature=0.0, logprobs=True)
    for answer, group, context in zip(found, groups, contexts, strict=True):
        [sample] = group.samples
        assert answer.completion == sample.completion.text
        assert [one.logprob for one in answer.choices[0].logprobs.content] == pytest.approx(
            sample.completion.logps
        )
        assert answer.usage.input_tokens == len(context.token_ids)
        assert answer.usage.output_tokens == len(sample.completion.token_ids) == 8
        assert answer.usage.total_tokens == answer.usage.input_tokens + 8
        assert answer.stop_reason == "max_tokens"


def test_a_seed_gives_the_same_answer_however_calls_fall_together(api: CharterAPI, policy: Policy) -> None:
    together = texts(ask(api, *PROMPTS, *PROMPTS, seed=7))
    alone = [texts(ask(CharterAPI("tiny", policy=policy), prompt, seed=7))[0] for prompt in PROMPTS]
    assert together == alone * 2
    assert texts(ask(api, *PROMPTS, seed=8)) != alone


def test_without_a_seed_repetitions_differ_and_the_whole_can_be_repeated(policy: Policy) -> None:
    first, second = CharterAPI("tiny", policy=policy), CharterAPI("tiny", policy=policy)
    found = texts(ask(first, *[PROMPTS[0]] * 4))
    assert len(set(found)) == 4
    one_by_one = [texts(ask(second, PROMPTS[0]))[0] for _ in range(4)]
    assert sorted(found) == sorted(one_by_one)


def test_temperature_and_filters_are_honoured(api: CharterAPI) -> None:
    greedy = texts(ask(api, *PROMPTS, temperature=0.0))
    assert texts(ask(api, *PROMPTS, top_k=1, seed=3)) == greedy
    assert texts(ask(api, *PROMPTS, temperature=1e-4, seed=3)) == greedy
    assert texts(ask(api, *PROMPTS, temperature=5.0, seed=3)) != greedy


def test_several_choices(api: CharterAPI) -> None:
    [answer] = ask(api, "Why?", num_choices=3, seed=1)
    assert len({choice.message.text for choice in answer.choices}) == 3
    assert answer.usage.output_tokens == 24
    with pytest.raises(UserError, match="temperature 0 would all be the same"):
        ask(api, "Why?", num_choices=2, temperature=0.0)


def scripted(api: CharterAPI, answers: dict[str, Sequence[str]]) -> None:
    engine: Any = ScriptedEngine(answers, tiny_tokenizer())
    engine.max_length = 512
    api._engine = engine


def test_stop_reasons(api: CharterAPI, policy: Policy) -> None:
    scripted(api, {"Why?": ["So."], "Go on.": ["x" * 40], "Say yes.": ["yes END no"]})
    done, cut, stopped = ask(
        api, "Why?", "Go on.", "Say yes.", max_tokens=16, stop_seqs=["END"], temperature=0
    )
    assert [done.stop_reason, cut.stop_reason, stopped.stop_reason] == ["stop", "max_tokens", "stop"]
    assert [done.completion, stopped.completion] == ["So.", "yes "]
    real = CharterAPI("tiny", policy=policy)
    room = policy.model.config.max_position_embeddings
    full = room - len(policy.template.render_context((Message("user", ""),)))
    [close] = ask(real, "a" * (full - 5), max_tokens=20, temperature=0.0)
    assert (close.stop_reason, close.usage.output_tokens) == ("model_length", 5)
    tight, fine = ask(real, "a" * (full + 3), "Why?", temperature=0.0)
    assert (tight.stop_reason, tight.completion, tight.usage.output_tokens) == ("model_length", "", 0)
    assert "leaves no room" in tight.error
    assert fine.stop_reason == "max_tokens"


def test_what_cannot_be_honoured_is_refused(api: CharterAPI) -> None:
    for name, value in {
        "frequency_penalty": 0.5,
        "presence_penalty": 0.1,
        "logit_bias": {3: 1.0},
        "best_of": 2,
        "top_logprobs": 2,
        "extra_body": {"x": 1},
    }.items():
        with pytest.raises(ConfigError, match=name):
            ask(api, "Why?", **{name: value})
    with pytest.raises(ConfigError, match="top_p would do nothing"):
        ask(api, "Why?", temperature=0.0, top_p=0.9)
    # What asks for nothing is let through.
    ask(api, "Why?", frequency_penalty=0.0, best_of=1)


def test_an_option_without_effect_is_said_once(
    api: CharterAPI, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("charter.evaluation.inspect.options._warned", set())
    with caplog.at_level(logging.WARNING):
        ask(api, "Why?", verbosity="low")
        ask(api, "Go on.", verbosity="low", timeout=30)
    assert [record.message for record in caplog.records] == [
        "charter: the option 'verbosity' has no effect on a model in this process"
    ]


def generate(api: CharterAPI, *messages: Any, tools: Sequence[Any] = ()) -> Any:
    async def call() -> Any:
        return await api.generate(list(messages), list(tools), "auto", Config(max_tokens=4, temperature=0.0))

    return anyio.run(call)


def test_what_cannot_be_read_is_refused(api: CharterAPI) -> None:
    with pytest.raises(UserError, match="call no tools, and were given: look"):
        generate(api, ChatMessageUser(content="Why?"), tools=[ToolInfo(name="look", description="looks")])
    with pytest.raises(UserError, match=r"parts that are no text \(image\)"):
        generate(api, ChatMessageUser(content=[{"type": "image", "image": "data:image/png;base64,AAAA"}]))  # type: ignore[list-item]
    with pytest.raises(UserError, match="ends with the assistant's turn"):
        generate(api, ChatMessageUser(content="Why?"), ChatMessageAssistant(content="Because"))
    with pytest.raises(UserError, match="empty"):
        generate(api)


def test_a_model_without_a_template_continues_one_text(policy: Policy) -> None:
    bare = Policy(policy.model, tiny_tokenizer(None), "bare", Path(), torch.float32)
    api = CharterAPI("bare", policy=bare)
    assert len(ask(api, "Once", temperature=0.0)[0].completion) > 0
    with pytest.raises(DataError, match="no chat template"):
        generate(api, ChatMessageSystem(content="Be brief."), ChatMessageUser(content="Once"))


def test_one_bad_call_does_not_take_the_batch_with_it(policy: Policy) -> None:
    bare = Policy(policy.model, tiny_tokenizer(None), "bare", Path(), torch.float32)
    api = CharterAPI("bare", policy=bare)
    found: dict[str, Any] = {}

    async def call(name: str, *messages: Any) -> None:
        try:
            found[name] = await api.generate(
                list(messages), [], "none", Config(max_tokens=4, temperature=0.0)
            )
        except DataError as error:
            found[name] = error

    async def both() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(call, "bad", ChatMessageSystem(content="."), ChatMessageUser(content="a"))
            group.start_soon(call, "good", ChatMessageUser(content="a"))

    anyio.run(both)
    assert isinstance(found["bad"], DataError)
    assert found["good"].usage.output_tokens == 4


def test_counts_are_the_models_own_tokens(api: CharterAPI) -> None:
    async def count() -> tuple[int, list[int]]:
        return await api.count_text_tokens("abc"), await api.tokenize("abc")

    number, ids = anyio.run(count)
    assert number == len(ids) == 3
    assert api.max_tokens() == MAX_TOKENS


def test_a_mistake_in_a_name_or_option_is_found(tmp_path: Path) -> None:
    nobody = get_model(f"charter/{tmp_path / 'nothing'}", memoize=False)
    with pytest.raises(UserError, match="nothing"):
        ask(nobody.api, "Why?")
    folder = save_tiny(str(tmp_path / "tiny"))
    with pytest.raises(ConfigError, match="bf_16"):
        get_model(f"charter/{folder}", memoize=False, bf_16=False)
    with pytest.raises(UserError, match="no address"):
        get_model(f"charter/{folder}", memoize=False, base_url="http://localhost")


def test_a_checkpoint_by_its_path(tmp_path: Path) -> None:
    folder = save_tiny(str(tmp_path / "tiny"))
    model = get_model(f"charter/{folder}", memoize=False, bf16=False, device="cpu")
    assert str(model) == f"charter/{folder}"
    assert texts(ask(model.api, "Why?", temperature=0.0)) == texts(
        ask(CharterAPI("tiny", policy=tiny_policy()), "Why?", temperature=0.0)
    )


def test_a_loaded_policy_has_its_name(policy: Policy) -> None:
    model = model_of(policy, temperature=0.0)
    assert str(model) == "charter/tiny"
    assert model.config.temperature == 0.0
    assert model.model_args == {}


def test_inspect_finds_the_provider_by_the_declared_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]
    assert declared == {"inspect_ai": {"charter": "charter.evaluation.inspect.registry"}}
    info = tmp_path / "declared-0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: declared\nVersion: 0\n")
    lines = [f"{name} = {value}" for name, value in declared["inspect_ai"].items()]
    (info / "entry_points.txt").write_text("[inspect_ai]\n" + "\n".join(lines) + "\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    clear_entry_points_state()
    loaded: list[str] = []
    monkeypatch.setattr("importlib.metadata.EntryPoint.load", lambda self: loaded.append(self.value))
    ensure_entry_points("charter")
    clear_entry_points_state()
    assert "charter.evaluation.inspect.registry" in loaded


# -- gathering ----------------------------------------------------------------


def test_a_cancelled_call_takes_nobody_with_it() -> None:
    batches: list[list[int]] = []

    def work(batch: Sequence[int]) -> list[int]:
        batches.append(list(batch))
        return [10 * one for one in batch]

    found: list[int] = []

    async def all_of_them() -> None:
        gather: Gatherer[int, int] = Gatherer(work, wait=0.01)

        async def keep(number: int) -> None:
            found.append(await gather.ask(number))

        async with anyio.create_task_group() as group:
            with anyio.move_on_after(0.001):  # the first in the queue, who would have run the batch
                await gather.ask(0)
            for number in (1, 2, 3):
                group.start_soon(keep, number)

    anyio.run(all_of_them)
    assert sorted(found) == [10, 20, 30]
    assert [one for batch in batches for one in batch] == [1, 2, 3]


def test_batches_are_bounded_and_errors_reach_those_they_belong_to() -> None:
    sizes: list[int] = []

    def work(batch: Sequence[int]) -> list[int | BaseException]:
        sizes.append(len(batch))
        if 7 in batch:
            raise ServiceError
        return [ValueError(one) if one == 2 else one for one in batch]

    found: dict[int, Any] = {}

    async def all_of_them() -> None:
        gather: Gatherer[int, int] = Gatherer(work, most=3, wait=0.01)

        async def keep(number: int) -> None:
            try:
                found[number] = await gather.ask(number)
            except Exception as error:
                found[number] = error

        async with anyio.create_task_group() as group:
            for number in range(8):
                group.start_soon(keep, number)

    anyio.run(all_of_them)
    assert sizes == [3, 3, 2]
    assert [found[number] for number in (0, 1, 3, 4, 5)] == [0, 1, 3, 4, 5]
    assert isinstance(found[2], ValueError)
    assert all(isinstance(found[number], ServiceError) for number in (6, 7))


class ServiceError(Exception):
    pass


def test_the_provider_is_one_of_inspects(api: CharterAPI) -> None:
    assert isinstance(api, ModelAPI)
