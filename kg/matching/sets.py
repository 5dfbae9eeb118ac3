"""The smallest sets of mentors that together cover several needs, proved, with the next best ones."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kg.errors import TooSlow
from kg.matching.profile import Profile

if TYPE_CHECKING:
    from numpy.typing import NDArray

POINTS = 100_000
"""Points in a relevance of 1: relevances are compared to five decimals, as whole numbers, so that sums are exact."""


def covering_relevance(profile: Profile) -> float:
    """From which relevance on a city covers a need: the one that the profile's lowest band, "possible", asks for.

    >>> covering_relevance(Profile())
    0.16
    """
    return min((band.relevance for band in profile.bands), default=0.0)


def covers(profile: Profile, utility: float, relevance: float) -> bool:
    """Whether a city covers a need: as a suggestion for that need alone it would be at least "possible".

    >>> covers(Profile(), 0.22, 0.16), covers(Profile(), 0.21, 0.5), covers(Profile(), 0.5, 0.15)
    (True, False, False)
    """
    return profile.band(utility, relevance) in {band.name for band in profile.bands}


@dataclass(frozen=True)
class MentorSet:
    """Mentors that together cover needs: ids in alphabetical order.

    `covered` has for each need the mentors of the set that cover it, the most relevant first; none where the set
    does not cover it. `total` is the sum over the covered needs of weight × the best relevance in the set.
    """

    mentors: tuple[str, ...]
    covered: tuple[tuple[str, ...], ...]
    total: float


@dataclass(frozen=True)
class Covering:
    """What sets there are: `sets`, the best first, none where nobody covers anything.

    `nobody` are needs (places in the request) that no city covers, `kept_out` those that the rules leave out:
    a best set covers as many needs as the rules allow. `in_time` is False where the time was over before all
    others that were asked for could be looked for.
    """

    sets: tuple[MentorSet, ...]
    nobody: tuple[int, ...]
    kept_out: tuple[int, ...]
    in_time: bool = True


def smallest_sets(
    relevance: Mapping[str, Sequence[float]],
    *,
    covers_from: float,
    weights: Sequence[float] | None = None,
    countries: Mapping[str, str | None] | None = None,
    per_country: int | None = None,
    most: int | None = None,
    alternatives: int = 0,
    seconds: float = 10.0,
) -> Covering:
    """The smallest set of mentors that covers all needs which anybody covers, and up to `alternatives` others.

    `relevance` has for each city's id its relevance to each need, in [0, 1]; a city covers a need from `covers_from`
    on, and never with 0. Of equally small sets the one with the largest sum over the needs of weight × the best relevance in it is
    taken; of equal sums the first by ids, compared as sorted lists. `per_country` allows so many mentors of each
    country at most; a city whose country is None counts for none. `most` allows so many mentors in all. Where rules
    do not let every need be covered, as many as can be are (unweighted), before size counts.

    The others come in the same order (size, sum, ids). None of them contains another one given before: a set with
    one more mentor than it takes is no alternative. They cover as many needs as the first.

    A set cover with costs, solved exactly by `scipy.optimize.milp` (HiGHS): x_c ∈ {0, 1} for each city, y_nc ≤ x_c for
    the mentor counted for a need, first max Σ y, then min Σ x, then max Σ w·r·y, each held while the next is sought.
    The order of `relevance` does not matter.

    Raises ValueError for lists of different lengths, TooSlow when the time is over before the first set is proved.

    >>> found = smallest_sets({"a": [0.9, 0.0, 0.3], "b": [0.0, 0.5, 0.4], "c": [0.3, 0.2, 0.0], "d": [0.0] * 3},
    ...                       covers_from=0.16, alternatives=2)
    >>> [one.mentors for one in found.sets], found.sets[0].covered, round(found.sets[0].total, 2)
    ([('a', 'b'), ('a', 'c'), ('b', 'c')], (('a',), ('b',), ('b', 'a')), 1.8)
    >>> smallest_sets({"a": [0.9, 0.1]}, covers_from=0.16).nobody
    (1,)
    """
    lengths = {len(values) for values in relevance.values()}
    needs = lengths.pop() if lengths else len(weights or ())
    if lengths or (weights is not None and len(weights) != needs):
        raise ValueError("every city must have a relevance, and the request a weight, for each need")
    covers_from = max(covers_from, math.ulp(0.0))
    useful = sorted(city for city, values in relevance.items() if any(value >= covers_from for value in values))
    matrix = np.array([relevance[city] for city in useful], dtype=float).reshape(len(useful), needs)
    shares = np.array(weights or [1.0] * needs)
    points = np.where(matrix >= covers_from, np.round(matrix * (shares / shares.max()) * POINTS).clip(1), 0.0)
    kept = _in_question(
        points,
        [(countries or {}).get(city) if per_country else None for city in useful],
        (1 + alternatives) * needs,
    )
    useful, matrix, points = [useful[place] for place in kept], matrix[kept], points[kept]
    nobody = tuple(need for need in range(needs) if not (matrix[:, need] >= covers_from).any())
    if not useful:
        return Covering((), nobody, ())
    program = _Program(useful, matrix, points, shares, countries or {}, per_country, most)
    sets, in_time = program.ranked(1 + alternatives, time.monotonic() + seconds)
    covered = sets[0].covered if sets else ((),) * needs
    kept_out = tuple(need for need in range(needs) if need not in nobody and not covered[need])
    return Covering(tuple(sets), nobody, kept_out, in_time)


def _in_question(points: NDArray[np.float64], countries: Sequence[str | None], enough: int) -> NDArray[np.int64]:
    """The places of the cities that can be in one of the sets sought; those of the others are left out.

    A city comes before another one of its country (rows are in the order of ids) when it is better at every need that
    the other covers, or at least as good and first by id. With it in place of the other a set is as small, keeps the
    rules, and comes before. A set that is sought holds no more cities than needs, each of which it needs. So of the
    cities that come before one of its members, each is in it or in a set sought before it, and there are fewer
    than sets sought × needs (`enough`): who has that many before it is in none.
    """
    if len(points) <= enough:
        return np.arange(len(points))
    numbers = {name: number for number, name in enumerate(dict.fromkeys(filter(None, countries)), start=1)}
    country = np.array([numbers.get(one or "", 0) for one in countries])
    kept = []
    for place, own in enumerate(points):
        same = (country == country[place]) | (country == 0)
        better = (points > own)[:, own > 0].all(axis=1)
        as_good = (points >= own).all(axis=1) & (np.arange(len(points)) < place)
        if int((same & (better | as_good)).sum()) < enough:
            kept.append(place)
    return np.array(kept, dtype=np.int64)


class _Program:
    """The integer program: columns are the cities, then a column for each need and city that covers it."""

    def __init__(
        self,
        cities: Sequence[str],
        matrix: NDArray[np.float64],
        points: NDArray[np.float64],
        weights: NDArray[np.float64],
        countries: Mapping[str, str | None],
        per_country: int | None,
        most: int | None,
    ) -> None:
        self.cities, self.matrix, self.of, self.weights = cities, matrix, points, weights
        self.city, self.need = np.nonzero(points)
        self.points = np.concatenate([np.zeros(len(cities)), points[self.city, self.need]])
        self.size = np.concatenate([np.ones(len(cities)), np.zeros(len(self.city))])
        self.count = 1.0 - self.size
        self.rows: list[tuple[NDArray[np.float64], float]] = []
        if most is not None:
            self.rows.append((self.size, float(most)))
        if per_country is not None:
            for country in sorted({country for city in cities if (country := countries.get(city))}):
                of_country = [countries.get(city) == country for city in cities]
                self.rows.append((self._of_cities(of_country), float(per_country)))

    def ranked(self, count: int, until: float) -> tuple[list[MentorSet], bool]:
        """Up to `count` sets, the best first, and whether the time was enough to say that there are no more."""
        sets: list[MentorSet] = []
        cuts: list[tuple[NDArray[np.float64], float]] = []
        needs_covered: float | None = None
        while len(sets) < count:
            try:
                chosen, needs_covered = self._best(cuts, needs_covered, until)
            except TimeoutError:
                if not sets:
                    raise TooSlow(
                        {
                            "en": ("the smallest set was not found in time; name fewer needs, or filter countries"),
                            "fr": "le plus petit ensemble n’a pas été trouvé à temps ; nommez moins de besoins, ou filtrez les pays",
                        }
                    ) from None
                return sets, False
            if chosen is None:
                break
            sets.append(self._told(chosen))
            cuts.append((self._of_cities(chosen), float(np.sum(chosen)) - 1))
        return sets, True

    def _best(
        self, cuts: list[tuple[NDArray[np.float64], float]], needs_covered: float | None, until: float
    ) -> tuple[NDArray[np.bool_] | None, float | None]:
        """The best set that keeps the cuts: each aim is held while the next is sought, then the first ids are taken.

        Once it is known how many needs can be covered, sets that cover fewer are not asked for.
        """
        rows = [*self.rows, *cuts]
        if needs_covered is None:
            solved = self._solved(-self.count, rows, until)
            needs_covered = round(float(self.count @ solved)) if solved is not None else 0
        if needs_covered == 0:
            return None, 0.0
        rows.append((-self.count, -float(needs_covered)))
        chosen = np.zeros(len(self.cities), dtype=bool)
        for aim in (self.size, -self.points):
            solved = self._solved(aim, rows, until)
            if solved is None:
                return None, needs_covered
            rows.append((aim, round(float(aim @ solved)) + 0.5))
            chosen = solved[: len(self.cities)] > 0.5
        another = self._solved(self.count, [*rows, (self._of_cities(chosen), float(np.sum(chosen)) - 1)], until)
        return chosen if another is None else self._first_by_id(rows, int(np.sum(chosen)), until), needs_covered

    def _first_by_id(self, rows: list[tuple[NDArray[np.float64], float]], size: int, until: float) -> NDArray[np.bool_]:
        """Of all sets that keep the rows the one whose sorted ids come first: the first id, then the next, and so on."""
        taken: list[int] = []
        while len(taken) < size:
            start = taken[-1] + 1 if taken else 0
            low, high = start, len(self.cities) - 1
            while low < high:  # is there one whose next id is at `middle` or before?
                middle = (low + high) // 2
                in_reach = np.zeros(len(self.cities), dtype=bool)
                in_reach[start : middle + 1] = True
                held = [*self._held(taken, start), (-self._of_cities(in_reach), -1.0)]
                if self._solved(self.size * 0, [*rows, *held], until) is None:
                    low = middle + 1
                else:
                    high = middle
            taken.append(low)
        chosen = np.zeros(len(self.cities), dtype=bool)
        chosen[taken] = True
        return chosen

    def _held(self, taken: list[int], start: int) -> list[tuple[NDArray[np.float64], float]]:
        """Rows that keep the ids taken so far, and no other before `start`."""
        chosen = np.zeros(len(self.cities), dtype=bool)
        chosen[taken] = True
        others = ~chosen
        others[start:] = False
        return [(-self._of_cities(chosen), -float(len(taken))), (self._of_cities(others), 0.0)]

    def _of_cities(self, chosen: Sequence[bool] | NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.concatenate([np.array(chosen, dtype=float), np.zeros(len(self.city))])

    def _solved(
        self, aim: NDArray[np.float64], rows: Sequence[tuple[NDArray[np.float64], float]], until: float
    ) -> NDArray[np.float64] | None:
        """The columns with the smallest aim, or None where no set keeps the rows (each at most its number)."""
        from scipy import sparse
        from scipy.optimize import Bounds, LinearConstraint, milp

        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        cities, pairs = len(self.cities), len(self.city)
        places = np.arange(pairs)
        linked = sparse.csr_array(  # y ≤ x
            (
                np.concatenate([np.ones(pairs), -np.ones(pairs)]),
                (np.concatenate([places, places]), np.concatenate([cities + places, self.city])),
            ),
            shape=(pairs, cities + pairs),
        )
        once = sparse.csr_array(  # one mentor is counted for a need
            (np.ones(pairs), (self.need, cities + places)), shape=(len(self.weights), cities + pairs)
        )
        parts, limits = [linked, once], [np.zeros(pairs), np.ones(len(self.weights))]
        if rows:
            parts.append(sparse.csr_array(np.array([row for row, _ in rows])))
            limits.append(np.array([limit for _, limit in rows]))
        solved = milp(
            aim,
            integrality=np.ones(cities + pairs),
            bounds=Bounds(0, 1),
            constraints=LinearConstraint(sparse.vstack(parts, format="csr"), -np.inf, np.concatenate(limits)),
            options={"time_limit": left, "mip_rel_gap": 0.0},
        )
        if solved.status == 1:
            raise TimeoutError
        return None if solved.x is None else np.round(solved.x)

    def _told(self, chosen: NDArray[np.bool_]) -> MentorSet:
        """A set with who covers what."""
        inside = np.flatnonzero(chosen)
        covered: list[tuple[str, ...]] = []
        total = 0.0
        for need, weight in enumerate(self.weights):
            able = [int(city) for city in inside if self.of[city, need]]
            able.sort(key=lambda city: (-float(self.of[city, need]), self.cities[city]))
            covered.append(tuple(self.cities[city] for city in able))
            total += weight * self.matrix[able[0], need] if able else 0.0
        return MentorSet(tuple(self.cities[int(city)] for city in inside), tuple(covered), float(total))
