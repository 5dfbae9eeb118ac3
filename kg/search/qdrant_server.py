"""The passages of all practices at a Qdrant server or cluster; a register in the data folder says what was given to it.

Every index has a collection of its own, with a random end to its name, so that no two data folders ever share one. In it
stands one point that is no passage, the note: layout, model, dimension, marker, and the mark of the last change. A change is
written to the server, then the note, then the register. Where note and register differ (the server was emptied, or set back
to an older snapshot), the index begins anew in a new collection and is filled from the ledger. After a kill in
between, the change is repeated: points have fixed identifiers, so writing them twice does no harm.

One alias, the name that was set, leads other programs to the collection in use: it moves in one step when an index takes
another's place. Our own questions go to the collection itself, so that in that moment too a question's vector and the
passages it meets are of one model.
"""

from __future__ import annotations

import contextlib
import logging
import re
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit
from uuid import UUID, uuid4

from kg.errors import Busy, DataFolderUnusable, IndexMismatch, KgError, quoted
from kg.search.port import (
    KEYWORDS,
    LAYOUT,
    SPARSE,
    Condition,
    Document,
    Hit,
    IndexOfPoints,
    Question,
    SearchIndex,
    Stored,
    points_of,
)
from kg.search.register import Register

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

FIRST_PAUSE_SECONDS = 0.1
"""Wait before a request is sent again; three times as long each time after."""

QUESTIONS_AT_ONCE = 100
READ_AT_ONCE = 1_000

_NOTE = UUID(int=0)
_ADDRESS = re.compile(r"https?://[^\s\x00-\x1f<>\"{}|\\^`@?#/]+(/[^\s\x00-\x1f<>\"{}|\\^`@?#]*)?")
_PASSING = (429, 502, 503, 504)
_T = TypeVar("_T")
_log = logging.getLogger(__name__)


class ServerAway(Busy):
    """The search engine's server could not be reached or broke off; the same request may be sent again."""


@dataclass(frozen=True)
class QdrantServer:
    """A server or cluster, and how collections are laid out there. One of the two `kg.search.port.Indexes`.

    `url` is the address of its REST interface. `name` is the alias of the collection in use and begins the names of
    collections. `shards`, `replicas` and `write_consistency` (replicas that must have taken a write before it counts)
    hold for collections made from now on; `read_consistency` is how many replicas a question asks.
    `batch` points go in one request; a request that finds nobody is sent again `retries` times.

    Raises DataFolderUnusable for values that cannot be.

    >>> QdrantServer("qdrant.internal:6333")
    Traceback (most recent call last):
    kg.errors.DataFolderUnusable: the search engine's address is to be like https://host:6333, not 'qdrant.internal:6333'
    """

    url: str
    api_key: str | None = field(default=None, repr=False)
    name: str = "mentorgraph"
    shards: int = 1
    replicas: int = 1
    write_consistency: int = 1
    read_consistency: int = 1
    batch: int = 500
    timeout_seconds: float = 30.0
    retries: int = 2

    suffix = "-at-server"

    def __post_init__(self) -> None:
        try:
            usable = _ADDRESS.fullmatch(self.url) is not None and urlsplit(self.url).port != 0
        except ValueError:  # the port is no number
            usable = False
        if not usable:
            shown = quoted(self.url if "@" not in self.url else "an address with a password in it")
            raise DataFolderUnusable(f"the search engine's address is to be like https://host:6333, not {shown}")
        if max(self.write_consistency, self.read_consistency) > self.replicas:
            raise DataFolderUnusable(
                f"a search index with {self.replicas} replicas cannot have {self.write_consistency} of them take each "
                f"write and {self.read_consistency} answer each question: raise MENTORGRAPH_INDEX_REPLICAS"
            )

    def connect(self) -> QdrantClient:
        """A client of the server; nothing is sent yet. Redirects and the environment's proxies are not followed."""
        import warnings

        from qdrant_client import QdrantClient

        parts = urlsplit(self.url)
        with warnings.catch_warnings():
            # A key over plain http is the operator's choice; docs/engines.md says when it is none.
            warnings.filterwarnings("ignore", "Api key is used with an insecure connection", UserWarning)
            return QdrantClient(
                url=self.url,
                port=443 if parts.scheme == "https" and parts.port is None else 6333,
                api_key=self.api_key,
                timeout=max(1, round(self.timeout_seconds)),
                check_compatibility=False,
                trust_env=False,
                follow_redirects=False,
            )

    def open(self, folder: Path, *, model: str, dimension: int, beside: bool = False) -> SearchIndex:
        """See `kg.search.port.Indexes`. The server is not asked yet: it may be away when a service starts."""
        return QdrantIndex(folder, self, model=model, dimension=dimension, beside=beside)

    def discard(self, folder: Path) -> None:
        """Throw an index away with its collection; while the server is away that is left there, and the log says so."""
        names = _collections_of(folder / "register.db")
        if names:
            calls = _Calls(self, self.connect())
            try:
                for name in names:
                    calls.drop(name)
            except KgError as error:
                _log.warning("nobody uses the collections %s any more; they are left: %s", ", ".join(names), error)
            finally:
                calls.close()
        shutil.rmtree(folder, ignore_errors=True)


