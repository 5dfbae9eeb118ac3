"""The factors of a suggestion: pure functions from what is known to a value in [0, 1], or to unknown.

Each factor comes in two parts: its formula, on numbers and codes alone, and its reading of a case,
which adds the sentence and what is missing. Sentences are made only when asked for: a ranking reads
hundreds of cities and explains a few.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial

from kg.matching import reasons
from kg.matching.aggregation import discounted_sum
from kg.matching.experience import Input, Level, freshness, newest_sure_year
from kg.matching.facts import (
    Availability,
    CityFacts,
    Mentee,
    Names,
    NeedAnswer,
    NeedHits,
    PracticeFacts,
    Unknown,
)
from kg.matching.profile import Profile


@dataclass(frozen=True)
class Case:
    """One possible mentor beside one request. `answers`, `levels`, `own_levels` and `found` are per need, in order.

    `levels` are the mentor's experience, `own_levels` the mentee's; `found` counts the mentor's practices
    found for the need, of which the answer shows the best.
    """

    city: CityFacts
    mentee: Mentee | None
    needs: Sequence[NeedHits]
    answers: tuple[NeedAnswer, ...]
    levels: tuple[Level | None, ...]
    own_levels: tuple[Level | None, ...]
    found: tuple[int, ...]
    profile: Profile
    as_of: date

    def mean(self, values: Sequence[float]) -> float:
        """Mean over the needs by their weights, so that an unmet need stays visible in it."""
        return weighted_mean(zip((need.weight for need in self.needs), values, strict=True)) or 0.0

    def shown(self) -> list[PracticeFacts]:
        """The practices that the answers show, each once, in order of first appearance."""
        ids = dict.fromkeys(cited.practice for answer in self.answers for cited in answer.practices)
        return [self.city.practice[id] for id in ids]


@dataclass(frozen=True)
class Factor:
    """What one factor says of one case: a value in [0, 1] or None, unknown.

    `stance` is "for", "against", "neutral" or "unknown". `sentence` and `missing` are made on call:
    the explanation, and the facts that would make the factor (better) known.
    """

    name: str
    value: float | None
    stance: str
    sentence: Callable[[], Names]
    missing: Callable[[], tuple[Unknown, ...]] = tuple


def _unknown(name: str, missing: Callable[[], Unknown]) -> Factor:
    return Factor(name, None, "unknown", lambda: missing().text, lambda: (missing(),))


def weighted_mean(pairs: Iterable[tuple[float, float | None]]) -> float | None:
    """Σ w·v / Σ w over (weight, value) pairs whose value is known; None when none is.

    >>> weighted_mean([(1, 0.5), (3, None), (1, 1.0)])
    0.75
    """
    known = [(weight, value) for weight, value in pairs if value is not None]
    total = math.fsum(weight for weight, _ in known)
    return math.fsum(weight / total * value for weight, value in known) if total > 0 else None


# Relevance: do its practices answer the needs?


def need_relevance(scores: Iterable[float], profile: Profile) -> float:
    """Discounted sum of a city's practices for one need ÷ the largest such sum, so in [0, 1]; 0 for none.

    `scores` are similarities × weights of the ties. The divisor is a constant of the profile (1.75), so
    the value does not depend on who else is listed. Source: DESIGN 6, A(c, q); DOMAIN 2.3.

    >>> need_relevance([0.875], Profile()), need_relevance([1.0, 1.0, 1.0, 1.0], Profile())
    (0.5, 1.0)
    """
    return min(1.0, discounted_sum(scores, profile.best, profile.discount) / profile.highest_sum)


def relevance(case: Case) -> Factor:
    """Mean over the needs of each need's relevance; a need without a practice counts 0. Always known.

    >>> case = Case(CityFacts("gent", {"en": "Ghent"}), None,
    ...             [NeedHits(())], (NeedAnswer(0, 0.4, None, ()),), (None,), (None,), (1,), Profile(), date(2026, 1, 1))
    >>> relevance(case).value, relevance(case).stance
    (0.4, 'neutral')
    """
    value = case.mean([answer.relevance for answer in case.answers])
    unmet = any(not answer.practices for answer in case.answers)
    lowest = min((band.relevance for band in case.profile.bands), default=0.0)
    stance = "against" if value < lowest else "neutral" if unmet else "for"
    return Factor("relevance", value, stance, partial(_relevance_sentence, case, stance == "against"))


def _relevance_sentence(case: Case, weak: bool) -> Names:
    titles = [answer.practices[0].title if answer.practices else None for answer in case.answers]
    return reasons.relevance(list(zip(titles, case.found, strict=True)), weak)


# Experience, and how far it exceeds the mentee's


def experience(case: Case) -> Factor:
    """Mean over the needs of the city's level of experience; unknown only where no need has one.

    A need on which nothing is on record counts 0 beside others that have something, as in relevance:
    a city that answers one need of three must not pass for one that answers all.
    Source: DOMAIN 2.4, L(c, t); see experience.mentor_level.

    >>> case = Case(CityFacts("gent", {"en": "Ghent"}), None,
    ...             [NeedHits(())], (), (Level(0.75, 0.75, None, ()),), (None,), (1,), Profile(), date(2026, 1, 1))
    >>> experience(case).value
    0.75
    """
    known = [level for level in case.levels if level is not None]
    if not known:
        return _unknown("experience", partial(reasons.experience_unknown, case.city))
    value = case.mean([level.value if level else 0.0 for level in case.levels])
    stance = "for" if value >= 0.4 else "against" if value < 0.1 else "neutral"
    return Factor("experience", value, stance, partial(_experience_sentence, value, known, case.profile))


def _experience_sentence(value: float, known: Sequence[Level], profile: Profile) -> Names:
    inputs = {i.practice: i for level in known for i in level.inputs}
    return reasons.experience(
        value,
        len(inputs),
        _best_evidence((i.evidence_type for i in inputs.values()), profile),
        _newest(inputs.values()),
        any(level.stated for level in known),
    )


def _best_evidence(types: Iterable[str | None], profile: Profile) -> str | None:
    stated = [kind for kind in types if kind is not None and kind in profile.evidence]
    return max(stated, key=lambda kind: (profile.evidence[kind], kind), default=None)


def _newest(inputs: Iterable[Input]) -> int | None:
    return max((i.year for i in inputs if i.year is not None), default=None)


def gap_value(mentor: float, mentee: float, full_gap: float) -> float:
    """clip((mentor − mentee) / g*, 0, 1): rises with the difference of levels, then stays.

    A large gap is good: mentoring pairs worked best where experience differed clearly.
    Source: DOMAIN 2.4, G = clip(g/g*, 0, 1).

    >>> gap_value(0.75, 0.5, full_gap=0.5), gap_value(1.0, 0.0, 0.5), gap_value(0.25, 0.5, 0.5)
    (0.5, 1.0, 0.0)
    """
    return min(1.0, max(0.0, (mentor - mentee) / full_gap))


def peer_gap_value(difference: float, best_gap: float, full_gap: float) -> float:
    """max(0, 1 − |d − b| / g*): 1 for the best difference of levels, 0 for one that lies `full_gap` from it.

    For cities that learn from each other: somebody who is a little ahead, or about as far. Source: DOMAIN 2.4
    ("block g ≤ 0 except in peer mode"); the form is the triangle of the profile's two constants.

    >>> [round(peer_gap_value(d, best_gap=0.1, full_gap=0.5), 2) for d in (0.1, 0.35, -0.15, 0.6, 1.0)]
    [1.0, 0.5, 0.5, 0.0, 0.0]
    """
    return max(0.0, 1.0 - abs(difference - best_gap) / full_gap)


def gap(case: Case) -> Factor:
    """Mean gap over the needs for which the mentee's own level is known; unknown where none is.

    In mentoring, whether it is known depends on the mentee alone, so it is known for all cities or for none; see
    `_peer_gap` for a profile that names a best gap.

    >>> case = Case(CityFacts("gent", {"en": "Ghent"}), Mentee(),
    ...             [NeedHits(())], (), (Level(0.75, 0.75, None, ()),), (Level(0.5, None, None, ()),), (1,), Profile(), date(2026, 1, 1))
    >>> gap(case).value
    0.5
    """
    mentee = case.mentee
    if mentee is None:
        return _unknown("gap", partial(reasons.mentee_not_named, "gap"))
    if case.profile.best_gap is not None:
        return _peer_gap(case, mentee, case.profile.best_gap)
    gaps = [
        None if own is None else gap_value(level.value if level else 0.0, own.value, case.profile.full_gap)
        for level, own in zip(case.levels, case.own_levels, strict=True)
    ]
    value = weighted_mean(zip((need.weight for need in case.needs), gaps, strict=True))
    if value is None:
        return _unknown("gap", partial(reasons.own_level_unknown, mentee))
    return Factor("gap", value, "for" if value > 0 else "against", partial(reasons.gap, value, mentee))


def _peer_gap(case: Case, mentee: Mentee, best_gap: float) -> Factor:
    """Mean closeness of the gaps to the best one. Levels are compared without their evidence (`Level.extent`): a
    better evaluation makes no city a worse peer.

    A need on which the city has nothing counts 0, as in experience; a city of which nothing at all is known is
    neither near nor far.
    """
    pairs = list(zip(case.levels, case.own_levels, case.needs, strict=True))
    if all(own is None for _, own, _ in pairs):
        return _unknown("gap", partial(reasons.own_level_unknown, mentee))
    if all(level is None for level, _, _ in pairs):
        return _unknown("gap", partial(reasons.experience_unknown, case.city, "gap"))
    differences = [
        (need.weight, None if level is None or own is None else (level.extent or 0.0) - (own.extent or 0.0))
        for level, own, need in pairs
    ]
    values = [
        (
            weight,
            None if own is None else 0.0 if d is None else peer_gap_value(d, best_gap, case.profile.full_gap),
        )
        for (weight, d), (_, own, _) in zip(differences, pairs, strict=True)
    ]
    value = weighted_mean(values) or 0.0
    stance = "for" if value >= 0.6 else "against" if value < 0.25 else "neutral"
    farthest = max((d - best_gap for _, d in differences if d is not None), key=abs, default=-1.0)
    direction = 0.0 if value >= 0.6 else farthest
    return Factor("gap", value, stance, partial(reasons.peer_gap, direction, mentee))


# Context: a soft factor, as a hard filter on size would have refused every real IncluCities pair


def size_similarity(population: float, other: float, size_ratio: float = 100.0) -> float:
    """max(0, 1 − |ln(p1/p2)| / ln R): 1 for equal populations (inhabitants, above 0), 0 from ratio R on.

    Source: DOMAIN 2.4, with R = 100. The four IncluCities pairs:

    >>> pairs = [(87_000, 11_500), (175_000, 17_000), (202_000, 31_000), (133_000, 56_000)]
    >>> [round(size_similarity(mentor, mentee), 2) for mentor, mentee in pairs]
    [0.56, 0.49, 0.59, 0.81]
    """
    return max(0.0, 1.0 - abs(math.log(population / other)) / math.log(size_ratio))


def gower(parts: Mapping[str, float | None], weights: Mapping[str, float]) -> float | None:
    """Σ w·s / Σ w over the parts whose similarity is known, None when none is.

    Source: Gower's general coefficient of similarity, as in DOMAIN 2.4 (δ = 0 where missing).

    >>> gower({"size": 0.5, "country": 1.0, "migration": None}, {"size": 3, "country": 1, "migration": 1})
    0.625
    """
    return weighted_mean((weights[part], similarity) for part, similarity in parts.items())


def context_parts(city: CityFacts, mentee: Mentee, profile: Profile) -> dict[str, float | None]:
    """Similarity of two cities in size, country and migration, each in [0, 1] or None where not known.

    >>> bruges = CityFacts("bruges", {"en": "Bruges"}, country="BE", population=118_000)
    >>> context_parts(bruges, Mentee(country="BE"), Profile())
    {'size': None, 'country': 1.0, 'migration': None}
    """
    size = country = migration = None
    if _inhabited(city) and _inhabited(mentee):
        size = size_similarity(_inhabited(city), _inhabited(mentee), profile.size_ratio)
    if city.country and mentee.country:
        country = 1.0 if city.country == mentee.country else 0.0
    if city.foreign_born_share is not None and mentee.foreign_born_share is not None:
        migration = max(0.0, 1.0 - abs(city.foreign_born_share - mentee.foreign_born_share) / profile.share_range)
    return {"size": size, "country": country, "migration": migration}


def _inhabited(city: CityFacts | Mentee) -> int:
    """Its population, 0 when unknown; nobody living there would be an unknown written down wrongly."""
    return max(0, city.population or 0)


def context(case: Case) -> Factor:
    """Gower similarity of mentor and mentee over size, country and migration, as far as known.

    >>> case = Case(CityFacts("gent", {"en": "Ghent"}, country="BE"), Mentee(country="BE"),
    ...             [NeedHits(())], (), (None,), (None,), (1,), Profile(), date(2026, 1, 1))
    >>> context(case).value
    1.0
    """
    mentee = case.mentee
    if mentee is None:
        return _unknown("context", partial(reasons.mentee_not_named, "context"))
    parts = context_parts(case.city, mentee, case.profile)
    value = gower(parts, case.profile.context)
    missing = partial(_context_missing, case.city, mentee)
    if value is None:
        return Factor("context", None, "unknown", lambda: missing()[0].text, missing)
    stance = "for" if value >= 0.5 else "against" if value < 0.25 else "neutral"
    return Factor("context", value, stance, partial(_context_sentence, case.city, mentee, parts), missing)


def _context_sentence(city: CityFacts, mentee: Mentee, parts: Mapping[str, float | None]) -> Names:
    said = []
    if parts["size"] is not None:
        said.append(reasons.size(city, mentee, _inhabited(city), _inhabited(mentee)))
    if parts["country"] is not None:
        said.append(reasons.country(city, mentee))
    if city.foreign_born_share is not None and mentee.foreign_born_share is not None:
        said.append(reasons.migration(abs(city.foreign_born_share - mentee.foreign_born_share)))
    return reasons.joined(said)


def _context_missing(city: CityFacts, mentee: Mentee) -> tuple[Unknown, ...]:
    """Migration shares are rarely on record: asking for them at every suggestion would bury the rest."""
    asked = (
        ("size", True, _inhabited(city)),
        ("size", False, _inhabited(mentee)),
        ("country", True, city.country),
        ("country", False, mentee.country),
    )
    return tuple(
        reasons.context_missing(part, city, mentee, of_mentor=of_mentor) for part, of_mentor, fact in asked if not fact
    )


# Language


def shared_languages(one: Iterable[str], other: Iterable[str]) -> list[str]:
    """Languages in both, by primary tag, in alphabetical order.

    >>> shared_languages(["nl-BE", "fr"], ["FR-FR", "en"])
    ['fr']
    """
    return sorted({_primary(tag) for tag in one} & {_primary(tag) for tag in other})


def _primary(tag: str) -> str:
    return tag.replace("_", "-").partition("-")[0].lower()


def language(case: Case) -> Factor:
    """1 where both share a working or official language, 0 where both say what they work in and share none.

    A municipality works in its official languages, so they count beside the stated ones. Where one side
    has stated nothing, it may well work in English too: then no shared language is unknown, not bad.
    Source: DOMAIN 2.4, max over shared working languages, official ones as fallback; levels of
    command are on no record, so each counts 1.

    >>> case = Case(CityFacts("gent", {"en": "Ghent"}, languages=("nl",)), Mentee(working_languages=("nl-NL", "en")),
    ...             [NeedHits(())], (), (None,), (None,), (1,), Profile(), date(2026, 1, 1))
    >>> language(case).value
    1.0
    """
    city, mentee = case.city, case.mentee
    if mentee is None:
        return _unknown("language", partial(reasons.mentee_not_named, "language"))
    offer = _offer(city)
    stated = offer.working_languages if offer else ()
    own, others = (*stated, *city.languages), (*mentee.working_languages, *mentee.languages)
    shared = shared_languages(own, others)
    if shared:
        official = shared_languages(city.languages, mentee.languages)
        sentence = partial(reasons.shared_language, official or shared, not official)
        return Factor("language", 1.0, "for", sentence)
    tags, other_tags = _codes(own), _codes(others)
    if stated and mentee.working_languages:
        return Factor("language", 0.0, "against", partial(reasons.no_shared_language, city, tags, mentee, other_tags))
    return _unknown("language", partial(reasons.language_unknown, city, tags, mentee, other_tags))


def _codes(tags: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(_primary(tag) for tag in tags))


# Capacity


def _offer(city: CityFacts) -> Availability | None:
    """The city's offer to mentor; without recorded consent it is not used at all."""
    return city.availability if city.availability and city.availability.consent else None


