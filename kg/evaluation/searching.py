"""How well search finds what people know to be relevant: a corpus and needs from files, figures with intervals.

The corpus goes through the index and the ranking that the product uses, in a temporary folder.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

from kg.errors import UnreadableInput, quoted
from kg.evaluation.figures import RELEVANT, Figures, compared, ndcg, recall, reciprocal_rank, summary
from kg.evaluation.files import JudgedNeed, Practice, read_corpus, read_needs
from kg.search.embedding import Embedder
from kg.search.ranking import Filters, Profile, profile_for
from kg.search.thesaurus import Thesaurus
from kg.search.view import NeedText, SearchView

Method = Literal["fused", "dense", "bm25"]
METHODS: tuple[Method, ...] = ("fused", "dense", "bm25")
_CITIES_DEPTH = 100

COMPARED = ("dense", "bm25", "beginnings")
"""Signals that are taken away, or left alone, one at a time."""

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done and how much there is."""


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
    practices, needs = read_both(corpus, queries)
    profile = profile_for(embedder.identity)
    if method != "fused":
        profile = profile.only(method)
    others = ablations(profile, vocabularies) if ablated else []
    with indexed(
        practices, embedder, profile=profile, vocabularies=vocabularies, progress=tell, stopped=stopped
    ) as view:
        started = time.perf_counter()
        scores = _ask(view, needs, "asking needs", tell, stopped)
        seconds = time.perf_counter() - started
        asked = {
            one.name: _ask(
                view.asked_otherwise(profile=one.profile, vocabularies=one.vocabularies), needs, one.name, tell, stopped
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
        **({"ablations": {name: compared(types, scores, others) for name, others in asked.items()}} if ablated else {}),
    }


def read_both(corpus: Path, queries: Path) -> tuple[list[Practice], list[JudgedNeed]]:
    """Practices and needs from their files.

    Raises UnreadableInput as `read_corpus` and `read_needs` do, and for a need whose answer is not in the corpus.
    """
    practices, needs = read_corpus(corpus), read_needs(queries)
    _check_relevant(practices, needs, queries)
    return practices, needs


@contextlib.contextmanager
def indexed(
    practices: Sequence[Practice],
    embedder: Embedder,
    *,
    profile: Profile,
    vocabularies: Sequence[Thesaurus] = (),
    progress: Progress,
    stopped: Callable[[], bool],
) -> Iterator[SearchView]:
    """A search view of practices in a temporary folder, to be asked until it is left.

    Raises InterruptedError soon after `stopped()` is true.
    """
    with tempfile.TemporaryDirectory(prefix="mentorgraph-evaluation-") as folder:
        view = SearchView(
            Path(folder) / "index", embedder, read=_read_practice, profile=profile, vocabularies=vocabularies
        )
        with contextlib.closing(view):
            _index(view, practices, progress, stopped)
            yield view


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
        stop_if(stopped)
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
        stop_if(stopped)
        tell(doing, done, len(needs))
        found = view.find(NeedText(need.text), filters=asked_of(need), limit=_CITIES_DEPTH)
        scores.append(figures_of(need, [(hit.practice, hit.city) for hit in found]))
    tell(doing, len(needs), len(needs))
    return scores


def asked_of(need: JudgedNeed) -> Filters:
    """The collection that a need is asked of."""
    return Filters(collections=frozenset([need.pool] if need.pool else []))


def figures_of(need: JudgedNeed, ranked: Sequence[tuple[str, str]]) -> Figures:
    """How well one need was answered by (practice, city), best first; cities stand in the order of their best one.

    >>> need = JudgedNeed("q", "heat", "shade", {"a": 2, "b": 1}, frozenset(["gent"]), None)
    >>> figures_of(need, [("b", "riga"), ("a", "gent")])
    {'ndcg10': 0.7967075809905066, 'mrr10': 0.5, 'recall10': 1.0, 'city_mrr10': 0.5}
    """
    practices = [practice for practice, _ in ranked]
    highest = min(RELEVANT, max(need.relevant.values()))
    answers = frozenset(id for id, grade in need.relevant.items() if grade >= highest)
    cities = list(dict.fromkeys(city for _, city in ranked))
    return {
        "ndcg10": ndcg(practices, need.relevant),
        "mrr10": reciprocal_rank(practices, answers),
        "recall10": recall(practices, answers),
        "city_mrr10": reciprocal_rank(cities, need.cities) if need.cities else None,
    }


def stop_if(stopped: Callable[[], bool]) -> None:
    """Raise InterruptedError when a measurement is to stop."""
    if stopped():
        raise InterruptedError("the evaluation was stopped")
