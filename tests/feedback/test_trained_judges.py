"""Every kind of trained judge is read as it was trained, wherever its folder is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import judge_checkpoints as made
import pytest
import torch

import charter
from charter.data.critique_rows import critiqued
from charter.data.questions import CORRECT
from charter.engines.base import Sampling
from charter.engines.local import LocalEngine
from charter.errors import CharterError, ConfigError
from charter.feedback.forward import rewards_of
from charter.feedback.rewards import open_rewards
from charter.feedback.trained.critiques import BLANK, critique_questions, critiques
from charter.feedback.trained.opening import trained_judge
from charter.feedback.trained.process import ProcessJudge
from charter.feedback.trained.ranker import PairwiseRanker
from charter.feedback.trained.reward import RewardFeedback, raw_rewards, rewards
from charter.feedback.trained.verifier import CritiqueScorer, Verifier
from charter.models.load import load
from charter.models.policy import Policy
from charter.models.reward_scale import RewardScale
from charter.models.trained_as import TrainedAs
from charter.testing import save_tiny
from charter.types import Group, PairTarget, SampleTarget, SegmentTarget

QUESTION = "Is it fine (Yes/No)?"
GREEDY = Sampling(temperature=0.0, max_completion_length=8)
GREEDILY = "temperature=0,max_completion_length=8"

RUNS: dict[str, tuple[str, list[made.Row], dict[str, Any]]] = {
    "reward": ("reward", made.pairs(), {}),
    "reward-2": ("reward", made.pairs(), {"seed": 1}),
    "hh": ("reward-regression", made.rated(), {}),
    "cloud": ("cloud", made.pairs(**made.CRITIQUED), {"question": "Well?"}),
    "prm": ("process-reward", made.stepped(), {}),
    "genrm": ("genrm", made.labelled(), {"question": QUESTION}),
    "genrm-cot": ("genrm", made.labelled(critique="It adds up."), {}),
    "ranker": ("slic-pairwise", made.pairs(), {}),
    "argued": ("genrm-pairwise", made.pairs(rationale="{chosen} is right."), {}),
}


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("judges")
    tiny = save_tiny(str(folder / "tiny"))
    for name, (algorithm, rows, options) in RUNS.items():
        charter.train(
            algorithm,
            load(tiny, bf16=False),
            rows,
            output_dir=folder / name,
            **{"max_steps": 2, "bf16": False, "learning_rate": 1e-3, **options},
        )
    return folder


def exactly(name: str) -> Policy:
    return load(name, bf16=False)


def rewarded(runs: Path, spec: str, groups: list[Group] | None = None) -> list[list[float | None]]:
    """What a reward says of each answer."""
    rewards = open_rewards([spec], base_dir=runs, load_model=exactly)
    judged = rewards.judge(made.groups() if groups is None else groups)
    return [[one.value for one in said] for said in judged]


def near(found: Any, expected: Any) -> None:
    assert [pytest.approx(row, rel=1e-4, abs=1e-6) for row in expected] == found


# -- what a checkpoint says --------------------------------------------------------------


def test_every_run_says_what_it_trained(runs: Path) -> None:
    for name, (algorithm, _, options) in RUNS.items():
        policy = load(str(runs / name), bf16=False)
        assert policy.trained_as is not None and policy.trained_as.algorithm == algorithm
        assert policy.trained_as == TrainedAs.load(runs / name / "model")
        assert policy.trained_as.reasons == (name in ("genrm-cot", "argued"))
        if "question" in options:
            assert options["question"] in policy.trained_as.asked.values()
        assert (RewardScale.load(runs / name / "model") is not None) == policy.has_reward_head


def test_step_probabilities_are_not_normalised(runs: Path) -> None:
    scale = RewardScale.load(runs / "prm" / "model")
    assert scale is not None and scale.samples == 0
    measured = RewardScale.load(runs / "cloud" / "model")
    assert measured is not None and measured.samples == 2 * len(made.PROMPTS)


def test_preference_training_keeps_a_judge_what_it_is(runs: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"max_steps": 1, "bf16": False, "use_peft": True, "lora_r": 2}
    rows = made.pairs()
    policy = load(str(runs / "argued"), bf16=False)
    charter.train("dpo", policy, rows, output_dir=tmp_path / "dpo", **options)
    after = load(str(tmp_path / "dpo")).trained_as
    assert after is not None and (after.algorithm, after.since) == ("genrm-pairwise", ("dpo",))
    charter.train("dpo", load(str(runs / "tiny"), bf16=False), rows, output_dir=tmp_path / "plain", **options)
    assert load(str(tmp_path / "plain")).trained_as is None


def test_an_export_says_it_too(runs: Path, tmp_path: Path) -> None:
    from charter.models.export import export

    export(runs / "genrm", tmp_path / "out")
    assert TrainedAs.load(tmp_path / "out") == TrainedAs.load(runs / "genrm" / "model")


# -- each kind, by its name --------------------------------------------------------------


def test_cloud_is_read_at_the_end_of_its_critique_and_normalised(runs: Path) -> None:
    """By hand: its own critique, the head behind it, the scale that was measured there."""
    policy = exactly(str(runs / "cloud"))
    engine = LocalEngine(policy.model, policy.tokenizer, compute_dtype=torch.float32)
    answers = [sample for group in made.groups() for sample in group.samples]
    asked = [critiqued(answer, "x", "Well?").context for answer in answers]
    texts = [of[0] for of in critiques(engine, policy.template, asked, 1, GREEDY)]
    rendered = [
        policy.template.render(Group((critiqued(answer, text or BLANK, "Well?"),))).samples[0]
        for answer, text in zip(answers, texts, strict=True)
    ]
    scale = policy.reward_scale
    assert scale is not None and scale.mean != (0.0,)
    raw = [float(one[0, 0]) for one in rewards_of(policy, rendered, [[-1]] * len(rendered))]
    expected = [(value - scale.mean[0]) / scale.std[0] for value in raw]
    found = rewarded(runs, f"cloud:{GREEDILY}")
    near(found, [expected[i : i + 2] for i in range(0, len(expected), 2)])
    at_the_answer = [float(row[0]) for of in raw_rewards(policy, made.groups()) for row in of]
    assert raw != pytest.approx(at_the_answer, rel=1e-3)  # which is where it was read before


def test_a_process_reward_model_is_read_at_its_steps(runs: Path) -> None:
    policy = exactly(str(runs / "prm"))
    for solution in ("min", "last", "product"):
        direct = ProcessJudge(policy, solution=solution).judge(made.groups())
        expected = [[one.value for one in said if isinstance(one.target, SampleTarget)] for said in direct]
        near(rewarded(runs, f"prm:solution={solution}"), expected)
    near(rewarded(runs, "prm"), rewarded(runs, "prm:solution=min"))
    many = rewarded(runs, "prm:solution=product")
    assert many[3] != pytest.approx(rewarded(runs, "prm:solution=last")[3])


def test_a_verifier_is_asked_its_own_question(runs: Path) -> None:
    policy = exactly(str(runs / "genrm"))
    direct = Verifier(policy, replace(CORRECT, ask=QUESTION)).judge(made.groups())
    near(rewarded(runs, "genrm"), [[one.value for one in said] for said in direct])
    other = Verifier(policy).judge(made.groups())
    assert other[0][0].value != pytest.approx(direct[0][0].value, rel=1e-4)


def test_a_verifier_that_reasons_writes_first(runs: Path) -> None:
    policy = exactly(str(runs / "genrm-cot"))
    engine = LocalEngine(policy.model, policy.tokenizer, compute_dtype=torch.float32)
    sampling = Sampling(max_completion_length=6, seed=3)
    direct = Verifier(policy, engine=engine, critiques=3, sampling=sampling).judge(made.groups())
    found = rewarded(runs, "genrm-cot:critiques=3,max_completion_length=6,seed=3")
    near(found, [[one.value for one in said] for said in direct])


def test_a_judge_of_pairs_scores_answers_by_the_others(runs: Path) -> None:
    policy = exactly(str(runs / "ranker"))
    first, second = made.groups()[0].samples
    (p,) = PairwiseRanker(policy).probabilities([(first, second)])
    near(rewarded(runs, "ranker")[:1], [[p, 1 - p]])
    alone = [Group((first,))]
    rewards = open_rewards(["ranker"], base_dir=runs, load_model=exactly)
    ((one,),) = rewards.judge(alone)
    assert one.verdict == "not_applicable" and "no other answer" in one.reason


def test_a_judge_of_pairs_that_reasons_writes_first(runs: Path) -> None:
    policy = exactly(str(runs / "argued"))
    first, second = made.groups()[0].samples
    engine = LocalEngine(policy.model, policy.tokenizer, compute_dtype=torch.float32)
    ranker = PairwiseRanker(policy, engine=engine, sampling=GREEDY)
    (p,) = ranker.probabilities([(first, second)])
    near(rewarded(runs, f"argued:{GREEDILY}")[:1], [[p, 1 - p]])
    (at_once,) = PairwiseRanker(policy).probabilities([(first, second)])
    assert p != pytest.approx(at_once, rel=1e-4)


def test_an_empty_answer_is_an_error_and_the_others_are_judged(runs: Path) -> None:
    (group, *_) = made.groups()
    empty = replace(group.samples[0], completion=replace(group.samples[0].completion, content=""))
    rewards = open_rewards(["genrm"], base_dir=runs, load_model=exactly)
    (said,) = rewards.judge([Group((empty, *group.samples))])
    assert said[0].verdict == "error" and "empty completion" in said[0].reason
    assert [one.value for one in said[1:]] == pytest.approx(rewarded(runs, "genrm", [group])[0])


# -- reading one as another is refused ----------------------------------------------------


def test_no_kind_is_read_as_another(runs: Path) -> None:
    cloud, prm, plain = (exactly(str(runs / name)) for name in ("cloud", "prm", "reward"))
    for policy in (cloud, prm):
        with pytest.raises(ConfigError, match="its numbers mean nothing"):
            RewardFeedback([policy])
        with pytest.raises(ConfigError, match="its numbers mean nothing"):
            rewards(policy, made.groups())
    with pytest.raises(ConfigError, match="trained to give a reward at the end of each answer"):
        ProcessJudge(plain)
    with pytest.raises(ConfigError, match="in another way its numbers"):
        CritiqueScorer(plain, LocalEngine(plain.model, plain.tokenizer))
    with pytest.raises(ConfigError, match="does not judge by principles"):
        charter.judge(made.groups(), _law(runs), judge=str(runs / "genrm"))
    with pytest.raises(ConfigError, match="does not judge by principles"):
        charter.judge(made.groups(), _law(runs), judge=str(runs / "reward"))


def _law(runs: Path) -> Path:
    path = runs / "kind.constitution.md"
    path.write_text("# House {#house}\n\n## Kind {#kind authority=user}\nBe kind.\n", encoding="utf-8")
    return path


def test_a_checkpoint_that_says_nothing_is_an_outcome_model_with_a_warning(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = tmp_path / "old"
    shutil.copytree(runs / "reward" / "model", old)
    rewarded(runs, "reward")
    assert "does not say how it was trained" not in capsys.readouterr().err
    written = json.loads((old / "reward.json").read_text())
    for name in ("algorithm", "asked", "reasons", "since"):
        del written[name]
    (old / "reward.json").write_text(json.dumps(written))
    near(rewarded(tmp_path, "old"), rewarded(runs, "reward"))
    assert "does not say how it was trained" in capsys.readouterr().err


# -- options -----------------------------------------------------------------------------


def test_weights_of_dimensions_reach_the_reward(runs: Path) -> None:
    policy = exactly(str(runs / "hh"))
    scale = policy.reward_scale
    assert scale is not None and set(scale.names) == {"helpful", "harmless"}
    raw = raw_rewards(policy, made.groups())
    for weights, text in (
        ({"helpful": 0.75, "harmless": 0.25}, "0.75*helpful+0.25*harmless"),
        ({"helpful": 1.0}, "helpful"),
    ):
        expected = [scale.scalar(of, weights).tolist() for of in raw]
        near(rewarded(runs, f"hh:weights={text}"), expected)
        near(rewarded(runs, "hh"), [scale.scalar(of).tolist() for of in raw])
    assert rewarded(runs, "hh:weights=helpful")[0] != pytest.approx(rewarded(runs, "hh")[0])


def test_ensembles_reach_the_reward(runs: Path) -> None:
    one, two = rewarded(runs, "reward"), rewarded(runs, "reward-2")
    table = torch.tensor([one, two], dtype=torch.float64)
    near(rewarded(runs, "ensemble:reward+reward-2"), table.mean(0).tolist())
    near(rewarded(runs, "ensemble:reward+reward-2:combine=worst"), table.amin(0).tolist())
    pessimistic = table.mean(0) - 0.3 * table.var(0, unbiased=False)
    near(rewarded(runs, "ensemble:reward+reward-2:combine=uncertainty,coef=0.3"), pessimistic.tolist())
    published = table.mean(0) - 0.1 * table.var(0, unbiased=False)
    near(rewarded(runs, "ensemble:reward+reward-2:combine=uncertainty"), published.tolist())
    assert open_rewards(["ensemble:reward+reward-2"], base_dir=runs).names == ("ensemble",)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("hh:weights=helpfull", "did you mean 'helpful'"),
        ("hh:weights=0*helpful", "every weight is 0"),
        ("hh:weights=helpful+helpful", "two weights"),
        ("hh:weight=helpful", "did you mean 'weights'"),
        ("reward:combine=worst", "no effect on one reward model"),
        ("ensemble:reward+reward-2:coef=0.2", "no effect without combine=uncertainty"),
        ("ensemble:reward+reward-2:combine=median", "combine"),
        ("ensemble:reward", "two reward models or more"),
        ("ensemble:reward+reward", "twice"),
        ("ensemble:reward+prm", "an ensemble is of outcome reward models"),
        ("ensemble:reward+gone", "'gone'"),
        ("ensemble:reward+hh", "hh has the dimensions"),
        ("prm:solution=mean", "solution"),
        ("prm:weights=helpful", "an option of an outcome reward model"),
        ("prm:critiques=2", "an option of a critique-then-score model"),
        ("genrm:critiques=2", "without writing first"),
        ("genrm-cot:majority=true", "no effect on one critique"),
        ("genrm-cot:temperature=0,critiques=2", "critiques has no effect"),
        ("ranker:pairs=tournament", "charter rank"),
        ("tiny", "language model"),
    ],
)
def test_mistakes_are_found_before_a_model_loads(runs: Path, spec: str, says: str) -> None:
    def never(name: str) -> Policy:
        raise AssertionError("a model was loaded")

    with pytest.raises(CharterError) as found:
        open_rewards([spec], base_dir=runs, load_model=never)
    assert says in str(found.value)
    assert found.value.exit_code == 2


def test_a_mark_that_cannot_be_is_refused(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "genrm" / "model", tmp_path / "wrong")
    TrainedAs("reward").save(tmp_path / "wrong")
    with pytest.raises(ConfigError, match="has no reward head"):
        open_rewards(["wrong"], base_dir=tmp_path)


# -- in one call -------------------------------------------------------------------------


def test_the_api_judges_by_a_folder(runs: Path) -> None:
    judged = charter.judge(made.groups(), judge=str(runs / "prm"), solution="product")
    targets = [type(one.target) for one in judged[3].judgements]
    assert targets.count(SampleTarget) == 2 and targets.count(SegmentTarget) == 5
    assert all(one.reason.startswith("product of") for one in judged[3].judgements if one.reason)
    ranked = charter.judge(made.groups(), judge=str(runs / "ranker"), pairs="tournament")
    assert [type(one.target) for one in ranked[0].judgements] == [PairTarget]
    with pytest.raises(ConfigError, match="name a constitution"):
        charter.judge(made.groups())
    with pytest.raises(ConfigError, match="unknown key 'form'"):
        charter.judge(made.groups(), judge=str(runs / "genrm"), form="rubric")


def test_steps_have_a_place_in_the_tokens_of_the_answer_or_none(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Sampled by a model of the same tokenizer, and with ids that mean something else here."""
    tokenizer = exactly(str(runs / "prm")).tokenizer
    (group, *_) = made.groups()[3:]
    text = group.samples[0].completion.text
    ids = tuple(tokenizer(text)["input_ids"])

    def with_ids(ids: tuple[int, ...]) -> list[Group]:
        done = replace(group.samples[0].completion, token_ids=ids, trained=(True,) * len(ids))
        return [Group((replace(group.samples[0], completion=done),))]

    (own,) = charter.judge(with_ids(ids), judge=str(runs / "prm"))
    places = [one.target for one in own.judgements if isinstance(one.target, SegmentTarget)]
    assert [tokenizer.decode(ids[at.start : at.end]).strip() for at in places] == ["1", "2", "3"]
    assert "another model's tokens" not in capsys.readouterr().err
    (other,) = charter.judge(with_ids(ids[::-1]), judge=str(runs / "prm"))
    assert [type(one.target) for one in other.judgements] == [SampleTarget]
    assert other.judgements[0].value == pytest.approx(own.judgements[0].value)
    assert "another model's tokens" in capsys.readouterr().err


def test_a_loaded_policy_becomes_its_judge(runs: Path) -> None:
    kinds = {
        "reward": RewardFeedback,
        "cloud": CritiqueScorer,
        "prm": ProcessJudge,
        "genrm": Verifier,
        "ranker": PairwiseRanker,
    }
    for name, kind in kinds.items():
        assert isinstance(trained_judge(exactly(str(runs / name))), kind)
    weighed = trained_judge(exactly(str(runs / "hh")), weights={"helpful": 1.0})
    assert isinstance(weighed, RewardFeedback) and weighed.weights == {"helpful": 1.0}


def test_critique_questions_are_those_of_the_training(runs: Path) -> None:
    """Stage 2 asks what stage 1 was trained on, the better answer first."""
    from charter.data.formats import load_groups

    loaded = load_groups(made.pairs(), "preference").groups
    asked = critique_questions(loaded, "Well?")
    assert len(asked) == 2 * len(loaded)
    assert asked[0].content[-1].content == "Well?"  # type: ignore[union-attr]
    assert asked[0].content[-2].content == made.GOOD[0]  # type: ignore[union-attr]
    assert asked[1].content[-2].content == made.BAD[0]  # type: ignore[union-attr]
