"""Promises of the conditions of a practice for a city."""

import math
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import strategies as st
from matching_cases import promise

from kg.matching.factors import transferability_value
from kg.matching.facts import CityFacts, DeclaredExperience, Hit, NeedHits, PracticeFacts
from kg.matching.profile import Profile
from kg.matching.suggestions import suggest
from kg.matching.transferability import (
    VALUES,
    Body,
    Cost,
    Known,
    NeedOnRecord,
    Practice,
    Setting,
    Stated,
    TakenUp,
    assess,
    size_bound,
    summary,
)

PROFILE = Profile()
THEMES = ("language", "housing", "employment")
GROUPS = ("newcomers", "women")
countries = st.sampled_from((None, "BE", "LV", "SE"))
themes = st.frozensets(st.sampled_from(THEMES), max_size=2)
groups = st.frozensets(st.sampled_from(GROUPS), max_size=2)
languages = st.lists(st.sampled_from(("sv", "lv", "fr")), max_size=2, unique=True).map(tuple)
figures = st.none() | st.builds(Known, st.integers(1, 10_000_000).map(float))
sorts = st.sampled_from((None, "university", "civil-society-organisation", "municipality"))
bodies = st.lists(st.builds(Body, st.sampled_from("abc"), sorts, countries, st.booleans()), max_size=3).map(tuple)
texts = st.sampled_from(
    ({}, {"en": "At least 50,000 inhabitants."}, {"en": "Some Swedish."}, {"fr": "Moins de 20 000 habitants"})
)

settings_of_cities = st.builds(
    Setting,
    name=st.sampled_from(({}, {"en": "Newtown"})),
    ids=st.just(frozenset({"newtown"})),
    country=countries,
    nuts=st.sampled_from((None, "BE212", "BE100")),
    languages=languages,
    working_languages=languages,
    population=figures,
    needs=st.lists(st.builds(NeedOnRecord, st.just({"en": "A need"}), themes, groups), max_size=2).map(tuple),
    experience=st.lists(
        st.builds(DeclaredExperience, st.sampled_from(THEMES), st.sampled_from((0.0, 0.25, 1.0))), max_size=2
    ).map(tuple),
    practised=themes,
    organisations=bodies,
    staff=figures,
    budget=figures,
    years=figures,
)
stated = st.lists(
    st.builds(
        Stated, st.sampled_from(("c-1", "c-2", "c-3")), st.sampled_from(("size", "language", "legal", "x")), texts
    ),
    max_size=3,
    unique_by=lambda one: one.id,
).map(tuple)
costs = st.lists(
    st.builds(
        Cost,
        st.sampled_from(("k-1", "k-2")),
        st.sampled_from(("money", "staff", "premises")),
        st.none() | st.integers(1, 1_000_000).map(float),
        st.sampled_from((None, "EUR", "SEK")),
    ),
    max_size=2,
    unique_by=lambda one: one.id,
).map(tuple)
practices = st.builds(
    Practice,
    id=st.just("p"),
    title=st.just({"en": "Guides"}),
    setting=settings_of_cities,
    themes=themes,
    groups=groups,
    conditions=stated,
    success_factors=texts,
    core_elements=texts,
    costs=costs,
    funders=bodies,
    partners=bodies,
    years=st.none() | st.integers(1, 9),
    taken_up=st.lists(
        st.builds(TakenUp, st.sampled_from(("X", "Y")), countries, st.sampled_from((None, "copied", "inspired"))),
        max_size=2,
    ).map(tuple),
)
FACTS = {
    "country": None,
    "nuts": None,
    "languages": (),
    "working_languages": (),
    "population": None,
    "needs": (),
    "experience": (),
    "practised": frozenset(),
    "organisations": (),
    "staff": None,
    "budget": None,
    "years": None,
}
"""Every fact of a city, with what stands for unknown."""


def statuses(practice, city):
    return {one.id: one.status for one in assess(practice, city, PROFILE).criteria}


@promise(practices, settings_of_cities, st.sets(st.sampled_from(sorted(FACTS))))
def test_a_fact_more_never_lowers_the_number_of_met_conditions(practice, city, hidden):
    less = replace(city, **{fact: FACTS[fact] for fact in hidden})
    before, after = statuses(practice, less), statuses(practice, city)
    assert before.keys() == after.keys()
    assert {id for id, status in before.items() if status == "met"} <= {
        id for id, status in after.items() if status == "met"
    }


