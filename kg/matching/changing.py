"""What would change a ranking: which single weight, or which single fact, would make two cities swap their ranks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from types import MappingProxyType
from typing import TypeVar

from kg.matching import reasons
from kg.matching.experience import newest_sure_year
from kg.matching.factors import FACTORS
from kg.matching.facts import Availability, CityFacts, DeclaredExperience, Mentee, Names, NeedHits, PracticeFacts
from kg.matching.profile import HIGHEST_WEIGHT
from kg.matching.reasons import EVIDENCE_LABELS, FACTOR_LABELS, name_of, of, quoted_title
from kg.matching.suggestions import Weighed, rank_key, weigh_case, weigh_city

Option = TypeVar("Option")

LEVELS: Mapping[float, Names] = {
    0.0: {"en": "none", "fr": "aucune"},
    0.25: {"en": "starting", "fr": "débutante"},
    0.5: {"en": "some", "fr": "partielle"},
    0.75: {"en": "solid", "fr": "solide"},
    1.0: {"en": "leading", "fr": "de premier plan"},
}
"""Levels of experience as records state them, lowest first."""

_SMALLEST_STEP = 1e-6
"""How far past the exact weight the order is looked at: utilities are compared to nine decimals."""


@dataclass(frozen=True)
class WeightChange:
    """One weight at which two cities swap: `factor` now counts `now`; past `swap_at` the other one is first.

    `more` says whether the weight would have to rise.
    """

    factor: str
    now: float
    swap_at: float
    more: bool
    text: Names


@dataclass(frozen=True)
class FactChange:
    """One fact that would swap two cities: `code` is stable, `about` a city's id, or "" for the mentee.

    `known` is False where nothing is on record today, so that asking may settle it. `practice` or `theme` is what
    the fact is about, if it is about one.
    """

    code: str
    about: str
    known: bool
    text: Names
    practice: str | None = None
    theme: str | None = None


@dataclass(frozen=True)
class Changes:
    """What would swap two cities, `upper` ranked before `lower`; both by id."""

    upper: str
    lower: str
    weights: tuple[WeightChange, ...]
    facts: tuple[FactChange, ...]


def what_would_change(
    upper: Weighed, lower: Weighed, theme_names: Mapping[str, Names] = MappingProxyType({})
) -> Changes:
    """Every single weight and every single fact that would put `lower` before `upper`.

    Each one is checked by weighing both cities anew: nothing is told that does not swap them. Of several degrees of
    one fact (an evidence value, a level) the smallest that suffices is told. `theme_names` are words for themes.

    >>> from datetime import date
    >>> from kg.matching.facts import Hit
    >>> from kg.matching.profile import Profile
    >>> trees, shade = PracticeFacts("trees", {"en": "Trees"}), PracticeFacts("shade", {"en": "Shade"})
    >>> lyon, gent = CityFacts("lyon", {"en": "Lyon"}, practices=(trees,)), CityFacts("gent", {"en": "Ghent"}, practices=(shade,))
    >>> need = NeedHits((Hit("trees", "lyon", 0.9), Hit("shade", "gent", 0.85)), themes=frozenset({"heat"}))
    >>> first, second = (weigh_city(c, [need], mentee=None, profile=Profile(), as_of=date(2026, 1, 1)) for c in (lyon, gent))
    >>> found = what_would_change(first, second)
    >>> [one.code for one in found.facts]
    ['available', 'places-taken', 'evidence', 'still-running', 'experience-level']
    >>> found.facts[2].text["en"]
    'If the outcomes of “Shade” were supported by an independent evaluation, Ghent would stand before Lyon.'
    """
    return Changes(
        upper.case.city.id,
        lower.case.city.id,
        tuple(_weight_changes(upper, lower)),
        tuple(_fact_changes(upper, lower, theme_names)),
    )


# Weights


def swap_weights(upper: Weighed, lower: Weighed, factor: str) -> list[float]:
    """The weights of one factor at which two cities have the same utility, others as they are; ascending, above 0.

    A city's utility as a function of the weight x of this factor is linear fractional, U(x) = (x·v + S) / (x·k + W):
    v is its value (0 when unknown), k 1 when it is known and else 0, S = Σ w·v and W = Σ w over its other known factors.
    U_a(x) = U_b(x), multiplied out, is

        x² (v_a k_b − v_b k_a) + x (v_a W_b + S_a k_b − v_b W_a − S_b k_a) + (S_a W_b − S_b W_a) = 0,

    which is linear where neither knows the factor or both have the same value, and has x = −W as its other root where
    both know the same factors. Only roots up to the highest weight count.

    >>> from datetime import date
    >>> from kg.matching.facts import Hit
    >>> from kg.matching.profile import Profile
    >>> profile = Profile().with_weights({name: 0 for name in Profile().weights if name not in ("relevance", "gap")})
    >>> mentee = Mentee(experience=(DeclaredExperience("heat", 0.0),))
    >>> good = PracticeFacts("good", {}, frozenset({"heat"}), evidence="outcome-counts", end=2026)
    >>> plan = PracticeFacts("plan", {}, frozenset({"heat"}), evidence="none", end=2014)
    >>> need = NeedHits((Hit("good", "gent", 0.70), Hit("plan", "lyon", 0.84)), themes=frozenset({"heat"}))
    >>> gent, lyon = (weigh_city(CityFacts(id, {}, practices=(p,)), [need], mentee=mentee, profile=profile, as_of=date(2026, 1, 1))
    ...               for id, p in (("gent", good), ("lyon", plan)))
    >>> [round(x, 4) for x in swap_weights(gent, lyon, "gap")]     # .5 × (.48 − .40) = x × (1 − .15)
    [0.0471]
    """
    v_a, k_a, s_a, w_a = _terms(upper, factor)
    v_b, k_b, s_b, w_b = _terms(lower, factor)
    roots = _roots(
        v_a * k_b - v_b * k_a,
        v_a * w_b + s_a * k_b - v_b * w_a - s_b * k_a,
        s_a * w_b - s_b * w_a,
    )
    return sorted(x for x in roots if 0 < x <= HIGHEST_WEIGHT)


def _terms(weighed: Weighed, factor: str) -> tuple[float, float, float, float]:
    """v, k, S and W of one city."""
    weights = weighed.case.profile.weights
    value = _value(weighed, factor)
    others = [(weights[f.name], f.value) for f in weighed.factors if f.name != factor and f.value is not None]
    total = math.fsum(weight * v for weight, v in others)
    return value or 0.0, float(value is not None), total, math.fsum(weight for weight, _ in others)


def _value(weighed: Weighed, factor: str) -> float | None:
    """A factor's value, also of one without weight."""
    known = {one.name: one.value for one in weighed.factors}
    return known[factor] if factor in known else FACTORS[factor](weighed.case).value


