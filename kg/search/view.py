"""The search view: follows the ledger, keeps the passages of practices, and answers needs with practices.

It keeps of city and theme records what practices are filtered and ranked by (country, population, labels, broader
themes), so that an index and what it knows always belong to one marker.
"""

from __future__ import annotations

import base64
import binascii
import copy
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from uuid import UUID

import numpy as np

from kg.errors import BadRequest, IndexMismatch, NotFound, quoted
from kg.search import ranking
from kg.search.embedding import Embedder
from kg.search.index import IN_PROCESS
from kg.search.meanings import Meanings, keep_texts, kept_texts, read_meanings
from kg.search.port import Candidates, Document, Indexes, Query, Scored, SearchIndex, passages_beside
from kg.search.ranking import Filters, Profile, Situation
from kg.search.text import UNDETERMINED, Passage, language_of, passages
from kg.search.thesaurus import LEAST_STRENGTH, ThemeMatch, Thesaurus, bridge_labels, bridged, primary
from kg.search.vocabularies import Link
from kg.views import is_shown

if TYPE_CHECKING:
    from kg.ledger import Revision

Record = Mapping[str, Any]

EMBEDDED_AT_ONCE = 200
"""Practices embedded and written in one go: about a thousand passages, which hold memory below 100 MB."""

MOST_PASSAGES = 500
"""Of a longer practice, about 400,000 characters, only the beginning is searched."""

THEMES_OF_A_NEED = 6
"""More themes say nothing about a need: the weaker ones share single words with it."""

VIA_VOCABULARY = 0.9
"""A theme found through a foreign concept counts a little less than one that its own label names."""

_STEADY_BATCH = 100

Linking = Callable[[Thesaurus, Thesaurus], Mapping[str, Link]]
"""Given our themes and a vocabulary: the theme that each of its concepts stands for."""


class AnyNeed(Protocol):
    """What is asked: a need in somebody's own words; language None where it is to be recognised."""

    @property
    def text(self) -> str: ...
    @property
    def language(self) -> str | None: ...
    @property
    def themes(self) -> tuple[str, ...]: ...


@dataclass(frozen=True)
class NeedText:
    """A need in its own words, with themes somebody chose for it."""

    text: str
    language: str | None = None
    themes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Help:
    """What helped to read a need.

    `model` is whether the model reads its language by itself. `labels` are the English labels that were put behind the
    text, each with the vocabulary it comes from ("" for our themes). `vocabularies` are those that have labels in the
    need's language. `strongest` is the strength of the best label found.
    """

    model: bool = True
    labels: tuple[tuple[str, str], ...] = ()
    vocabularies: tuple[str, ...] = ()
    strongest: float = 0.0


@dataclass(frozen=True)
class Understood:
    """How a need was read.

    `language` is the one given or the likeliest, `certain` whether it was given or sure. `themes` are those found in
    its words, through labels of ours or of bridge vocabularies. Where practices were looked for and the model reads the
    need, they are weighed by what it means (`ranking.meant_themes`), and those it means without naming them have no words.
    `embedded` is the text that the model got: labels of themes may stand behind it.
    """

    text: str
    language: str
    certain: bool
    situation: Situation
    themes: tuple[ThemeMatch, ...]
    embedded: str
    help: Help = field(default_factory=Help)


@dataclass(frozen=True)
class ThemeMeaning:
    """A theme that a need means by what it says, whatever its words; `similarity` in [0, 1], `label` the nearest."""

    theme: str
    label: str
    similarity: float


@dataclass(frozen=True)
class Found:
    """A practice that meets a need.

    `similarity` in [0, 1] is that of its best passage together with the practice's words and themes; `signals`
    has its terms, without those that are unknown. `country` is None while the city is not on record.
    """

    practice: str
    city: str
    partner_cities: tuple[str, ...]
    tie: str | None
    country: str | None
    similarity: float
    signals: Mapping[str, float]
    passage: Passage
    title: Mapping[str, str]
    themes: tuple[str, ...]
    evidence: tuple[str, ...]
    start: int | None
    end: int | None
    status: str | None
    revision: int


@dataclass(frozen=True)
class Answer:
    """One need's practices, best first, and how the need was read."""

    understood: Understood
    found: tuple[Found, ...]


Asked = tuple[UUID, Sequence[float]]
"""A practice's best passage by its identifier, and the vector that it was the best for."""


