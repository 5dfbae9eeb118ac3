"""The SPARQL 1.1 Graph Store Protocol: any graph of the dataset, or all of them as one.

https://www.w3.org/TR/sparql11-http-rdf-update/. A record's graph comes from the ledger, word for word; a
vocabulary's from the graph view; the default graph is the union of all, as in a query. What is written goes the way of
every change, through the shapes and the ledger: it becomes a draft (202) unless publication is asked for and allowed.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from rdflib.term import URIRef

from kg.accounts import Actor
from kg.errors import InvalidRecord, NotFound, ReadOnly, StaleRecord, UnreadableInput, did_you_mean, in_french, quoted
from kg.exchange.importing import Standing, rdf_rows
from kg.fields import Kind, declaration
from kg.records import Record, graph_from_ntriples, is_iri
from kg.validation import nearest, validation_report
from kg.vocabulary import DEFAULT_BASE, parse_thing_iri, record_iri, thing_iri
from service.access import needs
from service.api.bodies import (
    BODY,
    RDF_TYPES,
    IfMatch,
    Note,
    Publish,
    expected_revision,
    media_type_of,
    raw_body,
    require_none_match,
    text_of,
)
from service.api.linked_data import VOID, record_body
from service.api.records import checked_id
from service.negotiation import acceptable, language_of_header
from service.problems import MEDIA_TYPE as PROBLEM
from service.problems import language_asked, row_of
from service.publication import shown_revision
from service.representations import (
    GRAPHS,
    Format,
    cache_headers,
    chosen_format,
    is_fresh,
    link,
    not_modified,
    serialised,
    site_of,
    tag_of,
)

router = APIRouter()

_CONTENT = "CONSTRUCT {{ ?s ?p ?o }} WHERE {{ GRAPH {graph} {{ ?s ?p ?o }} }}"

UNION_FORMS = {"trig": "ttl", "nq": "nt"}
"""A graph without a name is the same text in both."""


NAME_ONE = {
    "en": "name one graph: ?graph= with its address (percent-encoded), or ?default for all together; "
    "the whole dataset, graph by graph, is /dumps/latest.nq.gz",
    "fr": "nommez un seul graphe : ?graph= avec son adresse (encodée avec %), ou ?default pour tous ensemble ; "
    "le jeu de données entier, graphe par graphe, est /dumps/latest.nq.gz",
}
NAMED_TWICE = {
    "en": "the path names a graph already: leave ?graph= and ?default out, or ask /graphs with one of them",
    "fr": "le chemin nomme déjà un graphe : retirez ?graph= et ?default, ou demandez /graphs avec l’un des deux",
}


@router.get("/graphs")
def graph_named(request: Request) -> Response:
    """Indirectly: `?graph=` with the graph's full address, or `?default`."""
    named = request.query_params.getlist("graph")
    default = "default" in request.query_params
    if len(named) + default != 1:
        raise UnreadableInput(NAME_ONE)
    if default:
        return _union(request, chosen_format(request, GRAPHS))
    if not is_iri(named[0]):
        raise UnreadableInput(
            {
                "en": (
                    f"{quoted(named[0])} is no full address; the graph of a record is "
                    f"{request.app.state.catalogue.base}id/city/jelgava#record, say, with %23 for #"
                ),
                "fr": (
                    f"{quoted(named[0])} n’est pas une adresse complète ; le graphe d’une fiche est par exemple "
                    f"{request.app.state.catalogue.base}id/city/jelgava#record, avec %23 pour #"
                ),
            }
        )
    return _content(request, named[0], chosen_format(request, GRAPHS))


@router.get("/graphs/{path:path}")
def graph_at(request: Request, path: str) -> Response:
    """Directly: `/graphs/id/city/jelgava` is the graph of that record, `/graphs/ontology` that of the vocabulary."""
    catalogue = request.app.state.catalogue
    _refuse_second_name(request)
    return _content(request, _iri_of(catalogue.base, path), chosen_format(request, GRAPHS))


def _iri_of(base: str, path: str) -> str:
    """The graph that a path below /graphs names: a record's, else a vocabulary's."""
    ours = parse_thing_iri(base, f"{base}{path}")
    return str(record_iri(base, *ours)) if ours else f"{DEFAULT_BASE}{path}"


def _refuse_second_name(request: Request) -> None:
    """Directly and indirectly at once: the two might differ, and one would be passed over."""
    if "graph" in request.query_params or "default" in request.query_params:
        raise UnreadableInput(NAMED_TWICE)


