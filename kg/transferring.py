"""A question whether a practice may be taken up by a city: read, put together from the records, and answered in words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Protocol

from rdflib import DCTERMS, SKOS

from kg.errors import BadRequest, Gone, NotFound, TooLarge, quoted
from kg.fields import declaration, in_language
from kg.matching.facts import CityFacts, Mentee, Names
from kg.matching.profile import Profile
from kg.matching.reasons import ROLE_LIMITS, name_of, to
from kg.matching.transferability import (
    METHOD,
    UNNAMED,
    VERSION,
    Assessment,
    Body,
    Cost,
    Criterion,
    Known,
    NeedOnRecord,
    Practice,
    Setting,
    Stated,
    Status,
    TakenUp,
    assess,
    say,
    summary,
)
from kg.suggesting import Known as OnRecord
from kg.suggesting import city_reference, read_mentee
from kg.vocabulary import MG

ANSWERS: tuple[Status, ...] = ("met", "partly", "not-met", "unknown")
MOST_ANSWERS = 100
LARGEST = 1e12
"""Larger sums and numbers of posts are no city's."""

_EUROPEAN = re.compile(
    r"\b(EU|European|AMIF|FAMI|ERDF|FEDER|ESF|FSE|Horizon|Interreg|URBACT|Erasmus|Urban Innovative Actions)\b"
)
"""Funds of the European Union by the names that records give them."""

_TAKEN_UP = """
SELECT ?transfer ?city ?place ?degree {{
  ?transfer <{mg}transferredPractice> <{practice}> .
  OPTIONAL {{ ?transfer <{mg}transferredTo> ?city }}
  OPTIONAL {{ ?transfer <{mg}toPlace> ?place }}
  OPTIONAL {{ ?transfer <{mg}transferDegree> ?degree }}
}}"""

_NEEDS = """
SELECT ?need ?text ?theme ?group {{
  ?need <{mg}mentee> <{city}> ; <{mg}needText> ?text
  OPTIONAL {{ ?need <{dcterms}subject> ?theme }}
  OPTIONAL {{ ?need <{mg}targetGroup> ?group }}
}}"""

_SEATED = "SELECT ?body {{ ?body <{mg}seat> <{city}> }}"

_NARROWER = "SELECT ?theme ?narrower {{ VALUES ?theme {{ {themes} }} ?narrower <{skos}broader>+ ?theme }}"


class Source(OnRecord, Protocol):
    """What is asked of the catalogue."""

    @property
    def base(self) -> str: ...
    def get(self, kind: str, id: str) -> Mapping[str, Any]: ...
    def graph_rows(self, sparql: str) -> Sequence[Mapping[str, str | None]]: ...
    def city_facts(self, ids: Iterable[str]) -> dict[str, CityFacts]: ...
    def labels(self, kind: str, ids: Sequence[str], language: str) -> dict[str, str]: ...


# The request


def profile_name(data: Any) -> str | None:
    """The name of the profile that a request asks for; None for the usual one. Raises BadRequest for what is no name."""
    name = data.get("profile") if isinstance(data, Mapping) else None
    if name is not None and not isinstance(name, str):
        raise BadRequest(
            {
                "en": f"profile: {quoted(name)} is no name; write for example 'mentoring'",
                "fr": f"profile : {quoted(name)} n’est pas un nom ; écrivez par exemple 'mentoring'",
            }
        )
    return name


