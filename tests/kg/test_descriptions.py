"""The descriptions of the dataset: right in their numbers, complete by DCAT-AP, readable by anybody."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from pyshacl.graph_abstraction import DataGraph
from pyshacl.validator import Validator
from rdflib import DCAT, DCTERMS, OWL, PROV, RDF, RDFS, SH, VOID, BNode, Dataset, Graph, Literal, URIRef

from kg.catalogue import Catalogue
from kg.descriptions import DCAT_VERSION, NOTES, Place, Size, catalogue_graph, measure, record_graph, void_graph
from kg.graph.store import OxigraphStore
from kg.ledger import Change, Ledger, Revision
from kg.records import to_graph, to_ntriples
from kg.views import Follower
from kg.vocabulary import MG, PREFIXES

BASE = "https://cities.example/kg/"
PLACE = Place(BASE, "https://answers.example/", "City of Ghent", 7)
CC_BY, CC_0 = "https://creativecommons.org/licenses/by/4.0/", "https://creativecommons.org/publicdomain/zero/1.0/"
DATASET = URIRef(f"{BASE}catalog#dataset")


def city(id: str, licence: str | None) -> dict:
    record = {"kind": "city", "id": id, "name": {"en": id.title()}, "country": "BE"}
    return record | ({"record": {"licence": licence}} if licence else {})


def view_of(tmp_path_factory: pytest.TempPathFactory, *records: dict) -> OxigraphStore:
    """A graph view of these records, published, beside one that is a team's own."""
    with Ledger.create(f"sqlite:///{tmp_path_factory.mktemp('ledger')}/ledger.db", BASE) as ledger:
        view = OxigraphStore(None, BASE)
        with ledger.write() as transaction:
            for record in [*records, city("hidden", CC_0)]:
                visibility = "team" if record["id"] == "hidden" else "public"
                payload = to_ntriples(to_graph(record, BASE))
                transaction.append(Change("city", record["id"], "published", visibility, payload, "ilze"))
        Follower(ledger, view).catch_up()
        return view


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OxigraphStore]:
    with view_of(tmp_path_factory, city("ghent", CC_BY), city("liege", CC_BY), city("bruges", None)) as made:
        yield made


def test_the_counts_are_those_of_another_engine(view: OxigraphStore) -> None:
    size = measure(view.rows, BASE)
    dataset = Dataset()
    dataset.parse(data=view.query("CONSTRUCT { ?s ?p ?o } WHERE { ?s ?p ?o }", graph="ntriples"), format="nt")
    triples = [(s, p, o) for s, p, o, _ in dataset.quads()]
    assert (size.records, size.triples) == (3, len(triples))
    assert size.subjects == len({s for s, _, _ in triples})
    assert size.objects == len({o for _, _, o in triples})
    assert size.properties == {
        str(p): sum(1 for triple in triples if triple[1] == p) for p in {p for _, p, _ in triples}
    }
    assert size.classes == {"https://schema.org/City": 3, str(DCAT.CatalogRecord): 3}
    assert size.licences == {CC_BY: 2, None: 1}


def test_an_empty_dataset_is_described_without_inventing_anything() -> None:
    size = measure(OxigraphStore(None, BASE).rows, BASE)
    assert size == Size()
    for graph in (void_graph(size, PLACE), catalogue_graph(size, PLACE)):
        assert not list(graph.triples((None, DCTERMS.modified, None)))
        assert not list(graph.triples((None, DCTERMS.license, None)))


def test_void_says_what_was_counted(view: OxigraphStore) -> None:
    size = measure(view.rows, BASE)
    graph = void_graph(size, PLACE)
    assert str(graph.value(DATASET, VOID.triples)) == str(size.triples)
    parts = list(graph.objects(DATASET, VOID.propertyPartition))
    assert sum(int(str(graph.value(part, VOID.triples))) for part in parts) == size.triples
    assert {str(graph.value(part, VOID.property)) for part in parts} == set(size.properties)
    assert URIRef("https://answers.example/dumps/latest.nq.gz") in set(graph.objects(DATASET, VOID.dataDump))


def test_prefixes_are_declared_for_queries(view: OxigraphStore) -> None:
    graph = void_graph(measure(view.rows, BASE), PLACE)
    declared = {
        str(graph.value(one, SH.prefix)): str(graph.value(one, SH.namespace))
        for one in graph.objects(DATASET, SH.declare)
    }
    assert declared.items() >= PREFIXES.items()
    vann = URIRef("http://purl.org/vocab/vann/preferredNamespaceUri")
    assert graph.value(URIRef(str(MG).rstrip("#")), vann) == Literal(str(MG))


