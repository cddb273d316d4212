from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import Field, model_validator

from charter.config import Config, parse_yaml, read_yaml, validate
from charter.errors import ConfigError


class Judge(Config):
    name: str
    temperature: float = 0.0


class Stage(Config):
    model: str = "smollm2-135m"
    judges: tuple[Judge, ...] = ()
    judge: Judge | None = None


class Recipe(Config):
    learning_rate: float = Field(1e-5, gt=0)
    steps: int = 3
    names: tuple[str, ...] = ()
    train: Stage | None = None
    stages: dict[str, Stage] = Field({})

    @model_validator(mode="after")
    def _sense(self) -> Recipe:
        if self.steps == 13:
            raise ValueError("steps: 13 is unlucky")
        return self


def message(values: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        validate(Recipe, values, where="recipe.yaml")
    assert caught.value.where == "recipe.yaml"
    return str(caught.value)


# -- validate ------------------------------------------------------------------------------


def test_good_values_become_a_frozen_config() -> None:
    recipe = validate(Recipe, {"learning_rate": 2, "names": ["a", "b"]}, where="recipe.yaml")
    assert recipe.learning_rate == 2.0 and recipe.names == ("a", "b")
    with pytest.raises(ValueError, match="frozen"):
        recipe.steps = 4


def test_unknown_key_names_the_nearest() -> None:
    assert "unknown key 'learning_rat'; did you mean 'learning_rate'?" in message({"learning_rat": 1.0})


def test_unknown_key_far_from_all_lists_them() -> None:
    assert "known: learning_rate, names, stages, steps, train" in message({"qqqqq": 1})


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ({"train": {"modle": "x"}}, "train.modle"),
        ({"stages": {"first": {"modle": "x"}}}, "stages.first.modle"),
    ],
)
def test_nested_unknown_key_names_path_and_nearest(values: dict[str, Any], path: str) -> None:
    text = message(values)
    assert f"unknown key {path!r}" in text and "did you mean 'model'?" in text


@pytest.mark.parametrize(
    ("values", "path"),
    [
        (
            {"train": {"judges": [{"name": "a"}, {"name": "b", "temprature": 1.0}]}},
            "train.judges.1.temprature",
        ),
        ({"train": {"judge": {"name": "a", "temprature": 1.0}}}, "train.judge.temprature"),
    ],
)
def test_deeply_nested_unknown_key(values: dict[str, Any], path: str) -> None:
    text = message(values)
    assert f"unknown key {path!r}" in text and "did you mean 'temperature'?" in text


def test_missing_key() -> None:
    assert "missing key 'train.judge.name'" in message({"train": {"judge": {}}})


@pytest.mark.parametrize(
    ("written", "advice"),
    [("1e-5", "1.0e-5"), ("5E-4", "5.0e-4"), ("1e5", "1.0e+5"), ("2.5e-06", "2.5e-6"), ("0.1", "0.1")],
)
def test_number_read_as_text_says_how_to_write_it(written: str, advice: str) -> None:
    text = message(parse_yaml(f"learning_rate: '{written}'", where="recipe.yaml"))
    assert f"write {advice})" in text
    mended = parse_yaml(f"learning_rate: {advice}", where="recipe.yaml")
    assert validate(Recipe, mended, where="recipe.yaml").learning_rate == float(written)


def test_yaml_reads_1e_5_as_text() -> None:
    """The reason for the advice above."""
    assert parse_yaml("x: 1e-5", where="r") == {"x": "1e-5"}


@pytest.mark.parametrize(
    "values",
    [
        {"steps": "3"},
        {"steps": 3.5},
        {"steps": True},
        {"learning_rate": "fast"},
        {"learning_rate": -1.0},
        {"names": "abc"},
        {"names": [1]},
        {"train": 3},
    ],
)
def test_no_lossy_conversion(values: dict[str, Any]) -> None:
    (key,) = values
    assert key in message(values)


