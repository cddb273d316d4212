"""Each feature sees what it is named after."""

import pytest

from charter.feedback.recovering.answer_text import AnswerText, content_words
from charter.feedback.recovering.features import BY_NAME
from charter.types import Completion, Context, Sample

PLAIN = "The bridge stands near the old mill. People cross it on foot every day."
MORE = {
    "length": PLAIN + " It was rebuilt after the flood, and the town paid for it.",
    "sentence_length": PLAIN.replace("mill. People", "mill and people"),
    "paragraphs": PLAIN.replace(". ", ".\n\n"),
    "lists": "- The bridge\n- the mill\n- the people",
    "headings": "## Bridge\n" + PLAIN,
    "bold": PLAIN.replace("old mill", "**old mill**"),
    "code": PLAIN + " Type `ls`.",
    "emoji": PLAIN + " \U0001f600",
    "exclamation_marks": PLAIN + "!",
    "final_question": PLAIN + " Does that help?",
    "flattery": "Great question! " + PLAIN,
    "hedging": "Perhaps it might be so. " + PLAIN,
    "certainty": "It is definitely and always so. " + PLAIN,
    "refusal": "I can\u2019t help with that.",
    "apology": "I apologise. " + PLAIN,
    "disclaimers": "As an AI, I cannot say. " + PLAIN,
    "politeness": "Thank you. " + PLAIN,
    "empathy": "You are not alone. " + PLAIN,
    "offers": PLAIN + " Let me know.",
    "eager_opening": "**Sure**, " + PLAIN,
    "first_person": "I think my bridge is ours. " + PLAIN,
    "second_person": "You and your friends. " + PLAIN,
    "numbers": PLAIN + " It has 3 arches of 12.5 m.",
    "examples": PLAIN + " For example, on Sunday.",
    "reasons": PLAIN + " Because it is short, therefore they do.",
    "sources": PLAIN + " According to the town, see https://example.org.",
    "repeats_question": "Who built the wooden harbour? " + PLAIN,
    "diversity": " ".join(f"word{n}" for n in range(40)),
    "repetition": " ".join(["the bridge stands near"] * 6),
    "word_length": "Considerable architectural accomplishments notwithstanding.",
    "informality": "Yeah, it's cool stuff, gonna be awesome. " + PLAIN,
    "sentiment": "A wonderful, beautiful, happy place. " + PLAIN,
    "finished": PLAIN,
}
LESS = {
    "diversity": " ".join(["the bridge stands near the mill"] * 7),
    "finished": PLAIN[:-12],
    "lists": PLAIN,
}


def _read(text, cut=False):
    sample = Sample(Context("q"), Completion(text, finish_reason="length" if cut else "stop"))
    return AnswerText(sample, content_words("Who built the wooden harbour?"))


def test_every_feature_is_tried():
    assert set(MORE) == set(BY_NAME)


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_more_is_more_than_less_by_its_margin(name):
    import math

    feature = BY_NAME[name]
    more, less = feature.score(_read(MORE[name])), feature.score(_read(LESS.get(name, PLAIN)))
    gap = math.log1p(more) - math.log1p(less) if feature.relative else more - less
    assert gap > feature.margin


def test_rates_do_not_grow_with_length():
    text = "Perhaps the bridge stands near the old mill in the green valley by the river. "
    assert BY_NAME["hedging"].score(_read(text * 5)) == pytest.approx(BY_NAME["hedging"].score(_read(text)))
    long, short = (" ".join(f"w{n % 97}" for n in range(size)) for size in (400, 60))
    assert BY_NAME["diversity"].score(_read(long)) == pytest.approx(BY_NAME["diversity"].score(_read(short)))


def test_a_cut_answer_is_not_finished():
    assert BY_NAME["finished"].score(_read(PLAIN, cut=True)) == 0.0
