"""Describes the dataset in RDF: VoID for its contents, DCAT-AP 3 for its forms and services, its prefixes.

Everything is computed: `measure` counts by SPARQL, the other functions turn counts and addresses into
graphs. There are no blank nodes; what has no address of its own is named below the catalogue's
(`{base}catalog#dataset`), so that dereferencing any of these names leads back to the description.

VoID: https://www.w3.org/TR/void/. DCAT-AP 3: https://semiceu.github.io/DCAT-AP/releases/3.0.0/.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from rdflib import DCAT, DCTERMS, FOAF, OWL, PROV, RDF, RDFS, SH, SKOS, VOID, XSD, Graph, Literal, Namespace, URIRef
from rdflib.term import Node

from kg.changes import role_of
from kg.ledger import Revision
from kg.records import graph_from_ntriples
from kg.vocabulary import CONCEPTS, DEFAULT_BASE, MG, PREFIXES, record_iri, thing_iri

Rows = Callable[[str], list[dict[str, str | None]]]
"""Runs one of our SELECT queries, as `OxigraphStore.rows` does."""

Triple = tuple[URIRef, URIRef, Node]

VANN = Namespace("http://purl.org/vocab/vann/")
DCAT_VERSION = URIRef("http://www.w3.org/ns/dcat#version")
"""New in DCAT 3; rdflib's list of the namespace ends at DCAT 2."""
MEDIA_TYPES = Namespace("https://www.iana.org/assignments/media-types/")
EU = Namespace("http://publications.europa.eu/resource/authority/")

ALL_PREFIXES = PREFIXES | {"void": str(VOID), "vann": str(VANN)}
"""Prefixes that our own descriptions and turtle files use."""

NOTES = f"{DEFAULT_BASE}system"
"""What the graph view keeps for itself: graphs whose names begin so are no part of the dataset."""

FILE_TYPES = {"nq": "RDF_N_QUADS", "trig": "RDF_TRIG", "jsonld": "JSON_LD"}
"""The same in the EU's list of file types, which DCAT-AP wants for `dcterms:format`."""

DUMP_FORMS = {"nq": "application/n-quads", "trig": "application/trig", "jsonld": "application/ld+json"}
"""Forms of the whole dataset, by the ending before .gz."""

_RECORDS = """
SELECT ?licence (COUNT(?record) AS ?records) (MAX(?changed) AS ?modified) WHERE {
  GRAPH ?record { ?record foaf:primaryTopic ?thing ; dcterms:modified ?changed . OPTIONAL { ?record dcterms:license ?licence } }
} GROUP BY ?licence ORDER BY ?licence
"""
_PROPERTIES = """
SELECT ?property (COUNT(*) AS ?triples) WHERE {
  GRAPH ?record { ?subject ?property ?object } FILTER(STRSTARTS(STR(?record), %s))
} GROUP BY ?property ORDER BY ?property
"""
_CLASSES = """
SELECT ?class (COUNT(DISTINCT ?thing) AS ?things) WHERE {
  GRAPH ?graph { ?thing a ?class } FILTER(!STRSTARTS(STR(?graph), %s))
} GROUP BY ?class ORDER BY ?class
"""
_DISTINCT = """
SELECT (COUNT(DISTINCT ?subject) AS ?subjects) (COUNT(DISTINCT ?object) AS ?objects) WHERE {
  GRAPH ?graph { ?subject ?property ?object } FILTER(!STRSTARTS(STR(?graph), %s))
}
"""
_VOCABULARIES = """
SELECT ?graph ?version (COUNT(*) AS ?triples) WHERE {
  GRAPH ?graph { ?subject ?property ?object }
  FILTER(!STRSTARTS(STR(?graph), %s) && !STRSTARTS(STR(?graph), %s))
  OPTIONAL { GRAPH ?graph { ?graph owl:versionInfo ?version } }
} GROUP BY ?graph ?version ORDER BY ?graph
"""
_VOCABULARIES_PROPERTIES = """
SELECT ?property (COUNT(*) AS ?triples) WHERE {
  { SELECT DISTINCT ?subject ?property ?object WHERE {
    VALUES ?graph { %s } GRAPH ?graph { ?subject ?property ?object }
  } }
} GROUP BY ?property ORDER BY ?property
"""
"""A statement that two vocabularies make is one of the dataset's."""


