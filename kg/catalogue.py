"""Puts the steps in order: records in, views behind them, suggestions and searches out."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rdflib import DCTERMS, SDO, Graph

from kg import answering
from kg.city_facts import CityFactsReader
from kg.errors import (
    BadRequest,
    Busy,
    Gone,
    IndexMismatch,
    InvalidRecord,
    KgError,
    NotFound,
    Problem,
    not_on_record,
    quoted,
)
from kg.exchange.exporting import export_records
from kg.exchange.importing import Row, read_records
from kg.fields import declaration, in_language
from kg.folder import DataFolder
from kg.graph.store import OxigraphStore
from kg.ledger import VISIBILITIES, Change, Head, Ledger, Revision, Transaction
from kg.letters import FORMS, Origin, write_letter
from kg.matching.facts import CityFacts, Hit, Mentee, NeedHits
from kg.matching.profile import Profile
from kg.matching.profiles import BUILT_IN, MENTORING, named_profile, profile_json
from kg.needs import analyse_needs, understood_json
from kg.profiles import profiles_of
from kg.records import (
    SURROGATE,
    Record,
    check_id,
    completed,
    from_ntriples,
    readable_graph,
    references,
    to_ntriples,
    with_meant_problems,
)
from kg.rights import tombstone
from kg.search.embedding import Embedder, current_model, load_embedder
from kg.search.index import IN_PROCESS
from kg.search.port import Indexes
from kg.search.ranking import Filters
from kg.search.switching import index_folder, remove_other_indexes
from kg.search.text import as_written
from kg.search.thesaurus import Thesaurus
from kg.search.view import Found, Linking, NeedText, Page, Ranking, SearchView, Understood
from kg.search.vocabularies import Link, Vocabularies, links
from kg.suggesting import (
    Need,
    SuggestionRequest,
    city_reference,
    need_text,
    read_filters,
    read_request,
)
from kg.validation import Referenced, Validation, below_itself, broader_field, nearest, refusing
from kg.views import Follower, agreement
from kg.vocabulary import DEFAULT_BASE, MG, parse_thing_iri
from ontology import path as shipped

if TYPE_CHECKING:
    from kg.curation import Curation
    from kg.graph.remote import GraphStore
    from kg.hints import HintMemory, Hints
    from kg.listing import Wanted
    from kg.lists import ListView
    from kg.quality import Quality
    from kg.worklists import Worklist

log = logging.getLogger(__name__)

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done and how much there is."""

START_FILES = (
    "themes.ttl",
    *(
        f"start/{name}.jsonl"
        for name in (
            *("cities", "organisations", "programmes", "practices", "needs"),
            *("mentorships", "transfers", "visits", "learnings"),
        )
    ),
)
"""Themes and starting data; one load, so that records may refer to each other in any order."""

VOCABULARY_FILES = ("mentorship.ttl", "schemes.ttl", "shapes.ttl", "alignments.ttl")

NO_FILTERS = Filters()

CANDIDATES = 400
"""Practices looked at per need: voting over all of 100,000 costs 118 ms and changes nothing."""

# With a second VALUES for the properties the engine joins before it looks up: 14 ms for five themes, 1.4 like this.
_LABELS = """
SELECT ?thing ?label {{
  VALUES ?thing {{ {things} }}
  ?thing ?property ?label FILTER(?property IN (rdfs:label, skos:prefLabel, dcterms:title))
}}"""


_AVAILABLE = f"SELECT DISTINCT ?city {{ ?offer a <{MG.AvailabilityStatement}> ; <{MG.mentor}> ?city }}"

_NEEDS_OF = f"""
SELECT ?need ?text ?theme {{{{
  ?need <{MG.mentee}> <{{city}}> ; <{MG.needText}> ?text
  OPTIONAL {{{{ ?need <{DCTERMS.subject}> ?theme }}}}
}}}}"""

_NEEDS_ON_RECORD = f"""
SELECT ?need ?mentee ?text ?theme {{
  ?need <{MG.needText}> ?text ; <{MG.mentee}> ?mentee
  OPTIONAL {{ ?need <{DCTERMS.subject}> ?theme }}
}}"""

_RECORDS_OF_CITIES = f"""
SELECT ?city (COUNT(DISTINCT ?practice) AS ?records) {{
  {{ ?practice <{MG.practisedIn}> ?city }} UNION {{ ?practice <{MG.partner}>/<{MG.partnerCity}> ?city }}
}} GROUP BY ?city"""

_COUNTRIES_OF_CITIES = f"SELECT ?city ?country {{ ?city <{SDO.addressCountry}> ?country ; a <{SDO.City}> }}"


