"""Answers plain SPARQL queries that are over in a moment before the application is asked.

What every request passes through (a task, nine layers, the framework's routing) takes longer than the engine does for a
lookup. So the server gives a query whose head says nothing unusual to a process that waits as soon as it is here, and
writes an answer that is nothing but a short table or graph itself. All else goes the usual way through the application,
a query that has begun together with its process: faults, pages, long answers, packed ones, queries that search or take
their time. What a client sees is the same either way, byte for byte.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, cast

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from kg.graph.queries import Answer, Begun, QueryService
from service.api import sparql
from service.middleware import PACKED_FROM_BYTES, SECURITY_HEADERS

PATH = "/sparql"

USUAL = frozenset(
    b"host user-agent accept accept-encoding accept-language connection content-type content-length".split()
)
"""Request headers that change nothing but what is read here. One that is not among them leads through the application."""

MOST_BYTES = 16_000
"""Longest body that is waited for here; the server stops reading one of 64 kB until the application takes it."""


class ShortWay:
    """Tells which requests may go the short way, and takes them there."""

    def __init__(self, app_state: Any) -> None:
        self.queries: QueryService = app_state.queries
        self.outbox: sparql.Outbox = app_state.outbox
        self._most_bytes = min(MOST_BYTES, app_state.settings.body_limit_bytes)

    def is_for(self, cycle: RequestResponseCycle) -> bool:
        """Whether a request looks plain, by its head; its body may still be to come."""
        scope = cycle.scope
        if scope["path"] != PATH or scope["method"] not in ("GET", "POST") or scope["http_version"] != "1.1":
            return False
        lines = list(scope["headers"])
        headers = dict(lines)
        if len(headers) < len(lines) or not headers.keys() <= USUAL or not cycle.keep_alive:
            return False
        length = headers.get(b"content-length")
        if scope["method"] == "GET":
            return length is None
        return length is not None and len(length) <= len(str(MOST_BYTES)) and int(length) <= self._most_bytes

    def go(self, cycle: RequestResponseCycle, start: Callable[[ASGIApp], None], app: ASGIApp) -> None:
        """Answer a request that is here as a whole, or have `start` give it to the application."""
        request = Request(cast("Scope", cycle.scope))
        begun = None
        if not cycle.flow.write_paused and not self.outbox.is_full():
            asked = sparql.question_at_once(request, bytes(cycle.body), self.queries.limits)
            if asked is not None:
                question, format = asked
                begun = self.queries.begin(question, request.client.host if request.client else "")
        if begun is None:
            start(app)
            return
        packs = "gzip" in request.headers.get("accept-encoding", "")
        most_bytes = PACKED_FROM_BYTES - 1 if packs else sparql.CHUNK_BYTES
        _Trip(self.queries, begun, cycle, format, most_bytes, partial(_accompanied, self.queries, start, app))


class _Trip:
    """One request on the short way, until it is answered or given to the application."""

    def __init__(
        self,
        queries: QueryService,
        begun: Begun,
        cycle: RequestResponseCycle,
        format: str | None,
        most_bytes: int,
        give_over: Callable[[RequestResponseCycle, Begun], None],
    ) -> None:
        self._queries, self._begun, self._cycle = queries, begun, cycle
        self._format, self._most_bytes, self._give_over = format, most_bytes, give_over
        self._timer = asyncio.get_running_loop().call_later(sparql.SOON_SECONDS, self._end)
        begun.when_more(self._look)

    def _look(self) -> None:
        """The process has said something, or has ended."""
        self._timer.cancel()
        cycle = self._cycle
        if cycle.keep_alive and not cycle.flow.write_paused:
            answer = self._queries.finished(self._begun, self._most_bytes)
            if answer is not None:
                if not cycle.disconnected:
                    _write(cycle, answer, self._format)
                return
        self._end()

    def _end(self) -> None:
        """It takes longer, or it is no plain answer."""
        self._timer.cancel()
        self._begun.when_more(None)
        if self._cycle.disconnected:
            self._queries.give_up(self._begun)
        else:
            self._give_over(self._cycle, self._begun)


def _accompanied(
    queries: QueryService, start: Callable[[ASGIApp], None], app: ASGIApp, cycle: RequestResponseCycle, begun: Begun
) -> None:
    """Give a request to the application with what has begun; what it does not take is given up."""
    state = cycle.scope["state"]

    async def accompanied(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await app(scope, receive, send)
        finally:
            if state.pop(sparql.BEGUN, None) is not None:
                queries.give_up(begun)

    state[sparql.BEGUN] = begun
    start(accompanied)


def _write(cycle: RequestResponseCycle, answer: Answer, format: str | None) -> None:
    """Write the whole answer, as the server does for what the application sends."""
    length = len(answer.body)
    before, after = _head(answer.media_type, format, length >= PACKED_FROM_BYTES)
    parts = [STATUS_LINE[200], *(b"%s: %s\r\n" % line for line in cycle.default_headers)]
    cycle.transport.write(b"".join([*parts, before, b"content-length: %d\r\n" % length, after, answer.body]))
    cycle.response_started = cycle.response_complete = True
    cycle.message_event.set()
    cycle.on_response()
    cycle.on_response = lambda: None


@lru_cache(maxsize=256)
def _head(media_type: str, format: str | None, may_be_packed: bool) -> tuple[bytes, bytes]:
    """The header lines before and after the length, in the order in which the application's layers add them."""
    headers = sparql.headers_of(media_type, format)
    headers["Vary"] = ", ".join([headers["Vary"], *(["Accept-Encoding"] if may_be_packed else []), "Origin"])
    before, after = (
        b"".join(f"{name.lower()}: {value}\r\n".encode("latin-1") for name, value in lines.items())
        for lines in (headers, SECURITY_HEADERS)
    )
    return before, after + b"\r\n"
