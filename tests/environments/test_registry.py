"""Environments by name, found and checked before any model is."""

import subprocess
import sys

import pytest

from charter.environments.calculator import Calculator
from charter.environments.gym_adapter import GymEnvironment
from charter.environments.registry import BUILT_IN, open_environment
from charter.environments.verifiers_adapter import VerifiersEnvironment
from charter.errors import ConfigError

MINE = """
from charter.environments.base import Environment, State, Turn, opening_of

class Game(Environment):
    name = "game"

    def __init__(self, level: int = 1, word: str = "x"):
        self.level, self.word, self.max_turns = level, word, 2

    def start(self, prompt, seed):
        return State(opening_of(prompt))

    def step(self, state, text):
        return Turn(done=True, reward=1.0)

class Nameless(Game):
    name = ""
    def __init__(self):
        self.max_turns = 0

class Short(Game):
    def step(self, state):
        return None

class Bare:
    name, max_turns = "bare", 1
    def start(self, prompt, seed): ...
    def step(self, state, text): ...

class Gym:
    instructions, max_turns = "Play.", 5
    def reset(self, seed=None): return "begin", {}
    def step(self, action): return "end", 1.0, True, False, {}

def load_environment(needed):
    class Multi:
        max_turns = 3
        def is_completed(self, state): return True
        def env_response(self, messages, state): return []
    return Multi()

not_callable = 3
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "broken.py").write_text("import nothing_like_this\n")
    return tmp_path


def test_built_in_with_options():
    for name in BUILT_IN:
        assert open_environment(name).name == name
    environment = open_environment("calculator?max_operands=3&operators=+-&max_turns=2")
    assert isinstance(environment, Calculator)
    assert (environment.options.max_operands, environment.options.operators) == (3, "+-")
    assert environment.max_turns == 2


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("calculater", "did you mean 'calculator'"),
        ("calculator?max_operand=3", "did you mean 'max_operands'"),
        ("calculator?max_operands=many", "max_operands"),
        ("calculator?max_operands=3.5", "max_operands"),
        ("calculator?max_operands", "name=value"),
        ("calculator?max_turns=1&max_turns=2", "given twice"),
        ("calculator?min_operands=5", "min_operands 5 is above max_operands 4"),
        ("", "no environment ''"),
    ],
)
def test_wrong_names_and_options(spec, message):
    with pytest.raises(ConfigError, match=message):
        open_environment(spec)


def test_a_persons_own(folder):
    environment = open_environment("mine.py:Game?level=3&word=5x", folder)
    assert (environment.level, environment.word, environment.max_turns) == (3, "5x", 2)
    assert open_environment(f"{folder}/mine.py:Game").level == 1
    gym = open_environment("mine.py:Gym", folder)
    assert isinstance(gym, GymEnvironment)
    assert gym.max_turns == 5
    assert gym.prompts(1, 0)[0].samples[0].context.text == "Play.\n\nbegin"
    assert isinstance(open_environment("mine.py:load_environment?needed=1", folder), VerifiersEnvironment)
    module = "charter.environments.calculator:Calculator"
    assert isinstance(open_environment(module), Calculator)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("gone.py:Game", "no such file"),
        ("no_such_module:Game", "ModuleNotFoundError"),
        ("broken.py:Game", "ModuleNotFoundError: No module named 'nothing_like_this'"),
        ("mine.py:Gam", "did you mean 'Game'"),
        ("mine.py:not_callable", "no 'not_callable'"),
        ("mine.py:", "must look like"),
        ("mine.py:Game?levle=3", "did you mean 'level'"),
        ("mine.py:load_environment", "missing a required argument: 'needed'"),
        ("mine.py:Nameless", "lacks name, max_turns"),
        ("mine.py:Short", "Short.step: too many positional arguments"),
        ("mine.py:Bare", "lacks finish, close, prompts"),
    ],
)
def test_wrong_files(folder, spec, message):
    with pytest.raises(ConfigError, match=message):
        open_environment(spec, folder)


def test_no_model_and_no_torch_are_needed():
    code = (
        "import sys; from charter.environments.registry import open_environment; "
        "open_environment('guess_number?size=8').prompts(3, 0); assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
