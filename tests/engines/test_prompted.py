"""A model under a system prompt is the model asked with that prompt, and answers under the plain context."""

import pytest
import torch

from charter.data.render import Template
from charter.engines.base import Sampling
from charter.engines.local import LocalEngine
from charter.engines.prompted import PromptedEngine, ReframedEngine, as_answer, rendered
from charter.engines.scripted import ScriptedEngine
from charter.errors import UserError
from charter.testing import tiny_model, tiny_tokenizer
from charter.types import Completion, Context, Message

TOKENIZER = tiny_tokenizer()
TEMPLATE = Template(TOKENIZER)
GREEDY = Sampling(temperature=0.0, max_completion_length=12)


@pytest.fixture(scope="module")
def engine():
    return LocalEngine(tiny_model(2), TOKENIZER, compute_dtype=torch.float32)


def chat(*turns):
    content = tuple(Message(role, text) for role, text in turns)
    return Context(content, TEMPLATE.render_context(content))


ASKED = [
    chat(("user", "How are you?")),
    chat(("system", "Speak French."), ("user", "Hi")),
    chat(("user", "a"), ("assistant", "b"), ("user", "c")),
]
BY_HAND = [
    chat(("system", "Be kind."), ("user", "How are you?")),
    chat(("system", "Be kind.\n\nSpeak French."), ("user", "Hi")),
    chat(("system", "Be kind."), ("user", "a"), ("assistant", "b"), ("user", "c")),
]


@pytest.mark.parametrize("sampling", [GREEDY, Sampling(temperature=0.8, max_completion_length=12, seed=5)])
def test_it_is_the_plain_engine_asked_with_the_system_turn_written_by_hand(engine, sampling):
    n = 1 if sampling.greedy else 3
    ours = PromptedEngine(engine, TEMPLATE, "  Be kind.\n").generate(ASKED, n, sampling)
    theirs = engine.generate(BY_HAND, n, sampling)
    for context, mine, plain in zip(ASKED, ours, theirs, strict=True):
        assert [s.context for s in mine.samples] == [context] * n
        for one, other in zip(mine.samples, plain.samples, strict=True):
            assert one.completion.token_ids == other.completion.token_ids
            assert one.completion.logps == other.completion.logps
            assert one.completion.content == other.completion.content
    without = engine.generate(ASKED, n, sampling)
    assert [g.samples[0].completion.token_ids for g in ours] != [
        g.samples[0].completion.token_ids for g in without
    ]


def test_it_says_who_answered_and_keeps_the_version(engine):
    inner = LocalEngine(tiny_model(2), TOKENIZER, compute_dtype=torch.float32)
    prompted = PromptedEngine(inner, TEMPLATE, "Be kind.")
    prompted.load_weights(tiny_model(3), 7)
    seen = []
    (group,) = prompted.generate(ASKED[:1], 1, GREEDY, on_progress=seen.append)
    assert group.samples[0].completion.sampled_by == "prompted:policy"
    assert group.samples[0].completion.weight_version == 7 == inner.weight_version
    assert sum(seen) == 1


def test_plain_text_gets_the_prompt_as_a_paragraph():
    seen = []

    def script(text, sample):
        seen.append(text)
        return "x"

    engine = PromptedEngine(ScriptedEngine(script, TOKENIZER), TEMPLATE, "Be kind.")
    text = Context("Once upon a time", TEMPLATE.render_context("Once upon a time"))
    (group,) = engine.generate([text], 1, Sampling())
    assert seen == ["Be kind.\n\nOnce upon a time"]
    assert group.samples[0].context is text


def test_what_cannot_be_prompted_is_refused():
    engine = PromptedEngine(ScriptedEngine({"x": ["y"]}, TOKENIZER), TEMPLATE, "Be kind.")
    with pytest.raises(UserError, match="bare token ids"):
        engine.generate([Context(token_ids=(1, 2))], 1, Sampling())
    with pytest.raises(UserError, match="system prompt is empty"):
        PromptedEngine(engine, TEMPLATE, " \n")


def test_answers_of_another_markup_are_written_in_the_context_s_own():
    context = chat(("user", "q"))
    sampled = Completion(
        (Message("assistant", " hello \n"),), (1, 2, 3), (True,) * 3, (-1.0, -2.0, -3.0), "stop", "m", 4
    )
    made = as_answer(sampled, context, TEMPLATE)
    assert made.token_ids == (*TOKENIZER("hello")["input_ids"], 257)
    assert made.trained == (True,) * 6 and made.logps == ()
    assert made.content == (Message("assistant", "hello"),)
    assert (made.finish_reason, made.sampled_by, made.weight_version) == ("stop", "m", 4)
    (whole,) = {(*context.token_ids, *made.token_ids)}
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "hello"}]
    assert TOKENIZER.apply_chat_template(turns, return_dict=False)[: len(whole)] == list(whole)


@pytest.mark.parametrize(
    ("text", "reason", "ids"),
    [
        ("ab", "length", (64 + 1, 64 + 2)),
        ("", "stop", (257,)),
        ("  ", "length", ()),
    ],
)
def test_the_end_of_an_answer_is_the_end_that_happened(text, reason, ids):
    for context in (chat(("user", "q")), Context("q", TEMPLATE.render_context("q"))):
        content = text if isinstance(context.content, str) else (Message("assistant", text),)
        made = as_answer(Completion(content, (9,), (True,), finish_reason=reason), context, TEMPLATE)
        expected = tuple(TOKENIZER(text.strip())["input_ids"]) + ((257,) if reason == "stop" else ())
        assert made.token_ids == expected
        assert len(made.token_ids) == len(ids)


def test_without_a_markup_for_the_conversation_only_the_words_are_kept():
    bare = Context((Message("user", "q"),))
    made = as_answer(Completion((Message("assistant", "a"),), (9,), (True,)), bare, TEMPLATE)
    assert (made.content, made.token_ids, made.trained) == ((Message("assistant", "a"),), (), ())


def test_stop_texts_of_both_the_request_and_the_markup_count():
    engine = ReframedEngine(
        ScriptedEngine(lambda text, sample: "one two END three", TOKENIZER),
        lambda context: rendered(context.content, TEMPLATE),
        label="framed",
        stop=("two", "END"),
    )
    (group,) = engine.generate([chat(("user", "q"))], 1, Sampling(stop=("three",)))
    assert group.samples[0].completion.text == "one "
    (group,) = engine.generate([chat(("user", "q"))], 1, Sampling(stop=("ne",)))
    assert group.samples[0].completion.text == "o"
