"""Imports: files of records or tables in, one report per row out, and the changes into the ledger.

First everything is read and put in an order in which what is referred to comes before what refers to it. Then, batch
after batch: each row becomes the record it would be, is checked, and is compared with what is on record; a dry run ends
there, otherwise the batch is written in one transaction. A row that says what is on record already writes nothing, so an
import that was stopped or killed is finished by running it again, and one that is finished can be run again.

Nothing changes state or visibility unless told to: new records are drafts, a published one gets a draft beside it,
a record under review stays there. Where a published record has a newer draft beside it, a file's record is compared with
both: what it says as the published version does is no wish to change the draft.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rdflib import Graph

from kg.accounts import Actor
from kg.changes import Difference, differences, merge_patch
from kg.errors import BadRequest, Busy, InvalidRecord, KgError, NotAllowed, Problem, StaleRecord, in_french, quoted
from kg.exchange.duplicates import Titles
from kg.exchange.importing import read_records
from kg.exchange.mapping import MappingFile, apply_mapping, folded
from kg.exchange.reports import ImportReport, RowReport
from kg.exchange.spreadsheets import Table, is_table, read_tables
from kg.exchange.tables import Edit, Wanted, asks, doubts, edited, read_wanted, twice
from kg.fields import Field, Kind, declaration, in_language
from kg.ledger import VISIBILITIES, Change, Head, Key
from kg.records import (
    Record,
    check_id,
    completed,
    from_graph,
    next_inner_id,
    readable_graph,
    references,
    to_graph,
    to_ntriples,
    with_meant_problems,
)
from kg.rights import GONE, Rights, require_scope, require_visibility
from kg.validation import Referenced, below_itself, broader_field, refusing

if TYPE_CHECKING:
    from kg.catalogue import Catalogue

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done and how much there is."""

BATCH = 500
"""Records written in one transaction: other writers wait for one only as long as the rows take to be sent."""

ALL = 2**31
"""More records than an import can have: all of them are one batch."""

FIRST = 50
"""Records of the first batch, at most: the model reads them while the rules read on, instead of waiting for 500."""

ATTEMPTS = 5
"""How often a batch is made again because somebody changed one of its records meanwhile."""

_NAMES = ("name", "label", "alt", "title", "local_name", "alt_names", "acronym", "named_matches")
"""Fields by which records are called."""


def _quiet(what: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True)
class ImportFile:
    """A file to import, and what people call it (a stored upload has another name than its sender gave it)."""

    path: Path
    name: str

    @classmethod
    def at(cls, path: Path) -> ImportFile:
        return cls(path, path.name)


@dataclass(frozen=True)
class ImportOptions:
    """What an import is told beside its files.

    `kind` is what rows are where a table does not say. With `publish` records are published, without it they are drafts.
    With `clear_empty` an empty cell empties its field. With `with_visibility` the file decides who sees a record.
    `encoding` is that of CSV files whose encoding cannot be told. `language` is that of the messages.
    """

    kind: str | None = None
    mapping: MappingFile | None = None
    publish: bool = False
    clear_empty: bool = False
    with_visibility: bool = False
    encoding: str | None = None
    language: str = "en"
    note: str = ""
    duplicates: bool = True


@dataclass
class _Entry:
    """One record that a file speaks of: whole, or as edits of what is there."""

    place: str
    key: Key
    record: Record | None = None
    edits: Sequence[Edit] = ()
    new: bool = True
    said: Record = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


@dataclass(frozen=True)
class _Joined:
    """What a file wants, on a draft: the record, what it `left` as the draft has it, and whether it `wished` for anything.

    A wish is what differs from the published version, also where the draft has it already.
    """

    record: Record
    left: tuple[str, ...]
    wished: bool


@dataclass
class _Prepared:
    """An entry as it would be written. With problems of `form`, `graph` has what can be read, for the rules to try."""

    entry: _Entry
    row: RowReport
    head: Head | None = None
    graph: Graph | None = None
    form: tuple[Problem, ...] = ()
    references: frozenset[Key] = frozenset()
    change: Change | None = None