def capacity(case: Case) -> Factor:
    """1 where the city offers to mentor on the needs' themes now, 0 where its places are taken, else unknown.

    No offer on record, one that has run out, and one for other themes all leave open whether it would.
    Source: DESIGN 6 (offers, quota, until when); DOMAIN 1.3.

    >>> case = Case(CityFacts("gent", {"en": "Ghent"}, availability=Availability(True, quota=2, taken=2)), None,
    ...             [NeedHits(())], (), (None,), (None,), (1,), Profile(), date(2026, 1, 1))
    >>> capacity(case).value
    0.0
    """
    offer = _offer(case.city)
    if offer is None:
        return _unknown("capacity", partial(reasons.availability_unknown, case.city, "none"))
    if offer.until is not None and offer.until < case.as_of:
        return _unknown("capacity", partial(reasons.availability_unknown, case.city, "ended"))
    if offer.quota is not None and offer.taken >= offer.quota:
        return Factor("capacity", 0.0, "against", reasons.full)
    if offer.themes and not any(_offered(offer, need) for need in case.needs):
        return _unknown("capacity", partial(reasons.availability_unknown, case.city, "other-themes"))
    free = None if offer.quota is None else offer.quota - offer.taken
    return Factor("capacity", 1.0, "for", partial(reasons.offers, free))


