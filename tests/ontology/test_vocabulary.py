"""What vocabulary, shapes and schemes promise to everything that reads fields from them."""

from __future__ import annotations

import re
from collections import Counter, defaultdict

import pytest
from rdflib import OWL, RDF, RDFS, SH, SKOS, XSD, BNode, Graph, Literal, URIRef
from rdflib.collection import Collection
from rdflib.term import Node

import ontology

MG = "https://w3id.org/mentorgraph/ontology#"
CONCEPT = "https://w3id.org/mentorgraph/concept/"
FILES = ["mentorship.ttl", "shapes.ttl", "schemes.ttl", "themes.ttl", "alignments.ttl"]
KINDS = [
    "practice",
    "city",
    "organisation",
    "theme",
    "programme",
    "transfer",
    "need",
    "experience",
    "availability",
    "mentorship",
    "visit",
    "reflection",
    "plan",
    "learning",
]
TERMS = (OWL.Class, OWL.ObjectProperty, OWL.DatatypeProperty, OWL.AnnotationProperty)


@pytest.fixture(scope="module")
def graphs() -> dict[str, Graph]:
    return {name: Graph().parse(ontology.path(name)) for name in FILES}


@pytest.fixture(scope="module")
def shapes(graphs: dict[str, Graph]) -> Graph:
    return graphs["shapes.ttl"]


@pytest.fixture(scope="module")
def vocabulary(graphs: dict[str, Graph]) -> Graph:
    return graphs["mentorship.ttl"]


@pytest.fixture(scope="module")
def terms(vocabulary: Graph) -> set[Node]:
    return {term for kind in TERMS for term in vocabulary.subjects(RDF.type, kind)}


@pytest.fixture(scope="module")
def fields(shapes: Graph) -> list[Node]:
    """The property shapes that describe a field: those with a name."""
    return sorted(set(shapes.subjects(SH.name)))


def key(shape: Node) -> str:
    return str(shape).partition("Shape-")[2]


def languages(graph: Graph, subject: Node, predicate: URIRef) -> list[str | None]:
    return sorted(value.language for value in graph.objects(subject, predicate))


def owners(shapes: Graph) -> list[Node]:
    """The node shapes: of kinds and of what lives inside a record."""
    return sorted(set(shapes.subjects(RDF.type, SH.NodeShape)))


# Vocabulary


def test_every_term_used_in_shapes_schemes_and_alignments_is_defined(
    graphs: dict[str, Graph], terms: set[Node]
) -> None:
    declared_in_shapes = set(graphs["shapes.ttl"].subjects())
    used = {
        node
        for name in ("shapes.ttl", "schemes.ttl", "themes.ttl", "alignments.ttl")
        for triple in graphs[name]
        for node in triple
        if str(node).startswith(MG)
    }
    assert used - declared_in_shapes - terms == set()


def test_every_term_of_ours_is_defined_in_english_and_french_with_an_example(
    vocabulary: Graph, terms: set[Node]
) -> None:
    assert terms
    for term in terms:
        assert str(term).startswith(MG)
        for predicate in (RDFS.label, SKOS.definition):
            assert languages(vocabulary, term, predicate) == ["en", "fr"], (term, predicate)
        for definition in vocabulary.objects(term, SKOS.definition):
            assert re.fullmatch(r"\S[^.]*\.", definition), f"{term}: one sentence, not {str(definition)!r}"
        assert "en" in languages(vocabulary, term, SKOS.example), term


def test_no_two_terms_of_one_sort_share_a_label(vocabulary: Graph, terms: set[Node]) -> None:
    classes = set(vocabulary.subjects(RDF.type, OWL.Class))
    for sort in (classes, terms - classes):
        labelled = Counter(label for term in sort for label in vocabulary.objects(term, RDFS.label))
        assert [label for label, count in labelled.items() if count > 1] == []


