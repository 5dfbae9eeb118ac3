"""The passages of all practices in an index on disk: qdrant-edge for vectors, one SQLite file beside it for the rest.

    index/
      register.db     model, layout, marker; which practices are in; how many practices use each word
      points-3/       the engine's folder; a new number when it was made again or optimised

A change is written to the engine and flushed before the register takes it over with the marker in one transaction, so that
repeating a change after a kill is harmless.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import qdrant_edge as engine

from kg.errors import DataFolderInUse, DataFolderUnusable, IndexMismatch
from kg.search.port import (
    KEYWORDS,
    MOST_PASSAGES,
    SPARSE,
    Condition,
    Document,
    IndexOfPoints,
    Question,
    SearchIndex,
    Stored,
    points_of,
)
from kg.search.register import Register

UNINDEXED_LIMIT = 20_000
"""So many new passages are searched one by one in about 3 ms; beyond, a graph over them is built."""

_OPTIMISE = "import sys, qdrant_edge; s = qdrant_edge.EdgeShard.load(sys.argv[1]); s.optimize(); s.flush(); s.close()"


class PassageIndex(IndexOfPoints):
    """A `SearchIndex` with qdrant-edge that one process opens; threads may ask while one of them writes."""

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
        self._register = Register(folder / "register.db", model=model, dimension=dimension, points="points-1")
        try:
            self._shard = self._open_shard()
        except BaseException:
            self._register.close()
            raise
        self._remove_other_folders()

    # -------------------------------------------------------------------------------- what is in it

    @property
    def passages(self) -> int:
        """How many passages it holds."""
        return int(self._shard.info().points_count)

    def look(self) -> int:
        """The marker; the folder has one owner, so that nobody else changes what is in it."""
        return self.marker

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
        """See `SearchIndex`."""
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

    def _lists(self, questions: Sequence[Question]) -> Sequence[Sequence[Any]]:
        with _engine_errors():
            return self._shard.query_batch(engine.QueryBatchRequest([_request(one) for one in questions]))

    def _stored(self, points: Sequence[UUID], *, vectors: bool = False) -> list[Stored]:
        with _engine_errors():
            records: list[Any] = self._shard.retrieve(list(points), with_payload=True, with_vector=vectors)
        return [_read_record(record) for record in records]

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
            sparse_vectors={name: engine.EdgeSparseVectorParams() for name in SPARSE},
        )
        shard = engine.EdgeShard.create(str(folder), config)
        for name in KEYWORDS:
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


class InProcess:
    """Indexes in folders of their own, each with its engine inside this process."""

    suffix = ""

    def open(self, folder: Path, *, model: str, dimension: int, beside: bool = False) -> SearchIndex:
        """See `kg.search.port.Indexes`."""
        return PassageIndex(folder, model=model, dimension=dimension)

    def discard(self, folder: Path) -> None:
        """See `kg.search.port.Indexes`."""
        discard_index(folder)


IN_PROCESS = InProcess()


# ---------------------------------------------------------------------------------------------- points


def _points(document: Document) -> Iterator[engine.Point]:
    for id, dense, sparse, payload in points_of(document):
        vectors: dict[str, Any] = {"dense": dense, **{name: _sparse(weights) for name, weights in sparse.items()}}
        yield engine.Point(id, vectors, payload)


def _read_record(record: Any) -> Stored:
    vectors = record.vector or {}
    sparse = {name: vectors[name].indices for name in SPARSE if name in vectors}
    return Stored(record.id, record.payload or {}, vectors.get("dense", ()), sparse)


def _everything(shard: engine.EdgeShard, condition: engine.Filter) -> list[engine.Point]:
    request = engine.ScrollRequest(limit=MOST_PASSAGES, filter=condition, with_payload=True, with_vector=True)
    records, _ = shard.scroll(request)
    return [engine.Point(record.id, record.vector or {}, record.payload) for record in records]


# --------------------------------------------------------------------------------------------- queries


def _request(question: Question) -> engine.QueryRequest:
    vector: Any = question.vector
    quantization = engine.QuantizationSearchParams(ignore=question.exact, rescore=True)
    return engine.QueryRequest(
        limit=question.limit,
        query=engine.Query.Nearest(
            _sparse(vector) if isinstance(vector, Mapping) else list(vector), using=question.using
        ),
        filter=_filter(question.condition),
        params=engine.SearchParams(exact=question.exact, quantization=quantization),
        with_payload=False,
    )


def _sparse(weights: Mapping[int, float]) -> engine.SparseVector:
    numbers = sorted(weights)
    return engine.SparseVector(numbers, [weights[number] for number in numbers])


def _of_practice(practice: str) -> engine.Filter:
    return engine.Filter(must=[engine.FieldCondition("practice", match=engine.MatchValue(practice))])


def _filter(condition: Condition) -> engine.Filter | None:
    must: list[Any] = [_among(key, values) for key, values in condition.wanted().items()]
    if condition.carrying:
        must.append(_among("themes_all", condition.carrying))
    filters = condition.filters
    if filters.population_min is not None or filters.population_max is not None:
        inhabitants = engine.RangeFloat(gte=filters.population_min, lte=filters.population_max)
        must.append(engine.FieldCondition("population", range=inhabitants))
    if condition.points:
        points: set[Any] = set(condition.points)
        must.append(engine.HasIdCondition(points))
    must_not: list[Any] = [_among(key, values) for key, values in condition.unwanted().items()]
    return engine.Filter(must=must or None, must_not=must_not or None) if must or must_not else None


def _among(key: str, values: Iterable[str]) -> engine.FieldCondition:
    return engine.FieldCondition(key, match=engine.MatchAny(sorted(values)))


# ---------------------------------------------------------------------------------------------- errors


@contextlib.contextmanager
def _engine_errors() -> Iterator[None]:
    """The engine raises plain Exception for everything, told apart by its words alone."""
    try:
        yield
    except Exception as error:
        if type(error) is not Exception:
            raise
        if "WouldBlock" in str(error):
            raise DataFolderInUse from error
        if "No space left" in str(error):
            raise DataFolderUnusable("the search index cannot be written: the disk is full. Make room.") from error
        raise IndexMismatch("the search index is damaged and has to be made again") from error
