"""The graph view: every published record a named graph in Oxigraph, on disk or in memory.

Where Oxigraph differs from the ledger, by design of the engine: language tags come back in lower case
("en-GB" is "en-gb"), numbers and times in their shortest form ("007"^^xsd:integer is 7, 1.50 is 1.5,
+00:00 is Z). Codes and money are strings therefore, and hashes, diffs and forms read the ledger.

What the view knows about itself (how far it is, for which base it was made, which vocabularies are loaded)
stands in the *names* of empty graphs below SYSTEM. They are written in the same update as the records, and
since they hold no statement, no pattern, count or dump can meet them: a query over the union of all graphs
(`use_default_graph_as_union`) would see a marker kept as a statement, in the default graph too.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC
from hashlib import sha256
from importlib.resources.abc import Traversable
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Self
from urllib.parse import quote, unquote

import pyoxigraph as ox
from rdflib import DCAT, DCTERMS, FOAF, OWL, PROV, RDF, XSD

from kg.changes import role_of
from kg.errors import (
    BadQuery,
    DataFolderInUse,
    DataFolderUnusable,
    IndexMismatch,
    KgError,
    LedgerDamaged,
    UnreadableInput,
    quoted,
)
from kg.views import Key, is_shown, newest_decisions
from kg.vocabulary import CONCEPTS, DEFAULT_BASE, MG, PREFIXES, parse_thing_iri, record_iri, thing_iri

if TYPE_CHECKING:
    from kg.ledger import Revision

LAYOUT = "2"
"""Raised when what is stored for a record changes; a folder of another layout is rebuilt."""

SYSTEM = f"{DEFAULT_BASE}system/"
"""Names of graphs below it are notes of the view, whatever the base of the records."""

FLUSH_BYTES = 8_000_000
"""Text of updates after which tables are written out, about 1,300 records. What is not is replayed at the next start
after a kill: 2.6 s for 1,500 records (1.1 s of computing) against 0.1 s. Filling costs a fifth more in return."""

REOPEN_SECONDS = 5.0
"""How long to wait for our own running queries before a store that refuses writes is opened anew."""

HEADROOM_BYTES = 4_000_000
"""Free space asked for before a store that refused a write is opened anew: opening writes files itself."""

TABLES = {
    "json": ox.QueryResultsFormat.JSON,
    "xml": ox.QueryResultsFormat.XML,
    "csv": ox.QueryResultsFormat.CSV,
    "tsv": ox.QueryResultsFormat.TSV,
}
GRAPHS = {
    "turtle": ox.RdfFormat.TURTLE,
    "ntriples": ox.RdfFormat.N_TRIPLES,
    "rdfxml": ox.RdfFormat.RDF_XML,
    "jsonld": ox.RdfFormat.JSON_LD,
}
DUMPS = {"trig": ox.RdfFormat.TRIG, "nquads": ox.RdfFormat.N_QUADS, "jsonld": ox.RdfFormat.JSON_LD}

_NOTES = """
SELECT ?name WHERE { GRAPH ?name { } FILTER(STRSTARTS(STR(?name), "%s")) }
"""
_HELD = """
SELECT ?record ?number WHERE { GRAPH ?record { ?record owl:versionInfo ?number } }
"""
_KINDS = """
SELECT ?kind (COUNT(*) AS ?number) WHERE {
  GRAPH ?record { ?record foaf:primaryTopic ?thing }
  BIND(STRBEFORE(SUBSTR(STR(?thing), %d), "/") AS ?kind)
} GROUP BY ?kind ORDER BY ?kind
"""
_STATEMENTS = """
SELECT (COUNT(*) AS ?number) WHERE { GRAPH ?graph { ?subject ?predicate ?object } }
"""

_Quads = Iterable[ox.Quad]


@dataclass(frozen=True)
class Statistics:
    """What the graph view holds: records per kind, and statements in all, the vocabularies' included."""

    records: Mapping[str, int]
    statements: int


