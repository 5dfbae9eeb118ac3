"""Reads the shapes into fields: the one declaration of what a record of each kind has.

`ontology/shapes.ttl` is the only place that says which parts a practice, a city or a mentorship
has. Validation runs the shapes as they are; the JSON body, its OpenAPI schema, table columns,
forms and differences are driven by the `Field` objects made here. Adding a property, or a whole
kind of record, is an edit to the ontology alone.

A property shape with `sh:name` describes a field. Further property shapes on the same path add
rules to it: `sh:minCount` with severity `sh:Warning` means "needed to publish", with `sh:Info`
"advised".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property

import pyoxigraph as ox
from rdflib import RDF, RDFS, SH, SKOS, XSD, BNode, Graph, Literal, URIRef
from rdflib.collection import Collection
from rdflib.term import Node

from kg.errors import NotFound, quoted
from kg.vocabulary import MG
from ontology import path as shipped

Text = Mapping[str, str]
"""A label or help text: language tag to words."""

Classes = Mapping[Node, str]
"""Class of each kind to the kind's name."""

TYPES = {
    RDF.langString: "text",
    XSD.string: "string",
    XSD.integer: "integer",
    XSD.decimal: "decimal",
    XSD.boolean: "boolean",
    XSD.date: "date",
    XSD.dateTime: "datetime",
    XSD.gYear: "year",
    XSD.anyURI: "uri",
}


@dataclass(frozen=True, eq=False)
class Field:
    """One part of a record.

    `type` is "text" (one wording per language), "texts" (several per language), "string",
    "integer", "decimal", "boolean", "date", "datetime", "year", "uri", "concept" (one of
    `choices`), "ref" (another record, of `ref_kind`), "iri" (anything else with an address),
    "inner" (nodes of their own, described by `inner`) or "inner-ref" (one of the record's own
    inner nodes, whose identifiers begin with `refers_to`).

    `needed` is "save", "publish", "advised" or None. `many` fields hold lists.
    """

    key: str
    path: Node
    type: str
    many: bool
    label: Text
    help: Text
    order: float
    group: str | None
    shape: Node
    datatype: URIRef | None = None
    ref_kind: str | None = None
    inner: Inner | None = None
    choices: Mapping[str, Node] | None = None
    refers_to: str | None = None
    needed: str | None = None
    max_length: int | None = None
    pattern: str | None = None
    minimum: str | None = None
    maximum: str | None = None

    @cached_property
    def notations(self) -> dict[str, str]:
        """Short name of each choice by its IRI."""
        return {str(iri): notation for notation, iri in (self.choices or {}).items()}


@dataclass(frozen=True, eq=False)
class Structure:
    """What kinds and inner nodes have in common: a class and fields, in the order of the form."""

    shape: Node
    cls: Node
    label: Text
    help: Text
    fields: tuple[Field, ...]

    @cached_property
    def by_key(self) -> dict[str, Field]:
        return {field.key: field for field in self.fields}

    @cached_property
    def by_path(self) -> dict[str, Field]:
        return {str(field.path): field for field in self.fields}


@dataclass(frozen=True, eq=False)
class Inner(Structure):
    """Inner nodes of one sort; their identifiers are minted as `claim-1`, `claim-2` ..."""

    id_prefix: str


@dataclass(frozen=True, eq=False)
class Kind(Structure):
    """One kind of record. `path` is its plural in addresses, `visibility` what a new record gets.

    `keeper` is the role that reviews and publishes it: "curator", or "manager" for what belongs to mentorships.
    """

    name: str
    path: str
    visibility: str
    keeper: str

    def called(self, language: str) -> str:
        """What people call one of its records: its name in English, its label in lower case in another language.

        >>> declaration().kind("city").called("en"), declaration().kind("city").called("fr")
        ('city', 'ville')
        """
        return self.name if language == "en" or language not in self.label else self.label[language].lower()


