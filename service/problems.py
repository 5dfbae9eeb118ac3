"""Turns errors into answers: the one place where an error gets its HTTP status.

Every error leaves the service in one form, `application/problem+json` (RFC 9457):
`{"type", "title", "status", "detail", "instance", "problems"?}`. `detail` says what was wrong, where,
and what would be right; `problems` lists every single fault when there are several places to mend.
Anything that is not a KgError is our own mistake: it is logged, and told without detail.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kg import errors
from kg.errors import KgError, quoted

log = logging.getLogger("mentorgraph.service")

MEDIA_TYPE = "application/problem+json"

TYPES = "https://w3id.org/mentorgraph/problem/"
"""A problem's `type` is a name below this address; docs/http.md has the list."""


@dataclass(frozen=True)
class Row:
    """How one sort of error is answered."""

    name: str
    status: int
    title: str
    retry_after_seconds: int | None = None


ROWS: Mapping[type[KgError], Row] = {
    errors.InvalidRecord: Row("invalid-record", 422, "The record breaks rules"),
    errors.UnreadableInput: Row("unreadable-input", 400, "The input cannot be read"),
    errors.DuplicateRecord: Row("duplicate-record", 409, "The identifier is taken"),
    errors.StaleRecord: Row("stale-record", 412, "The record has changed meanwhile"),
    errors.PreconditionMissing: Row("precondition-missing", 428, "The change does not say what it was written on"),
    errors.WrongState: Row("wrong-state", 409, "The record's state does not allow this"),
    errors.StillReferenced: Row("still-referenced", 409, "Other records refer to this one"),
    errors.NotFound: Row("not-found", 404, "There is nothing here"),
    errors.Gone: Row("gone", 410, "The record was withdrawn"),
    errors.BadQuery: Row("bad-query", 400, "The text is not a query"),
    errors.RefusedQuery: Row("refused-query", 403, "The query is not allowed"),
    errors.BadRequest: Row("unusable-request", 422, "The request cannot be used as it is"),
    errors.NotAuthenticated: Row("not-authenticated", 401, "The token or session is not accepted"),
    errors.NotAllowed: Row("not-allowed", 403, "Your role does not allow this"),
    errors.ProviderUnreachable: Row(
        "login-provider-unreachable", 503, "The login provider does not answer", retry_after_seconds=30
    ),
    errors.TooLarge: Row("too-large", 413, "The input is too large"),
    errors.Busy: Row("busy", 503, "The service is busy", retry_after_seconds=5),
    errors.TooSlow: Row("too-slow", 504, "The answer took too long"),
    errors.DataFolderInUse: Row("data-folder-in-use", 503, "Another process owns the data", retry_after_seconds=30),
    errors.DataFolderUnusable: Row("data-folder-unusable", 503, "The data folder cannot be used"),
    errors.LedgerDamaged: Row("ledger-damaged", 500, "The ledger does not verify"),
    errors.ModelMissing: Row("model-missing", 503, "No embedding model is prepared"),
    errors.IndexMismatch: Row("index-mismatch", 503, "The search index is being rebuilt", retry_after_seconds=30),
}

UNUSABLE = ROWS[errors.BadRequest]
UNREADABLE = ROWS[errors.UnreadableInput]
NOT_READY = Row("not-ready", 503, "The service is not ready", retry_after_seconds=5)
OWN_MISTAKE = Row("internal-error", 500, "The service made a mistake")

PROTOCOL_ROWS: Mapping[int, tuple[Row, str]] = {
    400: (UNREADABLE, "the body is not what its Content-Type says: {detail}"),
    404: (
        Row("no-such-address", 404, "There is nothing here"),
        "there is nothing at {path}; /docs lists the addresses",
    ),
    405: (Row("method-not-allowed", 405, "The method is not allowed"), "{path} does not answer {method}"),
    406: (Row("not-acceptable", 406, "No form fits the Accept header"), "{path} answers only as {detail}"),
    413: (ROWS[errors.TooLarge], "{detail}"),
    415: (Row("unsupported-media-type", 415, "The body's form is not understood here"), "{detail}"),
}
"""What the HTTP layer itself refuses, with a message to fill in."""


@dataclass
class Refusal:
    """One answer to an error, before it is written."""

    row: Row
    detail: str
    problems: Sequence[Mapping[str, Any]] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)

    def body(self, instance: str) -> dict[str, Any]:
        """The problem document. `instance` is the path that was asked, without its query."""
        document: dict[str, Any] = {
            "type": TYPES + self.row.name,
            "title": self.row.title,
            "status": self.row.status,
            "detail": self.detail,
            "instance": instance,
            **self.extra,
        }
        return document | ({"problems": list(self.problems)} if self.problems else {})

    def response(self, request: Request, headers: Mapping[str, str] | None = None) -> Response:
        """The HTTP answer. Characters that no UTF-8 text can hold are replaced."""
        text = json.dumps(self.body(request.url.path), ensure_ascii=False)
        sent = dict(headers or {})
        if self.row.status == 401:
            sent["WWW-Authenticate"] = "Bearer"
        if self.row.retry_after_seconds:
            sent["Retry-After"] = str(self.row.retry_after_seconds)
        return Response(text.encode("utf-8", "replace"), self.row.status, sent, MEDIA_TYPE)


def row_of(error: KgError) -> Row:
    """The row of an error's class, or of the nearest class above it that has one.

    >>> row_of(errors.Busy("later")).status
    503
    """
    return next((ROWS[cls] for cls in type(error).__mro__ if cls in ROWS), OWN_MISTAKE)


