"""How well search finds what people know to be relevant: a corpus and needs from files, figures with intervals.

The corpus goes through the index and the ranking that the product uses, in a temporary folder.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from kg.errors import BadRequest, quoted
from kg.evaluation.asking import CITIES_DEPTH, Progress, ablations, asked_of, figures_of, indexed, read_both, stop_if
from kg.evaluation.figures import Figures, compared, summary
from kg.evaluation.files import JudgedNeed
from kg.evaluation.folds import across_folds, candidates_of
from kg.search.embedding import Embedder
from kg.search.ranking import profile_for
from kg.search.thesaurus import Thesaurus
from kg.search.view import NeedText, SearchView

Method = Literal["fused", "dense", "bm25"]
METHODS: tuple[Method, ...] = ("fused", "dense", "bm25")


def evaluate(
    corpus: Path,
    queries: Path,
    *,
    embedder: Embedder,
    method: Method = "fused",
    vocabularies: Sequence[Thesaurus] = (),
    ablated: bool = False,
    folds: int | None = None,
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

    With `folds` there is also "folds", what `kg.evaluation.folds.across_folds` says: weights learnt on all folds but
    one and measured on that one, beside the profile's.

    Raises UnreadableInput, naming the line, BadRequest for less than two folds or more than needs, and
    InterruptedError soon after `stopped()` is true.
    """
    if method not in METHODS:
        raise ValueError(f"method {quoted(method)} is none of {', '.join(METHODS)}")
    tell = progress or (lambda doing, done, total: None)
    practices, needs = read_both(corpus, queries)
    if folds is not None and not 2 <= folds <= len(needs):
        raise BadRequest(f"{folds} folds of {len(needs)} needs: give from 2 to as many folds as there are needs")
    fused = profile = profile_for(embedder.identity)
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
        candidates = candidates_of(view, needs, tell, stopped) if folds else []
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
        **({"folds": across_folds(candidates, fused, folds)} if folds else {}),
    }


def _ask(
    view: SearchView, needs: Sequence[JudgedNeed], doing: str, tell: Progress, stopped: Callable[[], bool]
) -> list[Figures]:
    scores: list[Figures] = []
    for done, need in enumerate(needs):
        stop_if(stopped)
        tell(doing, done, len(needs))
        found = view.find(NeedText(need.text), filters=asked_of(need), limit=CITIES_DEPTH)
        scores.append(figures_of(need, [(hit.practice, hit.city) for hit in found]))
    tell(doing, len(needs), len(needs))
    return scores
