"""What a list may be asked for, checked as it comes in, and its facets and reasons as they go out."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import lru_cache
from typing import Any

from babel import Locale

from kg.city_facts import country_code, country_names
from kg.errors import BadRequest, quoted
from kg.facets import SIZES, UNKNOWN, size_band
from kg.fields import declaration, in_language
from kg.list_facts import Facts, facets_of
from kg.lists import Asked, CityProfile, Listed, ListView, Profiled
from kg.matching.experience import freshness, newest_sure_year
from kg.matching.facts import Names
from kg.matching.profile import Profile
from kg.records import LANGUAGE_TAG
from kg.search.ranking import Filters
from kg.suggesting import Known

MOST_VALUES = 100
NO_FACETS = "none"
OFFERS: Mapping[str, Names] = {
    "open": {"en": "offers to mentor", "fr": "propose du mentorat"},
    "full": {"en": "offers, all places taken", "fr": "propose, complet"},
}
ORDERS: Mapping[str, tuple[str, ...]] = {"practice": ("id", "evidence"), "city": ("id", "nearest")}
"""Orders of a kind's list; others come by identifier only."""

_UNKNOWN: Names = {"en": "not on record", "fr": "non renseigné"}
_SIZES: Mapping[str, Names] = {
    "small": {"en": "under 50,000 inhabitants", "fr": "moins de 50 000 habitants"},
    "medium": {"en": "50,000 to 199,999 inhabitants", "fr": "de 50 000 à 199 999 habitants"},
    "large": {"en": "200,000 to 999,999 inhabitants", "fr": "de 200 000 à 999 999 habitants"},
    "metropolis": {"en": "1,000,000 inhabitants and more", "fr": "1 000 000 d’habitants et plus"},
}
_DECADE: Names = {"en": "{decade}s", "fr": "années {decade}"}
_PLACE: Mapping[str, Names] = {
    "stated": {"en": "Evidence: {evidence}.", "fr": "Preuve : {evidence}."},
    "unstated": {
        "en": "No evidence is stated, so it stands after those that state some.",
        "fr": "Aucune preuve n’est indiquée : elle vient après celles qui en indiquent.",
    },
    "year": {"en": "Last known to run in {year}.", "fr": "En cours, autant qu’on le sache, en {year}."},
    "no year": {
        "en": "No sure date is on record, so it counts as of the usual age.",
        "fr": "Aucune date sûre n’est renseignée : elle compte comme d’âge habituel.",
    },
    "complete": {
        "en": "{complete} % of what a record is asked for is there.",
        "fr": "{complete} % de ce qui est demandé à une fiche s’y trouve.",
    },
}


@dataclass(frozen=True)
class Wanted:
    """What a list is asked for, as it came in: nothing in it is checked yet. `given` has values by facet."""

    given: Mapping[str, Sequence[str]] = field(default_factory=dict)
    facets: str | None = None
    order: str = "id"
    like: str | None = None
    like_country: str | None = None
    like_population: int | None = None
    like_share: float | None = None

    @property
    def narrows(self) -> bool:
        """Whether the list is another one than that of all records by identifier."""
        return self.order != "id" or any(self.given.values())


def read_chosen(kind: str, given: Mapping[str, Sequence[str]], known: Known) -> dict[str, frozenset[str]]:
    """Checked values by facet; "unknown" asks for records that do not say.

    Raises BadRequest for a facet that the kind's list does not have, and for values that cannot be, with what can.

    >>> class Anything:
    ...     def city(self, name, where): return name
    ...     def theme(self, name, where): return name
    >>> sorted(read_chosen("practice", {"country": ["be", "unknown"], "size": ["small"]}, Anything())["country"])
    ['BE', 'unknown']
    >>> read_chosen("practice", {"decade": ["2013"]}, Anything())
    Traceback (most recent call last):
    kg.errors.BadRequest: decade: '2013' is no decade; write its first year, such as 2010, or unknown
    """
    there = facets_of(declaration().kind(kind))
    found = {}
    for facet, values in given.items():
        if facet not in there:
            raise BadRequest(
                {
                    "en": f"{quoted(facet)} is no facet of this list; there are {', '.join(there) or 'none'}",
                    "fr": f"{quoted(facet)} n’est pas une facette de cette liste ; il y a {', '.join(there) or 'aucune'}",
                }
            )
        if len(values) > MOST_VALUES:
            raise BadRequest(
                {
                    "en": f"{facet}: give at most {MOST_VALUES} values",
                    "fr": f"{facet} : donnez {MOST_VALUES} valeurs au plus",
                }
            )
        found[facet] = frozenset(one if one == UNKNOWN else _value(kind, facet, one, known) for one in values)
    return {facet: values for facet, values in found.items() if values}


