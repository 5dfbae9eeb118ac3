"""How well search finds what people know to be relevant: a corpus and needs from files, figures with intervals.

The corpus goes through the index and the ranking that the product uses, in a temporary folder.
"""

from __future__ import annotations

import contextlib
import json
import math
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from kg.errors import UnreadableInput, quoted
from kg.search.embedding import Embedder
from kg.search.ranking import Filters, Profile, profile_for
from kg.search.text import UNDETERMINED
from kg.search.thesaurus import Thesaurus
from kg.search.view import NeedText, SearchView

Method = Literal["fused", "dense", "bm25"]
METHODS: tuple[Method, ...] = ("fused", "dense", "bm25")
METRICS = ("ndcg10", "mrr10", "recall10", "city_mrr10")
DEPTH = 10
RELEVANT = 2
"""The grade from which a practice is an answer; grade 1 is on the subject and earns a third of the gain."""

LINE_LIMIT_CHARACTERS = 1_000_000
_RESAMPLES = 1_000
_SEED = 20_230_101
_CITIES_DEPTH = 100

COMPARED = ("dense", "bm25", "beginnings")
"""Signals that are taken away, or left alone, one at a time."""

Draws = npt.NDArray[np.float64]

Figures = Mapping[str, float | None]
"""Each metric of one need; None where it does not apply."""

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done and how much there is."""


@dataclass(frozen=True)
class Practice:
    """A practice of the corpus; `source` names the collection it comes from."""

    id: str
    city: str
    title: str
    text: str
    language: str
    source: str


@dataclass(frozen=True)
class JudgedNeed:
    """A need with the grades of relevant practices (1 on the subject, 2 an answer) and the cities of the answers.

    `pool` is the collection it is asked of, None for all; `language` that of its text, "und" where the file is silent.
    """

    id: str
    type: str
    text: str
    relevant: Mapping[str, int]
    cities: frozenset[str]
    pool: str | None
    language: str = UNDETERMINED


# --------------------------------------------------------------------------------------------- files


def read_corpus(path: Path) -> list[Practice]:
    """Practices from a file with one JSON object a line: id, city_id, title, text, lang, source.

    Raises UnreadableInput, naming the line, for anything else, and for an identifier given twice.
    """
    practices: dict[str, Practice] = {}
    for line, data in _lines(path):
        practice = Practice(
            id=_text(data, "id", path, line),
            city=_text(data, "city_id", path, line, empty=True),
            title=_text(data, "title", path, line, empty=True),
            text=_text(data, "text", path, line),
            language=_text(data, "lang", path, line),
            source=_text(data, "source", path, line, empty=True),
        )
        if practice.id in practices:
            raise UnreadableInput(f"{path.name}, line {line}: the id {quoted(practice.id)} stands in a line before")
        practices[practice.id] = practice
    return list(practices.values())


def read_needs(path: Path) -> list[JudgedNeed]:
    """Needs from a file with one JSON object a line: id, type, need_text, relevant, relevant_city_ids, pool, lang.

    Raises UnreadableInput, naming the line, for anything else.
    """
    return [_need(data, path, line) for line, data in _lines(path)]


def _need(data: Mapping[str, Any], path: Path, line: int) -> JudgedNeed:
    where = f"{path.name}, line {line}"
    relevant = data.get("relevant")
    if (
        not isinstance(relevant, Mapping)
        or not relevant
        or not all(type(grade) is int and 0 < grade <= 10 for grade in relevant.values())
    ):
        raise UnreadableInput(f'{where}: "relevant" is to map practices to grades such as 1 or 2')
    cities = data.get("relevant_city_ids", [])
    if not isinstance(cities, list) or not all(isinstance(city, str) for city in cities):
        raise UnreadableInput(f'{where}: "relevant_city_ids" is to be a list of texts')
    pool = data.get("pool")
    if pool is not None and not isinstance(pool, str):
        raise UnreadableInput(f'{where}: "pool" is to be a text or null')
    return JudgedNeed(
        id=_text(data, "id", path, line),
        type=_text(data, "type", path, line),
        text=_text(data, "need_text", path, line),
        relevant=dict(relevant),
        cities=frozenset(cities),
        pool=pool,
        language=_text(data, "lang", path, line) if "lang" in data else UNDETERMINED,
    )


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a JSON Lines file with the numbers of their lines."""
    found = False
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(iter(lambda: file.readline(LINE_LIMIT_CHARACTERS + 1), b""), start=1):
                if len(raw) > LINE_LIMIT_CHARACTERS:
                    raise UnreadableInput(f"{path.name}, line {number}: more than {LINE_LIMIT_CHARACTERS:,} characters")
                if raw.strip():
                    found = True
                    yield number, _object(raw, path, number)
    except OSError as error:
        raise UnreadableInput(f"{path.name} cannot be read: {error.strerror}") from error
    if not found:
        raise UnreadableInput(f"{path.name} is empty; one JSON object a line is expected")