def test_domain_and_range_say_what_the_shapes_say(shapes: Graph, vocabulary: Graph, fields: list[Node]) -> None:
    """A term with one domain is used on that class only, and a literal's range is the datatype of its field."""
    for field in fields:
        path = shapes.value(field, SH.path)
        owner = shapes.value(predicate=SH.property, object=field)
        cls = shapes.value(owner, SH.targetClass) or shapes.value(owner, URIRef(MG + "innerClass"))
        if not str(path).startswith(MG):
            continue
        domain, range_ = vocabulary.value(path, RDFS.domain), vocabulary.value(path, RDFS.range)
        included = set(vocabulary.objects(path, URIRef("https://schema.org/domainIncludes")))
        assert domain == cls or cls in included, (path, cls)
        datatype, target = shapes.value(field, SH.datatype), shapes.value(field, SH["class"])
        if datatype or target:
            assert range_ == (datatype or target), path


# Shapes


def test_each_kind_has_one_shape_with_its_names(shapes: Graph) -> None:
    kinds = {str(kind): shape for shape, kind in shapes.subject_objects(URIRef(MG + "kind"))}
    assert sorted(kinds) == sorted(KINDS)
    for kind, shape in kinds.items():
        assert len(list(shapes.objects(shape, SH.targetClass))) == 1
        assert str(shapes.value(shape, URIRef(MG + "kindPath"))) not in ("", kind)
        assert str(shapes.value(shape, URIRef(MG + "defaultVisibility"))) in ("public", "programme", "team")
        assert languages(shapes, shape, RDFS.label) == languages(shapes, shape, RDFS.comment) == ["en", "fr"]


def test_what_may_be_personal_is_not_public_unless_somebody_says_so(shapes: Graph) -> None:
    visibility = {
        str(shapes.value(shape, URIRef(MG + "kind"))): str(seen)
        for shape, seen in shapes.subject_objects(URIRef(MG + "defaultVisibility"))
    }
    assert {kind for kind, seen in visibility.items() if seen != "public"} == {
        "need", "experience", "visit", "reflection", "plan", "learning"
    }  # fmt: skip


def test_inner_shapes_are_reached_through_fields_and_mint_distinct_ids(shapes: Graph) -> None:
    inner = set(shapes.subjects(URIRef(MG + "innerClass")))
    assert inner == set(shapes.objects(None, SH.node))
    prefixes = [str(shapes.value(shape, URIRef(MG + "idPrefix"))) for shape in inner]
    assert len(set(prefixes)) == len(inner)
    assert all(re.fullmatch("[a-z]+", prefix) for prefix in prefixes)
    for shape in inner:
        assert (shape, SH.targetClass, None) not in shapes
        assert languages(shapes, shape, RDFS.label) == ["en", "fr"]


def test_every_property_shape_belongs_to_one_node_shape_and_is_named_after_it(shapes: Graph) -> None:
    for shape in shapes.subjects(RDF.type, SH.PropertyShape):
        owner = shapes.value(predicate=SH.property, object=shape, any=False)
        assert str(shape).startswith(f"{owner}-"), shape


def test_a_field_says_its_name_and_help_in_english_and_french(shapes: Graph, fields: list[Node]) -> None:
    for field in fields:
        for predicate in (SH.name, SH.description):
            assert languages(shapes, field, predicate) == ["en", "fr"], (field, predicate)
        assert all(re.fullmatch(r".*\.", help) for help in shapes.objects(field, SH.description)), field


def test_every_rule_says_what_to_do_in_english_and_french(shapes: Graph) -> None:
    for shape in shapes.subjects(RDF.type, SH.PropertyShape):
        assert languages(shapes, shape, SH.message) == ["en", "fr"], shape
        for message in shapes.objects(shape, SH.message):
            assert re.match(r"[A-ZÀÉ].*\.$", message), f"{shape}: a full sentence, not {str(message)!r}"


def test_french_sets_a_no_break_space_before_tall_punctuation(graphs: dict[str, Graph]) -> None:
    french = [o for graph in graphs.values() for o in graph.objects() if isinstance(o, Literal) and o.language == "fr"]
    assert len(french) > 1000
    assert [str(text) for text in french if re.search(r"[\w)] ?[;?!»]|[\w)] ?:(?= )|« ", text)] == []


