"""Write a trained model so that plain transformers and peft load it, and prove that they do.

What was written is loaded again from disk and its logits on a fixed text are
compared with those of the model it was made from. An export that does not
agree is not kept.
"""

from __future__ import annotations

import contextlib
import math
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charter.errors import EnvironmentFault, UserError
from charter.models.cache import MANIFEST
from charter.models.check import TOKENIZER_FILES, check_adapter_fits, check_checkpoint, read_json_object
from charter.models.hub import is_hub_id, resolve
from charter.progress import progress
from charter.rundir import now, versions, write_json

if TYPE_CHECKING:
    from torch import Tensor

_KEPT = (".json", ".safetensors", ".jinja", ".txt", ".model")
_TOKENIZER = ("tokenizer*", "special_tokens_map.json", "chat_template*", "vocab.*", "merges.txt", "*.model")
_PROBE = (
    "The quick brown fox jumps over the lazy dog. In 2024, 17 of 31 tests passed;\n\n"
    "1. What changed?\n2. Who decided, and why? \u201cNobody knows\u201d, she said.\n"
)
_PROBE_TOKENS = 96
EXPORT_RECORD = "charter-export.json"
REWARD_SCALE = "reward.json"
"""As :data:`charter.models.reward_scale.FILE`, whose module needs torch."""
TOLERANCE = 2e-3
"""Largest accepted difference between logits of the same weights, both float32."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written.

    Attributes:
        path: the folder.
        kind: ``adapter``, ``merged`` or ``model``.
        base: the base model an adapter still needs, "" when none.
        live_gap: largest logit difference between the written and the live model.
        base_gap: largest logit difference between the written and the base model; None without a base.
    """

    path: Path
    kind: str
    base: str
    live_gap: float
    base_gap: float | None


def export(
    run_or_model: str | os.PathLike[str], output: str | os.PathLike[str], *, merge: bool = False
) -> Exported:
    """Copy a run's model to ``output`` for use elsewhere.

    An adapter stays an adapter that names its base, or is merged into it. Merging
    is done and saved in float32: adding a small change to bfloat16 weights can
    round it away, and the merged model would be the base again.

    Args:
        run_or_model: a run directory, a model folder, or a model's name.
        output: a folder that does not exist yet, or is empty.
        merge: write one full model instead of an adapter.

    Raises:
        UserError: nothing to export, nothing to merge, or ``output`` is taken.
        EnvironmentFault: the disk is full, or what was written does not compute what it should.
    """
    source, target = resolve(run_or_model), Path(output)
    _require_free(target)
    checkpoint = check_checkpoint(source)
    if checkpoint.kind == "model":
        if merge:
            raise UserError(
                "nothing to merge: this is a full model, not an adapter",
                where=str(source),
                fix="leave out --merge",
            )
        return _export_model(source, target)
    base = resolve(checkpoint.base)
    check_checkpoint(base)
    check_adapter_fits(source, base)
    if merge:
        return _export_merged(source, base, target)
    return _export_adapter(source, base, checkpoint.base, target)


# -- the three kinds ---------------------------------------------------------


def _export_model(source: Path, target: Path) -> Exported:
    with _staging(target, needed=_size(source)) as staging, progress("exporting", 2) as advance:
        _copy(source, staging)
        advance(note="copied")
        gap = _gap(_logits_of(source, source), _logits_of(staging, source))
        _require_equal(gap, target)
        advance(note="loaded again and compared")
        return _described(staging, Exported(target, "model", "", gap, None))


def _export_adapter(source: Path, base: Path, base_name: str, target: Path) -> Exported:
    with _staging(target, needed=_size(source)) as staging, progress("exporting", 2) as advance:
        _copy(source, staging)
        _add_tokenizer(base, staging)
        named = base_name if is_hub_id(base_name) else str(base.resolve())
        config = read_json_object(staging / "adapter_config.json")
        # peft loads the base by this name, and does not know Charter's names.
        write_json(staging / "adapter_config.json", {**config, "base_model_name_or_path": named})
        advance(note="copied")
        live, plain = _adapted_logits(source, base, tokens_from=staging)
        written, _ = _adapted_logits(staging, base, tokens_from=staging)
        gap = _gap(live, written)
        _require_equal(gap, target)
        advance(note="loaded again and compared")
        return _described(staging, Exported(target, "adapter", named, gap, _gap(written, plain)))


def _export_merged(source: Path, base: Path, target: Path) -> Exported:
    with _staging(target, needed=_merged_size(base)) as staging, progress("exporting", 3) as advance:
        _add_tokenizer(source, staging)
        _add_tokenizer(base, staging)
        model = _load_adapted(source, base)
        probe = _probe(staging)
        live, plain = _with_and_without(model, probe)
        advance(note="loaded")
        model.merge_and_unload().save_pretrained(staging)
        if (source / REWARD_SCALE).exists():
            shutil.copyfile(source / REWARD_SCALE, staging / REWARD_SCALE)
        del model
        advance(note="merged")
        written = _logits_of(staging, staging)
        gap, base_gap = _gap(live, written), _gap(written, plain)
        _require_equal(gap, target)
        _require_changed(base_gap, gap, source)
        advance(note="loaded again and compared")
        return _described(staging, Exported(target, "merged", "", gap, base_gap))


