"""Charter's results as logs of Inspect, and any log of Inspect as groups."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from inspect_law import evaluated, law, tiny_policy

pytest.importorskip("inspect_ai", reason="inspect-ai is not installed: pip install 'charter[inspect]'")

import inspect_ai
from inspect_ai.dataset import Sample as InspectSample
from inspect_ai.log import (
    EvalConfig,
    EvalDataset,
    EvalError,
    EvalLog,
    EvalSample,
    EvalSampleLimit,
    EvalSpec,
    ProvenanceData,
    read_eval_log,
    write_eval_log,
)
from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageTool,
    ChatMessageUser,
    ContentImage,
    ContentReasoning,
    ContentText,
    ModelOutput,
)
from inspect_ai.scorer import Score, includes
from inspect_ai.tool import ToolCall, ToolCallError

from charter.constitution import Constitution
from charter.errors import ConfigError, DataError, UserError
from charter.evaluation.evaluate import Evaluation, evaluate, gates_of, principle_infos
from charter.evaluation.inspect.read import Judged, label_rows, read_log
from charter.evaluation.inspect.registry import model_of
from charter.evaluation.inspect.results import measured, read_results, results_of
from charter.evaluation.inspect.write import ALL, write_log
from charter.evaluation.judge_card.labels import read_labels
from charter.evaluation.rates.adherence import adherence
from charter.feedback.rules.constitution import ConstitutionFeedback
from charter.models.pairing import Reference
from charter.records import write_groups
from charter.rundir import write_json
from charter.types import (
    Completion,
    Context,
    Group,
    Judgement,
    Message,
    PairTarget,
    Sample,
    SampleTarget,
)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def constitution(tmp_path: Path) -> Constitution:
    return law(tmp_path)


@pytest.fixture
def evaluation(constitution: Constitution) -> Evaluation:
    from inspect_law import GREEDY, asked

    policy = tiny_policy()
    return evaluate(
        policy,
        constitution,
        asked(constitution, policy),
        reference=Reference(tiny_policy(3).model),
        sampling=GREEDY,
    )


def without_ids(group: Group) -> Group:
    """A group as a log can hold it."""
    samples = tuple(
        replace(
            one,
            context=replace(one.context, token_ids=()),
            completion=replace(one.completion, token_ids=(), trained=(), logps=()),
        )
        for one in group.samples
    )
    return replace(group, samples=samples)


# -- ours, written ------------------------------------------------------------


def test_an_evaluation_comes_back_whole(
    constitution: Constitution, evaluation: Evaluation, tmp_path: Path
) -> None:
    written = write_log(results_of(evaluation, constitution, "tiny"), tmp_path / "a.eval")
    assert written.samples == 5
    assert written.counts == {
        "answers whose token ids and log-probs are not carried over": 5,
        "scores": 15,
    }
    found = read_log(written.path)
    assert (found.left_out, found.notes) == ({}, {})
    assert list(found.groups) == [without_ids(group) for group in evaluation.after]
    card = adherence(
        found.groups, principle_infos(constitution), gates=gates_of(constitution), levels=constitution.levels
    )
    assert card.overall.after == evaluation.card.overall.after


def test_the_log_says_what_the_card_says(
    constitution: Constitution, evaluation: Evaluation, tmp_path: Path
) -> None:
    path = write_log(results_of(evaluation, constitution, "tiny"), tmp_path / "a.eval").path
    log = read_eval_log(str(path))
    assert log.status == "success"
    assert log.eval.model == "tiny"
    assert log.eval.task_version == "1.2.0"
    assert log.eval.metadata is not None and log.results is not None
    assert log.eval.metadata["constitution"]["sha"] == constitution.sha
    assert log.eval.metadata["charter"]["adherence"] == results_of(evaluation, constitution, "tiny").adherence
    scores = {score.name: score for score in log.results.scores}
    assert list(scores) == [ALL, "brief", "letter", "kind"]
    for row in evaluation.card.principles:
        score = scores[row.principle]
        assert score.scored_samples == sum(
            one.value is not None and one.principle == row.principle
            for group in evaluation.after
            for one in group.judgements
        )
        assert score.metadata is not None and score.metadata["sha"] == row.sha
        if row.after is None:
            assert score.metrics == {}
            continue
        metric = score.metrics["adherence"]
        assert metric.value == row.after.rate
        assert metric.metadata is not None
        assert (metric.metadata["lo"], metric.metadata["hi"]) == (row.after.lo, row.after.hi)
        assert row.change is not None
        assert score.metrics["change"].value == row.change.diff
        assert (score.metrics["change"].metadata or {})["p"] == row.change.p
    overall = evaluation.card.overall
    assert overall.after is not None
    assert scores[ALL].metrics["adherence"].value == overall.after.rate
    [sample] = [one for one in log.samples or () if one.id == "brief/three"]
    assert [message.role for message in sample.messages] == ["system", "user", "assistant"]
    assert sample.scores is not None
    brief = sample.scores["brief"]
    assert brief.value in (0.0, 1.0)
    assert "(rule)" in (brief.explanation or "")
    assert brief.metadata is not None and brief.metadata["charter"]["judge"] == "rule"
    assert math.isnan(float(sample.scores["letter"].value))  # type: ignore[arg-type]
    assert sample.scores["letter"].reason == "not_applicable"
    assert sample.scores["kind"].reason == "not_measured"
    assert sample.output.usage is not None and sample.output.usage.output_tokens > 0


def test_the_base_model_has_a_log_of_its_own(
    constitution: Constitution, evaluation: Evaluation, tmp_path: Path
) -> None:
    path = write_log(results_of(evaluation, constitution, "tiny", "base"), tmp_path / "base.eval").path
    assert evaluation.before is not None
    assert list(read_log(path).groups) == [without_ids(group) for group in evaluation.before]
    log = read_eval_log(str(path))
    brief = evaluation.card.principles[0]
    assert log.results is not None and brief.before is not None
    [score] = [one for one in log.results.scores if one.name == "brief"]
    assert score.metrics["adherence"].value == brief.before.rate
    assert "change" not in score.metrics
    alone = replace(evaluation, before=None)
    with pytest.raises(UserError, match="no base"):
        results_of(alone, constitution, "tiny", "base")


def judged_group(constitution: Constitution) -> Group:
    kind: dict[str, Any] = {"principle": "kind", "principle_sha": constitution.principle("kind").sha}
    asked = Context((Message("user", "Hi."),))
    plain = Sample(Context("Once upon"), Completion(" a time", sampled_by="policy", finish_reason="length"))
    samples = (
        Sample(asked, Completion((Message("assistant", "Hello."),), sampled_by="policy", weight_version=7)),
        plain,
    )
    said = (
        Judgement(SampleTarget(0), 1.0, 0.8, **kind, judge="a", reason="is kind"),
        Judgement(SampleTarget(0), 0.0, **kind, judge="b", weight=2.0),
        Judgement(SampleTarget(1), verdict="error", **kind, judge="a", reason="429"),
        Judgement(SampleTarget(1), 3.5, judge="rater"),
        Judgement(PairTarget(0, 1), 0.6, **kind, judge="c"),
    )
    return Group(samples, said, "g/1", "file:3", {"tags": ["asked"], "n": 2}, "part")


def test_every_kind_of_judgement_comes_back(constitution: Constitution, tmp_path: Path) -> None:
    group = judged_group(constitution)
    own = replace(group, judgements=group.judgements[2:])  # one judge a principle, for the card
    results = replace(measured([own], constitution, "m"), groups=(group,))
    written = write_log(results, tmp_path / "b.eval")
    assert written.counts["judgements about pairs or segments, kept as metadata"] == 1
    [found] = read_log(written.path).groups
    assert found == group
    samples = read_eval_log(str(written.path)).samples or []
    assert set(samples[0].scores or ()) == {"kind (a)", "kind (b)"}
    assert (samples[1].scores or {})["kind"].reason == "grader_failed"
    assert (samples[1].scores or {})["rater"].value == 3.5
    assert samples[1].input == "Once upon"


def test_a_model_s_verdicts_without_a_card_are_not_claimed(constitution: Constitution) -> None:
    sha = constitution.principle("kind").sha
    group = replace(
        judged_group(constitution),
        judgements=(Judgement(SampleTarget(0), 1.0, principle="kind", principle_sha=sha, judge="a model"),),
    )
    found = measured([group], constitution, "m")
    [row] = [one for one in found.adherence["principles"] if one["principle"] == "kind"]
    assert row["judge"]["evidence"] == "uncalibrated"
    assert row["judge"]["name"] == "a model"


def test_what_cannot_be_written_is_refused(
    constitution: Constitution, evaluation: Evaluation, tmp_path: Path
) -> None:
    results = results_of(evaluation, constitution, "tiny")
    path = tmp_path / "a.eval"
    write_log(results, path)
    with pytest.raises(UserError, match="exists already"):
        write_log(results, path)
    write_log(results, path, force=True)
    with pytest.raises(UserError, match=r"ends with \.eval or \.json"):
        write_log(results, tmp_path / "a.log")
    with pytest.raises(UserError, match="no answers"):
        write_log(replace(results, groups=()), tmp_path / "c.eval")
    twice = replace(results, groups=results.groups[:1] * 2)
    with pytest.raises(UserError, match="unique"):
        write_log(twice, tmp_path / "c.eval")
    as_json = write_log(results, tmp_path / "a.json").path
    assert read_log(as_json).groups == read_log(path).groups


# -- what an evaluation left on disk ------------------------------------------


def left_behind(evaluation: Evaluation, constitution: Constitution, folder: Path, *, report: bool) -> Path:
    """What a run's evaluate stage writes."""
    stage = folder / "stages" / "3-evaluate"
    stage.mkdir(parents=True)
    write_groups(stage / "answers.jsonl", evaluation.after)
    write_groups(stage / "base_answers.jsonl", evaluation.before or ())
    results = results_of(evaluation, constitution, "tiny")
    write_json(
        stage / "evaluation.json", {"adherence": dict(results.adherence), "health": [], "flags": ["x"]}
    )
    if report:
        named = {"name": "tested", "version": "1.2.0", "sha": constitution.sha}
        models = {"aligned": {"name": "tiny + dpo"}, "base": {"name": "tiny"}}
        write_json(
            folder / "report.json",
            {"constitution": named, "models": models, "created": "2026-01-02T03:04:05+00:00"},
        )
    return folder


