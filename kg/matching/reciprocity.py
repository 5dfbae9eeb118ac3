"""What the mentee could teach the mentor: learning goes both ways, and roles are held per theme."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from kg.matching.experience import mentor_level
from kg.matching.facts import CityFacts, Names, NeedHits, PracticeFacts
from kg.matching.profile import Profile
from kg.matching.reasons import in_language, listed, name_of, opening, quoted_title

LEAD = 0.1
"""From which difference of levels on one city is further than another; below it records alone do not tell."""


@dataclass(frozen=True)
class Wish:
    """A public need of the mentor: its text, and its themes with all narrower ones."""

    text: Names
    themes: frozenset[str]


@dataclass(frozen=True)
class Offer:
    """A theme in which the mentee has experience that the mentor may want.

    `basis` is "need" where the mentor has stated a need on it, "further" where its level on record is lower, "unknown"
    where nothing is on record of the mentor. `level` and `of_mentor` are levels of experience in [0, 1], `of_mentor` None
    where not known. `practices` are the mentee's on this theme, `wishes` the mentor's needs.
    """

    theme: str
    basis: Literal["need", "further", "unknown"]
    level: float
    of_mentor: float | None
    practices: tuple[PracticeFacts, ...]
    wishes: tuple[Wish, ...]


_BASES = ("need", "further", "unknown")


def in_return(
    mentee: CityFacts,
    mentor: CityFacts,
    narrower: Mapping[str, frozenset[str]],
    wishes: Sequence[Wish],
    profile: Profile,
    as_of: date,
) -> list[Offer]:
    """What the mentee could teach the mentor, theme by theme: needs of the mentor first, then where it leads most.

    Looked at are the themes that the mentee's practices carry or its statements name. Levels are those of suggestions
    (experience.mentor_level), for both alike. A theme in which the mentor is as far is left out; one of which nothing
    is on record of the mentor is unknown and stands last: it is a question, not a gap. `narrower` has all themes below
    each theme. The order of records does not matter; equal leads are ordered by theme.

    Source: DOMAIN 1.2 (learning went both ways: Fuenlabrada learned from Levadia), 1.1 (EPIC: the same cities are
    mentor in one field and mentee in another), question 19.

    >>> duos = PracticeFacts("duos", {"en": "Duos"}, frozenset({"language"}), evidence="outcome-counts", end=2026)
    >>> desk = PracticeFacts("desk", {"en": "Desk"}, frozenset({"desk"}), end=2026)
    >>> levadia = CityFacts("levadia", {"en": "Levadia"}, practices=(duos, desk))
    >>> madrid = CityFacts("madrid", {"en": "Madrid"})
    >>> wish = Wish({"en": "Practising the language"}, frozenset({"language"}))
    >>> [(o.theme, o.basis) for o in in_return(levadia, madrid, {}, [wish], Profile(), date(2026, 1, 1))]
    [('language', 'need'), ('desk', 'unknown')]
    """
    themes = {theme for one in mentee.practices for theme in one.themes}
    themes |= {stated.theme for stated in mentee.experience}
    offers = []
    for theme in sorted(themes):
        need = NeedHits((), frozenset({theme}), narrower.get(theme, frozenset()))
        own, other = (mentor_level(city, need, {}, profile, as_of) for city in (mentee, mentor))
        if own is None or own.value <= 0:
            continue
        wanted = tuple(wish for wish in wishes if theme in wish.themes)
        lead = None if other is None else own.value - other.value
        if not wanted and lead is not None and lead < LEAD:
            continue
        offers.append(
            Offer(
                theme,
                "need" if wanted else "unknown" if lead is None else "further",
                own.value,
                None if other is None else other.value,
                tuple(mentee.practice[one.practice] for one in own.inputs),
                tuple(sorted(wanted, key=lambda wish: sorted(wish.text.items()))),
            )
        )
    offers.sort(key=lambda one: (_BASES.index(one.basis), -round(one.level - (one.of_mentor or 0.0), 9), one.theme))
    return offers


_SAID: Mapping[str, Names] = {
    "need": {
        "en": "{mentor} has stated a need on {theme}, and {mentee} has experience with it{practices}.",
        "fr": "{mentor} a exprimé un besoin sur ce thème : {theme} ; {mentee} en a l’expérience{practices}.",
    },
    "further": {
        "en": "On {theme} {mentee} has more experience on record{practices}.",
        "fr": "Sur ce thème : {theme}, {mentee} a davantage d’expérience attestée{practices}.",
    },
    "unknown": {
        "en": "{mentee} has experience with {theme}{practices}; that of {mentor} is not on record. Ask whether it would help.",
        "fr": "{mentee} a de l’expérience sur ce thème : {theme}{practices} ; celle de {mentor} n’est pas documentée. "
        "Demandez si cela aiderait.",
    },
}
NOTHING: Names = {
    "en": "Nothing is on record that {mentee} could teach {mentor}; that says little: ask what interests it.",
    "fr": "Rien de documenté que {mentee} puisse apprendre à {mentor} ; cela dit peu : demandez ce qui l’intéresse.",
}


def offer_sentence(offer: Offer, theme: Names, mentee: CityFacts, mentor: CityFacts) -> Names:
    """An offer in a sentence; at most two practices are named.

    >>> offer = Offer("x", "further", 0.6, 0.1, (PracticeFacts("a", {"en": "Duos"}),), ())
    >>> offer_sentence(offer, {"en": "Language"}, CityFacts("l", {"en": "Levadia"}), CityFacts("m", {"en": "Madrid"}))["en"]
    'On Language Levadia has more experience on record (“Duos”).'
    """

    def sentence(language: str) -> str:
        titles = listed([quoted_title(one.title, language) for one in offer.practices[:2]], language)
        return opening(
            _SAID[offer.basis][language].format(
                mentor=name_of(mentor, language),
                mentee=name_of(mentee, language),
                theme=in_language(theme, language),
                practices=f" ({titles})" if titles else "",
            )
        )

    return {language: sentence(language) for language in ("en", "fr")}
