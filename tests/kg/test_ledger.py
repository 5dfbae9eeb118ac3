"""The ledger keeps its promises, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, create_engine, event, text

from kg import ledger as ledger_module
from kg.errors import (
    BadRequest,
    Busy,
    DataFolderUnusable,
    DuplicateRecord,
    InvalidRecord,
    LedgerDamaged,
    NotFound,
    StaleRecord,
)
from kg.ledger import STATES, Change, Ledger, Revision, Transaction
from tests.postgres import fresh_database

BASE = "https://example.org/"
BACKENDS = ("sqlite", "postgresql")


@pytest.fixture(params=BACKENDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/ledger.db"
    else:
        with fresh_database() as address:
            yield address


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    with Ledger.create(url, BASE) as made:
        yield made


def change(id: str = "jelgava", state: str = "published", *, kind: str = "city", **more: Any) -> Change:
    values = {"visibility": "public", "payload": f"<urn:{id}> <urn:state> <urn:{state}> .\n", "author": "ilze", **more}
    return Change(kind, id, state, **values)


def append(ledger: Ledger, *changes: Change) -> list[Revision]:
    with ledger.write() as tx:
        return [tx.append(each) for each in changes]


def tamper(url: str, *statements: str) -> None:
    """What somebody with access to the database could do, foreign keys switched off."""
    engine = create_engine(url)
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SET session_replication_role = replica"))
        for statement in statements:
            assert connection.execute(text(statement)).rowcount
    engine.dispose()


def content(ledger: Ledger, batch: int = 3) -> list[Revision]:
    rows: list[Revision] = []
    while page := ledger.since(rows[-1].number if rows else 0, batch):
        rows += page
    return rows


# Rows and their order


def test_what_is_appended_is_read_back_the_same(ledger: Ledger) -> None:
    words = 'Ž "q" \\ \r\n\t\x7f \u202e e\u0301 \U0001f6b2'
    [made] = append(ledger, change(payload=words * 1000, note=words, title=words, author=words, visibility="team"))
    assert ledger.revision(1) == made
    assert (made.payload, made.note, made.title, made.author) == (words * 1000, words, words, words)
    assert (made.number, made.parent, made.kind, made.id, made.visibility) == (1, None, "city", "jelgava", "team")
    assert abs(datetime.now(UTC) - made.time) < timedelta(minutes=1)
    assert ledger.verify() == 1


def test_numbers_count_all_rows_and_parents_link_each_record(ledger: Ledger) -> None:
    append(ledger, change("riga"), change("jelgava"), change("riga", "draft"))
    append(ledger, change("riga", kind="need"), change("riga"))
    assert [(r.number, r.kind, r.id, r.parent) for r in content(ledger)] == [
        (1, "city", "riga", None),
        (2, "city", "jelgava", None),
        (3, "city", "riga", 1),
        (4, "need", "riga", None),
        (5, "city", "riga", 3),
    ]
    assert [r.number for r in ledger.history("city", "riga")] == [1, 3, 5]
    assert ledger.last_number() == 5


def test_hashes_are_as_the_module_describes_them(ledger: Ledger) -> None:
    first, second = append(
        ledger, change("riga", title="Rīga"), change("riga", "merged", replaced_by="r-2", reason="x")
    )

    def sha(words: str) -> str:
        return hashlib.sha256(words.encode()).hexdigest()

    def canonical(*parts: object) -> str:
        return sha(json.dumps(parts, ensure_ascii=False, separators=(",", ":")))

    def record_hash(row: Revision, before: str | None) -> str:
        time = row.time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        digests = sha(row.payload or ""), canonical(row.title, row.note, row.reason)
        fixed = row.number, row.kind, row.id, row.parent, row.state, row.visibility, row.author, time, row.replaced_by
        return canonical("mentorgraph-revision-1", before, *fixed, *digests)

    created = ledger.created.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    start = canonical("mentorgraph-ledger-1", BASE, created)
    assert first.record_hash == record_hash(first, None)
    assert second.record_hash == record_hash(second, first.record_hash)
    assert first.chain_hash == canonical("mentorgraph-chain-1", start, first.record_hash)
    assert second.chain_hash == canonical("mentorgraph-chain-1", first.chain_hash, second.record_hash)


def test_since_gives_pages_in_order(ledger: Ledger) -> None:
    append(ledger, *(change(f"c{n}") for n in range(7)))
    assert [r.number for r in ledger.since(2, 3)] == [3, 4, 5]
    assert ledger.since(7) == []
    assert ledger.since(10**30) == []
    assert [r.id for r in content(ledger)] == [f"c{n}" for n in range(7)]
    with pytest.raises(ValueError, match="at least 1"):
        ledger.since(0, 0)


def test_an_unknown_revision_is_not_found(ledger: Ledger) -> None:
    append(ledger, change())
    for number in (0, -1, 2, 10**30):
        with pytest.raises(NotFound, match="newest is 1"):
            ledger.revision(number)


# Heads


@pytest.mark.parametrize(
    ("states", "published"),
    [
        (["draft"], None),
        (["draft", "submitted", "returned"], None),
        (["draft", "submitted", "published"], 3),
        (["published", "draft", "submitted", "returned"], 1),
        (["published", "draft", "published"], 3),
        (["published", "withdrawn"], None),
        (["published", "merged"], None),
        (["published", "withdrawn", "draft"], None),
        (["published", "withdrawn", "published"], 3),
    ],
)
def test_the_published_revision_follows_the_states(ledger: Ledger, states: list[str], published: int | None) -> None:
    for state in states:
        append(ledger, change(state=state, title=state, replaced_by="riga" if state == "merged" else None))
    head = ledger.head("city", "jelgava")
    assert head is not None
    assert (head.number, head.state, head.title, head.published) == (len(states), states[-1], states[-1], published)
    found = ledger.published("city", "jelgava")
    assert (found.number if found else None) == published
    assert [r.number for r in ledger.published_revisions()] == ([published] if published else [])
    assert ledger.count("city", published=True) == (1 if published else 0)


def test_a_head_says_why_a_record_went_and_what_took_its_place(ledger: Ledger) -> None:
    [_, merged] = append(ledger, change(), change(state="merged", reason="the same city", replaced_by="mitau"))
    head = ledger.head("city", "jelgava")
    assert head is not None
    assert (head.reason, head.replaced_by, head.record_hash) == ("the same city", "mitau", merged.record_hash)
    assert head.modified == merged.time
    assert ledger.since(1)[0].replaced_by == "mitau"


def test_a_draft_beside_a_published_version_changes_nothing_for_readers(ledger: Ledger) -> None:
    append(ledger, change(title="As published"), change(state="draft", title="As drafted", visibility="team"))
    [seen] = ledger.list("city", published=True, visibility="public")
    assert (seen.published_title, seen.published_visibility, seen.title) == ("As published", "public", "As drafted")
    assert ledger.list("city", published=True, visibility="team") == []
    assert [head.id for head in ledger.list("city", visibility="team")] == ["jelgava"]


def test_lists_page_by_identifier_and_count_agrees(ledger: Ledger) -> None:
    names = ["a", "a-b", "a--c", "ab", "a1", "b-2", "b", "z9"]
    append(ledger, *(change(name, "draft" if name == "ab" else "published") for name in names))
    append(ledger, change("a", kind="theme"))
    found: list[str] = []
    while page := ledger.list("city", after_id=found[-1] if found else None, limit=3):
        found += [head.id for head in page]
    assert found == sorted(names)  # by bytes, whatever the database's language
    assert [head.id for head in ledger.list("city", state="draft")] == ["ab"]
    assert (ledger.count("city"), ledger.count("city", state="published"), ledger.count()) == (8, 7, 9)


def test_heads_of_many_records_come_in_one_query(ledger: Ledger) -> None:
    append(ledger, *(change(f"c{n}") for n in range(50)), change("c1", kind="theme"))
    wanted = [(kind, f"c{n}") for kind in ("city", "theme", "need") for n in range(60)]
    queries: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        queries.append(statement)

    # This ledger's engine alone: others in the process may be followed meanwhile.
    event.listen(ledger._engine, "before_cursor_execute", note)
    found = ledger.referenced(wanted)
    assert len([q for q in queries if q.startswith("SELECT")]) == 1
    assert found.keys() == {("theme", "c1")} | {("city", f"c{n}") for n in range(50)}


def test_names_that_cannot_be_are_simply_not_there(ledger: Ledger) -> None:
    for name in ("", "a\x00b", "\ud800", "Ä", "x" * 10_000):
        assert ledger.head("city", name) is None
        assert ledger.head(name, "jelgava") is None
        assert ledger.published("city", name) is None
        assert ledger.history("city", name) == []
        with pytest.raises(BadRequest):
            ledger.list("city", after_id=name)
    for kind in ("a\x00b", "\ud800"):
        assert ledger.list(kind) == []
        assert ledger.count(kind) == 0
        assert ledger.history(kind, "a") == []
        assert ledger.published(kind, "a") is None
    with pytest.raises(BadRequest, match="is not a state"):
        ledger.list("city", state="gone")
    with pytest.raises(BadRequest, match="is not a visibility"):
        ledger.count("city", visibility="all")


# Transactions


def test_an_error_leaves_nothing_behind(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "BATCH", 2)  # some rows have been sent when it happens
    append(ledger, change("riga"))
    with suppress(KeyError), ledger.write() as tx:
        for n in range(5):
            tx.append(change(f"c{n}"))
        raise KeyError
    assert [r.id for r in content(ledger)] == ["riga"]
    assert ledger.count("city") == 1
    assert append(ledger, change("jelgava"))[0].number == 2
    assert ledger.verify() == 2


def test_a_transaction_sees_its_own_changes_and_nobody_else_does(ledger: Ledger) -> None:
    append(ledger, change("riga"))
    with ledger.write() as tx:
        tx.append(change("riga", "draft"))
        tx.append(change("liepaja"))
        assert tx.head("city", "riga").state == "draft"  # type: ignore[union-attr]
        assert list(tx.referenced([("city", "liepaja"), ("city", "nowhere")])) == [("city", "liepaja")]
        assert tx.published("city", "riga").number == 1  # type: ignore[union-attr]
        assert [r.number for r in tx.since(1)] == [2, 3]
        assert tx.count("city") == 2
        assert ledger.last_number() == 1
        assert ledger.head("city", "riga").state == "published"  # type: ignore[union-attr]
        assert ledger.head("city", "liepaja") is None
    assert ledger.last_number() == 3


def test_a_stale_change_is_refused_and_the_rest_may_stay(ledger: Ledger) -> None:
    append(ledger, change(expected=0), change(expected=1))
    with ledger.write() as tx:
        tx.append(change("riga"))
        with pytest.raises(StaleRecord, match="at revision 2 now, not 1"):
            tx.append(change(expected=1))
        with pytest.raises(StaleRecord, match="is not there"):
            tx.append(change("nowhere", expected=1))
        with pytest.raises(DuplicateRecord, match="there already"):
            tx.append(change(expected=0))
        with pytest.raises(DuplicateRecord):
            tx.append(change("riga", expected=0))
        tx.append(change(expected=2))
    assert [(r.id, r.number) for r in ledger.since(2)] == [("riga", 3), ("jelgava", 4)]
    assert ledger.verify() == 4


def test_text_no_database_can_hold_is_an_invalid_record(ledger: Ledger) -> None:
    with ledger.write() as tx, pytest.raises(InvalidRecord) as caught:
        tx.append(change(title="a\x00b", note="\ud83d", payload="\x00"))
    assert {p.field for p in caught.value.problems} == {"payload", "title", "note"}
    assert "NUL" in str(caught.value)
    assert ledger.last_number() == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"state": "gone"},
        {"visibility": "all"},
        {"id": "Jelgava"},
        {"id": "a---b"},
        {"id": "a" * 121},
        {"id": "a\n"},
        {"kind": "City"},
        {"author": ""},
        {"replaced_by": "riga"},
        {"state": "merged"},
        {"state": "merged", "replaced_by": "<riga>"},
    ],
)
def test_a_change_that_cannot_be_is_a_value_error(wrong: dict[str, str]) -> None:
    right = {"kind": "city", "id": "jelgava", "state": "draft", "visibility": "public", "payload": "", "author": "ilze"}
    Change(**right)
    with pytest.raises(ValueError, match=r"."):
        Change(**{**right, **wrong})


def test_an_ended_transaction_and_a_second_one_in_the_same_thread_are_refused(ledger: Ledger) -> None:
    with ledger.write() as tx:
        with pytest.raises(ValueError, match="writing already"), ledger.write():
            pass
        tx.append(change())
    with pytest.raises(ValueError, match="has ended"):
        tx.append(change())
    assert ledger.last_number() == 1


def test_a_broken_transaction_is_not_committed_even_when_the_error_was_caught(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_module, "BATCH", 1)

    def carry_on_regardless(tx: Transaction) -> None:
        tx.append(change("a"))
        for change_ in (change("b", payload="x" * 1_000_000), change("c")):
            with pytest.raises(DataFolderUnusable):
                tx.append(change_)

    with full_disk(ledger), pytest.raises(DataFolderUnusable, match="full"), ledger.write() as tx:
        carry_on_regardless(tx)
    assert ledger.last_number() == 0


def test_a_full_disk_is_said_clearly_and_leaves_nothing_half_written(ledger: Ledger) -> None:
    append(ledger, change("before"))
    with full_disk(ledger), pytest.raises(DataFolderUnusable, match="disk with the ledger is full, nothing was saved"):
        append(ledger, change("small"), change("large", payload="x" * 1_000_000))
    assert [r.id for r in content(ledger)] == ["before"]
    append(ledger, change("after"))
    assert ledger.verify() == 2


@contextmanager
def full_disk(ledger: Ledger) -> Iterator[None]:
    """The engine itself reports a full disk for large rows: a page limit, or a trigger with the server's own code."""
    engine = ledger._engine
    if engine.dialect.name == "sqlite":
        pages = settings_of(engine, "PRAGMA page_count") + 5
        limit, lift = f"PRAGMA max_page_count = {pages}", "PRAGMA max_page_count = 1000000"
    else:
        settings_of(
            engine,
            "CREATE FUNCTION no_space() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'No space left on device' USING ERRCODE = 'disk_full'; END $$",
        )
        limit = (
            "CREATE TRIGGER no_space BEFORE INSERT ON revisions FOR EACH ROW "
            "WHEN (length(NEW.payload) > 100000) EXECUTE FUNCTION no_space()"
        )
        lift = "DROP TRIGGER no_space ON revisions"
    settings_of(engine, limit)
    try:
        yield
    finally:
        settings_of(engine, lift)


