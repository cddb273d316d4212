from __future__ import annotations

import pytest
from judged_samples import sample

from charter.errors import ConfigError
from charter.feedback.judging.form import answer_block
from charter.feedback.judging.view import View, visible
from charter.types import Completion, Context, Message, Sample


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<think>hm</think>\nHello", "Hello"),
        ("  <THINK>a\nb</THINK> Hi", "Hi"),
        ("<reasoning>never ends", ""),
        ("<scratchpad>x</scratchpad>y", "y"),
        ("Hello <think>not hidden</think>", "Hello <think>not hidden</think>"),
        ("bad text</think>good text", "bad text</think>good text"),
        ("<thinker>x</thinker>", "<thinker>x</thinker>"),
        ("<think>x</reasoning>y", ""),
    ],
)
def test_hidden_reasoning(text: str, shown: str) -> None:
    assert visible(text) == shown
    seen = View().see(sample(text))
    assert seen.answer[0].content == shown
    assert seen.hidden == len(text) - len(shown)
    assert View(hidden_reasoning=True).see(sample(text)).answer[0].content == text


def test_earlier_reasoning_is_hidden_and_the_users_words_are_not() -> None:
    context = Context(
        (
            Message("user", "<think>mine</think> hi"),
            Message("assistant", "<think>a</think>b"),
            Message("user", "c"),
        )
    )
    seen = View().see(Sample(context, Completion("d")))
    assert [turn.content for turn in seen.conversation] == ["<think>mine</think> hi", "b", "c"]
    assert seen.answer == (Message("assistant", "d"),)


def test_plain_text_and_nothing() -> None:
    seen = View().see(Sample(Context("2 + 2 ="), Completion(" 4", finish_reason="length")))
    assert (seen.conversation, seen.unfinished) == ((Message("user", "2 + 2 ="),), True)
    nothing = View().see(Sample(Context(), Completion("  ")))
    assert nothing.empty
    assert nothing.conversation == ()
    assert "(empty)" in answer_block("ANSWER", nothing, "c0de")
    assert "length limit" in answer_block("ANSWER", seen, "c0de")


def test_tools() -> None:
    turns = (Message("assistant", "call"), Message("tool", "secret 42"), Message("assistant", "It is 42."))
    one = Sample(Context("q"), Completion(turns))
    assert "secret 42" in View().see(one).texts
    hidden = View(tools=False).see(one)
    assert [turn.role for turn in hidden.answer] == ["assistant", "tool", "assistant"]
    assert not any("secret" in text for text in hidden.texts)
    block = answer_block("ANSWER", View().see(one), "c0de")
    assert "[[tool c0de]]\nsecret 42\n[[assistant c0de]]\nIt is 42." in block


def test_a_long_answer_is_cut_and_says_so() -> None:
    text = "start " + "x" * 5000 + " end"
    seen = View(max_chars=300).see(sample(text))
    (turn,) = seen.answer
    assert turn.content.startswith("start xxx")
    assert turn.content.endswith("xxx end")
    assert f"[... {len(text) - 300} characters are not shown ...]" in turn.content
    assert seen.cut == len(text) - 300
    assert View().see(sample("short")).cut == 0


def test_a_long_conversation_loses_its_oldest_turns_but_not_the_systems() -> None:
    turns = (
        Message("system", "be kind"),
        *(Message("user" if i % 2 == 0 else "assistant", f"turn {i} " + "y" * 90) for i in range(9)),
    )
    seen = View(max_context_chars=320).see(Sample(Context(turns), Completion("a")))
    assert seen.conversation[0] == turns[0]
    assert seen.conversation[-1].content == turns[-1].content
    assert "earlier turns are not shown" in seen.conversation[1].content
    assert seen.cut > 0
    whole = View(max_context_chars=5000).see(Sample(Context(turns), Completion("a")))
    assert (whole.conversation, whole.cut) == (turns, 0)


def test_a_limit_that_shows_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least 100"):
        View(max_chars=5)
