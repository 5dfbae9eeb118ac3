"""The writing half of the Graph Store Protocol, by the W3C's text, through validation and the ledger."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest
from rdflib import RDF, RDFS, SH, Dataset, Graph, Literal, URIRef

from kg.accounts import Accounts
from kg.catalogue import Catalogue
from kg.search.text import language_of
from service.app import create_app
from service.representations import GRAPHS
from service.settings import Settings
from tests.models import prepared_models
from tests.service.conftest import Server, running

BASE = "https://w3id.org/mentorgraph/"
PREFIXES = f"""
@prefix mg: <{BASE}ontology#> . @prefix schema: <https://schema.org/> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service that publishes without a second person, as an administrator alone would run it."""
    folder = tmp_path_factory.mktemp("graphs") / "data"
    with Catalogue.create(folder, start_data=True, models=prepared_models()) as catalogue:
        catalogue.follow()
        with running(create_app(Settings(data=folder, second_person=False), catalogue)) as server:
            with Accounts(catalogue.ledger) as accounts:
                token, _ = accounts.create_token("root", "administrator", by="test")
            server.client.headers["Authorization"] = f"Bearer {token}"
            yield server


def city(id: str, more: str = 'schema:addressCountry "BE"') -> str:
    return f'{PREFIXES}<{BASE}id/city/{id}> a schema:City ; rdfs:label "{id.title()}"@en ; {more} .'


def put(store: Server, path: str, text: str, **headers: str) -> httpx.Response:
    return store.client.put(path, content=text.encode(), headers={"Content-Type": "text/turtle", **headers})


def post(store: Server, path: str, text: str, **headers: str) -> httpx.Response:
    return store.client.post(path, content=text.encode(), headers={"Content-Type": "text/turtle", **headers})


def test_a_graph_put_becomes_a_draft_and_readers_keep_what_is_published(store: Server) -> None:
    made = put(store, "/graphs/id/city/alpha", city("alpha"))
    assert made.status_code == 202, made.text
    assert made.json()["state"] == "draft"
    assert made.headers["Location"] == "/api/cities/alpha?version=newest"
    assert store.client.get("/graphs/id/city/alpha").status_code == 404
    tag = made.headers["ETag"]
    done = put(store, "/graphs/id/city/alpha?publish=true", city("alpha"), **{"If-Match": tag})
    assert done.status_code == 204
    assert "Alpha" in store.client.get("/graphs/id/city/alpha").text
    draft = put(
        store,
        "/graphs/id/city/alpha",
        city("alpha", 'schema:addressCountry "NL"'),
        **{"If-Match": done.headers["ETag"]},
    )
    assert draft.status_code == 202
    assert '"BE"' in store.client.get("/graphs/id/city/alpha").text
    assert (
        '"NL"'
        in store.client.get(
            f"/api/cities/alpha/history/{draft.json()['revision']}", headers={"Accept": "text/turtle"}
        ).text
    )


def test_indirect_and_direct_names_are_the_same_graph(store: Server) -> None:
    graph = f"{BASE}id/city/beta#record"
    made = store.client.put(
        "/graphs",
        params={"graph": graph, "publish": "true"},
        content=city("beta"),
        headers={"Content-Type": "text/turtle"},
    )
    assert made.status_code == 201, made.text
    assert made.headers["Location"] == "/graphs/id/city/beta"
    assert (
        store.client.get("/graphs/id/city/beta").content == store.client.get("/graphs", params={"graph": graph}).content
    )


@pytest.mark.parametrize("format", GRAPHS, ids=lambda format: format.suffix)
def test_what_was_read_can_be_written_back_in_every_format(store: Server, format: object) -> None:
    path, media_type = "/graphs/id/practice/mechelen--samen-inburgeren", format.media_type  # type: ignore[attr-defined]
    read = store.client.get(path, headers={"Accept": media_type})
    back = store.client.put(
        f"{path}?publish=true",
        content=read.content,
        headers={"Content-Type": media_type, "If-Match": read.headers["ETag"]},
    )
    assert back.status_code == 204, back.text
    assert store.client.get(path, headers={"Accept": media_type}).content == read.content, "nothing was changed by it"


def test_statements_posted_are_added_to_the_graph(store: Server) -> None:
    tag = put(store, "/graphs/id/city/gamma?publish=true", city("gamma")).headers["ETag"]
    french = f'{PREFIXES}<{BASE}id/city/gamma> a schema:City ; rdfs:label "Gamma-sur-Mer"@fr .'
    added = store.client.post(
        "/graphs/id/city/gamma?publish=true", content=french, headers={"Content-Type": "text/turtle", "If-Match": tag}
    )
    assert added.status_code == 204, added.text
    text = store.client.get("/graphs/id/city/gamma").text
    assert '"Gamma"@en' in text
    assert '"Gamma-sur-Mer"@fr' in text
    second = city("gamma", 'schema:addressCountry "NL"')
    refused = store.client.post(
        "/graphs/id/city/gamma",
        content=second,
        headers={"Content-Type": "text/turtle", "If-Match": added.headers["ETag"]},
    )
    assert refused.status_code == 422
    assert "country" in refused.json()["detail"]


