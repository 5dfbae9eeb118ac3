"""Lists over HTTP: facets that SPARQL counts alike, filters, orders, and what is refused."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from kg.fields import declaration
from service.api.models import CityListing, FoundPractices, Listing, PracticeListing
from tests.service.test_api import promise

PREFIXES = """
PREFIX mg: <https://w3id.org/mentorgraph/ontology#>
PREFIX dcat: <http://www.w3.org/ns/dcat#>
PREFIX dcterms: <http://purl.org/dc/terms/>
PREFIX schema: <https://schema.org/>
PREFIX skos: <http://www.w3.org/2004/02/skos/core#>
"""
BY_SPARQL = {
    "country": "?one mg:practisedIn/schema:addressCountry ?value",
    "theme": '?one mg:practisedIn ?city ; dcterms:subject/skos:broader* ?theme BIND(STRAFTER(STR(?theme), "/id/theme/") AS ?value)',
    "evidence": "?one mg:practisedIn ?city ; mg:evidenceType/skos:notation ?value",
    "decade": """
        { SELECT ?one (MIN(STR(?start)) AS ?first) {
            ?one mg:practisedIn ?city OPTIONAL { ?one mg:period/dcat:startDate ?start } } GROUP BY ?one }
        BIND(COALESCE(CONCAT(SUBSTR(?first, 1, 3), "0"), "unknown") AS ?value)""",
    "language": "?one mg:practisedIn ?city ; dcterms:title ?title BIND(LANG(?title) AS ?value)",
}


def counted(client: httpx.Client, pattern: str) -> dict[str, int]:
    query = f"{PREFIXES} SELECT ?value (COUNT(DISTINCT ?one) AS ?count) {{ {pattern} }} GROUP BY ?value"
    rows = client.get("/sparql", params={"query": query}).json()["results"]["bindings"]
    return {row["value"]["value"]: int(row["count"]["value"]) for row in rows}


def facets(client: httpx.Client, address: str, **asked: Any) -> dict[str, dict[str, int]]:
    answer = client.get(address, params=asked)
    assert answer.status_code == 200, answer.text
    return {name: {one["value"]: one["count"] for one in some} for name, some in answer.json()["facets"].items()}


def test_counts_of_practices_are_those_of_sparql(client: httpx.Client) -> None:
    found = facets(client, "/api/practices")
    assert list(found) == ["country", "theme", "evidence", "decade", "language", "size"]
    for facet, pattern in BY_SPARQL.items():
        assert found[facet] == counted(client, pattern), facet
    assert sum(found["size"].values()) == 79
    latvian = counted(
        client,
        '?one mg:practisedIn/schema:addressCountry "LV" ; dcterms:subject/skos:broader* ?theme '
        'BIND(STRAFTER(STR(?theme), "/id/theme/") AS ?value)',
    )
    narrowed = facets(client, "/api/practices", country="LV")
    assert narrowed["theme"] == latvian
    assert narrowed["country"] == found["country"]


def test_counts_of_cities_organisations_and_transfers_are_those_of_sparql(client: httpx.Client) -> None:
    for path, patterns in {
        "cities": {
            "country": "?one a schema:City ; schema:addressCountry ?value",
            "language": "?one a schema:City ; mg:officialLanguage ?value",
        },
        "transfers": {"country": "?one mg:transferredFrom|mg:transferredTo ?city . ?city schema:addressCountry ?value"},
    }.items():
        found = facets(client, f"/api/{path}")
        for facet, pattern in patterns.items():
            told = {value: count for value, count in found[facet].items() if value != "unknown"}
            assert told == counted(client, pattern), (path, facet)


def test_what_a_list_counts_is_what_its_filter_finds(client: httpx.Client) -> None:
    for path in [kind.path for kind in declaration().kinds.values()]:
        for facet, counts in facets(client, f"/api/{path}", limit=1).items():
            if not counts:
                assert client.get(f"/api/{path}").json()["total"] == 0, "each record has a value of each facet"
                continue
            value, count = min(counts.items(), key=lambda one: (-one[1], one[0]))
            listing = client.get(f"/api/{path}", params={facet: value, "limit": 200}).json()
            promise(Listing, listing)
            assert len(listing["results"]) == listing["total"] == count, (path, facet, value)


def test_several_values_of_a_facet_add_up_and_labels_are_in_french(client: httpx.Client) -> None:
    asked = {"country": ["LV", "BE"], "facets": "country,size", "lang": "fr"}
    told = client.get("/api/practices", params=asked).json()
    assert list(told["facets"]) == ["country", "size"]
    chosen = [one for one in told["facets"]["country"] if one["chosen"]]
    assert [(one["value"], one["label"]) for one in chosen] == [("BE", "Belgique"), ("LV", "Lettonie")]
    assert told["total"] == sum(one["count"] for one in chosen)
    assert "habitants" in told["facets"]["size"][0]["label"]
    assert client.get("/api/practices", params={"facets": "none"}).json()["facets"] == {}


def test_a_parameter_that_a_list_does_not_have_is_refused_with_those_it_has(client: httpx.Client) -> None:
    for path in ("practices", "search"):
        told = client.get(
            f"/api/{path}", params={"q": "x", "city": "jelgava"} if path == "search" else {"city": "jelgava"}
        )
        assert told.status_code == 422
        assert "'city'" in told.json()["detail"]
        assert "country" in told.json()["detail"]
    french = client.get("/api/themes", params={"foo": "bar", "lang": "fr"}).json()["detail"]
    assert french.startswith("il n’y a pas de paramètre 'foo'")


def test_practices_of_a_theme_by_evidence_say_why(client: httpx.Client) -> None:
    told = client.get("/api/practices", params={"theme": "language", "sort": "evidence", "limit": 5}).json()
    promise(PracticeListing, told)
    assert told["results"][0]["place"]["evidence"] == "independent-evaluation"
    assert (
        "indépendante"
        in client.get(
            "/api/practices", params={"theme": "language", "sort": "evidence", "limit": 1, "lang": "fr"}
        ).json()["results"][0]["place"]["text"]
    )
    rest = client.get("/api/practices", params={"theme": "language", "sort": "evidence", "cursor": told["next"]}).json()
    assert len(told["results"]) + len(rest["results"]) == told["total"]


def test_cities_like_one_show_what_could_be_compared(client: httpx.Client) -> None:
    asked = {"sort": "nearest", "like": "jelgava", "theme": "language", "like_foreign_born_share": 0.1}
    told = client.get("/api/cities", params=asked).json()
    promise(CityListing, told)
    assert told["results"]
    for one in told["results"]:
        assert one["experience"][0]["theme"] == "language"
        assert one["coverage"] <= 1.0
        assert one["id"] != "jelgava"


def test_search_counts_every_facet_and_narrows_by_each(client: httpx.Client) -> None:
    told = client.get("/api/search", params={"q": "newcomers", "size": ["small", "medium"], "limit": 100}).json()
    promise(FoundPractices, told)
    listing = client.get("/api/practices", params={"size": ["small", "medium"], "limit": 200}).json()
    assert sorted(one["id"] for one in told["results"]) == [one["id"] for one in listing["results"]]
    assert told["facets"] == listing["facets"]
    unknown = client.get("/api/search", params={"q": "newcomers", "decade": "unknown"}).json()["results"]
    assert len(unknown) == client.get("/api/practices", params={"decade": "unknown"}).json()["total"]


@pytest.mark.parametrize(
    ("address", "right"),
    [
        ("/api/practices?country=XX", "two letters such as LV"),
        ("/api/practices?theme=langage", "did you mean language"),
        ("/api/practices?size=tiny", "'small', 'medium'"),
        ("/api/practices?facets=colour", "there are country, theme"),
        ("/api/practices?sort=nearest", "'id' or 'evidence'"),
        ("/api/practices?sort=evidence&cursor=x", "was not given by a page"),
        ("/api/practices?state=draft&country=BE", "leave them out, or the state"),
        ("/api/cities?sort=nearest", "like=jelgava"),
        ("/api/cities?sort=nearest&like_foreign_born_share=nan", "like_foreign_born_share"),
        ("/api/search?q=desk&decade=2013", "write its first year"),
    ],
)
def test_what_cannot_be_asked_is_answered_with_what_can(client: httpx.Client, address: str, right: str) -> None:
    answer = client.get(address)
    assert (answer.status_code, right in answer.json()["detail"]) == (422, True), answer.text