Body = Annotated[bytes, Depends(raw_body)]
Writer = Annotated[Actor, Depends(needs("write"))]


@router.put("/graphs")
@router.put("/graphs/{path:path}")
def put_graph(
    request: Request, body: Body, who: Writer, path: str = "", note: Note = "", publish: Publish = False
) -> Response:
    """Write a record's graph anew; what is not in the body is gone from it."""
    kind, id = _record_named(request, path)
    return _written(request, kind, id, _statements(request, body), who, note, publish)


@router.post("/graphs")
@router.post("/graphs/{path:path}")
def post_graph(
    request: Request, body: Body, who: Writer, path: str = "", note: Note = "", publish: Publish = False
) -> Response:
    """Add statements to a record's graph; without a graph's name the body is a new record, named by what it describes."""
    named = path or request.query_params.getlist("graph") or "default" in request.query_params
    if named:
        kind, id = _record_named(request, path)
        rows = _statements(request, body, _standing(request, kind, id))
        return _written(request, kind, id, rows, who, note, publish, adding=True)
    rows = _statements(request, body)
    if len(rows) != 1:
        raise UnreadableInput(
            {
                "en": f"the body describes {len(rows)} records; one makes a graph",
                "fr": f"le corps décrit {len(rows)} fiches ; il en faut une pour un graphe",
            }
        )
    kind = declaration().kind(str(rows[0]["kind"]))
    return _written(request, kind, str(rows[0]["id"]), rows, who, note, publish, new=True)


@router.delete("/graphs")
@router.delete("/graphs/{path:path}")
def delete_graph(
    request: Request,
    who: Writer,
    path: str = "",
    reason: Annotated[str, Query(max_length=2000)] = "",
    replaced_by: Annotated[str | None, Query(max_length=120)] = None,
    if_match: IfMatch = None,
) -> Response:
    """Withdraw a record, with `?reason=`; its address keeps a tombstone."""
    kind, id = _record_named(request, path)
    desk = request.app.state.catalogue.curation
    expected = expected_revision(request, kind.name, id, if_match)
    saved = desk.withdraw(kind.name, id, who, expected=expected, reason=reason, replaced_by=replaced_by)
    return Response(None, 204, {"ETag": f'"{saved.revision}"'})


def _record_named(request: Request, path: str) -> tuple[Kind, str]:
    """The record whose graph the address names. Other graphs cannot be written: ReadOnly says why."""
    catalogue = request.app.state.catalogue
    named = request.query_params.getlist("graph")
    if path:
        _refuse_second_name(request)
    elif len(named) + ("default" in request.query_params) != 1:
        raise UnreadableInput(NAME_ONE)
    elif not named:
        raise ReadOnly(
            {
                "en": "?default is the union of all graphs, which is not written as one: name a record's graph "
                "with ?graph=, or send a new record to /graphs by POST",
                "fr": "?default est l’union de tous les graphes, qui ne s’écrit pas d’un bloc : nommez le graphe d’une "
                "fiche avec ?graph=, ou envoyez une nouvelle fiche à /graphs par POST",
            }
        )
    iri = _iri_of(catalogue.base, path) if path else named[0]
    ours = parse_thing_iri(catalogue.base, iri)
    if ours is None or iri != str(record_iri(catalogue.base, *ours)):
        raise ReadOnly(
            {
                "en": f"{quoted(iri, 200)} is no graph of a record, such as {catalogue.base}id/city/jelgava#record; "
                "the vocabulary's graphs come with the program",
                "fr": f"{quoted(iri, 200)} n’est pas le graphe d’une fiche, comme {catalogue.base}id/city/jelgava#record ; "
                "les graphes du vocabulaire viennent avec le programme",
            }
        )
    kind = declaration().kind(ours[0])
    return kind, checked_id(kind.name, ours[1])


def _standing(request: Request, kind: Kind, id: str) -> Standing:
    """What the ledger knows of the record that a body is added to. No name is given twice, not after its part went."""
    catalogue = request.app.state.catalogue
    thing = str(thing_iri(catalogue.base, kind.name, id))
    names = {
        rest.partition(">")[0]
        for revision in catalogue.ledger.history(kind.name, id)
        for rest in (revision.payload or "").split(f"<{thing}#")[1:]
    }
    newest = next(iter(catalogue.ledger.newest(kind.name, [id])), None)
    return Standing(thing, names, list(graph_from_ntriples(newest.payload)) if newest and newest.payload else ())