class QdrantIndex(IndexOfPoints):
    """A `SearchIndex` whose points lie at a Qdrant server; opened by `QdrantServer.open`."""

    def __init__(self, folder: Path, server: QdrantServer, *, model: str, dimension: int, beside: bool = False) -> None:
        """Open the register in `folder`, or begin one. The server is asked at the first look or change.

        `beside` another index that stays in use: the alias is left to that one.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._server, self._beside = server, beside
        self._model, self._dimension = model, dimension
        self._described = {"layout": LAYOUT, "model": model, "dimension": dimension}
        self._writing = threading.RLock()
        self._looked = False
        self._register = Register(
            folder / "register.db", model=model, dimension=dimension, points=_fresh_name(server.name, model)
        )
        self._calls = _Calls(server, server.connect())

    @property
    def passages(self) -> int:
        """How many passages it holds, as the server counts them."""
        return self._calls.count(self._collection) - 1

    @property
    def _collection(self) -> str:
        return self._register.get("points")

    # -------------------------------------------------------------------------------- agreeing with the server

    def look(self) -> int:
        """See `SearchIndex`. An index that the server has lost, or has otherwise, begins anew and says 0."""
        with self._writing:
            if not self._agrees():
                if self.marker:
                    _log.warning("the search engine holds another index than its register says: it is made again")
                self.clear()
            elif not self._looked:
                self._drop_leftover()
                self._aim()
            self._looked = True
            return self.marker

    def _agrees(self) -> bool:
        note = self._calls.note(self._collection)
        if note is None or any(note.get(name) != value for name, value in self._described.items()):
            return False
        if self._register.busy:  # a change broke off: it will be made again, whatever of it has arrived
            return note.get("state") in (self._register.get("state"), self._register.get("busy"))
        if note.get("state") != self._register.get("state"):
            return False
        return self._looked or self.passages == self._register.total_passages()

    def _be_sure(self) -> None:
        """Before the first change: the register must be true, or what the caller builds on is not there."""
        if not self._looked:
            before = self.marker
            if self.look() != before:
                raise IndexMismatch("the search index is not on its server: it is made again from the ledger")

    def _aim(self) -> None:
        if not self._beside:
            self._calls.aim(self._server.name, self._collection)

    # ---------------------------------------------------------------------------------------------- writing

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
        """See `SearchIndex`. Raises ServerAway when the server is; the register then says what it said before."""
        with self._writing:
            points = [point for document in practices for point in points_of(document)]
            self._be_sure()
            # The same mark when a change is repeated: the note may have it already.
            state = self._register.get("busy") or uuid4().hex
            self._register.set("busy", state)
            gone = list(removed)
            self._write_points(points, [document.practice for document in practices], gone, refreshed)
            self._put_note(self._collection, self.marker if marker is None else marker, state)
            self._register.take_over(practices, gone, kept, forgotten, marker, state=state)

    def _write_points(
        self,
        points: Sequence[tuple[UUID, list[float], Mapping[str, Mapping[int, float]], dict[str, Any]]],
        practices: Sequence[str],
        removed: Sequence[str],
        refreshed: Sequence[tuple[str, Mapping[str, Any]]],
    ) -> None:
        from qdrant_client import models

        for some in _batches(points, self._server.batch):
            self._calls.upsert(
                self._collection,
                [
                    models.PointStruct(
                        id=str(id),
                        vector={"dense": dense, **{name: _sparse(weights) for name, weights in sparse.items()}},
                        payload=payload,
                    )
                    for id, dense, sparse, payload in some
                ],
            )
        fresh = {str(id) for id, *_ in points}
        for names in _batches([*practices, *removed], self._server.batch):
            held = models.FieldCondition(key="practice", match=models.MatchAny(any=list(names)))
            stays = models.HasIdCondition(has_id=sorted(fresh)) if fresh else None
            self._calls.delete(self._collection, models.Filter(must=[held], must_not=[stays] if stays else None))
        for replaced in _batches(refreshed, self._server.batch):
            self._calls.update(
                self._collection,
                [
                    models.SetPayloadOperation(
                        set_payload=models.SetPayload(payload=dict(shared), filter=_of_practice(practice))
                    )
                    for practice, shared in replaced
                ],
            )

    def _put_note(self, collection: str, marker: int, state: str) -> None:
        from qdrant_client import models

        note = {**self._described, "marker": marker, "state": state}
        self._calls.upsert(collection, [models.PointStruct(id=str(_NOTE), vector={}, payload={"note": note})])

    def clear(self) -> None:
        """See `SearchIndex`: a new, empty collection takes the place of the one in use, which then goes."""
        with self._writing:
            self._drop_leftover()
            old, new, state = (
                self._collection,
                _fresh_name(self._server.name, self._model),
                uuid4().hex,
            )
            # Noted first, so that a kill leaves no collection that nobody knows.
            self._register.set("leftover", new)
            self._calls.create(new, self._dimension)
            self._put_note(new, 0, state)
            self._register.clear(new, leftover=old, state=state)
            self._aim()
            self._drop_leftover()
            self._looked = True

    def _drop_leftover(self) -> None:
        if leftover := self._register.get("leftover"):
            self._calls.drop(leftover)
            self._register.set("leftover", "")

    def close(self) -> None:
        """See `SearchIndex`."""
        with self._writing:
            self._calls.close()
            self._register.close()

    def optimise_when_due(self) -> None:
        """A server does that by itself."""

    def optimise(self, *, wait: bool = True) -> None:
        """A server does that by itself."""

    # ----------------------------------------------------------------------------------------------- asking

    def _lists(self, questions: Sequence[Question]) -> Sequence[Sequence[Any]]:
        found: list[Sequence[Hit]] = []
        for some in _batches(questions, QUESTIONS_AT_ONCE):
            lists = self._calls.query(self._collection, [_request(one) for one in some])
            found += [[Hit(UUID(str(point.id)), point.score) for point in one.points] for one in lists]
        return found

    def _stored(self, points: Sequence[UUID], *, vectors: bool = False) -> list[Stored]:
        found = []
        for some in _batches(points, READ_AT_ONCE):
            for record in self._calls.retrieve(self._collection, some, vectors=vectors):
                given: Any = record.vector or {}
                sparse = {name: given[name].indices for name in SPARSE if name in given}
                found.append(Stored(UUID(str(record.id)), record.payload or {}, given.get("dense", ()), sparse))
        return found


class _Calls:
    """Our requests to the server: sent again while it is away, its errors turned into ours."""

    def __init__(self, server: QdrantServer, client: QdrantClient) -> None:
        self._server, self._client = server, client
        self._consistency = server.read_consistency if server.read_consistency > 1 else None

    def close(self) -> None:
        self._client.close()

    def create(self, collection: str, dimension: int) -> None:
        """An empty collection; one of this name that an attempt before has left is taken as it is."""
        from qdrant_client import models

        if not self._do(lambda client: client.collection_exists(collection)):
            self._do(
                lambda client: client.create_collection(
                    collection,
                    vectors_config={
                        "dense": models.VectorParams(size=dimension, distance=models.Distance.COSINE, on_disk=True)
                    },
                    sparse_vectors_config={name: models.SparseVectorParams() for name in SPARSE},
                    quantization_config=models.ScalarQuantization(
                        scalar=models.ScalarQuantizationConfig(
                            type=models.ScalarType.INT8, quantile=0.99, always_ram=True
                        )
                    ),
                    shard_number=self._server.shards,
                    replication_factor=self._server.replicas,
                    write_consistency_factor=self._server.write_consistency,
                )
            )
        fields = dict.fromkeys(KEYWORDS, models.PayloadSchemaType.KEYWORD)
        for name, kind in {**fields, "population": models.PayloadSchemaType.INTEGER}.items():
            self._do(lambda client, name=name, kind=kind: client.create_payload_index(collection, name, kind))  # type: ignore[misc]

    def drop(self, collection: str) -> None:
        with contextlib.suppress(IndexMismatch):  # it is gone already
            self._do(lambda client: client.delete_collection(collection))

    def aim(self, alias: str, collection: str) -> None:
        """Let an alias lead to a collection, in one step."""
        from qdrant_client import models

        known = self._do(lambda client: client.get_aliases()).aliases
        current = next((one.collection_name for one in known if one.alias_name == alias), None)
        if current == collection:
            return
        away = models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=alias))
        to = models.CreateAliasOperation(create_alias=models.CreateAlias(collection_name=collection, alias_name=alias))
        self._do(lambda client: client.update_collection_aliases([away, to] if current else [to]))

    def note(self, collection: str) -> dict[str, Any] | None:
        """What the collection says of itself; None where there is no collection, or none of ours."""
        try:
            found = self.retrieve(collection, [_NOTE], vectors=False)
        except IndexMismatch:
            return None
        note = (found[0].payload or {}).get("note") if found else None
        return note if isinstance(note, dict) else None

    def count(self, collection: str) -> int:
        return int(self._do(lambda client: client.count(collection, exact=True)).count)

    def upsert(self, collection: str, points: list[Any]) -> None:
        self._do(lambda client: client.upsert(collection, points, wait=True, ordering=self._ordering))

    def delete(self, collection: str, condition: Any) -> None:
        from qdrant_client import models

        which = models.FilterSelector(filter=condition)
        self._do(lambda client: client.delete(collection, which, wait=True, ordering=self._ordering))

    def update(self, collection: str, operations: list[Any]) -> None:
        self._do(lambda client: client.batch_update_points(collection, operations, wait=True, ordering=self._ordering))

    def query(self, collection: str, requests: list[Any]) -> list[Any]:
        return self._do(lambda client: client.query_batch_points(collection, requests, consistency=self._consistency))

    def retrieve(self, collection: str, points: Sequence[UUID], *, vectors: bool) -> list[Any]:
        ids = [str(point) for point in points]
        return self._do(
            lambda client: client.retrieve(
                collection, ids, with_payload=True, with_vectors=vectors, consistency=self._consistency
            )
        )

    @property
    def _ordering(self) -> Any:
        """With replicas, writes of one point are put in order: a repeated one may overtake the first."""
        from qdrant_client import models

        return models.WriteOrdering.MEDIUM if self._server.replicas > 1 else models.WriteOrdering.WEAK

    def _do(self, request: Callable[[QdrantClient], _T]) -> _T:
        """Send a request, which must be one that may be sent twice."""
        pause = FIRST_PAUSE_SECONDS
        for attempts_left in range(self._server.retries, -1, -1):
            try:
                with _server_errors():
                    return request(self._client)
            except _Passing:
                if attempts_left:
                    time.sleep(pause)
                    pause *= 3
        raise ServerAway("the search engine does not answer; it is asked again later")


class _Passing(Exception):
    """A request that may find the server if it is sent again."""


@contextlib.contextmanager
def _server_errors() -> Iterator[None]:
    """The client's errors as ours; they may quote addresses and answers, and are not passed on."""
    import httpx
    from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
    from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

    try:
        yield
    except ResourceExhaustedResponse as error:
        raise _Passing from error
    except ResponseHandlingException as error:
        if isinstance(error.source, httpx.TimeoutException):
            raise ServerAway("the search engine gave no answer in time; it is asked again later") from error
        if isinstance(error.source, httpx.TransportError):
            raise _Passing from error
        raise DataFolderUnusable("the search engine does not answer as a Qdrant server does") from error
    except UnexpectedResponse as error:
        raise _refusal(error.status_code or 0, error.content) from error
    except ValueError as error:  # the client's own local mode
        if "not found" not in str(error):
            raise
        raise _no_collection() from error


