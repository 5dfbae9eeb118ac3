"""What an index knows without asking its engine: model, marker, which practices are in, how many use each word."""

from __future__ import annotations

import contextlib
import itertools
import json
import sqlite3
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from kg.errors import DataFolderUnusable, IndexMismatch
from kg.search.port import LAYOUT, Document, Named, key_of

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS held (
    kind TEXT NOT NULL, id TEXT NOT NULL, revision INTEGER NOT NULL, facts TEXT NOT NULL, PRIMARY KEY (kind, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS practice (
    id TEXT PRIMARY KEY, revision INTEGER NOT NULL, city TEXT NOT NULL, passages INTEGER NOT NULL, themes TEXT NOT NULL,
    partners TEXT NOT NULL, words BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS practice_city ON practice (city);
CREATE TABLE IF NOT EXISTS word (id INTEGER PRIMARY KEY, practices INTEGER NOT NULL);
"""


class Register:
    """The SQLite file of an index: model, layout, marker, and what is known of practices without asking the engine.

    `points` names where the engine keeps the points, for a new register. Raises IndexMismatch for one of another model,
    layout or dimension and for a damaged one.
    """

    def __init__(self, path: Path, *, model: str, dimension: int, points: str) -> None:
        self._lock = threading.RLock()
        self._meta: dict[str, str] = {}
        fresh = not path.exists()
        if fresh and any(path.parent.glob("points-*")):
            raise IndexMismatch("the search index is damaged: its register is missing")
        try:
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._begin(fresh, {"layout": LAYOUT, "model": model, "dimension": str(dimension)}, points)
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise IndexMismatch(f"the search index is damaged: {error}") from error
        except IndexMismatch:
            self._db.close()
            raise

    def _begin(self, fresh: bool, expected: Mapping[str, str], points: str) -> None:
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        if fresh:
            with self._transaction():
                for statement in _SCHEMA.split(";"):
                    self._db.execute(statement)
                start = {**expected, "marker": "0", "points": points, "busy": "", "optimised": "0"}
                self._db.executemany("INSERT INTO meta VALUES (?, ?)", start.items())
        self._meta = dict(self._db.execute("SELECT name, value FROM meta"))
        for name, value in expected.items():
            if self._meta.get(name) != value:
                raise IndexMismatch(f"the search index was made with another {name} and has to be made again")
        rows = self._db.execute("SELECT id, passages, themes, city, partners FROM practice")
        self.named = {key_of(id, passages): _named(id, *words) for id, passages, *words in rows}

    @property
    def practices(self) -> int:
        return len(self.named)

    def close(self) -> None:
        with self._lock:
            self._db.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock, _sqlite_errors():
            self._db.execute("BEGIN IMMEDIATE")
            before = dict(self._meta)
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                self._meta = before
                # A full disk makes SQLite roll back by itself.
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def get(self, name: str) -> str:
        """A note; empty when there is none of this name."""
        return self._meta.get(name, "")

    @property
    def busy(self) -> bool:
        """Whether the last change was begun and not finished."""
        return bool(self._meta["busy"])

    def set(self, name: str, value: str, **more: str) -> None:
        with self._transaction():
            self._put({name: value, **more})

    def _put(self, values: Mapping[str, str]) -> None:
        self._db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", values.items())
        self._meta.update(values)

    def held(self) -> dict[tuple[str, str], int]:
        rows = self._all("SELECT kind, id, revision FROM held UNION ALL SELECT 'practice', id, revision FROM practice")
        return {(kind, id): revision for kind, id, revision in rows}

    def kept(self, kind: str) -> dict[str, dict[str, Any]]:
        rows = self._all("SELECT id, facts FROM held WHERE kind = ? ORDER BY id", kind)
        return {id: json.loads(facts) for id, facts in rows}

    def cities(self) -> dict[str, str]:
        return dict(self._all("SELECT id, city FROM practice"))

    def practices_of(self, city: str) -> list[str]:
        return [id for (id,) in self._all("SELECT id FROM practice WHERE city = ? ORDER BY id", city)]

    def passages(self, practice: str) -> int:
        return next((count for (count,) in self._all("SELECT passages FROM practice WHERE id = ?", practice)), 0)

    def total_passages(self) -> int:
        return int(self._all("SELECT coalesce(sum(passages), 0) FROM practice")[0][0])

    def using(self, words: Iterable[int]) -> dict[int, int]:
        found: dict[int, int] = {}
        for some in _batches(sorted(set(words)), 500):
            found.update(self._all(f"SELECT id, practices FROM word WHERE id IN ({_marks(some)})", *some))  # noqa: S608
        return found

    def _all(self, statement: str, *values: Any) -> list[Any]:
        with self._lock, _sqlite_errors():
            return self._db.execute(statement, values).fetchall()

    def take_over(
        self,
        practices: Sequence[Document],
        removed: Sequence[str],
        kept: Sequence[tuple[str, str, int, Mapping[str, Any]]],
        forgotten: Iterable[tuple[str, str]],
        marker: int | None,
        **notes: str,
    ) -> None:
        """Practices that came and went, other records' facts, the marker and further notes, in one transaction."""
        changed = [*(document.practice for document in practices), *removed]
        rows = [(kind, id, revision, json.dumps(facts)) for kind, id, revision, facts in kept]
        with self._transaction():
            self._count_words(changed, -1)
            before = [(id, self.passages(id)) for id in changed]
            self._db.executemany("DELETE FROM practice WHERE id = ?", [(id,) for id in changed])
            self._db.executemany(
                "INSERT INTO practice VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (d.practice, d.revision, d.city, len(d.passages), _themes(d), _partners(d), _packed(d))
                    for d in practices
                ],
            )
            self._count_words([document.practice for document in practices], +1)
            self._db.executemany("INSERT OR REPLACE INTO held VALUES (?, ?, ?, ?)", rows)
            self._db.executemany("DELETE FROM held WHERE kind = ? AND id = ?", list(forgotten))
            self._put({"busy": "", **({"marker": str(marker)} if marker is not None else {}), **notes})
        for id, passages in before:
            self.named.pop(key_of(id, passages), None)
        self.named.update(
            {
                key_of(d.practice, len(d.passages)): _named(d.practice, _themes(d), d.city, _partners(d))
                for d in practices
            }
        )

    def _count_words(self, practices: Sequence[str], sign: int) -> None:
        """Add (or take away) one for each word of these practices, as far as they are in."""
        found = []
        for some in _batches(practices, 500):
            rows = self._db.execute(f"SELECT words FROM practice WHERE id IN ({_marks(some)})", some)  # noqa: S608
            found += [np.frombuffer(words, np.uint32) for (words,) in rows]
        if not found:
            return
        numbers, counts = np.unique(np.concatenate(found), return_counts=True)
        self._db.executemany(
            "INSERT INTO word VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET practices = practices + excluded.practices",
            zip(numbers.tolist(), (sign * counts).tolist(), strict=True),
        )
        if sign < 0:
            self._db.execute("DELETE FROM word WHERE practices <= 0")

    def clear(self, points: str, **notes: str) -> None:
        with self._transaction():
            for table in ("held", "practice", "word"):
                self._db.execute(f"DELETE FROM {table}")  # noqa: S608
            self._put({"marker": "0", "points": points, "busy": "", "optimised": "0", **notes})
        self.named = {}


def _named(practice: str, themes: str, city: str, partners: str) -> Named:
    """What is kept of a practice in memory; the same lists and cities, which many share, once."""
    return Named(practice, _split(themes), sys.intern(city), _split(partners))


@lru_cache(maxsize=65_536)
def _split(listed: str) -> tuple[str, ...]:
    return tuple(map(sys.intern, listed.split()))


def _themes(document: Document) -> str:
    return " ".join(document.facts.get("themes", ()))


def _partners(document: Document) -> str:
    return " ".join(document.facts.get("partner_cities", ()))


def _packed(document: Document) -> bytes:
    """The numbers of a practice's words and beginnings, to be taken away when it changes."""
    return np.array([*document.words, *document.beginnings], np.uint32).tobytes()


@contextlib.contextmanager
def _sqlite_errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        if "disk is full" in str(error):
            raise DataFolderUnusable("the search index cannot be written: the disk is full. Make room.") from error
        raise IndexMismatch("the search index is damaged and has to be made again") from error


def _batches(items: Sequence[Any], size: int) -> Iterator[tuple[Any, ...]]:
    rest = iter(items)
    return iter(lambda: tuple(itertools.islice(rest, size)), ())


def _marks(values: Sequence[Any]) -> str:
    return ", ".join("?" * len(values))
