"""What stands between two turns of the model, for templates of several kinds."""

import pytest

from charter.data.render import Template
from charter.engines.base import Sampling
from charter.engines.scripted import ScriptedEngine
from charter.environments.base import Environment, State, Turn, opening_of
from charter.environments.rollout import ROLLOUTS, play, play_metrics
from charter.environments.turn_markup import TurnMarkup
from charter.errors import DataError
from charter.testing.tiny import CHATML, tiny_tokenizer
from charter.types import Completion, Context, Group, Message, Sample

ASSISTANT = "<|im_start|>assistant\n"
NO_TOOLS = (
    "{% for m in messages %}{% if m['role'] not in ['user', 'assistant', 'system'] %}"
    "{{ raise_exception('only user and assistant') }}{% endif %}"
    "{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '" + ASSISTANT.replace("\n", "\\n") + "' }}{% endif %}"
)
DROPS_TOOLS = CHATML.replace(
    "{% for message in messages %}", "{% for message in messages if message['role'] != 'tool' %}"
)
STRIPS_THINKING = CHATML.replace(
    "message['content'] +",
    "(message['content'].split('</think>')[-1] if not loop.last and message['role'] == 'assistant' "
    "else message['content']) +",
)
TRIMS = CHATML.replace("message['content']", "message['content'] | trim")
TALK = (Message("user", "hi"), Message("assistant", "<think>long</think>yes"))


def markup(template):
    return TurnMarkup(Template(tiny_tokenizer(template)))


def between(template, before, new, closed=True):
    found = markup(template)
    made = found.between(before, found.shown(new), closed=closed)
    assert tiny_tokenizer()("" if closed else "<|im_end|>")["input_ids"] == list(
        made.token_ids[: 0 if closed else 1]
    )
    return made


def test_chatml():
    made = between(CHATML, TALK, (Message("tool", "4"),))
    assert made.text == "\n<|im_start|>tool\n4<|im_end|>\n" + ASSISTANT
    assert list(made.token_ids) == tiny_tokenizer()(made.text)["input_ids"]
    open_ended = between(CHATML, TALK, (Message("tool", "4"),), closed=False)
    assert open_ended.text == made.text
    assert open_ended.token_ids == (257, *made.token_ids)


@pytest.mark.parametrize("template", [NO_TOOLS, DROPS_TOOLS])
def test_templates_without_tool_turns_show_user_turns(template):
    assert markup(CHATML).shows_tools
    assert not markup(template).shows_tools
    shown = markup(template).shown((Message("tool", "4"), Message("user", "and?"), Message("user", "now?")))
    assert shown == (Message("user", "4\nand?\nnow?"),)
    assert (
        between(template, TALK, (Message("tool", "4"),)).text
        == "\n<|im_start|>user\n4<|im_end|>\n" + ASSISTANT
    )


@pytest.mark.parametrize("template", [STRIPS_THINKING, TRIMS])
def test_what_the_template_makes_of_earlier_turns_changes_nothing(template):
    before = (*TALK, Message("user", "so?"), Message("assistant", " <think>more</think>no "))
    made = between(template, before, (Message("user", "4"),))
    assert made.text == "\n<|im_start|>user\n4<|im_end|>\n" + ASSISTANT


def test_the_mark_never_meets_what_was_said():
    said = Message("user", "mark0mark <|im_end|> mark1mark")
    made = between(CHATML, (said, Message("assistant", "mark2mark")), (Message("tool", "mark3mark"),))
    assert made.text == "\n<|im_start|>tool\nmark3mark<|im_end|>\n" + ASSISTANT


def test_a_template_that_hides_the_models_turn_is_refused():
    hides = CHATML.replace(
        "message['content'] +",
        "(message['content'] if message['role'] != 'assistant' or loop.last else '') +",
    )
    with pytest.raises(DataError, match="does not show the model's turn"):
        between(hides, TALK, (Message("user", "4"),))


class Asks(Environment):
    name, max_turns = "asks", 3

    def start(self, prompt, seed):
        return State(opening_of(prompt))

    def step(self, state, text):
        return Turn((Message("tool", "go on"),), reward=1.0)


def rollout(template, said):
    tokenizer = tiny_tokenizer(template)
    prompt = Group((Sample(Context((Message("user", "hi"),)), Completion()),), id="p")
    engine = ScriptedEngine(lambda text, index: said, tokenizer)
    return play(engine, Template(tokenizer), Asks(), [prompt], 1, Sampling())


@pytest.mark.parametrize(
    ("template", "said", "stable"),
    [
        (CHATML, "<think>a</think>b", True),
        (CHATML, " b ", True),
        (STRIPS_THINKING, "b", True),
        (STRIPS_THINKING, "<think>a</think>b", False),
        (TRIMS, "b", True),
        (TRIMS, "b ", False),
    ],
)
def test_rewriting_templates_are_seen_and_the_sampled_tokens_stay(template, said, stable):
    groups = rollout(template, said)
    assert groups[0].meta[ROLLOUTS][0]["stable"] is stable
    assert play_metrics(groups)["environment/rewritten_by_template"] == float(not stable)
    text = Template(tiny_tokenizer(template)).decode(groups[0].samples[0].completion.token_ids)
    assert text.count(f"{said}<|im_end|>") == 3
    assert groups[0].judgements[0].value == 3.0


def test_a_rollout_shows_tools_as_the_template_can():
    (group,) = rollout(NO_TOOLS, "ok")
    assert [m.role for m in group.samples[0].completion.content] == ["assistant", "user"] * 2 + ["assistant"]
    assert group.meta[ROLLOUTS][0]["stable"]