class Imports:
    """Imports into one catalogue, for one actor at a time.

    `rights` says who may write and publish what; the catalogue's own by default.

    >>> from tempfile import TemporaryDirectory
    >>> from kg.catalogue import Catalogue
    >>> with TemporaryDirectory() as tmp, Catalogue.create(Path(tmp) / "data") as catalogue:
    ...     file = Path(tmp) / "cities.csv"
    ...     _ = file.write_text("id,name@en,name@fr,country\\ngent,Ghent,Gand,BE\\n")
    ...     imports, anna = Imports(catalogue), Actor("anna", "curator")
    ...     imports.dry_run([ImportFile.at(file)], anna).counts["new"]
    ...     imports.apply([ImportFile.at(file)], anna).rows[0].state
    ...     imports.apply([ImportFile.at(file)], anna).counts
    1
    'draft'
    {'new': 0, 'changed': 0, 'unchanged': 1, 'refused': 0}
    """

    def __init__(self, catalogue: Catalogue, rights: Rights | None = None) -> None:
        self.catalogue, self.ledger, self.base = catalogue, catalogue.ledger, catalogue.base
        self.rights = rights or catalogue.curation.rights
        self._names: dict[str, dict[str, frozenset[tuple[str, str]]]] = {}

    def dry_run(
        self,
        files: Sequence[ImportFile],
        actor: Actor,
        options: ImportOptions | None = None,
        *,
        progress: Progress = _quiet,
        stop: Callable[[], bool] | None = None,
    ) -> ImportReport:
        """What `apply` would do now, row by row; nothing is written.

        Raises UnreadableInput, TooLarge or BadRequest for a file that cannot be read at all, NotAuthenticated or
        NotAllowed where the actor may not import.
        """
        return _Run(self, actor, options or ImportOptions(), progress, stop).run(files, batch=None)

    def apply(
        self,
        files: Sequence[ImportFile],
        actor: Actor,
        options: ImportOptions | None = None,
        *,
        batch: int | None = BATCH,
        progress: Progress = _quiet,
        stop: Callable[[], bool] | None = None,
    ) -> ImportReport:
        """Write what the files say, `batch` records a transaction, or all in one where it is None.

        Refused rows are reported and not written; the others are. `stop` is asked before each record: when it says
        yes, the batch at hand is not written, those before it stay. Raises what `dry_run` raises, before anything is
        written, and Busy where the ledger cannot be written for too long.
        """
        if batch is not None and batch < 1:
            raise BadRequest(f"batch: give a number from 1, not {batch}")
        return _Run(self, actor, options or ImportOptions(), progress, stop).run(files, batch=batch or ALL)

    # What the ledger and the graph know

    def names(self, kind: str) -> Mapping[str, frozenset[tuple[str, str]]]:
        """Published records of a kind by their names, folded, with their country, and by their identifiers."""
        if kind not in self._names:
            self._names[kind] = _names_of(self.catalogue, declaration().kind(kind))
        return self._names[kind]

    def titles(self, kind: str) -> Titles:
        """Titles of all records of a kind that are not gone."""
        return Titles(self.ledger.titles(kind, but=GONE), partial(self._cities_of, kind))

    def _cities_of(self, kind: str, ids: Sequence[str]) -> dict[str, str]:
        """The cities that records name, read out of their newest N-Triples without parsing them."""
        declared = declaration().kind(kind).by_key.get("city")
        if declared is None:
            return {}
        place = re.compile(rf"<{re.escape(str(declared.path))}> <{re.escape(self.base)}id/city/([a-z0-9-]+)>")
        found = ((one.id, place.search(one.payload or "")) for one in self.ledger.newest(kind, ids))
        return {id: named[1] for id, named in found if named}


def _changed_meanwhile(key: Key) -> StaleRecord:
    kind, id = key
    return StaleRecord(
        {
            "en": f"{kind} {quoted(id)} was changed meanwhile",
            "fr": f"la fiche {in_french(kind)} {quoted(id)} a été modifiée entre-temps",
        }
    )


def _names_of(catalogue: Catalogue, kind: Kind) -> dict[str, frozenset[tuple[str, str]]]:
    """Names of published, public records, asked of the graph in one query."""
    country = kind.by_key.get("country")
    paths = " ".join(f"<{kind.by_key[key].path}>" for key in _NAMES if key in kind.by_key)
    of = f"OPTIONAL {{ ?thing <{country.path}> ?country }}" if country else ""
    rows = catalogue.graph.rows(
        f"SELECT ?thing ?name ?country {{ VALUES ?path {{ {paths} }} ?thing a <{kind.cls}> ; ?path ?name . {of} }}"
    )
    found: dict[str, set[tuple[str, str]]] = {}
    for row in rows:
        id = str(row["thing"]).rpartition("/")[2]
        for name in (str(row["name"]), id):
            found.setdefault(folded(name), set()).add((id, row.get("country") or ""))
    return {name: frozenset(ids) for name, ids in found.items() if name}


