"""The graph view on any SPARQL 1.1 engine over HTTP: the same interface and promises as `OxigraphStore`.

What the view knows about itself (how far it is, for which base, which vocabularies) changes in the same request as the
records, so an engine that takes a request whole or not at all keeps them together; on another the marker moves last and
the rows are replayed. Every change names the state that it rests on and sets a new one: of two followers only one
gets through, and a request whose answer was lost is sent again without harm.

Two kinds of engine are told apart by a trial at the first opening. One that remembers graphs without statements
(Oxigraph) keeps the notes as names of such graphs, which no pattern, count or dump meets. On any other they are a few
statements in one graph: statistics, dumps and `held` leave them out, but a pattern with a variable for its
predicate, or `GRAPH ?g`, meets them, unless the engine can leave a graph out of a query (Virtuoso).

Plain patterns have to see all named graphs together. Many engines do that always, others when they are told to by the
address or their configuration: docs/engines.md has the settings. One that does not is refused at opening.
"""

from __future__ import annotations

import io
import os
import re
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from importlib.resources.abc import Traversable
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import RLock
from typing import IO, TYPE_CHECKING, Any, Protocol, Self
from urllib.parse import quote, unquote
from uuid import uuid4

import pyoxigraph as ox

from kg.errors import BadQuery, Busy, DataFolderUnusable, IndexMismatch, KgError, quoted
from kg.graph.protocol import PAUSES_SECONDS, Chunks, Endpoint, Unreachable
from kg.graph.store import (
    DUMPS,
    GRAPHS,
    LAYOUT,
    SYSTEM,
    TABLES,
    OxigraphStore,
    Statistics,
    _about,
    _cells,
    _iri,
    _name,
    _payload,
    _prefixes,
    _turtle,
)
from kg.views import Key, is_shown, newest_decisions
from kg.vocabulary import DEFAULT_BASE, PREFIXES, parse_thing_iri, record_iri

if TYPE_CHECKING:
    from kg.ledger import Revision

ATTEMPTS = 5
"""How often a change that another process overtook is worked out anew."""

DROPPED_AT_ONCE = 1000
"""Graphs that one request of `clear` drops."""

VIRTUOSO_STATEMENTS = 500
"""Most statements of one INSERT for Virtuoso: 7.2.5 compiles an update, and fails on 2,000 ("10000 lines of code")."""

_JSON = "application/sparql-results+json"
_LINES = "application/n-triples"
_NOTES_GRAPH = SYSTEM.rstrip("/")
"""Where notes stand as statements. Not below SYSTEM: engines list it as a graph among others."""
_NOTE = f"{SYSTEM}note"
_TRIALS = f"{_NOTES_GRAPH}-trial/"
"""Graphs made for a moment to find out what an engine does; others that open it meanwhile take them for no notes."""

_OURS = 'FILTER(STRSTARTS(STR(?graph), "%sid/"))'
_HELD = """
SELECT ?graph ?number WHERE { GRAPH ?graph { ?graph owl:versionInfo ?number } %s }
"""
_KINDS = """
SELECT ?kind (COUNT(*) AS ?number) WHERE {
  GRAPH ?graph { ?graph foaf:primaryTopic ?thing } %s
  BIND(STRBEFORE(SUBSTR(STR(?thing), %d), "/") AS ?kind)
} GROUP BY ?kind ORDER BY ?kind
"""
_STATEMENTS = """
SELECT (COUNT(*) AS ?number) WHERE { GRAPH ?graph { ?subject ?predicate ?object } %s }
"""
_QUADS = """
SELECT ?subject ?predicate ?object ?graph WHERE { GRAPH ?graph { ?subject ?predicate ?object } %s }
"""
_NAMES = """
SELECT DISTINCT ?graph WHERE { GRAPH ?graph { %s } %s } LIMIT %d
"""


class Overtaken(Busy):
    """Another process changed the graph between our look and our change; nothing was written."""


