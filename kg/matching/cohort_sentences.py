"""Every sentence that an answer about a cohort says, in English and French. Nothing is decided here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from kg.matching.facts import Names
from kg.matching.reasons import LANGUAGE_NAMES, in_language, listed, of

KNOWN_PAIRS: Mapping[str, Names] = {
    "prefer": {"en": "known pairs count for more", "fr": "les paires qui se connaissent comptent davantage"},
    "avoid": {"en": "known pairs count for less", "fr": "les paires qui se connaissent comptent moins"},
    "exclude": {"en": "known pairs are left out", "fr": "les paires qui se connaissent sont exclues"},
    "ignore": {"en": "known pairs count like others", "fr": "les paires qui se connaissent comptent comme les autres"},
}
"""What may be made of pairs that know each other already."""


def _cities(number: int, language: str) -> str:
    if language == "fr":
        return f"{number} ville{'s' if number > 1 else ''}"
    return f"{number} cit{'y' if number == 1 else 'ies'}"


def _tongues(tags: Sequence[str], language: str) -> str:
    names = [in_language(LANGUAGE_NAMES.get(tag.partition("-")[0].lower(), {"en": tag}), language) for tag in tags]
    return f" {'ou' if language == 'fr' else 'or'} ".join(names)


_RULES: Mapping[str, Mapping[str, Callable[[Sequence[str], int], str]]] = {
    "fixed": {
        "en": lambda names, _: f"{names[0]} is to be accompanied by {names[1]}.",
        "fr": lambda names, _: f"{names[1]} doit accompagner {names[0]}.",
    },
    "veto": {
        "en": lambda names, _: f"{names[0]} and {names[1]} must not be paired.",
        "fr": lambda names, _: f"{names[0]} et {names[1]} ne doivent pas être associées.",
    },
    "known": {
        "en": lambda names, _: f"{names[0]} and {names[1]} know each other already and are to meet others.",
        "fr": lambda names, _: f"{names[0]} et {names[1]} se connaissent déjà et doivent en rencontrer d’autres.",
    },
    "must": {
        "en": lambda names, _: f"{names[0]} must get a mentor.",
        "fr": lambda names, _: f"{names[0]} doit avoir une ville mentore.",
    },
    "at-least": {
        "en": lambda names, number: f"{names[0]} accompanies at least {_cities(number, 'en')}.",
        "fr": lambda names, number: f"{names[0]} accompagne au moins {_cities(number, 'fr')}.",
    },
    "at-most": {
        "en": lambda names, number: f"{names[0]} accompanies at most {_cities(number, 'en')}.",
        "fr": lambda names, number: f"{names[0]} accompagne au plus {_cities(number, 'fr')}.",
    },
    "language": {
        "en": lambda names, _: f"The mentor of {names[0]} must be able to work in {_tongues(names[1:], 'en')}.",
        "fr": lambda names, _: (
            f"La ville mentore pour {names[0]} doit pouvoir travailler en {_tongues(names[1:], 'fr')}."
        ),
    },
    "shared-language": {
        "en": lambda names, _: f"{names[0]} and its mentor must share a language.",
        "fr": lambda names, _: f"{names[0]} et sa ville mentore doivent avoir une langue commune.",
    },
    "country": {
        "en": lambda names, number: f"Mentors of one country ({names[0]}) get at most {_cities(number, 'en')} in all.",
        "fr": lambda names, number: (
            f"Les villes mentores d’un même pays ({names[0]}) accompagnent au plus {_cities(number, 'fr')} en tout."
        ),
    },
    "other-country": {
        "en": lambda names, _: "A mentor comes from another country than its mentee.",
        "fr": lambda names, _: "La ville mentore et la ville accompagnée sont de pays différents.",
    },
    "band": {
        "en": lambda names, _: f"No pair is weaker than a {names[0]}.",
        "fr": lambda names, _: f"Aucune paire n’est plus faible qu’une {names[0]}.",
    },
    "visits": {
        "en": lambda names, number: f"There is money for {number} visit{'' if number == 1 else 's'} in all.",
        "fr": lambda names, number: f"Le budget permet {number} visite{'s' if number > 1 else ''} en tout.",
    },
}


def rule_sentence(kind: str, names: Sequence[str], number: int, language: str) -> str:
    """A rule in a sentence. `names` are those of its subject: mentee, mentor, country or band, and language tags.

    >>> rule_sentence("at-most", ["Ghent"], 1, "en")
    'Ghent accompanies at most 1 city.'
    >>> rule_sentence("language", ["Jelgava", "en", "lv"], 0, "fr")
    'La ville mentore pour Jelgava doit pouvoir travailler en anglais ou letton.'
    """
    return _RULES[kind]["fr" if language == "fr" else "en"](names, number)


MOST_NAMED = 10
"""Mentees that a sentence names; of the others it gives the number."""


def cause_sentence(mentor: str | None, mentees: Sequence[str], language: str) -> str:
    """What the records lack: mentees for whose needs a mentor, or with None any of the cohort, has no practice.

    >>> cause_sentence("Vienna", ["Athens", "New Town"], "fr")
    'Vienna n’a pas de pratique documentée proche des besoins d’Athens et de New Town.'
    >>> cause_sentence(None, ["New Town"], "en")
    'No mentor city of the cohort has a practice on record that comes close to the needs of New Town.'
    """
    more = len(mentees) - MOST_NAMED
    if language == "fr":
        others = [f"de {_cities(more, 'fr')} de plus"] if more > 0 else []
        names = [*(of(name) for name in mentees[:MOST_NAMED]), *others]
        who = f"{mentor} n’a pas" if mentor else "Aucune ville mentore du groupe n’a"
        return f"{who} de pratique documentée proche des besoins {listed(names, 'fr')}."
    names = [*mentees[:MOST_NAMED], *([f"{_cities(more, 'en')} more"] if more > 0 else [])]
    who = f"{mentor} has no" if mentor else "No mentor city of the cohort has a"
    return f"{who} practice on record that comes close to the needs of {listed(names, 'en')}."


def unmatched_sentence(code: str, mentors: Sequence[str], rules: Sequence[str], language: str) -> str:
    """Why a mentee has no mentor, with the mentors and rules concerned, the first ones.

    >>> unmatched_sentence("places-taken", ["Ghent", "Lyon"], [], "en")
    'All places of the cities that could accompany it are taken: Ghent and Lyon.'
    """
    named, said = listed(mentors, language), " ".join(rules)
    if language == "fr":
        return {
            "nothing-found": "Aucune ville mentore du groupe n’a de pratique documentée proche de ses besoins.",
            "ruled-out": f"Les règles excluent toutes les villes qui pourraient l’accompagner. {said}".strip(),
            "places-taken": f"Toutes les places des villes qui pourraient l’accompagner sont prises : {named}.",
            "rules-bind": f"Il reste une place ({named}), mais les règles ne le permettent pas. {said}".strip(),
        }[code]
    return {
        "nothing-found": "No mentor city of the cohort has a practice on record that comes close to its needs.",
        "ruled-out": f"Rules exclude every city that could accompany it. {said}".strip(),
        "places-taken": f"All places of the cities that could accompany it are taken: {named}.",
        "rules-bind": f"There is a place left ({named}), but rules do not allow it. {said}".strip(),
    }[code]
