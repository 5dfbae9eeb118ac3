"""Reads what matching must know about cities out of the graph, and of their practices out of the lists' view, and
remembers it while nothing changes.

A suggestion over 100,000 practices may cost a few milliseconds beside the embedding of the need,
so facts are read once per city (a handful of queries for all that are missing) and forgotten when
a record that they rest on gets a new revision.
"""

from __future__ import annotations

import re
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from functools import lru_cache
from typing import Protocol

from babel import Locale
from rdflib import DCTERMS, RDFS, SDO, URIRef

from kg.ledger import Revision
from kg.matching.facts import Availability, CityFacts, DeclaredExperience, PracticeFacts
from kg.vocabulary import MG, thing_iri

Rows = list[dict[str, str | None]]
Values = Mapping[str, list[tuple[str, str]]]
"""Property to its values, each with its language tag ("" for none)."""

LEVELS = {"none": 0.0, "starting": 0.25, "some": 0.5, "solid": 0.75, "leading": 1.0}
"""mg:levelValue of the level scheme; a test compares them with the ontology."""

_PROGRAMMES = """
SELECT ?city ?programme ?name {{
  VALUES ?city {{ {cities} }}
  ?participation <{mg}participant> ?city .
  ?programme <{mg}participation> ?participation ; <http://www.w3.org/2000/01/rdf-schema#label> ?name .
}}"""

_BODIES = """
SELECT ?city ?body ?name ?class {{
  VALUES ?city {{ {cities} }}
  ?municipality <{mg}governs> ?city ; <http://www.w3.org/ns/org#memberOf> ?body .
  ?body <http://www.w3.org/2000/01/rdf-schema#label> ?name ; a ?class .
  FILTER(?class IN (<{mg}CityNetwork>, <{mg}AssociationOfMunicipalities>))
}}"""

_MENTORED = """
SELECT ?city ?mentee ?state {{
  VALUES ?city {{ {cities} }}
  ?mentorship <{mg}mentor> ?city ; <{mg}mentee> ?mentee .
  OPTIONAL {{ ?mentorship <{mg}mentorshipState> ?state }}
}}"""

_POINTING = "SELECT ?city ?node {{ VALUES ?city {{ {cities} }} ?node <{property}> ?city }}"

# A second VALUES for the properties makes Oxigraph join before it looks up: 3.1 s against 0.2 s for 700 practices
# among 10,000.
_VALUES = """
SELECT ?subject ?property ?value {{
  VALUES ?subject {{ {subjects} }}
  ?subject ?property ?value
  FILTER(?property IN ({properties}))
}}"""


PracticesOf = Callable[[Iterable[str]], Mapping[str, tuple[PracticeFacts, ...]]]
"""Given identifiers of cities: the practices of each that has any."""


class Graph(Protocol):
    """What is asked of the graph view."""

    def rows(self, sparql: str) -> Rows: ...


