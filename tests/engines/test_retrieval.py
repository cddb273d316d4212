"""BM25 and TF-IDF against their formulas, and the two stages together."""

import math

import numpy as np
import pytest

from charter.engines.retrieval import Bm25, Counts, Retriever, TfIdf, words
from charter.errors import UserError

TEXTS = ["the cat sat on the mat", "the dog sat", "a bird sings", "the cat and the dog"]
QUERIES = ["where is the cat", "dog dog bird", "nothing known"]


def bm25_by_hand(query, at):
    """One word after another, as it is written in the literature."""
    documents = [words(text) for text in TEXTS]
    mean = sum(map(len, documents)) / len(documents)
    total = 0.0
    for word in words(query):
        holding = sum(word in one for one in documents)
        count = documents[at].count(word)
        rarity = math.log(1 + (len(documents) - holding + 0.5) / (holding + 0.5))
        total += rarity * count * 2.5 / (count + 1.5 * (0.25 + 0.75 * len(documents[at]) / mean))
    return total


def test_bm25_is_its_formula():
    scores = Bm25(Counts(TEXTS)).scores(QUERIES)
    assert scores.shape == (3, 4)
    for row, query in enumerate(QUERIES):
        for at in range(4):
            assert scores[row, at] == pytest.approx(bm25_by_hand(query, at), abs=1e-12)
    assert not scores[2].any()


def test_tf_idf_is_a_cosine_of_weighted_counts():
    scores = TfIdf(Counts(TEXTS)).scores(QUERIES + TEXTS)
    documents = [words(text) for text in TEXTS]
    known = sorted({word for one in documents for word in one})

    def vector(text):
        listed = words(text)
        found = []
        for word in known:
            holding = sum(word in one for one in documents)
            found.append(listed.count(word) * (math.log(5 / (1 + holding)) + 1))
        return np.asarray(found)

    for row, query in enumerate([*QUERIES[:2], None, *TEXTS]):
        if query is None:
            assert not scores[row].any()  # no known word is no likeness, not a division by zero
            continue
        q = vector(query)
        for at, text in enumerate(TEXTS):
            d = vector(text)
            assert scores[row, at] == pytest.approx(q @ d / np.linalg.norm(q) / np.linalg.norm(d))
    assert np.diag(scores[3:]) == pytest.approx(np.ones(4))


def test_the_nearest_come_first_and_equals_in_order():
    found = Retriever(TEXTS).nearest(["my cat on a mat", "zzz"], 3)
    assert found[0][0] == 0
    assert found[1] == [0, 1, 2]


def test_a_text_that_is_the_query_would_give_the_answer_away():
    found = Retriever(TEXTS).nearest(["the  dog sat"], 4)
    assert 1 not in found[0] and len(found[0]) == 3
    assert Retriever(["only"]).nearest(["only"], 2) == [[]]


def test_the_second_stage_reorders_only_what_the_first_kept():
    """The embedding likes the last text best, which the first stage does not let through."""

    def embed(texts):
        return np.asarray(
            [[text.count("e") + 10.0 * text.startswith("a bird")] for text in texts], np.float32
        )

    texts = ["cat", "cat eee", "cat ee", "a bird sings"]
    kept = Retriever(texts, first=3, embed=embed).nearest(["cat tree"], 3)
    assert kept == [[1, 2, 0]]
    every = Retriever(texts, first=4, embed=embed).nearest(["cat tree"], 2)
    assert every == [[3, 1]]


def test_bad_requests_are_refused():
    with pytest.raises(UserError, match="nothing to retrieve"):
        Retriever([])
    with pytest.raises(UserError, match="k must be"):
        Retriever(TEXTS).nearest(["x"], 0)
    with pytest.raises(UserError, match="first must be"):
        Retriever(TEXTS, first=0)
    assert Retriever(TEXTS).nearest([], 3) == []
    assert Retriever(["", "?!"]).nearest(["x"], 2) == [[0, 1]]  # no words at all is no fault
