"""Environments of other packages, as their documentation describes them."""

import asyncio
import random
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from charter.data.render import Template
from charter.engines.base import Sampling
from charter.engines.scripted import ScriptedEngine
from charter.environments.adapters import adapt
from charter.environments.gym_adapter import GymEnvironment, observation_text
from charter.environments.rollout import ROLLOUTS, play
from charter.environments.verifiers_adapter import VerifiersEnvironment
from charter.errors import ConfigError, UserError
from charter.testing.tiny import tiny_tokenizer
from charter.types import Completion, Context, Group, Message, Sample

TOKENIZER = tiny_tokenizer()
TEMPLATE = Template(TOKENIZER)


def played(environment, answer, prompts=None, n=1, **options):
    prompts = environment.prompts(2, 0) if prompts is None else prompts
    sampling = Sampling(max_completion_length=options.pop("limit", 400))
    return play(ScriptedEngine(answer, TOKENIZER), TEMPLATE, environment, prompts, n, sampling, **options)


def roles(group, index=0):
    return [message.role for message in group.samples[index].completion.content]


# -- verifiers ---------------------------------------------------------------------------------------


class Rows(list):
    """The part of a data set that is used."""

    def shuffled(self, seed):
        rows = list(self)
        random.Random(seed).shuffle(rows)
        return rows


ROWS = Rows(
    {
        "prompt": [{"role": "user", "content": f"Name a word with {letter}."}],
        "answer": letter,
        "info": '{"k": 2}',
    }
    for letter in "abcdef"
)


class Rubric:
    def __init__(self, funcs, weights=None, **objects):
        self.funcs, self.weights = funcs, weights or [1.0] * len(funcs)
        self.class_objects = {"parser": SimpleNamespace(parse=str.strip), **objects}


async def has_letter(completion, answer, parser):
    return 1.0 if answer in parser.parse(completion[-1]["content"]) else 0.0


def asked_twice(state, **kwargs):
    return float(len(state["trajectory"]) == kwargs["info"]["k"])


def num_turns(state):
    return len(state["trajectory"])


class NewStyle:
    """``MultiTurnEnv`` as of 2026: stop conditions over the state, messages come back alone."""

    def __init__(self, rubric=None, max_turns=-1):
        self.rubric = rubric or Rubric([has_letter, asked_twice, num_turns], [1.0, 0.5, 0.0])
        self.max_turns = max_turns
        self.cleaned = []
        self._cleanup_handlers = [self.clean]

    def get_dataset(self, n=-1, seed=None):
        rows = ROWS if seed is None else ROWS.shuffled(seed)
        return rows[:n] if n > 0 else rows

    async def setup_state(self, state):
        state["asked"] = 0
        return state

    async def is_completed(self, state, **kwargs):
        if state.get("error") is not None or state.get("final_env_response") is not None:
            return True
        return len(state["trajectory"]) >= self.max_turns > 0 or state["asked"] >= 2

    async def env_response(self, messages, state, **kwargs):
        assert messages[-1]["role"] == messages[-1].role == "assistant"
        assert len(messages) == 1 + len(state["completion"])
        await asyncio.sleep(0)
        state["asked"] += 1
        if messages[-1]["content"] == "enough":
            state["final_env_response"] = [{"role": "user", "content": "Bye."}]
            return state["final_env_response"]
        if messages[-1]["content"] == "fail":
            raise RuntimeError("sandbox is gone")
        return [{"role": "user", "content": "Another."}]

    async def clean(self, state):
        self.cleaned.append(state["completion"])


class OldStyle:
    """``MultiTurnEnv`` as of 2025: messages and state go in and come back."""

    max_turns = 4

    def __init__(self):
        self.rubric = SimpleNamespace(
            reward_funcs=[has_letter], reward_weights=[2.0], parser=SimpleNamespace(parse=str)
        )
        self.dataset = ROWS

    def is_completed(self, messages, state, **kwargs):
        return state["turn"] >= self.max_turns or "stop" in messages[-1]["content"]

    def env_response(self, messages, state, **kwargs):
        return [{"role": "user", "content": "stop" if state["turn"] == 2 else "Again."}], {
            **state,
            "seen": True,
        }