def _quiet(what: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


def _named(progress: Progress, what: str) -> Callable[[int, int], None]:
    """Progress of one thing, for callers that do not know its name."""
    return lambda done, total: progress(what, done, total)


@dataclass
class LoadReport:
    """What a load did, or would do: how many records were new, changed, unchanged, refused, and why."""

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    refused: list[tuple[str, KgError]] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    dry_run: bool = False

    @property
    def written(self) -> bool:
        """Whether anything was saved: a load is all or nothing."""
        return not self.dry_run and not self.refused and bool(self.new or self.changed)

    def as_json(self) -> dict[str, Any]:
        """The report for scripts."""
        return {
            "new": self.new,
            "changed": self.changed,
            "unchanged": self.unchanged,
            "refused": [_refusal(place, error) for place, error in self.refused],
            "ignored": self.ignored,
            "dry_run": self.dry_run,
            "written": self.written,
        }


def _refusal(place: str, error: KgError) -> dict[str, Any]:
    """One refused row, with every problem of it."""
    problems = error.problems if isinstance(error, InvalidRecord) else [Problem("", str(error))]
    return {
        "place": place,
        "problems": [
            {"field": p.field, "message": p.message, "severity": p.severity, "value": p.value} for p in problems
        ],
    }


class Catalogue:
    """The records of one data folder and everything asked of them.

    One process owns a folder; methods may be called from several threads. The graph view opens at
    once, the search view and its model when they are first needed, so that loading, checking and
    exporting work without a model.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as tmp, Catalogue.create(Path(tmp) / "data") as catalogue:
    ...     _ = catalogue.save([{"kind": "city", "id": "gent", "name": {"en": "Ghent", "fr": "Gand"}, "country": "BE"}])
    ...     catalogue.list_records("city", language="fr")["results"][0]["label"]
    'Gand'
    """

    def __init__(
        self,
        folder: DataFolder,
        ledger: Ledger,
        *,
        models: Path | None = None,
        graph_url: str | None = None,
        indexes: Indexes = IN_PROCESS,
        resources: ExitStack,
    ) -> None:
        self.folder, self.ledger, self.base = folder, ledger, ledger.base
        self.models = models or folder.models
        self._resources = resources
        self._indexes = indexes
        self._validation = Validation()
        self.graph = self._open_graph(graph_url)
        self._resources.callback(self.graph.close)
        self._graph_follower = Follower(ledger, self.graph)
        self._cities = CityFactsReader(self.graph, self.base, lambda cities: self.lists.practices_of(cities))
        self._cities_seen = self._graph_follower.reached
        self._hint_memory: HintMemory | None = None
        self._search: SearchView | None = None
        self._search_follower: Follower | None = None
        self._lists: ListView | None = None
        self._lists_follower: Follower | None = None
        self._opening_lists = threading.Lock()
        self._opening = threading.Lock()
        self._following = False
        self._model_change: threading.Thread | None = None
        self._model_refused: str | None = None
        self.vocabularies = Vocabularies(folder.vocabularies)
        self.profiles: Mapping[str, Profile] = BUILT_IN
        self.profile = MENTORING

    @classmethod
    def create(
        cls,
        folder: Path,
        *,
        base: str = DEFAULT_BASE,
        ledger_url: str | None = None,
        models: Path | None = None,
        graph_url: str | None = None,
        indexes: Indexes = IN_PROCESS,
        start_data: bool = False,
        progress: Progress = _quiet,
    ) -> Self:
        """Make a data folder with an empty ledger and the themes, and the starting data when asked for.

        `base` begins every record's address and is fixed from now on. `ledger_url` puts the ledger
        into PostgreSQL; by default it is a file of the folder. `models` is where prepared models
        lie, by default the folder's own.

        Raises DataFolderUnusable where a ledger is already or the folder cannot be written,
        DataFolderInUse while another process works there.
        """
        with ExitStack() as resources:
            data = DataFolder.create(folder)
            resources.enter_context(data.own())
            ledger = resources.enter_context(Ledger.create(ledger_url or f"sqlite:///{data.ledger}", base))
            catalogue = cls(
                data, ledger, models=models, graph_url=graph_url, indexes=indexes, resources=resources.pop_all()
            )
        try:
            names = START_FILES if start_data else START_FILES[:1]
            report = catalogue.load([shipped(name) for name in names], author="start data", progress=progress)
            if report.refused:
                raise report.refused[0][1]
        except BaseException:
            catalogue.close()
            raise
        return catalogue

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        ledger_url: str | None = None,
        graph_url: str | None = None,
        indexes: Indexes = IN_PROCESS,
        models: Path | None = None,
        url: str | None = None,
        profiles: Path | None = None,
    ) -> Self:
        """Open a data folder for this process alone. `url` is told to others who find it in use.

        `profiles` is a file with profiles for suggestions beside those built in (see `kg.matching.profiles`); what is
        wrong in it is told before anything is opened, as UnreadableInput.

        Raises DataFolderUnusable for no ledger, one of a newer version or a folder that cannot be
        written, DataFolderInUse while another process has it.
        """
        known, default = profiles_of(profiles) if profiles else (BUILT_IN, MENTORING.name)
        with ExitStack() as resources:
            data = DataFolder.open(folder)
            resources.enter_context(data.own(url))
            ledger = resources.enter_context(Ledger.open(ledger_url or f"sqlite:///{data.ledger}"))
            opened = cls(
                data, ledger, models=models, graph_url=graph_url, indexes=indexes, resources=resources.pop_all()
            )
        opened.profiles, opened.profile = known, known[default]
        return opened

    def close(self) -> None:
        """Stop following, close files and give the folder back."""
        for follower in self._followers():
            follower.stop()
        self._resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @cached_property
    def curation(self) -> Curation:
        """What people do to records, step by step; the modules behind it are loaded when first asked for."""
        from kg.curation import Curation

        return Curation(self)

    # Views

    @property
    def search(self) -> SearchView:
        """The search view, opened when first asked for.

        Raises ModelMissing when no model is prepared. An index that is damaged, or was built with
        another model, is rebuilt from the ledger.
        """
        with self._opening:
            if self._search is None:
                self._search = self._open_search()
                self._resources.callback(self._search.close)
                self._search_follower = Follower(self.ledger, self._search)
                if self._following:
                    self._search_follower.start()
                else:
                    self._search_follower.catch_up()
            elif self._following:
                self._look_for_model(self._search)
            return self._search

    @property
    def lists(self) -> ListView:
        """The view behind lists and their facets, opened when first asked for and up to date where nobody follows."""
        from kg.lists import ListView

        with self._opening_lists:
            if self._lists is None:
                self._lists = ListView(self.folder.lists, self.base, read=self._read, profile=self.profile)
                self._resources.callback(self._lists.close)
                self._lists_follower = Follower(self.ledger, self._lists)
                if self._following:
                    self._lists_follower.start()
            if self._lists_follower is not None and not self._following:
                self._lists_follower.catch_up()
            return self._lists

    def _look_for_model(self, used: SearchView) -> None:
        """Begin to change over, beside all requests, when another model has been made current in the folder."""
        if self._model_change is not None and self._model_change.is_alive():
            return
        current = current_model(self.models)
        if current is not None and current.identity not in (used.embedder.identity, self._model_refused):
            self._model_change = threading.Thread(target=self._change_model, args=(current.identity,), daemon=True)
            self._model_change.start()

    def _change_model(self, identity: str) -> None:
        """Open the new model's index, bring it up to date, and answer from it; the old one serves until then.

        The old index stays open for those who are asking it, and its files until the next start.
        """
        try:
            view = self._open_search()
            follower = Follower(self.ledger, view)
            follower.catch_up()
        except (KgError, OSError) as error:
            self._model_refused = identity
            log.error("the model %s cannot be taken into use, the old one stays: %s", identity, error)
            return
        old = self._search_follower
        with self._opening:
            self._search, self._search_follower = view, follower
            self._resources.callback(view.close)
            follower.start()
        if old is not None:
            old.stop()
        log.info("the model is now %s", identity)

    def follow(self) -> None:
        """Keep both views up to date in the background from now on; a service calls this once."""
        self._following = True
        _ = self.search, self.lists
        for follower in self._followers():
            follower.start()
        # Aside, so that neither the start nor the first list waits for it: seconds at 100,000 practices.
        threading.Thread(target=self.lists.prepare, name="lists", daemon=True).start()

    def catch_up(self, progress: Progress = _quiet) -> None:
        """Bring the views up to the ledger's last row; in a service, wait for them."""
        for follower in self._followers():
            follower.catch_up(_named(progress, follower.view.name))

    def reindex(self, progress: Progress = _quiet) -> None:
        """Make all views again from the ledger; nothing in them is needed for it."""
        _ = self.search, self.lists
        for follower in self._followers():
            follower.rebuild(_named(progress, follower.view.name))
        self._cities.forget_all()

    def verify(self) -> int:
        """Check the ledger's hash chains; returns the number of rows. Raises LedgerDamaged at the first wrong one."""
        return self.ledger.verify()

    def check(self, progress: Progress = _quiet) -> list[str]:
        """Verify the ledger and compare all views with it, after they have caught up.

        Returns one line for each difference; none means that all agree.
        """
        self.ledger.verify()
        _ = self.search, self.lists
        self.catch_up(progress)
        lines = []
        for follower in self._followers():
            kinds = {"practice"} if follower is self._search_follower else None
            lines += [f"{follower.view.name}: {one}" for one in agreement(self.ledger, follower.view, kinds)]
        return lines

    def ready(self) -> tuple[bool, dict[str, Any]]:
        """Whether suggestions and searches can be answered from up-to-date views, with the details."""
        last = self.ledger.last_number()
        views = {
            follower.view.name: {
                "revision": follower.reached,
                "behind": max(0, last - follower.reached),
                "error": None if follower.error is None else type(follower.error).__name__,
            }
            for follower in self._followers()
        }
        ok = "search" in views and all(view["behind"] == 0 and view["error"] is None for view in views.values())
        return ok, {"revision": last, "views": views}

    def status(self, *, visibility: str | None = None) -> dict[str, Any]:
        """Published records per kind (only those of one visibility when asked), newest revision, the model in use and the
        bridge vocabularies that are loaded."""
        kinds = {name: self.ledger.count(name, published=True, visibility=visibility) for name in declaration().kinds}
        return {
            "base": self.base,
            "revision": self.ledger.last_number(),
            "records": {name: count for name, count in kinds.items() if count},
            "model": self._model_identity(),
            "vocabularies": [
                {"name": one.name, "concepts": one.concepts, "languages": one.languages}
                for one in self.vocabularies.listed()
            ],
        }

    def _model_identity(self) -> str | None:
        """The model that answers, or will when it is asked; None where none is prepared."""
        if self._search is not None:
            return self._search.embedder.identity
        prepared = current_model(self.models)
        return prepared.identity if prepared else None

    def _followers(self) -> list[Follower]:
        """The followers of the views that are open."""
        followers = (self._graph_follower, self._search_follower, self._lists_follower)
        return [follower for follower in followers if follower is not None]

    def _open_graph(self, url: str | None) -> GraphStore:
        """The graph view, made anew when it cannot be trusted, with the vocabulary in it."""
        store: GraphStore
        if url:
            from kg.graph.remote import RemoteStore  # its HTTP client is a tenth of a second of every other start

            store = RemoteStore(url, self.base, discard=True)
        else:
            try:
                store = OxigraphStore(self.folder.graph, self.base)
            except IndexMismatch as error:
                log.warning("the graph is made again from the ledger: %s", error)
                OxigraphStore.discard(self.folder.graph)
                store = OxigraphStore(self.folder.graph, self.base)
        store.load_vocabulary({vocabulary_graph(name): shipped(name) for name in VOCABULARY_FILES})
        return store

    def _open_search(self) -> SearchView:
        """The current model's search view; an index that is damaged starts empty and is filled from the ledger."""
        embedder = load_embedder(self.models)
        if self._search is None:
            remove_other_indexes(self.folder.search, embedder.identity, self.models, self._indexes)
        return SearchView(
            index_folder(self.folder.search, embedder.identity, self._indexes),
            embedder,
            indexes=self._indexes,
            read=self._read,
            vocabularies=self.vocabularies.read(),
            link=self._linking(embedder),
            discard=True,
        )

    def _linking(self, embedder: Embedder) -> Linking:
        """Which of our themes a foreign concept stands for, by addresses of ours, labels and meaning."""

        def link(ours: Thesaurus, foreign: Thesaurus) -> Mapping[str, Link]:
            return links(
                ours,
                foreign,
                addresses=lambda theme: {f"{base}id/theme/{theme}" for base in (self.base, DEFAULT_BASE)},
                meanings=self.vocabularies.vectors(foreign, embedder) if ours.themes else None,
                embedder=embedder,
            )

        return link

    def _read(self, revision: Revision) -> Record:
        """A revision's record as plain JSON."""
        return from_ntriples(revision.payload or "", self.base)

    # Records in

    def load(
        self,
        paths: Iterable[Path],
        *,
        author: str = "load",
        note: str = "",
        publish: bool = True,
        dry_run: bool = False,
        language: str = "en",
        progress: Progress = _quiet,
    ) -> LoadReport:
        """Read files of records and save them all in one transaction, or none when one is refused.

        Records may refer to each other in any order. A record that says the same as the newest
        revision is left alone. With `publish` every record must be fit for readers; without it they
        become drafts. `record.visibility` in the file is honoured, else a record keeps what it has,
        else it gets its kind's default. `language` is that of the messages.

        Raises UnreadableInput for a file that is not what its ending says.
        """
        report = LoadReport(dry_run=dry_run)
        rows = [
            row for path in paths for row in read_records(path, self.base, ignored=report.ignored, language=language)
        ]
        return self._save(rows, report, author, note or "loaded from files", publish, language, progress)

    def save(
        self,
        records: Sequence[Record],
        *,
        author: str = "curator",
        note: str = "",
        publish: bool = True,
        dry_run: bool = False,
        language: str = "en",
        expected: int | None = None,
    ) -> LoadReport:
        """Save records given as plain JSON; the same promises as `load`.

        `expected`, for a single record, is the number of the revision the caller has read, 0 for
        none. Raises StaleRecord or DuplicateRecord when the ledger has moved on.
        """
        rows = [
            Row(f"record {place}", record, dict(record.get("record") or {})) for place, record in enumerate(records, 1)
        ]
        return self._save(rows, LoadReport(dry_run=dry_run), author, note, publish, language, _quiet, expected)

    def _save(
        self,
        rows: Sequence[Row],
        report: LoadReport,
        author: str,
        note: str,
        publish: bool,
        language: str,
        progress: Progress,
        expected: int | None = None,
    ) -> LoadReport:
        """Every step that can fail comes before the commit; a refused record rolls the transaction back."""
        wanted = self._wanted(rows, report, language)
        try:
            with self.ledger.write() as transaction:
                state = "published" if publish else "draft"
                heads = dict(transaction.referenced({key for w in wanted for key in (w.key, *w.references)}))
                coming = {w.key for w in wanted}
                for done, one in enumerate(wanted, start=1):
                    progress("checking", done, len(wanted))
                    if _says_the_same(one, heads.get(one.key), transaction, state):
                        report.unchanged += 1
                        continue
                    known = {key: self._referenced(key, coming, heads, state) for key in one.references}
                    problems = self._validation.problems(
                        one.graph, declaration().kind(one.key[0]), one.key[1], self.base, known, language=language
                    )
                    problems += self._below_itself(one, wanted, transaction, language)
                    refused = refusing(with_meant_problems(one.form, problems), publish=publish)
                    if refused:
                        report.refused.append((one.place, InvalidRecord(*one.key, refused)))
                    else:
                        self._append(transaction, one, heads.get(one.key), state, author, note, report, expected)
                if report.refused or report.dry_run:
                    raise _NothingWritten
        except _NothingWritten:
            return report
        self.committed(progress)
        return report

    def committed(self, progress: Progress = _quiet) -> None:
        """Let the views follow what was just written: at once here, in the background where a service runs."""
        for follower in self._followers():
            if self._following:
                follower.notify()
                continue
            try:
                follower.catch_up(_named(progress, follower.view.name))
            except Busy as error:  # an engine elsewhere is away: the record is saved, the view takes it later
                log.warning("the %s view will follow later: %s", follower.view.name, error)

    def _wanted(self, rows: Sequence[Row], report: LoadReport, language: str) -> list[_Wanted]:
        """The rows as graphs, as far as they can be read; those that cannot be are noted as refused."""
        found: dict[tuple[str, str], _Wanted] = {}
        for row in rows:
            try:
                if row.error is not None:
                    raise row.error
                assert row.record is not None
                record = completed(row.record)
                _, graph, form = readable_graph(record, self.base, language=language)
                key = (declaration().kind(record["kind"]).name, record["id"])
                if key in found:
                    raise BadRequest(
                        f"{row.place}: {key[0]} {quoted(key[1])} stands twice, first at {found[key].place}"
                    )
                visibility = _visibility(row)
                found[key] = _Wanted(
                    row.place,
                    key,
                    graph,
                    form,
                    references(graph, self.base),
                    to_ntriples(graph),
                    title_of(record),
                    visibility,
                )
            except KgError as error:
                report.refused.append((row.place, error))
        return list(found.values())

    def _referenced(
        self, key: tuple[str, str], coming: set[tuple[str, str]], heads: Mapping[tuple[str, str], Head], state: str
    ) -> Referenced:
        """What a reference will find once this transaction is committed."""
        head = heads.get(key)
        if head is not None and head.published is not None:
            return Referenced("published")
        if key in coming:
            return Referenced(state)
        if head is not None:
            return Referenced(head.state)
        return Referenced(None, self._near(*key))

    def _below_itself(
        self, one: _Wanted, wanted: Sequence[_Wanted], transaction: Transaction, language: str
    ) -> list[Problem]:
        """A theme must not lie below itself, neither by what is coming nor by what is on record."""
        kind = declaration().kind(one.key[0])
        field = broader_field(kind)
        if field is None:
            return []
        coming = {other.key[1]: other for other in wanted if other.key[0] == kind.name}

        def above(id: str) -> str | None:
            found: object = None
            if id in coming:
                found = next(coming[id].graph.objects(None, field.path), None)
            elif (head := transaction.head(kind.name, id)) is not None:
                revision = transaction.revision(head.number)
                found = self._read(revision).get(field.key) if revision.payload else None
            return str(found).rpartition("/")[2] if found else None

        return below_itself(one.key[1], field, above, language)

    def _append(
        self,
        transaction: Transaction,
        one: _Wanted,
        head: Head | None,
        state: str,
        author: str,
        note: str,
        report: LoadReport,
        expected: int | None,
    ) -> None:
        """Add one record's revision."""
        visibility = one.visibility or (head.visibility if head else declaration().kind(one.key[0]).visibility)
        change = Change(
            *one.key, state, visibility, one.payload, author=author, note=note, title=one.title, expected=expected
        )
        transaction.append(change)
        if head is None:
            report.new += 1
        else:
            report.changed += 1

    def _near(self, kind: str, id: str) -> tuple[str, ...]:
        """Public records' identifiers that look like a mistyped one."""
        heads = self.ledger.list(kind, limit=2000, published=True, visibility="public")
        return nearest(id, [head.id for head in heads])

    # Records out

    def get(self, kind: str, id: str) -> Record:
        """A published, public record as plain JSON, with state, revision and date of the last change under `record`.

        Raises NotFound, offering the nearest identifiers, and Gone for a withdrawn or merged record.

        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as tmp, Catalogue.create(Path(tmp) / "data") as catalogue:
        ...     catalogue.get("theme", "gender-womens")
        Traceback (most recent call last):
        kg.errors.NotFound: there is no theme 'gender-womens' on record; did you mean gender-women, ...
        """
        kind = declaration().kind(kind).name
        check_id(kind, id)
        revision = self.ledger.published(kind, id)
        if revision is not None and revision.visibility == "public":
            return self._with_state(self._read(revision), revision)
        head = self.ledger.head(kind, id)
        if head is not None and head.state in ("withdrawn", "merged") and self._was_public(kind, id):
            raise tombstone(head)
        raise self._not_found(kind, id)

    def _was_public(self, kind: str, id: str) -> bool:
        """Whether readers have ever seen a record; of others not even the withdrawal is told."""
        return any(one.state == "published" and one.visibility == "public" for one in self.ledger.history(kind, id))

    def _not_found(self, kind: str, id: str) -> NotFound:
        """The error, with the nearest identifiers."""
        return not_on_record(kind, id, self._near(kind, id))

    def _with_state(self, record: Record, revision: Revision) -> Record:
        """The record with what the ledger says of it."""
        said = {
            **record.get("record", {}),
            "state": revision.state,
            "visibility": revision.visibility,
            "revision": revision.number,
            "modified": revision.time.isoformat(timespec="seconds").replace("+00:00", "Z"),
        }
        iri = f"{self.base}id/{record['kind']}/{record['id']}"
        return {
            "kind": record["kind"],
            "id": record["id"],
            "iri": iri,
            **_without(record, "kind", "id"),
            "record": said,
        }

    def list_records(
        self,
        kind: str,
        *,
        language: str = "en",
        limit: int = 50,
        cursor: str | None = None,
        wanted: Wanted | None = None,
    ) -> dict[str, Any]:
        """Published, public records of a kind by identifier, `limit` at a time; `next` continues the list.

        With `wanted`, narrowed and ordered as that says, each with what lists know of it, and with the counts of facets.

        Raises NotFound for a kind there is none of, BadRequest for a limit, cursor, filter or order that cannot be used.
        """
        kind = declaration().kind(kind).name
        _check_limit(limit, 200)
        if wanted is not None:
            return self._list_narrowed(kind, wanted, language, limit, cursor)
        heads = self.ledger.list(kind, after_id=cursor, limit=limit + 1, visibility="public", published=True)
        page = heads[:limit]
        labels = self.labels(kind, [head.id for head in page], language)
        return {
            "results": [
                {
                    "id": head.id,
                    "iri": f"{self.base}id/{kind}/{head.id}",
                    "label": labels.get(head.id, head.published_title or head.id),
                }
                for head in page
            ],
            "total": self.ledger.count(kind, visibility="public", published=True),
            "next": page[-1].id if len(heads) > limit else None,
        }

    def _list_narrowed(
        self, kind: str, wanted: Wanted, language: str, limit: int, cursor: str | None
    ) -> dict[str, Any]:
        """A list as `wanted` asks for it. The list of all records is the ledger's: it has what was written just now."""
        from kg.listing import write_list

        whole = None if wanted.narrows else self.list_records(kind, language=language, limit=limit, cursor=cursor)
        found = write_list(
            self.lists,
            kind,
            wanted,
            known=self,
            profile=self.profile,
            language=language,
            limit=limit,
            cursor=cursor,
            today=datetime.now(UTC).date(),
            ids=None if whole is None else [one["id"] for one in whole["results"]],
        )
        if whole is not None:
            named = zip(whole["results"], found["results"], strict=True)
            results = [{**record, **said} for record, said in named]
            found |= {"total": whole["total"], "next": whole["next"]}
        else:
            ids = [one["id"] for one in found["results"]]
            labels = self.labels(kind, ids, language)
            iri = f"{self.base}id/{kind}/"
            results = [
                {"id": one["id"], "iri": iri + one["id"], "label": labels.get(one["id"], one["id"]), **one}
                for one in found["results"]
            ]
        cities = self.labels("city", sorted({one["city"] for one in results if one.get("city")}), language)
        for one in results:
            if one.get("city"):
                one["city"] = {"id": one["city"], "label": cities.get(one["city"], one["city"])}
        return {**found, "results": results}

    def labels(self, kind: str, ids: Sequence[str], language: str) -> dict[str, str]:
        """What to call records in `language`, else in English, else in the first language there is."""
        if not ids:
            return {}
        things = " ".join(f"<{self.base}id/{kind}/{id}>" for id in ids)
        found: dict[str, dict[str, str]] = {}
        for row in self.graph.rows(_LABELS.format(things=things)):
            found.setdefault(str(row["thing"]).rpartition("/")[2], {})[row.get("label@lang") or "en"] = str(
                row["label"]
            )
        return {id: in_language(found[id], language) for id in dict.fromkeys(ids) if id in found}

    def export(self, path: Path, progress: Progress = _quiet) -> int:
        """Write all published, public records to a file whose ending tells the format: .nq, .trig or .jsonl.

        Returns the number of records. The file appears whole or not at all. What is written can be
        loaded again and changes nothing. Raises BadRequest for another ending.
        """
        return export_records(path, self.ledger, self.graph, lambda r: self._with_state(self._read(r), r), progress)

    # Suggestions and searches

    def suggest_mentors(self, request: Mapping[str, Any], *, language: str = "en") -> dict[str, Any]:
        """Mentor cities for the needs of a request, best first, with reasons in `language` ("en" or "fr").

        `request` is the body of `POST /api/suggestions` as `docs/http.md` describes it. All needs
        are embedded in one call and the answer names the revision it saw: the same question on the
        same data gets the same answer.

        Raises BadRequest or TooLarge for a request that cannot be used, ModelMissing without a model.
        """
        return answering.suggestions(self._ground(read_request(request, self)), self, language)

    def why_not(self, request: Mapping[str, Any], *, language: str = "en") -> dict[str, Any]:
        """Why a city is not suggested, or at which rank it is: a request for suggestions, and `city`.

        Raises BadRequest or TooLarge as `suggest_mentors` does, and BadRequest for a city that is not on record.
        """
        asked = read_request({key: value for key, value in request.items() if key != "city"}, self)
        city = request.get("city")
        if not isinstance(city, str):
            raise BadRequest(
                {
                    "en": f"city: {quoted(city)} is no city; name one on record such as 'mechelen'",
                    "fr": f"city : {quoted(city)} n’est pas une ville ; nommez-en une documentée, telle que 'mechelen'",
                }
            )
        return answering.why_not(self._ground(asked), self.city(city, "city"), self, language)

    def letter(self, request: Mapping[str, Any], *, language: str = "en", form: str = "markdown") -> str:
        """The answer of `suggest_mentors` as a text to forward, "markdown" or "text", with sources and licences of records.

        Raises what `suggest_mentors` raises, BadRequest for a form there is none of.
        """
        if form not in FORMS:
            raise BadRequest(
                {
                    "en": f"format: there is no {quoted(form)}; there are {', '.join(FORMS)}",
                    "fr": f"format : il n’y a pas de {quoted(form)} ; il y a {', '.join(FORMS)}",
                }
            )
        answer = self.suggest_mentors(request, language=language)
        cited = {practice["id"] for one in answer["suggestions"] for practice in one["practices"]}
        return write_letter(answer, {id: self._origin(id) for id in sorted(cited)}, language, form)

    def _origin(self, practice: str) -> Origin:
        """The sources and the licence of a practice's record, as far as it names them."""
        try:
            record = self.get("practice", practice)
        except (NotFound, Gone):  # withdrawn a moment ago, while the index still had it
            return Origin()
        sources = tuple(source["url"] for source in record.get("sources", ()) if source.get("url"))
        return Origin(sources, record.get("record", {}).get("licence"))

    def list_profiles(self, *, language: str = "en") -> dict[str, Any]:
        """The profiles that a request may name, with every constant and its meaning, by name."""
        listed = sorted(self.profiles.values(), key=lambda profile: profile.name)
        default = self.profile.name
        return {"profiles": [profile_json(one, language, default=one.name == default) for one in listed]}

    def _ground(self, asked: SuggestionRequest) -> answering.Ground:
        """Everything that an answer rests on; all needs are embedded in one call."""
        self._refresh()
        profile = named_profile(self.profiles, asked.profile_name, self.profile.name).with_weights(asked.weights)
        answers = self.search.rank_many(asked.needs, filters=_of_others(asked), limit=CANDIDATES)
        understood, found = [answer.understood for answer in answers], [answer.found for answer in answers]
        revision = self._search_follower.reached if self._search_follower else 0
        cities = self._cities.facts(
            {city for hits in found for hit in hits for city in (hit.city, *hit.partner_cities)}
            | ({asked.mentee} if asked.mentee else set())
        )
        cities = {id: city for id, city in cities.items() if _lets_in(asked.filters, city, asked.mentee)}
        on_record = cities.get(asked.mentee or "")
        return answering.Ground(
            asked=asked,
            profile=profile,
            needs=tuple(map(self._need_hits, asked.needs, answers)),
            understood=tuple(understood),
            cities=cities,
            mentee=Mentee.on_record(on_record) if on_record else asked.profile,
            on_record=on_record,
            as_of=asked.as_of or datetime.now(UTC).date(),
            revision=revision,
            model=self.search.embedder.identity,
            base=self.base,
        )

    def hits_among(self, ground: answering.Ground, practices: Iterable[str], filters: Filters) -> list[NeedHits]:
        """What search finds for the needs among some practices alone, however close others are."""
        ids = frozenset(practices)
        if not ids:
            return [replace(need, hits=()) for need in ground.needs]
        only = replace(filters, practices=ids)
        answers = self.search.rank_many(ground.asked.needs, filters=only, limit=max(CANDIDATES, len(ids)))
        # How close the closest of all practices is stays what it was.
        return [
            replace(self._need_hits(need, answer), nearest=among_all.nearest)
            for need, answer, among_all in zip(ground.asked.needs, answers, ground.needs, strict=True)
        ]

    def theme_words(self, theme: str) -> tuple[str, ...]:
        """The English labels of a theme."""
        return self.search.thesaurus.english(theme)

    def read_needs(self, ground: answering.Ground, language: str) -> list[dict[str, Any]]:
        """How each need was understood."""
        return [
            self._need_answer(need, known, language, heard=ground.profile.hears(hits.nearest))
            for need, known, hits in zip(ground.asked.needs, ground.understood, ground.needs, strict=True)
        ]

    def pair_cohort(self, request: Mapping[str, Any], *, language: str = "en") -> dict[str, Any]:
        """Mentors for a whole cohort of mentees: the best pairing under its rules, with what else could be.

        `request` is the body of `POST /api/cohorts` as `docs/cohorts.md` describes it. All needs of all mentees
        are embedded in one call. The same cohort on the same data gets the same answer, unless time ran out.

        Raises BadRequest or TooLarge for a request that cannot be used, ModelMissing without a model, TooSlow when
        the time limit ends before there is any pairing.
        """
        from kg import cohorts  # the solver is a third of a second of every other start

        wanted = cohorts.read_cohort(request, self)
        self._refresh()
        profile = named_profile(self.profiles, wanted.profile_name, self.profile.name)
        found = cohorts.pair_cohort(wanted, self, profile, self.base, language)
        revision = self._search_follower.reached if self._search_follower else 0
        return {**found, "revision": revision, "model": self.search.embedder.identity}

    def exposure(
        self, request: Mapping[str, Any], *, language: str = "en", progress: Progress = _quiet
    ) -> dict[str, Any]:
        """How the attention of suggestions spreads over cities: over the needs of a request, or those on record.

        `request` is the body of `POST /api/suggestions/exposure` as `docs/http.md` describes it. The same
        request on the same data gets the same answer.

        Raises BadRequest or TooLarge for a request that cannot be used, ModelMissing without a model.
        """
        from kg.exposure import measure_exposure, read_exposure

        wanted = read_exposure(request, self)
        self._refresh()
        profile = named_profile(self.profiles, wanted.requests[0].profile_name, self.profile.name)
        found = measure_exposure(wanted, self, profile, self.base, language, progress)
        revision = self._search_follower.reached if self._search_follower else 0
        return {**found, "revision": revision, "model": self.search.embedder.identity}

    def transferability(self, id: str, request: Mapping[str, Any], *, language: str = "en") -> dict[str, Any]:
        """The conditions of a practice against the facts of a city: each met, partly, not met or unknown, with its basis.

        `request` is the body of `POST /api/practices/{id}/transferability` as `docs/http.md` describes it. Neither
        search nor model is needed. Raises BadRequest or TooLarge for one that cannot be used, NotFound or Gone for the
        practice.
        """
        from kg.transferring import profile_name, transferability

        self._refresh()
        profile = named_profile(self.profiles, profile_name(request), self.profile.name)
        found = transferability(id, request, self, profile, language)
        return {**found, "revision": self._graph_follower.reached}

    def could_teach(
        self, mentee: str, mentor: str, *, language: str = "en", profile: str | None = None
    ) -> dict[str, Any]:
        """What a mentee city could teach a mentor city, theme by theme, with reasons and what is unknown.

        `profile` names the constants by which experience is measured. Raises NotFound or Gone for a city that is not
        there, BadRequest where both are the same and for a profile there is none of.
        """
        from kg.giving_back import could_teach

        for city in (mentee, mentor):
            self.get("city", city)
        self._refresh()
        measured = named_profile(self.profiles, profile, self.profile.name)
        found = could_teach(mentee, mentor, self, measured, language)
        return {**found, "revision": self._graph_follower.reached}

    def graph_rows(self, sparql: str) -> list[dict[str, str | None]]:
        """The rows of a query of our own over the graph view."""
        return self.graph.rows(sparql)

    def city_facts(self, ids: Iterable[str]) -> dict[str, CityFacts]:
        """What matching knows of cities on record, by identifier."""
        return self._cities.facts(ids)

    def mentor_sets(self, request: Mapping[str, Any], *, language: str = "en") -> dict[str, Any]:
        """The smallest set of mentors that together covers the needs of a request, and the next best ones.

        `request` is the body of `POST /api/suggestions/sets` as `docs/http.md` describes it. Raises BadRequest or
        TooLarge for one that cannot be used, ModelMissing without a model, TooSlow where no set is proved in time.
        """
        from kg.mentor_sets import find_sets, read_wanted

        wanted = read_wanted(request, self)
        asked = wanted.asked
        self._refresh()
        needs = self.hits_of(asked.needs, filters=_of_others(asked))
        cities = self._cities.facts({hit.city for need, _ in needs for hit in need.hits})
        mentee = self._cities.facts([asked.mentee]).get(asked.mentee) if asked.mentee else None
        cities = {id: city for id, city in cities.items() if _lets_in(asked.filters, city, None)}
        profile = named_profile(self.profiles, asked.profile_name, self.profile.name).with_weights(asked.weights)
        found = find_sets(wanted, needs, cities, mentee, profile, self.theme_words, self.base, language)
        revision = self._search_follower.reached if self._search_follower else 0
        return {**found, "revision": revision, "model": self.search.embedder.identity}

    def hits_of(
        self, needs: Sequence[Need], *, filters: Filters = NO_FILTERS, view: SearchView | None = None
    ) -> list[tuple[NeedHits, Understood]]:
        """Needs with the practices found for each, and how each was read; all are embedded in one call.

        `view` is asked in place of the search view in use, for comparison.
        """
        answers = (view or self.search).rank_many(needs, filters=filters, limit=CANDIDATES)
        return [(self._need_hits(need, answer), answer.understood) for need, answer in zip(needs, answers, strict=True)]

    def available_mentors(self) -> list[str]:
        """Cities whose public offer to mentor, made with their consent, has not run out, by identifier."""
        offering = self._pointing_to_cities(_AVAILABLE)
        today = datetime.now(UTC).date()
        return [
            id
            for id, city in self._cities.facts(offering).items()
            if city.availability
            and city.availability.consent
            and (city.availability.until is None or city.availability.until >= today)
        ]

    def all_cities(self, most: int) -> list[str]:
        """The first `most` public cities by identifier."""
        return [head.id for head in self.ledger.list("city", limit=most, published=True, visibility="public")]

    def needs_of(self, city: str) -> list[dict[str, Any]]:
        """A city's public needs on record, as a request for suggestions has them, in English where there is English."""
        found: dict[str, dict[str, str]] = {}
        themes: dict[str, set[str]] = {}
        for row in self.graph.rows(_NEEDS_OF.format(city=f"{self.base}id/city/{city}")):
            need = str(row["need"])
            found.setdefault(need, {})[row.get("text@lang") or "en"] = str(row["text"])
            if row.get("theme"):
                themes.setdefault(need, set()).add(str(row["theme"]).rpartition("/")[2])
        return [
            {
                "text": in_language(texts, "en"),
                "language": "en" if "en" in texts else next(iter(texts)),
                "themes": sorted(themes.get(need, ())),
            }
            for need, texts in sorted(found.items())
        ]

    def needs_on_record(self) -> list[dict[str, Any]]:
        """All public needs, by identifier, each as a request for exposure has it: its words, themes and mentee."""
        found: dict[str, tuple[str, dict[str, str], set[str]]] = {}
        for row in self.graph.rows(_NEEDS_ON_RECORD):
            mentee = str(row["mentee"]).rpartition("/")[2]
            _, texts, themes = found.setdefault(str(row["need"]), (mentee, {}, set()))
            texts[row.get("text@lang") or "en"] = str(row["text"])
            if row.get("theme"):
                themes.add(str(row["theme"]).rpartition("/")[2])
        return [
            {
                "text": in_language(texts, "en"),
                "language": "en" if "en" in texts else next(iter(texts)),
                "themes": sorted(themes),
                "mentee": mentee,
            }
            for _, (mentee, texts, themes) in sorted(found.items())
        ]

    def records_of_cities(self) -> dict[str, int]:
        """How many public practices each city has, as its own or as a partner; cities without any are left out."""
        rows = self.graph.rows(_RECORDS_OF_CITIES)
        return {str(row["city"]).rpartition("/")[2]: int(str(row["records"])) for row in rows if row.get("city")}

    def countries_of_cities(self) -> dict[str, str]:
        """The country of each public city that has one on record, as two letters."""
        rows = self.graph.rows(_COUNTRIES_OF_CITIES)
        return {str(row["city"]).rpartition("/")[2]: str(row["country"]) for row in rows}

    def _pointing_to_cities(self, query: str) -> list[str]:
        """Identifiers of the cities that a query names."""
        return sorted({str(row["city"]).rpartition("/")[2] for row in self.graph.rows(query)})

    def _need_hits(self, need: Need, answer: Ranking) -> NeedHits:
        """A need with what search found, one hit per city that took part in a practice."""
        thesaurus = self.search.thesaurus
        strengths = {match.theme: match.strength for match in answer.understood.themes} | dict.fromkeys(
            need.themes, 1.0
        )
        themes = frozenset(strengths)
        for theme in themes:
            for below in thesaurus.descendants(theme):
                strengths[below] = max(strengths.get(below, 0.0), strengths[theme])
        return NeedHits(
            hits=tuple(
                Hit(hit.practice, city, hit.similarity, hit.passage)
                for hit in answer.found
                for city in (hit.city, *hit.partner_cities)
            ),
            themes=themes,
            narrower=frozenset(one for theme in themes for one in thesaurus.descendants(theme)),
            broader=frozenset(one for theme in themes for one in thesaurus.ancestors(theme)),
            weight=need.weight,
            text=need.text,
            strengths=strengths,
            nearest=None if need.themes else answer.nearest,
            guessed=not (answer.understood.help.model or answer.understood.help.labels or themes),
        )

    def _need_answer(self, need: Need, known: Understood, language: str, *, heard: bool) -> dict[str, Any]:
        """How a need was understood: its language, and the themes with the words that led there."""
        labels = self.labels("theme", [match.theme for match in known.themes], language)
        return {
            "text": need.text,
            "language": known.language,
            "language_given": need.language is not None,
            "language_certain": known.certain,
            "understood": understood_json(known, language, heard=heard),
            "themes": [
                {
                    "id": match.theme,
                    "label": labels.get(match.theme, match.theme),
                    "strength": round(match.strength, 3),
                    "words": [as_written(need.text, word) for word in dict.fromkeys(match.words)],
                    "vocabulary": match.vocabulary or "themes",
                }
                for match in known.themes
            ],
        }

    def analyse_needs(self, text: str, *, language: str | None = None, answer_in: str = "en") -> dict[str, Any]:
        """The separate needs in a page of text: themes, open questions, how many cities have experience.

        `language` is that of the text, recognised when None; sentences are in `answer_in`. Raises BadRequest or TooLarge
        for a text that cannot be used, ModelMissing without a model.
        """
        self._refresh()
        found = analyse_needs(
            text, self.search, lambda ids: self.labels("theme", ids, answer_in), language=language, answer_in=answer_in
        )
        return {**found, "revision": self._search_follower.reached if self._search_follower else 0}

    def search_practices(
        self,
        q: str,
        *,
        language: str | None = None,
        filters: Mapping[str, Any] | None = None,
        narrowed: Mapping[str, Sequence[str]] | None = None,
        limit: int = 20,
        cursor: str | None = None,
        labels_in: str = "en",
    ) -> dict[str, Any]:
        """Practices closest to a text, best first, with the facets of all practices that the filters let in.

        `language` is that of the text, recognised when None. `narrowed` has chosen values by facet, as lists take
        them, beside `filters`. `cursor` is the `next` of the page before; it belongs to its question.

        Raises BadRequest for a text, filter, limit or cursor that cannot be used.
        """
        from kg.listing import narrowed_search

        _check_limit(limit, 100)
        wanted = read_filters(filters, self)
        self._refresh()
        asked = NeedText(need_text(q, "q"), language)
        let_in, facets = narrowed_search(self.lists, wanted, narrowed or {}, self, labels_in)
        if let_in is None:
            page = Page(self.search.understand(asked), (), None)
        else:
            page = self.search.search(asked, filters=let_in, limit=limit, cursor=cursor)
        return {
            "results": self._found(page.found, labels_in),
            "facets": facets,
            "next": page.next,
            "language": page.understood.language,
            "understood": understood_json(page.understood, labels_in),
            "revision": self._search_follower.reached if self._search_follower else 0,
        }

    def similar_practices(self, id: str, *, limit: int = 10, labels_in: str = "en") -> dict[str, Any]:
        """Practices that resemble one on record, best first, itself left out, each with why.

        Raises NotFound or Gone when the practice is not there.
        """
        from kg.listing import written_likeness

        themes = frozenset(self.get("practice", id).get("themes", ()))
        _check_limit(limit, 100)
        self._refresh()
        found = self._found(self.search.similar(id, limit=limit), labels_in)
        results = [{**one, **written_likeness(one, themes, self.lists, labels_in)} for one in found]
        return {"results": results, "practice": id}

    # For curators

    def hints(self, record: Mapping[str, Any], *, drafts: bool = False, limit: int = 5, language: str = "en") -> Hints:
        """Likely duplicates, themes, cities and missing fields of a practice being written; see kg.hints.

        With `drafts` records that are not published are compared too; `language` is that of problems. Raises InvalidRecord, BadRequest or TooLarge
        for what cannot be read, ModelMissing without a model.
        """
        from kg.hints import HintMemory, practice_hints

        with self._opening:
            if self._hint_memory is None:
                self._hint_memory = HintMemory(self.graph, self.ledger, self.base, lambda: self._graph_follower.reached)
        return practice_hints(
            record, search=self.search, memory=self._hint_memory, drafts=drafts, limit=limit, told_in=language
        )

    def quality(self, record: Mapping[str, Any]) -> Quality:
        """The quality of a record in numbers with their reasons, as of today; see kg.quality."""
        from kg.quality import quality
        from kg.sources import SourceLooks

        urls = [source["url"] for source in record.get("sources", ()) if source.get("url")]
        looked_up = SourceLooks(self.ledger).said(urls) if urls else {}
        return quality(record, as_of=datetime.now(UTC).date(), looked_up=looked_up, profile=self.profile)

    def worklist(
        self, name: str, language: str = "en", limit: int = 50, cursor: str | None = None, **more: Any
    ) -> Worklist:
        """One page of what curators may mend next; see kg.worklists.worklist."""
        from kg.worklists import worklist

        return worklist(name, self, language, limit, cursor, **more)

    def _found(self, hits: Sequence[Found], labels_in: str) -> list[dict[str, Any]]:
        """Found practices as JSON, labels read in one go."""
        cities = self._cities.facts({hit.city for hit in hits if hit.city})
        themes = self.labels("theme", sorted({theme for hit in hits for theme in hit.themes}), labels_in)
        return [
            {
                "id": hit.practice,
                "iri": f"{self.base}id/practice/{hit.practice}",
                "title": in_language(hit.title, labels_in),
                "city": city_reference(cities[hit.city], self.base, labels_in) if hit.city in cities else None,
                "themes": [{"id": theme, "label": themes.get(theme, theme)} for theme in hit.themes],
                "evidence": list(hit.evidence),
                "passage": {"text": hit.passage.text, "language": hit.passage.language, "part": hit.passage.part},
                "similarity": hit.similarity,
            }
            for hit in hits
        ]

    def _refresh(self) -> None:
        """Forget facts of cities that the graph and the lists have newer records of."""
        _ = self.lists
        reached = self._graph_follower.reached
        if self._lists_follower is not None:
            reached = min(reached, self._lists_follower.reached)
        while self._cities_seen < reached:
            revisions = self.ledger.since(self._cities_seen, 500)
            if not revisions:
                break
            self._cities.forget(revisions)
            self._cities_seen = revisions[-1].number
        if self._cities_seen > reached:
            self._cities.forget_all()
            self._cities_seen = reached

    # What a request may name

    def city(self, name: str, where: str) -> str:
        """A city on record by its identifier or address. Raises BadRequest with the nearest ones."""
        return self._on_record("city", name, where)

    def theme(self, name: str, where: str) -> str:
        """A theme on record by its identifier or address. Raises BadRequest with the nearest ones."""
        return self._on_record("theme", name, where)

    def _on_record(self, kind: str, name: str, where: str) -> str:
        """A published record's identifier."""
        ours = parse_thing_iri(self.base, name)
        id = ours[1] if ours and ours[0] == kind else name
        revision = self.ledger.published(kind, id)
        if revision is None or revision.visibility != "public":
            missing = not_on_record(kind, name, self._near(kind, id.lower()))
            colon = {"fr": " :"}
            raise BadRequest({tag: f"{where}{colon.get(tag, ':')} {text}" for tag, text in missing.texts().items()})
        return id


