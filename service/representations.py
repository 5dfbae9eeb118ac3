"""The forms a resource comes in: RDF formats, their suffixes, links between them, and conditional requests."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime

from fastapi import HTTPException, Request
from fastapi.responses import Response
from rdflib import Graph

from service.negotiation import acceptable

HTML = "text/html"


@dataclass(frozen=True)
class Format:
    """One way to write RDF: its suffix in addresses, its media type, and its names in rdflib and in the graph view."""

    suffix: str
    media_type: str
    rdflib: str
    engine: str


TURTLE = Format("ttl", "text/turtle", "turtle", "turtle")
JSON_LD = Format("jsonld", "application/ld+json", "json-ld", "jsonld")
N_TRIPLES = Format("nt", "application/n-triples", "nt", "ntriples")
RDF_XML = Format("rdf", "application/rdf+xml", "xml", "rdfxml")
TRIG = Format("trig", "application/trig", "turtle", "turtle")
N_QUADS = Format("nq", "application/n-quads", "nt", "ntriples")

DOCUMENTS = (TURTLE, JSON_LD, N_TRIPLES, RDF_XML)
"""Formats of records, terms and descriptions; each has an address of its own by its suffix. Turtle unless asked."""

GRAPHS = (*DOCUMENTS, TRIG, N_QUADS)
"""Formats of the Graph Store Protocol. One graph alone is the same text in TriG as in Turtle, and in N-Quads as in
N-Triples: a graph's content, without its name."""

SUFFIXES = {format.suffix: format for format in DOCUMENTS}

_SITE = re.compile(r"https?://[A-Za-z0-9.\-]+(:\d{1,5})?(/[A-Za-z0-9._~\-]+)*/|https?://\[[0-9a-fA-F:]+\](:\d{1,5})?/")


def chosen(request: Request, offered: Sequence[str]) -> str:
    """The media type that the request's Accept header asks for; 406, listing what there is, when none fits."""
    media_type = acceptable(request.headers.get("accept"), offered)
    if media_type is None:
        raise HTTPException(406, [*offered])
    return media_type


def chosen_format(request: Request, formats: Sequence[Format] = DOCUMENTS) -> Format:
    """The RDF format that the Accept header asks for, else 406."""
    media_type = chosen(request, [format.media_type for format in formats])
    return next(format for format in formats if format.media_type == media_type)


def site_of(request: Request) -> str:
    """The address of the service for readers, ending in a slash: as it is set, else as the request names it.

    A Host header that is no host name is not repeated; then the base of the records is answered.
    """
    public: str | None = request.app.state.settings.public_url
    named = public or str(request.base_url)
    return named if _SITE.fullmatch(named) else str(request.app.state.catalogue.base)


def serialised(graph: Graph, format: Format) -> bytes:
    """A small graph, written by rdflib."""
    return graph.serialize(format=format.rdflib, encoding="utf-8")


def tag_of(body: bytes) -> str:
    """An entity tag that names the content itself.

    >>> tag_of(b"")
    'e3b0c44298fc1c149afb'
    """
    return hashlib.sha256(body).hexdigest()[:20]


def link(target: str, rel: str, **attributes: str) -> str:
    """One value of a Link header (RFC 8288).

    >>> link("/id/city/riga.ttl", "alternate", type="text/turtle")
    '</id/city/riga.ttl>; rel="alternate"; type="text/turtle"'
    """
    return "; ".join([f"<{target}>", f'rel="{rel}"', *(f'{name}="{value}"' for name, value in attributes.items())])


def alternates(stem: str, page: str | None = None, *, rel: str = "alternate", but: str = "") -> list[str]:
    """Links to a document's other forms: those with a suffix after `stem`, and its page."""
    forms = [(f"{stem}.{format.suffix}", format.media_type) for format in DOCUMENTS]
    forms += [(page, HTML)] if page else []
    return [link(target, rel, type=media_type) for target, media_type in forms if media_type != but]


def cache_headers(
    tag: str, *, vary: str = "", modified: datetime | None = None, links: Sequence[str] = ()
) -> dict[str, str]:
    """Headers by which copies are kept and checked: any copy may be kept, and is asked about before it is used."""
    headers = {"ETag": f'"{tag}"', "Cache-Control": "no-cache"}
    if vary:
        headers["Vary"] = vary
    if modified is not None:
        headers["Last-Modified"] = format_datetime(modified.astimezone(UTC).replace(microsecond=0), usegmt=True)
    if links:
        headers["Link"] = ", ".join(links)
    return headers


def is_fresh(request: Request, headers: Mapping[str, str]) -> bool:
    """Whether the copy that the client holds is what these headers describe (RFC 9110, 13.2.2).

    If-None-Match decides where it is sent; If-Modified-Since only without it.
    """
    held = request.headers.get("if-none-match")
    if held is not None:
        tags = {tag.strip().removeprefix("W/") for tag in held.split(",")}
        return headers["ETag"] in tags or "*" in tags
    since, modified = request.headers.get("if-modified-since"), headers.get("Last-Modified")
    if since is None or modified is None:
        return False
    try:
        return parsedate_to_datetime(since) >= parsedate_to_datetime(modified)
    except (TypeError, ValueError):  # not a date, or one without a zone: the header is to be ignored
        return False


def not_modified(headers: Mapping[str, str]) -> Response:
    """304: the client's copy will do."""
    return Response(None, 304, dict(headers))


def answer(request: Request, body: bytes, media_type: str, headers: Mapping[str, str]) -> Response:
    """The body, or 304 when the client holds it already."""
    if is_fresh(request, headers):
        return not_modified(headers)
    return Response(body, headers=dict(headers), media_type=media_type)


def see_other(target: str, *, vary: str, links: Sequence[str] = ()) -> Response:
    """303: what was asked for is no document; here is one about it."""
    headers = {"Location": target, "Vary": vary, "Cache-Control": "no-cache"}
    return Response(None, 303, headers | ({"Link": ", ".join(links)} if links else {}))


def moved(target: str) -> Response:
    """301, to be asked again each time: a merger can be undone."""
    return Response(None, 301, {"Location": target, "Cache-Control": "no-cache"})