@dataclass(frozen=True)
class Vocabulary:
    """A read-only graph beside the records: how many statements it has, and its version where it says one."""

    triples: int
    version: str | None


@dataclass(frozen=True)
class Size:
    """What dumps and queries hold: the published records and the vocabularies beside them.

    `licences` maps the address of each licence to the number of records under it; None stands for
    records that name none. `modified` is the newest change (xsd:dateTime), None for an empty dataset.
    `properties` has the statements with each property and `classes` the things of each class, over all;
    `record_triples` are the statements about records alone, `vocabularies` what each of the others has.
    """

    records: int = 0
    modified: str | None = None
    licences: Mapping[str | None, int] = field(default_factory=dict)
    properties: Mapping[str, int] = field(default_factory=dict)
    classes: Mapping[str, int] = field(default_factory=dict)
    subjects: int = 0
    objects: int = 0
    record_triples: int = 0
    vocabularies: Mapping[str, Vocabulary] = field(default_factory=dict)

    @property
    def triples(self) -> int:
        """Statements in all."""
        return sum(self.properties.values())

    @property
    def licence(self) -> str | None:
        """The one licence of all records, None where there are several or none."""
        return next(iter(self.licences)) if len(self.licences) == 1 else None


@dataclass(frozen=True)
class Place:
    """Where and by whom a dataset is offered.

    `base` begins the names of records and of the descriptions, `site` the addresses where the service
    answers; both end in a slash. `revision` is the number of the newest change that is described.
    """

    base: str
    site: str
    publisher: str
    revision: int

    @property
    def catalogue(self) -> URIRef:
        return URIRef(f"{self.base}catalog")

    def named(self, name: str) -> URIRef:
        """A name below the catalogue's own.

        >>> Place("https://x.org/", "http://127.0.0.1/", "x", 1).named("dataset")
        rdflib.term.URIRef('https://x.org/catalog#dataset')
        """
        return URIRef(f"{self.base}catalog#{name}")


def measure(rows: Rows, base: str) -> Size:
    """Count what is published, by SPARQL: a handful of passes over the whole graph, so keep the answer.

    >>> from kg.graph.store import OxigraphStore
    >>> measure(OxigraphStore(None).rows, DEFAULT_BASE).records
    0
    """
    # base comes from the settings, whose pattern lets no quotation mark through; as a literal it is escaped anyway.
    records, notes = Literal(f"{base}id/").n3(), Literal(NOTES).n3()
    about = [row for row in rows(_RECORDS) if row["records"] != "0"]
    distinct = rows(_DISTINCT % notes)[0]
    vocabularies = {
        str(row["graph"]): Vocabulary(_number(row["triples"]), row["version"])
        for row in rows(_VOCABULARIES % (records, notes))
    }
    of_records = _counted(rows(_PROPERTIES % records))
    named = " ".join(URIRef(iri).n3() for iri in vocabularies)
    return Size(
        records=sum(_number(row["records"]) for row in about),
        modified=max((row["modified"] or "" for row in about), default=None),
        licences={row["licence"]: _number(row["records"]) for row in about},
        properties=dict(of_records + (_counted(rows(_VOCABULARIES_PROPERTIES % named)) if named else Counter())),
        classes={str(row["class"]): _number(row["things"]) for row in rows(_CLASSES % notes)},
        subjects=_number(distinct["subjects"]),
        objects=_number(distinct["objects"]),
        record_triples=of_records.total(),
        vocabularies=vocabularies,
    )


def _counted(found: list[dict[str, str | None]]) -> Counter[str]:
    return Counter({str(row["property"]): _number(row["triples"]) for row in found})


def _number(text: str | None) -> int:
    return int(text or 0)


