from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import pytest

from charter.constitution import Constitution
from charter.errors import ConfigError, ConstitutionError, UserError
from charter.feedback.judging.feedback import ModelJudge
from charter.feedback.judging.local import LocalJudge
from charter.feedback.rewards.judged import JudgeReward
from charter.feedback.rewards.rewards import Rewards
from charter.feedback.rewards.spec import open_rewards
from charter.models.load import load
from charter.testing import save_tiny
from charter.testing.judge import ScriptedJudge
from charter.types import Completion, Context, Group, Message, Sample

LAW = """---
constitution: 1
name: small
levels: [first, second]
judge: {{seeds: 1, executor: {executor}}}
---
## Is kind {{#kind authority=first weight=3}}
Takes people seriously.
## Is true {{#true authority=second}}
Says what is so.
"""


def truth(title: str, answer: str) -> bool:
    return title.removeprefix("Is ") in answer


def law(executor: str = "per_principle") -> Constitution:
    return Constitution.from_text(LAW.format(executor=executor))


def group(*answers: str) -> Group:
    context = Context((Message("user", "Well?"),))
    return Group(tuple(Sample(context, Completion((Message("assistant", one),))) for one in answers))


def rewarded(judge: ModelJudge, one: Group, slack: float | None = None) -> list[float]:
    rewards = Rewards([JudgeReward("house", judge, slack)])
    (said,) = rewards.judge([one])
    return rewards.reward(one.with_judgements(*said))


def test_the_reward_is_the_weighted_share_of_principles() -> None:
    judge = ModelJudge(law(), ScriptedJudge(truth))
    assert rewarded(judge, group("kind true", "kind", "true", "")) == [1.0, 0.75, 0.25, 0.0]


def test_levels_decide_in_order() -> None:
    judge = ModelJudge(law(), ScriptedJudge(truth))
    both, kind, true, none = rewarded(judge, group("kind true", "kind", "true", ""), slack=0.5)
    assert both > kind > true > none


@pytest.mark.parametrize("judge", [ScriptedJudge(truth, down=True), ScriptedJudge(truth, garbage=1.0)])
@pytest.mark.parametrize("executor", ["per_principle", "pairwise"])
def test_a_judge_that_fails_gives_no_reward(judge: ScriptedJudge, executor: str) -> None:
    assert all(map(math.isnan, rewarded(ModelJudge(law(executor), judge), group("kind", "true"))))


def test_what_may_not_be_judged_gives_no_reward() -> None:
    judge = ModelJudge(law(), ScriptedJudge(truth), only=())
    assert all(map(math.isnan, rewarded(judge, group("kind", "true"))))
    part = ModelJudge(law(), ScriptedJudge(truth), only=["kind"])
    assert rewarded(part, group("kind", "true")) == [1.0, 0.0]


def test_pairs_become_the_share_of_comparisons_won() -> None:
    judge = ModelJudge(law("pairwise"), ScriptedJudge(truth))
    # kind (weight 3): wins, ties counted half, over two opponents; true (weight 1) likewise.
    kind, true = (0.75, 0.75, 0.0), (1.0, 0.25, 0.25)
    expected = [(3 * k + t) / 4 for k, t in zip(kind, true, strict=True)]
    assert rewarded(judge, group("kind true", "kind", "no")) == pytest.approx(expected)
    undecided = ModelJudge(law("pairwise"), ScriptedJudge(truth, position=1.0))
    assert all(map(math.isnan, rewarded(undecided, group("kind", "true"))))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("judge")
    save_tiny(str(found / "tiny"), max_position_embeddings=4096)
    (found / "small.constitution.md").write_text(LAW.format(executor="per_principle"), "utf-8")
    return found


def test_a_spec_opens_a_judge_without_loading_it(folder: Path) -> None:
    loaded = []

    def load_model(name: str) -> object:
        loaded.append(name)
        return load(name, bf16=False)

    specs = ["judge:tiny:small.constitution.md", "judge:tiny:small.constitution.md:form=rubric,graded=true"]
    rewards = open_rewards(specs, None, folder, load_model=load_model)  # type: ignore[arg-type]
    assert rewards.names == ("small", "small-2")
    assert loaded == []
    one = group("kind true", "kind")
    (said,) = rewards.judge([one])
    assert len(loaded) == 2
    assert all(0.0 <= value <= 2.0 for value in rewards.reward(one.with_judgements(*said)))
    names = [j.judge for j in said if j.principle == "kind"]
    assert names[0].startswith("tiny@")
    assert "/rubric@" in names[-1]


@pytest.mark.parametrize(
    ("spec", "error", "words"),
    [
        ("judge:tiny", ConfigError, "needs a model and a constitution"),
        ("judge::small.constitution.md", ConfigError, "needs a model and a constitution"),
        ("judge:tiny:none.md", ConstitutionError, "no such file"),
        ("judge:no-such-model:small.constitution.md", UserError, "no-such-model"),
        ("judge:tiny:small.constitution.md:forn=rubric", ConfigError, "did you mean 'form'"),
        ("judge:tiny:small.constitution.md:graded=true,form=pairwise", ConfigError, "graded has no effect"),
        ("judge:tiny:small.constitution.md:slack=0.2", ConfigError, "slack has no effect"),
        ("judge:tiny:small.constitution.md:seeds=0", ConfigError, "seeds"),
        ("judge:tiny:small.constitution.md:form=reasons,method=options", ConfigError, "answered in words"),
        ("judge:endpoint:m@nowhere:small.constitution.md", ConfigError, "endpoint"),
        ("sandbox:judge:tiny:small.constitution.md", ConfigError, "sandbox"),
    ],
)
def test_mistakes_are_found_before_anything_loads(folder: Path, spec: str, error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        open_rewards([spec], None, folder)


def test_an_endpoint_may_judge(folder: Path) -> None:
    spec = "judge:endpoint:m@http://127.0.0.1:9/v1,requests_per_minute=3:small.constitution.md:seeds=2"
    (reward,) = open_rewards([spec], None, folder).rewards
    assert isinstance(reward, JudgeReward)
    (model,) = reward.feedback.panel.judges
    assert not isinstance(model, LocalJudge)
    assert model.name == "m@127.0.0.1:9/v1"


def test_the_names_of_principles_are_taken(folder: Path) -> None:
    names: Sequence[str] = open_rewards(["judge:tiny:small.constitution.md:name=kind"], None, folder).names
    assert names == ("kind-2",)
