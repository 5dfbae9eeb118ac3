"""The passages of all practices in an index on disk: qdrant-edge for vectors, one SQLite file beside it for the rest.

    index/
      register.db     model, layout, marker; which practices are in; how many practices use each word
      points-3/       the engine's folder; a new number when it was made again or optimised

Each passage is a point with its dense vector. A practice's first point also carries its words and word beginnings, taken
from all its passages: a need of several sentences meets a practice as a whole, and one sparse vector per practice
instead of per passage keeps the index small. A change is written to the engine and flushed before the register takes
it over with the marker in one transaction, so that repeating a change after a kill is harmless.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import numpy.typing as npt
import qdrant_edge as engine

from kg.errors import DataFolderInUse, DataFolderUnusable, IndexMismatch
from kg.search.ranking import Filters
from kg.search.text import Passage

LAYOUT = "2"
"""Raised whenever points or register change their form: an index of another layout is made again."""

UNINDEXED_LIMIT = 20_000
"""So many new passages are searched one by one in about 3 ms; beyond, a graph over them is built."""

_MOST_PASSAGES = 0xFFFF
_SPARSE = ("words", "beginnings")
_KEYWORDS = ("practice", "city", "country", "themes_all", "languages", "evidence", "collection", "head")
_FACETS = {"country": "country", "themes": "themes_all", "evidence": "evidence", "languages": "languages"}
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
_OPTIMISE = "import sys, qdrant_edge; s = qdrant_edge.EdgeShard.load(sys.argv[1]); s.optimize(); s.flush(); s.close()"

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Document:
    """A practice as the index takes it.

    `vectors` has one row of length 1 per passage. `words` and `beginnings` are sparse vectors by word number. `shared` is
    stored with every passage and can be filtered by; `facts` once.
    """

    practice: str
    city: str
    revision: int
    passages: Sequence[Passage]
    vectors: Vectors
    words: Mapping[int, float]
    beginnings: Mapping[int, float]
    shared: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Query:
    """One question: a vector of length 1 and two sparse vectors; `themes` bring practices that carry one of them."""

    dense: Sequence[float]
    words: Mapping[int, float]
    beginnings: Mapping[int, float]
    themes: Sequence[str] = ()


@dataclass(frozen=True)
class Candidates:
    """What the lists of one question showed, by practice key: raw signals, the passage of the best dense one, and
    each full list's last value, which no practice outside that list can pass."""

    found: dict[int, dict[str, float]] = field(default_factory=dict)
    points: dict[int, UUID] = field(default_factory=dict)
    bounds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Scored:
    """A practice with all raw signals: cosine of its best passage, words and beginnings as shares of the need's.

    Its themes and cities are kept in memory: matching asks them of hundreds of practices, and reading what is stored
    with as many passages took longer than finding them.
    """

    practice: str
    themes: tuple[str, ...]
    city: str
    partner_cities: tuple[str, ...]
    dense: float
    words: float
    beginnings: float
    point: UUID