def _refusal(status: int, content: bytes) -> Exception:
    if status in _PASSING:
        return _Passing()
    if status == 404:
        return _no_collection()
    if status in (401, 403):
        return DataFolderUnusable("the search engine refuses us: check MENTORGRAPH_INDEX_API_KEY and what it allows")
    if status == 413:
        return DataFolderUnusable("the search engine refuses a request of this size: lower MENTORGRAPH_INDEX_BATCH")
    _log.error("the search engine refused a request with status %d: %s", status, quoted(content[:300]))
    return DataFolderUnusable(f"the search engine refused a request with status {status}; its answer is in the log")


def _no_collection() -> IndexMismatch:
    return IndexMismatch("the search index is not on its server: it is made again from the ledger")


# --------------------------------------------------------------------------------------------- requests


def _request(question: Question) -> Any:
    from qdrant_client import models

    vector: Any = question.vector
    return models.QueryRequest(
        query=_sparse(vector) if isinstance(vector, Mapping) else list(vector),
        using=question.using,
        filter=_filter(question.condition),
        params=models.SearchParams(
            exact=question.exact,
            quantization=models.QuantizationSearchParams(ignore=question.exact, rescore=True),
        ),
        limit=question.limit,
        with_payload=False,
    )


def _sparse(weights: Mapping[int, float]) -> Any:
    from qdrant_client import models

    numbers = sorted(weights)
    return models.SparseVector(indices=numbers, values=[weights[number] for number in numbers])


