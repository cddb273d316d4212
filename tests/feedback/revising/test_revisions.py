"""Answer, critique, revision: planted critics, what is left out, and going on after an interruption."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from planted_models import TEXT, Judge, Script, answered, constitution, prompt

from charter.constitution import Constitution
from charter.data.formats import load_groups
from charter.data.prepare import prepare
from charter.engines.scripted import ScriptedEngine
from charter.errors import ConfigError, DataError, Interrupted, UserError
from charter.feedback.judging.model import Reply
from charter.feedback.revising.options import ReviseOptions
from charter.feedback.revising.record import without_preface
from charter.feedback.revising.revise import revise
from charter.feedback.revising.rows import revision_pairs, revision_preference_rows, sft_rows
from charter.feedback.revising.writer import Conversation, EngineWriter, JudgeWriter, Writing, Written
from charter.records import group_from_json, group_to_json
from charter.testing.tiny import tiny_tokenizer

PLAIN = ReviseOptions(few_shot=False)


def critic(turns: Conversation) -> str:
    """Answers in capitals; a critique quotes it; each revision leaves its principle's mark."""
    last = turns[-1].content
    if last.startswith("Look at your last answer"):
        return f"It says {turns[-2].content!r}."
    if last.startswith("Now rewrite"):
        mark = "calm" if "No shouting" in last else "brief" if "Short" in last else "signed"
        return f"{turns[-4].content.lower()} [{mark}]"
    return f"ABOUT {last.upper()}"


PROMPTS = [prompt(f"question {number}") for number in range(6)]


def test_every_turn_is_kept_and_the_last_revision_is_what_is_trained() -> None:
    found = revise(
        PROMPTS[:1], constitution(), Script(critic), options=ReviseOptions(rounds=2, few_shot=False)
    )
    (record,) = found.records
    assert record.answer == "ABOUT QUESTION 0"
    assert [step.round for step in record.steps] == [1, 2]
    first, second = record.steps
    assert {first.principle, second.principle} == {"calm", "brief"}, "none again before all have come"
    assert first.critique == "It says 'ABOUT QUESTION 0'."
    assert first.revision == f"about question 0 [{first.principle}]"
    assert second.critique == f"It says {first.revision!r}.", "each round reads the newest revision"
    assert record.final == f"{first.revision} [{second.principle}]"
    rules = constitution()
    assert [step.principle_sha for step in record.steps] == [
        rules.principle(s.principle).sha for s in record.steps
    ]
    kept = json.loads(json.dumps(record.to_json()))
    assert kept["steps"][1]["critique_request"].count("principle") and kept["final"] == record.final
    assert found.counts["revisions used"] == 2 and found.counts["prompts with a revision"] == 1


def test_the_conversation_is_prompt_answer_request_after_the_examples() -> None:
    script = Script(critic)
    group = prompt("hello")
    revise([group], constitution(), script)
    _, critique, revision = script.asked
    assert [turn.role for turn in critique] == ["user", "assistant"] * 6 + ["user", "assistant", "user"]
    assert critique[12].content == "hello" and critique[13].content == "ABOUT HELLO"
    assert revision[: len(critique)] == critique and revision[-2].role == "assistant"
    assert "See Short" in critique[-1].content or "the person asked for detail" in critique[-1].content


def test_a_principle_that_brings_its_own_requests_is_asked_in_them() -> None:
    text = TEXT.replace(
        "An answer is not in capitals. See [?](#brief).",
        "No capitals.\n\n**Critique**: Where are the capitals?\n\n**Revision**: Take them out.",
    )
    law = Constitution.from_text(text, "own.constitution.md")
    script = Script(lambda turns: "Cats." if len(turns) > 1 else "CATS.")
    options = ReviseOptions(principles=("calm",), few_shot=False)
    (record,) = revise(PROMPTS[:1], law, script, options=options).records
    assert [turns[-1].content for turns in script.asked[1:]] == ["Where are the capitals?", "Take them out."]
    assert record.steps[0].critique_request == "Where are the capitals?" and record.final == "Cats."
    assert record.steps[0].prompt_shas == ("", ""), "no wording of ours was used"


