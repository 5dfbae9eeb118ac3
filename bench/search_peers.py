"""txtai and LanceDB over the same passages and vectors as our index, each in a process of its own, so that memory is its own.

Both are asked as their documentation says for hybrid search with a filter: txtai by SQL over `similar`, LanceDB by a
vector and a text with reciprocal rank fusion. They search passages; which practices and cities these make is not their work.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from collections.abc import Iterator
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

import numpy as np

PASSAGES = 150
"""As many as each of our signals puts forward."""

ROWS = 5_000


class Peer(Protocol):
    """A library that was given all passages."""

    def ask(self, text: str, vector: np.ndarray, country: str) -> int:
        """Search once; how many passages came back."""


class Txtai:
    """txtai with BM25 and faiss, content in SQLite; as it is by default."""

    def __init__(self, folder: Path, place: Path) -> None:
        from txtai import Embeddings

        self._vector: np.ndarray | None = None
        rows = iter(np.load(folder / "vectors.npy", mmap_mode="r"))

        def given(texts: list[str]) -> np.ndarray:
            """The need's vector, or those of the next passages, which come in their order."""
            if self._vector is not None:
                return np.stack([self._vector] * len(texts))
            return np.stack(list(islice(rows, len(texts))))

        self._embeddings = Embeddings({"method": "external", "transform": given, "content": True, "hybrid": True})
        self._embeddings.index((number, one, None) for number, one in enumerate(read_passages(folder)))

    def ask(self, text: str, vector: np.ndarray, country: str) -> int:
        self._vector = vector
        sql = "SELECT id, practice, text, score FROM txtai WHERE similar(:need) AND country = :country"
        return len(self._embeddings.search(sql, limit=PASSAGES, parameters={"need": text, "country": country}))


class LanceDB:
    """LanceDB with an index of HNSW graphs over eight-bit vectors, a full-text index and a bitmap of countries."""

    def __init__(self, folder: Path, place: Path) -> None:
        os.environ["LANCEDB_LOG"] = os.environ["LANCE_LOG"] = (
            "error"  # it warns at every search of columns that it will name otherwise
        )
        import lancedb
        import pyarrow as pa
        from lancedb.index import FTS, Bitmap, IvfHnswSq
        from lancedb.rerankers import RRFReranker

        vectors = np.load(folder / "vectors.npy", mmap_mode="r")
        width = vectors.shape[1]
        texts = [pa.field(name, pa.string()) for name in ("text", "practice", "country")]
        schema = pa.schema([pa.field("vector", pa.list_(pa.float32(), width)), *texts])

        def batches() -> Iterator[Any]:
            passages = read_passages(folder)
            for start in range(0, len(vectors), ROWS):
                some = list(islice(passages, ROWS))
                rows = pa.FixedSizeListArray.from_arrays(pa.array(vectors[start : start + ROWS].reshape(-1)), width)
                yield pa.record_batch([rows, *([one[f.name] for one in some] for f in texts)], schema=schema)

        table = lancedb.connect(place).create_table(
            "passage", data=pa.RecordBatchReader.from_batches(schema, batches())
        )
        table.create_index("vector", config=IvfHnswSq(distance_type="cosine"))
        table.create_index("text", config=FTS())
        table.create_index("country", config=Bitmap())
        self._table, self._fused = table, RRFReranker()

    def ask(self, text: str, vector: np.ndarray, country: str) -> int:
        asked = self._table.search(query_type="hybrid").vector(vector).text(text)
        chosen = asked.where(f"country = '{country}'", prefilter=True).rerank(self._fused).limit(PASSAGES)
        return chosen.select(["practice", "text"]).to_arrow().num_rows


PEERS: dict[str, type] = {"txtai": Txtai, "LanceDB": LanceDB}


class PeerProcess:
    """A peer in its own process, built when this returns."""

    def __init__(self, name: str, folder: Path, place: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(name, folder, place, theirs), daemon=True)
        self._process.start()
        self.built_seconds: float = self._pipe.recv()

    def ask(self, text: str, vector: np.ndarray, country: str) -> tuple[float, int]:
        """Milliseconds of one search, taken in the peer's process, and the number of passages found."""
        self._pipe.send((text, vector, country))
        return self._pipe.recv()

    def close(self) -> float:
        """End it; its resident memory before, in MB."""
        self._pipe.send(None)
        memory = self._pipe.recv()
        self._process.join()
        return memory


def _serve(name: str, folder: Path, place: Path, pipe: Connection) -> None:
    begun = time.perf_counter()
    peer: Peer = PEERS[name](folder, place)
    pipe.send(time.perf_counter() - begun)
    while (asked := pipe.recv()) is not None:
        begun = time.perf_counter()
        found = peer.ask(*asked)
        pipe.send(((time.perf_counter() - begun) * 1000, found))
    pipe.send(resident_mb())


def resident_mb() -> float:
    """Resident memory of this process."""
    return int(Path("/proc/self/status").read_text().split("VmRSS:")[1].split()[0]) / 1024


def read_passages(folder: Path) -> Iterator[dict[str, str]]:
    """Passages in the order of their vectors: text, practice, country."""
    with (folder / "passages.jsonl").open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)
