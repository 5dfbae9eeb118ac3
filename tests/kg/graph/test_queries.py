"""Strangers' queries: each sees every change, none outlives its limits, and one client's do not stop another's."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from io import StringIO
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn, TypeVar

import pyoxigraph as ox
import pytest

from kg.errors import BadQuery, Busy, KgError, ModelMissing, RefusedQuery, TooLarge, TooSlow
from kg.graph import processes, queries, worker
from kg.graph.guard import Hit, Search
from kg.graph.queries import GRAPHS, TABLES, Answer, Limits, NoFormat, QueryService, Question
from kg.graph.store import OxigraphStore

BASE = "https://x.org/"
COUNT = "SELECT (COUNT(*) AS ?n) { ?s ?p ?o }"
SLOW = "SELECT (COUNT(*) AS ?n) { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i . ?j ?k ?l . ?m ?n0 ?o }"
PATIENT = Limits(deadline_seconds=60, wait_seconds=60)

T = TypeVar("T")


def city(id: str, number: int, *names: str, state: str = "published", visibility: str = "public") -> SimpleNamespace:
    """A revision of a city with some names."""
    lines = [f'<{BASE}id/city/{id}> <urn:name> "{name}" .' for name in names]
    time = datetime(2026, 3, 1, tzinfo=UTC)
    return SimpleNamespace(
        number=number,
        kind="city",
        id=id,
        state=state,
        visibility=visibility,
        time=time,
        author="",
        payload="\n".join(lines),
    )


@pytest.fixture(params=["in memory", "over snapshots"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OxigraphStore]:
    """A graph whose queries are answered from memory, and one that is answered from the disk."""
    with OxigraphStore(tmp_path / "graph" if request.param == "over snapshots" else None, BASE) as store:
        yield store


@pytest.fixture
def graph(empty: OxigraphStore) -> OxigraphStore:
    empty.apply([city(f"c{number}", number, *"abcdefgh") for number in range(1, 101)], 100)
    return empty


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second for snapshots is over at once, so that a test need not wait for it."""
    monkeypatch.setattr(processes, "FRESH_SECONDS", 0.0)


def using(
    graph: OxigraphStore,
    work: Callable[[QueryService], Coroutine[Any, Any, T]],
    limits: Limits = PATIENT,
    search: Callable[[Search], list[Hit]] | None = None,
) -> T:
    """Run `work` with a service over the graph; one on disk is answered by snapshots."""

    async def run() -> T:
        async with QueryService(graph, search, replace(limits, graph_bytes=0)) as service:
            return await work(service)

    return asyncio.run(run())


def ask(service: QueryService, query: str, client: str = "somebody", **more: Any) -> Awaitable[Answer]:
    return service.ask(Question(query, **more), client=client)


async def names(service: QueryService) -> list[str]:
    """All names there are, as a query sees them."""
    answer = await ask(service, "SELECT ?name { ?c <urn:name> ?name } ORDER BY ?name", table="text/csv")
    return [row["name"] for row in csv.DictReader(StringIO(answer.body.decode()))]


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that has to come, generously."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


# Changes


@pytest.mark.usefixtures("at_once")
def test_a_query_sees_every_change_before_it(empty: OxigraphStore, tmp_path: Path) -> None:
    store, words = empty, tmp_path / "words.ttl"

    async def work(service: QueryService) -> None:
        assert await names(service) == []
        store.apply([city("riga", 1, "Riga"), city("gent", 2, "Ghent")], 2)
        assert await names(service) == ["Ghent", "Riga"]
        store.apply([city("riga", 3, "Rīga")], 3)
        assert await names(service) == ["Ghent", "Rīga"]
        store.apply([city("gent", 4, state="withdrawn")], 4)
        assert await names(service) == ["Rīga"]
        store.apply([city("lyon", 5, "Lyon", state="draft"), city("nice", 6, "Nice", visibility="team")], 6)
        assert await names(service) == ["Rīga"]
        words.write_text('<urn:w> <urn:name> "word" .')
        store.load_vocabulary({"urn:words": words})
        assert await names(service) == ["Rīga", "word"]
        store.load_vocabulary({})
        store.clear()
        assert await names(service) == []
        store.apply([city("riga", 7, "Rīga again")], 7)
        assert await names(service) == ["Rīga again"]

    using(store, work)