def test_a_run_directory_is_read(constitution: Constitution, evaluation: Evaluation, tmp_path: Path) -> None:
    run = left_behind(evaluation, constitution, tmp_path / "run", report=True)
    found = read_results(run)
    assert found.groups == evaluation.after
    assert (found.model, found.side, list(found.flags)) == ("tiny + dpo", "aligned", ["x"])
    assert found.constitution == {"name": "tested", "version": "1.2.0", "sha": constitution.sha}
    base = read_results(run, None, "base")
    assert (base.groups, base.model) == (evaluation.before, "tiny")
    log = read_eval_log(str(write_log(found, tmp_path / "run.eval").path))
    assert str(log.eval.created).startswith("2026-01-02T03:04:05")


def test_a_run_without_a_report_needs_the_constitution(
    constitution: Constitution, evaluation: Evaluation, tmp_path: Path
) -> None:
    run = left_behind(evaluation, constitution, tmp_path / "run", report=False)
    with pytest.raises(UserError, match="which constitution"):
        read_results(run)
    assert read_results(run, constitution).constitution["sha"] == constitution.sha
    with pytest.raises(UserError, match="nothing was evaluated"):
        read_results(tmp_path)
    other = Constitution.from_text("---\nname: other\nlevels: [a]\n---\n## B {#b authority=a}\nBe.\n")
    reported = left_behind(evaluation, constitution, tmp_path / "other", report=True)
    with pytest.raises(DataError, match="not the constitution"):
        read_results(reported, other)


