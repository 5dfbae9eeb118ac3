"""Bridge vocabularies: any SKOS thesaurus, kept whole or not at all, and matched to our themes."""

from __future__ import annotations

import gzip
from pathlib import Path
from types import SimpleNamespace

import pytest
import rdflib

from kg.errors import BadRequest, NotFound, TooLarge, UnreadableInput
from kg.search import thesaurus, vocabularies
from kg.search.thesaurus import Thesaurus
from kg.search.view import NeedText, SearchView
from kg.search.vocabularies import Vocabularies, links

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data" / "thesauri"
SMALL = """@prefix skos: <http://www.w3.org/2004/02/skos/core#> .
<urn:home> a skos:Concept ; skos:prefLabel "dwelling"@en, "lakás"@hu, "kodu"@et ; skos:altLabel "flat"@en ;
    skos:exactMatch <https://w3id.org/mentorgraph/id/theme/housing> .
<urn:rent> skos:prefLabel "rent"@en, "lakbér"@hu ; skos:broader <urn:home> .
<urn:school> skos:prefLabel "Schooling"@en, "iskola"@hu ; skos:closeMatch <urn:elsewhere> .
"""
THEMES = [
    {"id": "housing", "label": {"en": "Housing", "fr": "Logement"}},
    {"id": "education", "label": {"en": "Education"}, "alt": {"en": ["schooling"]}},
]


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "Small one.ttl"
    path.write_text(SMALL, "utf-8")
    return path


@pytest.fixture
def kept(tmp_path: Path) -> Vocabularies:
    return Vocabularies(tmp_path / "vocabularies")


def addresses(theme: str) -> list[str]:
    return [f"https://w3id.org/mentorgraph/id/theme/{theme}"]


def test_a_vocabulary_comes_back_as_it_was_read(small: Path, kept: Vocabularies) -> None:
    facts = kept.add(small)
    assert (facts.name, facts.concepts, facts.languages) == ("small-one", 3, ["en", "et", "hu"])
    assert kept.listed() == [facts]
    (again,) = kept.read()
    fresh = Thesaurus.from_skos(small)
    assert again.themes == fresh.themes
    assert sorted(again.every_label()) == sorted(fresh.every_label())
    assert again.mappings("urn:home") == (("https://w3id.org/mentorgraph/id/theme/housing", True),)
    assert again.ancestors("urn:rent") == ("urn:home",)


@pytest.mark.parametrize(("form", "ending"), [("xml", ".rdf"), ("nt", ".nt"), ("pretty-xml", ".rdf")])
@pytest.mark.parametrize("packed", [False, True])
def test_every_form_says_the_same(tmp_path: Path, small: Path, form: str, ending: str, packed: bool) -> None:
    data = rdflib.Graph().parse(small).serialize(format=form, encoding="utf-8")
    path = tmp_path / f"other{ending}{'.gz' if packed else ''}"
    path.write_bytes(gzip.compress(data) if packed else data)
    assert sorted(Thesaurus.from_skos(path).every_label()) == sorted(Thesaurus.from_skos(small).every_label())


@pytest.mark.skipif(not SHARED.exists(), reason="the thesauri of shared/ are not here")
def test_real_thesauri_are_read_and_one_also_as_rdf_xml(tmp_path: Path, kept: Vocabularies) -> None:
    gemet, unesco = kept.add(SHARED / "gemet-labels.nt.gz"), kept.add(SHARED / "unesco.ttl.gz", "unesco")
    assert {"bg", "et", "lv", "mt"} <= set(gemet.languages)
    assert (unesco.languages, len(kept.listed())) == (["en", "es", "fr", "ru"], 2)
    with gzip.open(SHARED / "unesco.ttl.gz", "rt", encoding="utf-8") as file:
        part = rdflib.Graph().parse(data=file.read(), format="turtle")
    few = rdflib.Graph()
    for concept in sorted(set(part.subjects(rdflib.SKOS.prefLabel)))[:300]:
        for predicate, value in part.predicate_objects(concept):
            few.add((concept, predicate, value))
    few.serialize(tmp_path / "unesco.rdf", format="xml")
    few.serialize(tmp_path / "few.nt", format="nt", encoding="utf-8")
    told, expected = Thesaurus.from_skos(tmp_path / "unesco.rdf"), Thesaurus.from_skos(tmp_path / "few.nt")
    assert len(told.themes) >= 290
    assert sorted(told.every_label()) == sorted(expected.every_label())


