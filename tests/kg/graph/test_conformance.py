"""One suite for every graph view: the embedded store, engines over HTTP, and rdflib as an independent reference.

Where they differ for good reason, the difference stands here as a promise of its own: literals in the engine's own
form, and notes of the view that an engine without empty graphs cannot hide.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pyoxigraph as ox
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kg.errors import BadQuery, DataFolderUnusable, LedgerDamaged, UnreadableInput
from kg.graph.remote import RemoteStore
from kg.graph.store import SYSTEM, OxigraphStore
from kg.ledger import Change, Ledger
from kg.views import Follower, agreement
from tests.engines import OxigraphServer, RdflibServer

BASE = "https://x.org/"
LABEL = "<http://www.w3.org/2000/01/rdf-schema#label>"
XSD = "http://www.w3.org/2001/XMLSchema#"
NOTES = SYSTEM.rstrip("/")
ABOUT_RECORD = 7  # statements that the view adds on the record's own node

BACKENDS = ("embedded", "remote", "remote without empty graphs", "reference")


@dataclass(frozen=True)
class Row:
    """A ledger row, as far as the graph reads it."""

    number: int
    id: str
    payload: str | None
    state: str = "published"
    visibility: str = "public"
    kind: str = "city"
    time: datetime = datetime(2026, 3, 1, 12, tzinfo=UTC)
    author: str = "curator/ilze"


def row(number, id, *labels, **others):
    return Row(number, id, "".join(f'<{BASE}id/city/{id}> {LABEL} "{label}" .\n' for label in labels), **others)


def turtle(folder, name, content):
    path = folder / f"{name}.ttl"
    path.write_text(content, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def oxigraph():
    with OxigraphServer() as server:
        yield server


@pytest.fixture(scope="module")
def rdflib():
    with RdflibServer() as server:
        yield server


@dataclass(frozen=True)
class Backend:
    """How to open a view, and to open it again on what it holds."""

    name: str
    place: object

    def open(self, base=BASE):
        if self.name == "embedded":
            return OxigraphStore(self.place, base)
        return RemoteStore(self.place, base, notes="statements" if "without" in self.name else None)

    @property
    def hides_notes(self):
        return self.name in ("embedded", "remote")


@pytest.fixture(params=BACKENDS)
def backend(request, tmp_path):
    if request.param == "embedded":
        return Backend("embedded", tmp_path / "graph")
    server = request.getfixturevalue("rdflib" if request.param == "reference" else "oxigraph")
    server.empty()
    return Backend(request.param, server.url)


@pytest.fixture
def store(backend):
    with backend.open() as store:
        yield store


def labels(store, id):
    found = store.rows(f"SELECT ?label {{ GRAPH <{BASE}id/city/{id}#record> {{ ?thing rdfs:label ?label }} }}")
    return sorted(cell["label"] for cell in found)


def everything(store):
    """All statements that queries see but for the notes of the view, which some engines cannot hide."""
    found = store.rows("SELECT ?s ?p ?o { ?s ?p ?o }")
    return [(cell["s"], cell["p"], cell["o"]) for cell in found if not cell["s"].startswith(NOTES)]


# Records


def test_a_new_view_is_empty(store):
    assert (store.marker(), store.held(), store.vocabularies(), everything(store)) == (0, {}, {}, [])
    assert (store.statistics().records, store.statistics().statements) == ({}, 0)


def test_a_record_is_replaced_whole(store):
    store.apply([row(1, "riga", "Riga", "Rīga"), row(2, "lyon", "Lyon")], 2)
    store.apply([row(3, "riga", "Riga today")], 3)
    assert labels(store, "riga") == ["Riga today"]
    assert labels(store, "lyon") == ["Lyon"]
    assert store.held() == {("city", "riga"): 3, ("city", "lyon"): 2}
    assert store.marker() == 3


def test_applying_rows_twice_changes_nothing_more(store):
    for _ in range(2):
        store.apply([row(1, "riga", "Riga"), row(2, "lyon", "Lyon")], 2)
    assert store.statistics().statements == 2 * (1 + ABOUT_RECORD)
    assert store.marker() == 2


def test_the_record_says_what_it_is_about_when_it_changed_and_in_which_role(store):
    store.apply([row(7, "riga", "Riga", time=datetime(2026, 3, 1, 14, 30, tzinfo=timezone(timedelta(hours=2))))], 7)
    (said,) = store.rows(
        f"""SELECT * {{ GRAPH ?graph {{ ?graph a dcat:CatalogRecord ; foaf:primaryTopic ?thing ; mg:state ?state ;
        dcterms:modified ?modified ; owl:versionInfo ?version ;
        prov:generatedAtTime ?modified ; prov:wasAttributedTo ?role }} FILTER(?graph = <{BASE}id/city/riga#record>) }}"""
    )
    assert said == {
        "graph": f"{BASE}id/city/riga#record",
        "thing": f"{BASE}id/city/riga",
        "state": "https://w3id.org/mentorgraph/concept/record-state/published",
        "modified": "2026-03-01T12:30:00Z",
        "version": "7",
        "role": "https://w3id.org/mentorgraph/concept/record-role/curator",
    }


def test_no_account_is_in_the_graph(store):
    accounts = ("curator/ilze", "ilze", "start data by ilze", "curator/> <ilze")
    store.apply([row(n, f"city-{n}", "Riga", author=author) for n, author in enumerate(accounts, 1)], len(accounts))
    assert not [statement for statement in everything(store) if "ilze" in str(statement)]


@pytest.mark.parametrize(
    "later",
    [
        row(2, "riga", "Riga", state="withdrawn"),
        row(2, "riga", "Riga", state="merged"),
        row(2, "riga", "Riga", visibility="team"),
        Row(2, "riga", None),
    ],
    ids=["withdrawn", "merged", "no longer public", "erased by law"],
)
def test_what_readers_may_no_longer_see_leaves(store, later):
    store.apply([row(1, "riga", "Riga")], 1)
    store.apply([later], 2)
    assert everything(store) == []
    assert store.held() == {}
    graphs = [cell["g"] for cell in store.rows("SELECT DISTINCT ?g { GRAPH ?g { ?s ?p ?o } }")]
    assert [name for name in graphs if not name.startswith(NOTES)] == []


@pytest.mark.parametrize("state", ["draft", "submitted", "returned"])
def test_work_beside_a_published_version_is_not_seen(store, state):
    store.apply([row(1, "riga", "Riga")], 1)
    store.apply([row(2, "riga", "secret plan", state=state)], 2)
    assert labels(store, "riga") == ["Riga"]
    assert store.marker() == 2


@pytest.mark.parametrize(
    "payload",
    ["this is not RDF", '<urn:a> <urn:b> "c" . } }; DROP ALL; INSERT DATA { GRAPH <urn:x> { <urn:a> <urn:b> "c" .'],
)
def test_a_batch_is_taken_whole_or_not_at_all(store, payload):
    store.apply([row(1, "riga", "Riga")], 1)
    with pytest.raises(LedgerDamaged, match="revision 3 of city 'lyon'"):
        store.apply([row(2, "riga", "Riga today"), Row(3, "lyon", payload)], 3)
    assert labels(store, "riga") == ["Riga"]
    assert store.marker() == 1


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=40) | st.text(alphabet="\\u0022U\"}{;#\n\r\t'<>é€😀", max_size=30))
def test_any_text_is_stored_and_read_back_as_it_is(store, text):
    escaped = "".join(f"\\U{ord(character):08X}" for character in text)
    store.apply([row(1, "riga", escaped)], 1)
    assert labels(store, "riga") == [text]


