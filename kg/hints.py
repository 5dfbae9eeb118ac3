"""While a practice is written: what resembles it, which themes and city its words name, what similar good records tell.

One embedding, one search, two small queries; nothing here reads all records for a call. Names of cities and titles of
drafts are kept in memory and follow the ledger.
"""

from __future__ import annotations

import re
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from rapidfuzz import fuzz

from kg.city_facts import country_names
from kg.errors import BadRequest, TooLarge, in_digits, quoted
from kg.fields import Kind, declaration, in_language
from kg.ledger import Ledger
from kg.quality import completeness_of, missing_fields
from kg.records import to_graph
from kg.search.text import fold, language_of, words
from kg.search.thesaurus import ThemeMatch
from kg.search.view import Found, NeedText

if TYPE_CHECKING:
    from kg.search.view import SearchView

DUPLICATE_PARTS: Mapping[str, float] = {"meaning": 0.45, "title": 0.30, "city": 0.15, "years": 0.10}
"""Weights of the parts of a duplicate's score. Among the 79 practices of the starting data the two closest different ones
reach .80 (StartWien and its hub), all other pairs at most .67; a copy with another first word of its title and every
second word of its text left out stays at .68 or above for 78 of 79."""

LIKELY, POSSIBLE = 0.80, 0.68
"""From these scores on a record is called a likely, or a possible, duplicate; without a known city or years, or with a
draft's title alone, the known parts decide."""

TITLE_ALONE = 85.0
"""Drafts of others are compared by title and city only: so alike, of 100, must titles be; .9 of it within one city."""

NAME_SHARED = 0.9
"""For titles in two languages with two words in common, of four letters or more: "Samen Inburgeren" in each. Between two languages a model
that is English at heart says nothing of meaning, so it is left out, and only a shared name or spelling makes a duplicate."""

NEIGHBOURS = 30
"""Practices looked at for duplicates and for what similar ones tell."""

SIMILAR = 10
GOOD_COMPLETENESS = 0.8
"""Similar records that have at least so much of what is asked for are taken as examples."""

TEXT_LIMIT_CHARACTERS = 400_000
READ_CHARACTERS = 2_000
"""So much of a text is embedded; a model reads the first 256 tokens anyway."""

DEPTH = 10
LONGEST_NAME = 8
DRAFTS_COMPARED = 300
_UNDER_WAY = ("draft", "submitted", "returned")
_TEXT_FIELDS = ("title", "problem", "action", "summary", "lessons", "core_elements", "difficulties", "success_factors")
_MAIN_FIELDS = ("title", "problem", "action")
_BEFORE_NAMES = ("city of ", "ville de ", "stad ", "stadt ", "comune di ", "ayuntamiento de ", "municipality of ")

_TEXTS = {
    "en": {
        "likely": "likely",
        "possible": "possible",
        "meaning": "its text says nearly the same ({percent} of 100)",
        "title": "its title is much alike ({percent} of 100): {title}",
        "city": "it is of the same city",
        "years": "the years overlap",
        "draft": "it is a draft that is not published yet",
        "theme": "Words that led to the theme “{label}”: {words}.",
        "theme meant": "No word names the theme “{label}”, but the text as a whole is close to it in meaning.",
        "city named": "“{words}” names {city} ({country}).",
        "several": "“{words}” may name {city} ({country}): other cities are called so, too.",
        "field": "{there} of {all} similar records that are well filled in tell this: {field}.",
    },
    "fr": {
        "likely": "probable",
        "possible": "possible",
        "meaning": "son texte dit presque la même chose ({percent} sur 100)",
        "title": "son titre est très proche ({percent} sur 100) : {title}",
        "city": "elle est de la même ville",
        "years": "les années se recoupent",
        "draft": "c'est un brouillon qui n'est pas encore publié",
        "theme": "Mots qui mènent au thème « {label} » : {words}.",
        "theme meant": "Aucun mot ne nomme le thème « {label} », mais le texte dans son ensemble en est proche par le sens.",
        "city named": "« {words} » désigne {city} ({country}).",
        "several": "« {words} » peut désigner {city} ({country}) : d'autres villes portent aussi ce nom.",
        "field": "{there} fiches semblables et bien remplies sur {all} le disent : {field}.",
    },
}


