"""Every name resolves: records, terms, concepts and lists, and the descriptions of the dataset.

A name of a thing answers 303 to a document about it, chosen by the Accept header; a document names its
other forms, and can be asked for again only if it has changed. docs/linked-data.md has the rules.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from fastapi.responses import Response
from rdflib import FOAF, OWL, PROV, Graph
from rdflib.term import URIRef

from kg.changes import role_of
from kg.descriptions import Place, catalogue_graph, record_graph, time_of, void_graph, with_prefixes
from kg.errors import Gone, NotFound, quoted
from kg.fields import declaration, json_ld_context
from kg.ledger import Revision
from kg.records import from_ntriples, to_json_ld
from kg.vocabulary import DEFAULT_BASE, thing_iri
from service.pages.records import absent, page_language
from service.pages.terms import THEMES, concept_named, scheme_head, themes_page, vocabulary_page
from service.publication import shown_revision, successor
from service.representations import (
    DOCUMENTS,
    HTML,
    JSON_LD,
    SUFFIXES,
    Format,
    alternates,
    answer,
    cache_headers,
    chosen,
    chosen_format,
    is_fresh,
    link,
    moved,
    not_modified,
    see_other,
    serialised,
    site_of,
    tag_of,
)

if TYPE_CHECKING:
    from kg.catalogue import Catalogue

router = APIRouter()

JSON = "application/json"
VOID = "/.well-known/void"

_OF_GRAPHS = "CONSTRUCT {{ ?s ?p ?o }} WHERE {{ VALUES ?graph {{ {graphs} }} GRAPH ?graph {{ ?s ?p ?o }} }}"
_OF_CONCEPT = """
CONSTRUCT {{ ?s ?p ?o }} WHERE {{
  GRAPH {graph} {{ ?s ?p ?o }} FILTER(?s = {concept} || EXISTS {{ GRAPH {graph} {{ ?s skos:inScheme {concept} }} }})
}}"""
_OF_THEMES = """
CONSTRUCT {{ ?s ?p ?o . {scheme} skos:hasTopConcept ?top }} WHERE {{
  {{ ?s skos:inScheme {scheme} . GRAPH ?record {{ ?s ?p ?o }} }}
  UNION {{ ?top skos:inScheme {scheme} FILTER NOT EXISTS {{ ?top skos:broader ?broader }} }}
}}"""


# Records


@router.get("/id/{kind}/{name}")
def record(request: Request, kind: str, name: str) -> Response:
    """A record's name: 303 to its page or to one of its documents. With a suffix: the document."""
    catalogue = request.app.state.catalogue
    id, dot, suffix = name.partition(".")
    wants_page = False
    if not dot:
        media_type = chosen(request, [*(f.media_type for f in DOCUMENTS), HTML, JSON])
        wants_page = media_type == HTML
    elif suffix not in SUFFIXES:
        raise _no_such_ending(name)
    try:
        revision = shown_revision(catalogue, kind, id)
    except Gone as error:
        replaced_by = successor(catalogue, error)
        if replaced_by:
            return moved(f"/id/{kind}/{replaced_by}{dot}{suffix}")
        if wants_page:
            return absent(request, error, page_language(request, None))
        raise
    except NotFound as error:
        if wants_page:
            return absent(request, error, page_language(request, None))
        raise
    if dot:
        return _record_document(request, revision, SUFFIXES[suffix])
    stem = f"/id/{kind}/{id}"
    pages = {HTML: f"/page/{kind}/{id}", JSON: f"/api/{declaration().kind(kind).path}/{id}"}
    target = pages.get(media_type) or f"{stem}.{_suffix_of(media_type)}"
    return see_other(target, vary="Accept", links=alternates(stem, pages[HTML], rel="describedby"))


def _suffix_of(media_type: str) -> str:
    return next(format.suffix for format in DOCUMENTS if format.media_type == media_type)


def _record_document(request: Request, revision: Revision, format: Format) -> Response:
    """A record's data in one format."""
    catalogue = request.app.state.catalogue
    stem = f"/id/{revision.kind}/{revision.id}"
    thing = thing_iri(catalogue.base, revision.kind, revision.id)
    links = [
        link(str(thing), "canonical"),
        *alternates(stem, f"/page/{revision.kind}/{revision.id}", but=format.media_type),
        link(VOID, "describedby"),
    ]
    headers = cache_headers(f"{revision.number}-{format.suffix}", modified=revision.time, links=links)
    if is_fresh(request, headers):
        return not_modified(headers)
    return Response(record_body(catalogue, revision, format, site_of(request)), 200, headers, format.media_type)


