"""The scripted engine: what it is told, exactly, and faults on demand."""

import pytest

from charter.engines.base import Sampling
from charter.engines.scripted import ScriptedEngine
from charter.errors import ServiceFault, UserError
from charter.testing.tiny import tiny_tokenizer
from charter.types import Context, Message

TOKENIZER = tiny_tokenizer()


def chat(text):
    turns = (Message("user", text),)
    ids = TOKENIZER.apply_chat_template([{"role": "user", "content": text}], return_dict=False)
    return Context(turns, tuple(ids))


def test_answers_go_round_and_come_out_as_a_model_would_give_them():
    engine = ScriptedEngine({"hi": ["hello", "hey"]}, TOKENIZER)
    engine.load_weights(None, 5)
    (group,) = engine.generate([chat("hi")], 3, Sampling())
    made = [sample.completion for sample in group.samples]
    assert [c.text for c in made] == ["hello", "hey", "hello"]
    assert made[0].token_ids == (*TOKENIZER("hello")["input_ids"], 257)
    assert all(made[0].trained)
    assert {(c.finish_reason, c.sampled_by, c.weight_version) for c in made} == {("stop", "scripted", 5)}
    assert made[0].content == (Message("assistant", "hello"),)


def test_limits_and_stop_texts_cut_a_script():
    engine = ScriptedEngine(lambda text, sample: f"{text} {sample} END more", TOKENIZER)
    options = Sampling(max_completion_length=5)
    (group,) = engine.generate([chat("abc")], 1, options)
    assert group.samples[0].completion.text == "abc 0"
    assert group.samples[0].completion.finish_reason == "length"
    (group,) = engine.generate([chat("abc")], 1, Sampling(stop=("END",)))
    assert group.samples[0].completion.text == "abc 0 "
    assert group.samples[0].completion.token_ids[-1] == ord("D") - ord("!")
    assert group.samples[0].completion.finish_reason == "stop"


def test_without_a_tokenizer_there_is_only_text():
    (group,) = ScriptedEngine({"p": ["one, two"]}).generate([Context("p")], 1, Sampling(stop=(",",)))
    completion = group.samples[0].completion
    assert (completion.content, completion.token_ids) == ("one", ())


def test_a_prompt_without_an_answer_names_the_nearest():
    with pytest.raises(UserError, match="did you mean 'hello'"):
        ScriptedEngine({"hello": ["x"]}).generate([Context("helo")], 1, Sampling())


def test_it_fails_when_told_and_reports_progress():
    engine = ScriptedEngine({"p": ["x"]}, fail_after=2)
    seen = []
    for _ in range(2):
        engine.generate([Context("p")], 2, Sampling(), policy="reference", on_progress=seen.append)
    assert seen == [2, 2]
    with pytest.raises(ServiceFault):
        engine.generate([Context("p")], 1, Sampling())
    assert engine.calls == 2


def test_bad_requests_are_refused_like_any_engine_would():
    with pytest.raises(UserError, match="at least 1"):
        ScriptedEngine({"p": ["x"]}, TOKENIZER).generate([chat("p")], 0, Sampling())
    with pytest.raises(UserError, match="empty context"):
        ScriptedEngine({"p": ["x"]}, TOKENIZER).generate([Context("p")], 1, Sampling())
