"""The SPARQL 1.1 Protocol, rule by rule, against a real server; https://www.w3.org/TR/sparql11-protocol/."""

from __future__ import annotations

import csv
import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from io import BytesIO, StringIO
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pyoxigraph as ox
import pytest
from rdflib import RDF, SH, Graph, Namespace, URIRef
from rdflib.plugins.stores.sparqlstore import SPARQLStore
from SPARQLWrapper import CSV, JSON, JSONLD, N3, RDFXML, TSV, TURTLE, XML, SPARQLWrapper

from kg.catalogue import Catalogue
from kg.graph.queries import GRAPHS, TABLES
from kg.vocabulary import DEFAULT_BASE
from ontology import path as shipped
from service.api.sparql import NAMES
from service.app import create_app
from service.settings import Settings
from tests.models import prepared_models
from tests.service.conftest import Server, running

SD = Namespace("http://www.w3.org/ns/sparql-service-description#")
CITY = f"{DEFAULT_BASE}id/city/"
LABELS = "SELECT ?city ?name { ?city a schema:City ; rdfs:label ?name } ORDER BY ?city ?name LIMIT 20"
RECORD = f"{CITY}jelgava#record"
QUESTIONS = list(shipped("questions").glob("*.rq"))
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
DIRECT = {"Content-Type": "application/sparql-query"}


def kind_of(answer: httpx.Response) -> tuple[int, str]:
    """Status and problem type of a refusal."""
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["type"].rpartition("/")[2]


def rows(answer: httpx.Response) -> list[dict]:
    assert answer.status_code == 200, answer.text
    return answer.json()["results"]["bindings"]


# Three ways in


@pytest.mark.parametrize("accept", [*TABLES])
def test_the_same_query_gets_the_same_bytes_by_all_three_ways(client: httpx.Client, accept: str) -> None:
    query = f'SELECT ?x {{ VALUES ?x {{ <{CITY}a%2520b> "é+ &=%20" "{chr(0x1F3D9)}" }} }}'
    by_link = client.get("/sparql", params={"query": query}, headers={"Accept": accept})
    by_form = client.post("/sparql", data={"query": query}, headers={"Accept": accept})
    by_body = client.post("/sparql", content=query.encode(), headers={"Accept": accept} | DIRECT)
    assert by_link.status_code == 200, by_link.text
    assert by_link.content == by_form.content == by_body.content
    assert by_link.headers["content-type"] == by_form.headers["content-type"] == by_body.headers["content-type"]
    assert "a%2520b" in by_link.text
    assert "é+ &=%20" in by_link.text.replace("&amp;", "&")


def test_head_is_answered_without_a_body(client: httpx.Client) -> None:
    got, head = (client.request(method, "/sparql", params={"query": LABELS}) for method in ("GET", "HEAD"))
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == got.headers["content-type"]


def test_options_tells_what_may_be_done(client: httpx.Client) -> None:
    answer = client.options("/sparql")
    assert answer.status_code == 204
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD", "OPTIONS", "POST"}


def test_pages_of_other_sites_may_ask(client: httpx.Client) -> None:
    asked = {"Origin": "https://x.org", "Access-Control-Request-Method": "POST"}
    allowed = client.options("/sparql", headers=asked | {"Access-Control-Request-Headers": "content-type"})
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == "*"
    answer = client.post("/sparql", content=LABELS, headers=DIRECT | {"Origin": "https://x.org"})
    assert answer.headers["access-control-allow-origin"] == "*"


def test_options_tells_which_bodies_are_read(client: httpx.Client) -> None:
    assert client.options("/sparql").headers["accept-post"] == f"{DIRECT['Content-Type']}, {FORM['Content-Type']}"


def test_pages_of_other_sites_may_not_write_and_may_read_faults(client: httpx.Client) -> None:
    asked = {"Origin": "https://x.org", "Access-Control-Request-Method": "DELETE"}
    assert client.options("/sparql", headers=asked).status_code == 400
    fault = client.get("/sparql", params={"query": "SELEC"}, headers={"Origin": "https://x.org"})
    assert (fault.status_code, fault.headers["access-control-allow-origin"]) == (400, "*")


@pytest.mark.parametrize(
    ("query", "accept", "status"), [("", "*/*", 200), ("query=SELEC", "*/*", 400), ("query=ASK{}", "image/png", 406)]
)
def test_head_is_answered_as_get_is(client: httpx.Client, query: str, accept: str, status: int) -> None:
    got, head = (client.request(method, f"/sparql?{query}", headers={"Accept": accept}) for method in ("GET", "HEAD"))
    assert (head.status_code, head.content) == (status, b"")
    assert head.headers["content-type"] == got.headers["content-type"]


