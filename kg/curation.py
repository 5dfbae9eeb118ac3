"""Carries records from draft to publication and beyond: who may do which step, and what each step writes.

A record goes draft → submitted → (returned ↔ submitted) → published → a new draft beside the published
version → … → withdrawn, with a reason, or merged into another record. Each step is one revision in the
ledger, with who took it, when and why; nothing is ever overwritten.

| role | may |
|---|---|
| contributor | write and submit drafts of its own, see them, comment on them |
| curator | everything on every record: see, write, return, publish, withdraw, merge, undo |
| manager | the same on the kinds that managers keep (mentorships and their parts); elsewhere as a contributor |
| administrator | everything |

By default a second person publishes: whoever wrote the newest wording of a record does not publish it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from rdflib import Graph
from slugify import slugify

from kg.accounts import Actor
from kg.changes import Decision, merge_records, patched, replace_reference, three_way
from kg.discussion import Discussion
from kg.errors import (
    BadRequest,
    DuplicateRecord,
    Gone,
    InvalidRecord,
    NotFound,
    Problem,
    StaleRecord,
    StillReferenced,
    WrongState,
    in_french,
    plain,
    quoted,
)
from kg.fields import Kind, declaration, in_language
from kg.history import History, told_three_way
from kg.ledger import VISIBILITIES, Change, Head, Key, Ledger, Revision, Transaction
from kg.records import (
    Record,
    check_id,
    completed,
    from_graph,
    is_blank,
    readable_graph,
    references,
    to_graph,
    to_ntriples,
    with_meant_problems,
)
from kg.rights import GONE, OPEN, Rights, require_visibility, tombstone, was_for_all
from kg.validation import below_itself, broader_field, refusing
from kg.vocabulary import thing_iri

if TYPE_CHECKING:
    from kg.catalogue import Catalogue

STANDING = ("newest", "newest_state", "published")
"""What `read` adds under `record` for those who work on a record."""

NOTE_LIMIT = 2_000
"""Characters of a note or reason."""


@dataclass(frozen=True)
class Saved:
    """What a step wrote: the record's new revision, where it stands, and what it still needs to be published.

    `revision` is the number to name in the next `If-Match`. `changed` is False where the record said the same
    already and nothing was written. `missing` has every rule that publication would still break.
    """

    kind: str
    id: str
    revision: int
    state: str
    visibility: str
    missing: tuple[Problem, ...] = ()
    changed: bool = True


class Curation:
    """Everything people do to records, one method for each step; every method says who acts.

    All errors come before anything is written. `language` is that of the messages.

    >>> from tempfile import TemporaryDirectory
    >>> from pathlib import Path
    >>> from kg.catalogue import Catalogue
    >>> ilze, anna = Actor("ilze", "contributor"), Actor("anna", "curator")
    >>> with TemporaryDirectory() as tmp, Catalogue.create(Path(tmp) / "data") as catalogue:
    ...     desk = catalogue.curation
    ...     city = {"id": "gent", "name": {"en": "Ghent"}, "country": "BE"}
    ...     saved = desk.create("city", city, ilze)
    ...     saved = desk.submit("city", "gent", ilze, expected=saved.revision)
    ...     print(desk.publish("city", "gent", anna, expected=saved.revision).state)
    ...     catalogue.get("city", "gent")["name"]
    published
    {'en': 'Ghent'}
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._ledger = catalogue.ledger
        self.rights = Rights(catalogue.ledger, catalogue._not_found)
        """Who may do what; a small team sets `rights.second_person` to False."""

    @cached_property
    def discussion(self) -> Discussion:
        """Comments, requests to review, and what waits for whom."""
        return Discussion(self._ledger, self.rights, self._catalogue._read)

    @cached_property
    def history(self) -> History:
        """Revisions of records and what changed between them."""
        return History(self._ledger, self.rights, self.version, self._catalogue._read)

    # Seeing

    def read(self, kind: str, id: str, actor: Actor, version: str | int = "published") -> tuple[Record, Revision]:
        """A record as it reads in one version, and the revision that says so.

        `version` is "published", "newest", or the number of one of its revisions. Readers from outside see what
        is, or was, published for everybody; who may work on a record sees all of it.

        Raises NotFound for what is not there or not for this actor to know of, Gone for a withdrawn or merged record.
        """
        kind = declaration().kind(kind).name
        check_id(kind, id)
        revision = self.version(kind, id, actor, version)
        record = self._catalogue._with_state(self._catalogue._read(revision), revision)
        head = self._ledger.head(kind, id)
        if head is not None and self.rights.may_see(actor, head):
            record["record"] |= dict(zip(STANDING, (head.number, head.state, head.published), strict=True))
        return record, revision

    def version(self, kind: str, id: str, actor: Actor, version: str | int) -> Revision:
        """The revision that `read` would read, for callers who need the record as RDF."""
        head = self._ledger.head(kind, id)
        if head is None:
            raise self._catalogue._not_found(kind, id)
        insider = self.rights.may_see(actor, head)
        if version == "newest" and insider:
            return self._with_content(self._ledger.revision(head.number))
        if isinstance(version, int):
            found = next((one for one in self._ledger.history(kind, id) if one.number == version), None)
            if not (insider or head.published_visibility == "public" or self._catalogue._was_public(kind, id)):
                raise self._catalogue._not_found(kind, id)
            if found is None or not (insider or was_for_all(found)):
                raise _no_revision(kind, id, version)
            if not insider and head.published_visibility != "public":
                raise tombstone(head)
            return self._with_content(found)
        published = self._ledger.published(kind, id)
        if published is not None and (published.visibility == "public" or insider):
            return published
        if head.state in GONE and (insider or self._catalogue._was_public(kind, id)):
            raise tombstone(head, insider=insider)
        if insider:
            raise NotFound(
                {
                    "en": f"{kind} {quoted(id)} is not published yet: it is {head.state}; ask for ?version=newest",
                    "fr": f"la fiche {in_french(kind)} {quoted(id)} n’est pas encore publiée (état « {head.state} ») : demandez ?version=newest",
                }
            )
        raise self._catalogue._not_found(kind, id)

    @staticmethod
    def _with_content(revision: Revision) -> Revision:
        if revision.payload is None:
            reason = {
                "en": f"the content of revision {revision.number} was erased by law",
                "fr": f"le contenu de la révision {revision.number} a été effacé selon la loi",
            }
            raise Gone(revision.kind, revision.id, reason)
        return revision

    def list_records(
        self,
        kind: str,
        actor: Actor,
        *,
        state: str | None = None,
        language: str = "en",
        limit: int = 50,
        cursor: str | None = None,
    ) -> dict[str, Any]:
        """Records of a kind whose newest revision is in `state` (any when None), for those who work on them.

        Contributors get their own, and what is published for everybody. The answer has the form of
        `Catalogue.list_records`, each entry with state and revision; `total` is only for those who see all.
        """
        self.rights.require_account(actor)
        kind = declaration().kind(kind).name
        if not 1 <= limit <= 200:
            raise BadRequest(
                {
                    "en": f"limit: give a number from 1 to 200, not {limit}",
                    "fr": f"limit : donnez un nombre de 1 à 200, non {limit}",
                }
            )
        page: list[Head] = []
        while len(page) <= limit:
            heads = self._ledger.list(kind, state=state, after_id=cursor, limit=200)
            page += [head for head in heads if self.rights.may_see(actor, head) or _is_for_all(head)]
            if len(heads) < 200:
                break
            cursor = heads[-1].id
        shown = page[:limit]
        labels = self._catalogue.labels(kind, [head.id for head in shown if head.published], language)
        return {
            "results": [
                {
                    "id": head.id,
                    "iri": thing_iri(self._catalogue.base, kind, head.id),
                    "label": labels.get(head.id, head.title or head.id),
                    "state": head.state,
                    "visibility": head.visibility,
                    "revision": head.number,
                    "published": head.published,
                    "modified": _shown_time(head.modified),
                }
                for head in shown
            ],
            "total": self._ledger.count(kind, state=state) if self.rights.sees_all(actor) else None,
            "next": shown[-1].id if len(page) > limit else None,
        }

    # Writing

    def create(
        self,
        kind: str,
        record: Mapping[str, Any],
        actor: Actor,
        *,
        note: str = "",
        publish: bool = False,
        language: str = "en",
    ) -> Saved:
        """Save a new record as a draft, or published where asked and allowed.

        Without `id` one is made from its city and title. Raises DuplicateRecord where the identifier is taken,
        InvalidRecord with every rule that is broken, NotAuthenticated or NotAllowed.
        """
        found = declaration().kind(kind)
        self.rights.require_account(actor)
        wanted = {"kind": found.name, **record}
        _refuse_other_kind(found, wanted)
        if wanted.get("id") is None:
            wanted["id"] = self._free_id(found, wanted)
        elif misnamed := _misnamed(found, wanted["id"], language):
            self.rights.require_write(actor, found, None)
            unnamed = completed({**_without_said(wanted), "id": _to_come(found)})
            problems = self._problems(found, unnamed, self._ledger, language, misnamed)[1]
            raise InvalidRecord(found.name, str(wanted["id"]), refusing(problems, publish=publish))
        with self._ledger.write() as transaction:
            saved = self._write(transaction, found, wanted, actor, 0, note, publish, language)
        return self._done(saved)

    def replace(
        self,
        kind: str,
        id: str,
        record: Mapping[str, Any],
        actor: Actor,
        *,
        expected: int,
        note: str = "",
        publish: bool = False,
        language: str = "en",
    ) -> Saved:
        """Save another wording of a whole record; what is not in it is gone from the record.

        `expected` is the revision it was written on. Raises StaleRecord, with the three-way difference and a
        proposal where the changes do not touch, when the record has moved on, besides what `create` raises.
        """
        found = declaration().kind(kind)
        said = (record.get("kind", found.name), record.get("id", id))
        if said != (found.name, id):
            raise BadRequest(
                {
                    "en": f"the body is {said[0]} {quoted(said[1])}, the address {found.name} {quoted(id)}: one of them",
                    "fr": f"le corps désigne {said[0]} {quoted(said[1])}, l’adresse {found.name} {quoted(id)} : l’un des deux",
                }
            )
        wanted = {"kind": found.name, "id": id, **_without_said(record)}
        with self._ledger.write() as transaction:
            self._require_current(transaction, found, id, actor, expected, lambda base: wanted, language)
            saved = self._write(transaction, found, wanted, actor, expected, note, publish, language)
        return self._done(saved)

    def patch(
        self,
        kind: str,
        id: str,
        patch: Mapping[str, Any],
        actor: Actor,
        *,
        expected: int,
        note: str = "",
        publish: bool = False,
        language: str = "en",
    ) -> Saved:
        """Change single fields of a record (`kg.changes.merge_patch` says how); else as `replace`.

        What cannot be patched is told together with what is wrong with the rest.
        """
        found = declaration().kind(kind)

        def change(record: Record) -> Record:
            merged, told = patched(record, patch, taken=self._inner_ids(found.name, id), language=language)
            if told:
                wanted = completed(_without_said(merged))
                problems = self._problems(found, wanted, self._ledger, language, told)[1]
                raise InvalidRecord(found.name, id, refusing(problems, publish=publish))
            return merged

        return self._changed(found, id, change, actor, expected, note, publish, language)

    def extend(
        self,
        kind: str,
        id: str,
        record: Mapping[str, Any],
        actor: Actor,
        *,
        expected: int,
        note: str = "",
        publish: bool = False,
        language: str = "en",
    ) -> Saved:
        """Add what another record says to this one, statement by statement: the merger of two RDF graphs.

        A second value for what takes one is refused, as the shapes refuse it; else as `replace`.
        """
        found = declaration().kind(kind)
        added = to_graph({"kind": found.name, "id": id, **_without_said(record)}, self._catalogue.base)

        def extended(now: Record) -> Record:
            return from_graph(to_graph(now, self._catalogue.base) + added, self._catalogue.base)

        return self._changed(found, id, extended, actor, expected, note, publish, language)

    def _changed(
        self,
        kind: Kind,
        id: str,
        change: Callable[[Record], Record],
        actor: Actor,
        expected: int,
        note: str,
        publish: bool,
        language: str,
    ) -> Saved:
        """Save what a change makes of the newest wording."""
        with self._ledger.write() as transaction:
            head = self._require_current(transaction, kind, id, actor, expected, change, language)
            now = self._catalogue._read(self._with_content(transaction.revision(head.number)))
            saved = self._write(transaction, kind, change(now), actor, expected, note, publish, language)
        return self._done(saved)

    def check(self, kind: str, record: Mapping[str, Any], *, language: str = "en") -> list[Problem]:
        """Every problem the record has, the gravest first, without saving it; empty where it could be published."""
        found = declaration().kind(kind)
        wanted = {"kind": found.name, **_without_said(record)}
        _refuse_other_kind(found, wanted)
        misnamed = _misnamed(found, wanted["id"], language) if wanted.get("id") else []
        wanted["id"] = _to_come(found) if misnamed or not wanted.get("id") else wanted["id"]
        return self._problems(found, completed(wanted), self._ledger, language, misnamed)[1]

    def _problems(
        self,
        kind: Kind,
        record: Mapping[str, Any],
        reading: Ledger | Transaction,
        language: str,
        found: Sequence[Problem] = (),
    ) -> tuple[Graph | None, list[Problem]]:
        """The record's graph, None where its form is wrong, and every problem, the gravest first.

        Where a field's form is wrong the others are checked all the same, so that all can be mended in one go.
        `found` are problems of form that were met on the way to the record.
        """
        base = self._catalogue.base
        graph, checked, form = readable_graph(record, base, language=language)
        known = self._known(references(checked, base), reading.referenced)
        id = str(record["id"])
        meant = self._cycle_problems(kind, id, record, reading, language)
        meant += self._catalogue._validation.problems(checked, kind, id, base, known, language=language)
        if record.get("deprecated") is True and "replaced_by" in kind.by_key and not record.get("replaced_by"):
            said = {
                "en": "Name the one that takes its place, so that records find it.",
                "fr": "Nommez ce qui le remplace, pour que les fiches le trouvent.",
            }
            meant.append(Problem("replaced_by", in_language(said, language), "warning"))
        return graph, with_meant_problems([*found, *form], meant)

    def _write(
        self,
        transaction: Transaction,
        kind: Kind,
        record: Mapping[str, Any],
        actor: Actor,
        expected: int | None,
        note: str,
        publish: bool,
        language: str,
        *,
        state: str | None = None,
        reviewed: bool = False,
    ) -> Saved:
        """Check one wording of a record and append it.

        `state` is for steps that keep it; without, the record becomes a draft, or published. A draft whose wording
        becomes that of the published version is given up. What says the same already stays in the state it is in, and what a keeper mends in review stays in review, unless the draft is
        the keeper's own. `reviewed` says that a second person has seen every word of it already.
        """
        id = check_id(kind.name, record.get("id"))
        head = transaction.head(kind.name, id)
        if head is not None and expected == 0:
            raise DuplicateRecord(
                {
                    "en": f"{kind.name} {quoted(id)} is there already (revision {head.number}): change it, or choose "
                    "another identifier",
                    "fr": f"{in_french(kind.name)} {quoted(id)} existe déjà (révision {head.number}) : modifiez la fiche, ou prenez "
                    "un autre identifiant",
                }
            )
        self.rights.require_write(actor, kind, head)
        _refuse_long("note", note, NOTE_LIMIT)
        wanted_state = state or ("published" if publish else self._saved_state(actor, head))
        if wanted_state == "published":
            self.rights.require_publish(actor, kind, None if reviewed else actor.name)
        record = completed(_without_said(record))
        graph, problems = self._problems(kind, record, transaction, language)
        refused = refusing(problems, publish=wanted_state == "published")
        if refused or graph is None:
            raise InvalidRecord(kind.name, id, refused)
        missing = tuple(one for one in problems if one.severity == "warning")
        payload = to_ntriples(graph)
        visibility = self._visibility(actor, kind, record, head)
        if wanted_state == "published" and head is not None and head.published_visibility == "public" != visibility:
            self._refuse_public_links(transaction, kind, id)
        if head is not None and head.published is not None and head.state in OPEN and not (state or publish):
            published = transaction.revision(head.published)
            given_up = self._given_up(transaction, head, published, payload, visibility, actor, note)
            if given_up is not None:
                return given_up
        kept = (wanted_state, "published", *(() if state or publish else OPEN))
        same = head is not None and head.state in kept and head.visibility == visibility
        if head is not None and same and transaction.revision(head.number).payload == payload:
            return Saved(kind.name, id, head.number, head.state, visibility, missing, changed=False)
        revision = transaction.append(
            Change(
                kind.name,
                id,
                wanted_state,
                visibility,
                payload,
                author=actor.author,
                note=note,
                title=_title(record),
                expected=expected,
            )
        )
        return Saved(kind.name, id, revision.number, wanted_state, visibility, missing)

    def _saved_state(self, actor: Actor, head: Head | None) -> str:
        """The state of another wording: in review it is a keeper's to mend, who then does not publish it."""
        if head is not None and head.state == "submitted" and self.rights.owner(head.kind, head.id) != actor.name:
            return "submitted"
        return "draft"

    def _refuse_public_links(self, transaction: Transaction, kind: Kind, id: str) -> None:
        """What everybody reads must not lead to what is no longer for everybody."""
        others = [key for key in self._referring(transaction, kind.name, id) if key != (kind.name, id)]
        heads = transaction.referenced(others)
        public = [key for key, head in heads.items() if "public" in (head.visibility, head.published_visibility)]
        if public:
            raise StillReferenced(kind.name, id, public)

    def _require_current(
        self,
        transaction: Transaction,
        kind: Kind,
        id: str,
        actor: Actor,
        expected: int,
        yours: Callable[[Record], Record],
        language: str,
    ) -> Head:
        """The record's head, if it is what the caller has read; otherwise StaleRecord, which says how to go on."""
        self.rights.require_account(actor)
        check_id(kind.name, id)
        head = transaction.head(kind.name, id)
        if head is None or not (self.rights.may_see(actor, head) or head.published_visibility == "public"):
            raise self._catalogue._not_found(kind.name, id)
        self.rights.require_write(actor, kind, head)
        if head.number == expected:
            return head
        message = {
            "en": f"{kind.name} {quoted(id)} is at revision {head.number} now, not {expected}: "
            "read it again and repeat the change on it",
            "fr": f"{in_french(kind.name)} {quoted(id)} en est à la révision {head.number}, non {expected} : "
            "relisez la fiche et refaites-y la modification",
        }
        raise StaleRecord(message, head.number, self._difference_of(kind, id, actor, expected, head, yours, language))

    def _difference_of(
        self,
        kind: Kind,
        id: str,
        actor: Actor,
        expected: int,
        head: Head,
        yours: Callable[[Record], Record],
        language: str,
    ) -> dict[str, Any] | None:
        """What both sides changed since `expected`, where the caller may see both and such a revision exists."""
        if not self.rights.may_see(actor, head):
            return None
        history = {one.number: one for one in self._ledger.history(kind.name, id)}
        base, theirs = history.get(expected), history.get(head.number)
        if base is None or theirs is None or base.payload is None or theirs.payload is None:
            return None
        before = self._catalogue._read(base)
        found = three_way(before, self._catalogue._read(theirs), yours(before), language)
        return told_three_way(found, language)

    def _inner_ids(self, kind: str, id: str) -> set[str]:
        """Every identifier an inner node of this record ever had, so that none is used for another one."""
        start = f"{thing_iri(self._catalogue.base, kind, id)}#"
        return {
            rest.partition(">")[0]
            for one in self._ledger.history(kind, id)
            for rest in (one.payload or "").split(f"<{start}")[1:]
        }

    def _free_id(self, kind: Kind, record: Mapping[str, Any]) -> str:
        """An identifier made of the record's city and title that no record has yet."""
        texts = {key: value for key, value in record.items() if _is_text(value)}
        title = _title({**texts, "kind": kind.name, "id": ""})
        city = record.get("city") if kind.name == "practice" else None
        place = slugify(city.rpartition("/")[2], max_length=60) if isinstance(city, str) else ""
        stem = slugify(title, max_length=80, word_boundary=True) or kind.name
        first = check_id(kind.name, (f"{place}--{stem}" if place else stem)[:110].rstrip("-"))
        numbered = (f"{first}-{number}" for number in range(2, 1_000))
        free = next((id for id in (first, *numbered) if self._ledger.head(kind.name, id) is None), None)
        if free is None:
            raise DuplicateRecord(
                {
                    "en": f"a thousand records are called like {quoted(first)}: give this one another title",
                    "fr": f"mille fiches portent un nom comme {quoted(first)} : donnez un autre titre à celle-ci",
                }
            )
        return free

    def _known(self, keys: Iterable[Key], look_up: Callable[[Iterable[Key]], Mapping[Key, Head]]) -> dict[Key, Any]:
        keys = set(keys)
        heads = look_up(keys)
        return {key: self._catalogue._referenced(key, set(), heads, "draft") for key in keys}

    def _visibility(self, actor: Actor, kind: Kind, record: Mapping[str, Any], head: Head | None) -> str:
        """Who will see the record: as it says itself, else as before, else its kind's default."""
        said = (record.get("record") or {}).get("visibility")
        usual = head.visibility if head else kind.visibility
        if said is None or said == usual:
            return usual
        if said not in VISIBILITIES:
            raise BadRequest(
                {
                    "en": f"record.visibility: {quoted(said)} is none of {', '.join(VISIBILITIES)}",
                    "fr": f"record.visibility : {quoted(said)} n’est aucune de ces valeurs : {', '.join(VISIBILITIES)}",
                }
            )
        require_visibility(actor, kind)
        return said

    def _cycle_problems(
        self, kind: Kind, id: str, record: Mapping[str, Any], reader: Ledger | Transaction, language: str
    ) -> list[Problem]:
        """A theme must not lie below itself."""
        field = broader_field(kind)
        if field is None:
            return []

        def above(one: str) -> str | None:
            said: Mapping[str, Any] = record
            if one != id:
                head = reader.head(kind.name, one)
                number = None if head is None else head.published or head.number
                revision = None if number is None else reader.revision(number)
                said = {} if revision is None or not revision.payload else self._catalogue._read(revision)
            found = said.get(field.key)
            return found.rpartition("/")[2] if isinstance(found, str) and found else None

        return below_itself(id, field, above, language)

    # Steps

    def submit(self, kind: str, id: str, actor: Actor, *, expected: int, note: str = "", language: str = "en") -> Saved:
        """Hand a draft over for review. Raises WrongState for a record that is no draft."""
        only, what = ("draft", "returned"), "submitted for review"
        return self._step(kind, id, actor, expected, note, "submitted", only, what, language)

    def give_back(self, kind: str, id: str, actor: Actor, *, expected: int, note: str, language: str = "en") -> Saved:
        """Return a submitted record to its author; the note says what is to be mended.

        Raises BadRequest without a note, WrongState for a record that is not submitted.
        """
        if not note.strip():
            raise BadRequest(
                {
                    "en": "note: say what is to be mended, so that the author can go on",
                    "fr": "note : dites ce qui est à corriger, pour que l’auteur puisse continuer",
                }
            )
        self.rights.require_keeper(actor, declaration().kind(kind), "return")
        only, what = ("submitted",), "returned to its author"
        return self._step(kind, id, actor, expected, note, "returned", only, what, language)

    def publish(
        self, kind: str, id: str, actor: Actor, *, expected: int, note: str = "", language: str = "en"
    ) -> Saved:
        """Make the newest wording of a record what readers see.

        Raises InvalidRecord with every rule it still breaks, NotAllowed for who may not publish it, WrongState
        where nothing is waiting for publication.
        """
        found = declaration().kind(kind)
        with self._ledger.write() as transaction:
            head = self._at(transaction, found, id, actor, expected)
            _require_state(head, OPEN, "published")
            self.rights.require_publish(actor, found, self.rights.last_writer(found.name, id))
            record = self._catalogue._read(self._with_content(transaction.revision(head.number)))
            saved = self._write(
                transaction, found, record, actor, expected, note, True, language, state="published", reviewed=True
            )
        return self._done(saved)

    def withdraw(
        self, kind: str, id: str, actor: Actor, *, expected: int, reason: str, replaced_by: str | None = None
    ) -> Saved:
        """Take a record out of sight and leave a tombstone with the reason.

        Records that refer to it are changed to refer to `replaced_by`; without one, StillReferenced lists them and
        nothing is written. A theme is never withdrawn but deprecated: WrongState says so.
        """
        found = declaration().kind(kind)
        if not reason.strip():
            raise BadRequest(
                {
                    "en": "reason: say why the record is withdrawn; readers of its address will see it",
                    "fr": "reason : dites pourquoi la fiche est retirée ; qui en lit l’adresse le verra",
                }
            )
        _refuse_long("reason", reason, NOTE_LIMIT)
        _refuse_kept(found)
        with self._ledger.write() as transaction:
            head = self._at(transaction, found, id, actor, expected)
            if head.published is not None or head.state == "submitted":
                self.rights.require_keeper(actor, found, "withdraw")
            _require_state(head, (*OPEN, "published"), "withdrawn")
            if replaced_by is not None:
                self._replacement(transaction, found, id, replaced_by)
            self._redirect_references(transaction, found, id, replaced_by, actor)
            saved = self._end(transaction, head, "withdrawn", actor, reason, replaced_by)
        return self._done(saved)

    def merge(
        self,
        kind: str,
        id: str,
        into: str,
        actor: Actor,
        *,
        expected: int,
        expected_into: int | None = None,
        note: str = "",
        language: str = "en",
    ) -> tuple[Saved, list[Decision]]:
        """Unite record `id` with record `into`, which stays; the address of `id` leads there from now on.

        No claim, source or text is lost, and what referred to `id` refers to `into`. Both must be in the same
        state, published or draft, without an open draft beside: WrongState otherwise. Returns the record that
        stays and the decisions taken (`kg.changes.merge_records`), such as values that differed.
        """
        found = declaration().kind(kind)
        _refuse_kept(found)
        if id == into:
            raise BadRequest(
                {
                    "en": f"into: {quoted(into)} is the record itself; name the one that stays",
                    "fr": f"into : {quoted(into)} est la fiche elle-même ; nommez celle qui reste",
                }
            )
        self.rights.require_keeper(actor, found, "merge")
        with self._ledger.write() as transaction:
            head = self._at(transaction, found, id, actor, expected)
            kept = self._at(transaction, found, into, actor, expected_into)
            for one in (head, kept):
                _require_state(one, ("draft", "published"), "merged")
                if one.state == "draft" and one.published is not None:
                    raise WrongState(
                        {
                            "en": f"{found.name} {quoted(one.id)} has a draft beside its published version: finish it first",
                            "fr": f"{in_french(found.name)} {quoted(one.id)} a un brouillon à côté de sa version publiée : terminez-le "
                            "d’abord",
                        }
                    )
            if head.state != kept.state:
                raise WrongState(
                    {
                        "en": f"{quoted(head.id)} is {head.state} and {quoted(kept.id)} {kept.state}: publish both first",
                        "fr": f"{quoted(head.id)} est à l’état « {head.state} » et {quoted(kept.id)} à l’état "
                        f"« {kept.state} » : publiez d’abord les deux",
                    }
                )
            if head.visibility != kept.visibility:  # nobody may come to see words that were not for them
                raise WrongState(
                    {
                        "en": f"{quoted(head.id)} is for the {head.visibility} and {quoted(kept.id)} for the "
                        f"{kept.visibility}: give both the same visibility first",
                        "fr": f"{quoted(head.id)} a la visibilité « {head.visibility} » et {quoted(kept.id)} la visibilité "
                        f"« {kept.visibility} » : donnez d’abord la même aux deux",
                    }
                )
            other, stays = (
                self._catalogue._read(self._with_content(transaction.revision(one.number))) for one in (head, kept)
            )
            merged, decisions = merge_records(stays, other, language, taken=self._inner_ids(found.name, into))
            said, why = note or f"merged with {id}", note or f"merged into {into}"
            saved = self._write(
                transaction, found, merged, actor, kept.number, said, False, language, state=kept.state, reviewed=True
            )
            self._redirect_references(transaction, found, id, into, actor, skip={(found.name, into)})
            self._end(transaction, head, "merged", actor, why, into)
        self._catalogue.committed()  # also where the record that stays said all of it already
        return saved, decisions

    def undo(
        self,
        kind: str,
        id: str,
        number: int,
        actor: Actor,
        *,
        expected: int,
        note: str = "",
        publish: bool = False,
        language: str = "en",
    ) -> Saved:
        """Take back what one revision did, by a new revision; what came after it stays.

        A step without another wording (submitted, returned, published, withdrawn) is taken back as a step, if it is
        the newest one: readers see what they saw before, which after a first publication is nothing, and a draft stands
        where it stood. A change of wording becomes a draft with the change reversed, or is published where asked and
        allowed.

        Raises NotFound for a revision the record does not have, StaleRecord with the differences where later
        changes touch the same fields, BadRequest for its first revision: withdraw it instead.
        """
        found = declaration().kind(kind)
        with self._ledger.write() as transaction:
            head = self._at(transaction, found, id, actor, expected)
            history = {one.number: one for one in transaction.history(found.name, id)}
            if number not in history:
                raise _no_revision(found.name, id, number)
            done = history[number]
            if done.parent is None:
                raise BadRequest(
                    {
                        "en": f"revision {number} is the first of {found.name} {quoted(id)}: withdraw the record instead",
                        "fr": f"la révision {number} est la première de {in_french(found.name)} {quoted(id)} : retirez plutôt la fiche",
                    }
                )
            before = history[done.parent]
            said = note or f"revision {number} taken back"
            if before.payload == done.payload and before.visibility == done.visibility:
                earlier = _published_at(history.values(), before.number)
                saved = self._step_back(transaction, found, head, done, before, earlier, actor, said, language)
            else:
                record = self._reversed(done, before, history[head.number], language)
                if done.visibility == head.visibility != before.visibility:
                    record["record"] = {**record.get("record", {}), "visibility": before.visibility}
                saved = self._discarded(
                    transaction, found, head, record, _published_at(history.values(), head.number), actor, said
                ) or self._write(transaction, found, record, actor, expected, said, publish, language)
        return self._done(saved)

    def _discarded(
        self,
        transaction: Transaction,
        kind: Kind,
        head: Head,
        record: Record,
        published: Revision | None,
        actor: Actor,
        note: str,
    ) -> Saved | None:
        """A draft given up, where what is left of it says what readers see already; otherwise None.

        No second person is asked: nothing changes for readers.
        """
        if published is None or head.state not in OPEN:
            return None
        visibility = self._visibility(actor, kind, record, head)
        payload = to_ntriples(to_graph(completed(_without_said(record)), self._catalogue.base))
        return self._given_up(transaction, head, published, payload, visibility, actor, note)

    def _given_up(
        self,
        transaction: Transaction,
        head: Head,
        published: Revision,
        payload: str,
        visibility: str,
        actor: Actor,
        note: str,
    ) -> Saved | None:
        """The draft given up, where the wording that is to be saved is the published one; otherwise None."""
        if (payload, visibility) != (published.payload, published.visibility):
            return None
        revision = transaction.append(
            Change(
                head.kind,
                head.id,
                "published",
                visibility,
                payload,
                author=actor.author,
                note=note,
                title=published.title,
                expected=head.number,
            )
        )
        return Saved(head.kind, head.id, revision.number, "published", visibility)

    def _step_back(
        self,
        transaction: Transaction,
        kind: Kind,
        head: Head,
        done: Revision,
        before: Revision,
        earlier: Revision | None,
        actor: Actor,
        note: str,
        language: str,
    ) -> Saved:
        """The newest step, which changed no word, undone: the record stands where it stood before.

        `earlier` is what readers saw before that step.
        """
        if done.number != head.number:
            raise WrongState(
                {
                    "en": f"revision {done.number} changed no word and is not the newest: take the steps back in order",
                    "fr": f"la révision {done.number} n’a changé aucun mot et n’est pas la dernière : annulez les étapes "
                    "dans l’ordre",
                }
            )
        if {before.state, done.state} & {"published", *GONE}:
            self.rights.require_keeper(actor, kind, "undo")
        if head.published is not None and earlier is None:  # readers saw nothing before: so it is withdrawn again
            _refuse_kept(kind)
            self._redirect_references(transaction, kind, head.id, None, actor)
            if before.state not in GONE:
                self._end(transaction, head, "withdrawn", actor, note, None)
        if before.state in GONE:
            return self._end(transaction, head, before.state, actor, before.reason or note, before.replaced_by)
        again = [earlier] if earlier is not None and done.state in ("published", *GONE) else []
        for one in dict.fromkeys([*again, before]):
            record = self._catalogue._read(self._with_content(one))
            record["record"] = {**record.get("record", {}), "visibility": one.visibility}
            saved = self._write(
                transaction, kind, record, actor, None, note, False, language, state=one.state, reviewed=True
            )
        return saved

    def _reversed(self, done: Revision, before: Revision, newest: Revision, language: str) -> Record:
        """The newest wording without what one revision changed."""
        was, became, now = (self._catalogue._read(self._with_content(one)) for one in (before, done, newest))
        found = three_way(became, now, was, language)
        if found.merged is None:
            raise StaleRecord(
                {
                    "en": f"later revisions changed what revision {done.number} had changed: "
                    f"{', '.join(found.collisions[:5])}; change these fields by hand",
                    "fr": f"des révisions ultérieures ont modifié ce que la révision {done.number} avait modifié : "
                    f"{', '.join(found.collisions[:5])} ; modifiez ces champs à la main",
                },
                newest.number,
                told_three_way(found, language),
            )
        return found.merged

    def _step(
        self,
        kind: str,
        id: str,
        actor: Actor,
        expected: int,
        note: str,
        state: str,
        only: Sequence[str],
        what: str,
        language: str,
    ) -> Saved:
        """A step that changes the state and no word; what is still missing is told in a language."""
        found = declaration().kind(kind)
        _refuse_long("note", note, NOTE_LIMIT)
        with self._ledger.write() as transaction:
            head = self._at(transaction, found, id, actor, expected)
            self.rights.require_write(actor, found, head) if state == "submitted" else None
            _require_state(head, only, what)
            saved = self._end(transaction, head, state, actor, note, None)
            record = self._catalogue._read(self._with_content(transaction.revision(saved.revision)))
            problems = self._problems(found, record, transaction, language)[1]
        missing = tuple(one for one in problems if one.severity == "warning")
        return self._done(replace(saved, missing=missing))

    def _end(
        self, transaction: Transaction, head: Head, state: str, actor: Actor, why: str, replaced_by: str | None
    ) -> Saved:
        """Append a revision with the newest wording in another state."""
        before = self._with_content(transaction.revision(head.number))
        gone = state in GONE
        revision = transaction.append(
            Change(
                head.kind,
                head.id,
                state,
                head.visibility,
                before.payload or "",
                author=actor.author,
                note="" if gone else why,
                reason=why if gone else "",
                title=head.title,
                expected=head.number,
                replaced_by=replaced_by,
            )
        )
        return Saved(head.kind, head.id, revision.number, state, head.visibility)

    def _at(self, transaction: Transaction, kind: Kind, id: str, actor: Actor, expected: int | None) -> Head:
        """The head of a record for a step on it, if it is the revision the actor has read."""
        self.rights.require_account(actor)
        check_id(kind.name, id)
        head = transaction.head(kind.name, id)
        if head is None or not (self.rights.may_see(actor, head) or head.published_visibility == "public"):
            raise self._catalogue._not_found(kind.name, id)
        self.rights.require_write(actor, kind, head)
        if expected is not None and head.number != expected:
            raise StaleRecord(
                {
                    "en": f"{kind.name} {quoted(id)} is at revision {head.number} now, not {expected}: look at it again",
                    "fr": f"{in_french(kind.name)} {quoted(id)} en est à la révision {head.number}, non {expected} : relisez la fiche",
                },
                head.number,
            )
        return head

    def _replacement(self, transaction: Transaction, kind: Kind, id: str, replaced_by: str) -> None:
        head = transaction.head(kind.name, check_id(kind.name, replaced_by))
        if replaced_by == id or head is None or head.published is None:
            raise BadRequest(
                {
                    "en": f"replaced_by: {quoted(replaced_by)} is no other published {kind.name}",
                    "fr": f"replaced_by : {quoted(replaced_by)} n’est pas une autre fiche « {in_french(kind.name)} » publiée",
                }
            )

    def _redirect_references(
        self,
        transaction: Transaction,
        kind: Kind,
        id: str,
        to: str | None,
        actor: Actor,
        skip: Iterable[Key] = (),
    ) -> None:
        """Let every record that refers to one refer to another, in the state it is in; refuse where there is none."""
        left = {(kind.name, id), *skip}
        referring = [key for key in self._referring(transaction, kind.name, id) if key not in left]
        if referring and to is None:
            raise StillReferenced(kind.name, id, referring)
        for key in referring:
            head = transaction.head(*key)
            assert head is not None
            assert to is not None
            self.rights.require_redirect(actor, head)
            numbers = dict.fromkeys(n for n in (head.published, head.number) if n is not None)
            for number in numbers:  # the published version first: a draft beside it stays the newest
                revision = transaction.revision(number)
                record = replace_reference(self._catalogue._read(self._with_content(revision)), kind.name, id, to)
                graph = to_graph(record, self._catalogue.base)
                if key == (kind.name, to):  # nothing is a part or a successor of itself
                    graph.remove((None, None, thing_iri(self._catalogue.base, *key)))
                payload = to_ntriples(graph)
                if payload == revision.payload:
                    continue
                transaction.append(
                    Change(
                        *key,
                        revision.state,
                        revision.visibility,
                        payload,
                        author=actor.author,
                        note=f"refers to {kind.name} {to} instead of {id}",
                        title=revision.title,
                    )
                )

    def _referring(self, transaction: Transaction, kind: str, id: str) -> Sequence[Key]:
        """Records that refer to one, in what readers see or in their newest wording, by kind and identifier."""
        return transaction.mentioning(thing_iri(self._catalogue.base, kind, id))

    def _done(self, saved: Saved) -> Saved:
        """After the commit: let the views follow."""
        if saved.changed:
            self._catalogue.committed()
        return saved


