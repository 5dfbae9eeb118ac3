"""From the scores of practices to a score per city: the discounted sum, and voting models to compare it with."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

TEMPERATURE = 0.05
"""Divides similarities before exp(): they lie in a narrow band, where exp() itself is nearly linear (DOMAIN 2.3)."""


def discounted_sum(scores: Iterable[float], best: int = 3, discount: float = 0.5) -> float:
    """s1 + γ·s2 + γ²·s3 … over the `best` largest scores, γ = `discount`. No unit, 0 when there is none.

    One strong practice outweighs many weak ones, and a further record of the same thing adds at most
    γ of its own score. Source: DOMAIN 2.3, top-m discounted sum A(c, Q).

    >>> discounted_sum([0.2, 0.8, 0.4]), discounted_sum([])
    (1.05, 0.0)
    """
    largest = sorted(scores, reverse=True)[:best]
    return math.fsum(score * discount**place for place, score in enumerate(largest))


@dataclass(frozen=True)
class Vote:
    """One ranked practice, voting for its city with its score in [0, 1]."""

    practice: str
    city: str
    score: float


Scores = Sequence[tuple[int, float]]
"""Rank from 1, and score, of one city's practices among all that were ranked."""

_VOTERS: dict[str, Callable[[Scores], float]] = {
    "top-m": lambda votes: discounted_sum(score for _, score in votes),
    "Votes": lambda votes: float(len(votes)),
    "RR": lambda votes: math.fsum(1 / rank for rank, _ in votes),
    "CombMAX": lambda votes: max(score for _, score in votes),
    "CombSUM": lambda votes: math.fsum(score for _, score in votes),
    "CombMNZ": lambda votes: len(votes) * math.fsum(score for _, score in votes),
    "expCombSUM": lambda votes: math.fsum(math.exp(score / TEMPERATURE) for _, score in votes),
    "expCombMNZ": lambda votes: len(votes) * math.fsum(math.exp(score / TEMPERATURE) for _, score in votes),
}

MODELS = (*_VOTERS, "Norm2")
"""Names that `vote` understands. Only "top-m" is used to suggest; the others are for evaluation."""


def vote(
    votes: Iterable[Vote], model: str, *, records: Mapping[str, int] | None = None, alpha: float = 1.0
) -> dict[str, float]:
    """Score cities from the ranked practices of one need by a named voting model, best city first.

    "Votes", "CombSUM", "CombMNZ" and their kin reward the number of records, that is, curators'
    attention; they are here to be compared with "top-m". "Norm2" is CombSUM with each score times
    log2(1 + α · mean records per city ÷ this city's records); `records` has every city's number.
    Source: Macdonald and Ounis, CIKM 2006, as listed in DOMAIN 2.3. Equal scores: by city id.

    Raises ValueError for a model that is not in MODELS, and for "Norm2" without `records`.

    >>> ranked = [Vote("a", "gent", 0.9), Vote("b", "lyon", 0.5), Vote("c", "lyon", 0.5)]
    >>> vote(ranked, "CombMAX")
    {'gent': 0.9, 'lyon': 0.5}
    >>> vote(ranked, "CombSUM")
    {'lyon': 1.0, 'gent': 0.9}
    >>> {city: round(score, 3) for city, score in vote(ranked, "Norm2", records={"gent": 1, "lyon": 4}).items()}
    {'gent': 1.627, 'lyon': 0.7}
    """
    ranked = sorted(votes, key=lambda v: (-v.score, v.practice, v.city))
    if model == "Norm2":
        ranked, model = _length_corrected(ranked, records, alpha), "CombSUM"
    if model not in _VOTERS:
        raise ValueError(f"no voting model {model!r}; there are {', '.join(MODELS)}")
    cast: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for rank, one in enumerate(ranked, start=1):
        cast[one.city].append((rank, one.score))
    scores = {city: _VOTERS[model](scores) for city, scores in cast.items()}
    return dict(sorted(scores.items(), key=lambda pair: (-pair[1], pair[0])))


def _length_corrected(votes: Sequence[Vote], records: Mapping[str, int] | None, alpha: float) -> list[Vote]:
    if not records:
        raise ValueError("'Norm2' needs the number of records of every city")
    mean = math.fsum(records.values()) / len(records)
    return [Vote(v.practice, v.city, v.score * math.log2(1 + alpha * mean / records[v.city])) for v in votes]
