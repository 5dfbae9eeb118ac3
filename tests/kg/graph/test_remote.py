"""What can go wrong between the graph view and an engine over HTTP, with real engines and misbehaving servers."""

from __future__ import annotations

import base64
import logging
import re
import socket
import time
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Barrier, Thread
from urllib.parse import unquote

import httpx
import pyoxigraph as ox
import pytest

from kg.errors import Busy, DataFolderUnusable, IndexMismatch, KgError, TooLarge, TooSlow
from kg.graph.protocol import Endpoint
from kg.graph.remote import RemoteStore
from kg.graph.store import LAYOUT, SYSTEM
from kg.ledger import Change, Ledger
from kg.views import Follower, agreement
from tests.engines import OxigraphServer, RdflibServer, free_port
from tests.kg.graph.test_conformance import BASE, LABEL, NOTES, labels, row, turtle

SECRET = "correct-horse"


@pytest.fixture(scope="module")
def oxigraph():
    with OxigraphServer() as server:
        yield server


@pytest.fixture
def url(oxigraph):
    oxigraph.empty()
    return oxigraph.url


def update(url, text):
    httpx.post(url.replace("query", "update"), data={"update": text}, trust_env=False).raise_for_status()


@contextmanager
def serving(answer):
    """A server on loopback; `answer(handler, body)` writes what it likes. Yields its address for queries."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            answer(self, self.rfile.read(int(self.headers["Content-Length"])))

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/query"
    finally:
        server.shutdown()
        server.server_close()


def reply(handler, status, body=b"", **headers):
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def forward(url, handler, body):
    """What the real engine says to a request that came to another address."""
    target = url if handler.path.endswith("query") else url.replace("query", "update")
    headers = {name: handler.headers[name] for name in ("Accept", "Content-Type")}
    return httpx.post(target, content=body, headers=headers, trust_env=False)


# Two that follow one ledger


@pytest.mark.parametrize("notes", ["names", "statements"])
def test_of_two_changes_that_rest_on_one_state_only_one_gets_through(url, notes):
    with RemoteStore(url, BASE, notes=notes) as first, RemoteStore(url, BASE, notes=notes) as second:
        first.apply([row(1, "riga", "Riga")], 1)
        with pytest.raises(Busy, match="another process"):
            second.apply([row(1, "riga", "an older Riga")], 1)
        assert labels(first, "riga") == ["Riga"]
        assert second.marker() == 1
        second.apply([row(2, "lyon", "Lyon")], 2)
        assert first.marker() == 2
        assert first.held() == {("city", "riga"): 1, ("city", "lyon"): 2}


@pytest.mark.parametrize("notes", ["names", "statements"])
def test_two_followers_at_once_neither_lose_a_row_nor_go_back(url, tmp_path, notes):
    with Ledger.create(f"sqlite:///{tmp_path}/ledger.db", BASE) as ledger:
        with ledger.write() as transaction:
            for number in range(120):
                payload = f'<{BASE}id/city/c-{number % 30}> {LABEL} "{number}" .'
                transaction.append(Change("city", f"c-{number % 30}", "published", "public", payload, "ilze"))
        stores = [RemoteStore(url, BASE, notes=notes) for _ in range(2)]
        together, seen = Barrier(2), []

        def follow(store):
            follower = Follower(ledger, store, batch=4)
            together.wait()
            for _ in range(200):
                try:
                    seen.append(follower.catch_up())
                    return
                except Busy:
                    time.sleep(0.01)

        threads = [Thread(target=follow, args=(store,)) for store in stores]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert seen == [120, 120]
        assert [store.marker() for store in stores] == [120, 120]
        assert agreement(ledger, stores[0]) == []
        for store in stores:
            store.close()


def test_two_that_open_an_empty_engine_at_once_share_one_state(url, tmp_path):
    files, opened = {"https://x.org/v": turtle(tmp_path, "v", "<#a> <#in> (1 2) .")}, []

    def open_and_load():
        store = RemoteStore(url, BASE)
        store.load_vocabulary(files)
        opened.append(store)

    threads = [Thread(target=open_and_load) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [store.marker() for store in opened] == [0, 0, 0, 0]
    assert opened[0].statistics().statements == 5
    assert len(opened[0].rows(f"SELECT ?g {{ GRAPH ?g {{}} FILTER(STRSTARTS(STR(?g), '{SYSTEM}')) }}")) == 3
    for store in opened:
        store.close()


def test_a_copy_is_told_of_every_change_also_of_another_process(url, tmp_path):
    """Strangers' queries are answered from such a copy; it never holds the notes."""
    copy = ox.Store()

    def same(store):
        store.marker()
        store.dump(tmp_path / "now.nq", "nquads")
        there = Counter(_without_labels(quad) for quad in ox.parse(path=str(tmp_path / "now.nq")))
        return there == Counter(_without_labels(quad) for quad in copy)

    with RemoteStore(url, BASE) as store, RemoteStore(url, BASE) as other:
        store.apply([row(1, "riga", "Riga")], 1)
        store.hand_over(tmp_path / "all.nq", copy.update)
        copy.load(path=str(tmp_path / "all.nq"), format=ox.RdfFormat.N_QUADS)
        assert same(store)
        store.apply([row(2, "riga", "Riga today"), row(3, "lyon", "Lyon")], 3)
        store.load_vocabulary({"https://x.org/v": turtle(tmp_path, "v", "<#a> <#in> (1 2) .")})
        assert same(store)
        other.marker()
        other.apply([row(4, "lyon", state="withdrawn"), row(5, "gent", "Gent")], 5)
        assert same(store)
        assert len(list(copy.named_graphs())) == 3
        store.clear()
        assert same(store)
        store.stop_telling(copy.update)
        store.apply([row(1, "riga", "Riga")], 1)
        assert not same(store)


