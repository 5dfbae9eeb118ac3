"""A cohort of mentees and mentors as it comes in, checked; paired; and the answer as it goes out, in English or French."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from kg.city_facts import country_code, country_names
from kg.errors import BadRequest, KgError, TooLarge, TooSlow, UnreadableInput, in_digits, quoted
from kg.fields import in_language
from kg.matching import cohorts
from kg.matching.cohort_sentences import KNOWN_PAIRS, cause_sentence, rule_sentence, unmatched_sentence
from kg.matching.cohorts import Cells, Clock, Cohort, Pairing, Rule, TimeOver
from kg.matching.explaining import told_by_need
from kg.matching.factors import shared_languages
from kg.matching.facts import CityFacts, Mentee, Names, NeedHits
from kg.matching.marking import clues_of
from kg.matching.profile import Profile
from kg.matching.reasons import BAND_LABELS, ROLE_LIMITS
from kg.matching.suggestions import Weighed, explained, rank_cities, weigh_city
from kg.search.view import Understood
from kg.suggesting import Need, SuggestionRequest, city_reference, read_request, write_suggestion

MOST_MENTEES = MOST_MENTORS = 500
MOST_NEEDS = 1_000
MOST_PAIRS_NAMED = 5_000
"""Longest list of vetoes, fixed or known pairs."""

MOST_ALTERNATIVES = 10
MOST_SECONDS = 40
FILE_LIMIT_BYTES = 1_000_000
DEEPEST = 12
"""Levels of lists and objects within each other in a file; a cohort has six."""

MOST_SHOWN = 50
"""Blocking pairs and rules that an answer lists; the number of all stands beside them."""

WEIGHED_IN_FULL = 20_000
"""Up to so many pairs each mentee is weighed against every mentor, above against its 100 most relevant ones."""

KNOWN_POINTS = 0.05
"""What it counts that two cities know each other: as much as the weight of trust in the profile."""

ALL_AVAILABLE, ALL_ON_RECORD = "all available", "all on record"


class Source(Protocol):
    """What pairing asks of the catalogue."""

    def city(self, name: str, where: str) -> str: ...
    def theme(self, name: str, where: str) -> str: ...
    def available_mentors(self) -> list[str]: ...
    def all_cities(self, most: int) -> list[str]: ...
    def needs_of(self, city: str) -> list[dict[str, Any]]: ...
    def city_facts(self, ids: Iterable[str]) -> dict[str, CityFacts]: ...
    def hits_of(self, needs: Sequence[Need]) -> Sequence[tuple[NeedHits, Understood]]: ...
    def theme_words(self, theme: str) -> tuple[str, ...]: ...


@dataclass(frozen=True)
class MenteeWanted:
    """One mentee of a cohort: its needs, and what its mentor must bring."""

    id: str
    request: SuggestionRequest
    languages: tuple[str, ...] = ()
    must: bool = False
    visits: int | None = None


@dataclass(frozen=True)
class MentorWanted:
    """One mentor city: how many mentees it takes at most and at least, and languages it can work in beside those on record."""

    city: str
    at_most: int | None = None
    at_least: int = 0
    languages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wanted:
    """A checked request for a cohort. `mentors` None means all on record or, with `available`, all that offer."""

    mentees: tuple[MenteeWanted, ...]
    mentors: tuple[MentorWanted, ...]
    name: str = ""
    per_need: bool = False
    vetoes: tuple[tuple[str, str], ...] = ()
    fixed: tuple[tuple[str, str], ...] = ()
    known: tuple[tuple[str, str], ...] = ()
    known_pairs: str = "prefer"
    countries: Mapping[str, int] | None = None
    each_country: int | None = None
    other_countries: bool = False
    shared_language: bool = False
    everyone: bool = False
    visits: int | None = None
    lowest_band: str | None = None
    alternatives: int = 3
    time_limit_seconds: float = 20.0
    profile_name: str | None = None


# Reading


def read_file(path: Path) -> dict[str, Any]:
    """A cohort from a YAML or JSON file, as plain JSON; what it asks for is not yet checked.

    Only the data of YAML is read (safe_load): no tags that make objects, and neither anchors nor keys that stand
    twice. `NO`, `yes` and `on` are texts, so that Norway stays a country; days stay texts.

    Raises UnreadableInput for what is neither, or too deep, TooLarge over 1 MB.
    """
    with path.open("rb") as opened:
        body = opened.read(FILE_LIMIT_BYTES + 1)
    if len(body) > FILE_LIMIT_BYTES:
        raise TooLarge(
            {
                "en": f"{path.name}: a cohort file has at most {FILE_LIMIT_BYTES:,} bytes",
                "fr": f"{path.name} : un fichier de groupe a {in_digits(FILE_LIMIT_BYTES)} octets au plus",
            }
        )
    try:
        text = body.decode("utf-8-sig")
        found = json.loads(text) if path.suffix.lower() == ".json" else _yaml(text, path.name)
    except UnicodeDecodeError as error:
        raise UnreadableInput(
            {
                "en": f"{path.name}: byte {error.start + 1} is not UTF-8; save the file as UTF-8",
                "fr": f"{path.name} : l’octet {error.start + 1} n’est pas de l’UTF-8 ; enregistrez le fichier en UTF-8",
            }
        ) from error
    except json.JSONDecodeError as error:
        raise UnreadableInput(
            {
                "en": f"{path.name}, line {error.lineno}: {error.msg}",
                "fr": f"{path.name}, ligne {error.lineno} : {error.msg}",
            }
        ) from error
    except RecursionError as error:
        raise UnreadableInput(
            {
                "en": f"{path.name}: lists and objects lie too deep within each other",
                "fr": f"{path.name} : listes et objets sont imbriqués trop profondément",
            }
        ) from error
    if not isinstance(found, dict):
        raise UnreadableInput(
            {
                "en": f"{path.name}: must be an object with mentees and mentors",
                "fr": f"{path.name} : il faut un objet avec mentees et mentors",
            }
        )
    return found


def _yaml(text: str, name: str) -> Any:
    """YAML as data, after its events were looked through: those are made without recursion."""
    import yaml

    class Loader(yaml.SafeLoader):
        """Safe, without the words that YAML 1.1 takes for true and false, and without days."""

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
            keys = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
            for key, count in keys.items():
                if count > 1:
                    raise UnreadableInput(
                        f"{name}, line {node.start_mark.line + 1}: {quoted(key)} stands {count} times; keep one"
                    )
            return super().construct_mapping(node, deep)

    kept = ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:timestamp")
    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in listed if tag not in kept]
        for first, listed in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(?:true|True|false|False)$"), list("tTfF"))
    depth = 0
    try:
        for event in yaml.parse(text, Loader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            line = event.start_mark.line + 1 if event.start_mark else 1
            if depth > DEEPEST:
                raise UnreadableInput(
                    {
                        "en": f"{name}, line {line}: lists and objects lie more than {DEEPEST} deep",
                        "fr": f"{name}, ligne {line} : listes et objets sont imbriqués sur plus de {DEEPEST} niveaux",
                    }
                )
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                raise UnreadableInput(
                    {
                        "en": f"{name}, line {line}: anchors and aliases (& and *) are not read; write it out",
                        "fr": f"{name}, ligne {line} : les ancres et alias (& et *) ne sont pas lus ; écrivez le texte en entier",
                    }
                )
        return yaml.load(text, Loader)  # noqa: S506 - the loader is a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = mark.line + 1 if mark else 1
        raise UnreadableInput(
            {
                "en": f"{name}, line {line}: {error.problem or 'this is not YAML'}",
                "fr": f"{name}, ligne {line} : {error.problem or 'ce n’est pas du YAML'}",
            }
        ) from error
    except (yaml.YAMLError, ValueError) as error:
        raise UnreadableInput(
            {
                "en": f"{name}: this is not YAML: {str(error).splitlines()[0]}",
                "fr": f"{name} : ce n’est pas du YAML : {str(error).splitlines()[0]}",
            }
        ) from error


def read_cohort(data: Any, source: Source) -> Wanted:
    """Check a request for a cohort, as docs/cohorts.md describes it.

    Raises BadRequest, naming the place, for anything that cannot be used, TooLarge over a stated limit.
    """
    keys = (
        "name",
        "mentees",
        "mentors",
        "rules",
        "mentor_per",
        "profile",
        "weights",
        "as_of",
        "alternatives",
        "time_limit_seconds",
    )
    _only(data, "", *keys)
    rules = data.get("rules") or {}
    _only(
        rules,
        "rules",
        *("vetoes", "fixed", "known", "known_pairs", "countries", "each_country", "other_countries"),
        *("shared_language", "everyone", "visits", "lowest_band"),
    )
    shared = {key: data[key] for key in ("weights", "as_of") if data.get(key) is not None}
    mentees = _mentees(data.get("mentees"), shared, source)
    mentors = _mentors(data.get("mentors"), source)
    ids, cities = {one.id for one in mentees}, {one.city for one in mentors}

    def pairs(key: str) -> tuple[tuple[str, str], ...]:
        return _pairs(rules.get(key), f"rules.{key}", ids, cities, source)

    fixed = pairs("fixed")
    for mentee, mentor in fixed:
        if mentee == mentor:
            raise BadRequest(
                {
                    "en": f"rules.fixed: {quoted(mentee)} cannot be its own mentor; name another city",
                    "fr": f"rules.fixed : {quoted(mentee)} ne peut être sa propre ville mentore ; nommez-en une autre",
                }
            )
    per = _one_of(data.get("mentor_per", "mentee"), "mentor_per", ("mentee", "need"))
    band = rules.get("lowest_band")
    countries = rules.get("countries")
    if countries is not None and (not isinstance(countries, Mapping) or len(countries) > 300):
        raise BadRequest(
            {
                "en": 'rules.countries: give numbers by country such as {"BE": 2}',
                "fr": 'rules.countries : donnez des nombres par pays, tels que {"BE": 2}',
            }
        )
    limit = data.get("time_limit_seconds", 20)
    if isinstance(limit, bool) or not isinstance(limit, int | float) or not 1 <= limit <= MOST_SECONDS:
        raise BadRequest(
            {
                "en": f"time_limit_seconds: give a number from 1 to {MOST_SECONDS}, not {quoted(limit)}",
                "fr": f"time_limit_seconds : donnez un nombre de 1 à {MOST_SECONDS}, non {quoted(limit)}",
            }
        )
    return Wanted(
        mentees=mentees,
        mentors=mentors,
        name=_text(data.get("name", ""), "name", least=0),
        per_need=per == "need",
        vetoes=pairs("vetoes"),
        fixed=fixed,
        known=pairs("known"),
        known_pairs=_one_of(rules.get("known_pairs", "prefer"), "rules.known_pairs", tuple(KNOWN_PAIRS)),
        countries={
            _country(code): _number(most, f"rules.countries.{_country(code)}", 0, MOST_MENTEES)
            for code, most in sorted((countries or {}).items(), key=lambda one: str(one[0]))
        },
        each_country=_optional(rules, "rules", "each_country", 0, MOST_MENTEES),
        other_countries=_yes(rules, "rules", "other_countries"),
        shared_language=_yes(rules, "rules", "shared_language"),
        everyone=_yes(rules, "rules", "everyone"),
        visits=_optional(rules, "rules", "visits", 0, 1_000_000),
        lowest_band=None if band is None else _one_of(band, "rules.lowest_band", ("strong", "good", "possible")),
        alternatives=_number(data.get("alternatives", 3), "alternatives", 0, MOST_ALTERNATIVES),
        time_limit_seconds=float(limit),
        profile_name=None if data.get("profile") is None else _text(data["profile"], "profile"),
    )


def _mentees(data: Any, shared: Mapping[str, Any], source: Source) -> tuple[MenteeWanted, ...]:
    """The mentees, in the order of their ids."""
    listed = _list(data, "mentees", 1, MOST_MENTEES)
    found: dict[str, MenteeWanted] = {}
    for place, one in enumerate(listed):
        where = f"mentees[{place}]"
        mentee = _mentee(one, where, shared, source)
        if mentee.id in found:
            raise BadRequest(
                {
                    "en": f"{where}: {quoted(mentee.id)} stands twice; put its needs together",
                    "fr": f"{where} : {quoted(mentee.id)} y est deux fois ; réunissez ses besoins",
                }
            )
        found[mentee.id] = mentee
    if sum(len(one.request.needs) for one in found.values()) > MOST_NEEDS:
        raise TooLarge(
            {
                "en": f"mentees: a cohort has at most {MOST_NEEDS:,} needs together; give fewer for each city",
                "fr": f"mentees : un groupe a {MOST_NEEDS} besoins en tout au plus ; donnez-en moins par ville",
            }
        )
    return tuple(found[id] for id in sorted(found))


def _mentee(data: Any, where: str, shared: Mapping[str, Any], source: Source) -> MenteeWanted:
    """One mentee: a city on record, with its public needs if none are given, or a profile with an id of its own."""
    _only(data, where, "city", "id", "profile", "needs", "languages", "must", "visits")
    if (data.get("city") is None) == (data.get("profile") is None):
        raise BadRequest(
            {
                "en": f"{where}: give either a city on record (city: jelgava) or a profile with an id",
                "fr": f"{where} : donnez soit une ville documentée (city: jelgava), soit un profil avec un id",
            }
        )
    city = None
    if data.get("city") is not None:
        city = source.city(_text(data["city"], f"{where}.city"), f"{where}.city")
        if data.get("id") is not None:
            raise BadRequest(
                {
                    "en": f"{where}.id: a city on record has its own id, {quoted(city)}; leave it out",
                    "fr": f"{where}.id : une ville documentée a son propre id, {quoted(city)} ; n’en donnez pas",
                }
            )
    if city is None and data.get("id") is None:
        raise BadRequest(
            {
                "en": f"{where}.id: it is missing; give the city an id such as 'new-town', by which rules name it",
                "fr": f"{where}.id : il manque ; donnez à la ville un id tel que 'new-town', par lequel les règles la nomment",
            }
        )
    id = city or _text(data["id"], f"{where}.id")
    if not re.fullmatch(r"[a-z0-9]+(-{1,2}[a-z0-9]+)*", id) or len(id) > 100:
        raise BadRequest(
            {
                "en": f"{where}.id: {quoted(id)} is no id; use small letters, digits and hyphens such as 'new-town'",
                "fr": f"{where}.id : {quoted(id)} n’est pas un id ; minuscules, chiffres et traits d’union, tel 'new-town'",
            }
        )
    needs = data.get("needs")
    if needs is None and city:
        needs = source.needs_of(city)
        if not needs:
            raise BadRequest(
                {
                    "en": f"{where}.needs: {quoted(city)} has no public need on record; say what it needs",
                    "fr": f"{where}.needs : aucun besoin public de {quoted(city)} n’est documenté ; dites ce qu’il lui faut",
                }
            )
    asked = {"needs": needs, "mentee": {"city": city} if city else {"profile": data["profile"]}, **shared}
    try:
        request = read_request(asked, source)
    except (BadRequest, TooLarge) as error:
        raise type(error)({language: f"{where}.{text}" for language, text in error.texts().items()}) from error
    if not city and city_on_record(source, id):
        raise BadRequest(
            {
                "en": f"{where}.id: {quoted(id)} is a city on record; name it as city, or choose another id",
                "fr": f"{where}.id : {quoted(id)} est une ville documentée ; nommez-la par city, ou choisissez un autre id",
            }
        )
    return MenteeWanted(
        id,
        request,
        languages=_tags(data.get("languages"), f"{where}.languages"),
        must=_yes(data, where, "must"),
        visits=_optional(data, where, "visits", 0, 1000),
    )


def city_on_record(source: Source, name: str) -> str | None:
    """The identifier of a city that is on record under this identifier or address; None where none is."""
    try:
        return source.city(name, "")
    except KgError:
        return None


def _mentors(data: Any, source: Source) -> tuple[MentorWanted, ...]:
    """The mentors, in the order of their ids; all that offer, or all on record, where the request says so."""
    if data == ALL_AVAILABLE:
        ids = source.available_mentors()
        if not ids:
            raise BadRequest(
                {
                    "en": "mentors: no city on record offers to mentor, with its consent; "
                    f"list cities, or say {quoted(ALL_ON_RECORD)}",
                    "fr": "mentors : aucune ville documentée n’offre son accompagnement, avec son accord ; "
                    f"donnez une liste de villes, ou {quoted(ALL_ON_RECORD)}",
                }
            )
        if len(ids) > MOST_MENTORS:
            raise TooLarge(
                {
                    "en": f"mentors: {len(ids)} cities offer to mentor, {MOST_MENTORS} fit in a cohort; list them",
                    "fr": f"mentors : {len(ids)} villes offrent leur accompagnement, un groupe en a {MOST_MENTORS} au plus ; "
                    "donnez une liste",
                }
            )
        return tuple(MentorWanted(id) for id in sorted(ids))
    if data == ALL_ON_RECORD:
        ids = source.all_cities(MOST_MENTORS + 1)
        if len(ids) > MOST_MENTORS:
            raise TooLarge(
                {
                    "en": f"mentors: more than {MOST_MENTORS} cities are on record; list those that may mentor",
                    "fr": f"mentors : plus de {MOST_MENTORS} villes sont documentées ; donnez la liste de celles qui conviennent",
                }
            )
        return tuple(MentorWanted(id, 1) for id in sorted(ids))
    if isinstance(data, str) or data is None:
        raise BadRequest(
            {
                "en": f"mentors: give a list of cities, {quoted(ALL_AVAILABLE)} or {quoted(ALL_ON_RECORD)}",
                "fr": f"mentors : donnez une liste de villes, {quoted(ALL_AVAILABLE)} ou {quoted(ALL_ON_RECORD)}",
            }
        )
    found: dict[str, MentorWanted] = {}
    for place, one in enumerate(_list(data, "mentors", 1, MOST_MENTORS)):
        where = f"mentors[{place}]"
        given = {"city": one} if isinstance(one, str) else one
        _only(given, where, "city", "at_most", "at_least", "languages")
        city = source.city(_text(given.get("city"), f"{where}.city"), f"{where}.city")
        if city in found:
            raise BadRequest(
                {
                    "en": f"{where}: {quoted(city)} stands twice",
                    "fr": f"{where} : {quoted(city)} y est deux fois",
                }
            )
        found[city] = MentorWanted(
            city,
            at_most=_optional(given, where, "at_most", 0, MOST_MENTEES),
            at_least=_number(given.get("at_least", 0), f"{where}.at_least", 0, MOST_MENTEES),
            languages=_tags(given.get("languages"), f"{where}.languages"),
        )
    return tuple(found[city] for city in sorted(found))


def _pairs(data: Any, where: str, mentees: set[str], mentors: set[str], source: Source) -> tuple[tuple[str, str], ...]:
    """Pairs that a rule names, cities by their identifiers or addresses; both must be in the cohort."""
    found = set()
    for place, one in enumerate(_list(data if data is not None else [], where, 0, MOST_PAIRS_NAMED)):
        at = f"{where}[{place}]"
        _only(one, at, "mentee", "mentor")
        pair = []
        for role, ids in (("mentee", mentees), ("mentor", mentors)):
            named = _text(one.get(role), f"{at}.{role}")
            id = named if named in ids else city_on_record(source, named)
            if id not in ids:
                party = {"mentee": "ville accompagnée", "mentor": "ville mentore"}[role]
                raise BadRequest(
                    {
                        "en": f"{at}.{role}: {quoted(named)} is no {role} of this cohort",
                        "fr": f"{at}.{role} : {quoted(named)} n’est pas une {party} de ce groupe",
                    }
                )
            pair.append(id)
        found.add((pair[0], pair[1]))
    return tuple(sorted(found))


def _only(data: Any, where: str, *keys: str) -> None:
    if not isinstance(data, Mapping):
        raise BadRequest(
            {
                "en": f"{where or 'the cohort'}: must be an object with {', '.join(keys)}",
                "fr": f"{where or 'le groupe'} : il faut un objet avec {', '.join(keys)}",
            }
        )
    for key in data:
        if key not in keys:
            raise BadRequest(
                {
                    "en": f"{where + ': ' if where else ''}there is no {quoted(key)}; there are {', '.join(keys)}",
                    "fr": f"{where + ' : ' if where else ''}il n’y a pas de {quoted(key)} ; il y a {', '.join(keys)}",
                }
            )


def _list(data: Any, where: str, least: int, most: int) -> Sequence[Any]:
    if not isinstance(data, list | tuple) or len(data) < least:
        raise BadRequest(
            {
                "en": f"{where}: give a list of {least} to {most}",
                "fr": f"{where} : donnez une liste de {least} à {most}",
            }
        )
    if len(data) > most:
        raise TooLarge(
            {
                "en": f"{where}: has {len(data):,} entries, {most:,} at most",
                "fr": f"{where} : a {in_digits(len(data))} entrées, {in_digits(most)} au plus",
            }
        )
    return data


def _text(value: Any, where: str, least: int = 1) -> str:
    if not isinstance(value, str) or not least <= len(value.strip()) <= 500 or not value.isprintable():
        raise BadRequest(
            {
                "en": f"{where}: {quoted(value)} is not a text of {least} to 500 characters",
                "fr": f"{where} : {quoted(value)} n’est pas un texte de {least} à 500 caractères",
            }
        )
    return value.strip()


def _one_of(value: Any, where: str, names: Sequence[str]) -> str:
    if not isinstance(value, str) or value not in names:
        raise BadRequest(
            {
                "en": f"{where}: {quoted(value)} is none of {', '.join(names)}",
                "fr": f"{where} : {quoted(value)} n’est aucun de : {', '.join(names)}",
            }
        )
    return value


def _number(value: Any, where: str, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise BadRequest(
            {
                "en": f"{where}: give a whole number from {least} to {most:,}, not {quoted(value)}",
                "fr": f"{where} : donnez un nombre entier de {least} à {in_digits(most)}, non {quoted(value)}",
            }
        )
    return value


def _optional(data: Mapping[str, Any], where: str, key: str, least: int, most: int) -> int | None:
    value = data.get(key)
    return None if value is None else _number(value, f"{where}.{key}", least, most)


def _yes(data: Mapping[str, Any], where: str, key: str) -> bool:
    value = data.get(key, False)
    if not isinstance(value, bool):
        raise BadRequest(
            {
                "en": f"{where}.{key}: {quoted(value)} is neither true nor false",
                "fr": f"{where}.{key} : {quoted(value)} n’est ni true ni false",
            }
        )
    return value


def _country(value: Any) -> str:
    if not isinstance(value, str) or (code := country_code(value)) is None:
        raise BadRequest(
            {
                "en": f"rules.countries: {quoted(value)} is no country; use two letters such as 'BE' (ISO 3166-1)",
                "fr": f"rules.countries : {quoted(value)} n’est pas un pays ; écrivez deux lettres telles que 'BE' (ISO 3166-1)",
            }
        )
    return code


def _tags(value: Any, where: str) -> tuple[str, ...]:
    tags = tuple(_text(one, where) for one in _list([] if value is None else value, where, 0, 20))
    for tag in tags:
        if not re.fullmatch(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,4}", tag):
            raise BadRequest(
                {
                    "en": f"{where}: {quoted(tag)} is no language tag; write for example 'lv' or 'fr'",
                    "fr": f"{where} : {quoted(tag)} n’est pas un code de langue ; écrivez par exemple 'lv' ou 'fr'",
                }
            )
    return tags


# Pairing


@dataclass(frozen=True)
class Seat:
    """What gets one mentor: a mentee with all its needs or, where each need gets a mentor of its own, one of them."""

    id: str
    mentee: MenteeWanted
    need: int | None
    facts: Mentee
    hits: tuple[NeedHits, ...]
    understood: tuple[Understood, ...]


class Table:
    """A cohort with everything known about it: seats, mentors, utilities and rules."""

    def __init__(self, wanted: Wanted, source: Source, profile: Profile) -> None:
        self.wanted = wanted
        first = wanted.mentees[0].request
        self.profile = profile.with_weights(first.weights)
        self.as_of: date = first.as_of or datetime.now(UTC).date()
        on_record = {one.request.mentee for one in wanted.mentees if one.request.mentee}
        facts = source.city_facts({*(one.city for one in wanted.mentors), *on_record})
        self.cities = facts
        self.mentors = tuple(one for one in wanted.mentors if one.city in facts)
        self.seats = self._seated(source, facts)
        self.utilities = self._weighed()

    def _seated(self, source: Source, facts: Mapping[str, CityFacts]) -> tuple[Seat, ...]:
        """The seats, in the order of their ids. All needs of all mentees are embedded in one call."""
        hits = iter(source.hits_of([need for one in self.wanted.mentees for need in one.request.needs]))
        seats = []
        for one in self.wanted.mentees:
            known = [next(hits) for _ in one.request.needs]
            city = facts.get(one.request.mentee or "")
            mentee = Mentee.on_record(city) if city else one.request.profile or Mentee()
            if not mentee.name:
                mentee = replace(mentee, name={"en": one.id})
            own = {practice.id for practice in mentee.practices if practice.tie != "partner"}
            known = [(_without(hit, own), read) for hit, read in known]
            parts: list[tuple[str, int | None, list[tuple[NeedHits, Understood]]]]
            parts = [(f"{one.id}/{n:02}", n - 1, [hit]) for n, hit in enumerate(known, 1)]
            if not self.wanted.per_need or len(known) == 1:
                parts = [(one.id, None, known)]
            for id, need, of_seat in parts:
                found, understood = tuple(hit for hit, _ in of_seat), tuple(read for _, read in of_seat)
                seats.append(Seat(id, one, need, mentee, found, understood))
        return tuple(sorted(seats, key=lambda seat: seat.id))

    def _weighed(self) -> np.ndarray:
        """The utility of each pair as suggestions have it; NaN where nothing on record comes close, or for the city itself."""
        cities = {one.city: self.cities[one.city] for one in self.mentors}
        place = {id: number for number, id in enumerate(cities)}
        utilities = np.full((len(self.seats), len(cities)), np.nan)
        profile = self.profile
        if self.in_full:
            profile = replace(profile, candidates=max(profile.candidates, len(cities)))
        for number, seat in enumerate(self.seats):
            for one in rank_cities(
                seat.hits, cities, mentee=seat.facts, profile=profile, as_of=self.as_of, limit=profile.candidates
            ):
                cell = (number, place[one.case.city.id])
                utilities[cell] = one.utility
                self._bands[cell] = profile.band(one.utility, one.value("relevance") or 0.0)
        change = {"prefer": KNOWN_POINTS, "avoid": -KNOWN_POINTS}.get(self.wanted.known_pairs, 0.0)
        for mentee, mentor in self.wanted.known:
            for number in self._seats_of(mentee):
                cell = (number, place[mentor])
                if not np.isnan(utilities[cell]):  # that two cities know each other is no practice on record
                    utilities[cell] = max(0.0, utilities[cell] + change)
        return utilities

    @property
    def in_full(self) -> bool:
        """Whether each mentee is weighed against every mentor."""
        return len(self.seats) * len(self.mentors) <= WEIGHED_IN_FULL

    @cached_property
    def _bands(self) -> dict[tuple[int, int], str]:
        return {}

    def band(self, seat: int, mentor: int) -> str | None:
        """The band of a pair, as a suggestion names it; None where nothing is on record for it."""
        return self._bands.get((seat, mentor))

    def _seats_of(self, mentee: str) -> list[int]:
        return [number for number, seat in enumerate(self.seats) if seat.mentee.id == mentee]

    @cached_property
    def cohort(self) -> Cohort:
        """The same as the solver takes it."""
        return Cohort(
            tuple(seat.id for seat in self.seats),
            tuple(one.city for one in self.mentors),
            self.utilities,
            tuple(self._rules()),
        )

    def _cells(self, keep: Callable[[Seat, CityFacts], bool]) -> Cells:
        """The pairs for which something holds."""
        width = len(self.mentors)
        return np.array(
            [
                i * width + j
                for i, seat in enumerate(self.seats)
                for j, one in enumerate(self.mentors)
                if keep(seat, self.cities[one.city])
            ],
            dtype=np.int64,
        )

    def _rules(self) -> Iterable[Rule]:
        """The rules, those that people can most easily change last."""
        wanted, width = self.wanted, len(self.mentors)
        places = np.arange(len(self.seats), dtype=np.int64) * width
        of_mentor = {one.city: places + j for j, one in enumerate(self.mentors)}
        of_seat = {i: np.arange(width, dtype=np.int64) + i * width for i in range(len(self.seats))}

        def pair(mentee: str, mentor: str) -> Cells:
            return np.array([int(of_mentor[mentor][i]) for i in self._seats_of(mentee)], dtype=np.int64)

        for mentee, mentor in wanted.fixed:
            yield Rule("fixed", (mentee, mentor), pair(mentee, mentor), least=1)
        for mentee, mentor in wanted.vetoes:
            yield Rule("veto", (mentee, mentor), pair(mentee, mentor), most=0)
        if wanted.known_pairs == "exclude":
            for mentee, mentor in wanted.known:
                yield Rule("known", (mentee, mentor), pair(mentee, mentor), most=0)
        for i, seat in enumerate(self.seats):
            if wanted.everyone or seat.mentee.must:
                yield Rule("must", (seat.id,), of_seat[i], least=1)
        for one in self.mentors:
            if one.at_least:
                yield Rule("at-least", (one.city,), of_mentor[one.city], least=one.at_least)
            yield Rule("at-most", (one.city,), of_mentor[one.city], most=self.places(one))
        yield from self._of_languages()
        yield from self._of_countries(of_mentor)
        if wanted.lowest_band:
            bands = ["strong", "good", "possible", "weak"]
            weaker = bands[bands.index(wanted.lowest_band) + 1 :]
            settled = {cell for named in wanted.fixed for cell in pair(*named).tolist()}
            weak = {i * width + j for (i, j), band in self._bands.items() if band in weaker}
            if cells := sorted(weak - settled):
                yield Rule("band", (wanted.lowest_band,), np.array(cells, dtype=np.int64), most=0)
        if wanted.visits is not None:
            each = np.repeat([float(3 if s.mentee.visits is None else s.mentee.visits) for s in self.seats], width)
            everything = np.arange(len(self.seats) * width, dtype=np.int64)
            yield Rule("visits", (), everything, most=wanted.visits, amounts=each)

    def places(self, mentor: MentorWanted) -> int:
        """How many mentees a mentor may get: as the request says, else the places left in its offer, else one."""
        if mentor.at_most is not None:
            return mentor.at_most
        offer = self.cities[mentor.city].availability
        if offer is not None and offer.consent and offer.quota is not None:
            return max(0, offer.quota - offer.taken)
        return max(1, mentor.at_least)

    def _of_languages(self) -> Iterable[Rule]:
        """Demands on the mentor's languages. They are on record, or the request says them."""
        speaks = {one.city: (*one.languages, *_languages(self.cities[one.city])) for one in self.mentors}
        for mentee in self.wanted.mentees:
            if mentee.languages:
                cells = self._cells(
                    lambda seat, city, mentee=mentee: (
                        seat.mentee is mentee  # type: ignore[misc]
                        and not shared_languages(mentee.languages, speaks[city.id])
                    )
                )
                if len(cells):
                    yield Rule("language", (mentee.id, *mentee.languages), cells, most=0)
        if self.wanted.shared_language:
            for mentee in self.wanted.mentees:
                cells = self._cells(
                    lambda seat, city, mentee=mentee: (
                        seat.mentee is mentee  # type: ignore[misc]
                        and not shared_languages(
                            (*mentee.languages, *seat.facts.working_languages, *seat.facts.languages), speaks[city.id]
                        )
                    )
                )
                if len(cells):
                    yield Rule("shared-language", (mentee.id,), cells, most=0)

    def _of_countries(self, of_mentor: Mapping[str, Cells]) -> Iterable[Rule]:
        """Caps per country of the mentor, and pairs within one country."""
        by_country: dict[str, list[str]] = {}
        for one in self.mentors:
            if country := self.cities[one.city].country:
                by_country.setdefault(country, []).append(one.city)
        caps = dict(self.wanted.countries or {})
        for country, cities in sorted(by_country.items()):
            most = caps.get(country, self.wanted.each_country)
            if most is not None:
                yield Rule("country", (country,), np.concatenate([of_mentor[city] for city in cities]), most=most)
        if self.wanted.other_countries:
            cells = self._cells(
                lambda seat, city: seat.facts.country is not None and seat.facts.country == city.country
            )
            if len(cells):
                yield Rule("other-country", (), cells, most=0)


