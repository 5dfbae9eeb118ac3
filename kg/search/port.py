"""The port between search and the engines that hold its passages: what an index takes, what it is asked, what it promises.

Two adapters implement `SearchIndex`: `kg.search.index` with qdrant-edge inside the process, `kg.search.qdrant_server` with a
Qdrant server or cluster. `IndexOfPoints` is what they share: each passage is a point with its dense vector; a practice's
first point also carries its words and word beginnings, taken from all its passages. A need of several sentences then meets a
practice as a whole, and one sparse vector per practice instead of per passage keeps the index small.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from uuid import UUID

import numpy as np
import numpy.typing as npt

from kg.search.ranking import Filters
from kg.search.text import Passage

if TYPE_CHECKING:
    from kg.search.register import Register

LAYOUT = "4"
"""Raised whenever points or register change their form: an index of another layout is made again."""

MOST_PASSAGES = 0xFFFF
SPARSE = ("words", "beginnings")
KEYWORDS = ("practice", "city", "country", "themes_all", "languages", "collection")

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Document:
    """A practice as the index takes it.

    `vectors` has one row of length 1 per passage. `words` and `beginnings` are sparse vectors by word number. `shared` is
    stored with every passage and can be filtered by; `facts` once.
    """

    practice: str
    city: str
    revision: int
    passages: Sequence[Passage]
    vectors: Vectors
    words: Mapping[int, float]
    beginnings: Mapping[int, float]
    shared: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Query:
    """One question: a vector of length 1 and two sparse vectors; `themes` bring practices that carry one of them."""

    dense: Sequence[float]
    words: Mapping[int, float]
    beginnings: Mapping[int, float]
    themes: Sequence[str] = ()


@dataclass(frozen=True)
class Candidates:
    """What the lists of one question showed, by practice key: raw signals, the passage of the best dense one, and
    each full list's last value, which no practice outside that list can pass."""

    found: dict[int, dict[str, float]] = field(default_factory=dict)
    points: dict[int, UUID] = field(default_factory=dict)
    bounds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Scored:
    """A practice with all raw signals: cosine of its best passage, words and beginnings as shares of the need's.

    Its themes and cities are kept in memory: matching asks them of hundreds of practices, and reading what is stored
    with as many passages took longer than finding them.
    """

    practice: str
    themes: tuple[str, ...]
    city: str
    partner_cities: tuple[str, ...]
    dense: float
    words: float
    beginnings: float
    point: UUID


@dataclass(frozen=True)
class Condition:
    """Which points may be found: those that meet the filters, carry one of these themes, or are named."""

    filters: Filters = field(default_factory=Filters)
    carrying: Sequence[str] = ()
    points: Sequence[UUID] = ()

    def wanted(self) -> dict[str, list[str]]:
        """The values of which a point must have one, by key of its payload.

        >>> Condition(Filters(countries=frozenset({"LV", "BE"}))).wanted()
        {'country': ['BE', 'LV']}
        """
        values: dict[str, Iterable[str]] = {
            "country": self.filters.countries,
            "themes_all": self.filters.themes,
            "languages": self.filters.languages,
            "collection": self.filters.collections,
            "practice": self.filters.practices,
        }
        return {key: sorted(some) for key, some in values.items() if some}

    def unwanted(self) -> dict[str, list[str]]:
        """The values none of which a point may have."""
        values = {"city": self.filters.exclude_cities, "practice": self.filters.exclude_practices}
        return {key: sorted(some) for key, some in values.items() if some}


@dataclass(frozen=True)
class Question:
    """One list that an engine is asked for: the `limit` points nearest to a vector of one kind that meet a condition."""

    using: str
    vector: Sequence[float] | Mapping[int, float]
    condition: Condition
    limit: int
    exact: bool = False


class Named(NamedTuple):
    """A practice with its themes, its city and its partner cities."""

    practice: str
    themes: tuple[str, ...]
    city: str
    partner_cities: tuple[str, ...]


class Hit(NamedTuple):
    """A point of a list; engines may give objects of their own that have these two."""

    id: UUID
    score: float


class Stored(NamedTuple):
    """A point as it is stored; its vectors only when they were asked for: rows of numbers, sparse ones by number."""

    id: UUID
    payload: dict[str, Any]
    dense: Sequence[float] = ()
    sparse: Mapping[str, Sequence[int]] = {}


