"""Parquet files, saved ``datasets`` folders, hub datasets, and rows in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from charter.data.rows import Collector
from charter.errors import DataError, EnvironmentFault, did_you_mean


def read_parquet(path: Path, collector: Collector) -> None:
    """Read a Parquet file batch by batch."""
    import pyarrow
    import pyarrow.parquet

    if path.stat().st_size == 0:
        raise DataError("empty file", where=str(path))
    row = 0
    try:
        for batch in pyarrow.parquet.ParquetFile(path).iter_batches():
            for values in batch.to_pylist():
                row += 1
                collector.add(values, f"{path}:{row}")
    except (pyarrow.ArrowException, UnicodeDecodeError) as error:
        fault = f"not a readable Parquet file: {_first_line(error)}"
        raise DataError(fault, where=f"{path}:{row + 1}") from None


def read_saved(path: Path, split: str, collector: Collector) -> None:
    """Read a folder written by ``Dataset.save_to_disk`` or ``DatasetDict.save_to_disk``."""
    if not (path / "state.json").exists() and not (path / "dataset_dict.json").exists():
        raise DataError(
            "a folder that `datasets` did not save",
            where=str(path),
            fix="name the data file inside the folder",
        )
    from datasets import load_from_disk

    try:
        saved = load_from_disk(str(path))
    except Exception as error:  # datasets raises many kinds for a damaged folder
        raise DataError(f"cannot load the saved dataset: {_first_line(error)}", where=str(path)) from None
    _add_all(_one_split(saved, split, str(path)), str(path), collector)


def read_hub(name: str, split: str, collector: Collector) -> None:
    """Read a dataset from the Hugging Face hub or its local cache."""
    from datasets import load_dataset
    from datasets.exceptions import DatasetNotFoundError

    fix = "check the name and the network; a local file needs its full path"
    try:
        dataset = load_dataset(name, split=split)
    except (DatasetNotFoundError, FileNotFoundError):
        raise DataError("neither a file nor a dataset on the hub", where=name, fix=fix) from None
    except ValueError as error:
        raise DataError(_first_line(error), where=name, fix="check the split") from None
    except Exception as error:  # network, proxy and hub errors share no base class
        raise EnvironmentFault(f"cannot get the dataset: {_first_line(error)}", where=name, fix=fix) from None
    _add_all(dataset, name, collector)


def read_memory(source: Iterable[Any], split: str, collector: Collector) -> None:
    """Read a ``datasets.Dataset`` (or a dict of splits) or any iterable of dicts."""
    if isinstance(source, Mapping):
        source = _one_split(source, split, "rows in memory")
    _add_all(source, "row", collector)


def _one_split(dataset: Any, split: str, where: str) -> Any:
    if not isinstance(dataset, Mapping):
        return dataset
    if split not in dataset:
        raise DataError(f"no split {split!r}", where=where, fix=did_you_mean(split, dataset))
    return dataset[split]


def _add_all(rows: Iterable[Any], name: str, collector: Collector) -> None:
    for row, values in enumerate(rows, start=1):
        collector.add(values, f"{name}:{row}")


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0] or type(error).__name__