def _roots(a: float, b: float, c: float) -> list[float]:
    """The real roots of a·x² + b·x + c; none where every x is one."""
    if abs(a) < 1e-12:
        return [] if abs(b) < 1e-12 else [-c / b]
    discriminant = b * b - 4 * a * c
    if discriminant < 0:
        return []
    # The larger root by size first: the usual formula loses digits where b² is much larger than 4ac.
    q = -(b + math.copysign(math.sqrt(discriminant), b)) / 2
    return [q / a] if q == 0 else [q / a, c / q]


def _weight_changes(upper: Weighed, lower: Weighed) -> Iterator[WeightChange]:
    """For each factor the weight nearest to the present one past which the two swap."""
    weights = upper.case.profile.weights
    names = [{language: name_of(one.case.city, language) for language in reasons.LANGUAGES} for one in (upper, lower)]
    for factor, now in weights.items():
        found = [
            (at, past)
            for at in swap_weights(upper, lower, factor)
            if (past := at + math.copysign(max(at, 1e-3) * _SMALLEST_STEP, at - now)) > 0
            and _swaps(_with_weight(upper, factor, past), _with_weight(lower, factor, past))
        ]
        if found:
            at, past = min(found, key=lambda pair: abs(pair[0] - now))
            yield WeightChange(factor, now, at, past > now, _weight_sentence(factor, now, at, past > now, *names))


