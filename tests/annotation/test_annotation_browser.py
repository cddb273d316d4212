"""Every mode of the page by keyboard alone, in a real browser; faults of the network included.

Set ``CHARTER_SCREENSHOTS`` to a folder to keep pictures of each page, wide and at 390 px.
"""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest
from campaigns import campaign
from serving import Server

from charter.annotation.database import Store
from charter.annotation.rows import snapshot

sync_api = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.slow
CHROMIUM = "/usr/bin/chromium"
PICTURES = os.environ.get("CHARTER_SCREENSHOTS", "")


@pytest.fixture(scope="module")
def chromium():
    with sync_api.sync_playwright() as playwright:
        path = CHROMIUM if Path(CHROMIUM).exists() else None
        try:
            browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        except sync_api.Error as error:
            pytest.skip(f"no browser starts here: {str(error).splitlines()[0]}")
        yield browser
        browser.close()


class Rater:
    """A page, driven by keys."""

    def __init__(self, browser, link, **context):
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 860}, **context})
        self.page = self.context.new_page()
        self.page.set_default_timeout(8000)
        self.errors = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on(
            "console", lambda one: self.errors.append(one.text) if "Content Security" in one.text else None
        )
        self.page.goto(link)
        self.page.keyboard.press("Enter")  # the one button has the focus
        self.page.wait_for_url(re.compile("/(label|admin)$"))

    def keys(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)

    def heading(self):
        return self.page.locator("#item h1").inner_text()

    def submit(self, *keys):
        """Press ``keys`` and Enter, and wait for what comes next."""
        self.moves(*keys, "Enter")

    def moves(self, *keys):
        """Press ``keys``, and wait for what comes next."""
        before = self.number()
        self.keys(*keys)
        self.page.wait_for_selector(f"#item:not([data-shown='{before}']) h1:focus")

    def number(self):
        return self.page.locator("#item").get_attribute("data-shown")

    def settled(self):
        self.page.wait_for_selector("#item h1:focus")

    def picture(self, name):
        if PICTURES:
            self.page.screenshot(path=f"{PICTURES}/{name}.png", full_page=True)


@pytest.fixture
def run(tmp_path, chromium):
    servers, raters = [], []

    def build(names, **options):
        campaign(tmp_path, **options).store.close()
        servers.append(Server(tmp_path / "c.db", names))
        return servers[-1]

    def enter(server, name, **context):
        raters.append(Rater(chromium, server.links[name], **context))
        return raters[-1]

    yield build, enter
    for rater in raters:
        rater.context.close()
        assert rater.errors == []
    for server in servers:
        if server.process.poll() is None:
            server.stop(signal.SIGINT)


def now(folder):
    store = Store(folder / "c.db")
    with store.read() as session:
        found = snapshot(session)
    store.close()
    return found


def side(rater, words):
    """1 or 2: where the answer with these words stands."""
    first = rater.page.locator(".answer").nth(0).inner_text()
    return 1 if words in first else 2


def test_pairs_by_keyboard(run, tmp_path):
    build, enter = run
    ada = enter(build(["ada,,"], count=6, each=True), "ada")
    ada.settled()
    ada.picture("pair-wide")
    assert "keeps better to the principle" in ada.heading()
    ada.keys("Enter")
    assert "Choose first" in ada.page.locator("#alert").inner_text()
    expected = []
    for number, (key, better) in enumerate((("1", 0), ("2", 0), ("3", 1), ("4", 1))):
        # "A" is the first shown, whichever it is in store.
        store_first = side(ada, "Answer 0 ") == 1
        sign = (1 if better == 0 else -1) * (1 if store_first else -1)
        expected.append(sign * (2 if key in "14" else 1))
        if number == 1:
            ada.keys("?")
            assert ada.page.locator("dialog[open]").is_visible()
            ada.picture("rubric-wide")
            ada.keys("Escape", "d")
            assert ada.page.locator("ins").count() > 0
            ada.keys("p")
            assert "*scatters*" in ada.page.locator(".answer").nth(0).inner_text()
            ada.picture("pair-differences")
            ada.keys("p", "d", "r")
            ada.page.keyboard.type("shorter s u 9")  # letters in a field are letters
            ada.keys("Escape")
        ada.submit(key)
    ada.submit("0")
    ada.submit("9")
    ada.moves("s")
    labels = now(tmp_path).labels
    assert [label.value for label in labels[:4]] == expected
    assert [label.outcome for label in labels] == ["judged"] * 4 + ["tie", "both_bad", "skipped"]
    assert labels[1].rationale == "shorter s u 9"
    ada.moves("u")
    ada.submit("2")
    last = now(tmp_path).labels[-1]
    assert last.outcome == "judged" and last.meta["again"] is True


