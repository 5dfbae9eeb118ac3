"""Speaks the SPARQL 1.1 protocol with an engine over HTTP: queries are streamed, updates are one request each.

The address carries everything, so that one setting is enough. Its user and password are taken out of it before
use, appear in no message or log, and are sent only when the engine asks for them, as it asks (Basic or Digest);
a user without a password is a bearer token. No redirect is followed: it could lead credentials and records to
another host. Proxies that the environment names are not used.
"""

from __future__ import annotations

import io
import logging
import re
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import TypeVar

import httpx

from kg.errors import BadQuery, Busy, DataFolderUnusable, KgError, TooLarge, TooSlow, quoted

CONNECT_SECONDS = 5.0
PAUSES_SECONDS = (0.1, 0.3, 1.0)
"""Waits before a request that found no engine is sent again: a restart of Oxigraph takes some 0.2 s."""

_PASSING = (429, 502, 503)
"""What a proxy or an engine says that is starting or has too much to do."""

_UNRESERVED = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~%")

_T = TypeVar("_T")
_log = logging.getLogger(__name__)


class Unreachable(Busy):
    """The engine could not be reached, or broke off; the same request may be sent again."""


class Endpoint:
    """One engine's addresses for queries and updates, with its credentials.

    `url` is where it takes queries; its query string is kept. The address for updates follows from it
    (`update_address`). `timeout_seconds` is the longest silence while a query is answered, `update_seconds`
    while an update is carried out.

    Raises DataFolderUnusable when `url` is no http or https address.

    >>> Endpoint("file:///etc/passwd")
    Traceback (most recent call last):
    kg.errors.DataFolderUnusable: the graph engine's address is to be like https://host:7878/query
    """

    def __init__(self, url: str, *, timeout_seconds: float = 30.0, update_seconds: float = 300.0) -> None:
        try:
            address = httpx.URL(url)
        except httpx.InvalidURL:
            address = httpx.URL("")
        if address.scheme not in ("http", "https") or not address.host:
            raise DataFolderUnusable("the graph engine's address is to be like https://host:7878/query") from None
        self._query = address.copy_with(username=None, password=None, fragment=None)
        self._update = update_address(self._query)
        self._timeout_seconds, self._update_seconds = timeout_seconds, update_seconds
        self._client = httpx.Client(
            auth=_credentials(address),
            follow_redirects=False,
            trust_env=False,
            verify=address.scheme == "https",  # reading the certificates takes 0.1 s, for nothing where there is no TLS
            headers={"User-Agent": "mentorgraph"},
        )
        self.software = ""
        """What the engine called itself in its last answer (the header `Server`)."""

    def answer(
        self, sparql: str, accept: str, *, deadline_seconds: float | None = None, limit_bytes: int | None = None
    ) -> bytes:
        """The whole answer to a query, asked again where the engine could not be reached or broke off.

        Raises TooSlow past `deadline_seconds`: the engine may go on computing. TooLarge past `limit_bytes`, Busy
        when it stays away, DataFolderUnusable when it refuses, BadQuery when it does not understand.
        """
        deadline = None if deadline_seconds is None else time.monotonic() + deadline_seconds

        def whole() -> bytes:
            with self.stream(sparql, accept, deadline=deadline) as chunks:
                parts, size = [], 0
                for chunk in chunks:
                    size += len(chunk)
                    if limit_bytes is not None and size > limit_bytes:
                        raise TooLarge(f"the answer is over {limit_bytes:,} bytes: add a LIMIT or ask for less")
                    parts.append(chunk)
                return b"".join(parts)

        return retrying(whole, deadline)

    @contextmanager
    def stream(self, sparql: str, accept: str, *, deadline: float | None = None) -> Iterator[Iterator[bytes]]:
        """The answer to a query as it arrives; asked once. `deadline` is a time of the monotonic clock."""
        left = self._timeout_seconds if deadline is None else max(0.01, deadline - time.monotonic())
        with self._response(self._query, sparql, "query", accept, min(left, self._timeout_seconds)) as response:
            yield _in_time(response.iter_bytes(), deadline)

    def update(self, sparql: str) -> None:
        """Have an update carried out; asked once, because only the caller can tell whether it was.

        Raises as `answer` does, but DataFolderUnusable for what the engine does not understand.
        """
        with self._response(self._update, sparql, "update", "*/*", self._update_seconds) as response:
            for _ in response.iter_bytes():
                pass  # a connection is used again only when its answer was read

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    @contextmanager
    def _response(
        self, url: httpx.URL, sparql: str, kind: str, accept: str, timeout_seconds: float
    ) -> Iterator[httpx.Response]:
        """A request's answer, its errors turned into ours. Virtuoso 7.2 hangs on a direct POST; all take forms."""
        headers = {"Accept": accept, "Content-Type": "application/x-www-form-urlencoded"}
        timeout = httpx.Timeout(timeout_seconds, connect=min(CONNECT_SECONDS, timeout_seconds))
        try:
            with self._client.stream(
                "POST", url, content=form_body(kind, sparql), headers=headers, timeout=timeout
            ) as response:
                self.software = response.headers.get("server", "")
                if not response.is_success:
                    raise _refusal(response, kind)
                if "x-sparql-maxrows" in response.headers:  # Virtuoso cuts answers at 10,000 rows, with status 200
                    raise TooLarge(
                        "the graph engine cut its answer: raise its limit on rows (ResultSetMaxRows), or ask for less"
                    )
                yield response
        except httpx.ConnectTimeout:
            raise Unreachable("the graph engine does not answer; it is asked again later") from None
        except httpx.TimeoutException:
            raise TooSlow(f"the graph engine gave no answer within {timeout_seconds:.1f} s") from None
        except (httpx.TransportError, httpx.DecodingError, httpx.StreamError) as error:
            _log.debug("the graph engine cannot be reached: %s", type(error).__name__)
            raise Unreachable("the graph engine does not answer or broke off; it is asked again later") from None