def settings_of(engine: Engine, statement: str) -> Any:
    """Run one statement on the connection that the pool gives next, outside transactions."""
    raw = engine.raw_connection()
    try:
        cursor = raw.cursor()
        cursor.execute(statement)
        value = cursor.fetchone()[0] if engine.dialect.name == "sqlite" else None
        raw.commit()
        return value
    finally:
        raw.close()


# Many at once


def watch(ledger: Ledger, stop: threading.Event, seen: list[int]) -> None:
    """Follow the ledger as a view does: from the last number seen, until told to stop and nothing is left."""
    while True:
        ending = stop.is_set()
        page = ledger.since(seen[-1] if seen else 0, 7)
        seen += [r.number for r in page]
        if ending and not page:
            return


def write_many(ledger: Ledger, name: str, times: int) -> None:
    for n in range(times):
        append(ledger, *(change(f"{name}-{n}-{part}") for part in range(n % 3 + 1)), change("shared"))


def test_threads_write_without_gaps_and_a_follower_never_skips_a_row(ledger: Ledger) -> None:
    stop, seen, failed = threading.Event(), list[int](), list[BaseException]()

    def run(job: Any, *args: Any) -> threading.Thread:
        def guarded() -> None:
            try:
                job(ledger, *args)
            except BaseException as error:  # noqa: BLE001 shown by the test
                failed.append(error)

        thread = threading.Thread(target=guarded)
        thread.start()
        return thread

    follower = run(watch, stop, seen)
    writers = [run(write_many, f"thread{n}", 50) for n in range(4)]
    for writer in writers:
        writer.join()
    stop.set()
    follower.join()
    assert failed == []
    total = 4 * sum(n % 3 + 2 for n in range(50))
    assert seen == list(range(1, total + 1))
    assert ledger.verify() == total
    shared = ledger.history("city", "shared")
    assert [r.parent for r in shared] == [None, *(r.number for r in shared[:-1])]
    assert len(shared) == 200