@dataclass(frozen=True, eq=False)
class Declaration:
    """All kinds, in the order of the shapes file's labels, and the words for concepts and groups."""

    kinds: Mapping[str, Kind]
    concepts: Mapping[str, Text]
    groups: Mapping[str, Text]

    def kind(self, name: str) -> Kind:
        """The kind of that name, singular or as in addresses.

        Raises NotFound, listing the kinds there are.

        >>> declaration().kind("practices").name
        'practice'
        """
        for kind in self.kinds.values():
            if name in (kind.name, kind.path):
                return kind
        raise NotFound(
            {
                "en": f"there is no kind of record called {quoted(name)}; there are: {', '.join(self.kinds)}",
                "fr": f"aucune sorte de fiche ne s’appelle {quoted(name)} ; il y a : {', '.join(self.kinds)}",
            }
        )

    def kind_of_class(self, cls: str) -> Kind | None:
        """The kind whose records have that class."""
        return next((kind for kind in self.kinds.values() if str(kind.cls) == str(cls)), None)

    def concept_label(self, iri: str, language: str) -> str:
        """The words for a concept in `language`, else in English, else its address."""
        return in_language(self.concepts.get(str(iri), {}), language) or str(iri)


def in_language(text: Text, language: str) -> str:
    """The wording in `language`, else its base language, else English, else the first by tag; "" when empty.

    Never a random one (two calls give the same answer).

    >>> in_language({"en": "needs", "fr": "besoins"}, "fr-BE")
    'besoins'
    >>> in_language({"lv": "vajadzības", "el": "ανάγκες"}, "fr")
    'ανάγκες'
    """
    for tag in (language, language.partition("-")[0], "en"):
        if tag in text:
            return text[tag]
    return text[min(text)] if text else ""


InnerOf = Callable[[Node], Inner]
"""Gives the inner structure of a shape, each made once."""


@cache
def declaration() -> Declaration:
    """The shipped declaration, read once (about a quarter of a second).

    >>> practice = declaration().kinds["practice"]
    >>> practice.by_key["title"].type, practice.by_key["title"].needed
    ('text', 'publish')
    >>> practice.by_key["themes"].ref_kind
    'theme'
    """
    return read_declaration(shapes_graph())


def shapes_graph() -> Graph:
    """A fresh parse of shapes, schemes and vocabulary; a caller may change it, so none is shared.

    Oxigraph's reader: half the time of rdflib's, which every start would pay.
    """
    graph, terms = Graph(bind_namespaces="none"), cache(_term)
    for name in ("shapes.ttl", "schemes.ttl", "mentorship.ttl"):
        for triple in ox.parse(path=str(shipped(name)), format=ox.RdfFormat.TURTLE):
            graph.add((terms(triple.subject), terms(triple.predicate), terms(triple.object)))
    return graph


def _term(term: ox.NamedNode | ox.BlankNode | ox.Literal | ox.Triple) -> Node:
    """An rdflib term; the files hold no quoted triples."""
    if isinstance(term, ox.Literal):
        if term.language:
            return Literal(term.value, lang=term.language)
        return Literal(term.value, datatype=None if term.datatype.value == str(XSD.string) else term.datatype.value)
    return BNode(term.value) if isinstance(term, ox.BlankNode) else URIRef(str(term)[1:-1])


