"""Each factor on its own: what makes it high, low or unknown."""

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import strategies as st
from matching_cases import AS_OF, promise, shares

from kg.matching.factors import FACTORS, Case, context_parts, gap_value, gower, shared_languages, size_similarity
from kg.matching.facts import Availability, CityFacts, Mentee, NeedAnswer, NeedHits
from kg.matching.profile import Profile

PROFILE = Profile()
CITY = CityFacts("gent", {"en": "Ghent"}, country="BE", languages=("nl",), population=265_000)
MENTEE = Mentee({"en": "Lille"}, frozenset({"lille"}), country="FR", languages=("fr",), population=236_000)
NEED = NeedHits((), themes=frozenset({"shade"}), broader=frozenset({"heat"}))


def factor(name, city=CITY, mentee=MENTEE, need=NEED):
    answer = NeedAnswer(0, 0.0, None, ())
    return FACTORS[name](Case(city, mentee, [need], (answer,), (None,), (None,), (0,), PROFILE, AS_OF))


def test_size_is_compared_as_in_the_four_real_pairs():
    pairs = [(87_000, 11_500), (175_000, 17_000), (202_000, 31_000), (133_000, 56_000)]
    assert [round(size_similarity(*pair), 2) for pair in pairs] == [0.56, 0.49, 0.59, 0.81]


@promise(st.integers(1, 10**8), st.integers(1, 10**8))
def test_size_does_not_depend_on_who_is_mentor(one, other):
    assert size_similarity(one, other) == pytest.approx(size_similarity(other, one))
    assert size_similarity(one, one) == 1
    assert 0 <= size_similarity(one, other) <= 1


@promise(st.dictionaries(st.sampled_from(("size", "country", "migration")), shares, min_size=3))
def test_context_is_a_mean_of_its_known_parts(parts):
    known = [value for value in parts.values() if value is not None]
    value = gower(parts, PROFILE.context)
    assert value is None if not known else min(known) - 1e-12 <= value <= max(known) + 1e-12


def test_migration_profiles_are_compared_where_both_are_known():
    one, other = replace(CITY, foreign_born_share=0.35), replace(MENTEE, foreign_born_share=0.10)
    assert context_parts(one, other, PROFILE)["migration"] == pytest.approx(0.5)
    assert context_parts(one, MENTEE, PROFILE)["migration"] is None


def test_a_population_of_nobody_is_unknown():
    assert context_parts(replace(CITY, population=0), MENTEE, PROFILE)["size"] is None
    missing = factor("context", city=replace(CITY, population=None)).missing()
    assert [(unknown.whom, unknown.text["en"]) for unknown in missing] == [
        ("mentor", "The population of Ghent is not on record.")
    ]


def test_a_large_gap_is_good_and_then_stays():
    assert [gap_value(mentor, 0.25, full_gap=0.5) for mentor in (0.1, 0.25, 0.5, 0.75, 1.0)] == [0, 0, 0.5, 1, 1]


@pytest.mark.parametrize(
    ("stated", "working", "value"),
    [
        ((), (), None),
        (("nl", "en"), (), None),
        ((), ("en",), None),
        (("en",), ("en", "fr"), 1.0),
        (("fr",), (), 1.0),
        ((), ("nl-NL",), 1.0),
        (("nl",), ("fr", "en"), 0.0),
    ],
)
def test_language_is_bad_only_when_both_have_said_what_they_work_in(stated, working, value):
    city = replace(CITY, availability=Availability(True, working_languages=stated))
    assert factor("language", city, replace(MENTEE, working_languages=working)).value == value


def test_working_languages_without_consent_are_not_used():
    city = replace(CITY, availability=Availability(False, working_languages=("fr",)))
    assert factor("language", city).value is None


def test_official_languages_are_compared_by_their_primary_tag():
    assert shared_languages(("fr-BE", "NL"), ("fr", "nl_NL", "de")) == ["fr", "nl"]


@pytest.mark.parametrize(
    ("offer", "value"),
    [
        (None, None),
        (Availability(False), None),
        (Availability(True), 1.0),
        (Availability(True, quota=2, taken=1), 1.0),
        (Availability(True, quota=2, taken=2), 0.0),
        (Availability(True, quota=0), 0.0),
        (Availability(True, until=AS_OF), 1.0),
        (Availability(True, until=date(2026, 5, 31)), None),
        (Availability(True, themes=frozenset({"shade"})), 1.0),
        (Availability(True, themes=frozenset({"heat"})), 1.0),
        (Availability(True, themes=frozenset({"housing"})), None),
    ],
)
def test_capacity_is_known_only_from_a_valid_offer_on_the_theme(offer, value):
    assert factor("capacity", replace(CITY, availability=offer)).value == value


@pytest.mark.parametrize(
    ("city", "mentee", "value"),
    [
        ({}, {}, None),
        ({"programmes": {"a": "A"}}, {"programmes": {"b": "B"}}, None),
        ({"programmes": {"a": "A"}}, {"programmes": {"a": "A"}}, 1.0),
        ({"networks": {"n": "N"}}, {"networks": {"n": "N"}}, 1.0),
        ({"mentored": {"lille": "closed"}}, {}, 1.0),
    ],
)
def test_trust_is_a_bonus_and_never_a_malus(city, mentee, value):
    assert factor("trust", replace(CITY, **city), replace(MENTEE, **mentee)).value == value


@pytest.mark.parametrize("name", ["gap", "context", "language", "trust"])
def test_without_a_mentee_nothing_is_compared(name):
    alone = factor(name, mentee=None)
    assert (alone.value, alone.stance, alone.missing()[0].whom) == (None, "unknown", "mentee")