def void_graph(size: Size, place: Place) -> Graph:
    """The VoID description: counts, partitions by class and property, vocabularies, dumps, prefixes.

    >>> graph = void_graph(Size(records=2), Place("https://x.org/", "https://x.org/", "City of X", 7))
    >>> str(graph.value(URIRef("https://x.org/catalog#dataset"), VOID.entities))
    '2'
    """
    graph = _empty()
    dataset, description = place.named("dataset"), URIRef(f"{place.base}.well-known/void")
    records = place.named("records")
    _add(graph, description, (RDF.type, VOID.DatasetDescription), (FOAF.primaryTopic, dataset))
    _add(graph, dataset, (RDF.type, VOID.Dataset), *_titles(), *_state(size, place))
    _add(
        graph,
        dataset,
        (VOID.triples, _count(size.triples)),
        (VOID.entities, _count(size.records)),
        (VOID.documents, _count(size.records)),
        (VOID.classes, _count(len(size.classes))),
        (VOID.properties, _count(len(size.properties))),
        (VOID.distinctSubjects, _count(size.subjects)),
        (VOID.distinctObjects, _count(size.objects)),
        (VOID.uriSpace, Literal(f"{place.base}id/")),
        (VOID.sparqlEndpoint, URIRef(f"{place.site}sparql")),
        (FOAF.homepage, URIRef(place.site)),
        *((VOID.dataDump, _dump_address(place, form)) for form in DUMP_FORMS),
        *((VOID.feature, feature) for feature in _FEATURES),
        *((VOID.vocabulary, URIRef(namespace)) for namespace in _namespaces(size)),
    )
    _partitions(graph, place, "class", VOID.classPartition, (VOID["class"], VOID.entities), size.classes)
    _partitions(graph, place, "property", VOID.propertyPartition, (VOID.property, VOID.triples), size.properties)
    _add(
        graph,
        records,
        (RDF.type, VOID.Dataset),
        (DCTERMS.title, Literal("records")),
        (VOID.triples, _count(size.record_triples)),
        (VOID.entities, _count(size.records)),
        (VOID.documents, _count(size.records)),
        (VOID.uriSpace, Literal(f"{place.base}id/")),
    )
    graph.add((dataset, VOID.subset, records))
    for iri, vocabulary in size.vocabularies.items():
        part = place.named(f"graph-{_local(iri)}")
        _add(graph, dataset, (VOID.subset, part))
        _add(graph, part, (RDF.type, VOID.Dataset), (VOID.triples, _count(vocabulary.triples)))
        _add(graph, part, (DCTERMS.title, Literal(_local(iri))), (FOAF.primaryTopic, URIRef(iri)))
        if vocabulary.version:
            graph.add((part, OWL.versionInfo, Literal(vocabulary.version)))
    _declare_prefixes(graph, place)
    return graph


_FEATURES = tuple(
    URIRef(f"http://www.w3.org/ns/formats/{name}")
    for name in ("Turtle", "N-Triples", "N-Quads", "TriG", "RDF_XML", "JSON-LD")
)


def _partitions(
    graph: Graph, place: Place, sort: str, link: Node, terms: tuple[Node, Node], counts: Mapping[str, int]
) -> None:
    """One part of the dataset for each class or property, numbered in the order of their addresses."""
    for number, (iri, count) in enumerate(sorted(counts.items()), start=1):
        part = place.named(f"{sort}-{number}")
        _add(graph, place.named("dataset"), (link, part))
        _add(graph, part, (terms[0], URIRef(iri)), (terms[1], _count(count)))


def _namespaces(size: Size) -> list[str]:
    """Namespaces of the classes and properties in use."""
    return sorted({_namespace(iri) for iri in (*size.properties, *size.classes)})


def _namespace(iri: str) -> str:
    """All of an address but its last part.

    >>> _namespace("http://purl.org/dc/terms/title"), _namespace("https://x.org/ontology#tie")
    ('http://purl.org/dc/terms/', 'https://x.org/ontology#')
    """
    return iri[: len(iri) - len(_local(iri))]


def _local(iri: str) -> str:
    return iri.replace("#", "/").rpartition("/")[2]


