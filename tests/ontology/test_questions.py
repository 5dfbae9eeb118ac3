"""Competency questions: all forty are there, and those in SPARQL answer as expected on the starting data."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from kg.graph.store import OxigraphStore
from kg.ledger import Change, Ledger
from kg.records import to_graph, to_ntriples
from kg.vocabulary import DEFAULT_BASE
from ontology import path as shipped

FOLDER = shipped("questions")
QUERIES = sorted(FOLDER.glob("*.rq"))
CALLS = sorted(FOLDER.glob("*.http"))


def header(file: Path) -> dict[str, str]:
    """The `# key: value` lines a question opens with."""
    lines = file.read_text(encoding="utf-8").splitlines()
    return dict(re.findall(r"^# ([a-z]+(?:@[a-z]+)?): (.+)$", "\n".join(lines[:4]), re.MULTILINE))


@pytest.fixture(scope="module")
def graph(tmp_path_factory) -> Iterator[OxigraphStore]:
    """The graph view of a ledger that holds the starting data, with the vocabulary beside it."""
    ledger = Ledger.create(f"sqlite:///{tmp_path_factory.mktemp('questions')}/ledger.db", DEFAULT_BASE)
    with ledger, OxigraphStore(None) as store:
        with ledger.write() as transaction:
            for file in sorted(shipped("start").glob("*.jsonl")):
                for line in file.read_text(encoding="utf-8").splitlines():
                    transaction.append(published(json.loads(line)))
        store.apply(ledger.since(0, 1000), ledger.last_number())
        files = ("mentorship.ttl", "schemes.ttl", "shapes.ttl", "alignments.ttl", "themes.ttl")
        store.load_vocabulary({f"{DEFAULT_BASE}vocabulary/{name}": shipped(name) for name in files})
        yield store


def published(record: dict) -> Change:
    """The ledger's row for a record that was loaded and published."""
    visibility = record["record"].get("visibility", "public")
    payload = to_ntriples(to_graph(record, DEFAULT_BASE))
    return Change(record["kind"], record["id"], "published", visibility, payload, "start data")


def answer(store: OxigraphStore, query: str) -> tuple[list[str], list[list[str | None]]]:
    """Columns and rows of a SELECT, our own addresses shortened to their last part."""
    results = json.loads(store.query(query))
    columns = results["head"]["vars"]
    return columns, [[shortened(row.get(column)) for column in columns] for row in results["results"]["bindings"]]


def shortened(term: dict[str, str] | None) -> str | None:
    if term is None:
        return None
    ours = term["type"] == "uri" and term["value"].startswith(DEFAULT_BASE)
    return re.split("[/#]", term["value"])[-1] if ours else term["value"]


def test_each_of_the_forty_questions_is_there_once():
    numbers = [int(header(file)["number"]) for file in (*QUERIES, *CALLS)]
    assert sorted(numbers) == list(range(1, 41))
    assert all(file.name.startswith(f"{number:02d}-") for number, file in zip(numbers, (*QUERIES, *CALLS), strict=True))


@pytest.mark.parametrize("file", [*QUERIES, *CALLS], ids=lambda file: file.stem)
def test_a_question_has_a_title_in_english_and_french(file):
    titles = header(file)
    assert titles["title@en"].endswith("?")
    assert titles["title@fr"].endswith("?")
    assert titles["title@en"] != titles["title@fr"]


def test_every_query_has_an_expected_result_and_no_other_is_left_behind():
    assert {file.name[:2] for file in QUERIES} == {file.stem for file in (FOLDER / "expected").glob("*.json")}


@pytest.mark.parametrize("file", QUERIES, ids=lambda file: file.stem)
def test_a_query_answers_as_expected(file, graph):
    expected = json.loads((FOLDER / "expected" / f"{file.name[:2]}.json").read_text(encoding="utf-8"))
    columns, rows = answer(graph, file.read_text(encoding="utf-8"))
    kept = [columns.index(column) for column in expected["columns"]]
    assert expected["rows"], "an expected result without rows proves nothing"
    assert [[row[position] for position in kept] for row in rows] == expected["rows"]
    assert len(rows) == len(set(map(tuple, rows))), "a row stands twice"


@pytest.mark.parametrize("file", CALLS, ids=lambda file: file.stem)
def test_a_call_is_a_readable_request(file):
    head, _, body = re.sub(r"(?m)^#.*\n", "", file.read_text(encoding="utf-8")).strip().partition("\n\n")
    method, _, target = head.splitlines()[0].partition(" ")
    assert target.startswith("/api/")
    assert (method, bool(body)) in {("GET", False), ("POST", True)}
    assert not body or isinstance(json.loads(body), dict)


def test_the_calls_that_wait_for_something_say_for_what():
    waiting = {file.stem: header(file)["available"] for file in CALLS if "available" in header(file)}
    assert waiting == {}, "README.md there tells what such a line means"
