"""The page of a constitution: escaped, complete, and links lead somewhere."""

import re
from html.parser import HTMLParser

from charter.constitution import Constitution
from charter.constitution.outline import outline
from charter.reporting.constitution import render_constitution

LAW = Constitution.from_text(
    """---
name: house
version: 1.2.0
levels: [root, user]
override: {root: never}
---
## No <script> here {#plain authority=root hard=true type=prohibition weight=2 tags=x,y}
Never writes <script>alert(1)</script>, see [the other](#kind).

!!! why "Reason"
    Because & so.

```yaml rules
all: [list_free]
```

**Example**: one
~~~xml
<user>Why?</user>
<comparison>
<assistant> <!-- GOOD: right --> Because. </assistant>
<assistant> <!-- BAD[#kind]: wrong --> <b>No.</b> </assistant>
</comparison>
~~~

## Kind {#kind authority=user}
Is kind.

```yaml rubric
levels: {1: rude, 5: kind}
not_a_violation: a joke
```

```yaml tests
- {id: t, kind: conflict, with: plain, prompt: 'Both?', expect_winner: plain}
```

## Old {#old authority=user status=retired}
Gone.
""",
    "house.constitution.md",
)


class Tags(HTMLParser):
    """Ids, links, tags, and whether they close."""

    VOID = frozenset({"meta", "br"})

    def __init__(self):
        super().__init__()
        self.ids, self.links, self.open, self.seen = [], [], [], set()

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        values = dict(attrs)
        self.ids += [values["id"]] if "id" in values else []
        self.links += [values["href"]] if "href" in values else []
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def page():
    return render_constitution(outline(LAW).to_dict())


def test_everything_is_there_and_escaped():
    html = page()
    assert "<script>" not in html and "&lt;script&gt;alert(1)" in html and "&lt;b&gt;No.&lt;/b&gt;" in html
    for words in (
        "hard, prohibition, weight 2, tags x y",
        "Because &amp; so.",
        "no lists, headings or tables",
        "1 GOOD, 1 BAD",
        "BAD of kind: wrong",
        "a joke",
        "(wins: plain)",
        "1 conflict",
        "Nobody may set it aside.",
        "Named by plain.",
        "Retired, and never used again: old.",
        "2 principles, measured: 1 by rules, 1 by a judge with a rubric",
    ):
        assert words in html, words
    assert "Gone." not in html


def test_it_is_whole_and_loads_nothing():
    tags = Tags()
    tags.feed(page())
    assert tags.open == [] and len(set(tags.ids)) == len(tags.ids)
    assert all(link.removeprefix("#") in tags.ids for link in tags.links)
    assert not tags.seen & {"script", "img", "link", "iframe"}
    assert not re.search(r"url\(|@import", page())


def test_equal_constitutions_give_equal_pages():
    assert page() == page()