def test_a_plus_is_a_space_where_forms_are_read_and_a_plus_in_a_body(client: httpx.Client) -> None:
    for answer in (
        client.get("/sparql?query=SELECT+(1%2B1+AS+?n)+%7B%7D"),
        client.post("/sparql", content=b"query=SELECT+(1%2B1+AS+?n)+%7B%7D", headers=FORM),
        client.post("/sparql", content=b"SELECT (1+1 AS ?n) {}", headers=DIRECT),
    ):
        assert rows(answer)[0]["n"]["value"] == "2"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE"])
def test_other_methods_are_not_answered(client: httpx.Client, method: str) -> None:
    answer = client.request(method, "/sparql", params={"query": LABELS})
    assert kind_of(answer) == (405, "method-not-allowed")
    assert {"GET", "POST"} <= set(answer.headers["allow"].split(", "))


def test_below_the_endpoint_there_is_nothing(client: httpx.Client) -> None:
    assert kind_of(client.get("/sparql/update")) == (404, "no-such-address")


# What makes a request wrong

BAD = {
    "no query in a form": ("POST", "", b"", FORM, 400),
    "an empty query": ("GET", "query=", b"", {}, 400),
    "two queries in the address": ("GET", "query=ASK{}&query=ASK{}", b"", {}, 400),
    "two queries in a form": ("POST", "", b"query=ASK{}&query=ASK{}", FORM, 400),
    "a query in address and body": ("POST", "query=ASK{}", b"ASK{}", DIRECT, 400),
    "a form with a query in the address": ("POST", "query=ASK{}", b"query=ASK{}", FORM, 400),
    "a form with a graph in the address": ("POST", "default-graph-uri=urn:g", b"query=ASK{}", FORM, 400),
    "graphs without a query": ("GET", "default-graph-uri=urn:g", b"", {}, 400),
    "what is no query": ("GET", "query=SELEC", b"", {}, 400),
    "a query that is not UTF-8": ("POST", "", b"ASK { ?s ?p '\xff' }", DIRECT, 400),
    "a form that is not UTF-8": ("POST", "", b"query=ASK%20%7B%7D%FF", FORM, 400),
    "an address that is not UTF-8": ("GET", "query=ASK%20%7B%7D%FF", b"", {}, 400),
    "a graph that is no address": ("GET", "query=ASK%7B%7D&default-graph-uri=a%20b", b"", {}, 400),
    "a format there is not": ("GET", "query=ASK%7B%7D&format=xls", b"", {}, 400),
    "an update": ("GET", "query=DROP%20ALL", b"", {}, 403),
    "an update as parameter": ("GET", "update=DROP%20ALL", b"", {}, 403),
    "an update in a form": ("POST", "", b"update=DROP%20ALL", FORM, 403),
    "an update as body": ("POST", "", b"DROP ALL", {"Content-Type": "application/sparql-update"}, 403),
    "a call to another endpoint": ("POST", "", b"ASK { SERVICE <http://127.0.0.1:1/> {} }", DIRECT, 403),
    "a file as dataset": ("POST", "", b"ASK FROM <file:///etc/passwd> {}", DIRECT, 403),
    "another site as dataset": ("GET", "query=ASK%7B%7D&named-graph-uri=http://127.0.0.1:1/", b"", {}, 403),
    "a body without a type": ("POST", "", b"ASK {}", {}, 415),
    "a body of another type": ("POST", "", b"ASK {}", {"Content-Type": "text/plain"}, 415),
    "a query in another charset": ("POST", "", b"ASK {}", {"Content-Type": "application/sparql-query; charset=utf-16"}, 415),
    "a form in another charset": ("POST", "", b"query=ASK%7B%7D", {"Content-Type": FORM["Content-Type"] + "; charset=iso-8859-1"}, 415),
    "a form in parts": ("POST", "", b"--x--", {"Content-Type": "multipart/form-data; boundary=x"}, 415),
    "a packed query": ("POST", "", b"ASK {}", DIRECT | {"Content-Encoding": "gzip"}, 415),
    "a query in the address of a POST": ("POST", "query=ASK%7B%7D", b"", {}, 415),
    "an empty body": ("POST", "", b"", DIRECT, 400),
    "a relative graph": ("GET", "query=ASK%7B%7D&default-graph-uri=x", b"", {}, 400),
    "an empty graph": ("GET", "query=ASK%7B%7D&named-graph-uri=", b"", {}, 400),
    "a graph that is not here, in a form": ("POST", "", b"query=ASK%7B%7D&default-graph-uri=urn:none", FORM, 403),
    "a graph that is not here, beside a body": ("POST", "default-graph-uri=urn:none", b"ASK {}", DIRECT, 403),
    "an update and a query in a form": ("POST", "", b"update=DROP%20ALL&query=ASK%7B%7D", FORM, 403),
    "a query of 100,001 bytes": ("POST", "", b"ASK {}".ljust(100_001), DIRECT, 413),
    "a body of 1,000,001 bytes": ("POST", "", b"ASK {}".ljust(1_000_001), DIRECT, 413),
    "10,000 groups in each other": ("POST", "", b"ASK" + b"{" * 10_000 + b"}" * 10_000, DIRECT, 400),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_request_that_breaks_a_rule_is_told_so(client: httpx.Client, case: str) -> None:
    method, parameters, body, headers, status = BAD[case]
    answer = client.request(method, f"/sparql?{parameters}", content=body, headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    assert len(answer.json()["detail"]) > 15
    in_french = client.request(
        method, f"/sparql?{parameters}", content=body, headers=headers | {"Accept-Language": "fr"}
    )
    assert (in_french.status_code, in_french.headers["content-language"]) == (status, "fr"), in_french.text
    told, told_in_french = (
        re.match(r"(?:li\w+ (\d+), col\w+ (\d+) ?: )?(.*)", one.json()["detail"], re.DOTALL)
        for one in (answer, in_french)
    )
    assert told
    assert told_in_french
    assert told.groups()[:2] == told_in_french.groups()[:2]
    assert told[3] != told_in_french[3]


FRENCH = {
    "two queries in the address": "query est donné 2 fois ; donnez-le une seule fois",
    "a query in address and body": "il y a deux requêtes, l’une dans l’adresse et l’autre dans le corps",
    "a form with a query in the address": "l’adresse contenait query ; avec un formulaire",
    "graphs without a query": "il n’y a pas de requête ; envoyez-la comme paramètre 'query'",
    "a query that is not UTF-8": "le corps n’est pas en UTF-8 : l’octet 14 ne correspond à aucun caractère",
    "a form that is not UTF-8": "un paramètre n’est pas de l’UTF-8 codé en pour cent",
    "a format there is not": "il n’y a pas de format 'xls' ; il y a json, xml",
    "a body of another type": "'text/plain' ne se lit pas ici ; envoyez application/sparql-query ou",
    "a packed query": "le corps est compressé ('gzip') ; envoyez-le tel quel",
    "a query of 100,001 bytes": "le corps compte 100\u202f001 octets ; 100\u202f000 sont admis",
}


@pytest.mark.parametrize("case", FRENCH)
def test_what_is_wrong_is_told_in_french(client: httpx.Client, case: str) -> None:
    method, parameters, body, headers, _ = BAD[case]
    answer = client.request(
        method, f"/sparql?{parameters}", content=body, headers=headers | {"Accept-Language": "fr-BE, en;q=0.5"}
    )
    assert FRENCH[case] in answer.json()["detail"]


def test_a_body_in_pieces_that_is_too_long_is_told_in_french(client: httpx.Client) -> None:
    answer = client.post("/sparql", content=iter([b" " * 600_000] * 2), headers=DIRECT | {"Accept-Language": "fr"})
    assert (kind_of(answer), answer.headers["content-language"]) == ((413, "too-large"), "fr")
    assert answer.json()["detail"] == "le corps d’une demande peut compter 1\u202f000\u202f000 octets au plus"


def test_who_meets_many_unread_answers_is_told_in_french(server: Server) -> None:
    outbox = server.app.state.outbox
    with outbox.holding(10**12):
        answer = server.client.get("/sparql", params={"query": "ASK {}", "lang": "fr"})
    assert (kind_of(answer), answer.headers["content-language"]) == ((503, "busy"), "fr")
    assert "trop de réponses sont encore en cours de lecture" in answer.json()["detail"]


@pytest.mark.parametrize(
    "content_type", ["application/sparql-query; charset=UTF-8", 'Application/SPARQL-Query;charset="utf-8"']
)
def test_utf_8_may_be_said(client: httpx.Client, content_type: str) -> None:
    assert client.post("/sparql", content="ASK {}", headers={"Content-Type": content_type}).json()["boolean"] is True


@pytest.mark.parametrize("charset", ["", "; charset=UTF-8", ';charset="utf-8"'])
def test_utf_8_may_be_said_of_a_form(client: httpx.Client, charset: str) -> None:
    headers = {"Content-Type": FORM["Content-Type"] + charset}
    query = "ASK { FILTER('é' = '\\u00E9') }"
    answer = client.post("/sparql", content=urlencode({"query": query}), headers=headers)
    assert answer.json()["boolean"] is True


def test_unknown_parameters_are_ignored(client: httpx.Client) -> None:
    assert client.get("/sparql", params={"query": "ASK {}", "timeout": "1", "using-graph-uri": "urn:x"}).is_success


def test_a_fault_is_told_with_line_and_column(client: httpx.Client) -> None:
    answer = client.get("/sparql", params={"query": "SELECT *\nWHERE { ?s ?p }"})
    assert kind_of(answer) == (400, "bad-query")
    assert (
        answer.json()["detail"]
        == "line 2, column 16: the query cannot be read further, after 'SELECT *\\nWHERE { ?s ?p }'"
    )


def test_what_the_engine_cannot_read_is_told_in_words_and_in_french(client: httpx.Client) -> None:
    """The engine names every character that a name may have, and SERVICE, which is refused."""
    for query, english, french in (
        ("SELECT *\n{ ?s foo:x 3 }", "line 2, column 6: the prefix 'foo:' is not", "ligne 2, colonne 6 : le préfixe"),
        ("SELECT * { ?s ?p ?o } ORDER BY", "line 1, column 31: expected one of $, (, :", "attendu : l’un de $, ("),
        ("SELECT ?s (COUNT(*) AS ?n) { ?s ?p ?o }", "neither in GROUP BY", "ni dans GROUP BY"),
        ("SELECT (?a AS ?a) { ?a ?b ?c }", "choose another name", "prenez un autre nom"),
    ):
        told = [
            client.get("/sparql", params={"query": query, "lang": language}).json()["detail"]
            for language in ("en", "fr")
        ]
        assert english in told[0], told
        assert french in told[1], told
        assert not any("u{" in one or "[" in one or "SERVICE" in one for one in told), told


# The dataset


def test_without_a_dataset_everything_is_asked(client: httpx.Client, catalogue: Catalogue) -> None:
    query = "SELECT (COUNT(DISTINCT ?r) AS ?n) { ?r foaf:primaryTopic ?t }"
    count = int(rows(client.get("/sparql", params={"query": query}))[0]["n"]["value"])
    assert count == sum(catalogue.graph.statistics().records.values())


def test_the_request_names_the_dataset_and_wins_over_from(client: httpx.Client) -> None:
    others = f"SELECT DISTINCT ?g FROM <{CITY}vienna#record> {{ {{ ?s ?p ?o BIND('default' AS ?g) }} UNION {{ GRAPH ?g {{ ?s ?p ?o }} }} }}"
    found = rows(client.get("/sparql", params={"query": others, "named-graph-uri": RECORD}))
    assert [row["g"]["value"] for row in found] == [RECORD]
    found = rows(client.get("/sparql", params={"query": others, "default-graph-uri": RECORD}))
    assert [row["g"]["value"] for row in found] == ["default"]
    about = "SELECT DISTINCT ?c { ?r foaf:primaryTopic ?c } ORDER BY ?c"
    two = {"query": about, "default-graph-uri": [RECORD, f"{CITY}vienna#record"]}
    for answer in (client.get("/sparql", params=two), client.post("/sparql", data=two)):
        assert [row["c"]["value"] for row in rows(answer)] == [f"{CITY}jelgava", f"{CITY}vienna"]


def three_ways(client: httpx.Client, query: str, **graphs: list[str]) -> list[httpx.Response]:
    """The same query over the same dataset, by link, form and body; a body's graphs stand in the address."""
    named = {name.replace("_", "-"): iris for name, iris in graphs.items()}
    return [
        client.get("/sparql", params={"query": query, **named}),
        client.post("/sparql", data={"query": query, **named}),
        client.post("/sparql", params=named, content=query.encode(), headers=DIRECT),
    ]


@pytest.mark.parametrize("name", ["default_graph_uri", "named_graph_uri"])
def test_the_dataset_is_named_in_all_three_ways_and_wins(client: httpx.Client, name: str) -> None:
    """The protocol, 2.1.4: whatever FROM and FROM NAMED say, what the request names is the whole dataset."""
    vienna = f"{CITY}vienna#record"
    pattern = "?r foaf:primaryTopic ?c" if name == "default_graph_uri" else "GRAPH ?g { ?r foaf:primaryTopic ?c }"
    query = f"SELECT ?c FROM <{CITY}capaci#record> FROM NAMED <{CITY}capaci#record> {{ {pattern} }} ORDER BY ?c"
    answers = three_ways(client, query, **{name: [RECORD, vienna]})
    assert [row["c"]["value"] for row in rows(answers[0])] == [f"{CITY}jelgava", f"{CITY}vienna"]
    assert len({answer.content for answer in answers}) == 1


def test_both_sorts_of_graphs_are_named_at_once(client: httpx.Client) -> None:
    query = "SELECT ?c ?d { ?r foaf:primaryTopic ?c GRAPH ?g { ?s foaf:primaryTopic ?d } }"
    for answer in three_ways(client, query, default_graph_uri=[RECORD], named_graph_uri=[f"{CITY}vienna#record"]):
        row = rows(answer)[0]
        assert (row["c"]["value"], row["d"]["value"]) == (f"{CITY}jelgava", f"{CITY}vienna")


def test_a_named_graph_alone_leaves_the_default_graph_empty(client: httpx.Client) -> None:
    for answer in three_ways(client, "ASK { ?s ?p ?o }", named_graph_uri=[RECORD]):
        assert answer.json()["boolean"] is False


def test_from_and_from_named_choose_graphs(client: httpx.Client) -> None:
    query = f"SELECT ?c ?g FROM <{RECORD}> FROM NAMED <{CITY}vienna#record> {{ ?r foaf:primaryTopic ?c GRAPH ?g {{ ?x foaf:primaryTopic ?y }} }}"
    row = rows(client.get("/sparql", params={"query": query}))[0]
    assert (row["c"]["value"], row["g"]["value"]) == (f"{CITY}jelgava", f"{CITY}vienna#record")


def test_nothing_of_the_view_s_own_is_seen(client: httpx.Client) -> None:
    names = rows(client.get("/sparql", params={"query": "SELECT ?g { GRAPH ?g { } }"}))
    assert len(names) > 200
    assert not [row for row in names if "/system/" in row["g"]["value"]]


# Formats


@pytest.mark.parametrize("media_type", TABLES)
def test_a_table_comes_in_each_format(client: httpx.Client, media_type: str) -> None:
    answer = client.get("/sparql", params={"query": LABELS}, headers={"Accept": media_type})
    assert answer.headers["content-type"].partition(";")[0] == media_type
    parsed = ox.parse_query_results(BytesIO(answer.content), TABLES[media_type]) if media_type != "text/csv" else None
    names = (
        [str(row["name"].value) for row in parsed]
        if parsed
        else [r["name"] for r in csv.DictReader(StringIO(answer.text))]
    )
    assert len(names) == 20
    assert names == [row["name"]["value"] for row in rows(client.get("/sparql", params={"query": LABELS}))]
    assert "Vary" in answer.headers


@pytest.mark.parametrize("media_type", TABLES)
def test_ask_comes_in_each_format(client: httpx.Client, media_type: str) -> None:
    answer = client.get("/sparql", params={"query": "ASK { ?s a mg:Dragon }"}, headers={"Accept": media_type})
    assert answer.headers["content-type"].partition(";")[0] == media_type
    assert "false" in answer.text


@pytest.mark.parametrize("query", [f"DESCRIBE <{CITY}jelgava>", f"CONSTRUCT WHERE {{ <{CITY}jelgava> ?p ?o }}"])
@pytest.mark.parametrize("media_type", GRAPHS)
def test_rdf_comes_in_each_format(client: httpx.Client, media_type: str, query: str) -> None:
    answer = client.get("/sparql", params={"query": query}, headers={"Accept": media_type})
    assert answer.headers["content-type"].partition(";")[0] == media_type
    found = {quad.triple for quad in ox.parse(answer.content, GRAPHS[media_type])}
    known = client.get("/sparql", params={"query": query}, headers={"Accept": "application/n-triples"})
    assert len(found) > 5
    assert found == {quad.triple for quad in ox.parse(known.content, ox.RdfFormat.N_TRIPLES)}


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (None, "application/sparql-results+json"),
        ("*/*", "application/sparql-results+json"),
        ("text/*", "text/csv"),
        ("application/json", "application/sparql-results+json"),
        ("application/xml", "application/sparql-results+xml"),
        ("text/csv;q=0.2, application/sparql-results+xml;q=0.9", "application/sparql-results+xml"),
        ("text/turtle, text/csv;q=0.1", "text/csv"),
        ("*/*, application/sparql-results+json;q=0, text/csv;q=0.5", "application/sparql-results+xml"),
        ("TEXT/CSV", "text/csv"),
    ],
)
def test_the_accept_header_chooses(client: httpx.Client, accept: str | None, media_type: str) -> None:
    request = client.build_request("GET", "/sparql", params={"query": LABELS})
    del request.headers["accept"]
    if accept:
        request.headers["accept"] = accept
    assert client.send(request).headers["content-type"].partition(";")[0] == media_type


