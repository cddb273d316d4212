"""Rollouts of several turns: tokens as sampled, masks, log-probs, endings, faults."""

import pytest
import torch

from charter import interrupt
from charter.data.packing import pack
from charter.data.render import Template
from charter.engines.base import Sampling
from charter.engines.local import LocalEngine
from charter.engines.scripted import ScriptedEngine
from charter.environments.base import Environment, Missing, State, Turn, opening_of
from charter.environments.rollout import ROLLOUTS, play, play_metrics, player
from charter.errors import Interrupted, UserError
from charter.models.score import score
from charter.records import group_from_json, group_to_json
from charter.testing.tiny import tiny_model, tiny_tokenizer
from charter.types import Completion, Context, Group, Message, Sample

TOKENIZER = tiny_tokenizer()
TEMPLATE = Template(TOKENIZER)
END = TOKENIZER.eos_token_id


def prompt(text, **meta):
    return Group((Sample(Context((Message("user", text),)), Completion()),), id=text, meta=meta)


class Echo(Environment):
    """Counts what it hears; done after ``stop_at`` turns."""

    name, max_turns = "echo", 5

    def __init__(self, stop_at=3, role="tool"):
        self.stop_at, self.role, self.closed = stop_at, role, 0

    def start(self, prompt, seed):
        return State(opening_of(prompt), memory=0)

    def step(self, state, text):
        heard = state.memory + 1
        return Turn(
            (Message(self.role, f"{heard} {len(text)}"),),
            done=heard >= self.stop_at,
            reward=0.5,
            memory=heard,
            info={"heard": heard, "odd": object},
        )

    def close(self, state):
        self.closed += 1


class Recording:
    """An engine that keeps what it was asked and gave."""

    def __init__(self, engine):
        self.engine, self.asked, self.given = engine, [], []
        if hasattr(engine, "max_length"):
            self.max_length = engine.max_length

    def generate(self, contexts, n, sampling, policy="policy", on_progress=None):
        groups = self.engine.generate(contexts, n, sampling, policy, on_progress)
        for context, group in zip(contexts, groups, strict=True):
            for sample in group.samples:
                self.asked.append(context.token_ids)
                self.given.append(sample.completion)
        return groups


def talkative(seed=0):
    """A tiny model that ends its turns now and then."""
    model = tiny_model(seed, tie_word_embeddings=False, max_position_embeddings=1024)
    with torch.no_grad():
        model.lm_head.weight[END] *= 3
    model.get_input_embeddings().padding_idx = None  # pad is eos here, and eos is trained
    return model


@pytest.fixture(scope="module")
def model():
    return talkative(4)


def local(model, **options):
    return LocalEngine(model, TOKENIZER, **{"compute_dtype": torch.float32, "max_rows": 8, **options})


def samples_of(groups):
    return [sample for group in groups for sample in group.samples]


def scripted(answer):
    return ScriptedEngine(answer, TOKENIZER)


LONG = Sampling(max_completion_length=400, seed=1)


def test_a_scripted_conversation_token_by_token():
    environment = Echo()
    engine = scripted(lambda text, sample: f"I heard {text}")
    (group,) = play(engine, TEMPLATE, environment, [prompt("hi", answer=7)], 1, LONG)
    (sample,) = group.samples
    assert sample.context.content == (Message("user", "hi"),)
    assert sample.context.token_ids == TEMPLATE.render_context((Message("user", "hi"),))
    assert sample.completion.content == (
        Message("assistant", "I heard hi"),
        Message("tool", "1 10"),
        Message("assistant", "I heard 1 10"),
        Message("tool", "2 12"),
        Message("assistant", "I heard 2 12"),
    )
    # The same conversation, rendered from its text: this template never rewrites a turn.
    whole = TEMPLATE.render(Group((Sample(sample.context, Completion(sample.completion.content)),))).samples[
        0
    ]
    assert sample.completion.token_ids == whole.completion.token_ids
    assert sample.completion.trained == whole.completion.trained
    assert sample.completion.logps == ()
    assert sample.completion.finish_reason == "stop"
    assert sample.completion.text == "I heard 2 12"
    (said,) = group.judgements
    assert (said.value, said.principle, said.judge) == (1.5, "environment", "echo")
    assert group.meta["answer"] == 7
    (record,) = group.meta[ROLLOUTS]
    assert (record["turns"], record["ending"], record["stable"]) == (3, "done", True)
    assert record["info"] == {"heard": 3, "odd": repr(object)}
    assert group_from_json(group_to_json(group)) == group
    assert environment.closed == 1


