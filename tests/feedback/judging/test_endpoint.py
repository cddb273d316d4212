"""A judge behind an endpoint that does everything real endpoints do, in bounded time."""

import asyncio
import json
import logging
import os
import signal
import threading
import time

import pytest

from charter.errors import ConfigError, Interrupted, ServiceFault, UserError
from charter.feedback.judging.cost import BudgetReached
from charter.feedback.judging.endpoint import Endpoint, open_endpoint
from charter.feedback.judging.family import family_of
from charter.feedback.judging.journal import Journal
from charter.feedback.judging.model import Asking, JudgeModel, Question
from charter.feedback.judging.retry import Retry
from charter.feedback.judging.spec import is_endpoint, parse_spec
from charter.testing.endpoint import Act as Raw
from charter.testing.endpoint import FakeEndpoint, die, garble, hang_up, say, stall, status
from charter.types import Message

QUICK = Retry(base_s=0.01, cap_s=0.05, total_s=0.6, first_s=0.3)
PATIENT = Retry(base_s=0.01, cap_s=0.1, total_s=20, first_s=20)
SECRET = "sk-very-secret-0123456789"


@pytest.fixture(autouse=True)
def no_keys_of_the_machine(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def question(text, prompt_sha="p1"):
    return Question((Message("system", "You judge."), Message("user", text)), prompt_sha)


def questions(count):
    return [question(f"q{number}") for number in range(count)]


def judge(fake, **options):
    options.setdefault("retry", QUICK)
    return open_endpoint(f"endpoint:fake@{fake.url}", **options)


def echo(request):
    return say(f"answer to {request.text}")


def texts(replies):
    return [[reply.text for reply in row] for row in replies]


# -- the plain case ------------------------------------------------------------


def test_answers_come_in_order_with_everything_that_is_known():
    def slowly(request):
        return say(f"answer to {request.text}", wait_s=0.05 if request.text == "q0" else 0.0, model="fake-2")

    with FakeEndpoint(slowly) as fake:
        one = judge(fake, price_in=1.0, price_out=2.0)
        replies = one.answer(questions(5), Asking(max_tokens=7, temperature=0.5, seed=3))
        body = next(r.body for r in fake.requests if r.text == "q0")
    assert isinstance(one, JudgeModel)
    assert texts(replies) == [[f"answer to q{n}"] for n in range(5)]
    reply = replies[0][0]
    assert (reply.model, reply.tokens_in, reply.tokens_out, reply.cached) == ("fake-2", 10, 5, False)
    assert reply.cost == pytest.approx((10 * 1.0 + 5 * 2.0) / 1e6)
    assert body["messages"][0] == {"role": "system", "content": "You judge."}
    assert (body["model"], body["max_tokens"], body["temperature"]) == ("fake", 7, 0.5)
    assert one.name == f"fake@{fake.url.removeprefix('http://')}" and one.family == "fake"
    summary = one.summary()
    assert (summary["calls"], summary["tokens_in"], summary["answered_by"]) == (5, 50, {"fake-2": 5})
    assert summary["cost"] == pytest.approx(5 * 20 / 1e6)


def test_several_answers_have_seeds_of_their_own_and_equal_questions_are_asked_once():
    def by_seed(request):
        return say(str(request.body["seed"]))

    with FakeEndpoint(by_seed) as fake:
        one = judge(fake)
        asked = [question("a"), question("b"), question("a")]
        replies = one.answer(asked, Asking(n=3, temperature=1.0, seed=5))
        other = one.answer([question("a")], Asking(n=3, temperature=1.0, seed=6))
        assert len(fake.requests) == 9
    assert len({reply.text for reply in replies[0]}) == 3
    assert texts(replies)[0] == texts(replies)[2]
    assert [r.cached for r in replies[0]] == [False] * 3 and [r.cached for r in replies[2]] == [True] * 3
    assert not {r.text for r in replies[0]} & {r.text for r in other[0]}


def test_calls_run_together_up_to_the_limit():
    with FakeEndpoint(lambda request: say("x", wait_s=0.05)) as fake:
        judge(fake, concurrency=3).answer(questions(9), Asking())
        assert fake.most_at_once == 3


def test_an_event_loop_that_runs_already_is_no_hindrance():
    with FakeEndpoint(echo) as fake:

        async def notebook():
            return judge(fake).answer(questions(2), Asking())

        assert texts(asyncio.run(notebook())) == [["answer to q0"], ["answer to q1"]]


def test_an_answer_without_words_is_no_answer_and_a_cut_one_says_so():
    def by_text(request):
        return {
            "empty": say("  \n"),
            "cut": say("because", finish="length"),
            "cut empty": say(None, finish="length"),
            "filtered": say("no", finish="content_filter"),
        }[request.text]

    with FakeEndpoint(by_text) as fake:
        names = ["empty", "cut", "cut empty", "filtered"]
        rows = judge(fake).answer([question(name) for name in names], Asking(max_tokens=9))
    empty, cut, cut_empty, filtered = (row[0] for row in rows)
    assert "said nothing" in empty.error and empty.text == ""
    assert (cut.text, cut.error, cut.finish_reason) == ("because", "", "length")
    assert "nothing within 9 tokens" in cut_empty.error
    assert "filter" in filtered.error and filtered.text == ""


def test_refusals_and_answers_in_parts_are_read():
    parts = json.loads(json.dumps(say("").body))
    parts["choices"][0]["message"]["content"] = [
        {"type": "text", "text": "ye"},
        {"type": "text", "text": "s"},
    ]
    refusal = json.loads(json.dumps(say(None).body))
    refusal["choices"][0]["message"]["refusal"] = "I cannot"
    with FakeEndpoint([Raw(body=parts), Raw(body=refusal)]) as fake:
        one = judge(fake)
        said = [one.answer([question(text)], Asking())[0][0].text for text in "ab"]
    assert said == ["yes", "I cannot"]


# -- faults that pass ----------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        status(429, retry_after="0.05"),
        status(500),
        status(503),
        status(408),
        garble(),
        garble(""),
        garble("<html>"),
        Raw(body={"object": "chat.completion", "choices": []}),
        Raw(body={"choices": [{}]}),
        Raw(body=[1]),
        Raw(body={"error": {"message": "upstream", "code": 502}}),
        hang_up(),
        stall(20),
        stall(20, drip=True),
    ],
    ids=lambda act: f"{act.status}-{act.wait_s}-{act.drip}-{str(act.body)[:30]}",
)
def test_a_fault_that_passes_leaves_no_trace_in_the_answers(fault):
    with FakeEndpoint([fault, fault, say("yes")]) as fake:
        one = judge(fake, retry=PATIENT, timeout=0.5 if fault.wait_s else 30)
        assert texts(one.answer([question("a")], Asking())) == [["yes"]]
        assert len(fake.requests) == 3
    assert one.summary()["retries"] == 2