def _with_weight(weighed: Weighed, factor: str, weight: float) -> Weighed:
    profile = weighed.case.profile
    changed = replace(profile, weights=MappingProxyType({**profile.weights, factor: weight}))
    return weigh_case(replace(weighed.case, profile=changed))


def _swaps(upper: Weighed | None, lower: Weighed | None) -> bool:
    return upper is not None and lower is not None and rank_key(lower) < rank_key(upper)


def _weight_sentence(factor: str, now: float, at: float, more: bool, upper: Names, lower: Names) -> Names:
    label = FACTOR_LABELS[factor]
    en = f"{'more' if more else 'less'} than {at:.3g} (now {now:.3g})"
    fr = f"{'plus' if more else 'moins'} de {at:.3g} (actuellement {now:.3g})".replace(".", ",")
    return {
        "en": f"If “{label['en']}” counted {en}, {lower['en']} would stand before {upper['en']}.",
        "fr": f"Si « {label['fr']} » comptait {fr}, {lower['fr']} passerait devant {upper['fr']}.",
    }


# Facts


@dataclass(frozen=True)
class _Case:
    """The two cities as they are weighed, and the needs with what was found for the two alone."""

    upper: Weighed
    lower: Weighed
    needs: tuple[NeedHits, ...]

    def again(
        self, *, upper: CityFacts | None = None, lower: CityFacts | None = None, mentee: Mentee | None = None
    ) -> bool:
        """Whether they swap with another wording of a city, or of the mentee."""
        case = self.upper.case
        both = [
            weigh_city(
                other or one.case.city,
                self.needs,
                mentee=mentee or case.mentee,
                profile=case.profile,
                as_of=case.as_of,
            )
            for one, other in ((self.upper, upper), (self.lower, lower))
        ]
        return _swaps(*both)


def _fact_changes(upper: Weighed, lower: Weighed, theme_names: Mapping[str, Names]) -> Iterator[FactChange]:
    ids = {upper.case.city.id, lower.case.city.id}
    needs = tuple(replace(n, hits=tuple(hit for hit in n.hits if hit.city in ids)) for n in upper.case.needs)
    case = _Case(upper, lower, needs)
    for finder in (_of_unknown, _of_offers, _of_evidence, _of_dates, _of_levels, _of_the_mentee):
        yield from finder(case, theme_names)


def _then(condition: Names, case: _Case) -> Names:
    """The condition, and what would follow."""
    upper, lower = case.upper.case.city, case.lower.case.city
    return {
        "en": f"If {condition['en']}, {name_of(lower, 'en')} would stand before {name_of(upper, 'en')}.",
        "fr": f"{_si(condition['fr'])}, {name_of(lower, 'fr')} passerait devant {name_of(upper, 'fr')}.",
    }


def _si(condition: str) -> str:
    return f"S’{condition}" if condition.startswith(("il ", "ils ")) else f"Si {condition}"


_BETTER: Mapping[str, tuple[str, Names]] = {
    # factor that is unknown of the lower city: code, and the condition with its and the mentee's name
    "language": (
        "language-shared",
        {
            "en": "{} and {} turned out to share a working language",
            "fr": "{} et {} avaient une langue de travail commune",
        },
    ),
    "trust": (
        "ties",
        {"en": "it were on record that {} and {} know each other", "fr": "il était établi que {} et {} se connaissent"},
    ),
    "context": (
        "context-similar",
        {
            "en": "the context of {} turned out to be much like that of {}",
            "fr": "le contexte {} se révélait très proche de celui {}",
        },
    ),
}
_WORSE: Mapping[str, tuple[str, Names]] = {
    # the same for the upper one
    "language": (
        "language-none",
        {
            "en": "{} and {} turned out to share no working language",
            "fr": "{} et {} n’avaient aucune langue de travail commune",
        },
    ),
    "context": (
        "context-different",
        {
            "en": "the context of {} turned out to be quite unlike that of {}",
            "fr": "le contexte {} se révélait très différent de celui {}",
        },
    ),
}


