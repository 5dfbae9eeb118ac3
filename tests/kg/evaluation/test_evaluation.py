from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kg.errors import UnreadableInput
from kg.evaluation import METRICS, evaluate, ndcg, read_corpus, read_needs, recall, reciprocal_rank, summary

CORPUS = [
    {
        "id": "d1",
        "city_id": "riga",
        "title": "Trees",
        "text": "Planting trees along hot streets.",
        "lang": "en",
        "source": "a",
    },
    {
        "id": "d2",
        "city_id": "gent",
        "title": "Choir",
        "text": "A choir sings in the hall.",
        "lang": "en",
        "source": "a",
    },
    {
        "id": "d3",
        "city_id": "gent",
        "title": "Shade",
        "text": "Shade sails over hot streets.",
        "lang": "en",
        "source": "b",
    },
]
NEEDS = [
    {"id": "q1", "type": "heat", "need_text": "hot streets need trees", "relevant": {"d1": 2, "d3": 1},
     "relevant_city_ids": ["riga"], "pool": None},
    {"id": "q2", "type": "heat", "need_text": "hot streets need trees", "relevant": {"d3": 2},
     "relevant_city_ids": ["gent"], "pool": "b"},
    {"id": "q3", "type": "music", "need_text": "singing in a choir", "relevant": {"d2": 2}, "pool": "a"},
]  # fmt: skip


def written(folder, name, rows) -> object:
    path = folder / name
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def files(tmp_path):
    return written(tmp_path, "corpus.jsonl", CORPUS), written(tmp_path, "queries.jsonl", NEEDS)


def test_ndcg_is_as_computed_by_hand():
    # Gains 3, 0, 1 at ranks 1 to 3, discounts 1, 1/log2(3), 1/2; the best order is 3, 1.
    assert ndcg(["a", "x", "b"], {"a": 2, "b": 1}) == pytest.approx((3 + 1 / 2) / (3 + 1 / math.log2(3)))


def test_what_stands_behind_the_tenth_place_does_not_count():
    ranked = [f"x{n}" for n in range(10)] + ["a"]
    assert (ndcg(ranked, {"a": 2}), reciprocal_rank(ranked, frozenset("a")), recall(ranked, frozenset("a"))) == (
        0,
        0,
        0,
    )
    assert reciprocal_rank([*ranked[:9], "a"], frozenset("a")) == 0.1


@given(st.permutations(["a", "b", "c", "d"]), st.dictionaries(st.sampled_from("abcd"), st.integers(1, 2), min_size=1))
def test_ndcg_is_one_exactly_for_the_best_order(ranked, relevant):
    value = ndcg(ranked, relevant)
    assert 0 <= value <= 1 + 1e-12
    grades = [relevant.get(id, 0) for id in ranked]
    assert math.isclose(value, 1.0) == (grades == sorted(grades, reverse=True))


def test_macro_is_the_mean_over_types_whatever_their_size():
    good, bad = dict.fromkeys(METRICS, 1.0), dict.fromkeys(METRICS, 0.0)
    told = summary([("a", good), ("a", good), ("a", bad), ("b", bad)])
    assert told["types"]["a"]["mrr10"] == 0.6667
    assert told["macro"]["mrr10"] == 0.3333
    low, high = told["types"]["a"]["intervals"]["mrr10"]
    assert 0 <= low < 0.6667 < high <= 1
    assert told == summary([("a", good), ("a", good), ("a", bad), ("b", bad)])


@pytest.mark.parametrize("method", ["fused", "dense", "bm25"])
def test_an_evaluation_says_how_good_the_answers_were(files, words_embedder, method):
    told = evaluate(*files, embedder=words_embedder, method=method)
    assert set(told["types"]) == {"heat", "music"}
    heat = told["types"]["heat"]
    assert (heat["n"], heat["n_city"], told["types"]["music"]["n_city"]) == (2, 2, 0)
    assert heat["ndcg10"] == heat["mrr10"] == heat["recall10"] == heat["city_mrr10"] == 1.0
    assert told["types"]["music"]["city_mrr10"] is None
    assert (told["macro"]["mrr10"], told["macro"]["city_mrr10"]) == (1.0, 1.0)
    assert (told["practices"], told["queries"], told["model"]) == (3, 3, "words-1")