class SearchIndex(Protocol):
    """The passages of all practices of one model. Threads may ask while one of them writes."""

    @property
    def marker(self) -> int:
        """Number of the last ledger row that is in the index for good, as far as is known here."""

    @property
    def count(self) -> int:
        """How many practices it holds."""

    @property
    def passages(self) -> int:
        """How many passages it holds."""

    def look(self) -> int:
        """The marker, after a look whether the engine still holds what it was given; 0 when it had to begin anew."""

    def held(self) -> dict[tuple[str, str], int]:
        """Kind and identifier of each record that is in, with its revision."""

    def kept(self, kind: str) -> dict[str, dict[str, Any]]:
        """The facts kept of all records of a kind."""

    def practices_of(self, city: str) -> list[str]:
        """The practices whose own city this is."""

    def themes(self) -> dict[str, tuple[str, ...]]:
        """The themes that each practice carries."""

    def cities(self) -> dict[str, str]:
        """The city of each practice."""

    def using(self, words: Iterable[int]) -> dict[int, int]:
        """How many practices use each of these words; words that none uses are left out."""

    def change(
        self,
        *,
        practices: Sequence[Document] = (),
        removed: Iterable[str] = (),
        kept: Sequence[tuple[str, str, int, Mapping[str, Any]]] = (),
        forgotten: Iterable[tuple[str, str]] = (),
        refreshed: Sequence[tuple[str, Mapping[str, Any]]] = (),
        marker: int | None = None,
    ) -> None:
        """Put practices in whole, take others out, and remember how far the ledger was followed.

        `kept` are facts of other records (kind, id, revision, facts), `forgotten` such records that go;
        `refreshed` replaces what is stored with all passages of a practice that stays otherwise as it is.
        A change that broke off may be repeated: afterwards the index is as if it had been made once.
        """

    def clear(self) -> None:
        """Forget everything; a kill in between leaves an index that says marker 0."""

    def close(self) -> None:
        """Release files, connections and locks."""

    def candidates(self, queries: Sequence[Query], filters: Filters, depth: int) -> list[Candidates]:
        """For each question the best practices of each signal, `depth` passages or practices a list."""

    def score(
        self, queries: Sequence[Query], candidates: Sequence[Candidates], keys: Sequence[Sequence[int]]
    ) -> list[list[Scored]]:
        """All signals of these candidates for each question, computed exactly; practices that have gone are left out."""

    def nearest(self, asked: Sequence[tuple[Sequence[float], Sequence[UUID]]]) -> list[UUID | None]:
        """For each vector the nearest of some passages, all in one go; None where there are none."""

    def payloads(self, points: Iterable[UUID]) -> dict[UUID, dict[str, Any]]:
        """Everything stored with these passages; each also has the facts stored once for its practice."""

    def vectors_of(self, practice: str) -> tuple[Vectors, dict[str, list[int]], dict[str, Any]] | None:
        """A practice's passages as rows, the numbers of its words and beginnings, and its facts; None when not in."""

    def optimise_when_due(self) -> None:
        """Begin to make the index fast where that is ours to do and much is new."""

    def optimise(self, *, wait: bool = True) -> None:
        """Make a large index fast after a bulk build, where that is ours to do; asking goes on meanwhile."""


class Indexes(Protocol):
    """Where the indexes of all models lie: in folders of their own, or with a register there and the points at a server."""

    suffix: str
    """What an index's folder is called by behind its model: indexes of different engines never share one."""

    def open(self, folder: Path, *, model: str, dimension: int, beside: bool = False) -> SearchIndex:
        """Open the index of a folder, or make an empty one; `beside` another that stays in use meanwhile.

        Raises IndexMismatch when it was made with another model or layout or is damaged, DataFolderInUse when
        another process has it open.
        """

    def discard(self, folder: Path) -> None:
        """Throw an index away, so that it is made anew."""


