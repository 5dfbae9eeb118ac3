from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kg.search import ranking
from kg.search.ranking import SIGNALS, Filters, Profile, Weights

unit = st.floats(0, 1)
weight = st.floats(0.01, 10)
some_weights = st.builds(Weights, weight, weight, weight, weight)
some_signals = st.fixed_dictionaries({name: st.none() | unit for name in SIGNALS})
some_counts = st.dictionaries(st.integers(0, 50), st.integers(1, 20), max_size=20)


@given(some_signals, some_weights)
def test_a_similarity_lies_between_the_known_signals(signals, weights):
    known = [value for value in signals.values() if value is not None]
    result = ranking.similarity(signals, weights)
    if known:
        assert min(known) - 1e-5 <= result <= max(known) + 1e-5
    else:
        assert result == 0.0


@given(some_signals, some_weights)
def test_a_similarity_has_five_decimals(signals, weights):
    result = ranking.similarity(signals, weights)
    assert result == round(result, 5)


@given(some_signals, some_weights, st.sampled_from(SIGNALS), unit)
def test_a_stronger_signal_never_lowers_a_similarity(signals, weights, name, value):
    stronger = {**signals, name: max(value, signals[name] or 0.0)}
    if signals[name] is not None:
        assert ranking.similarity(stronger, weights) >= ranking.similarity(signals, weights)


@given(some_signals, some_weights, st.floats(0.1, 10))
def test_only_the_proportions_of_weights_matter(signals, weights, factor):
    scaled = Weights(*(factor * getattr(weights, name) for name in SIGNALS))
    assert ranking.similarity(signals, weights) == pytest.approx(ranking.similarity(signals, scaled), abs=1.1e-5)


def test_an_unknown_signal_is_not_a_bad_one():
    weights = Weights(1, 1, 1, 1)
    assert ranking.similarity({"dense": 0.8, "themes": None}, weights) == 0.8
    assert ranking.similarity({"dense": 0.8, "themes": 0.0}, weights) == 0.4


@given(some_counts, some_counts, st.integers(1, 1000))
def test_words_of_a_need_and_a_practice_give_a_share_of_one(need, practice, total):
    using = {word: min(total, 1 + word) for word in practice}
    wanted = ranking.asked(need, using, total)
    stored = ranking.saturated(practice, 100.0, Profile())
    score = sum(value * stored.get(word, 0.0) for word, value in wanted.items())
    assert 0.0 <= score < 1.0 + 1e-9
    assert not wanted or math.isclose(sum(wanted.values()), 1.0)


def test_the_sum_is_bm25_divided_by_its_upper_bound():
    profile, need, practice = Profile(), {1: 1, 2: 1}, {1: 3, 3: 5}
    using, total, length, normal = {1: 4, 2: 9}, 20, 8, 10.0
    idf = {word: math.log(1 + (total - n + 0.5) / (n + 0.5)) for word, n in using.items()}
    k1, b = profile.k1, profile.b
    bm25 = idf[1] * 3 * (k1 + 1) / (3 + k1 * (1 - b + b * length / normal))
    bound = (idf[1] + idf[2]) * (k1 + 1)
    wanted, stored = ranking.asked(need, using, total), ranking.saturated(practice, normal, profile)
    assert sum(value * stored.get(word, 0.0) for word, value in wanted.items()) == pytest.approx(bm25 / bound)


EVEN = Profile(dense_floor=0.0, dense_ceiling=1.0, read=Weights(1, 1, 1, 1))


@given(some_signals, some_weights)
def test_weighing_many_practices_gives_the_similarity_of_each(signals, weights):
    known = {name: signals[name] or 0.0 for name in ("dense", "bm25", "beginnings")}
    weighed = ranking.weighing(weights)(**known, themes=signals["themes"])
    assert weighed == ranking.similarity({**known, "themes": signals["themes"]}, weights)


def test_weights_of_nothing_but_unknown_themes_give_no_similarity():
    assert ranking.weighing(Profile().only("themes").weights("read"))(0.9, 0.9, 0.9, None) == 0.0


