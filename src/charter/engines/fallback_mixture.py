"""A mixture of two models where transformers runs at least one of them."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from charter.data.packing import pack
from charter.engines.mixture import geometric
from charter.models import plain
from charter.models.policy import adapter_off
from charter.types import Completion, Context, Sample


class PlainMixer:
    """Mixes another model into the logits of the one that ``generate`` runs.

    The other one reads every row from its beginning at every token: any architecture can, without a
    cache of its own, but slowly.

    Args:
        model: the other one.
        adapter_on: False = with its adapter off.
        coef: its share; see :class:`charter.engines.base.Mixture`.
        dtype: type of activations and matrix products.
    """

    def __init__(self, model: Any, *, adapter_on: bool, coef: float, dtype: torch.dtype) -> None:
        self._model, self._adapter_on, self._coef, self._dtype = model, adapter_on, coef, dtype

    def __call__(self, rows: Sequence[tuple[int, ...]], logits: Tensor) -> Tensor:
        """Logits of the mixture, ``(B, V)`` float32.

        Args:
            rows: the tokens so far, prompt and completion.
            logits: of the first model after them, ``(B, V)``.
        """
        packed = pack([_continued(ids) for ids in rows])
        training = self._model.training
        self._model.eval()
        try:
            switched = contextlib.nullcontext(self._model) if self._adapter_on else adapter_off(self._model)
            with switched as model:
                other_U = plain.logits(model, packed, self._dtype).float()
        finally:
            self._model.train(training)
        return geometric(logits.float(), other_U[torch.from_numpy(packed.unique_N)], self._coef)


def _continued(ids: tuple[int, ...]) -> Sample:
    """A sample whose one scored position is behind the last of ``ids``; the token there is not read."""
    return Sample(Context(token_ids=ids), Completion(token_ids=(0,), trained=(True,)))
