from __future__ import annotations

import contextlib
import shutil
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from kg.errors import DataFolderInUse, DataFolderUnusable, IndexMismatch
from kg.search import index as index_module
from kg.search.index import Document, PassageIndex, Query
from kg.search.ranking import Filters
from kg.search.text import Passage


def opened(folder: Path, model: str = "m1", dimension: int = 4) -> PassageIndex:
    return PassageIndex(folder, model=model, dimension=dimension)


@pytest.fixture
def index(tmp_path):
    with contextlib.closing(opened(tmp_path / "index")) as index:
        yield index


def document(id: str, *vectors, words=None, beginnings=None, revision=1, city="riga", **shared) -> Document:
    vectors = vectors or ([1, 0, 0, 0],)
    rows = np.array(vectors, np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return Document(
        practice=id,
        city=city,
        revision=revision,
        passages=[Passage("action", "en", f"{id} passage {n}", id) for n in range(len(rows))],
        vectors=rows,
        words=words or {},
        beginnings=beginnings or {},
        shared={"country": "LV", "themes_all": [], "languages": ["en"], "evidence": [], "population": None, **shared},
        facts={"title": {"en": id}, "themes": shared.get("themes_all", [])},
    )


def asking(*dense, words=None, beginnings=None, themes=()) -> Query:
    return Query(list(dense or (1.0, 0.0, 0.0, 0.0)), words or {}, beginnings or {}, themes)


def scores(index: PassageIndex, query: Query, filters: Filters | None = None, depth: int = 50) -> dict[str, tuple]:
    candidates = index.candidates([query], filters or Filters(), depth)
    scored = index.score([query], candidates, [sorted(candidates[0].found)])[0]
    return {one.practice: (one.dense, one.words, one.beginnings) for one in scored}


def test_a_practice_scores_by_its_best_passage_and_its_words_as_a_whole(index):
    index.change(practices=[document("a", [0, 1, 0, 0], [3, 4, 0, 0], words={7: 0.5}, beginnings={9: 0.25})], marker=1)
    dense, words, beginnings = scores(index, asking(words={7: 0.5, 8: 0.5}, beginnings={9: 1.0}))["a"]
    assert (dense, words, beginnings) == pytest.approx((0.6, 0.25, 0.25))


def test_each_signal_brings_candidates_of_its_own(index):
    index.change(
        practices=[
            document("by-meaning", [1, 0, 0, 0]),
            document("by-word", [0, 1, 0, 0], words={4_294_967_295: 1.0}),
            document("by-beginning", [0, 1, 0, 0], beginnings={2: 1.0}),
            document("by-theme", [0, 1, 0, 0], themes_all=["housing"]),
            *(document(f"other-{n}", [0.1, 1, 0, 0]) for n in range(20)),
        ],
        marker=1,
    )
    query = asking(words={4_294_967_295: 1.0}, beginnings={2: 1.0}, themes=("housing",))
    assert {"by-meaning", "by-word", "by-beginning", "by-theme"} <= scores(index, query, depth=1).keys()


def test_signals_are_the_same_however_short_the_lists_were(index):
    rng = np.random.default_rng(1)
    index.change(
        practices=[
            document(f"p-{n:02}", *rng.normal(size=(3, 4)), words={n % 5: 0.3 + n / 100}, beginnings={n % 3: 0.7})
            for n in range(40)
        ],
        marker=1,
    )
    query = asking(0.6, 0.8, 0, 0, words={1: 0.5, 2: 0.5}, beginnings={2: 1.0})
    whole = scores(index, query, depth=500)
    for depth in (1, 3, 10):
        short = scores(index, query, depth=depth)
        assert 0 < len(short) < len(whole)
        assert short == {practice: pytest.approx(whole[practice]) for practice in short}


def test_a_shorter_version_of_a_practice_leaves_no_passage_behind(index):
    index.change(practices=[document("a", [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]), document("b")], marker=1)
    index.change(practices=[document("a", [0, 0, 0, 1], revision=2)], marker=2)
    assert index.passages == 2
    assert scores(index, asking())["a"][0] == pytest.approx(0.0, abs=1e-6)
    assert index.held() == {("practice", "a"): 2, ("practice", "b"): 1}


def test_a_removed_practice_is_gone_with_all_its_passages(index):
    index.change(practices=[document("a", [1, 0, 0, 0], [0, 1, 0, 0], words={5: 1.0}), document("b")], marker=1)
    index.change(removed=["a"], marker=2)
    assert (index.passages, index.count, index.marker) == (1, 1, 2)
    assert scores(index, asking()).keys() == {"b"}
    assert index.using([5]) == {}


def test_words_are_counted_once_per_practice_however_often_it_changes(index):
    for revision in (1, 2, 2):
        index.change(
            practices=[document("a", words={5: 0.1, 6: 0.9}, beginnings={7: 1.0}, revision=revision)], marker=1
        )
    index.change(practices=[document("b", words={5: 0.4})], marker=2)
    assert index.using([5, 6, 7, 8]) == {5: 2, 6: 1, 7: 1}
    index.change(practices=[document("a", words={6: 0.9})], marker=3)
    assert index.using([5, 6, 7, 8]) == {5: 1, 6: 1}


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (Filters(), {"a", "b", "c"}),
        (Filters(countries=frozenset({"BE"})), {"b"}),
        (Filters(themes=frozenset({"housing"})), {"a", "b"}),
        (Filters(languages=frozenset({"fr", "de"})), {"c"}),
        (Filters(population_min=50_000), {"b"}),
        (Filters(population_max=50_000), {"a"}),
        (Filters(population_min=1, population_max=10**9), {"a", "b"}),
        (Filters(exclude_cities=frozenset({"riga"})), {"b", "c"}),
        (Filters(exclude_practices=frozenset({"b", "c"})), {"a"}),
        (Filters(practices=frozenset({"b", "c", "z"})), {"b", "c"}),
        (Filters(collections=frozenset({"keep"})), {"c"}),
        (Filters(countries=frozenset({"BE"}), exclude_cities=frozenset({"gent"})), set()),
    ],
)
def test_a_filter_lets_in_what_meets_it(index, filters, expected):
    index.change(
        practices=[
            document("a", city="riga", country="LV", themes_all=["housing", "home"], population=20_000),
            document("b", city="gent", country="BE", themes_all=["housing"], population=260_000),
            document("c", city="lyon", country="FR", languages=["fr", "en"], collection="keep"),
        ],
        marker=1,
    )
    query = asking(words={1: 1.0}, themes=("housing",))
    assert scores(index, query, filters).keys() == expected
    assert sum(index.facets(filters)["country"].values()) == len(expected)


