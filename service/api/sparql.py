"""The SPARQL 1.1 Protocol: queries by link, form or body; answers in the format asked for.

https://www.w3.org/TR/sparql11-protocol/. Nothing of a query is read here: text and dataset go to
`kg.graph.queries`, the engine's bytes come back. Where its rules leave room: a problem document says what was
wrong, `?format=` wins over Accept for links, and updates are refused with 403, not ignored.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, FastAPI, HTTPException, Request
from fastapi.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from kg import errors
from kg.errors import BadQuery, Busy, RefusedQuery, TooLarge, figures, quoted
from kg.graph.guard import Hit, Search
from kg.graph.queries import GRAPHS, TABLES, Answer, Limits, NoFormat, QueryService, Question
from service.api.describing import OTHER_FORM, problems_of
from service.api.sparql_description import description, written
from service.middleware import discard
from service.negotiation import most_wanted
from service.pages import sparql as pages
from service.representations import site_of
from service.settings import Settings

if TYPE_CHECKING:
    from kg.catalogue import Catalogue

router = APIRouter(tags=["sparql"])

FORM = "application/x-www-form-urlencoded"
QUERY = "application/sparql-query"
UPDATE = "application/sparql-update"
HTML = "text/html"

NAMES = {
    "json": "application/sparql-results+json",
    "xml": "application/sparql-results+xml",
    "csv": "text/csv",
    "tsv": "text/tab-separated-values",
    "turtle": "text/turtle",
    "ntriples": "application/n-triples",
    "jsonld": "application/ld+json",
    "rdfxml": "application/rdf+xml",
    "trig": "application/trig",
    "nquads": "application/n-quads",
}
"""Values of `?format=`."""

ALSO_NAMED = {media_type: name for name, media_type in NAMES.items()} | {
    "rdf+xml": "rdfxml",
    "rdf": "rdfxml",
    "json-ld": "jsonld",
    "n3": "turtle",
}
"""What else is understood: media types, and what SPARQLWrapper sends, several at a time and whatever the Accept header."""

AS_RDF = {"json": NAMES["jsonld"], "xml": NAMES["rdfxml"]}
"""What names of tables' formats mean for an answer in RDF; SPARQLWrapper asks for "xml" unless told otherwise."""

ALSO = {"application/json": NAMES["json"], "application/xml": NAMES["xml"], "text/xml": NAMES["xml"]}
"""Wider names that clients of the protocol ask for; answered with the results' own media type."""

BEGUN = "sparql-begun"
"""Where in a request's state a process stands that has begun with its query (`service.short_way`)."""
LONG_LINK_BYTES = 16_000
"""A link with more parameters than that is read only where the application reads it."""
CHUNK_BYTES = 1 << 16
SOON_SECONDS = 0.05
"""How long a query may run before somebody watches whether its client is still there: most are over by then."""
READING_SECONDS = 30.0
"""How long a client may take to read a chunk before its answer is given up."""
UNREAD_ANSWERS = 10
"""How many answers of the largest size may wait in memory for slow readers before queries are put off."""
USUAL_HEADER_CHARS = 500
"""A longer Accept header is read each time: what strangers send must not fill the memory."""
PRACTICES_PER_CITY = 4
"""Practices looked at per city wanted, when cities are searched for."""

TEXTUAL = ("text/",)

NO_UPDATES = {
    "en": "updates are refused: queries here change nothing",
    "fr": "les mises à jour sont refusées : ici, les requêtes ne modifient rien",
}

PARAMETERS: list[dict[str, Any]] = [
    {"name": "query", "in": "query", "schema": {"type": "string"}, "description": "A SPARQL 1.1 query."},
    {
        "name": "default-graph-uri",
        "in": "query",
        "schema": {"type": "array", "items": {"type": "string", "format": "iri"}},
        "description": "Graphs that together are the default graph; wins over FROM.",
    },
    {
        "name": "named-graph-uri",
        "in": "query",
        "schema": {"type": "array", "items": {"type": "string", "format": "iri"}},
        "description": "Graphs that GRAPH can name; wins over FROM NAMED.",
    },
    {
        "name": "format",
        "in": "query",
        "schema": {"type": "string", "enum": list(NAMES)},
        "description": "The format of the answer, for links; wins over Accept.",
    },
]

