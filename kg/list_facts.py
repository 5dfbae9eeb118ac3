"""Reads from one row of the ledger what lists are narrowed, counted and ordered by: a few short values per record.

A whole record takes milliseconds to read, a list of 100,000 has to be made in seconds; so only what is needed is taken
from the row's N-Triples, which are our own and canonical.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from rdflib.plugins.parsers.ntriples import unquote

from kg.fields import Kind, Structure
from kg.matching.experience import ONGOING
from kg.quality import completeness_of, missing_fields

Record = Mapping[str, Any]
Facts = dict[str, Any]
"""What is remembered of a record, as plain JSON; what is not known is absent."""

FACETS = ("country", "theme", "evidence", "decade", "language", "size", "offer")
"""Every facet there is, in the order of answers."""

TOLD_FOR_TRANSFER = ("core_elements", "adaptable_parts", "success_factors", "conditions")
"""Fields of a practice that speak of transfer. What is told, not the texts: they may be long, and only that they are there counts."""

_FIRST_YEAR = ("start", "year", "first_day", "adopted_on")
"""Fields that say when something began."""

_WORDED = frozenset({"title"})
"""Texts whose words are kept: suggestions name practices by them."""

_TRIPLE = re.compile(r'<([^>]+)> <([^>]+)> (?:<([^>]+)>|"((?:[^"\\]|\\.)*)"(?:@([A-Za-z0-9-]+)|\^\^<[^>]+>)?) \.\n')
_YEAR = re.compile(r"\d{4}")


def facets_of(kind: Kind) -> tuple[str, ...]:
    """The facets that a kind's fields allow; a kind that refers to cities has their country and size.

    What is part of a mentorship has those of its mentorship; a theme its broader themes, and the languages of its labels.

    >>> from kg.fields import declaration
    >>> facets_of(declaration().kind("practice")), facets_of(declaration().kind("learning"))
    (('country', 'theme', 'evidence', 'decade', 'language', 'size'), ('country', 'theme', 'size'))
    """
    keys, refers = kind.by_key.keys(), {field.ref_kind for field in kind.fields if field.type == "ref"}
    placed = kind.name == "city" or "city" in refers or is_part_of_mentorship(kind)
    city = kind.name == "city"
    has = {
        "country": placed or "country" in keys,
        "theme": city or "theme" in refers or is_part_of_mentorship(kind),
        "evidence": "evidence" in keys,
        "decade": not {"periods", *_FIRST_YEAR}.isdisjoint(keys),
        "language": kind.name == "theme" or bool({"language", "languages", "working_languages"} & keys),
        "size": placed,
        "offer": city,
    }
    return tuple(facet for facet in FACETS if has[facet])


def is_part_of_mentorship(kind: Kind) -> bool:
    """Whether a kind's records belong to a mentorship, as plans, visits, reflections and learnings do.

    >>> from kg.fields import declaration
    >>> [is_part_of_mentorship(declaration().kind(name)) for name in ("visit", "transfer")]
    [True, False]
    """
    field = kind.by_key.get("mentorship")
    return field is not None and field.needed is not None


def light_record(payload: str, kind: Kind, thing: str) -> dict[str, Any]:
    """A row's record as plain JSON without the words: of a text other than a title only its languages are kept.

    `thing` is the address of what the record is about. Notations, references and inner nodes are as in the whole record,
    except that lists are in the row's order.

    >>> from kg.fields import declaration
    >>> light_record('<urn:x> <https://schema.org/addressCountry> "LV" .\\n', declaration().kind("city"), "urn:x")
    {'country': 'LV'}
    """
    said: dict[str, list[tuple[str, str | None, str, str]]] = defaultdict(list)
    for subject, predicate, iri, text, language in _TRIPLE.findall(payload):
        said[subject].append((predicate, iri, text, language))
    return _structure(kind, thing, said)


def _structure(structure: Structure, node: str, said: Mapping[str, list[tuple[str, str | None, str, str]]]) -> Facts:
    found: Facts = {}
    fields = structure.by_path
    for predicate, iri, text, language in said.get(node, ()):
        field = fields.get(predicate)
        if field is None:
            continue
        value: Any = text
        if field.type in ("text", "texts"):
            words = unquote(text) if field.key in _WORDED else ""
            found.setdefault(field.key, {})[language.lower() or "en"] = words
            continue
        if iri and field.type == "inner" and field.inner:
            value = _structure(field.inner, iri, said)
        elif iri and field.type == "concept":
            value = field.notations.get(iri, iri.rpartition("/")[2])
        elif iri:
            value = iri if field.type == "iri" else iri.rpartition("/")[2]
        if field.many:
            found.setdefault(field.key, []).append(value)
        else:
            found[field.key] = value
    return found


def facts_of(kind: Kind, record: Record) -> Facts:
    """What lists need of a record, given whole or light.

    `cities` are those it is placed in, `partners` those that only took part; `year` is the first it tells of; `languages`
    are those of a practice's own texts, a city's official ones, those an offer can be worked in. A part of a mentorship
    names that: its cities and themes are the part's, where it has none itself.

    >>> from kg.fields import declaration
    >>> facts_of(declaration().kind("transfer"), {"from_city": "gent", "to_city": "riga", "year": "2019"})
    {'cities': ['gent', 'riga'], 'year': 2019}
    """
    of_kind = {"practice": _practice, "city": _city, "theme": _theme}.get(kind.name, _other)
    return {key: value for key, value in of_kind(kind, record).items() if value not in (None, [], {}, "")}


def _other(kind: Kind, record: Record) -> Facts:
    """Any kind, by its fields: it may name cities, themes, a country, a year and languages."""
    kept = ("level", "basis", "stated_on", "consent", "quota", "until", "mentorship_state", "mentor", "practice")
    return {
        "country": record.get("country"),
        "cities": _named(kind, record, "city"),
        "themes": _named(kind, record, "theme"),
        "evidence": record.get("evidence"),
        "year": _first_year([record], _FIRST_YEAR),
        "mentorship": record.get("mentorship") if is_part_of_mentorship(kind) else None,
        "languages": sorted(record.get("languages") or record.get("working_languages") or ()),
        **{key: record[key] for key in kept if key in record},
    }


def _named(kind: Kind, record: Record, other: str) -> list[str]:
    found: list[str] = []
    for field in kind.fields:
        if field.type == "ref" and field.ref_kind == other and record.get(field.key):
            found += record[field.key] if field.many else [record[field.key]]
    return sorted(set(found))


def _practice(kind: Kind, record: Record) -> Facts:
    """A practice; its dates are read as `city_facts` does, so that freshness is the one of suggestions."""
    periods = record.get("periods", ())
    sure = [period for period in periods if period.get("precision") != "inferred"]
    noted = sorted((_number(p.get("status_as_of")) or 0, p["status"]) for p in periods if p.get("status"))
    status_as_of, status = noted[-1] if noted else (0, None)
    ends = [year for period in periods if (year := _number(period.get("end"))) is not None]
    present = {key for key, value in record.items() if value not in (None, "", [], {})}
    return {
        "title": record.get("title"),
        "cities": [record["city"]] if record.get("city") else [],
        "partners": sorted({p["partner_city"] for p in record.get("partners", ()) if p.get("partner_city")}),
        "tie": record.get("tie"),
        "themes": sorted(record.get("themes", ())),
        "evidence": record.get("evidence"),
        "year": _first_year(periods, ("start",)),
        "start": _first_year(sure, ("start",)),
        "end": max(ends, default=None),
        "status": status,
        "status_as_of": status_as_of or None,
        "ongoing": status in ONGOING or None,
        "languages": sorted(_languages(kind, record)),
        "complete": completeness_of(missing_fields(present, kind), kind),
        "confidence": record.get("record", {}).get("confidence"),
        "rivals": any(claim.get("rivals") for claim in record.get("outcomes", ())) or None,
        "told": [key for key in TOLD_FOR_TRANSFER if key in present],
    }


def _languages(kind: Kind, record: Record) -> set[str]:
    """The languages of a practice's own texts, and the one its record names."""
    texts = (record.get(field.key) or {} for field in kind.fields if field.type == "text")
    found = {tag.lower() for text in texts for tag in text if tag}
    return found | ({record["language"].lower()} if record.get("language") else set())