def update_address(query: httpx.URL) -> httpx.URL:
    """Where an engine takes updates, by where it takes queries.

    Beside …/query (and …/sparql of a Fuseki dataset, which is named by …/query there too) stands …/update;
    below a repository of GraphDB or RDF4J, …/statements; all others take both at one address.

    >>> for url in "http://h/query?union-default-graph", "http://h/ds/query", "http://h/repositories/m", "http://h/sparql":
    ...     print(update_address(httpx.URL(url)))
    http://h/update
    http://h/ds/update
    http://h/repositories/m/statements
    http://h/sparql
    """
    if query.path.endswith("/query"):
        return query.copy_with(path=query.path.removesuffix("query") + "update", query=None)
    if re.search(r"/repositories/[^/]+$", query.path):
        return query.copy_with(path=f"{query.path}/statements", query=None)
    return query


def form_body(name: str, text: str) -> bytes:
    """A form of one field, percent-encoded. One pass for each byte that occurs is five times faster than urlencode.

    >>> form_body("query", "ASK { <a> ?p '50 %+é' }")
    b'query=ASK%20%7B%20%3Ca%3E%20%3Fp%20%2750%20%25%2B%C3%A9%27%20%7D'
    """
    body = text.encode().replace(b"%", b"%25")
    for byte in set(body) - _UNRESERVED:
        body = body.replace(bytes([byte]), b"%%%02X" % byte)
    return name.encode() + b"=" + body


def retrying(work: Callable[[], _T], deadline: float | None = None) -> _T:
    """Do what may be done twice, again after each of PAUSES_SECONDS while the engine is unreachable.

    >>> tries = iter([Unreachable("away"), Unreachable("away"), None])
    >>> def work():
    ...     if error := next(tries):
    ...         raise error
    ...     return "answer"
    >>> retrying(work)
    'answer'
    """
    for pause in PAUSES_SECONDS:
        try:
            return work()
        except Unreachable:
            if deadline is not None and time.monotonic() + pause > deadline:
                raise
            time.sleep(pause)
    return work()


class Chunks(io.RawIOBase):
    """A file to read from, made of the chunks of an answer.

    >>> Chunks(iter([b"ab", b"", b"cde"])).read(4)
    b'ab'
    >>> io.BufferedReader(Chunks(iter([b"ab", b"", b"cde"]))).read(4)
    b'abcd'
    """

    def __init__(self, chunks: Iterator[bytes]) -> None:
        super().__init__()
        self._chunks = chunks
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._left:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._left = chunk
        part, self._left = self._left[: len(buffer)], self._left[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)


def _in_time(chunks: Iterator[bytes], deadline: float | None) -> Iterator[bytes]:
    """The chunks, until the deadline. A silent engine is met by the time-out of the connection."""
    for chunk in chunks:
        if deadline is not None and time.monotonic() > deadline:
            raise TooSlow("the graph engine did not finish its answer in time: narrow the query")
        yield chunk


def _credentials(address: httpx.URL) -> httpx.Auth | None:
    if address.password:
        return _AsAsked(address.username, address.password)
    return _Bearer(address.username) if address.username else None


class _Bearer(httpx.Auth):
    def __init__(self, token: str) -> None:
        self._token = token

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = f"Bearer {self._token}"
        yield request


class _AsAsked(httpx.Auth):
    """Sends user and password after the engine's first 401, by Digest where it offers that, and remembers which."""

    def __init__(self, user: str, password: str) -> None:
        self._user, self._password = user, password
        self._chosen: httpx.Auth | None = None

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if self._chosen is None:
            response = yield request
            if response.status_code != 401:
                return
            offered = response.headers.get("www-authenticate", "").lower()
            scheme = httpx.DigestAuth if "digest" in offered else httpx.BasicAuth
            self._chosen = scheme(self._user, self._password)
        yield from self._chosen.auth_flow(request)


def _refusal(response: httpx.Response, kind: str) -> KgError:
    """Our error for an engine's status. What it says goes to the log: it may name addresses."""
    status = response.status_code
    said = response.read()[:1000].decode(errors="replace")
    _log.warning("the graph engine answered %s with status %d: %s", kind, status, quoted(said, 300))
    if status in _PASSING:
        return Unreachable(f"the graph engine takes no requests now (status {status}); it is asked again later")
    if status in (408, 504):
        return TooSlow("the graph engine gave up: narrow the query")
    if status == 400 and kind == "query":
        return BadQuery(f"the graph engine does not understand the query: {quoted(said, 200)}")
    if status >= 500:
        return Busy(f"the graph engine failed (status {status}); its words are in the log")
    reasons = {
        401: "it asks for a user and password, or refuses those it was given",
        403: "it does not allow this; the user has to be one who may write",
        404: "there is no SPARQL endpoint at its address",
        405: "its address does not take the request",
        413: "it takes no update of this size; raise its limit",
    }
    reason = "its address redirects to another one; set that" if response.is_redirect else reasons.get(status)
    return DataFolderUnusable(
        f"the graph engine refused an {kind}: {reason or f'status {status}'}".replace("an q", "a q")
    )
