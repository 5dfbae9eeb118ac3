"""The themes list has lost nothing: its size, its tree and its labels in eight languages."""

from __future__ import annotations

from collections import Counter

import pytest
from rdflib import RDF, SKOS, Graph, Literal, URIRef
from rdflib.term import Node

import ontology

THEMES = URIRef("https://w3id.org/mentorgraph/themes")
MG = "https://w3id.org/mentorgraph/ontology#"
THEME = "https://w3id.org/mentorgraph/id/theme/"

TOP = [
    "governance",
    "reception",
    "language",
    "education",
    "employment",
    "entrepreneurship",
    "housing",
    "health",
    "participation",
    "equality",
    "gender",
    "intercultural",
    "social",
    "neighbourhood",
    "digital",
]
WITHOUT_LATVIAN_LABEL = 3


@pytest.fixture(scope="module")
def graph() -> Graph:
    return Graph().parse(ontology.path("themes.ttl"))


@pytest.fixture(scope="module")
def themes(graph: Graph) -> list[Node]:
    return sorted(graph.subjects(RDF.type, SKOS.Concept))


def test_the_list_has_ninety_themes_below_fifteen_top_themes(graph: Graph, themes: list[Node]) -> None:
    assert len(themes) == 90
    assert set(graph.objects(THEMES, SKOS.hasTopConcept)) == {URIRef(THEME + id) for id in TOP}
    assert {theme for theme in themes if (theme, SKOS.broader, None) not in graph} == {URIRef(THEME + id) for id in TOP}


def test_every_theme_is_in_the_list_and_below_a_theme_of_it(graph: Graph, themes: list[Node]) -> None:
    assert set(graph.subjects(SKOS.inScheme, THEMES)) == set(themes)
    assert {broader for theme in themes for broader in graph.objects(theme, SKOS.broader)} <= set(themes)
    assert all(len(list(graph.objects(theme, SKOS.broader))) <= 1 for theme in themes)


def test_a_narrower_theme_is_named_after_its_top_theme(graph: Graph, themes: list[Node]) -> None:
    """An identifier such as "employment-skills" would mislead below another top theme."""
    for theme in themes:
        for broader in graph.objects(theme, SKOS.broader):
            assert str(theme).startswith(f"{broader}-")


def test_labels_are_complete_in_every_language(graph: Graph, themes: list[Node]) -> None:
    preferred = Counter(label.language for theme in themes for label in graph.objects(theme, SKOS.prefLabel))
    assert preferred == dict.fromkeys(["en", "fr", "es", "it", "de", "nl", "el"], 90) | {
        "lv": 90 - WITHOUT_LATVIAN_LABEL
    }
    assert Counter(label.language for label in graph.objects(None, SKOS.altLabel)) == {"en": 188, "fr": 158}
    assert all(str(label).strip() == str(label) != "" for label in graph.objects(None, SKOS.altLabel))
    assert Counter(note.language for note in graph.objects(None, SKOS.scopeNote)) == {"en": 90}


def test_a_preferred_label_names_one_theme_only(graph: Graph, themes: list[Node]) -> None:
    named = Counter(
        (label.language, str(label).casefold()) for theme in themes for label in graph.objects(theme, SKOS.prefLabel)
    )
    assert [label for label, count in named.items() if count > 1] == []


def test_names_in_other_frames_are_kept(graph: Graph) -> None:
    matches = [str(match) for match in graph.objects(None, URIRef(MG + "namedMatch"))]
    frames = {
        "MIPEX: ": 14, "OECD checklist objective": 12, "EU Action Plan 2021-27: ": 10, "Zaragoza: ": 4,
        "CITIES-GROW theme ": 3, "ICC: ": 1, "ImpleMentoring theme: ": 1,
    }  # fmt: skip
    assert {frame: sum(match.startswith(frame) for match in matches) for frame in frames} == frames
    assert len(matches) == sum(frames.values())
    governance = set(graph.objects(URIRef(THEME + "governance"), URIRef(MG + "namedMatch")))
    assert governance == {Literal("OECD checklist objectives 1-3, 7, 8")}


def test_the_four_project_themes_are_marked(graph: Graph) -> None:
    seeds = Counter(str(seed) for seed in graph.objects(None, URIRef(MG + "seedTheme")))
    assert seeds == {"seed-1": 1, "seed-2": 4, "seed-3": 10, "seed-4": 3}
    assert set(graph.subjects(URIRef(MG + "seedTheme"), Literal("seed-4"))) == {
        URIRef(THEME + id) for id in ("language", "language-formal", "language-informal")
    }