def test_rankings_ratings_edits_and_marks_by_keyboard(run, tmp_path):
    build, enter = run
    server = build(["ada,,"], modes=("ranking", "rating", "revision", "spans"), count=2, k=3, each=True)
    ada = enter(server, "ada")
    done = set()
    for _ in range(60):
        ada.settled()
        heading = ada.heading()
        if heading == "Done":
            break
        ada.picture(f"{heading.split()[0].lower()}-wide")
        if "order" in heading:
            if "ranking" in done:
                ada.submit("9")
            else:
                ada.keys("c", "=", "a", "b", "Backspace", "b")
                assert "A = C > B" in ada.page.locator("#order").inner_text()
                ada.submit()
            done.add("ranking")
        elif "How well" in heading:
            ada.submit("n" if "rating" in done else "4")
            done.add("rating")
        elif "better" in heading:
            if "revision" in done:
                ada.submit("n")
                continue
            ada.keys("e", "Control+End")
            ada.page.keyboard.type(" Blue wins.")
            assert "".join(ada.page.locator("ins").all_text_contents()).replace(" ", "") == "Bluewins."
            ada.picture("edit-differences")
            ada.page.reload()  # by mistake: what was written is still there
            ada.settled()
            assert ada.page.locator("#edit").input_value().endswith("Blue wins.")
            ada.moves("e", "Control+Enter")
            done.add("revision")
        else:
            if "spans" in done:
                ada.submit("n")
                continue
            ada.keys("w", "ArrowRight", "Shift+ArrowRight", "1", "ArrowRight", "3", "Backspace", "End", "2")
            ada.picture("marks-wide")
            ada.submit()
            done.add("spans")
    assert done == {"ranking", "rating", "revision", "spans"}
    first = {}
    for label in now(tmp_path).labels:
        first.setdefault(label.kind, label)
    ranks, shown = first["ranking"].value, first["ranking"].shown
    assert [ranks[place] for place in shown] == [1, 2, 1]
    assert first["rating"].value == 4
    assert first["revision"].value == first["revision"].answers[0] + " Blue wins."
    text = first["spans"].answers[0]
    marked = [(text[start:end], tag) for start, end, tag in first["spans"].value]
    words = text.split()
    assert marked == [(f"{words[1]} {words[2]}", "breaks the principle"), (words[-1], "helps the principle")]


def test_a_lost_connection_loses_nothing(run, tmp_path):
    build, enter = run
    ada = enter(build(["ada,,"], count=4), "ada")
    ada.settled()
    ada.context.set_offline(True)
    ada.keys("1", "Enter")
    ada.page.wait_for_selector("#alert >> text=Not saved yet")
    assert now(tmp_path).labels == []
    ada.picture("offline")
    ada.context.set_offline(False)
    ada.page.wait_for_selector("#alert:empty", state="attached")
    ada.settled()
    assert len(now(tmp_path).labels) == 1
    # The answer arrives, the receipt does not: the page asks again and it stays one label.
    lost = []

    def lose(route):
        if not lost:
            lost.append(route.fetch())
            route.abort()
        else:
            route.continue_()

    ada.page.route("**/api/submit", lose)
    ada.submit("4")
    assert lost and len(now(tmp_path).labels) == 2
    # A page that is closed before its answer went out sends it when it is opened again.
    ada.page.unroute("**/api/submit")
    ada.page.route("**/api/submit", lambda route: route.abort())
    ada.keys("2", "Enter")
    ada.page.wait_for_selector("#alert >> text=Not saved yet")
    other = ada.context.new_page()
    other.goto(ada.page.url)
    other.wait_for_selector("#item h1")
    assert len(now(tmp_path).labels) == 3
    ada.page.close()


