"""Promises of what a mentee could teach the mentor."""

from dataclasses import replace

from hypothesis import strategies as st
from matching_cases import AS_OF, THEMES, cities, promise

from kg.matching.experience import mentor_level
from kg.matching.facts import CityFacts, DeclaredExperience, NeedHits, PracticeFacts
from kg.matching.profile import Profile
from kg.matching.reciprocity import LEAD, Wish, in_return, offer_sentence

PROFILE = Profile()
wishes = st.lists(
    st.builds(Wish, st.sampled_from(({"en": "One"}, {"fr": "Deux"})), st.frozensets(st.sampled_from(THEMES))),
    max_size=3,
)


def offered(mentee, mentor, asked=()):
    return in_return(mentee, mentor, {}, list(asked), PROFILE, AS_OF)


@promise(cities("a"), cities("b"), wishes)
def test_each_offer_rests_on_experience_and_a_need_a_lead_or_a_question(mentee, mentor, asked):
    for one in offered(mentee, mentor, asked):
        assert one.level > 0
        has = mentor_level(mentor, NeedHits((), frozenset({one.theme})), {}, PROFILE, AS_OF)
        assert one.of_mentor == (has.value if has else None)
        if one.basis == "need":
            assert all(one.theme in wish.themes for wish in one.wishes)
        elif one.basis == "further":
            assert one.level - one.of_mentor >= LEAD
        else:
            assert one.of_mentor is None
        said = offer_sentence(one, {"en": one.theme}, mentee, mentor)
        assert set(said) == {"en", "fr"}


@promise(cities("a"), cities("b"), wishes, st.randoms())
def test_the_order_of_records_does_not_matter(mentee, mentor, asked, random):
    def mixed(values):
        listed = list(values)
        random.shuffle(listed)
        return tuple(listed)

    other = replace(mentee, practices=mixed(mentee.practices), experience=mixed(mentee.experience))
    assert [(o.theme, o.basis) for o in offered(other, mentor, mixed(asked))] == [
        (o.theme, o.basis) for o in offered(mentee, mentor, asked)
    ]


@promise(cities("a"), cities("b"), wishes)
def test_needs_come_first_and_what_is_not_known_last(mentee, mentor, asked):
    bases = [one.basis for one in offered(mentee, mentor, asked)]
    assert bases == sorted(bases, key=("need", "further", "unknown").index)


def test_a_mentor_of_which_nothing_is_on_record_is_asked_not_taken_for_a_beginner():
    practice = PracticeFacts("p", {"en": "Duos"}, frozenset({"heat"}), end=2026)
    mentee = CityFacts("a", {"en": "A"}, practices=(practice,))
    assert [one.basis for one in offered(mentee, CityFacts("b", {"en": "B"}))] == ["unknown"]
    as_far = CityFacts("b", {"en": "B"}, practices=(replace(practice, id="q"),))
    assert offered(mentee, as_far) == []
    beginner = CityFacts("b", {"en": "B"}, experience=(DeclaredExperience("heat", 0.0, "declared"),))
    assert [one.basis for one in offered(mentee, beginner)] == ["further"]


def test_a_need_of_the_mentor_counts_though_it_is_as_far():
    practice = PracticeFacts("p", {"en": "Duos"}, frozenset({"heat"}), end=2026)
    mentee, mentor = (CityFacts(id, {"en": id}, practices=(replace(practice, id=id + "-p"),)) for id in "ab")
    [one] = offered(mentee, mentor, [Wish({"en": "Cooler streets"}, frozenset({"heat"}))])
    assert (one.basis, [practice.id for practice in one.practices]) == ("need", ["a-p"])


def test_a_plan_is_no_experience_to_teach():
    plan = PracticeFacts("p", {"en": "Plan"}, frozenset({"heat"}), status="planned")
    assert offered(CityFacts("a", {"en": "A"}, practices=(plan,)), CityFacts("b", {"en": "B"})) == []