def _object(raw: bytes, path: Path, line: int) -> dict[str, Any]:
    try:
        data = json.loads(raw.decode("utf-8-sig" if line == 1 else "utf-8"))
    except (ValueError, RecursionError) as error:
        raise UnreadableInput(f"{path.name}, line {line}: not JSON in UTF-8: {quoted(error, 120)}") from error
    if not isinstance(data, dict):
        raise UnreadableInput(f"{path.name}, line {line}: a JSON object is expected, not {quoted(data)}")
    return data


def _text(data: Mapping[str, Any], key: str, path: Path, line: int, *, empty: bool = False) -> str:
    value = data.get(key)
    if not isinstance(value, str) or not (value.strip() or empty):
        given = "missing" if value is None else f"{quoted(value)}"
        raise UnreadableInput(f'{path.name}, line {line}: "{key}" is to be a text, it is {given}')
    # A lone surrogate, which JSON may carry, cannot be written down anywhere.
    return value.encode("utf-8", "replace").decode()


# ------------------------------------------------------------------------------------------- metrics


def ndcg(ranked: Sequence[str], relevant: Mapping[str, int], depth: int = DEPTH) -> float:
    """Normalised discounted cumulative gain with gain 2^grade - 1 and discount log2(rank + 1), in [0, 1].

    >>> ndcg(["b", "a"], {"a": 2, "b": 1})
    0.7967075809905066
    >>> ndcg(["a", "b"], {"a": 2, "b": 1}), ndcg(["x"], {"a": 1})
    (1.0, 0.0)
    """
    gained = sum(_gain(relevant.get(id, 0)) / math.log2(rank + 1) for rank, id in enumerate(ranked[:depth], start=1))
    grades = sorted(relevant.values(), reverse=True)[:depth]
    best = sum(_gain(grade) / math.log2(rank + 1) for rank, grade in enumerate(grades, start=1))
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


def _gain(grade: int) -> float:
    return 2.0**grade - 1


# ---------------------------------------------------------------------------------------- evaluation


@dataclass(frozen=True)
class Ablation:
    """A way of asking, beside the one that is measured: without one part, or with one signal alone."""

    name: str
    profile: Profile
    vocabularies: Sequence[Thesaurus]


def ablations(profile: Profile, vocabularies: Sequence[Thesaurus]) -> list[Ablation]:
    """What is left when one part is taken away, and each signal alone; all are asked of the same index.

    >>> [one.name for one in ablations(profile_for("model"), [Thesaurus([]), Thesaurus([])])]
    ['own themes only as bridge', 'no bridge', 'no dense', 'no bm25', 'no beginnings', 'dense alone', 'bm25 alone', 'beginnings alone']
    """
    bridged = [("own themes only as bridge", vocabularies[:1])] if len(vocabularies) > 1 else []
    return [
        *(Ablation(name, profile, some) for name, some in bridged),
        *([Ablation("no bridge", profile, ())] if vocabularies else []),
        *(Ablation(f"no {name}", _without(profile, name), vocabularies) for name in COMPARED),
        *(Ablation(f"{name} alone", profile.only(name), vocabularies) for name in COMPARED),
    ]


def _without(profile: Profile, signal: str) -> Profile:
    """A profile in which one signal counts nothing."""
    return replace(
        profile,
        **{
            situation: replace(getattr(profile, situation), **{signal: 0.0})
            for situation in ("read", "bridged", "unbridged")
        },
    )