def record_body(catalogue: Catalogue, revision: Revision, format: Format, site: str) -> bytes:
    """A record's graph; as JSON-LD with the short keys of the JSON interface and our own context."""
    if format is not JSON_LD:
        return serialised(record_graph(revision, catalogue.base), format)
    linked = to_json_ld(from_ntriples(revision.payload or "", catalogue.base), catalogue.base, f"{site}context.jsonld")
    changed = {"@type": "http://www.w3.org/2001/XMLSchema#dateTime", "@value": time_of(revision.time)}
    said = {
        "id": "#record",
        "kind": "http://www.w3.org/ns/dcat#CatalogRecord",
        "https://w3id.org/mentorgraph/ontology#state": {"id": f"{DEFAULT_BASE}concept/record-state/published"},
        "http://purl.org/dc/terms/modified": changed,
        str(OWL.versionInfo): str(revision.number),
        str(PROV.generatedAtTime): changed,
        str(PROV.wasAttributedTo): {"id": f"{DEFAULT_BASE}concept/record-role/{role_of(revision.author)}"},
    }
    return json.dumps(linked | {"@reverse": {str(FOAF.primaryTopic): said}}, ensure_ascii=False, indent=1).encode()


# Terms, concepts, lists


@router.get("/concept/{path:path}")
def concept(request: Request, path: str) -> Response:
    """A concept's or scheme's name: 303 to page or document. With a suffix: the document."""
    name, dot, suffix = path.partition(".")
    if not dot:
        media_type = chosen(request, [*(format.media_type for format in DOCUMENTS), HTML])
        try:
            concept_named(name)
        except NotFound as error:
            if media_type == HTML:
                return absent(request, error, page_language(request, None))
            raise
        target = f"/page/concept/{name}" if media_type == HTML else f"/concept/{name}.{_suffix_of(media_type)}"
        links = alternates(f"/concept/{name}", f"/page/concept/{name}", rel="describedby")
        return see_other(target, vary="Accept", links=links)
    iri = concept_named(name)
    if suffix not in SUFFIXES:
        raise _no_such_ending(path)
    graph = URIRef(f"{DEFAULT_BASE}schemes").n3()
    links = [link(str(iri), "canonical"), *alternates(f"/concept/{name}", f"/page/concept/{name}")]
    return _of_vocabulary(
        request, ("schemes",), SUFFIXES[suffix], links, _OF_CONCEPT.format(graph=graph, concept=iri.n3())
    )


VOCABULARIES: dict[str, tuple[str, ...]] = {
    "ontology": ("ontology", "alignments", "shapes"),
    "shapes": ("shapes",),
    "schemes": ("schemes",),
    "alignments": ("alignments",),
}
"""Documents of the vocabulary and the graphs each is made of. Terms and shapes share the namespace `ontology#`, so that
document has both."""


def _vocabulary_route(name: str) -> Callable[..., Response]:
    def vocabulary(request: Request, lang: str | None = None) -> Response:
        if chosen(request, [*(format.media_type for format in DOCUMENTS), HTML]) == HTML:
            return vocabulary_page(request, lang)
        return _vocabulary_document(request, name, chosen_format(request), vary="Accept")

    return vocabulary


def _vocabulary_file_route(name: str) -> Callable[..., Response]:
    def vocabulary_file(request: Request, suffix: str) -> Response:
        return _vocabulary_document(request, name, _format_of(f"{name}.{suffix}", suffix))

    return vocabulary_file


for _name in VOCABULARIES:
    router.add_api_route(f"/{_name}", _vocabulary_route(_name))
    router.add_api_route(f"/{_name}.{{suffix}}", _vocabulary_file_route(_name))


def _no_such_ending(name: str) -> NotFound:
    endings = ", ".join(f".{one}" for one in SUFFIXES)
    return NotFound(
        {
            "en": f"there is no {quoted(name)}; the endings are {endings}",
            "fr": f"il n’y a pas de {quoted(name)} ; les terminaisons sont {endings}",
        }
    )


def _format_of(name: str, suffix: str) -> Format:
    if suffix not in SUFFIXES:
        raise _no_such_ending(name)
    return SUFFIXES[suffix]