def test_facets_count_practices_not_passages(index):
    index.change(
        practices=[
            document("a", [1, 0, 0, 0], [0, 1, 0, 0], country="LV", themes_all=["x", "y"], evidence=["label"]),
            document("b", country="BE", themes_all=["y"]),
            document("c", country="LV"),
        ],
        marker=1,
    )
    facets = index.facets(Filters())
    assert facets["country"] == {"LV": 2, "BE": 1}
    assert list(facets["themes"].items()) == [("y", 2), ("x", 1)]
    assert facets["evidence"] == {"label": 1}


def test_what_is_stored_with_all_passages_can_be_refreshed(index):
    index.change(practices=[document("a", [1, 0, 0, 0], [0, 1, 0, 0]), document("b")], marker=1)
    index.change(refreshed=[("a", {"country": "EE"})])
    assert scores(index, asking(0, 1, 0, 0), Filters(countries=frozenset({"EE"})))["a"][0] == pytest.approx(1.0)
    assert index.facets(Filters())["country"] == {"EE": 1, "LV": 1}


def test_everything_is_there_after_closing_and_opening(tmp_path):
    with contextlib.closing(opened(tmp_path)) as index:
        index.change(practices=[document("a", words={5: 1.0})], kept=[("city", "riga", 3, {"country": "LV"})], marker=4)
    with contextlib.closing(opened(tmp_path)) as index:
        assert (index.marker, index.count, index.passages) == (4, 1, 1)
        assert index.held() == {("practice", "a"): 1, ("city", "riga"): 3}
        assert index.kept("city") == {"riga": {"country": "LV"}}
        assert scores(index, asking(words={5: 1.0})) == {"a": pytest.approx((1.0, 1.0, 0.0))}
        index.change(forgotten=[("city", "riga")])
        assert index.kept("city") == {}


