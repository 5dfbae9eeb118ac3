"""The discounted sum and the voting models it is compared with."""

import math

import pytest
from hypothesis import strategies as st
from matching_cases import promise, similarities

from kg.matching.aggregation import MODELS, TEMPERATURE, Vote, discounted_sum, vote

RANKED = [Vote("a", "gent", 0.8), Vote("b", "lyon", 0.6), Vote("c", "gent", 0.4), Vote("d", "lyon", 0.2)]


@pytest.mark.parametrize(
    ("model", "gent", "lyon"),
    [
        ("top-m", 0.8 + 0.4 / 2, 0.6 + 0.2 / 2),
        ("Votes", 2, 2),
        ("RR", 1 + 1 / 3, 1 / 2 + 1 / 4),
        ("CombMAX", 0.8, 0.6),
        ("CombSUM", 1.2, 0.8),
        ("CombMNZ", 2.4, 1.6),
        ("expCombSUM", math.exp(0.8 / TEMPERATURE) + math.exp(0.4 / TEMPERATURE), None),
        ("expCombMNZ", 2 * (math.exp(0.8 / TEMPERATURE) + math.exp(0.4 / TEMPERATURE)), None),
        ("Norm2", 1.2 * math.log2(1 + 3 / 2), 0.8 * math.log2(1 + 3 / 4)),
    ],
)
def test_each_model_scores_by_its_formula(model, gent, lyon):
    scores = vote(RANKED, model, records={"gent": 2, "lyon": 4})
    assert scores["gent"] == pytest.approx(gent)
    assert lyon is None or scores["lyon"] == pytest.approx(lyon)


def test_every_model_has_its_formula_tested():
    tested = test_each_model_scores_by_its_formula.pytestmark[0].args[1]
    assert {model for model, *_ in tested} == set(MODELS)


def test_an_unknown_model_is_refused():
    with pytest.raises(ValueError, match="Borda"):
        vote(RANKED, "Borda")
    with pytest.raises(ValueError, match="number of records"):
        vote(RANKED, "Norm2")


@pytest.mark.parametrize("model", MODELS)
def test_the_order_of_votes_does_not_matter(model):
    records = {"gent": 2, "lyon": 2}
    assert list(vote(RANKED[::-1], model, records=records).items()) == list(
        vote(RANKED, model, records=records).items()
    )


def test_equal_cities_are_ordered_by_id():
    assert list(vote([Vote("a", "lyon", 0.5), Vote("b", "gent", 0.5)], "CombSUM")) == ["gent", "lyon"]


def test_the_largest_scores_count_wherever_they_stand():
    assert discounted_sum([0.1, 0.4, 0.2, 0.8]) == pytest.approx(0.8 + 0.4 / 2 + 0.2 / 4)


@promise(st.lists(similarities, max_size=6), similarities)
def test_one_more_practice_never_lowers_and_adds_at_most_its_own_score(scores, more):
    gained = discounted_sum([*scores, more]) - discounted_sum(scores)
    assert -1e-12 <= gained <= more + 1e-12


@promise(st.lists(similarities, min_size=1, max_size=6), st.data())
def test_the_same_thing_again_adds_at_most_half_of_its_score(scores, data):
    again = data.draw(st.sampled_from(scores))
    assert discounted_sum([*scores, again]) - discounted_sum(scores) <= 0.5 * again + 1e-12
