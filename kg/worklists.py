"""Lists of what curators may mend next, page by page, each entry with its reason.

A page walks records by identifier from its cursor on: a bounded number of the ledger's heads is read, one query asks the
graph which of them may belong here, and of those the records themselves decide. So a page costs the same at 100,000
practices as at a hundred, whatever the list; a page may be short, or empty, and still have a next one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from kg.claims import FlagAnswers, contradictions, with_answers
from kg.errors import BadRequest, NotFound, quoted
from kg.fields import declaration, in_language
from kg.hints import Duplicate, published_duplicates
from kg.ledger import Head
from kg.quality import missing_fields, months_between, verified_on
from kg.records import LANGUAGE_TAG, SLUG, Record, from_ntriples

if TYPE_CHECKING:
    from kg.catalogue import Catalogue

MONTHS = 24
"""A record verified longer ago is to be looked at again."""

WALKED = 4_000
"""Heads looked at for a page."""

AT_ONCE = 500
READ = 200
"""Records read for a page: each costs about a millisecond."""

NEIGHBOURS = 10
PROBABLE = 0.75
"""In the starting data StartWien and its hub reach .81, the next pair, NGO House and We are Rigans, .70: different things."""

COMPARED = 60
"""Practices compared with their neighbours for a page: each costs about ten milliseconds."""

_TEXTS = {
    "en": {
        "missing": "Missing: {fields}.",
        "never": "Nobody has noted when it was last verified.",
        "long ago": "Last verified on {day}; full months since: {months}.",
        "top": "It has only top themes ({themes}); choose narrower ones.",
        "deprecated": "It has themes that are deprecated ({themes}); choose those that replace them.",
        "duplicate": "Probably the same as {other}. {why}",
        "label": "There is no label in the language “{language}”.",
        "unused": "No practice has this theme or a narrower one.",
        "level": "Its link to {where} ({link}) leads to {area}: the figure read there counts that, not the municipality.",
        "shared": "{others} has the same link to {where} ({link}): it fits one of them at most.",
        "urban-area": "the urban area",
        "region": "the region",
        "reopened": "{reason} A value has changed since this was answered.",
        "answered": "{reason} Answered: {note}",
    },
    "fr": {
        "missing": "Manque : {fields}.",
        "never": "Personne n'a noté quand elle a été vérifiée en dernier.",
        "long ago": "Vérifiée en dernier le {day} ; mois entiers depuis : {months}.",
        "top": "Elle n'a que des thèmes de premier niveau ({themes}) ; choisissez-en de plus précis.",
        "deprecated": "Elle a des thèmes abandonnés ({themes}) ; choisissez ceux qui les remplacent.",
        "duplicate": "Sans doute la même que {other}. {why}",
        "label": "Il n'y a pas de libellé dans la langue « {language} ».",
        "unused": "Aucune pratique n'a ce thème ni un thème plus précis.",
        "level": "Son lien vers {where} ({link}) mène à {area} : le chiffre lu là compte ce territoire, et non la commune.",
        "shared": "{others} a le même lien vers {where} ({link}) : il ne convient qu'à une seule au plus.",
        "urban-area": "l'agglomération",
        "region": "la région",
        "reopened": "{reason} Une valeur a changé depuis la réponse.",
        "answered": "{reason} Réponse : {note}",
    },
}


@dataclass(frozen=True)
class Entry:
    """A record to look at, and why, in the language asked for; `details` for programs, in the list's own form."""

    kind: str
    id: str
    title: str
    state: str
    reason: str
    details: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "id": self.id,
            "title": self.title,
            "state": self.state,
            "reason": self.reason,
            "details": dict(self.details),
        }


@dataclass(frozen=True)
class Worklist:
    """A page of a work list. `next` is the cursor of the page after it, None at the end; `walked` counts heads looked at."""

    name: str
    kind: str
    entries: tuple[Entry, ...]
    next: str | None
    walked: int

    def as_json(self, language: str = "en") -> dict[str, Any]:
        return {
            "name": self.name,
            "kind": self.kind,
            "language": language,
            "results": [entry.as_json() for entry in self.entries],
            "next": self.next,
            "walked": self.walked,
        }


