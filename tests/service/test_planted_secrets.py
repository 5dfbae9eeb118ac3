"""What is not published reaches no reader: a secret is planted in every place that has one, and every address is read.

To guard another place, add a function to PLANTS that puts the word it is given there. To guard another address,
describe it: those of the OpenAPI document are read by themselves, others stand in UNDESCRIBED.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from kg.accounts import Accounts, Actor
from kg.catalogue import Catalogue
from kg.ledger import Change
from kg.records import to_graph, to_ntriples
from service.app import create_app
from service.settings import Settings
from tests.models import prepared_models
from tests.service.conftest import Server, running

OPEN_WORD, NEVER_WORD = "openness", "nowheretobefound"
NEED = "a carillon school for apprentice watchmakers"
"""No record that is open comes near it; every planted one is about it."""


def practice(id: str, word: str) -> dict[str, Any]:
    """A whole practice with a word in every kind of field: title, text, inner node, list, address."""
    return {
        "kind": "practice",
        "id": id,
        "title": {"en": f"Carillon school {word}"},
        "summary": {"en": f"A carillon school for apprentice watchmakers, {word}."},
        "action": {"en": f"The city runs a carillon school for apprentice watchmakers ({word})."},
        "city": "opentown",
        "themes": ["language-informal"],
        "language": "en",
        "outcomes": [{"id": "claim-1", "statement": {"en": f"Bells {word}"}, "source_not_separated": True}],
        "sources": [{"id": "source-1", "url": f"https://example.org/{word}"}],
    }


def appended(catalogue: Catalogue, record: dict[str, Any], state: str, visibility: str = "public", **more: Any) -> None:
    """Put a record into the ledger as it is, in any state."""
    payload = to_ntriples(to_graph(record, catalogue.base))
    title = next(iter(record["title"].values()))
    with catalogue.ledger.write() as transaction:
        transaction.append(
            Change(
                record["kind"],
                record["id"],
                state,
                visibility,
                payload,
                more.pop("author", "ilze"),
                title=title,
                **more,
            )
        )


def saved(catalogue: Catalogue, record: dict[str, Any], **more: Any) -> None:
    """Save a record by the way that callers take."""
    assert not catalogue.save([record], **more).refused


# ------------------------------------------------------------------------------------------- the plants


def draft(catalogue: Catalogue, word: str) -> None:
    saved(catalogue, practice("plant-draft", word), publish=False)


def submitted(catalogue: Catalogue, word: str) -> None:
    appended(catalogue, practice("plant-submitted", word), "submitted")


def returned(catalogue: Catalogue, word: str) -> None:
    appended(catalogue, practice("plant-returned", word), "returned", note=word)


def for_the_team(catalogue: Catalogue, word: str) -> None:
    saved(catalogue, practice("plant-team", word) | {"record": {"visibility": "team"}})


def for_the_programme(catalogue: Catalogue, word: str) -> None:
    saved(catalogue, practice("plant-programme", word) | {"record": {"visibility": "programme"}})


def withdrawn_unseen(catalogue: Catalogue, word: str) -> None:
    appended(catalogue, practice("plant-withdrawn", word), "withdrawn", reason=word)


def withdrawn_by_the_team(catalogue: Catalogue, word: str) -> None:
    saved(catalogue, practice("plant-gone", word) | {"record": {"visibility": "team"}})
    appended(catalogue, practice("plant-gone", word), "withdrawn", "team", reason=word)


def withdrawn_after_publication(catalogue: Catalogue, word: str) -> None:
    """The tombstone tells the reason and nothing of the content."""
    saved(catalogue, practice("tombstone", word))
    catalogue.catch_up()
    appended(catalogue, practice("tombstone", word), "withdrawn", reason="It ended.")


def merged_after_publication(catalogue: Catalogue, word: str) -> None:
    saved(catalogue, practice("merged", word))
    appended(catalogue, practice("merged", word), "merged", reason="The same.", replaced_by="open")


def closed_after_publication(catalogue: Catalogue, word: str) -> None:
    saved(catalogue, practice("plant-closed", word))
    catalogue.catch_up()
    saved(catalogue, practice("plant-closed", word) | {"record": {"visibility": "team"}})


def beside_the_published(catalogue: Catalogue, word: str) -> None:
    """A newer draft of a record that readers see as it was."""
    saved(catalogue, practice("open", word), publish=False, note=word)


def earlier_wording(catalogue: Catalogue, word: str) -> None:
    saved(catalogue, practice("mended", word))
    catalogue.catch_up()
    saved(catalogue, practice("mended", OPEN_WORD))


def note(catalogue: Catalogue, word: str) -> None:
    saved(catalogue, practice("noted", OPEN_WORD), note=word)


def author(catalogue: Catalogue, word: str) -> None:
    saved(catalogue, practice("authored", OPEN_WORD), author=f"curator/{word}")


def erased(catalogue: Catalogue, word: str) -> None:
    appended(catalogue, practice("plant-erased", word), "draft", note=word)
    for revision in catalogue.ledger.history("practice", "plant-erased"):
        catalogue.ledger.erase(revision.number, word)


def token(catalogue: Catalogue, word: str) -> None:
    with Accounts(catalogue.ledger) as accounts:
        accounts.create_token(word, "curator", by=word)


def comment(catalogue: Catalogue, word: str) -> None:
    catalogue.curation.discussion.comment("practice", "open", word, Actor(word, "curator"), field="title")


def comment_on_a_draft(catalogue: Catalogue, word: str) -> None:
    catalogue.curation.discussion.comment("practice", "plant-draft", word, Actor(word, "curator"))


PLANTS: list[Callable[[Catalogue, str], None]] = [
    draft, submitted, returned, for_the_team, for_the_programme, withdrawn_unseen, withdrawn_by_the_team,
    withdrawn_after_publication, merged_after_publication, closed_after_publication, beside_the_published,
    earlier_wording, note, author, erased, token, comment, comment_on_a_draft,
]  # fmt: skip
WORDS = {plant.__name__: f"secret{number:02d}word" for number, plant in enumerate(PLANTS)}
HIDDEN = [
    *(f"plant-{name}" for name in ("draft", "submitted", "returned", "team", "programme", "withdrawn", "gone")),
    *("plant-closed", "plant-erased"),
]
"""Identifiers whose very existence readers are not told; `plant-closed` was public once and is told as unknown too."""


@dataclass(frozen=True)
class Garden:
    """A service over the planted catalogue, with what it said before anything was planted."""

    server: Server
    base: str
    counted: dict[str, Any]

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.server.client.get(path, **more)


@pytest.fixture(scope="module")
def garden(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Garden]:
    folder = tmp_path_factory.mktemp("garden") / "data"
    with Catalogue.create(folder, models=prepared_models()) as catalogue:
        saved(catalogue, {"kind": "city", "id": "opentown", "name": {"en": "Opentown"}, "country": "BE"})
        open_ids = ("open", "mended", "noted", "authored")
        for id in open_ids:
            record = practice(id, OPEN_WORD)
            saved(
                catalogue,
                record | {"summary": {"en": "Bread"}, "action": {"en": "Bread and salt."}, "title": {"en": id}},
            )
        catalogue.follow()
        with running(create_app(Settings(), catalogue)) as server:
            catalogue.catch_up()
            counted = counts(server.client)
            for plant in PLANTS:
                plant(catalogue, WORDS[plant.__name__])
            catalogue.catch_up()
            yield Garden(server, catalogue.base, counted)


def counts(client: httpx.Client) -> dict[str, Any]:
    """How much there is, as readers are told in several ways."""

    def rows(query: str) -> object:
        return client.get("/sparql", params={"query": query}).json()["results"]["bindings"]

    void = client.get("/.well-known/void", headers={"Accept": "application/n-triples"}).text
    listed = client.get("/api/practices", params={"limit": 200}).json()
    return {
        "subjects": rows("SELECT (COUNT(DISTINCT ?r) AS ?n) { ?r foaf:primaryTopic ?x }"),
        "graphs": rows("SELECT (COUNT(*) AS ?n) { GRAPH ?g {} }"),
        "classes": rows("SELECT ?c (COUNT(DISTINCT ?x) AS ?n) { ?x a ?c } GROUP BY ?c ORDER BY ?c"),
        "entities": sorted(re.findall(r"<http://rdfs.org/ns/void#entities> (\S+)", void)),
        "listed": [one["id"] for one in listed["results"]],
        "total": listed.get("total"),
    }


# ------------------------------------------------------------------------------------------- every address

TABLE_QUERIES = [
    "SELECT * { ?s ?p ?o }",
    "SELECT * { GRAPH ?g { ?s ?p ?o } }",
    "SELECT * { { GRAPH ?g {} } UNION { ?s ?p ?o } }",
    "SELECT DISTINCT ?p { ?s ?p ?o }",
    f"SELECT * {{ SERVICE mg:search {{ ?p mg:query '{NEED}' ; mg:limit 100 ; mg:passage ?t }} OPTIONAL {{ ?p ?q ?o }} }}",
    f"SELECT * {{ SERVICE mg:search {{ ?c a schema:City ; mg:query '{NEED}' ; mg:limit 100 ; mg:passage ?t }} }}",
    "SELECT (GROUP_CONCAT(STR(?o); separator=' ') AS ?all) { ?s ?p ?o FILTER(!isBLANK(?o)) }",
]
GRAPH_QUERIES = ["CONSTRUCT WHERE { ?s ?p ?o }", "DESCRIBE ?s { ?s a mg:Practice }"]
FORMS = ["text/html", "text/turtle", "application/ld+json", "application/rdf+xml", "application/n-quads", "*/*"]

UNDESCRIBED = [
    "/", f"/?need={NEED}&lang=en", f"/?need={NEED}&mentee=opentown&lang=fr", "/themes", "/themes.jsonld", "/ontology",
    "/.well-known/void", "/.well-known/void.ttl", "/catalog", "/catalog.jsonld", "/context.jsonld", "/docs", "/openapi.json",
    "/graphs?default", "/health/ready", "/robots.txt", "/sitemap.xml", "/static/", "/concept/tie", "/page/concept/tie",
]  # fmt: skip
IDS = [*HIDDEN, "open", "mended", "noted", "authored", "tombstone", "merged", "none-such"]


def pages_and_graphs(garden: Garden) -> Iterator[str]:
    """Addresses that answer in several forms, those of records for open, hidden and dead ones."""
    yield from UNDESCRIBED
    for id in IDS:
        record = f"{garden.base}id/practice/{id}%23record"
        yield from (f"/id/practice/{id}", f"/page/practice/{id}?lang=en", f"/page/practice/{id}?lang=fr")
        yield from (f"/graphs/id/practice/{id}", f"/graphs?graph={record}", f"/sparql?query=DESCRIBE+%3C{record}%3E")


def interface(garden: Garden) -> Iterator[str]:
    """Every address that the service describes, and those of records in one form."""
    for path, operations in garden.get("/openapi.json").json()["paths"].items():
        if "get" in operations:
            ids = IDS if "practices/{" in path else ["open", "plant-draft"] if "{" in path else [""]
            yield from (re.sub(r"\{\w+\}", id, path) for id in ids)
    for id in IDS:
        yield from (f"/id/practice/{id}{suffix}" for suffix in (".ttl", ".jsonld", ".nt", ".rdf"))
        yield f"/api/practices/{id}/similar?limit=50"
    yield from (f"/api/export?format={form}" for form in ("jsonl", "nq", "trig"))
    for word in (NEED, *WORDS.values()):
        yield from (f"/api/search?q={word}&limit=100", f"/api/suggestions?need={word}&limit=50")


def said(answer: httpx.Response) -> str:
    """All of an answer: status line, headers and body."""
    return f"{answer.status_code} {answer.headers} {answer.text}"


def leaked(text: str, asked: str = "") -> list[str]:
    """The plants of which a secret stands in a text, other than as an echo of what was asked."""
    return [name for name, word in WORDS.items() if word in text.lower() and word not in asked]


def read(garden: Garden, addresses: Iterator[str], accept: str) -> set[str]:
    """Read addresses, find no secret there, and return those where the open word stands."""
    statuses, open_at = set(), set()
    for address in addresses:
        answer = garden.get(address, headers={"Accept": accept, "Accept-Language": "en"})
        statuses.add(answer.status_code)
        assert answer.status_code != 500, address
        assert not leaked(said(answer), asked=address), address
        if OPEN_WORD in answer.text:
            open_at.add(address)
    assert {200, 404, 410} <= statuses
    assert open_at, "nothing was read, so that nothing could be found"
    return open_at


@pytest.mark.parametrize("accept", FORMS)
def test_no_page_or_graph_tells_a_secret(garden: Garden, accept: str) -> None:
    open_at = read(garden, pages_and_graphs(garden), accept)
    assert accept == "text/html" or "/graphs/id/practice/open" in open_at


def test_no_address_of_the_interface_tells_a_secret(garden: Garden) -> None:
    open_at = read(garden, interface(garden), "*/*")
    assert {"/api/practices/open", "/id/practice/open.ttl", "/api/export?format=nq"} <= open_at


@pytest.mark.parametrize("form", ["nq", "trig", "jsonld"])
def test_no_dump_holds_a_secret(garden: Garden, form: str) -> None:
    text = gzip.decompress(garden.get(f"/dumps/latest.{form}.gz").content).decode()
    assert OPEN_WORD in text
    assert not leaked(text)
    assert not [id for id in HIDDEN if id in text]


@pytest.mark.parametrize("query", [*TABLE_QUERIES, *GRAPH_QUERIES])
def test_no_query_reaches_a_secret(garden: Garden, query: str) -> None:
    answer = garden.get("/sparql", params={"query": query, "format": "json" if query in TABLE_QUERIES else "nquads"})
    assert answer.status_code == 200, answer.text
    assert len(answer.text) > 100
    assert not leaked(answer.text)
    assert not [id for id in HIDDEN if id in answer.text]


@pytest.mark.parametrize("plant", WORDS)
def test_no_query_that_names_a_secret_finds_it(garden: Garden, plant: str) -> None:
    word = WORDS[plant]
    everywhere = "{ ?s ?p ?o } UNION { GRAPH ?g { ?s ?p ?o } } UNION { GRAPH ?o {} }"
    query = f"ASK {{ {everywhere} FILTER(CONTAINS(CONCAT(STR(?s), STR(?p), STR(?o)), '{word}') || CONTAINS(STR(?o), '{word}')) }}"
    assert garden.get("/sparql", params={"query": query}).json()["boolean"] is False
    assert garden.get("/sparql", params={"query": query.replace(word, OPEN_WORD)}).json()["boolean"] is True


def test_nothing_is_counted(garden: Garden) -> None:
    """Every plant is hidden or an open record as before, so each count is as it was."""
    assert counts(garden.server.client) == garden.counted


def test_search_and_suggestions_do_not_rank_by_what_is_hidden(garden: Garden) -> None:
    """All planted texts are about the need itself; what is found is only what is open."""
    found = garden.get("/api/search", params={"q": NEED, "limit": 100}).json()
    hits = {one["id"] for one in found["results"]}
    assert hits <= {"open", "mended", "noted", "authored"}
    assert hits
    suggested = garden.get("/api/suggestions", params={"need": NEED, "limit": 50}).json()
    cited = {practice["id"] for one in suggested["suggestions"] for practice in one["practices"]}
    assert cited <= hits


@pytest.mark.parametrize("id", HIDDEN)
@pytest.mark.parametrize(
    "address",
    [
        "/api/practices/{}", "/api/practices/{}/similar", "/id/practice/{}", "/id/practice/{}.ttl", "/page/practice/{}",
        "/graphs/id/practice/{}", "/graphs?graph=https://w3id.org/mentorgraph/id/practice/{}%23record",
        "/sparql?query=ASK%7B%7D&named-graph-uri=https://w3id.org/mentorgraph/id/practice/{}%23record",
    ],
)  # fmt: skip
def test_what_is_hidden_is_answered_as_what_never_was(garden: Garden, id: str, address: str) -> None:
    """Word for word, so that not even its existence is told; offers of other identifiers hold none that is hidden."""
    never = re.sub("[a-z]", "z", id)
    for accept in ("application/json", "text/html", "text/turtle"):
        headers = {"Accept": accept}
        hidden, none = (garden.get(address.format(one), headers=headers) for one in (id, never))
        told = re.sub(r"[;,] did you mean[^?]*\?", "", hidden.text).replace(id, never)
        assert (hidden.status_code, told) == (none.status_code, re.sub(r"[;,] did you mean[^?]*\?", "", none.text))
        assert not [one for one in HIDDEN if one != id and one in hidden.text]


def test_a_saved_reference_to_what_is_hidden_offers_nothing_hidden(garden: Garden) -> None:
    """The nearest identifiers that a message offers are those that readers can look up."""
    answer = garden.get("/api/practices/plant-draf")
    assert answer.status_code == 404
    assert "plant-draft" not in answer.text