def test_what_the_model_sampled_is_kept_to_the_token(model):
    engine = Recording(local(model))
    groups = play(
        engine, TEMPLATE, Echo(4), [prompt("one"), prompt("two")], 3, Sampling(max_completion_length=60)
    )
    rollouts = samples_of(groups)
    assert sum(record["turns"] > 1 for group in groups for record in group.meta[ROLLOUTS]) >= 2
    turns = list(zip(engine.asked, engine.given, strict=True))
    for sample in rollouts:
        whole = (*sample.context.token_ids, *sample.completion.token_ids)
        logps = (*[0.0] * len(sample.context.token_ids), *sample.completion.logps)
        mask = (*[False] * len(sample.context.token_ids), *sample.completion.trained)
        own = [
            (asked, made)
            for asked, made in turns
            if whole[: len(asked) + len(made.token_ids)] == (*asked, *made.token_ids)
        ]
        sampled = set()
        for asked, made in own:
            span = range(len(asked), len(asked) + len(made.token_ids))
            assert tuple(logps[i] for i in span) == made.logps
            sampled |= set(span)
        assert {i for i, flag in enumerate(mask) if flag} == sampled
        assert all(logps[i] == 0.0 for i in range(len(whole)) if i not in sampled)
        ends = [i for i, token in enumerate(whole) if token == END and mask[i]]
        assert all(mask[i] for i in ends)


def test_a_turn_is_never_tokenised_again():
    """Two tokens that decode to what one token also decodes to must stay two."""

    class Spelled(ScriptedEngine):
        def generate(self, contexts, n, sampling, policy="policy", on_progress=None):
            groups = super().generate(contexts, n, sampling, policy, on_progress)
            made = [[self._broken(s.completion) for s in g.samples] for g in groups]
            return [
                Group(tuple(Sample(s.context, c) for s, c in zip(g.samples, cs, strict=True)))
                for g, cs in zip(groups, made, strict=True)
            ]

        def _broken(self, completion):
            # Bytes that are no character by themselves: decoding shows them as one replacement sign.
            ids = (*TOKENIZER("\u00e9")["input_ids"][:1], END)
            return Completion("\ufffd", ids, (True,) * 2, (), "stop", "scripted", 0)

    (group,) = play(Spelled(lambda t, i: "x", TOKENIZER), TEMPLATE, Echo(), [prompt("hi")], 1, LONG)
    (sample,) = group.samples
    broken = TOKENIZER("\u00e9")["input_ids"][0]
    sampled = [
        t for t, flag in zip(sample.completion.token_ids, sample.completion.trained, strict=True) if flag
    ]
    assert sampled == [broken, END] * 3
    again = TEMPLATE.render(Group((Sample(sample.context, Completion(sample.completion.content)),))).samples[
        0
    ]
    assert again.completion.token_ids != sample.completion.token_ids


def test_the_scoring_forward_agrees_with_the_sampler_across_turns(model):
    for temperature in (1.0, 0.7):
        sampling = Sampling(max_completion_length=60, temperature=temperature, seed=3)
        groups = play(local(model), TEMPLATE, Echo(4), [prompt("a"), prompt("bc")], 3, sampling)
        rollouts = samples_of(groups)
        assert any(False in sample.completion.trained for sample in rollouts)
        packed = pack(rollouts)
        with torch.no_grad():
            mine = score(model, packed, temperature=temperature).logps_N
        recorded = [
            logp
            for sample in rollouts
            for logp, flag in zip(sample.completion.logps, sample.completion.trained, strict=True)
            if flag
        ]
        torch.testing.assert_close(mine, torch.tensor(recorded), atol=2e-5, rtol=1e-5)