class _Run:
    """One import on its way."""

    def __init__(
        self,
        imports: Imports,
        actor: Actor,
        options: ImportOptions,
        progress: Progress,
        stop: Callable[[], bool] | None,
    ) -> None:
        self.imports, self.actor, self.options, self.progress = imports, actor, options, progress
        self.catalogue, self.ledger, self.base = imports.catalogue, imports.ledger, imports.base
        self.stop = stop or (lambda: False)
        self.report = ImportReport(attribution=options.mapping.attribution if options.mapping else "")
        self.settled: dict[Key, str] = {}
        """Rows that are, or would be, on record by now, with their state."""
        self.broader: dict[Key, str | None] = {}
        self.titles: dict[str, Titles] = {}
        self.near: dict[Key, tuple[str, ...]] = {}
        self.linked: dict[Key, int | None] = {}
        """What the batch at hand refers to, with the number of its published revision when it was looked up."""

    def run(self, files: Sequence[ImportFile], *, batch: int | None) -> ImportReport:
        """Read all, then plan and, with `batch`, write."""
        self.imports.rights.require_account(self.actor)
        require_scope(self.actor, "import")
        self.report.dry_run = batch is None
        entries = self._read(files)
        self.broader = _broader_of(entries)
        rows: dict[int, RowReport] = {}
        done = 0
        with ThreadPoolExecutor(1, "views of an import") as beside:
            following: list[Future[None]] = []
            size = batch or BATCH
            for group in _batches(_in_order(entries), size, first=size if size == ALL else min(size, FIRST)):
                before = self.report.written
                written = self._batch(group, done, len(entries), write=batch is not None)
                if written is None:
                    self.report.stopped = True
                    break
                rows |= {id(one.entry): one.row for one in written}
                done += sum(map(len, group))
                if self.report.written > before:  # the model reads one batch while the rules read the next
                    following.append(beside.submit(self.catalogue.committed))
            for one in following:
                one.result()
        self.report.rows = [rows[id(entry)] for entry in entries if id(entry) in rows]
        return self.report

    # Reading

    def _read(self, files: Sequence[ImportFile]) -> list[_Entry]:
        """Every record the files speak of, in their order, each once."""
        entries: list[_Entry] = []
        tables: list[Table] = []
        for file in files:
            self.progress("reading", 0, 0)
            if is_table(file.name):
                found = read_tables(file.path, name=file.name, encoding=self.options.encoding)
                tables += found
                for table in found:
                    self.report.files.append({"name": table.file, "rows": len(table.rows), "encoding": table.encoding})
            else:
                entries += self._records(file)
        entries += self._mapped(tables) if self.options.mapping else self._rows(tables)
        return _each_once(entries, self.options.language)

    def _records(self, file: ImportFile) -> Iterator[_Entry]:
        """Whole records of JSON or RDF."""
        if self.options.mapping:
            raise BadRequest(
                {
                    "en": f"{file.name}: a mapping reads tables (CSV, TSV, XLSX), not records",
                    "fr": f"{file.name} : une correspondance lit des tableaux (CSV, TSV, XLSX), non des fiches",
                }
            )
        rows = 0
        language = self.options.language
        for row in read_records(file.path, self.base, ignored=self.report.ignored, name=file.name, language=language):
            rows += 1
            record = row.record or {}
            entry = _Entry(row.place, (str(record.get("kind", "record")), str(record.get("id", ""))), row.record)
            entry.said = row.said
            if row.error is not None:
                entry.problems = _problems_of(row.error, language)
            yield entry
        self.report.files.append({"name": file.name, "rows": rows, "encoding": "UTF-8"})

    def _rows(self, tables: Sequence[Table]) -> Iterator[_Entry]:
        """Rows of tables of our own form."""
        options = self.options
        wanted = read_wanted(
            tables,
            kind=options.kind,
            clear_empty=options.clear_empty,
            unknown=self.report.unknown,
            language=options.language,
        )
        return (_entry_of(one, []) for one in wanted)

    def _mapped(self, tables: Sequence[Table]) -> Iterator[_Entry]:
        """Rows of foreign tables."""
        assert self.options.mapping is not None
        for table in tables:
            mapped = apply_mapping(self.options.mapping, table, self.imports.names)
            self.report.skipped += mapped.skipped
            self.report.not_used |= mapped.not_used
            for one in mapped.wanted:
                yield _entry_of(one, mapped.notes.get(one.place, []))

    # One batch

    def _batch(
        self, group: Sequence[Sequence[_Entry]], done: int, total: int, *, write: bool
    ) -> list[_Prepared] | None:
        """Prepare, check and write some entries; None when somebody stopped the import meanwhile."""
        for attempt in range(ATTEMPTS):
            settled = dict(self.settled)
            prepared = self._checked(group, done, total)
            if prepared is None:
                return None
            if not write:
                return prepared
            try:
                self.report.written += self._write(prepared)
            except StaleRecord:
                self.settled = settled
                if attempt == ATTEMPTS - 1:
                    raise Busy(
                        {
                            "en": "others are changing the same records; run the import again, it goes on from here",
                            "fr": "d’autres modifient les mêmes fiches ; relancez l’importation, elle reprendra ici",
                        }
                    ) from None
                continue
            return prepared
        return None

    def _write(self, prepared: Sequence[_Prepared]) -> int:
        """Append the changes, if everything still stands as it was when they were checked."""
        changes = [one for one in prepared if one.change is not None]
        if not changes:
            return 0
        linked = {key for one in changes for key in one.references}
        with self.ledger.write() as transaction:
            heads = transaction.referenced({*linked, *(one.entry.key for one in changes)})
            for one in changes:
                if (heads.get(one.entry.key) or None) != one.head:
                    raise _changed_meanwhile(one.entry.key)
            for key in linked - set(self.settled):
                head = heads.get(key)
                if (head.published if head else None) != self.linked.get(key):
                    raise _changed_meanwhile(key)
            for one in changes:
                assert one.change is not None
                transaction.append(one.change)
        return len(changes)

    def _checked(self, group: Sequence[Sequence[_Entry]], done: int, total: int) -> list[_Prepared] | None:
        """The entries of a batch as they would be written, with what is wrong with them."""
        keys = {entry.key for unit in group for entry in unit}
        heads = self.ledger.referenced(keys)
        prepared: list[list[_Prepared]] = []
        for entries in group:
            if self.stop():
                return None
            prepared.append([self._prepared(entry, heads.get(entry.key)) for entry in entries])
        linked = {key for unit in prepared for one in unit for key in one.references}
        known = self.ledger.referenced(linked - set(self.settled))
        self.linked = {key: head.published for key, head in known.items()}
        for unit in prepared:
            if self.stop():
                return None
            self._check(unit, known)
            done += len(unit)
            self.progress("checking", done, total)
        return [one for unit in prepared for one in unit]

    def _prepared(self, entry: _Entry, head: Head | None) -> _Prepared:
        """The record that an entry wants, as a graph; a problem of form refuses it."""
        kind, id = entry.key
        row = RowReport(entry.place, kind, id, notes=tuple(entry.notes))
        prepared = _Prepared(entry, row, head)
        try:
            if entry.problems and not (id and entry.edits):
                raise InvalidRecord(kind, id, entry.problems)
            declared = declaration().kind(kind)
            check_id(declared.name, id)
            self._require_possible(declared, entry, head)
            before = self._before(entry, head)
            published = self._published_beside(head)
            joined = None
            if published is None:
                after, doubted = self._after(entry, before)
            else:
                assert head is not None
                before = before or self._read_newest(head)
                joined = self._joined(entry, published, before)
                after, doubted = joined.record, []
                self._tell_left(row, head, joined)
            after = completed(after)
            row.title = _title(after)
            graph, prepared.graph, form = readable_graph(after, self.base, language=self.options.language)
            prepared.references = frozenset(references(prepared.graph, self.base))
            prepared.form = (*entry.problems, *doubted, *form)
            if prepared.form:
                row.state = self._state(head)
            elif graph is not None:
                prepared.change = self._change(prepared, declared, row, before, after, joined)
        except KgError as error:
            told = _problems_of(error, self.options.language)
            row.outcome, row.problems = "refused", tuple(with_meant_problems(entry.problems, told))
            prepared.change = prepared.graph = None
        return prepared

    def _require_possible(self, kind: Kind, entry: _Entry, head: Head | None) -> None:
        """Refuse what this actor may not change, and what is gone."""
        rights = self.imports.rights
        if head is None and not entry.new:
            raise BadRequest(
                {
                    "en": f"there is no {kind.name} {quoted(entry.key[1])}; parts belong to a record that is there",
                    "fr": f"{in_french(kind.name)} : aucune fiche {quoted(entry.key[1])} ; un élément appartient à une fiche qui existe",
                }
            )
        if head is not None and not (rights.may_see(self.actor, head) or head.published_visibility == "public"):
            raise NotAllowed(
                {
                    "en": f"{kind.name} {quoted(head.id)} is taken by a record that is not yours to change",
                    "fr": f"{in_french(kind.name)} {quoted(head.id)} est pris par une fiche que vous ne pouvez pas modifier",
                }
            )
        rights.require_write(self.actor, kind, head)
        if self.options.publish:
            rights.require_publish(self.actor, kind, self.actor.name)
        if head is not None and head.state in GONE:
            raise BadRequest(
                {
                    "en": f"{kind.name} {quoted(head.id)} was {head.state}: {head.reason or 'no reason is recorded'}; "
                    "an import does not bring it back",
                    "fr": f"{in_french(kind.name)} {quoted(head.id)} est à l’état « {head.state} » "
                    f"({head.reason or 'aucune raison n’est notée'}) ; une importation ne rétablit pas la fiche",
                }
            )

    def _before(self, entry: _Entry, head: Head | None) -> Record | None:
        """What is on record, where it is needed: edits are made on it, parts get their identifiers from it."""
        if head is None:
            return None
        if entry.record is not None and _all_named(entry.record):
            return None
        return self._read_newest(head)

    def _read_newest(self, head: Head) -> Record:
        revision = self.ledger.revision(head.number)
        if revision.payload is None:
            raise BadRequest(
                {
                    "en": f"the content of revision {head.number} was erased by law; an import does not change it",
                    "fr": f"le contenu de la révision {head.number} a été effacé selon la loi ; une importation n’y change rien",
                }
            )
        return self.catalogue._read(revision)

    def _after(self, entry: _Entry, before: Record | None) -> tuple[Record, list[Problem]]:
        """The record as the entry wants it, without values that could mean two things, and the problems of these."""
        kind, id = entry.key
        if entry.record is not None:
            return (_with_ids(entry.record, before) if before is not None else entry.record), []
        now = before or {"kind": kind, "id": id}
        return edited(now, [one for one in entry.edits if not one.doubt]), doubts(now, entry.edits)

    def _published_beside(self, head: Head | None) -> Record | None:
        """The version that readers see, where a newer one beside it says something else."""
        if head is None or head.published is None or head.published == head.number:
            return None
        published = self.ledger.revision(head.published)
        if published.payload is None or published.payload == self.ledger.revision(head.number).payload:
            return None
        return self.catalogue._read(published)

    def _joined(self, entry: _Entry, published: Record, draft: Record) -> _Joined:
        """The draft with what the entry says otherwise than the published version; the entry wins where both changed."""
        if entry.record is not None:
            said = self._in_ledgers_form(_with_ids(entry.record, published, draft))
            after, literal = _applied(draft, published, said), said
            wished = bool(differences(published, said))
        else:
            plain, last = _wishes(entry.edits, published, draft)
            said = self._in_ledgers_form(edited(published, plain))
            after = edited(_applied(draft, published, said), last)
            literal = self._in_ledgers_form(edited(draft, [replace(one, doubt="") for one in entry.edits]))
            wished = any(asks(published, one) for one in entry.edits)
        if entry.key in self.broader:
            broader = broader_field(declaration().kind(entry.key[0]))
            self.broader[entry.key] = after.get(broader.key) if broader is not None else None
        left = differences(self._in_ledgers_form(after), literal, self.options.language)
        return _Joined(after, tuple(one.label for one in left), wished)

    def _in_ledgers_form(self, record: Record) -> Record:
        """The record as it would be read from the ledger; InvalidRecord where it has not the form of one."""
        return from_graph(to_graph(record, self.base, language=self.options.language), self.base)

    def _tell_left(self, row: RowReport, head: Head, joined: _Joined) -> None:
        """Note what stays as the draft has it; refuse to publish it unseen together with what the file wants."""
        if not joined.left:
            return
        fields = ", ".join(joined.left)
        note = {
            "en": f"there is a newer draft beside the published version (revision {head.number}); "
            f"left as the draft has it, since the file does not change it: {fields}",
            "fr": f"il y a un brouillon plus récent à côté de la version publiée (révision {head.number}) ; "
            f"laissé tel que dans le brouillon, car le fichier ne le modifie pas : {fields}",
        }
        row.notes += (in_language(note, self.options.language),)
        if self.options.publish and joined.wished:
            refusal = {
                "en": f"revision {head.number} is a draft with other changes, which would be published too: {fields}; "
                "import without publishing, or publish or discard the draft first",
                "fr": f"la révision {head.number} est un brouillon avec d’autres modifications, qui seraient publiées "
                f"aussi : {fields} ; importez sans publier, ou publiez ou abandonnez d’abord le brouillon",
            }
            raise BadRequest(in_language(refusal, self.options.language))

    def _change(
        self,
        prepared: _Prepared,
        kind: Kind,
        row: RowReport,
        before: Record | None,
        after: Record,
        joined: _Joined | None,
    ) -> Change | None:
        """The ledger's change, None when the record says this already; the row's outcome and differences."""
        head, entry = prepared.head, prepared.entry
        assert prepared.graph is not None
        payload = to_ntriples(prepared.graph)
        held = head is not None and joined is not None and joined.left and not joined.wished
        row.state = head.state if head is not None and held else self._state(head)
        visibility = self._visibility(kind, entry, head, row)
        if head is not None and visibility == head.visibility and row.state in (head.state, "draft"):
            same_state = head.state == row.state or head.state == "published"
            if same_state and self.ledger.revision(head.number).payload == payload:
                row.outcome, row.state = "unchanged", head.state
                return None
        row.outcome = "new" if head is None else "changed"
        if head is not None:
            before = before or self._read_newest(head)
            row.differences = tuple(differences(before, _stored(after, before), self.options.language))
        return Change(
            *entry.key,
            row.state,
            visibility,
            payload,
            author=self.actor.author,
            note=self.options.note or "imported",
            title=row.title[:200],
            expected=head.number if head else 0,
        )

    def _state(self, head: Head | None) -> str:
        """The state a record will have: nothing changes it but being told to publish."""
        if self.options.publish:
            return "published"
        return head.state if head is not None and head.state in ("submitted", "returned") else "draft"

    def _visibility(self, kind: Kind, entry: _Entry, head: Head | None, row: RowReport) -> str:
        """Who will see a record: as before, else its kind's default; as the file says only when told so."""
        usual = head.visibility if head else kind.visibility
        said = entry.said.get("visibility")
        if said is None or said == usual:
            return usual
        if head is not None and head.published not in (None, head.number) and said == head.published_visibility:
            return usual  # as readers see the published version; the draft's own stays, as its fields do
        if said not in VISIBILITIES:
            raise BadRequest(
                {
                    "en": f"record.visibility: {quoted(said)} is none of {', '.join(VISIBILITIES)}",
                    "fr": f"record.visibility : {quoted(said)} n’est aucune de ces valeurs : {', '.join(VISIBILITIES)}",
                }
            )
        if not self.options.with_visibility:
            note = {
                "en": f"record.visibility: {said} is not taken; the record stays {usual} (--with-visibility)",
                "fr": f"record.visibility : {said} n’est pas repris ; la fiche reste {usual} (--with-visibility)",
            }
            row.notes += (in_language(note, self.options.language),)
            return usual
        require_visibility(self.actor, kind)
        return str(said)

    # Checking

    def _check(self, unit: Sequence[_Prepared], known: Mapping[Key, Head]) -> None:
        """Run the rules over entries that refer to each other, until no refusal brings another one."""
        going = [one for one in unit if one.graph is not None]
        while going:
            coming = {one.entry.key: one.row.state for one in going}
            left = [one for one in going if self._rules(one, coming, known)]
            if len(left) == len(going):
                break
            going = left
        for one in going:
            self.settled[one.entry.key] = _seen_as(one)
            self._find_duplicates(one)
        for one in unit:
            one.graph = None

    def _rules(self, one: _Prepared, coming: Mapping[Key, str], known: Mapping[Key, Head]) -> bool:
        """Whether a record may be saved; its problems, and what it still needs, go to its row."""
        kind, id = one.entry.key
        if one.change is None and one.row.outcome == "unchanged" and one.row.state == "published":
            return True  # it was fit for readers when it was published, and says the same
        assert one.graph is not None
        problems = self.catalogue._validation.problems(
            one.graph,
            declaration().kind(kind),
            id,
            self.base,
            {key: self._referenced(key, coming, known) for key in one.references},
            language=self.options.language,
        )
        broader = broader_field(declaration().kind(kind))
        if one.entry.key in self.broader and broader is not None:
            problems += below_itself(id, broader, partial(self._above, kind), self.options.language)
        problems = with_meant_problems(one.form, problems)
        refused = refusing(problems, publish=one.row.state == "published")
        one.row.missing = tuple(problem for problem in problems if problem.severity == "warning")
        if refused and (one.form or one.change is not None):
            one.row.outcome, one.row.problems, one.change = "refused", tuple(refused), None
            return False
        return True

    def _referenced(self, key: Key, coming: Mapping[Key, str], known: Mapping[Key, Head]) -> Referenced:
        """What a reference will find once this import is written."""
        head = known.get(key)
        if head is not None and head.published is not None:
            return Referenced("published")
        state = self.settled.get(key) or coming.get(key)
        if state is not None:
            return Referenced(state)
        if head is not None:
            return Referenced(head.state)
        if key not in self.near:
            self.near[key] = self.catalogue._near(*key)
        return Referenced(None, self.near[key])

    def _above(self, kind: str, id: str) -> str | None:
        """What a record lies directly below, by this import or else on record."""
        if (kind, id) in self.broader:
            return self.broader[kind, id]
        head = self.ledger.head(kind, id)
        broader = broader_field(declaration().kind(kind))
        return self._read_newest(head).get(broader.key) if head is not None and broader is not None else None

    def _find_duplicates(self, one: _Prepared) -> None:
        """Records that a new one may be a duplicate of, on record or earlier in this import."""
        kind, id = one.entry.key
        if one.row.outcome != "new" or not self.options.duplicates or not one.row.title:
            return
        if kind not in self.titles:
            self.titles[kind] = self.imports.titles(kind)
        titles = self.titles[kind]
        city = next((linked for of, linked in one.references if of == "city"), None) if kind == "practice" else None
        one.row.duplicates = tuple(titles.like(one.row.title, city, but=id, language=self.options.language))
        titles.add(id, one.row.title, city)


