from __future__ import annotations

import asyncio
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from planted_groups import SHAPE, WIDTH, error, planted

from charter.data.formats import load_groups
from charter.data.survey import Question, split_groups
from charter.errors import ConfigError, DataError, Interrupted, UserError
from charter.feedback.gpo import train as gpo_train
from charter.feedback.gpo.baselines import baselines, of_gpo
from charter.feedback.gpo.features import Embedder
from charter.feedback.gpo.folder import check_folder, load_gpo, save_gpo
from charter.feedback.gpo.points import batched, points_of
from charter.feedback.gpo.predictor import GPO
from charter.feedback.gpo.reward import GPOReward, win_shares
from charter.feedback.gpo.train import GPOTraining, train_network
from charter.feedback.judging.distilled.features import Reading
from charter.models.gpo import GPONetwork, GPOShape
from charter.models.load import load
from charter.objectives.gpo import gpo_nll, option_log_shares
from charter.testing import save_tiny
from charter.types import SampleTarget

TRAINING = GPOTraining(steps=500, learning_rate=3e-3, groups_per_step=16, most_context=12, most_targets=8)


def random_network(seed: int = 1) -> GPONetwork:
    network = GPONetwork(SHAPE, seed)
    with torch.no_grad():
        network.head.weight.normal_(generator=torch.Generator().manual_seed(seed))
    return network.eval()


@pytest.fixture(scope="module")
def learned() -> tuple[GPO, object, object, dict[str, np.ndarray]]:
    """Trained on 32 planted groups; eight more are held out."""
    torch.set_num_threads(1)
    survey, features = planted(40, 24, noise=0.15)
    train, test = split_groups(survey, survey.groups[32:])
    network, losses = train_network(train, features, SHAPE, TRAINING)
    assert np.mean(losses[-20:]) < np.mean(losses[:20]) - 0.5
    return GPO(network, Reading(), groups=train.groups), train, test, features


# -- the network ---------------------------------------------------------------------------------


def test_the_order_of_the_context_changes_nothing_at_all() -> None:
    survey, features = planted(1, 12)
    own, gpo = survey.shares["G00"], GPO(random_network(), Reading())
    texts = list(own)
    targets, known = texts[8:], texts[:8]
    wanted = gpo.predict(features, {text: own[text] for text in known}, targets)
    for seed in range(5):
        order = [str(t) for t in np.random.default_rng(seed).permutation(known)]
        found = gpo.predict(features, {text: own[text] for text in order}, targets)
        for one, other in zip(found, wanted, strict=True):
            assert np.array_equal(one.shares, other.shares)
            assert np.array_equal(one.std, other.std)


def test_the_network_itself_has_no_positions() -> None:
    network = random_network().double()
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 9, WIDTH, generator=generator, dtype=torch.float64)
    share = torch.rand(1, 9, generator=generator, dtype=torch.float64)
    context = torch.tensor([[True] * 5 + [False] * 4])
    order = torch.tensor([3, 0, 4, 1, 2, 5, 6, 7, 8])
    mean, std = network(x, share, context)
    moved, moved_std = network(x[:, order], share[:, order], context)
    assert torch.allclose(moved[:, 5:], mean[:, 5:], atol=1e-13)
    assert torch.allclose(moved_std[:, 5:], std[:, 5:], atol=1e-13)


def test_targets_and_padding_are_seen_by_nobody_and_their_shares_by_nothing() -> None:
    network = random_network().double()
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 8, WIDTH, generator=generator, dtype=torch.float64, requires_grad=True)
    share = torch.rand(1, 8, generator=generator, dtype=torch.float64, requires_grad=True)
    context = torch.tensor([[True] * 4 + [False] * 4])
    mean, _ = network(x, share, context)
    by_x, by_share = torch.autograd.grad(mean[0, 4], (x, share))
    assert (by_x[0, :5].abs().sum(-1) > 0).all()
    assert (by_x[0, 5:] == 0).all()
    assert (by_share[0, :4] != 0).all()
    assert (by_share[0, 4:] == 0).all()


def test_a_group_of_which_nothing_is_known_gets_a_prediction() -> None:
    survey, features = planted(1, 4)
    found = GPO(random_network(), Reading()).predict(features, {}, list(survey.shares["G00"]))
    assert all(one.shares.sum() == pytest.approx(1.0) and np.isfinite(one.std).all() for one in found)