def _declare_prefixes(graph: Graph, place: Place) -> None:
    """The prefixes for queries: sh:declare, which editors read, and vann for our own vocabulary."""
    ontology = URIRef(f"{DEFAULT_BASE}ontology")
    _add(
        graph,
        ontology,
        (RDF.type, OWL.Ontology),
        (VANN.preferredNamespacePrefix, Literal("mg")),
        (VANN.preferredNamespaceUri, Literal(str(MG))),
    )
    for prefix, namespace in sorted(ALL_PREFIXES.items()):
        declared = place.named(f"prefix-{prefix}")
        _add(graph, place.named("dataset"), (SH.declare, declared))
        _add(
            graph,
            declared,
            (RDF.type, SH.PrefixDeclaration),
            (SH.prefix, Literal(prefix)),
            (SH.namespace, Literal(namespace, datatype=XSD.anyURI)),
        )


def catalogue_graph(size: Size, place: Place) -> Graph:
    """The DCAT-AP 3 description: catalogue, dataset, its dumps as distributions, its data services, its publisher.

    A licence stands there when all records share one; else a statement of rights says how many
    records are under which.

    >>> graph = catalogue_graph(Size(), Place("https://x.org/", "https://x.org/", "City of X", 7))
    >>> sorted(_local(str(one)) for one in graph.subjects(RDF.type, DCAT.Distribution))
    ['dump-jsonld', 'dump-nq', 'dump-trig']
    """
    graph = _empty()
    dataset, publisher = place.named("dataset"), place.named("publisher")
    _add(graph, publisher, (RDF.type, FOAF.Agent), (FOAF.name, Literal(place.publisher)))
    _add(
        graph,
        place.catalogue,
        (RDF.type, DCAT.Catalog),
        (DCTERMS.title, Literal("mentorgraph catalogue", lang="en")),
        (DCTERMS.title, Literal("Catalogue de mentorgraph", lang="fr")),
        (DCTERMS.description, Literal("The dataset of one mentorgraph service and the ways to reach it.", lang="en")),
        (DCTERMS.description, Literal("Le jeu de données d’un service mentorgraph et ses accès.", lang="fr")),
        (DCTERMS.publisher, publisher),
        (DCTERMS.language, EU["language/ENG"]),
        (DCTERMS.language, EU["language/FRA"]),
        (FOAF.homepage, URIRef(place.site)),
        (DCAT.themeTaxonomy, EU["data-theme"]),
        (DCAT.dataset, dataset),
        *_when(size),
    )
    _add(
        graph,
        dataset,
        (RDF.type, DCAT.Dataset),
        (DCTERMS.publisher, publisher),
        (DCTERMS.identifier, Literal(str(dataset))),
        (DCTERMS.accessRights, EU["access-right/PUBLIC"]),
        (DCAT.theme, EU["data-theme/SOCI"]),
        *((DCAT.keyword, Literal(word, lang=tag)) for tag, words in _KEYWORDS.items() for word in words),
        *_titles(),
        *_state(size, place),
    )
    _rights(graph, dataset, size, place)
    for form, media_type in DUMP_FORMS.items():
        _distribution(graph, form, media_type, size, place)
    for service in _SERVICES:
        _service(graph, *service, place)
    for predicate, range_class in _RANGES.items():
        for thing in set(graph.objects(None, predicate)):
            graph.add((thing, RDF.type, range_class))
    return graph


_RANGES = {
    DCTERMS.accessRights: DCTERMS.RightsStatement,
    DCTERMS.rights: DCTERMS.RightsStatement,
    DCTERMS.license: DCTERMS.LicenseDocument,
    DCTERMS.language: DCTERMS.LinguisticSystem,
    DCTERMS.format: DCTERMS.MediaTypeOrExtent,
    DCTERMS.conformsTo: DCTERMS.Standard,
    DCAT.mediaType: DCTERMS.MediaType,
    DCAT.compressFormat: DCTERMS.MediaType,
    DCAT.theme: SKOS.Concept,
    DCAT.themeTaxonomy: SKOS.ConceptScheme,
    FOAF.homepage: FOAF.Document,
}
"""What DCAT-AP says that values are; its checks look for the class in the description itself."""


