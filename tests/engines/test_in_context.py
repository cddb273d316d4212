"""URIAL: the exact bytes of the prompt, where answers end, base and chat models."""

import pytest
import torch

from charter.data.render import Template
from charter.engines.base import Sampling
from charter.engines.demonstrations import Demonstration, read_demonstrations
from charter.engines.in_context import (
    STOP,
    InContext,
    InContextEngine,
    InContextPrompt,
    as_text,
    as_turns,
    urial_prompt,
)
from charter.engines.local import LocalEngine
from charter.engines.scripted import ScriptedEngine
from charter.errors import DataError, UserError
from charter.testing import tiny_model, tiny_tokenizer
from charter.types import (
    Context,
    Message,
)

TOKENIZER = tiny_tokenizer()
TEMPLATE = Template(TOKENIZER)
BASE = Template(tiny_tokenizer(None))
EXAMPLES = (
    Demonstration((Message("user", "Sky?"),), "Blue."),
    Demonstration((Message("user", "2+2?"), Message("assistant", "4"), Message("user", "+1?")), "5"),
)
PROMPT = InContextPrompt("Be good.", EXAMPLES)

TEXT = """# Instruction

Be good.

# Query:
```
Sky?
```

# Answer:
```
Blue.
```

# Query:
```
2+2?
```

# Answer:
```
4
```

# Query:
```
+1?
```

# Answer:
```
5
```

# Query:
```
Who are you?
```

# Answer:
```
"""


def user(text):
    return (Message("user", text),)


def test_the_published_layout_to_the_byte():
    assert as_text("Be good.", EXAMPLES, user(" Who are you?\n")) == TEXT
    assert as_text("Be good.", EXAMPLES, "Who are you?") == TEXT
    assert as_text("", (), user("q")) == "# Query:\n```\nq\n```\n\n# Answer:\n```\n"


def test_earlier_turns_stand_in_the_same_markup_and_a_system_turn_in_the_instruction():
    turns = (Message("system", "Short."), *user("a"), Message("assistant", "b"), *user("c"))
    text = as_text("Be good.", (), turns)
    assert text == (
        "# Instruction\n\nBe good.\n\nShort.\n\n# Query:\n```\na\n```\n\n# Answer:\n```\nb\n```\n\n"
        "# Query:\n```\nc\n```\n\n# Answer:\n```\n"
    )
    assert as_turns("Be good.", EXAMPLES[:1], turns) == (
        Message("system", "Be good.\n\nShort."),
        *user("Sky?"),
        Message("assistant", "Blue."),
        *turns[1:],
    )
    assert as_turns("", (), user("q")) == user("q")


@pytest.mark.parametrize("write", [as_text, as_turns])
def test_what_is_no_question_is_refused(write):
    with pytest.raises(UserError, match="before a question"):
        write("x", (), (*user("a"), Message("assistant", "b")))
    with pytest.raises(UserError, match="tools"):
        write("x", (), (*user("a"), Message("assistant", "b"), Message("tool", "c"), *user("d")))


def test_the_shipped_examples():
    restyled, plain = urial_prompt(), urial_prompt("plain")
    assert [one.query for one in restyled.examples] == [one.query for one in plain.examples]
    assert len(restyled.examples) == 3 and restyled.preamble == plain.preamble
    for rich, bare in zip(restyled.examples, plain.examples, strict=True):
        assert len(rich.answer) > 1.5 * len(bare.answer)
        assert "```" not in rich.answer + bare.answer
        assert rich.answer == rich.answer.strip()
    assert "can't help" in restyled.examples[-1].answer and "can't help" in plain.examples[-1].answer
    assert "\n1. " in restyled.examples[0].answer and "\n" not in plain.examples[0].answer
    assert urial_prompt(k=1).examples == restyled.examples[:1]
    with pytest.raises(UserError, match="3 examples, not 4"):
        urial_prompt(k=4)


def test_a_prompt_of_nothing_or_of_a_whole_data_set_is_refused():
    with pytest.raises(UserError, match="preamble or an example"):
        InContextPrompt(" ", ())
    with pytest.raises(UserError, match="too many"):
        InContextPrompt("x", EXAMPLES * 17)


@pytest.mark.parametrize("template", [TEMPLATE, BASE], ids=["chat", "base"])
def test_the_text_layout_gives_the_model_exactly_those_tokens(template):
    made = InContext(template, PROMPT)(Context(user("Who are you?")))
    assert made.content == TEXT
    assert made.token_ids == template.render_context(TEXT)
    assert template.tokenizer.decode(list(made.token_ids)) == TEXT


