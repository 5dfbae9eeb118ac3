from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kg.errors import BadRequest
from kg.evaluation import evaluate, ndcg
from kg.evaluation.asking import asked_of, indexed
from kg.evaluation.files import JudgedNeed, Practice
from kg.evaluation.folds import Candidates, across_folds, candidates_of, fold_of, proportions
from kg.search.ranking import Profile, Weights, profile_for
from kg.search.view import NeedText

PROFILE = Profile()

signal = st.floats(0, 1, allow_nan=False).map(lambda value: round(value, 3))
rows = st.lists(st.tuples(signal, signal, signal), min_size=1, max_size=30)


def quiet(*step: object) -> None:
    pass


def never() -> bool:
    return False


def asked(id: str, signals: list, *, type: str = "heat", situation: str = "read", answer: int = 0) -> Candidates:
    practices = tuple((f"p{place:03}", f"c{place}") for place in range(len(signals)))
    need = JudgedNeed(id, type, "shade", {practices[answer][0]: 2}, frozenset(), None)
    return Candidates(need, situation, practices, np.array(signals, float))


@given(rows, st.data())
def test_many_weights_at_once_do_what_each_does_alone(signals, data):
    one = asked("q", signals, answer=data.draw(st.integers(0, len(signals) - 1)))
    grid = proportions(4)
    together = one.ndcg(grid)
    for column in range(grid.shape[1]):
        ranked = [practice for practice, _ in one.ranked(grid[:, column])]
        assert together[column] == pytest.approx(ndcg(ranked, one.need.relevant))


@given(st.permutations([(f"q{n}", f"type-{n % 3}", ["read", "bridged"][n % 2]) for n in range(40)]), st.integers(2, 6))
def test_a_needs_fold_is_told_by_its_identifier_and_kinds_are_spread(needs, folds):
    given_folds = dict(zip((id for id, *_ in needs), fold_of(needs, folds), strict=True))
    assert given_folds == dict(zip((id for id, *_ in sorted(needs)), fold_of(sorted(needs), folds), strict=True))
    for kind in {(type, situation) for _, type, situation in needs}:
        held = [given_folds[id] for id, *of in needs if tuple(of) == kind]
        counts = [held.count(fold) for fold in range(folds)]
        assert max(counts) - min(counts) <= 1


def test_the_weights_of_a_fold_owe_nothing_to_its_needs():
    """Only dense ranks the needs of one fold right, only words all others: those of the fold go wrong."""
    dense_is_right, words_are_right = [[0.9, 0.1, 0.0], [0.1, 0.9, 0.0]], [[0.1, 0.9, 0.0], [0.9, 0.1, 0.0]]
    ids = [f"q{n}" for n in range(60)]
    folds = fold_of([(id, "heat", "read") for id in ids], 3)
    needs = [asked(id, dense_is_right if fold == 0 else words_are_right) for id, fold in zip(ids, folds, strict=True)]
    told = across_folds(needs, PROFILE, 3)
    first = told["weights"][0]["read"]
    assert first["bm25"] > first["dense"]
    assert told["learnt"]["types"]["heat"]["ndcg10"] == pytest.approx((40 + 20 / np.log2(3)) / 60, abs=1e-4)
    changed = [asked(id, words_are_right) for id in ids]
    assert across_folds(changed, PROFILE, 3)["weights"][0] == told["weights"][0]


def test_weights_that_nothing_speaks_against_stay_near_the_profiles():
    alike = [asked(str(n), [[0.9, 0.9, 0.9], [0.1, 0.1, 0.1]]) for n in range(40)]
    told = across_folds(alike, PROFILE, 4)
    assert told["everything"]["read"] == {"dense": 0.2, "bm25": 0.4, "beginnings": 0.4}
    assert told["difference"]["macro"] == {"ndcg10": 0.0, "interval": [0.0, 0.0]}
    assert told["spread"]["read"]["dense"] == [0.2, 0.2]