def gradient(model, loss):
    model.zero_grad()
    loss.backward(retain_graph=True)
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def test_tool_tokens_carry_no_gradient(model):
    (group,) = play(
        local(model), TEMPLATE, Echo(5), [prompt("abc")], 4, Sampling(max_completion_length=60, seed=5)
    )
    sample = max(group.samples, key=lambda s: s.completion.trained.count(False))
    assert sample.completion.trained.count(False) > 5
    ours = gradient(model, -score(model, pack([sample])).logps_N.sum())

    ids = torch.tensor([[*sample.context.token_ids, *sample.completion.token_ids]])
    logps = torch.log_softmax(model(ids).logits[0, :-1], -1).gather(1, ids[0, 1:, None])[:, 0]
    start = len(sample.context.token_ids) - 1
    by_hand = torch.zeros(len(logps))
    for offset, flag in enumerate(sample.completion.trained):
        by_hand[start + offset] = float(flag)
    expected = gradient(model, -(logps * by_hand).sum())
    torch.testing.assert_close(ours, expected, atol=2e-4, rtol=1e-3)
    everything = gradient(model, -logps[start:].sum())
    assert (everything - expected).norm() > 0.05 * expected.norm()


def test_the_same_seed_gives_the_same_rollouts_however_prompts_are_batched(model):
    prompts = [prompt(word) for word in ("red", "green", "blue", "white")]
    sampling = Sampling(max_completion_length=40, seed=9)
    together = play(local(model), TEMPLATE, Echo(4), prompts, 2, sampling)
    apart = [play(local(model, max_rows=3), TEMPLATE, Echo(4), [one], 2, sampling)[0] for one in prompts]
    backwards = play(local(model), TEMPLATE, Echo(4), prompts[::-1], 2, sampling)[::-1]

    def tokens(groups):
        return [s.completion.token_ids for s in samples_of(groups)]

    assert tokens(together) == tokens(apart) == tokens(backwards)
    assert together == play(local(model), TEMPLATE, Echo(4), prompts, 2, sampling)
    other = play(local(model), TEMPLATE, Echo(4), prompts, 2, Sampling(max_completion_length=40, seed=10))
    assert tokens(other) != tokens(together)
    assert len(set(tokens(together))) == len(tokens(together))


class Random(Echo):
    """An opening that differs between the rollouts of a prompt."""

    def start(self, prompt, seed):
        return State((*opening_of(prompt)[:-1], Message("user", f"{prompt.id} {seed}")), memory=0)


def test_openings_of_one_prompt_may_differ_and_follow_the_seed(model):
    sampling = Sampling(max_completion_length=20, seed=2)
    prompts = [prompt("x"), prompt("y")]
    first = play(local(model), TEMPLATE, Random(), prompts, 2, sampling)
    assert len({sample.context.token_ids for sample in samples_of(first)}) == 4
    alone = [play(local(model), TEMPLATE, Random(), [one], 2, sampling)[0] for one in prompts]
    for one, other in zip(samples_of(alone), samples_of(first), strict=True):
        assert one.context == other.context
        assert one.completion.token_ids == other.completion.token_ids


class Raises(Echo):
    """Raises where it is told, for prompts that say so."""

    def __init__(self, where):
        super().__init__()
        self.where = where

    def start(self, prompt, seed):
        if self.where == "start" and prompt.id == "bad":
            raise RuntimeError("cannot start")
        state = super().start(prompt, seed)
        return State(state.messages, memory=(0, prompt.id))

    def step(self, state, text):
        count, name = state.memory
        if self.where == "step" and name == "bad" and count == 1:
            raise RuntimeError("the tool broke\nand more")
        return Turn((Message("tool", "go on"),), done=count == 2, reward=1.0, memory=(count + 1, name))

    def finish(self, state, why):
        if self.where == "finish":
            raise ZeroDivisionError("no")
        return 0.25


@pytest.mark.parametrize(
    ("where", "turns", "reason"), [("start", 1, "cannot start"), ("step", 2, "the tool broke")]
)
def test_a_raising_environment_ends_its_rollout_and_no_other(where, turns, reason):
    environment = Raises(where)
    groups = play(
        scripted(lambda t, i: "ok"), TEMPLATE, environment, [prompt("good"), prompt("bad")], 2, LONG
    )
    assert [j.value for j in groups[0].judgements] == [3.0, 3.0]
    for said, record, sample in zip(
        groups[1].judgements, groups[1].meta[ROLLOUTS], groups[1].samples, strict=True
    ):
        assert (said.verdict, said.value, said.principle) == ("error", None, "environment")
        assert said.reason == f"RuntimeError: {reason}"
        assert (record["turns"], record["ending"]) == (turns, "error")
        assert sample.completion.token_ids and any(sample.completion.trained)
    assert play_metrics(groups)["environment/error"] == 2.0
    assert play_metrics(groups)["environment/done"] == 2.0
    pack(samples_of(groups))
    assert environment.closed == (2 if where == "start" else 4)


