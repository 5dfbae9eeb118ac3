"""Who may do what: roles, the actor behind a change, and tokens, kept beside the ledger's chain.

A token's text is `mg_{id}_{secret}`: the identifier finds the row, the secret has 256 random bits and is shown once. The
database has its Argon2id hash, so that whoever reads the database or a backup of it can do nothing with what is there.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import unicodedata
from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from threading import Lock
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from sqlalchemy import Column, MetaData, Row, String, Table, Text, bindparam, delete, insert, select, update

from kg.errors import BadRequest, Busy, KgError, NotAuthenticated, NotFound, quoted
from kg.ledger import Ledger

if TYPE_CHECKING:
    from argon2 import PasswordHasher

ROLES = ("reader", "contributor", "curator", "manager", "administrator")
"""reader: what is public. contributor: drafts of their own. curator: all records, reviews, publishes. manager: the
same for what belongs to mentorships, and cohorts. administrator: everything, and the accounts."""

SCOPES = ("read", "write", "publish", "import")
"""What a token may be narrowed to. read: drafts, comments and history, as far as the role sees them. write: save, submit,
comment. publish: review, publish, withdraw, merge. import: files with many records."""

_ALL = frozenset(SCOPES)
ROLE_SCOPES = {
    "reader": frozenset(),
    "contributor": _ALL - {"publish"},
    "curator": _ALL,
    "manager": _ALL,
    "administrator": _ALL,
}
"""The most that a token of each role may do. What is public takes no scope."""

NAME_LIMIT = 60
ANONYMOUS = "anonymous"

REMEMBERED = 1000
REMEMBERED_SECONDS = 300.0
"""How many verified secrets are remembered, as SHA-256 and for how long, so that Argon2 is paid for once and not per request.

