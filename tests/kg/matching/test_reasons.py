"""The sentences, in both languages."""

import pytest

from kg.matching import reasons
from kg.matching.facts import CityFacts, Mentee

GHENT = CityFacts("gent", {"en": "Ghent", "fr": "Gand"})
ATHENS = Mentee({"en": "Athens", "fr": "Athènes"})


@pytest.mark.parametrize(
    ("population", "other", "en", "fr"),
    [
        (
            265_000,
            26_500,
            "Ghent has about 265,000 inhabitants, 10 times as many as Athens.",
            "Gand compte environ 265\u202f000 habitants, soit 10 fois la population d’Athènes.",
        ),
        (
            26_500,
            664_046,
            "Ghent has about 26,500 inhabitants; Athens has 25 times as many.",
            "Gand compte environ 26\u202f500 habitants ; Athènes en compte 25 fois plus.",
        ),
        (
            265_000,
            250_000,
            "Ghent and Athens are about the same size (about 265,000 and 250,000 inhabitants).",
            "Gand et Athènes sont de taille comparable (environ 265\u202f000 et 250\u202f000 habitants).",
        ),
    ],
)
def test_sizes_are_told_as_people_tell_them(population, other, en, fr):
    assert reasons.size(GHENT, ATHENS, population, other) == {"en": en, "fr": fr}


def test_a_name_that_says_what_the_place_is_has_its_article():
    brussels = CityFacts("brussels", {"en": "City of Brussels", "fr": "Ville de Bruxelles"})
    size = reasons.size(brussels, ATHENS, 175_000, 17_500)
    assert size["en"].startswith("The City of Brussels has about")
    assert size["fr"].startswith("La Ville de Bruxelles compte environ")
    asked = reasons.availability_unknown(brussels, "none").ask
    assert asked["en"].startswith("Ask the City of Brussels (municipality)")
    assert asked["fr"].startswith("Demandez à la Ville de Bruxelles (municipalité)")
    assert "mentore de la Ville de Bruxelles." in reasons.already_mentor(GHENT, Mentee(brussels.name))["fr"]
    le_havre = Mentee({"en": "Le Havre"})
    assert "mentore du Havre." in reasons.already_mentor(GHENT, le_havre)["fr"]
    assert reasons.gap(0.0, le_havre)["fr"].startswith("Comparée au Havre, ")


def test_numbers_agree_with_their_nouns():
    title = {"en": "Shade"}
    assert [reasons.relevance([(title, n)])["en"] for n in (1, 2, 3)] == [
        "“Shade” is its closest practice.",
        "“Shade” is its closest practice; 1 more was found.",
        "“Shade” is its closest practice; 2 more were found.",
    ]
    assert reasons.offers(1)["fr"] == "Elle propose d’être mentore et dispose encore de 1 place."
    assert "1 pratique documentée ;" in reasons.experience(0.5, 1, "none", 2020, stated=False)["fr"]
    assert "2 pratiques documentées ;" in reasons.experience(0.5, 2, "none", 2020, stated=False)["fr"]


def test_what_is_missing_of_a_city_is_asked_of_the_right_side():
    mentor = reasons.context_missing("size", GHENT, ATHENS, of_mentor=True)
    mentee = reasons.context_missing("size", GHENT, ATHENS, of_mentor=False)
    assert (mentor.whom, mentor.text["fr"]) == ("mentor", "La population de Gand n’est pas documentée.")
    assert (mentee.whom, mentee.text["fr"]) == ("mentee", "La population d’Athènes n’est pas documentée.")


def test_the_role_limits_say_what_a_mentor_does_not_do():
    assert "do not give professional or legal advice" in reasons.ROLE_LIMITS["en"]
    assert "people choose" in reasons.ROLE_LIMITS["en"]
    assert "ne donne pas de conseil professionnel ou juridique" in reasons.ROLE_LIMITS["fr"]


def test_titles_with_braces_are_quoted_as_they_are():
    from kg.matching.facts import PracticeFacts

    text = reasons.practice_caution("activity-ended", [PracticeFacts("p", {"en": "{0} and {x}"})])
    assert text["en"] == "This has ended: “{0} and {x}”."
