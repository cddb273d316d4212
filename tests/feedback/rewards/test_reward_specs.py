from __future__ import annotations

import sys
from pathlib import Path

import pytest
from reward_rollouts import group, write

from charter.errors import CharterError, ConfigError, EnvironmentFault
from charter.feedback.rewards import open_rewards
from charter.feedback.rewards.spec import unique
from charter.models.reward import name_dimensions, with_reward_head
from charter.testing import tiny_model, tiny_tokenizer

CODE = """
class C:
    def __init__(self, completion): pass
    def __call__(self, completion, **columns): return 1.0
made = C("")
NUMBER = 3
def one(completion, prompt, **columns): return 1.0
def batch(completions, **columns): return [1.0] * len(completions)
def neither(text, reference): return 1.0
def nothing(): return 1.0
def state(completions, trainer_state): return []
def mixed(completion, prompts): return 1.0
def both(completion, completions): return 1.0
def slash(completion, /, **columns): return 1.0
def logs(completions, log_metric, **columns): return [1.0]
"""
HOUSE = """
# House {#house}

## No sorry {#no-sorry authority=user}
Do not apologise.

```yaml rules
all:
- contains: {none_of: [sorry]}
```
"""


@pytest.fixture
def base(tmp_path: Path) -> Path:
    write(tmp_path, CODE)
    write(tmp_path, HOUSE, "house.constitution.md")
    return tmp_path


def test_names_and_weights(base: Path) -> None:
    specs = [
        "mine.py:one",
        "mine.py:batch",
        "length:target=5",
        "length:max=9,unit=words",
        "eos",
        "mine.py:made",
    ]
    rewards = open_rewards(specs, [1, 2, 0.5, -1, 0, 1], base_dir=base)
    assert rewards.names == ("one", "batch", "length", "length-2", "eos", "made")
    assert rewards.weights == (1.0, 2.0, 0.5, -1.0, 0.0, 1.0)
    assert open_rewards(["eos:name=ends"], base_dir=base).names == ("ends",)
    assert unique(["a", "a", "a-2", "a"], ["b"]) == ["a", "a-2", "a-2-2", "a-3"]


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("lenght:target=5", "did you mean 'length'"),
        ("lenght", "did you mean 'length'"),
        ("length", "length needs target"),
        ("length:target=5,max=6", "not both"),
        ("length:taget=5", "did you mean 'target'"),
        ("length:target=-1", "target"),
        ("length:target=1,target=2", "twice"),
        ("length:50", "no option of length"),
        ("soft_overlong:max_completion_length=5,overlong_buffer=9", "longer than"),
        ("eos:penalty=much", "penalty"),
        ("mine.py", "which function"),
        ("mine.py:onne", "did you mean 'one'"),
        ("mine.py:NUMBER", "has no function"),
        ("mine.py:C", "a class is no reward function"),
        ("mine.py:neither", "not a reward function"),
        ("mine.py:nothing", "not a reward function"),
        ("mine.py:state", "trainer_state is not offered"),
        ("mine.py:mixed", "takes 'prompts' beside 'completion'"),
        ("mine.py:both", "both completion and completions"),
        ("mine.py:slash", "by position"),
        ("mine.py:one:target=3", "unknown key 'target'"),
        ("sandbox:mine.py:logs", "log_metric is not offered in a sandbox"),
        ("sandbox:mine.py:neither", "not a reward function"),
        ("sandbox:mine.py:C", "a class is no reward function"),
        ("sandbox:mine.py:onne", "did you mean 'one'"),
        ("sandbox:length:target=3", "sandbox: is for functions"),
        ("mine.py:one:sandbox=maybe", "true or false"),
        ("gone.py:f", "cannot read"),
        ("charter.nowhere:f", "does not import"),
        ("gone.constitution.md", "no such file"),
        ("house.constitution.md:slack=0.2", "slack has no effect"),
        ("smollm2-135m", "not a reward model"),
        ("", "named by a text"),
        ("eos:name=a b", "a name is"),
    ],
)
def test_mistakes_are_found_before_a_model_loads(base: Path, spec: str, says: str) -> None:
    with pytest.raises(CharterError) as found:
        open_rewards([spec], base_dir=base)
    assert says in str(found.value)
    assert found.value.exit_code == 2


@pytest.mark.parametrize(
    ("weights", "says"),
    [([1.0], "1 reward_weights for 2"), ([float("nan"), 1.0], "finite"), ([0, 0], "weight 0")],
)
def test_weights_must_fit(weights: list[float], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        open_rewards(["eos", "length:max=3"], weights)


def test_no_reward_or_a_text_in_place_of_a_list() -> None:
    with pytest.raises(ConfigError, match="no reward"):
        open_rewards([])
    with pytest.raises(ConfigError, match="list of texts"):
        open_rewards("eos")


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for spec, module in (
        ("vader", "vaderSentiment"),
        ("accuracy", "math_verify"),
        ("reasoning-gym", "reasoning_gym"),
    ):
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(EnvironmentFault, match=r"charter\[tasks\]"):
            open_rewards([spec])


def test_a_language_model_is_no_reward_model_and_a_reward_model_loads_late(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer()
    tiny_model(0).save_pretrained(tmp_path / "lm")
    tokenizer.save_pretrained(tmp_path / "lm")
    with pytest.raises(CharterError, match="no reward head"):
        open_rewards(["lm"], base_dir=tmp_path)
    model = with_reward_head(tiny_model(0), 1, 0, tokenizer)
    name_dimensions(model, ("",))
    model.save_pretrained(tmp_path / "judge" / "model")
    tokenizer.save_pretrained(tmp_path / "judge" / "model")
    rewards = open_rewards(["judge", "judge/model"], base_dir=tmp_path)
    assert rewards.names == ("judge", "judge-2")
    (said,) = rewards.judge([group("yes", "no")])
    assert [one.principle for one in said] == ["judge", "judge", "judge-2", "judge-2"]
    assert said[0].value == said[2].value and said[0].value != said[1].value
