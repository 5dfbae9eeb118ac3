"""The same needs of the same records, asked of every engine: at least .98 of the first ten practices are the same."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from kg.catalogue import Catalogue
from kg.records import from_ntriples
from kg.search.index import IN_PROCESS
from kg.search.port import Query, SearchIndex
from kg.search.ranking import Filters
from kg.search.view import NeedText, SearchView, cut_practice
from kg.views import Follower
from tests.kg.search.index_cases import ENGINES, document, engine, quiet_in_memory

pytestmark = quiet_in_memory

NEEDS = Path(__file__).parents[2] / "golden" / "needs.yaml"
OTHERS = [name for name in ENGINES if name != "in process"]


@dataclass
class Known:
    """The real model, with the vectors of passages that an index holds already: embedding them again takes its time."""

    model: Any
    passages: dict[str, np.ndarray]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def embed(self, texts: list[str], *, kind: str, progress: Any = None) -> np.ndarray:
        if kind == "passage" and all(text in self.passages for text in texts):
            return np.array([self.passages[text] for text in texts], np.float32)
        return self.model.embed(texts, kind=kind, progress=progress)


def read(catalogue: Catalogue, revision: Any) -> dict[str, Any]:
    return from_ntriples(revision.payload or "", catalogue.base)


def known_vectors(catalogue: Catalogue) -> Known:
    model, found = catalogue.search.embedder, {}
    for revision in catalogue.ledger.published_revisions():
        if revision.kind == "practice" and (held := catalogue.search._index.vectors_of(revision.id)):
            texts = [passage.indexed for passage in cut_practice(read(catalogue, revision), model)]
            found.update(zip(texts, held[0], strict=True))
    return Known(model, found)


def overlap(ours: list[str], theirs: list[str], count: int = 10) -> float:
    return len(set(ours[:count]) & set(theirs[:count])) / count


@pytest.mark.parametrize("name", OTHERS)
def test_needs_of_the_starting_data_are_answered_alike(name: str, catalogue: Catalogue, tmp_path: Path) -> None:
    needs = [NeedText(one["need"]) for one in yaml.safe_load(NEEDS.read_text("utf-8"))]
    with (
        engine(name) as indexes,
        contextlib.closing(
            SearchView(
                tmp_path / "index",
                known_vectors(catalogue),  # type: ignore[arg-type]
                read=lambda revision: read(catalogue, revision),
                indexes=indexes,
            )
        ) as view,
    ):
        Follower(catalogue.ledger, view).catch_up()
        ours, theirs = catalogue.search.find_many(needs), view.find_many(needs)
        assert len(ours) == len(needs) >= 25
        shared = [
            overlap([hit.practice for hit in a.found], [hit.practice for hit in b.found])
            for a, b in zip(ours, theirs, strict=True)
        ]
        assert np.mean(shared) >= 0.98
        for a, b in zip(ours, theirs, strict=True):
            assert [hit.similarity for hit in a.found] == pytest.approx([hit.similarity for hit in b.found], abs=1e-4)
        practice = ours[0].found[0].practice
        assert [hit.practice for hit in view.similar(practice)] == [
            hit.practice for hit in catalogue.search.similar(practice)
        ]


def best(index: SearchIndex, queries: list[Query], filters: Filters) -> list[list[str]]:
    candidates = index.candidates(queries, filters, 30)
    scored = index.score(queries, candidates, [sorted(one.found) for one in candidates])
    return [
        [hit.practice for hit in sorted(hits, key=lambda h: (-round(h.dense + h.words, 5), h.practice))]
        for hits in scored
    ]


@pytest.mark.parametrize("name", [name for name in OTHERS if name != "Qdrant over HTTP"])
def test_many_practices_with_short_lists_are_answered_alike(name: str, tmp_path: Path) -> None:
    """More practices than a list shows, after the engine in the process has built its graph over compressed vectors."""
    rng = np.random.default_rng(5)
    themes = rng.normal(size=(12, 32))
    documents = [
        document(
            f"p-{n:04}",
            *(themes[n % 12] + rng.normal(size=(2, 32))),
            words={int(word): 0.3 for word in rng.integers(1, 60, 4)},
            country="LV" if n % 3 else "BE",
        )
        for n in range(150)
    ]
    rows = themes[rng.integers(0, 12, 12)] + 0.7 * rng.normal(size=(12, 32))
    queries = [
        Query((row / np.linalg.norm(row)).tolist(), {int(rng.integers(1, 60)): 1.0, int(rng.integers(1, 60)): 0.5}, {})
        for row in rows
    ]
    with (
        engine(name) as indexes,
        contextlib.closing(IN_PROCESS.open(tmp_path / "a", model="m", dimension=32)) as ours,
        contextlib.closing(indexes.open(tmp_path / "b", model="m", dimension=32)) as theirs,
    ):
        for index in (ours, theirs):
            index.change(practices=documents, marker=1)
            index.optimise(wait=True)
        for filters in (Filters(), Filters(countries=frozenset({"BE"}))):
            pairs = zip(best(ours, queries, filters), best(theirs, queries, filters), strict=True)
            assert np.mean([overlap(a, b) for a, b in pairs]) >= 0.98