_KEYWORDS = {
    "en": ("integration of migrants", "city-to-city learning", "local government"),
    "fr": ("intégration des migrants", "apprentissage entre villes", "collectivités locales"),
}

_SERVICES: tuple[tuple[str, str, str | None, tuple[str, str], str], ...] = (
    (
        "sparql",
        "sparql",
        "sparql",
        ("SPARQL 1.1 endpoint", "Point d’accès SPARQL 1.1"),
        "https://www.w3.org/TR/sparql11-protocol/",
    ),
    (
        "graphs",
        "graphs",
        None,
        ("Graph Store Protocol, to read and write", "Graph Store Protocol, en lecture et en écriture"),
        "https://www.w3.org/TR/sparql11-http-rdf-update/",
    ),
    (
        "api",
        "api/",
        "openapi.json",
        ("HTTP interface in JSON", "Interface HTTP en JSON"),
        "https://spec.openapis.org/oas/v3.1.0",
    ),
)
"""Name, address, address of its description, title in English and French, and the standard it keeps to."""


def _told(english: str, french: str) -> list[Literal]:
    return [Literal(english, lang="en"), Literal(french, lang="fr")]


def _titles() -> list[tuple[Node, Node]]:
    return [
        (DCTERMS.title, Literal("Practices and mentorships of cities", lang="en")),
        (DCTERMS.title, Literal("Pratiques et mentorats de villes", lang="fr")),
        (
            DCTERMS.description,
            Literal(
                "What cities did for the integration of newcomers, what came of it as sources tell it, "
                "and which city learned from which.",
                lang="en",
            ),
        ),
        (
            DCTERMS.description,
            Literal(
                "Ce que des villes ont fait pour l’intégration des nouveaux arrivants, ce qui en est résulté d’après les "
                "sources, et quelle ville a appris de quelle autre.",
                lang="fr",
            ),
        ),
    ]


def _state(size: Size, place: Place) -> list[tuple[Node, Node]]:
    """Version, time of the newest change and licence, as far as they are known."""
    version = Literal(f"revision {place.revision}")
    licence: list[tuple[Node, Node]] = [(DCTERMS.license, URIRef(size.licence))] if size.licence else []
    return [(DCAT_VERSION, version), (OWL.versionInfo, version), *_when(size), *licence]


def _when(size: Size) -> list[tuple[Node, Node]]:
    return [(DCTERMS.modified, Literal(size.modified, datatype=XSD.dateTime))] if size.modified else []


def _rights(graph: Graph, subject: URIRef, size: Size, place: Place) -> None:
    """Where records differ in their licence, say so; `dcterms:license` allows one only."""
    if size.licence is not None or not size.records:
        return
    rights = place.named("rights")
    english = "; ".join(f"{count} records: {licence or 'none named'}" for licence, count in size.licences.items())
    french = "; ".join(f"{count} fiches : {licence or 'non indiquée'}" for licence, count in size.licences.items())
    _add(graph, subject, (DCTERMS.rights, rights))
    labels = _told(f"Licences are named record by record. {english}.", f"Chaque fiche dit sa licence. {french}.")
    _add(graph, rights, *((RDFS.label, label) for label in labels))


def _distribution(graph: Graph, form: str, media_type: str, size: Size, place: Place) -> None:
    node, address = place.named(f"dump-{form}"), _dump_address(place, form)
    titles = _told(
        f"All records and vocabularies ({media_type}, gzip)", f"Toutes les fiches et vocabulaires ({media_type}, gzip)"
    )
    descriptions = _told(
        f"One named graph for each record. Its SHA-256 is at {address}.sha256.",
        f"Un graphe nommé par fiche. Son SHA-256 se trouve à {address}.sha256.",
    )
    _add(graph, place.named("dataset"), (DCAT.distribution, node))
    _add(
        graph,
        node,
        (RDF.type, DCAT.Distribution),
        *((DCTERMS.title, title) for title in titles),
        *((DCTERMS.description, description) for description in descriptions),
        (DCAT.accessURL, address),
        (DCAT.downloadURL, address),
        (DCAT.mediaType, MEDIA_TYPES[media_type]),
        (DCAT.compressFormat, MEDIA_TYPES["application/gzip"]),
        (DCTERMS.format, EU[f"file-type/{FILE_TYPES[form]}"]),
        *_when(size),
    )
    if size.licence:
        _add(graph, node, (DCTERMS.license, URIRef(size.licence)))
    _rights(graph, node, size, place)


