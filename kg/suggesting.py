"""A request for mentors as it comes in, checked, and the answer as it goes out."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Protocol

from kg.city_facts import LEVELS, country_code, country_names
from kg.errors import BadRequest, TooLarge, in_digits, quoted
from kg.fields import in_language
from kg.matching.diversity import spread_sentence
from kg.matching.evidence import evidence_query, query_address
from kg.matching.explaining import NeedTold
from kg.matching.facts import (
    Caution,
    CityFacts,
    DeclaredExperience,
    Mentee,
    NeedAnswer,
    Passage,
    Reason,
    Suggestion,
    Unknown,
)
from kg.matching.marking import deciding_sentence
from kg.matching.profile import HIGHEST_WEIGHT
from kg.records import LANGUAGE_TAG
from kg.search.ranking import Filters
from kg.search.text import NEED_LIMIT_CHARACTERS

MOST_NEEDS = 20
MOST_SUGGESTIONS = 50
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class Known(Protocol):
    """What a request may name: each gives the identifier, or raises BadRequest with the nearest ones."""

    def city(self, name: str, where: str) -> str: ...
    def theme(self, name: str, where: str) -> str: ...


@dataclass(frozen=True)
class Need:
    """One need in the mentee's own words. `language` is None where it is to be recognised."""

    text: str
    language: str | None = None
    themes: tuple[str, ...] = ()
    weight: float = 1.0


@dataclass(frozen=True)
class SuggestionRequest:
    """A checked request. `mentee` is the identifier of a city on record; `profile` stands in for one that is not.

    `per_country` is how many mentors of one country are wanted at most, None for any number. `profile_name` names the
    constants that rank, None for the usual ones; with `explain` the answer tells what would change its order.
    """

    needs: tuple[Need, ...]
    mentee: str | None = None
    profile: Mentee | None = None
    filters: Filters = field(default_factory=Filters)
    weights: Mapping[str, object] = field(default_factory=dict)
    limit: int = 5
    as_of: date | None = None
    per_country: int | None = None
    profile_name: str | None = None
    explain: bool = False


def read_request(data: Mapping[str, Any], known: Known) -> SuggestionRequest:
    """Check a request for suggestions.

    Raises BadRequest, naming the place, for anything that cannot be used, TooLarge for a need over
    20,000 characters.

    >>> class Anything:
    ...     def city(self, name, where): return name
    ...     def theme(self, name, where): return name
    >>> read_request({"needs": [{"text": "Cool streets"}], "limit": 3}, Anything()).needs[0].weight
    1.0
    >>> read_request({"needs": []}, Anything())
    Traceback (most recent call last):
    kg.errors.BadRequest: needs: give 1 to 20 needs, each with a text
    """
    keys = ("needs", "mentee", "filters", "profile", "weights", "limit", "as_of", "diversity", "explain")
    _only(data, "", *keys)
    needs = data.get("needs")
    if not isinstance(needs, Sequence) or isinstance(needs, str) or not 1 <= len(needs) <= MOST_NEEDS:
        raise BadRequest(
            {
                "en": f"needs: give 1 to {MOST_NEEDS} needs, each with a text",
                "fr": f"needs : donnez de 1 à {MOST_NEEDS} besoins, chacun avec un texte",
            }
        )
    mentee, profile = read_mentee(data.get("mentee"), known)
    limit = data.get("limit", 5)
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MOST_SUGGESTIONS:
        raise BadRequest(
            {
                "en": f"limit: give a whole number from 1 to {MOST_SUGGESTIONS}, not {quoted(limit)}",
                "fr": f"limit : donnez un nombre entier de 1 à {MOST_SUGGESTIONS}, non {quoted(limit)}",
            }
        )
    weights = data.get("weights") or {}
    if not isinstance(weights, Mapping):
        raise BadRequest(
            {
                "en": 'weights: give an object such as {"language": 0.2}',
                "fr": 'weights : donnez un objet tel que {"language": 0.2}',
            }
        )
    explain = data.get("explain", False)
    if not isinstance(explain, bool):
        raise BadRequest(
            {
                "en": f"explain: {quoted(explain)} is neither true nor false",
                "fr": f"explain : {quoted(explain)} n’est ni true ni false",
            }
        )
    return SuggestionRequest(
        needs=tuple(_need(need, f"needs[{place}]", known) for place, need in enumerate(needs)),
        mentee=mentee,
        profile=profile,
        filters=read_filters(data.get("filters"), known),
        weights=weights,
        limit=limit,
        as_of=_day(data.get("as_of"), "as_of"),
        per_country=read_diversity(data.get("diversity")),
        profile_name=None if data.get("profile") is None else _string(data["profile"], "profile"),
        explain=explain,
    )


