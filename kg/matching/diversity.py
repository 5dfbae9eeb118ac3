"""Mentors from several countries, where the mentee wishes for that: few of each country, the best first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from kg.matching.facts import Names
from kg.matching.reasons import in_language, listed

Places = list[int]
"""Places in a ranking, counted from 0."""


def spread(
    ranked: Sequence[str], countries: Mapping[str, str | None], per_country: int, limit: int
) -> tuple[Places, Places]:
    """The best `limit` cities with at most `per_country` from each country, and whom that wish set back, as places.

    `ranked` has the ids of all cities, best first; `countries` each one's country. Greedy from the top: a
    city is set back when its country has its share already, so a shorter list is the beginning of a longer one,
    and nobody is set back for a worse one of the same country. A city whose country is not on record is never set
    back. Set back are those that would have stood among the first `limit`. Source of the wish: programmes that ask
    for peers from at least two other countries (DOMAIN 1.1, Interreg Europe; 1.2, three mentors of one country).

    Raises ValueError for a number below 1.

    >>> spread(["gent", "bruges", "lyon"], {"gent": "BE", "bruges": "BE", "lyon": "FR"}, per_country=1, limit=2)
    ([0, 2], [1])
    """
    if per_country < 1 or limit < 1:
        raise ValueError(f"per_country {per_country} and limit {limit} must be at least 1")
    kept: Places = []
    back: Places = []
    taken: Counter[str] = Counter()
    for place, city in enumerate(ranked):
        country = countries.get(city)
        if country and taken[country] >= per_country:
            back.append(place)
        elif len(kept) < limit:
            kept.append(place)
            taken.update([country] if country else [])
    return kept, [place for place in back if place < limit]


def spread_sentence(per_country: int, set_back: Sequence[Names]) -> Names:
    """What the wish did; `set_back` are names of the cities that it set back.

    >>> spread_sentence(1, [{"en": "Bruges"}])["en"]
    'At most 1 mentor of each country, as you wished; without that wish Bruges would be in this list too.'
    """
    en = f"At most {per_country} mentor{'' if per_country == 1 else 's'} of each country, as you wished"
    fr = f"Au plus {per_country} mentore{'' if per_country == 1 else 's'} par pays, comme vous le souhaitez"
    if not set_back:
        return {"en": f"{en}; that changed nothing.", "fr": f"{fr} ; cela n’a rien changé."}
    names = {
        language: listed([in_language(name, language) for name in set_back], language) for language in ("en", "fr")
    }
    return {
        "en": f"{en}; without that wish {names['en']} would be in this list too.",
        "fr": f"{fr} ; sans ce souhait, {names['fr']} {'figureraient' if len(set_back) > 1 else 'figurerait'} aussi "
        "dans cette liste.",
    }