class StoredPassage:
    """A passage that is read from the index when it is first looked at, as matching does with those it cites.

    Empty where its practice was taken out meanwhile.
    """

    __slots__ = ("_asked", "_passage", "_read")

    def __init__(self, asked: Asked, read: Callable[[Sequence[Asked]], list[Passage]]) -> None:
        self._asked, self._read = asked, read
        self._passage: Passage | None = None

    @staticmethod
    def read_together(passages: Iterable[object]) -> None:
        """Read those among some passages that will be looked at, all in one go: one by one takes five times as long."""
        unread = [one for one in passages if isinstance(one, StoredPassage) and one._passage is None]
        if unread:
            for one, passage in zip(unread, unread[0]._read([one._asked for one in unread]), strict=True):
                one._passage = passage

    def _whole(self) -> Passage:
        if self._passage is None:
            (self._passage,) = self._read([self._asked])
        return self._passage

    @property
    def part(self) -> str:
        """See `Passage`."""
        return self._whole().part

    @property
    def language(self) -> str:
        """See `Passage`."""
        return self._whole().language

    @property
    def text(self) -> str:
        """See `Passage`."""
        return self._whole().text


@dataclass(frozen=True)
class Ranked:
    """What matching needs of a practice that meets a need; all of it lies in memory but the passage."""

    practice: str
    city: str
    partner_cities: tuple[str, ...]
    similarity: float
    passage: StoredPassage


@dataclass(frozen=True)
class Ranking:
    """One need's practices as `find_many` orders them, and how the need was read.

    `nearest` is how close the closest of them is by meaning alone, in [0, 1]: the cosine on the model's scale
    (`ranking.Profile.dense`). None where the model does not read the need's language, and where nothing was found.
    """

    understood: Understood
    found: tuple[Ranked, ...]
    nearest: float | None


@dataclass(frozen=True)
class Page:
    """A part of an answer; `next` is the cursor of the part after it, None at the end."""

    understood: Understood
    found: tuple[Found, ...]
    next: str | None


