"""Pairs generated cohorts, beside the assignment solver alone, greedy pairing and the solver on all pairs at once.

    python bench/cohorts.py                    500 mentees × 500 mentors (a minute or two on one core)
    python bench/cohorts.py --sizes 50 200     others
    python bench/cohorts.py --all-at-once      also HiGHS on every pair at once, which takes minutes

Utilities are squares of random numbers, so that few mentors suit each mentee; quotas are 1 to 3. "plain" has
quotas alone; "ruled" also minimums for every fourth mentor, caps for twenty countries and a budget of visits. The
time of "best" is until the best pairing is proved; "all" adds three next best ones, the fairest one,
blocking pairs and regrets. For one core: `taskset -c 0 python bench/cohorts.py`. Nothing is true of any city.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence

import numpy as np
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, linear_sum_assignment, milp

from kg.matching import cohorts
from kg.matching.cohorts import Clock, Cohort, Pairing, Rule


def generated(size: int, *, ruled: bool, seed: int = 1) -> Cohort:
    """A cohort of `size` mentees and as many mentors."""
    random = np.random.default_rng(seed)
    ids = tuple(f"{number:04}" for number in range(size))
    bare = Cohort(ids, ids, random.random((size, size)) ** 2)
    quotas, country = random.integers(1, 4, size), random.integers(0, 20, size)
    rules = [
        Rule("at-most", (one,), bare.cells_of_mentor(one), most=int(quota))
        for one, quota in zip(ids, quotas, strict=True)
    ]
    if ruled:
        rules += [Rule("at-least", (one,), bare.cells_of_mentor(one), least=1) for one in ids[::4]]
        cells = np.arange(size * size)
        of_country = [cells[country[cells % size] == number] for number in range(20)]
        cap = max(1, round(size * 0.06))
        rules += [Rule("country", (str(n),), one, most=cap) for n, one in enumerate(of_country) if len(one)]
        visits = np.full(size * size, 3.0)
        rules.append(Rule("visits", (), cells, most=round(2.9 * size), amounts=visits))
    return Cohort(ids, ids, bare.utilities, tuple(rules))


def greedy(cohort: Cohort) -> float:
    """The sum when the best pair that breaks no upper limit is taken again and again; minimums are not looked at."""
    width = len(cohort.mentors)
    limited = [rule for rule in cohort.rules if rule.most is not None]
    rules_of: list[list[int]] = [[] for _ in range(cohort.points.size)]
    for number, rule in enumerate(limited):
        for cell in rule.cells.tolist():
            rules_of[cell].append(number)
    left = [float(rule.most or 0) for rule in limited]
    cost = [1.0 if rule.amounts is None else float(rule.amounts[0]) for rule in limited]
    matched: set[int] = set()
    total = 0.0
    for cell in np.argsort(-cohort.points, kind="stable").tolist():
        if cell // width in matched or any(left[number] < cost[number] for number in rules_of[cell]):
            continue
        matched.add(cell // width)
        for number in rules_of[cell]:
            left[number] -= cost[number]
        total += float(cohort.points[cell])
    return total / cohorts.POINTS


def assigned(cohort: Cohort) -> float:
    """The sum that `linear_sum_assignment` reaches with the quotas alone: a bound for the cohort with more rules."""
    quotas = [int(rule.most or 0) for rule in cohort.rules if rule.kind == "at-most"]
    matrix = cohort.points.reshape(cohort.utilities.shape)[:, np.repeat(np.arange(len(quotas)), quotas)]
    return float(matrix[linear_sum_assignment(matrix, maximize=True)].sum()) / cohorts.POINTS


def all_at_once(cohort: Cohort, seconds: float) -> float | None:
    """The sum that `milp` reaches when it is handed every pair, within some time."""
    rows, limits, _ = cohorts._rows(cohort.rules, cohort.points.size)
    size = cohort.points.size
    mentee = np.arange(size) // len(cohort.mentors)
    one = sparse.csr_array((np.ones(size), (mentee, np.arange(size))))
    solved = milp(
        -cohort.points,
        integrality=np.ones(size),
        bounds=Bounds(0, 1),
        constraints=LinearConstraint(
            sparse.vstack([one, rows], format="csr"), -np.inf, np.concatenate([np.ones(len(cohort.mentees)), limits])
        ),
        options={"time_limit": seconds, "mip_rel_gap": 0.0},
    )
    return None if solved.x is None else -float(solved.fun) / cohorts.POINTS


def everything(cohort: Cohort) -> tuple[list[Pairing], Pairing | None]:
    """All that an answer tells, but for what rules cost."""
    found = cohorts.ranked(cohort, 4, Clock(300))
    fairest = cohorts.fairest(cohort, Clock(300))
    cohorts.blocking(cohort, found[0])
    cohorts.regrets(cohort, found[0])
    return found, fairest


def timed(work: Callable[[], object]) -> tuple[object, float]:
    """What it gives, and seconds."""
    begun = time.perf_counter()
    result = work()
    return result, time.perf_counter() - begun


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[500])
    parser.add_argument("--all-at-once", action="store_true")
    given = parser.parse_args(arguments)
    print("| cohort | way | seconds | sum | of the best |\n|---|---|---:|---:|---:|", flush=True)
    for size in given.sizes:
        for name, ruled in (("plain", False), ("ruled", True)):
            cohort = generated(size, ruled=ruled)
            best, seconds = timed(lambda c=cohort: cohorts.solve(c, Clock(300)))
            if not isinstance(best, Pairing):
                raise SystemExit("the generated rules contradict each other")
            assert best.proved, "not proved within five minutes"
            assert not cohorts.broken(cohort, best)
            rows = [("best, proved", seconds, best.total)]
            _, seconds = timed(lambda c=cohort: everything(c))
            rows.append(("all that is told", seconds, best.total))
            total, seconds = timed(lambda c=cohort: greedy(c))
            rows.append(("greedy, without minimums" if ruled else "greedy", seconds, total))
            total, seconds = timed(lambda c=cohort: assigned(c))
            rows.append(("linear_sum_assignment, quotas alone", seconds, total))
            if given.all_at_once:
                total, seconds = timed(lambda c=cohort: all_at_once(c, 300))
                rows.append(("milp on all pairs", seconds, total))
            for way, seconds, total in rows:
                said = "–" if total is None else f"{total:.3f} | {total / best.total:.4f}"
                print(f"| {size} × {size}, {name} | {way} | {seconds:.2f} | {said} |", flush=True)


if __name__ == "__main__":
    main()