def _of_unknown(case: _Case, theme_names: Mapping[str, Names]) -> Iterator[FactChange]:
    """Factors that are unknown of one of the two: known at their best for the lower, at their worst for the upper one.

    The utility with the factor known at v is (S + w·v) / (W + w), as in `swap_weights`. That the mentee is not named
    makes factors unknown too, but for both cities alike: that is no fact about one of them.
    """
    mentee = case.upper.case.mentee
    if mentee is None:
        return
    for here, other, said, value in ((case.lower, case.upper, _BETTER, 1.0), (case.upper, case.lower, _WORSE, 0.0)):
        for factor, (code, words) in said.items():
            weight = here.case.profile.weights[factor]
            if weight == 0 or _value(here, factor) is not None:
                continue
            _, _, total, known = _terms(here, factor)
            utility = (total + weight * value) / (known + weight)
            keys = {here.case.city.id: (-round(utility, 9), here.case.city.id), other.case.city.id: rank_key(other)}
            if keys[case.lower.case.city.id] < keys[case.upper.case.city.id]:
                yield FactChange(code, here.case.city.id, False, _then(_of_both(words, here.case.city, mentee), case))


def _of_both(words: Names, city: CityFacts, mentee: Mentee) -> Names:
    french = name_of(city, "fr"), name_of(mentee, "fr")
    if "le contexte" in words["fr"]:
        french = of(french[0]), of(french[1])
    return {"en": words["en"].format(name_of(city, "en"), name_of(mentee, "en")), "fr": words["fr"].format(*french)}


def _of_offers(case: _Case, theme_names: Mapping[str, Names]) -> Iterator[FactChange]:
    """An offer of the lower city, or no place left at the upper one."""
    lower, upper = case.lower.case.city, case.upper.case.city
    offered = _offering(lower, None)
    value = _value(case.lower, "capacity")
    if value != 1 and case.again(lower=offered):
        words = {
            "en": f"{name_of(lower, 'en')} offered to mentor on this",
            "fr": f"{name_of(lower, 'fr')} proposait d’être mentore sur ce sujet",
        }
        yield FactChange("available", lower.id, value is not None, _then(words, case))
    value = _value(case.upper, "capacity")
    if value != 0 and case.again(upper=_offering(upper, 0)):
        words = {
            "en": f"the places of {name_of(upper, 'en')} as mentor were all taken",
            "fr": f"toutes les places {of(name_of(upper, 'fr'))} comme mentore étaient prises",
        }
        yield FactChange("places-taken", upper.id, value is not None, _then(words, case))


def _offering(city: CityFacts, quota: int | None) -> CityFacts:
    """The city with an offer for any theme from now on; its stated languages stay."""
    before = city.availability if city.availability and city.availability.consent else Availability(True)
    return replace(city, availability=replace(before, quota=quota, taken=0, until=None, themes=frozenset()))


def _cited(weighed: Weighed) -> list[PracticeFacts]:
    return weighed.case.shown()


def _of_evidence(case: _Case, theme_names: Mapping[str, Names]) -> Iterator[FactChange]:
    """The smallest better evidence of a practice of the lower city."""
    profile, city = case.lower.case.profile, case.lower.case.city
    kinds = sorted(profile.evidence, key=lambda kind: (profile.evidence[kind], kind))
    for practice in _cited(case.lower):
        stated = practice.evidence if practice.evidence in profile.evidence else None
        worth = profile.usual_evidence if stated is None else profile.evidence[stated]
        better = [kind for kind in kinds if profile.evidence[kind] > worth]

        def evidenced(kind: str, practice: PracticeFacts = practice) -> bool:
            return case.again(lower=_with(city, replace(practice, evidence=kind)))

        kind = _first(better, evidenced)
        if kind is not None:
            words = {
                "en": f"the outcomes of {quoted_title(practice.title, 'en')} were supported by "
                f"{EVIDENCE_LABELS.get(kind, {}).get('en', kind)}",
                "fr": f"les résultats de {quoted_title(practice.title, 'fr')} étaient étayés par "
                f"{EVIDENCE_LABELS.get(kind, {}).get('fr', kind)}",
            }
            yield FactChange("evidence", city.id, stated is not None, _then(words, case), practice=practice.id)


