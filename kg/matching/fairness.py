"""How attention is spread over cities by the suggestions for many needs: exposure, its inequality, and who never comes up."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FIRST = 10
"""How many places of a ranking are looked at, unless told otherwise: about as far as people read."""

RESAMPLES = 1_000
_SEED = 20_230_101
_MOST_ALIKE = 4
"""Cities with so many records or more are told together: there are few of them."""

_AT_ONCE = 200_000
"""Numbers of a resample that are held at a time."""

Codes = npt.NDArray[np.int64]
Numbers = Sequence[float] | npt.NDArray[np.float64]


@dataclass(frozen=True)
class CityExposure:
    """What one city got. `suggested` counts the needs for which it was among the first, `best_rank` is None where never."""

    city: str
    exposure: float
    share: float
    suggested: int
    best_rank: int | None
    records: int


@dataclass(frozen=True)
class Correlation:
    """A rank correlation in [-1, 1] over `cities`, with the 95 % interval of 1,000 resamples of the cities."""

    value: float
    low: float
    high: float
    cities: int


@dataclass(frozen=True)
class RecordGroup:
    """Cities with `least` to `most` records (None: or more): how many, how many of them never, and means per city and per record."""

    least: int
    most: int | None
    cities: int
    never: int
    exposure: float
    per_record: float


@dataclass(frozen=True)
class CountryExposure:
    """What the cities of a country got together, beside their share of all records. `country` None: not on record."""

    country: str | None
    cities: int
    records: int
    exposure: float
    share: float
    share_of_records: float


@dataclass(frozen=True)
class Exposure:
    """The attention that cities got over a set of needs.

    `cities` are all that have a record and so could have come up, most exposed first; `never` those of them that
    were never among the first `first`; `without_records` could not come up at all and count in nothing else.
    `gini` is None where nobody came up, `gini_records` is the same of the numbers of records, to compare with.
    """

    needs: int
    first: int
    cities: tuple[CityExposure, ...]
    never: tuple[str, ...]
    without_records: tuple[str, ...]
    gini: float | None
    gini_records: float | None
    correlation: Correlation | None
    by_records: tuple[RecordGroup, ...]
    by_country: tuple[CountryExposure, ...]


def attention(rank: int) -> float:
    """What a place in a list is worth, in (0, 1]: 1 / log2(rank + 1), counted from 1.

    Source: the position bias of Singh and Joachims, Fairness of Exposure in Rankings, KDD 2018, which is the
    discount of DCG (Järvelin and Kekäläinen 2002). An assumption about readers, not a measurement of ours.

    >>> attention(1), attention(3)
    (1.0, 0.5)
    """
    return 1.0 / math.log2(rank + 1)


def gini(values: Iterable[float]) -> float | None:
    """Gini's coefficient of inequality, Σ (2i − n − 1)·x_i / (n·Σ x) over values of 0 or more in rising order.

    0 where all have the same, (n − 1)/n where one has everything; None where there is nothing to share. The same
    as the mean absolute difference of all pairs divided by twice the mean (Gini 1912). Fewer places than
    cities keep it above 0 whatever the order: compare it between profiles or over time, on the same needs.

    >>> gini([1, 1, 1, 1]), gini([0, 0, 0, 8]), gini([0, 0]) is None
    (0.0, 0.75, True)
    """
    rising = np.sort(np.fromiter(values, float))
    total = math.fsum(rising)
    if not total:
        return None
    places = np.arange(1, len(rising) + 1)
    return max(0.0, float(np.dot(2 * places - len(rising) - 1, rising) / (len(rising) * total)))


def rank_correlation(one: Numbers, other: Numbers) -> Correlation | None:
    """Spearman's rank correlation of two numbers per city: Pearson's of their ranks, equal values sharing a mean rank.

    The interval is the middle 95 % of 1,000 resamples of the cities, ranked anew each time (percentile bootstrap),
    the same at every call; resamples in which all are equal are left out. None for fewer than
    three cities, and where one of the numbers is the same for all.

    Source: Spearman 1904; Efron and Tibshirani 1993, chapter 13.

    >>> found = rank_correlation([1, 2, 3, 4, 5], [10, 20, 30, 40, 50])
    >>> found.value, found.cities
    (1.0, 5)
    >>> rank_correlation([1, 1, 1], [1, 2, 3]) is None
    True
    """
    n = len(one)
    if n < 3:
        return None
    codes, others = (np.unique(np.asarray(numbers, float), return_inverse=True)[1] for numbers in (one, other))
    (value,) = _correlations(codes[None], others[None])
    if math.isnan(value):
        return None
    random = np.random.default_rng(_SEED)
    rows = max(1, _AT_ONCE // n)
    draws = []
    for start in range(0, RESAMPLES, rows):
        drawn = random.integers(0, n, (min(rows, RESAMPLES - start), n))
        draws.append(_correlations(codes[drawn], others[drawn]))
    low, high = np.nanpercentile(np.concatenate(draws), [2.5, 97.5])
    return Correlation(float(value), float(low), float(high), n)


def _correlations(codes: Codes, others: Codes) -> npt.NDArray[np.float64]:
    """Spearman's coefficient of each row of values that are numbered in their order; not a number where all are equal."""
    x, y = _mean_ranks(codes), _mean_ranks(others)
    x, y = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
    spread = np.sqrt((x * x).sum(axis=1) * (y * y).sum(axis=1))
    together = (x * y).sum(axis=1)
    found = np.divide(together, spread, out=np.full(len(codes), np.nan), where=spread > 0)
    return np.clip(found, -1.0, 1.0)


