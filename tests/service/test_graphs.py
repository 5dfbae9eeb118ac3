"""The Graph Store Protocol, as far as it reads, from the W3C's text."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rdflib import Dataset, Graph
from rdflib.compare import isomorphic
from rdflib.graph import DATASET_DEFAULT_GRAPH_ID

from kg.catalogue import Catalogue
from service.representations import GRAPHS
from tests.service.conftest import Server

PATH = "id/practice/mechelen--samen-inburgeren"
RECORD = f"https://w3id.org/mentorgraph/{PATH}#record"
PARSERS = {
    "text/turtle": "turtle",
    "application/ld+json": "json-ld",
    "application/n-triples": "nt",
    "application/rdf+xml": "xml",
    "application/trig": "trig",
    "application/n-quads": "nquads",
}


def read(answer: httpx.Response) -> Graph:
    """The graph of an answer, whatever its format; quads must not bear a graph's name."""
    assert answer.status_code == 200, answer.text
    media_type = answer.headers["content-type"].partition(";")[0]
    dataset = Dataset()
    dataset.parse(data=answer.text, format=PARSERS[media_type])
    graph = Graph()
    for s, p, o, name in dataset.quads():
        assert name == DATASET_DEFAULT_GRAPH_ID, name
        graph.add((s, p, o))
    return graph


@pytest.fixture(scope="module")
def turtle(server: Server) -> Graph:
    return Graph().parse(f"{server.url}/{PATH}.ttl", format="turtle")


def test_a_graph_is_reached_directly_and_indirectly(client: httpx.Client, turtle: Graph) -> None:
    direct = client.get(f"/graphs/{PATH}")
    indirect = client.get("/graphs", params={"graph": RECORD})
    assert direct.content == indirect.content
    assert isomorphic(read(direct), turtle)


@pytest.mark.parametrize("format", GRAPHS, ids=lambda format: format.suffix)
def test_every_format_holds_the_same_graph(client: httpx.Client, turtle: Graph, format: object) -> None:
    media_type = format.media_type  # type: ignore[attr-defined]
    answer = client.get(f"/graphs/{PATH}", headers={"Accept": media_type})
    assert answer.headers["content-type"].startswith(media_type)
    assert "Accept" in answer.headers["vary"]
    assert isomorphic(read(answer), turtle)


def test_head_is_answered_like_get_without_a_body(client: httpx.Client) -> None:
    for address in (f"/graphs/{PATH}", "/graphs?default", "/graphs/shapes"):
        head, get = client.head(address), client.get(address)
        assert (head.status_code, head.content) == (200, b"")
        for name in ("content-type", "etag", "vary"):
            assert head.headers[name] == get.headers[name]


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("application/n-triples;q=0.5, application/trig;q=0.9", "application/trig"),
        ("text/turtle;q=0, */*;q=0.1", "application/ld+json"),
        ("application/n-quads, text/turtle;q=0.9", "application/n-quads"),
        ("*/*", "text/turtle"),
    ],
)
def test_quality_values_decide(client: httpx.Client, accept: str, expected: str) -> None:
    answer = client.get(f"/graphs/{PATH}", headers={"Accept": accept})
    assert answer.headers["content-type"].partition(";")[0] == expected


def test_no_format_that_fits_is_told_with_those_that_there_are(client: httpx.Client) -> None:
    answer = client.get("/graphs?default", headers={"Accept": "text/html, text/turtle;q=0"})
    assert answer.status_code == 406
    assert all(format.media_type in answer.json()["detail"] for format in GRAPHS)


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?graph=",
        "?graph=ontology",
        "?graph=id/city/mechelen",
        "?graph=%20",
        "?graph=https://x.org/%3E%20%7B",
        "?default&graph=https://x.org/",
        "?graph=https://x.org/&graph=https://y.org/",
        f"/{PATH}?graph=https://x.org/",
        f"/{PATH}?graph=",
        f"/{PATH}?default",
    ],
)
def test_one_graph_is_named_by_its_full_address(client: httpx.Client, query: str) -> None:
    answer = client.get(f"/graphs{query}")
    assert answer.status_code == 400, answer.text
    assert answer.json()["type"].endswith("unreadable-input")


