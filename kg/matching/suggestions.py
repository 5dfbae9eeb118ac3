"""Mentor cities for a mentee's needs: ranked, in bands, with reasons, unknowns and cautions."""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from kg.matching import reasons
from kg.matching.experience import Level, freshness, mentee_level, mentor_level, newest_sure_year, tie_weight
from kg.matching.factors import FACTORS, Case, Factor, need_relevance
from kg.matching.facts import (
    Caution,
    Cited,
    CityFacts,
    Hit,
    Mentee,
    NeedAnswer,
    NeedHits,
    PracticeFacts,
    Reason,
    Suggestion,
    Unknown,
)
from kg.matching.profile import Profile

DEFAULT = Profile()


@dataclass(frozen=True)
class Weighed:
    """A case with every factor that has a weight, and its contribution. Not yet ranked or explained."""

    case: Case
    factors: tuple[Factor, ...]
    contributions: tuple[float, ...]
    coverage: float

    @property
    def utility(self) -> float:
        """Sum of the contributions, in [0, 1]."""
        return math.fsum(self.contributions)

    def value(self, name: str) -> float | None:
        """Value of a factor by name."""
        return next(factor.value for factor in self.factors if factor.name == name)


def suggest(
    needs: Sequence[NeedHits],
    cities: Mapping[str, CityFacts],
    *,
    mentee: Mentee | None = None,
    profile: Profile = DEFAULT,
    as_of: date,
    limit: int = 10,
) -> list[Suggestion]:
    """Suggest mentor cities for the needs, best first, each with its reasons.

    A city's utility is Σ w·v / Σ w over its known factors, each in [0, 1] by constants of the profile:
    an unknown factor is left out, not counted as 0, and coverage says how much weight was known.
    The answer is the rank and a named band; the utility only orders (DESIGN 6, DOMAIN 2.4).

    Hits below the profile's lowest similarity say nothing and are not cited; a city with none above it
    is not suggested. All factors are weighed for the most relevant cities, 100 by the profile: the list
    is never longer. The mentee is never suggested, under none of
    its ids or names. Hits of cities or practices that `cities` does not hold are passed over: the
    index may lag behind the records.

    `as_of` is the day for which ages and offers are judged. The answer depends on nothing but the
    arguments, and not on the order of hits or cities: equal utilities (to 9 decimals) are ordered by
    city id. A shorter list is the beginning of a longer one.

    Raises ValueError without needs, for a need's weight that is not above 0, and for a limit below 1.

    >>> from kg.matching.facts import CityFacts, Hit, NeedHits, PracticeFacts
    >>> trees = PracticeFacts("trees", {"en": "Street trees"}, frozenset({"heat"}), evidence="outcome-counts")
    >>> panel = PracticeFacts("panel", {"en": "Panel"}, frozenset({"participation"}))
    >>> cities = {"lyon": CityFacts("lyon", {"en": "Lyon"}, practices=(trees,)),
    ...           "gent": CityFacts("gent", {"en": "Ghent"}, practices=(panel,))}
    >>> need = NeedHits((Hit("trees", "lyon", 0.9), Hit("panel", "gent", 0.3)), themes=frozenset({"heat"}))
    >>> for s in suggest([need], cities, as_of=date(2026, 1, 1)):
    ...     print(s.rank, s.city, s.band, [c.practice for c in s.needs[0].practices])
    1 lyon strong ['trees']
    2 gent weak ['panel']
    """
    best = rank_cities(needs, cities, mentee=mentee, profile=profile, as_of=as_of, limit=limit)
    return [explained(one, rank) for rank, one in enumerate(best, start=1)]


def rank_cities(
    needs: Sequence[NeedHits],
    cities: Mapping[str, CityFacts],
    *,
    mentee: Mentee | None = None,
    profile: Profile = DEFAULT,
    as_of: date,
    limit: int = 10,
) -> list[Weighed]:
    """The cities of `suggest`, in its order, weighed and not yet explained.

    Raises ValueError as `suggest` does.
    """
    _check(needs, limit)
    own_levels = tuple(mentee_level(mentee, need, profile, as_of) if mentee else None for need in needs)
    weighed = (
        weigh_case(_case(city, found, needs, mentee, own_levels, profile, as_of))
        for city, found in _candidates(needs, cities, mentee, profile)
    )
    return heapq.nsmallest(limit, weighed, key=rank_key)


def rank_key(weighed: Weighed) -> tuple[float, str]:
    """What the order is made of: the utility to 9 decimals, the largest first, then the city's id."""
    return -round(weighed.utility, 9), weighed.case.city.id