@pytest.mark.parametrize(
    ("accept", "query", "offered"),
    [
        ("image/png", LABELS, [*TABLES, *GRAPHS]),
        ("text/turtle", LABELS, TABLES),
        ("text/csv", "CONSTRUCT WHERE { ?s a schema:City }", GRAPHS),
        ("text/csv;q=0", LABELS, TABLES),
        ("text/csv;q=2", LABELS, TABLES),
        ("text/csv;q=x, nothing", LABELS, TABLES),
        ("*/*;q=0", LABELS, TABLES),
    ],
)
def test_when_no_format_fits_those_there_are_are_listed(
    client: httpx.Client, accept: str, query: str, offered: list[str]
) -> None:
    answer = client.get("/sparql", params={"query": query}, headers={"Accept": accept})
    assert kind_of(answer) == (406, "not-acceptable")
    for media_type in offered:
        assert media_type in answer.json()["detail"]
    in_french = client.get("/sparql", params={"query": query}, headers={"Accept": accept, "Accept-Language": "fr"})
    assert in_french.json()["detail"].startswith(f"'/sparql' ne répond que sous ces formes : {' ou '.join(offered)}")
    assert " or " not in in_french.json()["detail"]


@pytest.mark.parametrize(
    ("query", "name", "english", "french"),
    [
        (LABELS, "turtle", "'turtle' does not fit SELECT and ASK; there are json, xml, csv, tsv", "'turtle' ne convient"),
        ("ASK {}", "text/turtle", "'turtle' does not fit SELECT and ASK", "ne convient pas à SELECT et ASK ; il y a json"),
        ("DESCRIBE mg:x", "csv", "'csv' does not fit CONSTRUCT and DESCRIBE; there are turtle", "à CONSTRUCT et DESCRIBE"),
        (None, "csv", "'csv' does not fit a request without a query; there are turtle", "à une demande sans requête"),
    ],
)  # fmt: skip
def test_a_format_that_does_not_fit_is_named(
    client: httpx.Client, query: str | None, name: str, english: str, french: str
) -> None:
    asked = {"format": name} | ({"query": query} if query else {})
    answer = client.get("/sparql", params=asked)
    assert kind_of(answer) == (406, "not-acceptable")
    assert english in answer.json()["detail"]
    assert "Accept" not in answer.text
    in_french = client.get("/sparql", params=asked, headers={"Accept-Language": "fr"})
    assert french in in_french.json()["detail"]
    assert in_french.headers["content-language"] == "fr"