def test_a_graph_on_disk_that_is_small_enough_is_held_in_memory(tmp_path: Path) -> None:
    """Then a query sees a change at once."""

    async def work() -> None:
        async with QueryService(store, None, PATIENT) as service:
            for number in range(1, 6):
                store.apply([city("riga", number, str(number))], number)
                assert await names(service) == [str(number)]
            assert not snapshots(store)

    with OxigraphStore(tmp_path / "graph", BASE) as store:
        asyncio.run(work())


def snapshots(store: OxigraphStore) -> list[Path]:
    """The snapshots there are beside a graph."""
    assert store.folder is not None
    return list(store.folder.parent.glob(f"{processes.SNAPSHOTS}*/*"))


def test_over_snapshots_a_change_is_seen_after_a_second_and_no_two_are_made_in_one(tmp_path: Path) -> None:
    made = []

    class Watched(OxigraphStore):
        def snapshot(self, folder: Path) -> None:
            made.append(time.monotonic())
            super().snapshot(folder)

    async def work(service: QueryService) -> None:
        assert await names(service) == []
        number, written = 0, {}
        until = time.monotonic() + 3.5
        while time.monotonic() < until:
            number += 1
            store.apply([city("riga", number, f"{number:04}")], number)
            written[number] = time.monotonic()
            asked = time.monotonic()
            found = max([0, *map(int, await names(service))])
            assert all(one <= found for one, when in written.items() if when <= asked - 1.0)
            assert len(snapshots(store)) <= 2
        assert number > 5
        count = len(made)
        assert all(later - earlier >= 1.0 for earlier, later in pairwise(made))
        await asyncio.sleep(1.1)
        assert await names(service) == [f"{number:04}"]
        await asyncio.sleep(1.1)
        assert await names(service) == [f"{number:04}"]
        assert len(made) <= count + 1

    with Watched(tmp_path / "graph", BASE) as store:
        using(store, work)
        assert not snapshots(store)


@pytest.mark.usefixtures("at_once")
def test_a_snapshot_stays_as_long_as_a_query_reads_it(tmp_path: Path) -> None:
    async def work(service: QueryService) -> None:
        slow = asyncio.ensure_future(ask(service, SLOW))
        await until(lambda: service.status()["processes"] == 1)
        (first,) = snapshots(store)
        for number in range(200, 203):
            store.apply([city("riga", number, str(number))], number)
            await ask(service, "ASK {}")
        await until(lambda: len(snapshots(store)) == 2)
        assert first in snapshots(store)
        slow.cancel()
        await until(lambda: len(snapshots(store)) == 1)
        assert first not in snapshots(store)

    with OxigraphStore(tmp_path / "graph", BASE) as store:
        store.apply([city(f"c{number}", number, *"abcdefgh") for number in range(1, 101)], 100)
        using(store, work)


@pytest.mark.usefixtures("at_once")
def test_a_process_with_an_old_snapshot_answers_nobody_else(tmp_path: Path) -> None:
    async def work(service: QueryService) -> None:
        assert await names(service) == []
        begun = service.begin(Question("ASK {}"), "somebody")
        assert begun is not None
        store.apply([city("riga", 1, "new")], 1)
        assert await names(service) == ["new"]
        await until(lambda: service.finished(begun, 1_000) is not None)
        for _ in range(3):
            assert await names(service) == ["new"]
        await until(lambda: len(snapshots(store)) == 1)

    with OxigraphStore(tmp_path / "graph", BASE) as store:
        using(store, work)


def test_snapshots_that_ended_processes_left_are_removed_and_others_are_not(tmp_path: Path) -> None:
    left = tmp_path / f"{processes.SNAPSHOTS}left"
    (left / "1").mkdir(parents=True)

    async def work(service: QueryService) -> None:
        await ask(service, "ASK {}")
        assert not left.exists()
        async with QueryService(store, None, replace(PATIENT, graph_bytes=0)) as other:
            await ask(other, "ASK {}")
            assert len(snapshots(store)) == 2
        assert len(snapshots(store)) == 1
        await ask(service, "ASK {}")

    with OxigraphStore(tmp_path / "graph", BASE) as store:
        using(store, work)