def _entry_of(wanted: Wanted, notes: Sequence[str]) -> _Entry:
    return _Entry(
        wanted.place,
        (wanted.kind, wanted.id),
        edits=wanted.edits,
        new=wanted.main,
        said=wanted.said,
        notes=list(notes),
        problems=wanted.problems,
    )


def _each_once(entries: Sequence[_Entry], language: str) -> list[_Entry]:
    """The entries, the second of one record with the problem that it is the second."""
    first: dict[Key, _Entry] = {}
    for entry in entries:
        before = first.setdefault(entry.key, entry)
        if before is not entry and entry.key[1] and not entry.problems:
            kind, id = entry.key
            entry.problems.append(twice(kind, id, before.place, language))
    return list(entries)


def _problems_of(error: KgError, language: str) -> list[Problem]:
    return list(error.problems) if isinstance(error, InvalidRecord) else [Problem("", error.told(language))]


def _title(record: Mapping[str, Any]) -> str:
    from kg.catalogue import title_of

    return title_of(record)


def _seen_as(one: _Prepared) -> str:
    """The state in which others find a record after this import."""
    return "published" if one.head is not None and one.head.published is not None else one.row.state


def _stored(after: Record, before: Record) -> Record:
    """The wanted record as differences compare it: what a file says of the ledger's own is no part of it."""
    return {key: value for key, value in after.items() if key != "iri"} | {"kind": before["kind"]}


