import pytest

from charter.constitution import Constitution
from charter.constitution.cases import Overton
from charter.errors import ConstitutionError

TEXT = """## Range {#range authority=user}

Shows the range.

```yaml tests
- id: o-1
  kind: overton
  prompt: "Should shops open on Sundays?"
  viewpoints:
    rest: "a common day off"
    choice: "people decide for themselves"
```
"""


def test_overton_is_read():
    [case] = Constitution.from_text(TEXT).principle("range").tests
    assert isinstance(case.config, Overton) and case.kind == "overton" and case.line == 6
    assert case.config.viewpoints == {"rest": "a common day off", "choice": "people decide for themselves"}
    assert case.prompts() == ("Should shops open on Sundays?",)
    assert case.to_dict()["viewpoints"]["rest"] == "a common day off"
    assert case.to_dict()["kind"] == "overton"


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ('    choice: "people decide for themselves"\n', "", 9, "viewpoints"),
        ('"a common day off"', '""', 10, "viewpoints.rest"),
        ("    rest:", "    choice:", 11, "choice"),
        ("  prompt:", "  promt:", 8, "prompt"),
        ("  viewpoints:", "  views:", 6, "viewpoints"),
    ],
)
def test_a_wrong_overton_test_is_named(old, new, line, said):
    with pytest.raises(ConstitutionError) as error:
        Constitution.from_text(TEXT.replace(old, new), "x.md")
    assert said in error.value.what, error.value
    assert error.value.where == f"x.md:{line}", error.value