def evaluate(
    corpus: Path,
    queries: Path,
    *,
    embedder: Embedder,
    method: Method = "fused",
    vocabularies: Sequence[Thesaurus] = (),
    ablated: bool = False,
    progress: Progress | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Index a corpus in a temporary folder, ask it all needs, and say how well the answers were.

    `method` "dense" and "bm25" rank by one signal alone. `vocabularies` bridge needs in other languages. The corpus'
    own themes are not ours, so that signal is unknown here. Needs are asked without telling their language.

    Returns {"method", "model", "practices", "queries", "milliseconds_per_query", "types": {type: figures}, "languages":
    {language: figures}, "macro": figures}: figures are `n`, nDCG, reciprocal rank and recall of the first ten, and
    `city_mrr10` over cities in the order of their best practice, for the `n_city` needs that have cities; each with its
    95 % bootstrap interval under "intervals". Macro is the mean over types; `languages` are those of the needs, all
    types together. nDCG uses all grades, the others answers (grade 2; grade 1 where a need has no better one).

    With `ablated` there is also "ablations": by name, the types and macro figures of `ablations` and, as "difference",
    what the whole has more than they in nDCG per need, with the 95 % interval of that paired difference.

    Raises UnreadableInput, naming the line, and InterruptedError soon after `stopped()` is true.
    """
    if method not in METHODS:
        raise ValueError(f"method {quoted(method)} is none of {', '.join(METHODS)}")
    tell = progress or (lambda doing, done, total: None)
    practices, needs = read_corpus(corpus), read_needs(queries)
    _check_relevant(practices, needs, queries)
    profile = profile_for(embedder.identity)
    if method != "fused":
        profile = profile.only(method)
    others = ablations(profile, vocabularies) if ablated else []
    with tempfile.TemporaryDirectory(prefix="mentorgraph-evaluation-") as folder:
        view = SearchView(
            Path(folder) / "index", embedder, read=_read_practice, profile=profile, vocabularies=vocabularies
        )
        with contextlib.closing(view):
            _index(view, practices, tell, stopped)
            started = time.perf_counter()
            scores = _ask(view, needs, "asking needs", tell, stopped)
            seconds = time.perf_counter() - started
            compared = {
                one.name: _ask(
                    view.asked_otherwise(profile=one.profile, vocabularies=one.vocabularies),
                    needs,
                    one.name,
                    tell,
                    stopped,
                )
                for one in others
            }
    types = [need.type for need in needs]
    told = summary(list(zip(types, scores, strict=True)))
    return {
        "method": method,
        "model": embedder.identity,
        "practices": len(practices),
        "queries": len(needs),
        "milliseconds_per_query": round(1_000 * seconds / len(needs), 2),
        **told,
        "languages": summary([(need.language, one) for need, one in zip(needs, scores, strict=True)])["types"],
        **(
            {"ablations": {name: _compared(types, scores, others) for name, others in compared.items()}}
            if ablated
            else {}
        ),
    }


def _compared(types: Sequence[str], whole: Sequence[Figures], other: Sequence[Figures]) -> dict[str, Any]:
    """An ablation's figures, and how much more nDCG the whole has, per need: paired, so that hard needs cancel out."""
    differences: list[tuple[str, Figures]] = [
        (type, {**dict.fromkeys(METRICS), "ndcg10": (a["ndcg10"] or 0.0) - (b["ndcg10"] or 0.0)})
        for type, a, b in zip(types, whole, other, strict=True)
    ]
    less = summary(differences)
    return {
        **summary(list(zip(types, other, strict=True))),
        "difference": {
            name: {"ndcg10": figures["ndcg10"], "interval": figures["intervals"]["ndcg10"]}
            for name, figures in [*less["types"].items(), ("macro", less["macro"])]
        },
    }


def summary(scores: Sequence[tuple[str, Figures]]) -> dict[str, Any]:
    """Means and intervals by type and over types, from (type, figures) of every need; None is left out of a mean.

    >>> one = {"ndcg10": 1.0, "mrr10": 1.0, "recall10": 0.5, "city_mrr10": None}
    >>> told = summary([("a", one), ("b", {**one, "ndcg10": 0.0, "city_mrr10": 1.0})])
    >>> told["types"]["a"]["ndcg10"], told["types"]["a"]["city_mrr10"], told["macro"]["ndcg10"]
    (1.0, None, 0.5)
    >>> told["macro"]["city_mrr10"], told["types"]["b"]["n"], told["types"]["b"]["n_city"]
    (1.0, 1, 1)
    """
    by_type: dict[str, dict[str, list[float]]] = {}
    for type, figures in scores:
        known = by_type.setdefault(type, {name: [] for name in METRICS})
        for name in METRICS:
            value = figures[name]
            known[name] += [] if value is None else [value]
    draws = {type: {name: _resampled(known[name], type) for name in METRICS} for type, known in by_type.items()}
    return {
        "types": {
            type: {
                "n": len(known["ndcg10"]),
                "n_city": len(known["city_mrr10"]),
                **_figures({name: [_mean(known[name])] for name in METRICS}, {n: [draws[type][n]] for n in METRICS}),
            }
            for type, known in sorted(by_type.items())
        },
        "macro": _figures(
            {name: [_mean(known[name]) for known in by_type.values()] for name in METRICS},
            {name: [draws[type][name] for type in by_type] for name in METRICS},
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
    for name in METRICS:
        mean = _mean([value for value in means[name] if value is not None])
        told[name] = None if mean is None else round(mean, 4)
        known = [drawn for drawn in draws[name] if drawn is not None]
        if known:
            bounds = np.percentile(np.mean(known, axis=0), [2.5, 97.5])
            intervals[name] = [round(float(bound), 4) for bound in bounds]
    return {**told, "intervals": intervals}


def _check_relevant(practices: Sequence[Practice], needs: Sequence[JudgedNeed], path: Path) -> None:
    known = {practice.id for practice in practices}
    for need in needs:
        missing = sorted(set(need.relevant) - known)
        if missing:
            raise UnreadableInput(f"{path.name}: need {quoted(need.id)} names {quoted(missing[0])}, not in the corpus")


def _read_practice(revision: Any) -> dict[str, Any]:
    """A practice of the corpus as a record; the language of a collection serves as language of its texts."""
    practice: Practice = revision.payload
    return {
        "kind": "practice",
        "id": practice.id,
        "city": practice.city,
        "title": {practice.language: practice.title} if practice.title.strip() else {},
        "action": {practice.language: practice.text},
        "collection": practice.source,
    }


def _index(view: SearchView, practices: Sequence[Practice], tell: Progress, stopped: Callable[[], bool]) -> None:
    step = 100
    for start in range(0, len(practices), step):
        _stop_if(stopped)
        tell("indexing practices", start, len(practices))
        view.apply([_revision(n, practices[n]) for n in range(start, min(start + step, len(practices)))], start + step)
    tell("indexing practices", len(practices), len(practices))


def _revision(number: int, practice: Practice) -> Any:
    """A row as the view takes it from the ledger."""
    return SimpleNamespace(
        number=number + 1, kind="practice", id=practice.id, state="published", visibility="public", payload=practice
    )


def _ask(
    view: SearchView, needs: Sequence[JudgedNeed], doing: str, tell: Progress, stopped: Callable[[], bool]
) -> list[Figures]:
    scores: list[Figures] = []
    for done, need in enumerate(needs):
        _stop_if(stopped)
        tell(doing, done, len(needs))
        filters = Filters(collections=frozenset([need.pool] if need.pool else []))
        found = view.find(NeedText(need.text), filters=filters, limit=_CITIES_DEPTH)
        ranked = [hit.practice for hit in found]
        highest = min(RELEVANT, max(need.relevant.values()))
        answers = frozenset(id for id, grade in need.relevant.items() if grade >= highest)
        cities = list(dict.fromkeys(hit.city for hit in found))
        scores.append(
            {
                "ndcg10": ndcg(ranked, need.relevant),
                "mrr10": reciprocal_rank(ranked, answers),
                "recall10": recall(ranked, answers),
                "city_mrr10": reciprocal_rank(cities, need.cities) if need.cities else None,
            }
        )
    tell(doing, len(needs), len(needs))
    return scores


def _stop_if(stopped: Callable[[], bool]) -> None:
    if stopped():
        raise InterruptedError("the evaluation was stopped")
