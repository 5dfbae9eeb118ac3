"""Themes and their labels in many languages: which themes a text is about, and a bridge from its language to English.

The same class holds our own themes and, as further vocabulary, any SKOS thesaurus.
"""

from __future__ import annotations

import bz2
import gzip
import io
import math
import zlib
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from kg.errors import TooLarge, UnreadableInput, quoted
from kg.search.text import likely_languages, stem, stemmed_well, stop_words, words

LEAST_STRENGTH = 0.25
"""Weaker matches are not told. Half of a label's weight gives so much; with the power of two below, 39 of 40 needs in
eight languages find a theme of their branch among the first three (with .35 it is 33), a quarter of those told is wrong."""

UNCERTAIN_LANGUAGE = 0.7
"""Strength of a match in a language the text may be written in, against 1 for the language it is written in."""

LEAST_LIKENESS = 0.6
"""Two words that share so much of their trigrams count as forms of one word, with this strength."""

COMPOUND_LIKENESS = 0.7
COMPOUNDING = frozenset(["da", "de", "et", "fi", "hu", "nl", "no", "sv"])
"""Languages that write compounds as one word."""

STRICT_LIKENESS = 0.7
"""Asked in other languages with a good stemmer: "habitants" is not "habitat", and many needs speak of inhabitants."""

COVERAGE_POWER = 2.0
BRIDGE_LABELS = 16
BRIDGE_STRENGTH = 0.3
"""Generous, because a wrong label costs little: with GEMET, nDCG@10 of character n-grams on the 135 cross-lingual needs
of suggest-dev is .31 without labels, .42 from strength .6, 8 at most, .47 from .3, 16 at most."""

FILE_LIMIT_BYTES = 500_000_000
MOST_LABELS = 1_000_000
"""About 200 MB of memory; EuroVoc has 400,000 in 24 languages."""

LABEL_LIMIT_CHARACTERS = 500
XML_DEPTH = 100

_SKOS = "http://www.w3.org/2004/02/skos/core#"
_MAPPINGS = {"exactMatch": "exact", "closeMatch": "close"}
_FORMATS = {".nt": "N_TRIPLES", ".ttl": "TURTLE", ".rdf": "RDF_XML", ".xml": "RDF_XML", ".nq": "N_QUADS"}


@dataclass(frozen=True)
class ThemeMatch:
    """A theme found in a text: by which label in which language, through which words of the text.

    `strength` lies in (0, 1]: 1 when all words of a label stand in the text. `vocabulary` names the bridge vocabulary
    whose label led there; empty for the themes' own labels.
    """

    theme: str
    strength: float
    label: str
    language: str
    words: tuple[str, ...]
    vocabulary: str = ""


@dataclass(frozen=True)
class _Label:
    theme: str
    text: str
    preferred: bool


@dataclass(frozen=True)
class _Index:
    """Labels of one language by the stems of their words."""

    labels: tuple[_Label, ...]
    totals: tuple[float, ...]  # per label, the weight of all its words
    entries: Mapping[str, tuple[tuple[int, str], ...]]  # stem -> labels with it, and the word as it stands there
    weights: Mapping[str, float]  # stem -> how much it says: rare words more
    by_beginning: Mapping[str, tuple[str, ...]]  # three letters -> stems that begin with them
    by_end: Mapping[str, tuple[str, ...]]  # three letters -> stems that end in them


