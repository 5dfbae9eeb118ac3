"""Why a city stands where it stands: need by need, beside another city, and where it is not listed at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from kg.matching import reasons
from kg.matching.factors import FACTORS, Case, Factor
from kg.matching.facts import CityFacts, Names, Unknown
from kg.matching.reasons import in_language, listed, name_of, opening, quoted_title
from kg.matching.suggestions import Weighed

PER_NEED = ("relevance", "experience", "gap", "evidence", "freshness")
"""Factors that depend on the need; the others speak of the two cities, whatever is needed."""


@dataclass(frozen=True)
class NeedTold:
    """What is said of a city on one need: `need` is its place in the request, counted from 0.

    `told` has sentences by stance ("for", "against", "neutral"); `unknowns` what is missing, and whom to ask.
    """

    need: int
    told: Mapping[str, tuple[Names, ...]]
    unknowns: tuple[Unknown, ...]


def told_by_need(case: Case) -> tuple[NeedTold, ...]:
    """What speaks for a city, against it and what is unknown, for each need by itself.

    A need on which nothing was found says that alone.

    >>> from datetime import date
    >>> from kg.matching.facts import CityFacts, Hit, NeedHits, PracticeFacts
    >>> from kg.matching.profile import Profile
    >>> from kg.matching.suggestions import weigh_city
    >>> city = CityFacts("lyon", {"en": "Lyon"}, practices=(PracticeFacts("trees", {"en": "Trees"}),))
    >>> needs = [NeedHits((Hit("trees", "lyon", 0.9),)), NeedHits(())]
    >>> weighed = weigh_city(city, needs, mentee=None, profile=Profile(), as_of=date(2026, 1, 1))
    >>> first, second = told_by_need(weighed.case)
    >>> first.told["for"][0]["en"], second.told["against"][0]["en"]
    ('“Trees” is its closest practice.', 'Nothing on record was found.')
    >>> [unknown.factor for unknown in first.unknowns], second.unknowns
    (['gap', 'evidence', 'freshness'], ())
    """
    return tuple(_told(_of_need(case, place)) for place in range(len(case.needs)))


def _of_need(case: Case, place: int) -> Case:
    """The same case as if this need were the only one."""
    one = slice(place, place + 1)
    return replace(
        case,
        needs=tuple(case.needs[one]),
        answers=case.answers[one],
        levels=case.levels[one],
        own_levels=case.own_levels[one],
        found=case.found[one],
    )


def _told(case: Case) -> NeedTold:
    [answer] = case.answers
    named = PER_NEED if answer.practices else PER_NEED[:1]
    factors = [FACTORS[name](case) for name in named]
    said = {
        stance: tuple(factor.sentence() for factor in factors if factor.stance == stance)
        for stance in ("for", "against", "neutral")
    }
    asked: dict[str, Unknown] = {}
    for factor in factors[1:]:
        for unknown in factor.missing():
            asked.setdefault(unknown.text["en"], unknown)
    return NeedTold(answer.need, said, tuple(asked.values()))


# Two cities side by side


@dataclass(frozen=True)
class Difference:
    """One factor of two cities, "here" and "there": values in [0, 1], None when unknown, and shares of the utility.

    `contribution` here − there; the differences of all factors add up to that of the utilities.
    """

    factor: str
    label: Names
    here: float | None
    there: float | None
    contribution: float
    text: Names


def differences(here: Weighed, there: Weighed) -> tuple[Difference, ...]:
    """Factor by factor, how one city differs from another, the largest difference of contributions first.

    Only factors that have a weight. What is unknown is told as unknown: it lowers neither city, but it makes the
    known factors weigh more, which shows in their contributions.
    """
    found = []
    for one, other, mine, theirs in zip(
        here.factors, there.factors, here.contributions, there.contributions, strict=True
    ):
        text = _compared(one, other, here.case.city, there.case.city)
        found.append(Difference(one.name, reasons.FACTOR_LABELS[one.name], one.value, other.value, mine - theirs, text))
    return tuple(sorted(found, key=lambda d: (-abs(d.contribution), d.factor)))


def _compared(one: Factor, other: Factor, city: CityFacts, rival: CityFacts) -> Names:
    """Both sides of a factor in their own sentences."""

    def sentence(language: str) -> str:
        stop = " :" if language == "fr" else ":"
        return " ".join(
            f"{in_language(who.name, language)}{stop} {_side(factor, language)}"
            for who, factor in ((city, one), (rival, other))
        )

    return {language: sentence(language) for language in reasons.LANGUAGES}


def _side(factor: Factor, language: str) -> str:
    said = factor.sentence()[language]
    if factor.value is not None:
        return said
    return f"(inconnu) {said}" if language == "fr" else f"(unknown) {said}"


# Why not this city?


@dataclass(frozen=True)
class Near:
    """A practice of the city with its similarity to one need (its place, from 0), below or above what is cited."""

    need: int
    practice: str
    title: Names
    similarity: float


def filter_sentence(name: str, city: CityFacts, asked: Sequence[str]) -> Names:
    """How a filter of the request leaves a city out: `name` as in the request, `asked` what it asks for, in words.

    >>> filter_sentence("population_min", CityFacts("gent", {"en": "Ghent"}), ["50,000"])["en"]
    'The population of Ghent is not on record, and the request asks for at least 50,000 inhabitants.'
    """
    en, fr = name_of(city, "en"), name_of(city, "fr")
    wanted_en, wanted_fr = listed(asked, "en"), listed(asked, "fr")
    least = {"population_min": ("at least", "au moins"), "population_max": ("at most", "au plus")}
    if name in least:
        bound_en, bound_fr = least[name]
        if city.population is None:
            return {
                "en": f"The population of {en} is not on record, and the request asks for {bound_en} {wanted_en} inhabitants.",
                "fr": f"La population {reasons.of(fr)} n’est pas documentée, et la demande veut {bound_fr} {wanted_fr} "
                "habitants.",
            }
        number_en, number_fr = (reasons.inhabitants(city.population, language) for language in reasons.LANGUAGES)
        return {
            "en": f"{opening(en)} has about {number_en} inhabitants, and the request asks for {bound_en} {wanted_en}.",
            "fr": f"{opening(fr)} compte environ {number_fr} habitants, et la demande en veut {bound_fr} {wanted_fr}.",
        }
    if name == "countries":
        if city.country is None:
            return {
                "en": f"The country of {en} is not on record, and the request asks for {wanted_en}.",
                "fr": f"Le pays {reasons.of(fr)} n’est pas documenté, et la demande se limite à {wanted_fr}.",
            }
        country_en = in_language(city.country_name, "en") or city.country
        country_fr = in_language(city.country_name, "fr") or city.country
        return {
            "en": f"{opening(en)} is in another country ({country_en}) than the request asks for ({wanted_en}).",
            "fr": f"{opening(fr)} est dans un autre pays ({country_fr}) que ceux de la demande ({wanted_fr}).",
        }
    if name == "exclude_cities":
        return {
            "en": f"The request leaves {en} out by name.",
            "fr": f"La demande exclut {fr} nommément.",
        }
    words = {
        "themes": ("on the themes", "sur les thèmes"),
        "languages": ("recorded in the languages", "rédigée dans les langues"),
    }[name]
    return {
        "en": f"{opening(en)} has no practice {words[0]} that the request asks for ({wanted_en}).",
        "fr": f"{opening(fr)} n’a pas de pratique {words[1]} que la demande veut ({wanted_fr}).",
    }


def far_practices_sentence(name: str, city: CityFacts, asked: Sequence[str]) -> Names:
    """How a filter on practices ("themes", "languages") leaves a city out that has some which it lets in.

    >>> far_practices_sentence("themes", CityFacts("gent", {"en": "Ghent"}), ["Housing"])["en"]
    'The practices of Ghent on the themes that the request asks for (Housing) are not close to the need; others of it are.'
    """
    en, fr = {
        "themes": ("on the themes", "sur les thèmes"),
        "languages": ("recorded in the languages", "rédigées dans les langues"),
    }[name]
    return {
        "en": f"The practices of {name_of(city, 'en')} {en} that the request asks for ({listed(asked, 'en')}) are not close to "
        "the need; others of it are.",
        "fr": f"Les pratiques {reasons.of(name_of(city, 'fr'))} {fr} que la demande veut ({listed(asked, 'fr')}) ne sont pas "
        "proches du besoin ; d’autres le sont.",
    }


def is_mentee(city: CityFacts) -> Names:
    """It asks itself."""
    return {
        "en": f"{opening(name_of(city, 'en'))} is the city that asks; no city is its own mentor.",
        "fr": f"{opening(name_of(city, 'fr'))} est la ville qui pose la question ; aucune ville n’est sa propre mentore.",
    }


def is_suggested(city: CityFacts, rank: int) -> Names:
    """It is on the list."""
    return {
        "en": f"{opening(name_of(city, 'en'))} is suggested, at rank {rank}.",
        "fr": f"{opening(name_of(city, 'fr'))} est suggérée, au rang {rank}.",
    }


def has_no_practice(city: CityFacts) -> Names:
    """Nothing of it is on record; whether it has done something is unknown."""
    return {
        "en": f"No practice of {name_of(city, 'en')} is on record. That does not mean that there is none: "
        "whether it has done something about this is unknown.",
        "fr": f"Aucune pratique {reasons.of(name_of(city, 'fr'))} n’est documentée. Cela ne veut pas dire "
        "qu’il n’y en a pas : on ne sait pas si elle a agi dans ce domaine.",
    }


def nothing_close(city: CityFacts, nearest: Near | None, lowest: float) -> Names:
    """It has practices, and none is close enough to be cited."""
    name = {language: name_of(city, language) for language in reasons.LANGUAGES}
    if nearest is None:
        return {
            "en": f"No practice of {name['en']} has anything in common with the need.",
            "fr": f"Aucune pratique {reasons.of(name['fr'])} n’a quoi que ce soit en commun avec le besoin.",
        }
    return {
        "en": f"No practice of {name['en']} comes close to the need: the nearest, {quoted_title(nearest.title, 'en')}, "
        f"has a similarity of {nearest.similarity:.2f}, and below {lowest:g} none is cited.",
        "fr": f"Aucune pratique {reasons.of(name['fr'])} ne s’approche du besoin : la plus proche, "
        f"{quoted_title(nearest.title, 'fr')}, a une similarité de {_comma(nearest.similarity, 2)}, et aucune n’est citée "
        f"au-dessous de {_comma(lowest)}.",
    }


def is_excluded(city: CityFacts, rank: int | None) -> Names:
    """A filter leaves it out; `rank` is the one it would have without the filters, None where it would have none."""
    name = {language: name_of(city, language) for language in reasons.LANGUAGES}
    if rank is None:
        return {
            "en": f"The filters of the request leave {name['en']} out.",
            "fr": f"Les filtres de la demande excluent {name['fr']}.",
        }
    return {
        "en": f"The filters of the request leave {name['en']} out. Without them its practices would put it at rank {rank} "
        "of this list.",
        "fr": f"Les filtres de la demande excluent {name['fr']}. Sans eux, ses pratiques la placeraient au rang {rank} de "
        "cette liste.",
    }


def is_set_back(city: CityFacts, rank: int) -> Names:
    """The wish for several countries set it back."""
    return {
        "en": f"{opening(name_of(city, 'en'))} would have rank {rank}, but the request wants few mentors of each country, "
        "and others of its country stand before it.",
        "fr": f"{opening(name_of(city, 'fr'))} aurait le rang {rank}, mais la demande veut peu de mentores par pays, et "
        "d’autres de son pays la précèdent.",
    }


def ranks_lower(here: Weighed, there: Weighed, rank: int | None, found: Sequence[Difference]) -> Names:
    """It ranks behind the last one listed, with the two factors that matter most, and what is unknown of it."""
    city, last = here.case.city, there.case.city
    against = [one.label for one in found if one.here is not None and one.contribution < -0.0005][:2]
    unknown = [one.label for one in found if one.here is None]
    ahead = [one.label for one in found if one.here is None and one.there is not None and one.contribution < -0.0005]

    def sentence(language: str) -> str:
        name, other = name_of(city, language), name_of(last, language)
        most, missing, alone = (
            listed([label[language].lower() for label in labels], language) for labels in (against, unknown, ahead)
        )
        if language == "fr":
            place = f"au rang {rank}" if rank else "au-delà des villes évaluées en entier"
            text = f"{opening(name)} se trouve {place}, derrière {other}, la dernière de la liste."
            text += f" La différence connue vient surtout de : {most}." if most else ""
            text += f" Ne sont pas connus, et ne comptent pas contre elle : {missing}." if missing else ""
            return text + (f" Pour {other}, il est connu et compte en sa faveur : {alone}." if alone else "")
        place = f"at rank {rank}" if rank else "beyond the cities that are weighed in full"
        text = f"{opening(name)} stands {place}, behind {other}, the last one listed."
        text += f" The known difference comes above all from: {most}." if most else ""
        text += f" Not known, and not counted against it: {missing}." if missing else ""
        return text + (f" Of {other} it is known and counts for it: {alone}." if alone else "")

    return {language: sentence(language) for language in reasons.LANGUAGES}


def _comma(number: float, digits: int | None = None) -> str:
    text = f"{number:g}" if digits is None else f"{number:.{digits}f}"
    return text.replace(".", ",")