def _words(language: str) -> Mapping[str, str]:
    return _TEXTS.get(language, _TEXTS["en"])


@dataclass(frozen=True)
class Duplicate:
    """A practice that may be the one being written.

    `score` in [0, 1] is the mean of the known `parts`, each in [0, 1], by DUPLICATE_PARTS; a part that cannot be told
    (no years, no city) is left out. `state` is "published", or that of a draft.
    """

    id: str
    title: Mapping[str, str]
    state: str
    score: float
    parts: Mapping[str, float]

    @property
    def band(self) -> str:
        return "likely" if self.score >= LIKELY else "possible"

    def reason(self, language: str) -> str:
        """Why, in one sentence, in English or French; the strongest part first."""
        told = _words(language)
        strong = {"meaning": 0.6, "title": 0.6, "city": 1.0, "years": 1.0}
        names = sorted((name for name, value in self.parts.items() if value >= strong[name]), key=self._part_order)
        said = [
            told[name].format(percent=round(100 * self.parts[name]), title=in_language(self.title, language))
            for name in names
        ]
        said += [told["draft"]] if self.state != "published" else []
        sentence = ", ".join(said)
        return sentence[:1].upper() + sentence[1:] + "."

    def _part_order(self, name: str) -> tuple[float, str]:
        return -self.parts[name] * DUPLICATE_PARTS[name], name

    def as_json(self, language: str) -> dict[str, Any]:
        return {
            "id": self.id,
            "title": in_language(self.title, language),
            "state": self.state,
            "score": self.score,
            "band": self.band,
            "parts": dict(self.parts),
            "reason": self.reason(language),
        }


@dataclass(frozen=True)
class ThemeHint:
    """A theme that the text speaks of; `chosen` when the record has it already."""

    match: ThemeMatch
    label: Mapping[str, str]
    chosen: bool

    def as_json(self, language: str) -> dict[str, Any]:
        label = in_language(self.label, language) or self.match.theme
        listed = ", ".join(self.match.words)
        return {
            "id": self.match.theme,
            "label": label,
            "strength": round(self.match.strength, 3),
            "words": list(self.match.words),
            "chosen": self.chosen,
            "reason": _words(language)["theme" if listed else "theme meant"].format(words=listed, label=label),
        }


@dataclass(frozen=True)
class CityHint:
    """A city that the text names; `words` as they stand there, `ambiguous` when other cities have the same name."""

    id: str
    name: Mapping[str, str]
    country: str
    words: str
    field: str
    ambiguous: bool
    chosen: bool

    def as_json(self, language: str) -> dict[str, Any]:
        city, country = in_language(self.name, language), in_language(country_names(self.country), language)
        sentence = _words(language)["several" if self.ambiguous else "city named"]
        return {
            "id": self.id,
            "label": city,
            "country": self.country,
            "country_label": country,
            "words": self.words,
            "field": self.field,
            "ambiguous": self.ambiguous,
            "chosen": self.chosen,
            "reason": sentence.format(words=self.words, city=city, country=country),
        }


@dataclass(frozen=True)
class FieldHint:
    """A field that this record lacks and similar good ones have: `there` of `compared` ones, `examples` among them."""

    key: str
    label: Mapping[str, str]
    help: Mapping[str, str]
    there: int
    compared: int
    examples: tuple[str, ...]

    def as_json(self, language: str) -> dict[str, Any]:
        label = in_language(self.label, language)
        return {
            "field": self.key,
            "label": label,
            "help": in_language(self.help, language),
            "share": round(self.there / self.compared, 3),
            "examples": list(self.examples),
            "reason": _words(language)["field"].format(there=self.there, all=self.compared, field=label),
        }


@dataclass(frozen=True)
class Hints:
    """Everything there is to say about a practice while it is written; each list best first."""

    language: str
    duplicates: tuple[Duplicate, ...] = ()
    themes: tuple[ThemeHint, ...] = ()
    cities: tuple[CityHint, ...] = ()
    fields: tuple[FieldHint, ...] = ()

    def as_json(self, language: str = "en") -> dict[str, Any]:
        return {
            "language": self.language,
            "duplicates": [one.as_json(language) for one in self.duplicates],
            "themes": [one.as_json(language) for one in self.themes],
            "cities": [one.as_json(language) for one in self.cities],
            "fields": [one.as_json(language) for one in self.fields],
        }