# Parts without identifiers


def _parts(record: Mapping[str, Any]) -> Iterator[tuple[Field, list[Any]]]:
    """Lists of parts that a record has."""
    for declared in declaration().kind(str(record.get("kind"))).fields:
        value = record.get(declared.key)
        if declared.inner is not None and declared.many and isinstance(value, list):
            yield declared, value


def _all_named(record: Mapping[str, Any]) -> bool:
    """Whether every part says which one it is."""
    return all(isinstance(part, dict) and part.get("id") for _, parts in _parts(record) for part in parts)


def _with_ids(record: Record, *before: Record) -> Record:
    """Parts without identifier get that of the part on record that says the same, else the next free one."""
    named = dict(record)
    for declared, parts in _parts(record):
        if not all(isinstance(part, dict) for part in parts):
            continue
        assert declared.inner is not None
        there = [part for one in before for part in one.get(declared.key, []) if isinstance(part, dict)]
        taken = {str(part["id"]) for part in [*parts, *there] if part.get("id")}
        given = {str(part["id"]) for part in parts if part.get("id")}
        found = []
        for part in parts:
            if not part.get("id"):
                same = next(
                    (one for one in there if one["id"] not in given and _without_id(one) == _without_id(part)), None
                )
                id = same["id"] if same else next_inner_id(declared.inner.id_prefix, taken)
                part = {"id": id, **_without_id(part)}
            taken.add(part["id"])
            given.add(part["id"])
            found.append(part)
        named[declared.key] = found
    return named