WRITER = """
import sys
from kg.ledger import Change, Ledger
url, name = sys.argv[1:]
with Ledger.open(url) as ledger:
    for n in range(50):
        with ledger.write() as tx:
            for id in (f"{name}-{n}", "shared"):
                tx.append(Change("city", id, "published", "public", "", "ilze"))
"""


def test_processes_write_without_gaps_and_a_follower_never_skips_a_row(ledger: Ledger, url: str) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, url, f"process{n}"]) for n in range(2)]
    stop, seen = threading.Event(), list[int]()
    follower = threading.Thread(target=watch, args=(ledger, stop, seen))
    follower.start()
    codes = [writer.wait() for writer in writers]
    stop.set()
    follower.join()
    assert codes == [0, 0]
    assert seen == list(range(1, 201))
    assert ledger.verify() == 200
    assert len(ledger.history("city", "shared")) == 100


def test_readers_do_not_wait_for_a_writer(ledger: Ledger) -> None:
    append(ledger, change("riga"))
    with ledger.write() as tx:
        tx.append(change("liepaja"))
        tx.last_number()  # the row has been sent, the lock is held
        found: list[Any] = []
        reader = threading.Thread(target=lambda: found.extend([ledger.last_number(), ledger.list("city")[0].id]))
        reader.start()
        reader.join(timeout=10)
        assert found == [1, "riga"]


