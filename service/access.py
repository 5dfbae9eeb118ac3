"""Who asks: the actor behind a request, from its token or its session, and what a route needs of them."""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from fastapi import Depends, Request, Security
from fastapi.openapi.models import APIKey, APIKeyIn, HTTPBearer
from fastapi.security.base import SecurityBase
from itsdangerous import BadData, URLSafeSerializer
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Receive, Scope, Send

from kg.accounts import READER, ROLE_SCOPES, ROLES, Accounts, Actor
from kg.errors import DataFolderUnusable, KgError, NotAllowed, NotAuthenticated, quoted
from service.problems import refusal_of
from service.representations import site_of

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
SESSION = "mentorgraph-session"
KEY_CHARS = 32
"""The least that a key for signing has."""


@dataclass(frozen=True)
class Session:
    """What the cookie of somebody who logged in says: who it is, and until when."""

    id: str
    actor: Actor
    until: datetime


class Signing:
    """Signs what is kept in cookies, with one key and a purpose each: a cookie for one cannot stand in for another.

    >>> signing = Signing("k" * 32)
    >>> signing.read("login", signing.written("login", {"state": 7}))
    {'state': 7}
    >>> signing.read("session", signing.written("login", {"state": 7})) is None
    True
    """

    def __init__(self, key: str) -> None:
        self._key = key

    def written(self, purpose: str, value: Any) -> str:
        """The value as a cookie's text: signed, not hidden."""
        return self._serializer(purpose).dumps(value)

    def read(self, purpose: str, text: str) -> Any:
        """What was written for this purpose; None where the signature is not ours."""
        with suppress(BadData):
            return self._serializer(purpose).loads(text)
        return None

    def _serializer(self, purpose: str) -> URLSafeSerializer:
        return URLSafeSerializer(
            self._key,
            salt=f"mentorgraph-{purpose}",
            signer_kwargs={"digest_method": hashlib.sha256, "key_derivation": "hmac"},
        )


class Sessions:
    """Sessions of people who logged in. Nothing is kept here of one that runs; `accounts` remembers those that were ended.

    `now` is the clock, in seconds since 1970.
    """

    def __init__(
        self, signing: Signing, accounts: Accounts, hours: float, now: Callable[[], float] = time.time
    ) -> None:
        self._signing, self._accounts, self._seconds, self._now = signing, accounts, int(hours * 3600), now

    def opened(self, actor: Actor) -> tuple[str, int]:
        """A new session for an actor: the cookie's text, and for how many seconds it holds."""
        said = [secrets.token_urlsafe(16), actor.name, actor.role, int(self._now()) + self._seconds]
        return self._signing.written(SESSION, said), self._seconds

    def read(self, text: str) -> Session:
        """The session that the cookie tells of; NotAuthenticated where it is none, or no longer one."""
        session = self._said(text)
        if session is None:
            raise NotAuthenticated(
                {
                    "en": "the session is not known here: log in again at /login",
                    "fr": "la session n’est pas connue ici : reconnectez-vous à /login",
                }
            )
        if session.until.timestamp() <= self._now():
            raise NotAuthenticated(
                {
                    "en": "the session has expired: log in again at /login",
                    "fr": "la session a expiré : reconnectez-vous à /login",
                }
            )
        if self._accounts.has_ended(session.id):
            raise NotAuthenticated(
                {
                    "en": "the session was ended: log in again at /login",
                    "fr": "la session a été fermée : reconnectez-vous à /login",
                }
            )
        return session

    def end(self, text: str) -> None:
        """End a session before its time; what is no session is left alone."""
        if (session := self._said(text)) is not None:
            self._accounts.end_session(session.id, session.until)

    def _said(self, text: str) -> Session | None:
        said = self._signing.read(SESSION, text)
        if said is None:
            return None
        id, name, role, until = said  # signed by us: it has this form
        return Session(id, Actor(name, role), datetime.fromtimestamp(until, UTC))


def session_key(folder: Path) -> str:
    """The key that signs cookies, from the data folder; made, for the owner's eyes only, when it is not there.

    Raises DataFolderUnusable when it cannot be made or read, or is too short to be one.
    """
    place = folder / "session.key"
    try:
        if not place.exists():
            _make_key(place)
        key = place.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise DataFolderUnusable("'session.key' in the data folder cannot be made or read") from error
    if len(key) < KEY_CHARS:
        raise DataFolderUnusable("'session.key' in the data folder is damaged: remove it; all sessions end with it")
    return key


