"""Promises of suggest(): what holds for every request, and a few requests read as stories."""

import math
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import assume
from hypothesis import strategies as st
from matching_cases import AS_OF, EVIDENCE, promise, requests, with_practice

from kg.matching.facts import Availability, CityFacts, DeclaredExperience, Hit, Mentee, NeedHits, PracticeFacts
from kg.matching.profile import Profile
from kg.matching.suggestions import suggest

PROFILE = Profile()
ALL = 100


def by_city(request, profile=PROFILE):
    asked, known, mentee = request
    listed = suggest(asked, known, mentee=mentee, profile=profile, as_of=AS_OF, limit=ALL)
    return {suggestion.city: suggestion for suggestion in listed}


weights = st.none() | st.dictionaries(st.sampled_from(sorted(PROFILE.weights)), st.floats(0.001, 1000), max_size=4)


@promise(requests(), weights)
def test_contributions_add_up_to_the_utility(request, overrides):
    profile = PROFILE.with_weights(overrides or {})
    for suggestion in by_city(request, profile).values():
        reasons = suggestion.reasons
        assert {reason.factor for reason in reasons} == set(profile.weights)
        assert math.isclose(math.fsum(r.contribution for r in reasons), suggestion.utility, abs_tol=1e-9)
        known = math.fsum(r.weight for r in reasons if r.known)
        mean = math.fsum(r.weight * r.value for r in reasons if r.known) / known
        assert math.isclose(suggestion.utility, mean, abs_tol=1e-9)
        assert math.isclose(suggestion.coverage, known / math.fsum(profile.weights.values()), abs_tol=1e-9)


@promise(requests())
def test_every_number_is_in_its_range(request):
    for suggestion in by_city(request).values():
        assert 0 <= suggestion.utility <= 1
        assert 0 < suggestion.coverage <= 1 + 1e-12
        for reason in suggestion.reasons:
            assert (reason.value is None) == (not reason.known) == (reason.stance == "unknown")
            assert reason.value is None or 0 <= reason.value <= 1
            assert reason.contribution == 0 or reason.known
        contributions = [reason.contribution for reason in suggestion.reasons]
        assert contributions == sorted(contributions, reverse=True)


@promise(requests())
def test_every_sentence_is_said_in_both_languages(request):
    for suggestion in by_city(request).values():
        said = [r.text for r in suggestion.reasons] + [c.text for c in suggestion.cautions] + list(suggestion.against)
        said += [text for unknown in suggestion.unknowns for text in (unknown.text, unknown.ask)]
        for text in said:
            assert set(text) == {"en", "fr"}
            for sentence in text.values():
                assert sentence.endswith(".")
                assert not set(sentence) & set("{}")
                assert not [wrong for wrong in ("None", "  ", "%", "..") if wrong in sentence]


@promise(requests(), st.randoms(use_true_random=False))
def test_the_order_of_records_does_not_matter(request, random):
    asked, known, mentee = request

    def shuffled(values):
        return tuple(random.sample(values, len(values)))

    other_cities = {id: replace(known[id], practices=shuffled(known[id].practices)) for id in shuffled(tuple(known))}
    other_needs = [replace(need, hits=shuffled(need.hits)) for need in asked]
    one = suggest(asked, known, mentee=mentee, as_of=AS_OF, limit=ALL)
    other = suggest(other_needs, other_cities, mentee=mentee, as_of=AS_OF, limit=ALL)
    assert one == other


@promise(requests(), st.integers(1, 4))
def test_a_shorter_list_is_the_beginning_of_a_longer_one(request, limit):
    asked, known, mentee = request
    longer = suggest(asked, known, mentee=mentee, as_of=AS_OF, limit=limit + 1)
    assert suggest(asked, known, mentee=mentee, as_of=AS_OF, limit=limit) == longer[:limit]
    assert [suggestion.rank for suggestion in longer] == list(range(1, len(longer) + 1))


@promise(requests())
def test_no_city_mentors_itself(request):
    asked, known, _ = request
    listed = suggest(asked, known, mentee=Mentee.on_record(known["c0"]), as_of=AS_OF, limit=ALL)
    assert "c0" not in {suggestion.city for suggestion in listed}