def test_clearing_forgets_everything_and_the_index_goes_on(tmp_path):
    with contextlib.closing(opened(tmp_path)) as index:
        index.change(practices=[document("a", words={5: 1.0})], marker=4)
        index.clear()
        assert (index.marker, index.count, index.passages, index.held(), index.using([5])) == (0, 0, 0, {}, {})
        index.change(practices=[document("b")], marker=1)
        assert scores(index, asking()).keys() == {"b"}
    assert len(list(tmp_path.glob("points-*"))) == 1


@pytest.mark.parametrize(("model", "dimension"), [("m2", 4), ("m1", 5)])
def test_an_index_of_another_model_is_refused(tmp_path, model, dimension):
    opened(tmp_path).close()
    with pytest.raises(IndexMismatch, match=f"another {'model' if model == 'm2' else 'dimension'}"):
        opened(tmp_path, model, dimension)


def test_an_index_of_another_layout_is_refused(tmp_path, monkeypatch):
    opened(tmp_path).close()
    monkeypatch.setattr(index_module, "LAYOUT", "next")
    with pytest.raises(IndexMismatch, match="another layout"):
        opened(tmp_path)


def damage_register(folder: Path) -> None:
    for part in folder.glob("register.db*"):
        part.write_bytes(b"\0" * 5_000)


def damage_points(folder: Path) -> None:
    for path in folder.glob("points-*/edge_config.json"):
        path.write_text("{")


def lose_points(folder: Path) -> None:
    for path in folder.glob("points-*"):
        shutil.rmtree(path)


def lose_segments(folder: Path) -> None:
    for path in [*folder.glob("points-*/segments/*"), *folder.glob("points-*/wal/*")]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def lose_register(folder: Path) -> None:
    for part in folder.glob("register.db*"):
        part.unlink()


@pytest.mark.parametrize("damage", [damage_register, damage_points, lose_points, lose_segments, lose_register])
def test_a_damaged_index_is_refused_with_an_error_that_says_so(tmp_path, damage):
    with contextlib.closing(opened(tmp_path)) as index:
        index.change(practices=[document("a")], marker=1)
    damage(tmp_path)
    with pytest.raises(IndexMismatch, match="damaged"):
        opened(tmp_path).close()


def test_a_second_process_is_told_that_the_index_is_in_use(tmp_path, index):
    script = (
        "import sys; from pathlib import Path; from kg.errors import DataFolderInUse\n"
        "from kg.search.index import PassageIndex\n"
        "try: PassageIndex(Path(sys.argv[1]), model='m1', dimension=4)\n"
        "except DataFolderInUse: sys.exit(7)"
    )
    index.change(practices=[document("a")], marker=1)
    assert subprocess.run([sys.executable, "-c", script, str(tmp_path / "index")], timeout=60).returncode == 7


