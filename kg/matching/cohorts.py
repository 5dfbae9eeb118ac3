"""Pairs a cohort of mentees with mentors: the best pairing under rules, proved; the next best; the fairest; what a rule costs.

The model is DOMAIN 2.5: choose x ∈ {0, 1} for each mentee and mentor so that Σ utility · x is largest, each mentee
has at most one mentor, and every rule holds. Plain cohorts (quotas and vetoes alone) are solved by
`scipy.optimize.linear_sum_assignment` on a matrix with each mentor's column repeated, all others by
`scipy.optimize.milp`.

Utilities are compared to five decimals, as whole numbers of points, so that sums are exact. Of several
pairings with the same sum the first by identifiers is taken: mentees in the order of their ids, each with the
first mentor it can have, an unmatched mentee last.

How 500 × 500 stays quick. Handing all 250,000 pairs to the solver takes it a minute. Prices y ≥ 0 for the rules, whatever
they are, bound every pairing (Lagrange): no pairing exceeds B = Σ_i u_i + y · limits with
u_i = max(0, max_j (points_ij − y · rules_ij)), and one that uses the pair ij does not exceed B + d_ij,
d_ij = points_ij − y · rules_ij − u_i ≤ 0. Good prices come from a linear program on few pairs to which others are
added while they pay. Then a pairing of sum V, found among few pairs, needs no others than those with
B + d_ij > V to be beaten: with these added, the optimum is the optimum of all.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, linear_sum_assignment, linprog, milp

POINTS = 100_000
"""Points in a utility of 1."""

MOST_AT_ONCE = 4_000
"""Up to so many pairs the solver gets all of them at once."""

LARGEST_MATRIX = 5_000_000
"""Cells of the matrix with repeated columns, above which plain cohorts too go to `milp`."""

Cells = NDArray[np.int64]
"""Pairs as places in the matrix read row by row: mentee × number of mentors + mentor."""


class Clock:
    """A stretch of time that several solves share, in seconds.

    >>> Clock(60).left() > 59
    True
    """

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds left, 0 when it is over."""
        return max(0.0, self._end - time.monotonic())


@dataclass(frozen=True, eq=False)
class Rule:
    """One rule over pairs: least ≤ Σ amounts · x ≤ most, over `cells`. `kind` and `subject` name it for people.

    `amounts` are 1 unless given, and not negative. A rule of `most` 0 forbids its pairs. One of the kind "fixed"
    lets its pairs be even where nothing is on record for them.
    """

    kind: str
    subject: tuple[str, ...]
    cells: Cells
    most: float | None = None
    least: float | None = None
    amounts: NDArray[np.float64] | None = None

    @property
    def forbids(self) -> bool:
        """Whether it excludes its pairs altogether."""
        return self.most == 0 and self.amounts is None

    @property
    def fixes(self) -> bool:
        """Whether people have settled its pair already."""
        return self.kind == "fixed"

    def holds(self, chosen: Cells) -> bool:
        """Whether a pairing obeys it."""
        among = np.isin(self.cells, chosen)
        total = float(among.sum() if self.amounts is None else self.amounts[among].sum())
        return (self.most is None or total <= self.most) and (self.least is None or total >= self.least)


@dataclass(frozen=True, eq=False)
class Cohort:
    """Mentees and mentors in the order of their ids, the utility of each pair in [0, 1], and the rules.

    `utilities` has shape (mentees, mentors); NaN where a pair cannot be. A mentor may have any number of
    mentees unless a rule says otherwise.

    Raises ValueError for ids out of order or twice, a matrix of another shape, and a utility that is
    negative or infinite.

    >>> cohort = Cohort(("capaci", "jelgava"), ("gent",), np.array([[0.5], [0.4]]))
    >>> cohort.cell("jelgava", "gent")
    1
    """

    mentees: tuple[str, ...]
    mentors: tuple[str, ...]
    utilities: NDArray[np.float64]
    rules: tuple[Rule, ...] = ()

    def __post_init__(self) -> None:
        for ids in (self.mentees, self.mentors):
            if list(ids) != sorted(set(ids)):
                raise ValueError("mentees and mentors stand in the order of their ids, each once")
        if self.utilities.shape != (len(self.mentees), len(self.mentors)):
            raise ValueError(f"utilities have shape {self.utilities.shape}")
        known = self.utilities[~np.isnan(self.utilities)]
        if not (np.isfinite(known).all() and (known >= 0).all()):
            raise ValueError("a utility is a number of 0 or more, or NaN")

    def cell(self, mentee: str, mentor: str) -> int:
        """The place of a pair. Raises ValueError for one that is not in the cohort."""
        return self.mentees.index(mentee) * len(self.mentors) + self.mentors.index(mentor)

    def cells_of_mentor(self, mentor: str) -> Cells:
        """The places of all pairs of a mentor."""
        return np.arange(len(self.mentees), dtype=np.int64) * len(self.mentors) + self.mentors.index(mentor)

    def cells_of_mentee(self, mentee: str) -> Cells:
        """The places of all pairs of a mentee."""
        return np.arange(len(self.mentors), dtype=np.int64) + self.mentees.index(mentee) * len(self.mentors)

    @cached_property
    def points(self) -> NDArray[np.float64]:
        """Utilities as whole points by place, 0 where there is none."""
        return np.round(np.nan_to_num(self.utilities, nan=0.0) * POINTS).ravel()

    @cached_property
    def possible(self) -> NDArray[np.bool_]:
        """By place, whether anything is on record for the pair, or people have settled on it.

        That a rule fixes a pair makes it possible for good: without rules there must never be fewer pairings.
        """
        known = ~np.isnan(self.utilities).ravel()
        for rule in self.rules:
            if rule.fixes:
                known[rule.cells] = True
        return known