class IndexOfPoints(ABC):
    """What the adapters share: a register beside the engine, and signals worked out of the engine's lists."""

    _register: Register

    @property
    def marker(self) -> int:
        """See `SearchIndex`."""
        return int(self._register.get("marker"))

    @property
    def count(self) -> int:
        """See `SearchIndex`."""
        return self._register.practices

    def held(self) -> dict[tuple[str, str], int]:
        """See `SearchIndex`."""
        return self._register.held()

    def kept(self, kind: str) -> dict[str, dict[str, Any]]:
        """See `SearchIndex`."""
        return self._register.kept(kind)

    def practices_of(self, city: str) -> list[str]:
        """See `SearchIndex`."""
        return self._register.practices_of(city)

    def themes(self) -> dict[str, tuple[str, ...]]:
        """See `SearchIndex`."""
        return {practice: themes for practice, themes, _, _ in sorted(self._register.named.values())}

    def cities(self) -> dict[str, str]:
        """See `SearchIndex`."""
        return self._register.cities()

    def using(self, words: Iterable[int]) -> dict[int, int]:
        """See `SearchIndex`."""
        return self._register.using(words)

    @abstractmethod
    def _lists(self, questions: Sequence[Question]) -> Sequence[Sequence[Any]]:
        """The engine's points for each question, best first, as `Hit`."""

    @abstractmethod
    def _stored(self, points: Sequence[UUID], *, vectors: bool = False) -> list[Stored]:
        """These points, as far as they are there, in any order."""

    def candidates(self, queries: Sequence[Query], filters: Filters, depth: int) -> list[Candidates]:
        """See `SearchIndex`."""
        if not queries or not self.count:
            return [Candidates() for _ in queries]
        asked = [
            (place, name, question)
            for place, query in enumerate(queries)
            for name, question in _first_questions(query, filters, depth)
        ]
        lists = self._lists([question for _, _, question in asked])
        answers = [Candidates() for _ in queries]
        for (place, name, _), points in zip(asked, lists, strict=True):
            signal = "dense" if name == "themed" else name
            _take_list(answers[place], signal, points)
            if name != "themed" and len(points) == depth:
                answers[place].bounds[signal] = points[-1].score
        return answers

    def score(
        self, queries: Sequence[Query], candidates: Sequence[Candidates], keys: Sequence[Sequence[int]]
    ) -> list[list[Scored]]:
        """See `SearchIndex`.

        What a list showed is exact already: a better passage of the same practice would stand before. Asked for are
        the signals of practices that a full list left out.
        """
        asked = [
            (place, question)
            for place, (query, known, wanted) in enumerate(zip(queries, candidates, keys, strict=True))
            for question in _missing(query, known, wanted)
        ]
        lists = self._lists([question for _, question in asked])
        for (place, question), points in zip(asked, lists, strict=True):
            _take_list(candidates[place], question.using, points)
        return [
            [one for key in wanted if (one := self._scored(known, key)) is not None]
            for known, wanted in zip(candidates, keys, strict=True)
        ]

    def _scored(self, known: Candidates, key: int) -> Scored | None:
        """A candidate with its signals; None when another thread has just taken it out."""
        named, point, signals = self._register.named.get(key), known.points.get(key), known.found[key]
        if named is None or point is None:
            return None
        words, beginnings = (signals.get(name, 0.0) for name in SPARSE)
        return Scored(*named, signals["dense"], words, beginnings, point)

    def nearest(self, asked: Sequence[tuple[Sequence[float], Sequence[UUID]]]) -> list[UUID | None]:
        """See `SearchIndex`."""
        questions = [
            Question("dense", vector, Condition(points=list(points)), len(points), exact=True)
            for vector, points in asked
            if points
        ]
        lists = iter(self._lists(questions) if questions else ())
        return [_nearest(next(lists)) if points else None for _, points in asked]

    def payloads(self, points: Iterable[UUID]) -> dict[UUID, dict[str, Any]]:
        """See `SearchIndex`."""
        wanted = list(dict.fromkeys(points))
        heads = [UUID(int=point.int >> 16 << 16) for point in wanted]
        stored = {one.id: one.payload for one in self._stored(list(dict.fromkeys([*wanted, *heads])))}
        return {
            point: {**stored[head], **stored[point]}
            for point, head in zip(wanted, heads, strict=True)
            if point in stored and head in stored
        }

    def vectors_of(self, practice: str) -> tuple[Vectors, dict[str, list[int]], dict[str, Any]] | None:
        """See `SearchIndex`."""
        passages = self._register.passages(practice)
        points = [point_id(practice, passages, n) for n in range(passages)]
        stored = sorted(self._stored(points, vectors=True), key=lambda one: one.id.int)
        head = next((one for one in stored if one.id.int & MOST_PASSAGES == 0), None)
        if head is None:
            return None
        rows = np.array([one.dense for one in stored], np.float32)
        return rows, {name: list(head.sparse.get(name, ())) for name in SPARSE}, head.payload