# ----------------------------------------------------------------------------------- comparing two practices


@dataclass(frozen=True)
class Outline:
    """What two practices are compared by, besides their meaning."""

    titles: tuple[str, ...]
    city: str | None = None
    start: int | None = None
    end: int | None = None


def outline(record: Mapping[str, Any]) -> Outline:
    """The outline of a record: titles in every language, city, first and last year.

    >>> outline({"title": {"en": "Duos", "fr": "Duos"}, "city": "gent", "periods": [{"start": "2014"}, {"end": "2019"}]})
    Outline(titles=('duos',), city='gent', start=2014, end=2019)
    """
    periods = record.get("periods") or ()
    starts = [int(p["start"][:4]) for p in periods if str(p.get("start", ""))[:4].isdecimal()]
    ends = [int(p["end"][:4]) for p in periods if str(p.get("end", ""))[:4].isdecimal()]
    titles = dict.fromkeys(filter(None, map(fold, (record.get("title") or {}).values())))
    return Outline(tuple(titles), record.get("city"), min(starts, default=None), max(ends, default=None))


def duplicate_parts(a: Outline, b: Outline, meaning: float | None) -> dict[str, float]:
    """How alike two practices are, part by part, each in [0, 1]; what is unknown of either is left out.

    `title` is the best of all pairs of wordings: the share of letters that stay when words may change places
    (rapidfuzz's token_sort_ratio).

    >>> a, b = Outline(("buddy duos",), "gent", 2012, 2016), Outline(("duos: buddy",), "gent", 2017)
    >>> duplicate_parts(a, b, None)
    {'title': 0.952, 'city': 1.0, 'years': 0.0}
    """
    parts: dict[str, float] = {}
    if meaning is not None:
        parts["meaning"] = round(meaning, 3)
    if a.titles and b.titles:
        parts["title"] = round(max(fuzz.token_sort_ratio(x, y) for x in a.titles for y in b.titles) / 100, 3)
    if a.city and b.city:
        parts["city"] = float(a.city == b.city)
    if a.start and b.start:
        parts["years"] = float(a.start <= (b.end or 9999) and b.start <= (a.end or 9999))
    return parts


def duplicate_score(parts: Mapping[str, float]) -> float:
    """The weighted mean of the known parts, in [0, 1]; 0 when none is known.

    >>> duplicate_score({"meaning": 1.0, "title": 0.5})
    0.8
    """
    whole = sum(DUPLICATE_PARTS[name] for name in parts)
    return round(sum(DUPLICATE_PARTS[name] * value for name, value in parts.items()) / whole, 3) if whole else 0.0


# ------------------------------------------------------------------------------------------ names of cities


@dataclass(frozen=True)
class NamedCity:
    """A city with all its names."""

    id: str
    name: Mapping[str, str]
    names: tuple[str, ...]
    country: str


class CityNames:
    """Finds cities in a text by any of their names: case and accents do not matter, nor whether Greek is in Greek letters.

    >>> names = CityNames([NamedCity("levadia", {"en": "Levadia"}, ("Λιβαδειά", "Livadeia"), "GR"),
    ...                    NamedCity("mechelen", {"nl": "Mechelen"}, ("Malines",), "BE")])
    >>> [(words, city.id) for words, [city] in names.find("De MALINES à Livadeiá")]
    [('MALINES', 'mechelen'), ('Livadeiá', 'levadia')]
    >>> [(words, city.id) for words, [city] in names.find("στη Λιβαδειά")]
    [('Λιβαδειά', 'levadia')]
    """

    def __init__(self, cities: Iterable[NamedCity]) -> None:
        self._by_name: dict[tuple[str, ...], dict[str, NamedCity]] = defaultdict(dict)
        for city in cities:
            for name in {*city.name.values(), *city.names}:
                for form in _forms(name):
                    self._by_name[form][city.id] = city
        self._longest = min(LONGEST_NAME, max(map(len, self._by_name), default=0))

    def find(self, text: str) -> list[tuple[str, list[NamedCity]]]:
        """The names in a text, in order, each with the cities that are called so; of nested names the longest."""
        tokens = [(match[0], _latin(fold(match[0]))) for match in _WORD.finditer(text)]
        found, at = [], 0
        while at < len(tokens):
            length = next((n for n in range(self._longest, 0, -1) if self._named(tokens, at, n)), 0)
            if length:
                cities = self._named(tokens, at, length)
                found.append((" ".join(word for word, _ in tokens[at : at + length]), cities))
            at += length or 1
        return found

    def _named(self, tokens: Sequence[tuple[str, str]], at: int, length: int) -> list[NamedCity]:
        if at + length > len(tokens):
            return []
        found = self._by_name.get(tuple(folded for _, folded in tokens[at : at + length]), {})
        return [found[id] for id in sorted(found)]


