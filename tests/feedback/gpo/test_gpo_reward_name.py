"""``gpo:FOLDER:EXAMPLES`` rewards as the group's own reward does, and is refused before anything loads."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from charter.data.formats import load_groups
from charter.errors import CharterError
from charter.feedback.gpo.features import Embedder
from charter.feedback.gpo.folder import save_gpo
from charter.feedback.gpo.predictor import GPO
from charter.feedback.gpo.reward import GPOReward
from charter.feedback.rewards import open_rewards
from charter.models.gpo import GPONetwork, GPOShape
from charter.models.load import load
from charter.models.policy import Policy
from charter.testing import save_tiny

ROWS = [
    {"prompt": f"Say {i}.", "chosen": f" {good}", "rejected": f" {bad}"}
    for i, (good, bad) in enumerate([("yes", "no"), ("warm", "cold"), ("up", "down")])
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("people")
    tiny = save_tiny(str(folder / "tiny"))
    embedder = Embedder(load(tiny, bf16=False))
    width = embedder.groups(load_groups(ROWS[:1], "preference").groups)[0].shape[1]
    shape = GPOShape(features=width, width=16, layers=1, heads=2, feed_forward=16, depth=1)
    network = GPONetwork(shape, 1)
    with torch.no_grad():
        network.head.weight.normal_(generator=torch.Generator().manual_seed(1))
    save_gpo(GPO(network.eval(), embedder.reading, tiny, embedder.digest), folder / "gpo")
    (folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS[:2]))
    return folder


def exactly(name: str) -> Policy:
    return load(name, bf16=False)


def test_it_is_the_reward_of_the_group(place: Path) -> None:
    from charter.feedback.gpo.folder import load_gpo

    gpo = load_gpo(place / "gpo")
    asked = list(load_groups(ROWS, "preference").groups)
    known = load_groups(ROWS[:2], "preference").groups
    direct = GPOReward(gpo, Embedder(exactly(gpo.model)), known).judge(asked)
    rewards = open_rewards(["gpo:gpo:pairs.jsonl"], base_dir=place, load_model=exactly)
    assert rewards.names == ("pairs",)
    judged = rewards.judge(asked)
    found = [[one.value for one in said] for said in judged]
    assert found == [pytest.approx([one.value for one in said]) for said in direct]
    alone = replace(asked[0], samples=asked[0].samples[:1])
    ((one,),) = rewards.judge([alone])
    assert one.verdict == "not_applicable"


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("gpo:gpo", "gpo:FOLDER:EXAMPLES"),
        ("gpo:tiny:pairs.jsonl", "charter gpo train"),
        ("gpo:gpo:gone.jsonl", "gone.jsonl"),
        ("gpo:gpo:pairs.jsonl:k=3", "unknown key 'k'"),
    ],
)
def test_mistakes_are_found_first(place: Path, spec: str, says: str) -> None:
    with pytest.raises(CharterError) as found:
        open_rewards([spec], base_dir=place)
    assert says in str(found.value)
