"""Counting and narrowing, beside a counter that looks at every record by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kg.facets import UNKNOWN, Near, Row, Table, context_of, freshness_of, sure_year
from kg.matching.experience import freshness, newest_sure_year
from kg.matching.factors import context_parts, gower
from kg.matching.facts import CityFacts, Mentee, PracticeFacts
from kg.matching.profile import Profile

FACETS = {"country": ("BE", "LV", "FR"), "theme": ("heat", "trees", "climate", "desk"), "size": ("small", "large")}

ids = st.integers(0, 150).map(lambda number: f"p{number}")
values = st.fixed_dictionaries({facet: st.sets(st.sampled_from(some), max_size=3) for facet, some in FACETS.items()})
records = st.dictionaries(ids, st.tuples(values, st.one_of(st.none(), st.integers(0, 5))), max_size=120)
choices = st.fixed_dictionaries(
    {}, optional={f: st.sets(st.sampled_from((*some, UNKNOWN)), max_size=2) for f, some in FACETS.items()}
)


def rows(some: Mapping[str, tuple[Mapping[str, set[str]], int | None]]) -> dict[str, Row]:
    return {id: Row(has, {} if number is None else {"age": number}) for id, (has, number) in some.items()}


def meets(has: Mapping[str, set[str]], chosen: Mapping[str, set[str]], but: str | None = None) -> bool:
    return all((has[f] or {UNKNOWN}) & wanted for f, wanted in chosen.items() if wanted and f != but)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(records, st.sets(ids, max_size=40)), min_size=1, max_size=3), choices)
def test_counts_pages_and_orders_are_those_of_looking_at_every_record(steps, chosen):
    table, known = Table(list(FACETS), ["age"]), {}
    for put, removed in steps:
        table.put(rows(put))
        table.remove(removed)
        known = {id: one for id, one in (known | put).items() if id not in removed}
    found = table.select(chosen)
    let_in = sorted(id for id, (has, _) in known.items() if meets(has, chosen))
    assert table.every(found) == let_in == table.page(found, limit=1_000)
    assert (found.total, len(table)) == (len(let_in), len(known))
    for facet in FACETS:
        naive = Counter(
            value for has, _ in known.values() if meets(has, chosen, facet) for value in has[facet] or {UNKNOWN}
        )
        assert table.counts(found, facet) == naive
    age = np.nan_to_num(table.numbers("age"), nan=-1.0)
    wanted = sorted(let_in, key=lambda id: (-(-1 if known[id][1] is None else known[id][1]), id))
    assert [id for _, id in table.ranked(found, lambda: age, limit=1_000, name="age")] == wanted
    within = table.select(chosen, within={"age": (2, 4)}, leaving_out=let_in[:1])
    assert table.every(within) == [id for id in let_in[1:] if known[id][1] in (2, 3, 4)]


@settings(max_examples=50, deadline=None)
@given(records, st.integers(1, 7))
def test_pages_go_on_where_the_last_one_ended(some, limit):
    table = Table(list(FACETS), ["age"])
    table.put(rows(some))
    everything, age = table.select(), np.nan_to_num(table.numbers("age"), nan=-1.0)
    whole = table.ranked(everything, lambda: age, limit=1_000)
    by_id: list[str] = []
    by_age: list[tuple[float, str]] = []
    for _ in range(len(some) // limit + 1):
        by_id += table.page(everything, limit=limit, after=by_id[-1] if by_id else None)
        by_age += table.ranked(everything, lambda: age, limit=limit, after=by_age[-1] if by_age else None)
    assert (by_id, by_age) == (sorted(some), whole)


def test_a_page_goes_on_after_a_record_that_has_gone():
    table = Table(["country"])
    table.put({id: Row() for id in "abcd"})
    table.remove("b")
    assert table.page(table.select(), limit=2, after="b") == ["c", "d"]
    assert [id for _, id in table.ranked(table.select(), lambda: np.zeros(64), limit=2, after=(0.0, "b"))] == ["c", "d"]


def test_a_place_that_became_free_keeps_nothing_of_who_was_there():
    table = Table(["country"], ["age"])
    table.put({"old": Row({"country": ["LV"]}, {"age": 7})})
    table.remove(["old"])
    table.put({"new": Row()})
    assert table.counts(table.select(), "country") == {UNKNOWN: 1}
    assert table.every(table.select(within={"age": (None, None)})) == []


def test_a_facet_that_there_is_not_is_a_mistake_of_the_caller():
    with pytest.raises(KeyError):
        Table(["country"]).select({"colour": ["red"]})


years = st.one_of(st.none(), st.integers(1990, 2035))
practices = st.builds(
    lambda start, end, noted, status: PracticeFacts("x", {}, start=start, end=end, status_as_of=noted, status=status),
    years,
    years,
    years,
    st.sampled_from([None, "running", "ended", "planned", "continued"]),
)


def column(some: list[float | None]) -> np.ndarray:
    return np.array([np.nan if one is None else one for one in some], np.float64)


@settings(max_examples=200, deadline=None)
@given(st.lists(practices, min_size=1, max_size=20))
def test_years_and_freshness_are_those_of_experience(some):
    as_of, profile = date(2026, 3, 1), Profile()
    found = sure_year(
        column([one.start for one in some]),
        column([one.end for one in some]),
        column([one.status_as_of for one in some]),
        column([1 if one.status in ("running", "continued") else None for one in some]),
        as_of.year,
    )
    expected = [newest_sure_year(one, as_of) for one in some]
    assert [None if np.isnan(year) else int(year) for year in found] == expected
    weights = freshness_of(found, as_of.year, profile.half_life_years, profile.usual_freshness)
    usual = profile.usual_freshness
    for weight, year in zip(weights, expected, strict=True):
        assert weight == pytest.approx(usual if year is None else freshness(year, as_of, profile.half_life_years))


populations = st.one_of(st.none(), st.integers(0, 5_000_000))
shares = st.one_of(st.none(), st.floats(0, 1))
countries = st.sampled_from([None, "BE", "LV"])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(populations, shares, countries), min_size=1, max_size=10), populations, shares, countries)
def test_nearness_is_the_context_factor_of_suggestions(cities, population, share, country):
    profile = Profile()
    same = None if country is None else column([None if c is None else float(c == country) for _, _, c in cities])
    similar, coverage = context_of(
        Near(population, same, share),
        column([p for p, _, _ in cities]),
        column([s for _, s, _ in cities]),
        weights=profile.context,
        size_ratio=profile.size_ratio,
        share_range=profile.share_range,
    )
    mentee = Mentee(country=country, population=population, foreign_born_share=share)
    for place, (p, s, c) in enumerate(cities):
        city = CityFacts("x", {}, country=c, population=p, foreign_born_share=s)
        parts = context_parts(city, mentee, profile)
        expected = gower(parts, profile.context)
        known = sum(profile.context[part] for part, value in parts.items() if value is not None)
        assert coverage[place] == pytest.approx(known / sum(profile.context.values()))
        assert np.isnan(similar[place]) if expected is None else similar[place] == pytest.approx(expected)
