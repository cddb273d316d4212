import socket

import pytest

from charter.constitution.languages import LANGUAGES
from charter.constitution.rules import READABILITY_METRICS, Language, Profanity, Readability
from charter.feedback.rules import language as rule_language
from charter.feedback.rules.language import language, profanity, readability

ENGLISH = "The weather is nice today, so we went for a walk along the river."
GERMAN = "Das Wetter ist heute schön, also gingen wir am Fluss spazieren."
HARD = "Considerable infrastructural modifications notwithstanding, institutions perpetuate inefficiencies."


@pytest.fixture
def no_network(monkeypatch):
    """Any attempt to reach the network is an error, and is counted."""
    attempts = []

    def refuse(*args, **kwargs):
        attempts.append(args)
        raise OSError("the network is blocked")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    return attempts


def test_language():
    english = Language(code="en")
    assert language(ENGLISH, "stop", "", english).passed is True
    assert language(GERMAN, "stop", "", english).passed is False
    assert language(GERMAN, "stop", "", Language(code="de")).passed is True


@pytest.mark.parametrize("text", ["", "Yes.", "Yes, of course."])
def test_language_abstains_on_a_few_words(text):
    assert language(text, "stop", "", Language(code="en")).passed is None


def test_language_abstains_when_unsure():
    assert language("x y = 5; y q = 7", "stop", "", Language(code="en")).passed is None
    assert language(ENGLISH, "stop", "", Language(code="en", min_probability=1.0)).passed is None


def test_language_codes_are_those_of_the_detector():
    assert set(rule_language._identifier().labels) - {"zxx"} == LANGUAGES


@pytest.mark.parametrize("metric", READABILITY_METRICS)
def test_every_offered_metric_works_offline_and_tells_hard_from_easy(metric, no_network, monkeypatch):
    import nltk

    monkeypatch.setattr(nltk.data, "path", [])
    hard = rule_language._metric(metric)(f"{HARD} {metric}.")
    easy = rule_language._metric(metric)(f"We go to the shop. We buy tea. It is hot. {metric.split('_')[0]}.")
    assert hard > easy
    assert no_network == []


def test_readability_bounds():
    options = {"metric": "automated_readability_index"}
    assert readability(ENGLISH, "stop", "", Readability(max=8, **options)).passed is True
    assert readability(HARD, "stop", "", Readability(max=8, min_words=4, **options)).passed is False
    assert readability(ENGLISH, "stop", "", Readability(min=12, **options)).passed is False
    assert (
        "index 44.6, above 8"
        in readability(HARD, "stop", "", Readability(max=8, min_words=4, **options)).reason
    )


def test_readability_abstains_on_a_few_words():
    assert readability("Salt melts ice.", "stop", "", Readability(max=8)).passed is None


@pytest.mark.parametrize(
    ("text", "options", "passes"),
    [
        ("What a nice day.", {}, True),
        ("What a load of shit.", {}, False),
        ("SH1T", {}, False),
        ("**Bold** move\n* item", {}, True),
        ("Oh, blimey!", {}, True),
        ("Oh, Blimey!", {"also": ["blimey"]}, False),
        ("What the hell.", {}, False),
        ("What the hell.", {"allow": ["hell"]}, True),
        ("", {}, True),
    ],
)
def test_profanity(text, options, passes, no_network):
    config = Profanity.model_validate(options)
    assert profanity(text, "stop", "", config).passed is passes
    assert profanity(text, "stop", "", config).passed is passes  # the memo gives the same
    assert no_network == []
