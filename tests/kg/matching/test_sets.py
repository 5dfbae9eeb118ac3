"""Promises of complementary sets, compared with trying every set."""

from itertools import combinations

import pytest
from hypothesis import strategies as st
from matching_cases import promise

from kg.errors import TooSlow
from kg.matching.profile import Profile
from kg.matching.sets import POINTS, covering_relevance, smallest_sets

FROM = 0.16
values = st.sampled_from((0.0, 0.1, 0.16, 0.3, 0.3, 0.55, 0.9))


@st.composite
def cases(draw):
    needs = draw(st.integers(1, 4))
    row = st.lists(values, min_size=needs, max_size=needs)
    relevance = draw(st.dictionaries(st.sampled_from("abcdefg"), row, max_size=7))
    weights = draw(st.lists(st.sampled_from((0.5, 1.0, 3.0)), min_size=needs, max_size=needs))
    countries = {city: draw(st.sampled_from(("BE", "LV", None))) for city in relevance}
    return relevance, weights, countries, draw(st.none() | st.integers(1, 2)), draw(st.none() | st.integers(1, 3))


def every_set(relevance, weights, countries, per_country, most):
    """All sets that the rules allow, the best first: needs covered, size, sum in points, ids."""
    found = []
    for size in range(1, min(most or 7, len(relevance)) + 1):
        for mentors in combinations(sorted(relevance), size):
            named = [countries[city] for city in mentors if countries[city]]
            if per_country and any(named.count(country) > per_country for country in named):
                continue
            best = [max(relevance[city][need] for city in mentors) for need in range(len(weights))]
            covered = sum(value >= FROM for value in best)
            points = sum(
                round(value * weight / max(weights) * POINTS)
                for value, weight in zip(best, weights, strict=True)
                if value >= FROM
            )
            if covered:
                found.append((-covered, size, -points, mentors))
    return sorted(found)


@promise(cases())
def test_the_sets_are_those_that_trying_all_would_give(case):
    relevance, weights, countries, per_country, most = case
    tried = every_set(relevance, weights, countries, per_country, most)
    expected = []
    for covered, _, _, mentors in tried:
        if covered == tried[0][0] and not any(set(one) <= set(mentors) for one in expected):
            expected.append(mentors)
    found = smallest_sets(
        relevance,
        covers_from=FROM,
        weights=weights,
        countries=countries,
        per_country=per_country,
        most=most,
        alternatives=3,
    )
    assert [one.mentors for one in found.sets] == expected[:4]


@promise(cases())
def test_every_need_is_covered_or_said_to_be_not(case):
    relevance, weights, countries, per_country, most = case
    found = smallest_sets(
        relevance, covers_from=FROM, weights=weights, countries=countries, per_country=per_country, most=most
    )
    for need in range(len(weights)):
        able = {city for city, of in relevance.items() if of[need] >= FROM}
        assert (need in found.nobody) == (not able)
        for one in found.sets:
            assert set(one.covered[need]) == able & set(one.mentors)
            assert (not one.covered[need]) == (need in found.nobody or need in found.kept_out)
    if per_country is None and most is None:
        assert found.kept_out == ()


@promise(cases(), st.randoms())
def test_the_order_of_the_cities_does_not_matter(case, random):
    relevance, weights, *_ = case
    mixed = list(relevance.items())
    random.shuffle(mixed)
    asked = {"covers_from": FROM, "weights": weights, "alternatives": 2}
    assert smallest_sets(dict(mixed), **asked) == smallest_sets(relevance, **asked)


@promise(cases())
def test_fewer_alternatives_are_the_beginning_of_more(case):
    relevance, weights, *_ = case
    few = smallest_sets(relevance, covers_from=FROM, weights=weights, alternatives=1)
    more = smallest_sets(relevance, covers_from=FROM, weights=weights, alternatives=3)
    assert more.sets[: len(few.sets)] == few.sets


def test_a_city_of_unknown_country_counts_for_none():
    relevance = {"a": [0.9, 0.0, 0.0], "b": [0.0, 0.9, 0.0], "c": [0.0, 0.0, 0.9]}
    found = smallest_sets(relevance, covers_from=FROM, countries={"a": None, "b": None, "c": "LV"}, per_country=1)
    assert found.sets[0].mentors == ("a", "b", "c")


def test_a_rule_that_leaves_a_need_out_is_told_apart_from_nobody():
    relevance = {"a": [0.9, 0.0, 0.0], "b": [0.0, 0.5, 0.0]}
    found = smallest_sets(relevance, covers_from=FROM, countries={"a": "BE", "b": "BE"}, per_country=1)
    assert found.sets[0].mentors == ("a",)
    assert (found.nobody, found.kept_out) == ((2,), (1,))


def test_without_time_it_says_so():
    with pytest.raises(TooSlow, match="not found in time"):
        smallest_sets({"a": [0.9]}, covers_from=FROM, seconds=0)


def test_nobody_covers_anything():
    found = smallest_sets({"a": [0.1], "b": [0.0]}, covers_from=FROM)
    assert (found.sets, found.nobody) == ((), (0,))
    assert smallest_sets({}, covers_from=FROM, weights=[1.0, 1.0]).nobody == (0, 1)


def test_of_equal_sums_the_first_by_ids_is_taken():
    relevance = {"d": [0.5, 0.3], "c": [0.2, 0.6], "b": [0.6, 0.2], "a": [0.3, 0.5], "e": [0.4, 0.4]}
    found = smallest_sets(relevance, covers_from=FROM, alternatives=4)
    assert [one.mentors for one in found.sets] == [("a",), ("b",), ("c",), ("d",), ("e",)]
    alike = {"a": [0, 0.3], "b": [0.5, 0], "c": [0, 0.5], "d": [0.3, 0], "e": [0, 0.5], "f": [0.5, 0.5], "g": [0, 0.5]}
    found = smallest_sets(alike, covers_from=FROM, alternatives=3)
    assert [one.mentors for one in found.sets] == [("f",), ("b", "c"), ("b", "e"), ("b", "g")]


def test_who_is_better_in_another_country_leaves_nobody_out():
    relevance = {"a": [0.9, 0.0], "b": [0.0, 0.9], "c": [0.0, 0.8], "d": [0.0, 0.5], "e": [0.4, 0.0]}
    countries = {"a": "BE", "b": "BE", "c": "BE", "d": "LV", "e": "LV"}
    found = smallest_sets(relevance, covers_from=FROM, countries=countries, per_country=1)
    assert found.sets[0].mentors == ("a", "d")


def test_a_city_with_nothing_on_a_need_never_covers_it():
    assert smallest_sets({"a": [0.9, 0.0]}, covers_from=0.0).nobody == (1,)


def test_rows_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="for each need"):
        smallest_sets({"a": [0.9], "b": [0.9, 0.1]}, covers_from=FROM)


def test_a_city_covers_from_the_lowest_band_on():
    assert covering_relevance(Profile()) == min(band.relevance for band in Profile().bands)