def test_vocabularies_are_listed_with_their_size(tmp_path_factory: pytest.TempPathFactory) -> None:
    from ontology import path as shipped

    with view_of(tmp_path_factory, city("ghent", CC_BY)) as view:
        before = measure(view.rows, BASE)
        view.load_vocabulary({"https://w3id.org/mentorgraph/schemes": shipped("schemes.ttl")})
        size = measure(view.rows, BASE)
    expected = len(Graph().parse(shipped("schemes.ttl"), format="turtle"))
    assert size.vocabularies["https://w3id.org/mentorgraph/schemes"].triples == expected
    assert size.record_triples == before.triples, "statements of a vocabulary count as those of records"
    assert size.triples == before.triples + expected
    assert (size.records, size.classes["http://www.w3.org/2004/02/skos/core#ConceptScheme"] > 0) == (1, True)
    graph = void_graph(size, PLACE)
    subsets = set(graph.objects(DATASET, VOID.subset))
    assert sum(int(str(graph.value(one, VOID.triples))) for one in subsets) == size.triples
    assert str(graph.value(PLACE.named("records"), VOID.triples)) == str(before.triples)
    part = URIRef(f"{BASE}catalog#graph-schemes")
    assert part in set(graph.objects(DATASET, VOID.subset))
    assert graph.value(part, OWL.versionInfo) is not None