def test_the_seed_decides_the_principle_and_not_the_order_of_the_file() -> None:
    def principles(prompts: list, seed: int) -> dict[str, str]:
        found = revise(
            prompts, constitution(), Script(critic), options=ReviseOptions(seed=seed, few_shot=False)
        )
        return {record.id: record.steps[0].principle for record in found.records}

    many = [prompt(f"q{number}") for number in range(40)]
    one = principles(many, 0)
    assert one == principles(many[::-1], 0)
    assert one != principles(many, 1)
    assert 8 <= sum(name == "calm" for name in one.values()) <= 32


def test_only_principles_about_the_prompt_are_drawn() -> None:
    options = ReviseOptions(principles=("signed",), few_shot=False)
    prompts = [prompt("a letter", tags=["letter"]), prompt("no letter")]
    found = revise(prompts, constitution(), Script(critic), options=options)
    assert [record.id for record in found.records] == ["a letter"]
    assert found.counts["prompts that no principle is about"] == 1
    every = revise([prompt(f"q{n}") for n in range(30)], constitution(), Script(critic), options=PLAIN)
    assert {step.principle for one in every.records for step in one.steps} == {"calm", "brief"}


def test_prompts_that_measure_are_never_revised() -> None:
    found = revise([prompt("tell me about WHALES, loudly!"), prompt("x y z")], constitution(), Script(critic))
    assert [record.id for record in found.records] == ["x y z"]
    assert found.counts["prompts that are tests of the constitution"] == 1


@pytest.mark.parametrize(
    ("reply", "outcome", "words"),
    [
        (Written("ABOUT  QUESTION 0\n", model="m"), "unchanged", "revisions that change nothing"),
        (Written("", model="m"), "empty", "empty revisions"),
        (Written("Here is the revised answer:", model="m"), "empty", "empty revisions"),
        (Written("about quest", cut=True, model="m"), "cut off", "revisions cut off by the length limit"),
        (Written(error="503", model="m"), "error", "rounds that failed"),
    ],
)
def test_bad_revisions_are_counted_and_never_trained_on(reply: Written, outcome: str, words: str) -> None:
    def say(turns: Conversation) -> str | Written:
        return reply if turns[-1].content.startswith("Now rewrite") else critic(turns)

    found = revise(PROMPTS[:1], constitution(), Script(say), options=PLAIN)
    assert [step.outcome for step in found.records[0].steps] == [outcome]
    assert found.counts[words] == 1 and found.counts["prompts without a usable revision"] == 1
    assert sft_rows(found.records) == revision_preference_rows(found.records) == []
    assert f"1 {words}" in found.lines()


def test_a_bad_last_round_leaves_the_round_before() -> None:
    def say(turns: Conversation) -> str | Written:
        if turns[-1].content.startswith("Now rewrite") and "[" in turns[-4].content:
            return "ABOUT QUESTION 0"
        return critic(turns)

    options = ReviseOptions(rounds=3, few_shot=False)
    (record,) = revise(PROMPTS[:1], constitution(), Script(say), options=options).records
    assert [step.outcome for step in record.steps] == ["used", "unchanged", "unchanged"]
    assert record.final == record.steps[0].text
    (row,) = sft_rows([record])
    assert (row["rounds"], row["principle"]) == (1, record.steps[0].principle)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Written("half an ans", cut=True), "answers cut off by the length limit"),
        (Written(""), "empty answers"),
        (Written(error="429"), "answers that failed"),
    ],
)
def test_bad_answers_are_counted_and_not_revised(answer: Written, words: str) -> None:
    script = Script(critic)
    found = revise(PROMPTS[:2], constitution(), script, answerer=Script(lambda turns: answer))
    assert found.counts[words] == 2 and not script.asked and found.counts["rounds"] == 0


def test_a_missing_critique_stops_the_round() -> None:
    def say(turns: Conversation) -> str:
        return "" if turns[-1].content.startswith("Look") else critic(turns)

    script = Script(say)
    found = revise(PROMPTS[:1], constitution(), script, options=PLAIN)
    assert found.counts["rounds without a critique"] == 1
    assert not any(turns[-1].content.startswith("Now") for turns in script.asked)


def test_an_answer_that_is_there_is_the_first_answer() -> None:
    script = Script(critic)
    found = revise([answered("q", "GIVEN ANSWER")], constitution(), script, options=PLAIN)
    assert found.records[0].answer == "GIVEN ANSWER" and found.records[0].answered_by == "dataset"
    assert len(script.asked) == 2
    with pytest.raises(DataError, match="2 answers in a row"):
        revise([answered("q", "a", "b")], constitution(), script)


