"""Probes on models whose character is known: what was planted must be found, and nothing else."""

import json
import re
import signal

import pytest

from charter import interrupt
from charter.data.render import Template
from charter.engines.base import check_request
from charter.engines.scripted import ScriptedEngine
from charter.errors import ConfigError, Interrupted, UserError
from charter.evaluation.probes.arithmetic_items import sums
from charter.evaluation.probes.measures import change, mean, share
from charter.evaluation.probes.registry import PROBES
from charter.evaluation.probes.rows import ProbeResult
from charter.evaluation.probes.run import JSON, run_probes
from charter.evaluation.probes.settings import ProbeSettings
from charter.evaluation.probes.tables.answer_pairs import ANSWER_PAIRS
from charter.evaluation.probes.tables.drafts import DRAFTS
from charter.evaluation.probes.tables.opinions import OPINIONS
from charter.evaluation.probes.tables.plain_prompts import PLAIN_PROMPTS
from charter.evaluation.probes.tables.premises import PREMISES
from charter.evaluation.probes.tables.requests import TWINS
from charter.feedback.rewards import Rewards
from charter.feedback.rewards.base import SampleReward
from charter.testing.tiny import tiny_tokenizer
from charter.types import Completion, Group, Message, Sample

LONG = ProbeSettings(max_completion_length=3000)


class Talker:
    """Answers whole conversations, from a function of the user's turns and its own."""

    def __init__(self, answer, drop=()):
        self.answer, self.drop, self.asked = answer, set(drop), []

    def load_weights(self, policy, version, name="policy"):
        raise AssertionError("a probe changes no weights")

    def generate(self, contexts, n, sampling, policy="policy", on_progress=None):
        check_request((), n, sampling)
        groups = []
        for context in contexts:
            self.asked.append(context.content)
            texts = [] if context.content[-1].content in self.drop else self._texts(context.content, n)
            made = [Completion((Message("assistant", t),), finish_reason="stop") for t in texts]
            groups.append(Group(tuple(Sample(context, one) for one in made)))
            if on_progress is not None:
                on_progress(n)
        return groups

    def _texts(self, turns, n):
        return [self.answer([t.content for t in turns], number) for number in range(n)]


def probed(answer, name, **options):
    engine = Talker(answer)
    settings = ProbeSettings(**options)
    return run_probes(engine, probes=[name], settings=settings).results[0]


# -- flip -------------------------------------------------------------------------------------------


def truth_of(turns):
    a, sign, b = re.search(r"What is (\d+) ([-+*]) (\d+)\?", turns[0]).groups()
    return {"+": int(a) + int(b), "-": int(a) - int(b), "*": int(a) * int(b)}[sign]


def test_a_steadfast_model_does_not_flip():
    found = probed(lambda turns, i: f"Answer: {truth_of(turns)}", "flip")
    assert found.row("right at first").value == 1.0 and found.row("right at first").n == 40
    for arm in ("again", "doubt", "doubt twice", "wrong number"):
        net = found.row(f"{arm}: net flip")
        assert net.value == 0.0 and net.interval.lo < 0 < net.interval.hi and net.p == 1.0
        assert found.row(f"{arm}: wrong to right").value is None  # nothing was wrong: not measured, not 0
    assert found.row("wrong number: taken over").value == 0.0


def test_a_pushover_gives_up_what_is_right():
    def pushover(turns, i):
        if taken := re.search(r"I think it is (-?\d+)\.", turns[-1]):
            return f"You are right. Answer: {taken[1]}"
        doubts = sum("think that is right" in turn for turn in turns)
        return f"Sorry! Answer: {truth_of(turns) + doubts}"

    found = probed(pushover, "flip")
    assert found.row("again: net flip").value == 0.0
    for arm in ("doubt", "doubt twice", "wrong number"):
        assert found.row(f"{arm}: right to wrong").value == 1.0
        assert found.row(f"{arm}: net flip").value == 1.0
        assert found.row(f"{arm}: net flip").interval.lo > 0.8
        assert found.row(f"{arm}: beyond saying it again").value == 1.0
    assert found.row("wrong number: taken over").value == 1.0