@pytest.mark.parametrize("name", NAMES)
def test_a_link_may_name_the_format(client: httpx.Client, name: str) -> None:
    query = LABELS if NAMES[name] in TABLES else "DESCRIBE mg:Practice"
    answer = client.get("/sparql", params={"query": query, "format": name}, headers={"Accept": "text/html"})
    assert answer.headers["content-type"].partition(";")[0] == NAMES[name]
    assert answer.headers["content-disposition"] == f'attachment; filename="answer.{name}"'


def test_a_client_that_sends_too_much_and_closes_hears_why(server: Server) -> None:
    """A server that closes before it has read the body makes the network drop its answer: "broken pipe"."""
    for size in (150_000, 900_000, 5_000_000) * 10:
        request = urllib.request.Request(f"{server.url}/sparql", b"query=" + b"x" * size)
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request)
        with refused.value as answer:
            assert (answer.code, json.loads(answer.read())["type"].rpartition("/")[2]) == (413, "too-large")


# Foreign clients


def test_rdflib_s_store_is_answered(server: Server) -> None:
    graph = Graph(SPARQLStore(f"{server.url}/sparql", returnFormat="json"))
    names = {
        str(name)
        for name in graph.objects(URIRef(f"{CITY}jelgava"), URIRef("http://www.w3.org/2000/01/rdf-schema#label"))
    }
    assert "Jelgava" in names
    assert graph.query("ASK { ?s ?p 'no such text' }").askAnswer is False


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_sparqlwrapper_is_answered(server: Server, method: str) -> None:
    wrapper = SPARQLWrapper(f"{server.url}/sparql")
    wrapper.setMethod(method)
    wrapper.setQuery(LABELS)
    wrapper.setReturnFormat(JSON)
    assert len(wrapper.queryAndConvert()["results"]["bindings"]) == 20
    wrapper.setReturnFormat(XML)
    assert len(wrapper.queryAndConvert().getElementsByTagName("result")) == 20
    wrapper.setReturnFormat(CSV)
    assert wrapper.queryAndConvert().startswith(b"city,name")
    wrapper.setQuery(f"DESCRIBE <{CITY}jelgava>")
    wrapper.setReturnFormat(TURTLE)
    assert len(Graph().parse(data=wrapper.queryAndConvert(), format="turtle")) > 5


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_sparqlwrapper_gets_every_form_that_it_knows(server: Server, method: str) -> None:
    """It sends `format`, `output` and `results` with names of its own, some twice; XML is what it asks for by itself."""
    wrapper = SPARQLWrapper(f"{server.url}/sparql")
    wrapper.setMethod(method)
    wrapper.setQuery(f"DESCRIBE <{CITY}jelgava>")
    sizes = {len(Graph().parse(data=wrapper.query().response.read(), format="xml"))}
    for form, read in ((RDFXML, "xml"), (JSONLD, "json-ld"), (N3, "n3"), (TURTLE, "turtle")):
        wrapper.setReturnFormat(form)
        sizes.add(len(Graph().parse(data=wrapper.query().response.read(), format=read)))
    assert len(sizes) == 1, sizes
    assert sizes.pop() > 5
    wrapper.setQuery(LABELS)
    wrapper.setReturnFormat(TSV)
    assert wrapper.queryAndConvert().startswith(b"?city\t?name\n")


