"""Pairing a cohort: compared with every pairing there is, on cohorts small enough to try them all."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import strategies as st
from matching_cases import promise

from kg.matching import cohorts
from kg.matching.cohorts import Clock, Cohort, Pairing, Rule

MENTEES, MENTORS = ("a", "b", "c", "d"), ("v", "w", "x", "y")


def patient() -> Clock:
    return Clock(60)


@st.composite
def small(draw: st.DrawFn) -> Cohort:
    """Up to four mentees and four mentors, few different utilities so that ties are common, and rules of every form."""
    n, m = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    values = draw(st.lists(st.sampled_from([math.nan, 0.0, 0.1, 0.2, 0.7]), min_size=n * m, max_size=n * m))
    bare = Cohort(MENTEES[:n], MENTORS[:m], np.array(values).reshape(n, m))
    everything = np.arange(n * m)
    rules = [
        Rule("at-most", (mentor,), bare.cells_of_mentor(mentor), most=draw(st.integers(0, 2)))
        for mentor in bare.mentors
    ]
    for cell in draw(st.lists(st.sampled_from(everything.tolist()), max_size=2, unique=True)):
        rules.append(Rule("veto", (str(cell),), np.array([cell]), most=0))
    if draw(st.booleans()):
        rules.append(Rule("at-least", ("v",), bare.cells_of_mentor("v"), least=1))
    if draw(st.booleans()):
        rules.append(Rule("fixed", ("a", "v"), np.array([0]), least=1))
    if draw(st.booleans()):
        rules.append(Rule("must", ("a",), bare.cells_of_mentee("a"), least=1))
    if draw(st.booleans()):
        amounts = np.array([float(1 + cell % 3) for cell in everything])
        rules.append(Rule("visits", (), everything, most=draw(st.integers(0, 5)), amounts=amounts))
    if draw(st.booleans()):
        rules.append(Rule("country", ("XX",), everything[everything % m < 2], most=draw(st.integers(0, 2))))
    return Cohort(bare.mentees, bare.mentors, bare.utilities, tuple(rules))


def all_pairings(cohort: Cohort, rules: tuple[Rule, ...] | None = None) -> list[tuple[tuple[int, int], ...]]:
    """Every pairing that obeys the rules, best first, equal ones by ids."""
    rules = cohort.rules if rules is None else rules
    n, m = cohort.utilities.shape
    found = []
    for choice in itertools.product(range(m + 1), repeat=n):
        pairs = tuple((i, j) for i, j in enumerate(choice) if j < m)
        cells = np.array([i * m + j for i, j in pairs], dtype=np.int64)
        if cohort.possible[cells].all() and all(rule.holds(cells) for rule in rules):
            found.append((-points(cohort, pairs), choice, pairs))
    return [pairs for _, _, pairs in sorted(found)]


def points(cohort: Cohort, pairs: tuple[tuple[int, int], ...]) -> int:
    return round(sum(cohort.points[i * len(cohort.mentors) + j] for i, j in pairs))


@promise(small())
def test_the_best_pairing_is_the_best_of_all_and_the_first_of_equals(cohort: Cohort) -> None:
    expected = all_pairings(cohort)
    found = cohorts.solve(cohort, patient())
    assert (found and found.pairs) == (expected[0] if expected else None)
    if found:
        assert found.proved
        assert found.settled
        assert found.gap == 0
        assert found.total == pytest.approx(points(cohort, expected[0]) / cohorts.POINTS, abs=1e-9)
        assert cohorts.broken(cohort, found) == []


@promise(small())
def test_the_next_best_pairings_come_in_order_and_none_is_left_out(cohort: Cohort) -> None:
    found = cohorts.ranked(cohort, 6, patient())
    assert [one.pairs for one in found] == all_pairings(cohort)[:6]


@promise(small())
def test_the_fairest_pairing_has_as_many_pairs_as_can_be_and_the_best_worst_one(cohort: Cohort) -> None:
    fixed = {int(cell) for rule in cohort.rules if rule.fixes for cell in rule.cells}
    width = len(cohort.mentors)

    def fairness(pairs: tuple[tuple[int, int], ...]) -> tuple[float, float, float]:
        free = [cohort.points[i * width + j] for i, j in pairs if i * width + j not in fixed]
        return len(pairs), min(free, default=math.inf), points(cohort, pairs)

    expected = all_pairings(cohort)
    found = cohorts.fairest(cohort, patient())
    assert (found is None) == (not expected)
    if found:
        assert fairness(found.pairs) == max(map(fairness, expected))


@promise(small())
def test_a_rule_costs_what_the_best_pairing_without_it_has_more(cohort: Cohort) -> None:
    best = cohorts.solve(cohort, patient())
    if best is None:
        return
    told = cohorts.costs(cohort, best, patient())
    assert {id(one.rule) for one in told} == {id(rule) for rule in cohort.rules}
    assert [one.gain for one in told] == sorted((one.gain for one in told), reverse=True)
    for one in told:
        others = tuple(rule for rule in cohort.rules if rule is not one.rule)
        without = points(cohort, all_pairings(cohort, others)[0])
        assert one.gain == pytest.approx((without - points(cohort, best.pairs)) / cohorts.POINTS, abs=1e-9)


@promise(small())
def test_a_contradiction_is_the_smallest_and_giving_up_what_is_named_mends_it(cohort: Cohort) -> None:
    found = cohorts.conflict(cohort, patient())
    assert (found is None) == bool(all_pairings(cohort))
    if found is None:
        return
    assert found.smallest
    assert not all_pairings(cohort, found.rules)
    for size in range(len(found.rules)):
        for fewer in itertools.combinations(cohort.rules, size):
            assert all_pairings(cohort, fewer)
    assert all_pairings(cohort, tuple(rule for rule in cohort.rules if rule not in found.give_up))
    for size in range(len(found.give_up)):
        for gone in itertools.combinations(cohort.rules, size):
            assert not all_pairings(cohort, tuple(rule for rule in cohort.rules if rule not in gone))


def test_of_two_contradictions_the_smaller_one_is_told_whatever_stands_first() -> None:
    bare = Cohort(("a", "b", "c"), ("x", "z"), np.array([[0.5, math.nan], [math.nan, 0.5], [math.nan, 0.5]]))
    two = [Rule("must", ("a",), bare.cells_of_mentee("a"), least=1), Rule("veto", ("a", "x"), np.array([0]), most=0)]
    three = [Rule("must", (one,), bare.cells_of_mentee(one), least=1) for one in "bc"]
    three.append(Rule("at-most", ("z",), bare.cells_of_mentor("z"), most=1))
    for rules in ([*two, *three], [*three, *two]):
        found = cohorts.conflict(Cohort(bare.mentees, bare.mentors, bare.utilities, tuple(rules)), patient())
        assert found is not None
        assert [rule.kind for rule in found.rules] == ["must", "veto"]
        assert found.smallest
        assert len(found.give_up) == 2


@promise(small())
def test_blocking_pairs_and_regrets_are_what_their_definitions_say(cohort: Cohort) -> None:
    best = cohorts.solve(cohort, patient())
    if best is None:
        return
    n, m = cohort.utilities.shape
    forbidden = {int(cell) for rule in cohort.rules if rule.forbids for cell in rule.cells}
    fixed = {int(cell) for rule in cohort.rules if rule.fixes for cell in rule.cells}
    quota = {int(r.cells[0]) % m: r.most for r in cohort.rules if r.kind == "at-most"}
    has = dict(best.pairs)
    worth = cohort.points.reshape(n, m)
    expected = set()
    for i, j in itertools.product(range(n), range(m)):
        if not cohort.possible[i * m + j] or i * m + j in forbidden or (i in has and i * m + has[i] in fixed):
            continue
        theirs = [one for one in range(n) if has.get(one) == j]
        room = len(theirs) < quota[j]
        rather = any(worth[one, j] < worth[i, j] for one in theirs if one * m + j not in fixed)
        if (i not in has or worth[i, has[i]] < worth[i, j]) and (room or rather):
            expected.add((i, j))
    assert {(one.mentee, one.mentor) for one in cohorts.blocking(cohort, best)} == expected
    for regret in cohorts.regrets(cohort, best):
        allowed = [
            j for j in range(m) if cohort.possible[regret.mentee * m + j] and regret.mentee * m + j not in forbidden
        ]
        got = worth[regret.mentee, has[regret.mentee]] if regret.mentee in has else 0
        assert regret.loss == pytest.approx(
            max(0, max(worth[regret.mentee, j] for j in allowed) - got) / cohorts.POINTS
        )


@promise(small())
def test_every_mentee_without_a_mentor_is_told_why(cohort: Cohort) -> None:
    best = cohorts.solve(cohort, patient())
    if best is None:
        return
    told = cohorts.unmatched(cohort, best)
    assert [one.mentee for one in told] == sorted(set(range(len(cohort.mentees))) - {i for i, _ in best.pairs})
    for one in told:
        cells = cohort.cells_of_mentee(cohort.mentees[one.mentee])
        assert (one.code == "nothing-found") == (not cohort.possible[cells].any())
        if one.code == "ruled-out":
            assert all(rule.forbids for rule in one.rules)
        if one.code == "rules-bind":
            assert one.mentors


def large(size: int, seed: int, *, minimums: bool) -> Cohort:
    """A cohort beyond what the solver gets at once, so that prices choose the pairs."""
    random = np.random.default_rng(seed)
    ids = tuple(f"{number:03}" for number in range(size))
    bare = Cohort(ids, ids, random.random((size, size)) ** 2)
    rules = [Rule("at-most", (one,), bare.cells_of_mentor(one), most=int(random.integers(1, 4))) for one in ids]
    if minimums:
        rules += [Rule("at-least", (one,), bare.cells_of_mentor(one), least=1) for one in ids[::5]]
    return Cohort(ids, ids, bare.utilities, tuple(rules))


@pytest.mark.parametrize("minimums", [False, True])
def test_few_pairs_are_enough_for_the_best_of_all_of_them(minimums: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    cohort = large(70, 3, minimums=minimums)
    quick = cohorts.ranked(cohort, 3, patient())
    monkeypatch.setattr(cohorts, "MOST_AT_ONCE", 10_000)
    assert [one.pairs for one in quick] == [one.pairs for one in cohorts.ranked(cohort, 3, patient())]
    assert all(one.proved for one in quick)
    assert cohorts.broken(cohort, quick[0]) == []


def test_plain_cohorts_are_worth_the_same_by_both_solvers(monkeypatch: pytest.MonkeyPatch) -> None:
    cohort = large(40, 5, minimums=False)
    assigned = cohorts.solve(cohort, patient())
    monkeypatch.setattr(cohorts, "LARGEST_MATRIX", 0)
    assert assigned == cohorts.solve(cohort, patient())


def test_all_alike_is_settled_by_ids() -> None:
    bare = Cohort(("a", "b", "c"), ("x", "y", "z"), np.full((3, 3), 0.5))
    one = tuple(Rule("at-most", (mentor,), bare.cells_of_mentor(mentor), most=1) for mentor in bare.mentors)
    found = cohorts.ranked(Cohort(bare.mentees, bare.mentors, bare.utilities, one), 3, patient())
    assert [pairing.pairs for pairing in found] == [
        ((0, 0), (1, 1), (2, 2)),
        ((0, 0), (1, 2), (2, 1)),
        ((0, 1), (1, 0), (2, 2)),
    ]


def test_when_time_is_over_it_is_said() -> None:
    cohort = large(70, 3, minimums=True)
    with pytest.raises(cohorts.TimeOver):
        cohorts.solve(cohort, Clock(0))
    with pytest.raises(cohorts.TimeOver):
        cohorts.fairest(cohort, Clock(0))
    known = cohorts.solve(cohort, patient())
    assert known is not None
    late = cohorts.costs(cohort, known, Clock(0))
    assert None in [one.gain for one in late]
    assert all(one.gain in (None, 0.0) for one in late)


def test_a_gap_is_a_share_of_the_bound() -> None:
    assert Pairing((), 1.0, 1.25, proved=False, settled=False).gap == 0.2
    assert Pairing((), 1.0, 1.25, proved=True, settled=True).gap == 0


@pytest.mark.parametrize(
    ("mentees", "mentors", "utilities"),
    [
        (("b", "a"), ("x",), np.zeros((2, 1))),
        (("a", "a"), ("x",), np.zeros((2, 1))),
        (("a",), ("x",), np.zeros((2, 1))),
        (("a",), ("x",), np.array([[-0.1]])),
        (("a",), ("x",), np.array([[math.inf]])),
    ],
)
def test_a_table_that_is_none_is_refused(
    mentees: tuple[str, ...], mentors: tuple[str, ...], utilities: np.ndarray
) -> None:
    with pytest.raises(ValueError, match=r"mentees|shape|utility"):
        Cohort(mentees, mentors, utilities)


def test_a_budget_is_as_low_as_whole_mentorships_reach_it() -> None:
    bare = Cohort(("a", "b"), ("x",), np.array([[0.9], [0.8]]))
    visits = Rule("visits", (), np.arange(2), most=5, amounts=np.array([3.0, 3.0]))
    found = cohorts.solve(Cohort(bare.mentees, bare.mentors, bare.utilities, (visits,)), patient())
    assert found is not None
    assert found.pairs == ((0, 0),)
    assert found.bound == pytest.approx(0.9)
