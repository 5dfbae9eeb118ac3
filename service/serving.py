"""Runs the application in this process, on a socket that was opened before anything else."""

from __future__ import annotations

import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import uvicorn

from service.settings import Settings

if TYPE_CHECKING:
    from kg.catalogue import Catalogue

HEAD_LIMIT_BYTES = 300_000
"""Longest request line with headers: a need of 20,000 characters in any script fits into a link."""

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
    config = uvicorn.Config(
        app,
        http="h11",
        h11_max_incomplete_event_size=HEAD_LIMIT_BYTES,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GOODBYE_SECONDS,
    )
    _Server(config, announce).run(sockets=[listening])


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            self._announce()
