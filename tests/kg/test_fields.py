"""The shapes are the one declaration; everything else is read from them."""

import json

import pytest
from pyld import jsonld
from rdflib import Graph
from rdflib.compare import isomorphic

from kg.city_facts import LEVELS
from kg.errors import NotFound
from kg.fields import declaration, in_language, json_ld_context, shapes_graph, structures
from kg.records import to_graph, to_json_ld
from kg.vocabulary import CONCEPTS, DEFAULT_BASE, MG
from ontology import path

DECLARED = declaration()


def test_every_kind_has_a_name_a_path_labels_and_fields():
    for kind in DECLARED.kinds.values():
        assert kind.path.isalpha()
        assert {"en", "fr"} <= kind.label.keys()
        assert kind.fields
        assert DECLARED.kind(kind.path) is kind is DECLARED.kind_of_class(str(kind.cls))


def test_an_unknown_kind_is_answered_with_the_kinds_there_are():
    with pytest.raises(NotFound, match="practice"):
        DECLARED.kind("recipe")


def test_publication_of_a_practice_needs_title_action_city_theme_language_and_source():
    needed = {field.key for field in DECLARED.kinds["practice"].fields if field.needed == "publish"}
    assert needed == {"title", "action", "city", "themes", "language", "sources"}


def test_needs_visits_reflections_plans_and_learnings_are_for_the_team():
    for name in ("need", "visit", "reflection", "plan", "learning"):
        assert DECLARED.kinds[name].visibility == "team"


def test_one_key_means_one_path_everywhere():
    paths = {}
    for structure in structures(DECLARED):
        for field in structure.fields:
            assert paths.setdefault(field.key, field.path) == field.path


def test_every_field_has_words_in_both_languages_and_a_known_type():
    for structure in structures(DECLARED):
        for field in structure.fields:
            assert {"en", "fr"} <= field.label.keys(), field.key
            assert {"en", "fr"} <= field.help.keys(), field.key
            assert field.type != "ref" or field.ref_kind in DECLARED.kinds
            assert field.type != "concept" or field.choices


def test_every_choice_has_words_in_both_languages():
    for structure in structures(DECLARED):
        for field in structure.fields:
            for iri in (field.choices or {}).values():
                assert {"en", "fr"} <= DECLARED.concepts[str(iri)].keys(), iri


def test_levels_of_experience_are_those_of_the_ontology():
    graph = shapes_graph()
    said = {
        str(iri).removeprefix(f"{CONCEPTS}level/"): float(value) for iri, value in graph.subject_objects(MG.levelValue)
    }
    assert said == LEVELS


def test_a_label_never_comes_in_a_random_language():
    assert in_language({"lv": "b", "el": "a"}, "fr") == in_language({"el": "a", "lv": "b"}, "fr") == "a"
    assert in_language({}, "fr") == ""


def test_the_shipped_context_is_the_generated_one():
    assert json.loads(path("context.jsonld").read_text("utf-8")) == json_ld_context(DECLARED)


PRACTICE = {
    "kind": "practice",
    "id": "gent--x",
    "title": {"en": "Buddies", "fr": "Duos"},
    "city": "gent",
    "tie": "own",
    "themes": ["language", "city"],
    "language": "en",
    "target_groups": ["newcomers"],
    "outcomes": [
        {
            "id": "claim-1",
            "statement": {"en": "150 duos"},
            "value": "150",
            "stated_in": ["source-1"],
            "rivals": ["claim-2"],
        },
        {"id": "claim-2", "statement": {"en": "257 duos"}, "value": "257", "source_not_separated": True},
    ],
    "periods": [{"id": "period-1", "start": "2016", "status": "running"}],
    "sources": [{"id": "source-1", "url": "https://example.org/a", "accessed": "2026-02-28"}],
    "see_also": ["https://example.org/b"],
    "record": {"confidence": "sourced", "licence": "https://creativecommons.org/licenses/by/4.0/"},
}


def test_another_implementation_reads_our_json_ld_as_the_same_graph():
    """PyLD is the reference implementation of JSON-LD. The themes have the names of keys on purpose."""
    linked = to_json_ld(PRACTICE, DEFAULT_BASE, json_ld_context(DECLARED)["@context"])
    nquads = jsonld.to_rdf(linked, {"format": "application/n-quads"})
    assert isomorphic(Graph().parse(data=nquads, format="nt"), to_graph(PRACTICE, DEFAULT_BASE))
