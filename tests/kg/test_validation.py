"""Every broken rule at once, with the field, the value and what would be right, in the reader's language."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from kg.fields import declaration
from kg.records import references, to_graph
from kg.validation import Referenced, Validation, refusing

BASE = "https://example.org/"
FULL = {
    "kind": "practice",
    "id": "gent--duos",
    "title": {"en": "Duos"},
    "action": {"en": "The city pairs people."},
    "city": "gent",
    "themes": ["gender"],
    "language": "en",
    "sources": [{"url": "https://example.org/a"}],
}


@pytest.fixture(scope="module")
def validation():
    return Validation()


def problems(validation, record, state="published", language="en"):
    graph = to_graph(record, BASE)
    known = {key: Referenced(state) for key in references(graph, BASE)}
    kind = declaration().kind(record["kind"])
    return validation.problems(graph, kind, record["id"], BASE, known, language=language)


def test_a_full_practice_has_nothing_but_advice(validation):
    assert refusing(problems(validation, FULL), publish=True) == []


def test_a_bare_draft_may_be_saved_and_is_told_what_publication_needs(validation):
    found = problems(validation, {"kind": "practice", "id": "x"})
    assert refusing(found, publish=False) == []
    assert [p.field for p in refusing(found, publish=True)] == [
        "title",
        "city",
        "themes",
        "language",
        "action",
        "sources",
    ]


def test_every_problem_comes_at_once_with_its_place_in_inner_nodes_too(validation):
    record = {
        **FULL,
        "periods": [{"start": "20x6"}],
        "outcomes": [{"statement": {"en": "many"}, "value": "many", "source_not_separated": True}],
        "sources": [{"url": "no address"}],
    }
    found = refusing(problems(validation, record), publish=True)
    assert {(p.field, p.value) for p in found} == {
        ("periods.period-1.start", "20x6"),
        ("outcomes.claim-1.value", "many"),
        ("sources.source-1.url", "no address"),
    }
    assert all(p.severity == "violation" and p.value in p.message for p in found)


def test_messages_come_in_the_language_asked_for_and_else_in_english(validation):
    def about_title(language):
        found = problems(validation, {"kind": "practice", "id": "x"}, language=language)
        return next(p.message for p in found if p.field == "title")

    assert "titre" in about_title("fr").lower()
    assert about_title("lv") == about_title("en") != about_title("fr")


def test_a_reference_to_nothing_refuses_any_save_and_offers_the_nearest(validation):
    graph = to_graph({**FULL, "city": "gend"}, BASE)
    known = {("city", "gend"): Referenced(None, ("gent",)), ("theme", "gender"): Referenced("published")}
    found = validation.problems(graph, declaration().kind("practice"), FULL["id"], BASE, known)
    assert [p.field for p in refusing(found, publish=False)] == ["city"]
    assert "there is no city 'gend' on record; did you mean gent?" in found[0].message


def test_a_record_that_refers_to_itself_is_told_so_and_not_that_it_is_not_there(validation):
    theme = {
        "kind": "theme",
        "id": "heat",
        "label": {"en": "Heat"},
        "scheme": "https://w3id.org/mentorgraph/themes",
        "deprecated": True,
        "replaced_by": "heat",
    }
    [found] = refusing(problems(validation, theme), publish=False)
    assert (found.field, found.value) == ("replaced_by", "heat")
    assert found.message == "a record does not refer to itself; name another theme, or leave it out"
    assert refusing(problems(validation, {**theme, "replaced_by": None, "broader": "heat"}), publish=False) == []


def test_a_published_record_refers_to_published_ones_only(validation):
    found = problems(validation, FULL, state="draft")
    assert refusing(found, publish=False) == []
    assert {p.field for p in refusing(found, publish=True)} == {"city", "themes"}


def test_a_claim_points_to_a_source_of_its_record_or_says_that_it_cannot_tell(validation):
    def claim(**more):
        return refusing(problems(validation, {**FULL, "outcomes": [{"statement": {"en": "x"}, **more}]}), publish=True)

    assert [p.field for p in claim()] == ["outcomes.claim-1.stated_in"]
    assert claim(source_not_separated=True) == []
    assert claim(stated_in=["source-1"]) == []
    wrong = claim(stated_in=["source-9"])
    assert [p.severity for p in wrong] == ["violation"]
    assert "source-1" in wrong[0].message


def test_a_source_is_no_rival_of_a_claim(validation):
    record = {**FULL, "outcomes": [{"statement": {"en": "x"}, "source_not_separated": True, "rivals": ["source-1"]}]}
    assert [p.field for p in refusing(problems(validation, record), publish=False)] == ["outcomes.claim-1.rivals"]


def test_too_long_a_title_is_told_its_length_and_the_limit(validation):
    found = refusing(problems(validation, {**FULL, "title": {"en": "x" * 301}}), publish=False)
    assert [p.field for p in found] == ["title"]
    assert "301" in found[0].message
    assert "300" in found[0].message


def test_an_offer_to_mentor_is_published_with_recorded_consent_only(validation):
    offer = {"kind": "availability", "id": "gent", "mentor": "gent"}
    assert "consent" in {p.field for p in refusing(problems(validation, offer), publish=True)}
    assert "consent" in {p.field for p in refusing(problems(validation, {**offer, "consent": False}), publish=True)}
    assert refusing(problems(validation, {**offer, "consent": True}), publish=True) == []


def test_threads_validate_at_the_same_time(validation):
    """pySHACL changes the shapes graph it works on; each thread has its own."""
    with ThreadPoolExecutor(4) as pool:
        found = list(
            pool.map(lambda _: [p.field for p in problems(validation, {"kind": "practice", "id": "x"})], range(12))
        )
    assert all(fields == found[0] for fields in found)