class CityFactsReader:
    """Facts per city, read when first asked for; safe to use from several threads."""

    def __init__(self, graph: Graph, base: str, practices: PracticesOf) -> None:
        """`practices` gives those of some cities: the graph takes 8 ms a city with twenty for it, a row of facts each 0.3."""
        self._graph, self._base, self._practices = graph, base, practices
        self._known: dict[str, CityFacts] = {}
        self._lock = threading.Lock()

    def facts(self, ids: Iterable[str]) -> dict[str, CityFacts]:
        """Facts of the cities that are on record and published, by identifier; others are left out."""
        wanted = set(ids)
        with self._lock:
            missing = sorted(wanted - self._known.keys())
            if missing:
                self._known.update(self._read(missing))
            return {id: self._known[id] for id in sorted(wanted) if id in self._known}

    def forget(self, revisions: Sequence[Revision]) -> None:
        """Drop what may have changed: the cities a practice or city record names, or all for any other kind."""
        with self._lock:
            for revision in revisions:
                if revision.kind == "practice":
                    named = re.findall(rf"<{re.escape(self._base)}id/city/([a-z0-9-]+)>", revision.payload or "")
                    holders = [id for id, facts in self._known.items() if revision.id in facts.practice]
                    for id in (*named, *holders):
                        self._known.pop(id, None)
                elif revision.kind == "city":
                    self._known.pop(revision.id, None)
                elif revision.kind != "theme":
                    self._known.clear()

    def forget_all(self) -> None:
        """Drop everything, after the graph was rebuilt."""
        with self._lock:
            self._known.clear()

    def _read(self, ids: list[str]) -> dict[str, CityFacts]:
        """One pass over the graph for all missing cities."""
        cities = {str(thing_iri(self._base, "city", id)): id for id in ids}
        listed = _listed(cities)
        said = self._values(
            cities, RDFS.label, SDO.alternateName, SDO.addressCountry, MG.officialLanguage, MG.observation, MG.localName
        )
        observations = self._values(
            [node for values in said.values() for node in _all(values, MG.observation)],
            *(MG.measure, MG.observedValue, MG.observedIn, MG.boundary),
        )
        practices = self._practices(ids)
        programmes = self._pairs(_PROGRAMMES, listed, "programme")
        networks, associations = self._bodies(listed)
        mentored = self._mentored(listed)
        experience, availability = self._experience(listed), self._availability(listed, mentored)
        found = {}
        for iri, id in cities.items():
            values = said.get(iri)
            if not values:
                continue
            country = _one(values, SDO.addressCountry)
            seen = [observations[node] for node in _all(values, MG.observation) if node in observations]
            found[id] = CityFacts(
                id=id,
                name=_texts(values, RDFS.label) or {"en": id},
                alternative_names=(*_all(values, SDO.alternateName), *_all(values, MG.localName)),
                country=country,
                country_name=country_names(country) if country else {},
                languages=tuple(_all(values, MG.officialLanguage)),
                population=_population(seen),
                foreign_born_share=_share(seen),
                practices=practices.get(id, ()),
                experience=experience.get(iri, ()),
                availability=availability.get(iri),
                programmes=programmes.get(iri, {}),
                networks=networks.get(iri, {}),
                mentored=mentored.get(iri, {}),
                association=associations.get(iri),
            )
        return found

    def _values(self, subjects: Iterable[str], *properties: URIRef) -> dict[str, Values]:
        """The named properties of many nodes."""
        listed = _listed(subjects)
        found: dict[str, dict[str, list[tuple[str, str]]]] = {}
        if listed:
            query = _VALUES.format(subjects=listed, properties=", ".join(f"<{p}>" for p in properties))
            for row in self._graph.rows(query):
                values = found.setdefault(str(row["subject"]), defaultdict(list))
                values[str(row["property"])].append((str(row["value"]), row.get("value@lang") or ""))
        for values in found.values():
            for listed_values in values.values():
                listed_values.sort()
        return {subject: dict(values) for subject, values in found.items()}

    def _pairs(self, query: str, cities: str, other: str) -> dict[str, dict[str, str]]:
        """City to {identifier of something: its name}; English names win."""
        found: dict[str, dict[str, str]] = defaultdict(dict)
        for row in self._graph.rows(query.format(cities=cities, mg=MG)):
            id = _id(str(row[other]))
            if id not in found[str(row["city"])] or row.get("name@lang") == "en":
                found[str(row["city"])][id] = str(row["name"])
        return found

    def _bodies(self, cities: str) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
        """Networks a municipality is a member of, and its association of municipalities."""
        networks: dict[str, dict[str, str]] = defaultdict(dict)
        associations: dict[str, str] = {}
        for row in sorted(self._graph.rows(_BODIES.format(cities=cities, mg=MG)), key=str):
            city, name = str(row["city"]), str(row["name"])
            if str(row["class"]).endswith("AssociationOfMunicipalities"):
                associations.setdefault(city, name)
            else:
                networks[city][_id(str(row["body"]))] = name
        return networks, associations

    def _mentored(self, cities: str) -> dict[str, dict[str, str]]:
        """Whom a city has mentored, and the mentorship's state."""
        found: dict[str, dict[str, str]] = defaultdict(dict)
        for row in self._graph.rows(_MENTORED.format(cities=cities, mg=MG)):
            found[str(row["city"])][_id(str(row["mentee"]))] = _id(row["state"] or "")
        return found

    def _experience(self, cities: str) -> dict[str, tuple[DeclaredExperience, ...]]:
        """Published assertions of experience."""
        nodes = self._pointing(cities, MG.experienceOf)
        said = self._values(nodes, MG.experienceIn, MG.experienceLevel, MG.experienceBasis, MG.statedOn)
        found: dict[str, list[DeclaredExperience]] = defaultdict(list)
        for node in sorted(said):
            values = said[node]
            theme, level = _one(values, MG.experienceIn), LEVELS.get(_id(_one(values, MG.experienceLevel) or ""))
            if theme and level is not None:
                basis, day = _one(values, MG.experienceBasis), _one(values, MG.statedOn)
                stated = DeclaredExperience(_id(theme), level, _id(basis) if basis else None, _day(day))
                found[nodes[node]].append(stated)
        return {city: tuple(stated) for city, stated in found.items()}

    def _availability(self, cities: str, mentored: Mapping[str, Mapping[str, str]]) -> dict[str, Availability]:
        """The newest published statement of each city about mentoring others."""
        nodes = self._pointing(cities, MG.mentor)
        said = self._values(
            nodes,
            *(MG.consentRecorded, MG.quota, MG.availableUntil, DCTERMS.subject, MG.workingLanguage, MG.contact),
        )
        contacts = self._values([n for values in said.values() for n in _all(values, MG.contact)], MG.contactRole)
        found = {}
        for node in sorted(said, key=lambda node: (_one(said[node], MG.availableUntil) or "", node)):
            values, city = said[node], nodes[node]
            if MG.consentRecorded not in map(URIRef, values):
                continue  # a mentorship also points to its mentor
            quota, contact = _one(values, MG.quota), _one(values, MG.contact)
            found[city] = Availability(
                consent=_one(values, MG.consentRecorded) == "true",
                quota=int(quota) if quota else None,
                taken=sum(state in ("agreed", "running") for state in mentored.get(city, {}).values()),
                until=_day(_one(values, MG.availableUntil)),
                themes=frozenset(_id(theme) for theme in _all(values, DCTERMS.subject)),
                working_languages=tuple(_all(values, MG.workingLanguage)),
                contact_role=_texts(contacts.get(contact or "", {}), MG.contactRole),
            )
        return found

    def _pointing(self, cities: str, property: URIRef) -> dict[str, str]:
        """Nodes that point to a city by a property, each with its city."""
        rows = self._graph.rows(_POINTING.format(cities=cities, property=property))
        return {str(row["node"]): str(row["city"]) for row in rows}


