"""How experience is read from practices and statements."""

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import strategies as st
from matching_cases import AS_OF, practices, promise, similarities

from kg.matching.experience import mentee_level, mentor_level, newest_sure_year, noisy_or, usual_values, weigh_practice
from kg.matching.facts import CityFacts, DeclaredExperience, Mentee, NeedHits, PracticeFacts
from kg.matching.profile import Profile

PROFILE = Profile()
HEAT = NeedHits((), themes=frozenset({"heat"}), narrower=frozenset({"shade"}), broader=frozenset({"climate"}))


def city(*practices, experience=()):
    return CityFacts("gent", {"en": "Ghent"}, practices=practices, experience=experience)


def practice(id="p", **facts):
    return PracticeFacts(id, {"en": id}, **{"themes": frozenset({"heat"}), **facts})


@pytest.mark.parametrize(
    ("facts", "year"),
    [
        ({}, None),
        ({"start": 2015}, 2015),
        ({"start": 2015, "end": 2019}, 2019),
        ({"start": 2015, "end": 2030}, 2026),
        ({"start": 2015, "status": "running", "status_as_of": 2022}, 2022),
        ({"start": 2015, "status": "running"}, None),
        ({"start": 2015, "status": "ended"}, 2015),
        ({"start": 2015, "end": 2018, "status": "continued"}, 2018),
        ({"start": 2026, "status": "running"}, 2026),
    ],
)
def test_age_counts_from_the_newest_sure_year(facts, year):
    assert newest_sure_year(practice(**facts), AS_OF) == year


def test_what_a_record_does_not_say_counts_as_usual_and_is_flagged():
    unsaid = weigh_practice(practice(evidence="none-stated"), 1.0, PROFILE, AS_OF)
    assert (unsaid.evidence, unsaid.evidence_type) == (PROFILE.usual_evidence, None)
    assert (unsaid.freshness, unsaid.year) == (PROFILE.usual_freshness, None)
    assert unsaid.tie == 1.0


def test_usual_values_are_means_of_those_that_are_stated():
    listed = [practice(evidence="activity-counts", end=2026), practice(evidence="independent-evaluation", end=2020)]
    assert usual_values([*listed, practice()], PROFILE, AS_OF) == pytest.approx((0.7, 0.75))
    assert usual_values([practice()], PROFILE, AS_OF) == (PROFILE.usual_evidence, PROFILE.usual_freshness)


def test_practices_on_narrower_themes_count_whole_and_on_broader_ones_by_similarity():
    gent = city(practice("a", themes=frozenset({"shade"})), practice("b", themes=frozenset({"climate"})))
    level = mentor_level(gent, HEAT, {"b": 0.5}, PROFILE, AS_OF)
    assert {(i.practice, i.about) for i in level.inputs} == {("a", 1.0), ("b", 0.5)}


UNSURE = replace(HEAT, themes=frozenset({"heat", "school"}), strengths={"heat": 0.8, "shade": 0.8, "school": 0.4})


def test_a_theme_found_half_as_surely_counts_a_quarter_and_the_surest_whole():
    gent = city(practice("a", themes=frozenset({"shade"})), practice("b", themes=frozenset({"school"})))
    level = mentor_level(gent, UNSURE, {}, PROFILE, AS_OF)
    assert {i.practice: i.about for i in level.inputs} == {"a": 1.0, "b": 0.25}
    alone = replace(UNSURE, themes=frozenset({"school"}), narrower=frozenset())
    assert mentor_level(gent, alone, {}, PROFILE, AS_OF).inputs[0].about == 1.0
    every = mentor_level(gent, UNSURE, {}, replace(PROFILE, theme_power=0.0), AS_OF)
    assert [i.about for i in every.inputs] == [1.0, 1.0]


def test_a_practice_on_an_unsure_theme_counts_at_least_by_its_similarity():
    gent = city(practice("b", themes=frozenset({"school"})))
    assert mentor_level(gent, UNSURE, {"b": 0.6}, PROFILE, AS_OF).inputs[0].about == 0.6
    both = city(practice("b", themes=frozenset({"school", "heat"})))
    assert mentor_level(both, UNSURE, {"b": 0.6}, PROFILE, AS_OF).inputs[0].about == 1.0


def test_statements_on_an_unsure_theme_count_less_too():
    said = DeclaredExperience("school", 1.0, "assessed", date(2026, 1, 1))
    assert mentor_level(city(experience=(said,)), UNSURE, {}, PROFILE, AS_OF).value == pytest.approx(0.9 / 4)
    mentee = Mentee(experience=(said, DeclaredExperience("heat", 0.5)))
    level = mentee_level(mentee, UNSURE, PROFILE, AS_OF)
    assert (level.value, level.stated.theme) == (0.5, "heat")
    assert mentee_level(replace(mentee, experience=(said,)), UNSURE, PROFILE, AS_OF).value == 0.25