BODY: dict[str, Any] = {
    "required": True,
    "content": {
        QUERY: {"schema": {"type": "string"}},
        FORM: {
            "schema": {
                "type": "object",
                "required": ["query"],
                "properties": {one["name"]: one["schema"] for one in PARAMETERS},
            }
        },
    },
}

ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "SELECT and ASK as a table, CONSTRUCT and DESCRIBE as RDF.",
        "content": {
            media_type: {"schema": {} if media_type.endswith("+json") else {"type": "string"}}
            for media_type in (*TABLES, *GRAPHS)
        },
    },
    **problems_of(errors.BadQuery, errors.RefusedQuery, errors.TooLarge, errors.Busy, errors.TooSlow),
}


@asynccontextmanager
async def answering(app: FastAPI, catalogue: Catalogue, settings: Settings) -> AsyncIterator[None]:
    """Have the app answer queries over a catalogue while the block runs."""
    limits = Limits(
        at_once=settings.sparql_at_once,
        waiting=settings.sparql_waiting,
        wait_seconds=settings.sparql_wait_seconds,
        deadline_seconds=settings.sparql_deadline_seconds,
        query_bytes=settings.sparql_query_bytes,
        rows=settings.sparql_rows,
        answer_bytes=settings.sparql_answer_bytes,
        memory_bytes=settings.sparql_memory_bytes,
        graph_bytes=settings.sparql_graph_bytes,
    )

    def search(asked: Search) -> list[Hit]:
        with app.state.turns.one():
            return _hits(catalogue, asked)

    async with QueryService(catalogue.graph, search, limits) as queries:
        app.state.queries = queries
        app.state.outbox = Outbox(UNREAD_ANSWERS * limits.answer_bytes)
        queries.start_soon()
        yield


def _hits(catalogue: Catalogue, asked: Search) -> list[Hit]:
    """Practices, or the cities whose own practices come closest, each with the passage that says so."""
    from kg.search.view import NeedText

    need = NeedText(asked.text, language=asked.language)
    by_city = asked.of == "city"
    found = catalogue.search.find(need, limit=asked.limit * (PRACTICES_PER_CITY if by_city else 1))
    hits: dict[str, Hit] = {}
    for one in found:
        iri = f"{catalogue.base}id/{asked.of}/{one.city if by_city else one.practice}"
        hits.setdefault(iri, Hit(iri, one.similarity, one.passage.text, one.passage.language))
    return list(hits.values())[: asked.limit]


# ------------------------------------------------------------------------------------------ three ways in


@dataclass(frozen=True)
class _Asked:
    """What a request says, whichever way it came."""

    query: str | None
    default_graphs: tuple[str, ...] | None
    named_graphs: tuple[str, ...] | None
    format: str | None


@router.get(
    "/sparql",
    summary="Ask with SPARQL, by a link",
    response_class=Response,
    responses=ANSWERS,
    openapi_extra={"parameters": PARAMETERS},
)
async def ask_by_link(request: Request) -> Response:
    """The answer to a query; without one, what the endpoint is: RDF for programs, a page to write queries on for people.

    A query reads everything that is published: without FROM the default graph is the union of all records.
    """
    asked = _read(_parameters(request.scope["query_string"]))
    if _is_for_people(request, asked):
        return await _page(request, asked)
    if asked.query is None and asked.default_graphs is None and asked.named_graphs is None:
        return _described(request, asked)
    return await _answered(request, asked)


@router.post(
    "/sparql",
    summary="Ask with SPARQL, by a form or the query itself",
    response_class=Response,
    responses=ANSWERS | OTHER_FORM,
    openapi_extra={"parameters": PARAMETERS[1:], "requestBody": BODY},
)
async def ask_by_body(request: Request) -> Response:
    """The same for a query sent as `application/sparql-query`, or as `query=` in a form."""
    media_type = _body_type(request)
    await _refuse_too_long(request, media_type)
    return await _answered(request, _asked_in_body(request, media_type, await request.body()))


def question_at_once(request: Request, body: bytes, limits: Limits) -> tuple[Question, str | None] | None:
    """What a request asks, with the format it names; None for a fault, or no query, which the handlers above tell of.

    None for a long link as well, which takes milliseconds to read.
    """
    try:
        if len(request.scope["query_string"]) > LONG_LINK_BYTES:
            return None
        if request.method == "GET":
            asked = _read(_parameters(request.scope["query_string"]))
            if _is_for_people(request, asked):
                return None
        else:
            media_type = _body_type(request)
            if len(body) > _most_bytes(media_type, limits):
                return None
            asked = _asked_in_body(request, media_type, body)
        if asked.query is None:
            return None
        return _question(asked, *_formats(request, asked)), asked.format
    except (errors.KgError, HTTPException):
        return None


