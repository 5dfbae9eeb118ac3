"""Makes dumps: the whole published dataset in one packed file, of exactly one revision, while writes go on.

The graph view is copied (hard links, some milliseconds) and the copy is dumped; it holds its own
marker, so a dump knows for certain which revision it shows. One file per form is kept, until a dump
of a newer revision is asked for; where each write is followed by somebody who asks, making rests in
between, so that it never takes more than a small part of a processor.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import IO, TYPE_CHECKING

import pyoxigraph as ox

from kg.descriptions import ALL_PREFIXES
from kg.errors import DataFolderUnusable
from kg.graph.store import OxigraphStore

if TYPE_CHECKING:
    from kg.graph.remote import GraphStore

ENGINE_FORMS = {"nq": "nquads", "trig": "trig", "jsonld": "jsonld"}
"""Forms of a dump, by the ending before .gz, as the graph view calls them."""

UNION_FORMS = {
    "ttl": ox.RdfFormat.TURTLE,
    "nt": ox.RdfFormat.N_TRIPLES,
    "rdf": ox.RdfFormat.RDF_XML,
    "jsonld": ox.RdfFormat.JSON_LD,
}
"""Forms of the default graph: all statements together, without the names of their graphs."""

LEVEL = 6
"""Of gzip's nine: on the starting data level 9 took 2.2 times as long for 3 % less."""

CHUNK_BYTES = 1 << 16

REST = 10.0
"""How many times as long as its making took a dump is given out although there is a newer revision."""


@dataclass(frozen=True)
class Dump:
    """One finished file, opened: it can be read to its end although a newer one takes its place meanwhile."""

    name: str
    tag: str
    revision: int
    sha256: str
    size_bytes: int
    file: IO[bytes]

    @property
    def digest(self) -> str:
        """The SHA-256 in the form of RFC 9530's Repr-Digest."""
        return f"sha-256=:{base64.b64encode(bytes.fromhex(self.sha256)).decode()}:"

    def chunks(self) -> Iterator[bytes]:
        """The file's bytes; it is closed at the end, or when the reader goes away."""
        with self.file:
            while chunk := self.file.read(CHUNK_BYTES):
                yield chunk


class Dumps:
    """The dumps of one graph view, kept in `folder`, which is made when first needed and may be removed at any time.

    >>> with tempfile.TemporaryDirectory() as tmp, OxigraphStore(Path(tmp, "graph"), "https://x.org/") as graph:
    ...     graph.apply([], 7)
    ...     dump = Dumps(Path(tmp, "dumps"), graph).whole("nq")
    ...     print(dump.name, dump.revision, gzip.decompress(b"".join(dump.chunks())))
    mentorgraph-7.nq.gz 7 b''
    """

    def __init__(self, folder: Path, graph: GraphStore, rest: float = REST) -> None:
        self._folder = folder
        self._graph = graph
        self._rest = rest
        self._making = Lock()
        self._made: dict[str, _Made] = {}

    def whole(self, form: str) -> Dump:
        """The newest dataset with one named graph per record, packed: form "nq", "trig" or "jsonld".

        Raises DataFolderUnusable when it cannot be written.
        """
        return self._newest(f"{form}.gz", lambda view, target: _pack(view, ENGINE_FORMS[form], target))

    def union(self, form: str) -> Dump:
        """The newest default graph, which is the union of all, not packed: form "ttl", "nt", "rdf" or "jsonld".

        Raises DataFolderUnusable when it cannot be written.
        """
        return self._newest(f"union.{form}", lambda view, target: _flatten(view, UNION_FORMS[form], target))

    def tag(self) -> str:
        """Names the present content: the revision, and the vocabularies beside the records."""
        return _tag(self._graph)

    def _newest(self, ending: str, write: Callable[[OxigraphStore, Path], None]) -> Dump:
        """A file of the present content, made now unless there is one. One at a time is made; others wait for it."""
        with self._making:
            made = self._made.get(ending)
            if made is None or not made.path.is_file() or (made.tag != self.tag() and made.rested()):
                made = self._make(ending, write)
            return made.opened()

    def _make(self, ending: str, write: Callable[[OxigraphStore, Path], None]) -> _Made:
        began = time.monotonic()
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            with _copy(self._graph, self._folder) as (view, scratch):
                name = f"mentorgraph-{view.marker()}.{ending}"
                write(view, scratch / name)
                place = (scratch / name).replace(self._folder / name)
                now = time.monotonic()
                until = now + self._rest * (now - began)
                made = _Made(place, _tag(view), view.marker(), _sha256(place), place.stat().st_size, until)
        except OSError as error:
            raise DataFolderUnusable(f"the dump cannot be written ({error.strerror})") from error
        for old in self._folder.glob(f"mentorgraph-*.{ending}"):
            if old != made.path:
                old.unlink(missing_ok=True)
        self._made[ending] = made
        return made


@dataclass(frozen=True)
class _Made:
    """A file that lies ready."""

    path: Path
    tag: str
    revision: int
    sha256: str
    size_bytes: int
    rests_until: float

    def rested(self) -> bool:
        return time.monotonic() >= self.rests_until

    def opened(self) -> Dump:
        return Dump(self.path.name, self.tag, self.revision, self.sha256, self.size_bytes, self.path.open("rb"))


@contextmanager
def _copy(graph: GraphStore, folder: Path) -> Iterator[tuple[OxigraphStore, Path]]:
    """The graph view as it is now, as a store of its own, and a scratch folder beside; both are removed afterwards."""
    for left in folder.glob(".making-*"):  # by a process that was killed: one process owns the folder, one thread makes
        shutil.rmtree(left, ignore_errors=True)
    scratch = Path(tempfile.mkdtemp(prefix=".making-", dir=folder))
    try:
        graph.backup(scratch / "graph")
        with OxigraphStore(scratch / "graph", graph.base) as view:
            yield view, scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _tag(graph: GraphStore) -> str:
    """Vocabularies change with a new version of the software, without a new revision."""
    vocabularies = repr(sorted(graph.vocabularies().items()))
    return f"{graph.marker()}-{hashlib.sha256(vocabularies.encode()).hexdigest()[:8]}"


def _pack(view: OxigraphStore, format: str, target: Path) -> None:
    """One dump, packed; the time in gzip's head is 0, so that the same content gives the same bytes."""
    plain = target.with_suffix("")
    view.dump(plain, format)
    with (
        plain.open("rb") as source,
        target.open("wb") as file,
        gzip.GzipFile(plain.name, "wb", LEVEL, fileobj=file, mtime=0) as packed,
    ):
        shutil.copyfileobj(source, packed, CHUNK_BYTES)
    plain.unlink()


def _flatten(view: OxigraphStore, format: ox.RdfFormat, target: Path) -> None:
    """All statements without their graphs' names; from file to file, so that memory does not grow with the data."""
    quads = target.with_name("all.nq")
    view.dump(quads, "nquads")
    triples = (
        ox.Triple(q.subject, q.predicate, q.object) for q in ox.parse(path=str(quads), format=ox.RdfFormat.N_QUADS)
    )
    prefixes = ALL_PREFIXES if format == ox.RdfFormat.TURTLE else None
    ox.serialize(triples, str(target), format=format, prefixes=prefixes)
    quads.unlink()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