def test_entities_that_abbreviate_addresses_pass(tmp_path: Path) -> None:
    path = tmp_path / "with entities.rdf"
    path.write_text(
        '<?xml version="1.0"?><!DOCTYPE rdf:RDF [<!ENTITY skos "http://www.w3.org/2004/02/skos/core#">]>'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:skos="&skos;">'
        '<skos:Concept rdf:about="urn:a"><skos:prefLabel xml:lang="mt">dar</skos:prefLabel></skos:Concept></rdf:RDF>'
    )
    assert Thesaurus.from_skos(path).languages == ("mt",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('<!DOCTYPE x [<!ENTITY a "aaaaaaaa"><!ENTITY b "&a;&a;">]><x>&b;</x>', "declares the entity 'b'"),
        ('<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>', "declares the entity 'a'"),
        (f'<!DOCTYPE x [<!ENTITY a "{"a" * 600}">]><x>&a;</x>', "declares the entity 'a'"),
        ("<a>" * 200_000, "more than 100 elements inside each other"),
        ("<a>", "is not XML"),
        ("", "is not XML"),
    ],
)
def test_xml_that_does_harm_is_refused_before_it_does(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.rdf"
    path.write_text(text)
    with pytest.raises(UnreadableInput, match=message):
        Thesaurus.from_skos(path)


def test_labels_are_made_fit_to_be_shown(tmp_path: Path) -> None:
    path = tmp_path / "odd.ttl"
    label = "<http://www.w3.org/2004/02/skos/core#prefLabel>"
    path.write_text(f'<urn:a> {label} "a\\u0000b\\nc\\u202Ed"@en . <urn:b> {label} "{"x" * 501}"@en, " "@fr, "plain" .')
    assert list(Thesaurus.from_skos(path).every_label()) == [("urn:a", "en", "a b c d", True)]


def test_more_labels_than_memory_holds_are_refused(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thesaurus, "MOST_LABELS", 3)
    with pytest.raises(TooLarge, match="more than 3 labels"):
        Thesaurus.from_skos(small)


def test_a_file_that_cannot_be_read_leaves_the_one_before(small: Path, kept: Vocabularies, tmp_path: Path) -> None:
    facts = kept.add(small, "mine")
    broken = tmp_path / "mine.ttl"
    broken.write_text("<urn:a> <urn:b>")
    with pytest.raises(UnreadableInput):
        kept.add(broken)
    assert kept.listed() == [facts]


def test_a_write_that_is_broken_off_leaves_the_one_before(
    small: Path, kept: Vocabularies, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = kept.add(small)

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(vocabularies.os, "fsync", fail)
    with pytest.raises(KeyboardInterrupt):
        kept.add(small)
    assert kept.listed() == [facts]
    assert [p.name for p in (tmp_path / "vocabularies").iterdir()] == ["small-one.jsonl.gz"]


@pytest.mark.parametrize(
    "damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: gzip.compress(b'{"name": 1}\n')]
)
def test_a_damaged_vocabulary_is_left_out_and_stops_nobody(
    small: Path, kept: Vocabularies, tmp_path: Path, damage
) -> None:
    kept.add(small, "first")
    kept.add(small, "second")
    path = tmp_path / "vocabularies" / "first.jsonl.gz"
    path.write_bytes(damage(path.read_bytes()))
    assert [one.name for one in kept.read()] == ["second"]


def test_removing_one_that_is_not_there_names_the_others(small: Path, kept: Vocabularies) -> None:
    kept.add(small)
    for name in ("gemet", "../small-one", ""):
        with pytest.raises(NotFound, match="there are: small-one"):
            kept.remove(name)
    kept.remove("small-one")
    assert kept.listed() == []


def test_names_and_number_are_limited(small: Path, kept: Vocabularies, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadRequest, match="small letters"):
        kept.add(small, "../evil")
    monkeypatch.setattr(vocabularies, "MOST_VOCABULARIES", 1)
    kept.add(small)
    kept.add(small)
    with pytest.raises(TooLarge, match="remove one first"):
        kept.add(small, "another")


def test_a_concept_leads_to_a_theme_by_mapping_label_or_meaning(
    small: Path, kept: Vocabularies, words_embedder
) -> None:
    ours, foreign = Thesaurus(THEMES), Thesaurus.from_skos(small)
    found = links(ours, foreign, addresses=addresses)
    assert {c: (one.theme, one.basis) for c, one in found.items()} == {
        "urn:home": ("housing", "mapping"),
        "urn:school": ("education", "label"),
    }
    assert found["urn:school"].strength < found["urn:home"].strength == 1.0
    named = Thesaurus([{"id": "urn:x", "label": {"en": "education programme"}}], "x")
    meanings = kept.vectors(named, words_embedder)
    assert links(ours, named, meanings=meanings, embedder=words_embedder)["urn:x"].basis == "meaning"
    assert links(ours, named) == {}


def test_meaning_leads_to_no_theme_by_a_narrower_name_of_it(kept: Vocabularies, embedder) -> None:
    ours = Thesaurus(
        [
            {"id": "buddies", "label": {"en": "Buddy and mentoring schemes"}, "alt": {"en": ["refugee guide"]}},
            {"id": "for-all", "label": {"en": "Vision of a city for all"}, "alt": {"en": ["city for all"]}},
            {"id": "roma", "label": {"en": "Roma inclusion"}},
            {"id": "market", "label": {"en": "Access to the labour market"}, "alt": {"en": ["job matching"]}},
        ]
    )
    named = {"refugee": None, "city": None, "Roma": "roma", "labour market": "market"}
    foreign = Thesaurus([{"id": f"urn:{word}", "label": {"en": word}} for word in named], "x")
    found = links(ours, foreign, meanings=kept.vectors(foreign, embedder), embedder=embedder)
    assert {concept: link.theme for concept, link in found.items()} == {
        f"urn:{word}": theme for word, theme in named.items() if theme
    }


def test_vectors_are_kept_for_the_next_time_and_belong_to_one_model(small: Path, kept, words_embedder) -> None:
    kept.add(small)
    (read,) = kept.read()
    first = kept.vectors(read, words_embedder)
    asked = len(words_embedder.calls)
    again = kept.vectors(read, words_embedder)
    assert len(words_embedder.calls) == asked
    assert abs(first.vectors - again.vectors).max() < 1e-3
    words_embedder.identity = "words-2"
    kept.vectors(read, words_embedder)
    assert len(words_embedder.calls) == asked + 1


def view_with(folder: Path, embedder, some, link=None) -> SearchView:
    view = SearchView(folder, embedder, read=lambda revision: revision.payload, vocabularies=some, link=link)
    themes = [
        SimpleNamespace(
            number=n,
            kind="theme",
            id=one["id"],
            state="published",
            visibility="public",
            payload={"kind": "theme", **one},
        )
        for n, one in enumerate(THEMES, 1)
    ]
    view.apply(themes, len(themes))
    return view


def test_a_need_finds_our_themes_through_a_foreign_label(small: Path, kept, words_embedder, tmp_path: Path) -> None:
    kept.add(small)
    need = NeedText("Nincs elég lakás a családoknak", "hu")

    def link(ours, foreign):
        return links(ours, foreign, addresses=addresses)

    without = view_with(tmp_path / "a", words_embedder, [])
    assert without.understand(need).themes == ()
    assert without.understand(need).help.vocabularies == ()
    without.close()
    view = view_with(tmp_path / "b", words_embedder, kept.read(), link)
    (found,) = view.understand(need).themes
    assert (found.theme, found.vocabulary, found.words) == ("housing", "small-one", ("lakas",))
    assert 0 < found.strength < 1
    helped = view.understand(need).help
    assert (helped.labels, helped.vocabularies, helped.model) == ((("dwelling", "small-one"),), ("small-one",), False)
    assert view.understand(need).embedded.endswith("dwelling")
    view.close()


def test_a_need_in_english_is_read_by_our_own_labels_alone(small: Path, kept, words_embedder, tmp_path: Path) -> None:
    kept.add(small)
    view = view_with(tmp_path / "v", words_embedder, kept.read(), lambda a, b: links(a, b, addresses=addresses))
    assert view.understand(NeedText("a dwelling", "en-GB")).themes == ()
    assert view.understand(NeedText("a dwelling", "en-GB")).embedded == "a dwelling"
    view.close()
