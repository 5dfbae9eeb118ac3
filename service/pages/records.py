"""The readable page of a record, whatever its kind: labels, order and forms come from the fields."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from urllib.parse import quote, urlsplit

from babel.dates import format_date
from fastapi import APIRouter, Request
from fastapi.responses import Response
from rdflib import FOAF, SDO, URIRef

from kg.city_facts import country_names
from kg.errors import Gone, KgError, NotFound
from kg.fields import Field, Inner, Kind, Structure, declaration, in_language
from kg.ledger import Head
from kg.records import Record
from kg.vocabulary import DEFAULT_BASE, MG, parse_thing_iri, record_iri, thing_iri
from service import problems
from service.negotiation import LANGUAGES, language_of_header
from service.pages.texts import alphabetical, excerpt, language_name, page, texts
from service.publication import kind_named, shown_revision, successor
from service.representations import HTML, alternates, answer, cache_headers, link, moved, tag_of

router = APIRouter()

REFERRING_LIMIT = 200
"""Records listed as referring to the one shown; a theme of 100,000 practices has more than anybody reads."""

LABEL_CHARS = 100
"""Length of a link's text where a record has no label and goes by its first sentence."""

_REFERRING = """
SELECT DISTINCT ?thing WHERE {{
  GRAPH ?record {{ ?node ?property {thing} . ?record foaf:primaryTopic ?thing }}
  FILTER(?record != {record})
}} LIMIT {limit}
"""


def _(text: str) -> str:
    """Marks a text for the translators; it is translated where it is shown."""
    return text


WORDS = {
    "sourced": _("sourced"),
    "sourced-partial": _("sourced in part"),
    "recalled": _("recalled, not yet sourced"),
    "verified": _("verified"),
    "recalled-verify": _("recalled, to be verified"),
    "about": _("about"),
    "over": _("over"),
    "at-least": _("at least"),
    "up-to": _("up to"),
    "under": _("under"),
    "municipality": _("municipality"),
    "urban-area": _("urban area"),
    "region": _("region"),
    "unknown": _("unknown"),
}
"""Words for the short values of fields that offer a choice of plain strings."""

NOT_SEPARATED = _("Source not separated: the record’s sources tell it, but which of them does was not noted.")

LANGUAGE_PATHS = {str(SDO.inLanguage), str(MG.officialLanguage), str(MG.workingLanguage)}
_INTERVAL = re.compile(r"(?!\.\./\.\.)(\.\.|\d{4}[\d-]*)/(\.\.|\d{4}[\d-]*)")
FIGURE = ("qualifier", "value", "unit")
"""Fields of a claim that are read as one: about 150 duos."""


@dataclass(frozen=True)
class Wording:
    """A text in one language, with what it says in others."""

    text: str
    language: str
    others: tuple[tuple[str, str], ...] = ()
    sort: str = "wording"


@dataclass(frozen=True)
class Link:
    """Something with an address; `outside` when it is not of this service, no address when it cannot be opened."""

    text: str
    address: str | None
    outside: bool = False
    sort: str = "link"


@dataclass(frozen=True)
class Plain:
    """A value without language or address."""

    text: str
    sort: str = "plain"


@dataclass(frozen=True)
class Node:
    """An inner node: its identifier in the record, its leading text or link, and its other fields."""

    id: str
    heading: Wording | Link | None
    rows: tuple[Row, ...]
    sort: str = "node"


@dataclass(frozen=True)
class Rivals:
    """Claims that contradict each other, to be shown side by side."""

    claims: tuple[Node, ...]
    sort: str = "rivals"


Value = Wording | Link | Plain | Node | Rivals


@dataclass(frozen=True)
class Row:
    """A field's label and values; without values it is not known."""

    key: str
    label: str
    values: tuple[Value, ...]