def _mean_ranks(codes: Codes) -> npt.NDArray[np.float64]:
    """The rank of each value in its row, by counting: equal values share the mean of their places."""
    rows, values = len(codes), int(codes.max()) + 1
    numbered = codes + values * np.arange(rows)[:, None]
    counts = np.bincount(numbered.ravel(), minlength=rows * values).reshape(rows, values)
    ranks = np.cumsum(counts, axis=1) - (counts - 1) / 2
    found: npt.NDArray[np.float64] = np.take_along_axis(ranks, codes, axis=1)
    return found


def exposure(
    rankings: Iterable[Sequence[str]],
    cities: Iterable[str],
    records: Mapping[str, int],
    *,
    countries: Mapping[str, str | None] | None = None,
    first: int = FIRST,
) -> Exposure:
    """How much attention each city got over the rankings of many needs, one list of cities for each, best first.

    A city's exposure is Σ over needs of `attention` of its rank among the `first` (0 where it is not there), no
    unit; `share` is its part of all exposure. `cities` are all that there are, `records` their numbers of
    practices; a ranked city that is not among `cities` is passed over, its place stays taken. The effect of the
    number of records is told as a rank correlation with exposure over the cities that have records, and by groups.
    `countries` gives each city's country where it is known. The answer does not depend on any order but the ranks'.

    Raises ValueError for `first` below 1.

    >>> told = exposure([["gent", "lyon"], ["gent"]], ["gent", "lyon", "riga", "oslo"], {"gent": 2, "lyon": 1, "riga": 1})
    >>> [(one.city, round(one.exposure, 3), one.suggested) for one in told.cities]
    [('gent', 2.0, 2), ('lyon', 0.631, 1), ('riga', 0.0, 0)]
    >>> told.never, told.without_records, round(told.gini, 3)
    (('riga',), ('oslo',), 0.507)
    """
    if first < 1:
        raise ValueError(f"first {first} is below 1")
    got: dict[str, list[int]] = {city: [] for city in sorted(set(cities)) if records.get(city, 0) > 0}
    without = tuple(city for city in sorted(set(cities)) if city not in got)
    needs = 0
    for ranking in rankings:
        needs += 1
        for rank, city in enumerate(ranking[:first], start=1):
            if city in got:
                got[city].append(rank)
    amounts = {city: math.fsum(sorted(map(attention, ranks))) for city, ranks in got.items()}
    total = math.fsum(amounts.values())
    listed = sorted(
        (
            CityExposure(
                city,
                amounts[city],
                amounts[city] / total if total else 0.0,
                len(ranks),
                min(ranks, default=None),
                records[city],
            )
            for city, ranks in got.items()
        ),
        key=lambda one: (-one.exposure, one.city),
    )
    numbers = [float(one.records) for one in listed]
    return Exposure(
        needs=needs,
        first=first,
        cities=tuple(listed),
        never=tuple(sorted(one.city for one in listed if not one.suggested)),
        without_records=without,
        gini=gini(amounts.values()),
        gini_records=gini(numbers),
        correlation=rank_correlation(numbers, [one.exposure for one in listed]),
        by_records=_by_records(listed),
        by_country=_by_country(listed, countries or {}),
    )


def _by_records(listed: Sequence[CityExposure]) -> tuple[RecordGroup, ...]:
    """Cities with one, two, three records, and with more."""
    groups: dict[int, list[CityExposure]] = {}
    for one in listed:
        groups.setdefault(min(one.records, _MOST_ALIKE), []).append(one)
    return tuple(
        RecordGroup(
            least,
            None if least == _MOST_ALIKE else least,
            len(group),
            sum(not one.suggested for one in group),
            math.fsum(one.exposure for one in group) / len(group),
            math.fsum(one.exposure for one in group) / sum(one.records for one in group),
        )
        for least, group in sorted(groups.items())
    )


def _by_country(listed: Sequence[CityExposure], countries: Mapping[str, str | None]) -> tuple[CountryExposure, ...]:
    """Countries, most exposed first; cities whose country is not known come together under None."""
    groups: dict[str | None, list[CityExposure]] = {}
    for one in listed:
        groups.setdefault(countries.get(one.city), []).append(one)
    records = Counter({country: sum(one.records for one in group) for country, group in groups.items()})
    told = (
        CountryExposure(
            country,
            len(group),
            records[country],
            math.fsum(one.exposure for one in group),
            math.fsum(one.share for one in group),
            records[country] / records.total(),
        )
        for country, group in groups.items()
    )
    return tuple(sorted(told, key=lambda one: (-one.exposure, one.country or "~")))
