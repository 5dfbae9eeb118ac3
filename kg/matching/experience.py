"""How much experience a city has with what a need is about, read from its practices and from statements."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date

from kg.matching.facts import CityFacts, DeclaredExperience, Mentee, NeedHits, PracticeFacts
from kg.matching.profile import Profile

ONGOING = frozenset({"running", "continued", "changed", "starting"})
"""Statuses of a practice that was alive when its status was noted."""


@dataclass(frozen=True)
class Input:
    """What one practice adds to a level, factor by factor, so that the level can be explained.

    `about` is how far the practice is about the need: 1 when it carries its surest theme or a narrower one,
    less for a theme found less surely (`theme_share`), and at least its similarity. `tie`, `evidence` and `freshness` are the weights of the city's
    tie, of the kind of evidence and of age. All four are in [0, 1]; where `evidence_type` (a notation)
    or `year` (the newest sure one) is None, the usual value stands in.
    """

    practice: str
    about: float
    tie: float
    evidence: float
    evidence_type: str | None
    freshness: float
    year: int | None

    @property
    def weight(self) -> float:
        """Their product: the chance, so to speak, that this practice alone makes the city experienced."""
        return self.about * self.tie * self.evidence * self.freshness


@dataclass(frozen=True)
class Level:
    """A city's level of experience, in [0, 1], with what it was made from.

    `documented` is the part that its practices show, None where it has none; `stated` the statement
    that decided, None where the practices did. `inputs` are the practices counted, best first.

    `extent` is how far along the city is whatever the evidence: the same with the usual evidence for every
    practice. Peers are compared by it, so that a better evaluation moves no city away from its peers; None
    where the profile compares no peers.
    """

    value: float
    documented: float | None
    stated: DeclaredExperience | None
    inputs: tuple[Input, ...]
    extent: float | None = None


def freshness(year: int, as_of: date, half_life_years: float) -> float:
    """Weight of something last known in `year`: 2^(−age / half-life), in (0, 1]; 1 for this year or later.

    Source: DOMAIN 2.4, q = 2^(−age/h).

    >>> freshness(2020, date(2026, 5, 1), half_life_years=6)
    0.5
    """
    return float(2.0 ** (-max(0, as_of.year - year) / half_life_years))


def newest_sure_year(practice: PracticeFacts, as_of: date) -> int | None:
    """The last year in which the practice is known to have been alive, None where no date says so.

    The newest of its start, its end and the year its status was noted; a planned end lies in the
    future, so it counts as `as_of` once the practice has begun. A practice said to be ongoing without
    the year of that saying has no sure date: its start alone would make it look old.

    >>> buddies = PracticeFacts("x", {"en": "Buddies"}, start=2012, status="running", status_as_of=2022)
    >>> newest_sure_year(buddies, date(2026, 1, 1))
    2022
    >>> newest_sure_year(PracticeFacts("x", {}, start=2012, status="running"), date(2026, 1, 1)) is None
    True
    """
    if practice.status in ONGOING and practice.status_as_of is None and practice.end is None:
        return practice.start if practice.start is not None and practice.start >= as_of.year else None
    years = [year for year in (practice.start, practice.end, practice.status_as_of) if year is not None]
    return min(max(years), as_of.year) if years else None


def usual_values(practices: Iterable[PracticeFacts], profile: Profile, as_of: date) -> tuple[float, float]:
    """Mean weight of evidence and of age over the practices that state them, each in [0, 1].

    They stand in where a record does not say (DESIGN 6). Where none says, the profile's own remain.

    >>> stated = [PracticeFacts("a", {}, evidence="none"), PracticeFacts("b", {}, evidence="outcome-counts", end=2020)]
    >>> usual_values(stated, Profile(), date(2026, 1, 1))
    (0.5, 0.5)
    """
    listed = list(practices)
    evidence = [profile.evidence[p.evidence] for p in listed if p.evidence and p.evidence in profile.evidence]
    years = [year for p in listed if (year := newest_sure_year(p, as_of)) is not None]
    ages = [freshness(year, as_of, profile.half_life_years) for year in years]
    return _mean(evidence, profile.usual_evidence), _mean(ages, profile.usual_freshness)


def _mean(values: list[float], otherwise: float) -> float:
    return math.fsum(values) / len(values) if values else otherwise


def weigh_practice(practice: PracticeFacts, about: float, profile: Profile, as_of: date) -> Input:
    """What one practice adds to its city's experience; a tie that is not stated counts as own.

    >>> trees = PracticeFacts("trees", {}, evidence="activity-counts", end=2020, tie="partner")
    >>> round(weigh_practice(trees, 1.0, Profile(), date(2026, 1, 1)).weight, 3)      # .6 × .5 × .5
    0.15
    """
    year = newest_sure_year(practice, as_of)
    stated = practice.evidence if practice.evidence in profile.evidence else None
    return Input(
        practice=practice.id,
        about=about,
        tie=tie_weight(practice.tie, profile),
        evidence=profile.usual_evidence if stated is None else profile.evidence[stated],
        evidence_type=stated,
        freshness=profile.usual_freshness if year is None else freshness(year, as_of, profile.half_life_years),
        year=year,
    )


def tie_weight(tie: str | None, profile: Profile) -> float:
    """Weight of a city's tie to a practice, in [0, 1]; a tie that is not stated counts as own.

    The record names the city as the place of practice, and what is unknown never counts as bad.
    Source: DOMAIN 2.3, a(d, c): 1 own, 0.6 partner, 0.4 located there but run by another body.

    >>> tie_weight("located", Profile()), tie_weight(None, Profile())
    (0.4, 1.0)
    """
    return profile.ties.get(tie or "own", profile.ties["own"])


def noisy_or(weights: Iterable[float], best: int) -> float:
    """1 − Π (1 − w) over the `best` largest weights: each adds, none alone decides, never above 1.

    Source: DOMAIN 2.4, L(c, t). The limit keeps many records of one thing from adding up to certainty.

    >>> noisy_or([0.5, 0.5], best=3), noisy_or([0.5, 0.5, 0.1], best=2)
    (0.75, 0.75)
    """
    return 1.0 - math.prod(1.0 - weight for weight in sorted(weights, reverse=True)[:best])


def theme_share(sureness: float, profile: Profile) -> float:
    """How far a practice on a theme is about the need: sureness ^ theme power, in (0, 1].

    `sureness` is how surely the need means the theme beside the surest one: words that lead to a theme by accident lead
    there weakly. The surest counts whole however weakly it was found, because a level that is smaller for every city
    would let those of unknown level pass all others. Own formula; docs/methods.md has what it was compared with.

    >>> theme_share(1.0, Profile()), theme_share(0.5, Profile())
    (1.0, 0.25)
    """
    return sureness**profile.theme_power


def mentor_level(
    city: CityFacts, need: NeedHits, similarities: Mapping[str, float], profile: Profile, as_of: date
) -> Level | None:
    """A possible mentor's experience with a need; None where neither practice nor statement speaks of it.

    Practices on the need's surest theme or narrower ones count whole, on other themes by `theme_share`, all at least
    by their similarity to the need (`similarities`, by id of a practice of the city), so that a need without a
    recognised theme has a level too. Plans are no experience yet. Source: DOMAIN 2.4.

    A statement counts as its level × how far its basis is relied on × its age × the share of its theme. The larger of statement
    and documents holds: no record is not no experience, and a city's own word alone (at most .5) does
    not outrank what is documented well. So a new record never lowers its city.

    >>> city = CityFacts("gent", {"en": "Ghent"}, practices=(
    ...     PracticeFacts("a", {}, frozenset({"heat"}), evidence="independent-evaluation", end=2026),
    ...     PracticeFacts("b", {}, frozenset({"trees"}), evidence="activity-counts", end=2026)))
    >>> need = NeedHits((), themes=frozenset({"heat"}))
    >>> level = mentor_level(city, need, {"b": 0.4}, Profile(), date(2026, 1, 1))
    >>> round(level.value, 3), [(i.practice, i.about) for i in level.inputs]      # 1 − .1 × .8
    (0.92, [('a', 1.0), ('b', 0.4)])
    """
    documented, extent = _documented(city, need, similarities, profile, as_of)
    stated = [(share * _reliance(s, profile, as_of), s) for share, s in _on_need(city.experience, need, profile)]
    said, statement = max(stated, key=lambda pair: pair[0], default=(0.0, None))
    shown = noisy_or((i.weight for i in documented), profile.best) if documented else None
    if shown is None and statement is None:
        return None
    decided = statement if shown is None or said > shown else None
    return Level(max(shown or 0.0, said), shown, decided, documented, None if extent is None else max(extent, said))


def mentee_level(mentee: Mentee, need: NeedHits, profile: Profile, as_of: date) -> Level | None:
    """The mentee's own experience with a need; None where nothing says so, which is the usual case.

    What the mentee says of itself wins over its records: it knows what it lacks, and a single practice
    on record does not make it experienced. Otherwise its practices on the need's themes are counted
    as a mentor's are, and a theme found less surely counts less in both. Records on themes that the need may not mean
    at all (below `least_sure`) make no level known: one practice on such a theme would say that the mentee has little
    experience with what no record of it speaks of. Source: DOMAIN 2.4 ("let the mentee declare").

    >>> need = NeedHits((), themes=frozenset({"heat"}), broader=frozenset({"climate"}))
    >>> mentee_level(Mentee(), need, Profile(), date(2026, 1, 1)) is None
    True
    >>> beginner = Mentee(experience=(DeclaredExperience("climate", 0.25, "declared"),))
    >>> mentee_level(beginner, need, Profile(), date(2026, 1, 1)).value
    0.25
    """
    statements = _on_need(mentee.experience, need, profile)
    own_words = [(share, s) for share, s in statements if s.basis != "derived"] or statements
    documented, extent = _documented(mentee, need, {}, profile, as_of)
    meant = any(
        need.strengths.get(theme, 1.0) >= profile.least_sure for theme in need.covered & mentee.practices_on.keys()
    )
    shown = noisy_or((i.weight for i in documented), profile.best) if documented and meant else None
    if own_words:
        level, statement = max(((share * s.level, s) for share, s in own_words), key=lambda pair: pair[0])
        return Level(level, shown, statement, documented, None if extent is None else level)
    return None if shown is None else Level(shown, shown, None, documented, extent)


def _documented(
    city: CityFacts | Mentee,
    need: NeedHits,
    similarities: Mapping[str, float],
    profile: Profile,
    as_of: date,
) -> tuple[tuple[Input, ...], float | None]:
    """The practices that count, best first, at most the profile's number, and how far along they show the city to be.

    `similarities` are of other practices than the themes'. The extent is None where the profile compares no peers.
    """
    about = {id: similarity for id, similarity in similarities.items() if similarity > 0}
    on_theme = city.practices_on
    for theme in need.covered & on_theme.keys():
        share = theme_share(need.sureness[theme], profile)
        for practice in on_theme[theme]:
            if share > about.get(practice.id, 0.0):
                about[practice.id] = share
    whole = _whole_inputs(city, profile, as_of)
    counted = [(id, share, one) for id, share in about.items() if (one := whole[id]) is not None]
    # The products in the order of Input.weight, so that they are the same numbers.
    weights = sorted([(-(share * one.tie * one.evidence * one.freshness), id) for id, share, one in counted])
    best = [id for _, id in weights[: profile.best]]
    inputs = {id: one if share == 1.0 else replace(one, about=share) for id, share, one in counted if id in best}
    extent = None
    if profile.best_gap is not None:
        extents = (share * one.tie * profile.usual_evidence * one.freshness for _, share, one in counted)
        extent = noisy_or(extents, profile.best)
    return tuple(inputs[id] for id in best), extent


def _whole_inputs(city: CityFacts | Mentee, profile: Profile, as_of: date) -> Mapping[str, Input | None]:
    """Each practice's input, were it wholly about a need; None for plans, which are no experience yet.

    They do not depend on needs, so a city's are remembered beside it for the constants and the year last asked about.
    """
    constants = profile.ties, profile.evidence, profile.usual_evidence, profile.usual_freshness, profile.half_life_years
    asked = (*constants, as_of.year)
    known = city.remembered.get("inputs")
    if known is None or known[0] != asked:
        inputs = {
            p.id: None if p.status == "planned" else weigh_practice(p, 1.0, profile, as_of) for p in city.practices
        }
        known = city.remembered["inputs"] = (asked, inputs)
    return known[1]


def _on_need(
    statements: Iterable[DeclaredExperience], need: NeedHits, profile: Profile
) -> list[tuple[float, DeclaredExperience]]:
    """Statements on the need's themes or narrower ones, each with the share of its theme; else those on broader themes."""
    listed = list(statements)
    on_theme = [(theme_share(need.sureness[s.theme], profile), s) for s in listed if s.theme in need.covered]
    return on_theme or [(1.0, s) for s in listed if s.theme in need.broader]


def _reliance(statement: DeclaredExperience, profile: Profile, as_of: date) -> float:
    """Level of a mentor's statement, weighted by its basis and age; no basis given: its own word."""
    basis = profile.bases.get(statement.basis or "declared", profile.bases["declared"])
    year = statement.stated_on.year if statement.stated_on else None
    age = profile.usual_freshness if year is None else freshness(year, as_of, profile.half_life_years)
    return statement.level * basis * age
