"""Readable pages of the vocabulary: its terms and record kinds, the fixed schemes, the themes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from rdflib import DCTERMS, OWL, RDF, RDFS, SH, SKOS, Graph, Literal, URIRef
from rdflib.term import Node

from kg.errors import NotFound, did_you_mean, quoted
from kg.fields import Field, Kind, Structure, declaration, in_language, shapes_graph, structures
from kg.validation import nearest
from kg.vocabulary import CONCEPTS, DEFAULT_BASE, MG
from service.pages.records import absent, html, local_page, page_language, switch
from service.pages.texts import alphabetical, page
from service.representations import alternates, link

router = APIRouter()

THEMES = f"{DEFAULT_BASE}themes"


@dataclass(frozen=True)
class Term:
    """A class, property or concept with its words; `broader` are the terms it specialises, as (name, address)."""

    iri: str
    name: str
    label: str
    definition: str
    example: str
    broader: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Part:
    """A kind of record or a part of one, with its fields and the names of all rules about them."""

    name: str
    label: str
    help: str
    fields: tuple[tuple[Field, str, str], ...]
    rules: tuple[str, ...]
    is_kind: bool


def vocabulary_page(request: Request, lang: str | None) -> Response:
    """Every term of the ontology and every shape on one page: a name after # leads to its own place."""
    language = page_language(request, lang)
    body = _vocabulary_body(language)
    links = [link(f"{DEFAULT_BASE}ontology", "canonical"), *alternates("/ontology")]
    return html(request, body, language, links, vary="Accept")


@cache
def _vocabulary_body(language: str) -> bytes:
    """Made once for each language: it changes only with the files that are shipped."""
    graph = _graph()
    shown = {
        "classes": list(_terms(graph, OWL.Class, language)),
        "properties": sorted(
            [
                *_terms(graph, OWL.ObjectProperty, language),
                *_terms(graph, OWL.DatatypeProperty, language),
                *_terms(graph, RDF.Property, language),
            ],
            key=lambda term: term.name.lower(),
        ),
        "others": list(_other_names(graph)),
        "parts": [_part(graph, structure, language) for structure in structures(declaration())],
        "groups": declaration().groups,
        "in_language": lambda text: in_language(text, language),
        "schemes": _schemes(graph, language),
        "version": graph.value(URIRef(f"{DEFAULT_BASE}ontology"), OWL.versionInfo),
        "switch": switch("/ontology"),
    }
    return page("ontology.html", language, shown).encode()


@cache
def _graph() -> Graph:
    """Shapes, schemes and vocabulary; nobody changes it here."""
    return shapes_graph()


def _terms(graph: Graph, cls: Node, language: str) -> Iterator[Term]:
    for term in sorted(set(graph.subjects(RDF.type, cls)), key=str):
        if str(term).startswith(str(MG)):
            yield _term(graph, term, language)


def _term(graph: Graph, term: Node, language: str) -> Term:
    broader = [
        *graph.objects(term, RDFS.subClassOf),
        *graph.objects(term, RDFS.subPropertyOf),
        *graph.objects(term, SKOS.broader),
    ]
    return Term(
        str(term),
        _name(term),
        words(graph, term, language, RDFS.label, SKOS.prefLabel) or _name(term),
        words(graph, term, language, SKOS.definition, SKOS.scopeNote, RDFS.comment),
        words(graph, term, language, SKOS.example),
        tuple((_name(one), local_page(str(one), language) or str(one)) for one in sorted(broader, key=str)),
    )


def _name(term: Node) -> str:
    return str(term).replace("#", "/").rpartition("/")[2]


def words(graph: Graph, term: Node, language: str, *properties: URIRef) -> str:
    """What a term says about itself, by the first of the properties that it has, in one language."""
    for predicate in properties:
        values = [value for value in graph.objects(term, predicate) if isinstance(value, Literal)]
        if values:
            return in_language({value.language or "en": str(value) for value in values}, language)
    return ""


def _part(graph: Graph, structure: Structure, language: str) -> Part:
    described = {str(field.shape) for field in structure.fields}
    rules = sorted(_name(rule) for rule in graph.objects(structure.shape, SH.property) if str(rule) not in described)
    fields = tuple((field, _name(field.shape), _name(field.path)) for field in structure.fields)
    label, help = in_language(structure.label, language), in_language(structure.help, language)
    return Part(_name(structure.shape), label, help, fields, tuple(rules), isinstance(structure, Kind))


def _other_names(graph: Graph) -> Iterator[str]:
    """Names in the ontology's namespace that are neither term nor shape of a field: groups of fields, and such."""
    shown = {OWL.Class, OWL.ObjectProperty, OWL.DatatypeProperty, RDF.Property}
    shapes = {structure.shape for structure in structures(declaration())}
    rules = {rule for shape in shapes for rule in graph.objects(shape, SH.property)}
    for subject in sorted({subject for subject in graph.subjects() if str(subject).startswith(str(MG))}, key=str):
        if subject not in shapes | rules and not shown & set(graph.objects(subject, RDF.type)):
            yield _name(subject)