class SearchView:
    """Practices by meaning, words and themes. Threads may ask while one applies revisions."""

    name = "search"

    def __init__(
        self,
        folder: Path,
        embedder: Embedder,
        *,
        read: Callable[[Revision], Record],
        profile: Profile | None = None,
        vocabularies: Sequence[Thesaurus] = (),
        link: Linking | None = None,
        progress: Callable[[int, int], None] | None = None,
        discard: bool = False,
        indexes: Indexes = IN_PROCESS,
        beside: bool = False,
    ) -> None:
        """Open the view kept in `folder`, or an empty one.

        `read` gives a revision's record as plain JSON. `vocabularies` are further thesauri that bridge languages,
        after our own themes; `link` says which of our themes their concepts stand for, asked again whenever themes
        change. `progress(done, total)` counts the practices of a batch. `indexes` says which engine holds the passages;
        one that is opened `beside` another leaves that in use.

        Raises IndexMismatch for an index of another model or layout and for a damaged one; with `discard` it is
        thrown away instead, and the view starts empty with marker 0. Raises DataFolderInUse when another process
        has it open.
        """
        self.embedder = embedder
        self.profile = profile or ranking.profile_for(embedder.identity)
        self._read = read
        self._vocabularies = tuple(vocabularies)
        self._link = link
        self._bridging = True
        self._progress = progress or (lambda done, total: None)
        self._folder = folder
        self._meanings: Meanings | None = None
        self._experience: tuple[tuple[int, Thesaurus], dict[str, int], int] | None = None
        try:
            self._index = self._open(folder, indexes, beside)
        except IndexMismatch:
            if not discard:
                raise
            indexes.discard(folder)
            self._index = self._open(folder, indexes, beside)
        self._take_themes()

    def _open(self, folder: Path, indexes: Indexes, beside: bool) -> SearchIndex:
        return indexes.open(folder, model=self.embedder.identity, dimension=self.embedder.dimension, beside=beside)

    # ----------------------------------------------------------------------------- following the ledger

    @property
    def vocabularies(self) -> tuple[str, ...]:
        """The names of the bridge vocabularies in use."""
        return tuple(one.name for one in self._vocabularies)

    @property
    def thesaurus(self) -> Thesaurus:
        """The themes on record."""
        return self._thesaurus

    def asked_otherwise(
        self,
        *,
        profile: Profile | None = None,
        vocabularies: Sequence[Thesaurus] | None = None,
        bridging: bool = True,
    ) -> SearchView:
        """The same records asked with other weights or bridge vocabularies, for comparison; shares the index.

        Without `bridging` no labels stand behind a need in another language. It is to be asked only, not to follow a
        ledger, and ends with the view it was made of. k1, b and the lengths of a profile act when a practice is
        indexed, so they stay those of the first view.
        """
        other = copy.copy(self)
        other.profile = profile or self.profile
        other._vocabularies = self._vocabularies if vocabularies is None else tuple(vocabularies)
        other._bridging = bridging
        return other

    def beside(self, folder: Path, read: Callable[[Revision], Record]) -> SearchView:
        """An empty view of the same model, profile and vocabularies in another folder, of records as `read` gives them."""
        return SearchView(
            folder, self.embedder, read=read, profile=self.profile, vocabularies=self._vocabularies, link=self._link
        )

    def marker(self) -> int:
        """Number of the last ledger row that is in the view for good; 0 for an empty view."""
        return self._index.look()

    def held(self) -> dict[tuple[str, str], int]:
        """The practices in the view, each with its revision; facts of cities and themes are only kept beside them."""
        return {key: revision for key, revision in self._index.held().items() if key[0] == "practice"}

    def clear(self) -> None:
        """Forget all records."""
        self._index.clear()
        self._take_themes()

    def close(self) -> None:
        """Release files and locks."""
        self._index.close()

    def optimise(self, *, wait: bool = True) -> None:
        """Make a large index fast after a bulk build; asking goes on meanwhile."""
        self._index.optimise(wait=wait)

    def apply(self, revisions: Sequence[Revision], marker: int) -> None:
        """Take over records as they now stand, then remember `marker`; see kg.views.View."""
        mine = [revision for revision in revisions if revision.kind in _FACTS or revision.kind == "practice"]
        shown = [revision for revision in mine if is_shown(revision)]
        self._take_context([r for r in shown if r.kind != "practice"], [r for r in mine if r not in shown])
        practices = [revision for revision in shown if revision.kind == "practice"]
        for start in range(0, len(practices), EMBEDDED_AT_ONCE):
            some = practices[start : start + EMBEDDED_AT_ONCE]
            self._index.change(practices=self._documents([(r.number, self._read(r)) for r in some]))
            self._progress(start + len(some), len(practices))
        self._index.change(marker=marker)
        if len(revisions) < _STEADY_BATCH:
            self._index.optimise_when_due()

    def _take_context(self, shown: Sequence[Revision], gone: Sequence[Revision]) -> None:
        """Cities and themes that came, and everything that went; then what is stored with practices because of them."""
        if not shown and not gone:
            return
        before = self._thesaurus
        kept = [(r.kind, r.id, r.number, _FACTS[r.kind](self._read(r))) for r in shown]
        self._index.change(
            removed=[r.id for r in gone if r.kind == "practice"],
            kept=kept,
            forgotten=[(r.kind, r.id) for r in gone if r.kind != "practice"],
        )
        if any(r.kind == "theme" for r in (*shown, *gone)):
            self._take_themes()
            self._theme_meanings()
        cities = {r.id for r in (*shown, *gone) if r.kind == "city"}
        self._index.change(refreshed=[*self._refreshed_by_city(cities), *self._refreshed_by_theme(before)])

    def _take_themes(self) -> None:
        """The themes as they are now kept, and what foreign concepts mean among them."""
        themes = Thesaurus(self._index.kept("theme").values())
        linked = {one.name: self._link(themes, one) for one in self._vocabularies} if self._link else {}
        # One name at a time: who asks meanwhile meets links to a theme that is gone, which find nothing.
        self._thesaurus, self._linked = themes, linked

    def _refreshed_by_city(self, cities: Iterable[str]) -> Iterator[tuple[str, Record]]:
        facts = self._index.kept("city")
        for city in sorted(cities):
            for practice in self._index.practices_of(city):
                yield practice, _of_city(facts.get(city))

    def _refreshed_by_theme(self, before: Thesaurus) -> Iterator[tuple[str, Record]]:
        """Practices whose themes have other broader themes than before."""
        moved = {
            theme
            for theme in {*before.themes, *self._thesaurus.themes}
            if before.ancestors(theme) != self._thesaurus.ancestors(theme)
        }
        if moved:
            for practice, themes in self._index.themes().items():
                if moved.intersection(themes):
                    yield practice, {"themes_all": self._with_broader(themes)}

    def _with_broader(self, themes: Iterable[str]) -> list[str]:
        return list(dict.fromkeys(one for theme in themes for one in (theme, *self._thesaurus.ancestors(theme))))

    def _documents(self, records: Sequence[tuple[int, Record]]) -> list[Document]:
        """Practices made ready for the index; all their passages are embedded in one call."""
        cities = self._index.kept("city") if records else {}
        cut = [(number, record, cut_practice(record, self.embedder)) for number, record in records]
        texts = [passage.indexed for _, _, found in cut for passage in found]
        vectors = iter(self.embedder.embed(texts, kind="passage")) if texts else iter(())
        documents = []
        for number, record, found in cut:
            shared = _of_city(cities.get(record.get("city", ""))) | self._shared(record, found)
            rows = np.array(list(islice(vectors, len(found))), np.float32)
            documents.append(practice_document(record, number, found, rows, shared, self.profile))
        return documents

    def _shared(self, record: Record, found: Sequence[Passage]) -> dict[str, Any]:
        return {
            "themes_all": self._with_broader(record.get("themes", ())),
            "languages": sorted({passage.language for passage in found}),
            "evidence": _evidence(record),
            **({"collection": record["collection"]} if record.get("collection") else {}),
        }

    # --------------------------------------------------------------------------------------- asking

    def understand(self, need: AnyNeed) -> Understood:
        """How a need is read: its language, its themes, and the text that is embedded."""
        guessed, sure = (need.language, True) if need.language else language_of(need.text)
        known = guessed if sure else None
        own = self._thesaurus.match(need.text, known)
        english = sure and primary(guessed) == "en"
        foreign = [] if english else [(one, one.match(need.text, known)) for one in self._vocabularies]
        labels: dict[str, str] = {}
        if self._bridging and not self.embedder.multilingual:
            labels = bridge_labels([(self._thesaurus, own), *foreign], known)
        # Two words seldom tell their language; the model, English at heart, is then the better half of a guess.
        read_as = guessed if sure or labels else "en"
        situation = ranking.situation_of(read_as, multilingual=self.embedder.multilingual, bridged=bool(labels))
        helped = Help(
            model=self.embedder.multilingual or primary(guessed) == "en",
            labels=tuple(labels.items()),
            vocabularies=tuple(
                one.name for one in (self._thesaurus, *self._vocabularies) if primary(guessed) in one.languages
            ),
            strongest=max((match.strength for _, some in [(None, own), *foreign] for match in some[:1]), default=0.0),
        )
        themes = self._themes_of(own, foreign)
        return Understood(need.text, guessed, sure, situation, themes, bridged(need.text, labels), helped)

    def _themes_of(
        self, own: Sequence[ThemeMatch], foreign: Sequence[tuple[Thesaurus, Sequence[ThemeMatch]]]
    ) -> tuple[ThemeMatch, ...]:
        """The themes found, strongest first, each by its best label, be it its own or that of a foreign concept."""
        best = {match.theme: match for match in own}
        for vocabulary, matches in foreign:
            linked = self._linked.get(vocabulary.name, {})
            for match in matches:
                link = linked.get(match.theme)
                strength = round(match.strength * link.strength * VIA_VOCABULARY, 5) if link else 0.0
                if link and strength >= LEAST_STRENGTH and strength > getattr(best.get(link.theme), "strength", 0.0):
                    best[link.theme] = replace(match, theme=link.theme, strength=strength, vocabulary=vocabulary.name)
        # Python's sort keeps the order of equal ones, in which a thesaurus has its longer labels first.
        return tuple(sorted(best.values(), key=lambda match: -match.strength)[:THEMES_OF_A_NEED])

    def themes_by_meaning(
        self, understood: Sequence[Understood], limit: int = ranking.MOST_BY_MEANING
    ) -> list[list[ThemeMeaning]]:
        """For each need the themes that the model places nearest to it, by an English label or by what the theme covers,
        best first; only those that it means (`Profile.meant`).
        """
        if not understood or not self._theme_meanings().themes:
            return [[] for _ in understood]
        vectors = self.embedder.embed([one.embedded for one in understood], kind="query")
        known, least = self._theme_meanings(), self.profile.meant
        found = []
        for row in known.cosines(vectors):
            near = known.nearness(row, self.profile)
            nearest = sorted((-nearness, theme) for theme, nearness in near.items() if nearness >= least)
            found.append([ThemeMeaning(theme, known.label(row, theme), near[theme]) for _, theme in nearest[:limit]])
        return found

    def _weighed_by_meaning(
        self, needs: Sequence[AnyNeed], understood: Sequence[Understood], vectors: np.ndarray
    ) -> list[Understood]:
        """Needs that the model reads, with their themes weighed by it; in other languages words are all there is."""
        weighed = list(understood)
        # Two words of an unsure language are searched as English; their meaning is then a guess, and no theme rests on it.
        places = [place for place, one in enumerate(understood) if one.situation == "read" and one.help.model]
        known = self._theme_meanings() if places else None
        if known is not None and known.themes:
            for place, row in zip(places, known.cosines(vectors[places]), strict=True):
                weighed[place] = self._meant(needs[place], understood[place], known, row)
        return weighed

    def _meant(self, need: AnyNeed, understood: Understood, known: Meanings, row: np.ndarray) -> Understood:
        """A need with its themes weighed by what it means as a whole; `row` has its cosines to all that themes mean."""
        named = {match.theme: match for match in understood.themes}
        strengths = ranking.meant_themes(
            {theme: match.strength for theme, match in named.items()},
            known.nearness(row, self.profile),
            self.profile,
            chosen=bool(need.themes),
        )
        themes = tuple(
            replace(named[theme], strength=strength)
            if theme in named
            else ThemeMatch(theme, strength, known.label(row, theme), "en", ())
            for theme, strength in strengths.items()
        )
        return replace(understood, themes=themes[:THEMES_OF_A_NEED])

    def _theme_meanings(self) -> Meanings:
        """What all themes mean, computed once for the themes as they are; of changed ones only what is new."""
        known = self._meanings
        if known is None or known.thesaurus is not self._thesaurus:
            file, identity = self._folder / "themes.npz", self.embedder.identity
            before = known.texts if known else kept_texts(file, identity)
            known = self._meanings = read_meanings(self._thesaurus, self.embedder, before)
            if known.texts.keys() != before.keys():
                keep_texts(file, identity, known.texts)
        return known

    def cities_by_theme(self) -> dict[str, int]:
        """How many cities run a practice on each theme or one narrower; themes without any are left out."""
        marker = (self._index.marker, self._thesaurus)
        if self._experience is None or self._experience[0] != marker:
            cities = self._index.cities()
            found: dict[str, set[str]] = {}
            for practice, themes in self._index.themes().items():
                for theme in self._with_broader(themes):
                    found.setdefault(theme, set()).add(cities.get(practice, ""))
            counts = {theme: len(some - {""}) for theme, some in found.items()}
            self._experience = (marker, counts, len(set(cities.values()) - {""}))
        return self._experience[1]

    def count_cities(self) -> int:
        """How many cities run a practice on record."""
        self.cities_by_theme()
        return self._experience[2] if self._experience else 0

    def find_many(self, needs: Sequence[AnyNeed], *, filters: Filters | None = None, limit: int = 100) -> list[Answer]:
        """For each need the practices closest to it, best first, equal ones by identifier, at most `limit`.

        All needs are embedded in one call. The same needs on the same records get the same answer, and a shorter
        answer is the beginning of a longer one. At most `profile.kept` practices come back for a need.
        """
        understood, vectors, ranked = self._ranked_for(needs, filters, limit)
        stored = self._read_stored(ranked, vectors)
        return [Answer(one, tuple(hits)) for one, hits in zip(understood, stored, strict=True)]

    def rank_many(self, needs: Sequence[AnyNeed], *, filters: Filters | None = None, limit: int = 100) -> list[Ranking]:
        """What `find_many` finds, without reading what is stored with each practice.

        Reading 200 practices takes longer than finding them, and a suggestion cites a dozen.
        """
        understood, vectors, ranked = self._ranked_for(needs, filters, limit)
        return [
            Ranking(
                one,
                tuple(
                    Ranked(
                        hit.scored.practice,
                        hit.scored.city,
                        hit.scored.partner_cities,
                        hit.similarity,
                        StoredPassage((hit.scored.point, vector), self._read_passages),
                    )
                    for hit in hits
                ),
                max((hit.dense for hit in hits), default=None) if one.situation == "read" else None,
            )
            for one, vector, hits in zip(understood, vectors, ranked, strict=True)
        ]

    def _ranked_for(
        self, needs: Sequence[AnyNeed], filters: Filters | None, limit: int
    ) -> tuple[list[Understood], list[Sequence[float]], list[list[_Hit]]]:
        """How each need is read, its vector, and its practices."""
        understood = [self.understand(need) for need in needs]
        if not needs:
            return [], [], []
        vectors = self.embedder.embed([one.embedded for one in understood], kind="query")
        understood = self._weighed_by_meaning(needs, understood, vectors)
        wanted = [_wanted(need, one) for need, one in zip(needs, understood, strict=True)]
        queries = [
            self._query(vector.tolist(), one, themes)
            for vector, one, themes in zip(vectors, understood, wanted, strict=True)
        ]
        situations = [one.situation for one in understood]
        ranked = self._ranked(queries, wanted, situations, filters or Filters(), limit)
        return understood, [query.dense for query in queries], ranked

    def _read_passages(self, asked: Sequence[Asked]) -> list[Passage]:
        """Passages as they are shown; an empty one where its practice was taken out meanwhile."""
        shown = [payload and _passage(payload) for payload in self._shown(asked)]
        return [passage or Passage("", UNDETERMINED, "", "") for passage in shown]

    def _shown(self, asked: Sequence[Asked]) -> list[dict[str, Any] | None]:
        """What is stored with the passages to show, None where a practice was taken out meanwhile.

        That is the best one; but a bare title, which stands over the passage anyway, says nothing of what was done:
        instead of it the nearest of the practice's other passages is shown, where there is one.
        """
        stored = self._index.payloads(point for point, _ in asked)
        shown = [stored.get(point) for point, _ in asked]
        bare = [place for place, payload in enumerate(shown) if payload and _is_bare_title(payload)]
        beside = [passages_beside(asked[place][0]) for place in bare]
        others = self._index.payloads(point for points in beside for point in points)
        telling = [[one for one in some if one in others and not _is_bare_title(others[one])] for some in beside]
        nearest = self._index.nearest([(asked[place][1], some) for place, some in zip(bare, telling, strict=True)])
        for place, point in zip(bare, nearest, strict=True):
            if point is not None:
                shown[place] = others[point]
        return shown

    def find(self, need: AnyNeed, *, filters: Filters | None = None, limit: int = 100) -> list[Found]:
        """The practices closest to one need; see `find_many`."""
        return list(self.find_many([need], filters=filters, limit=limit)[0].found)

    def similar(self, practice: str, *, filters: Filters | None = None, limit: int = 10) -> list[Found]:
        """The practices that resemble one on record, best first, itself left out.

        Raises NotFound when it is not in the view.
        """
        stored = self._index.vectors_of(practice)
        if stored is None:
            raise NotFound(
                {
                    "en": f"there is no practice {quoted(practice)} that can be searched",
                    "fr": f"il n’y a pas de pratique {quoted(practice)} que la recherche connaisse",
                }
            )
        rows, words, facts = stored
        middle = rows.mean(axis=0)
        middle /= np.linalg.norm(middle) or 1.0
        themes = dict.fromkeys(facts.get("themes", ()), 1.0)
        using, total = self._index.using(number for numbers in words.values() for number in numbers), self._index.count
        asked = {name: ranking.asked(dict.fromkeys(numbers, 1), using, total) for name, numbers in words.items()}
        query = Query(middle.tolist(), asked["words"], asked["beginnings"], tuple(themes))
        filters = filters or Filters()
        filters = Filters(**{**filters.__dict__, "exclude_practices": filters.exclude_practices | {practice}})
        return self._read_stored(self._ranked([query], [themes], ["read"], filters, limit), [query.dense])[0]

    def search(
        self, need: AnyNeed, *, filters: Filters | None = None, limit: int = 20, cursor: str | None = None
    ) -> Page:
        """Practices closest to a text, page by page.

        Raises BadRequest for a cursor that was not given by a page before.
        """
        after = _read_cursor(cursor)
        answer = self.find_many([need], filters=filters, limit=self.profile.kept)[0]
        rest = [found for found in answer.found if after is None or _order(found) > after]
        page = tuple(rest[:limit])
        return Page(answer.understood, page, _write_cursor(page[-1]) if len(rest) > limit else None)

    def _query(self, vector: Sequence[float], understood: Understood, themes: Mapping[str, float]) -> Query:
        """A need as the index is asked: rare words weigh more, and labels behind the need count like its words."""
        texts: list[tuple[str, str | None]] = [(understood.text, understood.language)]
        labels = understood.embedded[len(understood.text.rstrip(" .")) :] if understood.situation == "bridged" else ""
        words = ranking.word_counts(texts) + ranking.word_counts([(labels, "en")], pairs=False)
        beginnings = ranking.beginning_counts([understood.text, labels])
        using, total = self._index.using([*words, *beginnings]), self._index.count
        return Query(
            vector,
            words=ranking.asked(words, using, total),
            beginnings=ranking.asked(beginnings, using, total),
            themes=tuple(themes),
        )

    def _ranked(
        self,
        queries: Sequence[Query],
        wanted: Sequence[Mapping[str, float]],
        situations: Sequence[Situation],
        filters: Filters,
        limit: int,
    ) -> list[list[_Hit]]:
        """Candidates of every signal, cut to those that may come out first, scored exactly, the best of them."""
        candidates = self._index.candidates(queries, filters, self.profile.depth)
        keys = [self._shortlist(one, kind) for one, kind in zip(candidates, situations, strict=True)]
        scored = self._index.score(queries, candidates, keys)
        return [
            sorted(self._weighed(hits, themes, kind), key=lambda hit: (-hit.similarity, hit.scored.practice))[:limit]
            for hits, themes, kind in zip(scored, wanted, situations, strict=True)
        ]

    def _shortlist(self, candidates: Candidates, situation: Situation) -> list[int]:
        return ranking.shortlist(candidates.found, candidates.bounds, self.profile, situation, self.profile.kept)

    def _weighed(self, scored: Sequence[Scored], wanted: Mapping[str, float], situation: Situation) -> Iterator[_Hit]:
        """Each candidate with its signals and their weighted mean."""
        weigh, mapped = ranking.weighing(self.profile.weights(situation)), self.profile.dense
        match = ranking.ThemeMatching(wanted, self._thesaurus.closeness).match
        for one in scored:
            dense, themes = mapped(one.dense), match(one.themes)
            yield _Hit(one, dense, themes, weigh(dense, one.words, one.beginnings, themes))

    def _read_stored(self, ranked: Sequence[Sequence[_Hit]], vectors: Sequence[Sequence[float]]) -> list[list[Found]]:
        """The same practices with what is stored of each; those that another thread has just taken out are left out."""
        asked = [(hit.scored.point, vector) for hits, vector in zip(ranked, vectors, strict=True) for hit in hits]
        shown = iter(self._shown(asked))
        return [[_found(hit, payload) for hit in hits if (payload := next(shown))] for hits in ranked]