def _is_for_all(head: Head) -> bool:
    return head.state == "published" and head.visibility == "public"


def _to_come(kind: Kind) -> str:
    """An identifier for a record that has none yet, while it is checked."""
    return f"{kind.name}-to-come"


def _misnamed(kind: Kind, id: object, language: str) -> list[Problem]:
    """The problem of an identifier that cannot be one, to be told with all others; mostly none."""
    try:
        check_id(kind.name, id)
    except BadRequest as error:
        return [Problem("id", error.told(language), value=plain(id))]
    return []


def _no_revision(kind: str, id: str, number: int) -> NotFound:
    return NotFound(
        {
            "en": f"{kind} {quoted(id)} has no revision {number}; its history lists them",
            "fr": f"{in_french(kind)} {quoted(id)} n’a pas de révision {number} ; son historique les énumère",
        }
    )


def _require_state(head: Head, states: Sequence[str], what: str) -> None:
    if head.state not in states:
        raise WrongState(
            {
                "en": f"{head.kind} {quoted(head.id)} is {head.state} and cannot be {what}: only {' or '.join(states)} "
                "records can",
                "fr": f"{in_french(head.kind)} {quoted(head.id)} est à l’état « {head.state} » : cette étape demande l’état "
                f"{' ou '.join(f'« {one} »' for one in states)}",
            }
        )