class Thesaurus:
    """Concepts with labels per language and broader concepts; matching needs no model and is the same everywhere."""

    def __init__(self, themes: Iterable[Mapping[str, Any]], name: str = "") -> None:
        """`themes` are theme records as plain JSON: id, label, alt, note, broader; deprecated ones are left out.

        A foreign concept may also have `exact` and `close`, the addresses it is mapped to. `name` tells vocabularies
        apart; our own themes have none.

        >>> Thesaurus([{"id": "housing", "label": {"en": "Housing", "fr": "Logement"}}]).themes
        ('housing',)
        """
        self.name = name
        self._labels: dict[str, list[_Label]] = {}
        self._mapped: dict[str, tuple[tuple[str, bool], ...]] = {}
        self._english: dict[str, list[str]] = {}
        self._notes: dict[str, str] = {}
        self._broader: dict[str, tuple[str, ...]] = {}
        self._narrower: dict[str, list[str]] = {}
        self._indexes: dict[str, _Index] = {}
        # Ranking asks for the same pairs at every need: half of a suggestion's time before it was remembered.
        self._closeness = lru_cache(maxsize=100_000)(self._compare)
        for theme in themes:
            if not theme.get("deprecated"):
                self._add(theme)
        for id, broader in self._broader.items():
            for parent in broader:
                self._narrower.setdefault(parent, []).append(id)

    @classmethod
    def from_skos(cls, path: Path) -> Thesaurus:
        """Read a SKOS file (.nt, .ttl, .rdf, .xml, also .gz and .bz2): prefLabel, altLabel, broader, narrower, exactMatch
        and closeMatch.

        Identifiers are the concepts' IRIs. Nothing but the file is read. Labels of a region ("en-US") count for
        their language. GEMET (5,207 concepts, 29 languages) takes about a second; a language's labels are
        indexed when first asked for.

        Raises UnreadableInput when the file is not RDF of the kind its name says or holds no concept with a label, and
        TooLarge above 500 MB, uncompressed, or a million labels.

        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "small.ttl"
        ...     _ = path.write_text('''@prefix skos: <http://www.w3.org/2004/02/skos/core#> .
        ...         <urn:home> skos:prefLabel "dwelling"@en, "mājoklis"@lv ; skos:broader <urn:town> .''')
        ...     Thesaurus.from_skos(path).match("Trūkst mājokļu", "lv")[0].theme
        'urn:home'
        """
        return cls(skos_concepts(path))

    @property
    def themes(self) -> tuple[str, ...]:
        """All identifiers, in the order read."""
        return tuple(self._broader)

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages with labels, sorted."""
        return tuple(sorted(self._labels))

    def english(self, theme: str) -> tuple[str, ...]:
        """A theme's English labels, the preferred one first; empty for an unknown theme."""
        return tuple(self._english.get(theme, ()))

    def described(self, theme: str) -> tuple[tuple[str, str], ...]:
        """What a theme means in English, each text with the label that stands for it: every label, and the preferred one
        with what the theme covers. Empty for a theme without an English label.

        >>> themes = Thesaurus([{"id": "a", "label": {"en": "Housing"}, "alt": {"en": ["homes"]}, "note": {"en": "Flats."}}])
        >>> themes.described("a")
        (('Housing', 'Housing'), ('homes', 'homes'), ('Housing', 'Housing. Flats.'))
        """
        labels = self.english(theme)
        covered = [(labels[0], f"{labels[0]}. {self._notes[theme]}")] if labels and theme in self._notes else []
        return (*((label, label) for label in labels), *covered)

    def every_label(self) -> Iterable[tuple[str, str, str, bool]]:
        """All labels as (theme, language, text, whether preferred)."""
        for code, labels in self._labels.items():
            for label in labels:
                yield label.theme, code, label.text, label.preferred

    def mappings(self, theme: str) -> tuple[tuple[str, bool], ...]:
        """The addresses in other vocabularies that a concept is mapped to, each with whether the match is exact."""
        return self._mapped.get(theme, ())

    def parents(self, theme: str) -> tuple[str, ...]:
        """The themes right above one."""
        return tuple(one for one in self._broader.get(theme, ()) if one in self._broader)

    def children(self, theme: str) -> tuple[str, ...]:
        """The themes right below one."""
        return tuple(self._narrower.get(theme, ()))

    def neighbours(self, theme: str) -> tuple[str, ...]:
        """The other themes below the same broader ones.

        >>> Thesaurus([{"id": "a"}, {"id": "b", "broader": "a"}, {"id": "c", "broader": "a"}]).neighbours("b")
        ('c',)
        """
        return tuple(dict.fromkeys(o for p in self.parents(theme) for o in self.children(p) if o != theme))

    def ancestors(self, theme: str) -> tuple[str, ...]:
        """All broader themes, nearest first; cycles in a foreign thesaurus are walked once.

        >>> Thesaurus([{"id": "a"}, {"id": "b", "broader": "a"}, {"id": "c", "broader": "b"}]).ancestors("c")
        ('b', 'a')
        """
        return _closure(theme, self._broader)

    def descendants(self, theme: str) -> tuple[str, ...]:
        """All narrower themes, nearest first.

        >>> Thesaurus([{"id": "a"}, {"id": "b", "broader": "a"}, {"id": "c", "broader": "b"}]).descendants("a")
        ('b', 'c')
        """
        return _closure(theme, self._narrower)

    def closeness(self, a: str, b: str) -> float:
        """How near two themes are in the hierarchy, in [0, 1]: 1 the same, 0 in different branches or unknown.

        Twice the depth of the deepest theme above both, by the sum of their depths, a top theme having depth 1
        (Wu and Palmer 1994, https://doi.org/10.3115/981732.981751).

        >>> tree = Thesaurus([{"id": "a"}, {"id": "b", "broader": "a"}, {"id": "c", "broader": "a"}, {"id": "d"}])
        >>> tree.closeness("b", "c"), tree.closeness("a", "b"), tree.closeness("b", "d"), tree.closeness("b", "b")
        (0.5, 0.6666666666666666, 0.0, 1.0)
        """
        return self._closeness(a, b)

    def _compare(self, a: str, b: str) -> float:
        """Closeness, worked out."""
        above_a = {a, *self.ancestors(a)} & self._broader.keys()
        shared = above_a & {b, *self.ancestors(b)}
        if not shared:
            return 0.0
        if a == b:
            return 1.0
        deepest = max(map(self._depth, shared))
        # With several broader themes the longest way counts, so the quotient may pass 1 in no case but a cycle.
        return min(1.0, 2 * deepest / (self._depth(a) + self._depth(b)))

    def match(self, text: str, language: str | None, *, limit: int | None = None) -> list[ThemeMatch]:
        """The themes a text speaks of, strongest first, equal ones by identifier; one match per theme, its best label.

        A label's strength is the weight of its words found in the text by the weight of all of them, squared,
        rare words weighing more: two of three words of a label say little, all say everything. A
        word counts as found when its stem is the same, or, in inflected and compound forms, with the share of common
        trigrams when that is at least .6.

        `language` is the text's; None when it is uncertain: then the likely ones and English are tried, at .7 of
        the strength.

        >>> themes = Thesaurus([{"id": "course", "label": {"en": "Language courses", "lv": "Valodas kursi"}},
        ...                     {"id": "home", "label": {"en": "Housing", "fr": "Logement"}, "alt": {"fr": ["habitat"]}}])
        >>> [(m.theme, m.strength, m.words) for m in themes.match("Vajadzīgi valodas kursi iebraucējiem", "lv")]
        [('course', 1.0, ('valodas', 'kursi'))]
        >>> [(m.theme, m.label) for m in themes.match("un habitat digne", "fr")]
        [('home', 'habitat')]
        """
        best: dict[str, tuple[float, float, ThemeMatch]] = {}
        for code, factor in self._codes(text, language):
            for weight, found in _matches(self._index(code), text, code, factor):
                if found.theme not in best or (found.strength, weight) > best[found.theme][:2]:
                    best[found.theme] = (found.strength, weight, found)
        ranked = sorted(best.values(), key=lambda m: (-m[0], -m[1], m[2].theme))
        return [found for _, _, found in ranked[:limit]]

    def _codes(self, text: str, language: str | None) -> list[tuple[str, float]]:
        """The languages to look in, and how much a match in each counts."""
        if language is None or language == "und":
            return [(code, UNCERTAIN_LANGUAGE) for code in likely_languages(text) if code in self._labels]
        code = primary(language)
        return [(code, 1.0)] if code in self._labels else []

    def _index(self, code: str) -> _Index:
        # Two threads may build the same index; the later one wins, and nothing is lost.
        if code not in self._indexes:
            self._indexes[code] = _build_index(self._labels[code], code)
        return self._indexes[code]

    def _add(self, theme: Mapping[str, Any]) -> None:
        id = theme["id"]
        broader = theme.get("broader") or ()
        self._broader[id] = (broader,) if isinstance(broader, str) else tuple(broader)
        mapped = [
            *((iri, True) for iri in theme.get("exact") or ()),
            *((iri, False) for iri in theme.get("close") or ()),
        ]
        if mapped:
            self._mapped[id] = tuple(mapped)
        note = (theme.get("note") or {}).get("en")
        if note:
            self._notes[id] = note
        preferred = [(code, [text]) for code, text in (theme.get("label") or {}).items()]
        for listed, is_preferred in ((preferred, True), ((theme.get("alt") or {}).items(), False)):
            for tag, texts in listed:
                code = primary(tag)
                self._labels.setdefault(code, []).extend(_Label(id, text, is_preferred) for text in texts)
                if code == "en":
                    self._english.setdefault(id, []).extend(t for t in texts if t not in self._english.get(id, ()))

    def _depth(self, theme: str) -> int:
        """Steps to the top by the longest way without turning back, counted from 1."""
        return self._depth_below(theme, frozenset())

    def _depth_below(self, theme: str, passed: frozenset[str]) -> int:
        if len(passed) > 64:
            return 1
        ways = [p for p in self._broader.get(theme, ()) if p in self._broader and p not in passed and p != theme]
        return 1 + max((self._depth_below(p, passed | {theme}) for p in ways), default=0)


