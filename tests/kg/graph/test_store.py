"""The graph view keeps whole records and its marker together, shows nothing else, and survives its disk."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import pyoxigraph as ox
import pytest

from kg.errors import (
    DataFolderInUse,
    DataFolderUnusable,
    IndexMismatch,
    LedgerDamaged,
)
from kg.graph.store import LAYOUT, SYSTEM, OxigraphStore

BASE = "https://x.org/"
LABEL = "<http://www.w3.org/2000/01/rdf-schema#label>"
ALL = "SELECT ?s ?p ?o { ?s ?p ?o }"
ABOUT_RECORD = 7  # statements that the view adds on the record's own node


@dataclass(frozen=True)
class Row:
    """A ledger row, as far as the graph reads it."""

    number: int
    id: str
    payload: str | None
    state: str = "published"
    visibility: str = "public"
    kind: str = "city"
    time: datetime = datetime(2026, 3, 1, 12, tzinfo=UTC)
    author: str = "curator/ilze"


def row(number, id, *labels, **others):
    return Row(number, id, "".join(f'<{BASE}id/city/{id}> {LABEL} "{label}" .\n' for label in labels), **others)


def labels(store, id):
    found = store.rows(f"SELECT ?label {{ GRAPH <{BASE}id/city/{id}#record> {{ ?thing rdfs:label ?label }} }}")
    return sorted(cell["label"] for cell in found)


@pytest.fixture(params=["memory", "disk"])
def store(request, tmp_path):
    with OxigraphStore(None if request.param == "memory" else tmp_path / "graph", BASE) as store:
        yield store


@pytest.mark.parametrize(
    "later",
    [
        row(2, "riga", "Riga", state="withdrawn"),
        row(2, "riga", "Riga", state="merged"),
        row(2, "riga", "Riga", visibility="team"),
        Row(2, "riga", None),
    ],
    ids=["withdrawn", "merged", "no longer public", "erased by law"],
)
def test_what_readers_may_no_longer_see_leaves_not_even_its_name(store, later):
    store.apply([row(1, "riga", "Riga")], 1)
    store.apply([later], 2)
    assert store.rows(ALL) == []
    assert store.held() == {}
    assert [r for r in store.rows("SELECT ?g { GRAPH ?g {} }") if not r["g"].startswith(SYSTEM)] == []


@pytest.mark.parametrize(
    "payload",
    [
        '<urn:a> <urn:b> "c" . } }; DROP ALL; INSERT DATA { GRAPH <urn:x> { <urn:a> <urn:b> "c" .',
        "<urn:a}> <urn:b> <urn:c> .",
        "<urn:a\\u003E> <urn:b> <urn:c> .",
        "<urn:a> <urn:b> <relative> .",
        "<urn:a> <urn:b> <urn:c> <urn:graph> .",
    ],
)
def test_a_payload_cannot_leave_its_graph(store, payload):
    store.apply([row(1, "riga", "Riga")], 1)
    with pytest.raises(LedgerDamaged):
        store.apply([Row(2, "lyon", payload)], 2)
    assert labels(store, "riga") == ["Riga"]


@pytest.mark.parametrize(
    ("written", "read"),
    [('"x"@en-GB', '"x"@en-gb'), ('"1.50"^^xsd:decimal', "1.5"), ('"007"^^xsd:integer', "7"), ('"007"', '"007"')],
)
def test_literals_come_back_in_the_engines_own_form(store, written, read):
    term = written.replace("xsd:integer", "<http://www.w3.org/2001/XMLSchema#integer>").replace(
        "xsd:decimal", "<http://www.w3.org/2001/XMLSchema#decimal>"
    )
    store.apply([Row(1, "riga", f"<urn:a> <urn:b> {term} .")], 1)
    assert store.query("SELECT ?o { ?s <urn:b> ?o }", table="tsv").decode() == f"?o\n{read}\n"


def test_the_view_knows_its_marker_but_no_query_count_or_dump_meets_it(store, tmp_path):
    store.load_vocabulary({"https://x.org/themes": turtle(tmp_path, "themes", "<#heat> a <#Theme> .")})
    store.apply([row(1, "riga", "Riga")], 41)
    assert store.marker() == 41
    seen = [cell["s"] for cell in store.rows(ALL)]
    assert len(seen) == 1 + 1 + ABOUT_RECORD == store.statistics().statements
    assert not any(name.startswith(SYSTEM) for name in seen)
    assert store.rows("SELECT DISTINCT ?g { GRAPH ?g { ?s ?p ?o } } ORDER BY ?g") == [
        {"g": f"{BASE}id/city/riga#record"},
        {"g": "https://x.org/themes"},
    ]
    for format in "trig", "nquads":
        store.dump(tmp_path / "all", format)
        assert b"system" not in (tmp_path / "all").read_bytes()


def test_statistics_count_records_per_kind(store):
    rows = [row(1, "riga"), row(2, "lyon"), row(3, "heat", kind="theme"), row(4, "gent", state="withdrawn")]
    store.apply(rows, 4)
    assert store.statistics().records == {"city": 2, "theme": 1}
    assert store.statistics().statements == 3 * ABOUT_RECORD


@pytest.mark.parametrize(("format", "sign"), [("json", b"{"), ("xml", b"<?xml"), ("csv", b"label"), ("tsv", b"?label")])
def test_tables_come_in_the_w3c_formats(store, format, sign):
    store.apply([row(1, "riga", "Rīga")], 1)
    result = store.query("SELECT ?label { ?city rdfs:label ?label }", table=format)
    assert result.startswith(sign)
    assert "Rīga" in result.decode()


# Vocabularies


def turtle(folder, name, content):
    path = folder / f"{name}.ttl"
    path.write_text(content)
    return path


def test_vocabularies_are_remembered_and_survive_a_cleared_view(tmp_path):
    files = {"https://x.org/themes?v=1#a b".replace(" ", "%20"): turtle(tmp_path, "themes", "<#heat> a <#T> .")}
    with OxigraphStore(tmp_path / "graph", BASE) as store:
        store.load_vocabulary(files)
        store.apply([row(1, "riga", "Riga")], 1)
        store.clear()
        loaded = store.vocabularies()
    with OxigraphStore(tmp_path / "graph", BASE) as store:
        assert store.load_vocabulary(files) == []
        assert store.vocabularies() == loaded
        assert len(store.rows(ALL)) == 1
        assert (store.marker(), store.held()) == (0, {})


# Dumps, snapshots, threads


def test_queries_and_dumps_see_whole_updates_while_others_write(tmp_path):
    """Every update writes the same label to 40 records: two labels in one answer would be half an update."""
    ids = [f"c-{number}" for number in range(40)]
    done, torn = threading.Event(), []

    def read(store):
        while not done.is_set():
            torn.extend(found for found in [store.rows("SELECT DISTINCT ?o { ?s rdfs:label ?o }")] if len(found) > 1)

    with OxigraphStore(tmp_path / "graph", BASE) as store:
        threads = [threading.Thread(target=read, args=(store,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for number in range(1, 26):
            store.apply([row(number, id, str(number)) for id in ids], number)
            if number % 5 == 0:
                writer = threading.Thread(target=store.apply, args=([row(99, id, "x") for id in ids], number))
                writer.start()
                store.dump(tmp_path / "all.nq", "nquads")
                writer.join()
                found = {
                    q.object.value for q in ox.parse(path=str(tmp_path / "all.nq")) if "label" in q.predicate.value
                }
                torn.extend([found] if len(found) > 1 else [])
        done.set()
        for thread in threads:
            thread.join()
    assert torn == []


def test_a_backup_opens_as_a_view_of_its_own(tmp_path):
    with OxigraphStore(tmp_path / "graph", BASE) as store:
        store.apply([row(1, "riga", "Riga")], 1)
        store.backup(tmp_path / "copy")
        store.apply([row(2, "riga", "Riga today")], 2)
        with pytest.raises(DataFolderUnusable, match="the backup cannot be written"):
            store.backup(tmp_path / "copy")
    with OxigraphStore(tmp_path / "copy", BASE) as copy:
        assert (labels(copy, "riga"), copy.marker()) == (["Riga"], 1)
    with pytest.raises(ValueError, match="dump it"):
        OxigraphStore(None).backup(tmp_path / "other")


# The folder


def test_what_was_applied_is_there_when_the_folder_is_opened_again(tmp_path):
    with OxigraphStore(tmp_path / "graph", BASE) as store:
        store.apply([row(1, "riga", "Riga")], 12)
    with OxigraphStore(tmp_path / "graph", BASE) as store:
        assert (labels(store, "riga"), store.marker()) == (["Riga"], 12)


def filled(folder):
    with OxigraphStore(folder, BASE) as store:
        store.apply([row(number, f"c-{number}", "x" * 200) for number in range(1, 200)], 199)
    return folder


def spoil(pattern, content):
    def change(folder):
        for path in folder.glob(pattern):
            path.write_bytes(content)

    return change


def halve(pattern):
    def change(folder):
        for path in folder.glob(pattern):
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    return change


def remove(pattern):
    def change(folder):
        for path in folder.glob(pattern):
            path.unlink()

    return change


DAMAGES = {
    "CURRENT is garbage": spoil("CURRENT", b"zzz"),
    "CURRENT is empty": spoil("CURRENT", b""),
    "manifest gone": remove("MANIFEST*"),
    "manifest garbage": spoil("MANIFEST*", b"\xff" * 500),
    "tables gone": remove("*.sst"),
    "tables cut": halve("*.sst"),
    "tables zero": spoil("*.sst", b"\0" * 4000),
    "everything garbage": spoil("*", b"garbage"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_folder_is_named_as_such_and_can_be_made_anew(tmp_path, damage):
    folder = filled(tmp_path / "graph")
    damage(folder)
    with pytest.raises(IndexMismatch, match="rebuilt"):
        OxigraphStore(folder, BASE)
    OxigraphStore.discard(folder)
    with OxigraphStore(folder, BASE) as store:
        assert (store.marker(), store.held()) == (0, {})


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_a_list_of_tables_that_was_cut_short_never_passes_for_the_whole(tmp_path, share):
    """The engine takes some cuts for a crash and goes back to an older state: then the marker is older too."""
    folder = filled(tmp_path / "graph")
    (manifest,) = folder.glob("MANIFEST*")
    manifest.write_bytes(manifest.read_bytes()[: int(manifest.stat().st_size * share)])
    try:
        with OxigraphStore(folder, BASE) as store:
            found = store.marker(), len(store.held()), store.statistics().statements
    except IndexMismatch:
        return
    assert found in [(0, 0, 0), (199, 199, 199 * (1 + ABOUT_RECORD))]


def test_a_file_in_place_of_the_folder_is_a_damage_too(tmp_path):
    folder = tmp_path / "graph"
    folder.write_text("not a folder")
    with pytest.raises(IndexMismatch):
        OxigraphStore(folder, BASE)
    OxigraphStore.discard(folder)
    OxigraphStore(folder, BASE).close()


def test_discarding_keeps_the_folder_itself_which_may_be_a_link(tmp_path):
    real = filled(tmp_path / "elsewhere")
    (tmp_path / "graph").symlink_to(real)
    OxigraphStore.discard(tmp_path / "graph")
    assert (tmp_path / "graph").is_symlink()
    assert list(real.iterdir()) == []


def test_damage_that_shows_only_in_reading_is_named_as_such(tmp_path):
    folder = filled(tmp_path / "graph")
    for path in folder.glob("*.sst"):
        content = bytearray(path.read_bytes())
        content[20:60] = b"\xa5" * 40  # in the first block of data, which opening a table does not read
        path.write_bytes(content)
    with pytest.raises(IndexMismatch), OxigraphStore(folder, BASE) as store:
        store.query("SELECT ?s ?o { ?s rdfs:label ?o }")


def test_a_folder_of_another_base_or_layout_is_refused(tmp_path):
    folder = filled(tmp_path / "graph")
    with pytest.raises(IndexMismatch, match="another base"):
        OxigraphStore(folder, "https://y.org/")
    OxigraphStore(folder, BASE).close()
    engine = ox.Store(str(folder))
    (name,) = [name.value for name in engine.named_graphs() if "system/layout/" in name.value]
    newer = name.replace(f"layout/{LAYOUT}/", f"layout/{LAYOUT}0/")
    engine.update(f"DROP GRAPH <{name}>; CREATE GRAPH <{newer}>")
    del engine
    with pytest.raises(IndexMismatch, match="another version"):
        OxigraphStore(folder, BASE)


def test_a_store_of_somebody_else_is_refused(tmp_path):
    engine = ox.Store(str(tmp_path / "graph"))
    engine.update("INSERT DATA { GRAPH <urn:g> { <urn:a> <urn:b> 1 } }")
    del engine
    with pytest.raises(IndexMismatch, match="not ours"):
        OxigraphStore(tmp_path / "graph", BASE)


def test_a_second_process_is_told_that_the_folder_is_in_use(tmp_path):
    attempt = (
        "import sys; from pathlib import Path; from kg.errors import KgError; from kg.graph.store import OxigraphStore\n"
        "try: OxigraphStore(Path(sys.argv[1]))\n"
        "except KgError as error: print(type(error).__name__)"
    )
    with OxigraphStore(tmp_path / "graph", BASE) as store:
        command = [sys.executable, "-c", attempt, str(tmp_path / "graph")]
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "DataFolderInUse\n"
        with pytest.raises(DataFolderInUse):
            OxigraphStore(tmp_path / "graph", BASE)
        store.apply([row(1, "riga", "Riga")], 1)


def test_a_folder_without_a_place_to_be_in_is_refused(tmp_path):
    with pytest.raises(DataFolderUnusable, match="make it first"):
        OxigraphStore(tmp_path / "no" / "graph", BASE)
    assert not (tmp_path / "no").exists()


@contextmanager
def files_limited_to(size_bytes):
    """Writing beyond `size_bytes` in a file fails, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_stops_writes_not_reads_and_is_forgotten_when_there_is_space(tmp_path):
    many = [row(2, f"c-{number}", "x" * 500) for number in range(500)]
    with OxigraphStore(tmp_path / "graph", BASE) as store:
        store.apply([row(1, "riga", "Riga")], 1)
        with files_limited_to(50_000):
            for _ in range(3):
                with pytest.raises(DataFolderUnusable, match="cannot be written"):
                    store.apply(many, 2)
                assert (labels(store, "riga"), store.marker()) == (["Riga"], 1)
        store.apply(many, 2)
        assert (len(store.held()), store.marker()) == (501, 2)
    with OxigraphStore(tmp_path / "graph", BASE) as store:
        assert (len(store.held()), store.marker()) == (501, 2)