def test_keys_are_plain_and_unique_within_a_shape(shapes: Graph) -> None:
    for owner in owners(shapes):
        keys = [key(shape) for shape in shapes.objects(owner, SH.property) if (shape, SH.name, None) in shapes]
        assert len(keys) == len(set(keys)), owner
        assert all(re.fullmatch("[a-z][a-z_]*", one) and one not in ("id", "kind", "iri") for one in keys), owner


def test_one_key_is_one_path_and_one_path_one_key(shapes: Graph, fields: list[Node]) -> None:
    """The JSON-LD context is flat: a key cannot mean two things."""
    paths, keys = defaultdict(set), defaultdict(set)
    for field in fields:
        paths[key(field)].add(shapes.value(field, SH.path))
        keys[shapes.value(field, SH.path)].add(key(field))
    assert {one: found for one, found in paths.items() if len(found) > 1} == {}
    assert {one: found for one, found in keys.items() if len(found) > 1} == {}


def test_further_rules_stand_on_the_path_of_the_field_they_are_named_after(shapes: Graph, fields: list[Node]) -> None:
    severities = {"needed": SH.Warning, "advised": SH.Info, "required": None}
    further = set(shapes.subjects(RDF.type, SH.PropertyShape)) - set(fields)
    assert further
    for rule in further:
        field, _, level = str(rule).rpartition("-")
        assert URIRef(field) in fields, rule
        assert shapes.value(rule, SH.path) == shapes.value(URIRef(field), SH.path)
        assert shapes.value(rule, SH.severity) == severities[level], rule
        assert int(shapes.value(rule, SH.minCount)) >= 1, rule


def test_publication_asks_a_practice_for_six_things(shapes: Graph) -> None:
    owner = URIRef(MG + "PracticeShape")
    warned = {rule for rule in shapes.objects(owner, SH.property) if (rule, SH.severity, SH.Warning) in shapes}
    assert {key(rule).removesuffix("-needed") for rule in warned} == {
        "title", "action", "city", "themes", "language", "sources"
    }  # fmt: skip


def test_a_field_has_exactly_one_type(shapes: Graph, fields: list[Node]) -> None:
    refers_to = URIRef(MG + "refersTo")
    for field in fields:
        said = {
            p
            for p in (SH.datatype, SH.node, SH["class"], SH["in"], SH.nodeKind, refers_to)
            if (field, p, None) in shapes
        }
        assert said in (
            {SH.datatype},  # text, string, date ...
            {SH.datatype, SH["in"]},  # one of some strings
            {SH["in"]},  # concept
            {SH.nodeKind},  # any address
            {SH.nodeKind, SH["class"]},  # another record
            {SH.nodeKind, SH["class"], SH.node},  # inner nodes
            {SH.nodeKind, refers_to},  # an inner node of the same record
        ), (field, said)


def test_a_reference_is_to_a_class_that_a_kind_has(shapes: Graph, fields: list[Node]) -> None:
    classes = set(shapes.objects(None, SH.targetClass))
    for field in fields:
        nested, cls = shapes.value(field, SH.node), shapes.value(field, SH["class"])
        if nested:
            assert cls == shapes.value(nested, URIRef(MG + "innerClass")), field
        elif cls:
            assert cls in classes, field


def test_free_text_has_a_limit_and_typed_text_a_pattern(shapes: Graph, fields: list[Node]) -> None:
    """pySHACL lets wrong lexical forms of years, addresses and whole numbers pass; a pattern stops them."""
    for field in fields:
        datatype, pattern = shapes.value(field, SH.datatype), shapes.value(field, SH.pattern)
        if datatype in (RDF.langString, XSD.string) and (field, SH["in"], None) not in shapes:
            assert int(shapes.value(field, SH.maxLength)) <= 20000, field
        if datatype is not None and (field, SH["in"], None) not in shapes:
            assert pattern is not None, field
            assert not re.search(pattern, "\x00"), f"{field} lets a NUL pass"


