"""What can be measured of an answer without a model, and when two answers differ in it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from charter.feedback.recovering import scores, wordlists
from charter.feedback.recovering.scores import Score

Kind = Literal["length", "layout", "tone", "stance", "language", "content"]


@dataclass(frozen=True)
class Feature:
    """Something countable about an answer.

    Attributes:
        name: identity.
        kind: what it is about.
        more: what an answer with more of it does, after "Select the answer that".
        less: what an answer with less of it does.
        score: how much of it there is.
        margin: answers that differ by no more are alike.
        relative: differences are of logarithms: 0.1 = about a tenth.
        word: what a person would call it.
    """

    name: str
    kind: Kind
    more: str
    less: str
    score: Score
    margin: float
    relative: bool = False
    word: str = ""


FEATURES: tuple[Feature, ...] = (
    Feature("length", "length", "is longer", "is shorter", lambda a: float(a.count), 0.1, True, "length"),
    Feature(
        "sentence_length",
        "language",
        "uses longer sentences",
        "uses shorter sentences",
        scores.sentence_length,
        0.15,
        True,
        "sentence length",
    ),
    Feature(
        "paragraphs",
        "layout",
        "has more paragraphs",
        "has fewer paragraphs",
        lambda a: 1.0 + len(scores.PARAGRAPH.findall(a.text)),
        0.5,
        word="paragraphs",
    ),
    Feature(
        "lists",
        "layout",
        "uses more lists",
        "uses fewer lists",
        scores.marks(scores.ITEM),
        0.7,
        True,
        "lists",
    ),
    Feature(
        "headings",
        "layout",
        "uses more headings",
        "uses fewer headings",
        scores.marks(scores.HEADING),
        0.5,
        word="headings",
    ),
    Feature(
        "bold",
        "layout",
        "uses more bold text",
        "uses less bold text",
        scores.marks(scores.BOLD),
        0.5,
        word="bold text",
    ),
    Feature(
        "code", "layout", "shows more code", "shows less code", scores.marks(scores.CODE), 0.5, word="code"
    ),
    Feature(
        "emoji", "tone", "uses more emoji", "uses fewer emoji", scores.marks(scores.EMOJI), 0.5, word="emoji"
    ),
    Feature(
        "exclamation_marks",
        "tone",
        "uses more exclamation marks",
        "uses fewer exclamation marks",
        scores.marks(re.compile("!")),
        0.5,
        word="exclamation marks",
    ),
    Feature(
        "final_question",
        "stance",
        "ends with a question to the user",
        "does not end with a question",
        lambda a: float(scores.FINAL_QUESTION.search(a.text) is not None),
        0.5,
        word="questions at the end",
    ),
    Feature(
        "flattery",
        "tone",
        "praises or flatters the user more",
        "praises or flatters the user less",
        scores.found(scores.words(wordlists.PRAISE)),
        0.5,
        word="flattery",
    ),
    Feature(
        "hedging",
        "stance",
        "hedges more",
        "hedges less",
        scores.rate(scores.words(wordlists.HEDGES)),
        0.75,
        word="hedging",
    ),
    Feature(
        "certainty",
        "stance",
        "sounds more certain",
        "sounds less certain",
        scores.rate(scores.words(wordlists.CERTAIN)),
        0.75,
        word="certainty",
    ),
    Feature(
        "refusal",
        "stance",
        "refuses or declines",
        "does not refuse",
        scores.has(scores.words(wordlists.REFUSALS)),
        0.5,
        word="refusals",
    ),
    Feature(
        "apology",
        "tone",
        "apologises more",
        "apologises less",
        scores.found(scores.words(wordlists.APOLOGIES)),
        0.5,
        word="apologies",
    ),
    Feature(
        "disclaimers",
        "stance",
        "gives more disclaimers",
        "gives fewer disclaimers",
        scores.found(scores.words(wordlists.DISCLAIMERS)),
        0.5,
        word="disclaimers",
    ),
    Feature(
        "politeness",
        "tone",
        "uses more polite phrases",
        "uses fewer polite phrases",
        scores.found(scores.words(wordlists.POLITE)),
        0.5,
        word="polite phrases",
    ),
    Feature(
        "empathy",
        "tone",
        "shows more empathy with the user's feelings",
        "shows less empathy with the user's feelings",
        scores.found(scores.words(wordlists.EMPATHY)),
        0.5,
        word="empathy",
    ),
    Feature(
        "offers",
        "tone",
        "offers further help",
        "does not offer further help",
        scores.found(scores.words(wordlists.OFFERS)),
        0.5,
        word="offers of further help",
    ),
    Feature(
        "eager_opening",
        "tone",
        "opens with eager agreement",
        "does not open with eager agreement",
        scores.opens(scores.words(wordlists.EAGER)),
        0.5,
        word="eager openings",
    ),
    Feature(
        "first_person",
        "language",
        "speaks more in the first person",
        "speaks less in the first person",
        scores.rate(scores.words(wordlists.FIRST_PERSON)),
        1.0,
        word="the first person",
    ),
    Feature(
        "second_person",
        "language",
        "addresses the reader more",
        "addresses the reader less",
        scores.rate(scores.words(wordlists.SECOND_PERSON)),
        1.0,
        word="addressing the reader",
    ),
    Feature(
        "numbers",
        "content",
        "gives more numbers",
        "gives fewer numbers",
        lambda a: a.per_hundred(len(scores.NUMBER.findall(scores.ITEM.sub("", a.text)))),
        1.0,
        word="numbers",
    ),
    Feature(
        "examples",
        "content",
        "gives more examples",
        "gives fewer examples",
        scores.found(scores.words(wordlists.EXAMPLES)),
        0.5,
        word="examples",
    ),
    Feature(
        "reasons",
        "content",
        "gives more reasons",
        "gives fewer reasons",
        scores.rate(scores.words(wordlists.REASONS)),
        0.75,
        word="reasons",
    ),
    Feature(
        "sources",
        "content",
        "names more sources",
        "names fewer sources",
        scores.found(scores.SOURCE),
        0.5,
        word="sources",
    ),
    Feature(
        "repeats_question",
        "content",
        "repeats the question before it answers",
        "does not repeat the question",
        scores.repeats_question,
        0.2,
        word="repeating the question",
    ),
    Feature(
        "diversity",
        "language",
        "varies its words more",
        "varies its words less",
        scores.diversity,
        0.04,
        word="varied words",
    ),
    Feature(
        "repetition",
        "language",
        "repeats itself more",
        "repeats itself less",
        scores.repetition,
        0.05,
        word="repetition",
    ),
    Feature(
        "word_length",
        "language",
        "uses longer words",
        "uses shorter words",
        scores.word_length,
        0.06,
        True,
        "word length",
    ),
    Feature(
        "informality",
        "language",
        "is written less formally",
        "is written more formally",
        scores.rate(scores.words(wordlists.INFORMAL)),
        1.0,
        word="informality",
    ),
    Feature(
        "sentiment",
        "tone",
        "sounds more positive",
        "sounds less positive",
        scores.sentiment,
        1.0,
        word="positive words",
    ),
    Feature(
        "finished",
        "content",
        "comes to its end",
        "breaks off",
        lambda a: float(a.finished),
        0.5,
        word="finished answers",
    ),
)
"""Everything that is measured."""

BY_NAME = {feature.name: feature for feature in FEATURES}
