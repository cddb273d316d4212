"""The shipped environments, played by scripts that know how."""

import re

import pytest

from charter.data.render import Template
from charter.engines.base import Sampling
from charter.engines.local import LocalEngine
from charter.engines.scripted import ScriptedEngine
from charter.environments.calculator import Calculator, CalculatorOptions
from charter.environments.guess_number import GuessNumber, GuessNumberOptions
from charter.environments.rollout import ROLLOUTS, play
from charter.testing.tiny import tiny_model, tiny_tokenizer
from charter.types import Group, Message

TOKENIZER = tiny_tokenizer()
TEMPLATE = Template(TOKENIZER)
LONG = Sampling(max_completion_length=400)


def played(environment, answer, count=6, seed=0, **options):
    engine = ScriptedEngine(answer, TOKENIZER)
    return play(engine, TEMPLATE, environment, environment.prompts(count, seed), 1, LONG, **options)


def rewards(groups):
    return [group.judgements[0].value for group in groups]


def uses_the_tool(text, index):
    problem = re.match(r"What is (.*?)\?", text)
    return f"<tool>{problem.group(1)}</tool>" if problem else f"It is <answer>{text}</answer>"


@pytest.mark.parametrize("make", [Calculator, GuessNumber])
def test_prompts_follow_the_seed(make):
    environment = make()
    assert environment.prompts(5, 3) == environment.prompts(5, 3)
    assert environment.prompts(5, 3) != environment.prompts(5, 4)
    assert environment.prompts(3, 3) == environment.prompts(5, 3)[:3]
    groups = environment.prompts(300, 1)
    assert len({group.samples[0].context.text for group in groups}) > 290
    assert len({group.id for group in groups}) == 300


def test_the_secret_is_not_in_the_opening():
    for group in GuessNumber().prompts(50, 0):
        shown = [int(number) for number in re.findall(r"\d+", group.samples[0].context.text)]
        assert shown[:2] == [group.meta["low"], group.meta["high"]]
        assert group.meta["low"] <= group.meta["secret"] <= group.meta["high"]
        state = GuessNumber().start(group, 0)
        assert state.messages == group.samples[0].context.content


def test_a_model_that_uses_the_calculator_is_right():
    groups = played(Calculator(), uses_the_tool)
    assert rewards(groups) == [1.0] * 6
    for group in groups:
        problem, result = group.samples[0].completion.content[0], group.samples[0].completion.content[1]
        assert result == Message("tool", group.meta["answer"])
        assert str(eval(problem.content[6:-7])) == group.meta["answer"]
        assert group.meta[ROLLOUTS][0]["info"] == {"tool_calls": 1, "failed_tool_calls": 0}


def test_wrong_answers_no_answers_and_bad_calls():
    assert rewards(played(Calculator(), lambda t, i: "<answer>-1</answer>")) == [0.0] * 6
    assert rewards(played(Calculator(), lambda t, i: "<answer>a lot</answer>")) == [0.0] * 6
    groups = played(Calculator(), lambda t, i: "no idea")
    assert rewards(groups) == [0.0] * 6
    assert groups[0].meta[ROLLOUTS][0]["ending"] == "max_turns"
    assert "<tool>" in groups[0].samples[0].completion.content[1].content
    groups = played(Calculator(), lambda t, i: "<tool>open('/etc/passwd')</tool>")
    assert groups[0].samples[0].completion.content[1].content.startswith("error: only numbers")
    assert groups[0].meta[ROLLOUTS][0]["info"]["failed_tool_calls"] == 4


@pytest.mark.parametrize(
    ("turn", "reply"),
    [
        ("<tool>2+3", "5"),  # cut by a stop text before its end
        ("<TOOL> 2 + 3 </TOOL>", "5"),
        ("<answer>9</answer> no: <tool>2+3</tool>", "5"),
        ("<tool>1+1</tool> then <tool>2+3</tool>", "5"),
        ("<tool>1+1</tool> is 2, so <answer>6</answer>", None),
        ("<answer>6", None),
    ],
)
def test_the_last_tag_counts(turn, reply):
    environment = Calculator()
    (group,) = environment.prompts(1, 0)
    state = environment.start(Group(group.samples, meta={"answer": "6"}), 0)
    answer = environment.step(state, turn)
    if reply is None:
        assert (answer.done, answer.reward) == (True, 1.0)
    else:
        assert answer.messages == (Message("tool", reply),)
    assert environment.step(state, turn) == answer  # nothing is remembered outside the state