def test_rows_load_in_both_formats_with_principle_and_sha(tmp_path: Path) -> None:
    group = prompt("question 0", tags=["x"])
    records = revise([group, PROMPTS[1]], constitution(), Script(critic), options=PLAIN).records
    sft, pairs = sft_rows(records), revision_preference_rows(records)
    for rows, wanted in ((sft, "sft"), (pairs, "preference")):
        file = tmp_path / f"{wanted}.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        loaded = load_groups(str(file), wanted)  # type: ignore[arg-type]
        assert len(loaded.groups) == 2
        for row, record in zip(rows, records, strict=True):
            assert row["principle"] == record.steps[0].principle
            assert row["principle_sha"] == constitution().principle(row["principle"]).sha
            assert row["principles"] == [row["principle"]] and row["prompt_shas"] == list(
                record.steps[0].prompt_shas
            )
    assert sft[0]["tags"] == ["x"] and sft[0]["completion"][0]["content"] == records[0].final
    assert pairs[0]["chosen"][0]["content"] == records[0].final
    assert pairs[0]["rejected"][0]["content"] == records[0].answer
    assert "margin" not in pairs[0] and "probability" not in pairs[0], "nobody measured one"
    (first, _) = load_groups(str(tmp_path / "preference.jsonl"), "preference").groups
    assert first.judgements[0].principle == pairs[0]["principle"] and first.meta["principle_sha"]


def test_pairs_are_groups_that_survive_being_written() -> None:
    records = revise(PROMPTS[:2], constitution(), Script(critic), options=PLAIN).records
    for group in revision_pairs(records):
        assert group_from_json(json.loads(json.dumps(group_to_json(group)))).samples == group.samples
        assert group.judgements[0].reason.startswith("It says")
        assert group.samples[0].completion.content != group.samples[1].completion.content


# -- going on ---------------------------------------------------------------------------


class Dies(Script):
    """Stops, as a person would, after some conversations; and forgets nothing of what it was asked."""

    left = 7

    def write(self, conversations, writing, prompt_sha=""):  # type: ignore[no-untyped-def]
        found = []
        for turns in conversations:
            if self.left == 0:
                raise Interrupted("stopped")
            self.left -= 1
            found += super().write([turns], writing, prompt_sha)
        return found


def test_an_interrupted_run_goes_on_and_gives_the_same_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("charter.feedback.revising.writer.CHUNK", 2)
    options = ReviseOptions(rounds=2, few_shot=False)
    whole = revise(PROMPTS, constitution(), Script(critic), options=options, journals=tmp_path / "whole")
    dying = Dies(critic)
    with pytest.raises(Interrupted, match=r"critiques, round 1 stopped, what was written is kept\n.*again"):
        revise(PROMPTS, constitution(), dying, options=options, journals=tmp_path / "cut")
    kept = (tmp_path / "cut" / "answers.journal.jsonl").read_text().splitlines()
    assert len(kept) == 6
    again = Script(critic)
    found = revise(PROMPTS, constitution(), again, options=options, journals=tmp_path / "cut")
    assert found.records == whole.records and found.counts == whole.counts
    assert len(again.asked) == 6 * 5 - 6, "answers are not asked twice; the lost critique is"
    for name in ("answers", "critiques", "revisions"):
        files = [(tmp_path / run / f"{name}.journal.jsonl").read_text() for run in ("whole", "cut")]
        assert files[0] == files[1]
    silent = Script(critic)
    assert revise(PROMPTS, constitution(), silent, options=options, journals=tmp_path / "cut") == found
    assert not silent.asked


def test_a_torn_last_line_costs_one_call(tmp_path: Path) -> None:
    revise(PROMPTS, constitution(), Script(critic), options=PLAIN, journals=tmp_path)
    file = tmp_path / "revisions.journal.jsonl"
    file.write_bytes(file.read_bytes()[:-9])
    script = Script(critic)
    found = revise(PROMPTS, constitution(), script, options=PLAIN, journals=tmp_path)
    assert len(script.asked) == 1 and found.counts["revisions used"] == 6


def test_failed_calls_are_asked_again(tmp_path: Path) -> None:
    broken = Script(lambda turns: Written(error="timeout"))
    assert revise(PROMPTS, constitution(), broken, journals=tmp_path).counts["answers that failed"] == 6
    found = revise(PROMPTS, constitution(), Script(critic, name="script"), journals=tmp_path)
    assert found.counts["revisions used"] == 6