def test_shapes_stay_simple(shapes: Graph) -> None:
    """Fields are read from plain paths; alternatives, negation, recursion and SPARQL would hide them."""
    allowed = {
        SH.targetClass, SH.property, SH.path, SH.name, SH.description, SH.order, SH.group, SH.datatype, SH["in"],
        SH["class"], SH.nodeKind, SH.node, SH.maxCount, SH.minCount, SH.uniqueLang, SH.maxLength, SH.pattern,
        SH.minInclusive, SH.maxInclusive, SH.hasValue, SH.severity, SH.message,
    }  # fmt: skip
    assert {predicate for predicate in shapes.predicates() if str(predicate).startswith(str(SH))} <= allowed
    assert all(isinstance(path, URIRef) for path in shapes.objects(None, SH.path))
    for inner in set(shapes.objects(None, SH.node)):
        for field in shapes.objects(inner, SH.property):
            assert (field, SH.node, None) not in shapes, f"{field}: inner nodes hold no further inner nodes"


def test_groups_are_declared_in_both_languages(shapes: Graph) -> None:
    used = set(shapes.objects(None, SH.group))
    assert used == set(shapes.subjects(RDF.type, SH.PropertyGroup))
    for group in used:
        assert languages(shapes, group, RDFS.label) == ["en", "fr"]
        assert shapes.value(group, SH.order) is not None


def test_no_file_has_blank_nodes_but_those_of_lists(graphs: dict[str, Graph]) -> None:
    for name, graph in graphs.items():
        heads = {node for node in graph.subjects() if isinstance(node, BNode)}
        assert all((node, RDF.first, None) in graph for node in heads), name


# Schemes


def test_a_choice_is_a_whole_scheme_in_its_order(graphs: dict[str, Graph], shapes: Graph, fields: list[Node]) -> None:
    schemes, used = graphs["schemes.ttl"], set()
    for field in fields:
        head = shapes.value(field, SH["in"])
        members = list(Collection(shapes, head)) if head else []
        if not members or not str(members[0]).startswith(CONCEPT):
            continue
        scheme = schemes.value(members[0], SKOS.inScheme)
        used.add(scheme)
        assert set(members) == set(schemes.subjects(SKOS.inScheme, scheme)), field
    of_the_ledger = {URIRef(CONCEPT + "record-state"), URIRef(CONCEPT + "record-role")}
    assert used | of_the_ledger == set(schemes.subjects(RDF.type, SKOS.ConceptScheme))


def test_a_concept_has_words_in_both_languages_and_an_address_made_of_its_notation(graphs: dict[str, Graph]) -> None:
    schemes = graphs["schemes.ttl"]
    for concept in schemes.subjects(RDF.type, SKOS.Concept):
        scheme, notation = schemes.value(concept, SKOS.inScheme), schemes.value(concept, SKOS.notation)
        assert str(concept) == f"{scheme}/{notation}"
        assert (
            languages(schemes, concept, SKOS.prefLabel) == languages(schemes, concept, SKOS.definition) == ["en", "fr"]
        )
        assert (scheme, SKOS.hasTopConcept, concept) in schemes


def test_levels_of_experience_rise_from_nought_to_one(graphs: dict[str, Graph]) -> None:
    schemes = graphs["schemes.ttl"]
    values = {
        str(level).rpartition("/")[2]: float(value)
        for level, value in schemes.subject_objects(URIRef(MG + "levelValue"))
    }
    assert values == {"none": 0, "starting": 0.25, "some": 0.5, "solid": 0.75, "leading": 1}


def test_types_of_organisation_are_classes_below_organisation(shapes: Graph, vocabulary: Graph) -> None:
    ORG = "http://www.w3.org/ns/org#"
    head = shapes.value(URIRef(MG + "OrganisationShape-type"), SH["in"])
    types = set(Collection(shapes, head)) - {URIRef(ORG + "Organization")}
    assert types == set(vocabulary.subjects(SKOS.notation))
    for cls in types:
        assert str(vocabulary.value(cls, RDFS.subClassOf)).startswith(ORG)
        words = re.sub(r"(?<!^)([A-Z])", r"-\1", str(cls).removeprefix(MG)).lower()
        assert str(vocabulary.value(cls, SKOS.notation)) == words


# The package


def test_a_file_that_is_not_shipped_is_named() -> None:
    with pytest.raises(FileNotFoundError, match=r"no-such-file\.ttl"):
        ontology.path("no-such-file.ttl")