def _without_id(part: Mapping[str, Any]) -> Record:
    return {key: value for key, value in part.items() if key != "id"}


# Onto a draft beside a published version


def _wishes(edits: Sequence[Edit], published: Record, draft: Record) -> tuple[list[Edit], list[Edit]]:
    """Edits that neither version says already: those of fields and parts, and those to make on the draft itself.

    The latter are what no export says by itself (`—clear—`, `remove`) and parts without identifier, which are numbered
    on from the draft's.
    """
    plain: list[Edit] = []
    last: list[Edit] = []
    unnamed: dict[tuple[str, str | None], list[Edit]] = {}
    for one in edits:
        if one.unnamed:
            assert one.column.outer is not None
            unnamed.setdefault((one.column.outer.key, one.column.node), []).append(one)
        elif one.marked:
            last.append(one)
        elif asks(published, one) and asks(draft, one):
            plain.append(one)
    last += (one for part in unnamed.values() if edited(published, part) != published for one in part)
    return plain, last


def _applied(draft: Record, published: Record, said: Record) -> Record:
    """The draft with what a record says otherwise than the published version.

    Texts are taken by language, parts by identifier and field; lists get what was added and lose what was removed. A part
    that the draft no longer has comes back whole where something in it was changed.

    >>> old = {"kind": "city", "id": "riga", "name": {"en": "Riga"}, "country": "LV", "alt_names": ["Rīga"]}
    >>> _applied(old | {"country": "LT"}, old, old | {"name": {"en": "Riga", "fr": "Riga"}})["country"]
    'LT'
    """
    kind = declaration().kind(str(said["kind"]))
    patch: Record = {}
    nodes: dict[str, dict[str, Any]] = {}
    for change in differences(published, said):
        key, _, rest = change.path.partition(".")
        if not rest:
            _put(patch, draft, key, change)
        elif key == "record":
            _put(patch.setdefault(key, {}), draft.get(key, {}), rest, change)
        else:
            id, _, field_key = rest.partition(".")
            there = _node(draft, key, id)
            if field_key and there is not None:
                _put(nodes.setdefault(key, {}).setdefault(id, {}), there, field_key, change)
            else:
                nodes.setdefault(key, {})[id] = _node(said, key, id)
    for key, parts in nodes.items():
        one = next(({**part, "id": id} for id, part in parts.items() if part is not None), None)
        patch[key] = parts if kind.by_key[key].many else one
    return merge_patch(draft, patch)


