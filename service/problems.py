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
from kg.errors import KgError, Words, plain, quoted
from kg.fields import in_language
from service.faults import sentences, value_in_french
from service.negotiation import LANGUAGES, PROBLEM, language_of_header, most_wanted

log = logging.getLogger("mentorgraph.service")

MEDIA_TYPE = PROBLEM

TYPES = "https://w3id.org/mentorgraph/problem/"
"""A problem's `type` is a name below this address; docs/http.md has the list."""


@dataclass(frozen=True)
class Row:
    """How one sort of error is answered; `title` in English, `french` the same."""

    name: str
    status: int
    title: str
    french: str
    retry_after_seconds: int | None = None


ROWS: Mapping[type[KgError], Row] = {
    errors.InvalidRecord: Row("invalid-record", 422, "The record breaks rules", "La fiche enfreint des règles"),
    errors.UnreadableInput: Row("unreadable-input", 400, "The input cannot be read", "L’entrée est illisible"),
    errors.DuplicateRecord: Row("duplicate-record", 409, "The identifier is taken", "L’identifiant est déjà pris"),
    errors.StaleRecord: Row(
        "stale-record", 412, "The record has changed meanwhile", "La fiche a été modifiée entre-temps"
    ),
    errors.PreconditionMissing: Row(
        "precondition-missing",
        428,
        "The change does not say what it was written on",
        "La modification ne dit pas sur quelle version elle repose",
    ),
    errors.WrongState: Row(
        "wrong-state", 409, "The record's state does not allow this", "L’état de la fiche ne le permet pas"
    ),
    errors.StillReferenced: Row(
        "still-referenced", 409, "Other records refer to this one", "D’autres fiches renvoient à celle-ci"
    ),
    errors.NotFound: Row("not-found", 404, "There is nothing here", "Il n’y a rien ici"),
    errors.Gone: Row("gone", 410, "The record was withdrawn", "La fiche a été retirée"),
    errors.BadQuery: Row("bad-query", 400, "The text is not a query", "Le texte n’est pas une requête"),
    errors.RefusedQuery: Row("refused-query", 403, "The query is not allowed", "La requête n’est pas autorisée"),
    errors.BadRequest: Row(
        "unusable-request",
        422,
        "The request cannot be used as it is",
        "La demande ne peut pas être traitée telle quelle",
    ),
    errors.NotAuthenticated: Row(
        "not-authenticated",
        401,
        "The token or session is not accepted",
        "Le jeton ou la session n’est pas accepté",
    ),
    errors.NotAllowed: Row("not-allowed", 403, "You may not do this", "Vous ne pouvez pas faire cela"),
    errors.ReadOnly: Row("read-only", 403, "This is not written by anybody", "Personne n’écrit ceci"),
    errors.ProviderUnreachable: Row(
        "login-provider-unreachable",
        503,
        "The login provider does not answer",
        "Le fournisseur d’identité ne répond pas",
        retry_after_seconds=30,
    ),
    errors.TooLarge: Row("too-large", 413, "The input is too large", "L’entrée est trop volumineuse"),
    errors.Busy: Row("busy", 503, "The service is busy", "Le service est occupé", retry_after_seconds=5),
    errors.TooSlow: Row("too-slow", 504, "The answer took too long", "La réponse a pris trop de temps"),
    errors.DataFolderInUse: Row(
        "data-folder-in-use",
        503,
        "Another process owns the data",
        "Un autre processus détient les données",
        retry_after_seconds=30,
    ),
    errors.DataFolderUnusable: Row(
        "data-folder-unusable", 503, "The data folder cannot be used", "Le dossier de données est inutilisable"
    ),
    errors.LedgerDamaged: Row("ledger-damaged", 500, "The ledger does not verify", "Le registre ne se vérifie pas"),
    errors.ModelMissing: Row(
        "model-missing", 503, "No embedding model is prepared", "Aucun modèle de langue n’est préparé"
    ),
    errors.IndexMismatch: Row(
        "index-mismatch",
        503,
        "The search index is being rebuilt",
        "L’index de recherche est en reconstruction",
        retry_after_seconds=30,
    ),
}

UNUSABLE = ROWS[errors.BadRequest]
UNREADABLE = ROWS[errors.UnreadableInput]
NOT_READY = Row("not-ready", 503, "The service is not ready", "Le service n’est pas prêt", retry_after_seconds=5)
OWN_MISTAKE = Row("internal-error", 500, "The service made a mistake", "Le service a commis une erreur")
UNREADY = {
    "en": "the service cannot answer yet; see checks",
    "fr": "le service ne peut pas encore répondre ; voir checks",
}
LOGGED = {
    "en": "the service could not answer because of a mistake of its own; it has been logged",
    "fr": "le service n’a pas pu répondre à cause d’une erreur de sa part ; elle est consignée",
}
IN_USE = {
    "en": "another process owns the data folder; try again later",
    "fr": "un autre processus détient le dossier de données ; réessayez plus tard",
}

