"""Weights of the signals learnt from some of the needs and measured on the others, so that no figure is of a need learnt from.

A need's candidates and their signals come from the search that the product uses, once; after that, trying other weights
is arithmetic.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from kg.evaluation.asking import CITIES_DEPTH, COMPARED, Progress, asked_of, figures_of, stop_if
from kg.evaluation.figures import DEPTH, Figures, compared, gain, summary
from kg.evaluation.files import JudgedNeed
from kg.search.ranking import DECIMALS, Profile, Situation, Weights
from kg.search.view import NeedText, SearchView

STEPS = 20
"""Proportions are tried in steps of a twentieth: 231 of three signals."""

FEWEST = 20
"""Types with fewer needs are measured and not learnt from: as each type counts alike, four needs would outvote the rest.

A situation in which fewer of the others are read teaches nothing either."""

_ALL = 10_000

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Candidates:
    """What search puts forward for a need: (practice, city) by identifier, and their signals, a row each.

    The columns of `signals` are those of COMPARED, in [0, 1].
    """

    need: JudgedNeed
    situation: Situation
    practices: tuple[tuple[str, str], ...]
    signals: Numbers

    def ranked(self, weights: Numbers) -> list[tuple[str, str]]:
        """The candidates by the weighted mean of their signals, best first, equal ones by identifier.

        >>> signals = np.array([[0.2, 0.9, 0.0], [0.8, 0.1, 0.0]])
        >>> need = JudgedNeed("q", "heat", "shade", {"a": 2}, frozenset(), None)
        >>> some = Candidates(need, "read", (("a", "gent"), ("b", "riga")), signals)
        >>> some.ranked(np.array([1.0, 0, 0])), some.ranked(np.array([1.0, 1.0, 0]))
        ([('b', 'riga'), ('a', 'gent')], [('a', 'gent'), ('b', 'riga')])
        """
        return [self.practices[place] for place in _order(self.signals @ (weights / weights.sum()))]

    def ndcg(self, proportions: Numbers) -> Numbers:
        """nDCG@10 for each column of weights."""
        gains = np.array([gain(self.need.relevant.get(practice, 0)) for practice, _ in self.practices])
        places = _order(self.signals @ proportions)[:DEPTH]
        discounts = 1 / np.log2(np.arange(2, len(places) + 2))
        best = np.sort([gain(grade) for grade in self.need.relevant.values()])[::-1][:DEPTH]
        whole = float(best @ (1 / np.log2(np.arange(2, len(best) + 2))))
        return (gains[places] * discounts[:, None]).sum(axis=0) / whole


def _order(means: Numbers) -> npt.NDArray[np.intp]:
    """Places from the largest down, to the decimals that the product keeps; rows are in the order of identifiers."""
    return np.argsort(-np.round(np.clip(means, 0, 1), DECIMALS), axis=0, kind="stable")


def proportions(steps: int = STEPS) -> Numbers:
    """All ways to share 1 among the signals in whole steps, a column each.

    >>> proportions(1)
    array([[0., 0., 1.],
           [0., 1., 0.],
           [1., 0., 0.]])
    """
    columns = [(a, b, steps - a - b) for a in range(steps + 1) for b in range(steps + 1 - a)]
    return np.array(columns, float).T / steps


def fold_of(needs: Sequence[tuple[str, str, Situation]], folds: int) -> list[int]:
    """A fold for each (id, type, situation): types and situations are spread over the folds as evenly as their numbers allow.

    Which need comes where is told by a hash of its identifier: the same in every run, and not by the order of a file.

    >>> fold_of([("a", "heat", "read"), ("b", "heat", "read"), ("c", "heat", "read")], 3)
    [2, 1, 0]
    """
    strata: dict[tuple[str, Situation], list[int]] = defaultdict(list)
    for place, (_, type, situation) in enumerate(needs):
        strata[type, situation].append(place)
    given = [0] * len(needs)
    start = 0
    for _, places in sorted(strata.items()):
        for turn, place in enumerate(sorted(places, key=lambda place: _hash(needs[place][0]))):
            given[place] = (start + turn) % folds
        start += len(places)
    return given


def _hash(id: str) -> bytes:
    return hashlib.sha256(id.encode()).digest()


def candidates_of(
    view: SearchView,
    needs: Sequence[JudgedNeed],
    progress: Progress,
    stopped: Callable[[], bool],
    doing: str = "reading signals",
) -> list[Candidates]:
    """For each need all practices that a signal puts forward, with every signal computed."""
    wide = view.asked_otherwise(profile=replace(view.profile, kept=_ALL))
    found = []
    for done, need in enumerate(needs):
        stop_if(stopped)
        progress(doing, done, len(needs))
        answer = wide.find_many([NeedText(need.text)], filters=asked_of(need), limit=_ALL)[0]
        hits = sorted(answer.found, key=lambda hit: hit.practice)
        rows = [[hit.signals.get(name, 0.0) for name in COMPARED] for hit in hits]
        signals = np.array(rows, float).reshape(len(hits), len(COMPARED))
        named = tuple((hit.practice, hit.city) for hit in hits)
        found.append(Candidates(need, answer.understood.situation, named, signals))
    progress(doing, len(needs), len(needs))
    return found


def across_folds(candidates: Sequence[Candidates], profile: Profile, folds: int) -> dict[str, Any]:
    """Weights learnt on all folds but one, and how well they do on that one, beside the weights of `profile`.

    For each situation those proportions are taken that are nearest to the profile's among all whose mean nDCG@10 over
    types is no more than one standard error behind the best (the rule of Breiman, Friedman, Olshen and Stone 1984,
    3.4.3, for what is to be the simplest here): the height itself is flat, and its highest point jumps from fold to
    fold. A situation in which the other folds have fewer than 20 needs keeps the profile's.

    Returns {"folds", "weights": [{"fold", "n", situation: {signal: share}}], "spread": {situation: {signal: [least,
    most]}}, "everything": what all needs together teach, "learnt" and "profile": figures as `summary` has them, every
    learnt one out of fold, "difference": learnt less profile in nDCG per need, with its paired 95 % interval}.

    >>> def asked(id, signals):
    ...     need = JudgedNeed(id, "heat", "shade", {"a": 2}, frozenset(), None)
    ...     return Candidates(need, "read", (("a", "gent"), ("b", "riga")), np.array(signals))
    >>> some = [asked(str(n), [[0.1, 0.9, 0.5], [0.9, 0.1, 0.5]]) for n in range(40)]
    >>> told = across_folds(some, Profile(), 2)
    >>> told["learnt"]["macro"]["ndcg10"], told["weights"][0]["read"]
    (1.0, {'dense': 0.2, 'bm25': 0.4, 'beginnings': 0.4})
    """
    given = fold_of([(one.need.id, one.need.type, one.situation) for one in candidates], folds)
    lesson = _Lesson(candidates, profile)
    learnt: list[Figures] = [{}] * len(candidates)
    taught: list[dict[str, Any]] = []
    for fold in range(folds):
        weights = lesson.learn([place for place, one in enumerate(given) if one != fold])
        taught.append({"fold": fold + 1, "n": given.count(fold), **_told(weights)})
        for place, one in enumerate(candidates):
            if given[place] == fold:
                learnt[place] = figures_of(one.need, one.ranked(weights[one.situation])[:CITIES_DEPTH])
    as_it_is = [figures_of(one.need, one.ranked(lesson.own[one.situation])[:CITIES_DEPTH]) for one in candidates]
    types = [one.need.type for one in candidates]
    beside = compared(types, learnt, as_it_is)
    return {
        "folds": folds,
        "weights": taught,
        "spread": {
            situation: {
                name: [min(one[situation][name] for one in taught), max(one[situation][name] for one in taught)]
                for name in COMPARED
            }
            for situation in lesson.own
        },
        "everything": _told(lesson.learn(range(len(candidates)))),
        "learnt": summary(list(zip(types, learnt, strict=True))),
        "profile": {name: beside[name] for name in ("types", "macro")},
        "difference": beside["difference"],
    }


def _told(weights: Mapping[Situation, Numbers]) -> dict[str, dict[str, float]]:
    return {
        situation: {name: round(float(share), 2) for name, share in zip(COMPARED, shares, strict=True)}
        for situation, shares in weights.items()
    }


class _Lesson:
    """What each proportion of weights does for each need, computed once."""

    def __init__(self, candidates: Sequence[Candidates], profile: Profile) -> None:
        self._grid = proportions()
        self._quality = np.array([one.ndcg(self._grid) for one in candidates])
        self._types = np.array([one.need.type for one in candidates])
        self._situations = np.array([one.situation for one in candidates])
        self.own = {situation: _shares(profile.weights(situation)) for situation in _situations(candidates)}

    def learn(self, places: Sequence[int]) -> dict[Situation, Numbers]:
        """The best proportions for each situation, from the needs at these places."""
        chosen = np.array(places, int)
        of_type = {
            type: chosen[self._types[chosen] == type]
            for type in np.unique(self._types)
            if np.sum(self._types == type) >= FEWEST
        }
        return {
            situation: self._best(
                [some[self._situations[some] == situation] for some in of_type.values()],
                [len(some) for some in of_type.values()],
                own,
            )
            for situation, own in self.own.items()
        }

    def _best(self, places: Sequence[npt.NDArray[np.intp]], sizes: Sequence[int], own: Numbers) -> Numbers:
        """The proportions nearest to the profile's that are no more than a standard error behind the best ones.

        Each need counts by the size of its type; the error is that of the difference per need.
        """
        if sum(map(len, places)) < FEWEST:
            return own
        shares = np.concatenate(
            [np.full(len(some), 1 / max(1, size)) for some, size in zip(places, sizes, strict=True)]
        )
        quality = self._quality[np.concatenate(places)] * shares[:, None]
        total = np.round(quality.sum(axis=0), 9)
        behind = quality[:, [total.argmax()]] - quality
        error = behind.std(axis=0, ddof=1) * math.sqrt(len(behind))
        good = np.flatnonzero(behind.sum(axis=0) <= error + 1e-9)
        apart = np.round(np.abs(self._grid[:, good] - own[:, None]).sum(axis=0), 9)
        return self._grid[:, good[np.lexsort((-total[good], apart))[0]]]


def _situations(candidates: Sequence[Candidates]) -> list[Situation]:
    return sorted({one.situation for one in candidates})


def _shares(weights: Weights) -> Numbers:
    """The weights of a profile as shares of 1, in the order of COMPARED."""
    row = np.array([getattr(weights, name) for name in COMPARED], float)
    shares: Numbers = row / row.sum()
    return shares
