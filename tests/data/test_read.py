from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.data.fingerprint import fingerprint
from charter.data.read import read_rows
from charter.errors import DataError, EnvironmentFault


def _write(tmp_path: Path, data: bytes, name: str = "d.jsonl") -> Path:
    path = tmp_path / name
    path.write_bytes(data)
    return path


def test_jsonl_skips_blank_lines_and_keeps_line_numbers(tmp_path: Path) -> None:
    path = _write(tmp_path, b'\xef\xbb\xbf{"text": "a"}\r\n\r\n   \n{"text": "\xc3\xa9"}')
    rows = read_rows(path).rows
    assert [(row.values["text"], row.source) for row in rows] == [("a", f"{path}:1"), ("é", f"{path}:4")]


def test_malformed_line_names_file_line_column_and_reason(tmp_path: Path) -> None:
    path = _write(tmp_path, b'{"text": "a"}\n{"text": a}\n')
    with pytest.raises(DataError, match=r"d\.jsonl:2: malformed JSON at column 10: Expecting value"):
        read_rows(path)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"a": 1, "a": 2}', "key 'a' appears twice"),
        (b'{"a": NaN}', "NaN is not JSON"),
        (b"[1]", "a row is an object of columns, found list"),
        (b'{"a": "\\u0000"}', "NUL character at offset 0"),
        (b'{"a": [{"content": "x\\ud800"}]}', "lone surrogate at offset 1"),
        (b'{"a": "x\x00"}', "Invalid control character"),
        (b"[" * 200_000, "malformed JSON"),
    ],
)
def test_bad_lines(tmp_path: Path, line: bytes, reason: str) -> None:
    path = _write(tmp_path, b'{"a": 1}\n' + line + b"\n")
    with pytest.raises(DataError) as caught:
        read_rows(path)
    assert reason in str(caught.value)
    assert caught.value.where == f"{path}:2"


def test_invalid_utf8_names_the_byte_of_the_file(tmp_path: Path) -> None:
    path = _write(tmp_path, b'{"a": 1}\n{"a": "\xff"}\n')
    with pytest.raises(DataError, match=r":2: invalid UTF-8 at byte 16 of the file \(byte 0xff\)"):
        read_rows(path)


def test_utf16_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="UTF-16"):
        read_rows(_write(tmp_path, '{"a": 1}'.encode("utf-16")))


def test_skip_keeps_good_rows_and_counts_bad_ones(tmp_path: Path) -> None:
    path = _write(tmp_path, b'{"a": 1}\nnope\n{"a": "\xff"}\n{"a": 2}\n')
    rows = read_rows(path, on_bad="skip")
    assert [row.values["a"] for row in rows.rows] == [1, 2]
    assert rows.counts == {"rows read": 2, "rows unreadable": 2}
    assert [error.where for error in rows.bad] == [f"{path}:2", f"{path}:3"]


def test_all_bad_is_an_error_even_with_skip(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="all 1 rows are unreadable"):
        read_rows(_write(tmp_path, b"nope\n"), on_bad="skip")


@pytest.mark.parametrize("name", ["d.jsonl", "d.json", "d.csv", "d.parquet"])
def test_empty_file_is_an_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"empty|no rows"):
        read_rows(_write(tmp_path, b"", name))


def test_missing_file_suggests_the_nearest_name(tmp_path: Path) -> None:
    _write(tmp_path, b"{}", "pairs.jsonl")
    with pytest.raises(DataError, match=r"no such file\n  fix: did you mean .*pairs\.jsonl"):
        read_rows(tmp_path / "pair.jsonl")
    with pytest.raises(DataError, match="does not exist"):
        read_rows(str(tmp_path / "nowhere" / "pairs.jsonl"))


def test_unknown_suffix_and_unsaved_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"unknown kind of file \.txt"):
        read_rows(_write(tmp_path, b"x", "d.txt"))
    with pytest.raises(DataError, match="did not save"):
        read_rows(tmp_path)


def test_json_array_knows_each_row_line(tmp_path: Path) -> None:
    path = _write(tmp_path, b'[\n {"a": 1},\n\n {"a":\n 2}\n]\n', "d.json")
    assert [(r.values["a"], r.source) for r in read_rows(path).rows] == [(1, f"{path}:2"), (2, f"{path}:4")]


@pytest.mark.parametrize(
    ("data", "where", "reason"),
    [
        (b'[{"a": 1}\n{"a": 2}]', 2, "expected ','"),
        (b'[{"a": 1},\n{"a": x}]', 2, "malformed JSON at column 7"),
        (b'[{"a": 1}]\n]', 1, "after the closing"),
        (b'[{"a": 1},', 1, "malformed JSON"),
        (b'[{"a": 1}', 1, "expected ','"),
    ],
)
def test_bad_json_array(tmp_path: Path, data: bytes, where: int, reason: str) -> None:
    path = _write(tmp_path, data, "d.json")
    with pytest.raises(DataError) as caught:
        read_rows(path)
    assert reason in str(caught.value)
    assert caught.value.where == f"{path}:{where}"


def test_json_lines_in_a_json_file(tmp_path: Path) -> None:
    assert len(read_rows(_write(tmp_path, b'{"a": 1}\n{"a": 2}\n', "d.json")).rows) == 2


