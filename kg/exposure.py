"""The attention that cities get from suggestions over many needs: a request checked, every need asked, the answer written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any, Protocol

from kg.city_facts import country_names
from kg.errors import BadRequest, TooLarge, in_digits, quoted
from kg.fields import in_language
from kg.matching import fairness
from kg.matching.facts import CityFacts, Mentee, NeedHits
from kg.matching.profile import Profile
from kg.matching.reasons import decimal
from kg.matching.suggestions import rank_cities
from kg.suggesting import MOST_SUGGESTIONS, Need, SuggestionRequest, city_reference, read_request

MOST_NEEDS = 100
"""Needs of one request: each costs what a suggestion costs, and one request holds one of few places."""

MOST_LISTED = 100
"""Cities that a list of the answer names; the number of all stands beside it."""

_AT_ONCE = 10
"""Needs embedded and searched in one call, between two signs of progress."""

_KEYS = ("needs", "first", "profile", "weights", "as_of")

Progress = Callable[[str, int, int], None]


class Source(Protocol):
    """What is asked of the catalogue."""

    def city(self, name: str, where: str) -> str: ...
    def theme(self, name: str, where: str) -> str: ...
    def all_cities(self, most: int) -> list[str]: ...
    def records_of_cities(self) -> dict[str, int]: ...
    def countries_of_cities(self) -> dict[str, str]: ...
    def needs_on_record(self) -> list[dict[str, Any]]: ...
    def city_facts(self, ids: Iterable[str]) -> dict[str, CityFacts]: ...
    def hits_of(self, needs: Sequence[Need]) -> Sequence[tuple[NeedHits, object]]: ...


@dataclass(frozen=True)
class Wanted:
    """A checked request: each need asked by itself, by its mentee where it has one. `total` counts the needs there are."""

    requests: tuple[SuggestionRequest, ...]
    on_record: bool
    total: int
    first: int


def read_exposure(data: Any, source: Source) -> Wanted:
    """Check a request; without needs those on record are taken, the first 100 by identifier.

    Raises BadRequest, naming the place, for anything that cannot be used, TooLarge over 100 needs.
    """
    if not isinstance(data, Mapping):
        raise BadRequest(
            {
                "en": f"the request: must be an object with {', '.join(_KEYS)}",
                "fr": f"la demande : il faut un objet avec {', '.join(_KEYS)}",
            }
        )
    for key in data:
        if key not in _KEYS:
            raise BadRequest(
                {
                    "en": f"there is no {quoted(key)}; there are {', '.join(_KEYS)}",
                    "fr": f"il n’y a pas de {quoted(key)} ; il y a {', '.join(_KEYS)}",
                }
            )
    first = data.get("first", fairness.FIRST)
    if isinstance(first, bool) or not isinstance(first, int) or not 1 <= first <= MOST_SUGGESTIONS:
        raise BadRequest(
            {
                "en": f"first: give a whole number from 1 to {MOST_SUGGESTIONS}, not {quoted(first)}",
                "fr": f"first : donnez un nombre entier de 1 à {MOST_SUGGESTIONS}, non {quoted(first)}",
            }
        )
    given = data.get("needs")
    needs = source.needs_on_record() if given is None else given
    if not isinstance(needs, Sequence) or isinstance(needs, str):
        raise BadRequest(
            {
                "en": "needs: give a list of needs, each with a text, or leave it out for those on record",
                "fr": "needs : donnez une liste de besoins, chacun avec un texte, ou omettez-la pour les besoins documentés",
            }
        )
    if not needs:
        raise BadRequest(
            {
                "en": "needs: no public need is on record; give some, each with a text",
                "fr": "needs : aucun besoin public n’est documenté ; donnez-en, chacun avec un texte",
            }
        )
    if given is not None and len(needs) > MOST_NEEDS:
        raise TooLarge(
            {
                "en": f"needs: {len(needs):,} were given, {MOST_NEEDS} are asked in one request; ask in parts",
                "fr": f"needs : {in_digits(len(needs))} ont été donnés, une demande en a {MOST_NEEDS} au plus ; faites-en plusieurs",
            }
        )
    shared = {key: data[key] for key in ("profile", "weights", "as_of") if data.get(key) is not None}
    requests = tuple(
        _request(need, f"needs[{place}]", {**shared, "limit": first}, source)
        for place, need in enumerate(needs[:MOST_NEEDS])
    )
    return Wanted(requests, given is None, len(needs), first)


def _request(need: Any, where: str, shared: Mapping[str, Any], source: Source) -> SuggestionRequest:
    """One need as a request of its own."""
    if not isinstance(need, Mapping):
        raise BadRequest(
            {
                "en": f"{where}: must be an object with text, language, themes, mentee",
                "fr": f"{where} : il faut un objet avec text, language, themes, mentee",
            }
        )
    asked = {"needs": [{key: value for key, value in need.items() if key != "mentee"}], **shared}
    if need.get("mentee") is not None:
        asked["mentee"] = {"city": need["mentee"]}
    try:
        return read_request(asked, source)
    except (BadRequest, TooLarge) as error:
        said = {
            language: text.replace("needs[0]", where, 1).replace("mentee.city", f"{where}.mentee", 1)
            for language, text in error.texts().items()
        }
        raise type(error)(said) from error


def measure_exposure(
    wanted: Wanted, source: Source, profile: Profile, base: str, language: str, progress: Progress
) -> dict[str, Any]:
    """Ask every need of a checked request, and tell who got how much attention, in `language` ("en" or "fr").

    A ranking is the one that suggestions give: the mentee and its own practices are left out of it.
    """
    asked = wanted.requests[0]
    profile = profile.with_weights(asked.weights)
    as_of = asked.as_of or datetime.now(UTC).date()
    told = fairness.exposure(
        _rankings(wanted, source, profile, as_of, progress),
        source.all_cities(1_000_000),
        source.records_of_cities(),
        countries=source.countries_of_cities(),
        first=wanted.first,
    )
    return {**_written(told, wanted, source, base, language), "profile": _named(profile), "as_of": as_of.isoformat()}


def _named(profile: Profile) -> dict[str, Any]:
    return {"name": profile.name, "version": profile.version, "changed": list(profile.changed)}


def _rankings(wanted: Wanted, source: Source, profile: Profile, as_of: date, progress: Progress) -> Iterator[list[str]]:
    """The first cities for each need, best first; a bounded number of needs is held at a time."""
    for start in range(0, len(wanted.requests), _AT_ONCE):
        progress("needs", start, len(wanted.requests))
        some = wanted.requests[start : start + _AT_ONCE]
        found = [hits for hits, _ in source.hits_of([request.needs[0] for request in some])]
        named = {hit.city for hits in found for hit in hits.hits} | {one.mentee for one in some if one.mentee}
        cities = source.city_facts(named)
        for request, hits in zip(some, found, strict=True):
            own = cities.get(request.mentee or "")
            others = {id: city for id, city in cities.items() if id != request.mentee}
            ranked = rank_cities(
                [hits if own is None else _of_others(hits, own)],
                others,
                mentee=None if own is None else Mentee.on_record(own),
                profile=profile,
                as_of=as_of,
                limit=wanted.first,
            )
            yield [one.case.city.id for one in ranked]
    progress("needs", len(wanted.requests), len(wanted.requests))


def _of_others(hits: NeedHits, city: CityFacts) -> NeedHits:
    """A need without the mentee's own practices: nobody is sent to a partner for what it does itself."""
    return replace(hits, hits=tuple(hit for hit in hits.hits if hit.practice not in city.practice))