def read_diversity(data: Any) -> int | None:
    """How many mentors of one country are wanted at most; None where nothing is asked for.

    Raises BadRequest for anything but {"per_country": 1 to 50}.
    """
    if data is None:
        return None
    _only(data, "diversity", "per_country")
    most = data.get("per_country")
    if isinstance(most, bool) or not isinstance(most, int) or not 1 <= most <= MOST_SUGGESTIONS:
        raise BadRequest(
            {
                "en": f"diversity.per_country: give a whole number from 1 to {MOST_SUGGESTIONS}, not {quoted(most)}",
                "fr": f"diversity.per_country : donnez un nombre entier de 1 à {MOST_SUGGESTIONS}, non {quoted(most)}",
            }
        )
    return most


def _need(data: Any, where: str, known: Known) -> Need:
    """One need."""
    _only(data, where, "text", "language", "themes", "weight")
    weight = data.get("weight", 1.0)
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not math.isfinite(weight):
        raise BadRequest(
            {
                "en": f"{where}.weight: {quoted(weight)} is not a number",
                "fr": f"{where}.weight : {quoted(weight)} n’est pas un nombre",
            }
        )
    if not 0 < weight <= HIGHEST_WEIGHT:
        raise BadRequest(
            {
                "en": f"{where}.weight: {quoted(weight)} is not above 0 and at most {HIGHEST_WEIGHT:.0f}",
                "fr": f"{where}.weight : {quoted(weight)} n’est pas supérieur à 0 et d’au plus {HIGHEST_WEIGHT:.0f}",
            }
        )
    return Need(
        text=need_text(data.get("text"), f"{where}.text"),
        language=_language(data.get("language"), f"{where}.language"),
        themes=tuple(
            known.theme(theme, f"{where}.themes") for theme in _strings(data.get("themes"), f"{where}.themes")
        ),
        weight=float(weight),
    )


def need_text(value: Any, where: str) -> str:
    """A need's words, as they may be searched.

    Raises BadRequest for none or for control characters, TooLarge over the limit.

    >>> need_text("  Cool streets ", "need")
    'Cool streets'
    """
    if not isinstance(value, str) or not value.strip():
        raise BadRequest(
            {
                "en": f"{where}: say in a sentence or two what the city needs",
                "fr": f"{where} : dites en une phrase ou deux ce qu’il faut à la ville",
            }
        )
    if len(value) > NEED_LIMIT_CHARACTERS:
        raise TooLarge(
            {
                "en": (
                    f"{where}: has {len(value):,} characters, {NEED_LIMIT_CHARACTERS:,} at most; give its main points"
                ),
                "fr": f"{where} : a {in_digits(len(value))} caractères, {in_digits(NEED_LIMIT_CHARACTERS)} au plus ; donnez l’essentiel",
            }
        )
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise BadRequest(
            {
                "en": f"{where}: has half of a character (a lone surrogate); send the text as UTF-8",
                "fr": f"{where} : contient la moitié d’un caractère (surrogate isolé) ; envoyez le texte en UTF-8",
            }
        )
    found = _CONTROL.search(value)
    if found:
        raise BadRequest(
            {
                "en": f"{where}: has the control character {found[0]!r} at position {found.start() + 1}; remove it",
                "fr": f"{where} : contient le caractère de commande {found[0]!r} à la position {found.start() + 1} ; supprimez-le",
            }
        )
    return value.strip()


