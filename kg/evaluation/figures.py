"""Figures of ranked answers, their means over types of needs, and bootstrap intervals."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

METRICS = ("ndcg10", "mrr10", "recall10", "city_mrr10")
DEPTH = 10
RELEVANT = 2
"""The grade from which a practice is an answer; grade 1 is on the subject and earns a third of the gain."""

_RESAMPLES = 1_000
_SEED = 20_230_101

Draws = npt.NDArray[np.float64]

Figures = Mapping[str, float | None]
"""Each metric of one need; None where it does not apply."""


def ndcg(ranked: Sequence[str], relevant: Mapping[str, int], depth: int = DEPTH) -> float:
    """Normalised discounted cumulative gain with gain 2^grade - 1 and discount log2(rank + 1), in [0, 1].

    >>> ndcg(["b", "a"], {"a": 2, "b": 1})
    0.7967075809905066
    >>> ndcg(["a", "b"], {"a": 2, "b": 1}), ndcg(["x"], {"a": 1})
    (1.0, 0.0)
    """
    gained = sum(gain(relevant.get(id, 0)) / math.log2(rank + 1) for rank, id in enumerate(ranked[:depth], start=1))
    grades = sorted(relevant.values(), reverse=True)[:depth]
    best = sum(gain(grade) / math.log2(rank + 1) for rank, grade in enumerate(grades, start=1))
    return gained / best if best else 0.0


def reciprocal_rank(ranked: Sequence[str], answers: frozenset[str], depth: int = DEPTH) -> float:
    """One by the rank of the first answer; 0 when there is none among the first `depth`.

    >>> reciprocal_rank(["x", "a"], frozenset("a")), reciprocal_rank(["x", "a"], frozenset("a"), depth=1)
    (0.5, 0.0)
    """
    return next((1 / rank for rank, id in enumerate(ranked[:depth], start=1) if id in answers), 0.0)


def recall(ranked: Sequence[str], answers: frozenset[str], depth: int = DEPTH) -> float:
    """The share of answers among the first `depth`; 0 where there are none to find.

    >>> recall(["a", "x"], frozenset("ab"))
    0.5
    """
    return len(answers.intersection(ranked[:depth])) / len(answers) if answers else 0.0


def gain(grade: int) -> float:
    return 2.0**grade - 1


# ------------------------------------------------------------------------------------- means, intervals


def compared(
    types: Sequence[str],
    whole: Sequence[Figures],
    other: Sequence[Figures],
    *,
    by: str = "ndcg10",
    metrics: Sequence[str] = METRICS,
) -> dict[str, Any]:
    """The other's figures, and how much more the whole has of one metric, per need: paired, so that hard needs cancel out.

    >>> told = compared(["a", "a"], [{"ndcg10": 1.0}, {"ndcg10": 0.5}], [{"ndcg10": 0.5}, {"ndcg10": 0.0}],
    ...                 metrics=["ndcg10"])
    >>> told["macro"]["ndcg10"], told["difference"]["macro"]
    (0.25, {'ndcg10': 0.5, 'interval': [0.5, 0.5]})
    """
    differences: list[tuple[str, Figures]] = [
        (type, {**dict.fromkeys(metrics), by: (a[by] or 0.0) - (b[by] or 0.0)})
        for type, a, b in zip(types, whole, other, strict=True)
    ]
    if not differences:
        return {**summary([], metrics), "difference": {}}
    less = summary(differences, metrics)
    return {
        **summary(list(zip(types, other, strict=True)), metrics),
        "difference": {
            name: {by: figures[by], "interval": figures["intervals"][by]}
            for name, figures in [*less["types"].items(), ("macro", less["macro"])]
        },
    }


def summary(scores: Sequence[tuple[str, Figures]], metrics: Sequence[str] = METRICS) -> dict[str, Any]:
    """Means and intervals by type and over types, from (type, figures) of every need; None is left out of a mean.

    The first of `metrics` is one that every need has: it counts them.

    >>> one = {"ndcg10": 1.0, "mrr10": 1.0, "recall10": 0.5, "city_mrr10": None}
    >>> told = summary([("a", one), ("b", {**one, "ndcg10": 0.0, "city_mrr10": 1.0})])
    >>> told["types"]["a"]["ndcg10"], told["types"]["a"]["city_mrr10"], told["macro"]["ndcg10"]
    (1.0, None, 0.5)
    >>> told["macro"]["city_mrr10"], told["types"]["b"]["n"], told["types"]["b"]["n_city"]
    (1.0, 1, 1)
    """
    by_type: dict[str, dict[str, list[float]]] = {}
    for type, figures in scores:
        known = by_type.setdefault(type, {name: [] for name in metrics})
        for name in metrics:
            value = figures[name]
            known[name] += [] if value is None else [value]
    draws = {type: {name: _resampled(known[name], type) for name in metrics} for type, known in by_type.items()}
    return {
        "types": {
            type: {
                "n": len(known[metrics[0]]),
                **({"n_city": len(known["city_mrr10"])} if "city_mrr10" in known else {}),
                **_figures({name: [_mean(known[name])] for name in metrics}, {n: [draws[type][n]] for n in metrics}),
            }
            for type, known in sorted(by_type.items())
        },
        "macro": _figures(
            {name: [_mean(known[name]) for known in by_type.values()] for name in metrics},
            {name: [draws[type][name] for type in by_type] for name in metrics},
        ),
    }


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _resampled(values: Sequence[float], type: str) -> Draws | None:
    """Means of 1,000 draws with replacement, the same at every call; types are drawn independently of each other."""
    if not values:
        return None
    places = np.random.default_rng([_SEED, zlib.crc32(type.encode())]).integers(
        0, len(values), (_RESAMPLES, len(values))
    )
    return np.asarray(values, float)[places].mean(axis=1)


def _figures(
    means: Mapping[str, Sequence[float | None]], draws: Mapping[str, Sequence[Draws | None]]
) -> dict[str, Any]:
    """Each metric's mean over types, and the 95 % interval of that mean, as far as types know it."""
    told: dict[str, Any] = {}
    intervals = {}
    for name in means:
        mean = _mean([value for value in means[name] if value is not None])
        told[name] = None if mean is None else round(mean, 4)
        known = [drawn for drawn in draws[name] if drawn is not None]
        if known:
            bounds = np.percentile(np.mean(known, axis=0), [2.5, 97.5])
            intervals[name] = [round(float(bound), 4) for bound in bounds]
    return {**told, "intervals": intervals}
