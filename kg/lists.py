"""The view behind lists: follows the ledger, counts facets, narrows lists by them, and ranks practices and cities.

What lists need of each public record stands in a small SQLite file, written with the marker in one transaction; the bit
sets of `kg.facets` are made from it when first asked for and changed with every write. Drafts, and what is not public,
never get here: a view sees what readers see.
"""

from __future__ import annotations

import base64
import binascii
import json
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kg.city_facts import LEVELS
from kg.errors import BadRequest, quoted
from kg.facets import (
    UNKNOWN,
    Near,
    Numbers,
    Row,
    Selection,
    Table,
    context_of,
    decade,
    evidence_key,
    freshness_of,
    size_band,
    sure_year,
)
from kg.fields import declaration
from kg.list_facts import Facts, facets_of, facts_of, is_part_of_mentorship, light_record
from kg.matching.experience import mentor_level, noisy_or, weigh_practice
from kg.matching.facts import CityFacts, DeclaredExperience, NeedHits, PracticeFacts
from kg.matching.profile import Profile
from kg.search.thesaurus import Thesaurus
from kg.views import is_shown

if TYPE_CHECKING:
    from kg.ledger import Revision

LAYOUT = "4"
MANY = 1_000
"""Above so many changed rows at once the bit sets are made anew, which takes a second or two at 100,000 records."""

THEMES_SHOWN = 5
"""Themes of experience that a list of cities shows of each; its record and suggestions have all."""

MOST_PROFILES = 10_000
"""Cities whose offer and experience, as asked for last, are remembered, about a kilobyte each: a page of fifty takes 20 ms
to work out."""

_SCHEMA = """
CREATE TABLE held (kind TEXT, id TEXT, number INTEGER, facts TEXT, PRIMARY KEY (kind, id)) WITHOUT ROWID;
CREATE TABLE named (city TEXT, kind TEXT, id TEXT, PRIMARY KEY (city, kind, id)) WITHOUT ROWID;
CREATE INDEX named_by ON named (kind, id);
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
"""

# What `named` has under "city" is a city's identifier, or a mentorship as `_mentorship` writes it.
_ABOUT = "SELECT city, kind, id, facts FROM named JOIN held USING (kind, id)"

_PRACTICES_OF = """
SELECT city, id, facts FROM named JOIN held USING (kind, id)
WHERE kind = 'practice' AND city IN (SELECT value FROM json_each(?)) ORDER BY city, id"""

_TAKEN_UP = "SELECT json_extract(facts, '$.practice'), count(*) FROM held WHERE kind = 'transfer' GROUP BY 1"

AT_ONCE = 20_000
"""Rows that go into the bit sets in one go."""

_NUMBERS: Mapping[str, tuple[str, ...]] = {
    "practice": ("population", "start", "end", "status_as_of", "ongoing", "complete"),
    "city": ("population", "share"),
}
_OF_A_CITY = ("practice", "experience", "availability", "mentorship")
"""Kinds that say something about the cities they name."""

Key = tuple[str, str]
Below = Callable[[str], tuple[str, ...]]


@dataclass(frozen=True)
class Profiled:
    """What cities are compared with; everything may be unknown."""

    country: str | None = None
    population: int | None = None
    foreign_born_share: float | None = None


@dataclass(frozen=True)
class Asked:
    """What a list is asked for.

    `chosen` has values by facet, `within` bounds of inhabitants, both ends included. `order` is "id", "evidence"
    (practices) or "nearest" (cities, to `near`). `facets` are those to be counted.
    """

    chosen: Mapping[str, Collection[str]] = field(default_factory=dict)
    facets: Sequence[str] = ()
    order: str = "id"
    near: Profiled = field(default_factory=Profiled)
    limit: int = 50
    cursor: str | None = None
    within: Mapping[str, tuple[float | None, float | None]] = field(default_factory=dict)
    leaving_out: Collection[str] = ()