def test_who_waits_too_long_is_told_that_the_ledger_is_busy(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "WAIT_SECONDS", 1)
    caught: list[BaseException] = []

    def attempt(ledger: Ledger) -> None:
        try:
            append(ledger, change("late"))
        except Busy as error:
            caught.append(error)

    with Ledger.create(url, BASE) as ledger, Ledger.open(url) as other, ledger.write() as tx:
        tx.append(change("first"))
        attempt(other)  # as another process would
        thread = threading.Thread(target=attempt, args=(ledger,))
        thread.start()
        thread.join()
    assert [str(error) for error in caught] == [ledger_module._LOCKED] * 2


def test_what_changes_while_published_revisions_are_read_is_not_missed(ledger: Ledger) -> None:
    append(ledger, *(change(f"c{n}") for n in range(6)))
    marker, rows = ledger.last_number(), []
    for row in ledger.published_revisions(batch=2):
        if not rows:
            append(ledger, change("c1"), change("c5"), change("c4", "withdrawn"), change("new"))
        rows.append((row.number, row.id))
    assert rows == [(1, "c0"), (2, "c1"), (3, "c2"), (4, "c3"), (7, "c1"), (8, "c5"), (10, "new")]
    assert [r.id for r in ledger.since(marker)] == ["c1", "c5", "c4", "new"]