def _schemes(graph: Graph, language: str) -> list[Term]:
    schemes = sorted(graph.subjects(RDF.type, SKOS.ConceptScheme), key=str)
    return [_term(graph, scheme, language) for scheme in schemes]


def concept_named(path: str) -> URIRef:
    """The concept or scheme of an address below concept/.

    Raises NotFound, offering the nearest names.

    >>> concept_named("tie/own")
    rdflib.term.URIRef('https://w3id.org/mentorgraph/concept/tie/own')
    >>> concept_named("tie/owm")
    Traceback (most recent call last):
    kg.errors.NotFound: there is no concept 'tie/owm'; did you mean tie/own, tie?
    """
    graph = _graph()
    iri = URIRef(CONCEPTS + path)
    sorts = (SKOS.Concept, SKOS.ConceptScheme)
    if any((iri, RDF.type, sort) in graph for sort in sorts):
        return iri
    known = [str(one).removeprefix(CONCEPTS) for sort in sorts for one in graph.subjects(RDF.type, sort)]
    near = nearest(path, known)
    english, french = did_you_mean(near)
    raise NotFound(
        {"en": f"there is no concept {quoted(path)}{english}", "fr": f"il n’y a pas de concept {quoted(path)}{french}"}
    )


@router.get("/page/concept/{path:path}")
def concept_page(request: Request, path: str, lang: str | None = None) -> Response:
    """A fixed concept, or a scheme with all its concepts."""
    language = page_language(request, lang)
    try:
        iri = concept_named(path)
    except NotFound as error:
        return absent(request, error, language)
    graph = _graph()
    members = [_term(graph, one, language) for one in graph.objects(iri, SKOS.hasTopConcept)]
    scheme = graph.value(iri, SKOS.inScheme)
    shown = {
        "term": _term(graph, iri, language),
        "notation": graph.value(iri, SKOS.notation),
        "members": [(one, local_page(one.iri, language)) for one in members],
        "scheme": scheme and (_term(graph, scheme, language), local_page(str(scheme), language)),
        "stem": f"/concept/{path}",
        "switch": switch(f"/page/concept/{path}"),
    }
    links = [link(str(iri), "canonical"), *alternates(f"/concept/{path}")]
    return html(request, page("concept.html", language, shown).encode(), language, links)


_THEMES = """
SELECT ?theme ?label ?broader ?note WHERE {
  ?theme skos:inScheme <%s> ; skos:prefLabel ?label .
  OPTIONAL { ?theme skos:broader ?broader } OPTIONAL { ?theme skos:scopeNote ?note }
}"""


def themes_page(request: Request, lang: str | None) -> Response:
    """The themes as a tree."""
    language = page_language(request, lang)
    themes = _themes(request.app.state.catalogue, language)
    shown = {"tops": [one for one in themes.values() if not one["is_narrower"]], "switch": switch("/themes")}
    links = [link(THEMES, "canonical"), *alternates("/themes")]
    return html(request, page("themes.html", language, shown).encode(), language, links, vary="Accept")


def _themes(catalogue: Any, language: str) -> Mapping[str, dict[str, Any]]:
    """Each published theme with its label, note, address and narrower themes, by label."""
    labels: dict[str, dict[str, str]] = {}
    broader: dict[str, str] = {}
    notes: dict[str, dict[str, str]] = {}
    for row in catalogue.graph.rows(_THEMES % THEMES):
        theme = str(row["theme"])
        labels.setdefault(theme, {})[row.get("label@lang") or "en"] = str(row["label"])
        if row["note"]:
            notes.setdefault(theme, {})[row.get("note@lang") or "en"] = str(row["note"])
        if row["broader"]:
            broader[theme] = str(row["broader"])
    names = {theme: in_language(texts, language) for theme, texts in labels.items()}
    themes: dict[str, dict[str, Any]] = {
        theme: {
            "label": names[theme],
            "note": in_language(notes.get(theme, {}), language),
            "address": f"/page/theme/{_name(URIRef(theme))}?lang={language}",
            "narrower": [],
            "is_narrower": broader.get(theme) in names,
        }
        for theme in sorted(names, key=lambda one: alphabetical(names[one]))
    }
    for theme in themes:
        if themes[theme]["is_narrower"]:
            themes[broader[theme]]["narrower"].append(themes[theme])
    return themes


def scheme_head() -> Graph:
    """What the shipped file says of the list of themes itself: title, licence, version, notes."""
    head = Graph(bind_namespaces="none")
    for predicate in (RDF.type, DCTERMS.title, DCTERMS.license, OWL.versionInfo, SKOS.editorialNote):
        for value in _themes_file().objects(URIRef(THEMES), predicate):
            head.add((URIRef(THEMES), predicate, value))
    return head


@cache
def _themes_file() -> Graph:
    from ontology import path as shipped

    return Graph(bind_namespaces="none").parse(shipped("themes.ttl"), format="turtle")