@pytest.mark.parametrize("after", ["0.4", "date"])
def test_too_many_requests_stop_everyone_for_as_long_as_the_service_says(after):
    def script(request):
        if request.number:
            return say("x", wait_s=0.1)
        date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 2))
        return status(429, retry_after=date if after == "date" else after)

    with FakeEndpoint(script) as fake:
        judge(fake, retry=PATIENT, concurrency=2).answer(questions(6), Asking())
        first, _at_the_same_time, *later = fake.requests
    assert len(later) == 5 and all(request.at - first.at >= 0.4 for request in later)


def test_a_server_that_dies_and_returns_loses_nothing(tmp_path):
    def script(request):
        return die(0.5) if request.number == 10 else say(f"answer to {request.text}", wait_s=0.01)

    path = tmp_path / "calls.jsonl"
    with FakeEndpoint(script) as fake:
        one = judge(fake, retry=PATIENT, journal=path, concurrency=4)
        assert texts(one.answer(questions(30), Asking())) == [[f"answer to q{n}"] for n in range(30)]
        assert one.summary()["retries"] >= 1
    assert len(Journal(path)) == 30


# -- faults that do not pass -----------------------------------------------------


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (status(500), "HTTP 500"),
        (status(429), "requests_per_minute"),
        (garble(), "not JSON"),
        (Raw(body={"choices": None}), "no choices"),
        (hang_up(), "server is running"),
        (stall(20), "no answer within 0.2 s"),
    ],
)
def test_a_fault_that_does_not_pass_ends_the_run_in_bounded_time(act, words):
    with FakeEndpoint([act]) as fake:
        start = time.monotonic()
        with pytest.raises(ServiceFault) as fault:
            judge(fake, timeout=0.2 if act.wait_s else 30).answer(questions(50), Asking())
        assert time.monotonic() - start < 10
    assert words in str(fault.value) and fault.value.fix


