"""Counts the records of a list by country, theme, evidence and so on, and finds those that were chosen: bit sets, no I/O.

For every value of every facet a `Table` has one bit per record: 12.5 kB for 100,000 records. A choice is a few "or"s and
"and"s of such rows, a count the number of bits that are left, so that all facets of 100,000 practices take about two
milliseconds and three megabytes, however many values a record has.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Bits = npt.NDArray[np.uint64]
"""One bit per row, 64 in a word."""

Numbers = npt.NDArray[np.float64]

UNKNOWN = "unknown"
"""The value of a record that says nothing: a bucket of its own in every facet, never left out."""

SIZES: Mapping[str, int] = {"small": 0, "medium": 50_000, "large": 200_000, "metropolis": 1_000_000}
"""Size bands of cities with their least number of inhabitants, as competency question 2 has them."""


def size_band(population: int | None) -> str | None:
    """The size band of a city; None where its population is not known, or 0, which nobody's is.

    >>> size_band(49_999), size_band(50_000), size_band(3_000_000), size_band(None)
    ('small', 'medium', 'metropolis', None)
    """
    if not population or population < 0:
        return None
    return [name for name, least in SIZES.items() if population >= least][-1]


def decade(year: int | None) -> str | None:
    """The first year of a year's decade.

    >>> decade(2019), decade(None)
    ('2010', None)
    """
    return None if year is None else str(year // 10 * 10)


@dataclass(frozen=True)
class Row:
    """One record as a table takes it.

    `values` are its values by facet; none at all counts as UNKNOWN. A theme comes with its broader ones, so that a
    theme counts what is narrower. `numbers` are what lists are ordered or bounded by, NaN where unknown.
    """

    values: Mapping[str, Collection[str]] = field(default_factory=dict)
    numbers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Selection:
    """The records that a choice lets in, as bits over a table's rows.

    `without` has, for each facet with a choice, what the other facets let in: its own counts are taken from that, so
    that a second value can still be chosen beside the first.
    """

    bits: Bits
    without: Mapping[str, Bits]

    @property
    def total(self) -> int:
        """How many there are."""
        return _count(self.bits)


class Table:
    """Which records of one kind have which values. Not to be read while it is being changed.

    >>> table = Table(["country", "theme"])
    >>> table.put({"trees": Row({"country": ["BE"], "theme": ["heat", "climate"]}), "desk": Row({"country": ["LV"]}),
    ...            "panel": Row({"country": ["LV"], "theme": ["climate"]})})
    >>> chosen = table.select({"country": ["LV"]})
    >>> chosen.total, table.page(chosen, limit=5)
    (2, ['desk', 'panel'])
    >>> table.counts(chosen, "theme")
    {'climate': 1, 'unknown': 1}
    >>> table.counts(chosen, "country")      # its own choice does not hide the others
    {'BE': 1, 'LV': 2}
    """

    def __init__(self, facets: Sequence[str], numbers: Sequence[str] = ()) -> None:
        self.facets = tuple(facets)
        self._bits: dict[str, dict[str, Bits]] = {facet: {} for facet in facets}
        self._numbers: dict[str, Numbers] = {name: np.full(64, np.nan) for name in numbers}
        self._there: Bits = np.zeros(1, np.uint64)
        self._named: list[str | None] = []
        self._free: list[int] = []
        self._ids: list[str] = []
        self._order = np.zeros(0, np.int64)
        self._orders: dict[object, tuple[Numbers, npt.NDArray[np.int64]]] = {}

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, id: object) -> bool:
        return isinstance(id, str) and self._row(id) is not None

    # Changes

    def put(self, rows: Mapping[str, Row]) -> None:
        """Take records in, or replace them."""
        self._orders.clear()
        new = sorted(id for id in rows if self._row(id) is None)
        places = {id: self._new_row(id) for id in new}
        self._insert(new, [places[id] for id in new])
        having: dict[tuple[str, str], list[int]] = defaultdict(list)
        for id, one in rows.items():
            place = places.get(id)
            if place is None:
                place = places[id] = int(self._order[bisect_left(self._ids, id)])
                self._clear(place)
            for facet in self.facets:
                for value in set(one.values.get(facet, ())) or (UNKNOWN,):
                    having[facet, value].append(place)
            for name, numbers in self._numbers.items():
                numbers[place] = one.numbers.get(name, np.nan)
        _set(self._there, list(places.values()))
        for (facet, value), some in having.items():
            _set(self._of(facet, value), some)

    def remove(self, ids: Iterable[str]) -> None:
        """Take records out; those that are not there are passed over."""
        self._orders.clear()
        for id in ids:
            place = self._row(id)
            if place is None:
                continue
            self._clear(place)
            self._named[place] = None
            self._free.append(place)
            position = bisect_left(self._ids, id)
            del self._ids[position]
            self._order = np.delete(self._order, position)

    def _row(self, id: str) -> int | None:
        position = bisect_left(self._ids, id)
        there = position < len(self._ids) and self._ids[position] == id
        return int(self._order[position]) if there else None

    def _new_row(self, id: str) -> int:
        if self._free:
            place = self._free.pop()
            self._named[place] = id
            return place
        self._named.append(id)
        if len(self._named) > 64 * len(self._there):
            self._grow()
        return len(self._named) - 1

    def _grow(self) -> None:
        """Twice as many rows; the arrays are copied a few times in a table's life."""
        more = len(self._there)
        self._there = np.concatenate([self._there, np.zeros(more, np.uint64)])
        for values in self._bits.values():
            for value, bits in values.items():
                values[value] = np.concatenate([bits, np.zeros(more, np.uint64)])
        for name, numbers in self._numbers.items():
            self._numbers[name] = np.concatenate([numbers, np.full(64 * more, np.nan)])

    def _insert(self, new: Sequence[str], places: Sequence[int]) -> None:
        """New identifiers, sorted, into the order of all."""
        positions = [bisect_left(self._ids, id) for id in new]
        self._order = np.insert(self._order, positions, np.array(places, np.int64))
        if len(new) == 1:
            self._ids.insert(positions[0], new[0])
        elif new:
            self._ids = sorted([*self._ids, *new])

    def _of(self, facet: str, value: str) -> Bits:
        values = self._bits[facet]
        if value not in values:
            values[value] = np.zeros(len(self._there), np.uint64)
        return values[value]

    def _clear(self, place: int) -> None:
        word, others = place >> 6, np.uint64((1 << 64) - 1 - (1 << (place & 63)))
        self._there[word] &= others
        for values in self._bits.values():
            for bits in values.values():
                bits[word] &= others
        for numbers in self._numbers.values():
            numbers[place] = np.nan

    # Questions

    def select(
        self,
        chosen: Mapping[str, Collection[str]] | None = None,
        *,
        within: Mapping[str, tuple[float | None, float | None]] | None = None,
        leaving_out: Collection[str] = (),
    ) -> Selection:
        """The records with any of the chosen values of every facet that has a choice; none chosen lets all in.

        `within` bounds numbers, ends included; an unknown number lies in no bounds. `leaving_out` are identifiers.

        Raises KeyError for a facet or number that the table does not have.
        """
        base = self._there.copy()
        for name, (low, high) in (within or {}).items():
            base &= self._packed(_between(self._numbers[name], low, high))
        for id in leaving_out:
            if (place := self._row(id)) is not None:
                base[place >> 6] &= np.uint64((1 << 64) - 1 - (1 << (place & 63)))
        choices = {facet: self._any(facet, values) for facet, values in (chosen or {}).items() if values}
        without = {facet: _all([base, *(b for f, b in choices.items() if f != facet)]) for facet in choices}
        return Selection(_all([base, *choices.values()]), without)

    def _any(self, facet: str, values: Collection[str]) -> Bits:
        found = np.zeros(len(self._there), np.uint64)
        for value in values:
            if value in self._bits[facet]:
                found |= self._bits[facet][value]
        return found

    def _packed(self, flags: npt.NDArray[np.bool_]) -> Bits:
        packed = np.packbits(flags, bitorder="little").view("<u8").astype(np.uint64)
        return np.concatenate([packed, np.zeros(len(self._there) - len(packed), np.uint64)])

    def _flags(self, bits: Bits) -> npt.NDArray[np.bool_]:
        return np.unpackbits(bits.astype("<u8").view(np.uint8), bitorder="little").view(np.bool_)

    def counts(self, selection: Selection, facet: str) -> dict[str, int]:
        """How many of the selected records have each value of a facet, by value; its own choice is left aside.

        Values that none of them has are left out. A record with several values counts once for each.
        """
        among = selection.without.get(facet, selection.bits)
        counted = {value: _count(bits & among) for value, bits in self._bits[facet].items()}
        return {value: counted[value] for value in sorted(counted) if counted[value]}

    def every(self, selection: Selection) -> list[str]:
        """Identifiers of the selected records, sorted."""
        flags = self._flags(selection.bits)[self._order]
        return [self._ids[position] for position in np.flatnonzero(flags).tolist()]

    def page(self, selection: Selection, *, limit: int, after: str | None = None) -> list[str]:
        """The first `limit` selected records by identifier, of those after `after`."""
        start = 0 if after is None else bisect_left(self._ids, after)
        if start < len(self._ids) and self._ids[start] == after:
            start += 1
        flags = self._flags(selection.bits)[self._order[start:]]
        return [self._ids[start + position] for position in np.flatnonzero(flags)[:limit].tolist()]

    def ranked(
        self,
        selection: Selection,
        keys: Callable[[], Numbers],
        *,
        limit: int,
        after: tuple[float, str] | None = None,
        name: object = None,
    ) -> list[tuple[float, str]]:
        """The first `limit` selected records by key, highest first, equal ones by identifier; each with its key.

        `keys` gives one number for each row, as `numbers` has them. `after` is where the page before ended. Keys and order
        that were asked for last with a `name` are remembered until the table changes.
        """
        known = self._orders.get(name) if name is not None else None
        if known is None:
            key = keys()
            known = key, self._order[np.argsort(-key[self._order], kind="stable")]
            if name is not None:
                self._orders = {name: known}
        key, order = known
        rows = order[self._flags(selection.bits)[order]]
        start = 0
        if after is not None:
            falling, (last, id) = -key[rows], after
            start = int(np.searchsorted(falling, -last, "left"))
            end = int(np.searchsorted(falling, -last, "right"))
            start += bisect_left([str(self._named[row]) for row in rows[start:end].tolist()], id + "\0")
        return [(float(key[row]), str(self._named[row])) for row in rows[start : start + limit].tolist()]

    def place(self, id: str) -> int:
        """The row of a record that is there, as a place in `numbers` and `flags`."""
        place = self._row(id)
        if place is None:
            raise KeyError(id)
        return place

    def flags(self, facet: str, value: str) -> npt.NDArray[np.bool_]:
        """Which rows have a value."""
        bits = self._bits[facet].get(value)
        return np.zeros(64 * len(self._there), np.bool_) if bits is None else self._flags(bits)

    def numbers(self, name: str) -> Numbers:
        """A number of every row, NaN where unknown; rows that are free have some too."""
        return self._numbers[name]