def test_verifiers_prompts_are_rows_in_the_seeds_order():
    environment = VerifiersEnvironment(NewStyle())
    groups = environment.prompts(4, 1)
    assert groups == environment.prompts(4, 1)
    assert [g.meta["answer"] for g in groups] != [g.meta["answer"] for g in environment.prompts(4, 2)]
    assert groups[0].samples[0].context.content[0].role == "user"
    assert (environment.name, environment.max_turns) == ("NewStyle", 10)
    with pytest.raises(UserError, match="no data set"):
        VerifiersEnvironment(SimpleNamespace(is_completed=lambda state: True)).prompts(1, 0)


def test_the_newer_form():
    inner = NewStyle()
    (group, _) = played(VerifiersEnvironment(inner), lambda text, i: "abcdef")
    assert roles(group) == ["assistant", "user", "assistant", "user", "assistant"]
    record = group.meta[ROLLOUTS][0]
    assert record["ending"] == "done"
    assert record["info"] == {"has_letter": 1.0, "asked_twice": 0.0, "num_turns": 3.0}
    assert group.judgements[0].value == 1.0
    assert [len(completion) for completion in inner.cleaned] == [5, 5]

    (group, _) = played(VerifiersEnvironment(NewStyle(max_turns=2)), lambda text, i: "abcdef")
    assert roles(group) == ["assistant", "user", "assistant"]
    assert group.judgements[0].value == 1.5


def test_a_final_answer_of_the_environment_ends_it():
    (group, _) = played(VerifiersEnvironment(NewStyle(Rubric([num_turns]))), lambda text, i: "enough")
    assert roles(group) == ["assistant"]
    assert (group.meta[ROLLOUTS][0]["ending"], group.judgements[0].value) == ("done", 1.0)


def test_the_older_form():
    (group, _) = played(VerifiersEnvironment(OldStyle()), lambda text, i: "abcdef")
    assert roles(group) == ["assistant", "user", "assistant"]
    assert group.meta[ROLLOUTS][0]["ending"] == "done"
    # The environment's last word ends the conversation, so it is what the reward function reads.
    assert group.judgements[0].value == (2.0 if group.meta["answer"] in "stop" else 0.0)


def test_unfinished_rollouts_are_scored_as_they_stand():
    environment = VerifiersEnvironment(NewStyle())
    (group, _) = played(environment, lambda text, i: "abcdef", max_turns=1)
    assert (group.meta[ROLLOUTS][0]["ending"], group.judgements[0].value) == ("max_turns", 1.0)
    (group, _) = played(environment, lambda text, i: "abcdef", limit=3)
    expected = float(group.meta["answer"] in "abc")
    assert (group.meta[ROLLOUTS][0]["ending"], group.judgements[0].value) == ("length", expected)
    (group, _) = played(environment, lambda text, i: "abcdef", max_tokens=8)
    assert (group.meta[ROLLOUTS][0]["ending"], group.judgements[0].value) == ("length", 1.0)


def test_what_a_reward_function_raises_is_no_zero():
    def breaks(completion):
        raise KeyError("x")

    def said(rubric, answer="abcdef"):
        (group, _) = played(VerifiersEnvironment(NewStyle(rubric)), lambda text, i: answer)
        return group.judgements[0].verdict, group.judgements[0].value, group.judgements[0].reason

    assert said(Rubric([has_letter, breaks])) == ("error", None, "breaks raised KeyError: 'x'")
    assert said(Rubric([has_letter, breaks], [1.0, 0.0]))[:2] == ("judged", 1.0)
    assert said(Rubric([lambda completion: None]))[0] == "abstained"
    assert said(Rubric([lambda completion: "good"]))[0] == "error"
    assert said(Rubric([]))[0] == "abstained"
    assert said(None, "fail") == ("error", None, "RuntimeError: sandbox is gone")
    group_of_rubrics = SimpleNamespace(rubrics=[Rubric([has_letter]), Rubric([num_turns], [0.1])])
    assert said(group_of_rubrics)[1] == pytest.approx(1.3)