def _written(told: fairness.Exposure, wanted: Wanted, source: Source, base: str, language: str) -> dict[str, Any]:
    """The figures as JSON."""
    listed, never = told.cities[:MOST_LISTED], told.never[:MOST_LISTED]
    without = told.without_records[:MOST_LISTED]
    facts = source.city_facts({*(one.city for one in listed), *never, *without})
    records = {one.city: one.records for one in told.cities}

    def named(city: str) -> dict[str, Any]:
        known = facts.get(city) or CityFacts(city, {"en": city})
        return city_reference(known, base, language)

    return {
        "needs": told.needs,
        "needs_total": wanted.total,
        "on_record": wanted.on_record,
        "first": told.first,
        "text": exposure_sentence(told, language),
        "gini": _rounded(told.gini),
        "gini_records": _rounded(told.gini_records),
        "cities_total": len(told.cities),
        "cities": [
            {
                "city": named(one.city),
                "exposure": _rounded(one.exposure),
                "share": _rounded(one.share),
                "suggested": one.suggested,
                "best_rank": one.best_rank,
                "records": one.records,
                "per_record": _rounded(one.exposure / one.records),
            }
            for one in listed
        ],
        "never_total": len(told.never),
        "never": [{"city": named(city), "records": records[city]} for city in never],
        "without_records_total": len(told.without_records),
        "without_records": [named(city) for city in without],
        "record_effect": told.correlation
        and {
            "spearman": _rounded(told.correlation.value),
            "interval": [_rounded(told.correlation.low), _rounded(told.correlation.high)],
            "cities": told.correlation.cities,
        },
        "by_records": [
            {
                "least": one.least,
                "most": one.most,
                "cities": one.cities,
                "never": one.never,
                "exposure": _rounded(one.exposure),
                "per_record": _rounded(one.per_record),
            }
            for one in told.by_records
        ],
        "by_country": [
            {
                "country": one.country,
                "country_label": in_language(country_names(one.country), language) if one.country else None,
                "cities": one.cities,
                "records": one.records,
                "exposure": _rounded(one.exposure),
                "share": _rounded(one.share),
                "share_of_records": _rounded(one.share_of_records),
            }
            for one in told.by_country
        ],
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


_SENTENCES: Mapping[str, Mapping[str, str]] = {
    "en": {
        "met": "Needs asked: {needs}. Cities with practices on record that were among the first {first}: {some} of {all}; "
        "never: {never}.",
        "most": "The most exposed tenth of the cities has {share:.0f} % of all attention.",
        "more": "Cities with more records get more of it",
        "fewer": "Cities with fewer records get more of it",
        "open": "Whether more records bring more of it cannot be told from this",
        "correlation": "{said}: rank correlation {value} (95 % interval {low} to {high}).",
        "few": "So few needs say little about cities; ask many, on many themes.",
    },
    "fr": {
        "met": "Besoins posés : {needs}. Villes ayant des pratiques documentées qui étaient parmi les {first} premières : "
        "{some} sur {all} ; jamais : {never}.",
        "most": "Le dixième des villes le plus exposé reçoit {share:.0f} % de toute l’attention.",
        "more": "Les villes qui ont plus de fiches en reçoivent plus",
        "fewer": "Les villes qui ont moins de fiches en reçoivent plus",
        "open": "On ne peut en déduire si plus de fiches en apportent plus",
        "correlation": "{said} : corrélation des rangs {value} (intervalle à 95 % : {low} à {high}).",
        "few": "Si peu de besoins en disent peu sur les villes ; posez-en beaucoup, sur beaucoup de thèmes.",
    },
}

FEW_NEEDS = 20
"""Below it the answer says that it says little."""


def exposure_sentence(told: fairness.Exposure, language: str) -> str:
    """What the figures say, in a few sentences.

    >>> print(exposure_sentence(fairness.exposure([["gent"]], ["gent", "lyon"], {"gent": 1, "lyon": 1}), "en"))
    Needs asked: 1. Cities with practices on record that were among the first 10: 1 of 2; never: 1. The most exposed tenth \
of the cities has 100 % of all attention. So few needs say little about cities; ask many, on many themes.
    """
    words = _SENTENCES["fr" if language == "fr" else "en"]
    some, never = len(told.cities) - len(told.never), len(told.never)
    said = [words["met"].format(needs=told.needs, first=told.first, some=some, all=len(told.cities), never=never)]
    if told.gini is not None:
        tenth = told.cities[: max(1, round(len(told.cities) / 10))]
        said.append(words["most"].format(share=100 * sum(one.share for one in tenth)))
    if found := told.correlation:
        effect = words["more" if found.low > 0 else "fewer" if found.high < 0 else "open"]
        figures = {"value": found.value, "low": found.low, "high": found.high}
        written = {name: decimal(number, 2, language) for name, number in figures.items()}
        said.append(words["correlation"].format(said=effect, **written))
    if told.needs < FEW_NEEDS:
        said.append(words["few"])
    return " ".join(said)