def test_a_file_of_judged_samples_is_measured(
    constitution: Constitution, evaluation: Evaluation, tmp_path: Path
) -> None:
    path = tmp_path / "judged.jsonl"
    write_groups(path, evaluation.after)
    with pytest.raises(UserError, match="needs the constitution"):
        read_results(path)
    found = read_results(path, constitution)
    [brief] = [row for row in found.adherence["principles"] if row["principle"] == "brief"]
    own = evaluation.card.principles[0]
    assert own.after is not None
    assert brief["after"]["rate"] == own.after.rate


# -- theirs, read -------------------------------------------------------------


def said(text: str, **more: Any) -> ChatMessageAssistant:
    return ChatMessageAssistant(content=text, source="generate", **more)


def sample(id: str, answer: str = "Fine.", epoch: int = 1, **more: Any) -> EvalSample:
    asked = ChatMessageUser(content="How are you?")
    fields: dict[str, Any] = {
        "input": "How are you?",
        "target": "Fine",
        "messages": [asked, said(answer)],
        "output": ModelOutput.from_content("other/model", answer),
        "scores": {"match": Score(value="C")},
    }
    return EvalSample(id=id, epoch=epoch, **{**fields, **more})


def foreign(
    tmp_path: Path, samples: Sequence[EvalSample], *, epochs: int = 1, status: str = "success", more: int = 0
) -> Path:
    ids = list(dict.fromkeys(str(one.id) for one in samples))
    spec = EvalSpec(
        created="2026-02-03T04:05:06+00:00",
        task="theirs",
        model="other/model",
        dataset=EvalDataset(samples=len(ids) + more, sample_ids=ids),
        config=EvalConfig(epochs=epochs),
    )
    path = tmp_path / "theirs.eval"
    write_eval_log(EvalLog(eval=spec, status=status, samples=list(samples)), str(path))  # type: ignore[arg-type]
    return path


