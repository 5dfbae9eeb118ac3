"""Finds records whose titles are so alike that they may be the same thing, among thousands, without comparing all.

Only titles that share one of their rarest words are compared (with rapidfuzz), so 2,000 new rows beside 100,000
records cost seconds. Where both name a city, another city is another practice, however alike the titles.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from kg.exchange.reports import Duplicate
from kg.fields import in_language
from kg.search.text import words

SAME_CITY, CITY_UNKNOWN = 82, 92
"""How alike titles must be (0 to 100, token by token) to be told, in one city and where a city is not known."""

COMPARED = 200
"""Titles compared with one new title, at most."""

RAREST = 3

SAME = {"en": "alike titles in the same city", "fr": "titres semblables dans la même ville"}
UNKNOWN = {"en": "alike titles; a city is not known", "fr": "titres semblables ; une des villes n’est pas connue"}


class Titles:
    """The titles of one kind's records, by their words.

    `cities_of` gives the cities of records, without those that have none or whose kind has no cities; it is asked only
    of titles that are alike, of all that are like one title together.

    >>> pair = [("gent--table", "Table for two in Ghent"), ("riga--choir", "A choir")]
    >>> titles = Titles(pair, lambda ids: dict.fromkeys(ids, "gent"))
    >>> titles.like("Table for Two, Ghent", "gent")[0].id
    'gent--table'
    >>> titles.like("Table for Two, Ghent", "riga")
    []
    """

    def __init__(
        self, titles: Iterable[tuple[str, str]], cities_of: Callable[[Sequence[str]], Mapping[str, str]]
    ) -> None:
        self._cities_of = cities_of
        self._titles: dict[str, str] = {}
        self._plain: dict[str, str] = {}
        self._by_word: defaultdict[str, list[str]] = defaultdict(list)
        self._cities: dict[str, str | None] = {}
        for id, title in titles:
            self.add(id, title)

    def add(self, id: str, title: str, city: str | None = None) -> None:
        """Know one more record; `city` where `cities_of` does not know it yet."""
        if id in self._titles:
            return
        if city is not None:
            self._cities[id] = city
        found = words(title)
        self._titles[id], self._plain[id] = title, " ".join(found)
        for word in set(found):
            self._by_word[word].append(id)

    def like(
        self, title: str, city: str | None, *, but: str = "", limit: int = 3, language: str = "en"
    ) -> list[Duplicate]:
        """Records that may be the same thing, likeliest first; never the record `but` itself. Reasons are in `language`."""
        from rapidfuzz import fuzz, process

        found = words(title)
        plain = " ".join(found)
        candidates = [id for id in self._candidates(found) if id != but]
        alike = process.extract(
            plain,
            {id: self._plain[id] for id in candidates},
            scorer=fuzz.token_sort_ratio,
            score_cutoff=SAME_CITY,
            limit=limit * 5,
            processor=None,
        )
        unasked = [id for _, _, id in alike if id not in self._cities]
        if unasked:
            self._cities |= {**dict.fromkeys(unasked), **self._cities_of(unasked)}
        duplicates = []
        for _, likeness, id in alike:
            reason = self._reason(city, self._cities[id], likeness)
            if reason is not None:
                duplicates.append(Duplicate(id, self._titles[id], round(likeness), in_language(reason, language)))
        return duplicates[:limit]

    def _candidates(self, found: Sequence[str]) -> list[str]:
        """Records that share one of the rarest words."""
        known = sorted({word for word in found if word in self._by_word}, key=lambda word: len(self._by_word[word]))
        candidates: dict[str, None] = {}
        for word in known[:RAREST]:
            for id in self._by_word[word][: COMPARED - len(candidates)]:
                candidates[id] = None
        return list(candidates)

    @staticmethod
    def _reason(city: str | None, other: str | None, likeness: float) -> Mapping[str, str] | None:
        """Why two records may be the same, by language; None when they are not likely to be."""
        if city and other:
            return SAME if city == other else None
        return UNKNOWN if likeness >= CITY_UNKNOWN else None
