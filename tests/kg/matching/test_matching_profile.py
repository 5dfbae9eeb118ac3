"""The profile's constants, and what a request may change."""

import math

import pytest

from kg.errors import BadRequest
from kg.matching.factors import FACTORS
from kg.matching.profile import Profile
from kg.matching.reasons import BAND_LABELS, EVIDENCE_LABELS, FACTOR_LABELS

PROFILE = Profile()


def test_the_constants_are_the_documented_ones():
    assert (PROFILE.half_life_years, PROFILE.discount, PROFILE.best, PROFILE.size_ratio) == (6, 0.5, 3, 100)
    assert PROFILE.ties == {"own": 1.0, "partner": 0.6, "located": 0.4}
    assert PROFILE.evidence == {
        "independent-evaluation": 0.9,
        "outcome-counts": 0.7,
        "label-or-award": 0.6,
        "activity-counts": 0.5,
        "none": 0.3,
    }
    assert math.fsum(PROFILE.weights.values()) == pytest.approx(1)


def test_every_weight_has_a_factor_and_every_factor_band_and_evidence_its_words():
    assert set(PROFILE.weights) == set(FACTORS) == set(FACTOR_LABELS)
    assert {*(band.name for band in PROFILE.bands), "weak"} == set(BAND_LABELS)
    assert set(PROFILE.evidence) == set(EVIDENCE_LABELS)


def test_weights_of_a_request_are_set_and_named():
    changed = PROFILE.with_weights({"gap": 2, "language": 0.05}).with_weights({"trust": 0})
    assert (changed.weights["gap"], changed.weights["trust"], changed.changed) == (2.0, 0.0, ("gap", "trust"))
    assert PROFILE.weights["gap"] == 0.10


@pytest.mark.parametrize(
    ("weights", "named"),
    [
        ({"distance": 1}, "'distance': no such factor; there are relevance, experience"),
        ({"gap": -0.1}, "'gap': '-0.1' is not between 0 and 1000"),
        ({"gap": math.nan}, "'gap': 'nan' is not between"),
        ({"gap": math.inf}, "'gap': 'inf' is not between"),
        ({"gap": 10**400}, "'gap': .* is not between"),
        ({"gap": "0.5"}, "'gap': '0.5' is not a number"),
        ({"gap": True}, "'gap': 'true' is not a number"),
        ({"gap": None}, "'gap': 'null' is not a number"),
        ({"relevance": 0}, "'relevance': it must be above 0"),
    ],
)
def test_a_weight_that_cannot_be_used_is_refused_by_name(weights, named):
    with pytest.raises(BadRequest, match=named):
        PROFILE.with_weights(weights)


def test_nobody_changes_the_default_by_accident():
    with pytest.raises(TypeError):
        PROFILE.weights["gap"] = 1


def test_a_band_needs_both_its_thresholds():
    strong = PROFILE.bands[0]
    assert PROFILE.band(strong.utility, strong.relevance) == "strong"
    assert PROFILE.band(strong.utility - 0.01, strong.relevance) == "good"
    assert PROFILE.band(1, 0) == "weak"