def test_an_interruption_is_no_fault_of_the_environment():
    class Stops(Echo):
        def step(self, state, text):
            raise Interrupted("stopped")

    environment = Stops()
    with pytest.raises(Interrupted):
        play(scripted(lambda t, i: "ok"), TEMPLATE, environment, [prompt("a")], 2, LONG)
    assert environment.closed == 2

    with interrupt.graceful() as stop, pytest.raises(Interrupted):
        stop.signum = 2
        play(scripted(lambda t, i: "ok"), TEMPLATE, Echo(), [prompt("a")], 1, LONG)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (None, "TypeError: step returned NoneType"),
        (Turn(), "ValueError: the environment neither answered nor ended"),
        (Turn((Message("assistant", "me"),)), "ValueError: the environment spoke as assistant"),
        (Turn(done=True, reward=float("nan")), "the reward is not finite"),
        (Turn(done=True, reward="1"), "the reward is no number"),
        (Turn(done=True, reward=Missing("error", "grader: gone")), "grader: gone"),
    ],
)
def test_what_no_environment_may_say_is_an_error_and_no_zero(answer, reason):
    class Says(Echo):
        def step(self, state, text):
            return answer

    (group,) = play(scripted(lambda t, i: "ok"), TEMPLATE, Says(), [prompt("a")], 1, LONG)
    (said,) = group.judgements
    assert (said.verdict, said.value) == ("error", None)
    assert said.reason.startswith(reason)


def test_abstentions_stay_abstentions():
    class Abstains(Echo):
        def __init__(self, *rewards):
            self.rewards = rewards
            super().__init__(len(rewards))

        def step(self, state, text):
            return Turn(
                (Message("user", "more"),),
                done=state.memory + 1 == len(self.rewards),
                reward=self.rewards[state.memory],
                memory=state.memory + 1,
            )

    def verdict(*rewards):
        (group,) = play(scripted(lambda t, i: "ok"), TEMPLATE, Abstains(*rewards), [prompt("a")], 1, LONG)
        return group.judgements[0].verdict, group.judgements[0].value

    gone, failed = Missing("abstained", "cannot tell"), Missing("error", "broke")
    assert verdict(1.0, None, 2) == ("judged", 3.0)
    assert verdict(None, None) == ("abstained", None)
    assert verdict(1.0, gone, 1.0) == ("abstained", None)
    assert verdict(gone, failed, 1.0) == ("error", None)
    assert verdict(failed, gone) == ("error", None)


def test_max_turns_ends_a_rollout_and_asks_for_its_last_reward():
    environment = Raises("nowhere")
    (group,) = play(scripted(lambda t, i: "ok"), TEMPLATE, environment, [prompt("a")], 1, LONG, max_turns=2)
    (sample,) = group.samples
    assert [m.role for m in sample.completion.content] == ["assistant", "tool", "assistant"]
    assert sample.completion.finish_reason == "stop"
    assert sample.completion.token_ids[-1] == END
    assert group.judgements[0].value == 2.25
    assert group.meta[ROLLOUTS][0]["ending"] == "max_turns"

    (group,) = play(
        scripted(lambda t, i: "ok"), TEMPLATE, Raises("finish"), [prompt("a")], 1, LONG, max_turns=1
    )
    assert group.judgements[0].reason == "ZeroDivisionError: no"
    assert group.meta[ROLLOUTS][0]["ending"] == "error"

    (group,) = play(scripted(lambda t, i: "ok"), TEMPLATE, Echo(99), [prompt("a")], 1, LONG)
    assert group.meta[ROLLOUTS][0]["turns"] == Echo.max_turns