def bridge(text: str, language: str | None, *vocabularies: Thesaurus, limit: int = BRIDGE_LABELS) -> str:
    """The text to embed for a model that reads English best: the need, and the English labels of what it speaks of.

    English needs stay as they are (labels made them worse: mean reciprocal rank .95 to .90), and so does a text
    whose language is uncertain while its best match is an English label. At most `limit` labels, the strongest matches
    first; each vocabulary in turn, so our themes before a foreign thesaurus.

    >>> themes = Thesaurus([{"id": "home", "label": {"en": "Housing", "fr": "Logement"}}])
    >>> bridge("Trouver un logement", "fr", themes)
    'Trouver un logement. Housing'
    >>> bridge("Find housing", "en", themes)
    'Find housing'
    """
    labels = bridge_labels([(one, one.match(text, language)) for one in vocabularies], language, limit=limit)
    return bridged(text, labels)


def bridge_labels(
    found: Sequence[tuple[Thesaurus, Sequence[ThemeMatch]]], language: str | None, *, limit: int = BRIDGE_LABELS
) -> dict[str, str]:
    """The English labels that `bridge` adds, in order, each with the name of the vocabulary it comes from.

    `found` has what each vocabulary found in the text, strongest first.

    >>> themes = Thesaurus([{"id": "home", "label": {"en": "Housing", "fr": "Logement"}}])
    >>> bridge_labels([(themes, themes.match("Trouver un logement", "fr"))], "fr")
    {'Housing': ''}
    """
    if language is not None and primary(language) == "en":
        return {}
    added: dict[str, str] = {}
    for vocabulary, matches in found:
        if language is None and matches and matches[0].language == "en":
            return {}
        needed = BRIDGE_STRENGTH * (UNCERTAIN_LANGUAGE if language is None else 1.0)
        for match in matches:
            if match.strength >= needed:
                for label in vocabulary.english(match.theme)[:1]:
                    added.setdefault(label, vocabulary.name)
    return dict(list(added.items())[:limit])