def test_first_weights_follow_the_seed_and_leave_the_generator_alone() -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    one, same, other = GPONetwork(SHAPE, 3), GPONetwork(SHAPE, 3), GPONetwork(SHAPE, 4)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(one.nobody, same.nobody)
    assert not torch.equal(one.nobody, other.nobody)


@pytest.mark.parametrize("sizes", [{"width": 30, "heads": 4}, {"layers": 0}])
def test_sizes_that_do_not_fit(sizes: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        GPOShape(features=3, **sizes)


# -- the loss ------------------------------------------------------------------------------------


def test_gradient_of_the_likelihood_in_float64() -> None:
    generator = torch.Generator().manual_seed(0)
    mean, log_std, share = (torch.randn(2, 5, generator=generator, dtype=torch.float64) for _ in range(3))
    question = torch.tensor([[0, 0, 1, 1, 1], [0, 0, 0, 1, 1]])
    target = torch.tensor([[True] * 5, [False] * 3 + [True] * 2])

    def loss(m: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
        return gpo_nll(m, s, share.softmax(1), question, target)

    assert torch.autograd.gradcheck(loss, (mean.requires_grad_(), log_std.requires_grad_()))
    assert option_log_shares(mean, question).exp().sum(1).tolist() == pytest.approx([2.0, 2.0])


def test_other_groups_and_padding_do_not_change_a_loss() -> None:
    survey, features = planted(2, 6)
    network = random_network()
    points = [
        points_of(features, {}, list(survey.shares[name])[: 3 + i]) for i, name in enumerate(survey.groups)
    ]

    def losses(of: list[object]) -> list[float]:
        b = batched(of)  # type: ignore[arg-type]
        mean, std = network(b["x"], b["share"], b["context"])
        return gpo_nll(mean, std, b["share"], b["question"], b["target"]).tolist()  # type: ignore[no-any-return]

    both = losses(list(points))
    assert both == pytest.approx([losses([one])[0] for one in points], rel=1e-5)


# -- learning ------------------------------------------------------------------------------------


def test_overfits_a_planted_function() -> None:
    survey, features = planted(2, 4, seed=4)
    training = GPOTraining(steps=400, learning_rate=5e-3, most_context=3, most_targets=4)
    network, _ = train_network(survey, features, SHAPE, training)
    gpo = GPO(network, Reading())
    for group in survey.groups:
        own = survey.shares[group]
        for text in own:
            known = {other: own[other] for other in own if other != text}
            assert gpo.predict(features, known, [text])[0].shares == pytest.approx(own[text], abs=0.05)


def test_beats_the_baselines_on_groups_it_has_not_met(learned: tuple) -> None:
    gpo, train, test, features = learned
    found = {name: error(p, test, features, 8) for name, p in baselines(train, features).items()}
    own = error(of_gpo(gpo, features), test, features, 8)
    assert own < 0.9 * min(found.values()), (own, found)
    # The planted taste is linear, so a group's own answers say more than the mean of others.
    assert found["ridge"] < found["group mean"]


def test_more_answers_help(learned: tuple) -> None:
    gpo, _, test, features = learned
    of = of_gpo(gpo, features)
    errors = [error(of, test.only(questions=test.questions[12 - n :]), features, n) for n in (0, 3, 12)]
    assert errors[0] > errors[1] > errors[2]


def test_intervals_hold_what_they_say_on_groups_it_has_not_met(learned: tuple) -> None:
    gpo, _, test, features = learned
    inside = []
    for group in test.groups:
        own = test.shares[group]
        texts = list(own)
        found = gpo.predict(features, {text: own[text] for text in texts[:8]}, texts[8:])
        for one, text in zip(found, texts[8:], strict=True):
            lo, hi = one.interval(1.645)
            inside += ((lo <= own[text]) & (np.asarray(own[text]) <= hi)).tolist()
    assert 0.80 < np.mean(inside) < 0.97  # 90% is wanted


def test_training_is_the_same_again_and_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    survey, features = planted(4, 6)
    training = GPOTraining(steps=12, learning_rate=1e-3)
    whole, losses = train_network(survey, features, SHAPE, training)
    again, same = train_network(survey, features, SHAPE, training)
    assert losses == same
    path = tmp_path / "training.pt"
    step = gpo_train._Run.step

    def stopped(run: gpo_train._Run) -> float:
        if run.done == 5:
            import os
            import signal

            os.kill(os.getpid(), signal.SIGINT)
        return step(run)

    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(gpo_train._Run, "step", stopped)
        train_network(survey, features, SHAPE, training, path)
    assert path.exists()
    resumed, rest = train_network(survey, features, SHAPE, training, path)
    assert rest == losses
    assert not path.exists()
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name])
        assert torch.equal(value, again.state_dict()[name])