# Making, opening, closing


def test_a_ledger_is_opened_with_the_base_it_was_made_with(url: str) -> None:
    with Ledger.create(url, "https://other.example/kg#") as made:
        append(made, change())
        created = made.created
    with Ledger.open(url) as opened:
        assert (opened.base, opened.created, opened.last_number()) == ("https://other.example/kg#", created, 1)
        assert opened.verify() == 1


def test_a_ledger_is_made_once(url: str, ledger: Ledger) -> None:
    append(ledger, change())
    with pytest.raises(DataFolderUnusable, match=r"a ledger here already, with base 'https://example\.org/'"):
        Ledger.create(url, "https://else.example/")
    with Ledger.open(url) as opened:
        assert opened.base == BASE
        assert opened.verify() == 1


@pytest.mark.parametrize(
    "base", ["", "example.org/", "https://example.org", "ftp://example.org/", "https://a b/", "https://x/\n"]
)
def test_a_base_that_is_no_iri_is_refused(tmp_path: Path, base: str) -> None:
    with pytest.raises(BadRequest, match="cannot be the base"):
        Ledger.create(f"sqlite:///{tmp_path}/ledger.db", base)
    assert list(tmp_path.iterdir()) == []


def test_no_ledger_says_what_to_run_and_makes_nothing(tmp_path: Path) -> None:
    with fresh_database() as empty:
        for url in (empty, f"sqlite:///{tmp_path}/ledger.db"):
            with pytest.raises(DataFolderUnusable, match="mentorgraph init"):
                Ledger.open(url)
    assert list(tmp_path.iterdir()) == []


def test_a_newer_format_is_refused(url: str) -> None:
    with Ledger.create(url, BASE) as ledger:
        append(ledger, change())
        tamper(url, "UPDATE meta SET value = '2' WHERE key = 'format'")
        with pytest.raises(DataFolderUnusable, match="format 2"):  # upgraded by somebody while we had it open
            append(ledger, change())
    with pytest.raises(DataFolderUnusable, match="has format 2, this version of mentorgraph works with format 1"):
        Ledger.open(url)


