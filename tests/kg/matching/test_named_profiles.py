"""Promises of every built-in profile, the gap of peers, and profiles that a deployment describes."""

import math
from dataclasses import fields, replace
from datetime import date

import pytest
from hypothesis import assume
from hypothesis import strategies as st
from matching_cases import AS_OF, EVIDENCE, promise, requests, with_practice

from kg.errors import BadRequest, TooLarge, UnreadableInput
from kg.matching.facts import CityFacts, DeclaredExperience, Hit, Mentee, NeedHits, PracticeFacts
from kg.matching.profile import Profile
from kg.matching.profiles import BUILT_IN, MEANINGS, PEER_LEARNING, named_profile, profile_json
from kg.matching.suggestions import suggest
from kg.profiles import profiles_of

ALL = 100
profiles = st.sampled_from(list(BUILT_IN.values()))
levels = st.sampled_from((None, 0.0, 0.25, 0.5, 1.0))


@st.composite
def asked_by_peers(draw):
    """A request whose mentee has said how far along it is, now and then."""
    needs, known, mentee = draw(requests())
    level = draw(levels)
    if level is not None:
        said = tuple(DeclaredExperience(theme, level, "declared") for theme in ("heat", "trees"))
        mentee = replace(mentee or Mentee(), experience=said)
    return needs, known, mentee


def by_city(request, profile):
    needs, known, mentee = request
    return {s.city: s for s in suggest(needs, known, mentee=mentee, profile=profile, as_of=AS_OF, limit=ALL)}


@promise(asked_by_peers(), profiles)
def test_contributions_add_up_under_every_profile(request, profile):
    for one in by_city(request, profile).values():
        assert math.isclose(math.fsum(r.contribution for r in one.reasons), one.utility, abs_tol=1e-9)
        assert 0 <= one.utility <= 1


@promise(asked_by_peers(), profiles, st.data())
def test_a_better_evidenced_practice_never_lowers_its_city_under_any_profile(request, profile, data):
    before = by_city(request, profile)
    assume(before)
    needs, known, mentee = request
    city = known[data.draw(st.sampled_from(sorted(before)))]
    practice = data.draw(st.sampled_from(city.practices))

    def worth(evidence):
        return profile.evidence.get(evidence, profile.usual_evidence)

    better = data.draw(st.sampled_from([e for e in EVIDENCE if worth(e) >= worth(practice.evidence)]))
    mended = {**known, city.id: with_practice(city, replace(practice, evidence=better))}
    assert by_city((needs, mended, mentee), profile)[city.id].utility >= before[city.id].utility - 1e-12


@promise(asked_by_peers(), profiles, st.data())
def test_one_more_record_of_the_same_adds_at_most_a_share_under_any_profile(request, profile, data):
    needs, known, mentee = request
    before = by_city((needs[:1], known, mentee), profile)
    assume(before)
    city, need = known[data.draw(st.sampled_from(sorted(before)))], needs[0]
    hit = data.draw(st.sampled_from([h for h in need.hits if h.city == city.id and h.practice in city.practice]))
    assume(hit.similarity == max(h.similarity for h in need.hits if h.practice == hit.practice))
    copied = replace(city.practice[hit.practice], id=f"{city.id}-copy")
    more = replace(need, hits=(*need.hits, replace(hit, practice=copied.id)))
    after = by_city(([more], {**known, city.id: with_practice(city, copied)}, mentee), profile)[city.id]
    was, now = before[city.id].needs[0].relevance, after.needs[0].relevance
    tie = profile.ties[copied.tie or "own"]
    assert was - 1e-12 <= now <= was + profile.discount * hit.similarity * tie / profile.highest_sum + 1e-12


@promise(asked_by_peers(), profiles, st.randoms(use_true_random=False))
def test_the_order_of_records_matters_under_no_profile(request, profile, random):
    needs, known, mentee = request

    def shuffled(values):
        return tuple(random.sample(values, len(values)))

    others = {id: replace(known[id], practices=shuffled(known[id].practices)) for id in shuffled(tuple(known))}
    mixed = [replace(need, hits=shuffled(need.hits)) for need in needs]
    assert by_city(request, profile) == by_city((mixed, others, mentee), profile)


@promise(asked_by_peers(), profiles, st.integers(1, 3))
def test_a_shorter_list_is_the_beginning_of_a_longer_one_under_every_profile(request, profile, limit):
    needs, known, mentee = request
    asking = {"mentee": mentee, "profile": profile, "as_of": AS_OF}
    longer = suggest(needs, known, limit=ALL, **asking)
    assert suggest(needs, known, limit=limit, **asking) == longer[:limit]


@promise(asked_by_peers(), profiles)
def test_an_unknown_factor_counts_as_the_mean_of_the_known_ones_under_every_profile(request, profile):
    for one in by_city(request, profile).values():
        filled = [(r.weight, r.value if r.known else one.utility) for r in one.reasons]
        mean = math.fsum(w * v for w, v in filled) / math.fsum(w for w, _ in filled)
        assert math.isclose(mean, one.utility, abs_tol=1e-9)


def gap_of(mentor_practices, own, profile=PEER_LEARNING, themes=frozenset({"heat"})):
    city = CityFacts("gent", {"en": "Ghent"}, practices=tuple(mentor_practices))
    mentee = Mentee({"en": "Capaci"}, experience=() if own is None else (DeclaredExperience("heat", own),))
    need = NeedHits(tuple(Hit(p.id, "gent", 0.6) for p in mentor_practices), themes=themes)
    [one] = suggest([need], {"gent": city}, mentee=mentee, profile=profile, as_of=date(2026, 1, 1))
    return next(reason for reason in one.reasons if reason.factor == "gap")