@pytest.mark.parametrize(
    ("graph", "hint"),
    [
        (RECORD.replace("mechelen", "mechelln"), "mechelen--samen-inburgeren"),
        (RECORD.removesuffix("#record"), "#record"),
        (RECORD.replace("#record", "#claim-1"), "#record"),
        ("https://w3id.org/mentorgraph/shape", "/shapes"),
        ("https://w3id.org/mentorgraph/system/applied/1", ""),
        ("https://example.org/", "void"),
    ],
)
def test_a_graph_that_is_not_there(client: httpx.Client, graph: str, hint: str) -> None:
    answer = client.get("/graphs", params={"graph": graph})
    assert answer.status_code == 404
    assert hint in answer.json()["detail"]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=40))
def test_no_name_of_a_graph_makes_the_service_fail(client: httpx.Client, name: str) -> None:
    readable = name.encode("utf-8", "replace").decode()
    assert client.get("/graphs", params={"graph": readable}).status_code in (400, 404)
    assert client.get("/graphs", params={"graph": f"https://w3id.org/mentorgraph/{readable}"}).status_code in (400, 404)


def test_the_vocabulary_s_graphs_are_those_of_the_files(client: httpx.Client) -> None:
    from ontology import path

    for name, file in (("schemes", "schemes.ttl"), ("alignments", "alignments.ttl"), ("ontology", "mentorship.ttl")):
        served = read(client.get(f"/graphs/{name}"))
        assert len(served) == len(Graph().parse(path(file), format="turtle"))
        indirect = client.get("/graphs", params={"graph": f"https://w3id.org/mentorgraph/{name}"})
        assert indirect.status_code == 200


def test_the_default_graph_is_the_union_of_all(client: httpx.Client, catalogue: Catalogue, tmp_path: Path) -> None:
    catalogue.export(tmp_path / "all.nq")
    lines = (tmp_path / "all.nq").read_text(encoding="utf-8").splitlines()
    named = {line.rsplit(" <", 1)[0] for line in lines if "_:" not in line}
    union = client.get("/graphs?default", headers={"Accept": "application/n-triples"})
    told = {line.removesuffix(" .") for line in union.text.splitlines() if "_:" not in line}
    assert told == named
    assert len(told) > 5000
    for media_type in ("application/n-quads", "application/trig", "application/ld+json", "application/rdf+xml"):
        answer = client.get("/graphs?default", headers={"Accept": media_type})
        assert answer.headers["content-type"].startswith(media_type)
        assert int(answer.headers.get("content-length") or len(answer.content)) > 100_000


def test_graphs_have_tags_that_hold(client: httpx.Client) -> None:
    for address in (f"/graphs/{PATH}", "/graphs?default", "/graphs/shapes"):
        first = client.get(address)
        held = {"If-None-Match": first.headers["etag"]}
        again = client.get(address, headers=held)
        assert (again.status_code, again.content) == (304, b"")
        other = client.get(address, headers={**held, "Accept": "application/n-triples"})
        assert other.status_code == 200, "the tag of one format is taken for another's"


def test_a_graph_cannot_be_written_by_anybody(client: httpx.Client) -> None:
    for method in ("PUT", "POST", "DELETE"):
        answer = client.request(method, f"/graphs/{PATH}", content=b"", headers={"Content-Type": "text/turtle"})
        assert answer.status_code == 401
    answer = client.patch(f"/graphs/{PATH}", content=b"", headers={"Content-Type": "text/turtle"})
    assert answer.status_code == 405
    assert answer.headers["allow"] == "DELETE, GET, HEAD, OPTIONS, POST, PUT"