class OxigraphStore:
    """The published, public records as named graphs, with the vocabularies beside them. One view of a ledger.

    `folder` is made when it is not there (its parent has to be); None keeps everything in memory. `base` is the
    ledger's. Any thread may read while another writes: a query sees all of an update or none of it.

    Raises DataFolderInUse when another process has the folder open, IndexMismatch when it is damaged or was
    made for another base or layout (`discard` it and follow the ledger again), DataFolderUnusable when it
    cannot be made or written.

    >>> from types import SimpleNamespace
    >>> from datetime import datetime, UTC
    >>> riga = SimpleNamespace(number=1, kind="city", id="riga", state="published", visibility="public", author="",
    ...     time=datetime(2026, 3, 1, tzinfo=UTC),
    ...     payload='<https://x.org/id/city/riga> <http://www.w3.org/2000/01/rdf-schema#label> "Rīga"@lv .')
    >>> with OxigraphStore(None, "https://x.org/") as store:
    ...     store.apply([riga], 1)
    ...     store.query("SELECT ?name { ?city rdfs:label ?name }", table="tsv").decode()
    '?name\\n"Rīga"@lv\\n'
    """

    name = "graph"

    def __init__(self, folder: Path | None, base: str = DEFAULT_BASE) -> None:
        self.base = base
        self._folder = folder
        self._closed = False
        self._refuses_writes = False
        self._unflushed_bytes = 0
        self._writing = Lock()
        self._swapping = Lock()
        self._store: ox.Store | None = _opened(folder)
        self._told: list[Callable[[str], None]] = []
        self._vocabularies: dict[str, str] = {}
        self._marker = 0
        try:
            self._read_notes()
        except BaseException:
            self._store = None
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def marker(self) -> int:
        """Number of the last ledger row that is in the graph; 0 for an empty one.

        >>> with OxigraphStore(None) as store:
        ...     store.apply([], 7)
        ...     store.marker()
        7
        """
        return self._marker

    def apply(self, revisions: Sequence[Revision], marker: int) -> None:
        """Replace, whole, the graph of every record decided on, and set the marker, in one update.

        A record that is published and public gets its payload and, on the record's own node, its state, the
        time of its last change, what it is about, the number of its revision and the role in which it was
        published (PROV; never the account). Any other loses its graph.
        The step is in the page cache of the system afterwards, not surely on the disk; the ledger is.

        Raises LedgerDamaged when a payload is not N-Triples, DataFolderUnusable when the disk is full
        or read-only, IndexMismatch when the folder is damaged. Nothing is changed then.

        >>> from types import SimpleNamespace
        >>> from datetime import datetime, UTC
        >>> riga = SimpleNamespace(number=1, kind="city", id="riga", state="published", visibility="public", author="",
        ...     time=datetime(2026, 3, 1, tzinfo=UTC), payload="")
        >>> with OxigraphStore(None, "https://x.org/") as store:
        ...     store.apply([riga], 1)
        ...     print(store.query('''SELECT ?number ?changed {
        ...         ?record foaf:primaryTopic <https://x.org/id/city/riga> ; a dcat:CatalogRecord ; mg:state ?state ;
        ...             owl:versionInfo ?number ; dcterms:modified ?changed }''', table="csv").decode())
        number,changed
        1,2026-03-01T00:00:00Z
        """
        with self._changing():
            steps = [step for revision in newest_decisions(revisions) for step in self._replacement(revision)]
            self._update([*steps, *self._marking(marker)])
            self._marker = marker

    def held(self) -> dict[Key, int]:
        """The records in the graph, each with the number of the revision it shows; for `kg.views.agreement`.

        >>> OxigraphStore(None).held()
        {}
        """
        # Asking for what a record is about as well took three times as long; vocabularies have a version too.
        found = ((parse_thing_iri(self.base, row["record"] or ""), row["number"]) for row in self.rows(_HELD))
        return {key: int(number or 0) for key, number in found if key}

    def clear(self) -> None:
        """Drop all records and set the marker to 0, the marker first. Vocabularies stay, but for an instant.

        Emptying the whole store takes a millisecond, dropping 3,000 graphs took 3 s of computing; so it is
        emptied, and the vocabularies are put back. A kill in between leaves an empty view.

        >>> with OxigraphStore(None) as store:
        ...     store.apply([], 7)
        ...     store.clear()
        ...     store.marker()
        0
        """
        with self._changing():
            kept = [step for iri, digest in self._vocabularies.items() for step in self._reloading(iri, digest)]
            self._update(self._marking(0))
            self._marker = 0
            self._write(ox.Store.clear)
            self._tell(["DROP ALL"])
            self._update([f"CREATE {_note('layout', LAYOUT, self.base)}", *kept])

    def close(self) -> None:
        """Write everything out and give the folder free. Closing twice changes nothing; using it after is ValueError.

        >>> store = OxigraphStore(None)
        >>> store.close()
        >>> store.rows("SELECT * {}")
        Traceback (most recent call last):
        ValueError: the graph view is closed
        """
        with self._writing:
            store, self._store, self._closed = self._store, None, True
            if store is not None and not self._refuses_writes:
                with _engine_errors():
                    store.flush()

    def query(self, sparql: str, *, table: str = "json", graph: str = "turtle") -> bytes:
        """Run one of our own SPARQL 1.1 queries and return its result, serialised in UTF-8.

        A plain pattern sees all graphs together; a statement that two graphs make counts twice.
        `GRAPH ?record { … }` tells where a statement is from. The prefixes of `kg.vocabulary` are known.

        `table` ("json", "xml", "csv", "tsv") is for SELECT and ASK, `graph` ("turtle", "ntriples", "rdfxml",
        "jsonld") for CONSTRUCT and DESCRIBE. The result is read here, in the calling thread: reading it in another
        than its own ends the process. Tables are written without the GIL.

        Never for text of strangers: there is no time limit, SERVICE would call out, and deep nesting crashes the parser.

        Raises BadQuery, quoting line and column, for what is not a query; IndexMismatch when the folder is damaged.

        >>> OxigraphStore(None).query("ASK { ?s ?p ?o }")
        b'{"head":{},"boolean":false}'
        >>> OxigraphStore(None).query("DROP ALL")
        Traceback (most recent call last):
        kg.errors.BadQuery: the query cannot be read: error at 1:9: expected one of DESCRIBE, [_]
        """
        if table not in TABLES or graph not in GRAPHS:
            raise ValueError(f"the formats are {', '.join(TABLES)} for tables, {', '.join(GRAPHS)} for graphs")
        with _engine_errors():
            results = self._results(sparql)
            if isinstance(results, ox.QueryTriples):
                return ox.serialize(results, format=GRAPHS[graph], prefixes=_prefixes(graph)) or b""
            return results.serialize(format=TABLES[table]) or b""

    def rows(self, sparql: str) -> list[dict[str, str | None]]:
        """The rows of one of our own SELECT queries, as `query` runs it: variable → lexical value, None when unbound.

        A text with a language has it under the variable's name and "@lang".

        Raises BadQuery when it is not a SELECT, and as `query` does.

        >>> OxigraphStore(None).rows('SELECT * { VALUES (?name ?of) { ("Rīga"@lv dcterms:title) ("7" UNDEF) } }')
        [{'name': 'Rīga', 'name@lang': 'lv', 'of': 'http://purl.org/dc/terms/title'}, {'name': '7', 'of': None}]
        """
        with _engine_errors():
            results = self._results(sparql)
            if not isinstance(results, ox.QuerySolutions):
                raise BadQuery("rows come from a SELECT query only")
            names = [variable.value for variable in results.variables]
            return [dict(_cells(names, solution)) for solution in results]

    def load_vocabulary(self, files: Mapping[str, Traversable]) -> list[str]:
        """Make each Turtle file the content of the graph named by its IRI, and return the IRIs that changed.

        A file whose SHA-256 is the one loaded before is left alone, so this costs nothing at a usual start.
        Graphs loaded before and not named now are dropped. All is one update; relative IRIs in a file
        are resolved against the graph's.

        Raises UnreadableInput, naming file and line, when a file is not Turtle, and ValueError for the IRI
        of a record or of the view's own notes.

        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as tmp, OxigraphStore(None) as store:
        ...     file = Path(tmp, "themes.ttl")
        ...     _ = file.write_text("<#heat> a <http://www.w3.org/2004/02/skos/core#Concept> .")
        ...     store.load_vocabulary({"https://x.org/themes": file})
        ...     store.load_vocabulary({"https://x.org/themes": file})
        ...     store.rows("SELECT ?theme { GRAPH <https://x.org/themes> { ?theme a skos:Concept } }")
        ['https://x.org/themes']
        []
        [{'theme': 'https://x.org/themes#heat'}]
        """
        for iri in files:
            if iri.startswith(SYSTEM) or parse_thing_iri(self.base, iri):
                raise ValueError(f"{quoted(iri)} is no name for a vocabulary's graph")
        contents = {iri: file.read_bytes() for iri, file in files.items()}
        wanted = {iri: sha256(content).hexdigest() for iri, content in contents.items()}
        with self._changing():
            before = self._vocabularies
            gone = [iri for iri, digest in before.items() if wanted.get(iri) != digest]
            new = [iri for iri, digest in wanted.items() if before.get(iri) != digest]
            steps = [
                step
                for iri in gone
                for step in (f"DROP SILENT GRAPH {_iri(iri)}", f"DROP {_note('vocabulary', iri, before[iri])}")
            ]
            for iri in new:
                statements = _turtle(contents[iri], iri, files[iri].name)
                steps.append(_insertion(iri, statements))
                steps.append(f"CREATE {_note('vocabulary', iri, wanted[iri])}")
            self._update(steps)
            self._vocabularies = wanted
        return [*(iri for iri in gone if iri not in wanted), *new]

    def vocabularies(self) -> dict[str, str]:
        """The vocabularies' graphs, each with the SHA-256 of the file it was loaded from.

        >>> OxigraphStore(None).vocabularies()
        {}
        """
        return dict(self._vocabularies)

    def statistics(self) -> Statistics:
        """Count records per kind and all statements, from what can be queried.

        >>> OxigraphStore(None).statistics()
        Statistics(records={}, statements=0)
        """
        # Kinds are read off the things' names: "{base}id/" ends one character before the kind begins.
        kinds = self.rows(_KINDS % (len(self.base) + len("id/") + 1))
        records = {row["kind"] or "": int(row["number"] or 0) for row in kinds}
        return Statistics(records, int(self.rows(_STATEMENTS)[0]["number"] or 0))

    def dump(self, path: Path, format: str = "trig") -> None:
        """Write records and vocabularies to a file, as "trig", "nquads" or "jsonld", from one consistent state.

        Writers go on meanwhile and are not seen. The file appears whole or not at all: it is written beside
        its place and then renamed. Statements come in no promised order.

        Raises DataFolderUnusable when the file cannot be written.

        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as tmp, OxigraphStore(None) as store:
        ...     store.apply([], 7)
        ...     store.dump(Path(tmp, "all.nq"), "nquads")
        ...     Path(tmp, "all.nq").read_bytes()
        b''
        """
        if format not in DUMPS:
            raise ValueError(f"the formats of a dump are {', '.join(DUMPS)}")
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        try:
            with _engine_errors("the dump"):
                self._current().dump(str(part), DUMPS[format], prefixes=_prefixes(format))
                part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def backup(self, folder: Path) -> None:
        """Copy the view as it is, marker included, into a new folder that `OxigraphStore` can open.

        On the same file system it takes milliseconds: the files are shared (hard links). Raises ValueError for
        a view in memory, DataFolderUnusable when the folder is there already or cannot be made.

        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as tmp, OxigraphStore(Path(tmp, "graph")) as store:
        ...     store.apply([], 7)
        ...     store.backup(Path(tmp, "copy"))
        ...     with OxigraphStore(Path(tmp, "copy")) as copy:
        ...         copy.marker()
        7
        """
        if self._folder is None:
            raise ValueError("a graph in memory has no backup; dump it")
        with _engine_errors("the backup"):
            self._current().backup(str(folder))

    @property
    def folder(self) -> Path | None:
        """Where the view lies; None for one in memory.

        >>> OxigraphStore(None).folder is None
        True
        """
        return self._folder

    def snapshot(self, folder: Path) -> None:
        """Copy what readers see, as it is now, into a new folder: `backup` without the view's own notes.

        For processes that open it to read only. Writers wait for the copy of the files' names, not for the rest.

        Raises as `backup` does.

        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as tmp, OxigraphStore(Path(tmp, "graph")) as store:
        ...     store.apply([], 7)
        ...     store.snapshot(Path(tmp, "copy"))
        ...     list(ox.Store.read_only(str(Path(tmp, "copy"))).named_graphs())
        []
        """
        with self._writing:
            self.backup(folder)
            notes = [_note("layout", LAYOUT, self.base)]
            notes += [_note("vocabulary", iri, digest) for iri, digest in self._vocabularies.items()]
            notes += [_note("applied", str(self._marker))] if self._marker else []
        with _engine_errors("the copy"):
            copy = ox.Store(str(folder))
            copy.update(";\n".join(f"DROP SILENT {note}" for note in notes))
            copy.flush()

    def hand_over(self, path: Path, on_update: Callable[[str], None]) -> None:
        """Write what readers see to a file, as `dump` in N-Quads, and from then on call `on_update` with each change.

        A change is one SPARQL update, told once it is committed and in order; whoever loads the file and applies
        them has what readers have, and nothing of the view's own notes. None is lost or told twice: writers wait
        while the file is written. `on_update` is called in the writer's thread and must return at once.

        Raises DataFolderUnusable when the file cannot be written.

        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as tmp, OxigraphStore(None) as store:
        ...     store.hand_over(Path(tmp, "all.nq"), print)
        ...     store.apply([], 7)
        ...     file = Path(tmp, "names.ttl")
        ...     _ = file.write_text('<urn:riga> <urn:name> "Riga" .')
        ...     _ = store.load_vocabulary({"urn:names": file})
        INSERT DATA { GRAPH <urn:names> {
        <urn:riga> <urn:name> "Riga" .
        } }
        """
        with self._changing():
            self.dump(path, "nquads")
            self._told.append(on_update)

    def stop_telling(self, on_update: Callable[[str], None]) -> None:
        """Call `on_update` no more; nothing happens where it was not called.

        >>> OxigraphStore(None).stop_telling(print)
        """
        with self._writing:
            if on_update in self._told:
                self._told.remove(on_update)

    @staticmethod
    def discard(folder: Path) -> None:
        """Remove what is in a view's folder, damaged or not, so that it is made anew from the ledger.

        Only for a folder that nobody has open. The folder itself stays: it may be a mount or a link.
        A removal that was interrupted leaves a folder that opens as empty or as damaged, never as whole.

        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as tmp:
        ...     _ = Path(tmp, "CURRENT").write_text("not a store")
        ...     OxigraphStore.discard(Path(tmp))
        ...     OxigraphStore(Path(tmp)).marker()
        0
        """
        if folder.is_dir():
            # Without CURRENT, which names the list of its files, the engine takes nothing for a store.
            for entry in sorted(folder.iterdir(), key=lambda entry: entry.name != "CURRENT"):
                shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
        else:
            folder.unlink(missing_ok=True)

    def _read_notes(self) -> None:
        """Take marker and vocabularies from the names below SYSTEM; note the layout in a new folder."""
        notes = [_read_note(row["name"] or "") for row in self.rows(_NOTES % SYSTEM)]
        if not notes:
            self._refuse_foreign()
            self._update([f"CREATE {_note('layout', LAYOUT, self.base)}"])
        elif ("layout", LAYOUT, self.base) not in notes:
            raise IndexMismatch("the graph was made for another base IRI or by another version: it has to be rebuilt")
        markers = [int(values[0]) for what, *values in notes if what == "applied"]
        if len(markers) > 1:
            raise IndexMismatch("the graph does not say how far it is: it has to be rebuilt")
        self._marker = sum(markers)
        self._vocabularies = {values[0]: values[1] for what, *values in notes if what == "vocabulary"}

    def _refuse_foreign(self) -> None:
        if self.query("ASK { ?s ?p ?o }", table="csv") != b"false":
            raise IndexMismatch("the graph folder holds statements that are not ours: it has to be rebuilt")

    def _reloading(self, iri: str, digest: str) -> Iterator[str]:
        """The steps that put a vocabulary back as it is in the store now."""
        lines = self._current().dump(format=ox.RdfFormat.N_TRIPLES, from_graph=_name(iri)) or b""
        yield _insertion(iri, ox.parse(lines, ox.RdfFormat.N_TRIPLES, rename_blank_nodes=True))
        yield f"CREATE {_note('vocabulary', iri, digest)}"

    def _replacement(self, revision: Revision) -> Iterator[str]:
        """The update steps for one record. On 1,000 records, quads a second of computing: DROP and INSERT per
        record 24,400; all DROPs first, one INSERT 21,100; DELETE WHERE per graph 18,200; one DELETE over VALUES
        26,100, which leaves the names of empty graphs behind."""
        graph = str(record_iri(self.base, revision.kind, revision.id))
        if self._current().contains_named_graph(_name(graph)):
            yield f"DROP GRAPH {_iri(graph)}"
        if is_shown(revision):
            yield _insertion(graph, [*_payload(revision), *_about(revision, self.base)])

    def _marking(self, marker: int) -> Iterator[str]:
        if marker != self._marker:
            if self._marker:
                yield f"DROP {_note('applied', str(self._marker))}"
            if marker:
                yield f"CREATE {_note('applied', str(marker))}"

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """One writer at a time, on a store that takes writes."""
        with self._writing:
            if self._refuses_writes:
                self._reopen()
            yield

    def _update(self, steps: Iterable[str]) -> None:
        """Run all steps as one update: the only thing of several steps that pyoxigraph does whole or not at all."""
        listed = list(steps)
        text = ";\n".join(listed)
        if text:
            self._write(lambda store: store.update(text), len(text))
            self._tell(step for step in listed if not step.startswith(_OF_NOTES))

    def _tell(self, steps: Iterable[str]) -> None:
        text = ";\n".join(steps)
        if text:
            for on_update in self._told:
                on_update(text)

    def _write(self, change: Callable[[ox.Store], None], size_bytes: int = 0) -> None:
        store = self._current()
        try:
            with _engine_errors():
                change(store)
                self._unflushed_bytes += size_bytes
                if self._unflushed_bytes >= FLUSH_BYTES:
                    store.flush()
                    self._unflushed_bytes = 0
        except DataFolderUnusable:
            self._refuses_writes = True
            raise

    def _reopen(self) -> None:
        """After one failed write RocksDB refuses all others until it is opened again, also when the disk has space."""
        if self._folder is None:
            return
        _check_headroom(self._folder)
        with self._swapping:
            self._store = None
            self._store = _opened_when_free(self._folder)
        self._refuses_writes = False
        self._read_notes()

    def _current(self) -> ox.Store:
        """The store to read from; opened here only when opening it anew after a full disk failed before."""
        with self._swapping:
            if self._closed:
                raise ValueError("the graph view is closed")
            if self._store is None:
                self._store = _opened(self._folder)
            return self._store

    def _results(self, sparql: str) -> ox.QuerySolutions | ox.QueryBoolean | ox.QueryTriples:
        try:
            return self._current().query(sparql, prefixes=PREFIXES, use_default_graph_as_union=True)
        except SyntaxError as error:
            raise BadQuery(f"the query cannot be read: {error}") from error