def _published_at(history: Iterable[Revision], number: int) -> Revision | None:
    """The revision that readers saw when `number` was the newest one."""
    seen = None
    for one in history:
        if one.number <= number and one.state in ("published", *GONE):
            seen = one if one.state == "published" else None
    return seen


def _refuse_kept(kind: Kind) -> None:
    """Kinds whose records others build on for good are deprecated, never taken away."""
    if "deprecated" in kind.by_key:
        raise WrongState(
            {
                "en": f"a {kind.name} is never withdrawn or merged: set deprecated to true and name its replacement in "
                "replaced_by",
                "fr": f"une fiche « {in_french(kind.name)} » n’est jamais retirée ni fusionnée : mettez deprecated à true et nommez "
                "sa remplaçante dans replaced_by",
            }
        )


def _refuse_long(name: str, text: str, limit: int) -> None:
    if len(text) > limit:
        raise BadRequest(
            {
                "en": f"{name}: has {len(text)} characters, {limit} at most",
                "fr": f"{name} : compte {len(text)} caractères, {limit} au plus",
            }
        )


def _without_said(record: Mapping[str, Any]) -> Record:
    """A record without what only the service says of it, so that what was read can be sent back."""
    said = {key: value for key, value in record.items() if key != "iri"}
    if isinstance(about := said.get("record"), Mapping):
        said["record"] = {key: value for key, value in about.items() if key not in STANDING}
    return said


def _is_text(value: object) -> bool:
    """Whether a value has wordings by language; others are refused later, all at once."""
    return isinstance(value, Mapping) and all(isinstance(one, str) for pair in value.items() for one in pair)


def _refuse_other_kind(kind: Kind, record: Mapping[str, Any]) -> None:
    if record["kind"] != kind.name:
        raise BadRequest(
            {
                "en": f"kind: the record is a {quoted(record['kind'])}, the address that of a {kind.name}: one of them",
                "fr": f"kind : la fiche est de la sorte {quoted(record['kind'])}, l’adresse celle de {quoted(kind.name)} : l’une des deux",
            }
        )


def _title(record: Mapping[str, Any]) -> str:
    from kg.catalogue import title_of

    return title_of({key: _worded(value) if _is_text(value) else value for key, value in record.items()})


def _worded(texts: Mapping[str, str]) -> dict[str, str]:
    return {tag: words for tag, words in texts.items() if not is_blank(words)}


def _shown_time(time: datetime) -> str:
    return time.isoformat(timespec="seconds").replace("+00:00", "Z")