@promise(practices)
def test_of_a_city_of_which_nothing_is_known_nothing_is_not_met(practice):
    found = statuses(practice, Setting())
    # That others took it up is a fact of the practice, not of the city.
    assert {status for id, status in found.items() if id != "taken-up"} <= {"unknown"}


@promise(practices, settings_of_cities)
def test_unknown_counts_in_coverage_and_not_in_the_figure(practice, city):
    found = assess(practice, city, PROFILE)
    known = [one for one in found.criteria if one.status != "unknown"]
    if not known:
        assert (found.for_sorting, found.coverage) == (None, 0.0)
        return
    weight = math.fsum(one.weight for one in known)
    assert math.isclose(found.for_sorting, math.fsum(one.weight * VALUES[one.status] for one in known) / weight)
    assert math.isclose(found.coverage, weight / math.fsum(one.weight for one in found.criteria))


@promise(practices, settings_of_cities, st.randoms())
def test_the_order_of_records_does_not_matter(practice, city, random):
    def mixed(values):
        listed = list(values)
        random.shuffle(listed)
        return tuple(listed)

    other = replace(
        practice,
        **{key: mixed(getattr(practice, key)) for key in ("conditions", "costs", "funders", "partners", "taken_up")},
    )
    elsewhere = replace(
        city, **{key: mixed(getattr(city, key)) for key in ("needs", "experience", "organisations", "languages")}
    )
    assert assess(other, elsewhere, PROFILE) == assess(practice, city, PROFILE)


@promise(practices, settings_of_cities)
def test_everything_is_said_in_both_languages_and_what_is_open_is_asked(practice, city):
    found = assess(practice, city, PROFILE)
    assert all(set(summary(practice, city, found)) == {"en", "fr"} for _ in "x")
    for one in found.criteria:
        assert set(one.finding) == {"en", "fr"}
        assert "{" not in "".join((*one.finding.values(), *one.ask.values()))
        if one.status == "unknown":
            assert set(one.ask) == {"en", "fr"}
        if one.status == "met":
            assert not one.ask


@promise(practices, settings_of_cities, st.sampled_from(("met", "partly", "not-met")))
def test_the_citys_own_answer_settles_one_condition_and_no_other(practice, city, status):
    before = statuses(practice, city)
    for id in before:
        after = assess(practice, replace(city, answers={id: status}), PROFILE)
        assert {one.id: one.status for one in after.criteria} == before | {id: status}
        assert next(one for one in after.criteria if one.id == id).basis == "city"


def gothenburg(**more):
    return Setting({"en": "Gothenburg"}, country="SE", languages=("sv",), population=Known(590_000.0), **more)


def test_a_bound_on_size_is_read_from_plain_words():
    practice = Practice("p", {}, gothenburg(), conditions=(Stated("c", "size", {"en": "At least 100,000 people."}),))
    for people, status in ((120_000, "met"), (85_000, "partly"), (20_000, "not-met")):
        assert statuses(practice, Setting(population=Known(float(people))))["c"] == status
    assert size_bound("From 20,000 to at most 50,000") is None
    assert size_bound("Since 2016, over half") is None or size_bound("Since 2016, over half")[0] == 2016


def test_regions_with_laws_of_their_own_are_told_apart():
    practice = Practice("p", {}, Setting({"en": "Mechelen"}, country="BE", nuts="BE212"))
    assert statuses(practice, Setting(country="BE", nuts="BE234"))["law"] == "met"
    assert statuses(practice, Setting(country="BE", nuts="BE100"))["law"] == "partly"
    assert statuses(practice, Setting(country="BE"))["law"] == "partly"
    assert statuses(practice, Setting(country="LV"))["law"] == "unknown"
    taken_up = replace(practice, taken_up=(TakenUp("Riga", "LV", "adapted"),))
    assert statuses(taken_up, Setting(country="LV"))["law"] == "partly"


def test_what_a_city_has_done_counts_though_it_says_that_it_knows_little():
    practice = Practice("p", {}, gothenburg(), themes=frozenset({"language"}))
    modest = Setting(experience=(DeclaredExperience("language", 0.25),))
    assert statuses(practice, modest)["experience"] == "partly"
    assert statuses(practice, replace(modest, practised=frozenset({"language"})))["experience"] == "met"
    assert statuses(practice, Setting(experience=(DeclaredExperience("language", 0.0),)))["experience"] == "not-met"