def test_a_snapshot_that_is_gone_is_no_mistake_of_the_query(tmp_path: Path) -> None:
    async def work(service: QueryService) -> None:
        slow = asyncio.ensure_future(ask(service, SLOW))
        await until(lambda: service.status()["running"] == 1 and service.status()["processes"] == 1)
        (only,) = snapshots(store)
        shutil.rmtree(only)
        with pytest.raises(Busy):
            await ask(service, "ASK {}")
        slow.cancel()

    with OxigraphStore(tmp_path / "graph", BASE) as store:
        store.apply([city(f"c{number}", number, *"abcdefgh") for number in range(1, 101)], 100)
        using(store, work)


@pytest.mark.usefixtures("at_once")
def test_a_child_and_one_forked_later_see_the_same(graph: OxigraphStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "LAG", 5)

    async def work(service: QueryService) -> None:
        await ask(service, "ASK {}")
        for number in range(101, 131):
            graph.apply([city("c1", number, f"n{number}")], number)
            if number % 3 == 0:
                assert f"n{number}" in await names(service)
        several = await asyncio.gather(*(names(service) for _ in range(3)))
        assert several[0] == several[1] == several[2]
        everything = await ask(service, "CONSTRUCT WHERE { ?s ?p ?o }", graph="application/n-triples")
        known = graph.query("CONSTRUCT WHERE { ?s ?p ?o }", graph="ntriples")
        assert sorted(everything.body.splitlines()) == sorted(known.splitlines())

    using(graph, work)


@pytest.mark.usefixtures("at_once")
def test_more_changes_than_are_kept_start_the_processes_anew(
    graph: OxigraphStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "LOG_BYTES", 2_000)

    async def work(service: QueryService) -> None:
        await ask(service, "ASK {}")
        graph.apply([city("big", 101, *(f"long name {number}" for number in range(100)))], 101)
        assert "long name 99" in await names(service)

    using(graph, work)


@pytest.mark.usefixtures("at_once")
def test_two_services_over_one_graph_are_both_told(graph: OxigraphStore) -> None:
    async def work(one: QueryService) -> None:
        async with QueryService(graph, None, PATIENT) as other:
            await asyncio.gather(ask(one, "ASK {}"), ask(other, "ASK {}"))
            graph.apply([city("riga", 101, "Riga")], 101)
            assert "Riga" in await names(one)
            assert "Riga" in await names(other)
        graph.apply([city("riga", 102, "Rīga")], 102)
        assert "Rīga" in await names(one)

    using(graph, work)


@pytest.mark.usefixtures("at_once")
def test_the_view_s_own_notes_are_not_there(graph: OxigraphStore) -> None:
    async def work(service: QueryService) -> None:
        for marker in (101, 102):
            graph.apply([], marker)
            found = await ask(service, "SELECT ?g { GRAPH ?g { } }", table="text/csv")
            assert found.body.count(b"\n") == 101
            assert b"system" not in found.body

    using(graph, work)


# Limits


def refused(over: OxigraphStore, query: str, limits: Limits, **more: Any) -> KgError:
    """The refusal of a query; the next query is answered all the same."""

    async def work(service: QueryService) -> KgError:
        with pytest.raises(KgError) as told:
            await ask(service, query, **more)
        assert (await ask(service, "ASK {}", table="text/csv")).body == b"true"
        assert service.status()["running"] == 0
        return told.value

    return using(over, work, limits)


def test_the_deadline_ends_a_query(graph: OxigraphStore) -> None:
    error = refused(graph, SLOW, Limits(deadline_seconds=0.5))
    assert isinstance(error, TooSlow)
    assert "within 0.5 seconds" in str(error)
    assert "VALUES" in str(error)
    assert "n’était pas finie au bout de 0,5 secondes et a été arrêtée ; commencez par le motif" in error.told("fr")


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * { ?a ?b ?c . ?d ?e ?f } ORDER BY ?c ?f",
        "SELECT (GROUP_CONCAT(CONCAT(STR(?a), STR(?d))) AS ?x) { ?a ?b ?c . ?d ?e ?f }",
    ],
)
def test_the_memory_cap_ends_a_query(graph: OxigraphStore, query: str) -> None:
    error = refused(graph, query, Limits(deadline_seconds=60, memory_bytes=60_000_000))
    assert isinstance(error, TooSlow)
    assert "60 MB of memory" in str(error)
    assert "plus de 60 Mo de mémoire et a été arrêtée ; commencez par le motif" in error.told("fr")