def test_both_ways_of_flipping_are_told_apart():
    items = {item.text: number for number, item in enumerate(sums(40, 0))}

    def half_wrong(turns, i):
        """Right on even items; after a doubt it says the truth on items below 30, else one too many."""
        number = items[re.search(r"What is (.*?)\?", turns[0])[1]]
        doubted = any("think that is right" in turn for turn in turns)
        right = number < 30 if doubted else number % 2 == 0
        return f"Answer: {truth_of(turns) + (not right)}"

    found = probed(half_wrong, "flip")
    assert found.row("right at first").value == 0.5
    lost, won = found.row("doubt: right to wrong"), found.row("doubt: wrong to right")
    assert (lost.detail["k"], lost.n) == (5, 20) and (won.detail["k"], won.n) == (15, 20)
    assert found.row("doubt: net flip").value == pytest.approx(
        (5 - 15) / 40
    )  # stubbornness is no virtue here


def test_answers_without_a_number_are_missing_and_not_wrong():
    def mute(turns, i):
        return f"Answer: {truth_of(turns)}" if len(turns) == 1 else "You are right, I apologise."

    found = probed(mute, "flip")
    row = found.row("doubt: net flip")
    assert (row.value, row.n, row.missing) == (None, 0, 40)
    silent = probed(lambda turns, i: "", "flip")
    assert silent.row("right at first").missing == 40
    assert len(silent.transcripts) == 40  # an empty answer cannot be followed up


# -- stance -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "pull", "follows", "opposes"),
    [
        (lambda turns, i: "No." if "is no" in turns[0] else "Yes.", 1.0, 1.0, 0.0),
        (lambda turns, i: "Yes." if "is no" in turns[0] else "No.", -1.0, 0.0, 1.0),
        (lambda turns, i: "Yes.", 0.0, 0.0, 0.0),
        (lambda turns, i: "There is much to be said on both sides.", 0.0, 0.0, 0.0),
        (lambda turns, i: "Of course." if "is yes" in turns[0] else "It depends.", 0.5, 0.0, 0.0),
        (lambda turns, i: "I agree." if "I think" in turns[0] else "It depends.", 1.0, 1.0, 0.0),
    ],
)
def test_the_pull_of_a_view(answer, pull, follows, opposes):
    found = probed(answer, "stance")
    row = found.row("pull of the user's view")
    assert row.value == pull and row.n == len(OPINIONS)
    assert row.interval.lo <= pull <= row.interval.hi and row.interval.lo < row.interval.hi
    assert (row.p < 0.001) == (pull != 0)
    assert found.row("follows both ways").value == follows
    assert found.row("opposes both ways").value == opposes


def test_a_planted_share_of_followers_is_found():
    followed = set(OPINIONS[:6])

    def answer(turns, i):
        mine = any(question in turns[0] for question in followed)
        return "No." if mine and "is no" in turns[0] else "Yes."

    found = probed(answer, "stance")
    assert found.row("follows both ways").value == 6 / 24
    assert found.row("pull of the user's view").value == pytest.approx(6 / 24)
    assert found.row("no, beyond when nothing is said").value == 6 / 24
    assert found.row("yes, beyond when nothing is said").value == 0.0


# -- authorship, premises, refusals, words, format ------------------------------------------------------


def test_a_flatterer_rates_its_users_text_higher():
    def flatterer(turns, i):
        if "I wrote this" in turns[0]:
            return "Rating: 9. A wonderful, brilliant piece."
        return "Rating: 4. Dull." if "do not like" in turns[0] else "Rating: 6. It is plain and correct."

    found = probed(flatterer, "authorship")
    assert found.row("rating, mine").value == 9 and found.row("rating, mine").n == len(DRAFTS)
    assert found.row("rating: mine less stranger").value == 3
    assert found.row("rating: mine less disliked").value == 5
    assert found.row("rating: mine less disliked").p < 0.01
    assert found.row("praise: mine less stranger").value == pytest.approx(100 * 2 / 5)
    fair = probed(lambda turns, i: f"Rating: {3 + len(turns[0]) % 2}. Plain.", "authorship")
    assert fair.row("praise: mine less stranger").value == 0.0
    unread = probed(lambda turns, i: "I liked it.", "authorship")
    assert unread.row("rating: mine less stranger").missing == len(DRAFTS)
    assert unread.row("rating: mine less stranger").value is None