The token's row is still read each time: a revocation counts at once, whichever process made it.
"""

VERIFY_WAIT_SECONDS = 5.0
USE_NOTED_SECONDS = 60.0
"""The last use of a token is written at most this often."""

_TOKEN = re.compile(r"mg_([a-z2-7]{12})_([A-Za-z0-9_-]{43})", re.ASCII)
_ID_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"

_tables = MetaData()
_tokens = Table(
    "tokens",
    _tables,
    Column("id", String(12), primary_key=True),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Column("created", String(27), nullable=False),
    Column("created_by", Text, nullable=False),
    Column("expires", String(27)),
    Column("revoked", String(27)),
    Column("revoked_by", Text),
    Column("last_used", String(27)),
)
_ended_sessions = Table(
    "ended_sessions",
    _tables,
    Column("id", String(64), primary_key=True),
    Column("until", String(27), nullable=False),
)


def name_fault(name: str) -> str | None:
    """What is wrong with the name of an account, None when nothing is.

    It has 1 to NAME_LIMIT characters in Unicode's composed form, no slash, nothing invisible (control and formatting
    characters, line breaks), no space at its ends.

    >>> name_fault("Ilze Bērziņa"), name_fault("a/b")
    (None, "'a/b' cannot be the name of an account: it has a slash; the role stands before one")
    """
    reason = None
    if not name or len(name) > NAME_LIMIT:
        reason = f"it has {len(name)} characters; 1 to {NAME_LIMIT} are right"
    elif "/" in name:
        reason = "it has a slash; the role stands before one"
    elif any(unicodedata.category(each)[0] == "C" or unicodedata.category(each) in ("Zl", "Zp") for each in name):
        reason = "it has characters that cannot be seen; leave them out"
    elif name != name.strip():
        reason = "there is space at its beginning or end; leave it out"
    elif not unicodedata.is_normalized("NFC", name):
        reason = "it is not in Unicode's composed form (NFC)"
    return None if reason is None else f"{quoted(name)} cannot be the name of an account: {reason}"


@dataclass(frozen=True)
class Actor:
    """Who asks for something: the account's name, its role and, unless `scopes` is empty, what it is narrowed to.

    Raises ValueError for a role or scope that there is not, and for a name that breaks the rules of `name_fault`.

    >>> ilze = Actor("ilze", "curator", frozenset({"read", "write"}))
    >>> ilze.author, ilze.may("write"), ilze.may("publish"), Actor("ilze", "curator").may("publish")
    ('curator/ilze', True, False, True)
    >>> Actor("team/ilze", "curator")
    Traceback (most recent call last):
    ValueError: 'team/ilze' cannot be the name of an account: it has a slash; the role stands before one
    """

    name: str
    role: str
    scopes: frozenset[str] = field(default_factory=frozenset)

    def __post_init__(self) -> None:
        if fault := name_fault(self.name):
            raise ValueError(fault)
        if self.role not in ROLES:
            raise ValueError(f"{quoted(self.role)} is not a role: one of {', '.join(ROLES)}")
        if unknown := self.scopes - _ALL:
            raise ValueError(f"{quoted(min(unknown))} is not a scope: one of {', '.join(SCOPES)}")

    @property
    def author(self) -> str:
        """How the ledger names the actor: "role/name"."""
        return f"{self.role}/{self.name}"

    @property
    def allowed(self) -> frozenset[str]:
        """The scopes that are left: those of the role, narrowed by the actor's own.

        >>> sorted(Actor("ilze", "contributor", frozenset({"write", "publish"})).allowed), sorted(READER.allowed)
        (['write'], [])
        """
        return ROLE_SCOPES[self.role] & (self.scopes or _ALL)

    def may(self, scope: str) -> bool:
        """Whether role and scopes both allow this sort of thing at all; the records themselves may say more."""
        return scope in self.allowed


READER = Actor(ANONYMOUS, "reader")
"""Whoever shows nothing."""


@dataclass(frozen=True)
class Token:
    """What is known of a token; its secret is not. Times are UTC. No `scopes` means all that the role may do."""

    id: str
    name: str
    role: str
    scopes: frozenset[str]
    created: datetime
    created_by: str
    expires: datetime | None
    revoked: datetime | None
    revoked_by: str | None
    last_used: datetime | None

    def state(self, now: datetime) -> str:
        """ "valid", "expired" or "revoked"."""
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.expires is not None and self.expires <= now else "valid"


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Accounts:
    """Tokens of one deployment, in the database of its ledger. Several processes may use them at the same time.

    `now` is the clock, in UTC. Close it (or use it as a context manager) before the ledger: the last use of a token is
    written by a thread of its own, because no request should wait for a writer only to be counted.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as tmp, Ledger.create(f"sqlite:///{tmp}/ledger.db", "https://x.org/") as ledger:
    ...     with Accounts(ledger) as accounts:
    ...         text, token = accounts.create_token("ilze", "curator", scopes=["read", "write"], by="command line")
    ...         actor = accounts.actor_of(text)
    ...         accounts.revoke_token(token.id, by="command line").state(datetime.now(UTC))
    'revoked'
    >>> actor.author, sorted(actor.scopes), text.startswith(f"mg_{token.id}_"), len(text)
    ('curator/ilze', ['read', 'write'], True, 59)
    """

    def __init__(self, ledger: Ledger, *, now: Callable[[], datetime] = _utc_now) -> None:
        self._beside = ledger.beside(_tables)
        self._now = now
        self._guard = Lock()
        self._verifying = Lock()
        self._verified: OrderedDict[bytes, tuple[str, float]] = OrderedDict()
        self._uses: dict[str, str] = {}
        self._noter = ThreadPoolExecutor(1, "tokens")

    def close(self) -> None:
        """Write the uses that are still to be noted."""
        self._noter.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def create_token(
        self, name: str, role: str, *, scopes: Iterable[str] = (), expires: datetime | None = None, by: str
    ) -> tuple[str, Token]:
        """Make a token; its text is returned here and never again.

        Without `scopes` it may do all that its role may, without `expires` it stays until it is revoked. An account can
        have several tokens. `by` is who made it.

        Raises BadRequest for a name that cannot be one, a role there is not, a scope that the role does not have, and a
        time that is past or has no time zone.
        """
        wanted = frozenset(scopes)
        name = unicodedata.normalize("NFC", name)
        self._refuse_unusable(name, role, wanted, expires)
        id, secret = "".join(secrets.choice(_ID_LETTERS) for _ in range(12)), secrets.token_urlsafe(32)
        text = f"mg_{id}_{secret}"
        row: dict[str, Any] = {
            "id": id,
            "name": name,
            "role": role,
            "scopes": " ".join(sorted(wanted)),
            "hash": _hasher().hash(text),
            "created": _written(self._now()),
            "created_by": by,
            "expires": None if expires is None else _written(expires),
        }
        with self._beside.writing() as connection:
            connection.execute(insert(_tokens).values(row))
            made = connection.execute(select(_tokens).where(_tokens.c.id == id)).one()
        return text, _token_of(made)

    def list_tokens(self) -> list[Token]:
        """All tokens, the revoked and expired ones too, by name and then by age, the oldest first."""
        with self._beside.reading() as connection:
            rows = connection.execute(select(_tokens)).all()
        return sorted(map(_token_of, rows), key=lambda token: (token.name, token.created, token.id))

    def revoke_token(self, id: str, *, by: str) -> Token:
        """Make a token worthless from now on. One that was revoked before stays as it was. Raises NotFound."""
        known = id if re.fullmatch(r"[a-z2-7]{12}", id) else ""
        first = update(_tokens).where(_tokens.c.id == known, _tokens.c.revoked.is_(None))
        with self._beside.writing() as connection:
            connection.execute(first.values(revoked=_written(self._now()), revoked_by=by))
            row = connection.execute(select(_tokens).where(_tokens.c.id == known)).first()
        if row is None:
            raise NotFound(
                {
                    "en": f"there is no token {quoted(id)}: `mentorgraph token list` shows the identifiers",
                    "fr": f"il n’y a pas de jeton {quoted(id)} : `mentorgraph token list` montre les identifiants",
                }
            )
        return _token_of(row)

    def actor_of(self, text: str) -> Actor:
        """The actor whose token this is.

        Raises NotAuthenticated for what is no token, or no longer one. Only who holds the right secret is told that it
        was revoked or has expired. Raises Busy when too many tokens are being verified.
        """
        parts = _TOKEN.fullmatch(text)
        if parts is None:
            raise NotAuthenticated(
                {
                    "en": "this is not a token: one begins with mg_ and has 59 characters; copy it whole",
                    "fr": "ceci n’est pas un jeton : un jeton commence par mg_ et compte 59 caractères ; copiez-le en entier",
                }
            )
        with self._beside.reading() as connection:
            row = connection.execute(select(_tokens).where(_tokens.c.id == parts[1])).first()
        if not self._is_right(text, row.hash if row else None) or row is None:
            raise NotAuthenticated(
                {
                    "en": "the token is not known here: check that it was copied whole, or ask for a new one",
                    "fr": "le jeton n’est pas connu ici : vérifiez qu’il a été copié en entier, ou demandez-en un nouveau",
                }
            )
        token, now = _token_of(row), self._now()
        if token.revoked is not None:
            raise NotAuthenticated(
                {
                    "en": f"the token was revoked on {token.revoked:%Y-%m-%d}: ask for a new one",
                    "fr": f"le jeton a été révoqué le {token.revoked:%Y-%m-%d} : demandez-en un nouveau",
                }
            )
        if token.expires is not None and token.expires <= now:
            raise NotAuthenticated(
                {
                    "en": f"the token expired on {token.expires:%Y-%m-%d}: ask for a new one",
                    "fr": f"le jeton a expiré le {token.expires:%Y-%m-%d} : demandez-en un nouveau",
                }
            )
        self._note_use(token, now)
        return Actor(token.name, token.role, token.scopes)

    def end_session(self, id: str, until: datetime) -> None:
        """Remember, until its cookie expires by itself, that a session was ended. `id` has at most 64 characters."""
        with self._beside.writing() as connection:
            connection.execute(delete(_ended_sessions).where(_ended_sessions.c.until < _written(self._now())))
            if connection.execute(select(_ended_sessions.c.id).where(_ended_sessions.c.id == id)).first() is None:
                connection.execute(insert(_ended_sessions).values(id=id, until=_written(until)))

    def has_ended(self, session: str) -> bool:
        """Whether `end_session` was called for this session."""
        with self._beside.reading() as connection:
            return (
                connection.execute(select(_ended_sessions.c.id).where(_ended_sessions.c.id == session)).first()
                is not None
            )

    def _refuse_unusable(self, name: str, role: str, scopes: frozenset[str], expires: datetime | None) -> None:
        fault = name_fault(name)
        if fault is None and name.casefold() == ANONYMOUS:
            fault = f"{quoted(name)} stands for nobody in particular: choose another name"
        if fault is None and role not in ROLES:
            fault = f"{quoted(role)} is not a role: one of {', '.join(ROLES)}"
        if fault is None and (more := scopes - ROLE_SCOPES[role]):
            has = ", ".join(scope for scope in SCOPES if scope in ROLE_SCOPES[role]) or "none"
            fault = f"{quoted(min(more))} is not a scope that a token of a {role} can have: {has}"
        if fault is None and expires is not None and expires.tzinfo is None:
            fault = "the time when the token expires has no time zone"
        if fault is None and expires is not None and expires <= self._now():
            fault = f"the token would expire on {expires:%Y-%m-%d}, which is past: choose a later time"
        if fault is not None:
            raise BadRequest(fault)

    def _is_right(self, text: str, hash: str | None) -> bool:
        """Whether the text has this hash. For an unknown token the same work is done, so that time tells nothing."""
        digest = hashlib.sha256(text.encode()).digest()
        with self._guard:
            known, until = self._verified.get(digest, (None, 0.0))
        if hash is not None and known == hash and monotonic() < until:
            return True
        right = self._verify(text, hash or _nobodys_hash()) and hash is not None
        if right and hash is not None:
            with self._guard:
                self._verified[digest] = (hash, monotonic() + REMEMBERED_SECONDS)
                self._verified.move_to_end(digest)
                if len(self._verified) > REMEMBERED:
                    self._verified.popitem(last=False)
        return right

    def _verify(self, text: str, hash: str) -> bool:
        """One at a time: a flood of made-up tokens takes one core and one block of memory at most."""
        from argon2.exceptions import InvalidHashError, VerificationError

        if not self._verifying.acquire(timeout=VERIFY_WAIT_SECONDS):
            raise Busy(
                {
                    "en": "too many tokens are being verified: send the request again in some seconds",
                    "fr": "trop de jetons sont en cours de vérification : renvoyez la demande dans quelques secondes",
                }
            )
        try:
            return _hasher().verify(hash, text)
        except (VerificationError, InvalidHashError):
            return False
        finally:
            self._verifying.release()

    def _note_use(self, token: Token, now: datetime) -> None:
        """Have the use written, unless one of the last minute is; many uses become one transaction."""
        if token.last_used is not None and now - token.last_used < timedelta(seconds=USE_NOTED_SECONDS):
            return
        with self._guard:
            idle = not self._uses
            self._uses.setdefault(token.id, _written(now))
        if idle:
            with suppress(RuntimeError):  # closed meanwhile
                self._noter.submit(self._write_uses)

    def _write_uses(self) -> None:
        """What cannot be written now is noted at the next use."""
        with self._guard:
            uses, self._uses = [{"token": id, "time": time} for id, time in self._uses.items()], {}
        used = update(_tokens).where(_tokens.c.id == bindparam("token")).values(last_used=bindparam("time"))
        with suppress(KgError), self._beside.writing() as connection:
            connection.execute(used, uses)


@cache
def _hasher() -> PasswordHasher:
    """Argon2id with the least that OWASP's password storage cheat sheet recommends.

    The secrets are random, nobody can try them all; 19 MiB and some 20 ms are paid once in REMEMBERED_SECONDS.
    """
    from argon2 import PasswordHasher

    return PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)


@cache
def _nobodys_hash() -> str:
    return _hasher().hash(secrets.token_urlsafe(32))


def _written(time: datetime) -> str:
    """UTC with microseconds, as in the ledger: the order of the texts is that of the times."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _read(time: str | None) -> datetime | None:
    return None if time is None else datetime.fromisoformat(time)


def _token_of(row: Row[Any]) -> Token:
    return Token(
        id=row.id,
        name=row.name,
        role=row.role,
        scopes=frozenset(row.scopes.split()),
        created=datetime.fromisoformat(row.created),
        created_by=row.created_by,
        expires=_read(row.expires),
        revoked=_read(row.revoked),
        revoked_by=row.revoked_by,
        last_used=_read(row.last_used),
    )