def test_what_is_no_ledger_is_refused_without_showing_where(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("this is not a database, and longer than a header " * 10)
    urls = [
        f"sqlite:///{tmp_path}/text.db",
        f"sqlite:///{tmp_path}/no/such/folder/l.db",
        "sqlite://",
        "mysql://root:secret@localhost/x",
        "nonsense",
        f"postgresql://nobody:secret@/x?host={tmp_path}&connect_timeout=2",
    ]
    for url in urls:
        for attempt in (Ledger.open, lambda url: Ledger.create(url, BASE)):
            with pytest.raises(DataFolderUnusable) as caught:
                attempt(url)
            assert str(tmp_path) not in str(caught.value)
            assert "secret" not in str(caught.value)
    assert (tmp_path / "text.db").read_text().startswith("this is not a database")


def test_a_closed_sqlite_ledger_is_one_file_that_can_be_copied(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with Ledger.create(f"sqlite:///{folder}/ledger.db", BASE) as ledger:
        append(ledger, change())
    assert [path.name for path in folder.iterdir()] == ["ledger.db"]
    shutil.copy(folder / "ledger.db", tmp_path / "copy.db")
    with Ledger.open(f"sqlite:///{tmp_path}/copy.db") as copy:
        assert copy.verify() == 1


def test_sqlite_commits_with_wal_and_full_sync(tmp_path: Path) -> None:
    seen: dict[str, Any] = {}

    def look(connection: Any) -> None:
        for name in ("journal_mode", "synchronous", "foreign_keys", "secure_delete"):
            seen[name] = connection.exec_driver_sql(f"PRAGMA {name}").scalar()

    with Ledger.create(f"sqlite:///{tmp_path}/ledger.db", BASE) as ledger:
        event.listen(Engine, "commit", look)
        try:
            append(ledger, change())
        finally:
            event.remove(Engine, "commit", look)
    assert seen == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "secure_delete": 1}


def test_postgresql_commits_to_disk_even_where_the_server_does_not_by_default() -> None:
    with fresh_database() as url:
        name = url.rpartition("/")[2].partition("?")[0]
        engine = create_engine(url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"ALTER DATABASE {name} SET synchronous_commit = off"))
        engine.dispose()
        with Ledger.create(url, BASE) as ledger, ledger.write() as tx, tx._connected() as connection:
            assert connection.execute(text("SHOW synchronous_commit")).scalar() == "on"


# Verification and erasure