@given(st.dictionaries(st.integers(0, 10**6), st.fixed_dictionaries({"dense": unit, "words": unit}), max_size=30))
def test_a_shorter_shortlist_is_the_beginning_of_a_longer_one(found):
    longer = ranking.shortlist(found, {}, EVEN, "read", kept=20)
    assert ranking.shortlist(dict(reversed(found.items())), {}, EVEN, "read", kept=5) == longer[:5]


def test_a_candidate_that_a_full_list_left_out_is_not_thrown_away_too_early():
    found = {1: {"dense": 0.5, "words": 0.05}, 2: {"dense": 0.4}}
    assert ranking.shortlist(found, {"words": 0.2}, EVEN, "read", kept=1) == [2]
    assert ranking.shortlist(found, {"words": 0.0}, EVEN, "read", kept=1) == [1]


def test_a_theme_counts_by_its_strength_in_the_need():
    def same(a, b):
        return float(a == b)

    assert ranking.ThemeMatching({"housing": 0.9, "sport": 0.1}, same).match(["housing"]) == pytest.approx(0.9)
    assert ranking.ThemeMatching({"housing": 0.9, "sport": 0.1}, same).match(["sport"]) == pytest.approx(0.1)
    assert ranking.ThemeMatching({"housing": 0.9}, same).match([]) is None


def test_european_words_share_their_beginnings_and_short_words_are_none():
    english = ranking.beginning_counts(["participation in the city"])
    for text in ("Partizipation und die Stadt", "la participación", "partecipazione"):
        assert bool(english.keys() & ranking.beginning_counts([text]).keys()) == (not text.startswith("partec"))
    assert not ranking.beginning_counts(["in the and und die"])


def test_words_and_beginnings_never_share_a_number():
    assert not ranking.word_counts([("house", None)]).keys() & ranking.beginning_counts(["house"]).keys()


@pytest.mark.parametrize("signal", SIGNALS)
def test_one_signal_alone_is_the_whole_similarity(signal):
    signals = {name: 0.3 if name == signal else 0.9 for name in SIGNALS}
    for situation in ("read", "bridged", "unbridged"):
        assert ranking.similarity(signals, Profile().only(signal).weights(situation)) == 0.3


def test_filters_ask_for_nothing_by_default():
    assert Filters() == Filters(frozenset(), frozenset(), frozenset(), None, None, frozenset())


# ------------------------------------------------------------------------------- themes that a need means

some_themes = st.dictionaries(st.sampled_from("abcdefgh"), st.floats(0.25, 1))
some_nearness = st.dictionaries(st.sampled_from("abcdefghij"), unit)


@given(some_themes, some_nearness, st.booleans())
def test_no_theme_that_words_led_to_grows_and_what_is_unknown_stays(named, nearness, chosen):
    meant = ranking.meant_themes(named, nearness, Profile(), chosen=chosen)
    for theme, strength in named.items():
        assert meant.get(theme, 0.0) <= round(strength, 5)
        if nearness.get(theme, 1.0) >= Profile().meant:
            assert meant[theme] == round(strength, 5)
    assert all(0 < strength <= 1 for strength in meant.values())
    assert list(meant.values()) == sorted(meant.values(), reverse=True)


@given(some_themes, some_nearness, st.randoms(use_true_random=False))
def test_the_order_of_themes_does_not_matter_to_what_a_need_means(named, nearness, random):
    shuffled = [dict(random.sample(list(some.items()), len(some))) for some in (named, nearness)]
    meant = ranking.meant_themes(named, nearness, Profile())
    assert list(ranking.meant_themes(*shuffled, Profile()).items()) == list(meant.items())


@given(some_themes, some_nearness, st.booleans())
def test_themes_without_a_word_come_only_where_words_are_not_enough(named, nearness, chosen):
    meant = ranking.meant_themes(named, nearness, Profile(), chosen=chosen)
    added = meant.keys() - named.keys()
    assert len(added) <= ranking.MOST_BY_MEANING
    if added:
        assert not chosen
        assert all(nearness[theme] >= Profile().meant for theme in added)
        assert all(meant.get(theme, 0.0) < Profile().sure for theme in named)