def test_clearing_forgets_many_records(tmp_path):
    with OxigraphStore(filled(tmp_path / "graph"), BASE) as store:
        store.clear()
        assert (store.marker(), store.held(), store.rows(ALL)) == (0, {}, [])
        store.apply([row(1, "riga", "Riga")], 1)
    with OxigraphStore(tmp_path / "graph", BASE) as store:
        assert store.held() == {("city", "riga"): 1}


def test_a_closed_view_says_so_and_gives_the_folder_free(tmp_path):
    store = OxigraphStore(tmp_path / "graph", BASE)
    store.close()
    store.close()
    for use in (lambda: store.rows(ALL), lambda: store.apply([], 1), store.clear, store.statistics):
        with pytest.raises(ValueError, match="closed"):
            use()
    OxigraphStore(tmp_path / "graph", BASE).close()


def test_results_are_the_w3c_json_with_languages_and_datatypes(store):
    store.apply([Row(1, "riga", '<urn:a> <urn:b> "Rīga"@lv .\n<urn:a> <urn:c> <urn:d> .')], 1)
    result = json.loads(store.query("SELECT ?b ?c { <urn:a> <urn:b> ?b ; <urn:c> ?c }"))
    assert result["results"]["bindings"] == [
        {"b": {"type": "literal", "value": "Rīga", "xml:lang": "lv"}, "c": {"type": "uri", "value": "urn:d"}}
    ]
