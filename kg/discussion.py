"""What people say about records while they work on them: comments, who is asked to review, whom a record waits for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Column, Index, Integer, MetaData, String, Table, Text, delete, insert, select, update

from kg.accounts import Actor
from kg.changes import role_of
from kg.errors import BadRequest, NotAllowed, NotFound, StaleRecord, in_french, quoted
from kg.fields import declaration
from kg.ledger import Beside, Head, Key, Ledger, Revision
from kg.places import missing_place
from kg.records import Record, check_id
from kg.reviewers import account_named
from kg.rights import OPEN, Rights, keeps, name_of, require_scope

COMMENT_LIMIT = 5_000
"""Characters of a comment."""

FIELD_LIMIT = 200
"""Characters of the place that a comment is on."""

_tables = MetaData()
_comments = Table(
    "comments",
    _tables,
    Column("number", Integer, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("field", Text),
    Column("revision", Integer, nullable=False),
    Column("author", Text, nullable=False),
    Column("time", String(27), nullable=False),
    Column("text", Text, nullable=False),
    Column("resolved_by", Text),
    Column("resolved", String(27)),
    Index("comments_of_record", "kind", "id"),
)
_assignments = Table(
    "assignments",
    _tables,
    Column("kind", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("account", Text, primary_key=True),
    Column("by", Text, nullable=False),
    Column("time", String(27), nullable=False),
    Index("assignments_of_account", "account"),
)


@dataclass(frozen=True)
class Comment:
    """What somebody said about a record or about one of its fields (`field`, dotted), at one revision of it.

    `field_gone`: the place was there when it was spoken of, and the newest revision has it no more.
    """

    number: int
    kind: str
    id: str
    field: str | None
    revision: int
    author: str
    time: datetime
    text: str
    resolved_by: str | None
    resolved: datetime | None
    field_gone: bool = False


@dataclass(frozen=True)
class Waiting:
    """A record that is not finished, and whom it waits for.

    `for_accounts` names accounts where they are known: who was asked to review and may publish, or who is to go on writing.
    `for_role` is the role that may take the next step. `not_by` may not publish, because the newest wording is theirs.
    """

    kind: str
    id: str
    title: str
    state: str
    since: datetime
    revision: int
    for_accounts: tuple[str, ...]
    for_role: str
    not_by: str | None


class Discussion:
    """Comments, requests to review, and the list of what waits for whom; all of it for those who work on a record.

    >>> from tempfile import TemporaryDirectory
    >>> from pathlib import Path
    >>> from kg.catalogue import Catalogue
    >>> ilze, anna = Actor("ilze", "contributor"), Actor("anna", "curator")
    >>> with TemporaryDirectory() as tmp, Catalogue.create(Path(tmp) / "data") as catalogue:
    ...     desk = catalogue.curation
    ...     saved = desk.create("city", {"id": "gent", "name": {"en": "Ghent"}}, ilze)
    ...     said = desk.discussion.comment("city", "gent", "In which country?", anna, field="country")
    ...     waiting, _ = desk.discussion.waiting(ilze, mine=True)
    >>> said.number, said.author, [(one.id, one.for_accounts) for one in waiting]
    (1, 'curator/anna', [('gent', ('ilze',))])
    """

    def __init__(self, ledger: Ledger, rights: Rights, read: Callable[[Revision], Record]) -> None:
        self._ledger, self._rights, self._read = ledger, rights, read
        self._tables: Beside | None = None

    def comment(self, kind: str, id: str, text: str, actor: Actor, *, field: str | None = None) -> Comment:
        """Say something about a record, or about one field or part of it (dotted: "outcomes.claim-2.value").

        Raises BadRequest for an empty or overlong text and for a field or part that the newest revision does not have
        (`kg.places`), NotFound, NotAllowed.
        """
        self._rights.require_account(actor)
        require_scope(actor, "write")
        head = self._for_comments(kind, id, actor)
        if not text.strip():
            raise BadRequest(
                {
                    "en": "text: a comment has words",
                    "fr": "text : un commentaire a des mots",
                }
            )
        if len(text) > COMMENT_LIMIT:
            raise BadRequest(
                {
                    "en": f"text: has {len(text)} characters, {COMMENT_LIMIT} at most",
                    "fr": f"text : compte {len(text)} caractères, {COMMENT_LIMIT} au plus",
                }
            )
        _refuse_unstorable("text", text)
        if field is not None:
            _refuse_unstorable("field", field)
            if len(field) > FIELD_LIMIT:
                raise BadRequest(
                    {
                        "en": f"field: has {len(field)} characters, {FIELD_LIMIT} at most",
                        "fr": f"field : compte {len(field)} caractères, {FIELD_LIMIT} au plus",
                    }
                )
            missing = missing_place(self._newest(head), field)
            if missing is not None:
                raise BadRequest({"en": f"field: {missing['en']}", "fr": f"field : {missing['fr']}"})
        row = {
            "kind": head.kind,
            "id": head.id,
            "field": field,
            "revision": head.number,
            "author": actor.author,
            "time": _now(),
            "text": text,
        }
        with self._beside.writing() as connection:
            made = connection.execute(insert(_comments).values(**row).returning(_comments)).mappings().one()
        return _comment_of(made)

    def comments(self, kind: str, id: str, actor: Actor, *, resolved: bool | None = None) -> list[Comment]:
        """What was said about a record, oldest first; `resolved` keeps one sort. For those who work on it."""
        head = self._for_comments(kind, id, actor)
        wanted = select(_comments).where(_comments.c.kind == head.kind, _comments.c.id == head.id)
        if resolved is not None:
            wanted = wanted.where(_comments.c.resolved.is_not(None) if resolved else _comments.c.resolved.is_(None))
        with self._beside.reading() as connection:
            rows = connection.execute(wanted.order_by(_comments.c.number)).mappings().all()
        found = [_comment_of(row) for row in rows]
        places = {one.field for one in found if one.field is not None}
        record = self._newest(head) if places else {}
        gone = {place for place in places if missing_place(record, place) is not None}
        return [replace(one, field_gone=one.field in gone) for one in found]

    def _newest(self, head: Head) -> Record:
        """The record as its newest revision has it; without a single field where the content was erased by law."""
        revision = self._ledger.revision(head.number)
        return self._read(revision) if revision.payload is not None else {"kind": head.kind, "id": head.id}

    def resolve(self, kind: str, id: str, number: int, actor: Actor) -> Comment:
        """Mark a comment as dealt with; its author and the record's keepers may. Doing it twice changes nothing."""
        require_scope(actor, "write")
        comment = next((one for one in self.comments(kind, id, actor) if one.number == number), None)
        if comment is None:
            raise NotFound(
                {
                    "en": f"there is no comment {number} on {kind} {quoted(id)}",
                    "fr": f"il n’y a pas de commentaire {number} sur {in_french(kind)} {quoted(id)}",
                }
            )
        if name_of(comment.author) != actor.name and not keeps(actor, comment.kind):
            raise NotAllowed(
                {
                    "en": "a comment is resolved by whoever wrote it or by those who keep the record",
                    "fr": "un commentaire est clos par qui l’a écrit ou par qui tient la fiche",
                }
            )
        with self._beside.writing() as connection:
            connection.execute(
                update(_comments)
                .where(_comments.c.number == number, _comments.c.resolved.is_(None))
                .values(resolved_by=actor.author, resolved=_now())
            )
            row = connection.execute(select(_comments).where(_comments.c.number == number)).mappings().one()
        return replace(_comment_of(row), field_gone=comment.field_gone)

    def _for_comments(self, kind: str, id: str, actor: Actor) -> Head:
        head = self._rights.visible_head(kind, id, actor)
        if not self._rights.may_see(actor, head):
            self._rights.require_account(actor)
            raise NotAllowed(
                {
                    "en": f"what is said about {head.kind} {quoted(id)} is for those who work on it",
                    "fr": f"ce qui se dit de {in_french(head.kind)} {quoted(id)} est réservé à qui travaille sur la fiche",
                }
            )
        return head

    def assign(
        self, kind: str, id: str, accounts: Sequence[str], actor: Actor, *, expected: int | None = None
    ) -> tuple[str, ...]:
        """Ask these accounts to review a record, in place of those asked before; none takes the request back.

        Accounts are named as `waiting` names them; a role before the name ("curator/anna") is left out. Who is asked and
        not known here, or could not publish the record, is taken all the same: `kg.reviewers` has hints on that.

        Raises StaleRecord when the record is not at revision `expected` any more: what is to be reviewed is another wording.
        """
        head = self._for_comments(kind, id, actor)
        self._rights.require_keeper(actor, declaration().kind(head.kind), "assign")
        if expected is not None and expected != head.number:
            raise StaleRecord(
                {
                    "en": f"{head.kind} {quoted(id)} is at revision {head.number} now, not {expected}: look at it again",
                    "fr": f"{in_french(head.kind)} {quoted(id)} en est à la révision {head.number}, non {expected} : "
                    "relisez la fiche",
                },
                head.number,
            )
        names = tuple(dict.fromkeys(map(account_named, accounts)))
        if len(accounts) > 20 or not all(1 <= len(one) <= 60 for one in names):
            raise BadRequest(
                {
                    "en": "accounts: a list of at most 20 account names",
                    "fr": "accounts : une liste d’au plus 20 noms de compte",
                }
            )
        for one in names:
            _refuse_unstorable("accounts", one)
        with self._beside.writing() as connection:
            connection.execute(
                delete(_assignments).where(_assignments.c.kind == head.kind, _assignments.c.id == head.id)
            )
            for account in names:
                row = {"kind": head.kind, "id": head.id, "account": account, "by": actor.author, "time": _now()}
                connection.execute(insert(_assignments).values(**row))
        return self._assigned([(head.kind, head.id)]).get((head.kind, head.id), ())

    def _assigned(self, keys: Sequence[Key]) -> dict[Key, tuple[str, ...]]:
        """Who was asked to review each of some records."""
        found: dict[Key, tuple[str, ...]] = {}
        wanted = select(_assignments).where(_assignments.c.id.in_([id for _, id in keys]))
        with self._beside.reading() as connection:
            for row in connection.execute(wanted.order_by(_assignments.c.account)).mappings():
                key = (row["kind"], row["id"])
                found[key] = (*found.get(key, ()), row["account"])
        return found

    def waiting(
        self, actor: Actor, *, mine: bool = False, limit: int = 50, cursor: str | None = None
    ) -> tuple[list[Waiting], str | None]:
        """Records that are not finished, with whom each waits for, and the cursor of the next page.

        `mine` keeps those that wait for this actor: drafts and returned records of its own, and submitted ones it
        was asked to review or, where nobody was asked, may publish.
        """
        self._rights.require_account(actor)
        if not 1 <= limit <= 200:
            raise BadRequest(
                {
                    "en": f"limit: give a number from 1 to 200, not {limit}",
                    "fr": f"limit : donnez un nombre de 1 à 200, non {limit}",
                }
            )
        after: Key | None = None
        if cursor:
            kind, _, id = cursor.partition("/")
            after = (declaration().kind(kind).name, check_id(kind, id))
        found: list[Waiting] = []
        for head in self._unfinished(after):
            if not self._rights.may_see(actor, head):
                continue
            one = self._waits(head)
            if not mine or _waits_for(one, actor):
                found.append(one)
            if len(found) > limit:
                return found[:limit], f"{found[limit - 1].kind}/{found[limit - 1].id}"
        return found, None

    def _unfinished(self, after: Key | None) -> Iterator[Head]:
        """Heads in an open state, by kind and identifier, read a page at a time."""
        while page := self._ledger.in_states(OPEN, after=after, limit=200):
            yield from page
            after = (page[-1].kind, page[-1].id)

    def _waits(self, head: Head) -> Waiting:
        """Whom an unfinished record waits for."""
        history = self._ledger.history(head.kind, head.id)
        keeper = declaration().kind(head.kind).keeper
        owner = self._rights.owner(head.kind, head.id, history) or ""
        if head.state == "submitted":
            asked = self._assigned([(head.kind, head.id)]).get((head.kind, head.id), ())
            writer = self._rights.last_writer(head.kind, head.id) if self._rights.second_person else None
            accounts, role = tuple(one for one in asked if one != writer), keeper
        else:
            writing = next((one for one in reversed(history) if name_of(one.author) == owner), history[-1])
            accounts, role, writer = (owner,), role_of(writing.author), None
        return Waiting(head.kind, head.id, head.title, head.state, head.modified, head.number, accounts, role, writer)

    @property
    def _beside(self) -> Beside:
        if self._tables is None:
            self._tables = self._ledger.beside(_tables)
        return self._tables


def _waits_for(one: Waiting, actor: Actor) -> bool:
    if one.for_accounts:
        return actor.name in one.for_accounts
    return keeps(actor, one.kind) and one.not_by != actor.name


def _comment_of(row: Mapping[Any, Any]) -> Comment:
    times = {name: None if row[name] is None else datetime.fromisoformat(row[name]) for name in ("time", "resolved")}
    return Comment(**{**row, **times})


def _refuse_unstorable(name: str, text: str) -> None:
    if "\x00" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise BadRequest(
            {
                "en": f"{name}: has a character that cannot be stored (NUL or half of a pair); remove it",
                "fr": f"{name} : contient un caractère qui ne se conserve pas (NUL ou moitié de paire) ; retirez-le",
            }
        )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
