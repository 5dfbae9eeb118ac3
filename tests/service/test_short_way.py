"""A plain query is answered before the application is asked; what the client sees is the same as through it, byte for byte."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from urllib.parse import quote, urlsplit

import pytest
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from kg.catalogue import Catalogue
from kg.errors import Busy
from kg.graph.queries import Answer
from service import short_way
from service.api import sparql
from service.app import create_app
from service.settings import Settings
from tests.service.conftest import Server, running

CITIES = "SELECT ?city { ?city a schema:City } ORDER BY ?city LIMIT 2"
LONG = "SELECT * { ?s a ?of } LIMIT 40"
LONGER = "SELECT * { ?s a ?of } LIMIT 900"
SLOW = "SELECT (COUNT(*) AS ?n) { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i }"
TRIPLES = "CONSTRUCT { ?city a schema:City } WHERE { ?city a schema:City } ORDER BY ?city LIMIT 2"
SEARCH = 'SELECT ?p { SERVICE mg:search { ?p mg:query "migrant entrepreneurs"@en ; mg:limit 2 } }'
JSON = "application/sparql-results+json"
THROUGH = "X-Way: through the application"


@pytest.fixture(scope="module")
def small(catalogue: Catalogue) -> Iterator[Server]:
    with running(create_app(Settings(sparql_deadline_seconds=2, sparql_at_once=2), catalogue)) as server:
        yield server


@pytest.fixture(autouse=True)
def nothing_is_left(small: Server) -> Iterator[None]:
    """Before and after, a process waits and nobody has a place."""
    small.client.get("/sparql", params={"query": "ASK {}"}).raise_for_status()
    yield
    wait_until(lambda: small.app.state.queries.status()["running"] == 0)
    small.client.get("/sparql", params={"query": "ASK {}"}).raise_for_status()


def wait_until(holds: Callable[[], bool], seconds: float = 5) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.01)


def request(line: str, *headers: str, body: str | None = None, host: str = "127.0.0.1") -> bytes:
    lines = [f"{line} HTTP/1.1", f"Host: {host}", *headers]
    if body is not None:
        lines.append(f"Content-Length: {len(body.encode())}")
    return "\r\n".join([*lines, "", body or ""]).encode()


def by_link(query: str, more: str = "") -> str:
    return f"GET /sparql?query={quote(query)}{more}"


def opened(server: Server) -> socket.socket:
    parts = urlsplit(server.url)
    return socket.create_connection((parts.hostname, parts.port), timeout=10)


def answers(connection: socket.socket, count: int = 1) -> list[tuple[bytes, bytes]]:
    """Heads and bodies as they come on an open connection, without the date."""
    unread, found = b"", []
    for _ in range(count):
        while b"\r\n\r\n" not in unread:
            unread += _more(connection)
        head, _, unread = unread.partition(b"\r\n\r\n")
        length = int(re.search(rb"\r\ncontent-length: (\d+)", head)[1])  # type: ignore[index]
        while len(unread) < length:
            unread += _more(connection)
        found.append((re.sub(rb"\r\ndate: [^\r]+", b"", head), unread[:length]))
        unread = unread[length:]
    return found


def _more(connection: socket.socket) -> bytes:
    part = connection.recv(65_536)
    assert part, "the connection ended"
    return part


def answer(server: Server, asked: bytes) -> tuple[bytes, bytes]:
    with opened(server) as connection:
        connection.sendall(asked)
        return answers(connection)[0]


REQUESTS = {
    "by link": (by_link(CITIES), [], None),
    "by link, a format": (by_link(CITIES, "&format=csv"), [], None),
    "by link, a format of RDF": (by_link(TRIPLES, "&format=xml"), [], None),
    "the query itself": ("POST /sparql", ["Content-Type: application/sparql-query"], CITIES),
    "the query itself, a graph": (
        "POST /sparql?default-graph-uri=urn:nothing",
        ["Content-Type: application/sparql-query"],
        CITIES,
    ),
    "a form": ("POST /sparql", ["Content-Type: application/x-www-form-urlencoded"], f"query={quote(CITIES)}"),
    "XML": (by_link(CITIES), ["Accept: application/sparql-results+xml"], None),
    "CSV": (by_link(CITIES), ["Accept: text/csv"], None),
    "TSV": (by_link(CITIES), ["Accept: text/tab-separated-values;q=1, text/csv;q=0.9"], None),
    "yes or no": (by_link("ASK {}"), [f"Accept: {JSON}", "Accept-Language: fr"], None),
    "Turtle": (by_link(TRIPLES), [], None),
    "JSON-LD": (by_link(TRIPLES), ["Accept: application/ld+json"], None),
    "nothing found": (by_link("SELECT * { ?s mg:nothing ?o }"), [], None),
    "other letters": (by_link('SELECT ("Żory\\u2019s" AS ?name) {}'), ["User-Agent: curl/8"], None),
    "a long answer": (by_link(LONG), [], None),
    "a long answer, not packed": (by_link(LONG), ["Accept-Encoding: identity"], None),
    "a long answer, packed": (by_link(LONG), ["Accept-Encoding: gzip, deflate"], None),
    "a long answer, packing refused": (by_link(LONG), ["Accept-Encoding: gzip;q=0"], None),
    "a short answer, packing taken": (by_link(CITIES), ["Accept-Encoding: gzip"], None),
    "an answer of many chunks": (by_link(LONGER), [], None),
    "a search": (by_link(SEARCH), [], None),
    "a wrong query": (by_link("SELECT * { ?s"), ["Accept-Language: fr"], None),
    "a refused query": (by_link("SELECT * { SERVICE <http://x.org/> { ?s ?p ?o } }"), [], None),
    "a format that does not fit": (by_link(TRIPLES, "&format=csv"), [], None),
    "no such format": (by_link(CITIES, "&format=word"), [], None),
    "a type nobody has": (by_link(CITIES), ["Accept: image/png"], None),
    "no type for this form": (by_link(TRIPLES), ["Accept: text/csv"], None),
    "a body of another type": ("POST /sparql", ["Content-Type: text/plain"], CITIES),
    "an update": ("POST /sparql", ["Content-Type: application/sparql-update"], "CLEAR ALL"),
    "two queries": (by_link(CITIES, "&query=ASK{}"), [], None),
    "the page": (by_link(CITIES), ["Accept: text/html"], None),
    "no query": ("GET /sparql", [], None),
    "an empty body": ("POST /sparql", ["Content-Type: application/sparql-query"], ""),
    "a long link": (by_link(f"ASK {{}} #{'x' * 20_000}"), [], None),
    "half a character": ("GET /sparql?query=ASK%7B%7D%E2%82", [], None),
}


@pytest.mark.parametrize("named", REQUESTS)
def test_either_way_gives_the_same_bytes(small: Server, named: str) -> None:
    line, headers, body = REQUESTS[named]
    assert answer(small, request(line, *headers, body=body)) == answer(
        small, request(line, *headers, THROUGH, body=body)
    )


@pytest.mark.parametrize(
    ("line", "body"),
    [
        (by_link(f"ASK {{}} #{'x' * 150}"), None),
        ("POST /sparql", f"ASK {{}} #{'x' * 150}"),
        ("POST /sparql?format=csv", f"ASK {{}} #{'x' * 1_500}"),
        (by_link(CITIES), None),
    ],
)
def test_limits_are_the_same_either_way(catalogue: Catalogue, line: str, body: str | None) -> None:
    header = "Content-Type: application/sparql-query"
    settings = Settings(sparql_query_bytes=100, body_limit_bytes=1_000)
    with running(create_app(settings, catalogue)) as narrow:
        plain, through = (answer(narrow, request(line, header, *more, body=body)) for more in ([], [THROUGH]))
        assert plain == through
        assert plain[0].startswith(b"HTTP/1.1 413") == (line != by_link(CITIES))


@pytest.mark.parametrize("named", list(REQUESTS)[: list(REQUESTS).index("a long answer, packed")])
def test_plain_queries_go_the_short_way(small: Server, monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    async def refuse(*_: object) -> None:
        raise Busy("the application was asked")

    monkeypatch.setattr(sparql, "_ask", refuse)
    line, headers, body = REQUESTS[named]
    plain, through = (answer(small, request(line, *headers, *more, body=body)) for more in ([], [THROUGH]))
    expected = b"HTTP/1.1 200" if named != "the query itself, a graph" else b"HTTP/1.1 503"
    assert plain[0].startswith(expected)
    assert through[0].startswith(b"HTTP/1.1 503")


@pytest.mark.parametrize(
    "header",
    [
        "Origin: https://city.example",
        "Authorization: Bearer none",
        "Cookie: session=1",
        "If-None-Match: *",
        "Connection: close",
        "X-Forwarded-For: 192.0.2.7",
        "Expect: 100-continue",
        f"Accept: {JSON}\r\nAccept: text/csv",
    ],
)
def test_whatever_is_unusual_goes_through_the_application(
    small: Server, monkeypatch: pytest.MonkeyPatch, header: str
) -> None:
    monkeypatch.setattr(short_way.ShortWay, "go", None)
    head, _ = answer(small, request(by_link(CITIES), header))
    assert head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 401"))


def test_a_query_that_takes_longer_goes_on_in_the_same_process(small: Server) -> None:
    """The process that waited is the one that is stopped at the deadline, and no other was made."""
    processes = small.app.state.queries.processes()
    assert len(processes) == 2
    head, body = answer(small, request(by_link(SLOW)))
    assert head.startswith(b"HTTP/1.1 504")
    assert b"2 seconds" in body
    wait_until(lambda: set(small.app.state.queries.processes()) == {processes[0]})


def test_several_requests_at_once_are_answered_in_their_order(small: Server) -> None:
    queries = ["SELECT (1 AS ?n) {}", LONG, "ASK {", "SELECT (2 AS ?n) {}", TRIPLES]
    with opened(small) as connection:
        connection.sendall(b"".join(request(by_link(query)) for query in queries))
        together = answers(connection, len(queries))
    assert together == [answer(small, request(by_link(query))) for query in queries]


def test_one_connection_serves_one_query_after_another(small: Server) -> None:
    with opened(small) as connection:
        for number in range(20):
            whole = request(
                "POST /sparql", "Content-Type: application/sparql-query", body=f"SELECT ({number} AS ?n) {{}}"
            )
            middle = len(whole) - 9
            for part in (whole[:50], whole[50:middle], whole[middle:]):
                connection.sendall(part)
                time.sleep(0.001)
            ((_, body),) = answers(connection)
            assert f'"value":"{number}"'.encode() in body


@pytest.mark.parametrize("sent", [request(by_link(SLOW)), request(by_link(SLOW))[:-2], request(by_link(CITIES))])
def test_a_client_that_goes_away_leaves_nothing_behind(small: Server, sent: bytes) -> None:
    for _ in range(5):
        with opened(small) as connection:
            connection.sendall(sent)
    wait_until(lambda: small.app.state.queries.status()["running"] == 0, 2)


def test_a_body_that_never_comes_holds_no_place(small: Server) -> None:
    begun = request("POST /sparql", "Content-Type: application/sparql-query", "Content-Length: 900")
    with opened(small) as connection:
        connection.sendall(begun + b"ASK")
        time.sleep(0.1)
        assert small.app.state.queries.status()["running"] == 0


def test_what_has_begun_is_given_up_where_the_application_does_not_take_it(
    small: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> None:
        raise Busy("not now")

    monkeypatch.setattr(sparql, "_ask", refuse)
    head, _ = answer(small, request(by_link("ASK {")))
    assert head.startswith(b"HTTP/1.1 503")
    wait_until(lambda: small.app.state.queries.status()["running"] == 0)


def test_a_client_keeps_to_its_share(small: Server) -> None:
    """With two places a client has one: the second query waits until the first has ended."""
    with opened(small) as slow, opened(small) as quick:
        slow.sendall(request(by_link(SLOW)))
        wait_until(lambda: small.app.state.queries.status()["running"] == 1)
        quick.sendall(request(by_link(CITIES)))
        wait_until(lambda: small.app.state.queries.status()["waiting"] == 1)
        assert answers(slow)[0][0].startswith(b"HTTP/1.1 504")
        assert answers(quick)[0][0].startswith(b"HTTP/1.1 200")


def test_whoever_reads_no_answers_is_not_read_from_either(small: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full buffer leads through the application, which waits for it; what is still to come stays with the client."""
    written = []

    def write(cycle: RequestResponseCycle, answer: Answer, format: str | None) -> None:
        written.append(len(answer.body))
        plainly(cycle, answer, format)

    plainly = short_way._write
    monkeypatch.setattr(short_way, "_write", write)
    asked = request(by_link("SELECT * { ?s a ?of } LIMIT 250"))
    end = time.monotonic() + 2
    with opened(small) as connection, suppress(OSError):
        connection.settimeout(0.5)
        while time.monotonic() < end:
            connection.sendall(asked)
            time.sleep(0.003)
    assert 0 < sum(written) < 12_000_000