def read_city(data: Any, source: Source) -> tuple[str | None, Setting]:
    """Who asks: the identifier of a city on record, else None, and what the request itself says of it.

    `data` is {"mentee": {"city"} or {"profile"}, "staff", "budget", "currency", "years", "themes", "target_groups",
    "answers", "profile"}; all but `mentee` may be left out, for `profile` see `profile_name`. Raises BadRequest, naming the place, for what cannot be used, TooLarge for
    too many answers.
    """
    keys = ("mentee", "staff", "budget", "currency", "years", "themes", "target_groups", "answers", "profile")
    if not isinstance(data, Mapping):
        raise BadRequest(
            {
                "en": f"the request: must be an object with {', '.join(keys)}",
                "fr": f"la demande : il faut un objet avec {', '.join(keys)}",
            }
        )
    for key in data:
        if key not in keys:
            raise BadRequest(
                {
                    "en": f"there is no {quoted(key)}; there are {', '.join(keys)}",
                    "fr": f"il n’y a pas de {quoted(key)} ; il y a {', '.join(keys)}",
                }
            )
    if data.get("mentee") is None:
        raise BadRequest(
            {
                "en": 'mentee: say which city asks, {"city": "jelgava"} or {"profile": {...}}',
                "fr": 'mentee : dites quelle ville demande, {"city": "jelgava"} ou {"profile": {...}}',
            }
        )
    city, profile = read_mentee(data["mentee"], source)
    currency = data.get("currency", "EUR")
    if not isinstance(currency, str) or not re.fullmatch("[A-Z]{3}", currency):
        raise BadRequest(
            {
                "en": f"currency: {quoted(currency)} is no currency; write three capitals such as 'EUR'",
                "fr": f"currency : {quoted(currency)} n’est pas une monnaie ; écrivez trois majuscules telles que 'EUR'",
            }
        )
    themes = frozenset(source.theme(one, "themes") for one in _listed(data.get("themes"), "themes"))
    groups = frozenset(_listed(data.get("target_groups"), "target_groups"))
    known = declaration().kind("practice").by_key["target_groups"].choices or {}
    for group in sorted(groups):
        if group not in known:
            raise BadRequest(
                {
                    "en": f"target_groups: there is no {quoted(group)}; there are {', '.join(sorted(known))}",
                    "fr": f"target_groups : il n’y a pas de {quoted(group)} ; il y a {', '.join(sorted(known))}",
                }
            )
    setting = Setting(
        staff=_figure(data.get("staff"), "staff"),
        budget=_figure(data.get("budget"), "budget"),
        currency=currency,
        years=_figure(data.get("years"), "years"),
        needs=(NeedOnRecord({}, _with_narrower(themes, source), groups),) if themes or groups else (),
        answers=_answers(data.get("answers")),
    )
    return city, _profiled(setting, profile) if profile else setting


def _listed(value: Any, where: str) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list | tuple) or len(value) > 100 or not all(isinstance(one, str) for one in value):
        raise BadRequest(
            {
                "en": f"{where}: give a list of at most 100 names",
                "fr": f"{where} : donnez une liste de 100 noms au plus",
            }
        )
    return list(value)


def _figure(value: Any, where: str) -> Known | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LARGEST:  # NaN is neither
        raise BadRequest(
            {
                "en": f"{where}: give a number from 0 to {LARGEST:.0f}, not {quoted(value)}",
                "fr": f"{where} : donnez un nombre de 0 à {LARGEST:.0f}, non {quoted(value)}",
            }
        )
    return Known(float(value))


def _answers(value: Any) -> dict[str, Status]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise BadRequest(
            {
                "en": 'answers: give an object such as {"condition-1": "met"}',
                "fr": 'answers : donnez un objet tel que {"condition-1": "met"}',
            }
        )
    if len(value) > MOST_ANSWERS:
        raise TooLarge(
            {
                "en": f"answers: has {len(value)} entries, {MOST_ANSWERS} at most",
                "fr": f"answers : a {len(value)} entrées, {MOST_ANSWERS} au plus",
            }
        )
    for id, status in value.items():
        if status not in ANSWERS:
            raise BadRequest(
                {
                    "en": f"answers.{quoted(id)}: {quoted(status)} is none of {', '.join(ANSWERS)}",
                    "fr": f"answers.{quoted(id)} : {quoted(status)} n’est aucun de : {', '.join(ANSWERS)}",
                }
            )
    return dict(value)


def _profiled(setting: Setting, profile: Mentee) -> Setting:
    """What a profile says of itself."""
    return replace(
        setting,
        name=profile.name,
        country=profile.country,
        country_name=profile.country_name,
        working_languages=profile.working_languages,
        population=Known(float(profile.population)) if profile.population else None,
        experience=profile.experience,
    )