def _without(need: NeedHits, practices: set[str]) -> NeedHits:
    """A need without the mentee's own practices: nobody is sent to a partner for what it does itself."""
    return replace(need, hits=tuple(hit for hit in need.hits if hit.practice not in practices))


def _languages(city: CityFacts) -> tuple[str, ...]:
    """Languages a city can work in, as on record: its offer's, and its official ones."""
    offer = city.availability
    return (*(offer.working_languages if offer and offer.consent else ()), *city.languages)


def pair_cohort(wanted: Wanted, source: Source, profile: Profile, base: str, language: str) -> dict[str, Any]:
    """Pair a checked cohort and write the answer down, its sentences in `language` ("en" or "fr").

    Raises TooSlow when the time limit ends before any pairing, or any contradiction, was found.
    """
    table = Table(wanted, source, profile)
    writer = _Writer(table, source.theme_words, base, language)
    cohort, seconds = table.cohort, wanted.time_limit_seconds
    clock = Clock(seconds)
    try:
        found = cohorts.ranked(cohort, 1 + wanted.alternatives, Clock(0.6 * seconds))
        if not found:
            return writer.contradiction(cohorts.conflict(cohort, clock))
    except TimeOver:
        raise TooSlow(
            {
                "en": f"the cohort was not paired within {seconds:g} seconds; "
                f"raise time_limit_seconds (at most {MOST_SECONDS}), or leave out rules",
                "fr": f"le groupe n’a pas été réparti en {seconds:g} secondes ; "
                f"augmentez time_limit_seconds ({MOST_SECONDS} au plus), ou supprimez des règles",
            }
        ) from None
    try:
        fairest = cohorts.fairest(cohort, Clock(min(clock.left(), 0.25 * seconds)))
    except TimeOver:
        fairest = None
    return writer.answer(found, fairest, cohorts.costs(cohort, found[0], clock))