# ------------------------------------------------------------------------------- practices for the index


def cut_practice(record: Record, embedder: Embedder) -> list[Passage]:
    """A practice's passages, counted in the embedder's own tokens where it can count them; the first 500."""
    return passages(record, count_tokens=getattr(embedder, "count_tokens", None))[:MOST_PASSAGES]


def practice_document(
    record: Record,
    revision: int,
    found: Sequence[Passage],
    vectors: np.ndarray,
    shared: Record,
    profile: Profile,
) -> Document:
    """A practice as the index takes it, from its record, its passages and their vectors."""
    title = record.get("title", {})
    texts = [*((text, language) for language, text in title.items()), *((p.text, p.language) for p in found)]
    words = ranking.word_counts(texts)
    beginnings = ranking.beginning_counts(text for text, _ in texts)
    return Document(
        practice=record["id"],
        city=record.get("city", ""),
        revision=revision,
        passages=found,
        vectors=vectors,
        words=ranking.saturated(words, profile.words_length, profile),
        beginnings=ranking.saturated(beginnings, profile.beginnings_length, profile),
        shared=shared,
        facts=_facts(record),
    )


def _facts(record: Record) -> dict[str, Any]:
    """What is shown of a practice beside its passage."""
    partners = [partner.get("partner_city") for partner in record.get("partners", ())]
    return {
        "title": record.get("title", {}),
        "themes": list(record.get("themes", ())),
        "tie": record.get("tie"),
        "partner_cities": list(dict.fromkeys(city for city in partners if city)),
        **_times(record.get("periods", ())),
    }