@dataclass(frozen=True)
class _Question:
    """What a list is made with."""

    catalogue: Catalogue
    kind: str
    language: str
    labels: str
    as_of: date
    answered: bool
    words: Mapping[str, str]


Judge = Callable[["_Question", Record], "tuple[str, Mapping[str, Any]] | None"]
"""The reason why a record belongs into a list, with its details; None when it does not."""


@dataclass(frozen=True)
class _List:
    """A list: the kinds it is for (none: all, practices first), what a record in the graph must look like to be read, and what decides."""

    kinds: tuple[str, ...]
    pattern: Callable[[_Question], str]
    judge: Judge
    read: int = READ


def worklist(
    name: str,
    catalogue: Catalogue,
    language: str = "en",
    limit: int = 50,
    cursor: str | None = None,
    *,
    kind: str | None = None,
    labels: str | None = None,
    drafts: bool = False,
    answered: bool = False,
    as_of: date | None = None,
) -> Worklist:
    """One page of a list of NAMES, by identifier, with reasons in `language` ("en" or "fr").

    `kind` is that of the records, by default the list's first. `labels` is the language in which "labels-missing"
    looks for labels, by default `language`. Without `drafts` the published, public version of each record is judged;
    with them the newest of every record that is not withdrawn, whoever may see it: only for those who may see all. `answered`
    keeps contradictions that a curator has answered.

    Raises NotFound for a list that is none, BadRequest for a kind, limit, cursor or language that cannot be used.

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from kg.catalogue import Catalogue
    >>> with TemporaryDirectory() as tmp, Catalogue.create(Path(tmp) / "data") as catalogue:
    ...     page = worklist("labels-missing", catalogue, labels="lv", limit=1)
    >>> page.entries[0].reason
    'There is no label in the language “lv”.'
    """
    made = _LISTS.get(name)
    if made is None:
        raise NotFound(
            {
                "en": f"there is no work list {quoted(name)}; there are: {', '.join(NAMES)}",
                "fr": f"il n’y a pas de liste de travail {quoted(name)} ; il y a : {', '.join(NAMES)}",
            }
        )
    kind = declaration().kind(kind).name if kind else (made.kinds or ("practice",))[0]
    if made.kinds and kind not in made.kinds:
        raise BadRequest(
            {
                "en": f"kind: the list {name} is for {', '.join(made.kinds)}, not {quoted(kind)}",
                "fr": f"kind : la liste {name} est pour {', '.join(made.kinds)}, non {quoted(kind)}",
            }
        )
    if not 1 <= limit <= 200:
        raise BadRequest(
            {
                "en": f"limit: give a number from 1 to 200, not {limit}",
                "fr": f"limit : donnez un nombre de 1 à 200, non {limit}",
            }
        )
    if cursor is not None and (len(cursor) > 120 or not SLUG.fullmatch(cursor)):
        raise BadRequest(
            {
                "en": f"cursor: {quoted(cursor)} was not given by a page of this list",
                "fr": f"cursor : {quoted(cursor)} ne vient d’aucune page de cette liste",
            }
        )
    labels = labels or language
    if not LANGUAGE_TAG.fullmatch(labels):  # it is written into a query
        raise BadRequest(
            {
                "en": f"labels: {quoted(labels)} is no language tag; write for example 'lv'",
                "fr": f"labels : {quoted(labels)} n’est pas un code de langue ; écrivez par exemple 'lv'",
            }
        )
    today = as_of or datetime.now(UTC).date()
    asked = _Question(catalogue, kind, language, labels, today, answered, _TEXTS.get(language, _TEXTS["en"]))
    return _page(name, made, asked, limit, cursor, drafts)


def _page(name: str, made: _List, asked: _Question, limit: int, cursor: str | None, drafts: bool) -> Worklist:
    """Walk heads until there are enough entries, or enough work was done."""
    entries: list[Entry] = []
    walked = read = 0
    after = cursor
    while walked < WALKED:
        heads = _heads(asked, after, drafts)
        if not heads:
            return Worklist(name, asked.kind, tuple(entries), None, walked)
        hopeful = _hopeful(made, asked, heads, drafts)
        for head in heads:
            if head.id in hopeful:
                if len(entries) == limit or read == made.read:
                    return Worklist(name, asked.kind, tuple(entries), after, walked)
                read += 1
                found = made.judge(asked, _record(asked, head, drafts))
                if found is not None:
                    entries.append(_entry(head, found, drafts))
            after, walked = head.id, walked + 1
    more = _heads(asked, after, drafts, limit=1)
    return Worklist(name, asked.kind, tuple(entries), after if more else None, walked)


