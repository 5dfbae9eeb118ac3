"""Practices, questions and places for tests of the search port: every adapter is asked the same."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from qdrant_client import QdrantClient

from kg.search.index import IN_PROCESS
from kg.search.port import Document, Indexes, Query, SearchIndex
from kg.search.qdrant_server import QdrantServer
from kg.search.ranking import Filters
from kg.search.text import Passage
from tests.kg.search.qdrant_front import serving

REAL_SERVER = os.environ.get("MENTORGRAPH_TEST_QDRANT_URL", "")
"""Address of a Qdrant server that tests may write to; collections they make begin with `test-` and are removed."""

ENGINES = ["in process", "Qdrant in memory", "Qdrant over HTTP", *(["Qdrant server"] if REAL_SERVER else [])]

quiet_in_memory = pytest.mark.filterwarnings(
    "ignore:Payload indexes have no effect in the local Qdrant:UserWarning",
    "ignore:.*search.params.*:UserWarning",
)
"""qdrant-client's local mode says of what only makes a server faster that it does nothing."""


class InMemory(QdrantClient):
    """The client's local mode, which answers as a server does; closing a connection does not end it."""

    def __init__(self) -> None:
        super().__init__(":memory:")

    def close(self, **_: Any) -> None:
        pass


@dataclass(frozen=True)
class ServerInMemory(QdrantServer):
    """A server whose every client is the same one in memory."""

    url: str = "http://in-memory"
    client: InMemory = field(default_factory=InMemory)

    def connect(self) -> QdrantClient:
        return self.client


@dataclass
class Place:
    """Where one index lies; it can be opened again and again."""

    folder: Path
    indexes: Indexes

    def open(self, model: str = "m1", dimension: int = 4) -> SearchIndex:
        """The index; one that knows of a server has looked at it, as its follower does first."""
        index = self.indexes.open(self.folder, model=model, dimension=dimension)
        index.look()
        return index


@contextmanager
def engine(name: str) -> Iterator[Indexes]:
    """The indexes of one of ENGINES, with none in them."""
    if name == "in process":
        yield IN_PROCESS
    elif name == "Qdrant in memory":
        yield ServerInMemory(batch=3)
    elif name == "Qdrant over HTTP":
        with serving() as front:
            yield QdrantServer(front.url, batch=3)
    else:
        server = QdrantServer(REAL_SERVER, name=f"test-{uuid4().hex[:8]}", batch=3)
        try:
            yield server
        finally:
            client = server.connect()
            for collection in client.get_collections().collections:
                if collection.name.startswith(f"{server.name}-"):
                    client.delete_collection(collection.name)
            client.close()


def document(id: str, *vectors, words=None, beginnings=None, revision=1, city="riga", **shared) -> Document:
    vectors = vectors or ([1, 0, 0, 0],)
    rows = np.array(vectors, np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return Document(
        practice=id,
        city=city,
        revision=revision,
        passages=[Passage("action", "en", f"{id} passage {n}", id) for n in range(len(rows))],
        vectors=rows,
        words=words or {},
        beginnings=beginnings or {},
        shared={"country": "LV", "themes_all": [], "languages": ["en"], "evidence": [], "population": None, **shared},
        facts={"title": {"en": id}, "themes": shared.get("themes_all", [])},
    )


def asking(*dense, words=None, beginnings=None, themes=()) -> Query:
    return Query(list(dense or (1.0, 0.0, 0.0, 0.0)), words or {}, beginnings or {}, themes)


def scores(index: SearchIndex, query: Query, filters: Filters | None = None, depth: int = 50) -> dict[str, tuple]:
    candidates = index.candidates([query], filters or Filters(), depth)
    scored = index.score([query], candidates, [sorted(candidates[0].found)])[0]
    return {one.practice: (one.dense, one.words, one.beginnings) for one in scored}