# -- computing ---------------------------------------------------------------


def _probe(tokenizer_folder: Path) -> Tensor:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    return tokenizer(_PROBE, return_tensors="pt").input_ids[:, :_PROBE_TOKENS]  # type: ignore[no-any-return]


def _load(folder: Path) -> Any:
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification
    from transformers.utils import logging

    logging.disable_progress_bar()  # ours is shown instead
    written = read_json_object(folder / "config.json").get("architectures") or [""]
    rewards = str(written[0]).endswith("ForSequenceClassification")
    kind = AutoModelForSequenceClassification if rewards else AutoModelForCausalLM
    return kind.from_pretrained(folder, dtype=torch.float32, use_safetensors=True).eval()


def _load_adapted(adapter: Path, base: Path) -> Any:
    from peft import PeftModel

    from charter.models.reward import adapter_dimensions, under_its_head

    model = _load(base)
    if outputs := adapter_dimensions(adapter):
        model = under_its_head(model, outputs, adapter)
    return PeftModel.from_pretrained(model, os.fspath(adapter)).eval()


def _logits(model: Any, probe: Tensor) -> Tensor:
    import torch

    with torch.no_grad():
        return model(input_ids=probe).logits[0].float()  # type: ignore[no-any-return]


def _logits_of(folder: Path, tokens_from: Path) -> Tensor:
    return _logits(_load(folder), _probe(tokens_from))


def _with_and_without(model: Any, probe: Tensor) -> tuple[Tensor, Tensor]:
    """Logits with the adapter, and with it switched off."""
    live = _logits(model, probe)
    with model.disable_adapter():
        return live, _logits(model, probe)


def _adapted_logits(adapter: Path, base: Path, *, tokens_from: Path) -> tuple[Tensor, Tensor]:
    return _with_and_without(_load_adapted(adapter, base), _probe(tokens_from))


def _gap(a: Tensor, b: Tensor) -> float:
    """Largest absolute difference; infinite when shapes differ or anything is not finite."""
    if a.shape != b.shape:
        return float("inf")
    gap = float((a - b).abs().max())
    return gap if math.isfinite(gap) else float("inf")


def _require_equal(gap: float, target: Path) -> None:
    if gap > TOLERANCE:
        raise EnvironmentFault(
            f"the exported model does not compute what the live one does: logits differ by {gap:.3g} "
            f"(accepted: {TOLERANCE:g}); nothing was written",
            where=str(target),
            fix="if it happens again, the installed transformers and peft do not fit this model",
        )


def _require_changed(base_gap: float, gap: float, source: Path) -> None:
    """A merged model must be nearer to the trained model than to the base."""
    if base_gap <= 2 * gap:
        raise EnvironmentFault(
            f"the merged model is the base model again: logits differ from the base by {base_gap:.3g}, "
            f"from the trained model by {gap:.3g}; nothing was written",
            where=str(source),
            fix="check that the run took optimizer steps: its adapter has no effect",
        )


# -- files -------------------------------------------------------------------


def _require_free(target: Path) -> None:
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UserError(
            "the output exists already", where=str(target), fix="choose a new folder, or remove this one"
        )


@contextlib.contextmanager
def _staging(target: Path, *, needed: int) -> Iterator[Path]:
    """A folder beside ``target`` that becomes it when all went well, and vanishes when not."""
    from safetensors import SafetensorError

    staging = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _require_space(target.parent, needed)
        staging.mkdir()
        yield staging
        for file in staging.iterdir():
            file.chmod(0o644)  # weights are written readable by the owner alone
        if target.exists():
            target.rmdir()  # empty, as _require_free saw
        staging.replace(target)
    except (OSError, SafetensorError) as error:
        raise EnvironmentFault(
            f"cannot export: {getattr(error, 'strerror', None) or error}",
            where=str(target),
            fix="check free space and permissions, or choose another folder",
        ) from None
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _require_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise EnvironmentFault(
            f"the export needs {needed / 1e6:.0f} MB of disk space, {free / 1e6:.0f} MB are free",
            where=str(folder),
            fix="free some disk space, or choose another disk",
        )


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir() if file.suffix in _KEPT)


def _merged_size(base: Path) -> int:
    return 4 * check_checkpoint(base).parameters + 50_000_000


def _copy(source: Path, staging: Path) -> None:
    """The files transformers and peft read; never pickles, logs or the source's own manifest."""
    for file in sorted(source.iterdir()):
        if file.is_file() and file.suffix in _KEPT and file.name != MANIFEST:
            shutil.copyfile(file, staging / file.name)


def _add_tokenizer(source: Path, staging: Path) -> None:
    """Copy the tokenizer, unless one is there already."""
    if any((staging / name).exists() for name in TOKENIZER_FILES):
        return
    for pattern in _TOKENIZER:
        for file in source.glob(pattern):
            shutil.copyfile(file, staging / file.name)


def _described(staging: Path, exported: Exported) -> Exported:
    """Leave the evidence beside the model."""
    facts = {name: value for name, value in asdict(exported).items() if name != "path"}
    write_json(staging / EXPORT_RECORD, {"created": now(), "versions": versions(), **facts})
    return exported
