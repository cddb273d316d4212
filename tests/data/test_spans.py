"""Which tokens of a row are trained."""

from __future__ import annotations

from typing import Any

import pytest

from charter.catalogue.supervised import SFTOptions
from charter.data.formats import load_groups
from charter.data.packing import pack
from charter.data.prepare import prepare
from charter.data.render import Template
from charter.data.spans import checked, marked, whole
from charter.errors import CharterError
from charter.testing.tiny import tiny_tokenizer
from charter.types import Sample

TOKENIZER = tiny_tokenizer()
TEMPLATE = Template(TOKENIZER)
USER, ANSWER = {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}
AGAIN, LAST = {"role": "user", "content": "Yo"}, {"role": "assistant", "content": "Ya"}

SHORT = {"prompt": [USER], "completion": [ANSWER]}
LONG = {"prompt": [USER, ANSWER, AGAIN], "completion": [LAST]}
TURNS = {"prompt": [USER], "completion": [ANSWER, AGAIN, LAST]}
MESSAGES = {"messages": [USER, ANSWER, AGAIN, LAST]}
PLAIN = {"prompt": "Hi ", "completion": "Ho"}
TEXT = {"text": "Hi there"}

HI, HO = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n", "Ho<|im_end|>"
YO, YA = "\n<|im_start|>user\nYo<|im_end|>\n<|im_start|>assistant\n", "Ya<|im_end|>"


def prepared(row: dict[str, Any], **options: Any) -> Sample:
    made = SFTOptions(**options)
    groups = prepare(checked(load_groups([row], "sft"), made), TEMPLATE).groups
    (group,) = marked(groups, made)
    return group.samples[0]


def trained(row: dict[str, Any], **options: Any) -> list[str]:
    """The text of each stretch of trained tokens, as the packer sees them."""
    sample = prepared(row, **options)
    packed = pack([sample])
    ids = sample.context.token_ids + sample.completion.token_ids
    at = {int(packed.positions_T[p]) + 1 for p in packed.predictor_U}
    assert len(at) == len(packed.sample_N)
    stretches: list[list[int]] = []
    for index, token in enumerate(ids):
        if index in at:
            if index - 1 not in at:
                stretches.append([])
            stretches[-1].append(token)
    return [TOKENIZER.decode(stretch) for stretch in stretches]


NO_FIRST = HI.removeprefix("<|im_start|>")  # nothing predicts a sample's very first token


@pytest.mark.parametrize(
    ("row", "options", "expected"),
    [
        (SHORT, {}, [HO]),
        (SHORT, {"completion_only_loss": True}, [HO]),
        (SHORT, {"completion_only_loss": False}, [NO_FIRST + HO]),
        (SHORT, {"assistant_only_loss": True}, [HO]),
        (SHORT, {"assistant_only_loss": False}, [HO]),
        (LONG, {}, [YA]),
        (LONG, {"completion_only_loss": False}, [NO_FIRST + HO + YO + YA]),
        (LONG, {"completion_only_loss": False, "assistant_only_loss": False}, [NO_FIRST + HO + YO + YA]),
        (LONG, {"completion_only_loss": False, "assistant_only_loss": True}, [HO, YA]),
        (TURNS, {}, [HO, YA]),
        (TURNS, {"assistant_only_loss": False}, [HO + YO + YA]),
        (TURNS, {"completion_only_loss": True, "assistant_only_loss": False}, [HO + YO + YA]),
        (MESSAGES, {}, [HO, YA]),
        (MESSAGES, {"assistant_only_loss": True}, [HO, YA]),
        (MESSAGES, {"completion_only_loss": False}, [NO_FIRST + HO + YO + YA]),
        (MESSAGES, {"completion_only_loss": False, "assistant_only_loss": True}, [HO, YA]),
        (PLAIN, {}, ["Ho<|im_end|>"]),
        (PLAIN, {"completion_only_loss": False}, ["i Ho<|im_end|>"]),
        (TEXT, {}, ["i there<|im_end|>"]),
        (TEXT, {"completion_only_loss": False}, ["i there<|im_end|>"]),
    ],
    ids=str,
)
def test_exactly_these_tokens_are_trained(
    row: dict[str, Any], options: dict[str, Any], expected: list[str]
) -> None:
    assert trained(row, **options) == expected


@pytest.mark.parametrize("row", [SHORT, LONG, TURNS, MESSAGES, PLAIN, TEXT], ids=str)
def test_the_tokens_themselves_never_change(row: dict[str, Any]) -> None:
    def ids(sample: Sample) -> tuple[int, ...]:
        return sample.context.token_ids + sample.completion.token_ids

    plain = ids(prepared(row))
    for options in ({"completion_only_loss": False}, {"assistant_only_loss": False}):
        if not (options.get("assistant_only_loss") is False and row is MESSAGES):
            assert ids(prepared(row, **options)) == plain


def test_whole_trains_every_token_but_the_first() -> None:
    (group,) = whole(prepare(load_groups([LONG], "sft"), TEMPLATE).groups, SFTOptions())
    sample = group.samples[0]
    assert sample.context.token_ids == ()
    assert sample.completion.trained == (False,) + (True,) * (len(sample.completion.token_ids) - 1)


@pytest.mark.parametrize(
    ("row", "options", "named"),
    [
        (MESSAGES, {"completion_only_loss": True}, "needs rows with a prompt"),
        (TEXT, {"completion_only_loss": True}, "needs rows with a prompt"),
        (MESSAGES, {"assistant_only_loss": False}, "completion_only_loss: false"),
        (PLAIN, {"assistant_only_loss": True}, "plain text"),
        (TEXT, {"assistant_only_loss": True, "completion_only_loss": False}, "plain text"),
    ],
    ids=str,
)
def test_options_the_rows_cannot_obey_are_errors(
    row: dict[str, Any], options: dict[str, Any], named: str
) -> None:
    with pytest.raises(CharterError, match=named) as caught:
        checked(load_groups([row], "sft"), SFTOptions(**options))
    assert caught.value.fix