_WORD = re.compile(r"[^\W_]+")


def _forms(name: str) -> Iterator[tuple[str, ...]]:
    """The ways a name may stand in a text: "City of Brussels" also as "Brussels", "Bilbao / Bilbo" as either."""
    for part in re.split(r"\s+/\s+", re.sub(r"\([^)]*\)", " ", name)):
        folded = fold(part)
        bare = next((folded.removeprefix(words) for words in _BEFORE_NAMES if folded.startswith(words)), folded)
        for form in {folded, bare}:
            tokens = tuple(_latin(word) for word in words(form))
            if tokens and len("".join(tokens)) > 2 and len(tokens) <= LONGEST_NAME:
                yield tokens


_GREEK_PAIRS = (
    ("γγ", "ng"), ("γξ", "nx"), ("γχ", "nch"), ("ου", "ou"), ("αυ", "av"), ("ευ", "ev"), ("μπ", "b"),
)  # fmt: skip
_GREEK = str.maketrans(dict(zip("αβγδεζηικλμνξοπρστυφωχψθ", [*"avgdeziiklmnxoprstyfo", "ch", "ps", "th"], strict=True)))


def _latin(folded: str) -> str:
    """A folded Greek word in Latin letters (ELOT 743, simplified); any other word as it is.

    >>> _latin("λιβαδεια"), _latin("θεσσαλονικη"), _latin("gent")
    ('livadeia', 'thessaloniki', 'gent')
    """
    if folded.isascii():
        return folded
    for pair, letters in _GREEK_PAIRS:
        folded = folded.replace(pair, letters)
    return folded.translate(_GREEK)


# ----------------------------------------------------------------------------------- what is kept in memory


class _Graph(Protocol):
    def rows(self, sparql: str) -> list[dict[str, str | None]]: ...


_CITIES = """
SELECT ?city ?property ?name ?country {
  ?city a schema:City ; schema:addressCountry ?country .
  VALUES ?property { rdfs:label schema:alternateName mg:localName }
  ?city ?property ?name
}"""

_THEME_LABELS = "SELECT ?theme ?label {{ VALUES ?theme {{ {themes} }} ?theme skos:prefLabel ?label }}"

_PRESENT = "SELECT DISTINCT ?practice ?property {{ VALUES ?practice {{ {practices} }} ?practice ?property ?value }}"


class DraftTitles:
    """Titles and cities of practices under way, findable by city and by words; follows the ledger.

    >>> from types import SimpleNamespace
    >>> drafts = DraftTitles()
    >>> drafts.take("practice", "gent--duos", "draft", "Buddy duos")
    >>> [(id, title) for id, title, state in drafts.near({"duos"}, None)]
    [('gent--duos', 'Buddy duos')]
    """

    def __init__(self) -> None:
        self._held: dict[str, tuple[str, str]] = {}
        self._by_word: dict[str, set[str]] = defaultdict(set)
        self._by_city: dict[str, set[str]] = defaultdict(set)

    def take(self, kind: str, id: str, state: str, title: str) -> None:
        """Take over the newest revision of a record."""
        if kind != "practice":
            return
        before = self._held.pop(id, None)
        for word in words(before[0]) if before else ():
            self._by_word[word].discard(id)
        if state in _UNDER_WAY:
            self._held[id] = (title, state)
            self._by_city[city_of_id(id)].add(id)
            for word in words(title):
                self._by_word[word].add(id)
        else:
            self._by_city[city_of_id(id)].discard(id)

    def near(self, asked: Iterable[str], city: str | None) -> list[tuple[str, str, str]]:
        """Identifier, title and state of drafts of a city, or that share words; rare words first, DRAFTS_COMPARED at most."""
        found = dict.fromkeys(sorted(self._by_city.get(city or "", ()))[:DRAFTS_COMPARED])
        for word in sorted(set(asked), key=lambda word: (len(self._by_word.get(word, ())), word)):
            if len(found) >= 2 * DRAFTS_COMPARED:
                break
            found.update(dict.fromkeys(sorted(self._by_word.get(word, ()))[:DRAFTS_COMPARED]))
        return [(id, *self._held[id]) for id in found]