class _NothingWritten(Exception):
    """Leaves the ledger's transaction without a commit."""


@dataclass(frozen=True)
class _Wanted:
    """One record on its way into the ledger. With problems of `form`, `graph` has what can be read of it."""

    place: str
    key: tuple[str, str]
    graph: Graph
    form: list[Problem]
    references: set[tuple[str, str]]
    payload: str
    title: str
    visibility: str | None


def _says_the_same(one: _Wanted, head: Head | None, transaction: Transaction, state: str) -> bool:
    """Whether the record's newest revision already says this, to the same readers."""
    if head is None or one.form or (one.visibility or head.visibility) != head.visibility:
        return False
    return head.state in (state, "published") and transaction.revision(head.number).payload == one.payload


def _visibility(row: Row) -> str | None:
    """What the input says about who may see the record."""
    said = row.said.get("visibility")
    if said is None or said in VISIBILITIES:
        return said
    raise BadRequest(f"{row.place}: record.visibility: {quoted(said)} is none of {', '.join(VISIBILITIES)}")


def _lets_in(filters: Filters, city: CityFacts, mentee: str | None) -> bool:
    """Whether filters on cities keep a city, which may be only a partner of a practice that search let in.

    As in search, a city whose population is not on record meets neither bound.
    """
    if city.id == mentee:
        return True
    if city.id in filters.exclude_cities or (filters.countries and city.country not in filters.countries):
        return False
    low, high = filters.population_min, filters.population_max
    population = city.population
    return (low is None or (population is not None and population >= low)) and (
        high is None or (population is not None and population <= high)
    )