def _without_labels(quad):
    """A statement, all blank nodes taken for one."""
    return tuple("_" if isinstance(term, ox.BlankNode) else str(term) for term in quad)


# Engines that go away


@pytest.mark.parametrize("carried_out", [True, False], ids=["after the update", "before the update"])
def test_a_lost_answer_to_an_update_neither_loses_nor_repeats_it(url, carried_out):
    lost = []

    def answer(handler, body):
        if body.startswith(b"update=DROP%20GRAPH") and len(lost) < 1:
            lost.append(forward(url, handler, body) if carried_out else None)
            handler.connection.shutdown(socket.SHUT_RDWR)
            return
        answered = forward(url, handler, body)
        reply(handler, answered.status_code, answered.content)

    with serving(answer) as address, RemoteStore(address, BASE) as store:
        store.apply([row(1, "riga", "Riga")], 1)
        assert len(lost) == 1
        assert (store.marker(), labels(store, "riga")) == (1, ["Riga"])


def test_an_engine_that_was_killed_goes_on_where_it_was(tmp_path):
    with OxigraphServer(tmp_path / "store") as server, RemoteStore(server.url, BASE) as store:
        store.apply([row(1, "riga", "Riga")], 1)
        server.kill()
        for ask in store.marker, lambda: store.apply([row(2, "lyon", "Lyon")], 2), store.held:
            with pytest.raises(Busy, match="the graph engine does not answer"):
                ask()
        with pytest.raises(Busy):
            RemoteStore(server.url, BASE)
        server.start()
        assert store.marker() == 1
        store.apply([row(2, "lyon", "Lyon")], 2)
        assert store.held() == {("city", "riga"): 1, ("city", "lyon"): 2}


def test_an_engine_that_comes_back_empty_is_filled_again(tmp_path):
    """It kept everything in memory: records and vocabularies have to return by themselves."""
    files = {"https://x.org/v": turtle(tmp_path, "v", "<#a> <#in> (1 2) .")}
    with (
        OxigraphServer() as server,
        RemoteStore(server.url, BASE) as store,
        Ledger.create(f"sqlite:///{tmp_path}/ledger.db", BASE) as ledger,
    ):
        store.load_vocabulary(files)
        with ledger.write() as transaction:
            transaction.append(Change("city", "riga", "published", "public", "", "ilze"))
        follower = Follower(ledger, store)
        follower.catch_up()
        server.kill()
        server.start()
        assert follower.catch_up() == 1
        assert agreement(ledger, store) == []
        assert store.vocabularies().keys() == files.keys()
        assert store.statistics().statements == 5 + 7


