"""Answers about mentors in the words of a request: who is suggested, why not a city, and what would change that."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Protocol

from kg.city_facts import country_names
from kg.fields import in_language
from kg.matching.changing import Changes, neighbours, what_would_change
from kg.matching.diversity import spread
from kg.matching.explaining import (
    Difference,
    Near,
    differences,
    far_practices_sentence,
    filter_sentence,
    has_no_practice,
    is_excluded,
    is_mentee,
    is_set_back,
    is_suggested,
    nothing_close,
    ranks_lower,
    told_by_need,
)
from kg.matching.facts import CityFacts, Mentee, Names, NeedHits
from kg.matching.marking import clues_of
from kg.matching.profile import Profile
from kg.matching.reasons import LANGUAGE_NAMES, LANGUAGES, ROLE_LIMITS, inhabitants
from kg.matching.suggestions import Weighed, explained, rank_cities, rank_key, weigh_city
from kg.search.ranking import Filters
from kg.search.thesaurus import primary
from kg.search.view import StoredPassage, Understood
from kg.suggesting import SuggestionRequest, city_reference, write_diversity, write_suggestion

MOST_NEAREST = 3
"""Practices of a city told per need where it is asked why it is not suggested."""


class Source(Protocol):
    """What is asked of the catalogue beyond what an answer rests on already."""

    def labels(self, kind: str, ids: Sequence[str], language: str) -> dict[str, str]: ...
    def city_facts(self, ids: Iterable[str]) -> dict[str, CityFacts]: ...
    def hits_among(self, ground: Ground, practices: Iterable[str], filters: Filters) -> list[NeedHits]: ...
    def theme_words(self, theme: str) -> tuple[str, ...]: ...
    def read_needs(self, ground: Ground, language: str) -> list[dict[str, Any]]: ...


@dataclass(frozen=True)
class Ground:
    """What an answer rests on: the request, what was found for its needs, and what is known of the cities.

    `needs` and `understood` are in the order of the request.
    `cities` are those that the filters let in, by id. `on_record` is the mentee where it is a city on record.
    """

    asked: SuggestionRequest
    profile: Profile
    needs: tuple[NeedHits, ...]
    understood: tuple[Understood, ...]
    cities: Mapping[str, CityFacts]
    mentee: Mentee | None
    on_record: CityFacts | None
    as_of: date
    revision: int
    model: str
    base: str

    def ranked(self, limit: int) -> list[Weighed]:
        """The best cities, weighed."""
        return rank_cities(
            self.needs, self.cities, mentee=self.mentee, profile=self.profile, as_of=self.as_of, limit=limit
        )

    def listed(self) -> tuple[list[Weighed], list[tuple[int, Weighed]], list[Weighed]]:
        """The cities to suggest; those that the wish for several countries set back, with their ranks; all ranked."""
        asked = self.asked
        if asked.per_country is None:
            ranked = self.ranked(asked.limit + 1 if asked.explain else asked.limit)
            return ranked[: asked.limit], [], ranked
        ranked = self.ranked(self.profile.candidates)
        countries = {id: city.country for id, city in self.cities.items()}
        kept, back = spread([one.case.city.id for one in ranked], countries, asked.per_country, asked.limit)
        return [ranked[place] for place in kept], [(place + 1, ranked[place]) for place in back], ranked

    def clues(self, source: Source) -> Callable[[int, str], Mapping[str, float]]:
        """What to look for in a passage of a language, by the place of the need it answers."""
        read = zip(self.understood, self.needs, strict=True)
        return clues_of([(known, need.themes) for known, need in read], source.theme_words)

    def closing(self, language: str) -> dict[str, Any]:
        """What stands under every answer."""
        profile = self.profile
        weights = {name: profile.weights[name] for name in profile.changed}
        return {
            "mentee": city_reference(self.on_record, self.base, language) if self.on_record else None,
            "role_limits": in_language(ROLE_LIMITS, language),
            "profile": {
                "name": profile.name,
                "version": profile.version,
                "changed": list(profile.changed),
                "weights": weights,
            },
            "as_of": self.as_of.isoformat(),
            "revision": self.revision,
            "model": self.model,
        }


def suggestions(ground: Ground, source: Source, language: str) -> dict[str, Any]:
    """The answer to a request for suggestions, in `language`; with `explain` also what would change the order."""
    shown, back, ranked = ground.listed()
    StoredPassage.read_together(
        cited.passage for one in shown for answer in one.case.answers for cited in answer.practices
    )
    sought = ground.clues(source)
    diversity = None
    if ground.asked.per_country is not None:
        set_back = [explained(one, rank) for rank, one in back]
        diversity = write_diversity(ground.asked.per_country, set_back, ground.cities, ground.base, language)
    answer = {
        "suggestions": [_suggestion(ground, one, rank, language, sought) for rank, one in enumerate(shown, start=1)],
        "needs": source.read_needs(ground, language),
        "diversity": diversity,
        **ground.closing(language),
    }
    if ground.asked.explain:
        names = _theme_names(ground, source)
        pairs = neighbours(ranked[: ground.asked.limit + 1] if diversity is None else shown)
        answer["changes"] = [_changes(what_would_change(*pair, names), ground, language) for pair in pairs]
    return answer


def _suggestion(
    ground: Ground, weighed: Weighed, rank: int, language: str, sought: Callable[[int, str], Mapping[str, float]]
) -> dict[str, Any]:
    return write_suggestion(
        explained(weighed, rank),
        weighed.case.city,
        ground.base,
        language,
        [known.language for known in ground.understood],
        told=told_by_need(weighed.case),
        clues=sought,
    )


def _theme_names(ground: Ground, source: Source) -> dict[str, Names]:
    """Words for the themes of the needs."""
    themes = sorted({theme for need in ground.needs for theme in need.themes})
    said = {language: source.labels("theme", themes, language) for language in LANGUAGES}
    return {theme: {language: said[language].get(theme, theme) for language in LANGUAGES} for theme in themes}


def _changes(
    found: Changes, ground: Ground, language: str, cities: Mapping[str, CityFacts] | None = None
) -> dict[str, Any]:
    """What would swap two cities, as JSON."""
    known = {**ground.cities, **(cities or {})}
    return {
        "upper": city_reference(known[found.upper], ground.base, language),
        "lower": city_reference(known[found.lower], ground.base, language),
        "weights": [
            {
                "factor": one.factor,
                "now": one.now,
                "swap_at": round(one.swap_at, 9),
                "direction": "more" if one.more else "less",
                "text": in_language(one.text, language),
            }
            for one in found.weights
        ],
        "facts": [
            {
                "code": one.code,
                "about": one.about or "mentee",
                "known": one.known,
                "practice": one.practice,
                "theme": one.theme,
                "text": in_language(one.text, language),
            }
            for one in found.facts
        ],
    }


# Why not this city?


@dataclass(frozen=True)
class _Verdict:
    """Why a city is, or is not, on the list."""

    code: str
    text: Names
    rank: int | None = None


def why_not(ground: Ground, city: str, source: Source, language: str) -> dict[str, Any]:
    """Why a city on record is not suggested, or at which rank it is, with what was found of it.

    `verdict` is "suggested", "mentee", "excluded" (by filters of the request), "no-practice", "not-close",
    "set-back" (by the wish for several countries) or "ranked-lower".
    """
    facts = source.city_facts([city]).get(city) or CityFacts(city, {"en": city})
    shown, back, _ = ground.listed()
    own = frozenset({ground.asked.mentee} if ground.asked.mentee else ())
    needs = source.hits_among(ground, facts.practice, Filters(exclude_cities=own))
    weighed = alone = _weigh(ground, facts, needs)
    filters = replace(ground.asked.filters, exclude_cities=ground.asked.filters.exclude_cities | own)
    if filters != Filters(exclude_cities=own):
        alone = _weigh(ground, facts, source.hits_among(ground, facts.practice, filters))
    refused = _refused(ground, facts, source, loses=weighed is not None and alone is None)
    nearest = _nearest(needs, facts)
    found: tuple[Difference, ...] = ()
    last = shown[-1] if shown else None
    listed = {one.case.city.id: rank for rank, one in enumerate(shown, start=1)}
    place, kept = _place(ground, alone or weighed)
    set_back = {one.case.city.id: rank for rank, one in back}
    if not kept and place is not None:
        set_back.setdefault(city, place)
    if ground.mentee is not None and ground.mentee.is_city(facts):
        verdict, weighed = _Verdict("mentee", is_mentee(facts)), None
    elif not facts.practices:
        verdict = _Verdict("no-practice", has_no_practice(facts))
    elif refused or (weighed is not None and alone is None):
        without_filters, in_list = _place(ground, weighed)
        verdict = _Verdict("excluded", is_excluded(facts, without_filters if in_list else None))
    elif weighed is None:
        verdict = _Verdict(
            "not-close", nothing_close(facts, nearest[0] if nearest else None, ground.profile.lowest_similarity)
        )
    elif city in listed:
        verdict = _Verdict("suggested", is_suggested(facts, listed[city]), listed[city])
    elif city in set_back:
        verdict = _Verdict("set-back", is_set_back(facts, set_back[city]), set_back[city])
    else:
        # Beside others as they are weighed: with the practices that the filters let in.
        weighed = alone or weighed
        found = differences(weighed, last) if last else ()
        rank = place if place is not None and place <= ground.profile.candidates else None
        text = ranks_lower(weighed, last, rank, found) if last else is_suggested(facts, 1)
        verdict = _Verdict("ranked-lower", text, rank)
    if verdict.code in ("suggested", "set-back"):
        weighed = alone or weighed
    is_lower = verdict.code == "ranked-lower" and weighed is not None and last is not None
    return {
        "city": city_reference(facts, ground.base, language),
        "verdict": verdict.code,
        "text": in_language(verdict.text, language),
        "rank": verdict.rank,
        "filters": [{"filter": name, "text": in_language(text, language)} for name, text in refused],
        "nearest": [
            {
                "need": one.need,
                "practice": one.practice,
                "title": in_language(one.title, language),
                "similarity": round(one.similarity, 5),
                "cited": one.similarity >= ground.profile.lowest_similarity,
            }
            for one in nearest
        ],
        "lowest_similarity": ground.profile.lowest_similarity,
        "compared_with": city_reference(last.case.city, ground.base, language) if is_lower and last else None,
        "differences": [_difference(one, language) for one in found],
        "changes": (
            _changes(what_would_change(last, weighed, _theme_names(ground, source)), ground, language, {city: facts})
            if is_lower and last and weighed
            else None
        ),
        "suggestion": (
            _suggestion(
                ground, weighed, verdict.rank or _place(ground, weighed)[0] or 1, language, ground.clues(source)
            )
            if weighed
            else None
        ),
        "needs": source.read_needs(ground, language),
        **ground.closing(language),
    }


def _weigh(ground: Ground, city: CityFacts, needs: Sequence[NeedHits]) -> Weighed | None:
    return weigh_city(city, needs, mentee=ground.mentee, profile=ground.profile, as_of=ground.as_of)


def _place(ground: Ground, weighed: Weighed | None) -> tuple[int | None, bool]:
    """The rank a city would have among all that the filters let in, and whether it would be listed there.

    It would not where the wish for several countries sets it back; its rank is then the one without that wish.
    """
    if weighed is None:
        return None, True
    id = weighed.case.city.id
    others = [one for one in ground.ranked(ground.profile.candidates) if one.case.city.id != id]
    before = [one for one in others if rank_key(one) < rank_key(weighed)]
    if ground.asked.per_country is None or len(before) >= ground.profile.candidates:
        return len(before) + 1, True
    countries = {one.case.city.id: one.case.city.country for one in (*before, weighed)}
    kept, _ = spread(list(countries), countries, ground.asked.per_country, len(countries))
    return (len(kept), True) if len(before) in kept else (len(before) + 1, False)


def _refused(ground: Ground, city: CityFacts, source: Source, *, loses: bool) -> list[tuple[str, Names]]:
    """The filters of the request that leave a city out, each with its sentence.

    A city `loses` where practices of it are close to the needs and none that the filters let in is: then those filters
    are told that choose among practices, where no other one leaves the city out.
    """
    filters, found = ground.asked.filters, []
    if city.id in filters.exclude_cities:
        found.append(("exclude_cities", filter_sentence("exclude_cities", city, [])))
    if filters.countries and city.country not in filters.countries:
        words = [country_names(code).get("en", code) for code in sorted(filters.countries)]
        french = [country_names(code).get("fr", code) for code in sorted(filters.countries)]
        found.append(("countries", _both(filter_sentence, "countries", city, words, french)))
    for name, bound in (("population_min", filters.population_min), ("population_max", filters.population_max)):
        unmet = bound is not None and (
            city.population is None or (city.population < bound if name.endswith("min") else city.population > bound)
        )
        if bound is not None and unmet:
            numbers = [inhabitants(bound, language) for language in LANGUAGES]
            found.append((name, _both(filter_sentence, name, city, numbers[:1], numbers[1:])))
    for name, wanted, alone in (
        ("themes", filters.themes, Filters(themes=filters.themes)),
        ("languages", filters.languages, Filters(languages=filters.languages)),
    ):
        if not wanted or not city.practices:
            continue
        has_none = not any(need.hits for need in source.hits_among(ground, city.practice, alone))
        if has_none or (loses and not found):
            listed = sorted(wanted)
            words, french = (
                list(source.labels("theme", listed, language).values())
                if name == "themes"
                else [LANGUAGE_NAMES.get(primary(tag), {}).get(language, tag) for tag in listed]
                for language in LANGUAGES
            )
            sentence = filter_sentence if has_none else far_practices_sentence
            found.append((name, _both(sentence, name, city, words, french)))
    return found


def _both(
    sentence: Callable[[str, CityFacts, Sequence[str]], Names],
    name: str,
    city: CityFacts,
    english: Sequence[str],
    french: Sequence[str],
) -> Names:
    """A sentence whose words differ by language."""
    return {"en": sentence(name, city, english)["en"], "fr": sentence(name, city, french)["fr"]}


def _nearest(needs: Sequence[NeedHits], city: CityFacts) -> list[Near]:
    """A city's practices nearest to each need, the nearest of all first."""
    found = [
        Near(place, hit.practice, city.practice[hit.practice].title, hit.similarity)
        for place, need in enumerate(needs)
        for hit in sorted(
            (hit for hit in need.hits if hit.city == city.id and hit.practice in city.practice),
            key=lambda hit: (-hit.similarity, hit.practice),
        )[:MOST_NEAREST]
    ]
    return sorted(found, key=lambda one: (-one.similarity, one.need, one.practice))


def _difference(one: Difference, language: str) -> dict[str, Any]:
    return {
        "factor": one.factor,
        "label": in_language(one.label, language),
        "value": None if one.here is None else round(one.here, 6),
        "other": None if one.there is None else round(one.there, 6),
        "contribution": round(one.contribution, 9),
        "text": in_language(one.text, language),
    }