def read_mentee(data: Any, known: Known) -> tuple[str | None, Mentee | None]:
    """The mentee: a city on record, a profile, or nobody in particular.

    Raises BadRequest, naming the place, for what is neither.
    """
    if data is None:
        return None, None
    _only(data, "mentee", "city", "profile")
    if (data.get("city") is None) == (data.get("profile") is None):
        raise BadRequest(
            {
                "en": 'mentee: give either {"city": "jelgava"} or {"profile": {...}}',
                "fr": 'mentee : donnez soit {"city": "jelgava"}, soit {"profile": {...}}',
            }
        )
    if data.get("city") is not None:
        return known.city(_string(data["city"], "mentee.city"), "mentee.city"), None
    return None, _profile(data["profile"], known)


def _profile(data: Any, known: Known) -> Mentee:
    """A mentee that is not on record; everything may be left out."""
    where = "mentee.profile"
    _only(data, where, "name", "country", "population", "languages", "experience")
    population = data.get("population")
    if population is not None and (isinstance(population, bool) or not isinstance(population, int) or population < 1):
        raise BadRequest(
            {
                "en": f"{where}.population: give inhabitants as a whole number, not {quoted(population)}",
                "fr": f"{where}.population : donnez les habitants en nombre entier, non {quoted(population)}",
            }
        )
    experience = data.get("experience") or {}
    if not isinstance(experience, Mapping):
        raise BadRequest(
            {
                "en": f'{where}.experience: give levels by theme such as {{"gender": "some"}}',
                "fr": f'{where}.experience : donnez des niveaux par thème, tels que {{"gender": "some"}}',
            }
        )
    country = data.get("country")
    return Mentee(
        name={"en": _string(data["name"], f"{where}.name")} if data.get("name") else {},
        country=None if country is None else _country(country, f"{where}.country"),
        country_name={} if country is None else country_names(_country(country, f"{where}.country")),
        working_languages=tuple(
            str(_language(tag, f"{where}.languages")) for tag in _strings(data.get("languages"), f"{where}.languages")
        ),
        population=population,
        experience=tuple(
            DeclaredExperience(
                known.theme(theme, f"{where}.experience"), _level(level, f"{where}.experience"), "declared"
            )
            for theme, level in sorted(experience.items())
        ),
    )


def _level(value: Any, where: str) -> float:
    """A level of experience, by its name or as a number from 0 to 1."""
    if isinstance(value, str) and value in LEVELS:
        return LEVELS[value]
    if not isinstance(value, bool) and isinstance(value, int | float) and 0 <= value <= 1:
        return float(value)
    raise BadRequest(
        {
            "en": f"{where}: {quoted(value)} is no level; use {', '.join(LEVELS)} or a number from 0 to 1",
            "fr": f"{where} : {quoted(value)} n’est pas un niveau ; écrivez {', '.join(LEVELS)} ou un nombre de 0 à 1",
        }
    )


def read_filters(data: Any, known: Known) -> Filters:
    """Which cities and practices may come up; everything may be left out.

    Raises BadRequest, naming the place, for a country, theme, language or number that cannot be used.
    """
    if data is None:
        return Filters()
    _only(data, "filters", "countries", "themes", "languages", "population_min", "population_max", "exclude_cities")
    low, high = (_inhabitants(data.get(key), f"filters.{key}") for key in ("population_min", "population_max"))
    if low is not None and high is not None and low > high:
        raise BadRequest(
            {
                "en": f"filters.population_min: {low} is above population_max {high}",
                "fr": f"filters.population_min : {low} dépasse population_max {high}",
            }
        )
    return Filters(
        countries=frozenset(
            _country(one, "filters.countries") for one in _strings(data.get("countries"), "filters.countries")
        ),
        themes=frozenset(known.theme(one, "filters.themes") for one in _strings(data.get("themes"), "filters.themes")),
        languages=frozenset(
            str(_language(one, "filters.languages")) for one in _strings(data.get("languages"), "filters.languages")
        ),
        population_min=low,
        population_max=high,
        exclude_cities=frozenset(
            known.city(one, "filters.exclude_cities")
            for one in _strings(data.get("exclude_cities"), "filters.exclude_cities")
        ),
    )