def _value(kind: str, facet: str, value: str, known: Known) -> str:
    """One value as it is stored."""
    if facet == "theme":
        return known.theme(value, "theme")
    if facet == "country" and (code := country_code(value)):
        return code
    if facet == "language" and LANGUAGE_TAG.fullmatch(value):
        return value.lower()
    if facet == "decade" and re.fullmatch("[0-9]{3}0", value):
        return value
    if facet in ("evidence", "size", "offer") and value in values_of(kind, facet):
        return value
    choices = ", ".join((*values_of(kind, facet), UNKNOWN))
    english, french = {
        "country": (
            "is no country; use two letters such as LV (ISO 3166-1), or unknown",
            "n’est pas un pays ; écrivez deux lettres telles que LV (ISO 3166-1), ou unknown",
        ),
        "language": (
            "is no language tag; write for example lv or fr, or unknown",
            "n’est pas un code de langue ; écrivez par exemple lv ou fr, ou unknown",
        ),
        "decade": (
            "is no decade; write its first year, such as 2010, or unknown",
            "n’est pas une décennie ; écrivez sa première année, telle que 2010, ou unknown",
        ),
    }.get(facet, (f"is not there to choose; use {choices}", f"n’est pas un choix possible ; prenez {choices}"))
    raise BadRequest({"en": f"{facet}: {quoted(value)} {english}", "fr": f"{facet} : {quoted(value)} {french}"})


def values_of(kind: str, facet: str) -> tuple[str, ...]:
    """The values of a facet that has a fixed list of them, in the order of answers; empty for the others.

    >>> values_of("city", "offer"), values_of("city", "country")
    (('open', 'full'), ())
    """
    if facet == "evidence":
        weights = Profile().evidence
        choices = declaration().kind(kind).by_key["evidence"].choices or {}
        return tuple(sorted(choices, key=lambda one: (-weights.get(one, -1.0), one)))
    return {"size": tuple(SIZES), "offer": tuple(OFFERS)}.get(facet, ())


def read_facets(kind: str, names: str | None) -> tuple[str, ...]:
    """The facets to count: all of the kind unless some are named, separated by commas; "none" for none.

    >>> read_facets("practice", "theme,country"), read_facets("city", "none")
    (('theme', 'country'), ())
    >>> read_facets("programme", "country")
    Traceback (most recent call last):
    kg.errors.BadRequest: facets: there is no 'country' in this list; there are decade, or none
    """
    there = facets_of(declaration().kind(kind))
    if names is None:
        return there
    wanted = tuple(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))
    if wanted == (NO_FACETS,):
        return ()
    for name in wanted:
        if name not in there:
            raise BadRequest(
                {
                    "en": (
                        f"facets: there is no {quoted(name)} in this list; there are {', '.join((*there, ''))}or none"
                    ),
                    "fr": f"facets : il n’y a pas de {quoted(name)} dans cette liste ; il y a {', '.join((*there, ''))}ou none",
                }
            )
    return wanted


def read_order(kind: str, wanted: Wanted, known: Known, facts: ListView) -> tuple[str, Profiled]:
    """The order of a list and, for the nearest cities, what they are compared with.

    Raises BadRequest for an order that the kind does not have, and for a profile without any fact.
    """
    orders = ORDERS.get(kind, ("id",))
    if wanted.order not in orders:
        raise BadRequest(
            {
                "en": f"sort: {quoted(wanted.order)} is no order of this list; there is {', '.join(orders)}",
                "fr": f"sort : {quoted(wanted.order)} n’est pas un ordre de cette liste ; il y a {', '.join(orders)}",
            }
        )
    if wanted.order != "nearest":
        return wanted.order, Profiled()
    profile = Profiled(
        None if wanted.like_country is None else _value(kind, "country", wanted.like_country, known),
        wanted.like_population,
        wanted.like_share,
    )
    if wanted.like is not None:
        id = known.city(wanted.like, "like")
        said = facts.facts("city", [id]).get(id, {})
        profile = Profiled(
            profile.country or said.get("country"),
            profile.population or said.get("population"),
            said.get("share") if profile.foreign_born_share is None else profile.foreign_born_share,
        )
    if profile == Profiled():
        raise BadRequest(
            {
                "en": (
                    "sort: nearest to what? Give like=jelgava for a city on record, or like_country, like_population, "
                    "like_foreign_born_share"
                ),
                "fr": (
                    "sort : le plus proche de quoi ? Donnez like=jelgava pour une ville documentée, ou like_country, like_population, "
                    "like_foreign_born_share"
                ),
            }
        )
    return "nearest", profile