@pytest.mark.parametrize("format", GRAPHS, ids=lambda format: format.suffix)
@pytest.mark.parametrize("is_direct", [True, False])
def test_what_is_posted_need_not_say_again_what_the_record_is(store: Server, format: object, is_direct: bool) -> None:
    """A statement alone, about the record or about a part of it, in every form and by both sorts of name."""
    suffix, media_type = format.suffix, format.media_type  # type: ignore[attr-defined]
    id = f"pi-{suffix}-{'direct' if is_direct else 'indirect'}"
    part = f'<#o> a mg:ContextObservation ; mg:measure <{BASE}concept/measure/population> ; mg:observedValue "86000"'
    whole = (
        city(id)
        + f"{PREFIXES}<{BASE}id/city/{id}> mg:observation <{BASE}id/city/{id}#o> . "
        + part.replace("<#o>", f"<{BASE}id/city/{id}#o>")
    )
    tag = put(store, f"/graphs/id/city/{id}?publish=true", whole + " .").headers["ETag"]
    alone = Graph()
    alone.add((URIRef(f"{BASE}id/city/{id}"), RDFS.label, Literal("Pi-sur-Mer", "fr")))
    noted = URIRef(f"{BASE}ontology#observationNote")
    alone.add((URIRef(f"{BASE}id/city/{id}#o"), noted, Literal("By the register.", "en")))
    form = {"nt": "nt", "nq": "nquads", "ttl": "turtle", "trig": "trig", "rdf": "xml", "jsonld": "json-ld"}[suffix]
    dataset = Dataset()
    for triple in alone:
        dataset.add(triple)
    body = dataset.serialize(format=form) if form in ("nquads", "trig") else alone.serialize(format=form)
    added = store.client.post(
        f"/graphs/id/city/{id}" if is_direct else "/graphs",
        params={"publish": "true"} | ({} if is_direct else {"graph": f"{BASE}id/city/{id}#record"}),
        content=body,
        headers={"Content-Type": media_type, "If-Match": tag},
    )
    assert added.status_code == 204, added.text
    record = store.client.get(f"/api/cities/{id}").json()
    assert record["name"]["fr"] == "Pi-sur-Mer"
    (observation,) = record["observations"]
    assert (observation["observed"], observation["observation_note"]) == ("86000", {"en": "By the register."})


def test_what_a_body_of_rdf_gets_wrong_is_told_in_the_language_asked_for(store: Server) -> None:
    wrong = city("rho", 'schema:addressCountry "BE", "NL" ; schema:nothing "x"')
    headers = {"Content-Type": "text/turtle", "Accept-Language": "fr"}
    for path in ("/graphs/id/city/rho", "/api/cities/rho"):
        refused = store.client.put(path, content=wrong, headers={**headers, "If-None-Match": "*"})
        assert refused.status_code == 422
        for problem in refused.json()["problems"]:
            assert language_of(problem["message"])[0] == "fr", problem


def test_a_part_posted_as_a_blank_node_is_a_part_of_its_own(store: Server) -> None:
    def observed(number: str) -> str:
        part = f'a mg:ContextObservation ; mg:measure <{BASE}concept/measure/population> ; mg:observedValue "{number}"'
        return f"{PREFIXES}<{BASE}id/city/iota> a schema:City ; mg:observation [ {part} ] ."

    def numbers() -> list[tuple[str, str]]:
        parts = store.client.get("/api/cities/iota").json()["observations"]
        return [(one["id"], one["observed"]) for one in parts]

    path = "/graphs/id/city/iota?publish=true"
    one = put(store, path, city("iota") + observed("86000"))
    assert one.status_code == 201, one.text
    assert numbers() == [("observation-1", "86000")]
    two = post(store, path, observed("87000"), **{"If-Match": one.headers["ETag"]})
    assert two.status_code == 204, two.text
    assert numbers() == [("observation-1", "86000"), ("observation-2", "87000")]
    fewer = put(store, path, city("iota") + observed("86000"), **{"If-Match": two.headers["ETag"]})
    assert fewer.status_code == 204, fewer.text
    three = post(store, path, observed("88000"), **{"If-Match": fewer.headers["ETag"]})
    assert three.status_code == 204, three.text
    assert numbers() == [("observation-1", "86000"), ("observation-3", "88000")], "no name is given twice"