class _Writer:
    """Writes an answer in one language."""

    def __init__(self, table: Table, theme_words: Callable[[str], Iterable[str]], base: str, language: str) -> None:
        self.table, self.cohort, self.base, self.language = table, table.cohort, base, language
        self.theme_words = theme_words

    def answer(
        self, found: Sequence[Pairing], fairest: Pairing | None, costs: Sequence[cohorts.Cost]
    ) -> dict[str, Any]:
        """Everything about a cohort that can be paired."""
        best = found[0]
        regrets = {one.mentee: one for one in cohorts.regrets(self.cohort, best)}
        taken = Counter(mentor for _, mentor in best.pairs)
        blocking = cohorts.blocking(self.cohort, best)
        return {
            **self._opening(True),
            "total": round(best.total, 5),
            "bound": round(best.bound, 5),
            "gap": best.gap,
            "proved": best.proved,
            "ties_settled": best.settled,
            "pairs": [self._pair(i, j, regrets.get(i)) for i, j in best.pairs],
            "unmatched": [self._unmatched(one, best) for one in cohorts.unmatched(self.cohort, best)],
            "mentors": [
                {**self._mentor(j), "places": self.table.places(one), "taken": taken[j]}
                for j, one in enumerate(self.table.mentors)
            ],
            "alternatives": [self._alternative(one, best) for one in found[1:]],
            "fairest": fairest and self._other(fairest, best),
            "blocking": [self._blocking(one, best) for one in blocking[:MOST_SHOWN]],
            "blocking_total": len(blocking),
            "rules": [self._cost(one) for one in costs[:MOST_SHOWN]],
            "rules_total": len(costs),
            "rules_untried": sum(one.gain is None for one in costs),
            "conflict": None,
        }

    def contradiction(self, conflict: cohorts.Conflict | None) -> dict[str, Any]:
        """Everything about a cohort that cannot be paired."""
        rules = conflict.rules if conflict else ()
        return {
            **self._opening(False),
            **dict.fromkeys(("total", "bound", "gap", "fairest")),
            **{key: [] for key in ("pairs", "unmatched", "mentors", "alternatives", "blocking", "rules")},
            **dict.fromkeys(("blocking_total", "rules_total", "rules_untried"), 0),
            "proved": False,
            "ties_settled": False,
            "conflict": {
                "rules": [self._rule(rule) for rule in rules],
                "why": self._why(rules),
                "smallest": bool(conflict and conflict.smallest),
                "give_up": [self._rule(rule) for rule in (conflict.give_up if conflict else ())],
            },
        }

    def _why(self, rules: Sequence[Rule]) -> str:
        """Which mentees the records leave without a practice where these rules ask for a pair; empty where that is not why."""
        said = []
        for cause in cohorts.causes(self.cohort, rules):
            mentor = None if cause.mentor is None else self.table.mentors[cause.mentor].city
            seats = [self.table.seats[i] for i in cause.mentees]
            names = [self._seat(seat) for seat in seats if mentor is None or seat.mentee.request.mentee != mentor]
            # In a large cohort a pair may be missing as others come first, which is no lack of practices.
            if names and (mentor is None or self.table.in_full):
                said.append(cause_sentence(mentor and self._city(mentor), names, self.language))
        return " ".join(said)

    def _seat(self, seat: Seat) -> str:
        label = in_language(seat.facts.name, self.language)
        return label if seat.need is None else f"{label} ({seat.need + 1})"

    def _opening(self, feasible: bool) -> dict[str, Any]:
        profile = self.table.profile
        return {
            "name": self.table.wanted.name,
            "feasible": feasible,
            "mentees_total": len(self.table.seats),
            "mentors_total": len(self.table.mentors),
            "role_limits": in_language(ROLE_LIMITS, self.language),
            "profile": {
                "name": profile.name,
                "version": profile.version,
                "changed": list(profile.changed),
                "weights": {name: profile.weights[name] for name in profile.changed},
            },
            "as_of": self.table.as_of.isoformat(),
        }

    def _mentee(self, i: int) -> dict[str, Any]:
        """A mentee as answers name it; `need` counts from 0, None for all its needs."""
        seat = self.table.seats[i]
        on_record = self.table.cities.get(seat.mentee.request.mentee or "")
        named = city_reference(on_record, self.base, self.language) if on_record else None
        label = in_language(seat.facts.name, self.language)
        country = in_language(seat.facts.country_name, self.language) or None
        plain = {
            "id": seat.mentee.id,
            "iri": None,
            "label": label,
            "country": seat.facts.country,
            "country_label": country,
        }
        return {"mentee": named or plain, "need": seat.need}

    def _mentor(self, j: int) -> dict[str, Any]:
        city = self.table.cities[self.table.mentors[j].city]
        return {"mentor": city_reference(city, self.base, self.language)}

    def _pair(self, i: int, j: int, regret: cohorts.Regret | None) -> dict[str, Any]:
        """One pair with the reasons of its suggestion; none where it was fixed and nothing is on record."""
        seat, city = self.table.seats[i], self.table.cities[self.table.mentors[j].city]
        weighed = weigh_city(city, seat.hits, mentee=seat.facts, profile=self.table.profile, as_of=self.table.as_of)
        named = (seat.mentee.id, city.id)
        utility = float(np.nan_to_num(self.table.utilities[i, j]))
        band = self.table.band(i, j)
        return {
            **self._mentee(i),
            **self._mentor(j),
            "fixed": named in self.table.wanted.fixed,
            "known": named in self.table.wanted.known,
            "utility": round(utility, 6),
            "band": band,
            "band_label": band and in_language(BAND_LABELS[band], self.language),
            "regret": regret and {"loss": round(regret.loss, 6), "best": self._mentor(regret.best)["mentor"]},
            "suggestion": weighed and self._suggestion(weighed, seat),
        }

    def _suggestion(self, weighed: Weighed, seat: Seat) -> dict[str, Any]:
        """A pair as a suggestion of its own: sentences are made, and marked, only for the pairs that are proposed."""
        read = zip(seat.understood, seat.hits, strict=True)
        return write_suggestion(
            explained(weighed, 1),
            weighed.case.city,
            self.base,
            self.language,
            [one.language for one in seat.understood],
            told=told_by_need(weighed.case),
            clues=clues_of([(one, need.themes) for one, need in read], self.theme_words),
        )

    def _unmatched(self, one: cohorts.Unmatched, best: Pairing) -> dict[str, Any]:
        mentors = [self._mentor(j)["mentor"] for j in one.mentors[:5]]
        rules = [self._rule(rule) for rule in one.rules[:5]]
        said = unmatched_sentence(
            one.code, [mentor["label"] for mentor in mentors], [rule["text"] for rule in rules], self.language
        )
        return {**self._mentee(one.mentee), "code": one.code, "text": said, "mentors": mentors, "rules": rules}

    def _alternative(self, other: Pairing, best: Pairing) -> dict[str, Any]:
        """Another pairing by what it changes."""
        return {
            "total": round(other.total, 5),
            "loss": round(best.total - other.total, 5),
            "proved": other.proved,
            "changes": self._changes(other, best),
        }

    def _other(self, other: Pairing, best: Pairing) -> dict[str, Any]:
        """The fairest pairing beside the best: its worst pair, and what it changes."""
        return {
            **self._alternative(other, best),
            "same": other.pairs == best.pairs,
            "worst": self._worst(other),
            "worst_of_best": self._worst(best),
            "matched": len(other.pairs),
            "matched_of_best": len(best.pairs),
        }

    def _worst(self, pairing: Pairing) -> dict[str, Any] | None:
        """The weakest pair that nobody fixed."""
        fixed = set(self.table.wanted.fixed)
        free = [
            (round(float(self.table.utilities[i, j]), 6), i, j)
            for i, j in pairing.pairs
            if (self.table.seats[i].mentee.id, self.table.mentors[j].city) not in fixed
        ]
        if not free:
            return None
        utility, i, j = min(free)
        return {**self._mentee(i), **self._mentor(j), "utility": utility}

    def _changes(self, other: Pairing, best: Pairing) -> list[dict[str, Any]]:
        before, after = dict(best.pairs), dict(other.pairs)
        return [
            {
                **self._mentee(i),
                "from": self._mentor(before[i])["mentor"] if i in before else None,
                "to": self._mentor(after[i])["mentor"] if i in after else None,
            }
            for i in range(len(self.table.seats))
            if before.get(i) != after.get(i)
        ]

    def _blocking(self, one: cohorts.Blocking, best: Pairing) -> dict[str, Any]:
        """Two cities that would both gain, and the rule, if there is one, that their pairing would break."""
        moved = {one.mentee, one.instead}
        kept = [pair for pair in best.pairs if pair[0] not in moved]
        after = replace(best, pairs=tuple(sorted([*kept, (one.mentee, one.mentor)])))
        chosen = cohorts.chosen_cells(self.cohort, after)
        shared = (rule for rule in self.cohort.rules if rule.kind in ("country", "visits", "at-least", "must"))
        broken = next((rule for rule in shared if not rule.holds(chosen)), None)
        return {
            **self._mentee(one.mentee),
            **self._mentor(one.mentor),
            "instead_of": None if one.instead is None else self._mentee(one.instead)["mentee"],
            "mentee_gain": round(one.mentee_gain, 6),
            "mentor_gain": round(one.mentor_gain, 6),
            "breaks": broken and self._rule(broken),
        }

    def _cost(self, one: cohorts.Cost) -> dict[str, Any]:
        return {**self._rule(one.rule), "gain": None if one.gain is None else round(one.gain, 5)}

    def _rule(self, rule: Rule) -> dict[str, Any]:
        number = rule.least if rule.least is not None else rule.most
        sentence = rule_sentence(rule.kind, self._names(rule), int(number or 0), self.language)
        return {"kind": rule.kind, "subject": list(rule.subject), "text": sentence}

    def _names(self, rule: Rule) -> list[str]:
        """The subject of a rule in words."""
        mentees: dict[str, Names] = {seat.mentee.id: seat.facts.name for seat in self.table.seats}
        if rule.kind == "country":
            return [in_language(country_names(rule.subject[0]), self.language) or rule.subject[0]]
        if rule.kind in ("at-most", "at-least"):
            return [self._city(rule.subject[0])]
        if rule.kind == "must":
            seat = next(seat for seat in self.table.seats if seat.id == rule.subject[0])
            return [self._seat(seat)]
        if rule.kind in ("language", "shared-language"):
            return [in_language(mentees[rule.subject[0]], self.language), *rule.subject[1:]]
        if rule.kind in ("fixed", "veto", "known"):
            return [in_language(mentees[rule.subject[0]], self.language), self._city(rule.subject[1])]
        if rule.kind == "band":
            return [in_language(BAND_LABELS[rule.subject[0]], self.language)]
        return []

    def _city(self, id: str) -> str:
        return in_language(self.table.cities[id].name, self.language)