def written_facets(
    kind: str, view: ListView, listed: Listed, chosen: Mapping[str, Collection[str]], language: str
) -> dict[str, list[dict[str, Any]]]:
    """Counts as answers have them: each value with its label, unknown last; what was chosen is there even at 0."""
    found = {}
    for facet, counts in listed.counts.items():
        mine = chosen.get(facet, ())
        values = sorted({*counts, *mine}, key=lambda value: _place_in(kind, facet, value, counts.get(value, 0)))
        found[facet] = [
            {
                "value": value,
                "label": value_label(kind, view, facet, value, language),
                "count": counts.get(value, 0),
                "chosen": value in mine,
                "broader": list(view.broader(value)) if facet == "theme" else None,
            }
            for value in values
        ]
    return found


def _place_in(kind: str, facet: str, value: str, count: int) -> tuple[bool, float, str]:
    """Decades by time, fixed lists in their own order, others by count; equal ones by value."""
    choices = values_of(kind, facet)
    if value in choices:
        return False, choices.index(value), value
    return value == UNKNOWN, 0 if facet == "decade" else -count, value


def value_label(kind: str, view: ListView, facet: str, value: str, language: str) -> str:
    """A facet's value in words."""
    if value == UNKNOWN:
        return in_language(_UNKNOWN, language)
    if facet == "country":
        return in_language(country_names(value), language)
    if facet == "theme":
        return in_language(view.theme_label(value), language) or value
    if facet == "evidence":
        choices = declaration().kind(kind).by_key["evidence"].choices or {}
        return declaration().concept_label(str(choices[value]), language) if value in choices else value
    if facet == "decade":
        return in_language(_DECADE, language).format(decade=value)
    if facet == "language":
        return _languages(language).get(value) or _languages(language).get(value.partition("-")[0]) or value
    return in_language((_SIZES if facet == "size" else OFFERS).get(value, {}), language) or value


@lru_cache(maxsize=4)
def _languages(language: str) -> Mapping[str, str]:
    return dict(Locale(language).languages)


def written_place(
    view: ListView, id: str, facts: Facts, profile: Profile, today: date, language: str
) -> dict[str, Any]:
    """Why a practice stands where it stands in the order by evidence."""
    practice = view.practice(id, facts)
    year = newest_sure_year(practice, today)
    stated = practice.evidence if practice.evidence in profile.evidence else None
    complete = float(facts.get("complete", 0.0))
    words = {
        "evidence": value_label("practice", view, "evidence", stated or "", language),
        "year": year,
        "complete": round(100 * complete),
    }
    said = ("stated" if stated else "unstated", "no year" if year is None else "year", "complete")
    return {
        "evidence": stated,
        "evidence_weight": profile.evidence[stated] if stated else None,
        "last_year": year,
        "freshness": None if year is None else round(freshness(year, today, profile.half_life_years), 3),
        "completeness": complete,
        "text": " ".join(in_language(_PLACE[name], language).format(**words) for name in said),
    }


def written_profile(
    view: ListView, id: str, facts: Facts, listed: Listed, profile: CityProfile, language: str
) -> dict[str, Any]:
    """What a list says of a city beside its name."""
    country = facts.get("country")
    found = {
        "country": country,
        "country_label": None if country is None else value_label("city", view, "country", country, language),
        "population": facts.get("population"),
        "foreign_born_share": facts.get("share"),
        "size": size_band(facts.get("population")),
        "languages": facts.get("languages", []),
        "offer": profile.offer,
        "experience": [
            {
                "theme": one.theme,
                "label": value_label("city", view, "theme", one.theme, language),
                "level": None if one.level is None else round(one.level, 3),
                "stated": one.stated,
                "practices": one.practices,
            }
            for one in profile.experience
        ],
    }
    found["similarity"], found["coverage"] = listed.similarity.get(id, (None, None))
    return found


