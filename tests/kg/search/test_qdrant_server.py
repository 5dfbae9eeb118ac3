"""An index at a Qdrant server: what is seen when it is away, emptied, set back, shared, refused, or switched."""

from __future__ import annotations

import contextlib
import logging
import shutil
import time
from pathlib import Path
from uuid import UUID

import pytest
from qdrant_client import QdrantClient

from kg.catalogue import Catalogue
from kg.errors import DataFolderUnusable, IndexMismatch
from kg.records import from_ntriples
from kg.search import qdrant_server
from kg.search.embedding import prepare_model
from kg.search.port import SearchIndex
from kg.search.qdrant_server import QdrantServer, ServerAway
from kg.search.ranking import Filters
from kg.search.switching import change_model
from tests.kg.search.index_cases import ServerInMemory, asking, document, quiet_in_memory, scores
from tests.kg.search.qdrant_front import Front, serving
from tests.kg.search.test_embedding import static_model
from tests.kg.search.test_switching import SAVED

pytestmark = quiet_in_memory


@pytest.fixture
def front():
    with serving() as front:
        yield front


@pytest.fixture
def server(front, monkeypatch):
    monkeypatch.setattr(qdrant_server, "FIRST_PAUSE_SECONDS", 0.001)
    return QdrantServer(front.url, batch=3)


def opened(folder: Path, server: QdrantServer) -> SearchIndex:
    return server.open(folder, model="m1", dimension=4)


@pytest.fixture
def index(tmp_path, server):
    with contextlib.closing(opened(tmp_path / "index", server)) as index:
        index.change(practices=[document("a", words={5: 1.0}), document("b")], marker=2)
        yield index


def collections(client: QdrantClient) -> list[str]:
    return sorted(one.name for one in client.get_collections().collections)


def alias(client: QdrantClient) -> dict[str, str]:
    return {one.alias_name: one.collection_name for one in client.get_aliases().aliases}


# ------------------------------------------------------------------------------------------------- away


def test_what_finds_the_server_busy_is_sent_again(index, front):
    front.busy = 2
    assert scores(index, asking()).keys() == {"a", "b"}
    front.busy = 2
    index.change(practices=[document("c")], marker=3)
    assert scores(index, asking()).keys() == {"a", "b", "c"}


def test_a_change_whose_answer_was_lost_is_made_once(index, front):
    front.lost = 1
    index.change(practices=[document("c", [1, 0, 0, 0], [0, 1, 0, 0], words={5: 1.0})], removed=["b"], marker=3)
    assert (index.passages, index.count, index.marker, index.using([5])) == (3, 2, 3, {5: 2})


def test_a_change_that_broke_off_is_repeated_without_harm(tmp_path, index, front, server):
    front.busy = 100
    with pytest.raises(ServerAway, match="does not answer"):
        index.change(practices=[document("c")], marker=3)
    front.busy = 0
    assert (index.marker, index.look()) == (2, 2)
    index.change(practices=[document("c")], marker=3)
    assert (index.look(), index.passages) == (3, 3)
    with contextlib.closing(opened(tmp_path / "index", server)) as again:
        assert again.look() == 3