# From the records


def read_setting(city: str, source: Source, said: Setting | None = None) -> Setting:
    """A city on record as a setting, with what the request says of it beside."""
    facts, record = facts_of(city, source), source.get("city", city)
    said = said or Setting()
    iri = f"{source.base}id/city/{city}"
    seated = source.graph_rows(_SEATED.format(mg=MG, city=iri))
    mentee = Mentee.on_record(facts)
    return replace(
        said,
        name=facts.name,
        record=iri,
        ids=facts.ids,
        country=facts.country,
        country_name=facts.country_name,
        nuts=record.get("nuts"),
        languages=facts.languages,
        working_languages=mentee.working_languages,
        population=_population(record, facts),
        needs=(*needs_on_record(iri, source), *said.needs),
        experience=facts.experience,
        practised=frozenset(theme for one in facts.practices if one.status != "planned" for theme in one.themes),
        organisations=tuple(_bodies(sorted(_id(row["body"]) for row in seated), source)),
    )


def facts_of(city: str, source: Source) -> CityFacts:
    """What matching knows of a city. Raises NotFound for one that is not public, or that the graph does not have yet."""
    found = source.city_facts([city]).get(city)
    if found is None:
        raise NotFound(
            {
                "en": f"there is no city {quoted(city)} in the public graph; if it was published just now, ask again",
                "fr": f"le graphe public n’a pas de ville {quoted(city)} ; si elle vient d’être publiée, redemandez",
            }
        )
    return found


def _population(record: Mapping[str, Any], facts: CityFacts) -> Known | None:
    """The figure that matching uses, with the source and year that the record gives it."""
    if not facts.population:
        return None
    for one in record.get("observations", ()):
        value = one.get("observed")
        if one.get("measure") == "population" and value and int(float(value)) == facts.population:
            return Known(float(facts.population), one.get("observation_source"), one.get("observed_in"))
    return Known(float(facts.population))


def needs_on_record(iri: str, source: Source) -> list[NeedOnRecord]:
    """The public needs of the city at an address, each with its themes and all narrower ones."""
    found: dict[str, tuple[dict[str, str], set[str], set[str]]] = {}
    for row in source.graph_rows(_NEEDS.format(mg=MG, dcterms=DCTERMS, city=iri)):
        texts, themes, groups = found.setdefault(str(row["need"]), ({}, set(), set()))
        texts[row.get("text@lang") or "en"] = str(row["text"])
        themes.update([_id(row["theme"])] if row.get("theme") else [])
        groups.update([_id(row["group"])] if row.get("group") else [])
    return [
        NeedOnRecord(texts, _with_narrower(themes, source), frozenset(groups), need)
        for need, (texts, themes, groups) in sorted(found.items())
    ]


def _with_narrower(themes: Iterable[str], source: Source) -> frozenset[str]:
    """Themes with all narrower ones."""
    return frozenset(themes).union(*narrower_of(themes, source).values())


def narrower_of(themes: Iterable[str], source: Source) -> dict[str, frozenset[str]]:
    """All narrower themes of each theme that has some."""
    listed = " ".join(f"<{source.base}id/theme/{theme}>" for theme in sorted(themes))
    found: dict[str, set[str]] = {}
    if listed:
        for row in source.graph_rows(_NARROWER.format(themes=listed, skos=SKOS)):
            found.setdefault(_id(row["theme"]), set()).add(_id(row["narrower"]))
    return {theme: frozenset(below) for theme, below in found.items()}


def _bodies(ids: Iterable[str], source: Source) -> Iterable[Body]:
    """Organisations on record by their identifiers; others are passed over."""
    for id in ids:
        try:
            record = source.get("organisation", id)
        except (NotFound, Gone):
            continue
        name = in_language(record.get("name", {}), "en") or id
        yield Body(name, record.get("type"), record.get("country"), bool(_EUROPEAN.search(name)))