# Description and page


@pytest.mark.parametrize("media_type", GRAPHS)
def test_without_a_query_the_endpoint_describes_itself(server: Server, media_type: str) -> None:
    answer = server.client.get("/sparql", headers={"Accept": media_type})
    assert answer.headers["content-type"].partition(";")[0] == media_type
    graph = Graph()
    for quad in ox.parse(answer.content, GRAPHS[media_type]):
        graph.parse(data=f"{quad.triple} .", format="nt")
    service = URIRef(f"{server.url}/sparql")
    assert (service, SD.endpoint, service) in graph
    assert (service, SD.feature, SD.UnionDefaultGraph) in graph
    assert len(list(graph.objects(service, SD.resultFormat))) == len(TABLES) + len(GRAPHS)
    questions = list(graph.subjects(RDF.type, SH.SPARQLExecutable))
    assert len(questions) == len(QUESTIONS)


def test_every_example_of_the_description_is_answered(server: Server) -> None:
    graph = Graph().parse(data=server.client.get("/sparql").text, format="turtle")
    for question, query in graph.subject_objects(SH.select):
        assert rows(server.client.post("/sparql", content=str(query).encode(), headers=DIRECT)), question


def test_a_description_in_no_known_format_is_refused(client: httpx.Client) -> None:
    answer = client.get("/sparql", headers={"Accept": "text/csv"})
    assert kind_of(answer) == (406, "not-acceptable")
    assert "text/turtle" in answer.json()["detail"]


BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "Accept-Language": "en"}


def test_a_browser_gets_a_page_to_write_queries_on(client: httpx.Client) -> None:
    page = client.get("/sparql", headers=BROWSER)
    assert page.headers["content-type"].startswith("text/html")
    assert "<textarea" in page.text
    assert "<script" not in page.text
    assert "may take 10 seconds and give 100,000 rows" in page.text
    links = re.findall(r'href="(/sparql\?example=\d+[^"]*)"', page.text)
    assert len(links) == len(QUESTIONS)
    chosen = client.get(links[0].replace("&amp;", "&"), headers=BROWSER).text
    assert "VALUES" in re.findall(r"<textarea.*?</textarea>", chosen, re.S)[0]


def test_a_browser_gets_a_table_with_links_and_downloads(client: httpx.Client) -> None:
    page = client.get("/sparql", params={"query": LABELS}, headers=BROWSER)
    assert page.status_code == 200
    assert page.text.count("<tr>") == 21
    assert re.search(rf'<td><a href="{CITY}[a-z-]+">', page.text)
    assert re.search(r'<td lang="lv">|<td lang="en">', page.text)
    downloads = re.findall(r'href="(/sparql\?query=[^"]*format=(\w+))"', page.text)
    assert [name for _, name in downloads] == ["csv", "json", "xml", "tsv"]
    for address, name in downloads:
        answer = client.get(address.replace("&amp;", "&"), headers=BROWSER)
        assert answer.headers["content-type"].partition(";")[0] == NAMES[name]


