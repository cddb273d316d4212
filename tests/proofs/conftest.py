from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from running import Workshop

from charter.testing import save_tiny


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """The tiny model's folder, the data files, and each algorithm's run, made once."""
    root = tmp_path_factory.mktemp("proofs")
    return Workshop(save_tiny(str(root / "tiny")), root)