class RemoteStore:
    """The published, public records as named graphs of an engine's dataset, with the vocabularies. One view of a ledger.

    `url` is the engine's address for queries, with credentials where it asks for some (`kg.graph.protocol`).
    The dataset should hold nothing else: queries see all of it. Our own changes touch nothing but record graphs
    below `base`, the vocabularies and notes below SYSTEM. `notes` ("names" or "statements") spares the trial of
    the engine; leave it out. With `discard`, records of an unknown state or another layout are dropped instead of refused.

    Any thread may call any method. Whatever the engine's state was, `marker` finds out: an engine that comes back
    empty gets its vocabularies again and says 0, so that a follower fills it anew.

    Raises Busy when the engine cannot be reached, DataFolderUnusable when it refuses us, is another catalogue's
    or does not show named graphs to plain patterns, IndexMismatch when its records are not to be trusted.
    """

    name = "graph"

    def __init__(
        self,
        url: str,
        base: str = DEFAULT_BASE,
        *,
        discard: bool = False,
        notes: str | None = None,
        timeout_seconds: float = 30.0,
        update_seconds: float = 300.0,
    ) -> None:
        self.base = base
        self._endpoint = Endpoint(url, timeout_seconds=timeout_seconds, update_seconds=update_seconds)
        self._ours = _OURS % base
        self._parser = ox.Store()
        self._working = RLock()
        self._closed = False
        self._kinds_of_notes: list[_Notes] = [_NOTES_AS[notes]] if notes else list(_NOTES_AS.values())
        self._notes = self._kinds_of_notes[0]
        self._applied = ""
        self._marker = 0
        self._vocabularies: dict[str, str] = {}
        self._files: Mapping[str, Traversable] = {}
        self._told: list[Callable[[str], None]] = []
        try:
            self._read_notes(discard=discard)
            self._check_union()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def notes_are_hidden(self) -> bool:
        """Whether no query can meet what the view notes about itself."""
        return isinstance(self._notes, _EmptyGraphs) or bool(self._exclusion())

    def marker(self) -> int:
        """Number of the last ledger row that is in the graph, as the engine says now; 0 for an empty one.

        From here on changes rest on this state: another process's is found by asking again.
        """
        with self._working:
            if not self._applied or not self._ask(self._notes.has(self._applied)):
                self._look_again()
                self._load_again()
            return self._marker

    def apply(self, revisions: Sequence[Revision], marker: int) -> None:
        """Replace, whole, the graph of every record decided on, and set the marker, as one request.

        See `OxigraphStore.apply` for what a graph holds. The rows have to follow the state that `marker` told last.

        Raises LedgerDamaged when a payload is not N-Triples, Busy when another process was faster or the engine is
        away. Nothing is changed then, or, when the engine's answer was lost, all; `marker` tells.
        """
        with self._working:
            decided = newest_decisions(revisions)
            graphs = [str(record_iri(self.base, revision.kind, revision.id)) for revision in decided]
            filled = {
                graph: [*_payload(revision), *_about(revision, self.base)]
                for graph, revision in zip(graphs, decided, strict=True)
                if is_shown(revision)
            }
            self._change(marker, dropped=graphs, filled=filled)

    def held(self) -> dict[Key, int]:
        """The records in the graph, each with the number of the revision it shows; for `kg.views.agreement`."""
        found = ((parse_thing_iri(self.base, row["graph"] or ""), row["number"]) for row in self.rows(self._own(_HELD)))
        return {key: int(number or 0) for key, number in found if key}

    def clear(self) -> None:
        """Drop all records and set the marker to 0, the marker first. Vocabularies stay."""
        with self._working:
            self.marker()
            self._change(0)
            self._drop_records()

    def close(self) -> None:
        """Close the connections. Closing twice changes nothing; using it after is ValueError."""
        self._closed = True
        self._endpoint.close()

    def query(
        self,
        sparql: str,
        *,
        table: str = "json",
        graph: str = "turtle",
        deadline_seconds: float | None = None,
        limit_bytes: int | None = None,
    ) -> bytes:
        """Run one SPARQL 1.1 query and return its result, serialised in UTF-8; see `OxigraphStore.query`.

        The text is parsed here first, so that what is no query gets the same words and never leaves. The engine's
        answer is read whole, JSON or N-Triples, and written here: the same forms whatever the engine can write.
        The deadline is for the answer; what the engine goes on computing is the engine's.

        Raises BadQuery, TooSlow past `deadline_seconds`, TooLarge past `limit_bytes`, Busy when the engine is away.
        """
        if table not in TABLES or graph not in GRAPHS:
            raise ValueError(f"the formats are {', '.join(TABLES)} for tables, {', '.join(GRAPHS)} for graphs")
        is_graph = self._form(sparql) is ox.QueryTriples
        accept = _LINES if is_graph else _JSON
        text = self._sent(sparql)
        body = self._engine.answer(text, accept, deadline_seconds=deadline_seconds, limit_bytes=limit_bytes)
        with _whole_answers():
            return _graph(body, graph) if is_graph else _table(body, table)

    def rows(self, sparql: str) -> list[dict[str, str | None]]:
        """The rows of one of our own SELECT queries; see `OxigraphStore.rows`."""
        if self._form(sparql) is not ox.QuerySolutions:
            raise BadQuery("rows come from a SELECT query only")
        return self._rows(self._sent(sparql))

    def load_vocabulary(self, files: Mapping[str, Traversable]) -> list[str]:
        """Make each Turtle file the content of the graph named by its IRI, and return the IRIs that changed.

        See `OxigraphStore.load_vocabulary`. The files are remembered, for an engine that comes back empty.
        """
        for iri in files:
            if iri.startswith(_NOTES_GRAPH) or parse_thing_iri(self.base, iri):
                raise ValueError(f"{quoted(iri)} is no name for a vocabulary's graph")
        contents = {iri: file.read_bytes() for iri, file in files.items()}
        wanted = {iri: sha256(content).hexdigest() for iri, content in contents.items()}
        statements = {iri: _turtle(content, iri, files[iri].name) for iri, content in contents.items()}
        with self._working:
            for attempt in range(ATTEMPTS):
                before = self._vocabularies
                gone = [iri for iri, digest in before.items() if wanted.get(iri) != digest]
                new = [iri for iri, digest in wanted.items() if before.get(iri) != digest]
                try:
                    if gone or new:
                        self._change(
                            self._marker,
                            dropped=[*gone, *(iri for iri in new if iri not in gone)],
                            filled={iri: statements[iri] for iri in new},
                            forgotten=[_note("vocabulary", iri, before[iri]) for iri in gone],
                            noted=[_note("vocabulary", iri, wanted[iri]) for iri in new],
                        )
                    break
                except Overtaken:
                    if attempt + 1 == ATTEMPTS:
                        raise
                    self._look_again()
            self._vocabularies, self._files = wanted, files
        return [*(iri for iri in gone if iri not in wanted), *new]

    def vocabularies(self) -> dict[str, str]:
        """The vocabularies' graphs, each with the SHA-256 of the file it was loaded from."""
        return dict(self._vocabularies)

    def statistics(self) -> Statistics:
        """Count records per kind and all statements, of records and vocabularies only."""
        kinds = self.rows(_KINDS % (self._ours, len(self.base) + len("id/") + 1))
        # rdflib makes one group without a key out of no rows at all.
        records = {row["kind"]: int(row["number"] or 0) for row in kinds if row["kind"]}
        return Statistics(records, int(self.rows(_STATEMENTS % self._published())[0]["number"] or 0))

    def dump(self, path: Path, format: str = "trig") -> None:
        """Write records and vocabularies to a file, as "trig" or "nquads", from the answer to one query.

        It is written as it arrives; the file appears whole or not at all. It is of one state where the engine
        answers a query from one state, as Oxigraph does.

        Raises DataFolderUnusable when the file cannot be written, Busy when the engine's answer breaks off, TooLarge
        when the engine cuts it.
        """
        if format not in DUMPS:
            raise ValueError(f"the formats of a dump are {', '.join(DUMPS)}")
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        try:
            with part.open("wb") as file, self._quads() as quads:
                ox.serialize(quads, file, format=DUMPS[format], prefixes=_prefixes(format))
            part.replace(path)
        except OSError as error:
            raise DataFolderUnusable(f"the dump cannot be written: {error.strerror}") from error
        finally:
            part.unlink(missing_ok=True)

    def backup(self, folder: Path) -> None:
        """Copy the view as it is, marker included, into a new folder that `OxigraphStore` can open.

        Raises DataFolderUnusable when the folder is there already or cannot be made, Overtaken when other processes
        keep changing the graph.
        """
        with self._working, TemporaryDirectory() as scratch:
            path = Path(scratch, "all.nq")
            for _ in range(ATTEMPTS):
                self.marker()
                self.dump(path, "nquads")
                if self._ask(self._notes.has(self._applied)):
                    break
            else:
                raise Overtaken("other processes keep changing the graph; try again")
            try:
                folder.mkdir()
                copy = ox.Store(str(folder))
                copy.bulk_load(path=str(path), format=ox.RdfFormat.N_QUADS)
                notes = [
                    _note("layout", LAYOUT, self.base),
                    *([_note("applied", str(self._marker))] if self._marker else []),
                ]
                notes += [_note("vocabulary", iri, digest) for iri, digest in self._vocabularies.items()]
                copy.update(_EmptyGraphs().beginning(notes))
                copy.flush()
            except OSError as error:
                raise DataFolderUnusable(f"the backup cannot be written: {error.strerror or 'disk'}") from error

    def hand_over(self, path: Path, on_update: Callable[[str], None]) -> None:
        """Write what readers see to a file and tell each change from then on; see `OxigraphStore.hand_over`.

        A change of another process is found when `marker` is asked, and told as the whole graph anew.
        """
        with self._working:
            self.marker()
            self.dump(path, "nquads")
            self._told.append(on_update)

    def stop_telling(self, on_update: Callable[[str], None]) -> None:
        """Call `on_update` no more; nothing happens where it was not called."""
        with self._working:
            if on_update in self._told:
                self._told.remove(on_update)

    @property
    def _engine(self) -> Endpoint:
        if self._closed:
            raise ValueError("the graph view is closed")
        return self._endpoint

    # What the view knows about itself

    def _read_notes(self, *, discard: bool = False) -> None:
        """Take state, marker and vocabularies from the engine; begin where there are none."""
        notes = self._listed()
        try:
            self._understand(notes)
        except IndexMismatch:
            if not discard:
                raise
            self._engine.update(";\n".join(f"DROP SILENT GRAPH {_iri(graph)}" for graph in _named_in(notes)))
            self._begin(discard)

    def _listed(self) -> list[str]:
        """All notes, of the kind that has any."""
        for kind in self._kinds_of_notes:
            notes = [row["note"] or "" for row in self._rows(kind.listing())]
            if notes:
                self._notes = kind
                return notes
        return []

    def _understand(self, notes: Sequence[str]) -> None:
        if not notes:
            self._begin(discard=False)
            return
        said = [_read_note(note) for note in notes]
        layouts = [values for what, *values in said if what == "layout"]
        if any(base != self.base for _, base in layouts):
            raise DataFolderUnusable("the engine's dataset is the catalogue's of another base IRI: use one of its own")
        if layouts != [[LAYOUT, self.base]]:
            raise IndexMismatch("the graph was made by another version: it has to be rebuilt")
        applied = [note for note in notes if _read_note(note)[0] == "applied"]
        if len(applied) != 1:
            raise IndexMismatch("the graph does not say how far it is: it has to be rebuilt")
        self._applied, self._marker = applied[0], int(_read_note(applied[0])[1])
        self._vocabularies = {values[0]: values[1] for what, *values in said if what == "vocabulary"}

    def _begin(self, discard: bool) -> None:
        """Note the layout and marker 0 in a dataset that has no notes; read those of another that was faster."""
        if self._record_graphs(1) and not discard:
            raise IndexMismatch("the engine holds records of an unknown state: it has to be rebuilt")
        if len(self._kinds_of_notes) > 1:
            self._notes = self._tried()
        applied = _note("applied", "0", uuid4().hex)
        try:
            self._send([self._notes.beginning([_note("layout", LAYOUT, self.base), applied])], applied, "")
        except Busy:
            if notes := self._listed():
                self._understand(notes)
                return
            raise
        self._applied, self._marker, self._vocabularies = applied, 0, {}
        self._drop_records()

    def _tried(self) -> _Notes:
        """How this engine can keep notes: does it remember a graph that was made and holds nothing?"""
        trial = f"{_TRIALS}{uuid4().hex}"
        try:
            self._engine.update(f"CREATE GRAPH <{trial}>")
            remembers = self._ask(_EmptyGraphs().has(trial)) and not self._ask(_EmptyGraphs().has(f"{trial}-other"))
            self._engine.update(f"DROP SILENT GRAPH <{trial}>")
        except Unreachable:
            raise
        except KgError:
            remembers = False  # engines that keep no empty graphs may refuse to make one
        return _NOTES_AS["names" if remembers else "statements"]

    def _load_again(self) -> None:
        """Put the vocabularies back into an engine that has lost them."""
        if self._files and not self._vocabularies:
            self.load_vocabulary(self._files)

    def _check_union(self) -> None:
        """Refuse an engine whose default graph is one of its own: all our queries would find nothing."""
        found = self._rows("SELECT ?s ?p WHERE { GRAPH ?graph { ?s ?p ?o } FILTER(isIRI(?s)) } LIMIT 1")
        if any(self._sees(row["s"] or "", row["p"] or "") for row in found):
            return
        trial = f"{_TRIALS}{uuid4().hex}"
        self._engine.update(f"INSERT DATA {{ GRAPH <{trial}> {{ <{trial}> <{trial}> <{trial}> }} }}")
        seen = self._sees(trial, trial)
        self._engine.update(f"DROP SILENT GRAPH <{trial}>")
        if not seen:
            raise DataFolderUnusable(
                "the engine does not show named graphs to plain patterns: set its default graph to their union"
            )

    def _sees(self, subject: str, predicate: str) -> bool:
        return self._ask(f"ASK {{ {_iri(subject)} {_iri(predicate)} ?o }}")

    # Changes

    def _change(
        self,
        marker: int,
        *,
        dropped: Sequence[str] = (),
        filled: Mapping[str, list[ox.Quad]] = {},
        forgotten: Iterable[str] = (),
        noted: Iterable[str] = (),
    ) -> None:
        """Drop graphs, fill graphs and set notes, if the engine's state is still the one we know."""
        after = _note("applied", str(marker), uuid4().hex)
        texts = self._notes.changing(
            self._applied,
            forgotten=[self._applied, *forgotten],
            noted=[after, *noted],
            dropped=[_iri(graph) for graph in dropped],
            filled=self._fillings(filled),
        )
        self._send(texts, after, self._applied)
        self._applied, self._marker = after, marker
        if self._told:
            self._tell([*(f"DROP SILENT GRAPH {_iri(graph)}" for graph in dropped), *_inserting(filled)])

    def _look_again(self) -> None:
        """Take over a state that is not of our making, and tell it anew: nobody knows what led there."""
        self._read_notes()
        if self._told:
            with TemporaryDirectory() as folder:
                path = Path(folder, "all.nq")
                self.dump(path, "nquads")
                graphs: dict[str, list[ox.Quad]] = {}
                for quad in ox.parse(path=str(path), format=ox.RdfFormat.N_QUADS):
                    graphs.setdefault(quad.graph_name.value, []).append(ox.Quad(*quad.triple))
            self._tell(["DROP ALL", *_inserting(graphs)])

    def _tell(self, steps: Sequence[str]) -> None:
        if steps:
            for on_update in self._told:
                on_update(";\n".join(steps))

    def _fillings(self, filled: Mapping[str, list[ox.Quad]]) -> list[str]:
        """What to insert, as one text; for Virtuoso as many, each for a request of its own."""
        if not self._is_virtuoso():
            return [_together(filled)] if filled else []
        pairs = [
            (graph, one) for graph, statements in filled.items() for one in _without_blank_nodes(graph, statements)
        ]
        parts = [pairs[start : start + VIRTUOSO_STATEMENTS] for start in range(0, len(pairs), VIRTUOSO_STATEMENTS)]
        return [
            "".join(_filled(graph, [one for _, one in group]) for graph, group in groupby(part, lambda pair: pair[0]))
            for part in parts
        ]

    def _is_virtuoso(self) -> bool:
        return self._engine.software.startswith("Virtuoso")

    def _send(self, texts: Sequence[str], after: str, before: str) -> None:
        """Send updates until it is certain whether they were carried out: `after` is noted in place of `before`."""
        failure: KgError | None = None
        for pause in (0.0, *PAUSES_SECONDS):
            time.sleep(pause)
            try:
                for text in texts:
                    self._engine.update(text)
                failure = None
            except KgError as error:
                failure = error
            if self._ask(self._notes.has(after)):
                return
            if before and not self._ask(self._notes.has(before)):
                raise Overtaken("another process keeps the graph up to date as well; this one follows it")
            if not isinstance(failure, Unreachable):
                break
        raise failure or Overtaken("another process keeps the graph up to date as well; this one follows it")

    def _drop_records(self) -> None:
        while names := self._record_graphs(DROPPED_AT_ONCE):
            self._change(0, dropped=names)

    def _record_graphs(self, limit: int) -> list[str]:
        pattern = self._notes.any_graph
        return [row["graph"] or "" for row in self._rows(_NAMES % (pattern, self._ours, limit))]

    # Queries

    def _form(self, sparql: str) -> type:
        """Which sort of query a text is, from parsing it here over nothing."""
        try:
            return type(self._parser.query(sparql, prefixes=PREFIXES))
        except SyntaxError as error:
            raise BadQuery(f"the query cannot be read: {error}") from error

    def _sent(self, sparql: str) -> str:
        """The query as the engine gets it: with our prefixes on its first line, so that line numbers stay."""
        used = (name for name in PREFIXES if f"{name}:" in sparql and not _declares(sparql, name))
        return self._exclusion() + "".join(f"PREFIX {name}: <{PREFIXES[name]}> " for name in used) + sparql

    def _exclusion(self) -> str:
        """What keeps the notes out of a query, for engines that have words for it."""
        if isinstance(self._notes, _Statements) and self._is_virtuoso():
            leave_out = f"graph-exclude <{_NOTES_GRAPH}>"
            return f"define input:default-{leave_out} define input:named-{leave_out} "
        return ""

    def _rows(self, sparql: str) -> list[dict[str, str | None]]:
        """The rows of a query that is sent as it is."""
        body = self._engine.answer(sparql, _JSON)
        with _whole_answers():
            return _rows(body)

    def _ask(self, sparql: str) -> bool:
        body = self._engine.answer(sparql, _JSON)
        with _whole_answers():
            return _truth(body)

    def _own(self, query: str) -> str:
        return query % self._ours

    def _published(self) -> str:
        """The filter for graphs of records and vocabularies."""
        vocabularies = ", ".join(_iri(iri) for iri in self._vocabularies)
        return f'FILTER(STRSTARTS(STR(?graph), "{self.base}id/") || ?graph IN ({vocabularies}))'

    @contextmanager
    def _quads(self) -> Iterator[Iterator[ox.Quad]]:
        """All statements of records and vocabularies, as they arrive."""
        with self._engine.stream(_QUADS % self._published(), _JSON) as chunks, _whole_answers():
            yield _quads(io.BufferedReader(Chunks(chunks)))