def _times(periods: Sequence[Record]) -> dict[str, Any]:
    """First year, last year and state of a practice; where sources disagree, the widest span and the first state.

    >>> _times([{"start": "2012", "status": "running"}, {"start": "2011", "end": "2017"}])
    {'start': 2011, 'end': 2017, 'status': 'running'}
    """
    years = {key: [int(p[key][:4]) for p in periods if str(p.get(key, ""))[:4].isdigit()] for key in ("start", "end")}
    return {
        "start": min(years["start"], default=None),
        "end": max(years["end"], default=None),
        "status": next((period["status"] for period in periods if period.get("status")), None),
    }


def _evidence(record: Record) -> list[str]:
    """The practice's own type of evidence first, then those of its outcome claims."""
    stated = [record.get("evidence"), *(claim.get("evidence") for claim in record.get("outcomes", ()))]
    return list(dict.fromkeys(one for one in stated if one))


def _city_facts(record: Record) -> dict[str, Any]:
    """Country and newest known population of a city.

    >>> _city_facts({"country": "LV", "observations": [
    ...     {"measure": "population", "observed": "55000", "observed_in": "2021"},
    ...     {"measure": "population", "observed": "61000", "observed_in": "2011"}]})
    {'country': 'LV', 'population': 55000}
    """
    counts = [
        (str(one.get("observed_in", "")), int(float(one["observed"])))
        for one in record.get("observations", ())
        if one.get("measure") == "population" and _is_number(one.get("observed"))
    ]
    return {"country": record.get("country"), "population": max(counts)[1] if counts else None}