def test_a_short_absence_is_not_noticed_by_who_asks():
    with OxigraphServer() as server, RemoteStore(server.url, BASE) as store:
        server.kill()
        back = Thread(target=lambda: (time.sleep(0.3), server.start()))
        back.start()
        assert store.rows("SELECT ?s { ?s ?p ?o }") == []
        back.join()


# Answers that cannot be used


def test_a_deadline_is_kept_whether_the_engine_is_silent_or_slow():
    def drip(handler, body):
        handler.send_response(200)
        handler.end_headers()
        for _ in range(300):
            handler.wfile.write(b" ")
            handler.wfile.flush()
            time.sleep(0.02)

    with socket.create_server(("127.0.0.1", 0)) as silent, serving(drip) as dripping:
        for address in f"http://127.0.0.1:{silent.getsockname()[1]}/query", dripping:
            began = time.monotonic()
            with pytest.raises(TooSlow):
                Endpoint(address).answer("ASK {}", "*/*", deadline_seconds=0.3)
            assert time.monotonic() - began < 2


def test_an_answer_over_the_limit_is_given_up_and_not_cut(url):
    with RemoteStore(url, BASE) as store:
        store.apply([row(1, "riga", "x" * 5000)], 1)
        query = "SELECT ?label { ?s rdfs:label ?label }"
        with pytest.raises(TooLarge, match="over 2,000 bytes"):
            store.query(query, limit_bytes=2000)
        assert len(store.query(query, limit_bytes=20_000)) > 5000


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b'{"head":{"vars":["s"]},"results":{"bindings":[{"s":',
        b'{"head":{"vars":["s"]},"results":{"bindings":[{"s":{"type":"uri","value":"urn:a"}}',
    ],
)
def test_half_an_answer_with_status_200_is_no_answer(url, body, tmp_path):
    broken = []

    def answer(handler, request):
        if broken and request.startswith(b"query="):
            reply(handler, 200, body)
        else:
            answered = forward(url, handler, request)
            reply(handler, answered.status_code, answered.content)

    with serving(answer) as address, RemoteStore(address, BASE) as store:
        broken.append(True)
        for ask in (
            lambda: store.rows("SELECT ?s { ?s ?p ?o }"),
            lambda: store.query("SELECT ?s { ?s ?p ?o }", table="csv"),
            lambda: store.dump(tmp_path / "all.nq", "nquads"),
            store.marker,
        ):
            with pytest.raises(Busy, match="broke off or is not in the format"):
                ask()
        assert list(tmp_path.iterdir()) == []


def test_an_answer_that_the_engine_has_cut_is_not_taken_for_the_whole(url, tmp_path):
    """As Virtuoso does it: status 200, a result of the right form, and a header."""

    def answer(handler, request):
        answered = forward(url, handler, request)
        cut = {"X_SPARQL_MaxRows": "10000"} if b"%3Flabel" in request or b"%3Fsubject" in request else {}
        reply(handler, answered.status_code, answered.content, **cut)

    with serving(answer) as address, RemoteStore(address, BASE) as store:
        for ask in lambda: store.rows("SELECT ?label { ?s ?p ?label }"), lambda: store.dump(tmp_path / "all.trig"):
            with pytest.raises(TooLarge, match="cut its answer"):
                ask()
        assert list(tmp_path.iterdir()) == []


