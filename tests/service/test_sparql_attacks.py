"""Queries that are meant to hurt get a clean status, everybody else is answered meanwhile, and nothing is left of them."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest

from kg.catalogue import Catalogue
from service.api import sparql
from service.app import create_app
from service.settings import Settings
from tests.service.conftest import Server, running

DIRECT = {"Content-Type": "application/sparql-query"}
EVERYTHING = "?a1 ?b1 ?c1 . ?a2 ?b2 ?c2 . ?a3 ?b3 ?c3"
ENDLESS = f"SELECT (COUNT(*) AS ?n) {{ {EVERYTHING} . ?a4 ?b4 ?c4 }}"
STATUSES = {
    200: None,
    400: "bad-query",
    403: "refused-query",
    413: "too-large",
    503: "busy",
    504: "too-slow",
}

ATTACKS = {
    "counts of everything times everything": (ENDLESS, {504}),
    "everything times everything": (f"SELECT * {{ {EVERYTHING} }}", {403}),
    "everything sorted": (f"SELECT * {{ {EVERYTHING} }} ORDER BY ?c3 ?c2 ?c1", {504}),
    "everything once": (f"SELECT DISTINCT ?c1 ?c2 ?c3 {{ {EVERYTHING} }} ORDER BY ?c1", {403, 504}),
    "everything grouped": (f"SELECT ?c1 ?c2 (COUNT(*) AS ?n) {{ {EVERYTHING} }} GROUP BY ?c1 ?c2", {504}),
    "everything in one text": (f"SELECT (GROUP_CONCAT(?c1) AS ?all) {{ {EVERYTHING} }}", {504}),
    "paths of paths": ("SELECT * { ?a (!<urn:x>|^!<urn:x>)* ?b . ?b (!<urn:x>|^!<urn:x>)* ?c }", {403, 504}),
    "all as RDF": (f"CONSTRUCT {{ ?a1 ?b2 ?c3 }} {{ {EVERYTHING} }}", {403, 504}),
    "a text that doubles": (
        "SELECT ?y { BIND('xxxxxxxxxxxxxxxx' AS ?x0) "
        + "".join(f"BIND(CONCAT({', '.join([f'?x{n}'] * 16)}) AS ?x{n + 1}) " for n in range(8))
        + "BIND(STRLEN(?x8) AS ?y) }",
        {504},
    ),
    "an expression that backtracks": (
        "SELECT * { ?s ?p ?o FILTER(REGEX(CONCAT(STR(?o), '" + "a" * 5_000 + "'), '((a*)*)*b{1,900}')) ?t ?q ?r }",
        {200, 400, 403, 504},
    ),
    "10,000 groups in each other": ("ASK" + "{" * 10_000 + "}" * 10_000, {400}),
    "90,000 nots": ("ASK { FILTER(" + "!" * 90_000 + "true) }", {400}),
    "20,000 unions": ("ASK {" + "UNION".join(["{?s ?p ?o}"] * 6_000) + "}", {200, 400, 504}),
    "1 MB of text": ("ASK { ?s ?p '" + "x" * 990_000 + "' }", {413}),
}


@pytest.fixture(scope="module", params=[1_000_000_000, 0], ids=["in memory", "over snapshots"])
def small(catalogue: Catalogue, request: pytest.FixtureRequest) -> Iterator[Server]:
    """A service with narrow limits, so that attacks end soon; on the graph in memory, and over snapshots."""
    settings = Settings(
        sparql_graph_bytes=request.param,
        sparql_at_once=2,
        sparql_waiting=20,
        sparql_wait_seconds=30,
        sparql_deadline_seconds=2,
        sparql_memory_bytes=200_000_000,
        sparql_answer_bytes=5_000_000,
    )
    with running(create_app(settings, catalogue)) as server:
        yield server


@pytest.fixture(autouse=True)
def as_before(small: Server) -> Iterator[None]:
    """After each attack a plain query is answered, nobody runs or waits, and no answer is kept."""
    yield
    assert small.client.post("/sparql", content="ASK {}", headers=DIRECT).json()["boolean"] is True
    wait_until(lambda: small.app.state.queries.status()["running"] == 0)
    status = small.app.state.queries.status()
    assert status["waiting"] == 0
    assert status["processes"] <= 2
    wait_until(lambda: small.app.state.outbox.bytes == 0)


def wait_until(condition) -> None:
    """Wait for what has to come, generously."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_clean(answer: httpx.Response) -> bool:
    """A complete answer, or a problem document of the status's own type."""
    if answer.status_code == 200:
        return bool(answer.json())
    problem = answer.json()
    return (
        answer.headers["content-type"] == "application/problem+json"
        and problem["type"].rpartition("/")[2] == STATUSES[answer.status_code]
        and (answer.status_code != 503 or answer.headers["retry-after"].isdigit())
    )


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_gets_a_clean_status_and_stops_nobody(small: Server, attack: str) -> None:
    query, statuses = ATTACKS[attack]
    with ThreadPoolExecutor(1) as pool:
        attacking = pool.submit(small.client.post, "/sparql", content=query, headers=DIRECT)
        while not attacking.done():
            assert small.client.get("/health/live").status_code == 200
            assert small.client.get("/health/ready").status_code == 200
            time.sleep(0.1)
    answer = attacking.result()
    assert answer.status_code in statuses, answer.text[:500]
    assert is_clean(answer)