def _population(observations: Sequence[Values]) -> int | None:
    """Inhabitants of the municipality: the newest dated figure, one of sure boundary before one of unknown.

    Figures of a region or an urban area say nothing about the municipality and are not used.
    """
    usable = []
    for values in observations:
        boundary = _one(values, MG.boundary) or "unknown"
        value = _one(values, MG.observedValue)
        if _id(_one(values, MG.measure) or "") == "population" and boundary in ("municipality", "unknown") and value:
            usable.append((boundary == "municipality", int(_one(values, MG.observedIn) or 0), float(value)))
    return int(max(usable)[2]) if usable else None


def _share(observations: Sequence[Values]) -> float | None:
    """The newest share of foreign-born inhabitants as a fraction; the records hold percent."""
    shares = [
        (int(_one(values, MG.observedIn) or 0), float(value))
        for values in observations
        if _id(_one(values, MG.measure) or "") == "foreign-born-share" and (value := _one(values, MG.observedValue))
    ]
    return max(shares)[1] / 100 if shares else None


UNION_CODES = {"EL": "GR", "UK": "GB"}
"""Countries for which the European institutions write another code than ISO 3166-1."""

_NO_COUNTRIES = {"EU", "EZ", "QO", "UN", "XA", "XB", "ZZ"}
"""What CLDR, the Unicode consortium's list, names beside countries."""


def country_code(text: str) -> str | None:
    """The two letters of a country (ISO 3166-1), in capitals; None for what is none.

    >>> country_code("lv"), country_code("EL"), country_code("XX"), country_code("Latvia")
    ('LV', 'GR', None, None)
    """
    code = UNION_CODES.get(text.upper(), text.upper())
    known = re.fullmatch("[A-Z]{2}", code) and code in Locale("en").territories
    return code if known and code not in _NO_COUNTRIES else None


@lru_cache(maxsize=500)
def country_names(code: str) -> Mapping[str, str]:
    """A country's names in English and French; its code where it has none.

    >>> country_names("GR")
    {'en': 'Greece', 'fr': 'Grèce'}
    """
    return {tag: Locale(tag).territories.get(code, code) for tag in ("en", "fr")}


def _listed(iris: Iterable[str]) -> str:
    """IRIs for a VALUES block; they come from the graph or from checked identifiers, never from a stranger's text."""
    return " ".join(f"<{iri}>" for iri in sorted(set(iris)))


def _id(iri: str) -> str:
    """The last part of an address: a record's identifier or a concept's notation."""
    return iri.rpartition("/")[2]


def _all(values: Values, property: URIRef) -> list[str]:
    """All values of a property, in a stable order."""
    return [value for value, _ in values.get(str(property), [])]


def _one(values: Values, property: URIRef) -> str | None:
    """The first value of a property that has at most one."""
    return next(iter(_all(values, property)), None)


def _texts(values: Values, property: URIRef) -> dict[str, str]:
    """Texts of a property by language."""
    return {language or "en": value for value, language in values.get(str(property), [])}


def _day(value: str | None) -> date | None:
    """A date as the records write it."""
    return date.fromisoformat(value) if value else None