def test_virtuoso_gets_small_inserts_names_for_blank_nodes_and_queries_without_notes(url, tmp_path):
    """Oxigraph in Virtuoso's name, so that what was found on the real one stays kept."""
    sent = []

    def answer(handler, request):
        sent.append(unquote(request.decode()))
        handler.version_string = lambda: "Virtuoso/07.20.3229"
        plain = re.sub(rb"define%20input%3A.*?%3E%20", b"", request)  # which Oxigraph does not understand
        answered = forward(url, handler, plain)
        reply(handler, answered.status_code, answered.content)

    content = "<#a> <#in> (1 2) .\n" + "".join(f"<#a> <#b> {number} .\n" for number in range(1200))
    with serving(answer) as address, RemoteStore(address, BASE, notes="statements") as store:
        assert store.load_vocabulary({"https://x.org/v": turtle(tmp_path, "v", content)}) == ["https://x.org/v"]
        store.apply([row(1, "riga", "Riga")], 1)
        assert store.notes_are_hidden
        assert store.statistics().statements == 1205 + 8
        assert store.rows("SELECT ?s { ?s ?p ?o FILTER(isBlank(?s)) }") == []
        assert sent[-1].startswith(
            f"query=define input:default-graph-exclude <{NOTES}> define input:named-graph-exclude"
        )
    inserts = [text.count(" .\n") for text in sent if text.startswith("update=INSERT {\n")]
    assert inserts == [500, 500, 205]


def test_a_dump_that_breaks_off_leaves_no_file(url, tmp_path):
    def answer(handler, request):
        answered = forward(url, handler, request)
        if b"%3Fsubject" in request and request.startswith(b"query="):
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(answered.content)))
            handler.end_headers()
            handler.wfile.write(answered.content[:-50])
            handler.connection.shutdown(socket.SHUT_RDWR)
        else:
            reply(handler, answered.status_code, answered.content)

    with serving(answer) as address, RemoteStore(address, BASE) as store:
        store.apply([row(n, f"c-{n}", "x") for n in range(1, 50)], 49)
        with pytest.raises(Busy):
            store.dump(tmp_path / "all.nq", "nquads")
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("status", "error", "message"),
    [
        (401, DataFolderUnusable, "user and password"),
        (403, DataFolderUnusable, "does not allow"),
        (404, DataFolderUnusable, "no SPARQL endpoint"),
        (413, DataFolderUnusable, "of this size"),
        (500, Busy, "failed"),
        (503, Busy, "takes no requests now"),
        (504, TooSlow, "gave up"),
    ],
)
def test_each_refusal_says_what_to_do(status, error, message):
    with serving(lambda handler, body: reply(handler, status, b"reason")) as address, pytest.raises(error) as caught:
        RemoteStore(address, BASE)
    assert message in str(caught.value)
    assert "127.0.0.1" not in str(caught.value)


# Strangers' engines, and credentials


def test_a_redirect_is_not_followed():
    visited = []
    with (
        serving(lambda handler, body: visited.append(handler.path)) as elsewhere,
        serving(lambda handler, body: reply(handler, 307, Location=elsewhere)) as address,
        pytest.raises(DataFolderUnusable, match="redirects to another"),
    ):
        RemoteStore(address, BASE)
    assert visited == []


@contextmanager
def guarded(url, scheme):
    """The engine behind a server that asks for credentials; yields its address and the headers it was sent."""
    sent = []
    asked = {"basic": 'Basic realm="x"', "digest": 'Digest realm="x", nonce="n", qop="auth", algorithm=MD5'}

    def answer(handler, body):
        sent.append(handler.headers["Authorization"])
        if not sent[-1]:
            reply(handler, 401, WWW_Authenticate=asked[scheme])
        else:
            answered = forward(url, handler, body)
            reply(handler, answered.status_code, answered.content)

    with serving(answer) as address:
        yield address, sent


@pytest.mark.parametrize(
    ("userinfo", "scheme", "starts"),
    [
        (f"ilze:{SECRET}", "basic", "Basic " + base64.b64encode(f"ilze:{SECRET}".encode()).decode()),
        (f"ilze:{SECRET}", "digest", 'Digest username="ilze"'),
        (SECRET, "basic", f"Bearer {SECRET}"),
    ],
)
def test_credentials_of_the_address_are_sent_as_asked_and_shown_nowhere(url, caplog, userinfo, scheme, starts):
    caplog.set_level(logging.DEBUG)
    with guarded(url, scheme) as (address, sent):
        with RemoteStore(address.replace("//", f"//{userinfo}@"), BASE) as store:
            store.apply([row(1, "riga", "Riga")], 1)
            assert labels(store, "riga") == ["Riga"]
            shown = repr(vars(store)) + repr(vars(store._endpoint)) + repr(vars(store._endpoint._client))
        assert sent[2:].count(None) == 0  # asked at the beginning, remembered from then on
        assert sent[0] is None or starts.startswith("Bearer")
        assert all(header.startswith(starts) for header in sent if header)
    with pytest.raises(KgError) as caught:
        RemoteStore(f"http://{userinfo}@127.0.0.1:{free_port()}/query", BASE)
    assert SECRET not in caplog.text + shown + str(caught.value)