def test_nobody_there_ends_in_bounded_time():
    with FakeEndpoint(echo) as fake:
        url = fake.url
    start = time.monotonic()
    with pytest.raises(ServiceFault, match="cannot connect") as fault:
        open_endpoint(f"endpoint:fake@{url}", retry=QUICK).answer(questions(3), Asking())
    assert time.monotonic() - start < 10
    assert "address is right" in fault.value.fix


@pytest.mark.parametrize(
    ("code", "kind", "fix"),
    [
        (400, "", "omit=seed"),
        (401, "", "MY_KEY"),
        (403, "", "MY_KEY"),
        (404, "", "/v1"),
        (429, "insufficient_quota", "credit"),
    ],
)
def test_what_time_does_not_mend_is_asked_once(monkeypatch, code, kind, fix):
    monkeypatch.setenv("MY_KEY", SECRET)
    with FakeEndpoint([status(code, "no, never", kind=kind)]) as fake:
        with pytest.raises(ServiceFault, match="no, never") as fault:
            judge(fake, key_env="MY_KEY", concurrency=1).answer(questions(9), Asking())
        assert len(fake.requests) == 1
    assert fix in fault.value.fix


def test_a_wrong_model_and_a_wrong_key_are_named(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "wrong-key-123")
    with FakeEndpoint(echo, models=["other"]) as fake, pytest.raises(ServiceFault, match="'fake'"):
        judge(fake).answer(questions(1), Asking())
    with FakeEndpoint(echo, key="right-key-123") as fake:
        with pytest.raises(ServiceFault, match="401") as fault:
            judge(fake).answer(questions(1), Asking())
        assert "OPENAI_API_KEY" in fault.value.fix and "wrong-key" not in str(fault.value)
        monkeypatch.setenv("OPENAI_API_KEY", "right-key-123")
        assert texts(judge(fake).answer(questions(1), Asking())) == [["answer to q0"]]


def test_one_question_that_is_refused_does_not_cost_the_others(tmp_path):
    def script(request):
        if request.text == "q1":
            return status(400, "maximum context length is 10 tokens", kind="context_length_exceeded")
        if request.text == "q3":
            return status(400, "something about this question only")
        return echo(request)

    path = tmp_path / "calls.jsonl"
    with FakeEndpoint(script) as fake:
        rows = judge(fake, journal=path, concurrency=1).answer(questions(5), Asking())
        again = judge(fake, journal=path).answer([question("q0"), question("q3")], Asking())
    assert [bool(row[0].error) for row in rows] == [False, True, False, True, False]
    assert "maximum context" in rows[1][0].error and rows[1][0].text == ""
    assert again[0][0].cached and "this question" in again[1][0].error


def test_one_call_that_always_fails_does_not_cost_the_others():
    def script(request):
        return status(500) if request.text == "q0" else say("fine", wait_s=0.05)

    with FakeEndpoint(script) as fake:
        rows = judge(fake, concurrency=2).answer(questions(40), Asking())
    assert "HTTP 500" in rows[0][0].error
    assert {row[0].text for row in rows[1:]} == {"fine"}