def test_what_two_vocabularies_say_and_what_the_view_notes_is_counted_rightly(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("vocabularies")
    said = "<https://x.org/heat> <http://www.w3.org/2004/02/skos/core#broader> <https://x.org/climate> ."
    for name in ("one", "two", "notes"):
        (folder / name).write_text(f"{said} <https://x.org/{name}> a <https://x.org/Thing> .")
    with view_of(tmp_path_factory, city("ghent", CC_BY)) as view:
        before = measure(view.rows, BASE)
        # Where an engine forgets graphs that are empty, the view's notes are statements in a graph of this name.
        named = {"https://x.org/graph/one": "one", "https://x.org/graph/two": "two", NOTES: "notes"}
        view.load_vocabulary({iri: folder / file for iri, file in named.items()})
        size = measure(view.rows, BASE)
    assert size.triples == before.triples + 3
    assert size.properties["http://www.w3.org/2004/02/skos/core#broader"] == 1
    assert (size.classes["https://x.org/Thing"], size.subjects) == (2, before.subjects + 3)
    assert [vocabulary.triples for vocabulary in size.vocabularies.values()] == [2, 2]


MANDATORY = """
@prefix sh: <http://www.w3.org/ns/shacl#> .
@prefix dcat: <http://www.w3.org/ns/dcat#> .
@prefix dct: <http://purl.org/dc/terms/> .
@prefix foaf: <http://xmlns.com/foaf/0.1/> .
@prefix rdf: <http://www.w3.org/1999/02/22-rdf-syntax-ns#> .
@prefix skos: <http://www.w3.org/2004/02/skos/core#> .
@prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
[] a sh:NodeShape ; sh:targetClass dcat:Catalog ;
  sh:property [ sh:path dct:title ; sh:minCount 1 ; sh:nodeKind sh:Literal ],
    [ sh:path dct:description ; sh:minCount 1 ; sh:nodeKind sh:Literal ],
    [ sh:path dct:publisher ; sh:minCount 1 ; sh:maxCount 1 ; sh:class foaf:Agent ],
    [ sh:path dcat:dataset ; sh:minCount 1 ; sh:class dcat:Dataset ],
    [ sh:path dcat:service ; sh:class dcat:DataService ],
    [ sh:path dct:modified ; sh:maxCount 1 ], [ sh:path foaf:homepage ; sh:maxCount 1 ; sh:class foaf:Document ],
    [ sh:path dct:language ; sh:minCount 1 ; sh:class dct:LinguisticSystem ],
    [ sh:path dcat:themeTaxonomy ; sh:minCount 1 ; sh:class skos:ConceptScheme ] .
[] a sh:NodeShape ; sh:targetClass dcat:Dataset ;
  sh:property [ sh:path dct:title ; sh:minCount 1 ], [ sh:path dct:description ; sh:minCount 1 ],
    [ sh:path dcat:distribution ; sh:minCount 1 ; sh:class dcat:Distribution ],
    [ sh:path dcat:version ; sh:minCount 1 ; sh:maxCount 1 ; sh:nodeKind sh:Literal ],
    [ sh:path dct:modified ; sh:maxCount 1 ; sh:datatype xsd:dateTime ],
    [ sh:path dcat:theme ; sh:minCount 1 ; sh:class skos:Concept ],
    [ sh:path dct:accessRights ; sh:maxCount 1 ; sh:class dct:RightsStatement ] .
[] a sh:NodeShape ; sh:targetClass dcat:Distribution ;
  sh:property [ sh:path dcat:accessURL ; sh:minCount 1 ; sh:nodeKind sh:IRI ],
    [ sh:path dcat:mediaType ; sh:maxCount 1 ; sh:class dct:MediaType ],
    [ sh:path dcat:compressFormat ; sh:maxCount 1 ; sh:class dct:MediaType ],
    [ sh:path dct:license ; sh:maxCount 1 ; sh:class dct:LicenseDocument ],
    [ sh:path dct:format ; sh:minCount 1 ; sh:maxCount 1 ; sh:class dct:MediaTypeOrExtent ],
    [ sh:path dct:rights ; sh:maxCount 1 ; sh:class dct:RightsStatement ] .
[] a sh:NodeShape ; sh:targetClass dcat:DataService ;
  sh:property [ sh:path dct:title ; sh:minCount 1 ], [ sh:path dcat:endpointURL ; sh:minCount 1 ; sh:nodeKind sh:IRI ],
    [ sh:path dcat:servesDataset ; sh:class dcat:Dataset ], [ sh:path dct:conformsTo ; sh:class dct:Standard ] .
[] a sh:NodeShape ; sh:targetClass foaf:Agent ; sh:property [ sh:path foaf:name ; sh:minCount 1 ] .
"""
"""What DCAT-AP 3.0 makes mandatory, what it recommends as far as the service knows it, and the ranges and most counts of what we use of it."""


def conforms(graph: Graph) -> bool:
    shapes = Graph().parse(data=MANDATORY, format="turtle")
    # pyshacl.validate would leave rdflib's NORMALIZE_LITERALS switched on for the tests that follow.
    return bool(Validator(DataGraph.from_rdflib(graph), shacl_graph=shapes).run()[0])


@pytest.mark.parametrize("licences", [{CC_BY: 3}, {CC_BY: 2, None: 1}, {CC_BY: 1, CC_0: 1}, {}])
def test_the_catalogue_has_what_dcat_ap_demands(licences: dict[str | None, int]) -> None:
    size = Size(records=sum(licences.values()), modified="2026-03-01T00:00:00Z", licences=licences)
    graph = catalogue_graph(size, PLACE)
    assert conforms(graph)
    assert len(list(graph.objects(DATASET, DCAT.distribution))) == 3
    assert len(list(graph.objects(PLACE.catalogue, DCAT.service))) == 3
    titles = list(graph.objects(PLACE.named("service-graphs"), DCTERMS.title))
    assert Literal("Graph Store Protocol, to read and write", lang="en") in titles
    for predicate in (DCTERMS.title, DCTERMS.description, RDFS.label):
        for thing in set(graph.subjects(predicate)):
            languages = sorted(str(text.language) for text in graph.objects(thing, predicate))
            assert languages == ["en", "fr"], thing
    assert graph.value(DATASET, DCAT_VERSION) == Literal("revision 7")
    assert (graph.value(DATASET, DCTERMS.license) == URIRef(CC_BY)) == (licences == {CC_BY: 3})
    assert (graph.value(DATASET, DCTERMS.rights) is not None) == (len(licences) > 1)


@pytest.mark.parametrize(
    "left_out", [DCTERMS.publisher, DCAT.accessURL, DCAT.endpointURL, URIRef("http://xmlns.com/foaf/0.1/name")]
)
def test_the_check_notices_what_is_missing(left_out: URIRef) -> None:
    graph = catalogue_graph(Size(), PLACE)
    graph.remove((None, left_out, None))
    assert not conforms(graph)


@pytest.mark.parametrize("describe", [void_graph, catalogue_graph])
def test_nothing_is_without_a_name(view: OxigraphStore, describe: object) -> None:
    graph = describe(measure(view.rows, BASE), PLACE)  # type: ignore[operator]
    assert not [term for triple in graph for term in triple if isinstance(term, BNode)]
    ours = {str(s) for s in graph.subjects() if str(s).startswith(BASE)}
    assert all(name.startswith((f"{BASE}catalog", f"{BASE}.well-known/void")) for name in ours), ours


def test_a_record_is_told_as_the_ledger_holds_it() -> None:
    payload = to_ntriples(
        to_graph({"kind": "city", "id": "ghent", "name": {"en-GB": "Ghent"}, "latitude": "51.050"}, BASE)
    )
    time = datetime(2026, 3, 1, 12, tzinfo=UTC)
    revision = Revision(
        9, "city", "ghent", None, "published", "public", "ilze", time, "", "", "", None, payload, *"    "
    )
    graph = record_graph(revision, BASE)
    text = graph.serialize(format="nt")
    assert '"Ghent"@en-GB' in text
    assert '"51.050"' in text
    record = URIRef(f"{BASE}id/city/ghent#record")
    assert str(graph.value(record, DCTERMS.modified)) == "2026-03-01T12:00:00Z"
    assert (record, RDF.type, DCAT.CatalogRecord) in graph
    assert (
        str(graph.value(record, PROV.wasAttributedTo))
        == "https://w3id.org/mentorgraph/concept/record-role/administrator"
    )
    assert "ilze" not in text


def test_the_graph_view_says_the_same_of_a_record(tmp_path_factory: pytest.TempPathFactory) -> None:
    with Catalogue.create(tmp_path_factory.mktemp("folder") / "data", base=BASE) as catalogue:
        catalogue.save([city("ghent", CC_BY)])
        revision = catalogue.ledger.published("city", "ghent")
        assert revision is not None
        record = f"<{BASE}id/city/ghent#record>"
        viewed = catalogue.graph.query(
            f"CONSTRUCT {{ ?s ?p ?o }} WHERE {{ GRAPH {record} {{ ?s ?p ?o }} }}", graph="ntriples"
        )
        assert set(Graph().parse(data=viewed, format="nt")) == set(record_graph(revision, BASE))