def read_practice(id: str, source: Source) -> tuple[Practice, Mapping[str, Any]]:
    """A practice with everything that bears on its transfer, and its record. Raises NotFound and Gone."""
    record = source.get("practice", id)
    themes, groups = record.get("themes", ()), record.get("target_groups", ())
    choices = declaration().kind("practice").by_key["target_groups"].choices or {}
    return (
        Practice(
            id=id,
            title=record.get("title", {}),
            setting=read_setting(record["city"], source),
            themes=frozenset(themes),
            theme_labels=_both(themes, lambda ids, language: source.labels("theme", ids, language)),
            groups=frozenset(groups),
            group_labels=_both(
                [group for group in groups if group in choices],
                lambda ids, language: {id: declaration().concept_label(str(choices[id]), language) for id in ids},
            ),
            conditions=tuple(
                Stated(one["id"], one.get("aspect", "other"), one["condition"])
                for one in record.get("conditions", ())
                if one.get("condition")
            ),
            success_factors=record.get("success_factors", {}),
            core_elements=record.get("core_elements", {}),
            costs=tuple(_cost(one) for one in record.get("costs", ()) if one.get("resource")),
            funders=tuple(_taking_part(record.get("funding", ()), "funder", source)),
            partners=tuple(_taking_part(record.get("partners", ()), "organisation", source)),
            years=_years(record.get("periods", ())),
            taken_up=tuple(_transfers(id, source)),
        ),
        record,
    )


def _both(ids: Sequence[str], labelled: Any) -> dict[str, Names]:
    """Labels in both languages."""
    found = {language: labelled(list(ids), language) for language in ("en", "fr")}
    return {id: {language: found[language].get(id, id) for language in found} for id in ids}


def _cost(one: Mapping[str, Any]) -> Cost:
    amount = float(one["amount"]) if one.get("amount") else None
    note = one.get("cost_note", {})
    return Cost(one["id"], one["resource"], amount, one.get("currency"), one.get("price_year"), note)


def _taking_part(parts: Iterable[Mapping[str, Any]], key: str, source: Source) -> Iterable[Body]:
    """Who took part or paid: on record, or as the source names it."""
    for part in parts:
        on_record = list(_bodies([part[key]], source)) if part.get(key) else []
        name = part.get("stated_name")
        if on_record:
            # A municipality pays for itself: that says nothing of other cities.
            body = on_record[0]
            yield replace(body, country=None) if body.sort == "municipality" else body
        elif name:
            yield Body(name, european=bool(_EUROPEAN.search(name)))


def _years(periods: Iterable[Mapping[str, Any]]) -> int | None:
    """How long it ran in years, where it has ended or is planned to; None where it goes on, or nobody says."""
    closed = [one for one in periods if one.get("start") and one.get("end") and one.get("precision") != "inferred"]
    if any(one.get("status") in ("running", "continued") for one in periods) or not closed:
        return None
    return max(1, max(int(one["end"]) for one in closed) - min(int(one["start"]) for one in closed))


def _transfers(id: str, source: Source) -> Iterable[TakenUp]:
    rows = source.graph_rows(_TAKEN_UP.format(mg=MG, practice=f"{source.base}id/practice/{id}"))
    found = {str(row["transfer"]): row for row in rows}
    cities = source.city_facts({_id(row["city"]) for row in found.values() if row.get("city")})
    for _, row in sorted(found.items()):
        city = cities.get(_id(row["city"])) if row.get("city") else None
        place = in_language(city.name, "en") if city else row.get("place")
        if place:
            degree = _id(row["degree"]) if row.get("degree") else None
            yield TakenUp(place, city.country if city else None, degree, city.id if city else None)


def _id(iri: str | None) -> str:
    return str(iri).rpartition("/")[2]


# The answer