# -- nothing is asked twice --------------------------------------------------------


def test_a_run_that_was_broken_off_asks_only_what_is_missing(tmp_path):
    path = tmp_path / "calls.jsonl"

    def breaks(request):
        return status(401, "key revoked") if request.number == 6 else echo(request)

    with FakeEndpoint(breaks) as fake:
        with pytest.raises(ServiceFault, match="revoked"):
            judge(fake, journal=path, concurrency=1).answer(questions(10), Asking())
        first = fake.texts[:6]
        rows = judge(fake, journal=path, concurrency=1).answer(questions(10), Asking())
        assert sorted(fake.texts[7:]) == sorted(set(fake.texts) - set(first))
    assert texts(rows) == [[f"answer to q{n}"] for n in range(10)]
    assert [row[0].cached for row in rows] == [True] * 6 + [False] * 4
    assert all(row[0].cost == 0 for row in rows)


def test_another_question_template_or_sampling_is_another_call(tmp_path):
    with FakeEndpoint(echo) as fake:
        one = judge(fake, journal=tmp_path / "calls.jsonl")
        for asked, asking in [
            (question("a"), Asking()),
            (question("b"), Asking()),
            (question("a", "p2"), Asking()),
            (question("a"), Asking(max_tokens=5)),
            (question("a"), Asking(seed=1)),
            (question("a"), Asking(temperature=0.1)),
        ]:
            one.answer([asked], asking)
            one.answer([asked], asking)
        path = tmp_path / "calls.jsonl"
        judge(fake, journal=path, extra={"reasoning_effort": "low"}).answer([question("a")], Asking())
        assert len(fake.requests) == 7
        other = judge(
            fake, journal=tmp_path / "calls.jsonl", omit=("seed",), limit_field="max_completion_tokens"
        )
        assert other.answer([question("a")], Asking())[0][0].cached  # the same answer, said otherwise


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_keeps_what_was_answered(tmp_path, signum):
    path = tmp_path / "calls.jsonl"

    def script(request):
        if request.number == 12:
            os.kill(os.getpid(), signum)
        return say("x", wait_s=0.02)

    with FakeEndpoint(script) as fake:
        start = time.monotonic()
        with pytest.raises(Interrupted, match="of 80 answers") as stopped:
            judge(fake, journal=path, concurrency=4).answer(questions(80), Asking())
        assert time.monotonic() - start < 10
        kept = Journal(path)
        assert len(kept) == len(fake.requests) >= 13  # what was under way was paid for, and is kept
        assert stopped.value.code == 128 + signum and str(path) in stopped.value.fix
        judge(fake, journal=path, concurrency=8).answer(questions(80), Asking())
        assert len(fake.requests) == 80


# -- money --------------------------------------------------------------------------


def test_the_budget_is_never_exceeded_and_everything_is_kept(tmp_path):
    path = tmp_path / "calls.jsonl"
    options = {"journal": path, "price_in": 10.0, "price_out": 100.0, "concurrency": 4}
    with FakeEndpoint(lambda request: say("x", tokens=(20, 8), wait_s=0.01)) as fake:
        one = judge(fake, max_cost=0.02, **options)
        with pytest.raises(BudgetReached, match="of 60 answers") as error:
            one.answer(questions(60), Asking(max_tokens=16))
        asked = len(fake.requests)
        assert "max_cost" in error.value.fix
        assert 10 <= asked <= 20
        assert one.spending.cost == pytest.approx(asked * 0.001) and one.spending.cost <= 0.02
        assert len(Journal(path)) == asked
        judge(fake, **options).answer(questions(60), Asking(max_tokens=16))
        assert len(fake.requests) == 60


