"""The query page: a text area, questions to pick from, the answer as a table. Works without JavaScript."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse

from kg.errors import KgError, figures
from kg.graph.queries import Answer
from service import problems
from service.api.sparql_description import Example, examples
from service.negotiation import LANGUAGES, language_of_header
from service.pages.texts import page

SHOWN_ROWS = 500
SHOWN_CHARS = 50_000
"""How much of an answer stands on the page; all of it is in the downloads."""

TABLE_DOWNLOADS = (("CSV", "csv"), ("JSON", "json"), ("XML", "xml"), ("TSV", "tsv"))
GRAPH_DOWNLOADS = (("Turtle", "turtle"), ("JSON-LD", "jsonld"), ("N-Triples", "ntriples"), ("RDF/XML", "rdfxml"))

FIRST_QUERY = """# The prefixes mg:, skos:, dcterms:, schema:, rdfs: and some more are known.
SELECT ?practice ?title ?city WHERE {
  ?practice mg:practisedIn ?city ;
    dcterms:title ?title .
}
LIMIT 20"""


@dataclass(frozen=True)
class Asking:
    """What the reader has asked so far."""

    language: str
    query: str | None
    example: int | None
    graphs: tuple[tuple[str, str], ...]

    @classmethod
    def of(
        cls, request: Request, query: str | None, default: tuple[str, ...] | None, named: tuple[str, ...] | None
    ) -> Asking:
        """Read language and chosen example from the address; what makes no sense counts as not given."""
        lang, number = request.query_params.get("lang"), request.query_params.get("example", "")
        language = lang if lang in LANGUAGES else language_of_header(request.headers.get("accept-language")) or "en"
        graphs = [("default-graph-uri", iri) for iri in default or ()]
        graphs += [("named-graph-uri", iri) for iri in named or ()]
        return cls(language, query, int(number) if number in {str(n) for n in range(1, 100)} else None, tuple(graphs))

    def response(self, request: Request, answer: Answer | None = None, fault: KgError | None = None) -> HTMLResponse:
        """The page, with an answer or a fault under the form."""
        known = examples(request.app.state.catalogue.base)
        chosen = next((one for one in known if one.number == self.example), None)
        limits = request.app.state.queries.limits
        shown: dict[str, Any] = {
            "query": self.query if self.query is not None else chosen.query if chosen else FIRST_QUERY,
            "chosen": chosen,
            "graphs": self.graphs,
            "examples": [(one.number, _title(one, self.language)) for one in known],
            "limits": limits,
            "most_rows": figures(limits.rows)[self.language == "fr"],
            "switch": {code: self._address(lang=code) for code in LANGUAGES},
        }
        if answer is not None:
            is_table = answer.media_type == "application/sparql-results+json"
            shown |= _table(answer.body) if is_table else _text(answer.body)
            downloads = TABLE_DOWNLOADS if is_table else GRAPH_DOWNLOADS
            shown["downloads"] = [(name, self._address(format=format)) for name, format in downloads]
        row = problems.row_of(fault) if fault is not None else None
        if fault is not None:
            shown["fault"] = fault.told(self.language)
            shown["fault_language"] = self.language if self.language in fault.texts() else "en"
        headers = {"Content-Language": self.language, "Vary": "Accept, Accept-Language"}
        if row is not None and row.retry_after_seconds:
            headers["Retry-After"] = str(row.retry_after_seconds)
        return HTMLResponse(page("sparql.html", self.language, shown), row.status if row else 200, headers)

    def _address(self, **more: str) -> str:
        """This page with the same question, in another language or format."""
        asked = [("query", self.query)] if self.query is not None else []
        asked += [("example", str(self.example))] if self.example and self.query is None else []
        return "/sparql?" + urlencode([*asked, *self.graphs, *more.items()])


def _title(example: Example, language: str) -> str:
    return example.titles.get(language, example.titles["en"])


def _table(body: bytes) -> dict[str, Any]:
    """Columns and the first rows of an answer, or its yes or no.

    >>> _table(b'{"head":{},"boolean":true}')
    {'verdict': True}
    """
    results = json.loads(body)
    if "boolean" in results:
        return {"verdict": results["boolean"]}
    columns, rows = results["head"]["vars"], results["results"]["bindings"]
    cells = [[_cell(row.get(column)) for column in columns] for row in rows[:SHOWN_ROWS]]
    return {"columns": columns, "rows": cells, "total": len(rows)}


def _cell(term: dict[str, Any] | None) -> dict[str, Any]:
    """One value as it is shown: text, a link for an address of the web, its language where it has one.

    >>> _cell({"type": "uri", "value": "javascript:alert(1)"})
    {'text': 'javascript:alert(1)', 'link': None, 'lang': None}
    """
    if term is None:
        return {"text": "", "link": None, "lang": None}
    value = term["value"] if isinstance(term["value"], str) else json.dumps(term["value"], ensure_ascii=False)
    is_link = term["type"] == "uri" and value.startswith(("https://", "http://"))
    return {"text": value, "link": value if is_link else None, "lang": term.get("xml:lang")}


def _text(body: bytes) -> dict[str, Any]:
    text = body.decode("utf-8", "replace")
    return {"turtle": text[:SHOWN_CHARS], "is_cut": len(text) > SHOWN_CHARS}