def test_few_needs_teach_nothing_and_are_measured_all_the_same():
    dense_is_right = [[0.9, 0.1, 0.0], [0.1, 0.9, 0.0]]
    many = [asked(f"m{n}", dense_is_right) for n in range(40)]
    few = [asked(f"f{n}", dense_is_right, type="music", answer=1) for n in range(4)]
    other = [asked(f"o{n}", dense_is_right, situation="bridged") for n in range(4)]
    told = across_folds([*many, *few, *other], PROFILE, 2)
    assert told["everything"]["read"] == across_folds(many, PROFILE, 2)["everything"]["read"]
    music = told["learnt"]["types"]["music"]
    assert (music["n"], music["ndcg10"]) == (4, 0.6309)
    own = PROFILE.bridged
    total = own.dense + own.bm25 + own.beginnings
    assert told["everything"]["bridged"]["dense"] == round(own.dense / total, 2)


def test_a_need_that_finds_nothing_counts_as_such():
    nothing = Candidates(JudgedNeed("q", "heat", "x", {"a": 2}, frozenset(), None), "read", (), np.zeros((0, 3)))
    told = across_folds([nothing, *(asked(str(n), [[0.5, 0.5, 0.5]]) for n in range(3))], PROFILE, 2)
    assert told["learnt"]["types"]["heat"]["ndcg10"] == 0.75


def test_weights_tried_by_arithmetic_rank_as_the_search_does(words_embedder):
    texts = ["Planting trees along hot streets", "A choir sings in the hall", "Shade sails over hot streets", "Trees"]
    practices = [Practice(f"p{n}", f"c{n}", text, text, "en", "a") for n, text in enumerate(texts)]
    needs = [
        JudgedNeed("q1", "heat", "hot streets need trees", {"p0": 2}, frozenset(), None),
        JudgedNeed("q2", "heat", "les rues chaudes et une chorale", {"p1": 2}, frozenset(), "a"),
    ]
    profile = replace(profile_for("words-1"), read=Weights(1, 3, 2, 1))
    with indexed(practices, words_embedder, profile=profile, progress=quiet, stopped=never) as view:
        for need, one in zip(needs, candidates_of(view, needs, quiet, never), strict=True):
            weights = profile.weights(one.situation)
            row = np.array([weights.dense, weights.bm25, weights.beginnings])
            found = view.find(NeedText(need.text), filters=asked_of(need))
            assert [hit.practice for hit in found] == [practice for practice, _ in one.ranked(row)]


@pytest.fixture
def files(tmp_path) -> tuple[Path, Path]:
    corpus = [
        {"id": f"d{n}", "city_id": f"c{n}", "title": "", "text": text, "lang": "en", "source": "a"}
        for n, text in enumerate(["Trees along streets", "A choir", "Shade sails"])
    ]
    queries = [
        {"id": f"q{n}", "type": "all", "need_text": row["text"], "relevant": {row["id"]: 2}, "pool": None}
        for n, row in enumerate(corpus)
    ]
    for name, lines in (("corpus", corpus), ("queries", queries)):
        (tmp_path / name).write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return tmp_path / "corpus", tmp_path / "queries"


def test_folds_stand_beside_the_other_figures(files, words_embedder):
    told = evaluate(*files, embedder=words_embedder, folds=3)
    assert (told["folds"]["folds"], len(told["folds"]["weights"])) == (3, 3)
    assert told["folds"]["profile"]["types"] == told["types"]
    assert told["folds"]["learnt"]["macro"]["ndcg10"] == 1.0
    assert "folds" not in evaluate(*files, embedder=words_embedder)


@pytest.mark.parametrize("folds", [1, 4])
def test_folds_there_are_too_few_needs_for_are_refused(files, words_embedder, folds):
    with pytest.raises(BadRequest, match=f"{folds} folds of 3 needs"):
        evaluate(*files, embedder=words_embedder, folds=folds)