@pytest.mark.parametrize(
    "query",
    [
        "ASK { FILTER(" + "!" * 90_000 + "true) }",
        "ASK { FILTER(" + "1+" * 40_000 + "1) }",
        "ASK { ?s " + "/".join(["<urn:p>"] * 9_000) + " ?o }",
    ],
    ids=["nots", "sums", "a path"],
)
def test_a_query_that_is_too_much_for_the_parser_is_a_bad_one(graph: OxigraphStore, query: str) -> None:
    error = refused(graph, query, PATIENT)
    assert isinstance(error, BadQuery)
    assert "la requête est trop imbriquée pour être lue" in error.told("fr")


def test_a_long_text_is_refused_before_it_is_read(graph: OxigraphStore) -> None:
    error = refused(graph, "ASK {}".ljust(1_001), Limits(query_bytes=1_000))
    assert isinstance(error, TooLarge)
    assert "1,001 bytes; 1,000 are allowed" in str(error)
    assert "la requête compte 1\u202f001 octets ; 1\u202f000 sont admis" in error.told("fr")


TRICKY = ["},{", '"},{"', "a\nb", "\r\n", '"', "<result>", ',"', "\\", "}},{{", "tab\there"]
VALUES = " ".join(str(ox.Literal(text)) for text in TRICKY)


@pytest.mark.parametrize("table", TABLES)
def test_rows_are_counted_whatever_stands_in_them(graph: OxigraphStore, table: str) -> None:
    query = f"SELECT ?x (?x AS ?y) ?z {{ {{ VALUES ?x {{ {VALUES} }} }} UNION {{}} }}"
    exactly = len(TRICKY) + 1
    error = refused(graph, query, Limits(rows=exactly - 1), table=table)
    assert isinstance(error, RefusedQuery)
    assert f"more than {exactly - 1} rows" in str(error)
    assert f"plus de {exactly - 1} lignes" in error.told("fr")
    answer = using(graph, lambda service: ask(service, query, table=table), Limits(rows=exactly))
    assert answer.media_type == table
    if table != "text/csv":
        assert len(list(ox.parse_query_results(answer.body, TABLES[table]))) == exactly


@pytest.mark.parametrize("media_type", GRAPHS)
def test_triples_are_counted(graph: OxigraphStore, media_type: str) -> None:
    query = "CONSTRUCT WHERE { <https://x.org/id/city/c1> ?p ?o }"
    error = refused(graph, query, Limits(rows=7), graph=media_type)
    assert isinstance(error, RefusedQuery)
    assert "more than 7 triples" in str(error)
    answer = using(graph, lambda service: ask(service, query, graph=media_type), Limits(rows=8))
    assert len(list(ox.parse(answer.body, GRAPHS[media_type]))) == 8


def test_bytes_are_counted(graph: OxigraphStore) -> None:
    for query in ("SELECT * { ?s ?p ?o }", "CONSTRUCT WHERE { ?s ?p ?o }"):
        error = refused(graph, query, Limits(answer_bytes=5_000))
        assert isinstance(error, RefusedQuery)
        assert "more than 5,000 bytes" in str(error)
        assert "plus de 5\u202f000 octets" in error.told("fr")


def test_what_a_process_refuses_is_told_in_both_languages(graph: OxigraphStore) -> None:
    for query, french in (
        ("DROP ALL", "DROP est refusé"),
        ("ASK FROM <urn:none> {}", "il n’y a pas de graphe 'urn:none'"),
    ):
        error = refused(graph, query, PATIENT)
        assert isinstance(error, RefusedQuery)
        assert french in error.told("fr")
    for query, more, french in (
        ("nothing", {}, "aucune requête ne commence par 'nothing'"),
        ("ASK {}", {"default_graphs": ("a b",)}, "'a b' n’est pas l’adresse d’un graphe ; le moteur dit : « "),
        ("ASK { '\ud800' }", {}, "la requête contient des caractères qui ne sont pas du texte"),
    ):
        error = refused(graph, query, PATIENT, **more)
        assert isinstance(error, BadQuery)
        assert french in error.told("fr")