@router.get("/page/{kind}/{id}")
def record_page(request: Request, kind: str, id: str, lang: str | None = None) -> Response:
    """The page of a published, public record; of a withdrawn one its tombstone."""
    language = page_language(request, lang)
    catalogue = request.app.state.catalogue
    try:
        shape = kind_named(kind)
        shown_revision(catalogue, kind, id)
        record = catalogue.get(kind, id)
    except Gone as error:
        replaced_by = successor(catalogue, error)
        if replaced_by:
            return moved(f"/page/{kind}/{replaced_by}?lang={language}")
        return absent(request, error, language)
    except NotFound as error:
        return absent(request, error, language)
    thing = thing_iri(catalogue.base, shape.name, id)
    reading = _Reading(language, _labels(catalogue, shape, record, language), record)
    title = title_of(shape, record, reading)
    shown_sections = sections(shape, record, reading)
    stem = f"/id/{shape.name}/{id}"
    shown = {
        "kind": in_language(shape.label, language),
        "title": title,
        "sections": shown_sections,
        "some_unknown": any(_has_unknown(rows) for _, _, rows in shown_sections),
        "referring": _referring(catalogue, thing, shape.name, id, language),
        "referring_limit": REFERRING_LIMIT,
        "record": record["record"],
        "changed": format_date(date.fromisoformat(record["record"]["modified"][:10]), "long", locale=language),
        "iri": str(thing),
        "publisher": request.app.state.settings.publisher,
        "stem": stem,
        "json_address": f"/api/{shape.path}/{id}",
        "switch": switch(f"/page/{shape.name}/{id}"),
    }
    body = page("record.html", language, shown).encode()
    links = [link(str(thing), "canonical"), *alternates(stem), link(f"{stem}.ttl", "describedby", type="text/turtle")]
    return html(request, body, language, links)


def page_language(request: Request, lang: str | None) -> str:
    """The page's language: as the address says, else as the browser prefers, else English."""
    return lang if lang in LANGUAGES else language_of_header(request.headers.get("accept-language")) or "en"


def switch(path: str) -> dict[str, str]:
    """The page's address in each language."""
    return {code: f"{path}?lang={code}" for code in LANGUAGES}


def html(request: Request, body: bytes, language: str, links: Sequence[str] = (), *, vary: str = "") -> Response:
    """A page that may be kept and checked."""
    varying = ", ".join(filter(None, [vary, "Accept-Language"]))
    headers = cache_headers(tag_of(body), vary=varying, links=links) | {"Content-Language": language}
    return answer(request, body, HTML, headers)


def absent(request: Request, error: KgError, language: str) -> Response:
    """The page in place of a record that was withdrawn or never was, with the status that the error has anywhere."""
    replaced_by = f"/page/{error.kind}/{error.replaced_by}" if isinstance(error, Gone) and error.replaced_by else None
    shown = {
        "heading": None,
        "gone": isinstance(error, Gone),
        "reason_language": language if isinstance(error, Gone) or language in error.texts() else "en",
        "reason": error.reason_in(language) if isinstance(error, Gone) else error.told(language),
        "replaced_by": replaced_by,
        "switch": switch(request.url.path if request.url.path.startswith("/page/") else f"/page{request.url.path[3:]}"),
    }
    body = page("absent.html", language, shown)
    headers = {"Content-Language": language, "Vary": "Accept, Accept-Language", "Cache-Control": "no-cache"}
    return Response(body, problems.row_of(error).status, headers, HTML)


def nowhere(request: Request, refusal: problems.Refusal) -> Response:
    """The page at an address that there is none of, for people; programs get the problem document."""
    language = problems.language_asked(request)
    said = refusal.body(request.url.path, language)
    shown = {
        "heading": said["title"],
        "gone": False,
        "reason_language": language,
        "reason": said["detail"],
        "switch": switch(quote(request.url.path)),
    }
    headers = {"Content-Language": language, "Vary": "Accept, Accept-Language", "Cache-Control": "no-cache"}
    return Response(page("absent.html", language, shown), refusal.row.status, headers, HTML)


def title_of(kind: Kind, record: Record, reading: _Reading) -> Wording:
    """What a record is called: its leading text, else the records that it connects."""
    leading = _leading(kind)
    if leading and record.get(leading.key):
        return reading.wording(record[leading.key])
    connected = [
        reading.label(str(field.ref_kind), record[field.key])
        for field in kind.fields
        if field.type == "ref" and not field.many and field.key in record
    ]
    return Wording(" – ".join(connected[:3]) or record["id"], reading.language)


