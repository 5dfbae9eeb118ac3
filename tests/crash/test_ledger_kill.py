"""A writer killed at any moment loses nothing that it was told is saved, and leaves nothing half-written."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from kg.ledger import BATCH, Ledger
from tests.postgres import fresh_database

BASE = "https://example.org/"
KILLS = 10

WRITER = """
import sys
from kg.ledger import Change, Ledger
url, run = sys.argv[1:]
with Ledger.open(url) as ledger:
    for n in range(1_000_000):
        rows = 700 if n % 3 == 2 else n % 4 + 1  # every third sends more than one batch before its commit
        with ledger.write() as tx:
            for part in range(rows):
                wanted = Change("city", f"c{part}", "published", "public", "<urn:a> " * 50, "ilze", note=f"{run} {n} {rows}")
                last = tx.append(wanted)
        print(last.number, flush=True)
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/ledger.db"
    else:
        with fresh_database() as address:
            yield address


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_when_the_writer_is_killed(url: str) -> None:
    Ledger.create(url, BASE).close()
    chance = random.Random(1)
    for run in range(KILLS):
        acknowledged = killed_writer(url, str(run), after_commits=run % 5 + 1, after_seconds=chance.uniform(0, 0.1))
        with Ledger.open(url) as ledger:
            assert acknowledged <= ledger.last_number()
            assert ledger.verify() == ledger.last_number()
            assert ledger.head("city", "c0").published is not None  # type: ignore[union-attr]
    with Ledger.open(url) as ledger:
        assert_transactions_are_whole(ledger)


def killed_writer(url: str, run: str, after_commits: int, after_seconds: float) -> int:
    """Let a process write, kill it some time after so many commits, and return the last number it was told."""
    process = subprocess.Popen([sys.executable, "-c", WRITER, url, run], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(after_commits)]
    time.sleep(after_seconds)
    process.kill()
    lines += process.stdout.readlines()
    process.stdout.close()
    process.wait()
    whole = [line for line in lines if line.endswith("\n")]
    return int(whole[-1])


def assert_transactions_are_whole(ledger: Ledger) -> None:
    """Each row's note says which transaction it came in, and how many rows that had."""
    notes: Counter[str] = Counter()
    number = 0
    while page := ledger.since(number):
        notes.update(row.note for row in page)
        number = page[-1].number
    assert all(count == int(note.split()[2]) for note, count in notes.items())
    assert len({note.split()[0] for note in notes}) == KILLS
    assert max(notes.values()) > BATCH