def _set(bits: Bits, places: Sequence[int]) -> None:
    """Set the bits of some rows; several may lie in one word."""
    rows = np.array(places, np.uint64)
    np.bitwise_or.at(bits, rows >> np.uint64(6), np.uint64(1) << (rows & np.uint64(63)))


def _between(numbers: Numbers, low: float | None, high: float | None) -> npt.NDArray[np.bool_]:
    inside = ~np.isnan(numbers)
    if low is not None:
        inside &= numbers >= low
    if high is not None:
        inside &= numbers <= high
    return inside


def _all(parts: Sequence[Bits]) -> Bits:
    found = parts[0].copy()
    for part in parts[1:]:
        found &= part
    return found


def _count(bits: Bits) -> int:
    return int(np.bitwise_count(bits).sum(dtype=np.int64))


# ------------------------------------------------------------------------------------------ orders of lists


def evidence_key(strength: Numbers, freshness: Numbers, completeness: Numbers) -> Numbers:
    """One number that orders practices by evidence: strength first, then freshness, then completeness, all in [0, 1].

    Strength is compared to a thousandth, freshness to a ten-thousandth, completeness to a thousandth; NaN counts as 0.

    >>> keys = evidence_key(np.array([0.5, 0.9, 0.9]), np.array([1.0, 0.2, 0.2]), np.array([1.0, 0.5, 0.7]))
    >>> keys.argsort()[::-1].tolist()
    [2, 1, 0]
    """
    parts = ((strength, 1_000, 1e8), (freshness, 10_000, 1e3 + 1), (completeness, 1_000, 1.0))
    return np.asarray(sum(np.rint(np.nan_to_num(part) * steps) * place for part, steps, place in parts), np.float64)