def _theme_facts(record: Record) -> dict[str, Any]:
    wanted = ("id", "label", "alt", "note", "broader", "deprecated")
    return {key: record[key] for key in wanted if key in record}


_FACTS: Mapping[str, Callable[[Record], dict[str, Any]]] = {"city": _city_facts, "theme": _theme_facts}


def _of_city(facts: Record | None) -> dict[str, Any]:
    return {"country": facts["country"], "population": facts["population"]} if facts else dict(_NO_CITY)


_NO_CITY: Mapping[str, Any] = {"country": None, "population": None}


def _is_number(value: Any) -> bool:
    try:
        return float(value) == float(value) and abs(float(value)) < 1e12
    except (TypeError, ValueError):
        return False


# ------------------------------------------------------------------------------------------- answers


def _wanted(need: AnyNeed, understood: Understood) -> dict[str, float]:
    """The themes of a need with their strength; those somebody chose count fully."""
    return {match.theme: match.strength for match in understood.themes} | dict.fromkeys(need.themes, 1.0)


class _Hit(NamedTuple):
    """A practice with its signals, None where unknown, and their weighted mean."""

    scored: Scored
    dense: float
    themes: float | None
    similarity: float

    @property
    def signals(self) -> dict[str, float | None]:
        """All of them by name."""
        return dict(
            zip(ranking.SIGNALS, (self.dense, self.scored.words, self.scored.beginnings, self.themes), strict=True)
        )