def one(tmp_path: Path, **more: Any) -> tuple[Group, Mapping[str, int]]:
    found = read_log(foreign(tmp_path, [sample("a", **more)]))
    return found.groups[0], found.notes


def test_a_foreign_sample_becomes_a_group(tmp_path: Path) -> None:
    group, notes = one(tmp_path, metadata={"topic": "health"})
    assert notes == {}
    assert group.id == "a"
    assert group.samples[0].context.content == (Message("user", "How are you?"),)
    assert group.samples[0].completion == Completion(
        (Message("assistant", "Fine."),), finish_reason="stop", sampled_by="other/model"
    )
    assert group.meta == {
        "topic": "health",
        "inspect": {"task": "theirs", "target": "Fine", "epochs": [1]},
    }
    assert group.judgements == (Judgement(SampleTarget(0), 1.0, judge="match"),)


@pytest.mark.parametrize(
    ("score", "value", "verdict"),
    [
        (Score(value="C"), 1.0, "judged"),
        (Score(value="I"), 0.0, "judged"),
        (Score(value="P"), 0.5, "judged"),
        (Score(value=True), 1.0, "judged"),
        (Score(value="no"), 0.0, "judged"),
        (Score(value=7), 7.0, "judged"),
        (Score(value="0.25"), 0.25, "judged"),
        (Score(value="N"), None, "abstained"),
        (Score.unscored(), None, "abstained"),
        (Score.unscored(reason="grader_failed"), None, "error"),
        (Score(value="excellent"), None, "error"),
        (Score(value=[1, 0]), None, "error"),
    ],
)
def test_scores_as_judgements(tmp_path: Path, score: Score, value: float | None, verdict: str) -> None:
    group, notes = one(tmp_path, scores={"grade": score})
    [found] = group.judgements
    assert (found.value, found.verdict, found.judge, found.principle) == (value, verdict, "grade", "")
    unreadable = score.value in ("excellent", [1, 0])
    assert notes == ({"scores that are no number": 1} if unreadable else {})


def test_a_score_with_several_values(tmp_path: Path) -> None:
    score = Score(value={"polite": "C", "true": 0, "skipped": None}, explanation="why")
    group, _ = one(tmp_path, scores={"panel": score})
    assert [(one.judge, one.value, one.verdict) for one in group.judgements] == [
        ("panel/polite", 1.0, "judged"),
        ("panel/true", 0.0, "judged"),
        ("panel/skipped", None, "abstained"),
    ]
    assert group.judgements[0].reason == "why"