def weigh_city(
    city: CityFacts, needs: Sequence[NeedHits], *, mentee: Mentee | None, profile: Profile, as_of: date
) -> Weighed | None:
    """One city weighed as `rank_cities` weighs it; None where it has nothing above the lowest similarity, or is the mentee.

    For questions about a single city, or about one whose facts were others.
    """
    found = _candidates(needs, {city.id: city}, mentee, profile)
    if not found:
        return None
    own_levels = tuple(mentee_level(mentee, need, profile, as_of) if mentee else None for need in needs)
    return weigh_case(_case(city, found[0][1], needs, mentee, own_levels, profile, as_of))


def _check(needs: Sequence[NeedHits], limit: int) -> None:
    if not needs:
        raise ValueError("suggestions need at least one need")
    if not all(need.weight > 0 and math.isfinite(need.weight) for need in needs):
        raise ValueError("the weight of a need must be a number above 0")
    if limit < 1:
        raise ValueError(f"limit {limit} is below 1")


Found = list[dict[str, Hit]]
"""Per need, the best hit of each of a city's practices."""


def _candidates(
    needs: Sequence[NeedHits], cities: Mapping[str, CityFacts], mentee: Mentee | None, profile: Profile
) -> list[tuple[CityFacts, Found]]:
    """The cities most relevant to the needs, each with its hits; never the mentee."""
    by_city: dict[str, Found] = defaultdict(lambda: [{} for _ in needs])
    for place, need in enumerate(needs):
        for hit in need.hits:
            if hit.similarity >= profile.lowest_similarity:
                of_city = by_city[hit.city][place]
                known = of_city.get(hit.practice)
                of_city[hit.practice] = hit if known is None else max(hit, known, key=_order)
    candidates = [
        (city, found)
        for id, hits in by_city.items()
        if (city := cities.get(id)) is not None
        and not (mentee and mentee.is_city(city))
        and any(found := _on_record(city, hits))
    ]
    order = [(-_mean_relevance(city, found, needs, profile), city.id) for city, found in candidates]
    best = heapq.nsmallest(profile.candidates, range(len(candidates)), key=order.__getitem__)
    return [candidates[place] for place in best]


def _mean_relevance(city: CityFacts, found: Found, needs: Sequence[NeedHits], profile: Profile) -> float:
    return math.fsum(
        need.weight * need_relevance((_score(hit, city, profile) for hit in hits.values()), profile)
        for need, hits in zip(needs, found, strict=True)
    )


def _score(hit: Hit, city: CityFacts, profile: Profile) -> float:
    return hit.similarity * tie_weight(city.practice[hit.practice].tie, profile)


def _order(hit: Hit) -> tuple[float, str]:
    """Of two hits of one practice the closer one counts; of equal ones, always the same."""
    return hit.similarity, hit.passage.text if hit.passage else ""


def _on_record(city: CityFacts, hits: Found) -> Found:
    known = city.practice.keys()
    return [
        of_need if of_need.keys() <= known else {id: hit for id, hit in of_need.items() if id in known}
        for of_need in hits
    ]


def _case(
    city: CityFacts,
    found: Found,
    needs: Sequence[NeedHits],
    mentee: Mentee | None,
    own_levels: tuple[Level | None, ...],
    profile: Profile,
    as_of: date,
) -> Case:
    levels = tuple(
        mentor_level(city, need, {id: hit.similarity for id, hit in hits.items()}, profile, as_of)
        for need, hits in zip(needs, found, strict=True)
    )
    answers = tuple(_answer(place, city, hits, levels[place], profile) for place, hits in enumerate(found))
    return Case(city, mentee, needs, answers, levels, own_levels, tuple(map(len, found)), profile, as_of)


def _answer(place: int, city: CityFacts, hits: Mapping[str, Hit], level: Level | None, profile: Profile) -> NeedAnswer:
    """What a city has for one need, with its best practices."""
    scored = sorted(((_score(hit, city, profile), hit) for hit in hits.values()), key=_best_first)
    relevance = need_relevance((score for score, _ in scored), profile)
    cited = tuple(_cited(hit, score, city.practice[hit.practice]) for score, hit in scored[: profile.best])
    experienced = tuple(one.practice for one in level.inputs) if level else ()
    return NeedAnswer(place, relevance, level.value if level else None, cited, experienced)


def _best_first(scored: tuple[float, Hit]) -> tuple[float, float, str]:
    score, hit = scored
    return -score, -hit.similarity, hit.practice


def _cited(hit: Hit, score: float, practice: PracticeFacts) -> Cited:
    return Cited(practice.id, practice.title, hit.similarity, score, practice.tie, hit.passage)


def weigh_case(case: Case) -> Weighed:
    """Compute the factors of a case that have a weight, and each one's contribution to the utility: w / Σ known w × v, 0 when unknown.

    Utility is the weighted mean over the known factors, so that what is not on record neither helps nor
    harms; with relevance, always known and weighted, there is at least one. Source: DESIGN 6.
    """
    weights = case.profile.weights
    factors = tuple(FACTORS[name](case) for name, weight in weights.items() if weight > 0)
    known = math.fsum(weights[f.name] for f in factors if f.value is not None)
    contributions = tuple(weights[f.name] / known * f.value if f.value is not None else 0.0 for f in factors)
    return Weighed(case, factors, contributions, known / math.fsum(weights.values()))


