"""Random requests for the property tests, and the few helpers that these tests share."""

from dataclasses import replace
from datetime import date

from hypothesis import given, settings
from hypothesis import strategies as st

from kg.matching.facts import Availability, CityFacts, DeclaredExperience, Hit, Mentee, NeedHits, PracticeFacts


def promise(*strategies):
    """What holds for all of these: the same examples at every run, kept nowhere, however slow the machine."""
    steady = settings(max_examples=30, deadline=None, database=None, derandomize=True)
    return lambda test: steady(given(*strategies)(test))


AS_OF = date(2026, 6, 1)
THEMES = ("heat", "trees", "language")
EVIDENCE = (
    None,
    "none-stated",
    "none",
    "activity-counts",
    "label-or-award",
    "outcome-counts",
    "independent-evaluation",
)
TIES = (None, "own", "partner", "located")
STATUSES = (None, "planned", "starting", "running", "ended", "continued", "changed")

years = st.none() | st.integers(1990, 2030)
similarities = st.integers(0, 1000).map(lambda n: n / 1000)
themes = st.frozensets(st.sampled_from(THEMES), max_size=2)
languages = st.lists(st.sampled_from(("fr", "nl", "en", "lv")), max_size=2, unique=True).map(tuple)
shares = st.none() | st.floats(0, 1)
populations = st.none() | st.integers(1, 10_000_000)


def practices(id):
    return st.builds(
        PracticeFacts,
        id=st.just(id),
        title=st.just({"en": f"Practice {id}"}),
        themes=themes,
        tie=st.sampled_from(TIES),
        evidence=st.sampled_from(EVIDENCE),
        start=years,
        end=years,
        status=st.sampled_from(STATUSES),
        status_as_of=years,
        confidence=st.sampled_from((None, "sourced", "sourced-partial", "recalled")),
        rival_claims=st.booleans(),
    )


experience = st.lists(
    st.builds(
        DeclaredExperience,
        theme=st.sampled_from(THEMES),
        level=st.sampled_from((0.0, 0.25, 0.5, 0.75, 1.0)),
        basis=st.sampled_from((None, "declared", "assessed", "derived")),
        stated_on=st.none() | st.dates(date(2015, 1, 1), AS_OF),
    ),
    max_size=2,
).map(tuple)

offers = st.none() | st.builds(
    Availability,
    consent=st.booleans(),
    quota=st.none() | st.integers(0, 3),
    taken=st.integers(0, 3),
    until=st.none() | st.dates(date(2025, 1, 1), date(2028, 1, 1)),
    themes=themes,
    working_languages=languages,
    contact_role=st.sampled_from(({}, {"en": "integration office", "fr": "service intégration"})),
)
programmes = st.dictionaries(st.sampled_from(("inclucities", "connection")), st.just("A programme"), max_size=2)


@st.composite
def cities(draw, id):
    number = draw(st.integers(0, 3))
    return CityFacts(
        id=id,
        name={"en": f"City {id}"},
        country=draw(st.sampled_from((None, "BE", "LV"))),
        languages=draw(languages),
        population=draw(populations),
        foreign_born_share=draw(shares),
        practices=tuple(draw(practices(f"{id}-p{n}")) for n in range(number)),
        experience=draw(experience),
        availability=draw(offers),
        programmes=draw(programmes),
        networks=draw(programmes),
        mentored=draw(st.sampled_from(({}, {"c0": "closed"}))),
        association=draw(st.none() | st.just("VVSG")),
    )


@st.composite
def needs(draw, known):
    """One need with hits on the cities' practices, now and then twice, and on some that are not on record."""
    on_record = [(practice.id, city.id) for city in known.values() for practice in city.practices]
    pairs = draw(st.lists(st.sampled_from([*on_record, ("gone", "c1"), ("x", "unknown-city")]), max_size=8))
    return NeedHits(
        hits=tuple(Hit(practice, city, draw(similarities)) for practice, city in pairs),
        themes=draw(themes),
        weight=draw(st.sampled_from((0.5, 1.0, 3.0))),
        strengths=draw(st.dictionaries(st.sampled_from(THEMES), st.sampled_from((0.25, 0.5, 0.9)))),
    )


@st.composite
def requests(draw):
    """Needs, cities by id and a mentee: none, a profile, or the city c0."""
    known = {id: draw(cities(id)) for id in ("c0", "c1", "c2")}
    asked = draw(st.lists(needs(known), min_size=1, max_size=3))
    profile = Mentee(
        {"en": "Somewhere"}, country=draw(st.sampled_from((None, "BE"))), working_languages=draw(languages)
    )
    mentee = draw(st.sampled_from((None, profile, Mentee.on_record(known["c0"]))))
    return asked, known, mentee


def with_practice(city, changed):
    """The same city with one of its practices replaced by the record of that id, or added."""
    kept = tuple(practice for practice in city.practices if practice.id != changed.id)
    return replace(city, practices=(*kept, changed))