@dataclass(frozen=True)
class Listed:
    """One page: identifiers in order, how many there are in all, counts by facet, the cursor of the page after it.

    `similarity` has similarity (None where nothing is known on both sides) and coverage by city, for "nearest".
    """

    ids: tuple[str, ...]
    total: int
    counts: Mapping[str, Mapping[str, int]]
    next: str | None
    similarity: Mapping[str, tuple[float | None, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Experience:
    """A city's experience in a theme: level in [0, 1] as suggestions have it, level stated, practices on record."""

    theme: str
    level: float | None
    stated: float | None
    practices: int


@dataclass(frozen=True)
class CityProfile:
    """What a list of cities shows of one: whether it offers to mentor ("open", "full", None), and in what it has experience."""

    offer: str | None = None
    experience: tuple[Experience, ...] = ()


class ListView:
    """Facets, filters and orders of every list. Any thread may ask; one at a time is answered or changes it."""

    name = "lists"

    def __init__(
        self,
        path: Path | None,
        base: str,
        *,
        read: Callable[[Revision], Mapping[str, Any]],
        profile: Profile | None = None,
        today: Callable[[], date] = date.today,
    ) -> None:
        """Open the view kept in a file, or in memory for None; a file that is damaged or of another layout is made anew.

        `read` gives a revision's record as plain JSON, for kinds of which the words are needed.
        """
        self._base, self._read, self._today = base, read, today
        self._profile = profile or Profile()
        self._lock = threading.RLock()
        self._tables: dict[str, Table] | None = None
        self._thesaurus = Thesaurus(())
        self._above: Below = self._thesaurus.ancestors
        self._below: Below = self._thesaurus.descendants
        self._labels: dict[str, Mapping[str, str]] = {}
        self._day: date | None = None
        self._profiles: dict[str, tuple[tuple[str, ...], CityProfile]] = {}
        try:
            self._db = self._opened(path)
        except sqlite3.DatabaseError:
            if path is None:
                raise
            for one in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
                one.unlink(missing_ok=True)
            self._db = self._opened(path)
        # Facts for a suggestion are read beside whoever makes the bit sets, which takes seconds.
        self._facts_lock = threading.Lock() if path else self._lock
        self._facts_db = self._opened(path) if path else self._db

    def _opened(self, path: Path | None) -> sqlite3.Connection:
        db = sqlite3.connect(path or ":memory:", check_same_thread=False, isolation_level=None)
        try:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=NORMAL")
            if not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                db.executescript(_SCHEMA)
                db.executemany("INSERT INTO meta VALUES (?, ?)", {"layout": LAYOUT, "marker": "0"}.items())
            found = dict(db.execute("SELECT name, value FROM meta"))
            if (found.get("layout"), "marker" in found) != (LAYOUT, True):
                raise sqlite3.DatabaseError("another layout")
            self._marker = int(found["marker"])
        except BaseException:
            db.close()
            raise
        return db

    # ----------------------------------------------------------------------------- following the ledger

    def marker(self) -> int:
        """Number of the last ledger row that is in the view for good; 0 for an empty view."""
        return self._marker

    def held(self) -> dict[Key, int]:
        """The records in the view, each with the number of the revision it shows."""
        with self._lock:
            return {(kind, id): number for kind, id, number in self._db.execute("SELECT kind, id, number FROM held")}

    def clear(self) -> None:
        """Forget all records."""
        with self._lock, self._transaction():
            self._db.execute("DELETE FROM held")
            self._db.execute("DELETE FROM named")
            self._set_marker(0)
            self._tables = None

    def close(self) -> None:
        """Release the file; what was applied stays."""
        with self._lock, self._facts_lock:
            self._db.close()
            self._facts_db.close()

    def apply(self, revisions: Sequence[Revision], marker: int) -> None:
        """Take over records as they now stand, then remember `marker`; see kg.views.View."""
        taken = [(one, self._facts(one)) for one in revisions if is_shown(one)]
        gone = [(one.kind, one.id) for one in revisions if not is_shown(one)]
        keys = [*gone, *((one.kind, one.id) for one, _ in taken)]
        with self._lock:
            with self._transaction():
                touched = self._cities_named(keys)
                for key in keys:
                    self._db.execute("DELETE FROM held WHERE kind = ? AND id = ?", key)
                    self._db.execute("DELETE FROM named WHERE kind = ? AND id = ?", key)
                for one, facts in taken:
                    row = (one.kind, one.id, one.number, json.dumps(facts, ensure_ascii=False))
                    self._db.execute("INSERT INTO held VALUES (?, ?, ?, ?)", row)
                    named = {(name, one.kind, one.id) for name in _names(facts)}
                    self._db.executemany("INSERT INTO named VALUES (?, ?, ?)", sorted(named))
                touched |= self._cities_named(keys)
                self._set_marker(marker)
            self._follow_up(keys, touched)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        before = self._marker
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            self._marker = before
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def _set_marker(self, marker: int) -> None:
        self._db.execute("INSERT OR REPLACE INTO meta VALUES ('marker', ?)", (str(marker),))
        self._marker = marker

    def _facts(self, revision: Revision) -> Facts:
        kind = declaration().kind(revision.kind)
        if kind.name == "theme":
            return facts_of(kind, self._read(revision))
        thing = f"{self._base}id/{revision.kind}/{revision.id}"
        return facts_of(kind, light_record(revision.payload or "", kind, thing))

    def _cities_named(self, keys: Iterable[Key]) -> set[str]:
        """Cities of which some of these records tell."""
        found = set()
        for kind, id in keys:
            if kind in _OF_A_CITY:
                rows = self._db.execute("SELECT city FROM named WHERE kind = ? AND id = ?", (kind, id))
                found |= {city for (city,) in rows}
        return found

    def _follow_up(self, keys: Sequence[Key], cities: set[str]) -> None:
        """Change the bit sets after some records have changed, and what rests on them."""
        if self._tables is None:
            return
        if any(kind == "theme" for kind, _ in keys):
            before = self._thesaurus
            self._take_themes()
            known = {*before.themes, *self._thesaurus.themes}
            if any(before.ancestors(theme) != self._thesaurus.ancestors(theme) for theme in known):
                self._tables = None
                return
        moved = {id for kind, id in keys if kind == "city"}
        naming = self._naming(moved)
        whole = {_mentorship(id) for kind, id in {*keys, *naming} if kind == "mentorship"}
        affected = {*keys, *(("city", city) for city in cities), *naming, *self._naming(whole)}
        if len(affected) > MANY:
            self._tables = None
            return
        for kind, id in affected:
            if kind == "city":
                self._profiles.pop(id, None)
        for kind, table in self._tables.items():
            ids = [id for of, id in affected if of == kind]
            rows = self._rows(kind, ids)
            table.remove(id for id in ids if id not in rows)
            table.put(rows)

    def _naming(self, cities: Iterable[str]) -> set[Key]:
        query = "SELECT kind, id FROM named WHERE city = ?"
        return {(kind, id) for city in cities for kind, id in self._db.execute(query, (city,))}

    # --------------------------------------------------------------------------------------- the bit sets

    def prepare(self) -> None:
        """Make what the first list would have to wait for; nothing where the view was closed meanwhile."""
        with self._lock, suppress(sqlite3.ProgrammingError):
            self._ready()

    def _ready(self) -> dict[str, Table]:
        """The tables, made when they are not there; offers are read anew on a new day."""
        today = self._today()
        if self._tables is None:
            self._take_themes()
            tables = {}
            for kind in declaration().kinds.values():
                tables[kind.name] = table = Table(facets_of(kind), _NUMBERS.get(kind.name, ()))
                rows = self._every_row(kind.name)
                while some := dict(islice(rows, AT_ONCE)):
                    table.put(some)
            self._tables, self._day = tables, today
            self._profiles.clear()
        elif self._day != today:
            offering = {city for (city,) in self._db.execute("SELECT city FROM named WHERE kind = 'availability'")}
            self._tables["city"].put(self._rows("city", sorted(offering)))
            self._profiles.clear()
            self._day = today
        return self._tables

    def _take_themes(self) -> None:
        records = [{"id": id, **facts} for id, facts in self._held("theme").items()]
        self._thesaurus = Thesaurus(records)
        self._labels = {record["id"]: record.get("label", {}) for record in records}
        self._above = lru_cache(maxsize=10_000)(self._thesaurus.ancestors)
        self._below = lru_cache(maxsize=10_000)(self._thesaurus.descendants)

    def _held(self, kind: str, ids: Sequence[str] | None = None) -> dict[str, Facts]:
        """What is remembered of the records of a kind, all or some, by identifier."""
        query = "SELECT id, facts FROM held WHERE kind = ?"
        if ids is None:
            rows: Iterable[tuple[str, str]] = self._db.execute(query, (kind,))
        else:
            rows = (row for id in ids for row in self._db.execute(f"{query} AND id = ?", (kind, id)))
        return {id: json.loads(facts) for id, facts in rows}

    def _rows(self, kind: str, ids: Sequence[str]) -> dict[str, Row]:
        """The rows of some records; those that are not there are left out."""
        held = self._held(kind, ids)
        if kind == "city":
            about = self._about(ids)
            return {id: self._city_row(facts, about.get(id, {})) for id, facts in held.items()}
        if kind == "theme":
            return {id: self._theme_row(id, facts) for id, facts in held.items()}
        wholes = self._held("mentorship", sorted({one["mentorship"] for one in held.values() if "mentorship" in one}))
        held = {id: _with_mentorship(facts, wholes) for id, facts in held.items()}
        cities = self._held("city", sorted({city for facts in held.values() for city in facts.get("cities", ())}))
        return {id: self._row(facts, cities) for id, facts in held.items()}

    def _every_row(self, kind: str) -> Iterator[tuple[str, Row]]:
        """The rows of all records of a kind, one by one: what is remembered of 100,000 would take 200 MB at once."""
        cities = self._held("city")
        if kind == "city":
            said = groupby(self._db.execute(f"{_ABOUT} ORDER BY city"), key=lambda row: row[0])
            for id, rows in said:
                if id in cities:
                    about = {(of, one): json.loads(facts) for _, of, one, facts in rows if of in _OF_A_CITY}
                    yield id, self._city_row(cities.pop(id), about)
            yield from ((id, self._city_row(facts, {})) for id, facts in cities.items())
        else:
            wholes = self._held("mentorship") if is_part_of_mentorship(declaration().kind(kind)) else {}
            for id, text in self._db.execute("SELECT id, facts FROM held WHERE kind = ? ORDER BY id", (kind,)):
                facts = json.loads(text)
                if kind == "theme":
                    yield id, self._theme_row(id, facts)
                else:
                    yield id, self._row(_with_mentorship(facts, wholes), cities)

    def _row(self, facts: Facts, cities: Mapping[str, Facts]) -> Row:
        """A record's values; its country, unless it has one itself, and size are those of its cities."""
        there = [cities[city] for city in facts.get("cities", ()) if city in cities]
        own = facts.get("country")
        numbers = {name: facts[name] for names in _NUMBERS.values() for name in names if name in facts}
        populations = [city["population"] for city in there if "population" in city]
        return Row(
            {
                "country": [own] if own else [city["country"] for city in there if city.get("country")],
                "theme": self._with_broader(facts.get("themes", ())),
                "evidence": [facts["evidence"]] if facts.get("evidence") else [],
                "decade": _known(decade(facts.get("year"))),
                "language": facts.get("languages", ()),
                "size": [band for population in populations for band in _known(size_band(population))],
            },
            {**({"population": populations[0]} if populations else {}), **numbers},
        )

    def _theme_row(self, id: str, facts: Facts) -> Row:
        """A theme's values: it counts for itself and its broader ones, and has the languages of its labels."""
        return Row({"theme": self._with_broader([id]), "language": sorted(facts.get("label", ()))})

    def _city_row(self, facts: Facts, about: Mapping[Key, Facts]) -> Row:
        """A city's values: its themes are those of practices that are more than planned, and of stated experience."""
        themes: set[str] = set()
        for (kind, _), one in about.items():
            planned = one.get("status") == "planned" or one.get("level") == "none"
            if kind in ("practice", "experience") and not planned:
                themes.update(one.get("themes", ()))
        return Row(
            {
                "country": _known(facts.get("country")),
                "theme": self._with_broader(sorted(themes)),
                "language": facts.get("languages", ()),
                "size": _known(size_band(facts.get("population"))),
                "offer": _known(self._offer(about)),
            },
            {name: facts[name] for name in _NUMBERS["city"] if name in facts},
        )

    def _about(self, cities: Iterable[str]) -> dict[str, dict[Key, Facts]]:
        """What is on record about cities, by city: practices it has or took part in, experience, offers, mentorships."""
        return {
            city: {
                (kind, id): json.loads(facts)
                for _, kind, id, facts in self._db.execute(f"{_ABOUT} WHERE city = ?", (city,))
                if kind in _OF_A_CITY
            }
            for city in cities
        }

    def _offer(self, about: Mapping[Key, Facts]) -> str | None:
        """Whether a city offers to mentor now: "open", "full", or None: no offer made with consent, or it has ended."""
        offers = [
            (facts.get("until") or "", id, facts) for (kind, id), facts in about.items() if kind == "availability"
        ]
        if not offers:
            return None
        _, _, newest = max(offers, key=lambda offer: offer[:2])
        ended = bool(newest.get("until")) and date.fromisoformat(newest["until"]) < self._today()
        if newest.get("consent") != "true" or ended:
            return None
        mentor = newest.get("mentor")
        states = [one.get("mentorship_state") for one in about.values() if one.get("mentor") == mentor]
        taken = sum(state in ("agreed", "running") for state in states)
        return "full" if newest.get("quota") is not None and taken >= int(newest["quota"]) else "open"

    def _with_broader(self, themes: Iterable[str]) -> list[str]:
        return list(dict.fromkeys(one for theme in themes for one in (theme, *self._above(theme))))

    # ------------------------------------------------------------------------------------------ asking

    def ask(self, kind: str, asked: Asked) -> Listed:
        """One page of a list.

        Raises BadRequest for a cursor that was not given by a page of the same order.
        """
        with self._lock:
            table = self._ready()[kind]
            chosen = table.select(asked.chosen, within=asked.within, leaving_out=asked.leaving_out)
            counts = {facet: table.counts(chosen, facet) for facet in asked.facets}
            if asked.order == "id":
                ids = table.page(chosen, limit=asked.limit + 1, after=asked.cursor)
                page = tuple(ids[: asked.limit])
                return Listed(page, chosen.total, counts, page[-1] if len(ids) > asked.limit else None)
            return self._ranked(table, chosen, counts, asked)

    def _ranked(self, table: Table, chosen: Selection, counts: Mapping[str, Mapping[str, int]], asked: Asked) -> Listed:
        after = _read_cursor(asked.cursor)
        today, near = self._today(), asked.near
        similarity: Mapping[str, tuple[float | None, float]] = {}
        if asked.order == "evidence":
            name: object = ("evidence", today)
            found = table.ranked(
                chosen, lambda: self._evidence(table, today), limit=asked.limit + 1, after=after, name=name
            )
        else:
            similar, coverage = self._context(table, near)
            # Where nothing can be compared, a city comes after those where something can: it is not called unlike.
            key = np.where(
                np.isnan(similar), -1.0, np.rint(np.nan_to_num(similar) * 1e6) * 1e4 + np.rint(coverage * 1e3)
            )
            found = table.ranked(chosen, lambda: key, limit=asked.limit + 1, after=after)
            places = {id: table.place(id) for _, id in found}
            similarity = {
                id: (None if np.isnan(similar[row]) else round(float(similar[row]), 6), round(float(coverage[row]), 6))
                for id, row in places.items()
            }
        page = found[: asked.limit]
        cursor = _write_cursor(page[-1]) if len(found) > asked.limit else None
        return Listed(tuple(id for _, id in page), chosen.total, counts, cursor, similarity)

    def _evidence(self, table: Table, today: date) -> Numbers:
        profile = self._profile
        strength = np.full(len(table.numbers("start")), unstated(profile))
        for evidence, weight in profile.evidence.items():
            strength[table.flags("evidence", evidence)] = weight
        start, end, status_as_of, ongoing = map(table.numbers, ("start", "end", "status_as_of", "ongoing"))
        years = sure_year(start, end, status_as_of, ongoing, today.year)
        fresh = freshness_of(years, today.year, profile.half_life_years, profile.usual_freshness)
        return evidence_key(strength, fresh, table.numbers("complete"))

    def _context(self, table: Table, near: Profiled) -> tuple[Numbers, Numbers]:
        same = None
        if near.country:
            same = table.flags("country", near.country).astype(np.float64)
            same[table.flags("country", UNKNOWN)] = np.nan
        profile = self._profile
        return context_of(
            Near(near.population, same, near.foreign_born_share),
            table.numbers("population"),
            table.numbers("share"),
            weights=profile.context,
            size_ratio=profile.size_ratio,
            share_range=profile.share_range,
        )

    def matching(self, kind: str, asked: Asked) -> list[str]:
        """Identifiers of all records that the choice lets in, sorted."""
        with self._lock:
            table = self._ready()[kind]
            return table.every(table.select(asked.chosen, within=asked.within, leaving_out=asked.leaving_out))

    def practices_in(self, cities: Iterable[str]) -> list[str]:
        """Identifiers of the practices that cities run, those they only took part in left out."""
        with self._lock:
            named = sorted(id for kind, id in self._naming(cities) if kind == "practice")
            held = self._held("practice", named)
        wanted = set(cities)
        return [id for id, facts in held.items() if not wanted.isdisjoint(facts.get("cities", ()))]

    def facts(self, kind: str, ids: Sequence[str]) -> dict[str, Facts]:
        """What lists know of some records, by identifier; those that are not public are left out."""
        with self._lock:
            return self._held(kind, ids)

    def practice(self, id: str, facts: Facts) -> PracticeFacts:
        """A practice as matching has it."""
        return _practice_facts(id, facts, facts.get("tie"))

    def practices_of(self, cities: Iterable[str]) -> dict[str, tuple[PracticeFacts, ...]]:
        """The practices that each city runs or took part in, by identifier, as matching has them.

        A city that only took part has that tie, whatever the record's own. Cities without a practice are left out.
        """
        found: dict[str, list[PracticeFacts]] = defaultdict(list)
        with self._facts_lock:
            rows = self._facts_db.execute(_PRACTICES_OF, (json.dumps(sorted(set(cities))),)).fetchall()
            taken_up = dict(self._facts_db.execute(_TAKEN_UP)) if rows else {}
        for city, id, text in rows:
            facts = json.loads(text)
            tie = facts.get("tie") if city in facts.get("cities", ()) else "partner"
            found[city].append(_practice_facts(id, facts, tie, taken_up.get(id, 0)))
        return {city: tuple(practices) for city, practices in found.items()}

    def profiles(self, cities: Sequence[str], first: Collection[str] = ()) -> dict[str, CityProfile]:
        """Offer and experience of cities: the themes each has most practices on, those of `first` before all others.

        A theme takes in what is narrower. Levels are `experience.mentor_level` with the profile of suggestions.
        """
        asked = tuple(first)
        with self._lock:
            self._ready()
            if len(self._profiles) > MOST_PROFILES:
                self._profiles.clear()
            missing = [city for city in cities if self._profiles.get(city, (None,))[0] != asked]
            for city, said in self._about(missing).items():
                experience = self._experience(city, said, asked, self._below, self._today())
                self._profiles[city] = asked, CityProfile(self._offer(said), tuple(experience))
            return {city: self._profiles[city][1] for city in cities}

    def _experience(
        self, city: str, about: Mapping[Key, Facts], first: Collection[str], below: Below, today: date
    ) -> list[Experience]:
        practices = tuple(
            _practice_facts(id, one, one.get("tie") if city in one.get("cities", ()) else "partner")
            for (kind, id), one in sorted(about.items())
            if kind == "practice" and one.get("status") != "planned"
        )
        stated = tuple(
            DeclaredExperience(theme, LEVELS[one["level"]], one.get("basis"), _day(one.get("stated_on")))
            for (kind, _), one in sorted(about.items())
            if kind == "experience" and one.get("level") in LEVELS
            for theme in one.get("themes", ())
        )
        of_theme: dict[str, int] = defaultdict(int)
        for practice in practices:
            for theme in practice.themes:
                of_theme[theme] += 1
        for statement in stated:
            of_theme[statement.theme] += 0
        known = CityFacts(city, {}, practices=practices, experience=stated)
        # Where nothing is stated a level is that of the documents alone; weighing each practice once keeps a page quick.
        weights = {practice.id: weigh_practice(practice, 1.0, self._profile, today).weight for practice in practices}
        found = []
        order = sorted(of_theme, key=lambda theme: (-of_theme[theme], theme))
        for theme in list(dict.fromkeys([*first, *order]))[: max(THEMES_SHOWN, len(first))]:
            narrower = frozenset(below(theme))
            on_theme = [one for one in practices if theme in one.themes or not narrower.isdisjoint(one.themes)]
            level: float | None = None
            if stated:
                need = NeedHits((), themes=frozenset({theme}), narrower=narrower)
                whole = mentor_level(known, need, {}, self._profile, today)
                level = whole.value if whole else None
            elif on_theme:
                level = noisy_or((weights[one.id] for one in on_theme), self._profile.best)
            levels = [one.level for one in stated if one.theme == theme]
            if level is not None or levels:
                found.append(Experience(theme, level, max(levels, default=None), len(on_theme)))
        return found

    def theme_label(self, theme: str) -> Mapping[str, str]:
        """A theme's label by language; empty for one that is not on record."""
        return self._labels.get(theme, {})

    def with_broader(self, themes: Iterable[str]) -> set[str]:
        """Themes and all that are broader."""
        return set(self._with_broader(themes))

    def broader(self, theme: str) -> tuple[str, ...]:
        """The themes right above one."""
        return self._thesaurus.parents(theme)


def unstated(profile: Profile) -> float:
    """Where a practice without stated evidence stands among the profile's weights of evidence.

    After those that state some, since nothing speaks for it; before those that are known to have none, since what is
    unknown is not bad.

    >>> unstated(Profile())      # activity counts .5, none .3
    0.4
    """
    none = profile.evidence.get("none", 0.0)
    return (none + min((weight for weight in profile.evidence.values() if weight > none), default=none)) / 2


def _names(facts: Facts) -> set[str]:
    """What a record names whose change changes it here: cities, and the mentorship it is part of."""
    whole = {_mentorship(facts["mentorship"])} if "mentorship" in facts else set()
    return {*facts.get("cities", ()), *facts.get("partners", ()), *whole}


def _mentorship(id: str) -> str:
    """A mentorship among the names of cities: identifiers have no spaces."""
    return f"mentorship {id}"


def _with_mentorship(facts: Facts, wholes: Mapping[str, Facts]) -> Facts:
    """A part of a mentorship with the cities and themes of its mentorship, where it names none of its own."""
    whole = wholes.get(facts.get("mentorship", ""), {})
    return {**{key: whole[key] for key in ("cities", "themes") if key in whole}, **facts}


def _practice_facts(id: str, facts: Facts, tie: str | None, taken_up: int = 0) -> PracticeFacts:
    return PracticeFacts(
        id=id,
        title=facts.get("title", {}),
        themes=frozenset(facts.get("themes", ())),
        tie=tie,
        evidence=facts.get("evidence"),
        start=facts.get("start"),
        end=facts.get("end"),
        status=facts.get("status"),
        status_as_of=facts.get("status_as_of"),
        confidence=facts.get("confidence"),
        rival_claims=facts.get("rivals", False),
        told_for_transfer=frozenset(facts.get("told", ())),
        taken_up=taken_up,
    )


def _known(value: str | None) -> list[str]:
    return [] if value is None else [value]


def _day(value: str | None) -> date | None:
    return date.fromisoformat(value) if value else None


def _write_cursor(last: tuple[float, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(last).encode()).decode().rstrip("=")


def _read_cursor(cursor: str | None) -> tuple[float, str] | None:
    if cursor is None:
        return None
    try:
        key, id = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if not isinstance(key, float) or not isinstance(id, str) or key != key:
            raise ValueError("not a place in a list")
    except (ValueError, TypeError, binascii.Error, RecursionError) as error:
        raise BadRequest(
            {
                "en": f"cursor: {quoted(cursor)} was not given by a page of this list",
                "fr": f"cursor : {quoted(cursor)} ne vient d’aucune page de cette liste",
            }
        ) from error
    return key, id