def test_a_record_posted_to_the_store_names_itself(store: Server) -> None:
    made = store.client.post("/graphs", content=city("delta"), headers={"Content-Type": "text/turtle"})
    assert made.status_code == 202
    again = store.client.post("/graphs", content=city("delta"), headers={"Content-Type": "text/turtle"})
    assert again.status_code == 409


def test_a_graph_deleted_leaves_a_tombstone(store: Server) -> None:
    tag = put(store, "/graphs/id/city/epsilon?publish=true", city("epsilon")).headers["ETag"]
    path = "/graphs/id/city/epsilon"
    assert store.client.delete(path, headers={"If-Match": tag}).status_code == 422
    assert store.client.delete(f"{path}?reason=never+was").status_code == 428
    gone = store.client.delete(f"{path}?reason=never+was", headers={"If-Match": tag})
    assert gone.status_code == 204
    told = store.client.get(path)
    assert told.status_code == 410
    assert "never was" in told.json()["detail"]
    assert told.headers["ETag"] == gone.headers["ETag"], "what a change that brings it back is written on"
    assert put(store, f"{path}?publish=true", city("epsilon")).status_code == 428
    back = put(store, f"{path}?publish=true", city("epsilon"), **{"If-Match": told.headers["ETag"]})
    assert back.status_code == 204, back.text
    assert store.client.get(path).status_code == 200


def test_a_lost_update_is_refused(store: Server) -> None:
    tag = put(store, "/graphs/id/city/zeta?publish=true", city("zeta")).headers["ETag"]
    assert put(store, "/graphs/id/city/zeta", city("zeta", 'schema:addressCountry "NL"')).status_code == 428
    newer = put(store, "/graphs/id/city/zeta", city("zeta", 'schema:addressCountry "NL"'), **{"If-Match": tag})
    assert newer.status_code == 202
    stale = put(store, "/graphs/id/city/zeta", city("zeta", 'schema:addressCountry "DE"'), **{"If-Match": tag})
    assert stale.status_code == 412
    assert stale.json()["difference"]["collisions"] == ["country"]


def test_preconditions_are_those_of_http(store: Server) -> None:
    """RFC 9110, 13.1: `*`, lists, and the strong comparison of If-Match."""
    path, dutch = "/graphs/id/city/kappa", city("kappa", 'schema:addressCountry "NL"')
    for match in ("*", '"17"'):
        assert put(store, path, city("kappa"), **{"If-Match": match}).status_code == 412
    made = put(store, f"{path}?publish=true", city("kappa"), **{"If-None-Match": "*"})
    assert made.status_code == 201
    tag = made.headers["ETag"]
    number = tag.strip('"')
    for name in ("If-None-Match", "If-Match"):
        for match in ("17", '"17', "W/17", '"x" "y"'):
            assert put(store, path, dutch, **{name: match, "If-Match": match}).status_code == 422, match
    for headers in (
        {"If-None-Match": "*"},
        {"If-None-Match": "*", "If-Match": tag},
        {"If-None-Match": f'"x", W/{tag}', "If-Match": tag},
        {"If-Match": f"W/{tag}"},
        {"If-Match": '"x"'},
        {"If-Match": '"x", "1"'},
    ):
        refused = put(store, path, dutch, **headers)
        assert refused.status_code == 412, headers
        assert refused.json()["type"].endswith("stale-record")
    assert put(store, path, dutch, **{"If-Match": "*"}).status_code == 428
    kept = put(store, path, dutch, **{"If-Match": f'"x", W/{tag},"1" , "{number}-ttl-gzip"', "If-None-Match": '"1"'})
    assert kept.status_code == 202, kept.text


def test_a_refusal_is_a_problem_or_the_report_of_the_shapes(store: Server) -> None:
    wrong = city("eta", 'schema:addressCountry "Belgium"')
    plain = put(store, "/graphs/id/city/eta", wrong)
    assert plain.status_code == 422
    assert plain.json()["problems"][0]["field"] == "country"
    as_rdf = put(store, "/graphs/id/city/eta", wrong, Accept="text/turtle")
    assert as_rdf.status_code == 422
    report = Graph().parse(data=as_rdf.text, format="turtle")
    result = next(report.subjects(RDF.type, SH.ValidationResult))
    assert str(report.value(result, SH.resultPath)) == "https://schema.org/addressCountry"
    assert str(report.value(result, SH.focusNode)) == f"{BASE}id/city/eta"
    assert str(report.value(result, SH.sourceShape)).startswith(f"{BASE}ontology#CityShape-country")
    for one in report.objects(predicate=SH.result):
        for needed in (SH.focusNode, SH.resultSeverity, SH.sourceConstraintComponent):
            assert len(list(report.objects(one, needed))) == 1, "SHACL, 3.6.2: exactly one of each"
    assert SH.PatternConstraintComponent in set(report.objects(predicate=SH.sourceConstraintComponent))


