"""What the index inside the process promises beyond what all do (test_index_port.py): files, locks, optimising."""

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
from kg.search.index import PassageIndex
from tests.kg.search.index_cases import asking, document, scores


def opened(folder: Path, model: str = "m1", dimension: int = 4) -> PassageIndex:
    return PassageIndex(folder, model=model, dimension=dimension)


@pytest.fixture
def index(tmp_path):
    with contextlib.closing(opened(tmp_path / "index")) as index:
        yield index


def test_a_cleared_index_leaves_one_folder(tmp_path):
    with contextlib.closing(opened(tmp_path)) as index:
        index.change(practices=[document("a")], marker=4)
        index.clear()
    assert len(list(tmp_path.glob("points-*"))) == 1


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


def test_the_register_is_an_ordinary_sqlite_file(index):
    index.change(practices=[document("a", words={5: 1.0})], marker=9)
    with contextlib.closing(sqlite3.connect(index._folder / "register.db")) as db:
        assert db.execute("SELECT value FROM meta WHERE name = 'marker'").fetchone() == ("9",)


def test_only_one_index_at_a_time_in_a_process(tmp_path, index):
    with pytest.raises(DataFolderInUse):
        opened(tmp_path / "index")
