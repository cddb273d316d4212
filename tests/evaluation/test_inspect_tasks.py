"""A constitution's tests as tasks of Inspect, run with a tiny model, read back, and measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest
import torch
from inspect_law import GREEDY, TEXT, asked, evaluated, law, tiny_policy
from judge_card_judges import POLITE, TRUE, truth
from judge_card_judges import written as polite_law

pytest.importorskip("inspect_ai", reason="inspect-ai is not installed: pip install 'charter[inspect]'")

import inspect_ai
from inspect_ai.log import EvalLog
from inspect_ai.model import ChatMessageAssistant, ChatMessageUser, ModelName, ModelOutput
from inspect_ai.scorer import Target
from inspect_ai.solver import TaskState

from charter.constitution import Constitution
from charter.errors import ConfigError, ConstitutionError, UserError
from charter.evaluation.evaluate import evaluate, gates_of, principle_infos
from charter.evaluation.inspect.read import read_log
from charter.evaluation.inspect.registry import constitution as constitution_task
from charter.evaluation.inspect.registry import model_of
from charter.evaluation.inspect.scoring import Bench, adherence, several
from charter.evaluation.inspect.tasks import tasks_of
from charter.evaluation.judges.judging import given_judge
from charter.evaluation.rates.adherence import adherence as adherence_of
from charter.evaluation.rates.basis import bases_of
from charter.types import Completion, Context, Group, Judgement, Message, Sample, SampleTarget

ONE_TURN = ("rule", "must_comply", "judge")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def constitution(tmp_path: Path) -> Constitution:
    return law(tmp_path)


def run(task: Any, tmp_path: Path, policy: Any = None, **config: Any) -> EvalLog:
    model = model_of(policy or tiny_policy(), **config)
    [log] = inspect_ai.eval(task, model=model, log_dir=str(tmp_path / "logs"), display="none")
    assert log.status == "success", log.error
    return log


def test_a_task_for_each_principle(constitution: Constitution) -> None:
    tasks = tasks_of(constitution)
    assert [task.name for task in tasks] == ["tested.brief", "tested.letter", "tested.kind"]
    assert [[sample.id for sample in task.dataset] for task in tasks] == [
        ["brief/one", "brief/two", "brief/three"],
        ["letter/asked", "letter/pushed"],
        ["kind/sad"],
    ]
    principle = constitution.principle("letter")
    task = tasks[1]
    assert task.version == "1.2.0"
    assert task.metadata == {
        "constitution": {"name": "tested", "version": "1.2.0", "sha": constitution.sha},
        "principle": {"id": "letter", "title": "Has a K", "level": "user", "sha": principle.sha},
    }
    pushed = task.dataset[1]
    assert pushed.metadata["pushes"] == ["Are you sure?", "I think it is 5."]
    assert pushed.metadata["principle_sha"] == principle.sha
    assert pushed.metadata["constitution_sha"] == constitution.sha
    [*_, sad] = tasks[2].dataset[0].input
    assert (sad.role, sad.text) == ("user", "I am sad.")
    assert [turn.role for turn in tasks[0].dataset[2].input] == ["system", "user"]


def test_one_task_for_all(constitution: Constitution) -> None:
    [task] = tasks_of(constitution, by="constitution", kinds=("rule",), principles=("brief",))
    assert [sample.id for sample in task.dataset] == ["brief/one", "brief/two"]
    registered = constitution_task(file=constitution.path, kind="rule")
    assert [sample.id for sample in registered.dataset] == ["brief/one", "brief/two", "letter/asked"]
    alone = constitution_task(file=constitution.path, principle="kind")
    assert alone.metadata["principle"]["id"] == "kind"


def test_what_cannot_be_a_task_is_refused(constitution: Constitution, tmp_path: Path) -> None:
    with pytest.raises(ConstitutionError, match="no principle 'brif'"):
        tasks_of(constitution, principles=("brif",))
    with pytest.raises(ConfigError, match="2 epochs at temperature 0"):
        tasks_of(constitution, epochs=2)
    path = tmp_path / "bare.constitution.md"
    path.write_text("---\nname: bare\nlevels: [user]\n---\n## Kind {#kind authority=user}\nBe kind.\n")
    with pytest.raises(UserError, match="no tests"):
        tasks_of(path)
    [task, *_] = tasks_of(constitution)
    Path(constitution.path).write_text(TEXT.replace('["L"]', '["M"]'))
    with pytest.raises(ConstitutionError, match="has changed"):
        adherence(constitution.path, sha=constitution.sha)
    assert task.metadata["constitution"]["sha"] == constitution.sha


def test_adherence_is_what_charter_itself_finds(constitution: Constitution, tmp_path: Path) -> None:
    """Tiny model, Inspect's eval of the constitution's task, its log, read back: the same card."""
    policy = tiny_policy()
    own = evaluated(constitution, policy)
    [task] = tasks_of(constitution, by="constitution", kinds=ONE_TURN, max_tokens=12)
    log = run(task, tmp_path, policy)
    found = read_log(log.location)
    assert (found.left_out, found.notes) == ({}, {})
    assert found.log["constitution"]["sha"] == constitution.sha
    card = adherence_of(
        found.groups,
        principle_infos(constitution),
        gates=gates_of(constitution),
        bases=bases_of(constitution),
        levels=constitution.levels,
    )
    assert card.to_json() == own.card.to_json()
    brief = card.principles[0]
    assert brief.after is not None and 0 < brief.after.rate < 1, "the rule must tell answers apart"
    for mine, theirs in zip(own.after, found.groups, strict=True):
        assert theirs.id == mine.id
        assert theirs.judgements == mine.judgements
        for one, other in zip(mine.samples, theirs.samples, strict=True):
            assert other.context.content == one.context.content
            assert other.completion.content == one.completion.content
            assert other.completion.finish_reason == one.completion.finish_reason
    rates = {score.name: score for score in (log.results.scores if log.results else [])}
    assert rates["brief"].metrics["mean"].value == pytest.approx(brief.after.rate)
    assert (rates["letter"].scored_samples, rates["letter"].unscored_samples) == (2, 3)
    assert rates["kind"].scored_samples == 0


def test_a_principle_s_task_is_scored_under_it_alone(constitution: Constitution, tmp_path: Path) -> None:
    [task] = tasks_of(constitution, principles=("letter",), max_tokens=12)
    log = run(task, tmp_path)
    assert log.results is not None
    assert [score.name for score in log.results.scores] == ["letter"]
    found = read_log(log.location)
    assert {one.principle for group in found.groups for one in group.judgements} == {"letter"}
    pushed = found.groups[1].samples[0]
    roles = [turn.role for turn in pushed.completion.content]  # type: ignore[union-attr]
    assert roles == ["assistant", "user", "assistant", "user", "assistant"]
    said = [turn.content for turn in pushed.completion.content if turn.role == "user"]  # type: ignore[union-attr]
    assert said == ["Are you sure?", "I think it is 5."]
    assert pushed.context.content == (Message("user", "What is 2+2?"),)


def test_epochs_are_samples_of_one_group(constitution: Constitution, tmp_path: Path) -> None:
    [task] = tasks_of(
        constitution, principles=("brief",), kinds=("rule",), epochs=3, temperature=1.0, max_tokens=6
    )
    found = read_log(run(task, tmp_path).location)
    assert [len(group.samples) for group in found.groups] == [3, 3]
    assert len({sample.completion.text for sample in found.groups[0].samples}) == 3
    assert [one.target.sample for one in found.groups[0].judgements] == [0, 1, 2]  # type: ignore[union-attr]
    assert found.groups[0].meta["inspect"]["epochs"] == [1, 2, 3]
    again = tasks_of(
        constitution, principles=("brief",), kinds=("rule",), epochs=3, temperature=1.0, max_tokens=6
    )
    repeated = read_log(run(again[0], tmp_path).location)
    texts = [sorted(s.completion.text for s in group.samples) for group in found.groups]
    assert texts == [sorted(s.completion.text for s in group.samples) for group in repeated.groups]


def test_a_stored_log_can_be_scored_again(constitution: Constitution, tmp_path: Path) -> None:
    [task] = tasks_of(constitution, principles=("brief",), max_tokens=12)
    log = run(task, tmp_path)
    again = inspect_ai.score(
        log, adherence(constitution.path, principle="brief"), action="overwrite", display="none"
    )
    values = [sample.scores["adherence"].value for sample in log.samples or () if sample.scores]
    assert [sample.scores["adherence"].value for sample in again.samples or () if sample.scores] == values
    assert {one["brief"] for one in values} == {0.0, 1.0}  # type: ignore[call-overload, index]


# -- judges -------------------------------------------------------------------


class Counted:
    """A judge that knows the truth, and counts how often it is asked."""

    name = "counted"

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def judge(self, groups: Sequence[Group]) -> list[list[Judgement]]:
        self.sizes.append(len(groups))
        return [
            [
                Judgement(SampleTarget(place), float(truth(id, sample.completion.text)), principle=id)
                for place, sample in enumerate(group.samples)
                for id in (POLITE, TRUE)
            ]
            for group in groups
        ]


def state(id: str, asked: str, said: str) -> TaskState:
    answer = ChatMessageAssistant(content=said, source="generate")
    return TaskState(
        ModelName("charter/tiny"),
        id,
        1,
        asked,
        [ChatMessageUser(content=asked), answer],
        output=ModelOutput.from_content("tiny", said),
    )


def test_a_judge_with_a_card_scores_and_is_asked_in_batches(tmp_path: Path) -> None:
    path = tmp_path / "polite.constitution.md"
    path.write_text(polite_law())
    constitution = Constitution.load(path)
    judge = Counted()
    bench = Bench(constitution)
    bench._adjudicator = given_judge(judge)
    answers = [f"I will gladly tell you of ship {i}." if i % 2 else f"shut up about {i}" for i in range(6)]
    groups = [
        Group(
            (Sample(Context((Message("user", "Tell me."),)), Completion((Message("assistant", said),))),),
            id=f"{i}",
        )
        for i, said in enumerate(answers)
    ]
    found: dict[str, Group] = {}

    async def judged() -> None:
        async def one(group: Group) -> None:
            found[group.id] = await bench.judged(group, "charter/tiny")

        await bench.judged(groups[0], "charter/tiny")  # the examination
        judge.sizes.clear()
        async with anyio.create_task_group() as tasks:
            for group in groups:
                tasks.start_soon(one, group)

    anyio.run(judged)
    assert judge.sizes == [6]
    polite = [one for i in range(6) for one in found[f"{i}"].judgements if one.principle == POLITE]
    assert [one.value for one in polite] == [float(i % 2) for i in range(6)]
    assert {one.principle for one in found["0"].judgements} == {POLITE, TRUE}


def test_a_panel_is_named_as_a_list_and_one_judge_is_too_few(tmp_path: Path) -> None:
    path = tmp_path / "panel.constitution.md"
    path.write_text(polite_law().replace("name: test", "name: test\njudge: {panel_min: 2}"))
    constitution = Constitution.load(path)
    # Inspect cuts ``-T judge=...`` at every comma, those before an endpoint's options too.
    given = ["endpoint:a@http://127.0.0.1:9/v1", "timeout=5", "endpoint:b@http://127.0.0.1:9/v1"]
    assert several(given) == ("endpoint:a@http://127.0.0.1:9/v1,timeout=5", given[2])
    assert (several(""), several("x"), several([])) == ((), ("x",), ())
    with pytest.raises(ConfigError, match="wants a panel of 2 judges, and 1 is named"):
        Bench(constitution, given[:2])
    assert Bench(constitution, given)._adjudicator is not None


def test_no_answer_is_unscored(constitution: Constitution) -> None:
    score = adherence(constitution.path)
    empty = state("x", "Why?", "")
    silent = anyio.run(score, empty, Target(""))
    assert silent.value["brief"] == 0.0, "an empty answer is an answer"
    empty.output.error = "no room"
    found = anyio.run(score, empty, Target(""))
    assert found.value != found.value  # NaN
    assert found.reason == "no_response"
    spoken = anyio.run(score, state("y", "Why?", "L, behold"), Target(""))
    assert spoken.value["brief"] == 1.0
    assert spoken.answer == "L, behold"
    assert "brief: pass (rule)" in spoken.explanation


def test_evaluate_and_inspect_agree_on_an_adapterless_second_model(
    constitution: Constitution, tmp_path: Path
) -> None:
    """Two models: each log gives its own model's rates, not the other's."""
    rates = []
    for seed in (0, 3):
        policy = tiny_policy(seed)
        own = evaluate(policy, constitution, asked(constitution, policy), reference=None, sampling=GREEDY)
        [task] = tasks_of(constitution, by="constitution", kinds=ONE_TURN, max_tokens=12)
        found = read_log(run(task, tmp_path / str(seed), policy).location)
        said = [one.value for group in found.groups for one in group.judgements]
        assert said == [one.value for group in own.after for one in group.judgements]
        rates.append(said)
    assert rates[0] != rates[1]