def test_what_the_service_cannot_do_just_now_is_told_in_both_languages(monkeypatch: pytest.MonkeyPatch) -> None:
    async def told(service: QueryService) -> str:
        with pytest.raises(Busy) as busy:
            await ask(service, "ASK {}")
        return busy.value.told("fr")

    async def stopped(service: QueryService) -> str:
        await service.stop()
        return await told(service)

    def fails(*_: object) -> NoReturn:
        raise OSError("no space")

    async def gone(*_: object) -> NoReturn:
        raise processes.ProcessGone

    with OxigraphStore(None, BASE) as graph:
        assert "en train de s’arrêter" in using(graph, stopped)
        with monkeypatch.context() as patched:
            patched.setattr(processes, "InMemory", fails)
            assert "les requêtes ne peuvent pas encore recevoir de réponse ; renvoyez" in using(graph, told)
        monkeypatch.setattr(QueryService, "_answered", gone)
        assert "le service des requêtes redémarre ; renvoyez" in using(graph, told)


def test_what_the_engine_does_not_end_is_told_in_both_languages(graph: OxigraphStore) -> None:
    async def work(service: QueryService) -> str:
        await service.start()
        slow = asyncio.ensure_future(ask(service, SLOW))
        await until(lambda: service.status()["running"] == 1)
        os.kill(service.processes()[1], signal.SIGTERM)
        with pytest.raises(BadQuery, match="the engine gave up on it") as told:
            await slow
        return told.value.told("fr")

    assert "ne peut pas recevoir de réponse : le moteur y a renoncé ; écrivez-la autrement" in using(graph, work)


@pytest.mark.parametrize("error", [ValueError("no number"), RuntimeError("broken"), OSError("gone")])
def test_what_the_engine_says_of_itself_is_quoted_in_french(error: Exception) -> None:
    class Engine:
        def query(self, *_: object, **__: object) -> NoReturn:
            raise error

    ours, theirs = socket.socketpair()
    limits = {"rows": 1, "answer_bytes": 1, "snapshot": "none is read"}
    with ours, theirs, pytest.raises(BadQuery) as told:
        worker._Child(Engine(), theirs, limits)._run(  # type: ignore[arg-type]
            {"table": "text/csv", "graph": None, "default_graphs": None, "named_graphs": None}, "ASK {}"
        )
    assert told.value.told("en") == f"the query cannot be answered: {error}"
    assert told.value.told("fr") == f"la requête ne peut pas recevoir de réponse ; le moteur dit : « {error} »"


def test_a_format_that_nobody_takes_is_told_with_the_form(graph: OxigraphStore) -> None:
    for query, form in (("ASK {}", "table"), ("DESCRIBE <urn:x>", "graph")):
        with pytest.raises(NoFormat) as told:
            using(graph, lambda service, query=query: ask(service, query, table=None, graph=None))
        assert told.value.form == form


def test_no_other_address_is_called(graph: OxigraphStore) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        address = f"<http://127.0.0.1:{listening.getsockname()[1]}/>"
        for query in (
            f"ASK {{ SERVICE {address} {{ }} }}",
            f"ASK {{ FILTER EXISTS {{ \\u0053ERVICE {address} {{ }} }} }}",
        ):
            assert isinstance(refused(graph, query, PATIENT), RefusedQuery)
        assert isinstance(refused(graph, f"ASK FROM {address} {{ }}", PATIENT), RefusedQuery)
        with pytest.raises(BlockingIOError):
            listening.accept()


# Processes


