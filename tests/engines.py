"""Real SPARQL engines for tests, each on a free port of the loopback address.

`OxigraphServer` is the program `oxigraph` of the package of that name, in a process of its own, which can be killed and
started again at the same address. `RdflibServer` answers the same protocol from an rdflib Dataset: slow, and written by
other people, so that what both do alike is not one engine's habit.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Self
from urllib.parse import parse_qs

import httpx
from rdflib import Dataset

START_SECONDS = 20.0


class OxigraphServer:
    """`oxigraph serve` with the union of all graphs as default graph, in memory or in a folder."""

    def __init__(self, folder: Path | None = None, *options: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/query"
        self._place = ["--location", str(folder)] if folder else []
        self._options = options or ("--union-default-graph",)
        self._process: subprocess.Popen | None = None
        self.start()

    def start(self) -> None:
        """Start, at the same address as before, and wait until it answers."""
        program = shutil.which("oxigraph", path=str(Path(sys.executable).parent)) or "oxigraph"
        command = [program, "serve", "--bind", f"127.0.0.1:{self.port}", *self._place, *self._options]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            with socket.socket() as attempt:
                if attempt.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        self.kill()
        raise RuntimeError("oxigraph serve did not start")

    def kill(self) -> None:
        """SIGKILL, as a machine that loses power."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def empty(self) -> None:
        """Forget everything."""
        httpx.post(self.url.replace("query", "update"), data={"update": "DROP ALL"}, trust_env=False).raise_for_status()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


class RdflibServer:
    """An rdflib Dataset behind the SPARQL protocol; one request at a time, an update whole or not at all."""

    def __init__(self) -> None:
        self.empty()
        self._lock = Lock()
        answer = self._answer

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                status, kind, body = answer({name: values[0] for name, values in form.items()})
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/query"
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def empty(self) -> None:
        """Forget everything."""
        self._data = Dataset(default_union=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, form: dict[str, str]) -> tuple[int, str, bytes]:
        with self._lock:
            before = list(self._data.quads())
            try:
                if "update" in form:
                    self._data.update(form["update"])
                    return 204, "text/plain", b""
                found = self._data.query(form["query"])
                if found.type in ("CONSTRUCT", "DESCRIBE"):
                    return 200, "application/n-triples", found.serialize(format="nt", encoding="utf-8")
                return 200, "application/sparql-results+json", found.serialize(format="json")
            except Exception as error:  # noqa: BLE001 (whatever an engine trips over is an answer of it)
                self.empty()
                self._data.addN((s, p, o, self._data.graph(g)) for s, p, o, g in before)
                return 400, "text/plain", str(error).encode()


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