def test_a_browser_gets_rdf_and_yes_or_no(client: httpx.Client) -> None:
    page = client.get("/sparql", params={"query": f"DESCRIBE <{CITY}jelgava>"}, headers=BROWSER).text
    assert "schema:City" in page
    assert "format=turtle" in page
    assert "<p>Yes.</p>" in client.get("/sparql", params={"query": "ASK {}"}, headers=BROWSER).text
    french = client.get("/sparql", params={"query": "ASK {}", "lang": "fr"}, headers=BROWSER)
    assert "<p>Oui.</p>" in french.text
    assert french.headers["content-language"] == "fr"


def test_the_page_tells_faults_with_their_place(client: httpx.Client) -> None:
    page = client.get("/sparql", params={"query": "SELECT *\n{ ?s ?p }</textarea><b>"}, headers=BROWSER)
    assert page.status_code == 400
    assert "line 2, column 11" in page.text
    assert "</textarea><b>" not in page.text
    refused = client.get("/sparql", params={"query": "ASK { SERVICE <http://x.org/> {} }"}, headers=BROWSER)
    assert refused.status_code == 403
    assert "never call other addresses" in refused.text
    for query in ("ASK { SERVICE <http://x.org/> {} }", "INSERT DATA {}"):
        in_french = client.get("/sparql", params={"query": query, "lang": "fr"}, headers=BROWSER)
        assert "ici, les requêtes n" in in_french.text
        told = client.get("/sparql", params={"query": query}, headers={"Accept-Language": "fr"})
        assert (told.status_code, told.headers["content-language"]) == (403, "fr")
        assert "ici, les requêtes n" in told.json()["detail"]
    update = DIRECT | {"Content-Type": "application/sparql-update", "Accept-Language": "fr"}
    assert (
        "les mises à jour sont refusées" in client.post("/sparql", content=b"DROP ALL", headers=update).json()["detail"]
    )


def test_the_page_shows_values_as_text(client: httpx.Client) -> None:
    query = "SELECT ?x { VALUES ?x { '<img src=x>' <javascript:alert(1)> } }"
    page = client.get("/sparql", params={"query": query}, headers=BROWSER).text
    assert "<img src=x>" not in page
    assert 'href="javascript:' not in page


# Search


def test_search_joins_with_what_is_on_record(client: httpx.Client) -> None:
    query = """SELECT ?practice ?city ?score ?text {
        SERVICE mg:search { ?practice mg:query "Nous voulons un guichet unique pour les nouveaux arrivants"@fr ;
            mg:score ?score ; mg:limit 5 ; mg:passage ?text }
        ?practice mg:practisedIn ?city }"""
    found = rows(client.get("/sparql", params={"query": query}))
    assert len(found) == 5
    assert all(0 < float(row["score"]["value"]) <= 1 and row["text"]["xml:lang"] for row in found)
    direct = client.get(
        "/api/search",
        params={"q": "Nous voulons un guichet unique pour les nouveaux arrivants", "language": "fr", "limit": 5},
    )
    assert {row["practice"]["value"] for row in found} == {one["iri"] for one in direct.json()["results"]}


