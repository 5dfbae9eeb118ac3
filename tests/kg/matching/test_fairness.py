"""Exposure of cities: the figures by hand, and what holds whatever the rankings."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from kg.matching.fairness import attention, exposure, gini, rank_correlation

CITIES = ["arles", "bruges", "cork", "delft", "evora"]
RANKINGS = st.lists(st.lists(st.sampled_from(CITIES), unique=True), max_size=8)
RECORDS = st.fixed_dictionaries({city: st.integers(0, 5) for city in CITIES})

steady = settings(max_examples=50, deadline=None, database=None, derandomize=True)


def test_the_figures_are_as_computed_by_hand():
    told = exposure(
        [["arles", "bruges", "cork"], ["bruges", "arles"], ["bruges"]],
        CITIES,
        {"arles": 1, "bruges": 4, "cork": 1, "delft": 2},
        countries={"arles": "FR", "bruges": "BE", "cork": "IE"},
        first=2,
    )
    second = 1 / math.log2(3)
    assert [(one.city, one.suggested, one.best_rank) for one in told.cities] == [
        ("bruges", 3, 1),
        ("arles", 2, 1),
        ("cork", 0, None),
        ("delft", 0, None),
    ]
    assert [one.exposure for one in told.cities] == pytest.approx([2 + second, 1 + second, 0, 0])
    assert [one.share for one in told.cities] == pytest.approx(
        [(2 + second) / (3 + 2 * second), (1 + second) / (3 + 2 * second), 0, 0]
    )
    assert (told.needs, told.first, told.never, told.without_records) == (3, 2, ("cork", "delft"), ("evora",))
    # Half the mean absolute difference over the mean, over all pairs.
    amounts = [0, 0, 1 + second, 2 + second]
    pairs = sum(abs(a - b) for a in amounts for b in amounts) / 16
    assert told.gini == pytest.approx(pairs / (2 * sum(amounts) / 4))
    assert [(one.least, one.most, one.cities, one.never) for one in told.by_records] == [
        (1, 1, 2, 1),
        (2, 2, 1, 1),
        (4, None, 1, 0),
    ]
    assert told.by_records[2].per_record == pytest.approx((2 + second) / 4)
    assert [(one.country, one.cities, one.records) for one in told.by_country] == [
        ("BE", 1, 4),
        ("FR", 1, 1),
        ("IE", 1, 1),
        (None, 1, 2),
    ]
    assert told.by_country[0].share_of_records == 0.5


@steady
@given(RANKINGS, RECORDS, st.integers(1, 6), st.randoms())
def test_what_always_holds(rankings: Any, records: Any, first: int, random: Any):
    told = exposure(rankings, CITIES, records, first=first)
    assert {one.city for one in told.cities} | set(told.without_records) == set(CITIES)
    assert all(one.records > 0 and one.exposure >= 0 for one in told.cities)
    assert sum(one.share for one in told.cities) == pytest.approx(1) or not any(one.exposure for one in told.cities)
    assert set(told.never) == {one.city for one in told.cities if one.exposure == 0}
    assert told.gini is None or 0 <= told.gini <= 1 - 1 / len(told.cities) + 1e-12
    assert sum(one.exposure for one in told.by_country) == pytest.approx(sum(one.exposure for one in told.cities))
    shuffled = random.sample(rankings, len(rankings))
    assert exposure(shuffled, CITIES[::-1], records, first=first) == told


@steady
@given(RANKINGS, RECORDS)
def test_looking_further_down_takes_exposure_from_nobody(rankings: Any, records: Any):
    short, long = (
        {one.city: one.exposure for one in exposure(rankings, CITIES, records, first=first).cities} for first in (2, 5)
    )
    assert all(long[city] >= short[city] for city in short)


def test_a_city_that_moves_up_gains():
    assert all(attention(rank) > attention(rank + 1) > 0 for rank in range(1, 50))


@steady
@given(st.lists(st.just(0.0) | st.floats(1e-6, 1e6), min_size=1, max_size=20), st.floats(0.01, 100))
def test_inequality_does_not_depend_on_the_unit(values: list[float], factor: float):
    assert gini(values) == pytest.approx(gini([value * factor for value in values]), abs=1e-9)


@steady
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9)), min_size=3, max_size=30))
def test_the_rank_correlation_is_that_of_scipy(pairs: list[tuple[int, int]]):
    one, other = [float(a) for a, _ in pairs], [float(b) for _, b in pairs]
    found = rank_correlation(one, other)
    if len(set(one)) == 1 or len(set(other)) == 1:
        assert found is None
    else:
        assert found.value == pytest.approx(spearmanr(one, other).statistic)
        assert -1 <= found.low <= found.high <= 1


def test_the_interval_narrows_with_more_cities_and_is_the_same_at_every_call():
    random = np.random.default_rng(3)
    records = random.integers(1, 6, 400)
    got = records + random.normal(0, 2, 400)
    few, many = rank_correlation(records[:30], got[:30]), rank_correlation(records, got)
    assert few.low < many.low < many.value < many.high < few.high
    assert many == rank_correlation(records, got)


def test_nobody_suggested_is_no_inequality():
    told = exposure([], CITIES, dict.fromkeys(CITIES, 1))
    assert (told.gini, told.correlation, told.never) == (None, None, tuple(CITIES))
    assert told.gini_records == 0


def test_looking_at_no_place_is_a_mistake_of_the_caller():
    with pytest.raises(ValueError, match="first 0"):
        exposure([], CITIES, {}, first=0)