@pytest.mark.parametrize("media_type", ["application/sparql-query", "application/x-www-form-urlencoded"])
def test_a_body_that_is_too_long_is_refused_before_it_is_read(small: Server, media_type: str) -> None:
    host, port = small.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as plain:
        head = f"POST /sparql HTTP/1.1\r\nHost: x\r\nContent-Type: {media_type}\r\nContent-Length: 990000\r\n\r\n"
        plain.sendall(head.encode())
        assert plain.recv(1000).startswith(b"HTTP/1.1 413")


def test_memory_is_within_its_cap_under_each_attack(small: Server) -> None:
    """What a process answers from is shared; beyond it, none may take more than the cap and what interpreter and engine need."""
    limits = small.app.state.queries.limits
    cap = limits.memory_bytes + limits.answer_bytes + 100_000_000
    with ThreadPoolExecutor(2) as pool:
        for query in (
            ATTACKS["everything sorted"][0],
            ATTACKS["everything in one text"][0],
            ATTACKS["a text that doubles"][0],
        ):
            attacking = [pool.submit(small.client.post, "/sparql", content=query, headers=DIRECT) for _ in range(2)]
            most = 0
            while not all(one.done() for one in attacking):
                most = max([most, *map(own_memory, small.app.state.queries.processes()[1:])])
                time.sleep(0.02)
            assert all(is_clean(one.result()) for one in attacking)
            assert 0 < most <= cap, f"{most:,} bytes for {query}"


def own_memory(pid: int) -> int:
    """Bytes that a process has for itself alone; 0 when it has ended."""
    with suppress(OSError, IndexError):
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        return 1024 * sum(int(text.split(f"\n{name}:")[1].split()[0]) for name in ("Private_Dirty", "Private_Clean"))
    return 0


def test_a_query_that_was_stopped_is_told_how_to_narrow_it(small: Server) -> None:
    detail = small.client.post("/sparql", content=ENDLESS, headers=DIRECT).json()["detail"]
    assert "did not finish within 2 seconds" in detail
    assert "VALUES" in detail


