"""The reading half of the SPARQL 1.1 Graph Store Protocol: any graph of the dataset, or all of them as one.

https://www.w3.org/TR/sparql11-http-rdf-update/. A record's graph comes from the ledger, word for word; a
vocabulary's from the graph view; the default graph is the union of all, as in a query.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse
from rdflib.term import URIRef

from kg.errors import NotFound, UnreadableInput, quoted
from kg.records import is_iri
from kg.validation import nearest
from kg.vocabulary import DEFAULT_BASE, parse_thing_iri, record_iri
from service.api.linked_data import VOID, record_body
from service.publication import shown_revision
from service.representations import (
    GRAPHS,
    Format,
    cache_headers,
    chosen_format,
    is_fresh,
    link,
    not_modified,
    site_of,
    tag_of,
)

router = APIRouter()

_CONTENT = "CONSTRUCT {{ ?s ?p ?o }} WHERE {{ GRAPH {graph} {{ ?s ?p ?o }} }}"

UNION_FORMS = {"trig": "ttl", "nq": "nt"}
"""A graph without a name is the same text in both."""


@router.get("/graphs")
def graph_named(request: Request) -> Response:
    """Indirectly: `?graph=` with the graph's full address, or `?default`."""
    named = request.query_params.getlist("graph")
    default = "default" in request.query_params
    if len(named) + default != 1:
        raise UnreadableInput(
            "name one graph: ?graph= with its address (percent-encoded), or ?default for all together; "
            "the whole dataset, graph by graph, is /dumps/latest.nq.gz"
        )
    if default:
        return _union(request, chosen_format(request, GRAPHS))
    if not is_iri(named[0]):
        raise UnreadableInput(
            f"{quoted(named[0])} is no full address; the graph of a record is "
            f"{request.app.state.catalogue.base}id/city/jelgava#record, say, with %23 for #"
        )
    return _content(request, named[0], chosen_format(request, GRAPHS))


@router.get("/graphs/{path:path}")
def graph_at(request: Request, path: str) -> Response:
    """Directly: `/graphs/id/city/jelgava` is the graph of that record, `/graphs/ontology` that of the vocabulary."""
    catalogue = request.app.state.catalogue
    ours = parse_thing_iri(catalogue.base, f"{catalogue.base}{path}")
    iri = str(record_iri(catalogue.base, *ours)) if ours else f"{DEFAULT_BASE}{path}"
    return _content(request, iri, chosen_format(request, GRAPHS))


def _content(request: Request, iri: str, format: Format) -> Response:
    """What one graph holds."""
    catalogue = request.app.state.catalogue
    ours = parse_thing_iri(catalogue.base, iri)
    if ours and iri == str(record_iri(catalogue.base, *ours)):
        return _record(request, *ours, format)
    vocabularies = catalogue.graph.vocabularies()
    if iri in vocabularies:
        return _vocabulary(request, iri, vocabularies[iri], format)
    if ours:
        raise NotFound(f"there is no graph {quoted(iri, 200)}; the graph of a record is …/id/{'/'.join(ours)}#record")
    near = nearest(iri, sorted(vocabularies))
    raise NotFound(
        f"there is no graph {quoted(iri, 200)}"
        + (
            f"; did you mean {', '.join(near)}?"
            if near
            else "; /.well-known/void lists what there is beside the records"
        )
    )


def _record(request: Request, kind: str, id: str, format: Format) -> Response:
    catalogue = request.app.state.catalogue
    revision = shown_revision(catalogue, kind, id)
    tag = f"{revision.number}-{format.suffix}"
    headers = cache_headers(tag, vary="Accept", modified=revision.time, links=[link(VOID, "describedby")])
    if is_fresh(request, headers):
        return not_modified(headers)
    body = record_body(catalogue, revision, format, site_of(request))
    return Response(body, 200, headers, format.media_type)


def _vocabulary(request: Request, iri: str, digest: str, format: Format) -> Response:
    headers = cache_headers(
        f"{tag_of(digest.encode())}-{format.suffix}", vary="Accept", links=[link(VOID, "describedby")]
    )
    if is_fresh(request, headers):
        return not_modified(headers)
    content = request.app.state.catalogue.graph.query(_CONTENT.format(graph=URIRef(iri).n3()), graph=format.engine)
    return Response(content, 200, headers, format.media_type)


def _union(request: Request, format: Format) -> Response:
    """The default graph: made once per revision and format, as a file, and sent from there."""
    publication = request.app.state.publication
    with publication.turns.one():
        dump = publication.dumps.union(UNION_FORMS.get(format.suffix, format.suffix))
    headers = cache_headers(f"{dump.tag}-{format.suffix}", vary="Accept", links=[link(VOID, "describedby")])
    if is_fresh(request, headers):
        dump.file.close()
        return not_modified(headers)
    headers["Content-Length"] = str(dump.size_bytes)
    return StreamingResponse(dump.chunks(), 200, headers, format.media_type)
