"""Runs the application in this process, on a socket that was opened before anything else."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from service.settings import Settings

if TYPE_CHECKING:
    from kg.catalogue import Catalogue
    from service.short_way import ShortWay

HEAD_LIMIT_BYTES = 300_000
"""Longest request line with headers: a need of 20,000 characters in any script fits into a link."""

MOST_IN_LINE = 100
"""How many requests of one connection may wait for answers to those before them, HEAD_LIMIT_BYTES of them at most. A
small one takes 3 kB of memory."""

GOODBYE_SECONDS = 10
"""Time for answers under way when the service is stopped."""


class PortTaken(Exception):
    """The address cannot be listened on; the message says what to do."""


def listen(host: str, port: int) -> tuple[socket.socket, str]:
    """A listening socket, and the address of the service as people on this machine write it.

    Raises PortTaken before any data folder is touched.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise PortTaken(
            f"cannot listen on {host} port {port} ({error.strerror or error}); stop what listens there, "
            "or choose another with --port"
        ) from error
    # asyncio turns Nagle's delay off only on sockets it made itself: 44 ms per answer with it, 1.5 ms without.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return listening, f"http://{shown}:{listening.getsockname()[1]}"


def run(settings: Settings, catalogue: Catalogue, listening: socket.socket, announce: Callable[[], None]) -> None:
    """Serve until stopped by a signal; `announce` is called when requests are answered.

    Requests are not logged: an address holds the need, which belongs to the city that wrote it.
    """
    with ThreadPoolExecutor(1) as aside:
        # The model opens outside Python's lock while the web framework is imported: half a second of a start.
        following = aside.submit(catalogue.follow)
        from service.app import create_app

        app = create_app(settings, catalogue)
        following.result()
    _Server(configuration(app), announce).run(sockets=[listening])


def configuration(app: Any) -> uvicorn.Config:
    """How the server is to run an application."""
    return uvicorn.Config(
        app,
        http=BoundedHead,
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GOODBYE_SECONDS,
    )


class BoundedHead(HttpToolsProtocol):
    """The server's quicker reader of requests, made as strict as its other one.

    By itself it reads a head without end, takes no query over 64 kB, answers requests of other versions of HTTP and ones
    without Host, and reads on while any number of requests wait for their turn. What is refused is answered with 400 and
    the connection closed.
    """

    _in_head = True
    _unfinished_bytes = 0
    _at_head = False
    _running: RequestResponseCycle | None = None
    _go: Callable[[], None] | None = None

    def data_received(self, data: bytes) -> None:
        """Take bytes from the client; those that make no whole head yet are counted."""
        super().data_received(data)
        if self._in_head and not self.transport.is_closing():
            self._unfinished_bytes += len(data)
            if self._unfinished_bytes > HEAD_LIMIT_BYTES:
                self.send_400_response(f"A request line with headers may have {HEAD_LIMIT_BYTES:,} bytes at most.")

    def on_message_begin(self) -> None:
        """A request begins, perhaps in the middle of the bytes at hand."""
        super().on_message_begin()
        self._in_head, self._unfinished_bytes = True, 0

    def on_headers_complete(self) -> None:
        """Have the request answered; what is raised here is answered with 400."""
        self._in_head = False
        version = self.parser.get_http_version()
        if version not in ("1.0", "1.1") or (version == "1.1" and not any(name == b"host" for name, _ in self.headers)):
            raise ValueError("no request of HTTP 1.1")
        if len(self.url) + _length(self.headers) > HEAD_LIMIT_BYTES:
            raise ValueError("the head is too long")
        if self.pipeline:
            in_line = sum(_bytes_of(cycle) for cycle, _ in self.pipeline)
            if len(self.pipeline) >= MOST_IN_LINE or in_line > HEAD_LIMIT_BYTES:
                raise ValueError("too many requests in line")
        # Its parser of addresses counts in 16 bits: the query goes round it.
        self.url, _, query = self.url.partition(b"?")
        self._at_head = True
        try:
            super().on_headers_complete()
        finally:
            self._at_head = False
        self.scope["query_string"] = query.partition(b"#")[0]

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Give a request to the application, or keep it until its body is here where there is a short way for it."""
        self._running = cycle
        start = partial(super()._start_asgi_task, cycle)
        short_way: ShortWay | None = getattr(getattr(self.config.app, "state", None), "short_way", None)
        if self._at_head and app is self.app and short_way is not None and short_way.is_for(cycle):
            self._go = partial(short_way.go, cycle, start, app)
        else:
            start(app)

    def on_message_complete(self) -> None:
        """What comes next is another request's."""
        super().on_message_complete()
        self._in_head, self._unfinished_bytes = True, 0
        go, self._go = self._go, None
        if go is not None:
            go()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is there any more."""
        self._end_running()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be read, and close. While another request is answered only close: it would take this for its own."""
        running = self._running
        its_own = running is self.cycle and self.cycle is not None and self.cycle.more_body
        if running is None or running.response_complete or (its_own and not running.response_started):
            super().send_400_response(msg)
        else:
            self.transport.close()
        self._end_running()

    def _end_running(self) -> None:
        """Tell the request under way that its client is gone. By itself the server tells the newest, which may wait in line."""
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()


def _bytes_of(cycle: RequestResponseCycle) -> int:
    """Length of a request as far as it is here."""
    scope = cycle.scope
    return len(scope["raw_path"]) + len(scope["query_string"]) + _length(scope["headers"]) + len(cycle.body)


def _length(headers: Iterable[tuple[bytes, bytes]]) -> int:
    return sum(len(name) + len(b": ") + len(value) + len(b"\r\n") for name, value in headers)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            self._announce()