@dataclass(frozen=True)
class Pairing:
    """One way to pair a cohort. `pairs` are (place of the mentee, place of the mentor), in the order of mentees.

    `total` is the sum of utilities; no pairing under the rules has more than `bound`. `proved` says that this
    one reaches it. `settled` says that among pairings of the same sum this is the first by ids.
    """

    pairs: tuple[tuple[int, int], ...]
    total: float
    bound: float
    proved: bool
    settled: bool

    @property
    def gap(self) -> float:
        """How far the sum may at most lie below the best one, as a fraction of the bound; 0 when proved.

        >>> Pairing((), 0.9, 1.0, False, False).gap
        0.1
        """
        if self.proved or self.bound <= 0:
            return 0.0
        return round((self.bound - self.total) / self.bound, 6)


@dataclass(frozen=True)
class _Found:
    """A solution on the way: the chosen places, its points, and the bound in points."""

    chosen: Cells
    value: float
    bound: float
    proved: bool


@dataclass(frozen=True)
class _Prices:
    """What prices of rules say: the bound on every pairing, u per mentee, and d per column."""

    bound: float
    of_mentees: NDArray[np.float64]
    reduced: NDArray[np.float64]


class TimeOver(Exception):
    """The time was over before anything could be said."""


class _Program:
    """One integer program: which pairs may be, what they are worth, and the rules as rows of A x ≤ limits."""

    def __init__(
        self,
        cohort: Cohort,
        rules: Sequence[Rule],
        points: NDArray[np.float64] | None = None,
        among: NDArray[np.bool_] | None = None,
    ) -> None:
        self.rules = rules
        self.mentees, self.mentors = cohort.utilities.shape
        allowed = cohort.possible.copy()
        if among is not None:
            allowed &= among
        for rule in rules:
            if rule.forbids:
                allowed[rule.cells] = False
        self.cells: Cells = np.flatnonzero(allowed)
        self.points = (cohort.points if points is None else points)[self.cells]
        self.mentee = self.cells // self.mentors
        self.rows, self.limits, self.rule_of_row = _rows(rules, cohort.points.size)
        self.all_rows = self.rows
        self.rows = self.rows[:, self.cells]

    # Prices

    @cached_property
    def prices(self) -> NDArray[np.float64]:
        """A price for every row that makes the bound tight: duals of the linear relaxation.

        Rows that cannot be met get a slack at a high price, so that there is always a solution; whatever the
        prices are, the bound they give is valid.
        """
        rows = self.rows.shape[0]
        if rows == 0 or not len(self.cells):
            return np.zeros(rows)
        penalty = 10.0 * max(1.0, float(self.points.max(initial=1.0)))
        inside = self._nearest(self.points, 12)
        while True:
            columns = np.flatnonzero(inside)
            matrix = sparse.block_array(
                [
                    [self._of_mentees(columns), None],
                    [self.rows[:, columns], -sparse.eye_array(rows)],
                ],
                format="csr",
            )
            solved = linprog(
                np.concatenate([-self.points[columns], np.full(rows, penalty)]),
                A_ub=matrix,
                b_ub=np.concatenate([np.ones(self.mentees), self.limits]),
                bounds=(0, None),
                method="highs",
            )
            if solved.status != 0:
                return np.zeros(rows)
            duals = np.maximum(0.0, -solved.ineqlin.marginals)
            reduced = self.points - self.rows.T @ duals[self.mentees :] - duals[self.mentee]
            paying = (reduced > 1e-4) & ~inside
            if not paying.any():
                return duals[self.mentees :]
            inside |= paying & self._nearest(np.where(paying, reduced, -np.inf), 6)

    def priced(self, prices: NDArray[np.float64]) -> _Prices:
        """The bound that prices give, and how far each pair stays below it."""
        worth = self.points - self.rows.T @ prices
        best = np.zeros(self.mentees)
        np.maximum.at(best, self.mentee, worth)
        return _Prices(float(best.sum() + prices @ self.limits), best, worth - best[self.mentee])

    @cached_property
    def own_prices(self) -> _Prices:
        """The bound by this program's own prices."""
        return self.priced(self.prices)

    def _nearest(self, worth: NDArray[np.float64], count: int) -> NDArray[np.bool_]:
        """The columns among the `count` most worth of their mentee, or half as many of their mentor.

        Equal ones are taken from all over the matrix, or every mentee would be offered the same mentors.
        """
        if len(self.cells) <= MOST_AT_ONCE:
            return np.ones(len(self.cells), dtype=bool)
        scattered = (self.cells * 2_654_435_761) % 4_294_967_291
        kept = np.zeros(len(self.cells), dtype=bool)
        for group, most in ((self.mentee, count), (self.cells % self.mentors, max(1, count // 2))):
            order = np.lexsort((scattered, -worth, group))
            starts = np.flatnonzero(np.diff(group[order], prepend=-1))
            sizes = np.diff(np.append(starts, len(order)))
            within = np.arange(len(order)) - np.repeat(starts, sizes)
            kept[order[within < most]] = True
        return kept

    def _of_mentees(self, columns: Cells) -> sparse.csr_array:
        """A row for each mentee: at most one mentor."""
        return sparse.csr_array(
            (np.ones(len(columns)), (self.mentee[columns], np.arange(len(columns)))),
            shape=(self.mentees, len(columns)),
        )

    # Solving

    def best(self, clock: Clock, cuts: Sequence[Cells] = ()) -> _Found | None:
        """The pairing of the largest sum that is none of `cuts`; None when there is none.

        Raises TimeOver when the time ends before there is a pairing or a proof that there is none.
        """
        if not cuts and (quotas := self._quotas()) is not None:
            return self._assigned(quotas)
        told = self.own_prices
        count, inside = 4, self._nearest(told.reduced, 4)
        while True:
            found = self._solved(np.flatnonzero(inside), clock, cuts)
            if found is not None:
                break
            if inside.all():
                return None
            count *= 6
            inside = self._nearest(told.reduced, count) if count < self.mentors else np.ones_like(inside)
        wanted = told.reduced >= found.value + 1 - told.bound - 1e-3
        if found.proved and not (wanted & ~inside).any():
            return _Found(found.chosen, found.value, found.value, True)
        if not found.proved:
            outside = float(told.reduced[~inside].max(initial=-np.inf)) + told.bound
            bound = max(found.value, min(told.bound, max(found.bound, outside)))
            return _Found(found.chosen, found.value, bound, bound < found.value + 1)
        try:
            again = self._solved(np.flatnonzero(inside | wanted), clock, cuts)
        except TimeOver:
            again = None
        if again is not None and again.value >= found.value:
            bound = again.value if again.proved else max(again.value, min(told.bound, again.bound))
            return _Found(again.chosen, again.value, bound, bound < again.value + 1)
        return _Found(found.chosen, found.value, told.bound, False)

    def _solved(
        self,
        columns: Cells,
        clock: Clock,
        cuts: Sequence[Cells],
        objective: NDArray[np.float64] | None = None,
        least: float | None = None,
    ) -> _Found | None:
        """The best choice among some columns, by `objective` if given, of at least so many points."""
        aim = self.points[columns] if objective is None else objective
        if not len(columns):
            empty: Cells = np.zeros(0, dtype=np.int64)
            met = (self.limits >= 0).all() and not any(len(cut) == 0 for cut in cuts)
            return _Found(empty, 0.0, 0.0, True) if met and (least or 0) <= 0 else None
        rows = [self._of_mentees(columns), self.rows[:, columns]]
        most = [np.ones(self.mentees), self.limits]
        for cut in cuts:
            row, limit = self._cut(cut, columns)
            rows.append(row)
            most.append(np.array([limit]))
        if least is not None:
            rows.append(sparse.csr_array(-self.points[columns][None, :]))
            most.append(np.array([0.5 - least]))
        left = clock.left()
        if left <= 0:
            raise TimeOver
        solved = milp(
            -aim,
            integrality=np.ones(len(columns)),
            bounds=Bounds(0, 1),
            constraints=LinearConstraint(sparse.vstack(rows, format="csr"), -np.inf, np.concatenate(most)),
            options={"time_limit": left, "mip_rel_gap": 0.0},
        )
        if solved.x is None:
            if solved.status == 1:
                raise TimeOver
            return None
        taken = columns[solved.x > 0.5]
        bound = -float(solved.mip_dual_bound) if solved.mip_dual_bound is not None else math.inf
        value = float(aim[solved.x > 0.5].sum())
        return _Found(self.cells[taken], value, bound, solved.status == 0)

    def _cut(self, known: Cells, columns: Cells) -> tuple[sparse.csr_array, float]:
        """A row that every pairing but one meets: another drops a pair of it, or gives a mentor to who has none."""
        row = np.isin(self.cells[columns], known).astype(float)
        unmatched = ~np.isin(np.arange(self.mentees), known // self.mentors)
        row -= unmatched[self.mentee[columns]]
        return sparse.csr_array(row[None, :]), len(known) - 1.0

    def _quotas(self) -> NDArray[np.int64] | None:
        """Places per mentor where no rule asks for more than that; else None."""
        quotas = np.full(self.mentors, self.mentees, dtype=np.int64)
        for rule in self.rules:
            if rule.forbids:
                continue
            mentors = np.unique(rule.cells % self.mentors)
            whole = len(mentors) == 1 and len(rule.cells) == self.mentees
            if rule.most is None or rule.least is not None or rule.amounts is not None or not whole:
                return None
            quotas[mentors[0]] = min(quotas[mentors[0]], int(rule.most))
        return quotas if self.mentees * (int(quotas.sum()) + self.mentees) <= LARGEST_MATRIX else None

    def _assigned(self, quotas: NDArray[np.int64]) -> _Found:
        """A plain cohort: each mentor's column as often as it has places, and a column of none for each mentee."""
        worth = np.full(self.mentees * self.mentors, -1.0)
        worth[self.cells] = self.points
        columns = np.repeat(np.arange(self.mentors), quotas)
        matrix = np.hstack([worth.reshape(self.mentees, -1)[:, columns], np.zeros((self.mentees, self.mentees))])
        rows, places = linear_sum_assignment(matrix, maximize=True)
        matched = places < len(columns)
        chosen = rows[matched] * self.mentors + columns[places[matched]]
        value = float(matrix[rows, places].sum())
        return _Found(np.sort(chosen), value, value, True)

    def first_by_id(self, found: _Found, clock: Clock, cuts: Sequence[Cells] = ()) -> tuple[Cells, bool]:
        """Of the pairings with this sum the first by ids, and whether the time was enough to be sure.

        Only pairs that can be part of so good a pairing are left (B + d ≥ V). Mentees with a choice are settled
        in blocks, in order: a block's choices are digits of one number, which is made smallest.
        """
        told = self.own_prices
        near = np.flatnonzero(told.bound + told.reduced >= found.value - 1e-3)
        options: dict[int, list[int]] = {}
        for column in near.tolist():
            options.setdefault(int(self.mentee[column]), []).append(column)
        idle = told.bound - told.of_mentees >= found.value - 1e-3
        free = [i for i, listed in options.items() if len(listed) + bool(idle[i]) > 1]
        chosen, kept = found.chosen, np.ones(len(self.cells), dtype=bool)
        for block in _blocks(sorted(free), options):
            weight = np.zeros(len(self.cells))
            digit, first = 1.0, True
            for mentee in reversed(block):
                listed = options[mentee]
                for rank, column in enumerate(listed):
                    weight[column] = digit * (len(listed) - rank)
                first &= bool(np.isin(self.cells[listed[0]], chosen))
                digit *= len(listed) + 1
            if not first:
                columns = near[kept[near]]
                try:
                    smallest = self._solved(columns, clock, cuts, weight[columns], found.value)
                except TimeOver:
                    return chosen, False
                if smallest is None or not smallest.proved:
                    return chosen, False
                chosen = smallest.chosen
            for mentee in block:
                for column in options[mentee]:
                    kept[column] = bool(np.isin(self.cells[column], chosen))
        return chosen, True


def _blocks(free: Sequence[int], options: dict[int, list[int]]) -> Iterable[list[int]]:
    """Mentees in order, as many at a time as keep the number that their choices make below 100,000."""
    block: list[int] = []
    size = 1
    for mentee in free:
        if block and size * (len(options[mentee]) + 1) > 100_000:
            yield block
            block, size = [], 1
        block.append(mentee)
        size *= len(options[mentee]) + 1
    if block:
        yield block


def _rows(rules: Sequence[Rule], cells: int) -> tuple[sparse.csr_array, NDArray[np.float64], list[int]]:
    """Rules that do not forbid, as rows of A x ≤ limits, and the rule of each row."""
    places: list[Cells] = []
    amounts: list[NDArray[np.float64]] = []
    limits: list[float] = []
    rule_of_row: list[int] = []
    for number, rule in enumerate(rules):
        if rule.forbids:
            continue
        each = np.ones(len(rule.cells)) if rule.amounts is None else rule.amounts
        for sign, limit in ((1.0, rule.most), (-1.0, rule.least)):
            if limit is not None:
                places.append(rule.cells)
                amounts.append(sign * each)
                limits.append(_whole(each, sign * limit))
                rule_of_row.append(number)
    lengths = [len(row) for row in places]
    matrix = sparse.csr_array(
        (
            np.concatenate([*amounts, np.zeros(0)]),
            (np.repeat(np.arange(len(places)), lengths), np.concatenate([*places, np.zeros(0, dtype=np.int64)])),
        ),
        shape=(len(places), cells),
    )
    return matrix, np.array(limits, dtype=float), rule_of_row


def _whole(amounts: NDArray[np.float64], limit: float) -> float:
    """A limit as low as whole pairs can reach it: 1,450 visits of 3 each are 1,449. Without it, bounds are loose."""
    whole = amounts.astype(np.int64)
    if not len(amounts) or (whole != amounts).any() or not (step := int(np.gcd.reduce(whole))):
        return limit
    return math.floor(limit / step + 1e-9) * step


def solve(cohort: Cohort, clock: Clock) -> Pairing | None:
    """The pairing with the largest sum of utilities under all rules; None when the rules contradict each other.

    Raises TimeOver when the time ends before anything is found.

    >>> utilities = np.array([[0.9, 0.8], [0.7, 0.1]])
    >>> cohort = Cohort(("capaci", "jelgava"), ("gent", "lyon"), utilities)
    >>> one = [Rule("at-most", (mentor,), cohort.cells_of_mentor(mentor), most=1) for mentor in cohort.mentors]
    >>> found = solve(Cohort(cohort.mentees, cohort.mentors, utilities, tuple(one)), Clock(10))
    >>> found.pairs, found.total, found.gap
    (((0, 1), (1, 0)), 1.5, 0.0)
    """
    return next(iter(ranked(cohort, 1, clock)), None)


def ranked(cohort: Cohort, count: int, clock: Clock) -> list[Pairing]:
    """The best pairings, at most `count`, best first; equal sums by ids. Each next one is the best that is none before it.

    Fewer come back where there are no more, or where the time ends: then the last one is not proved or the list is
    short. Raises TimeOver when not even the first was found. Source: no-good cuts, as in DOMAIN 2.5.
    """
    program = _Program(cohort, cohort.rules)
    found: list[Pairing] = []
    cuts: list[Cells] = []
    one = program.best(clock)
    while one is not None:
        chosen, settled, following = one.chosen, False, None
        if one.proved:
            try:
                following = program.best(clock, [*cuts, chosen])
                settled = following is None or (following.proved and following.value < one.value)
                if not settled:
                    chosen, settled = program.first_by_id(one, clock, cuts)
                    if len(found) + 1 < count:
                        following = program.best(clock, [*cuts, chosen])
            except TimeOver:
                following = None
        found.append(_pairing(cohort, chosen, one, settled))
        cuts.append(chosen)
        one = following if len(found) < count else None
    return found


def _pairing(cohort: Cohort, chosen: Cells, found: _Found, settled: bool) -> Pairing:
    width = len(cohort.mentors)
    pairs = tuple((int(cell) // width, int(cell) % width) for cell in np.sort(chosen))
    return Pairing(pairs, float(cohort.points[chosen].sum()) / POINTS, found.bound / POINTS, found.proved, settled)


def chosen_cells(cohort: Cohort, pairing: Pairing) -> Cells:
    """A pairing's pairs as places."""
    return np.array([i * len(cohort.mentors) + j for i, j in pairing.pairs], dtype=np.int64)


def broken(cohort: Cohort, pairing: Pairing) -> list[Rule]:
    """The rules that a pairing breaks; none for every answer of this module."""
    chosen = chosen_cells(cohort, pairing)
    return [rule for rule in cohort.rules if not rule.holds(chosen)]


def fairest(cohort: Cohort, clock: Clock) -> Pairing | None:
    """The pairing whose worst pair is as good as can be, among those with as many pairs as can be.

    Fixed pairs are given and do not count as worst. Of several such pairings the one with the largest sum.
    None when the rules contradict each other. Raises TimeOver when the time ends first.
    Source: bottleneck assignment by threshold search, DOMAIN 2.5.

    >>> utilities = np.array([[1.0, 0.6], [0.6, 0.1]])
    >>> one = tuple(Rule("at-most", (str(j),), np.array([j, j + 2]), most=1) for j in range(2))
    >>> cohort = Cohort(("a", "b"), ("x", "y"), utilities, one)
    >>> solve(cohort, Clock(10)).pairs, fairest(cohort, Clock(10)).pairs
    (((0, 1), (1, 0)), ((0, 1), (1, 0)))
    """
    ones = np.ones(cohort.points.size)
    most = _Program(cohort, cohort.rules, ones).best(clock)
    if most is None:
        return None
    if not most.proved:
        raise TimeOver
    fixed = np.zeros(cohort.points.size, dtype=bool)
    for rule in cohort.rules:
        if rule.fixes:
            fixed[rule.cells] = True

    def at_least(points: float) -> NDArray[np.bool_]:
        return fixed | (cohort.possible & (cohort.points >= points))

    levels = np.unique(cohort.points[cohort.possible & ~fixed])
    low, high = 0, len(levels) - 1  # the lowest level always has a pairing
    while low < high:
        middle = (low + high + 1) // 2
        reached = _Program(cohort, cohort.rules, ones, at_least(levels[middle])).best(clock)
        if reached is not None and not reached.proved and reached.value < most.value:
            raise TimeOver
        if reached is not None and reached.value >= most.value:
            low = middle
        else:
            high = middle - 1
    among = at_least(levels[low]) if len(levels) else fixed
    everyone = Rule("as-many", (), np.arange(cohort.points.size, dtype=np.int64), least=most.value)
    program = _Program(cohort, (*cohort.rules, everyone), among=among)
    one = program.best(clock)
    if one is None:
        return None
    chosen, settled = program.first_by_id(one, clock) if one.proved else (one.chosen, False)
    return _pairing(cohort, chosen, one, settled)


# What a pairing means for each


@dataclass(frozen=True)
class Regret:
    """What one mentee gives up for the cohort: its best possible mentor by itself, and by how much that one is better."""

    mentee: int
    mentor: int | None
    best: int
    loss: float


def _forbidden(cohort: Cohort) -> NDArray[np.bool_]:
    forbidden = np.zeros(cohort.points.size, dtype=bool)
    for rule in cohort.rules:
        if rule.forbids:
            forbidden[rule.cells] = True
    return forbidden


def regrets(cohort: Cohort, pairing: Pairing) -> list[Regret]:
    """Each mentee's best allowed mentor beside the one it gets; loss 0 where they are equally good.

    Mentees without any allowed mentor are left out. In the order of mentees; of equally good mentors the
    first by id.
    """
    worth = np.where(cohort.possible & ~_forbidden(cohort), cohort.points, -1.0).reshape(cohort.utilities.shape)
    has = dict(pairing.pairs)
    found = []
    for mentee, row in enumerate(worth):
        if not len(row) or row.max() < 0:
            continue
        mentor = has.get(mentee)
        got = 0.0 if mentor is None else float(cohort.points.reshape(worth.shape)[mentee, mentor])
        best = int(row.argmax())
        if mentor is not None and row[best] <= got:
            best = mentor
        found.append(Regret(mentee, mentor, best, max(0.0, float(row[best]) - got) / POINTS))
    return found


@dataclass(frozen=True)
class Blocking:
    """A mentee and a mentor that would both rather have each other than what the pairing gives them.

    `instead` is the mentee that the mentor would give up, None where it has a place left. Gains are utilities.
    """

    mentee: int
    mentor: int
    instead: int | None
    mentee_gain: float
    mentor_gain: float


def blocking(cohort: Cohort, pairing: Pairing) -> list[Blocking]:
    """All blocking pairs, the largest gain of the mentee first, then by ids.

    Both sides prefer by the same utility; pairs that a rule forbids do not count, and fixed ones stay. Places are
    those of the rules for one mentor; rules over several mentors (countries, visits) are not looked at, so
    that a pair listed here may still break one. Source: stability of Gale and Shapley, DOMAIN 2.5.
    """
    shape = cohort.utilities.shape
    points = cohort.points.reshape(shape)
    allowed = (cohort.possible & ~_forbidden(cohort)).reshape(shape)
    fixed = {int(cell) for rule in cohort.rules if rule.fixes for cell in rule.cells}
    quotas = _places(cohort)
    has = dict(pairing.pairs)
    held: dict[int, list[int]] = {}
    for mentee, mentor in pairing.pairs:
        held.setdefault(mentor, []).append(mentee)
    found = []
    for mentee in range(shape[0]):
        own = has.get(mentee)
        if own is not None and mentee * shape[1] + own in fixed:
            continue
        present = -1.0 if own is None else points[mentee, own]
        for mentor in np.flatnonzero(allowed[mentee] & (points[mentee] > present)).tolist():
            theirs = held.get(mentor, [])
            movable = [one for one in theirs if one * shape[1] + mentor not in fixed]
            worst = min(movable, key=lambda one: (points[one, mentor], one), default=None)
            instead = None
            if len(theirs) >= quotas[mentor]:
                if worst is None or points[worst, mentor] >= points[mentee, mentor]:
                    continue
                instead = worst
            gain = float(points[mentee, mentor])
            given_up = 0.0 if instead is None else float(points[instead, mentor])
            found.append(
                Blocking(
                    mentee, mentor, instead, (gain - max(0.0, float(present))) / POINTS, (gain - given_up) / POINTS
                )
            )
    return sorted(found, key=lambda one: (-one.mentee_gain, one.mentee, one.mentor))


def _places(cohort: Cohort) -> NDArray[np.float64]:
    """Places per mentor, by the rules about one mentor."""
    width = len(cohort.mentors)
    places = np.full(width, math.inf)
    for rule in cohort.rules:
        if rule.kind == "at-most":
            mentor = int(rule.cells[0]) % width
            places[mentor] = min(places[mentor], rule.most if rule.most is not None else math.inf)
    return places


@dataclass(frozen=True)
class Unmatched:
    """Why a mentee has no mentor. `code` is one of

    "nothing-found": no mentor of the cohort has anything on record for its needs;
    "ruled-out": rules forbid every mentor that has; `rules` names them;
    "places-taken": each mentor it may have is full; `mentors` are those, best first;
    "rules-bind": one has a place left, and `rules` (visits, countries, …) leave no room for the pair.
    """

    mentee: int
    code: str
    mentors: tuple[int, ...] = ()
    rules: tuple[Rule, ...] = ()


def unmatched(cohort: Cohort, pairing: Pairing) -> list[Unmatched]:
    """Every mentee without a mentor, with the reason, in the order of mentees."""
    width = len(cohort.mentors)
    matched = {mentee for mentee, _ in pairing.pairs}
    forbidden, places = _forbidden(cohort), _places(cohort)
    taken = np.bincount([mentor for _, mentor in pairing.pairs], minlength=width)
    chosen = chosen_cells(cohort, pairing)
    found = []
    for mentee in (one for one in range(len(cohort.mentees)) if one not in matched):
        cells = np.arange(width) + mentee * width
        possible = cells[cohort.possible[cells]]
        allowed = possible[~forbidden[possible]]
        order = sorted((int(cell) for cell in allowed), key=lambda cell: (-cohort.points[cell], cell))
        mentors = tuple(cell % width for cell in order)
        if not len(possible):
            found.append(Unmatched(mentee, "nothing-found"))
        elif not len(allowed):
            rules = tuple(r for r in cohort.rules if r.forbids and np.isin(r.cells, possible).any())
            found.append(Unmatched(mentee, "ruled-out", rules=rules))
        elif all(taken[mentor] >= places[mentor] for mentor in mentors):
            found.append(Unmatched(mentee, "places-taken", mentors))
        else:
            open_ = [cell for cell in order if taken[cell % width] < places[cell % width]]
            rules = tuple(
                rule
                for rule in cohort.rules
                if not rule.forbids and any(not rule.holds(np.append(chosen, cell)) for cell in open_)
            )
            found.append(Unmatched(mentee, "rules-bind", tuple(cell % width for cell in open_), rules))
    return found


# What rules cost, and which contradict each other


@dataclass(frozen=True)
class Cost:
    """How much the sum of utilities would rise without one rule; None where the time did not allow to say."""

    rule: Rule
    gain: float | None


def costs(cohort: Cohort, pairing: Pairing, clock: Clock) -> list[Cost]:
    """What each rule costs, found by leaving it out alone: the dearest first, those without an answer last, then in order.

    Where the prices of the other rules already bound the sum by what is reached, nothing needs to be solved. A
    fixed pair that is left out may still be chosen.
    """
    value = round(pairing.total * POINTS)
    whole = _Program(cohort, cohort.rules)
    tight = math.floor(whole.own_prices.bound + 1e-3) <= value
    found = []
    for number, rule in enumerate(cohort.rules):
        if tight and _is_idle(cohort, whole, number):
            found.append(Cost(rule, 0.0))
            continue
        others = [other for other in cohort.rules if other is not rule]
        gain = None
        if pairing.proved and clock.left() > 0:
            try:
                best = _Program(cohort, others).best(clock)
                gain = max(0.0, (best.value - value) / POINTS) if best is not None and best.proved else None
            except TimeOver:
                gain = None
        found.append(Cost(rule, gain))
    order = {id(cost): (cost.gain is None, -(cost.gain or 0.0), place) for place, cost in enumerate(found)}
    return sorted(found, key=lambda cost: order[id(cost)])


def _is_idle(cohort: Cohort, program: _Program, number: int) -> bool:
    """Whether the bound stays where it is without a rule: its rows have no price, its pairs do not pay."""
    rule = program.rules[number]
    if rule.forbids:
        cells = rule.cells[cohort.possible[rule.cells]]
        worth = cohort.points[cells] - program.all_rows[:, cells].T @ program.prices
        return bool((worth <= program.own_prices.of_mentees[cells // program.mentors]).all())
    return all(program.prices[row] == 0 for row, of in enumerate(program.rule_of_row) if of == number)


@dataclass(frozen=True)
class Conflict:
    """Rules that cannot hold together, while any of them could be dropped to let the rest of them hold.

    `smallest` says that no smaller set of rules contradicts itself. `give_up` are rules without which all
    others hold together, as few as can be; empty where the time did not allow to find them.
    """

    rules: tuple[Rule, ...]
    smallest: bool
    give_up: tuple[Rule, ...]


def conflict(cohort: Cohort, clock: Clock) -> Conflict | None:
    """Why rules have no common pairing; None where they have one.

    First a set from which nothing can be left out (deletion filter, by halves: Junker 2004), then, while there is
    time, the smallest one: every contradiction meets every set of rules whose loss mends the cohort, so a smallest set
    that meets all such sets found so far and contradicts itself is a smallest contradiction (implicit hitting sets).

    Raises TimeOver when the time ends before a contradiction is found.

    >>> cohort = Cohort(("a",), ("x", "y"), np.array([[0.5, 0.4]]))
    >>> rules = (Rule("veto", ("a", "x"), np.array([0]), most=0), Rule("fixed", ("a", "x"), np.array([0]), least=1),
    ...          Rule("at-most", ("y",), np.array([1]), most=1))
    >>> [rule.kind for rule in conflict(Cohort(cohort.mentees, cohort.mentors, cohort.utilities, rules), Clock(10)).rules]
    ['veto', 'fixed']
    """
    rules = cohort.rules
    if _feasible(cohort, rules, clock):
        return None
    core = _irreducible(cohort, (), (), rules, clock)
    core = tuple(rule for rule in rules if any(rule is one for one in core))
    corrections: list[frozenset[int]] = []
    try:
        while True:
            hit = _smallest_hitting(corrections, len(rules))
            if len(hit) >= len(core):
                smallest = True
                break
            candidate = tuple(rules[number] for number in sorted(hit))
            if not _feasible(cohort, candidate, clock):
                core, smallest = candidate, True
                break
            corrections.append(_correction(cohort, hit, clock))
        if not corrections:
            corrections.append(_correction(cohort, frozenset(), clock))
    except TimeOver:
        smallest = len(core) == 1
    give_up = tuple(rules[number] for number in sorted(corrections[0])) if corrections else ()
    return Conflict(core, smallest, give_up)


@dataclass(frozen=True)
class Cause:
    """Mentees for whose needs a mentor has nothing on record or, with `mentor` None, none of the cohort has."""

    mentor: int | None
    mentees: tuple[int, ...]


def causes(cohort: Cohort, rules: Sequence[Rule]) -> list[Cause]:
    """What the records lack for rules to hold: for each mentor that must take some, and for mentees that must get one.

    >>> cohort = Cohort(("a", "b"), ("x",), np.array([[0.5], [np.nan]]))
    >>> causes(cohort, [Rule("at-least", ("x",), np.array([0, 1]), least=2)])
    [Cause(mentor=0, mentees=(1,))]
    >>> causes(cohort, [Rule("must", ("b",), np.array([1]), least=1)])
    [Cause(mentor=None, mentees=(1,))]
    """
    width = len(cohort.mentors)
    found, alone = [], []
    for rule in rules:
        lacking = rule.cells[~cohort.possible[rule.cells]]
        if rule.kind == "at-least" and len(lacking):
            found.append(Cause(int(lacking[0]) % width, tuple((lacking // width).tolist())))
        elif rule.kind == "must" and len(lacking) == len(rule.cells):
            alone.append(int(rule.cells[0]) // width)
    return [*found, *([Cause(None, tuple(alone))] if alone else [])]


def _feasible(cohort: Cohort, rules: Sequence[Rule], clock: Clock) -> bool:
    """Whether some pairing obeys all of these rules."""
    if not any(rule.least for rule in rules):
        return True
    return _Program(cohort, rules, np.zeros(cohort.points.size)).best(clock) is not None


def _irreducible(
    cohort: Cohort, ground: tuple[Rule, ...], added: tuple[Rule, ...], rules: tuple[Rule, ...], clock: Clock
) -> tuple[Rule, ...]:
    """The rules of an irreducible contradiction beside `ground`, of which `added` came last."""
    if added and not _feasible(cohort, ground, clock):
        return ()
    if len(rules) == 1:
        return rules
    half = len(rules) // 2
    first, second = rules[:half], rules[half:]
    of_second = _irreducible(cohort, (*ground, *first), first, second, clock)
    of_first = _irreducible(cohort, (*ground, *of_second), of_second, first, clock)
    return (*of_first, *of_second)


def _smallest_hitting(sets: Sequence[frozenset[int]], count: int) -> frozenset[int]:
    """As few numbers below `count` as meet every set."""
    if not sets:
        return frozenset()
    matrix = np.zeros((len(sets), count))
    for row, members in enumerate(sets):
        matrix[row, sorted(members)] = 1
    # The later a rule stands, the a little dearer it is, so that equally small sets are told apart.
    dear = 1 + np.arange(count) / (4.0 * count * count)
    solved = milp(
        dear, integrality=np.ones(count), bounds=Bounds(0, 1), constraints=LinearConstraint(matrix, 1, np.inf)
    )
    return frozenset(np.flatnonzero(solved.x > 0.5).tolist())


def _correction(cohort: Cohort, kept: frozenset[int], clock: Clock) -> frozenset[int]:
    """As few rules as must go, none of `kept`, so that the others have a common pairing."""
    rules = cohort.rules
    mentees, mentors = cohort.utilities.shape
    cells = np.flatnonzero(cohort.possible)
    if not len(cells):  # nobody can be paired at all: what asks for a pair has to go
        return frozenset(number for number, rule in enumerate(rules) if rule.least)
    matrix, limits, owners = _rows(rules, cohort.points.size)
    forbidding = [number for number, rule in enumerate(rules) if rule.forbids]
    forbid = sparse.csr_array(
        (
            np.ones(sum(len(rules[number].cells) for number in forbidding)),
            (
                np.repeat(np.arange(len(forbidding)), [len(rules[number].cells) for number in forbidding]),
                np.concatenate([*(rules[number].cells for number in forbidding), np.zeros(0, dtype=np.int64)]),
            ),
        ),
        shape=(len(forbidding), cohort.points.size),
    )
    owners, limits = [*owners, *forbidding], np.concatenate([limits, np.zeros(len(forbidding))])
    rows = sparse.vstack([matrix, forbid], format="csr")[:, cells]
    # Without its rule a row may be exceeded by as much as all pairs together could.
    most = np.abs(rows).max(axis=1).toarray().ravel() * mentees + np.abs(limits)
    relaxed = sparse.csr_array((-most, (np.arange(len(owners)), owners)), shape=(len(owners), len(rules)))
    one_mentor = sparse.csr_array(
        (np.ones(len(cells)), (cells // mentors, np.arange(len(cells)))), shape=(mentees, len(cells))
    )
    constraint = sparse.block_array(
        [[one_mentor, sparse.csr_array((mentees, len(rules)))], [rows, relaxed]], format="csr"
    )
    highest = np.ones(len(cells) + len(rules))
    highest[[len(cells) + number for number in kept]] = 0
    left = clock.left()
    if left <= 0:
        raise TimeOver
    dear = 1 + np.arange(len(rules)) / (4.0 * len(rules) ** 2)
    solved = milp(
        np.concatenate([np.zeros(len(cells)), dear]),
        integrality=np.ones(len(cells) + len(rules)),
        bounds=Bounds(0, highest),
        constraints=LinearConstraint(constraint, -np.inf, np.concatenate([np.ones(mentees), limits])),
        options={"time_limit": left, "mip_rel_gap": 0.0},
    )
    if solved.status != 0:
        raise TimeOver
    return frozenset(np.flatnonzero(solved.x[len(cells) :] > 0.5).tolist())