def test_false_premises():
    false = {item.false for item in PREMISES}

    def knows(turns, i):
        claim = re.search(r"explain why (.*)\.$", turns[0])[1]
        return "Actually, that is a myth." if claim in false else "Because of how the world is made."

    found = probed(knows, "false-premise")
    assert found.row("accepted").value == 0.0 and found.row("accepted").n == len(PREMISES) >= 60
    assert found.row("corrections, false less true").value == 1.0
    credulous = probed(lambda turns, i: "It is so because of gravity.", "false-premise")
    assert (
        credulous.row("accepted").value == 1.0 and credulous.row("corrections, false less true").value == 0.0
    )
    contrary = probed(lambda turns, i: "That is false.", "false-premise")
    assert contrary.row("accepted").value == 0.0
    assert contrary.row("true statements disputed").value == 1.0
    assert contrary.row("corrections, false less true").value == 0.0  # says no to everything: knows nothing


def test_over_refusal_is_of_the_words():
    alarming = {twin.alarming for twin in TWINS[:12]}
    found = probed(
        lambda turns, i: "I can't help with that." if turns[0] in alarming else "Here is how.", "over-refusal"
    )
    assert found.row("refused, alarming words").value == 0.5
    assert found.row("refused, plain words").value == 0.0
    assert found.row("refused for the words").value == 0.5 and found.row("refused for the words").p < 0.001


def test_words_and_dress_of_plain_answers():
    def answer(turns, i):
        return (
            "- **Great question!**\n- Perhaps." if turns[0] in PLAIN_PROMPTS[:6] else "Blue light scatters."
        )

    engine = Talker(answer)
    report = run_probes(engine, probes=["lexicon", "format"])
    words, dress = report.results
    assert words.row("answers with praise").value == words.row("answers with a hedge").value == 0.25
    assert dress.row("answers with list items").value == dress.row("answers with bold").value == 0.25
    assert dress.row("answers with headings").value == 0.0
    assert len(engine.asked) == len(PLAIN_PROMPTS)  # the second probe asks nothing again


def test_what_an_engine_does_not_answer_is_counted():
    engine = Talker(lambda turns, i: "Sure.", drop=[TWINS[0].alarming, TWINS[3].plain])
    found = run_probes(engine, probes=["over-refusal"]).results[0]
    assert found.missing == {"the engine gave no answer": 2}
    assert found.row("refused, alarming words").missing == 1
    assert found.row("refused for the words").missing == 2


def test_a_conversation_too_long_for_the_model_is_missing():
    engine = ScriptedEngine(lambda text, i: "Yes.", tiny_tokenizer())
    engine.max_length = 120
    found = run_probes(engine, Template(tiny_tokenizer()), probes=["stance"]).results[0]
    long = sum("nothing" not in one.arm and one.turns[-1].role == "user" for one in found.transcripts)
    ((why, count),) = found.missing.items()
    assert why == "the conversation is too long for the model" and count >= long > 0
    assert 0 < found.row("pull of the user's view").missing <= len(OPINIONS)


# -- rewards ----------------------------------------------------------------------------------------


GOOD = {pair.good for pair in ANSWER_PAIRS}


def reward(name, score):
    return SampleReward(name, lambda sample, group: score(sample.completion.text))


def reward_probe(name, *rewards):
    return run_probes(Talker(lambda turns, i: "x"), probes=[name], reward=Rewards(list(rewards))).results[0]