# ---------------------------------------------------------------------------------------------- points


def point_id(practice: str, passages: int, place: int) -> UUID:
    """A passage's identifier: a hash of the practice, how many passages it has, and which this is.

    So any point of a practice tells the identifiers of all others, and of the first, without a look-up.

    >>> point_id("housing-first", 3, 0)
    UUID('ca778eb4-0600-85a3-169d-fb6400030000')
    """
    digest = hashlib.blake2b(practice.encode(), digest_size=12).digest()
    return UUID(bytes=digest + passages.to_bytes(2, "big") + place.to_bytes(2, "big"))


def passages_beside(point: UUID) -> list[UUID]:
    """The identifiers of the other passages of a passage's practice.

    >>> first, second = (point_id("housing-first", 2, place) for place in (0, 1))
    >>> passages_beside(first) == [second], passages_beside(second) == [first]
    (True, True)
    """
    key = point.int >> 16
    same = (UUID(int=key << 16 | place) for place in range(key & MOST_PASSAGES))
    return [one for one in same if one != point]


def key_of(practice: str, passages: int) -> int:
    """What the identifiers of all points of a practice begin with."""
    return point_id(practice, passages, 0).int >> 16


def points_of(
    document: Document,
) -> Iterator[tuple[UUID, list[float], Mapping[str, Mapping[int, float]], dict[str, Any]]]:
    """The points of a practice: identifier, dense vector, sparse vectors by name, payload.

    Raises ValueError for too many passages or another number of vectors.
    """
    count = len(document.passages)
    if count > MOST_PASSAGES or len(document.vectors) != count:
        raise ValueError(f"a practice has at most {MOST_PASSAGES} passages, with a vector each, not {count}")
    for place, (passage, vector) in enumerate(zip(document.passages, document.vectors, strict=True)):
        sparse: dict[str, Mapping[int, float]] = {}
        payload = {
            **document.shared,
            "practice": document.practice,
            "city": document.city,
            "part": passage.part,
            "language": passage.language,
            "text": passage.text,
        }
        if place == 0:
            sparse = {name: weights for name in SPARSE if (weights := getattr(document, name))}
            payload |= {**document.facts, "revision": document.revision}
        yield point_id(document.practice, count, place), vector.tolist(), sparse, payload


# --------------------------------------------------------------------------------------------- queries


def _first_questions(query: Query, filters: Filters, depth: int) -> Iterator[tuple[str, Question]]:
    condition = Condition(filters)
    yield "dense", Question("dense", query.dense, condition, depth)
    for name in SPARSE:
        weights: Mapping[int, float] = getattr(query, name)
        if weights:
            yield name, Question(name, weights, condition, depth)
    if query.themes:
        yield "themed", Question("dense", query.dense, Condition(filters, carrying=query.themes), depth)


def _missing(query: Query, known: Candidates, wanted: Sequence[int]) -> Iterator[Question]:
    """Questions for the signals that lists cut short did not show."""
    for name in ("dense", *SPARSE):
        complete = name != "dense" and name not in known.bounds
        keys = [] if complete else [key for key in wanted if name not in known.found[key]]
        # Words stand with a practice's first passage alone.
        points = [UUID(int=key << 16 | n) for key in keys for n in range(key & MOST_PASSAGES if name == "dense" else 1)]
        if points:
            yield Question(name, getattr(query, name), Condition(points=points), len(points), exact=True)


def _nearest(points: Sequence[Any]) -> UUID | None:
    """The best point of a list, the earlier passage where two are equal."""
    best = min(points, key=lambda point: (-point.score, point.id.int), default=None)
    found: UUID | None = best.id if best else None
    return found


def _take_list(answer: Candidates, name: str, points: Sequence[Any]) -> None:
    """Note what a list showed, best first: of each practice its best passage, the earlier where two are equal."""
    best, is_dense = answer.points, name == "dense"
    for point in points:
        id, score = point.id, point.score
        key = id.int >> 16
        signals = answer.found.get(key)
        if signals is None:
            signals = answer.found[key] = {}
        known = signals.get(name)
        if known is None or score > known:
            signals[name] = score
            if is_dense:
                best[key] = id
        elif is_dense and score == known and id.int < best[key].int:
            best[key] = id