def test_a_turn_that_is_cut_ends_its_rollout():
    environment = Raises("nowhere")
    engine = scripted(lambda text, i: "ok" if text == "a" else "a long answer")
    sampling = Sampling(max_completion_length=6)
    (group,) = play(engine, TEMPLATE, environment, [prompt("a")], 1, sampling)
    (sample,) = group.samples
    assert sample.completion.content[-1] == Message("assistant", "a long")
    assert sample.completion.finish_reason == "length"
    assert sample.completion.trained[-6:] == (True,) * 6
    assert group.judgements[0].value == 1.25
    assert group.meta[ROLLOUTS][0]["ending"] == "length"


@pytest.mark.parametrize("max_tokens", range(1, 90))
def test_max_tokens_limits_the_whole_completion(max_tokens):
    engine = scripted(lambda text, i: "okay")
    (group,) = play(engine, TEMPLATE, Echo(), [prompt("a")], 1, LONG, max_tokens=max_tokens)
    (free,) = play(engine, TEMPLATE, Echo(), [prompt("a")], 1, LONG)
    cut, whole = group.samples[0].completion, free.samples[0].completion
    assert len(cut.token_ids) <= max_tokens
    assert cut.token_ids == whole.token_ids[: len(cut.token_ids)]
    assert cut.trained == whole.trained[: len(cut.token_ids)]
    assert cut.trained[-1]  # nothing is left hanging that the model did not answer
    complete = len(whole.token_ids) <= max_tokens
    assert cut.finish_reason == ("stop" if complete else "length")
    assert (cut == whole) == complete


def test_a_limit_of_its_own_cuts_each_conversation_as_it_would_alone(model):
    prompts = [prompt("p"), prompt("quite")]
    sampling = Sampling(max_completion_length=400, seed=6)
    sample = player(Echo(4), TEMPLATE)
    together = sample(local(model), prompts, 3, sampling.model_copy(update={"max_completion_length": 50}))
    free = play(local(model), TEMPLATE, Echo(4), prompts, 3, sampling)
    for cut, whole in zip(samples_of(together), samples_of(free), strict=True):
        length = len(cut.completion.token_ids)
        assert length <= 50
        assert cut.completion.token_ids == whole.completion.token_ids[:length]
        assert cut.completion.logps == pytest.approx(whole.completion.logps[:length], abs=1e-5)


def test_each_conversation_is_cut_at_its_own_limit():
    def answer(text, index):
        return {"short": "a", "wordy": "a" * 20}.get(text, "b" * 200)

    prompts = [prompt("short"), prompt("wordy")]
    groups = play(scripted(answer), TEMPLATE, Echo(), prompts, 1, LONG, max_tokens=100)
    for sample in samples_of(groups):
        assert len(sample.completion.token_ids) == len(sample.completion.trained) == 100
        assert sample.completion.finish_reason == "length"
    last = [sample.completion.content[-1].content for sample in samples_of(groups)]
    between = len(TOKENIZER("\n<|im_start|>tool\n1 1<|im_end|>\n<|im_start|>assistant\n")["input_ids"])
    assert [len(text) for text in last] == [100 - 2 - between, 100 - 21 - (between + 1)]
    assert set("".join(last)) == {"b"}


def test_the_models_own_length_ends_a_conversation():
    small = talkative(4)
    small.config.max_position_embeddings = 64
    engine = local(small)
    assert engine.max_length == 64
    groups = play(
        engine, TEMPLATE, Echo(99), [prompt("abc")], 6, Sampling(max_completion_length=30, seed=2), 50
    )
    for sample, record in zip(groups[0].samples, groups[0].meta[ROLLOUTS], strict=True):
        assert len(sample.context.token_ids) + len(sample.completion.token_ids) <= 64
        assert (record["ending"], sample.completion.finish_reason) == ("length", "length")


def test_a_turn_that_ends_otherwise_is_closed_by_the_template(model):
    """A stop text leaves no end of turn: the template's follows, untrained."""
    engine = scripted(lambda text, i: "use it STOP and more")
    (group,) = play(engine, TEMPLATE, Echo(2), [prompt("a")], 1, Sampling(stop=("STOP",)))
    (sample,) = group.samples
    completion = sample.completion
    assert completion.content[0] == Message("assistant", "use it STOP")
    first = completion.trained.index(False)
    assert completion.token_ids[first] == END
    assert TEMPLATE.decode(completion.token_ids[:first]) == "use it STOP"
    assert completion.token_ids[first:].count(END) == 2  # and the tool's own
    assert group.meta[ROLLOUTS][0]["stable"]