def test_a_checkpoint_of_other_inputs_is_not_gone_on_with(tmp_path: Path) -> None:
    survey, features = planted(3, 5)
    run = gpo_train._Run(survey, features, SHAPE, GPOTraining(steps=4), tmp_path / "training.pt")
    run.step()
    run.save()
    other = gpo_train._Run(survey, features, SHAPE, GPOTraining(steps=5), tmp_path / "training.pt")
    other.resume()
    assert other.done == 0


def test_what_cannot_be_learned_from() -> None:
    survey, features = planted(3, 5)
    with pytest.raises(DataError, match="two or more"):
        train_network(survey.only(["G00"]), features, SHAPE, GPOTraining(steps=1))
    with pytest.raises(DataError, match="fewer than two questions"):
        train_network(survey.only(questions=survey.questions[:1]), features, SHAPE, GPOTraining(steps=1))
    with pytest.raises(ConfigError):
        GPOTraining(steps=0)
    with pytest.raises(DataError, match="no features"):
        points_of(features, {}, ["another"])
    with pytest.raises(DataError, match="shares for"):
        points_of(features, {"Q00": (1.0,)}, ["Q01"])
    with pytest.raises(DataError, match="no question"):
        points_of(features, {}, [])


# -- baselines -------------------------------------------------------------------------------------


def test_baselines_are_what_they_are_called() -> None:
    survey, features = planted(3, 6)
    train, test = split_groups(survey, ["G02"])
    found = baselines(train, features)
    assert found["uniform"]({}, ["Q00"])[0].tolist() == [0.5, 0.5]
    mean = [sum(p) / 2 for p in zip(*(train.shares[g]["Q01"] for g in train.groups), strict=True)]
    assert found["group mean"]({}, ["Q01"])[0] == pytest.approx(mean)
    same = {text: train.shares["G01"][text] for text in ("Q00", "Q01")}
    assert found["nearest group"](same, ["Q02"])[0] == pytest.approx(train.shares["G01"]["Q02"])
    twin = {**features, "T": features["Q03"]}
    own = test.shares["G02"]
    assert baselines(train, twin)["nearest option"](own, ["T"])[0] == pytest.approx(own["Q03"])
    for name, predictor in found.items():
        for context in ({}, dict(list(own.items())[:3])):
            for shares in predictor(context, ["Q04", "Q05"]):
                assert shares.sum() == pytest.approx(1.0), name
                assert (shares >= 0).all(), name


# -- on disk ---------------------------------------------------------------------------------------


def test_saved_and_loaded_exactly(tmp_path: Path, learned: tuple) -> None:
    gpo, _, test, features = learned
    save_gpo(gpo, tmp_path / "gpo", {"note": "planted"})
    again = load_gpo(tmp_path / "gpo")
    own = test.shares[test.groups[0]]
    targets = list(own)[4:]
    context = {text: own[text] for text in list(own)[:4]}
    for one, other in zip(
        gpo.predict(features, context, targets), again.predict(features, context, targets), strict=True
    ):
        assert np.array_equal(one.shares, other.shares)
        assert np.array_equal(one.std, other.std)
    assert again.groups == gpo.groups
    assert json.loads((tmp_path / "gpo" / "gpo.json").read_text("utf-8"))["note"] == "planted"


def test_folders_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no GPO"):
        load_gpo(tmp_path)
    (tmp_path / "gpo.json").write_text('{"version": 9, "shape": {}}', "utf-8")
    with pytest.raises(UserError, match="version 9"):
        load_gpo(tmp_path)
    check_folder(tmp_path)
    (tmp_path / "diary.txt").write_text("mine", "utf-8")
    with pytest.raises(UserError, match=r"diary\.txt"):
        check_folder(tmp_path)