def _inhabitants(value: Any, where: str) -> int | None:
    """A number of inhabitants."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise BadRequest(
            {
                "en": f"{where}: give inhabitants as a whole number, not {quoted(value)}",
                "fr": f"{where} : donnez les habitants en nombre entier, non {quoted(value)}",
            }
        )
    return value


def _country(value: Any, where: str) -> str:
    """A country by its two letters (ISO 3166-1)."""
    text = _string(value, where)
    if (code := country_code(text)) is None:
        raise BadRequest(
            {
                "en": f"{where}: {quoted(text)} is no country; use two letters such as 'LV' (ISO 3166-1)",
                "fr": f"{where} : {quoted(text)} n’est pas un pays ; écrivez deux lettres telles que 'LV' (ISO 3166-1)",
            }
        )
    return code


def _language(value: Any, where: str) -> str | None:
    """A language tag (BCP 47)."""
    if value is None:
        return None
    text = _string(value, where)
    if not LANGUAGE_TAG.fullmatch(text):
        raise BadRequest(
            {
                "en": f"{where}: {quoted(text)} is no language tag; write for example 'lv' or 'fr'",
                "fr": f"{where} : {quoted(text)} n’est pas un code de langue ; écrivez par exemple 'lv' ou 'fr'",
            }
        )
    return text


def _day(value: Any, where: str) -> date | None:
    """A day as 2026-01-31."""
    if value is None:
        return None
    try:
        return date.fromisoformat(_string(value, where))
    except ValueError:
        raise BadRequest(
            {
                "en": f"{where}: {quoted(value)} is no day; write it as 2026-01-31",
                "fr": f"{where} : {quoted(value)} n’est pas un jour ; écrivez-le comme 2026-01-31",
            }
        ) from None


def _string(value: Any, where: str) -> str:
    """A text that is not empty and not longer than a name."""
    if not isinstance(value, str) or not value.strip() or len(value) > 500 or _CONTROL.search(value):
        raise BadRequest(
            {
                "en": f"{where}: {quoted(value)} is not a text of 1 to 500 characters",
                "fr": f"{where} : {quoted(value)} n’est pas un texte de 1 à 500 caractères",
            }
        )
    return value.strip()


def _strings(value: Any, where: str) -> list[str]:
    """A list of texts; none at all is an empty list."""
    if value is None:
        return []
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) > 200:
        raise BadRequest(
            {
                "en": f"{where}: give a list of at most 200 texts",
                "fr": f"{where} : donnez une liste de 200 textes au plus",
            }
        )
    return [_string(one, where) for one in value]


def _only(data: Any, where: str, *keys: str) -> None:
    """Refuse what is no object, and keys nobody would read: a misspelt filter must not be ignored in silence."""
    if not isinstance(data, Mapping):
        raise BadRequest(
            {
                "en": f"{where or 'the request'}: must be an object with {', '.join(keys)}",
                "fr": f"{where or 'la demande'} : il faut un objet avec {', '.join(keys)}",
            }
        )
    unknown = [key for key in data if key not in keys]
    if unknown:
        place = f"{where}: " if where else ""
        raise BadRequest(
            {
                "en": f"{place}there is no {quoted(unknown[0])}; there are {', '.join(keys)}",
                "fr": f"{where + ' : ' if where else ''}il n’y a pas de {quoted(unknown[0])} ; il y a {', '.join(keys)}",
            }
        )


Clues = Callable[[int, str], Mapping[str, float]]
"""What to look for in a passage of a language, by the place of the need it answers; see `kg.matching.marking`."""


def write_suggestion(
    suggestion: Suggestion,
    city: CityFacts,
    base: str,
    language: str,
    languages: Sequence[str],
    *,
    told: Sequence[NeedTold],
    clues: Clues,
) -> dict[str, Any]:
    """One suggestion as JSON, its sentences in `language` ("en" or "fr").

    `languages` are the needs' languages: the passage of a practice says when it is in another one. `told` has what is
    said need by need; `clues` finds the deciding sentence of each passage.
    """
    by_need = {one.need: one for one in told}
    query = evidence_query(city.id, suggestion.needs, base)
    return {
        "rank": suggestion.rank,
        "band": suggestion.band,
        "band_label": in_language(suggestion.band_label, language),
        "utility": round(suggestion.utility, 6),
        "coverage": round(suggestion.coverage, 6),
        "city": city_reference(city, base, language),
        "practices": [cited for answer in suggestion.needs for cited in _cited(answer, language, languages, clues)],
        "needs": [_need_told(answer, by_need[answer.need], language) for answer in suggestion.needs],
        "reasons": [_reason(reason, language) for reason in suggestion.reasons],
        "against": [in_language(text, language) for text in suggestion.against],
        "unknowns": [_unknown(unknown, language) for unknown in suggestion.unknowns],
        "cautions": [_caution(caution, language) for caution in suggestion.cautions],
        "evidence_query": query,
        "evidence_link": query_address(query),
    }


def _need_told(answer: NeedAnswer, told: NeedTold, language: str) -> dict[str, Any]:
    """What a city has for one need: what speaks for it, against it, what else is on record and what is unknown."""
    written = {"need": answer.need, "met": bool(answer.practices), "relevance": round(answer.relevance, 6)}
    said = {
        name: [in_language(text, language) for text in told.told[stance]]
        for name, stance in (("for", "for"), ("against", "against"), ("also", "neutral"))
    }
    unknowns = [_unknown(unknown, language) for unknown in told.unknowns]
    experience = None if answer.experience is None else round(answer.experience, 6)
    return {**written, "experience": experience, **said, "unknowns": unknowns}


def write_diversity(
    per_country: int, set_back: Sequence[Suggestion], cities: Mapping[str, CityFacts], base: str, language: str
) -> dict[str, Any]:
    """What the wish for few mentors of each country did: whom it set back, with the rank each would have had."""
    said = spread_sentence(per_country, [cities[one.city].name for one in set_back])
    return {
        "per_country": per_country,
        "set_back": [
            {
                "city": city_reference(cities[one.city], base, language),
                "rank": one.rank,
                "band": one.band,
                "band_label": in_language(one.band_label, language),
            }
            for one in set_back
        ],
        "text": in_language(said, language),
    }


def city_reference(city: CityFacts, base: str, language: str) -> dict[str, Any]:
    """A city as answers name it."""
    return {
        "id": city.id,
        "iri": f"{base}id/city/{city.id}",
        "label": in_language(city.name, language),
        "country": city.country,
        "country_label": in_language(city.country_name, language) or None,
    }


def _cited(answer: NeedAnswer, language: str, languages: Sequence[str], clues: Clues) -> list[dict[str, Any]]:
    """The practices that speak for a city on one need, with their winning passages."""
    found = []
    for cited in answer.practices:
        passage = cited.passage
        found.append(
            {
                "id": cited.practice,
                "title": in_language(cited.title, language),
                "need": answer.need,
                "tie": cited.tie,
                "similarity": round(cited.similarity, 5),
                "passage": passage and _passage(passage, clues(answer.need, passage.language)),
                "other_language": passage is not None and passage.language != languages[answer.need],
            }
        )
    return found


def _passage(passage: Passage, sought: Mapping[str, float]) -> dict[str, Any]:
    """A passage, and where in its text the sentence begins and ends that is closest to the need, if its words tell."""
    place = deciding_sentence(passage.text, passage.language, sought) if sought else None
    return {
        "text": passage.text,
        "language": passage.language,
        "part": passage.part,
        "sentence": None if place is None else {"start": place[0], "end": place[1]},
    }


def _reason(reason: Reason, language: str) -> dict[str, Any]:
    """One factor's sentence and share."""
    return {
        "factor": reason.factor,
        "label": in_language(reason.label, language),
        "known": reason.known,
        "value": None if reason.value is None else round(reason.value, 6),
        "weight": reason.weight,
        "contribution": round(reason.contribution, 9),
        "stance": reason.stance,
        "text": in_language(reason.text, language),
    }


def _unknown(unknown: Unknown, language: str) -> dict[str, Any]:
    """A missing fact and whom to ask."""
    return {
        "factor": unknown.factor,
        "text": in_language(unknown.text, language),
        "ask": in_language(unknown.ask, language),
        "whom": unknown.whom,
    }


def _caution(caution: Caution, language: str) -> dict[str, Any]:
    """Something to keep in mind."""
    return {"code": caution.code, "text": in_language(caution.text, language), "practices": list(caution.practices)}
