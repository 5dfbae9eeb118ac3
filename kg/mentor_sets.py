"""A request for mentors that together cover several needs: checked, answered, and written in English or French."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from kg.errors import BadRequest, quoted
from kg.fields import in_language
from kg.matching.explaining import told_by_need
from kg.matching.facts import CityFacts, Mentee, Names, NeedHits
from kg.matching.marking import clues_of
from kg.matching.profile import Profile
from kg.matching.reasons import ROLE_LIMITS, listed
from kg.matching.sets import MentorSet, covering_relevance, covers, smallest_sets
from kg.matching.suggestions import Weighed, explained, rank_cities
from kg.search.view import Understood
from kg.suggesting import MOST_NEEDS, Clues, Known, SuggestionRequest, city_reference, read_request, write_suggestion

MOST_ALTERNATIVES = 5
COVERS: Mapping[bool, Names] = {
    False: {"en": "{city} covers need {needs}.", "fr": "{city} couvre le besoin {needs}."},
    True: {"en": "{city} covers needs {needs}.", "fr": "{city} couvre les besoins {needs}."},
}
"""Who covers what, for one need and for several."""
NOBODY: Names = {
    "en": "No city on record comes close enough to need {need}: “{text}”. Try other words, or take it apart.",
    "fr": "Aucune ville documentée ne répond d’assez près au besoin {need} : « {text} ». Essayez d’autres mots, ou "
    "divisez-le.",
}
UNHEARD: Names = {
    "en": "No practice on record is close in meaning to need {need}: “{text}”. Nobody covers it; say it in other words.",
    "fr": "Aucune pratique documentée n’est proche par le sens du besoin {need} : « {text} ». Personne ne le couvre ; "
    "dites-le autrement.",
}
KEPT_OUT: Names = {
    "en": "Need {need} stays open under these limits: “{text}”. Allow more mentors, or more of each country.",
    "fr": "Le besoin {need} reste ouvert dans ces limites : « {text} ». Admettez plus de villes mentores, ou plus par "
    "pays.",
}


@dataclass(frozen=True)
class Wanted:
    """A checked request: the needs as for suggestions, how many mentors at most, how many other sets."""

    asked: SuggestionRequest
    most: int | None
    alternatives: int


def read_wanted(data: Any, known: Known) -> Wanted:
    """Check a request for sets: that of suggestions without `limit`, with `most` and `alternatives`.

    Raises BadRequest, naming the place, for anything that cannot be used, TooLarge for a need over its limit.
    """
    if not isinstance(data, Mapping):
        raise BadRequest(
            {"en": "the request: must be an object with needs", "fr": "la demande : il faut un objet avec needs"}
        )
    if "limit" in data:
        raise BadRequest(
            {
                "en": "limit: a set has as many mentors as it takes; `most` limits them, `alternatives` the sets",
                "fr": "limit : un ensemble a autant de villes mentores qu’il en faut ; `most` les limite, `alternatives` limite les ensembles",
            }
        )
    if "explain" in data:
        raise BadRequest(
            {
                "en": "explain: ask for suggestions to have them explained at length",
                "fr": "explain : demandez des suggestions pour les avoir expliquées en détail",
            }
        )
    rest = {key: value for key, value in data.items() if key not in ("most", "alternatives")}
    most = data.get("most")
    return Wanted(
        read_request(rest, known),
        None if most is None else _number(most, "most", 1, MOST_NEEDS),
        _number(data.get("alternatives", 3), "alternatives", 0, MOST_ALTERNATIVES),
    )


def _number(value: Any, where: str, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise BadRequest(
            {
                "en": f"{where}: give a whole number from {least} to {most}, not {quoted(value)}",
                "fr": f"{where} : donnez un nombre entier de {least} à {most}, non {quoted(value)}",
            }
        )
    return value


def find_sets(
    wanted: Wanted,
    needs: Sequence[tuple[NeedHits, Understood]],
    cities: Mapping[str, CityFacts],
    mentee: CityFacts | None,
    profile: Profile,
    theme_words: Callable[[str], Iterable[str]],
    base: str,
    language: str,
) -> dict[str, Any]:
    """The best set and others as JSON, sentences in `language` ("en" or "fr").

    `needs` are those of the request as search answered them, each with how it was read; `cities` those that may mentor;
    `theme_words` gives a theme's English labels.

    A city covers a need when, as a suggestion for that need alone, it would be at least "possible". So nobody covers a
    need that no practice is close to in meaning: a word that happens to be on record makes no answer of nonsense.

    Raises TooSlow where no set is proved in time.
    """
    asked = wanted.asked
    hits, languages = [hit for hit, _ in needs], [known.language for _, known in needs]
    as_of = asked.as_of or datetime.now(UTC).date()
    everybody = replace(profile, candidates=max(1, len(cities)))

    def ranked(some: Sequence[NeedHits]) -> list[Weighed]:
        asking, most = Mentee.on_record(mentee) if mentee else asked.profile, max(1, len(cities))
        return rank_cities(some, cities, mentee=asking, profile=everybody, as_of=as_of, limit=most)

    weighed = {one.case.city.id: (rank, one) for rank, one in enumerate(ranked(hits), start=1)}
    threshold = covering_relevance(profile)
    heard = [profile.hears(hit.nearest) for hit in hits]
    relevance = {id: [answer.relevance for answer in one.case.answers] for id, (_, one) in weighed.items()}
    covering = {id: [0.0] * len(hits) for id in relevance}
    for place, hit in enumerate(hits):
        for one in ranked([hit]) if heard[place] else ():
            id = one.case.city.id
            if covers(profile, one.utility, relevance[id][place]):
                covering[id][place] = relevance[id][place]
    found = smallest_sets(
        covering,
        covers_from=threshold,
        weights=[need.weight for need in hits],
        countries={id: city.country for id, city in cities.items()},
        per_country=asked.per_country,
        most=wanted.most,
        alternatives=wanted.alternatives,
    )
    open_needs = [(need, "nobody", NOBODY if heard[need] else UNHEARD) for need in found.nobody]
    open_needs += [(need, "limits", KEPT_OUT) for need in found.kept_out]
    sought = clues_of([(known, hit.themes) for hit, known in needs], theme_words)
    writer = _Writer(weighed, relevance, base, language, languages, sought)
    return {
        "sets": [writer.set(one, place) for place, one in enumerate(found.sets)],
        "needs": [
            {
                "need": place,
                "text": need.text,
                "language": languages[place],
                "nearest": None if need.nearest is None else round(need.nearest, 6),
                "covered_by": sum(values[place] > 0 for values in covering.values()),
            }
            for place, need in enumerate(hits)
        ],
        "uncovered": [
            {
                "need": need,
                "code": code,
                "text": in_language(said, language).format(need=need + 1, text=_short(hits[need].text)),
                "closest": writer.closest(need) if code == "nobody" else None,
            }
            for need, code, said in sorted(open_needs, key=lambda one: one[0])
        ],
        "covers_from": threshold,
        "complete": found.in_time,
        "most": wanted.most,
        "per_country": asked.per_country,
        "mentee": city_reference(mentee, base, language) if mentee else None,
        "role_limits": in_language(ROLE_LIMITS, language),
        "profile": {"name": profile.name, "version": profile.version, "changed": list(profile.changed)},
        "as_of": as_of.isoformat(),
    }


def _short(text: str) -> str:
    return text if len(text) <= 120 else text[:119] + "…"


class _Writer:
    """Sets as JSON. The mentors of the first set are explained in full, those of the others named."""

    def __init__(
        self,
        weighed: Mapping[str, tuple[int, Weighed]],
        relevance: Mapping[str, Sequence[float]],
        base: str,
        language: str,
        languages: Sequence[str],
        clues: Clues,
    ) -> None:
        self.weighed, self.relevance = weighed, relevance
        self.base, self.language, self.languages, self.clues = base, language, languages, clues

    def set(self, one: MentorSet, place: int) -> dict[str, Any]:
        """One set, its mentors in the order of the first need that each is best for."""
        first = {city: need for need in reversed(range(len(one.covered))) for city in one.covered[need][:1]}
        order = sorted(one.mentors, key=lambda city: (first.get(city, len(one.covered)), city))
        return {
            "mentors": [self._mentor(city, one, in_full=place == 0) for city in order],
            "size": len(one.mentors),
            "relevance": round(one.total, 6),
            "needs": [{"need": need, "covered_by": list(covering)} for need, covering in enumerate(one.covered)],
        }

    def _mentor(self, city: str, one: MentorSet, *, in_full: bool) -> dict[str, Any]:
        rank, weighed = self.weighed[city]
        facts = weighed.case.city
        covers = [need for need, covering in enumerate(one.covered) if city in covering]
        numbers = _numbers(covers, self.language)
        label = in_language(facts.name, self.language)
        told = {
            "city": city_reference(facts, self.base, self.language),
            "covers": [
                {"need": need, "relevance": round(self.relevance[city][need], 6), "best": one.covered[need][0] == city}
                for need in covers
            ],
            "text": in_language(COVERS[len(covers) > 1], self.language).format(city=label, needs=numbers),
            "practices": [
                {"need": need, "id": best.practice, "title": in_language(best.title, self.language)}
                for need in covers
                for best in weighed.case.answers[need].practices[:1]
            ],
            "suggestion": None,
        }
        if in_full:
            told["suggestion"] = write_suggestion(
                explained(weighed, rank),
                facts,
                self.base,
                self.language,
                self.languages,
                told=told_by_need(weighed.case),
                clues=self.clues,
            )
        return told

    def closest(self, need: int) -> dict[str, Any] | None:
        """The city that comes closest to a need which nobody covers."""
        best = max(self.relevance, key=lambda city: (self.relevance[city][need], city), default=None)
        if best is None or not self.relevance[best][need]:
            return None
        city = city_reference(self.weighed[best][1].case.city, self.base, self.language)
        return {"city": city, "relevance": round(self.relevance[best][need], 6)}


def _numbers(needs: Sequence[int], language: str) -> str:
    return listed([str(need + 1) for need in needs], language)
