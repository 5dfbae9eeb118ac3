"""The whole catalogue with its graph on an engine over HTTP: the same answers, and patience when the engine is away."""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter

import pyoxigraph as ox
import pytest

from kg.catalogue import Catalogue
from kg.errors import Busy
from kg.graph.remote import RemoteStore
from kg.graph.store import OxigraphStore
from ontology import path as shipped
from tests.engines import OxigraphServer

QUESTIONS = sorted(shipped("questions").glob("*.rq"))
RIGA = {"kind": "city", "id": "test-town", "name": {"en": "Test Town"}, "country": "LV"}
REQUEST = {"needs": [{"text": "housing for refugees"}, {"text": "Sprachcafé"}], "as_of": "2026-01-01", "limit": 20}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """An engine that keeps its data on disk, as one in use does."""
    with OxigraphServer(tmp_path_factory.mktemp("engine") / "store") as server:
        yield server


@pytest.fixture(scope="module")
def remote(server, tmp_path_factory, models_folder):
    """The starting data, with the graph on the engine."""
    folder = tmp_path_factory.mktemp("remote") / "data"
    with Catalogue.create(folder, start_data=True, models=models_folder, graph_url=server.url) as catalogue:
        _ = catalogue.search
        yield catalogue


@pytest.fixture(scope="module")
def embedded(remote, tmp_path_factory, models_folder):
    """The same ledger and search index, with the graph in the process."""
    folder = tmp_path_factory.mktemp("embedded") / "data"
    shutil.copytree(remote.folder.path, folder, ignore=shutil.ignore_patterns("lock"))
    with Catalogue.open(folder, models=models_folder) as catalogue:
        catalogue.catch_up()
        _ = catalogue.search
        yield catalogue


def test_the_starting_data_is_on_the_engine_and_agrees_with_the_ledger(remote, embedded):
    assert isinstance(remote.graph, RemoteStore)
    assert isinstance(embedded.graph, OxigraphStore)
    assert not remote.folder.graph.exists()
    assert remote.check() == []
    assert remote.graph.statistics() == embedded.graph.statistics()
    assert remote.graph.marker() == remote.ledger.last_number()


def test_suggestions_are_those_of_the_embedded_graph(remote, embedded):
    for request in REQUEST, {**REQUEST, "mentee": {"city": "jelgava"}}:
        assert remote.suggest_mentors(request) == embedded.suggest_mentors(request)


def test_lists_searches_and_labels_are_those_of_the_embedded_graph(remote, embedded):
    for ask in (
        lambda catalogue: catalogue.list_records("cities", language="fr"),
        lambda catalogue: catalogue.search_practices("language courses", labels_in="fr"),
        lambda catalogue: catalogue.similar_practices("mechelen--samen-inburgeren"),
    ):
        assert ask(remote) == ask(embedded)


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda file: file.stem)
def test_competency_questions_are_answered_as_by_the_embedded_graph(remote, embedded, question):
    query = question.read_text(encoding="utf-8")
    answers = [json.loads(catalogue.graph.query(query))["results"]["bindings"] for catalogue in (remote, embedded)]
    first, second = (Counter(json.dumps(row, sort_keys=True) for row in rows) for rows in answers)
    assert first == second


def test_an_export_holds_the_same_statements(remote, embedded, tmp_path):
    counted = []
    for catalogue, name in (remote, "remote.nq"), (embedded, "embedded.nq"):
        catalogue.export(tmp_path / name)
        quads = ox.parse(path=str(tmp_path / name), format=ox.RdfFormat.N_QUADS)
        counted.append(Counter(_without_labels(quad) for quad in quads))
    assert counted[0] == counted[1]


def _without_labels(quad):
    """A statement, all blank nodes taken for one."""
    return tuple("_" if isinstance(term, ox.BlankNode) else str(term) for term in quad)


def test_an_engine_that_is_killed_is_named_and_caught_up_with_when_it_is_back(remote, server):
    """Last of the module: it leaves the followers running."""
    remote.follow()
    server.kill()
    with pytest.raises(Busy, match="the graph engine does not answer"):
        remote.graph.rows("SELECT ?s { ?s ?p ?o } LIMIT 1")
    assert remote.save([RIGA]).written  # the ledger has it, whatever the engine does
    until(lambda: remote.ready()[1]["views"]["graph"]["error"] == "Unreachable")
    assert not remote.ready()[0]
    assert remote.get("city", "test-town")["name"] == {"en": "Test Town"}
    server.start()
    until(lambda: remote.ready()[0])
    assert remote.check() == []
    assert remote.labels("city", ["test-town"], "en") == {"test-town": "Test Town"}


def until(condition, seconds=40.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.05)
