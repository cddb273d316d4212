"""The engine behind an endpoint: words, and a clear no to everything else."""

from dataclasses import dataclass

import pytest

from charter.engines.base import Mixture, Sampling
from charter.engines.endpoint import ChatCall, EndpointEngine
from charter.engines.sample import sample_prompts
from charter.errors import ServiceFault, UserError
from charter.feedback.judging.endpoint import open_endpoint
from charter.feedback.judging.model import Question
from charter.feedback.judging.retry import Retry
from charter.testing.endpoint import FakeEndpoint, say, status
from charter.types import Completion, Context, Group, Message, Sample, text_of

QUICK = Retry(base_s=0.01, cap_s=0.05, total_s=0.5, first_s=0.3)
WARM = Sampling(temperature=1.0, max_completion_length=9, seed=4)


@pytest.fixture(autouse=True)
def no_keys_of_the_machine(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def chat(text, *before):
    return Context((*before, Message("user", text)))


@dataclass
class Said:
    text: str = "yes"
    error: str = ""
    finish_reason: str = "stop"


class Service:
    """Answers from a function, without a network."""

    name = "fake@host"

    def __init__(self, answer=lambda call: Said(f"{text_of(call.content)} {call.index}")):
        self.answer = answer
        self.calls = []

    def chat(self, calls, on_progress=None):
        self.calls += calls
        if on_progress is not None:
            on_progress(len(calls))
        return [self.answer(call) for call in calls]


def test_every_context_gets_its_group_in_order_and_completions_have_text_only():
    seen = []
    service = Service()
    groups = EndpointEngine(service).generate([chat("a"), Context("b")], 2, WARM, on_progress=seen.append)
    assert [[s.completion.text for s in g.samples] for g in groups] == [["a 0", "a 1"], ["b 0", "b 1"]]
    assert groups[0].samples[0].completion.content == (Message("assistant", "a 0"),)
    assert groups[1].samples[0].completion.content == "b 0"
    completion = groups[0].samples[0].completion
    assert (completion.token_ids, completion.logps, completion.trained) == ((), (), ())
    assert (completion.sampled_by, completion.finish_reason) == ("fake@host", "stop")
    assert sum(seen) == 4
    assert {call.sampling for call in service.calls} == {WARM}


def test_plain_text_may_be_sent_as_a_turn():
    service = Service()
    (group,) = EndpointEngine(service, plain="user").generate([Context("b")], 1, WARM)
    assert service.calls[0].content == (Message("user", "b"),)
    assert group.samples[0].completion.content == "b 0"


def test_what_is_cut_says_so_and_stop_texts_cut():
    engine = EndpointEngine(Service(lambda call: Said("one END two", finish_reason="length")), name="me")
    (group,) = engine.generate([chat("a")], 1, WARM)
    assert group.samples[0].completion.finish_reason == "length"
    (group,) = engine.generate([chat("a")], 1, Sampling(stop="END"), policy="me")
    completion = group.samples[0].completion
    assert (completion.text, completion.finish_reason, completion.sampled_by) == ("one ", "stop", "me")


def test_what_an_endpoint_cannot_do_is_refused():
    service = Service()
    engine = EndpointEngine(service)
    with pytest.raises(UserError, match="cannot be trained"):
        engine.load_weights(object(), 1)
    for contexts, n, sampling, policy, words in [
        ([chat("a")], 1, WARM, Mixture(0.5), "cannot be mixed"),
        ([chat("a")], 1, WARM, "reference", "has no 'reference'"),
        ([chat("a")], 0, WARM, "policy", "at least 1"),
        ([chat("a")], 2, Sampling(temperature=0), "policy", "temperature 0"),
        ([chat("a"), Context("", (1, 2))], 1, WARM, "policy", "needs the words"),
        ([chat("a", Message("tool", "4"))], 1, WARM, "policy", "tool turns"),
        ([Context((Message("user", "a"), Message("assistant", "b")))], 1, WARM, "policy", "assistant's"),
    ]:
        with pytest.raises(UserError, match=words):
            engine.generate(contexts, n, sampling, policy)
    assert service.calls == []
    for option in ({"plain": "guess"}, {"missing": "zero"}):
        with pytest.raises(UserError, match="must be"):
            EndpointEngine(service, **option)


def test_nothing_to_do_asks_nobody():
    service = Service()
    assert EndpointEngine(service).generate([], 2, WARM) == [] and service.calls == []


def test_an_answer_that_cannot_be_had_is_never_an_empty_one(capsys):
    def refuses(call):
        return Said("", "HTTP 400: too long") if text_of(call.content) == "b" else Said("")

    engine = EndpointEngine(Service(refuses))
    with pytest.raises(ServiceFault, match=r"2 of 6 answers .* too long"):
        engine.generate([chat("a"), chat("b"), chat("c")], 2, WARM)
    engine = EndpointEngine(Service(refuses), missing="drop")
    groups = engine.generate([chat("a"), chat("b"), chat("c")], 2, WARM)
    assert [len(group.samples) for group in groups] == [2, 0, 2]  # an empty answer is an answer
    assert engine.dropped == 2 and "2 of 6" in capsys.readouterr().err


def test_a_call_has_the_identity_of_the_same_question():
    turns = (Message("system", "s"), Message("user", "u"))
    assert ChatCall(turns, WARM).sha == Question(turns).sha
    assert ChatCall("u", WARM).sha != ChatCall((Message("user", "u"),), WARM).sha


# -- over the network ----------------------------------------------------------------


def test_turns_are_a_chat_and_plain_text_is_continued():
    with FakeEndpoint(lambda request: say(f"<{request.text}>")) as fake:
        engine = EndpointEngine(open_endpoint(f"endpoint:gpt-x@{fake.url}", accepts="top_k"))
        sampling = Sampling(temperature=0.7, top_p=0.9, top_k=5, max_completion_length=9, stop="\n", seed=4)
        asked = {"p1": chat("hi"), "p2": Context("Once")}
        prompts = [Group((Sample(context, Completion()),), id=name) for name, context in asked.items()]
        groups = sample_prompts(engine, prompts, 2, sampling)
        requests = {(r.path.removeprefix("/v1"), r.text) for r in fake.requests}
        body = fake.requests[0].body
        seeds = {r.body["seed"] for r in fake.requests}
    assert requests == {("/chat/completions", "hi"), ("/completions", "Once")}
    assert [[s.completion.text for s in g.samples] for g in groups] == [["<hi>"] * 2, ["<Once>"] * 2]
    assert [group.id for group in groups] == ["p1", "p2"]
    assert groups[0].samples[0].completion.sampled_by == engine.name
    wanted = {"temperature": 0.7, "top_p": 0.9, "top_k": 5, "max_tokens": 9, "stop": ["\n"], "model": "gpt-x"}
    assert wanted.items() <= body.items() and len(seeds) == 2


def test_filters_a_service_may_not_know_are_refused():
    with FakeEndpoint([say("x")]) as fake:
        engine = EndpointEngine(open_endpoint(f"endpoint:m@{fake.url}"))
        with pytest.raises(UserError, match="top_k"):
            engine.generate([chat("a")], 1, Sampling(top_k=5))
        with pytest.raises(UserError, match="min_p"):
            engine.generate([chat("a")], 1, Sampling(min_p=0.1))
        assert fake.requests == []


def test_a_run_that_broke_off_goes_on_where_it_was(tmp_path):
    def script(request):
        return status(401) if request.number == 3 else say(f"<{request.text}>")

    contexts = [chat(f"q{number}") for number in range(6)]
    with FakeEndpoint(script) as fake:

        def engine():
            service = open_endpoint(
                f"endpoint:m@{fake.url}", journal=tmp_path / "c.jsonl", concurrency=1, retry=QUICK
            )
            return EndpointEngine(service)

        with pytest.raises(ServiceFault, match="401"):
            engine().generate(contexts, 1, WARM)
        seen = []
        groups = engine().generate(contexts, 1, WARM, on_progress=seen.append)
        assert fake.texts == ["q0", "q1", "q2", "q3", "q3", "q4", "q5"]
    assert seen == [3, 1, 1, 1]
    assert [g.samples[0].completion.text for g in groups] == [f"<q{n}>" for n in range(6)]