def _offered(offer: Availability, need: NeedHits) -> bool:
    """An offer for a broader theme holds for the need's; a need without themes is not excluded."""
    return not need.themes or not offer.themes.isdisjoint(need.covered | need.broader)


# Trust


def trust(case: Case) -> Factor:
    """1 where a shared programme, network or an earlier mentorship is on record, else unknown.

    A bonus: people know each other, and trust carries a mentorship. That no tie is on record says
    little, so it is never 0. Source: DESIGN 6; DOMAIN 1.3 (trust, existing link).

    >>> case = Case(CityFacts("gent", {"en": "Ghent"}, programmes={"x": "X"}), Mentee(programmes={"x": "X"}),
    ...             [NeedHits(())], (), (None,), (None,), (1,), Profile(), date(2026, 1, 1))
    >>> trust(case).value
    1.0
    """
    city, mentee = case.city, case.mentee
    if mentee is None:
        return _unknown("trust", partial(reasons.mentee_not_named, "trust"))
    programmes = sorted(city.programmes.keys() & mentee.programmes.keys())
    networks = sorted(city.networks.keys() & mentee.networks.keys())
    mentorship = not mentee.ids.isdisjoint(city.mentored)
    if not (programmes or networks or mentorship):
        return _unknown("trust", partial(reasons.ties_unknown, city))
    named = [city.programmes[id] for id in programmes], [city.networks[id] for id in networks]
    return Factor("trust", 1.0, "for", partial(reasons.ties, *named, mentorship))