def test_csv_types_its_columns(tmp_path: Path) -> None:
    cell = json.dumps([{"role": "user", "content": "hi"}]).replace('"', '""')
    path = _write(
        tmp_path,
        f'prompt,completion,label,margin\n"{cell}","two\nlines",True,0.5\n[x,y,0,\n'.encode(),
        "d.csv",
    )
    first, second = read_rows(path).rows
    assert first.values == {
        "prompt": [{"role": "user", "content": "hi"}],
        "completion": "two\nlines",
        "label": True,
        "margin": 0.5,
    }
    assert second.values == {"prompt": "[x", "completion": "y", "label": False, "margin": None}
    assert (first.source, second.source) == (f"{path}:2", f"{path}:4")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("a,b\n1\n", "1 cells where the header names 2"),
        ("a,a\n1,2\n", "column 'a' appears twice"),
        ("a,\n1,2\n", "column 2 has no name"),
        ('a,b\n"x,2\n', "malformed CSV"),
        ("scores\nx\n", "not a JSON list"),
        ("margin\nx\n", "not a number"),
    ],
)
def test_bad_csv(tmp_path: Path, data: str, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        read_rows(_write(tmp_path, data.encode(), "d.csv"))


def test_tsv(tmp_path: Path) -> None:
    assert read_rows(_write(tmp_path, b"text\tn\na, b\t1\n", "d.tsv")).rows[0].values["text"] == "a, b"


def test_parquet_and_saved_datasets_agree_with_memory(tmp_path: Path) -> None:
    from datasets import Dataset, DatasetDict

    data = [{"prompt": "p", "completion": "é"}, {"prompt": "q", "completion": "d"}]
    dataset = Dataset.from_list(data)
    dataset.to_parquet(str(tmp_path / "d.parquet"))
    dataset.save_to_disk(str(tmp_path / "saved"))
    DatasetDict({"train": dataset, "test": dataset.select([1])}).save_to_disk(str(tmp_path / "splits"))
    for source in (tmp_path / "d.parquet", tmp_path / "saved", tmp_path / "splits", dataset, data):
        rows = read_rows(source).rows
        assert [dict(row.values) for row in rows] == data
        assert [row.source.rsplit(":", 1)[1] for row in rows] == ["1", "2"]
    assert len(read_rows(tmp_path / "splits", split="test").rows) == 1
    with pytest.raises(DataError, match="no split 'tset'\n  fix: did you mean 'test'"):
        read_rows(tmp_path / "splits", split="tset")


def test_damaged_parquet(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a readable Parquet file"):
        read_rows(_write(tmp_path, b"PAR1 not really PAR1", "d.parquet"))


def test_empty_list_in_memory() -> None:
    with pytest.raises(DataError, match="holds no rows"):
        read_rows([])


_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))


@given(
    st.lists(
        st.dictionaries(_TEXT, _TEXT | st.integers() | st.booleans() | st.none()), min_size=1, max_size=5
    )
)
def test_any_rows_survive_jsonl(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, object]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    path.write_text(
        "\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8", newline=""
    )
    assert [dict(row.values) for row in read_rows(path).rows] == rows


def test_fingerprint_follows_content_only(tmp_path: Path) -> None:
    one = read_rows(_write(tmp_path, b'{"a": 1, "b": 2}\n', "one.jsonl")).rows
    same = read_rows(_write(tmp_path, b'{"b": 2, "a": 1}\n', "two.jsonl")).rows
    other = read_rows(_write(tmp_path, b'{"b": 2, "a": "1"}\n', "one.jsonl")).rows
    assert fingerprint(one) == fingerprint(same) == fingerprint([{"a": 1, "b": 2}])
    assert fingerprint(one) != fingerprint(other)


def test_hub_errors_say_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets
    from datasets.exceptions import DatasetNotFoundError

    asked: list[tuple[str, str]] = []

    def load(name: str, split: str) -> list[dict[str, str]]:
        asked.append((name, split))
        outcome = outcomes[name]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    outcomes: dict[str, list[dict[str, str]] | Exception] = {
        "owner/good": [{"text": "a"}],
        "owner/missing": DatasetNotFoundError("gone"),
        "owner/nosplit": ValueError("Unknown split 'x'"),
        "owner/offline": ConnectionError("no route\nto host"),
    }
    monkeypatch.setattr(datasets, "load_dataset", load)
    assert read_rows("owner/good", split="test").rows[0].source == "owner/good:1"
    assert asked == [("owner/good", "test")]
    with pytest.raises(DataError, match="owner/missing: neither a file nor a dataset on the hub"):
        read_rows("owner/missing")
    with pytest.raises(DataError, match="Unknown split"):
        read_rows("owner/nosplit")
    with pytest.raises(EnvironmentFault, match="cannot get the dataset: no route"):
        read_rows("owner/offline")


def test_a_damaged_saved_dataset(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text("{}")
    with pytest.raises(DataError, match="cannot load the saved dataset"):
        read_rows(tmp_path)


def test_csv_skips_blank_lines_and_counts_bad_cells(tmp_path: Path) -> None:
    path = _write(tmp_path, b'prompt,ranks\na,"[1, 2]"\n\nb,oops\nc\nd,\n', "d.csv")
    rows = read_rows(path, on_bad="skip")
    assert [(row.values["prompt"], row.values["ranks"]) for row in rows.rows] == [("a", [1, 2]), ("d", None)]
    assert [error.where for error in rows.bad] == [f"{path}:4", f"{path}:5"]


def test_a_json_array_with_a_key_twice(tmp_path: Path) -> None:
    path = _write(tmp_path, b'[{"a": 1},\n{"a": 1, "a": 2}]', "d.json")
    with pytest.raises(DataError, match=r"d\.json:2: malformed JSON: key 'a' appears twice"):
        read_rows(path)


def test_on_bad_has_two_values() -> None:
    with pytest.raises(DataError, match="on_bad is 'error' or 'skip'"):
        read_rows([{"a": 1}], on_bad="ignore")  # type: ignore[arg-type]