def bridged(text: str, labels: Iterable[str]) -> str:
    """The text with labels behind it.

    >>> bridged("Trouver un logement.", ["Housing"]), bridged("Find housing.", [])
    ('Trouver un logement. Housing', 'Find housing.')
    """
    added = list(labels)
    return ". ".join([text.rstrip(" ."), *added]) if added else text


# ---------------------------------------------------------------------------------------------- matching


def _matches(index: _Index, text: str, code: str, factor: float) -> Iterable[tuple[float, ThemeMatch]]:
    """Matches in one language, each with the weight of its label: how much it says."""
    found: dict[int, dict[str, tuple[float, str]]] = {}
    common = stop_words(code)
    for word in dict.fromkeys(words(text)):
        if word in common:
            continue
        for known, likeness in _known_forms(index, word, code):
            for label, written in index.entries[known]:
                # Stemmers take "commune" and "communication" for one word: what is left of it is compared, too.
                sure = likeness * min(1.0, _shared_beginning(word, written) / 0.6) if likeness == 1.0 else likeness
                hits = found.setdefault(label, {})
                if sure > hits.get(known, (0.0, ""))[0]:
                    hits[known] = (sure, word)
    for label, hits in found.items():
        covered = sum(index.weights[known] * likeness for known, (likeness, _) in hits.items())
        strength = factor * (covered / index.totals[label]) ** COVERAGE_POWER
        if strength >= LEAST_STRENGTH * factor:
            entry = index.labels[label]
            through = tuple(word for _, word in hits.values())
            yield index.totals[label], ThemeMatch(entry.theme, round(strength, 5), entry.text, code, through)


