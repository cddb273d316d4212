"""The options of sampling and the checks every engine makes."""

import pytest

from charter.config import validate
from charter.engines.base import Sampling, check_request
from charter.errors import ConfigError, UserError
from charter.types import Context


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": float("inf")}, "temperature"),
        ({"top_p": 0.0}, "top_p"),
        ({"top_p": 1.01}, "top_p"),
        ({"top_k": -1}, "top_k"),
        ({"min_p": 1.5}, "min_p"),
        ({"max_completion_length": 0}, "max_completion_length"),
        ({"stop": [""]}, "stop"),
        ({"seed": -1}, "seed"),
        ({"max_new_tokens": 5}, "max_new_tokens"),
        ({"temperature": 0.0, "top_p": 0.9, "top_k": 5}, "top_p and top_k would do nothing at temperature 0"),
    ],
)
def test_a_wrong_option_is_named(values, says):
    with pytest.raises(ConfigError, match=says):
        validate(Sampling, values, where="recipe.yaml")


def test_stop_may_be_one_text_or_a_list():
    assert validate(Sampling, {"stop": "END"}, where="x").stop == ("END",)
    assert validate(Sampling, {"stop": ["a", "b"]}, where="x").stop == ("a", "b")


def test_greedy_log_probabilities_are_at_temperature_one():
    assert Sampling(temperature=0).greedy
    assert Sampling(temperature=0).logp_temperature == 1.0
    assert Sampling(temperature=0.7).logp_temperature == 0.7


@pytest.mark.parametrize(
    ("contexts", "n", "sampling", "says"),
    [
        ([Context("a", (1,))], 0, Sampling(), "at least 1"),
        ([Context("a", (1,))], 2, Sampling(temperature=0), "all be the same"),
        ([Context("a", (1,)), Context("")], 1, Sampling(), "context 2: an empty context"),
    ],
)
def test_a_request_nobody_can_serve_is_refused(contexts, n, sampling, says):
    with pytest.raises(UserError, match=says):
        check_request(contexts, n, sampling)