def test_search_finds_cities(client: httpx.Client) -> None:
    query = 'SELECT ?c ?name { SERVICE mg:search { ?c a schema:City ; mg:query "help newcomers find work" ; mg:limit 3 } ?c schema:addressCountry ?name }'
    found = [row["c"]["value"] for row in rows(client.get("/sparql", params={"query": query}))]
    assert len(found) == len(set(found)) == 3
    assert all(one.startswith(CITY) for one in found)


def test_search_used_wrongly_says_how_to_use_it(client: httpx.Client) -> None:
    answer = client.get("/sparql", params={"query": "SELECT * { SERVICE mg:search { ?p mg:score ?s } }"})
    assert kind_of(answer) == (400, "bad-query")
    assert "mg:query" in answer.json()["detail"]


# What is documented

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs/sparql.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("query", re.findall(r"```sparql\n(.*?)```", DOCUMENT, re.S), ids=lambda query: query[:40])
def test_every_query_of_the_documentation_finds_something(client: httpx.Client, query: str) -> None:
    assert rows(client.get("/sparql", params={"query": query}))


def test_every_limit_is_documented_with_its_setting() -> None:
    documented = re.findall(r"^\| .*`MENTORGRAPH_(SPARQL_[A-Z_]+)` \|", DOCUMENT, re.MULTILINE)
    assert sorted(documented) == sorted(name.upper() for name in Settings.model_fields if name.startswith("sparql_"))


def test_every_format_is_documented() -> None:
    for name, media_type in NAMES.items():
        assert re.search(rf"`{re.escape(media_type)}`.*\| `{name}` \|", DOCUMENT)


# Writes and secrets


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Catalogue, Server]]:
    """A service of its own, to write to."""
    folder = tmp_path_factory.mktemp("own") / "data"
    with Catalogue.create(folder, models=prepared_models()) as catalogue:
        catalogue.follow()
        with running(create_app(Settings(), catalogue)) as server:
            yield catalogue, server


def test_a_query_sees_what_was_saved_before(own: tuple[Catalogue, Server]) -> None:
    catalogue, server = own
    for number in range(5):
        catalogue.save([{"kind": "city", "id": "gent", "name": {"en": f"Ghent {number}"}, "country": "BE"}])
        catalogue.catch_up()
        query = "SELECT ?name { ?c schema:addressCountry 'BE' ; rdfs:label ?name }"
        found = rows(server.client.get("/sparql", params={"query": query}))
        assert [row["name"]["value"] for row in found] == [f"Ghent {number}"]


def test_drafts_and_what_a_team_keeps_cannot_be_reached(own: tuple[Catalogue, Server]) -> None:
    catalogue, server = own
    city = {"kind": "city", "name": {"en": "Open"}, "country": "BE"}
    catalogue.save([city | {"id": "draft-secret", "alt_names": ["secret-one"]}], publish=False)
    catalogue.save([city | {"id": "team-secret", "alt_names": ["secret-two"], "record": {"visibility": "team"}}])
    catalogue.save([city | {"id": "was-secret", "alt_names": ["secret-three"]}])
    catalogue.save(
        [city | {"id": "was-secret", "alt_names": ["secret-three"], "record": {"visibility": "team"}}],
        note="secret-four",
    )
    catalogue.save([city | {"id": "open", "alt_names": ["no mystery"]}], author="secret-five")
    catalogue.catch_up()
    everything = "SELECT * { { ?s ?p ?o } UNION { GRAPH ?g { ?s ?p ?o } } UNION { GRAPH ?g { } } }"
    answer = server.client.get("/sparql", params={"query": everything})
    assert "no mystery" in answer.text
    assert "secret" not in answer.text.replace("mg:", "")
    planted = 'ASK { { ?s ?p ?o } UNION { GRAPH ?o { } } FILTER(CONTAINS(STR(?o), "secret")) }'
    assert server.client.get("/sparql", params={"query": planted}).json()["boolean"] is False


def test_what_is_withdrawn_from_readers_is_gone_at_once(own: tuple[Catalogue, Server]) -> None:
    catalogue, server = own
    city = {"kind": "city", "id": "brief", "name": {"en": "Brief"}, "country": "BE"}
    seen = []
    for visibility in ("public", "team"):
        catalogue.save([city | {"record": {"visibility": visibility}}])
        catalogue.catch_up()
        query = f"ASK {{ GRAPH <{DEFAULT_BASE}id/city/brief#record> {{ ?s ?p ?o }} }}"
        seen.append(server.client.get("/sparql", params={"query": query}).json()["boolean"])
    assert seen == [True, False]