DAMAGE = {
    "payload": ("UPDATE revisions SET payload = payload || ' ' WHERE number = 3", "row 3 .*payload does not match"),
    "payload gone": ("UPDATE revisions SET payload = NULL WHERE number = 3", "row 3 .*payload is missing"),
    "title": ("UPDATE revisions SET title = 'Other' WHERE number = 3", "row 3 .*title, note or reason"),
    "note": ("UPDATE revisions SET note = 'Other' WHERE number = 3", "row 3 .*title, note or reason"),
    "reason": ("UPDATE revisions SET reason = 'Other' WHERE number = 3", "row 3 .*title, note or reason"),
    "author": ("UPDATE revisions SET author = 'eve' WHERE number = 3", "row 3 .*record hash"),
    "time": ("UPDATE revisions SET time = '2020-01-01T00:00:00.000000Z' WHERE number = 3", "row 3 .*record hash"),
    "time nonsense": ("UPDATE revisions SET time = 'yesterday' WHERE number = 3", "row 3 .*record hash"),
    "state": ("UPDATE revisions SET state = 'draft' WHERE number = 3", "row 3 .*record hash"),
    "visibility": ("UPDATE revisions SET visibility = 'team' WHERE number = 3", "row 3 .*record hash"),
    "replaced_by": ("UPDATE revisions SET replaced_by = 'x' WHERE number = 3", "row 3 .*record hash"),
    "kind": ("UPDATE revisions SET kind = 'need' WHERE number = 2", "row 2 .*record hash"),
    "parent": ("UPDATE revisions SET parent = 2 WHERE number = 3", "row 3 .*its parent is 2"),
    "payload digest": (
        "UPDATE revisions SET payload_digest = words_digest WHERE number = 3",
        "row 3 .*payload does not",
    ),
    "record hash": ("UPDATE revisions SET record_hash = chain_hash WHERE number = 3", "row 3 .*record hash"),
    "chain hash": ("UPDATE revisions SET chain_hash = record_hash WHERE number = 3", "row 3 .*chain hash"),
    "row gone": ("DELETE FROM revisions WHERE number = 2", "row 2 is missing: after 1 comes 3"),
    "first row gone": ("DELETE FROM revisions WHERE number = 1", "row 1 is missing"),
    "last row gone": ("DELETE FROM revisions WHERE number = 4", "row 4 .*heads does not agree"),
    "head published": ("UPDATE heads SET published = NULL WHERE number = 3", "row 3 .*heads does not agree"),
    "head title": ("UPDATE heads SET title = 'Other' WHERE number = 3", "row 3 .*heads does not agree"),
    "head gone": ("DELETE FROM heads WHERE number = 3", "row 3 .*head is missing"),
    "base": ("UPDATE meta SET value = 'https://eve.example/' WHERE key = 'base'", "base IRI"),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_verify_names_the_first_wrong_row(ledger: Ledger, url: str, what: str) -> None:
    append(ledger, change("riga"), change("jelgava"), change("riga", note="n", title="Rīga"), change("liepaja"))
    assert ledger.verify() == 4
    statement, message = DAMAGE[what]
    tamper(url, statement)
    with pytest.raises(LedgerDamaged, match=message):
        ledger.verify()


def test_verify_checks_in_batches(ledger: Ledger, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "BATCH", 3)
    append(ledger, *(change(f"c{n % 4}") for n in range(11)))
    assert ledger.verify() == 11
    tamper(url, "UPDATE revisions SET author = 'eve' WHERE number IN (8, 10)")
    with pytest.raises(LedgerDamaged, match=r"row 8 \(city 'c3'\)"):
        ledger.verify()


def test_bytes_broken_in_the_file_are_damage(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with Ledger.create(f"sqlite:///{path}", BASE) as ledger:
        append(ledger, *(change(f"c{n}", payload=f"<urn:marker{n}> " * 100) for n in range(50)))
    damaged = bytearray(path.read_bytes())
    at = damaged.index(b"<urn:marker30>")
    damaged[at + 5] ^= 0xFF  # no longer UTF-8
    path.write_bytes(damaged)
    with Ledger.open(f"sqlite:///{path}") as ledger, pytest.raises(LedgerDamaged):
        ledger.verify()
    path.write_bytes(damaged[:4096] + b"\xff" * (len(damaged) - 4096))
    with pytest.raises(DataFolderUnusable, match="broken"):
        Ledger.open(f"sqlite:///{path}")


def test_an_erased_revision_has_no_content_and_the_chain_holds(ledger: Ledger, url: str) -> None:
    append(ledger, change(state="draft", title="Secret title", note="secret note"), change(title="New"))
    before = ledger.revision(1)
    ledger.erase(1, "request of the person named")
    after = ledger.revision(1)
    assert (after.payload, after.title, after.note) == (None, "", "")
    assert (after.payload_digest, after.chain_hash, after.author) == (before.payload_digest, before.chain_hash, "ilze")
    assert [(e.sequence, e.number, e.reason) for e in ledger.erasures()] == [(1, 1, "request of the person named")]
    assert ledger.verify() == 2
    append(ledger, change())
    assert ledger.verify() == 3
    ledger.erase(1, "again")
    assert len(ledger.erasures()) == 1
    tamper(url, "UPDATE revisions SET payload = 'put back' WHERE number = 1")
    with pytest.raises(LedgerDamaged, match=r"row 1 .*erased, yet has content"):
        ledger.verify()


def test_erasing_the_newest_revision_clears_its_head(ledger: Ledger) -> None:
    append(ledger, change(title="Public"), change(state="withdrawn", title="Secret", reason="secret"))
    ledger.erase(2, "by law")
    head = ledger.head("city", "jelgava")
    assert head is not None
    assert (head.title, head.reason, head.state) == ("", "", "withdrawn")
    assert ledger.verify() == 2


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE erasures SET reason = 'other' WHERE number = 2", "erasure 2 .*row 2"),
        ("DELETE FROM erasures WHERE number = 2", "row 2 .*payload is missing"),
        ("DELETE FROM erasures WHERE number = 1", "erasure 1 "),
    ],
)
def test_erasures_cannot_be_changed_unseen(ledger: Ledger, url: str, statement: str, message: str) -> None:
    append(ledger, change(state="draft"), change(state="draft"), change())
    ledger.erase(1, "by law")
    ledger.erase(2, "by law")
    tamper(url, statement)
    with pytest.raises(LedgerDamaged, match=message):
        ledger.verify()


def test_what_readers_see_is_withdrawn_before_it_is_erased(ledger: Ledger) -> None:
    append(ledger, change(), change(state="draft"))
    with pytest.raises(BadRequest, match="withdraw or replace it first"):
        ledger.erase(1, "by law")
    with pytest.raises(BadRequest, match="needs a reason"):
        ledger.erase(2, " ")
    with pytest.raises(NotFound):
        ledger.erase(9, "by law")
    assert ledger.revision(1).payload
    append(ledger, change(state="withdrawn", payload=""))
    ledger.erase(1, "by law")
    assert ledger.revision(1).payload is None


