"""Practices of a file indexed as the product does it, what is left out on trial, and how well one need was answered."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from kg.errors import UnreadableInput, quoted
from kg.evaluation.figures import RELEVANT, Figures, ndcg, recall, reciprocal_rank
from kg.evaluation.files import JudgedNeed, Practice, read_corpus, read_needs
from kg.search.embedding import Embedder
from kg.search.ranking import Filters, Profile
from kg.search.thesaurus import Thesaurus
from kg.search.view import SearchView

COMPARED = ("dense", "bm25", "beginnings")
"""Signals that are taken away, or left alone, one at a time."""

CITIES_DEPTH = 100
"""Practices of an answer in which its cities are looked for."""

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done and how much there is."""


@dataclass(frozen=True)
class Ablation:
    """A way of asking, beside the one that is measured: without one part, or with one signal alone."""

    name: str
    profile: Profile
    vocabularies: Sequence[Thesaurus]


def ablations(profile: Profile, vocabularies: Sequence[Thesaurus], signals: Sequence[str] = COMPARED) -> list[Ablation]:
    """What is left when one part is taken away, and each signal alone; all are asked of the same index.

    >>> [one.name for one in ablations(Profile(), [Thesaurus([]), Thesaurus([])])]
    ['own themes only as bridge', 'no bridge', 'no dense', 'no bm25', 'no beginnings', 'dense alone', 'bm25 alone', 'beginnings alone']
    """
    bridged = [("own themes only as bridge", vocabularies[:1])] if len(vocabularies) > 1 else []
    return [
        *(Ablation(name, profile, some) for name, some in bridged),
        *([Ablation("no bridge", profile, ())] if vocabularies else []),
        *(Ablation(f"no {name}", _without(profile, name), vocabularies) for name in signals),
        *(Ablation(f"{name} alone", profile.only(name), vocabularies) for name in signals),
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