def _found(hit: _Hit, payload: Mapping[str, Any]) -> Found:
    return Found(
        practice=hit.scored.practice,
        city=payload["city"],
        partner_cities=tuple(payload["partner_cities"]),
        tie=payload["tie"],
        country=payload.get("country"),
        similarity=hit.similarity,
        signals={name: round(value, ranking.DECIMALS) for name, value in hit.signals.items() if value is not None},
        passage=_passage(payload),
        title=payload["title"],
        themes=hit.scored.themes,
        evidence=tuple(payload.get("evidence", ())),
        start=payload["start"],
        end=payload["end"],
        status=payload["status"],
        revision=payload["revision"],
    )


def _passage(payload: Mapping[str, Any]) -> Passage:
    """The passage of a point, with its practice's title in its language, else in the first there is."""
    title, language = payload["title"], payload["language"]
    return Passage(payload["part"], language, payload["text"], title.get(language, next(iter(title.values()), "")))


def _is_bare_title(payload: Mapping[str, Any]) -> bool:
    """Whether a passage says its practice's title and nothing else."""
    return payload["text"] in payload["title"].values()


def _order(found: Found) -> tuple[float, str]:
    return -found.similarity, found.practice


def _write_cursor(last: Found) -> str:
    return base64.urlsafe_b64encode(json.dumps(_order(last)).encode()).decode().rstrip("=")


def _read_cursor(cursor: str | None) -> tuple[float, str] | None:
    if cursor is None:
        return None
    try:
        similarity, practice = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if not isinstance(similarity, float) or not isinstance(practice, str):
            raise ValueError("not a place in a list")
    except (ValueError, TypeError, binascii.Error, RecursionError) as error:
        raise BadRequest(
            {
                "en": f"cursor: {quoted(cursor)} was not given by a page of this search",
                "fr": f"cursor : {quoted(cursor)} ne vient d’aucune page de cette recherche",
            }
        ) from error
    return similarity, practice