def _make_key(place: Path) -> None:
    """Whole or not at all, and the first of two processes wins."""
    draft = place.with_name(f"{place.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(48) + "\n")
        with suppress(FileExistsError):
            os.link(draft, place)
    finally:
        draft.unlink()


def is_https(request: Request) -> bool:
    """Whether readers reach the service by https, as it is set, else as the request came."""
    return site_of(request).startswith("https:")


def cookie_name(request: Request, name: str) -> str:
    """Under https with the prefix by which browsers let no other host of the same domain set it."""
    return f"__Host-{name}" if is_https(request) else name


@dataclass(frozen=True)
class Caller:
    """The actor behind a request, and how we know: by a token, a session, or not at all."""

    actor: Actor
    by: Literal["token", "session"] | None = None


NOBODY = Caller(READER)


async def caller(request: Request) -> Caller:
    """Whoever sends the request. Without credentials a reader; with wrong ones nobody: NotAuthenticated.

    A token in the Authorization header counts before a session. A request that changes something and has no more than
    a session's cookie, which browsers send by themselves, must come from a page of ours: NotAllowed otherwise.
    """
    known: Caller | None = getattr(request.state, "caller", None)
    if known is None:
        known = request.state.caller = await _recognised(request)
    return known


async def _recognised(request: Request) -> Caller:
    if (token := _token(request)) is not None:
        return Caller(await run_in_threadpool(request.app.state.accounts.actor_of, token), "token")
    cookie = request.cookies.get(cookie_name(request, SESSION))
    if cookie is None:
        return NOBODY
    sessions: Sessions | None = request.app.state.sessions
    if sessions is None:
        raise NotAuthenticated(
            {
                "en": "nobody logs in here any more: send a token, or remove the cookie",
                "fr": "on ne se connecte plus ici : envoyez un jeton, ou supprimez le cookie",
            }
        )
    session = await run_in_threadpool(sessions.read, cookie)
    refuse_other_sites(request)
    return Caller(session.actor, "session")


def _token(request: Request) -> str | None:
    """The token that was sent. Other schemes are not for us: a proxy before the service may have a login of its own."""
    headers = [each.strip() for each in request.headers.getlist("authorization")]
    tokens = [each[6:].strip() for each in headers if each[:7].lower() in ("bearer", "bearer ")]
    if tokens and len(headers) > 1:
        raise NotAuthenticated(
            {
                "en": "there are several Authorization headers: send one",
                "fr": "il y a plusieurs en-têtes Authorization : envoyez-en un seul",
            }
        )
    return tokens[0] if tokens else None


def refuse_other_sites(request: Request) -> None:
    """Raise NotAllowed for a change that a browser sends for a page of another site, or that does not say whence.

    Browsers name the page's site in Sec-Fetch-Site, or in Origin where they do not; no script can set either.
    """
    if request.method in SAFE_METHODS:
        return
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    ours = {_origin(site_of(request)), _origin(str(request.base_url))}
    same = site == "same-origin" if site is not None else origin is not None and origin.lower() in ours
    if not same:
        raise NotAllowed(
            {
                "en": "with a session, changes are taken from pages of this service only: send a token instead",
                "fr": "avec une session, seules les pages de ce service peuvent modifier : envoyez plutôt un jeton",
            }
        )


def _origin(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}".lower()


async def actor(who: Annotated[Caller, Depends(caller)]) -> Actor:
    """The actor behind a request, as a dependency of routes that answer everyone, each according to their role."""
    return who.actor


class RefuseWrongTokens:
    """Middleware for every address, the public ones too: a token that is none, or no longer one, is never passed over."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and any(name == b"authorization" for name, _ in scope["headers"]):
            request = Request(scope)
            try:
                if _token(request) is not None:
                    await caller(request)
            except KgError as error:
                await refusal_of(error).response(request)(scope, receive, send)
                return
        await self.app(scope, receive, send)


class _Scheme(SecurityBase):
    """A way to say who one is, for OpenAPI; `caller` does the work."""

    def __init__(self, name: str, model: Any) -> None:
        self.scheme_name, self.model = name, model

    async def __call__(self) -> None:
        return None


TOKEN = _Scheme("token", HTTPBearer(description="A token, as `mentorgraph token create` shows it once."))
COOKIE = _Scheme(
    "session", APIKey.model_validate({"in": APIKeyIn.cookie, "name": SESSION, "description": "Set by /login."})
)


def needs(scope: str, *roles: str) -> Callable[..., Coroutine[Any, Any, Actor]]:
    """A dependency that gives the actor, if it may do this sort of thing.

    `scope` is one of kg.accounts.SCOPES; `roles` are those that may, besides the administrator: without any, all roles
    that have the scope. Nobody in particular gets NotAuthenticated, everyone else who may not NotAllowed.

        @router.post("/api/practices/{id}/publish")
        def publish(id: str, actor: Annotated[Actor, Depends(needs("publish"))]) -> Response: ...
    """
    able = [role for role in ROLES if scope in ROLE_SCOPES[role] and (not roles or role in {*roles, "administrator"})]

    async def allowed(
        request: Request,
        who: Annotated[Caller, Depends(caller)],
        _token: Annotated[None, Security(TOKEN)],
        _session: Annotated[None, Security(COOKIE)],
    ) -> Actor:
        if who.by is None:
            login = request.app.state.sessions is not None
            raise NotAuthenticated(
                {
                    "en": "this takes an account: send a token as `Authorization: Bearer …`"
                    + (", or log in at /login" if login else ""),
                    "fr": "il faut un compte : envoyez un jeton par `Authorization: Bearer …`"
                    + (", ou connectez-vous à /login" if login else ""),
                }
            )
        if who.actor.role not in able:
            raise NotAllowed(
                {
                    "en": f"a {who.actor.role} may not do this; these roles may: {', '.join(able)}",
                    "fr": f"un compte « {who.actor.role} » ne le peut pas ; ces rôles le peuvent : {', '.join(able)}",
                }
            )
        if not who.actor.may(scope):
            raise NotAllowed(
                {
                    "en": f"the token's scopes leave {quoted(scope)} out: use one that has it",
                    "fr": f"les droits du jeton ne comprennent pas {quoted(scope)} : prenez-en un qui l’a",
                }
            )
        return who.actor

    return allowed