GraphStore = OxigraphStore | RemoteStore
"""The graph view, wherever it lies."""


class _Notes(Protocol):
    """How an engine keeps notes, which are IRIs below SYSTEM."""

    any_graph: str
    """A pattern that matches in every graph there is."""

    def listing(self) -> str:
        """The query for all notes, as `?note`."""

    def has(self, note: str) -> str:
        """The question whether a note is there."""

    def beginning(self, notes: Sequence[str]) -> str:
        """The update that sets the first notes, if there are none."""

    def changing(
        self, state: str, *, forgotten: list[str], noted: list[str], dropped: list[str], filled: list[str]
    ) -> list[str]:
        """The updates that, if the note `state` is there, drop and fill graphs and change notes, these last."""


class _EmptyGraphs:
    """Notes as names of graphs without statements. DROP of one that is not there fails, and the request with it."""

    any_graph = ""

    def listing(self) -> str:
        return f'SELECT ?note WHERE {{ GRAPH ?note {{ }} FILTER(STRSTARTS(STR(?note), "{SYSTEM}")) }}'

    def has(self, note: str) -> str:
        return f"ASK {{ GRAPH <{note}> {{ }} }}"

    def beginning(self, notes: Sequence[str]) -> str:
        return ";\n".join(f"CREATE GRAPH <{note}>" for note in notes)

    def changing(
        self, state: str, *, forgotten: list[str], noted: list[str], dropped: list[str], filled: list[str]
    ) -> list[str]:
        steps = [f"DROP GRAPH <{note}>" for note in forgotten] + [f"CREATE GRAPH <{note}>" for note in noted]
        steps += [f"DROP SILENT GRAPH {graph}" for graph in dropped]
        steps += [f"INSERT DATA {{\n{text}}}" for text in filled]
        return [";\n".join(steps)]