def _node(record: Record, key: str, id: str) -> Record | None:
    """A part of a record, by its identifier."""
    value = record.get(key) or []
    return next((part for part in (value if isinstance(value, list) else [value]) if part["id"] == id), None)


def _put(patch: Record, now: Record, place: str, change: Difference) -> None:
    """Add one difference to a patch of what is there now."""
    key, _, language = place.partition("@")
    there = now.get(key)
    if language:
        patch, key, there = patch.setdefault(key, {}), language, (there or {}).get(language)
    value = change.after
    if isinstance(change.before, list) or isinstance(change.after, list):
        there = there or []
        kept = [one for one in there if one not in change.removed]
        value = [*kept, *(one for one in change.added if one not in kept)] or None
    patch[key] = value


# Order


def _refers_to(entry: _Entry) -> set[Key]:
    """Records that an entry names, as far as can be seen without its graph."""
    found: set[Key] = set()

    def add(declared: Field, value: Any) -> None:
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, str) and declared.ref_kind:
                found.add((declared.ref_kind, one.rpartition("/")[2]))

    for edit in entry.edits:
        if edit.column.field.type == "ref":
            add(edit.column.field, edit.value)
    if entry.record is not None and entry.key[0] in declaration().kinds:
        for declared in declaration().kind(entry.key[0]).fields:
            value = entry.record.get(declared.key)
            if declared.type == "ref":
                add(declared, value)
            elif declared.inner is not None:
                for part in (one for one in (value if isinstance(value, list) else [value]) if isinstance(one, dict)):
                    for inner in declared.inner.fields:
                        if inner.type == "ref":
                            add(inner, part.get(inner.key))
    return found