def _is_for_people(request: Request, asked: _Asked) -> bool:
    if asked.format is not None:
        return False
    accept = request.headers.get("accept")
    return (_likes_pages if len(accept or "") <= USUAL_HEADER_CHARS else _likes_pages.__wrapped__)(accept)


@lru_cache(maxsize=256)
def _likes_pages(accept: str | None) -> bool:
    return most_wanted(accept, (*TABLES, *ALSO, *GRAPHS), only_by_name=(HTML,)) == HTML


def _body_type(request: Request) -> str:
    """FORM or QUERY; raises for a body of another type, or packed."""
    media_type, charset = _content_type(request)
    if media_type == UPDATE:
        raise RefusedQuery(NO_UPDATES)
    if media_type not in (FORM, QUERY) or charset not in ("", "utf-8", "utf8"):
        said = quoted(request.headers.get("content-type", ""))
        raise HTTPException(
            415,
            {
                "en": f"{said} cannot be read here; send {QUERY} or {FORM}, in UTF-8",
                "fr": f"{said} ne se lit pas ici ; envoyez {QUERY} ou {FORM}, en UTF-8",
            },
        )
    if (coding := request.headers.get("content-encoding", "identity")).lower() != "identity":
        raise HTTPException(
            415,
            {
                "en": f"the body is packed ({quoted(coding)}); send it as it is",
                "fr": f"le corps est compressé ({quoted(coding)}) ; envoyez-le tel quel",
            },
        )
    return media_type


def _asked_in_body(request: Request, media_type: str, body: bytes) -> _Asked:
    in_address = _parameters(request.scope["query_string"])
    if media_type == FORM:
        refused = sorted({name for name, _ in in_address} & {"query", "default-graph-uri", "named-graph-uri"})
        if refused:
            raise BadQuery(
                {
                    "en": f"{' and '.join(refused)} stood in the address; with a form all of it goes into the form",
                    "fr": f"l’adresse contenait {' et '.join(refused)} ; avec un formulaire, tout va dans le formulaire",
                }
            )
        return _read(_parameters(body))
    if any(name == "query" for name, _ in in_address):
        raise BadQuery(
            {
                "en": "there are two queries, one in the address and one in the body; send one",
                "fr": "il y a deux requêtes, l’une dans l’adresse et l’autre dans le corps ; n’en envoyez qu’une",
            }
        )
    return _read([*in_address, ("query", _text(body, ("the body", "le corps")))])


async def _refuse_too_long(request: Request, media_type: str) -> None:
    """Before it is looked at: eight clients that send 1 MB each, again and again, made suggestions three times slower.

    Where the connection closes after the answer, the body is thrown away first, or a client that goes on sending would
    never see it; on others the server does so itself.
    """
    said = request.headers.get("content-length", "0")
    allowed = _most_bytes(media_type, request.app.state.queries.limits)
    if said.isdecimal() and int(said[:20]) > allowed:
        if "close" in request.headers.get("connection", "").lower():
            await discard(request.receive)
        (long, long_in_french), (most, most_in_french) = figures(int(said[:20])), figures(allowed)
        raise TooLarge(
            {
                "en": f"the body has {long} bytes; {most} are allowed for a query sent like this",
                "fr": f"le corps compte {long_in_french} octets ; {most_in_french} sont admis pour une requête envoyée ainsi",
            }
        )


def _most_bytes(media_type: str, limits: Limits) -> int:
    """Longest body; in a form each byte may take three, and graphs stand beside the query."""
    return limits.query_bytes * (4 if media_type == FORM else 1)


@router.options("/sparql", include_in_schema=False)
async def options() -> Response:
    """What may be done here."""
    return Response(None, 204, {"Allow": "GET, HEAD, OPTIONS, POST", "Accept-Post": f"{QUERY}, {FORM}"})


quick = [
    Route("/sparql", ask_by_link, methods=["GET"]),
    Route("/sparql", ask_by_body, methods=["POST"]),
]
"""The same two without the framework's reading of parameters, of which they have none: a fifth of a lookup's time."""


def _content_type(request: Request) -> tuple[str, str]:
    """Media type and charset of the body, in lower case, "" where not given."""
    media_type, *parameters = (part.strip().lower() for part in request.headers.get("content-type", "").split(";"))
    charset = next((one.partition("=")[2].strip('"') for one in parameters if one.startswith("charset=")), "")
    return media_type, charset