def test_a_long_text_and_a_large_batch_pass(store):
    store.apply([row(n, f"c-{n}", f"{n} " + "long " * 500) for n in range(1, 101)], 100)
    assert len(store.held()) == 100
    assert labels(store, "c-100") == ["100 " + "long " * 500]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ('"x"@en-GB', {"x@en-gb", "x@en-GB"}),
        (f'"1.50"^^<{XSD}decimal>', {"1.5", "1.50"}),
        (f'"007"^^<{XSD}integer>', {"7", "007"}),
        ('"007"', {"007"}),
        (f'"2026-03-01T12:00:00+00:00"^^<{XSD}dateTime>', {"2026-03-01T12:00:00Z", "2026-03-01T12:00:00+00:00"}),
    ],
)
def test_literals_come_back_in_the_engines_own_form_or_as_written(backend, store, written, read):
    """Oxigraph, embedded or not, gives shortest forms and lower case, the first of each pair but for texts."""
    store.apply([Row(1, "riga", f"<urn:a> <urn:b> {written} .")], 1)
    (found,) = store.rows("SELECT ?o { ?s <urn:b> ?o }")
    seen = found["o"] + (f"@{found['o@lang']}" if "o@lang" in found else "")
    assert seen in read
    if backend.name == "embedded":
        assert seen == min(read, key=lambda one: (len(one), one.swapcase()))