def read_declaration(graph: Graph) -> Declaration:
    """Read every kind and inner structure out of a graph of shapes."""
    classes = {cls: str(graph.value(shape, MG.kind)) for shape, cls in graph.subject_objects(SH.targetClass)}
    inner: dict[Node, Inner] = {}

    def inner_of(shape: Node) -> Inner:
        if shape not in inner:
            inner[shape] = Inner(
                **_common(graph, shape, graph.value(shape, MG.innerClass), classes, inner_of),
                id_prefix=str(graph.value(shape, MG.idPrefix)),
            )
        return inner[shape]

    kinds = [
        Kind(
            **_common(graph, shape, cls, classes, inner_of),
            name=str(graph.value(shape, MG.kind)),
            path=str(graph.value(shape, MG.kindPath)),
            visibility=str(graph.value(shape, MG.defaultVisibility, default=Literal("public"))),
            keeper=str(graph.value(shape, MG.keptBy, default=Literal("curator"))),
        )
        for shape, cls in graph.subject_objects(SH.targetClass)
    ]
    return Declaration(
        kinds={kind.name: kind for kind in sorted(kinds, key=lambda kind: kind.name)},
        concepts={str(iri): _text(graph, iri, SKOS.prefLabel) for iri in graph.subjects(RDF.type, SKOS.Concept)}
        | {
            str(iri): _text(graph, iri, RDFS.label)
            for iri in graph.subjects(SKOS.notation)
            if (iri, RDFS.label, None) in graph
        },
        groups={_local(iri): _text(graph, iri, RDFS.label) for iri in graph.subjects(RDF.type, SH.PropertyGroup)},
    )


def _common(graph: Graph, shape: Node, cls: Node | None, classes: Classes, inner_of: InnerOf) -> dict:
    """The arguments that kinds and inner structures share."""
    return {
        "shape": shape,
        "cls": cls,
        "label": _text(graph, shape, RDFS.label),
        "help": _text(graph, shape, RDFS.comment),
        "fields": tuple(sorted(_fields(graph, shape, classes, inner_of), key=lambda field: (field.order, field.key))),
    }


def _fields(graph: Graph, shape: Node, classes: Classes, inner_of: InnerOf) -> Iterator[Field]:
    """The fields of one node shape: its describing property shapes, with the rules of all shapes on their path."""
    properties = list(graph.objects(shape, SH.property))
    for described in properties:
        if graph.value(described, SH.name) is None:
            continue
        path = graph.value(described, SH.path)
        rules = [other for other in properties if graph.value(other, SH.path) == path]
        yield _field(graph, described, rules, classes, inner_of)


def _field(graph: Graph, shape: Node, rules: list[Node], classes: Classes, inner_of: InnerOf) -> Field:
    """Merge a describing property shape and the further rules on its path into one field."""

    def first(predicate: URIRef) -> Node | None:
        return next((value for rule in rules if (value := graph.value(rule, predicate)) is not None), None)

    def number(predicate: URIRef) -> int | None:
        value = first(predicate)
        return None if value is None else int(str(value))

    def words(predicate: URIRef) -> str | None:
        value = first(predicate)
        return None if value is None else str(value)

    nested, choices, refers_to = first(SH.node), first(SH["in"]), first(MG.refersTo)
    cls, datatype = first(SH["class"]), first(SH.datatype)
    group = first(SH.group)
    return Field(
        key=_local(shape).partition("Shape-")[2],
        path=_required(graph, shape, SH.path),
        type=_type(graph, shape, nested, choices, refers_to, cls, datatype),
        many=number(SH.maxCount) != 1 and datatype != RDF.langString and graph.value(shape, SH.path) != RDF.type,
        label=_text(graph, shape, SH.name),
        help=_text(graph, shape, SH.description),
        order=float(str(graph.value(shape, SH.order, default=Literal("999")))),
        group=None if group is None else _local(group),
        shape=shape,
        datatype=None if datatype is None else URIRef(str(datatype)),
        ref_kind=None if nested or cls is None else classes.get(cls),
        inner=inner_of(nested) if nested else None,
        choices=_choices(graph, choices) if choices and datatype is None else None,
        refers_to=None if refers_to is None else str(graph.value(refers_to, MG.idPrefix)),
        needed=_needed(graph, rules),
        max_length=number(SH.maxLength),
        pattern=words(SH.pattern),
        minimum=words(SH.minInclusive),
        maximum=words(SH.maxInclusive),
    )


