"""Looking up sources: on a real server of the loopback address, and never where an address must not lead."""

import asyncio
import socket
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import ClassVar

import pytest

from kg.errors import BadRequest
from kg.ledger import Ledger
from kg.quality import ALIVE, DEAD, REFUSED, UNSURE
from kg.sources import MOST, SourceLooks, is_public, look_up


class Site(BaseHTTPRequestHandler):
    """Answers by path; /head-refused answers GET only, /to?x redirects to x, /slow drips headers."""

    asked: ClassVar[list[tuple[str, str]]] = []

    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        self.answer()

    def answer(self):
        self.asked.append((self.command, self.path))
        path, _, target = self.path.partition("?")
        status = {"/gone": 410, "/missing": 404, "/broken": 500, "/login": 401, "/to": 302}.get(path, 200)
        if path == "/slow":
            self.wfile.write(b"HTTP/1.1 200 OK\r\n")
            for _ in range(40):
                self.wfile.write(b"X-Slow: 1\r\n")
                time.sleep(0.1)
            return
        if path == "/head-refused" and self.command == "HEAD":
            status = 405
        self.send_response(status)
        if path == "/to":
            self.send_header("Location", target)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def site():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def ledger(tmp_path):
    with Ledger.create(f"sqlite:///{tmp_path}/ledger.db", "https://x.org/") as ledger:
        yield ledger


def said(*urls, **more):
    return [look.said for look in asyncio.run(look_up(urls, **({"loopback": True} | more)))]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", ALIVE),
        ("/head-refused", ALIVE),
        ("/missing", DEAD),
        ("/gone", DEAD),
        ("/broken", UNSURE),
        ("/login", UNSURE),
        ("/to?/gone", DEAD),
        ("/to?/to?/", ALIVE),
        ("/to?/to", UNSURE),
    ],
)
def test_what_a_server_answers_is_told(site, path, expected):
    assert said(site + path) == [expected]


def test_a_server_that_drips_and_one_that_is_not_there_leave_it_unsure(site):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}/"
        found = asyncio.run(look_up([site + "/slow", nobody], loopback=True, seconds=0.5))
    assert [(look.said, look.detail) for look in found] == [(UNSURE, "no answer in time"), (UNSURE, "no connection")]


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://localhost/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://169.254.169.254/latest/meta-data",
        "http://10.0.0.1/",
        "http://0.0.0.0/",
        "http://user:password@127.0.0.1/",
        "ftp://example.org/x",
        "file:///etc/passwd",
        "mailto:a@example.org",
        "http:///x",
        "http://[bad",
        "//example.org",
        "http://xn--/",
    ],
)
def test_addresses_that_must_not_be_asked_are_not(url):
    assert said(url, loopback=False) in ([REFUSED], [DEAD])


def test_nothing_is_asked_where_loopback_is_not_allowed(site):
    before = len(Site.asked)
    assert said(site + "/", loopback=False) == [REFUSED]
    assert len(Site.asked) == before


def test_a_redirect_to_an_address_inside_is_not_followed(site):
    assert said(site + "/to?http://10.0.0.1/admin", site + "/to?file:///etc/passwd") == [REFUSED, REFUSED]


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:2800:220:1:248:1893:25c8:1946", True),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("fe80::1%eth0", False),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
        ("::7f00:1", False),
        ("nonsense", False),
    ],
)
def test_only_addresses_of_the_public_internet_are_public(address, public):
    assert is_public(address) is public
    leads_here = address in ("64:ff9b::7f00:1", "2002:7f00:1::")
    assert is_public(address, loopback=True) is (public or leads_here)


def test_what_was_seen_is_kept_and_replaced(site, ledger):
    looks = SourceLooks(ledger, allowed=True, loopback=True)
    urls = [f"{site}/{name}" for name in ("here", "gone")]
    assert looks.due([*urls, *urls, "\x00", "x" * 5000, 7]) == sorted(urls)
    looks.look(urls)
    assert looks.said([*urls, "https://never.example/"]) == {urls[0]: ALIVE, urls[1]: DEAD}
    assert looks.due(urls) == []
    assert sorted(looks.due(urls, days=-1)) == sorted(urls), "older than tomorrow"
    looks.look(urls[:1])
    assert looks.due(urls, days=-1) == [urls[1], urls[0]], "the oldest look first"
    told = looks.seen(urls[1:])[0].as_json()
    assert (told["said"], told["status"], told["detail"]) == (DEAD, 410, "status 410")


def test_nothing_goes_out_unless_allowed_and_never_without_bound(site, ledger):
    before = len(Site.asked)
    with pytest.raises(BadRequest, match="MENTORGRAPH_CHECK_SOURCES"):
        SourceLooks(ledger, loopback=True).look([site])
    with pytest.raises(BadRequest, match=f"{MOST} at most"):
        SourceLooks(ledger, allowed=True, loopback=True).look(f"{site}/{n}" for n in range(MOST + 1))
    assert len(Site.asked) == before


def test_a_name_is_resolved_once_and_the_connection_goes_to_the_checked_address(site):
    """A name that changes its mind between check and connection must not lead inside."""
    resolved = []

    async def resolve(host, port):
        resolved.append(host)
        return ["127.0.0.1"]

    port = site.rpartition(":")[2]
    assert said(f"http://changes-its-mind.invalid:{port}/", resolve=resolve) == [ALIVE]
    assert resolved == ["changes-its-mind.invalid"]


def test_a_name_with_one_address_inside_is_not_asked(site):
    async def resolve(host, port):
        return ["8.8.8.8", "10.0.0.1"]

    assert said("http://two-faces.invalid/", resolve=resolve) == [REFUSED]