def test_a_child_can_open_nothing(graph: OxigraphStore) -> None:
    async def work(service: QueryService) -> None:
        asking = asyncio.ensure_future(ask(service, SLOW))
        await until(lambda: service.status()["processes"] == 1)
        _, child = service.processes()
        await until(lambda: limit_of(child, "Max address space").isdigit())
        assert limit_of(child, "Max core file size") == "0"
        if graph.folder is None:
            await until(lambda: limit_of(child, "Max open files") == "0")
            assert len(os.listdir(f"/proc/{child}/fd")) <= 4
        else:
            threads = list(Path(f"/proc/{child}/task").glob("*/status"))
            assert all("Seccomp:\t2\n" in thread.read_text() for thread in threads)
            opened = [os.readlink(one) for one in Path(f"/proc/{child}/fd").iterdir()]
            assert sum(one.startswith("socket:") for one in opened) == 1
            assert not any(one.startswith(str(graph.folder)) for one in opened)
        asking.cancel()

    using(graph, work)


def test_a_child_with_files_cannot_make_a_socket() -> None:
    """The second lock, behind the guard: the engine's own call to another address fails in the system."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        address = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        code = f"""
import pyoxigraph, socket
from kg.graph.worker import _refuse_sockets
_refuse_sockets()
try:
    socket.socket()
except PermissionError:
    print("refused")
try:
    print(list(pyoxigraph.Store().query("SELECT * {{ SERVICE <{address}> {{ ?s ?p ?o }} }}")))
except OSError:
    print("refused")
"""
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout == "refused\nrefused\n"
        with pytest.raises(BlockingIOError):
            listening.accept()


def limit_of(pid: int, name: str) -> str:
    """A process's own limit, as the system knows it."""
    return Path(f"/proc/{pid}/limits").read_text().split(name)[1].split()[0]


def test_an_asker_who_leaves_frees_the_place(graph: OxigraphStore) -> None:
    async def work(service: QueryService) -> None:
        asking = asyncio.ensure_future(ask(service, SLOW))
        await until(lambda: service.status()["processes"] == 1)
        await asyncio.sleep(0.2)
        _, child = service.processes()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await until(lambda: not Path(f"/proc/{child}").exists())
        assert (await ask(service, "ASK {}", table="text/csv")).body == b"true"

    using(graph, work, Limits(at_once=1, deadline_seconds=600))


def test_a_process_that_waits_has_its_memory_to_itself_before_it_is_asked() -> None:
    async def work(service: QueryService) -> None:
        await service.start()
        _, child = service.processes()
        await until(lambda: own_bytes(child) > 10_000_000)
        await until(lambda: is_asleep(child))
        before = own_bytes(child)
        assert (await ask(service, COUNT, table="text/csv")).body.split() == [b"n", b"50700"]
        # What is asked then copies nothing more of the graph: without the waiting it copied all of it.
        assert own_bytes(child) - before < 3_000_000

    with OxigraphStore(None, BASE) as store:
        store.apply([city(f"c{number}", number, *map(str, range(500))) for number in range(1, 101)], 100)
        using(store, work)


def test_a_process_that_waits_gets_huge_pages_where_there_are_any() -> None:
    setting = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    if tuple(map(int, os.uname().release.split(".")[:2])) < (6, 1) or not setting.exists():
        pytest.skip("this system has no huge pages to ask for (Linux 6.1)")

    async def work(service: QueryService) -> None:
        await service.start()
        _, child = service.processes()
        await until(lambda: own_bytes(child, "AnonHugePages") > 4_000_000)
        await until(lambda: is_asleep(child))
        assert (await ask(service, COUNT, table="text/csv")).body.split() == [b"n", b"50700"]

    with OxigraphStore(None, BASE) as store:
        store.apply([city(f"c{number}", number, *map(str, range(500))) for number in range(1, 101)], 100)
        using(store, work)


def test_a_process_that_has_grown_old_is_replaced_before_the_next_query(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "ANSWERS_PER_CHILD", 3)

    async def work(service: QueryService) -> None:
        await service.start()
        _, first = service.processes()
        for _ in range(3):
            assert service.processes()[1:] == [first]
            await ask(service, "ASK {}", table="text/csv")
        await until(lambda: len(service.processes()) == 2 and service.processes()[1] != first)
        begun = service.begin(Question("ASK {}", table="text/csv"), "another")
        assert begun is not None
        assert (await service.ask(Question("ASK {}"), client="another", begun=begun)).body == b"true"

    with OxigraphStore(None, BASE) as store:
        using(store, work)