def _in_order(entries: Sequence[_Entry]) -> list[list[_Entry]]:
    """Entries so that each comes after those it refers to; those that refer to each other in a circle together."""
    numbers = {entry.key: number for number, entry in reversed(list(enumerate(entries)))}
    links = [
        (number, numbers[key])
        for number, entry in enumerate(entries)
        for key in _refers_to(entry)
        if key in numbers and numbers[key] != number
    ]
    if not links:
        return [[entry] for entry in entries]
    from graphlib import TopologicalSorter

    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    rows, columns = zip(*links, strict=True)
    size = len(entries)
    matrix = coo_matrix(([1] * len(links), (rows, columns)), shape=(size, size))
    _, labels = connected_components(matrix, directed=True, connection="strong")
    groups: dict[int, list[_Entry]] = {}
    for entry, label in zip(entries, labels.tolist(), strict=True):
        groups.setdefault(label, []).append(entry)
    sorter: TopologicalSorter[int] = TopologicalSorter(dict.fromkeys(groups, ()))
    for row, column in links:
        if labels[row] != labels[column]:
            sorter.add(int(labels[row]), int(labels[column]))
    return [groups[label] for label in sorter.static_order()]


def _batches(units: Iterable[list[_Entry]], size: int, *, first: int) -> Iterator[list[list[_Entry]]]:
    """Units gathered until a batch is full; `first` is the size of the first one."""
    batch: list[list[_Entry]] = []
    count, wanted = 0, first
    for unit in units:
        batch.append(unit)
        count += len(unit)
        if count >= wanted:
            yield batch
            batch, count, wanted = [], 0, size
    if batch:
        yield batch


def _broader_of(entries: Iterable[_Entry]) -> dict[Key, str | None]:
    """What an import says lies below what."""
    found: dict[Key, str | None] = {}
    for entry in entries:
        declared = broader_field(declaration().kind(entry.key[0])) if entry.key[0] in declaration().kinds else None
        if declared is None:
            continue
        if entry.record is not None:
            value = entry.record.get(declared.key)
            found[entry.key] = value.rpartition("/")[2] if isinstance(value, str) else None
        for edit in entry.edits:
            if edit.column.field is declared and edit.column.outer is None:
                found[entry.key] = edit.value if isinstance(edit.value, str) else None
    return found