def test_200_clients_at_once_are_answered_or_told_to_come_back(small: Server) -> None:
    queries = [ENDLESS, "SELECT (COUNT(*) AS ?n) { ?s a schema:City }", "DESCRIBE mg:Practice", "ASK {"]
    limits = httpx.Limits(max_connections=200)
    with (
        httpx.Client(base_url=small.url, timeout=120, limits=limits, trust_env=False) as client,
        ThreadPoolExecutor(200) as pool,
    ):
        accept = {"Accept": "application/json, application/ld+json"}
        asked = [
            pool.submit(client.post, "/sparql", content=queries[n % 4], headers=DIRECT | accept) for n in range(200)
        ]
        for _ in range(5):
            assert small.client.get("/health/live").status_code == 200
            suggested = small.client.post("/api/suggestions", json={"needs": [{"text": "one desk for newcomers"}]})
            assert suggested.status_code == 200
        answers = [one.result() for one in asked]
    assert all(is_clean(answer) for answer in answers)
    assert Counter(answer.status_code for answer in answers)[503] > 0


def connected(server: Server, target: str) -> socket.socket:
    """A plain socket that has sent a request and reads nothing."""
    host, port = server.url.removeprefix("http://").split(":")
    plain = socket.create_connection((host, int(port)))
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plain.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return plain


def test_a_client_that_goes_away_frees_its_place(small: Server) -> None:
    """With a deadline of ten minutes, only the leaving can have freed the places."""
    limits = small.app.state.queries.limits
    patient = type(limits)(**{**limits.__dict__, "deadline_seconds": 600.0})
    small.app.state.queries.limits = patient
    try:
        leaving = [connected(small, "/sparql?" + urlencode({"query": ENDLESS})) for _ in range(3)]
        wait_until(lambda: small.app.state.queries.status()["running"] >= 1)
        wait_until(lambda: small.app.state.queries.status()["waiting"] >= 1)
        for one in leaving:
            one.close()
        wait_until(lambda: small.app.state.queries.status()["running"] == 0)
    finally:
        small.app.state.queries.limits = limits


def test_slow_readers_hold_up_nobody_and_are_given_up(small: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sparql, "READING_SECONDS", 1.0)
    long = "SELECT * { ?s ?p ?o } LIMIT 20000"
    readers = [connected(small, "/sparql?" + urlencode({"query": long})) for _ in range(8)]
    try:
        wait_until(lambda: small.app.state.outbox.bytes > 0)
        answer = small.client.post("/sparql", content="ASK {}", headers=DIRECT)
        assert answer.json()["boolean"] is True
        wait_until(
            lambda: small.app.state.queries.status() | {"processes": 0} == {"running": 0, "waiting": 0, "processes": 0}
        )
        wait_until(lambda: small.app.state.outbox.bytes == 0)
    finally:
        for one in readers:
            one.close()


def test_when_too_much_is_unread_new_queries_are_put_off(small: Server) -> None:
    outbox = small.app.state.outbox
    with outbox.holding(sparql.UNREAD_ANSWERS * 5_000_000):
        answer = small.client.post("/sparql", content="ASK {}", headers=DIRECT)
        assert (answer.status_code, is_clean(answer)) == (503, True)


@pytest.mark.parametrize(
    "sent",
    [
        b"POST /sparql HTTP/1.1\r\nHost: x\r\nContent-Type: application/sparql-query\r\nContent-Length: 100\r\n\r\nASK",
        b"POST /sparql HTTP/1.1\r\nHost: x\r\nContent-Type: application/sparql-query\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /sparql?query=\x00\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /sparql?query=ASK{} HTTP/9.9\r\n\r\n",
        b"GET /sparql?" + b"x" * 200_000,
    ],
    ids=["cut short", "broken chunks", "no text", "no HTTP", "an endless address"],
)
def test_broken_requests_harm_nobody(small: Server, sent: bytes) -> None:
    host, port = small.url.removeprefix("http://").split(":")
    threads = threading.active_count()
    with socket.create_connection((host, int(port)), timeout=5) as plain, suppress(OSError):
        plain.sendall(sent)
        plain.shutdown(socket.SHUT_WR)
        answer = plain.recv(1000)
        assert not answer.startswith((b"HTTP/1.1 2", b"HTTP/1.1 500"))
    assert threading.active_count() < threads + 50  # a pool may grow; a request must not keep one each