def test_a_smaller_city_may_need_less_money_in_proportion():
    practice = Practice("p", {}, gothenburg(), costs=(Cost("k", "money", 590_000.0, "EUR"),))
    town = Setting(population=Known(59_000.0))
    for budget, status in ((600_000, "met"), (60_000, "partly"), (50_000, "not-met")):
        assert statuses(practice, replace(town, budget=Known(float(budget))))["money"] == status
    assert statuses(practice, replace(town, budget=Known(9e9), currency="SEK"))["money"] == "unknown"


def test_funds_of_the_union_may_pay_in_the_union_and_national_ones_at_home():
    european = Practice("p", {}, gothenburg(), funders=(Body("EU AMIF", "funder", None, True),))
    national = Practice("p", {}, gothenburg(), funders=(Body("COCOF", "funder", "BE"),))
    foundation = Practice("p", {}, gothenburg(), funders=(Body("A foundation"),))
    latvian = Setting(country="LV")
    assert [statuses(one, latvian)["funding"] for one in (european, national, foundation)] == [
        "partly",
        "not-met",
        "unknown",
    ]
    assert statuses(european, Setting(country="UA"))["funding"] == "unknown"


def of_groups(city):
    labels = {"children": {"en": "Children", "fr": "Enfants"}, "newcomers": {"en": "Newcomers", "fr": "Nouveaux venus"}}
    practice = Practice("p", {}, gothenburg(), groups=frozenset(labels), group_labels=labels)
    return next(one for one in assess(practice, city, PROFILE).criteria if one.id == "target-groups")


def test_groups_are_met_where_all_are_named_and_partly_where_some_are():
    jelgava = Setting({"en": "Jelgava"})
    newcomers = NeedOnRecord(
        {"en": "Practising Latvian"}, groups=frozenset({"newcomers", "women"}), record="https://x/n"
    )
    found = of_groups(replace(jelgava, needs=(newcomers,)))
    assert found.status == "partly"
    assert found.finding == {
        "en": "Needs of Jelgava name Newcomers; they do not name Children.",
        "fr": "Les besoins exprimés par Jelgava nomment : Nouveaux venus ; ils ne nomment pas : Enfants.",
    }
    assert [(one.text, one.source) for one in found.facts] == [({"en": "Practising Latvian"}, "https://x/n")]
    assert found.ask
    assert found.look_up
    both = of_groups(replace(jelgava, needs=(newcomers, NeedOnRecord({}, groups=frozenset({"children"})))))
    assert (both.status, both.finding["en"]) == ("met", "Needs of Jelgava name Children and Newcomers.")
    assert [one.text["en"] for one in both.facts] == ["Named in the request: Children", "Practising Latvian"]
    assert not both.ask
    unknown = of_groups(replace(jelgava, needs=(NeedOnRecord({}, groups=frozenset({"women"})),)))
    assert (unknown.status, unknown.facts) == ("unknown", ())


# The factor in suggestions


def suggested(practice, weights):
    city = CityFacts("gent", {"en": "Ghent"}, practices=(practice,))
    need = NeedHits((Hit("p", "gent", 0.6),))
    [one] = suggest([need], {"gent": city}, profile=PROFILE.with_weights(weights), as_of=date(2026, 1, 1))
    return one


def test_what_is_told_for_transfer_moves_no_ranking_until_it_has_weight():
    silent, told = (
        PracticeFacts("p", {}),
        PracticeFacts("p", {}, told_for_transfer=frozenset({"conditions"}), taken_up=3),
    )
    assert suggested(silent, {}).utility == suggested(told, {}).utility
    reason = next(one for one in suggested(told, {}).reasons if one.factor == "transferability")
    assert (reason.weight, reason.contribution, reason.value) == (0.0, 0.0, 0.75)
    assert suggested(silent, {"transferability": 1}).utility == suggested(silent, {}).utility
    assert "conditions-stated" in {caution.code for caution in suggested(told, {}).cautions}


@pytest.mark.parametrize("told", range(5))
def test_more_told_never_counts_less(told):
    assert 0 <= transferability_value(told) < transferability_value(told + 1) <= 1