def _leading(structure: Structure) -> Field | None:
    """The field that says what a node is: its first needed text, else its first text."""
    texts_only = [field for field in structure.fields if field.type == "text"]
    return next((field for field in texts_only if field.needed), None) or next(iter(texts_only), None)


def sections(kind: Kind, record: Record, reading: _Reading) -> list[tuple[str, str, tuple[Row, ...]]]:
    """The record's fields by group: (anchor, heading, rows), in the order of the form."""
    leading = _leading(kind)
    groups = declaration().groups
    found: list[tuple[str, str, tuple[Row, ...]]] = []
    for group in dict.fromkeys(field.group for field in kind.fields):
        fields = [f for f in kind.fields if f.group == group and (f is not leading or f.key not in record)]
        rows = tuple(reading.rows(fields, record))
        if rows:
            found.append((str(group), in_language(groups.get(str(group), {}), reading.language), rows))
    return found


def _has_unknown(rows: Sequence[Row]) -> bool:
    """Whether anything is shown as not known, at any depth."""
    nodes = [value for row in rows for value in row.values if isinstance(value, Node)]
    rival = [claim for row in rows for value in row.values if isinstance(value, Rivals) for claim in value.claims]
    return any(not row.values for row in rows) or any(_has_unknown(node.rows) for node in [*nodes, *rival])


