"""What the SPARQL endpoint says of itself: a service description in RDF, with questions to try.

SPARQL 1.1 Service Description, https://www.w3.org/TR/sparql11-service-description/. The questions are
`sh:SPARQLExecutable`s as https://sib-swiss.github.io/sparql-examples/ writes them, so that query editors find them.
There are no blank nodes: parts are named below the endpoint's own address.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

import pyoxigraph as ox
from rdflib import DCTERMS, RDF, RDFS, SDO, SH, Graph, Literal, Namespace, URIRef

from kg.graph.queries import GRAPHS
from kg.vocabulary import DEFAULT_BASE, MG, PREFIXES
from ontology import path as shipped

SD = Namespace("http://www.w3.org/ns/sparql-service-description#")
FORMATS = Namespace("http://www.w3.org/ns/formats/")

RESULT_FORMATS = (
    *("SPARQL_Results_JSON", "SPARQL_Results_XML", "SPARQL_Results_CSV", "SPARQL_Results_TSV"),
    *("Turtle", "N-Triples", "JSON-LD", "RDF_XML", "TriG", "N-Quads"),
)

_EXECUTABLES = {
    "SELECT": (SH.SPARQLSelectExecutable, SH.select),
    "ASK": (SH.SPARQLAskExecutable, SH.ask),
    "CONSTRUCT": (SH.SPARQLConstructExecutable, SH.construct),
}


@dataclass(frozen=True)
class Example:
    """A question people ask of the records, as a query. `titles` has it in English and French."""

    number: int
    titles: dict[str, str]
    query: str

    @property
    def form(self) -> str:
        """The query's first word: SELECT, ASK or CONSTRUCT.

        >>> {example.form for example in examples(DEFAULT_BASE)}
        {'SELECT'}
        """
        found = re.search(r"^(SELECT|ASK|CONSTRUCT)\b", self.query, re.MULTILINE)
        assert found, f"question {self.number} has no form that is known here"
        return found[1]


@cache
def examples(base: str) -> tuple[Example, ...]:
    """The competency questions that SPARQL answers, by number, with the addresses of records below `base`.

    >>> examples(DEFAULT_BASE)[1].titles["en"]
    'Which of these mentors can work in a language we speak?'
    """
    return tuple(_example(file.read_text(encoding="utf-8"), base) for file in sorted(shipped("questions").glob("*.rq")))


def _example(text: str, base: str) -> Example:
    said = dict(re.findall(r"^# ([a-z@]+): (.+)$", text, re.MULTILINE))
    query = re.sub(r"\A(# .+\n)+\s*", "", text).replace(f"<{DEFAULT_BASE}id/", f"<{base}id/")
    titles = {language: said[f"title@{language}"] for language in ("en", "fr")}
    return Example(int(said["number"]), titles, query)


def description(endpoint: str, base: str) -> Graph:
    """The endpoint at the address `endpoint`, its formats, its dataset and its examples."""
    graph = Graph()
    service, dataset, default = URIRef(endpoint), URIRef(f"{endpoint}#dataset"), URIRef(f"{endpoint}#default-graph")
    graph += [
        (service, RDF.type, SD.Service),
        (service, SD.endpoint, service),
        (service, SD.supportedLanguage, SD.SPARQL11Query),
        (service, SD.feature, SD.UnionDefaultGraph),
        (service, SD.defaultDataset, dataset),
        (service, RDFS.label, Literal("SPARQL endpoint of mentorgraph", lang="en")),
        (service, RDFS.label, Literal("Point d’accès SPARQL de mentorgraph", lang="fr")),
        (service, DCTERMS.conformsTo, URIRef("https://www.w3.org/TR/sparql11-protocol/")),
        (service, RDFS.seeAlso, MG.search),
        (dataset, RDF.type, SD.Dataset),
        (dataset, SD.defaultGraph, default),
        (default, RDF.type, SD.Graph),
    ]
    for name in RESULT_FORMATS:
        graph.add((service, SD.resultFormat, FORMATS[name]))
    for example in examples(base):
        _describe(graph, service, example)
    return graph


def _describe(graph: Graph, service: URIRef, example: Example) -> None:
    question = URIRef(f"{service}#question-{example.number}")
    sort, text = _EXECUTABLES[example.form]
    graph.add((question, RDF.type, SH.SPARQLExecutable))
    graph.add((question, RDF.type, sort))
    graph.add((question, text, Literal(example.query)))
    graph.add((question, SDO.target, service))
    for language, title in example.titles.items():
        graph.add((question, RDFS.comment, Literal(title, lang=language)))


def written(graph: Graph, media_type: str) -> bytes:
    """A graph of ours in one of the media types of GRAPHS."""
    lines = graph.serialize(format="nt", encoding="utf-8")
    prefixes = PREFIXES | {"sd": str(SD), "formats": str(FORMATS)}
    with_prefixes = prefixes if media_type in ("text/turtle", "application/trig", "application/rdf+xml") else None
    triples = ox.parse(lines, ox.RdfFormat.N_TRIPLES)
    return ox.serialize((quad.triple for quad in triples), format=GRAPHS[media_type], prefixes=with_prefixes) or b""