def _of_others(asked: SuggestionRequest) -> Filters:
    """The request's filters without the mentee's own practices: nobody is sent to what it does itself."""
    own = {asked.mentee} if asked.mentee else set()
    return replace(asked.filters, exclude_cities=asked.filters.exclude_cities | own)


def _check_limit(limit: int, most: int) -> None:
    """Lists have at least one entry and no more than a page."""
    if not 1 <= limit <= most:
        raise BadRequest(
            {
                "en": f"limit: give a number from 1 to {most}, not {limit}",
                "fr": f"limit : donnez un nombre de 1 à {most}, non {limit}",
            }
        )


def _without(record: Mapping[str, Any], *keys: str) -> Record:
    """A record without some of its keys."""
    return {key: value for key, value in record.items() if key not in keys}


def title_of(record: Mapping[str, Any]) -> str:
    """What lists call a record: its first text field, in English where it has one, else its identifier.

    >>> title_of({"kind": "city", "id": "gent", "name": {"nl": "Gent"}})
    'Gent'
    """
    kind = declaration().kind(record["kind"])
    texts = (record.get(field.key) for field in kind.fields if field.type == "text" and field.needed)
    return next((in_language(text, "en")[:200] for text in texts if text and _is_wording(text)), record["id"])


def _is_wording(text: Any) -> bool:
    """Whether a value, perhaps of a record that breaks rules, has words by language that can be written down."""
    return (
        isinstance(text, dict)
        and bool(text)
        and all(isinstance(words, str) and not SURROGATE.search(words) for words in text.values())
    )


def vocabulary_graph(name: str) -> str:
    """The graph that holds a shipped vocabulary file, whatever the ledger's base.

    >>> vocabulary_graph("mentorship.ttl")
    'https://w3id.org/mentorgraph/ontology'
    """
    stem = Path(name).stem
    return f"{DEFAULT_BASE}{'ontology' if stem == 'mentorship' else stem}"