class _Statements:
    """Notes as statements in a graph of their own. Each step of a change asks for the state; the notes change last."""

    any_graph = "?s ?p ?o"

    def listing(self) -> str:
        return f"SELECT ?note WHERE {{ {self._noting('?note')} }}"

    def has(self, note: str) -> str:
        return f"ASK {{ {self._noting(f'<{note}>')} }}"

    def beginning(self, notes: Sequence[str]) -> str:
        stated = " ".join(self._noting(f"<{note}>") for note in notes)
        return f"INSERT {{ {stated} }} WHERE {{ FILTER NOT EXISTS {{ {self._noting('?any')} }} }}"

    def changing(
        self, state: str, *, forgotten: list[str], noted: list[str], dropped: list[str], filled: list[str]
    ) -> list[str]:
        condition = self._noting(f"<{state}>")
        steps = []
        if dropped:
            steps.append(
                f"DELETE {{ GRAPH ?graph {{ ?s ?p ?o }} }} "
                f"WHERE {{ {condition} VALUES ?graph {{ {' '.join(dropped)} }} GRAPH ?graph {{ ?s ?p ?o }} }}"
            )
        steps += [f"INSERT {{\n{text}}} WHERE {{ {condition} }}" for text in filled]
        gone = " ".join(self._noting(f"<{note}>") for note in forgotten)
        new = " ".join(self._noting(f"<{note}>") for note in noted)
        steps.append(f"DELETE {{ {gone} }} INSERT {{ {new} }} WHERE {{ {condition} }}")
        return steps if len(filled) > 1 else [";\n".join(steps)]

    def _noting(self, note: str) -> str:
        return f"GRAPH <{_NOTES_GRAPH}> {{ <{_NOTES_GRAPH}> <{_NOTE}> {note} }}"