class _Reading:
    """Turns values into what is shown, in one language."""

    def __init__(self, language: str, labels: Mapping[str, Mapping[str, str]], record: Record) -> None:
        self.language = language
        self._labels = labels
        self._ = texts(language).gettext
        self._sources = {one["id"]: self.source_name(one) for one in record.get("sources", ())}

    def source_name(self, source: Mapping[str, Any]) -> str:
        """What a source is called where a statement names it: its title, else its publisher, else its site."""
        title = in_language(source.get("source_title", {}), self.language) or source.get("publisher")
        return str(title or urlsplit(source.get("url", "")).hostname or source["id"])

    def label(self, kind: str, id: str) -> str:
        return self._labels.get(kind, {}).get(id, id)

    def rows(self, fields: Sequence[Field], values: Mapping[str, Any]) -> Iterator[Row]:
        """One row per field that has a value, or that a record ought to have and has not."""
        for field in fields:
            if field.path == MG.rivalOf:
                continue
            value = values.get(field.key)
            if field.path == MG.sourceNotSeparated:
                yield from self.separation(fields, field, values)
            elif value is not None and field.path == FOAF.isPrimaryTopicOf and field.inner:
                yield from self.rows(field.inner.fields, value)
            elif value is not None:
                yield Row(field.key, self.heading(field), tuple(self.values(field, value)))
            elif field.needed:
                yield Row(field.key, self.heading(field), ())

    def separation(self, fields: Sequence[Field], field: Field, values: Mapping[str, Any]) -> Iterator[Row]:
        """Where a statement names no source of its own: that it was not separated, or that it is unknown."""
        stated = next((one for one in fields if one.path == MG.statedIn), field)
        if values.get(field.key) is True:
            yield Row(field.key, self.heading(stated), (Plain(self._(NOT_SEPARATED)),))
        elif stated.key not in values:
            yield Row(field.key, self.heading(stated), ())

    def heading(self, field: Field) -> str:
        return in_language(field.label, self.language)

    def values(self, field: Field, value: Any) -> Iterator[Value]:
        if field.type == "texts":
            for tag, wordings in sorted(value.items()):
                yield Wording(", ".join(wordings), tag)
        elif field.type == "text":
            yield self.wording(value)
        elif field.inner is not None:
            yield from self.nodes(field.inner, value if field.many else [{"id": "record", **value}])
        else:
            for one in value if field.many else [value]:
                yield self.single(field, one)

    def wording(self, value: Mapping[str, str]) -> Wording:
        """A text in the page's language, else English, else the first there is; the others come behind it."""
        text = in_language(value, self.language)
        tag = next(tag for tag, words in value.items() if words == text)
        return Wording(text, tag, tuple(sorted((t, words) for t, words in value.items() if t != tag)))

    def single(self, field: Field, value: Any) -> Value:
        if field.type == "ref":
            known = value in self._labels.get(str(field.ref_kind), {})
            path = f"/page/{field.ref_kind}/{value}?lang={self.language}" if known else None
            return Link(self.label(str(field.ref_kind), value), path)
        if field.type == "concept":
            iri = str((field.choices or {})[value])
            return Link(declaration().concept_label(iri, self.language), local_page(iri, self.language))
        if field.type == "inner-ref":
            return Link(self._sources.get(value, value), f"#{value}")
        if field.type in ("iri", "uri"):
            return address(value, self.language)
        return Plain(self.plain(field, value))

    def plain(self, field: Field, value: Any) -> str:
        if isinstance(value, bool):
            return self._(_("yes")) if value else self._(_("no"))
        if str(field.path) in LANGUAGE_PATHS:
            return language_name(value, self.language)
        if field.path == SDO.addressCountry:
            return in_language(country_names(value), self.language)
        return self._(WORDS[value]) if value in WORDS else self.interval(str(value))

    def interval(self, text: str) -> str:
        """An interval of ISO 8601 in words; any other text as it is."""
        found = _INTERVAL.fullmatch(text)
        if found is None:
            return text
        start, end = (None if part == ".." else part for part in found.groups())
        if start and end:
            return self._(_("{start} to {end}")).format(start=start, end=end)
        return self._(_("from {start}")).format(start=start) if start else self._(_("until {end}")).format(end=end)

    def nodes(self, inner: Inner, values: Sequence[Mapping[str, Any]]) -> Iterator[Value]:
        """Inner nodes in their order; claims that contradict each other together, where the first of them stands."""
        shown = {one["id"]: self.node(inner, one) for one in values}
        told: set[str] = set()
        for one in values:
            together = rivals_of(one["id"], values)
            if one["id"] in told:
                continue
            told |= together
            claims = tuple(shown[id] for id in shown if id in together)
            yield Rivals(claims) if len(claims) > 1 else claims[0]

    def node(self, inner: Inner, values: Mapping[str, Any]) -> Node:
        heading, left_out = self.node_heading(inner, values)
        rows: list[Row] = []
        if set(FIGURE) <= set(inner.by_key) and "value" in values:
            rows.append(Row("figure", self.heading(inner.by_key["value"]), (self.figure(values),)))
            left_out |= set(FIGURE)
        fields = [field for field in inner.fields if field.key not in left_out]
        return Node(values["id"], heading, (*rows, *self.rows(fields, values)))

    def node_heading(self, inner: Inner, values: Mapping[str, Any]) -> tuple[Wording | Link | None, set[str]]:
        """What leads a node, a source's link or a needed text, and the keys that need not be shown again."""
        if inner.cls == MG.Source and "url" in values:
            link = address(values["url"], self.language)
            title = in_language(values.get("source_title", {}), self.language)
            return Link(title or link.text, link.address, link.outside), {"url", "source_title"}
        leading = _leading(inner)
        if leading and leading.needed and leading.key in values:
            return self.wording(values[leading.key]), {leading.key}
        return None, set()

    def figure(self, values: Mapping[str, Any]) -> Wording:
        """Qualifier, value and unit as one reads them."""
        unit = self.wording(values["unit"]) if "unit" in values else Wording("", self.language)
        qualifier = values.get("qualifier")
        words = [self._(WORDS[qualifier]) if qualifier in WORDS else qualifier, values["value"], unit.text]
        return Wording(" ".join(word for word in words if word), unit.language)


def rivals_of(id: str, values: Sequence[Mapping[str, Any]]) -> set[str]:
    """A claim with all claims that contradict it, or that contradict one of those.

    >>> claims = [{"id": "a", "rivals": ["b"]}, {"id": "b"}, {"id": "c", "rivals": ["b"]}, {"id": "d"}]
    >>> sorted(rivals_of("a", claims)), rivals_of("d", claims)
    (['a', 'b', 'c'], {'d'})
    """
    pairs = {(one["id"], other) for one in values for other in one.get("rivals", ())}
    known = {one["id"] for one in values}
    found: set[str] = {id}
    while new := {b for a, b in pairs | {(b, a) for a, b in pairs} if a in found and b in known} - found:
        found |= new
    return found