@promise(practices("p"), st.floats(0.01, 1), st.floats(0.01, 1))
def test_a_theme_found_more_surely_never_lowers_the_level(drawn, less, more):
    gent = city(replace(drawn, themes=frozenset({"school"})))
    weak, strong = (
        mentor_level(gent, replace(UNSURE, strengths={"heat": 1.0, "school": found}), {}, PROFILE, AS_OF)
        for found in sorted((less, more))
    )
    assert weak is None or 0 <= weak.value <= strong.value <= 1


def test_only_the_best_practices_count():
    gent = city(*(practice(f"p{n}", end=2026, evidence="activity-counts") for n in range(9)))
    assert mentor_level(gent, HEAT, {}, PROFILE, AS_OF).value == pytest.approx(1 - 0.5**3)


def test_a_plan_is_no_experience_yet():
    assert mentor_level(city(practice(status="planned")), HEAT, {"p": 0.9}, PROFILE, AS_OF) is None


def test_no_record_is_not_no_experience():
    assert mentor_level(city(), HEAT, {}, PROFILE, AS_OF) is None
    stated = DeclaredExperience("shade", 1.0, "assessed", date(2026, 1, 1))
    level = mentor_level(city(experience=(stated,)), HEAT, {}, PROFILE, AS_OF)
    assert (level.value, level.documented, level.stated) == (0.9, None, stated)


def test_a_mentors_own_word_does_not_outrank_good_documents():
    documented = practice(evidence="independent-evaluation", end=2026)
    proud = DeclaredExperience("heat", 1.0, "declared", date(2026, 1, 1))
    level = mentor_level(city(documented, experience=(proud,)), HEAT, {}, PROFILE, AS_OF)
    assert (level.value, level.stated) == (pytest.approx(0.9), None)
    thin = practice(evidence="none", end=2020)
    level = mentor_level(city(thin, experience=(proud,)), HEAT, {}, PROFILE, AS_OF)
    assert (level.value, level.documented, level.stated) == (0.5, pytest.approx(0.15), proud)


def test_a_mentees_own_word_wins_over_its_records():
    documented = practice(evidence="independent-evaluation", end=2026)
    modest = DeclaredExperience("heat", 0.0, "declared")
    derived = DeclaredExperience("heat", 0.75, "derived")
    mentee = Mentee(practices=(documented,), experience=(derived, modest))
    level = mentee_level(mentee, HEAT, PROFILE, AS_OF)
    assert (level.value, level.stated, level.documented) == (0.0, modest, pytest.approx(0.9))
    assert mentee_level(replace(mentee, experience=()), HEAT, PROFILE, AS_OF).value == pytest.approx(0.9)


def test_a_statement_on_the_theme_goes_before_one_on_a_broader_theme():
    mentee = Mentee(experience=(DeclaredExperience("climate", 1.0), DeclaredExperience("heat", 0.25)))
    assert mentee_level(mentee, HEAT, PROFILE, AS_OF).value == 0.25
    assert mentee_level(replace(mentee, experience=mentee.experience[:1]), HEAT, PROFILE, AS_OF).value == 1.0
    assert mentee_level(mentee, NeedHits((), themes=frozenset({"other"})), PROFILE, AS_OF) is None


def test_practices_that_only_resemble_the_need_do_not_make_the_mentee_experienced():
    mentee = Mentee(practices=(practice(themes=frozenset({"climate"})),))
    assert mentee_level(mentee, HEAT, PROFILE, AS_OF) is None


@promise(st.lists(st.floats(0, 1), max_size=6), st.floats(0, 1))
def test_one_more_practice_never_lowers_the_level(weights, more):
    assert noisy_or([*weights, more], best=3) >= noisy_or(weights, best=3)
    assert 0 <= noisy_or(weights, best=3) <= 1


@promise(st.lists(practices("p"), max_size=4), practices("more"))
def test_one_more_record_of_any_kind_never_lowers_the_level(listed, more):
    listed = [replace(practice, id=f"p{n}") for n, practice in enumerate(listed)]
    before = mentor_level(city(*listed), HEAT, {}, PROFILE, AS_OF)
    after = mentor_level(city(*listed, more), HEAT, {}, PROFILE, AS_OF)
    assert before is None or after.value >= before.value


@promise(st.lists(practices("p"), max_size=6), st.lists(similarities, min_size=6, max_size=6), st.integers(2015, 2030))
def test_a_level_counts_the_best_of_all_practices_weighed_one_by_one(drawn, close, year):
    """Inputs are remembered beside the city for the year last asked about; nobody sees that."""
    listed = [replace(one, id=f"p{place}") for place, one in enumerate(drawn)]
    mentor, similarity = city(*listed), {one.id: share for one, share in zip(listed, close, strict=False)}
    for as_of in (AS_OF, date(year, 1, 1), AS_OF):
        shares = {one.id: 1.0 if one.themes & HEAT.covered else similarity[one.id] for one in listed}
        counted = [one for one in listed if one.status != "planned" and shares[one.id] > 0]
        plain = [weigh_practice(one, shares[one.id], PROFILE, as_of) for one in counted]
        best = tuple(sorted(plain, key=lambda one: (-one.weight, one.practice))[: PROFILE.best])
        level = mentor_level(mentor, HEAT, similarity, PROFILE, as_of)
        assert (level.inputs if level else ()) == best
