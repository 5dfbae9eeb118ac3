"""Another model takes over whole: the old one with its index serves until the new one's is there."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kg.catalogue import Catalogue
from kg.records import from_ntriples
from kg.search.embedding import current_model, load_embedder, prepare_model
from kg.search.switching import change_model, index_folder
from tests.kg.search.test_embedding import static_model

SAVED = [
    {"kind": "city", "id": "gent", "name": {"en": "Ghent"}, "country": "BE"},
    {
        "kind": "practice",
        "id": "gent--flats",
        "title": {"en": "Flats"},
        "action": {"en": "Housing for school leavers who look for work."},
        "city": "gent",
        "themes": ["housing"],
        "language": "en",
        "sources": [{"url": "https://example.org/flats"}],
    },
]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two small models of the same kind under different names; they cannot be exported, and load fast."""
    folder = tmp_path_factory.mktemp("sources")
    static_model(folder / "first")
    shutil.copytree(folder / "first", folder / "second")
    return folder


@pytest.fixture
def place(tmp_path: Path, sources: Path) -> Path:
    """A data folder in use with the first model."""
    data = tmp_path / "data"
    prepare_model(sources / "first", data.parent / "models")
    with Catalogue.create(data, models=tmp_path / "models") as catalogue:
        report = catalogue.save(SAVED)
        assert not report.refused
        assert [hit["id"] for hit in catalogue.search_practices("housing")["results"]] == ["gent--flats"]
    return tmp_path


def opened(place: Path) -> Catalogue:
    return Catalogue.open(place / "data", models=place / "models")


def switch(place: Path, source: Path, catalogue: Catalogue, **more: object):
    return change_model(
        source,
        place / "models",
        place / "data" / "search",
        catalogue.ledger,
        lambda revision: from_ntriples(revision.payload or "", catalogue.base),
        **more,  # type: ignore[arg-type]
    )


def test_a_running_catalogue_takes_the_new_model_over_and_answers_all_the_while(place: Path, sources: Path) -> None:
    with opened(place) as catalogue:
        catalogue.follow()
        old = catalogue.search.embedder.identity
        told: list[str] = []

        def look(step: str) -> None:
            told.append(step)
            assert current_model(place / "models").identity == old  # type: ignore[union-attr]
            assert catalogue.search_practices("housing")["results"]

        facts = switch(place, sources / "second", catalogue, progress=look)
        assert told[-1] == "building its index"
        assert index_folder(place / "data" / "search", facts.identity).is_dir()
        deadline = time.monotonic() + 60
        while catalogue.search.embedder.identity == old and time.monotonic() < deadline:
            assert catalogue.search_practices("housing")["results"]
            time.sleep(0.02)
        assert catalogue.search.embedder.identity == facts.identity != old
        assert catalogue.search_practices("housing")["results"]
        assert catalogue.ready()[0]
        catalogue.save([{**SAVED[1], "id": "gent--work", "title": {"en": "Work"}}])
        catalogue.catch_up()
        assert {hit["id"] for hit in catalogue.search_practices("work")["results"]} == {"gent--flats", "gent--work"}
    with opened(place) as again:
        assert again.search.embedder.identity == facts.identity
        assert [p.name for p in (place / "data" / "search").iterdir()] == [
            index_folder(place / "data" / "search", facts.identity).name
        ]


def test_a_build_that_fails_leaves_the_old_model_and_its_index(
    place: Path, sources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = current_model(place / "models")
    with opened(place) as catalogue:

        def broken(done: int, total: int) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            switch(place, sources / "second", catalogue, counting=broken)
        assert current_model(place / "models") == old
        assert catalogue.search_practices("housing")["results"]
    with opened(place) as again:
        assert again.search.embedder.identity == old.identity  # type: ignore[union-attr]
        assert again.search_practices("housing")["results"]
        assert [p.name for p in (place / "data" / "search").iterdir() if p.name.startswith("new-")] == []


_KILLED = """
import sys, time
from pathlib import Path
from kg.ledger import Ledger
from kg.records import from_ntriples
from kg.search.switching import change_model
place, source = map(Path, sys.argv[1:])
def wait(done, total):
    print("building", flush=True)
    time.sleep(60)
with Ledger.open(f"sqlite:///{place / 'data' / 'ledger.sqlite'}") as ledger:
    read = lambda revision: from_ntriples(revision.payload or "", ledger.base)
    change_model(source, place / "models", place / "data" / "search", ledger, read, counting=wait)
"""


def test_a_kill_in_between_leaves_the_old_in_use(place: Path, sources: Path) -> None:
    old = current_model(place / "models")
    command = [sys.executable, "-W", "ignore", "-c", _KILLED, str(place), str(sources / "second")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as child:
        assert child.stdout
        assert child.stdout.readline() == "building\n"
        assert any(p.name.startswith("new-") for p in (place / "data" / "search").iterdir())
        with opened(place) as catalogue:  # its owner may start meanwhile, and leaves the new one alone
            assert catalogue.search_practices("housing")["results"]
        assert any(p.name.startswith("new-") for p in (place / "data" / "search").iterdir())
        child.send_signal(signal.SIGKILL)
    assert current_model(place / "models") == old
    with opened(place) as catalogue:
        assert catalogue.search.embedder.identity == load_embedder(place / "models").identity == old.identity  # type: ignore[union-attr]
        assert catalogue.search_practices("housing")["results"]
        facts = switch(place, sources / "second", catalogue)
    with opened(place) as catalogue:
        assert catalogue.search.embedder.identity == facts.identity
        assert catalogue.search_practices("housing")["results"]


def test_the_current_model_again_builds_nothing(place: Path, sources: Path) -> None:
    with opened(place) as catalogue:
        told: list[str] = []
        switch(place, sources / "first", catalogue, progress=told.append)
        assert "building its index" not in told
        assert catalogue.search_practices("housing")["results"]
