"""Languages, words and passages: any text is taken, and the same text always gives the same."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kg.search.embedding import OnnxEmbedder
from kg.search.text import (
    PARTS,
    WINDOW_TOKENS,
    Passage,
    estimated_tokens,
    fold,
    language_of,
    likely_languages,
    passages,
    sentences,
    stem,
    stop_words,
    terms,
    words,
)

NEEDS = {
    "en": "We look for ways to house refugee families near schools",
    "fr": "Nous cherchons à loger les familles réfugiées près des écoles",
    "es": "Buscamos alojar a las familias refugiadas cerca de las escuelas",
    "it": "Cerchiamo di alloggiare le famiglie rifugiate vicino alle scuole",
    "de": "Wir wollen geflüchtete Familien in der Nähe von Schulen unterbringen",
    "nl": "We willen vluchtelingengezinnen dicht bij scholen huisvesten",
    "el": "Θέλουμε να στεγάσουμε οικογένειες προσφύγων κοντά σε σχολεία",
    "lv": "Mēs vēlamies izmitināt bēgļu ģimenes netālu no skolām",
    "pl": "Chcemy zakwaterować rodziny uchodźców w pobliżu szkół",
}

HOSTILE = ["\x00", "\ud800", "\u202e\u2066", "e" + "\u0301" * 5000, "x" * 20_000, "مدرسة", "学校", "👩‍👩‍👧", "İ", "ﬁ"]


@pytest.mark.parametrize("language", NEEDS)
def test_the_language_of_a_need_is_certain(language: str) -> None:
    assert language_of(NEEDS[language]) == (language, True)
    assert language_of(NEEDS[language].upper()) == (language, True)


@pytest.mark.parametrize("text", ["", "  ", "2026-11-23", "?!", "\x00", "\u202e"])
def test_a_text_without_letters_has_no_language(text: str) -> None:
    assert language_of(text) == ("und", False)
    assert likely_languages(text) == ("en",)


@pytest.mark.parametrize("text", ["Integration", "Buddy", "ok", "Mechelen", "Museum"])
def test_single_words_are_uncertain(text: str) -> None:
    assert not language_of(text)[1]


def test_nothing_is_loaded_before_it_is_needed() -> None:
    code = "import sys, kg.search.text; print([m for m in ('py3langid', 'Stemmer', 'torch') if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


@given(st.text())
@settings(max_examples=200, deadline=None)
def test_folding_twice_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [("ÉCOLE", "ecole"), ("E\u0301cole", "école"), ("Straße", "STRASSE"), ("στέγης", "ΣΤΕΓΗΣ"), ("mājokļu", "majoklu")],
)
def test_ways_to_write_a_word_fold_alike(one: str, other: str) -> None:
    assert fold(one) == fold(other)


@pytest.mark.parametrize(
    ("language", "forms"),
    [
        ("en", ["community", "communities"]),
        ("fr", ["logement", "logements", "LOGEMENTS"]),
        ("es", ["vivienda", "viviendas"]),
        ("it", ["scuola", "scuole"]),
        ("de", ["Wohnung", "Wohnungen"]),
        ("nl", ["woning", "woningen"]),
        ("el", ["πρόσφυγας", "πρόσφυγες"]),
        ("lv", ["mājoklis", "mājokļi", "mājokļiem", "mājokļu", "majoklim"]),
        ("lv", ["skola", "skolas", "skolām", "skolu", "skolās"]),
        ("sl", ["šola", "šole", "šolah"]),
        ("sk", ["škola", "školy", "školách"]),
        ("hr", ["škola", "škole", "školama"]),
        ("bg", ["училище", "училища", "училището"]),
        ("pl", ["szkoła", "szkoły"]),
        ("en-GB", ["school", "schools"]),
    ],
)
def test_forms_of_a_word_have_one_stem(language: str, forms: list[str]) -> None:
    assert len({stem(form, language) for form in forms}) == 1


def test_a_language_without_stemmer_keeps_its_words() -> None:
    assert terms("Skejjel għall-familji", "mt") == ["skejjel", "ghall", "familji"]


def test_stemming_in_many_threads_agrees_with_one() -> None:
    vocabulary = [w + suffix for w in words(" ".join(NEEDS.values())) for suffix in ("s", "en", "a", "ing")]
    expected = [stem.__wrapped__(w, "de") for w in vocabulary]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda w: stem.__wrapped__(w, "de"), vocabulary)) == expected


@given(st.text(), st.sampled_from([None, "en", "el", "lv", "xx", "fr-CA", ""]))
@settings(max_examples=200, deadline=None)
def test_any_text_has_terms(text: str, language: str | None) -> None:
    assert all(term and not term.isspace() for term in terms(text, language))


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_are_taken(text: str) -> None:
    language_of(text)
    terms(text, "en")
    passages({"title": {"en": text}, "action": {"en": text}})


def test_common_words_say_nothing() -> None:
    assert terms("The schools of our city", "en") == [stem("schools", "en"), stem("city", "en")]
    assert not stop_words("xx")


# ------------------------------------------------------------------------------------------------ passages

PRACTICE = {
    "kind": "practice",
    "id": "x--buddies",
    "title": {"en": "Buddies", "fr": "Parrains"},
    "summary": {"en": "Pairs of residents."},
    "problem": {"en": "Newcomers were alone."},
    "action": {"en": "They walk together."},
    "core_elements": {"en": "Shared interests."},
    "outcomes": [
        {"id": "claim-1", "statement": {"en": "150 pairs."}},
        {"id": "claim-2", "statement": {"en": "257 friendships.", "fr": "257 amitiés."}},
        {"id": "claim-3"},
    ],
    "lessons": {"lv": "Vajag vairāk laika."},
}


def test_a_practice_is_cut_by_part_and_language() -> None:
    assert [(p.part, p.language, p.text) for p in passages(PRACTICE)] == [
        ("summary", "en", "Pairs of residents."),
        ("problem", "en", "Newcomers were alone."),
        ("action", "en", "They walk together. Shared interests."),
        ("outcomes", "en", "150 pairs. 257 friendships."),
        ("summary", "fr", "Parrains"),
        ("outcomes", "fr", "257 amitiés."),
        ("lessons", "lv", "Vajag vairāk laika."),
    ]


def test_each_passage_is_indexed_under_its_title() -> None:
    found = {(p.part, p.language): p.indexed for p in passages(PRACTICE)}
    assert found["outcomes", "fr"] == "Parrains. 257 amitiés."
    assert found["summary", "fr"] == "Parrains"
    assert found["lessons", "lv"] == "Buddies. Vajag vairāk laika."


def test_what_is_not_known_gives_no_passage() -> None:
    assert passages({"kind": "practice", "id": "x"}) == []
    assert passages({"title": {"en": "X"}}) == [Passage("summary", "en", "X", "X")]
    assert set(PARTS) == {"summary", "problem", "action", "outcomes", "lessons"}


@pytest.mark.parametrize("language", ["en", "de", "el", "lv"])
def test_long_texts_become_windows_the_model_reads_whole(language: str, embedder: OnnxEmbedder) -> None:
    text = " ".join(f"{NEEDS[language]} ({i})." for i in range(80))
    record = {"title": {language: NEEDS[language]}, "action": {language: text}}
    for counter in (None, embedder.count_tokens):
        found = [p for p in passages(record, count_tokens=counter) if p.part == "action"]
        assert len(found) > 3
        assert " ".join(p.text for p in found) == text
        assert max(embedder.count_tokens(p.indexed) for p in found) <= embedder.max_tokens


def test_a_sentence_without_end_is_cut_between_words() -> None:
    text = "schools and housing for newcomers " * 400
    found = [p.text for p in passages({"title": {"en": "X"}, "action": {"en": text}}) if p.part == "action"]
    assert " ".join(found).split() == text.split()
    assert max(estimated_tokens(t, "en") for t in found) <= WINDOW_TOKENS


def test_a_word_without_end_does_not_hang() -> None:
    found = [p.text for p in passages({"action": {"en": "x" * 100_000}})]
    assert "".join(found) == "x" * 100_000


def test_a_title_as_long_as_a_passage_leaves_room_for_the_text() -> None:
    found = passages({"title": {"en": "very long " * 200}, "action": {"en": "They walk together. " * 10}})
    assert [p.text for p in found if p.part == "action"] == [("They walk together. " * 10).strip()]


def test_sentences_end_where_readers_see_it() -> None:
    assert sentences("Τι έγινε; Πολλά. 学校。住房\n\nEnd") == ["Τι έγινε;", "Πολλά.", "学校。", "住房", "End"]
