from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from textwrap import dedent

import pytest
import torch
from torch import Tensor

from charter.errors import ConfigError
from charter.objectives.base import NO_STATS, Need, Scored, Unit
from charter.objectives.custom import CustomObjective, load_objective, objective
from charter.objectives.preference import DPO

Batch = Callable[..., Scored]
LENGTHS = [2, 3, 1, 1]

HINGE = """
    from charter.objectives.custom import objective

    @objective(data="preference", needs=["reference"])
    def hinge(scored, beta: float = 0.1, *, margin: float = 1.0):
        h = beta * (scored.better(scored.logratios_B) - scored.worse(scored.logratios_B))
        return (margin - h).clamp_min(0)
"""


@pytest.fixture
def scored(batch: Batch) -> Scored:
    generator = torch.Generator().manual_seed(0)
    policy, reference = -torch.rand(2, 7, generator=generator, dtype=torch.float64)
    return batch(policy, reference, lengths=LENGTHS, weight=[1.0, 3.0])


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], str]:
    def write(text: str) -> str:
        path = tmp_path / "mine.py"
        path.write_text(dedent(text))
        return str(path)

    return write


def total(objective: CustomObjective, scored: Scored) -> float:
    (term,) = objective(scored, NO_STATS).values()
    return float(term.total)


# -- functions -------------------------------------------------------------------


def test_function_from_a_file(write: Callable[[str], str], scored: Scored) -> None:
    loaded = load_objective(write(HINGE) + ":hinge")
    assert loaded.needs == {Need.LOGPS, Need.REFERENCE}
    assert loaded.defaults == {"beta": 0.1, "margin": 1.0}
    h_P = 0.1 * (scored.better(scored.logratios_B) - scored.worse(scored.logratios_B))
    expected = float(((1 - h_P).clamp_min(0) * scored.layout.weight_P).sum())
    assert total(loaded, scored) == pytest.approx(expected, rel=1e-12)


def test_options_are_bound(write: Callable[[str], str], scored: Scored) -> None:
    loaded = load_objective(write(HINGE) + ":hinge")
    wide = loaded.bind({"margin": 3.0})
    assert total(wide, scored) == pytest.approx(total(loaded, scored) + 2.0 * 4.0, rel=1e-12)
    assert total(loaded, scored) != pytest.approx(total(wide, scored))


def test_a_users_dpo_is_the_librarys(scored: Scored) -> None:
    @objective(data="preference", needs=["reference"])
    def mine(scored: Scored, beta: float) -> Tensor:
        h_P = beta * (scored.better(scored.logratios_B) - scored.worse(scored.logratios_B))
        return -torch.nn.functional.logsigmoid(h_P)

    (theirs,) = mine.bind({"beta": 0.2})(scored, NO_STATS).values()
    (ours,) = DPO(beta=0.2)(scored, NO_STATS).values()
    assert float(theirs.total) == pytest.approx(float(ours.total), rel=1e-12)
    assert theirs.count == ours.count == 4.0


def test_supervised_objective_gives_one_loss_per_token(scored: Scored) -> None:
    @objective(data="sft")
    def squared(scored: Scored) -> Tensor:
        return scored.logps_N.square()

    (term,) = squared(scored, NO_STATS).values()
    assert squared.counts(scored.layout) == {"squared": term.count} == {"squared": 7.0}
    assert float(term.total) == pytest.approx(float(scored.logps_N.square().sum()))


def test_catch_all_arguments_are_no_options() -> None:
    @objective(data="sft")
    def loose(scored: Scored, scale: float = 2.0, **rest: float) -> Tensor:
        return scale * scored.logps_N

    assert loose.defaults == {"scale": 2.0}


# -- classes -----------------------------------------------------------------------

CLASSES = """
    class Scaled:
        data = "sft"

        def __init__(self, scale: float = 2.0, **rest):
            self.scale = scale

        def __call__(self, scored):
            return self.scale * -scored.logps_N

    class Plain:
        data = "sft"

        def __call__(self, scored):
            return -scored.logps_N

    class Required:
        needs = ["reference"]

        def __init__(self, beta):
            self.beta = beta

        def __call__(self, scored):
            return self.beta * scored.worse(scored.logratios_B)

    class NotAnObjective:
        data = "sft"
"""


def test_class_with_options(write: Callable[[str], str], scored: Scored) -> None:
    loaded = load_objective(write(CLASSES) + ":Scaled")
    assert loaded.defaults == {"scale": 2.0}
    assert total(loaded.bind({"scale": 5.0}), scored) == pytest.approx(2.5 * total(loaded, scored))


def test_class_without_options(write: Callable[[str], str], scored: Scored) -> None:
    loaded = load_objective(write(CLASSES) + ":Plain")
    assert loaded.defaults == {}
    assert total(loaded, scored) == pytest.approx(-float(scored.logps_N.sum()))


def test_class_with_a_required_option(write: Callable[[str], str], scored: Scored) -> None:
    loaded = load_objective(write(CLASSES) + ":Required")
    assert loaded.data == "preference" and loaded.needs == {Need.LOGPS, Need.REFERENCE}
    with pytest.raises(ConfigError, match="beta"):
        loaded.bind({})
    with pytest.raises(ConfigError, match="bind"):
        loaded(scored, NO_STATS)
    assert list(loaded.bind({"beta": 1.0}).counts(scored.layout)) == ["Required"]