def sure_year(start: Numbers, end: Numbers, status_as_of: Numbers, ongoing: Numbers, this_year: int) -> Numbers:
    """The last year in which each practice is known to have been alive, NaN where no date says so.

    Columns of `kg.matching.experience.newest_sure_year`, which says why: `ongoing` is 1 for a status that says so.
    """
    newest = np.fmax(np.fmax(start, end), status_as_of)
    unsure = (ongoing == 1) & np.isnan(status_as_of) & np.isnan(end)
    only_start = np.where(start >= this_year, start, np.nan)
    # A practice that is said to go on, without the year of that saying, keeps its start, be it in the future.
    return np.where(unsure, only_start, np.fmin(newest, np.where(np.isnan(newest), np.nan, this_year)))


def freshness_of(years: Numbers, this_year: int, half_life_years: float, usual: float) -> Numbers:
    """Weight of age of each year, 2^(−age / half-life); `usual` where the year is unknown. As `experience.freshness`.

    >>> freshness_of(np.array([2020.0, np.nan]), 2026, 6.0, 0.42).tolist()
    [0.5, 0.42]
    """
    age = np.maximum(0.0, this_year - years)
    return np.where(np.isnan(years), usual, 2.0 ** (-age / half_life_years))


@dataclass(frozen=True)
class Near:
    """What cities are compared with: inhabitants, whether each row is of the same country, share of foreign-born."""

    population: float | None = None
    same_country: Numbers | None = None
    foreign_born_share: float | None = None