def _known_forms(index: _Index, word: str, code: str) -> Sequence[tuple[str, float]]:
    """The words of labels that this word is a form of, with their likeness."""
    stemmed = stem(word, code)
    same = [(stemmed, 1.0)] if stemmed in index.entries else []
    if len(stemmed) < 5 or (same and stemmed_well(code)):
        return same
    near = {*index.by_beginning.get(stemmed[:3], ()), *index.by_end.get(stemmed[-3:], ())}
    strict = stemmed_well(code) and code not in COMPOUNDING
    least = STRICT_LIKENESS if strict else LEAST_LIKENESS
    alike = ((known, _likeness(stemmed, known, not strict)) for known in sorted(near))
    return same + [(known, likeness) for known, likeness in alike if known != stemmed and likeness >= least]


@lru_cache(65_536)
def _likeness(a: str, b: str, compounds: bool) -> float:
    """How surely two stems are forms or compounds of one word: share of common trigrams, .7 for a part of a compound."""
    grams, others = _trigrams(a), _trigrams(b)
    shared = 2 * len(grams & others) / (len(grams) + len(others))
    short, long = sorted((a, b), key=len)
    compound = compounds and len(short) >= 4 and (long.startswith(short) or (len(short) >= 5 and long.endswith(short)))
    return max(shared, COMPOUND_LIKENESS if compound else 0.0)


def _shared_beginning(a: str, b: str) -> float:
    """Letters two words begin with alike, by the letters of the longer."""
    alike = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    return alike / max(len(a), len(b))


def _trigrams(word: str) -> frozenset[str]:
    padded = f" {word} "
    return frozenset(padded[i : i + 3] for i in range(len(padded) - 2))


def _build_index(labels: Sequence[_Label], code: str) -> _Index:
    common = stop_words(code)
    entries: dict[str, list[tuple[int, str]]] = {}
    for position, label in enumerate(labels):
        stems = {stem(word, code): word for word in words(label.text) if word not in common}
        for known, word in stems.items():
            entries.setdefault(known, []).append((position, word))
    weights = {known: math.log(1 + len(labels) / len(at)) for known, at in entries.items()}
    totals = [0.0] * len(labels)
    beginnings: dict[str, list[str]] = {}
    ends: dict[str, list[str]] = {}
    for known, at in entries.items():
        for position, _ in at:
            totals[position] += weights[known]
        if len(known) >= 4:
            beginnings.setdefault(known[:3], []).append(known)
            ends.setdefault(known[-3:], []).append(known)
    return _Index(
        labels=tuple(labels),
        totals=tuple(totals),
        entries={known: tuple(at) for known, at in entries.items()},
        weights=weights,
        by_beginning={letters: tuple(known) for letters, known in beginnings.items()},
        by_end={letters: tuple(known) for letters, known in ends.items()},
    )