# -- with a language model -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Embedder:
    tiny = save_tiny(str(tmp_path_factory.mktemp("model")))
    return Embedder(load(tiny, bf16=False), Reading(depth=1.0))


def test_features_are_mean_states_less_their_question_s_mean(embedder: Embedder) -> None:
    questions = [Question("Tea?", ("yes", "no", "maybe")), Question("Rain?", ("yes", "no"))]
    found = embedder.questions(questions)
    width = embedder.policy.model.config.hidden_size
    assert found["Tea?"].shape == (3, 2 * width)
    assert np.abs(found["Tea?"][:, :width].sum(0)).max() < 1e-4
    assert np.array_equal(found["Rain?"][0, width:], found["Rain?"][1, width:])
    assert not np.allclose(found["Tea?"][0, :width], found["Rain?"][0, :width])
    # The states are those transformers gives, at the answer's tokens.
    rendered = embedder.policy.template.render
    from charter.feedback.gpo.features import as_group

    sample = rendered(as_group(questions[1])).samples[0]
    ids = torch.tensor([[*sample.context.token_ids, *sample.completion.token_ids]])
    with torch.no_grad():
        states = embedder.policy.model(ids, output_hidden_states=True).hidden_states[-1][0]
    mask = torch.tensor([False] * len(sample.context.token_ids) + list(sample.completion.trained))
    mean = states[mask].mean(0).numpy()
    assert np.allclose(found["Rain?"][0, :width] + found["Rain?"][0, width:], mean, atol=1e-4)


def test_a_reward_for_a_group_from_a_few_of_its_preferences(embedder: Embedder) -> None:
    """Two groups of people like opposite words; the reward follows whose examples it is given."""
    words = [("calm sea", "loud bang"), ("quiet hour", "big noise"), ("soft rain", "hard storm")]
    rows = {
        side: [
            {"prompt": f"Say {i}.", "chosen": f" {pair[side]}", "rejected": f" {pair[1 - side]}"}
            for i, pair in enumerate(words)
        ]
        for side in (0, 1)
    }
    groups = {side: load_groups(of, "preference").groups for side, of in rows.items()}
    survey_like = _as_survey(groups, embedder)
    shape = GPOShape(features=2 * 48, width=32, layers=2, heads=2, feed_forward=32, depth=1)
    network, _ = train_network(*survey_like, shape, GPOTraining(steps=300, learning_rate=3e-3))
    gpo = GPO(network, embedder.reading, digest=embedder.digest)
    for side in (0, 1):
        reward = GPOReward(gpo, embedder, groups[side][:2])
        judged = asyncio.run(reward([groups[0][2]]))[0]
        values = {said.target.sample: said.value for said in judged if isinstance(said.target, SampleTarget)}
        assert (values[0] > values[1]) == (side == 0)
        assert values[0] + values[1] == pytest.approx(0.0, abs=1e-9)
    with pytest.raises(UserError, match="load the model"):
        GPOReward(GPO(network, embedder.reading, digest="other"), embedder, groups[0])
    with pytest.raises(DataError, match="reading"):
        GPOReward(GPO(network, Reading(depth=0.5)), embedder, groups[0])


def _as_survey(groups: dict, embedder: Embedder) -> tuple:
    from charter.data.survey import Survey

    of = groups[0]
    questions = tuple(Question(f"P{i}", ("first", "second")) for i in range(len(of)))
    features = dict(zip((q.text for q in questions), embedder.groups(of), strict=True))
    shares = {
        f"{side}{copy}": {q.text: (1.0, 0.0) if side == 0 else (0.0, 1.0) for q in questions}
        for side in (0, 1)
        for copy in range(2)
    }
    return Survey(questions, shares, {name: {} for name in shares}), features


def test_shares_of_wins() -> None:
    rows = [{"prompt": "Say.", "responses": [" a", " b", " c"], "ranks": [1, 2, 3]}]
    (group,) = load_groups(rows, "preference").groups
    assert win_shares(group) == pytest.approx([2 / 3, 1 / 3, 0.0])
    pair = [{"prompt": "Say.", "chosen": " a", "rejected": " b", "probability": 0.75}]
    assert win_shares(load_groups(pair, "preference").groups[0]) == pytest.approx([0.75, 0.25])