def context_of(
    near: Near,
    populations: Numbers,
    shares: Numbers,
    *,
    weights: Mapping[str, float],
    size_ratio: float,
    share_range: float,
) -> tuple[Numbers, Numbers]:
    """Similarity of every city to a profile and its coverage, both in [0, 1]: columns of `factors.context_parts` and `gower`.

    `near.same_country` is 1, 0 or NaN for each row. Coverage is the weight of the parts known on both sides ÷ the weight
    of all. Where nothing is known the similarity is NaN and the coverage 0.

    >>> near = Near(population=10_000, same_country=np.array([1.0, np.nan]))
    >>> weights = {"size": 0.6, "country": 0.2, "migration": 0.2}
    >>> similarity, coverage = context_of(near, np.array([np.nan, 100_000.0]), np.full(2, np.nan), weights=weights,
    ...                                   size_ratio=100.0, share_range=0.5)
    >>> similarity.round(3).tolist(), coverage.round(3).tolist()
    ([1.0, 0.5], [0.2, 0.6])
    """
    unknown = np.full(len(populations), np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        inhabited = np.where(populations > 0, populations, np.nan)
        size = unknown
        if near.population:
            size = np.maximum(0.0, 1.0 - np.abs(np.log(inhabited / near.population)) / np.log(size_ratio))
        migration = unknown
        if near.foreign_born_share is not None:
            migration = np.maximum(0.0, 1.0 - np.abs(shares - near.foreign_born_share) / share_range)
        country = unknown if near.same_country is None else near.same_country
        parts = [(weights["size"], size), (weights["country"], country), (weights["migration"], migration)]
        known = np.asarray(sum(weight * ~np.isnan(part) for weight, part in parts), np.float64)
        total = sum(weight * np.nan_to_num(part) for weight, part in parts)
        return np.where(known > 0, total / known, np.nan), known / sum(weights.values())