def _city(kind: Kind, record: Record) -> Facts:
    return {
        "country": record.get("country"),
        "languages": sorted(tag.lower() for tag in record.get("languages", ())),
        "population": _population(record.get("observations", ())),
        "share": _share(record.get("observations", ())),
    }


def _population(observations: Iterable[Record]) -> int | None:
    """The newest figure for the municipality, else of unknown extent, as `city_facts` has it."""
    usable = []
    for one in observations:
        boundary, value = one.get("boundary") or "unknown", _decimal(one.get("observed"))
        if one.get("measure") == "population" and boundary in ("municipality", "unknown") and value is not None:
            usable.append((boundary == "municipality", _number(one.get("observed_in")) or 0, value))
    return int(max(usable)[2]) if usable else None


def _share(observations: Iterable[Record]) -> float | None:
    """The newest share of foreign-born inhabitants as a fraction."""
    shares = [
        (_number(one.get("observed_in")) or 0, value)
        for one in observations
        if one.get("measure") == "foreign-born-share" and (value := _decimal(one.get("observed"))) is not None
    ]
    return max(shares)[1] / 100 if shares else None


def _theme(kind: Kind, record: Record) -> Facts:
    return {key: record[key] for key in ("label", "broader", "deprecated") if key in record}


def _first_year(nodes: Iterable[Record], keys: Iterable[str]) -> int | None:
    wanted = tuple(keys)
    return min((year for n in nodes for key in wanted if (year := _number(n.get(key))) is not None), default=None)


def _number(value: Any) -> int | None:
    """The year that a date begins with."""
    found = _YEAR.match(str(value or ""))
    return int(found[0]) if found else None


def _decimal(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if abs(number) < 1e12 else None