# What the view knows about itself


def test_statistics_dumps_and_lists_never_meet_what_the_view_notes(backend, store, tmp_path):
    store.load_vocabulary({"https://x.org/themes": turtle(tmp_path, "themes", "<#heat> a <#Theme> .")})
    store.apply([row(1, "riga", "Riga")], 41)
    assert store.marker() == 41
    assert store.statistics().statements == len(everything(store)) == 1 + 1 + ABOUT_RECORD
    assert store.statistics().records == {"city": 1}
    for format in "trig", "nquads", "jsonld":
        store.dump(tmp_path / "all", format)
        assert b"system" not in (tmp_path / "all").read_bytes()


def test_queries_meet_notes_only_where_an_engine_keeps_no_empty_graphs(backend, store, tmp_path):
    store.load_vocabulary({"https://x.org/themes": turtle(tmp_path, "themes", "<#heat> a <#Theme> .")})
    store.apply([row(1, "riga", "Riga")], 41)
    names = {cell["g"] for cell in store.rows("SELECT DISTINCT ?g { GRAPH ?g { ?s ?p ?o } }")}
    assert names - {NOTES} == {f"{BASE}id/city/riga#record", "https://x.org/themes"}
    notes = [cell for cell in store.rows("SELECT ?s ?p ?o { ?s ?p ?o }") if cell["s"].startswith(NOTES)]
    assert (notes == []) == (NOTES not in names) == backend.hides_notes
    assert len(notes) in (0, 3)  # layout, marker and one vocabulary
    assert {note["p"] for note in notes} <= {f"{SYSTEM}note"}


def test_what_was_applied_is_there_when_the_view_is_opened_again(backend, tmp_path):
    files = {"https://x.org/themes?v=1#a%20b": turtle(tmp_path, "themes", "<#heat> a <#T> .")}
    with backend.open() as store:
        store.load_vocabulary(files)
        store.apply([row(1, "riga", "Riga")], 12)
        loaded = store.vocabularies()
    with backend.open() as store:
        assert (labels(store, "riga"), store.marker(), store.vocabularies()) == (["Riga"], 12, loaded)
        assert store.load_vocabulary(files) == []


def test_a_cleared_view_keeps_its_vocabularies(backend, tmp_path):
    files = {"https://x.org/themes": turtle(tmp_path, "themes", "<#heat> a <#T> .")}
    with backend.open() as store:
        store.load_vocabulary(files)
        store.apply([row(n, f"c-{n}", "x") for n in range(1, 30)], 29)
        store.clear()
        assert (store.marker(), store.held(), len(everything(store))) == (0, {}, 1)
    with backend.open() as store:
        assert (store.marker(), store.load_vocabulary(files)) == (0, [])


def test_a_view_follows_a_ledger_and_agrees_with_it(store, tmp_path):
    def change(id, state="published", visibility="public", text="x"):
        payload = f'<{BASE}id/city/{id}> {LABEL} "{text}" .'
        return Change("city", id, state, visibility, payload, "ilze")

    with Ledger.create(f"sqlite:///{tmp_path}/ledger.db", BASE) as ledger:
        follower = Follower(ledger, store, batch=3)
        with ledger.write() as transaction:
            for number in range(10):
                transaction.append(change(f"c-{number % 7}", text=str(number)))
            transaction.append(change("c-1", "withdrawn"))
            transaction.append(change("c-2", visibility="team"))
            transaction.append(change("c-3", "draft"))
        follower.catch_up()
        assert agreement(ledger, store) == []
        assert len(store.held()) == 5
        follower.rebuild()
        assert agreement(ledger, store) == []
        assert store.marker() == 13


# Queries


def test_a_query_sees_records_and_vocabularies_together(store, tmp_path):
    content = f"<{BASE}id/city/riga> <#inCountry> <#latvia> ."
    store.load_vocabulary({"https://x.org/countries": turtle(tmp_path, "countries", content)})
    store.apply([row(1, "riga", "Riga")], 1)
    joined = store.rows("SELECT ?label { ?city rdfs:label ?label ; <https://x.org/countries#inCountry> ?country }")
    assert joined == [{"label": "Riga"}]