def test_an_error_in_the_state_is_an_error():
    class Errs(NewStyle):
        async def env_response(self, messages, state, **kwargs):
            state["error"] = ValueError("tool")
            return [{"role": "user", "content": "?"}]

    (group, _) = played(VerifiersEnvironment(Errs()), lambda text, i: "abcdef")
    assert group.judgements[0].reason == "ValueError: tool"


def test_what_cannot_be_played_is_refused_at_once():
    tools = NewStyle()
    tools.tool_defs = [{"name": "search"}]
    with pytest.raises(ConfigError, match="outside the text"):
        VerifiersEnvironment(tools)
    with pytest.raises(ConfigError, match="compares whole groups"):
        VerifiersEnvironment(NewStyle(Rubric([lambda completions: [0.0]])))
    with pytest.raises(ConfigError, match="1 reward functions and 2 weights"):
        VerifiersEnvironment(NewStyle(Rubric([has_letter], [1.0, 1.0])))


def test_rollouts_of_a_prompt_do_not_share_a_state():
    (group, _) = played(VerifiersEnvironment(NewStyle()), lambda text, i: ["enough", "abcdef"][i], n=2)
    assert [record["turns"] for record in group.meta[ROLLOUTS]] == [1, 2]
    assert [len(sample.completion.content) for sample in group.samples] == [1, 3]


# -- Gymnasium and OpenEnv ----------------------------------------------------------------------------


class Corridor:
    """Gymnasium: five values, a seed, an info."""

    opened = 0

    def reset(self, *, seed=None, options=None):
        type(self).opened += 1
        self.at = random.Random(seed).randint(1, 3)
        return f"{self.at} steps", {"seed": seed}

    def step(self, action):
        if action not in ("walk", "wait"):
            raise ValueError(f"no such action {action}")
        self.at -= action == "walk"
        return f"{self.at} steps", 1.0 if self.at == 0 else -0.25, self.at == 0, False, {"at": self.at}

    def close(self):
        type(self).opened -= 1


def test_gymnasium():
    environment = GymEnvironment(Corridor, name="corridor", instructions="Walk or wait.")
    prompts = environment.prompts(6, 0)
    assert prompts == environment.prompts(6, 0) != environment.prompts(6, 1)
    groups = played(environment, lambda text, i: "walk", prompts, n=2)
    for group, prompt in zip(groups, prompts, strict=True):
        assert group.samples[0].context.content == prompt.samples[0].context.content
        steps = int(group.samples[0].context.text.split("\n\n")[1][0])
        assert [record["turns"] for record in group.meta[ROLLOUTS]] == [steps, steps]
        assert group.judgements[0].value == 1.0 - 0.25 * (steps - 1)
        assert group.meta[ROLLOUTS][0]["info"] == {"at": 0}
    assert len({group.meta[ROLLOUTS][0]["turns"] for group in groups}) > 1
    assert Corridor.opened == 0


def test_a_gym_environment_that_raises_or_never_ends():
    environment = GymEnvironment(Corridor, name="corridor", max_turns=3)
    (group, _) = played(environment, lambda text, i: "fly")
    assert group.judgements[0].reason == "ValueError: no such action fly"
    (group, _) = played(environment, lambda text, i: "wait")
    assert (group.meta[ROLLOUTS][0]["ending"], group.judgements[0].value) == ("max_turns", -0.75)
    assert Corridor.opened == 0


