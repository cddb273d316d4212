from __future__ import annotations

from pathlib import Path

import pytest
from project import make_project


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    return make_project(tmp_path)
