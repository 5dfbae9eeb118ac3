"""Namespaces and fixed addresses; everything else about the vocabulary is read from the ontology files."""

from __future__ import annotations

from rdflib import DCAT, DCTERMS, FOAF, ORG, OWL, PROV, RDF, RDFS, SDO, SH, SKOS, XSD, Namespace, URIRef

MG = Namespace("https://w3id.org/mentorgraph/ontology#")

DEFAULT_BASE = "https://w3id.org/mentorgraph/"
"""Base of record IRIs unless a ledger was made with its own. The shipped files use it."""

CONCEPTS = "https://w3id.org/mentorgraph/concept/"
"""Small shared schemes (target groups, evidence types, stages ...) live below it, whatever the base."""

PREFIXES = {
    "mg": str(MG),
    "skos": str(SKOS),
    "dcterms": str(DCTERMS),
    "prov": str(PROV),
    "org": str(ORG),
    "schema": str(SDO),
    "dcat": str(DCAT),
    "foaf": str(FOAF),
    "owl": str(OWL),
    "rdf": str(RDF),
    "rdfs": str(RDFS),
    "sh": str(SH),
    "xsd": str(XSD),
    "wgs": "http://www.w3.org/2003/01/geo/wgs84_pos#",
}


def thing_iri(base: str, kind: str, id: str) -> URIRef:
    """The IRI of the thing a record is about.

    >>> thing_iri(DEFAULT_BASE, "city", "jelgava")
    rdflib.term.URIRef('https://w3id.org/mentorgraph/id/city/jelgava')
    """
    return URIRef(f"{base}id/{kind}/{id}")


def record_iri(base: str, kind: str, id: str) -> URIRef:
    """The IRI of the record, which is also the name of its graph.

    >>> record_iri(DEFAULT_BASE, "city", "jelgava")
    rdflib.term.URIRef('https://w3id.org/mentorgraph/id/city/jelgava#record')
    """
    return URIRef(f"{base}id/{kind}/{id}#record")


def parse_thing_iri(base: str, iri: str) -> tuple[str, str] | None:
    """Kind and identifier of a thing's, record's or inner node's IRI; None for an IRI that is not one of ours.

    >>> parse_thing_iri(DEFAULT_BASE, "https://w3id.org/mentorgraph/id/city/jelgava")
    ('city', 'jelgava')
    >>> parse_thing_iri(DEFAULT_BASE, "https://w3id.org/mentorgraph/id/practice/x#claim-3")
    ('practice', 'x')
    >>> parse_thing_iri(DEFAULT_BASE, "https://example.org/x") is None
    True
    """
    head = f"{base}id/"
    if not str(iri).startswith(head):
        return None
    kind, slash, rest = str(iri)[len(head) :].partition("/")
    id = rest.partition("#")[0]
    return (kind, id) if slash and kind and id and "/" not in id else None
