"""Promises of a list with few mentors of each country."""

from collections import Counter

import pytest
from hypothesis import strategies as st
from matching_cases import promise

from kg.matching.diversity import spread, spread_sentence

countries = st.lists(st.sampled_from(("BE", "LV", "ES", None)), max_size=12)
small = st.integers(1, 4)


def ranked(of):
    """Made-up cities c0, c1 …, best first, and their countries."""
    return [f"c{n}" for n in range(len(of))], {f"c{n}": country for n, country in enumerate(of)}


@promise(countries, small, st.integers(1, 8))
def test_no_country_has_more_than_its_share_and_the_order_stays(of, most, limit):
    listed, known = ranked(of)
    kept, back = spread(listed, known, most, limit)
    counted = Counter(known[listed[place]] for place in kept)
    counted.pop(None, None)
    assert all(number <= most for number in counted.values())
    assert kept == sorted(set(kept) - set(back))
    assert len(kept) <= limit


@promise(countries, small, st.integers(1, 8))
def test_a_shorter_list_is_the_beginning_of_a_longer_one(of, most, limit):
    listed, known = ranked(of)
    kept, back = spread(listed, known, most, limit)
    longer, more_back = spread(listed, known, most, limit + 1)
    assert longer[: len(kept)] == kept
    assert more_back[: len(back)] == back


@promise(countries, small, st.integers(1, 8))
def test_nobody_is_set_back_for_a_worse_city_of_the_same_country(of, most, limit):
    listed, known = ranked(of)
    kept, back = spread(listed, known, most, limit)
    for place in back:
        same = [other for other in kept if known[listed[other]] == known[listed[place]]]
        assert len(same) == most
        assert max(same) < place


@promise(countries, st.integers(1, 8))
def test_a_city_of_unknown_country_is_never_set_back(of, limit):
    listed, known = ranked(of)
    _, back = spread(listed, known, 1, limit)
    assert all(known[listed[place]] is not None for place in back)


def test_who_would_not_have_been_in_the_list_is_not_told_as_set_back():
    listed, known = ranked(["BE", "LV", "BE"])
    kept, back = spread(listed, known, 1, 2)
    assert (kept, back) == ([0, 1], [])


def test_the_sentence_names_whom_the_wish_set_back():
    assert "that changed nothing" in spread_sentence(1, [])["en"]
    assert (
        "sans ce souhait, Gand et Bruges figureraient"
        in spread_sentence(2, [{"fr": "Gand"}, {"en": "Bruges", "fr": "Bruges"}])["fr"]
    )


def test_numbers_below_one_are_refused():
    with pytest.raises(ValueError, match="at least 1"):
        spread([], {}, 0, 5)