def city_of_id(id: str) -> str:
    """The city that a practice's identifier begins with.

    >>> city_of_id("gent--duos"), city_of_id("duos")
    ('gent', '')
    """
    return id.partition("--")[0] if "--" in id else ""


class HintMemory:
    """Names of cities and titles of drafts as the ledger and the graph now have them; safe for several threads."""

    def __init__(self, graph: _Graph, ledger: Ledger, base: str, reached: Callable[[], int]) -> None:
        """`reached` gives the number of the last ledger row that is in the graph."""
        self._graph, self._ledger, self._base, self._reached = graph, ledger, base, reached
        self._cities_at = 0
        self._lock = threading.Lock()
        self._cities: CityNames | None = None
        self._drafts: DraftTitles | None = None
        self._seen = 0

    def cities(self) -> CityNames:
        """Read in one query when first asked for, and again after the graph has taken a change of a city."""
        with self._lock:
            reached = self._reached()
            if self._cities is None or self._cities_moved(reached):
                self._cities = CityNames(self._read_cities())
            self._cities_at = reached
            return self._cities

    def _cities_moved(self, reached: int) -> bool:
        """Whether a row that the graph has taken since may have changed a city's names; a rebuilt graph may have all."""
        at = self._cities_at
        while at < reached:
            revisions = self._ledger.since(at)
            if any(revision.kind == "city" for revision in revisions if revision.number <= reached):
                return True
            at = revisions[-1].number if revisions else reached
        return self._cities_at > reached

    def drafts_near(self, asked: Iterable[str], city: str | None) -> list[tuple[str, str, str]]:
        """As `DraftTitles.near`; all titles are read page by page when first asked for, then only what is new."""
        with self._lock:
            if self._drafts is None:
                self._drafts = self._read_drafts()
            while revisions := self._ledger.since(self._seen):
                for revision in revisions:
                    self._drafts.take(revision.kind, revision.id, revision.state, revision.title)
                self._seen = revisions[-1].number
            return self._drafts.near(asked, city)

    def _read_drafts(self) -> DraftTitles:
        self._seen = self._ledger.last_number()
        drafts = DraftTitles()
        for state in _UNDER_WAY:
            after: str | None = None
            while page := self._ledger.list("practice", state=state, after_id=after, limit=1_000):
                for head in page:
                    drafts.take("practice", head.id, head.state, head.title)
                after = page[-1].id
        return drafts

    def _read_cities(self) -> Iterator[NamedCity]:
        named: dict[str, dict[str, str]] = defaultdict(dict)
        other: dict[str, list[str]] = defaultdict(list)
        countries: dict[str, str] = {}
        for row in self._graph.rows(_CITIES):
            city, name = str(row["city"]).rpartition("/")[2], str(row["name"])
            countries[city] = str(row["country"])
            if row.get("name@lang"):
                named[city][str(row["name@lang"])] = name
            else:
                other[city].append(name)
        for city in sorted(countries):
            yield NamedCity(city, named[city] or {"en": city}, tuple(sorted(other[city])), countries[city])

    def theme_labels(self, themes: Sequence[str]) -> dict[str, dict[str, str]]:
        """Labels of themes by language."""
        if not themes:
            return {}
        things = " ".join(f"<{self._base}id/theme/{id}>" for id in sorted(themes))
        found: dict[str, dict[str, str]] = defaultdict(dict)
        for row in self._graph.rows(_THEME_LABELS.format(themes=things)):
            found[str(row["theme"]).rpartition("/")[2]][str(row.get("label@lang") or "en")] = str(row["label"])
        return dict(found)

    def present(self, practices: Sequence[str]) -> dict[str, set[str]]:
        """Which fields each of some published practices has."""
        if not practices:
            return {}
        kind = declaration().kind("practice")
        things = " ".join(f"<{self._base}id/practice/{id}>" for id in sorted(practices))
        found: dict[str, set[str]] = defaultdict(set)
        for row in self._graph.rows(_PRESENT.format(practices=things)):
            if field := kind.by_path.get(str(row["property"])):
                found[str(row["practice"]).rpartition("/")[2]].add(field.key)
        return dict(found)


