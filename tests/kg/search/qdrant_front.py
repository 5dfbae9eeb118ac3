"""Qdrant's REST interface on a loopback port, as far as we use it, answered by qdrant-client's local mode.

Requests travel as to a server: they are written, sent, read and answered as JSON. What it cannot show is a server's own
index, shards and replicas; a real server does (MENTORGRAPH_TEST_QDRANT_URL).
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from qdrant_client import QdrantClient, models

COLLECTION = re.compile(r"/collections/([^/?]+)(/[^?]*)?")


class Front(ThreadingHTTPServer):
    """`busy` answers follow that say 503; `lost` answers do not arrive, though what they answer was done.

    `key` is the API key that is wanted. `asked` counts requests by method and what they ask for.
    """

    daemon_threads = True

    def __init__(self, port: int = 0, key: str = "", client: QdrantClient | None = None) -> None:
        self.client = client or QdrantClient(":memory:")
        self.busy = self.lost = 0
        self.key = key
        self.seen: list[str] = []
        self.turn = threading.Lock()
        super().__init__(("127.0.0.1", port), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def serving(**given: Any) -> Iterator[Front]:
    """A front that answers for the time of the block."""
    with Front(**given) as front:
        thread = threading.Thread(target=front.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield front
        finally:
            front.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Front

    def log_message(self, *_: Any) -> None:
        pass

    def _handle(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = json.loads(self.rfile.read(length) or b"{}")
        with self.server.turn:
            self.server.seen.append(f"{self.command} {self.path.partition('?')[0]}")
            if self.server.busy:
                self.server.busy -= 1
                return self._answer(503, "starting")
            if self.server.key and self.headers.get("api-key") != self.server.key:
                return self._answer(403, "forbidden")
            try:
                result = _answered(self.server.client, self.command, self.path, body)
            except ValueError as error:
                return self._answer(404 if "not found" in str(error) else 400, str(error))
            if self.server.lost:
                self.server.lost -= 1
                self.close_connection = True
                return self.connection.close()
            return self._answer(200, result)

    do_GET = do_PUT = do_POST = do_DELETE = _handle

    def _answer(self, status: int, result: Any) -> None:
        told = {"result": result, "status": "ok", "time": 0.0} if status == 200 else {"status": {"error": result}}
        text = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


def _answered(client: QdrantClient, method: str, path: str, body: dict[str, Any]) -> Any:
    plain = path.partition("?")[0]
    if plain == "/aliases":
        return _json(client.get_aliases())
    if plain == "/collections/aliases":
        return client.update_collection_aliases(models.ChangeAliasesOperation(**body).actions)
    if plain == "/collections":
        return _json(client.get_collections())
    found = COLLECTION.match(plain)
    assert found, plain
    name, what = found[1], found[2] or ""
    match method, what:
        case "GET", "/exists":
            return {"exists": client.collection_exists(name)}
        case "PUT", "":
            wanted = models.CreateCollection(**body)
            return client.create_collection(name, wanted.vectors, wanted.sparse_vectors)
        case "DELETE", "":
            return client.delete_collection(name)
        case "PUT", "/index":
            return _done()
        case "PUT", "/points":
            client.upsert(name, models.PointsList(**body).points)
            return _done()
        case "POST", "/points/delete":
            client.delete(name, models.FilterSelector(**body))
            return _done()
        case "POST", "/points/batch":
            client.batch_update_points(name, models.UpdateOperations(**body).operations)
            return [_done() for _ in body["operations"]]
        case "POST", "/points":
            wanted = models.PointRequest(**body)
            return _json(client.retrieve(name, wanted.ids, wanted.with_payload, bool(wanted.with_vector)))
        case "POST", "/points/query/batch":
            return _json(client.query_batch_points(name, models.QueryRequestBatch(**body).searches))
        case "POST", "/points/count":
            return _json(client.count(name, exact=True))
    raise AssertionError(f"{method} {path}")


def _done() -> dict[str, Any]:
    return {"operation_id": 1, "status": "completed"}


def _json(given: Any) -> Any:
    if isinstance(given, list):
        return [_json(one) for one in given]
    return given.model_dump(mode="json", exclude_none=True)