# Evidence, freshness and transferability of the practices shown. The first two already act through experience, and
# few records tell the third, so their weight is 0 unless a request raises it.


def evidence(case: Case) -> Factor:
    """Weight of the best evidence stated for the practices shown; unknown where none states any.

    Source: DOMAIN 2.4, e by kind of evidence.
    """
    best = _best_evidence((practice.evidence for practice in case.shown()), case.profile)
    if best is None:
        return _unknown("evidence", partial(reasons.evidence_unknown, case.city))
    value = case.profile.evidence[best]
    stance = "for" if value >= 0.5 else "against"
    return Factor("evidence", value, stance, partial(reasons.evidence, best))


def recency(case: Case) -> Factor:
    """Weight of age of the newest of the practices shown; unknown where none has a sure date.

    Source: DOMAIN 2.4, q = 2^(−age/h).
    """
    years = [year for practice in case.shown() if (year := newest_sure_year(practice, case.as_of)) is not None]
    if not years:
        return _unknown("freshness", partial(reasons.recency_unknown, case.city))
    value = freshness(max(years), case.as_of, case.profile.half_life_years)
    stance = "for" if value >= 0.5 else "against" if value < 0.25 else "neutral"
    return Factor("freshness", value, stance, partial(reasons.recency, max(years)))