def _heads(asked: _Question, after: str | None, drafts: bool, limit: int = AT_ONCE) -> list[Head]:
    """The next heads that the list is about; a page of withdrawn records alone is passed over."""
    ledger = asked.catalogue.ledger
    if not drafts:
        return ledger.list(asked.kind, after_id=after, limit=limit, published=True, visibility="public")
    while heads := ledger.list(asked.kind, after_id=after, limit=limit):
        if kept := [head for head in heads if head.state not in ("withdrawn", "merged")]:
            return kept
        after = heads[-1].id
    return []


def _hopeful(made: _List, asked: _Question, heads: Sequence[Head], drafts: bool) -> set[str]:
    """Identifiers of the records that may belong into the list; what the graph does not have is read always."""
    shown = [head.id for head in heads if not drafts or _in_graph(head)]
    base = f"{asked.catalogue.base}id/{asked.kind}/"
    found = {head.id for head in heads} - set(shown)
    if shown:
        things = " ".join(f"<{base}{id}>" for id in shown)
        query = f"SELECT DISTINCT ?thing {{ VALUES ?thing {{ {things} }} {made.pattern(asked)} }}"
        found |= {str(row["thing"]).rpartition("/")[2] for row in asked.catalogue.graph.rows(query)}
    return found


def _in_graph(head: Head) -> bool:
    """Whether the newest version of a record is the one that the graph has."""
    return head.number == head.published and head.published_visibility == "public"


def _record(asked: _Question, head: Head, drafts: bool) -> Record:
    number = head.number if drafts else head.published
    assert number is not None
    payload = asked.catalogue.ledger.revision(number).payload
    if not payload:  # erased by law
        return {"kind": head.kind, "id": head.id}
    return from_ntriples(payload, asked.catalogue.base)


def _entry(head: Head, found: tuple[str, Mapping[str, Any]], drafts: bool) -> Entry:
    title = (head.title if drafts else head.published_title) or head.id
    return Entry(head.kind, head.id, title, head.state if drafts else "published", *found)


# ------------------------------------------------------------------------------------------------ lists


def _lacks_something(asked: _Question) -> str:
    """Each gap is a test of one record (20 ms for 500): as a UNION it is worked out for all records first."""
    fields = [field for field in declaration().kind(asked.kind).fields if field.needed]
    return _any_of("NOT EXISTS", (f"{{ ?thing <{field.path}> ?any }}" for field in fields))


def _any_of(test: str, patterns: Iterable[str]) -> str:
    return f"FILTER({' || '.join(f'{test} {pattern}' for pattern in patterns) or 'false'})"


def _judge_complete(asked: _Question, record: Record) -> tuple[str, Mapping[str, Any]] | None:
    kind = declaration().kind(asked.kind)
    missing = missing_fields({key for key, value in record.items() if value not in (None, "", [], {})}, kind)
    if not missing:
        return None
    labels = [in_language(kind.by_key[key].label, asked.language) for key in missing]
    return asked.words["missing"].format(fields=", ".join(labels)), {"missing": list(missing)}


def _verified_long_ago(asked: _Question) -> str:
    """A month of grace, so that the comparison of texts only passes over what is surely young; the record decides."""
    year, month = divmod(asked.as_of.year * 12 + asked.as_of.month - 1 - MONTHS, 12)
    young = f"{year:04}-{month + 1:02}-31"
    return f'FILTER NOT EXISTS {{ ?thing foaf:isPrimaryTopicOf/mg:verifiedOn ?day FILTER(STR(?day) > "{young}") }}'