def address(iri: str, language: str) -> Link:
    """A link to an address: ours by its path, others as they are; none for what a browser should not open."""
    if iri.startswith(DEFAULT_BASE) and (path := local_page(iri, language)):
        return Link(iri, path)
    opens = iri.startswith(("https://", "http://", "mailto:"))
    return Link(iri.removeprefix("https://").removeprefix("http://").rstrip("/"), iri if opens else None, outside=True)


def local_page(iri: str, language: str) -> str | None:
    """The page on which a term, a concept or a list of ours can be read; None for other addresses.

    >>> local_page("https://w3id.org/mentorgraph/concept/tie/own", "fr")
    '/page/concept/tie/own?lang=fr'
    >>> local_page("https://w3id.org/mentorgraph/ontology#Municipality", "en")
    '/ontology?lang=en#Municipality'
    """
    path, _, fragment = iri.removeprefix(DEFAULT_BASE).partition("#")
    if path.startswith("concept/"):
        return f"/page/{path}?lang={language}"
    if path in ("ontology", "themes", "schemes"):
        return f"/{path}?lang={language}" + (f"#{fragment}" if fragment else "")
    return None


def _labels(catalogue: Any, kind: Kind, record: Record, language: str) -> dict[str, dict[str, str]]:
    """What the records that this one refers to are called. One that is not public is missing."""
    wanted: dict[str, list[str]] = {}
    for field, value in _references(kind, record):
        wanted.setdefault(str(field.ref_kind), []).append(value)
    return _called(catalogue, wanted, language)


def _references(structure: Structure, values: Mapping[str, Any]) -> Iterator[tuple[Field, str]]:
    """Every reference to another record, at any depth."""
    for field in structure.fields:
        value = values.get(field.key)
        for one in value if isinstance(value, list) else [value] if value else []:
            if field.type == "ref":
                yield field, one
            elif field.inner is not None:
                yield from _references(field.inner, one)


def _referring(
    catalogue: Any, thing: URIRef, kind: str, id: str, language: str
) -> list[tuple[str, list[tuple[str, str]]]]:
    """Records that refer to this one: (kinds in plural words, [(label, address)]), by label."""
    record = record_iri(catalogue.base, kind, id)
    question = _REFERRING.format(thing=thing.n3(), record=record.n3(), limit=REFERRING_LIMIT)
    found: dict[str, list[str]] = {}
    for row in catalogue.graph.rows(question):
        ours = parse_thing_iri(catalogue.base, str(row["thing"]))
        if ours:
            found.setdefault(ours[0], []).append(ours[1])
    listed = []
    for name, labels in sorted(_called(catalogue, found, language).items()):
        entries = [(label, f"/page/{name}/{one}?lang={language}") for one, label in labels.items()]
        heading = in_language(declaration().kinds[name].label, language)
        listed.append((heading, sorted(entries, key=lambda entry: alphabetical(entry[0]))))
    return listed


def _called(catalogue: Any, wanted: Mapping[str, Sequence[str]], language: str) -> dict[str, dict[str, str]]:
    """What public records are called, by kind and identifier, in a question per kind.

    One without a label goes by the title that lists have for it, else by its identifier made readable.
    """
    heads = catalogue.ledger.referenced([(kind, id) for kind, ids in wanted.items() for id in ids])
    found: dict[str, dict[str, str]] = {}
    for kind, ids in wanted.items():
        public = [id for id in dict.fromkeys(ids) if _is_public(heads.get((kind, id)))]
        labels = catalogue.labels(kind, public, language)
        found[kind] = {id: labels.get(id) or _readable(id, heads[kind, id].published_title) for id in public}
    return found


def _is_public(head: Head | None) -> bool:
    return head is not None and head.published is not None and head.published_visibility == "public"


def _readable(id: str, title: str | None) -> str:
    return excerpt(title, LABEL_CHARS) if title and title != id else id.replace("--", " – ").replace("-", " ")