def explained(weighed: Weighed, rank: int) -> Suggestion:
    """A weighed city as a suggestion of this rank, with its sentences."""
    case = weighed.case
    band = _band(weighed)
    return Suggestion(
        city=case.city.id,
        rank=rank,
        band=band,
        band_label=reasons.BAND_LABELS[band],
        utility=weighed.utility,
        coverage=weighed.coverage,
        needs=case.answers,
        reasons=_reasons(weighed),
        against=tuple(factor.sentence() for factor in weighed.factors if factor.stance == "against"),
        unknowns=_unknowns(weighed.factors),
        cautions=tuple(_cautions(case)),
    )


def _band(weighed: Weighed) -> str:
    """The band, of which the best of the needs decides that something was found for."""
    case = weighed.case
    met = [need for need, found in zip(case.needs, case.found, strict=True) if found]
    if not any(case.profile.hears(need.nearest) for need in met):
        return "weak"
    relevance = weighed.value("relevance") or 0.0
    return case.profile.band(weighed.utility, relevance, guessed=all(need.guessed for need in met))


def _reasons(weighed: Weighed) -> tuple[Reason, ...]:
    """Every factor as a reason, largest contribution first; factors without weight are told, at the end."""
    weights = weighed.case.profile.weights
    told = [FACTORS[name](weighed.case) for name, weight in weights.items() if weight == 0]
    contributions = (*weighed.contributions, *(0.0 for _ in told))
    listed = [
        Reason(
            factor=factor.name,
            label=reasons.FACTOR_LABELS[factor.name],
            known=factor.value is not None,
            value=factor.value,
            weight=weights[factor.name],
            contribution=contribution,
            stance=factor.stance,
            text=factor.sentence(),
        )
        for factor, contribution in zip((*weighed.factors, *told), contributions, strict=True)
    ]
    return tuple(sorted(listed, key=lambda reason: -reason.contribution))


def _unknowns(factors: Sequence[Factor]) -> tuple[Unknown, ...]:
    """What the factors miss, in their order; one fact that several miss is asked for once."""
    asked: dict[str, Unknown] = {}
    for unknown in (unknown for factor in factors for unknown in factor.missing()):
        asked.setdefault(unknown.text["en"], unknown)
    return tuple(asked.values())


# Cautions

_ABOUT_PRACTICES: Mapping[str, Callable[[PracticeFacts, Case], bool]] = {
    "claims-contradict": lambda practice, case: practice.rival_claims,
    "still-planned": lambda practice, case: practice.status == "planned",
    "activity-ended": lambda practice, case: _has_ended(practice, case.as_of),
    "long-ago": lambda practice, case: _is_old(practice, case),
    "date-unknown": lambda practice, case: newest_sure_year(practice, case.as_of) is None,
    "evidence-none": lambda practice, case: practice.evidence == "none",
    "evidence-not-stated": lambda practice, case: practice.evidence not in case.profile.evidence,
    "partly-sourced": lambda practice, case: practice.confidence == "sourced-partial",
    "not-sourced": lambda practice, case: practice.confidence == "recalled",
    "conditions-stated": lambda practice, case: "conditions" in practice.told_for_transfer,
    "other-body": lambda practice, case: practice.tie in ("partner", "located"),
}
"""When each caution holds for a practice that is shown, the gravest first."""


def _has_ended(practice: PracticeFacts, as_of: date) -> bool:
    return practice.status == "ended" or (practice.end is not None and practice.end < as_of.year)


def _is_old(practice: PracticeFacts, case: Case) -> bool:
    """Last known alive more than two half-lives ago: it counts less than a quarter."""
    year = newest_sure_year(practice, case.as_of)
    return year is not None and freshness(year, case.as_of, case.profile.half_life_years) < 0.25


def _cautions(case: Case) -> list[Caution]:
    """What to keep in mind: about the city, the needs, then the practices shown."""
    cautions = []
    if case.mentee and not case.mentee.ids.isdisjoint(case.city.mentored):
        cautions.append(Caution("already-mentor", reasons.already_mentor(case.city, case.mentee)))
    unmet = [answer.need for answer in case.answers if not answer.practices]
    cautions += [Caution("need-unmet", reasons.need_unmet(need + 1)) for need in unmet]
    if len(case.city.practices) == 1:
        cautions.append(Caution("single-record", reasons.single_record()))
    shown = case.shown()
    for code, holds in _ABOUT_PRACTICES.items():
        if concerned := [practice for practice in shown if holds(practice, case)]:
            ids = tuple(practice.id for practice in concerned)
            cautions.append(Caution(code, reasons.practice_caution(code, concerned), ids))
    return cautions