class PassageIndex:
    """An index over passages that one process opens; threads may ask while one of them writes."""

    def __init__(self, folder: Path, *, model: str, dimension: int) -> None:
        """Open the index in `folder`, or make an empty one where there is none.

        Raises IndexMismatch when it was made with another model or layout or is damaged, DataFolderInUse when
        another process has it open.

        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with contextlib.closing(PassageIndex(Path(folder) / "index", model="m", dimension=4)) as index:
        ...         index.marker, index.count
        (0, 0)
        """
        self._folder = folder
        self._dimension = dimension
        self._writing = threading.RLock()
        self._optimising: tuple[subprocess.Popen[bytes], Path] | None = None
        self._touched: set[str] = set()
        folder.mkdir(parents=True, exist_ok=True)
        self._register = _Register(folder / "register.db", model=model, dimension=dimension)
        try:
            self._shard = self._open_shard()
        except BaseException:
            self._register.close()
            raise
        self._remove_other_folders()

    # -------------------------------------------------------------------------------- what is in it

    @property
    def marker(self) -> int:
        """Number of the last ledger row that is in the index for good."""
        return int(self._register.get("marker"))

    @property
    def count(self) -> int:
        """How many practices it holds."""
        return self._register.practices

    @property
    def passages(self) -> int:
        """How many passages it holds."""
        return int(self._shard.info().points_count)

    def held(self) -> dict[tuple[str, str], int]:
        """Kind and identifier of each record that is in, with its revision."""
        return self._register.held()

    def kept(self, kind: str) -> dict[str, dict[str, Any]]:
        """The facts kept of all records of a kind."""
        return self._register.kept(kind)

    def practices_of(self, city: str) -> list[str]:
        """The practices whose own city this is."""
        return self._register.practices_of(city)

    def themes(self) -> dict[str, tuple[str, ...]]:
        """The themes that each practice carries."""
        return {practice: themes for practice, themes, _, _ in sorted(self._register.named.values())}

    def cities(self) -> dict[str, str]:
        """The city of each practice."""
        return self._register.cities()

    def using(self, words: Iterable[int]) -> dict[int, int]:
        """How many practices use each of these words; words that none uses are left out."""
        return self._register.using(words)

    # -------------------------------------------------------------------------------------- writing

    def change(
        self,
        *,
        practices: Sequence[Document] = (),
        removed: Iterable[str] = (),
        kept: Sequence[tuple[str, str, int, Mapping[str, Any]]] = (),
        forgotten: Iterable[tuple[str, str]] = (),
        refreshed: Sequence[tuple[str, Mapping[str, Any]]] = (),
        marker: int | None = None,
    ) -> None:
        """Put practices in whole, take others out, and remember how far the ledger was followed.

        `kept` are facts of other records (kind, id, revision, facts), `forgotten` such records that go;
        `refreshed` replaces what is stored with all passages of a practice that stays otherwise as it is.
        """
        with self._writing, _engine_errors():
            self._adopt_when_ready()
            self._register.set("busy", "1")
            gone = list(removed)
            self._write_points(practices, gone, refreshed)
            self._shard.flush()
            self._register.take_over(practices, gone, kept, forgotten, marker)
            if self._optimising:
                self._touched.update(d.practice for d in practices)
                self._touched.update([*gone, *(id for id, _ in refreshed)])

    def _write_points(
        self,
        practices: Sequence[Document],
        removed: Sequence[str],
        refreshed: Sequence[tuple[str, Mapping[str, Any]]],
    ) -> None:
        points = [point for document in practices for point in _points(document)]
        for start in range(0, len(points), 1_000):
            self._shard.update(engine.UpdateOperation.upsert_points(points[start : start + 1_000]))
        names = [document.practice for document in practices] + list(removed)
        fresh: set[Any] = {point.id for point in points}
        for start in range(0, len(names), 1_000):
            leftovers = engine.Filter(
                must=[engine.FieldCondition("practice", match=engine.MatchAny(names[start : start + 1_000]))],
                must_not=[engine.HasIdCondition(fresh)] if fresh else None,
            )
            self._shard.update(engine.UpdateOperation.delete_points_by_filter(leftovers))
        for practice, shared in refreshed:
            self._shard.update(engine.UpdateOperation.set_payload_by_filter(_of_practice(practice), dict(shared)))

    def clear(self) -> None:
        """Forget everything; a kill in between leaves an index that says marker 0."""
        with self._writing, _engine_errors():
            self._stop_optimising()
            self._register.clear(self._next_name())
            self._shard = self._create_shard(self._folder / self._register.get("points"))
            self._remove_other_folders()

    def close(self) -> None:
        """Release files and lock; an optimisation under way is given up and begins anew another time."""
        with self._writing:
            self._stop_optimising()
            self._shard.close()
            self._register.close()

    # --------------------------------------------------------------------------------------- asking

    def candidates(self, queries: Sequence[Query], filters: Filters, depth: int) -> list[Candidates]:
        """For each question the best practices of each signal, `depth` passages or practices a list."""
        if not queries or not self.count:
            return [Candidates() for _ in queries]
        condition = _condition(filters)
        asked = [
            (place, name, request)
            for place, query in enumerate(queries)
            for name, request in self._requests(query, condition, filters, depth)
        ]
        with _engine_errors():
            lists = self._shard.query_batch(engine.QueryBatchRequest([request for _, _, request in asked]))
        answers = [Candidates() for _ in queries]
        for (place, name, _), points in zip(asked, lists, strict=True):
            signal = "dense" if name == "themed" else name
            _take_list(answers[place], signal, points)
            if name != "themed" and len(points) == depth:
                answers[place].bounds[signal] = points[-1].score
        return answers

    def _requests(
        self, query: Query, condition: engine.Filter | None, filters: Filters, depth: int
    ) -> Iterator[tuple[str, engine.QueryRequest]]:
        yield "dense", _nearest("dense", list(query.dense), condition, depth)
        for name in _SPARSE:
            weights: Mapping[int, float] = getattr(query, name)
            if weights:
                yield name, _nearest(name, _sparse(weights), condition, depth)
        if query.themes:
            carrying = _condition(filters, carrying=query.themes)
            yield "themed", _nearest("dense", list(query.dense), carrying, depth)

    def score(
        self, queries: Sequence[Query], candidates: Sequence[Candidates], keys: Sequence[Sequence[int]]
    ) -> list[list[Scored]]:
        """All signals of these candidates for each question, computed exactly; practices that have gone are left out.

        What a list showed is exact already: a better passage of the same practice would stand before. Asked for are
        the signals of practices that a full list left out.
        """
        asked = [
            (place, name, request)
            for place, (query, known, wanted) in enumerate(zip(queries, candidates, keys, strict=True))
            for name, request in _missing(query, known, wanted)
        ]
        with _engine_errors():
            lists = self._shard.query_batch(engine.QueryBatchRequest([request for _, _, request in asked]))
        for (place, name, _), points in zip(asked, lists, strict=True):
            _take_list(candidates[place], name, points)
        return [
            [one for key in wanted if (one := self._scored(known, key)) is not None]
            for known, wanted in zip(candidates, keys, strict=True)
        ]

    def _scored(self, known: Candidates, key: int) -> Scored | None:
        """A candidate with its signals; None when another thread has just taken it out."""
        named, point, signals = self._register.named.get(key), known.points.get(key), known.found[key]
        if named is None or point is None:
            return None
        words, beginnings = (signals.get(name, 0.0) for name in _SPARSE)
        return Scored(*named, signals["dense"], words, beginnings, point)

    def payloads(self, points: Iterable[UUID]) -> dict[UUID, dict[str, Any]]:
        """Everything stored with these passages; each also has the facts stored once for its practice."""
        wanted = list(dict.fromkeys(points))
        heads = [UUID(int=point.int >> 16 << 16) for point in wanted]
        stored = {record.id: record.payload or {} for record in self._retrieve([*wanted, *heads], True)}
        return {
            point: {**stored[head], **stored[point]}
            for point, head in zip(wanted, heads, strict=True)
            if point in stored and head in stored
        }

    def vectors_of(self, practice: str) -> tuple[Vectors, dict[str, list[int]], dict[str, Any]] | None:
        """A practice's passages as rows, the numbers of its words and beginnings, and its facts; None when not in."""
        passages = self._register.passages(practice)
        points: list[Any] = [_point_id(practice, passages, n) for n in range(passages)]
        with _engine_errors():
            records: list[Any] = self._shard.retrieve(points, with_payload=True, with_vector=True)
        head = next((record for record in records if record.id.int & _MOST_PASSAGES == 0), None)
        if head is None:
            return None
        rows = np.array([record.vector["dense"] for record in records], np.float32)
        numbers = {name: list(head.vector[name].indices) if name in head.vector else [] for name in _SPARSE}
        return rows, numbers, head.payload or {}

    def facets(self, filters: Filters) -> dict[str, dict[str, int]]:
        """How many practices that meet the filters have each value, most frequent first, equal ones by name."""
        condition = _condition(filters, heads=True)
        counts = {}
        with _engine_errors():
            for name, key in _FACETS.items():
                hits = self._shard.facet(engine.FacetRequest(key, limit=1_000, exact=True, filter=condition)).hits
                ordered = sorted(((str(hit.value), hit.count) for hit in hits), key=lambda pair: (-pair[1], pair[0]))
                counts[name] = dict(ordered)
        return counts

    def _retrieve(self, points: Sequence[UUID], payload: bool | list[str]) -> list[Any]:
        with _engine_errors():
            return self._shard.retrieve(list(points), with_payload=payload, with_vector=False)

    # ----------------------------------------------------------------------------------- optimising

    def optimise_when_due(self) -> None:
        """Begin to optimise a copy when more than 20,000 passages are new since the last time."""
        if self.passages - int(self._register.get("optimised")) > UNINDEXED_LIMIT:
            self.optimise(wait=False)

    def optimise(self, *, wait: bool = True) -> None:
        """Build the engine's graph over all passages, in a child process on a copy of the folder.

        The engine holds the interpreter's lock while it optimises and would stop every thread. What is written
        meanwhile is copied over before the new folder takes the old one's place. Without `wait` that happens at the
        next change after the child has finished.
        """
        with self._writing, _engine_errors():
            if not self._optimising:
                self._shard.flush()
                copy = self._folder / self._next_name()
                shutil.copytree(self._points, copy, dirs_exist_ok=True)
                command = [sys.executable, "-c", _OPTIMISE, str(copy)]
                self._optimising = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL), copy
                self._touched.clear()
            if wait:
                self._optimising[0].wait()
                self._adopt_when_ready()

    def _adopt_when_ready(self) -> None:
        if not self._optimising or self._optimising[0].poll() is None:
            return
        child, copy = self._optimising
        self._optimising = None
        if child.returncode != 0:
            shutil.rmtree(copy, ignore_errors=True)
            return
        new = engine.EdgeShard.load(str(copy))
        for practice in sorted(self._touched):
            new.update(engine.UpdateOperation.delete_points_by_filter(_of_practice(practice)))
            current = _everything(self._shard, _of_practice(practice))
            if current:
                new.update(engine.UpdateOperation.upsert_points(current))
        new.flush()
        self._register.set("points", copy.name, optimised=str(new.info().points_count))
        # The old one is released when the last question on it has been answered.
        self._shard = new
        self._remove_other_folders()

    def _stop_optimising(self) -> None:
        if self._optimising:
            self._optimising[0].kill()
            self._optimising[0].wait()
            self._optimising = None

    # -------------------------------------------------------------------------------------- folders

    @property
    def _points(self) -> Path:
        return self._folder / self._register.get("points")

    def _next_name(self) -> str:
        return f"points-{int(self._register.get('points').partition('-')[2]) + 1}"

    def _open_shard(self) -> engine.EdgeShard:
        """The engine's folder, opened and compared with the register, or made."""
        if not self._points.exists() and not self._register.practices:
            return self._create_shard(self._points)
        try:
            with _engine_errors():
                shard = engine.EdgeShard.load(str(self._points))
        except IndexMismatch:
            # A kill while an empty index was made leaves half a folder, with nothing in it to lose.
            if self._register.practices:
                raise
            shutil.rmtree(self._points)
            return self._create_shard(self._points)
        # After a kill the two may differ; the rows that follow the marker are applied again and mend it.
        if not self._register.busy and shard.info().points_count != self._register.total_passages():
            shard.close()
            raise IndexMismatch("the search index is damaged: it holds other passages than its register says")
        return shard

    def _create_shard(self, folder: Path) -> engine.EdgeShard:
        config = engine.EdgeConfig(
            vectors={
                "dense": engine.EdgeVectorParams(
                    size=self._dimension,
                    distance=engine.Distance.Cosine,
                    memory=engine.Memory.Cold,
                    quantization_config=engine.ScalarQuantizationConfig(
                        type=engine.ScalarType.Int8, quantile=0.99, memory=engine.Memory.Pinned
                    ),
                )
            },
            sparse_vectors={name: engine.EdgeSparseVectorParams() for name in _SPARSE},
        )
        shard = engine.EdgeShard.create(str(folder), config)
        for name in _KEYWORDS:
            shard.update(engine.UpdateOperation.create_field_index(name, engine.PayloadSchemaType.Keyword))
        shard.update(engine.UpdateOperation.create_field_index("population", engine.PayloadSchemaType.Integer))
        return shard

    def _remove_other_folders(self) -> None:
        for other in self._folder.glob("points-*"):
            if other != self._points:
                shutil.rmtree(other, ignore_errors=True)