def test_tools_reasoning_and_pictures(tmp_path: Path) -> None:
    call = ToolCall(id="1", function="add", arguments={"a": 2, "b": 3})
    picture = ContentImage(image="data:image/png;base64,AA")
    failed = ToolCallError(type="timeout", message="too slow")
    messages = [
        ChatMessageSystem(content="Use the tool."),
        ChatMessageUser(content=[ContentText(text="What is it? "), picture]),
        said("", tool_calls=[call]),
        ChatMessageTool(content="", tool_call_id="1", function="add", error=failed),
        ChatMessageAssistant(
            content=[ContentReasoning(reasoning="I know."), ContentText(text="Five.")], source="generate"
        ),
    ]
    group, notes = one(
        tmp_path,
        input=messages[:2],
        messages=messages,
        output=ModelOutput(choices=[ChatCompletionChoice(message=messages[-1], stop_reason="max_tokens")]),
    )
    [found] = group.samples
    assert found.context.content == (
        Message("system", "Use the tool."),
        Message("user", "What is it? [image]"),
    )
    written = '<tool_call>\n{"name": "add", "arguments": {"a": 2, "b": 3}}\n</tool_call>'
    assert found.completion.content == (
        Message("assistant", written),
        Message("tool", "[timeout: too slow]"),
        Message("assistant", "<think>\nI know.\n</think>\nFive."),
    )
    assert found.completion.finish_reason == "length"
    assert notes == {
        "parts that are no text (image)": 1,
        "tool calls, written into the text": 1,
        "tool results that are errors": 1,
    }


def test_several_turns_with_given_answers(tmp_path: Path) -> None:
    given = [
        ChatMessageUser(content="Hi."),
        ChatMessageAssistant(content="Hello."),
        ChatMessageUser(content="And now?"),
    ]
    later = [said("So."), ChatMessageUser(content="Really?"), said("Yes.")]
    group, notes = one(
        tmp_path, input=given, messages=[*given, *later], output=ModelOutput.from_content("m", "Yes.")
    )
    [found] = group.samples
    assert [turn.content for turn in found.context.content] == ["Hi.", "Hello.", "And now?"]  # type: ignore[union-attr]
    assert [turn.content for turn in found.completion.content] == ["So.", "Really?", "Yes."]  # type: ignore[union-attr]
    assert found.completion.text == "Yes."
    assert notes == {}


def test_what_the_solver_changed_is_read_as_the_model_saw_it(tmp_path: Path) -> None:
    messages = [ChatMessageSystem(content="Think."), ChatMessageUser(content="How are you? A) B)"), said("A")]
    group, notes = one(tmp_path, messages=messages, output=ModelOutput.from_content("m", "Fine, said A"))
    [found] = group.samples
    assert [turn.content for turn in found.context.content] == ["Think.", "How are you? A) B)"]  # type: ignore[union-attr]
    assert found.completion.text == "Fine, said A"
    assert notes == {
        "prompts that the task's solver changed, read as the model saw them": 1,
        "outputs that are not the last message, added as the last turn": 1,
    }


def test_epochs_errors_limits_and_what_is_missing(tmp_path: Path) -> None:
    error = EvalError(message="boom", traceback="", traceback_ansi="")
    invalid = ProvenanceData(author="me", reason="leaked")
    cut = EvalSampleLimit(type="token", limit=10)
    choices = [ChatCompletionChoice(message=said(text), stop_reason="stop") for text in ("one", "two")]
    path = foreign(
        tmp_path,
        [
            sample("a", "one", scores={"match": Score(value="I")}),
            sample("a", "two", epoch=2, error=error, scores=None),
            sample("a", "three", epoch=3, limit=cut, scores={"match": Score(value="C")}),
            sample("b", error=error),
            sample("c", invalidation=invalid),
            sample("d", messages=[ChatMessageUser(content="How are you?")], output=ModelOutput(), limit=cut),
            sample("e", scores=None, messages=[], output=ModelOutput(choices=choices)),
        ],
        epochs=3,
        status="error",
        more=1,
    )
    found = read_log(path)
    assert [group.id for group in found.groups] == ["a", "e"]
    a, e = found.groups
    assert [one.completion.text for one in a.samples] == ["one", "three"]
    assert [(one.target, one.value) for one in a.judgements] == [
        (SampleTarget(0), 0.0),
        (SampleTarget(1), 1.0),
    ]
    assert a.meta["inspect"]["epochs"] == [1, 3]
    assert a.meta["inspect"]["limits"] == {"1": "token"}
    assert (e.samples[0].completion.text, e.judgements) == ("one", ())
    assert found.left_out == {
        "samples that were never finished": 11,
        "samples that ended in an error": 2,
        "samples that were declared invalid": 1,
        "samples without an answer (limit: token)": 1,
        "further choices of a sample, which no scorer read": 1,
    }
    assert found.notes == {
        "the log is not complete: error": 1,
        "samples cut short by a limit (token)": 1,
        "samples without a score": 1,
    }


