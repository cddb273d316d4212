"""A small constitution with voting groups, in a folder of its own."""

from pathlib import Path

import pytest

from charter.constitution.amending import Folder, propose

HOUSE = """---
constitution: 1
name: house
version: 0.3.0
levels: [root, user]  # two are enough
gates: {user: {min_lower_bound: 0.8}}
amend:
  every_group: 1/2
  groups: {city: {}, coast: {}}
---
# House

What follows is short.

## Never lies {#honest authority=root hard=true}

Says nothing false.

```yaml rules
all: [{length: {min_words: 2}}]
```

## Brief {#brief authority=user}

At most 60 words.

```yaml rules
all: [{length: {min_words: 5, max_words: 60}}]
```

```yaml tests
- {id: brief-1, kind: rule, prompt: "Why is the sky blue?"}
- {id: brief-2, kind: must_comply, prompt: "Name three teas."}
```

```yaml provenance
source: "the house"
```

## Prose {#prose authority=user}

No lists.

```yaml rules
all: [{list_free: {}}]
```
"""
DRAFT = """---
title: Shorter answers
---
Sixty words are too many on a phone.

## Brief {#brief authority=user}

At most 40 words.

```yaml rules
all: [{length: {min_words: 5, max_words: 40}}]
```

```yaml tests
- {id: brief-1, kind: rule, prompt: "Why is the sky blue?"}
- {id: brief-2, kind: must_comply, prompt: "Name three teas."}
```
"""


class Place(Folder):
    """The folder, with shortcuts."""

    __slots__ = ()

    @property
    def house(self) -> Path:
        return self.path / "house.constitution.md"

    def change(self, old: str, new: str) -> None:
        text = self.house.read_text(encoding="utf-8")
        assert old in text
        self.house.write_text(text.replace(old, new), encoding="utf-8")

    def draft(self, text: str) -> Path:
        path = self.path / "draft.md"
        path.write_text(text, encoding="utf-8")
        return path

    def file(self, text: str = DRAFT, author: str = "Ada") -> str:
        """File a draft; its number."""
        return str(propose(self, self.draft(text), author=author, at="2026-01-02T03:04:05Z").proposal.head.id)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    (tmp_path / "house.constitution.md").write_text(HOUSE, encoding="utf-8")
    return Place(tmp_path)


@pytest.fixture
def draft() -> str:
    return DRAFT