QUERIES = {
    "SELECT ?l { ?s rdfs:label ?l } ORDER BY ?l": [{"l": "Lyon"}, {"l": "Riga"}, {"l": "Rīga"}],
    "SELECT (COUNT(?l) AS ?n) { ?s rdfs:label ?l }": [{"n": "3"}],
    "SELECT ?l ?x { ?s rdfs:label ?l OPTIONAL { ?s <urn:none> ?x } FILTER(?l = 'Lyon') }": [{"l": "Lyon", "x": None}],
    "SELECT ?g { GRAPH ?g { ?s rdfs:label 'Lyon' } }": [{"g": f"{BASE}id/city/lyon#record"}],
    f"SELECT ?l {{ VALUES ?s {{ <{BASE}id/city/lyon> }} ?s rdfs:label ?l }}": [{"l": "Lyon"}],
    "SELECT ?t { ?r foaf:primaryTopic/rdfs:label 'Lyon' ; mg:state/^mg:state ?o . ?o foaf:primaryTopic ?t } ORDER BY ?t": [
        {"t": f"{BASE}id/city/lyon"},
        {"t": f"{BASE}id/city/riga"},
    ],
    "SELECT * { VALUES (?name ?of) { ('Rīga'@lv dcterms:title) ('7' UNDEF) } } ORDER BY ?name": [
        {"name": "7", "of": None},
        {"name": "Rīga", "name@lang": "lv", "of": "http://purl.org/dc/terms/title"},
    ],
    "PREFIX dcterms: <urn:own#> SELECT ?x { VALUES ?x { dcterms:a } }": [{"x": "urn:own#a"}],
}


@pytest.mark.parametrize("query", QUERIES)
def test_one_query_has_one_answer_everywhere(store, query):
    store.apply([row(1, "riga", "Riga", "Rīga"), row(2, "lyon", "Lyon")], 2)
    assert store.rows(query) == QUERIES[query]


@pytest.mark.parametrize("format", ["json", "xml", "csv", "tsv"])
def test_tables_are_the_same_bytes_everywhere(store, format):
    store.apply([row(1, "riga", "Rīga")], 1)
    with OxigraphStore(None, BASE) as embedded:
        embedded.apply([row(1, "riga", "Rīga")], 1)
        for query in "SELECT ?city ?label { ?city rdfs:label ?label }", "ASK { ?s ?p ?o }":
            assert store.query(query, table=format) == embedded.query(query, table=format)


@pytest.mark.parametrize("format", ["turtle", "ntriples", "rdfxml", "jsonld"])
def test_graphs_come_in_formats_that_parse_to_the_same(store, format):
    store.apply([row(1, "riga", "Rīga")], 1)
    written = store.query("CONSTRUCT { ?s ?p ?o } { ?s rdfs:label ?o ; ?p ?o }", graph=format)
    formats = {"turtle": "TURTLE", "ntriples": "N_TRIPLES", "rdfxml": "RDF_XML", "jsonld": "JSON_LD"}
    (quad,) = ox.parse(written, getattr(ox.RdfFormat, formats[format]))
    assert quad.object == ox.Literal("Rīga")


@pytest.mark.parametrize(
    "text", ["SELECT {", "DROP ALL", "", "SELECT * { ?s nope:x ?o }", "INSERT DATA { <urn:a> <urn:b> 1 }"]
)
def test_what_is_no_query_is_refused_and_changes_nothing(store, text):
    store.apply([row(1, "riga", "Riga")], 1)
    with pytest.raises(BadQuery, match="cannot be read"):
        store.query(text)
    assert labels(store, "riga") == ["Riga"]


def test_rows_come_from_a_select_and_formats_are_known_ones(store):
    with pytest.raises(BadQuery, match="SELECT"):
        store.rows("ASK {}")
    with pytest.raises(ValueError, match="formats are json"):
        store.query("ASK {}", table="html")
    with pytest.raises(ValueError, match="formats of a dump"):
        store.dump(Path("x"), "turtle")


def test_a_closed_view_says_so(store):
    store.close()
    store.close()
    with pytest.raises(ValueError, match="closed"):
        store.rows("SELECT * {}")
    with pytest.raises(ValueError, match="closed"):
        store.apply([row(1, "riga", "Riga")], 1)


# Vocabularies