def test_a_scorer_can_speak_for_a_principle(constitution: Constitution, tmp_path: Path) -> None:
    samples = [
        sample(f"{i}", scores={"match": Score(value="C" if i % 2 else "I"), "grade": Score(value=i)})
        for i in range(4)
    ]
    path = foreign(tmp_path, samples)
    judged = Judged(constitution, {"match": "kind"})
    found = read_log(path, judged)
    card = adherence(found.groups, principle_infos(constitution))
    [kind] = [row for row in card.principles if row.principle == "kind"]
    assert kind.after is not None and (kind.after.rate, kind.n_prompts) == (0.5, 4)
    assert {one.judge for group in found.groups for one in group.judgements} == {"match", "grade"}
    with pytest.raises(DataError, match="neither pass"):
        read_log(path, Judged(constitution, {"grade": "kind"}))
    marked = read_log(path, Judged(constitution, {"grade": "kind"}, pass_at=2))
    values = [one.value for group in marked.groups for one in group.judgements if one.principle == "kind"]
    assert values == [0.0, 0.0, 1.0, 1.0]
    with pytest.raises(ConfigError, match="no active principle 'kin'"):
        Judged(constitution, {"match": "kin"})


def test_a_foreign_task_run_here_gives_judgements_labels_and_verdicts(
    constitution: Constitution, tmp_path: Path
) -> None:
    """Inspect's own scorer on a tiny model's answers: judged again by rules, and read as labels."""
    policy = tiny_policy()
    data = [InspectSample(id=f"s{i}", input=f"Number {i}?", target="L") for i in range(6)]
    task = inspect_ai.Task(dataset=data, scorer=includes(ignore_case=False), name="theirs")
    [log] = inspect_ai.eval(
        task,
        model=model_of(policy, temperature=0.0, max_tokens=12),
        log_dir=str(tmp_path / "logs"),
        display="none",
    )
    found = read_log(log.location, Judged(constitution, {"includes": "kind"}))
    assert found.log["scorers"] == ["includes"]
    assert len(found.groups) == 6
    values = [one.value for group in found.groups for one in group.judgements]
    texts = [group.samples[0].completion.text for group in found.groups]
    assert values == [float("L" in text) for text in texts]
    assert len(set(values)) == 2
    # A random model writes NUL, which no data file may hold.
    clean = tuple(group for group in found.groups if "\0" not in group.samples[0].completion.text)
    labels = read_labels(label_rows(clean), constitution)
    assert len(clean) > 3
    assert [one.good for one in labels.answers] == [bool(group.judgements[0].value) for group in clean]
    rejudged = ConstitutionFeedback(constitution).judge(found.groups)
    assert [one.principle for one in rejudged[0]] == ["brief", "letter", "kind"]


def test_what_is_no_log_is_refused(constitution: Constitution, tmp_path: Path) -> None:
    path = tmp_path / "no.eval"
    with pytest.raises(UserError, match="no such file"):
        read_log(path)
    path.write_text("hello")
    with pytest.raises(UserError, match="not a log"):
        read_log(path)
    (tmp_path / "no.json").write_text('{"a": 1}')
    with pytest.raises(UserError, match="not a log"):
        read_log(tmp_path / "no.json")


def test_evaluated_answers_are_the_same_twice(constitution: Constitution) -> None:
    first, second = (evaluated(constitution, tiny_policy()) for _ in range(2))
    assert first.after == second.after
