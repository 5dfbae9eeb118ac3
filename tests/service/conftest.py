"""A real server on loopback, over the starting data and the bundled model."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from kg.catalogue import Catalogue
from service.app import create_app
from service.serving import configuration, listen
from service.settings import Settings


@dataclass(frozen=True)
class Server:
    """What a test needs of a running service."""

    url: str
    client: httpx.Client
    app: FastAPI


@contextmanager
def running(app: FastAPI) -> Iterator[Server]:
    """Serve an application from a thread, on a free port of the loopback."""
    listening, url = listen("127.0.0.1", 0)
    server = uvicorn.Server(configuration(app))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        deadline = time.monotonic() + 20
        while not server.started:
            assert thread.is_alive(), "the server stopped while starting"
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.01)
        with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
            yield Server(url, client, app)
    finally:
        server.should_exit = True
        thread.join(timeout=20)
        listening.close()


@pytest.fixture(scope="session")
def server(catalogue: Catalogue) -> Iterator[Server]:
    with running(create_app(Settings(), catalogue)) as started:
        yield started


@pytest.fixture(scope="session")
def client(server: Server) -> httpx.Client:
    return server.client