def _service(
    graph: Graph, name: str, path: str, description: str | None, titles: tuple[str, str], standard: str, place: Place
) -> None:
    node = place.named(f"service-{name}")
    _add(graph, place.catalogue, (DCAT.service, node))
    _add(
        graph,
        node,
        (RDF.type, DCAT.DataService),
        *((DCTERMS.title, title) for title in _told(*titles)),
        (DCAT.endpointURL, URIRef(place.site + path)),
        (DCAT.servesDataset, place.named("dataset")),
        (DCTERMS.publisher, place.named("publisher")),
        (DCTERMS.conformsTo, URIRef(standard)),
    )
    if description:
        graph.add((node, DCAT.endpointDescription, URIRef(place.site + description)))


def _dump_address(place: Place, form: str) -> URIRef:
    return URIRef(f"{place.site}dumps/latest.{form}.gz")


def record_graph(revision: Revision, base: str) -> Graph:
    """A published record's graph as readers get it: the ledger's own words, and what the ledger says of them.

    The graph view holds the same, but for what its engine rewrites (language tags in lower case,
    numbers in their shortest form).

    >>> from datetime import UTC, datetime
    >>> from types import SimpleNamespace
    >>> riga = SimpleNamespace(number=7, kind="city", id="riga", time=datetime(2026, 3, 1, tzinfo=UTC), payload="",
    ...     author="curator/ilze")
    >>> graph = record_graph(riga, "https://x.org/")
    >>> str(graph.value(URIRef("https://x.org/id/city/riga#record"), OWL.versionInfo))
    '7'
    """
    graph = graph_from_ntriples(revision.payload or "")
    for triple in statements_about(revision, base):
        graph.add(triple)
    return with_prefixes(graph)


def statements_about(revision: Revision, base: str) -> list[Triple]:
    """What is said of a record itself: its class, subject, state, time of change, revision, and who published it.

    The last is PROV-O and names the role, an agent that stands for all who act in it; accounts stay in the ledger.
    """
    record = record_iri(base, revision.kind, revision.id)
    changed = Literal(time_of(revision.time), datatype=XSD.dateTime)
    return [
        (record, RDF.type, DCAT.CatalogRecord),
        (record, FOAF.primaryTopic, thing_iri(base, revision.kind, revision.id)),
        (record, MG.state, URIRef(f"{CONCEPTS}record-state/published")),
        (record, DCTERMS.modified, changed),
        (record, OWL.versionInfo, Literal(str(revision.number))),
        (record, PROV.generatedAtTime, changed),
        (record, PROV.wasAttributedTo, URIRef(f"{CONCEPTS}record-role/{role_of(revision.author)}")),
    ]


def time_of(time: datetime) -> str:
    """A time as xsd:dateTime in its shortest form, which is how the graph view has it too.

    >>> time_of(datetime(2026, 3, 1, 9, 30, microsecond=120_000, tzinfo=UTC)), time_of(datetime(2026, 3, 1, tzinfo=UTC))
    ('2026-03-01T09:30:00.12Z', '2026-03-01T00:00:00Z')
    """
    text = time.astimezone(UTC).isoformat().removesuffix("+00:00")
    return (text.rstrip("0") if "." in text else text) + "Z"


def _empty() -> Graph:
    return with_prefixes(Graph(bind_namespaces="none"))


def with_prefixes(graph: Graph) -> Graph:
    """The graph itself, with short names bound for the formats that write them."""
    for prefix, namespace in ALL_PREFIXES.items():
        graph.bind(prefix, namespace)
    return graph


def _add(graph: Graph, subject: URIRef, *said: tuple[Node, Node]) -> None:
    for predicate, value in said:
        graph.add((subject, predicate, value))


def _count(number: int) -> Literal:
    return Literal(str(number), datatype=XSD.integer)