def _type(
    graph: Graph,
    shape: Node,
    nested: Node | None,
    choices: Node | None,
    refers_to: Node | None,
    cls: Node | None,
    datatype: Node | None,
) -> str:
    """The field's type from the constraints that decide it."""
    if nested is not None:
        return "inner"
    if refers_to is not None:
        return "inner-ref"
    if datatype == RDF.langString:
        return "text" if (shape, SH.uniqueLang, Literal(True)) in graph else "texts"
    if datatype is not None:
        return TYPES[URIRef(str(datatype))]
    if choices is not None:
        return "concept"
    return "iri" if cls is None else "ref"


def _choices(graph: Graph, head: Node) -> dict[str, Node]:
    """Short name to IRI, in the order of the `sh:in` list; members without a notation are allowed but not offered."""
    members = [(graph.value(iri, SKOS.notation), iri) for iri in Collection(graph, head)]
    return {str(notation): iri for notation, iri in members if notation is not None}


def _needed(graph: Graph, rules: list[Node]) -> str | None:
    """The strictest demand for presence among the rules of a path."""
    levels: dict[Node | None, str] = {None: "save", SH.Violation: "save", SH.Warning: "publish", SH.Info: "advised"}
    found = {levels[graph.value(rule, SH.severity)] for rule in rules if _demands_presence(graph, rule)}
    return next((level for level in ("save", "publish", "advised") if level in found), None)


def _required(graph: Graph, subject: Node, predicate: URIRef) -> Node:
    """A value that the shapes file must have; its absence is a mistake in the file."""
    value = graph.value(subject, predicate)
    if value is None:
        raise ValueError(f"{subject} has no {predicate} in the shapes")
    return value


def _demands_presence(graph: Graph, rule: Node) -> bool:
    """Whether a rule asks for at least one value."""
    least = graph.value(rule, SH.minCount)
    return least is not None and int(str(least)) > 0


def _text(graph: Graph, subject: Node, predicate: URIRef) -> dict[str, str]:
    """Language-tagged values of one property."""
    values = sorted(graph.objects(subject, predicate), key=str)
    return {value.language: str(value) for value in values if isinstance(value, Literal) and value.language}


def _local(iri: Node) -> str:
    """The last part of an address."""
    return str(iri).replace("#", "/").rpartition("/")[2]


def json_ld_context(declared: Declaration) -> dict[str, object]:
    """The JSON-LD 1.1 context that gives every short key of a record its meaning.

    One key means one path wherever it is used, so the context is flat. Records and concepts are
    named by their full addresses in JSON-LD: a theme called "language" would be taken for the key
    of that name.

    >>> context = json_ld_context(declaration())["@context"]
    >>> context["title"], context["city"]
    ({'@id': 'http://purl.org/dc/terms/title', '@container': '@language'},
     {'@id': 'https://w3id.org/mentorgraph/ontology#practisedIn', '@type': '@id'})
    """
    terms: dict[str, object] = {"@version": 1.1, "id": "@id", "kind": "@type"}
    for kind in declared.kinds.values():
        terms[kind.name.capitalize()] = str(kind.cls)
    for structure in structures(declared):
        for field in structure.fields:
            terms.setdefault(field.key, _definition(field))
    return {"@context": dict(sorted(terms.items()))}


def structures(declared: Declaration) -> Iterator[Structure]:
    """Every kind and every inner structure, each once."""
    seen: set[Node] = set()
    waiting: list[Structure] = list(declared.kinds.values())
    while waiting:
        structure = waiting.pop(0)
        if structure.shape not in seen:
            seen.add(structure.shape)
            waiting.extend(field.inner for field in structure.fields if field.inner)
            yield structure


def _definition(field: Field) -> dict[str, object]:
    """One term definition of the context."""
    term: dict[str, object] = {"@id": str(field.path)}
    if field.type in ("text", "texts"):
        return term | {"@container": "@language"}
    if field.datatype is None:
        return term | {"@type": "@id"}
    return term if field.type in ("string", "integer", "boolean") else term | {"@type": str(field.datatype)}
