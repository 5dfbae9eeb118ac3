"""Profiles by name: those built in, those a deployment describes, and what every constant means."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from types import MappingProxyType
from typing import Any

from kg.errors import BadRequest, UnreadableInput, quoted
from kg.matching.facts import Names
from kg.matching.profile import HIGHEST_WEIGHT, Band, Profile
from kg.matching.reasons import FACTOR_LABELS, in_language

MENTORING = Profile()

PEER_LEARNING = replace(
    MENTORING,
    name="peer-learning",
    version="2",
    label=MappingProxyType(
        {
            "en": "Cities that are about as far along, in similar circumstances, learn from each other.",
            "fr": "Des villes à peu près aussi avancées, dans un contexte semblable, apprennent l’une de l’autre.",
        }
    ),
    weights=MappingProxyType({**MENTORING.weights, "relevance": 0.45, "experience": 0.05, "gap": 0.2, "context": 0.15}),
    best_gap=0.1,
    full_gap=0.5,
)
"""Peers: a small lead is best, one of .6 or a lag of .4 counts 0. Whether a city is far ahead tells little here, so
experience weighs less, and circumstances weigh more (DOMAIN 2.4; the weights are a judgement, not learnt)."""

BUILT_IN: Mapping[str, Profile] = MappingProxyType({one.name: one for one in (MENTORING, PEER_LEARNING)})

MOST_PROFILES = 50

MEANINGS: Mapping[str, Names] = {
    "weights": {
        "en": "How much each factor counts, any unit, 0 or more: the utility is the mean of the known factors by these "
        "weights. Evidence and freshness act through experience; at weight 0 they are shown and do not count twice.",
        "fr": "Poids de chaque facteur, sans unité, 0 ou plus : l’utilité est la moyenne des facteurs connus, pondérée "
        "ainsi. Les preuves et l’actualité agissent par l’expérience ; au poids 0 elles sont affichées sans compter "
        "deux fois.",
    },
    "ties": {
        "en": "How far a practice is a city's own, from 0 to 1: its own, as a partner, or run there by another body. "
        "A tie that is not stated counts as own.",
        "fr": "Dans quelle mesure une pratique est celle de la ville, de 0 à 1 : la sienne, comme partenaire, ou menée "
        "sur place par un autre organisme. Un lien non précisé compte comme le sien.",
    },
    "evidence": {
        "en": "How far each kind of evidence is relied on, from 0 to 1.",
        "fr": "Confiance accordée à chaque type de preuve, de 0 à 1.",
    },
    "bases": {
        "en": "How far a stated level of experience is relied on, from 0 to 1, by who stated it.",
        "fr": "Confiance accordée à un niveau d’expérience déclaré, de 0 à 1, selon qui le déclare.",
    },
    "usual_evidence": {
        "en": "Stands in where a record states no evidence: the mean of those that do.",
        "fr": "Valeur prise lorsque la fiche n’indique pas de preuve : la moyenne de celles qui en indiquent.",
    },
    "usual_freshness": {
        "en": "Stands in where a record has no sure date: the mean of those that have one.",
        "fr": "Valeur prise lorsque la fiche n’a pas de date sûre : la moyenne de celles qui en ont une.",
    },
    "half_life_years": {
        "en": "The age in years at which a practice counts half.",
        "fr": "Âge, en années, auquel une pratique compte pour moitié.",
    },
    "best": {
        "en": "How many of a city's best practices count for a need (m).",
        "fr": "Nombre des meilleures pratiques d’une ville qui comptent pour un besoin (m).",
    },
    "discount": {
        "en": "How much each further practice counts of the one before it, from 0 to 1 (γ).",
        "fr": "Part de chaque pratique supplémentaire par rapport à la précédente, de 0 à 1 (γ).",
    },
    "theme_power": {
        "en": "How steeply experience with a theme counts less the less surely the need means it beside its surest theme: "
        "its strength by the largest, to this power; 0 counts every theme whole.",
        "fr": "Vitesse à laquelle l’expérience d’un thème compte moins lorsque le besoin le désigne moins sûrement que "
        "son thème le plus sûr : sa force divisée par la plus grande, à cette puissance ; 0 compte tous les thèmes en "
        "entier.",
    },
    "least_sure": {
        "en": "How surely a need must mean a theme, from 0 to 1, for the mentee's own records on it to tell its level.",
        "fr": "Sûreté, de 0 à 1, avec laquelle un besoin doit désigner un thème pour que les fiches de la ville "
        "accompagnée sur ce thème disent son niveau.",
    },
    "full_gap": {
        "en": "The difference of levels from which on a larger one adds nothing; with a best gap, how far from it "
        "the factor is 0.",
        "fr": "Écart de niveaux au-delà duquel un plus grand n’ajoute rien ; avec un écart idéal, distance à laquelle "
        "le facteur vaut 0.",
    },
    "best_gap": {
        "en": "The difference of levels that is best for learning as peers, compared without the evidence; null where "
        "the larger is the better.",
        "fr": "Écart de niveaux idéal pour apprendre entre pairs, comparé sans les preuves ; null lorsque le plus grand "
        "est le meilleur.",
    },
    "size_ratio": {
        "en": "Ratio of populations from which on two cities count as wholly different in size.",
        "fr": "Rapport de populations à partir duquel deux villes comptent comme de tailles tout à fait différentes.",
    },
    "share_range": {
        "en": "Difference of foreign-born shares from which on two cities count as wholly different.",
        "fr": "Écart des parts d’habitants nés à l’étranger à partir duquel deux villes comptent comme tout à fait "
        "différentes.",
    },
    "context": {
        "en": "Weights of the parts of the context: size, country, migration.",
        "fr": "Poids des éléments du contexte : taille, pays, migration.",
    },
    "lowest_similarity": {
        "en": "A practice less close to a need is not cited for it; a city that has none closer is not suggested.",
        "fr": "Une pratique moins proche d’un besoin n’est pas citée ; une ville qui n’en a pas de plus proche n’est "
        "pas suggérée.",
    },
    "least_meaning": {
        "en": "A need that no practice comes this close to by meaning alone is met by single words: suggestions for it "
        "are weak.",
        "fr": "Un besoin dont aucune pratique ne s’approche autant par le seul sens n’est rejoint que par des mots isolés : "
        "les suggestions pour lui sont faibles.",
    },
    "candidates": {
        "en": "How many of the most relevant cities are weighed in full.",
        "fr": "Nombre des villes les plus pertinentes qui sont évaluées en entier.",
    },
    "bands": {
        "en": "Least utility and least relevance of each named band, the best first; what reaches none is weak.",
        "fr": "Utilité et pertinence minimales de chaque catégorie, la meilleure d’abord ; ce qui n’en atteint aucune "
        "est faible.",
    },
}
"""Every constant of a profile in a sentence; a test compares the names with those of `Profile`."""

BAND_NAMES = ("strong", "good", "possible")


def named_profile(profiles: Mapping[str, Profile], name: str | None, default: str) -> Profile:
    """The profile that a request names, or the default one.

    Raises BadRequest with the names there are.

    >>> named_profile(BUILT_IN, None, "mentoring").version
    '2'
    >>> named_profile(BUILT_IN, "peer", "mentoring")
    Traceback (most recent call last):
    kg.errors.BadRequest: profile: there is no 'peer'; there are mentoring, peer-learning
    """
    if name is None:
        return profiles[default]
    if name not in profiles:
        raise BadRequest(
            {
                "en": f"profile: there is no {quoted(name)}; there are {', '.join(sorted(profiles))}",
                "fr": f"profile : il n’y a pas de {quoted(name)} ; il y a {', '.join(sorted(profiles))}",
            }
        )
    return profiles[name]


def profile_json(profile: Profile, language: str, *, default: bool) -> dict[str, Any]:
    """A profile with every constant and its meaning, for people who want to know how a rank comes about.

    >>> profile_json(PEER_LEARNING, "en", default=False)["constants"]["best_gap"]["value"]
    0.1
    """
    values = {name: getattr(profile, name) for name in MEANINGS}
    return {
        "name": profile.name,
        "version": profile.version,
        "label": in_language(profile.label, language),
        "default": default,
        "built_in": profile.name in BUILT_IN,
        "constants": {
            name: {"value": _plain(value), "meaning": in_language(MEANINGS[name], language)}
            for name, value in values.items()
        },
        "factors": {name: in_language(FACTOR_LABELS[name], language) for name in profile.weights},
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, tuple):
        return [{"name": band.name, "utility": band.utility, "relevance": band.relevance} for band in value]
    return value


# Profiles that a deployment describes


def read_profiles(data: Mapping[str, Any], where: str) -> tuple[dict[str, Profile], str]:
    """All profiles, built in and described, by name, and the name of the default one.

    `data` holds `profiles`, a table by name, and perhaps `default`. A profile gives its `version` and what differs
    from the one it is `based_on` ("mentoring" unless said). `where` names the file in messages.

    Raises UnreadableInput, naming the place, for a missing version, a name that is taken, a constant or factor that
    is none, and a number out of its range.

    >>> found, default = read_profiles(
    ...     {"default": "neighbours", "profiles": {"neighbours": {"version": "2026-1", "weights": {"language": 0.3}}}}, "f")
    >>> found["neighbours"].weights["language"], found["neighbours"].weights["gap"], default
    (0.3, 0.1, 'neighbours')
    >>> read_profiles({"profiles": {"x": {"version": "1", "half_life_years": 0}}}, "own.toml")
    Traceback (most recent call last):
    kg.errors.UnreadableInput: own.toml, profile 'x': half_life_years: '0' is not a number above 0, at most 100
    """
    _keys(data, where, ("default", "profiles"))
    described = data.get("profiles", {})
    if not isinstance(described, Mapping) or len(described) > MOST_PROFILES:
        raise UnreadableInput(f"{where}: profiles: give a table of at most {MOST_PROFILES} profiles by name")
    found = dict(BUILT_IN)
    for name, one in described.items():
        at = f"{where}, profile {quoted(name)}"
        if not isinstance(name, str) or not re.fullmatch("[a-z][a-z0-9-]{0,39}", name):
            raise UnreadableInput(f"{at}: a name has at most 40 small letters, digits and hyphens, a letter first")
        if name in BUILT_IN:
            raise UnreadableInput(f"{at}: this name is built in; choose another, so that answers say which one ranked")
        found[name] = _profile(name, one, found, at)
    default = data.get("default", MENTORING.name)
    if default not in found:
        raise UnreadableInput(f"{where}: default: there is no {quoted(default)}; there are {', '.join(sorted(found))}")
    return found, default


def _profile(name: str, data: Any, known: Mapping[str, Profile], where: str) -> Profile:
    """One described profile."""
    _keys(data, where, ("version", "label", "based_on", *MEANINGS))
    version = data.get("version")
    if not isinstance(version, str) or not version.isprintable() or not 1 <= len(version.strip()) <= 40:
        raise UnreadableInput(f'{where}: version: give one as a text, such as version = "2026-1", and raise it with it')
    base = data.get("based_on", MENTORING.name)
    if not isinstance(base, str) or base not in known:
        raise UnreadableInput(f"{where}: based_on: there is no {quoted(base)} before it; there are {', '.join(known)}")
    changes = {key: READERS[key](data[key], known[base], f"{where}: {key}") for key in MEANINGS if key in data}
    label = _label(data["label"], f"{where}: label") if "label" in data else known[base].label
    return replace(known[base], name=name, version=version.strip(), label=label, **changes)


def _label(value: Any, where: str) -> Mapping[str, str]:
    words = {"en": value} if isinstance(value, str) else value
    _keys(words, where, ("en", "fr"))
    if not words or not all(isinstance(w, str) and w.isprintable() and 0 < len(w) <= 300 for w in words.values()):
        raise UnreadableInput(f'{where}: give a sentence of at most 300 characters, such as {{en = "…", fr = "…"}}')
    return MappingProxyType(dict(words))


def _keys(data: Any, where: str, allowed: Sequence[str]) -> None:
    if not isinstance(data, Mapping):
        raise UnreadableInput(f"{where}: give a table with {', '.join(allowed)}")
    for key in data:
        if key not in allowed:
            raise UnreadableInput(f"{where}: there is no {quoted(key)}; there are {', '.join(allowed)}")


def _number(least: float, most: float, *, above: bool = False, whole: bool = False) -> Callable[..., Any]:
    """A reader of one number within its range; `above` leaves the least out."""

    def read(value: Any, base: Profile, where: str) -> float:
        sort = int if whole else int | float
        said = f"a {'whole ' * whole}number {f'above {least:g}, at most' if above else f'from {least:g} to'} {most:g}"
        is_number = isinstance(value, sort) and not isinstance(value, bool) and math.isfinite(value)
        if not is_number or not least <= value <= most or (above and value == least):
            raise UnreadableInput(f"{where}: {quoted(value)} is not {said}")
        return value if whole else float(value)

    return read


def _table(name: str, most: float) -> Callable[..., Mapping[str, float]]:
    """A reader of numbers by name, each from 0 to `most`; what is not named stays as in the base."""
    one = _number(0, most)

    def read(value: Any, base: Profile, where: str) -> Mapping[str, float]:
        before: Mapping[str, float] = getattr(base, name)
        _keys(value, where, tuple(before))
        merged = {**before, **{key: one(given, base, f"{where}.{key}") for key, given in value.items()}}
        if name == "weights" and merged["relevance"] == 0:
            raise UnreadableInput(f"{where}.relevance: must be above 0, or the answer would not depend on the need")
        if not any(merged.values()):
            raise UnreadableInput(f"{where}: one of them must be above 0")
        return MappingProxyType(merged)

    return read


def _bands(value: Any, base: Profile, where: str) -> tuple[Band, ...]:
    """The three bands, best first, each no easier to reach than the next."""
    _keys(value, where, BAND_NAMES)
    share, found = _number(0, 1), []
    for before in base.bands:
        given = value.get(before.name, {})
        _keys(given, f"{where}.{before.name}", ("utility", "relevance"))
        utility, relevance = (
            share(given.get(key, getattr(before, key)), base, f"{where}.{before.name}.{key}")
            for key in ("utility", "relevance")
        )
        found.append(Band(before.name, utility, relevance))
    for better, worse in pairwise(found):
        if better.utility < worse.utility or better.relevance < worse.relevance:
            raise UnreadableInput(f"{where}: {better.name!r} asks for less than {worse.name!r}; put the best highest")
    return tuple(found)


READERS: Mapping[str, Callable[[Any, Profile, str], Any]] = {
    "weights": _table("weights", HIGHEST_WEIGHT),
    "ties": _table("ties", 1),
    "evidence": _table("evidence", 1),
    "bases": _table("bases", 1),
    "usual_evidence": _number(0, 1),
    "usual_freshness": _number(0, 1),
    "half_life_years": _number(0, 100, above=True),
    "best": _number(1, 20, whole=True),
    "discount": _number(0, 1),
    "theme_power": _number(0, 10),
    "least_sure": _number(0, 1),
    "full_gap": _number(0, 1, above=True),
    "best_gap": _number(0, 1),
    "size_ratio": _number(1, 1_000_000, above=True),
    "share_range": _number(0, 1, above=True),
    "context": _table("context", HIGHEST_WEIGHT),
    "lowest_similarity": _number(0, 1),
    "least_meaning": _number(0, 1),
    "candidates": _number(50, 1000, whole=True),
    "bands": _bands,
}
"""How each constant is read from a file."""