@pytest.mark.parametrize("number", ["nan", "inf", "-inf"])
def test_numbers_that_are_none(number: str) -> None:
    assert "learning_rate" in message({"learning_rate": float(number)})


def test_text_that_is_no_number_gets_no_advice() -> None:
    assert "write" not in message({"learning_rate": "fast"})


def test_a_validators_words_are_kept() -> None:
    text = message({"steps": 13})
    assert "steps: 13 is unlucky" in text and "Value error" not in text


def test_all_problems_are_named_at_once() -> None:
    text = message({"learning_rat": 1.0, "steps": "three"})
    assert "learning_rat" in text and "steps" in text


@pytest.mark.parametrize("values", [["a"], "text", 3, None])
def test_no_mapping_at_all(values: Any) -> None:
    assert "recipe.yaml" in message(values)


def test_a_date_is_text() -> None:
    recipe = validate(Recipe, parse_yaml("names: [2024-01-01, 12:30:00x]", where="r"), where="r")
    assert recipe.names == ("2024-01-01", "12:30:00x")


def test_values_that_are_no_plain_data_are_explained() -> None:
    assert "recipe.yaml" in message({"names": [object()]})


def test_keys_that_are_no_text_are_explained() -> None:
    assert "unknown key '2'" in message(parse_yaml("2: a\n", where="recipe.yaml"))


# -- YAML -----------------------------------------------------------------------------------


def test_duplicate_key_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("steps: 3\nnames: [a]\nsteps: 4\n")
    with pytest.raises(ConfigError, match="key 'steps' appears twice") as caught:
        read_yaml(path)
    assert caught.value.where == f"{path}:3"


def test_nested_duplicate_key_names_the_line() -> None:
    with pytest.raises(ConfigError, match="'model' appears twice") as caught:
        parse_yaml("train:\n  model: a\n  judges: []\n  model: b\n", where="recipe.yaml", first_line=10)
    assert caught.value.where == "recipe.yaml:13"


def test_merge_keys_still_work() -> None:
    merged = parse_yaml("base: &b {model: x}\ntrain:\n  <<: *b\n  judges: []\n", where="r")
    assert merged["train"] == {"model": "x", "judges": []}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: [1, 2\nb: 3\n", 2),
        ("a: 1\n\tb: 2\n", 2),
        ("a: 1\n  b: 2\n", 2),
        ("a: 'x\n", 2),
        ("a: *gone\n", 1),
    ],
)
def test_bad_yaml_names_the_line(text: str, line: int) -> None:
    with pytest.raises(ConfigError, match="bad YAML") as caught:
        parse_yaml(text, where="recipe.yaml")
    assert caught.value.where == f"recipe.yaml:{line}"


@pytest.mark.parametrize("text", ["? [a, b]\n: 1\n", "? {a: b}\n: 1\n"])
def test_key_that_is_a_list_or_mapping(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_yaml(text, where="recipe.yaml")


@pytest.mark.parametrize("text", ["- a\n- b\n", "just text\n", "3\n"])
def test_yaml_that_is_no_mapping(text: str) -> None:
    with pytest.raises(ConfigError, match="expected `key: value` lines"):
        parse_yaml(text, where="recipe.yaml")


def test_yaml_runs_no_code() -> None:
    with pytest.raises(ConfigError, match="bad YAML"):
        parse_yaml("x: !!python/object/apply:os.getcwd []\n", where="recipe.yaml")


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n"])
def test_empty_yaml_is_an_empty_mapping(text: str) -> None:
    assert parse_yaml(text, where="recipe.yaml") == {}


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file") as caught:
        read_yaml(tmp_path / "none.yaml")
    assert caught.value.where == str(tmp_path / "none.yaml") and caught.value.fix


def test_folder_instead_of_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        read_yaml(tmp_path)


def test_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(b"name: caf\xe9\n")
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_yaml(path)