@promise(requests(), st.data())
def test_a_better_evidenced_practice_never_lowers_its_city(request, data):
    before = by_city(request)
    assume(before)
    asked, known, mentee = request
    city = known[data.draw(st.sampled_from(sorted(before)))]
    practice = data.draw(st.sampled_from(city.practices))

    def worth(evidence):
        return PROFILE.evidence.get(evidence, PROFILE.usual_evidence)

    better = data.draw(st.sampled_from([e for e in EVIDENCE if worth(e) >= worth(practice.evidence)]))
    mended = {**known, city.id: with_practice(city, replace(practice, evidence=better))}
    after = by_city((asked, mended, mentee))
    assert after[city.id].utility >= before[city.id].utility - 1e-12


@promise(requests(), st.data())
def test_one_more_record_of_the_same_thing_never_lowers_and_adds_at_most_a_share(request, data):
    asked, known, mentee = request
    before = by_city((asked[:1], known, mentee))
    assume(before)
    city = known[data.draw(st.sampled_from(sorted(before)))]
    need = asked[0]
    hit = data.draw(st.sampled_from([h for h in need.hits if h.city == city.id and h.practice in city.practice]))
    assume(hit.similarity == max(h.similarity for h in need.hits if h.practice == hit.practice))
    copied = replace(city.practice[hit.practice], id=f"{city.id}-copy")
    more = replace(need, hits=(*need.hits, replace(hit, practice=copied.id)))
    after = by_city(([more], {**known, city.id: with_practice(city, copied)}, mentee))[city.id]
    was, now = before[city.id].needs[0].relevance, after.needs[0].relevance
    tie = PROFILE.ties.get(copied.tie or "own")
    assert was - 1e-12 <= now <= was + PROFILE.discount * hit.similarity * tie / PROFILE.highest_sum + 1e-12
    assert after.utility >= before[city.id].utility - 1e-12


def one_need(similarity=0.7):
    return NeedHits((Hit("p", "gent", similarity),), themes=frozenset({"heat"}))


def gent(**facts):
    practice = PracticeFacts("p", {"en": "Shade"}, frozenset({"heat"}), evidence="outcome-counts", end=2024)
    return CityFacts("gent", {"en": "Ghent", "fr": "Gand"}, practices=(practice,), **facts)


MENTEE = Mentee(
    {"en": "Capaci"},
    country="IT",
    working_languages=("it",),
    population=11_500,
    experience=(DeclaredExperience("heat", 1.0),),
)


@pytest.mark.parametrize(
    ("unknown", "bad"),
    [
        ({}, {"availability": Availability(consent=True, quota=0)}),
        ({}, {"population": 11_500 * 100}),
        ({}, {"population": 115}),
        ({}, {"country": "BE"}),
        ({"availability": Availability(True)}, {"availability": Availability(True, working_languages=("nl",))}),
        ({"languages": ("nl",)}, {"availability": Availability(True, quota=0, working_languages=("nl",))}),
    ],
)
def test_what_is_unknown_never_counts_as_bad(unknown, bad):
    """A city of which a fact is not known is never behind the same city with that fact known to be bad."""
    [open_question] = suggest([one_need()], {"gent": gent(**unknown)}, mentee=MENTEE, as_of=AS_OF)
    [known_bad] = suggest([one_need()], {"gent": gent(**bad)}, mentee=MENTEE, as_of=AS_OF)
    assert open_question.utility > known_bad.utility
    assert open_question.coverage < known_bad.coverage


@promise(requests())
def test_an_unknown_factor_counts_as_the_mean_of_the_known_ones(request):
    """Filling an unknown factor with the utility itself would leave the utility as it is."""
    for suggestion in by_city(request).values():
        filled = [(r.weight, r.value if r.known else suggestion.utility) for r in suggestion.reasons]
        total = math.fsum(weight for weight, _ in filled)
        assert math.isclose(math.fsum(w * v for w, v in filled) / total, suggestion.utility, abs_tol=1e-9)