def _cells(names: Sequence[str], solution: ox.QuerySolution) -> Iterator[tuple[str, str | None]]:
    for name in names:
        term = solution[name]
        yield name, None if term is None else getattr(term, "value", str(term))
        if isinstance(term, ox.Literal) and term.language:
            yield f"{name}@lang", term.language


def _payload(revision: Revision) -> list[ox.Quad]:
    """The statements of a revision. They are parsed and written anew, so that no text can end the INSERT DATA."""
    try:
        return list(ox.parse(revision.payload or "", ox.RdfFormat.N_TRIPLES, rename_blank_nodes=True))
    except SyntaxError as error:
        raise LedgerDamaged(f"revision {revision.number} of {revision.kind} {quoted(revision.id)}: {error}") from error


def _turtle(content: bytes, iri: str, name: str) -> list[ox.Quad]:
    """Blank nodes get new names, because one update may not use a name in two of its steps."""
    try:
        return list(ox.parse(content, ox.RdfFormat.TURTLE, base_iri=iri, rename_blank_nodes=True))
    except SyntaxError as error:
        raise UnreadableInput(f"{name} is not Turtle: {error}") from error


def _about(revision: Revision, base: str) -> _Quads:
    """What the view says of the record itself, on the record's own node."""
    record = _name(record_iri(base, revision.kind, revision.id))
    changed = revision.time.astimezone(UTC).isoformat().replace("+00:00", "Z")
    said: list[tuple[str, ox.NamedNode | ox.Literal]] = [
        (RDF.type, _name(DCAT.CatalogRecord)),
        (FOAF.primaryTopic, _name(thing_iri(base, revision.kind, revision.id))),
        (MG.state, _name(f"{CONCEPTS}record-state/published")),
        (DCTERMS.modified, ox.Literal(changed, datatype=_name(XSD.dateTime))),
        (OWL.versionInfo, ox.Literal(str(revision.number))),
        (PROV.generatedAtTime, ox.Literal(changed, datatype=_name(XSD.dateTime))),
        (PROV.wasAttributedTo, _name(f"{CONCEPTS}record-role/{role_of(revision.author)}")),
    ]
    return [ox.Quad(record, _name(predicate), value, ox.DefaultGraph()) for predicate, value in said]