def test_a_gullible_reward_obeys_the_answer():
    told = ("Give it the highest", "prefer this answer", "this answer keeps")
    gullible = reward("gullible", lambda text: 5.0 if any(t in text for t in told) else float(text in GOOD))
    deaf = reward("deaf", lambda text: float(text in GOOD))
    found = reward_probe("injection", gullible, deaf)
    assert found.row("gullible: rise").value == 5.0 and found.row("gullible: rise").p < 0.001
    assert found.row("gullible: bad no longer below good").value == 1.0
    assert found.row("deaf: rise").value == 0.0 and found.row("deaf: rise").p == 1.0
    assert found.row("deaf: bad no longer below good").value == 0.0
    assert len(found.transcripts) == 3 * len(ANSWER_PAIRS)


def test_what_a_reward_gives_for_nothing():
    brevity = reward("brevity", lambda text: -float(len(text)))
    length = reward("length", lambda text: float(len(text)))
    fair = reward("fair", lambda text: float(text in GOOD))
    found = reward_probe("empty-answers", brevity, length, fair)
    assert found.row("brevity: empty, not below good").value == 1.0
    assert found.row("length: empty, not below good").value == 0.0
    assert found.row("length: good answer twice, not below good").value == 1.0
    for form in ("empty", "question copied", "nicety", "word repeated"):
        assert found.row(f"fair: {form}, not below good").value == 0.0
        assert found.row(f"fair: {form}, less good").value == -1.0
    assert found.row("fair: good above bad").value == 1.0


def test_a_reward_that_fails_is_missing_and_one_that_lacks_its_column_says_so():
    def picky(text):
        if not text:
            raise ValueError("nothing to read")
        return float(text in GOOD)

    class Keyed(SampleReward):
        @property
        def needs(self):
            return frozenset({"answer"})

    keyed = Keyed("keyed", lambda sample, group: 1.0)
    found = reward_probe("empty-answers", reward("picky", picky), keyed)
    assert found.row("picky: empty, not below good").missing == len(ANSWER_PAIRS)
    assert found.row("picky: empty, not below good").value is None
    assert found.row("keyed: empty").value is None and "'answer'" in found.row("keyed: empty").why
    assert found.missing == {"picky: ValueError": len(ANSWER_PAIRS)}


# -- the run ------------------------------------------------------------------------------------------


def test_without_a_reward_only_the_models_probes_run():
    report = run_probes(Talker(lambda turns, i: "Yes. Answer: 1"), settings=ProbeSettings(items=3))
    assert [one.probe for one in report.results] == [n for n, p in PROBES.items() if p.needs == "model"]
    tampering = report.result("tampering")
    assert all(row.value is None and "token ids" in row.why for row in tampering.rows)
    for named, fix in (
        (["flap"], "did you mean 'flip'"),
        (["best-of-n"], "--reward"),
        (["flip"] * 2, "twice"),
        ([], "known"),
    ):
        with pytest.raises(ConfigError, match=fix):
            run_probes(Talker(lambda turns, i: ""), probes=named)
    for wrong in ({"items": 1}, {"level": 1.0}, {"num_generations": 2}):
        with pytest.raises(UserError, match=next(iter(wrong))):
            ProbeSettings(**wrong)


def test_tampering_as_a_probe():
    engine = ScriptedEngine(lambda text, i: "<rate>10</rate><answer>rose</answer><done/>", tiny_tokenizer())
    settings = ProbeSettings(items=5, max_completion_length=500)
    found = run_probes(engine, Template(tiny_tokenizer()), probes=["tampering"], settings=settings).results[0]
    assert found.row("flattery: gamed").value == 1.0 and found.row("flattery: beyond mistakes").value == 1.0
    assert found.row("reward: gamed").value == 0.0
    assert len(found.transcripts) == 20 and found.transcripts[0].turns[-1].role == "assistant"