def refusal_of(error: KgError) -> Refusal:
    """What is answered to a kg error: its own message, and every problem or the successor it carries."""
    if isinstance(error, errors.InvalidRecord):
        listed = [
            {"field": p.field, "message": p.message, "severity": p.severity}
            | ({"value": p.value} if p.value is not None else {})
            for p in error.problems
        ]
        return Refusal(row_of(error), str(error), listed)
    if isinstance(error, errors.Gone) and error.replaced_by:
        return Refusal(row_of(error), str(error), extra={"replaced_by": error.replaced_by})
    if isinstance(error, errors.StaleRecord) and error.current is not None:
        told = {"current": error.current} | ({"difference": error.difference} if error.difference else {})
        return Refusal(row_of(error), str(error), extra=told)
    if isinstance(error, errors.StillReferenced):
        listed = [{"kind": kind, "id": id} for kind, id in error.referring]
        return Refusal(row_of(error), str(error), extra={"referring": listed})
    if isinstance(error, errors.DataFolderInUse):
        return Refusal(row_of(error), "another process owns the data folder; try again later")
    return Refusal(row_of(error), str(error))


def refusal_of_validation(faults: Sequence[Mapping[str, Any]]) -> Refusal:
    """What is answered to a body or parameters of the wrong form: one entry per fault, with its place.

    >>> refusal = refusal_of_validation([{"loc": ("body", "needs", 0, "text"), "msg": "it is empty", "type": "x"}])
    >>> refusal.detail
    'needs.0.text: it is empty'
    """
    if any(fault["type"] == "json_invalid" for fault in faults):
        at = faults[0]["loc"][-1]
        return Refusal(UNREADABLE, f"the body is not JSON: {faults[0]['ctx']['error']} at character {at}")
    listed = [_fault(fault) for fault in faults]
    detail = "; ".join(f"{f['field']}: {f['message']}" if f["field"] else f["message"] for f in listed[:5])
    more = f"; and {len(listed) - 5} more, see problems" if len(listed) > 5 else ""
    return Refusal(UNUSABLE, detail + more, listed)


def _fault(fault: Mapping[str, Any]) -> dict[str, Any]:
    """One fault in the form of `problems`, its place without the leading "body" or "query"."""
    place = [str(part) for part in fault["loc"][1:] if part != "function-after"]
    entry: dict[str, Any] = {"field": ".".join(place), "message": _sentence(fault), "severity": "violation"}
    value = fault.get("input")
    if isinstance(value, str | int | float | bool):
        entry["value"] = quoted(value).strip("'") if isinstance(value, str) else str(value)
    return entry


def _sentence(fault: Mapping[str, Any]) -> str:
    """What would be right, in our words where the validator's own say too little."""
    ready = {
        "missing": "it is missing; it must be given",
        "extra_forbidden": "there is no field of this name here; remove it or mend its spelling",
        "model_attributes_type": "this must be a JSON object, sent with Content-Type: application/json",
    }
    message: str = ready.get(fault["type"]) or fault["msg"]
    return message.removeprefix("Value error, ")


async def _of_kg_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, KgError)
    row = row_of(error)
    if row.status >= 500:
        log.warning("%s %s: %s: %s", request.method, request.url.path, type(error).__name__, error)
    return refusal_of(error).response(request)


async def _of_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return refusal_of_validation(error.errors()).response(request)


async def _of_protocol(request: Request, error: Exception) -> Response:
    """404, 405, 406, 413 and the like, raised by the framework or by our own middleware."""
    assert isinstance(error, HTTPException)
    row, template = PROTOCOL_ROWS.get(error.status_code, (_plain_row(error.status_code), "{detail}"))
    detail = template.format(path=quoted(request.url.path, 200), method=request.method, detail=error.detail)
    headers = {"Allow": _allowed(request)} if error.status_code == 405 else error.headers
    return Refusal(row, detail).response(request, headers)


def _allowed(request: Request) -> str:
    """Every method that the address answers: the router itself names only those of the first route that fits.

    As OpenAPI says, the description with the most fixed parts counts: "/api/practices/check" is no record's address.
    The Graph Store Protocol is described by the W3C; pages and what else is not described answer GET alone.
    """
    if request.url.path == "/graphs" or request.url.path.startswith("/graphs/"):
        return "DELETE, GET, HEAD, POST, PUT"
    described = request.app.openapi()["paths"]
    fitting = [path for path in described if compile_path(path)[0].match(request.url.path)]
    nearest = min(fitting, key=lambda path: path.count("{"), default=None)
    methods = {method.upper() for method in described[nearest]} if nearest is not None else {"GET"}
    return ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods else set())))


def _plain_row(status: int) -> Row:
    phrase = HTTPStatus(status).phrase
    return Row(phrase.lower().replace(" ", "-"), status, phrase)


def install(app: FastAPI) -> None:
    """Make the app answer every error that is meant in the one form; OwnMistakes does so for the others."""
    app.add_exception_handler(KgError, _of_kg_error)
    app.add_exception_handler(RequestValidationError, _of_validation)
    app.add_exception_handler(HTTPException, _of_protocol)


class OwnMistakes:
    """Middleware: logs whatever is no KgError, and tells the caller only that it was not their doing."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def noticed(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, noticed)
        except Exception:
            if started or scope["type"] != "http":
                raise
            log.exception("%s %s failed", scope["method"], scope["path"])
            detail = "the service could not answer because of a mistake of its own; it has been logged"
            await Refusal(OWN_MISTAKE, detail).response(Request(scope))(scope, receive, send)
