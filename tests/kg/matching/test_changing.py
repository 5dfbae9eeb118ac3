"""Promises of what would change a ranking, and of why a city stands where it stands."""

import math
from dataclasses import replace
from types import MappingProxyType

from hypothesis import strategies as st
from matching_cases import AS_OF, promise, requests

from kg.matching.changing import neighbours, swap_weights, what_would_change
from kg.matching.explaining import differences, filter_sentence, ranks_lower, told_by_need
from kg.matching.facts import Availability, CityFacts, Hit, Mentee, NeedHits, PracticeFacts
from kg.matching.marking import clues, deciding_sentence
from kg.matching.profile import Profile
from kg.matching.profiles import BUILT_IN
from kg.matching.suggestions import rank_cities, rank_key, weigh_case, weigh_city

profiles = st.sampled_from(list(BUILT_IN.values()))


def ranked(request, profile=None):
    needs, known, mentee = request
    return rank_cities(needs, known, mentee=mentee, profile=profile or Profile(), as_of=AS_OF, limit=50)


def with_weight(weighed, factor, weight):
    profile = weighed.case.profile
    changed = replace(profile, weights=MappingProxyType({**profile.weights, factor: weight}))
    return weigh_case(replace(weighed.case, profile=changed))


@promise(requests(), profiles)
def test_at_the_weight_told_two_cities_are_equal_and_past_it_they_swap(request, profile):
    for upper, lower in neighbours(ranked(request, profile)):
        for change in what_would_change(upper, lower).weights:
            a, b = (with_weight(one, change.factor, change.swap_at) for one in (upper, lower))
            assert math.isclose(a.utility, b.utility, abs_tol=1e-6)
            past = change.swap_at * (1 + 1e-4 if change.more else 1 - 1e-4)
            a, b = (with_weight(one, change.factor, past) for one in (upper, lower))
            assert b.utility > a.utility - 1e-9
            assert change.more == (change.swap_at >= change.now)


@promise(requests(), profiles)
def test_no_weight_that_swaps_two_cities_clearly_is_left_out(request, profile):
    for upper, lower in neighbours(ranked(request, profile)):
        told = {change.factor for change in what_would_change(upper, lower).weights}
        for factor, now in profile.weights.items():
            for weight in (now * 0.3, now * 3 + 0.05, now * 20 + 1):
                a, b = (with_weight(one, factor, weight) for one in (upper, lower))
                if weight > 0 and b.utility > a.utility + 1e-4 and upper.utility > lower.utility + 1e-6:
                    assert factor in told


@promise(requests(), profiles)
def test_sentences_on_changes_are_said_in_both_languages_and_name_both_cities(request, profile):
    for upper, lower in neighbours(ranked(request, profile)):
        found = what_would_change(upper, lower)
        for one in (*found.facts, *found.weights):
            for language in ("en", "fr"):
                sentence = one.text[language]
                assert sentence.endswith(".")
                assert not set(sentence) & set("{}")
                assert upper.case.city.name["en"] in sentence
                assert lower.case.city.name["en"] in sentence
            assert one.text["en"].startswith("If ")
            assert one.text["fr"].startswith(("Si ", "S’"))


def test_cities_of_equal_factors_cannot_be_swapped_by_any_weight():
    practice = PracticeFacts("p", {"en": "Shade"})
    need = NeedHits((Hit("p", "a", 0.5), Hit("p", "b", 0.5)))
    a, b = (
        weigh_city(
            CityFacts(id, {"en": id}, practices=(practice,)), [need], mentee=None, profile=Profile(), as_of=AS_OF
        )
        for id in "ab"
    )
    assert [swap_weights(a, b, factor) for factor in Profile().weights] == [[]] * len(Profile().weights)


def pair(upper_facts=None, lower_facts=None, mentee=None):
    """Lyon before Ghent, by a little."""
    cities = [
        CityFacts(
            "lyon",
            {"en": "Lyon"},
            practices=(PracticeFacts("a", {"en": "A"}, frozenset({"heat"})),),
            **upper_facts or {},
        ),
        CityFacts(
            "gent",
            {"en": "Ghent"},
            practices=(PracticeFacts("b", {"en": "B"}, frozenset({"heat"})),),
            **lower_facts or {},
        ),
    ]
    need = NeedHits((Hit("a", "lyon", 0.8), Hit("b", "gent", 0.78)), themes=frozenset({"heat"}))
    return [weigh_city(city, [need], mentee=mentee, profile=Profile(), as_of=AS_OF) for city in cities]


def test_one_fact_at_a_time_is_told_with_whether_it_is_known():
    facts = {fact.code: fact for fact in what_would_change(*pair()).facts}
    assert set(facts) == {"available", "places-taken", "evidence", "still-running", "experience-level"}
    assert not any(fact.known for fact in facts.values())
    assert facts["evidence"].practice == "b"
    assert facts["experience-level"].theme == "heat"
    assert {fact.about for code, fact in facts.items() if code != "places-taken"} == {"gent"}
    assert facts["places-taken"].about == "lyon"
    full = pair(lower_facts={"availability": Availability(True, quota=0)})
    assert {fact.code: fact.known for fact in what_would_change(*full).facts}["available"] is True


