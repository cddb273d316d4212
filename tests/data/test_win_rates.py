from __future__ import annotations

from typing import Any

import pytest

from charter.catalogue import ENTRIES
from charter.data.formats import load_groups
from charter.data.win_rates import check_win_rates
from charter.errors import DataError
from charter.pipeline.recipe import train_options


def rated(*scores: float) -> dict[str, Any]:
    return {"prompt": "Hi", "responses": [f"answer {i}" for i in range(len(scores))], "scores": list(scores)}


def check(algorithm: str, rows: list[dict[str, Any]], **given: Any) -> Any:
    loaded = load_groups(rows, ENTRIES[algorithm].data)
    options = train_options(algorithm, given, "recipe.yaml")
    assert check_win_rates(loaded, options) is loaded
    return loaded


def test_win_rates_between_0_and_1_are_taken() -> None:
    check("sppo", [rated(0.0, 0.4, 1.0)])
    check("sppo", [{"prompt": "Hi", "chosen": "a", "rejected": "b", "margin": 7.0, "probability": 0.8}])


@pytest.mark.parametrize("score", [1.5, -0.1])
@pytest.mark.parametrize("options", [("sppo", {}), ("dpo", {"loss_type": ["sigmoid", "sppo"]})], ids=str)
def test_other_scores_name_the_row(score: float, options: tuple[str, dict[str, Any]]) -> None:
    algorithm, given = options
    with pytest.raises(DataError, match="is not a win rate") as caught:
        check(algorithm, [rated(0.2, 0.4), rated(0.3, score)], **given)
    assert caught.value.where and caught.value.where.endswith("2")
    assert caught.value.fix and "probability" in caught.value.fix


def test_other_losses_do_not_mind() -> None:
    check("dpo", [rated(-3.0, 9.0)])
    assert ENTRIES["hinge"].rows == ""