PROTOCOL_ROWS: Mapping[int, tuple[Row, Mapping[str, str]]] = {
    400: (
        UNREADABLE,
        {
            "en": "the body is not what its Content-Type says: {detail}",
            "fr": "le corps n’est pas ce qu’annonce son Content-Type : {detail}",
        },
    ),
    404: (
        Row("no-such-address", 404, "There is nothing here", "Il n’y a rien ici"),
        {
            "en": "there is nothing at {path}; /docs lists the addresses",
            "fr": "il n’y a rien à l’adresse {path} ; /docs donne la liste des adresses",
        },
    ),
    405: (
        Row("method-not-allowed", 405, "The method is not allowed", "La méthode n’est pas admise"),
        {"en": "{path} does not answer {method}", "fr": "{path} ne répond pas à {method}"},
    ),
    406: (
        Row("not-acceptable", 406, "No form fits what is asked for", "Aucune forme ne convient à ce qui est demandé"),
        {"en": "{path} answers only as {detail}", "fr": "{path} ne répond que sous ces formes : {detail}"},
    ),
    413: (
        ROWS[errors.TooLarge],
        {
            "en": "a request body may have {detail} bytes at most",
            "fr": "le corps d’une demande peut compter {detail} octets au plus",
        },
    ),
    415: (
        Row(
            "unsupported-media-type",
            415,
            "The body's form is not understood here",
            "La forme du corps n’est pas comprise ici",
        ),
        {
            "en": "send the body as {detail}, in UTF-8, not as {given}",
            "fr": "envoyez le corps comme {detail}, en UTF-8, non comme {given}",
        },
    ),
}
"""What the HTTP layer itself refuses, with a message to fill in; `detail` is a list with "or", or a number."""


@dataclass
class Refusal:
    """One answer to an error, before it is written. `detail` is in English, or in every language there is of it, and so is
    the `message` of each of `problems`."""

    row: Row
    detail: Words
    problems: Sequence[Mapping[str, Any]] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def told(self, language: str) -> tuple[str, str]:
        """The detail in a language, or in English where there is none in it; and in which language it is."""
        texts = {"en": self.detail} if isinstance(self.detail, str) else self.detail
        return (texts[language], language) if language in texts else (texts["en"], "en")

    def body(self, instance: str, language: str = "en") -> dict[str, Any]:
        """The problem document. `instance` is the path that was asked, without its query."""
        document: dict[str, Any] = {
            "type": TYPES + self.row.name,
            "title": self.row.french if language == "fr" else self.row.title,
            "status": self.row.status,
            "detail": self.told(language)[0],
            "instance": instance,
            **self.extra,
        }
        listed = [
            one
            if isinstance(one.get("message", ""), str)
            else {**one, "message": in_language(one["message"], language)}
            for one in self.problems
        ]
        return document | ({"problems": listed} if listed else {})

    def response(self, request: Request, headers: Mapping[str, str] | None = None) -> Response:
        """The HTTP answer, in the language asked for. Characters that no UTF-8 text can hold are replaced.

        `Vary` has Accept too: where a page or data can be asked for, it decides whether this or a page is the answer.
        `Content-Language` names two languages where the title is in French and there is no detail in it.
        """
        language = language_asked(request)
        text = json.dumps(self.body(request.url.path, language), ensure_ascii=False)
        sent = {"Vary": "Accept, Accept-Language", **self.headers, **(headers or {})}
        sent["Content-Language"] = ", ".join(dict.fromkeys((language, self.told(language)[1])))
        if self.row.status == 401:
            sent["WWW-Authenticate"] = "Bearer"
        if self.row.retry_after_seconds:
            sent["Retry-After"] = str(self.row.retry_after_seconds)
        return Response(text.encode("utf-8", "replace"), self.row.status, sent, MEDIA_TYPE)


def language_asked(request: Request) -> str:
    """The language of an answer to a request that cannot be answered: as `answer_language` takes it, whatever else is wrong."""
    lang = request.query_params.get("lang")
    return lang if lang in LANGUAGES else language_of_header(request.headers.get("accept-language")) or "en"


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
        return Refusal(row_of(error), error.texts(), listed)
    if isinstance(error, errors.Gone):
        moved = {"replaced_by": error.replaced_by} if error.replaced_by else {}
        tag = {"ETag": f'"{error.revision}"'} if error.revision is not None else {}
        return Refusal(row_of(error), error.texts(), extra=moved, headers=tag)
    if isinstance(error, errors.StaleRecord) and error.current is not None:
        told = {"current": error.current} | ({"difference": error.difference} if error.difference else {})
        return Refusal(row_of(error), error.texts(), extra=told)
    if isinstance(error, errors.StillReferenced):
        listed = [{"kind": kind, "id": id} for kind, id in error.referring]
        return Refusal(row_of(error), error.texts(), extra={"referring": listed})
    if isinstance(error, errors.DataFolderInUse):
        return Refusal(row_of(error), IN_USE)
    return Refusal(row_of(error), error.texts())