def practice(id="p", **facts):
    return PracticeFacts(id, {"en": "Shade"}, frozenset({"heat"}), **{"end": 2026, **facts})


def test_peers_want_a_small_gap_and_mentors_a_large_one():
    three = [practice(id, evidence="independent-evaluation") for id in "abc"]
    far, near = gap_of(three, own=0.0), gap_of(three, own=0.75)
    assert near.value > 0.6 > 0.25 > far.value
    assert (near.stance, far.stance) == ("for", "against")
    assert near.text["en"] == "It is about as far along as Capaci: a good distance for learning from each other."
    assert far.text["fr"].startswith("Elle est nettement plus avancée que Capaci")
    assert gap_of(three, 0.0, Profile()).value > gap_of(three, 0.75, Profile()).value


def test_a_peer_that_is_behind_is_told_so():
    behind = gap_of([practice(end=1990)], own=1.0)
    assert behind.value < 0.25
    assert "less far along than Capaci on record" in behind.text["en"]


def test_evidence_moves_no_city_away_from_its_peers():
    values = {gap_of([practice(evidence=kind)], own=0.5).value for kind in EVIDENCE}
    assert len(values) == 1


def test_a_gap_to_a_mentee_of_unknown_level_is_unknown_among_peers_too():
    gap = gap_of([practice()], own=None)
    assert (gap.known, gap.stance) == (False, "unknown")


def test_every_constant_of_a_profile_has_a_meaning_and_is_told():
    told = {field.name for field in fields(Profile)} - {"name", "version", "label", "changed"}
    assert set(MEANINGS) == told
    for profile in BUILT_IN.values():
        for language in ("en", "fr"):
            shown = profile_json(profile, language, default=False)
            assert all(constant["meaning"].endswith(".") for constant in shown["constants"].values())
            assert set(shown["factors"]) == set(profile.weights)
        assert set(profile.label) == {"en", "fr"}


def test_an_unknown_profile_is_refused_with_those_there_are():
    with pytest.raises(BadRequest, match="there is no 'mentor'; there are mentoring, peer-learning"):
        named_profile(BUILT_IN, "mentor", "mentoring")


def written(tmp_path, text):
    file = tmp_path / "profiles.toml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def test_a_described_profile_takes_the_rest_from_the_one_it_is_based_on(tmp_path):
    text = """
    default = "near"
    [profiles.near]
    version = "3"
    based_on = "peer-learning"
    label = {en = "Near", fr = "Proche"}
    weights = {language = 1}
    best = 2
    bands.strong.utility = 0.6
    """
    found, default = profiles_of(written(tmp_path, text))
    near = found["near"]
    assert (default, near.version, near.label["fr"], near.best) == ("near", "3", "Proche", 2)
    assert near.weights == {**PEER_LEARNING.weights, "language": 1.0}
    assert (near.best_gap, near.bands[0].utility, near.bands[0].relevance) == (0.1, 0.6, 0.38)
    assert set(found) == {*BUILT_IN, "near"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[profiles.x]\nbest = 3", r"profile 'x': version: give one as a text, such as version = \"2026-1\""),
        ('[profiles.x]\nversion = "1"\nweights = {distance = 1}', "profile 'x': weights: there is no 'distance'"),
        ('[profiles.x]\nversion = "1"\nweights = {gap = -1}', "weights.gap: '-1' is not a number from 0 to 1000"),
        ('[profiles.x]\nversion = "1"\nweights = {gap = nan}', "weights.gap: 'nan' is not"),
        ('[profiles.x]\nversion = "1"\nweights = {gap = true}', "weights.gap: 'true' is not"),
        ('[profiles.x]\nversion = "1"\nweights = {relevance = 0}', "weights.relevance: must be above 0"),
        ('[profiles.x]\nversion = "1"\nhalf_life_years = 0', "half_life_years: '0' is not a number above 0"),
        ('[profiles.x]\nversion = "1"\nbest = 2.5', "best: '2.5' is not a whole number from 1 to 20"),
        ('[profiles.x]\nversion = "1"\nbands = {good = {utility = 0.9}}', "'strong' asks for less than 'good'"),
        ('[profiles.x]\nversion = "1"\ncolour = 1', "there is no 'colour'"),
        ('[profiles.x]\nversion = "1"\nbased_on = "y"', "based_on: there is no 'y' before it"),
        ('[profiles.mentoring]\nversion = "2"', "profile 'mentoring': this name is built in"),
        ('[profiles."A B"]\nversion = "2"', "a name has at most 40 small letters"),
        ('default = "x"', "default: there is no 'x'; there are mentoring, peer-learning"),
        ("profiles = 3", "profiles: give a table"),
        ("[profiles", "this is not TOML"),
        (b"\xff", "byte 1 is not UTF-8"),
        ("a = " + "[" * 5000, "profiles.toml: "),
    ],
)
def test_what_is_wrong_in_a_file_is_told_with_its_place(tmp_path, text, told):
    with pytest.raises(UnreadableInput, match=told):
        profiles_of(written(tmp_path, text))


def test_a_file_that_is_not_there_or_too_large_is_told_by_name(tmp_path):
    with pytest.raises(UnreadableInput, match=r"profiles: none\.toml cannot be read"):
        profiles_of(tmp_path / "none.toml")
    with pytest.raises(TooLarge, match="200,000 bytes"):
        profiles_of(written(tmp_path, "#" * 200_001))