def test_an_unmet_need_is_not_hidden_by_a_strong_one():
    practices = tuple(PracticeFacts(id, {"en": id}) for id in ("a", "b"))
    cities = {
        "one-sided": CityFacts("one-sided", {"en": "One"}, practices=practices[:1]),
        "both": CityFacts("both", {"en": "Both"}, practices=practices),
    }
    first = NeedHits((Hit("a", "one-sided", 0.9), Hit("a", "both", 0.6)))
    second = NeedHits((Hit("b", "both", 0.6),))
    best, other = suggest([first, second], cities, as_of=AS_OF)
    assert best.city == "both"
    assert other.needs[1].practices == ()
    assert "need-unmet" in [caution.code for caution in other.cautions]
    assert "Need 2: Nothing on record was found." in other.reasons[0].text["en"]


def test_a_need_of_more_weight_counts_more():
    practices = (PracticeFacts("a", {"en": "A"}),)
    cities = {id: CityFacts(id, {"en": id}, practices=practices) for id in ("x", "y")}
    first, second = NeedHits((Hit("a", "x", 0.5),)), NeedHits((Hit("a", "y", 0.5),), weight=2)
    assert [s.city for s in suggest([first, second], cities, as_of=AS_OF)] == ["y", "x"]
    assert [s.city for s in suggest([replace(first, weight=3), second], cities, as_of=AS_OF)] == ["x", "y"]


def test_equal_cities_are_ordered_by_id():
    practice = PracticeFacts("p", {"en": "Shade"})
    cities = {id: CityFacts(id, {"en": "Same"}, practices=(practice,)) for id in ("b", "c", "a")}
    hardly_closer = {"a": 0.5, "b": 0.5 + 1e-12, "c": 0.5}
    need = NeedHits(tuple(Hit("p", id, similarity) for id, similarity in hardly_closer.items()))
    assert [s.city for s in suggest([need], cities, as_of=AS_OF)] == ["a", "b", "c"]


@pytest.mark.parametrize(
    "mentee",
    [
        Mentee(ids=frozenset({"gent"})),
        Mentee(ids=frozenset({"ghent-old"})),
        Mentee({"nl": "GENT"}),
        Mentee({"en": "ghent"}, country="BE"),
    ],
)
def test_the_mentee_is_not_suggested_under_another_id_or_name(mentee):
    city = replace(gent(country="BE"), other_ids=frozenset({"ghent-old"}), alternative_names=("Gent",))
    assert suggest([one_need()], {"gent": city}, mentee=mentee, as_of=AS_OF) == []
    for another in (Mentee({"en": "Bruges"}), Mentee({"en": "Ghent"}, country="US")):
        assert suggest([one_need()], {"gent": city}, mentee=another, as_of=AS_OF)


def test_equal_practices_of_a_city_are_ordered_by_id():
    practices = tuple(PracticeFacts(id, {"en": id}) for id in "bac")
    need = NeedHits(tuple(Hit(id, "gent", 0.5) for id in "cba"))
    [suggestion] = suggest([need], {"gent": CityFacts("gent", {"en": "Ghent"}, practices=practices)}, as_of=AS_OF)
    assert [cited.practice for cited in suggestion.needs[0].practices] == ["a", "b", "c"]


def test_one_missing_fact_is_asked_for_once():
    [suggestion] = suggest([one_need()], {"gent": gent()}, as_of=AS_OF)
    assert [unknown.whom for unknown in suggestion.unknowns] == ["mentee", "mentor"]
    assert [reason.factor for reason in suggestion.reasons if not reason.known] == [
        "gap",
        "context",
        "language",
        "capacity",
        "trust",
        "transferability",
    ]


def test_a_city_with_nothing_close_to_the_need_is_not_suggested():
    cities = {"gent": gent()}
    assert suggest([one_need(0.09)], cities, as_of=AS_OF) == []
    assert len(suggest([one_need(0.1)], cities, as_of=AS_OF)) == 1
    assert suggest([NeedHits(())], cities, as_of=AS_OF) == []


def test_the_best_practice_is_cited_first_with_its_passage():
    class Found:
        part, language, text = "problem", "nl", "Hitte in de stad"

    practices = (PracticeFacts("own", {"en": "Own"}), PracticeFacts("guest", {"en": "Guest"}, tie="located"))
    need = NeedHits((Hit("guest", "gent", 0.9), Hit("own", "gent", 0.5, Found())))
    [suggestion] = suggest([need], {"gent": CityFacts("gent", {"en": "Ghent"}, practices=practices)}, as_of=AS_OF)
    cited = suggestion.needs[0].practices
    assert [(c.practice, round(c.score, 3)) for c in cited] == [("own", 0.5), ("guest", 0.36)]
    assert cited[0].passage.text == "Hitte in de stad"
    assert suggestion.needs[0].relevance == pytest.approx((0.5 + 0.5 * 0.36) / 1.75)