def _of_dates(case: _Case, theme_names: Mapping[str, Names]) -> Iterator[FactChange]:
    """A practice of the lower city that were still running."""
    city, as_of = case.lower.case.city, case.lower.case.as_of
    for practice in _cited(case.lower):
        year = newest_sure_year(practice, as_of)
        running = replace(practice, status="running", status_as_of=as_of.year, end=None)
        if year != as_of.year and case.again(lower=_with(city, running)):
            words = {
                "en": f"{quoted_title(practice.title, 'en')} turned out to be still running",
                "fr": f"{quoted_title(practice.title, 'fr')} se révélait être toujours en cours",
            }
            yield FactChange("still-running", city.id, year is not None, _then(words, case), practice=practice.id)


def _of_levels(case: _Case, theme_names: Mapping[str, Names]) -> Iterator[FactChange]:
    """The lowest level of experience of the lower city on a theme of the needs, assessed by others today."""
    city, as_of = case.lower.case.city, case.lower.case.as_of
    for theme in sorted({theme for need in case.needs for theme in need.themes}):

        def assessed(level: float, theme: str = theme) -> bool:
            stated = DeclaredExperience(theme, level, "assessed", as_of)
            return case.again(lower=replace(city, experience=(*city.experience, stated)))

        level = _first((0.5, 0.75, 1.0), assessed)
        if level is not None:
            is_known = any(one.theme == theme for one in city.experience)
            yield FactChange(
                "experience-level",
                city.id,
                is_known,
                _then(_level_words(city, theme, level, theme_names, by_others=True), case),
                theme=theme,
            )


def _of_the_mentee(case: _Case, theme_names: Mapping[str, Names]) -> Iterator[FactChange]:
    """A level that the mentee would declare of itself on a theme of the needs: the one nearest to what it says now."""
    mentee = case.upper.case.mentee
    if mentee is None:
        return
    for theme in sorted({theme for need in case.needs for theme in need.themes}):
        now = next((one.level for one in mentee.experience if one.theme == theme), None)
        others = tuple(one for one in mentee.experience if one.theme != theme)

        def declared(level: float, theme: str = theme, others: tuple[DeclaredExperience, ...] = others) -> bool:
            return case.again(
                mentee=replace(mentee, experience=(*others, DeclaredExperience(theme, level, "declared")))
            )

        def step(level: float, now: float | None = now) -> float:
            return 0.0 if now is None else abs(level - now)

        level = _first(sorted((level for level in LEVELS if level != now), key=step), declared)
        if level is not None:
            words = _level_words(mentee, theme, level, theme_names, by_others=False)
            yield FactChange("mentee-level", "", now is not None, _then(words, case), theme=theme)


def _level_words(
    city: CityFacts | Mentee, theme: str, level: float, theme_names: Mapping[str, Names], *, by_others: bool
) -> Names:
    """A level as others assess it, or as the city states it of itself, which counts less of a mentor."""
    named = theme_names.get(theme) or {"en": theme}
    en, fr = ("assessed by others", "évaluée par d’autres") if by_others else ("stated", "indiquée")
    return {
        "en": f"the experience of {name_of(city, 'en')} with {quoted_title(named, 'en')} were {en} as "
        f"{quoted_title(LEVELS[level], 'en')}",
        "fr": f"l’expérience {of(name_of(city, 'fr'))} pour {quoted_title(named, 'fr')} était {fr} comme "
        f"{quoted_title(LEVELS[level], 'fr')}",
    }


def _with(city: CityFacts, changed: PracticeFacts) -> CityFacts:
    return replace(city, practices=tuple(changed if one.id == changed.id else one for one in city.practices))


def _first(options: Iterable[Option], suffices: Callable[[Option], bool]) -> Option | None:
    return next((one for one in options if suffices(one)), None)


def neighbours(ranked: Sequence[Weighed]) -> list[tuple[Weighed, Weighed]]:
    """Each city with the one right behind it.

    >>> neighbours([])
    []
    """
    return list(pairwise(ranked))