def test_a_vocabulary_is_replaced_when_its_file_changed_and_dropped_when_it_is_not_named(store, tmp_path):
    themes, shapes = turtle(tmp_path, "themes", "<#heat> a <#T> ."), turtle(tmp_path, "shapes", "<#s> a <#S> .")
    files = {"https://x.org/themes": themes, "https://x.org/shapes": shapes}
    assert sorted(store.load_vocabulary(files)) == sorted(files)
    assert store.load_vocabulary(files) == []
    themes.write_text("<#cold> a <#T> .")
    assert store.load_vocabulary(files) == ["https://x.org/themes"]
    assert {s for s, _, _ in everything(store)} == {"https://x.org/themes#cold", "https://x.org/shapes#s"}
    assert store.load_vocabulary({"https://x.org/themes": themes}) == ["https://x.org/shapes"]
    assert {s for s, _, _ in everything(store)} == {"https://x.org/themes#cold"}
    assert list(store.vocabularies()) == ["https://x.org/themes"]


def test_lists_of_two_vocabularies_stay_apart(store, tmp_path):
    files = {
        f"https://x.org/{name}": turtle(tmp_path, name, f"<#shape> <#in> _:b . _:b <#first> '{name}' .")
        for name in ("one", "two")
    }
    store.load_vocabulary(files)
    found = store.rows("SELECT ?f { GRAPH ?g { ?s ?in ?node . ?node ?first ?f FILTER(isBlank(?node)) } } ORDER BY ?f")
    assert [cell["f"] for cell in found] == ["one", "two"]
    assert store.statistics().statements == 4


def test_a_file_that_is_no_turtle_changes_nothing(store, tmp_path):
    good = {"https://x.org/good": turtle(tmp_path, "good", "<#a> a <#B> .")}
    store.load_vocabulary(good)
    with pytest.raises(UnreadableInput, match=r"bad\.ttl is not Turtle.*line 2"):
        store.load_vocabulary({"https://x.org/bad": turtle(tmp_path, "bad", "<#a> a <#B> .\nnonsense\n")})
    assert list(store.vocabularies()) == list(good)
    assert len(everything(store)) == 1


@pytest.mark.parametrize("iri", [f"{BASE}id/city/riga#record", f"{SYSTEM}applied/9"])
def test_a_vocabulary_cannot_take_the_place_of_a_record_or_of_the_marker(store, tmp_path, iri):
    with pytest.raises(ValueError, match="no name for a vocabulary"):
        store.load_vocabulary({iri: turtle(tmp_path, "x", "<#a> a <#B> .")})


# Dumps


def test_both_dumps_hold_every_statement_in_its_graph(store, tmp_path):
    store.apply([row(1, "riga", "Rīga"), row(2, "lyon", 'a \\"b\\"\\n')], 2)
    store.load_vocabulary({"https://x.org/v": turtle(tmp_path, "v", "<#a> <#in> (1 2) .")})
    counted = []
    for format, parser in ("trig", ox.RdfFormat.TRIG), ("nquads", ox.RdfFormat.N_QUADS):
        store.dump(tmp_path / "all", format)
        counted.append(Counter(q.graph_name.value for q in ox.parse(path=str(tmp_path / "all"), format=parser)))
    assert (
        counted[0]
        == counted[1]
        == {
            f"{BASE}id/city/riga#record": 1 + ABOUT_RECORD,
            f"{BASE}id/city/lyon#record": 1 + ABOUT_RECORD,
            "https://x.org/v": 5,
        }
    )


def test_a_dump_that_cannot_be_written_leaves_the_old_one(store, tmp_path):
    (tmp_path / "taken").mkdir()
    for target in tmp_path / "taken", tmp_path / "no" / "all.trig":
        with pytest.raises(DataFolderUnusable, match="the dump cannot be written"):
            store.dump(target)
    assert [path.name for path in tmp_path.iterdir() if path.name != "graph"] == ["taken"]


def test_a_backup_opens_as_an_embedded_view_of_its_own(store, tmp_path):
    store.load_vocabulary({"https://x.org/v": turtle(tmp_path, "v", "<#a> <#in> (1 2) .")})
    store.apply([row(1, "riga", "Riga")], 7)
    store.backup(tmp_path / "copy")
    store.apply([row(8, "riga", "Riga today")], 8)
    with pytest.raises(DataFolderUnusable, match="the backup cannot be written"):
        store.backup(tmp_path / "copy")
    with OxigraphStore(tmp_path / "copy", BASE) as copy:
        assert (labels(copy, "riga"), copy.marker(), copy.held()) == (["Riga"], 7, {("city", "riga"): 1})
        assert copy.vocabularies() == store.vocabularies()
        assert copy.statistics().statements == 1 + ABOUT_RECORD + 5