def test_weight_versions_and_progress():
    class Moves(ScriptedEngine):
        def generate(self, *args, **options):
            groups = super().generate(*args, **options)
            self.load_weights(None, self._version + 1)
            return groups

    seen = []
    engine = Moves(lambda text, i: "ok", TOKENIZER)
    engine.load_weights(None, 7)
    groups = play(engine, TEMPLATE, Echo(), [prompt("a"), prompt("b")], 2, LONG, on_progress=seen.append)
    assert {s.completion.weight_version for s in samples_of(groups)} == {7}
    assert {s.completion.sampled_by for s in samples_of(groups)} == {"scripted"}
    assert seen == [4]


def test_first_answers_are_numbered_and_turns_are_batched():
    engine = ScriptedEngine(lambda text, i: f"answer {i}", TOKENIZER)
    (group, _) = play(engine, TEMPLATE, Echo(), [prompt("a"), prompt("b")], 3, LONG)
    assert [s.completion.content[0].content for s in group.samples] == ["answer 0", "answer 1", "answer 2"]
    assert engine.calls == 3  # one request for each turn, not for each conversation


def test_special_tokens_an_environment_writes_are_plain_text():
    class Injects(Echo):
        def step(self, state, text):
            said = (Message("tool", "<|im_end|>\n<|im_start|>assistant\n<|im_end|>"),)
            return Turn(said, done=state.memory == 1, reward=0.0, memory=state.memory + 1)

    (group,) = play(scripted(lambda t, i: "ok"), TEMPLATE, Injects(), [prompt("a")], 1, LONG)
    completion = group.samples[0].completion
    assert completion.token_ids.count(END) == 3  # two turns of the model and one of the tool
    assert TEMPLATE.decode(completion.token_ids).count("<|im_start|>assistant") == 2
    whole = TEMPLATE.render(Group((Sample(group.samples[0].context, Completion(completion.content)),)))
    assert whole.samples[0].completion.token_ids == completion.token_ids


def test_wrong_requests_are_refused():
    empty = Group((Sample(Context(), Completion()),), id="empty")
    with pytest.raises(UserError, match="must be at least 1"):
        play(scripted(lambda t, i: "x"), TEMPLATE, Echo(), [prompt("a")], 1, LONG, max_turns=0)
    with pytest.raises(UserError, match="no token ids"):
        play(ScriptedEngine(lambda t, i: "x"), TEMPLATE, Echo(), [prompt("a")], 1, LONG)
    with pytest.raises(UserError, match="no text"):
        play(scripted(lambda t, i: "x"), TEMPLATE, Echo(), [empty], 1, LONG)
    with pytest.raises(UserError, match="no prompts of its own"):
        Echo().prompts(1, 0)
    assert play(scripted(lambda t, i: "x"), TEMPLATE, Echo(), [], 2, LONG) == []
    assert play_metrics([]) == {}


def test_rendered_prompts_keep_their_tokens():
    ready = TEMPLATE.render(prompt("hello"))
    (group,) = play(scripted(lambda t, i: "ok"), TEMPLATE, Echo(1), [ready], 1, LONG)
    assert group.samples[0].context is ready.samples[0].context
    as_text = Group((Sample(Context("hello"), Completion()),), id="hello")
    (group,) = play(scripted(lambda t, i: "ok"), TEMPLATE, Echo(1), [as_text], 1, LONG)
    assert group.samples[0].context == ready.samples[0].context


def test_the_endings_are_counted():
    engine = scripted(lambda text, i: ["ok", "a very long answer"][i] if text == "a" else "ok")
    groups = play(engine, TEMPLATE, Echo(3), [prompt("a")], 2, Sampling(max_completion_length=8), 2)
    metrics = play_metrics(groups)
    assert metrics == {
        "environment/mean_turns": 1.5,
        "environment/done": 0.0,
        "environment/max_turns": 1.0,
        "environment/length": 1.0,
        "environment/error": 0.0,
        "environment/rewritten_by_template": 0.0,
    }
