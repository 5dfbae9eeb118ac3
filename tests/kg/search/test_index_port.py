"""What every engine of the search port promises: asked the same, they answer the same."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest

from kg.errors import IndexMismatch
from kg.search import register as register_module
from kg.search.port import Document, point_id
from kg.search.ranking import Filters
from tests.kg.search.index_cases import (
    ENGINES,
    Place,
    asking,
    document,
    engine,
    quiet_in_memory,
    scores,
)

pytestmark = quiet_in_memory


@pytest.fixture(params=ENGINES)
def place(request, tmp_path):
    with engine(request.param) as indexes:
        yield Place(tmp_path / "index", indexes)


@pytest.fixture
def index(place):
    with contextlib.closing(place.open()) as index:
        yield index


def test_a_practice_scores_by_its_best_passage_and_its_words_as_a_whole(index):
    index.change(practices=[document("a", [0, 1, 0, 0], [3, 4, 0, 0], words={7: 0.5}, beginnings={9: 0.25})], marker=1)
    dense, words, beginnings = scores(index, asking(words={7: 0.5, 8: 0.5}, beginnings={9: 1.0}))["a"]
    assert (dense, words, beginnings) == pytest.approx((0.6, 0.25, 0.25))


def test_of_some_passages_the_nearest_is_told_the_earlier_of_equal_ones(index):
    index.change(practices=[document("a", [1, 0, 0, 0], [0, 1, 0, 0], [3, 4, 0, 0], [0, 1, 0, 0])], marker=1)
    first, second, third, fourth = (point_id("a", 4, n) for n in range(4))
    asked = [
        ([1, 0, 0, 0], [second, third]),
        ([0, 1, 0, 0], [fourth, second]),
        ([1, 0, 0, 0], []),
        ([1, 0, 0, 0], [first]),
    ]
    assert index.nearest(asked) == [third, second, None, first]
    assert index.nearest([]) == []


def test_each_signal_brings_candidates_of_its_own(index):
    index.change(
        practices=[
            document("by-meaning", [1, 0, 0, 0]),
            document("by-word", [0, 1, 0, 0], words={4_294_967_295: 1.0}),
            document("by-beginning", [0, 1, 0, 0], beginnings={2: 1.0}),
            document("by-theme", [0, 1, 0, 0], themes_all=["housing"]),
            *(document(f"other-{n}", [0.1, 1, 0, 0]) for n in range(20)),
        ],
        marker=1,
    )
    query = asking(words={4_294_967_295: 1.0}, beginnings={2: 1.0}, themes=("housing",))
    assert {"by-meaning", "by-word", "by-beginning", "by-theme"} <= scores(index, query, depth=1).keys()


def test_signals_are_the_same_however_short_the_lists_were(index):
    rng = np.random.default_rng(1)
    index.change(
        practices=[
            document(f"p-{n:02}", *rng.normal(size=(3, 4)), words={n % 5: 0.3 + n / 100}, beginnings={n % 3: 0.7})
            for n in range(40)
        ],
        marker=1,
    )
    query = asking(0.6, 0.8, 0, 0, words={1: 0.5, 2: 0.5}, beginnings={2: 1.0})
    whole = scores(index, query, depth=500)
    for depth in (1, 3, 10):
        short = scores(index, query, depth=depth)
        assert 0 < len(short) < len(whole)
        assert short == {practice: pytest.approx(whole[practice]) for practice in short}


def test_a_shorter_version_of_a_practice_leaves_no_passage_behind(index):
    index.change(practices=[document("a", [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]), document("b")], marker=1)
    index.change(practices=[document("a", [0, 0, 0, 1], revision=2)], marker=2)
    assert index.passages == 2
    assert scores(index, asking())["a"][0] == pytest.approx(0.0, abs=1e-6)
    assert index.held() == {("practice", "a"): 2, ("practice", "b"): 1}


def test_a_removed_practice_is_gone_with_all_its_passages(index):
    index.change(practices=[document("a", [1, 0, 0, 0], [0, 1, 0, 0], words={5: 1.0}), document("b")], marker=1)
    index.change(removed=["a"], marker=2)
    assert (index.passages, index.count, index.marker) == (1, 1, 2)
    assert scores(index, asking()).keys() == {"b"}
    assert index.using([5]) == {}


def test_words_are_counted_once_per_practice_however_often_it_changes(index):
    for revision in (1, 2, 2):
        index.change(
            practices=[document("a", words={5: 0.1, 6: 0.9}, beginnings={7: 1.0}, revision=revision)], marker=1
        )
    index.change(practices=[document("b", words={5: 0.4})], marker=2)
    assert index.using([5, 6, 7, 8]) == {5: 2, 6: 1, 7: 1}
    index.change(practices=[document("a", words={6: 0.9})], marker=3)
    assert index.using([5, 6, 7, 8]) == {5: 1, 6: 1}


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (Filters(), {"a", "b", "c"}),
        (Filters(countries=frozenset({"BE"})), {"b"}),
        (Filters(themes=frozenset({"housing"})), {"a", "b"}),
        (Filters(languages=frozenset({"fr", "de"})), {"c"}),
        (Filters(population_min=50_000), {"b"}),
        (Filters(population_max=50_000), {"a"}),
        (Filters(population_min=1, population_max=10**9), {"a", "b"}),
        (Filters(exclude_cities=frozenset({"riga"})), {"b", "c"}),
        (Filters(exclude_practices=frozenset({"b", "c"})), {"a"}),
        (Filters(practices=frozenset({"b", "c", "z"})), {"b", "c"}),
        (Filters(collections=frozenset({"keep"})), {"c"}),
        (Filters(countries=frozenset({"BE"}), exclude_cities=frozenset({"gent"})), set()),
    ],
)
def test_a_filter_lets_in_what_meets_it(index, filters, expected):
    index.change(
        practices=[
            document("a", city="riga", country="LV", themes_all=["housing", "home"], population=20_000),
            document("b", city="gent", country="BE", themes_all=["housing"], population=260_000),
            document("c", city="lyon", country="FR", languages=["fr", "en"], collection="keep"),
        ],
        marker=1,
    )
    query = asking(words={1: 1.0}, themes=("housing",))
    assert scores(index, query, filters).keys() == expected


def test_what_is_stored_with_all_passages_can_be_refreshed(index):
    index.change(practices=[document("a", [1, 0, 0, 0], [0, 1, 0, 0]), document("b")], marker=1)
    index.change(refreshed=[("a", {"country": "EE"})])
    assert scores(index, asking(0, 1, 0, 0), Filters(countries=frozenset({"EE"})))["a"][0] == pytest.approx(1.0)
    assert scores(index, asking(), Filters(countries=frozenset({"LV"}))).keys() == {"b"}


def test_a_practice_needs_a_vector_for_every_passage(index):
    broken = document("a", [1, 0, 0, 0], [0, 1, 0, 0])
    with pytest.raises(ValueError, match="a vector each"):
        index.change(practices=[Document(**{**broken.__dict__, "vectors": broken.vectors[:1]})])


def test_everything_is_there_after_closing_and_opening(place):
    with contextlib.closing(place.open()) as index:
        index.change(practices=[document("a", words={5: 1.0})], kept=[("city", "riga", 3, {"country": "LV"})], marker=4)
    with contextlib.closing(place.open()) as index:
        assert (index.marker, index.count, index.passages) == (4, 1, 1)
        assert index.held() == {("practice", "a"): 1, ("city", "riga"): 3}
        assert index.kept("city") == {"riga": {"country": "LV"}}
        assert scores(index, asking(words={5: 1.0})) == {"a": pytest.approx((1.0, 1.0, 0.0))}
        index.change(forgotten=[("city", "riga")])
        assert index.kept("city") == {}


def test_clearing_forgets_everything_and_the_index_goes_on(place):
    with contextlib.closing(place.open()) as index:
        index.change(practices=[document("a", words={5: 1.0})], marker=4)
        index.clear()
        assert (index.marker, index.count, index.passages, index.held(), index.using([5])) == (0, 0, 0, {}, {})
        index.change(practices=[document("b")], marker=1)
        assert scores(index, asking()).keys() == {"b"}


@pytest.mark.parametrize(("model", "dimension"), [("m2", 4), ("m1", 5)])
def test_an_index_of_another_model_is_refused(place, model, dimension):
    place.open().close()
    with pytest.raises(IndexMismatch, match=f"another {'model' if model == 'm2' else 'dimension'}"):
        place.open(model, dimension)


def test_an_index_of_another_layout_is_refused(place, monkeypatch):
    place.open().close()
    monkeypatch.setattr(register_module, "LAYOUT", "next")
    with pytest.raises(IndexMismatch, match="another layout"):
        place.open()


def test_a_change_repeated_after_a_kill_between_engine_and_register_gives_the_same_index(place, monkeypatch):
    first = [document("a", [1, 0, 0, 0], [0, 1, 0, 0], words={5: 1.0}), document("b", words={5: 1.0})]
    with contextlib.closing(place.open()) as index:
        index.change(practices=first, marker=1)
        monkeypatch.setattr(index._register, "take_over", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            index.change(practices=[document("a", words={6: 1.0}), document("c", [1, 0, 0, 0], [0, 0, 0, 1])], marker=2)
    with contextlib.closing(place.open()) as index:
        assert index.marker == 1
        index.change(practices=[document("a", words={6: 1.0}, revision=2)], removed=["c"], marker=2)
        assert (index.passages, index.count, index.using([5, 6])) == (2, 2, {5: 1, 6: 1})
        index.close()
        index = place.open()
        assert scores(index, asking(words={5: 0.5, 6: 0.5})) == {
            "a": pytest.approx((1.0, 0.5, 0.0)),
            "b": pytest.approx((1.0, 0.5, 0.0)),
        }