def test_unknown_ties_and_languages_are_asked_of_the_right_city():
    mentee = Mentee({"en": "Capaci"}, frozenset({"capaci"}), country="IT", working_languages=("it",))
    facts = [(fact.code, fact.about) for fact in what_would_change(*pair(mentee=mentee)).facts]
    assert ("language-shared", "gent") in facts
    assert ("ties", "gent") in facts
    assert ("language-none", "lyon") in facts


def test_a_level_of_the_mentee_that_would_swap_two_cities_is_told():
    """A mentee that begins has most to gain from the more experienced city: stating its level swaps the two."""
    heat = frozenset({"heat"})
    cities = [
        CityFacts(
            "lyon", {"en": "Lyon"}, practices=(PracticeFacts("a", {"en": "A"}, heat, evidence="none", end=1990),)
        ),
        CityFacts(
            "gent",
            {"en": "Ghent"},
            practices=(PracticeFacts("b", {"en": "B"}, heat, evidence="independent-evaluation", end=2026),),
        ),
    ]
    need = NeedHits((Hit("a", "lyon", 0.9), Hit("b", "gent", 0.4)), themes=heat)
    mentee = Mentee({"en": "Capaci"})
    upper, lower = (weigh_city(c, [need], mentee=mentee, profile=Profile(), as_of=AS_OF) for c in cities)
    assert rank_key(upper) < rank_key(lower)
    names = {"heat": {"en": "Heat", "fr": "Chaleur"}}
    [change] = [fact for fact in what_would_change(upper, lower, names).facts if fact.code == "mentee-level"]
    assert (change.about, change.known, change.theme) == ("", False, "heat")
    assert change.text["en"] == (
        "If the experience of Capaci with “Heat” were stated as “none”, Ghent would stand before Lyon."
    )
    assert "«\xa0Chaleur\xa0»" in change.text["fr"]


def test_a_level_of_the_mentor_is_told_as_one_that_others_assess():
    """Stated by itself it would count .5 where assessed it counts .9, and the two might not swap."""
    [change] = [fact for fact in what_would_change(*pair()).facts if fact.code == "experience-level"]
    assert "were assessed by others as “" in change.text["en"]
    assert "était évaluée par d’autres comme «\xa0" in change.text["fr"]


@promise(requests())
def test_differences_of_factors_add_up_to_that_of_the_utilities(request):
    for upper, lower in neighbours(ranked(request)):
        found = differences(lower, upper)
        assert math.isclose(math.fsum(d.contribution for d in found), lower.utility - upper.utility, abs_tol=1e-9)
        text = ranks_lower(lower, upper, 2, found)
        for language in ("en", "fr"):
            assert text[language].endswith(".")
            assert all(d.text[language] for d in found)
        for one in found:
            assert ("(unknown)" in one.text["en"]) == (one.here is None or one.there is None)


@promise(requests())
def test_each_need_is_told_by_itself(request):
    for weighed in ranked(request):
        told = told_by_need(weighed.case)
        assert [one.need for one in told] == list(range(len(weighed.case.needs)))
        for one, answer in zip(told, weighed.case.answers, strict=True):
            said = [text["en"] for texts in one.told.values() for text in texts]
            assert said
            if not answer.practices:
                assert said == ["Nothing on record was found."]
                assert one.unknowns == ()
            else:
                assert answer.practices[0].title["en"] in said[0] + " ".join(said)


@promise(st.text(max_size=300), st.text(max_size=100), st.sampled_from(("en", "fr", "lv", "el", "zh")))
def test_a_marked_sentence_lies_in_its_passage(passage, need, language):
    place = deciding_sentence(passage, language, clues(need, "en", language))
    if place is not None:
        start, end = place
        assert 0 <= start < end <= len(passage)
        assert passage[start:end] == passage[start:end].strip()


def test_the_sentence_with_most_of_the_need_is_marked_whatever_its_place():
    passage = "The city is old. Volunteers meet newcomers each week. They go for walks."
    need = clues("newcomers who meet volunteers", "en", "en")
    assert passage[slice(*deciding_sentence(passage, "en", need))] == "Volunteers meet newcomers each week."
    french = clues("rencontrer les nouveaux arrivants", "fr", "en", theme_labels=["newcomers"])
    assert passage[slice(*deciding_sentence(passage, "en", french))] == "Volunteers meet newcomers each week."


def test_of_equally_close_sentences_the_first_is_marked():
    assert deciding_sentence("Trees. Shade for all. Trees.", "en", {"tree": 1.0}) == (0, 6)


def test_a_filter_is_told_with_what_is_unknown():
    city = CityFacts("gent", {"en": "Ghent", "fr": "Gand"})
    assert "is not on record" in filter_sentence("countries", city, ["Latvia"])["en"]
    assert filter_sentence("languages", city, ["French"]) == {
        "en": "Ghent has no practice recorded in the languages that the request asks for (French).",
        "fr": "Gand n’a pas de pratique rédigée dans les langues que la demande veut (French).",
    }
    assert filter_sentence("population_max", replace(city, population=260_341), ["50,000"])["en"] == (
        "Ghent has about 260,000 inhabitants, and the request asks for at most 50,000."
    )