def test_the_services_own_cache_and_missing_counts_are_reckoned_with():
    with FakeEndpoint([say("x", tokens=(1000, 0), cached=600), say("a few words", tokens=None)]) as fake:
        one = judge(fake, price_in=10.0, price_out=1.0, price_cached=1.0)
        (first,) = one.answer([question("a")], Asking())[0]
        (second,) = one.answer([question("b")], Asking())[0]
    assert first.cost == pytest.approx((400 * 10 + 600) / 1e6)
    assert second.tokens_out > 0 and second.cost > 0
    assert one.summary()["calls_without_usage"] == 1


def test_the_pace_holds_over_calls():
    def script(request):
        if request.number == 2:
            threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        return echo(request)

    with FakeEndpoint(script) as fake:
        one = judge(fake, requests_per_minute=3)
        one.answer(questions(2), Asking())
        with pytest.raises(Interrupted):  # waiting for the next minute can be stopped, too
            one.answer([question("x"), question("y")], Asking())
        assert len(fake.requests) == 3


def test_progress_shows_the_money_and_what_was_there_before(capsys, tmp_path):
    with FakeEndpoint(echo) as fake:
        options = {"price_in": 1000.0, "price_out": 1000.0, "journal": tmp_path / "c.jsonl"}
        judge(fake, **options).answer(questions(10), Asking())
        judge(fake, **options).answer(questions(40), Asking())
    err = capsys.readouterr().err
    assert "asking fake: 40/40" in err and "0.4500 spent" in err


# -- secrets --------------------------------------------------------------------------


def test_the_key_appears_nowhere(monkeypatch, tmp_path, capsys, caplog):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("JUDGE_KEY", SECRET)

    def script(request):
        assert request.key == SECRET
        return {
            "fine": say(f"your key is {request.key}", model=f"m-{request.key}"),
            "400": status(400, f"content_filter {request.key}"),
            "500": status(500, f"{request.key} overloaded"),
            "401": status(401, f"bad key {request.key}"),
            "html": garble(f"<p>{request.key}</p>"),
        }[request.text]

    path = tmp_path / "calls.jsonl"
    seen = []
    with FakeEndpoint(script) as fake:
        one = judge(fake, key_env="JUDGE_KEY", journal=path)
        seen += [one.answer([question(text)], Asking()) for text in ("fine", "400")]
        for text in ("500", "401", "html"):
            with pytest.raises(ServiceFault) as fault:
                one.answer([question(text)], Asking())
            error = fault.value
            while error is not None:
                seen.append((repr(error), str(error), getattr(error, "fix", "")))
                error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    seen += [repr(vars(one)), one.summary(), capsys.readouterr(), caplog.text, path.read_text()]
    assert "[key]" in str(seen) and len(path.read_text().splitlines()) == 5
    assert SECRET not in str(seen)


def test_a_default_key_is_not_sent_in_the_clear(monkeypatch):
    from charter.feedback.judging.spec import key_of

    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    clear, _ = parse_spec("endpoint:m@http://judge.example:8000/v1")
    safe, _ = parse_spec("endpoint:m@https://judge.example/v1")
    assert key_of(clear, None) == ("", "")
    assert key_of(clear, "OPENAI_API_KEY")[0] == SECRET  # asked for by name
    assert key_of(safe, None)[0] == SECRET
    assert key_of(safe, "") == ("", "")


def test_a_missing_key_is_found_before_anything_is_asked():
    with pytest.raises(UserError, match="OPENAI_API_KEY is not set"):
        open_endpoint("endpoint:gpt-4o@https://api.openai.com/v1")
    with pytest.raises(UserError, match="MY_KEY is not set"):
        open_endpoint("endpoint:gpt-4o@http://127.0.0.1:1/v1", key_env="MY_KEY")


# -- names ------------------------------------------------------------------------------


