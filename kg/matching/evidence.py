"""A SPARQL query that shows what a suggestion rests on."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlencode

from kg.matching.facts import NeedAnswer

_QUERY = """# What is on record behind a suggestion: the practices cited and those that the experience rests on, the city's tie to
# each, what supports it, the outcomes claimed and the sources.
PREFIX dcterms: <http://purl.org/dc/terms/>
PREFIX mg: <https://w3id.org/mentorgraph/ontology#>
PREFIX schema: <https://schema.org/>
PREFIX skos: <http://www.w3.org/2004/02/skos/core#>
SELECT ?practice ?title ?tie ?evidence ?claim ?statement ?claimEvidence ?source WHERE {{
  VALUES ?practice {{ {practices} }}
  ?practice dcterms:title ?title .
  OPTIONAL {{ ?practice mg:practisedIn <{city}> . OPTIONAL {{ ?practice mg:cityTie/skos:notation ?stated }} }}
  OPTIONAL {{ ?practice mg:partner/mg:partnerCity <{city}> . BIND("partner" AS ?taking) }}
  BIND(COALESCE(?stated, ?taking) AS ?tie)
  OPTIONAL {{ ?practice mg:evidenceType/skos:notation ?evidence }}
  {{
    OPTIONAL {{ ?practice dcterms:source/schema:url ?source }}
  }} UNION {{
    ?practice mg:outcome ?claim .
    ?claim mg:statement ?statement .
    OPTIONAL {{ ?claim mg:evidenceType/skos:notation ?claimEvidence }}
    OPTIONAL {{ ?claim mg:statedIn/schema:url ?source }}
  }}
}}
ORDER BY ?practice ?claim ?source"""


def evidence_query(city: str, answers: Sequence[NeedAnswer], base: str) -> str:
    """The query for one suggestion: `city` is its id, `answers` what it has for each need, `base` that of addresses.

    Each practice that is cited, or that the city's experience in the field rests on, has at least one row: one for each of its sources and one for each outcome claimed
    with each source of the claim. Reads the public graph alone; it runs at /sparql and on any SPARQL 1.1 engine that
    holds the data.

    >>> from kg.matching.facts import Cited
    >>> cited = Cited("trees", {"en": "Street trees"}, 0.9, 0.9, "own", None)
    >>> query = evidence_query("lyon", [NeedAnswer(0, 0.5, None, (cited,))], "https://example.org/")
    >>> "VALUES ?practice { <https://example.org/id/practice/trees> }" in query
    True
    """
    cited = [cited.practice for answer in answers for cited in answer.practices]
    experienced = [practice for answer in answers for practice in answer.experienced]
    practices = " ".join(f"<{base}id/practice/{id}>" for id in dict.fromkeys([*cited, *experienced]))
    return _QUERY.format(practices=practices, city=f"{base}id/city/{city}")


def query_address(query: str) -> str:
    """Where the query page shows a query with its answer, relative to the service.

    >>> query_address("ASK { ?s ?p ?o }")
    '/sparql?query=ASK+%7B+%3Fs+%3Fp+%3Fo+%7D'
    """
    return "/sparql?" + urlencode({"query": query})