def refusal_of_validation(faults: Sequence[Mapping[str, Any]]) -> Refusal:
    """What is answered to a body or parameters of the wrong form: one entry per fault, with its place.

    >>> refusal = refusal_of_validation([{"loc": ("body", "needs", 0, "text"), "msg": "it is empty", "type": "x"}])
    >>> refusal.told("en")[0]
    'needs.0.text: it is empty'
    """
    if any(fault["type"] == "json_invalid" for fault in faults):
        at = faults[0]["loc"][-1]
        error = faults[0]["ctx"]["error"]
        said = {
            "en": f"the body is not JSON: {error} at character {at}",
            "fr": f"le corps n’est pas du JSON (caractère {at}) : {error}",
        }
        return Refusal(UNREADABLE, said)
    listed = [_fault(fault) for fault in faults]
    return Refusal(UNUSABLE, {language: _in_a_row(listed, language) for language in LANGUAGES}, listed)


def _in_a_row(listed: Sequence[Mapping[str, Any]], language: str) -> str:
    """The first faults in one sentence, each with its place."""
    colon, semicolon = (" : ", " ; ") if language == "fr" else (": ", "; ")
    said = [
        f"{one['field']}{colon}{message}" if one["field"] else message
        for one in listed[:MOST_IN_A_ROW]
        if (message := in_language(one["message"], language))
    ]
    if len(listed) > MOST_IN_A_ROW:
        more = len(listed) - MOST_IN_A_ROW
        said.append(f"et {more} de plus, voir problems" if language == "fr" else f"and {more} more, see problems")
    return semicolon.join(said)


MOST_IN_A_ROW = 5


def _fault(fault: Mapping[str, Any]) -> dict[str, Any]:
    """One fault in the form of `problems`, its place without the leading "body" or "query", and without what only the
    validator sees there: "(list)" for a branch that takes lists."""
    place = [str(part) for part in fault["loc"][1:] if part != "function-after" and not str(part).startswith("(")]
    entry: dict[str, Any] = {"field": ".".join(place), "message": sentences(fault), "severity": "violation"}
    value = fault.get("input")
    if isinstance(value, str | int | float | bool):
        entry["value"] = plain(value)
    return entry


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
    """404, 405, 406, 413 and the like, raised by the framework or by our own middleware; and what OPTIONS asks for.

    FastAPI's own class takes any detail: a message by language is the whole one, a list fills the template with what there is.
    """
    assert isinstance(error, HTTPException)
    if error.status_code == 405 and request.method == "OPTIONS":
        return Response(None, 204, {"Allow": _allowed(request)})
    row, template = PROTOCOL_ROWS.get(error.status_code, (_plain_row(error.status_code), {"en": "{detail}"}))
    said: Any = error.detail
    if isinstance(said, Mapping):
        detail = said
    else:
        given = request.headers.get("content-type")
        holes = {"path": quoted(request.url.path, 200), "method": request.method}
        filling = {
            "en": {"detail": _joined(said, " or "), "given": quoted(given or "nothing")},
            "fr": {"detail": value_in_french(_joined(said, " ou ")), "given": quoted(given or "rien")},
        }
        detail = {language: text.format(**holes, **filling[language]) for language, text in template.items()}
    headers = {"Allow": _allowed(request)} if error.status_code == 405 else error.headers
    refusal = Refusal(row, detail)
    for_people = most_wanted(request.headers.get("accept"), [MEDIA_TYPE], only_by_name=["text/html"]) == "text/html"
    if error.status_code == 404 and request.method in ("GET", "HEAD") and for_people:
        from service.pages.records import nowhere  # pages tell errors in the words of this module

        return nowhere(request, refusal)
    return refusal.response(request, headers)


def _joined(said: Any, word: str) -> str:
    """What there is, where it is a list, with a word between."""
    return word.join(said) if isinstance(said, list) else str(said)


def _allowed(request: Request) -> str:
    """Every method that the address answers: the router itself names only those of the first route that fits.

    As OpenAPI says, the description with the most fixed parts counts: "/api/practices/check" is no record's address.
    The Graph Store Protocol is described by the W3C; pages and what else is not described answer GET alone.
    """
    path = request.url.path
    if path == "/graphs" or path.startswith("/graphs/"):
        records = f"{request.app.state.catalogue.base}id/"
        named = request.query_params.get("graph", records) if path == "/graphs" else records
        below = path == "/graphs" or path.startswith("/graphs/id/")
        is_written = below and named.startswith(records) and "default" not in request.query_params
        return "DELETE, GET, HEAD, OPTIONS, POST, PUT" if is_written else "GET, HEAD, OPTIONS"
    described = request.app.openapi()["paths"]
    fitting = [one for one in described if compile_path(one)[0].match(path)]
    nearest = min(fitting, key=lambda one: one.count("{"), default=None)
    methods = {method.upper() for method in described[nearest]} if nearest is not None else {"GET"}
    return ", ".join(sorted(methods | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set())))


def _plain_row(status: int) -> Row:
    phrase = HTTPStatus(status).phrase
    return Row(phrase.lower().replace(" ", "-"), status, phrase, phrase)


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
            await Refusal(OWN_MISTAKE, LOGGED).response(Request(scope))(scope, receive, send)