def test_a_spec_names_model_address_and_options(monkeypatch):
    monkeypatch.setenv("K", "abcdefgh")
    spec = "endpoint:@cf/meta/llama-3.1@8b@https://host:8/a/v1/?v=2,key_env=K,timeout=5,omit=seed+stop"
    address, options = parse_spec(spec)
    assert (address.model, address.url, address.query) == (
        "@cf/meta/llama-3.1@8b",
        "https://host:8/a/v1",
        {"v": "2"},
    )
    assert options == {"key_env": "K", "timeout": 5, "omit": "seed+stop"}
    one = open_endpoint(spec, timeout=9)
    assert isinstance(one, Endpoint)
    assert one.name == "@cf/meta/llama-3.1@8b@host:8/a/v1" and one.family == "llama"
    assert open_endpoint(spec, family="mine").family == "mine"
    assert is_endpoint(spec) and not is_endpoint("smollm2-135m")


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("endpoint:gpt-4o", "does not name"),
        ("gpt-4o@https://host/v1", "does not name"),
        ("endpoint:m@https:///v1", "no host"),
        ("endpoint:m@https://host:99999/v1", "no host"),
        ("endpoint:m@https://user:pw@host/v1", "holds a secret"),
        ("endpoint:m@https://host/v1?api_key=pw", "holds a secret"),
        ("endpoint:m@https://host/v1/chat/completions", "leave out"),
        ("endpoint:m@https://host/v1,timeout", "no value"),
        ("endpoint:m@https://host/v1,timeout=1,timeout=2", "twice"),
        ("endpoint:m@http://127.0.0.1/v1,timout=1", "did you mean 'timeout'"),
        ("endpoint:m@http://127.0.0.1/v1,timeout=soon", "timeout"),
        ("endpoint:m@http://127.0.0.1/v1,timeout=0", "timeout"),
        ("endpoint:m@http://127.0.0.1/v1,omit=sead", "did you mean 'seed'"),
        ("endpoint:m@http://127.0.0.1/v1,accepts=beam", "accepts"),
        ("endpoint:m@http://127.0.0.1/v1,limit_field=max", "limit_field"),
    ],
)
def test_bad_specs_are_refused_with_the_reason(spec, words):
    with pytest.raises(ConfigError) as error:
        open_endpoint(spec)
    assert words in str(error.value) and "pw" not in str(error.value)


def test_options_that_contradict_each_other_are_refused():
    spec = "endpoint:m@http://127.0.0.1/v1"
    with pytest.raises(UserError, match="belong together"):
        open_endpoint(spec, price_in=1.0)
    with pytest.raises(UserError, match="needs prices"):
        open_endpoint(spec, max_cost=1.0)
    with pytest.raises(UserError, match="seed, stream cannot be set"):
        open_endpoint(spec, extra={"stream": True, "seed": 1, "top_k": 5})
    with pytest.raises(UserError, match="at least 1"):
        open_endpoint(spec).answer([question("a")], Asking(n=0))


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("gpt-4o-mini", "gpt"),
        ("openai/gpt-oss-120b", "gpt"),
        ("o3-mini", "gpt"),
        ("claude-3-5-sonnet@20240620", "claude"),
        ("gemini-1.5-pro", "gemini"),
        ("google/gemma-2-9b-it", "gemini"),
        ("meta-llama/Llama-3.1-8B-Instruct", "llama"),
        ("Qwen2.5-72B-Instruct", "qwen"),
        ("Qwen/QwQ-32B", "qwen"),
        ("mistralai/Mixtral-8x7B", "mistral"),
        ("HuggingFaceTB/SmolLM2-135M-Instruct", "smollm"),
        ("smollm2-135m", "smollm"),
        ("phi3.5", "phi"),
        ("acme-7b", "acme"),
        ("somebody/acme_7b", "acme"),
        ("Solo", "solo"),
        ("somebody/acme_7b@api.acme.com/v1", "acme"),
        ("gpt-4o@gateway.mistral.ai/v1", "gpt"),
        ("@cf/meta/llama-3.1-8b", "llama"),
        ("policy", ""),
    ],
)
def test_relatives_are_told_from_names(name, family):
    assert family_of(name) == family
