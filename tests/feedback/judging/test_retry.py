"""Back-off, patience, and the error each fault ends in; time is a number here."""

import asyncio
from itertools import islice

import pytest

from charter.errors import ServiceFault, UserError
from charter.feedback.judging.retry import CallFailed, GaveUp, Retry, down, fault_of, persist


class Time:
    """A clock that moves only when someone sleeps."""

    def __init__(self):
        self.now = 100.0
        self.slept = []

    def clock(self):
        return self.now

    async def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


def call_of(*outcomes):
    """A call that has these outcomes, the last one for ever."""
    left = list(outcomes)
    made = []

    async def call():
        outcome = left.pop(0) if len(left) > 1 else left[0]
        made.append(outcome)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return call, made


def persisted(call, retry, time, **options):
    return asyncio.run(persist(call, retry, "key", clock=time.clock, sleep=time.sleep, **options))


BUSY = CallFailed("HTTP 500: busy", status=500, transient=True)
GONE = CallFailed("cannot connect", transient=True, reached=False)


def test_waits_double_up_to_the_cap_with_jitter_from_the_seed():
    retry = Retry(base_s=1, cap_s=20, seed=3)
    waits = list(islice(retry.waits("a"), 8))
    for wait, whole in zip(waits, [1, 2, 4, 8, 16, 20, 20, 20], strict=True):
        assert whole / 2 <= wait <= whole
    assert waits == list(islice(retry.waits("a"), 8))
    assert waits != list(islice(retry.waits("b"), 8))
    assert waits != list(islice(Retry(base_s=1, cap_s=20, seed=4).waits("a"), 8))


def test_a_transient_fault_passes_and_is_told_of():
    time, told = Time(), []
    call, made = call_of(BUSY, GONE, "yes")
    found = persisted(call, Retry(), time, on_failure=lambda failed, wait: told.append((failed, wait)))
    assert found == "yes" and len(made) == 3
    assert [failed for failed, _ in told] == [BUSY, GONE]
    assert [wait for _, wait in told] == time.slept


def test_other_faults_end_at_once():
    time = Time()
    call, made = call_of(CallFailed("HTTP 400", status=400))
    with pytest.raises(CallFailed, match="400"):
        persisted(call, Retry(), time)
    assert len(made) == 1 and time.slept == []


def test_the_service_says_when_to_return():
    time = Time()
    call, _ = call_of(CallFailed("HTTP 429", status=429, transient=True, retry_after=40), "yes")
    assert persisted(call, Retry(), time) == "yes"
    assert time.slept == [40]


def test_a_wish_for_more_time_than_there_is_ends_at_once():
    time = Time()
    call, made = call_of(CallFailed("HTTP 429", status=429, transient=True, retry_after=4000), "yes")
    with pytest.raises(GaveUp, match="tried once"):
        persisted(call, Retry(total_s=300), time)
    assert len(made) == 1 and time.slept == []


@pytest.mark.parametrize("total", [10, 300])
def test_the_time_for_one_call_is_bounded(total):
    time = Time()
    call, made = call_of(BUSY)
    with pytest.raises(GaveUp, match="times in") as gave_up:
        persisted(call, Retry(total_s=total), time)
    assert total / 3 < time.now - 100 <= total
    assert gave_up.value.tries == len(made) > 3
    assert gave_up.value.since == 100


def test_an_address_nobody_ever_answered_at_is_given_up_sooner():
    never, before = Time(), Time()
    call, _ = call_of(GONE)
    with pytest.raises(GaveUp):
        persisted(call, Retry(total_s=300, first_s=20), never, met=lambda: False)
    with pytest.raises(GaveUp):
        persisted(call, Retry(total_s=300, first_s=20), before, met=lambda: True)
    assert never.now - 100 <= 20 < before.now - 100 <= 300


@pytest.mark.parametrize("name", ["base_s", "cap_s", "total_s", "first_s"])
def test_times_must_be_positive(name):
    with pytest.raises(UserError, match="positive"):
        Retry(**{name: 0})


@pytest.mark.parametrize(
    ("status", "fix"),
    [(400, "omit=seed"), (401, "MY_KEY"), (402, "credit"), (403, "MY_KEY"), (404, "'tiny'"), (429, "quota")],
)
def test_a_fault_names_what_to_do(status, fix):
    fault = fault_of(CallFailed("no", status=status), service="tiny@host", model="tiny", key_env="MY_KEY")
    assert isinstance(fault, ServiceFault)
    assert fix in fault.fix and fault.where == "tiny@host"


def test_without_a_key_the_fix_names_the_option():
    assert "key_env" in fault_of(CallFailed("no", status=401), service="s", model="m", key_env="").fix


@pytest.mark.parametrize(
    ("failed", "fix"),
    [
        (CallFailed("x", status=429, transient=True), "requests_per_minute"),
        (CallFailed("x", transient=True, timed_out=True), "timeout"),
        (GONE, "server is running"),
        (CallFailed("x", status=200, transient=True), "/v1"),
        (BUSY, "well again"),
    ],
)
def test_a_service_that_is_down_says_how(failed, fix):
    fault = down(GaveUp(failed, 2, 0.0, 3.0), service="s")
    assert fix in fault.fix and "run again" in fault.fix
    assert "2 times in 3 s" in fault.what


def test_a_refusal_of_one_question_is_told_from_a_refusal_of_everything():
    assert CallFailed("This model's maximum context length is 4096", status=400).about_the_question
    assert not CallFailed("Unsupported parameter: 'seed'", status=400).about_the_question
    assert not CallFailed("context length", status=401).about_the_question