_NOTES_AS: Mapping[str, _Notes] = {"names": _EmptyGraphs(), "statements": _Statements()}


def _note(*words: str) -> str:
    return SYSTEM + "/".join(quote(word, safe="") for word in words)


def _read_note(name: str) -> tuple[str, ...]:
    return tuple(unquote(word) for word in name.removeprefix(SYSTEM).split("/"))


def _named_in(notes: Sequence[str]) -> list[str]:
    """The graphs to drop with notes that are given up: their own, and the vocabularies'."""
    vocabularies = [values[0] for what, *values in map(_read_note, notes) if what == "vocabulary"]
    return [_NOTES_GRAPH, *notes, *vocabularies]


def _filled(graph: str, statements: list[ox.Quad]) -> str:
    lines = ox.serialize(statements, format=ox.RdfFormat.N_TRIPLES) or b""
    return f"GRAPH {_iri(graph)} {{\n{lines.decode()}}}\n"


def _graph(answer: bytes, format: str) -> bytes:
    statements = ox.parse(answer, ox.RdfFormat.N_TRIPLES)
    return ox.serialize(statements, format=GRAPHS[format], prefixes=_prefixes(format)) or b""


def _table(answer: bytes, format: str) -> bytes:
    return ox.parse_query_results(answer, format=TABLES["json"]).serialize(format=TABLES[format]) or b""