def _of_practice(practice: str) -> Any:
    from qdrant_client import models

    return models.Filter(must=[models.FieldCondition(key="practice", match=models.MatchValue(value=practice))])


def _filter(condition: Condition) -> Any:
    from qdrant_client import models

    def among(key: str, values: Sequence[str]) -> Any:
        return models.FieldCondition(key=key, match=models.MatchAny(any=list(values)))

    must: list[Any] = [among(key, values) for key, values in condition.wanted().items()]
    if condition.carrying:
        must.append(among("themes_all", sorted(condition.carrying)))
    filters = condition.filters
    if filters.population_min is not None or filters.population_max is not None:
        inhabitants = models.Range(gte=filters.population_min, lte=filters.population_max)
        must.append(models.FieldCondition(key="population", range=inhabitants))
    if condition.points:
        must.append(models.HasIdCondition(has_id=[str(point) for point in condition.points]))
    must_not = [among(key, values) for key, values in condition.unwanted().items()]
    return models.Filter(must=must or None, must_not=must_not or None) if must or must_not else None


def _fresh_name(name: str, model: str) -> str:
    """A collection's name: what was set, the model, and an end that no other has.

    >>> _fresh_name("mentorgraph", "intfloat/e5-small@0123")[:-8]
    'mentorgraph-intfloat-e5-small-'
    """
    readable = re.sub(r"[^A-Za-z0-9_.-]+", "-", model.partition("@")[0])[:60].strip(".-")
    return f"{name}-{readable}-{uuid4().hex[:8]}"


def _collections_of(register: Path) -> list[str]:
    """The collections that an index's register names; none where it cannot be read."""
    if not register.is_file():
        return []
    try:
        with contextlib.closing(sqlite3.connect(register)) as db:
            rows = db.execute("SELECT value FROM meta WHERE name IN ('points', 'leftover') AND value <> ''").fetchall()
    except sqlite3.Error:
        return []
    return [name for (name,) in rows]


def _batches(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    return (items[start : start + size] for start in range(0, len(items), size))