def transferability_value(told: int) -> float:
    """1 − ½ⁿ for n things that records tell for transfer: each adds half of what is missing, none is demanded.

    >>> transferability_value(1), transferability_value(2)
    (0.5, 0.75)
    """
    return 1.0 - 0.5**told


def transferability(case: Case) -> Factor:
    """How much the best told of the practices shown says for transfer; unknown where none says anything.

    Counted are core elements to keep, parts to adapt, success factors and conditions, as far as stated, and having
    been taken up elsewhere. Source: DOMAIN 1.3 (transferability, key elements stated: URBACT, Interreg Europe). It
    tells how well a practice can be judged and adapted, not whether it will work: PIET-T (DOMAIN 2.1) warns that
    transferability can only be anticipated; `kg.matching.transferability` looks at one practice and one city.

    >>> from kg.matching.facts import Cited
    >>> told = PracticeFacts("a", {"en": "A"}, told_for_transfer=frozenset({"conditions"}), taken_up=2)
    >>> case = Case(CityFacts("gent", {"en": "Ghent"}, practices=(told,)), None, [NeedHits(())],
    ...             (NeedAnswer(0, 0.4, None, (Cited("a", {}, 0.4, 0.4, None, None),)),), (None,), (None,), (1,),
    ...             Profile(), date(2026, 1, 1))
    >>> transferability(case).value
    0.75
    """
    counted = [(len(p.told_for_transfer) + (p.taken_up > 0), p) for p in case.shown()]
    best = max((number for number, _ in counted), default=0)
    if best == 0:
        return _unknown("transferability", partial(reasons.transferability_unknown, case.city))
    practice = next(p for number, p in counted if number == best)
    stance = "for" if best > 1 or practice.taken_up else "neutral"
    return Factor("transferability", transferability_value(best), stance, partial(reasons.transferability, practice))


FACTORS: Mapping[str, Callable[[Case], Factor]] = {
    "relevance": relevance,
    "experience": experience,
    "gap": gap,
    "context": context,
    "language": language,
    "capacity": capacity,
    "trust": trust,
    "evidence": evidence,
    "freshness": recency,
    "transferability": transferability,
}
"""Every factor by the name of its weight."""