def _statements(request: Request, body: bytes, onto: Standing | None = None) -> list[Record]:
    """The records that an RDF body describes."""
    format = RDF_TYPES[media_type_of(request, *RDF_TYPES)]
    base = request.app.state.catalogue.base
    others: list[str] = []
    language = language_asked(request)
    rows = list(
        rdf_rows(
            BODY[language],
            text_of(body),
            format,
            base,
            ignored=others,
            onto=onto,
            in_own_graphs=True,
            language=language,
        )
    )
    if others:
        raise UnreadableInput(
            {
                "en": f"the body has statements about {quoted(others[0], 200)}, which is no part of a record",
                "fr": f"le corps a des énoncés sur {quoted(others[0], 200)}, qui ne fait partie d’aucune fiche",
            }
        )
    for row in rows:
        if row.error is not None:
            raise row.error
    return [row.record for row in rows if row.record is not None]


def _written(
    request: Request,
    kind: Kind,
    id: str,
    rows: list[Record],
    who: Actor,
    note: str,
    publish: bool,
    *,
    adding: bool = False,
    new: bool = False,
) -> Response:
    """Save a record's graph, or what is added to it, and answer as the protocol says."""
    catalogue = request.app.state.catalogue
    if any((row["kind"], row["id"]) != (kind.name, id) for row in rows) or not rows:
        raise UnreadableInput(
            {
                "en": f"the body must describe {thing_iri(catalogue.base, kind.name, id)} and nothing else",
                "fr": f"le corps doit décrire {thing_iri(catalogue.base, kind.name, id)} et rien d’autre",
            }
        )
    desk, language = catalogue.curation, language_of_header(request.headers.get("accept-language")) or "en"
    options: dict[str, Any] = {"note": note, "publish": publish, "language": language}
    known = catalogue.ledger.head(kind.name, id)
    condition = request.headers.get("if-match")
    require_none_match(request, kind.name, id, request.headers.get("if-none-match"))
    try:
        if known is None and condition is not None:
            raise StaleRecord(
                {
                    "en": f"If-Match asks for a record that is there, and there is no {kind.name} {quoted(id)}",
                    "fr": f"If-Match demande une fiche qui existe, et il n’y a pas de {in_french(kind.name)} {quoted(id)}",
                }
            )
        if new or known is None:
            saved, created = desk.create(kind.name, rows[0], who, **options), True
        else:
            expected, created = expected_revision(request, kind.name, id, condition), False
            change = desk.extend if adding else desk.replace
            saved = change(kind.name, id, rows[0], who, expected=expected, **options)
    except InvalidRecord as error:
        return _refused(request, error)
    headers = {"ETag": f'"{saved.revision}"', "Location": f"/graphs/id/{kind.name}/{id}"}
    if saved.state == "published":
        return Response(None, 201 if created else 204, headers)
    headers["Location"] = f"/api/{kind.path}/{id}?version=newest"
    told = {"state": saved.state, "revision": saved.revision, "address": headers["Location"]}
    return JSONResponse(told, 202, headers)


def _refused(request: Request, error: InvalidRecord) -> Response:
    """422: the report of the shapes as RDF where the client asks for that, else the problem document."""
    media_type = acceptable(request.headers.get("accept"), [PROBLEM, *(format.media_type for format in GRAPHS)])
    if media_type in (None, PROBLEM):
        raise error
    base = request.app.state.catalogue.base
    graph = validation_report(error, base)
    format = next(one for one in GRAPHS if one.media_type == media_type)
    return Response(
        serialised(graph, format), row_of(error).status, {"Vary": "Accept, Accept-Language"}, format.media_type
    )


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
        raise NotFound(
            {
                "en": f"there is no graph {quoted(iri, 200)}; the graph of a record is …/id/{'/'.join(ours)}#record",
                "fr": f"il n’y a pas de graphe {quoted(iri, 200)} ; le graphe d’une fiche est …/id/{'/'.join(ours)}#record",
            }
        )
    near = nearest(iri, sorted(vocabularies))
    english, french = (
        did_you_mean(near)
        if near
        else (
            "; /.well-known/void lists what there is beside the records",
            " ; /.well-known/void énumère ce qu’il y a à côté des fiches",
        )
    )
    raise NotFound(
        {
            "en": f"there is no graph {quoted(iri, 200)}{english}",
            "fr": f"il n’y a pas de graphe {quoted(iri, 200)}{french}",
        }
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