def test_no_byte_of_an_erased_record_stays_in_the_sqlite_file(tmp_path: Path) -> None:
    with Ledger.create(f"sqlite:///{tmp_path}/ledger.db", BASE) as ledger:
        append(ledger, change("other", "draft", payload="<urn:kept>"))
        append(ledger, change(state="draft", payload="<urn:marker> " * 2000, title="marker", note="marker"))
        assert any(b"marker" in path.read_bytes() for path in tmp_path.iterdir())
        ledger.erase(2, "by law")
        assert not any(b"marker" in path.read_bytes() for path in tmp_path.iterdir())
        assert any(b"<urn:kept>" in path.read_bytes() for path in tmp_path.iterdir())


# Any order of operations


NAMES = st.sampled_from(["a", "b", "c"])
STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("append"),
            st.lists(
                st.tuples(NAMES, st.sampled_from(STATES), st.text(max_size=5), st.none() | st.integers(0, 12)),
                max_size=4,
            ),
            st.booleans(),
        ),
        st.tuples(st.just("erase"), st.integers(0, 12)),
    ),
    max_size=12,
)


class Model:
    """The ledger as plain lists: rows are (id, state, text or None), numbered from 1."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str, str | None]] = []

    def newest(self, name: str) -> int:
        return max((n for n, row in enumerate(self.rows, 1) if row[0] == name), default=0)

    def published(self, name: str) -> int | None:
        found = None
        for number, (id, state, _) in enumerate(self.rows, 1):
            if id == name and state in ("published", "withdrawn", "merged"):
                found = number if state == "published" else None
        return found

    def append(self, id: str, state: str, words: str, expected: int | None) -> bool:
        storable = "\x00" not in words
        if not storable or expected not in (None, self.newest(id)):
            return False
        self.rows.append((id, state, words))
        return True

    def erase(self, number: int) -> None:
        if 1 <= number <= len(self.rows) and all(self.published(name) != number for name in "abc"):
            id, state, _ = self.rows[number - 1]
            self.rows[number - 1] = (id, state, None)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS)
def test_any_sequence_of_operations_agrees_with_a_simple_model(steps: list[Any]) -> None:
    model = Model()
    with TemporaryDirectory() as folder, Ledger.create(f"sqlite:///{folder}/ledger.db", BASE) as ledger:
        for step in steps:
            if step[0] == "erase":
                model.erase(step[1])
                with_refusals(ledger.erase, step[1], "by law")
            else:
                transact(ledger, model, step[1], fails=step[2])
        compare(ledger, model)


def transact(ledger: Ledger, model: Model, changes: list[Any], *, fails: bool) -> None:
    before = list(model.rows)
    try:
        with ledger.write() as tx:
            for id, state, words, expected in changes:
                into = "z" if state == "merged" else None
                wanted = change(id, state, payload=words, title=words, expected=expected, replaced_by=into)
                assert with_refusals(tx.append, wanted) == model.append(id, state, words, expected)
            if fails:
                raise KeyError
    except KeyError:
        model.rows = before


def with_refusals(call: Any, *args: Any) -> bool:
    try:
        call(*args)
    except (BadRequest, NotFound, StaleRecord, DuplicateRecord, InvalidRecord):
        return False
    return True


def compare(ledger: Ledger, model: Model) -> None:
    assert ledger.verify() == ledger.last_number() == len(model.rows)
    assert [(r.id, r.state, r.payload) for r in content(ledger)] == model.rows
    for name in "abc":
        head, published = ledger.head("city", name), ledger.published("city", name)
        assert (head.number if head else 0) == model.newest(name)
        assert (published.number if published else None) == model.published(name)
        assert [r.number for r in ledger.history("city", name)] == [
            n for n, row in enumerate(model.rows, 1) if row[0] == name
        ]
    numbers = sorted(n for name in "abc" if (n := model.published(name)))
    assert [r.number for r in ledger.published_revisions(batch=2)] == numbers
    assert [h.id for h in ledger.list("city")] == sorted({row[0] for row in model.rows})


def test_a_transaction_is_a_reader_of_its_own_kind() -> None:
    """What can be asked of the ledger can be asked inside a transaction, under the same names."""
    for name in ("head", "referenced", "revision", "published", "history", "since", "list", "count", "last_number"):
        assert callable(getattr(Ledger, name))
        assert callable(getattr(Transaction, name))