def _closure(start: str, next_ones: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    waiting = deque(next_ones.get(start, ()))
    while waiting:
        theme = waiting.popleft()
        if theme not in found and theme != start:
            found[theme] = None
            waiting.extend(next_ones.get(theme, ()))
    return tuple(found)


def primary(tag: str) -> str:
    """The language of a tag, without region or script.

    >>> primary("fr-BE")
    'fr'
    """
    return tag.lower().partition("-")[0]


# ------------------------------------------------------------------------------------------- SKOS files


def skos_concepts(path: Path) -> list[dict[str, Any]]:
    """Concepts of a SKOS file as `Thesaurus` takes them; raises as `Thesaurus.from_skos` does."""
    concepts: dict[str, dict[str, Any]] = {}
    hierarchy: set[tuple[str, str]] = set()
    mapped: set[tuple[str, str, str]] = set()
    labels = 0
    for subject, predicate, value in _skos_statements(path):
        name = predicate.removeprefix(_SKOS)
        if name in ("prefLabel", "altLabel"):
            text = _label_text(value)
            if not text:
                continue
            labels += 1
            if labels > MOST_LABELS:
                raise TooLarge(f"{quoted(path.name)} has more than {MOST_LABELS:,} labels")
            concept = concepts.setdefault(subject, {"id": subject, "label": {}, "alt": {}, "broader": []})
            # "en" and "en-US" may both have a preferred label: the first read is kept, others are alternatives.
            code = primary(value.language)
            if name == "prefLabel" and code not in concept["label"]:
                concept["label"][code] = text
            else:
                concept["alt"].setdefault(code, []).append(text)
        elif name == "broader":
            hierarchy.add((subject, value.value))
        elif name == "narrower":
            hierarchy.add((value.value, subject))
        elif name in _MAPPINGS:
            # Both vocabularies may say it, and a match has no direction.
            mapped |= {(subject, _MAPPINGS[name], value.value), (value.value, _MAPPINGS[name], subject)}
    for narrower, broader in sorted(hierarchy):
        if narrower in concepts and broader in concepts:
            concepts[narrower]["broader"].append(broader)
    for one, kind, other in sorted(mapped):
        if one in concepts:
            concepts[one].setdefault(kind, []).append(other)
    if not concepts:
        raise UnreadableInput(f"{quoted(path.name)} holds no SKOS concept with a label that has a language")
    return [concepts[id] for id in sorted(concepts)]


def _label_text(value: Any) -> str:
    """A label as it may be shown: on one line, without control characters; empty for one without a language or meaning.

    A label of hundreds of letters is a definition in the wrong place.
    """
    if not getattr(value, "language", None) or len(value.value) > LABEL_LIMIT_CHARACTERS:
        return ""
    return " ".join("".join(c if c.isprintable() else " " for c in value.value).split())


def _skos_statements(path: Path) -> Iterable[tuple[str, str, Any]]:
    """The SKOS statements of a file about things with addresses."""
    import pyoxigraph

    suffixes = [s.lower() for s in path.suffixes]
    compressed = suffixes.pop() if suffixes and suffixes[-1] in (".gz", ".bz2") else ""
    if not suffixes or suffixes[-1] not in _FORMATS:
        listed = ", ".join(_FORMATS)
        raise UnreadableInput(f"{quoted(path.name)} is not a kind of RDF file we read: {listed}, each also .gz or .bz2")
    kind = getattr(pyoxigraph.RdfFormat, _FORMATS[suffixes[-1]])
    try:
        if kind == pyoxigraph.RdfFormat.RDF_XML:
            _check_xml(path, compressed)
        with _Limited(_opened(path, compressed), path.name) as stream:
            for quad in pyoxigraph.parse(io.BufferedReader(stream, 1 << 20), kind, lenient=True):
                if quad.predicate.value.startswith(_SKOS) and isinstance(quad.subject, pyoxigraph.NamedNode):
                    yield quad.subject.value, quad.predicate.value, quad.object
    except (SyntaxError, ValueError, EOFError, OSError, zlib.error) as error:
        raise UnreadableInput(f"{quoted(path.name)} cannot be read: {quoted(error, 200)}") from error


def _check_xml(path: Path, compressed: str) -> None:
    """Look through an XML file before the RDF parser does, which takes entities that stand for gigabytes (eight letters
    tripled thirty times) and needs time by the square of the depth (1,000 levels .03 s, 4,000 levels .36 s).

    Entities that abbreviate addresses, as thesauri have them, pass.
    """
    from xml.parsers import expat

    depth = 0

    def down(name: str, attributes: Mapping[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > XML_DEPTH:
            raise UnreadableInput(f"{quoted(path.name)} has more than {XML_DEPTH} elements inside each other")

    def up(name: str) -> None:
        nonlocal depth
        depth -= 1

    def entity(name: str, parameter: bool, value: str | None, *outside: str | None) -> None:
        if value is None or parameter or "&" in value or "%" in value or len(value) > LABEL_LIMIT_CHARACTERS:
            raise UnreadableInput(
                f"{quoted(path.name)} declares the entity {quoted(name)}, which is not a short text; write it out"
            )

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = down, up
    parser.EntityDeclHandler = entity
    try:
        with _Limited(_opened(path, compressed), path.name) as stream:
            parser.ParseFile(io.BufferedReader(stream, 1 << 20))
    except expat.ExpatError as error:
        raise UnreadableInput(f"{quoted(path.name)} is not XML: {error}") from error


def _opened(path: Path, compressed: str) -> IO[bytes]:
    if compressed == ".gz":
        return gzip.open(path)  # type: ignore[return-value]
    return bz2.open(path) if compressed == ".bz2" else path.open("rb")


class _Limited(io.RawIOBase):
    """A stream that refuses to grow beyond FILE_LIMIT_BYTES: a small compressed file may hold terabytes."""

    def __init__(self, stream: IO[bytes], name: str) -> None:
        self._stream = stream
        self._name = name
        self._left = FILE_LIMIT_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        read = self._stream.read(len(buffer))
        self._left -= len(read)
        if self._left < 0:
            raise TooLarge(f"{quoted(self._name)} has more than {FILE_LIMIT_BYTES // 1_000_000} MB")
        buffer[: len(read)] = read
        return len(read)

    def close(self) -> None:
        self._stream.close()
        super().close()