def test_prompts_of_a_file_come_before_the_observation():
    row = Group((Sample(Context((Message("user", "Be quick."),)), Completion()),), id="r", meta={})
    environment = GymEnvironment(Corridor, name="corridor")
    first, again = (played(environment, lambda t, i: "walk", [row], n=3)[0] for _ in range(2))
    assert first == again
    opening = first.samples[0].context.content
    assert len(opening) == 1
    assert opening[0].content.startswith("Be quick.\n\n")
    assert len({sample.context.token_ids for sample in first.samples}) == 1


@dataclass
class StepResult:
    observation: object
    reward: float | None = None
    done: bool = False
    metadata: dict | None = None


@dataclass
class Board:
    text: str
    done: bool = False
    reward: float | None = None
    metadata: dict = field(default_factory=dict)


@dataclass
class Action:
    message: str


class OpenEnvClient:
    """OpenEnv's client: coroutines that stay in one loop, step results, typed actions."""

    def __init__(self):
        self.loop = None

    async def reset(self, seed=None, **kwargs):
        self.loop = asyncio.get_running_loop()
        self.left = 2
        return StepResult(Board("two left"))

    async def step(self, action):
        assert asyncio.get_running_loop() is self.loop
        self.left -= 1
        done = self.left == 0
        return StepResult(Board(f"heard {action.message}"), 1.0 if done else None, done, {"left": self.left})

    async def close(self):
        self.loop = None


class OpenEnvServer:
    """OpenEnv's server side: observations that say themselves whether it is over."""

    def reset(self, seed=None, episode_id=None):
        return Board("two left")

    def step(self, action, timeout_s=None):
        return Board("done", done=True, reward=0.5)


def test_openenv():
    environment = GymEnvironment(OpenEnvClient, name="echo", action=Action, reply_as="tool")
    (group, _) = played(environment, lambda text, i: "hi")
    assert group.samples[0].context.text == "two left"
    assert [m.content for m in group.samples[0].completion.content] == ["hi", "heard hi", "hi"]
    assert roles(group)[1] == "tool"
    assert group.judgements[0].value == 1.0
    assert group.meta[ROLLOUTS][0]["info"] == {"left": 0}
    (group, _) = played(GymEnvironment(OpenEnvServer), lambda text, i: "hi")
    assert (group.judgements[0].value, group.samples[0].context.text) == (0.5, "two left")


async def in_a_running_loop():
    return played(GymEnvironment(OpenEnvClient, action=Action), lambda text, i: "hi")


def test_a_loop_that_already_runs_is_no_hindrance():
    (group, _) = asyncio.run(in_a_running_loop())
    assert group.judgements[0].value == 1.0


@pytest.mark.parametrize("result", [("obs", 1.0), 7, None, ("a",)])
def test_results_of_no_known_form_are_errors(result):
    class Odd(OpenEnvServer):
        def step(self, action):
            return result

    (group, _) = played(GymEnvironment(Odd), lambda text, i: "hi")
    assert group.judgements[0].verdict == "error"


def test_observations_as_text():
    assert observation_text("as it is") == "as it is"
    assert observation_text(Board("board", reward=1.0)) == "board"
    assert observation_text({"text": "only", "done": False}) == "only"
    assert observation_text({"text": "é", "moves": [1, 2]}) == '{"text": "é", "moves": [1, 2]}'
    assert observation_text(SimpleNamespace(model_dump=lambda: {"guess": "warm", "reward": 1})) == "warm"
    assert observation_text(17) == "17"


def test_adapt_knows_them_apart():
    assert isinstance(adapt(NewStyle, where="x"), VerifiersEnvironment)
    assert isinstance(adapt(Corridor, where="x"), GymEnvironment)
    assert adapt(Corridor, where="x").name == "Corridor"
    with pytest.raises(ConfigError, match="is no environment"):
        adapt(dict, where="x")
    with pytest.raises(ConfigError, match="could not be made: ZeroDivisionError"):
        adapt(lambda: 1 / 0, where="x")
