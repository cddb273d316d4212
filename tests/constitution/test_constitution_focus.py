"""Some principles in question: the rest is left alone, and nothing changes its fingerprint."""

from __future__ import annotations

import pytest

from charter.constitution import Constitution
from charter.errors import ConstitutionError, UserError
from charter.evaluation.answers.own_tests import own_prompts
from charter.evaluation.evaluate import gates_of
from charter.evaluation.limits import limits_of
from charter.evaluation.limits import tests_of as listed_tests
from charter.evaluation.rates.planning import plan_evaluation
from charter.evaluation.report_json import constitution_json
from charter.pipeline.evaluating import in_question

TEXT = """---
constitution: 1
name: two
version: 1.0.0
levels: [user]
gates: {{user: {{min_lower_bound: 0.5}}}}
---
## Short {{#short authority=user}}

{short}

```yaml rules
all:
  - length: {{max_words: 9}}
```

```yaml tests
- {{id: a, kind: rule, prompt: "Why is the sky blue?"}}
```

## Plain {{#plain authority=user}}

No lists.

```yaml rules
all:
  - list_free
```

```yaml tests
- {{id: b, kind: rule, prompt: "Why is grass green?"}}
```
"""


def two(short="An answer is short."):
    return Constitution.from_text(TEXT.format(short=short), "two.constitution.md")


def test_a_focus_changes_what_is_in_force_and_no_fingerprint():
    law = two()
    part = law.focused(["plain"])
    assert [one.id for one in part.active] == ["plain"]
    assert part.sha == law.sha
    assert part.whole == law
    assert constitution_json(part) == constitution_json(law)
    assert listed_tests(part) == listed_tests(law)


def test_only_the_tests_in_question_are_asked_and_no_gate_is_judged():
    part = two().focused(["plain"])
    assert [group.id for group in own_prompts(part).groups] == ["plain/b"]
    assert gates_of(two()) and gates_of(part) == []
    whole = plan_evaluation(
        two(), own_prompts(two()).groups, {one.id: _exact(one.id) for one in two().active}
    )
    narrow = plan_evaluation(part, own_prompts(part).groups, {"plain": _exact("plain")})
    assert whole.gates and not narrow.gates


def _exact(id):
    from charter.evaluation.rates.basis import Basis

    return Basis(id, "rule")


def test_what_was_left_alone_is_said():
    from charter.evaluation.evaluate import principle_infos
    from charter.evaluation.limits import limit_lines
    from charter.evaluation.rates.adherence import adherence
    from charter.feedback.rules.constitution import ConstitutionFeedback
    from charter.types import Completion, Context, Group, Message, Sample

    part = two().focused(["plain"])
    context = Context((Message("user", "Why is grass green?"),))
    group = Group((Sample(context, Completion("It holds a green dye.")),), id="plain/b")
    (said,) = ConstitutionFeedback(part).judge([group])
    card = adherence([group.with_judgements(*said)], principle_infos(part))
    limits = limits_of(card, part)
    assert limits["left_alone"] == ["short"]
    assert any("1 other principles were not in question" in line for line in limit_lines(limits))


def test_what_changed_since_an_older_version_is_in_question():
    old, new = two(), two("An answer is very short.")
    assert [one.id for one in in_question(new, changed_from=old).active] == ["short"]
    assert in_question(new) == new
    with pytest.raises(UserError, match="the older report holds"):
        in_question(old, changed_from=old)
    with pytest.raises(UserError, match="chooses the principles itself"):
        in_question(new, ["plain"], old)


def test_unknown_principles_are_named():
    with pytest.raises(ConstitutionError, match="no principle 'shrt'"):
        two().focused(["shrt"])
    with pytest.raises(ConstitutionError, match="no principle was named"):
        two().focused([])