# ------------------------------------------------------------------------------------------------- hints


def practice_hints(
    record: Mapping[str, Any],
    *,
    search: SearchView,
    memory: HintMemory,
    drafts: bool = False,
    limit: int = 5,
    told_in: str = "en",
) -> Hints:
    """What can be said about a practice while it is written; three words of a title are enough.

    `record` is the draft as plain JSON; kind and identifier may be missing. Problems are told in `told_in`. With `drafts`, records that are not published are compared too: only for those who may see them.

    Raises InvalidRecord with every problem of form, BadRequest for what is no practice, TooLarge over
    TEXT_LIMIT_CHARACTERS of text.
    """
    record = _checked(record, told_in)
    language, asked = _asked_text(record)
    found: tuple[Found, ...] = ()
    themes: tuple[ThemeHint, ...] = ()
    if asked:
        answer = search.find_many([NeedText(asked, language)], limit=NEIGHBOURS + 1)[0]
        found = tuple(one for one in answer.found if one.practice != record["id"])
        chosen = set(record.get("themes", ()))
        labels = memory.theme_labels([match.theme for match in answer.understood.themes])
        themes = tuple(ThemeHint(m, labels.get(m.theme, {}), m.theme in chosen) for m in answer.understood.themes)
    under_way = _draft_duplicates(record, memory) if drafts else ()
    duplicates = {
        one.id: one
        for one in (*under_way, *published_duplicates(record, found, multilingual=search.embedder.multilingual))
    }
    best = sorted(duplicates.values(), key=lambda one: (-one.score, one.id))[:limit]
    return Hints(
        language=language or language_of(asked)[0],
        duplicates=tuple(best),
        themes=themes,
        cities=tuple(_cities(record, memory.cities()))[:limit],
        fields=_field_hints(record, found, memory),
    )


def _checked(record: Any, language: str) -> dict[str, Any]:
    """The draft with kind and identifier, its form checked as for saving."""
    if not isinstance(record, Mapping):
        raise BadRequest(
            {
                "en": f"a practice is an object with fields, not {quoted(record)}",
                "fr": f"une pratique est un objet avec des champs, non {quoted(record)}",
            }
        )
    if record.get("kind", "practice") != "practice":
        raise BadRequest(
            {
                "en": f"kind: hints are for practices, not {quoted(record['kind'])}",
                "fr": f"kind : les conseils sont pour les pratiques, non {quoted(record['kind'])}",
            }
        )
    id = record.get("id")
    whole = {**record, "kind": "practice", "id": "new" if id in (None, "") else id}
    _refuse_too_long(whole)
    to_graph(whole, "https://check.invalid/", language=language)
    return {key: value for key, value in whole.items() if value is not None}


def _refuse_too_long(record: Mapping[str, Any]) -> None:
    """Counts without recursion: a hostile body may be nested thousands of levels deep."""
    waiting: list[tuple[Any, int]] = [(record, 0)]
    characters = 0
    while waiting:
        one, depth = waiting.pop()
        if isinstance(one, (Mapping, list)):
            if depth > DEPTH:
                raise BadRequest(
                    {
                        "en": f"the record is nested more than {DEPTH} levels deep; no practice is",
                        "fr": f"la fiche est imbriquée sur plus de {DEPTH} niveaux ; aucune pratique ne l’est",
                    }
                )
            parts = [*one.keys(), *one.values()] if isinstance(one, Mapping) else one
            waiting += [(part, depth + 1) for part in parts]
            characters += len(one)
        elif isinstance(one, str):
            characters += len(one)
        if characters > TEXT_LIMIT_CHARACTERS:
            raise TooLarge(
                {
                    "en": f"the record has more than {TEXT_LIMIT_CHARACTERS:,} characters; give its main points",
                    "fr": f"la fiche a plus de {in_digits(TEXT_LIMIT_CHARACTERS)} caractères ; donnez l’essentiel",
                }
            )