def _rows(answer: bytes) -> list[dict[str, str | None]]:
    solutions = _solutions(answer)
    names = [variable.value for variable in solutions.variables]
    return [dict(_cells(names, solution)) for solution in solutions]


def _truth(answer: bytes) -> bool:
    result = ox.parse_query_results(answer, format=TABLES["json"])
    if not isinstance(result, ox.QueryBoolean):
        raise SyntaxError("neither true nor false")
    return bool(result)


def _quads(answer: IO[bytes]) -> Iterator[ox.Quad]:
    for solution in _solutions(answer):
        terms = [solution[name] for name in ("subject", "predicate", "object", "graph")]
        if None in terms:
            raise SyntaxError("a statement lacks a part")
        yield ox.Quad(*terms)


def _solutions(answer: bytes | IO[bytes]) -> ox.QuerySolutions:
    results = ox.parse_query_results(answer, format=TABLES["json"])
    if not isinstance(results, ox.QuerySolutions):
        raise SyntaxError("no table of solutions")
    return results


def _together(filled: Mapping[str, list[ox.Quad]]) -> str:
    return "".join(_filled(graph, statements) for graph, statements in filled.items())


def _inserting(filled: Mapping[str, list[ox.Quad]]) -> list[str]:
    """The step that fills graphs, if there are any."""
    return [f"INSERT DATA {{\n{_together(filled)}}}"] if filled else []


def _without_blank_nodes(graph: str, statements: Iterable[ox.Quad]) -> Iterator[ox.Quad]:
    """Blank nodes given names (RDF 1.1, 3.5), so that a graph may come in parts."""

    def named(term: Any) -> Any:
        return _name(f"{graph}/.well-known/genid/{term.value}") if isinstance(term, ox.BlankNode) else term

    return (ox.Quad(named(one.subject), one.predicate, named(one.object)) for one in statements)


def _declares(sparql: str, name: str) -> bool:
    return re.search(rf"\bPREFIX\s+{name}:", sparql, re.IGNORECASE) is not None


@contextmanager
def _whole_answers() -> Iterator[None]:
    """An answer that ends in its middle, with status 200 all the same, is the engine's failure and not ours."""
    try:
        yield
    except BaseException as error:
        # What pyoxigraph made has to end in the thread that made it; an error with its variables may outlive that.
        traceback.clear_frames(error.__traceback__)
        if isinstance(error, SyntaxError | UnicodeDecodeError):
            raise Busy("the graph engine's answer broke off or is not in the format it was asked for") from error
        raise