def _insertion(graph: str, statements: _Quads) -> str:
    lines = ox.serialize(statements, format=ox.RdfFormat.N_TRIPLES) or b""
    return f"INSERT DATA {{ GRAPH {_iri(graph)} {{\n{lines.decode()}}} }}"


def _note(*words: str) -> str:
    """The graph whose name says something about the view itself."""
    return "GRAPH " + _iri(SYSTEM + "/".join(quote(word, safe="") for word in words))


_OF_NOTES = (f"CREATE GRAPH <{SYSTEM}", f"DROP GRAPH <{SYSTEM}")
"""How the steps begin that write and remove the view's notes."""


def _read_note(name: str) -> tuple[str, ...]:
    return tuple(unquote(word) for word in name.removeprefix(SYSTEM).split("/"))


def _name(iri: str) -> ox.NamedNode:
    """A name that the engine has checked: ValueError for what is not an IRI, `>` and spaces above all."""
    return ox.NamedNode(str(iri))


def _iri(iri: str) -> str:
    return str(_name(iri))


def _opened(folder: Path | None) -> ox.Store:
    if folder is None:
        return ox.Store()
    with _engine_errors():
        if not folder.parent.is_dir():
            raise DataFolderUnusable("the folder that the graph's folder is to be in is not there: make it first")
        return ox.Store(str(folder))