def test_class_that_cannot_be_called(write: Callable[[str], str]) -> None:
    with pytest.raises(ConfigError, match="not an objective"):
        load_objective(write(CLASSES) + ":NotAnObjective")


# -- mistakes ------------------------------------------------------------------------


def test_unknown_option_names_the_nearest(write: Callable[[str], str]) -> None:
    with pytest.raises(ConfigError, match="no option 'bata'; did you mean 'beta'"):
        load_objective(write(HINGE) + ":hinge").bind({"bata": 1.0})


@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 1)])
def test_wrong_shape(scored: Scored, shape: tuple[int, ...]) -> None:
    @objective(data="preference")
    def wrong(scored: Scored) -> Tensor:
        return torch.zeros(shape)

    with pytest.raises(ConfigError, match=r"one loss per pair: \(2,\)"):
        wrong(scored, NO_STATS)


def test_not_a_tensor(scored: Scored) -> None:
    @objective(data="preference")
    def wrong(scored: Scored) -> Tensor:
        return 0.5  # type: ignore[return-value]

    with pytest.raises(ConfigError, match="returned float, not a tensor"):
        wrong(scored, NO_STATS)


def test_unknown_need() -> None:
    with pytest.raises(ConfigError, match="needs 'referense'; did you mean 'reference'"):
        objective(data="preference", needs=["referense"])(lambda scored: scored.logps_N)  # type: ignore[list-item]


def test_unknown_data() -> None:
    with pytest.raises(ConfigError, match="did you mean 'preference'"):
        objective(data="preferences")(lambda scored: scored.logps_N)  # type: ignore[arg-type]


def test_undeclared_need_is_explained(batch: Batch) -> None:
    @objective(data="preference")
    def forgetful(scored: Scored) -> Tensor:
        return scored.better(scored.logratios_B)

    with pytest.raises(ConfigError, match=r"needs=\['reference'\]"):
        forgetful(batch(torch.zeros(2), None, lengths=[1, 1]), NO_STATS)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file") as caught:
        load_objective(f"{tmp_path}/none.py:loss")
    assert caught.value.where == f"{tmp_path}/none.py"


def test_missing_module() -> None:
    with pytest.raises(ConfigError, match=r"cannot import 'no_such_package\.losses'"):
        load_objective("no_such_package.losses:loss")


@pytest.mark.parametrize("spec", ["mine.py", "mine.py:", ":loss", ""])
def test_spec_without_a_name(spec: str) -> None:
    with pytest.raises(ConfigError, match=r"mine\.py:MyLoss"):
        load_objective(spec)


def test_missing_name_suggests_an_objective(write: Callable[[str], str]) -> None:
    with pytest.raises(ConfigError, match="did you mean 'hinge'"):
        load_objective(write(HINGE) + ":hinges")


def test_undecorated_function(write: Callable[[str], str]) -> None:
    with pytest.raises(ConfigError, match="decorate the function"):
        load_objective(write("def loss(scored):\n    return scored.logps_N\n") + ":loss")


def test_syntax_error_names_file_and_line(write: Callable[[str], str]) -> None:
    path = write("x = 1\ny = 2\ndef loss(:\n    pass\n")
    with pytest.raises(ConfigError, match="SyntaxError") as caught:
        load_objective(f"{path}:loss")
    assert caught.value.where == f"{path}:3"


def test_error_while_loading_names_the_users_line(write: Callable[[str], str]) -> None:
    path = write("import json\n\nvalue = json.loads('{')\n")
    with pytest.raises(ConfigError, match="JSONDecodeError") as caught:
        load_objective(f"{path}:loss")
    assert caught.value.where == f"{path}:3"


def test_a_relative_path_names_the_line_too(
    write: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(write("1 / 0\n"))
    monkeypatch.chdir(path.parent)
    with pytest.raises(ConfigError, match="ZeroDivisionError") as caught:
        load_objective("mine.py:loss")
    assert caught.value.where == "mine.py:1"


def test_a_file_can_be_loaded_again_after_a_mistake(write: Callable[[str], str], scored: Scored) -> None:
    with pytest.raises(ConfigError):
        load_objective(write("def broken(:\n") + ":hinge")
    assert total(load_objective(write(HINGE) + ":hinge"), scored) > 0


def test_units_count_what_the_data_kind_says(batch: Batch) -> None:
    layout = batch(torch.zeros(7), None, lengths=LENGTHS, weight=[1.0, 3.0]).layout
    # Samples count where something was said about them.
    assert [layout.count(unit) for unit in (Unit.TOKEN, Unit.SAMPLE, Unit.PAIR)] == [7.0, 0.0, 4.0]
    layout.value_BZ[[0, 2]] = torch.tensor([[1.0], [0.0]])
    layout = replace(layout, weight_B=torch.tensor([2.0, 1.0, 0.5, 1.0]))
    assert layout.count(Unit.SAMPLE) == 2.5