def test_calculator_options_shape_the_problems():
    options = CalculatorOptions(min_operands=3, max_operands=3, max_number=9, operators="-", reply_as="user")
    for group in Calculator(options).prompts(50, 0):
        assert re.fullmatch(r"\d - \d - \d", group.meta["expression"])
    groups = played(Calculator(options), uses_the_tool)
    assert groups[0].samples[0].completion.content[1].role == "user"
    assert rewards(groups) == [1.0] * 6


def halves(low, high):
    """A script that keeps its bounds by reading the answers."""
    bounds = {"low": low, "high": high}

    def answer(text, index):
        heard = re.fullmatch(r"My number is (higher|lower) than (\d+)\.", text)
        if heard and heard.group(1) == "higher":
            bounds["low"] = int(heard.group(2)) + 1
        elif heard:
            bounds["high"] = int(heard.group(2)) - 1
        return f"<guess>{(bounds['low'] + bounds['high']) // 2}</guess>"

    return answer


def test_halving_always_finds_the_number():
    environment = GuessNumber()
    assert environment.max_turns == 8
    for group in environment.prompts(40, 5):
        engine = ScriptedEngine(halves(group.meta["low"], group.meta["high"]), TOKENIZER)
        (done,) = play(engine, TEMPLATE, environment, [group], 1, LONG)
        record = done.meta[ROLLOUTS][0]
        assert record["ending"] == "done"
        assert done.judgements[0].value == pytest.approx(1 - (record["turns"] - 1) / 8)
        assert record["turns"] <= 7


def test_guesses_that_miss_or_are_none():
    options = GuessNumberOptions(size=10, max_turns=3)
    groups = played(GuessNumber(options), lambda t, i: "<guess>-5</guess>")
    assert rewards(groups) == [0.0] * 6
    assert groups[0].samples[0].completion.content[1].content == "My number is higher than -5."
    groups = played(GuessNumber(options), lambda t, i: "let me think")
    assert rewards(groups) == [0.0] * 6
    assert groups[0].meta[ROLLOUTS][0]["info"] == {"guesses": 3, "misread": 3}


@pytest.mark.parametrize(
    ("text", "guess"),
    [
        ("37", 37),
        ("<guess>4</guess> not 9", 4),
        ("is it 5? or 6.", 6),
        ("4.5", None),
        ("v2", None),
        ("<guess> 8", 8),
    ],
)
def test_how_guesses_are_read(text, guess):
    environment = GuessNumber()
    (group,) = environment.prompts(1, 0)
    state = environment.start(Group(group.samples, meta={"low": 0, "high": 99, "secret": guess or 50}), 0)
    assert environment.step(state, text).done is (guess is not None)


@pytest.mark.parametrize(
    ("environment", "meta", "reason"),
    [
        (Calculator(), {}, "'answer' is None"),
        (Calculator(), {"answer": "many"}, "'answer' is 'many'"),
        (GuessNumber(), {"low": 1, "high": 5}, "no secret between its ends"),
        (GuessNumber(), {"low": 1, "high": 5, "secret": 6}, "no secret between its ends"),
    ],
)
def test_rows_without_what_the_task_needs_are_errors(environment, meta, reason):
    group = Group(environment.prompts(1, 0)[0].samples, meta=meta, id="row 3")
    (done,) = play(ScriptedEngine(lambda t, i: "1", TOKENIZER), TEMPLATE, environment, [group], 1, LONG)
    assert done.judgements[0].verdict == "error"
    assert done.judgements[0].reason.startswith("DataError: row 3:")
    assert reason in done.judgements[0].reason


@pytest.mark.parametrize("environment", [Calculator(), GuessNumber()])
def test_a_model_plays_them(environment):
    engine = LocalEngine(tiny_model(1, max_position_embeddings=2048), TOKENIZER)
    groups = play(
        engine, TEMPLATE, environment, environment.prompts(2, 0), 2, Sampling(max_completion_length=30)
    )
    assert all(judgement.value is not None for group in groups for judgement in group.judgements)