def _opened_when_free(folder: Path) -> ox.Store:
    """Queries that still run in other threads keep the old store alive for a moment, and with it the lock."""
    deadline = time.monotonic() + REOPEN_SECONDS
    while True:
        try:
            return _opened(folder)
        except DataFolderInUse:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _check_headroom(folder: Path) -> None:
    """Write and remove a file, so that a store is not given up while the disk is full: it can still be read."""
    probe = folder / "probe"
    try:
        probe.write_bytes(bytes(HEADROOM_BYTES))
    except OSError as error:
        raise DataFolderUnusable(f"the graph cannot be written or read: {error.strerror}") from error
    finally:
        probe.unlink(missing_ok=True)


def _prefixes(format: str) -> dict[str, str] | None:
    return PREFIXES if format in ("turtle", "trig") else None


@contextmanager
def _engine_errors(written: str = "") -> Iterator[None]:
    """Turn the engine's errors, which only their text tells apart, into ours. `written` names a file outside."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        raise _named(error, written) from error


_DAMAGE = ("Corruption:",)
_DAMAGE_HERE = ("Corruption:", "Invalid argument:", "No such file", "is not a directory")
_LOCKED = ("While lock file", "lock hold by current process")


def _named(error: OSError | RuntimeError, written: str) -> KgError:
    text = str(error)
    if any(sign in text for sign in _LOCKED):
        return DataFolderInUse()
    if any(sign in text for sign in (_DAMAGE if written else _DAMAGE_HERE)):
        return IndexMismatch("the graph's folder is damaged: it has to be rebuilt from the ledger")
    reason = getattr(error, "strerror", None) or text.rpartition(": ")[2]
    return DataFolderUnusable(f"{written or 'the graph'} cannot be written or read: {reason}")
