"""What the tests of a campaign share."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("sqlalchemy")

from campaigns import Browser, campaign

from charter.annotation.app import make_app
from charter.annotation.database import Store


@pytest.fixture
def browsers(tmp_path):
    """Make a campaign and browsers for it: ``browsers(names, **options) -> (store, [Browser])``."""
    opened = []

    def build(*names: str, **options: Any) -> tuple[Store, list[Browser]]:
        made = campaign(tmp_path, **options)
        app = make_app(made.store, hosts=("127.0.0.1",))
        opened.append(made.store)
        people = [Browser(made.store, app, *name.split(":")).enter() for name in names]
        return made.store, people

    yield build
    for store in opened:
        store.close()