def _judge_verified(asked: _Question, record: Record) -> tuple[str, Mapping[str, Any]] | None:
    day = verified_on(record)
    if day is None:
        return asked.words["never"], {"verified_on": None, "months": None}
    months = months_between(day, asked.as_of)
    if months < MONTHS:
        return None
    said = asked.words["long ago"].format(day=day.isoformat(), months=months)
    return said, {"verified_on": day.isoformat(), "months": months}


_TOP_OR_OLD = """
  { ?thing dcterms:subject ?theme FILTER NOT EXISTS { ?thing dcterms:subject/skos:broader ?above } }
  UNION { ?thing dcterms:subject/owl:deprecated ?old FILTER(STR(?old) IN ("true", "1")) }"""


def _judge_themes(asked: _Question, record: Record) -> tuple[str, Mapping[str, Any]] | None:
    """Only themes at the top say little, and a deprecated one leads nowhere any more."""
    themes = record.get("themes", [])
    if not themes:
        return None
    things = " ".join(f"<{asked.catalogue.base}id/theme/{id}>" for id in themes)
    rows = asked.catalogue.graph.rows(
        f"SELECT ?theme ?above ?old {{ VALUES ?theme {{ {things} }} "
        "OPTIONAL { ?theme skos:broader ?above } OPTIONAL { ?theme owl:deprecated ?old } }"
    )
    old = [str(row["theme"]).rpartition("/")[2] for row in rows if row.get("old") in ("true", "1")]
    if not old and any(row.get("above") for row in rows):
        return None
    listed = old or list(themes)
    labels = asked.catalogue.labels("theme", listed, asked.language)
    named = ", ".join(labels.get(theme, theme) for theme in listed)
    return asked.words["deprecated" if old else "top"].format(themes=named), {"themes": listed}


def _may_contradict(asked: _Question) -> str:
    """Two claims of one sort: whether they contradict each other is for the claims themselves to tell."""
    sorts = ("mg:outcome", "mg:period", "mg:cost", "mg:funding", "mg:observation")
    return _any_of("EXISTS", (f"{{ ?thing {sort} ?a , ?b FILTER(STR(?a) < STR(?b)) }}" for sort in sorts))


def _judge_claims(asked: _Question, record: Record) -> tuple[str, Mapping[str, Any]] | None:
    flags = contradictions(record)
    if flags:
        flags = with_answers(flags, FlagAnswers(asked.catalogue.ledger).answers_of(asked.kind, record["id"]))
    shown = [flag for flag in flags if asked.answered or flag.state != "answered"]
    if not shown:
        return None
    said = []
    for flag in shown:
        words = asked.words.get(flag.state, "{reason}")
        note = (flag.answer.note or flag.answer.verdict) if flag.answer else ""
        said.append(words.format(reason=flag.reason(asked.language), note=note))
    return " ".join(said), {"flags": [flag.as_json(asked.language) for flag in shown]}


def _judge_duplicates(asked: _Question, record: Record) -> tuple[str, Mapping[str, Any]] | None:
    """Neighbours in the index that are alike; of a pair the later by identifier is told, at the earlier one."""
    pairs = _alike(asked.catalogue, record)
    if not pairs:
        return None
    best = pairs[0]
    other = in_language(best.title, asked.language) or best.id
    said = asked.words["duplicate"].format(other=f"{other} ({best.id})", why=best.reason(asked.language))
    return said, {"duplicates": [one.as_json(asked.language) for one in pairs]}


def _alike(catalogue: Catalogue, record: Record) -> list[Duplicate]:
    """Records that may be the same, best first; what the search view does not have is compared as it is written."""
    try:
        found = catalogue.search.similar(record["id"], limit=NEIGHBOURS)
    except NotFound:
        return list(catalogue.hints(record, drafts=True).duplicates)
    alike = published_duplicates(record, found, multilingual=catalogue.search.embedder.multilingual)
    alike = (one for one in alike if one.id > record["id"] and one.score >= PROBABLE)
    return sorted(alike, key=lambda one: (-one.score, one.id))


def _lacks_label(asked: _Question) -> str:
    return f'FILTER NOT EXISTS {{ ?thing skos:prefLabel ?label FILTER(LANGMATCHES(LANG(?label), "{asked.labels}")) }}'


