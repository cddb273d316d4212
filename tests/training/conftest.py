from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from charter.testing import save_tiny


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny model's folder."""
    return save_tiny(str(tmp_path_factory.mktemp("tiny")))