def write_list(
    view: ListView,
    kind: str,
    wanted: Wanted,
    *,
    known: Known,
    profile: Profile,
    language: str,
    limit: int,
    cursor: str | None,
    today: date,
    ids: Sequence[str] | None = None,
) -> dict[str, Any]:
    """A page of a list with its facets; `results` have identifiers and what the view knows, without labels.

    `ids` are those of the page where another part has chosen them. Raises BadRequest for what `wanted` has that cannot be.
    """
    chosen, facets = read_chosen(kind, wanted.given, known), read_facets(kind, wanted.facets)
    order, near = read_order(kind, wanted, known, view)
    itself = {known.city(wanted.like, "like")} if order == "nearest" and wanted.like else set()
    asked = Asked(chosen, facets, order, near, limit, None if ids is not None else cursor, leaving_out=itself)
    listed = view.ask(kind, asked)
    if ids is not None:
        listed = replace(listed, ids=tuple(ids))
    facts = view.facts(kind, listed.ids)
    cities = view.profiles(listed.ids, sorted(chosen.get("theme", ()))) if kind == "city" else {}
    results = []
    for id in listed.ids:
        said = facts.get(id, {})
        one: dict[str, Any] = {"id": id}
        if kind == "practice":
            one |= _practice(said)
            why = written_place(view, id, said, profile, today, language) if order == "evidence" else None
            one["place"] = why
        elif kind == "city":
            one |= written_profile(view, id, said, listed, cities[id], language)
        results.append(one)
    return {
        "results": results,
        "total": listed.total,
        "next": listed.next,
        "facets": written_facets(kind, view, listed, chosen, language),
        "revision": view.marker(),
    }


def _practice(facts: Facts) -> dict[str, Any]:
    """What a list says of a practice beside its title."""
    return {
        "city": next(iter(facts.get("cities", ())), None),
        "themes": facts.get("themes", []),
        "evidence": facts.get("evidence"),
        "start": facts.get("year"),
        "languages": facts.get("languages", []),
    }


def narrowed_search(
    view: ListView, filters: Filters, given: Mapping[str, Sequence[str]], known: Known, language: str
) -> tuple[Filters | None, dict[str, list[dict[str, Any]]]]:
    """Filters for the search index, None where they let nothing in, and the facets of all practices that they let in.

    Countries, themes and languages the index knows by itself; for everything else it is told which practices.

    Raises BadRequest as `read_chosen` does.
    """
    chosen = read_chosen("practice", given, known)
    by_index = {"country": filters.countries, "theme": filters.themes, "language": filters.languages}
    chosen |= {facet: values | chosen.get(facet, frozenset()) for facet, values in by_index.items() if values}
    bounds = (filters.population_min, filters.population_max)
    asked = Asked(
        chosen,
        facets_of(declaration().kind("practice")),
        limit=1,
        within={} if bounds == (None, None) else {"population": bounds},
        leaving_out=view.practices_in(filters.exclude_cities),
    )
    facets = written_facets("practice", view, view.ask("practice", asked), chosen, language)
    regional = any("-" in tag for tag in chosen.get("language", ()))  # tags are in lower case here, not in the index
    if asked.within or regional or chosen.keys() - by_index or any(UNKNOWN in values for values in chosen.values()):
        ids = frozenset(view.matching("practice", asked))
        return (Filters(practices=ids) if ids else None), facets
    return (
        replace(
            filters,
            countries=chosen.get("country", frozenset()),
            themes=chosen.get("theme", frozenset()),
            languages=chosen.get("language", frozenset()),
        ),
        facets,
    )


def written_likeness(
    found: Mapping[str, Any], themes: Collection[str], view: ListView, language: str
) -> dict[str, Any]:
    """Why a found practice is like one with these themes: the themes of both, else broader ones of both, and a sentence.

    `found` is the practice as search answers have it.
    """
    own = [theme["id"] for theme in found["themes"]]
    shared = [theme for theme in own if theme in themes]
    below_one = sorted(view.with_broader(own) & view.with_broader(themes)) if not shared else []
    named = [
        {"id": theme, "label": value_label("practice", view, "theme", theme, language)} for theme in shared or below_one
    ]
    words = ", ".join(theme["label"] for theme in named)
    said = "shared" if shared else "related" if below_one else "words"
    return {"shared_themes": named, "why": in_language(_LIKE[said], language).format(themes=words)}


_LIKE: Mapping[str, Names] = {
    "shared": {
        "en": "Both are about {themes}; the passage comes closest to it.",
        "fr": "Toutes deux portent sur : {themes} ; le passage est le plus proche.",
    },
    "related": {
        "en": "Their themes lie below {themes}; the passage comes closest to it.",
        "fr": "Leurs thèmes relèvent de : {themes} ; le passage est le plus proche.",
    },
    "words": {
        "en": "They share no theme; the passage says something like it.",
        "fr": "Elles n’ont aucun thème en commun ; le passage dit quelque chose de semblable.",
    },
}