@pytest.mark.parametrize(
    ("path", "body", "media_type", "status"),
    [
        ("/graphs/ontology", city("x"), "text/turtle", 403),
        ("/graphs?default", city("x"), "text/turtle", 403),
        ("/graphs", city("x"), "text/turtle", 400),
        ("/graphs?default&graph=urn:x", city("x"), "text/turtle", 400),
        ("/graphs?graph=urn:x&graph=urn:y", city("x"), "text/turtle", 400),
        ("/graphs/id/city/x?default", city("x"), "text/turtle", 400),
        ("/graphs/id/city/x", city("y"), "text/turtle", 400),
        ("/graphs/id/city/x", "", "text/turtle", 400),
        ("/graphs/id/city/x", "<<<", "text/turtle", 400),
        ("/graphs/id/city/x", "{}", "application/json", 415),
        ("/graphs/id/city/x", '{"@context": "http://127.0.0.1:9/c"}', "application/ld+json", 400),
        ("/graphs/id/city/x", '<!DOCTYPE r [<!ENTITY e "x">]><r>&e;</r>', "application/rdf+xml", 400),
        ("/graphs/id/city/X!", city("x"), "text/turtle", 404),
        ("/graphs/id/planet/x", city("x"), "text/turtle", 404),
        ("/graphs/id/city/x?graph=urn:x", city("x"), "text/turtle", 400),
    ],
)
def test_what_cannot_be_written_is_told_why(store: Server, path: str, body: str, media_type: str, status: int) -> None:
    answer = store.client.put(path, content=body.encode(), headers={"Content-Type": media_type})
    assert answer.status_code == status, answer.text
    assert len(answer.json()["detail"]) > 20


def test_without_a_token_nothing_is_written(store: Server) -> None:
    before = store.app.state.catalogue.ledger.last_number()
    for method in ("PUT", "POST", "DELETE"):
        answer = httpx.request(
            method, f"{store.url}/graphs/id/city/theta", content=city("theta"), headers={"Content-Type": "text/turtle"}
        )
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert store.app.state.catalogue.ledger.last_number() == before


@pytest.mark.parametrize("form", ["application/n-quads", "application/trig", "application/ld+json"])
def test_a_statement_in_another_graph_than_its_records_is_not_stored_in_silence(store: Server, form: str) -> None:
    def told(graph: str) -> str:
        thing = f"{BASE}id/city/{id}"
        if form == "application/ld+json":
            node = {
                "@id": thing,
                "@type": "https://schema.org/City",
                str(RDFS.label): {"@value": "Q", "@language": "en"},
            }
            return json.dumps({"@id": graph, "@graph": [node]})
        lines = [f"<{thing}> <{RDF.type}> <https://schema.org/City>", f'<{thing}> <{RDFS.label}> "Q"@en']
        if form == "application/trig":
            return f"<{graph}> {{ {' . '.join(lines)} }}"
        return "".join(f"{line} <{graph}> .\n" for line in lines)

    id = f"quadville-{form.partition('/')[2].replace('+', '-')}"
    path, headers = f"/graphs/id/city/{id}", {"Content-Type": form, "Accept-Language": "fr"}
    refused = store.client.put(path, content=told("https://elsewhere.example/g"), headers=headers)
    assert refused.status_code == 400, refused.text
    assert "'https://elsewhere.example/g'" in refused.json()["detail"]
    assert "nommez celui-ci, ou aucun" in refused.json()["detail"]
    api = store.client.post("/api/cities", content=told("https://elsewhere.example/g"), headers=headers)
    assert (api.status_code, api.json()["type"].rpartition("/")[2]) == (400, "unreadable-input")
    made = store.client.put(path, content=told(f"{BASE}id/city/{id}#record"), headers=headers)
    assert made.status_code == 202, made.text


def test_a_graph_that_nobody_writes_is_called_by_its_own_name(store: Server) -> None:
    refused = put(store, "/graphs/ontology", city("alpha"))
    assert refused.status_code == 403
    assert f"'{BASE}ontology' is no graph of a record" in refused.json()["detail"]
    asked = store.client.options("/graphs", params={"graph": f"{BASE}ontology"})
    assert asked.headers["Allow"] == "GET, HEAD, OPTIONS"
    asked = store.client.options("/graphs", params={"graph": f"{BASE}id/city/alpha#record"})
    assert "PUT" in asked.headers["Allow"]