def test_only_the_pool_of_a_need_is_ranked(tmp_path, words_embedder):
    corpus = written(tmp_path, "c", CORPUS)
    for pool, expected in (("b", 1.0), (None, 0.5)):
        needs = written(tmp_path, "q", [{**NEEDS[1], "pool": pool, "need_text": "planting trees along hot streets"}])
        assert evaluate(corpus, needs, embedder=words_embedder)["macro"]["mrr10"] == expected


def test_progress_counts_practices_and_needs(files, words_embedder):
    told = []
    evaluate(*files, embedder=words_embedder, progress=lambda *step: told.append(step))
    assert told[0] == ("indexing practices", 0, 3)
    assert ("indexing practices", 3, 3) in told
    assert told[-1] == ("asking needs", 3, 3)


def test_an_evaluation_can_be_stopped(files, words_embedder):
    told = []
    with pytest.raises(InterruptedError):
        evaluate(
            *files, embedder=words_embedder, progress=lambda *step: told.append(step), stopped=lambda: len(told) > 2
        )
    assert told[-1][0] == "asking needs"
    assert told[-1][1] < 3


def test_an_unknown_method_is_a_mistake_of_the_caller(files, words_embedder):
    with pytest.raises(ValueError, match="'best'"):
        evaluate(*files, embedder=words_embedder, method="best")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{", "line 2: not JSON"),
        ("[1]", "line 2: a JSON object is expected"),
        ('{"id": "x"}', 'line 2: "city_id" is to be a text, it is missing'),
        ({**CORPUS[1], "text": 7}, "line 2: \"text\" is to be a text, it is '7'"),
        ({**CORPUS[1], "id": "d1"}, "line 2: the id 'd1' stands in a line before"),
        ("[" * 100_000, "line 2: not JSON"),
        ("x" * 1_000_001, "line 2: more than 1,000,000"),
    ],
)
def test_a_broken_line_of_the_corpus_is_named(tmp_path, row, message):
    with pytest.raises(UnreadableInput) as raised:
        read_corpus(written(tmp_path, "corpus.jsonl", [CORPUS[0], row]))
    assert message in str(raised.value)
    assert str(tmp_path) not in str(raised.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"relevant": {}}, '"relevant" is to map'),
        ({"relevant": ["d1"]}, '"relevant" is to map'),
        ({"relevant": {"d1": True}}, '"relevant" is to map'),
        ({"relevant": {"d1": -1}}, '"relevant" is to map'),
        ({"relevant_city_ids": "riga"}, '"relevant_city_ids" is to be a list'),
        ({"pool": 3}, '"pool" is to be a text or null'),
        ({"need_text": "  "}, '"need_text" is to be a text'),
        ({"type": None}, '"type" is to be a text'),
    ],
)
def test_a_broken_need_is_named(tmp_path, change, message):
    with pytest.raises(UnreadableInput) as raised:
        read_needs(written(tmp_path, "queries.jsonl", [NEEDS[0], {**NEEDS[0], **change}]))
    assert f"line 2: {message}" in str(raised.value)


def test_a_need_for_a_practice_that_is_not_there_is_refused(tmp_path, files, words_embedder):
    needs = written(tmp_path, "q", [{**NEEDS[0], "relevant": {"d9": 2}}])
    with pytest.raises(UnreadableInput, match="'q1' names 'd9'"):
        evaluate(files[0], needs, embedder=words_embedder)


def test_files_that_are_none_are_refused(tmp_path):
    with pytest.raises(UnreadableInput, match="cannot be read"):
        read_corpus(tmp_path / "missing")
    with pytest.raises(UnreadableInput, match="empty"):
        read_needs(written(tmp_path, "empty", ["", "  "]))
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UnreadableInput, match="line 1: not JSON in UTF-8"):
        read_corpus(tmp_path / "bytes")