def _vocabulary_document(request: Request, name: str, format: Format, vary: str = "") -> Response:
    graphs = " ".join(URIRef(f"{DEFAULT_BASE}{one}").n3() for one in VOCABULARIES[name])
    links = [link(f"{DEFAULT_BASE}{name}", "canonical"), *alternates(f"/{name}", f"/{name}", but=format.media_type)]
    return _of_vocabulary(request, VOCABULARIES[name], format, links, _OF_GRAPHS.format(graphs=graphs), vary)


def _of_vocabulary(
    request: Request, names: tuple[str, ...], format: Format, links: list[str], question: str, vary: str = ""
) -> Response:
    """What one of our queries makes of the vocabularies' graphs; they change only with the files that are shipped."""
    graph = request.app.state.catalogue.graph
    loaded = graph.vocabularies()
    digests = "".join(loaded[f"{DEFAULT_BASE}{name}"] for name in names)
    headers = cache_headers(f"{tag_of(digests.encode())}-{format.suffix}", vary=vary, links=links)
    if is_fresh(request, headers):
        return not_modified(headers)
    return Response(graph.query(question, graph=format.engine), 200, headers, format.media_type)


@router.get("/themes")
def themes(request: Request, lang: str | None = None) -> Response:
    """The list of themes, as a page or as data."""
    if chosen(request, [*(format.media_type for format in DOCUMENTS), HTML]) == HTML:
        return themes_page(request, lang)
    return _themes_document(request, chosen_format(request), vary="Accept")


@router.get("/themes.{suffix}")
def themes_file(request: Request, suffix: str) -> Response:
    """The list of themes in one format."""
    return _themes_document(request, _format_of(f"themes.{suffix}", suffix))


def _themes_document(request: Request, format: Format, vary: str = "") -> Response:
    catalogue = request.app.state.catalogue
    graph = scheme_head()
    graph.parse(
        data=catalogue.graph.query(_OF_THEMES.format(scheme=URIRef(THEMES).n3()), graph="ntriples"), format="nt"
    )
    links = [link(THEMES, "canonical"), *alternates("/themes", "/themes", but=format.media_type)]
    return _document(request, with_prefixes(graph), format, links, vary)


def _document(request: Request, graph: Graph, format: Format, links: list[str], vary: str) -> Response:
    """A graph that was made just now; its tag is that of its sorted statements, for a serialiser may vary their order."""
    lines = sorted(graph.serialize(format="nt", encoding="utf-8").splitlines())
    headers = cache_headers(f"{tag_of(b''.join(lines))}-{format.suffix}", vary=vary, links=links)
    if is_fresh(request, headers):
        return not_modified(headers)
    return Response(serialised(graph, format), 200, headers, format.media_type)


@router.get("/context.jsonld")
def context(request: Request) -> Response:
    """The JSON-LD context: what each key of a record means."""
    body = _context()
    return answer(request, body, JSON_LD.media_type, cache_headers(tag_of(body)))


@cache
def _context() -> bytes:
    return json.dumps(json_ld_context(declaration()), ensure_ascii=False, indent=1).encode()


# Descriptions of the dataset


@router.get(VOID)
def void(request: Request) -> Response:
    """What the dataset holds, in figures (VoID), with its prefixes."""
    return _description(request, void_graph, VOID, vary="Accept")


@router.get(VOID + ".{suffix}")
def void_file(request: Request, suffix: str) -> Response:
    """The same in one format."""
    return _description(request, void_graph, VOID, _format_of(f"void.{suffix}", suffix))


@router.get("/catalog")
def catalog(request: Request) -> Response:
    """The dataset, its forms and services (DCAT-AP 3)."""
    return _description(request, catalogue_graph, "/catalog", vary="Accept")


@router.get("/catalog.{suffix}")
def catalog_file(request: Request, suffix: str) -> Response:
    """The same in one format."""
    return _description(request, catalogue_graph, "/catalog", _format_of(f"catalog.{suffix}", suffix))


def _description(
    request: Request,
    describe: Callable[..., Graph],
    address: str,
    format: Format | None = None,
    *,
    vary: str = "",
) -> Response:
    """A description in the format asked for. Counting passes over the whole graph, so it takes a turn."""
    catalogue = request.app.state.catalogue
    format = format or chosen_format(request)
    publication = request.app.state.publication
    with publication.turns.one():
        revision, size = publication.size()
    place = Place(catalogue.base, site_of(request), request.app.state.settings.publisher, revision)
    links = [link(f"{catalogue.base}{address[1:]}", "canonical"), *alternates(address, but=format.media_type)]
    return _document(request, describe(size, place), format, links, vary)