def _judge_label(asked: _Question, record: Record) -> tuple[str, Mapping[str, Any]] | None:
    wanted = asked.labels.lower()
    tags = [tag.lower() for tag in record.get("label", {})]
    if record.get("deprecated") or any(tag == wanted or tag.startswith(f"{wanted}-") for tag in tags):
        return None
    return asked.words["label"].format(language=asked.labels), {"language": asked.labels}


_UNUSED = "FILTER NOT EXISTS { ?practice dcterms:subject ?thing ; mg:practisedIn ?city }"
"""Of the theme alone: with the narrower ones in one path the engine walks all practices for each theme (minutes)."""


def _judge_unused(asked: _Question, record: Record) -> tuple[str, Mapping[str, Any]] | None:
    rows = asked.catalogue.graph.rows
    theme = f"<{asked.catalogue.base}id/theme/{record['id']}>"
    below = [str(row["theme"]) for row in rows(f"SELECT DISTINCT ?theme {{ ?theme skos:broader+ {theme} }}")]
    themes = [theme, *(f"<{iri}>" for iri in below)]
    unused = rows(f"SELECT DISTINCT ?thing {{ VALUES ?thing {{ {' '.join(themes)} }} {_UNUSED} }}")
    return (asked.words["unused"], {}) if len(unused) == len(set(themes)) and not record.get("deprecated") else None


_OTHER_LEVELS = ("urban-area", "region")
_PLACES = {"geonames": "GeoNames", "wikidata": "Wikidata"}

_MISPLACED = f"""
  {{ ?thing mg:observation/mg:boundary ?counted FILTER(STR(?counted) IN ("{'", "'.join(_OTHER_LEVELS)}")) }}
  UNION {{ ?thing mg:geonames ?link . ?other mg:geonames ?link FILTER(?other != ?thing) }}
  UNION {{ ?thing mg:wikidata ?link . ?other mg:wikidata ?link FILTER(?other != ?thing) }}"""


def _judge_links(asked: _Question, record: Record) -> tuple[str, Mapping[str, Any]] | None:
    """A link that a figure of another area was read at leads to that area; one that two places share fits one at most.

    Nothing is looked up: what nobody has noted is not found.
    """
    reasons, links = [], []
    for key, where in _PLACES.items():
        link = record.get(key)
        if not link:
            continue
        read_there = [one for one in record.get("observations", ()) if one.get("observation_source") == link]
        areas = sorted({one["boundary"] for one in read_there if one.get("boundary") in _OTHER_LEVELS})
        others = _with_the_same(asked, record["id"], key)
        reasons += [asked.words["level"].format(where=where, link=link, area=asked.words[area]) for area in areas]
        if others:
            reasons.append(asked.words["shared"].format(where=where, link=link, others=", ".join(others)))
        if areas or others:
            links.append({"field": key, "link": link, "leads_to": areas, "shared_with": others})
    return (" ".join(reasons), {"links": links}) if links else None


def _with_the_same(asked: _Question, id: str, key: str) -> list[str]:
    """Other published cities with the same link, by identifier."""
    city = f"<{asked.catalogue.base}id/city/{id}>"
    query = f"SELECT ?other {{ {city} mg:{key} ?link . ?other mg:{key} ?link FILTER(?other != {city}) }}"
    return sorted({str(row["other"]).rpartition("/")[2] for row in asked.catalogue.graph.rows(query)})


_LISTS = {
    "incomplete": _List((), _lacks_something, _judge_complete),
    "unverified": _List((), _verified_long_ago, _judge_verified),
    "only-top-themes": _List(("practice",), lambda asked: _TOP_OR_OLD, _judge_themes),
    "contradicting-claims": _List(("practice", "city", "mentorship"), _may_contradict, _judge_claims),
    "probable-duplicates": _List(
        ("practice",), lambda asked: "?thing mg:practisedIn ?city", _judge_duplicates, COMPARED
    ),
    "labels-missing": _List(("theme",), _lacks_label, _judge_label),
    "themes-without-practice": _List(("theme",), lambda asked: _UNUSED, _judge_unused),
    "place-links": _List(("city",), lambda asked: _MISPLACED, _judge_links),
}
NAMES = tuple(_LISTS)