@pytest.mark.parametrize("address", ["", "localhost:7878", "file:///etc/passwd", f"ftp://u:{SECRET}@h/", "http://[::1"])
def test_what_is_no_web_address_is_refused_without_being_shown(address):
    with pytest.raises(DataFolderUnusable, match="is to be like") as caught:
        RemoteStore(address, BASE)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


def test_an_engine_whose_default_graph_is_not_the_union_is_refused():
    with OxigraphServer(None, "--cors") as server:
        with pytest.raises(DataFolderUnusable, match="union"):
            RemoteStore(server.url, BASE)
        with RemoteStore(f"{server.url}?union-default-graph", BASE) as store:
            store.apply([row(1, "riga", "Riga")], 1)
            assert store.rows("SELECT ?l { ?s rdfs:label ?l }") == [{"l": "Riga"}]
        with pytest.raises(DataFolderUnusable, match="union"):
            RemoteStore(server.url, BASE)


def test_an_engine_without_create_keeps_notes_as_statements():
    with RdflibServer() as server, RemoteStore(server.url, BASE) as store:
        assert not store.notes_are_hidden
        store.apply([], 3)
        assert store.marker() == 3


def test_the_dataset_of_another_catalogue_is_left_alone(url):
    with RemoteStore(url, BASE) as store:
        store.apply([row(1, "riga", "Riga")], 1)
        with pytest.raises(DataFolderUnusable, match="another base"):
            RemoteStore(url, "https://y.org/", discard=True)
        assert labels(store, "riga") == ["Riga"]


def test_graphs_that_are_not_ours_are_never_touched(url):
    update(url, "INSERT DATA { GRAPH <urn:theirs> { <urn:a> <urn:b> 1 } }")
    with RemoteStore(url, BASE) as store:
        store.apply([row(1, "riga", "Riga")], 1)
        store.clear()
        assert store.statistics().statements == 0
        assert store.rows("SELECT ?g { GRAPH ?g { ?s ?p ?o } }") == [{"g": "urn:theirs"}]


@pytest.mark.parametrize(
    "change",
    [
        f"CREATE GRAPH <{SYSTEM}applied/77/x>",
        f"DROP GRAPH <{SYSTEM}layout/{LAYOUT}/https%3A%2F%2Fx.org%2F>; CREATE GRAPH <{SYSTEM}layout/0/https%3A%2F%2Fx.org%2F>",
    ],
    ids=["two markers", "another layout"],
)
def test_a_state_not_to_be_trusted_is_refused_and_made_anew_when_told_so(url, tmp_path, change):
    files = {"https://x.org/v": turtle(tmp_path, "v", "<#a> <#b> 1 .")}
    with RemoteStore(url, BASE) as store:
        store.load_vocabulary(files)
        store.apply([row(1, "riga", "Riga")], 1)
    update(url, change)
    with pytest.raises(IndexMismatch):
        RemoteStore(url, BASE)
    with RemoteStore(url, BASE, discard=True) as store:
        assert (store.marker(), store.held(), store.vocabularies()) == (0, {}, {})
        assert store.load_vocabulary(files) == list(files)


def test_records_without_notes_are_not_taken_for_known_ones(url):
    update(url, f"INSERT DATA {{ GRAPH <{BASE}id/city/riga#record> {{ <urn:a> <urn:b> 1 }} }}")
    with pytest.raises(IndexMismatch, match="unknown state"):
        RemoteStore(url, BASE)
    with RemoteStore(url, BASE, discard=True) as store:
        assert store.rows("SELECT ?s { ?s ?p ?o }") == []