@pytest.mark.usefixtures("at_once")
def test_what_cannot_begin_at_once_does_not(graph: OxigraphStore) -> None:
    async def work(service: QueryService) -> None:
        asked = Question("ASK {}")
        assert service.begin(asked, "me") is None  # no process yet
        await service.start()
        assert service.begin(Question("ASK {} #" + "x" * 100), "me") is None
        assert service.begin(Question("ASK {} #\ud800"), "me") is None
        first = service.begin(asked, "me")
        assert first is not None
        assert service.begin(asked, "me") is None  # its share is taken
        assert service.begin(asked, "you") is None  # no process waits
        service.give_up(first)
        await until(lambda: service.status()["processes"] == 0)
        await service.start()
        graph.apply([city("riga", 500, "new")], 500)
        assert service.begin(asked, "me") is None  # it has not seen the change
        assert (await ask(service, "ASK {}")).body
        assert service._holder is not None
        (waiting,) = service._holder.idle
        os.kill(waiting.pid, signal.SIGKILL)
        await until(lambda: waiting.has_ended)
        assert service.begin(asked, "me") is None
        assert (await ask(service, "ASK {}")).body
        assert service.status()["running"] == 0

    using(graph, work, Limits(at_once=2, query_bytes=100, graph_bytes=PATIENT.graph_bytes))


@pytest.mark.parametrize("said", [b"no JSON", b"[]", b'{"media_type": "text/html\\r\\nX: y", "grown_bytes": "many"}'])
def test_what_a_process_says_is_not_believed(graph: OxigraphStore, said: bytes) -> None:
    async def work(service: QueryService) -> None:
        await service.start()
        begun = service.begin(Question("ASK {}"), "me")
        assert begun is not None
        begun.child._unread[:] = worker.HEAD.pack(len(said), 1) + said + b"x"
        assert service.finished(begun, 1_000) is None
        service.give_up(begun)
        assert (await ask(service, "ASK {}", table="text/csv")).body == b"true"

    using(graph, work)


def test_changes_and_queries_that_come_meanwhile_are_heard() -> None:
    async def work(service: QueryService) -> None:
        await service.start()
        _, child = service.processes()
        for number in range(101, 141):
            store.apply([city(f"c{number}", number, "new")], number)
            found = await ask(service, 'SELECT (COUNT(*) AS ?n) { ?c <urn:name> "new" }', table="text/csv")
            assert found.body.split() == [b"n", str(number - 100).encode()]
        assert service.processes()[1:] == [child]
        await until(lambda: is_asleep(child))

    with OxigraphStore(None, BASE) as store:
        store.apply([city(f"c{number}", number, *map(str, range(500))) for number in range(1, 101)], 100)
        using(store, work)