def test_a_change_repeated_after_a_kill_between_engine_and_register_gives_the_same_index(tmp_path, monkeypatch):
    first = [document("a", [1, 0, 0, 0], [0, 1, 0, 0], words={5: 1.0}), document("b", words={5: 1.0})]
    with contextlib.closing(opened(tmp_path)) as index:
        index.change(practices=first, marker=1)
        monkeypatch.setattr(index._register, "take_over", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            index.change(practices=[document("a", words={6: 1.0}), document("c", [1, 0, 0, 0], [0, 0, 0, 1])], marker=2)
    with contextlib.closing(opened(tmp_path)) as index:
        assert index.marker == 1
        index.change(practices=[document("a", words={6: 1.0}, revision=2)], removed=["c"], marker=2)
        assert (index.passages, index.count, index.using([5, 6])) == (2, 2, {5: 1, 6: 1})
        index.close()
        index = opened(tmp_path)
        assert scores(index, asking(words={5: 0.5, 6: 0.5})) == {
            "a": pytest.approx((1.0, 0.5, 0.0)),
            "b": pytest.approx((1.0, 0.5, 0.0)),
        }


def test_a_full_disk_is_told_as_such(tmp_path):
    with contextlib.closing(opened(tmp_path)) as index:
        index.change(practices=[document("a")], marker=1)
        pages = index._register._db.execute("PRAGMA page_count").fetchone()[0]
        index._register._db.execute(f"PRAGMA max_page_count = {pages}")
        words = dict.fromkeys(range(20000), 1.0)
        with pytest.raises(DataFolderUnusable, match="disk is full"):
            index.change(practices=[document("b", words=words)], marker=2)
        assert index.marker == 1


def test_optimising_keeps_what_is_written_meanwhile(tmp_path):
    rng = np.random.default_rng(3)
    with contextlib.closing(opened(tmp_path)) as index:
        index.change(
            practices=[document(f"p-{n}", *rng.normal(size=(3, 4)), words={n: 1.0}) for n in range(50)], marker=1
        )
        index.optimise(wait=False)
        index.change(practices=[document("late", words={900: 1.0}), document("p-1")], removed=["p-2"], marker=2)
        before = scores(index, asking(words={1: 0.5, 900: 0.5}), depth=200)
        index.optimise(wait=True)
        assert scores(index, asking(words={1: 0.5, 900: 0.5}), depth=200) == before
        assert (index.count, index.passages, index.marker) == (50, 48 * 3 + 2, 2)
        assert "p-2" not in before
        assert index._points.name == "points-2"
    with contextlib.closing(opened(tmp_path)) as index:
        assert scores(index, asking(words={1: 0.5, 900: 0.5}), depth=200) == before
    assert [path.name for path in tmp_path.glob("points-*")] == ["points-2"]


def test_an_optimisation_cut_short_leaves_the_index_as_it_was(tmp_path):
    with contextlib.closing(opened(tmp_path)) as index:
        index.change(practices=[document("a")], marker=1)
        index.optimise(wait=False)
    with contextlib.closing(opened(tmp_path)) as index:
        assert scores(index, asking()).keys() == {"a"}
    assert len(list(tmp_path.glob("points-*"))) == 1


def test_threads_ask_while_one_writes_and_optimises(tmp_path):
    errors: list[BaseException] = []
    with contextlib.closing(opened(tmp_path)) as index:
        index.change(practices=[document("stays")], marker=1)
        done = threading.Event()

        def ask():
            try:
                while not done.is_set():
                    assert "stays" in scores(index, asking(words={3: 1.0}))
                    assert index.facets(Filters())["country"]["LV"] >= 1
            except BaseException as error:  # noqa: BLE001
                errors.append(error)

        threads = [threading.Thread(target=ask) for _ in range(2)]
        for thread in threads:
            thread.start()
        for n in range(10):
            index.change(practices=[document("moves", *[[0, 1, 0, n]] * (n % 3 + 1), words={n: 1.0})], marker=n)
        index.optimise(wait=True)
        done.set()
        for thread in threads:
            thread.join()
    assert not errors


def test_a_practice_needs_a_vector_for_every_passage(index):
    broken = document("a", [1, 0, 0, 0], [0, 1, 0, 0])
    with pytest.raises(ValueError, match="a vector each"):
        index.change(practices=[Document(**{**broken.__dict__, "vectors": broken.vectors[:1]})])


def test_the_register_is_an_ordinary_sqlite_file(index):
    index.change(practices=[document("a", words={5: 1.0})], marker=9)
    with contextlib.closing(sqlite3.connect(index._folder / "register.db")) as db:
        assert db.execute("SELECT value FROM meta WHERE name = 'marker'").fetchone() == ("9",)


def test_only_one_index_at_a_time_in_a_process(tmp_path, index):
    with pytest.raises(DataFolderInUse):
        opened(tmp_path / "index")
