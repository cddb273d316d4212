"""The guide's rules and draft are read as they stand, and its table of keys is whole."""

import re
from pathlib import Path

from charter.constitution import Constitution
from charter.constitution.amend_rules import AmendRules, GroupRules
from charter.constitution.amending import propose

GUIDE = (Path(__file__).parents[3] / "docs" / "amending.md").read_text(encoding="utf-8")


def rules_block() -> str:
    [block] = re.findall(r"```yaml\n(amend:\n.*?)```", GUIDE, re.DOTALL)
    return block


def test_the_rules_are_read_and_name_every_key(place):
    text = place.house.read_text()
    old = text[text.index("amend:") : text.index("---\n# House")]
    text = text.replace("[root, user]", "[root, system, user]").replace(old, rules_block())
    rules = Constitution.from_text(text).amend
    assert set(rules.model_fields_set) == set(AmendRules.model_fields)
    assert set().union(*(one.model_fields_set for one in rules.groups.values())) == set(
        GroupRules.model_fields
    )
    assert rules.groups["city"].people == 3 and rules.groups["coast"].people == 40


def test_the_draft_can_be_filed(place):
    [draft] = re.findall(r"````markdown\n(.*?)````", GUIDE, re.DOTALL)
    place.change("## Brief", "## Brief, but a whole answer")
    state = propose(place, place.draft(draft))
    assert (
        state.proposal.reasons == "Sixty words are too many on a phone."
        and "brief" in state.proposal.principles
    )