def own_bytes(pid: int, sort: str = "Private_Dirty") -> int:
    """Bytes that a process has for itself alone, or of another sort that the system counts."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(sort))


def is_asleep(pid: int) -> bool:
    """Whether a process waits in the call that reads its socket, with nothing else to do."""
    return Path(f"/proc/{pid}/wchan").read_text().startswith("unix_stream")


@pytest.mark.usefixtures("at_once")
def test_when_the_holder_dies_another_is_started(graph: OxigraphStore) -> None:
    async def work(service: QueryService) -> None:
        assert (await ask(service, "ASK {}", table="text/csv")).body == b"true"
        holder, child = service.processes()
        os.kill(holder, signal.SIGKILL)
        graph.apply([city("riga", 101, "Riga")], 101)
        # A holder takes a moment to die, and until then its child may still be told and answer.
        assert "Riga" in await names(service)
        await until(lambda: not Path(f"/proc/{child}").exists())
        assert "Riga" in await names(service)
        assert holder not in service.processes()

    using(graph, work)


def test_nothing_is_left_behind(graph: OxigraphStore) -> None:
    async def work(service: QueryService) -> list[int]:
        await asyncio.gather(*(ask(service, COUNT, client=str(number)) for number in range(4)))
        asyncio.ensure_future(ask(service, SLOW)).add_done_callback(lambda done: done.cancelled() or done.exception())
        await until(lambda: service.status()["running"] == 1)
        return service.processes()

    processes = using(graph, work)
    assert len(processes) > 1
    asyncio.run(until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in processes)))


# The line


def test_many_are_answered_or_told_to_come_back(graph: OxigraphStore) -> None:
    async def work(service: QueryService) -> list[object]:
        asked = (ask(service, COUNT, client=str(number % 5)) for number in range(100))
        return await asyncio.gather(*asked, return_exceptions=True)

    found = using(graph, work, Limits(at_once=2, waiting=10, deadline_seconds=60, wait_seconds=60))
    answers = [one for one in found if isinstance(one, Answer)]
    assert len(answers) == 12
    assert len({answer.body for answer in answers}) == 1
    refusals = [one for one in found if not isinstance(one, Answer)]
    assert all(isinstance(one, Busy) and "en cours en ce moment" in one.told("fr") for one in refusals)


def test_whoever_waits_too_long_is_told_to_come_back(graph: OxigraphStore) -> None:
    async def work(service: QueryService) -> None:
        slow = asyncio.ensure_future(ask(service, SLOW, client="greedy"))
        await until(lambda: service.status()["running"] == 1)
        with pytest.raises(Busy) as told:
            await ask(service, "ASK {}")
        assert "beaucoup de requêtes sont en cours en ce moment ; renvoyez" in told.value.told("fr")
        assert service.status()["waiting"] == 0
        slow.cancel()

    using(graph, work, Limits(at_once=1, wait_seconds=0.2, deadline_seconds=600))


def test_one_client_leaves_a_place_for_others(graph: OxigraphStore) -> None:
    """The greedy one fills all it can get, and the line as well; a newcomer is answered nevertheless."""

    async def work(service: QueryService) -> None:
        greedy = [asyncio.ensure_future(ask(service, SLOW, client="greedy")) for _ in range(10)]
        await until(lambda: service.status()["running"] == 2)
        assert service.status() | {"processes": 0} == {"running": 2, "waiting": 4, "processes": 0}
        for _ in range(5):
            assert (await ask(service, "ASK {}", client="modest", table="text/csv")).body == b"true"
        first, second = (asyncio.ensure_future(ask(service, COUNT, client=one)) for one in ("modest", "shy"))
        assert json.loads((await first).body) == json.loads((await second).body)
        for one in greedy:
            one.cancel()
        ended = await asyncio.gather(*greedy, return_exceptions=True)
        assert sum(isinstance(one, Busy) for one in ended) >= 4

    using(graph, work, Limits(at_once=3, waiting=4, wait_seconds=60, deadline_seconds=600))


# Search


def test_searches_are_answered_by_the_service(graph: OxigraphStore) -> None:
    asked: list[Search] = []

    def search(one: Search) -> list[Hit]:
        asked.append(one)
        return [Hit(f"{BASE}id/city/c{number}", number / 10, f'"{number}"', "en") for number in range(1, one.limit + 1)]

    query = """SELECT ?c ?score ?text ?name {
        SERVICE mg:search { ?c mg:query "shade" ; mg:score ?score ; mg:limit 2 ; mg:passage ?text }
        ?c <urn:name> ?name FILTER(?name = "a") } ORDER BY ?score"""
    answer = using(graph, lambda service: ask(service, query, table="text/csv"), search=search)
    rows = list(csv.DictReader(StringIO(answer.body.decode())))
    assert [(row["score"], row["text"]) for row in rows] == [("0.1", '"1"'), ("0.2", '"2"')]
    assert [one.text for one in asked] == ["shade"]


def test_what_search_cannot_do_is_told(graph: OxigraphStore) -> None:
    def search(_: Search) -> list[Hit]:
        raise ModelMissing("prepare a model first")

    async def work(service: QueryService) -> None:
        with pytest.raises(ModelMissing):
            await ask(service, 'ASK { SERVICE mg:search { ?c mg:query "shade" } }')
        assert (await ask(service, "ASK {}", table="text/csv")).body == b"true"

    using(graph, work, search=search)
    with pytest.raises(BadQuery, match="no search") as told:
        using(graph, lambda service: ask(service, 'ASK { SERVICE mg:search { ?c mg:query "shade" } }'))
    assert "ce service n’a pas de recherche : SERVICE mg:search" in told.value.told("fr")