def test_another_seed_or_temperature_is_another_question(tmp_path: Path) -> None:
    for options in (
        PLAIN,
        ReviseOptions(few_shot=False, temperature=0.5),
        ReviseOptions(few_shot=False, seed=1),
    ):
        script = Script(critic)
        revise(PROMPTS, constitution(), script, options=options, journals=tmp_path)
        assert len(script.asked) == 18


def test_equal_prompts_are_asked_once() -> None:
    script = Script(critic)
    found = revise([PROMPTS[0], PROMPTS[0]], constitution(), script, options=PLAIN)
    assert len(script.asked) == 3 and found.records[0] == found.records[1]


# -- who writes --------------------------------------------------------------------------


def test_an_engine_writes() -> None:
    engine = ScriptedEngine(lambda text, sample: f"{len(text)} letters\nUser: and more")
    writer = EngineWriter(engine, "letters")
    (made,) = writer.write([prompt("four").samples[0].context.content], Writing(stop=("\nUser:",)))  # type: ignore[list-item]
    assert made == Written("4 letters", False, "", "letters")


def test_an_engine_with_a_template_sees_the_limit() -> None:
    from charter.data.render import Template

    tokenizer = tiny_tokenizer()
    writer = EngineWriter(ScriptedEngine({"hi": ["hello"]}, tokenizer), "tiny", Template(tokenizer))
    (short,) = writer.write([prompt("hi").samples[0].context.content], Writing(max_tokens=3))  # type: ignore[list-item]
    assert (short.text, short.cut) == ("hel", True)


def test_a_judge_model_writes_and_says_when_a_limit_ended_it() -> None:
    full = Judge(lambda question: Reply("all of it\nUser: more", model="m", finish_reason="length"))
    (made,) = JudgeWriter(full).write([prompt("x").samples[0].context.content], Writing(max_tokens=9))  # type: ignore[list-item]
    assert made.cut and made.text == "all of it\nUser: more"
    (stopped,) = JudgeWriter(full).write(
        [prompt("x").samples[0].context.content],  # type: ignore[list-item]
        Writing(max_tokens=9, stop=("\nUser:",)),
    )
    assert stopped == Written("all of it", False, "", "m")
    broken = JudgeWriter(Judge(lambda question: Reply(error="429")))
    (failed,) = broken.write([prompt("x").samples[0].context.content], Writing())  # type: ignore[list-item]
    assert failed.error == "429"


def test_one_conversation_that_is_too_long_costs_no_other() -> None:
    class Short(ScriptedEngine):
        def generate(self, contexts, *rest, **more):  # type: ignore[no-untyped-def]
            if any(len(context.text) > 20 for context in contexts):
                raise UserError("too long for the model")
            return super().generate(contexts, *rest, **more)

    writer = EngineWriter(Short(lambda text, sample: f"re {text}"), "short")
    talks = [prompt(text).samples[0].context.content for text in ("one", "x" * 30, "two")]
    made = writer.write(talks, Writing())  # type: ignore[arg-type]
    assert [one.text for one in made] == ["re one", "", "re two"]
    assert made[1].error == "too long for the model" and writer.write([], Writing()) == []


def test_rows_render_with_a_chat_template(tmp_path: Path) -> None:
    from charter.data.render import Template

    rows = revision_preference_rows(revise(PROMPTS, constitution(), Script(critic), options=PLAIN).records)
    ready = prepare(load_groups(rows, "preference"), Template(tiny_tokenizer()))
    assert ready.report.kept == 6 and not ready.report.dropped


# -- small things ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Here is the revised answer:\n\nFish swim.", "Fish swim."),
        ("Sure! Here's a rewritten version: Fish swim.", "Fish swim."),
        ("Revised response: Fish swim.", "Fish swim."),
        ("The updated rule says: keep left.", "The updated rule says: keep left."),
        ("Here you are: fish.", "Here you are: fish."),
        ("This is it. New answer below.", "This is it. New answer below."),
    ],
)
def test_prefaces(text: str, left: str) -> None:
    assert without_preface(text) == left


def test_bad_requests_end_before_anything_is_asked() -> None:
    script = Script(critic)
    for names, words in (
        (("calmm",), "did you mean 'calm'"),
        (("old",), "no active"),
        (("terms",), "no active"),
    ):
        with pytest.raises(ConfigError, match=words):
            revise(PROMPTS, constitution(), script, options=ReviseOptions(principles=names))
    assert not script.asked
