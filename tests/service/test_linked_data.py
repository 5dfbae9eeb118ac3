"""Names that resolve, for people and for programs, and what is said where something is gone."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

import httpx
import pyoxigraph as ox
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rdflib import DCAT, DCTERMS, RDF, SKOS, VOID, Graph, URIRef
from rdflib.compare import isomorphic

from kg.catalogue import Catalogue
from kg.fields import declaration, shapes_graph
from kg.ledger import Change
from kg.vocabulary import CONCEPTS, MG
from service.api import dumps, graphs, linked_data
from service.app import create_app
from service.pages import records, terms
from service.pages.terms import concept_named
from service.representations import DOCUMENTS
from service.settings import Settings
from tests.service.conftest import Server, running
from tests.service.test_first_page import Seen

PRACTICE = "/id/practice/mechelen--samen-inburgeren"
PARSERS = {"ttl": "turtle", "jsonld": "json-ld", "nt": "nt", "rdf": "xml"}


@dataclass(frozen=True)
class Past:
    """A small service whose records have a past: withdrawn, merged, hidden, erased."""

    server: Server
    catalogue: Catalogue

    @property
    def client(self) -> httpx.Client:
        return self.server.client


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Past]:
    names = ("here", "old", "moved", "secret", "unborn", "erased", "council")
    cities = [{"kind": "city", "id": id, "name": {"en": f"<b>{id}</b> & co"}, "country": "BE"} for id in names]
    cities[3]["record"] = cities[6]["record"] = {"visibility": "team"}
    with Catalogue.create(tmp_path_factory.mktemp("past") / "data", base="https://cities.example/kg/") as catalogue:
        catalogue.save([city for city in cities if city["id"] != "unborn"])
        catalogue.save([cities[4]], publish=False)
        with catalogue.ledger.write() as transaction:
            gone = {"payload": "", "author": "ilze"}
            transaction.append(Change("city", "old", "withdrawn", "public", reason="It never was a city.", **gone))
            transaction.append(
                Change("city", "moved", "merged", "public", reason="The same.", replaced_by="here", **gone)
            )
            transaction.append(Change("city", "secret", "withdrawn", "team", reason="TEAM ONLY", **gone))
            transaction.append(Change("city", "unborn", "withdrawn", "public", reason="NEVER SHOWN", **gone))
            transaction.append(Change("city", "erased", "withdrawn", "public", reason="Personal data.", **gone))
        for revision in catalogue.ledger.history("city", "erased"):
            catalogue.ledger.erase(revision.number, "by law")
        catalogue.catch_up()
        with running(create_app(Settings(), catalogue)) as server:
            yield Past(server, catalogue)


# Records


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("text/turtle", f"{PRACTICE}.ttl"),
        ("application/ld+json", f"{PRACTICE}.jsonld"),
        ("application/n-triples", f"{PRACTICE}.nt"),
        ("application/rdf+xml", f"{PRACTICE}.rdf"),
        ("application/json", "/api/practices/mechelen--samen-inburgeren"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", PRACTICE.replace("/id/", "/page/")),
        ("text/turtle;q=0.4, application/rdf+xml;q=0.5", f"{PRACTICE}.rdf"),
        ("text/turtle;q=0, application/*", f"{PRACTICE}.jsonld"),
        ("*/*", f"{PRACTICE}.ttl"),
        ("", f"{PRACTICE}.ttl"),
    ],
)
def test_a_name_leads_to_the_form_asked_for(client: httpx.Client, accept: str, expected: str) -> None:
    answer = client.get(PRACTICE, headers={"Accept": accept})
    assert (answer.status_code, answer.headers["location"]) == (303, expected)
    assert "Accept" in answer.headers["vary"]
    document = client.get(expected)
    assert document.status_code == 200
    wanted = accept.split(",")[0]
    assert "q=" in wanted or "*" in wanted or not wanted or document.headers["content-type"].startswith(wanted)


def test_forms_that_there_are_not_are_refused_with_those_that_there_are(client: httpx.Client) -> None:
    answer = client.get(PRACTICE, headers={"Accept": "image/png, text/turtle;q=0"})
    assert answer.status_code == 406
    for format in DOCUMENTS:
        assert format.media_type in answer.json()["detail"]
    in_french = client.get(PRACTICE, headers={"Accept": "image/png", "Accept-Language": "fr"}).json()["detail"]
    assert "ne répond que sous ces formes : text/turtle ou " in in_french
    assert " or " not in in_french


@pytest.mark.parametrize(
    "name", ["practice/mechelen--samen-inburgeren", "mentorship/capaci--mechelen", "city/capaci", "theme/gender-women"]
)
def test_every_form_of_a_record_says_the_same(client: httpx.Client, server: Server, name: str) -> None:
    """JSON-LD is read as a stranger reads it: the context is fetched from the address that stands in it."""
    turtle = Graph().parse(f"{server.url}/id/{name}.ttl", format="turtle")
    assert len(turtle) > 10
    for suffix, parser in PARSERS.items():
        assert isomorphic(turtle, Graph().parse(f"{server.url}/id/{name}.{suffix}", format=parser)), suffix


def test_what_is_said_is_what_queries_find(client: httpx.Client, server: Server, catalogue: Catalogue) -> None:
    record = f"{catalogue.base}{PRACTICE[1:]}#record"
    viewed = catalogue.graph.query(f"CONSTRUCT {{ ?s ?p ?o }} {{ GRAPH <{record}> {{ ?s ?p ?o }} }}", graph="ntriples")
    assert isomorphic(Graph().parse(data=viewed, format="nt"), Graph().parse(f"{server.url}{PRACTICE}"))


def test_a_copy_is_sent_again_only_when_it_has_changed(client: httpx.Client) -> None:
    first = client.get(f"{PRACTICE}.ttl")
    tag, modified = first.headers["etag"], first.headers["last-modified"]
    long_ago = "Sat, 01 Jan 2000 00:00:00 GMT"
    for headers, expected in (
        ({"If-None-Match": tag}, 304),
        ({"If-None-Match": f'"other", W/{tag}'}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": '"other"'}, 200),
        ({"If-Modified-Since": modified}, 304),
        ({"If-Modified-Since": long_ago}, 200),
        ({"If-Modified-Since": "yesterday"}, 200),
        ({"If-None-Match": '"other"', "If-Modified-Since": modified}, 200),
    ):
        answer = client.get(f"{PRACTICE}.ttl", headers=headers)
        assert answer.status_code == expected, headers
        assert answer.headers["etag"] == tag
        assert bool(answer.content) == (expected == 200)
    tags = {client.get(f"{PRACTICE}.{suffix}").headers["etag"] for suffix in PARSERS}
    assert len(tags) == len(PARSERS), "two forms share an entity tag"


@pytest.mark.parametrize(
    "path", [f"{PRACTICE}.ttl", "/graphs/shapes", PRACTICE.replace("/id/practice", "/api/practices")]
)
def test_a_packed_body_has_a_tag_of_its_own(client: httpx.Client, path: str) -> None:
    def get(coding: str, held: str | None = None) -> httpx.Response:
        return client.get(path, headers={"Accept-Encoding": coding} | ({"If-None-Match": held} if held else {}))

    plain, packed = get("identity"), get("gzip")
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert (packed.content == plain.content, packed.headers["etag"] == plain.headers["etag"]) == (True, False)
    assert get("gzip;q=0, *;q=0.1").headers["etag"] == plain.headers["etag"], "it is packed against the client's wish"
    for one in (plain, packed):
        tag = one.headers["etag"]
        assert not tag.startswith("W/")
        for coding in ("identity", "gzip"):
            again = get(coding, f'"other", {tag}')
            assert again.status_code == 304
            assert "accept-encoding" in again.headers["vary"].lower()
        assert get("gzip", tag).headers["etag"] == tag
    assert get("gzip", packed.headers["etag"].replace("-gzip", "-zip")).status_code == 200


@pytest.mark.parametrize("path", ["/ontology.ttl", "/themes.nt", "/catalog.jsonld", "/.well-known/void.rdf", PRACTICE])
def test_documents_and_pages_have_tags_that_hold(client: httpx.Client, path: str) -> None:
    address = path if "." in path else path.replace("/id/", "/page/")
    first = client.get(address)
    assert client.get(address, headers={"If-None-Match": first.headers["etag"]}).status_code == 304
    assert client.get(address, headers={"If-None-Match": '"other"'}).content == first.content or path == "/themes.nt"


def test_a_change_changes_the_tag(past: Past) -> None:
    before = {path: past.client.get(path).headers["etag"] for path in ("/id/city/here.ttl", "/page/city/here")}
    described = past.client.get("/catalog.nt").text
    here = {"kind": "city", "id": "here", "name": {"en": "Here <b>now</b>"}, "country": "BE"}
    past.catalogue.save([here])
    past.catalogue.catch_up()
    for path, tag in before.items():
        answer = past.client.get(path, headers={"If-None-Match": tag})
        assert answer.status_code == 200, path
        assert "now" in answer.text
    deadline = time.monotonic() + 20
    while past.client.get("/catalog.nt").text == described:
        assert time.monotonic() < deadline, "the description is never counted again"
        time.sleep(0.05)


def test_links_name_the_other_forms_and_the_thing(client: httpx.Client, catalogue: Catalogue) -> None:
    links = client.get(f"{PRACTICE}.ttl").headers["link"]
    assert f'<{catalogue.base}{PRACTICE[1:]}>; rel="canonical"' in links
    assert f'<{PRACTICE}.jsonld>; rel="alternate"; type="application/ld+json"' in links
    assert f'<{PRACTICE.replace("/id/", "/page/")}>; rel="alternate"; type="text/html"' in links
    assert "turtle" not in links, "a document is no alternate of itself"
    assert 'rel="describedby"' in links
    page = client.get(PRACTICE.replace("/id/", "/page/")).headers["link"]
    assert f'<{PRACTICE}.ttl>; rel="describedby"; type="text/turtle"' in page
    for target in re.findall(r"<(/[^>]*)>", f"{links}, {page}"):
        assert client.get(target).status_code == 200


# Gone, merged, hidden, unknown


def test_a_withdrawn_record_leaves_a_tombstone(past: Past) -> None:
    for path in ("/id/city/old", "/id/city/old.ttl", "/api/cities/old"):
        answer = past.client.get(path, headers={"Accept": "application/json, text/turtle"})
        assert answer.status_code == 410
        assert answer.headers["content-type"] == "application/problem+json"
        assert "It never was a city." in answer.json()["detail"]
    for path in ("/id/city/old", "/page/city/old"):
        page = past.client.get(path, headers={"Accept": "text/html", "Accept-Language": "fr"})
        assert (page.status_code, page.headers["content-type"]) == (410, "text/html; charset=utf-8")
        seen = Seen(page.text)
        assert seen.all("html") == [{"lang": "fr"}]
        assert seen.texts["h1"] == ["Cette fiche a été retirée"]
        assert "Motif\u00a0: It never was a city." in " ".join(seen.texts["p"])


def test_a_merged_record_leads_to_the_one_that_took_its_place(past: Past) -> None:
    for path, expected in (
        ("/id/city/moved", "/id/city/here"),
        ("/id/city/moved.ttl", "/id/city/here.ttl"),
        ("/page/city/moved?lang=fr", "/page/city/here?lang=fr"),
    ):
        answer = past.client.get(path)
        assert (answer.status_code, answer.headers["location"]) == (301, expected)
    assert past.client.get("/id/city/moved", follow_redirects=True).status_code == 200


@pytest.mark.parametrize("id", ["secret", "unborn"])
@pytest.mark.parametrize("path", ["/id/city/{}", "/id/city/{}.ttl", "/page/city/{}", "/graphs/id/city/{}"])
def test_what_was_never_public_is_not_found_and_says_nothing(past: Past, id: str, path: str) -> None:
    answer = past.client.get(path.format(id))
    assert answer.status_code == 404
    assert "TEAM" not in answer.text
    assert "NEVER" not in answer.text
    assert "withdrawn" not in answer.text


def test_hints_name_only_what_readers_may_see(past: Past) -> None:
    assert "council" not in past.client.get("/id/city/counci").text
    assert "did you mean here?" in past.client.get("/id/city/heer").text


def test_what_was_erased_by_law_is_gone_with_its_reason(past: Past) -> None:
    answer = past.client.get("/id/city/erased.ttl")
    assert answer.status_code == 410
    assert "Personal" not in answer.text


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("/id/city/mechelln", "mechelen"),
        ("/id/cities/mechelen", "/id/city/"),
        ("/id/town/mechelen", "city"),
        ("/id/city/mechelen.xls", ".ttl"),
        ("/id/city/..%2F..%2Fetc", "identifier"),
        ("/concept/tie/owm", "tie/own"),
        ("/concept/tie/own.xls", ".ttl"),
        ("/ontology.xls", ".ttl"),
        ("/catalog.xls", ".ttl"),
    ],
)
def test_an_unknown_name_is_a_problem_with_the_nearest(client: httpx.Client, path: str, hint: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert hint in answer.json()["detail"] or "%2F" in path


def test_people_get_the_same_as_a_page(client: httpx.Client) -> None:
    for path in ("/id/city/mechelln", "/page/city/mechelln", "/concept/tie/owm", "/page/concept/tie/owm"):
        answer = client.get(path, headers={"Accept": "text/html"})
        assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
        assert "did you mean" in answer.text


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["id/city/", "id/", "page/city/", "concept/", "page/concept/", "ontology."]), st.text(max_size=30)
)
def test_no_name_makes_the_service_fail(client: httpx.Client, stem: str, name: str) -> None:
    answer = client.get(f"/{stem}{quote(name.encode('utf-8', 'replace'), safe='')}")
    assert answer.status_code in (200, 303, 307, 404), (stem, name)


def test_a_host_that_is_none_is_not_repeated(server: Server, catalogue: Catalogue) -> None:
    hostile = {"Host": "x><script>", "Accept": "application/n-triples"}
    for path in ("/catalog", "/.well-known/void"):
        answer = server.client.get(path, headers=hostile)
        assert answer.status_code in (200, 400)
        assert "<script" not in answer.text
        assert "/x>" not in answer.text
    named = server.client.get("/catalog.nt", headers={"Host": "data.city.example:8443"}).text
    assert "<http://data.city.example:8443/dumps/latest.nq.gz>" in named


# Terms, concepts, themes


def test_every_name_of_the_ontology_has_its_place_on_the_page_and_in_the_data(
    client: httpx.Client, server: Server
) -> None:
    names = {str(s).removeprefix(str(MG)) for s in shapes_graph().subjects() if str(s).startswith(str(MG))}
    assert len(names) > 200
    for language in ("en", "fr"):
        page = client.get("/ontology", headers={"Accept": "text/html"}, params={"lang": language}).text
        ids = re.findall(r' id="([^"]+)"', page)
        assert names <= set(ids)
        assert len(ids) == len(set(ids)), "an anchor stands twice"
    data = Graph().parse(f"{server.url}/ontology")
    assert {str(s).removeprefix(str(MG)) for s in data.subjects() if str(s).startswith(str(MG))} >= names


def test_terms_say_what_they_mean_in_the_reader_s_language(client: httpx.Client) -> None:
    page = Seen(client.get("/ontology?lang=fr", headers={"Accept": "text/html"}).text)
    assert "pratique" in " ".join(page.texts["a"])
    assert any("face à un problème" in text for text in page.texts["p"])


def test_every_concept_and_list_resolves(client: httpx.Client) -> None:
    graph = shapes_graph()
    concepts = {*graph.subjects(RDF.type, SKOS.Concept), *graph.subjects(RDF.type, SKOS.ConceptScheme)}
    names = {str(one).removeprefix(CONCEPTS) for one in concepts if str(one).startswith(CONCEPTS)}
    assert len(names) > 100
    assert {str(concept_named(name)).removeprefix(CONCEPTS) for name in names} == names
    for scheme in sorted(name for name in names if "/" not in name):
        found = Graph().parse(data=client.get(f"/concept/{scheme}.nt").text, format="nt")
        members = {name for name in names if name.startswith(f"{scheme}/")}
        for name in (scheme, *members):
            iri = URIRef(CONCEPTS + name)
            assert set(found.objects(iri, SKOS.prefLabel)) == set(graph.objects(iri, SKOS.prefLabel)) != set(), name
        assert len(set(found.subjects())) == len(members) + 1
    one = Graph().parse(data=client.get("/concept/tie/own.nt").text, format="nt")
    assert {str(subject) for subject in one.subjects()} == {f"{CONCEPTS}tie/own"}
    for name in ("tie", "tie/own"):
        for language, label in (("en", "Own practice"), ("fr", "Pratique propre")):
            page = client.get(
                f"/concept/{name}", headers={"Accept": "text/html", "Accept-Language": language}, follow_redirects=True
            )
            assert page.url.path == f"/page/concept/{name}"
            assert label in page.text


def test_the_themes_are_a_tree_of_pages_and_one_list_of_data(
    client: httpx.Client, server: Server, catalogue: Catalogue
) -> None:
    ids = [one["id"] for one in catalogue.list_records("theme", limit=200)["results"]]
    page = Seen(client.get("/themes", headers={"Accept": "text/html"}).text)
    linked = {a["href"] for a in page.all("a") if (a["href"] or "").startswith("/page/theme/")}
    assert linked == {f"/page/theme/{id}?lang=en" for id in ids}
    for suffix, parser in PARSERS.items():
        data = Graph().parse(f"{server.url}/themes.{suffix}", format=parser)
        scheme = URIRef("https://w3id.org/mentorgraph/themes")
        assert len(set(data.subjects(SKOS.inScheme, scheme))) == len(ids)
        tops = set(data.objects(scheme, SKOS.hasTopConcept))
        assert tops == {t for t in data.subjects(SKOS.inScheme, scheme) if data.value(t, SKOS.broader) is None}
        assert data.value(scheme, DCTERMS.license) is not None


@pytest.mark.parametrize("name", ["schemes", "alignments"])
def test_the_vocabulary_s_documents_say_the_same_in_every_form(server: Server, name: str) -> None:
    turtle = Graph().parse(f"{server.url}/{name}.ttl", format="turtle")
    assert len(turtle) > 50
    for suffix, parser in PARSERS.items():
        other = Graph().parse(f"{server.url}/{name}.{suffix}", format=parser)
        assert len(other) == len(turtle), suffix
    negotiated = server.client.get(f"/{name}", headers={"Accept": "application/rdf+xml"})
    assert negotiated.headers["content-type"] == "application/rdf+xml"
    assert "Accept" in negotiated.headers["vary"]


# Descriptions


@pytest.mark.parametrize("address", ["/catalog", "/.well-known/void"])
def test_descriptions_are_readable_in_every_form(server: Server, address: str) -> None:
    turtle = Graph().parse(f"{server.url}{address}")
    for suffix, parser in PARSERS.items():
        other = Graph().parse(f"{server.url}{address}.{suffix}", format=parser)
        assert isomorphic(turtle, other), suffix
    assert server.client.get(address, headers={"Accept": "image/png"}).status_code == 406


def test_the_numbers_are_those_of_the_data(server: Server, catalogue: Catalogue, tmp_path: Path) -> None:
    catalogue.export(tmp_path / "all.nq")
    held = {(q.subject, q.predicate, q.object) for q in ox.parse(path=str(tmp_path / "all.nq"))}
    void = Graph().parse(f"{server.url}/.well-known/void")
    dataset = URIRef(f"{catalogue.base}catalog#dataset")
    expected = {
        VOID.triples: len(held),
        VOID.distinctSubjects: len({subject for subject, _, _ in held}),
        VOID.properties: len({predicate for _, predicate, _ in held}),
        VOID.distinctObjects: len({value for _, _, value in held}),
        VOID.classes: len({value for _, predicate, value in held if predicate.value == str(RDF.type)}),
    }
    assert {figure: int(str(void.value(dataset, figure))) for figure in expected} == expected
    asked = server.client.get("/sparql", params={"query": "SELECT (COUNT(*) AS ?n) { ?s ?p ?o }", "format": "csv"})
    assert asked.text.split()[1] == str(len(held))
    subsets = [int(str(void.value(one, VOID.triples))) for one in void.objects(dataset, VOID.subset)]
    assert sum(subsets) == len(held)
    assert str(void.value(dataset, VOID.entities)) == str(sum(catalogue.status()["records"].values()))
    assert {str(one) for one in void.objects(None, DCTERMS.title)} >= {"ontology", "shapes", "schemes", "alignments"}


def test_addresses_in_descriptions_answer(server: Server, catalogue: Catalogue) -> None:
    graph = Graph().parse(f"{server.url}/catalog")
    for address in graph.objects(None, DCAT.downloadURL):
        assert str(address).startswith(server.url)
        assert server.client.get(str(address)).status_code == 200
    for address in graph.objects(None, DCAT.endpointDescription):
        if not str(address).endswith("sparql"):
            assert server.client.get(str(address)).status_code == 200


def test_a_deployment_names_itself_and_its_address(catalogue: Catalogue) -> None:
    chosen = Settings(public_url="https://mentors.example.org/kg/", publisher="Union of Cities")
    with running(create_app(chosen, catalogue)) as server:
        text = server.client.get("/catalog.nt").text
        assert '"Union of Cities"' in text
        assert "<https://mentors.example.org/kg/dumps/latest.nq.gz>" in text
        assert server.url not in text
        described = server.client.get("/sparql", params={"format": "ntriples"}).text
        assert "<https://mentors.example.org/kg/sparql>" in described
        assert server.url not in described
        assert "https://mentors.example.org/kg/context.jsonld" in server.client.get(f"{PRACTICE}.jsonld").text
        assert "Union of Cities" in server.client.get(PRACTICE.replace("/id/", "/page/")).text


# Pages


def test_records_of_every_kind_have_readable_pages(client: httpx.Client, catalogue: Catalogue) -> None:
    for kind in declaration().kinds:
        listed = catalogue.list_records(kind, limit=200)["results"][::9]
        for language, one in zip(["en", "fr"] * 20, listed, strict=False):
            answer = client.get(f"/page/{kind}/{one['id']}", params={"lang": language})
            assert answer.status_code == 200, one
            check_readable(Seen(answer.text), language, f"{kind} {one['id']}")


def check_readable(page: Seen, language: str, place: str) -> None:
    """What a screen reader needs: a language, one main heading, no level left out, links with words, names once."""
    assert page.all("html") == [{"lang": language}], place
    assert len(page.all("h1")) == 1, place
    assert page.texts.get("title", [""])[0].removesuffix(" – mentorgraph").strip(), place
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert all(after <= before + 1 for before, after in pairwise(levels)), (place, levels)
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids)), place
    assert not page.all("script"), place
    assert len(page.all("dt")) == len(page.texts["dt"]), place
    inside = [a["href"] or "" for a in page.all("a") if (a["href"] or "").startswith("#")]
    assert {target[1:] for target in inside} <= {*ids}, place


def test_rival_claims_stand_side_by_side(client: httpx.Client) -> None:
    text = client.get("/page/practice/mechelen--samen-inburgeren?lang=en").text
    rivals = re.search(r'<div class="rivals".*?\n</div>\n</div>', text, re.S)
    assert rivals is not None
    assert 'id="claim-1"' in rivals[0]
    assert 'id="claim-2"' in rivals[0]
    assert 'id="claim-3"' not in rivals[0]
    assert "about 150 duos" in rivals[0]
    assert "until 2017-09" in rivals[0]
    assert text.count("Source not separated") == 2


def test_what_is_not_known_is_said_to_be_unknown(client: httpx.Client) -> None:
    seen = Seen(client.get("/page/practice/mechelen--samen-inburgeren?lang=fr").text)
    shown = " ".join(seen.texts["dt"])
    assert "Facteurs de réussite" in shown
    assert seen.texts["span"].count("non connu") >= 3
    complete = Seen(client.get("/page/theme/gender-women?lang=fr").text)
    assert "non connu" not in complete.texts.get("span", [])


def test_every_link_of_a_record_s_page_within_the_service_works(client: httpx.Client) -> None:
    for path in ("/page/mentorship/capaci--mechelen", "/page/city/mechelen", "/page/theme/gender"):
        page = Seen(client.get(path).text)
        ours = {a["href"] or "" for a in [*page.all("a"), *page.all("link")] if (a["href"] or "").startswith("/")}
        assert len(ours) > 10
        for address in sorted(ours):
            assert client.get(address).status_code == 200, address


def test_what_records_say_is_shown_as_text(past: Past) -> None:
    page = past.client.get("/page/city/here").text
    assert "<b>" not in page
    assert "&lt;b&gt;" in page


def test_texts_in_another_language_say_so(client: httpx.Client) -> None:
    page = client.get("/page/practice/mechelen--samen-inburgeren?lang=fr").text
    assert re.search(
        r'<span lang="en">Newcomers lacked personal contact[^<]*</span> <span class="aside">\(anglais\)', page
    )


def test_a_record_refers_back_to_those_that_name_it(client: httpx.Client) -> None:
    page = Seen(client.get("/page/city/mechelen?lang=en").text)
    linked = {a["href"] for a in page.all("a")}
    assert "/page/practice/mechelen--samen-inburgeren?lang=en" in linked
    assert "/page/mentorship/capaci--mechelen?lang=en" in linked


def test_the_documentation_lists_every_address() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs/linked-data.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `(/[^`?]*)", text, re.MULTILINE))
    routers = (linked_data.router, graphs.router, dumps.router, terms.router, records.router)
    routes = {
        re.sub(r":path}", "}", route.path)  # type: ignore[attr-defined]
        for router in routers
        for route in router.routes
        if ".{suffix}" not in route.path  # type: ignore[attr-defined]
    }
    assert documented == routes


def test_the_commands_in_the_documentation_work(client: httpx.Client) -> None:
    text = (Path(__file__).resolve().parents[2] / "docs/linked-data.md").read_text(encoding="utf-8")
    shown = re.findall(r"^curl -s.*?http://127\.0\.0\.1:8000(/[^\s']*)", text, re.MULTILINE)
    assert len(shown) == 4
    for address in shown:
        answer = client.get(address, headers={"Accept": "text/turtle, */*;q=0.1"}, follow_redirects=True)
        assert answer.status_code == 200, address
        assert answer.content
