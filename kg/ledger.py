"""The ledger: every accepted change as one row, in order, in SQLite or PostgreSQL.

Four tables. `revisions` is the truth and only grows: one row per change with the whole record.
`heads` has one row per record, kept in the same transaction, so that lists, counts and checks of
references cost the same at 100,000 records as at ten. `erasures` says which revisions had their
content removed by law, when and why. `meta` has the format, the base IRI and the time of making.

How rows are hashed (format 1)
------------------------------
Every hash is the lower-case hexadecimal SHA-256 of UTF-8 text. `J(...)` is a JSON array in the
canonical form of RFC 8785: no spaces, integers as digits, null for what is absent, in strings only
quote, backslash and control characters escaped.

    payload_digest = SHA-256(payload)
    words_digest   = SHA-256(J(title, note, reason))
    record_hash    = SHA-256(J("mentorgraph-revision-1", record_hash of the parent or null, number, kind, id,
                       parent, state, visibility, author, time, replaced_by, payload_digest, words_digest))
    chain_hash     = SHA-256(J("mentorgraph-chain-1", chain_hash of row number - 1, record_hash))

Row 1 follows SHA-256(J("mentorgraph-ledger-1", base, created)) in place of a row before it. `time` and
`created` are UTC, always in the form 2026-02-28T09:30:00.000000Z. An erasure is chained likewise:
SHA-256(J("mentorgraph-erasure-1", hash of the erasure before or null, sequence, number, reason, time)).

So `record_hash` chains the revisions of one record and `chain_hash` chains all rows. Both cover
digests, not the words themselves: content can be erased by law and both chains still hold.
"""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock, get_ident
from types import TracebackType
from typing import Any, Self

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Select,
    String,
    Table,
    Text,
    and_,
    create_engine,
    event,
    func,
    insert,
    inspect,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from kg.errors import (
    BadRequest,
    Busy,
    DataFolderUnusable,
    DuplicateRecord,
    InvalidRecord,
    KgError,
    LedgerDamaged,
    NotFound,
    Problem,
    StaleRecord,
    plain,
    quoted,
)

FORMAT = 1
"""Version of the tables and hashes above. A ledger of a higher one is refused, never guessed at."""

STATES = ("draft", "submitted", "returned", "published", "withdrawn", "merged")
VISIBILITIES = ("public", "programme", "team")

WAIT_SECONDS = 30
"""How long a writer waits for the one before it until it is told to come back later."""

BATCH = 500
"""Rows sent in one go: at 500 the cost per row no longer falls, and memory stays at some megabytes."""

_ID = re.compile(r"[a-z0-9]+(-{1,2}[a-z0-9]+)*")
_BASE = re.compile(r"https?://[^\s<>\"{}|\\^`\x00-\x20]+[/#]")

Key = tuple[str, str]
"""Kind and identifier of a record."""


@dataclass(frozen=True, slots=True)
class Change:
    """One wanted change of one record: the record as it shall be, and who says so.

    `payload` is the whole record as canonical N-Triples. `title` is what lists show. `expected` is
    the number of the newest revision the caller has seen, 0 when there must be none yet, None to
    write whatever is there. `reason` tells readers of a withdrawn or merged record why;
    `replaced_by` is the identifier, of the same kind, of the record that took its place.

    Raises ValueError for a kind, identifier, state, visibility or author that cannot be, and where
    `replaced_by` is missing from a merger or given to a record that stays.

    >>> Change("city", "jelgava", "draft", "public", "", "ilze").expected is None
    True
    >>> Change("city", "Jelgava!", "draft", "public", "", "ilze")
    Traceback (most recent call last):
    ValueError: 'Jelgava!' is not an identifier: lower-case letters, digits and single or double hyphens, at most 120
    """

    kind: str
    id: str
    state: str
    visibility: str
    payload: str
    author: str
    note: str = ""
    title: str = ""
    expected: int | None = None
    reason: str = ""
    replaced_by: str | None = None

    def __post_init__(self) -> None:
        _require(self.state in STATES, f"{quoted(self.state)} is not a state: one of {', '.join(STATES)}")
        _require(
            self.visibility in VISIBILITIES,
            f"{quoted(self.visibility)} is not a visibility: one of {', '.join(VISIBILITIES)}",
        )
        for name in (self.kind, self.id, *([self.replaced_by] if self.replaced_by is not None else [])):
            _require(
                _is_name(name),
                f"{quoted(name)} is not an identifier: lower-case letters, digits and single or double hyphens, "
                "at most 120",
            )
        _require(bool(self.author), "a change needs an author")
        gone = self.state in ("withdrawn", "merged")
        _require(gone or self.replaced_by is None, "only a withdrawn or merged record is replaced by another")
        _require(self.state != "merged" or self.replaced_by is not None, "a merged record names what replaced it")


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ValueError(message)


def _is_name(name: str) -> bool:
    return len(name) <= 120 and _ID.fullmatch(name) is not None


def _asked(name: str) -> str:
    """A name as a query's value; what no record can be called (a NUL fails in the driver) becomes "", which none is."""
    return name if _is_name(name) else ""


@dataclass(frozen=True, slots=True)
class Revision:
    """One row of the ledger: a record as it was accepted once. It never changes, except by `Ledger.erase`.

    `number` counts all rows from 1 without gaps. `parent` is the number of the same record's revision
    before, None for its first. `time` is UTC. `payload` is None, and title, note and reason are empty,
    when the content was erased by law; the digests and hashes (see the module) stay.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as tmp, Ledger.create(f"sqlite:///{tmp}/ledger.db", "https://x.org/") as ledger:
    ...     with ledger.write() as tx:
    ...         revision = tx.append(Change("city", "jelgava", "draft", "public", "", "ilze"))
    >>> revision.number, revision.parent, revision.state, revision.time.tzname()
    (1, None, 'draft', 'UTC')
    """

    number: int
    kind: str
    id: str
    parent: int | None
    state: str
    visibility: str
    author: str
    time: datetime
    note: str
    title: str
    reason: str
    replaced_by: str | None
    payload: str | None
    payload_digest: str
    words_digest: str
    record_hash: str
    chain_hash: str


@dataclass(frozen=True, slots=True)
class Head:
    """Where a record stands: its newest revision and, beside it, the one that is published.

    `number`, `state`, `visibility`, `title`, `modified`, `reason` and `replaced_by` are those of the newest
    revision. `published` is the number of the revision that readers see: a draft beside a published version
    leaves it there, withdrawal and merger clear it. `published_title` and `published_visibility` go with it.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as tmp, Ledger.create(f"sqlite:///{tmp}/ledger.db", "https://x.org/") as ledger:
    ...     with ledger.write() as tx:
    ...         _ = tx.append(Change("city", "jelgava", "published", "public", "", "ilze"))
    ...         _ = tx.append(Change("city", "jelgava", "draft", "public", "", "ilze"))
    ...     head = ledger.head("city", "jelgava")
    >>> head.number, head.state, head.published
    (2, 'draft', 1)
    """

    kind: str
    id: str
    number: int
    state: str
    visibility: str
    title: str
    modified: datetime
    record_hash: str
    reason: str
    replaced_by: str | None
    published: int | None
    published_visibility: str | None
    published_title: str | None