def discard_index(folder: Path) -> None:
    """Throw an index away, so that it is made anew.

    >>> discard_index(Path("/nonexistent"))
    """
    shutil.rmtree(folder, ignore_errors=True)


class _Register:
    """The SQLite file beside the engine's folder."""

    def __init__(self, path: Path, *, model: str, dimension: int) -> None:
        self._lock = threading.RLock()
        self._meta: dict[str, str] = {}
        fresh = not path.exists()
        if fresh and any(path.parent.glob("points-*")):
            raise IndexMismatch("the search index is damaged: its register is missing")
        try:
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._begin(fresh, {"layout": LAYOUT, "model": model, "dimension": str(dimension)})
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise IndexMismatch(f"the search index is damaged: {error}") from error
        except IndexMismatch:
            self._db.close()
            raise

    def _begin(self, fresh: bool, expected: Mapping[str, str]) -> None:
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        if fresh:
            with self._transaction():
                for statement in _SCHEMA.split(";"):
                    self._db.execute(statement)
                start = {**expected, "marker": "0", "points": "points-1", "busy": "", "optimised": "0"}
                self._db.executemany("INSERT INTO meta VALUES (?, ?)", start.items())
        self._meta = dict(self._db.execute("SELECT name, value FROM meta"))
        for name, value in expected.items():
            if self._meta.get(name) != value:
                raise IndexMismatch(f"the search index was made with another {name} and has to be made again")
        rows = self._db.execute("SELECT id, passages, themes, city, partners FROM practice")
        self.named = {_key(id, passages): _named(id, *words) for id, passages, *words in rows}

    @property
    def practices(self) -> int:
        return len(self.named)

    def close(self) -> None:
        with self._lock:
            self._db.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock, _engine_errors():
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
        return self._meta[name]

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
        with self._lock, _engine_errors():
            return self._db.execute(statement, values).fetchall()

    def take_over(
        self,
        practices: Sequence[Document],
        removed: Sequence[str],
        kept: Sequence[tuple[str, str, int, Mapping[str, Any]]],
        forgotten: Iterable[tuple[str, str]],
        marker: int | None,
    ) -> None:
        """Practices that came and went, other records' facts and the marker, in one transaction."""
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
            self._put({"busy": "", **({"marker": str(marker)} if marker is not None else {})})
        for id, passages in before:
            self.named.pop(_key(id, passages), None)
        self.named.update(
            {_key(d.practice, len(d.passages)): _named(d.practice, _themes(d), d.city, _partners(d)) for d in practices}
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

    def clear(self, points: str) -> None:
        with self._transaction():
            for table in ("held", "practice", "word"):
                self._db.execute(f"DELETE FROM {table}")  # noqa: S608
            self._put({"marker": "0", "points": points, "busy": "", "optimised": "0"})
        self.named = {}


# ---------------------------------------------------------------------------------------------- points


def _point_id(practice: str, passages: int, place: int) -> UUID:
    """A passage's identifier: a hash of the practice, how many passages it has, and which this is.

    So any point of a practice tells the identifiers of all others, and of the first, without a look-up.
    """
    digest = hashlib.blake2b(practice.encode(), digest_size=12).digest()
    return UUID(bytes=digest + passages.to_bytes(2, "big") + place.to_bytes(2, "big"))


def _key(practice: str, passages: int) -> int:
    """What the identifiers of all points of a practice begin with."""
    return _point_id(practice, passages, 0).int >> 16


_Named = tuple[str, tuple[str, ...], str, tuple[str, ...]]
"""A practice, its themes, its city, its partner cities."""


def _named(practice: str, themes: str, city: str, partners: str) -> _Named:
    """What is kept of a practice in memory; the same lists and cities, which many share, once."""
    return practice, _split(themes), sys.intern(city), _split(partners)


@lru_cache(maxsize=65_536)
def _split(listed: str) -> tuple[str, ...]:
    return tuple(map(sys.intern, listed.split()))


def _themes(document: Document) -> str:
    return " ".join(document.facts.get("themes", ()))


def _partners(document: Document) -> str:
    return " ".join(document.facts.get("partner_cities", ()))


def _points(document: Document) -> Iterator[engine.Point]:
    count = len(document.passages)
    if count > _MOST_PASSAGES or len(document.vectors) != count:
        raise ValueError(f"a practice has at most {_MOST_PASSAGES} passages, with a vector each, not {count}")
    for place, (passage, vector) in enumerate(zip(document.passages, document.vectors, strict=True)):
        vectors: dict[str, Any] = {"dense": vector.tolist()}
        payload = {
            **document.shared,
            "practice": document.practice,
            "city": document.city,
            "part": passage.part,
            "language": passage.language,
            "text": passage.text,
        }
        if place == 0:
            vectors |= {name: _sparse(getattr(document, name)) for name in _SPARSE if getattr(document, name)}
            # A keyword: the engine does not match booleans.
            payload |= {**document.facts, "revision": document.revision, "head": "yes"}
        yield engine.Point(_point_id(document.practice, count, place), vectors, payload)


def _packed(document: Document) -> bytes:
    """The numbers of a practice's words and beginnings, to be taken away when it changes."""
    return np.array([*document.words, *document.beginnings], np.uint32).tobytes()


def _everything(shard: engine.EdgeShard, condition: engine.Filter) -> list[engine.Point]:
    request = engine.ScrollRequest(limit=_MOST_PASSAGES, filter=condition, with_payload=True, with_vector=True)
    records, _ = shard.scroll(request)
    return [engine.Point(record.id, record.vector or {}, record.payload) for record in records]


# --------------------------------------------------------------------------------------------- queries


def _nearest(
    name: str, vector: Any, condition: engine.Filter | None, limit: int, *, exact: bool = False
) -> engine.QueryRequest:
    params = engine.SearchParams(exact=exact, quantization=engine.QuantizationSearchParams(ignore=exact, rescore=True))
    return engine.QueryRequest(
        limit=limit,
        query=engine.Query.Nearest(vector, using=name),
        filter=condition,
        params=params,
        with_payload=False,
    )


def _sparse(weights: Mapping[int, float]) -> engine.SparseVector:
    numbers = sorted(weights)
    return engine.SparseVector(numbers, [weights[number] for number in numbers])


def _of_practice(practice: str) -> engine.Filter:
    return engine.Filter(must=[engine.FieldCondition("practice", match=engine.MatchValue(practice))])


def _condition(filters: Filters, *, carrying: Sequence[str] = (), heads: bool = False) -> engine.Filter | None:
    wanted = {
        "country": filters.countries,
        "themes_all": filters.themes,
        "languages": filters.languages,
        "collection": filters.collections,
        "practice": filters.practices,
    }
    must: list[Any] = [_among(key, values) for key, values in wanted.items() if values]
    if carrying:
        must.append(_among("themes_all", carrying))
    if heads:
        must.append(_among("head", ["yes"]))
    if filters.population_min is not None or filters.population_max is not None:
        inhabitants = engine.RangeFloat(gte=filters.population_min, lte=filters.population_max)
        must.append(engine.FieldCondition("population", range=inhabitants))
    unwanted = {"city": filters.exclude_cities, "practice": filters.exclude_practices}
    must_not: list[Any] = [_among(key, values) for key, values in unwanted.items() if values]
    return engine.Filter(must=must or None, must_not=must_not or None) if must or must_not else None


def _among(key: str, values: Iterable[str]) -> engine.FieldCondition:
    return engine.FieldCondition(key, match=engine.MatchAny(sorted(values)))


def _missing(query: Query, known: Candidates, wanted: Sequence[int]) -> Iterator[tuple[str, engine.QueryRequest]]:
    """Questions for the signals that lists cut short did not show."""
    for name in ("dense", *_SPARSE):
        complete = name != "dense" and name not in known.bounds
        keys = [] if complete else [key for key in wanted if name not in known.found[key]]
        # Words stand with a practice's first passage alone.
        points: set[Any] = {
            UUID(int=key << 16 | n) for key in keys for n in range(key & _MOST_PASSAGES if name == "dense" else 1)
        }
        if points:
            vector = list(query.dense) if name == "dense" else _sparse(getattr(query, name))
            among = engine.Filter(must=[engine.HasIdCondition(points)])
            yield name, _nearest(name, vector, among, len(points), exact=True)


def _take_list(answer: Candidates, name: str, points: Sequence[Any]) -> None:
    """Note what a list showed, best first: of each practice its best passage, the earlier where two are equal."""
    for point in points:
        key = point.id.int >> 16
        signals = answer.found.setdefault(key, {})
        better = point.score > signals.get(name, -2.0)
        if better:
            signals[name] = point.score
        known = answer.points.get(key)
        if name == "dense" and (better or known is None or (point.score == signals[name] and point.id.int < known.int)):
            answer.points[key] = point.id


# ---------------------------------------------------------------------------------------------- errors


@contextlib.contextmanager
def _engine_errors() -> Iterator[None]:
    """The engine raises plain Exception for everything, told apart by its words alone; SQLite has classes."""
    try:
        yield
    except (sqlite3.Error, Exception) as error:
        if type(error) is not Exception and not isinstance(error, sqlite3.Error):
            raise
        if "WouldBlock" in str(error):
            raise DataFolderInUse from error
        if "No space left" in str(error) or "disk is full" in str(error):
            raise DataFolderUnusable("the search index cannot be written: the disk is full. Make room.") from error
        raise IndexMismatch("the search index is damaged and has to be made again") from error


def _batches(items: Sequence[Any], size: int) -> Iterator[tuple[Any, ...]]:
    rest = iter(items)
    return iter(lambda: tuple(itertools.islice(rest, size)), ())


def _marks(values: Sequence[Any]) -> str:
    return ", ".join("?" * len(values))