def _text(raw: bytes, place: tuple[str, str]) -> str:
    """Bytes as text; `place` says in English and French where they stood."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadQuery(
            {
                "en": f"{place[0]} is not UTF-8: byte {error.start + 1} fits no character",
                "fr": f"{place[1]} n’est pas en UTF-8 : l’octet {error.start + 1} ne correspond à aucun caractère",
            }
        ) from error


def _parameters(raw: bytes) -> list[tuple[str, str]]:
    """Name and value pairs of an address or form, decoded once."""
    try:
        return parse_qsl(
            _text(raw, ("the request", "la demande")), keep_blank_values=True, errors="strict", max_num_fields=1000
        )
    except ValueError as error:
        raise BadQuery(
            {
                "en": "a parameter is not UTF-8, percent-encoded, or there are more than 1,000 of them",
                "fr": "un paramètre n’est pas de l’UTF-8 codé en pour cent, ou il y en a plus de 1\u202f000",
            }
        ) from error


def _read(parameters: Iterable[tuple[str, str]]) -> _Asked:
    """Sort the parameters by meaning; those that the protocol does not know are ignored, as it says."""
    values: dict[str, list[str]] = {}
    for name, value in parameters:
        values.setdefault(name, []).append(value)
    if "update" in values:
        raise RefusedQuery(NO_UPDATES)
    if len(values.get("query", ())) > 1:
        times, times_in_french = figures(len(values["query"]))
        raise BadQuery(
            {
                "en": f"query is given {times} times; give it once",
                "fr": f"query est donné {times_in_french} fois ; donnez-le une seule fois",
            }
        )
    format = _format_named(values.get("format", []))
    default, named = (values.get(f"{sort}-graph-uri") for sort in ("default", "named"))
    query = values.get("query", [None])[0]
    return _Asked(query, None if default is None else tuple(default), None if named is None else tuple(named), format)


def _format_named(said: list[str]) -> str | None:
    """One of NAMES, the first that is understood."""
    known = [ALSO_NAMED.get(one, one) for one in said if one in NAMES or one in ALSO_NAMED]
    if said and not known:
        raise BadQuery(
            {
                "en": f"there is no format {quoted(said[0])}; there are {', '.join(NAMES)}",
                "fr": f"il n’y a pas de format {quoted(said[0])} ; il y a {', '.join(NAMES)}",
            }
        )
    return known[0] if known else None


# ------------------------------------------------------------------------------------------ answers


async def _answered(request: Request, asked: _Asked) -> Response:
    if asked.query is None:
        raise BadQuery(
            {
                "en": f"there is no query; send it as the parameter 'query' or as a body of type {QUERY}",
                "fr": f"il n’y a pas de requête ; envoyez-la comme paramètre 'query' ou comme corps de type {QUERY}",
            }
        )
    table, graph = _formats(request, asked)
    try:
        answer = await _ask(request, asked, table, graph)
    except NoFormat as error:
        offered, one, other = (TABLES, "SELECT", "ASK") if error.form == "table" else (GRAPHS, "CONSTRUCT", "DESCRIBE")
        if asked.format is not None:
            raise _other_format(asked.format, f"{one} and {other}", f"{one} et {other}", offered) from error
        raise HTTPException(406, [*offered]) from error
    return _Slowly(answer, request.app.state.outbox, headers_of(answer.media_type, asked.format))


def _formats(request: Request, asked: _Asked) -> tuple[str | None, str | None]:
    """The media types for a table and for RDF, None where the client takes none; 406 when it takes neither."""
    if asked.format is not None:
        named = NAMES[asked.format]
        return (named, AS_RDF.get(asked.format)) if named in TABLES else (None, named)
    accept = request.headers.get("accept", "")
    table, graph = (_taken if len(accept) <= USUAL_HEADER_CHARS else _taken.__wrapped__)(accept)
    if table is None and graph is None:
        raise HTTPException(406, [*TABLES, *GRAPHS])
    return table, graph


@lru_cache(maxsize=256)
def _taken(accept: str) -> tuple[str | None, str | None]:
    """The media types that an Accept header likes best; clients send few different ones."""
    table = most_wanted(accept, (*TABLES, *ALSO))
    return ALSO.get(table or "", table), most_wanted(accept, tuple(GRAPHS))


def _other_format(format: str, asked: str, asked_in_french: str, offered: Collection[str]) -> HTTPException:
    """The format of `?format=` is none for what was asked."""
    names = ", ".join(name for name, media_type in NAMES.items() if media_type in offered)
    return HTTPException(
        406,
        {
            "en": f"the format {quoted(format)} does not fit {asked}; there are {names}",
            "fr": f"le format {quoted(format)} ne convient pas à {asked_in_french} ; il y a {names}",
        },
    )


def headers_of(media_type: str, format: str | None) -> dict[str, str]:
    """What the head of an answer says of it; `format` is the name that was asked for in the address, one of NAMES."""
    charset = "; charset=utf-8" if media_type.startswith(TEXTUAL) else ""
    headers = {"Content-Type": media_type + charset, "Vary": "Accept"}
    if format is not None:
        headers["Content-Disposition"] = f'attachment; filename="answer.{format}"'
    return headers


def _question(asked: _Asked, table: str | None, graph: str | None) -> Question:
    return Question(asked.query or "", table, graph, asked.default_graphs, asked.named_graphs)


async def _ask(request: Request, asked: _Asked, table: str | None, graph: str | None) -> Answer:
    """Ask in the client's name, and stop when it goes away."""
    if request.app.state.outbox.is_full():
        raise Busy(
            {
                "en": "too many answers are still being read; send the same query again in a few seconds",
                "fr": "trop de réponses sont encore en cours de lecture ; renvoyez la même requête dans quelques secondes",
            }
        )
    client = request.client.host if request.client else ""
    watching: list[asyncio.Future[None]] = []
    try:
        async with asyncio.timeout(None) as asking:
            soon = asyncio.get_running_loop().call_later(
                SOON_SECONDS, lambda: watching.append(asyncio.ensure_future(_end_when_left(request, asking)))
            )
            queries: QueryService = request.app.state.queries
            begun = request.scope.get("state", {}).pop(BEGUN, None)
            return await queries.ask(_question(asked, table, graph), client=client, begun=begun)
    except TimeoutError:
        raise Busy("the client went away") from None
    finally:
        soon.cancel()
        for watcher in watching:
            watcher.cancel()
        if watching:
            await asyncio.gather(*watching, return_exceptions=True)


