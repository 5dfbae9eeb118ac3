"""Packed files are read within the limits that plain ones have."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from kg.errors import TooLarge, UnreadableInput
from kg.exchange import importing
from kg.exchange.importing import read_records
from kg.vocabulary import DEFAULT_BASE
from ontology import path as shipped


def packed(folder: Path, name: str, content: bytes) -> Path:
    (folder / name).write_bytes(gzip.compress(content))
    return folder / name


@pytest.mark.parametrize("ending", [".ttl.gz", ".TTL.GZ"])
def test_a_packed_file_has_the_records_of_the_plain_one(tmp_path: Path, ending: str) -> None:
    plain = shipped("examples/valid/practice.ttl")
    file = packed(tmp_path, f"two.dots{ending}", plain.read_bytes())
    assert [row.record for row in read_records(file, DEFAULT_BASE)] == [
        row.record for row in read_records(plain, DEFAULT_BASE)
    ]


def test_no_more_is_unpacked_than_a_file_may_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred megabytes of blanks are a hundred kilobytes packed: the limit is on what comes out."""
    monkeypatch.setattr(importing, "FILE_LIMIT_BYTES", 1_000_000)
    file = packed(tmp_path, "bomb.jsonl.gz", b" " * 5_000_000)
    assert file.stat().st_size < 10_000
    with pytest.raises(TooLarge, match=r"bomb\.jsonl\.gz"):
        list(read_records(file, DEFAULT_BASE))
    exact = packed(tmp_path, "exact.jsonl.gz", b" " * 1_000_000)
    assert list(read_records(exact, DEFAULT_BASE)) == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"plain text",
        gzip.compress(b"{}" * 9_000)[:-9],
        gzip.compress(b"{}") + b"rest",
        b"\x1f\x8b\x08" + b"x" * 50,
    ],
)
def test_what_is_no_gzip_is_told_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.json.gz").write_bytes(content)
    with pytest.raises(UnreadableInput, match=r"x\.json\.gz"):
        list(read_records(tmp_path / "x.json.gz", DEFAULT_BASE))


@pytest.mark.parametrize("name", ["x.gz", "x.xls.gz", ".gz", "x.nq.gz.gz", "x"])
def test_the_ending_below_gz_tells_the_format(tmp_path: Path, name: str) -> None:
    file = packed(tmp_path, name, b"{}")
    with pytest.raises(UnreadableInput, match="the ending tells the format"):
        list(read_records(file, DEFAULT_BASE))