@dataclass(frozen=True, slots=True)
class Erasure:
    """That the content of revision `number` was removed, when (UTC) and why.

    >>> Erasure(1, 17, "request of the person named", datetime(2026, 3, 1, tzinfo=UTC), "9f…").number
    17
    """

    sequence: int
    number: int
    reason: str
    time: datetime
    hash: str


Revisions = list[Revision]
Heads = list[Head]

_NUMBER = BigInteger().with_variant(
    Integer(), "sqlite"
)  # only INTEGER is SQLite's own row number, without a second tree
_NAME = Text().with_variant(Text(collation="C"), "postgresql")  # pages go by bytes; most locales skip the hyphens

_NOT_SYNCED = func.current_setting("synchronous_commit") == "off"

_tables = MetaData()
_meta = Table("meta", _tables, Column("key", String(20), primary_key=True), Column("value", Text, nullable=False))
_revisions = Table(
    "revisions",
    _tables,
    Column("number", _NUMBER, primary_key=True, autoincrement=False),
    Column("kind", _NAME, nullable=False),
    Column("id", _NAME, nullable=False),
    Column("parent", _NUMBER, ForeignKey("revisions.number"), unique=True),
    Column("state", _NAME, nullable=False),
    Column("visibility", _NAME, nullable=False),
    Column("author", Text, nullable=False),
    Column("time", String(27), nullable=False),
    Column("note", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("replaced_by", _NAME),
    Column("payload", Text),
    Column("payload_digest", String(64), nullable=False),
    Column("words_digest", String(64), nullable=False),
    Column("record_hash", String(64), nullable=False),
    Column("chain_hash", String(64), nullable=False),
    Index("revisions_of_record", "kind", "id", "number"),
)
_heads = Table(
    "heads",
    _tables,
    Column("kind", _NAME, primary_key=True),
    Column("id", _NAME, primary_key=True),
    Column("number", _NUMBER, ForeignKey("revisions.number"), nullable=False),
    Column("state", _NAME, nullable=False),
    Column("visibility", _NAME, nullable=False),
    Column("title", Text, nullable=False),
    Column("modified", String(27), nullable=False),
    Column("record_hash", String(64), nullable=False),
    Column("reason", Text, nullable=False),
    Column("replaced_by", _NAME),
    Column("published", _NUMBER, ForeignKey("revisions.number"), unique=True),
    Column("published_visibility", _NAME),
    Column("published_title", Text),
    Index("heads_by_state", "kind", "state", "id"),
    Index("heads_by_published_visibility", "kind", "published_visibility", "id"),
)
_erasures = Table(
    "erasures",
    _tables,
    Column("sequence", _NUMBER, primary_key=True, autoincrement=False),
    Column("number", _NUMBER, ForeignKey("revisions.number"), nullable=False, unique=True),
    Column("reason", Text, nullable=False),
    Column("time", String(27), nullable=False),
    Column("hash", String(64), nullable=False),
)


class _Reading:
    """What can be asked of the ledger, by itself or inside a transaction."""

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        """A connection that sees what the caller may see."""
        raise NotImplementedError
        yield

    def referenced(self, pairs: Iterable[Key]) -> dict[Key, Head]:
        """Heads of many records, given as (kind, id), in one query; records that are not there are left out.

        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as tmp, Ledger.create(f"sqlite:///{tmp}/ledger.db", "https://x.org/") as ledger:
        ...     with ledger.write() as tx:
        ...         _ = tx.append(Change("city", "jelgava", "published", "public", "", "ilze"))
        ...     found = ledger.referenced([("city", "jelgava"), ("theme", "heat")])
        >>> {pair: head.state for pair, head in found.items()}
        {('city', 'jelgava'): 'published'}
        """
        with self._connected() as connection:
            return _select_heads(connection, pairs)

    def head(self, kind: str, id: str) -> Head | None:
        """Where a record stands, None when there is none. Inside a transaction its own changes count.

        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as tmp, Ledger.create(f"sqlite:///{tmp}/ledger.db", "https://x.org/") as ledger:
        ...     with ledger.write() as tx:
        ...         _ = tx.append(Change("city", "jelgava", "draft", "public", "", "ilze"))
        ...         print(tx.head("city", "jelgava").number, ledger.head("city", "jelgava"))
        1 None
        """
        return self.referenced([(kind, id)]).get((kind, id))

    def revision(self, number: int) -> Revision:
        """One row by its number. Raises NotFound when the ledger has no such row.

        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as tmp, Ledger.create(f"sqlite:///{tmp}/ledger.db", "https://x.org/") as ledger:
        ...     ledger.revision(7)
        Traceback (most recent call last):
        kg.errors.NotFound: there is no revision 7: the newest is 0
        """
        with self._connected() as connection:
            return _revision_of(_row_numbered(connection, number))

    def published(self, kind: str, id: str) -> Revision | None:
        """The revision of a record that readers see; None when it is not, or no longer, published.

        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as tmp, Ledger.create(f"sqlite:///{tmp}/ledger.db", "https://x.org/") as ledger:
        ...     with ledger.write() as tx:
        ...         _ = tx.append(Change("city", "jelgava", "published", "public", "", "ilze"))
        ...         _ = tx.append(Change("city", "jelgava", "draft", "public", "", "ilze"))
        ...     ledger.published("city", "jelgava").number
        1
        """
        return next(iter(self._at_heads(_heads.c.published, kind, [id])), None)

    def newest(self, kind: str, ids: Iterable[str]) -> Revisions:
        """The newest revisions of some records of a kind, whatever their state; none for what is not there.

        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as tmp, Ledger.create(f"sqlite:///{tmp}/ledger.db", "https://x.org/") as ledger:
        ...     with ledger.write() as tx:
        ...         _ = tx.append(Change("city", "jelgava", "published", "public", "", "ilze"))
        ...         _ = tx.append(Change("city", "jelgava", "draft", "public", "", "ilze"))
        ...     [one.number for one in ledger.newest("city", ["jelgava", "riga"])]
        [2]
        """
        return self._at_heads(_heads.c.number, kind, ids)

    def _at_heads(self, number: Column[Any], kind: str, ids: Iterable[str]) -> Revisions:
        """The revisions that a column of the heads of some records points to."""
        pointed_to = select(_revisions).join(_heads, number == _revisions.c.number)
        return self._revisions(pointed_to.where(_heads.c.kind == _asked(kind), _heads.c.id.in_(map(_asked, ids))))

    def history(self, kind: str, id: str) -> Revisions:
        """All revisions of one record with their payloads, oldest first; empty when there is no such record.

        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as tmp, Ledger.create(f"sqlite:///{tmp}/ledger.db", "https://x.org/") as ledger:
        ...     with ledger.write() as tx:
        ...         _ = tx.append(Change("city", "jelgava", "draft", "public", "", "ilze"))
        ...         _ = tx.append(Change("city", "jelgava", "published", "public", "", "anna"))
        ...     [(r.number, r.state, r.author) for r in ledger.history("city", "jelgava")]
        [(1, 'draft', 'ilze'), (2, 'published', 'anna')]
        """
        of_record = select(_revisions).where(_revisions.c.kind == _asked(kind), _revisions.c.id == _asked(id))
        return self._revisions(of_record.order_by(_revisions.c.number))

    def since(self, number: int, limit: int = BATCH) -> Revisions:
        """The next rows after `number`, at most `limit`, in order and with their payloads.

        Rows become visible in the order of their numbers, so whoever remembers the last number seen and
        asks again never misses one. A payload of None was erased: nothing of it may be shown.

        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as tmp, Ledger.create(f"sqlite:///{tmp}/ledger.db", "https://x.org/") as ledger:
        ...     with ledger.write() as tx:
        ...         for name in "riga", "liepaja", "jelgava":
        ...             _ = tx.append(Change("city", name, "draft", "public", "", "ilze"))
        ...     [(r.number, r.id) for r in ledger.since(1)]
        [(2, 'liepaja'), (3, 'jelgava')]
        """
        _require(limit >= 1, "limit is at least 1")
        newer = select(_revisions).where(_revisions.c.number > min(number, 2**63 - 1))
        return self._revisions(newer.order_by(_revisions.c.number).limit(limit))

    def last_number(self) -> int:
        """Number of the newest row; 0 when there is none.

        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as tmp, Ledger.create(f"sqlite:///{tmp}/ledger.db", "https://x.org/") as ledger:
        ...     ledger.last_number()
        0
        """
        with self._connected() as connection:
            return _last_number(connection)

    def published_revisions(self, batch: int = BATCH) -> Iterator[Revision]:
        """Every revision that is published now, whatever its visibility, in the order of numbers.

        This is how a view is made from nothing: read `last_number()` first, apply these rows, then go on with
        `since()` from the number read. What changed meanwhile may come twice, the newer later, and is never
        missed. `batch` rows are read at a time, each in a transaction of its own, so no writer waits.

        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as tmp, Ledger.create(f"sqlite:///{tmp}/ledger.db", "https://x.org/") as ledger:
        ...     with ledger.write() as tx:
        ...         for state in "published", "published", "draft":
        ...             _ = tx.append(Change("city", "jelgava", state, "public", "", "ilze"))
        ...     [(r.number, r.state) for r in ledger.published_revisions()]
        [(2, 'published')]
        """
        _require(batch >= 1, "batch is at least 1")
        wanted = select(_revisions).join(_heads, _heads.c.published == _revisions.c.number)
        last = 0
        while page := self._revisions(
            wanted.where(_heads.c.published > last).order_by(_heads.c.published).limit(batch),
        ):
            yield from page
            last = page[-1].number

    def list(
        self,
        kind: str,
        state: str | None = None,
        after_id: str | None = None,
        limit: int = 50,
        visibility: str | None = None,
        published: bool = False,
    ) -> Heads:
        """Records of a kind, ordered by identifier (by bytes), at most `limit`, beginning after `after_id`.

        `state` and `visibility` keep the records whose newest revision has them. With `published`, only
        records that have a published version are listed, and `visibility` is that version's: what readers may see.

        Raises BadRequest for a state, visibility or `after_id` that cannot be.

        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as tmp, Ledger.create(f"sqlite:///{tmp}/ledger.db", "https://x.org/") as ledger:
        ...     with ledger.write() as tx:
        ...         for name in "riga", "liepaja", "jelgava":
        ...             _ = tx.append(Change("city", name, "draft", "public", "", "ilze", title=name.title()))
        ...     [head.title for head in ledger.list("city", limit=2)], ledger.list("city", after_id="liepaja")[0].id
        (['Jelgava', 'Liepaja'], 'riga')
        """
        _require(limit >= 1, "limit is at least 1")
        wanted = select(_heads).where(_heads.c.kind == _asked(kind), *_filters(state, visibility, published))
        if after_id is not None:
            _refuse_bad_filter(_is_name(after_id), after_id, "an identifier to go on from")
            wanted = wanted.where(_heads.c.id > after_id)
        with self._connected() as connection:
            return [_head_of(row._mapping) for row in connection.execute(wanted.order_by(_heads.c.id).limit(limit))]

    def titles(self, kind: str, but: Collection[str] = ()) -> Sequence[tuple[str, str]]:
        """Identifier and title of every record of a kind whose newest revision is in none of the states `but`.

        All at once and without the rest of their heads: 100,000 take half a second.

        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as tmp, Ledger.create(f"sqlite:///{tmp}/ledger.db", "https://x.org/") as ledger:
        ...     with ledger.write() as tx:
        ...         _ = tx.append(Change("city", "riga", "draft", "public", "", "ilze", title="Riga"))
        ...         _ = tx.append(Change("city", "gent", "withdrawn", "public", "", "ilze", title="Ghent", reason="twice"))
        ...     ledger.titles("city", but={"withdrawn"})
        [('riga', 'Riga')]
        """
        wanted = select(_heads.c.id, _heads.c.title).where(_heads.c.kind == _asked(kind), _heads.c.state.not_in(but))
        with self._connected() as connection:
            return [(id, title) for id, title in connection.execute(wanted.order_by(_heads.c.id))]

    def in_states(self, states: Sequence[str], after: Key | None = None, limit: int = 50) -> Heads:
        """Records of any kind whose newest revision is in one of the states, by kind and identifier, after `after`.

        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as tmp, Ledger.create(f"sqlite:///{tmp}/ledger.db", "https://x.org/") as ledger:
        ...     with ledger.write() as tx:
        ...         _ = tx.append(Change("theme", "heat", "draft", "public", "", "ilze"))
        ...         _ = tx.append(Change("city", "jelgava", "submitted", "public", "", "ilze"))
        ...     [head.id for head in ledger.in_states(["draft", "submitted"])]
        ['jelgava', 'heat']
        """
        wanted = select(_heads).where(_heads.c.state.in_(states))
        if after is not None:
            kind, id = after
            wanted = wanted.where(or_(_heads.c.kind > kind, and_(_heads.c.kind == kind, _heads.c.id > id)))
        with self._connected() as connection:
            rows = connection.execute(wanted.order_by(_heads.c.kind, _heads.c.id).limit(limit))
            return [_head_of(row._mapping) for row in rows]

    def mentioning(self, iri: str) -> Sequence[Key]:
        """Records whose newest or published wording has this IRI, by kind and identifier; itself among them.

        Every current payload is read, some seconds at 100,000 records: for steps that are rare and must not miss one.

        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as tmp, Ledger.create(f"sqlite:///{tmp}/ledger.db", "https://x.org/") as ledger:
        ...     with ledger.write() as tx:
        ...         _ = tx.append(Change("city", "riga", "draft", "public", "<urn:a> <urn:b> <urn:c> .", "ilze"))
        ...     ledger.mentioning("urn:c"), ledger.mentioning("urn:")
        ([('city', 'riga')], [])
        """
        current = or_(_heads.c.number == _revisions.c.number, _heads.c.published == _revisions.c.number)
        wanted = (
            select(_heads.c.kind, _heads.c.id)
            .select_from(_heads)
            .join(_revisions, current)
            .where(_heads.c.state.not_in(("withdrawn", "merged")))
            .distinct()
            .order_by(_heads.c.kind, _heads.c.id)
        )
        with self._connected() as connection:
            position = func.strpos if connection.dialect.name == "postgresql" else func.instr
            rows = connection.execute(wanted.where(position(_revisions.c.payload, f"<{iri}>") > 0))
            return [(row.kind, row.id) for row in rows]

    def count(
        self,
        kind: str | None = None,
        state: str | None = None,
        visibility: str | None = None,
        published: bool = False,
    ) -> int:
        """How many records `list` would give without a limit; of all kinds when `kind` is None.

        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as tmp, Ledger.create(f"sqlite:///{tmp}/ledger.db", "https://x.org/") as ledger:
        ...     with ledger.write() as tx:
        ...         _ = tx.append(Change("city", "jelgava", "draft", "public", "", "ilze"))
        ...     ledger.count("city"), ledger.count("city", published=True)
        (1, 0)
        """
        wanted = select(func.count()).select_from(_heads).where(*_filters(state, visibility, published))
        if kind is not None:
            wanted = wanted.where(_heads.c.kind == _asked(kind))
        with self._connected() as connection:
            return connection.execute(wanted).scalar_one()

    def erasures(self) -> Sequence[Erasure]:
        """What was erased by law, oldest first.

        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as tmp, Ledger.create(f"sqlite:///{tmp}/ledger.db", "https://x.org/") as ledger:
        ...     ledger.erasures()
        []
        """
        with self._connected() as connection:
            rows = connection.execute(select(_erasures).order_by(_erasures.c.sequence))
            return [Erasure(**{**row._mapping, "time": _parsed(row.time)}) for row in rows]

    def _revisions(self, wanted: Select[Any]) -> Revisions:
        with self._connected() as connection:
            return [_revision_of(row._mapping) for row in connection.execute(wanted)]


class Transaction(_Reading):
    """Changes that become visible together when the `with ledger.write()` block ends, or not at all.

    Reading here sees the transaction's own changes. It belongs to one thread and ends with the block.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as tmp, Ledger.create(f"sqlite:///{tmp}/ledger.db", "https://x.org/") as ledger:
    ...     with ledger.write() as tx:
    ...         _ = tx.append(Change("city", "jelgava", "draft", "public", "", "ilze"))
    ...         print(tx.last_number(), ledger.last_number())
    ...     print(ledger.last_number())
    1 0
    1
    """

    def __init__(self, connection: Connection, start: str) -> None:
        self._connection: Connection | None = connection
        self._failure: Exception | None = None
        self._known: dict[Key, Head | None] = {}
        self._pending: Revisions = []
        last = connection.execute(
            select(_revisions.c.number, _revisions.c.chain_hash).order_by(_revisions.c.number.desc()).limit(1)
        ).first()
        self._number: int = last.number if last else 0
        self._chain_hash: str = last.chain_hash if last else start

    def append(self, change: Change) -> Revision:
        """Add one revision and return it. It counts only once the block has ended without an error.

        Rows are sent in batches; call `referenced` with all keys before a bulk load and no row costs a question
        of its own. An error raised here that the caller answers leaves the earlier changes in place.

        Raises DuplicateRecord when `change.expected` is 0 and the record is there, StaleRecord when the newest
        revision is not the expected one, InvalidRecord for text no database can hold (NUL, lone surrogates).

        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as tmp, Ledger.create(f"sqlite:///{tmp}/ledger.db", "https://x.org/") as ledger:
        ...     with ledger.write() as tx:
        ...         tx.append(Change("city", "riga", "draft", "public", "", "ilze", expected=0)).number
        ...         tx.append(Change("city", "riga", "published", "public", "", "ilze", expected=1)).parent
        1
        1
        """
        self._usable()
        _refuse_unstorable(change)
        head = self.head(change.kind, change.id)
        _refuse_stale(change, head)
        revision = self._chained(change, head)
        self._number, self._chain_hash = revision.number, revision.chain_hash
        self._known[change.kind, change.id] = _moved(head, revision)
        self._pending.append(revision)
        if len(self._pending) >= BATCH:
            self._flush()
        return revision

    def referenced(self, pairs: Iterable[Key]) -> dict[Key, Head]:
        """As `Ledger.referenced`, with this transaction's changes; what was asked once is remembered.

        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as tmp, Ledger.create(f"sqlite:///{tmp}/ledger.db", "https://x.org/") as ledger:
        ...     with ledger.write() as tx:
        ...         _ = tx.append(Change("city", "jelgava", "draft", "public", "", "ilze"))
        ...         list(tx.referenced([("city", "jelgava"), ("city", "riga")]))
        [('city', 'jelgava')]
        """
        wanted = set(pairs)
        if unknown := [pair for pair in wanted if pair not in self._known]:
            with self._guarded() as connection:
                found = _select_heads(connection, unknown)
            self._known.update((pair, found.get(pair)) for pair in unknown)
        return {pair: head for pair in sorted(wanted) if (head := self._known[pair])}

    def _chained(self, change: Change, head: Head | None) -> Revision:
        """The revision that the change becomes after the newest row and the record's head."""
        row: dict[str, Any] = {
            "number": self._number + 1,
            "kind": change.kind,
            "id": change.id,
            "parent": head.number if head else None,
            "state": change.state,
            "visibility": change.visibility,
            "author": change.author,
            "time": _written(datetime.now(UTC)),
            "note": change.note,
            "title": change.title,
            "reason": change.reason,
            "replaced_by": change.replaced_by,
            "payload": change.payload,
            "payload_digest": _sha256(change.payload),
            "words_digest": _hash(change.title, change.note, change.reason),
        }
        row["record_hash"] = _record_hash(row, head.record_hash if head else None)
        row["chain_hash"] = _chain_hash(self._chain_hash, row["record_hash"])
        return _revision_of(row)

    def _flush(self) -> None:
        """Send what was appended: all rows, and the last head of each record."""
        if not self._pending:
            return
        pending, self._pending = self._pending, []
        touched = {(r.kind, r.id): None for r in pending}
        heads = [head for key in touched if (head := self._known[key])]
        with self._guarded() as connection:
            connection.execute(insert(_revisions), [_row(revision) for revision in pending])
            connection.execute(_upsert_heads(connection), [_row(head) for head in heads])

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        self._flush()
        with self._guarded() as connection:
            yield connection

    @contextmanager
    def _guarded(self) -> Iterator[Connection]:
        """Remember a database error: the engine may have rolled back already, so nothing more may be committed."""
        connection = self._usable()
        try:
            with _errors_named():
                yield connection
        except NotFound:
            raise
        except Exception as error:
            self._failure = error
            raise

    def _usable(self) -> Connection:
        if self._failure is not None:
            raise self._failure
        if self._connection is None:
            raise ValueError("this transaction has ended: append inside the `with ledger.write()` block")
        return self._connection

    def _finish(self) -> None:
        """Send the rest before the commit; raises the error that broke the transaction, even if it was caught."""
        self._usable()
        self._flush()


class Ledger(_Reading):
    """The ordered, append-only history of all records: one file of SQLite, or one database of PostgreSQL.

    It may be used from several threads, and on PostgreSQL from several processes and machines. One writer
    works at a time, others wait up to WAIT_SECONDS; readers never wait for writers. What `write` has
    committed survives the loss of power: SQLite runs with WAL and full sync, PostgreSQL with its commit on disk.

    Database errors become kg's: Busy (locked too long, server not reached), DataFolderUnusable (disk full,
    not writable), LedgerDamaged (a file that is physically broken).

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as tmp, Ledger.create(f"sqlite:///{tmp}/ledger.db", "https://x.org/") as ledger:
    ...     with ledger.write() as tx:
    ...         _ = tx.append(Change("city", "jelgava", "published", "public", "", "ilze", title="Jelgava"))
    ...     ledger.verify(), ledger.published("city", "jelgava").title
    (1, 'Jelgava')
    """

    def __init__(self, engine: Engine, base: str, created: str) -> None:
        self.base = base
        """What all IRIs of records begin with; fixed when the ledger was made."""
        self.created = _parsed(created)
        self._start = _hash("mentorgraph-ledger-1", base, created)
        self._engine = engine
        self._lock = Lock()
        self._writer: int | None = None

    @classmethod
    def create(cls, url: str | URL, base: str) -> Ledger:
        """Make an empty ledger at an SQLAlchemy URL and open it. `base` is an http(s) IRI that ends in / or #.

        `sqlite:///folder/ledger.db` needs a folder that is there; `postgresql://…` an empty database that is there.

        Raises DataFolderUnusable when there is a ledger already, or the place cannot be written, and
        BadRequest for a base that cannot be one.

        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     Ledger.create(f"sqlite:///{folder}/ledger.db", "https://x.org/").close()
        ...     Ledger.create(f"sqlite:///{folder}/ledger.db", "https://x.org/")
        Traceback (most recent call last):
        kg.errors.DataFolderUnusable: there is a ledger here already, with base 'https://x.org/':
            open it, or choose another place
        """
        if not _BASE.fullmatch(base):
            raise BadRequest(f"{quoted(base)} cannot be the base of IRIs: an http(s) IRI that ends in / or #")
        engine = _engine(url)
        created = _written(datetime.now(UTC))
        try:
            with _errors_named(opening=True), engine.connect() as connection:
                connection = connection.execution_options(mentorgraph_writes=True)
                with connection.begin():
                    _make_tables(connection, base, created)
        except BaseException:
            engine.dispose()
            raise
        return cls(engine, base, created)

    @classmethod
    def open(cls, url: str | URL) -> Ledger:
        """Open a ledger that was made before, at an SQLAlchemy URL.

        Raises DataFolderUnusable when there is none, when it was made by a newer version, or when it
        cannot be reached.

        >>> Ledger.open("sqlite:///no/such/folder/ledger.db")
        Traceback (most recent call last):
        kg.errors.DataFolderUnusable: there is no ledger here: make one with `mentorgraph init`
        """
        engine = _engine(url, must_exist=True)
        try:
            with _errors_named(opening=True), engine.connect() as connection:
                meta = _read_meta(connection)
            _refuse_other_format(meta)
        except BaseException:
            engine.dispose()
            raise
        return cls(engine, meta["base"], meta["created"])

    def close(self) -> None:
        """Close all connections. An SQLite ledger is then one file, which can be copied as it is.

        >>> import os
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     Ledger.create(f"sqlite:///{folder}/ledger.db", "https://x.org/").close()
        ...     os.listdir(folder)
        ['ledger.db']
        """
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """Open the one transaction that may write; it is committed, with full sync, when the block ends.

        All or nothing: an error that leaves the block, or any database error inside, undoes everything. Row
        numbers are given under a lock that is held until the commit, so rows become visible in order.

        Raises Busy when other writers hold the lock for longer than WAIT_SECONDS, DataFolderUnusable
        when the disk is full or read-only, ValueError when this thread has a transaction open already.

        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as tmp, Ledger.create(f"sqlite:///{tmp}/ledger.db", "https://x.org/") as ledger:
        ...     try:
        ...         with ledger.write() as tx:
        ...             _ = tx.append(Change("city", "jelgava", "draft", "public", "", "ilze"))
        ...             raise KeyError("a mistake")
        ...     except KeyError:
        ...         ledger.last_number()
        0
        """
        with self._alone() as connection:
            transaction = Transaction(connection, self._start)
            try:
                yield transaction
                transaction._finish()
            finally:
                transaction._connection = None

    def erase(self, number: int, reason: str) -> None:
        """Remove the content of one revision for good, as law may require, and note when and why.

        Payload, title, note and reason go; who, when and the hashes stay, so `verify` still holds. Other
        revisions may carry the same content: see `history`. On SQLite the freed bytes are overwritten and the
        log is emptied; PostgreSQL is told to clear the row (VACUUM). Backups made before are the operator's.
        Erasing twice changes nothing.

        Raises NotFound for a number that is not there, and BadRequest without a reason or when readers see this
        revision now: withdraw or replace it first, so that graph and search drop it.

        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as tmp, Ledger.create(f"sqlite:///{tmp}/ledger.db", "https://x.org/") as ledger:
        ...     with ledger.write() as tx:
        ...         _ = tx.append(Change("need", "n-1", "draft", "team", "<urn:a> <urn:b> <urn:c> .", "ilze"))
        ...     ledger.erase(1, "request of the person named")
        ...     ledger.revision(1).payload, ledger.verify()
        (None, 1)
        """
        if not reason.strip() or _unstorable(reason):
            raise BadRequest("an erasure needs a reason, in words that can be stored")
        with self._alone() as connection:
            _erase(connection, number, reason)
        with _errors_named():
            _drop_remains(self._engine)

    def beside(self, tables: MetaData) -> Beside:
        """Tables of another module in the same database, made now where they are missing.

        What stands beside the chain (comments, tokens, imports) is not part of the record and not covered by
        its hashes; it shares the database's transactions, backup and access.

        >>> from tempfile import TemporaryDirectory
        >>> notes = MetaData()
        >>> note = Table("notes", notes, Column("text", Text))
        >>> with TemporaryDirectory() as tmp, Ledger.create(f"sqlite:///{tmp}/ledger.db", "https://x.org/") as ledger:
        ...     beside = ledger.beside(notes)
        ...     with beside.writing() as connection:
        ...         _ = connection.execute(insert(note).values(text="call Gent"))
        ...     with beside.reading() as connection:
        ...         connection.execute(select(note.c.text)).scalars().all()
        ['call Gent']
        """
        beside = Beside(self)
        with self._connected() as connection:
            there = set(inspect(connection).get_table_names())
        if not set(tables.tables) <= there:
            with beside.writing() as connection:
                tables.create_all(connection)
        return beside

    def verify(self) -> int:
        """Recompute every digest and hash, compare the heads, and return the number of rows checked.

        All rows are streamed in one snapshot, while others go on writing. Rows cut off at the end show where a
        head or an erasure still names them. If someone cut those as well, or wrote the whole chain anew,
        nothing inside the ledger can tell: note `revision(last_number()).chain_hash` elsewhere from time to
        time and compare.

        Raises LedgerDamaged naming the first row that is wrong, and what is wrong with it.

        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as tmp, Ledger.create(f"sqlite:///{tmp}/ledger.db", "https://x.org/") as ledger:
        ...     with ledger.write() as tx:
        ...         _ = tx.append(Change("city", "jelgava", "draft", "public", "", "ilze"))
        ...     ledger.verify()
        1
        """
        with _errors_named(), self._engine.connect() as connection:
            if connection.dialect.name == "postgresql":
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            meta = _read_meta(connection)
            if _hash("mentorgraph-ledger-1", meta.get("base"), meta.get("created")) != self._start:
                raise LedgerDamaged("the base IRI or the time of making is not what it was when the ledger was opened")
            return _Verification(self._start, _checked_erasures(connection)).run(connection)

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        with _errors_named(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def _alone(self) -> Iterator[Connection]:
        """A transaction that no other writer shares: a lock among threads, then the database's own."""
        if self._writer == get_ident():
            raise ValueError("this thread is writing already: finish the open transaction first")
        if not self._lock.acquire(timeout=WAIT_SECONDS):
            raise Busy(_LOCKED)
        try:
            self._writer = get_ident()
            with _errors_named(), self._engine.connect() as connection:
                connection = connection.execution_options(mentorgraph_writes=True)
                with connection.begin():
                    _lock_database(connection)
                    yield connection
        finally:
            self._writer = None
            self._lock.release()


class Beside:
    """Transactions on tables that stand in the ledger's database, beside its chain; see `Ledger.beside`."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection for questions; it waits for no writer."""
        with self._ledger._connected() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction under the ledger's own lock, committed when the block ends without an error.

        Raises Busy after WAIT_SECONDS behind other writers, ValueError inside this thread's `Ledger.write()`.
        """
        with self._ledger._alone() as connection:
            yield connection


class _Verification:
    """One pass over all rows, remembering what the next row of each record must follow."""

    def __init__(self, start: str, erased: set[int]) -> None:
        self.number = 0
        self.chain_hash = start
        self.heads: dict[Key, Head] = {}
        self.erased = erased

    def run(self, connection: Connection) -> int:
        ordered = select(_revisions).order_by(_revisions.c.number).execution_options(yield_per=BATCH)
        with connection.execute(ordered) as rows:
            for row in rows:
                self._check(row._mapping)
        if missing := sorted(n for n in self.erased if n > self.number):
            raise LedgerDamaged(f"row {missing[0]} is missing: an erasure names it, the last row is {self.number}")
        self._check_heads(connection)
        return self.number

    def _check(self, row: Mapping[Any, Any]) -> None:
        if row["number"] != self.number + 1:
            raise LedgerDamaged(f"row {self.number + 1} is missing: after {self.number} comes {row['number']}")
        head = self.heads.get((row["kind"], row["id"]))
        if wrong := self._difference(row, head):
            raise LedgerDamaged(f"row {row['number']} ({row['kind']} {quoted(row['id'])}): {wrong}")
        self.number, self.chain_hash = row["number"], row["chain_hash"]
        self.heads[row["kind"], row["id"]] = _moved(head, _revision_of(row))

    def _difference(self, row: Mapping[Any, Any], head: Head | None) -> str | None:
        """What is wrong with a row that follows `head`, if anything."""
        if row["parent"] != (head.number if head else None):
            return f"its parent is {row['parent']}, the record's revision before is {head.number if head else None}"
        if row["number"] in self.erased:
            if row["payload"] is not None or row["title"] or row["note"] or row["reason"]:
                return "it was erased, yet has content"
        elif row["payload"] is None:
            return "its payload is missing, and no erasure says why"
        elif _sha256(row["payload"]) != row["payload_digest"]:
            return "its payload does not match its digest"
        elif _hash(row["title"], row["note"], row["reason"]) != row["words_digest"]:
            return "its title, note or reason does not match its digest"
        if _record_hash(row, head.record_hash if head else None) != row["record_hash"]:
            return "its record hash does not match its content and the record's revision before"
        if _chain_hash(self.chain_hash, row["record_hash"]) != row["chain_hash"]:
            return "its chain hash does not match the row before"
        return None

    def _check_heads(self, connection: Connection) -> None:
        """Heads are derived: each must be what the rows of its record lead to."""
        with connection.execute(select(_heads).order_by(_heads.c.number).execution_options(yield_per=BATCH)) as rows:
            for row in rows:
                self._check_head(row._mapping)
        for left in self.heads.values():
            raise LedgerDamaged(f"row {left.number} ({left.kind} {quoted(left.id)}): the record's head is missing")

    def _check_head(self, row: Mapping[Any, Any]) -> None:
        expected = self.heads.pop((row["kind"], row["id"]), None)
        if expected is None or _row(expected) != dict(row):
            raise LedgerDamaged(
                f"row {row['number']} ({row['kind']} {quoted(row['id'])}): the table of heads does not agree with the "
                f"revisions, whose newest of this record is {expected.number if expected else 'none'}"
            )


def _checked_erasures(connection: Connection) -> set[int]:
    """Numbers of the erased revisions, after their own chain was checked."""
    before, numbers = None, set()
    for sequence, row in enumerate(connection.execute(select(_erasures).order_by(_erasures.c.sequence)), start=1):
        if row.sequence != sequence or row.hash != _erasure_hash(before, sequence, row.number, row.reason, row.time):
            raise LedgerDamaged(f"erasure {sequence} (of row {row.number}) does not match its hash")
        before = row.hash
        numbers.add(row.number)
    return numbers


def _erase(connection: Connection, number: int, reason: str) -> None:
    """Empty one row and its head, and append the erasure."""
    row = _row_numbered(connection, number)
    if row["payload"] is None:
        return
    if connection.execute(select(_heads.c.id).where(_heads.c.published == number)).first():
        raise BadRequest(
            f"revision {number} is what readers see of {row['kind']} {quoted(row['id'])}: withdraw or replace it first"
        )
    connection.execute(
        update(_revisions).where(_revisions.c.number == number).values(payload=None, title="", note="", reason="")
    )
    connection.execute(update(_heads).where(_heads.c.number == number).values(title="", reason=""))
    last = connection.execute(select(_erasures).order_by(_erasures.c.sequence.desc()).limit(1)).first()
    sequence, time = (last.sequence if last else 0) + 1, _written(datetime.now(UTC))
    hash = _erasure_hash(last.hash if last else None, sequence, number, reason, time)
    connection.execute(insert(_erasures).values(sequence=sequence, number=number, reason=reason, time=time, hash=hash))


def _drop_remains(engine: Engine) -> None:
    """Make the engine let go of old copies of an erased row; both commands refuse to run inside a transaction."""
    if engine.dialect.name == "sqlite":
        raw = engine.raw_connection()
        try:
            raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            raw.close()
    else:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM revisions, heads")


def _engine(url: str | URL, must_exist: bool = False) -> Engine:
    try:
        address = make_url(url)
    except ArgumentError:
        raise DataFolderUnusable("the ledger's address is no database URL: sqlite:///… or postgresql://…") from None
    if address.get_backend_name() == "sqlite":
        return _sqlite_engine(address, must_exist)
    if address.get_backend_name() in ("postgresql", "postgres"):
        return create_engine(
            address.set(drivername="postgresql+psycopg"), pool_size=8, max_overflow=32, pool_pre_ping=True
        )
    raise DataFolderUnusable("a ledger lives in SQLite or PostgreSQL: sqlite:///… or postgresql://…")


def _sqlite_engine(address: URL, must_exist: bool) -> Engine:
    if not address.database or address.database == ":memory:":
        raise DataFolderUnusable("a ledger needs a file: sqlite:///folder/ledger.db")
    if must_exist and not Path(address.database).exists():
        raise DataFolderUnusable(_NONE)
    engine = create_engine(address.set(drivername="sqlite+pysqlite"), pool_size=8, max_overflow=32)
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _set_up_sqlite(connection: sqlite3.Connection, _: object) -> None:
    """Each connection: we begin transactions ourselves (the driver's habits hide DDL and IMMEDIATE from us)."""
    connection.isolation_level = None
    for setting in (
        f"busy_timeout = {WAIT_SECONDS * 1000}",
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
        "secure_delete = ON",
    ):
        connection.execute(f"PRAGMA {setting}").close()


def _begin_sqlite(connection: Connection) -> None:
    """A writer locks at once: a reader that turns writer later can be refused without waiting."""
    writes = connection.get_execution_options().get("mentorgraph_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _lock_database(connection: Connection) -> None:
    """Take the one lock (a row's on PostgreSQL; SQLite has it since BEGIN) and check that the format is still ours."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SET LOCAL lock_timeout = '{WAIT_SECONDS}s'"))
        # "Saved" means on disk here, whatever the server's default is.
        connection.execute(select(func.set_config("synchronous_commit", "on", True)).where(_NOT_SYNCED))
    locked = select(_meta.c.key, _meta.c.value).where(_meta.c.key == "format").with_for_update()
    _refuse_other_format({row.key: row.value for row in connection.execute(locked)})


def _make_tables(connection: Connection, base: str, created: str) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('mentorgraph-create'))"))
    if inspect(connection).has_table("meta"):
        there = _read_meta(connection).get("base", "")
        raise DataFolderUnusable(
            f"there is a ledger here already, with base {quoted(there)}: open it, or choose another place"
        )
    _tables.create_all(connection)
    values = {"format": str(FORMAT), "base": base, "created": created}
    connection.execute(insert(_meta), [{"key": key, "value": value} for key, value in values.items()])


def _read_meta(connection: Connection) -> dict[str, str]:
    if not inspect(connection).has_table("meta"):
        raise DataFolderUnusable(_NONE)
    return {row.key: row.value for row in connection.execute(select(_meta.c.key, _meta.c.value))}


def _refuse_other_format(meta: Mapping[str, str]) -> None:
    found = meta.get("format", "")
    if not found.isdecimal():
        raise DataFolderUnusable(_NONE)
    if int(found) != FORMAT:
        raise DataFolderUnusable(
            f"the ledger has format {found}, this version of mentorgraph works with format {FORMAT}: "
            "install the version that made it, or a newer one"
        )


def _refuse_unstorable(change: Change) -> None:
    problems = [
        Problem(name, f"the {name} holds {what}, which cannot be stored: remove it", value=plain(value))
        for name in ("payload", "title", "note", "reason", "author")
        if (what := _unstorable(value := getattr(change, name)))
    ]
    if problems:
        raise InvalidRecord(change.kind, change.id, problems)


def _unstorable(value: str) -> str | None:
    if "\x00" in value:
        return "a NUL character"
    try:
        value.encode()
    except UnicodeEncodeError:
        return "half a character (a lone surrogate)"
    return None


def _refuse_stale(change: Change, head: Head | None) -> None:
    if change.expected is None or change.expected == (head.number if head else 0):
        return
    what = f"{change.kind} {quoted(change.id)}"
    if head is None:
        raise StaleRecord(
            {
                "en": f"{what} is not there, revision {change.expected} was expected",
                "fr": f"{what} n’est pas là ; la révision {change.expected} était attendue",
            }
        )
    if change.expected == 0:
        raise DuplicateRecord(
            {
                "en": f"{what} is there already (revision {head.number}): change it, or choose another identifier",
                "fr": f"{what} existe déjà (révision {head.number}) : modifiez la fiche, ou prenez un autre identifiant",
            }
        )
    raise StaleRecord(
        {
            "en": f"{what} is at revision {head.number} now, not {change.expected}: "
            "read it again and repeat the change on it",
            "fr": f"{what} en est à la révision {head.number}, non {change.expected} : "
            "relisez la fiche et refaites-y la modification",
        }
    )


def _moved(head: Head | None, revision: Revision) -> Head:
    """The head of a record after one more revision."""
    published, visibility, title = None, None, None
    if revision.state == "published":
        published, visibility, title = revision.number, revision.visibility, revision.title
    elif head and revision.state not in ("withdrawn", "merged"):
        published, visibility, title = head.published, head.published_visibility, head.published_title
    return Head(
        kind=revision.kind,
        id=revision.id,
        number=revision.number,
        state=revision.state,
        visibility=revision.visibility,
        title=revision.title,
        modified=revision.time,
        record_hash=revision.record_hash,
        reason=revision.reason,
        replaced_by=revision.replaced_by,
        published=published,
        published_visibility=visibility,
        published_title=title,
    )


def _select_heads(connection: Connection, pairs: Iterable[Key]) -> dict[Key, Head]:
    """One query for up to 10,000 pairs."""
    possible = sorted({(kind, id) for kind, id in pairs if _is_name(kind) and _is_name(id)})
    found: dict[Key, Head] = {}
    for first in range(0, len(possible), 10_000):
        wanted: dict[str, list[str]] = {}
        for kind, id in possible[first : first + 10_000]:
            wanted.setdefault(kind, []).append(id)
        of_kinds = or_(*(and_(_heads.c.kind == kind, _heads.c.id.in_(ids)) for kind, ids in wanted.items()))
        for row in connection.execute(select(_heads).where(of_kinds)):
            found[row.kind, row.id] = _head_of(row._mapping)
    return found


def _upsert_heads(connection: Connection) -> Any:
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    new = dialect.insert(_heads)
    rest = {column.name: new.excluded[column.name] for column in _heads.c if not column.primary_key}
    return new.on_conflict_do_update(index_elements=[_heads.c.kind, _heads.c.id], set_=rest)


def _refuse_bad_filter(holds: bool, value: str, what: str) -> None:
    if not holds:
        raise BadRequest(f"{quoted(value)} is not {what}")


def _filters(state: str | None, visibility: str | None, published: bool) -> list[Any]:
    found: list[Any] = []
    if state is not None:
        _refuse_bad_filter(state in STATES, state, f"a state: one of {', '.join(STATES)}")
        found.append(_heads.c.state == state)
    if published:
        found.append(_heads.c.published.is_not(None))
    if visibility is not None:
        _refuse_bad_filter(visibility in VISIBILITIES, visibility, f"a visibility: one of {', '.join(VISIBILITIES)}")
        found.append((_heads.c.published_visibility if published else _heads.c.visibility) == visibility)
    return found


def _row_numbered(connection: Connection, number: int) -> Mapping[Any, Any]:
    last = _last_number(connection)
    if not 1 <= number <= last:
        raise NotFound(
            {
                "en": f"there is no revision {number}: the newest is {last}",
                "fr": f"il n’y a pas de révision {number} : la dernière est {last}",
            }
        )
    return connection.execute(select(_revisions).where(_revisions.c.number == number)).one()._mapping


def _last_number(connection: Connection) -> int:
    return connection.execute(select(func.coalesce(func.max(_revisions.c.number), 0))).scalar_one()


def _revision_of(row: Mapping[Any, Any]) -> Revision:
    return Revision(**{**row, "time": _parsed(row["time"])})


def _head_of(row: Mapping[Any, Any]) -> Head:
    return Head(**{**row, "modified": _parsed(row["modified"])})


def _row(value: Revision | Head) -> dict[str, Any]:
    """A value as its columns; only times are written differently there."""
    found = ((field.name, getattr(value, field.name)) for field in fields(value))
    return {name: _written(item) if isinstance(item, datetime) else item for name, item in found}


def _written(time: datetime) -> str:
    return time.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _parsed(time: str) -> datetime:
    return datetime.fromisoformat(time)


def _sha256(words: object) -> str:
    return hashlib.sha256(str(words).encode()).hexdigest()


def _hash(*parts: str | int | None) -> str:
    """SHA-256 of the canonical JSON array of `parts` (RFC 8785; `repr` only meets what tampering left in a column)."""
    return _sha256(json.dumps(parts, ensure_ascii=False, separators=(",", ":"), default=repr))


def _record_hash(row: Mapping[Any, Any], before: str | None) -> str:
    covered = (
        *("number", "kind", "id", "parent", "state", "visibility", "author", "time"),
        *("replaced_by", "payload_digest", "words_digest"),
    )
    return _hash("mentorgraph-revision-1", before, *(row[name] for name in covered))


def _chain_hash(before: str, record_hash: str) -> str:
    return _hash("mentorgraph-chain-1", before, record_hash)


def _erasure_hash(before: str | None, sequence: int, number: int, reason: str, time: str) -> str:
    return _hash("mentorgraph-erasure-1", before, sequence, number, reason, time)


_NONE = "there is no ledger here: make one with `mentorgraph init`"
_LOCKED = f"other changes have been written for {WAIT_SECONDS} seconds without a pause: try again later"
_FULL = "the disk with the ledger is full, nothing was saved: free some space and repeat the change"
_READ_ONLY = "the ledger cannot be written, nothing was saved: check the rights of its folder or database and the disk"
_BROKEN = "the ledger's file is broken or is no database: restore it from a backup"
_UNREACHABLE = (
    "the ledger's database does not answer; if this was a change, look whether it was saved before repeating it"
)


@contextmanager
def _errors_named(opening: bool = False) -> Iterator[None]:
    """Turn the database errors that an operator or a user can answer into kg's; others are our mistakes and pass."""
    try:
        yield
    except PoolTimeout as error:
        raise Busy("too many requests are reading the ledger at once: try again later") from error
    except DBAPIError as error:
        named = _named(error, opening)
        if named is None:
            raise
        raise named from error


def _named(error: DBAPIError, opening: bool) -> KgError | None:
    """By SQLite's result code (https://www.sqlite.org/rescode.html) or PostgreSQL's SQLSTATE (its appendix A)."""
    code = getattr(error.orig, "sqlite_errorname", None) or getattr(error.orig, "sqlstate", None) or ""
    if code == "SQLITE_FULL" or code == "53100":
        return DataFolderUnusable(_FULL)
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")) or code == "55P03":
        return Busy(_LOCKED)
    if code.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_IOERR", "SQLITE_PERM")) or code in (
        "25006",
        "42501",
    ):
        return DataFolderUnusable(_READ_ONLY)
    if code.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")) or "decode to UTF-8" in str(error.orig):
        return DataFolderUnusable(_BROKEN) if opening else LedgerDamaged(_BROKEN)
    if (
        error.connection_invalidated
        or code[:2] in ("08", "53", "57")
        or (isinstance(error, OperationalError) and not code)
    ):
        return DataFolderUnusable(_UNREACHABLE) if opening else Busy(_UNREACHABLE)
    return None