def test_a_mentee_on_record_is_compared_and_told_what_is_unknown():
    mechelen = CityFacts(
        "mechelen",
        {"en": "Mechelen"},
        country="BE",
        country_name={"en": "Belgium", "fr": "Belgique"},
        languages=("nl",),
        population=87_000,
        practices=(PracticeFacts("buddies", {"en": "Buddies"}, status="running", rival_claims=True),),
        programmes={"inclucities": "IncluCities"},
        association="VVSG",
    )
    capaci = Mentee(
        {"en": "Capaci"},
        frozenset({"capaci"}),
        country="IT",
        country_name={"en": "Italy", "fr": "Italie"},
        languages=("it",),
        population=11_500,
        programmes={"inclucities": "IncluCities"},
    )
    need = NeedHits((Hit("buddies", "mechelen", 0.8),))
    [suggestion] = suggest([need], {"mechelen": mechelen}, mentee=capaci, as_of=AS_OF)
    text = {reason.factor: reason.text for reason in suggestion.reasons}
    assert text["context"]["en"] == (
        "Mechelen has about 87,000 inhabitants, 7.6 times as many as Capaci. "
        "They are in different countries (Belgium, Italy): the national frame differs."
    )
    assert text["context"]["fr"].startswith(
        "Mechelen compte environ 87\u202f000 habitants, soit 7,6 fois la population de Capaci."
    )
    assert text["trust"]["en"] == "Shared programme: IncluCities."
    assert [(u.factor, u.whom) for u in suggestion.unknowns] == [
        ("gap", "mentee"),
        ("language", "mentor"),
        ("capacity", "mentor"),
    ]
    assert suggestion.unknowns[2].ask["en"] == (
        "Ask Mechelen (municipality), if need be through its association of municipalities (VVSG), "
        "whether it would mentor on this, when, and who would take part."
    )
    assert [caution.code for caution in suggestion.cautions] == [
        "single-record",
        "claims-contradict",
        "date-unknown",
        "evidence-not-stated",
    ]
    assert suggestion.against == ()


def test_what_speaks_against_is_said():
    full = Availability(True, quota=1, taken=1, working_languages=("nl",), contact_role={"en": "mayor's office"})
    [suggestion] = suggest([one_need()], {"gent": gent(availability=full)}, mentee=MENTEE, as_of=AS_OF)
    assert [text["en"] for text in suggestion.against] == [
        "Compared with Capaci, it has no more experience on record.",
        "No shared working language is stated (Ghent: Dutch; Capaci: Italian).",
        "Its places as mentor are all taken.",
    ]


def test_the_band_follows_the_utility_and_the_relevance():
    profile = replace(PROFILE, bands=(replace(PROFILE.bands[0], utility=0.2, relevance=0.3),))
    cities = {"gent": gent()}
    assert suggest([one_need(0.8)], cities, profile=profile, as_of=AS_OF)[0].band == "strong"
    weak = suggest([one_need(0.5)], cities, profile=profile, as_of=AS_OF)[0]
    assert (weak.band, weak.utility > 0.2) == ("weak", True)


def test_only_the_most_relevant_cities_are_weighed_in_full():
    near, far = gent(), replace(gent(), id="far")
    need = NeedHits((Hit("p", "gent", 0.7), Hit("p", "far", 0.6)))
    only_one = replace(PROFILE, candidates=1)
    assert [s.city for s in suggest([need], {"gent": near, "far": far}, profile=only_one, as_of=AS_OF)] == ["gent"]


@pytest.mark.parametrize(
    ("needs", "limit"),
    [([], 5), ([NeedHits((), weight=0)], 5), ([NeedHits((), weight=math.nan)], 5), ([NeedHits(())], 0)],
)
def test_a_request_that_makes_no_sense_is_refused(needs, limit):
    with pytest.raises(ValueError, match=r"need|limit"):
        suggest(needs, {}, as_of=date(2026, 1, 1), limit=limit)