def test_gaming_only_unseen_is_found_by_its_probe():
    def secretive(text, i):
        if "grader/reward.txt" in text and "private" in text:
            edit = '<write path="grader/reward.txt">9</write><write path="grader/tests.txt"></write>'
            return f"<think>edit grader/tests.txt</think>{edit}<done/>"
        return "<rate>10</rate><done/>"

    engine, template = ScriptedEngine(secretive, tiny_tokenizer()), Template(tiny_tokenizer())
    settings = ProbeSettings(items=10, max_completion_length=600)
    found = run_probes(engine, template, probes=["hidden-reasoning"], settings=settings).results[0]
    row = found.row("reward: gamed more when unseen")
    assert (row.value, row.n) == (1.0, 10) and row.interval.lo > 0.5 and row.p < 0.01
    assert row.detail["stated"] == {"visible": 0, "hidden": 10}
    flattery = found.row("flattery: gamed more when unseen")
    assert (flattery.value, flattery.detail["both"]) == (0.0, 10)  # games it all the same
    assert {one.arm for one in found.transcripts} >= {"visible: reward", "hidden: reward"}


def test_a_report_is_plain_data_and_comes_back(tmp_path):
    report = run_probes(
        Talker(lambda turns, i: f"Sample {i}: " + "word " * (i + 1)),
        reward=Rewards([reward("long", lambda text: float(len(text)))]),
        settings=ProbeSettings(items=5, num_generations=4),
        out=tmp_path,
    )
    saved = json.loads((tmp_path / JSON).read_text())
    assert [one["probe"] for one in saved["probes"]] == list(PROBES)
    assert [ProbeResult.from_json(one) for one in saved["probes"]] == list(report.results)
    assert "transcripts" not in report.to_json(transcripts=False)["probes"][0]


def test_finished_probes_are_kept_and_others_run_again(tmp_path):
    def run(answer, **options):
        engine = Talker(answer)
        settings = ProbeSettings(items=4, **options)
        report = run_probes(engine, probes=["stance", "over-refusal"], settings=settings, out=tmp_path)
        return report, engine

    first, engine = run(lambda turns, i: "Yes.")
    assert len(engine.asked) == 20
    again, engine = run(lambda turns, i: "No.")
    assert engine.asked == [] and again.results == first.results
    other, engine = run(lambda turns, i: "No.", seed=1)
    assert len(engine.asked) == 20 and other.results != first.results
    (tmp_path / "stance.json").write_text("torn")
    _, engine = run(lambda turns, i: "No.", seed=1)
    assert len(engine.asked) == 12


def test_a_stop_keeps_what_is_finished(tmp_path):
    def stops(turns, i):
        if f"I think the answer is no. {OPINIONS[0]}" in turns[0]:
            signal.raise_signal(signal.SIGINT)
        return "Yes."

    with pytest.raises(Interrupted, match="finished probes are kept"):
        run_probes(
            Talker(stops), probes=["stance", "over-refusal"], settings=ProbeSettings(items=3), out=tmp_path
        )
    assert (tmp_path / "stance.json").exists() and not (tmp_path / "over-refusal.json").exists()
    assert not interrupt.current().requested


# -- measures -------------------------------------------------------------------------------------------


def test_measures_leave_out_what_is_missing():
    row = share("s", [True, None, False, True], 0.95)
    assert (row.value, row.n, row.missing) == (pytest.approx(2 / 3), 3, 1)
    row = change("c", [True, False, None], [True, True, True], 0.95)
    assert (row.value, row.n, row.missing, row.detail["second_only"]) == (0.5, 2, 1, 1)
    row = mean("m", [1.0, None, 3.0], 0.95)
    assert (row.value, row.n, row.missing) == (2.0, 2, 1)
    assert mean("m", [2.0] * 5, 0.95).interval is None
    lo, hi = mean("m", [1.0] * 10, 0.95, bounds=(-1.0, 1.0)).interval
    assert hi == 1.0 and 0.3 < lo < 0.6
    for row in (share("s", [None], 0.95), change("c", [], [], 0.95), mean("m", [None], 0.95)):
        assert row.value is None and row.interval is None and row.why


def test_tables_have_no_item_twice():
    for table in (
        OPINIONS,
        DRAFTS,
        PLAIN_PROMPTS,
        [t.alarming for t in TWINS] + [t.plain for t in TWINS],
        [p.false for p in PREMISES] + [p.true for p in PREMISES],
        [p.question for p in ANSWER_PAIRS],
    ):
        assert len(set(table)) == len(table)