def transferability(id: str, request: Any, source: Source, profile: Profile, language: str) -> dict[str, Any]:
    """The conditions of a practice for the city that a request names, as JSON, sentences in `language`.

    Raises BadRequest or TooLarge for a request that cannot be used, NotFound and Gone for the practice.
    """
    known, said = read_city(request, source)
    practice, record = read_practice(id, source)
    city = read_setting(known, source, said) if known else said
    if not city.ids.isdisjoint(practice.setting.ids):
        raise BadRequest(
            {
                "en": f"mentee: {quoted(id)} is a practice of {quoted(known)} itself; name another city",
                "fr": f"mentee : {quoted(id)} est une pratique de {quoted(known)} même ; nommez une autre ville",
            }
        )
    found = assess(practice, city, profile)
    ids = [one.id for one in found.criteria]
    for answered in sorted(city.answers.keys() - set(ids)):
        raise BadRequest(
            {
                "en": (
                    f"answers: this practice has no condition {quoted(answered)}; there are {', '.join(sorted(ids))}"
                ),
                "fr": f"answers : cette pratique n’a pas de condition {quoted(answered)} ; il y a {', '.join(sorted(ids))}",
            }
        )
    mentor = facts_of(record["city"], source)
    return {
        "practice": {
            "id": id,
            "iri": f"{source.base}id/practice/{id}",
            "title": in_language(practice.title, language),
            "city": city_reference(mentor, source.base, language),
        },
        "city": city_reference(facts_of(known, source), source.base, language) if known else None,
        "name": in_language(city.name or UNNAMED, language),
        "summary": _summary(practice, city, found, language),
        "criteria": [_criterion(one, language) for one in found.criteria],
        "questions": {
            "whom": in_language(_whom(mentor), language),
            "mentor": [
                {"criterion": one.id, "text": in_language(one.ask, language)} for one in found.criteria if one.ask
            ],
            "city": [
                {"criterion": one.id, "text": in_language(one.look_up, language)}
                for one in found.criteria
                if one.look_up
            ],
        },
        "told": {
            key: in_language(record[key], language) if record.get(key) else None
            for key in ("core_elements", "adaptable_parts", "success_factors", "difficulties", "lessons")
        },
        "role_limits": in_language(ROLE_LIMITS, language),
        "method": {"name": METHOD, "version": VERSION},
        "profile": {"name": profile.name, "version": profile.version, "changed": list(profile.changed)},
        "as_of": datetime.now(UTC).date().isoformat(),
    }


def _summary(practice: Practice, city: Setting, found: Assessment, language: str) -> dict[str, Any]:
    """Counts, unknown first; the figure for sorting lists only together with its coverage."""
    value = found.for_sorting
    return {
        "unknown": found.count("unknown"),
        "not_met": found.count("not-met"),
        "partly": found.count("partly"),
        "met": found.count("met"),
        "for_sorting": None if value is None else {"value": round(value, 6), "coverage": round(found.coverage, 6)},
        "text": in_language(summary(practice, city, found), language),
    }


def _criterion(one: Criterion, language: str) -> dict[str, Any]:
    return {
        "id": one.id,
        "aspect": one.aspect,
        "group": one.group,
        "stated": one.stated,
        "status": one.status,
        "judged_by": one.basis,
        "weight": one.weight,
        "condition": in_language(one.condition, language),
        "finding": in_language(one.finding, language),
        "facts": [
            {"text": in_language(fact.text, language), "source": fact.source, "as_of": fact.year} for fact in one.facts
        ],
    }


def _whom(city: CityFacts) -> Names:
    """Whom to ask: the city's contact by role, or its association's help."""
    role = city.availability.contact_role if city.availability and city.availability.consent else {}
    holes: dict[str, Names | str] = {
        "city": {"en": name_of(city, "en"), "fr": to(name_of(city, "fr"))},
        "role": role or {"en": "municipality", "fr": "municipalité"},
        "association": city.association or "",
    }
    if city.association:
        return say(
            "Ask {city} ({role}), if need be through its association of municipalities ({association}).",
            "Demandez {city} ({role}), au besoin par son association de communes ({association}).",
            **holes,
        )
    return say("Ask {city} ({role}).", "Demandez {city} ({role}).", **holes)