def test_two_tabs_in_a_browser(run, tmp_path):
    build, enter = run
    ada = enter(build(["ada,,"], count=3), "ada")
    ada.settled()
    other = ada.context.new_page()
    other.goto(ada.page.url)
    other.wait_for_selector(".answer")
    other.keyboard.press("1")
    with other.expect_response("**/api/next"):
        other.keyboard.press("Enter")
    ada.submit("4")  # the same item, a moment later
    assert "perhaps in another tab" in ada.page.locator("#alert").inner_text()
    labels = now(tmp_path).labels
    assert len(labels) == 1 and abs(labels[0].value) == 2


CHECKS = (Path(__file__).parent / "accessibility.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("look", ["light", "dark"])
def test_pages_at_390_px_are_readable_labelled_and_in_contrast(run, tmp_path, look):
    build, enter = run
    server = build(
        ["ada,,", "bo,,", "cy,,adjudicator"],
        modes=("pair", "rating", "spans", "ranking", "revision"),
        count=2,
        each=True,
        overlap=2,
    )
    phone = {"viewport": {"width": 390, "height": 844}, "color_scheme": look}
    people = [enter(server, name, **phone) for name in ("ada", "bo")]
    seen = set()
    for person, keys in zip(people, (("1", "5"), ("4", "1")), strict=True):
        for _ in range(40):
            person.settled()
            heading = person.heading()
            if heading == "Done":
                break
            if heading not in seen:
                assert person.page.evaluate(CHECKS) == [], heading
                person.picture(f"{look}-390-{heading.split()[0].lower()}")
            seen.add(heading)
            if "Which" in heading:
                person.submit(keys[0])
            elif "How" in heading:
                person.submit(keys[1])
            elif "order" in heading:
                person.submit("0")
            else:
                person.submit("n")
    assert len(seen) == 5
    person = people[0]
    person.page.goto(f"{server.base}/me")
    assert person.page.evaluate(CHECKS) == []
    person.picture(f"{look}-390-me")
    for name, pages in (("cy", ["adjudicate"]), ("admin", ["admin", "adjudicate"])):
        boss = enter(server, name, **phone)
        for page in pages:
            boss.page.set_viewport_size(phone["viewport"])
            boss.page.goto(f"{server.base}/{page}")
            assert boss.page.evaluate(CHECKS) == [], page
            boss.picture(f"{look}-390-{page}")
            boss.page.set_viewport_size({"width": 1280, "height": 860})
            assert boss.page.evaluate(CHECKS) == [], page
            boss.picture(f"{look}-wide-{page}")


def test_adjudicating_and_running_a_campaign_in_the_browser(run, tmp_path):
    build, enter = run
    server = build(["ada,,", "bo,,"], count=1, each=True)
    for name, words in (("ada", "Answer 0 "), ("bo", "Answer 1 ")):
        person = enter(server, name)
        for _ in range(2):
            person.settled()
            person.submit("1" if side(person, words) == 1 else "4")
    boss = enter(server, "admin")
    page = boss.page
    page.goto(f"{server.base}/adjudicate")
    assert page.locator(".case").count() == 2
    case = page.locator(".case").nth(0)
    case.get_by_role("radio", name="The text is unclear").check()
    case.get_by_role("button", name="Decide").click()
    page.wait_for_selector("#alert >> text=unclear")
    case.locator("textarea").fill("Is a short answer firm enough?")
    case.get_by_role("button", name="Decide").click()
    case.get_by_text("Draft of a proposal").wait_for()
    second = page.locator(".case").nth(1)
    second.get_by_role("radio", name="A much better").check()
    better = second.locator(".answer").nth(0).inner_text()
    second.get_by_role("button", name="Decide").click()
    second.get_by_text("Saved.").wait_for()
    found = now(tmp_path)
    assert len(found.unclear) == 1 and len(found.decided) == 1
    (decided,) = found.decided
    assert decided.answers[0 if decided.value > 0 else 1].split(".")[0] in better and abs(decided.value) == 2
    page.goto(f"{server.base}/admin")
    with page.expect_navigation():
        page.get_by_role("button", name="Pause").click()
    assert page.get_by_text("nobody gets a new item").is_visible()
    page.get_by_role("button", name="New link for ada").click()
    page.locator("#link code").wait_for()
    assert "/enter#" in page.locator("#link code").inner_text()