@pytest.mark.parametrize("ending", ["\n```\n\n# Query:\n```\nMore?", "\n# Query:\n```", "```"])
def test_an_answer_ends_at_its_fence_or_at_the_next_question(ending):
    """The script plays a base model that goes on with questions of its own."""
    engine = InContextEngine(
        ScriptedEngine(lambda text, sample: f"I am a program.{ending}", TOKENIZER), TEMPLATE, PROMPT
    )
    context = Context(user("Who?"), TEMPLATE.render_context(user("Who?")))
    (group,) = engine.generate([context], 1, Sampling())
    (sample,) = group.samples
    assert sample.context is context
    assert sample.completion.text == "I am a program."
    assert sample.completion.finish_reason == "stop"
    assert sample.completion.sampled_by == "urial:scripted"
    assert sample.completion.token_ids == (*TOKENIZER("I am a program.")["input_ids"], 257)
    assert STOP == ("```", "# Query")


def test_a_cut_answer_does_not_end_its_turn():
    engine = InContextEngine(ScriptedEngine(lambda text, sample: "abcdef", TOKENIZER), TEMPLATE, PROMPT)
    context = Context(user("q"), TEMPLATE.render_context(user("q")))
    (group,) = engine.generate([context], 1, Sampling(max_completion_length=3))
    assert group.samples[0].completion.text == "abc"
    assert group.samples[0].completion.finish_reason == "length"
    assert group.samples[0].completion.token_ids == tuple(TOKENIZER("abc")["input_ids"])


def test_a_base_model_answers_conversations_it_has_no_template_for():
    model = tiny_model(1)
    inner = LocalEngine(model, BASE.tokenizer, compute_dtype=torch.float32)
    engine = InContextEngine(inner, BASE, PROMPT)
    contexts = [Context(user("Who are you?")), Context(user("Why?"))]
    sampling = Sampling(temperature=0.0, max_completion_length=8)
    groups = engine.generate(contexts, 1, sampling)
    by_hand = inner.generate(
        [Context(t, BASE.render_context(t)) for t in (TEXT, TEXT.replace("Who are you?", "Why?"))],
        1,
        sampling.model_copy(update={"stop": STOP}),
    )
    for group, context, other in zip(groups, contexts, by_hand, strict=True):
        completion = group.samples[0].completion
        assert group.samples[0].context is context
        assert isinstance(completion.content, tuple) and completion.token_ids == ()
        assert completion.text == other.samples[0].completion.text.strip()


def test_as_turns_it_is_the_plain_engine_on_a_longer_conversation():
    inner = LocalEngine(tiny_model(1), TOKENIZER, compute_dtype=torch.float32)
    engine = InContextEngine(inner, TEMPLATE, PROMPT, layout="turns", label="urial-chat")
    context = Context(user("Why?"), TEMPLATE.render_context(user("Why?")))
    sampling = Sampling(temperature=0.9, max_completion_length=9, seed=2)
    (ours,) = engine.generate([context], 2, sampling)
    long = as_turns("Be good.", EXAMPLES, user("Why?"))
    (theirs,) = inner.generate([Context(long, TEMPLATE.render_context(long))], 2, sampling)
    for mine, plain in zip(ours.samples, theirs.samples, strict=True):
        assert mine.context is context
        assert mine.completion.token_ids == plain.completion.token_ids
        assert mine.completion.logps == plain.completion.logps
        assert mine.completion.sampled_by == "urial-chat:policy"


# -- demonstrations ------------------------------------------------------------------------


def test_demonstrations_of_preferences_and_of_answers():
    pairs = [{"prompt": "Sky?", "chosen": "Blue.", "rejected": "Red."}]
    assert read_demonstrations(pairs) == (Demonstration(user("Sky?"), "Blue.", "Red."),)
    rows = [
        {
            "messages": [
                {"role": "system", "content": "s"},
                {"role": "user", "content": "a"},
                {"role": "assistant", "content": " b "},
            ]
        }
    ]
    assert read_demonstrations(rows) == (Demonstration(user("a"), "b"),)
    assert read_demonstrations([{"prompt": "a", "completion": "b"}])[0].worse is None


def test_of_a_ranking_the_ends_are_taken():
    rated = [{"prompt": "q", "responses": ["x", "y", "z"], "scores": [1.0, 3.0, 2.0]}]
    assert read_demonstrations(rated) == (Demonstration(user("q"), "y", "x"),)


def test_rows_that_demonstrate_nothing(capsys):
    with pytest.raises(DataError, match="demonstrate nothing"):
        read_demonstrations([{"prompt": "a"}])
    with pytest.raises(DataError, match="no row is a question"):
        read_demonstrations([{"prompt": " ", "completion": "b"}])
    kept = read_demonstrations([{"prompt": " ", "completion": "b"}, {"prompt": "a", "completion": "b"}])
    assert len(kept) == 1
    assert "1 of 2 rows left out" in capsys.readouterr().err