async def _end_when_left(request: Request, asking: asyncio.Timeout) -> None:
    """Let the time be over when the client has closed its connection; for a request whose body has been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    asking.reschedule(asyncio.get_running_loop().time())


class Outbox:
    """Counts the bytes of answers that clients have not read yet."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self.bytes = 0

    def is_full(self) -> bool:
        return self.bytes >= self._limit_bytes

    @contextmanager
    def holding(self, size: int) -> Iterator[None]:
        self.bytes += size
        try:
            yield
        finally:
            self.bytes -= size


class _Slowly(Response):
    """An answer in chunks, given up when its reader takes none for a while."""

    def __init__(self, answer: Answer, outbox: Outbox, headers: Mapping[str, str]) -> None:
        super().__init__(answer.body, 200, headers)
        self._outbox = outbox

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._outbox.holding(len(self.body)):
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            # What is sent waits for what was sent before: a long answer ends with nothing, to wait for its last chunk.
            whole, chunks = bytes(self.body), range(0, len(self.body) + CHUNK_BYTES, CHUNK_BYTES)
            begins = [0] if len(whole) <= CHUNK_BYTES else chunks
            try:
                for begin in begins:
                    chunk, more = whole[begin : begin + CHUNK_BYTES], begin != begins[-1]
                    async with asyncio.timeout(READING_SECONDS):
                        await send({"type": "http.response.body", "body": chunk, "more_body": more})
            except TimeoutError:
                return


# ------------------------------------------------------------------------------------------ without a query


def _described(request: Request, asked: _Asked) -> Response:
    wanted = AS_RDF.get(asked.format, NAMES[asked.format]) if asked.format else None
    media_type = wanted or most_wanted(request.headers.get("accept"), tuple(GRAPHS))
    if media_type not in GRAPHS:
        if asked.format is not None:
            raise _other_format(asked.format, "a request without a query", "une demande sans requête", GRAPHS)
        raise HTTPException(406, [*GRAPHS, HTML])
    graph = description(f"{site_of(request)}sparql", request.app.state.catalogue.base)
    return Response(written(graph, media_type), headers=headers_of(media_type, asked.format))


async def _page(request: Request, asked: _Asked) -> Response:
    """The query page, with the answer under the form where there is a query."""
    asking = pages.Asking.of(request, asked.query, asked.default_graphs, asked.named_graphs)
    if asked.query is None:
        return asking.response(request)
    try:
        answer = await _ask(request, asked, NAMES["json"], NAMES["turtle"])
    except errors.KgError as error:
        return asking.response(request, fault=error)
    return await asyncio.to_thread(asking.response, request, answer)