def _asked_text(record: Mapping[str, Any]) -> tuple[str | None, str]:
    """Language and words that stand for the record: title, problem and action in one language."""
    texts = [record[key] for key in (*_MAIN_FIELDS, "summary") if record.get(key)]
    tags = Counter(tag for text in texts for tag in text)
    own = record.get("language")
    if not tags:
        return own, ""
    tag = own if own in tags else max(sorted(tags), key=lambda tag: tags[tag])
    told = " ".join(text[tag].strip().rstrip(".") + "." for text in texts if text.get(tag, "").strip())
    return tag, told[:READ_CHARACTERS].strip()


def published_duplicates(
    record: Mapping[str, Any], found: Iterable[Found], *, multilingual: bool
) -> Iterator[Duplicate]:
    """Those of the practices found for a record that may be the same; `multilingual` says so of the model that found them."""
    asked, tags = outline(record), (record.get("title") or {}).keys()
    for one in found:
        other = Outline(tuple(map(fold, one.title.values())), one.city, one.start, one.end)
        foreign = not multilingual and bool(tags) and not tags & one.title.keys()
        parts = duplicate_parts(asked, other, None if foreign else one.signals.get("dense"))
        if foreign and "title" in parts:
            parts["title"] = _shared_names(asked.titles, other.titles)
        score = duplicate_score(parts)
        # A title alone says little of the meaning: the same one in the same city is named all the same.
        namesake = parts.get("title", 0.0) >= NAME_SHARED and parts.get("city", 0.0) == 1.0
        if (score >= POSSIBLE or namesake) and not (foreign and parts.get("title", 0.0) < NAME_SHARED):
            yield Duplicate(one.practice, one.title, "published", score, parts)


def _shared_names(titles: Iterable[str], others: Sequence[str]) -> float:
    """How alike titles in two languages are: words that both have are names, and the rest is translated.

    >>> _shared_names(("samen inburgeren : binomes citoyens",), ("samen inburgeren (buddy duos)",))
    0.9
    """
    pairs = [(x, y) for x in titles for y in others]
    named = any(len([word for word in {*words(x)} & {*words(y)} if len(word) > 3]) > 1 for x, y in pairs)
    return NAME_SHARED if named else round(max(fuzz.token_sort_ratio(x, y) for x, y in pairs) / 100, 3)


def _draft_duplicates(record: Mapping[str, Any], memory: HintMemory) -> Iterator[Duplicate]:
    """Practices under way with much the same title."""
    asked = outline(record)
    if not asked.titles:
        return
    near = memory.drafts_near([word for title in asked.titles for word in words(title)], asked.city)
    for id, title, state in near:
        city = city_of_id(id) or None
        parts = duplicate_parts(asked, Outline((fold(title),), city), None)
        least = TITLE_ALONE * (0.9 if parts.get("city") else 1.0) / 100
        if id != record["id"] and parts.get("title", 0.0) >= least:
            yield Duplicate(id, {"en": title}, state, duplicate_score(parts), parts)


def _cities(record: Mapping[str, Any], names: CityNames) -> Iterator[CityHint]:
    """The cities that the record's texts name, in the order of the form, each once."""
    seen: set[str] = set()
    for key in _TEXT_FIELDS:
        for text in (record.get(key) or {}).values():
            for written, cities in names.find(text):
                for city in cities:
                    if city.id not in seen:
                        seen.add(city.id)
                        chosen = city.id == record.get("city")
                        yield CityHint(city.id, city.name, city.country, written, key, len(cities) > 1, chosen)


def _field_hints(record: Mapping[str, Any], found: Sequence[Found], memory: HintMemory) -> tuple[FieldHint, ...]:
    """Fields that most of the similar good records have and this one lacks, the commonest first."""
    kind = declaration().kind("practice")
    present = memory.present([one.practice for one in found[:SIMILAR]])
    good = [id for id in present if _is_good(present[id], kind)]
    own = {key for key, value in record.items() if value not in ("", [], {})}
    counts = Counter(key for id in good for key in present[id] - own)
    hints = [
        FieldHint(
            key, field.label, field.help, counts[key], len(good), tuple(id for id in good if key in present[id])[:3]
        )
        for key, field in kind.by_key.items()
        if key != "record" and counts[key] * 2 > len(good)
    ]
    return tuple(sorted(hints, key=lambda hint: -hint.there))


def _is_good(present: set[str], kind: Kind) -> bool:
    return completeness_of(missing_fields(present, kind), kind) >= GOOD_COMPLETENESS