def test_a_change_that_broke_off_twice_is_still_ours(index, front, monkeypatch):
    """Once after the note was written, once before anything was: the note is neither the last one's nor the register's."""
    with monkeypatch.context() as broken:
        broken.setattr(index._register, "take_over", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            index.change(practices=[document("c")], marker=3)
    front.busy = 100
    with pytest.raises(ServerAway):
        index.change(practices=[document("c")], marker=3)
    front.busy = 0
    assert index.look() == 2
    index.change(practices=[document("c")], marker=3)
    assert (index.look(), index.count, index.passages) == (3, 3, 3)


def test_an_away_server_is_told_as_such_and_nothing_of_it_is_shown(tmp_path):
    with serving() as front:
        url = front.url
    with contextlib.closing(opened(tmp_path, QdrantServer(url, retries=0))) as index:
        for asked in (index.look, lambda: index.change(marker=1), lambda: index.payloads([UUID(int=1)])):
            with pytest.raises(ServerAway) as told:
                asked()
            assert str(told.value) == "the search engine does not answer; it is asked again later"


def test_a_service_starts_without_its_server_and_recovers(tmp_path, small_models):
    """Started while the server is away, filled when it comes, told when it goes, right when it comes back empty."""
    with serving() as front:
        port = front.server_address[1]
    server = QdrantServer(f"http://127.0.0.1:{port}", retries=0)
    shutil.copytree(small_models, tmp_path / "models")
    with Catalogue.create(tmp_path / "data", models=tmp_path / "models", indexes=server) as catalogue:
        catalogue.save(SAVED)
        catalogue.follow()
        ok, told = catalogue.ready()
        assert not ok
        assert told["views"]["search"]["behind"] > 0
        until(lambda: catalogue.ready()[1]["views"]["search"]["error"] == "ServerAway")
        with serving(port=port):
            until(lambda: catalogue.ready()[0])
            assert [hit["id"] for hit in catalogue.search_practices("housing")["results"]] == ["gent--flats"]
        with pytest.raises(ServerAway):
            catalogue.search_practices("school leavers")
        until(lambda: not catalogue.ready()[0])
        with serving(port=port):
            until(lambda: catalogue.ready()[0])
            assert [hit["id"] for hit in catalogue.search_practices("housing")["results"]] == ["gent--flats"]
            assert catalogue.check() == []
            catalogue.reindex()
            assert catalogue.check() == []


def until(holds) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# ------------------------------------------------------------------------------- what the server holds


def test_the_collection_says_what_it_is(index, front):
    (name,) = collections(front.client)
    (record,) = front.client.retrieve(name, ["00000000-0000-0000-0000-000000000000"])
    note = record.payload["note"]
    assert {key: note[key] for key in ("layout", "model", "dimension", "marker")} == {
        "layout": qdrant_server.LAYOUT,
        "model": "m1",
        "dimension": 4,
        "marker": 2,
    }
    assert name.startswith("mentorgraph-m1-")
    assert alias(front.client) == {"mentorgraph": name}


@pytest.mark.parametrize("running", [True, False])
def test_an_emptied_server_is_noticed_and_the_index_begins_anew(tmp_path, index, front, server, running):
    for name in collections(front.client):
        front.client.delete_collection(name)
    with (
        contextlib.closing(opened(tmp_path / "index", server)) if not running else contextlib.nullcontext(index) as one
    ):
        if running:
            with pytest.raises(IndexMismatch, match="made again"):
                one.candidates([asking()], Filters(), 5)
        assert (one.look(), one.count, one.held()) == (0, 0, {})
        one.change(practices=[document("c")], marker=1)
        assert scores(one, asking()).keys() == {"c"}


def test_a_server_set_back_to_an_older_state_is_noticed(tmp_path, index, front):
    (name,) = collections(front.client)
    older = front.client.retrieve(name, ["00000000-0000-0000-0000-000000000000"])[0].payload
    index.change(practices=[document("c")], marker=3)
    assert index.look() == 3
    front.client.overwrite_payload(name, older, ["00000000-0000-0000-0000-000000000000"])
    assert index.look() == 0


def test_lost_passages_are_noticed_at_the_next_start(tmp_path, index, front, server):
    (name,) = collections(front.client)
    (point,) = [r.id for r in front.client.scroll(name)[0] if (r.payload or {}).get("practice") == "a"]
    front.client.delete(name, [point])
    with contextlib.closing(opened(tmp_path / "index", server)) as again:
        assert again.look() == 0


def test_the_caller_of_a_change_is_told_when_what_it_builds_on_is_gone(tmp_path, index, front, server):
    for name in collections(front.client):
        front.client.delete_collection(name)
    with contextlib.closing(opened(tmp_path / "index", server)) as again:
        with pytest.raises(IndexMismatch, match="made again from the ledger"):
            again.change(practices=[document("c")], marker=3)
        assert again.look() == 0


def test_a_cleared_index_gets_a_new_collection_and_leaves_none(index, front):
    before = collections(front.client)
    index.clear()
    (after,) = collections(front.client)
    assert [after] != before
    assert alias(front.client) == {"mentorgraph": after}


def test_a_collection_left_by_a_kill_while_clearing_goes_at_the_next_start(tmp_path, index, front, server, monkeypatch):
    monkeypatch.setattr(index, "_put_note", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        index.clear()
    assert len(collections(front.client)) == 2
    with contextlib.closing(opened(tmp_path / "index", server)) as again:
        assert again.look() == 2
        assert scores(again, asking()).keys() == {"a", "b"}
    assert len(collections(front.client)) == 1


def test_two_data_folders_at_one_server_never_meet(tmp_path, index, server, front):
    with contextlib.closing(opened(tmp_path / "other", server)) as other:
        assert other.look() == 0
        other.change(practices=[document("z")], marker=7)
        assert scores(other, asking()).keys() == {"z"}
    assert scores(index, asking()).keys() == {"a", "b"}
    assert index.look() == 2
    server.discard(tmp_path / "other")
    assert len(collections(front.client)) == 1


def test_no_request_holds_more_points_than_set(index, front):
    front.seen.clear()
    index.change(practices=[document(f"p-{n}", [1, 0, 0, n]) for n in range(7)], marker=3)
    written = [one for one in front.seen if one.startswith("PUT") and one.endswith("/points")]
    assert len(written) == 3 + 1  # seven points by threes, and the note


# --------------------------------------------------------------------------------------------- settings


def test_a_wrong_key_is_refused_with_the_name_of_the_setting_and_without_the_key(tmp_path, caplog):
    with serving(key="right") as front, caplog.at_level(logging.DEBUG):
        server = QdrantServer(front.url, api_key="wrong-secret")
        with contextlib.closing(opened(tmp_path / "one", server)) as index:
            with pytest.raises(DataFolderUnusable, match="MENTORGRAPH_INDEX_API_KEY") as told:
                index.look()
            assert "secret" not in f"{told.value} {server!r} {caplog.text}"
        with contextlib.closing(opened(tmp_path / "two", QdrantServer(front.url, api_key="right"))) as index:
            assert index.look() == 0


@pytest.mark.parametrize(
    "address",
    ["", "qdrant:6333", "ftp://host", "http://", "http://host:port", "http://u:p@host", "http://h/?a=b", "http://\0"],
)
def test_an_address_that_is_none_is_refused(address):
    with pytest.raises(DataFolderUnusable, match="like https://host:6333") as told:
        QdrantServer(address)
    assert "u:p" not in str(told.value)


@pytest.mark.parametrize("given", [{"write_consistency": 2}, {"read_consistency": 4, "replicas": 3}])
def test_more_copies_than_there_are_cannot_be_asked_for(given):
    with pytest.raises(DataFolderUnusable, match="MENTORGRAPH_INDEX_REPLICAS"):
        QdrantServer("http://host", **given)


def test_the_layout_of_a_collection_is_as_set(tmp_path, monkeypatch):
    made, asked = {}, []

    class Noting(type(ServerInMemory().client)):
        def create_collection(self, name, **given):
            made.update(given)
            return super().create_collection(name, **given)

        def query_batch_points(self, name, requests, **given):
            asked.append(given["consistency"])
            return super().query_batch_points(name, requests, **given)

    server = ServerInMemory(client=Noting(), shards=4, replicas=3, write_consistency=2, read_consistency=2)
    with contextlib.closing(opened(tmp_path, server)) as index:
        index.change(practices=[document("a")], marker=1)
        assert scores(index, asking()).keys() == {"a"}
    assert (made["shard_number"], made["replication_factor"], made["write_consistency_factor"]) == (4, 3, 2)
    assert set(asked) == {2}


# -------------------------------------------------------------------------------------------- switching


@pytest.fixture(scope="module")
def small_sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sources")
    static_model(folder / "first")
    shutil.copytree(folder / "first", folder / "second")
    return folder


@pytest.fixture(scope="module")
def small_models(tmp_path_factory: pytest.TempPathFactory, small_sources: Path) -> Path:
    folder = tmp_path_factory.mktemp("prepared")
    prepare_model(small_sources / "first", folder)
    return folder


def test_a_new_models_collection_is_built_beside_the_old_and_the_alias_moves(tmp_path, small_models, small_sources):
    models, data = tmp_path / "models", tmp_path / "data"
    shutil.copytree(small_models, models)
    server = ServerInMemory()
    with Catalogue.create(data, models=models, indexes=server) as catalogue:
        catalogue.save(SAVED)
        assert [hit["id"] for hit in catalogue.search_practices("housing")["results"]] == ["gent--flats"]
        (old,) = collections(server.client)
        facts = change_model(
            small_sources / "second",
            models,
            data / "search",
            catalogue.ledger,
            lambda revision: from_ntriples(revision.payload or "", catalogue.base),
            indexes=server,
        )
        (new,) = set(collections(server.client)) - {old}
        assert "second" in new
        assert alias(server.client) == {"mentorgraph": old}
    with Catalogue.open(data, models=models, indexes=server) as catalogue:
        assert catalogue.search.embedder.identity == facts.identity
        assert [hit["id"] for hit in catalogue.search_practices("housing")["results"]] == ["gent--flats"]
        assert catalogue.check() == []
    assert collections(server.client) == [new]
    assert alias(server.client) == {"mentorgraph": new}


def test_a_front_that_serves_is_a_server_to_the_client(front: Front):
    """What the tests here rest on: the front answers qdrant-client as the client's own local mode does."""
    client = QdrantClient(url=front.url, check_compatibility=False)
    assert client.get_collections().collections == []
    client.close()
